//! Generators of the chapter `network`.

pub mod dns;
pub mod load_balancer;
//! Stages and generators of the chapter `network`.
pub mod pod_network;
