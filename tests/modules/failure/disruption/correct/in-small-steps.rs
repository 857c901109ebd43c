//! Passes: each step is a function that may say no, and `?` joins them; the verdict of an eviction is an error that is none.

use kit::failure::Disruption;
use kit::failure::disruption::{
    Amount, Budget, DELETION_TIMEOUT_SECONDS, Event, EvictionRequest, Expected, Failure, MAX_DISRUPTED_PODS, Phase,
    Pod, RETRY_SECONDS, Reason, Status, SyncRequest, SyncResult, UnhealthyPodPolicy, Verdict, Workload,
};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Default)]
struct Exercise;

/// Workloads by their uids.
struct Index<'a>(BTreeMap<&'a str, &'a Workload>);

impl<'a> Index<'a> {
    fn of(workloads: &'a [Workload]) -> Self {
        Index(workloads.iter().map(|workload| (workload.uid.as_str(), workload)).collect())
    }

    fn top(&self, uid: &str) -> Option<&'a Workload> {
        let lower = self.0.get(uid)?;
        let upper = lower.deployment.as_deref().and_then(|uid| self.0.get(uid));
        Some(upper.unwrap_or(lower))
    }

    fn scale(&self, pods: &[Pod]) -> Result<i64, Failure> {
        let tops: Vec<&Workload> = pods
            .iter()
            .filter_map(|pod| Some((pod, pod.controller.as_deref()?)))
            .map(|(pod, uid)| {
                let top = self.top(uid).ok_or(Failure::NoController { pod: pod.name.clone() })?;
                top.replicas.map(|_| top).ok_or(Failure::NoScale { kind: top.kind.clone() })
            })
            .collect::<Result<_, _>>()?;
        let once: BTreeSet<(&str, i64)> =
            tops.iter().map(|top| (top.uid.as_str(), top.replicas.unwrap_or_default())).collect();
        Ok(once.into_iter().map(|(_, replicas)| replicas).sum())
    }
}

/// Negated, what is rounded down is rounded up.
fn amount(amount: Amount, of: i64) -> i64 {
    match amount {
        Amount::Pods(pods) => pods,
        Amount::Percent(percent) => -(-percent * of).div_euclid(100),
    }
}

impl Disruption for Exercise {
    fn expected(&self, budget: &Budget, pods: &[Pod], workloads: &[Workload]) -> Result<Expected, Failure> {
        let there = i64::try_from(pods.len()).unwrap_or(i64::MAX);
        let scale = || Index::of(workloads).scale(pods);
        let unmanaged = pods.iter().any(|pod| pod.controller.is_none());
        let (pods, healthy, unmanaged) = match (budget.min_available, budget.max_unavailable) {
            (None, None) => (0, 0, false),
            (Some(Amount::Pods(healthy)), None) => (there, healthy, false),
            (Some(least), None) => {
                let scale = scale()?;
                (scale, amount(least, scale), unmanaged)
            }
            (_, Some(most)) => {
                let scale = scale()?;
                (scale, 0.max(scale - amount(most, scale)), unmanaged)
            }
        };
        Ok(Expected { pods, healthy, unmanaged })
    }

    fn sync(&self, request: &SyncRequest) -> SyncResult {
        let budget = &request.budget;
        let empty = request.pods.is_empty().then_some(Event::NoPods);
        let expected = match self.expected(budget, &request.pods, &request.workloads) {
            Err(why) => {
                let failed = Event::CalculateExpectedPodCountFailed(why);
                let condition = Some(Reason::SyncFailed);
                return SyncResult {
                    status: Status { disruptions_allowed: 0, condition, ..budget.status.clone() },
                    events: empty.into_iter().chain([failed]).collect(),
                    again_after_seconds: None,
                };
            }
            Ok(expected) => expected,
        };
        let until =
            |pod: &Pod| budget.status.disrupted_pods.get(&pod.name).map(|since| since + DELETION_TIMEOUT_SECONDS);
        let (stay, _): (Vec<&Pod>, Vec<&Pod>) = request.pods.iter().partition(|pod| !pod.deleting);
        let (late, other): (Vec<&Pod>, Vec<&Pod>) =
            stay.iter().partition(|pod| until(pod).is_some_and(|until| request.now_seconds > until));
        let waiting: Vec<(&Pod, i64)> = other.iter().filter_map(|pod| Some((*pod, until(pod)?))).collect();
        let gone: BTreeSet<&str> = waiting
            .iter()
            .filter(|(_, until)| *until > request.now_seconds)
            .map(|(pod, _)| pod.name.as_str())
            .collect();
        let current_healthy = stay.iter().filter(|pod| pod.ready && !gone.contains(pod.name.as_str())).count() as i64;
        let spare = current_healthy.saturating_sub(expected.healthy);
        let disruptions_allowed = if expected.pods == 0 || spare < 0 { 0 } else { spare };
        let not_deleted = late.iter().map(|pod| Event::NotDeleted { pod: pod.name.clone() });
        SyncResult {
            status: Status {
                observed_generation: budget.generation,
                expected_pods: expected.pods,
                desired_healthy: expected.healthy,
                current_healthy,
                disruptions_allowed,
                disrupted_pods: waiting
                    .iter()
                    .map(|(pod, until)| (pod.name.clone(), until - DELETION_TIMEOUT_SECONDS))
                    .collect(),
                condition: Some(match disruptions_allowed {
                    0 => Reason::InsufficientPods,
                    _ => Reason::SufficientPods,
                }),
            },
            events: not_deleted.chain(empty).chain(expected.unmanaged.then_some(Event::UnmanagedPods)).collect(),
            again_after_seconds: waiting.iter().map(|(_, until)| until - request.now_seconds).min(),
        }
    }

    fn evict(&self, request: &EvictionRequest) -> Verdict {
        match check(request) {
            Ok(status) => Verdict::Charge { status },
            Err(verdict) => verdict,
        }
    }
}

fn refuse(code: u16, why: impl Into<String>, retry_after_seconds: u32) -> Verdict {
    Verdict::Refuse { code, why: why.into(), retry_after_seconds }
}

fn stop_if(stops: bool, verdict: Verdict) -> Result<(), Verdict> {
    if stops { Err(verdict) } else { Ok(()) }
}

fn check(request: &EvictionRequest) -> Result<Status, Verdict> {
    let pod = &request.pod;
    stop_if(pod.deleting || [Phase::Pending, Phase::Failed, Phase::Succeeded].contains(&pod.phase), Verdict::Delete)?;
    let budget = request.budgets.first().ok_or(Verdict::Delete)?;
    let several = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
    stop_if(request.budgets.get(1).is_some(), refuse(500, several, 0))?;
    let before = &budget.status;
    let free = match budget.unhealthy_pods {
        UnhealthyPodPolicy::AlwaysAllow => !pod.ready,
        UnhealthyPodPolicy::IfHealthyBudget => {
            !pod.ready && before.desired_healthy >= 1 && before.current_healthy >= before.desired_healthy
        }
    };
    stop_if(free, Verdict::Delete)?;
    let name = &budget.name;
    let unseen = format!("The disruption budget {name} is still being processed by the server.");
    stop_if(before.observed_generation < budget.generation, refuse(429, unseen, RETRY_SECONDS))?;
    stop_if(before.disruptions_allowed < 0, refuse(403, "pdb disruptions allowed is negative", 0))?;
    let many = "DisruptedPods map too big - too many evictions not confirmed by PDB controller";
    stop_if(before.disrupted_pods.len() > MAX_DISRUPTED_PODS, refuse(403, many, 0))?;
    let (needs, has) = (before.desired_healthy, before.current_healthy);
    let none = format!("The disruption budget {name} needs {needs} healthy pods and has {has} currently");
    stop_if(before.disruptions_allowed == 0, refuse(429, none, 0))?;
    stop_if(request.dry_run, Verdict::Delete)?;
    let disruptions_allowed = before.disruptions_allowed - 1;
    let mut disrupted_pods = before.disrupted_pods.clone();
    disrupted_pods.insert(pod.name.clone(), request.now_seconds);
    let condition = if disruptions_allowed > 0 { before.condition } else { Some(Reason::InsufficientPods) };
    Ok(Status { disruptions_allowed, disrupted_pods, condition, ..before.clone() })
}

kit::exercise!(Exercise: Disruption);
