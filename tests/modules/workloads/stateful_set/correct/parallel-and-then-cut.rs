//! Passes: it plans as with Parallel, step by step, and with OrderedReady cuts the plan at the first step that holds up others.

use kit::workloads::StatefulSetController;
use kit::workloads::stateful_set::{
    Action, ClaimOwner, Keep, MAX_CREATES, PodManagementPolicy, PodState, PodView, Retention, SyncRequest, SyncResult,
    UpdateStrategy,
};

#[derive(Default)]
struct Exercise;

/// What is done for one pod, and whether those after it wait, in order or in any case.
struct Step {
    actions: Vec<Action>,
    holds: bool,
    ends: bool,
}

impl StatefulSetController for Exercise {
    fn claim_owner(&self, retention: &Retention, condemned: bool) -> ClaimOwner {
        match (retention.when_scaled, retention.when_deleted, condemned) {
            (Keep::Delete, _, true) => ClaimOwner::Pod,
            (_, Keep::Delete, _) => ClaimOwner::StatefulSet,
            (_, Keep::Retain, _) => ClaimOwner::Nobody,
        }
    }

    fn sync(&self, request: &SyncRequest) -> SyncResult {
        if request.set.deleting {
            return SyncResult::default();
        }
        let mut actions = Vec::new();
        let ordered = request.set.policy == PodManagementPolicy::OrderedReady;
        for step in steps(request) {
            actions.extend(step.actions);
            let created = actions.iter().filter(|action| matches!(action, Action::CreatePod { .. })).count();
            if step.ends || (ordered && step.holds) || created >= MAX_CREATES {
                break;
            }
        }
        SyncResult { actions }
    }
}

fn steps(request: &SyncRequest) -> Vec<Step> {
    let set = &request.set;
    let end = set.start + set.replicas;
    // No more than that are made, so no more gaps need be looked at, but for those that a claim of an earlier pod keeps empty.
    let last = request.pods.iter().map(|pod| pod.ordinal).max().unwrap_or(0).max(set.start);
    let far = end.min(last.saturating_add((MAX_CREATES + 1 + request.claims.len()) as i32));
    let mut steps: Vec<Step> = (set.start..far).map(|ordinal| wanted(request, ordinal)).collect();
    let mut condemned: Vec<&PodView> =
        request.pods.iter().filter(|pod| pod.ordinal < set.start || pod.ordinal >= end).collect();
    condemned.sort_by_key(|pod| -i64::from(pod.ordinal));
    let mended = condemned.iter().filter(|pod| pod.drifted).map(|pod| Action::UpdatePod { ordinal: pod.ordinal });
    steps.push(Step { actions: mended.collect(), holds: false, ends: false });
    let first_sick = condemned.iter().filter(|pod| !healthy(pod)).map(|pod| pod.ordinal).min();
    for pod in condemned {
        let patient = set.policy == PodManagementPolicy::OrderedReady
            && pod.state != PodState::Available
            && first_sick != Some(pod.ordinal);
        let delete = Action::DeletePod { ordinal: pod.ordinal };
        let actions = if pod.terminating || patient { vec![] } else { vec![delete] };
        steps.push(Step { actions, holds: true, ends: false });
    }
    steps.push(Step { actions: update(request), holds: true, ends: true });
    steps
}

fn find(request: &SyncRequest, ordinal: i32) -> Option<&PodView> {
    request.pods.iter().find(|pod| pod.ordinal == ordinal)
}

fn healthy(pod: &PodView) -> bool {
    !pod.terminating && [PodState::Ready, PodState::Available].contains(&pod.state)
}

fn missing_claims(request: &SyncRequest, ordinal: i32) -> Vec<Action> {
    let mut actions = Vec::new();
    for template in &request.set.claim_templates {
        let name = [template.as_str(), &request.set.name, &ordinal.to_string()].join("-");
        if !request.claims.iter().any(|claim| claim.name == name && !claim.terminating) {
            actions.push(Action::CreateClaim { name });
        }
    }
    actions
}

fn wanted(request: &SyncRequest, ordinal: i32) -> Step {
    let set = &request.set;
    let step = |actions, holds| Step { actions, holds, ends: false };
    let Some(pod) = find(request, ordinal) else {
        let stale = request.claims.iter().filter(|claim| claim.of_earlier_pod).any(|claim| {
            set.claim_templates.iter().any(|template| claim.name == format!("{template}-{}-{ordinal}", set.name))
        });
        if stale && set.retention.when_scaled == Keep::Delete {
            return step(vec![], true);
        }
        let mut actions = missing_claims(request, ordinal);
        let revision = match set.update {
            UpdateStrategy::RollingUpdate { partition, .. } if ordinal - set.start < partition => &set.current_revision,
            _ => &set.update_revision,
        };
        actions.push(Action::CreatePod { ordinal, revision: revision.clone() });
        return step(actions, true);
    };
    let delete = if pod.terminating { vec![] } else { vec![Action::DeletePod { ordinal }] };
    let update = if pod.drifted { vec![Action::UpdatePod { ordinal }] } else { vec![] };
    match pod.state {
        PodState::Failed | PodState::Succeeded => step(delete, true),
        PodState::Available if !pod.terminating => step(update, false),
        state => {
            let mut actions = if state == PodState::Pending { missing_claims(request, ordinal) } else { vec![] };
            // With Parallel it holds up nobody, and is mended at once.
            if set.policy == PodManagementPolicy::Parallel {
                actions.extend(update);
            }
            step(actions, true)
        }
    }
}

fn update(request: &SyncRequest) -> Vec<Action> {
    let set = &request.set;
    let UpdateStrategy::RollingUpdate { partition, max_unavailable } = set.update else { return vec![] };
    let old = |pod: &PodView| !pod.terminating && pod.revision != set.update_revision;
    let mut actions = Vec::new();
    if let Some(most) = max_unavailable {
        let well = request.pods.iter().filter(|pod| healthy(pod));
        let well = well.filter(|pod| pod.ordinal >= set.start && pod.ordinal < set.start + set.replicas).count();
        let mut left = i64::from(most) - (i64::from(set.replicas) - well as i64);
        for index in (partition..set.replicas).rev() {
            let Some(pod) = find(request, set.start + index).filter(|pod| old(pod)) else { continue };
            if left > 0 {
                actions.push(Action::DeletePod { ordinal: pod.ordinal });
                left -= 1;
            }
        }
        return actions;
    }
    for index in (partition..set.replicas).rev() {
        match find(request, set.start + index) {
            Some(pod) if old(pod) => {
                actions.push(Action::DeletePod { ordinal: pod.ordinal });
                break;
            }
            Some(pod) if healthy(pod) => {}
            _ => break,
        }
    }
    actions
}

kit::exercise!(Exercise: StatefulSetController);
