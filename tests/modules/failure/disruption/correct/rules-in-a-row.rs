//! Passes: it goes through the rules one by one, with loops and early returns, and counts by hand.

use kit::failure::Disruption;
use kit::failure::disruption::{
    Amount, Budget, Event, EvictionRequest, Expected, Failure, Phase, Pod, Reason, SyncRequest, SyncResult,
    UnhealthyPodPolicy, Verdict, Workload,
};
use std::collections::HashSet;

#[derive(Default)]
struct Exercise;

fn asked_for(pods: &[Pod], workloads: &[Workload]) -> Result<i64, Failure> {
    let mut seen = HashSet::new();
    let mut sum = 0;
    for pod in pods {
        let Some(uid) = pod.controller.as_deref() else { continue };
        let mut found = None;
        for workload in workloads {
            if workload.uid == uid {
                found = Some(workload);
            }
        }
        let Some(mut workload) = found else { return Err(Failure::NoController { pod: pod.name.clone() }) };
        for other in workloads {
            if Some(&other.uid) == workload.deployment.as_ref() {
                workload = other;
                break;
            }
        }
        let Some(replicas) = workload.replicas else { return Err(Failure::NoScale { kind: workload.kind.clone() }) };
        if seen.insert(workload.uid.as_str()) {
            sum += replicas;
        }
    }
    Ok(sum)
}

fn share(percent: i64, of: i64) -> i64 {
    let exact = percent * of;
    exact / 100 + i64::from(exact % 100 != 0)
}

impl Disruption for Exercise {
    fn expected(&self, budget: &Budget, pods: &[Pod], workloads: &[Workload]) -> Result<Expected, Failure> {
        if budget.max_unavailable.is_none() {
            match budget.min_available {
                None => return Ok(Expected { pods: 0, healthy: 0, unmanaged: false }),
                Some(Amount::Pods(healthy)) => {
                    return Ok(Expected { pods: pods.iter().map(|_| 1).sum(), healthy, unmanaged: false });
                }
                Some(Amount::Percent(_)) => {}
            }
        }
        let wanted = asked_for(pods, workloads)?;
        let mut expected = Expected { pods: wanted, healthy: 0, unmanaged: false };
        for pod in pods {
            expected.unmanaged |= pod.controller.is_none();
        }
        expected.healthy = match (budget.max_unavailable, budget.min_available) {
            (Some(Amount::Pods(missing)), _) if missing > wanted => 0,
            (Some(Amount::Pods(missing)), _) => wanted - missing,
            (Some(Amount::Percent(percent)), _) if percent > 100 => 0,
            (Some(Amount::Percent(percent)), _) => wanted - share(percent, wanted),
            (None, Some(Amount::Percent(percent))) => share(percent, wanted),
            _ => 0,
        };
        Ok(expected)
    }

    fn sync(&self, request: &SyncRequest) -> SyncResult {
        let mut result = SyncResult { status: request.budget.status.clone(), ..SyncResult::default() };
        if request.pods.is_empty() {
            result.events.push(Event::NoPods);
        }
        let expected = match self.expected(&request.budget, &request.pods, &request.workloads) {
            Ok(expected) => expected,
            Err(failure) => {
                result.events.push(Event::CalculateExpectedPodCountFailed(failure));
                result.status.disruptions_allowed = 0;
                result.status.condition = Some(Reason::SyncFailed);
                return result;
            }
        };
        if expected.unmanaged {
            result.events.push(Event::UnmanagedPods);
        }
        let old = std::mem::take(&mut result.status.disrupted_pods);
        let mut healthy = 0;
        for pod in &request.pods {
            if pod.deleting {
                continue;
            }
            let mut gone = false;
            if let Some(since) = old.get(&pod.name) {
                let age = request.now_seconds - since;
                if age > 120 {
                    result.events.push(Event::NotDeleted { pod: pod.name.clone() });
                } else {
                    gone = age < 120;
                    result.status.disrupted_pods.insert(pod.name.clone(), *since);
                    let left = 120 - age;
                    if result.again_after_seconds.is_none_or(|least| left < least) {
                        result.again_after_seconds = Some(left);
                    }
                }
            }
            if pod.ready && !gone {
                healthy += 1;
            }
        }
        let status = &mut result.status;
        status.observed_generation = request.budget.generation;
        status.expected_pods = expected.pods;
        status.desired_healthy = expected.healthy;
        status.current_healthy = healthy;
        status.disruptions_allowed = 0;
        status.condition = Some(Reason::InsufficientPods);
        if expected.pods > 0 && healthy > expected.healthy {
            status.disruptions_allowed = healthy - expected.healthy;
            status.condition = Some(Reason::SufficientPods);
        }
        result
    }

    fn evict(&self, request: &EvictionRequest) -> Verdict {
        let pod = &request.pod;
        let runs = matches!(pod.phase, Phase::Running | Phase::Unknown);
        if !runs || pod.deleting || request.budgets.is_empty() {
            return Verdict::Delete;
        }
        let no =
            |code, seconds, why: &str| Verdict::Refuse { code, why: why.to_string(), retry_after_seconds: seconds };
        if request.budgets.len() > 1 {
            let why =
                "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
            return no(500, 0, why);
        }
        let budget = &request.budgets[0];
        let mut status = budget.status.clone();
        if !pod.ready {
            if budget.unhealthy_pods == UnhealthyPodPolicy::AlwaysAllow {
                return Verdict::Delete;
            }
            if status.desired_healthy > 0 && status.desired_healthy <= status.current_healthy {
                return Verdict::Delete;
            }
        }
        if budget.generation > status.observed_generation {
            let why = format!("The disruption budget {} is still being processed by the server.", budget.name);
            return no(429, 10, &why);
        }
        if status.disruptions_allowed < 0 {
            return no(403, 0, "pdb disruptions allowed is negative");
        }
        if status.disrupted_pods.len() >= 2001 {
            return no(403, 0, "DisruptedPods map too big - too many evictions not confirmed by PDB controller");
        }
        if status.disruptions_allowed < 1 {
            let why = format!(
                "The disruption budget {} needs {} healthy pods and has {} currently",
                budget.name, status.desired_healthy, status.current_healthy
            );
            return no(429, 0, &why);
        }
        if request.dry_run {
            return Verdict::Delete;
        }
        if status.disruptions_allowed == 1 {
            status.condition = Some(Reason::InsufficientPods);
        }
        status.disruptions_allowed -= 1;
        status.disrupted_pods.insert(pod.name.clone(), request.now_seconds);
        Verdict::Charge { status }
    }
}

kit::exercise!(Exercise: Disruption);
