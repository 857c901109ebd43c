//! What is to be done about a volume.
//!
//! Source: `syncVolume` and `reclaimVolume` of `pkg/controller/volume/persistentvolume/pv_controller.go`. The pod that empties
//! a volume for the next claim (`Recycle`) is left out: the volume is empty at once.

use super::decision::{Action, Decision, View};
use crate::names::name_of;
use kit_api::core::{ObjectReference, PersistentVolume, PersistentVolumeClaim};
use kit_api::volume::{self, PROVISIONED_BY, annotation, volume_of};
use kit_apimachinery::object::{Key, Kind};

/// What is to be done about a volume now.
pub fn sync(volume: &PersistentVolume, view: &View<'_>) -> Decision {
    let mut decision = Decision::default();
    let mut volume = volume.clone();
    let reference = volume.spec.as_ref().and_then(|spec| spec.claim_ref.clone());
    // Without a uid it is only kept for a claim, and the claim will find it.
    let Some(reference) = reference.filter(|reference| reference.uid.as_ref().is_some_and(|uid| !uid.is_empty()))
    else {
        decision.set_phase(&mut volume, "Available", "");
        return decision;
    };
    let Some(claim) = claim_of(&volume, &reference, view) else {
        release(&mut volume, view, &mut decision);
        return decision;
    };
    let taken = volume_of(&claim);
    if taken.is_empty() {
        unfinished(&volume, &claim, &mut decision);
    } else if Some(taken) == volume.metadata.name.as_deref() {
        decision.set_phase(&mut volume, "Bound", "");
    } else if annotation(&volume.metadata, PROVISIONED_BY).is_some() && reclaims(&volume, "Delete") {
        // It was made for a claim that has found another.
        release(&mut volume, view, &mut decision);
    } else {
        decision.unbind(&volume);
    }
    decision
}

/// The claim that a volume belongs to. A volume is only given up if the API server doesn't know of it either.
fn claim_of(volume: &PersistentVolume, reference: &ObjectReference, view: &View<'_>) -> Option<PersistentVolumeClaim> {
    let name = (reference.namespace.clone().unwrap_or_default(), reference.name.clone().unwrap_or_default());
    let is_it = |claim: &PersistentVolumeClaim| claim.metadata.uid == reference.uid;
    match view.known.claims.get(&name) {
        Some(claim) if is_it(claim) => Some(claim.clone()),
        None if matches!(volume::volume_phase(volume), "Released" | "Failed") => None,
        _ => (view.live)(&name).filter(is_it),
    }
}

/// The volume knows its claim, but the claim doesn't know the volume yet.
fn unfinished(volume: &PersistentVolume, claim: &PersistentVolumeClaim, decision: &mut Decision) {
    if volume::same_mode(volume, claim) {
        return decision.0.push(Action::LookAt(name_of(&claim.metadata)));
    }
    let name = |name: &Option<String>| name.clone().unwrap_or_default();
    let why = format!(
        "Cannot bind PersistentVolume to requested PersistentVolumeClaim {:?} due to incompatible volumeMode.",
        name(&claim.metadata.name)
    );
    decision.tell(volume, "Warning", "VolumeMismatch", why);
    let why = format!(
        "Cannot bind PersistentVolume {:?} to requested PersistentVolumeClaim due to incompatible volumeMode.",
        name(&volume.metadata.name)
    );
    decision.tell(claim, "Warning", "VolumeMismatch", why);
}

fn reclaims(volume: &PersistentVolume, policy: &str) -> bool {
    volume.spec.as_ref().and_then(|spec| spec.persistent_volume_reclaim_policy.as_deref()) == Some(policy)
}

/// A volume whose claim is gone is given back, as its policy says (`reclaimVolume`).
fn release(volume: &mut PersistentVolume, view: &View<'_>, decision: &mut Decision) {
    if !matches!(volume::volume_phase(volume), "Released" | "Failed") {
        decision.set_phase(volume, "Released", "");
    }
    if reclaims(volume, "Delete") {
        delete(volume, view, decision);
    } else if reclaims(volume, "Recycle") {
        recycle(volume, view, decision);
    } else if !reclaims(volume, "Retain") {
        let why = "Volume has unrecognized PersistentVolumeReclaimPolicy";
        decision.fail(volume, "VolumeUnknownReclaimPolicy", why.into());
    }
}

/// Whether the claim is gone, or has another volume, as far as is known (`isVolumeReleased`).
fn is_released(volume: &PersistentVolume, view: &View<'_>) -> bool {
    let Some(reference) = volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref()) else { return false };
    let name = (reference.namespace.clone().unwrap_or_default(), reference.name.clone().unwrap_or_default());
    let claim = view.known.claims.get(&name).filter(|claim| claim.metadata.uid == reference.uid);
    claim.is_none_or(|claim| !volume_of(claim).is_empty() && Some(volume_of(claim)) != volume.metadata.name.as_deref())
}

/// Deletes a volume that no driver deletes (`deleteVolumeOperation`, `findDeletablePlugin`).
fn delete(volume: &mut PersistentVolume, view: &View<'_>, decision: &mut Decision) {
    let spec = volume.spec.clone().unwrap_or_default();
    let by_driver = annotation(&volume.metadata, PROVISIONED_BY).is_some_and(|by| !by.starts_with("kubernetes.io/"));
    if by_driver || spec.csi.is_some() || !is_released(volume, view) {
        return;
    }
    let name = volume.metadata.name.clone().unwrap_or_default();
    match spec.host_path {
        // `pkg/volume/hostpath/host_path.go`: nobody wants the rest of a node's disk to be deleted.
        Some(path) if path.path.strip_prefix("/tmp/").is_some_and(|rest| !rest.is_empty()) => {
            decision.0.push(Action::Delete(Key::new(Kind::PersistentVolume, "", &name)));
        }
        Some(path) => {
            let why = format!("host_path deleter only supports /tmp/.+ but received provided {}", path.path);
            decision.fail(volume, "VolumeFailedDelete", why);
        }
        None => {
            let why =
                format!("error getting deleter volume plugin for volume {name:?}: no deletable volume plugin matched");
            decision.fail(volume, "VolumeFailedDelete", why);
        }
    }
}

/// Empties a volume for the next claim (`recycleVolumeOperation`).
fn recycle(volume: &mut PersistentVolume, view: &View<'_>, decision: &mut Decision) {
    if !is_released(volume, view) {
        return;
    }
    let spec = volume.spec.clone().unwrap_or_default();
    let reference = spec.claim_ref.unwrap_or_default();
    let claim = (reference.namespace.unwrap_or_default(), reference.name.unwrap_or_default());
    let pods = (view.pods)(&claim);
    if !pods.is_empty() && !view.known.claims.contains_key(&claim) {
        let why = format!("Volume is used by pods: {}", pods.join(","));
        return decision.tell(volume, "Normal", "VolumeFailedRecycle", why);
    }
    if spec.host_path.is_none() && spec.nfs.is_none() {
        return decision.fail(volume, "VolumeFailedRecycle", "No recycler plugin found for the volume!".into());
    }
    decision.tell(volume, "Normal", "VolumeRecycled", "Volume recycled".into());
    decision.unbind(volume);
}
