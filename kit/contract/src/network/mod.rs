//! Contracts of the chapter `network`.

pub mod blue_green;
pub mod dns;
pub mod endpoints;
pub mod kube_proxy;
pub mod load_balancer;
pub mod network_policy;
pub mod pod_network;

pub use blue_green::Release;
pub use dns::Dns;
pub use endpoints::EndpointSlices;
pub use kube_proxy::*;
pub use load_balancer::LoadBalancerController;
pub use network_policy::NetworkPolicies;
pub use pod_network::PodNetwork;
