//! NetworkPolicies as people apply them.
//!
//! Sources: `pkg/apis/networking/v1/defaults.go` and `pkg/apis/networking/validation/validation.go`.

use kit_api::int_or_percent::IntOrString;
use kit_api::meta::LabelSelector;
use kit_api::networking::{NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort};
use kit_contract::api::selector::Selector;
use kit_contract::network::network_policy::{Direction, IpBlock, Peer, Policy, Port, PortRef, Protocol, Rule};

/// The policy in the terms of the exercise.
///
/// # Errors
///
/// The API server would refuse it: where, and why.
pub fn read(policy: &NetworkPolicy) -> Result<Policy, String> {
    let spec = policy.spec.clone().unwrap_or_default();
    let mut types = Vec::new();
    for (at, name) in spec.policy_types.iter().flatten().enumerate() {
        types.push(match name.as_str() {
            "Ingress" => Direction::Ingress,
            "Egress" => Direction::Egress,
            other => {
                return Err(format!(
                    "spec.policyTypes[{at}]: Unsupported value: {other:?}: supported values: \"Egress\", \"Ingress\""
                ));
            }
        });
    }
    let mut ingress = Vec::new();
    for (at, rule) in spec.ingress.iter().flatten().enumerate() {
        let place = format!("spec.ingress[{at}]");
        ingress.push(read_rule(&place, "from", rule.from.as_deref(), rule.ports.as_deref())?);
    }
    let mut egress = Vec::new();
    for (at, rule) in spec.egress.iter().flatten().enumerate() {
        let place = format!("spec.egress[{at}]");
        egress.push(read_rule(&place, "to", rule.to.as_deref(), rule.ports.as_deref())?);
    }
    Ok(Policy {
        namespace: policy.metadata.namespace.clone().unwrap_or_else(|| "default".into()),
        name: policy.metadata.name.clone().unwrap_or_default(),
        pod_selector: selector("spec.podSelector", &spec.pod_selector.unwrap_or_default())?,
        policy_types: types,
        ingress,
        egress,
    })
}

fn selector(place: &str, written: &LabelSelector) -> Result<Selector, String> {
    Selector::try_from(Some(written)).map_err(|error| format!("{place}: {error}"))
}

fn read_rule(
    place: &str,
    field: &str,
    peers: Option<&[NetworkPolicyPeer]>,
    ports: Option<&[NetworkPolicyPort]>,
) -> Result<Rule, String> {
    let peers = peers.unwrap_or_default().iter().enumerate();
    let ports = ports.unwrap_or_default().iter().enumerate();
    Ok(Rule {
        peers: peers.map(|(at, peer)| read_peer(&format!("{place}.{field}[{at}]"), peer)).collect::<Result<_, _>>()?,
        ports: ports.map(|(at, port)| read_port(&format!("{place}.ports[{at}]"), port)).collect::<Result<_, _>>()?,
    })
}

fn read_peer(place: &str, peer: &NetworkPolicyPeer) -> Result<Peer, String> {
    let pods = peer.pod_selector.as_ref().map(|written| selector(&format!("{place}.podSelector"), written));
    let namespaces =
        peer.namespace_selector.as_ref().map(|written| selector(&format!("{place}.namespaceSelector"), written));
    let selectors = pods.is_some() || namespaces.is_some();
    let ip_block = match &peer.ip_block {
        Some(_) if selectors => {
            return Err(format!("{place}: Forbidden: may not specify both ipBlock and another peer"));
        }
        None if !selectors => return Err(format!("{place}: Required value: must specify a peer")),
        None => None,
        Some(block) => {
            let place = format!("{place}.ipBlock");
            let network = |place: String, text: &str| {
                text.parse::<kit_api::cidr::Cidr>().map_err(|_| {
                    format!("{place}: Invalid value: {text:?}: must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)")
                })
            };
            let cidr = network(format!("{place}.cidr"), &block.cidr)?;
            let mut except = Vec::new();
            for (at, text) in block.except.iter().flatten().enumerate() {
                let place = format!("{place}.except[{at}]");
                except.push(network(place, text)?);
            }
            Some(IpBlock { cidr, except })
        }
    };
    Ok(Peer { pod_selector: pods.transpose()?, namespace_selector: namespaces.transpose()?, ip_block })
}

fn read_port(place: &str, port: &NetworkPolicyPort) -> Result<Port, String> {
    let protocol = match port.protocol.as_deref() {
        None | Some("TCP") => Protocol::TCP,
        Some("UDP") => Protocol::UDP,
        Some("SCTP") => Protocol::SCTP,
        Some(other) => {
            return Err(format!(
                "{place}.protocol: Unsupported value: {other:?}: supported values: \"SCTP\", \"TCP\", \"UDP\""
            ));
        }
    };
    let number = |field: &str, number: i32| match u16::try_from(number) {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(format!("{place}.{field}: Invalid value: {number}: must be between 1 and 65535, inclusive")),
    };
    let reference = match &port.port {
        None => None,
        Some(IntOrString::Int(written)) => Some(PortRef::Number(number("port", *written)?)),
        Some(IntOrString::String(name)) => Some(PortRef::Name(name.clone())),
    };
    let end_port = port.end_port.map(|written| number("endPort", written)).transpose()?;
    match (&reference, end_port) {
        (None, Some(end)) => {
            return Err(format!(
                "{place}.endPort: Invalid value: {end}: may not be specified when `port` is not specified"
            ));
        }
        (Some(PortRef::Name(_)), Some(end)) => {
            return Err(format!(
                "{place}.endPort: Invalid value: {end}: may not be specified when `port` is non-numeric"
            ));
        }
        (Some(PortRef::Number(first)), Some(end)) if end < *first => {
            return Err(format!("{place}.endPort: Invalid value: {end}: must be greater than or equal to `port`"));
        }
        _ => {}
    }
    Ok(Port { protocol, port: reference, end_port })
}
