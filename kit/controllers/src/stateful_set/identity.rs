//! What makes a pod of a StatefulSet that pod and no other: its ordinal, and what follows from it.
//!
//! Source: `pkg/controller/statefulset/stateful_set_utils.go`.

use crate::template;
use kit_api::apps::{StatefulSet, StatefulSetSpec};
use kit_api::core::{PersistentVolumeClaim, PersistentVolumeClaimVolumeSource, Pod, PodTemplateSpec, Volume};
use kit_apimachinery::object::About;
use std::ops::Range;

/// The label with a pod's name.
pub const POD_NAME: &str = "statefulset.kubernetes.io/pod-name";
/// The label with a pod's ordinal.
pub const POD_INDEX: &str = "apps.kubernetes.io/pod-index";
/// The label with the name of the revision that a pod is of.
pub const REVISION: &str = "controller-revision-hash";

/// The name of the set that a pod is named after, and its ordinal (`getParentNameAndOrdinal`).
pub fn parent_and_ordinal(pod: &str) -> Option<(&str, i64)> {
    let (parent, digits) = pod.rsplit_once('-')?;
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let ordinal: i32 = digits.parse().ok().filter(|_| is_number)?;
    Some((parent, ordinal.into()))
}

/// The ordinal in a pod's name.
pub fn ordinal(pod: &Pod) -> Option<i64> {
    parent_and_ordinal(About::from(pod).name()).map(|(_, ordinal)| ordinal)
}

/// The ordinals that a set's pods have (`getStartOrdinal`, `getEndOrdinal`).
pub fn ordinals(spec: &StatefulSetSpec) -> Range<i64> {
    let start = spec.ordinals.as_ref().and_then(|ordinals| ordinals.start).unwrap_or(0);
    let start = i64::from(start);
    start..start + i64::from(spec.replicas.unwrap_or(1).max(0))
}

/// The name of the pod with this ordinal.
pub fn pod_name(set: &StatefulSet, ordinal: i64) -> String {
    format!("{}-{ordinal}", About::from(set).name())
}

/// The revision that a pod is of; empty if it says none.
pub fn revision_of(pod: &Pod) -> &str {
    label(pod, REVISION)
}

fn label<'a>(pod: &'a Pod, key: &str) -> &'a str {
    pod.metadata.labels.as_ref().and_then(|labels| labels.get(key)).map_or("", String::as_str)
}

/// Whether the pod has the labels of its identity (`identityMatches`).
pub fn matches(pod: &Pod) -> bool {
    label(pod, POD_NAME) == About::from(pod).name()
}

/// Gives a pod the labels of its identity (`updateIdentity`).
pub fn restore(pod: &mut Pod, ordinal: i64) {
    let name = pod.metadata.name.clone().unwrap_or_default();
    let labels = pod.metadata.labels.get_or_insert_default();
    labels.insert(POD_NAME.into(), name);
    labels.insert(POD_INDEX.into(), ordinal.to_string());
}

/// A pod of a template at a revision (`newStatefulSetPod`). Its host name and subdomain can't be changed later.
pub fn new_pod(set: &StatefulSet, template: &PodTemplateSpec, revision: &str, ordinal: i64) -> Pod {
    let mut pod = template::pod(template.clone(), About::from(set));
    let name = pod_name(set, ordinal);
    pod.metadata.name = Some(name.clone());
    restore(&mut pod, ordinal);
    pod.metadata.labels.get_or_insert_default().insert(REVISION.into(), revision.into());
    let spec = pod.spec.get_or_insert_default();
    spec.hostname = Some(name);
    let service = set.spec.as_ref().and_then(|spec| spec.service_name.clone());
    spec.subdomain = service.filter(|service| !service.is_empty());
    mount(set, &mut pod, ordinal);
    pod
}

/// Who stands for the pod with this ordinal while there is none.
pub fn nobody(set: &StatefulSet, ordinal: i64) -> Pod {
    let mut pod = Pod::default();
    pod.metadata.name = Some(pod_name(set, ordinal));
    pod
}

fn claim_templates(set: &StatefulSet) -> impl Iterator<Item = &PersistentVolumeClaim> {
    set.spec.iter().flat_map(|spec| spec.volume_claim_templates.iter().flatten())
}

fn claim_name(set: &StatefulSet, template: &PersistentVolumeClaim, ordinal: i64) -> String {
    format!("{}-{}-{ordinal}", About::from(template).name(), About::from(set).name())
}

/// The names of the claims of the pod with this ordinal.
pub fn claim_names(set: &StatefulSet, ordinal: i64) -> impl Iterator<Item = String> {
    claim_templates(set).map(move |template| claim_name(set, template, ordinal))
}

/// The claims of the pod with this ordinal (`getPersistentVolumeClaims`).
pub fn claims(set: &StatefulSet, ordinal: i64) -> impl Iterator<Item = PersistentVolumeClaim> {
    claim_templates(set).map(move |template| {
        let mut claim = template.clone();
        claim.metadata.name = Some(claim_name(set, template, ordinal));
        claim.metadata.namespace = set.metadata.namespace.clone();
        let selected = set.spec.as_ref().and_then(|spec| spec.selector.match_labels.clone());
        if let Some(selected) = selected {
            claim.metadata.labels.get_or_insert_default().extend(selected);
        }
        claim
    })
}

/// Whether a pod's volumes are those of its claims (`storageMatches`).
pub fn is_mounted(set: &StatefulSet, pod: &Pod, ordinal: i64) -> bool {
    let volumes = pod.spec.as_ref().and_then(|spec| spec.volumes.as_deref()).unwrap_or_default();
    claim_templates(set).all(|template| {
        let volume = volumes.iter().find(|volume| volume.name == About::from(template).name());
        let claim = volume.and_then(|volume| volume.persistent_volume_claim.as_ref());
        claim.is_some_and(|claim| claim.claim_name == claim_name(set, template, ordinal))
    })
}

/// Gives a pod the volumes of its claims, in place of others of the same names (`updateStorage`).
pub fn mount(set: &StatefulSet, pod: &mut Pod, ordinal: i64) {
    let mut volumes: Vec<Volume> = claim_templates(set)
        .map(|template| Volume {
            name: About::from(template).name().into(),
            persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
                claim_name: claim_name(set, template, ordinal),
                read_only: None,
            }),
            ..Volume::default()
        })
        .collect();
    let spec = pod.spec.get_or_insert_default();
    let others = spec.volumes.take().unwrap_or_default();
    let is_other = |volume: &Volume| claim_templates(set).all(|claim| About::from(claim).name() != volume.name);
    volumes.extend(others.into_iter().filter(is_other));
    spec.volumes = Some(volumes).filter(|volumes| !volumes.is_empty());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_the_set_and_the_ordinal() {
        let cases = [
            ("db-0", Some(("db", 0))),
            ("my-db-12", Some(("my-db", 12))),
            ("db-007", Some(("db", 7))),
            ("db", None),
            ("db-", None),
            ("db-+1", None),
            ("db-99999999999", None),
        ];
        for (name, expected) in cases {
            assert_eq!(parent_and_ordinal(name), expected, "{name}");
        }
    }
}
