//! Cilium: programs at the interfaces, which look up who and where an address is.
//!
//! Its agent gives each pod of the node an entry in the map of endpoints, and each pod of the cluster one in `ipcache`: its identity, which
//! follows from its labels, and the node that it is on. A packet for a pod of this node is handed to its interface directly. For others it goes
//! into a tunnel under the sender's identity as the network's identifier, or, with native routing, along the host's routes.
//!
//! Sources in cilium/cilium: `bpf/bpf_lxc.c`, `pkg/ipam/allocator/clusterpool`, `pkg/identity/reserved.go`, `plugins/cilium-cni/cmd/cmd.go`.

use super::cluster::{Node, Plugin};
use super::cni::{Answer, Code, Error, Given, Made, Request, ToRoute};
use super::flannel::{check_as_made, remove_pair};
use super::packet::Mac;
use super::rules::{Action, Hook, Nat, Rule};
use super::world::{Endpoint, Interface, Kind, Place, Programs, Route, To, VXLAN_OVERHEAD, VXLAN_PORT, World};
use crate::ipam::cidr::{Cidr, bits};
use crate::ipam::host_local::{HostLocal, RangeConfig};
use crate::ipam::node_ranges::NodeRanges;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

/// The identity of addresses about which nothing else is known.
const WORLD: u32 = 2;
/// Identities below are reserved; those of pods begin here.
const FIRST_IDENTITY: u32 = 256;
const HOST_DEVICE: &str = "cilium_host";
const OVERLAY_DEVICE: &str = "cilium_vxlan";

/// How packets get to other nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Routing {
    /// In a tunnel, the default.
    Tunnel,
    /// Along routes, which the agents write for nodes next door (`autoDirectNodeRoutes`).
    Native,
}

/// A pod as all agents hear of it (a CiliumEndpoint).
#[derive(Debug, Clone, PartialEq, Eq)]
struct Known {
    node: String,
    address: IpAddr,
    identity: u32,
}

/// The plugin.
#[derive(Debug)]
pub struct Cilium {
    pool: Cidr,
    ranges: NodeRanges,
    routing: Routing,
    /// The range of each node, and who has which address of it.
    nodes: BTreeMap<String, (Cidr, HostLocal)>,
    pods: BTreeMap<String, Known>,
    labels: BTreeMap<String, BTreeMap<String, String>>,
    identities: BTreeMap<String, u32>,
}

impl Cilium {
    /// Pods out of this pool, of which each node gets a range with this prefix (`clusterPoolIPv4PodCIDRList`, `clusterPoolIPv4MaskSize`).
    ///
    /// # Errors
    ///
    /// If the pool can't be cut so.
    pub fn new(pool: Cidr, prefix: u8, routing: Routing) -> Result<Cilium, String> {
        Ok(Cilium {
            pool,
            ranges: NodeRanges::new(pool, prefix)?,
            routing,
            nodes: BTreeMap::new(),
            pods: BTreeMap::new(),
            labels: BTreeMap::new(),
            identities: BTreeMap::new(),
        })
    }

    /// Labels of a pod that is going to start.
    pub fn label(&mut self, pod: &str, labels: BTreeMap<String, String>) {
        self.labels.insert(pod.into(), labels);
    }

    /// The identity of a pod: the same for all pods with the same labels and namespace.
    pub fn identity(&mut self, pod: &str) -> u32 {
        let namespace = pod.split_once('/').map_or("default", |(namespace, _)| namespace);
        let own = self.labels.get(pod).into_iter().flatten();
        let mut all: Vec<String> = own.map(|(key, value)| format!("k8s:{key}={value}")).collect();
        all.push(format!("k8s:io.kubernetes.pod.namespace={namespace}"));
        let next = FIRST_IDENTITY + self.identities.len() as u32;
        *self.identities.entry(all.join(",")).or_insert(next)
    }

    /// A node's first address, which its `cilium_host` has and which pods have as their gateway.
    fn router(&self, node: &str) -> Option<IpAddr> {
        let (_, addresses) = self.nodes.get(node)?;
        addresses.ranges().first().map(|range| range.gateway)
    }

    fn overhead(&self) -> u32 {
        if self.routing == Routing::Tunnel { VXLAN_OVERHEAD } else { 0 }
    }
}

impl Plugin for Cilium {
    fn name(&self) -> &'static str {
        "cilium"
    }

    fn sync(&mut self, world: &mut World, nodes: &mut [Node], node: &str) -> Result<(), String> {
        let me = Node::named(nodes, node)?.clone();
        if !self.nodes.contains_key(node) {
            let range = self.ranges.allocate_next()?;
            let config = RangeConfig { subnet: range.to_string(), range_start: None, range_end: None, gateway: None };
            self.nodes.insert(node.into(), (range, HostLocal::new(&[config])?));
        }
        let router = self.router(node).ok_or("the node has no range")?;
        let overhead = self.overhead();
        let host = world.namespaces.get_mut(node).ok_or_else(|| format!("there is no host {node}"))?;
        let mut devices = vec![Interface::new(node, HOST_DEVICE, Kind::Program).with_address(single(router))];
        if self.routing == Routing::Tunnel {
            let kind = Kind::Overlay { port: VXLAN_PORT, local: me.address.address };
            devices.push(Interface::new(node, OVERLAY_DEVICE, kind));
        }
        for device in devices {
            let mtu = me.mtu.saturating_sub(overhead);
            match host.interface_mut(&device.name) {
                Some(there) => there.mtu = mtu,
                None => host.interfaces.push(device.with_mtu(mtu)),
            }
        }
        let mut said = Vec::new();
        let mut ipcache = BTreeMap::new();
        let mut routes = Vec::new();
        for (other, (range, _)) in &self.nodes {
            let Some(there) = nodes.iter().find(|there| there.name == *other) else { continue };
            let address = there.address.address;
            let tunnel = (self.routing == Routing::Tunnel && other != node).then_some(address);
            ipcache.insert(*range, Place { identity: WORLD, tunnel });
            for pod in self.pods.values().filter(|pod| pod.node == *other) {
                ipcache.insert(single(pod.address), Place { identity: pod.identity, tunnel });
            }
            let to = match self.routing {
                _ if other == node => To::Device(HOST_DEVICE.into()),
                Routing::Tunnel => To::Device(HOST_DEVICE.into()),
                Routing::Native if me.subnet().contains(address) => {
                    To::Gateway { via: address, device: "eth0".into(), onlink: false }
                }
                Routing::Native => {
                    said.push(format!("direct node route to {other}: {address} is not in the same network"));
                    continue;
                }
            };
            routes.push(Route::new(*range, to));
        }
        let pool = self.pool;
        host.routes.retain(|route| !pool.contains(route.destination.address) || routes.contains(route));
        for route in routes {
            if !host.routes.contains(&route) {
                said.extend(host.replace_route(route).err());
            }
        }
        let overlay = (self.routing == Routing::Tunnel).then(|| OVERLAY_DEVICE.to_string());
        let programs = host.programs.get_or_insert_with(Programs::default);
        (programs.ipcache, programs.overlay) = (ipcache, overlay);
        if said.is_empty() { Ok(()) } else { Err(said.join("; ")) }
    }

    fn add(&mut self, world: &mut World, nodes: &[Node], node: &str, request: &Request) -> Result<Answer, Error> {
        request.validate()?;
        let internal = |text: String| Error::new(Code::Internal, &text);
        let identity = self.identity(&request.netns);
        let overhead = self.overhead();
        let Some((_, addresses)) = self.nodes.get_mut(node) else {
            let text = "unable to connect to Cilium agent: failed to create cilium agent client after 30.000000 seconds timeout: Get \"http://localhost/v1/config\": dial unix /var/run/cilium/cilium.sock: connect: no such file or directory";
            return Err(internal(text.into()));
        };
        if !world.namespaces.contains_key(&request.netns) {
            return Err(internal(format!("failed to open netns {:?}: no such file or directory", request.netns)));
        }
        let lease = addresses.allocate(&request.container_id, None);
        let lease =
            lease.map_err(|error| internal(format!("unable to allocate IP via local cilium agent: {error}")))?;
        let own = lease.address.address;
        let me = nodes.iter().find(|other| other.name == node).ok_or_else(|| internal(format!("no node {node}")))?;
        // Upstream puts the MTU of the tunnel on the pod's routes; here its interface has it.
        let mtu = me.mtu.saturating_sub(overhead);
        let outer = host_end(&request.container_id);
        world.add_veth((node, &outer), (&request.netns, &request.ifname), mtu);
        let pod = world.namespaces.get_mut(&request.netns).ok_or_else(|| internal("the pod is gone".into()))?;
        let inner = pod.interface_mut(&request.ifname).ok_or_else(|| internal("the interface is gone".into()))?;
        inner.addresses.push(single(own));
        let mac = inner.mac;
        let device = request.ifname.clone();
        let everywhere = Cidr { address: Ipv4Addr::UNSPECIFIED.into(), prefix: 0 };
        pod.replace_route(Route::new(single(lease.gateway), To::Device(device.clone()))).map_err(internal)?;
        let to = To::Gateway { via: lease.gateway, device, onlink: false };
        pod.replace_route(Route::new(everywhere, to)).map_err(internal)?;
        let host = world.namespaces.get_mut(node).ok_or_else(|| internal(format!("there is no host {node}")))?;
        let outer_mac = host.interface(&outer).map(|end| end.mac.to_string()).unwrap_or_default();
        let programs = host.programs.get_or_insert_with(Programs::default);
        programs.endpoints.insert(own, Endpoint { device: outer.clone(), mac, identity });
        self.pods.insert(request.container_id.clone(), Known { node: node.into(), address: own, identity });
        let made = |name: &str, mac: String, sandbox: &str| Made {
            name: name.into(),
            mac,
            mtu: Some(mtu),
            sandbox: sandbox.into(),
        };
        Ok(Answer {
            cni_version: request.cni_version.clone(),
            interfaces: vec![made(&outer, outer_mac, ""), made(&request.ifname, mac.to_string(), &request.netns)],
            ips: vec![Given { interface: Some(1), address: single(own), gateway: Some(lease.gateway) }],
            routes: vec![
                ToRoute { dst: single(lease.gateway), gw: None, mtu: None },
                ToRoute { dst: everywhere, gw: Some(lease.gateway), mtu: None },
            ],
        })
    }

    fn check(&mut self, world: &World, node: &str, request: &Request, before: &Answer) -> Result<(), Error> {
        request.validate()?;
        let known = self.pods.get(&request.container_id);
        let programs = world.namespaces.get(node).and_then(|host| host.programs.as_ref());
        let is_endpoint =
            known.zip(programs).is_some_and(|(pod, programs)| programs.endpoints.contains_key(&pod.address));
        if !is_endpoint {
            return Err(Error::new(Code::Internal, "the pod is no endpoint of the agent"));
        }
        // The first route goes to the gateway itself, and through none.
        let routes = before.routes.iter().filter(|route| route.gw.is_some()).cloned().collect();
        check_as_made(world, node, request, &Answer { routes, ..before.clone() })
    }

    fn del(&mut self, world: &mut World, node: &str, request: &Request) -> Result<(), Error> {
        if let Some(pod) = self.pods.remove(&request.container_id)
            && let Some(programs) = world.namespaces.get_mut(node).and_then(|host| host.programs.as_mut())
        {
            programs.endpoints.remove(&pod.address);
        }
        if let Some((_, addresses)) = self.nodes.get_mut(node) {
            addresses.release(&request.container_id);
        }
        remove_pair(world, request);
        Ok(())
    }

    fn forget(&mut self, node: &str) {
        if let Some((range, _)) = self.nodes.remove(node) {
            // A range that was given out is in the pool.
            let _ = self.ranges.release(range);
        }
        self.pods.retain(|_, pod| pod.node != node);
    }

    fn label(&mut self, pod: &str, labels: BTreeMap<String, String>) {
        Cilium::label(self, pod, labels);
    }

    fn rules(&self) -> Vec<Rule> {
        vec![Rule {
            hook: Some(Hook::Postrouting),
            source: Some((false, self.pool)),
            destination: Some((true, self.pool)),
            output: Some("eth0".into()),
            what: "CILIUM_POST_nat: from a pod to the outside".into(),
            action: Action::Translate(Nat::Masquerade),
            ..Rule::default()
        }]
    }
}

fn single(address: IpAddr) -> Cidr {
    Cidr { address, prefix: bits(address) }
}

fn host_end(container: &str) -> String {
    let hash = Mac::of(&format!("lxc/{container}")).to_string().replace(':', "");
    format!("lxc{hash}")
}
