//! What kubelets and containers ask of the network.

use super::{Fabric, Kind, ON_NODES};
use crate::datapath::packet::{Icmp, Packet, Protocol};
use crate::datapath::sandbox::{self, Retry};
use crate::datapath::trace::{Outcome, Reason, Walk};
use crate::datapath::world::Interface;
use kit_client::network::{self, Attempt, Failed, Network, Reached, Refused, Resolved, Sandbox};
use kit_time::agenda::Instant;
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

/// From a packet to its answer, wherever both are.
pub(super) const ROUND_TRIP: Instant = Instant::millis(1);
/// Linux gives up on a connection that nobody answers after 1 + 2 + 4 + … + 64 seconds (`tcp_syn_retries` 6).
const NO_ANSWER: Instant = Instant::seconds(127);
/// And on one that had answers after about a quarter of an hour (`tcp_retries2` 15).
const STALLED: Instant = Instant::seconds(924);
/// A host asks three times, a second apart, who has an address on its wire.
const NO_NEIGHBOUR: Instant = Instant::seconds(3);
/// How often a sender tries anew with what it was told to fit.
const SMALLER: usize = 4;

impl From<network::Protocol> for Protocol {
    fn from(protocol: network::Protocol) -> Self {
        match protocol {
            network::Protocol::Tcp => Protocol::Tcp,
            network::Protocol::Udp => Protocol::Udp,
        }
    }
}

fn refused(retry: Retry) -> Refused {
    let after = |millis: u64| Instant::millis(i64::try_from(millis).unwrap_or(i64::MAX / 1_000_000));
    Refused { reason: retry.reason, message: retry.message, again: (after(retry.after), after(retry.until)) }
}

impl Network for Fabric {
    fn add(&mut self, sandbox: &Sandbox) -> Result<IpAddr, Refused> {
        // A kubelet that begins anew asks for what is there.
        let there = self.sandboxes.get(sandbox).and_then(|name| self.cluster.pods.get(name)).and_then(|p| p.address());
        if let Some(address) = there {
            return Ok(address);
        }
        if !self.cluster.nodes.iter().any(|node| node.name == sandbox.node) {
            let retry = sandbox::without_a_plugin(false);
            return Err(retry.map(refused).expect("the pod has a network of its own"));
        }
        let plain = format!("{}/{}", sandbox.namespace, sandbox.pod);
        // While a node is cut off its pod lives on beside the one that took its place.
        let name = match self.cluster.pods.contains_key(&plain) {
            true => format!("{plain} ({})", sandbox.uid),
            false => plain.clone(),
        };
        self.cluster.label(&name, self.policies.labels(&plain));
        let answer = self.cluster.start(&sandbox.node, &name);
        let answer =
            answer.map_err(|error| refused(sandbox::after_failed_add(&sandbox.uid, self.cluster.plugin(), &error)))?;
        if let Some(pod) = self.cluster.world.namespaces.get_mut(&name) {
            pod.listens = Some(BTreeSet::new());
        }
        self.sandboxes.insert(sandbox.clone(), name);
        // Blocks and identities are told to the other nodes, where a plugin has any.
        if self.kind != Kind::Flannel {
            self.sync();
        }
        self.changed();
        let address = answer.ips.first().map(|given| given.address.address);
        address.ok_or_else(|| {
            let error = crate::datapath::cni::Error::new(crate::datapath::cni::Code::Internal, "no address was given");
            refused(sandbox::after_failed_add(&sandbox.uid, self.cluster.plugin(), &error))
        })
    }

    fn del(&mut self, sandbox: &Sandbox) {
        if let Some(on_host) = self.on_hosts.get_mut(&sandbox.node) {
            on_host.remove(sandbox);
            self.listen_on_host(&sandbox.node);
        }
        let Some(name) = self.sandboxes.remove(sandbox) else { return };
        // DEL is tried again until it works; it always does here.
        _ = self.cluster.stop(&name);
        if self.kind != Kind::Flannel {
            self.sync();
        }
        self.changed();
    }

    fn listen(&mut self, sandbox: &Sandbox, ports: Vec<(network::Protocol, u16)>) {
        let ports: BTreeSet<(Protocol, u16)> =
            ports.into_iter().map(|(protocol, port)| (protocol.into(), port)).collect();
        match self.sandboxes.get(sandbox) {
            Some(name) => {
                let Some(pod) = self.cluster.world.namespaces.get_mut(name) else { return };
                if pod.listens.as_ref() == Some(&ports) {
                    return;
                }
                pod.listens = Some(ports);
            }
            None => {
                self.on_hosts.entry(sandbox.node.clone()).or_default().insert(sandbox.clone(), ports);
                self.listen_on_host(&sandbox.node);
            }
        }
        self.changed();
    }

    fn resolv_conf(&self, of: &Sandbox) -> Option<String> {
        let conf = self.names.conf_of(&of.namespace, &of.pod);
        // In the order in which containerd writes it (`parseDNSOptions`).
        let line = |word: &str, all: &[String]| match all.is_empty() {
            true => String::new(),
            false => format!("{word} {}\n", all.join(" ")),
        };
        let servers: String = conf.nameservers.iter().map(|server| format!("nameserver {server}\n")).collect();
        Some(format!("{}{servers}{}", line("search", &conf.searches), line("options", &conf.options)))
    }

    fn resolve(&mut self, from: &Sandbox, name: &str) -> Resolved {
        let conf = self.names.conf_of(&from.namespace, &from.pod);
        self.resolve_by(&self.place_of(from), &conf, name)
    }

    fn connect(&mut self, from: &Sandbox, protocol: network::Protocol, to: SocketAddr) -> Attempt {
        self.connect_from(&self.place_of(from), protocol.into(), to)
    }
}

impl Fabric {
    /// The name of a sandbox in the world; that of its node, if it uses the node's network.
    fn place_of(&self, sandbox: &Sandbox) -> String {
        self.sandboxes.get(sandbox).unwrap_or(&sandbox.node).clone()
    }

    /// Whose place in the world it is; none for nodes and whoever is outside.
    pub(super) fn sandbox_at(&self, place: &str) -> Option<&Sandbox> {
        self.sandboxes.iter().find(|(_, name)| *name == place).map(|(sandbox, _)| sandbox)
    }

    /// What listens on a node: its own, and pods with its network.
    pub(super) fn listen_on_host(&mut self, node: &str) {
        let own = ON_NODES.map(|port| (Protocol::Tcp, port));
        let pods = self.on_hosts.get(node).into_iter().flat_map(|pods| pods.values().flatten().copied());
        let all: BTreeSet<(Protocol, u16)> = own.into_iter().chain(pods).collect();
        if let Some(host) = self.cluster.world.namespaces.get_mut(node) {
            host.listens = Some(all);
        }
    }

    /// Opens a connection from a pod, a node or the client, by its name in the world, and, with TCP, lets as much come back as fits into a packet.
    pub(super) fn connect_from(&mut self, from: &str, protocol: Protocol, to: SocketAddr) -> Attempt {
        let attempt = self.open(from, protocol, to);
        self.close(from, protocol);
        attempt
    }

    fn open(&mut self, from: &str, protocol: Protocol, to: SocketAddr) -> Attempt {
        if !self.cluster.world.namespaces.contains_key(from) {
            let trace = vec![format!("{from} has no network")];
            return Attempt { end: Err(Failed::Unreachable), took: Instant::default(), trace };
        }
        let packet = self.first_packet(from, protocol, (to.ip(), to.port()));
        let (there, back) = self.exchange(from, packet.clone());
        let mut trace = there.lines();
        let failed = |failed, took, trace| Attempt { end: Err(failed), took, trace };
        let Outcome::Delivered { to: place, flow, .. } = &there.outcome else {
            let (end, took) = why(&there);
            return failed(end, took, trace);
        };
        let Some(back) = back else { return failed(Failed::Silence, NO_ANSWER, trace) };
        trace.push(String::new());
        trace.extend(back.lines());
        if back.delivered_to() != Some(from) {
            return failed(Failed::Silence, NO_ANSWER, trace);
        }
        if protocol == Protocol::Tcp {
            let answer = Packet { flow: flow.reversed(), ..packet };
            if let Some(lost) = self.fill(from, place, answer) {
                trace.push(String::new());
                trace.extend(lost.lines());
                return failed(Failed::Silence, STALLED, trace);
            }
        }
        let pod = self.sandbox_at(place).map(|sandbox| (sandbox.namespace.clone(), sandbox.pod.clone()));
        let end = |end: crate::datapath::packet::End| SocketAddr::new(end.address, end.port);
        let reached = Reached { pod, at: end(flow.destination), from: end(flow.source) };
        Attempt { end: Ok(reached), took: ROUND_TRIP, trace }
    }

    /// The answer in packets as long as both ends take them (TCP's MSS): the way of the one that got lost, if one did.
    fn fill(&mut self, client: &str, server: &str, answer: Packet) -> Option<Walk> {
        let shortest = |place: &str| {
            let there = self.cluster.world.namespaces.get(place);
            let own = |interface: &&Interface| interface.name == "eth0";
            there.and_then(|there| there.interfaces.iter().find(own)).map_or(1500, |interface| interface.mtu)
        };
        let mut length = shortest(client).min(shortest(server));
        for _ in 0..SMALLER {
            let walk = self.send(server, answer.clone().with_length(length));
            let fits = match walk.reason() {
                None => return None,
                // The kernel knows already what fits, or was told just now.
                Some(Reason::MessageTooLong { mtu, .. }) => *mtu,
                Some(Reason::TooLong { mtu, told: true, .. }) => *mtu,
                Some(_) => return Some(walk),
            };
            if fits >= length {
                return Some(walk);
            }
            length = fits;
        }
        None
    }
}

/// What the sender of a first packet that was lost gets to know, and when.
fn why(walk: &Walk) -> (Failed, Instant) {
    let told = walk.answer.as_ref().is_some_and(|answer| answer.delivered_to() == Some(walk.from.as_str()));
    let at_home = matches!(&walk.outcome, Outcome::Dropped { at, .. } if *at == walk.from);
    match walk.reason() {
        Some(Reason::NobodyListens(_) | Reason::Reset(_) | Reason::Refused(_, Icmp::PortUnreachable))
            if told || at_home =>
        {
            (Failed::Refused, ROUND_TRIP)
        }
        Some(Reason::NoNeighbour { .. }) if told || at_home => (Failed::Unreachable, NO_NEIGHBOUR),
        Some(
            Reason::NoRoute(_) | Reason::Blackhole(_) | Reason::NoSource | Reason::Unreachable(_) | Reason::Refused(..),
        ) if told || at_home => (Failed::Unreachable, ROUND_TRIP),
        Some(Reason::Down(_)) if at_home => (Failed::Unreachable, ROUND_TRIP),
        _ => (Failed::Silence, NO_ANSWER),
    }
}
