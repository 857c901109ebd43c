//! Claims, volumes and classes: what says that they belong together, and which volume a claim can have.
//!
//! Source: `component-helpers/storage/volume/pv_helpers.go`, `component-helpers/storage/volume/helpers.go` and
//! `pkg/volume/util/storageclass.go`.

use crate::core::{ObjectReference, PersistentVolume, PersistentVolumeClaim, Pod, PodSpec, Volume};
use crate::meta::ObjectMeta;
use crate::pod_resources::Text;
use crate::quantity::{Format, Quantity};
use crate::selector::Selector;
use crate::storage::StorageClass;
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// On a claim: the node on which its volume is to be made.
pub const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";
/// On a claim: the volume and the claim know of each other.
pub const BIND_COMPLETED: &str = "pv.kubernetes.io/bind-completed";
/// On a volume or a claim: a controller has bound it, and not a person beforehand.
pub const BOUND_BY_CONTROLLER: &str = "pv.kubernetes.io/bound-by-controller";
/// On a volume: who has made it.
pub const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";
/// On a claim: who is to make its volume.
pub const PROVISIONER: &str = "volume.kubernetes.io/storage-provisioner";
/// The same by an older name.
pub const BETA_PROVISIONER: &str = "volume.beta.kubernetes.io/storage-provisioner";
/// The provisioner of classes whose volumes people make.
pub const NO_PROVISIONER: &str = "kubernetes.io/no-provisioner";
/// On a class: claims without a class get it.
const DEFAULT_CLASS: [&str; 2] =
    ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];
/// An annotation that is older than the field, and still goes first.
const BETA_CLASS: &str = "volume.beta.kubernetes.io/storage-class";

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
    spec.volumes.iter().flatten().filter_map(|volume| claim_of(pod, volume)).collect()
}

/// The claim of one of a pod's volumes, if it is of that kind.
pub fn claim_of(pod: &str, volume: &Volume) -> Option<Claim> {
    match (&volume.persistent_volume_claim, &volume.ephemeral) {
        (Some(source), _) => Some(Claim { name: source.claim_name.clone(), ephemeral: false }),
        (None, Some(_)) => Some(Claim { name: format!("{pod}-{}", volume.name), ephemeral: true }),
        _ => None,
    }
}

/// Whether a pod refers to this claim of its namespace.
pub fn uses(pod: &Pod, claim: &str) -> bool {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    volumes.filter_map(|volume| claim_of(name, volume)).any(|found| found.name == claim)
}

/// The value of an annotation.
pub fn annotation<'a>(meta: &'a ObjectMeta, name: &str) -> Option<&'a str> {
    meta.annotations.as_ref()?.get(name).map(String::as_str)
}

/// The volume that a claim names; empty if none.
pub fn volume_of(claim: &PersistentVolumeClaim) -> &str {
    claim.spec.as_ref().and_then(|spec| spec.volume_name.as_deref()).unwrap_or_default()
}

/// The class of a claim; empty if none (`GetPersistentVolumeClaimClass`).
pub fn class_of(claim: &PersistentVolumeClaim) -> &str {
    let field = || claim.spec.as_ref().and_then(|spec| spec.storage_class_name.as_deref());
    annotation(&claim.metadata, BETA_CLASS).or_else(field).unwrap_or_default()
}

/// Whether a claim says anything of a class, be it that it wants none (`PersistentVolumeClaimHasClass`).
pub fn has_class(claim: &PersistentVolumeClaim) -> bool {
    let field = claim.spec.as_ref().and_then(|spec| spec.storage_class_name.as_ref());
    annotation(&claim.metadata, BETA_CLASS).is_some() || field.is_some()
}

/// The class of a volume; empty if none (`GetPersistentVolumeClass`).
pub fn class_of_volume(volume: &PersistentVolume) -> &str {
    let field = || volume.spec.as_ref().and_then(|spec| spec.storage_class_name.as_deref());
    annotation(&volume.metadata, BETA_CLASS).or_else(field).unwrap_or_default()
}

/// The class of claims that say nothing: the newest that says so, of several the first by name (`GetDefaultClass`).
pub fn default_class<'a>(classes: impl Iterator<Item = &'a StorageClass>) -> Option<&'a StorageClass> {
    let says =
        |class: &&StorageClass| DEFAULT_CLASS.iter().any(|name| annotation(&class.metadata, name) == Some("true"));
    classes.filter(says).min_by_key(|class| (Reverse(&class.metadata.creation_timestamp), &class.metadata.name))
}

/// Whether claims of a class are bound only when a pod that uses them has a node (`IsDelayBindingMode`).
pub fn waits(class: Option<&StorageClass>) -> bool {
    class.and_then(|class| class.volume_binding_mode.as_deref()) == Some("WaitForFirstConsumer")
}

/// Whether a claim and its volume know of each other.
pub fn is_bound(claim: &PersistentVolumeClaim) -> bool {
    !volume_of(claim).is_empty() && annotation(&claim.metadata, BIND_COMPLETED).is_some()
}

/// The phase of a claim; empty if it has none yet.
pub fn claim_phase(claim: &PersistentVolumeClaim) -> &str {
    claim.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default()
}

/// The phase of a volume; empty if it has none yet.
pub fn volume_phase(volume: &PersistentVolume) -> &str {
    volume.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default()
}

/// How much storage amounts say.
pub fn storage(amounts: Option<&BTreeMap<String, Text>>) -> Option<Quantity> {
    amounts?.get("storage").and_then(|amount| Quantity::try_from(amount).ok())
}

/// How much a claim asks for.
pub fn requested(claim: &PersistentVolumeClaim) -> Quantity {
    let requests = claim.spec.as_ref().and_then(|spec| spec.resources.as_ref()?.requests.as_ref());
    storage(requests).unwrap_or_else(|| Quantity::new(0, Format::BinarySI))
}

/// How much a volume holds.
pub fn capacity(volume: &PersistentVolume) -> Quantity {
    let capacity = volume.spec.as_ref().and_then(|spec| spec.capacity.as_ref());
    storage(capacity).unwrap_or_else(|| Quantity::new(0, Format::BinarySI))
}

/// Whether both hold files, or both are blocks (`CheckVolumeModeMismatches`).
pub fn same_mode(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> bool {
    let mode = |mode: Option<&String>| mode.map_or("Filesystem", String::as_str).to_string();
    mode(volume.spec.as_ref().and_then(|spec| spec.volume_mode.as_ref()))
        == mode(claim.spec.as_ref().and_then(|spec| spec.volume_mode.as_ref()))
}

/// Whether a volume has all access modes that a claim asks for (`CheckAccessModes`).
pub fn has_modes(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> bool {
    let offered = volume.spec.as_ref().and_then(|spec| spec.access_modes.as_deref()).unwrap_or_default();
    let wanted = claim.spec.as_ref().and_then(|spec| spec.access_modes.as_deref()).unwrap_or_default();
    wanted.iter().all(|mode| offered.contains(mode))
}

/// Whether a volume is a claim's, or kept for it. Without a uid whoever wrote the volume meant any claim of that name
/// (`IsVolumeBoundToClaim`).
pub fn is_for(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> bool {
    let reference = volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref());
    reference.is_some_and(|reference| {
        (&reference.name, &reference.namespace) == (&claim.metadata.name, &claim.metadata.namespace)
            && reference.uid.as_ref().is_none_or(|uid| uid.is_empty() || Some(uid) == claim.metadata.uid.as_ref())
    })
}

/// A claim as volumes refer to it (`client-go/tools/reference/ref.go`).
pub fn reference(claim: &PersistentVolumeClaim) -> ObjectReference {
    ObjectReference {
        api_version: Some("v1".into()),
        kind: Some("PersistentVolumeClaim".into()),
        namespace: claim.metadata.namespace.clone(),
        name: claim.metadata.name.clone(),
        uid: claim.metadata.uid.clone(),
        resource_version: claim.metadata.resource_version.clone(),
        ..ObjectReference::default()
    }
}

/// Who looks for a volume.
#[derive(Clone, Copy)]
pub enum Seeker<'a> {
    /// The scheduler: only volumes that the node reaches.
    Node(&'a dyn Fn(&PersistentVolume) -> bool),
    /// The controller, among volumes with the access modes that the claim wants.
    Controller {
        /// The claim waits for a node: only a volume that is kept for it will do.
        waits: bool,
    },
}

/// The volume that is kept for a claim, or the smallest that is large enough, of several the first (`FindMatchingVolume`).
pub fn find<'a>(
    claim: &PersistentVolumeClaim,
    volumes: impl Iterator<Item = &'a PersistentVolume>,
    seeker: Seeker<'_>,
) -> Option<&'a PersistentVolume> {
    let selector = claim.spec.as_ref().and_then(|spec| spec.selector.as_ref());
    let selector = selector.map(|selector| Selector::try_from(Some(selector)));
    let asked = requested(claim);
    let mut smallest: Option<(Quantity, &PersistentVolume)> = None;
    for volume in volumes {
        let mine = is_for(volume, claim);
        let free = volume.spec.as_ref().is_some_and(|spec| spec.claim_ref.is_none());
        let size = capacity(volume);
        if !(mine || free) || size < asked || !same_mode(volume, claim) || volume.metadata.deletion_timestamp.is_some()
        {
            continue;
        }
        let reached = match seeker {
            Seeker::Node(reaches) => reaches(volume),
            Seeker::Controller { .. } => true,
        };
        if mine {
            return Some(volume).filter(|_| reached);
        }
        let searched = match seeker {
            Seeker::Node(_) => reached && has_modes(volume, claim),
            Seeker::Controller { waits } => !waits,
        };
        let labels = volume.metadata.labels.clone().unwrap_or_default();
        let selected = match &selector {
            None => true,
            Some(selector) => selector.as_ref().is_ok_and(|selector| selector.matches(&labels)),
        };
        let fits =
            searched && selected && volume_phase(volume) == "Available" && class_of_volume(volume) == class_of(claim);
        if fits && smallest.as_ref().is_none_or(|(least, _)| *least > size) {
            smallest = Some((size, volume));
        }
    }
    smallest.map(|(_, volume)| volume)
}

/// What the status of a node calls a volume that its driver attaches (`GetUniqueVolumeName` of `pkg/volume/util/util.go`).
pub fn attached_name(volume: &PersistentVolume) -> Option<String> {
    let csi = volume.spec.as_ref()?.csi.as_ref()?;
    Some(format!("kubernetes.io/csi/{}^{}", csi.driver, csi.volume_handle))
}
