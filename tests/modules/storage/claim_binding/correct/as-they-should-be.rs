//! Passes: it changes copies of the claim and the volume until they are as they should be, and reads the actions from these.

use kit::api::selector;
use kit::storage::ClaimBinding;
use kit::storage::claim_binding::{
    Action, Claim, ClaimPhase, ClaimRef, Class, Cluster, Event, Mismatch, ReclaimPolicy, Volume, VolumePhase,
};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Default)]
struct Exercise;

/// Both, as they are to be.
struct Pair(Volume, Claim);

impl Pair {
    fn bound(volume: &Volume, claim: &Claim) -> Pair {
        let (mut volume, mut claim) = (volume.clone(), claim.clone());
        let mine = kept(&volume, &claim);
        volume.bound_by_controller |= !mine;
        volume.claim_ref = Some(ClaimRef { name: claim.name.clone(), uid: Some(claim.uid.clone()) });
        volume.phase = VolumePhase::Bound;
        claim.bound_by_controller |= claim.volume_name.as_ref() != Some(&volume.name);
        claim.volume_name = Some(volume.name.clone());
        claim.phase = ClaimPhase::Bound;
        Pair(volume, claim)
    }

    fn actions(self) -> Vec<Action> {
        let Pair(volume, claim) = self;
        let mut actions = of_volume(&volume);
        let name = claim.volume_name.unwrap_or_default();
        actions.push(Action::WriteVolumeName { volume: name, bound_by_controller: claim.bound_by_controller });
        actions.push(Action::WriteClaimPhase { phase: claim.phase });
        actions
    }
}

fn of_volume(volume: &Volume) -> Vec<Action> {
    let (name, claim_ref) = (volume.name.clone(), volume.claim_ref.clone());
    vec![
        Action::WriteClaimRef { volume: name.clone(), claim_ref, bound_by_controller: volume.bound_by_controller },
        Action::WriteVolumePhase { volume: name, phase: volume.phase },
    ]
}

fn kept(volume: &Volume, claim: &Claim) -> bool {
    let with = ClaimRef { name: claim.name.clone(), uid: Some(claim.uid.clone()) };
    let without = ClaimRef { uid: None, ..with.clone() };
    volume.claim_ref == Some(with) || volume.claim_ref == Some(without)
}

/// The claim with its class written out: for volumes, to say nothing is to want none.
fn plain(claim: &Claim) -> String {
    claim.class.clone().unwrap_or_default()
}

fn check(volume: &Volume, claim: &Claim, class_matters: bool) -> Result<(), Mismatch> {
    let wanted: BTreeSet<_> = claim.access_modes.iter().collect();
    if volume.deleting {
        Err(Mismatch::Deleting)
    } else if volume.capacity < claim.request {
        Err(Mismatch::TooSmall)
    } else if class_matters && volume.class != plain(claim) {
        Err(Mismatch::Class)
    } else if volume.volume_mode != claim.volume_mode {
        Err(Mismatch::VolumeMode)
    } else if !wanted.is_subset(&volume.access_modes.iter().collect()) {
        Err(Mismatch::AccessModes)
    } else {
        Ok(())
    }
}

impl ClaimBinding for Exercise {
    fn find(&self, claim: &Claim, volumes: &[Volume], waits: bool) -> Option<String> {
        // By size of the set, then by the set: a map keeps them in this order.
        let mut groups: BTreeMap<(usize, Vec<_>), Vec<&Volume>> = BTreeMap::new();
        for volume in volumes.iter().filter(|volume| check(volume, claim, false).is_ok()) {
            let set: BTreeSet<_> = volume.access_modes.iter().copied().collect();
            groups.entry((set.len(), set.into_iter().collect())).or_default().push(volume);
        }
        for group in groups.into_values() {
            if let Some(mine) = group.iter().find(|volume| kept(volume, claim)) {
                return Some(mine.name.clone());
            }
            let mut free: Vec<&Volume> = group
                .into_iter()
                .filter(|volume| volume.claim_ref.is_none() && volume.phase == VolumePhase::Available)
                .filter(|volume| check(volume, claim, true).is_ok())
                .filter(|volume| match &claim.selector {
                    Some(wanted) => selector::matches(wanted, Some(&volume.labels)),
                    None => true,
                })
                .collect();
            free.sort_by(|one, other| one.capacity.cmp(&other.capacity));
            if let (Some(smallest), false) = (free.first(), waits) {
                return Some(smallest.name.clone());
            }
        }
        None
    }

    fn sync_claim(&self, claim: &Claim, cluster: &Cluster) -> Vec<Action> {
        let by_name: BTreeMap<&String, &Volume> = cluster.volumes.iter().map(|volume| (&volume.name, volume)).collect();
        let named = claim.volume_name.as_ref().map(|name| by_name.get(name).copied());
        let (event, phase) = if claim.bind_completed {
            let event = match named {
                None => Event::LostName,
                Some(None) => Event::LostVolume,
                Some(Some(volume)) => {
                    let is_its = |reference: &ClaimRef| reference.uid.as_deref() == Some(claim.uid.as_str());
                    if volume.claim_ref.iter().all(is_its) {
                        return Pair::bound(volume, claim).actions();
                    }
                    Event::Misbound
                }
            };
            match claim.phase {
                ClaimPhase::Lost => (None, None),
                _ => (Some(event), Some(ClaimPhase::Lost)),
            }
        } else if let Some(volume) = named {
            let Some(volume) = volume else { return vec![Action::WriteClaimPhase { phase: ClaimPhase::Pending }] };
            if kept(volume, claim) {
                return Pair::bound(volume, claim).actions();
            }
            if volume.claim_ref.is_some() {
                (Some(Event::Taken), Some(ClaimPhase::Pending).filter(|_| !claim.bound_by_controller))
            } else {
                match check(volume, claim, true) {
                    Ok(()) => return Pair::bound(volume, claim).actions(),
                    Err(why) => (Some(Event::VolumeMismatch(why)), Some(ClaimPhase::Pending)),
                }
            }
        } else {
            let classes: BTreeMap<&str, &Class> =
                cluster.classes.iter().map(|class| (class.name.as_str(), class)).collect();
            let name = plain(claim);
            let class = classes.get(name.as_str());
            let waits = class.is_some_and(|class| class.waits);
            if let Some(found) = self.find(claim, &cluster.volumes, waits) {
                return Pair::bound(by_name[&found], claim).actions();
            }
            let newest = classes.values().filter(|class| class.is_default).map(|class| class.created_seconds).max();
            let default = classes.values().find(|class| class.is_default && Some(class.created_seconds) == newest);
            if let (None, Some(default)) = (&claim.class, default) {
                return vec![Action::WriteClass { class: default.name.clone() }];
            }
            match (name.as_str(), class) {
                (_, Some(class)) if class.waits && claim.selected_node.is_none() => {
                    let pods = cluster.waiting_pods.len();
                    let event = if pods > 0 { Event::WaitForPodScheduled } else { Event::WaitForFirstConsumer };
                    (Some(event), Some(ClaimPhase::Pending))
                }
                ("", _) => (Some(Event::NoVolume), Some(ClaimPhase::Pending)),
                (_, None) => (Some(Event::NoClass), None),
                (_, Some(class)) if class.provisioner.strip_prefix("kubernetes.io/").is_some() => {
                    (Some(Event::NoProvisioner), None)
                }
                (_, Some(class)) => {
                    let provisioner = class.provisioner.clone();
                    return vec![Action::WriteProvisioner { provisioner }, Action::Tell(Event::ExternalProvisioning)];
                }
            }
        };
        let phase = phase.map(|phase| Action::WriteClaimPhase { phase });
        phase.into_iter().chain(event.map(Action::Tell)).collect()
    }

    fn sync_volume(&self, volume: &Volume, claim: Option<&Claim>) -> Vec<Action> {
        let mut wanted = volume.clone();
        let mut actions = Vec::new();
        let uid = volume.claim_ref.as_ref().and_then(|reference| reference.uid.clone());
        let claim = claim.filter(|claim| Some(&claim.uid) == uid.as_ref());
        let stray = claim.and_then(|claim| claim.volume_name.as_ref()).is_some_and(|name| *name != volume.name);
        let disposable = volume.policy == ReclaimPolicy::Delete && volume.provisioned_by.is_some();
        if uid.is_none() {
            wanted.phase = VolumePhase::Available;
        } else if claim.is_none() || (stray && disposable) {
            let name = volume.name.clone();
            let builtin = |by: &String| by.starts_with("kubernetes.io/");
            let foreign = volume.csi || !volume.provisioned_by.as_ref().is_none_or(builtin);
            match volume.policy {
                ReclaimPolicy::Recycle => actions.push(Action::RecycleVolume { volume: name }),
                ReclaimPolicy::Delete if !foreign => actions.push(Action::DeleteVolume { volume: name }),
                ReclaimPolicy::Delete | ReclaimPolicy::Retain => {}
            }
            if matches!(volume.phase, VolumePhase::Released | VolumePhase::Failed) {
                return actions;
            }
            wanted.phase = VolumePhase::Released;
        } else if stray {
            match wanted.bound_by_controller {
                true => wanted.claim_ref = None,
                false => wanted.claim_ref.iter_mut().for_each(|reference| reference.uid = None),
            }
            wanted.bound_by_controller = false;
            wanted.phase = VolumePhase::Available;
            return of_volume(&wanted);
        } else if claim.is_some_and(|claim| claim.volume_name.is_some()) {
            wanted.phase = VolumePhase::Bound;
        } else if claim.is_some_and(|claim| claim.volume_mode == volume.volume_mode) {
            return vec![Action::LookAtClaim];
        } else {
            return vec![Action::Tell(Event::ModeMismatch)];
        }
        actions.insert(0, Action::WriteVolumePhase { volume: wanted.name, phase: wanted.phase });
        actions
    }
}

kit::exercise!(Exercise: ClaimBinding);
