//! Tables about the network.

mod endpoints;
mod ipam;
mod proxy;

use super::Check;

pub fn check(table: &str) -> Option<Check> {
    Some(match table {
        "endpoint_slices" => endpoints::recorded,
        "host_local" => ipam::host_local,
        "kube_proxy_iptables" => proxy::iptables,
        "node_cidrs" => ipam::node_cidrs,
        "proxy_endpoint_choice" => proxy::endpoint_choice,
        _ => return None,
    })
}
