//! Generators of the chapter `scheduler`.

pub mod node_affinity;
pub mod pod_affinity;
pub mod preemption;
pub mod queue;
pub mod resources_fit;
pub mod score;
pub mod taints;
pub mod topology_spread;
