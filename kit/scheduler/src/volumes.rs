//! Claims for volumes: which nodes can reach what a pod claims, and what a choice of a node binds (VolumeBinding).
//!
//! A claim of a class with `WaitForFirstConsumer` is bound only now, to a volume that the chosen node reaches, or its volume is made
//! there. Source: `plugins/volumebinding/{volume_binding,binder}.go` and `component-helpers/storage/volume/pv_helpers.go`. Left out
//! are the capacities that CSI drivers publish, attributes classes, and in-tree volumes that were moved to CSI.

use kit_api::core::{PersistentVolume, PersistentVolumeClaim, PodSpec};
use kit_api::meta::ObjectMeta;
use kit_api::node_selector;
use kit_api::pod_resources::Text;
use kit_api::quantity::{Format, Quantity};
use kit_api::selector::Selector;
use kit_api::storage::StorageClass;
use kit_apimachinery::object::Object;
use kit_contract::scheduler::NodeLabels;
use std::collections::BTreeMap;

/// On a claim: the node on which its volume is to be made.
pub const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";
/// On a claim: the volume and the claim know of each other.
pub const BIND_COMPLETED: &str = "pv.kubernetes.io/bind-completed";
/// On a volume: its claim was written by a controller, and not by a person beforehand.
pub const BOUND_BY_CONTROLLER: &str = "pv.kubernetes.io/bound-by-controller";
const UNBOUND_IMMEDIATE: &str = "pod has unbound immediate PersistentVolumeClaims";
const NODE_CONFLICT: &str = "node(s) had volume node affinity conflict";
const BIND_CONFLICT: &str = "node(s) didn't find available persistent volumes to bind";
const NOT_EXIST: &str = "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)";

/// A claim that a pod refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The claim's name.
    pub name: String,
    /// Whether it is made for this pod alone (`ephemeral.volumeClaimTemplate`).
    pub ephemeral: bool,
}

/// The claims of a pod; that of an ephemeral volume is named after the pod and the volume.
pub fn claims(pod: &str, spec: &PodSpec) -> Vec<Claim> {
    let claim = |volume: &kit_api::core::Volume| match (&volume.persistent_volume_claim, &volume.ephemeral) {
        (Some(source), _) => Some(Claim { name: source.claim_name.clone(), ephemeral: false }),
        (None, Some(_)) => Some(Claim { name: format!("{pod}-{}", volume.name), ephemeral: true }),
        _ => None,
    };
    spec.volumes.iter().flatten().filter_map(claim).collect()
}

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
    volumes: BTreeMap<String, PersistentVolume>,
    classes: BTreeMap<String, StorageClass>,
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
            _ => {}
        }
    }

    fn claim(&self, namespace: &str, name: &str) -> Option<&PersistentVolumeClaim> {
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
            if claim.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Lost") {
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
        let mode = self.classes.get(class_of(claim)).and_then(|class| class.volume_binding_mode.as_deref());
        mode == Some("WaitForFirstConsumer") && volume_of(claim).is_empty()
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
            if matches!(class.provisioner.as_str(), "" | "kubernetes.io/no-provisioner") || !allows(class, node) {
                return None;
            }
            plan.provision.push(name_of(&claim.metadata));
        }
        Some(plan)
    }

    /// The smallest volume that a claim can have on a node (`FindMatchingVolume`).
    fn find(&self, claim: &PersistentVolumeClaim, node: &NodeLabels, plan: &Plan) -> Option<&PersistentVolume> {
        let spec = claim.spec.as_ref()?;
        let asked = requested(claim);
        let selector = spec.selector.as_ref().map(|selector| Selector::try_from(Some(selector)));
        let mut smallest: Option<(Quantity, &PersistentVolume)> = None;
        for volume in self.volumes.values() {
            let (name, meta) = (name_of(&volume.metadata), &volume.metadata);
            let Some(of) = volume.spec.as_ref().filter(|_| !plan.bind.iter().any(|(_, taken)| *taken == name)) else {
                continue;
            };
            let mine = is_for(volume, claim);
            let Some(size) = storage(of.capacity.as_ref()).filter(|size| *size >= asked) else { continue };
            let mode = |mode: &Option<String>| mode.clone().unwrap_or_else(|| "Filesystem".into());
            if of.claim_ref.is_some() && !mine
                || mode(&of.volume_mode) != mode(&spec.volume_mode)
                || meta.deletion_timestamp.is_some()
            {
                continue;
            }
            let reached = reaches(volume, node);
            if mine {
                return Some(volume).filter(|_| reached);
            }
            let available = volume.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Available");
            let labels = meta.labels.clone().unwrap_or_default();
            let selected = match &selector {
                None => true,
                Some(selector) => selector.as_ref().is_ok_and(|selector| selector.matches(&labels)),
            };
            let class = of.storage_class_name.as_deref().unwrap_or_default();
            let offered = of.access_modes.as_deref().unwrap_or_default();
            let modes = spec.access_modes.iter().flatten().all(|mode| offered.contains(mode));
            let fits = available && selected && class == class_of(claim) && reached && modes;
            if fits && smallest.as_ref().is_none_or(|(least, _)| *least > size) {
                smallest = Some((size, volume));
            }
        }
        smallest.map(|(_, volume)| volume)
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
            volume.spec.get_or_insert_default().claim_ref = Some(kit_api::core::ObjectReference {
                api_version: Some("v1".into()),
                kind: Some("PersistentVolumeClaim".into()),
                namespace: Some(namespace.into()),
                name: claim.metadata.name.clone(),
                uid: claim.metadata.uid.clone(),
                resource_version: claim.metadata.resource_version.clone(),
                ..Default::default()
            });
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

fn annotation<'a>(meta: &'a ObjectMeta, name: &str) -> Option<&'a str> {
    meta.annotations.as_ref()?.get(name).map(String::as_str)
}

fn volume_of(claim: &PersistentVolumeClaim) -> &str {
    claim.spec.as_ref().and_then(|spec| spec.volume_name.as_deref()).unwrap_or_default()
}

fn class_of(claim: &PersistentVolumeClaim) -> &str {
    // The annotation is older than the field, and still goes first (`GetPersistentVolumeClaimClass`).
    let beta = annotation(&claim.metadata, "volume.beta.kubernetes.io/storage-class");
    let field = || claim.spec.as_ref().and_then(|spec| spec.storage_class_name.as_deref());
    beta.or_else(field).unwrap_or_default()
}

fn is_bound(claim: &PersistentVolumeClaim) -> bool {
    !volume_of(claim).is_empty() && annotation(&claim.metadata, BIND_COMPLETED).is_some()
}

fn storage(amounts: Option<&BTreeMap<String, Text>>) -> Option<Quantity> {
    amounts?.get("storage").and_then(|amount| Quantity::try_from(amount).ok())
}

fn requested(claim: &PersistentVolumeClaim) -> Quantity {
    let requests = claim.spec.as_ref().and_then(|spec| spec.resources.as_ref()?.requests.as_ref());
    let zero = || Quantity::new(0, Format::BinarySI);
    storage(requests).unwrap_or_else(zero)
}

/// `IsVolumeBoundToClaim`: without a uid whoever wrote the volume meant any claim of that name.
fn is_for(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> bool {
    let reference = volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref());
    reference.is_some_and(|reference| {
        (&reference.name, &reference.namespace) == (&claim.metadata.name, &claim.metadata.namespace)
            && reference.uid.as_ref().is_none_or(|uid| uid.is_empty() || Some(uid) == claim.metadata.uid.as_ref())
    })
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
