//! What one look at a set decides: which pods to make, to delete, to mend, and in which order.
//!
//! Nothing is done here. The order matters: with `OrderedReady` a pod that is not ready holds up all that come after
//! it, with `Parallel` nothing waits, except for the replacement of old pods. Source: `updateStatefulSet`, `processReplica`
//! and `processCondemned` of `pkg/controller/statefulset/stateful_set_control.go`.

use super::{identity, retention};
use kit_api::apps::{StatefulSet, StatefulSetSpec};
use kit_api::core::{PersistentVolumeClaim, Pod, PodTemplateSpec};
use kit_api::int_or_percent::{Round, scaled};
use kit_api::jiff::Timestamp;
use kit_api::pod;
use kit_apimachinery::object::About;
use std::collections::BTreeMap;

/// The most pods of one batch (`MaxBatchSize`), and that one sync creates in parallel: they ask for another sync.
const MAX_BATCH: usize = 500;

/// A template and the name of its revision.
#[derive(Debug, Clone, PartialEq)]
pub struct Version {
    /// The revision's name.
    pub name: String,
    /// What its pods are made of.
    pub template: PodTemplateSpec,
}

/// What a look at a set sees.
pub struct Seen<'a> {
    /// The set.
    pub set: &'a StatefulSet,
    /// Its specification.
    pub spec: &'a StatefulSetSpec,
    /// Its pods by ordinal.
    pub pods: BTreeMap<i64, &'a Pod>,
    /// What its pods were before an update began, and what they shall be.
    pub current: Version,
    pub update: Version,
    /// A claim by its name.
    pub claim: &'a dyn Fn(&str) -> Option<&'a PersistentVolumeClaim>,
    /// The calendar time.
    pub now: Timestamp,
    /// Whether `maxUnavailable` counts (`MaxUnavailableStatefulSet`, off by default in 1.33).
    pub max_unavailable: bool,
}

/// Something to do.
#[derive(Debug)]
pub enum Step<'a> {
    /// Make a pod, after its claims.
    Create(Box<Pod>),
    /// Make the claims of a pod that waits.
    Claim(&'a Pod),
    /// Give a pod back its labels, volumes and claims.
    Restore(&'a Pod),
    /// Give the claims of a pod the owners of the policy.
    Settle(&'a Pod),
    /// Delete a pod by its name.
    Delete(String),
    /// Delete a pod by its name because its template is an old one.
    Replace(String),
}

/// What to do for one pod, until a step fails.
pub type Turn<'a> = Vec<Step<'a>>;

/// Turns that are taken together: where one fails, the others are still taken, and no further batch is.
pub type Batch<'a> = Vec<Turn<'a>>;

/// A turn, and whether those after it have to wait with `OrderedReady`.
type Decision<'a> = (Turn<'a>, bool);

/// Whether it runs, is ready, and stays (`isHealthy`).
fn is_healthy(pod: &Pod) -> bool {
    pod::phase(pod) == "Running" && pod::is_ready(pod) && !pod::is_terminating(pod)
}

fn name_of(pod: &Pod) -> String {
    About::from(pod).name().into()
}

impl<'a> Seen<'a> {
    fn is_ordered(&self) -> bool {
        self.spec.pod_management_policy.as_deref() != Some("Parallel")
    }

    /// Running and ready, for long enough (`isRunningAndReady`, `isRunningAndAvailable`).
    fn is_available(&self, pod: &Pod) -> bool {
        let seconds = self.spec.min_ready_seconds.unwrap_or(0);
        pod::phase(pod) == "Running" && pod::is_available(pod, seconds, self.now)
    }

    /// The first ordinal that an update replaces.
    fn partition(&self) -> Option<i64> {
        let rolling = self.spec.update_strategy.as_ref()?.rolling_update.as_ref()?;
        Some(rolling.partition.unwrap_or(0).into())
    }

    /// Which version a pod with this ordinal has that is made now (`newVersionedStatefulSetPod`).
    fn version(&self, ordinal: i64) -> &Version {
        let index = ordinal - identity::ordinals(self.spec).start;
        let strategy = self.spec.update_strategy.as_ref().and_then(|strategy| strategy.type_.as_deref());
        let of_before = self.set.status.as_ref().and_then(|status| status.current_replicas).unwrap_or(0);
        let is_old = match self.partition() {
            Some(partition) => index < partition,
            None => strategy == Some("RollingUpdate") && index < of_before.into(),
        };
        if is_old { &self.current } else { &self.update }
    }

    /// All that is to be done now, in order.
    pub fn plan(&self) -> Vec<Batch<'a>> {
        let mut batches = Vec::new();
        if self.set.metadata.deletion_timestamp.is_some() {
            return batches;
        }
        let wanted = identity::ordinals(self.spec);
        // Pods that are too many, the last one first.
        let condemned: Vec<&Pod> =
            self.pods.iter().rev().filter(|(ordinal, _)| !wanted.contains(*ordinal)).map(|(_, pod)| *pod).collect();
        let missing_or_sick = |ordinal: &i64| self.pods.get(ordinal).is_none_or(|pod| !is_healthy(pod));
        let first_sick = match wanted.clone().find(missing_or_sick) {
            Some(ordinal) => Some(identity::pod_name(self.set, ordinal)),
            None => condemned.iter().rev().find(|pod| !is_healthy(pod)).map(|pod| name_of(pod)),
        };
        let go_on = self.phase(&mut batches, wanted.clone().map(|ordinal| self.replica(ordinal)))
            && self.phase(&mut batches, condemned.iter().copied().map(|pod| (self.settle(pod), false)))
            && self.phase(&mut batches, condemned.iter().map(|pod| self.condemn(pod, first_sick.as_deref())));
        let by_hand = self.spec.update_strategy.as_ref().is_some_and(|s| s.type_.as_deref() == Some("OnDelete"));
        if go_on && !by_hand {
            let old = if self.max_unavailable { self.several_old() } else { self.next_old() };
            batches.extend(old.into_iter().map(|name| vec![vec![Step::Replace(name)]]));
        }
        batches
    }

    /// Adds the turns of some pods (`runForAll`, `slowStartBatch`). The answer is whether others may follow.
    fn phase(&self, batches: &mut Vec<Batch<'a>>, decisions: impl Iterator<Item = Decision<'a>>) -> bool {
        let (mut size, mut created) = (1, 0);
        let mut batch = Batch::new();
        for (turn, waits) in decisions {
            created += turn.iter().filter(|step| matches!(step, Step::Create(_))).count();
            batch.push(turn);
            if self.is_ordered() || batch.len() == size {
                batches.push(std::mem::take(&mut batch));
                size = (size * 2).min(MAX_BATCH);
            }
            if (self.is_ordered() && waits) || created == MAX_BATCH {
                batches.push(batch);
                return false;
            }
        }
        batches.push(batch);
        true
    }

    /// A pod that there should be.
    fn replica(&self, ordinal: i64) -> Decision<'a> {
        let Some(pod) = self.pods.get(&ordinal).copied() else { return (self.create(ordinal), true) };
        if pod::is_finished(pod) {
            // It is made anew when it is gone.
            let ends = pod::is_terminating(pod);
            return (if ends { Turn::new() } else { vec![Step::Delete(name_of(pod))] }, true);
        }
        let mut turn = Turn::new();
        if pod::phase(pod) == "Pending" && self.spec.volume_claim_templates.is_some() {
            turn.push(Step::Claim(pod));
        }
        let waits = pod::is_terminating(pod) || !self.is_available(pod);
        if waits && self.is_ordered() {
            return (turn, true);
        }
        let settled = identity::claim_names(self.set, ordinal).all(|name| self.is_settled(&name, pod));
        if !identity::matches(pod) || !identity::is_mounted(self.set, pod, ordinal) || !settled {
            turn.push(Step::Restore(pod));
        }
        (turn, false)
    }

    fn create(&self, ordinal: i64) -> Turn<'a> {
        let version = self.version(ordinal);
        let pod = identity::new_pod(self.set, &version.template, &version.name, ordinal);
        // A claim that still goes away with an earlier pod can't be used again (`PodClaimIsStale`).
        let is_stale =
            |name: String| (self.claim)(&name).is_some_and(|claim| retention::is_stale(claim, (&pod).into()));
        if retention::policy(self.set).with_pod && identity::claim_names(self.set, ordinal).any(is_stale) {
            return Turn::new();
        }
        vec![Step::Create(Box::new(pod))]
    }

    fn is_settled(&self, claim: &str, pod: &Pod) -> bool {
        (self.claim)(claim).is_none_or(|claim| retention::is_settled(claim, self.set, pod))
    }

    /// The claims of a pod that is too many.
    fn settle(&self, pod: &'a Pod) -> Turn<'a> {
        let ordinal = identity::ordinal(pod).unwrap_or_default();
        let settled = identity::claim_names(self.set, ordinal).all(|name| self.is_settled(&name, pod));
        if settled { Turn::new() } else { vec![Step::Settle(pod)] }
    }

    /// A pod that is too many. Only the first sick pod goes while it is sick.
    fn condemn(&self, pod: &Pod, first_sick: Option<&str>) -> Decision<'a> {
        let blocked = !self.is_available(pod) && first_sick != Some(About::from(pod).name());
        if pod::is_terminating(pod) || (blocked && self.is_ordered()) {
            return (Turn::new(), true);
        }
        (vec![Step::Delete(name_of(pod))], true)
    }

    /// The ordinals that an update may replace, the last one first.
    fn updated(&self) -> impl Iterator<Item = i64> {
        let wanted = identity::ordinals(self.spec);
        let first = wanted.start.saturating_add(self.partition().unwrap_or(0));
        (first.max(wanted.start)..wanted.end).rev()
    }

    /// Whether the pod with this ordinal has to be replaced.
    fn is_old(&self, ordinal: i64) -> bool {
        let pod = self.pods.get(&ordinal);
        let revision = pod.map_or(self.version(ordinal).name.as_str(), |pod| identity::revision_of(pod));
        revision != self.update.name && !pod.is_some_and(|pod| pod::is_terminating(pod))
    }

    fn is_sick(&self, ordinal: i64) -> bool {
        self.pods.get(&ordinal).is_none_or(|pod| !is_healthy(pod))
    }

    /// The last old pod, if all after it are well.
    fn next_old(&self) -> Vec<String> {
        let next = self.updated().find(|ordinal| self.is_old(*ordinal) || self.is_sick(*ordinal));
        let next = next.filter(|ordinal| self.is_old(*ordinal));
        next.map(|ordinal| identity::pod_name(self.set, ordinal)).into_iter().collect()
    }

    /// As many old pods as may be missing (`updateStatefulSetAfterInvariantEstablished`).
    fn several_old(&self) -> Vec<String> {
        let rolling = self.spec.update_strategy.as_ref().and_then(|strategy| strategy.rolling_update.as_ref());
        let most = rolling.and_then(|rolling| rolling.max_unavailable.as_ref());
        let replicas = self.spec.replicas.unwrap_or(1);
        let most = most.and_then(|most| scaled(most, replicas, Round::Down).ok()).unwrap_or(1).max(1);
        let sick = identity::ordinals(self.spec).filter(|ordinal| self.is_sick(*ordinal)).count();
        let left = (most as usize).saturating_sub(sick);
        let old = self.updated().filter(|ordinal| self.is_old(*ordinal)).take(left);
        old.map(|ordinal| identity::pod_name(self.set, ordinal)).collect()
    }
}
