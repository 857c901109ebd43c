//! Contracts of the chapter `node`.

pub mod eviction;
pub mod limits;
pub mod pod_lifecycle;
pub mod probes;
pub mod qos;

pub use eviction::Eviction;
pub use limits::Limits;
pub use pod_lifecycle::PodLifecycle;
pub use probes::Prober;
pub use qos::Qos;
