//! Nodes on their wires with a network plugin: where one and the same world can be run with each plugin.

use super::cni;
use super::packet::{Flow, Packet, Protocol};
use super::rules::{Netfilter, Rule};
use super::trace::Walk;
use super::world::{Interface, Kind, Namespace, Route, To, World};
use crate::ipam::cidr::{Cidr, address, number};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

/// The router between the networks of nodes, and to the world outside.
pub const ROUTER: &str = "router";
/// A client in the world outside.
pub const CLIENT: &str = "client";
/// Its address, one of those that are for examples (RFC 5737).
pub const CLIENT_ADDRESS: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 9);
/// The wire of the world outside.
const OUTSIDE: &str = "internet";

/// A node as the API shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Its address, with the prefix of the network there.
    pub address: Cidr,
    /// What its interface carries, or what its agent was told that it does.
    pub mtu: u32,
    /// `spec.podCIDR`.
    pub pod_cidr: Option<Cidr>,
    /// What its agent has written about it.
    pub annotations: BTreeMap<String, String>,
}

impl Node {
    /// A node with an address such as `10.0.0.1/24`.
    pub fn new(name: &str, address: Cidr) -> Node {
        Node { name: name.into(), address, mtu: 1500, pod_cidr: None, annotations: BTreeMap::new() }
    }

    /// The node of this name.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn named<'a>(nodes: &'a [Node], name: &str) -> Result<&'a Node, String> {
        nodes.iter().find(|node| node.name == name).ok_or_else(|| format!("node {name:?} does not exist"))
    }

    /// The same with a range for pods.
    pub fn with_range(self, range: Cidr) -> Node {
        Node { pod_cidr: Some(range), ..self }
    }

    /// The network that it is in.
    pub fn subnet(&self) -> Cidr {
        Cidr { address: self.address.first(), ..self.address }
    }
}

/// A network plugin: its agents, one on each node, and what the runtime calls for each pod.
pub trait Plugin {
    /// Its name, as in the configuration.
    fn name(&self) -> &'static str;

    /// A node's agent looks at all nodes, and brings its node in line. What it writes about its node goes into the node's annotations.
    ///
    /// # Errors
    ///
    /// What its log would say.
    fn sync(&mut self, world: &mut World, nodes: &mut [Node], node: &str) -> Result<(), String>;

    /// Gives a pod its interface.
    ///
    /// # Errors
    ///
    /// As the runtime gets it.
    fn add(
        &mut self,
        world: &mut World,
        nodes: &[Node],
        node: &str,
        request: &cni::Request,
    ) -> Result<cni::Answer, cni::Error>;

    /// Looks whether a pod's interface is still as ADD made it.
    ///
    /// # Errors
    ///
    /// What isn't.
    fn check(
        &mut self,
        world: &World,
        node: &str,
        request: &cni::Request,
        before: &cni::Answer,
    ) -> Result<(), cni::Error>;

    /// Takes a pod's interface and address back. It may be called more than once.
    ///
    /// # Errors
    ///
    /// As the runtime gets it.
    fn del(&mut self, world: &mut World, node: &str, request: &cni::Request) -> Result<(), cni::Error>;

    /// Time passes.
    fn advance(&mut self, _seconds: u64) {}

    /// A node's agent has stopped, or runs again.
    fn agent(&mut self, _node: &str, _is_up: bool) {}

    /// A node is gone for good.
    fn forget(&mut self, _node: &str) {}

    /// Labels of a pod that is going to start, for plugins to which they matter.
    fn label(&mut self, _pod: &str, _labels: BTreeMap<String, String>) {}

    /// The rules that it writes on all nodes, without those of policies.
    fn rules(&self) -> Vec<Rule> {
        Vec::new()
    }
}

/// A pod with an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pod {
    /// On which node.
    pub node: String,
    /// What it got.
    pub answer: cni::Answer,
}

impl Pod {
    /// Its address.
    pub fn address(&self) -> Option<IpAddr> {
        self.answer.ips.first().map(|given| given.address.address)
    }
}

/// A cluster with one plugin.
pub struct Cluster {
    /// Its network.
    pub world: World,
    /// Its nodes as the API has them.
    pub nodes: Vec<Node>,
    /// Its pods by name.
    pub pods: BTreeMap<String, Pod>,
    /// Nodes whose agent doesn't run.
    pub agents_down: BTreeSet<String>,
    plugin: Box<dyn Plugin>,
}

impl Cluster {
    /// Nodes on the wires of their networks, with a router between those and a client outside. No agent has run yet.
    pub fn new(nodes: Vec<Node>, plugin: Box<dyn Plugin>) -> Cluster {
        let mut cluster = Cluster {
            world: World::default(),
            nodes: Vec::new(),
            pods: BTreeMap::new(),
            agents_down: BTreeSet::new(),
            plugin,
        };
        let outside = Cidr { address: CLIENT_ADDRESS.into(), prefix: 24 };
        cluster.plug_in_router(outside, OUTSIDE);
        let mut client = Namespace::pod(CLIENT);
        client.is_host = true;
        client.interfaces.push(ethernet(CLIENT, "eth0", OUTSIDE, outside));
        client.routes.push(default_by_router(outside));
        cluster.world.namespaces.insert(CLIENT.into(), client);
        for node in nodes {
            cluster.join(node);
        }
        cluster
    }

    fn plug_in_router(&mut self, network: Cidr, wire: &str) {
        self.world.wires.entry(wire.into()).or_default();
        let router = self
            .world
            .namespaces
            .entry(ROUTER.into())
            .or_insert_with(|| Namespace { conntrack: None, ..Namespace::host(ROUTER) });
        let plugged = router.interfaces.iter().any(|i| i.kind == Kind::Ethernet { wire: wire.into() });
        if !plugged {
            let name = format!("eth{}", router.interfaces.len() - 1);
            let own = Cidr { address: router_of(network), prefix: network.prefix };
            router.interfaces.push(ethernet(ROUTER, &name, wire, own));
        }
    }

    /// A node comes.
    pub fn join(&mut self, node: Node) {
        let wire = node.subnet().to_string();
        self.plug_in_router(node.address, &wire);
        let mut host = Namespace::host(&node.name);
        host.interfaces.push(ethernet(&node.name, "eth0", &wire, node.address).with_mtu(node.mtu));
        host.routes.push(default_by_router(node.address));
        self.world.namespaces.insert(node.name.clone(), host);
        self.nodes.push(node);
        self.nodes.sort_by(|one, other| one.name.cmp(&other.name));
    }

    /// A node goes, with all of its pods, and is deleted from the API.
    pub fn leave(&mut self, node: &str) {
        let pods: Vec<String> = self.pods_on(node).map(|(name, _)| name.clone()).collect();
        for pod in pods {
            self.pods.remove(&pod);
            self.world.remove(&pod);
        }
        self.world.remove(node);
        self.nodes.retain(|other| other.name != node);
        self.plugin.forget(node);
    }

    /// A node loses its power: nothing goes in or out, and nobody says goodbye.
    pub fn crash(&mut self, node: &str) {
        for interface in self.world.namespaces.get_mut(node).into_iter().flat_map(|host| &mut host.interfaces) {
            interface.up = interface.kind == Kind::Loopback;
        }
        self.agents_down.insert(node.into());
    }

    /// A node has power again, and its agent runs. Its pods' interfaces are made anew by whoever starts them.
    pub fn restart(&mut self, node: &str) {
        for interface in self.world.namespaces.get_mut(node).into_iter().flat_map(|host| &mut host.interfaces) {
            interface.up = true;
        }
        if let Some(conntrack) = self.world.namespaces.get_mut(node).and_then(|host| host.conntrack.as_mut()) {
            conntrack.connections.clear();
        }
        self.start_agent(node);
    }

    /// Stops the agent of a node; what it has written stays.
    pub fn stop_agent(&mut self, node: &str) {
        self.agents_down.insert(node.into());
        self.plugin.agent(node, false);
    }

    /// Starts it again.
    pub fn start_agent(&mut self, node: &str) {
        self.agents_down.remove(node);
        self.plugin.agent(node, true);
    }

    /// Time passes, and all agents look.
    pub fn advance(&mut self, seconds: u64) -> Vec<(String, String)> {
        self.plugin.advance(seconds);
        self.sync()
    }

    fn pods_on(&self, node: &str) -> impl Iterator<Item = (&String, &Pod)> {
        self.pods.iter().filter(move |(_, pod)| pod.node == node)
    }

    /// Each agent looks, twice: what it writes about its node the others see only then. The answer holds what logs would say.
    pub fn sync(&mut self) -> Vec<(String, String)> {
        let mut log = Vec::new();
        for _ in 0..2 {
            for node in self.nodes.iter().map(|node| node.name.clone()).collect::<Vec<_>>() {
                if self.agents_down.contains(&node) {
                    continue;
                }
                let said = self.plugin.sync(&mut self.world, &mut self.nodes, &node);
                let said = said.err().map(|said| (node, said));
                log.extend(said.filter(|said| !log.contains(said)));
            }
        }
        log
    }

    /// Starts a pod: the runtime makes a namespace, and calls ADD.
    ///
    /// # Errors
    ///
    /// What the plugin answered. The sandbox is taken away again.
    pub fn start(&mut self, node: &str, pod: &str) -> Result<cni::Answer, cni::Error> {
        self.world.namespaces.insert(pod.into(), Namespace::pod(pod));
        let request = cni::Request::new(&format!("sandbox-of-{pod}"), pod);
        let answer = self.plugin.add(&mut self.world, &self.nodes, node, &request);
        match &answer {
            Ok(answer) => {
                self.pods.insert(pod.into(), Pod { node: node.into(), answer: answer.clone() });
            }
            Err(_) => {
                let _ = self.plugin.del(&mut self.world, node, &request);
                self.world.remove(pod);
            }
        }
        answer
    }

    /// Tells the plugin the labels of a pod that is going to start.
    pub fn label(&mut self, pod: &str, labels: BTreeMap<String, String>) {
        self.plugin.label(pod, labels);
    }

    /// Asks the plugin whether a pod's network is as it was made.
    ///
    /// # Errors
    ///
    /// What isn't.
    pub fn check(&mut self, pod: &str) -> Result<(), cni::Error> {
        let there = self.pods.get(pod);
        let there = there.ok_or_else(|| cni::Error::new(cni::Code::UnknownContainer, &format!("no pod {pod}")))?;
        let request = cni::Request::new(&format!("sandbox-of-{pod}"), pod);
        self.plugin.check(&self.world, &there.node, &request, &there.answer)
    }

    /// Stops a pod: DEL, and the namespace goes.
    ///
    /// # Errors
    ///
    /// What the plugin answered.
    pub fn stop(&mut self, pod: &str) -> Result<(), cni::Error> {
        let Some(there) = self.pods.remove(pod) else { return Ok(()) };
        let request = cni::Request::new(&format!("sandbox-of-{pod}"), pod);
        let answer = self.plugin.del(&mut self.world, &there.node, &request);
        self.world.remove(pod);
        answer
    }

    /// The plugin's rules, to be asked before others.
    pub fn rules(&self) -> Vec<Rule> {
        self.plugin.rules()
    }

    /// The plugin's name.
    pub fn plugin(&self) -> &'static str {
        self.plugin.name()
    }

    /// What CIDR an address's pod or node has; a name is looked up.
    pub fn address(&self, name: &str) -> Option<IpAddr> {
        let node = || self.nodes.iter().find(|node| node.name == name).map(|node| node.address.address);
        let client = || (name == CLIENT).then_some(CLIENT_ADDRESS.into());
        self.pods.get(name).and_then(Pod::address).or_else(node).or_else(client)
    }

    /// Follows a TCP packet from a pod, a node or the client to another, by name, and the answer to it.
    ///
    /// # Errors
    ///
    /// A name that nobody has.
    pub fn exchange(&mut self, from: &str, to: &str, length: u32) -> Result<(Walk, Option<Walk>), String> {
        let packet = self.packet(from, to, length)?;
        let mut rules = self.rules();
        Ok(self.world.exchange(from, packet, &mut rules as &mut dyn Netfilter))
    }

    /// A TCP packet from one to another, by name.
    ///
    /// # Errors
    ///
    /// A name that nobody has.
    pub fn packet(&self, from: &str, to: &str, length: u32) -> Result<Packet, String> {
        let unknown = |name: &str| format!("there is no pod or node {name}");
        let destination = self.address(to).ok_or_else(|| unknown(to))?;
        if !self.world.namespaces.contains_key(from) {
            return Err(unknown(from));
        }
        // A node's own process leaves the choice of the address to its kernel.
        let source = self.pods.get(from).and_then(Pod::address).unwrap_or(Ipv4Addr::UNSPECIFIED.into());
        let flow = Flow::new(Protocol::Tcp, (source, 40_000), (destination, 8080));
        Ok(Packet::new(flow).with_length(length))
    }
}

fn ethernet(namespace: &str, name: &str, wire: &str, address: Cidr) -> Interface {
    Interface::new(namespace, name, Kind::Ethernet { wire: wire.into() }).with_address(address)
}

/// Routers have the last address but the one for broadcasts.
fn router_of(network: Cidr) -> IpAddr {
    address(number(network.last()) - 1, network.address)
}

fn default_by_router(network: Cidr) -> Route {
    let everywhere = Cidr { address: address(0, network.address), prefix: 0 };
    Route::new(everywhere, To::Gateway { via: router_of(network), device: "eth0".into(), onlink: false })
}
