//! How long a job waits after failures.
//!
//! Source: `pkg/controller/job/backoff_utils.go`.

use super::indexes;
use kit_api::core::Pod;
use kit_api::jiff::{SignedDuration, Timestamp};
use kit_api::pod;
use kit_contract::workloads::JobController;
use kit_contract::workloads::job::{Backoff, BackoffRequest, Ended};

/// Failures in a row, and how long the next pod waits. Times are in milliseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    failures: i64,
    last: Option<i64>,
    wait: i64,
}

impl Record {
    /// The record after these pods have ended, as the module counts them (`newBackoffRecord`).
    pub fn after(&self, module: &dyn JobController, succeeded: &[&Pod], failed: &[&Pod], now: Timestamp) -> Record {
        let ended = |succeeded| move |pod: &&Pod| Ended { at: finished_at(pod).as_millisecond(), succeeded };
        let ended: Vec<_> = succeeded.iter().map(ended(true)).chain(failed.iter().map(ended(false))).collect();
        if ended.is_empty() && self.failures == 0 {
            return Record::default();
        }
        let now = now.as_millisecond();
        let Backoff { failures, last, wait } =
            module.backoff(&BackoffRequest { failures: self.failures, last: self.last, ended, now });
        Record { failures, last, wait }
    }

    /// How long the next pod has to wait; zero if not at all.
    pub fn remaining(&self) -> SignedDuration {
        SignedDuration::from_millis(self.wait)
    }
}

/// How long the replacement of a failed pod has to wait, where each index has its own limit.
pub fn remaining_of_index(module: &dyn JobController, failed: &Pod, now: Timestamp) -> SignedDuration {
    let (counted, ignored) = indexes::failures_before(failed);
    let before = Record { failures: i64::from(counted) + i64::from(ignored), ..Record::default() };
    before.after(module, &[], &[failed], now).remaining()
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
