//! Passes: it finishes one node after the other, and looks afterwards for what belongs to none of them.

use kit::network::pod_network::{
    AttachRequest, Attachment, Backend, Change, Cidr, Forwarding, Neighbour, Node, PodNetwork, PodRoute, Refusal,
    Route, SyncRequest,
};
use std::net::Ipv4Addr;

#[derive(Default)]
struct Exercise;

enum Way {
    Direct,
    Vxlan(String),
    Ipip,
}

fn way(request: &SyncRequest, other: &Node) -> Option<Way> {
    other.range?;
    let near = request.node.subnet.contains(other.address);
    match request.network.backend {
        Backend::HostGw => near.then_some(Way::Direct),
        Backend::Vxlan { direct } if direct && near => Some(Way::Direct),
        Backend::Ipip { direct } if direct && near => Some(Way::Direct),
        Backend::Vxlan { .. } => other.mac.clone().map(Way::Vxlan),
        Backend::Ipip { .. } => Some(Way::Ipip),
    }
}

impl PodNetwork for Exercise {
    fn attach(&self, request: &AttachRequest) -> Result<Attachment, Refusal> {
        let range = request.node.range.ok_or(Refusal::NoRange)?;
        let gateway: Ipv4Addr = (u32::from(range.first()) + 1).into();
        let can_be_given = |number: u32| {
            let address = Ipv4Addr::from(number);
            address != range.first() && address != range.last() && address != gateway && range.contains(address)
        };
        let mut number = u32::from(request.last.filter(|last| range.contains(*last)).unwrap_or(gateway));
        let mut tries = 0;
        let address = loop {
            number = if number >= u32::from(range.last()) { u32::from(range.first()) } else { number + 1 };
            tries += 1;
            if tries > 1_u64 << (32 - range.prefix) {
                return Err(Refusal::NoAddress);
            }
            if can_be_given(number) && !request.used.contains(&number.into()) {
                break Ipv4Addr::from(number);
            }
        };
        let around = match request.network.backend {
            Backend::Vxlan { .. } => 14 + 20 + 8 + 8,
            Backend::Ipip { .. } => 20,
            Backend::HostGw => 0,
        };
        let to = |destination| PodRoute { destination, via: gateway };
        Ok(Attachment {
            address: Cidr { address, ..range },
            gateway,
            mtu: request.node.mtu - around,
            routes: vec![to(Cidr { address: Ipv4Addr::UNSPECIFIED, prefix: 0 }), to(request.network.pods)],
        })
    }

    fn sync(&self, request: &SyncRequest) -> Vec<Change> {
        let tables = &request.tables;
        let mut changes = Vec::new();
        let (mut addresses, mut macs, mut ranges) = (Vec::new(), Vec::new(), Vec::new());
        for other in &request.others {
            let (Some(way), Some(destination)) = (way(request, other), other.range) else { continue };
            ranges.push(destination);
            let route = match way {
                Way::Direct => Route { destination, via: other.address, device: "eth0".into(), onlink: false },
                Way::Ipip => Route { destination, via: other.address, device: "tunl0".into(), onlink: true },
                Way::Vxlan(mac) => {
                    let (address, device) = (destination.first(), "flannel.1".to_string());
                    addresses.push(address);
                    macs.push(mac.clone());
                    let entry = Forwarding { mac: mac.clone(), device: device.clone(), remote: other.address };
                    if !tables.forwarding.contains(&entry) {
                        changes.push(Change::SetForwarding(entry));
                    }
                    let entry = Neighbour { address, device: device.clone(), mac };
                    if !tables.neighbours.contains(&entry) {
                        changes.push(Change::SetNeighbour(entry));
                    }
                    Route { destination, via: address, device, onlink: true }
                }
            };
            if !tables.routes.contains(&route) {
                changes.push(Change::SetRoute(route));
            }
        }
        for route in &tables.routes {
            let own = Some(route.destination) == request.node.range;
            if !own && request.network.pods.covers(route.destination) && !ranges.contains(&route.destination) {
                changes.push(Change::DeleteRoute(route.clone()));
            }
        }
        for entry in &tables.neighbours {
            if entry.device == "flannel.1" && !addresses.contains(&entry.address) {
                changes.push(Change::DeleteNeighbour(entry.clone()));
            }
        }
        for entry in &tables.forwarding {
            if entry.device == "flannel.1" && !macs.contains(&entry.mac) {
                changes.push(Change::DeleteForwarding(entry.clone()));
            }
        }
        changes
    }
}

kit::exercise!(Exercise: PodNetwork);
