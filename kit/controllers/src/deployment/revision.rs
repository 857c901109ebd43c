//! Templates, revisions and the annotations in which a Deployment keeps its history on its ReplicaSets.
//!
//! Source: `pkg/controller/deployment/util/deployment_util.go`.

use kit_api::apps::{Deployment, ReplicaSet};
use kit_api::core::PodTemplateSpec;
use kit_api::meta::ObjectMeta;
use kit_api::safe_encode::safe_encode;
use kit_contract::workloads::rollback::{Annotations, OWN, SetView};

pub use kit_contract::workloads::rollback::{HASH, REVISION, REVISION_HISTORY};

/// The Deployment's replicas when it last sized the ReplicaSet.
pub const DESIRED_REPLICAS: &str = "deployment.kubernetes.io/desired-replicas";
/// The same, plus the surge.
pub const MAX_REPLICAS: &str = "deployment.kubernetes.io/max-replicas";
/// Asks for a rollback to a revision; only clients of removed API versions set it.
pub const ROLLBACK_TO: &str = "deprecated.deployment.rollback.to";

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

/// A ReplicaSet as the module that keeps the history sees it.
pub fn view(set: &ReplicaSet) -> SetView {
    let status = set.status.clone().unwrap_or_default();
    let spec = set.spec.as_ref();
    SetView {
        name: set.metadata.name.clone().unwrap_or_default(),
        created: set.metadata.creation_timestamp.as_ref().map_or(0, |time| time.0.as_second()),
        annotations: annotations(&set.metadata),
        template: spec.and_then(|spec| spec.template.clone()).unwrap_or_default(),
        replicas: spec.and_then(|spec| spec.replicas).unwrap_or(1),
        pods: status.replicas,
        generation: set.metadata.generation.unwrap_or(0),
        observed_generation: status.observed_generation.unwrap_or(0),
        deleting: set.metadata.deletion_timestamp.is_some(),
    }
}

/// An object's annotations, also if it has none.
pub fn annotations(meta: &ObjectMeta) -> Annotations {
    meta.annotations.clone().unwrap_or_default()
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

/// Gives the Deployment the annotations that the set took over from it in its time (`SetDeploymentAnnotationsTo`).
pub fn annotate_back(deployment: &mut Deployment, set: &ReplicaSet) {
    let is_copied = |key: &String| !OWN.contains(&key.as_str());
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_collision_is_another_name() {
        let template = PodTemplateSpec::default();
        assert_ne!(hash(&template, None), hash(&template, Some(1)));
    }
}
