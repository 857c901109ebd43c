//! Generators of the chapter `network`.

pub mod dns;
pub mod load_balancer;
