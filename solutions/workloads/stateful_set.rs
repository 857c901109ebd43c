//! The reference for `workloads/stateful_set`: the wanted pods, the condemned ones, and an update.

use kit::workloads::StatefulSetController;
use kit::workloads::stateful_set::{
    Action, ClaimOwner, ClaimView, Keep, MAX_CREATES, PodManagementPolicy, PodState, PodView, Retention, SyncRequest,
    SyncResult, UpdateStrategy,
};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::{ControlFlow, Range};

// ANCHOR: solution
/// The controller remembers nothing: all that it knows is in the request.
#[derive(Default)]
pub struct Exercise;

impl StatefulSetController for Exercise {
    fn claim_owner(&self, retention: &Retention, condemned: bool) -> ClaimOwner {
        if condemned && retention.when_scaled == Keep::Delete {
            ClaimOwner::Pod
        } else if retention.when_deleted == Keep::Delete {
            ClaimOwner::StatefulSet
        } else {
            ClaimOwner::Nobody
        }
    }

    fn sync(&self, request: &SyncRequest) -> SyncResult {
        let mut sync = Sync::new(request);
        if !request.set.deleting && sync.keep().is_continue() && sync.condemn().is_continue() {
            sync.replace();
        }
        SyncResult { actions: sync.actions }
    }
}

/// One sync on its way. `Break` means that it ends.
struct Sync<'a> {
    request: &'a SyncRequest,
    pods: BTreeMap<i32, &'a PodView>,
    claims: BTreeMap<&'a str, &'a ClaimView>,
    actions: Vec<Action>,
}

impl<'a> Sync<'a> {
    fn new(request: &'a SyncRequest) -> Self {
        Sync {
            request,
            pods: request.pods.iter().map(|pod| (pod.ordinal, pod)).collect(),
            claims: request.claims.iter().map(|claim| (claim.name.as_str(), claim)).collect(),
            actions: Vec::new(),
        }
    }

    fn is_ordered(&self) -> bool {
        self.request.set.policy == PodManagementPolicy::OrderedReady
    }

    /// Where a sync ends that takes one pod after the other.
    fn end_in_order(&self) -> ControlFlow<()> {
        if self.is_ordered() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn wanted(&self) -> Range<i32> {
        self.request.set.start..self.request.set.start + self.request.set.replicas
    }

    /// The ordinals that an update changes; none with `OnDelete`.
    fn updated(&self) -> Range<i32> {
        let wanted = self.wanted();
        match self.request.set.update {
            UpdateStrategy::RollingUpdate { partition, .. } => wanted.start.saturating_add(partition)..wanted.end,
            UpdateStrategy::OnDelete => wanted.end..wanted.end,
        }
    }

    /// The wanted pods, the lowest ordinal first.
    fn keep(&mut self) -> ControlFlow<()> {
        let mut created = 0;
        for ordinal in self.wanted() {
            let Some(pod) = self.pods.get(&ordinal).copied() else {
                created += usize::from(self.create(ordinal));
                self.end_in_order()?;
                if created == MAX_CREATES {
                    return ControlFlow::Break(());
                }
                continue;
            };
            if is_finished(pod) {
                if !pod.terminating {
                    self.actions.push(Action::DeletePod { ordinal });
                }
                self.end_in_order()?;
                continue;
            }
            if pod.state == PodState::Pending {
                self.create_claims(ordinal);
            }
            if pod.terminating || pod.state != PodState::Available {
                self.end_in_order()?;
            }
            if pod.drifted {
                self.actions.push(Action::UpdatePod { ordinal });
            }
        }
        ControlFlow::Continue(())
    }

    /// Creates a pod after its claims, unless one of them goes away with an earlier pod.
    fn create(&mut self, ordinal: i32) -> bool {
        let set = &self.request.set;
        let goes_away = |claim: &String| self.claims.get(claim.as_str()).is_some_and(|claim| claim.of_earlier_pod);
        if set.retention.when_scaled == Keep::Delete && self.claims_of(ordinal).iter().any(goes_away) {
            return false;
        }
        self.create_claims(ordinal);
        let is_old = set.update != UpdateStrategy::OnDelete && ordinal < self.updated().start;
        let revision = if is_old { &set.current_revision } else { &set.update_revision };
        self.actions.push(Action::CreatePod { ordinal, revision: revision.clone() });
        true
    }

    fn create_claims(&mut self, ordinal: i32) {
        for name in self.claims_of(ordinal) {
            if self.claims.get(name.as_str()).is_none_or(|claim| claim.terminating) {
                self.actions.push(Action::CreateClaim { name });
            }
        }
    }

    fn claims_of(&self, ordinal: i32) -> Vec<String> {
        let set = &self.request.set;
        set.claim_templates.iter().map(|template| format!("{template}-{}-{ordinal}", set.name)).collect()
    }

    /// The pods that are too many, the highest ordinal first.
    fn condemn(&mut self) -> ControlFlow<()> {
        let wanted = self.wanted();
        let condemned: Vec<&PodView> =
            self.pods.values().filter(|pod| !wanted.contains(&pod.ordinal)).copied().collect();
        let drifted = condemned.iter().filter(|pod| pod.drifted);
        self.actions.extend(drifted.map(|pod| Action::UpdatePod { ordinal: pod.ordinal }));
        let first_sick = condemned.iter().find(|pod| !is_healthy(pod)).map(|pod| pod.ordinal);
        for pod in condemned.iter().rev() {
            let waits = self.is_ordered() && pod.state != PodState::Available && first_sick != Some(pod.ordinal);
            if !pod.terminating && !waits {
                self.actions.push(Action::DeletePod { ordinal: pod.ordinal });
            }
            self.end_in_order()?;
        }
        ControlFlow::Continue(())
    }

    /// Old pods make room for new ones, the highest ordinal first.
    fn replace(&mut self) {
        let is_old = |ordinal: &i32| self.pods.get(ordinal).is_some_and(|pod| self.is_old(pod));
        let is_sick = |ordinal: &i32| !self.pods.get(ordinal).is_some_and(|pod| is_healthy(pod));
        let mut down = self.updated().rev();
        let replaced: BTreeSet<i32> = match self.request.set.update {
            UpdateStrategy::RollingUpdate { max_unavailable: Some(most), .. } => {
                let sick = self.wanted().filter(is_sick).count();
                down.filter(is_old).take(usize::try_from(most).unwrap_or(0).saturating_sub(sick)).collect()
            }
            _ => down.find(|ordinal| is_old(ordinal) || is_sick(ordinal)).filter(is_old).into_iter().collect(),
        };
        self.actions.extend(replaced.into_iter().map(|ordinal| Action::DeletePod { ordinal }));
    }

    fn is_old(&self, pod: &PodView) -> bool {
        pod.revision != self.request.set.update_revision && !pod.terminating
    }
}

/// Whether it runs, is ready, and stays.
fn is_healthy(pod: &PodView) -> bool {
    matches!(pod.state, PodState::Ready | PodState::Available) && !pod.terminating
}

fn is_finished(pod: &PodView) -> bool {
    matches!(pod.state, PodState::Succeeded | PodState::Failed)
}
// ANCHOR_END: solution
