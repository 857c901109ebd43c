//! # The controller that finds a disk for each claim
//!
//! A claim asks for storage, a volume is storage, and binding means that each names the other. You find the volume that
//! fits, write both names in an order that survives a crash between any two writes, and decide what becomes of a volume
//! whose claim is gone.
//!
//! About 45 minutes · builds on nothing · book: "Claims and volumes: who gets which disk" · stuck? `cargo grade hint storage/claim_binding`
//!
//! Given to you:
//!
//! - `kit::api::selector::matches: fn(&kit::storage::claim_binding::LabelSelector, Option<&BTreeMap<String, String>>) -> bool`
//! - `kit::storage::claim_binding::Quantity`: amounts compare with `<`, `==` and `max`
//! - `kit::storage::claim_binding::AccessMode` has an order, too

use kit::api::selector;
use kit::storage::ClaimBinding;
use kit::storage::claim_binding::{
    AccessMode, Action, Claim, ClaimPhase, ClaimRef, Class, Cluster, Event, Mismatch, ReclaimPolicy, Volume,
    VolumePhase,
};

/// The controller remembers nothing: all that it knows is in the question.
///
/// Actions say what an object should be. The kit leaves out each write that would change nothing.
#[derive(Default)]
struct Exercise;

impl ClaimBinding for Exercise {
    /// The volume that a claim gets, by its name; none if there is none for it.
    ///
    /// A volume is *kept* for the claim if its `claim_ref` names it, with its uid or without any.
    ///
    /// 1. Volumes that lack one of the claim's access modes are no candidates, and neither are those that are being
    ///    deleted, have another volume mode, or hold less than is asked for.
    /// 2. Candidates are looked at in groups by the set of their access modes, the smaller set first; of two sets of the
    ///    same size, the one first that has the lower mode where they differ first. Volumes of a group are looked at in the
    ///    order in which they are given: by name.
    /// 3. In a group the first volume that is kept for the claim wins. Its phase, class and labels don't matter.
    /// 4. Otherwise, unless the claim's class *waits*, the smallest wins that has no `claim_ref`, the phase `Available`,
    ///    the class of the claim, and labels that match its selector. Of equal ones the first.
    /// 5. If the group has neither, the next group is looked at.
    ///
    /// A claim that says nothing of a class, or `""`, has the class `""` here, and so has a volume without one.
    fn find(&self, claim: &Claim, volumes: &[Volume], waits: bool) -> Option<String> {
        let _ = (claim, volumes, waits, selector::matches, None::<(AccessMode, ClaimRef)>);
        todo!("filter the candidates, sort them by their set of modes, then look at one group after the other")
    }

    /// What to do about a claim now.
    ///
    /// **To bind** a volume and a claim means these four, in this order:
    ///
    /// 1. `WriteClaimRef`: the claim's name and uid. `bound_by_controller` stays `true` if it is, and becomes `true` if
    ///    the volume wasn't kept for this claim before.
    /// 2. `WriteVolumePhase`: `Bound`.
    /// 3. `WriteVolumeName`: `bound_by_controller` stays `true` if it is, and becomes `true` if the claim didn't name this
    ///    volume before.
    /// 4. `WriteClaimPhase`: `Bound`.
    ///
    /// **A claim that was never bound** (not `bind_completed`) …
    ///
    /// - … and *names no volume*. The first of these that applies:
    ///   - `find` has a volume: bind.
    ///   - The claim says nothing of a class, and there is a default: `WriteClass`, and nothing else. Of several defaults the
    ///     one that was created last, of these the first by name.
    ///   - Its class waits, and no node is selected: the event `WaitForPodScheduled` if a pod without a node wants the
    ///     claim, else `WaitForFirstConsumer`; then the phase `Pending`.
    ///   - It has a class other than `""`. No such class: the event `NoClass`. Its provisioner begins with
    ///     `kubernetes.io/`: the event `NoProvisioner`. Otherwise `WriteProvisioner` and the event `ExternalProvisioning`.
    ///     Nothing else.
    ///   - Otherwise the event `NoVolume`; then the phase `Pending`.
    /// - … and *names a volume* that isn't there: the phase `Pending`.
    /// - … and names one that *is kept for it*: bind.
    /// - … and names one that has the `claim_ref` of *another* claim: the event `Taken`; then the phase `Pending`, but not if
    ///   the claim is `bound_by_controller`.
    /// - … and names one that is *free*: bind if it fits. Otherwise the event `VolumeMismatch` with the first of these that
    ///   is true, and the phase `Pending`: it is being deleted, is too small, has another class, another volume mode, or
    ///   lacks an access mode. Selector, phase, and whether the class waits don't matter here.
    ///
    /// **A claim that was bound once** and is not to be bound any more is *lost*: the phase `Lost` and the event, unless it
    /// is `Lost` already; then nothing.
    ///
    /// - It names no volume: lost, `LostName`.
    /// - The volume isn't there: lost, `LostVolume`.
    /// - The volume's `claim_ref` has another uid, or none: lost, `Misbound`.
    /// - Otherwise, also if the volume has no `claim_ref` at all: bind. Whatever of the four writes is missing is made up for.
    fn sync_claim(&self, claim: &Claim, cluster: &Cluster) -> Vec<Action> {
        let _ = (claim, cluster, None::<(ClaimPhase, Class, Event, Mismatch)>);
        todo!("look for the volume that the claim names, then tell the cases apart")
    }

    /// What to do about a volume now. `claim` is the one that has the name in its `claim_ref`, as far as the kit knows
    /// one; it may be another claim of the same name.
    ///
    /// - No `claim_ref`, or one without a uid: the phase `Available`. It is free, or kept for a claim that will find it.
    /// - No claim, or its uid is another: *release*.
    /// - The claim names no volume: binding was interrupted. `LookAtClaim`, or the event `ModeMismatch` if the volume modes
    ///   differ; nothing else.
    /// - The claim names this volume: the phase `Bound`.
    /// - The claim names another one. If this one was made by a provisioner and has the policy `Delete`: *release*.
    ///   Otherwise take the binding back: `WriteClaimRef` and the phase `Available`. If the controller had bound it, the
    ///   reference is gone; if a person had, the reference stays without its uid. `bound_by_controller` is `false`
    ///   afterwards.
    ///
    /// **To release**: the phase `Released`, unless it is `Released` or `Failed`. Then by policy:
    ///
    /// - `Retain`: nothing more.
    /// - `Delete`: `DeleteVolume`, unless a driver does that: one that isn't part of Kubernetes has made the volume
    ///   (`provisioned_by` doesn't begin with `kubernetes.io/`), or the volume is a driver's (`csi`).
    /// - `Recycle`: `RecycleVolume`.
    fn sync_volume(&self, volume: &Volume, claim: Option<&Claim>) -> Vec<Action> {
        let _ = (volume, claim, None::<(ReclaimPolicy, VolumePhase)>);
        todo!("begin with the volume that belongs to nobody")
    }
}

kit::exercise!(Exercise: ClaimBinding);
