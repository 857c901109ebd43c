//! Passes: works out what each set loses from the sums over those before it, and shares out by recursion.

use kit::api::int_or_percent::{Round, scaled};
use kit::workloads::DeploymentController;
use kit::workloads::rolling_update::{
    Action, Fenceposts, ReplicaSetView, RollingUpdate, Strategy, SyncRequest, SyncResult,
};

#[derive(Default)]
struct Exercise;

type Sizes<'a> = Vec<(&'a ReplicaSetView, i32)>;

impl DeploymentController for Exercise {
    fn fenceposts(&self, update: &RollingUpdate, replicas: i32) -> Fenceposts {
        let round = |amount, direction| scaled(amount, replicas, direction).unwrap_or_default();
        let surge = round(&update.max_surge, Round::Up);
        let least = i32::from(surge == 0);
        let unavailable = round(&update.max_unavailable, Round::Down).max(least).min(replicas);
        Fenceposts { surge, unavailable }
    }

    fn sync(&self, request: &SyncRequest) -> SyncResult {
        let posts = match &request.strategy {
            Strategy::RollingUpdate(update) => Some(self.fenceposts(update, request.replicas)),
            Strategy::Recreate => None,
        };
        let of_another_number = |set: &&ReplicaSetView| {
            matches!(set.desired_replicas, Some(desired) if desired != request.replicas)
        };
        let frozen = request.paused || active(request).iter().any(of_another_number);
        let (created, sizes) = match posts {
            posts if frozen => (None, resized(request, posts)),
            Some(posts) => rolled(request, posts),
            None => recreated(request),
        };
        // The old ones first: in which order sets are written doesn't matter.
        let changed = sizes.into_iter().filter(|(set, size)| set.replicas != *size).rev();
        let mut actions: Vec<Action> =
            changed.map(|(set, replicas)| Action::Scale { name: set.name.clone(), replicas }).collect();
        actions.extend(created.map(|replicas| Action::CreateNew { replicas }));
        SyncResult { actions }
    }
}

fn active(request: &SyncRequest) -> Vec<&ReplicaSetView> {
    request.replica_sets.iter().filter(|set| set.replicas > 0).collect()
}

fn old(request: &SyncRequest) -> Vec<&ReplicaSetView> {
    active(request).into_iter().filter(|set| !set.new).collect()
}

fn new(request: &SyncRequest) -> Option<&ReplicaSetView> {
    request.replica_sets.iter().rfind(|set| set.new)
}

/// Takes `whole` from the front of some amounts: what is taken from each of them.
fn taken(amounts: &[i32], whole: i32) -> Vec<i32> {
    let mut before = 0;
    let mut each = Vec::with_capacity(amounts.len());
    for amount in amounts {
        each.push((whole - before).clamp(0, *amount));
        before += amount;
    }
    each
}

fn rolled<'a>(request: &'a SyncRequest, posts: Fenceposts) -> (Option<i32>, Sizes<'a>) {
    let replicas = request.replicas;
    let all: i32 = request.replica_sets.iter().map(|set| set.replicas).sum();
    let (size, serving) = new(request).map_or((0, 0), |new| (new.replicas, new.available));
    let room = 0.max(replicas + posts.surge - all);
    let target = replicas.min(size + room);
    let created = match new(request) {
        Some(new) if target != size => return (None, vec![(new, target)]),
        Some(_) => None,
        None => Some(target),
    };

    let old = old(request);
    let needed = replicas - posts.unavailable;
    let may_go = all + created.unwrap_or(0) - needed - (target - serving);
    if may_go <= 0 {
        return (created, Vec::new());
    }
    // Up to the first set whose status is behind.
    let broken: Vec<i32> = old.iter().map(|set| set.replicas - set.available).take_while(|broken| *broken >= 0).collect();
    let stuck = broken.len() < old.len() && broken.iter().sum::<i32>() < may_go;
    let mut unhealthy = taken(&broken, may_go);
    unhealthy.resize(old.len(), 0);
    let left: Vec<i32> = old.iter().zip(&unhealthy).map(|(set, lost)| set.replicas - lost).collect();
    let spare = serving + old.iter().map(|set| set.available).sum::<i32>() - needed;
    let healthy = taken(&left, if stuck { 0 } else { spare });
    let sizes = left.iter().zip(healthy).map(|(left, lost)| left - lost);
    (created, old.into_iter().zip(sizes).collect())
}

fn recreated(request: &SyncRequest) -> (Option<i32>, Sizes<'_>) {
    let old = old(request);
    match new(request) {
        _ if !old.is_empty() => (None, old.into_iter().map(|set| (set, 0)).collect()),
        _ if request.old_pods_running => (None, Vec::new()),
        Some(new) => (None, vec![(new, request.replicas)]),
        None => (Some(request.replicas), Vec::new()),
    }
}

fn resized(request: &SyncRequest, posts: Option<Fenceposts>) -> Sizes<'_> {
    let replicas = request.replicas;
    let mut sets = active(request);
    if let [] | [_] = sets[..] {
        let youngest = request.replica_sets.last();
        return sets.pop().or_else(|| new(request)).or(youngest).map(|set| (set, replicas)).into_iter().collect();
    }
    if let Some(ReplicaSetView { replicas: size, available, desired_replicas: Some(desired), .. }) = new(request)
        && [*size, *available, *desired].iter().all(|number| *number == replicas)
    {
        return old(request).into_iter().map(|set| (set, 0)).collect();
    }
    let Some(posts) = posts else { return Vec::new() };
    let most = if replicas == 0 { 0 } else { replicas + posts.surge };
    let missing = most - sets.iter().map(|set| set.replicas).sum::<i32>();
    let mut ranked: Vec<(i32, usize, &ReplicaSetView)> = Vec::new();
    for (age, set) in sets.into_iter().enumerate() {
        ranked.push((set.replicas, age, set));
    }
    // The greatest come last in both orders, and then all is turned around.
    ranked.sort_by_key(|(size, age, _)| (*size, if missing > 0 { *age as i32 } else { -(*age as i32) }));
    let ranked: Vec<&ReplicaSetView> = ranked.into_iter().rev().map(|(_, _, set)| set).collect();
    let (mut shares, rest) = shared(&ranked, most, missing > 0, missing);
    let first = &mut shares[0];
    *first = (*first + rest).max(-ranked[0].replicas);
    ranked.into_iter().zip(shares).map(|(set, share)| (set, set.replicas + share)).collect()
}

/// What each of the sets gains or loses, and what is left in the end.
fn shared(sets: &[&ReplicaSetView], most: i32, growing: bool, left: i32) -> (Vec<i32>, i32) {
    let Some((set, others)) = sets.split_first() else { return (Vec::new(), left) };
    let (size, before) = (i64::from(set.replicas), i64::from(set.max_replicas));
    let goal = match (most, before) {
        (0, _) => 0,
        (_, 0) => size,
        _ => {
            let product = size * i64::from(most);
            product / before + i64::from(product % before * 2 >= before)
        }
    };
    let share = (goal - size) as i32;
    let share = match left {
        0 => 0,
        _ if growing => share.min(left),
        _ => share.max(left),
    };
    let (mut shares, rest) = shared(others, most, growing, left - share);
    shares.insert(0, share);
    (shares, rest)
}

kit::exercise!(Exercise: DeploymentController);
