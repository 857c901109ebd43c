//! Generators of the chapter `node`.

pub mod qos;
