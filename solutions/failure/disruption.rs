//! The reference for `failure/disruption`.
//!
//! The names in parentheses are those of `pkg/controller/disruption/disruption.go` and
//! `pkg/registry/core/pod/storage/eviction.go`.

use kit::failure::Disruption;
use kit::failure::disruption::{
    Amount, Budget, DELETION_TIMEOUT_SECONDS, Event, EvictionRequest, Expected, Failure, MAX_DISRUPTED_PODS, Phase,
    Pod, RETRY_SECONDS, Reason, Status, SyncRequest, SyncResult, UnhealthyPodPolicy, Verdict, Workload,
};
use std::collections::BTreeMap;

// ANCHOR: solution
/// It remembers nothing: all that it knows is in the question.
#[derive(Default)]
pub struct Exercise;

impl Disruption for Exercise {
    // ANCHOR: expected
    fn expected(&self, budget: &Budget, pods: &[Pod], workloads: &[Workload]) -> Result<Expected, Failure> {
        Ok(match (&budget.max_unavailable, &budget.min_available) {
            (Some(most), _) => {
                let (pods, unmanaged) = scale(pods, workloads)?;
                Expected { pods, healthy: (pods - of(most, pods)).max(0), unmanaged }
            }
            // This one is about pods that are there, whoever asked for them.
            (None, Some(Amount::Pods(healthy))) => Expected { pods: count(pods), healthy: *healthy, unmanaged: false },
            (None, Some(least)) => {
                let (pods, unmanaged) = scale(pods, workloads)?;
                Expected { pods, healthy: of(least, pods), unmanaged }
            }
            (None, None) => Expected::default(),
        })
    }
    // ANCHOR_END: expected

    fn sync(&self, request: &SyncRequest) -> SyncResult {
        let SyncRequest { budget, pods, workloads, now_seconds } = request;
        let mut events: Vec<Event> = pods.is_empty().then_some(Event::NoPods).into_iter().collect();
        let expected = match self.expected(budget, pods, workloads) {
            Ok(expected) => expected,
            Err(failure) => {
                events.push(Event::CalculateExpectedPodCountFailed(failure));
                let status = fail_safe(&budget.status);
                return SyncResult { status, events, again_after_seconds: None };
            }
        };
        events.extend(expected.unmanaged.then_some(Event::UnmanagedPods));

        let staying = || pods.iter().filter(|pod| !pod.deleting);
        let mut disrupted_pods = BTreeMap::new();
        for pod in staying() {
            match budget.status.disrupted_pods.get(&pod.name) {
                Some(since) if since + DELETION_TIMEOUT_SECONDS < *now_seconds => {
                    events.push(Event::NotDeleted { pod: pod.name.clone() });
                }
                Some(since) => _ = disrupted_pods.insert(pod.name.clone(), *since),
                None => {}
            }
        }
        let left = |since: &i64| since + DELETION_TIMEOUT_SECONDS - now_seconds;
        let again_after_seconds = disrupted_pods.values().map(left).min();

        let goes = |pod: &&Pod| disrupted_pods.get(&pod.name).is_some_and(|since| left(since) > 0);
        let current_healthy = staying().filter(|pod| pod.ready && !goes(pod)).count() as i64;
        let allowed = if expected.pods > 0 { (current_healthy - expected.healthy).max(0) } else { 0 };
        let status = Status {
            observed_generation: budget.generation,
            expected_pods: expected.pods,
            desired_healthy: expected.healthy,
            current_healthy,
            disruptions_allowed: allowed,
            disrupted_pods,
            condition: Some(if allowed > 0 { Reason::SufficientPods } else { Reason::InsufficientPods }),
        };
        SyncResult { status, events, again_after_seconds }
    }

    // ANCHOR: evict
    fn evict(&self, request: &EvictionRequest) -> Verdict {
        let EvictionRequest { pod, budgets, dry_run, now_seconds } = request;
        // What is over, not begun, or going anyway disrupts nothing (`canIgnorePDB`).
        if matches!(pod.phase, Phase::Pending | Phase::Succeeded | Phase::Failed) || pod.deleting {
            return Verdict::Delete;
        }
        let (name, status) = match budgets.as_slice() {
            [] => return Verdict::Delete,
            [budget] if !pod.ready && may_go_unready(budget) => return Verdict::Delete,
            [Budget { name, generation, status, .. }] if status.observed_generation < *generation => {
                let why = format!("The disruption budget {name} is still being processed by the server.");
                return refuse(429, why, RETRY_SECONDS);
            }
            [Budget { name, status, .. }] => (name, status),
            _ => {
                let why =
                    "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
                return refuse(500, why.into(), 0);
            }
        };
        if status.disruptions_allowed < 0 {
            return refuse(403, "pdb disruptions allowed is negative".into(), 0);
        }
        if status.disrupted_pods.len() > MAX_DISRUPTED_PODS {
            let why = "DisruptedPods map too big - too many evictions not confirmed by PDB controller";
            return refuse(403, why.into(), 0);
        }
        if status.disruptions_allowed == 0 {
            let Status { desired_healthy, current_healthy, .. } = status;
            let why = format!(
                "The disruption budget {name} needs {desired_healthy} healthy pods and has {current_healthy} currently"
            );
            return refuse(429, why, 0);
        }
        if *dry_run {
            return Verdict::Delete;
        }
        let mut status = status.clone();
        status.disruptions_allowed -= 1;
        status.disrupted_pods.insert(pod.name.clone(), *now_seconds);
        if status.disruptions_allowed == 0 {
            status.condition = Some(Reason::InsufficientPods);
        }
        Verdict::Charge { status }
    }
    // ANCHOR_END: evict
}

/// How many pods their workloads ask for, and whether there are pods without one (`getExpectedScale`).
fn scale(pods: &[Pod], workloads: &[Workload]) -> Result<(i64, bool), Failure> {
    let find = |uid: &String| workloads.iter().find(|workload| workload.uid == *uid);
    let mut scales = BTreeMap::new();
    for pod in pods {
        let Some(controller) = &pod.controller else { continue };
        let no_controller = || Failure::NoController { pod: pod.name.clone() };
        let controller = find(controller).ok_or_else(no_controller)?;
        // A ReplicaSet asks for what its Deployment lets it have, and during a rollout there are two of them.
        let workload = controller.deployment.as_ref().and_then(find).unwrap_or(controller);
        let no_scale = || Failure::NoScale { kind: workload.kind.clone() };
        scales.insert(&workload.uid, workload.replicas.ok_or_else(no_scale)?);
    }
    Ok((scales.values().sum(), pods.iter().any(|pod| pod.controller.is_none())))
}

/// So many of these pods; shares are rounded up.
fn of(amount: &Amount, pods: i64) -> i64 {
    match amount {
        Amount::Pods(pods) => *pods,
        Amount::Percent(percent) => (percent * pods + 99) / 100,
    }
}

fn count(pods: &[Pod]) -> i64 {
    pods.len() as i64
}

/// What can't be counted may not be disrupted (`failSafe`).
fn fail_safe(status: &Status) -> Status {
    Status { disruptions_allowed: 0, condition: Some(Reason::SyncFailed), ..status.clone() }
}

/// Whether a pod that isn't ready may go without being counted.
fn may_go_unready(budget: &Budget) -> bool {
    let Status { current_healthy, desired_healthy, .. } = budget.status;
    budget.unhealthy_pods == UnhealthyPodPolicy::AlwaysAllow
        || current_healthy >= desired_healthy && desired_healthy > 0
}

fn refuse(code: u16, why: String, retry_after_seconds: u32) -> Verdict {
    Verdict::Refuse { code, why, retry_after_seconds }
}
// ANCHOR_END: solution
