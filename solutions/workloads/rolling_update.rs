//! The reference for `workloads/rolling_update`: scale, or take the next step of a rollout.

use kit::api::int_or_percent::{Round, scaled};
use kit::workloads::DeploymentController;
use kit::workloads::rolling_update::{
    Action, Fenceposts, ReplicaSetView, RollingUpdate, Strategy, SyncRequest, SyncResult,
};
use std::cmp::Reverse;

// ANCHOR: solution
/// The controller remembers nothing: all that it knows is in the request.
#[derive(Default)]
pub struct Exercise;

impl DeploymentController for Exercise {
    fn fenceposts(&self, update: &RollingUpdate, replicas: i32) -> Fenceposts {
        let Fenceposts { surge, unavailable } = resolve(update, replicas).unwrap_or_default();
        Fenceposts { surge, unavailable: unavailable.min(replicas) }
    }

    fn sync(&self, request: &SyncRequest) -> SyncResult {
        let resized = |set: &ReplicaSetView| set.desired_replicas.is_some_and(|desired| desired != request.replicas);
        let scaled = request.paused || active(&request.replica_sets).any(resized);
        let actions = match &request.strategy {
            _ if scaled => self.scale(request),
            Strategy::RollingUpdate(update) => roll(request, self.fenceposts(update, request.replicas)),
            Strategy::Recreate => recreate(request),
        };
        SyncResult { actions }
    }
}

/// Both fenceposts, before the cap (`ResolveFenceposts`).
///
/// # Errors
///
/// A text that is no percentage, which the API server lets nobody write.
pub fn resolve(update: &RollingUpdate, replicas: i32) -> Result<Fenceposts, String> {
    let surge = scaled(&update.max_surge, replicas, Round::Up)?;
    let unavailable = scaled(&update.max_unavailable, replicas, Round::Down)?;
    Ok(Fenceposts { surge, unavailable: if surge == 0 && unavailable == 0 { 1 } else { unavailable } })
}

fn active(sets: &[ReplicaSetView]) -> impl Iterator<Item = &ReplicaSetView> {
    sets.iter().filter(|set| set.replicas != 0)
}

fn sizes<'a>(sets: impl IntoIterator<Item = &'a ReplicaSetView>) -> i32 {
    sets.into_iter().map(|set| set.replicas).sum()
}

fn scale_to(set: &ReplicaSetView, replicas: i32) -> Option<Action> {
    (set.replicas != replicas).then(|| Action::Scale { name: set.name.clone(), replicas })
}

// ANCHOR: roll
/// The next step of a rolling update: the new set up, or else the old ones down.
fn roll(request: &SyncRequest, posts: Fenceposts) -> Vec<Action> {
    let SyncRequest { replicas, replica_sets, .. } = request;
    let mut actions = Vec::new();
    let mut total = sizes(replica_sets);
    let new = replica_sets.iter().find(|set| set.new);
    let size = new_size(*replicas, posts.surge, new.map_or(0, |new| new.replicas), total);
    match new {
        None => {
            actions.push(Action::CreateNew { replicas: size });
            total += size;
        }
        Some(new) if new.replicas != size => return scale_to(new, size).into_iter().collect(),
        Some(_) => {}
    }

    let new_available = new.map_or(0, |new| new.available);
    let min_available = replicas - posts.unavailable;
    let old = active(replica_sets).filter(|set| !set.new).cloned();
    actions.extend(scale_down(
        old.collect(),
        total - min_available - (size - new_available),
        new_available - min_available,
    ));
    actions
}

/// The size of the new set, where the sizes of all sets come to `total`.
fn new_size(replicas: i32, surge: i32, new: i32, total: i32) -> i32 {
    if new > replicas { replicas } else { grown(replicas, surge, new, total) }
}

/// What a set of the size `new` grows to (`NewRSNewReplicas`).
pub fn grown(replicas: i32, surge: i32, new: i32, total: i32) -> i32 {
    let room = replicas + surge - total;
    if room <= 0 { new } else { new + room.min(replicas - new) }
}

/// Takes at most `most` pods from the old sets: those that serve nobody, and then what is available beyond what has to
/// be. `spare` is how much of that the new set has, which is less than nothing at first.
fn scale_down(mut old: Vec<ReplicaSetView>, most: i32, mut spare: i32) -> Vec<Action> {
    let mut actions = Vec::new();
    if most <= 0 {
        return actions;
    }
    spare += old.iter().map(|set| set.available).sum::<i32>();
    let mut left = most;
    for set in &mut old {
        if left == 0 {
            break;
        }
        if set.available > set.replicas {
            return actions;
        }
        let lost = (set.replicas - set.available).min(left);
        left -= lost;
        actions.extend(scale_to(set, set.replicas - lost));
        set.replicas -= lost;
    }
    for set in &old {
        let lost = set.replicas.min(spare.max(0));
        spare -= lost;
        actions.extend(scale_to(set, set.replicas - lost));
    }
    actions
}
// ANCHOR_END: roll

// ANCHOR: recreate
/// The next step where all old pods have to be gone before a new one comes.
fn recreate(request: &SyncRequest) -> Vec<Action> {
    let SyncRequest { replicas, replica_sets, .. } = request;
    let old: Vec<Action> = active(replica_sets).filter(|set| !set.new).filter_map(|set| scale_to(set, 0)).collect();
    if !old.is_empty() || request.old_pods_running {
        return old;
    }
    match replica_sets.iter().find(|set| set.new) {
        None => vec![Action::CreateNew { replicas: *replicas }],
        Some(new) => scale_to(new, *replicas).into_iter().collect(),
    }
}
// ANCHOR_END: recreate

// ANCHOR: scale
impl Exercise {
    /// Another number of replicas, without taking the rollout forward or back.
    fn scale(&self, request: &SyncRequest) -> Vec<Action> {
        let SyncRequest { replicas, replica_sets, .. } = request;
        let mut active: Vec<_> = active(replica_sets).collect();
        let new = replica_sets.iter().find(|set| set.new);
        if active.len() <= 1 {
            let only = active.first().copied().or(new).or(replica_sets.last());
            return only.and_then(|set| scale_to(set, *replicas)).into_iter().collect();
        }
        if new.is_some_and(|new| is_saturated(new, *replicas)) {
            return active.iter().filter(|set| !set.new).filter_map(|set| scale_to(set, 0)).collect();
        }
        let Strategy::RollingUpdate(update) = &request.strategy else {
            return Vec::new();
        };
        let most = if *replicas > 0 { replicas + self.fenceposts(update, *replicas).surge } else { 0 };
        let missing = most - sizes(active.iter().copied());
        // The sets come oldest first, and sorting keeps the order of equals.
        if missing > 0 {
            active.reverse();
        }
        active.sort_by_key(|set| Reverse(set.replicas));
        let mut left = missing;
        let mut sizes: Vec<i32> = Vec::new();
        for set in &active {
            let share = share(set.replicas, set.max_replicas, most, missing, left);
            sizes.push(set.replicas + share);
            left -= share;
        }
        sizes[0] = (sizes[0] + left).max(0);
        active.iter().zip(sizes).filter_map(|(set, size)| scale_to(set, size)).collect()
    }
}

/// Whether both the Deployment and the set think that the set has all the pods (`IsSaturated`).
fn is_saturated(set: &ReplicaSetView, replicas: i32) -> bool {
    set.replicas == replicas && set.desired_replicas == Some(replicas) && set.available == replicas
}

/// What a set of the size `size` gains or loses (`GetProportion`), where all sets together had `most_before` pods when
/// it was last sized, may have `most` now, and `left` of the `missing` ones are still to be given out.
pub fn share(size: i32, most_before: i32, most: i32, missing: i32, left: i32) -> i32 {
    if size == 0 || missing == 0 || left == 0 {
        return 0;
    }
    let fraction = match (most, most_before) {
        (0, _) => -size,
        (_, 0) => 0,
        _ => (f64::from(size) * f64::from(most) / f64::from(most_before)).round() as i32 - size,
    };
    if missing > 0 { fraction.min(left) } else { fraction.max(left) }
}
// ANCHOR_END: scale
// ANCHOR_END: solution
