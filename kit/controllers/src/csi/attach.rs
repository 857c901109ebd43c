//! The external attacher: attaches volumes to nodes as VolumeAttachments ask, and detaches them when those are deleted.
//!
//! Source: `external-attacher/pkg/controller/csi_handler.go`.

use kit_api::core::PersistentVolume;
use kit_api::meta::ObjectMeta;
use kit_api::storage::{VolumeAttachment, VolumeAttachmentStatus, VolumeError};
use kit_api::time;
use kit_apimachinery::object::{AsKind, Kind};
use kit_client::component::World;
use kit_client::fault::Conduct;
use kit_server::{Error, Snapshot};

/// On an attachment: what the driver calls its node.
const NODE_ID: &str = "csi.alpha.kubernetes.io/node-id";

/// Keeps attachments, and their volumes, until they are detached (`GetFinalizerName`).
fn finalizer(driver: &str) -> String {
    format!("external-attacher/{}", driver.replace(['/', '.'], "-"))
}

fn hold(meta: &mut ObjectMeta, finalizer: &str) -> bool {
    let all = meta.finalizers.get_or_insert_default();
    let new = !all.iter().any(|there| there == finalizer);
    if new {
        all.push(finalizer.into());
    }
    new
}

fn let_go(meta: &mut ObjectMeta, finalizer: &str) {
    meta.finalizers.iter_mut().for_each(|all| all.retain(|there| there != finalizer));
}

/// Says why a volume can't be attached or detached (`saveAttachError`, `saveDetachError`).
pub fn complain(
    mut attachment: VolumeAttachment,
    conduct: Conduct,
    detaches: bool,
    world: &mut World<'_>,
) -> Result<(), Error> {
    let status = attachment.status.get_or_insert_default();
    let time = Some(time::seconds(world.time()));
    let error = VolumeError { message: Some(conduct.error().into()), time, ..VolumeError::default() };
    *(if detaches { &mut status.detach_error } else { &mut status.attach_error }) = Some(error);
    world.server.update_status(attachment.into_object()).map(drop)
}

/// Attaches a volume (`csiAttach`).
pub fn attach(mut attachment: VolumeAttachment, world: &mut World<'_>) -> Result<(), Error> {
    if attachment.metadata.deletion_timestamp.is_some() {
        return Ok(());
    }
    let finalizer = finalizer(&attachment.spec.attacher);
    let name = attachment.spec.source.persistent_volume_name.clone().unwrap_or_default();
    let mut volume = world.server.fetch::<PersistentVolume>("", &name)?;
    if volume.metadata.deletion_timestamp.is_none() && hold(&mut volume.metadata, &finalizer) {
        world.server.update(volume.into_object())?;
    }
    hold(&mut attachment.metadata, &finalizer);
    let node = attachment.spec.node_name.clone();
    attachment.metadata.annotations.get_or_insert_default().insert(NODE_ID.into(), node);
    let stored = world.server.update(attachment.into_object())?;
    let Some(mut attachment) = stored.get::<VolumeAttachment>().cloned() else { return Ok(()) };
    attachment.status = Some(VolumeAttachmentStatus { attached: true, ..VolumeAttachmentStatus::default() });
    world.server.update_status(attachment.into_object()).map(drop)
}

/// Detaches a volume (`csiDetach`).
pub fn detach(mut attachment: VolumeAttachment, world: &mut World<'_>) -> Result<(), Error> {
    if attachment.status.as_ref().is_some_and(|status| status.attached) {
        attachment.status = Some(VolumeAttachmentStatus::default());
        let stored = world.server.update_status(attachment.clone().into_object())?;
        attachment.metadata.resource_version.clone_from(&stored.object.meta().resource_version);
    }
    let finalizer = finalizer(&attachment.spec.attacher);
    let_go(&mut attachment.metadata, &finalizer);
    world.server.update(attachment.into_object()).map(drop)
}

/// A node to which a volume is attached, or is to be.
pub fn node_of(volume: &str, state: &Snapshot) -> Option<String> {
    let mut all = state.list(Kind::VolumeAttachment).filter_map(|stored| stored.get::<VolumeAttachment>());
    let of = all.find(|it| it.spec.source.persistent_volume_name.as_deref() == Some(volume));
    of.map(|it| it.spec.node_name.clone())
}

/// Lets a volume go that is being deleted and attached nowhere (`SyncNewOrUpdatedPersistentVolume`).
pub fn release(volume: &PersistentVolume, world: &mut World<'_>) -> Result<(), Error> {
    let Some(csi) = volume.spec.as_ref().and_then(|spec| spec.csi.as_ref()) else { return Ok(()) };
    let finalizer = finalizer(&csi.driver);
    let name = volume.metadata.name.as_deref().unwrap_or_default();
    let held = volume.metadata.finalizers.iter().flatten().any(|there| *there == finalizer);
    if volume.metadata.deletion_timestamp.is_none() || !held || node_of(name, world.server.snapshot()).is_some() {
        return Ok(());
    }
    let mut volume = volume.clone();
    let_go(&mut volume.metadata, &finalizer);
    world.server.update(volume.into_object()).map(drop)
}
