//! The reference for `storage/claim_binding`.
//!
//! The names in parentheses are those of `pkg/controller/volume/persistentvolume/pv_controller.go`.

use kit::api::selector;
use kit::storage::ClaimBinding;
use kit::storage::claim_binding::{
    AccessMode, Action, Claim, ClaimPhase, ClaimRef, Class, Cluster, Event, Mismatch, ReclaimPolicy, Volume,
    VolumePhase,
};
use std::cmp::Reverse;

// ANCHOR: solution
/// The controller remembers nothing: all that it knows is in the question.
#[derive(Default)]
pub struct Exercise;

impl ClaimBinding for Exercise {
    // ANCHOR: find
    fn find(&self, claim: &Claim, volumes: &[Volume], waits: bool) -> Option<String> {
        let mut candidates: Vec<&Volume> = volumes.iter().filter(|volume| is_candidate(volume, claim)).collect();
        // Stable: volumes of a group stay in their order.
        candidates.sort_by_cached_key(|volume| group(volume));
        let best = |group: &[&Volume]| {
            let kept = group.iter().copied().find(|volume| is_kept(volume, claim));
            let free = group.iter().copied().filter(|volume| !waits && is_free(volume, claim));
            kept.or_else(|| free.min_by_key(|volume| &volume.capacity)).map(|volume| volume.name.clone())
        };
        candidates.chunk_by(|one, other| group(one) == group(other)).find_map(best)
    }
    // ANCHOR_END: find

    fn sync_claim(&self, claim: &Claim, cluster: &Cluster) -> Vec<Action> {
        let named = claim.volume_name.as_ref();
        let volume = named.and_then(|name| cluster.volumes.iter().find(|volume| volume.name == *name));
        match (claim.bind_completed, named, volume) {
            (true, None, _) => lost(claim, Event::LostName),
            (true, _, None) => lost(claim, Event::LostVolume),
            (true, _, Some(volume)) => match &volume.claim_ref {
                Some(reference) if reference.uid.as_ref() != Some(&claim.uid) => lost(claim, Event::Misbound),
                _ => bind(volume, claim),
            },
            (false, None, _) => self.search(claim, cluster),
            (false, _, None) => pending(None),
            (false, _, Some(volume)) => take(volume, claim),
        }
    }

    // ANCHOR: volumes
    fn sync_volume(&self, volume: &Volume, claim: Option<&Claim>) -> Vec<Action> {
        let Some(uid) = volume.claim_ref.as_ref().and_then(|reference| reference.uid.as_ref()) else {
            return vec![volume_phase(volume, VolumePhase::Available)];
        };
        let Some(claim) = claim.filter(|claim| claim.uid == *uid) else { return release(volume) };
        match &claim.volume_name {
            None if claim.volume_mode == volume.volume_mode => vec![Action::LookAtClaim],
            None => vec![Action::Tell(Event::ModeMismatch)],
            Some(name) if *name == volume.name => vec![volume_phase(volume, VolumePhase::Bound)],
            // It was made for a claim that has found another.
            Some(_) if volume.provisioned_by.is_some() && volume.policy == ReclaimPolicy::Delete => release(volume),
            Some(_) => unbind(volume),
        }
    }
    // ANCHOR_END: volumes
}

impl Exercise {
    /// A claim that takes any volume (`syncUnboundClaim`).
    fn search(&self, claim: &Claim, cluster: &Cluster) -> Vec<Action> {
        let name = claim.class.as_deref().unwrap_or_default();
        let class = cluster.classes.iter().find(|class| class.name == name);
        let waits = class.is_some_and(|class| class.waits);
        if let Some(name) = self.find(claim, &cluster.volumes, waits) {
            let found = cluster.volumes.iter().find(|volume| volume.name == name);
            return found.map_or_else(Vec::new, |volume| bind(volume, claim));
        }
        let default = default_class(&cluster.classes).filter(|_| claim.class.is_none());
        match (default, class) {
            (Some(default), _) => vec![Action::WriteClass { class: default.name.clone() }],
            _ if waits && claim.selected_node.is_none() => pending(Some(match cluster.waiting_pods.is_empty() {
                true => Event::WaitForFirstConsumer,
                false => Event::WaitForPodScheduled,
            })),
            _ if name.is_empty() => pending(Some(Event::NoVolume)),
            (_, None) => vec![Action::Tell(Event::NoClass)],
            (_, Some(class)) if class.provisioner.starts_with("kubernetes.io/") => {
                vec![Action::Tell(Event::NoProvisioner)]
            }
            (_, Some(class)) => vec![
                Action::WriteProvisioner { provisioner: class.provisioner.clone() },
                Action::Tell(Event::ExternalProvisioning),
            ],
        }
    }
}

/// A claim that names a volume, but was never bound to it.
fn take(volume: &Volume, claim: &Claim) -> Vec<Action> {
    if is_kept(volume, claim) {
        return bind(volume, claim);
    }
    if volume.claim_ref.is_some() {
        let mut actions = vec![Action::Tell(Event::Taken)];
        if !claim.bound_by_controller {
            actions.extend(pending(None));
        }
        return actions;
    }
    match mismatch(volume, claim) {
        None => bind(volume, claim),
        Some(why) => pending(Some(Event::VolumeMismatch(why))),
    }
}

// ANCHOR: bind
/// Each of the four may be the last one that is written before somebody pulls the plug (`bind`).
fn bind(volume: &Volume, claim: &Claim) -> Vec<Action> {
    let named = claim.volume_name.as_ref() == Some(&volume.name);
    vec![
        Action::WriteClaimRef {
            volume: volume.name.clone(),
            claim_ref: Some(ClaimRef { name: claim.name.clone(), uid: Some(claim.uid.clone()) }),
            bound_by_controller: volume.bound_by_controller || !is_kept(volume, claim),
        },
        volume_phase(volume, VolumePhase::Bound),
        Action::WriteVolumeName {
            volume: volume.name.clone(),
            bound_by_controller: claim.bound_by_controller || !named,
        },
        Action::WriteClaimPhase { phase: ClaimPhase::Bound },
    ]
}
// ANCHOR_END: bind

/// Takes a binding back. What a person wrote before still holds (`unbindVolume`).
fn unbind(volume: &Volume) -> Vec<Action> {
    let mut claim_ref = volume.claim_ref.clone().filter(|_| !volume.bound_by_controller);
    if let Some(reference) = &mut claim_ref {
        reference.uid = None;
    }
    let write = Action::WriteClaimRef { volume: volume.name.clone(), claim_ref, bound_by_controller: false };
    vec![write, volume_phase(volume, VolumePhase::Available)]
}

/// The claim is gone (`reclaimVolume`).
fn release(volume: &Volume) -> Vec<Action> {
    let by_driver = volume.csi || volume.provisioned_by.as_ref().is_some_and(|by| !by.starts_with("kubernetes.io/"));
    let is_released = matches!(volume.phase, VolumePhase::Released | VolumePhase::Failed);
    let released = (!is_released).then(|| volume_phase(volume, VolumePhase::Released));
    let reclaimed = match volume.policy {
        ReclaimPolicy::Retain => None,
        ReclaimPolicy::Delete => (!by_driver).then(|| Action::DeleteVolume { volume: volume.name.clone() }),
        ReclaimPolicy::Recycle => Some(Action::RecycleVolume { volume: volume.name.clone() }),
    };
    released.into_iter().chain(reclaimed).collect()
}

fn lost(claim: &Claim, event: Event) -> Vec<Action> {
    match claim.phase {
        ClaimPhase::Lost => Vec::new(),
        _ => vec![Action::WriteClaimPhase { phase: ClaimPhase::Lost }, Action::Tell(event)],
    }
}

fn pending(event: Option<Event>) -> Vec<Action> {
    let phase = Action::WriteClaimPhase { phase: ClaimPhase::Pending };
    event.map(Action::Tell).into_iter().chain([phase]).collect()
}

fn volume_phase(volume: &Volume, phase: VolumePhase) -> Action {
    Action::WriteVolumePhase { volume: volume.name.clone(), phase }
}

/// What a volume must have, even if it is kept for the claim.
fn is_candidate(volume: &Volume, claim: &Claim) -> bool {
    has_modes(volume, claim)
        && !volume.deleting
        && volume.volume_mode == claim.volume_mode
        && volume.capacity >= claim.request
}

/// The access modes of a volume, each once: fewer first.
fn group(volume: &Volume) -> (usize, Vec<AccessMode>) {
    let mut modes = volume.access_modes.clone();
    modes.sort();
    modes.dedup();
    (modes.len(), modes)
}

fn has_modes(volume: &Volume, claim: &Claim) -> bool {
    claim.access_modes.iter().all(|mode| volume.access_modes.contains(mode))
}

/// Whether a volume is kept for a claim (`IsVolumeBoundToClaim`).
fn is_kept(volume: &Volume, claim: &Claim) -> bool {
    let is_it = |reference: &ClaimRef| {
        reference.name == claim.name && reference.uid.as_ref().is_none_or(|uid| *uid == claim.uid)
    };
    volume.claim_ref.as_ref().is_some_and(is_it)
}

fn is_free(volume: &Volume, claim: &Claim) -> bool {
    volume.claim_ref.is_none()
        && volume.phase == VolumePhase::Available
        && volume.class == claim.class.as_deref().unwrap_or_default()
        && claim.selector.as_ref().is_none_or(|selector| selector::matches(selector, Some(&volume.labels)))
}

/// Why a claim can't have the volume that it names (`checkVolumeSatisfyClaim`).
fn mismatch(volume: &Volume, claim: &Claim) -> Option<Mismatch> {
    let checks = [
        (volume.deleting, Mismatch::Deleting),
        (volume.capacity < claim.request, Mismatch::TooSmall),
        (volume.class != claim.class.as_deref().unwrap_or_default(), Mismatch::Class),
        (volume.volume_mode != claim.volume_mode, Mismatch::VolumeMode),
        (!has_modes(volume, claim), Mismatch::AccessModes),
    ];
    checks.into_iter().find(|(fails, _)| *fails).map(|(_, why)| why)
}

/// The class of claims that say nothing: the newest, of several the first by name (`GetDefaultClass`).
fn default_class(classes: &[Class]) -> Option<&Class> {
    let defaults = classes.iter().filter(|class| class.is_default);
    defaults.min_by_key(|class| (Reverse(class.created_seconds), &class.name))
}
// ANCHOR_END: solution
