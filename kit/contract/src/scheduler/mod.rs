//! Contracts of the chapter `scheduler`.

pub mod node_affinity;
pub mod pod_affinity;
pub mod preemption;
pub mod queue;
pub mod score;
pub mod taints;
pub mod topology_spread;

pub use node_affinity::*;
pub use pod_affinity::*;
pub use preemption::*;
pub use queue::*;
pub use score::*;
pub use taints::*;
pub use topology_spread::*;
pub mod resources_fit;
pub use resources_fit::*;
