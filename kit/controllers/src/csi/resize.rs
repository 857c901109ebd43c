//! The external resizer, and what the kubelet does after it: first the disk grows, then the file system on it.
//!
//! Sources: `external-resizer/pkg/controller/{controller,expand_and_recover,resize_status}.go`,
//! `pkg/volume/util/operationexecutor/node_expander.go`.

use super::tell;
use kit_api::core::{PersistentVolume, PersistentVolumeClaim, PersistentVolumeClaimCondition, Pod};
use kit_api::pod_resources::Text;
use kit_api::volume::{self, claim_phase, requested, storage, volume_of};
use kit_api::{pod, time};
use kit_apimachinery::object::{AsKind, Key, Kind};
use kit_client::component::World;
use kit_server::{Error, Snapshot};
use std::collections::BTreeMap;

const PENDING: &str = "Waiting for user to (re-)start a pod to finish file system resize of volume on node.";

fn name_of(driver: &str) -> String {
    format!("external-resizer {driver}")
}

fn the_volume(claim: &PersistentVolumeClaim, state: &Snapshot) -> Option<PersistentVolume> {
    state.get(&Key::new(Kind::PersistentVolume, "", volume_of(claim)))?.get().cloned()
}

fn state_of(claim: &PersistentVolumeClaim) -> Option<&str> {
    let status = claim.status.as_ref()?;
    status.allocated_resource_statuses.as_ref()?.get("storage").map(String::as_str)
}

/// Who is to grow the volume of a claim, and whether only the file system is left.
pub fn driver(claim: &PersistentVolumeClaim, state: &Snapshot) -> Option<(String, bool)> {
    let has = claim.status.as_ref().and_then(|status| storage(status.capacity.as_ref()))?;
    if claim_phase(claim) != "Bound" || requested(claim) <= has {
        return None;
    }
    let driver = the_volume(claim, state)?.spec?.csi?.driver;
    Some((driver, state_of(claim) == Some("NodeResizePending")))
}

/// Says that it begins, on the claim (`markControllerResizeInProgress`).
pub fn announce(claim: &PersistentVolumeClaim, driver: &str, world: &mut World<'_>) -> Result<(), Error> {
    let why = format!("External resizer is resizing volume {}", volume_of(claim));
    tell(world, &name_of(driver), claim, ("Normal", "Resizing", &why));
    let wanted = Text::from(&requested(claim));
    write(claim, world, |status, now| {
        status.allocated_resources = Some(BTreeMap::from([("storage".to_string(), wanted)]));
        status.allocated_resource_statuses =
            Some(BTreeMap::from([("storage".to_string(), "ControllerResizeInProgress".to_string())]));
        status.conditions = Some(vec![condition("Resizing", None, now)]);
    })
}

/// The disk has grown (`expandAndRecover`).
pub fn grow(claim: &PersistentVolumeClaim, world: &mut World<'_>) -> Result<(), Error> {
    let state = world.server.snapshot();
    let (Some((driver, false)), Some(mut volume)) = (driver(claim, state), the_volume(claim, state)) else {
        return Ok(());
    };
    let wanted = requested(claim);
    if volume::capacity(&volume) < wanted {
        let spec = volume.spec.get_or_insert_default();
        spec.capacity.get_or_insert_default().insert("storage".into(), Text::from(&wanted));
        world.server.update(volume.clone().into_object())?;
    }
    if volume.spec.is_some_and(|spec| spec.volume_mode.as_deref() == Some("Block")) {
        tell(world, &name_of(&driver), claim, ("Normal", "VolumeResizeSuccessful", "Resize volume succeeded"));
        return done(claim, world);
    }
    tell(
        world,
        &name_of(&driver),
        claim,
        ("Normal", "FileSystemResizeRequired", "Require file system resize of volume on node"),
    );
    write(claim, world, |status, now| {
        status.allocated_resource_statuses =
            Some(BTreeMap::from([("storage".to_string(), "NodeResizePending".to_string())]));
        status.conditions = Some(vec![condition("FileSystemResizePending", Some(PENDING), now)]);
    })
}

/// A kubelet has grown the file system; without a pod that runs with it nobody does.
pub fn grow_files(claim: &PersistentVolumeClaim, world: &mut World<'_>) -> Result<(), Error> {
    if driver(claim, world.server.snapshot()).is_none() {
        return Ok(());
    }
    let (Some(namespace), Some(name)) = (&claim.metadata.namespace, &claim.metadata.name) else { return Ok(()) };
    let pods = world.server.snapshot().list_in(Kind::Pod, namespace).filter_map(|stored| stored.get::<Pod>());
    let runs = |pod: &&Pod| pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Running");
    let Some(pod) = pods.filter(runs).find(|pod| volume::uses(pod, name)).cloned() else {
        return Err(Error::internal("no pod runs with the volume"));
    };
    let node = pod::node_name(&pod).unwrap_or_default();
    let why = format!("MountVolume.NodeExpandVolume succeeded for volume {:?} {node}", volume_of(claim));
    tell(world, "kubelet", &pod, ("Normal", "FileSystemResizeSuccessful", &why));
    tell(world, "kubelet", claim, ("Normal", "FileSystemResizeSuccessful", &why));
    done(claim, world)
}

/// The claim has what it asked for (`MarkNodeExpansionFinishedWithRecovery`).
fn done(claim: &PersistentVolumeClaim, world: &mut World<'_>) -> Result<(), Error> {
    let wanted = Text::from(&requested(claim));
    write(claim, world, |status, _| {
        status.capacity.get_or_insert_default().insert("storage".into(), wanted);
        status.allocated_resource_statuses = None;
        status.conditions = None;
    })
}

fn write(
    claim: &PersistentVolumeClaim,
    world: &mut World<'_>,
    change: impl FnOnce(&mut kit_api::core::PersistentVolumeClaimStatus, kit_api::jiff::Timestamp),
) -> Result<(), Error> {
    let mut claim = claim.clone();
    change(claim.status.get_or_insert_default(), world.time());
    world.server.update_status(claim.into_object()).map(drop)
}

fn condition(type_: &str, message: Option<&str>, now: kit_api::jiff::Timestamp) -> PersistentVolumeClaimCondition {
    PersistentVolumeClaimCondition {
        type_: type_.into(),
        status: "True".into(),
        message: message.map(str::to_string),
        last_transition_time: Some(time::seconds(now)),
        ..PersistentVolumeClaimCondition::default()
    }
}
