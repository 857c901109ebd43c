//! What becomes of a pod when its node is removed, and which pods keep their node.
//!
//! Sources: `simulator/drainability/rules`, in their order, and `utils/drain/drain.go`.

use kit_api::core::{Pod, Volume};
use kit_api::jiff::{SignedDuration, Timestamp};
use kit_api::policy::PodDisruptionBudget;
use kit_api::selector::Selector;
use kit_api::{owner, pod};

/// The annotation with which a pod says whether it may be evicted.
pub const SAFE_TO_EVICT: &str = "cluster-autoscaler.kubernetes.io/safe-to-evict";
/// The annotation with the volumes on the node that a pod can lose.
pub const SAFE_VOLUMES: &str = "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes";
/// After this time a pod of kube-system keeps its node no more (`--blocking-system-pod-distruption-timeout`).
const SYSTEM_TIMEOUT: SignedDuration = SignedDuration::from_hours(1);
/// A pod that terminates for so much longer than its grace period is no reason any more (`PodLongTerminatingExtraThreshold`).
const LONG_TERMINATING: i64 = 30;

/// What becomes of a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drain {
    /// It goes with its node.
    Skip,
    /// It is evicted, and needs another place.
    Move,
    /// Its node stays, and why (`BlockingPodReason`).
    Blocked(&'static str),
}

/// What becomes of a pod, with these budgets in its cluster.
pub fn drain(api: &Pod, budgets: &[&PodDisruptionBudget], now: Timestamp) -> Drain {
    let meta = &api.metadata;
    let annotation = |key: &str| meta.annotations.as_ref().and_then(|all| all.get(key)).map(String::as_str);
    let controller = owner::controller_of(meta).map(|owner| owner.kind.as_str());
    if annotation("kubernetes.io/config.mirror").is_some() || is_long_terminating(api, now) {
        return Drain::Skip;
    }
    if controller == Some("DaemonSet") {
        return Drain::Skip;
    }
    if annotation(SAFE_TO_EVICT) == Some("true") || pod::is_finished(api) {
        return Drain::Move;
    }
    if !matches!(controller, Some("ReplicationController" | "Job" | "ReplicaSet" | "StatefulSet")) {
        return Drain::Blocked("NotReplicated");
    }
    let mut matching = budgets.iter().filter(|budget| covers(budget, api));
    let is_new = meta.creation_timestamp.as_ref().is_none_or(|made| now <= made.0 + SYSTEM_TIMEOUT);
    if meta.namespace.as_deref() == Some("kube-system") && is_new && matching.clone().next().is_none() {
        return Drain::Blocked("UnmovableKubeSystemPod");
    }
    if annotation(SAFE_TO_EVICT) == Some("false") {
        return Drain::Blocked("NotSafeToEvictAnnotation");
    }
    let safe: Vec<&str> = annotation(SAFE_VOLUMES).unwrap_or_default().split(',').collect();
    let mut volumes = api.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    if volumes.any(|volume| is_local(volume) && !safe.contains(&volume.name.as_str())) {
        return Drain::Blocked("LocalStorageRequested");
    }
    if matching.any(|budget| budget.status.as_ref().is_none_or(|status| status.disruptions_allowed < 1)) {
        return Drain::Blocked("NotEnoughPdb");
    }
    Drain::Move
}

fn is_long_terminating(api: &Pod, now: Timestamp) -> bool {
    let grace = api.spec.as_ref().and_then(|spec| spec.termination_grace_period_seconds).unwrap_or(30);
    let deleted = api.metadata.deletion_timestamp.as_ref();
    deleted.is_some_and(|at| at.0 + SignedDuration::from_secs(grace.saturating_add(LONG_TERMINATING)) < now)
}

/// Whether a budget counts a pod.
pub fn covers(budget: &PodDisruptionBudget, api: &Pod) -> bool {
    let selector = budget.spec.as_ref().and_then(|spec| spec.selector.as_ref());
    let labels = api.metadata.labels.clone().unwrap_or_default();
    budget.metadata.namespace == api.metadata.namespace
        && Selector::try_from(selector).is_ok_and(|selector| selector.matches(&labels))
}

fn is_local(volume: &Volume) -> bool {
    let on_disk = volume.empty_dir.as_ref().is_some_and(|dir| dir.medium.as_deref() != Some("Memory"));
    volume.host_path.is_some() || on_disk
}
