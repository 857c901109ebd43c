//! The ReplicaSet controller around the module that decides.
//!
//! Source: `pkg/controller/replicaset/replica_set.go`.

use crate::expectations::{Expectations, Expected};
use crate::names::{Name, name_of};
use crate::template;
use kit_api::apps::{ReplicaSet, ReplicaSetCondition, ReplicaSetStatus};
use kit_api::core::Pod;
use kit_api::meta::{LabelSelector, ObjectMeta};
use kit_api::owner::controller_of;
use kit_api::selector::Selector;
use kit_api::time;
use kit_apimachinery::object::{About, AsKind, Key, Kind, Object};
use kit_client::cache::Cache;
use kit_client::component::{Component, World};
use kit_client::selectors::Selectors;
use kit_client::work_queue::{Tally, WorkQueue};
use kit_contract::Modules;
use kit_contract::workloads::ReplicaSetController;
use kit_contract::workloads::replica_set::{self as module, Action, Status, SyncRequest};
use kit_server::{Change, ChangeKind, DeleteOptions, Error, Stored};
use kit_time::agenda::Instant;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The most pods that one sync creates.
const BURST_REPLICAS: u32 = 500;

/// Keeps as many pods as each ReplicaSet asks for.
pub struct ReplicaSets {
    module: Box<dyn ReplicaSetController>,
    queue: WorkQueue<Name>,
    expected: Expectations,
    /// What each ReplicaSet selects.
    selectors: Selectors,
    /// The pods that the last sync of each ReplicaSet saw, by its uid.
    seen: BTreeMap<String, Copies>,
}

/// Pods as a module is asked about them, and the objects that they are copies of. Most pods are the same from one sync to the
/// next, and their copies serve again.
#[derive(Default)]
struct Copies {
    stored: Vec<Arc<Stored>>,
    pods: Vec<Pod>,
}

impl Copies {
    /// Makes them copies of these objects; those and these are sorted by name.
    fn follow(&mut self, now: Vec<Arc<Stored>>) {
        for (index, new) in now.iter().enumerate() {
            while self.stored.get(index).is_some_and(|old| old.key < new.key) {
                self.stored.remove(index);
                self.pods.remove(index);
            }
            let copy = || new.get::<Pod>().cloned().unwrap_or_default();
            match self.stored.get(index) {
                Some(old) if Arc::ptr_eq(old, new) => {}
                Some(old) if old.key == new.key => self.pods[index] = copy(),
                _ => {
                    self.stored.insert(index, new.clone());
                    self.pods.insert(index, copy());
                }
            }
        }
        self.pods.truncate(now.len());
        self.stored = now;
    }
}

impl ReplicaSets {
    /// A controller with the module of the slot.
    pub fn new(modules: &Modules) -> Self {
        ReplicaSets {
            module: modules.replica_set.make(&()),
            queue: WorkQueue::default(),
            expected: Expectations::default(),
            selectors: Selectors::default(),
            seen: BTreeMap::new(),
        }
    }

    fn pod_changed(&mut self, change: &Change, world: &World<'_>) {
        let pod = &change.object.object;
        let ended = change.kind == ChangeKind::Deleted || pod.meta().deletion_timestamp.is_some();
        let owners = [Some(&change.object), change.previous.as_ref()];
        let owners: BTreeSet<_> = (owners.into_iter().flatten())
            .filter_map(|stored| controller_of(stored.object.meta()))
            .map(|owner| (owner.uid.clone(), owner.name.clone()))
            .collect();
        for (uid, name) in &owners {
            if change.kind == ChangeKind::Added {
                self.expected.created(uid);
            }
            if ended {
                self.expected.deleted(uid, pod.uid());
            }
            self.queue.add((pod.namespace().into(), name.clone()), world.now);
        }
        // Nobody cares about an orphan that goes; others are looked at by whoever may adopt them now.
        let (meta, before) = (pod.meta(), change.previous.as_ref().map(|stored| stored.object.meta()));
        let same = |before: &ObjectMeta| before.labels == meta.labels && controller_of(before).is_none();
        if !ended && controller_of(meta).is_none() && !before.is_some_and(same) {
            for set in self.selectors.matching(pod.namespace(), meta.labels.as_ref()).into_keys() {
                self.queue.add((pod.namespace().into(), set.into()), world.now);
            }
        }
    }

    fn sync(&mut self, name: &Name, world: &mut World<'_>) {
        let cache = world.cache;
        let Some(set) = cache.fetch::<ReplicaSet>(&name.0, &name.1) else {
            return;
        };
        let uid = set.metadata.uid.clone().unwrap_or_default();
        let (pods, related) = relatives(set, cache);
        let mut copies = self.seen.remove(&uid).unwrap_or_default();
        copies.follow(pods);
        let Copies { stored, pods } = copies;
        let (creations, deletions) = self.expected.open(&uid, world.now);
        let (expectations, now) = (module::Expectations { creations, deletions }, time::micros(world.time()));
        let request = SyncRequest { replica_set: set.clone(), pods, related, expectations, now };
        let result = self.module.sync(&request);
        self.seen.insert(uid.clone(), Copies { stored, pods: request.pods });
        let failure = self.act(set, &result.actions, &uid, world);
        let failed = failure.is_some();
        let written = write_status(set, result.status, failure, world);
        if failed || written.is_err_and(|error| !error.is_not_found()) {
            self.queue.retry(name.clone(), world.now);
        } else {
            self.queue.forget(name);
        }
        if let Some(seconds) = result.requeue_after_seconds {
            // Availability is counted in whole seconds: a little later it is sure.
            self.queue.add(name.clone(), world.now + Instant::seconds(i64::from(seconds.max(0)) + 1));
        }
    }

    /// Claims and releases, then deletes, then creates. The answer is what went wrong first.
    fn act(&mut self, set: &ReplicaSet, actions: &[Action], uid: &str, world: &mut World<'_>) -> Option<Failure> {
        let mut expected = Expected::default();
        let mut failure = None;
        let namespace = set.metadata.namespace.as_deref().unwrap_or_default();
        for action in actions {
            match action {
                Action::AdoptPod { name } => set_owner(world, namespace, name, set, true),
                Action::ReleasePod { name } => set_owner(world, namespace, name, set, false),
                _ => {}
            }
        }
        for action in actions {
            // A module may name pods that don't exist; the API server says so, and that is all.
            let Action::DeletePod { name } = action else { continue };
            let key = Key::new(Kind::Pod, namespace, name);
            let there = world.cache.get(&key).map(|pod| pod.object.uid().to_string());
            let options = DeleteOptions { uid: there.clone(), ..DeleteOptions::default() };
            match world.server.delete(&key, &options) {
                Ok(_) => {
                    expected.deletions.extend(there);
                    world.server.record(set, "Normal", "SuccessfulDelete", &format!("Deleted pod: {name}"));
                }
                Err(error) if error.is_not_found() => {}
                Err(error) => {
                    world.server.record(set, "Warning", "FailedDelete", &format!("Error deleting: {error}"));
                    failure.get_or_insert(Failure { reason: "FailedDelete", error });
                }
            }
        }
        // In batches of 1, 2, 4 and so on: what fails for all fails early (`slowStartBatch`).
        // No sync creates more than `BurstReplicas`; a cluster has to bear what a module answers.
        let missing = actions.iter().filter(|action| **action == Action::CreatePod).count();
        let mut missing = missing.min(BURST_REPLICAS as usize);
        let mut batch = 1;
        while missing > 0 && failure.is_none() {
            for _ in 0..batch.min(missing) {
                match world.server.create(pod_of(set)) {
                    Ok(pod) => {
                        expected.creations += 1;
                        let message = format!("Created pod: {}", pod.object.name());
                        world.server.record(set, "Normal", "SuccessfulCreate", &message);
                    }
                    Err(error) => {
                        world.server.record(set, "Warning", "FailedCreate", &format!("Error creating: {error}"));
                        failure.get_or_insert(Failure { reason: "FailedCreate", error });
                    }
                }
            }
            missing -= batch.min(missing);
            batch *= 2;
        }
        self.expected.expect(uid, expected, world.now);
        failure
    }
}

/// Why pods could not be created or deleted.
struct Failure {
    reason: &'static str,
    error: Error,
}

/// Writes the counts, and in the condition `ReplicaFailure` what went wrong (`calculateStatus`), if they are others than
/// before. As long as something goes wrong, the condition says what it said first.
fn write_status(
    set: &ReplicaSet,
    status: Status,
    failure: Option<Failure>,
    world: &mut World<'_>,
) -> Result<(), Error> {
    const REPLICA_FAILURE: &str = "ReplicaFailure";
    let some = |count: i32| Some(count).filter(|count| *count != 0);
    let before = set.status.clone().unwrap_or_default();
    let mut conditions = before.conditions.clone().unwrap_or_default();
    let is_failure = |condition: &ReplicaSetCondition| condition.type_ == REPLICA_FAILURE;
    match failure {
        None => conditions.retain(|condition| !is_failure(condition)),
        Some(_) if conditions.iter().any(is_failure) => {}
        Some(Failure { reason, error }) => conditions.push(ReplicaSetCondition {
            type_: REPLICA_FAILURE.into(),
            status: "True".into(),
            reason: Some(reason.into()),
            message: Some(error.message),
            last_transition_time: Some(time::seconds(world.time())),
        }),
    }
    let status = Some(ReplicaSetStatus {
        replicas: status.replicas,
        fully_labeled_replicas: some(status.fully_labeled_replicas),
        ready_replicas: some(status.ready_replicas),
        available_replicas: some(status.available_replicas),
        observed_generation: Some(status.observed_generation),
        conditions: Some(conditions).filter(|conditions| !conditions.is_empty()),
        ..before
    });
    if status == set.status {
        return Ok(());
    }
    world.server.update_status(ReplicaSet { status, ..set.clone() }.into_object()).map(drop)
}

impl Component for ReplicaSets {
    fn name(&self) -> &'static str {
        "replicaset-controller"
    }

    fn watches(&self) -> &'static [Kind] {
        &[Kind::ReplicaSet, Kind::Pod]
    }

    fn observe(&mut self, change: &Change, world: &mut World<'_>) {
        match &change.object.object {
            Object::ReplicaSet(set) if change.kind == ChangeKind::Deleted => {
                let uid = set.metadata.uid.as_deref().unwrap_or_default();
                self.expected.forget(uid);
                self.seen.remove(uid);
                self.selectors.set(&name_of(&set.metadata), None);
            }
            Object::ReplicaSet(set) => {
                let (name, selector) = (name_of(&set.metadata), set.spec.as_ref().map(|spec| &spec.selector));
                self.selectors.set(&name, Selector::try_from(selector).ok());
                self.queue.add(name, world.now);
            }
            _ => self.pod_changed(change, world),
        }
    }

    fn run(&mut self, world: &mut World<'_>) {
        while let Some(name) = self.queue.pop(world.now) {
            self.sync(&name, world);
        }
    }

    fn queues(&self, now: Instant) -> Vec<(&'static str, Tally)> {
        vec![("replicaset", self.queue.tally(now))]
    }

    fn next_wake(&self) -> Option<Instant> {
        self.queue.next()
    }
}

/// What a sync needs to see: its own pods, those that it might adopt, and those of its siblings, by name; and the selectors
/// of the siblings.
fn relatives(set: &ReplicaSet, cache: &Cache) -> (Vec<Arc<Stored>>, Vec<LabelSelector>) {
    let meta = &set.metadata;
    let namespace = meta.namespace.as_deref().unwrap_or_default();
    let siblings: Vec<&ReplicaSet> = match controller_of(meta) {
        Some(owner) => cache.controlled_by(namespace, &owner.uid).collect(),
        None => Vec::new(),
    };
    let others = siblings.iter().map(|sibling| &sibling.metadata.uid).filter(|uid| **uid != meta.uid);
    let uids = [Some(""), meta.uid.as_deref()].into_iter().chain(others.map(|uid| uid.as_deref())).flatten();
    let mut pods: Vec<_> =
        uids.flat_map(|uid| cache.stored_controlled_by(Kind::Pod, namespace, uid)).cloned().collect();
    pods.sort_by(|one, other| one.key.name.cmp(&other.key.name));
    let related = siblings.iter().filter_map(|set| Some(set.spec.as_ref()?.selector.clone())).collect();
    (pods, related)
}

/// A pod as the template has it (`GetPodFromTemplate` of `pkg/controller/controller_utils.go`).
fn pod_of(set: &ReplicaSet) -> Object {
    let template = set.spec.as_ref().and_then(|spec| spec.template.clone()).unwrap_or_default();
    template::pod(template, About::from(set)).into_object()
}

fn set_owner(world: &mut World<'_>, namespace: &str, pod: &str, set: &ReplicaSet, adopt: bool) {
    let Ok(mut pod) = world.server.fetch::<Pod>(namespace, pod) else {
        return;
    };
    let owners = pod.metadata.owner_references.get_or_insert_default();
    owners.retain(|owner| Some(&owner.uid) != set.metadata.uid.as_ref());
    if adopt {
        owners.push(About::from(set).controller_ref());
    }
    if owners.is_empty() {
        pod.metadata.owner_references = None;
    }
    _ = world.server.update(pod.into_object());
}
