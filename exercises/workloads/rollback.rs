//! # What a Deployment remembers, and how it goes back
//!
//! A Deployment keeps a replica set for each of its templates, and a number in an annotation of each. That is its whole
//! history. You say which set belongs to the template of now, count revisions, forget the oldest ones, undo a rollout as
//! `kubectl rollout undo` does, and tell a rollout that has failed from one that takes its time.
//!
//! About 45 minutes · builds on nothing · book: "Rollbacks: revisions and undo" · stuck? `cargo grade hint workloads/rollback`
//!
//! Given to you:
//!
//! - `kit::workloads::rollback::HASH: &str`: a label
//! - `kit::workloads::rollback::REVISION: &str` and `kit::workloads::rollback::REVISION_HISTORY: &str`: annotations
//! - `kit::workloads::rollback::OWN: [&str; 6]`: the annotations that aren't copied
//! - `kit::workloads::rollback::HISTORY_LENGTH: usize`
//! - `kit::workloads::rollback::PodTemplateSpec.metadata: Option<kit::api::meta::ObjectMeta>`
//! - `kit::api::meta::ObjectMeta.labels: Option<BTreeMap<String, String>>`

use kit::workloads::DeploymentHistory;
use kit::workloads::rollback::{
    Annotations, HASH, HISTORY_LENGTH, OWN, PodTemplateSpec, REVISION, REVISION_HISTORY, Rollout, RolloutView, SetView,
    Undo, UndoRequest,
};

/// The history is on the replica sets; the module remembers nothing.
#[derive(Default)]
struct Exercise;

impl DeploymentHistory for Exercise {
    /// The name of the set that has this template, apart from the label `HASH`. No labels at all are the same as an
    /// empty map of them. Of several the one that was created first, and of those the first by name.
    fn new_set(&self, template: &PodTemplateSpec, sets: &[SetView]) -> Option<String> {
        let _ = (template, sets, HASH);
        todo!("compare templates without the hash")
    }

    /// The annotations that the new set is to have. `new` are those that it has now, `old` are all other sets.
    ///
    /// 1. It gets all annotations of the Deployment but those in `OWN`, over its own. It loses none.
    /// 2. Its revision becomes the highest one of the old sets (0 if there is none, or none that is positive) plus 1, if
    ///    that is more than its own; without the annotation `REVISION` its own is 0. An old set whose annotation is no
    ///    number doesn't count. If the new set's own annotation is no number, nothing changes, the first rule included.
    /// 3. If it had the annotation `REVISION` and a revision was put in its place, the one that it had is added to the
    ///    end of `REVISION_HISTORY`, with a comma between two. If that gets longer than `HISTORY_LENGTH`, it loses as
    ///    many as necessary from its beginning.
    fn annotate(&self, deployment: &Annotations, new: &Annotations, old: &[SetView]) -> Annotations {
        let _ = (deployment, new, old, OWN, REVISION, REVISION_HISTORY, HISTORY_LENGTH);
        todo!("copy, count, remember")
    }

    /// The names of the old sets to delete.
    ///
    /// Sets that are being deleted don't count. As many of the others as there are more than `limit` are candidates,
    /// from the lowest revision up; of equal revisions the set that was created first, and of those the first by name.
    /// A candidate stays if it is in use: if `replicas` or `pods` isn't 0, or if its `observed_generation` is less
    /// than its `generation`. No other set is deleted in its place. Candidates keep their order.
    fn forget(&self, limit: i32, old: &[SetView]) -> Vec<String> {
        let _ = (limit, old);
        todo!("first who is too many, then who of them may go")
    }

    /// What `kubectl rollout undo` sends. Rules that come first win.
    ///
    /// 1. Find the set with the revision `to`; for 0 the one with the second highest of all revisions. One whose
    ///    annotation is no number has no revision, and no two have the same. `NotFound` or, for 0, `NoHistory` if there
    ///    is no such set.
    /// 2. `Paused` if the Deployment is.
    /// 3. `Unchanged` if the set's template is the Deployment's, apart from the label `HASH`.
    /// 4. A patch with the set's template without that label. Its annotations are those of the Deployment in `OWN`, and
    ///    those of the set that aren't. All others are gone.
    fn undo(&self, request: &UndoRequest) -> Undo {
        let _ = (request, Undo::Unchanged);
        todo!("find the set, then look at what speaks against it")
    }

    /// How a rollout stands, as `kubectl rollout status` says it. Rules that come first win.
    ///
    /// 1. `Unobserved` if `observed_generation` is less than `generation`.
    /// 2. `Failed` if the reason in `progressing` is `ProgressDeadlineExceeded`.
    /// 3. `Updating` while fewer than `replicas` pods are `updated`.
    /// 4. `Terminating` while there are more `pods` than `updated` ones.
    /// 5. `Starting` while fewer pods are `available` than `updated`.
    /// 6. `Done`.
    fn status(&self, rollout: &RolloutView) -> Rollout {
        let _ = (rollout, Rollout::Done);
        todo!("what makes all other fields worthless?")
    }
}

kit::exercise!(Exercise: DeploymentHistory);
