//! Generators of the chapter `failure`.

pub mod leader_election;
pub mod node_lifecycle;
