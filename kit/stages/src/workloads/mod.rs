//! Generators of the chapter `workloads`.

pub mod daemon_set;
pub mod hpa;
pub mod job;
pub mod replica_set;
pub mod rollback;
pub mod rolling_update;
pub mod stateful_set;
pub mod vpa;
