//! The persistent volume controller: finds volumes for claims, asks drivers to make them, and gives back what nobody
//! claims any more.
//!
//! Source: `pkg/controller/volume/persistentvolume/pv_controller_base.go`. The module decides, [`claim`] and [`volume`] say what
//! that means for the objects; here this is carried out, and what comes of it is remembered, so that the next decision doesn't
//! wait for the watch.

pub mod claim;
pub mod decision;
mod index;
pub mod view;
pub mod volume;

use self::decision::{Action, Decision, Known, View};
use super::users::{self, Users};
use crate::names::{Name, name_of};
use kit_api::core::{PersistentVolume, PersistentVolumeClaim, Pod};
use kit_api::pod;
use kit_api::storage::StorageClass;
use kit_api::volume::{SELECTED_NODE, annotation, claim_phase, class_of, volume_of, volume_phase, waits};
use kit_apimachinery::object::{Key, Kind, Object};
use kit_client::component::{Component, World};
use kit_client::work_queue::{Tally, WorkQueue};
use kit_contract::Modules;
use kit_contract::storage::ClaimBinding;
use kit_server::{Change, ChangeKind, DeleteOptions, Error};
use kit_time::agenda::Instant;
use std::collections::{BTreeMap, BTreeSet};

/// How often what isn't bound is looked at again (`PVClaimBinderSyncPeriod`).
const PERIOD: Instant = Instant::seconds(15);

/// Binds claims and volumes.
pub struct PersistentVolumes {
    module: Box<dyn ClaimBinding>,
    known: Known,
    /// None before there is a class whose claims wait for pods: until then these don't matter.
    users: Option<Users>,
    volumes: WorkQueue<String>,
    claims: WorkQueue<Name>,
    /// What the next look may change though nothing else has changed: claims and volumes that aren't what they should be.
    open: (BTreeSet<Name>, BTreeSet<String>),
    next: Instant,
}

impl PersistentVolumes {
    /// A controller with the module of the slot.
    pub fn new(modules: &Modules) -> Self {
        PersistentVolumes {
            module: modules.claim_binding.make(&()),
            known: Known::default(),
            users: None,
            volumes: WorkQueue::default(),
            claims: WorkQueue::default(),
            open: Default::default(),
            next: Instant::default(),
        }
    }

    fn store(&mut self, object: &Object) {
        self.known.store(object);
        let (namespace, name) = (object.namespace().to_string(), object.name().to_string());
        match object {
            Object::PersistentVolumeClaim(claim) => {
                let settled = claim_phase(claim) == "Bound";
                put(&mut self.open.0, (namespace, name), !settled);
            }
            Object::PersistentVolume(volume) => {
                let settled = matches!(volume_phase(volume), "Available" | "Bound" | "Released");
                put(&mut self.open.1, name, !settled);
            }
            _ => {}
        }
    }

    fn decide(&self, world: &World<'_>, sync: impl FnOnce(&View<'_>) -> Decision) -> Decision {
        sync(&View {
            known: &self.known,
            module: &*self.module,
            pods: &|claim| {
                let name = |pod: &Pod| format!("{}/{}", claim.0, pod.metadata.name.as_deref().unwrap_or_default());
                users(world, claim).map(name).collect()
            },
            live: &|claim| world.server.fetch::<PersistentVolumeClaim>(&claim.0, &claim.1).ok(),
        })
    }

    /// Does one thing after the other. Upstream only logs what fails: the next change or the next look goes on.
    fn carry_out(&mut self, decision: Decision, world: &mut World<'_>) -> Result<(), Error> {
        let mut versions: BTreeMap<Key, Option<String>> = BTreeMap::new();
        for action in decision.0 {
            match action {
                Action::Write { mut object, status } => {
                    let key = object.key();
                    if let Some(version) = versions.get(&key) {
                        object.meta_mut().resource_version.clone_from(version);
                    }
                    let stored = match status {
                        true => world.server.update_status(object)?,
                        false => world.server.update(object)?,
                    };
                    versions.insert(key, stored.object.meta().resource_version.clone());
                    self.store(&stored.object);
                }
                Action::Delete(key) => _ = world.server.delete(&key, &DeleteOptions::default())?,
                Action::Tell(about, type_, reason, message) => world.server.record(&about, type_, reason, &message),
                Action::LookAt(claim) => self.claims.add(claim, world.now),
            }
        }
        Ok(())
    }

    fn look_at_volume(&mut self, name: &str, world: &mut World<'_>) {
        if let Some(volume) = world.cache.get(&Key::new(Kind::PersistentVolume, "", name)) {
            self.store(&volume.object);
        } else if let Some(gone) = self.known.volumes.remove(name) {
            self.open.1.remove(name);
            if let Some(claim) = gone.spec.and_then(|spec| spec.claim_ref) {
                let claim = (claim.namespace.unwrap_or_default(), claim.name.unwrap_or_default());
                self.claims.add(claim, world.now);
            }
        }
        let Some(volume) = self.known.volumes.get(name) else { return };
        let decision = self.decide(world, |view| volume::sync(volume, view));
        _ = self.carry_out(decision, world);
    }

    fn look_at_claim(&mut self, name: &Name, world: &mut World<'_>) {
        if let Some(claim) = world.cache.get(&Key::new(Kind::PersistentVolumeClaim, &name.0, &name.1)) {
            self.store(&claim.object);
        } else if let Some(gone) = self.known.claims.remove(name) {
            self.open.0.remove(name);
            let volume = volume_of(&gone);
            if !volume.is_empty() {
                self.volumes.add(volume.into(), world.now);
            }
        }
        let Some(claim) = self.known.claims.get(name) else { return };
        let classes: Vec<&StorageClass> = world.cache.all().collect();
        let class = classes.iter().find(|class| class.metadata.name.as_deref() == Some(class_of(claim)));
        let asks = waits(class.copied()) && volume_of(claim).is_empty();
        let state = world.server.snapshot();
        let users = self.users.iter().filter(|_| asks && annotation(&claim.metadata, SELECTED_NODE).is_none());
        let pods = users
            .flat_map(|users| users.of(name))
            .filter_map(|pod| state.get(&Key::new(Kind::Pod, &pod.0, &pod.1))?.get::<Pod>());
        let waiting = pods.filter(|pod| !users::is_terminated(pod) && pod::node_name(pod).is_none());
        let waiting = waiting.map(|pod| pod.metadata.name.clone().unwrap_or_default());
        let classes = classes.into_iter().map(view::class);
        let cluster = self.known.cluster(claim, classes.collect(), waiting.collect());
        let decision = self.decide(world, |view| claim::sync(claim, &cluster, view));
        _ = self.carry_out(decision, world);
    }
}

/// The pods that use a claim and haven't ended.
fn users<'a>(world: &'a World<'_>, claim: &'a Name) -> impl Iterator<Item = &'a Pod> {
    let pods = users::of(world.server.snapshot(), &claim.0, &claim.1).into_iter();
    pods.filter(|pod| !users::is_terminated(pod))
}

fn put<K: Ord>(set: &mut BTreeSet<K>, key: K, there: bool) {
    match there {
        true => set.insert(key),
        false => set.remove(&key),
    };
}

impl Component for PersistentVolumes {
    fn name(&self) -> &'static str {
        "persistentvolume-controller"
    }

    fn watches(&self) -> &'static [Kind] {
        match self.users {
            None => &[Kind::PersistentVolume, Kind::PersistentVolumeClaim, Kind::StorageClass],
            Some(_) => &[Kind::PersistentVolume, Kind::PersistentVolumeClaim, Kind::StorageClass, Kind::Pod],
        }
    }

    fn observe(&mut self, change: &Change, world: &mut World<'_>) {
        if let (Some(pod), Some(users)) = (change.object.get::<Pod>(), &mut self.users) {
            return users.set(pod, change.kind != ChangeKind::Deleted);
        }
        if self.users.is_none() && waits(change.object.get()) {
            self.users = Some(Users::of_all(world.server.snapshot()));
        }
        if let Some(volume) = change.object.get::<PersistentVolume>() {
            self.volumes.add(name_of(&volume.metadata).1, world.now);
        } else if let Some(claim) = change.object.get::<PersistentVolumeClaim>() {
            self.claims.add(name_of(&claim.metadata), world.now);
        }
        // What was deleted and made anew between two looks is another object.
        if change.kind == ChangeKind::Deleted {
            match &change.object.object {
                Object::PersistentVolume(volume) => {
                    self.look_at_volume(&name_of(&volume.metadata).1, world);
                }
                Object::PersistentVolumeClaim(claim) => self.look_at_claim(&name_of(&claim.metadata), world),
                _ => {}
            }
        }
    }

    fn run(&mut self, world: &mut World<'_>) {
        if world.now >= self.next {
            self.next = Instant { nanos: (world.now.nanos / PERIOD.nanos + 1) * PERIOD.nanos };
            let (claims, volumes) = self.open.clone();
            claims.into_iter().for_each(|claim| self.claims.add(claim, world.now));
            volumes.into_iter().for_each(|volume| self.volumes.add(volume, world.now));
        }
        loop {
            if let Some(volume) = self.volumes.pop(world.now) {
                self.look_at_volume(&volume, world);
            } else if let Some(claim) = self.claims.pop(world.now) {
                self.look_at_claim(&claim, world);
            } else {
                return;
            }
        }
    }

    fn queues(&self, now: Instant) -> Vec<(&'static str, Tally)> {
        vec![("volumes", self.volumes.tally(now)), ("claims", self.claims.tally(now))]
    }

    fn next_wake(&self) -> Option<Instant> {
        let open = !self.open.0.is_empty() || !self.open.1.is_empty();
        [self.volumes.next(), self.claims.next(), open.then_some(self.next)].into_iter().flatten().min()
    }
}
