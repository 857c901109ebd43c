//! Passes: it says of each ordinal what is to be done as if it were alone, and then takes as much of that as the policy allows.

use kit::workloads::StatefulSetController;
use kit::workloads::stateful_set::{
    Action, ClaimOwner, Keep, MAX_CREATES, PodManagementPolicy, PodState, PodView, Retention, SyncRequest, SyncResult,
    UpdateStrategy,
};
use std::collections::{BTreeMap, BTreeSet, HashSet};

#[derive(Default)]
struct Exercise;

#[derive(PartialEq)]
enum Need {
    Nothing,
    Create,
    WaitForClaim,
    Wait,
    Delete,
}

struct Row<'a> {
    ordinal: i32,
    pod: Option<&'a PodView>,
    need: Need,
}

impl StatefulSetController for Exercise {
    fn claim_owner(&self, retention: &Retention, condemned: bool) -> ClaimOwner {
        let with_pod = condemned && matches!(retention.when_scaled, Keep::Delete);
        let with_set = matches!(retention.when_deleted, Keep::Delete);
        match (with_pod, with_set) {
            (true, _) => ClaimOwner::Pod,
            (false, true) => ClaimOwner::StatefulSet,
            (false, false) => ClaimOwner::Nobody,
        }
    }

    fn sync(&self, request: &SyncRequest) -> SyncResult {
        let set = &request.set;
        let pods: BTreeMap<i32, &PodView> = request.pods.iter().map(|pod| (pod.ordinal, pod)).collect();
        let usable: HashSet<&str> =
            request.claims.iter().filter(|claim| !claim.terminating).map(|claim| claim.name.as_str()).collect();
        let doomed: HashSet<&str> =
            request.claims.iter().filter(|claim| claim.of_earlier_pod).map(|claim| claim.name.as_str()).collect();
        let names = |ordinal: i32| set.claim_templates.iter().map(move |of| format!("{of}-{}-{ordinal}", set.name));
        let in_order = set.policy == PodManagementPolicy::OrderedReady;
        if set.deleting {
            return SyncResult::default();
        }

        let mut table: Vec<Row<'_>> = Vec::new();
        for ordinal in set.start..set.start + set.replicas {
            let pod = pods.get(&ordinal).copied();
            let need = match pod {
                None if set.retention.when_scaled == Keep::Delete
                    && names(ordinal).any(|name| doomed.contains(name.as_str())) =>
                {
                    Need::WaitForClaim
                }
                None => Need::Create,
                Some(pod) => match (pod.state, pod.terminating) {
                    (PodState::Failed | PodState::Succeeded, false) => Need::Delete,
                    (PodState::Available, false) => Need::Nothing,
                    _ => Need::Wait,
                },
            };
            table.push(Row { ordinal, pod, need });
        }
        let mut ends = false;
        if in_order {
            if let Some(first) = table.iter().position(|row| row.need != Need::Nothing) {
                table.truncate(first + 1);
                ends = true;
            }
        } else if let Some((last, _)) =
            table.iter().enumerate().filter(|(_, row)| row.need == Need::Create).nth(MAX_CREATES - 1)
        {
            table.truncate(last + 1);
            ends = true;
        }

        let mut actions = BTreeSet::new();
        for row in &table {
            let ordinal = row.ordinal;
            let pending = row.pod.is_some_and(|pod| pod.state == PodState::Pending);
            if row.need == Need::Create || pending {
                let missing = names(ordinal).filter(|name| !usable.contains(name.as_str()));
                actions.extend(missing.map(|name| Action::CreateClaim { name }));
            }
            if row.need == Need::Create {
                let old = match set.update {
                    UpdateStrategy::RollingUpdate { partition, .. } => ordinal - set.start < partition,
                    UpdateStrategy::OnDelete => false,
                };
                let revision = if old { &set.current_revision } else { &set.update_revision };
                actions.insert(Action::CreatePod { ordinal, revision: revision.clone() });
            }
            if row.need == Need::Delete {
                actions.insert(Action::DeletePod { ordinal });
            }
            let finished = row.pod.is_some_and(|pod| matches!(pod.state, PodState::Failed | PodState::Succeeded));
            let looked_at = row.need == Need::Nothing || (!in_order && !finished);
            if looked_at && row.pod.is_some_and(|pod| pod.drifted) {
                actions.insert(Action::UpdatePod { ordinal });
            }
        }
        if ends {
            return SyncResult { actions: actions.into_iter().collect() };
        }

        let wanted = set.start..set.start + set.replicas;
        let condemned: Vec<&PodView> =
            pods.iter().filter(|(ordinal, _)| !wanted.contains(ordinal)).map(|(_, pod)| *pod).collect();
        actions
            .extend(condemned.iter().filter(|pod| pod.drifted).map(|pod| Action::UpdatePod { ordinal: pod.ordinal }));
        let sick = |pod: &PodView| pod.terminating || !matches!(pod.state, PodState::Ready | PodState::Available);
        let victims: Vec<&&PodView> = if in_order {
            let first_sick = condemned.iter().position(|pod| sick(pod));
            let last = condemned.len().wrapping_sub(1);
            let goes = |pod: &&&PodView| pod.state == PodState::Available || first_sick == Some(last);
            condemned.last().into_iter().filter(goes).collect()
        } else {
            condemned.iter().collect()
        };
        let delete = |pod: &PodView| Action::DeletePod { ordinal: pod.ordinal };
        actions.extend(victims.into_iter().filter(|pod| !pod.terminating).map(|pod| delete(pod)));
        if in_order && !condemned.is_empty() {
            return SyncResult { actions: actions.into_iter().collect() };
        }

        if let UpdateStrategy::RollingUpdate { partition, max_unavailable } = set.update {
            let old = |pod: &PodView| pod.revision != set.update_revision && !pod.terminating;
            let range: Vec<i32> = wanted.clone().filter(|ordinal| ordinal - set.start >= partition).rev().collect();
            let is_sick = |ordinal: &i32| pods.get(ordinal).is_none_or(|pod| sick(pod));
            let is_old = |ordinal: &i32| pods.get(ordinal).is_some_and(|pod| old(pod));
            let replaced: Vec<i32> = match max_unavailable {
                Some(most) => {
                    let room = most - wanted.clone().filter(is_sick).count().min(i32::MAX as usize) as i32;
                    range.into_iter().filter(is_old).take(room.max(0) as usize).collect()
                }
                None => {
                    let done = range.iter().take_while(|ordinal| !is_old(ordinal) && !is_sick(ordinal)).count();
                    range.get(done).copied().filter(is_old).into_iter().collect()
                }
            };
            actions.extend(replaced.into_iter().map(|ordinal| Action::DeletePod { ordinal }));
        }
        SyncResult { actions: actions.into_iter().collect() }
    }
}

kit::exercise!(Exercise: StatefulSetController);
