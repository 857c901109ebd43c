//! Which UDP flows the kernel must forget (`pkg/proxy/conntrack/cleanup.go`).
//!
//! UDP has no connection that could break. As long as packets come, the kernel keeps sending them where the first one went,
//! even if nobody is there any more, or was rejected for want of endpoints. So whoever changes endpoints has to clean up.

use super::endpoints::Endpoint;
use super::service::PortInfo;
use kit_contract::network::ServiceProtocol;
use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

/// One entry of the kernel's table of connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Flow {
    /// The protocol.
    pub protocol: ServiceProtocol,
    /// Who sent the first packet.
    pub source: IpAddr,
    /// Where it was sent to.
    pub destination: IpAddr,
    /// The port it was sent to.
    pub port: u16,
    /// Who is thought to answer: the endpoint that the destination was replaced by, or the destination itself.
    pub replies_from: IpAddr,
}

/// The flows to delete, in their order: UDP to an address or node port of a service, and answered by nobody who serves it.
///
/// Policies, hints and endings don't count here: what goes to an endpoint that still serves goes on, as TCP would. (1.33 looks at
/// addresses alone, so that of two UDP ports of a service one is taken for the other; later versions look at the port, as here.)
pub fn stale<'a>(
    ports: impl IntoIterator<Item = (&'a PortInfo, &'a [Endpoint])>,
    flows: impl IntoIterator<Item = &'a Flow>,
) -> Vec<Flow> {
    let mut by_address: HashMap<(IpAddr, u16), BTreeSet<IpAddr>> = HashMap::new();
    let mut by_node_port: HashMap<u16, BTreeSet<IpAddr>> = HashMap::new();
    for (port, endpoints) in ports {
        if port.name.protocol != ServiceProtocol::Udp {
            continue;
        }
        let serving = endpoints.iter().filter(|endpoint| endpoint.serving).map(|endpoint| endpoint.address.ip());
        let serving: BTreeSet<IpAddr> = serving.collect();
        for ip in std::iter::once(&port.cluster_ip).chain(&port.load_balancer_ips).chain(&port.external_ips) {
            by_address.insert((*ip, port.port), serving.clone());
        }
        if port.node_port != 0 {
            by_node_port.insert(port.node_port, serving);
        }
    }
    let is_stale = |flow: &&Flow| {
        let lost = |serving: &BTreeSet<IpAddr>| !serving.contains(&flow.replies_from);
        flow.protocol == ServiceProtocol::Udp
            && (by_address.get(&(flow.destination, flow.port)).is_some_and(lost)
                || by_node_port.get(&flow.port).is_some_and(lost))
    };
    flows.into_iter().filter(is_stale).copied().collect()
}
