//! Passes: it works out all conditions first, as plain booleans, and picks the action by one long `if`; shares are searched for.

use kit::network::Release;
use kit::network::blue_green::{
    Action, Labels, Now, Plan, Problem, Reason, Service, Share, TargetPort, Template, Version,
};

#[derive(Default)]
pub struct Exercise;

fn has_all(labels: &Labels, wanted: &Labels) -> bool {
    wanted.iter().all(|wanted| labels.iter().any(|has| has == wanted))
}

impl Release for Exercise {
    fn problems(&self, plan: &Plan, service: &Service, template: &Template) -> Vec<Problem> {
        use Problem::*;
        let all = [Labels, NamedPort, NoReadinessProbe, NotReadyPublished, StopsTooSoon, KilledWhileServing];
        let hook = template.pre_stop_seconds.unwrap_or(0);
        let is_canary = !plan.steps.is_empty();
        let is_so = |problem: &Problem| match problem {
            Labels => {
                // As if the template were the one that is selected.
                let mut selector = service.selector.clone();
                match template.labels.get(&plan.label) {
                    None => return true,
                    Some(value) => selector.insert(plan.label.clone(), value.clone()),
                };
                !has_all(&template.labels, &selector)
            }
            NamedPort => match &service.target_port {
                TargetPort::Name(name) => template.ports.iter().filter(|port| *port == name).count() == 0,
                TargetPort::Number(_) => false,
            },
            NoReadinessProbe => !template.readiness_probe,
            NotReadyPublished => service.publish_not_ready_addresses,
            StopsTooSoon => is_canary && plan.settle_seconds > hook,
            KilledWhileServing => is_canary && template.longest_request_seconds + hook > template.grace_seconds,
        };
        all.into_iter().filter(is_so).collect()
    }

    fn share(&self, replicas: u32, percent: u32) -> Share {
        let new = match percent {
            0 => 0,
            _ => (1..=replicas).rev().find(|new| new * 100 <= replicas * percent).unwrap_or(1),
        };
        let fits = |old: &u32| old + new >= replicas && new * 100 <= percent * (old + new);
        let old = (0..).find(fits).unwrap_or(replicas);
        Share { old, new }
    }

    fn next(&self, now: &Now) -> Option<Action> {
        let Now { plan, service, old, new, published, .. } = now;
        let label = &plan.label;
        let (back, quiet) = (now.rolling_back, now.quiet_seconds);
        let to_end = !back && now.step == plan.steps.len();
        let step = if back || to_end { None } else { plan.steps.get(now.step) };
        let goal = match step {
            Some(step) => self.share(plan.replicas, step.percent),
            None if back => Share { old: plan.replicas, new: 0 },
            None => Share { old: 0, new: plan.replicas },
        };
        let pinned_to = |version: &Version| {
            let mut selector = service.selector.clone();
            selector
                .extend(version.template.labels.get_key_value(label).map(|(key, value)| (key.clone(), value.clone())));
            selector
        };
        let open: Labels = service.selector.clone().into_iter().filter(|(key, _)| key != label).collect();
        let wanted = if step.is_some() { open.clone() } else { pinned_to(if back { old } else { new }) };

        let [new_problems, old_problems] = [new, old].map(|version| self.problems(plan, service, &version.template));
        let shown =
            |version: &Version| if has_all(&version.template.labels, &service.selector) { version.ready } else { 0 };
        let all_know = [published.old, published.new] == [shown(old), shown(new)] && quiet >= plan.settle_seconds;
        let waits = |version: &Version| version.connections > 0 && quiet < plan.drain_seconds;

        if !back && !new_problems.is_empty() {
            Some(Action::Refuse(new_problems))
        } else if !back && !old_problems.is_empty() {
            Some(Action::Refuse(old_problems))
        } else if !back && now.errors_percent.is_some_and(|percent| percent > plan.max_errors_percent) {
            Some(Action::RollBack(Reason::Errors))
        } else if !back && service.selector == pinned_to(new) && new.ready == 0 {
            Some(Action::RollBack(Reason::NotReady))
        } else if !back && plan.deadline_seconds <= now.age_seconds && old.replicas > 0 {
            Some(Action::RollBack(Reason::Deadline))
        } else if !back && plan.steps.is_empty() && service.selector == open {
            Some(Action::Select(pinned_to(old)))
        } else if old.replicas < goal.old {
            Some(Action::ScaleOld(goal.old))
        } else if old.ready < goal.old {
            None
        } else if !back && new.replicas != goal.new {
            Some(Action::ScaleNew(goal.new))
        } else if !back && new.ready != goal.new {
            None
        } else if service.selector != wanted {
            Some(Action::Select(wanted))
        } else if !all_know || (!back && now.errors_percent.is_none()) {
            None
        } else if old.replicas > goal.old && to_end && (quiet < plan.bake_seconds || waits(old)) {
            None
        } else if old.replicas > goal.old {
            Some(Action::ScaleOld(goal.old))
        } else if new.replicas > goal.new {
            if waits(new) { None } else { Some(Action::ScaleNew(goal.new)) }
        } else if (Share { old: old.pods, new: new.pods }) != goal {
            None
        } else if back {
            Some(Action::RolledBack)
        } else if to_end {
            Some(Action::Done)
        } else {
            step.filter(|step| step.pause_seconds <= quiet).map(|_| Action::NextStep)
        }
    }
}

kit::exercise!(Exercise: Release);
