//! Passes: it looks at each rule of each policy once, and notes for each side what it found.

use kit::network::NetworkPolicies;
use kit::network::network_policy::{
    Connection, Direction, End, IpBlock, Peer, Pod, Policy, PortRef, Rule, Side, Verdict,
};

#[derive(Default)]
struct Exercise;

impl NetworkPolicies for Exercise {
    fn judge(&self, policies: &[Policy], connection: &Connection) -> Verdict {
        let mut verdict = Verdict { allowed: true, egress: Side::default(), ingress: Side::default() };
        let id = |end: &End| end.pod.as_ref().map(|pod| format!("{}/{}", pod.namespace, pod.name));
        if id(&connection.from).is_some() && id(&connection.from) == id(&connection.to) {
            return verdict;
        }
        for policy in policies {
            let mut ingress = policy.policy_types.contains(&Direction::Ingress);
            let mut egress = policy.policy_types.contains(&Direction::Egress);
            if policy.policy_types.is_empty() {
                ingress = true;
                egress = !policy.egress.is_empty();
            }
            if let Some(pod) = &connection.from.pod
                && egress
                && selects(policy, pod)
            {
                note(&mut verdict.egress, policy, &policy.egress, &connection.to, connection);
            }
            if let Some(pod) = &connection.to.pod
                && ingress
                && selects(policy, pod)
            {
                note(&mut verdict.ingress, policy, &policy.ingress, &connection.from, connection);
            }
        }
        for side in [&verdict.egress, &verdict.ingress] {
            if !side.isolated_by.is_empty() && side.admitted_by.is_empty() {
                verdict.allowed = false;
            }
        }
        verdict
    }
}

fn selects(policy: &Policy, pod: &Pod) -> bool {
    policy.namespace == pod.namespace && policy.pod_selector.matches(&pod.labels)
}

fn note(side: &mut Side, policy: &Policy, rules: &[Rule], peer: &End, connection: &Connection) {
    side.isolated_by.push(policy.name.clone());
    for rule in rules {
        if rule_admits(rule, policy, peer, connection) {
            side.admitted_by.push(policy.name.clone());
            return;
        }
    }
}

fn rule_admits(rule: &Rule, policy: &Policy, peer: &End, connection: &Connection) -> bool {
    let mut by_port = rule.ports.is_empty();
    for port in &rule.ports {
        if port.protocol != connection.protocol {
            continue;
        }
        by_port |= match (&port.port, port.end_port) {
            (None, _) => true,
            (Some(PortRef::Number(only)), None) => *only == connection.port,
            (Some(PortRef::Number(first)), Some(last)) => *first <= connection.port && connection.port <= last,
            (Some(PortRef::Name(name)), _) => named(name, connection),
        };
    }
    by_port && (rule.peers.is_empty() || rule.peers.iter().any(|allowed| peer_matches(allowed, policy, peer)))
}

fn named(name: &str, connection: &Connection) -> bool {
    let Some(pod) = &connection.to.pod else {
        return false;
    };
    let wanted = (name, connection.port, connection.protocol);
    pod.ports.iter().any(|port| (port.name.as_str(), port.port, port.protocol) == wanted)
}

fn peer_matches(allowed: &Peer, policy: &Policy, peer: &End) -> bool {
    match (&allowed.ip_block, &peer.pod) {
        (Some(IpBlock { cidr, except }), _) => {
            cidr.contains(peer.ip) && except.iter().all(|network| !network.contains(peer.ip))
        }
        (None, None) => false,
        (None, Some(pod)) => match (&allowed.namespace_selector, &allowed.pod_selector) {
            (None, None) => pod.namespace == policy.namespace,
            (None, Some(pods)) => pod.namespace == policy.namespace && pods.matches(&pod.labels),
            (Some(namespaces), None) => namespaces.matches(&pod.namespace_labels),
            (Some(namespaces), Some(pods)) => namespaces.matches(&pod.namespace_labels) && pods.matches(&pod.labels),
        },
    }
}

kit::exercise!(Exercise: NetworkPolicies);
