//! Generators of the chapter `failure`.

pub mod node_lifecycle;
