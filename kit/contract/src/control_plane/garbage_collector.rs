//! The garbage collector: deletes what has lost its owners, lets owners wait for what they own, and sets it free.
//!
//! Source: `pkg/controller/garbagecollector/garbagecollector.go`, above all `attemptToDeleteItem`.
//!
//! The kit around the controller keeps the graph of who owns whom, as `graph_builder.go` does: it watches, remembers the
//! dependents of each uid, and puts an object into the queue when something happened that may matter to it. What is in
//! the queue is read from the API server, its owners too, and then the module decides. An object may be looked at more
//! often than necessary, and then there is nothing to do.

use crate::{Show, flow};
use kit_api::meta::{ObjectMeta, OwnerReference};
use serde::{Deserialize, Serialize};

// ANCHOR: contract
/// The finalizer of an owner that stays until the dependents that block it are gone.
pub const FOREGROUND_DELETION: &str = "foregroundDeletion";
/// The finalizer of an owner that stays until its dependents have forgotten it.
pub const ORPHAN: &str = "orphan";

contract! {
    /// Decides what becomes of one object.
    pub trait GarbageCollector {
        /// What to do about the object now.
        ///
        /// **Being deleted.** If the object has a `deletionTimestamp`, then
        ///
        /// - with the finalizer `orphan`, each of its dependents loses its references to this object, and the object
        ///   loses the finalizer;
        /// - otherwise, with the finalizer `foregroundDeletion`, the object loses it as soon as no dependent *blocks*: has a
        ///   reference to this object's uid with `blockOwnerDeletion: true`. A dependent that is being deleted
        ///   still blocks;
        /// - otherwise nothing is left to do: deletion doesn't turn back.
        ///
        /// **Owners.** Everything below is about an object that isn't being deleted. One without owner references is
        /// left alone. Each reference is one of three, by what the API server says, whatever the graph shows:
        ///
        /// - *dangling*: nothing was found, or something with another uid than the reference's;
        /// - *waiting*: the owner has a `deletionTimestamp` and the finalizer `foregroundDeletion`;
        /// - *solid*: the owner was found and isn't waiting. An owner that is being deleted in any other way is still solid.
        ///
        /// If one lookup failed, nothing is known: do nothing, the kit asks again later. If there is an owner that
        /// can't be looked up since the object has no namespace, do nothing but what *Wrong namespace* says.
        ///
        /// **What follows.**
        ///
        /// - With a solid owner the object stays, and loses its dangling and its waiting references, if there are any.
        /// - Without a solid owner, if an owner waits and the object has dependents, it is deleted with propagation `Foreground`.
        ///   If one of these dependents waits for its own dependents (`deletionTimestamp` and
        ///   `foregroundDeletion`), there may be a circle, and the object is made to block no owner.
        /// - In all other cases without a solid owner, it is deleted, with the propagation that its own finalizers ask for:
        ///   `orphan`: `Orphan`; otherwise `foregroundDeletion`: `Foreground`; otherwise `Background`.
        ///
        /// **Wrong namespace.** For each reference whose uid the graph has seen in a namespace, and in another one than the
        /// object's, there is a warning, beside everything else. Objects without a namespace may own anything.
        fn process(&self, item: &Item) -> Decision;
    }
}

/// One object and what has to be known of its relatives.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Item {
    /// The object, as the API server has it now.
    pub object: Relative,
    /// Its owners: one for each of its `ownerReferences`, in their order.
    pub owners: Vec<Owner>,
    /// Its dependents, as the graph shows them: all objects with a reference to its uid.
    pub dependents: Vec<Relative>,
}

/// An object, as far as the garbage collector looks at it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Relative {
    /// Its kind.
    pub kind: String,
    /// Its metadata. `namespace` is there unless the object belongs to the whole cluster.
    pub metadata: ObjectMeta,
}

/// One owner reference and what is known of the owner.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Owner {
    /// The reference as the object has it.
    pub reference: OwnerReference,
    /// What the API server has under the kind and the name of the reference.
    pub lookup: Lookup,
    /// The namespace in which the graph has seen an object with the uid of the reference: empty if that object belongs to
    /// the whole cluster, none if no watch has shown such an object, or if it is gone. It may be late.
    #[serde(default)]
    pub seen_in: Option<String>,
}

/// What came of looking up an owner: by kind and name, in the namespace of the object if the kind has namespaces.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Lookup {
    /// There is one of this name.
    Found(Box<ObjectMeta>),
    /// There is none.
    NotFound,
    /// The question wasn't answered: the API server doesn't know the kind (yet), or had an error.
    Failed,
    /// Not asked: the kind has namespaces and the object has none.
    NoNamespace,
}

/// What to do about one object.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// In any order: the kit first warns, then changes references, then removes finalizers, and deletes last. Where
    /// one fails, the rest isn't done, and the object is looked at again.
    pub actions: Vec<Action>,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Records the event `OwnerRefInvalidNamespace` about the object.
    WarnOfNamespace {
        /// The uid in the reference.
        owner: String,
    },
    /// Takes references away, from the object itself or from one of its dependents.
    DropReferences {
        /// The uid of the one that loses them.
        of: String,
        /// The uids in the references.
        owners: Vec<String>,
    },
    /// Sets `blockOwnerDeletion` to false in all references of the object.
    Unblock,
    /// Takes a finalizer away from the object.
    RemoveFinalizer {
        /// Its name.
        finalizer: String,
    },
    /// Deletes the object.
    Delete {
        /// What is to become of its dependents.
        propagation: Propagation,
    },
}

/// What becomes of the dependents of a deleted object (`propagationPolicy`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Propagation {
    /// They are deleted afterwards.
    Background,
    /// The object stays until those that block it are gone.
    Foreground,
    /// They stay, without their owner.
    Orphan,
}

impl Relative {
    /// Its uid; empty if it has none.
    pub fn uid(&self) -> &str {
        self.metadata.uid.as_deref().unwrap_or_default()
    }
}

impl From<Vec<Action>> for Decision {
    fn from(actions: Vec<Action>) -> Self {
        Decision { actions }
    }
}
// ANCHOR_END: contract

impl Show for Decision {
    fn lines(&self) -> Vec<String> {
        // Who loses which reference matters, and not in how many steps.
        let mut lines: Vec<String> = Vec::new();
        let mut dropped = std::collections::BTreeSet::new();
        for action in &self.actions {
            match action {
                Action::DropReferences { of, owners } => dropped.extend(owners.iter().map(|owner| (of, owner))),
                Action::WarnOfNamespace { owner } => {
                    lines.push(format!("warn: {} is in another namespace", flow(owner)))
                }
                Action::Unblock => lines.push("let it block no owner".into()),
                Action::RemoveFinalizer { finalizer } => lines.push(format!("remove finalizer {}", flow(finalizer))),
                Action::Delete { propagation } => lines.push(format!("delete it, {propagation:?}")),
            }
        }
        lines.extend(dropped.iter().map(|(of, owner)| format!("{} loses owner {}", flow(of), flow(owner))));
        lines.sort();
        lines.dedup();
        if lines.is_empty() { vec!["no action".into()] } else { lines }
    }
    fn meaning(&self) -> String {
        let single = |action: &Action| match action {
            Action::DropReferences { of, owners } => {
                let each = |owner: &String| Action::DropReferences { of: of.clone(), owners: vec![owner.clone()] };
                owners.iter().map(each).collect()
            }
            other => vec![other.clone()],
        };
        let singles = self.actions.iter().flat_map(single).map(|action| serde_json::to_string(&action));
        format!("{:?}", singles.flatten().collect::<std::collections::BTreeSet<_>>())
    }
}

impl Show for Item {
    fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("{}: {}", title(&self.object), state(&self.object.metadata))];
        for Owner { reference, lookup, seen_in } in &self.owners {
            let blocks = if reference.block_owner_deletion == Some(true) { ", blocks it" } else { "" };
            let named =
                format!("owner {} {} (uid {}){blocks}", reference.kind, flow(&reference.name), flow(&reference.uid));
            let found = match lookup {
                Lookup::Found(there) if there.uid.as_ref() == Some(&reference.uid) => {
                    format!("found, {}", state(there))
                }
                Lookup::Found(there) => {
                    format!("found one with uid {}, {}", flow(&there.uid.as_deref().unwrap_or_default()), state(there))
                }
                Lookup::NotFound => "not found".into(),
                Lookup::Failed => "the lookup failed".into(),
                Lookup::NoNamespace => "no namespace to look in".into(),
            };
            let seen = match seen_in.as_deref() {
                None => "not in the graph".into(),
                Some("") => "in the graph, of the whole cluster".into(),
                Some(namespace) => format!("in the graph in namespace {}", flow(&namespace)),
            };
            lines.push(format!("{named}: {found}; {seen}"));
        }
        for dependent in &self.dependents {
            let to_it = dependent.metadata.owner_references.iter().flatten();
            let blocks =
                to_it.filter(|owner| owner.uid == self.object.uid()).any(|o| o.block_owner_deletion == Some(true));
            let blocks = if blocks { "blocks it" } else { "doesn't block it" };
            lines.push(format!("dependent {}: {blocks}, {}", title(dependent), state(&dependent.metadata)));
        }
        lines
    }
}

fn title(Relative { kind, metadata }: &Relative) -> String {
    let place = match metadata.namespace.as_deref() {
        Some(namespace) => format!(" in {}", flow(&namespace)),
        None => " of the whole cluster".into(),
    };
    let text = |field: &Option<String>| flow(&field.as_deref().unwrap_or_default());
    format!("{} {}{place} (uid {})", flow(kind), text(&metadata.name), text(&metadata.uid))
}

fn state(metadata: &ObjectMeta) -> String {
    let mut parts = vec![if metadata.deletion_timestamp.is_some() { "being deleted" } else { "alive" }.to_string()];
    let finalizers = metadata.finalizers.clone().unwrap_or_default();
    if !finalizers.is_empty() {
        parts.push(format!("finalizers {}", flow(&finalizers)));
    }
    parts.join(", ")
}
