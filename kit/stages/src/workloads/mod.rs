//! Generators of the chapter `workloads`.

pub mod hpa;
pub mod job;
pub mod replica_set;
pub mod rollback;
pub mod rolling_update;
