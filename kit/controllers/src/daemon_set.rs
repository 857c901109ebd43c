//! The DaemonSet controller: keeps one pod on each node that should have one.
//!
//! Source: `pkg/controller/daemon`. A look at one DaemonSet is [`sync`], which asks the module `workloads/daemon_set` ([`plan`]);
//! here are the watches that ask for one.

mod backoff;
mod history;
mod plan;
pub mod pods;
mod revision;
pub mod sync;

use crate::expectations::Expectations;
use crate::job::later;
use crate::names::{Name, name_of, resolve};
use kit_api::apps::{ControllerRevision, DaemonSet};
use kit_api::core::{Node, Pod};
use kit_api::meta::ObjectMeta;
use kit_api::owner::controller_of;
use kit_api::pod;
use kit_api::selector::Selector;
use kit_apimachinery::object::{About, Kind, Object};
use kit_client::cache::Cache;
use kit_client::component::{Component, World};
use kit_client::work_queue::{Tally, WorkQueue};
use kit_contract::Modules;
use kit_contract::workloads::DaemonSetController;
use kit_server::{Change, ChangeKind};
use kit_time::agenda::Instant;
use std::collections::BTreeMap;
use sync::{Memory, Outcome, Seen, sync};

/// Keeps the pods of DaemonSets.
pub struct DaemonSets {
    module: Box<dyn DaemonSetController>,
    queue: WorkQueue<Name>,
    /// What is to be looked at later, whatever happens until then.
    later: WorkQueue<Name>,
    expected: Expectations,
    /// By uid.
    memory: BTreeMap<String, Memory>,
}

/// The DaemonSets that might adopt an object.
fn matching<'a>(meta: &'a ObjectMeta, cache: &'a Cache) -> Vec<&'a DaemonSet> {
    let labels = meta.labels.clone().unwrap_or_default();
    let matches = |set: &&DaemonSet| {
        let selector = Selector::try_from(set.spec.as_ref().map(|spec| &spec.selector));
        selector.is_ok_and(|selector| !selector.is_empty() && selector.matches(&labels))
    };
    let namespace = meta.namespace.as_deref().unwrap_or_default();
    cache.list::<DaemonSet>(namespace).filter(matches).collect()
}

impl DaemonSets {
    /// A controller with the module of the slot.
    pub fn new(modules: &Modules) -> Self {
        DaemonSets {
            module: modules.daemon_set.make(&()),
            queue: WorkQueue::default(),
            later: WorkQueue::default(),
            expected: Expectations::default(),
            memory: BTreeMap::new(),
        }
    }

    fn look_at(&mut self, set: &DaemonSet, world: &World<'_>) {
        self.queue.add(name_of(&set.metadata), world.now);
    }

    /// A pod or a revision: its owner has to look, and so does the owner that it had. What has none is for those whose
    /// labels it has got, or who may adopt it now. The answer is its owner of now.
    fn owned_changed<'a>(&mut self, change: &Change, world: &World<'a>) -> Option<&'a DaemonSet> {
        let meta = change.object.object.meta();
        let before = change.previous.as_ref().map(|stored| stored.object.meta());
        let namespace = meta.namespace.as_deref().unwrap_or_default();
        let (owner, owner_before) = (controller_of(meta), before.and_then(controller_of));
        let old = owner_before.filter(|_| owner != owner_before);
        let old = old.and_then(|old| resolve(old, namespace, world.cache));
        old.into_iter().for_each(|set| self.look_at(set, world));
        let Some(owner) = owner else {
            let is_gone = change.kind == ChangeKind::Deleted || meta.deletion_timestamp.is_some();
            if !is_gone && (old.is_some() || before.is_none_or(|before| before.labels != meta.labels)) {
                matching(meta, world.cache).into_iter().for_each(|set| self.look_at(set, world));
            }
            return None;
        };
        resolve(owner, namespace, world.cache)
    }

    fn pod_changed(&mut self, pod: &Pod, change: &Change, world: &World<'_>) {
        let Some(set) = self.owned_changed(change, world) else { return };
        let uid = About::from(set).uid();
        match change.kind {
            _ if change.kind == ChangeKind::Deleted || pod::is_terminating(pod) => {
                self.expected.deleted(uid, About::from(pod).uid());
            }
            ChangeKind::Added => self.expected.created(uid),
            _ => {
                let min_ready = set.spec.as_ref().and_then(|spec| spec.min_ready_seconds).unwrap_or(0);
                let before = change.previous.as_ref().and_then(|stored| stored.get::<Pod>());
                if min_ready > 0 && pod::is_ready(pod) && !before.is_some_and(pod::is_ready) {
                    // A second more: availability is counted in whole ones.
                    self.later.add(name_of(&set.metadata), world.now + Instant::seconds(i64::from(min_ready) + 1));
                }
            }
        }
        self.look_at(set, world);
    }

    /// A node that comes, or that takes other pods than before.
    fn node_changed(&mut self, node: &Node, change: &Change, world: &World<'_>) {
        let before = change.previous.as_ref().and_then(|stored| stored.get::<Node>());
        let taints = |node: &Node| node.spec.as_ref().and_then(|spec| spec.taints.clone());
        let same = |before: &Node| before.metadata.labels == node.metadata.labels && taints(before) == taints(node);
        if change.kind == ChangeKind::Deleted || before.is_some_and(same) {
            return;
        }
        for set in world.cache.all::<DaemonSet>() {
            let template = set.spec.as_ref().and_then(|spec| spec.template.spec.clone()).unwrap_or_default();
            let view = pods::template_view(&template);
            let wants = |node: &Node| self.module.wants(&view, &pods::node_view(&template, node));
            let now = wants(node);
            if before.map_or(now.should_run, |before| wants(before) != now) {
                self.look_at(set, world);
            }
        }
    }

    fn sync(&mut self, name: Name, world: &mut World<'_>) {
        let cache = world.cache;
        let Some(set) = cache.fetch::<DaemonSet>(&name.0, &name.1) else { return self.queue.forget(&name) };
        let uid = About::from(set).uid().to_string();
        let nodes: Vec<&Node> = cache.all::<Node>().collect();
        let mut pods: Vec<&Pod> =
            [uid.as_str(), ""].iter().flat_map(|uid| cache.controlled_by::<Pod>(&name.0, uid)).collect();
        pods.sort_by(|one, other| one.metadata.name.cmp(&other.metadata.name));
        let mut revisions: Vec<&ControllerRevision> =
            [uid.as_str(), ""].iter().flat_map(|uid| cache.controlled_by(&name.0, uid)).collect();
        revisions.sort_by(|one, other| one.metadata.name.cmp(&other.metadata.name));
        let memory = self.memory.entry(uid.clone()).or_default();
        memory.waits = self.expected.open(&uid, world.now) != (0, 0);
        let seen = Seen { nodes: &nodes, pods: &pods, revisions: &revisions, module: &*self.module };
        let Outcome { result, asked, again } = sync(set, &seen, memory, world);
        self.expected.expect(&uid, asked, world.now);
        for after in again {
            self.later.add(name.clone(), world.now + later(after));
        }
        self.queue.done(name, &result, world.now);
    }
}

impl Component for DaemonSets {
    fn name(&self) -> &'static str {
        "daemonset-controller"
    }

    fn watches(&self) -> &'static [Kind] {
        &[Kind::DaemonSet, Kind::ControllerRevision, Kind::Pod, Kind::Node]
    }

    fn observe(&mut self, change: &Change, world: &mut World<'_>) {
        match &change.object.object {
            Object::DaemonSet(set) => {
                if change.kind == ChangeKind::Deleted {
                    let uid = About::from(&**set).uid();
                    self.expected.forget(uid);
                    self.memory.remove(uid);
                }
                self.look_at(set, world);
            }
            Object::Pod(pod) => self.pod_changed(pod, change, world),
            Object::Node(node) => self.node_changed(node, change, world),
            // The one who wrote a revision knows of it; only its loss is news.
            _ => {
                let owner = self.owned_changed(change, world).filter(|_| change.kind == ChangeKind::Deleted);
                owner.into_iter().for_each(|set| self.look_at(set, world));
            }
        }
    }

    fn run(&mut self, world: &mut World<'_>) {
        while let Some(name) = self.later.pop(world.now) {
            self.queue.add(name, world.now);
        }
        while let Some(name) = self.queue.pop(world.now) {
            self.sync(name, world);
        }
    }

    fn queues(&self, now: Instant) -> Vec<(&'static str, Tally)> {
        vec![("daemonset", self.queue.tally(now))]
    }

    fn next_wake(&self) -> Option<Instant> {
        self.queue.next().into_iter().chain(self.later.next()).min()
    }
}

#[cfg(test)]
mod tests;
