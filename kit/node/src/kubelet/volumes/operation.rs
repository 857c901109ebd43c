//! What a node does about a volume, as a module wants it.
//!
//! Source: `pkg/volume/util/operationexecutor/operation_generator.go`, which also has the words for what fails.

use super::{Manager, Source, made};
use crate::kubelet::Kubelet;
use crate::kubelet::objects::Namespace;
use kit_api::core::Volume as Object;
use kit_client::component::World;
use kit_contract::storage::Volumes;
use kit_contract::storage::volumes::{Device, Failure, Mount, Node, Operation, Pod};
use std::collections::BTreeSet;

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
    /// Does something about a volume. None if that changes nothing; else what has failed, if it is worth an event.
    pub(super) fn operate(
        &mut self,
        operation: &Operation,
        seen: &Node,
        module: &dyn Volumes,
        world: &World<'_>,
    ) -> Option<String> {
        let (name, kind) = (operation.volume(), operation.kind());
        let traits = *seen.volumes.get(name)?;
        let why = match operation {
            Operation::SetUp { pod, .. } => self.unmade(pod, name, seen, module, world),
            _ => None,
        };
        let manager = &mut self.manager;
        match manager.attempt(operation, seen, why) {
            End::Idle => None,
            End::Done => {
                manager.failures.remove(name);
                manager.known.insert(name.into(), traits);
                let there: BTreeSet<String> = manager.names().collect();
                manager.known.retain(|name, _| there.contains(name));
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

    /// Why a volume of a pod can't be made of its objects.
    fn unmade(&self, pod: &str, volume: &str, seen: &Node, module: &dyn Volumes, world: &World<'_>) -> Option<String> {
        let running = self.pods.get(pod)?;
        let of_pod = seen.pods.iter().find(|it| it.name == pod)?;
        let name = &of_pod.volumes.iter().find(|it| it.volume.as_deref() == Some(volume))?.name;
        let of: &Object = match &running.volumes.wants.iter().find(|want| want.name == *name)?.source {
            Source::Made(of) => of,
            Source::Claim(_) => return None,
        };
        let at = Namespace { name: &running.key.namespace, server: world.server };
        let missing = module.project(&made::projection(of, &at)).err()?;
        Some(format!("MountVolume.SetUp failed for volume {name:?} : {}", made::why(&missing)))
    }
}

impl Manager {
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
