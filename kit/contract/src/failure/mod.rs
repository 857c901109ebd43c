//! Contracts of the chapter `failure`.

pub mod database_operator;
pub mod disruption;
pub mod leader_election;
pub mod node_lifecycle;

pub use database_operator::DatabaseOperator;
pub use disruption::Disruption;
pub use leader_election::LeaderElection;
pub use node_lifecycle::NodeLifecycle;
