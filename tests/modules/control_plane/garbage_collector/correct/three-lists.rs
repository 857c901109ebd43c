//! Passes: sorts the references into three lists, as upstream does, and decides by which of them are empty.

use kit::api::meta::ObjectMeta;
use kit::control_plane::GarbageCollector;
use kit::control_plane::garbage_collector::{Action, Decision, Item, Lookup, Propagation, Relative};

#[derive(Default)]
struct Exercise;

impl GarbageCollector for Exercise {
    fn process(&self, item: &Item) -> Decision {
        let mut decision = Decision::default();
        decide(item, &mut decision.actions);
        decision
    }
}

fn decide(item: &Item, actions: &mut Vec<Action>) {
    let own = &item.object.metadata;
    let me = own.uid.clone().unwrap_or_default();
    if own.deletion_timestamp.is_some() {
        if has(own, "orphan") {
            for dependent in &item.dependents {
                actions.push(Action::DropReferences { of: uid(dependent), owners: vec![me.clone()] });
            }
            actions.push(Action::RemoveFinalizer { finalizer: "orphan".into() });
            return;
        }
        if !has(own, "foregroundDeletion") {
            return;
        }
        let mut blocking = 0;
        for dependent in &item.dependents {
            for owner in dependent.metadata.owner_references.iter().flatten() {
                if owner.uid == me && owner.block_owner_deletion == Some(true) {
                    blocking += 1;
                }
            }
        }
        if blocking == 0 {
            actions.push(Action::RemoveFinalizer { finalizer: "foregroundDeletion".into() });
        }
        return;
    }
    if item.owners.is_empty() {
        return;
    }
    let (mut solid, mut dangling, mut waiting) = (Vec::new(), Vec::new(), Vec::new());
    let mut unasked = false;
    for owner in &item.owners {
        let name = owner.reference.uid.clone();
        match &owner.lookup {
            Lookup::Failed => return actions.clear(),
            Lookup::NoNamespace => unasked = true,
            Lookup::NotFound => dangling.push(name.clone()),
            Lookup::Found(there) => {
                if there.uid.as_deref() != Some(name.as_str()) {
                    dangling.push(name.clone());
                } else if there.deletion_timestamp.is_some() && has(there, "foregroundDeletion") {
                    waiting.push(name.clone());
                } else {
                    solid.push(name.clone());
                }
            }
        }
        if let Some(seen) = &owner.seen_in {
            if seen != "" && Some(seen) != own.namespace.as_ref() {
                actions.push(Action::WarnOfNamespace { owner: name });
            }
        }
    }
    if unasked {
        return;
    }
    if !solid.is_empty() {
        let lost = [dangling, waiting].concat();
        if !lost.is_empty() {
            actions.push(Action::DropReferences { of: me, owners: lost });
        }
        return;
    }
    let mut propagation = Propagation::Background;
    if has(own, "foregroundDeletion") {
        propagation = Propagation::Foreground;
    }
    if has(own, "orphan") {
        propagation = Propagation::Orphan;
    }
    if !waiting.is_empty() && !item.dependents.is_empty() {
        propagation = Propagation::Foreground;
        for dependent in &item.dependents {
            let meta = &dependent.metadata;
            if meta.deletion_timestamp.is_some() && has(meta, "foregroundDeletion") {
                actions.push(Action::Unblock);
                break;
            }
        }
    }
    actions.push(Action::Delete { propagation });
}

fn uid(object: &Relative) -> String {
    object.metadata.uid.clone().unwrap_or_default()
}

fn has(meta: &ObjectMeta, finalizer: &str) -> bool {
    meta.finalizers.as_ref().is_some_and(|all| all.iter().any(|there| there == finalizer))
}

kit::exercise!(Exercise: kit::control_plane::GarbageCollector);
