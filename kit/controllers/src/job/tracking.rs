//! Each pod that ends is counted once, whatever happens between the steps: its uid goes into the status, then its
//! finalizer goes, then the counter goes up and the uid goes.
//!
//! Source: `trackJobStatusAndRemoveFinalizers` of `pkg/controller/job/job_controller.go`; the design is KEP-2307.

use super::indexes;
use super::sync::{Sync, failed_for};
use super::view::{condition, ensure_condition, new_condition, uid};
use kit_api::batch::JobStatus;
use kit_api::core::Pod;
use kit_api::pod;
use kit_server::Error;
use std::collections::BTreeSet;

/// The most pods that a status holds by uid (`MaxUncountedPods`).
const MOST_UNCOUNTED: usize = 500;

impl Sync<'_> {
    /// Counts what has ended and writes the status, if it has changed (`dirty`) or does now.
    pub(super) fn track(&mut self, mut dirty: bool) -> Result<(), Error> {
        if self.spec.indexed {
            indexes::sort_by_index(&mut self.pods);
        }
        let pods = self.pods.clone();
        let tracked: Vec<&Pod> = pods.into_iter().filter(|pod| self.is_tracked(pod)).collect();
        let mut uids: BTreeSet<String> = tracked.iter().map(|pod| uid(pod).to_string()).collect();
        dirty |= count(self.status(), &uids);
        let (mut done, mut new, mut full) = (Vec::new(), Vec::new(), false);
        for pod in tracked {
            if !self.may_go(pod) {
                continue;
            }
            done.push(pod);
            dirty |= self.note(pod, &mut new);
            let uncounted = self.status().uncounted_terminated_pods.get_or_insert_default();
            let held = uncounted.succeeded.iter().chain(&uncounted.failed).flatten().count();
            if new.len() + held >= MOST_UNCOUNTED {
                full = true;
                break;
            }
        }
        if self.spec.indexed {
            dirty |= self.write_indexes();
        }
        dirty |= self.announce_end();
        if dirty {
            self.write()?;
            self.memory.backoff = self.backoff.clone();
        }
        let mut failure = None;
        for pod in done {
            match self.control.remove_finalizer(pod) {
                Err(error) if !error.is_not_found() => _ = failure.get_or_insert(error),
                _ => {
                    self.memory.released.insert(uid(pod).into());
                    uids.remove(uid(pod));
                }
            }
        }
        let mut dirty = count(self.status(), &uids);
        if let Some(error) = failure {
            if dirty {
                self.write()?;
            }
            return Err(error);
        }
        let finished = !full && self.finish();
        dirty |= finished;
        if dirty {
            self.write()?;
        }
        if finished {
            self.tell_of_end();
        }
        Ok(())
    }

    fn write(&mut self) -> Result<(), Error> {
        self.job = self.control.write_status(self.job.clone())?;
        // Nothing is left uncounted without a place for it.
        self.status().uncounted_terminated_pods.get_or_insert_default();
        Ok(())
    }

    /// Whether a pod need not be kept any longer to be counted (`canRemoveFinalizer`).
    fn may_go(&self, pod: &Pod) -> bool {
        if self.job.metadata.deletion_timestamp.is_some() || self.ends.is_some() || pod::phase(pod) == "Succeeded" {
            return true;
        }
        // One whose count goes over to its replacement waits for that.
        let delayed = indexes::index_of(pod).and_then(|index| self.delayed.get(&index));
        self.spec.has_failed(pod) && delayed.is_none_or(|delayed| uid(delayed) != uid(pod))
    }

    /// Notes that a pod is to be counted; an index that has succeeded needs no uid.
    fn note(&mut self, pod: &Pod, new: &mut Vec<i64>) -> bool {
        let id = uid(pod);
        let index = self.good_index(pod);
        let failed_before = self.uncounted_failed.contains(id);
        if pod::phase(pod) == "Succeeded" && !failed_before {
            if self.spec.indexed {
                let index = index.filter(|index| !self.completed_before.has(*index));
                new.extend(index);
                return index.is_some();
            }
            let succeeded_before = self.uncounted_succeeded.contains(id);
            if !succeeded_before {
                let uncounted = self.status().uncounted_terminated_pods.get_or_insert_default();
                uncounted.succeeded.get_or_insert_default().push(id.into());
            }
            return !succeeded_before;
        }
        // Once the job has failed, so has every pod that still ran.
        let job_failed = self.ends.as_ref().is_some_and(|ends| ends.type_ != "SuccessCriteriaMet");
        let failed = self.spec.has_failed(pod) || job_failed;
        let counts = failed && !failed_before && (!self.spec.indexed || index.is_some()) && self.spec.counts(pod);
        if counts {
            let uncounted = self.status().uncounted_terminated_pods.get_or_insert_default();
            uncounted.failed.get_or_insert_default().push(id.into());
        }
        counts
    }

    fn write_indexes(&mut self) -> bool {
        let completed = Some(self.completed_text.clone()).filter(|text| !text.is_empty());
        let failed = self.failed_indexes.as_ref().map(ToString::to_string);
        let total = self.completed.total() as i32;
        let status = self.status();
        let changed = completed != status.completed_indexes || failed != status.failed_indexes;
        status.succeeded = Some(total).filter(|count| *count != 0);
        status.completed_indexes = completed;
        status.failed_indexes = failed;
        changed
    }

    /// Writes down what the job will end as, before any finalizer goes, and turns to the condition that ends it.
    fn announce_end(&mut self) -> bool {
        let Some(ends) = self.ends.take() else { return false };
        let now = self.now();
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        let (announce, last) = match ends.type_.as_str() {
            "FailureTarget" => (true, failed_for(&ends, now)),
            "SuccessCriteriaMet" => {
                let last = new_condition("Complete", "True", &text(&ends.reason), &text(&ends.message), now);
                (condition(self.status(), "SuccessCriteriaMet").is_none(), last)
            }
            _ => (false, ends.clone()),
        };
        if announce {
            self.status().conditions.get_or_insert_default().push(ends);
        }
        self.ends = Some(last);
        announce
    }

    /// Ends the job, once every pod is counted and none is left that is ending (`enactJobFinished`).
    fn finish(&mut self) -> bool {
        let Some(ends) = self.ends.clone().filter(|_| self.terminating <= 0) else { return false };
        let uncounted = self.status().uncounted_terminated_pods.iter();
        if uncounted.flat_map(|pods| pods.succeeded.iter().chain(&pods.failed).flatten()).next().is_some() {
            return false;
        }
        if ends.type_ == "Complete" {
            self.status().completion_time = ends.last_transition_time.clone();
        }
        ensure_condition(self.status(), ends);
        true
    }

    fn tell_of_end(&mut self) {
        let Some(ends) = self.ends.clone() else { return };
        let succeeded = self.status().succeeded.unwrap_or(0);
        if ends.type_ != "Complete" {
            let (reason, message) = (ends.reason.unwrap_or_default(), ends.message.unwrap_or_default());
            return self.control.event(&self.job, "Warning", &reason, &message);
        }
        if self.spec.completions.is_some_and(|completions| succeeded > completions) {
            let message = "Too many succeeded pods running after completion count reached";
            self.control.event(&self.job, "Warning", "TooManySucceededPods", message);
        }
        self.control.event(&self.job, "Normal", "Completed", "Job completed");
    }
}

/// Counts the noted pods that have lost their finalizer. Whether there were any (`cleanUncountedPodsWithoutFinalizers`).
fn count(status: &mut JobStatus, with_finalizer: &BTreeSet<String>) -> bool {
    let uncounted = status.uncounted_terminated_pods.get_or_insert_default();
    let mut counted = false;
    for (noted, counter) in
        [(&mut uncounted.succeeded, &mut status.succeeded), (&mut uncounted.failed, &mut status.failed)]
    {
        let before = noted.as_ref().map_or(0, Vec::len);
        noted.iter_mut().for_each(|uids| uids.retain(|uid| with_finalizer.contains(uid)));
        let gone = before - noted.as_ref().map_or(0, Vec::len);
        if gone > 0 {
            *counter = Some(counter.unwrap_or(0) + gone as i32);
            counted = true;
        }
        if noted.as_ref().is_some_and(Vec::is_empty) {
            *noted = None;
        }
    }
    counted
}
