//! The reference for `control_plane/garbage_collector`: who waits, who is set free, who is deleted, and how.

use kit::api::meta::{ObjectMeta, OwnerReference};
use kit::control_plane::GarbageCollector;
use kit::control_plane::garbage_collector::{
    Action, Decision, FOREGROUND_DELETION, Item, Lookup, ORPHAN, Owner, Propagation, Relative,
};

// ANCHOR: solution
/// The collector remembers nothing: the graph is the kit's.
#[derive(Default)]
pub struct Exercise;

impl GarbageCollector for Exercise {
    fn process(&self, item: &Item) -> Decision {
        if item.object.metadata.deletion_timestamp.is_some() { being_deleted(item) } else { alive(item) }.into()
    }
}

// ANCHOR: being_deleted
fn being_deleted(item: &Item) -> Vec<Action> {
    let Item { object, dependents, .. } = item;
    if has(&object.metadata, ORPHAN) {
        let set_free = dependents.iter().map(|dependent| drop_references(dependent, vec![object.uid().into()]));
        return set_free.chain([remove_finalizer(ORPHAN)]).collect();
    }
    let blocked = dependents.iter().any(|dependent| references(dependent).any(|owner| blocks(owner, object)));
    if has(&object.metadata, FOREGROUND_DELETION) && !blocked {
        return vec![remove_finalizer(FOREGROUND_DELETION)];
    }
    Vec::new()
}

fn blocks(reference: &OwnerReference, owner: &Relative) -> bool {
    reference.uid == owner.uid() && reference.block_owner_deletion == Some(true)
}
// ANCHOR_END: being_deleted

// ANCHOR: alive
fn alive(item: &Item) -> Vec<Action> {
    if item.owners.iter().any(|owner| owner.lookup == Lookup::Failed) {
        return Vec::new();
    }
    let mut actions = warnings(item);
    if item.owners.is_empty() || item.owners.iter().any(|owner| owner.lookup == Lookup::NoNamespace) {
        return actions;
    }
    let is = |class: Class| move |owner: &&Owner| classify(owner) == class;
    let waiting = item.owners.iter().any(|owner| is(Class::Waiting)(&owner));
    if item.owners.iter().any(|owner| is(Class::Solid)(&owner)) {
        // The waiting ones, too: they would wait for ever for an object that stays.
        let lost = item.owners.iter().filter(|owner| !is(Class::Solid)(owner));
        let lost: Vec<String> = lost.map(|owner| owner.reference.uid.clone()).collect();
        actions.extend((!lost.is_empty()).then(|| drop_references(&item.object, lost)));
    } else if waiting && !item.dependents.is_empty() {
        let in_a_circle = item.dependents.iter().any(|dependent| waits(&dependent.metadata));
        actions.extend(in_a_circle.then_some(Action::Unblock));
        actions.push(Action::Delete { propagation: Propagation::Foreground });
    } else {
        actions.push(Action::Delete { propagation: asked_for(&item.object.metadata) });
    }
    actions
}

fn asked_for(metadata: &ObjectMeta) -> Propagation {
    match () {
        () if has(metadata, ORPHAN) => Propagation::Orphan,
        () if has(metadata, FOREGROUND_DELETION) => Propagation::Foreground,
        () => Propagation::Background,
    }
}
// ANCHOR_END: alive

// ANCHOR: classify
/// What becomes of a reference (`classifyReferences`).
#[derive(PartialEq)]
enum Class {
    Solid,
    Dangling,
    Waiting,
}

fn classify(Owner { reference, lookup, .. }: &Owner) -> Class {
    match lookup {
        Lookup::Found(there) if there.uid.as_ref() != Some(&reference.uid) => Class::Dangling,
        Lookup::Found(there) if waits(there) => Class::Waiting,
        Lookup::Found(_) => Class::Solid,
        _ => Class::Dangling,
    }
}

/// Whether an object waits until its dependents are gone.
fn waits(metadata: &ObjectMeta) -> bool {
    metadata.deletion_timestamp.is_some() && has(metadata, FOREGROUND_DELETION)
}
// ANCHOR_END: classify

fn warnings(item: &Item) -> Vec<Action> {
    let own = item.object.metadata.namespace.as_deref().unwrap_or_default();
    let elsewhere = |owner: &&Owner| owner.seen_in.as_deref().is_some_and(|seen| !seen.is_empty() && seen != own);
    let wrong = item.owners.iter().filter(elsewhere);
    wrong.map(|owner| Action::WarnOfNamespace { owner: owner.reference.uid.clone() }).collect()
}

fn has(metadata: &ObjectMeta, finalizer: &str) -> bool {
    metadata.finalizers.iter().flatten().any(|there| there == finalizer)
}

fn references(object: &Relative) -> impl Iterator<Item = &OwnerReference> {
    object.metadata.owner_references.iter().flatten()
}

fn drop_references(of: &Relative, owners: Vec<String>) -> Action {
    Action::DropReferences { of: of.uid().into(), owners }
}

fn remove_finalizer(finalizer: &str) -> Action {
    Action::RemoveFinalizer { finalizer: finalizer.into() }
}
// ANCHOR_END: solution
