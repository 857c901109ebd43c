//! Keeps claims that pods use, and volumes that are bound, until they aren't: what is deleted meanwhile only ends then.
//!
//! Sources: `pkg/controller/volume/pvcprotection/pvc_protection_controller.go`,
//! `pkg/controller/volume/pvprotection/pv_protection_controller.go`.

use super::users;
use kit_api::core::{PersistentVolume, PersistentVolumeClaim, Pod};
use kit_api::meta::ObjectMeta;
use kit_api::owner;
use kit_api::pod;
use kit_api::volume::{self, claims, volume_phase};
use kit_apimachinery::object::{AsKind, Key, Kind};
use kit_client::component::{Component, World};
use kit_client::work_queue::WorkQueue;
use kit_server::{Change, ChangeKind, Error};
use kit_time::agenda::Instant;
use std::collections::BTreeSet;

const OF_CLAIMS: &str = "kubernetes.io/pvc-protection";
const OF_VOLUMES: &str = "kubernetes.io/pv-protection";

/// What is to be done about a finalizer.
enum Needs {
    Nothing,
    Finalizer,
    /// It is being deleted, and this finalizer is there.
    Look,
}

/// `NeedToAddFinalizer` and `IsDeletionCandidate` of `pkg/controller/volume/protectionutil/utils.go`.
fn needs(meta: &ObjectMeta, finalizer: &str) -> Needs {
    let there = meta.finalizers.iter().flatten().any(|there| there == finalizer);
    match (meta.deletion_timestamp.is_some(), there) {
        (true, true) => Needs::Look,
        (false, false) => Needs::Finalizer,
        _ => Needs::Nothing,
    }
}

fn without(meta: &mut ObjectMeta, finalizer: &str) {
    meta.finalizers.iter_mut().for_each(|all| all.retain(|there| there != finalizer));
}

/// Whether a pod uses a claim. Only one with a node does; of an ephemeral claim, only its owner as long as that isn't shut down.
fn uses(pod: &Pod, claim: &PersistentVolumeClaim) -> bool {
    let (Some(spec), Some(name)) = (&pod.spec, &claim.metadata.name) else { return false };
    let grace = pod.metadata.deletion_grace_period_seconds;
    let shut_down = pod::is_terminating(pod) && grace == Some(0);
    let owns = owner::controller_of(&claim.metadata).is_some_and(|owner| Some(&owner.uid) == pod.metadata.uid.as_ref());
    let of = claims(pod.metadata.name.as_deref().unwrap_or_default(), spec);
    pod::node_name(pod).is_some() && of.iter().any(|used| used.name == *name && (!used.ephemeral || !shut_down && owns))
}

/// Protects claims.
#[derive(Default)]
pub struct ClaimProtection {
    queue: WorkQueue<Key>,
    /// Claims that are being deleted and that pods use. While there are any, pods are watched.
    kept: BTreeSet<Key>,
}

impl ClaimProtection {
    fn sync(&mut self, key: &Key, world: &mut World<'_>) -> Result<(), Error> {
        self.kept.remove(key);
        let Some(claim) = world.cache.fetch::<PersistentVolumeClaim>(&key.namespace, &key.name) else { return Ok(()) };
        let mut changed = claim.clone();
        match needs(&claim.metadata, OF_CLAIMS) {
            Needs::Nothing => return Ok(()),
            Needs::Finalizer => changed.metadata.finalizers.get_or_insert_default().push(OF_CLAIMS.into()),
            Needs::Look => {
                let pods = users::of(world.server.snapshot(), &key.namespace, &key.name);
                if pods.into_iter().any(|pod| uses(pod, claim)) {
                    self.kept.insert(key.clone());
                    return Ok(());
                }
                without(&mut changed.metadata, OF_CLAIMS);
            }
        }
        world.server.update(changed.into_object()).map(drop)
    }
}

impl Component for ClaimProtection {
    fn name(&self) -> &'static str {
        "pvc-protection-controller"
    }

    fn watches(&self) -> &'static [Kind] {
        match self.kept.is_empty() {
            true => &[Kind::PersistentVolumeClaim],
            false => &[Kind::PersistentVolumeClaim, Kind::Pod],
        }
    }

    fn observe(&mut self, change: &Change, world: &mut World<'_>) {
        if let Some(claim) = change.object.get::<PersistentVolumeClaim>() {
            if !matches!(needs(&claim.metadata, OF_CLAIMS), Needs::Nothing) {
                self.queue.add(change.object.key.clone(), world.now);
            }
            return;
        }
        // A pod that only goes on frees nothing.
        let Some(pod) = change.object.get::<Pod>() else { return };
        if change.kind != ChangeKind::Deleted && !users::is_terminated(pod) && pod::node_name(pod).is_some() {
            return;
        }
        let used = |key: &&Key| *key.namespace == *change.object.key.namespace && volume::uses(pod, &key.name);
        self.kept.iter().filter(used).for_each(|key| self.queue.add(key.clone(), world.now));
    }

    fn run(&mut self, world: &mut World<'_>) {
        while let Some(key) = self.queue.pop(world.now) {
            let done = self.sync(&key, world);
            self.queue.done(key, &done, world.now);
        }
    }

    fn next_wake(&self) -> Option<Instant> {
        self.queue.next()
    }
}

/// Protects volumes.
#[derive(Default)]
pub struct VolumeProtection {
    queue: WorkQueue<Key>,
}

fn sync_volume(key: &Key, world: &mut World<'_>) -> Result<(), Error> {
    let Some(volume) = world.cache.fetch::<PersistentVolume>("", &key.name) else { return Ok(()) };
    let mut changed = volume.clone();
    match needs(&volume.metadata, OF_VOLUMES) {
        Needs::Finalizer => changed.metadata.finalizers.get_or_insert_default().push(OF_VOLUMES.into()),
        Needs::Look if volume_phase(volume) != "Bound" => without(&mut changed.metadata, OF_VOLUMES),
        _ => return Ok(()),
    }
    world.server.update(changed.into_object()).map(drop)
}

impl Component for VolumeProtection {
    fn name(&self) -> &'static str {
        "pv-protection-controller"
    }

    fn watches(&self) -> &'static [Kind] {
        &[Kind::PersistentVolume]
    }

    fn observe(&mut self, change: &Change, world: &mut World<'_>) {
        if change.kind != ChangeKind::Deleted
            && !matches!(needs(change.object.object.meta(), OF_VOLUMES), Needs::Nothing)
        {
            self.queue.add(change.object.key.clone(), world.now);
        }
    }

    fn run(&mut self, world: &mut World<'_>) {
        while let Some(key) = self.queue.pop(world.now) {
            let done = sync_volume(&key, world);
            self.queue.done(key, &done, world.now);
        }
    }

    fn next_wake(&self) -> Option<Instant> {
        self.queue.next()
    }
}
