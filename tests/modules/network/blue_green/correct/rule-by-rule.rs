//! Passes: it is a list of thirteen rules, each a function of its own that acts, waits or leaves it to the next one.

use kit::network::Release;
use kit::network::blue_green::{
    Action, Labels, Now, Plan, Problem, Reason, Service, Share, TargetPort, Template, Version,
};

#[derive(Default)]
pub struct Exercise;

/// What a rule says.
enum Says {
    Do(Action),
    Wait,
    Nothing,
}
use Says::{Do, Nothing, Wait};

/// A moment, and where the release goes.
struct View<'a> {
    now: &'a Now,
    old: u32,
    new: u32,
    selector: Labels,
}

impl View<'_> {
    fn forward(&self) -> bool {
        !self.now.rolling_back
    }
    fn in_a_step(&self) -> bool {
        self.forward() && self.now.step < self.now.plan.steps.len()
    }
    fn to_the_end(&self) -> bool {
        self.forward() && self.now.step >= self.now.plan.steps.len()
    }
    fn label<'b>(&self, labels: &'b Labels) -> Option<&'b String> {
        labels.get(&self.now.plan.label)
    }
    fn drained(&self, version: &Version) -> bool {
        version.connections == 0 || self.now.quiet_seconds >= self.now.plan.drain_seconds
    }
}

const RULES: [fn(&View) -> Says; 13] = [
    |view| {
        let Now { plan, service, old, new, .. } = view.now;
        if !view.forward() {
            return Nothing;
        }
        for version in [new, old] {
            let problems = problems(plan, service, &version.template);
            if !problems.is_empty() {
                return Do(Action::Refuse(problems));
            }
        }
        Nothing
    },
    |view| {
        let Now { plan, service, old, new, .. } = view.now;
        let errors = view.now.errors_percent.unwrap_or(0);
        let leads_to_new = view.label(&service.selector) == view.label(&new.template.labels);
        match view.forward() {
            false => Nothing,
            true if errors > plan.max_errors_percent => Do(Action::RollBack(Reason::Errors)),
            true if leads_to_new && new.ready == 0 => Do(Action::RollBack(Reason::NotReady)),
            true if view.now.age_seconds >= plan.deadline_seconds && old.replicas != 0 => {
                Do(Action::RollBack(Reason::Deadline))
            }
            true => Nothing,
        }
    },
    |view| {
        let Now { plan, service, old, .. } = view.now;
        let is_open = view.label(&service.selector).is_none();
        if view.forward() && plan.steps.is_empty() && is_open {
            let mut selector = service.selector.clone();
            selector.insert(plan.label.clone(), view.label(&old.template.labels).cloned().unwrap_or_default());
            return Do(Action::Select(selector));
        }
        Nothing
    },
    |view| if view.now.old.replicas < view.old { Do(Action::ScaleOld(view.old)) } else { Nothing },
    |view| if view.now.old.ready < view.old { Wait } else { Nothing },
    |view| {
        let is_so = view.now.new.replicas == view.new;
        if view.forward() && !is_so { Do(Action::ScaleNew(view.new)) } else { Nothing }
    },
    |view| if view.forward() && view.now.new.ready != view.new { Wait } else { Nothing },
    |view| {
        let is_so = view.now.service.selector == view.selector;
        if is_so { Nothing } else { Do(Action::Select(view.selector.clone())) }
    },
    |view| {
        let Now { old, new, published, .. } = view.now;
        let value = view.label(&view.selector);
        let leads_to = |version: &Version| value.is_none() || value == view.label(&version.template.labels);
        let is_shown = |version: &Version, shown: u32| shown == u32::from(leads_to(version)) * version.ready;
        let is_shown = is_shown(old, published.old) && is_shown(new, published.new);
        if is_shown && view.now.quiet_seconds >= view.now.plan.settle_seconds { Nothing } else { Wait }
    },
    |view| if view.forward() && view.now.errors_percent.is_none() { Wait } else { Nothing },
    |view| {
        let Now { plan, old, new, .. } = view.now;
        let too_old = view.now.quiet_seconds < plan.bake_seconds || !view.drained(old);
        match (old.replicas > view.old, new.replicas > view.new) {
            (true, _) if view.to_the_end() && too_old => Wait,
            (true, _) => Do(Action::ScaleOld(view.old)),
            (false, true) if view.drained(new) => Do(Action::ScaleNew(view.new)),
            (false, true) => Wait,
            (false, false) => Nothing,
        }
    },
    |view| if view.now.old.pods == view.old && view.now.new.pods == view.new { Nothing } else { Wait },
    |view| {
        if !view.in_a_step() {
            return Do(if view.forward() { Action::Done } else { Action::RolledBack });
        }
        let pause = view.now.plan.steps[view.now.step].pause_seconds;
        if view.now.quiet_seconds < pause { Wait } else { Do(Action::NextStep) }
    },
];

fn problems(plan: &Plan, service: &Service, template: &Template) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut selector = service.selector.clone();
    selector.remove(&plan.label);
    let lacks = selector.iter().any(|(key, value)| template.labels.get(key) != Some(value));
    if lacks || !template.labels.contains_key(&plan.label) {
        problems.push(Problem::Labels);
    }
    if let TargetPort::Name(name) = &service.target_port
        && !template.ports.iter().any(|port| port == name)
    {
        problems.push(Problem::NamedPort);
    }
    if !template.readiness_probe {
        problems.push(Problem::NoReadinessProbe);
    }
    if service.publish_not_ready_addresses {
        problems.push(Problem::NotReadyPublished);
    }
    if !plan.steps.is_empty() {
        let hook = template.pre_stop_seconds.unwrap_or_default();
        if hook < plan.settle_seconds {
            problems.push(Problem::StopsTooSoon);
        }
        if hook + template.longest_request_seconds > template.grace_seconds {
            problems.push(Problem::KilledWhileServing);
        }
    }
    problems
}

fn share(replicas: u32, percent: u32) -> Share {
    let new = if percent == 0 { 0 } else { (replicas * percent / 100).max(1) };
    let mut old = replicas - new.min(replicas);
    while new * 100 > percent * (old + new) {
        old += 1;
    }
    Share { old, new }
}

impl Release for Exercise {
    fn problems(&self, plan: &Plan, service: &Service, template: &Template) -> Vec<Problem> {
        problems(plan, service, template)
    }

    fn share(&self, replicas: u32, percent: u32) -> Share {
        share(replicas, percent)
    }

    fn next(&self, now: &Now) -> Option<Action> {
        let plan = &now.plan;
        let mut selector = now.service.selector.clone();
        let mut lead_to = |version: Option<&Version>| match version.and_then(|one| one.template.labels.get(&plan.label))
        {
            Some(value) => _ = selector.insert(plan.label.clone(), value.clone()),
            None => _ = selector.remove(&plan.label),
        };
        let (old, new) = if now.rolling_back {
            lead_to(Some(&now.old));
            (plan.replicas, 0)
        } else if let Some(step) = plan.steps.get(now.step) {
            lead_to(None);
            let share = share(plan.replicas, step.percent);
            (share.old, share.new)
        } else {
            lead_to(Some(&now.new));
            (0, plan.replicas)
        };
        let view = View { now, old, new, selector };
        for rule in RULES {
            match rule(&view) {
                Do(action) => return Some(action),
                Wait => return None,
                Nothing => {}
            }
        }
        None
    }
}

kit::exercise!(Exercise: Release);
