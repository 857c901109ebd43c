//! Contracts of the chapter `network`.

pub mod kube_proxy;

pub use kube_proxy::*;
pub mod endpoints;
pub use endpoints::EndpointSlices;
pub mod network_policy;
pub use network_policy::NetworkPolicies;
pub mod dns;
pub use dns::Dns;
pub mod pod_network;
pub use pod_network::PodNetwork;
pub mod load_balancer;
pub use load_balancer::LoadBalancerController;
