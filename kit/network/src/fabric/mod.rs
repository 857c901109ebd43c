//! The network of a running cluster: packets of its pods, as the API's objects and a plugin have them go.
//!
//! One [`Fabric`] is shared by all who have a part in it. The component [`agents`] joins nodes and pods to the [`datapath`](crate::datapath) by a
//! plugin, and tells it the policies; [`proxies`] is kube-proxy on every node; [`names`] is CoreDNS. Kubelets and containers
//! meet it as a [`Network`](kit_client::network::Network) ([`sandboxes`]). [`netfilter`] puts the rules of all of them into the kernel's order,
//! [`reach`] follows a connection for whoever asks from outside, and [`kernel`] says what a real kernel would have to hold.

pub mod agents;
pub mod kernel;
pub mod names;
pub mod netfilter;
pub mod policies;
pub mod proxies;
pub mod reach;
mod sandboxes;
mod settings;
#[cfg(test)]
mod tests;

use crate::datapath::calico::{self, Calico, Encapsulation, Peering, When};
use crate::datapath::cilium::{Cilium, Routing};
use crate::datapath::cluster::{Cluster, Plugin};
use crate::datapath::flannel::Flannel;
use crate::datapath::packet::{Flow, Packet, Protocol};
use crate::datapath::trace::Walk;
use crate::datapath::world::World;
use crate::ipam::cidr::Cidr;
use kit_client::network::Sandbox;
use kit_contract::Modules;
use kit_contract::network::pod_network::{self, Backend};
use kit_time::agenda::Instant;
use kit_time::random::Random;
use names::Names;
use policies::Policies;
use proxies::Proxy;
use serde::Deserialize;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;

/// One network for all who have a part in it.
pub type Shared = Rc<RefCell<Fabric>>;

/// The range of all pods (`--cluster-cidr`).
pub fn pods() -> Cidr {
    Cidr { address: PODS.into(), prefix: 16 }
}

/// Its first address.
const PODS: Ipv4Addr = Ipv4Addr::new(10, 244, 0, 0);
/// How nodes know each other: the prefix of the network that each of them is in.
const NODE_PREFIX: u8 = 24;
/// What the links of nodes carry.
const MTU: u32 = 1500;
/// What listens on every node: its sshd, its kubelet, and where its kube-proxy says how it is.
const ON_NODES: [u16; 3] = [22, 10_250, 10_256];
/// So many flows a host remembers at most, the latest.
const FLOWS: usize = 1024;
/// Where Linux takes the ports of clients from (`ip_local_port_range`).
const CLIENT_PORTS: std::ops::Range<u16> = 32_768..60_999;

/// What a network is made of.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Shape {
    /// The plugin.
    pub plugin: Kind,
    /// What stands at the interfaces of nodes, where the plugin is Calico.
    pub dataplane: Dataplane,
    /// With programs: how answers go back that came through another node.
    pub external_service_mode: ExternalServiceMode,
    /// What the switches between nodes carry, if it is less than the 1500 bytes that nodes take for granted. A longer packet vanishes.
    pub carries: Option<u32>,
}

/// What decides about packets of a Calico node (`bpfEnabled`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dataplane {
    /// Chains, beside those of kube-proxy.
    #[default]
    Iptables,
    /// Programs, and no kube-proxy.
    Bpf,
}

/// How an answer goes back to a client outside whose node has passed its connection on (`bpfExternalServiceMode`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExternalServiceMode {
    /// Through that node.
    #[default]
    Tunnel,
    /// Directly (direct server return).
    Dsr,
}

/// A plugin.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// VXLAN, and no policies.
    #[default]
    Flannel,
    /// Routes over BGP in IPIP, and policies in iptables.
    Calico,
    /// VXLAN by programs, and policies by identity.
    Cilium,
}

impl Kind {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Flannel => "flannel",
            Kind::Calico => "calico",
            Kind::Cilium => "cilium",
        }
    }

    /// Whether it enforces NetworkPolicies.
    pub fn enforces(self) -> bool {
        self != Kind::Flannel
    }
}

impl Shape {
    /// By its name: a plugin's, or `calico-ebpf`.
    ///
    /// # Errors
    ///
    /// Which there are.
    pub fn named(name: &str) -> Result<Shape, String> {
        let of = |plugin, dataplane| Ok(Shape { plugin, dataplane, ..Shape::default() });
        match name {
            "flannel" => of(Kind::Flannel, Dataplane::Iptables),
            "calico" => of(Kind::Calico, Dataplane::Iptables),
            "calico-ebpf" => of(Kind::Calico, Dataplane::Bpf),
            "cilium" => of(Kind::Cilium, Dataplane::Iptables),
            _ => Err(format!("networks are flannel, calico, calico-ebpf and cilium, and not `{name}`")),
        }
    }

    /// Whether there are programs in place of kube-proxy.
    fn has_programs(&self) -> bool {
        self.plugin == Kind::Calico && self.dataplane == Dataplane::Bpf
    }

    fn plugin(&self, modules: &Modules) -> Box<dyn Plugin> {
        let pool = pods();
        match self.plugin {
            Kind::Flannel => {
                let pods = pod_network::Cidr { address: PODS, prefix: pool.prefix };
                let module = modules.pod_network.make(&());
                Box::new(Flannel::new(module, pods, Backend::Vxlan { direct: false }))
            }
            Kind::Calico => {
                let mut calico = Calico::new(pool, Encapsulation::Ipip(When::Always), Peering::Mesh);
                if self.has_programs() {
                    let direct_return = self.external_service_mode == ExternalServiceMode::Dsr;
                    calico.dataplane = calico::Dataplane::Bpf { direct_return };
                }
                Box::new(calico)
            }
            Kind::Cilium => {
                Box::new(Cilium::new(pool, 24, Routing::Tunnel).expect("a /16 can be cut into networks of /24"))
            }
        }
    }
}

/// The state of the network.
pub struct Fabric {
    kind: Kind,
    has_programs: bool,
    carries: Option<u32>,
    cluster: Cluster,
    /// The sandboxes that have an interface, and the name of each in the world.
    sandboxes: BTreeMap<Sandbox, String>,
    /// Ports of pods that use the network of their node, by node.
    on_hosts: BTreeMap<String, BTreeMap<Sandbox, BTreeSet<(Protocol, u16)>>>,
    /// Nodes without power.
    crashed: BTreeSet<String>,
    /// Nodes that the control plane doesn't hear, nor they it.
    apart: BTreeSet<String>,
    policies: Policies,
    proxies: BTreeMap<String, Proxy>,
    names: Names,
    clock: Box<dyn Fn() -> Instant>,
    random: Random,
    /// How many connections there were: chance and the ports of clients follow from it.
    connections: u64,
    /// Changes with everything on which the way of a packet depends.
    generation: u64,
    reached: reach::Known,
}

impl Fabric {
    /// A network without nodes. `clock` says what time it is.
    pub fn new(shape: &Shape, modules: &Modules, random: Random, clock: Box<dyn Fn() -> Instant>) -> Fabric {
        let policies = Policies::new(shape.plugin, modules);
        Fabric {
            kind: shape.plugin,
            has_programs: shape.has_programs(),
            carries: shape.carries,
            cluster: Cluster::new(Vec::new(), shape.plugin(modules)),
            sandboxes: BTreeMap::new(),
            on_hosts: BTreeMap::new(),
            crashed: BTreeSet::new(),
            apart: BTreeSet::new(),
            policies,
            proxies: BTreeMap::new(),
            names: Names::new(modules),
            clock,
            random,
            connections: 0,
            generation: 0,
            reached: reach::Known::new(),
        }
    }

    /// Its plugin.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The nodes and pods that packets walk through.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// The rules of a node's kube-proxy.
    pub fn proxy(&self, node: &str) -> Option<&Proxy> {
        self.proxies.get(node)
    }

    fn changed(&mut self) {
        self.generation += 1;
    }

    /// Whether a node has power and hears the API server: what runs there can keep up.
    fn hears(&self, node: &str) -> bool {
        !self.crashed.contains(node) && !self.apart.contains(node)
    }

    /// The agents look at all nodes.
    fn sync(&mut self) {
        // Their logs are not kept: what a plugin can't do shows in the events of pods.
        _ = self.cluster.sync();
        self.changed();
    }

    /// Sends a packet, and its answer back; all rules of all nodes apply.
    fn exchange(&mut self, from: &str, packet: Packet) -> (Walk, Option<Walk>) {
        self.by_the_rules(|world, rules| world.exchange(from, packet, rules))
    }

    /// Sends a packet of a connection that is there, one way.
    fn send(&mut self, from: &str, packet: Packet) -> Walk {
        self.by_the_rules(|world, rules| world.walk(from, packet, rules))
    }

    fn by_the_rules<T>(&mut self, send: impl FnOnce(&mut World, &mut netfilter::Rules<'_>) -> T) -> T {
        let now = (self.clock)();
        self.cluster.world.now = now.nanos / 1_000_000_000;
        let Fabric { cluster, proxies, policies, random, connections, .. } = self;
        let of_plugin = cluster.rules();
        let mut rules = netfilter::Rules::new(of_plugin, proxies, policies, (*random, *connections), now);
        let sent = send(&mut cluster.world, &mut rules);
        // A kernel forgets flows after a while in which it hears nothing of them.
        for conntrack in cluster.world.namespaces.values_mut().filter_map(|host| host.conntrack.as_mut()) {
            let flows = &mut conntrack.connections;
            if flows.len() > FLOWS {
                flows.drain(..FLOWS / 2);
            }
        }
        sent
    }

    /// The socket of the last connection is closed again, and if it was TCP's hosts forget the connection.
    fn close(&mut self, from: &str, protocol: Protocol) {
        let port = self.last_port();
        if let Some(listens) = self.cluster.world.namespaces.get_mut(from).and_then(|there| there.listens.as_mut()) {
            listens.remove(&(protocol, port));
        }
        if protocol != Protocol::Tcp {
            return;
        }
        for conntrack in self.cluster.world.namespaces.values_mut().filter_map(|host| host.conntrack.as_mut()) {
            conntrack.forget(|known| known.original.protocol == protocol && known.original.source.port == port);
        }
    }

    /// The port of the client of the last connection.
    fn last_port(&self) -> u16 {
        let ports = u64::from(CLIENT_PORTS.end - CLIENT_PORTS.start);
        CLIENT_PORTS.start + (self.connections % ports) as u16
    }

    /// The first packet of a new connection, from a socket that [`Fabric::close`] closes.
    fn first_packet(&mut self, from: &str, protocol: Protocol, to: (IpAddr, u16)) -> Packet {
        self.connections += 1;
        let port = self.last_port();
        // A pod tracks no connections: what comes to the port of a socket is for that.
        if let Some(listens) = self.cluster.world.namespaces.get_mut(from).and_then(|there| there.listens.as_mut()) {
            listens.insert((protocol, port));
        }
        // A host's own process leaves the choice of the address to its kernel.
        let source = self.cluster.pods.get(from).and_then(|pod| pod.address());
        let source = source.unwrap_or(Ipv4Addr::UNSPECIFIED.into());
        Packet::new(Flow::new(protocol, (source, port), to))
    }
}
