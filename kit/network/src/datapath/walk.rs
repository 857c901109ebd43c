//! How a packet goes: what a Linux host does with it, in the kernel's order.
//!
//! In: bridge, `PREROUTING` with connection tracking and the translation of destinations, the check of the way back, routing; then either
//! `INPUT` and whoever listens, or the checks of a router, `FORWARD`, `POSTROUTING` and out. Sources: `net/ipv4/ip_input.c`,
//! `ip_forward.c`, `ip_output.c`, `route.c`, `net/bridge`, `drivers/net/vxlan/vxlan_core.c`, `net/ipv4/ip_tunnel.c`.

mod felix;
mod link;
mod programs;
mod tracking;
mod tunnels;

use super::conntrack::Direction;
use super::packet::{Content, Flow, Icmp, Packet, Protocol};
use super::rules::{Hook, Netfilter};
use super::trace::{Event, Outcome, Reason, Step, Walk};
use super::world::{Interface, Kind, Namespace, ReversePath, Route, To, World};
use std::net::IpAddr;
use tracking::Tracked;

/// So deep may packets lie in packets before the kernel takes it for a loop (`XMIT_RECURSION_LIMIT` in `net/core/dev.h`).
const DEEPEST: usize = 8;
/// Who a host is to programs that ask for identities (Cilium's reserved identity `host`).
const HOST_IDENTITY: u32 = 1;

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
