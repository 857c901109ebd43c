//! Claims and volumes, as an observer sees them.

use kit_api::core::{PersistentVolume, PersistentVolumeClaim};
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
