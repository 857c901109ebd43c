//! Passes: the two directions are one closure that is called twice, without functions beside it.

use kit::network::NetworkPolicies;
use kit::network::network_policy::{Connection, Direction, Policy, PortRef, Side, Verdict};

#[derive(Default)]
struct Exercise;

impl NetworkPolicies for Exercise {
    fn judge(&self, policies: &[Policy], connection: &Connection) -> Verdict {
        let ends = [&connection.from, &connection.to];
        let names = ends.map(|end| end.pod.as_ref().map(|pod| (&pod.namespace, &pod.name)));
        if names[0].is_some() && names[0] == names[1] {
            return Verdict { allowed: true, ..Verdict::default() };
        }
        let at_port = |ports: &[kit::network::network_policy::Port]| {
            ports.is_empty()
                || ports.iter().filter(|port| port.protocol == connection.protocol).any(|port| match &port.port {
                    Some(PortRef::Number(first)) => match port.end_port {
                        Some(last) => connection.port >= *first && connection.port <= last,
                        None => connection.port == *first,
                    },
                    Some(PortRef::Name(name)) => connection.to.pod.as_ref().is_some_and(|pod| {
                        pod.ports.iter().any(|known| {
                            &known.name == name
                                && known.protocol == connection.protocol
                                && known.port == connection.port
                        })
                    }),
                    None => true,
                })
        };
        let side = |direction: Direction| {
            let egress = direction == Direction::Egress;
            let (own, other) = if egress { (ends[0], ends[1]) } else { (ends[1], ends[0]) };
            let rules = |policy: &'_ Policy| if egress { policy.egress.clone() } else { policy.ingress.clone() };
            let isolating: Vec<&Policy> = policies
                .iter()
                .filter(|policy| {
                    let types = match policy.policy_types.is_empty() {
                        true if policy.egress.is_empty() => vec![Direction::Ingress],
                        true => vec![Direction::Ingress, Direction::Egress],
                        false => policy.policy_types.clone(),
                    };
                    types.contains(&direction)
                        && own.pod.as_ref().is_some_and(|pod| {
                            pod.namespace == policy.namespace && policy.pod_selector.matches(&pod.labels)
                        })
                })
                .collect();
            let admitting = isolating.iter().filter(|policy| {
                rules(policy).iter().filter(|rule| at_port(&rule.ports)).any(|rule| {
                    rule.peers.is_empty()
                        || rule.peers.iter().any(|peer| match (&peer.ip_block, &other.pod) {
                            (Some(block), _) => {
                                block.cidr.contains(other.ip)
                                    && !block.except.iter().any(|except| except.contains(other.ip))
                            }
                            (None, Some(pod)) => {
                                let here = match &peer.namespace_selector {
                                    None => pod.namespace == policy.namespace,
                                    Some(selector) => selector.matches(&pod.namespace_labels),
                                };
                                here && match &peer.pod_selector {
                                    None => true,
                                    Some(selector) => selector.matches(&pod.labels),
                                }
                            }
                            (None, None) => false,
                        })
                })
            });
            Side {
                admitted_by: admitting.map(|policy| policy.name.clone()).collect(),
                isolated_by: isolating.iter().map(|policy| policy.name.clone()).collect(),
            }
        };
        let (egress, ingress) = (side(Direction::Egress), side(Direction::Ingress));
        Verdict { allowed: !egress.refuses() && !ingress.refuses(), egress, ingress }
    }
}

kit::exercise!(Exercise: NetworkPolicies);
