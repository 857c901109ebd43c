//! Passes: a chain of rules, each of which may decide; drops references one by one, and warns in the end.

use kit::api::meta::ObjectMeta;
use kit::control_plane::GarbageCollector;
use kit::control_plane::garbage_collector::{Action, Decision, Item, Lookup, Propagation};

#[derive(Default)]
struct Exercise;

type Rule = fn(&Item) -> Option<Vec<Action>>;

/// The first rule that has an opinion decides.
const RULES: [Rule; 6] = [orphaning, foreground, ending, unknown, kept, lost];

impl GarbageCollector for Exercise {
    fn process(&self, item: &Item) -> Decision {
        let decided = RULES.iter().find_map(|rule| rule(item)).unwrap_or_default();
        let mut actions: Vec<Action> = decided.into_iter().rev().collect();
        if item.object.metadata.deletion_timestamp.is_none() && !any(item, |lookup, _| *lookup == Lookup::Failed) {
            let home = item.object.metadata.namespace.clone().unwrap_or_default();
            actions.extend(item.owners.iter().filter_map(|owner| {
                let seen = owner.seen_in.as_ref()?;
                (!seen.is_empty() && *seen != home)
                    .then(|| Action::WarnOfNamespace { owner: owner.reference.uid.clone() })
            }));
        }
        Decision { actions }
    }
}

fn orphaning(item: &Item) -> Option<Vec<Action>> {
    ends_with(&item.object.metadata, "orphan").then(|| {
        let owners = vec![item.object.uid().to_string()];
        let mut actions = vec![Action::RemoveFinalizer { finalizer: "orphan".into() }];
        let freed = item.dependents.iter();
        actions.extend(freed.map(|d| Action::DropReferences { of: d.uid().into(), owners: owners.clone() }));
        actions
    })
}

fn foreground(item: &Item) -> Option<Vec<Action>> {
    let all = item.dependents.iter().filter_map(|dependent| dependent.metadata.owner_references.as_ref()).flatten();
    let mut blocking = all.filter(|owner| owner.block_owner_deletion.unwrap_or(false));
    let blocked = blocking.any(|owner| owner.uid == item.object.uid());
    let go_on = || vec![Action::RemoveFinalizer { finalizer: "foregroundDeletion".into() }];
    ends_with(&item.object.metadata, "foregroundDeletion").then(|| if blocked { Vec::new() } else { go_on() })
}

fn ending(item: &Item) -> Option<Vec<Action>> {
    (item.object.metadata.deletion_timestamp.is_some() || item.owners.is_empty()).then(Vec::new)
}

fn unknown(item: &Item) -> Option<Vec<Action>> {
    any(item, |lookup, _| matches!(lookup, Lookup::Failed | Lookup::NoNamespace)).then(Vec::new)
}

fn kept(item: &Item) -> Option<Vec<Action>> {
    any(item, solid).then(|| {
        let gone = item.owners.iter().filter(|owner| !solid(&owner.lookup, &owner.reference.uid));
        let drop = |uid: &String| Action::DropReferences { of: item.object.uid().into(), owners: vec![uid.clone()] };
        gone.map(|owner| drop(&owner.reference.uid)).collect()
    })
}

fn lost(item: &Item) -> Option<Vec<Action>> {
    let waited_for = any(item, |lookup, uid| right_one(lookup, uid).is_some()) && !item.dependents.is_empty();
    let circle = waited_for && item.dependents.iter().any(|d| ends_with(&d.metadata, "foregroundDeletion"));
    let has = |name: &str| item.object.metadata.finalizers.iter().flatten().any(|there| there == name);
    let propagation = match (waited_for, has("orphan"), has("foregroundDeletion")) {
        (true, ..) | (false, false, true) => Propagation::Foreground,
        (false, true, _) => Propagation::Orphan,
        (false, false, false) => Propagation::Background,
    };
    let mut actions = vec![Action::Delete { propagation }];
    actions.extend(circle.then_some(Action::Unblock));
    Some(actions)
}

fn any(item: &Item, holds: impl Fn(&Lookup, &str) -> bool) -> bool {
    item.owners.iter().any(|owner| holds(&owner.lookup, &owner.reference.uid))
}

/// The owner, if the reference means it.
fn right_one<'a>(lookup: &'a Lookup, uid: &str) -> Option<&'a ObjectMeta> {
    match lookup {
        Lookup::Found(there) => Some(&**there).filter(|there| there.uid.as_deref() == Some(uid)),
        _ => None,
    }
}

fn solid(lookup: &Lookup, uid: &str) -> bool {
    right_one(lookup, uid).is_some_and(|owner| !ends_with(owner, "foregroundDeletion"))
}

fn ends_with(meta: &ObjectMeta, finalizer: &str) -> bool {
    let held = meta.finalizers.iter().flatten().any(|there| there == finalizer);
    held && meta.deletion_timestamp.is_some()
}

kit::exercise!(Exercise: kit::control_plane::GarbageCollector);
