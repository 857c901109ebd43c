//! Passes: each table is a map by its key, and a change is what two maps differ in.

use kit::network::pod_network::{
    AttachRequest, Attachment, Backend, Change, Cidr, Forwarding, Neighbour, PodNetwork, PodRoute, Refusal, Route,
    SyncRequest,
};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

#[derive(Default)]
struct Exercise;

impl PodNetwork for Exercise {
    fn attach(&self, request: &AttachRequest) -> Result<Attachment, Refusal> {
        let Some(range) = request.node.range else { return Err(Refusal::NoRange) };
        let base = u32::from(range.first());
        let size = u32::from(range.last()) - base + 1;
        let mine = request.used.iter().filter(|address| range.contains(**address));
        let used: BTreeSet<u32> = mine.map(|address| u32::from(*address) - base).collect();
        // Offsets 2 to size - 2 can be given.
        let count = size - 3;
        // What was given last may be an address that isn't given any more.
        let last = request.last.filter(|last| range.contains(*last));
        let start = last.map_or(0, |last| u32::from(last).saturating_sub(base + 1).min(count));
        let free = (0..count).map(|step| 2 + (start + step) % count).find(|offset| !used.contains(offset));
        let offset = free.ok_or(Refusal::NoAddress)?;
        let gateway = Ipv4Addr::from(base + 1);
        let mtu = match request.network.backend {
            Backend::Vxlan { direct: _ } => request.node.mtu - 50,
            Backend::Ipip { direct: _ } => request.node.mtu - 20,
            Backend::HostGw => request.node.mtu,
        };
        let default = Cidr { address: Ipv4Addr::new(0, 0, 0, 0), prefix: 0 };
        Ok(Attachment {
            address: Cidr { address: Ipv4Addr::from(base + offset), prefix: range.prefix },
            gateway,
            mtu,
            routes: vec![
                PodRoute { destination: default, via: gateway },
                PodRoute { destination: request.network.pods, via: gateway },
            ],
        })
    }

    fn sync(&self, request: &SyncRequest) -> Vec<Change> {
        let mut routes: BTreeMap<Cidr, Route> = BTreeMap::new();
        let mut neighbours: BTreeMap<Ipv4Addr, Neighbour> = BTreeMap::new();
        let mut forwarding: BTreeMap<String, Forwarding> = BTreeMap::new();
        for other in &request.others {
            let Some(destination) = other.range else { continue };
            let near = request.node.subnet.contains(other.address);
            let (direct, ipip) = match request.network.backend {
                Backend::HostGw if near => (true, false),
                Backend::HostGw => continue,
                Backend::Vxlan { direct } => (direct && near, false),
                Backend::Ipip { direct } => (direct && near, true),
            };
            let (via, device) = match (direct, ipip) {
                (true, _) => (other.address, "eth0"),
                (false, true) => (other.address, "tunl0"),
                (false, false) => (destination.address, "flannel.1"),
            };
            if device == "flannel.1" {
                let Some(mac) = &other.mac else { continue };
                let device = device.to_string();
                neighbours.insert(via, Neighbour { address: via, device: device.clone(), mac: mac.clone() });
                forwarding.insert(mac.clone(), Forwarding { mac: mac.clone(), device, remote: other.address });
            }
            routes.insert(destination, Route { destination, via, device: device.into(), onlink: !direct });
        }

        let tables = &request.tables;
        let (mut first, mut then) = (Vec::new(), Vec::new());
        for route in &tables.routes {
            let inside = route.destination.prefix >= request.network.pods.prefix
                && request.network.pods.contains(route.destination.address);
            match routes.get(&route.destination) {
                Some(wanted) if wanted == route => drop(routes.remove(&route.destination)),
                None if inside && Some(route.destination) != request.node.range => {
                    then.push(Change::DeleteRoute(route.clone()));
                }
                _ => {}
            }
        }
        for there in tables.neighbours.iter().filter(|there| there.device == "flannel.1") {
            match neighbours.get(&there.address) {
                Some(wanted) if wanted == there => drop(neighbours.remove(&there.address)),
                None => then.push(Change::DeleteNeighbour(there.clone())),
                _ => {}
            }
        }
        for there in tables.forwarding.iter().filter(|there| there.device == "flannel.1") {
            match forwarding.get(&there.mac) {
                Some(wanted) if wanted == there => drop(forwarding.remove(&there.mac)),
                None => then.push(Change::DeleteForwarding(there.clone())),
                _ => {}
            }
        }
        first.extend(forwarding.into_values().map(Change::SetForwarding));
        first.extend(neighbours.into_values().map(Change::SetNeighbour));
        first.extend(routes.into_values().map(Change::SetRoute));
        first.extend(then);
        first
    }
}

kit::exercise!(Exercise: PodNetwork);
