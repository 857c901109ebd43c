//! The garbage collector: deletes what has lost its owners, lets owners wait for what they own, and sets it free.
//!
//! It keeps a graph of who owns whom, by uid, from what its watches show. Before it acts on an object it reads the object
//! and its owners from the API server, since the graph may be behind. Source:
//! `pkg/controller/garbagecollector/garbagecollector.go` and `graph_builder.go`.

use crate::agenda::Instant;
use crate::engine::{Component, World};
use crate::object::{Key, Kind, Object};
use crate::server::{Change, ChangeKind, DeleteOptions, Error, Propagation};
use kit_api::meta::{ObjectMeta, OwnerReference};
use std::collections::{BTreeMap, BTreeSet};

/// The finalizer of an owner that stays until its dependents are gone.
const FOREGROUND: &str = "foregroundDeletion";
/// The finalizer of an owner that stays until its dependents have forgotten it.
const ORPHAN: &str = "orphan";

/// Looks after the dependents of what is deleted.
#[derive(Default)]
pub struct GarbageCollector {
    /// The dependents of each owner, by the owner's uid.
    dependents: BTreeMap<String, BTreeSet<Key>>,
    /// Objects that may have to be deleted, or that wait for their dependents.
    suspects: BTreeSet<Key>,
    /// Owners whose dependents are to be set free.
    orphaning: BTreeSet<Key>,
}

impl Component for GarbageCollector {
    fn name(&self) -> &'static str {
        "garbage-collector"
    }

    fn watches(&self) -> &'static [Kind] {
        &[
            Kind::Deployment,
            Kind::ReplicaSet,
            Kind::Pod,
            Kind::Service,
            Kind::EndpointSlice,
            Kind::Endpoints,
            Kind::StatefulSet,
            Kind::DaemonSet,
            Kind::ControllerRevision,
            Kind::Job,
            Kind::CronJob,
            Kind::PersistentVolumeClaim,
            Kind::ConfigMap,
            Kind::Secret,
        ]
    }

    fn observe(&mut self, change: &Change, _world: &mut World<'_>) {
        let object = &change.object.object;
        let key = object.key();
        let owners = |object: &Object| object.meta().owner_references.clone().unwrap_or_default();
        let before = change.previous.as_ref().map(|stored| owners(&stored.object)).unwrap_or_default();
        let after = if change.kind == ChangeKind::Deleted { Vec::new() } else { owners(object) };
        for owner in &before {
            if let Some(dependents) = self.dependents.get_mut(&owner.uid) {
                dependents.remove(&key);
            }
        }
        for owner in &after {
            self.dependents.entry(owner.uid.clone()).or_default().insert(key.clone());
        }
        // An owner that waits for this dependent may go on.
        for owner in before.iter().filter(|owner| !after.contains(owner)) {
            self.suspects.extend(key_of(owner, &key.namespace));
        }
        if change.kind == ChangeKind::Deleted {
            self.suspects.extend(self.dependents.remove(object.uid()).unwrap_or_default());
        } else if waits_for_dependents(object.meta()) {
            self.suspects.extend(self.dependents.get(object.uid()).cloned().unwrap_or_default());
            self.suspects.insert(key);
        } else if is_ending_with(object.meta(), ORPHAN) {
            self.orphaning.insert(key);
        } else if before != after {
            self.suspects.insert(key);
        }
    }

    fn run(&mut self, world: &mut World<'_>) {
        for key in std::mem::take(&mut self.orphaning) {
            _ = self.orphan(&key, world);
        }
        while let Some(key) = self.suspects.pop_first() {
            // What fails has changed meanwhile, and then the watch brings it again.
            _ = self.attempt_to_delete(&key, world);
        }
    }

    fn next_wake(&self) -> Option<Instant> {
        None
    }
}

/// Whether an object is being deleted and has this finalizer.
fn is_ending_with(meta: &ObjectMeta, finalizer: &str) -> bool {
    meta.deletion_timestamp.is_some() && meta.finalizers.iter().flatten().any(|there| there == finalizer)
}

fn waits_for_dependents(meta: &ObjectMeta) -> bool {
    is_ending_with(meta, FOREGROUND)
}

/// Where an owner is found. None for kinds that the cluster doesn't know: nothing is decided by them.
fn key_of(owner: &OwnerReference, namespace: &str) -> Option<Key> {
    let kind = Kind::named(&owner.kind)?;
    Some(Key::new(kind, if kind.namespaced() { namespace } else { "" }, &owner.name))
}

fn remove_finalizer(key: &Key, finalizer: &str, world: &mut World<'_>) -> Result<(), Error> {
    let mut object = world.server.get(key)?.object.clone();
    object.meta_mut().finalizers.iter_mut().for_each(|all| all.retain(|there| there != finalizer));
    world.server.update(object).map(|_| ())
}

/// Takes references to owners away from an object.
fn disown(key: &Key, uids: &[&str], world: &mut World<'_>) -> Result<(), Error> {
    let mut object = world.server.get(key)?.object.clone();
    let owners = object.meta_mut().owner_references.take().unwrap_or_default();
    let owners: Vec<_> = owners.into_iter().filter(|owner| !uids.contains(&owner.uid.as_str())).collect();
    object.meta_mut().owner_references = Some(owners).filter(|owners| !owners.is_empty());
    world.server.update(object).map(|_| ())
}

/// What becomes of an owner reference (`classifyReferences`).
#[derive(PartialEq)]
enum Owner {
    /// The owner is there.
    Solid,
    /// It isn't, or another object has its name.
    Dangling,
    /// It waits for its dependents to go.
    Waiting,
}

fn classify(owner: &OwnerReference, namespace: &str, world: &World<'_>) -> Owner {
    let Some(key) = key_of(owner, namespace) else { return Owner::Solid };
    match world.server.get(&key) {
        Ok(there) if there.object.uid() != owner.uid => Owner::Dangling,
        Ok(there) if waits_for_dependents(there.object.meta()) => Owner::Waiting,
        Ok(_) => Owner::Solid,
        Err(_) => Owner::Dangling,
    }
}

impl GarbageCollector {
    fn dependents(&self, uid: &str) -> impl Iterator<Item = &Key> {
        self.dependents.get(uid).into_iter().flatten()
    }

    /// Sets the dependents of an owner free, and then the owner itself.
    fn orphan(&mut self, key: &Key, world: &mut World<'_>) -> Result<(), Error> {
        let uid = world.server.get(key)?.object.uid().to_string();
        for dependent in self.dependents(&uid) {
            match disown(dependent, &[&uid], world) {
                Err(error) if !error.is_not_found() => return Err(error),
                _ => {}
            }
        }
        remove_finalizer(key, ORPHAN, world)
    }

    /// Deletes an object if none of its owners is left (`attemptToDeleteItem`).
    fn attempt_to_delete(&mut self, key: &Key, world: &mut World<'_>) -> Result<(), Error> {
        let stored = world.server.get(key)?.clone();
        let (meta, uid) = (stored.object.meta(), stored.object.uid());
        if waits_for_dependents(meta) {
            return self.go_on_waiting(key, uid, world);
        }
        if meta.deletion_timestamp.is_some() {
            return Ok(());
        }
        let owners = meta.owner_references.clone().unwrap_or_default();
        let classes: Vec<Owner> = owners.iter().map(|owner| classify(owner, &key.namespace, world)).collect();
        if owners.is_empty() {
            return Ok(());
        }
        if classes.contains(&Owner::Solid) {
            // The other owners would wait for ever for an object that stays.
            let gone = owners.iter().zip(&classes).filter(|(_, class)| **class != Owner::Solid);
            let gone: Vec<&str> = gone.map(|(owner, _)| owner.uid.as_str()).collect();
            return if gone.is_empty() { Ok(()) } else { disown(key, &gone, world) };
        }
        let has = |finalizer: &str| meta.finalizers.iter().flatten().any(|there| there == finalizer);
        let propagation = if classes.contains(&Owner::Waiting) && self.dependents(uid).next().is_some() {
            self.break_circle(key, uid, world)?;
            Propagation::Foreground
        } else if has(ORPHAN) {
            Propagation::Orphan
        } else if has(FOREGROUND) {
            Propagation::Foreground
        } else {
            Propagation::Background
        };
        let options = DeleteOptions { uid: Some(uid.into()), propagation, ..DeleteOptions::default() };
        world.server.delete(key, &options).map(|_| ())
    }

    /// Lets an owner go if nothing that it owns blocks it any more, and else looks at what does
    /// (`processDeletingDependentsItem`).
    fn go_on_waiting(&mut self, key: &Key, uid: &str, world: &mut World<'_>) -> Result<(), Error> {
        let blocks = |dependent: &&Key| {
            let owners = world.cache.get(dependent).and_then(|stored| stored.object.meta().owner_references.as_ref());
            let mut owners = owners.into_iter().flatten();
            owners.any(|owner| owner.uid == uid && owner.block_owner_deletion == Some(true))
        };
        let blocking: Vec<Key> = self.dependents(uid).filter(blocks).cloned().collect();
        if blocking.is_empty() {
            return remove_finalizer(key, FOREGROUND, world);
        }
        let waits = |dependent: &Key| {
            world.server.get(dependent).is_ok_and(|stored| stored.object.meta().deletion_timestamp.is_some())
        };
        self.suspects.extend(blocking.into_iter().filter(|dependent| !waits(dependent)));
        Ok(())
    }

    /// An object whose owners and whose dependents wait for each other doesn't hold up its owners any more.
    fn break_circle(&self, key: &Key, uid: &str, world: &mut World<'_>) -> Result<(), Error> {
        let waits = |dependent: &Key| world.server.get(dependent).is_ok_and(|s| waits_for_dependents(s.object.meta()));
        if !self.dependents(uid).any(waits) {
            return Ok(());
        }
        let mut object = world.server.get(key)?.object.clone();
        for owner in object.meta_mut().owner_references.iter_mut().flatten() {
            owner.block_owner_deletion = Some(false);
        }
        world.server.update(object).map(|_| ())
    }
}
