//! A release without a failed request: what the controller waits for, and what it does next.

use super::Asked;
use kit_contract::network::blue_green;

/// More sentences are too many.
const FEW: usize = 3;

pub fn blue_green(asked: &Asked<'_>) -> Option<Vec<String>> {
    match asked.call {
        "problems" => {
            let (plan, service) = (asked.arg("plan")?, asked.arg("service")?);
            Some(problems(&plan, &service, &asked.arg("template")?, &asked.answer::<Vec<blue_green::Problem>>()?))
        }
        "share" => Some(share(asked.arg("replicas")?, asked.arg("percent")?, asked.answer()?)),
        _ => next(&asked.arg("now")?, asked.answer::<Option<blue_green::Action>>()?.as_ref()),
    }
}

fn problems(
    plan: &blue_green::Plan,
    service: &blue_green::Service,
    template: &blue_green::Template,
    found: &[blue_green::Problem],
) -> Vec<String> {
    use blue_green::{Problem, TargetPort};
    let pre_stop = template.pre_stop_seconds.unwrap_or(0);
    let (grace, longest, settle) = (template.grace_seconds, template.longest_request_seconds, plan.settle_seconds);
    let mut said: Vec<String> = Vec::new();
    if plan.steps.is_empty() && (pre_stop < settle || grace < pre_stop.saturating_add(longest)) {
        said.push("Without steps no pod is stopped while it is selected, so preStop and grace don't matter.".into());
    }
    said.extend(found.iter().map(|problem| match problem {
        Problem::Labels => {
            format!("They need the label {}, with any value, and all else that the selector asks for.", plan.label)
        }
        Problem::NamedPort => match &service.target_port {
            TargetPort::Name(name) => format!("None of their ports has the name {name}."),
            TargetPort::Number(_) => "A name of a port must be one of theirs.".into(),
        },
        Problem::NoReadinessProbe => {
            "Without a readiness probe they count as ready as soon as their containers run.".into()
        }
        Problem::NotReadyPublished => "The Service publishes addresses that aren't ready.".into(),
        Problem::StopsTooSoon => format!(
            "The preStop hook takes {pre_stop} s, and a node may send connections for {settle} s after a change."
        ),
        Problem::KilledWhileServing => {
            format!(
                "The preStop hook takes {pre_stop} s and a request {longest} s, which is more than {grace} s of grace."
            )
        }
    }));
    if found.is_empty() {
        said.push("The selector finds them, and leads to their port only when a readiness probe says so.".into());
        if !plan.steps.is_empty() {
            said.push(format!(
                "The preStop hook takes {pre_stop} s, at least {settle}, and {grace} s of grace are enough for it and a request of {longest} s."
            ));
        }
    }
    said.truncate(FEW);
    said
}

fn share(replicas: u32, percent: u32, share: blue_green::Share) -> Vec<String> {
    if percent == 0 {
        return vec![format!("0 % takes no new pod, and {replicas} old ones serve.")];
    }
    let new = match u64::from(replicas) * u64::from(percent) / 100 {
        0 => format!("{percent} % of {replicas} is less than one pod, but one is needed."),
        _ => format!("{percent} % of {replicas} pods, rounded down, is {}.", share.new),
    };
    let diluted = (u64::from(share.new) * u64::from(100_u32.saturating_sub(percent))).div_ceil(u64::from(percent));
    let old = format!(
        "For {} to be at most {percent} % of all, {diluted} old ones are needed, and at least {replicas} pods together: so {} old ones.",
        share.new, share.old
    );
    vec![new, old]
}

/// Old and new pods of a step, as the contract counts them.
fn split(replicas: u32, percent: u32) -> (u32, u32) {
    if percent == 0 {
        return (replicas, 0);
    }
    let new = (replicas.saturating_mul(percent) / 100).max(1);
    let diluted = new.saturating_mul(100_u32.saturating_sub(percent)).div_ceil(percent);
    (replicas.saturating_sub(new).max(diluted), new)
}

fn next(now: &blue_green::Now, action: Option<&blue_green::Action>) -> Option<Vec<String>> {
    use blue_green::{Action, Reason};
    let blue_green::Now { plan, old, new, .. } = now;
    let forward = !now.rolling_back;
    let step = plan.steps.get(now.step).filter(|_| forward);
    let (goal_old, goal_new) = match step {
        _ if !forward => (plan.replicas, 0),
        Some(step) => split(plan.replicas, step.percent),
        None => (0, plan.replicas),
    };
    let goal = match step {
        _ if !forward => format!("It goes back, to {goal_old} old pods and no new ones."),
        Some(step) => format!("A step of {} % is {goal_old} old pods and {goal_new} new ones.", step.percent),
        None => format!("It goes to its end: {goal_new} new pods and no old ones."),
    };
    let (settle, drain, quiet) = (plan.settle_seconds, plan.drain_seconds, now.quiet_seconds);
    let why = match action {
        Some(Action::Refuse(_)) => {
            return Some(vec![
                "Unless it goes back, a release is refused while a template has problems: those of the new one first, then those of the old one.".into(),
            ]);
        }
        Some(Action::RollBack(reason)) => {
            let why = match reason {
                Reason::Errors => format!(
                    "{} % of the requests to the new version failed, and at most {} % may.",
                    now.errors_percent.unwrap_or_default(),
                    plan.max_errors_percent
                ),
                Reason::NotReady => {
                    "The selector leads to the new version alone, and none of its pods is ready.".into()
                }
                Reason::Deadline => format!(
                    "After {} s the deadline of {} s is reached, and the old version still has {} replicas.",
                    now.age_seconds, plan.deadline_seconds, old.replicas
                ),
            };
            return Some(vec![why]);
        }
        Some(Action::Select(_))
            if forward && plan.steps.is_empty() && !now.service.selector.contains_key(&plan.label) =>
        {
            format!(
                "The selector is without {}, and would lead to new pods as soon as they are ready: it is bound to the old version first.",
                plan.label
            )
        }
        Some(Action::Select(_)) => "What shall serve is ready, and the selector isn't as it should be.".into(),
        Some(Action::ScaleOld(to)) if *to > old.replicas => {
            format!(
                "The old version has {} replicas, too few, and that is mended before anything is taken away.",
                old.replicas
            )
        }
        Some(Action::ScaleOld(_)) => format!(
            "The old version has {} replicas, too many. The EndpointSlices are right, and have been for {quiet} s, long enough for all that must be waited for.",
            old.replicas
        ),
        Some(Action::ScaleNew(to)) if forward => format!(
            "Enough old pods are ready, and the new version has {} replicas where it should have {to}.",
            new.replicas
        ),
        Some(Action::ScaleNew(_)) => format!(
            "The EndpointSlices are right, and have been for {quiet} s. New pods with {} connections may go without any, or after {drain} s.",
            new.connections
        ),
        Some(Action::NextStep) => {
            let pause = step.map(|step| step.pause_seconds).unwrap_or_default();
            format!("All is as it should be, and hasn't changed for {quiet} s of a pause of {pause} s.")
        }
        Some(Action::RolledBack | Action::Done) => "All is as it should be: replicas, pods and the selector.".into(),
        None if old.ready < goal_old => format!("Only {} old pods are ready, so it waits.", old.ready),
        None if forward && new.ready != goal_new => format!("{} new pods are ready, so it waits.", new.ready),
        None if quiet < settle => {
            format!("The EndpointSlices changed {quiet} s ago, and a node may take {settle} s to follow: it waits.")
        }
        None if !is_shown(now) => "The EndpointSlices don't show yet what is ready and selected, so it waits.".into(),
        None if forward && now.errors_percent.is_none() => {
            "Nothing was measured of the new version, and so nothing is taken away.".into()
        }
        None if old.replicas > goal_old => format!(
            "Before the old version goes, its {} connections must end or {drain} s pass, and it is kept for {} s; {quiet} s are over.",
            old.connections, plan.bake_seconds
        ),
        None if new.replicas > goal_new => format!(
            "Before the new version goes, its {} connections must end or {drain} s pass; {quiet} s are over.",
            new.connections
        ),
        None if (old.pods, new.pods) != (goal_old, goal_new) => {
            format!("There are {} old pods and {} new ones, those that stop included: it waits.", old.pods, new.pods)
        }
        None => {
            let pause = step?.pause_seconds;
            format!("The pause is {pause} s, and the EndpointSlices changed {quiet} s ago.")
        }
    };
    Some(vec![goal, why])
}

/// Whether the EndpointSlices show what is ready and selected.
fn is_shown(now: &blue_green::Now) -> bool {
    let shown = |version: &blue_green::Version| {
        let labels = &version.template.labels;
        let selected = now.service.selector.iter().all(|(key, value)| labels.get(key) == Some(value));
        if selected { version.ready } else { 0 }
    };
    (now.published.old, now.published.new) == (shown(&now.old), shown(&now.new))
}
