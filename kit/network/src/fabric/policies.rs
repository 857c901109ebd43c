//! NetworkPolicies, as the agents of a plugin know them: each node has its own copy, which is as old as its agent's last word.

use super::Kind;
use crate::datapath::packet::{Flow, Protocol};
use crate::policy::objects;
use imbl::OrdMap;
use kit_api::core::{self, Namespace};
use kit_api::networking::NetworkPolicy;
use kit_api::pod;
use kit_apimachinery::object::{About, Key, Kind as ObjectKind};
use kit_client::cache::Cache;
use kit_contract::Modules;
use kit_contract::network::NetworkPolicies;
use kit_contract::network::network_policy::{
    Connection, End, NamedPort, Pod, Policy, Protocol as PolicyProtocol, Side,
};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::rc::Rc;

/// The policies of all nodes.
pub struct Policies {
    /// None where nobody enforces them.
    module: Option<Box<dyn NetworkPolicies>>,
    /// What the API has.
    latest: Rc<View>,
    /// The address that each pod has there, by its key.
    addresses: BTreeMap<Key, IpAddr>,
    /// What each node's agent has made of it.
    nodes: BTreeMap<String, Rc<View>>,
}

/// What the API had at some time. Agents that heard of it at different times share what has not changed since.
#[derive(Clone, Default)]
struct View {
    policies: Rc<Vec<Policy>>,
    /// Pods with their own address, and the node of each.
    pods: OrdMap<IpAddr, (String, Rc<Pod>)>,
    labels: OrdMap<String, BTreeMap<String, String>>,
}

/// What has changed in the API since it was last read.
#[derive(Debug, Default)]
pub struct Unread {
    pods: BTreeSet<Key>,
    /// Namespaces whose labels may be others.
    namespaces: BTreeSet<String>,
    policies: bool,
}

impl Unread {
    /// Notes that an object of the API has changed, or is gone: whether that matters to policies.
    pub fn note(&mut self, key: &Key) -> bool {
        match key.kind {
            ObjectKind::Pod => _ = self.pods.insert(key.clone()),
            ObjectKind::Namespace => _ = self.namespaces.insert(key.name.to_string()),
            ObjectKind::NetworkPolicy => self.policies = true,
            _ => return false,
        }
        true
    }
}

/// What policies say about the first packet of a connection.
pub struct Said {
    /// Whether it goes on.
    pub passes: bool,
    /// Which of them said so, in words.
    pub lines: Vec<String>,
}

impl Policies {
    /// No policy yet. The verdicts are the module's, if the plugin enforces any.
    pub fn new(kind: Kind, modules: &Modules) -> Policies {
        let module = kind.enforces().then(|| modules.network_policy.make(&()));
        Policies { module, latest: Rc::default(), addresses: BTreeMap::new(), nodes: BTreeMap::new() }
    }

    /// The labels of a pod, as far as it was seen.
    pub fn labels(&self, pod: &str) -> BTreeMap<String, String> {
        self.latest.labels.get(pod).cloned().unwrap_or_default()
    }

    /// Reads what has changed in the API.
    pub fn read(&mut self, unread: &Unread, cache: &Cache) {
        let Policies { module, latest, addresses, .. } = self;
        let enforces = module.is_some();
        let view = Rc::make_mut(latest);
        let mut pods = unread.pods.clone();
        if enforces {
            for namespace in &unread.namespaces {
                pods.extend(cache.list::<core::Pod>(namespace).map(|pod| About::from(pod).key()));
            }
        }
        // An address may go from one of them to another.
        for address in pods.iter().filter_map(|key| addresses.remove(key)) {
            view.pods.remove(&address);
        }
        for key in pods {
            let place = format!("{}/{}", key.namespace, key.name);
            let Some(pod) = cache.fetch::<core::Pod>(&key.namespace, &key.name) else {
                view.labels.remove(&place);
                continue;
            };
            view.labels.insert(place, pod.metadata.labels.clone().unwrap_or_default());
            if let Some((address, node)) = own_address(pod).filter(|_| enforces) {
                view.pods.insert(address, (node.into(), Rc::new(read(pod, cache))));
                addresses.insert(key, address);
            }
        }
        if unread.policies && enforces {
            view.policies =
                Rc::new(cache.all::<NetworkPolicy>().filter_map(|policy| objects::read(policy).ok()).collect());
        }
    }

    /// The agent of a node takes over what was read last.
    pub fn apply(&mut self, node: &str) {
        self.nodes.insert(node.into(), self.latest.clone());
    }

    /// A node is gone.
    pub fn forget(&mut self, node: &str) {
        self.nodes.remove(node);
    }

    /// Whether a host lets a connection pass: the egress side of a pod that runs there, the ingress side of another one.
    pub fn judge(&self, host: &str, flow: &Flow) -> Said {
        let nothing = Said { passes: true, lines: Vec::new() };
        let (Some(module), Some(view)) = (&self.module, self.nodes.get(host)) else { return nothing };
        let protocol = match flow.protocol {
            Protocol::Tcp => PolicyProtocol::TCP,
            Protocol::Udp => PolicyProtocol::UDP,
            Protocol::Sctp => PolicyProtocol::SCTP,
            Protocol::Icmp | Protocol::Ipip => return nothing,
        };
        let known = |address: IpAddr| view.pods.get(&address);
        let here = |address: IpAddr| known(address).filter(|(node, _)| node == host).map(|(_, pod)| pod);
        let (from, to) = (flow.source.address, flow.destination.address);
        if view.policies.is_empty() || here(from).is_none() && here(to).is_none() {
            return nothing;
        }
        let end = |ip: IpAddr| End { ip, pod: known(ip).map(|(_, pod)| Pod::clone(pod)) };
        let connection = Connection { from: end(from), to: end(to), port: flow.destination.port, protocol };
        let verdict = module.judge(&view.policies, &connection);
        let mut said = nothing;
        let sides = [("egress", here(from), &verdict.egress), ("ingress", here(to), &verdict.ingress)];
        for (direction, pod, side) in sides {
            let Some(pod) = pod.filter(|_| !side.isolated_by.is_empty()) else { continue };
            said.passes &= !side.refuses();
            said.lines.push(told(direction, pod, side, &connection));
        }
        said
    }
}

fn told(direction: &str, pod: &Pod, side: &Side, connection: &Connection) -> String {
    let of = format!("{direction} of {}/{}", pod.namespace, pod.name);
    if side.refuses() {
        let by = side.isolated_by.join(", ");
        format!("{of}: {:?} {} is not admitted by {by}", connection.protocol, connection.port)
    } else {
        format!("{of}: admitted by {}", side.admitted_by.join(", "))
    }
}

/// The address and the node of a pod that has an address of its own. A pod with its node's network is, to policies, its
/// node.
fn own_address(pod: &core::Pod) -> Option<(IpAddr, &str)> {
    let on_host = pod.spec.as_ref().is_some_and(|spec| spec.host_network == Some(true));
    if on_host || pod::is_finished(pod) {
        return None;
    }
    let address = pod.status.as_ref()?.pod_ip.as_deref()?.parse().ok()?;
    Some((address, pod::node_name(pod)?))
}

/// What policies know of a pod.
fn read(pod: &core::Pod, cache: &Cache) -> Pod {
    let (namespace, name) = (text(&pod.metadata.namespace), text(&pod.metadata.name));
    let labels = pod.metadata.labels.clone().unwrap_or_default();
    let of_namespace = cache.fetch::<Namespace>("", &namespace).and_then(|space| space.metadata.labels.clone());
    Pod { namespace, name, labels, namespace_labels: of_namespace.unwrap_or_default(), ports: ports(pod) }
}

/// The ports of a pod's containers that have names.
fn ports(pod: &core::Pod) -> Vec<NamedPort> {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let ports = containers.flat_map(|container| container.ports.iter().flatten());
    let named = ports.filter_map(|port| {
        let protocol = match port.protocol.as_deref() {
            Some("UDP") => PolicyProtocol::UDP,
            Some("SCTP") => PolicyProtocol::SCTP,
            _ => PolicyProtocol::TCP,
        };
        Some(NamedPort { name: port.name.clone()?, port: u16::try_from(port.container_port).ok()?, protocol })
    });
    named.collect()
}

fn text(part: &Option<String>) -> String {
    part.clone().unwrap_or_default()
}
