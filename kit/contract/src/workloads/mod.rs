//! Contracts of the chapter `workloads`.

pub mod hpa;
pub mod job;
pub mod replica_set;
pub mod rollback;
pub mod rolling_update;

pub use hpa::HorizontalPodAutoscaler;
pub use job::JobController;
pub use replica_set::ReplicaSetController;
pub use rollback::DeploymentHistory;
pub use rolling_update::DeploymentController;
