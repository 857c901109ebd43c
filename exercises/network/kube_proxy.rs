//! # kube-proxy: a service out of rules
//!
//! No host has the address of a service. On each node kube-proxy writes rules that turn packets to it into packets to one of its
//! endpoints. You write the rules of one service port in iptables mode: where packets are caught, whom they may reach, and who is masqueraded.
//!
//! About 45 minutes · builds on nothing · book: "kube-proxy: a service out of rules" · stuck? `cargo grade hint network/kube_proxy`
//!
//! Your rules are judged by what they do: packets are sent through them, from everywhere to everything.
//!
//! Given to you:
//!
//! - `IptablesRule::nat(&str, Vec<IptablesMatch>, IptablesTarget)`, and `IptablesRule::filter`
//! - `IptablesMatch`: `Protocol`, `Source`, `Destination`, `DestinationPort`, `FromPod`, `NotFromPod`, `FromNode`, `ToNode`, `OneIn`, `Seen`, `Remember`
//! - `IptablesTarget::jump(&str)`, and `Dnat`, `Accept`, `Reject`, `Drop`, `Return`
//! - shared chains: `KUBE_SERVICES`, `KUBE_NODEPORTS`, `KUBE_EXTERNAL_SERVICES`, `KUBE_PROXY_FIREWALL`; to jump to: `KUBE_MARK_MASQ`
//! - chains of your own: `service.chains.cluster`, `.local`, `.external`, `.firewall`, and `chain` of each endpoint; they are there, also if you put nothing into them
//!
//! Mind that what is marked for masquerade and goes on to another host is accepted before `KUBE_SERVICES` of `filter` refuses anything.

use kit::network::{IptablesRule, KubeProxy, ProxyNode, ProxyPort};

#[derive(Default)]
struct Exercise;

impl KubeProxy for Exercise {
    /// All rules of this service port, those of one chain in their order. The contract says which chains a packet passes.
    ///
    /// - **To the cluster IP** (`cluster_ip`, `port`): to one of `endpoints.cluster`, or under the internal policy `Local` to one of `endpoints.local`, to each with
    ///   the same probability. Masqueraded if `node.masquerade_all`, or if it isn't from a pod and `node.detects_pods`.
    /// - **Back to its sender**: a packet that goes to the endpoint it came from is masqueraded, whichever way it came.
    /// - **Without endpoints**: none anywhere (`endpoints.anywhere`): rejected. None that the policy allows: dropped. About cluster IPs in
    ///   `KUBE_SERVICES` of `filter`, about all others in `KUBE_EXTERNAL_SERVICES`.
    /// - **From outside** (`node_port` at any address of the node, `port` at `external_ips` and `load_balancer_ips`): to one of `endpoints.cluster`, masqueraded.
    ///   Under the external policy `Local`: to one of `endpoints.local`, not masqueraded; but from pods, if the node can tell, to `endpoints.cluster` without
    ///   masquerade, and from the node itself to `endpoints.cluster`, masqueraded.
    /// - **Source ranges**: packets to load balancer IPs are dropped unless they come from one of the ranges, if there are any. Without any endpoint
    ///   all are rejected.
    /// - **Affinity** (`affinity_seconds`): who was sent to an endpoint that many seconds ago or less, whichever way it came, is sent to it again,
    ///   if it is still among the endpoints; each time it is remembered anew.
    /// - **Health checks**: TCP to `health_check_node_port` is accepted, in `KUBE_NODEPORTS` of `filter`.
    ///
    /// All other packets go on as if your rules weren't there.
    fn rules(&self, service: &ProxyPort, node: &ProxyNode) -> Vec<IptablesRule> {
        let _ = (service, node);
        todo!("catch packets to the cluster IP in KUBE_SERVICES of nat, and send them to an endpoint")
    }
}

kit::exercise!(Exercise: KubeProxy);
