//! Passes: each case is a rule that may answer, and the first one that does is right; modes are bits.

use kit::api::selector;
use kit::storage::ClaimBinding;
use kit::storage::claim_binding::{
    AccessMode, Action, Claim, ClaimPhase, ClaimRef, Class, Cluster, Event, Mismatch, ReclaimPolicy, Volume,
    VolumePhase,
};

#[derive(Default)]
struct Exercise;

type Rule = fn(&Case<'_>) -> Option<Vec<Action>>;

/// All that the rules about a claim look at.
struct Case<'a> {
    claim: &'a Claim,
    cluster: &'a Cluster,
    named: Option<&'a Volume>,
    class: Option<&'a Class>,
    found: Option<&'a Volume>,
}

const RULES: [Rule; 15] = [
    |case| case.when(case.claim.bind_completed && case.claim.volume_name.is_none(), || case.lost(Event::LostName)),
    |case| case.when(case.claim.bind_completed && case.named.is_none(), || case.lost(Event::LostVolume)),
    |case| case.when(case.claim.bind_completed && case.is_foreign(), || case.lost(Event::Misbound)),
    |case| case.named.filter(|_| case.claim.bind_completed).map(|volume| bind(volume, case.claim)),
    |case| case.when(case.claim.volume_name.is_some() && case.named.is_none(), || vec![pending()]),
    |case| case.named.filter(|volume| is_kept(volume, case.claim)).map(|volume| bind(volume, case.claim)),
    |case| {
        let taken = case.named.is_some_and(|volume| volume.claim_ref.is_some());
        let silent = case.claim.bound_by_controller;
        case.when(taken && silent, || vec![Action::Tell(Event::Taken)])
    },
    |case| {
        let taken = case.named.is_some_and(|volume| volume.claim_ref.is_some());
        case.when(taken, || vec![Action::Tell(Event::Taken), pending()])
    },
    |case| {
        let why = wrong(case.named?, case.claim)?;
        Some(vec![Action::Tell(Event::VolumeMismatch(why)), pending()])
    },
    |case| case.named.or(case.found).map(|volume| bind(volume, case.claim)),
    |case| {
        let rank = |class: &&Class| (class.created_seconds, std::cmp::Reverse(class.name.clone()));
        let default = case.cluster.classes.iter().filter(|class| class.is_default).max_by_key(rank)?;
        case.when(case.claim.class.is_none(), || vec![Action::WriteClass { class: default.name.clone() }])
    },
    |case| {
        let waits = case.class?.waits && case.claim.selected_node.is_none();
        let event = match case.cluster.waiting_pods.as_slice() {
            [] => Event::WaitForFirstConsumer,
            _ => Event::WaitForPodScheduled,
        };
        case.when(waits, || vec![Action::Tell(event), pending()])
    },
    |case| case.when(class_of(case.claim).is_empty(), || vec![Action::Tell(Event::NoVolume), pending()]),
    |case| {
        let provisioner = &case.class?.provisioner;
        Some(match provisioner.find("kubernetes.io/") {
            Some(0) => vec![Action::Tell(Event::NoProvisioner)],
            _ => vec![
                Action::WriteProvisioner { provisioner: provisioner.clone() },
                Action::Tell(Event::ExternalProvisioning),
            ],
        })
    },
    |_| Some(vec![Action::Tell(Event::NoClass)]),
];

impl Case<'_> {
    fn when(&self, applies: bool, then: impl FnOnce() -> Vec<Action>) -> Option<Vec<Action>> {
        if applies { Some(then()) } else { None }
    }

    fn lost(&self, event: Event) -> Vec<Action> {
        let phase = ClaimPhase::Lost;
        if self.claim.phase == phase {
            Vec::new()
        } else {
            vec![Action::WriteClaimPhase { phase }, Action::Tell(event)]
        }
    }

    fn is_foreign(&self) -> bool {
        let reference = self.named.and_then(|volume| volume.claim_ref.as_ref());
        reference.is_some_and(|reference| reference.uid != Some(self.claim.uid.clone()))
    }
}

fn pending() -> Action {
    Action::WriteClaimPhase { phase: ClaimPhase::Pending }
}

fn class_of(claim: &Claim) -> &str {
    claim.class.as_ref().map_or("", |class| class)
}

fn is_kept(volume: &Volume, claim: &Claim) -> bool {
    match &volume.claim_ref {
        Some(ClaimRef { name, uid: None }) => *name == claim.name,
        Some(ClaimRef { name, uid: Some(uid) }) => (name, uid) == (&claim.name, &claim.uid),
        None => false,
    }
}

/// One bit for each mode, the lower modes first: of two sets of a size, the one with the higher number comes first.
fn bits(modes: &[AccessMode]) -> u8 {
    modes.iter().fold(0, |bits, mode| {
        bits | match mode {
            AccessMode::ReadWriteOnce => 8,
            AccessMode::ReadOnlyMany => 4,
            AccessMode::ReadWriteMany => 2,
            AccessMode::ReadWriteOncePod => 1,
        }
    })
}

fn lacks(volume: &Volume, claim: &Claim) -> bool {
    bits(&claim.access_modes) & !bits(&volume.access_modes) != 0
}

fn wrong(volume: &Volume, claim: &Claim) -> Option<Mismatch> {
    if volume.deleting {
        return Some(Mismatch::Deleting);
    }
    if volume.capacity < claim.request {
        return Some(Mismatch::TooSmall);
    }
    if volume.class != class_of(claim) {
        return Some(Mismatch::Class);
    }
    if volume.volume_mode != claim.volume_mode {
        return Some(Mismatch::VolumeMode);
    }
    if lacks(volume, claim) { Some(Mismatch::AccessModes) } else { None }
}

fn bind(volume: &Volume, claim: &Claim) -> Vec<Action> {
    let name = volume.name.clone();
    let mine = ClaimRef { name: claim.name.clone(), uid: Some(claim.uid.clone()) };
    let by_person = !volume.bound_by_controller && is_kept(volume, claim);
    let by_wish = !claim.bound_by_controller && claim.volume_name == Some(name.clone());
    let mut writes = vec![Action::WriteClaimPhase { phase: ClaimPhase::Bound }];
    writes.push(Action::WriteVolumeName { volume: name.clone(), bound_by_controller: !by_wish });
    writes.push(Action::WriteVolumePhase { volume: name.clone(), phase: VolumePhase::Bound });
    writes.push(Action::WriteClaimRef { volume: name, claim_ref: Some(mine), bound_by_controller: !by_person });
    writes.into_iter().rev().collect()
}

impl ClaimBinding for Exercise {
    fn find(&self, claim: &Claim, volumes: &[Volume], waits: bool) -> Option<String> {
        let mut sets: Vec<u8> = (0..16).collect();
        sets.sort_by_key(|set| (set.count_ones(), u8::MAX - set));
        for set in sets {
            let mut smallest: Option<&Volume> = None;
            let group = volumes.iter().filter(|volume| bits(&volume.access_modes) == set);
            for volume in group {
                let problem = wrong(volume, claim);
                let mine = is_kept(volume, claim);
                let only_class = problem == Some(Mismatch::Class)
                    && volume.volume_mode == claim.volume_mode
                    && !lacks(volume, claim);
                if mine && (problem.is_none() || only_class) {
                    return Some(volume.name.clone());
                }
                if waits || problem.is_some() || volume.claim_ref.is_some() || volume.phase != VolumePhase::Available {
                    continue;
                }
                if let Some(selector) = &claim.selector
                    && !selector::matches(selector, Some(&volume.labels))
                {
                    continue;
                }
                if smallest.is_none_or(|smallest| volume.capacity < smallest.capacity) {
                    smallest = Some(volume);
                }
            }
            if let Some(volume) = smallest {
                return Some(volume.name.clone());
            }
        }
        None
    }

    fn sync_claim(&self, claim: &Claim, cluster: &Cluster) -> Vec<Action> {
        let by_name = |name: &str| cluster.volumes.iter().find(|volume| volume.name == name);
        let class = cluster.classes.iter().find(|class| class.name == class_of(claim));
        let waits = class.is_some_and(|class| class.waits);
        let found = if claim.volume_name.is_none() && !claim.bind_completed {
            self.find(claim, &cluster.volumes, waits)
        } else {
            None
        };
        let named = claim.volume_name.as_deref().and_then(by_name);
        let case = Case { claim, cluster, named, class, found: found.as_deref().and_then(by_name) };
        RULES.iter().find_map(|rule| rule(&case)).unwrap_or_default()
    }

    fn sync_volume(&self, volume: &Volume, claim: Option<&Claim>) -> Vec<Action> {
        let name = volume.name.clone();
        let write = |phase| Action::WriteVolumePhase { volume: name.clone(), phase };
        let reference = match &volume.claim_ref {
            Some(reference) if reference.uid.is_some() => reference,
            _ => return vec![write(VolumePhase::Available)],
        };
        if let Some(claim) = claim
            && Some(&claim.uid) == reference.uid.as_ref()
        {
            let Some(other) = &claim.volume_name else {
                let possible = claim.volume_mode == volume.volume_mode;
                return vec![if possible { Action::LookAtClaim } else { Action::Tell(Event::ModeMismatch) }];
            };
            if *other == name {
                return vec![write(VolumePhase::Bound)];
            }
            if !(volume.policy == ReclaimPolicy::Delete && volume.provisioned_by.is_some()) {
                let left = ClaimRef { name: reference.name.clone(), uid: None };
                let claim_ref = (!volume.bound_by_controller).then_some(left);
                return vec![
                    Action::WriteClaimRef { volume: name.clone(), claim_ref, bound_by_controller: false },
                    write(VolumePhase::Available),
                ];
            }
        }
        let mut actions = Vec::new();
        if volume.phase != VolumePhase::Released && volume.phase != VolumePhase::Failed {
            actions.push(write(VolumePhase::Released));
        }
        let by_driver = match &volume.provisioned_by {
            _ if volume.csi => true,
            Some(by) => !by.starts_with("kubernetes.io/"),
            None => false,
        };
        if volume.policy == ReclaimPolicy::Recycle {
            actions.push(Action::RecycleVolume { volume: name.clone() });
        } else if volume.policy == ReclaimPolicy::Delete && !by_driver {
            actions.push(Action::DeleteVolume { volume: name.clone() });
        }
        actions
    }
}

kit::exercise!(Exercise: ClaimBinding);
