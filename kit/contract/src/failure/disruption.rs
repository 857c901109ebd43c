//! Disruption budgets: how many pods may be taken away on purpose, and whether this one may.
//!
//! Sources: `pkg/controller/disruption/disruption.go` (the controller) and
//! `pkg/registry/core/pod/storage/eviction.go` (the API server's subresource `eviction`). The names in parentheses are from
//! there.
//!
//! The kit around the module watches budgets, pods and their workloads, and asks for a new count when a pod or a budget
//! changes. It writes the status if it is another one, sends events, and asks again later if the answer says so. It deletes
//! pods whose eviction is granted.

mod objects;
mod show;

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

// ANCHOR: contract
/// For so many seconds an evicted pod counts as gone; then it counts again if it is still there (`DeletionTimeout`).
pub const DELETION_TIMEOUT_SECONDS: i64 = 120;
/// With more disrupted pods than this, nothing is evicted before the controller has looked (`MaxDisruptedPodSize`).
pub const MAX_DISRUPTED_PODS: usize = 2000;
/// In so many seconds an eviction may be asked for again that came before the controller has seen the budget.
pub const RETRY_SECONDS: u32 = 10;

contract! {
    /// Keeps count of what may be disrupted, and decides on evictions.
    ///
    /// No number in a question is negative, unless a rule below speaks of it.
    pub trait Disruption {
        /// How many pods there should be, and how many of them healthy (`getExpectedPodCount`).
        ///
        /// - With `max_unavailable`: there should be as many pods as their workloads ask for, and healthy ones as many less
        ///   `max_unavailable`, but not less than 0.
        /// - With `min_available` as a number: there should be as many pods as there are, and so many healthy ones,
        ///   however few there are. Nobody asks for workloads.
        /// - With `min_available` as a percentage: there should be as many pods as their workloads ask for, and that share
        ///   of them healthy.
        /// - With neither: 0 and 0. A budget never has both.
        ///
        /// Percentages are of the pods that there should be, and **rounded up**, both of them.
        ///
        /// **What workloads ask for** (`getExpectedScale`). A pod's workload is its controller; if that is a ReplicaSet of a
        /// Deployment that is among `workloads`, it is the Deployment. Each workload counts once, with its `replicas`. A pod
        /// without a controller counts nothing, and the answer says that there is one (`unmanaged`). The first pod that has a
        /// controller which is not among `workloads` is a failure, [`Failure::NoController`]; one whose workload has no
        /// `replicas` is [`Failure::NoScale`].
        fn expected(&self, budget: &Budget, pods: &[Pod], workloads: &[Workload]) -> Result<Expected, Failure>;

        /// The status of a budget, as the controller writes it (`trySync`, `updatePdbStatus`).
        ///
        /// 1. If there are no pods: the event `NoPods`.
        /// 2. `expected`. If it fails: the event `CalculateExpectedPodCountFailed`, and a status that is the old one, but
        ///    for `disruptions_allowed`, which is 0, and the condition, which is `SyncFailed` (`failSafe`). Nothing else.
        ///    If there are pods without a controller: the event `UnmanagedPods`.
        /// 3. `disrupted_pods`: of those in the old status, keep the ones that are still among the pods and not being
        ///    deleted, unless 120 seconds *and more* have passed since (`now > since + 120`). Of these forget it, with the
        ///    event `NotDeleted`. `again_after_seconds` is the time until the first of those that are kept has had its
        ///    120 seconds, which may be 0; none if none is kept (`buildDisruptedPodMap`).
        /// 4. `current_healthy`: the pods that are ready and not being deleted, without those in the new `disrupted_pods`
        ///    that have had less than 120 seconds (`countHealthyPods`).
        /// 5. `disruptions_allowed`: how many more are healthy than must be, at least 0; and 0 if there should be no pods.
        /// 6. The condition: `SufficientPods` if a disruption is allowed, else `InsufficientPods`. `observed_generation`:
        ///    that of the budget.
        fn sync(&self, request: &SyncRequest) -> SyncResult;

        /// Whether a pod may be evicted now, as the API server decides it (`Create`, `checkAndDecrement`). The first of these
        /// that applies:
        ///
        /// 1. It is `Pending`, `Succeeded`, `Failed`, or being deleted: [`Verdict::Delete`]. It disrupts nothing.
        /// 2. No budget selects it: [`Verdict::Delete`].
        /// 3. More than one does: refused with 500, `This pod has more than one PodDisruptionBudget, which the eviction
        ///    subresource does not support.`
        /// 4. It isn't ready, and the budget's policy is `AlwaysAllow`, or as many pods are healthy as must be and that is
        ///    more than 0 by the status of the budget: [`Verdict::Delete`].
        /// 5. The budget has a generation that its status hasn't seen: refused with 429, to be asked again after 10 seconds,
        ///    `The disruption budget NAME is still being processed by the server.`
        /// 6. `disruptions_allowed` is negative: 403, `pdb disruptions allowed is negative`.
        /// 7. There are more than 2000 disrupted pods: 403, `DisruptedPods map too big - too many evictions not confirmed by
        ///    PDB controller`.
        /// 8. No disruption is allowed: 429, `The disruption budget NAME needs N healthy pods and has M currently`, from the
        ///    status.
        /// 9. It is a dry run: [`Verdict::Delete`].
        /// 10. [`Verdict::Charge`], with the status of the budget afterwards: one disruption less is allowed, the pod is
        ///     among the disrupted ones since now, and if none is allowed any more, the condition is `InsufficientPods`.
        ///     The rest is as it was.
        fn evict(&self, request: &EvictionRequest) -> Verdict;
    }
}

/// A PodDisruptionBudget.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Budget {
    /// Its name.
    pub name: String,
    /// `metadata.generation`
    pub generation: i64,
    /// `spec.minAvailable`
    pub min_available: Option<Amount>,
    /// `spec.maxUnavailable`
    pub max_unavailable: Option<Amount>,
    /// `spec.unhealthyPodEvictionPolicy`
    pub unhealthy_pods: UnhealthyPodPolicy,
    /// What was written last.
    pub status: Status,
}

/// So many pods, or a share of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Amount {
    /// `2`
    Pods(i64),
    /// `50%`
    Percent(i64),
}

/// When a pod that isn't ready may be evicted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum UnhealthyPodPolicy {
    /// If enough others are healthy.
    #[default]
    IfHealthyBudget,
    /// Always.
    AlwaysAllow,
}

/// The status of a budget.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Status {
    /// The generation of the spec that was counted for.
    pub observed_generation: i64,
    /// How many pods there should be.
    pub expected_pods: i64,
    /// How many of them must be healthy.
    pub desired_healthy: i64,
    /// How many are.
    pub current_healthy: i64,
    /// How many evictions are granted before the next count.
    pub disruptions_allowed: i64,
    /// The pods that were evicted and may still be there: by name, since when, in seconds.
    pub disrupted_pods: BTreeMap<String, i64>,
    /// The reason of the condition `DisruptionAllowed`, which is true for `SufficientPods` alone; none if there is none yet.
    pub condition: Option<Reason>,
}

/// Why a disruption is allowed or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reason {
    /// More pods are healthy than must be.
    SufficientPods,
    /// They are not.
    InsufficientPods,
    /// Nobody knows: they couldn't be counted.
    SyncFailed,
}

/// A pod.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Pod {
    /// Its name.
    pub name: String,
    /// `status.phase`
    pub phase: Phase,
    /// Whether its condition `Ready` is true.
    pub ready: bool,
    /// Whether it has a `metadata.deletionTimestamp`.
    pub deleting: bool,
    /// The uid of its controller.
    pub controller: Option<String>,
}

/// Where a pod is in its life.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// Not all of its containers have run yet.
    Pending,
    /// They have.
    #[default]
    Running,
    /// It has ended well.
    Succeeded,
    /// It has ended badly.
    Failed,
    /// Its node says nothing.
    Unknown,
}

/// Something that controls pods.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Workload {
    /// Which one it is.
    pub uid: String,
    /// Its kind: `ReplicaSet`, `Deployment`, `StatefulSet`, or another.
    pub kind: String,
    /// How many pods it asks for (`spec.replicas` of its scale); none if things of its kind have no scale.
    pub replicas: Option<i64>,
    /// Of a ReplicaSet, the uid of the Deployment that controls it.
    pub deployment: Option<String>,
}

/// What a budget asks for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Expected {
    /// How many pods there should be.
    pub pods: i64,
    /// How many of them must be healthy.
    pub healthy: i64,
    /// Whether workloads were asked for, and there are pods without a controller.
    pub unmanaged: bool,
}

/// Why pods can't be counted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// The controller of a pod isn't there.
    NoController {
        /// The pod's name.
        pod: String,
    },
    /// The workload of a pod has no scale.
    NoScale {
        /// The kind of the workload.
        kind: String,
    },
}

/// What one count sees.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SyncRequest {
    /// The budget.
    pub budget: Budget,
    /// The pods that it selects, by name.
    pub pods: Vec<Pod>,
    /// The controllers of these pods, and the Deployments of these, as far as they are there.
    pub workloads: Vec<Workload>,
    /// The time, in seconds.
    pub now_seconds: i64,
}

/// What one count finds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SyncResult {
    /// What the status should be.
    pub status: Status,
    /// In any order.
    pub events: Vec<Event>,
    /// In how many seconds to count again even if nothing happens; none if there is no need.
    pub again_after_seconds: Option<i64>,
}

/// An event about the budget.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Event {
    /// It selects no pod.
    NoPods,
    /// It selects pods without a controller, and counts what controllers ask for.
    UnmanagedPods,
    /// It can't be told how many pods there should be.
    CalculateExpectedPodCountFailed(Failure),
    /// A pod was evicted two minutes ago, and is still there.
    NotDeleted {
        /// The pod's name.
        pod: String,
    },
}

/// Somebody wants to evict a pod.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EvictionRequest {
    /// The pod.
    pub pod: Pod,
    /// The budgets that select it.
    pub budgets: Vec<Budget>,
    /// Whether it is only a question.
    pub dry_run: bool,
    /// The time, in seconds.
    pub now_seconds: i64,
}

/// What becomes of an eviction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The pod is deleted, and no budget is touched.
    Delete,
    /// This status is written first, and then the pod is deleted.
    Charge {
        /// The status of the budget afterwards.
        status: Status,
    },
    /// Nothing is done.
    Refuse {
        /// The HTTP status.
        code: u16,
        /// Why. With 429 it is the `message` of the cause `DisruptionBudget`; the message of the answer is then always
        /// `Cannot evict pod as it would violate the pod's disruption budget.`
        why: String,
        /// In how many seconds to ask again (`Retry-After`); 0 if nobody can tell.
        retry_after_seconds: u32,
    },
}
// ANCHOR_END: contract
