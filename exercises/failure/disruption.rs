//! # How many pods may go, and whether this one may
//!
//! A disruption budget says how many pods of an application must stay when somebody takes pods away on purpose: a drain, an
//! upgrade, the cluster autoscaler. You write both halves: the controller that counts how many may go, and the decision of
//! the API server about one eviction, which takes from that count until the controller counts anew.
//!
//! About 40 minutes · builds on nothing · book: "Disruption budgets: what a drain may take" · stuck? `cargo grade hint failure/disruption`
//!
//! Given to you:
//!
//! - `kit::failure::disruption::DELETION_TIMEOUT_SECONDS`, `MAX_DISRUPTED_PODS` and `RETRY_SECONDS`

use kit::failure::Disruption;
use kit::failure::disruption::{
    Amount, Budget, DELETION_TIMEOUT_SECONDS, Event, EvictionRequest, Expected, Failure, MAX_DISRUPTED_PODS, Phase,
    Pod, RETRY_SECONDS, Reason, Status, SyncRequest, SyncResult, UnhealthyPodPolicy, Verdict, Workload,
};

/// It remembers nothing: all that it knows is in the question.
#[derive(Default)]
struct Exercise;

impl Disruption for Exercise {
    /// How many pods there should be, and how many of them healthy.
    ///
    /// - With `max_unavailable`: there should be as many pods as their workloads ask for, and healthy ones as many less
    ///   `max_unavailable`, but not less than 0.
    /// - With `min_available` as a number: there should be as many pods as there are, and so many healthy ones, however few
    ///   there are. Nobody asks for workloads.
    /// - With `min_available` as a percentage: there should be as many pods as their workloads ask for, and that share of
    ///   them healthy.
    /// - With neither: 0 and 0. A budget never has both.
    ///
    /// Percentages are of the pods that there should be, and **rounded up**, both of them.
    ///
    /// **What workloads ask for.** A pod's workload is its controller; if that is a ReplicaSet of a Deployment that is among
    /// `workloads`, it is the Deployment. Each workload counts once, with its `replicas`. A pod without a controller counts
    /// nothing, and the answer says that there is one (`unmanaged`). The first pod that has a controller which is not among
    /// `workloads` is a failure, `NoController`; one whose workload has no `replicas` is `NoScale`.
    fn expected(&self, budget: &Budget, pods: &[Pod], workloads: &[Workload]) -> Result<Expected, Failure> {
        let _ = (budget, pods, workloads, None::<Amount>);
        todo!("first what workloads ask for, then one arm for each kind of budget")
    }

    /// The status of a budget, as the controller writes it.
    ///
    /// 1. If there are no pods: the event `NoPods`.
    /// 2. `expected`. If it fails: the event `CalculateExpectedPodCountFailed`, and a status that is the old one, but for
    ///    `disruptions_allowed`, which is 0, and the condition, which is `SyncFailed`. Nothing else. If there are pods
    ///    without a controller: the event `UnmanagedPods`.
    /// 3. `disrupted_pods`: of those in the old status, keep the ones that are still among the pods and not being deleted,
    ///    unless 120 seconds *and more* have passed since (`now > since + 120`). Of these forget it, with the event
    ///    `NotDeleted`. `again_after_seconds` is the time until the first of those that are kept has had its 120 seconds,
    ///    which may be 0; none if none is kept.
    /// 4. `current_healthy`: the pods that are ready and not being deleted, without those in the new `disrupted_pods` that
    ///    have had less than 120 seconds.
    /// 5. `disruptions_allowed`: how many more are healthy than must be, at least 0; and 0 if there should be no pods.
    /// 6. The condition: `SufficientPods` if a disruption is allowed, else `InsufficientPods`. `observed_generation`: that of
    ///    the budget.
    fn sync(&self, request: &SyncRequest) -> SyncResult {
        let _ = (request, DELETION_TIMEOUT_SECONDS, None::<(Event, Reason, Status)>);
        todo!("ask `expected`, clean up the disrupted pods, count the healthy ones, subtract")
    }

    /// Whether a pod may be evicted now, as the API server decides it. The first of these that applies:
    ///
    /// 1. It is `Pending`, `Succeeded`, `Failed`, or being deleted: `Delete`. It disrupts nothing.
    /// 2. No budget selects it: `Delete`.
    /// 3. More than one does: refused with 500, `This pod has more than one PodDisruptionBudget, which the eviction
    ///    subresource does not support.`
    /// 4. It isn't ready, and the budget's policy is `AlwaysAllow`, or as many pods are healthy as must be and that is more
    ///    than 0 by the status of the budget: `Delete`.
    /// 5. The budget has a generation that its status hasn't seen: refused with 429, to be asked again after 10 seconds,
    ///    `The disruption budget NAME is still being processed by the server.`
    /// 6. `disruptions_allowed` is negative: 403, `pdb disruptions allowed is negative`.
    /// 7. There are more than 2000 disrupted pods: 403, `DisruptedPods map too big - too many evictions not confirmed by PDB
    ///    controller`.
    /// 8. No disruption is allowed: 429, `The disruption budget NAME needs N healthy pods and has M currently`, from the
    ///    status.
    /// 9. It is a dry run: `Delete`.
    /// 10. `Charge`, with the status of the budget afterwards: one disruption less is allowed, the pod is among the disrupted
    ///     ones since now, and if none is allowed any more, the condition is `InsufficientPods`. The rest is as it was.
    fn evict(&self, request: &EvictionRequest) -> Verdict {
        let _ = (request, MAX_DISRUPTED_PODS, RETRY_SECONDS, None::<(Phase, UnhealthyPodPolicy)>);
        todo!("ten rules, ten early returns")
    }
}

kit::exercise!(Exercise: Disruption);
