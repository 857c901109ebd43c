//! Generators of the chapter `workloads`.

pub mod hpa;
pub mod replica_set;
pub mod rolling_update;
pub mod vpa;
