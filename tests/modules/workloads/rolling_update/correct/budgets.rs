//! Passes: hands a budget of pods from set to set, with folds instead of loops, and reports a set twice if it is met twice.

use kit::api::int_or_percent::{Round, scaled};
use kit::workloads::DeploymentController;
use kit::workloads::rolling_update::{
    Action, Fenceposts, ReplicaSetView, RollingUpdate, Strategy, SyncRequest, SyncResult,
};
use std::cmp::Reverse;
use std::collections::HashMap;

#[derive(Default)]
struct Exercise;

impl DeploymentController for Exercise {
    fn fenceposts(&self, update: &RollingUpdate, replicas: i32) -> Fenceposts {
        let surge = scaled(&update.max_surge, replicas, Round::Up).unwrap_or(0);
        let unavailable = scaled(&update.max_unavailable, replicas, Round::Down).unwrap_or(0);
        match (surge, unavailable) {
            (0, 0) => Fenceposts { surge: 0, unavailable: 1.min(replicas) },
            _ => Fenceposts { surge, unavailable: unavailable.min(replicas) },
        }
    }

    fn sync(&self, request: &SyncRequest) -> SyncResult {
        let (new, old): (Vec<_>, Vec<_>) = request.replica_sets.iter().partition(|set| set.new);
        let new = new.first().copied();
        let old: Vec<_> = old.into_iter().filter(|set| set.replicas > 0).collect();
        let replicas = request.replicas;
        let sized_for_others = request
            .replica_sets
            .iter()
            .filter(|set| set.replicas > 0)
            .filter_map(|set| set.desired_replicas)
            .any(|desired| desired != replicas);
        let actions = match &request.strategy {
            _ if request.paused || sized_for_others => self.scaled(request, new, &old),
            Strategy::Recreate if !old.is_empty() => old.iter().map(|set| to(set, 0)).collect(),
            Strategy::Recreate if request.old_pods_running => Vec::new(),
            Strategy::Recreate => match new {
                None => vec![Action::CreateNew { replicas }],
                Some(new) if new.replicas == replicas => Vec::new(),
                Some(new) => vec![to(new, replicas)],
            },
            Strategy::RollingUpdate(update) => rolled(self.fenceposts(update, replicas), replicas, new, &old),
        };
        SyncResult { actions }
    }
}

fn to(set: &ReplicaSetView, replicas: i32) -> Action {
    Action::Scale { name: set.name.clone(), replicas }
}

fn rolled(posts: Fenceposts, replicas: i32, new: Option<&ReplicaSetView>, old: &[&ReplicaSetView]) -> Vec<Action> {
    let old_size: i32 = old.iter().map(|set| set.replicas).sum();
    let size = new.map_or(0, |new| new.replicas);
    let room = (replicas + posts.surge - old_size - size).max(0);
    let target = if size > replicas { replicas } else { replicas.min(size + room) };
    let mut actions = match new {
        Some(new) if new.replicas != target => return vec![to(new, target)],
        Some(_) => Vec::new(),
        None => vec![Action::CreateNew { replicas: target }],
    };

    let available = new.map_or(0, |new| new.available);
    let needed = replicas - posts.unavailable;
    let budget = old_size + target - needed - (target - available);
    if budget <= 0 {
        return actions;
    }
    let mut lost = HashMap::new();
    let cleaned = old.iter().try_fold(budget, |budget, set| match set.replicas - set.available {
        _ if budget == 0 => Some(0),
        broken if broken < 0 => None,
        broken => {
            let gone = broken.min(budget);
            lost.insert(&set.name, gone);
            if gone > 0 {
                actions.push(to(set, set.replicas - gone));
            }
            Some(budget - gone)
        }
    });
    if cleaned.is_some() {
        let spare = available + old.iter().map(|set| set.available).sum::<i32>() - needed;
        old.iter().fold(spare.max(0), |spare, set| {
            let rest = set.replicas - lost.get(&set.name).copied().unwrap_or(0);
            let gone = spare.min(rest);
            if gone > 0 {
                actions.push(to(set, rest - gone));
            }
            spare - gone
        });
    }
    actions
}

impl Exercise {
    fn scaled(&self, request: &SyncRequest, new: Option<&ReplicaSetView>, old: &[&ReplicaSetView]) -> Vec<Action> {
        let replicas = request.replicas;
        let changed = |set: &ReplicaSetView, size: i32| (size != set.replicas).then(|| to(set, size));
        let mut active: Vec<(usize, &ReplicaSetView)> =
            request.replica_sets.iter().enumerate().filter(|(_, set)| set.replicas != 0).collect();
        match active[..] {
            [] => {
                return new.or(request.replica_sets.last()).and_then(|set| changed(set, replicas)).into_iter().collect();
            }
            [(_, only)] => return changed(only, replicas).into_iter().collect(),
            _ => {}
        }
        let full = |new: &ReplicaSetView| {
            new.replicas == replicas && new.available == replicas && new.desired_replicas == Some(replicas)
        };
        if new.is_some_and(full) {
            return old.iter().map(|set| to(set, 0)).collect();
        }
        let most = match &request.strategy {
            Strategy::Recreate => return Vec::new(),
            Strategy::RollingUpdate(_) if replicas == 0 => 0,
            Strategy::RollingUpdate(update) => replicas + self.fenceposts(update, replicas).surge,
        };
        let missing = most - active.iter().map(|(_, set)| set.replicas).sum::<i32>();
        match missing {
            1.. => active.sort_by_key(|(age, set)| (Reverse(set.replicas), Reverse(*age))),
            _ => active.sort_by_key(|(age, set)| (Reverse(set.replicas), *age)),
        }
        let (mut sizes, left) = active.iter().fold((Vec::new(), missing), |(mut sizes, left), (_, set)| {
            let ideal = match set.max_replicas {
                _ if most == 0 => 0.0,
                0 => f64::from(set.replicas),
                before => f64::from(set.replicas) * f64::from(most) / f64::from(before),
            };
            let share = ideal.round() as i32 - set.replicas;
            let share = if missing >= 0 { share.min(left) } else { share.max(left) };
            let share = if left == 0 { 0 } else { share };
            sizes.push(set.replicas + share);
            (sizes, left - share)
        });
        if let Some(first) = sizes.first_mut() {
            *first = 0.max(*first + left);
        }
        active.iter().zip(sizes).filter_map(|((_, set), size)| changed(set, size)).collect()
    }
}

kit::exercise!(Exercise: DeploymentController);
