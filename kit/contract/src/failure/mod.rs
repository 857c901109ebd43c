//! Contracts of the chapter `failure`.

pub mod leader_election;
pub mod node_lifecycle;

pub use leader_election::LeaderElection;
pub use node_lifecycle::NodeLifecycle;
