//! What the proxy reads of a Service: one entry for each of its ports (`pkg/proxy/serviceport.go`).

use super::{Family, chains};
use crate::ipam::cidr::Cidr;
use kit_api::core::{Service, ServicePort, ServiceSpec};
use kit_contract::network::{ProxyChains, ProxyPolicy, ServiceProtocol};
use std::fmt;
use std::net::IpAddr;

/// With this label a service is left to another proxy.
pub const PROXY_NAME: &str = "service.kubernetes.io/service-proxy-name";

/// How long a client keeps its endpoint where nothing is said (`DefaultClientIPServiceAffinitySeconds`).
const AFFINITY_SECONDS: i32 = 10_800;

/// Which port of which service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortName {
    /// The service's namespace.
    pub namespace: String,
    /// The service's name.
    pub name: String,
    /// The port's name; empty for the only port.
    pub port: String,
    /// One name may stand for a port of each protocol.
    pub protocol: ServiceProtocol,
}

impl fmt::Display for PortName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)?;
        if self.port.is_empty() { Ok(()) } else { write!(f, ":{}", self.port) }
    }
}

/// One port of a service, in the family of the proxy.
#[derive(Debug, Clone, PartialEq)]
pub struct PortInfo {
    /// Its name.
    pub name: PortName,
    /// The service's own address.
    pub cluster_ip: IpAddr,
    /// The port at it.
    pub port: u16,
    /// The port at each node; 0 for none.
    pub node_port: u16,
    /// The addresses of load balancers that pass packets on with the destination as it is.
    pub load_balancer_ips: Vec<IpAddr>,
    /// Other addresses that packets may come to.
    pub external_ips: Vec<IpAddr>,
    /// Who may come by way of load balancer addresses; empty: anyone.
    pub source_ranges: Vec<Cidr>,
    /// Where the cloud asks for endpoints on this node; 0: nowhere.
    pub health_check_node_port: u16,
    /// For packets to the cluster IP.
    pub internal_policy: ProxyPolicy,
    /// For packets to all other addresses.
    pub external_policy: ProxyPolicy,
    /// How long a client keeps its endpoint; 0: not at all.
    pub affinity_seconds: u32,
    /// The names of its chains.
    pub chains: ProxyChains,
}

/// A protocol by its name in the API.
pub fn protocol(name: Option<&str>) -> Option<ServiceProtocol> {
    match name.unwrap_or("TCP") {
        "TCP" => Some(ServiceProtocol::Tcp),
        "UDP" => Some(ServiceProtocol::Udp),
        "SCTP" => Some(ServiceProtocol::Sctp),
        _ => None,
    }
}

/// The cluster IP of a family (`GetClusterIPByFamily` in `pkg/proxy/util/utils.go`). The API server fills in `ipFamilies`; objects from before dual
/// stack have none.
fn cluster_ip(spec: &ServiceSpec, family: Family) -> Option<IpAddr> {
    let families = spec.ip_families.as_deref().unwrap_or_default();
    let all = spec.cluster_ips.as_deref().unwrap_or_default();
    let mut candidates: Vec<&String> = match families.iter().position(|name| name == family.name()) {
        Some(at) => all.get(at).into_iter().collect(),
        None if families.is_empty() => spec.cluster_ip.iter().chain(all).collect(),
        None => Vec::new(),
    };
    candidates.retain(|text| !text.is_empty());
    candidates.into_iter().find_map(|text| text.parse().ok().filter(|ip| family.has(*ip)))
}

fn of_family(addresses: Option<&Vec<String>>, family: Family) -> Vec<IpAddr> {
    let addresses = addresses.into_iter().flatten();
    addresses.filter_map(|text| text.parse().ok()).filter(|ip| family.has(*ip)).collect()
}

/// The ports of a service, as a proxy of this family sees them. There are none for what has no address: headless services and
/// `ExternalName` (`ShouldSkipService`).
pub fn ports(service: &Service, family: Family) -> Vec<PortInfo> {
    let Some(spec) = &service.spec else { return Vec::new() };
    let is_of_another = service.metadata.labels.as_ref().is_some_and(|labels| labels.contains_key(PROXY_NAME));
    if spec.type_.as_deref() == Some("ExternalName") || is_of_another {
        return Vec::new();
    }
    let Some(cluster_ip) = cluster_ip(spec, family) else { return Vec::new() };
    let ports = spec.ports.iter().flatten();
    ports.filter_map(|port| read(service, spec, port, cluster_ip, family)).collect()
}

fn read(
    service: &Service,
    spec: &ServiceSpec,
    port: &ServicePort,
    cluster_ip: IpAddr,
    family: Family,
) -> Option<PortInfo> {
    let name = PortName {
        namespace: service.metadata.namespace.clone().unwrap_or_default(),
        name: service.metadata.name.clone().unwrap_or_default(),
        port: port.name.clone().unwrap_or_default(),
        protocol: protocol(port.protocol.as_deref())?,
    };
    let kind = spec.type_.as_deref().unwrap_or("ClusterIP");
    let has_external_ips = spec.external_ips.as_ref().is_some_and(|ips| !ips.is_empty());
    // `ExternallyAccessible` in `pkg/api/v1/service/util.go`: the policy has a meaning only there.
    let is_external = matches!(kind, "LoadBalancer" | "NodePort") || (kind == "ClusterIP" && has_external_ips);
    let is_local =
        |policy: Option<&str>| if policy == Some("Local") { ProxyPolicy::Local } else { ProxyPolicy::Cluster };
    let external_policy =
        if is_external { is_local(spec.external_traffic_policy.as_deref()) } else { ProxyPolicy::Cluster };
    let ranges = spec.load_balancer_source_ranges.iter().flatten();
    // Validation lets blanks through.
    let mut source_ranges: Vec<Cidr> =
        ranges.filter_map(|range| range.trim().parse().ok()).filter(|range: &Cidr| family.has(range.address)).collect();
    for range in &mut source_ranges {
        range.address = range.first();
    }
    // One that holds everything is as good as none.
    if source_ranges.iter().any(|range| range.prefix == 0) {
        source_ranges.clear();
    }
    let ingress = service.status.iter().flat_map(|status| &status.load_balancer).flat_map(|status| &status.ingress);
    // Load balancers with `ipMode: Proxy` end connections themselves: packets must go out to them.
    let is_passed_on = |mode: Option<&str>| mode.is_none_or(|mode| mode == "VIP");
    let load_balancer_ips = ingress.flatten().filter(|ingress| is_passed_on(ingress.ip_mode.as_deref()));
    let load_balancer_ips =
        load_balancer_ips.filter_map(|ingress| ingress.ip.as_deref()?.parse().ok()).filter(|ip| family.has(*ip));
    let needs_health_check = kind == "LoadBalancer" && external_policy == ProxyPolicy::Local;
    let affinity_seconds = if spec.session_affinity.as_deref() == Some("ClientIP") {
        let config = spec.session_affinity_config.as_ref().and_then(|config| config.client_ip.as_ref());
        config.and_then(|config| config.timeout_seconds).unwrap_or(AFFINITY_SECONDS)
    } else {
        0
    };
    Some(PortInfo {
        chains: chains::of_port(&name.to_string(), name.protocol),
        name,
        cluster_ip,
        port: number(Some(port.port)),
        node_port: number(port.node_port),
        load_balancer_ips: load_balancer_ips.collect(),
        external_ips: of_family(spec.external_ips.as_ref(), family),
        source_ranges,
        health_check_node_port: if needs_health_check { number(spec.health_check_node_port) } else { 0 },
        internal_policy: is_local(spec.internal_traffic_policy.as_deref()),
        external_policy,
        affinity_seconds: u32::try_from(affinity_seconds).unwrap_or_default(),
    })
}

/// Ports are 32 bits wide in the API; validation keeps them to 16.
pub(super) fn number(port: Option<i32>) -> u16 {
    port.and_then(|port| u16::try_from(port).ok()).unwrap_or_default()
}

impl PortInfo {
    /// Whether it can be reached by anything but its cluster IP.
    pub fn is_external(&self) -> bool {
        self.node_port != 0 || !self.load_balancer_ips.is_empty() || !self.external_ips.is_empty()
    }

    /// Whether packets come under the policy `Cluster`: also under the external policy `Local`, which pods and the node are let round.
    pub fn uses_cluster(&self) -> bool {
        self.internal_policy == ProxyPolicy::Cluster || self.is_external()
    }

    /// Whether packets come under the policy `Local`.
    pub fn uses_local(&self) -> bool {
        self.internal_policy == ProxyPolicy::Local || (self.external_policy == ProxyPolicy::Local && self.is_external())
    }
}
