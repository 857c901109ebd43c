//! What is to be done about a volume: the module decides, and here its answer becomes writes and events.
//!
//! Source: `pkg/controller/volume/persistentvolume/pv_controller.go`. The pod that empties a volume for the next claim
//! (`Recycle`) is left out: the volume is empty at once.

use super::decision::{self, Decision, View};
use super::view;
use crate::names::{Name, name_of};
use kit_api::core::{ObjectReference, PersistentVolume, PersistentVolumeClaim};
use kit_api::volume::{BOUND_BY_CONTROLLER, annotation, volume_phase};
use kit_apimachinery::object::{Key, Kind};
use kit_contract::storage::claim_binding::{Action, Event};

/// What is to be done about a volume now.
pub fn sync(volume: &PersistentVolume, view: &View<'_>) -> Decision {
    let mut decision = Decision::default();
    let reference = volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref());
    let claim = reference.and_then(|reference| claim_of(volume, reference, view));
    let answer = view.module.sync_volume(&view::volume(volume), claim.as_ref().map(view::claim).as_ref());
    let mut volume = volume.clone();
    for action in answer {
        match action {
            Action::WriteClaimRef { claim_ref, bound_by_controller, .. } => {
                decision.set_claim_ref(&mut volume, claim_ref.as_ref(), claim.as_ref(), bound_by_controller);
            }
            Action::WriteVolumePhase { phase, .. } => {
                decision.set_phase(&mut volume, &format!("{phase:?}"), "");
            }
            Action::DeleteVolume { .. } => delete(&mut volume, &mut decision),
            Action::RecycleVolume { .. } => recycle(&mut volume, view, &mut decision),
            Action::LookAtClaim => {
                decision.0.extend(claim.iter().map(|claim| decision::Action::LookAt(name_of(&claim.metadata))));
            }
            Action::Tell(Event::ModeMismatch) => claim.iter().for_each(|claim| mismatch(&volume, claim, &mut decision)),
            // All others are about claims.
            _ => {}
        }
    }
    decision
}

/// The claim that a volume belongs to. A volume is only given up if the API server doesn't know of it either.
fn claim_of(volume: &PersistentVolume, reference: &ObjectReference, view: &View<'_>) -> Option<PersistentVolumeClaim> {
    let name = claim_name(reference);
    match view.known.claims.get(&name) {
        Some(claim) if claim.metadata.uid == reference.uid => Some(claim.clone()),
        None if matches!(volume_phase(volume), "Released" | "Failed") => None,
        _ => (view.live)(&name),
    }
}

fn claim_name(reference: &ObjectReference) -> Name {
    (reference.namespace.clone().unwrap_or_default(), reference.name.clone().unwrap_or_default())
}

/// Tells of both.
fn mismatch(volume: &PersistentVolume, claim: &PersistentVolumeClaim, decision: &mut Decision) {
    let name = |name: &Option<String>| name.clone().unwrap_or_default();
    let why = format!(
        "Cannot bind PersistentVolume to requested PersistentVolumeClaim {:?} due to incompatible volumeMode.",
        name(&claim.metadata.name)
    );
    decision.tell(volume, "Warning", Event::ModeMismatch.reason(), why);
    let why = format!(
        "Cannot bind PersistentVolume {:?} to requested PersistentVolumeClaim due to incompatible volumeMode.",
        name(&volume.metadata.name)
    );
    decision.tell(claim, "Warning", Event::ModeMismatch.reason(), why);
}

/// Deletes a volume that no driver deletes (`deleteVolumeOperation`, `findDeletablePlugin`).
pub fn delete(volume: &mut PersistentVolume, decision: &mut Decision) {
    let name = volume.metadata.name.clone().unwrap_or_default();
    match volume.spec.as_ref().and_then(|spec| spec.host_path.as_ref()) {
        // `pkg/volume/hostpath/host_path.go`: nobody wants the rest of a node's disk to be deleted.
        Some(path) if path.path.strip_prefix("/tmp/").is_some_and(|rest| !rest.is_empty()) => {
            decision.0.push(decision::Action::Delete(Key::new(Kind::PersistentVolume, "", &name)));
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
pub fn recycle(volume: &mut PersistentVolume, view: &View<'_>, decision: &mut Decision) {
    let spec = volume.spec.clone().unwrap_or_default();
    let mut reference = spec.claim_ref.unwrap_or_default();
    let claim = claim_name(&reference);
    let pods = (view.pods)(&claim);
    if !pods.is_empty() && !view.known.claims.contains_key(&claim) {
        let why = format!("Volume is used by pods: {}", pods.join(","));
        return decision.tell(volume, "Normal", "VolumeFailedRecycle", why);
    }
    if spec.host_path.is_none() && spec.nfs.is_none() {
        return decision.fail(volume, "VolumeFailedRecycle", "No recycler plugin found for the volume!".into());
    }
    decision.tell(volume, "Normal", "VolumeRecycled", "Volume recycled".into());
    // Whoever wrote the claim into the volume beforehand still means it (`unbindVolume`).
    reference.uid = None;
    let left = annotation(&volume.metadata, BOUND_BY_CONTROLLER).is_none().then(|| view::claim_ref(&reference));
    decision.set_claim_ref(volume, left.as_ref(), None, false);
    decision.set_phase(volume, "Available", "");
}
