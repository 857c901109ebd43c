//! What is to be done about a claim.
//!
//! Source: `syncClaim` and what it calls in `pkg/controller/volume/persistentvolume/{pv_controller,index}.go`. Left out are
//! volumes of drivers that are a part of Kubernetes: those few that are left make none.

use super::decision::{Decision, View};
use crate::names::{Name, name_of};
use kit_api::core::{PersistentVolume, PersistentVolumeClaim};
use kit_api::volume::{
    self, BETA_PROVISIONER, BIND_COMPLETED, BOUND_BY_CONTROLLER, PROVISIONER, SELECTED_NODE, Seeker, annotation,
    class_of, volume_of,
};
use std::collections::BTreeSet;

/// Drivers that were a part of Kubernetes once, and their successors (`csi-translation-lib/plugins`).
const SUCCESSORS: [(&str, &str); 7] = [
    ("kubernetes.io/aws-ebs", "ebs.csi.aws.com"),
    ("kubernetes.io/azure-disk", "disk.csi.azure.com"),
    ("kubernetes.io/azure-file", "file.csi.azure.com"),
    ("kubernetes.io/cinder", "cinder.csi.openstack.org"),
    ("kubernetes.io/gce-pd", "pd.csi.storage.gke.io"),
    ("kubernetes.io/portworx-volume", "pxd.portworx.com"),
    ("kubernetes.io/vsphere-volume", "csi.vsphere.vmware.com"),
];

/// What is to be done about a claim now.
pub fn sync(claim: &PersistentVolumeClaim, view: &View<'_>) -> Decision {
    let mut decision = Decision::default();
    match annotation(&claim.metadata, BIND_COMPLETED) {
        Some(_) => bound(claim.clone(), view, &mut decision),
        None => unbound(claim.clone(), view, &mut decision),
    }
    decision
}

/// A claim that has never been bound (`syncUnboundClaim`).
fn unbound(mut claim: PersistentVolumeClaim, view: &View<'_>, decision: &mut Decision) {
    if volume_of(&claim).is_empty() {
        return search(claim, view, decision);
    }
    let Some(volume) = view.known.volumes.get(volume_of(&claim)) else {
        return decision.set_status(&mut claim, "Pending", None);
    };
    let name = volume_of(&claim).to_string();
    if volume.spec.as_ref().is_some_and(|spec| spec.claim_ref.is_some()) {
        if volume::is_for(volume, &claim) {
            return decision.bind(volume, &claim);
        }
        let why = format!("volume {name:?} already bound to a different claim.");
        decision.tell(&claim, "Warning", "FailedBinding", why);
        // Somebody has taken the annotation away that says that it was bound: only they know what they mean.
        if annotation(&claim.metadata, BOUND_BY_CONTROLLER).is_none() {
            decision.set_status(&mut claim, "Pending", None);
        }
        return;
    }
    match unfit(volume, &claim) {
        None => decision.bind(volume, &claim),
        Some(why) => {
            let why = format!("Cannot bind to requested volume {name:?}: {why}");
            decision.tell(&claim, "Warning", "VolumeMismatch", why);
            decision.set_status(&mut claim, "Pending", None);
        }
    }
}

/// Why a claim can't have the volume that it names (`checkVolumeSatisfyClaim`).
fn unfit(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> Option<String> {
    let why = if volume.metadata.deletion_timestamp.is_some() {
        return Some(format!("the volume is marked for deletion {:?}", volume.metadata.name.as_deref().unwrap_or("")));
    } else if volume::capacity(volume).value() < volume::requested(claim).value() {
        "requested PV is too small"
    } else if volume::class_of_volume(volume) != class_of(claim) {
        "storageClassName does not match"
    } else if !volume::same_mode(volume, claim) {
        "incompatible volumeMode"
    } else if !volume::has_modes(volume, claim) {
        "incompatible accessMode"
    } else {
        return None;
    };
    Some(why.into())
}

/// A claim that takes any volume.
fn search(mut claim: PersistentVolumeClaim, view: &View<'_>, decision: &mut Decision) {
    let waits = volume::waits(view.class(class_of(&claim)));
    if let Some(volume) = best_match(&claim, view, waits) {
        return decision.bind(volume, &claim);
    }
    // A class may have become the default since the claim was made (`assignDefaultStorageClass`).
    if !volume::has_class(&claim)
        && let Some(class) = volume::default_class(view.classes.iter().copied())
    {
        claim.spec.get_or_insert_default().storage_class_name = class.metadata.name.clone();
        return decision.update_claim(&claim);
    }
    if waits && annotation(&claim.metadata, SELECTED_NODE).is_none() {
        let (reason, why) = first_consumer(&claim, view);
        decision.tell(&claim, "Normal", reason, why);
    } else if !class_of(&claim).is_empty() {
        return provision(claim, view, decision);
    } else {
        let why = "no persistent volumes available for this claim and no storage class is set";
        decision.tell(&claim, "Normal", "FailedBinding", why.into());
    }
    decision.set_status(&mut claim, "Pending", None);
}

/// The smallest volume among those with the fewest access modes (`findByClaim`, `allPossibleMatchingAccessModes`).
fn best_match<'a>(claim: &PersistentVolumeClaim, view: &View<'a>, waits: bool) -> Option<&'a PersistentVolume> {
    let volumes = || view.known.volumes.values().filter(|volume| volume::has_modes(volume, claim));
    let mut groups: Vec<Vec<usize>> = volumes().map(modes_of).collect::<BTreeSet<_>>().into_iter().collect();
    groups.sort_by_key(Vec::len);
    let among = |modes: &Vec<usize>| {
        volume::find(claim, volumes().filter(|volume| modes_of(volume) == *modes), Seeker::Controller { waits })
    };
    groups.iter().find_map(among)
}

/// The access modes of a volume, each once.
fn modes_of(volume: &PersistentVolume) -> Vec<usize> {
    const MODES: [&str; 4] = ["ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod"];
    let has = volume.spec.as_ref().and_then(|spec| spec.access_modes.as_deref()).unwrap_or_default();
    (0..MODES.len()).filter(|mode| has.iter().any(|there| there == MODES[*mode])).collect()
}

/// What a claim waits for whose volume depends on a node (`emitEventForUnboundDelayBindingClaim`).
fn first_consumer(claim: &PersistentVolumeClaim, view: &View<'_>) -> (&'static str, String) {
    let name: Name = name_of(&claim.metadata);
    match &(view.waiting_pods)(&name)[..] {
        [] => ("WaitForFirstConsumer", "waiting for first consumer to be created before binding".into()),
        [pod] => ("WaitForPodScheduled", format!("waiting for pod {pod} to be scheduled")),
        pods => ("WaitForPodScheduled", format!("waiting for pods {} to be scheduled", pods.join(","))),
    }
}

/// Asks the driver of the claim's class for a volume (`provisionClaim`, `provisionClaimOperationExternal`).
fn provision(mut claim: PersistentVolumeClaim, view: &View<'_>, decision: &mut Decision) {
    let name = class_of(&claim);
    let Some(class) = view.class(name) else {
        let why = format!("storageclass.storage.k8s.io {name:?} not found");
        return decision.tell(&claim, "Warning", "ProvisioningFailed", why);
    };
    let successor = SUCCESSORS.iter().find(|(old, _)| *old == class.provisioner).map(|(_, new)| *new);
    let provisioner = successor.unwrap_or(&class.provisioner);
    if provisioner.starts_with("kubernetes.io/") {
        let why = format!("no volume plugin matched name: {provisioner}");
        return decision.tell(&claim, "Warning", "ProvisioningFailed", why);
    }
    if annotation(&claim.metadata, PROVISIONER) != Some(provisioner) {
        let annotations = claim.metadata.annotations.get_or_insert_default();
        annotations.insert(BETA_PROVISIONER.into(), provisioner.into());
        annotations.insert(PROVISIONER.into(), provisioner.into());
        decision.update_claim(&claim);
    }
    let why = format!(
        "Waiting for a volume to be created either by the external provisioner '{provisioner}' or manually by the system \
         administrator. If volume creation is delayed, please verify that the provisioner is running and correctly registered."
    );
    decision.tell(&claim, "Normal", "ExternalProvisioning", why);
}

/// A claim that was bound once (`syncBoundClaim`).
fn bound(mut claim: PersistentVolumeClaim, view: &View<'_>, decision: &mut Decision) {
    if volume_of(&claim).is_empty() {
        let why = "Bound claim has lost reference to PersistentVolume. Data on the volume is lost!";
        return decision.lose(&mut claim, "ClaimLost", why);
    }
    let Some(volume) = view.known.volumes.get(volume_of(&claim)) else {
        let why = "Bound claim has lost its PersistentVolume. Data on the volume is lost!";
        return decision.lose(&mut claim, "ClaimLost", why);
    };
    let reference = volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref());
    match reference {
        Some(reference) if reference.uid != claim.metadata.uid => {
            let why = "Two claims are bound to the same volume, this one is bound incorrectly";
            decision.lose(&mut claim, "ClaimMisbound", why);
        }
        _ => decision.bind(volume, &claim),
    }
}
