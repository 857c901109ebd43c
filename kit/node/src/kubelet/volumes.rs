//! The volumes of pods: nothing of a pod begins before they are there.
//!
//! What is to be mounted and unmounted says a module; here it is done. Drivers take no time, and refuse what can't be done: a
//! mount of a device that isn't attached, and the end of a device that a pod still has. Sources:
//! `pkg/kubelet/volumemanager/volume_manager.go` (`WaitForAttachAndMount`), `pkg/volume/util/operationexecutor`,
//! `pkg/kubelet/nodestatus/setters.go` (`VolumesInUse`).

pub mod content;
pub mod made;
mod operation;
mod renewal;
mod view;

use super::pod_worker::Events;
use super::{Kubelet, Kubelets};
use kit_api::core::{Node as Object, Pod, Volume};
use kit_api::volume;
use kit_apimachinery::object::{AsKind, Key, Kind};
use kit_client::component::World;
use kit_contract::storage::volumes::{self as contract, Device, Failure, Look, Mount};
use kit_time::agenda::Instant;
use made::is_made;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// How often it looks (`podAttachAndMountRetryInterval`), and how long until it says that it has waited in vain
/// (`podAttachAndMountTimeout`). After that nothing new is expected soon.
const LOOK: Instant = Instant::millis(300);
const LOOK_LATER: Instant = Instant::seconds(3);
const TIMEOUT: Instant = Instant::seconds(123);
/// A pod that could not be synced is tried again after about this time (`backOffPeriod`).
const BACK_OFF: Instant = Instant::seconds(10);
/// The most looks one after the other. A module that never comes to rest goes on later.
const LOOKS: usize = 64;

/// The volumes that a pod waits for.
pub struct Claimed {
    wants: Vec<Want>,
    /// Whether the pod has them all.
    ready: bool,
    since: Instant,
    /// When it says again that it waits.
    complains: Instant,
    /// When it is looked whether what they are made of has changed.
    pub renews: Option<Instant>,
}

/// One of them.
struct Want {
    /// As in `spec.volumes`.
    name: String,
    source: Source,
    read_only: bool,
    /// What it was made of last.
    print: String,
}

#[derive(Clone)]
enum Source {
    /// The claim of this name.
    Claim(String),
    /// It is made of objects.
    Made(Rc<Volume>),
}

/// What is there on a node.
#[derive(Default)]
pub struct Manager {
    devices: BTreeMap<String, Device>,
    mounts: Vec<Mount>,
    failures: BTreeMap<String, Failure>,
    /// What the volumes are of which anything is there. Their objects may be gone.
    known: BTreeMap<String, contract::Volume>,
    /// Until when somebody waits for a driver that doesn't answer, by volume.
    calls: BTreeMap<String, Instant>,
    /// When something can be tried again that has failed.
    again: Option<Instant>,
}

impl Claimed {
    /// The volumes of a pod. One that ran before has them.
    /// Objects count if somebody watches.
    pub fn new(pod: &Pod, watched: bool, now: Instant) -> Claimed {
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
        let want = |it: &Volume| {
            let claim = || Some(Source::Claim(volume::claim_of(name, it)?.name));
            let made = || (watched && is_made(it)).then(|| Source::Made(Rc::new(it.clone())));
            let read_only = it.persistent_volume_claim.as_ref().and_then(|claim| claim.read_only);
            Some(Want {
                name: it.name.clone(),
                source: claim().or_else(made)?,
                read_only: read_only.unwrap_or_default(),
                print: String::new(),
            })
        };
        let ran = pod.status.as_ref().is_some_and(|status| status.pod_ip.is_some());
        let wants: Vec<Want> = volumes.filter_map(want).collect();
        let renews = wants.iter().any(|want| matches!(want.source, Source::Made(_))).then(|| now + renewal::SYNC);
        Claimed { wants, ready: ran, since: now, complains: now + TIMEOUT, renews }
    }
}

impl Kubelets {
    /// Looks for the volumes of a pod; `false` if it has to wait for one.
    pub(super) fn mount(&mut self, node: &str, uid: &str, world: &mut World<'_>) -> bool {
        let running = |kubelets: &Self| kubelets.nodes.get(node)?.pods.get(uid).map(|it| it.volumes.wants.is_empty());
        if running(self).unwrap_or(true) {
            return true;
        }
        self.look_after_volumes(node, world);
        let mut events = Events::new();
        let Some(kubelet) = self.nodes.get_mut(node) else { return true };
        let seen = view::of(kubelet, world.server);
        let again = kubelet.manager.again;
        let Some(running) = kubelet.pods.get_mut(uid) else { return true };
        let volumes = &mut running.volumes;
        let late = if volumes.ready { None } else { self.volumes.late(&seen, uid) };
        volumes.ready |= late.is_none();
        let ready = volumes.ready;
        if let Some(late) = late {
            if world.now >= volumes.complains {
                volumes.complains = world.now + BACK_OFF + TIMEOUT;
                let why = format!(
                    "Unable to attach or mount volumes: unmounted volumes=[{}], unattached volumes=[{}], failed to process \
                     volumes=[{}]: context deadline exceeded",
                    late.unmounted.join(" "),
                    late.unattached.join(" "),
                    late.unprocessed.join(" ")
                );
                events.push(("Warning", "FailedMount", why));
            }
            let pause = if world.now < volumes.since + TIMEOUT { LOOK } else { LOOK_LATER };
            let next = world.now + pause;
            running.worker.hold(again.filter(|again| *again > world.now).map_or(next, |again| next.min(again)));
            running.worker.plugged(String::new());
        }
        self.tell(node, uid, events, world);
        ready
    }

    /// Mounts and unmounts on a node until there is nothing more to do.
    fn look_after_volumes(&mut self, node: &str, world: &mut World<'_>) {
        let mut said: BTreeMap<String, Events> = BTreeMap::new();
        for _ in 0..LOOKS {
            let module = self.volumes.clone();
            let Some(kubelet) = self.nodes.get_mut(node).filter(|kubelet| kubelet.up) else { break };
            let seen = view::of(kubelet, world.server);
            let Look { in_use, operations, again_ms } = module.reconcile(&seen, world.now.nanos / 1_000_000);
            kubelet.manager.again = again_ms.map(Instant::millis);
            let mut moved = kubelet.connected && kubelet.report_volumes(in_use, world);
            for operation in operations {
                let watched = self.programs.is_some() && operation.kind() == contract::Kind::Mount;
                let place = if watched { self.place(node, operation.pod(), world) } else { None };
                let conduct = operation::call(&operation).and_then(|call| self.conduct.get(&call));
                let conduct = conduct.copied().unwrap_or_default();
                let Some(kubelet) = self.nodes.get_mut(node) else { break };
                let Some(failed) = kubelet.operate(&operation, &seen, place.as_ref(), conduct, world) else { continue };
                moved = true;
                for pod in seen.pods.iter().filter(|pod| !failed.is_empty() && operation::is_about(&operation, pod)) {
                    said.entry(pod.name.clone()).or_default().push(("Warning", "FailedMount", failed.clone()));
                }
            }
            if !moved {
                break;
            }
        }
        for (uid, events) in said {
            self.tell(node, &uid, events, world);
        }
    }

    /// Looks after the volumes of a node where a pod may have ended.
    pub(super) fn drop_volumes(&mut self, node: &str, world: &mut World<'_>) {
        let used = |kubelet: &Kubelet| !kubelet.in_use.is_empty() || kubelet.manager.names().next().is_some();
        if self.nodes.get(node).is_some_and(used) {
            self.look_after_volumes(node, world);
        }
    }
}

impl Kubelet {
    /// Says in the node's status which attached volumes are in use, if that has changed; `true` if it is known now.
    fn report_volumes(&mut self, in_use: BTreeSet<String>, world: &mut World<'_>) -> bool {
        if in_use.iter().eq(&self.in_use) {
            return false;
        }
        let in_use: Vec<String> = in_use.into_iter().collect();
        let key = Key::new(Kind::Node, "", &self.shape.name);
        let Some(mut object) = world.server.get(&key).ok().and_then(|stored| stored.get::<Object>().cloned()) else {
            return false;
        };
        let status = object.status.get_or_insert_default();
        status.volumes_in_use = Some(in_use.clone()).filter(|all| !all.is_empty());
        match world.server.update_status(object.into_object()) {
            Ok(_) => self.in_use = in_use,
            Err(error) => {
                self.behind |= error.code >= 500;
                return false;
            }
        }
        true
    }
}

#[cfg(test)]
mod tests;
