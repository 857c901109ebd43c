//! The reference for `network/pod_network`.
//!
//! Flannel reacts to events and trusts what it did before; the comparison with what the kernel has is how Calico's Felix works
//! (`felix/routetable/route_table.go`), and mends what a restart or somebody's hand has left behind.

// ANCHOR: solution
use kit::network::pod_network::{
    AttachRequest, Attachment, Backend, Change, Cidr, Forwarding, Neighbour, Node, PodNetwork, PodRoute, Refusal,
    Route, SyncRequest, Tables,
};
use std::net::Ipv4Addr;

const EVERYWHERE: Cidr = Cidr { address: Ipv4Addr::UNSPECIFIED, prefix: 0 };
const VXLAN_DEVICE: &str = "flannel.1";

/// What a network plugin does on one node.
#[derive(Default)]
pub struct Exercise;

impl PodNetwork for Exercise {
    // ANCHOR: attach
    fn attach(&self, request: &AttachRequest) -> Result<Attachment, Refusal> {
        let range = request.node.range.ok_or(Refusal::NoRange)?;
        let gateway = u32::from(range.first()) + 1;
        let (first, last) = (gateway + 1, u32::from(range.last()) - 1);
        // Where the search begins; all that can be given come once, those before the beginning in the end.
        let begin = request.last.map_or(first, |last| u32::from(last) + 1).clamp(first, last + 1);
        let free = |address: &Ipv4Addr| !request.used.contains(address);
        let address = (begin..=last).chain(first..begin).map(Ipv4Addr::from).find(free).ok_or(Refusal::NoAddress)?;

        let overhead = match request.network.backend {
            Backend::Vxlan { .. } => 50,
            Backend::Ipip { .. } => 20,
            Backend::HostGw => 0,
        };
        let gateway = Ipv4Addr::from(gateway);
        let routes = [request.network.pods, EVERYWHERE].map(|destination| PodRoute { destination, via: gateway });
        Ok(Attachment {
            address: Cidr { address, prefix: range.prefix },
            gateway,
            mtu: request.node.mtu - overhead,
            routes: routes.into(),
        })
    }
    // ANCHOR_END: attach

    // ANCHOR: sync
    fn sync(&self, request: &SyncRequest) -> Vec<Change> {
        let mut wanted = Tables::default();
        for other in &request.others {
            want(&mut wanted, request, other);
        }
        let has = &request.tables;
        let own_route = |route: &&Route| {
            request.network.pods.covers(route.destination) && Some(route.destination) != request.node.range
        };
        // First what packets need, then the routes that lead them there; what isn't needed any more goes the other way round.
        let mut changes = Vec::new();
        changes.extend(new(&wanted.forwarding, &has.forwarding).map(Change::SetForwarding));
        changes.extend(new(&wanted.neighbours, &has.neighbours).map(Change::SetNeighbour));
        changes.extend(new(&wanted.routes, &has.routes).map(Change::SetRoute));
        let kept = |route: &Route| wanted.routes.iter().any(|wanted| wanted.destination == route.destination);
        let old = has.routes.iter().filter(own_route).filter(|route| !kept(route));
        changes.extend(old.cloned().map(Change::DeleteRoute));
        let kept = |old: &Neighbour| wanted.neighbours.iter().any(|wanted| wanted.address == old.address);
        let old = has.neighbours.iter().filter(|old| old.device == VXLAN_DEVICE && !kept(old));
        changes.extend(old.cloned().map(Change::DeleteNeighbour));
        let kept = |old: &Forwarding| wanted.forwarding.iter().any(|wanted| wanted.mac == old.mac);
        let old = has.forwarding.iter().filter(|old| old.device == VXLAN_DEVICE && !kept(old));
        changes.extend(old.cloned().map(Change::DeleteForwarding));
        changes
    }
    // ANCHOR_END: sync
}

// ANCHOR: want
/// Adds the entries that lead to the pods of another node.
fn want(wanted: &mut Tables, request: &SyncRequest, other: &Node) {
    let Some(destination) = other.range else { return };
    let next_door = request.node.subnet.contains(other.address);
    let route = |via, device: &str, onlink| Route { destination, via, device: device.into(), onlink };
    match request.network.backend {
        Backend::HostGw if !next_door => {}
        Backend::HostGw => wanted.routes.push(route(other.address, "eth0", false)),
        Backend::Vxlan { direct: true } | Backend::Ipip { direct: true } if next_door => {
            wanted.routes.push(route(other.address, "eth0", false));
        }
        Backend::Ipip { .. } => wanted.routes.push(route(other.address, "tunl0", true)),
        Backend::Vxlan { .. } => {
            let Some(mac) = other.mac.clone() else { return };
            let (device, address) = (VXLAN_DEVICE.to_string(), destination.first());
            wanted.routes.push(route(address, VXLAN_DEVICE, true));
            wanted.neighbours.push(Neighbour { address, device: device.clone(), mac: mac.clone() });
            wanted.forwarding.push(Forwarding { mac, device, remote: other.address });
        }
    }
}
// ANCHOR_END: want

/// The entries that aren't there yet as they should be.
fn new<T: Clone + PartialEq>(wanted: &[T], has: &[T]) -> impl Iterator<Item = T> {
    wanted.iter().filter(|wanted| !has.contains(wanted)).cloned()
}
// ANCHOR_END: solution
