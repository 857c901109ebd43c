//! Passes: sets of names and a list of rules, each a function from a pod to a number; the actions come last to first.

use kit::api::core::Pod;
use kit::api::jiff::Timestamp;
use kit::api::{owner, pod, selector};
use kit::workloads::replica_set::{Action, Status, SyncRequest, SyncResult};
use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap};

#[derive(Default)]
struct Exercise;

impl kit::workloads::ReplicaSetController for Exercise {
    fn sync(&self, request: &SyncRequest) -> SyncResult {
        let set = &request.replica_set;
        let spec = set.spec.clone().expect("always set");
        let by_name: HashMap<&str, &Pod> = request.pods.iter().map(|pod| (name(pod), pod)).collect();
        let all = || by_name.iter().filter(|(_, pod)| pod::is_active(pod));
        let names = |which: &dyn Fn(&Pod) -> bool| -> BTreeSet<&str> {
            all().filter(|(_, pod)| which(pod)).map(|(name, _)| *name).collect()
        };
        let matching = names(&|pod| selector::matches(&spec.selector, pod.metadata.labels.as_ref()));
        let orphans = names(&|pod| owner::controller_of(&pod.metadata).is_none());
        let owned = names(&|pod| owner::controller_of(&pod.metadata).map(|c| &c.uid) == set.metadata.uid.as_ref());
        let owned = &owned - &orphans;

        let deleted = set.metadata.deletion_timestamp.is_some();
        let adopted = if deleted { BTreeSet::new() } else { &orphans & &matching };
        let released = if deleted { BTreeSet::new() } else { &owned - &matching };
        let claimed = &(&owned & &matching) | &adopted;

        let pods: Vec<&Pod> = claimed.iter().map(|name| by_name[name]).collect();
        let count = |which: &dyn Fn(&Pod) -> bool| pods.iter().filter(|pod| which(pod)).count() as i32;
        let template = spec.template.and_then(|t| t.metadata).and_then(|m| m.labels).unwrap_or_default();
        let has = |pod: &Pod, label| pod.metadata.labels.iter().flatten().any(|own| own == label);
        let seconds = spec.min_ready_seconds.unwrap_or_default();
        let now = request.now.0;
        let status = Status {
            replicas: count(&|_| true),
            fully_labeled_replicas: count(&|pod| template.iter().all(|label| has(pod, label))),
            ready_replicas: count(&pod::is_ready),
            available_replicas: count(&|pod| pod::is_available(pod, seconds, now)),
            observed_generation: set.metadata.generation.unwrap_or_default(),
        };

        let mut actions = Vec::new();
        let wanted = spec.replicas.unwrap_or_default();
        let expects = request.expectations.creations > 0 || request.expectations.deletions > 0;
        let surplus = if deleted || expects { 0 } else { (status.replicas - wanted).clamp(-500, 500) };
        if surplus < 0 {
            actions.resize(-surplus as usize, Action::CreatePod);
        } else if surplus > 0 {
            let order = deletion_order(pods, request);
            actions.extend(order[..surplus as usize].iter().map(|pod| Action::DeletePod { name: name(pod).into() }));
        }
        actions.extend(released.into_iter().map(|name| Action::ReleasePod { name: name.into() }));
        actions.extend(adopted.into_iter().map(|name| Action::AdoptPod { name: name.into() }));

        let waits = seconds > 0 && status.ready_replicas == wanted && status.available_replicas != wanted;
        SyncResult { actions, status, requeue_after_seconds: waits.then_some(seconds) }
    }
}

fn name(pod: &Pod) -> &str {
    pod.metadata.name.as_deref().unwrap_or_default()
}

fn deletion_order<'a>(mut pods: Vec<&'a Pod>, request: &SyncRequest) -> Vec<&'a Pod> {
    let now = request.now.0;
    let mut crowd: HashMap<&str, i64> = HashMap::new();
    for pod in request.pods.iter().filter(|pod| pod::is_active(pod)) {
        if request.related.iter().any(|selector| selector::matches(selector, pod.metadata.labels.as_ref())) {
            *crowd.entry(pod::node_name(pod).unwrap_or("")).or_default() += 1;
        }
    }
    let crowd = |pod: &Pod| crowd.get(pod::node_name(pod).unwrap_or("")).copied().unwrap_or(0);

    // The smaller number goes first.
    let first: [&dyn Fn(&Pod) -> i64; 5] = [
        &|pod| pod::node_name(pod).is_some() as i64,
        &|pod| match pod::phase(pod) {
            "Running" => 2,
            "Unknown" => 1,
            _ => 0,
        },
        &|pod| pod::is_ready(pod) as i64,
        &|pod| pod::deletion_cost(pod) as i64,
        &|pod| -crowd(pod),
    ];
    let created = |pod: &Pod| pod.metadata.creation_timestamp.as_ref().map(|time| time.0);
    pods.sort_by(|a, b| {
        let decided = first.iter().map(|rule| rule(a).cmp(&rule(b))).find(|order| order.is_ne());
        decided.unwrap_or_else(|| {
            let uid = a.metadata.uid.cmp(&b.metadata.uid);
            let ready = by_age(pod::ready_since(a), pod::ready_since(b), now, uid);
            let restarts = pod::max_restarts(b).cmp(&pod::max_restarts(a));
            ready.then(restarts).then(by_age(created(a), created(b), now, uid))
        })
    });
    pods
}

fn by_age(a: Option<Timestamp>, b: Option<Timestamp>, now: Timestamp, uid: Ordering) -> Ordering {
    if a == b {
        return Ordering::Equal;
    }
    let power = |time: Option<Timestamp>| match time.map(|time| now.duration_since(time).as_nanos()) {
        None => -2,
        Some(age) if age <= 0 => -1,
        Some(age) => i64::from(127 - age.leading_zeros()),
    };
    power(a).cmp(&power(b)).then(uid)
}

kit::exercise!(Exercise: kit::workloads::ReplicaSetController);
