//! Contracts of the chapter `failure`.

pub mod database_operator;
pub mod node_lifecycle;

pub use database_operator::DatabaseOperator;
pub mod leader_election;
pub mod node_lifecycle;

pub use leader_election::LeaderElection;
pub mod disruption;
pub mod node_lifecycle;

pub use disruption::Disruption;
pub use node_lifecycle::NodeLifecycle;
