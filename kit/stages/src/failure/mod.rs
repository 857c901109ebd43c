//! Generators of the chapter `failure`.

pub mod database_operator;
pub mod disruption;
pub mod leader_election;
pub mod node_lifecycle;
