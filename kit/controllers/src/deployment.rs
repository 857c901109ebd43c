//! The Deployment controller around the module that decides.
//!
//! A Deployment has a ReplicaSet for each of its templates. One [`sync`] claims them, finds the one with the template
//! of now ([`revision`]), asks one module which sizes all should have, makes it so, and writes the [`status`]. Another
//! module keeps the history.
//! Source: `pkg/controller/deployment/deployment_controller.go`.

pub mod revision;
mod rollback;
pub mod status;
mod sync;

use crate::names::{Name, name_of, resolve};
use kit_api::apps::{Deployment, ReplicaSet};
use kit_api::core::Pod;
use kit_api::meta::{LabelSelector, ObjectMeta};
use kit_api::owner::controller_of;
use kit_api::selector::Selector;
use kit_apimachinery::object::{About, AsKind, Key, Kind, Object};
use kit_client::cache::Cache;
use kit_client::component::{Component, World};
use kit_client::work_queue::{Tally, WorkQueue};
use kit_contract::Modules;
use kit_contract::workloads::{DeploymentController, DeploymentHistory};
use kit_server::{Change, ChangeKind};
use kit_time::agenda::Instant;

/// Brings the pods of each Deployment to its template and number, without stopping the service that they are.
pub struct Deployments {
    module: Box<dyn DeploymentController>,
    history: Box<dyn DeploymentHistory>,
    queue: WorkQueue<Name>,
}

impl Deployments {
    /// A controller with the modules of its slots.
    pub fn new(modules: &Modules) -> Self {
        Deployments {
            module: modules.rolling_update.make(&()),
            history: modules.rollback.make(&()),
            queue: WorkQueue::default(),
        }
    }

    /// Looks at the Deployments that a change of a ReplicaSet may be about: its owner, its last one, and if it has
    /// none, those that might adopt it.
    fn replica_set_changed(&mut self, change: &Change, world: &World<'_>) {
        let meta = change.object.object.meta();
        let previous = change.previous.as_ref().map(|stored| stored.object.meta());
        for owner in [Some(meta), previous].into_iter().flatten().filter_map(controller_of) {
            let namespace = meta.namespace.as_deref().unwrap_or_default();
            if let Some(deployment) = resolve::<Deployment>(owner, namespace, world.cache) {
                self.queue.add(name_of(&deployment.metadata), world.now);
            }
        }
        if controller_of(meta).is_none() && change.kind != ChangeKind::Deleted {
            let namespace = meta.namespace.as_deref().unwrap_or_default();
            for deployment in world.cache.list::<Deployment>(namespace) {
                if deployment.spec.as_ref().is_some_and(|spec| matches(&spec.selector, meta)) {
                    self.queue.add(name_of(&deployment.metadata), world.now);
                }
            }
        }
    }

    /// A Deployment that recreates its pods goes on when the last one is gone.
    fn pod_deleted(&mut self, pod: &Pod, world: &World<'_>) {
        let Some(deployment) = deployment_of(world.cache, pod) else { return };
        let type_ = deployment.spec.as_ref().and_then(|spec| spec.strategy.as_ref()?.type_.as_deref());
        if type_ == Some("Recreate") && pods_of(world.cache, &deployment.metadata).next().is_none() {
            self.queue.add(name_of(&deployment.metadata), world.now);
        }
    }
}

impl Component for Deployments {
    fn name(&self) -> &'static str {
        "deployment-controller"
    }

    fn watches(&self) -> &'static [Kind] {
        &[Kind::Deployment, Kind::ReplicaSet, Kind::Pod]
    }

    fn observe(&mut self, change: &Change, world: &mut World<'_>) {
        match &change.object.object {
            Object::Deployment(deployment) => self.queue.add(name_of(&deployment.metadata), world.now),
            Object::ReplicaSet(_) => self.replica_set_changed(change, world),
            Object::Pod(pod) if change.kind == ChangeKind::Deleted => self.pod_deleted(pod, world),
            _ => {}
        }
    }

    fn run(&mut self, world: &mut World<'_>) {
        while let Some(name) = self.queue.pop(world.now) {
            // What fails is mostly a conflict: the cache was late.
            let again = sync::sync(self.module.as_ref(), self.history.as_ref(), &name, world);
            self.queue.looked(name, &again, world.now);
        }
    }

    fn queues(&self, now: Instant) -> Vec<(&'static str, Tally)> {
        vec![("deployment", self.queue.tally(now))]
    }

    fn next_wake(&self) -> Option<Instant> {
        self.queue.next()
    }
}

fn deployment_of<'a>(cache: &'a Cache, pod: &Pod) -> Option<&'a Deployment> {
    let namespace = pod.metadata.namespace.as_deref()?;
    let set: &ReplicaSet = resolve(controller_of(&pod.metadata)?, namespace, cache)?;
    resolve(controller_of(&set.metadata)?, namespace, cache)
}

/// The pods of all ReplicaSets of a Deployment, whatever their state.
fn pods_of<'a>(cache: &'a Cache, deployment: &'a ObjectMeta) -> impl Iterator<Item = &'a Pod> {
    let namespace = deployment.namespace.as_deref().unwrap_or_default();
    let uid = |meta: &'a ObjectMeta| meta.uid.as_deref().unwrap_or_default();
    let sets = cache.controlled_by::<ReplicaSet>(namespace, uid(deployment));
    sets.flat_map(move |set| cache.controlled_by::<Pod>(namespace, uid(&set.metadata)))
}

/// Whether a selector, which must not be empty, means the object.
fn matches(selector: &LabelSelector, meta: &ObjectMeta) -> bool {
    let labels = meta.labels.clone().unwrap_or_default();
    *selector != LabelSelector::default()
        && Selector::try_from(Some(selector)).is_ok_and(|selector| selector.matches(&labels))
}

/// The ReplicaSets of a Deployment, the oldest first. What has lost its labels is released, and what has the labels and
/// no controller is adopted (`ClaimReplicaSets` of `pkg/controller/controller_ref_manager.go`).
fn claim(deployment: &Deployment, world: &mut World<'_>) -> Vec<ReplicaSet> {
    let meta = &deployment.metadata;
    let (namespace, uid) = (meta.namespace.as_deref().unwrap_or_default(), meta.uid.as_deref().unwrap_or_default());
    let selector = deployment.spec.as_ref().map(|spec| spec.selector.clone()).unwrap_or_default();
    let cache = world.cache;
    // A Deployment may be deleted or be another one by now, whatever the cache says.
    let alive = world.server.get(&Key::new(Kind::Deployment, namespace, meta.name.as_deref().unwrap_or_default()));
    let alive = alive.is_ok_and(|fresh| {
        let fresh = fresh.object.meta();
        fresh.uid == meta.uid && fresh.deletion_timestamp.is_none()
    });
    let may_change_owners = alive && meta.deletion_timestamp.is_none();
    let mut claimed: Vec<ReplicaSet> = Vec::new();
    for set in cache.controlled_by::<ReplicaSet>(namespace, uid) {
        if matches(&selector, &set.metadata) {
            claimed.push(set.clone());
        } else if may_change_owners {
            let mut set = set.clone();
            set.metadata.owner_references.iter_mut().for_each(|owners| owners.retain(|owner| owner.uid != uid));
            set.metadata.owner_references = set.metadata.owner_references.filter(|owners| !owners.is_empty());
            _ = world.server.update(set.into_object());
        }
    }
    for orphan in cache.controlled_by::<ReplicaSet>(namespace, "").filter(|_| may_change_owners) {
        if orphan.metadata.deletion_timestamp.is_some() || !matches(&selector, &orphan.metadata) {
            continue;
        }
        let mut set = orphan.clone();
        let owner = About::from(deployment).controller_ref();
        set.metadata.owner_references.get_or_insert_default().push(owner);
        if let Ok(adopted) = world.server.update(set.into_object()) {
            claimed.extend(adopted.get::<ReplicaSet>().cloned());
        }
    }
    claimed.sort_by_key(|set| (set.metadata.creation_timestamp.clone(), set.metadata.name.clone()));
    claimed
}
