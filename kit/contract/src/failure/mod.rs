//! Contracts of the chapter `failure`.

pub mod disruption;
pub mod node_lifecycle;

pub use disruption::Disruption;
pub use node_lifecycle::NodeLifecycle;
