//! NetworkPolicies as chains of iptables, in the way of Calico's agent Felix.
//!
//! Each pod of a node has two chains: `cali-fw-` for what comes from it and `cali-tw-` for what goes to it. They jump to one
//! chain for each policy (`cali-po-` and `cali-pi-`), which sets a mark where it admits the packet. Selectors become sets of
//! addresses, so that a pod that comes or goes changes a set and no chain.
//!
//! Sources: `felix/rules/{endpoints,policy}.go` for chains and marks, `libcalico-go/lib/backend/k8s/conversion` for what a
//! NetworkPolicy becomes. Names that are too long get a hash, here another one than Felix'.

use super::Direction;
use super::index::{isolates, rules};
use kit_api::cidr::{Cidr, bits};
use kit_contract::network::network_policy::{Connection, End, Peer, Policy, Port, PortRef, Protocol, Rule};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

/// Set where a policy admits the packet.
pub const ACCEPTED: u32 = 0x10000;
/// Set where a policy leaves the packet to the next tier; NetworkPolicies never do.
pub const PASSED: u32 = 0x20000;
/// Set while a packet has met no exception of an ipBlock.
pub const NOT_EXCEPTED: u32 = 0x40000;

/// A condition of a rule.
#[derive(Debug, Clone, PartialEq)]
pub enum Match {
    /// The packet belongs to a connection that was let through before.
    Established,
    /// `-m mark --mark value/mask`
    Mark(u32, u32),
    /// `-p`
    Protocol(Protocol),
    /// `--dports first:last`
    Ports(u16, u16),
    /// `--match-set NAME src` or `dst`, by address.
    Set(String, Side),
    /// `--match-set NAME dst,dst`: address, protocol and port of the destination.
    NamedPort(String),
    /// `-s` or `-d`
    Net(Cidr, Side),
}

/// Which address of the packet is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// That of the source.
    Source,
    /// That of the destination.
    Destination,
}

/// What a rule does with the packets that match.
#[derive(Debug, Clone, PartialEq)]
pub enum Target {
    /// Through, whatever follows.
    Accept,
    /// Away.
    Drop,
    /// Back to where the chain was jumped to.
    Return,
    /// Through another chain, and on if that returns.
    Jump(String),
    /// Sets the bits of the mask to the value.
    SetMark(u32, u32),
}

/// Conditions, all of which must hold, and what follows.
#[derive(Debug, Clone, PartialEq)]
pub struct ChainRule {
    /// The conditions.
    pub matches: Vec<Match>,
    /// What follows.
    pub target: Target,
    /// What Felix writes beside it.
    pub comment: &'static str,
}

/// Members of a set.
#[derive(Debug, Clone, PartialEq)]
pub enum Set {
    /// `hash:net`
    Addresses(BTreeSet<IpAddr>),
    /// `hash:ip,port`
    Ports(BTreeSet<(IpAddr, Protocol, u16)>),
}

/// The chains of one node, or of as many pods as were added.
#[derive(Debug, Clone, Default)]
pub struct Tables {
    /// Chains by name.
    pub chains: BTreeMap<String, Vec<ChainRule>>,
    /// Sets by name.
    pub sets: BTreeMap<String, Set>,
}

/// What became of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was accepted.
    Accepted,
    /// It was dropped.
    Dropped,
}

/// A name that the kernel takes: `-` and what it is about, or a hash of it.
fn short(prefix: &str, text: &str, most: usize) -> String {
    if prefix.len() + text.len() <= most {
        return format!("{prefix}{text}");
    }
    let hash = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{prefix}_{hash:016x}")
}

fn workload_chain(direction: Direction, namespace: &str, pod: &str) -> String {
    let prefix = if direction == Direction::Ingress { "cali-tw-" } else { "cali-fw-" };
    short(prefix, &format!("{namespace}.{pod}"), 28)
}

fn policy_chain(direction: Direction, policy: &Policy) -> String {
    let prefix = if direction == Direction::Ingress { "cali-pi-" } else { "cali-po-" };
    short(prefix, &format!("{}/knp.default.{}", policy.namespace, policy.name), 28)
}

fn rule(matches: Vec<Match>, target: Target, comment: &'static str) -> ChainRule {
    ChainRule { matches, target, comment }
}

impl Tables {
    /// Writes the chains of one pod, of the policies that isolate it, and the sets that these need; `pods` are all pods of
    /// the cluster.
    pub fn add(&mut self, own: &End, policies: &[Policy], pods: &[End]) {
        let Some(pod) = &own.pod else { return };
        for direction in [Direction::Ingress, Direction::Egress] {
            let mut chain = vec![
                rule(vec![Match::Established], Target::Accept, ""),
                rule(vec![], Target::SetMark(0, ACCEPTED), ""),
            ];
            let isolating: Vec<_> = policies
                .iter()
                .filter(|policy| policy.namespace == pod.namespace && isolates(policy, direction))
                .filter(|policy| policy.pod_selector.matches(&pod.labels))
                .collect();
            let returns = |comment| rule(vec![Match::Mark(ACCEPTED, ACCEPTED)], Target::Return, comment);
            if !isolating.is_empty() {
                chain.push(rule(vec![], Target::SetMark(0, PASSED), "Start of tier default"));
                for policy in &isolating {
                    let name = policy_chain(direction, policy);
                    self.add_policy(&name, direction, policy, pods);
                    chain.push(rule(vec![Match::Mark(0, PASSED)], Target::Jump(name), ""));
                    chain.push(returns("Return if policy accepted"));
                }
                chain.push(rule(vec![Match::Mark(0, PASSED)], Target::Drop, "Drop if no policies passed packet"));
            }
            // The profile of a namespace admits what no policy is about.
            let prefix = if direction == Direction::Ingress { "cali-pri-" } else { "cali-pro-" };
            let profile = short(prefix, &format!("kns.{}", pod.namespace), 28);
            let admits = rule(vec![], Target::SetMark(ACCEPTED, ACCEPTED), "Profile allows");
            self.chains.entry(profile.clone()).or_insert(vec![admits, returns("")]);
            chain.push(rule(vec![], Target::Jump(profile), ""));
            chain.push(returns("Return if profile accepted"));
            chain.push(rule(vec![], Target::Drop, "Drop if no profiles matched"));
            self.chains.insert(workload_chain(direction, &pod.namespace, &pod.name), chain);
        }
    }

    fn add_policy(&mut self, name: &str, direction: Direction, policy: &Policy, pods: &[End]) {
        if self.chains.contains_key(name) {
            return;
        }
        let mut chain = Vec::new();
        for allowed in rules(policy, direction) {
            self.add_rule(&mut chain, direction, policy, allowed, pods);
        }
        self.chains.insert(name.to_string(), chain);
    }

    /// A rule becomes one for each pair of a peer and a port.
    fn add_rule(
        &mut self,
        chain: &mut Vec<ChainRule>,
        direction: Direction,
        policy: &Policy,
        allowed: &Rule,
        pods: &[End],
    ) {
        let everybody = [Peer::default()];
        let peers = if allowed.peers.is_empty() { &everybody[..] } else { &allowed.peers };
        let ports: Vec<Option<&Port>> =
            if allowed.ports.is_empty() { vec![None] } else { allowed.ports.iter().map(Some).collect() };
        let end = if direction == Direction::Ingress { Side::Source } else { Side::Destination };
        for peer in peers {
            for port in &ports {
                let mut matches = Vec::new();
                if let Some(block) = &peer.ip_block {
                    // A rule can have one address that must not match; a mark stands for any number of them.
                    if !block.except.is_empty() {
                        chain.push(rule(vec![], Target::SetMark(NOT_EXCEPTED, NOT_EXCEPTED), ""));
                        for except in &block.except {
                            chain.push(rule(vec![Match::Net(*except, end)], Target::SetMark(0, NOT_EXCEPTED), ""));
                        }
                        matches.push(Match::Mark(NOT_EXCEPTED, NOT_EXCEPTED));
                    }
                    matches.push(Match::Net(block.cidr, end));
                } else if peer != &Peer::default() {
                    matches.push(Match::Set(self.selected(policy, peer, pods), end));
                }
                if let Some(port) = port {
                    matches.push(Match::Protocol(port.protocol));
                    match &port.port {
                        None => {}
                        Some(PortRef::Number(first)) => {
                            matches.push(Match::Ports(*first, port.end_port.unwrap_or(*first)));
                        }
                        Some(PortRef::Name(name)) => {
                            matches.push(Match::NamedPort(self.named(name, port.protocol, pods)));
                        }
                    }
                }
                chain.push(rule(matches, Target::SetMark(ACCEPTED, ACCEPTED), "Policy allows"));
                chain.push(rule(vec![Match::Mark(ACCEPTED, ACCEPTED)], Target::Return, ""));
            }
        }
    }

    fn selected(&mut self, policy: &Policy, peer: &Peer, pods: &[End]) -> String {
        let of = match &peer.namespace_selector {
            Some(selector) => format!("namespaces {selector}"),
            None => format!("namespace {}", policy.namespace),
        };
        let own = peer.pod_selector.as_ref().map(ToString::to_string).unwrap_or_default();
        let name = short("cali40s:", &format!("{of}, pods {own}"), 31);
        let selected = pods.iter().filter(|end| {
            end.pod.as_ref().is_some_and(|pod| {
                let here = match &peer.namespace_selector {
                    Some(selector) => selector.matches(&pod.namespace_labels),
                    None => pod.namespace == policy.namespace,
                };
                here && peer.pod_selector.as_ref().is_none_or(|selector| selector.matches(&pod.labels))
            })
        });
        let members = selected.map(|end| end.ip).collect();
        self.sets.insert(name.clone(), Set::Addresses(members));
        name
    }

    fn named(&mut self, port: &str, protocol: Protocol, pods: &[End]) -> String {
        let name = short("cali40n:", &format!("{protocol:?} {port}"), 31);
        let members = pods.iter().flat_map(|end| {
            let ports = end.pod.iter().flat_map(|pod| &pod.ports);
            let ports = ports.filter(|known| known.name == port && known.protocol == protocol);
            ports.map(|known| (end.ip, protocol, known.port))
        });
        self.sets.insert(name.clone(), Set::Ports(members.collect()));
        name
    }

    /// Follows the first packet of a connection through the chains of its pods.
    pub fn follow(&self, connection: &Connection) -> Outcome {
        let sides = [(Direction::Egress, &connection.from), (Direction::Ingress, &connection.to)];
        let accepted = sides.into_iter().all(|(direction, end)| match &end.pod {
            None => true,
            Some(pod) => {
                let mut mark = 0;
                let name = workload_chain(direction, &pod.namespace, &pod.name);
                match self.walk(&name, connection, &mut mark) {
                    Some(outcome) => outcome == Outcome::Accepted,
                    None => mark & ACCEPTED != 0,
                }
            }
        });
        if accepted { Outcome::Accepted } else { Outcome::Dropped }
    }

    /// What the chain decides; none if it returns.
    fn walk(&self, name: &str, connection: &Connection, mark: &mut u32) -> Option<Outcome> {
        for rule in self.chains.get(name).into_iter().flatten() {
            if !rule.matches.iter().all(|wanted| self.holds(wanted, connection, *mark)) {
                continue;
            }
            match &rule.target {
                Target::Accept => return Some(Outcome::Accepted),
                Target::Drop => return Some(Outcome::Dropped),
                Target::Return => return None,
                Target::SetMark(value, mask) => *mark = (*mark & !mask) | value,
                Target::Jump(chain) => {
                    if let Some(outcome) = self.walk(chain, connection, mark) {
                        return Some(outcome);
                    }
                }
            }
        }
        None
    }

    fn holds(&self, wanted: &Match, connection: &Connection, mark: u32) -> bool {
        let address = |end: Side| if end == Side::Source { connection.from.ip } else { connection.to.ip };
        match wanted {
            Match::Established => false,
            Match::Mark(value, mask) => mark & mask == *value,
            Match::Protocol(protocol) => connection.protocol == *protocol,
            Match::Ports(first, last) => (*first..=*last).contains(&connection.port),
            Match::Net(net, end) => net.contains(address(*end)),
            Match::Set(name, end) => {
                matches!(self.sets.get(name), Some(Set::Addresses(members)) if members.contains(&address(*end)))
            }
            Match::NamedPort(name) => {
                let member = (connection.to.ip, connection.protocol, connection.port);
                matches!(self.sets.get(name), Some(Set::Ports(members)) if members.contains(&member))
            }
        }
    }
}

impl fmt::Display for Match {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = |end: &Side| if *end == Side::Source { ("-s", "src") } else { ("-d", "dst") };
        match self {
            Match::Established => write!(f, "-m conntrack --ctstate RELATED,ESTABLISHED"),
            Match::Mark(value, mask) => write!(f, "-m mark --mark {value:#x}/{mask:#x}"),
            Match::Protocol(protocol) => write!(f, "-p {}", format!("{protocol:?}").to_lowercase()),
            Match::Ports(first, last) if first == last => write!(f, "-m multiport --dports {first}"),
            Match::Ports(first, last) => write!(f, "-m multiport --dports {first}:{last}"),
            Match::Set(name, end) => write!(f, "-m set --match-set {name} {}", side(end).1),
            Match::NamedPort(name) => write!(f, "-m set --match-set {name} dst,dst"),
            Match::Net(net, end) => write!(f, "{} {}/{}", side(end).0, net.first(), net.prefix.min(bits(net.address))),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Accept => write!(f, "ACCEPT"),
            Target::Drop => write!(f, "DROP"),
            Target::Return => write!(f, "RETURN"),
            Target::Jump(chain) => write!(f, "{chain}"),
            Target::SetMark(value, mask) => write!(f, "MARK --set-xmark {value:#x}/{mask:#x}"),
        }
    }
}

/// As `iptables-restore` reads them.
impl fmt::Display for Tables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "*filter")?;
        for name in self.chains.keys() {
            writeln!(f, ":{name} - [0:0]")?;
        }
        for (name, rules) in &self.chains {
            for rule in rules {
                write!(f, "-A {name}")?;
                if !rule.comment.is_empty() {
                    write!(f, " -m comment --comment \"{}\"", rule.comment)?;
                }
                for wanted in &rule.matches {
                    write!(f, " {wanted}")?;
                }
                writeln!(f, " -j {}", rule.target)?;
            }
        }
        writeln!(f, "COMMIT")
    }
}
