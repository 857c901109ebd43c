//! The attach-detach controller: attaches volumes to the nodes of pods that use them, and tells the nodes.
//!
//! Sources: `pkg/controller/volume/attachdetach` (`attach_detach_controller.go`, `statusupdater`),
//! `pkg/volume/csi/csi_attacher.go`. It asks for each volume with a VolumeAttachment, which the driver answers.
//! [`decision`] decides without input or output.

pub mod decision;

use self::decision::{Attached, Decision, Health, Memory, Place, Seen, Wanted};
use super::users;
use kit_api::core::{AttachedVolume, Node, PersistentVolume, PersistentVolumeClaim, Pod};
use kit_api::meta::ObjectMeta;
use kit_api::storage::{CSIDriver, VolumeAttachment, VolumeAttachmentSource, VolumeAttachmentSpec};
use kit_api::volume::{claims, volume_of};
use kit_api::{node, pod, volume};
use kit_apimachinery::object::{AsKind, Key, Kind};
use kit_client::component::{Component, World};
use kit_server::{Change, ChangeKind, DeleteOptions, Error, Snapshot};
use kit_time::agenda::Instant;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// How often it holds what is against what is wanted (`ReconcilerLoopPeriod`).
const PERIOD: Instant = Instant::millis(100);

/// The pauses between attempts that fail (`exponentialbackoff`).
const FIRST_PAUSE: Instant = Instant::millis(500);
const LAST_PAUSE: Instant = Instant::seconds(122);

/// Attaches and detaches volumes.
#[derive(Default)]
pub struct AttachDetach {
    /// Whether there has been a claim: before there is none of its business.
    begun: bool,
    /// The pods that use claims.
    users: BTreeSet<Key>,
    /// What each node said last that it uses: a node that is gone can't be asked any more.
    in_use: BTreeMap<String, Vec<String>>,
    memory: Memory,
    /// The attachments that pods were told of, by their uid.
    told: BTreeSet<String>,
    /// How often an attachment has failed, by its uid, and when that is said again.
    failed: BTreeMap<String, (u32, Instant)>,
    next: Option<Instant>,
}

impl AttachDetach {
    /// There is a claim: from now on pods matter.
    fn begin(&mut self, world: &World<'_>) {
        self.begun = true;
        let pods = world.server.snapshot().list(Kind::Pod);
        self.users.extend(pods.filter(|stored| stored.get().is_some_and(has_claims)).map(|stored| stored.key.clone()));
    }

    fn look_soon(&mut self, now: Instant) {
        let at = Instant { nanos: (now.nanos / PERIOD.nanos + 1) * PERIOD.nanos };
        self.next = Some(self.next.map_or(at, |next| next.min(at)));
    }

    fn seen(&mut self, state: &Snapshot) -> Seen {
        let mut seen = Seen::default();
        for node in state.list(Kind::Node).filter_map(|stored| stored.get::<Node>()) {
            let name = node.metadata.name.clone().unwrap_or_default();
            let ready = node::is_ready(node);
            let out_of_service = node::has_taint(node, node::OUT_OF_SERVICE);
            let in_use = node.status.as_ref().and_then(|status| status.volumes_in_use.clone());
            self.in_use.insert(name.clone(), in_use.unwrap_or_default());
            seen.nodes.insert(name, Health { ready, out_of_service });
        }
        for key in &self.users {
            let Some(pod) = state.get(key).and_then(|stored| stored.get::<Pod>()) else { continue };
            let Some(node) = pod::node_name(pod).filter(|node| seen.nodes.contains_key(*node)) else { continue };
            if users::is_terminated(pod) {
                continue;
            }
            let text = |text: &Option<String>| text.clone().unwrap_or_default();
            let meta = &pod.metadata;
            let user = (text(&meta.namespace), text(&meta.name), text(&meta.uid));
            for claim in pod.spec.iter().flat_map(|spec| claims(&user.1, spec)) {
                let Some(volume) = attachable(state, &user.0, &claim.name) else { continue };
                let place = (text(&volume.metadata.name), node.to_string());
                let wanted =
                    seen.wanted.entry(place).or_insert_with(|| Wanted { pods: Vec::new(), shared: is_shared(volume) });
                wanted.pods.push(user.clone());
            }
        }
        for attachment in state.list(Kind::VolumeAttachment).filter_map(|stored| stored.get::<VolumeAttachment>()) {
            let Some(name) = attachment.spec.source.persistent_volume_name.clone() else { continue };
            let node = attachment.spec.node_name.clone();
            let unique = volume_by_name(state, &name).and_then(volume::attached_name);
            let in_use = self.in_use.get(&node).is_some_and(|all| unique.is_some_and(|name| all.contains(&name)));
            let detaching = attachment.metadata.deletion_timestamp.is_some();
            seen.attached.insert((name, node), Attached { detaching, in_use });
        }
        seen
    }

    fn carry_out(&mut self, decision: Decision, world: &mut World<'_>) -> Result<(), Error> {
        for place in &decision.detach {
            // The node must not begin to use it any more before it goes.
            say_attached(place, false, world)?;
            if let Some(name) = attachment_name(world.server.snapshot(), place) {
                world.server.delete(&Key::new(Kind::VolumeAttachment, "", &name), &DeleteOptions::default())?;
            }
        }
        for ((namespace, name, uid), why) in &decision.refused {
            if let Ok(pod) = world.server.fetch::<Pod>(namespace, name)
                && pod.metadata.uid.as_ref() == Some(uid)
            {
                world.server.record(&pod, "Warning", "FailedAttachVolume", why);
            }
        }
        for place in &decision.attach {
            let state = world.server.snapshot();
            let driver = volume_by_name(state, &place.0)
                .and_then(|volume| Some(volume.spec.as_ref()?.csi.as_ref()?.driver.clone()));
            let (Some(name), Some(attacher)) = (attachment_name(state, place), driver) else { continue };
            let source = VolumeAttachmentSource {
                persistent_volume_name: Some(place.0.clone()),
                ..VolumeAttachmentSource::default()
            };
            let attachment = VolumeAttachment {
                metadata: ObjectMeta { name: Some(name), ..ObjectMeta::default() },
                spec: VolumeAttachmentSpec { attacher, node_name: place.1.clone(), source },
                status: None,
            };
            world.server.create(attachment.into_object())?;
        }
        Ok(())
    }

    /// Tells pods of volumes that can't be attached. Each attempt finds what the driver said last, until that is well.
    fn complain(&mut self, seen: &Seen, world: &mut World<'_>) {
        let mut said = Vec::new();
        let mut there = BTreeSet::new();
        for attachment in world.server.snapshot().list(Kind::VolumeAttachment) {
            let Some(attachment) = attachment.get::<VolumeAttachment>() else { continue };
            let status = attachment.status.as_ref().filter(|status| !status.attached);
            let Some(error) = status.and_then(|status| status.attach_error.as_ref()) else { continue };
            let volume = attachment.spec.source.persistent_volume_name.clone().unwrap_or_default();
            let Some(wanted) = seen.wanted.get(&(volume.clone(), attachment.spec.node_name.clone())) else { continue };
            let uid = attachment.metadata.uid.clone().unwrap_or_default();
            there.insert(uid.clone());
            let (times, again) = self.failed.entry(uid).or_default();
            if *again <= world.now {
                *again = world.now + Instant { nanos: FIRST_PAUSE.nanos << (*times).min(20) }.min(LAST_PAUSE);
                *times += 1;
                let why = error.message.clone().unwrap_or_default();
                said.push((wanted.pods.clone(), format!("AttachVolume.Attach failed for volume {volume:?} : {why}")));
            }
        }
        self.failed.retain(|uid, _| there.contains(uid));
        for (pods, why) in said {
            for (namespace, name, _) in pods {
                if let Ok(pod) = world.server.fetch::<Pod>(&namespace, &name) {
                    world.server.record(&pod, "Warning", "FailedAttachVolume", &why);
                }
            }
        }
    }

    /// Tells nodes and pods of volumes that are attached by now.
    fn announce(&mut self, seen: &Seen, world: &mut World<'_>) -> Result<(), Error> {
        let done = |attachment: &&VolumeAttachment| {
            attachment.metadata.deletion_timestamp.is_none()
                && attachment.status.as_ref().is_some_and(|status| status.attached)
        };
        let all = world.server.snapshot().list(Kind::VolumeAttachment);
        let all = all.filter_map(|stored| stored.get::<VolumeAttachment>()).filter(done);
        let uid = |attachment: &VolumeAttachment| attachment.metadata.uid.clone().unwrap_or_default();
        let (mut there, mut new) = (BTreeSet::new(), Vec::new());
        for attachment in all {
            there.insert(uid(attachment));
            if let Some(volume) = &attachment.spec.source.persistent_volume_name {
                new.push((uid(attachment), (volume.clone(), attachment.spec.node_name.clone())));
            }
        }
        self.told.retain(|uid| there.contains(uid));
        for (uid, place) in new {
            if self.told.contains(&uid) || !say_attached(&place, true, world)? {
                self.told.insert(uid);
                continue;
            }
            self.told.insert(uid);
            let pods = seen.wanted.get(&place).map(|wanted| wanted.pods.clone()).unwrap_or_default();
            // The blank at the end is where upstream may say more (`GenerateMsg`).
            let why = format!("AttachVolume.Attach succeeded for volume {:?} ", place.0);
            for (namespace, name, _) in pods {
                if let Ok(pod) = world.server.fetch::<Pod>(&namespace, &name) {
                    world.server.record(&pod, "Normal", "SuccessfulAttachVolume", &why);
                }
            }
        }
        Ok(())
    }
}

fn has_claims(pod: &Pod) -> bool {
    pod.spec.as_ref().is_some_and(|spec| !claims("", spec).is_empty())
}

fn volume_by_name<'a>(state: &'a Snapshot, name: &str) -> Option<&'a PersistentVolume> {
    state.get(&Key::new(Kind::PersistentVolume, "", name))?.get()
}

/// The volume of a claim, if it is there and its driver attaches volumes (`CreateVolumeSpec`, `CanAttach`).
fn attachable<'a>(state: &'a Snapshot, namespace: &str, claim: &str) -> Option<&'a PersistentVolume> {
    let key = Key::new(Kind::PersistentVolumeClaim, namespace, claim);
    let claim: &PersistentVolumeClaim = state.get(&key)?.get()?;
    if volume::claim_phase(claim) != "Bound" {
        return None;
    }
    let volume = volume_by_name(state, volume_of(claim))?;
    let spec = volume.spec.as_ref()?;
    let driver = &spec.csi.as_ref()?.driver;
    let driver: Option<&CSIDriver> = state.get(&Key::new(Kind::CSIDriver, "", driver)).and_then(|stored| stored.get());
    let attaches = driver.is_none_or(|driver| driver.spec.attach_required != Some(false));
    (attaches && volume::is_for(volume, claim)).then_some(volume)
}

/// Whether several nodes may have a volume at once (`IsMultiAttachAllowed`).
fn is_shared(volume: &PersistentVolume) -> bool {
    let modes = volume.spec.as_ref().and_then(|spec| spec.access_modes.as_deref()).unwrap_or_default();
    modes.is_empty() || modes.iter().any(|mode| mode == "ReadWriteMany" || mode == "ReadOnlyMany")
}

/// `getAttachmentName`
fn attachment_name(state: &Snapshot, (volume, node): &Place) -> Option<String> {
    let csi = volume_by_name(state, volume)?.spec.as_ref()?.csi.as_ref()?;
    let digest = Sha256::digest(format!("{}{}{node}", csi.volume_handle, csi.driver));
    Some(format!("csi-{}", digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>()))
}

/// Writes into a node's status that a volume is attached, or no longer (`UpdateNodeStatusForNode`); whether that is news.
fn say_attached((name, node): &Place, attached: bool, world: &mut World<'_>) -> Result<bool, Error> {
    let unique = volume_by_name(world.server.snapshot(), name).and_then(volume::attached_name);
    let (Some(unique), Ok(mut node)) = (unique, world.server.fetch::<Node>("", node)) else { return Ok(false) };
    let all = node.status.get_or_insert_default().volumes_attached.get_or_insert_default();
    let there = all.iter().any(|volume| volume.name == unique);
    match attached {
        true if !there => all.push(AttachedVolume { name: unique, device_path: String::new() }),
        false if there => all.retain(|volume| volume.name != unique),
        _ => return Ok(false),
    }
    world.server.update_status(node.into_object())?;
    Ok(true)
}

impl Component for AttachDetach {
    fn name(&self) -> &'static str {
        "attachdetach-controller"
    }

    fn watches(&self) -> &'static [Kind] {
        match self.begun {
            false => &[Kind::PersistentVolumeClaim, Kind::VolumeAttachment],
            true => {
                &[Kind::PersistentVolumeClaim, Kind::VolumeAttachment, Kind::PersistentVolume, Kind::Node, Kind::Pod]
            }
        }
    }

    fn observe(&mut self, change: &Change, world: &mut World<'_>) {
        if !self.begun {
            self.begin(world);
        }
        let key = &change.object.key;
        let Some(pod) = change.object.get::<Pod>() else {
            return self.look_soon(world.now);
        };
        if change.kind == ChangeKind::Deleted {
            if self.users.remove(key) {
                self.look_soon(world.now);
            }
        } else if has_claims(pod) {
            self.users.insert(key.clone());
            self.look_soon(world.now);
        }
    }

    fn run(&mut self, world: &mut World<'_>) {
        if self.next.is_none_or(|at| at > world.now) {
            return;
        }
        self.next = None;
        let seen = self.seen(world.server.snapshot());
        if seen.wanted.is_empty() && seen.attached.is_empty() {
            return;
        }
        let decision = decision::decide(&seen, &mut self.memory, world.now);
        let done = self.carry_out(decision, world).and_then(|()| self.announce(&seen, world));
        self.complain(&seen, world);
        let again = self.failed.values().map(|(_, again)| *again);
        let late = self.memory.unwanted.values().map(|since| *since + decision::MAX_WAIT_FOR_UNMOUNT + PERIOD);
        self.next = late.chain(again).filter(|at| *at > world.now).min();
        if done.is_err() {
            self.look_soon(world.now + Instant::seconds(1));
        }
    }

    fn next_wake(&self) -> Option<Instant> {
        self.next
    }
}
