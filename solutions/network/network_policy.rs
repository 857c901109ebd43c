//! The reference for `network/network_policy`.
//!
//! Sources: `staging/src/k8s.io/api/networking/v1/types.go` and `pkg/apis/networking/v1/defaults.go`. Policies are
//! enforced by plugins, each in its own way; `policy-assistant` of kubernetes-sigs/network-policy-api evaluates them
//! as it is done here.

// ANCHOR: solution
use kit::network::NetworkPolicies;
use kit::network::network_policy::{Connection, Direction, End, Peer, Pod, Policy, Port, PortRef, Rule, Side, Verdict};

/// NetworkPolicy as a function.
#[derive(Default)]
pub struct Exercise;

impl NetworkPolicies for Exercise {
    // ANCHOR: judge
    fn judge(&self, policies: &[Policy], connection: &Connection) -> Verdict {
        let Connection { from, to, .. } = connection;
        if let (Some(source), Some(destination)) = (&from.pod, &to.pod)
            && (&source.namespace, &source.name) == (&destination.namespace, &destination.name)
        {
            return Verdict { allowed: true, ..Verdict::default() };
        }
        let egress = side(policies, Direction::Egress, from, to, connection);
        let ingress = side(policies, Direction::Ingress, to, from, connection);
        Verdict { allowed: !egress.refuses() && !ingress.refuses(), egress, ingress }
    }
    // ANCHOR_END: judge
}

// ANCHOR: side
/// What policies say of one end (`own`), whose peer is the other end.
fn side(policies: &[Policy], direction: Direction, own: &End, peer: &End, connection: &Connection) -> Side {
    let mut side = Side::default();
    let Some(pod) = &own.pod else { return side };
    for policy in policies.iter().filter(|policy| isolates(policy, direction, pod)) {
        side.isolated_by.push(policy.name.clone());
        let rules = match direction {
            Direction::Ingress => &policy.ingress,
            Direction::Egress => &policy.egress,
        };
        if rules.iter().any(|rule| admits(rule, &policy.namespace, peer, connection)) {
            side.admitted_by.push(policy.name.clone());
        }
    }
    side
}

/// Whether a policy is about this direction of this pod.
fn isolates(policy: &Policy, direction: Direction, pod: &Pod) -> bool {
    let about = match policy.policy_types.as_slice() {
        // What the API server fills in (`SetDefaults_NetworkPolicy`).
        [] => direction == Direction::Ingress || !policy.egress.is_empty(),
        types => types.contains(&direction),
    };
    about && policy.namespace == pod.namespace && policy.pod_selector.matches(&pod.labels)
}
// ANCHOR_END: side

// ANCHOR: rule
/// Whether one rule admits a connection: by its peer and by its port.
fn admits(rule: &Rule, namespace: &str, peer: &End, connection: &Connection) -> bool {
    let peers = rule.peers.is_empty() || rule.peers.iter().any(|allowed| is_peer(allowed, namespace, peer));
    let ports = rule.ports.is_empty() || rule.ports.iter().any(|port| is_port(port, connection));
    peers && ports
}

fn is_peer(allowed: &Peer, namespace: &str, end: &End) -> bool {
    if let Some(block) = &allowed.ip_block {
        return block.cidr.contains(end.ip) && !block.except.iter().any(|except| except.contains(end.ip));
    }
    let Some(pod) = &end.pod else { return false };
    let in_namespace = match &allowed.namespace_selector {
        Some(selector) => selector.matches(&pod.namespace_labels),
        None => pod.namespace == namespace,
    };
    in_namespace && allowed.pod_selector.as_ref().is_none_or(|selector| selector.matches(&pod.labels))
}

fn is_port(allowed: &Port, connection: &Connection) -> bool {
    let &Connection { port, protocol, .. } = connection;
    allowed.protocol == protocol
        && match &allowed.port {
            None => true,
            Some(PortRef::Number(first)) => (*first..=allowed.end_port.unwrap_or(*first)).contains(&port),
            Some(PortRef::Name(name)) => connection
                .to
                .pod
                .iter()
                .flat_map(|pod| &pod.ports)
                .any(|named| named.name == *name && named.protocol == protocol && named.port == port),
        }
}
// ANCHOR_END: rule
// ANCHOR_END: solution
