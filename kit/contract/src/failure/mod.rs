//! Contracts of the chapter `failure`.

pub mod node_lifecycle;

pub use node_lifecycle::NodeLifecycle;
