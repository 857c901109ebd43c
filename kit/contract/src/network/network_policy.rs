//! What network policies say of a connection.
//!
//! Sources: `staging/src/k8s.io/api/networking/v1/types.go`, which states what each field means, and
//! `pkg/apis/networking/v1/defaults.go`. Kubernetes itself enforces none of it: plugins do.

use crate::{Show, flow};
pub use kit_api::cidr::Cidr;
pub use kit_api::selector::{Labels, Selector};
use serde::{Deserialize, Serialize};
pub use std::net::IpAddr;

// ANCHOR: contract
contract! {
    /// Decides whether network policies let a connection through.
    pub trait NetworkPolicies {
        /// The verdict on a new connection: the egress side of its source and the ingress side of its destination.
        ///
        /// A connection of a pod to itself is always allowed: no policy is asked, and both sides are empty.
        fn judge(&self, policies: &[Policy], connection: &Connection) -> Verdict;
    }
}

/// A NetworkPolicy, in the fields that decide.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Policy {
    /// The namespace that it is in.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// `spec.podSelector`: the pods of its namespace that it is about. An empty one is about all of them.
    pub pod_selector: Selector,
    /// `spec.policyTypes` as written. Empty: nobody wrote any, and the default holds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policy_types: Vec<Direction>,
    /// Each rule admits connections to the pods.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ingress: Vec<Rule>,
    /// Each rule admits connections from the pods.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub egress: Vec<Rule>,
}

/// Which connections of a pod a policy is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Direction {
    /// Those that come in.
    Ingress,
    /// Those that go out.
    Egress,
}

/// It admits what comes from (or goes to) one of the peers, at one of the ports.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rule {
    /// `from` of an ingress rule, `to` of an egress rule. Empty: everybody.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub peers: Vec<Peer>,
    /// Empty: every port.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<Port>,
}

/// Either pods by one or both of the selectors, or addresses.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Peer {
    /// Labels of the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_selector: Option<Selector>,
    /// Labels of the pod's namespace. Without it only pods of the policy's own namespace are meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<Selector>,
    /// Addresses; then there are no selectors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip_block: Option<IpBlock>,
}

/// The addresses of a network without those of some of its parts. A pod's address counts like any other here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IpBlock {
    /// The network.
    pub cidr: Cidr,
    /// Parts of it that this peer does not mean.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub except: Vec<Cidr>,
}

/// Ports of the destination, whatever the direction.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Port {
    /// TCP where nobody wrote one.
    #[serde(default)]
    pub protocol: Protocol,
    /// `None` is every port of the protocol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<PortRef>,
    /// The last port of a range that begins with `port`, which then is a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_port: Option<u16>,
}

/// A port by its number, or by its name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum PortRef {
    /// This one.
    Number(u16),
    /// Each port of the destination pod that has this name, and the same protocol.
    Name(String),
}

/// A transport protocol.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Protocol {
    #[default]
    #[allow(missing_docs)]
    TCP,
    #[allow(missing_docs)]
    UDP,
    #[allow(missing_docs)]
    SCTP,
}

/// A connection that somebody wants to make. Answers to it need no policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Connection {
    /// Who makes it.
    pub from: End,
    /// Who is to answer.
    pub to: End,
    /// The destination's port.
    pub port: u16,
    /// Its protocol.
    #[serde(default)]
    pub protocol: Protocol,
}

/// One end of a connection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct End {
    /// Its address.
    pub ip: IpAddr,
    /// Whose address that is; `None` if no pod's. Policies isolate pods only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<Pod>,
}

/// A pod as policies see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Pod {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its labels.
    #[serde(default)]
    pub labels: Labels,
    /// The labels of its namespace.
    #[serde(default)]
    pub namespace_labels: Labels,
    /// The ports of its containers that have a name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<NamedPort>,
}

/// A port that a container declares under a name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedPort {
    /// What policies may call it.
    pub name: String,
    /// Its number.
    pub port: u16,
    /// Its protocol.
    #[serde(default)]
    pub protocol: Protocol,
}

/// What becomes of a connection, and why.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// Neither side refuses it.
    pub allowed: bool,
    /// What the policies of the source's namespace say.
    pub egress: Side,
    /// What the policies of the destination's namespace say.
    pub ingress: Side,
}

/// One direction of one pod. A side without a pod has no policies.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Side {
    /// The names of the policies that isolate the pod in this direction, in the order of the question.
    pub isolated_by: Vec<String>,
    /// Those of them that admit the connection, in the same order.
    pub admitted_by: Vec<String>,
}
// ANCHOR_END: contract

impl Side {
    /// Whether the pod is isolated and no policy admits the connection.
    pub fn refuses(&self) -> bool {
        !self.isolated_by.is_empty() && self.admitted_by.is_empty()
    }

    fn say(&self, direction: &str) -> String {
        let names = |names: &[String]| names.iter().map(flow).collect::<Vec<_>>().join(", ");
        let (isolated, admitted) = (names(&self.isolated_by), names(&self.admitted_by));
        match (isolated.is_empty(), admitted.is_empty()) {
            (true, true) => format!("{direction}: not isolated"),
            (true, false) => format!("{direction}: not isolated, admitted by {admitted}"),
            (false, true) => format!("{direction}: isolated by {isolated}, admitted by none of them"),
            (false, false) => format!("{direction}: isolated by {isolated}, admitted by {admitted}"),
        }
    }
}

impl Show for Verdict {
    fn lines(&self) -> Vec<String> {
        let verdict = if self.allowed { "allowed" } else { "refused" };
        vec![verdict.into(), self.egress.say("egress"), self.ingress.say("ingress")]
    }
}

impl Show for Policy {
    fn lines(&self) -> Vec<String> {
        let head = Policy { ingress: Vec::new(), egress: Vec::new(), ..self.clone() };
        let rules = [("ingress", &self.ingress), ("egress", &self.egress)].into_iter();
        let rules = rules.flat_map(|(name, rules)| rules.iter().map(move |rule| format!("  {name} {}", flow(rule))));
        [flow(&head)].into_iter().chain(rules).collect()
    }
}

impl End {
    fn say(&self) -> String {
        let Some(pod) = &self.pod else { return format!("{}, no pod", self.ip) };
        let (namespace, name) = (flow(&pod.namespace), flow(&pod.name));
        let (labels, of_namespace) = (flow(&pod.labels), flow(&pod.namespace_labels));
        let ports = pod.ports.iter().map(|port| format!(", {} {}/{:?}", flow(&port.name), port.port, port.protocol));
        let ports: String = ports.collect();
        format!("{namespace}/{name} {}, labels {labels}, namespace's {of_namespace}{ports}", self.ip)
    }
}

impl Show for Connection {
    fn lines(&self) -> Vec<String> {
        let (from, to) = (self.from.say(), self.to.say());
        vec![format!("from {from}"), format!("to {to}"), format!("at {}/{:?}", self.port, self.protocol)]
    }
}
