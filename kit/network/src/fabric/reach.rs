//! Who reaches whom: a name is resolved and a connection opened, as a program there would, and nothing of it stays.
//!
//! Who begins is `client` (outside of the cluster), a node, `pod/NAMESPACE/NAME`, or all pods of `deployment/NAMESPACE/NAME` and its like. Where it
//! goes is `NAME:PORT` as a program would write it, an address, `service/NAMESPACE/NAME:PORT` for its cluster IP, or `pod/NAMESPACE/NAME:PORT`;
//! after a port may stand `/udp`.

use super::Fabric;
use crate::datapath::cluster::{CLIENT, ROUTER};
use crate::datapath::packet::Protocol;
use kit_client::network::{Attempt, Failed, NotResolved, Reached};
use kit_time::agenda::Instant;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

/// So many connections are opened, since each may go to another endpoint.
const TRIES: usize = 12;

/// What was found out, and in which generation of the network.
pub(super) type Known = BTreeMap<(String, String), (u64, Looked)>;

/// How it went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Looked {
    /// Every connection came about.
    pub all: bool,
    /// Some did.
    pub any: bool,
    /// Who answered, or why not.
    pub seen: String,
}

/// Who opens connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum From {
    /// The client outside.
    Client,
    /// A node.
    Node(String),
    /// A pod.
    Pod(String, String),
    /// The pods of a workload: its kind, its namespace, its name.
    Workload(String, String, String),
}

/// Whom they are for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    whom: Whom,
    port: u16,
    protocol: Protocol,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Whom {
    /// A name to be resolved, a node's name, or an address.
    Name(String),
    Service(String, String),
    Pod(String, String),
}

impl From {
    /// Reads it.
    ///
    /// # Errors
    ///
    /// What would be right.
    pub fn read(text: &str) -> Result<From, String> {
        let parts: Vec<&str> = text.split('/').collect();
        let owned = |namespace: &str, name: &str| (namespace.to_string(), name.to_string());
        Ok(match parts[..] {
            [CLIENT] => From::Client,
            ["node", name] | [name] if !name.is_empty() => From::Node(name.into()),
            ["pod", name] => From::Pod("default".into(), name.into()),
            ["pod", namespace, name] => {
                let (namespace, name) = owned(namespace, name);
                From::Pod(namespace, name)
            }
            [kind @ ("deployment" | "deploy" | "daemonset" | "statefulset" | "job"), ref rest @ ..]
                if rest.len() < 3 =>
            {
                let (namespace, name) = match *rest {
                    [name] => owned("default", name),
                    [namespace, name] => owned(namespace, name),
                    _ => return Err(format!("`{text}` names no workload; `deployment/shop/web` would")),
                };
                From::Workload(kind.into(), namespace, name)
            }
            _ => {
                return Err(format!(
                    "connections come from `client`, a node, `pod/shop/web` or `deployment/shop/web`, and not `{text}`"
                ));
            }
        })
    }
}

impl Target {
    /// Reads it.
    ///
    /// # Errors
    ///
    /// What would be right.
    pub fn read(text: &str) -> Result<Target, String> {
        let wrong = || {
            format!("`{text}` is nothing to connect to; `web.shop:80`, `10.96.0.20:80` and `service/shop/web:80` are")
        };
        let (rest, protocol) = match text.strip_suffix("/udp") {
            Some(rest) => (rest, Protocol::Udp),
            None => (text.strip_suffix("/tcp").unwrap_or(text), Protocol::Tcp),
        };
        let (whom, port) = rest.rsplit_once(':').ok_or_else(wrong)?;
        let port = port.parse::<u16>().ok().filter(|port| *port > 0).ok_or_else(wrong)?;
        let parts: Vec<&str> = whom.split('/').collect();
        let whom = match parts[..] {
            ["service" | "svc", name] => Whom::Service("default".into(), name.into()),
            ["service" | "svc", namespace, name] => Whom::Service(namespace.into(), name.into()),
            ["pod", name] => Whom::Pod("default".into(), name.into()),
            ["pod", namespace, name] => Whom::Pod(namespace.into(), name.into()),
            ["node", name] | [name] if !name.is_empty() => Whom::Name(name.trim_matches(['[', ']']).into()),
            _ => return Err(wrong()),
        };
        Ok(Target { whom, port, protocol })
    }

    /// The same by UDP.
    pub fn by_udp(self) -> Target {
        Target { protocol: Protocol::Udp, ..self }
    }
}

/// One try: the address that it went to, and what came of it.
struct Try {
    name: Option<String>,
    ended: Result<(SocketAddr, Attempt), String>,
}

impl Fabric {
    /// Opens connections, several, and says what came of them.
    pub fn look(&mut self, from: &From, to: &Target) -> Looked {
        let key = (format!("{from:?}"), format!("{to:?}"));
        if let Some((generation, looked)) = self.reached.get(&key)
            && *generation == self.generation
        {
            return looked.clone();
        }
        let looked = self.without_a_trace(|fabric| fabric.try_all(from, to));
        self.reached.insert(key, (self.generation, looked.clone()));
        looked
    }

    /// Looks a name up from there, and says whether each of them has an address within this time.
    pub fn resolves(&mut self, from: &From, name: &str, within: Instant) -> Looked {
        let key = (format!("{from:?}"), format!("{name} within {within}"));
        if let Some((generation, looked)) = self.reached.get(&key)
            && *generation == self.generation
        {
            return looked.clone();
        }
        let looked = self.without_a_trace(|fabric| fabric.resolve_all(from, name, within));
        self.reached.insert(key, (self.generation, looked.clone()));
        looked
    }

    fn resolve_all(&mut self, from: &From, name: &str, within: Instant) -> Looked {
        let nobody = |seen| Looked { all: false, any: false, seen };
        let places = match self.places(from) {
            Ok(places) if places.is_empty() => return nobody(format!("{} has no pod in the network", shown(from))),
            Ok(places) => places,
            Err(seen) => return nobody(seen),
        };
        let found = places.iter().map(|place| {
            let conf = self.conf_of(place);
            let resolved = self.resolve_by(place, &conf, name);
            let why = match resolved.addresses {
                Ok(_) => format!("an address after {}", resolved.took),
                Err(NotResolved::Unknown) => format!("no name {name} is known there, after {}", resolved.took),
                Err(NotResolved::Silence) => format!("no DNS server answers within {}", resolved.took),
            };
            (resolved.addresses.is_ok() && resolved.took <= within, resolved.took, why)
        });
        let found: Vec<_> = found.collect();
        let (all, any) = (found.iter().all(|(is_fine, ..)| *is_fine), found.iter().any(|(is_fine, ..)| *is_fine));
        let worst = found.into_iter().max_by_key(|(is_fine, took, _)| (!is_fine, *took));
        Looked { all, any, seen: worst.map(|(.., why)| why).unwrap_or_default() }
    }

    /// Follows one connection, from the question for a name to the answer.
    ///
    /// # Errors
    ///
    /// If nobody is there who could open it.
    pub fn follow(&mut self, from: &From, to: &Target) -> Result<Vec<String>, String> {
        let places = self.places(from)?;
        let Some(place) = places.first().cloned() else {
            return Err(format!("{} has no pod in the network", shown(from)));
        };
        let mut lines = Vec::new();
        self.without_a_trace(|fabric| {
            let tried = fabric.try_once(&place, to);
            if let Some(name) = &tried.name {
                lines.push(format!("{place} looks for {name}"));
                lines.push(String::new());
            }
            match tried.ended {
                Ok((_, attempt)) => {
                    lines.extend(attempt.trace.iter().cloned());
                    lines.push(String::new());
                    lines.push(format!("{}, after {}", said(&attempt), attempt.took));
                }
                Err(why) => {
                    if why.contains("DNS") {
                        lines.extend(fabric.question_to_server(&place));
                        lines.push(String::new());
                    }
                    lines.push(why);
                }
            }
        });
        Ok(lines)
    }

    /// Lets packets go without anybody remembering them.
    fn without_a_trace<T>(&mut self, go: impl FnOnce(&mut Fabric) -> T) -> T {
        let before = (self.cluster.world.clone(), self.connections);
        let recent: Vec<_> = self.proxies.iter().map(|(node, proxy)| (node.clone(), proxy.recent.clone())).collect();
        let done = go(self);
        (self.cluster.world, self.connections) = before;
        for (node, recent) in recent {
            if let Some(proxy) = self.proxies.get_mut(&node) {
                proxy.recent = recent;
            }
        }
        done
    }

    fn try_all(&mut self, from: &From, to: &Target) -> Looked {
        let places = match self.places(from) {
            Ok(places) if places.is_empty() => {
                let seen = format!("{} has no pod in the network", shown(from));
                return Looked { all: false, any: false, seen };
            }
            Ok(places) => places,
            Err(seen) => return Looked { all: false, any: false, seen },
        };
        let (mut good, mut bad) = (BTreeSet::new(), BTreeMap::<String, usize>::new());
        let tries = TRIES.max(places.len());
        for place in places.iter().cycle().take(tries) {
            match self.try_once(place, to).ended {
                Ok((at, Attempt { end: Ok(reached), .. })) => _ = good.insert(who(&reached, at)),
                Ok((_, attempt)) => *bad.entry(said(&attempt)).or_default() += 1,
                Err(why) => {
                    // Without a name every other try ends in the same way.
                    *bad.entry(why).or_default() += 1;
                    if places.len() == 1 {
                        break;
                    }
                }
            }
        }
        let (all, any) = (bad.is_empty(), !good.is_empty());
        let answered = good.into_iter().collect::<Vec<_>>().join(", ");
        let failed: usize = bad.values().sum();
        let why = bad.into_keys().next().unwrap_or_default();
        let seen = match (all, any) {
            (true, _) => format!("{answered} answers"),
            (_, false) => why,
            _ => format!("{failed} of {tries} connections fail: {why}"),
        };
        Looked { all, any, seen }
    }

    pub(super) fn places(&self, from: &From) -> Result<Vec<String>, String> {
        match from {
            From::Client => Ok(vec![CLIENT.into()]),
            From::Node(name) => {
                let is_there = self.cluster.nodes.iter().any(|node| node.name == *name);
                is_there.then(|| vec![name.clone()]).ok_or_else(|| format!("there is no node `{name}` in the network"))
            }
            From::Pod(namespace, pod) => Ok(self.pods(|n, p| n == namespace && p == pod)),
            From::Workload(kind, namespace, name) => Ok(self.pods(|n, pod| n == namespace && is_of(pod, kind, name))),
        }
    }

    fn pods(&self, wanted: impl Fn(&str, &str) -> bool) -> Vec<String> {
        let found = self.sandboxes.iter().filter(|(sandbox, _)| wanted(&sandbox.namespace, &sandbox.pod));
        found.filter(|(sandbox, _)| !self.crashed.contains(&sandbox.node)).map(|(_, name)| name.clone()).collect()
    }

    fn try_once(&mut self, place: &str, to: &Target) -> Try {
        let (name, address) = match &to.whom {
            Whom::Name(name) => match self.address(place, name) {
                Ok((name, address)) => (name, address),
                Err(why) => return Try { name: Some(name.clone()), ended: Err(why) },
            },
            Whom::Service(namespace, service) => {
                let found = self.names.addresses_of(namespace, service).and_then(|all| all.first().copied());
                let Some(address) = found else {
                    let why = format!("the Service {namespace}/{service} has no cluster IP");
                    return Try { name: None, ended: Err(why) };
                };
                (None, address)
            }
            Whom::Pod(namespace, pod) => {
                let names = self.pods(|n, p| n == namespace && p == pod);
                let found = names.first().and_then(|name| self.cluster.address(name));
                let Some(address) = found else {
                    let why = format!("the pod {namespace}/{pod} has no network");
                    return Try { name: None, ended: Err(why) };
                };
                (None, address)
            }
        };
        let to_address = SocketAddr::new(address, to.port);
        let attempt = self.connect_from(place, to.protocol, to_address);
        Try { name, ended: Ok((to_address, attempt)) }
    }

    /// The address that a name leads to from there, and the whole name if DNS was asked.
    fn address(&mut self, place: &str, name: &str) -> Result<(Option<String>, IpAddr), String> {
        if let Ok(address) = name.parse() {
            return Ok((None, address));
        }
        let is_machine = name == CLIENT || self.cluster.nodes.iter().any(|node| node.name == name);
        if let Some(address) = self.cluster.address(name).filter(|_| is_machine) {
            return Ok((None, address));
        }
        let conf = self.conf_of(place);
        let resolved = self.resolve_by(place, &conf, name);
        match resolved.addresses {
            Ok(addresses) => {
                // Connections go to the addresses of a headless Service in turn.
                let at = (self.connections % addresses.len().max(1) as u64) as usize;
                let address = addresses.get(at).copied().ok_or_else(|| format!("{name} has no address"))?;
                Ok((Some(resolved.name), address))
            }
            Err(NotResolved::Unknown) => Err(format!("no name {name} is known there")),
            Err(NotResolved::Silence) => Err(format!("no DNS server answers within {}", resolved.took)),
        }
    }
}

/// Whether a pod's name is one that a workload of this kind gives its pods.
fn is_of(pod: &str, kind: &str, workload: &str) -> bool {
    let Some(rest) = pod.strip_prefix(workload).and_then(|rest| rest.strip_prefix('-')) else { return false };
    let parts = rest.split('-').count();
    match kind {
        "deployment" | "deploy" => parts == 2,
        "statefulset" => rest.bytes().all(|byte| byte.is_ascii_digit()),
        _ => parts == 1,
    }
}

pub(super) fn shown(from: &From) -> String {
    match from {
        From::Client => CLIENT.into(),
        From::Node(name) => name.clone(),
        From::Pod(namespace, name) => format!("pod/{namespace}/{name}"),
        From::Workload(kind, namespace, name) => format!("{kind}/{namespace}/{name}"),
    }
}

fn who(reached: &Reached, at: SocketAddr) -> String {
    match &reached.pod {
        Some((_, pod)) => pod.clone(),
        None => at.ip().to_string(),
    }
}

/// What came of a connection, in words.
fn said(attempt: &Attempt) -> String {
    // The step with which a walk ends says why, and the last walk is the one that went wrong.
    let dropped = attempt.trace.iter().rev().find(|line| line.contains("  dropped  "));
    let why = dropped.map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (place, reason) = line.split_once("  dropped  ").unwrap_or_default();
        let at = place.split_whitespace().next().or(words.first().copied()).unwrap_or(ROUTER);
        format!(" ({at}: {})", reason.trim())
    });
    let why = why.unwrap_or_default();
    match &attempt.end {
        Ok(reached) => format!("{} answers", who(reached, reached.at)),
        Err(Failed::Refused) => format!("refused{why}"),
        Err(Failed::Unreachable) => format!("unreachable{why}"),
        Err(Failed::Silence) => format!("no answer{why}"),
    }
}
