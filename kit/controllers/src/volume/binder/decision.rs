//! What a sync writes, in order: the answer of the module, made into objects.

use super::index::Volumes;
use super::view;
use crate::names::{Name, name_of};
use kit_api::core::{ObjectReference, PersistentVolume, PersistentVolumeClaim};
use kit_api::meta::ObjectMeta;
use kit_api::volume::{self, BIND_COMPLETED, BOUND_BY_CONTROLLER, annotation};
use kit_apimachinery::object::{AsKind, Key, Object};
use kit_contract::storage::ClaimBinding;
use kit_contract::storage::claim_binding::{ClaimRef, Class, Cluster};
use std::collections::BTreeMap;

/// On a volume: how large it was before it grew, as long as its file system hasn't grown as well (`AnnPreResizeCapacity`).
const PRE_RESIZE_CAPACITY: &str = "volume.alpha.kubernetes.io/pre-resize-capacity";

/// Claims and volumes as the controller knows them: as it was shown them, or as it has written them itself.
#[derive(Debug, Default)]
pub struct Known {
    /// The claims.
    pub claims: BTreeMap<Name, PersistentVolumeClaim>,
    /// The volumes.
    pub volumes: Volumes,
}

impl Known {
    /// What a module sees beside a claim.
    pub fn cluster(&self, claim: &PersistentVolumeClaim, classes: Vec<Class>, waiting_pods: Vec<String>) -> Cluster {
        Cluster { volumes: self.volumes.of(&view::claim(claim)), classes, waiting_pods }
    }

    /// Takes over an object, unless a later version is known (`storeObjectUpdate`).
    pub fn store(&mut self, object: &Object) {
        fn newer(there: Option<&ObjectMeta>, meta: &ObjectMeta) -> bool {
            let version =
                |meta: &ObjectMeta| meta.resource_version.as_deref().and_then(|version| version.parse::<u64>().ok());
            there.is_none_or(|there| version(there) <= version(meta))
        }
        match object {
            Object::PersistentVolumeClaim(claim) => {
                let name = name_of(&claim.metadata);
                if newer(self.claims.get(&name).map(|claim| &claim.metadata), &claim.metadata) {
                    self.claims.insert(name, (**claim).clone());
                }
            }
            Object::PersistentVolume(volume) => {
                let name = name_of(&volume.metadata).1;
                if newer(self.volumes.get(&name).map(|volume| &volume.metadata), &volume.metadata) {
                    self.volumes.insert(name, (**volume).clone());
                }
            }
            _ => {}
        }
    }
}

/// What a sync looks at beside the object itself, and who decides.
pub struct View<'a> {
    /// Claims and volumes.
    pub known: &'a Known,
    /// The module.
    pub module: &'a dyn ClaimBinding,
    /// The pods that use a claim, as `namespace/name`; those that have ended don't count.
    pub pods: &'a dyn Fn(&Name) -> Vec<String>,
    /// A claim as the API server has it.
    pub live: &'a dyn Fn(&Name) -> Option<PersistentVolumeClaim>,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Write an object, or only its status. Of one object a later action holds what an earlier one wrote.
    Write {
        /// As it is to be.
        object: Object,
        /// Only its status.
        status: bool,
    },
    /// Delete an object.
    Delete(Key),
    /// Tell of an object: type, reason and message.
    Tell(Object, &'static str, &'static str, String),
    /// Look at a claim, soon.
    LookAt(Name),
}

/// What a sync does. What fails ends it, and the next one goes on.
#[derive(Debug, Default)]
pub struct Decision(pub Vec<Action>);

impl Decision {
    fn write(&mut self, object: Object, status: bool) {
        self.0.push(Action::Write { object, status });
    }

    /// Writes a claim.
    pub fn update_claim(&mut self, claim: &PersistentVolumeClaim) {
        self.write(claim.clone().into_object(), false);
    }

    /// Tells of an object.
    pub fn tell<T: AsKind + Clone>(&mut self, about: &T, type_: &'static str, reason: &'static str, message: String) {
        self.0.push(Action::Tell(about.clone().into_object(), type_, reason, message));
    }

    /// Sets the phase of a volume (`updateVolumePhase`). Whether that changes anything is the answer.
    pub fn set_phase(&mut self, volume: &mut PersistentVolume, phase: &str, message: &str) -> bool {
        if volume::volume_phase(volume) == phase {
            return false;
        }
        let status = volume.status.get_or_insert_default();
        status.phase = Some(phase.into());
        status.message = Some(message.to_string()).filter(|message| !message.is_empty());
        self.write(volume.clone().into_object(), true);
        true
    }

    /// The same, and says so (`updateVolumePhaseWithEvent`).
    pub fn fail(&mut self, volume: &mut PersistentVolume, reason: &'static str, message: String) {
        if self.set_phase(volume, "Failed", &message) {
            self.tell(volume, "Warning", reason, message);
        }
    }

    /// Sets the phase of a claim and, with a volume, what it offers (`updateClaimStatus`).
    pub fn set_status(&mut self, claim: &mut PersistentVolumeClaim, phase: &str, volume: Option<&PersistentVolume>) {
        let mut status = claim.status.clone().unwrap_or_default();
        let changes = status.phase.as_deref() != Some(phase);
        status.phase = Some(phase.into());
        let spec = volume.and_then(|volume| volume.spec.as_ref());
        status.access_modes = spec.and_then(|spec| spec.access_modes.clone());
        match volume {
            None => status.capacity = None,
            // A bound claim may hold less than its volume for a while, so only one that becomes bound takes this over.
            Some(volume) if changes => {
                let before = annotation(&volume.metadata, PRE_RESIZE_CAPACITY).filter(|before| is_quantity(before));
                match before {
                    Some(before) => {
                        let capacity = status.capacity.get_or_insert_default();
                        capacity.insert("storage".into(), kit_api::pod_resources::Text(before.into()));
                    }
                    None if volume::storage(status.capacity.as_ref()) != Some(volume::capacity(volume)) => {
                        status.capacity = spec.and_then(|spec| spec.capacity.clone());
                    }
                    None => {}
                }
            }
            Some(_) => {}
        }
        if claim.status.as_ref() != Some(&status) {
            claim.status = Some(status);
            self.write(claim.clone().into_object(), true);
        }
    }

    /// Writes which claim a volume belongs to (`GetBindVolumeToClaim`, `unbindVolume`).
    pub fn set_claim_ref(
        &mut self,
        volume: &mut PersistentVolume,
        claim_ref: Option<&ClaimRef>,
        claim: Option<&PersistentVolumeClaim>,
        by_controller: bool,
    ) {
        let before = volume.clone();
        let spec = volume.spec.get_or_insert_default();
        let there = spec.claim_ref.take();
        spec.claim_ref = claim_ref.map(|wanted| match (there, claim) {
            (Some(there), _) if view::claim_ref(&there) == *wanted => there,
            (_, Some(claim)) if view::claim_ref(&volume::reference(claim)) == *wanted => volume::reference(claim),
            (there, _) => {
                let (namespace, name) = wanted.name.split_once('/').unwrap_or(("", wanted.name.as_str()));
                let (namespace, name) = (Some(namespace.to_string()), Some(name.to_string()));
                ObjectReference { namespace, name, uid: wanted.uid.clone(), ..there.unwrap_or_default() }
            }
        });
        annotate(&mut volume.metadata, BOUND_BY_CONTROLLER, by_controller);
        if *volume != before {
            self.write(volume.clone().into_object(), false);
        }
    }

    /// Writes which volume a claim has, and that it was bound once (`bindClaimToVolume`).
    pub fn set_volume_name(&mut self, claim: &mut PersistentVolumeClaim, volume: &str, by_controller: bool) {
        let before = claim.clone();
        claim.spec.get_or_insert_default().volume_name = Some(volume.into());
        annotate(&mut claim.metadata, BOUND_BY_CONTROLLER, by_controller);
        annotate(&mut claim.metadata, BIND_COMPLETED, true);
        if *claim != before {
            self.update_claim(claim);
        }
    }
}

fn is_quantity(text: &str) -> bool {
    text.parse::<kit_api::Quantity>().is_ok()
}

/// Sets an annotation whose value doesn't matter, or takes it away.
fn annotate(meta: &mut ObjectMeta, name: &str, there: bool) {
    if there {
        meta.annotations.get_or_insert_default().entry(name.into()).or_insert_with(|| "yes".into());
    } else if annotation(meta, name).is_some() {
        let annotations = meta.annotations.take().unwrap_or_default();
        let left: BTreeMap<_, _> = annotations.into_iter().filter(|(other, _)| other != name).collect();
        meta.annotations = Some(left).filter(|left| !left.is_empty());
    }
}
