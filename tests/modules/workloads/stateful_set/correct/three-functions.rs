//! Passes: one function for each part, which answers whether the next one may follow; pods are sorted once and cut in two.

use kit::workloads::StatefulSetController;
use kit::workloads::stateful_set::{
    Action, ClaimOwner, Keep, MAX_CREATES, PodManagementPolicy, PodState, PodView, Retention, SetView, SyncRequest,
    SyncResult, UpdateStrategy,
};
use std::collections::HashMap;

#[derive(Default)]
struct Exercise;

impl StatefulSetController for Exercise {
    fn claim_owner(&self, retention: &Retention, condemned: bool) -> ClaimOwner {
        if condemned && retention.when_scaled == Keep::Delete {
            return ClaimOwner::Pod;
        }
        if retention.when_deleted == Keep::Delete { ClaimOwner::StatefulSet } else { ClaimOwner::Nobody }
    }

    fn sync(&self, request: &SyncRequest) -> SyncResult {
        let mut actions = Vec::new();
        let set = &request.set;
        if set.deleting {
            return SyncResult { actions };
        }
        let is_wanted = |pod: &&PodView| (0..i64::from(set.replicas)).contains(&index(set, pod.ordinal));
        let (mut wanted, mut others): (Vec<&PodView>, Vec<&PodView>) = request.pods.iter().partition(is_wanted);
        wanted.sort_by_key(|pod| pod.ordinal);
        others.sort_by_key(|pod| pod.ordinal);
        if !one_by_one(request, &wanted, &mut actions) {
            return SyncResult { actions };
        }
        if !fewer(set, &others, &mut actions) {
            return SyncResult { actions };
        }
        newer(set, &wanted, &mut actions);
        SyncResult { actions }
    }
}

/// The place of an ordinal among those of the set.
fn index(set: &SetView, ordinal: i32) -> i64 {
    i64::from(ordinal) - i64::from(set.start)
}

fn one_by_one(request: &SyncRequest, wanted: &[&PodView], actions: &mut Vec<Action>) -> bool {
    let set = &request.set;
    let in_order = set.policy == PodManagementPolicy::OrderedReady;
    let claims: HashMap<&str, (bool, bool)> =
        (request.claims.iter()).map(|claim| (claim.name.as_str(), (claim.terminating, claim.of_earlier_pod))).collect();
    let names = |ordinal: i32| -> Vec<String> {
        set.claim_templates.iter().map(|template| format!("{template}-{}-{ordinal}", set.name)).collect()
    };
    let to_make = |ordinal: i32| -> Vec<Action> {
        let all = names(ordinal).into_iter();
        let missing = all.filter(|name| !claims.get(name.as_str()).is_some_and(|(terminating, _)| !terminating));
        missing.map(|name| Action::CreateClaim { name }).collect()
    };
    let mut made = 0;
    let mut rest = wanted.iter().peekable();
    let mut ordinal = set.start;
    while index(set, ordinal) < i64::from(set.replicas) {
        let holds = match rest.next_if(|pod| pod.ordinal == ordinal) {
            None => {
                let stale = names(ordinal).iter().any(|name| claims.get(name.as_str()).is_some_and(|claim| claim.1));
                if !(stale && set.retention.when_scaled == Keep::Delete) {
                    actions.extend(to_make(ordinal));
                    let keeps = match set.update {
                        UpdateStrategy::OnDelete => false,
                        UpdateStrategy::RollingUpdate { partition, .. } => index(set, ordinal) < i64::from(partition),
                    };
                    let revision = if keeps { set.current_revision.clone() } else { set.update_revision.clone() };
                    actions.push(Action::CreatePod { ordinal, revision });
                    made += 1;
                }
                if made == MAX_CREATES {
                    return false;
                }
                true
            }
            Some(pod) if matches!(pod.state, PodState::Failed | PodState::Succeeded) => {
                if !pod.terminating {
                    actions.push(Action::DeletePod { ordinal });
                }
                true
            }
            Some(pod) => {
                if pod.state == PodState::Pending {
                    actions.extend(to_make(ordinal));
                }
                let waits = pod.terminating || pod.state != PodState::Available;
                if pod.drifted && !(waits && in_order) {
                    actions.push(Action::UpdatePod { ordinal });
                }
                waits
            }
        };
        if holds && in_order {
            return false;
        }
        ordinal += 1;
    }
    true
}

fn fewer(set: &SetView, others: &[&PodView], actions: &mut Vec<Action>) -> bool {
    for pod in others {
        if pod.drifted {
            actions.push(Action::UpdatePod { ordinal: pod.ordinal });
        }
    }
    if set.policy == PodManagementPolicy::Parallel {
        let going = others.iter().filter(|pod| !pod.terminating);
        actions.extend(going.map(|pod| Action::DeletePod { ordinal: pod.ordinal }));
        return true;
    }
    let Some((last, before)) = others.split_last() else { return true };
    let others_are_well = before.iter().all(|pod| is_well(pod));
    let may_go = match last.state {
        PodState::Available => true,
        // A healthy one that is young isn't the sick one that all wait for.
        PodState::Ready => false,
        _ => others_are_well,
    };
    if may_go && !last.terminating {
        actions.push(Action::DeletePod { ordinal: last.ordinal });
    }
    false
}

fn newer(set: &SetView, wanted: &[&PodView], actions: &mut Vec<Action>) {
    let (partition, most) = match set.update {
        UpdateStrategy::OnDelete => return,
        UpdateStrategy::RollingUpdate { partition, max_unavailable } => (i64::from(partition), max_unavailable),
    };
    let well = wanted.iter().filter(|pod| is_well(pod)).count();
    let sick = i64::from(set.replicas) - well as i64;
    let mut room = most.map_or(1, |most| (i64::from(most) - sick).max(0));
    let mut expected = i64::from(set.replicas) - 1;
    for pod in wanted.iter().rev() {
        let place = index(set, pod.ordinal);
        let there_is_a_gap = place < expected && most.is_none();
        if place < partition || room == 0 || there_is_a_gap {
            return;
        }
        if pod.revision != set.update_revision && !pod.terminating {
            actions.push(Action::DeletePod { ordinal: pod.ordinal });
            room -= 1;
        } else if most.is_none() && !is_well(pod) {
            return;
        }
        expected = place - 1;
    }
}

fn is_well(pod: &PodView) -> bool {
    match pod.state {
        PodState::Ready | PodState::Available => !pod.terminating,
        PodState::Pending | PodState::NotReady | PodState::Succeeded | PodState::Failed => false,
    }
}

kit::exercise!(Exercise: StatefulSetController);
