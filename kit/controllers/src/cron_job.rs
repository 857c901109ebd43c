//! The CronJob controller: makes a job each time that a schedule says.
//!
//! Source: `pkg/controller/cronjob/cronjob_controllerv2.go`.

mod times;

use crate::job::{later, view};
use crate::names::Name;
use kit_api::batch::{CronJob, CronJobSpec, CronJobStatus, Job};
use kit_api::core::ObjectReference;
use kit_api::cron::{Schedule, time_zone};
use kit_api::jiff::tz::TimeZone;
use kit_api::jiff::{SignedDuration, Timestamp};
use kit_api::meta::ObjectMeta;
use kit_api::owner::controller_of;
use kit_api::time;
use kit_apimachinery::object::{About, AsKind, Key, Kind, Object};
use kit_client::component::{Component, World};
use kit_client::work_queue::{Tally, WorkQueue};
use kit_server::{Change, ChangeKind, DeleteOptions, Error};
use kit_time::agenda::Instant;
use std::collections::{BTreeMap, BTreeSet};

/// The annotation of a job with the time that it was made for.
const SCHEDULED: &str = "batch.kubernetes.io/cronjob-scheduled-timestamp";

/// Makes jobs by their schedules.
#[derive(Default)]
pub struct CronJobs {
    queue: WorkQueue<Name>,
    /// The names of jobs by namespace and name of a controller; which one of that name it is, a look finds out.
    jobs: BTreeMap<Name, BTreeSet<String>>,
}

/// One look at one CronJob.
struct Sync<'a, 'w> {
    spec: &'a CronJobSpec,
    /// With the status that will be written.
    cron: CronJob,
    changed: bool,
    world: &'a mut World<'w>,
}

fn active(status: &CronJobStatus, uid: &str) -> bool {
    status.active.iter().flatten().any(|job| job.uid.as_deref() == Some(uid))
}

/// Looks at a CronJob and at the jobs that name it as their controller, by name. The answer is after what time it wants to
/// be looked at again.
///
/// # Errors
///
/// The API server refused something.
pub fn sync(cron: &CronJob, jobs: &[&Job], world: &mut World<'_>) -> Result<Option<SignedDuration>, Error> {
    let Some(spec) = &cron.spec else { return Ok(None) };
    let mut sync = Sync { spec, cron: cron.clone(), changed: false, world };
    sync.tidy_up(jobs);
    let result = sync.run(jobs);
    if sync.changed {
        sync.world.server.update_status(sync.cron.into_object())?;
    }
    result
}

impl Sync<'_, '_> {
    fn status(&mut self) -> &mut CronJobStatus {
        self.cron.status.get_or_insert_default()
    }

    fn tell(&mut self, type_: &str, reason: &str, message: &str) {
        self.world.server.record(&self.cron, type_, reason, message);
    }

    fn forget(&mut self, uid: &str) {
        self.status().active.iter_mut().for_each(|active| active.retain(|job| job.uid.as_deref() != Some(uid)));
        self.changed = true;
    }

    fn run(&mut self, jobs: &[&Job]) -> Result<Option<SignedDuration>, Error> {
        self.look_at_jobs(jobs)?;
        self.look_for_missing(jobs)?;
        if self.cron.metadata.deletion_timestamp.is_some() {
            return Ok(None);
        }
        let zone = self.spec.time_zone.as_deref();
        if let Some((name, Err(why))) = zone.map(|name| (name, time_zone(name))) {
            self.tell("Warning", "UnknownTimeZone", &format!("invalid timeZone: {name:?}: {why}"));
            return Ok(None);
        }
        if self.spec.suspend == Some(true) {
            return Ok(None);
        }
        let text = &self.spec.schedule;
        if text.contains("TZ") {
            let message = format!(
                "CRON_TZ or TZ used in schedule {text:?} is not officially supported, see \
                 https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details"
            );
            self.tell("Warning", "UnsupportedSchedule", &message);
        }
        let schedule = match schedule_of(self.spec) {
            Ok(schedule) => schedule,
            Err(why) => {
                self.tell("Warning", "UnparseableSchedule", &format!("unparseable schedule: {text:?} : {why}"));
                return Ok(None);
            }
        };
        let now = self.world.time();
        let missed = match times::most_recent(&self.cron, now, &schedule, true) {
            Ok(missed) => missed,
            Err(why) => {
                self.tell("Warning", "InvalidSchedule", &format!("invalid schedule: {text} : {why}"));
                return Ok(None);
            }
        };
        if let Some(at) = missed.latest {
            if missed.many {
                let message = "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check \
                               clock skew";
                self.tell("Warning", "TooManyMissedTimes", message);
            }
            if !self.start(at, now)? {
                return Ok(None);
            }
        }
        Ok(times::until_next(&self.cron, now, &schedule))
    }

    /// Takes jobs that have ended out of the active ones, and notes when the last one succeeded.
    fn look_at_jobs(&mut self, jobs: &[&Job]) -> Result<(), Error> {
        for job in jobs {
            let about = About::from(*job);
            let ended = view::finished(job);
            let is_active = |cron: &CronJob| cron.status.as_ref().is_some_and(|status| active(status, about.uid()));
            match (is_active(&self.cron), ended) {
                (false, None) => {
                    let fresh: CronJob = self.world.server.fetch(about.namespace(), About::from(&self.cron).name())?;
                    if is_active(&fresh) {
                        self.cron = fresh;
                        continue;
                    }
                    let message = format!("Saw a job that the controller did not create or forgot: {}", about.name());
                    self.tell("Warning", "UnexpectedJob", &message);
                }
                (true, Some(ended)) => {
                    self.forget(about.uid());
                    let message = format!("Saw completed job: {}, condition: {}", about.name(), ended.type_);
                    self.tell("Normal", "SawCompletedJob", &message);
                }
                _ => {}
            }
            let completed = job.status.as_ref().and_then(|status| status.completion_time.clone());
            if ended.is_some_and(|ended| ended.type_ == "Complete") && completed > self.status().last_successful_time {
                self.status().last_successful_time = completed;
                self.changed = true;
            }
        }
        Ok(())
    }

    fn look_for_missing(&mut self, jobs: &[&Job]) -> Result<(), Error> {
        for reference in self.status().active.clone().unwrap_or_default() {
            let text = |field: &Option<String>| field.clone().unwrap_or_default();
            let (uid, name) = (text(&reference.uid), text(&reference.name));
            if jobs.iter().any(|job| About::from(*job).uid() == uid) {
                continue;
            }
            match self.world.server.get(&Key::new(Kind::Job, &text(&reference.namespace), &name)) {
                Err(error) if error.is_not_found() => {
                    self.tell("Normal", "MissingJob", &format!("Active job went missing: {name}"));
                    self.forget(&uid);
                }
                found => _ = found?,
            }
        }
        Ok(())
    }

    /// Starts the job of a time that has come. Whether anything but the next time is to be waited for.
    fn start(&mut self, at: Timestamp, now: Timestamp) -> Result<bool, Error> {
        let deadline = self.spec.starting_deadline_seconds.map(SignedDuration::from_secs);
        if deadline.is_some_and(|deadline| now.duration_since(at) > deadline) {
            let shown = at.strftime("%a, %d %b %Y %H:%M:%S +0000");
            self.tell("Warning", "MissSchedule", &format!("Missed scheduled time to start a job: {shown}"));
            return Ok(true);
        }
        let mut job = job_of(&self.cron, self.spec, at)?;
        let name = About::from(&job).name().to_string();
        let status = self.status();
        let active = status.active.clone().unwrap_or_default();
        let last = status.last_schedule_time.as_ref().map(|time| time.0);
        if active.iter().any(|job| job.name.as_ref() == Some(&name)) || last == Some(at) {
            return Ok(true);
        }
        match self.spec.concurrency_policy.as_deref() {
            Some("Forbid") if !active.is_empty() => {
                let message = "Not starting job because prior execution is running and concurrency policy is Forbid";
                self.tell("Normal", "JobAlreadyActive", message);
                return Ok(true);
            }
            Some("Replace") => active.iter().try_for_each(|job| self.replace(job))?,
            _ => {}
        }
        match self.world.server.create(job.clone().into_object()) {
            Ok(stored) => {
                job = stored.get::<Job>().cloned().unwrap_or_default();
                self.tell("Normal", "SuccessfulCreate", &format!("Created job {name}"));
            }
            Err(error) if error.reason == "AlreadyExists" => {
                let about = About::from(&self.cron);
                let there: Job = self.world.server.fetch(about.namespace(), &name)?;
                let mine = controller_of(&there.metadata).is_some_and(|owner| owner.uid == about.uid());
                if !mine || self.status().active.iter().flatten().any(|job| job.uid == there.metadata.uid) {
                    // Somebody else made it, and looks after it.
                    return Ok(false);
                }
                job = there;
            }
            Err(error) => {
                self.tell("Warning", "FailedCreate", &format!("Error creating job: {error}"));
                return Err(error);
            }
        }
        let status = self.status();
        status.active.get_or_insert_default().push(reference(&job));
        status.last_schedule_time = Some(time::seconds(at));
        self.changed = true;
        Ok(true)
    }

    fn replace(&mut self, job: &ObjectReference) -> Result<(), Error> {
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        match self.world.server.fetch::<Job>(&text(&job.namespace), &text(&job.name)) {
            Ok(job) => self.delete(&job),
            Err(error) => {
                self.tell("Warning", "FailedGet", &format!("Get job: {error}"));
                Err(error)
            }
        }
    }

    fn delete(&mut self, job: &Job) -> Result<(), Error> {
        let about = About::from(job);
        if let Err(error) = self.world.server.delete(&about.key(), &DeleteOptions::default()) {
            self.tell("Warning", "FailedDelete", &format!("Deleted job: {error}"));
            return Err(error);
        }
        self.forget(about.uid());
        self.tell("Normal", "SuccessfulDelete", &format!("Deleted job {}", about.name()));
        Ok(())
    }

    /// Deletes the oldest of the jobs that have ended (`cleanupFinishedJobs`).
    fn tidy_up(&mut self, jobs: &[&Job]) {
        let limits =
            [("Complete", self.spec.successful_jobs_history_limit), ("Failed", self.spec.failed_jobs_history_limit)];
        for (type_, limit) in limits {
            let Some(limit) = limit else { continue };
            let of_type = |job: &&&Job| view::finished(job).is_some_and(|ended| ended.type_ == type_);
            let mut ended: Vec<&Job> = jobs.iter().filter(of_type).copied().collect();
            ended.sort_by_key(|job| {
                let started = job.status.as_ref().and_then(|status| status.start_time.as_ref()).map(|time| time.0);
                (started.is_none(), started, job.metadata.name.clone())
            });
            let over = ended.len().saturating_sub(limit.max(0) as usize);
            for job in &ended[..over] {
                // One that can't be deleted is left for the next time.
                _ = self.delete(job);
            }
        }
    }
}

/// The schedule in its zone (`formatSchedule`).
fn schedule_of(spec: &CronJobSpec) -> Result<Schedule, String> {
    let zone = spec.time_zone.as_deref().map(time_zone);
    Schedule::parse(&spec.schedule, &zone.and_then(Result::ok).unwrap_or(TimeZone::UTC))
}

/// The job of a time (`getJobFromTemplate2`): its name holds the minute, so that no time has two.
fn job_of(cron: &CronJob, spec: &CronJobSpec, at: Timestamp) -> Result<Job, Error> {
    let (about, template) = (About::from(cron), spec.job_template.clone());
    let zone = time_zone(spec.time_zone.as_deref().unwrap_or_default()).map_err(Error::internal)?;
    let meta = template.metadata.unwrap_or_default();
    let shown = at.to_zoned(zone);
    let offset = if shown.offset().is_zero() { "Z" } else { "%:z" };
    let mut annotations = meta.annotations.unwrap_or_default();
    annotations.insert(SCHEDULED.into(), shown.strftime(&format!("%Y-%m-%dT%H:%M:%S{offset}")).to_string());
    Ok(Job {
        metadata: ObjectMeta {
            name: Some(format!("{}-{}", about.name(), at.as_second() / 60)),
            namespace: cron.metadata.namespace.clone(),
            labels: meta.labels,
            annotations: Some(annotations),
            owner_references: Some(vec![about.controller_ref()]),
            ..ObjectMeta::default()
        },
        spec: template.spec,
        status: None,
    })
}

fn reference(job: &Job) -> ObjectReference {
    let meta = job.metadata.clone();
    ObjectReference {
        api_version: Some(Kind::Job.api_version().into()),
        kind: Some(Kind::Job.name().into()),
        name: meta.name,
        namespace: meta.namespace,
        uid: meta.uid,
        resource_version: meta.resource_version,
        field_path: None,
    }
}

impl CronJobs {
    fn cron_job_changed(&mut self, cron: &CronJob, change: &Change, world: &mut World<'_>) {
        let name = (change.object.key.namespace.to_string(), change.object.key.name.to_string());
        let before = change.previous.as_ref().and_then(|stored| stored.get::<CronJob>()?.spec.as_ref());
        let rhythm = |spec: &CronJobSpec| (spec.schedule.clone(), spec.time_zone.clone());
        if let (Some(before), Some(spec)) = (before, &cron.spec)
            && rhythm(before) != rhythm(spec)
        {
            let Ok(schedule) = schedule_of(spec) else {
                let message = format!("unparseable schedule for cronjob: {}", spec.schedule);
                world.server.record(cron, "Warning", "UnParseableCronJobSchedule", &message);
                return;
            };
            let wait = times::until_next(cron, world.time(), &schedule);
            return self.queue.add(name, world.now + wait.map_or(Instant::default(), later));
        }
        self.queue.add(name, world.now);
    }

    fn job_changed(&mut self, change: &Change) {
        let (key, stored) = (&change.object.key, &change.object);
        let owner = |object: &Object| Some((key.namespace.to_string(), controller_of(object.meta())?.name.clone()));
        if let Some(before) = change.previous.as_ref().and_then(|before| owner(&before.object))
            && let Some(jobs) = self.jobs.get_mut(&before)
        {
            jobs.remove(&*key.name);
            if jobs.is_empty() {
                self.jobs.remove(&before);
            }
        }
        if let Some(after) = owner(&stored.object).filter(|_| change.kind != ChangeKind::Deleted) {
            self.jobs.entry(after).or_default().insert(key.name.to_string());
        }
    }

    fn look_at(&mut self, name: Name, world: &mut World<'_>) {
        let cache = world.cache;
        let Some(cron) = cache.fetch::<CronJob>(&name.0, &name.1) else { return self.queue.forget(&name) };
        let jobs = self.jobs.get(&name).into_iter().flatten();
        let jobs: Vec<&Job> = jobs.filter_map(|job| cache.fetch::<Job>(&name.0, job)).collect();
        let again = sync(cron, &jobs, world).map(|wait| wait.map(later));
        self.queue.looked(name, &again, world.now);
    }
}

impl Component for CronJobs {
    fn name(&self) -> &'static str {
        "cronjob-controller"
    }

    fn watches(&self) -> &'static [Kind] {
        &[Kind::CronJob, Kind::Job]
    }

    fn observe(&mut self, change: &Change, world: &mut World<'_>) {
        match &change.object.object {
            Object::CronJob(_) if change.kind == ChangeKind::Deleted => {}
            Object::CronJob(cron) => self.cron_job_changed(cron, change, world),
            object => {
                self.job_changed(change);
                let objects = [Some(object), change.previous.as_ref().map(|stored| &stored.object)];
                for owner in objects.into_iter().flatten().filter_map(|object| controller_of(object.meta())) {
                    let there = world.cache.fetch::<CronJob>(object.namespace(), &owner.name);
                    if there.is_some_and(|cron| cron.metadata.uid.as_ref() == Some(&owner.uid)) {
                        self.queue.add((object.namespace().into(), owner.name.clone()), world.now);
                    }
                }
            }
        }
    }

    fn run(&mut self, world: &mut World<'_>) {
        while let Some(name) = self.queue.pop(world.now) {
            self.look_at(name, world);
        }
    }

    fn queues(&self, now: Instant) -> Vec<(&'static str, Tally)> {
        vec![("cronjob", self.queue.tally(now))]
    }

    fn next_wake(&self) -> Option<Instant> {
        self.queue.next()
    }
}
