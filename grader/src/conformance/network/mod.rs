//! Tables about the network.

mod allocation;
mod dns;
mod endpoints;
mod ipam;
mod load_balancer;
mod proxy;

use super::Check;

pub fn check(table: &str) -> Option<Check> {
    Some(match table {
        "endpoint_slices" => endpoints::recorded,
        "dns" => dns::dns,
        "host_local" => ipam::host_local,
        "kube_proxy_iptables" => proxy::iptables,
        "node_cidrs" => ipam::node_cidrs,
        "proxy_endpoint_choice" => proxy::endpoint_choice,
        "pod_resolv_conf" => dns::pod_resolv_conf,
        "resolver_search" => dns::resolver_search,
        "cluster_ip_allocation" => allocation::cluster_ips,
        "load_balancer_node_sync" => load_balancer::load_balancer_node_sync,
        "load_balancer_nodes" => load_balancer::load_balancer_nodes,
        "load_balancer_services" => load_balancer::load_balancer_services,
        "node_port_allocation" => allocation::node_ports,
        _ => return None,
    })
}
