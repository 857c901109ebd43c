//! The garbage collector, as far as owners and background deletion go: what lost all its owners is deleted.
//!
//! Source: `pkg/controller/garbagecollector/garbagecollector.go`.

use crate::agenda::Instant;
use crate::engine::{Component, World};
use crate::object::{Key, Kind};
use crate::server::{Change, ChangeKind, DeleteOptions};
use std::collections::BTreeSet;

/// Deletes dependents whose owners are gone.
#[derive(Default)]
pub struct GarbageCollector {
    /// Objects whose owners should be looked at.
    suspects: BTreeSet<Key>,
}

impl Component for GarbageCollector {
    fn name(&self) -> &'static str {
        "garbage-collector"
    }

    fn watches(&self) -> &'static [Kind] {
        &[Kind::Deployment, Kind::ReplicaSet, Kind::Pod, Kind::Service, Kind::EndpointSlice]
    }

    fn observe(&mut self, change: &Change, world: &mut World<'_>) {
        let object = &change.object.object;
        match change.kind {
            ChangeKind::Deleted => {
                for kind in self.watches() {
                    let dependents = world.cache.stored(*kind).filter(|stored| {
                        stored.object.meta().owner_references.iter().flatten().any(|owner| owner.uid == object.uid())
                    });
                    self.suspects.extend(dependents.map(|stored| stored.object.key()));
                }
            }
            ChangeKind::Added if object.meta().owner_references.is_some() => _ = self.suspects.insert(object.key()),
            _ => {}
        }
    }

    fn run(&mut self, world: &mut World<'_>) {
        for key in std::mem::take(&mut self.suspects) {
            let Ok(stored) = world.server.get(&key) else { continue };
            let owners = stored.object.meta().owner_references.clone().unwrap_or_default();
            // Owners are compared by uid: another object of the same name is another owner.
            let exists = |owner: &kit_api::meta::OwnerReference| {
                let kind = Kind::named(&owner.kind);
                kind.is_none_or(|kind| {
                    let owner_key = Key::new(kind, if kind.namespaced() { &key.namespace } else { "" }, &owner.name);
                    world.server.get(&owner_key).is_ok_and(|there| there.object.uid() == owner.uid)
                })
            };
            if !owners.is_empty() && !owners.iter().any(exists) {
                let options = DeleteOptions { uid: Some(stored.object.uid().into()), ..DeleteOptions::default() };
                _ = world.server.delete(&key, &options);
            }
        }
    }

    fn next_wake(&self) -> Option<Instant> {
        None
    }
}
