//! Flannel: a range of addresses for each node, and one way to each other node.
//!
//! Its agent, flanneld, gives the node a VXLAN interface, writes into the node's annotations which Ethernet address that has, and follows the
//! annotations of others. Its CNI plugin only writes the configuration for the plugins `bridge` and `host-local`. It knows
//! nothing of NetworkPolicy: the API server takes policies, and nobody enforces them.
//!
//! What is decided here is asked of the module of `network/pod_network`. Sources: `pkg/backend`, `pkg/subnet/kube` and
//! `pkg/trafficmngr/iptables` of flannel, `flannel_linux.go` of its CNI plugin, `plugins/main/bridge` of containernetworking/plugins.

use super::cluster::{Node, Plugin};
use super::cni::{Answer, Code, Error, Given, Made, Request, ToRoute};
use super::packet::Mac;
use super::rules::{Action, Hook, Nat, Rule};
use super::world::{self, Interface, Kind, Namespace, To, VXLAN_PORT, World};
use crate::ipam::cidr::{Cidr, number};
use kit_contract::network::pod_network::{self as contract, Backend, Change, PodNetwork, Tables};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

/// The VXLAN interface, after the network's identifier.
pub const VXLAN_DEVICE: &str = "flannel.1";
/// The IPIP interface.
pub const IPIP_DEVICE: &str = "tunl0";
/// The bridge of the node's pods.
pub const BRIDGE: &str = "cni0";
/// The identifier of the network unless something else is configured.
pub const VNI: u32 = 1;
/// The annotations of a node.
const BACKEND_DATA: &str = "flannel.alpha.coreos.com/backend-data";
const BACKEND_TYPE: &str = "flannel.alpha.coreos.com/backend-type";
const PUBLIC_IP: &str = "flannel.alpha.coreos.com/public-ip";
/// kube-proxy's mark for packets that it masquerades itself.
const KUBE_PROXY_MARK: u32 = 0x4000;

/// The plugin.
pub struct Flannel {
    module: Box<dyn PodNetwork>,
    network: contract::Network,
    /// Nodes whose agent has written `/run/flannel/subnet.env`. It says what pods get, and stays while the agent is down.
    env: BTreeMap<String, contract::Node>,
    leases: BTreeMap<String, Leases>,
}

/// The addresses of one node's pods, as `host-local` has them on the node's disk.
#[derive(Debug, Default)]
struct Leases {
    by_container: BTreeMap<String, Ipv4Addr>,
    last: Option<Ipv4Addr>,
}

impl Flannel {
    /// Pods in `pods` (`net-conf.json`: `Network`), by this backend.
    pub fn new(module: Box<dyn PodNetwork>, pods: contract::Cidr, backend: Backend) -> Flannel {
        let network = contract::Network { pods, backend };
        Flannel { module, network, env: BTreeMap::new(), leases: BTreeMap::new() }
    }

    fn tunnel(&self, node: &Node, range: contract::Cidr, mac: Mac) -> Option<Interface> {
        let local = node.address.address;
        let own = Cidr { address: range.first().into(), prefix: 32 };
        let (name, kind, overhead) = match self.network.backend {
            Backend::Vxlan { .. } => {
                (VXLAN_DEVICE, Kind::Vxlan { vni: VNI, port: VXLAN_PORT, local }, world::VXLAN_OVERHEAD)
            }
            Backend::Ipip { .. } => (IPIP_DEVICE, Kind::Ipip { local }, world::IPIP_OVERHEAD),
            Backend::HostGw => return None,
        };
        let interface =
            Interface::new(&node.name, name, kind).with_mtu(node.mtu.saturating_sub(overhead)).with_address(own);
        Some(Interface { mac, ..interface })
    }

    fn refused(&self, node: &str, refusal: contract::Refusal) -> Error {
        let range = self.env.get(node).and_then(|node| node.range);
        let text = match (refusal, range) {
            (contract::Refusal::NoAddress, Some(range)) => {
                let (first, last) = (u32::from(range.first()) + 1, u32::from(range.last()) - 1);
                let (first, last) = (Ipv4Addr::from(first), Ipv4Addr::from(last));
                format!("failed to allocate for range 0: no IP addresses available in range set: {first}-{last}")
            }
            _ => "loadFlannelSubnetEnv failed: open /run/flannel/subnet.env: no such file or directory".into(),
        };
        Error::new(Code::Internal, &text)
    }
}

impl Plugin for Flannel {
    fn name(&self) -> &'static str {
        "flannel"
    }

    fn sync(&mut self, world: &mut World, nodes: &mut [Node], node: &str) -> Result<(), String> {
        let at =
            nodes.iter().position(|other| other.name == node).ok_or_else(|| format!("node {node:?} does not exist"))?;
        let me = &mut nodes[at];
        let range = me.pod_cidr.and_then(v4_range).ok_or_else(|| format!("node {node:?} pod cidr not assigned"))?;
        let host = world.namespaces.get_mut(node).ok_or_else(|| format!("there is no host {node}"))?;
        // After a restart the interface gets the address that the annotation holds (`GetStoredMacAddresses`).
        let mac = vtep_mac(me).and_then(|mac| mac.parse().ok()).unwrap_or_else(|| Mac::of(&format!("{node}/vtep")));
        if let Some(tunnel) = self.tunnel(me, range, mac)
            && host.interface(&tunnel.name).is_none()
        {
            host.interfaces.push(tunnel);
        }
        let (kind, data) = match self.network.backend {
            Backend::Vxlan { .. } => ("vxlan", format!("{{\"VNI\":{VNI},\"VtepMAC\":\"{mac}\"}}")),
            Backend::Ipip { .. } => ("ipip", "null".into()),
            Backend::HostGw => ("host-gw", "null".into()),
        };
        me.annotations.insert(BACKEND_TYPE.into(), kind.into());
        me.annotations.insert(BACKEND_DATA.into(), data);
        me.annotations.insert(PUBLIC_IP.into(), me.address.address.to_string());
        let own = as_contract(me).ok_or_else(|| format!("node {node:?} has no IPv4 address"))?;
        self.env.insert(node.into(), own.clone());

        let others = nodes.iter().filter(|other| other.name != node && other.annotations.contains_key(PUBLIC_IP));
        let others = others.filter_map(as_contract).collect();
        let request = contract::SyncRequest { node: own, others, network: self.network.clone(), tables: tables(host) };
        let mut said = Vec::new();
        for change in self.module.sync(&request) {
            said.extend(apply(host, &change).err());
            said.extend(leads_nowhere(host, &change).map(|what| format!("after `{change}`, for a moment, {what}")));
        }
        if said.is_empty() { Ok(()) } else { Err(said.join("; ")) }
    }

    fn add(&mut self, world: &mut World, _: &[Node], node: &str, request: &Request) -> Result<Answer, Error> {
        request.validate()?;
        if !world.namespaces.contains_key(&request.netns) {
            let text = format!("failed to open netns {:?}: no such file or directory", request.netns);
            return Err(Error::new(Code::Internal, &text));
        }
        let env = self.env.get(node).ok_or_else(|| self.refused(node, contract::Refusal::NoRange))?;
        let leases = self.leases.entry(node.into()).or_default();
        if let Some(there) = leases.by_container.get(&request.container_id) {
            let id = &request.container_id;
            let text = format!("{there} has been allocated to {id}, duplicate allocation is not allowed");
            return Err(Error::new(Code::Internal, &text));
        }
        let asked = contract::AttachRequest {
            node: env.clone(),
            network: self.network.clone(),
            used: leases.by_container.values().copied().collect(),
            last: leases.last,
        };
        let attachment = self.module.attach(&asked).map_err(|refusal| self.refused(node, refusal))?;
        let address = attachment.address.address;
        let leases = self.leases.entry(node.into()).or_default();
        leases.by_container.insert(request.container_id.clone(), address);
        leases.last = Some(address);
        let answer = bridge_add(world, node, request, &attachment);
        answer.map_err(|text| Error::new(Code::Internal, &text))
    }

    fn check(&mut self, world: &World, node: &str, request: &Request, before: &Answer) -> Result<(), Error> {
        request.validate()?;
        let held = self.leases.get(node).and_then(|leases| leases.by_container.get(&request.container_id));
        if held.is_none() {
            let text = format!("host-local: Failed to find address added by container {}", request.container_id);
            return Err(Error::new(Code::Internal, &text));
        }
        check_as_made(world, node, request, before)
    }

    fn del(&mut self, world: &mut World, node: &str, request: &Request) -> Result<(), Error> {
        if let Some(leases) = self.leases.get_mut(node) {
            leases.by_container.remove(&request.container_id);
        }
        remove_pair(world, request);
        Ok(())
    }

    fn forget(&mut self, node: &str) {
        self.env.remove(node);
        self.leases.remove(node);
    }

    /// `FLANNEL-POSTRTG` of each node, in its order.
    fn rules(&self) -> Vec<Rule> {
        let pods = wide(self.network.pods);
        let mut rules = Vec::new();
        for (host, range) in self.env.iter().filter_map(|(host, node)| Some((host, wide(node.range?)))) {
            let rule = |source, destination, what: &str, action| Rule {
                host: Some(host.clone()),
                hook: Some(Hook::Postrouting),
                source,
                destination,
                what: format!("FLANNEL-POSTRTG {what}"),
                action,
                ..Rule::default()
            };
            let masquerade = Action::Translate(Nat::Masquerade);
            let marked = Rule { mark: KUBE_PROXY_MARK, ..rule(None, None, "marked by kube-proxy", Action::Accept) };
            let multicast = Cidr { address: [224, 0, 0, 0].into(), prefix: 4 };
            rules.extend([
                marked,
                rule(Some((false, range)), Some((false, pods)), "from a pod here to a pod", Action::Accept),
                rule(Some((false, pods)), Some((false, range)), "from a pod to a pod here", Action::Accept),
                rule(Some((true, pods)), Some((false, range)), "from outside to a pod here", Action::Accept),
                rule(Some((false, pods)), Some((true, multicast)), "from a pod to the outside", masquerade),
                rule(Some((true, pods)), Some((false, pods)), "from outside to a pod elsewhere", masquerade),
            ]);
        }
        rules
    }
}

/// What `bridge` does once `host-local` has given an address.
fn bridge_add(
    world: &mut World,
    node: &str,
    request: &Request,
    attachment: &contract::Attachment,
) -> Result<Answer, String> {
    let mtu = attachment.mtu;
    let host = world.namespaces.get_mut(node).ok_or_else(|| format!("there is no host {node}"))?;
    if host.interface(BRIDGE).is_none() {
        let own = Cidr { address: attachment.gateway.into(), prefix: attachment.address.prefix };
        host.interfaces.push(Interface::new(node, BRIDGE, Kind::Bridge).with_mtu(mtu).with_address(own));
    }
    let bridge_mac = host.interface(BRIDGE).map(|bridge| bridge.mac.to_string()).unwrap_or_default();
    let outer = veth_name(request);
    world.add_veth((node, &outer), (&request.netns, &request.ifname), mtu);
    let port = world.namespaces.get_mut(node).and_then(|host| host.interface_mut(&outer));
    let port = port.ok_or_else(|| format!("failed to lookup {outer:?}"))?;
    (port.bridge, port.hairpin) = (Some(BRIDGE.into()), true);
    let port_mac = port.mac.to_string();
    let pod = world.namespaces.get_mut(&request.netns).ok_or("the pod is gone")?;
    let inner = pod.interface_mut(&request.ifname).ok_or("the pod's interface is gone")?;
    inner.addresses.push(wide(attachment.address));
    let inner_mac = inner.mac.to_string();
    let mut routes = attachment.routes.clone();
    routes.sort();
    for route in &routes {
        let to = To::Gateway { via: route.via.into(), device: request.ifname.clone(), onlink: false };
        let route = world::Route::new(wide(route.destination), to);
        pod.replace_route(route).map_err(|error| format!("failed to add route {error}"))?;
    }
    let made =
        |name: &str, mac, sandbox: &str| Made { name: name.into(), mac, mtu: Some(mtu), sandbox: sandbox.into() };
    Ok(Answer {
        cni_version: request.cni_version.clone(),
        interfaces: vec![
            made(BRIDGE, bridge_mac, ""),
            made(&outer, port_mac, ""),
            made(&request.ifname, inner_mac, &request.netns),
        ],
        ips: vec![Given {
            interface: Some(2),
            address: wide(attachment.address),
            gateway: Some(attachment.gateway.into()),
        }],
        routes: routes
            .iter()
            .map(|route| ToRoute { dst: wide(route.destination), gw: Some(route.via.into()), mtu: None })
            .collect(),
    })
}

/// Compares a pod's interface with what ADD said of it.
pub(super) fn check_as_made(world: &World, node: &str, request: &Request, before: &Answer) -> Result<(), Error> {
    let wrong = |text: String| Err(Error::new(Code::Internal, &text));
    for made in &before.interfaces {
        let namespace = if made.sandbox.is_empty() { node } else { &made.sandbox };
        let there = world.namespaces.get(namespace).and_then(|there| there.interface(&made.name));
        match there {
            None => return wrong(format!("interface {} of {namespace} is missing", made.name)),
            Some(there) if !there.up => return wrong(format!("interface {} of {namespace} is down", made.name)),
            Some(there) if !made.mac.is_empty() && there.mac.to_string() != made.mac => {
                return wrong(format!("interface {} has the MAC {}, not {}", made.name, there.mac, made.mac));
            }
            Some(_) => {}
        }
    }
    let Some(pod) = world.namespaces.get(&request.netns) else {
        return Err(Error::new(Code::UnknownContainer, &format!("there is no namespace {}", request.netns)));
    };
    for given in &before.ips {
        let has = pod.interface(&request.ifname).is_some_and(|inner| inner.addresses.contains(&given.address));
        if !has {
            return wrong(format!("{} has not the address {}", request.ifname, given.address));
        }
    }
    for route in &before.routes {
        let is_there = |there: &world::Route| {
            let via = match there.to {
                To::Gateway { via, .. } => Some(via),
                _ => None,
            };
            there.destination == route.dst && (route.gw.is_none() || via == route.gw)
        };
        if !pod.routes.iter().any(is_there) {
            return wrong(format!("the route to {} is missing", route.dst));
        }
    }
    Ok(())
}

/// Takes both ends of a pod's pair away, if they are there.
pub(super) fn remove_pair(world: &mut World, request: &Request) {
    if let Some(pod) = world.namespaces.get_mut(&request.netns) {
        pod.interfaces.retain(|inner| inner.name != request.ifname);
        pod.routes.retain(|route| route.device() != Some(&request.ifname));
    }
    let leads_there = |interface: &Interface| matches!(&interface.kind, Kind::Veth { namespace, name } if *namespace == request.netns && *name == request.ifname);
    for namespace in world.namespaces.values_mut() {
        let gone: BTreeSet<String> =
            namespace.interfaces.iter().filter(|i| leads_there(i)).map(|i| i.name.clone()).collect();
        namespace.interfaces.retain(|interface| !gone.contains(&interface.name));
        namespace.routes.retain(|route| route.device().is_none_or(|device| !gone.contains(device)));
        namespace.neighbours.retain(|neighbour| !gone.contains(&neighbour.device));
    }
}

/// The kernel allows 15 characters; the plugin draws eight of them.
fn veth_name(request: &Request) -> String {
    let hash = Mac::of(&format!("{}/{}", request.container_id, request.ifname)).to_string().replace(':', "");
    format!("veth{}", &hash[4..])
}

/// The tables of a host as an agent sees them.
pub fn tables(host: &Namespace) -> Tables {
    let mut tables = Tables::default();
    for route in &host.routes {
        if let (To::Gateway { via: IpAddr::V4(via), device, onlink }, Some(destination)) =
            (&route.to, narrow(route.destination))
        {
            let (via, device, onlink) = (*via, device.clone(), *onlink);
            tables.routes.push(contract::Route { destination, via, device, onlink });
        }
    }
    for neighbour in host.neighbours.iter().filter(|neighbour| neighbour.permanent) {
        if let IpAddr::V4(address) = neighbour.address {
            let (device, mac) = (neighbour.device.clone(), neighbour.mac.to_string());
            tables.neighbours.push(contract::Neighbour { address, device, mac });
        }
    }
    for entry in &host.forwarding {
        if let IpAddr::V4(remote) = entry.remote {
            let (device, mac) = (entry.device.clone(), entry.mac.to_string());
            tables.forwarding.push(contract::Forwarding { mac, device, remote });
        }
    }
    tables
}

/// Applies one change to the tables of a host.
///
/// # Errors
///
/// What the kernel would refuse.
pub fn apply(host: &mut Namespace, change: &Change) -> Result<(), String> {
    let mac = |text: &str| text.parse::<Mac>().map_err(|error| format!("{change}: {error}"));
    let absent = || format!("{change}: there is no such entry");
    let device_there = |host: &Namespace, device: &str| {
        host.interface(device).map(|_| ()).ok_or_else(|| format!("{change}: there is no interface {device}"))
    };
    match change {
        Change::SetRoute(route) => {
            let to = To::Gateway { via: route.via.into(), device: route.device.clone(), onlink: route.onlink };
            host.replace_route(world::Route::new(wide(route.destination), to))?;
        }
        Change::DeleteRoute(route) => {
            let fits = |there: &world::Route| {
                let via = match &there.to {
                    To::Gateway { via, device, .. } => *via == IpAddr::V4(route.via) && *device == route.device,
                    _ => false,
                };
                via && there.destination == wide(route.destination)
            };
            let at = host.routes.iter().position(fits).ok_or_else(absent)?;
            host.routes.remove(at);
        }
        Change::SetNeighbour(new) => {
            device_there(host, &new.device)?;
            let (address, device, mac) = (new.address.into(), new.device.clone(), mac(&new.mac)?);
            host.replace_neighbour(world::Neighbour { address, device, mac, permanent: true });
        }
        Change::DeleteNeighbour(old) => {
            let fits =
                |there: &world::Neighbour| there.address == IpAddr::V4(old.address) && there.device == old.device;
            let at = host.neighbours.iter().position(fits).ok_or_else(absent)?;
            host.neighbours.remove(at);
        }
        Change::SetForwarding(new) => {
            device_there(host, &new.device)?;
            let (mac, device, remote) = (mac(&new.mac)?, new.device.clone(), new.remote.into());
            host.replace_forwarding(world::Forwarding { mac, device, remote });
        }
        Change::DeleteForwarding(old) => {
            let mac = mac(&old.mac)?;
            let fits = |there: &world::Forwarding| there.mac == mac && there.device == old.device;
            let at = host.forwarding.iter().position(fits).ok_or_else(absent)?;
            host.forwarding.remove(at);
        }
    }
    Ok(())
}

/// Whether a route leads to the VXLAN interface after a change that lacks the neighbour or the forwarding entry that it needs.
fn leads_nowhere(host: &Namespace, change: &Change) -> Option<String> {
    let missing = |via: &IpAddr, device: &str| {
        let neighbour = host.neighbours.iter().find(|there| there.address == *via && there.device == device);
        let Some(neighbour) = neighbour else { return Some(format!("{via} is no neighbour")) };
        let is_known = host.forwarding.iter().any(|there| there.mac == neighbour.mac && there.device == device);
        (!is_known).then(|| format!("{} has no forwarding entry", neighbour.mac))
    };
    let is_touched = |route: &world::Route, via: &IpAddr| match change {
        Change::SetRoute(new) => route.destination == wide(new.destination),
        Change::SetNeighbour(new) => *via == IpAddr::V4(new.address),
        Change::DeleteNeighbour(old) => *via == IpAddr::V4(old.address),
        Change::DeleteForwarding(old) => {
            host.neighbours.iter().any(|n| n.address == *via && n.mac.to_string() == old.mac)
        }
        Change::SetForwarding(_) | Change::DeleteRoute(_) => false,
    };
    host.routes.iter().find_map(|route| match &route.to {
        To::Gateway { via, device, .. } if device == VXLAN_DEVICE && is_touched(route, via) => {
            missing(via, device).map(|what| format!("{route} leads nowhere: {what}"))
        }
        _ => None,
    })
}

/// A node is set up anew: its VXLAN interface gets another Ethernet address, and everything that its agent had written is gone.
pub fn reinstall(world: &mut World, nodes: &mut [Node], name: &str) {
    let Some(node) = nodes.iter_mut().find(|node| node.name == name) else { return };
    let before = vtep_mac(node).unwrap_or_default();
    let Some(host) = world.namespaces.get_mut(name) else { return };
    let mac = Mac::of(&format!("{name}/{before}"));
    if let Some(device) = host.interface_mut(VXLAN_DEVICE) {
        device.mac = mac;
        node.annotations.insert(BACKEND_DATA.into(), format!("{{\"VNI\":{VNI},\"VtepMAC\":\"{mac}\"}}"));
    }
    host.routes.retain(|route| !matches!(route.device(), Some(VXLAN_DEVICE | IPIP_DEVICE)));
    host.neighbours.retain(|neighbour| neighbour.device != VXLAN_DEVICE);
    host.forwarding.retain(|entry| entry.device != VXLAN_DEVICE);
}

/// The Ethernet address of a node's VXLAN interface, as its annotation has it.
pub fn vtep_mac(node: &Node) -> Option<String> {
    let data: serde_json::Value = serde_json::from_str(node.annotations.get(BACKEND_DATA)?).ok()?;
    data["VtepMAC"].as_str().map(str::to_string)
}

fn as_contract(node: &Node) -> Option<contract::Node> {
    Some(contract::Node {
        name: node.name.clone(),
        address: match node.address.address {
            IpAddr::V4(address) => address,
            IpAddr::V6(_) => return None,
        },
        subnet: narrow(node.subnet())?,
        mtu: node.mtu,
        range: node.pod_cidr.and_then(v4_range),
        mac: vtep_mac(node),
    })
}

/// A range that pods can get addresses of.
fn v4_range(cidr: Cidr) -> Option<contract::Cidr> {
    narrow(cidr).filter(|cidr| cidr.prefix <= 30)
}

fn narrow(cidr: Cidr) -> Option<contract::Cidr> {
    let is_v4 = cidr.address.is_ipv4();
    let address = u32::try_from(number(cidr.address)).ok().filter(|_| is_v4)?;
    Some(contract::Cidr { address: address.into(), prefix: cidr.prefix })
}

fn wide(cidr: contract::Cidr) -> Cidr {
    Cidr { address: cidr.address.into(), prefix: cidr.prefix }
}
