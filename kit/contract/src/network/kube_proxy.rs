//! kube-proxy in iptables mode: the rules of one service port.
//!
//! Source: `syncProxyRules` in `pkg/proxy/iptables/proxier.go`. How endpoints are chosen is in `pkg/proxy/topology.go`, and stands
//! behind us here.

use crate::{Show, flow};
use serde::{Deserialize, Serialize};

// ANCHOR: contract
contract! {
    /// Writes the rules that make a service port out of a few addresses.
    ///
    /// Whether rules are right is judged by what they do with packets, not by how they look. Packets walk through them as the
    /// first packet of a connection walks through Linux, which asks chain after chain:
    ///
    /// | the packet | `nat` | then `filter` | then `nat` |
    /// |---|---|---|---|
    /// | comes in and stays on the node | `KUBE-SERVICES` | `KUBE-PROXY-FIREWALL`, `KUBE-NODEPORTS`, `KUBE-EXTERNAL-SERVICES` | |
    /// | comes in and goes on | `KUBE-SERVICES` | `KUBE-PROXY-FIREWALL`; then what is marked is accepted; `KUBE-SERVICES`, `KUBE-EXTERNAL-SERVICES` | masquerade, if marked |
    /// | comes from the node itself | `KUBE-SERVICES` | `KUBE-PROXY-FIREWALL`, `KUBE-SERVICES`; if it stays here, those of a packet that comes in, too | masquerade, if marked |
    ///
    /// Whether a packet stays on the node depends on its destination after `nat`, and `filter` sees the new destination. The last rule of
    /// `KUBE-SERVICES` in `nat` sends all packets to an address of the node to `KUBE-NODEPORTS` of `nat`; it is there already, as are `KUBE-MARK-MASQ`, which marks
    /// packets for masquerade, and the rules of other services around yours.
    pub trait KubeProxy {
        /// All rules of this service port, those of one chain in their order.
        ///
        /// Own chains are those that `service` names, all in `nat`; they are there, also those that you put nothing into, and may hold what you like. Shared chains are those in
        /// the table above but for `KUBE-MARK-MASQ`, to which rules may only jump. No chain has more than one owner, and nothing else may be touched: packets to
        /// other addresses, ports and protocols go on as if your rules weren't there.
        ///
        /// **To the cluster IP**: a packet to `cluster_ip` and `port` goes to one of `endpoints.cluster`, or under the internal policy `Local` to one
        /// of `endpoints.local`; to each with the same probability. It is masqueraded if `node.masquerade_all`, or if it doesn't come from a pod
        /// and the node can tell (`node.detects_pods`).
        ///
        /// **Back to its sender**: a packet that goes to the endpoint it came from is masqueraded, whichever way it came.
        ///
        /// **Without endpoints**: if there is none anywhere (`endpoints.anywhere`), packets to all addresses of the service are rejected. If there is
        /// one, but the policy allows none here, they are dropped. Rules about cluster IPs stand in `KUBE-SERVICES`, about all others in
        /// `KUBE-EXTERNAL-SERVICES`. (What the node itself sends to an external IP or a load balancer's then passes, unless that is an address of the
        /// node; nobody asks about it.)
        ///
        /// **From outside**: packets to `node_port` at any address of the node, and to `port` at external IPs and at those of load balancers, go to one of
        /// `endpoints.cluster` and are masqueraded, since the endpoint may be on another node. Under the external policy `Local` they go to one of
        /// `endpoints.local` and are not masqueraded. Then two kinds of senders are let round the policy, to `endpoints.cluster`: pods, if the node can tell, without
        /// masquerade; and the node itself, masqueraded.
        ///
        /// **Source ranges**: if there are any, packets to load balancer IPs are dropped unless they come from one of the ranges. Node ports and external IPs don't
        /// mind. Where there is no endpoint anywhere, all are rejected.
        ///
        /// **Affinity**: with `affinity_seconds`, an endpoint remembers its clients by address: who was sent to it (by whichever way of this service
        /// port) that many seconds ago or less is sent to it again, if it is still among the endpoints. Each time it is remembered anew. Endpoints come and go between two
        /// questions, and the others still know their clients: a list is known by its name.
        ///
        /// **Health checks**: TCP packets to `health_check_node_port` at the node are accepted, in `KUBE-NODEPORTS` of `filter`.
        fn rules(&self, service: &ProxyPort, node: &ProxyNode) -> Vec<IptablesRule>;
    }
}

/// One port of a service, as the proxy sees it. Addresses of one service are all of one family.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProxyPort {
    /// `namespace/name:port`.
    pub name: String,
    /// TCP, UDP or SCTP.
    pub protocol: ServiceProtocol,
    /// The service's own address.
    pub cluster_ip: String,
    /// The port at it, at external IPs and at load balancer IPs.
    pub port: u16,
    /// The port at each node, if it has one.
    #[serde(default)]
    pub node_port: Option<u16>,
    /// `spec.externalIPs`.
    #[serde(default)]
    pub external_ips: Vec<String>,
    /// `status.loadBalancer.ingress`, but for those with `ipMode: Proxy`.
    #[serde(default)]
    pub load_balancer_ips: Vec<String>,
    /// `spec.loadBalancerSourceRanges`, each a CIDR; none stands for all.
    #[serde(default)]
    pub source_ranges: Vec<String>,
    /// Where the cloud asks whether this node has endpoints, if it does.
    #[serde(default)]
    pub health_check_node_port: Option<u16>,
    /// For packets to the cluster IP.
    #[serde(default)]
    pub internal_policy: ProxyPolicy,
    /// For packets to everything else.
    #[serde(default)]
    pub external_policy: ProxyPolicy,
    /// How long a client keeps its endpoint (`sessionAffinity: ClientIP`); none: not at all.
    #[serde(default)]
    pub affinity_seconds: Option<u32>,
    /// Where packets may go.
    pub endpoints: ProxyEndpoints,
    /// Names for chains of its own in `nat`.
    pub chains: ProxyChains,
}

/// The endpoints of a service port that are chosen for this node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProxyEndpoints {
    /// Under the policy `Cluster`. Never empty if there is an endpoint anywhere and packets may come under that policy; else it is empty.
    pub cluster: Vec<ProxyEndpoint>,
    /// Under the policy `Local`: those on this node. Empty if no packet comes under that policy. Most of them, but not always
    /// all, are in `cluster`, too.
    pub local: Vec<ProxyEndpoint>,
    /// Whether there is an endpoint on any node.
    pub anywhere: bool,
}

/// One endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProxyEndpoint {
    /// Its address.
    pub ip: String,
    /// Its port.
    pub port: u16,
    /// `KUBE-SEP-…`: a name for a chain (and for a list) of its own. The same endpoint has the same name in `cluster`, in `local` and tomorrow.
    pub chain: String,
}

/// Names for the chains of a service port. They are made of a hash, so that they stay short and the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProxyChains {
    /// `KUBE-SVC-…`: kube-proxy's chain for the policy `Cluster`.
    pub cluster: String,
    /// `KUBE-SVL-…`: for the policy `Local`.
    pub local: String,
    /// `KUBE-EXT-…`: for packets from outside.
    pub external: String,
    /// `KUBE-FW-…`: for source ranges.
    pub firewall: String,
}

/// The node that the rules are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProxyNode {
    /// Whether it can tell pods from others (`--detect-local-mode`). If not, `FromPod` and `NotFromPod` may not be used.
    pub detects_pods: bool,
    /// `--masquerade-all`.
    pub masquerade_all: bool,
}

/// A protocol that services have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ServiceProtocol {
    /// `TCP`.
    #[default]
    Tcp,
    /// `UDP`.
    Udp,
    /// `SCTP`.
    Sctp,
}

/// `internalTrafficPolicy` or `externalTrafficPolicy`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProxyPolicy {
    /// Endpoints of the whole cluster.
    #[default]
    Cluster,
    /// Endpoints of this node.
    Local,
}

/// One rule: a packet that comes to it in its chain, and has all that is asked for, goes where the target says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IptablesRule {
    /// The table.
    pub table: IptablesTable,
    /// The chain that it is appended to.
    pub chain: String,
    /// What a packet must have, asked in this order; the first `no` ends it.
    pub matches: Vec<IptablesMatch>,
    /// What happens then.
    pub target: IptablesTarget,
}

/// A table of iptables. Chains of the same name in two tables are two chains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IptablesTable {
    /// Where destinations are changed and packets marked.
    Nat,
    /// Where packets are let through or not.
    Filter,
}

/// What a rule asks of a packet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IptablesMatch {
    /// `-p tcp`.
    Protocol(ServiceProtocol),
    /// `-s`: the source is this address or in this CIDR.
    Source(String),
    /// `-d`: so is the destination.
    Destination(String),
    /// `--dport`: the destination's port. Only after `Protocol`.
    DestinationPort(u16),
    /// From a pod. How the node can tell is its business: by `-s` and the pods' range, or by the interface.
    FromPod,
    /// Not from a pod.
    NotFromPod,
    /// `-m addrtype --src-type LOCAL`: the source is an address of this node.
    FromNode,
    /// `-m addrtype --dst-type LOCAL`: the destination is one.
    ToNode,
    /// `-m statistic --mode random`: chance picks one in so many packets, at least 1.
    OneIn(u32),
    /// `-m recent --rcheck`: this list has the source's address since so many seconds or less.
    Seen {
        /// The name of the list.
        list: String,
        /// How long ago at most.
        seconds: u32,
    },
    /// `-m recent --set`: always so, and puts the source's address into this list as of now.
    Remember {
        /// The name of the list.
        list: String,
    },
}

/// What happens to a packet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IptablesTarget {
    /// It goes through another chain of the table, and comes back if nothing is decided there.
    Jump(String),
    /// Its destination is changed, and the table has no more to say. In `nat` only.
    Dnat {
        /// The new address.
        ip: String,
        /// The new port.
        port: u16,
    },
    /// It is let through, and the table has no more to say.
    Accept,
    /// Its sender is told that nobody is there. In `filter` only.
    Reject,
    /// Its sender is told nothing. In `filter` only.
    Drop,
    /// It goes back to where the chain was jumped to from.
    Return,
}

/// In `nat` for all packets; in `filter` for those to cluster IPs.
pub const KUBE_SERVICES: &str = "KUBE-SERVICES";
/// In `nat` for packets to an address of the node that no rule of `KUBE-SERVICES` took; in `filter` for those that stay on the node.
pub const KUBE_NODEPORTS: &str = "KUBE-NODEPORTS";
/// In `filter` for packets to all addresses of services but cluster IPs.
pub const KUBE_EXTERNAL_SERVICES: &str = "KUBE-EXTERNAL-SERVICES";
/// In `filter` for what source ranges keep away.
pub const KUBE_PROXY_FIREWALL: &str = "KUBE-PROXY-FIREWALL";
/// In `nat`: marks a packet, so that it is masqueraded when it leaves, and comes back.
pub const KUBE_MARK_MASQ: &str = "KUBE-MARK-MASQ";

impl IptablesRule {
    /// A rule of `nat`.
    pub fn nat(chain: &str, matches: Vec<IptablesMatch>, target: IptablesTarget) -> Self {
        IptablesRule { table: IptablesTable::Nat, chain: chain.into(), matches, target }
    }

    /// A rule of `filter`.
    pub fn filter(chain: &str, matches: Vec<IptablesMatch>, target: IptablesTarget) -> Self {
        IptablesRule { table: IptablesTable::Filter, chain: chain.into(), matches, target }
    }
}

impl IptablesTarget {
    /// A jump to a chain.
    pub fn jump(chain: &str) -> Self {
        IptablesTarget::Jump(chain.into())
    }
}
// ANCHOR_END: contract

impl ServiceProtocol {
    /// As iptables writes it.
    pub fn lower(self) -> &'static str {
        match self {
            ServiceProtocol::Tcp => "tcp",
            ServiceProtocol::Udp => "udp",
            ServiceProtocol::Sctp => "sctp",
        }
    }
}

impl Show for ProxyPort {
    fn lines(&self) -> Vec<String> {
        vec![flow(self)]
    }
}

impl Show for ProxyNode {
    fn lines(&self) -> Vec<String> {
        vec![flow(self)]
    }
}

impl Show for IptablesRule {
    fn lines(&self) -> Vec<String> {
        let matches: String = self.matches.iter().map(|part| format!("{} ", flow(part))).collect();
        vec![format!("{} {}  {matches}→ {}", flow(&self.table), flow(&self.chain), flow(&self.target))]
    }
}
