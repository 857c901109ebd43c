//! # Node failure: from a missed heartbeat to a new pod
//!
//! A node that dies says nothing any more; that is all a cluster ever learns. You write the controller that draws the
//! conclusions: who is silent for too long, which conditions and taints follow, and when so many nodes look dead that
//! it is wiser to do nothing.
//!
//! About 45 minutes · builds on nothing · book: "Node failure: from a missed heartbeat to a new pod" · stuck? `cargo grade hint failure/node_lifecycle`
//!
//! Given to you:
//!
//! - `ObservedNode::ready: fn(&ObservedNode) -> Option<kit::failure::node_lifecycle::Status>`
//! - `ObservedNode::has_taint: fn(&ObservedNode, &str, &str) -> bool`: by key and effect

use kit::failure::NodeLifecycle;
use kit::failure::node_lifecycle::{Answer, Config, ObservedNode};

/// What the controller remembers from pass to pass: of each node when it was heard, of each zone who waits.
struct Exercise {
    config: Config,
}

/// All answers hold changes only: no action for what the node already has or lacks, as it is given. Actions have no
/// order. Before the first pass the controller knows no node and no zone, and nobody waits. The keys of all taints are constants of `kit::failure::node_lifecycle`, such as `NOT_READY`.
impl NodeLifecycle for Exercise {
    /// A controller that was just started and knows nothing.
    fn new(config: &Config) -> Self {
        Exercise { config: config.clone() }
    }

    /// A node is new or has changed: its `NoSchedule` taints follow from its conditions.
    ///
    /// | condition | status | key of the taint |
    /// |---|---|---|
    /// | `Ready` | `False` | `not-ready` |
    /// | `Ready` | `Unknown` | `unreachable` |
    /// | `MemoryPressure` | `True` | `memory-pressure` |
    /// | `DiskPressure` | `True` | `disk-pressure` |
    /// | `PIDPressure` | `True` | `pid-pressure` |
    /// | `NetworkUnavailable` | `True` | `network-unavailable` |
    ///
    /// A cordoned node has `unschedulable`. Taints with one of these seven keys and the effect `NoSchedule` are the
    /// controller's: it adds what is missing and removes what is too much. It leaves all other taints alone.
    fn node_changed(&mut self, node: &ObservedNode) -> Answer {
        let _ = node;
        todo!("which of the seven taints should be there, and which are?")
    }

    /// One pass over all nodes, sorted by name. The kit makes one every 5 seconds.
    ///
    /// **Heartbeats.** The controller hears from a node when the heartbeat time of its condition `Ready` is another
    /// than in the pass before, or the renew time of its lease later than any since it appeared (or there was none). *When* it
    /// heard is the time of the pass, by its own clock: what the node's clock says is not compared with it. A node
    /// that appears was heard now, or, if it has neither a condition `Ready` nor a lease, when it was created; one
    /// that gets or loses that condition was heard now. A node that a pass no longer lists is forgotten: if it comes
    /// back, it appears for the first time.
    ///
    /// **Silence.** A node is silent when it was heard more than the grace period ago, which is that of the start-up
    /// while it has no condition `Ready`. If a silent node's `Ready` isn't `Unknown` yet, then of `Ready`,
    /// `MemoryPressure`, `DiskPressure` and `PIDPressure`
    ///
    /// - those that it has and that aren't `Unknown` become it: reason `NodeStatusUnknown`, message
    ///   `Kubelet stopped posting node status.`
    /// - those that it lacks are added: reason `NodeStatusNeverUpdated`, message `Kubelet never posted node status.`
    ///
    /// If `Ready` was `True` until then, the node's pods are marked as not ready.
    ///
    /// **Who waits for a `NoExecute` taint.** This goes by the condition `Ready` as the pass found it, before its own
    /// change; a node that has none is left out until it is silent, and counts as `Unknown` then.
    ///
    /// - `False` wants `not-ready`, `Unknown` wants `unreachable`. A node that has the other one of the two, alone or
    ///   beside it, gets them swapped at once: afterwards it has the one that it wants. One that has neither waits in the queue of its zone, behind those that wait already; nodes of one
    ///   pass in the order in which they are given.
    /// - `True` wants neither: it loses both, and waits no longer.
    /// - A node that the controller sees for the first time loses both, whatever its condition, and is treated as one
    ///   that has neither.
    ///
    /// **Zones.** At the end of the pass the controller counts for each zone the nodes whose `Ready` is `True` now,
    /// changes of this pass included, and the others, those without the condition `Ready` among them. Only zones with
    /// a node in this pass count: any other zone is forgotten, with those who wait there, its rate and its
    /// permission. A zone without a ready node is *fully disrupted*; one with more than two nodes that aren't ready,
    /// and a share of these of at least `unhealthy_zone_threshold`, is *partially disrupted*; all others are normal.
    /// From this follows the rate at which nodes of the zone may be tainted, in nodes per second:
    ///
    /// - normal or fully disrupted: `node_eviction_rate`;
    /// - partially disrupted: `secondary_node_eviction_rate` if the zone has more nodes than
    ///   `large_cluster_size_threshold`, else 0;
    /// - **all** zones fully disrupted: 0. In the first pass that finds this, every node loses both `NoExecute`
    ///   taints and waits no longer. In the first pass that doesn't find it any more, every node counts as heard now.
    ///   Whether it was so before is asked of the zones of this pass, and one that is new was not fully disrupted
    ///   before. In a pass without nodes there are no zones, and nothing is done.
    fn monitor(&mut self, now_ms: i64, nodes: &[ObservedNode]) -> Answer {
        let _ = (now_ms, nodes, &self.config);
        todo!("begin with one node: when was it heard, and is that too long ago?")
    }

    /// Whose turn it is to get a `NoExecute` taint. The kit asks a moment after each pass, and when the last answer
    /// said so.
    ///
    /// A zone has at most one *permission* at a time. It has one from the start, and `1 / rate` seconds (whole
    /// milliseconds, rounded up) after one was used it has one again. While it has one, the first node that waits
    /// uses it, is in the queue no longer, gets the taint that goes with its condition `Ready` as it is given now
    /// (`unreachable` if it has none), and loses the other one. If that is `True` or the node is gone, nothing is
    /// done, but the permission is used. A node that is gone keeps its place in the queue until then.
    ///
    /// When a pass gives the zone another rate, a permission that is there stays; if there is none, the next one comes
    /// `1 / rate` seconds after that pass. With a rate of 0 there is none, and none left over when the rate rises
    /// again.
    ///
    /// Zones know nothing of each other. If nodes are left waiting in zones with a rate above 0, `again_after_ms` is
    /// the time until one of these zones has a permission.
    fn taint(&mut self, now_ms: i64, nodes: &[ObservedNode]) -> Answer {
        let _ = (now_ms, nodes);
        todo!("zone by zone: is there a permission, and who is first?")
    }
}

kit::exercise!(Exercise: NodeLifecycle);
