//! What packets walk through: the network namespaces of hosts and pods with their interfaces and tables, and the wires between.

use super::conntrack::Conntrack;
use super::felix::Felix;
use super::packet::{Mac, Protocol};
use crate::ipam::cidr::{Cidr, bits};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

/// How much longer VXLAN makes a packet: Ethernet 14, VXLAN 8, UDP 8, IPv4 20.
pub const VXLAN_OVERHEAD: u32 = 50;
/// How much longer IPIP makes it: one IPv4 header.
pub const IPIP_OVERHEAD: u32 = 20;
/// Where VXLAN is sent unless something else is set; Linux took this port before 4789 was assigned.
pub const VXLAN_PORT: u16 = 8472;

/// An interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Its name within its namespace.
    pub name: String,
    /// Its Ethernet address.
    pub mac: Mac,
    /// The longest packet that it sends.
    pub mtu: u32,
    /// Whether it is up.
    pub up: bool,
    /// Its addresses, each with the prefix of the network that is directly behind it.
    pub addresses: Vec<Cidr>,
    /// The bridge of which it is a port.
    pub bridge: Option<String>,
    /// A bridge may send a frame back through the port that it came from.
    pub hairpin: bool,
    /// It answers for addresses that are reached through other interfaces, as Calico's ends of pods do.
    pub proxy_arp: bool,
    /// What it is.
    pub kind: Kind,
}

/// What an interface is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// `lo`.
    Loopback,
    /// Plugged into a wire.
    Ethernet {
        /// Which wire.
        wire: String,
    },
    /// One end of a pair.
    Veth {
        /// The namespace of the other end.
        namespace: String,
        /// The name of the other end.
        name: String,
    },
    /// A switch in software, with an interface of its own into the host.
    Bridge,
    /// Frames to other hosts within UDP.
    Vxlan {
        /// The identifier of the network.
        vni: u32,
        /// The port.
        port: u16,
        /// The host's address, from which it sends.
        local: IpAddr,
    },
    /// Packets to other hosts within packets.
    Ipip {
        /// The host's address, from which it sends.
        local: IpAddr,
    },
    /// VXLAN without tables of its own: a program says for each packet to which host, and under which identifier.
    Overlay {
        /// The port.
        port: u16,
        /// The host's address, from which it sends.
        local: IpAddr,
    },
    /// What is sent here a program takes, as Cilium's does at `cilium_host`.
    Program,
}

impl Interface {
    /// An interface that is up, with an MTU of 1500.
    pub fn new(namespace: &str, name: &str, kind: Kind) -> Interface {
        Interface {
            name: name.into(),
            mac: Mac::of(&format!("{namespace}/{name}")),
            mtu: if kind == Kind::Loopback { 65536 } else { 1500 },
            up: true,
            addresses: Vec::new(),
            bridge: None,
            hairpin: false,
            proxy_arp: false,
            kind,
        }
    }

    /// The same with one more address.
    pub fn with_address(mut self, address: Cidr) -> Interface {
        self.addresses.push(address);
        self
    }

    /// The same with this MTU.
    pub fn with_mtu(self, mtu: u32) -> Interface {
        Interface { mtu, ..self }
    }
}

/// One line of a routing table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Route {
    /// Which destinations it is for.
    pub destination: Cidr,
    /// What it does with them.
    pub to: To,
    /// Of two routes for the same destinations the one with the smaller metric counts.
    #[serde(default)]
    pub metric: u32,
}

/// What a route does.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum To {
    /// The destination itself is behind this interface.
    Device(String),
    /// This router is, behind this interface.
    Gateway {
        /// The router.
        via: IpAddr,
        /// The interface.
        device: String,
        /// The router counts as being there, though no network of the interface holds it.
        onlink: bool,
    },
    /// The packet vanishes.
    Blackhole,
    /// The packet is refused.
    Unreachable,
}

impl Route {
    /// A route.
    pub fn new(destination: Cidr, to: To) -> Route {
        Route { destination, to, metric: 0 }
    }

    /// Its interface.
    pub fn device(&self) -> Option<&str> {
        match &self.to {
            To::Device(device) | To::Gateway { device, .. } => Some(device),
            To::Blackhole | To::Unreachable => None,
        }
    }
}

/// As `ip route` writes it.
impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Cidr { address, prefix } = self.destination;
        let destination = match prefix {
            0 => "default".to_string(),
            prefix if prefix == bits(address) => address.to_string(),
            _ => self.destination.to_string(),
        };
        match &self.to {
            To::Device(device) => write!(f, "{destination} dev {device}"),
            To::Gateway { via, device, onlink: false } => write!(f, "{destination} via {via} dev {device}"),
            To::Gateway { via, device, onlink: true } => write!(f, "{destination} via {via} dev {device} onlink"),
            To::Blackhole => write!(f, "blackhole {destination}"),
            To::Unreachable => write!(f, "unreachable {destination}"),
        }
    }
}

/// Which Ethernet address an IP address has.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Neighbour {
    /// The IP address.
    pub address: IpAddr,
    /// Behind which interface.
    pub device: String,
    /// The Ethernet address.
    pub mac: Mac,
    /// Somebody has written it there, and nothing is asked; else the kernel has asked and remembers.
    pub permanent: bool,
}

/// Where frames for an Ethernet address go: an entry of a forwarding database.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Forwarding {
    /// The Ethernet address.
    pub mac: Mac,
    /// Which VXLAN interface the entry belongs to.
    pub device: String,
    /// The host that they are sent to.
    pub remote: IpAddr,
}

/// Whether a packet is only taken from where an answer would go (`rp_filter`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReversePath {
    /// From everywhere.
    #[default]
    Off,
    /// Only from the interface to which an answer would go.
    Strict,
    /// From everywhere, if an answer could go anywhere.
    Loose,
}

/// What programs at the interfaces of a host look up (eBPF maps), in place of its tables.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Programs {
    /// The pods of this host: the interface that leads to each.
    pub endpoints: BTreeMap<IpAddr, Endpoint>,
    /// Who and where an address is, by the longest prefix.
    pub ipcache: BTreeMap<Cidr, Place>,
    /// The interface to other hosts; none where routes lead there.
    pub overlay: Option<String>,
}

/// A pod of this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The host's end of its pair.
    pub device: String,
    /// The Ethernet address of the pod's end.
    pub mac: Mac,
    /// Who it is.
    pub identity: u32,
}

/// Who an address is, and on which host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Who.
    pub identity: u32,
    /// The host to which packets are sent through the overlay; none for this host, and where routes lead there.
    pub tunnel: Option<IpAddr>,
}

/// A network stack of its own: a host's, or a pod's.
#[derive(Debug, Clone, Default)]
pub struct Namespace {
    /// Whether it is a host, and not a pod.
    pub is_host: bool,
    /// Its interfaces.
    pub interfaces: Vec<Interface>,
    /// Its routes, but for those that follow from the addresses of interfaces.
    pub routes: Vec<Route>,
    /// Its neighbours.
    pub neighbours: Vec<Neighbour>,
    /// Where its VXLAN interfaces send frames.
    pub forwarding: Vec<Forwarding>,
    /// It passes packets on that are for others (`ip_forward`).
    pub forwards: bool,
    /// From where it takes packets.
    pub reverse_path: ReversePath,
    /// Frames that its bridges pass on are shown to the rules, too (`bridge-nf-call-iptables`).
    pub bridge_calls_rules: bool,
    /// Programs at its interfaces, if there are any.
    pub programs: Option<Programs>,
    /// Calico's programs at its interfaces, if there are any.
    pub felix: Option<Felix>,
    /// Connections that it tracks; a pod's namespace has no rules and tracks nothing.
    pub conntrack: Option<Conntrack>,
    /// What listens there; everything does if there is no list.
    pub listens: Option<BTreeSet<(Protocol, u16)>>,
    /// It sends no ICMP errors, or a filter before it takes them away.
    pub silent: bool,
    /// How long packets to a destination may be, as routers have told it.
    pub path_mtu: BTreeMap<IpAddr, u32>,
}

/// A wire with a switch: what is sent there reaches whoever is plugged in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wire {
    /// A longer packet vanishes: a switch knows nothing of ICMP.
    pub mtu: Option<u32>,
    /// Pieces of packets vanish, as some clouds do it.
    pub drops_pieces: bool,
}

/// Everything that packets walk through.
#[derive(Debug, Clone, Default)]
pub struct World {
    /// Hosts and pods by name; a pod's name is `namespace/name`.
    pub namespaces: BTreeMap<String, Namespace>,
    /// Wires by name.
    pub wires: BTreeMap<String, Wire>,
    /// Hosts whose link to the switch carries less than their interface believes: a longer packet vanishes there.
    pub links: BTreeMap<String, u32>,
    /// What time it is, in seconds.
    pub now: i64,
    /// Pairs of hosts between which nothing gets through, each in the order of names.
    pub partitions: BTreeSet<(String, String)>,
}

impl Namespace {
    /// A host that forwards and tracks connections, with nothing but `lo`.
    pub fn host(name: &str) -> Namespace {
        Namespace {
            is_host: true,
            forwards: true,
            bridge_calls_rules: true,
            conntrack: Some(Conntrack::default()),
            ..Namespace::pod(name)
        }
    }

    /// A pod with nothing but `lo`.
    pub fn pod(name: &str) -> Namespace {
        let loopback = Interface::new(name, "lo", Kind::Loopback);
        let loopback = loopback.with_address(Cidr { address: IpAddr::from([127, 0, 0, 1]), prefix: 8 });
        Namespace { interfaces: vec![loopback], ..Namespace::default() }
    }

    /// An interface by its name.
    pub fn interface(&self, name: &str) -> Option<&Interface> {
        self.interfaces.iter().find(|interface| interface.name == name)
    }

    /// An interface by its name, to be changed.
    pub fn interface_mut(&mut self, name: &str) -> Option<&mut Interface> {
        self.interfaces.iter_mut().find(|interface| interface.name == name)
    }

    /// All its own addresses.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        let up = self.interfaces.iter().filter(|interface| interface.up);
        up.flat_map(|interface| interface.addresses.iter().map(|address| address.address))
    }

    /// Whether an address is its own; all of 127.0.0.0/8 is.
    pub fn owns(&self, address: IpAddr) -> bool {
        address.is_loopback() || self.addresses().any(|own| own == address)
    }

    /// The routes that follow from the addresses of interfaces.
    fn connected(&self) -> impl Iterator<Item = Route> {
        let up = self.interfaces.iter().filter(|interface| interface.up && interface.kind != Kind::Loopback);
        up.flat_map(|interface| {
            let networks = interface.addresses.iter().filter(|cidr| cidr.prefix < bits(cidr.address));
            networks.map(|cidr| {
                let destination = Cidr { address: cidr.first(), ..*cidr };
                Route::new(destination, To::Device(interface.name.clone()))
            })
        })
    }

    /// The route for a destination: the longest prefix, then the smallest metric. Routes of interfaces that are down don't count.
    pub fn route(&self, destination: IpAddr) -> Option<Route> {
        let is_up = |route: &Route| {
            route.device().is_none_or(|name| self.interface(name).is_some_and(|interface| interface.up))
        };
        let all = self.connected().chain(self.routes.iter().cloned());
        let fits = all.filter(|route| route.destination.contains(destination) && is_up(route));
        fits.min_by_key(|route| (u8::MAX - route.destination.prefix, route.metric))
    }

    /// Adds a route, in place of one for the same destinations with the same metric.
    ///
    /// # Errors
    ///
    /// What the kernel refuses: an interface that isn't there or is down, or a router that is not directly behind it
    /// (`fib_check_nh` in `net/ipv4/fib_semantics.c`).
    pub fn replace_route(&mut self, route: Route) -> Result<(), String> {
        if route.destination.address != route.destination.first() {
            return Err(format!("{route}: {} has bits behind its prefix", route.destination));
        }
        if let Some(name) = route.device() {
            let device = self.interface(name).ok_or_else(|| format!("{route}: there is no interface {name}"))?;
            if !device.up {
                return Err(format!("{route}: {name} is down"));
            }
        }
        if let To::Gateway { via, device, onlink } = &route.to {
            if self.owns(*via) {
                return Err(format!("{route}: {via} is the host's own address"));
            }
            let there = self.route(*via).is_some_and(|found| found.to == To::Device(device.clone()));
            if !onlink && !there {
                return Err(format!("{route}: the gateway {via} isn't in a network of {device}, and not onlink"));
            }
        }
        self.routes.retain(|old| (old.destination, old.metric) != (route.destination, route.metric));
        self.routes.push(route);
        Ok(())
    }

    /// Writes a neighbour, in place of what was known of the address.
    pub fn replace_neighbour(&mut self, new: Neighbour) {
        self.neighbours.retain(|old| (old.address, &old.device) != (new.address, &new.device));
        self.neighbours.push(new);
    }

    /// Writes an entry of a forwarding database, in place of what was known of the Ethernet address.
    pub fn replace_forwarding(&mut self, new: Forwarding) {
        self.forwarding.retain(|old| (old.mac, &old.device) != (new.mac, &new.device));
        self.forwarding.push(new);
    }

    /// The address that a packet to a destination leaves with: the first of the interface with the same family, or one of another
    /// interface (`inet_select_addr`). An address in the network of the router comes before the others.
    pub fn source_for(&self, route: &Route, destination: IpAddr) -> Option<IpAddr> {
        let family = |cidr: &&Cidr| cidr.address.is_ipv4() == destination.is_ipv4();
        let next = match &route.to {
            To::Gateway { via, .. } => *via,
            _ => destination,
        };
        let device = route.device().and_then(|name| self.interface(name));
        let own: Vec<&Cidr> = device.iter().flat_map(|device| &device.addresses).filter(family).collect();
        let near = own.iter().find(|cidr| cidr.contains(next)).or(own.first());
        let others = self.interfaces.iter().filter(|interface| interface.kind != Kind::Loopback && interface.up);
        let elsewhere = || others.flat_map(|interface| &interface.addresses).find(family);
        near.copied().or_else(elsewhere).map(|cidr| cidr.address)
    }
}

impl World {
    /// Keeps two hosts apart.
    pub fn partition(&mut self, one: &str, other: &str) {
        self.partitions.insert(pair(one, other));
    }

    /// Lets two hosts reach each other again.
    pub fn heal(&mut self, one: &str, other: &str) {
        self.partitions.remove(&pair(one, other));
    }

    /// Whether nothing gets from one host to another.
    pub fn is_apart(&self, one: &str, other: &str) -> bool {
        self.partitions.contains(&pair(one, other))
    }

    /// Joins two namespaces by a pair of interfaces.
    pub fn add_veth(&mut self, one: (&str, &str), other: (&str, &str), mtu: u32) {
        for ((namespace, name), (to, peer)) in [(one, other), (other, one)] {
            let kind = Kind::Veth { namespace: to.into(), name: peer.into() };
            let interface = Interface::new(namespace, name, kind).with_mtu(mtu);
            if let Some(namespace) = self.namespaces.get_mut(namespace) {
                namespace.interfaces.push(interface);
            }
        }
    }

    /// Takes a namespace away, with the other ends of its interfaces and with the routes through those.
    pub fn remove(&mut self, name: &str) {
        self.namespaces.remove(name);
        for namespace in self.namespaces.values_mut() {
            let gone =
                |interface: &Interface| matches!(&interface.kind, Kind::Veth { namespace, .. } if namespace == name);
            let gone: Vec<String> = namespace.interfaces.iter().filter(|i| gone(i)).map(|i| i.name.clone()).collect();
            namespace.interfaces.retain(|interface| !gone.contains(&interface.name));
            namespace
                .routes
                .retain(|route| route.device().is_none_or(|device| !gone.iter().any(|gone| gone == device)));
            namespace.neighbours.retain(|neighbour| !gone.contains(&neighbour.device));
        }
    }
}

fn pair(one: &str, other: &str) -> (String, String) {
    let (first, second) = if one < other { (one, other) } else { (other, one) };
    (first.into(), second.into())
}
