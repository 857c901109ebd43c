//! Generators of the chapter `workloads`.

pub mod hpa;
pub mod rolling_update;
