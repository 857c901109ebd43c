//! Generators of the chapter `observability`.

pub mod alerts;
pub mod logs;
pub mod metrics;
pub mod traces;
