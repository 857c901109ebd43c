//! Claims and volumes, as an observer sees them.

use kit_api::core::{Node, PersistentVolume, PersistentVolumeClaim};
use kit_api::meta::ObjectMeta;
use kit_api::volume;
use kit_apimachinery::object::Kind;
use kit_server::Snapshot;
use std::collections::BTreeMap;

/// How each claim and each volume stands, and what it says about the other.
pub fn tabulate(snapshot: &Snapshot, table: &mut BTreeMap<String, String>) {
    for claim in snapshot.list(Kind::PersistentVolumeClaim).filter_map(|stored| stored.get::<PersistentVolumeClaim>()) {
        let mut said = vec![volume::claim_phase(claim).to_string()];
        said.extend(going(&claim.metadata));
        let named = volume::volume_of(claim);
        said.extend((!named.is_empty()).then(|| format!("names {}", readable(named))));
        table.insert(format!("claim/{}", name(&claim.metadata)), said.join(", "));
    }
    for volume in snapshot.list(Kind::PersistentVolume).filter_map(|stored| stored.get::<PersistentVolume>()) {
        let mut said = vec![volume::volume_phase(volume).to_string()];
        said.extend(going(&volume.metadata));
        let reference = volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref());
        said.extend(reference.map(|claim| {
            let kept = if claim.uid.as_ref().is_none_or(String::is_empty) { "kept for" } else { "names" };
            format!("{kept} {}", claim.name.as_deref().unwrap_or_default())
        }));
        table.insert(format!("volume/{}", readable(name(&volume.metadata))), said.join(", "));
    }
}

/// What is attached to each node, and what it says it uses.
pub fn attachments(snapshot: &Snapshot, table: &mut BTreeMap<String, String>) {
    for node in snapshot.list(Kind::Node).filter_map(|stored| stored.get::<Node>()) {
        let Some(status) = &node.status else { continue };
        let attached = status.volumes_attached.iter().flatten().map(|volume| handle(&volume.name)).collect::<Vec<_>>();
        let in_use = status.volumes_in_use.iter().flatten().map(|volume| handle(volume)).collect::<Vec<_>>();
        if !attached.is_empty() || !in_use.is_empty() {
            let list = |names: Vec<&str>| if names.is_empty() { "nothing".into() } else { names.join(", ") };
            let said = format!("attached {}; in use {}", list(attached), list(in_use));
            table.insert(format!("node/{}", name(&node.metadata)), said);
        }
    }
}

/// What the driver calls a volume, of its unique name.
fn handle(unique: &str) -> &str {
    unique.rsplit('^').next().unwrap_or(unique)
}

fn name(meta: &ObjectMeta) -> &str {
    meta.name.as_deref().unwrap_or_default()
}

fn going(meta: &ObjectMeta) -> Option<String> {
    meta.deletion_timestamp.as_ref().map(|_| "being deleted".into())
}

/// A driver calls its volumes by the uid of the claim, which says nothing to a reader.
fn readable(volume: &str) -> &str {
    if volume.starts_with("pvc-") { "pvc-…" } else { volume }
}
