//! Contracts of the chapter `failure`.

pub mod database_operator;
pub mod node_lifecycle;

pub use database_operator::DatabaseOperator;
pub use node_lifecycle::NodeLifecycle;
