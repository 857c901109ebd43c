//! Generators of the chapter `failure`.

pub mod database_operator;
pub mod node_lifecycle;
