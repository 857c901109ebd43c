//! The StatefulSet controller: pods with ordinals, made, replaced and taken away in order.
//!
//! Sources: `pkg/controller/statefulset/stateful_set_control.go` (`updateStatefulSet`, `processReplica`,
//! `processCondemned`) and `stateful_set_utils.go` (`newVersionedStatefulSetPod`, `updateClaimOwnerRefForSetAndPod`).
//!
//! The kit around the controller does the rest of the work: it watches, adopts and releases pods, finds the revision of
//! the set's template, makes pods and claims from their templates, tells events, writes the status, and asks again
//! whenever the set or one of its pods changes, or a pod has been ready for long enough.

use crate::show::unordered;
use crate::{Show, flow};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// No sync creates more pods (`MaxBatchSize`).
pub const MAX_CREATES: usize = 500;

// ANCHOR: contract
contract! {
    /// Keeps the pods of one StatefulSet.
    pub trait StatefulSetController {
        /// Who owns the claims of a pod, and so takes them along when it is deleted.
        ///
        /// A pod is *condemned* if its ordinal is none of those that the set wants.
        ///
        /// - With `when_scaled: Delete`, the claims of a condemned pod belong to that pod.
        /// - Otherwise, with `when_deleted: Delete`, they belong to the set; the claims of other pods, too.
        /// - Otherwise they belong to nobody.
        fn claim_owner(&self, retention: &Retention, condemned: bool) -> ClaimOwner;

        /// What to do now, in any order: the kit makes the claims of a pod before the pod, goes from the lowest
        /// ordinal to the highest, and deletes from the highest to the lowest. An action that is there twice is done once.
        ///
        /// The set wants the ordinals from `start` on, `replicas` in number; pods with other ordinals are condemned.
        /// A pod is called `<set>-<ordinal>`, and its claims `<template>-<set>-<ordinal>`, one for each claim template.
        /// A claim that is terminating can't be used any more, and so it is missing, too: it is asked for, the kit meets
        /// with refusal, and asks you again until it is gone.
        ///
        /// A set that is being deleted does nothing. Otherwise a sync has three parts. With `OrderedReady` it ends
        /// where it is said that it *ends in order*; with `Parallel` it goes on there.
        ///
        /// **1. The wanted pods**, from the lowest ordinal to the highest:
        ///
        /// - One that is missing is created: first those of its claims that are missing, then the pod itself. Its
        ///   revision is the current one if its ordinal is below `start` + `partition`, else the update revision; with
        ///   `OnDelete` the update revision. But if `when_scaled` is `Delete` and one of its claims is
        ///   `of_earlier_pod`, nothing is created for it in this sync: the claim goes away with that pod.
        ///   Either way the sync ends in order. If it has created 500 pods, it ends also with `Parallel`.
        /// - One that has finished (`Succeeded`, `Failed`) is deleted, unless it is terminating. The sync ends in order.
        /// - For one that is `Pending` those of its claims that are missing are created.
        /// - If it is terminating or not `Available`, the sync ends in order.
        /// - If it has `drifted`, it is updated.
        ///
        /// **2. The condemned pods.** All that have drifted are updated. Then, from the highest ordinal to the
        /// lowest:
        ///
        /// - One that is terminating is waited for: the sync ends in order.
        /// - With `OrderedReady`, one that isn't `Available` is waited for, too, unless it is the first unhealthy one
        ///   of all condemned pods, from the lowest ordinal on. A pod is *healthy* if it is `Ready` or `Available`, and not
        ///   terminating.
        /// - Any other is deleted, and the sync ends in order.
        ///
        /// **3. The update.** A wanted pod is *old* if its revision isn't the update revision and it isn't terminating.
        /// It doesn't matter in which part it is looked at: pods are what they were when the sync began.
        ///
        /// - With `OnDelete` nothing is replaced.
        /// - With `RollingUpdate`, the pods from `start` + `partition` on are looked at from the highest ordinal to the
        ///   lowest. The first one that is old, missing or not healthy is the last one that is looked at: if it is old,
        ///   it is deleted.
        /// - If there is a `max_unavailable`, it is another rule: of the same pods, in the same order, the old ones are
        ///   deleted, as many as `max_unavailable` less the wanted pods, of all ordinals, that are missing or not
        ///   healthy.
        fn sync(&self, request: &SyncRequest) -> SyncResult;
    }
}

/// What one sync sees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SyncRequest {
    /// The set.
    pub set: SetView,
    /// Its pods as the cache shows them now, in any order. No two have the same ordinal.
    #[serde(default)]
    pub pods: Vec<PodView>,
    /// Claims that the cache shows now. Some of them may be none of the set's.
    #[serde(default)]
    pub claims: Vec<ClaimView>,
}

/// The StatefulSet, as far as decisions go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetView {
    /// Its name.
    pub name: String,
    /// `spec.ordinals.start`: the first ordinal. Not below 0.
    #[serde(default)]
    pub start: i32,
    /// `spec.replicas`. Not below 0; `start` + `replicas` is a number of 32 bits.
    pub replicas: i32,
    /// `spec.podManagementPolicy`.
    #[serde(default)]
    pub policy: PodManagementPolicy,
    /// `spec.updateStrategy`.
    #[serde(default)]
    pub update: UpdateStrategy,
    /// `status.currentRevision`: what the pods were before an update began.
    pub current_revision: String,
    /// The revision of the template of now: what the pods shall be.
    pub update_revision: String,
    /// The names of `spec.volumeClaimTemplates`.
    #[serde(default)]
    pub claim_templates: Vec<String>,
    /// `spec.persistentVolumeClaimRetentionPolicy`.
    #[serde(default)]
    pub retention: Retention,
    /// Whether it is being deleted.
    #[serde(default)]
    pub deleting: bool,
}

/// Whether pods wait for each other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum PodManagementPolicy {
    /// One after the other.
    #[default]
    OrderedReady,
    /// All at once; only an update takes one after the other.
    Parallel,
}

/// How old pods are replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum UpdateStrategy {
    /// From the highest ordinal to the lowest.
    RollingUpdate {
        /// So many pods at the beginning stay as they are. Not below 0; it may be more than there are.
        #[serde(default)]
        partition: i32,
        /// How many may be missing or not healthy, at least 1. None unless the feature gate `MaxUnavailableStatefulSet` is
        /// on, as it isn't in 1.33.
        #[serde(default)]
        max_unavailable: Option<i32>,
    },
    /// When somebody deletes them.
    OnDelete,
}

impl Default for UpdateStrategy {
    fn default() -> Self {
        UpdateStrategy::RollingUpdate { partition: 0, max_unavailable: None }
    }
}

/// What becomes of claims.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// When the set is deleted.
    #[serde(default)]
    pub when_deleted: Keep,
    /// When the set is scaled down.
    #[serde(default)]
    pub when_scaled: Keep,
}

/// Whether claims are kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Keep {
    /// They are.
    #[default]
    Retain,
    /// They are deleted.
    Delete,
}

/// Who owns a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClaimOwner {
    /// It is kept until somebody deletes it.
    Nobody,
    /// It goes with the set.
    StatefulSet,
    /// It goes with the pod.
    Pod,
}

/// One pod of the set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PodView {
    /// The number in its name.
    pub ordinal: i32,
    /// The label `controller-revision-hash`: what it was made of.
    pub revision: String,
    /// How it is.
    pub state: PodState,
    /// Whether it has a deletion timestamp. It is there until its kubelet says that its containers have ended.
    #[serde(default)]
    pub terminating: bool,
    /// Whether one of its labels, its volumes or the owners of its claims isn't what it should be.
    #[serde(default)]
    pub drifted: bool,
}

/// The phase of a pod, and how ready one is that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PodState {
    /// It waits for a node, for its volumes, or for its containers to start.
    Pending,
    /// It runs and isn't ready.
    NotReady,
    /// It runs and is ready, but not for `minReadySeconds` yet.
    Ready,
    /// It runs and has been ready for long enough.
    Available,
    /// All its containers have ended well.
    Succeeded,
    /// Its containers have ended, and not all well.
    Failed,
}

/// One claim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClaimView {
    /// Its name.
    pub name: String,
    /// Whether it has a deletion timestamp.
    #[serde(default)]
    pub terminating: bool,
    /// Whether it belongs to an earlier pod of the same name as the pod whose claim it is.
    #[serde(default)]
    pub of_earlier_pod: bool,
}

/// What one sync decides.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncResult {
    /// In any order.
    pub actions: Vec<Action>,
}

/// Something to do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Creates a claim from its template.
    CreateClaim {
        /// Its name.
        name: String,
    },
    /// Creates a pod.
    CreatePod {
        /// Its ordinal.
        ordinal: i32,
        /// The revision that it is made of.
        revision: String,
    },
    /// Gives a pod the labels and volumes, and its claims the owner, that they should have.
    UpdatePod {
        /// Its ordinal.
        ordinal: i32,
    },
    /// Deletes a pod.
    DeletePod {
        /// Its ordinal.
        ordinal: i32,
    },
}
// ANCHOR_END: contract

impl Show for ClaimOwner {
    fn lines(&self) -> Vec<String> {
        let owner = match self {
            ClaimOwner::Nobody => "nobody",
            ClaimOwner::StatefulSet => "the StatefulSet",
            ClaimOwner::Pod => "the pod",
        };
        vec![owner.into()]
    }
}

impl Show for Retention {
    fn lines(&self) -> Vec<String> {
        vec![format!("whenDeleted {:?}, whenScaled {:?}", self.when_deleted, self.when_scaled)]
    }
}

impl Show for SyncResult {
    fn lines(&self) -> Vec<String> {
        let actions: BTreeSet<&Action> = self.actions.iter().collect();
        let mut lines: Vec<String> = (actions.into_iter())
            .map(|action| match action {
                Action::CreateClaim { name } => format!("create claim {}", flow(name)),
                Action::CreatePod { ordinal, revision } => format!("create pod {ordinal} of {}", flow(revision)),
                Action::UpdatePod { ordinal } => format!("update pod {ordinal}"),
                Action::DeletePod { ordinal } => format!("delete pod {ordinal}"),
            })
            .collect();
        if lines.is_empty() {
            lines.push("no action".into());
        }
        lines
    }
    fn meaning(&self) -> String {
        unordered(self.actions.iter().collect::<BTreeSet<_>>())
    }
}

impl Show for SyncRequest {
    fn lines(&self) -> Vec<String> {
        let mut lines = self.set.lines();
        let mut pods: Vec<&PodView> = self.pods.iter().collect();
        pods.sort_by_key(|pod| pod.ordinal);
        lines.extend(pods.into_iter().flat_map(Show::lines));
        if self.pods.is_empty() {
            lines.push("no pods".into());
        }
        if !self.claims.is_empty() {
            let claim = |claim: &ClaimView| {
                let ends = if claim.terminating { " (terminating)" } else { "" };
                let of_earlier = if claim.of_earlier_pod { " (of an earlier pod)" } else { "" };
                format!("{}{ends}{of_earlier}", flow(&claim.name))
            };
            lines.push(format!("claims {}", self.claims.iter().map(claim).collect::<Vec<_>>().join(", ")));
        }
        lines
    }
}

impl Show for SetView {
    fn lines(&self) -> Vec<String> {
        let update = match self.update {
            UpdateStrategy::OnDelete => "OnDelete".to_string(),
            UpdateStrategy::RollingUpdate { partition, max_unavailable } => {
                let most = max_unavailable.map_or(String::new(), |most| format!(", maxUnavailable {most}"));
                format!("RollingUpdate, partition {partition}{most}")
            }
        };
        let (current, next) = (flow(&self.current_revision), flow(&self.update_revision));
        let revisions = if current == next { current } else { format!("{current} → {next}") };
        let ends = if self.deleting { ", being deleted" } else { "" };
        let start = if self.start == 0 { String::new() } else { format!(" from {} on", self.start) };
        let mut lines =
            vec![format!("{}: {} replicas{start}, {:?}{ends}", flow(&self.name), self.replicas, self.policy)];
        lines.push(format!("{update}, revision {revisions}"));
        if !self.claim_templates.is_empty() {
            let names: Vec<_> = self.claim_templates.iter().map(flow).collect();
            lines.push(format!("claim templates {}, {}", names.join(", "), self.retention.lines().concat()));
        }
        lines
    }
}

impl Show for PodView {
    fn lines(&self) -> Vec<String> {
        let PodView { ordinal, revision, state, terminating, drifted } = self;
        let mut line = format!("pod {ordinal} of {}: {state:?}", flow(revision));
        line += if *terminating { ", terminating" } else { "" };
        line += if *drifted { ", drifted" } else { "" };
        vec![line]
    }
}
