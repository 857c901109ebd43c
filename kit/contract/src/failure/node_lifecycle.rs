//! The node lifecycle controller: notices nodes that fall silent, and taints them, but never too many at once.
//!
//! Sources: `pkg/controller/nodelifecycle/node_lifecycle_controller.go` and
//! `pkg/controller/nodelifecycle/scheduler/rate_limited_queue.go`.
//!
//! The kit around the controller watches nodes and leases, keeps the time, and does what the answers say. What follows
//! from the taints is the business of others: the scheduler keeps new pods away, and the taint eviction controller
//! deletes pods when their tolerations run out.

use crate::show::unordered;
use crate::{Show, flow};
pub use kit_api::core::Taint;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

// ANCHOR: contract
/// The key of the taints of a node that says it is not ready.
pub const NOT_READY: &str = "node.kubernetes.io/not-ready";
/// The key of the taints of a node that says nothing any more.
pub const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
/// The key of the taint of a node under the condition MemoryPressure.
pub const MEMORY_PRESSURE: &str = "node.kubernetes.io/memory-pressure";
/// The key of the taint of a node under the condition DiskPressure.
pub const DISK_PRESSURE: &str = "node.kubernetes.io/disk-pressure";
/// The key of the taint of a node under the condition PIDPressure.
pub const PID_PRESSURE: &str = "node.kubernetes.io/pid-pressure";
/// The key of the taint of a node under the condition NetworkUnavailable.
pub const NETWORK_UNAVAILABLE: &str = "node.kubernetes.io/network-unavailable";
/// The key of the taint of a cordoned node.
pub const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";

contract! {
    /// Watches over the health of all nodes.
    ///
    /// All answers hold **changes** only: no action for what the node already has or lacks, as it is given. Actions
    /// have no order. Before the first pass the controller knows no node and no zone, and nobody waits.
    pub trait NodeLifecycle {
        /// A controller that was just started and knows nothing.
        fn new(config: &Config) -> Self;

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
        /// A cordoned node has `unschedulable`. All keys begin with `node.kubernetes.io/`. Taints with one of these
        /// seven keys and the effect `NoSchedule` are the controller's: it adds what is missing and removes what is
        /// too much. It leaves all other taints alone.
        fn node_changed(&mut self, node: &ObservedNode) -> Answer;

        /// One pass over all nodes, sorted by name. The kit makes one every 5 seconds.
        ///
        /// **Heartbeats.** The controller hears from a node when the heartbeat time of its condition `Ready` is
        /// another than in the pass before, or the renew time of its lease later than any since it appeared (or there was none).
        /// *When* it heard is the time of the pass, by its own clock: what the node's clock says is not compared with
        /// it. A node that appears was heard now, or, if it has neither a condition `Ready` nor a lease, when it was
        /// created; one that gets or loses that condition was heard now. A node that a pass no longer lists is
        /// forgotten: if it comes back, it appears for the first time.
        ///
        /// **Silence.** A node is silent when it was heard more than the grace period ago, which is that of the
        /// start-up while it has no condition `Ready`. If a silent node's `Ready` isn't `Unknown` yet, then of
        /// `Ready`, `MemoryPressure`, `DiskPressure` and `PIDPressure`
        ///
        /// - those that it has and that aren't `Unknown` become it: reason `NodeStatusUnknown`, message
        ///   `Kubelet stopped posting node status.`
        /// - those that it lacks are added: reason `NodeStatusNeverUpdated`, message
        ///   `Kubelet never posted node status.`
        ///
        /// If `Ready` was `True` until then, the node's pods are marked as not ready.
        ///
        /// **Who waits for a `NoExecute` taint.** This goes by the condition `Ready` as the pass found it, before its
        /// own change; a node that has none is left out until it is silent, and counts as `Unknown` then.
        ///
        /// - `False` wants `not-ready`, `Unknown` wants `unreachable`. A node that has the other one of the two, alone
        ///   or beside it, gets them swapped at once: afterwards it has the one that it wants. One that has neither waits in the queue of its zone, behind those that wait already; nodes of one pass
        ///   in the order in which they are given.
        /// - `True` wants neither: it loses both, and waits no longer.
        /// - A node that the controller sees for the first time loses both, whatever its condition, and is treated as
        ///   one that has neither.
        ///
        /// **Zones.** At the end of the pass the controller counts for each zone the nodes whose `Ready` is `True`
        /// now, changes of this pass included, and the others, those without the condition `Ready` among them. Only
        /// zones with a node in this pass count: any other zone is forgotten, with those who wait there, its rate and
        /// its permission. A zone without a ready node is *fully disrupted*; one with more than two nodes that aren't
        /// ready, and a share of these of at least `unhealthy_zone_threshold`, is *partially disrupted*; all others
        /// are normal. From this follows the rate at which nodes of the zone may be tainted, in nodes per second:
        ///
        /// - normal or fully disrupted: `node_eviction_rate`;
        /// - partially disrupted: `secondary_node_eviction_rate` if the zone has more nodes than
        ///   `large_cluster_size_threshold`, else 0;
        /// - **all** zones fully disrupted: 0. In the first pass that finds this, every node loses both `NoExecute`
        ///   taints and waits no longer. In the first pass that doesn't find it any more, every node counts as heard
        ///   now. Whether it was so before is asked of the zones of this pass, and one that is new was not fully
        ///   disrupted before. In a pass without nodes there are no zones, and nothing is done.
        fn monitor(&mut self, now_ms: i64, nodes: &[ObservedNode]) -> Answer;

        /// Whose turn it is to get a `NoExecute` taint. The kit asks a moment after each pass, and when the last
        /// answer said so.
        ///
        /// A zone has at most one *permission* at a time. It has one from the start, and `1 / rate` seconds (whole
        /// milliseconds, rounded up) after one was used it has one again. While it has one, the first node that waits
        /// uses it, is in the queue no longer, gets the taint that goes with its condition `Ready` as it is given now
        /// (`unreachable` if it has none), and loses the other one. If that is `True` or the node is gone, nothing is
        /// done, but the permission is used. A node that is gone keeps its place in the queue until then.
        ///
        /// When a pass gives the zone another rate, a permission that is there stays; if there is none, the next one
        /// comes `1 / rate` seconds after that pass. With a rate of 0 there is none, and none left over when the rate rises again.
        ///
        /// Zones know nothing of each other. If nodes are left waiting in zones with a rate above 0,
        /// `again_after_ms` is the time until one of these zones has a permission.
        fn taint(&mut self, now_ms: i64, nodes: &[ObservedNode]) -> Answer;
    }
}

/// The flags of the controller, with the defaults of 1.33 (`pkg/controller/nodelifecycle/config/v1alpha1/defaults.go`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How long a node may be silent (`--node-monitor-grace-period`; 40 s before 1.32).
    pub node_monitor_grace_period_seconds: i64,
    /// How long a node that never reported may be silent (`--node-startup-grace-period`).
    pub node_startup_grace_period_seconds: i64,
    /// Nodes of a zone that are tainted per second (`--node-eviction-rate`).
    pub node_eviction_rate: f64,
    /// The same in a large zone that is partially disrupted (`--secondary-node-eviction-rate`).
    pub secondary_node_eviction_rate: f64,
    /// Which share of nodes that aren't ready is much (`--unhealthy-zone-threshold`).
    pub unhealthy_zone_threshold: f64,
    /// A zone with more nodes is large (`--large-cluster-size-threshold`).
    pub large_cluster_size_threshold: usize,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            node_monitor_grace_period_seconds: 50,
            node_startup_grace_period_seconds: 60,
            node_eviction_rate: 0.1,
            secondary_node_eviction_rate: 0.01,
            unhealthy_zone_threshold: 0.55,
            large_cluster_size_threshold: 50,
        }
    }
}

/// A node and its lease, as the caches show them now. All times are in milliseconds since some moment in the past.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ObservedNode {
    /// Its name.
    pub name: String,
    /// Its region and zone, in one word; empty if its labels name neither.
    pub zone: String,
    /// When it was created, by the clock of the API server, which is also the controller's.
    pub created_ms: i64,
    /// The status of each of its conditions, by their types.
    pub conditions: BTreeMap<String, Status>,
    /// The `lastHeartbeatTime` of its condition `Ready`, by the node's own clock; 0 if it has no such condition.
    pub heartbeat_time_ms: i64,
    /// The `renewTime` of its lease, by the node's own clock; none if it has no lease.
    pub renew_time_ms: Option<i64>,
    /// Its taints.
    pub taints: Vec<Taint>,
    /// Whether it is cordoned.
    pub unschedulable: bool,
}

/// The status of a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Status {
    /// It holds.
    True,
    /// It doesn't.
    False,
    /// Nobody knows.
    Unknown,
}

/// What the controller wants to be done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Answer {
    /// In any order.
    pub actions: Vec<Action>,
    /// In how many milliseconds to ask `taint` again; none in the answers to all other calls.
    pub again_after_ms: Option<i64>,
}

impl From<Vec<Action>> for Answer {
    fn from(actions: Vec<Action>) -> Self {
        Answer { actions, again_after_ms: None }
    }
}

/// One thing to be done to a node.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// A condition gets the status `Unknown`.
    SetUnknown {
        /// The node.
        node: String,
        /// The type of the condition.
        condition: String,
        /// Why, in one word.
        reason: String,
        /// Why, in a sentence.
        message: String,
    },
    /// The condition `Ready` of all pods on the node becomes `False`.
    MarkPodsNotReady {
        /// The node.
        node: String,
    },
    /// The node gets a taint without a value.
    AddTaint {
        /// The node.
        node: String,
        /// The key of the taint.
        key: String,
        /// `NoSchedule` or `NoExecute`.
        effect: String,
    },
    /// The node loses a taint.
    RemoveTaint {
        /// The node.
        node: String,
        /// The key of the taint.
        key: String,
        /// `NoSchedule` or `NoExecute`.
        effect: String,
    },
}

impl ObservedNode {
    /// The status of its condition `Ready`.
    pub fn ready(&self) -> Option<Status> {
        self.conditions.get("Ready").copied()
    }

    /// Whether it has the taint, whatever its value.
    pub fn has_taint(&self, key: &str, effect: &str) -> bool {
        self.taints.iter().any(|taint| taint.key == key && taint.effect == effect)
    }
}
// ANCHOR_END: contract

impl Show for Answer {
    /// The conditions of a node that become `Unknown` for one reason share a line.
    fn lines(&self) -> Vec<String> {
        let mut actions: Vec<&Action> = self.actions.iter().collect();
        actions.sort();
        actions.dedup();
        let mut unknown: BTreeMap<[&str; 3], Vec<&str>> = BTreeMap::new();
        let mut others = Vec::new();
        for action in actions {
            let line = match action {
                Action::SetUnknown { node, condition, reason, message } => {
                    unknown.entry([node, reason, message]).or_default().push(condition);
                    continue;
                }
                Action::MarkPodsNotReady { node } => format!("{}: its pods are not ready", flow(node)),
                Action::AddTaint { node, key, effect } => {
                    format!("{}: add taint {}:{}", flow(node), flow(key), flow(effect))
                }
                Action::RemoveTaint { node, key, effect } => {
                    format!("{}: remove taint {}:{}", flow(node), flow(key), flow(effect))
                }
            };
            others.push(line);
        }
        let unknown = unknown.into_iter().map(|([node, reason, message], conditions)| {
            let conditions: Vec<_> = conditions.iter().map(flow).collect();
            let become_ = if conditions.len() == 1 { "becomes" } else { "become" };
            let conditions = conditions.join(", ");
            format!("{}: {conditions} {become_} Unknown, {} ({})", flow(&node), flow(&reason), flow(&message))
        });
        let mut lines: Vec<String> = unknown.chain(others).collect();
        if lines.is_empty() {
            lines.push("no action".into());
        }
        lines.extend(self.again_after_ms.map(|ms| format!("ask again after {}", seconds(ms))));
        lines
    }
    /// What is done twice is done once.
    fn meaning(&self) -> String {
        format!("{} {:?}", unordered(self.actions.iter().collect::<BTreeSet<_>>()), self.again_after_ms)
    }
}

impl Show for ObservedNode {
    fn lines(&self) -> Vec<String> {
        let mut parts = vec![match self.ready() {
            Some(ready) => format!("Ready {ready:?}, heartbeat {}", seconds(self.heartbeat_time_ms)),
            None => format!("no condition Ready, created {}", seconds(self.created_ms)),
        }];
        parts.push(self.renew_time_ms.map_or("no lease".into(), |ms| format!("lease {}", seconds(ms))));
        let others = self.conditions.iter().filter(|(type_, _)| *type_ != "Ready");
        let pressures = |all: Status| {
            let expected = ["DiskPressure", "MemoryPressure", "PIDPressure"].map(|type_| (type_, all));
            others.clone().map(|(type_, status)| (type_.as_str(), *status)).eq(expected)
        };
        if pressures(Status::False) {
            parts.push("no pressure".into());
        } else if pressures(Status::Unknown) {
            parts.push("pressures Unknown".into());
        } else {
            parts.extend(others.map(|(type_, status)| format!("{} {status:?}", flow(type_))));
        }
        parts.extend(self.taints.iter().flat_map(Show::lines));
        if self.unschedulable {
            parts.push("cordoned".into());
        }
        let zone = if self.zone.is_empty() { String::new() } else { format!(" in {}", flow(&self.zone)) };
        vec![format!("{}{zone}: {}", flow(&self.name), parts.join(", "))]
    }
}

fn seconds(ms: i64) -> String {
    format!("{}s", ms as f64 / 1000.0)
}
