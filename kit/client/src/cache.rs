//! What a component knows of the cluster: a copy of the objects that it watches, as old as its watch is slow.
//!
//! Upstream: `client-go/tools/cache` (reflector, store, indexer).

use crate::selectors::demanded;
use kit_api::core::Pod;
use kit_api::owner;
use kit_api::selector::{Labels, Selector};
use kit_apimachinery::object::{AsKind, Key, Kind};
use kit_server::{Change, ChangeKind, Stored};
use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

type Objects = BTreeMap<Key, Arc<Stored>>;

/// The objects of some kinds, by namespace and name, and by the uid of their controller; pods also by their labels.
#[derive(Debug, Default)]
pub struct Cache {
    objects: BTreeMap<Kind, Objects>,
    /// From when it was first asked for.
    controlled: OnceCell<Controlled>,
    /// From when it was first asked for.
    labelled: OnceCell<Labelled>,
}

/// The objects of [indexed] kinds by the uid of their controller; what has none stands under "".
type Controlled = BTreeMap<(Kind, String), Objects>;

/// Pods by namespace, label and its value.
type Labelled = BTreeMap<(String, String, String), BTreeSet<Key>>;

fn indexed(kind: Kind) -> bool {
    matches!(kind, Kind::Pod | Kind::ReplicaSet | Kind::Job | Kind::ControllerRevision)
}

fn labels(pod: &Stored) -> impl Iterator<Item = (String, String, String)> {
    let labels = pod.object.meta().labels.iter().flatten();
    labels.map(|(label, value)| (pod.key.namespace.to_string(), label.clone(), value.clone()))
}

fn controller(stored: &Stored) -> (Kind, String) {
    let owner = owner::controller_of(stored.object.meta());
    (stored.key.kind, owner.map_or(String::new(), |owner| owner.uid.clone()))
}

impl Cache {
    /// Takes over one change.
    pub fn apply(&mut self, change: &Change) {
        let key = &change.object.key;
        let objects = self.objects.entry(key.kind).or_default();
        let previous = match change.kind {
            ChangeKind::Deleted => objects.remove(key),
            _ => objects.insert(key.clone(), change.object.clone()),
        };
        if let Some(labelled) = self.labelled.get_mut().filter(|_| key.kind == Kind::Pod) {
            relabel(
                labelled,
                previous.as_deref(),
                Some(&*change.object).filter(|_| change.kind != ChangeKind::Deleted),
            );
        }
        let Some(controlled) = self.controlled.get_mut().filter(|_| indexed(key.kind)) else { return };
        if let Some(siblings) = previous.and_then(|previous| controlled.get_mut(&controller(&previous))) {
            siblings.remove(key);
        }
        if change.kind != ChangeKind::Deleted {
            let siblings = controlled.entry(controller(&change.object)).or_default();
            siblings.insert(key.clone(), change.object.clone());
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
        objects.take_while(move |(key, _)| *key.namespace == *namespace).filter_map(|(_, stored)| stored.get())
    }

    /// The objects of a type in one namespace whose controller has this uid; those without a controller for "".
    pub fn controlled_by<'a, T: AsKind + 'static>(
        &'a self,
        namespace: &'a str,
        uid: &str,
    ) -> impl Iterator<Item = &'a T> {
        self.stored_controlled_by(T::KIND, namespace, uid).filter_map(|stored| stored.get())
    }

    /// The same for objects of a kind: pods, replica sets, jobs or revisions of workloads.
    pub fn stored_controlled_by<'a>(
        &'a self,
        kind: Kind,
        namespace: &'a str,
        uid: &str,
    ) -> impl Iterator<Item = &'a Arc<Stored>> + use<'a> {
        let siblings = self.controlled.get_or_init(|| self.by_controller()).get(&(kind, uid.to_string()));
        let siblings = siblings.into_iter().flat_map(move |siblings| siblings.range(Key::new(kind, namespace, "")..));
        siblings.take_while(move |(key, _)| *key.namespace == *namespace).map(|(_, stored)| stored)
    }

    /// The pods in one namespace that a selector means, by name.
    pub fn selected<'a>(&'a self, namespace: &'a str, selector: &Selector) -> Vec<&'a Pod> {
        let none = Labels::new();
        let matches = |pod: &&Pod| selector.matches(pod.metadata.labels.as_ref().unwrap_or(&none));
        let labels = demanded(selector).map(|(label, values)| self.labelled(namespace, label, values));
        match labels.min_by_key(BTreeSet::len) {
            Some(keys) => keys.into_iter().filter_map(|key| self.get(key)?.get()).filter(matches).collect(),
            None => self.list::<Pod>(namespace).filter(matches).collect(),
        }
    }

    /// The pods that have one of these values of a label.
    fn labelled(&self, namespace: &str, label: &str, values: &[String]) -> BTreeSet<&Key> {
        let labelled = self.labelled.get_or_init(|| {
            let mut labelled = Labelled::default();
            self.stored(Kind::Pod).for_each(|pod| relabel(&mut labelled, None, Some(pod)));
            labelled
        });
        let keys = values.iter().map(|value| labelled.get(&(namespace.into(), label.into(), value.clone())));
        keys.flatten().flatten().collect()
    }

    fn by_controller(&self) -> Controlled {
        let mut controlled = Controlled::default();
        let objects = self.objects.iter().filter(|(kind, _)| indexed(**kind)).flat_map(|(_, objects)| objects);
        for (key, stored) in objects {
            controlled.entry(controller(stored)).or_default().insert(key.clone(), stored.clone());
        }
        controlled
    }
}

/// Takes over how the labels of a pod have changed.
fn relabel(labelled: &mut Labelled, before: Option<&Stored>, after: Option<&Stored>) {
    if let (Some(before), Some(after)) = (before, after)
        && before.object.meta().labels == after.object.meta().labels
    {
        return;
    }
    for (pod, label) in before.into_iter().flat_map(|pod| labels(pod).map(move |label| (pod, label))) {
        if let Some(keys) = labelled.get_mut(&label) {
            keys.remove(&pod.key);
            if keys.is_empty() {
                labelled.remove(&label);
            }
        }
    }
    for (pod, label) in after.into_iter().flat_map(|pod| labels(pod).map(move |label| (pod, label))) {
        labelled.entry(label).or_default().insert(pod.key.clone());
    }
}
