//! The history of a Deployment: which replica set is which revision, what is forgotten, and how to go back.
//!
//! Sources: `pkg/controller/deployment/util/deployment_util.go` (`FindNewReplicaSet`, `SetNewReplicaSetAnnotations`),
//! `pkg/controller/deployment/sync.go` (`cleanupDeployment`), and of kubectl
//! `staging/src/k8s.io/kubectl/pkg/polymorphichelpers/rollback.go` and `rollout_status.go`.
//!
//! The kit's Deployment controller asks the first three questions; `workloads/rolling_update` decides about sizes. The
//! last two are asked by whoever does what kubectl does. Clean-up is asked for when a rollout is complete, or while the
//! Deployment is paused.

use crate::{Show, flow};
pub use kit_api::core::PodTemplateSpec;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

// ANCHOR: contract
/// The label of a replica set, its template and its pods that tells the sets of one Deployment apart.
pub const HASH: &str = "pod-template-hash";
/// The annotation that says which revision a replica set is, and which one a Deployment is at.
pub const REVISION: &str = "deployment.kubernetes.io/revision";
/// The annotation that lists the revisions that a replica set was before.
pub const REVISION_HISTORY: &str = "deployment.kubernetes.io/revision-history";
/// Annotations that a Deployment and its replica sets have each for themselves (`annotationsToSkip`).
pub const OWN: [&str; 6] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    REVISION_HISTORY,
    "deployment.kubernetes.io/desired-replicas",
    "deployment.kubernetes.io/max-replicas",
    "deprecated.deployment.rollback.to",
];
/// The most characters that [`REVISION_HISTORY`] has.
pub const HISTORY_LENGTH: usize = 2000;

/// Annotations by their keys.
pub type Annotations = BTreeMap<String, String>;

contract! {
    /// Keeps the history of one Deployment, and goes back in it.
    ///
    /// The *revision* of a replica set is the number in its annotation [`REVISION`], 0 without one.
    pub trait DeploymentHistory {
        /// The name of the new set: the one that has the Deployment's template, apart from the label [`HASH`]. No
        /// labels at all are the same as an empty map of them. Of several it is the one that was created first, and of
        /// those the first by name. The sets come in any order.
        fn new_set(&self, template: &PodTemplateSpec, sets: &[SetView]) -> Option<String>;

        /// The annotations that the new set is to have. `new` are those that it has now: none if it is about to be
        /// created. `old` are all other sets of the Deployment.
        ///
        /// 1. It gets all annotations of the Deployment but those in [`OWN`], over its own. It loses none.
        /// 2. Its revision becomes the highest one of the old sets (0 if there is none, or none that is positive) plus
        ///    1, if that is more than its own. An old set whose annotation is no number doesn't count. If the new set's
        ///    own annotation is no number, nothing changes, the first rule included.
        /// 3. If it had the annotation [`REVISION`] and a revision was put in its place, the one that it had is added
        ///    to the end of [`REVISION_HISTORY`], with a comma between two. If that gets longer than
        ///    [`HISTORY_LENGTH`], it loses as many as necessary from its beginning.
        fn annotate(&self, deployment: &Annotations, new: &Annotations, old: &[SetView]) -> Annotations;

        /// The names of the old sets to delete, candidates in their order; `limit` is `revisionHistoryLimit`.
        ///
        /// Sets that are being deleted don't count. As many of the others as there are more than `limit` are candidates,
        /// from the lowest revision up; of equal revisions the set that was created first, and of those the first by
        /// name. Every revision is a number here. A candidate stays if it is in use: if it should have pods (`replicas`), has
        /// pods (`pods`), or has an `observed_generation` less than its `generation`. No other set is deleted in its place.
        fn forget(&self, limit: i32, old: &[SetView]) -> Vec<String>;

        /// What `kubectl rollout undo --to-revision` sends, `to` being the revision, or 0 for the previous one. Rules
        /// that come first win.
        ///
        /// 1. The set with that revision; or for 0 the one with the second highest of all revisions, wherever the
        ///    Deployment is. No two sets have the same revision, and one whose annotation is no number has none.
        ///    `NotFound` or, for 0, `NoHistory` if there is no such set.
        /// 2. `Paused` if the Deployment is.
        /// 3. `Unchanged` if the set's template is the Deployment's, apart from the label [`HASH`].
        /// 4. A patch with the set's template without that label. Its annotations are those of the Deployment in
        ///    [`OWN`], and those of the set that aren't. All others are gone.
        fn undo(&self, request: &UndoRequest) -> Undo;

        /// How a rollout stands, as `kubectl rollout status` says it. Rules that come first win.
        ///
        /// 1. `Unobserved` if `observed_generation` is less than `generation`.
        /// 2. `Failed` if the condition `Progressing` has the reason `ProgressDeadlineExceeded`.
        /// 3. `Updating` while fewer than `replicas` pods are `updated`.
        /// 4. `Terminating` while there are more `pods` than `updated` ones.
        /// 5. `Starting` while fewer pods are `available` than `updated`.
        /// 6. `Done`.
        fn status(&self, rollout: &RolloutView) -> Rollout;
    }
}

/// One replica set of the Deployment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetView {
    /// Its name.
    pub name: String,
    /// When it was created, in seconds since 1970.
    #[serde(default)]
    pub created: i64,
    /// `metadata.annotations`.
    #[serde(default)]
    pub annotations: Annotations,
    /// `spec.template`.
    #[serde(default)]
    pub template: PodTemplateSpec,
    /// How many pods it should have: `spec.replicas`.
    #[serde(default)]
    pub replicas: i32,
    /// How many it has: `status.replicas`.
    #[serde(default)]
    pub pods: i32,
    /// `metadata.generation`: counts the changes of its spec.
    #[serde(default)]
    pub generation: i64,
    /// `status.observedGeneration`: which of these changes its status is about.
    #[serde(default)]
    pub observed_generation: i64,
    /// Whether it is being deleted.
    #[serde(default)]
    pub deleting: bool,
}

/// A wish to go back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UndoRequest {
    /// The revision to go back to; 0 for the previous one. It is never below 0.
    #[serde(default)]
    pub to: i64,
    /// `spec.paused` of the Deployment.
    #[serde(default)]
    pub paused: bool,
    /// `spec.template` of the Deployment.
    #[serde(default)]
    pub template: PodTemplateSpec,
    /// `metadata.annotations` of the Deployment.
    #[serde(default)]
    pub annotations: Annotations,
    /// All its replica sets, in any order.
    #[serde(default)]
    pub sets: Vec<SetView>,
}

/// What becomes of the wish.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(clippy::large_enum_variant, reason = "asked once by a person, and simpler to write without a box")]
pub enum Undo {
    /// The Deployment gets these.
    Patch {
        /// `spec.template`.
        template: PodTemplateSpec,
        /// All of `metadata.annotations`.
        annotations: Annotations,
    },
    /// The Deployment has this template already, and nothing is sent.
    Unchanged,
    /// A paused Deployment has to be resumed first.
    Paused,
    /// There is no revision before the newest one.
    NoHistory,
    /// There is no such revision.
    NotFound,
}

/// What a Deployment says of its rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RolloutView {
    /// `metadata.generation`: counts the changes of its spec.
    #[serde(default)]
    pub generation: i64,
    /// `status.observedGeneration`: which of these changes the status is about.
    #[serde(default)]
    pub observed_generation: i64,
    /// `spec.replicas`.
    pub replicas: i32,
    /// `status.replicas`: the pods of all sets.
    #[serde(default)]
    pub pods: i32,
    /// `status.updatedReplicas`: those of the new set.
    #[serde(default)]
    pub updated: i32,
    /// `status.availableReplicas`: those of all sets that are available.
    #[serde(default)]
    pub available: i32,
    /// The reason of the condition `Progressing`, if there is this condition.
    #[serde(default)]
    pub progressing: Option<String>,
}

/// How a rollout stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rollout {
    /// The controller hasn't seen the last change yet.
    Unobserved,
    /// It made no progress for too long.
    Failed,
    /// The new set is still growing.
    Updating,
    /// Old pods are still there.
    Terminating,
    /// New pods aren't available yet.
    Starting,
    /// It is complete.
    Done,
}
// ANCHOR_END: contract

impl Show for PodTemplateSpec {
    fn lines(&self) -> Vec<String> {
        vec![format!("template {}", flow(self))]
    }
}

impl Show for SetView {
    fn lines(&self) -> Vec<String> {
        let SetView { name, created, annotations, replicas, pods, generation, observed_generation, .. } = self;
        let mut line = format!("{}: created at {created}", flow(name));
        if !annotations.is_empty() {
            line += &format!(", annotations {}", flow(annotations));
        }
        if self.template != PodTemplateSpec::default() {
            line += &format!(", template {}", flow(&self.template));
        }
        if (*replicas, *pods) != (0, 0) {
            line += &format!(", size {replicas}, {pods} pods");
        }
        if generation != observed_generation {
            line += &format!(", generation {generation}, observed {observed_generation}");
        }
        if self.deleting {
            line += ", being deleted";
        }
        vec![line]
    }
}

impl Show for UndoRequest {
    fn lines(&self) -> Vec<String> {
        let to = if self.to == 0 { "to the previous revision".into() } else { format!("to revision {}", self.to) };
        let mut lines = vec![if self.paused { format!("{to}, while it is paused") } else { to }];
        lines.extend(self.template.lines().into_iter().filter(|_| self.template != PodTemplateSpec::default()));
        if !self.annotations.is_empty() {
            lines.push(format!("annotations {}", flow(&self.annotations)));
        }
        lines.extend(self.sets.iter().flat_map(Show::lines));
        if self.sets.is_empty() {
            lines.push("no replica sets".into());
        }
        lines
    }
}

impl Show for Undo {
    fn lines(&self) -> Vec<String> {
        match self {
            Undo::Patch { template, annotations } => {
                let annotation = |(key, value)| format!("annotation {}: {}", flow(key), flow(value));
                template.lines().into_iter().chain(annotations.iter().map(annotation)).collect()
            }
            Undo::Unchanged => vec!["skipped: it has this template already".into()],
            Undo::Paused => vec!["refused: it is paused".into()],
            Undo::NoHistory => vec!["refused: no rollout history".into()],
            Undo::NotFound => vec!["refused: no such revision".into()],
        }
    }
    /// A template without labels is the same as one with an empty map of them.
    fn meaning(&self) -> String {
        let mut undo = self.clone();
        if let Undo::Patch { template, .. } = &mut undo {
            template.metadata.get_or_insert_default().labels.get_or_insert_default();
        }
        serde_json::to_string(&undo).unwrap_or_default()
    }
}

impl Show for RolloutView {
    fn lines(&self) -> Vec<String> {
        let RolloutView { generation, observed_generation, replicas, pods, updated, available, progressing } = self;
        let reason = progressing.as_deref().map_or(String::new(), |reason| format!(", Progressing: {}", flow(&reason)));
        vec![format!(
            "{replicas} replicas, {pods} pods, {updated} updated, {available} available, generation {generation}, observed \
             {observed_generation}{reason}"
        )]
    }
}

impl Show for Rollout {
    fn lines(&self) -> Vec<String> {
        vec![match self {
            Rollout::Unobserved => "waits: the last change is not observed yet".into(),
            Rollout::Failed => "failed: exceeded its progress deadline".into(),
            Rollout::Updating => "waits: not all pods are updated".into(),
            Rollout::Terminating => "waits: old pods are pending termination".into(),
            Rollout::Starting => "waits: not all updated pods are available".into(),
            Rollout::Done => "done".into(),
        }]
    }
}
