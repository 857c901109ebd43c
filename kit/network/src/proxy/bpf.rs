//! Services as entries of eBPF maps, which Calico's Felix writes in place of kube-proxy (`felix/bpf/proxy/syncer.go`).
//!
//! Backends are endpoints that are ready, those of the own node first. Who is about to end gets no new connections, even if nobody else is there.

use super::endpoints::Endpoint;
use super::service::{PortInfo, PortName};
use crate::datapath::felix::{EVERY_NODE, Frontend, Senders, Services};
use crate::datapath::packet::{End, Protocol};
use crate::ipam::cidr::{Cidr, address};
use kit_contract::network::{ProxyPolicy, ServiceProtocol};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Gives Services their numbers, which they keep.
#[derive(Debug, Default)]
pub struct Numbers {
    ids: BTreeMap<PortName, u32>,
    next: u32,
}

impl Numbers {
    fn of(&mut self, name: &PortName) -> u32 {
        if let Some(id) = self.ids.get(name) {
            return *id;
        }
        let id = self.next;
        self.next += 1;
        self.ids.insert(name.clone(), id);
        id
    }

    /// The maps of a node with this address and zone. What they remember of clients is left to whoever writes them.
    pub fn services<'a>(
        &mut self,
        ports: impl Iterator<Item = (&'a PortInfo, &'a [Endpoint])>,
        node: IpAddr,
        zone: &str,
    ) -> Services {
        let mut services = Services::default();
        for (port, endpoints) in ports {
            let id = self.of(&port.name);
            let is_near = |endpoint: &Endpoint| {
                zone.is_empty() || endpoint.zone_hints.is_empty() || endpoint.zone_hints.contains(zone)
            };
            let ready = || endpoints.iter().filter(|endpoint| endpoint.ready && is_near(endpoint));
            let local = ready().filter(|endpoint| endpoint.is_local);
            let backends: Vec<&Endpoint> = local.clone().chain(ready().filter(|endpoint| !endpoint.is_local)).collect();
            let frontend = Frontend {
                id,
                count: backends.len() as u32,
                local: local.count() as u32,
                affinity: port.affinity_seconds,
                internal_local: port.internal_policy == ProxyPolicy::Local,
                ..Frontend::default()
            };
            for (ordinal, endpoint) in (0..).zip(backends) {
                let (address, port) = (endpoint.address.ip(), endpoint.address.port());
                services.backends.insert((id, ordinal), End { address, port });
            }
            for ((address, number), senders) in frontends(port, node, frontend) {
                services.frontends.insert((protocol(port.name.protocol), address, number), senders);
            }
        }
        services
    }
}

fn protocol(of: ServiceProtocol) -> Protocol {
    match of {
        ServiceProtocol::Tcp => Protocol::Tcp,
        ServiceProtocol::Udp => Protocol::Udp,
        ServiceProtocol::Sctp => Protocol::Sctp,
    }
}

/// All addresses of a service port, each with the networks of senders that may use it.
fn frontends(port: &PortInfo, node: IpAddr, own: Frontend) -> Vec<((IpAddr, u16), Senders)> {
    let everybody = Cidr { address: address(0, port.cluster_ip), prefix: 0 };
    let open = |frontend: Frontend| vec![(everybody, frontend)];
    let from_outside = Frontend { external_local: port.external_policy == ProxyPolicy::Local, ..own };
    let ranged = |frontend: Frontend| {
        if port.source_ranges.is_empty() {
            return open(frontend);
        }
        let admitted = port.source_ranges.iter().map(|range| (*range, frontend));
        admitted.chain([(everybody, Frontend { drops: true, ..frontend })]).collect()
    };
    let mut all = vec![((port.cluster_ip, port.port), open(own))];
    all.extend(port.load_balancer_ips.iter().map(|ip| ((*ip, port.port), ranged(from_outside))));
    // Neither policy counts for external IPs (`applyDerived`).
    let external = Frontend { internal_local: false, ..own };
    all.extend(port.external_ips.iter().map(|ip| ((*ip, port.port), ranged(external))));
    if port.node_port != 0 {
        all.extend([node, EVERY_NODE].map(|ip| ((ip, port.node_port), open(from_outside))));
    }
    all
}
