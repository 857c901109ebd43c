//! Pods as their owners' templates describe them.

use kit_api::core::{Pod, PodTemplateSpec};
use kit_api::meta::ObjectMeta;
use kit_apimachinery::object::About;

/// A pod of a template, which is controlled by `owner` and named after it (`GetPodFromTemplate` of
/// `pkg/controller/controller_utils.go`).
pub(crate) fn pod(template: PodTemplateSpec, owner: About<'_>) -> Pod {
    let meta = template.metadata.unwrap_or_default();
    Pod {
        metadata: ObjectMeta {
            generate_name: Some(format!("{}-", owner.name())),
            namespace: Some(owner.namespace().into()),
            labels: meta.labels,
            annotations: meta.annotations,
            finalizers: meta.finalizers,
            owner_references: Some(vec![owner.controller_ref()]),
            ..ObjectMeta::default()
        },
        spec: template.spec,
        status: None,
    }
}
