//! What the controller asks of a job and of its pods.

use super::policy;
use kit_api::batch::{Job, JobCondition, JobSpec, JobStatus};
use kit_api::core::Pod;
use kit_api::jiff::Timestamp;
use kit_api::{pod, time};
use kit_contract::workloads::JobController;
use std::cmp::Reverse;

/// The finalizer of pods that aren't counted yet.
pub const TRACKING: &str = "batch.kubernetes.io/job-tracking";
/// The controller's own name in `spec.managedBy`.
const JOB_CONTROLLER: &str = "kubernetes.io/job-controller";

/// What is fixed while a job is looked at, with the API's defaults filled in.
pub struct Spec<'a> {
    /// Who decides.
    pub module: &'a dyn JobController,
    pub spec: &'a JobSpec,
    pub parallelism: i32,
    pub completions: Option<i32>,
    pub backoff_limit: i32,
    pub indexed: bool,
    pub suspended: bool,
    /// Pods are replaced when they have failed, not already when they are being deleted (`onlyReplaceFailedPods`).
    pub only_failed: bool,
}

impl<'a> Spec<'a> {
    pub fn of(spec: &'a JobSpec, module: &'a dyn JobController) -> Spec<'a> {
        Spec {
            module,
            spec,
            parallelism: spec.parallelism.unwrap_or(1),
            completions: spec.completions,
            backoff_limit: spec.backoff_limit.unwrap_or(6),
            indexed: spec.completion_mode.as_deref() == Some("Indexed"),
            suspended: spec.suspend == Some(true),
            only_failed: spec.pod_replacement_policy.as_deref() == Some("Failed") || spec.pod_failure_policy.is_some(),
        }
    }

    /// The number of indexes.
    pub fn indexes(&self) -> i64 {
        self.completions.unwrap_or(0).into()
    }

    /// Whether a pod failed: one that is being deleted may never get as far as saying so (`isPodFailed`).
    pub fn has_failed(&self, pod: &Pod) -> bool {
        let phase = pod::phase(pod);
        phase == "Failed" || (!self.only_failed && pod::is_terminating(pod) && phase != "Succeeded")
    }

    /// Whether the failure of a pod counts (all do without a policy).
    pub fn counts(&self, pod: &Pod) -> bool {
        policy::of_failure(self, pod).counts
    }
}

/// The other controller to whom the job belongs, if there is one (`managedByExternalController`).
pub fn other_manager(job: &Job) -> Option<&str> {
    job.spec.as_ref()?.managed_by.as_deref().filter(|manager| *manager != JOB_CONTROLLER)
}

/// Whether the controller hasn't counted a pod yet.
pub fn is_tracked(pod: &Pod) -> bool {
    pod.metadata.finalizers.iter().flatten().any(|finalizer| finalizer == TRACKING)
}

/// Whether a pod is being deleted and has not ended (`IsPodTerminating`).
pub fn is_ending(pod: &Pod) -> bool {
    pod::is_terminating(pod) && !pod::is_finished(pod)
}

pub fn uid(pod: &Pod) -> &str {
    pod.metadata.uid.as_deref().unwrap_or_default()
}

/// A job's condition of this type that is true.
pub fn condition<'a>(status: &'a JobStatus, type_: &str) -> Option<&'a JobCondition> {
    status.conditions.iter().flatten().find(|condition| condition.type_ == type_ && condition.status == "True")
}

/// The condition that ended a job, if it has ended (`IsJobFinished`).
pub fn finished(job: &Job) -> Option<&JobCondition> {
    let conditions = job.status.as_ref()?.conditions.iter().flatten();
    let ends = |condition: &&JobCondition| matches!(condition.type_.as_str(), "Complete" | "Failed");
    conditions.into_iter().find(|condition| ends(condition) && condition.status == "True")
}

pub fn new_condition(type_: &str, status: &str, reason: &str, message: &str, now: Timestamp) -> JobCondition {
    JobCondition {
        type_: type_.into(),
        status: status.into(),
        reason: Some(reason.into()),
        message: Some(message.into()),
        last_probe_time: Some(time::seconds(now)),
        last_transition_time: Some(time::seconds(now)),
    }
}

/// Writes a condition; one that isn't there and would be false is left out. Whether something changed
/// (`ensureJobConditionStatus`).
pub fn ensure_condition(status: &mut JobStatus, condition: JobCondition) -> bool {
    match status.conditions.iter_mut().flatten().find(|there| there.type_ == condition.type_) {
        Some(there)
            if (&there.status, &there.reason, &there.message)
                == (&condition.status, &condition.reason, &condition.message) =>
        {
            false
        }
        Some(there) => {
            *there = condition;
            true
        }
        None if condition.status == "False" => false,
        None => {
            status.conditions.get_or_insert_default().push(condition);
            true
        }
    }
}

/// Sorts active pods so that those come first whose loss costs least (`ActivePods` of `controller_utils.go`).
pub fn sort_for_removal(pods: &mut [&Pod]) {
    pods.sort_by_key(|pod| {
        let phase = match pod::phase(pod) {
            "Unknown" => 1,
            "Running" => 2,
            _ => 0,
        };
        let ready = pod::is_ready(pod);
        // No time at all comes before the latest.
        let latest_first = |at: Option<Timestamp>| (at.is_some(), Reverse(at));
        let created = pod.metadata.creation_timestamp.as_ref().map(|time| time.0);
        (
            pod::node_name(pod).is_some(),
            phase,
            ready,
            latest_first(pod::ready_since(pod)),
            Reverse(pod::max_restarts(pod)),
            latest_first(created),
        )
    });
}
