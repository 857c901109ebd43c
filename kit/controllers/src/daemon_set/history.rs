//! Revisions of controllers that keep what they were in objects of their own: ControllerRevisions.
//!
//! Source: `pkg/controller/history/controller_history.go`; DaemonSets have the same once more, in
//! `pkg/controller/daemon/update.go`.

use kit_api::apps::ControllerRevision;
use kit_api::core::PodTemplateSpec;
use serde_json::{Value, json};

/// The label of pods, and of the revisions that they are of (`apps.ControllerRevisionHashLabelKey`).
pub(crate) const HASH: &str = "controller-revision-hash";

/// What a revision holds: the patch that brings a template back (`getPatch`).
pub(crate) fn patch(template: &PodTemplateSpec) -> Value {
    let mut template = json!(template);
    template["$patch"] = "replace".into();
    json!({ "spec": { "template": template } })
}

/// Whether a revision holds this patch.
pub(crate) fn holds(revision: &ControllerRevision, patch: &Value) -> bool {
    json!(revision.data) == *patch
}

/// The number that comes after those of these revisions (`nextRevision`).
pub(crate) fn next_number(revisions: &[ControllerRevision]) -> i64 {
    revisions.iter().map(|revision| revision.revision).max().unwrap_or(0) + 1
}

/// The hash in the labels of a revision or of a pod.
pub(crate) fn hash_of(meta: &kit_api::meta::ObjectMeta) -> &str {
    meta.labels.as_ref().and_then(|labels| labels.get(HASH)).map_or("", String::as_str)
}
