//! StatefulSets as their users see them: pods by their names, and the claims that outlive them.

use super::health;
use crate::engine::Engine;
use kit_api::apps::StatefulSet;
use kit_api::core::{PersistentVolumeClaim, Pod};
use kit_api::owner::controller_of;
use kit_api::pod;
use kit_apimachinery::object::Kind;
use kit_server::Snapshot;
use std::collections::BTreeMap;

/// One line for each set, each of their pods, and each claim.
pub fn tabulate(snapshot: &Snapshot, table: &mut BTreeMap<String, String>) {
    for set in snapshot.list(Kind::StatefulSet).filter_map(|stored| stored.get::<StatefulSet>()) {
        let wanted = set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
        let status = set.status.clone().unwrap_or_default();
        let [ready, updated] = [status.ready_replicas, status.updated_replicas].map(|count| count.unwrap_or(0));
        let value = format!("{wanted} wanted, {} there, {ready} ready, {updated} updated", status.replicas);
        table.insert(format!("statefulset/{}", set.metadata.name.as_deref().unwrap_or_default()), value);
    }
    for pod in snapshot.list(Kind::Pod).filter_map(|stored| stored.get::<Pod>()) {
        if controller_of(&pod.metadata).is_some_and(|owner| owner.kind == "StatefulSet") {
            let place = pod::node_name(pod).map_or("without a node".into(), |node| format!("on {node}"));
            let containers = pod.spec.as_ref().map(|spec| spec.containers.as_slice()).unwrap_or_default();
            let image = containers.first().and_then(|container| container.image.as_deref()).unwrap_or_default();
            let name = pod.metadata.name.as_deref().unwrap_or_default();
            table.insert(format!("pod/{name}"), format!("{image} {place}, {}", health(pod)));
        }
    }
    for claim in snapshot.list(Kind::PersistentVolumeClaim) {
        let Some(claim) = claim.get::<PersistentVolumeClaim>() else { continue };
        let phase = claim.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or("Pending");
        let owner = controller_of(&claim.metadata);
        let owner = owner.map_or(String::new(), |owner| format!(", of {}/{}", owner.kind.to_lowercase(), owner.name));
        let ends = if claim.metadata.deletion_timestamp.is_some() { ", being deleted" } else { "" };
        table.insert(
            format!("claim/{}", claim.metadata.name.as_deref().unwrap_or_default()),
            format!("{phase}{owner}{ends}"),
        );
    }
}

/// On which nodes the containers of each pod run.
pub fn containers(engine: &Engine) -> Vec<(String, String)> {
    let mut nodes: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (node, pod) in engine.running() {
        nodes.entry(format!("containers of {}", pod.name)).or_default().push(format!("on {node}"));
    }
    nodes.into_iter().map(|(subject, nodes)| (subject, nodes.join(" and "))).collect()
}
