//! A world as a Linux kernel has it: which commands make it real, and which lead from one state of it to the next.
//!
//! Nothing is run here. A [`State`] is what a kernel has to hold of a world: network namespaces with links, addresses, routes, neighbours and
//! forwarding entries. [`State::since`] compares two of them, and answers with commands of iproute2. The wires between hosts are
//! bridges in a namespace of their own, so that nothing touches the machine's own network. [`rules`] has the rules of hosts, as
//! text for `iptables-restore`.
//!
//! Two hosts that a world keeps [apart](super::world::World::partition) still reach each other here.

mod change;
mod names;
pub mod rules;
#[cfg(test)]
mod tests;

pub use names::Names;

use super::packet::Mac;
use super::world::{Interface, Kind, Namespace, ReversePath, Route, To, World};
use crate::ipam::cidr::Cidr;
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

/// What a wire carries about which nothing is said.
const WIRE_MTU: u32 = 9000;
/// So much more than its MTU an interface takes from its peer, for the tag of a VLAN (`__is_skb_forwardable`, `include/linux/netdevice.h`).
const VLAN_TAG: u32 = 4;
/// The IPIP interface that each namespace has from the start.
const FALLBACK_IPIP: &str = "tunl0";

/// What a kernel has to hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    namespaces: BTreeMap<String, Net>,
    /// The namespace of the wires.
    switch: String,
}

/// One namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Net {
    /// All but `lo`, by name.
    links: BTreeMap<String, Interface>,
    /// By destination and metric.
    routes: BTreeMap<(Cidr, u32), Route>,
    /// The permanent ones.
    neighbours: BTreeMap<(IpAddr, String), Mac>,
    forwarding: BTreeMap<(Mac, String), IpAddr>,
    /// What `sysctl` sets.
    settings: BTreeMap<&'static str, u8>,
}

/// One command, and what it reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// The lines of its standard input.
    pub lines: Vec<String>,
}

impl Batch {
    /// A command that reads nothing.
    pub fn plain(command: &str) -> Batch {
        Batch { command: command.split(' ').map(str::to_string).collect(), lines: Vec::new() }
    }

    /// Commands for `ip` in a namespace. What fails doesn't stop those after it.
    fn ip(namespace: &str, lines: Vec<String>) -> Batch {
        Batch { lines, ..Batch::plain(&format!("ip -force -n {namespace} -batch -")) }
    }

    /// Commands for `bridge` in a namespace.
    fn bridge(namespace: &str, lines: Vec<String>) -> Batch {
        Batch { lines, ..Batch::plain(&format!("bridge -force -n {namespace} -batch -")) }
    }
}

/// As a shell takes it: names hold nothing that a shell would read otherwise.
impl fmt::Display for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let command = self.command.join(" ");
        match self.lines.as_slice() {
            [] => write!(f, "{command}"),
            lines => write!(f, "{command} <<'.'\n{}\n.", lines.join("\n")),
        }
    }
}

impl State {
    /// What a kernel has to hold of a world.
    ///
    /// # Errors
    ///
    /// Which interface no kernel makes out of tables alone.
    pub fn of(world: &World, names: &Names) -> Result<State, String> {
        let mut namespaces = BTreeMap::new();
        let mut switch = Net { settings: settings(&Namespace::default()), ..Net::default() };
        for wire in world.wires.keys() {
            let bridge = Interface::new("switch", &names::device(wire), Kind::Bridge).with_mtu(WIRE_MTU);
            switch.links.insert(bridge.name.clone(), bridge);
        }
        for (name, there) in &world.namespaces {
            let mut net = Net { settings: settings(there), ..Net::default() };
            for interface in &there.interfaces {
                let kind = match &interface.kind {
                    Kind::Loopback => continue,
                    Kind::Ethernet { wire } => {
                        let (host, plug) = (names.of(name), names::device(&format!("{name}.{}", interface.name)));
                        let kind = Kind::Veth { namespace: host, name: interface.name.clone() };
                        let carries = world.wires.get(wire).and_then(|wire| wire.mtu);
                        let carries = carries.into_iter().chain(world.links.get(name).copied()).min();
                        let mtu = carries.map_or(WIRE_MTU, |mtu| mtu.saturating_sub(VLAN_TAG));
                        let end = Interface::new("switch", &plug, kind).with_mtu(mtu);
                        let end = Interface { bridge: Some(names::device(wire)), ..end };
                        switch.links.insert(plug.clone(), end);
                        Kind::Veth { namespace: names.switch(), name: plug }
                    }
                    Kind::Veth { namespace, name } => Kind::Veth { namespace: names.of(namespace), name: name.clone() },
                    kind @ (Kind::Bridge | Kind::Vxlan { .. } | Kind::Ipip { .. }) => kind.clone(),
                    Kind::Overlay { .. } | Kind::Program => {
                        return Err(format!(
                            "programs handle the packets of {} of {name}, and not tables",
                            interface.name
                        ));
                    }
                };
                net.links.insert(interface.name.clone(), Interface { kind, ..interface.clone() });
            }
            net.fill(there);
            namespaces.insert(names.of(name), net);
        }
        namespaces.insert(names.switch(), switch);
        Ok(State { namespaces, switch: names.switch() })
    }

    /// The names of the namespaces.
    pub fn namespaces(&self) -> impl Iterator<Item = &String> {
        self.namespaces.keys()
    }
}

impl Net {
    /// Takes over what lies behind interfaces that are up. A kernel forgets the rest.
    fn fill(&mut self, there: &Namespace) {
        let is_up = |device: &str| self.links.get(device).is_some_and(|link| link.up);
        let routes = there.routes.iter().filter(|route| route.device().is_none_or(is_up));
        self.routes = routes.map(|route| ((route.destination, route.metric), route.clone())).collect();
        let neighbours = there.neighbours.iter().filter(|entry| entry.permanent && is_up(&entry.device));
        self.neighbours = neighbours.map(|entry| ((entry.address, entry.device.clone()), entry.mac)).collect();
        let forwarding = there.forwarding.iter().filter(|entry| self.links.contains_key(&entry.device));
        self.forwarding = forwarding.map(|entry| ((entry.mac, entry.device.clone()), entry.remote)).collect();
    }
}

/// A new namespace takes some of these from the machine that it is on.
fn settings(there: &Namespace) -> BTreeMap<&'static str, u8> {
    let reverse_path = match there.reverse_path {
        ReversePath::Off => 0,
        ReversePath::Strict => 1,
        ReversePath::Loose => 2,
    };
    let mut settings = BTreeMap::from([
        ("net.ipv4.ip_forward", u8::from(there.forwards)),
        ("net.ipv4.conf.all.rp_filter", reverse_path),
        ("net.ipv4.conf.default.rp_filter", reverse_path),
        // Nobody here has such an address, and what hosts say about theirs is in the way of whoever looks at packets.
        ("net.ipv6.conf.all.disable_ipv6", 1),
        ("net.ipv6.conf.default.disable_ipv6", 1),
        // Where the kernel has no such setting its bridges don't call.
        ("net.bridge.bridge-nf-call-iptables", u8::from(there.bridge_calls_rules)),
    ]);
    if there.is_host && there.forwards {
        // kube-proxy sets it, so that node ports answer at 127.0.0.1 (`pkg/proxy/iptables/proxier.go`).
        settings.insert("net.ipv4.conf.all.route_localnet", 1);
    }
    settings
}

/// As `ip route` takes it.
fn shown(route: &Route) -> String {
    let metric = if route.metric == 0 { String::new() } else { format!(" metric {}", route.metric) };
    match &route.to {
        To::Device(_) => format!("{route} scope link{metric}"),
        _ => format!("{route}{metric}"),
    }
}
