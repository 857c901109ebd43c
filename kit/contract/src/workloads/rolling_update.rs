//! The Deployment controller: how large each replica set should be, during a rollout and when it is scaled.
//!
//! Sources: `pkg/controller/deployment/rolling.go`, `recreate.go` and `sync.go`, and
//! `pkg/controller/deployment/util/deployment_util.go` (`ResolveFenceposts`, `NewRSNewReplicas`, `GetProportion`).
//!
//! The kit around the controller does the rest of the work: it watches, finds out which replica set has the
//! Deployment's template, names a new one after the template's hash, counts revisions and deletes the oldest, writes
//! the two annotations, the events, the status and its conditions, and watches the progress deadline. It asks again
//! whenever a replica set changes.

use crate::{Show, flow};
pub use kit_api::int_or_percent::IntOrString;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

// ANCHOR: contract
contract! {
    /// Decides the sizes of the replica sets of one Deployment. A *size* is always `spec.replicas` of a replica set.
    pub trait DeploymentController {
        /// How many pods more than `replicas` there may be, and how many of them may be unavailable
        /// (`ResolveFenceposts`, `MaxUnavailable`).
        ///
        /// Either is a number or a percentage of `replicas`. A percentage of the surge is rounded up, of the
        /// unavailable pods down. If both come to 0, one pod may be unavailable, since otherwise nothing could
        /// move. No more pods can be unavailable than `replicas`.
        fn fenceposts(&self, update: &RollingUpdate, replicas: i32) -> Fenceposts;

        /// What to do now. An action names only a set whose size changes.
        ///
        /// A set is *active* if its size isn't 0. The *new* set is the one with the Deployment's template, all
        /// others are *old*. `minAvailable` is `replicas` minus the pods that may be unavailable.
        ///
        /// **Which way.** If the Deployment is paused, or if an active set has `desired_replicas` other than
        /// `replicas`, the Deployment is scaled. Otherwise it is rolled out, as its strategy says.
        ///
        /// **Scaling** (`scale` of `sync.go`). Never creates a set.
        ///
        /// 1. If at most one set is active, that one gets the size `replicas`. If none is: the new set, or without a
        ///    new one the youngest of the old ones.
        /// 2. If the new set is saturated, the active old ones get the size 0. It is if its size, its
        ///    `desired_replicas` and its available pods are all equal to `replicas`.
        /// 3. With the strategy `Recreate`, nothing else is done. With `RollingUpdate`, what is missing to `replicas`
        ///    plus surge (to 0 if `replicas` is 0), or what is above it, is shared out among the active sets, largest
        ///    first; of equally large ones the younger first to grow, the older first to shrink. The share of a set
        ///    is its size × (`replicas` + surge) ÷ its `max_replicas`, rounded to the nearest whole number (a half
        ///    away from zero), less its size. If `replicas` is 0 it is minus its size; otherwise, if `max_replicas`
        ///    is 0, it is 0. A share is never more than what is left: while sets grow it is at most what is left,
        ///    while they shrink it is no further below 0 than what is left. (A share may have the other sign. Then
        ///    more is left than before.) As soon as nothing is left, every further share is 0. What is left after the
        ///    last set is added to the first one, whose size doesn't fall below 0.
        ///
        /// **RollingUpdate** (`rolling.go`).
        ///
        /// 1. *The new set.* If it isn't there, it is created, as large as is possible: at most `replicas`, and at
        ///    most the room that the sizes of all sets leave below `replicas` plus surge; with 0 if there is no room.
        ///    If it is smaller than `replicas`, it grows by as much of the difference as there is room for. If it is
        ///    larger, it shrinks to `replicas`. If it grew or shrank, this sync does nothing else. If it was created,
        ///    the sync goes on with it, none of its pods being available.
        /// 2. *How many.* The active old sets may lose, together, the sum of all sizes less `minAvailable` less the
        ///    pods of the new set that aren't available (its size less its available pods). If that isn't more than
        ///    0, nothing else is done.
        /// 3. *The unhealthy ones first.* From the oldest active old set to the youngest, each loses the pods that
        ///    aren't available (its size less its available pods), up to that number for all together; when it is
        ///    used up, no further set is looked at. If, before that, a set has more available pods than its size, its
        ///    status is behind: nothing else is done in this sync.
        /// 4. *The others.* If more pods are available than `minAvailable`, in the new set and in the sets that were
        ///    active, the old ones lose the difference, from the oldest to the youngest, none below 0.
        ///
        /// **Recreate** (`recreate.go`). If old sets are active, they get the size 0, and this sync does nothing else.
        /// While `old_pods_running`, nothing is done. Then the new set is created with `replicas`, or gets that size.
        fn sync(&self, request: &SyncRequest) -> SyncResult;
    }
}

/// How far a rolling update may go beyond and below the number of replicas.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RollingUpdate {
    /// `maxSurge`.
    pub max_surge: IntOrString,
    /// `maxUnavailable`.
    pub max_unavailable: IntOrString,
}

/// The numbers of pods that a [`RollingUpdate`] comes to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fenceposts {
    /// Pods beyond the number of replicas.
    pub surge: i32,
    /// Pods of them that may be unavailable.
    pub unavailable: i32,
}

/// What one sync sees.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SyncRequest {
    /// `spec.replicas` of the Deployment.
    pub replicas: i32,
    /// `spec.paused`.
    #[serde(default)]
    pub paused: bool,
    /// `spec.strategy`.
    pub strategy: Strategy,
    /// The replica sets of the Deployment as the cache shows them now, the oldest first.
    #[serde(default)]
    pub replica_sets: Vec<ReplicaSetView>,
    /// Whether pods of old sets are there that haven't finished, pods that are being deleted among them. `Recreate`
    /// waits for them.
    #[serde(default)]
    pub old_pods_running: bool,
}

/// How old pods are replaced by new ones.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Strategy {
    /// A few at a time.
    RollingUpdate(RollingUpdate),
    /// All old ones go before the first new one comes.
    Recreate,
}

/// One replica set, as far as the decision goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplicaSetView {
    /// Its name.
    pub name: String,
    /// Whether it has the Deployment's template. At most one has.
    #[serde(default)]
    pub new: bool,
    /// Its size: `spec.replicas`.
    pub replicas: i32,
    /// `status.availableReplicas`: what the ReplicaSet controller last counted.
    #[serde(default)]
    pub available: i32,
    /// The annotation `deployment.kubernetes.io/desired-replicas`: the Deployment's `spec.replicas` when it last sized
    /// this set. None if the annotation is missing or is no number.
    #[serde(default)]
    pub desired_replicas: Option<i32>,
    /// The annotation `deployment.kubernetes.io/max-replicas`: that number plus the surge, at the same time. If it is
    /// missing, the Deployment's `status.replicas`.
    #[serde(default)]
    pub max_replicas: i32,
}

/// What one sync decides.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncResult {
    /// In the order in which they are done. Where several are about one set, the last one counts.
    pub actions: Vec<Action>,
}

/// One request to the API server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Creates a replica set from the Deployment's template.
    CreateNew {
        /// Its size.
        replicas: i32,
    },
    /// Gives a replica set another size.
    Scale {
        /// The replica set.
        name: String,
        /// Its size from now on.
        replicas: i32,
    },
}
// ANCHOR_END: contract

impl Show for Fenceposts {
    fn lines(&self) -> Vec<String> {
        vec![format!("surge {}", self.surge), format!("unavailable {}", self.unavailable)]
    }
}

impl Show for RollingUpdate {
    fn lines(&self) -> Vec<String> {
        vec![format!("maxSurge {}, maxUnavailable {}", flow(&self.max_surge), flow(&self.max_unavailable))]
    }
}

impl Show for SyncResult {
    fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut sizes = BTreeMap::new();
        for action in &self.actions {
            match action {
                Action::CreateNew { replicas } => lines.push(format!("create the new replica set with {replicas}")),
                Action::Scale { name, replicas } => _ = sizes.insert(name, replicas),
            }
        }
        lines.extend(sizes.into_iter().map(|(name, replicas)| format!("scale {} to {replicas}", flow(name))));
        if lines.is_empty() {
            lines.push("no action".into());
        }
        lines
    }
    /// Of two sizes of one replica set the later one counts.
    fn meaning(&self) -> String {
        let (mut created, mut sizes) = (Vec::new(), BTreeMap::new());
        for action in &self.actions {
            match action {
                Action::CreateNew { replicas } => created.push(replicas),
                Action::Scale { name, replicas } => _ = sizes.insert(name, replicas),
            }
        }
        format!("{created:?} {sizes:?}")
    }
}

impl Show for SyncRequest {
    fn lines(&self) -> Vec<String> {
        let strategy = match &self.strategy {
            Strategy::RollingUpdate(update) => update.lines().concat(),
            Strategy::Recreate => "Recreate".into(),
        };
        let mut first = format!("{} replicas, {strategy}", self.replicas);
        if self.paused {
            first += ", paused";
        }
        if self.old_pods_running {
            first += ", old pods are running";
        }
        let mut lines = vec![first];
        lines.extend(self.replica_sets.iter().flat_map(Show::lines));
        if self.replica_sets.is_empty() {
            lines.push("no replica sets".into());
        }
        lines
    }
}

impl Show for ReplicaSetView {
    fn lines(&self) -> Vec<String> {
        let ReplicaSetView { name, new, replicas, available, desired_replicas, max_replicas } = self;
        let desired = desired_replicas.map_or("none".into(), |desired| desired.to_string());
        vec![format!(
            "{} ({}): size {replicas}, {available} available, desired-replicas {desired}, max-replicas {max_replicas}",
            flow(name),
            if *new { "new" } else { "old" },
        )]
    }
}
