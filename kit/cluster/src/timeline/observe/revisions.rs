//! Which revision is which: the view of whoever wants to go back.

use super::owners::readable;
use kit_api::apps::{Deployment, ReplicaSet};
use kit_api::core::PodTemplateSpec;
use kit_api::meta::ObjectMeta;
use kit_apimachinery::object::Kind;
use kit_contract::workloads::rollback::{REVISION, REVISION_HISTORY};
use kit_server::Snapshot;
use std::collections::BTreeMap;

fn annotation<'a>(meta: &'a ObjectMeta, key: &str) -> Option<&'a str> {
    meta.annotations.as_ref()?.get(key).map(String::as_str)
}

/// The images of a template, and the cause that is noted beside it.
fn version(template: Option<&PodTemplateSpec>, meta: &ObjectMeta) -> String {
    let containers = template.and_then(|template| template.spec.as_ref()).map(|spec| spec.containers.as_slice());
    let images: Vec<_> = containers.unwrap_or_default().iter().filter_map(|one| one.image.as_deref()).collect();
    let cause = annotation(meta, "kubernetes.io/change-cause").map_or(String::new(), |cause| format!(" ({cause})"));
    format!("{}{cause}", images.join(", "))
}

/// One line for each Deployment and each of its sets.
pub fn tabulate(snapshot: &Snapshot, table: &mut BTreeMap<String, String>) {
    for deployment in snapshot.list(Kind::Deployment).filter_map(|stored| stored.get::<Deployment>()) {
        let meta = &deployment.metadata;
        let template = deployment.spec.as_ref().map(|spec| &spec.template);
        let revision = annotation(meta, REVISION).unwrap_or("none");
        let name = meta.name.as_deref().unwrap_or_default();
        table.insert(format!("deployment/{name} revision"), format!("{revision}, {}", version(template, meta)));
    }
    for set in snapshot.list(Kind::ReplicaSet).filter_map(|stored| stored.get::<ReplicaSet>()) {
        let meta = &set.metadata;
        let template = set.spec.as_ref().and_then(|spec| spec.template.as_ref());
        let before = annotation(meta, REVISION_HISTORY).map_or(String::new(), |all| format!(", was {all}"));
        table.insert(format!("replicaset/{} revision", readable(meta)), format!("{}{before}", version(template, meta)));
    }
}
