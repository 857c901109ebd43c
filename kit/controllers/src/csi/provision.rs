//! The external provisioner: makes the volumes of claims, and deletes those that nobody claims any more.
//!
//! Sources: `sig-storage-lib-external-provisioner/controller/{controller,volume_store}.go`,
//! `external-provisioner/pkg/controller/{controller,topology}.go`.

use super::attach::node_of;
use super::nodes::{ZONE, zone};
use super::tell;
use crate::volume::snapshot;
use kit_api::core::{
    CSIPersistentVolumeSource, Node, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, PersistentVolume,
    PersistentVolumeClaim, PersistentVolumeSpec, VolumeNodeAffinity,
};
use kit_api::meta::ObjectMeta;
use kit_api::storage::StorageClass;
use kit_api::volume::{
    self, BETA_PROVISIONER, PROVISIONED_BY, PROVISIONER, SELECTED_NODE, annotation, class_of, requested, volume_of,
    volume_phase,
};
use kit_apimachinery::object::{AsKind, Key, Kind};
use kit_client::component::World;
use kit_client::disk;
use kit_server::{DeleteOptions, Error, Server, Snapshot};
use std::collections::{BTreeMap, BTreeSet};

/// Keeps a volume until its disk is gone.
const FINALIZER: &str = "external-provisioner.volume.kubernetes.io/finalizer";

/// What the provisioner of a driver calls itself in events.
fn name_of(driver: &str) -> String {
    format!("{driver}_csi-provisioner-0")
}

fn class(claim: &PersistentVolumeClaim, state: &Snapshot) -> Option<StorageClass> {
    state.get(&Key::new(Kind::StorageClass, "", class_of(claim)))?.get().cloned()
}

/// Who is to make the volume of a claim, if it is time to (`shouldProvision`).
pub fn driver(claim: &PersistentVolumeClaim, state: &Snapshot) -> Option<String> {
    let meta = &claim.metadata;
    let driver = annotation(meta, PROVISIONER).or(annotation(meta, BETA_PROVISIONER))?;
    let class = class(claim, state)?;
    let waits = volume::waits(Some(&class)) && annotation(meta, SELECTED_NODE).is_none_or(str::is_empty);
    (volume_of(claim).is_empty() && !waits).then(|| driver.to_string())
}

/// Says that it begins.
pub fn announce(claim: &PersistentVolumeClaim, driver: &str, world: &mut World<'_>) {
    let name = |name: &Option<String>| name.clone().unwrap_or_default();
    let key = format!("{}/{}", name(&claim.metadata.namespace), name(&claim.metadata.name));
    let why = format!("External provisioner is provisioning volume for claim {key:?}");
    tell(world, &name_of(driver), claim, ("Normal", "Provisioning", &why));
}

/// Makes the volume, unless it is there or nobody wants it any more (`provisionClaimOperation`).
pub fn make(claim: &PersistentVolumeClaim, disks: &disk::Shared, world: &mut World<'_>) -> Result<(), Error> {
    let state = world.server.snapshot();
    let (Some(driver), Some(class)) = (driver(claim, state), class(claim, state)) else { return Ok(()) };
    let name = format!("pvc-{}", claim.metadata.uid.as_deref().unwrap_or_default());
    if state.get(&Key::new(Kind::PersistentVolume, "", &name)).is_some() {
        return Ok(());
    }
    let source = match source_of(claim, world.server) {
        Ok(source) => source,
        Err(why) => {
            tell(world, &name_of(&driver), claim, ("Warning", "ProvisioningFailed", &why));
            return Err(Error::internal(&why));
        }
    };
    let state = world.server.snapshot();
    let nodes: Vec<&Node> = state.list(Kind::Node).filter_map(|stored| stored.get()).collect();
    let zone = match annotation(&claim.metadata, SELECTED_NODE) {
        None => some_zone(claim, &class, &nodes),
        Some(selected) => {
            let Some(node) = nodes.iter().find(|node| node.metadata.name.as_deref() == Some(selected)) else {
                return reschedule(claim, &driver, selected, world);
            };
            zone(node).map(str::to_string)
        }
    };
    let volume = volume(claim, &class, &driver, name.clone(), zone);
    world.server.create(volume.into_object())?;
    if let Some(handle) = source {
        disks.borrow_mut().copy(&disk::of_snapshot(&handle), &disk::of_volume(&name));
    }
    let why = format!("Successfully provisioned volume {name}");
    tell(world, &name_of(&driver), claim, ("Normal", "ProvisioningSucceeded", &why));
    Ok(())
}

/// The handle of the snapshot that a claim is to begin with, if it names one (`getSnapshotSource`).
fn source_of(claim: &PersistentVolumeClaim, server: &Server) -> Result<Option<String>, String> {
    let source = claim.spec.as_ref().and_then(|spec| spec.data_source.as_ref());
    let Some(source) = source.filter(|source| source.kind == snapshot::SNAPSHOT) else { return Ok(None) };
    let namespace = claim.metadata.namespace.as_deref().unwrap_or_default();
    let name = &source.name;
    let content = snapshot::content_of(server, namespace, name)
        .ok_or_else(|| format!("error getting snapshot {name} from api server: it is not there or not bound"))?;
    match content["status"]["snapshotHandle"].as_str().filter(|_| content["status"]["readyToUse"] == true) {
        Some(handle) => Ok(Some(handle.to_string())),
        None => Err(format!("snapshot {name} is not Ready")),
    }
}

/// The node is gone: the scheduler chooses anew (`provisionVolumeErrorHandling`).
fn reschedule(claim: &PersistentVolumeClaim, driver: &str, node: &str, world: &mut World<'_>) -> Result<(), Error> {
    let why = format!("node {node:?} not found");
    tell(world, &name_of(driver), claim, ("Warning", "ProvisioningFailed", &why));
    let mut claim = claim.clone();
    claim.metadata.annotations.get_or_insert_default().remove(SELECTED_NODE);
    world.server.update(claim.into_object()).map(drop)
}

/// The zone of a claim that waits for no node: claims of one set go to one zone after the other, others anywhere
/// (`getPVCNameHashAndIndexOffset` of `external-provisioner/pkg/controller/topology.go`).
fn some_zone(claim: &PersistentVolumeClaim, class: &StorageClass, nodes: &[&Node]) -> Option<String> {
    let terms = class.allowed_topologies.as_deref().unwrap_or_default();
    let wanted = terms.iter().flat_map(|term| term.match_label_expressions.iter().flatten());
    let wanted: Vec<&String> = wanted.filter(|one| one.key == ZONE).flat_map(|one| &one.values).collect();
    let allowed = |zone: &str| terms.is_empty() || wanted.iter().any(|value| *value == zone);
    let zones: BTreeSet<&str> = nodes.iter().filter_map(|node| zone(node)).collect();
    let zones: Vec<&str> = zones.into_iter().filter(|zone| allowed(zone)).collect();
    let name = claim.metadata.name.as_deref().unwrap_or_default();
    let (set, ordinal) = match name.rsplit_once('-').map(|(set, ordinal)| (set, ordinal.parse::<u32>())) {
        Some((set, Ok(ordinal))) => (set.rsplit_once('-').map_or(set, |(_, set)| set), ordinal),
        _ => (name, 0),
    };
    let hash = set.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    let index = hash.wrapping_add(ordinal) as usize % zones.len().max(1);
    zones.get(index).map(ToString::to_string)
}

fn volume(
    claim: &PersistentVolumeClaim,
    class: &StorageClass,
    driver: &str,
    name: String,
    zone: Option<String>,
) -> PersistentVolume {
    let spec = claim.spec.clone().unwrap_or_default();
    let reachable = |zone: String| VolumeNodeAffinity {
        required: Some(NodeSelector {
            node_selector_terms: vec![NodeSelectorTerm {
                match_expressions: Some(vec![NodeSelectorRequirement {
                    key: ZONE.into(),
                    operator: "In".into(),
                    values: Some(vec![zone]),
                }]),
                ..NodeSelectorTerm::default()
            }],
        }),
    };
    let secrets = ["name", "namespace"].map(|what| format!("volume.kubernetes.io/provisioner-deletion-secret-{what}"));
    let annotations = secrets.into_iter().map(|name| (name, String::new()));
    let size = kit_api::pod_resources::Text::from(&requested(claim));
    PersistentVolume {
        metadata: ObjectMeta {
            name: Some(name.clone()),
            annotations: Some(annotations.chain([(PROVISIONED_BY.to_string(), driver.to_string())]).collect()),
            finalizers: Some(vec![FINALIZER.into()]),
            ..ObjectMeta::default()
        },
        spec: Some(PersistentVolumeSpec {
            access_modes: spec.access_modes,
            capacity: Some(BTreeMap::from([("storage".to_string(), size)])),
            claim_ref: Some(volume::reference(claim)),
            csi: Some(CSIPersistentVolumeSource {
                driver: driver.into(),
                volume_handle: name,
                ..CSIPersistentVolumeSource::default()
            }),
            mount_options: class.mount_options.clone(),
            node_affinity: zone.map(reachable),
            persistent_volume_reclaim_policy: class.reclaim_policy.clone(),
            storage_class_name: Some(class_of(claim).into()),
            volume_mode: spec.volume_mode,
            ..PersistentVolumeSpec::default()
        }),
        status: None,
    }
}

/// The driver of a volume (`isProvisionerForVolume`).
pub fn driver_of(volume: &PersistentVolume) -> Option<&str> {
    let csi = || volume.spec.as_ref().and_then(|spec| spec.csi.as_ref()).map(|csi| csi.driver.as_str());
    annotation(&volume.metadata, PROVISIONED_BY).or_else(csi)
}

fn policy(volume: &PersistentVolume) -> &str {
    volume.spec.as_ref().and_then(|spec| spec.persistent_volume_reclaim_policy.as_deref()).unwrap_or_default()
}

fn is_protected(volume: &PersistentVolume) -> bool {
    volume.metadata.finalizers.iter().flatten().any(|there| there == FINALIZER)
}

/// Keeps volumes whose disks are to be deleted with them, and lets go of others (`handleProtectionFinalizer`).
pub fn protect(volume: &PersistentVolume, world: &mut World<'_>) -> Result<(), Error> {
    let mut changed = volume.clone();
    let all = changed.metadata.finalizers.get_or_insert_default();
    let is_new = volume.metadata.deletion_timestamp.is_none() && volume_phase(volume) == "Bound";
    match (policy(volume), is_protected(volume)) {
        ("Delete", false) if is_new => all.push(FINALIZER.into()),
        ("Retain" | "Recycle", true) => all.retain(|there| there != FINALIZER),
        _ => return Ok(()),
    }
    world.server.update(changed.into_object()).map(drop)
}

/// Whether the disk of a volume is to be deleted (`shouldDelete`).
pub fn is_to_go(volume: &PersistentVolume) -> bool {
    let done = volume.metadata.deletion_timestamp.is_some() && !is_protected(volume);
    !done && volume_phase(volume) == "Released" && policy(volume) == "Delete"
}

/// Deletes the disk and the volume, once it is attached to no node (`deleteVolumeOperation`, `canDeleteVolume`).
pub fn delete(volume: &PersistentVolume, world: &mut World<'_>) -> Result<(), Error> {
    let (Some(driver), true) = (driver_of(volume), is_to_go(volume)) else { return Ok(()) };
    let name = volume.metadata.name.clone().unwrap_or_default();
    if let Some(node) = node_of(&name, world.server.snapshot()) {
        let why = format!("persistentvolume {name} is still attached to node {node}");
        tell(world, &name_of(driver), volume, ("Warning", "VolumeFailedDelete", &why));
        return Err(Error::internal(&why));
    }
    let key = Key::new(Kind::PersistentVolume, "", &name);
    world.server.delete(&key, &DeleteOptions::default())?;
    let Ok(mut left) = world.server.fetch::<PersistentVolume>("", &name) else { return Ok(()) };
    left.metadata.finalizers.iter_mut().for_each(|all| all.retain(|there| there != FINALIZER));
    world.server.update(left.into_object()).map(drop)
}
