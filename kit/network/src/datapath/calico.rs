//! Calico: a route for each pod, blocks of addresses that nodes claim, and BGP that tells nodes and routers where blocks are.
//!
//! There is no bridge. A pod has its address alone (prefix 32) and a gateway that nobody has, 169.254.1.1, for which the host's end answers. A
//! node takes addresses from blocks of 64 to which it has the affinity, claims another block when those are full, and borrows single
//! addresses from others' blocks when there is none left to claim. In eBPF mode Felix keeps the [maps](super::felix) of programs that stand in place of
//! kube-proxy; routes, blocks and BGP are the same.
//!
//! Sources in projectcalico/calico: `cni-plugin/pkg/dataplane/linux/dataplane_linux.go`,
//! `felix/dataplane/linux/{ipip_mgr,vxlan_mgr}.go`, `confd/etc/calico/confd/templates/bird*.template`.

mod blocks;

pub use blocks::{BLOCK_PREFIX, Block};

use super::cluster::{Node, Plugin, ROUTER};
use super::cni::{Answer, Code, Error, Given, Made, Request, ToRoute};
use super::felix::{self, Felix, Owner};
use super::flannel::{check_as_made, remove_pair};
use super::packet::Mac;
use super::rules::{Action, Hook, Nat, Rule};
use super::world::{Forwarding, IPIP_OVERHEAD, Interface, Kind, Neighbour, Route, To, VXLAN_OVERHEAD, World};
use crate::ipam::cidr::{Cidr, address, bits, number};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

/// The gateway of every pod.
const GATEWAY: IpAddr = IpAddr::V4(Ipv4Addr::new(169, 254, 1, 1));
/// The Ethernet address of the host's end of every pod.
const HOST_END: Mac = Mac([0xee; 6]);
/// Identifier and port of Calico's VXLAN.
const VXLAN: (u32, u16) = (4096, felix::TUNNEL_PORT);
const IPIP_DEVICE: &str = "tunl0";
const VXLAN_DEVICE: &str = felix::TUNNEL;
/// After so many seconds without a word a neighbour is gone (BIRD's `hold time`).
const HOLD_TIME: u64 = 240;
/// For so many seconds routes stay after a session ended that promised to come back (BIRD's `graceful restart time`).
const RESTART_TIME: u64 = 120;

/// How packets get to other nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encapsulation {
    /// As they are: routers between nodes have to know the blocks.
    None,
    /// Within packets (`ipipMode`).
    Ipip(When),
    /// Within UDP (`vxlanMode`).
    Vxlan(When),
}

/// When.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// To every node.
    Always,
    /// Only to nodes in other networks.
    CrossSubnet,
}

/// What stands at the interfaces of nodes (`bpfEnabled`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Dataplane {
    /// Chains of iptables, beside those of kube-proxy.
    #[default]
    Iptables,
    /// Programs, and no kube-proxy. What came from outside, and was passed on by another node, is answered through that node, or directly
    /// (`bpfExternalServiceMode: DSR`).
    Bpf {
        /// Directly.
        direct_return: bool,
    },
}

/// Who talks BGP with whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peering {
    /// Each node with each other.
    Mesh,
    /// Each node with these, which tell the others.
    Reflectors(BTreeSet<String>),
}

/// A session that ended, as its other end sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gone {
    /// Nothing is heard, and nobody has said why.
    Silent(u64),
    /// It said that it restarts.
    Restarting(u64),
    /// Its routes are withdrawn.
    Withdrawn,
}

/// The plugin.
#[derive(Debug)]
pub struct Calico {
    pool: Cidr,
    encapsulation: Encapsulation,
    peering: Peering,
    /// The router outside is a peer, too.
    pub router_peers: bool,
    /// Nodes may not borrow (`strictAffinity`).
    pub strict_affinity: bool,
    /// What stands at the interfaces.
    pub dataplane: Dataplane,
    blocks: BTreeMap<Cidr, Block>,
    now: u64,
    gone: BTreeMap<(String, String), Gone>,
    /// Nodes whose agent was stopped in good order.
    restarting: BTreeSet<String>,
    ready: BTreeSet<String>,
}

impl Calico {
    /// Pods out of this pool.
    pub fn new(pool: Cidr, encapsulation: Encapsulation, peering: Peering) -> Calico {
        Calico {
            pool: Cidr { address: pool.first(), ..pool },
            encapsulation,
            peering,
            router_peers: false,
            strict_affinity: false,
            dataplane: Dataplane::default(),
            blocks: BTreeMap::new(),
            now: 0,
            gone: BTreeMap::new(),
            restarting: BTreeSet::new(),
            ready: BTreeSet::new(),
        }
    }

    /// Whether a node hears of what another one announces, directly or through a reflector.
    fn hears(&self, world: &World, node: &str, other: &str) -> bool {
        match &self.peering {
            Peering::Mesh => self.talk(world, node, other),
            Peering::Reflectors(reflectors) => {
                let direct = (reflectors.contains(node) || reflectors.contains(other)) && self.talk(world, node, other);
                let relayed = |by: &String| {
                    by != node && by != other && self.talk(world, node, by) && self.talk(world, by, other)
                };
                direct || reflectors.iter().any(relayed)
            }
        }
    }

    fn talk(&self, world: &World, one: &str, other: &str) -> bool {
        let is_up = |node: &str| {
            (node == ROUTER || self.ready.contains(node))
                && !self.restarting.contains(node)
                && world.namespaces.get(node).is_some_and(|host| host.interface("eth0").is_some_and(|eth0| eth0.up))
        };
        is_up(one) && is_up(other) && !world.is_apart(one, other)
    }

    /// Whether what a node last heard of another one still counts.
    fn counts(&mut self, world: &World, node: &str, other: &str) -> bool {
        let key = (node.to_string(), other.to_string());
        // Reflectors relay among nodes; the router is a peer of each of them.
        let is_heard = if node == ROUTER { self.talk(world, node, other) } else { self.hears(world, node, other) };
        if is_heard {
            self.gone.remove(&key);
            return true;
        }
        if !self.ready.contains(other) {
            return false;
        }
        let (now, restarts) = (self.now, self.restarting.contains(other));
        let gone = self.gone.entry(key).or_insert(if restarts { Gone::Restarting(now) } else { Gone::Silent(now) });
        let over = match *gone {
            Gone::Silent(since) => now >= since + HOLD_TIME,
            Gone::Restarting(since) => now >= since + RESTART_TIME,
            Gone::Withdrawn => true,
        };
        if over {
            *gone = Gone::Withdrawn;
        }
        !over
    }

    fn overhead(&self) -> u32 {
        match self.encapsulation {
            Encapsulation::None => 0,
            Encapsulation::Ipip(_) => IPIP_OVERHEAD,
            Encapsulation::Vxlan(_) => VXLAN_OVERHEAD,
        }
    }

    /// The tunnel's interface of a node, with its address out of the node's blocks.
    fn tunnel(&mut self, node: &Node) -> Result<Option<Interface>, String> {
        let local = node.address.address;
        let (name, kind) = match self.encapsulation {
            Encapsulation::None => return Ok(None),
            Encapsulation::Ipip(_) => (IPIP_DEVICE, Kind::Ipip { local }),
            Encapsulation::Vxlan(_) => (VXLAN_DEVICE, Kind::Vxlan { vni: VXLAN.0, port: VXLAN.1, local }),
        };
        let own = match self.held(&node.name, "tunnel") {
            Some(own) => own,
            None => self.assign(&node.name, "tunnel")?,
        };
        let mtu = node.mtu.saturating_sub(self.overhead());
        Ok(Some(Interface::new(&node.name, name, kind).with_mtu(mtu).with_address(single(own))))
    }

    /// The way to what another node announces.
    fn way(&self, me: &Node, other: &Node) -> To {
        let via = other.address.address;
        let near = me.subnet().contains(via);
        let tunnelled = |when| when == When::Always || !near;
        match self.encapsulation {
            Encapsulation::Ipip(when) if tunnelled(when) => {
                To::Gateway { via, device: IPIP_DEVICE.into(), onlink: true }
            }
            Encapsulation::Vxlan(when) if tunnelled(when) => {
                let via = self.held(&other.name, "tunnel").unwrap_or(via);
                To::Gateway { via, device: VXLAN_DEVICE.into(), onlink: true }
            }
            _ if near => To::Gateway { via, device: "eth0".into(), onlink: false },
            // BIRD looks up how the next hop itself is reached: through the router (recursive next hop).
            _ => {
                let router = address(number(me.address.last()) - 1, via);
                To::Gateway { via: router, device: "eth0".into(), onlink: false }
            }
        }
    }
}

impl Plugin for Calico {
    fn name(&self) -> &'static str {
        "calico"
    }

    fn sync(&mut self, world: &mut World, nodes: &mut [Node], node: &str) -> Result<(), String> {
        let me = Node::named(nodes, node)?.clone();
        self.restarting.remove(node);
        self.ready.insert(node.into());
        let tunnel = self.tunnel(&me)?;
        let mut wanted: Vec<Route> = Vec::new();
        let mut entries = Vec::new();
        let mut owners = vec![(single(me.address.address), Owner::LocalHost)];
        for other in nodes.iter().filter(|other| other.name != node) {
            let host = other.address.address;
            owners.push((single(host), Owner::RemoteHost(host)));
            owners.extend(self.announced(&other.name).into_iter().map(|cidr| (cidr, Owner::RemoteWorkload(host))));
            // Felix knows from the API where VXLAN's blocks are; everything else comes by BGP.
            let by_api = matches!(self.encapsulation, Encapsulation::Vxlan(_)) && self.ready.contains(&other.name);
            if !by_api && !self.counts(world, node, &other.name) {
                continue;
            }
            let way = self.way(&me, other);
            if let (To::Gateway { via, device, .. }, Some(there)) = (&way, self.held(&other.name, "tunnel"))
                && device == VXLAN_DEVICE
                && *via == there
            {
                entries.push((there, Mac::of(&format!("{}/{VXLAN_DEVICE}", other.name)), other.address.address));
            }
            wanted.extend(self.announced(&other.name).into_iter().map(|cidr| Route::new(cidr, way.clone())));
        }
        // What lies in an own block and is nobody's goes nowhere; it must not follow the default route and come back.
        let own = self.blocks.iter().filter(|(_, block)| block.affinity == node);
        wanted.extend(own.map(|(cidr, _)| Route::new(*cidr, To::Blackhole)));

        let pool = self.pool;
        let host = world.namespaces.get_mut(node).ok_or_else(|| format!("there is no host {node}"))?;
        if let Some(tunnel) = tunnel {
            match host.interface_mut(&tunnel.name) {
                Some(there) => there.mtu = tunnel.mtu,
                None => host.interfaces.push(tunnel),
            }
        }
        if let Dataplane::Bpf { direct_return } = self.dataplane {
            if host.interface(VXLAN_DEVICE).is_none() {
                let kind = Kind::Overlay { port: VXLAN.1, local: me.address.address };
                host.interfaces.push(Interface::new(node, VXLAN_DEVICE, kind));
            }
            if let Some(device) = host.interface_mut(VXLAN_DEVICE) {
                device.mtu = me.mtu.saturating_sub(VXLAN_OVERHEAD);
            }
            let felix = host.felix.get_or_insert_default();
            felix.direct_return = direct_return;
            felix.routes.retain(|_, owner| matches!(owner, Owner::LocalWorkload(_)));
            felix.routes.extend(owners);
        }
        let mut said = Vec::new();
        let is_pod = |route: &Route| route.device().is_some_and(|device| device.starts_with("cali"));
        host.routes.retain(|route| {
            let inside = pool.contains(route.destination.address) && route.destination.prefix >= pool.prefix;
            !inside || is_pod(route) || wanted.contains(route)
        });
        host.neighbours.retain(|entry| entry.device != VXLAN_DEVICE);
        host.forwarding.retain(|entry| entry.device != VXLAN_DEVICE);
        for (there, mac, remote) in entries {
            let device = VXLAN_DEVICE.to_string();
            host.replace_neighbour(Neighbour { address: there, device: device.clone(), mac, permanent: true });
            host.replace_forwarding(Forwarding { mac, device, remote });
        }
        for route in wanted {
            if !host.routes.contains(&route) {
                said.extend(host.replace_route(route).err());
            }
        }
        if self.router_peers {
            self.tell_router(world, nodes);
        }
        if said.is_empty() { Ok(()) } else { Err(said.join("; ")) }
    }

    fn add(&mut self, world: &mut World, nodes: &[Node], node: &str, request: &Request) -> Result<Answer, Error> {
        request.validate()?;
        let internal = |text: String| Error::new(Code::Internal, &text);
        if !self.ready.contains(node) {
            let text = "stat /var/lib/calico/nodename: no such file or directory: check that the calico/node container is running and has mounted /var/lib/calico/";
            return Err(internal(text.into()));
        }
        if !world.namespaces.contains_key(&request.netns) {
            return Err(internal(format!("failed to open netns {:?}: no such file or directory", request.netns)));
        }
        let me = nodes.iter().find(|other| other.name == node).ok_or_else(|| internal(format!("no node {node}")))?;
        let mtu = me.mtu.saturating_sub(self.overhead());
        let own = self.assign(node, &request.container_id).map_err(internal)?;
        let outer = host_end(&request.netns);
        world.add_veth((node, &outer), (&request.netns, &request.ifname), mtu);
        let host = world.namespaces.get_mut(node).ok_or_else(|| internal(format!("there is no host {node}")))?;
        if let Some(end) = host.interface_mut(&outer) {
            (end.mac, end.proxy_arp) = (HOST_END, true);
        }
        host.replace_route(Route::new(single(own), To::Device(outer.clone()))).map_err(internal)?;
        if let Some(felix) = &mut host.felix {
            felix.routes.insert(single(own), Owner::LocalWorkload(outer.clone()));
        }
        let pod = world.namespaces.get_mut(&request.netns).ok_or_else(|| internal("the pod is gone".into()))?;
        let inner = pod.interface_mut(&request.ifname).ok_or_else(|| internal("the interface is gone".into()))?;
        inner.addresses.push(single(own));
        let mac = inner.mac.to_string();
        let device = request.ifname.clone();
        let everywhere = Cidr { address: Ipv4Addr::UNSPECIFIED.into(), prefix: 0 };
        pod.replace_route(Route::new(single(GATEWAY), To::Device(device.clone()))).map_err(internal)?;
        let to = To::Gateway { via: GATEWAY, device, onlink: false };
        pod.replace_route(Route::new(everywhere, to)).map_err(internal)?;
        let made = |name: &str, mac: String, sandbox: &str| Made {
            name: name.into(),
            mac,
            mtu: Some(mtu),
            sandbox: sandbox.into(),
        };
        Ok(Answer {
            cni_version: request.cni_version.clone(),
            interfaces: vec![made(&outer, HOST_END.to_string(), ""), made(&request.ifname, mac, &request.netns)],
            ips: vec![Given { interface: Some(1), address: single(own), gateway: None }],
            routes: vec![ToRoute { dst: everywhere, gw: Some(GATEWAY), mtu: None }],
        })
    }

    fn check(&mut self, world: &World, node: &str, request: &Request, before: &Answer) -> Result<(), Error> {
        request.validate()?;
        let held = self.held(node, &request.container_id);
        let there = held.is_some_and(|held| {
            let host = world.namespaces.get(node);
            host.is_some_and(|host| host.routes.iter().any(|route| route.destination == single(held)))
        });
        if !there {
            return Err(Error::new(Code::Internal, "the host has no route to the pod"));
        }
        check_as_made(world, node, request, before)
    }

    fn del(&mut self, world: &mut World, node: &str, request: &Request) -> Result<(), Error> {
        if let (Some(own), Some(felix)) = (self.held(node, &request.container_id), felix_of(world, node)) {
            felix.routes.remove(&single(own));
        }
        self.release(node, Some(&request.container_id));
        remove_pair(world, request);
        Ok(())
    }

    fn advance(&mut self, seconds: u64) {
        self.now += seconds;
    }

    fn agent(&mut self, node: &str, is_up: bool) {
        if is_up {
            self.restarting.remove(node);
        } else {
            self.restarting.insert(node.into());
        }
    }

    /// The node is deleted from the API: its addresses are given back, and its affinities released (calico-kube-controllers).
    fn forget(&mut self, node: &str) {
        self.release(node, None);
        self.blocks.retain(|_, block| block.affinity != node || !block.owners.is_empty());
        self.ready.remove(node);
        self.restarting.remove(node);
        self.gone.retain(|(one, other), _| one != node && other != node);
    }

    /// `cali-nat-outgoing`: what leaves the pool comes from the node. In eBPF mode programs leave that to iptables, too, and what a pod
    /// sends to itself by way of a Service.
    fn rules(&self) -> Vec<Rule> {
        let outgoing = Rule {
            hook: Some(Hook::Postrouting),
            source: Some((false, self.pool)),
            destination: Some((true, self.pool)),
            what: "cali-nat-outgoing: from a pod to the outside".into(),
            action: Action::Translate(Nat::Masquerade),
            ..Rule::default()
        };
        let to_itself = Rule {
            hook: Some(Hook::Postrouting),
            mark: felix::MASQUERADE,
            what: "cali-POSTROUTING: from a pod to itself".into(),
            action: Action::Translate(Nat::Masquerade),
            ..Rule::default()
        };
        match self.dataplane {
            Dataplane::Iptables => vec![outgoing],
            Dataplane::Bpf { .. } => vec![to_itself, outgoing],
        }
    }
}

impl Calico {
    /// The router outside learns blocks as a peer of all nodes.
    fn tell_router(&mut self, world: &mut World, nodes: &[Node]) {
        let mut wanted = Vec::new();
        for node in nodes {
            if !self.counts(world, ROUTER, &node.name) {
                continue;
            }
            let device = world.namespaces.get(ROUTER).and_then(|router| router.route(node.address.address));
            let Some(device) = device.and_then(|route| route.device().map(str::to_string)) else { continue };
            let to = To::Gateway { via: node.address.address, device, onlink: false };
            wanted.extend(self.announced(&node.name).into_iter().map(|cidr| Route::new(cidr, to.clone())));
        }
        let Some(router) = world.namespaces.get_mut(ROUTER) else { return };
        router.routes.retain(|route| !self.pool.contains(route.destination.address));
        router.routes.extend(wanted);
    }
}

fn felix_of<'a>(world: &'a mut World, node: &str) -> Option<&'a mut Felix> {
    world.namespaces.get_mut(node)?.felix.as_mut()
}

fn single(address: IpAddr) -> Cidr {
    Cidr { address, prefix: bits(address) }
}

/// `cali` and 11 digits that follow from the pod's name; upstream takes them from a SHA-1.
fn host_end(pod: &str) -> String {
    let hash = Mac::of(&format!("cali/{pod}")).to_string().replace(':', "");
    format!("cali{}", &hash[1..])
}
