//! # The garbage collector: owners, dependents and finalizers
//!
//! Objects own objects: a Deployment its ReplicaSets, these their pods. Nothing in the API server deletes what an object
//! owns; a controller does. You write its decision about one object: does it stay, does it wait, does it go, and in which
//! way, so that nothing is left behind and nothing dies by mistake.
//!
//! About 35 minutes · builds on nothing · book: "Garbage collection: owners, dependents and finalizers" · stuck? `cargo grade hint control_plane/garbage_collector`
//!
//! Given to you:
//!
//! - `ObjectMeta.uid: Option<String>`
//! - `ObjectMeta.namespace: Option<String>`
//! - `ObjectMeta.deletion_timestamp: Option<kit::api::meta::Time>`
//! - `ObjectMeta.finalizers: Option<Vec<String>>`
//! - `ObjectMeta.owner_references: Option<Vec<kit::api::meta::OwnerReference>>`
//! - `kit::api::meta::OwnerReference.uid: String`
//! - `kit::api::meta::OwnerReference.block_owner_deletion: Option<bool>`

use kit::api::meta::ObjectMeta;
use kit::control_plane::GarbageCollector;
use kit::control_plane::garbage_collector::{
    Action, Decision, FOREGROUND_DELETION, Item, Lookup, ORPHAN, Owner, Propagation,
};

/// The collector remembers nothing between two questions: the graph is the kit's.
#[derive(Default)]
struct Exercise;

impl GarbageCollector for Exercise {
    /// What to do about the object now. `item.object` and each `owner.lookup` come from the API server, just now;
    /// `item.dependents` and `owner.seen_in` come from the graph and may be late.
    ///
    /// **Being deleted.** If the object has a `deletionTimestamp`, then
    ///
    /// - with the finalizer `orphan`, each of its dependents loses its references to this object, and the object
    ///   loses the finalizer;
    /// - otherwise, with the finalizer `foregroundDeletion`, the object loses it as soon as no dependent *blocks*: has a
    ///   reference to this object's uid with `blockOwnerDeletion: true`. A dependent that is being deleted
    ///   still blocks;
    /// - otherwise nothing is left to do.
    ///
    /// **Not being deleted.** Without owners there is nothing to do, and nothing while one lookup is `Failed`. Else
    ///
    /// - warn of each reference whose uid the graph has seen in a namespace that isn't the object's own;
    /// - if one lookup is `NoNamespace`, that is all;
    /// - with a solid owner the object stays, and loses its other references, if there are any;
    /// - without one, if an owner waits and the object has dependents, delete it with `Foreground`; and if one of the
    ///   dependents waits as well, `Unblock` it;
    /// - otherwise delete it, as its own finalizers ask for: `orphan`: `Orphan`; otherwise `foregroundDeletion`:
    ///   `Foreground`; otherwise `Background`.
    fn process(&self, item: &Item) -> Decision {
        let _ = (item, classify, waits, ORPHAN, FOREGROUND_DELETION, Action::Unblock, Propagation::Background);
        todo!("two cases: it is being deleted, or its owners decide")
    }
}

/// The three classes of references.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    /// The owner was found, with the uid of the reference, and it doesn't wait for its dependents.
    Solid,
    /// Nothing was found, or something with another uid.
    Dangling,
    /// The owner waits for its dependents to go.
    Waiting,
}

/// The class of one reference. Only the API server counts, whatever the graph shows.
fn classify(owner: &Owner) -> Class {
    let _ = (owner, Lookup::NotFound, Class::Solid, Class::Dangling, Class::Waiting);
    todo!("look at what was found, and compare the uids first")
}

/// Whether an object waits until its dependents are gone: it has a `deletionTimestamp` and the finalizer
/// `foregroundDeletion`.
fn waits(metadata: &ObjectMeta) -> bool {
    let _ = metadata;
    todo!("both, not one of them")
}

kit::exercise!(Exercise: kit::control_plane::GarbageCollector);
