//! Passes: boils the question down to a few facts and looks the answer up in one table; it deletes first and says why afterwards.

use kit::api::meta::ObjectMeta;
use kit::control_plane::GarbageCollector;
use kit::control_plane::garbage_collector::{
    Action, Decision, FOREGROUND_DELETION, Item, Lookup, ORPHAN, Owner, Propagation,
};
use std::collections::BTreeSet;

#[derive(Default)]
struct Exercise;

/// What is done, without the details.
enum Verdict {
    Nothing,
    SetFree,
    GoOn,
    Keep,
    Delete(Propagation),
    /// In the foreground, since an owner waits for it.
    DeleteForOwner,
}

/// One object, as far as it decides anything.
#[derive(Clone, Copy)]
struct State {
    ending: bool,
    orphans: bool,
    foreground: bool,
}

impl State {
    fn of(meta: &ObjectMeta) -> Self {
        let finalizers: BTreeSet<&str> = meta.finalizers.iter().flatten().map(String::as_str).collect();
        State {
            ending: meta.deletion_timestamp.is_some(),
            orphans: finalizers.contains(ORPHAN),
            foreground: finalizers.contains(FOREGROUND_DELETION),
        }
    }

    fn waits(self) -> bool {
        self.ending && self.foreground
    }
}

#[derive(Default)]
struct Owners {
    solid: BTreeSet<String>,
    lost: BTreeSet<String>,
    one_waits: bool,
    unasked: bool,
    failed: bool,
}

impl Owners {
    fn note(mut self, owner: &Owner) -> Self {
        let uid = owner.reference.uid.clone();
        let found = match &owner.lookup {
            Lookup::Found(there) => Some(there).filter(|there| there.uid.as_deref().is_some_and(|there| there == uid)),
            Lookup::NotFound => None,
            Lookup::Failed => {
                self.failed = true;
                return self;
            }
            Lookup::NoNamespace => {
                self.unasked = true;
                return self;
            }
        };
        let waits = found.is_some_and(|there| State::of(there).waits());
        self.one_waits |= waits;
        let class = if found.is_some() && !waits { &mut self.solid } else { &mut self.lost };
        class.insert(uid);
        self
    }
}

impl GarbageCollector for Exercise {
    fn process(&self, item: &Item) -> Decision {
        let Item { object, owners: all, dependents, .. } = item;
        let owners = all.iter().fold(Owners::default(), Owners::note);
        let state = State::of(&object.metadata);
        let is_blocked = || {
            let references = dependents.iter().filter_map(|dependent| dependent.metadata.owner_references.as_deref());
            references.flatten().any(|owner| (owner.uid.as_str(), owner.block_owner_deletion) == (object.uid(), Some(true)))
        };
        let silent = all.is_empty() || owners.failed;
        let verdict = match (state.ending, state.orphans, state.foreground) {
            (true, true, _) => Verdict::SetFree,
            (true, false, true) if !is_blocked() => Verdict::GoOn,
            (true, false, _) => Verdict::Nothing,
            (false, ..) if silent || owners.unasked => Verdict::Nothing,
            (false, ..) if !owners.solid.is_empty() => Verdict::Keep,
            (false, ..) if owners.one_waits && !dependents.is_empty() => Verdict::DeleteForOwner,
            (false, true, _) => Verdict::Delete(Propagation::Orphan),
            (false, false, true) => Verdict::Delete(Propagation::Foreground),
            (false, false, false) => Verdict::Delete(Propagation::Background),
        };

        let finalizer = |name: &str| Action::RemoveFinalizer { finalizer: name.to_string() };
        let me = object.uid().to_string();
        let mut actions = match verdict {
            Verdict::Nothing => vec![],
            Verdict::GoOn => vec![finalizer(FOREGROUND_DELETION)],
            Verdict::SetFree => {
                let free = |uid: &str| Action::DropReferences { of: uid.to_string(), owners: vec![me.clone()] };
                [finalizer(ORPHAN)].into_iter().chain(dependents.iter().map(|one| free(one.uid()))).collect()
            }
            Verdict::Keep if owners.lost.is_empty() => vec![],
            Verdict::Keep => vec![Action::DropReferences { of: me, owners: owners.lost.into_iter().collect() }],
            Verdict::Delete(propagation) => vec![Action::Delete { propagation }],
            Verdict::DeleteForOwner => {
                let circle = dependents.iter().filter(|one| State::of(&one.metadata).waits());
                // Said once for each that waits: it is the same each time.
                [Action::Delete { propagation: Propagation::Foreground }]
                    .into_iter()
                    .chain(circle.map(|_| Action::Unblock))
                    .collect()
            }
        };
        if !state.ending && !silent {
            let home = object.metadata.namespace.as_deref().unwrap_or("");
            for owner in all {
                match owner.seen_in.as_deref() {
                    None | Some("") => {}
                    Some(seen) if seen == home => {}
                    Some(_) => actions.push(Action::WarnOfNamespace { owner: owner.reference.uid.clone() }),
                }
            }
        }
        Decision { actions }
    }
}

kit::exercise!(Exercise: GarbageCollector);
