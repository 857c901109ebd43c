//! What a node does about a volume, as a module wants it.
//!
//! Source: `pkg/volume/util/operationexecutor/operation_generator.go`, which also has the words for what fails.

use super::content::Disk;
use super::{Manager, Source, Want, made};
use crate::kubelet::Kubelet;
use crate::kubelet::surroundings::Place;
use kit_api::core::{PersistentVolume, PersistentVolumeClaim};
use kit_api::storage::CSIDriver;
use kit_api::volume::volume_of;
use kit_client::component::World;
use kit_client::fault::{Conduct, VolumeCall};
use kit_contract::storage::volumes::{Device, Failure, Kind, Mount, Node, Operation, Payload, Pod};
use kit_time::agenda::Instant;
use std::collections::BTreeSet;

/// How long the kubelet waits for a driver (`csiTimeout` of `pkg/volume/csi/csi_plugin.go`).
const TIMEOUT: Instant = Instant::seconds(120);

/// What a call of a driver is for; none if this is none.
pub fn call(operation: &Operation) -> Option<VolumeCall> {
    match operation {
        _ if !operation.volume().starts_with("kubernetes.io/csi/") => None,
        Operation::MountDevice { .. } => Some(VolumeCall::Stage),
        Operation::SetUp { .. } | Operation::Map { .. } => Some(VolumeCall::Publish),
        _ => None,
    }
}

/// How an operation ends.
enum End {
    /// There was nothing to do.
    Idle,
    Done,
    /// With what is said of the pods.
    Failed(String),
}

/// Whether an operation is done for a pod.
pub fn is_about(operation: &Operation, pod: &Pod) -> bool {
    let one = operation.pod();
    let has = pod.volumes.iter().any(|it| it.volume.as_deref() == Some(operation.volume()));
    has && (one.is_empty() || one == pod.name)
}

impl Kubelet {
    /// Does something about a volume. None if that changes nothing; else what has failed, if it is worth an event. `place` is the pod's,
    /// if anybody can look into its containers.
    pub(super) fn operate(
        &mut self,
        operation: &Operation,
        seen: &Node,
        place: Option<&Place<'_>>,
        conduct: Conduct,
        world: &World<'_>,
    ) -> Option<String> {
        let (name, kind) = (operation.volume(), operation.kind());
        let traits = *seen.volumes.get(name)?;
        let made = place.filter(|_| kind == Kind::Mount).and_then(|place| self.make(operation, seen, place));
        let payload = made.transpose();
        let why = payload.as_ref().err().cloned();
        let called = self.volume_name(operation, seen, world);
        let manager = &mut self.manager;
        let hindered = manager.hindered(operation, conduct, world.now, &called);
        match hindered.unwrap_or_else(|| manager.attempt(operation, seen, why)) {
            End::Idle => None,
            End::Done => {
                manager.failures.remove(name);
                manager.known.insert(name.into(), traits);
                let there: BTreeSet<String> = manager.names().collect();
                manager.known.retain(|name, _| there.contains(name));
                if let (Operation::SetUp { pod, read_only, .. }, Some(place)) = (operation, place) {
                    self.fill(pod, payload.ok().flatten(), *read_only, (name, seen, place), world);
                }
                Some(String::new())
            }
            End::Failed(why) => {
                let before = manager.failures.get(name).filter(|failure| failure.kind == kind);
                let times = before.map_or(0, |failure| failure.times).saturating_add(1);
                manager.failures.insert(name.into(), Failure { kind, times, at_ms: world.now.nanos / 1_000_000 });
                Some(why)
            }
        }
    }

    /// What a volume is called in messages: a PersistentVolume by its name.
    fn volume_name(&self, operation: &Operation, seen: &Node, world: &World<'_>) -> String {
        let volume = operation.volume();
        let claimed = seen.pods.iter().filter(|pod| is_about(operation, pod)).find_map(|pod| {
            let Source::Claim(claim) = &self.want(&pod.name, volume, seen)?.source else { return None };
            let namespace = &self.pods.get(&pod.name)?.key.namespace;
            let claim = world.server.fetch::<PersistentVolumeClaim>(namespace, claim).ok()?;
            Some(volume_of(&claim).to_string())
        });
        claimed.unwrap_or_else(|| volume.into())
    }

    /// What a pod calls a volume, and where that comes from.
    fn want(&self, pod: &str, volume: &str, seen: &Node) -> Option<&Want> {
        let of_pod = seen.pods.iter().find(|it| it.name == pod)?;
        let name = &of_pod.volumes.iter().find(|it| it.volume.as_deref() == Some(volume))?.name;
        self.pods.get(pod)?.volumes.wants.iter().find(|want| want.name == *name)
    }

    /// The files of a volume that is made of objects, or why it can't be made.
    fn make(&self, operation: &Operation, seen: &Node, place: &Place<'_>) -> Option<Result<Payload, String>> {
        let want = self.want(operation.pod(), operation.volume(), seen)?;
        let Source::Made(of) = &want.source else { return None };
        let why =
            |missing: Vec<_>| format!("MountVolume.SetUp failed for volume {:?} : {}", want.name, made::why(&missing));
        Some(place.project(of).map_err(why))
    }

    /// Lets the containers of a pod find in a volume what is there now.
    fn fill(
        &mut self,
        pod: &str,
        payload: Option<Payload>,
        read_only: bool,
        at: (&str, &Node, &Place<'_>),
        world: &World<'_>,
    ) {
        let (name, seen, place) = at;
        let Some(want) = self.want(pod, name, seen) else { return };
        let (name, source) = (want.name.clone(), want.source.clone());
        let Some(running) = self.pods.get_mut(pod) else { return };
        let volumes = &mut running.worker.volumes;
        match (source, payload) {
            (Source::Made(of), Some(payload)) => {
                place.publish(&of, &payload, volumes);
                let (wants, since) = (&mut running.volumes.wants, running.volumes.since);
                let print = made::fingerprint(&of, &running.key, world, since);
                wants.iter_mut().filter(|want| want.name == name).for_each(|want| want.print.clone_from(&print));
            }
            (Source::Claim(claim), _) => {
                let fetch = |name: &str| place.server.fetch::<PersistentVolume>("", name).ok();
                let claim = place.server.fetch::<PersistentVolumeClaim>(&running.key.namespace, &claim).ok();
                let Some(volume) = claim.and_then(|claim| fetch(volume_of(&claim))) else { return };
                let csi = volume.spec.as_ref().and_then(|spec| spec.csi.as_ref());
                let driver = csi.and_then(|csi| place.server.fetch::<CSIDriver>("", &csi.driver).ok());
                place.mount_disk(&name, &Disk { volume: &volume, driver, read_only }, volumes);
            }
            _ => {}
        }
    }
}

impl Manager {
    /// How a call of a driver ends that doesn't do what it should; none if it does. While it hangs it hasn't ended.
    fn hindered(&mut self, operation: &Operation, conduct: Conduct, now: Instant, called: &str) -> Option<End> {
        let (name, pod) = (operation.volume(), operation.pod());
        match conduct {
            Conduct::Works => {
                self.calls.remove(name);
                return None;
            }
            Conduct::Fails => {}
            Conduct::Hangs if now < *self.calls.entry(name.into()).or_insert(now + TIMEOUT) => return Some(End::Idle),
            Conduct::Hangs => {
                self.calls.remove(name);
                // Nobody knows how far it came (`isFinalError` of `pkg/volume/csi/csi_client.go`).
                let is_this = |mount: &Mount| mount.pod == pod && mount.volume == name;
                if matches!(operation, Operation::MountDevice { .. }) {
                    self.devices.insert(name.into(), Device { sure: false });
                } else if !self.mounts.iter().any(is_this) {
                    self.mounts.push(Mount { pod: pod.into(), volume: name.into(), sure: false, remount: false });
                }
            }
        }
        let what = match operation {
            Operation::MountDevice { .. } => "MountVolume.MountDevice",
            Operation::Map { .. } => "MapVolume.MapPodDevice",
            _ => "MountVolume.SetUp",
        };
        Some(End::Failed(format!("{what} failed for volume {called:?} : {}", conduct.error())))
    }

    fn attempt(&mut self, operation: &Operation, seen: &Node, unmade: Option<String>) -> End {
        let (name, pod) = (operation.volume(), operation.pod());
        let traits = seen.volumes.get(name).copied().unwrap_or_default();
        let is_attached = !traits.attach || seen.attached.contains_key(name);
        let has_device = self.devices.get(name).is_some_and(|device| device.sure);
        let at = self.mounts.iter().position(|mount| mount.pod == pod && mount.volume == name);
        let is_wanted = seen.pods.iter().any(|pod| is_about(operation, pod));
        let failed = |what: &str, why: &str| End::Failed(format!("{what} failed for volume {name:?} : {why}"));
        match operation {
            Operation::MountDevice { .. } if has_device => return End::Idle,
            Operation::MountDevice { .. } | Operation::Map { .. } if !is_attached => {
                return failed("MountVolume.WaitForAttach", "the volume is not attached to the node");
            }
            Operation::MountDevice { .. } => _ = self.devices.insert(name.into(), Device { sure: true }),
            Operation::SetUp { .. } | Operation::Map { .. } if !is_wanted => return End::Idle,
            Operation::SetUp { .. } if traits.block || traits.device && !has_device || !is_attached => {
                return failed("MountVolume.SetUp", "there is no device mounted to bind it from");
            }
            Operation::SetUp { .. } | Operation::Map { .. } => {
                if let Some(why) = unmade {
                    return End::Failed(why);
                }
                let mount = Mount { pod: pod.into(), volume: name.into(), sure: true, remount: false };
                match at {
                    Some(at) if self.mounts[at] == mount => return End::Idle,
                    Some(at) => self.mounts[at] = mount,
                    None => self.mounts.push(mount),
                }
            }
            Operation::TearDown { .. } => match at {
                None => return End::Idle,
                Some(at) => _ = self.mounts.remove(at),
            },
            Operation::UnmountDevice { .. } if self.mounts.iter().any(|mount| mount.volume == name) => {
                return End::Failed(String::new());
            }
            Operation::UnmountDevice { .. } if self.devices.remove(name).is_none() => return End::Idle,
            Operation::UnmountDevice { .. } => {}
        }
        End::Done
    }
}
