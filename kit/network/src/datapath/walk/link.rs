//! From interface to interface: neighbours, wires, veth pairs and bridges.

use super::{Ended, Walker, piece};
use crate::datapath::packet::{Frame, Icmp, Mac, Packet};
use crate::datapath::rules::Hook;
use crate::datapath::trace::{Event, Reason, Resolution};
use crate::datapath::world::{Interface, Kind, Neighbour, Programs, Route, To, World};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// How much longer than its MTU a virtual interface lets frames be: the tag of a VLAN (`is_skb_forwardable`).
const SLACK: u32 = 4;

impl World {
    /// The interfaces that a frame to everybody reaches, and the host whose network keeps it from others.
    pub(super) fn neighbourhood(&self, namespace: &str, device: &str) -> Vec<(String, String)> {
        let mut seen = BTreeSet::new();
        let mut reached = Vec::new();
        self.flood(namespace, device, &mut seen, &mut reached);
        reached
    }

    pub(super) fn flood(
        &self,
        namespace: &str,
        device: &str,
        seen: &mut BTreeSet<(String, String)>,
        reached: &mut Vec<(String, String)>,
    ) {
        let Some(here) = self.namespaces.get(namespace) else { return };
        let Some(interface) = here.interface(device).filter(|interface| interface.up) else { return };
        if !seen.insert((namespace.into(), device.into())) {
            return;
        }
        let ends: Vec<(String, String)> = match &interface.kind {
            Kind::Ethernet { wire } => self.plugged_in(wire, namespace, device),
            Kind::Veth { namespace, name } => vec![(namespace.clone(), name.clone())],
            Kind::Bridge => {
                for port in here.interfaces.iter().filter(|port| port.bridge.as_deref() == Some(device)) {
                    self.flood(namespace, &port.name, seen, reached);
                }
                return;
            }
            Kind::Loopback | Kind::Vxlan { .. } | Kind::Ipip { .. } | Kind::Overlay { .. } | Kind::Program => return,
        };
        for (namespace, device) in ends {
            let Some(there) = self.namespaces.get(&namespace) else { continue };
            let Some(end) = there.interface(&device).filter(|end| end.up) else { continue };
            match &end.bridge {
                None => {
                    seen.insert((namespace.clone(), device.clone()));
                    reached.push((namespace, device));
                }
                Some(bridge) => {
                    seen.insert((namespace.clone(), device.clone()));
                    reached.push((namespace.clone(), bridge.clone()));
                    for port in there.interfaces.iter().filter(|port| port.bridge.as_ref() == Some(bridge)) {
                        self.flood(&namespace, &port.name, seen, reached);
                    }
                }
            }
        }
    }

    /// The other interfaces on a wire that can be reached from a host.
    pub(super) fn plugged_in(&self, wire: &str, from: &str, device: &str) -> Vec<(String, String)> {
        let mut all = Vec::new();
        for (name, namespace) in self.namespaces.iter().filter(|(name, _)| !self.is_apart(from, name)) {
            for interface in &namespace.interfaces {
                let is_on = matches!(&interface.kind, Kind::Ethernet { wire: other } if other == wire);
                if is_on && (name != from || interface.name != device) {
                    all.push((name.clone(), interface.name.clone()));
                }
            }
        }
        all
    }
}

impl Walker<'_> {
    /// Sends through an interface, to the next address of a route.
    pub(super) fn send(&mut self, at: &str, device: &Interface, route: &Route, packet: Packet) -> Ended {
        let next = match &route.to {
            To::Gateway { via, .. } => *via,
            _ => packet.flow.destination.address,
        };
        match &device.kind {
            Kind::Loopback => self.ip(at, "lo", packet, None),
            Kind::Ipip { local } => self.wrap_ipip(at, device, *local, next, packet),
            Kind::Program => self.program(at, &device.name, packet, None),
            _ => {
                let mac = match self.resolve(at, device, next) {
                    Ok(mac) => mac,
                    Err(reason) => {
                        self.complain(at, &packet, Icmp::HostUnreachable);
                        return Err((at.into(), reason));
                    }
                };
                self.transmit(at, device, Frame { source: device.mac, destination: mac, packet })
            }
        }
    }

    /// The Ethernet address of an IP address.
    pub(super) fn resolve(&mut self, at: &str, device: &Interface, address: IpAddr) -> Result<Mac, Reason> {
        let nobody = || Reason::NoNeighbour { address, device: device.name.clone() };
        let here = self.world.namespaces.get(at).ok_or(Reason::NoSuchNamespace)?;
        let known = here.neighbours.iter().find(|known| known.address == address && known.device == device.name);
        if let Some(Neighbour { mac, permanent, .. }) = known.cloned() {
            let by = if permanent { Resolution::Permanent } else { Resolution::Cached };
            self.step(at, Event::Resolved { address, device: device.name.clone(), mac, by, also: Vec::new() });
            return Ok(mac);
        }
        let mut answers = Vec::new();
        for (namespace, name) in self.world.neighbourhood(at, &device.name) {
            let Some(there) = self.world.namespaces.get(&namespace) else { continue };
            let Some(interface) = there.interface(&name) else { continue };
            // A host answers for each of its addresses, whichever interface has it (`arp_ignore` 0); for others where it
            // would pass packets on through another interface (`arp_fwd_proxy`).
            let elsewhere = || there.route(address).is_some_and(|route| route.device() != Some(&name));
            if there.owns(address) || interface.proxy_arp && there.forwards && elsewhere() {
                answers.push((namespace, interface.mac));
            }
        }
        let (by, mac) = answers.first().cloned().ok_or_else(nobody)?;
        let also = answers.iter().skip(1).map(|(namespace, _)| namespace.clone()).collect();
        if let Some(here) = self.world.namespaces.get_mut(at) {
            here.replace_neighbour(Neighbour { address, device: device.name.clone(), mac, permanent: false });
        }
        self.step(
            at,
            Event::Resolved { address, device: device.name.clone(), mac, by: Resolution::Asked { by }, also },
        );
        Ok(mac)
    }

    /// A frame leaves through an interface.
    pub(super) fn transmit(&mut self, at: &str, device: &Interface, frame: Frame) -> Ended {
        match &device.kind {
            Kind::Ethernet { wire } => self.over_wire(at, device, wire, frame),
            Kind::Veth { namespace, name } => {
                let end = self.world.namespaces.get(namespace).and_then(|there| there.interface(name)).cloned();
                let Some(end) = end.filter(|end| end.up) else {
                    return Err((at.into(), Reason::Down(device.name.clone())));
                };
                if let Some(reason) = too_long_for(&frame.packet, &end) {
                    return Err((namespace.clone(), reason));
                }
                self.step(at, Event::Left { device: device.name.clone(), to: namespace.clone() });
                self.receive(&namespace.clone(), &end, frame)
            }
            Kind::Bridge => self.bridge(at, device, None, frame),
            Kind::Vxlan { vni, port, local } => self.wrap_vxlan(at, device, (*vni, *port, *local), frame),
            Kind::Program => self.program(at, &device.name, frame.packet, None),
            Kind::Loopback | Kind::Ipip { .. } | Kind::Overlay { .. } => self.ip(at, &device.name, frame.packet, None),
        }
    }

    pub(super) fn over_wire(&mut self, at: &str, device: &Interface, wire: &str, frame: Frame) -> Ended {
        let drop = |reason| Err((at.to_string(), reason));
        let state = self.world.wires.get(wire).cloned().unwrap_or_default();
        let length = piece(&frame.packet, device.mtu);
        if let Some(mtu) = state.mtu.filter(|mtu| length > *mtu) {
            return drop(Reason::TooLongForWire { length, mtu, wire: wire.into() });
        }
        if let Some((of, mtu)) = self.narrow_link(at, length) {
            return drop(Reason::TooLongForWire { length, mtu, wire: format!("the link of {of}") });
        }
        if state.drops_pieces && frame.packet.pieces > 1 {
            return drop(Reason::PiecesDropped { wire: wire.into() });
        }
        let found = self.world.namespaces.iter().find_map(|(name, namespace)| {
            let end = namespace.interfaces.iter().find(|end| {
                let is_on = matches!(&end.kind, Kind::Ethernet { wire: other } if other == wire);
                is_on && end.mac == frame.destination && end.up
            });
            Some((name.clone(), end?.clone()))
        });
        let Some((to, end)) = found else {
            return drop(Reason::NobodyHas { mac: frame.destination, on: wire.into() });
        };
        // Two hosts are apart whether or not there are routers between them.
        let flow = frame.packet.flow;
        let ends = [flow.source.address, flow.destination.address].map(|address| self.world.host_of(address));
        if let [Some(from), Some(to)] = ends
            && self.world.is_apart(&from, &to)
        {
            return drop(Reason::Partition { to });
        }
        if self.world.is_apart(at, &to) {
            return drop(Reason::Partition { to });
        }
        if let Some((of, mtu)) = self.narrow_link(&to, length) {
            return drop(Reason::TooLongForWire { length, mtu, wire: format!("the link of {of}") });
        }
        self.step(at, Event::Left { device: device.name.clone(), to: to.clone() });
        self.receive(&to, &end, frame)
    }

    /// The link of a host to its switch, if it carries less.
    pub(super) fn narrow_link(&self, of: &str, length: u32) -> Option<(String, u32)> {
        let mtu = self.world.links.get(of).copied().filter(|mtu| length > *mtu)?;
        Some((of.into(), mtu))
    }

    /// A frame came through an interface.
    pub(super) fn receive(&mut self, at: &str, interface: &Interface, mut frame: Frame) -> Ended {
        frame.packet.mark = 0;
        if let Some(bridge) = &interface.bridge {
            let bridge = self.interface(at, bridge)?;
            return self.bridge(at, &bridge, Some(&interface.name), frame);
        }
        if frame.destination != interface.mac {
            let reason = Reason::OtherHost { mac: frame.destination, device: interface.name.clone() };
            return Err((at.into(), reason));
        }
        let is_endpoint = |programs: &Programs| programs.endpoints.values().any(|end| end.device == interface.name);
        if self.here(at)?.programs.as_ref().is_some_and(is_endpoint) {
            return self.program_received(at, &interface.name, frame.packet);
        }
        self.ip_received(at, &interface.name, frame.packet)
    }

    /// A bridge passes a frame on, or up to its own host.
    pub(super) fn bridge(&mut self, at: &str, bridge: &Interface, from: Option<&str>, mut frame: Frame) -> Ended {
        if frame.destination == bridge.mac {
            return self.ip_received(at, &bridge.name, frame.packet);
        }
        if from.is_some() && self.here(at)?.bridge_calls_rules && self.here(at)?.is_host {
            self.came = frame.packet.flow;
            let packet = &mut frame.packet;
            let before = packet.flow.destination;
            let mut tracked = self.track(at, packet)?;
            self.rules_at(at, Hook::Prerouting, Some(&bridge.name), None, true, packet, &mut tracked)?;
            if packet.flow.destination != before {
                return self.routed(at, &bridge.name, frame.packet, tracked);
            }
            self.rules_at(at, Hook::Forward, Some(&bridge.name), Some(&bridge.name), true, packet, &mut tracked)?;
            self.rules_at(at, Hook::Postrouting, Some(&bridge.name), Some(&bridge.name), true, packet, &mut tracked)?;
            self.confirm(at, &tracked);
        }
        let here = self.here(at)?;
        let mut ports = here.interfaces.iter().filter(|port| port.bridge.as_deref() == Some(&bridge.name) && port.up);
        let port = ports.find(|port| {
            let ends = match &port.kind {
                Kind::Veth { namespace, name } => vec![(namespace.clone(), name.clone())],
                _ => self.world.neighbourhood(at, &port.name),
            };
            ends.iter().any(|(namespace, name)| {
                let end = self.world.namespaces.get(namespace).and_then(|there| there.interface(name));
                end.is_some_and(|end| end.mac == frame.destination)
            })
        });
        let Some(port) = port.cloned() else {
            return Err((at.into(), Reason::NobodyHas { mac: frame.destination, on: bridge.name.clone() }));
        };
        if from == Some(&port.name) && !port.hairpin {
            return Err((at.into(), Reason::NoHairpin { port: port.name }));
        }
        if let Some(reason) = too_long_for(&frame.packet, &port) {
            return Err((at.into(), reason));
        }
        self.step(at, Event::Bridged { bridge: bridge.name.clone(), port: port.name.clone() });
        self.transmit(at, &port, frame)
    }
}

/// A virtual interface takes no frame that is longer than it could send, and tells nobody.
fn too_long_for(packet: &Packet, end: &Interface) -> Option<Reason> {
    let length = piece(packet, end.mtu);
    let reason = Reason::TooLong { length, mtu: end.mtu, device: end.name.clone(), told: false };
    (length > end.mtu + SLACK).then_some(reason)
}
