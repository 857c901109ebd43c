//! Tables about the network.

mod allocation;
mod dns;
mod endpoints;
mod ipam;
mod load_balancer;
mod policy;
mod proxy;

use super::Check;

pub fn check(table: &str) -> Option<Check> {
    Some(match table {
        "endpoint_slices" => endpoints::recorded,
        "dns" => dns::dns,
        "host_local" => ipam::host_local,
        "kube_proxy_iptables" => proxy::iptables,
        "cilium_dns_rules" => policy::cilium_dns_rules,
        "cilium_fqdn_selectors" => policy::cilium_fqdn_selectors,
        "cilium_http_rules" => policy::cilium_http_rules,
        "cilium_policy" => policy::cilium_policy,
        "network_policy" => policy::network_policy,
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
