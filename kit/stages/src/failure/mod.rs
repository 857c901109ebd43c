//! Generators of the chapter `failure`.

pub mod disruption;
pub mod node_lifecycle;
