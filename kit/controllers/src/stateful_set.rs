//! The StatefulSet controller: pods with names that last, made and replaced in order.
//!
//! One look at a set claims its pods, finds the revisions of its templates ([`revision`]), asks the module
//! `workloads/stateful_set` what to do ([`plan`]), does it ([`hands`]) and writes the status. Source: `pkg/controller/statefulset/stateful_set.go` and
//! `stateful_set_control.go`.

mod hands;
mod history;
mod identity;
mod plan;
mod retention;
mod revision;
mod status;

use crate::claim;
use crate::names::{Name, name_of, resolve};
use hands::Hands;
use kit_api::apps::{ControllerRevision, StatefulSet, StatefulSetSpec};
use kit_api::core::{PersistentVolumeClaim, Pod};
use kit_api::jiff::Timestamp;
use kit_api::meta::ObjectMeta;
use kit_api::owner::controller_of;
use kit_api::pod;
use kit_api::selector::Selector;
use kit_apimachinery::object::{About, AsKind, Kind, Object};
use kit_client::component::{Component, World};
use kit_client::work_queue::{Tally, WorkQueue};
use kit_contract::Modules;
use kit_contract::workloads::StatefulSetController;
use kit_server::{Change, ChangeKind, Error};
use kit_time::agenda::Instant;
use plan::Seen;
use retention::Owners;

/// Keeps the pods of StatefulSets.
pub struct StatefulSets {
    module: Box<dyn StatefulSetController>,
    queue: WorkQueue<Name>,
    max_unavailable: bool,
}

impl StatefulSets {
    /// A controller with the module of the slot.
    pub fn new(modules: &Modules) -> Self {
        StatefulSets { module: modules.stateful_set.make(&()), queue: WorkQueue::default(), max_unavailable: false }
    }

    /// Lets `maxUnavailable` count, as with the feature gate `MaxUnavailableStatefulSet`, which is off in 1.33.
    pub fn with_max_unavailable(mut self) -> Self {
        self.max_unavailable = true;
        self
    }

    fn pod_changed(&mut self, pod: &Pod, change: &Change, world: &World<'_>) {
        let namespace = &change.object.key.namespace;
        let before = change.previous.as_ref().and_then(|stored| stored.get::<Pod>());
        let (owner, owner_before) = (controller_of(&pod.metadata), before.and_then(|pod| controller_of(&pod.metadata)));
        if let Some(old) = owner_before.filter(|_| owner != owner_before)
            && let Some(set) = resolve::<StatefulSet>(old, namespace, world.cache)
        {
            self.queue.add(name_of(&set.metadata), world.now);
        }
        if let Some(owner) = owner {
            if let Some(set) = resolve::<StatefulSet>(owner, namespace, world.cache) {
                self.queue.add(name_of(&set.metadata), world.now);
            }
            return;
        }
        let is_news = change.kind == ChangeKind::Added
            || owner_before.is_some()
            || before.is_some_and(|before| before.metadata.labels != pod.metadata.labels);
        if is_news && change.kind != ChangeKind::Deleted && !pod::is_terminating(pod) {
            for set in world.cache.list::<StatefulSet>(namespace) {
                if selector(set).is_some_and(|selector| !selector.is_empty() && selects(&selector, &pod.metadata)) {
                    self.queue.add(name_of(&set.metadata), world.now);
                }
            }
        }
    }

    /// Looks at a set. The answer is when to look again even if nothing happens.
    fn sync(&self, name: &Name, world: &mut World<'_>) -> Result<Option<Instant>, Error> {
        let cache = world.cache;
        let Some(set) = cache.fetch::<StatefulSet>(&name.0, &name.1) else { return Ok(None) };
        let (Some(spec), Some(selector)) = (&set.spec, selector(set)) else { return Ok(None) };
        let about = About::from(set);
        for revision in history::list(cache, about, &selector) {
            if controller_of(&revision.metadata).is_none() {
                claim::adopt(about, About::from(revision), world)?;
            }
        }
        let pods = claim(set, &selector, world)?;
        let revisions = history::list(cache, about, &selector);
        let result = self.update(set, spec, &pods, &revisions, world);
        let (current, update) = match &result {
            Ok(outcome) => (outcome.current.as_str(), outcome.update.as_str()),
            Err(_) => Default::default(),
        };
        let of_pods = |revision: &str| pods.iter().any(|pod| identity::revision_of(pod) == revision);
        let is_live = |revision: &str| [current, update].contains(&revision) || of_pods(revision);
        let truncated = match &result {
            Ok(_) => history::truncate(&revisions, is_live, spec.revision_history_limit.unwrap_or(10), world),
            // Which revisions live isn't known.
            Err(_) => Ok(()),
        };
        let outcome = result?;
        outcome.failed.map_or(Ok(()), Err).and(truncated)?;
        Ok(next_available(&pods, spec.min_ready_seconds.unwrap_or(0), world.time()))
    }

    /// Does what has to be done for a set, and writes its status (`performUpdate`).
    fn update(
        &self,
        set: &StatefulSet,
        spec: &StatefulSetSpec,
        pods: &[&Pod],
        known: &[&ControllerRevision],
        world: &mut World<'_>,
    ) -> Result<Outcome, Error> {
        let revisions = revision::follow(set, known, world)?;
        let cache = world.cache;
        let namespace = About::from(set).namespace();
        let seen = Seen {
            set,
            spec,
            pods: pods.iter().filter_map(|pod| Some((identity::ordinal(pod)?, *pod))).collect(),
            current: revision::version(&revisions.current)?,
            update: revision::version(&revisions.update)?,
            owners: Owners::of(set, &*self.module),
            claim: &|name| cache.fetch::<PersistentVolumeClaim>(namespace, name),
            now: world.time(),
            max_unavailable: self.max_unavailable,
        };
        let mut hands = Hands { set, owners: seen.owners, world, replaced: 0 };
        let done = hands.work(&seen.plan(&*self.module));
        let status = status::status(&seen, revisions.collisions, hands.replaced);
        let mut written = Ok(());
        if status::is_news(&status, set) {
            let set = StatefulSet { status: Some(status), ..set.clone() };
            written = world.server.update_status(set.into_object()).map(drop);
        }
        let (current, update) = (seen.current.name, seen.update.name);
        Ok(Outcome { current, update, failed: done.and(written).err() })
    }
}

/// What came of a look at a set.
struct Outcome {
    /// The names of its revisions.
    current: String,
    update: String,
    /// What went wrong after its revisions were known.
    failed: Option<Error>,
}

/// When the next pod has been ready for long enough. Upstream looks again that long after a pod became ready, and after
/// each look that found some missing; availability is counted in whole seconds, and a little later it is sure.
fn next_available(pods: &[&Pod], seconds: i32, now: Timestamp) -> Option<Instant> {
    let waiting = pods.iter().filter(|pod| !pod::is_available(pod, seconds, now));
    let left = waiting.filter_map(|pod| Some(pod::ready_since(pod)?.duration_since(now).as_secs() + 1));
    left.min().map(|left| Instant::seconds(left + i64::from(seconds)))
}

fn selector(set: &StatefulSet) -> Option<Selector> {
    Selector::try_from(set.spec.as_ref().map(|spec| &spec.selector)).ok()
}

fn selects(selector: &Selector, meta: &ObjectMeta) -> bool {
    selector.matches(&meta.labels.clone().unwrap_or_default())
}

/// The pods of a set: by its labels, and by the name of a pod of the set.
fn claim<'a>(set: &'a StatefulSet, selector: &Selector, world: &mut World<'a>) -> Result<Vec<&'a Pod>, Error> {
    let (about, cache) = (About::from(set), world.cache);
    let is_member = |meta: &ObjectMeta| {
        let parent = identity::parent_and_ordinal(meta.name.as_deref().unwrap_or_default()).map(|(parent, _)| parent);
        parent == Some(about.name()) && selects(selector, meta)
    };
    let pods = [about.uid(), ""].into_iter().flat_map(|uid| cache.controlled_by::<Pod>(about.namespace(), uid));
    claim::claim(about, is_member, pods, world)
}

impl Component for StatefulSets {
    fn name(&self) -> &'static str {
        "statefulset-controller"
    }

    fn watches(&self) -> &'static [Kind] {
        &[Kind::StatefulSet, Kind::Pod, Kind::PersistentVolumeClaim, Kind::ControllerRevision]
    }

    fn observe(&mut self, change: &Change, world: &mut World<'_>) {
        match &change.object.object {
            Object::StatefulSet(set) => self.queue.add(name_of(&set.metadata), world.now),
            Object::Pod(pod) => self.pod_changed(pod, change, world),
            _ => {}
        }
    }

    fn run(&mut self, world: &mut World<'_>) {
        while let Some(name) = self.queue.pop(world.now) {
            let again = self.sync(&name, world);
            self.queue.looked(name, &again, world.now);
        }
    }

    fn queues(&self, now: Instant) -> Vec<(&'static str, Tally)> {
        vec![("statefulset", self.queue.tally(now))]
    }

    fn next_wake(&self) -> Option<Instant> {
        self.queue.next()
    }
}

#[cfg(test)]
mod tests;
