//! The Job controller: how many pods to run, which indexes are still to do, what a failure means, and when a job ends.
//!
//! Sources: `pkg/controller/job/job_controller.go` (`manageJob`, `syncJob`), `indexed_job_utils.go`, `backoff_utils.go`,
//! `pod_failure_policy.go` and `success_policy.go` beside it.
//!
//! The kit around the controller does the rest of the work: it watches, adopts pods, keeps the finalizers with which every
//! pod is counted just once, picks the pods to delete, makes those that are missing, writes the status, its conditions and
//! events, and looks again when a wait or a deadline is over.

use crate::{Show, flow};
pub use kit_api::batch::{
    PodFailurePolicyOnExitCodesRequirement, PodFailurePolicyOnPodConditionsPattern, PodFailurePolicyRule,
};
use serde::{Deserialize, Serialize};

// ANCHOR: contract
contract! {
    /// Decides about one job and its pods.
    ///
    /// A pod is *active* if it hasn't finished and isn't being deleted, and *terminating* if it hasn't finished and is.
    pub trait JobController {
        /// How many pods to make or to delete now; one of the two is 0.
        ///
        /// 1. If the job is suspended, all active pods are deleted.
        /// 2. Otherwise so many are wanted: with `completions`, what is missing to it, but never more than
        ///    `parallelism` and never less than 0. Without (a *work queue*), `parallelism` until a pod has succeeded,
        ///    and from then on just those that are active.
        /// 3. Active pods beyond that number are deleted.
        /// 4. Otherwise the difference is made. If `only_failed`, terminating pods count like active ones here, and
        ///    nothing is made if that leaves less than 0.
        fn size(&self, request: &SizeRequest) -> Size;

        /// The indexes that have succeeded, as `status.completedIndexes` writes them: `before`, which is written so,
        /// and the indexes in `succeeded`, which come in any order and may be there twice or in `before` already.
        ///
        /// The numbers go up. Three or more in a row are written as the first and the last with `-` between; two in a row
        /// are two numbers. A comma and no space stands between. `1,3-5,7,8` are 1, 3, 4, 5, 7 and 8. No indexes are no
        /// text.
        fn completed(&self, before: &str, succeeded: &[i64]) -> String;

        /// The indexes that get a pod next: the lowest ones from 0 to `completions` - 1 that are neither `completed` nor
        /// `failed` nor `taken`, at most `count`, in ascending order. Jobs have up to a million indexes.
        fn pending(&self, request: &PendingRequest) -> Vec<i64>;

        /// What the policy `rules` make of a failed pod: the first rule that matches decides. Without one it is `Count`.
        ///
        /// A rule with `on_exit_codes` matches if a container that has ended with another code than 0, and has the
        /// rule's `container_name` if there is one, has a code that is among the `values` (operator `In`) or isn't
        /// (`NotIn`). A rule with `on_pod_conditions` matches if the pod has a condition with the type and the status of
        /// one of the patterns. Actions are `FailJob`, `FailIndex`, `Ignore` and `Count`.
        fn failure(&self, rules: &[PodFailurePolicyRule], pod: &FailedPod) -> Verdict;

        /// The failures in a row, and how long the next pod waits.
        ///
        /// `ended` are pods that have ended since `failures` were counted, in any order. If none of them succeeded, the
        /// failures among them are added. If one did, only those count that ended later than the last success, and
        /// none of before. `last` is when the last of the new failures that count was; if there is none of these and no
        /// success, it stays.
        ///
        /// From the last failure on the next pod waits 10 seconds after one failure in a row, twice as long after each
        /// further one, and never more than 10 minutes. `wait` is what is left of that at `now`, and never below 0; it is
        /// 0 without failures. All times are in milliseconds.
        fn backoff(&self, request: &BackoffRequest) -> Backoff;

        /// What ends the job, if anything does. Rules that come first win.
        ///
        /// 1. `PodFailurePolicy` if `fails_job`.
        /// 2. `BackoffLimitExceeded` if more pods `failed` than `backoff_limit`, or if there were `restarts`, and as many
        ///    as `backoff_limit`, or more.
        /// 3. `DeadlineExceeded` if it isn't suspended and was `active_ms` for `deadline_seconds`, or longer. Not if one
        ///    of them is missing.
        /// 4. For jobs with `completed` indexes, where `failed_indexes` is there: `MaxFailedIndexesExceeded` if it is more
        ///    than `max_failed_indexes`, if that is there.
        /// 5. The same way, `FailedIndexes` if an index has failed, and failed and completed ones together are no less
        ///    than `completions`.
        /// 6. `SuccessPolicy` with the place, from 0, of the first of the `success_rules` that is met. None is before an
        ///    index has succeeded. With `succeeded_indexes`, written as `completed` is, all of these must have succeeded,
        ///    or `succeeded_count` of them if that is there; if it names none, it is never met. Without,
        ///    `succeeded_count` of any.
        /// 7. `CompletionsReached` if no pod is active, and as many have succeeded as `completions`, or more; without
        ///    `completions`, if one has.
        fn ending(&self, request: &EndingRequest) -> Option<Ending>;
    }
}

/// A job and its pods, as numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SizeRequest {
    /// `spec.parallelism`.
    pub parallelism: i32,
    /// `spec.completions`; none for a work queue.
    #[serde(default)]
    pub completions: Option<i32>,
    /// `spec.suspend`.
    #[serde(default)]
    pub suspended: bool,
    /// Whether only failed pods are replaced (`spec.podReplacementPolicy: Failed`), and not those that are terminating.
    #[serde(default)]
    pub only_failed: bool,
    /// Active pods.
    #[serde(default)]
    pub active: i32,
    /// Terminating pods.
    #[serde(default)]
    pub terminating: i32,
    /// Pods, or indexes, that have succeeded.
    #[serde(default)]
    pub succeeded: i32,
}

/// How many pods come or go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    /// To make.
    pub create: i32,
    /// To delete.
    pub delete: i32,
}

/// The indexes of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PendingRequest {
    /// `spec.completions`.
    pub completions: i64,
    /// The indexes that have succeeded, written as in a status.
    #[serde(default)]
    pub completed: String,
    /// Those that have failed for good, written the same way.
    #[serde(default)]
    pub failed: String,
    /// Those that have a pod, in any order.
    #[serde(default)]
    pub taken: Vec<i64>,
    /// How many pods are to be made.
    pub count: i64,
}

/// What a policy can see of a failed pod.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FailedPod {
    /// Its containers, and its init containers after them.
    #[serde(default)]
    pub containers: Vec<EndedContainer>,
    /// Its conditions.
    #[serde(default)]
    pub conditions: Vec<Condition>,
}

/// One container of a failed pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndedContainer {
    /// Its name.
    pub name: String,
    /// Its exit code; none if it hasn't ended.
    #[serde(default)]
    pub exit_code: Option<i32>,
}

/// One condition of a pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// `DisruptionTarget` for example.
    #[serde(rename = "type")]
    pub type_: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
}

/// What becomes of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// The whole job fails, by the rule with this place in the list, from 0.
    FailJob(i64),
    /// Its index fails, whatever its limit.
    FailIndex,
    /// It isn't counted.
    Ignore,
    /// It is counted.
    Count,
}

/// What is known of failures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackoffRequest {
    /// Failures in a row so far.
    #[serde(default)]
    pub failures: i64,
    /// When the last of them was.
    #[serde(default)]
    pub last: Option<i64>,
    /// What has ended since.
    #[serde(default)]
    pub ended: Vec<Ended>,
    /// The time now.
    pub now: i64,
}

/// A pod that has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ended {
    /// When.
    pub at: i64,
    /// How.
    #[serde(default)]
    pub succeeded: bool,
}

/// The failures in a row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backoff {
    /// How many.
    pub failures: i64,
    /// When the last one was, if any.
    pub last: Option<i64>,
    /// How long the next pod waits from now on.
    pub wait: i64,
}

/// What may end a job.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EndingRequest {
    /// Whether a pod failed to which the failure policy says `FailJob`.
    pub fails_job: bool,
    /// Failures that count.
    pub failed: i32,
    /// `spec.backoffLimit`.
    pub backoff_limit: i32,
    /// How often containers were started again in place, with `restartPolicy: OnFailure`; otherwise 0.
    pub restarts: i32,
    /// `spec.suspend`.
    pub suspended: bool,
    /// How long it has been active, in milliseconds; none if it never was.
    pub active_ms: Option<i64>,
    /// `spec.activeDeadlineSeconds`.
    pub deadline_seconds: Option<i64>,
    /// `spec.completions`; none for a work queue.
    pub completions: Option<i32>,
    /// Pods, or indexes, that have succeeded.
    pub succeeded: i32,
    /// Active pods.
    pub active: i32,
    /// The indexes that have succeeded, written as in a status; no text for jobs without indexes.
    pub completed: String,
    /// How many indexes have failed for good; none without `spec.backoffLimitPerIndex`.
    pub failed_indexes: Option<i64>,
    /// `spec.maxFailedIndexes`.
    pub max_failed_indexes: Option<i64>,
    /// The rules of `spec.successPolicy`.
    pub success_rules: Vec<SuccessRule>,
}

/// One rule of a success policy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SuccessRule {
    /// Which indexes have to succeed.
    pub succeeded_indexes: Option<String>,
    /// How many of them.
    pub succeeded_count: Option<i64>,
}

/// Why a job ends, as its conditions say it. The first five are failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ending {
    /// A pod failed in a way that the failure policy doesn't forgive.
    PodFailurePolicy,
    /// Too many failures.
    BackoffLimitExceeded,
    /// Too long.
    DeadlineExceeded,
    /// Too many indexes have failed.
    MaxFailedIndexesExceeded,
    /// All indexes are done, and some have failed.
    FailedIndexes,
    /// A rule of the success policy is met, the one with this place in the list, from 0.
    SuccessPolicy(i64),
    /// All is done.
    CompletionsReached,
}
// ANCHOR_END: contract

impl Show for SizeRequest {
    fn lines(&self) -> Vec<String> {
        let completions = self.completions.map_or("no completions".into(), |number| format!("{number} completions"));
        let mut line = format!("parallelism {}, {completions}", self.parallelism);
        if self.suspended {
            line += ", suspended";
        }
        if self.only_failed {
            line += ", only failed pods are replaced";
        }
        let there = format!("{} active, {} terminating, {} succeeded", self.active, self.terminating, self.succeeded);
        vec![line, there]
    }
}

impl Show for Size {
    fn lines(&self) -> Vec<String> {
        match self {
            Size { create: 0, delete: 0 } => vec!["nothing".into()],
            Size { create, delete: 0 } => vec![format!("create {create}")],
            Size { create: 0, delete } => vec![format!("delete {delete}")],
            Size { create, delete } => vec![format!("create {create}"), format!("delete {delete}")],
        }
    }
}

impl Show for PendingRequest {
    fn lines(&self) -> Vec<String> {
        vec![format!(
            "{} of {} completions, completed {:?}, failed {:?}, taken {}",
            self.count,
            self.completions,
            self.completed,
            self.failed,
            flow(&self.taken)
        )]
    }
}

impl Show for PodFailurePolicyRule {
    fn lines(&self) -> Vec<String> {
        vec![format!("rule {}", flow(self))]
    }
}

impl Show for FailedPod {
    fn lines(&self) -> Vec<String> {
        let containers = self.containers.iter().map(|container| match container.exit_code {
            Some(code) => format!("container {} ended with {code}", flow(&container.name)),
            None => format!("container {} hasn't ended", flow(&container.name)),
        });
        let conditions = self.conditions.iter().map(|c| format!("condition {}: {}", flow(&c.type_), flow(&c.status)));
        containers.chain(conditions).collect()
    }
}

impl Show for Verdict {
    fn lines(&self) -> Vec<String> {
        vec![match self {
            Verdict::FailJob(rule) => format!("fails the job, by the rule at index {rule}"),
            Verdict::FailIndex => "fails its index".into(),
            Verdict::Ignore => "is ignored".into(),
            Verdict::Count => "counts".into(),
        }]
    }
}

impl Show for BackoffRequest {
    fn lines(&self) -> Vec<String> {
        let last = self.last.map_or(String::new(), |last| format!(", the last at {last} ms"));
        let mut lines = vec![format!("{} failures{last}; now {} ms", self.failures, self.now)];
        let how = |ended: &Ended| if ended.succeeded { "succeeded" } else { "failed" };
        lines.extend(self.ended.iter().map(|ended| format!("a pod {} at {} ms", how(ended), ended.at)));
        lines
    }
}

impl Show for Backoff {
    fn lines(&self) -> Vec<String> {
        let last = self.last.map_or(String::new(), |last| format!(", the last at {last} ms"));
        vec![format!("{} failures{last}", self.failures), format!("wait {} ms", self.wait)]
    }
}

impl Show for EndingRequest {
    fn lines(&self) -> Vec<String> {
        let mut parts = Vec::new();
        if self.fails_job {
            parts.push("a pod fails the job".to_string());
        }
        parts.push(format!("{} failed, backoffLimit {}", self.failed, self.backoff_limit));
        if self.restarts != 0 {
            parts.push(format!("{} restarts", self.restarts));
        }
        if self.suspended {
            parts.push("suspended".into());
        }
        parts.extend(self.active_ms.map(|active| format!("active for {active} ms")));
        parts.extend(self.deadline_seconds.map(|deadline| format!("activeDeadlineSeconds {deadline}")));
        let completions = self.completions.map_or("no completions".into(), |number| format!("{number} completions"));
        let mut lines =
            vec![parts.join(", "), format!("{completions}, {} succeeded, {} active", self.succeeded, self.active)];
        let mut indexes = Vec::new();
        if !self.completed.is_empty() {
            indexes.push(format!("completed {:?}", self.completed));
        }
        indexes.extend(self.failed_indexes.map(|failed| format!("{failed} indexes failed")));
        indexes.extend(self.max_failed_indexes.map(|most| format!("maxFailedIndexes {most}")));
        if !indexes.is_empty() {
            lines.push(indexes.join(", "));
        }
        lines.extend(self.success_rules.iter().map(|rule| format!("success rule {}", flow(rule))));
        lines
    }
}

impl Show for Ending {
    fn lines(&self) -> Vec<String> {
        vec![format!("ends: {self:?}")]
    }
}
