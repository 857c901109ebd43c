//! Generators of the chapter `node`.

pub mod probes;
pub mod qos;
