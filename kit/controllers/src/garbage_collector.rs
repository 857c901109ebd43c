//! The garbage collector around the module that decides.
//!
//! It keeps a graph of who owns whom, by uid, from what its watches show, and a queue of the objects to which something
//! may have happened. Of each it reads the object and its owners from the API server, since the graph may be behind, asks
//! the module and does what it says. Source: `pkg/controller/garbagecollector/garbagecollector.go` and
//! `graph_builder.go`.
//!
//! Two kinds aren't watched: events, as upstream, and leases, which change all the time and own nothing. Custom resources
//! are, as soon as their definition is there; upstream looks for new ones every 30 s.

use kit_api::meta::{ObjectMeta, OwnerReference};
use kit_apimachinery::object::{Key, Kind, Object};
use kit_apimachinery::resource::Resource;
use kit_client::component::{Component, World};
use kit_client::work_queue::{Tally, WorkQueue};
use kit_contract::Modules;
use kit_contract::control_plane::garbage_collector::{
    Action, Decision, FOREGROUND_DELETION, Item, Lookup, ORPHAN, Owner, Propagation, Relative,
};
use kit_server::{Change, ChangeKind, DeleteOptions, Error};
use kit_time::agenda::Instant;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

/// Looks after the dependents of what is deleted.
pub struct GarbageCollector {
    module: Box<dyn kit_contract::control_plane::GarbageCollector>,
    /// What the watches have shown and not taken away again, by uid.
    seen: BTreeMap<String, Key>,
    /// The dependents of each owner, by the owner's uid.
    dependents: BTreeMap<String, BTreeSet<Key>>,
    /// Objects to be looked at.
    queue: WorkQueue<Key>,
}

impl GarbageCollector {
    /// A collector with the module of the slot.
    pub fn new(modules: &Modules) -> Self {
        GarbageCollector {
            module: modules.garbage_collector.make(&()),
            seen: BTreeMap::new(),
            dependents: BTreeMap::new(),
            queue: WorkQueue::default(),
        }
    }
}

impl Component for GarbageCollector {
    fn name(&self) -> &'static str {
        "garbage-collector"
    }

    fn watches(&self) -> &'static [Kind] {
        static KINDS: LazyLock<Vec<Kind>> = LazyLock::new(|| {
            Kind::ALL.iter().copied().filter(|kind| !matches!(kind, Kind::Event | Kind::Lease)).collect()
        });
        &KINDS
    }

    fn watches_custom(&self) -> bool {
        true
    }

    /// Changes the graph, and asks for a look at those to whom the change may matter (`processGraphChanges`).
    fn observe(&mut self, change: &Change, world: &mut World<'_>) {
        let object = &change.object.object;
        let (key, uid) = (change.object.key.clone(), object.uid());
        let owners = |object: &Object| object.meta().owner_references.clone().unwrap_or_default();
        let before = change.previous.as_ref().map(|stored| owners(&stored.object)).unwrap_or_default();
        let after = if change.kind == ChangeKind::Deleted { Vec::new() } else { owners(object) };
        if before != after {
            for owner in &before {
                if let Some(dependents) = self.dependents.get_mut(&owner.uid) {
                    dependents.remove(&key);
                }
            }
            for owner in &after {
                self.dependents.entry(owner.uid.clone()).or_default().insert(key.clone());
            }
        }
        let mut suspects = BTreeSet::new();
        // An owner that waits for this dependent may go on. Of one that isn't deleted nothing follows from a dependent's end.
        let gone = change.kind == ChangeKind::Deleted;
        let waits = |owner: &Key| {
            world.cache.get(owner).is_some_and(|stored| is_ending_with(stored.object.meta(), FOREGROUND_DELETION))
        };
        let lost = before.iter().filter(|owner| !after.contains(owner));
        let lost = lost.filter_map(|owner| self.seen.get(&owner.uid)).filter(|owner| !gone || waits(owner));
        suspects.extend(lost.cloned());
        // An owner that the graph doesn't know, or knows under another name, may not exist.
        let mut gained = after.iter().filter(|owner| !before.contains(owner));
        if gained.any(|owner| !self.seen.get(&owner.uid).is_some_and(|at| means(owner, &key, at))) {
            suspects.insert(key.clone());
        }
        let mine = self.dependents.get(uid).cloned().unwrap_or_default();
        let turns = |finalizer: &str| {
            let before = change.previous.as_ref().is_some_and(|old| is_ending_with(old.object.meta(), finalizer));
            is_ending_with(object.meta(), finalizer) && !before
        };
        match change.kind {
            ChangeKind::Deleted => {
                self.seen.remove(uid);
                self.dependents.remove(uid);
                suspects.extend(mine.iter().cloned());
            }
            ChangeKind::Added => {
                let elsewhere = mine.iter().filter(|dependent| {
                    let stored = world.cache.get(dependent);
                    let owners = stored.map(|stored| owners(&stored.object)).unwrap_or_default();
                    owners.iter().any(|owner| owner.uid == uid && !means(owner, dependent, &key))
                });
                suspects.extend(elsewhere.cloned());
                self.seen.insert(uid.into(), key.clone());
            }
            ChangeKind::Modified => {}
        }
        if change.kind != ChangeKind::Deleted && turns(FOREGROUND_DELETION) {
            suspects.extend(mine);
            suspects.insert(key.clone());
        }
        if change.kind != ChangeKind::Deleted && turns(ORPHAN) {
            suspects.insert(key);
        }
        suspects.into_iter().for_each(|suspect| self.queue.add(suspect, world.now));
    }

    fn run(&mut self, world: &mut World<'_>) {
        while let Some(key) = self.queue.pop(world.now) {
            match self.look_at(&key, world) {
                Ok(()) => self.queue.forget(&key),
                // It is gone, and the watch will show that.
                Err(error) if error.is_not_found() => self.queue.forget(&key),
                Err(_) => self.queue.retry(key, world.now),
            }
        }
    }

    fn queues(&self, now: Instant) -> Vec<(&'static str, Tally)> {
        vec![("garbage_collector_attempt_to_delete", self.queue.tally(now))]
    }

    fn next_wake(&self) -> Option<Instant> {
        self.queue.next()
    }
}

/// Whether a reference from the object `of` means the object `at`, but for the uid (`ownerReferenceMatchesCoordinates`).
fn means(owner: &OwnerReference, of: &Key, at: &Key) -> bool {
    let namespace = at.namespace.is_empty() || at.namespace == of.namespace;
    namespace && owner.kind == at.kind.name() && *owner.name == *at.name && owner.api_version == at.kind.api_version()
}

/// Whether an object is being deleted and has this finalizer.
fn is_ending_with(meta: &ObjectMeta, finalizer: &str) -> bool {
    meta.deletion_timestamp.is_some() && meta.finalizers.iter().flatten().any(|there| there == finalizer)
}

/// The kind that a reference names; none if the API server doesn't serve it.
fn kind_of(owner: &OwnerReference, world: &World<'_>) -> Option<Kind> {
    let all = Resource::all().iter().map(Resource::as_kind).chain(world.server.custom_kinds());
    let mut kinds = Kind::ALL.iter().copied().chain(all);
    kinds.find(|kind| kind.name() == owner.kind && kind.api_version() == owner.api_version)
}

fn look_up(owner: &OwnerReference, namespace: &str, world: &World<'_>) -> Lookup {
    let Some(kind) = kind_of(owner, world) else { return Lookup::Failed };
    if kind.namespaced() && namespace.is_empty() {
        return Lookup::NoNamespace;
    }
    let key = Key::new(kind, if kind.namespaced() { namespace } else { "" }, &owner.name);
    let found = world.server.get(&key).ok();
    found.map_or(Lookup::NotFound, |stored| Lookup::Found(Box::new(relevant(stored.object.meta()))))
}

/// What of an object's metadata can matter.
fn relevant(meta: &ObjectMeta) -> ObjectMeta {
    ObjectMeta {
        name: meta.name.clone(),
        namespace: meta.namespace.clone(),
        uid: meta.uid.clone(),
        deletion_timestamp: meta.deletion_timestamp.clone(),
        finalizers: meta.finalizers.clone(),
        owner_references: meta.owner_references.clone(),
        ..ObjectMeta::default()
    }
}

impl GarbageCollector {
    fn item(&self, key: &Key, object: &Object, world: &World<'_>) -> Item {
        let relative =
            |object: &Object| Relative { kind: object.kind().name().into(), metadata: relevant(object.meta()) };
        let owners = object.meta().owner_references.iter().flatten().map(|reference| Owner {
            reference: reference.clone(),
            lookup: look_up(reference, &key.namespace, world),
            seen_in: self.seen.get(&reference.uid).map(|at| at.namespace.to_string()),
        });
        let dependents = self.dependents.get(object.uid()).into_iter().flatten();
        let dependents = dependents.filter_map(|dependent| world.cache.get(dependent));
        Item {
            object: relative(object),
            owners: owners.collect(),
            dependents: dependents.map(|stored| relative(&stored.object)).collect(),
        }
    }

    fn look_at(&mut self, key: &Key, world: &mut World<'_>) -> Result<(), Error> {
        let stored = world.server.get(key)?.clone();
        let item = self.item(key, &stored.object, world);
        let mut decision = self.module.process(&item);
        decision.actions.sort_by_key(order);
        self.act(key, &stored.object, &decision, world)?;
        if item.owners.iter().any(|owner| owner.lookup == Lookup::Failed) {
            return Err(Error::internal("an owner can't be looked up"));
        }
        if is_ending_with(&item.object.metadata, FOREGROUND_DELETION) {
            self.hurry(&item, world);
        }
        Ok(())
    }

    /// Has a look at those for whom an owner waits and who aren't waiting themselves (`processDeletingDependentsItem`).
    fn hurry(&mut self, item: &Item, world: &World<'_>) {
        let uid = item.object.uid();
        for dependent in item.dependents.iter().filter(|d| d.metadata.deletion_timestamp.is_none()) {
            let mut owners = dependent.metadata.owner_references.iter().flatten();
            let blocks = owners.any(|owner| owner.uid == uid && owner.block_owner_deletion == Some(true));
            if let Some(key) = self.seen.get(dependent.uid()).filter(|_| blocks) {
                self.queue.add(key.clone(), world.now);
            }
        }
    }

    fn act(&self, key: &Key, object: &Object, decision: &Decision, world: &mut World<'_>) -> Result<(), Error> {
        for action in &decision.actions {
            match action {
                Action::WarnOfNamespace { owner } => warn(object, owner, world),
                Action::DropReferences { of, owners } if of == object.uid() => disown(key, of, owners, world)?,
                Action::DropReferences { of, owners } => {
                    // A module may name anybody; only dependents are its business here.
                    let dependents = self.dependents.get(object.uid());
                    let dependent = self.seen.get(of).filter(|key| dependents.is_some_and(|all| all.contains(*key)));
                    let Some(dependent) = dependent.cloned() else { continue };
                    match disown(&dependent, of, owners, world) {
                        Err(error) if !error.is_not_found() => return Err(error),
                        _ => {}
                    }
                }
                Action::Unblock => change(key, object.uid(), world, |meta| {
                    for owner in meta.owner_references.iter_mut().flatten() {
                        owner.block_owner_deletion = owner.block_owner_deletion.map(|_| false);
                    }
                })?,
                Action::RemoveFinalizer { finalizer } => change(key, object.uid(), world, |meta| {
                    meta.finalizers.iter_mut().for_each(|all| all.retain(|there| there != finalizer));
                })?,
                Action::Delete { propagation } => {
                    let propagation = match propagation {
                        Propagation::Background => kit_server::Propagation::Background,
                        Propagation::Foreground => kit_server::Propagation::Foreground,
                        Propagation::Orphan => kit_server::Propagation::Orphan,
                    };
                    let uid = Some(object.uid().into());
                    world.server.delete(key, &DeleteOptions { uid, propagation, ..DeleteOptions::default() })?;
                }
            }
        }
        Ok(())
    }
}

fn order(action: &Action) -> u8 {
    match action {
        Action::WarnOfNamespace { .. } => 0,
        Action::DropReferences { .. } | Action::Unblock => 1,
        Action::RemoveFinalizer { .. } => 2,
        Action::Delete { .. } => 3,
    }
}

/// `reportInvalidNamespaceOwnerRef` of `graph_builder.go`.
fn warn(object: &Object, uid: &str, world: &mut World<'_>) {
    let mut owners = object.meta().owner_references.iter().flatten();
    let Some(owner) = owners.find(|owner| owner.uid == uid) else { return };
    let OwnerReference { api_version, kind, name, .. } = owner;
    let namespace = object.namespace();
    let message = format!(
        "ownerRef [{api_version}/{kind}, namespace: {namespace}, name: {name}, uid: {uid}] does not exist in namespace \
         {namespace:?}"
    );
    world.server.record(object, "Warning", "OwnerRefInvalidNamespace", &message);
}

/// Changes the metadata of an object, if it is still the same one.
fn change(key: &Key, uid: &str, world: &mut World<'_>, f: impl FnOnce(&mut ObjectMeta)) -> Result<(), Error> {
    let mut object = world.server.get(key)?.object.clone();
    if object.uid() != uid {
        return Err(Error::not_found(key));
    }
    f(object.meta_mut());
    world.server.update(object).map(|_| ())
}

/// Takes references to owners away from an object.
fn disown(key: &Key, uid: &str, owners: &[String], world: &mut World<'_>) -> Result<(), Error> {
    change(key, uid, world, |meta| {
        let there = meta.owner_references.take().unwrap_or_default();
        let rest: Vec<_> = there.into_iter().filter(|owner| !owners.contains(&owner.uid)).collect();
        meta.owner_references = Some(rest).filter(|rest| !rest.is_empty());
    })
}
