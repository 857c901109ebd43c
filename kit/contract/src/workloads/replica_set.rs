//! The ReplicaSet controller: as many pods as were asked for, whatever happens to them.
//!
//! Sources: `pkg/controller/replicaset/replica_set.go`, `pkg/controller/replicaset/replica_set_utils.go`,
//! `pkg/controller/controller_ref_manager.go` (who owns a pod) and `pkg/controller/controller_utils.go` (expectations
//! and the order of deletion).
//!
//! The kit around the controller does the rest of the work: it watches, keeps the expectations, makes pods from the
//! template with the replica set as their controller, sends the creates in growing batches (1, 2, 4, … so that an
//! error that hits all of them is met once and not 500 times), checks with the API server that the replica set still
//! lives before it lets it adopt, and writes the status. It drops expectations that are older than five minutes.

use crate::show::unordered;
use crate::{Show, flow};
pub use kit_api::apps::ReplicaSet;
pub use kit_api::core::Pod;
use kit_api::meta::{LabelSelector, MicroTime, OwnerReference, Time};
use kit_api::{owner, pod, selector};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

// ANCHOR: contract
contract! {
    /// Brings the pods of one replica set to the number that it asks for.
    pub trait ReplicaSetController {
        /// What to do now, and what the replica set's status is.
        ///
        /// **Active pods.** A pod that has finished (phase `Succeeded` or `Failed`) or that is being deleted doesn't
        /// count, is not claimed and is not deleted.
        ///
        /// **Claims.** A pod's controller is its owner reference with `controller: true`, compared by uid. Of the
        /// active pods,
        ///
        /// - one of this replica set that matches its selector is claimed; one that doesn't match is released;
        /// - one without a controller that matches is adopted, and claimed with that;
        /// - one of another controller is left alone, whatever its labels.
        ///
        /// A replica set that is being deleted neither adopts nor releases, but what it owns and matches still counts.
        ///
        /// **Replicas.** If nothing is expected any more and the replica set isn't being deleted, the difference
        /// between the claimed pods and `spec.replicas` is created or deleted, at most 500 pods in one sync. Which
        /// pods are deleted first is upstream's order, `ActivePodsWithRanks`; each rule decides only where those
        /// before it don't:
        ///
        /// 1. without a node, before with a node;
        /// 2. phase `Pending`, then `Unknown`, then `Running`;
        /// 3. not ready, before ready;
        /// 4. the lower deletion cost (the annotation `controller.kubernetes.io/pod-deletion-cost`; 0 if there is
        ///    none or if it isn't a number of 32 bits, without a `+` and without zeros before it);
        /// 5. the one whose node has more active pods that match one of the `related` selectors, each counted once;
        /// 6. of two ready pods, the one that is ready since later;
        /// 7. the greater restart count: the greatest of a pod's containers, then the greatest of its sidecars (the
        ///    init containers with `restartPolicy: Always`);
        /// 8. the one that was created later.
        ///
        /// Rules 6 and 8 look at the age in nanoseconds on a logarithmic scale, the base 2 logarithm rounded down, and
        /// at nothing if both times are equal. An age of 0 or less, of a time that is still to come, comes before all
        /// others, and two of these count as alike. If the times differ and the logarithms don't, the lower uid goes
        /// first, as strings compare, and no later rule is asked. A pod
        /// without the time goes before one that has it.
        ///
        /// Upstream leaves two things to its sorting algorithm, and so any choice is right: pods that no rule tells
        /// apart, and pods whom the rules order in a circle, which the uids in rules 6 and 8 make possible. No
        /// scenario depends on either, but a module must answer.
        ///
        /// **Status.** It counts the claimed pods as they were before this sync's creates and deletes. A pod is
        /// fully labeled if it has all labels of the template, and available if it is ready and `minReadySeconds` is
        /// 0 or its last transition to ready is more than `minReadySeconds` ago.
        ///
        /// **Again.** If `minReadySeconds` isn't 0 and as many pods are ready as are asked for, but not as many
        /// available, ask for another sync after `minReadySeconds`.
        fn sync(&self, request: &SyncRequest) -> SyncResult;
    }
}

/// What one sync sees.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SyncRequest {
    /// The replica set. `spec.replicas`, `spec.selector` and `spec.template` are always set.
    pub replica_set: ReplicaSet,
    /// The pods of its namespace as the cache shows them now. Some of them are not the replica set's business.
    pub pods: Vec<Pod>,
    /// The selectors of all replica sets with the same controller, this one's own among them: those of the other
    /// revisions of a Deployment. Empty if the replica set has no controller, and then rule 5 tells no pods apart.
    #[serde(default)]
    pub related: Vec<LabelSelector>,
    /// What the cache doesn't show yet of what earlier syncs did.
    #[serde(default)]
    pub expectations: Expectations,
    /// The time.
    pub now: MicroTime,
}

/// The creates and deletes that were sent and that the cache doesn't show yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectations {
    /// Pods that were created and haven't been seen.
    #[serde(default)]
    pub creations: u32,
    /// Pods that were deleted and haven't been seen as terminating or gone.
    #[serde(default)]
    pub deletions: u32,
}

/// What one sync decides.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncResult {
    /// In any order: the kit adopts and releases before it creates and deletes.
    pub actions: Vec<Action>,
    /// The new status.
    pub status: Status,
    /// In how many seconds to sync again even if nothing happens; none if there is no need.
    pub requeue_after_seconds: Option<i32>,
}

/// One request to the API server.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Makes this replica set the pod's controller.
    AdoptPod {
        /// The pod.
        name: String,
    },
    /// Takes the pod's owner reference to this replica set away; the pod itself goes on.
    ReleasePod {
        /// The pod.
        name: String,
    },
    /// Creates one pod from the template.
    CreatePod,
    /// Deletes the pod.
    DeletePod {
        /// The pod.
        name: String,
    },
}

/// The counts of a `ReplicaSetStatus`.
///
/// `terminatingReplicas` isn't among them: in 1.33 it is behind an alpha feature gate that is off.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// The claimed pods.
    pub replicas: i32,
    /// Those with all labels of the template.
    pub fully_labeled_replicas: i32,
    /// Those whose condition `Ready` is true.
    pub ready_replicas: i32,
    /// Those that have been ready for long enough.
    pub available_replicas: i32,
    /// The `metadata.generation` of the replica set that this sync saw.
    pub observed_generation: i64,
}
// ANCHOR_END: contract

impl Show for SyncResult {
    fn lines(&self) -> Vec<String> {
        let mut actions: Vec<&Action> = self.actions.iter().collect();
        actions.sort();
        let creates = actions.iter().filter(|action| ***action == Action::CreatePod).count();
        actions.dedup_by(|a, b| a == b && **a == Action::CreatePod);
        let mut lines: Vec<String> = (actions.into_iter())
            .map(|action| match action {
                Action::CreatePod => format!("create pod × {creates}"),
                Action::AdoptPod { name } => format!("adopt {}", flow(name)),
                Action::ReleasePod { name } => format!("release {}", flow(name)),
                Action::DeletePod { name } => format!("delete {}", flow(name)),
            })
            .collect();
        if lines.is_empty() {
            lines.push("no action".into());
        }
        lines.extend(self.status.lines());
        lines.extend(self.requeue_after_seconds.map(|seconds| format!("sync again after {seconds}s")));
        lines
    }
    fn meaning(&self) -> String {
        format!("{} {:?} {:?}", unordered(&self.actions), self.status, self.requeue_after_seconds)
    }
}

impl Show for Status {
    fn lines(&self) -> Vec<String> {
        vec![
            format!("status replicas {}", self.replicas),
            format!("status fullyLabeledReplicas {}", self.fully_labeled_replicas),
            format!("status readyReplicas {}", self.ready_replicas),
            format!("status availableReplicas {}", self.available_replicas),
            format!("status observedGeneration {}", self.observed_generation),
        ]
    }
}

impl Show for SyncRequest {
    fn lines(&self) -> Vec<String> {
        let mut lines = vec![self.show_replica_set()];
        if !self.related.is_empty() {
            let related: Vec<_> = self.related.iter().map(|related| selector::format(Some(related))).collect();
            lines.push(format!("related selectors {}", related.join(" and ")));
        }
        let Expectations { creations, deletions } = self.expectations;
        if creations + deletions > 0 {
            lines.push(format!("not seen yet: creations {creations}, deletions {deletions}"));
        }
        // Pods in a row that differ in nothing but their names share a line.
        let pods: Vec<_> =
            self.pods.iter().map(|pod| (name(pod.metadata.name.as_deref()), self.show_pod(pod))).collect();
        for alike in pods.chunk_by(|a, b| a.1 == b.1) {
            let names: Vec<_> = alike.iter().map(|(name, _)| name.as_str()).collect();
            let names = match names.as_slice() {
                [first, .., last] if names.len() > 3 => format!("{first} … {last} ({} pods)", names.len()),
                names => names.join(", "),
            };
            lines.push(format!("{names}: {}", alike[0].1));
        }
        if self.pods.is_empty() {
            lines.push("no pods".into());
        }
        lines
    }
}

impl SyncRequest {
    fn show_replica_set(&self) -> String {
        let meta = &self.replica_set.metadata;
        let spec = self.replica_set.spec.clone().unwrap_or_default();
        let mut text = format!(
            "{}: {} replicas, selector {}, generation {}",
            name(meta.name.as_deref()),
            spec.replicas.unwrap_or(1),
            selector::format(Some(&spec.selector)),
            meta.generation.unwrap_or_default(),
        );
        let template = spec.template.and_then(|template| template.metadata).and_then(|meta| meta.labels);
        if template != spec.selector.match_labels {
            text += &format!(", template {}", labels(template.as_ref()));
        }
        if let Some(seconds @ 1..) = spec.min_ready_seconds {
            text += &format!(", minReadySeconds {seconds}");
        }
        if meta.deletion_timestamp.is_some() {
            text += ", being deleted";
        }
        text
    }

    /// One phrase that holds all that an answer may depend on.
    fn show_pod(&self, pod: &Pod) -> String {
        let (meta, spec) = (&pod.metadata, pod.spec.clone().unwrap_or_default());
        let status = pod.status.clone().unwrap_or_default();
        let mut parts = vec![
            labels(meta.labels.as_ref()),
            self.owner(pod),
            pod::node_name(pod).map_or("no node".into(), |node| flow(&node)),
            flow(&pod::phase(pod)),
        ];
        if let Some(ready) = pod::condition(pod, "Ready") {
            let word = if ready.status == "True" { "ready" } else { "not ready" };
            parts.push(format!("{word} {}", self.age(ready.last_transition_time.as_ref())));
        }
        parts.push(format!("created {} ago", self.age(meta.creation_timestamp.as_ref())));
        if let Some(cost) = meta.annotations.as_ref().and_then(|annotations| annotations.get(pod::DELETION_COST)) {
            parts.push(format!("deletion cost {}", flow(cost)));
        }
        let sidecars = spec.init_containers.iter().flatten().filter(|c| c.restart_policy.as_deref() == Some("Always"));
        let sidecars: Vec<_> = sidecars.map(|container| container.name.as_str()).collect();
        for container in status.container_statuses.iter().chain(&status.init_container_statuses).flatten() {
            if container.restart_count > 0 {
                let sidecar = if sidecars.contains(&container.name.as_str()) { "sidecar " } else { "" };
                parts.push(format!("{sidecar}{} restarted {}×", flow(&container.name), container.restart_count));
            }
        }
        parts.extend(meta.deletion_timestamp.as_ref().map(|_| "terminating".into()));
        // A uid decides only between equals; scenarios where it does give the pod one of its own.
        if meta.uid != meta.name {
            parts.push(format!("uid {}", name(meta.uid.as_deref())));
        }
        parts.join(", ")
    }

    fn owner(&self, pod: &Pod) -> String {
        let named = |owner: &OwnerReference| format!("{} {}", flow(&owner.kind), flow(&owner.name));
        match owner::controller_of(&pod.metadata) {
            Some(owner) if Some(&owner.uid) == self.replica_set.metadata.uid.as_ref() => "its own".into(),
            Some(owner) => format!("of {} (uid {})", named(owner), flow(&owner.uid)),
            None => match pod.metadata.owner_references.iter().flatten().next() {
                Some(owner) => format!("no controller (owner {})", named(owner)),
                None => "no controller".into(),
            },
        }
    }

    fn age(&self, since: Option<&Time>) -> String {
        since.map_or("at no time".into(), |since| format!("{}s", self.now.0.duration_since(since.0).as_secs_f64()))
    }
}

fn name(name: Option<&str>) -> String {
    flow(&name.unwrap_or_default())
}

fn labels(labels: Option<&BTreeMap<String, String>>) -> String {
    let all: Vec<_> = labels.into_iter().flatten().map(|(key, value)| label(key, value)).collect();
    if all.is_empty() { "no labels".into() } else { all.join(",") }
}

fn label(key: &str, value: &str) -> String {
    if value.is_empty() { format!("{key}=\"\"") } else { format!("{key}={value}") }
}
