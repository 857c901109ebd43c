//! One look at one job: what its pods say, what follows from it, and who does it.
//!
//! Source: `syncJob` of `pkg/controller/job/job_controller.go`. What is asked of the API server goes through [`Control`],
//! as upstream's goes through its pod control, status handler and recorder.

use super::backoff::Record;
use super::indexes::{self, Indexes};
use super::view::{self, Spec, condition, ensure_condition, is_ending, is_tracked, new_condition, uid};
use super::{claim, policy};
use kit_api::batch::{Job, JobCondition, JobStatus};
use kit_api::core::Pod;
use kit_api::jiff::{SignedDuration, Timestamp};
use kit_api::{pod, time};
use kit_contract::workloads::JobController;
use kit_contract::workloads::job::{Ending, EndingRequest, SuccessRule};
use kit_server::Error;
use std::collections::{BTreeMap, BTreeSet};

/// What a look at a job may do.
pub trait Control {
    /// The calendar time.
    fn now(&self) -> Timestamp;
    /// Makes a pod of a job.
    fn create_pod(&mut self, job: &Job, pod: Pod) -> Result<(), Error>;
    /// Deletes a pod of a job.
    fn delete_pod(&mut self, job: &Job, pod: &Pod) -> Result<(), Error>;
    /// Takes a pod's tracking finalizer away.
    fn remove_finalizer(&mut self, pod: &Pod) -> Result<(), Error>;
    /// Makes the job the pod's controller, and tracks it.
    fn adopt_pod(&mut self, job: &Job, pod: &Pod) -> Result<(), Error>;
    /// Undoes that.
    fn release_pod(&mut self, job: &Job, pod: &Pod) -> Result<(), Error>;
    /// Writes a job's status. The answer is the job as it is then.
    fn write_status(&mut self, job: Job) -> Result<Job, Error>;
    /// Tells of a job: type, reason, message.
    fn event(&mut self, job: &Job, type_: &str, reason: &str, message: &str);
    /// Asks for another look so much later.
    fn look_again(&mut self, after: SignedDuration);
}

/// What the controller remembers of a job from one look to the next.
#[derive(Debug, Default)]
pub struct Memory {
    /// The failures since the last success.
    pub backoff: Record,
    /// Pods that were asked for, or asked away, and of which the watch hasn't shown that.
    pub waits: bool,
    /// Uids of pods whose finalizer was taken away, which the watch hasn't shown.
    pub released: BTreeSet<String>,
}

/// A look at one job.
pub(super) struct Sync<'a> {
    pub spec: Spec<'a>,
    /// The job, with the status that will be written.
    pub job: Job,
    pub pods: Vec<&'a Pod>,
    pub active: Vec<&'a Pod>,
    pub ready: i32,
    pub terminating: i32,
    pub succeeded: i32,
    pub failed: i32,
    /// Uids that the status had at the beginning.
    pub uncounted_failed: BTreeSet<String>,
    pub uncounted_succeeded: BTreeSet<String>,
    /// Indexes that the status has, and with those that have succeeded since.
    pub completed_before: Indexes,
    pub completed: Indexes,
    /// The same, as the module writes them.
    pub completed_text: String,
    /// Where each index has its own limit.
    pub failed_indexes: Option<Indexes>,
    /// The failed pod of each index that waits until its replacement is there, to hand its count over.
    pub delayed: BTreeMap<i64, &'a Pod>,
    /// What ends the job.
    pub ends: Option<JobCondition>,
    pub backoff: Record,
    pub memory: &'a mut Memory,
    pub control: &'a mut dyn Control,
}

/// Looks at a job. `pods` are those that it controls and those that nobody does, by name.
pub fn sync(
    module: &dyn JobController,
    job: &Job,
    pods: &[&Pod],
    memory: &mut Memory,
    control: &mut dyn Control,
) -> Result<(), Error> {
    let Some(spec) = job.spec.as_ref().filter(|_| view::other_manager(job).is_none()) else { return Ok(()) };
    if view::finished(job).is_some() {
        memory.backoff = Record::default();
        return Ok(());
    }
    if !matches!(spec.completion_mode.as_deref(), None | Some("NonIndexed" | "Indexed")) {
        let message = "Skipped Job sync because completion mode is unknown";
        control.event(job, "Warning", "UnknownCompletionMode", message);
        return Ok(());
    }
    let adopted = claim::adopt(job, pods, control)?;
    let mut pods = claim::keep(job, pods, control)?;
    pods.extend(&adopted);
    pods.sort_by(|one, other| one.metadata.name.cmp(&other.metadata.name));
    Sync::new(job, Spec::of(spec, module), pods, memory, control).run()
}

impl<'a> Sync<'a> {
    fn new(
        job: &Job,
        spec: Spec<'a>,
        pods: Vec<&'a Pod>,
        memory: &'a mut Memory,
        control: &'a mut dyn Control,
    ) -> Sync<'a> {
        let mut job = job.clone();
        let status = job.status.get_or_insert_default();
        let uncounted = status.uncounted_terminated_pods.get_or_insert_default();
        let set = |uids: &Option<Vec<String>>| uids.iter().flatten().cloned().collect::<BTreeSet<_>>();
        let (uncounted_failed, uncounted_succeeded) = (set(&uncounted.failed), set(&uncounted.succeeded));
        let active: Vec<&Pod> = pods.iter().copied().filter(|pod| pod::is_active(pod)).collect();
        let mut sync = Sync {
            ready: active.iter().filter(|pod| pod::is_ready(pod)).count() as i32,
            terminating: pods.iter().filter(|pod| is_ending(pod)).count() as i32,
            succeeded: status.succeeded.unwrap_or(0) + uncounted_succeeded.len() as i32,
            failed: status.failed.unwrap_or(0) + uncounted_failed.len() as i32,
            completed_before: Indexes::default(),
            completed: Indexes::default(),
            completed_text: String::new(),
            failed_indexes: None,
            delayed: BTreeMap::new(),
            ends: None,
            backoff: Record::default(),
            spec,
            job,
            pods,
            active,
            uncounted_failed,
            uncounted_succeeded,
            memory,
            control,
        };
        let new = |uncounted: &BTreeSet<String>, ended: &dyn Fn(&Pod) -> bool| -> Vec<&'a Pod> {
            let pods = sync.pods.iter().copied().filter(|pod| sync.is_valid(pod) && ended(pod));
            pods.filter(|pod| !uncounted.contains(uid(pod))).collect()
        };
        let succeeded = new(&sync.uncounted_succeeded, &|pod| pod::phase(pod) == "Succeeded");
        let failed = new(&sync.uncounted_failed, &|pod| sync.spec.has_failed(pod));
        let counted = failed.iter().filter(|pod| sync.spec.counts(pod)).count() as i32;
        sync.backoff = sync.memory.backoff.after(sync.spec.module, &succeeded, &failed, sync.control.now());
        sync.succeeded += succeeded.len() as i32;
        sync.failed += counted;
        sync
    }

    pub fn now(&self) -> Timestamp {
        self.control.now()
    }

    pub fn status(&mut self) -> &mut JobStatus {
        self.job.status.get_or_insert_default()
    }

    /// Whether nobody has taken a pod's finalizer away yet.
    pub fn is_tracked(&self, pod: &Pod) -> bool {
        is_tracked(pod) && !self.memory.released.contains(uid(pod))
    }

    /// The index of a pod that has a good one.
    pub fn good_index(&self, pod: &Pod) -> Option<i64> {
        indexes::index_of(pod).filter(|index| *index < self.spec.indexes())
    }

    /// Whether a pod isn't counted yet and may be (`getValidPodsWithFilter`).
    fn is_valid(&self, pod: &Pod) -> bool {
        self.is_tracked(pod) && (!self.spec.indexed || self.good_index(pod).is_some())
    }

    fn run(mut self) -> Result<(), Error> {
        let now = self.now();
        if self.job.status.as_ref().is_some_and(|status| status.start_time.is_none()) && !self.spec.suspended {
            self.status().start_time = Some(time::seconds(now));
        }
        self.ends = self.announced(now);
        if self.spec.indexed {
            self.look_at_indexes();
        }
        let mut active = self.active.len() as i32;
        let before = active;
        let mut ending = None;
        if self.ends.is_none() {
            let fails = self.fails_job();
            ending = self.ending(active, fails.is_some(), now);
            self.wait_for_deadline(ending, now);
            self.ends = ending.and_then(|ending| self.condition_of(ending, fails, now));
        }
        let (mut dirty, mut failure) = (false, None);
        if self.ends.is_some() {
            let all = self.active.clone();
            let deleted = self.delete_pods(&all, false);
            if deleted.count != active || self.memory.waits {
                // There may be finalizers left, or pods that the watch hasn't shown.
                self.ends = None;
            }
            active -= deleted.count;
            failure = deleted.failure;
        } else {
            let managed = !self.memory.waits && self.job.metadata.deletion_timestamp.is_none();
            if managed {
                (active, failure) = self.manage();
            }
            if active != before {
                ending = self.ending(active, false, now);
            }
            if ending == Some(Ending::CompletionsReached) {
                let (reason, message) = ("CompletionsReached", "Reached expected number of succeeded pods");
                self.ends = Some(new_condition("SuccessCriteriaMet", "True", reason, message, now));
            } else if managed {
                dirty = self.tell_of_suspension(now);
            }
        }
        let (ready, terminating) = (Some(self.ready), Some(self.terminating));
        let status = self.status();
        dirty |= active != status.active.unwrap_or(0) || ready != status.ready || terminating != status.terminating;
        status.active = Some(active).filter(|active| *active != 0);
        status.ready = ready;
        status.terminating = terminating;
        self.track(dirty)?;
        failure.map_or(Ok(()), Err)
    }

    /// What was said to end the job in an earlier look.
    fn announced(&self, now: Timestamp) -> Option<JobCondition> {
        let status = self.job.status.as_ref()?;
        let target = || condition(status, "FailureTarget").map(|target| failed_for(target, now));
        condition(status, "SuccessCriteriaMet").cloned().or_else(target)
    }

    /// Why the failure policy ends the job, if it does.
    fn fails_job(&self) -> Option<String> {
        let failed = self.pods.iter().filter(|pod| self.spec.has_failed(pod));
        failed.filter_map(|pod| policy::of_failure(&self.spec, pod).fails_job).next()
    }

    /// What ends the job now.
    fn ending(&self, active: i32, fails_job: bool, now: Timestamp) -> Option<Ending> {
        let elapsed = self.started().map(|started| now.duration_since(started).as_millis());
        let spec = self.spec.spec;
        let rules = spec.success_policy.iter().flat_map(|policy| &policy.rules);
        self.spec.module.ending(&EndingRequest {
            fails_job,
            failed: self.failed,
            backoff_limit: self.spec.backoff_limit,
            restarts: self.restarts(),
            suspended: self.spec.suspended,
            active_ms: elapsed.map(|elapsed| i64::try_from(elapsed).unwrap_or(i64::MAX)),
            deadline_seconds: spec.active_deadline_seconds,
            completions: self.spec.completions,
            succeeded: self.succeeded,
            active,
            completed: self.completed.to_string(),
            failed_indexes: self.failed_indexes.as_ref().map(Indexes::total),
            max_failed_indexes: self.failed_indexes.as_ref().and(spec.max_failed_indexes).map(i64::from),
            success_rules: rules
                .map(|rule| SuccessRule {
                    succeeded_indexes: rule.succeeded_indexes.clone(),
                    succeeded_count: rule.succeeded_count.map(i64::from),
                })
                .collect(),
        })
    }

    /// Asks for a look at the time of the deadline, unless something that comes before it ends the job.
    fn wait_for_deadline(&mut self, ending: Option<Ending>, now: Timestamp) {
        use Ending::{BackoffLimitExceeded, DeadlineExceeded, PodFailurePolicy};
        let deadline = self.spec.spec.active_deadline_seconds.filter(|_| !self.spec.suspended);
        if let (Some(seconds), Some(started)) = (deadline, self.started())
            && !matches!(ending, Some(PodFailurePolicy | BackoffLimitExceeded | DeadlineExceeded))
        {
            self.control.look_again(SignedDuration::from_secs(seconds) - now.duration_since(started));
        }
    }

    fn started(&self) -> Option<Timestamp> {
        Some(self.job.status.as_ref()?.start_time.as_ref()?.0)
    }

    /// The condition that says so; none of what can only be said after the pods were looked after.
    fn condition_of(&self, ending: Ending, fails_job: Option<String>, now: Timestamp) -> Option<JobCondition> {
        let failed = |reason, message| Some(new_condition("FailureTarget", "True", reason, message, now));
        match ending {
            Ending::PodFailurePolicy => failed("PodFailurePolicy", &fails_job.unwrap_or_default()),
            Ending::BackoffLimitExceeded => {
                failed("BackoffLimitExceeded", "Job has reached the specified backoff limit")
            }
            Ending::DeadlineExceeded => failed("DeadlineExceeded", "Job was active longer than specified deadline"),
            Ending::MaxFailedIndexesExceeded => {
                let message = "Job has exceeded the specified maximal number of failed indexes";
                failed("MaxFailedIndexesExceeded", message)
            }
            Ending::FailedIndexes => failed("FailedIndexes", "Job has failed indexes"),
            Ending::SuccessPolicy(rule) => {
                let message = format!("Matched rules at index {rule}");
                Some(new_condition("SuccessCriteriaMet", "True", "SuccessPolicy", &message, now))
            }
            Ending::CompletionsReached => None,
        }
    }

    /// How often containers were restarted, where that is how they are tried again (`pastBackoffLimitOnFailure`).
    fn restarts(&self) -> i32 {
        let template = self.spec.spec.template.spec.as_ref();
        if template.and_then(|spec| spec.restart_policy.as_deref()) != Some("OnFailure") {
            return 0;
        }
        let running = self.pods.iter().filter(|pod| matches!(pod::phase(pod), "Running" | "Pending"));
        let statuses = running.filter_map(|pod| pod.status.as_ref());
        let containers = statuses.flat_map(|s| s.init_container_statuses.iter().chain(&s.container_statuses).flatten());
        containers.map(|container| container.restart_count).sum()
    }

    /// Adds up the indexes that succeeded and failed.
    fn look_at_indexes(&mut self) {
        let status = self.job.status.clone().unwrap_or_default();
        let completions = self.spec.indexes();
        let read = |text: Option<&String>| Indexes::parse(text.map_or("", String::as_str), completions);
        let uncounted = || self.pods.iter().filter(|pod| is_tracked(pod));
        let succeeded = uncounted().filter(|pod| pod::phase(pod) == "Succeeded");
        let succeeded: Vec<i64> = succeeded.filter_map(|pod| self.good_index(pod)).collect();
        let before = status.completed_indexes.clone().unwrap_or_default();
        self.completed_before = read(Some(&before));
        self.completed_text = match succeeded[..] {
            [] => self.completed_before.to_string(),
            _ => self.spec.module.completed(&self.completed_before.to_string(), &succeeded),
        };
        self.completed = read(Some(&self.completed_text));
        self.succeeded = self.completed.total() as i32;
        if let Some(limit) = self.spec.spec.backoff_limit_per_index {
            let failed = uncounted().filter(|pod| self.fails_index(pod, limit));
            let failed = failed.filter_map(|pod| self.good_index(pod)).collect();
            let failed = read(status.failed_indexes.as_ref()).merge(&failed);
            self.failed_indexes = Some(failed);
            self.delayed = self.failed_and_not_replaced();
        }
    }

    /// Whether with this pod its index has failed for good (`isIndexFailed`).
    fn fails_index(&self, pod: &Pod, limit: i32) -> bool {
        let verdict = policy::of_failure(&self.spec, pod);
        let over = verdict.counts && indexes::failures_before(pod).0 >= limit;
        self.spec.has_failed(pod) && (verdict.fails_index || over)
    }

    /// The latest failed pod of each index that is to be tried again (`getPodsWithDelayedDeletionPerIndex`).
    fn failed_and_not_replaced(&self) -> BTreeMap<i64, &'a Pod> {
        let active = indexes::indexes_of(self.active.iter().copied());
        let failed = self.failed_indexes.clone().unwrap_or_default();
        let settled = self.completed.merge(&failed).merge(&active);
        let mut latest: BTreeMap<i64, &'a Pod> = BTreeMap::new();
        for pod in self.pods.iter().copied().filter(|pod| self.is_valid(pod) && self.spec.has_failed(pod)) {
            let Some(index) = self.good_index(pod).filter(|index| !settled.has(*index)) else { continue };
            let count = |pod: &Pod| {
                let (counted, ignored) = indexes::failures_before(pod);
                i64::from(counted) + i64::from(ignored)
            };
            let at = super::backoff::finished_at;
            let there = latest.entry(index).or_insert(pod);
            if count(there) <= count(pod) && at(there) <= at(pod) {
                *there = pod;
            }
        }
        latest
    }

    /// Says whether the job is suspended, if that is news. A job that goes on begins anew.
    fn tell_of_suspension(&mut self, now: Timestamp) -> bool {
        let (status, reason, message, event) = match self.spec.suspended {
            true => ("True", "JobSuspended", "Job suspended", "Suspended"),
            false => ("False", "JobResumed", "Job resumed", "Resumed"),
        };
        if !ensure_condition(self.status(), new_condition("Suspended", status, reason, message, now)) {
            return false;
        }
        self.control.event(&self.job, "Normal", event, message);
        if !self.spec.suspended {
            self.status().start_time = Some(time::seconds(now));
        }
        true
    }
}

/// The condition Failed that follows on FailureTarget.
pub(super) fn failed_for(target: &JobCondition, now: Timestamp) -> JobCondition {
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    new_condition("Failed", "True", &text(&target.reason), &text(&target.message), now)
}
