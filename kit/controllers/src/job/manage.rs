//! As many pods as a job wants now: those that are too many go, or those that are missing are made.
//!
//! Source: `manageJob` of `pkg/controller/job/job_controller.go`.

use super::backoff;
use super::indexes::{self, COMPLETION_INDEX, FAILURE_COUNT, IGNORED_FAILURE_COUNT};
use super::sync::Sync;
use super::view::{self, TRACKING, is_ending, is_tracked};
use crate::template;
use kit_api::core::{Container, EnvVar, EnvVarSource, ObjectFieldSelector, Pod};
use kit_api::jiff::SignedDuration;
use kit_api::pod;
use kit_apimachinery::object::About;
use kit_contract::workloads::job::{PendingRequest, Size, SizeRequest};
use kit_server::Error;

/// The most pods that one look makes or deletes (`MaxPodCreateDeletePerSync`).
const MOST_PODS: usize = 500;
/// How long the part of a generated name may be that is given (`MaxGeneratedNameLength`).
const MOST_GIVEN: usize = 58;
/// The least that a replacement waits, if it waits (`syncJobBatchPeriod`).
const SOON: SignedDuration = SignedDuration::from_secs(1);
/// Where a container finds its index.
const INDEX_VARIABLE: &str = "JOB_COMPLETION_INDEX";

/// What became of deletions: how many pods are gone, and what went wrong first.
pub(super) struct Deleted {
    pub count: i32,
    pub failure: Option<Error>,
}

impl<'a> Sync<'a> {
    /// Brings the number of pods to what it should be. The answer is how many are active then.
    pub(super) fn manage(&mut self) -> (i32, Option<Error>) {
        let active = self.active.len() as i32;
        let Size { create, delete } = self.spec.module.size(&SizeRequest {
            parallelism: self.spec.parallelism,
            completions: self.spec.completions,
            suspended: self.spec.suspended,
            only_failed: self.spec.only_failed,
            active,
            terminating: self.terminating,
            succeeded: self.succeeded,
        });
        let mut remove = self.too_many(usize::try_from(delete).unwrap_or(0));
        if !self.spec.suspended {
            remove.truncate(MOST_PODS);
        }
        match usize::try_from(create) {
            _ if !remove.is_empty() => self.remove(&remove),
            Ok(missing @ 1..) => self.create(missing.min(MOST_PODS)),
            _ => (active, None),
        }
    }

    /// At least so many active pods to remove, and all that have a wrong or a repeated index.
    fn too_many(&self, at_least: usize) -> Vec<&'a Pod> {
        let (mut remove, mut keep) = match self.spec.indexed {
            true => indexes::split_repeated(self.active.clone(), self.spec.indexes()),
            false => (Vec::new(), self.active.clone()),
        };
        if remove.len() < at_least {
            view::sort_for_removal(&mut keep);
            remove.extend(keep.into_iter().take(at_least - remove.len()));
        }
        remove
    }

    fn remove(&mut self, pods: &[&Pod]) -> (i32, Option<Error>) {
        let deleted = self.delete_pods(pods, true);
        (self.active.len() as i32 - deleted.count, deleted.failure)
    }

    /// Deletes pods. Those that are not counted as failures (`forget`) lose their finalizer first.
    pub(super) fn delete_pods(&mut self, pods: &[&Pod], forget: bool) -> Deleted {
        let mut deleted = Deleted { count: pods.len() as i32, failure: None };
        for pod in pods {
            let freed = if forget && is_tracked(pod) { self.control.remove_finalizer(pod) } else { Ok(()) };
            match freed.and_then(|()| self.control.delete_pod(&self.job, pod)) {
                Err(error) if !error.is_not_found() => {
                    deleted.count -= 1;
                    deleted.failure.get_or_insert(error);
                }
                _ => self.ready -= i32::from(pod::is_ready(pod)),
            }
        }
        self.terminating += deleted.count;
        deleted
    }

    fn create(&mut self, missing: usize) -> (i32, Option<Error>) {
        let per_index = self.spec.spec.backoff_limit_per_index.is_some();
        let now = self.now();
        let wait = if per_index { SignedDuration::ZERO } else { self.backoff.remaining() };
        if wait > SignedDuration::ZERO {
            self.control.look_again(wait.max(SOON));
            // That none is active is what upstream says while it waits.
            return (0, None);
        }
        let mut which: Vec<Option<i64>> = vec![None; missing];
        if self.spec.indexed {
            let pending = self.pending_indexes(missing);
            let waits = |index: &i64| {
                let failed = self.delayed.get(index).filter(|_| per_index);
                failed.map_or(SignedDuration::ZERO, |failed| backoff::remaining_of_index(self.spec.module, failed, now))
            };
            which = pending.iter().filter(|index| waits(index).is_zero()).map(|index| Some(*index)).collect();
            if let (true, Some(wait)) = (which.is_empty(), pending.iter().map(waits).min()) {
                self.control.look_again(wait.max(SOON));
                return (0, None);
            }
        }
        let (mut made, mut failure) = (0, None);
        // In batches of 1, 2, 4 and so on: what fails for all fails early.
        let (mut rest, mut batch) = (which.as_slice(), 1);
        while !rest.is_empty() && failure.is_none() {
            let (now, later) = rest.split_at(batch.min(rest.len()));
            for index in now {
                let pod = self.pod(*index);
                match self.control.create_pod(&self.job, pod) {
                    Ok(()) => made += 1,
                    Err(error) => _ = failure.get_or_insert(error),
                }
            }
            (rest, batch) = (later, batch * 2);
        }
        (self.active.len() as i32 + made, failure)
    }

    /// The first indexes that have no pod and are not done (`firstPendingIndexes`).
    fn pending_indexes(&self, count: usize) -> Vec<i64> {
        let ending = self.pods.iter().copied().filter(|pod| self.spec.only_failed && is_ending(pod));
        let taken = self.active.iter().copied().chain(ending).filter_map(indexes::index_of).collect();
        let pending = self.spec.module.pending(&PendingRequest {
            completions: self.spec.indexes(),
            completed: self.completed.to_string(),
            failed: self.failed_indexes.as_ref().map_or(String::new(), ToString::to_string),
            taken,
            count: count as i64,
        });
        pending.into_iter().take(count).collect()
    }

    /// A pod of the template, for this index.
    fn pod(&self, index: Option<i64>) -> Pod {
        let owner = About::from(&self.job);
        let mut pod = template::pod(self.spec.spec.template.clone(), owner);
        if !is_tracked(&pod) {
            pod.metadata.finalizers.get_or_insert_default().push(TRACKING.into());
        }
        if let Some(index) = index {
            self.give_index(&mut pod, index, owner.name());
        }
        pod
    }

    fn give_index(&self, pod: &mut Pod, index: i64, job: &str) {
        let suffix = format!("-{index}-");
        let given: String = job.chars().take(MOST_GIVEN.saturating_sub(suffix.len())).collect();
        pod.metadata.generate_name = Some(format!("{given}{suffix}"));
        let annotations = pod.metadata.annotations.get_or_insert_default();
        annotations.insert(COMPLETION_INDEX.into(), index.to_string());
        if self.spec.spec.backoff_limit_per_index.is_some() {
            let (counted, ignored) = self.delayed.get(&index).map_or((0, 0), |failed| {
                let (counted, ignored) = indexes::failures_before(failed);
                let counts = self.spec.counts(failed);
                (counted.saturating_add(counts.into()), ignored.saturating_add((!counts).into()))
            });
            annotations.insert(FAILURE_COUNT.into(), counted.to_string());
            if ignored > 0 {
                annotations.insert(IGNORED_FAILURE_COUNT.into(), ignored.to_string());
            }
        }
        pod.metadata.labels.get_or_insert_default().insert(COMPLETION_INDEX.into(), index.to_string());
        let spec = pod.spec.get_or_insert_default();
        spec.hostname = Some(format!("{job}-{index}"));
        spec.init_containers.iter_mut().flatten().chain(&mut spec.containers).for_each(tell_index);
    }
}

fn tell_index(container: &mut Container) {
    let variables = container.env.get_or_insert_default();
    if variables.iter().any(|variable| variable.name == INDEX_VARIABLE) {
        return;
    }
    let field = ObjectFieldSelector { field_path: format!("metadata.labels['{COMPLETION_INDEX}']"), api_version: None };
    let value_from = Some(EnvVarSource { field_ref: Some(field), ..EnvVarSource::default() });
    variables.push(EnvVar { name: INDEX_VARIABLE.into(), value: None, value_from });
}
