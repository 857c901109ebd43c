//! # StatefulSets: a name that lasts
//!
//! A StatefulSet gives each pod a number, and with it a name and claims that outlive the pod. Pods come in order and go in
//! reverse, and no second `db-0` is made before the first is gone. You decide what one look at a set does.
//!
//! About 45 minutes · builds on nothing · book: "StatefulSets: a name that lasts" · stuck? `cargo grade hint workloads/stateful_set`

use kit::workloads::StatefulSetController;
use kit::workloads::stateful_set::{
    Action, ClaimOwner, ClaimView, Keep, MAX_CREATES, PodManagementPolicy, PodState, PodView, Retention, SyncRequest,
    SyncResult, UpdateStrategy,
};

/// The controller remembers nothing between two syncs: all that it knows is in the request.
#[derive(Default)]
struct Exercise;

impl StatefulSetController for Exercise {
    /// Who owns the claims of a pod, and so takes them along when it is deleted.
    ///
    /// With `when_scaled: Delete`, the claims of a condemned pod belong to that pod. Otherwise, with `when_deleted:
    /// Delete`, claims belong to the set. Otherwise they belong to nobody.
    fn claim_owner(&self, retention: &Retention, condemned: bool) -> ClaimOwner {
        let _ = (retention, condemned, Keep::Delete, ClaimOwner::Nobody);
        todo!("look at `condemned` and `when_scaled` together, then at `when_deleted`")
    }

    /// What to do now, in any order.
    ///
    /// The set wants the ordinals from `start` on, `replicas` in number; pods with other ordinals are condemned. Claims
    /// are called `<template>-<set>-<ordinal>`; one that is terminating is missing, too. A set that is being deleted does nothing. Otherwise a sync does three things.
    /// With `OrderedReady` it ends where it is said that it *ends in order*; with `Parallel` it goes on there.
    ///
    /// **1. The wanted pods**, from the lowest ordinal to the highest:
    ///
    /// - One that is missing is created: those of its claims that are missing, and the pod. Its revision is the
    ///   current one if its ordinal is below `start` + `partition`, else the update revision; with `OnDelete` the
    ///   update revision. But if `when_scaled` is `Delete` and one of its claims is `of_earlier_pod`, nothing is
    ///   created for it in this sync. Either way the sync ends in order. If it has created `MAX_CREATES` pods, it ends
    ///   also with `Parallel`.
    /// - One that has finished (`Succeeded`, `Failed`) is deleted, unless it is terminating. The sync ends in order.
    /// - For one that is `Pending` those of its claims that are missing are created.
    /// - If it is terminating or not `Available`, the sync ends in order.
    /// - If it has `drifted`, it is updated.
    ///
    /// **2. The condemned pods.** All that have drifted are updated. Then, from the highest ordinal to the lowest:
    ///
    /// - One that is terminating is waited for: the sync ends in order.
    /// - With `OrderedReady`, one that isn't `Available` is waited for, too, unless it is the first unhealthy one of
    ///   all condemned pods, from the lowest ordinal on. A pod is *healthy* if it is `Ready` or `Available`, and not
    ///   terminating.
    /// - Any other is deleted, and the sync ends in order.
    ///
    /// **3. The update.** A wanted pod is *old* if its revision isn't the update revision and it isn't terminating. Pods
    /// are what they were when the sync began.
    ///
    /// - With `OnDelete` nothing is replaced.
    /// - With `RollingUpdate`, the pods from `start` + `partition` on are looked at from the highest ordinal to the lowest. The
    ///   first one that is old, missing or not healthy is the last one that is looked at: if it is old, it is deleted.
    /// - If there is a `max_unavailable`, it is another rule: of the same pods, in the same order, the old ones are
    ///   deleted, as many as `max_unavailable` less the wanted pods, of all ordinals, that are missing or not healthy.
    fn sync(&self, request: &SyncRequest) -> SyncResult {
        let _ = (request, UpdateStrategy::OnDelete, PodManagementPolicy::Parallel, PodState::Available, MAX_CREATES);
        let _ = (Action::DeletePod { ordinal: 0 }, is_healthy, None::<ClaimView>);
        todo!("first the wanted pods, upwards; then the condemned ones, downwards; then one old pod")
    }
}

/// Whether it runs, is ready, and stays.
fn is_healthy(pod: &PodView) -> bool {
    let _ = pod;
    todo!("look at its state, and whether it is terminating")
}

kit::exercise!(Exercise: StatefulSetController);
