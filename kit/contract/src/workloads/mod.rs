//! Contracts of the chapter `workloads`.

pub mod replica_set;

pub use replica_set::*;
