//! Generators of the chapter `observability`.

pub mod alerts;
