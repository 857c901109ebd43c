//! The network model of Kubernetes, as checks that any world can be put through.
//!
//! Source: <https://kubernetes.io/docs/concepts/services-networking/>, "The Kubernetes network model": each pod has an address of its own;
//! pods reach all pods without translation, on the same node and on others; what runs on a node reaches the pods there.

use super::cluster::Cluster;
use super::trace::Walk;
use super::world::Namespace;
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

/// What is broken.
#[derive(Debug, Clone, PartialEq)]
pub enum Broken {
    /// Two pods have the same address.
    Shared {
        /// The address.
        address: IpAddr,
        /// Who has it.
        by: Vec<String>,
    },
    /// A packet did not get there.
    Unreachable {
        /// Who sent it.
        from: String,
        /// To whom.
        to: String,
        /// How far it came.
        walk: Walk,
    },
    /// It did, but somebody else has it.
    Misled {
        /// Who sent it.
        from: String,
        /// To whom.
        to: String,
        /// Who has it.
        got: String,
        /// Its way.
        walk: Walk,
    },
    /// It did, but not as it was sent.
    Translated {
        /// Who sent it.
        from: String,
        /// To whom.
        to: String,
        /// Its way.
        walk: Walk,
    },
}

impl Broken {
    /// The way of the packet that shows it.
    pub fn walk(&self) -> Option<&Walk> {
        match self {
            Broken::Shared { .. } => None,
            Broken::Unreachable { walk, .. } | Broken::Misled { walk, .. } | Broken::Translated { walk, .. } => {
                Some(walk)
            }
        }
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Broken::Shared { address, by } => write!(f, "{address} is the address of {}", by.join(" and of ")),
            Broken::Unreachable { from, to, walk } => {
                write!(f, "{from} can't reach {to} with {} bytes", walk.length)?;
                walk.reason().map_or(Ok(()), |reason| write!(f, ": {reason}"))
            }
            Broken::Misled { from, to, got, .. } => write!(f, "what {from} sends to {to} arrives at {got}"),
            Broken::Translated { from, to, walk } => {
                write!(f, "{to} doesn't see {from}'s address: ")?;
                walk.seen().map_or(Ok(()), |seen| write!(f, "{}", seen.source.address))
            }
        }
    }
}

impl Cluster {
    /// Everything of the network model that doesn't hold: with small packets, and with the longest that the sender's interface allows.
    pub fn broken(&mut self) -> Vec<Broken> {
        let mut broken = self.shared_addresses();
        let pods: Vec<(String, String)> =
            self.pods.iter().map(|(name, pod)| (name.clone(), pod.node.clone())).collect();
        for (from, _) in &pods {
            for (to, _) in pods.iter().filter(|(to, _)| to != from) {
                broken.extend(self.try_both_ways(from, to));
            }
        }
        for (pod, node) in &pods {
            broken.extend(self.try_both_ways(node, pod));
        }
        broken
    }

    fn shared_addresses(&self) -> Vec<Broken> {
        let mut by: BTreeMap<IpAddr, Vec<String>> = BTreeMap::new();
        for name in self.pods.keys().chain(self.nodes.iter().map(|node| &node.name)) {
            let outside = self.world.namespaces.get(name).into_iter().flat_map(Namespace::addresses);
            for address in outside.filter(|address| !address.is_loopback()) {
                by.entry(address).or_default().push(name.clone());
            }
        }
        let shared = by.into_iter().filter(|(_, names)| names.len() > 1);
        shared.map(|(address, by)| Broken::Shared { address, by }).collect()
    }

    fn try_both_ways(&mut self, from: &str, to: &str) -> Option<Broken> {
        let mtu = |cluster: &Cluster, name: &str| {
            let inner = cluster.world.namespaces.get(name).and_then(|pod| pod.interface("eth0"));
            inner.map_or(1500, |interface| interface.mtu)
        };
        // A process on the node makes its segments so that they fit where they leave and arrive; pods' interfaces are the narrower ones.
        let longest = mtu(self, from).min(mtu(self, to));
        for length in [60, longest] {
            let Ok((there, back)) = self.exchange(from, to, length) else { continue };
            let sent = there.flow;
            let Some(seen) = there.seen() else {
                return Some(Broken::Unreachable { from: from.into(), to: to.into(), walk: there });
            };
            let got = there.delivered_to().unwrap_or_default().to_string();
            if got != to {
                return Some(Broken::Misled { from: from.into(), to: to.into(), got, walk: there });
            }
            if seen != sent {
                return Some(Broken::Translated { from: from.into(), to: to.into(), walk: there });
            }
            let back = back?;
            if back.seen().is_none() {
                return Some(Broken::Unreachable { from: to.into(), to: from.into(), walk: back });
            }
            if back.delivered_to() != Some(from) {
                let got = back.delivered_to().unwrap_or_default().to_string();
                return Some(Broken::Misled { from: to.into(), to: from.into(), got, walk: back });
            }
        }
        None
    }
}
