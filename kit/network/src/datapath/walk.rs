//! How a packet goes: what a Linux host does with it, in the kernel's order.
//!
//! In: bridge, `PREROUTING` with connection tracking and the translation of destinations, the check of the way back, routing; then either
//! `INPUT` and whoever listens, or the checks of a router, `FORWARD`, `POSTROUTING` and out. Sources: `net/ipv4/ip_input.c`,
//! `ip_forward.c`, `ip_output.c`, `route.c`, `net/bridge`, `drivers/net/vxlan/vxlan_core.c`, `net/ipv4/ip_tunnel.c`.

mod felix;
mod programs;
mod tunnels;

use super::conntrack::{Connection, Direction, State};
use super::packet::{Content, End, Flow, Frame, Icmp, Mac, Packet, Protocol};
use super::rules::{At, Hook, Nat, Netfilter, Ruling, Verdict};
use super::trace::{Event, Outcome, Reason, Resolution, Step, Walk};
use super::world::{Interface, Kind, Namespace, Neighbour, Programs, ReversePath, Route, To, World};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// So deep may packets lie in packets before the kernel takes it for a loop (`XMIT_RECURSION_LIMIT` in `net/core/dev.h`).
const DEEPEST: usize = 8;
/// Who a host is to programs that ask for identities (Cilium's reserved identity `host`).
const HOST_IDENTITY: u32 = 1;
/// How much longer than its MTU a virtual interface lets frames be: the tag of a VLAN (`is_skb_forwardable`).
const SLACK: u32 = 4;

/// What a packet has with it while it is in one namespace.
#[derive(Debug, Clone)]
struct Tracked {
    connection: Connection,
    direction: Direction,
    state: State,
}

struct Walker<'a> {
    world: &'a mut World,
    rules: &'a mut dyn Netfilter,
    steps: Vec<Step>,
    /// As it was sent, once it has a source.
    sent: Option<Flow>,
    /// The packet as it came to the host where it is, before anything there translated it.
    came: Flow,
    /// What has to be sent back, and from which host.
    complaint: Option<(String, Packet)>,
}

/// How a packet ended, or where and why it went no further.
type Ended = Result<Outcome, (String, Reason)>;

impl World {
    /// Lets a packet go from a host or a pod, and follows it. What the network learns on its way stays: connections, neighbours that were asked,
    /// how long packets may be.
    pub fn walk(&mut self, from: &str, packet: Packet, rules: &mut dyn Netfilter) -> Walk {
        self.walk_from(from, packet, rules, 0)
    }

    fn walk_from(&mut self, from: &str, packet: Packet, rules: &mut dyn Netfilter, depth: u8) -> Walk {
        let length = packet.length;
        let mut walker =
            Walker { world: self, rules, steps: Vec::new(), sent: None, came: packet.flow, complaint: None };
        let asked = packet.flow;
        let outcome = match walker.output(from, packet) {
            Ok(outcome) => outcome,
            Err((at, reason)) => {
                walker.step(&at, Event::Dropped { reason: reason.clone() });
                Outcome::Dropped { at, reason }
            }
        };
        let Walker { steps, complaint, sent, .. } = walker;
        let flow = sent.unwrap_or(asked);
        // An error is never answered by an error (RFC 1122, 3.2.2).
        let complaint = complaint.filter(|_| depth == 0);
        let answer = complaint.map(|(host, packet)| Box::new(self.walk_from(&host, packet, rules, depth + 1)));
        Walk { from: from.into(), flow, length, steps, outcome, answer }
    }

    /// A packet and the answer to it, as long as the question.
    pub fn exchange(&mut self, from: &str, packet: Packet, rules: &mut dyn Netfilter) -> (Walk, Option<Walk>) {
        let answer = Packet { mark: 0, pieces: 1, ttl: 64, ..packet.clone() };
        let there = self.walk(from, packet, rules);
        let back = match &there.outcome {
            Outcome::Delivered { to, flow, .. } => {
                let to = to.clone();
                let answer = Packet { flow: flow.reversed(), ..answer };
                Some(self.walk(&to, answer, rules))
            }
            Outcome::Dropped { .. } => None,
        };
        (there, back)
    }

    /// The interfaces that a frame to everybody reaches, and the host whose network keeps it from others.
    fn neighbourhood(&self, namespace: &str, device: &str) -> Vec<(String, String)> {
        let mut seen = BTreeSet::new();
        let mut reached = Vec::new();
        self.flood(namespace, device, &mut seen, &mut reached);
        reached
    }

    fn flood(
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

    /// The host that has an address, or whose pod has it.
    fn host_of(&self, address: IpAddr) -> Option<String> {
        let (name, owner) =
            self.namespaces.iter().find(|(_, namespace)| namespace.addresses().any(|own| own == address))?;
        if owner.is_host {
            return Some(name.clone());
        }
        owner.interfaces.iter().find_map(|interface| match &interface.kind {
            Kind::Veth { namespace, .. } => Some(namespace.clone()),
            _ => None,
        })
    }

    /// The other interfaces on a wire that can be reached from a host.
    fn plugged_in(&self, wire: &str, from: &str, device: &str) -> Vec<(String, String)> {
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
    fn step(&mut self, namespace: &str, event: Event) {
        self.steps.push(Step { namespace: namespace.into(), event });
    }

    fn here(&self, namespace: &str) -> Result<&Namespace, (String, Reason)> {
        self.world.namespaces.get(namespace).ok_or_else(|| (namespace.into(), Reason::NoSuchNamespace))
    }

    fn interface(&self, namespace: &str, device: &str) -> Result<Interface, (String, Reason)> {
        let interface = self.here(namespace)?.interface(device).filter(|interface| interface.up).cloned();
        interface.ok_or_else(|| (namespace.into(), Reason::Down(device.into())))
    }

    /// A process sends.
    fn output(&mut self, at: &str, mut packet: Packet) -> Ended {
        let drop = |reason| Err((at.to_string(), reason));
        self.at_connect(at, &mut packet);
        let destination = packet.flow.destination.address;
        let route = match self.route(at, destination) {
            Ok(route) => route,
            Err(reason) => return drop(reason),
        };
        if packet.flow.source.address.is_unspecified() {
            let here = self.here(at)?;
            let source = match &route {
                Some(route) => here.source_for(route, destination),
                None => Some(destination),
            };
            match source {
                Some(source) => packet.flow.source.address = source,
                None => return drop(Reason::NoSource),
            }
        }
        self.sent.get_or_insert(packet.flow);
        self.came = packet.flow;
        let mut tracked = self.track(at, &packet)?;
        self.felix_sent(at, &packet, &mut tracked)?;
        let output = route.as_ref().and_then(Route::device).unwrap_or("lo").to_string();
        self.rules_at(at, Hook::Output, None, Some(&output), false, &mut packet, &mut tracked)?;
        let route = match self.route(at, packet.flow.destination.address) {
            Ok(route) => route,
            Err(reason) => return drop(reason),
        };
        let Some(route) = route else {
            self.postrouting(at, None, "lo", &mut packet, &mut tracked)?;
            return self.ip(at, "lo", packet, tracked);
        };
        self.step(at, Event::Routed { route: route.clone() });
        let device = self.interface(at, route.device().unwrap_or("lo"))?;
        let told = self.here(at)?.path_mtu.get(&packet.flow.destination.address).copied();
        let mtu = told.unwrap_or(device.mtu).min(device.mtu);
        if packet.length > mtu {
            if packet.dont_fragment {
                return drop(Reason::MessageTooLong { length: packet.length, mtu });
            }
            self.cut(at, &mut packet, mtu);
        }
        self.postrouting(at, None, &device.name, &mut packet, &mut tracked)?;
        self.send(at, &device, &route, packet)
    }

    fn cut(&mut self, at: &str, packet: &mut Packet, mtu: u32) {
        // All but the last piece hold a multiple of 8 bytes behind a header of 20 (RFC 791).
        let room = (mtu.saturating_sub(20) / 8 * 8).max(8);
        packet.pieces = packet.length.saturating_sub(20).div_ceil(room).max(packet.pieces);
        self.step(at, Event::Cut { mtu, pieces: packet.pieces });
    }

    /// The route for a destination; none if it is the host itself.
    fn route(&self, at: &str, destination: IpAddr) -> Result<Option<Route>, Reason> {
        let Some(here) = self.world.namespaces.get(at) else { return Err(Reason::NoSuchNamespace) };
        if here.owns(destination) {
            return Ok(None);
        }
        let route = here.route(destination).ok_or(Reason::NoRoute(destination))?;
        match route.to {
            To::Blackhole => Err(Reason::Blackhole(route)),
            To::Unreachable => Err(Reason::Unreachable(route)),
            _ => Ok(Some(route)),
        }
    }

    /// Finds or begins the connection of a packet, on hosts that track any.
    fn track(&mut self, at: &str, packet: &Packet) -> Result<Option<Tracked>, (String, Reason)> {
        let Some(conntrack) = self.world.namespaces.get_mut(at).and_then(|here| here.conntrack.as_mut()) else {
            return Ok(None);
        };
        if let Content::Error(_, about) = &packet.content {
            // The packet that it is about went the other way.
            let Some((connection, direction)) = conntrack.find(about.reversed()) else { return Ok(None) };
            let connection = connection.clone();
            return Ok(Some(Tracked { connection, direction, state: State::Related }));
        }
        if let Some((connection, direction)) = conntrack.find(packet.flow) {
            let mut connection = connection.clone();
            connection.is_answered |= direction == Direction::Reply;
            let state = if connection.is_answered { State::Established } else { State::New };
            conntrack.confirm(&connection);
            return Ok(Some(Tracked { connection, direction, state }));
        }
        if !conntrack.has_room() {
            return Err((at.into(), Reason::ConntrackFull { max: conntrack.max }));
        }
        Ok(Some(Tracked {
            connection: Connection::new(packet.flow),
            direction: Direction::Original,
            state: State::New,
        }))
    }

    /// Asks the rules at one place, and translates as they or the connection say.
    #[allow(clippy::too_many_arguments)]
    fn rules_at(
        &mut self,
        at: &str,
        hook: Hook,
        input: Option<&str>,
        output: Option<&str>,
        is_bridged: bool,
        packet: &mut Packet,
        tracked: &mut Option<Tracked>,
    ) -> Result<(), (String, Reason)> {
        let here = self.here(at)?;
        if !here.is_host {
            return Ok(());
        }
        let own: Vec<IpAddr> = here.addresses().collect();
        let state = tracked.as_ref().map_or(State::Untracked, |tracked| tracked.state);
        let begins = tracked.as_ref().is_some_and(|tracked| {
            state == State::New
                && here.conntrack.as_ref().is_some_and(|all| all.find(tracked.connection.original).is_none())
        });
        // A second packet of a connection that has no answer yet is new to rules, but its translation stands.
        let asked = At { host: at, hook, input, output, state, asks_nat: begins, own: &own, is_bridged };
        let Ruling { verdict, mark, nat, trace } = self.rules.ask(&asked, packet);
        let marked = (mark != packet.mark).then_some(mark);
        packet.mark = mark;
        if !trace.is_empty() || marked.is_some() {
            self.step(at, Event::Rules { hook, trace, mark: marked });
        }
        match verdict {
            Verdict::Accept => {}
            Verdict::Drop => return Err((at.into(), Reason::Rules(hook))),
            Verdict::Reject(icmp) => {
                self.complain(at, packet, icmp);
                return Err((at.into(), Reason::Refused(hook, icmp)));
            }
            Verdict::Reset => {
                self.reset(at);
                return Err((at.into(), Reason::Reset(hook)));
            }
        }
        let Some(tracked) = tracked else { return Ok(()) };
        let destination = matches!(hook, Hook::Prerouting | Hook::Output);
        if let Some(nat) = nat.filter(|nat| begins && destination == matches!(nat, Nat::Destination { .. })) {
            let masquerade = output.and_then(|output| {
                let route = self.route(at, packet.flow.destination.address).ok().flatten();
                let route = route.unwrap_or_else(|| {
                    Route::new(host_cidr(packet.flow.destination.address), To::Device(output.into()))
                });
                self.here(at).ok()?.source_for(&route, packet.flow.destination.address)
            });
            if let Some(conntrack) = self.world.namespaces.get(at).and_then(|here| here.conntrack.as_ref()) {
                conntrack.translate(&mut tracked.connection, nat, masquerade);
            }
        }
        if hook == Hook::Forward {
            return Ok(());
        }
        let (now, to) = if destination {
            (packet.flow.destination, tracked.connection.destination(tracked.direction))
        } else {
            (packet.flow.source, tracked.connection.source(tracked.direction))
        };
        let mut to = to;
        if let Content::Error(_, about) = &mut packet.content {
            // The router that complains keeps its own address; what it complains about is put back, too.
            if destination {
                about.source = End { ..to };
                to.port = 0;
            } else {
                about.destination = to;
                return Ok(());
            }
        }
        if now != to {
            if destination {
                packet.flow.destination = to
            } else {
                packet.flow.source = to
            }
            if packet.flow.protocol == Protocol::Icmp && packet.content == Content::Data {
                packet.flow.destination.port = 0;
            }
            self.step(at, Event::Translated { hook, destination, follows: !begins, from: now, to });
        }
        Ok(())
    }

    fn confirm(&mut self, at: &str, tracked: &Option<Tracked>) {
        let Some(tracked) = tracked else { return };
        if let Some(conntrack) = self.world.namespaces.get_mut(at).and_then(|here| here.conntrack.as_mut()) {
            conntrack.confirm(&tracked.connection);
        }
    }

    fn postrouting(
        &mut self,
        at: &str,
        input: Option<&str>,
        output: &str,
        packet: &mut Packet,
        tracked: &mut Option<Tracked>,
    ) -> Result<(), (String, Reason)> {
        self.rules_at(at, Hook::Postrouting, input, Some(output), false, packet, tracked)?;
        self.confirm(at, tracked);
        Ok(())
    }

    /// Tells the sender of a packet that it went no further.
    fn complain(&mut self, at: &str, packet: &Packet, icmp: Icmp) {
        let silent = self.world.namespaces.get(at).is_none_or(|here| here.silent);
        if silent || matches!(packet.content, Content::Error(..)) {
            return;
        }
        let unspecified = match packet.flow.source.address {
            IpAddr::V4(_) => IpAddr::from([0_u8; 4]),
            IpAddr::V6(_) => IpAddr::from([0_u16; 8]),
        };
        let flow = Flow::new(Protocol::Icmp, (unspecified, 0), (self.came.source.address, 0));
        let content = Content::Error(icmp, self.came);
        let answer = Packet { length: 88, content, ..Packet::new(flow) };
        self.complaint = Some((at.into(), answer));
    }

    fn reset(&mut self, at: &str) {
        let answer = Packet { length: 40, content: Content::Reset, ..Packet::new(self.came.reversed()) };
        self.complaint = Some((at.into(), answer));
    }

    /// Sends through an interface, to the next address of a route.
    fn send(&mut self, at: &str, device: &Interface, route: &Route, packet: Packet) -> Ended {
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
    fn resolve(&mut self, at: &str, device: &Interface, address: IpAddr) -> Result<Mac, Reason> {
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
    fn transmit(&mut self, at: &str, device: &Interface, frame: Frame) -> Ended {
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

    fn over_wire(&mut self, at: &str, device: &Interface, wire: &str, frame: Frame) -> Ended {
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
    fn narrow_link(&self, of: &str, length: u32) -> Option<(String, u32)> {
        let mtu = self.world.links.get(of).copied().filter(|mtu| length > *mtu)?;
        Some((of.into(), mtu))
    }

    /// A frame came through an interface.
    fn receive(&mut self, at: &str, interface: &Interface, mut frame: Frame) -> Ended {
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
    fn bridge(&mut self, at: &str, bridge: &Interface, from: Option<&str>, mut frame: Frame) -> Ended {
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

    /// A packet came in.
    fn ip_received(&mut self, at: &str, input: &str, packet: Packet) -> Ended {
        if self.here(at)?.felix.is_some() {
            return self.felix_received(at, input, packet, None);
        }
        self.came = packet.flow;
        let tracked = self.track(at, &packet)?;
        self.ip(at, input, packet, tracked)
    }

    fn ip(&mut self, at: &str, input: &str, mut packet: Packet, mut tracked: Option<Tracked>) -> Ended {
        self.rules_at(at, Hook::Prerouting, Some(input), None, false, &mut packet, &mut tracked)?;
        self.routed(at, input, packet, tracked)
    }

    /// Decides where a packet goes that came in, and whether it may come from where it came from.
    fn routed(&mut self, at: &str, input: &str, packet: Packet, tracked: Option<Tracked>) -> Ended {
        let drop = |reason| Err((at.to_string(), reason));
        let here = self.here(at)?;
        let source = packet.flow.source.address;
        if input != "lo" {
            if here.owns(source) {
                return drop(Reason::Martian { source });
            }
            let back = here.route(source);
            let is_fine = match here.reverse_path {
                ReversePath::Off => true,
                ReversePath::Loose => back.is_some(),
                ReversePath::Strict => back.is_some_and(|route| route.device() == Some(input)),
            };
            if !is_fine {
                return drop(Reason::ReversePath { source, device: input.into() });
            }
        }
        match self.route(at, packet.flow.destination.address) {
            Ok(None) => self.input(at, input, packet, tracked),
            Ok(Some(route)) => self.forward(at, input, &route, packet, tracked),
            Err(reason) => {
                if !self.here(at)?.forwards {
                    return drop(Reason::NotForwarding);
                }
                match reason {
                    Reason::Blackhole(_) => {}
                    Reason::Unreachable(_) => self.complain(at, &packet, Icmp::HostUnreachable),
                    _ => self.complain(at, &packet, Icmp::NetUnreachable),
                }
                drop(reason)
            }
        }
    }

    /// A host passes a packet on.
    fn forward(
        &mut self,
        at: &str,
        input: &str,
        route: &Route,
        mut packet: Packet,
        mut tracked: Option<Tracked>,
    ) -> Ended {
        let drop = |reason| Err((at.to_string(), reason));
        if !self.here(at)?.forwards {
            return drop(Reason::NotForwarding);
        }
        self.step(at, Event::Routed { route: route.clone() });
        if packet.ttl <= 1 {
            self.complain(at, &packet, Icmp::TimeExceeded);
            return drop(Reason::TimeExceeded);
        }
        packet.ttl -= 1;
        let device = self.interface(at, route.device().unwrap_or("lo"))?;
        let length = piece(&packet, device.mtu);
        if length > device.mtu {
            if packet.dont_fragment {
                let told = !self.here(at)?.silent;
                self.complain(at, &packet, Icmp::FragmentationNeeded(device.mtu));
                let device = device.name;
                return drop(Reason::TooLong { length, mtu: self.interface(at, &device)?.mtu, device, told });
            }
            self.cut(at, &mut packet, device.mtu);
        }
        self.rules_at(at, Hook::Forward, Some(input), Some(&device.name), false, &mut packet, &mut tracked)?;
        self.postrouting(at, Some(input), &device.name, &mut packet, &mut tracked)?;
        self.send(at, &device, route, packet)
    }

    /// A packet is for the host itself.
    fn input(&mut self, at: &str, input: &str, mut packet: Packet, mut tracked: Option<Tracked>) -> Ended {
        self.rules_at(at, Hook::Input, Some(input), None, false, &mut packet, &mut tracked)?;
        self.confirm(at, &tracked);
        let flow = packet.flow;
        match packet.content {
            Content::Vxlan { vni, frame } => self.unwrap_vxlan(at, flow, vni, *frame),
            Content::Packet(inner) => {
                let here = self.here(at)?;
                let tunnel =
                    here.interfaces.iter().find(|device| device.up && matches!(device.kind, Kind::Ipip { .. }));
                let Some(device) = tunnel.map(|device| device.name.clone()) else {
                    return Err((at.into(), Reason::NoTunnel("ipip".into())));
                };
                self.step(at, Event::Unwrapped { device: device.clone(), vni: None });
                self.ip_received(at, &device, Packet { mark: 0, ..*inner })
            }
            content => {
                if let (Content::Error(Icmp::FragmentationNeeded(mtu), about), Some(here)) =
                    (&content, self.world.namespaces.get_mut(at))
                {
                    let known = here.path_mtu.entry(about.destination.address).or_insert(*mtu);
                    *known = (*known).min(*mtu);
                }
                let listens = &self.here(at)?.listens;
                let port = (flow.protocol, flow.destination.port);
                let is_asked = content == Content::Data && flow.protocol != Protocol::Icmp;
                let is_reply = tracked.is_some_and(|tracked| tracked.direction == Direction::Reply);
                if is_asked && !is_reply && listens.as_ref().is_some_and(|listens| !listens.contains(&port)) {
                    let packet = Packet { content, ..packet };
                    match flow.protocol {
                        Protocol::Tcp => self.reset(at),
                        _ => self.complain(at, &packet, Icmp::PortUnreachable),
                    }
                    return Err((at.into(), Reason::NobodyListens(flow.destination)));
                }
                self.step(at, Event::Delivered { flow });
                Ok(Outcome::Delivered { to: at.into(), flow, pieces: packet.pieces })
            }
        }
    }
}

/// How long the longest piece of a packet is.
fn piece(packet: &Packet, mtu: u32) -> u32 {
    if packet.pieces > 1 { packet.length.min(mtu) } else { packet.length }
}

/// A virtual interface takes no frame that is longer than it could send, and tells nobody.
fn too_long_for(packet: &Packet, end: &Interface) -> Option<Reason> {
    let length = piece(packet, end.mtu);
    let reason = Reason::TooLong { length, mtu: end.mtu, device: end.name.clone(), told: false };
    (length > end.mtu + SLACK).then_some(reason)
}

fn host_cidr(address: IpAddr) -> crate::ipam::cidr::Cidr {
    crate::ipam::cidr::Cidr { address, prefix: crate::ipam::cidr::bits(address) }
}
