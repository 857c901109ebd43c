//! Contracts of the chapter `workloads`.

pub mod hpa;
pub mod replica_set;

pub use hpa::HorizontalPodAutoscaler;
pub use replica_set::ReplicaSetController;
