//! The reference for `network/blue_green`: bring up what shall serve, switch, wait until everybody knows, and only then take away.

use kit::network::Release;
use kit::network::blue_green::{
    Action, Labels, Now, Plan, Problem, Reason, Service, Share, TargetPort, Template, Version,
};

// ANCHOR: solution
/// It remembers nothing: whoever takes over a release in the middle finds all it needs in the objects.
#[derive(Default)]
pub struct Exercise;

impl Release for Exercise {
    fn problems(&self, plan: &Plan, service: &Service, template: &Template) -> Vec<Problem> {
        let is_found = template.labels.contains_key(&plan.label)
            && without(&service.selector, &plan.label)
                .iter()
                .all(|(key, value)| template.labels.get(key) == Some(value));
        let has_port = match &service.target_port {
            TargetPort::Number(_) => true,
            TargetPort::Name(name) => template.ports.contains(name),
        };
        let stops_while_selected = !plan.steps.is_empty();
        let pre_stop = template.pre_stop_seconds.unwrap_or(0);
        let checks = [
            (!is_found, Problem::Labels),
            (!has_port, Problem::NamedPort),
            (!template.readiness_probe, Problem::NoReadinessProbe),
            (service.publish_not_ready_addresses, Problem::NotReadyPublished),
            (stops_while_selected && pre_stop < plan.settle_seconds, Problem::StopsTooSoon),
            (
                stops_while_selected && template.grace_seconds < pre_stop + template.longest_request_seconds,
                Problem::KilledWhileServing,
            ),
        ];
        checks.into_iter().filter_map(|(is_so, problem)| is_so.then_some(problem)).collect()
    }

    fn share(&self, replicas: u32, percent: u32) -> Share {
        if percent == 0 {
            return Share { old: replicas, new: 0 };
        }
        let new = (replicas * percent / 100).max(1);
        // new / (old + new) is at most the percentage.
        let diluted = (new * (100 - percent)).div_ceil(percent);
        Share { old: replicas.saturating_sub(new).max(diluted), new }
    }

    fn next(&self, now: &Now) -> Option<Action> {
        let Now { plan, service, old, new, rolling_back, .. } = now;
        if !rolling_back {
            let problems = |version: &Version| self.problems(plan, service, &version.template);
            let first = [problems(new), problems(old)].into_iter().find(|problems| !problems.is_empty());
            if let Some(problems) = first {
                return Some(Action::Refuse(problems));
            }
            if let Some(reason) = trouble(now) {
                return Some(Action::RollBack(reason));
            }
        }
        self.go(now)
    }
}

/// Why the release must go back.
fn trouble(now: &Now) -> Option<Reason> {
    let Now { plan, service, old, new, .. } = now;
    if now.errors_percent.is_some_and(|percent| percent > plan.max_errors_percent) {
        return Some(Reason::Errors);
    }
    let alone = value(&service.selector, plan) == value(&new.template.labels, plan);
    if alone && new.ready == 0 {
        return Some(Reason::NotReady);
    }
    (now.age_seconds >= plan.deadline_seconds && old.replicas > 0).then_some(Reason::Deadline)
}

impl Exercise {
    /// The next action on the way to where the release goes: forward or back, the way is the same.
    fn go(&self, now: &Now) -> Option<Action> {
        let Now { plan, service, old, new, .. } = now;
        let step = plan.steps.get(now.step);
        let forward = !now.rolling_back;
        let (goal, leads_to) = match step {
            _ if now.rolling_back => (Share { old: plan.replicas, new: 0 }, Some(old)),
            Some(step) => (self.share(plan.replicas, step.percent), None),
            None => (Share { old: 0, new: plan.replicas }, Some(new)),
        };

        // ANCHOR: up
        if forward && plan.steps.is_empty() && value(&service.selector, plan).is_none() {
            return Some(Action::Select(selector(service, plan, Some(old))));
        }
        if old.replicas < goal.old {
            return Some(Action::ScaleOld(goal.old));
        }
        if old.ready < goal.old {
            return None;
        }
        if forward && new.replicas != goal.new {
            return Some(Action::ScaleNew(goal.new));
        }
        if forward && new.ready != goal.new {
            return None;
        }
        // ANCHOR_END: up

        // ANCHOR: down
        let wanted = selector(service, plan, leads_to);
        if service.selector != wanted {
            return Some(Action::Select(wanted));
        }
        if !is_settled(now) || forward && now.errors_percent.is_none() {
            return None;
        }
        let is_drained = |version: &Version| version.connections == 0 || now.quiet_seconds >= plan.drain_seconds;
        if old.replicas > goal.old {
            let is_last = forward && step.is_none();
            let may_go = !is_last || is_drained(old) && now.quiet_seconds >= plan.bake_seconds;
            return may_go.then_some(Action::ScaleOld(goal.old));
        }
        if new.replicas > goal.new {
            return is_drained(new).then_some(Action::ScaleNew(goal.new));
        }
        if old.pods != goal.old || new.pods != goal.new {
            return None;
        }
        // ANCHOR_END: down
        match step {
            _ if now.rolling_back => Some(Action::RolledBack),
            None => Some(Action::Done),
            Some(step) => (now.quiet_seconds >= step.pause_seconds).then_some(Action::NextStep),
        }
    }
}

/// Whether all nodes send connections as the objects say.
fn is_settled(now: &Now) -> bool {
    let Now { plan, service, old, new, .. } = now;
    let shown = |version: &Version| {
        let is_selected = service.selector.iter().all(|(key, value)| version.template.labels.get(key) == Some(value));
        if is_selected { version.ready } else { 0 }
    };
    now.published == Share { old: shown(old), new: shown(new) } && now.quiet_seconds >= plan.settle_seconds
}

fn value<'a>(labels: &'a Labels, plan: &Plan) -> Option<&'a String> {
    labels.get(&plan.label)
}

fn without(selector: &Labels, label: &str) -> Labels {
    selector.iter().filter(|(key, _)| *key != label).map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// The Service's selector, leading to one version, or to both.
fn selector(service: &Service, plan: &Plan, version: Option<&Version>) -> Labels {
    let mut selector = without(&service.selector, &plan.label);
    let value = version.and_then(|version| value(&version.template.labels, plan));
    selector.extend(value.map(|value| (plan.label.clone(), value.clone())));
    selector
}
// ANCHOR_END: solution
