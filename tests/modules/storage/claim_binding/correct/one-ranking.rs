//! Passes: it gives each volume that would do a rank and takes the best, without going through groups.

use kit::api::selector;
use kit::storage::ClaimBinding;
use kit::storage::claim_binding::{
    Action, Claim, ClaimPhase, ClaimRef, Cluster, Event, Mismatch, ReclaimPolicy, Volume, VolumePhase,
};

#[derive(Default)]
struct Exercise;

/// What a volume is to a claim.
#[derive(PartialEq)]
enum Relation {
    Kept,
    Free,
    Foreign,
}

fn relation(volume: &Volume, claim: &Claim) -> Relation {
    match &volume.claim_ref {
        None => Relation::Free,
        Some(ClaimRef { name, uid }) if *name == claim.name && uid.as_ref().unwrap_or(&claim.uid) == &claim.uid => {
            Relation::Kept
        }
        Some(_) => Relation::Foreign,
    }
}

fn class(claim: &Claim) -> &str {
    claim.class.as_deref().unwrap_or("")
}

fn problems(volume: &Volume, claim: &Claim) -> Vec<Mismatch> {
    let mut all = Vec::new();
    if volume.deleting {
        all.push(Mismatch::Deleting);
    }
    if claim.request > volume.capacity {
        all.push(Mismatch::TooSmall);
    }
    if volume.class != class(claim) {
        all.push(Mismatch::Class);
    }
    if volume.volume_mode != claim.volume_mode {
        all.push(Mismatch::VolumeMode);
    }
    if claim.access_modes.iter().any(|mode| !volume.access_modes.contains(mode)) {
        all.push(Mismatch::AccessModes);
    }
    all
}

impl ClaimBinding for Exercise {
    fn find(&self, claim: &Claim, volumes: &[Volume], waits: bool) -> Option<String> {
        let rank = |volume: &Volume| {
            let relation = relation(volume, claim);
            let problems = problems(volume, claim);
            let mut modes = volume.access_modes.clone();
            modes.sort();
            modes.dedup();
            let within = match relation {
                Relation::Kept if problems.iter().all(|problem| *problem == Mismatch::Class) => None,
                Relation::Free if problems.is_empty() && !waits && volume.phase == VolumePhase::Available => {
                    let wanted = claim.selector.as_ref();
                    if !wanted.is_none_or(|wanted| selector::matches(wanted, Some(&volume.labels))) {
                        return None;
                    }
                    Some(volume.capacity.clone())
                }
                _ => return None,
            };
            Some((modes.len(), modes, within))
        };
        let mut best = None;
        for volume in volumes {
            let Some(rank) = rank(volume) else { continue };
            if best.as_ref().is_none_or(|(least, _)| rank < *least) {
                best = Some((rank, &volume.name));
            }
        }
        best.map(|(_, name)| name.clone())
    }

    fn sync_claim(&self, claim: &Claim, cluster: &Cluster) -> Vec<Action> {
        let get = |name: &String| cluster.volumes.iter().find(|volume| volume.name == *name);
        let volume = claim.volume_name.as_ref().and_then(get);
        if claim.bind_completed {
            let event = match (&claim.volume_name, volume) {
                (None, _) => Event::LostName,
                (_, None) => Event::LostVolume,
                (_, Some(volume)) => {
                    let uid = volume.claim_ref.as_ref().map(|reference| reference.uid.clone());
                    if uid.is_none_or(|uid| uid == Some(claim.uid.clone())) {
                        return bind(volume, claim);
                    }
                    Event::Misbound
                }
            };
            if claim.phase == ClaimPhase::Lost {
                return vec![];
            }
            return vec![Action::Tell(event), Action::WriteClaimPhase { phase: ClaimPhase::Lost }];
        }
        let pending = Action::WriteClaimPhase { phase: ClaimPhase::Pending };
        if claim.volume_name.is_some() {
            let Some(volume) = volume else { return vec![pending] };
            return match relation(volume, claim) {
                Relation::Kept => bind(volume, claim),
                Relation::Foreign if claim.bound_by_controller => vec![Action::Tell(Event::Taken)],
                Relation::Foreign => vec![Action::Tell(Event::Taken), pending],
                Relation::Free => match problems(volume, claim).first() {
                    None => bind(volume, claim),
                    Some(first) => vec![pending, Action::Tell(Event::VolumeMismatch(*first))],
                },
            };
        }
        let of = cluster.classes.iter().find(|there| there.name == class(claim));
        let waits = of.is_some_and(|of| of.waits);
        if let Some(found) = self.find(claim, &cluster.volumes, waits).as_ref().and_then(get) {
            return bind(found, claim);
        }
        if claim.class.is_none() {
            let mut defaults: Vec<_> = cluster.classes.iter().filter(|class| class.is_default).collect();
            defaults.sort_by(|one, other| {
                other.created_seconds.cmp(&one.created_seconds).then_with(|| one.name.cmp(&other.name))
            });
            if let Some(first) = defaults.first() {
                return vec![Action::WriteClass { class: first.name.clone() }];
            }
        }
        if waits && claim.selected_node.is_none() {
            let nobody = cluster.waiting_pods.is_empty();
            let event = if nobody { Event::WaitForFirstConsumer } else { Event::WaitForPodScheduled };
            return vec![Action::Tell(event), pending];
        }
        if class(claim).is_empty() {
            return vec![Action::Tell(Event::NoVolume), pending];
        }
        let Some(of) = of else { return vec![Action::Tell(Event::NoClass)] };
        if of.provisioner.split_once('/').is_some_and(|(domain, _)| domain == "kubernetes.io") {
            return vec![Action::Tell(Event::NoProvisioner)];
        }
        let provisioner = of.provisioner.clone();
        vec![Action::Tell(Event::ExternalProvisioning), Action::WriteProvisioner { provisioner }]
    }

    fn sync_volume(&self, volume: &Volume, claim: Option<&Claim>) -> Vec<Action> {
        let name = volume.name.clone();
        let phase = |phase| Action::WriteVolumePhase { volume: name.clone(), phase };
        let Some(ClaimRef { name: of, uid: Some(uid) }) = &volume.claim_ref else {
            return vec![phase(VolumePhase::Available)];
        };
        let claim = claim.filter(|claim| claim.uid == *uid);
        let named = claim.and_then(|claim| claim.volume_name.as_ref());
        match (claim, named) {
            (Some(_), Some(named)) if *named == volume.name => vec![phase(VolumePhase::Bound)],
            (Some(claim), None) if claim.volume_mode != volume.volume_mode => vec![Action::Tell(Event::ModeMismatch)],
            (Some(_), None) => vec![Action::LookAtClaim],
            (Some(_), Some(_)) if volume.provisioned_by.is_none() || volume.policy != ReclaimPolicy::Delete => {
                let kept = ClaimRef { name: of.clone(), uid: None };
                let claim_ref = if volume.bound_by_controller { None } else { Some(kept) };
                let write = Action::WriteClaimRef { volume: name.clone(), claim_ref, bound_by_controller: false };
                vec![write, phase(VolumePhase::Available)]
            }
            _ => {
                let mut actions = vec![phase(VolumePhase::Released)];
                if [VolumePhase::Released, VolumePhase::Failed].contains(&volume.phase) {
                    actions.clear();
                }
                let made = volume.provisioned_by.as_deref().unwrap_or("kubernetes.io/");
                match volume.policy {
                    ReclaimPolicy::Delete if !volume.csi && made.starts_with("kubernetes.io/") => {
                        actions.push(Action::DeleteVolume { volume: name.clone() });
                    }
                    ReclaimPolicy::Recycle => actions.push(Action::RecycleVolume { volume: name.clone() }),
                    _ => {}
                }
                actions
            }
        }
    }
}

fn bind(volume: &Volume, claim: &Claim) -> Vec<Action> {
    let person = relation(volume, claim) == Relation::Kept && !volume.bound_by_controller;
    let wished = claim.volume_name.as_deref() == Some(&volume.name) && !claim.bound_by_controller;
    let claim_ref = ClaimRef { name: claim.name.clone(), uid: Some(claim.uid.clone()) };
    let name = || volume.name.clone();
    vec![
        Action::WriteClaimRef { volume: name(), claim_ref: Some(claim_ref), bound_by_controller: !person },
        Action::WriteVolumePhase { volume: name(), phase: VolumePhase::Bound },
        Action::WriteVolumeName { volume: name(), bound_by_controller: !wished },
        Action::WriteClaimPhase { phase: ClaimPhase::Bound },
    ]
}

kit::exercise!(Exercise: ClaimBinding);
