//! A node as the module sees it: what its pods want, and what is there.

use super::{Manager, Source, Want};
use crate::kubelet::{Kubelet, Running};
use kit_api::core::{Node as Object, PersistentVolume, PersistentVolumeClaim};
use kit_api::storage::CSIDriver;
use kit_api::volume::{self, volume_of};
use kit_contract::storage::volumes::{Node, Pod, PodVolume, Volume};
use kit_server::Server;
use std::collections::BTreeMap;

/// The node now.
pub fn of(kubelet: &Kubelet, server: &Server) -> Node {
    let manager = &kubelet.manager;
    let mut node = Node {
        reported: kubelet.in_use.iter().cloned().collect(),
        devices: manager.devices.clone(),
        mounts: manager.mounts.clone(),
        failures: manager.failures.clone(),
        ..Node::default()
    };
    for (uid, running) in kubelet.pods.iter().filter(|(_, running)| counts(running)) {
        let mut volumes = Vec::new();
        for want in &running.volumes.wants {
            let found = behind(want, uid, running, server);
            volumes.push(PodVolume {
                name: want.name.clone(),
                volume: found.as_ref().map(|(name, _)| name.clone()),
                read_only: want.read_only,
            });
            node.volumes.extend(found);
        }
        node.pods.push(Pod { name: uid.clone(), ending: running.worker.stops_at.is_some(), volumes });
    }
    for name in manager.names().filter(|name| !node.volumes.contains_key(name)).collect::<Vec<_>>() {
        let known = manager.known.get(&name).copied().unwrap_or_default();
        node.volumes.insert(name, known);
    }
    if node.volumes.values().any(|volume| volume.attach) {
        node.attached = attached(&kubelet.shape.name, server);
    }
    node
}

/// Whether the volumes of a pod are its kubelet's business: as long as its containers run, or are about to.
fn counts(running: &Running) -> bool {
    !running.volumes.wants.is_empty() && !running.worker.is_over()
}

fn attached(node: &str, server: &Server) -> BTreeMap<String, String> {
    let status = server.fetch::<Object>("", node).ok().and_then(|node| node.status).unwrap_or_default();
    status.volumes_attached.into_iter().flatten().map(|it| (it.name, it.device_path)).collect()
}

/// The volume that a pod gets, if it is known already.
fn behind(want: &Want, uid: &str, running: &Running, server: &Server) -> Option<(String, Volume)> {
    let claim = match &want.source {
        // Each pod has its own.
        Source::Made(_) => return Some((format!("{uid}-{}", want.name), Volume::default())),
        Source::Claim(claim) => claim,
    };
    let claim = server.fetch::<PersistentVolumeClaim>(&running.key.namespace, claim).ok()?;
    let volume = server.fetch::<PersistentVolume>("", volume_of(&claim)).ok()?;
    if !volume::is_bound(&claim) || !volume::is_for(&volume, &claim) {
        return None;
    }
    let attached = volume::attached_name(&volume);
    let spec = volume.spec.unwrap_or_default();
    let driver = spec.csi.as_ref().and_then(|csi| server.fetch::<CSIDriver>("", &csi.driver).ok());
    let refuses = driver.is_some_and(|driver| driver.spec.attach_required == Some(false));
    let block = spec.volume_mode.as_deref() == Some("Block");
    let traits = Volume {
        attach: attached.is_some() && !refuses,
        device: (spec.csi.is_some() || spec.local.is_some()) && !block,
        block,
        single: spec.access_modes.as_deref().is_some_and(|modes| modes == ["ReadWriteOncePod"]),
    };
    Some((attached.unwrap_or_else(|| volume.metadata.name.unwrap_or_default()), traits))
}

impl Manager {
    /// The volumes of which anything is there.
    pub(super) fn names(&self) -> impl Iterator<Item = String> {
        self.devices.keys().chain(self.mounts.iter().map(|mount| &mount.volume)).cloned()
    }
}
