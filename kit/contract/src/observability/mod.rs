//! Contracts of the chapter `observability`.

pub mod alerts;

pub use alerts::Alerts;
