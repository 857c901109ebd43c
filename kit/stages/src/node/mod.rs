//! Generators of the chapter `node`.

pub mod pod_lifecycle;
pub mod eviction;
pub mod limits;
pub mod probes;
pub mod qos;
