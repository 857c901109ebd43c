//! The chapter `network`: stages of its exercises, and generators of fresh scenarios.

pub mod blue_green;
pub mod dns;
pub mod endpoints;
pub mod kube_proxy;
pub mod load_balancer;
pub mod network_policy;
pub mod pod_network;
