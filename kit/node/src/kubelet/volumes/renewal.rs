//! Volumes that are made of objects are made anew when those have changed, each time that their pod is looked at.
//!
//! Sources: `pkg/kubelet/pod_workers.go` (`completeWork`: a pod is looked at again after the sync period and up to half as much more),
//! `pkg/kubelet/volumemanager/populator` (`MarkRemountRequired`).

use super::{Source, made};
use crate::kubelet::Kubelets;
use kit_client::component::World;
use kit_time::agenda::Instant;
use kit_time::random::{Purpose, Random};

/// How often a pod is looked at if nothing happens (`syncFrequency`).
pub const SYNC: Instant = Instant::seconds(60);

impl Kubelets {
    /// Looks whether the objects that a pod's volumes are made of have changed.
    pub(in crate::kubelet) fn renew_volumes(&mut self, node: &str, uid: &str, world: &mut World<'_>) {
        let Some(kubelet) = self.nodes.get_mut(node) else { return };
        let Some(running) = kubelet.pods.get_mut(uid) else { return };
        let volumes = &mut running.volumes;
        if volumes.renews.is_none_or(|at| at > world.now) {
            return;
        }
        if running.worker.stops_at.is_some() || running.worker.is_over() {
            volumes.renews = None;
            return;
        }
        let purpose =
            Purpose { component: "kubelet", object: uid, reason: "sync", attempt: world.now.nanos.unsigned_abs() };
        let later = (Random::new(0).fraction(purpose) * 0.5 * SYNC.nanos as f64) as i64;
        volumes.renews = Some(world.now + SYNC + Instant { nanos: later });
        let mut renewed = false;
        for want in &mut volumes.wants {
            let Source::Made(of) = &want.source else { continue };
            let print = made::fingerprint(of, &running.key, world, volumes.since);
            let name = format!("{uid}-{}", want.name);
            let mount = kubelet.manager.mounts.iter_mut().find(|it| it.pod == uid && it.volume == name);
            if let Some(mount) = mount.filter(|_| want.print != print) {
                (mount.remount, renewed, want.print) = (true, true, print);
            }
        }
        let waits = |volume: &String| volume.starts_with(uid);
        if renewed || kubelet.manager.failures.keys().any(waits) {
            self.look_after_volumes(node, world);
            let Some(kubelet) = self.nodes.get_mut(node) else { return };
            let again = kubelet.manager.again.filter(|again| *again > world.now);
            let waits = kubelet.manager.failures.keys().any(waits);
            let Some(running) = kubelet.pods.get_mut(uid).filter(|_| waits) else { return };
            running.volumes.renews = running.volumes.renews.into_iter().chain(again).min();
        }
    }
}
