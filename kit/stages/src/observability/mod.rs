//! Generators of the chapter `observability`.

pub mod alerts;
pub mod traces;
pub mod logs;
