//! What a component knows of the cluster: a copy of the objects that it watches, as old as its watch is slow.
//!
//! Upstream: `client-go/tools/cache` (reflector, store, indexer).

use crate::object::{AsKind, Key, Kind};
use crate::server::{Change, ChangeKind, Stored};
use kit_api::owner;
use std::collections::BTreeMap;
use std::sync::Arc;

type Objects = BTreeMap<Key, Arc<Stored>>;

/// The objects of some kinds, by namespace and name, and by the uid of their controller.
#[derive(Debug, Default)]
pub struct Cache {
    objects: BTreeMap<Kind, Objects>,
    /// What has no controller stands under "".
    controlled: BTreeMap<(Kind, String), Objects>,
}

impl Cache {
    /// Takes over one change.
    pub fn apply(&mut self, change: &Change) {
        let object = &change.object.object;
        let key = object.key();
        let kind = key.kind;
        let controller =
            |stored: &Stored| owner::controller_of(stored.object.meta()).map_or("".into(), |o| o.uid.clone());
        let objects = self.objects.entry(kind).or_default();
        let previous = match change.kind {
            ChangeKind::Deleted => objects.remove(&key),
            _ => objects.insert(key.clone(), change.object.clone()),
        };
        if !indexed(kind) {
            return;
        }
        if let Some(previous) = previous
            && let Some(siblings) = self.controlled.get_mut(&(kind, controller(&previous)))
        {
            siblings.remove(&key);
        }
        if change.kind != ChangeKind::Deleted {
            let siblings = self.controlled.entry((kind, controller(&change.object))).or_default();
            siblings.insert(key, change.object.clone());
        }
    }

    /// One object.
    pub fn get(&self, key: &Key) -> Option<&Arc<Stored>> {
        self.objects.get(&key.kind)?.get(key)
    }

    /// All objects of a kind, by namespace and name.
    pub fn stored(&self, kind: Kind) -> impl Iterator<Item = &Arc<Stored>> {
        self.objects.get(&kind).into_iter().flat_map(|objects| objects.values())
    }

    /// One object as its type.
    pub fn fetch<T: AsKind + 'static>(&self, namespace: &str, name: &str) -> Option<&T> {
        self.get(&Key::new(T::KIND, namespace, name))?.get()
    }

    /// All objects of a type, by namespace and name.
    pub fn all<T: AsKind + 'static>(&self) -> impl Iterator<Item = &T> {
        self.objects.get(&T::KIND).into_iter().flat_map(|objects| objects.values()).filter_map(|stored| stored.get())
    }

    /// The objects of a type in one namespace, by name.
    pub fn list<'a, T: AsKind + 'static>(&'a self, namespace: &'a str) -> impl Iterator<Item = &'a T> {
        let from = Key::new(T::KIND, namespace, "");
        let objects = self.objects.get(&T::KIND).into_iter().flat_map(move |objects| objects.range(from.clone()..));
        objects.take_while(move |(key, _)| key.namespace == namespace).filter_map(|(_, stored)| stored.get())
    }

    /// The objects of a type in one namespace whose controller has this uid; those without a controller for "".
    pub fn controlled_by<'a, T: AsKind + 'static>(
        &'a self,
        namespace: &'a str,
        uid: &str,
    ) -> impl Iterator<Item = &'a T> {
        let siblings = self.controlled.get(&(T::KIND, uid.to_string()));
        let siblings = siblings.into_iter().flatten().filter(move |(key, _)| key.namespace == namespace);
        siblings.filter_map(|(_, stored)| stored.get())
    }
}

fn indexed(kind: Kind) -> bool {
    matches!(kind, Kind::Pod | Kind::ReplicaSet)
}
