//! Templates, revisions and the annotations in which a Deployment keeps its history on its ReplicaSets.
//!
//! Source: `pkg/controller/deployment/util/deployment_util.go`.

use kit_api::apps::{Deployment, ReplicaSet};
use kit_api::core::PodTemplateSpec;
use kit_api::meta::ObjectMeta;
use kit_api::safe_encode::safe_encode;

/// The label that tells the ReplicaSets of one Deployment apart, and their pods.
pub const HASH: &str = "pod-template-hash";
/// Which revision a ReplicaSet is, and which one a Deployment is at.
pub const REVISION: &str = "deployment.kubernetes.io/revision";
/// The revisions that a ReplicaSet was before, if it was rolled back to.
pub const REVISION_HISTORY: &str = "deployment.kubernetes.io/revision-history";
/// The Deployment's replicas when it last sized the ReplicaSet.
pub const DESIRED_REPLICAS: &str = "deployment.kubernetes.io/desired-replicas";
/// The same, plus the surge.
pub const MAX_REPLICAS: &str = "deployment.kubernetes.io/max-replicas";
/// Asks for a rollback to a revision; only clients of removed API versions set it.
pub const ROLLBACK_TO: &str = "deprecated.deployment.rollback.to";

/// What a ReplicaSet doesn't get from its Deployment (`annotationsToSkip`).
const NOT_COPIED: [&str; 6] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    REVISION_HISTORY,
    DESIRED_REPLICAS,
    MAX_REPLICAS,
    ROLLBACK_TO,
];
/// How many characters of history are kept.
const HISTORY_LENGTH: usize = 2000;

/// An annotation as a number.
pub fn number(meta: &ObjectMeta, annotation: &str) -> Option<i32> {
    meta.annotations.as_ref()?.get(annotation)?.parse().ok()
}

/// The revision of a ReplicaSet; 0 if it has none or no number.
pub fn revision(set: &ReplicaSet) -> i64 {
    let text = set.metadata.annotations.as_ref().and_then(|annotations| annotations.get(REVISION));
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// Whether two templates are the same, but for the label with the hash (`EqualIgnoreHash`).
pub fn is_same(one: &PodTemplateSpec, other: &PodTemplateSpec) -> bool {
    let without_hash = |template: &PodTemplateSpec| {
        let mut template = template.clone();
        let meta = template.metadata.get_or_insert_default();
        meta.labels.get_or_insert_default().remove(HASH);
        template
    };
    without_hash(one) == without_hash(other)
}

/// The oldest of the ReplicaSets, which come oldest first, that has the Deployment's template (`FindNewReplicaSet`).
pub fn find_new(deployment: &Deployment, sets: &[ReplicaSet]) -> Option<usize> {
    let template = &deployment.spec.as_ref()?.template;
    sets.iter().position(|set| {
        let own = set.spec.as_ref().and_then(|spec| spec.template.as_ref());
        own.is_some_and(|own| is_same(own, template))
    })
}

/// The name of a template: FNV-1a of its JSON and of the collisions so far.
///
/// `ComputeHash` of `pkg/controller/controller_utils.go` hashes how Go prints its structs, so its values are others
/// from one Kubernetes version to the next, and others than these.
pub fn hash(template: &PodTemplateSpec, collisions: Option<i32>) -> String {
    let mut text = serde_json::to_string(template).expect("a template has string keys").into_bytes();
    text.extend(collisions.iter().flat_map(|count| i64::from(*count).to_le_bytes()));
    let hash = text.iter().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
    safe_encode(&hash.to_string())
}

/// Takes over the Deployment's annotations and raises the revision to at least `revision`
/// (`SetNewReplicaSetAnnotations`). A set that had a revision before is rolled back to, and remembers it.
pub fn annotate(set: &mut ReplicaSet, deployment: &Deployment, revision: i64) {
    let annotations = set.metadata.annotations.get_or_insert_default();
    for (key, value) in deployment.metadata.annotations.iter().flatten() {
        if !NOT_COPIED.contains(&key.as_str()) {
            annotations.insert(key.clone(), value.clone());
        }
    }
    let before = annotations.get(REVISION).cloned();
    let Ok(number) = before.as_deref().unwrap_or("0").parse::<i64>() else { return };
    if number >= revision {
        return;
    }
    annotations.insert(REVISION.into(), revision.to_string());
    if let Some(before) = before {
        let history = annotations.remove(REVISION_HISTORY).unwrap_or_default();
        annotations.insert(REVISION_HISTORY.into(), remember(&history, &before));
    }
}

/// Gives the Deployment the annotations that the set took over from it in its time (`SetDeploymentAnnotationsTo`).
pub fn annotate_back(deployment: &mut Deployment, set: &ReplicaSet) {
    let is_copied = |key: &String| !NOT_COPIED.contains(&key.as_str());
    let annotations = deployment.metadata.annotations.get_or_insert_default();
    annotations.retain(|key, _| !is_copied(key));
    let copied = set.metadata.annotations.iter().flatten().filter(|(key, _)| is_copied(key));
    annotations.extend(copied.map(|(key, value)| (key.clone(), value.clone())));
}

/// The revision before the newest one; 0 if there is none (`LastRevision`).
pub fn last<'a>(sets: impl Iterator<Item = &'a ReplicaSet>) -> i64 {
    let mut revisions: Vec<i64> = sets.map(revision).collect();
    revisions.sort_unstable();
    revisions.iter().rev().nth(1).copied().unwrap_or(0)
}

/// The history with one more revision, without its oldest ones if it gets too long.
fn remember(history: &str, revision: &str) -> String {
    let mut all: Vec<&str> = history.split(',').filter(|revision| !revision.is_empty()).collect();
    all.push(revision);
    while all.len() > 1 && all.iter().map(|revision| revision.len() + 1).sum::<usize>() - 1 > HISTORY_LENGTH {
        all.remove(0);
    }
    all.join(",")
}

/// The ReplicaSets of the past that are too many and that nobody uses any more (`cleanupDeployment`).
pub fn forgotten<'a>(deployment: &Deployment, old: &[&'a ReplicaSet]) -> Vec<&'a ReplicaSet> {
    let limit = deployment.spec.as_ref().and_then(|spec| spec.revision_history_limit);
    let Some(limit) = limit.filter(|limit| *limit != i32::MAX) else { return Vec::new() };
    let mut alive: Vec<_> = old.iter().copied().filter(|set| set.metadata.deletion_timestamp.is_none()).collect();
    alive.sort_by_key(|set| revision(set));
    let surplus = alive.len().saturating_sub(limit.max(0) as usize);
    alive.truncate(surplus);
    alive.retain(|set| {
        let status = set.status.clone().unwrap_or_default();
        let wanted = set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
        let observed = status.observed_generation.unwrap_or(0) >= set.metadata.generation.unwrap_or(0);
        status.replicas == 0 && wanted == 0 && observed
    });
    alive
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(annotations: &[(&str, &str)]) -> ReplicaSet {
        let annotations = annotations.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
        let metadata = ObjectMeta { annotations: Some(annotations), ..ObjectMeta::default() };
        ReplicaSet { metadata, ..ReplicaSet::default() }
    }

    fn get<'a>(set: &'a ReplicaSet, annotation: &str) -> Option<&'a str> {
        set.metadata.annotations.as_ref()?.get(annotation).map(String::as_str)
    }

    #[test]
    fn a_set_that_is_rolled_back_to_remembers_its_revisions() {
        let deployment = Deployment { metadata: set(&[("team", "a"), (REVISION, "6")]).metadata, ..Default::default() };
        let mut again = set(&[(REVISION, "2"), (REVISION_HISTORY, "1")]);
        annotate(&mut again, &deployment, 7);
        assert_eq!(get(&again, REVISION), Some("7"));
        assert_eq!(get(&again, REVISION_HISTORY), Some("1,2"));
        assert_eq!(get(&again, "team"), Some("a"));
        // Old sets were deleted since: the revision doesn't go back.
        annotate(&mut again, &deployment, 3);
        assert_eq!((get(&again, REVISION), get(&again, REVISION_HISTORY)), (Some("7"), Some("1,2")));
    }

    #[test]
    fn a_long_history_loses_its_oldest_revisions() {
        let long: Vec<String> = (1..=700).map(|revision| revision.to_string()).collect();
        let history = remember(&long.join(","), "701");
        assert!(history.len() <= HISTORY_LENGTH && history.ends_with(",700,701") && !history.starts_with("1,"));
    }

    #[test]
    fn another_collision_is_another_name() {
        let template = PodTemplateSpec::default();
        assert_ne!(hash(&template, None), hash(&template, Some(1)));
    }
}
