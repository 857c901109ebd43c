//! Claims for volumes: which nodes can reach what a pod claims, and what a choice of a node binds (VolumeBinding).
//!
//! A claim of a class with `WaitForFirstConsumer` is bound only now, to a volume that the chosen node reaches, or its volume is made
//! there. Source: `plugins/volumebinding/{volume_binding,binder}.go` and `component-helpers/storage/volume/pv_helpers.go`. Left out
//! are the capacities that CSI drivers publish, attributes classes, and in-tree volumes that were moved to CSI.

use kit_api::core::{PersistentVolume, PersistentVolumeClaim};
use kit_api::meta::ObjectMeta;
use kit_api::node_selector;
use kit_api::storage::{CSINodeDriver, StorageClass};
use kit_api::volume::{
    self, BOUND_BY_CONTROLLER, Claim, SELECTED_NODE, Seeker, annotation, class_of, is_bound, requested, volume_of,
};
use kit_apimachinery::object::Object;
use kit_contract::scheduler::NodeLabels;
use std::collections::BTreeMap;

const UNBOUND_IMMEDIATE: &str = "pod has unbound immediate PersistentVolumeClaims";
const NODE_CONFLICT: &str = "node(s) had volume node affinity conflict";
const BIND_CONFLICT: &str = "node(s) didn't find available persistent volumes to bind";
const NOT_EXIST: &str = "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)";

/// What a node is chosen with: the volumes for claims, and the claims whose volumes are to be made there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Name of a claim, name of its volume.
    pub bind: Vec<(String, String)>,
    /// Names of claims.
    pub provision: Vec<String>,
}

/// What listers hold upstream, and what was assumed since.
#[derive(Debug, Default)]
pub struct Volumes {
    claims: BTreeMap<(String, String), PersistentVolumeClaim>,
    pub(super) volumes: BTreeMap<String, PersistentVolume>,
    pub(super) classes: BTreeMap<String, StorageClass>,
    /// How many volumes of each driver a node can have, by its name.
    pub(super) limits: BTreeMap<String, BTreeMap<String, i64>>,
    /// By attachment and volume: the node.
    pub(super) attached: BTreeMap<(String, String), String>,
}

impl Volumes {
    /// Takes over an object as it is now, or forgets it.
    pub fn set(&mut self, object: &Object, gone: bool) {
        fn put<K: Ord, V: Clone>(map: &mut BTreeMap<K, V>, key: K, value: &V, gone: bool) {
            if gone {
                map.remove(&key);
            } else {
                map.insert(key, value.clone());
            }
        }
        let (namespace, name) = (object.namespace().to_string(), object.name().to_string());
        match object {
            Object::PersistentVolumeClaim(claim) => put(&mut self.claims, (namespace, name), claim, gone),
            Object::PersistentVolume(volume) => put(&mut self.volumes, name, volume, gone),
            Object::StorageClass(class) => put(&mut self.classes, name, class, gone),
            Object::CSINode(node) => {
                let limit =
                    |driver: &CSINodeDriver| Some((driver.name.clone(), driver.allocatable.as_ref()?.count?.into()));
                let limits = node.spec.drivers.iter().filter_map(limit).collect();
                put(&mut self.limits, name, &limits, gone);
            }
            Object::VolumeAttachment(attachment) => {
                let volume = attachment.spec.source.persistent_volume_name.clone().unwrap_or_default();
                put(&mut self.attached, (name, volume), &attachment.spec.node_name, gone);
            }
            _ => {}
        }
    }

    pub(super) fn claim(&self, namespace: &str, name: &str) -> Option<&PersistentVolumeClaim> {
        self.claims.get(&(namespace.to_string(), name.to_string()))
    }

    /// Why no node at all can take a pod with these claims (`PreFilter`).
    ///
    /// # Errors
    ///
    /// The reason, as the event FailedScheduling has it.
    pub fn pre_filter(&self, namespace: &str, claims: &[Claim]) -> Result<(), String> {
        for Claim { name, ephemeral } in claims {
            let claim = self.claim(namespace, name).ok_or_else(|| match ephemeral {
                true => format!("waiting for ephemeral volume controller to create the persistentvolumeclaim {name:?}"),
                false => format!("persistentvolumeclaim {name:?} not found"),
            })?;
            if volume::claim_phase(claim) == "Lost" {
                let volume = volume_of(claim);
                return Err(format!(
                    "persistentvolumeclaim {name:?} bound to non-existent persistentvolume {volume:?}"
                ));
            }
            if claim.metadata.deletion_timestamp.is_some() {
                return Err(format!("persistentvolumeclaim {name:?} is being deleted"));
            }
        }
        let immediate = |claim: &&PersistentVolumeClaim| !is_bound(claim) && !self.waits(claim);
        match self.all(namespace, claims).find(immediate) {
            Some(_) => Err(UNBOUND_IMMEDIATE.into()),
            None => Ok(()),
        }
    }

    fn all<'a>(&'a self, namespace: &'a str, claims: &'a [Claim]) -> impl Iterator<Item = &'a PersistentVolumeClaim> {
        claims.iter().filter_map(move |claim| self.claim(namespace, &claim.name))
    }

    /// Whether a claim is to be bound when a node is chosen. One that names a volume beforehand is not.
    fn waits(&self, claim: &PersistentVolumeClaim) -> bool {
        volume::waits(self.classes.get(class_of(claim))) && volume_of(claim).is_empty()
    }

    /// Whether all claims are bound.
    pub fn are_bound(&self, namespace: &str, claims: &[Claim]) -> bool {
        claims.iter().all(|claim| self.claim(namespace, &claim.name).is_some_and(is_bound))
    }

    /// What would be bound on a node (`FindPodVolumes`).
    ///
    /// # Errors
    ///
    /// Why the node can't have the pod.
    pub fn plan(&self, namespace: &str, claims: &[Claim], node: &NodeLabels) -> Result<Plan, Vec<String>> {
        let (bound, waiting): (Vec<_>, Vec<_>) = self.all(namespace, claims).partition(|claim| is_bound(claim));
        let mut reasons = Vec::new();
        let volumes: Vec<_> = bound.iter().map(|claim| self.volumes.get(volume_of(claim))).collect();
        if volumes.iter().any(Option::is_none) {
            return Err(vec![NOT_EXIST.into()]);
        }
        if !volumes.into_iter().flatten().all(|volume| reaches(volume, node)) {
            reasons.push(NODE_CONFLICT.to_string());
        }
        let plan = self.plan_waiting(&waiting, node);
        if plan.is_none() {
            reasons.push(BIND_CONFLICT.to_string());
        }
        plan.filter(|_| reasons.is_empty()).ok_or(reasons)
    }

    fn plan_waiting(&self, claims: &[&PersistentVolumeClaim], node: &NodeLabels) -> Option<Plan> {
        let selected = |claim: &PersistentVolumeClaim| annotation(&claim.metadata, SELECTED_NODE).map(str::to_string);
        if claims.iter().filter_map(|claim| selected(claim)).any(|selected| selected != node.name) {
            return None;
        }
        let (to_make, mut to_find): (Vec<_>, Vec<_>) =
            claims.iter().copied().partition(|claim| selected(claim).is_some());
        // The smallest claim first, so that it doesn't take what a larger one needs.
        to_find.sort_by_key(|claim| requested(claim));
        let mut plan = Plan::default();
        let mut missing: Vec<&PersistentVolumeClaim> = to_make;
        for claim in to_find {
            match self.find(claim, node, &plan) {
                Some(volume) => plan.bind.push((name_of(&claim.metadata), name_of(&volume.metadata))),
                None => missing.push(claim),
            }
        }
        // A class without a provisioner makes nothing, and one with topologies makes volumes only there.
        for claim in missing {
            let class = self.classes.get(class_of(claim))?;
            if matches!(class.provisioner.as_str(), "" | volume::NO_PROVISIONER) || !allows(class, node) {
                return None;
            }
            plan.provision.push(name_of(&claim.metadata));
        }
        Some(plan)
    }

    /// The smallest volume that a claim can have on a node.
    fn find(&self, claim: &PersistentVolumeClaim, node: &NodeLabels, plan: &Plan) -> Option<&PersistentVolume> {
        let taken = |volume: &PersistentVolume| plan.bind.iter().any(|(_, taken)| *taken == name_of(&volume.metadata));
        let left = self.volumes.values().filter(|volume| !taken(volume));
        volume::find(claim, left, Seeker::Node(&|volume| reaches(volume, node)))
    }

    /// The objects that a plan changes, as they will be: volumes that know their claim, claims that know their node.
    pub fn carry_out(&self, namespace: &str, plan: &Plan, node: &str) -> Vec<Object> {
        let bind = plan.bind.iter().filter_map(|(claim, volume)| {
            let claim = self.claim(namespace, claim)?;
            let mut volume = self.volumes.get(volume)?.clone();
            // A person who wrote the claim into the volume beforehand is not taken for a controller.
            if volume.spec.as_ref()?.claim_ref.is_none() {
                let annotations = volume.metadata.annotations.get_or_insert_default();
                annotations.insert(BOUND_BY_CONTROLLER.into(), "yes".into());
            }
            volume.spec.get_or_insert_default().claim_ref = Some(volume::reference(claim));
            Some(Object::PersistentVolume(Box::new(volume)))
        });
        let provision = plan.provision.iter().filter_map(|name| {
            let mut claim = self.claim(namespace, name)?.clone();
            claim.metadata.annotations.get_or_insert_default().insert(SELECTED_NODE.into(), node.into());
            Some(Object::PersistentVolumeClaim(Box::new(claim)))
        });
        bind.chain(provision).collect()
    }
}

fn name_of(meta: &ObjectMeta) -> String {
    meta.name.clone().unwrap_or_default()
}

fn reaches(volume: &PersistentVolume, node: &NodeLabels) -> bool {
    let affinity = volume.spec.as_ref().and_then(|spec| spec.node_affinity.as_ref()?.required.as_ref());
    affinity.is_none_or(|selector| node_selector::matches_labels(selector, &node.name, &node.labels))
}

/// Whether a class makes volumes that the node reaches (`MatchTopologySelectorTerms`).
fn allows(class: &StorageClass, node: &NodeLabels) -> bool {
    let terms = class.allowed_topologies.as_deref().unwrap_or_default();
    let holds = |term: &kit_api::core::TopologySelectorTerm| {
        let expressions = term.match_label_expressions.as_deref().unwrap_or_default();
        let one = |expression: &kit_api::core::TopologySelectorLabelRequirement| {
            node.labels.get(&expression.key).is_some_and(|value| expression.values.contains(value))
        };
        !expressions.is_empty() && expressions.iter().all(one)
    };
    terms.is_empty() || terms.iter().any(holds)
}
