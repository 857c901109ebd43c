//! The `spec` of a CiliumNetworkPolicy, and what Cilium refuses in it.
//!
//! Not simulated is what asks somebody outside: `fromGroups` and `toGroups` mean addresses that a cloud knows, which Cilium's operator looks up
//! there and writes into a policy of its own.
//!
//! Sources: `pkg/policy/api/{rule,ingress,egress,l4,cidr,entity,groups}.go` and `rule_validation.go` beside them.

use super::dns::NameSelector;
use super::http::HttpRule;
use super::icmp::IcmpRule;
use super::selector::{CLUSTER, EndpointSelector};
use super::service::ServiceRule;
use crate::policy::Direction;
use kit_api::cidr::{Cidr, bits};
use kit_api::meta::LabelSelector;
use serde::Deserialize;
use serde_json::Value;
use std::net::IpAddr;

/// A policy as it is applied.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Spec {
    /// The endpoints that it is about.
    pub endpoint_selector: Option<LabelSelector>,
    /// The nodes that it is about, instead.
    pub node_selector: Option<LabelSelector>,
    /// Whether what no rule admits is refused; by default so in each direction that has rules.
    pub enable_default_deny: DefaultDeny,
    /// What may come in.
    pub ingress: Option<Vec<Rule>>,
    /// What must not come in, whatever other rules say.
    pub ingress_deny: Option<Vec<Rule>>,
    /// What may go out.
    pub egress: Option<Vec<Rule>>,
    /// What must not go out, whatever other rules say.
    pub egress_deny: Option<Vec<Rule>>,
}

/// Per direction; `None` where nothing is written.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct DefaultDeny {
    /// Of what comes in.
    pub ingress: Option<bool>,
    /// Of what goes out.
    pub egress: Option<bool>,
}

/// One rule of either direction. A list that is there but empty selects nobody; without any list everybody is meant.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
#[allow(missing_docs)]
pub struct Rule {
    pub from_endpoints: Option<Vec<LabelSelector>>,
    pub to_endpoints: Option<Vec<LabelSelector>>,
    #[serde(rename = "fromCIDR")]
    pub from_cidr: Option<Vec<String>>,
    #[serde(rename = "toCIDR")]
    pub to_cidr: Option<Vec<String>>,
    #[serde(rename = "fromCIDRSet")]
    pub from_cidr_set: Option<Vec<CidrRule>>,
    #[serde(rename = "toCIDRSet")]
    pub to_cidr_set: Option<Vec<CidrRule>>,
    pub from_entities: Option<Vec<String>>,
    pub to_entities: Option<Vec<String>>,
    #[serde(rename = "toFQDNs")]
    pub to_fqdns: Option<Vec<NameSelector>>,
    pub to_services: Option<Vec<ServiceRule>>,
    pub from_groups: Option<Vec<Value>>,
    pub to_groups: Option<Vec<Value>>,
    pub from_nodes: Option<Vec<LabelSelector>>,
    pub to_nodes: Option<Vec<LabelSelector>>,
    pub to_ports: Option<Vec<PortRule>>,
    pub icmps: Option<Vec<IcmpRule>>,
    /// What `toServices` means now (see [`Spec::resolve_services`]).
    #[serde(skip)]
    pub of_services: Vec<Peer>,
}

/// Addresses without some of them.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CidrRule {
    /// The network.
    pub cidr: String,
    /// Parts of it that aren't meant.
    pub except: Vec<String>,
}

/// Ports, and what is said over connections to them.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct PortRule {
    /// At most 40.
    pub ports: Vec<PortProtocol>,
    /// For a proxy; a deny rule has none.
    pub rules: Option<ProxyRules>,
}

/// One port or a range of them.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct PortProtocol {
    /// A number or a name; `0` is every port.
    pub port: String,
    /// The last one of a range.
    pub end_port: Option<u16>,
    /// `ANY`, which is also what an empty one means, or one protocol.
    pub protocol: String,
}

/// Rules of one kind. Kafka's and those of other parsers are left out.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProxyRules {
    /// Requests.
    pub http: Option<Vec<HttpRule>>,
    /// Names that may be asked for.
    pub dns: Option<Vec<NameSelector>>,
}

/// Whom a rule means, ready to be matched with identities.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Peer {
    /// By labels; empty selectors mean everybody.
    Labels(EndpointSelector),
    /// By address.
    Network(Cidr, Vec<Cidr>),
    /// By a name that was looked up.
    Name(NameSelector),
}

/// A transport protocol as its number in IP headers; 0 stands for all.
pub type ProtocolNumber = u8;

/// Every protocol.
pub const ANY: ProtocolNumber = 0;
/// TCP, UDP and SCTP, which `ANY` with a port stands for.
pub const WITH_PORTS: [ProtocolNumber; 3] = [6, 17, 132];

/// A port of a rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ports {
    /// From one to another; from 0 on: every port.
    Range(u16, u16),
    /// What the destination calls so.
    Named(String),
}

fn parse_cidr(text: &str) -> Result<Cidr, String> {
    text.parse().map_err(|_| format!("Unable to parse CIDRRule {text:?}: netip.ParsePrefix({text:?}): no such network"))
}

fn parse_address(text: &str) -> Result<Cidr, String> {
    if text.is_empty() {
        return Err("IP must be specified".into());
    }
    let address = || text.parse().map(|address: IpAddr| Cidr { address, prefix: bits(address) });
    text.parse()
        .or_else(|_| address().map_err(|_| format!("unable to parse CIDR: ParseAddr({text:?}): unable to parse IP")))
}

fn entity(name: &str) -> Result<Vec<EndpointSelector>, String> {
    let reserved = |name: &str| EndpointSelector::label("reserved", name, "");
    Ok(match name {
        "all" => vec![EndpointSelector::default()],
        "cluster" => ["host", "remote-node", "init", "health", "unmanaged", "ingress", "kube-apiserver"]
            .into_iter()
            .map(reserved)
            .chain([EndpointSelector::label("k8s", CLUSTER, "default")])
            .collect(),
        // Where nodes have addresses of both families, the world is two.
        "world" => ["world", "world-ipv4", "world-ipv6"].into_iter().map(reserved).collect(),
        "world-ipv4" | "world-ipv6" | "host" | "init" | "ingress" | "remote-node" | "health" | "unmanaged" | "none"
        | "kube-apiserver" => vec![reserved(name)],
        other => return Err(format!("unsupported entity: {other}")),
    })
}

impl CidrRule {
    fn parse(&self) -> Result<Peer, String> {
        let cidr = parse_cidr(&self.cidr)?;
        let except: Vec<Cidr> = self.except.iter().map(|text| parse_cidr(text)).collect::<Result<_, _>>()?;
        for (text, except) in self.except.iter().zip(&except) {
            if !cidr.contains(except.address) {
                return Err(format!("allow CIDR prefix {} does not contain exclude CIDR prefix {text}", self.cidr));
            }
        }
        Ok(Peer::Network(cidr, except))
    }
}

impl PortProtocol {
    /// The protocols and ports that are meant.
    ///
    /// # Errors
    ///
    /// There is no port, or it is no number and no name, or the protocol is unknown.
    pub fn parse(&self, names: bool) -> Result<(ProtocolNumber, Ports), String> {
        let protocol = match self.protocol.to_ascii_uppercase().as_str() {
            "" | "ANY" => ANY,
            "TCP" => 6,
            "UDP" => 17,
            "SCTP" => 132,
            "ICMP" => 1,
            "ICMPV6" => 58,
            other => {
                return Err(format!(
                    "invalid protocol {other:?}, must be {{ tcp | udp | sctp | icmp | icmpv6 | any }}"
                ));
            }
        };
        if self.port.is_empty() {
            return Err("Port must be specified".into());
        }
        // A service name of RFC 6335 has at least one letter.
        let lower = self.port.to_ascii_lowercase();
        let characters = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let is_name = lower.len() <= 15
            && lower.chars().all(characters)
            && lower.contains(|c: char| c.is_ascii_lowercase())
            && !lower.starts_with('-')
            && !lower.ends_with('-')
            && !lower.contains("--");
        if is_name {
            return Ok((protocol, Ports::Named(lower)));
        }
        let first: u16 = self
            .port
            .parse()
            .map_err(|_| format!("Unable to parse port: strconv.ParseUint: parsing {:?}", self.port))?;
        let last = self.end_port.filter(|last| *last > first);
        if names && last.is_some() {
            return Err("DNS rules do not support port ranges".into());
        }
        Ok((protocol, Ports::Range(first, if first == 0 { u16::MAX } else { last.unwrap_or(first) })))
    }
}

impl PortRule {
    fn check(&self, direction: Direction) -> Result<(), String> {
        let rules = self.rules.clone().unwrap_or_default();
        let dns = rules.dns.as_ref().is_some_and(|rules| !rules.is_empty());
        let proxied = rules != ProxyRules::default();
        if dns && direction == Direction::Ingress {
            return Err("DNS rules are not allowed on ingress".into());
        }
        if self.ports.len() > 40 {
            return Err("too many ports, the max is 40".into());
        }
        for port in &self.ports {
            let (protocol, ports) = port.parse(dns)?;
            if proxied && !dns && protocol != 6 {
                let protocol = if port.protocol.is_empty() { "ANY" } else { &port.protocol };
                return Err(format!("L7 rules can only apply to TCP (not {protocol}) except for DNS rules"));
            }
            if proxied && matches!(ports, Ports::Range(0, _)) {
                return Err("L7 rules can not be used when a port is 0".into());
            }
        }
        rules.http.iter().flatten().try_for_each(HttpRule::check)?;
        if rules.dns.is_some() && self.ports.is_empty() {
            return Err("Port 53 must be specified for DNS rules".into());
        }
        rules.dns.iter().flatten().try_for_each(NameSelector::check)?;
        if rules.http.is_some() && rules.dns.is_some() {
            return Err("multiple L7 protocol rule types specified in single rule".into());
        }
        Ok(())
    }
}

impl Rule {
    /// Whom the rule means: `None` is nobody, an empty list everybody.
    ///
    /// # Errors
    ///
    /// It mixes ways to mean somebody, or is broken in one of them.
    pub fn peers(
        &self,
        direction: Direction,
        namespace: Option<&str>,
        about_init: bool,
    ) -> Result<Option<Vec<Peer>>, String> {
        let ingress = direction == Direction::Ingress;
        let pick = |from: bool, to: bool| if ingress { to } else { from };
        if pick(self.from_endpoints.is_some(), self.to_endpoints.is_some())
            || pick(self.from_cidr.is_some(), self.to_cidr.is_some())
            || pick(self.from_cidr_set.is_some(), self.to_cidr_set.is_some())
            || pick(self.from_entities.is_some(), self.to_entities.is_some())
            || pick(self.from_groups.is_some(), self.to_groups.is_some())
            || pick(self.from_nodes.is_some(), self.to_nodes.is_some())
            || (ingress && (self.to_fqdns.is_some() || self.to_services.is_some()))
        {
            let (wrong, side) = if ingress { ("to", "ingress") } else { ("from", "egress") };
            return Err(format!("a rule of {side} has no fields that begin with {wrong}, but for toPorts"));
        }
        let endpoints = self.from_endpoints.as_ref().or(self.to_endpoints.as_ref());
        let addresses = self.from_cidr.as_ref().or(self.to_cidr.as_ref());
        let networks = self.from_cidr_set.as_ref().or(self.to_cidr_set.as_ref());
        let entities = self.from_entities.as_ref().or(self.to_entities.as_ref());
        let names = self.to_fqdns.as_ref();
        let services = self.to_services.as_ref();
        let lengths = [
            ("CIDR", addresses.map(Vec::len)),
            ("CIDRSet", networks.map(Vec::len)),
            ("Endpoints", endpoints.map(Vec::len)),
            ("Entities", entities.map(Vec::len)),
            ("FQDNs", names.map(Vec::len)),
            ("Groups", self.from_groups.as_ref().or(self.to_groups.as_ref()).map(Vec::len)),
            ("Nodes", self.from_nodes.as_ref().or(self.to_nodes.as_ref()).map(Vec::len)),
            ("Services", services.map(Vec::len)),
        ];
        let prefix = if ingress { "From" } else { "To" };
        let used: Vec<_> = lengths.iter().filter(|(_, length)| length.is_some_and(|length| length > 0)).collect();
        if let [(one, _), (other, _), ..] = used.as_slice() {
            return Err(format!("Combining {prefix}{one} and {prefix}{other} is not supported yet"));
        }
        let is_used = |name: &str| used.iter().any(|(used, _)| *used == name);
        if is_used("Services") && self.to_ports.as_ref().is_some_and(|ports| !ports.is_empty()) {
            return Err("Combining ToServices and ToPorts is not supported yet".into());
        }
        if is_used("Nodes") {
            let flag = "enable-node-selector-labels";
            return Err(format!("FromNodes/ToNodes rules can only be applied when the {flag:?} flag is set"));
        }
        if is_used("Groups") {
            return Err(format!("{prefix}Groups asks a cloud for addresses, which is not simulated"));
        }
        let mut peers = self.of_services.clone();
        for selector in endpoints.into_iter().flatten() {
            peers.push(Peer::Labels(EndpointSelector::of_peer(selector, namespace, about_init)?));
        }
        for text in addresses.into_iter().flatten() {
            peers.push(Peer::Network(parse_address(text)?, Vec::new()));
        }
        for rule in networks.into_iter().flatten() {
            peers.push(rule.parse()?);
        }
        for name in entities.into_iter().flatten() {
            peers.extend(entity(name)?.into_iter().map(Peer::Labels));
        }
        for name in names.into_iter().flatten() {
            name.check()?;
            peers.push(Peer::Name(name.clone()));
        }
        let nobody = lengths.iter().any(|(_, length)| *length == Some(0)) || services.is_some() && peers.is_empty();
        Ok((!nobody).then_some(peers))
    }
}

impl Spec {
    /// The rules of one direction, and whether they deny.
    pub fn rules(&self, direction: Direction) -> impl Iterator<Item = (&Rule, bool)> {
        let (allow, deny) = match direction {
            Direction::Ingress => (&self.ingress, &self.ingress_deny),
            Direction::Egress => (&self.egress, &self.egress_deny),
        };
        allow.iter().flatten().map(|rule| (rule, false)).chain(deny.iter().flatten().map(|rule| (rule, true)))
    }

    /// Whether endpoints that it selects are refused what no rule admits.
    pub fn denies_by_default(&self, direction: Direction) -> bool {
        let written = match direction {
            Direction::Ingress => self.enable_default_deny.ingress,
            Direction::Egress => self.enable_default_deny.egress,
        };
        written.unwrap_or_else(|| self.rules(direction).next().is_some())
    }

    /// Checks it as Cilium does before it takes a rule (`Sanitize`).
    ///
    /// # Errors
    ///
    /// What is wrong, in Cilium's words where it has some.
    pub fn check(&self, namespace: Option<&str>) -> Result<(), String> {
        match (&self.endpoint_selector, &self.node_selector) {
            (None, None) => return Err("rule must have one of EndpointSelector or NodeSelector".into()),
            (Some(_), Some(_)) => return Err("rule cannot have both EndpointSelector and NodeSelector".into()),
            (Some(selector), None) | (None, Some(selector)) => EndpointSelector::new(selector)?,
        };
        for direction in [Direction::Ingress, Direction::Egress] {
            for (rule, deny) in self.rules(direction) {
                rule.peers(direction, namespace, false)?;
                let icmps = rule.icmps.as_deref().unwrap_or_default();
                if !icmps.is_empty() && rule.to_ports.as_ref().is_some_and(|ports| !ports.is_empty()) {
                    let why =
                        "The ICMPs block may only be present without ToPorts. Define a separate rule to use ToPorts.";
                    return Err(why.into());
                }
                icmps.iter().try_for_each(IcmpRule::check)?;
                for ports in rule.to_ports.iter().flatten() {
                    ports.check(direction)?;
                    if ports.rules.is_some() && self.node_selector.is_some() {
                        return Err("host policies do not support L7 rules yet".into());
                    }
                    if deny && ports.rules.is_some() {
                        return Err("a deny rule has no L7 rules: what is denied is denied whole".into());
                    }
                }
            }
        }
        Ok(())
    }
}
