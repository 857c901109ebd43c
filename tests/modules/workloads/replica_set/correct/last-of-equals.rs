//! Passes: of pods that no rule tells apart it gives up the last one first, which is as right as any other choice.

use kit::api::core::Pod;
use kit::api::jiff::Timestamp;
use kit::api::meta::LabelSelector;
use kit::api::selector::{Labels, Selector};
use kit::api::{owner, pod};
use kit::workloads::ReplicaSetController;
use kit::workloads::replica_set::{Action, ReplicaSet, Status, SyncRequest, SyncResult};
use std::cmp::{Ordering, Reverse};
use std::collections::BTreeMap;

/// The most pods that one sync creates or deletes (`BurstReplicas`).
const BURST: usize = 500;

/// The controller remembers nothing: all that it knows is in the request.
#[derive(Default)]
struct Exercise;

impl ReplicaSetController for Exercise {
    fn sync(&self, request: &SyncRequest) -> SyncResult {
        let SyncRequest { replica_set, expectations, now, .. } = request;
        let (pods, mut actions) = claim(replica_set, &request.pods);
        let status = status(replica_set, &pods, now.0);

        let fulfilled = expectations.creations == 0 && expectations.deletions == 0;
        if fulfilled && replica_set.metadata.deletion_timestamp.is_none() {
            actions.extend(manage(request, &pods));
        }

        let wanted = replicas(replica_set);
        let waits = status.ready_replicas == wanted && status.available_replicas != wanted;
        let requeue_after_seconds = Some(min_ready_seconds(replica_set)).filter(|seconds| *seconds > 0 && waits);
        SyncResult { actions, status, requeue_after_seconds }
    }
}

/// The active pods that are the replica set's from now on, and what it takes to make them so.
fn claim<'a>(replica_set: &ReplicaSet, pods: &'a [Pod]) -> (Vec<&'a Pod>, Vec<Action>) {
    let meta = &replica_set.metadata;
    let may_change_owners = meta.deletion_timestamp.is_none();
    let selector = replica_set.spec.as_ref().map_or(Selector::Nothing, |spec| parse(&spec.selector));
    let mut claimed = Vec::new();
    let mut actions = Vec::new();
    for pod in pods.iter().filter(|pod| pod::is_active(pod)) {
        let name = || pod.metadata.name.clone().unwrap_or_default();
        let matches = matches(&selector, pod);
        match owner::controller_of(&pod.metadata) {
            Some(controller) if Some(&controller.uid) != meta.uid.as_ref() => {}
            Some(_) if matches => claimed.push(pod),
            Some(_) if may_change_owners => actions.push(Action::ReleasePod { name: name() }),
            None if matches && may_change_owners => {
                actions.push(Action::AdoptPod { name: name() });
                claimed.push(pod);
            }
            _ => {}
        }
    }
    (claimed, actions)
}

/// The creates or deletes that bring the claimed pods to the number that is wanted, or at least nearer to it.
fn manage(request: &SyncRequest, pods: &[&Pod]) -> Vec<Action> {
    let wanted = replicas(&request.replica_set).max(0) as usize;
    let missing = wanted.saturating_sub(pods.len()).min(BURST);
    let surplus = pods.len().saturating_sub(wanted).min(BURST);
    if surplus == 0 {
        return vec![Action::CreatePod; missing];
    }
    let selectors: Vec<_> = request.related.iter().map(parse).collect();
    let related = |pod: &&Pod| selectors.iter().any(|selector| matches(selector, pod));
    let related: Vec<_> = request.pods.iter().filter(related).collect();
    let victims = deletion_order(pods, &related, request.now.0).into_iter().take(surplus);
    victims.map(|pod| Action::DeletePod { name: pod.metadata.name.clone().unwrap_or_default() }).collect()
}

fn status(replica_set: &ReplicaSet, pods: &[&Pod], now: Timestamp) -> Status {
    let template =
        replica_set.spec.as_ref().and_then(|spec| spec.template.as_ref()?.metadata.as_ref()?.labels.as_ref());
    let fully_labeled = |pod: &Pod| {
        let labels = pod.metadata.labels.as_ref();
        template.into_iter().flatten().all(|(key, value)| labels.and_then(|labels| labels.get(key)) == Some(value))
    };
    let count = |counts: &dyn Fn(&Pod) -> bool| pods.iter().filter(|pod| counts(pod)).count() as i32;
    Status {
        replicas: pods.len() as i32,
        fully_labeled_replicas: count(&fully_labeled),
        ready_replicas: count(&pod::is_ready),
        available_replicas: count(&|pod| pod::is_available(pod, min_ready_seconds(replica_set), now)),
        observed_generation: replica_set.metadata.generation.unwrap_or_default(),
    }
}

/// The pods in the order in which a replica set gives them up, the first ones first (`ActivePodsWithRanks`).
///
/// `related` are the pods that rule 5 counts, inactive ones too; each is there once.
fn deletion_order<'a>(pods: &[&'a Pod], related: &[&Pod], now: Timestamp) -> Vec<&'a Pod> {
    let mut on_node = BTreeMap::new();
    for pod in related.iter().filter(|pod| pod::is_active(pod)) {
        *on_node.entry(pod::node_name(pod)).or_insert(0) += 1;
    }
    let candidates = pods.iter().map(|pod| Candidate::new(pod, on_node.get(&pod::node_name(pod)).copied(), now));
    // An insertion sort, since the rules can order pods in a circle and `sort_by` may panic when it notices.
    let mut sorted: Vec<Candidate<'a>> = Vec::with_capacity(pods.len());
    for candidate in candidates {
        let before = sorted.iter().rposition(|other| candidate.compare(other).is_gt());
        sorted.insert(before.map_or(0, |i| i + 1), candidate);
    }
    sorted.into_iter().map(|candidate| candidate.pod).collect()
}

/// A pod and what the rules ask of it.
struct Candidate<'a> {
    pod: &'a Pod,
    /// Rules 1 to 5, the lesser first.
    worth: (bool, i32, bool, i32, Reverse<i32>),
    ready: Option<Since>,
    restarts: (i32, i32),
    created: Option<Since>,
}

/// A time, and how long ago that is as a power of two; no power if it isn't over yet.
#[derive(Clone, Copy)]
struct Since {
    time: Timestamp,
    power: Option<u32>,
}

impl<'a> Candidate<'a> {
    fn new(pod: &'a Pod, on_node: Option<i32>, now: Timestamp) -> Self {
        let phase = match pod::phase(pod) {
            "Running" => 2,
            "Unknown" => 1,
            _ => 0,
        };
        let assigned = pod::node_name(pod).is_some();
        let since = |time: Timestamp| {
            let age = now.duration_since(time).as_nanos();
            Since { time, power: (age > 0).then(|| age.ilog2()) }
        };
        Candidate {
            pod,
            worth: (assigned, phase, pod::is_ready(pod), pod::deletion_cost(pod), Reverse(on_node.unwrap_or(0))),
            ready: pod::ready_since(pod).map(since),
            restarts: pod::max_restarts(pod),
            created: pod.metadata.creation_timestamp.as_ref().map(|time| since(time.0)),
        }
    }

    fn compare(&self, other: &Self) -> Ordering {
        let uid = || self.pod.metadata.uid.cmp(&other.pod.metadata.uid);
        let later_first = |a: Option<Since>, b: Option<Since>| match (a, b) {
            (Some(a), Some(b)) if a.time != b.time => a.power.cmp(&b.power).then_with(uid),
            (a, b) => a.is_some().cmp(&b.is_some()),
        };
        (self.worth.cmp(&other.worth))
            .then_with(|| later_first(self.ready, other.ready))
            .then_with(|| other.restarts.cmp(&self.restarts))
            .then_with(|| later_first(self.created, other.created))
    }
}

/// Once for all pods. The API server lets no invalid selector in; if there were one, it would mean no pod.
fn parse(selector: &LabelSelector) -> Selector {
    Selector::try_from(Some(selector)).unwrap_or(Selector::Nothing)
}

fn matches(selector: &Selector, pod: &Pod) -> bool {
    pod.metadata.labels.as_ref().map_or_else(|| selector.matches(&Labels::new()), |labels| selector.matches(labels))
}

fn replicas(replica_set: &ReplicaSet) -> i32 {
    replica_set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1)
}

fn min_ready_seconds(replica_set: &ReplicaSet) -> i32 {
    replica_set.spec.as_ref().and_then(|spec| spec.min_ready_seconds).unwrap_or_default()
}

kit::exercise!(Exercise: ReplicaSetController);
