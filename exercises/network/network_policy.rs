//! # Network policies: who may talk to whom
//!
//! Pods talk to everybody until a policy is about them. You decide whether a connection passes, and say which policies
//! isolate the pods at its ends and which of these admit it.
//!
//! About 35 minutes · builds on nothing · book: "Network policies: who may talk to whom" · stuck?
//! `cargo grade hint network/network_policy`
//!
//! Given to you:
//!
//! - `Policy` with `namespace`, `name`, `pod_selector`, `policy_types`, `ingress` and `egress`
//! - `Rule` with `peers` and `ports`, `Peer` with `pod_selector`, `namespace_selector` and `ip_block`
//! - `Port` with `protocol`, `port` and `end_port`; `PortRef::Number(u16)` or `PortRef::Name(String)`
//! - `Connection` with `from`, `to`, `port` and `protocol`; `End` with `ip` and `pod`
//! - `Pod` with `namespace`, `name`, `labels`, `namespace_labels` and `ports`, which are `NamedPort`s
//! - `selector.matches(&labels)` and `cidr.contains(ip)`
//! - `Side` with `isolated_by` and `admitted_by`; `side.refuses()`

use kit::network::NetworkPolicies;
#[allow(unused_imports)]
use kit::network::network_policy::{
    Connection, Direction, End, IpBlock, NamedPort, Peer, Pod, Policy, Port, PortRef, Protocol, Rule, Side, Verdict,
};

#[derive(Default)]
struct Exercise;

impl NetworkPolicies for Exercise {
    /// The verdict on a new connection: the egress side of its source and the ingress side of its destination.
    ///
    /// A policy isolates a pod in a direction if it is in the pod's namespace, selects the pod and has the direction among
    /// its types. Where no types are written, they are Ingress, and Egress too if there are egress rules. An isolated
    /// pod's side refuses what no isolating policy admits; a pod that isn't isolated, and an end outside, refuse nothing.
    /// A policy admits a connection if one of its rules does: by one of the rule's peers and one of its ports, where an
    /// empty list means all of them.
    ///
    /// - A peer with a podSelector alone means pods of the policy's namespace; with a namespaceSelector, pods of the
    ///   selected namespaces, and only those that the podSelector selects, if it has one, too. An ipBlock means every
    ///   address in its cidr that is in no except, pods' addresses too.
    /// - A port has the connection's protocol, and its number, or is below or at end_port, or is not given. A name means
    ///   the ports of that name and protocol of the destination pod.
    ///
    /// A connection of a pod (by namespace and name) to itself is always allowed: both sides are empty then. Names of
    /// policies are in the order of `policies`.
    fn judge(&self, policies: &[Policy], connection: &Connection) -> Verdict {
        let _ = (policies, connection);
        todo!("judge the egress side of the source, then the ingress side of the destination; they differ in little")
    }
}

kit::exercise!(Exercise: NetworkPolicies);
