//! The volumes of pods that claim them: nothing of a pod begins before they are there.
//!
//! A volume that its driver attaches is waited for until the node's status says that it is attached; the node says which ones it
//! uses. Sources: `pkg/kubelet/volumemanager/volume_manager.go` (`WaitForAttachAndMount`),
//! `pkg/kubelet/volumemanager/populator/desired_state_of_world_populator.go`, `pkg/kubelet/nodestatus/setters.go` (`VolumesInUse`).

use super::Kubelets;
use super::objects::{Namespace, is_made};
use kit_api::core::{Node, PersistentVolume, PersistentVolumeClaim, Pod, Volume};
use kit_api::storage::CSIDriver;
use kit_api::volume::{self, volume_of};
use kit_apimachinery::object::{AsKind, Key, Kind};
use kit_client::component::World;
use kit_server::Server;
use kit_time::agenda::Instant;
use std::collections::BTreeSet;

/// How often it looks (`podAttachAndMountRetryInterval`), and how long until it says that it has waited in vain
/// (`podAttachAndMountTimeout`). After that nothing new is expected soon.
const LOOK: Instant = Instant::millis(300);
const LOOK_LATER: Instant = Instant::seconds(3);
const TIMEOUT: Instant = Instant::seconds(123);
/// How long a volume that could not be made isn't tried again: twice as long each time (`exponentialbackoff`).
const FIRST: Instant = Instant::millis(500);
const MOST: Instant = Instant::seconds(122);
/// A pod that could not be synced is tried again after about this time (`backOffPeriod`).
const BACK_OFF: Instant = Instant::seconds(10);

/// The volumes that a pod claims.
pub struct Claimed {
    /// The name of the volume in the pod, and of the claim.
    claims: Vec<(String, String)>,
    /// Those that are made of objects.
    made: Vec<Volume>,
    /// When they are tried again, and how long after that.
    again: (Instant, Instant),
    /// What the node calls those that are attached to it.
    pub in_use: BTreeSet<String>,
    /// Whether the pod has them all.
    ready: bool,
    since: Instant,
    /// When it says again that it waits.
    complains: Instant,
}

impl Claimed {
    /// The volumes of a pod. One that ran before has them.
    /// Objects count if somebody watches.
    pub fn new(pod: &Pod, watched: bool, now: Instant) -> Claimed {
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
        let made = volumes.clone().filter(|volume| watched && is_made(volume)).cloned().collect();
        let claims = volumes.filter_map(|it| Some((it.name.clone(), volume::claim_of(name, it)?.name)));
        let ran = pod.status.as_ref().is_some_and(|status| status.pod_ip.is_some());
        let again = (now, FIRST);
        Claimed {
            claims: claims.collect(),
            made,
            again,
            in_use: BTreeSet::new(),
            ready: ran,
            since: now,
            complains: now + TIMEOUT,
        }
    }
}

/// What stands between a pod and one of its volumes.
enum Found {
    /// It is there.
    Ready(Option<String>),
    /// The driver attaches it, and it isn't attached yet.
    Unattached(String),
    /// There is no such volume yet.
    Missing,
}

fn find(server: &Server, node: &Node, namespace: &str, claim: &str) -> Found {
    let Ok(claim) = server.fetch::<PersistentVolumeClaim>(namespace, claim) else { return Found::Missing };
    let Ok(volume) = server.fetch::<PersistentVolume>("", volume_of(&claim)) else { return Found::Missing };
    if !volume::is_bound(&claim) || !volume::is_for(&volume, &claim) {
        return Found::Missing;
    }
    let Some(name) = volume::attached_name(&volume) else { return Found::Ready(None) };
    let driver = volume.spec.and_then(|spec| spec.csi).map(|csi| csi.driver).unwrap_or_default();
    let driver = server.fetch::<CSIDriver>("", &driver).ok();
    if driver.is_some_and(|driver| driver.spec.attach_required == Some(false)) {
        return Found::Ready(None);
    }
    let mut attached = node.status.iter().flat_map(|status| status.volumes_attached.iter().flatten());
    match attached.any(|there| there.name == name) {
        true => Found::Ready(Some(name)),
        false => Found::Unattached(name),
    }
}

impl Kubelets {
    /// Looks for the volumes of a pod; `false` if it has to wait for one.
    pub(super) fn mount(&mut self, node: &str, uid: &str, world: &mut World<'_>) -> bool {
        let Some(kubelet) = self.nodes.get_mut(node) else { return true };
        let Some(running) = kubelet.pods.get_mut(uid) else { return true };
        let volumes = &mut running.volumes;
        if volumes.claims.is_empty() && (volumes.made.is_empty() || volumes.ready) {
            return true;
        }
        let Ok(object) = world.server.fetch::<Node>("", node) else { return volumes.ready };
        let (mut waiting, mut unattached) = (Vec::new(), Vec::new());
        for (name, claim) in &volumes.claims {
            match find(world.server, &object, &running.key.namespace, claim) {
                Found::Ready(attached) => volumes.in_use.extend(attached),
                Found::Unattached(attached) => {
                    volumes.in_use.insert(attached);
                    waiting.push(name.clone());
                    unattached.push(name.clone());
                }
                Found::Missing => waiting.push(name.clone()),
            }
        }
        let mut events = Vec::new();
        let at = Namespace { name: &running.key.namespace, server: world.server };
        let (again, pause) = volumes.again;
        let made = if volumes.ready { &[][..] } else { &volumes.made };
        for volume in made {
            let Some(why) = at.unmade(volume) else { continue };
            waiting.push(volume.name.clone());
            if world.now >= again {
                let told = format!("MountVolume.SetUp failed for volume {:?} : {why}", volume.name);
                events.push(("Warning", "FailedMount", told));
                volumes.again = (world.now + pause, (pause + pause).min(MOST));
            }
        }
        volumes.ready |= waiting.is_empty();
        if !volumes.ready {
            if world.now >= volumes.complains {
                volumes.complains = world.now + BACK_OFF + TIMEOUT;
                let why = format!(
                    "Unable to attach or mount volumes: unmounted volumes=[{}], unattached volumes=[{}], failed to process \
                     volumes=[]: context deadline exceeded",
                    waiting.join(" "),
                    unattached.join(" ")
                );
                events.push(("Warning", "FailedMount", why));
            }
            let pause = if world.now < volumes.since + TIMEOUT { LOOK } else { LOOK_LATER };
            running.worker.hold(world.now + pause);
            running.worker.plugged(String::new());
        }
        let ready = volumes.ready;
        self.report_volumes(node, world);
        self.tell(node, uid, events, world);
        ready
    }

    /// Says in the node's status which attached volumes its pods use, if that has changed. A pod that has ended uses none.
    pub(super) fn report_volumes(&mut self, node: &str, world: &mut World<'_>) {
        let Some(kubelet) = self.nodes.get_mut(node).filter(|kubelet| kubelet.up && kubelet.connected) else { return };
        let using = kubelet.pods.values().filter(|running| !running.worker.is_over());
        let in_use: BTreeSet<&String> = using.flat_map(|running| &running.volumes.in_use).collect();
        if in_use.iter().copied().eq(&kubelet.in_use) {
            return;
        }
        let in_use: Vec<String> = in_use.into_iter().cloned().collect();
        let key = Key::new(Kind::Node, "", node);
        let Some(mut object) = world.server.get(&key).ok().and_then(|stored| stored.get::<Node>().cloned()) else {
            return;
        };
        let status = object.status.get_or_insert_default();
        status.volumes_in_use = Some(in_use.clone()).filter(|all| !all.is_empty());
        match world.server.update_status(object.into_object()) {
            Ok(_) => kubelet.in_use = in_use,
            Err(error) => kubelet.behind |= error.code >= 500,
        }
    }

    /// The same for nodes that used any: what has ended may have been one of those that did.
    pub(super) fn drop_volumes(&mut self, node: &str, world: &mut World<'_>) {
        if self.nodes.get(node).is_some_and(|kubelet| !kubelet.in_use.is_empty()) {
            self.report_volumes(node, world);
        }
    }
}
