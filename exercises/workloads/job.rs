//! # Pods that are to end
//!
//! A Deployment wants its pods to run for ever; a Job wants them to end, so many times, and well. You write what its
//! controller decides: how many pods run now, which indexes are still to do, what becomes of a failure, how long to wait
//! after it, and when all is over, in one way or the other.
//!
//! About 60 minutes · builds on nothing · book: "Jobs: work that ends" · stuck? `cargo grade hint workloads/job`
//!
//! Given to you:
//!
//! - `kit::workloads::job::PodFailurePolicyRule.action: String`
//! - `kit::workloads::job::PodFailurePolicyRule.on_exit_codes: Option<kit::workloads::job::PodFailurePolicyOnExitCodesRequirement>`
//! - `kit::workloads::job::PodFailurePolicyRule.on_pod_conditions: Option<Vec<kit::workloads::job::PodFailurePolicyOnPodConditionsPattern>>`
//! - `kit::workloads::job::PodFailurePolicyOnExitCodesRequirement.container_name: Option<String>`
//! - `kit::workloads::job::PodFailurePolicyOnExitCodesRequirement.operator: String`
//! - `kit::workloads::job::PodFailurePolicyOnExitCodesRequirement.values: Vec<i32>`
//! - `kit::workloads::job::PodFailurePolicyOnPodConditionsPattern.type_: String`
//! - `kit::workloads::job::PodFailurePolicyOnPodConditionsPattern.status: String`

use kit::workloads::JobController;
use kit::workloads::job::{
    Backoff, BackoffRequest, Ended, Ending, EndingRequest, FailedPod, PendingRequest, PodFailurePolicyRule, Size,
    SizeRequest, SuccessRule, Verdict,
};

/// The job's status remembers; the module doesn't.
#[derive(Default)]
struct Exercise;

impl JobController for Exercise {
    /// How many pods to make or to delete now; one of the two is 0.
    ///
    /// 1. If the job is suspended, all active pods are deleted.
    /// 2. Otherwise so many are wanted: with `completions`, what is missing to it, but never more than `parallelism` and
    ///    never less than 0. Without, `parallelism` until a pod has succeeded, and from then on just those that are
    ///    active.
    /// 3. Active pods beyond that number are deleted.
    /// 4. Otherwise the difference is made. If `only_failed`, terminating pods count like active ones here, and nothing
    ///    is made if that leaves less than 0.
    fn size(&self, request: &SizeRequest) -> Size {
        let _ = request;
        todo!("how many are wanted, and how many are there?")
    }

    /// The indexes that have succeeded, as a status writes them: `before`, which is written so, and those in `succeeded`,
    /// which come in any order and may be there twice or in `before` already.
    ///
    /// The numbers go up. Three or more in a row are written as the first and the last with `-` between; two in a row are
    /// two numbers. A comma and no space stands between: `1,3-5,7,8`. No indexes are no text.
    fn completed(&self, before: &str, succeeded: &[i64]) -> String {
        let _ = (before, succeeded);
        todo!("read the spans, add the new ones, merge, write")
    }

    /// The lowest indexes from 0 to `completions` - 1 that are neither `completed` nor `failed` nor `taken`, at most
    /// `count`, in ascending order. Jobs have up to a million indexes.
    fn pending(&self, request: &PendingRequest) -> Vec<i64> {
        let _ = request;
        todo!("the gaps between the spans")
    }

    /// What the policy makes of a failed pod: the first rule that matches decides. Without one it is `Count`.
    ///
    /// A rule with `on_exit_codes` matches if a container that has ended with another code than 0, and has the rule's
    /// `container_name` if there is one, has a code that is among the `values` (operator `In`) or isn't (`NotIn`). A rule
    /// with `on_pod_conditions` matches if the pod has a condition with the type and the status of one of the patterns.
    /// Actions are `FailJob`, `FailIndex`, `Ignore` and `Count`.
    fn failure(&self, rules: &[PodFailurePolicyRule], pod: &FailedPod) -> Verdict {
        let _ = (rules, pod, Verdict::Count);
        todo!("find the first rule that matches, then look at its action")
    }

    /// The failures in a row, when the last one was, and how long the next pod waits. All times are in milliseconds.
    ///
    /// `ended` are pods that have ended since `failures` were counted, in any order. If none of them succeeded, the
    /// failures among them are added. If one did, only those count that ended later than the last success, and none of
    /// before. `last` is when the last of the new failures that count was; if there is none of these and no success, it
    /// stays.
    ///
    /// From the last failure on the next pod waits 10 seconds after one failure in a row, twice as long after each
    /// further one, and never more than 10 minutes. `wait` is what is left of that at `now`, and never below 0; it is 0
    /// without failures.
    fn backoff(&self, request: &BackoffRequest) -> Backoff {
        let _ = (request, None::<Ended>);
        todo!("when was the last success?")
    }

    /// What ends the job, if anything does. Rules that come first win.
    ///
    /// 1. `PodFailurePolicy` if `fails_job`.
    /// 2. `BackoffLimitExceeded` if more pods `failed` than `backoff_limit`, or if there were `restarts`, and as many as
    ///    `backoff_limit`, or more.
    /// 3. `DeadlineExceeded` if it isn't suspended and was `active_ms` for `deadline_seconds`, or longer. Not if one of
    ///    them is missing.
    /// 4. `MaxFailedIndexesExceeded` if `failed_indexes` is more than `max_failed_indexes`, and both are there.
    /// 5. `FailedIndexes` if an index has failed, and failed and `completed` ones together are no less than `completions`.
    /// 6. `SuccessPolicy` with the place, from 0, of the first of the `success_rules` that is met. None is before an index
    ///    has succeeded. With `succeeded_indexes`, written as `completed` is, all of these must have succeeded, or
    ///    `succeeded_count` of them if that is there; if it names none, it is never met. Without, `succeeded_count` of any.
    /// 7. `CompletionsReached` if no pod is active, and as many have succeeded as `completions`, or more; without
    ///    `completions`, if one has.
    fn ending(&self, request: &EndingRequest) -> Option<Ending> {
        let _ = (request, Ending::CompletionsReached, None::<SuccessRule>);
        todo!("one rule after the other")
    }
}

kit::exercise!(Exercise: JobController);
