//! Flow records as Hubble has them: who, whom, what became of it, and why.
//!
//! Source: `api/v1/flow/flow.proto` of Cilium; names of fields and values are those of its JSON.

use super::Direction;
use super::cilium::http::Request;
use super::cilium::icmp::PROTOCOLS;
use super::cilium::identity::{Identities, Identity, IdentityId};
use super::cilium::map::PolicyMap;
use super::cilium::repository::Decision;
use super::cilium::selector::{LabelKey, NAMESPACE};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::net::{IpAddr, SocketAddr};

/// Codes of drops (`bpf/lib/drop_reasons.h`): no rule allows it, or one denies it.
pub const POLICY_DENIED: u32 = 133;
/// See [`POLICY_DENIED`].
pub const POLICY_DENY: u32 = 181;

/// One side of a flow.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Endpoint {
    /// The number for its labels.
    pub identity: IdentityId,
    /// Empty outside of the cluster.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// `k8s:app=web` and so on, sorted.
    pub labels: Vec<String>,
    /// Empty outside of the cluster.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub pod_name: String,
}

/// What became of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum FlowVerdict {
    /// It passed.
    Forwarded,
    /// It did not.
    Dropped,
    /// It went to the proxy, which has the last word.
    Redirected,
}

/// A flow: the first packet of a connection, or a request on one.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Flow {
    /// Nanoseconds on the cluster's clock.
    #[serde(skip)]
    pub at: u64,
    /// What became of it.
    pub verdict: FlowVerdict,
    /// Why it was dropped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drop_reason: Option<u32>,
    /// The same in a word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drop_reason_desc: Option<&'static str>,
    /// Addresses.
    #[serde(rename = "IP")]
    pub ip: Value,
    /// Protocol and ports.
    pub l4: Value,
    /// Who.
    pub source: Endpoint,
    /// Whom.
    pub destination: Endpoint,
    /// `L3_L4` or `L7`.
    #[serde(rename = "Type")]
    pub kind: &'static str,
    /// The node that saw it.
    pub node_name: String,
    /// Whose policy decided: that of the source or that of the destination.
    pub traffic_direction: &'static str,
    /// The request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub l7: Option<Value>,
    /// Policies that allow it, by the direction in the field's name.
    #[serde(flatten)]
    pub policies: Map<String, Value>,
    /// One line.
    #[serde(rename = "Summary")]
    pub summary: String,
}

/// What a node sees of a packet.
#[derive(Debug, Clone, Copy)]
pub struct Packet<'a> {
    /// When, in nanoseconds.
    pub at: u64,
    /// Where.
    pub node: &'a str,
    /// From where.
    pub from: SocketAddr,
    /// To where; what is ICMP has its type in place of the port.
    pub to: SocketAddr,
    /// As IP headers have it: 6, 17, 132, or ICMP's 1 and 58.
    pub protocol: u8,
}

/// An endpoint as flows name it. `pod` is none for addresses outside.
pub fn endpoint(identity: &Identity, pod: Option<&str>) -> Endpoint {
    let labels = identity.labels.iter().map(|(label, value)| {
        let value = if value.is_empty() { String::new() } else { format!("={value}") };
        format!("{}:{}{value}", label.source, label.key)
    });
    let namespace = identity.labels.get(&LabelKey::new("k8s", NAMESPACE));
    Endpoint {
        identity: identity.id,
        namespace: namespace.filter(|_| pod.is_some()).cloned().unwrap_or_default(),
        labels: labels.collect(),
        pod_name: pod.unwrap_or_default().to_string(),
    }
}

fn protocol_name(protocol: u8) -> &'static str {
    match protocol {
        6 => "TCP",
        17 => "UDP",
        132 => "SCTP",
        58 => "ICMPv6",
        _ => "ICMPv4",
    }
}

/// The record of a connection that the policy of one side was asked about.
pub fn connection(
    packet: Packet<'_>,
    source: Endpoint,
    destination: Endpoint,
    direction: Direction,
    decision: Decision,
    map: &PolicyMap,
) -> Flow {
    let (peer, side) = match direction {
        Direction::Ingress => (source.identity, "ingress"),
        Direction::Egress => (destination.identity, "egress"),
    };
    let mut policies = Map::new();
    if let Some((_, entry)) = map.lookup(direction, peer, packet.protocol, packet.to.port()) {
        let said = if entry.deny { "denied" } else { "allowed" };
        policies.insert(format!("{side}_{said}_by"), entry.derived_from.iter().map(|name| policy(name)).collect());
    }
    let (verdict, reason) = match decision {
        Decision::Allowed => (FlowVerdict::Forwarded, None),
        Decision::Proxied => (FlowVerdict::Redirected, None),
        Decision::NotAllowed => (FlowVerdict::Dropped, Some((POLICY_DENIED, "POLICY_DENIED"))),
        Decision::Denied => (FlowVerdict::Dropped, Some((POLICY_DENY, "POLICY_DENY"))),
    };
    let name = protocol_name(packet.protocol);
    let mut l4 = match PROTOCOLS.contains(&packet.protocol) {
        true => json!({name: {"type": packet.to.port()}}),
        false => json!({name: {"source_port": packet.from.port(), "destination_port": packet.to.port()}}),
    };
    if packet.protocol == 6 {
        l4[name]["flags"] = json!({"SYN": true});
    }
    let family = if packet.to.is_ipv4() { "IPv4" } else { "IPv6" };
    Flow {
        at: packet.at,
        verdict,
        drop_reason: reason.map(|(code, _)| code),
        drop_reason_desc: reason.map(|(_, word)| word),
        ip: json!({"source": packet.from.ip(), "destination": packet.to.ip(), "ipVersion": family}),
        l4,
        source,
        destination,
        kind: "L3_L4",
        node_name: packet.node.to_string(),
        traffic_direction: if direction == Direction::Ingress { "INGRESS" } else { "EGRESS" },
        l7: None,
        policies,
        summary: if packet.protocol == 6 { "TCP Flags: SYN".into() } else { name.into() },
    }
}

/// A policy by its name, `shop/web` or only `web`.
fn policy(name: &str) -> Value {
    match name.split_once('/') {
        Some((namespace, name)) => json!({"name": name, "namespace": namespace, "kind": "CiliumNetworkPolicy"}),
        None => json!({"name": name}),
    }
}

/// The record of a request on a connection that went to the proxy.
pub fn request(connection: &Flow, request: &Request, allowed: bool) -> Flow {
    let headers: Vec<Value> = request.headers.iter().map(|(key, value)| json!({"key": key, "value": value})).collect();
    let url = format!("http://{}{}", request.host, request.path);
    Flow {
        verdict: if allowed { FlowVerdict::Forwarded } else { FlowVerdict::Dropped },
        kind: "L7",
        l7: Some(json!({
            "type": "REQUEST",
            "http": {"method": request.method, "url": url, "protocol": "HTTP/1.1", "headers": headers},
        })),
        summary: format!("HTTP/1.1 {} {url}", request.method),
        ..connection.clone()
    }
}

/// Which flows somebody wants to see, as `hubble observe` asks. What is none is not asked for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filter {
    /// `--verdict`
    pub verdict: Option<FlowVerdict>,
    /// `--namespace`: of either side.
    pub namespace: Option<String>,
    /// `--from-pod`: `shop/web`, or the beginning of it; without a namespace that of `default`.
    pub from_pod: Option<String>,
    /// `--to-pod`
    pub to_pod: Option<String>,
    /// `--pod`: of either side.
    pub pod: Option<String>,
    /// `--to-port`
    pub to_port: Option<u16>,
    /// `--protocol`, in lower case.
    pub protocol: Option<String>,
    /// `--from-identity` or `--to-identity`.
    pub identity: Option<IdentityId>,
    /// `--ip`: of either side.
    pub ip: Option<IpAddr>,
}

impl Filter {
    /// Whether a flow is wanted.
    pub fn wants(&self, flow: &Flow) -> bool {
        let sides = [&flow.source, &flow.destination];
        let is_pod = |pod: &Option<String>, side: &Endpoint| {
            pod.as_deref().is_none_or(|wanted| {
                let (namespace, name) = wanted.split_once('/').unwrap_or(("default", wanted));
                side.namespace == namespace && side.pod_name.starts_with(name)
            })
        };
        let l4 = flow.l4.as_object().and_then(|l4| l4.iter().next());
        self.verdict.is_none_or(|verdict| flow.verdict == verdict)
            && self.namespace.as_ref().is_none_or(|wanted| sides.iter().any(|side| side.namespace == *wanted))
            && is_pod(&self.from_pod, &flow.source)
            && is_pod(&self.to_pod, &flow.destination)
            && sides.iter().any(|side| is_pod(&self.pod, side))
            && self.to_port.is_none_or(|port| l4.is_some_and(|(_, l4)| l4["destination_port"] == port))
            && self.protocol.as_ref().is_none_or(|wanted| match &flow.l7 {
                Some(l7) if wanted == "http" => l7.get("http").is_some(),
                _ => l4.is_some_and(|(name, _)| name.eq_ignore_ascii_case(wanted)),
            })
            && self.identity.is_none_or(|id| sides.iter().any(|side| side.identity == id))
            && self.ip.is_none_or(|ip| ["source", "destination"].iter().any(|side| flow.ip[side] == json!(ip)))
    }
}

/// An endpoint by its identity's number.
pub fn endpoint_of(identities: &Identities, id: IdentityId, pod: Option<&str>) -> Endpoint {
    identities.get(id).map(|identity| endpoint(identity, pod)).unwrap_or_default()
}
