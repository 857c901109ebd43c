//! A node's part of the pod network: addresses for its pods, and the way to the pods of other nodes.
//!
//! Sources: flannel's `pkg/backend/vxlan/{vxlan,vxlan_network}.go`, `pkg/backend/hostgw/hostgw.go` and `pkg/backend/ipip/ipip.go`; its CNI plugin
//! `flannel_linux.go`, which delegates to `bridge` and `host-local` of containernetworking/plugins; for tunnels across subnets only also
//! Calico's `ipipMode: CrossSubnet`.

use crate::Show;
use crate::show::unordered;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

// ANCHOR: contract
contract! {
    /// What a network plugin does on one node.
    pub trait PodNetwork {
        /// Gives a pod of this node its address (the CNI verb ADD).
        ///
        /// **Gateway.** The first address of the node's range after the range's own (`10.244.1.1` of `10.244.1.0/24`) is the bridge's, through
        /// which pods leave. It is given to no pod.
        ///
        /// **Address.** The next one after `last` that isn't in `used`; after the last address that can be given the search goes
        /// on from the first. The range's own address and its last one, which is for broadcasts, are given to no pod. Without
        /// `last`, or with one that is not in the range, the search begins at the first. The pod gets the address with the prefix of the range.
        ///
        /// **MTU.** What the node's interface carries, less what the backend adds: 50 bytes for VXLAN (Ethernet 14, IPv4 20, UDP 8,
        /// VXLAN 8), 20 for IPIP (IPv4), nothing for host-gw. It is the same for all pods, so a tunnel counts
        /// even if some nodes are reached without it.
        ///
        /// **Routes.** The pod's routes, both through the gateway: one to the network of all pods, and the default.
        ///
        /// A node without a range can't give addresses.
        fn attach(&self, request: &AttachRequest) -> Result<Attachment, Refusal>;

        /// Brings the tables of the node in line with the other nodes. Whoever applies the changes does it one by one, in the order of the answer.
        ///
        /// **Direct.** With host-gw, and to a node whose address lies in `node.subnet` also with `direct: true`: one route, to the
        /// other node's range `via` its address, on `eth0`, not `onlink`. With host-gw a node elsewhere can't be reached,
        /// and has no route: the kernel takes no gateway that isn't next door.
        ///
        /// **VXLAN.** Three entries on `flannel.1`: a route to the other node's range `via` the range's own address (`10.244.2.0`), `onlink`; a
        /// neighbour, which says that this address has the other node's `mac`; and a forwarding entry, which says that frames
        /// for this `mac` go to the other node's address.
        ///
        /// **IPIP.** One route on `tunl0`: to the other node's range `via` its address, `onlink`. There are no frames, so there are no other entries.
        ///
        /// **Who is left out.** A node without a range; with VXLAN also one without a `mac` where the tunnel would be needed: its agent hasn't
        /// said yet which one it has.
        ///
        /// **What is the agent's own.** Routes whose destination lies within `network.pods`, but for the node's own range; all
        /// neighbours and forwarding entries on `flannel.1`. What of these isn't wanted is deleted. Everything else
        /// is somebody else's and stays.
        ///
        /// **As few as possible.** An entry that is right isn't written again, and one that is wrong is written over and not deleted first.
        /// There is one route to a destination, one neighbour with an address, one forwarding entry for a `mac`.
        ///
        /// **Order.** At no moment may a route lead to `flannel.1` whose neighbour, or the forwarding entry of this neighbour's `mac`, isn't there: packets
        /// would be lost, or worse, go to a node that isn't meant any more.
        fn sync(&self, request: &SyncRequest) -> Vec<Change>;
    }
}

/// A network in CIDR notation, as text: `10.244.1.0/24`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cidr {
    /// The network's own address; of [`Attachment::address`] the pod's.
    pub address: Ipv4Addr,
    /// How many bits all addresses of the network share, at most 32.
    pub prefix: u8,
}

impl Cidr {
    /// The first address of the network, which is its own.
    pub fn first(self) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.address) & self.mask())
    }

    /// The last one, which is for broadcasts.
    pub fn last(self) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.address) | !self.mask())
    }

    /// Whether an address is one of the network's.
    pub fn contains(self, address: Ipv4Addr) -> bool {
        (self.first()..=self.last()).contains(&address)
    }

    /// Whether all addresses of another network are.
    pub fn covers(self, other: Cidr) -> bool {
        self.prefix <= other.prefix && self.contains(other.address)
    }

    fn mask(self) -> u32 {
        u32::MAX.checked_shl(32 - u32::from(self.prefix.min(32))).unwrap_or(0)
    }
}

/// A node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// The address of its interface `eth0`.
    pub address: Ipv4Addr,
    /// The network there. Whoever is in it is next door.
    pub subnet: Cidr,
    /// The MTU of `eth0`.
    #[serde(default = "ethernet")]
    pub mtu: u32,
    /// The range for its pods (`spec.podCIDR`), with a prefix of at most 30; none until the controller has given it one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<Cidr>,
    /// The Ethernet address of its VXLAN interface, in lower case (`VtepMAC` in the annotation `flannel.alpha.coreos.com/backend-data`); none until
    /// its agent has written it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
}

/// What is the same on all nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// All pods' addresses, of which each node's range is a part.
    pub pods: Cidr,
    /// How packets get from node to node.
    pub backend: Backend,
}

/// How packets get from node to node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Backend {
    /// As frames within UDP.
    Vxlan {
        /// But as they are to nodes next door (flannel's `DirectRouting`, Calico's `CrossSubnet`).
        #[serde(default)]
        direct: bool,
    },
    /// As packets within packets.
    Ipip {
        /// But as they are to nodes next door.
        #[serde(default)]
        direct: bool,
    },
    /// As they are.
    HostGw,
}

/// A pod wants an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttachRequest {
    /// This node.
    pub node: Node,
    /// The network.
    pub network: Network,
    /// The addresses that pods of this node have, in any order; some may be of a range that it had before.
    #[serde(default)]
    pub used: Vec<Ipv4Addr>,
    /// The address that was given last, perhaps to a pod that is gone; none if there was no pod yet. The node may have
    /// had another range then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Ipv4Addr>,
}

/// What a pod gets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attachment {
    /// Its address, with the prefix of the range.
    pub address: Cidr,
    /// The bridge's address.
    pub gateway: Ipv4Addr,
    /// The longest packet that it may send.
    pub mtu: u32,
    /// Its routes, in any order.
    pub routes: Vec<PodRoute>,
}

/// A route of a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PodRoute {
    /// Which destinations it is for; `0.0.0.0/0` for all.
    pub destination: Cidr,
    /// The router.
    pub via: Ipv4Addr,
}

/// Why a pod gets no address. kubelet makes an event `FailedCreatePodSandBox` of it, and tries again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// The node has no range yet.
    NoRange,
    /// All addresses of the range are used.
    NoAddress,
}

/// The nodes as the API shows them now, and the tables as the kernel has them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SyncRequest {
    /// This node.
    pub node: Node,
    /// All others, in the order of their names.
    pub others: Vec<Node>,
    /// The network.
    pub network: Network,
    /// What the kernel has.
    #[serde(default)]
    pub tables: Tables,
}

/// What the kernel of a node knows about the way to others.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tables {
    /// `ip route`, without what follows from the addresses of interfaces.
    #[serde(default)]
    pub routes: Vec<Route>,
    /// `ip neighbour`, the permanent ones.
    #[serde(default)]
    pub neighbours: Vec<Neighbour>,
    /// `bridge fdb`.
    #[serde(default)]
    pub forwarding: Vec<Forwarding>,
}

/// Where packets for some destinations go.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// The destinations.
    pub destination: Cidr,
    /// The next router.
    pub via: Ipv4Addr,
    /// The interface.
    pub device: String,
    /// The router counts as next door, though no network of the interface holds it.
    #[serde(default)]
    pub onlink: bool,
}

/// Which Ethernet address an IP address has.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Neighbour {
    /// The IP address.
    pub address: Ipv4Addr,
    /// The interface.
    pub device: String,
    /// The Ethernet address.
    pub mac: String,
}

/// To which node frames for an Ethernet address are sent.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Forwarding {
    /// The Ethernet address.
    pub mac: String,
    /// The interface.
    pub device: String,
    /// The node.
    pub remote: Ipv4Addr,
}

/// One change of a table. What is set takes the place of the entry with the same key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Sets the route to a destination.
    SetRoute(Route),
    /// Sets the neighbour with an address on an interface.
    SetNeighbour(Neighbour),
    /// Sets the forwarding entry for an Ethernet address on an interface.
    SetForwarding(Forwarding),
    /// Deletes a route.
    DeleteRoute(Route),
    /// Deletes a neighbour.
    DeleteNeighbour(Neighbour),
    /// Deletes a forwarding entry.
    DeleteForwarding(Forwarding),
}
// ANCHOR_END: contract

fn ethernet() -> u32 {
    1500
}

impl FromStr for Cidr {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no network in CIDR notation, such as 10.244.1.0/24");
        let (address, prefix) = text.split_once('/').ok_or_else(wrong)?;
        let address = address.parse().map_err(|_| wrong())?;
        let prefix = prefix.parse().ok().filter(|prefix| *prefix <= 32).ok_or_else(wrong)?;
        Ok(Cidr { address, prefix })
    }
}

impl TryFrom<String> for Cidr {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Cidr> for String {
    fn from(cidr: Cidr) -> String {
        cidr.to_string()
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Route { destination, via, device, onlink } = self;
        write!(f, "route {destination} via {via} dev {}", device.escape_debug())?;
        f.write_str(if *onlink { " onlink" } else { "" })
    }
}

impl fmt::Display for Neighbour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mac, device) = (self.mac.escape_debug(), self.device.escape_debug());
        write!(f, "neighbour {} lladdr {mac} dev {device}", self.address)
    }
}

impl fmt::Display for Forwarding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "fdb {} dst {} dev {}", self.mac.escape_debug(), self.remote, self.device.escape_debug())
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::SetRoute(route) => write!(f, "set {route}"),
            Change::SetNeighbour(neighbour) => write!(f, "set {neighbour}"),
            Change::SetForwarding(forwarding) => write!(f, "set {forwarding}"),
            Change::DeleteRoute(route) => write!(f, "delete {route}"),
            Change::DeleteNeighbour(neighbour) => write!(f, "delete {neighbour}"),
            Change::DeleteForwarding(forwarding) => write!(f, "delete {forwarding}"),
        }
    }
}

impl Show for Attachment {
    fn lines(&self) -> Vec<String> {
        let mut routes = self.routes.clone();
        routes.sort();
        let routes = routes.iter().map(|PodRoute { destination, via }| format!("route {destination} via {via}"));
        let address = format!("address {}, gateway {}, MTU {}", self.address, self.gateway, self.mtu);
        std::iter::once(address).chain(routes).collect()
    }
    fn meaning(&self) -> String {
        format!("{} {} {} {}", self.address, self.gateway, self.mtu, unordered(&self.routes))
    }
}

impl Show for Refusal {
    fn lines(&self) -> Vec<String> {
        let text = match self {
            Refusal::NoRange => "the node has no range",
            Refusal::NoAddress => "no address is left",
        };
        vec![text.into()]
    }
}

/// The order is not compared here: there are several right ones, and a cluster in which packets walk tells them from the wrong ones.
impl Show for Vec<Change> {
    fn lines(&self) -> Vec<String> {
        let mut changes: Vec<_> = self.iter().collect();
        changes.sort();
        let lines: Vec<String> = changes.iter().map(|change| change.to_string()).collect();
        if lines.is_empty() { vec!["nothing to change".into()] } else { lines }
    }
    fn meaning(&self) -> String {
        unordered(self)
    }
}

impl Node {
    fn shown(&self) -> String {
        let mut text = format!("{} {} in {}", self.name.escape_debug(), self.address, self.subnet);
        if self.mtu != ethernet() {
            text += &format!(", MTU {}", self.mtu);
        }
        text += &self.range.map_or(", no range".into(), |range| format!(", range {range}"));
        if let Some(mac) = &self.mac {
            text += &format!(", mac {}", mac.escape_debug());
        }
        text
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pods {}, backend {}", self.pods, crate::flow(&self.backend))
    }
}

impl Show for AttachRequest {
    fn lines(&self) -> Vec<String> {
        let used: Vec<String> = self.used.iter().map(Ipv4Addr::to_string).collect();
        let used = match used.as_slice() {
            [] => "no address is used".into(),
            [first, .., last] if used.len() > 6 => format!("used {first} … {last} ({} addresses)", used.len()),
            used => format!("used {}", used.join(", ")),
        };
        let last = self.last.map_or(String::new(), |last| format!("; last given {last}"));
        vec![self.node.shown(), self.network.to_string(), used + &last]
    }
}

impl Show for SyncRequest {
    fn lines(&self) -> Vec<String> {
        let mut lines = vec![self.node.shown(), self.network.to_string()];
        lines.extend(self.others.iter().map(|other| format!("other {}", other.shown())));
        let Tables { routes, neighbours, forwarding } = &self.tables;
        lines.extend(routes.iter().map(|route| format!("has {route}")));
        lines.extend(neighbours.iter().map(|neighbour| format!("has {neighbour}")));
        lines.extend(forwarding.iter().map(|forwarding| format!("has {forwarding}")));
        lines
    }
}
