//! # A controller that keeps as many pods as were asked for
//!
//! A ReplicaSet is the smallest controller that shows how all of them work: look at what there is, compare it with
//! what should be, do what is missing, and say what you found. You write one such look. It adopts and releases pods,
//! doesn't trust a cache that lags behind, creates and deletes, and picks with care whom it deletes.
//!
//! About 45 minutes · builds on nothing · book: "ReplicaSets: one look at a time" · stuck? `cargo grade hint workloads/replica_set`
//!
//! Given to you:
//!
//! - `kit::api::pod::is_active: fn(&Pod) -> bool`: neither finished nor being deleted
//! - `kit::api::pod::phase: fn(&Pod) -> &str`
//! - `kit::api::pod::node_name: fn(&Pod) -> Option<&str>`
//! - `kit::api::pod::is_ready: fn(&Pod) -> bool`
//! - `kit::api::pod::ready_since: fn(&Pod) -> Option<Timestamp>`
//! - `kit::api::pod::is_available: fn(&Pod, i32, Timestamp) -> bool`: the pod, `minReadySeconds`, the time
//! - `kit::api::pod::deletion_cost: fn(&Pod) -> i32`: 0 if there is none, or no number
//! - `kit::api::pod::max_restarts: fn(&Pod) -> (i32, i32)`: the greatest of its containers, and of its sidecars
//! - `kit::api::owner::controller_of: fn(&kit::api::meta::ObjectMeta) -> Option<&kit::api::meta::OwnerReference>`
//! - `kit::api::selector::matches: fn(&kit::api::meta::LabelSelector, Option<&BTreeMap<String, String>>) -> bool`
//! - `kit::api::meta::OwnerReference.uid: String`
//! - `kit::api::meta::ObjectMeta.name: Option<String>`
//! - `kit::api::meta::ObjectMeta.uid: Option<String>`
//! - `kit::api::meta::ObjectMeta.labels: Option<BTreeMap<String, String>>`
//! - `kit::api::meta::ObjectMeta.generation: Option<i64>`
//! - `kit::api::meta::ObjectMeta.creation_timestamp: Option<kit::api::meta::Time>`
//! - `kit::api::meta::ObjectMeta.deletion_timestamp: Option<kit::api::meta::Time>`
//! - `kit::api::meta::Time.0: Timestamp`
//! - `kit::api::apps::ReplicaSetSpec.replicas: Option<i32>`
//! - `kit::api::apps::ReplicaSetSpec.min_ready_seconds: Option<i32>`
//! - `kit::api::apps::ReplicaSetSpec.selector: kit::api::meta::LabelSelector`
//! - `kit::api::apps::ReplicaSetSpec.template: Option<kit::api::core::PodTemplateSpec>`

use kit::api::core::Pod;
use kit::api::jiff::Timestamp;
use kit::workloads::ReplicaSetController;
use kit::workloads::replica_set::{SyncRequest, SyncResult};

/// The controller remembers nothing between two syncs: all that it knows is in the request.
#[derive(Default)]
struct Exercise;

impl ReplicaSetController for Exercise {
    /// What to do now, and what the replica set's status is.
    ///
    /// - **Active pods.** Finished and terminating pods are no business of the controller. `kit::api::pod` knows them.
    /// - **Claims.** Keep the active pods that have this replica set as their controller (`kit::api::owner`, compared
    ///   by uid) and match its selector (`kit::api::selector`); release those that don't match. Adopt those that
    ///   match and have no controller; they count at once. Leave all others alone. A replica set that is being
    ///   deleted neither adopts nor releases.
    /// - **Replicas.** Unless something is still expected or the replica set is being deleted, create or delete the
    ///   difference, at most 500 pods.
    /// - **Status.** Count the claimed pods as they were found, before the creates and deletes.
    /// - **Again.** With `minReadySeconds`, if the number of ready pods is right and that of available ones isn't yet,
    ///   ask for another sync after so many seconds.
    fn sync(&self, request: &SyncRequest) -> SyncResult {
        let _ = (request, deletion_order);
        todo!("claim the active pods, then create or delete, then count")
    }
}

/// The pods in the order in which a replica set gives them up, the first ones first.
///
/// Each rule decides only where those before it don't:
///
/// 1. without a node, before with a node;
/// 2. phase `Pending`, then `Unknown`, then `Running`;
/// 3. not ready, before ready;
/// 4. the lower deletion cost;
/// 5. the one with more active pods out of `related` on its node; these are all pods of the namespace that match one
///    of the request's related selectors, each of them once;
/// 6. of two ready pods, the one that is ready since later, on the logarithmic scale;
/// 7. the greater `max_restarts`;
/// 8. the one that was created later, on the logarithmic scale.
///
/// The logarithmic scale, where two times differ: the age in nanoseconds counts as its base 2 logarithm, rounded down
/// (`ilog2`), and an age of 0 or less counts as less than all others. The lesser goes first, and of two alike the one
/// with the lower uid. A pod without the time goes before one that has it.
fn deletion_order<'a>(pods: &[&'a Pod], related: &[&Pod], now: Timestamp) -> Vec<&'a Pod> {
    let _ = (pods, related, now);
    todo!("compare two pods by the first rule that tells them apart, then sort")
}

kit::exercise!(Exercise: kit::workloads::ReplicaSetController);
