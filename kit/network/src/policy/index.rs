//! Verdicts for a whole cluster, without looking at each policy for each connection.
//!
//! Pods with the same labels in the same namespace are one identity. Which policies isolate an identity, and which of their
//! rules mean another one, is worked out when it is first asked for and kept; a connection then only compares its port
//! and, where rules have ipBlocks, its address. A pod whose labels change gets another identity, and nothing else is
//! worked out anew.

use super::Direction;
use kit_api::rustc_hash::FxHashMap;
use kit_contract::api::selector::Labels;
use kit_contract::network::network_policy::{
    Connection, End, IpBlock, NamedPort, Pod, Policy, Port, PortRef, Protocol, Rule, Side, Verdict,
};
use std::net::IpAddr;
use std::rc::Rc;

/// A number for a namespace and labels.
type Identity = u32;

/// Peers that are no pods.
const OUTSIDE: Identity = Identity::MAX;

/// A pod of the cluster, by the order in which it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PodId(usize);

/// One end of a connection.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Peer {
    /// A pod, by its own address.
    Pod(PodId),
    /// An address outside.
    Address(IpAddr),
}

struct Known {
    identity: Identity,
    address: IpAddr,
    pod: Pod,
}

/// What a policy says of one peer.
struct Admission {
    policy: usize,
    /// Ports at which the peer is admitted whatever its address.
    ports: Vec<Rc<[Port]>>,
    /// Ports at which addresses of a network are.
    blocks: Vec<(IpBlock, Rc<[Port]>)>,
}

/// The policies that isolate one identity in one direction, in their order.
type Isolation = Rc<[Admission]>;

/// All policies and pods.
#[derive(Default)]
pub struct Index {
    policies: Vec<Policy>,
    by_namespace: FxHashMap<String, Vec<usize>>,
    pods: Vec<Known>,
    identities: Vec<(String, Labels, Labels)>,
    numbers: FxHashMap<(String, Labels, Labels), Identity>,
    isolations: FxHashMap<(Identity, Identity, Direction), Isolation>,
}

impl Index {
    /// An index of these policies, without pods.
    pub fn new(policies: Vec<Policy>) -> Self {
        let mut index = Index::default();
        for (at, policy) in policies.iter().enumerate() {
            index.by_namespace.entry(policy.namespace.clone()).or_default().push(at);
        }
        index.policies = policies;
        index
    }

    /// Adds a pod.
    pub fn add(&mut self, address: IpAddr, pod: Pod) -> PodId {
        let identity = self.identity(&pod);
        self.pods.push(Known { identity, address, pod });
        PodId(self.pods.len() - 1)
    }

    /// Gives a pod other labels.
    pub fn relabel(&mut self, pod: PodId, labels: Labels) {
        self.pods[pod.0].pod.labels = labels;
        let changed = self.pods[pod.0].pod.clone();
        self.pods[pod.0].identity = self.identity(&changed);
    }

    fn identity(&mut self, pod: &Pod) -> Identity {
        let key = (pod.namespace.clone(), pod.labels.clone(), pod.namespace_labels.clone());
        let next = self.identities.len() as Identity;
        let number = *self.numbers.entry(key.clone()).or_insert(next);
        if number == next {
            self.identities.push(key);
        }
        number
    }

    /// How many identities the pods have, or have had.
    pub fn identities(&self) -> usize {
        self.identities.len()
    }

    /// The verdict on a connection.
    pub fn judge(&mut self, from: Peer, to: Peer, port: u16, protocol: Protocol) -> Verdict {
        if let (Peer::Pod(one), Peer::Pod(other)) = (from, to)
            && self.is_same(one, other)
        {
            return Verdict { allowed: true, ..Verdict::default() };
        }
        let egress = self.side(Direction::Egress, from, to, to, port, protocol);
        let ingress = self.side(Direction::Ingress, to, from, to, port, protocol);
        Verdict { allowed: !egress.refuses() && !ingress.refuses(), egress, ingress }
    }

    /// Whether a connection passes, without the names of policies.
    pub fn allows(&mut self, from: Peer, to: Peer, port: u16, protocol: Protocol) -> bool {
        if let (Peer::Pod(one), Peer::Pod(other)) = (from, to)
            && self.is_same(one, other)
        {
            return true;
        }
        let mut passes = |direction, own, peer| {
            let isolation = self.isolation(direction, own, peer);
            let address = self.address(peer);
            let ports = self.ports(to);
            isolation.is_empty() || isolation.iter().any(|admission| admission.admits(address, ports, port, protocol))
        };
        passes(Direction::Egress, from, to) && passes(Direction::Ingress, to, from)
    }

    fn is_same(&self, one: PodId, other: PodId) -> bool {
        let (one, other) = (&self.pods[one.0].pod, &self.pods[other.0].pod);
        (&one.namespace, &one.name) == (&other.namespace, &other.name)
    }

    fn address(&self, peer: Peer) -> IpAddr {
        match peer {
            Peer::Pod(pod) => self.pods[pod.0].address,
            Peer::Address(address) => address,
        }
    }

    fn ports(&self, peer: Peer) -> &[NamedPort] {
        match peer {
            Peer::Pod(pod) => &self.pods[pod.0].pod.ports,
            Peer::Address(_) => &[],
        }
    }

    fn side(&mut self, direction: Direction, own: Peer, peer: Peer, to: Peer, port: u16, protocol: Protocol) -> Side {
        let isolation = self.isolation(direction, own, peer);
        let (address, ports) = (self.address(peer), self.ports(to));
        let mut side = Side::default();
        for admission in isolation.iter() {
            let name = &self.policies[admission.policy].name;
            side.isolated_by.push(name.clone());
            if admission.admits(address, ports, port, protocol) {
                side.admitted_by.push(name.clone());
            }
        }
        side
    }

    fn isolation(&mut self, direction: Direction, own: Peer, peer: Peer) -> Isolation {
        let Peer::Pod(own) = own else { return Rc::new([]) };
        let own = self.pods[own.0].identity;
        let peer = match peer {
            Peer::Pod(pod) => self.pods[pod.0].identity,
            Peer::Address(_) => OUTSIDE,
        };
        if let Some(known) = self.isolations.get(&(own, peer, direction)) {
            return known.clone();
        }
        let worked_out: Isolation = self.work_out(direction, own, peer).into();
        self.isolations.insert((own, peer, direction), worked_out.clone());
        worked_out
    }

    fn work_out(&self, direction: Direction, own: Identity, peer: Identity) -> Vec<Admission> {
        let (namespace, labels, _) = &self.identities[own as usize];
        let of_namespace = self.by_namespace.get(namespace).map(Vec::as_slice).unwrap_or_default();
        let isolating = of_namespace.iter().filter(|at| {
            let policy = &self.policies[**at];
            isolates(policy, direction) && policy.pod_selector.matches(labels)
        });
        let peer = self.identities.get(peer as usize);
        isolating
            .map(|at| {
                let mut admission = Admission { policy: *at, ports: Vec::new(), blocks: Vec::new() };
                rules(&self.policies[*at], direction).iter().for_each(|rule| admission.add(rule, namespace, peer));
                admission
            })
            .collect()
    }
}

/// Whether a policy is about a direction at all.
pub(super) fn isolates(policy: &Policy, direction: Direction) -> bool {
    match policy.policy_types.as_slice() {
        [] => direction == Direction::Ingress || !policy.egress.is_empty(),
        types => types.contains(&direction),
    }
}

/// The rules of a direction.
pub(super) fn rules(policy: &Policy, direction: Direction) -> &[Rule] {
    match direction {
        Direction::Ingress => &policy.ingress,
        Direction::Egress => &policy.egress,
    }
}

impl Admission {
    /// Adds what a rule says of a peer.
    fn add(&mut self, rule: &Rule, namespace: &str, peer: Option<&(String, Labels, Labels)>) {
        let ports: Rc<[Port]> = rule.ports.as_slice().into();
        let means = |allowed: &kit_contract::network::network_policy::Peer| {
            let Some((of, labels, of_namespace)) = peer else { return false };
            let in_namespace = match &allowed.namespace_selector {
                Some(selector) => selector.matches(of_namespace),
                None => of == namespace,
            };
            in_namespace && allowed.pod_selector.as_ref().is_none_or(|selector| selector.matches(labels))
        };
        if rule.peers.is_empty() || rule.peers.iter().any(|allowed| allowed.ip_block.is_none() && means(allowed)) {
            self.ports.push(ports);
            return;
        }
        let blocks = rule.peers.iter().filter_map(|allowed| allowed.ip_block.clone());
        self.blocks.extend(blocks.map(|block| (block, ports.clone())));
    }

    fn admits(&self, address: IpAddr, named: &[NamedPort], port: u16, protocol: Protocol) -> bool {
        let at =
            |ports: &[Port]| ports.is_empty() || ports.iter().any(|allowed| is_port(allowed, named, port, protocol));
        let within = |block: &IpBlock| {
            block.cidr.contains(address) && !block.except.iter().any(|except| except.contains(address))
        };
        self.ports.iter().any(|ports| at(ports)) || self.blocks.iter().any(|(block, ports)| within(block) && at(ports))
    }
}

fn is_port(allowed: &Port, named: &[NamedPort], port: u16, protocol: Protocol) -> bool {
    allowed.protocol == protocol
        && match &allowed.port {
            None => true,
            Some(PortRef::Number(first)) => (*first..=allowed.end_port.unwrap_or(*first)).contains(&port),
            Some(PortRef::Name(name)) => {
                named.iter().any(|known| known.name == *name && known.protocol == protocol && known.port == port)
            }
        }
}

/// A connection as a module is asked about it.
pub fn connection(index: &Index, from: Peer, to: Peer, port: u16, protocol: Protocol) -> Connection {
    let end = |peer| End {
        ip: index.address(peer),
        pod: match peer {
            Peer::Pod(pod) => Some(index.pods[pod.0].pod.clone()),
            Peer::Address(_) => None,
        },
    };
    Connection { from: end(from), to: end(to), port, protocol }
}
