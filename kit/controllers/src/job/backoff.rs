//! How long a job waits after failures.
//!
//! Source: `pkg/controller/job/backoff_utils.go`.

use super::indexes;
use kit_api::core::Pod;
use kit_api::jiff::{SignedDuration, Timestamp};
use kit_api::pod;

/// After the first failure (`DefaultJobPodFailureBackOff`), and at most (`MaxJobPodFailureBackOff`).
const BACKOFF: (SignedDuration, SignedDuration) = (SignedDuration::from_secs(10), SignedDuration::from_secs(600));

/// From the last failure to the next pod, after so many failures in a row.
pub fn pod_backoff(failures: u32) -> SignedDuration {
    let (first, most) = BACKOFF;
    match failures {
        0 => SignedDuration::ZERO,
        // 2^6 times the first wait is more than the longest.
        _ => (first * (1 << (failures - 1).min(6))).min(most),
    }
}

/// Failures since the last success.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    failures: u32,
    last: Option<Timestamp>,
}

impl Record {
    /// The record after these pods have ended (`newBackoffRecord`): a success wipes out the failures before it.
    pub fn after(&self, succeeded: &[&Pod], failed: &[&Pod]) -> Record {
        let success = succeeded.iter().map(|pod| finished_at(pod)).max();
        let failures =
            failed.iter().map(|pod| finished_at(pod)).filter(|at| success.is_none_or(|success| *at > success));
        let (new, latest) = (failures.clone().count() as u32, failures.max());
        match success {
            Some(_) => Record { failures: new, last: latest },
            None => Record { failures: self.failures.saturating_add(new), last: latest.or(self.last) },
        }
    }

    /// How long the next pod has to wait; zero if not at all.
    pub fn remaining(&self, now: Timestamp) -> SignedDuration {
        self.last.map_or(SignedDuration::ZERO, |last| remaining(self.failures, last, now))
    }
}

fn remaining(failures: u32, last: Timestamp, now: Timestamp) -> SignedDuration {
    (pod_backoff(failures) - now.duration_since(last)).max(SignedDuration::ZERO)
}

/// How long the replacement of a failed pod has to wait, where each index has its own limit.
pub fn remaining_of_index(failed: &Pod, now: Timestamp) -> SignedDuration {
    let (counted, ignored) = indexes::failures_before(failed);
    remaining(counted.saturating_add(ignored) as u32 + 1, finished_at(failed), now)
}

/// When a pod ended: when its last container did, or else as well as it can be told (`getFinishedTime`).
pub fn finished_at(pod: &Pod) -> Timestamp {
    let containers = || {
        let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
        let ends =
            statuses.iter().map(|status| Some(status.state.as_ref()?.terminated.as_ref()?.finished_at.as_ref()?.0));
        ends.collect::<Option<Vec<_>>>()?.into_iter().max()
    };
    let not_ready = || {
        let ready = pod::condition(pod, "Ready").filter(|ready| ready.status == "False")?;
        Some(ready.last_transition_time.as_ref()?.0)
    };
    let deleted = || {
        let grace = pod.metadata.deletion_grace_period_seconds.unwrap_or(0);
        pod.metadata.deletion_timestamp.as_ref()?.0.checked_sub(SignedDuration::from_secs(grace)).ok()
    };
    let created = || pod.metadata.creation_timestamp.as_ref().map(|time| time.0);
    containers().or_else(not_ready).or_else(deleted).or_else(created).unwrap_or_default()
}
