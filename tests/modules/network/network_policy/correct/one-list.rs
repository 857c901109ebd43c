//! Passes: it first writes down all permissions of a direction as one flat list, each a peer, a port and a policy.

use kit::network::NetworkPolicies;
use kit::network::network_policy::{Connection, Direction, End, Peer, Policy, Port, PortRef, Side, Verdict};

#[derive(Default)]
struct Exercise;

/// What a rule permits, taken apart. `None` permits everything.
struct Permission<'a> {
    policy: usize,
    peer: Option<&'a Peer>,
    port: Option<&'a Port>,
}

/// `[None]` for an empty list, else each of its items.
fn parts<T>(list: &[T]) -> Vec<Option<&T>> {
    if list.is_empty() { vec![None] } else { list.iter().map(Some).collect() }
}

impl NetworkPolicies for Exercise {
    fn judge(&self, policies: &[Policy], connection: &Connection) -> Verdict {
        if let (Some(a), Some(b)) = (&connection.from.pod, &connection.to.pod)
            && a.name == b.name
            && a.namespace == b.namespace
        {
            return Verdict { allowed: true, ..Default::default() };
        }
        let egress = one_side(policies, Direction::Egress, &connection.from, &connection.to, connection);
        let ingress = one_side(policies, Direction::Ingress, &connection.to, &connection.from, connection);
        let allowed =
            [&egress, &ingress].iter().all(|side| side.isolated_by.is_empty() || !side.admitted_by.is_empty());
        Verdict { allowed, egress, ingress }
    }
}

fn one_side(policies: &[Policy], direction: Direction, own: &End, peer: &End, connection: &Connection) -> Side {
    let mut isolating = Vec::new();
    let mut permissions = Vec::new();
    for (at, policy) in policies.iter().enumerate() {
        let Some(pod) = &own.pod else { continue };
        let rules = if direction == Direction::Ingress { &policy.ingress } else { &policy.egress };
        let by_default = direction == Direction::Ingress || !rules.is_empty();
        let isolates = policy.policy_types.contains(&direction) || (policy.policy_types.is_empty() && by_default);
        if !isolates || pod.namespace != policy.namespace || !policy.pod_selector.matches(&pod.labels) {
            continue;
        }
        isolating.push(at);
        for rule in rules {
            for peer in parts(&rule.peers) {
                for port in parts(&rule.ports) {
                    permissions.push(Permission { policy: at, peer, port });
                }
            }
        }
    }
    permissions.retain(|permission| {
        let namespace = &policies[permission.policy].namespace;
        permission.port.is_none_or(|port| has_port(port, connection))
            && permission.peer.is_none_or(|allowed| is_meant(allowed, namespace, peer))
    });
    let name = |at: &usize| policies[*at].name.clone();
    Side {
        isolated_by: isolating.iter().map(name).collect(),
        admitted_by: isolating
            .iter()
            .filter(|at| permissions.iter().any(|permission| permission.policy == **at))
            .map(name)
            .collect(),
    }
}

fn has_port(port: &Port, connection: &Connection) -> bool {
    if port.protocol != connection.protocol {
        return false;
    }
    let numbers: Vec<(u16, u16)> = match &port.port {
        None => vec![(0, u16::MAX)],
        Some(PortRef::Number(number)) => vec![(*number, port.end_port.unwrap_or(*number))],
        Some(PortRef::Name(name)) => connection
            .to
            .pod
            .iter()
            .flat_map(|pod| pod.ports.iter())
            .filter(|known| known.name == *name && known.protocol == port.protocol)
            .map(|known| (known.port, known.port))
            .collect(),
    };
    numbers.iter().any(|(first, last)| connection.port >= *first && connection.port <= *last)
}

fn is_meant(allowed: &Peer, namespace: &str, end: &End) -> bool {
    if let Some(block) = &allowed.ip_block {
        let left_out = block.except.iter().filter(|part| part.contains(end.ip)).count();
        return block.cidr.contains(end.ip) && left_out == 0;
    }
    let Some(pod) = &end.pod else { return false };
    let namespace_fits = allowed
        .namespace_selector
        .as_ref()
        .map_or(pod.namespace == namespace, |selector| selector.matches(&pod.namespace_labels));
    let pod_fits = allowed.pod_selector.as_ref().map_or(true, |selector| selector.matches(&pod.labels));
    namespace_fits && pod_fits
}

kit::exercise!(Exercise: NetworkPolicies);
