//! The chapter `network`: stages of its exercises, and generators of fresh scenarios.

pub mod dns;
pub mod load_balancer;
pub mod pod_network;
//! Generators of the chapter `network`.
pub mod endpoints;
//! Stages of the chapter `network`.
pub mod kube_proxy;
pub mod network_policy;
