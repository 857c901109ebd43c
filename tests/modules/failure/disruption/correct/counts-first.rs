//! Passes: it counts pods by what they are, in one pass into a table, and takes all numbers from there.

use kit::failure::Disruption;
use kit::failure::disruption::{
    Amount, Budget, Event, EvictionRequest, Expected, Failure, Phase, Pod, Reason, SyncRequest, SyncResult,
    UnhealthyPodPolicy, Verdict, Workload,
};
use std::collections::HashMap;

#[derive(Default)]
struct Exercise;

/// What an eviction left behind.
enum Mark {
    None,
    Goes { since: i64, left: i64 },
    Late,
}

fn mark(budget: &Budget, pod: &Pod, now: i64) -> Mark {
    match budget.status.disrupted_pods.get(&pod.name) {
        Some(&since) if now - since <= 120 => Mark::Goes { since, left: 120 - (now - since) },
        Some(_) => Mark::Late,
        None => Mark::None,
    }
}

impl Disruption for Exercise {
    fn expected(&self, budget: &Budget, pods: &[Pod], workloads: &[Workload]) -> Result<Expected, Failure> {
        let by_workload = match (&budget.max_unavailable, &budget.min_available) {
            (None, None) => return Ok(Expected::default()),
            (None, Some(Amount::Pods(healthy))) => {
                return Ok(Expected { pods: pods.len() as i64, healthy: *healthy, ..Expected::default() });
            }
            _ => true,
        };
        let table: HashMap<&String, usize> =
            workloads.iter().enumerate().map(|(place, workload)| (&workload.uid, place)).collect();
        let mut used = vec![false; workloads.len()];
        let mut unmanaged = false;
        for pod in pods.iter().filter(|_| by_workload) {
            let Some(uid) = &pod.controller else {
                unmanaged = true;
                continue;
            };
            let place = *table.get(uid).ok_or_else(|| Failure::NoController { pod: pod.name.clone() })?;
            let above = workloads[place].deployment.as_ref().and_then(|uid| table.get(uid).copied());
            let place = above.unwrap_or(place);
            if workloads[place].replicas.is_none() {
                return Err(Failure::NoScale { kind: workloads[place].kind.clone() });
            }
            used[place] = true;
        }
        let counted = workloads.iter().zip(used).filter(|(_, used)| *used);
        let pods: i64 = counted.filter_map(|(workload, _)| workload.replicas).sum();
        let number = |amount: &Amount| match amount {
            Amount::Pods(pods) => *pods,
            Amount::Percent(percent) => {
                let whole = pods / 100 * percent;
                let rest = pods % 100 * percent;
                whole + rest / 100 + if rest % 100 > 0 { 1 } else { 0 }
            }
        };
        let least = budget.min_available.as_ref().map(number);
        let most = budget.max_unavailable.as_ref().map(number);
        let healthy = most.map(|most| if most < pods { pods - most } else { 0 }).or(least).unwrap_or(0);
        Ok(Expected { pods, healthy, unmanaged })
    }

    fn sync(&self, request: &SyncRequest) -> SyncResult {
        let SyncRequest { budget, pods, workloads, now_seconds: now } = request;
        let mut events = Vec::new();
        let mut status = budget.status.clone();
        let expected = self.expected(budget, pods, workloads);
        events.extend(Some(Event::NoPods).filter(|_| pods.is_empty()));
        if let Err(failure) = expected {
            events.push(Event::CalculateExpectedPodCountFailed(failure));
            (status.disruptions_allowed, status.condition) = (0, Some(Reason::SyncFailed));
            return SyncResult { status, events, again_after_seconds: None };
        }
        let expected = expected.unwrap_or_default();
        events.extend(Some(Event::UnmanagedPods).filter(|_| expected.unmanaged));
        status.disrupted_pods.clear();
        let mut lefts = Vec::new();
        let (mut ready, mut ready_but_gone) = (0, 0);
        for pod in pods.iter().filter(|pod| !pod.deleting) {
            ready += i64::from(pod.ready);
            match mark(budget, pod, *now) {
                Mark::None => {}
                Mark::Late => events.push(Event::NotDeleted { pod: pod.name.clone() }),
                Mark::Goes { since, left } => {
                    status.disrupted_pods.insert(pod.name.clone(), since);
                    lefts.push(left);
                    ready_but_gone += i64::from(pod.ready && left > 0);
                }
            }
        }
        lefts.sort_unstable();
        status.observed_generation = budget.generation;
        status.expected_pods = expected.pods;
        status.desired_healthy = expected.healthy;
        status.current_healthy = ready - ready_but_gone;
        let spare = status.current_healthy - status.desired_healthy;
        status.disruptions_allowed = if spare > 0 && expected.pods >= 1 { spare } else { 0 };
        let enough = status.disruptions_allowed != 0;
        status.condition = Some(if enough { Reason::SufficientPods } else { Reason::InsufficientPods });
        SyncResult { status, events, again_after_seconds: lefts.first().copied() }
    }

    fn evict(&self, request: &EvictionRequest) -> Verdict {
        let EvictionRequest { pod, budgets, dry_run, now_seconds } = request;
        let harmless = match pod.phase {
            Phase::Pending | Phase::Succeeded | Phase::Failed => true,
            Phase::Running | Phase::Unknown => pod.deleting,
        };
        let refuse = |code: u16, why: String| Verdict::Refuse { code, why, retry_after_seconds: 0 };
        match budgets.as_slice() {
            _ if harmless => Verdict::Delete,
            [] => Verdict::Delete,
            [Budget { name, generation, unhealthy_pods, status, .. }] => {
                let (has, needs) = (status.current_healthy, status.desired_healthy);
                let enough = needs > 0 && has >= needs;
                if !pod.ready && (enough || *unhealthy_pods == UnhealthyPodPolicy::AlwaysAllow) {
                    return Verdict::Delete;
                }
                if *generation > status.observed_generation {
                    let why = format!("The disruption budget {name} is still being processed by the server.");
                    return Verdict::Refuse { code: 429, why, retry_after_seconds: 10 };
                }
                match (status.disruptions_allowed, status.disrupted_pods.len()) {
                    (i64::MIN..=-1, _) => refuse(403, "pdb disruptions allowed is negative".into()),
                    (_, 2001..) => {
                        let why = "DisruptedPods map too big - too many evictions not confirmed by PDB controller";
                        refuse(403, why.into())
                    }
                    (0, _) => refuse(
                        429,
                        format!("The disruption budget {name} needs {needs} healthy pods and has {has} currently"),
                    ),
                    _ if *dry_run => Verdict::Delete,
                    (allowed, _) => {
                        let mut status = status.clone();
                        status.disruptions_allowed = allowed - 1;
                        status.disrupted_pods.extend([(pod.name.clone(), *now_seconds)]);
                        if allowed == 1 {
                            status.condition = Some(Reason::InsufficientPods);
                        }
                        Verdict::Charge { status }
                    }
                }
            }
            _ => {
                let text =
                    "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
                refuse(500, text.into())
            }
        }
    }
}

kit::exercise!(Exercise: Disruption);
