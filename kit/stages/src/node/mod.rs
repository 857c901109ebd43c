//! Generators of the chapter `node`.

pub mod eviction;
pub mod limits;
pub mod pod_lifecycle;
pub mod probes;
pub mod qos;
