//! What is to be done about a claim: the module decides, and here its answer becomes writes and events.
//!
//! Source of the messages: `pkg/controller/volume/persistentvolume/pv_controller.go`. Left out are volumes of drivers that are
//! a part of Kubernetes: those few that are left make none.

use super::decision::{Decision, View};
use super::{view, volume};
use kit_api::core::{PersistentVolume, PersistentVolumeClaim};
use kit_api::volume::{BETA_PROVISIONER, PROVISIONER, annotation, class_of, volume_of};
use kit_contract::storage::claim_binding::{Action, Cluster, Event, Mismatch};
use std::collections::BTreeMap;

/// What is to be done about a claim now.
pub fn sync(claim: &PersistentVolumeClaim, cluster: &Cluster, view: &View<'_>) -> Decision {
    let answer = view.module.sync_claim(&view::claim(claim), cluster);
    let claim = claim.clone();
    let mut outcome = Outcome { claim, cluster, volumes: BTreeMap::new(), decision: Decision::default() };
    answer.into_iter().for_each(|action| outcome.carry_out(action, view));
    outcome.decision
}

/// The claim, and the volumes that the answer was about, as they are after what was decided so far.
struct Outcome<'a> {
    claim: PersistentVolumeClaim,
    cluster: &'a Cluster,
    volumes: BTreeMap<String, PersistentVolume>,
    decision: Decision,
}

impl Outcome<'_> {
    fn carry_out(&mut self, action: Action, view: &View<'_>) {
        match action {
            Action::WriteClaimRef { volume, claim_ref, bound_by_controller } => {
                let Some(mut there) = self.volume(&volume, view) else { return };
                let claim = Some(&self.claim);
                self.decision.set_claim_ref(&mut there, claim_ref.as_ref(), claim, bound_by_controller);
                self.volumes.insert(volume, there);
            }
            Action::WriteVolumePhase { volume, phase } => {
                let Some(mut there) = self.volume(&volume, view) else { return };
                self.decision.set_phase(&mut there, &format!("{phase:?}"), "");
                self.volumes.insert(volume, there);
            }
            Action::WriteVolumeName { volume, bound_by_controller } => {
                self.decision.set_volume_name(&mut self.claim, &volume, bound_by_controller);
            }
            Action::WriteClaimPhase { phase } => {
                let phase = format!("{phase:?}");
                let volume = self.volume(volume_of(&self.claim), view).filter(|_| phase == "Bound");
                self.decision.set_status(&mut self.claim, &phase, volume.as_ref());
            }
            Action::WriteClass { class } => {
                self.claim.spec.get_or_insert_default().storage_class_name = Some(class);
                self.decision.update_claim(&self.claim);
            }
            Action::WriteProvisioner { provisioner } => {
                if annotation(&self.claim.metadata, PROVISIONER) != Some(provisioner.as_str()) {
                    let annotations = self.claim.metadata.annotations.get_or_insert_default();
                    annotations.insert(BETA_PROVISIONER.into(), provisioner.clone());
                    annotations.insert(PROVISIONER.into(), provisioner);
                    self.decision.update_claim(&self.claim);
                }
            }
            Action::DeleteVolume { volume } => {
                if let Some(mut there) = self.volume(&volume, view) {
                    volume::delete(&mut there, &mut self.decision);
                }
            }
            Action::RecycleVolume { volume } => {
                if let Some(mut there) = self.volume(&volume, view) {
                    volume::recycle(&mut there, view, &mut self.decision);
                }
            }
            // It is being looked at.
            Action::LookAtClaim => {}
            Action::Tell(event) => {
                let (type_, message) = self.text(event);
                self.decision.tell(&self.claim, type_, event.reason(), message);
            }
        }
    }

    /// A volume; none if the module has invented it.
    fn volume(&self, name: &str, view: &View<'_>) -> Option<PersistentVolume> {
        self.volumes.get(name).or_else(|| view.known.volumes.get(name)).cloned()
    }

    /// Type and message of an event.
    fn text(&self, event: Event) -> (&'static str, String) {
        let name = volume_of(&self.claim);
        let class = class_of(&self.claim);
        let provisioner = self.cluster.classes.iter().find(|there| there.name == class).map(|there| &there.provisioner);
        let provisioner = provisioner.map_or("", String::as_str);
        match event {
            Event::NoVolume => {
                ("Normal", "no persistent volumes available for this claim and no storage class is set".into())
            }
            Event::Taken => ("Warning", format!("volume {name:?} already bound to a different claim.")),
            Event::VolumeMismatch(why) => {
                let why = match why {
                    Mismatch::Deleting => format!("the volume is marked for deletion {name:?}"),
                    Mismatch::TooSmall => "requested PV is too small".into(),
                    Mismatch::Class => "storageClassName does not match".into(),
                    Mismatch::VolumeMode => "incompatible volumeMode".into(),
                    Mismatch::AccessModes => "incompatible accessMode".into(),
                };
                ("Warning", format!("Cannot bind to requested volume {name:?}: {why}"))
            }
            Event::ModeMismatch => (
                "Warning",
                format!(
                    "Cannot bind PersistentVolume {name:?} to requested PersistentVolumeClaim due to incompatible volumeMode."
                ),
            ),
            Event::WaitForFirstConsumer => ("Normal", "waiting for first consumer to be created before binding".into()),
            // `emitEventForUnboundDelayBindingClaim`
            Event::WaitForPodScheduled => match &self.cluster.waiting_pods[..] {
                [pod] => ("Normal", format!("waiting for pod {pod} to be scheduled")),
                pods => ("Normal", format!("waiting for pods {} to be scheduled", pods.join(","))),
            },
            Event::NoClass => ("Warning", format!("storageclass.storage.k8s.io {class:?} not found")),
            Event::NoProvisioner => ("Warning", format!("no volume plugin matched name: {provisioner}")),
            Event::ExternalProvisioning => (
                "Normal",
                format!(
                    "Waiting for a volume to be created either by the external provisioner '{provisioner}' or manually by \
                     the system administrator. If volume creation is delayed, please verify that the provisioner is \
                     running and correctly registered."
                ),
            ),
            Event::LostName => {
                ("Warning", "Bound claim has lost reference to PersistentVolume. Data on the volume is lost!".into())
            }
            Event::LostVolume => {
                ("Warning", "Bound claim has lost its PersistentVolume. Data on the volume is lost!".into())
            }
            Event::Misbound => {
                ("Warning", "Two claims are bound to the same volume, this one is bound incorrectly".into())
            }
        }
    }
}
