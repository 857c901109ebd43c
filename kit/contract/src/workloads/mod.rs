//! Contracts of the chapter `workloads`.

pub mod hpa;
pub mod replica_set;
pub mod rolling_update;
pub mod vpa;

pub use hpa::HorizontalPodAutoscaler;
pub use replica_set::ReplicaSetController;
pub use rolling_update::DeploymentController;
pub use vpa::VerticalPodAutoscaler;
