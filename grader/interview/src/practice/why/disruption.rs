//! Budgets and evictions.

use super::Asked;
use kit_contract::failure::disruption::{
    Amount, Budget, EvictionRequest, Expected, Failure, Phase, Pod, Reason, SyncRequest, SyncResult,
    UnhealthyPodPolicy, Verdict,
};

pub fn disruption(asked: &Asked<'_>) -> Option<Vec<String>> {
    match asked.call {
        "expected" => {
            let answer: Result<Expected, Failure> = asked.answer()?;
            Some(vec![expected(&asked.arg("budget")?, &answer)])
        }
        "sync" => sync(&asked.arg("request")?, &asked.answer()?),
        _ => evict(&asked.arg("request")?, &asked.answer()?),
    }
}

/// Where the two numbers come from.
fn expected(budget: &Budget, answer: &Result<Expected, Failure>) -> String {
    let Expected { pods, healthy, .. } = match answer {
        Ok(expected) => expected,
        Err(Failure::NoController { pod }) => {
            return format!(
                "The controller of {pod} is not among the workloads, so nobody can tell how many pods there should be."
            );
        }
        Err(Failure::NoScale { kind }) => {
            return format!("A {kind} has no scale, so nobody can tell how many pods there should be.");
        }
    };
    match (&budget.max_unavailable, &budget.min_available) {
        (Some(Amount::Pods(most)), _) => {
            format!(
                "The workloads ask for {pods} pods, a Deployment once for all its ReplicaSets. {most} of them may be missing, so {healthy} must be healthy."
            )
        }
        (Some(Amount::Percent(most)), _) => {
            format!(
                "The workloads ask for {pods} pods. {most}% of them, rounded up, may be missing, so {healthy} must be healthy."
            )
        }
        (None, Some(Amount::Pods(least))) => {
            format!(
                "A number in minAvailable is about the {pods} pods that are there, whoever asked for them: {least} must be healthy."
            )
        }
        (None, Some(Amount::Percent(least))) => {
            format!("The workloads ask for {pods} pods, and {least}% of these, rounded up, must be healthy: {healthy}.")
        }
        (None, None) => "The budget has neither minAvailable nor maxUnavailable: it expects nothing.".into(),
    }
}

fn sync(request: &SyncRequest, answer: &SyncResult) -> Option<Vec<String>> {
    let status = &answer.status;
    if status.condition == Some(Reason::SyncFailed) {
        let why = "The pods can't be counted, since a controller is missing or has no scale. So nothing may be disrupted, and the other numbers stay as they were.";
        return Some(vec![why.into()]);
    }
    let (pods, healthy) = (status.expected_pods, status.desired_healthy);
    let expected = Ok(Expected { pods, healthy, unmanaged: false });
    let ready = request.pods.iter().filter(|pod| pod.ready && !pod.deleting).count();
    let mut said = vec![self::expected(&request.budget, &expected)];
    said.push(format!(
        "{ready} pods are ready and not being deleted. Without those that were evicted less than 120 s ago {} are healthy, and {} may go.",
        status.current_healthy, status.disruptions_allowed
    ));
    Some(said)
}

/// The rule that decides.
fn evict(request: &EvictionRequest, verdict: &Verdict) -> Option<Vec<String>> {
    let EvictionRequest { pod, budgets, dry_run, .. } = request;
    let Pod { name, phase, .. } = pod;
    let said = match (verdict, budgets.as_slice()) {
        (Verdict::Delete, _) if pod.deleting => format!("{name} is being deleted anyway: nobody asks a budget."),
        (Verdict::Delete, _) if matches!(phase, Phase::Pending | Phase::Succeeded | Phase::Failed) => {
            format!("{name} is {phase:?}, so that its eviction disrupts nothing: nobody asks a budget.")
        }
        (Verdict::Delete, []) => format!("No budget selects {name}."),
        (Verdict::Delete, [budget]) if !pod.ready && budget.unhealthy_pods == UnhealthyPodPolicy::AlwaysAllow => {
            format!("{name} isn't ready, and the budget says AlwaysAllow. That comes before all numbers.")
        }
        (Verdict::Delete, [_]) if *dry_run => {
            "A dry run is judged like any other eviction, and charges nothing.".into()
        }
        (Verdict::Delete, [budget]) => {
            let (has, needs) = (budget.status.current_healthy, budget.status.desired_healthy);
            format!("{name} isn't ready, and {has} others are healthy where {needs} must be: it may go for nothing.")
        }
        (Verdict::Delete, _) => return None,
        (Verdict::Charge { status }, _) => {
            format!(
                "One disruption is taken, {} are left, and {name} is noted until its deletion is seen. The other numbers are the controller's.",
                status.disruptions_allowed
            )
        }
        (Verdict::Refuse { code: 500, .. }, _) => {
            format!("Two budgets select {name}, and no write could charge both.")
        }
        (Verdict::Refuse { code: 403, .. }, _) => {
            "A negative number, or more than 2000 disrupted pods, means that something is broken: 403.".into()
        }
        (Verdict::Refuse { .. }, [budget]) if budget.status.observed_generation < budget.generation => format!(
            "The status is about generation {} and the budget is at {}: its numbers say nothing. Ask again in 10 seconds.",
            budget.status.observed_generation, budget.generation
        ),
        (Verdict::Refuse { .. }, _) => {
            "No disruption is left, and nothing lets this pod go without one: 429, and nobody can tell for how long."
                .into()
        }
    };
    Some(vec![said])
}
