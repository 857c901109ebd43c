//! What one look at a set decides: which pods to make, to delete, to mend, and in which order.
//!
//! Nothing is done here. The module of `workloads/stateful_set` is asked, and its answer is put into the order in which it is
//! done. Source: `updateStatefulSet`, `processReplica` and `processCondemned` of
//! `pkg/controller/statefulset/stateful_set_control.go`.

use super::identity;
use super::retention::{self, Owners};
use kit_api::apps::{StatefulSet, StatefulSetSpec};
use kit_api::core::{PersistentVolumeClaim, Pod, PodTemplateSpec};
use kit_api::int_or_percent::{Round, scaled};
use kit_api::jiff::Timestamp;
use kit_api::pod;
use kit_apimachinery::object::About;
use kit_contract::workloads::StatefulSetController;
use kit_contract::workloads::stateful_set::{
    Action, ClaimView, MAX_CREATES, PodManagementPolicy, PodState, PodView, SetView, SyncRequest, UpdateStrategy,
};
use std::collections::{BTreeMap, BTreeSet};

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
    /// Who should own claims.
    pub owners: Owners,
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
    /// Make a pod, after these of its claims.
    Create(Box<Pod>, BTreeSet<String>),
    /// Make these claims of a pod that waits.
    Claim(&'a Pod, BTreeSet<String>),
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

fn name_of(pod: &Pod) -> String {
    About::from(pod).name().into()
}

/// What to do for the pods of one ordinal.
#[derive(Default)]
struct Asked<'m> {
    claims: BTreeSet<String>,
    /// The revision of a new pod.
    create: Option<&'m str>,
    update: bool,
    /// How often it is to be deleted: once because of how it is, and once more if its template is an old one.
    deletes: usize,
}

impl<'a> Seen<'a> {
    /// All that is to be done now, in order.
    pub fn plan(&self, module: &dyn StatefulSetController) -> Vec<Batch<'a>> {
        if self.set.metadata.deletion_timestamp.is_some() {
            return Vec::new();
        }
        let request = self.request();
        let actions = module.sync(&request).actions;
        self.order(&actions, &request)
    }

    fn wanted(&self) -> std::ops::Range<i64> {
        identity::ordinals(self.spec)
    }

    fn request(&self) -> SyncRequest {
        let wanted = self.wanted();
        let ordinals = self.pods.keys().copied();
        // Of a pod that is there or has to be made; no sync makes more.
        let missing = wanted.clone().filter(|ordinal| !self.pods.contains_key(ordinal)).take(MAX_CREATES);
        let claims = ordinals.chain(missing).flat_map(|ordinal| {
            let pod = self.pods.get(&ordinal).map_or_else(|| identity::nobody(self.set, ordinal), |pod| (*pod).clone());
            identity::claim_names(self.set, ordinal).filter_map(move |name| {
                let claim = (self.claim)(&name)?;
                let terminating = claim.metadata.deletion_timestamp.is_some();
                Some(ClaimView { name, terminating, of_earlier_pod: retention::is_of_earlier(claim, &pod) })
            })
        });
        SyncRequest { set: self.set_view(), pods: self.pod_views(), claims: claims.collect() }
    }

    fn set_view(&self) -> SetView {
        let start = i32::try_from(self.wanted().start).unwrap_or(0);
        let templates = self.spec.volume_claim_templates.iter().flatten();
        SetView {
            name: About::from(self.set).name().into(),
            start,
            replicas: self.spec.replicas.unwrap_or(1).clamp(0, i32::MAX - start),
            policy: match self.spec.pod_management_policy.as_deref() {
                Some("Parallel") => PodManagementPolicy::Parallel,
                _ => PodManagementPolicy::OrderedReady,
            },
            update: self.strategy(),
            current_revision: self.current.name.clone(),
            update_revision: self.update.name.clone(),
            claim_templates: templates.map(|template| About::from(template).name().into()).collect(),
            retention: self.owners.retention,
            deleting: self.set.metadata.deletion_timestamp.is_some(),
        }
    }

    fn strategy(&self) -> UpdateStrategy {
        let strategy = self.spec.update_strategy.as_ref();
        if strategy.is_some_and(|strategy| strategy.type_.as_deref() == Some("OnDelete")) {
            return UpdateStrategy::OnDelete;
        }
        let rolling = strategy.and_then(|strategy| strategy.rolling_update.as_ref());
        let partition = rolling.and_then(|rolling| rolling.partition).unwrap_or(0).max(0);
        let most = rolling.and_then(|rolling| rolling.max_unavailable.as_ref());
        let replicas = self.spec.replicas.unwrap_or(1);
        let most = most.and_then(|most| scaled(most, replicas, Round::Down).ok()).unwrap_or(1).max(1);
        UpdateStrategy::RollingUpdate { partition, max_unavailable: self.max_unavailable.then_some(most) }
    }

    fn pod_views(&self) -> Vec<PodView> {
        let seconds = self.spec.min_ready_seconds.unwrap_or(0);
        let view = |(ordinal, pod): (&i64, &&Pod)| {
            let state = match pod::phase(pod) {
                "Succeeded" => PodState::Succeeded,
                "Failed" => PodState::Failed,
                "Running" if pod::is_available(pod, seconds, self.now) => PodState::Available,
                "Running" if pod::is_ready(pod) => PodState::Ready,
                "Pending" => PodState::Pending,
                _ => PodState::NotReady,
            };
            PodView {
                ordinal: i32::try_from(*ordinal).unwrap_or(i32::MAX),
                revision: identity::revision_of(pod).into(),
                state,
                terminating: pod::is_terminating(pod),
                drifted: self.has_drifted(*ordinal, pod),
            }
        };
        self.pods.iter().map(view).collect()
    }

    /// Of a pod that is too many only its claims matter (`fixPodClaim`).
    fn has_drifted(&self, ordinal: i64, pod: &Pod) -> bool {
        let wanted = self.wanted().contains(&ordinal);
        let is_settled =
            |name: String| (self.claim)(&name).is_none_or(|claim| self.owners.is_settled(claim, self.set, pod));
        (wanted && !(identity::matches(pod) && identity::is_mounted(self.set, pod, ordinal)))
            || !identity::claim_names(self.set, ordinal).all(is_settled)
    }

    /// The actions in the order in which they are done (`runForAll`, `slowStartBatch`).
    fn order(&self, actions: &[Action], request: &SyncRequest) -> Vec<Batch<'a>> {
        let mut asked: BTreeMap<i64, Asked<'_>> = BTreeMap::new();
        let mut creates = 0;
        for action in actions {
            match action {
                Action::CreateClaim { name } => {
                    let ordinal = identity::parent_and_ordinal(name).map_or(0, |(_, ordinal)| ordinal);
                    asked.entry(ordinal).or_default().claims.insert(name.clone());
                }
                // A cluster has to bear what a module answers.
                Action::CreatePod { ordinal, revision } if creates < MAX_CREATES => {
                    creates += 1;
                    asked.entry((*ordinal).into()).or_default().create = Some(revision);
                }
                Action::CreatePod { .. } => {}
                Action::UpdatePod { ordinal } => asked.entry((*ordinal).into()).or_default().update = true,
                Action::DeletePod { ordinal } => asked.entry((*ordinal).into()).or_default().deletes += 1,
            }
        }
        let wanted = self.wanted();
        let is_wanted = |ordinal: &i64| wanted.contains(ordinal);
        let last = asked.keys().next_back().max(self.pods.keys().next_back());
        let end = last.map_or(wanted.start, |last| (last + 1).min(wanted.end));
        // What comes after a pod that waits isn't looked at in order.
        let ready: BTreeSet<i32> = (request.pods.iter())
            .filter(|pod| pod.state == PodState::Available && !pod.terminating)
            .map(|pod| pod.ordinal)
            .collect();
        let is_ordered = request.set.policy == PodManagementPolicy::OrderedReady;
        let waits = |ordinal: &i64| i32::try_from(*ordinal).is_ok_and(|ordinal| !ready.contains(&ordinal));
        let reached = (wanted.start..end).find(|ordinal| is_ordered && waits(ordinal)).unwrap_or(end);
        let none = Asked::default();
        let keep = (wanted.start..end).map(|ordinal| {
            let asked = asked.get(&ordinal).unwrap_or(&none);
            let mut turn = self.turn(ordinal, asked);
            let pending = self.pods.get(&ordinal).filter(|pod| ordinal <= reached && pod::phase(pod) == "Pending");
            if let Some(pod) = pending.filter(|_| self.spec.volume_claim_templates.is_some()) {
                turn.insert(0, Step::Claim(pod, asked.claims.clone()));
            }
            turn
        });
        let mut batches = batches(request.set.policy, keep);
        let condemned = || asked.iter().rev().filter(|(ordinal, _)| !is_wanted(ordinal));
        let settle = condemned().filter(|(_, asked)| asked.update);
        let settle = settle.filter_map(|(ordinal, _)| Some(vec![Step::Settle(self.pods.get(ordinal)?)]));
        batches.extend(self::batches(request.set.policy, settle));
        let made = condemned().filter(|(_, asked)| asked.create.is_some() || asked.deletes > 0);
        batches.extend(self::batches(request.set.policy, made.map(|(ordinal, asked)| self.turn(*ordinal, asked))));
        let replaced = asked.iter().rev().filter(|(ordinal, asked)| is_wanted(ordinal) && asked.deletes > 0);
        let replaced = replaced.filter(|(ordinal, asked)| asked.deletes > 1 || !self.is_finished(**ordinal));
        batches.extend(replaced.map(|(ordinal, _)| vec![vec![Step::Replace(identity::pod_name(self.set, *ordinal))]]));
        batches
    }

    fn is_finished(&self, ordinal: i64) -> bool {
        self.pods.get(&ordinal).is_some_and(|pod| pod::is_finished(pod))
    }

    /// What is done for one pod, but for its replacement.
    fn turn(&self, ordinal: i64, asked: &Asked<'_>) -> Turn<'a> {
        let mut turn = Turn::new();
        let pod = self.pods.get(&ordinal).copied();
        if let Some(revision) = asked.create {
            let version = if revision == self.current.name { &self.current } else { &self.update };
            let pod = identity::new_pod(self.set, &version.template, &version.name, ordinal);
            turn.push(Step::Create(Box::new(pod), asked.claims.clone()));
        }
        let Some(pod) = pod else { return turn };
        let is_wanted = self.wanted().contains(&ordinal);
        if asked.deletes > 0 && (!is_wanted || pod::is_finished(pod)) {
            turn.push(Step::Delete(name_of(pod)));
        }
        if asked.update && is_wanted {
            turn.push(Step::Restore(pod));
        }
        turn
    }
}

/// Turns one by one, or in parallel, in batches that grow.
fn batches<'a>(policy: PodManagementPolicy, turns: impl Iterator<Item = Turn<'a>>) -> Vec<Batch<'a>> {
    if policy == PodManagementPolicy::OrderedReady {
        return turns.map(|turn| vec![turn]).collect();
    }
    let (mut batches, mut batch, mut size) = (Vec::new(), Batch::new(), 1);
    for turn in turns {
        batch.push(turn);
        if batch.len() == size {
            batches.push(std::mem::take(&mut batch));
            size = (size * 2).min(MAX_CREATES);
        }
    }
    batches.push(batch);
    batches
}
