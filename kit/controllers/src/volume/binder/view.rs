//! Claims, volumes and classes as the module is asked about them.

use kit_api::core::{ObjectReference, PersistentVolume, PersistentVolumeClaim};
use kit_api::storage::StorageClass;
use kit_api::volume::{
    self, BIND_COMPLETED, BOUND_BY_CONTROLLER, PROVISIONED_BY, SELECTED_NODE, annotation, claim_phase, volume_of,
    volume_phase,
};
use kit_contract::storage::claim_binding::{
    AccessMode, Claim, ClaimPhase, ClaimRef, Class, ReclaimPolicy, Volume, VolumeMode, VolumePhase,
};

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

/// A claim.
pub fn claim(claim: &PersistentVolumeClaim) -> Claim {
    let (meta, spec) = (&claim.metadata, claim.spec.as_ref());
    Claim {
        name: full_name(&meta.namespace, &meta.name),
        uid: meta.uid.clone().unwrap_or_default(),
        class: volume::has_class(claim).then(|| volume::class_of(claim).to_string()),
        access_modes: access_modes(spec.and_then(|spec| spec.access_modes.as_deref())),
        volume_mode: volume_mode(spec.and_then(|spec| spec.volume_mode.as_deref())),
        request: volume::requested(claim),
        selector: spec.and_then(|spec| spec.selector.clone()),
        volume_name: Some(volume_of(claim).to_string()).filter(|name| !name.is_empty()),
        bind_completed: annotation(meta, BIND_COMPLETED).is_some(),
        bound_by_controller: annotation(meta, BOUND_BY_CONTROLLER).is_some(),
        selected_node: annotation(meta, SELECTED_NODE).map(str::to_string),
        phase: match claim_phase(claim) {
            "Bound" => ClaimPhase::Bound,
            "Lost" => ClaimPhase::Lost,
            _ => ClaimPhase::Pending,
        },
    }
}

/// A volume.
pub fn volume(volume: &PersistentVolume) -> Volume {
    let (meta, spec) = (&volume.metadata, volume.spec.as_ref());
    Volume {
        name: meta.name.clone().unwrap_or_default(),
        labels: meta.labels.clone().unwrap_or_default(),
        class: volume::class_of_volume(volume).to_string(),
        access_modes: access_modes(spec.and_then(|spec| spec.access_modes.as_deref())),
        volume_mode: volume_mode(spec.and_then(|spec| spec.volume_mode.as_deref())),
        capacity: volume::capacity(volume),
        claim_ref: spec.and_then(|spec| spec.claim_ref.as_ref()).map(claim_ref),
        bound_by_controller: annotation(meta, BOUND_BY_CONTROLLER).is_some(),
        provisioned_by: annotation(meta, PROVISIONED_BY).map(str::to_string),
        csi: spec.is_some_and(|spec| spec.csi.is_some()),
        policy: match spec.and_then(|spec| spec.persistent_volume_reclaim_policy.as_deref()) {
            Some("Delete") => ReclaimPolicy::Delete,
            Some("Recycle") => ReclaimPolicy::Recycle,
            _ => ReclaimPolicy::Retain,
        },
        deleting: meta.deletion_timestamp.is_some(),
        phase: match volume_phase(volume) {
            "Available" => VolumePhase::Available,
            "Bound" => VolumePhase::Bound,
            "Released" => VolumePhase::Released,
            "Failed" => VolumePhase::Failed,
            _ => VolumePhase::Pending,
        },
    }
}

/// Which claim a volume refers to.
pub fn claim_ref(reference: &ObjectReference) -> ClaimRef {
    let uid = reference.uid.clone().filter(|uid| !uid.is_empty());
    ClaimRef { name: full_name(&reference.namespace, &reference.name), uid }
}

/// A class, with the driver that makes its volumes today.
pub fn class(class: &StorageClass) -> Class {
    let successor = SUCCESSORS.iter().find(|(old, _)| *old == class.provisioner).map(|(_, new)| *new);
    Class {
        name: class.metadata.name.clone().unwrap_or_default(),
        is_default: volume::default_class(std::iter::once(class)).is_some(),
        created_seconds: class.metadata.creation_timestamp.as_ref().map_or(0, |time| time.0.as_second()),
        provisioner: successor.unwrap_or(&class.provisioner).to_string(),
        waits: volume::waits(Some(class)),
    }
}

fn full_name(namespace: &Option<String>, name: &Option<String>) -> String {
    format!("{}/{}", namespace.as_deref().unwrap_or_default(), name.as_deref().unwrap_or_default())
}

/// The API server lets no others in.
fn access_modes(modes: Option<&[String]>) -> Vec<AccessMode> {
    let known = |mode: &String| {
        Some(match mode.as_str() {
            "ReadWriteOnce" => AccessMode::ReadWriteOnce,
            "ReadOnlyMany" => AccessMode::ReadOnlyMany,
            "ReadWriteMany" => AccessMode::ReadWriteMany,
            "ReadWriteOncePod" => AccessMode::ReadWriteOncePod,
            _ => return None,
        })
    };
    modes.unwrap_or_default().iter().filter_map(known).collect()
}

fn volume_mode(mode: Option<&str>) -> VolumeMode {
    if mode == Some("Block") { VolumeMode::Block } else { VolumeMode::Filesystem }
}
