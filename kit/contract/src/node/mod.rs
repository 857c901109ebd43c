//! Contracts of the chapter `node`.

pub mod qos;

pub use qos::Qos;
