//! # DaemonSets: one pod on each node
//!
//! Agents belong to machines: each node that should have one has exactly one, and nobody moves it elsewhere. You decide on
//! which nodes pods belong, tidy up where they don't, and update them a few nodes at a time, with or without a surge.
//!
//! About 45 minutes · builds on nothing · book: "DaemonSets: one pod on each node" · stuck? `cargo grade hint workloads/daemon_set`
//!
//! Given to you:
//!
//! - `kit::api::toleration::tolerates: fn(&Toleration, &kit::workloads::daemon_set::Taint) -> bool`
//! - `kit::api::int_or_percent::scaled: fn(&kit::api::int_or_percent::IntOrString, i32, Round) -> Result<i32, String>`: the amount, the whole, how to round

use kit::api::int_or_percent::{Round, scaled};
use kit::api::toleration::tolerates;
use kit::workloads::DaemonSetController;
use kit::workloads::daemon_set::{
    Node, NodeView, Phase, PodView, Readiness, Status, SyncRequest, SyncResult, Template, Toleration, UpdateStrategy,
    Wants,
};

/// The controller remembers nothing between two syncs: all that it knows is in the request.
#[derive(Default)]
struct Exercise;

impl DaemonSetController for Exercise {
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
    fn tolerations(&self, template: &Template) -> Vec<Toleration> {
        let _ = template;
        todo!("begin with the template's own, then add or replace one after the other")
    }

    /// What the set wants of one node.
    ///
    /// - If the template names a node, and it is another one, or if the node isn't `selected`: nothing should run there, and
    ///   nothing may stay.
    /// - Otherwise, a pod should run there unless one of the node's taints with the effect `NoSchedule` or `NoExecute`
    ///   isn't tolerated, and a pod that is there may stay unless one with `NoExecute` isn't. What counts are the
    ///   tolerations of the pods.
    fn wants(&self, template: &Template, node: &NodeView) -> Wants {
        let _ = (template, node, tolerates);
        todo!("two early returns, and then twice the same question about taints")
    }

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
    fn sync(&self, request: &SyncRequest) -> SyncResult {
        let _ = (request, UpdateStrategy::OnDelete, Phase::Running, Readiness::Ready, scaled, Round::Up);
        let _ = (Status::default(), is_available, None::<Node>);
        todo!("placement; if there was nothing to do, a step of the update; and the counts")
    }
}

/// Whether it has been ready for long enough.
fn is_available(pod: &PodView) -> bool {
    pod.readiness == Readiness::Available
}

kit::exercise!(Exercise: DaemonSetController);
