//! The persistent volume controller: which volume a claim gets, who makes one, and what becomes of it afterwards.
//!
//! Sources: `pkg/controller/volume/persistentvolume/pv_controller.go` and `index.go`, and
//! `staging/src/k8s.io/component-helpers/storage/volume/pv_helpers.go`. The names in parentheses are from there.
//!
//! The kit around the controller watches claims, volumes and classes, looks at everything that isn't settled again every 15
//! seconds, and carries out what the answers say, one action after the other. Where the API server refuses a write, the rest
//! of the answer is dropped, and the next look goes on from what is there by then.

mod show;

pub use kit_api::Quantity;
pub use kit_api::meta::LabelSelector;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

// ANCHOR: contract
contract! {
    /// Binds claims and volumes to each other.
    ///
    /// **Actions say what an object should be.** The kit leaves out each write that would change nothing. So an answer
    /// may, and where the rules say so must, name what is already there.
    pub trait ClaimBinding {
        /// The volume that a claim gets, by its name; none if there is none for it.
        ///
        /// A volume is *kept* for the claim if its `claim_ref` names it, with its uid or without any
        /// (`IsVolumeBoundToClaim`).
        ///
        /// 1. Volumes that lack one of the claim's access modes are no candidates, and neither are those that are being
        ///    deleted, have another volume mode, or hold less than is asked for.
        /// 2. Candidates are looked at in groups by the set of their access modes, the smaller set first; of two sets of the same
        ///    size, the one first that has the lower mode where they differ first, in the order of [`AccessMode`]
        ///    (upstream leaves that open). Volumes of a group are looked at in the order in which they are given: by name.
        /// 3. In a group the first volume that is kept for the claim wins. Its phase, class and labels don't matter: a person
        ///    has chosen.
        /// 4. Otherwise, unless the claim's class *waits* (`waits`), the smallest wins that has no `claim_ref`, the phase
        ///    `Available`, the class of the claim, and labels that match its selector. Of equal ones the first.
        /// 5. If the group has neither, the next group is looked at.
        ///
        /// A claim that says nothing of a class, or `""`, has the class `""` here, and so has a volume without one.
        fn find(&self, claim: &Claim, volumes: &[Volume], waits: bool) -> Option<String>;

        /// What to do about a claim now (`syncClaim`).
        ///
        /// **To bind** a volume and a claim (`bind`) means these four, in this order:
        ///
        /// 1. [`Action::WriteClaimRef`]: the claim's name and uid. `bound_by_controller` stays `true` if it is, and becomes
        ///    `true` if the volume wasn't kept for this claim before.
        /// 2. [`Action::WriteVolumePhase`] says `Bound`.
        /// 3. [`Action::WriteVolumeName`]: `bound_by_controller` stays `true` if it is, and becomes `true` if the claim
        ///    didn't name this volume before. The kit notes with it that the claim was bound once (`bind_completed`).
        /// 4. [`Action::WriteClaimPhase`] says `Bound`.
        ///
        /// **A claim that was never bound** (`syncUnboundClaim`) …
        ///
        /// - … and *names no volume*. The first of these that applies:
        ///   - `find` has a volume: bind.
        ///   - The claim says nothing of a class, and there is a default: [`Action::WriteClass`], and nothing else. Of several
        ///     defaults the one that was created last, of these the first by name.
        ///   - Its class waits, and no node is selected: the event `WaitForPodScheduled` if a pod without a node wants the claim,
        ///     else `WaitForFirstConsumer`; then the phase `Pending`.
        ///   - It has a class other than `""`. No such class: the event `NoClass`. Its provisioner begins with
        ///     `kubernetes.io/`: the event `NoProvisioner`. Otherwise [`Action::WriteProvisioner`] and the event
        ///     `ExternalProvisioning`. Nothing else.
        ///   - Otherwise the event `NoVolume`; then the phase `Pending`.
        /// - … and *names a volume* that isn't there: the phase `Pending`.
        /// - … and names one that *is kept for it*: bind.
        /// - … and names one that has the `claim_ref` of *another* claim: the event `Taken`; then the phase `Pending`, but
        ///   not if the claim is `bound_by_controller`.
        /// - … and names one that is *free*: bind if it fits. Otherwise the event `VolumeMismatch` with the first of these that is
        ///   true, and the phase `Pending`: it is being deleted, is too small, has another class, another volume mode, or lacks an
        ///   access mode (`checkVolumeSatisfyClaim`). Selector, phase, and whether the class waits don't matter here.
        ///
        /// **A claim that was bound once** (`syncBoundClaim`) and is not to be bound any more is *lost*: the phase `Lost` and the
        /// event, unless it is `Lost` already; then nothing.
        ///
        /// - It names no volume: lost, `LostName`.
        /// - The volume isn't there: lost, `LostVolume`.
        /// - The volume's `claim_ref` has another uid, or none: lost, `Misbound`.
        /// - Otherwise, also if the volume has no `claim_ref` at all: bind. Whatever of the four writes is missing is made up for.
        fn sync_claim(&self, claim: &Claim, cluster: &Cluster) -> Vec<Action>;

        /// What to do about a volume now (`syncVolume`). `claim` is the one that has the name in its `claim_ref`, as far as the
        /// kit knows one; it may be another claim of the same name.
        ///
        /// - No `claim_ref`, or one without a uid: the phase `Available`. It is free, or kept for a claim that will find it.
        /// - No claim, or its uid is another: *release*.
        /// - The claim names no volume: binding was interrupted. [`Action::LookAtClaim`], or the event `ModeMismatch` if
        ///   the volume modes differ; nothing else.
        /// - The claim names this volume: the phase `Bound`.
        /// - The claim names another one. If this one was made by a provisioner and has the policy `Delete`: *release*. Otherwise
        ///   take the binding back (`unbindVolume`): [`Action::WriteClaimRef`] and the phase `Available`. If the controller
        ///   had bound it, the reference is gone; if a person had, the reference stays without its uid.
        ///   `bound_by_controller` is `false` afterwards.
        ///
        /// **To release** (`reclaimVolume`): the phase `Released`, unless it is `Released` or `Failed`. Then by policy:
        ///
        /// - `Retain`: nothing more.
        /// - `Delete`: [`Action::DeleteVolume`], unless a driver does that: one that isn't part of Kubernetes has made the
        ///   volume (`provisioned_by` doesn't begin with `kubernetes.io/`), or the volume is a driver's (`csi`).
        /// - `Recycle`: [`Action::RecycleVolume`].
        fn sync_volume(&self, volume: &Volume, claim: Option<&Claim>) -> Vec<Action>;
    }
}

/// A claim, as far as the controller looks at it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Claim {
    /// Namespace and name: `shop/data`.
    pub name: String,
    /// Which claim of that name it is.
    pub uid: String,
    /// `spec.storageClassName`. None says nothing; `""` says that no class is wanted.
    pub class: Option<String>,
    /// `spec.accessModes`
    pub access_modes: Vec<AccessMode>,
    /// `spec.volumeMode`
    pub volume_mode: VolumeMode,
    /// `spec.resources.requests.storage`
    pub request: Quantity,
    /// `spec.selector`; none matches every volume.
    pub selector: Option<LabelSelector>,
    /// `spec.volumeName`; none if it names no volume.
    pub volume_name: Option<String>,
    /// The annotation `pv.kubernetes.io/bind-completed`: it was bound once.
    pub bind_completed: bool,
    /// The annotation `pv.kubernetes.io/bound-by-controller`: the volume's name was written by the controller.
    pub bound_by_controller: bool,
    /// The annotation `volume.kubernetes.io/selected-node`, which the scheduler writes.
    pub selected_node: Option<String>,
    /// `status.phase`
    pub phase: ClaimPhase,
}

/// A volume, as far as the controller looks at it.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Volume {
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// `spec.storageClassName`; empty if none.
    pub class: String,
    /// `spec.accessModes`
    pub access_modes: Vec<AccessMode>,
    /// `spec.volumeMode`
    pub volume_mode: VolumeMode,
    /// `spec.capacity.storage`
    pub capacity: Quantity,
    /// `spec.claimRef`
    pub claim_ref: Option<ClaimRef>,
    /// The annotation `pv.kubernetes.io/bound-by-controller`: the reference was written by the controller, and not by a person beforehand.
    pub bound_by_controller: bool,
    /// The annotation `pv.kubernetes.io/provisioned-by`.
    pub provisioned_by: Option<String>,
    /// Whether it is a volume of a CSI driver (`spec.csi`).
    pub csi: bool,
    /// `spec.persistentVolumeReclaimPolicy`
    pub policy: ReclaimPolicy,
    /// Whether it has a `metadata.deletionTimestamp`.
    pub deleting: bool,
    /// `status.phase`
    pub phase: VolumePhase,
}

/// Which claim a volume belongs to, or is kept for.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClaimRef {
    /// Namespace and name.
    pub name: String,
    /// None if a person has kept the volume for any claim of that name.
    pub uid: Option<String>,
}

/// A storage class.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Class {
    /// Its name.
    pub name: String,
    /// Whether claims that say nothing of a class get it.
    pub is_default: bool,
    /// When it was created, in seconds since some moment in the past.
    pub created_seconds: i64,
    /// Who makes its volumes.
    pub provisioner: String,
    /// `volumeBindingMode: WaitForFirstConsumer`
    pub waits: bool,
}

/// What there is beside a claim.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cluster {
    /// The volumes that may matter to the claim, by name: the one that it names, those that refer to it, and those of its
    /// class that refer to no claim. Of the last that differ in nothing but their names there may be only the first.
    pub volumes: Vec<Volume>,
    /// All classes, by name.
    pub classes: Vec<Class>,
    /// The pods without a node that want the claim which is asked about.
    pub waiting_pods: Vec<String>,
}

/// How many may use a volume, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum AccessMode {
    /// Pods of one node read and write.
    ReadWriteOnce,
    /// Pods of many nodes read.
    ReadOnlyMany,
    /// Pods of many nodes read and write.
    ReadWriteMany,
    /// One pod reads and writes.
    ReadWriteOncePod,
}

/// What pods see of a volume.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum VolumeMode {
    /// Files.
    #[default]
    Filesystem,
    /// A device.
    Block,
}

/// What becomes of a volume whose claim is gone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ReclaimPolicy {
    /// It stays, with its data, until a person has decided.
    #[default]
    Retain,
    /// It is deleted, and the disk with it.
    Delete,
    /// It is emptied and free again; deprecated.
    Recycle,
}

/// How a claim stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ClaimPhase {
    /// It has no volume yet.
    #[default]
    Pending,
    /// It and its volume know of each other.
    Bound,
    /// It had a volume.
    Lost,
}

/// How a volume stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum VolumePhase {
    /// Nobody has looked at it yet.
    #[default]
    Pending,
    /// It can be claimed.
    Available,
    /// It belongs to a claim.
    Bound,
    /// Its claim is gone.
    Released,
    /// It could not be deleted or emptied.
    Failed,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Writes which claim a volume belongs to.
    WriteClaimRef {
        /// The volume.
        volume: String,
        /// Its `spec.claimRef`; none takes it away.
        claim_ref: Option<ClaimRef>,
        /// Whether it has the annotation `pv.kubernetes.io/bound-by-controller`.
        bound_by_controller: bool,
    },
    /// Writes the `status.phase` of a volume.
    WriteVolumePhase {
        /// The volume.
        volume: String,
        /// How it stands.
        phase: VolumePhase,
    },
    /// Writes `spec.volumeName` of the claim, and that it was bound once.
    WriteVolumeName {
        /// The volume.
        volume: String,
        /// Whether the claim has the annotation `pv.kubernetes.io/bound-by-controller`.
        bound_by_controller: bool,
    },
    /// Writes the `status.phase` of the claim. With `Bound` the kit writes also what the volume offers.
    WriteClaimPhase {
        /// How it stands.
        phase: ClaimPhase,
    },
    /// Writes `spec.storageClassName` of the claim.
    WriteClass {
        /// The class.
        class: String,
    },
    /// Writes the annotation `volume.kubernetes.io/storage-provisioner` of the claim: whoever has this name is asked for a volume.
    WriteProvisioner {
        /// The provisioner of the claim's class.
        provisioner: String,
    },
    /// Deletes the volume and its disk.
    DeleteVolume {
        /// The volume.
        volume: String,
    },
    /// Empties the volume; it is free afterwards.
    RecycleVolume {
        /// The volume.
        volume: String,
    },
    /// Has the claim looked at next.
    LookAtClaim,
    /// Tells people. Events may stand anywhere.
    Tell(Event),
}

/// An event. The kit knows its reason and message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Event {
    /// `FailedBinding`: there is no volume, and no class that could have one made.
    NoVolume,
    /// `FailedBinding`: the volume that the claim names has another claim.
    Taken,
    /// `VolumeMismatch`: the volume that the claim names doesn't fit.
    VolumeMismatch(Mismatch),
    /// `VolumeMismatch` of a volume that was kept for a claim with another volume mode.
    ModeMismatch,
    /// `WaitForFirstConsumer`: there is no pod that wants it.
    WaitForFirstConsumer,
    /// `WaitForPodScheduled`: there is one, but without a node.
    WaitForPodScheduled,
    /// `ProvisioningFailed`: there is no such class.
    NoClass,
    /// `ProvisioningFailed`: nobody makes volumes of this class.
    NoProvisioner,
    /// `ExternalProvisioning`: a provisioner was asked.
    ExternalProvisioning,
    /// `ClaimLost`: somebody has taken the volume's name out of a bound claim.
    LostName,
    /// `ClaimLost`: the volume is gone.
    LostVolume,
    /// `ClaimMisbound`: the volume belongs to another claim.
    Misbound,
}

/// Why a claim can't have the volume that it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Mismatch {
    /// It is being deleted.
    Deleting,
    /// It holds less than is asked for.
    TooSmall,
    /// It has another class.
    Class,
    /// One has files and the other is a device.
    VolumeMode,
    /// It lacks an access mode.
    AccessModes,
}
// ANCHOR_END: contract

impl Event {
    /// What `kubectl get events` calls it.
    pub fn reason(self) -> &'static str {
        match self {
            Event::NoVolume | Event::Taken => "FailedBinding",
            Event::VolumeMismatch(_) | Event::ModeMismatch => "VolumeMismatch",
            Event::WaitForFirstConsumer => "WaitForFirstConsumer",
            Event::WaitForPodScheduled => "WaitForPodScheduled",
            Event::NoClass | Event::NoProvisioner => "ProvisioningFailed",
            Event::ExternalProvisioning => "ExternalProvisioning",
            Event::LostName | Event::LostVolume => "ClaimLost",
            Event::Misbound => "ClaimMisbound",
        }
    }
}
