//! Generators of the chapter `workloads`.

pub mod daemon_set;
pub mod hpa;
pub mod replica_set;
pub mod rolling_update;
pub mod stateful_set;
