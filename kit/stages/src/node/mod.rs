//! Generators of the chapter `node`.

pub mod pod_lifecycle;
pub mod probes;
pub mod qos;
