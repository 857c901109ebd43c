//! Passes: it collects changes in any order, and sorts them by what may come before what.

use kit::network::pod_network::*;
use std::net::Ipv4Addr;

#[derive(Default)]
struct Exercise;

const TUNNEL: &str = "flannel.1";

fn rank(change: &Change) -> u8 {
    match change {
        Change::SetForwarding(_) => 0,
        Change::SetNeighbour(_) => 1,
        Change::DeleteRoute(_) => 2,
        Change::SetRoute(_) => 3,
        Change::DeleteNeighbour(_) => 4,
        Change::DeleteForwarding(_) => 5,
    }
}

/// One wanted entry beside what is there: nothing, or a change.
fn put<T: PartialEq + Clone>(changes: &mut Vec<Change>, has: &[T], entry: T, change: impl Fn(T) -> Change) {
    if has.iter().all(|there| *there != entry) {
        changes.push(change(entry));
    }
}

impl PodNetwork for Exercise {
    fn attach(&self, request: &AttachRequest) -> Result<Attachment, Refusal> {
        let range = request.node.range.ok_or(Refusal::NoRange)?;
        let first = u32::from(range.first());
        let mut candidates: Vec<u32> = (first + 2..u32::from(range.last())).collect();
        if let Some(last) = request.last {
            let after = candidates.iter().filter(|number| **number <= u32::from(last)).count();
            candidates.rotate_left(after);
        }
        let taken: Vec<u32> = request.used.iter().map(|address| u32::from(*address)).collect();
        candidates.retain(|number| !taken.contains(number));
        let Some(number) = candidates.first() else { return Err(Refusal::NoAddress) };
        let gateway = Ipv4Addr::from(first + 1);
        let everything: Cidr = "0.0.0.0/0".parse().expect("it is one");
        Ok(Attachment {
            address: Cidr { address: Ipv4Addr::from(*number), prefix: range.prefix },
            gateway,
            mtu: match request.network.backend {
                Backend::HostGw => request.node.mtu,
                Backend::Ipip { .. } => request.node.mtu - 20,
                Backend::Vxlan { .. } => request.node.mtu - 50,
            },
            routes: [everything, request.network.pods].map(|destination| PodRoute { destination, via: gateway }).into(),
        })
    }

    fn sync(&self, request: &SyncRequest) -> Vec<Change> {
        let SyncRequest { node, others, network, tables } = request;
        let mut changes = Vec::new();
        let near = |other: &Node| node.subnet.contains(other.address);
        let by_tunnel = |other: &Node| match network.backend {
            Backend::Vxlan { direct } | Backend::Ipip { direct } => !(direct && near(other)),
            Backend::HostGw => false,
        };
        let is_vxlan = matches!(network.backend, Backend::Vxlan { .. });
        let reached: Vec<(&Node, Cidr)> = others
            .iter()
            .filter_map(|other| other.range.map(|range| (other, range)))
            .filter(|(other, _)| network.backend != Backend::HostGw || near(other))
            .filter(|(other, _)| !is_vxlan || !by_tunnel(other) || other.mac.is_some())
            .collect();
        let framed: Vec<&(&Node, Cidr)> = reached.iter().filter(|(other, _)| is_vxlan && by_tunnel(other)).collect();

        for (other, destination) in &reached {
            let tunnelled = by_tunnel(other);
            let (via, device) = match (tunnelled, is_vxlan) {
                (false, _) => (other.address, "eth0"),
                (true, true) => (destination.first(), TUNNEL),
                (true, false) => (other.address, "tunl0"),
            };
            let route = Route { destination: *destination, via, device: device.into(), onlink: tunnelled };
            put(&mut changes, &tables.routes, route, Change::SetRoute);
        }
        for (other, destination) in &framed {
            let mac = other.mac.clone().unwrap_or_default();
            let device = TUNNEL.to_string();
            let neighbour = Neighbour { address: destination.first(), device: device.clone(), mac: mac.clone() };
            put(&mut changes, &tables.neighbours, neighbour, Change::SetNeighbour);
            put(
                &mut changes,
                &tables.forwarding,
                Forwarding { mac, device, remote: other.address },
                Change::SetForwarding,
            );
        }
        let stale = tables.routes.iter().filter(|route| {
            network.pods.covers(route.destination)
                && node.range != Some(route.destination)
                && reached.iter().all(|(_, range)| *range != route.destination)
        });
        changes.extend(stale.cloned().map(Change::DeleteRoute));
        let stale = tables
            .neighbours
            .iter()
            .filter(|there| there.device == TUNNEL && framed.iter().all(|(_, range)| range.first() != there.address));
        changes.extend(stale.cloned().map(Change::DeleteNeighbour));
        let stale = tables.forwarding.iter().filter(|there| {
            there.device == TUNNEL && framed.iter().all(|(other, _)| other.mac.as_ref() != Some(&there.mac))
        });
        changes.extend(stale.cloned().map(Change::DeleteForwarding));
        changes.sort_by_key(rank);
        changes
    }
}

kit::exercise!(Exercise: PodNetwork);
