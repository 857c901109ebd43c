//! The DaemonSet controller: one pod on each node that should have one.
//!
//! Sources: `pkg/controller/daemon/daemon_controller.go` (`NodeShouldRunDaemonPod`, `podsShouldBeOnNode`,
//! `updateDaemonSetStatus`), `update.go` (`rollingUpdate`) and `util/daemonset_util.go`
//! (`AddOrUpdateDaemonPodTolerations`).
//!
//! The kit around the controller does the rest of the work: it watches, adopts and releases pods, keeps revisions, counts
//! how long failed pods stay, makes pods from the template for a node, tells events, and writes the status. It leaves out
//! pods that have ended and are being deleted.

use crate::show::unordered;
use crate::{Show, flow};
pub use kit_api::core::{Taint, Toleration};
pub use kit_api::int_or_percent::IntOrString;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

// ANCHOR: contract
contract! {
    /// Keeps the pods of one DaemonSet.
    pub trait DaemonSetController {
        /// The tolerations of the pods: the template's own, in their order, and behind them those that every pod of a
        /// DaemonSet has, in this order, all with the operator `Exists`, no value and no seconds:
        ///
        /// 1. `node.kubernetes.io/not-ready` with the effect `NoExecute`,
        /// 2. `node.kubernetes.io/unreachable` with `NoExecute`,
        /// 3. `node.kubernetes.io/disk-pressure` with `NoSchedule`,
        /// 4. `node.kubernetes.io/memory-pressure` with `NoSchedule`,
        /// 5. `node.kubernetes.io/pid-pressure` with `NoSchedule`,
        /// 6. `node.kubernetes.io/unschedulable` with `NoSchedule`,
        /// 7. `node.kubernetes.io/network-unavailable` with `NoSchedule`, only if the pods use the host's network.
        ///
        /// If one of the template's own differs from it only in its seconds, or not at all, the first such one is replaced
        /// where it stands, and none is added.
        fn tolerations(&self, template: &Template) -> Vec<Toleration>;

        /// What the set wants of one node.
        ///
        /// - If the template names a node, and it is another one, or if the node isn't `selected`: nothing should run there, and
        ///   nothing may stay.
        /// - Otherwise, a pod should run there unless one of the node's taints with the effect `NoSchedule` or `NoExecute`
        ///   isn't tolerated, and a pod that is there may stay unless one with `NoExecute` isn't. What counts are the
        ///   tolerations of the pods.
        fn wants(&self, template: &Template, node: &NodeView) -> Wants;

        /// What to do now, and what the status is.
        ///
        /// A pod is *alive* if it isn't terminating. Pods are *in order* by these rules, each only where those before it
        /// don't decide: bound before not bound; the older one; the lesser name.
        ///
        /// **Placement.** If something is `expected` still, nothing is done. Otherwise, for each node:
        ///
        /// 1. If a pod should run there, and there is none, not even one that is terminating: create one.
        /// 2. If no pod may stay there: delete all that are alive. Nothing else is done for this node.
        /// 3. Of those that are alive, delete all that have succeeded, and the failed one with the least name, unless the node
        ///    is `backing_off`. All other failed ones stay for now. The rest *run*.
        /// 4. Without a surge, delete all that run but the first in order.
        /// 5. With a surge: if none runs and one should, create one. If several run, of the updated ones all but the first
        ///    in order are deleted, and of the others, too. If one of each is left, the one that isn't updated is deleted if
        ///    it isn't `Ready` or `Available`, or if the updated one is `Available`.
        ///
        /// Pods that aren't bound and are for a node that isn't there are deleted, terminating or not. A set has a *surge* if
        /// its strategy is `RollingUpdate` and `max_surge` isn't 0, as a number or in percent.
        ///
        /// **Update.** If there is nothing to place, nothing is expected, and the strategy is `RollingUpdate`: look, in the order of
        /// their names, at all nodes where a pod should run, and at all for which there are pods, be they there or not. Only
        /// pods that are alive count. On a node the *new* pod is the updated one, and the *old* pod is the other one; a node that
        /// has two old or two new pods is *untidy*. `desired` is the number of nodes where a pod should run. Percentages
        /// are of `desired` and rounded up.
        ///
        /// - *Without a surge*, or if it comes to 0 because `desired` is 0. `max_unavailable` pods may be missing, at least 1. A node is missing its pod unless it is
        ///   tidy and has one pod, and that is `Available`. Old pods that aren't, on tidy nodes without a new one, are
        ///   deleted, all of them. Of the nodes with an old pod that is `Available` and no new one, the first ones lose
        ///   it: as many as `max_unavailable` less the nodes that are missing theirs.
        /// - *With a surge.* On a node with both, the old pod is deleted if the new one is `Available`; otherwise the
        ///   node is *surging*, as an untidy one is. On a node with an old pod only: if it isn't `Available`, it gets a
        ///   new pod beside it if a pod should run there, else the old pod is deleted. If it is `Available` and a pod
        ///   should run there, the node is one of those the first of which get a new pod beside it: as many as
        ///   `max_surge` less the nodes that are surging. If it is `Available` and none should run there, the node is one of
        ///   those the first of which lose it: as many as the available pods are more than `desired`, where on each tidy node the
        ///   old pod counts, or the new one where there is no old one. But as long as an old pod without a new one is for a node
        ///   that isn't there, an update with a surge does nothing.
        ///
        /// **Status**, of what was seen, before anything is done. Of a node's pods the first in order counts, also if it is
        /// terminating.
        fn sync(&self, request: &SyncRequest) -> SyncResult;
    }
}

/// What matters of the pod template.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Template {
    /// `spec.nodeName`.
    #[serde(default)]
    pub node_name: Option<String>,
    /// `spec.hostNetwork`.
    #[serde(default)]
    pub host_network: bool,
    /// `spec.tolerations`.
    #[serde(default)]
    pub tolerations: Vec<Toleration>,
}

/// What matters of a node to the question whether a pod belongs there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeView {
    /// Its name.
    pub name: String,
    /// Whether the template's node selector and required node affinity allow it.
    #[serde(default)]
    pub selected: bool,
    /// Its taints.
    #[serde(default)]
    pub taints: Vec<Taint>,
}

/// What a DaemonSet wants of a node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wants {
    /// A pod should be there.
    pub should_run: bool,
    /// A pod that is there may stay. True wherever one should run.
    pub may_stay: bool,
}

/// What one sync sees.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SyncRequest {
    /// `spec.updateStrategy`.
    pub update: UpdateStrategy,
    /// All nodes, by name.
    #[serde(default)]
    pub nodes: Vec<Node>,
    /// The pods of the set, in any order.
    #[serde(default)]
    pub pods: Vec<PodView>,
    /// Whether the cache doesn't show yet what an earlier sync did.
    #[serde(default)]
    pub expected: bool,
}

/// How old pods are replaced.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum UpdateStrategy {
    /// When somebody deletes them.
    OnDelete,
    /// Some at a time.
    RollingUpdate {
        /// How many nodes may be without an available pod. 0 if there is a surge.
        max_unavailable: IntOrString,
        /// How many nodes may have a new pod beside an old one.
        max_surge: IntOrString,
    },
}

/// One node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// What the set wants of it.
    pub wants: Wants,
    /// Whether a pod failed there so short a time ago that the next one that fails stays.
    #[serde(default)]
    pub backing_off: bool,
}

/// One pod of the set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PodView {
    /// Its name.
    pub name: String,
    /// The node that it is for.
    pub node: String,
    /// Whether the scheduler has bound it to that node.
    #[serde(default)]
    pub bound: bool,
    /// When it was created: seconds since some day.
    #[serde(default)]
    pub created: i64,
    /// Whether it is of the template of now.
    #[serde(default)]
    pub updated: bool,
    /// `status.phase`.
    pub phase: Phase,
    /// Whether it is ready, and for long enough.
    #[serde(default)]
    pub readiness: Readiness,
    /// Whether it has a deletion timestamp.
    #[serde(default)]
    pub terminating: bool,
}

/// The phase of a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// It waits for its node or its containers.
    Pending,
    /// It runs.
    Running,
    /// All its containers have ended well.
    Succeeded,
    /// Its containers have ended, and not all well; or its kubelet has refused it.
    Failed,
}

/// How ready a pod is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Readiness {
    /// It isn't.
    #[default]
    NotReady,
    /// It is ready, but not for `minReadySeconds` yet.
    Ready,
    /// It has been ready for long enough.
    Available,
}

/// What one sync decides.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncResult {
    /// The nodes for which a pod is created, in any order.
    pub create: Vec<String>,
    /// The pods that are deleted, in any order.
    pub delete: Vec<String>,
    /// The new status.
    pub status: Status,
}

/// The counts of a `DaemonSetStatus`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// The nodes where a pod should run.
    pub desired_number_scheduled: i32,
    /// Those of them that have a pod.
    pub current_number_scheduled: i32,
    /// The nodes that have a pod though none should run there.
    pub number_misscheduled: i32,
    /// The nodes where a pod should run, and one is `Ready` or `Available`.
    pub number_ready: i32,
    /// The nodes where a pod should run, and one is `Available`.
    pub number_available: i32,
    /// Those of `desiredNumberScheduled` that aren't counted in `numberAvailable`.
    pub number_unavailable: i32,
    /// The nodes where a pod should run, and an updated one does.
    pub updated_number_scheduled: i32,
}
// ANCHOR_END: contract

impl Show for Template {
    fn lines(&self) -> Vec<String> {
        let node = self.node_name.as_ref().map(|name| format!("nodeName {}", flow(name)));
        let network = self.host_network.then(|| "hostNetwork".to_string());
        let tolerations: Vec<String> = self.tolerations.iter().flat_map(Show::lines).collect();
        let tolerations = if tolerations.is_empty() {
            "no tolerations".into()
        } else {
            format!("tolerations {}", tolerations.join(", "))
        };
        vec![node.into_iter().chain(network).chain([tolerations]).collect::<Vec<_>>().join(", ")]
    }
}

impl Show for NodeView {
    fn lines(&self) -> Vec<String> {
        let taints: Vec<String> = self.taints.iter().flat_map(Show::lines).collect();
        let taints = if taints.is_empty() { "no taints".into() } else { format!("taints {}", taints.join(", ")) };
        vec![format!("{}: {}, {taints}", flow(&self.name), if self.selected { "selected" } else { "not selected" })]
    }
}

impl Show for Wants {
    fn lines(&self) -> Vec<String> {
        let word = |yes| if yes { "yes" } else { "no" };
        vec![format!("should run: {}", word(self.should_run)), format!("may stay: {}", word(self.may_stay))]
    }
}

impl Show for SyncResult {
    fn lines(&self) -> Vec<String> {
        let create: BTreeSet<&String> = self.create.iter().collect();
        let delete: BTreeSet<&String> = self.delete.iter().collect();
        let mut lines: Vec<String> = create.iter().map(|node| format!("create a pod for {}", flow(node))).collect();
        lines.extend(delete.iter().map(|pod| format!("delete {}", flow(pod))));
        if lines.is_empty() {
            lines.push("no action".into());
        }
        lines.extend(self.status.lines());
        lines
    }
    fn meaning(&self) -> String {
        let once = |names: &[String]| unordered(names.iter().collect::<BTreeSet<_>>());
        format!("{} {} {:?}", once(&self.create), once(&self.delete), self.status)
    }
}

impl Show for Status {
    fn lines(&self) -> Vec<String> {
        let Status { desired_number_scheduled: desired, current_number_scheduled: current, .. } = self;
        vec![
            format!("status desired {desired}, current {current}, misscheduled {}", self.number_misscheduled),
            format!(
                "status ready {}, available {}, unavailable {}, updated {}",
                self.number_ready, self.number_available, self.number_unavailable, self.updated_number_scheduled
            ),
        ]
    }
}

impl Show for SyncRequest {
    fn lines(&self) -> Vec<String> {
        let update = match &self.update {
            UpdateStrategy::OnDelete => "OnDelete".to_string(),
            UpdateStrategy::RollingUpdate { max_unavailable, max_surge } => {
                format!("RollingUpdate, maxUnavailable {}, maxSurge {}", flow(max_unavailable), flow(max_surge))
            }
        };
        let mut lines = vec![update + if self.expected { ", something is expected still" } else { "" }];
        lines.extend(self.nodes.iter().flat_map(Show::lines));
        lines.extend(self.pods.iter().flat_map(Show::lines));
        if self.pods.is_empty() {
            lines.push("no pods".into());
        }
        lines
    }
}

impl Show for Node {
    fn lines(&self) -> Vec<String> {
        let wants = match self.wants {
            Wants { should_run: true, .. } => "a pod should run",
            Wants { may_stay: true, .. } => "a pod may stay",
            _ => "no pod",
        };
        vec![format!("{}: {wants}{}", flow(&self.name), if self.backing_off { ", backing off" } else { "" })]
    }
}

impl Show for PodView {
    fn lines(&self) -> Vec<String> {
        let place = if self.bound { "on" } else { "not bound, for" };
        let age = if self.updated { "new" } else { "old" };
        let readiness = match self.readiness {
            Readiness::NotReady => "",
            Readiness::Ready => ", ready",
            Readiness::Available => ", available",
        };
        let ends = if self.terminating { ", terminating" } else { "" };
        vec![format!(
            "{} {place} {}: {age}, {:?}{readiness}{ends}, created at {}",
            flow(&self.name),
            flow(&self.node),
            self.phase,
            self.created
        )]
    }
}
