//! What is there, who owns it and what holds it: the view of a garbage collector.

use super::workload;
use kit_api::meta::{ObjectMeta, OwnerReference};
use kit_apimachinery::object::{Key, Kind, Object};
use kit_server::Snapshot;
use std::collections::BTreeMap;

/// The kinds that people make. What the control plane makes for itself says nothing about owners.
const KINDS: [Kind; 10] = [
    Kind::Namespace,
    Kind::Deployment,
    Kind::ReplicaSet,
    Kind::StatefulSet,
    Kind::DaemonSet,
    Kind::Job,
    Kind::ConfigMap,
    Kind::Secret,
    Kind::PersistentVolume,
    Kind::PriorityClass,
];
/// What is there before anybody makes anything.
const SYSTEM: [&str; 6] =
    ["default", "kube-system", "kube-public", "kube-node-lease", "system-cluster-critical", "system-node-critical"];

/// A name without the hash of a template, which says nothing to people; the revision does.
pub fn readable(meta: &ObjectMeta) -> String {
    let name = meta.name.as_deref().unwrap_or_default();
    let hash = meta.labels.as_ref().and_then(|labels| labels.get("pod-template-hash"));
    let revision = meta.annotations.as_ref().and_then(|all| all.get("deployment.kubernetes.io/revision"));
    match (hash.and_then(|hash| name.strip_suffix(hash.as_str())), revision) {
        (Some(name), Some(revision)) => format!("{name}{revision}"),
        _ => name.to_string(),
    }
}

/// One line for each object, and one for all pods of a workload that are alike.
pub fn tabulate(snapshot: &Snapshot, table: &mut BTreeMap<String, String>) {
    for stored in KINDS.into_iter().flat_map(|kind| snapshot.list(kind)) {
        let object = &stored.object;
        if !SYSTEM.contains(&object.name()) {
            let place = Some(object.namespace()).filter(|at| !["", "default"].contains(at));
            let place = place.map_or(String::new(), |namespace| format!("{namespace}/"));
            let kind = object.kind().name().to_lowercase();
            let state = state(object, snapshot);
            table.insert(format!("{kind}/{place}{}", readable(object.meta())), state);
        }
    }
    let mut pods: BTreeMap<String, BTreeMap<String, usize>> = BTreeMap::new();
    for stored in snapshot.list(Kind::Pod) {
        let counts = pods.entry(format!("pods {}", family(&stored.object))).or_default();
        *counts.entry(state(&stored.object, snapshot)).or_default() += 1;
    }
    for (family, counts) in pods {
        let counts: Vec<_> = counts.iter().map(|(state, count)| format!("{count} × {state}")).collect();
        table.insert(family, counts.join(", "));
    }
}

/// The workload of a pod, also if it has lost its owner.
fn family(pod: &Object) -> &str {
    let meta = pod.meta();
    let base = meta.generate_name.as_deref().map(|base| base.trim_end_matches('-'));
    let hash = meta.labels.as_ref().and_then(|labels| labels.get("pod-template-hash"));
    let without = base.zip(hash).and_then(|(base, hash)| base.strip_suffix(hash.as_str())?.strip_suffix('-'));
    without.or(base).unwrap_or_else(|| workload(pod))
}

fn state(object: &Object, snapshot: &Snapshot) -> String {
    let meta = object.meta();
    let mut owners: Vec<String> =
        meta.owner_references.iter().flatten().map(|owner| named(owner, object, snapshot)).collect();
    owners.sort();
    let mut parts = vec![if owners.is_empty() { "no owner".into() } else { format!("of {}", owners.join(" and ")) }];
    parts.extend(meta.deletion_timestamp.as_ref().map(|_| "being deleted".to_string()));
    let finalizers = meta.finalizers.clone().unwrap_or_default();
    parts.extend((!finalizers.is_empty()).then(|| format!("held by {}", finalizers.join(" and "))));
    parts.join(", ")
}

fn named(owner: &OwnerReference, object: &Object, snapshot: &Snapshot) -> String {
    let kind = Kind::named(&owner.kind);
    let stored = kind.and_then(|kind| {
        let namespace = if kind.namespaced() { object.namespace() } else { "" };
        snapshot.get(&Key::new(kind, namespace, &owner.name))
    });
    let hash = object.meta().labels.as_ref().and_then(|labels| labels.get("pod-template-hash"));
    let (name, note) = match stored {
        // Nobody knows its revision any more.
        None => {
            (owner.name.trim_end_matches(hash.map_or("", String::as_str)).trim_end_matches('-').into(), " (not there)")
        }
        Some(stored) if stored.object.uid() != owner.uid => (owner.name.clone(), " (another one)"),
        Some(stored) => (readable(stored.object.meta()), ""),
    };
    format!("{}/{name}{note}", owner.kind.to_lowercase())
}
