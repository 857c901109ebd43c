//! Passes: one loop over the pods that claims and counts, and a search for the next victim instead of a sort.

use kit::api::core::Pod;
use kit::api::jiff::Timestamp;
use kit::api::meta::LabelSelector;
use kit::api::owner::controller_of;
use kit::api::pod::*;
use kit::workloads::replica_set::{Action, SyncRequest, SyncResult};

#[derive(Default)]
struct Exercise;

impl kit::workloads::ReplicaSetController for Exercise {
    fn sync(&self, request: &SyncRequest) -> SyncResult {
        let mut result = SyncResult::default();
        let meta = &request.replica_set.metadata;
        let Some(spec) = &request.replica_set.spec else { return result };
        let alive = meta.deletion_timestamp.is_none();
        let now = request.now.0;
        let min_ready = spec.min_ready_seconds.unwrap_or(0);
        let template =
            spec.template.clone().unwrap_or_default().metadata.unwrap_or_default().labels.unwrap_or_default();

        let mut mine: Vec<&Pod> = Vec::new();
        for pod in &request.pods {
            if !is_active(pod) {
                continue;
            }
            let controller = controller_of(&pod.metadata);
            if controller.is_some_and(|c| c.uid != meta.uid.clone().unwrap_or_default()) {
                continue;
            }
            let fits = selects(&spec.selector, pod);
            if alive && controller.is_some() && !fits {
                result.actions.insert(0, Action::ReleasePod { name: name(pod) });
            }
            if alive && controller.is_none() && fits {
                result.actions.insert(0, Action::AdoptPod { name: name(pod) });
            }
            if !fits || (controller.is_none() && !alive) {
                continue;
            }
            mine.push(pod);
            let labels = pod.metadata.labels.clone().unwrap_or_default();
            result.status.replicas += 1;
            result.status.fully_labeled_replicas += template.iter().all(|(k, v)| labels.get(k) == Some(v)) as i32;
            result.status.ready_replicas += is_ready(pod) as i32;
            result.status.available_replicas += is_available(pod, min_ready, now) as i32;
        }
        result.status.observed_generation = meta.generation.unwrap_or(0);

        let wanted = spec.replicas.unwrap_or(0);
        if alive && request.expectations == Default::default() {
            let mut budget = 500;
            let mut have = mine.len() as i32;
            while have < wanted && budget > 0 {
                result.actions.insert(0, Action::CreatePod);
                have += 1;
                budget -= 1;
            }
            // The ranks stay as they were at the start, whoever is chosen before.
            let ranked: Vec<_> = mine.iter().map(|pod| rank(pod, request)).collect();
            let mut left: Vec<(&Pod, usize)> = mine.into_iter().zip(ranked).collect();
            while have > wanted && budget > 0 {
                let mut next = 0;
                for other in 1..left.len() {
                    if goes_before(left[other], left[next], now) {
                        next = other;
                    }
                }
                result.actions.insert(0, Action::DeletePod { name: name(left.remove(next).0) });
                have -= 1;
                budget -= 1;
            }
        }
        if min_ready > 0 && result.status.ready_replicas == wanted && result.status.available_replicas != wanted {
            result.requeue_after_seconds = Some(min_ready);
        }
        result
    }
}

fn name(pod: &Pod) -> String {
    pod.metadata.name.clone().unwrap_or_default()
}

fn selects(selector: &LabelSelector, pod: &Pod) -> bool {
    kit::api::selector::matches(selector, pod.metadata.labels.as_ref())
}

fn rank(pod: &Pod, request: &SyncRequest) -> usize {
    let beside = |other: &&Pod| is_active(other) && node_name(other) == node_name(pod);
    let counts = |other: &&Pod| request.related.iter().any(|selector| selects(selector, other));
    request.pods.iter().filter(beside).filter(counts).count()
}

fn goes_before((a, rank_a): (&Pod, usize), (b, rank_b): (&Pod, usize), now: Timestamp) -> bool {
    if node_name(a).is_none() != node_name(b).is_none() {
        return node_name(a).is_none();
    }
    let step = |pod| ["Pending", "Unknown", "Running"].iter().position(|known| *known == phase(pod)).unwrap_or(0);
    if step(a) != step(b) {
        return step(a) < step(b);
    }
    if is_ready(a) != is_ready(b) {
        return is_ready(b);
    }
    if deletion_cost(a) != deletion_cost(b) {
        return deletion_cost(a) < deletion_cost(b);
    }
    if rank_a != rank_b {
        return rank_a > rank_b;
    }
    let uids = a.metadata.uid < b.metadata.uid;
    if ready_since(a) != ready_since(b) {
        return younger(ready_since(a), ready_since(b), uids, now);
    }
    if max_restarts(a) != max_restarts(b) {
        return max_restarts(a) > max_restarts(b);
    }
    let created = |pod: &Pod| pod.metadata.creation_timestamp.as_ref().map(|time| time.0);
    created(a) != created(b) && younger(created(a), created(b), uids, now)
}

/// For two times that differ.
fn younger(a: Option<Timestamp>, b: Option<Timestamp>, uids: bool, now: Timestamp) -> bool {
    let (Some(a), Some(b)) = (a, b) else { return a.is_none() };
    // Doublings of one nanosecond until the age is passed.
    let scale = |time: Timestamp| (0..).take_while(|n| (1i128 << n) <= now.duration_since(time).as_nanos()).count();
    if scale(a) == scale(b) { uids } else { scale(a) < scale(b) }
}

kit::exercise!(Exercise: kit::workloads::ReplicaSetController);
