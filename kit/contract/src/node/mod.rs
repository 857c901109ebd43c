//! Contracts of the chapter `node`.

pub mod probes;
pub mod qos;

pub use probes::Prober;
pub use qos::Qos;
pub mod pod_lifecycle;
pub use pod_lifecycle::PodLifecycle;
