//! Contracts of the chapter `workloads`.

pub mod daemon_set;
pub mod hpa;
pub mod job;
pub mod replica_set;
pub mod rollback;
pub mod rolling_update;
pub mod stateful_set;
pub mod vpa;

pub use daemon_set::DaemonSetController;
pub use hpa::HorizontalPodAutoscaler;
pub use job::JobController;
pub use replica_set::ReplicaSetController;
pub use rollback::DeploymentHistory;
pub use rolling_update::DeploymentController;
pub use stateful_set::StatefulSetController;
pub use vpa::VerticalPodAutoscaler;
