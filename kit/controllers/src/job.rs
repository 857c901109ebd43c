//! The Job controller: runs pods until as many as a job asks for have succeeded.
//!
//! Source: `pkg/controller/job`. A look at one job is [`sync`]; here are the watches that ask for one, and the hands that
//! do what follows. Pods end often together, so looks that they ask for come a second later.

mod backoff;
mod claim;
mod indexes;
mod manage;
mod policy;
pub mod sync;
mod tracking;
pub(crate) mod view;

use crate::expectations::{Expectations, Expected};
use crate::names::{Name, name_of, resolve};
use kit_api::batch::Job;
use kit_api::core::Pod;
use kit_api::jiff::{SignedDuration, Timestamp};
use kit_api::meta::OwnerReference;
use kit_api::owner::controller_of;
use kit_api::selector::Selector;
use kit_apimachinery::object::{About, AsKind, Key, Kind, Object};
use kit_client::component::{Component, World};
use kit_client::work_queue::{Tally, WorkQueue};
use kit_contract::Modules;
use kit_contract::workloads::JobController;
use kit_server::{Change, ChangeKind, DeleteOptions, Error};
use kit_time::agenda::Instant;
use std::collections::BTreeMap;
use sync::{Control, Memory, sync};
use view::{TRACKING, is_tracked};

/// How long changes of pods and of the status are gathered (`syncJobBatchPeriod`).
const BATCH: Instant = Instant::seconds(1);
/// Delays after errors (`DefaultJobApiBackOff`, `MaxJobApiBackOff`).
const RETRIES: (Instant, Instant) = (Instant::seconds(1), Instant::seconds(60));

/// Runs jobs.
pub struct Jobs {
    module: Box<dyn JobController>,
    queue: WorkQueue<Name>,
    /// Pods that may have lost their job before they were counted.
    orphans: WorkQueue<Key>,
    expected: Expectations,
    memory: BTreeMap<Name, Memory>,
}

impl Jobs {
    /// A controller with the module of the slot.
    pub fn new(modules: &Modules) -> Self {
        Jobs {
            module: modules.job.make(&()),
            queue: WorkQueue::with_delays(RETRIES.0, RETRIES.1),
            orphans: WorkQueue::with_delays(RETRIES.0, RETRIES.1),
            expected: Expectations::default(),
            memory: BTreeMap::new(),
        }
    }

    fn pod_changed(&mut self, change: &Change, world: &World<'_>) {
        let Some(pod) = change.object.get::<Pod>() else { return };
        let (namespace, uid, gone) =
            (change.object.key.namespace.to_string(), view::uid(pod), change.kind == ChangeKind::Deleted);
        let ends = gone || pod.metadata.deletion_timestamp.is_some();
        let before = change.previous.as_ref().and_then(|stored| stored.get::<Pod>());
        let owner = controller_of(&pod.metadata);
        let owner_before = before.and_then(|pod| controller_of(&pod.metadata));
        if let Some(old) = owner_before.filter(|_| !ends && owner != owner_before) {
            self.pod_of(old, &namespace, uid, !is_tracked(pod), world);
        }
        let Some(owner) = owner else {
            if is_tracked(pod) {
                self.orphans.add(change.object.key.clone(), world.now);
            }
            let same = |before: &Pod| before.metadata.labels == pod.metadata.labels && owner_before.is_none();
            if !ends && !before.is_some_and(same) {
                self.look_at_matching(pod, &namespace, world);
            }
            return;
        };
        let job = resolve(owner, &namespace, world.cache);
        if ends && is_tracked(pod) && job.is_none_or(|job| view::finished(job).is_some()) {
            // No look at the job will take this finalizer away.
            self.orphans.add(change.object.key.clone(), world.now);
        }
        match (ends, change.kind) {
            (true, _) => self.expected.deleted(&owner.uid, uid),
            (false, ChangeKind::Added) => self.expected.created(&owner.uid),
            _ => {}
        }
        self.pod_of(owner, &namespace, uid, gone || !is_tracked(pod), world);
    }

    /// A change of a pod that this owner controls, or did.
    fn pod_of(&mut self, owner: &OwnerReference, namespace: &str, uid: &str, released: bool, world: &World<'_>) {
        let Some(job) = resolve::<Job>(owner, namespace, world.cache) else { return };
        let name = name_of(&job.metadata);
        if let Some(memory) = self.memory.get_mut(&name).filter(|_| released) {
            memory.released.remove(uid);
        }
        self.queue.add(name, world.now + BATCH);
    }

    fn look_at_matching(&mut self, pod: &Pod, namespace: &str, world: &World<'_>) {
        let labels = pod.metadata.labels.clone().unwrap_or_default();
        for job in world.cache.list::<Job>(namespace) {
            let selector = job.spec.as_ref().and_then(|spec| spec.selector.as_ref());
            let matches = Selector::try_from(selector).is_ok_and(|s| !s.is_empty() && s.matches(&labels));
            if matches {
                self.queue.add(name_of(&job.metadata), world.now + BATCH);
            }
        }
    }

    fn job_changed(&mut self, job: &Job, change: &Change, world: &World<'_>) {
        let before = change.previous.as_ref().and_then(|stored| stored.get::<Job>());
        let gone = change.kind == ChangeKind::Deleted;
        let same_spec = before.is_some_and(|before| before.metadata.generation == job.metadata.generation);
        let wait = if same_spec && !gone { BATCH } else { Instant::default() };
        self.queue.add(name_of(&job.metadata), world.now + wait);
        if gone || view::finished(job).is_some() {
            let about = About::from(job);
            for pod in world.cache.stored_controlled_by(Kind::Pod, about.namespace(), about.uid()) {
                if pod.get::<Pod>().is_some_and(is_tracked) {
                    self.orphans.add(pod.key.clone(), world.now);
                }
            }
        }
        let deadline = |job: &Job| job.spec.as_ref().and_then(|spec| spec.active_deadline_seconds);
        let started = job.status.as_ref().and_then(|status| status.start_time.as_ref());
        if let (Some(before), Some(seconds), Some(started)) = (before, deadline(job), started)
            && deadline(before) != Some(seconds)
        {
            let left = SignedDuration::from_secs(seconds) - world.time().duration_since(started.0);
            self.queue.add(name_of(&job.metadata), world.now + later(left));
        }
    }

    fn look_at(&mut self, name: Name, world: &mut World<'_>) {
        let cache = world.cache;
        let Some(job) = cache.fetch::<Job>(&name.0, &name.1) else {
            self.memory.remove(&name);
            return self.queue.forget(&name);
        };
        let uid = About::from(job).uid().to_string();
        let pods: Vec<&Pod> =
            [uid.as_str(), ""].iter().flat_map(|uid| cache.controlled_by::<Pod>(&name.0, uid)).collect();
        let mut memory = self.memory.remove(&name).unwrap_or_default();
        memory.waits = self.expected.open(&uid, world.now) != (0, 0);
        let now = world.now;
        let mut hands = Hands { world, asked: Expected::default(), again: Vec::new() };
        let result = sync(self.module.as_ref(), job, &pods, &mut memory, &mut hands);
        let Hands { asked, again, .. } = hands;
        self.expected.expect(&uid, asked, now);
        self.memory.insert(name.clone(), memory);
        for after in again {
            self.queue.add(name.clone(), now + later(after));
        }
        self.queue.done(name, &result, now);
    }

    /// Takes the finalizer of a pod away whose job won't (`syncOrphanPod`).
    fn free(&mut self, key: Key, world: &mut World<'_>) {
        let Some(pod) = world.cache.get(&key).and_then(|stored| stored.get::<Pod>()) else {
            return self.orphans.forget(&key);
        };
        let owner = controller_of(&pod.metadata);
        let job = owner.and_then(|owner| resolve(owner, &key.namespace, world.cache));
        let others = owner.is_some_and(|owner| owner.kind != "Job" || owner.api_version != Kind::Job.api_version());
        let looked_after = job.is_some_and(|job| view::other_manager(job).is_some() || view::finished(job).is_none());
        let pod = pod.clone();
        match if others || looked_after { Ok(()) } else { untrack(&pod, world) } {
            Err(error) if !error.is_not_found() => self.orphans.retry(key, world.now),
            _ => self.orphans.forget(&key),
        }
    }
}

/// So much later, never in the past.
pub(crate) fn later(after: SignedDuration) -> Instant {
    Instant { nanos: i64::try_from(after.as_nanos()).unwrap_or(i64::MAX / 4).max(0) }
}

/// Changes a pod, if it is still the same one.
fn change_pod(pod: &Pod, world: &mut World<'_>, change: impl FnOnce(&mut Pod)) -> Result<(), Error> {
    let about = About::from(pod);
    let mut fresh: Pod = world.server.fetch(about.namespace(), about.name())?;
    if fresh.metadata.uid != pod.metadata.uid {
        return Err(Error::not_found(&about.key()));
    }
    change(&mut fresh);
    world.server.update(fresh.into_object()).map(drop)
}

fn untrack(pod: &Pod, world: &mut World<'_>) -> Result<(), Error> {
    change_pod(pod, world, |pod| {
        pod.metadata.finalizers.iter_mut().for_each(|all| all.retain(|finalizer| finalizer != TRACKING));
    })
}

/// Does what a look at a job asks for.
struct Hands<'h, 'w> {
    world: &'h mut World<'w>,
    asked: Expected,
    again: Vec<SignedDuration>,
}

impl Control for Hands<'_, '_> {
    fn now(&self) -> Timestamp {
        self.world.time()
    }

    fn create_pod(&mut self, job: &Job, pod: Pod) -> Result<(), Error> {
        match self.world.server.create(pod.into_object()) {
            Ok(pod) => {
                self.asked.creations += 1;
                self.event(job, "Normal", "SuccessfulCreate", &format!("Created pod: {}", pod.key.name));
                Ok(())
            }
            Err(error) => {
                self.event(job, "Warning", "FailedCreate", &format!("Error creating: {error}"));
                Err(error)
            }
        }
    }

    fn delete_pod(&mut self, job: &Job, pod: &Pod) -> Result<(), Error> {
        let key = About::from(pod).key();
        match self.world.server.delete(&key, &DeleteOptions::default()) {
            Ok(_) => {
                self.asked.deletions.insert(view::uid(pod).into());
                self.event(job, "Normal", "SuccessfulDelete", &format!("Deleted pod: {}", key.name));
                Ok(())
            }
            Err(error) => {
                if !error.is_not_found() {
                    self.event(job, "Warning", "FailedDelete", &format!("Error deleting: {error}"));
                }
                Err(error)
            }
        }
    }

    fn remove_finalizer(&mut self, pod: &Pod) -> Result<(), Error> {
        untrack(pod, self.world)
    }

    fn adopt_pod(&mut self, job: &Job, pod: &Pod) -> Result<(), Error> {
        let about = About::from(job);
        let fresh: Job = self.world.server.fetch(about.namespace(), about.name())?;
        if fresh.metadata.uid != job.metadata.uid || fresh.metadata.deletion_timestamp.is_some() {
            return Err(Error::internal(format!("{} is being deleted, or another one", about.name())));
        }
        let owner = about.controller_ref();
        change_pod(pod, self.world, |pod| {
            let meta = &mut pod.metadata;
            meta.owner_references.get_or_insert_default().push(owner);
            if !meta.finalizers.iter().flatten().any(|finalizer| finalizer == TRACKING) {
                meta.finalizers.get_or_insert_default().push(TRACKING.into());
            }
        })
    }

    fn release_pod(&mut self, job: &Job, pod: &Pod) -> Result<(), Error> {
        change_pod(pod, self.world, |pod| {
            let owners = pod.metadata.owner_references.iter_mut();
            owners.for_each(|owners| owners.retain(|owner| Some(&owner.uid) != job.metadata.uid.as_ref()));
            pod.metadata.finalizers.iter_mut().for_each(|all| all.retain(|finalizer| finalizer != TRACKING));
        })
    }

    fn write_status(&mut self, job: Job) -> Result<Job, Error> {
        let stored = self.world.server.update_status(job.into_object())?;
        stored.get::<Job>().cloned().ok_or_else(|| Error::not_found(&stored.key))
    }

    fn event(&mut self, job: &Job, type_: &str, reason: &str, message: &str) {
        self.world.server.record(job, type_, reason, message);
    }

    fn look_again(&mut self, after: SignedDuration) {
        self.again.push(after);
    }
}

impl Component for Jobs {
    fn name(&self) -> &'static str {
        "job-controller"
    }

    fn watches(&self) -> &'static [Kind] {
        &[Kind::Job, Kind::Pod]
    }

    fn observe(&mut self, change: &Change, world: &mut World<'_>) {
        match &change.object.object {
            Object::Job(job) => self.job_changed(job, change, world),
            _ => self.pod_changed(change, world),
        }
        if let (Object::Job(job), ChangeKind::Deleted) = (&change.object.object, change.kind) {
            self.expected.forget(About::from(&**job).uid());
        }
    }

    fn run(&mut self, world: &mut World<'_>) {
        while let Some(name) = self.queue.pop(world.now) {
            self.look_at(name, world);
        }
        while let Some(key) = self.orphans.pop(world.now) {
            self.free(key, world);
        }
    }

    fn queues(&self, now: Instant) -> Vec<(&'static str, Tally)> {
        vec![("job", self.queue.tally(now)), ("job_orphan_pod", self.orphans.tally(now))]
    }

    fn next_wake(&self) -> Option<Instant> {
        self.queue.next().into_iter().chain(self.orphans.next()).min()
    }
}
