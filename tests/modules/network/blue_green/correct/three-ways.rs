//! Passes: it has a function for each of the three ways, back, to a step and to the end, which share only small helpers.

use kit::network::Release;
use kit::network::blue_green::{Action, Labels, Now, Plan, Problem, Reason, Service, Share, TargetPort, Template};
use std::collections::BTreeSet;

#[derive(Default)]
pub struct Exercise;

impl Release for Exercise {
    fn problems(&self, plan: &Plan, service: &Service, template: &Template) -> Vec<Problem> {
        let mut found = BTreeSet::new();
        let has: BTreeSet<(&String, &String)> = template.labels.iter().collect();
        let asks: BTreeSet<(&String, &String)> =
            service.selector.iter().filter(|(key, _)| **key != plan.label).collect();
        if !asks.is_subset(&has) || template.labels.keys().all(|key| *key != plan.label) {
            found.insert(Problem::Labels);
        }
        match &service.target_port {
            TargetPort::Name(name) if !template.ports.contains(name) => _ = found.insert(Problem::NamedPort),
            TargetPort::Name(_) | TargetPort::Number(_) => {}
        }
        if service.publish_not_ready_addresses {
            found.insert(Problem::NotReadyPublished);
        }
        if !template.readiness_probe {
            found.insert(Problem::NoReadinessProbe);
        }
        let hook = template.pre_stop_seconds.unwrap_or(0);
        let left_to_serve = template.grace_seconds.checked_sub(hook);
        if hook < plan.settle_seconds {
            found.insert(Problem::StopsTooSoon);
        }
        if left_to_serve.is_none_or(|left| left < template.longest_request_seconds) {
            found.insert(Problem::KilledWhileServing);
        }
        if plan.steps.is_empty() {
            found.remove(&Problem::StopsTooSoon);
            found.remove(&Problem::KilledWhileServing);
        }
        // The order is free.
        found.into_iter().rev().collect()
    }

    fn share(&self, replicas: u32, percent: u32) -> Share {
        match percent {
            0 => Share { old: replicas, new: 0 },
            100 => Share { old: 0, new: replicas.max(1) },
            _ => {
                let new = if replicas * percent < 100 { 1 } else { replicas * percent / 100 };
                // As many of all as the new ones may be a share of.
                let all = replicas.max((100 * new).div_ceil(percent));
                Share { old: all - new, new }
            }
        }
    }

    fn next(&self, now: &Now) -> Option<Action> {
        if now.rolling_back {
            return back(now);
        }
        for template in [&now.new.template, &now.old.template] {
            let problems = self.problems(&now.plan, &now.service, template);
            if !problems.is_empty() {
                return Some(Action::Refuse(problems));
            }
        }
        if now.errors_percent > Some(now.plan.max_errors_percent) {
            return Some(Action::RollBack(Reason::Errors));
        }
        if now.new.ready == 0 && leads_to(now) == Lead::New {
            return Some(Action::RollBack(Reason::NotReady));
        }
        let is_late = now.age_seconds >= now.plan.deadline_seconds;
        if is_late && now.old.replicas >= 1 {
            return Some(Action::RollBack(Reason::Deadline));
        }
        match now.plan.steps.get(now.step) {
            Some(step) => {
                let share = self.share(now.plan.replicas, step.percent);
                to_step(now, share, step.pause_seconds)
            }
            None => to_end(now),
        }
    }
}

#[derive(PartialEq, Eq, Clone, Copy)]
enum Lead {
    Old,
    New,
    Both,
}

fn leads_to(now: &Now) -> Lead {
    let label = &now.plan.label;
    match now.service.selector.get(label) {
        None => Lead::Both,
        value if value == now.new.template.labels.get(label) => Lead::New,
        Some(_) => Lead::Old,
    }
}

fn lead(now: &Now, to: Lead) -> Option<Action> {
    let label = now.plan.label.as_str();
    let mut selector: Labels = now.service.selector.clone();
    match to {
        Lead::Both => _ = selector.remove(label),
        Lead::Old => _ = selector.insert(label.into(), now.old.template.labels[label].clone()),
        Lead::New => _ = selector.insert(label.into(), now.new.template.labels[label].clone()),
    }
    Some(Action::Select(selector))
}

fn all_know(now: &Now, to: Lead) -> bool {
    let old = if to == Lead::New { 0 } else { now.old.ready };
    let new = if to == Lead::Old { 0 } else { now.new.ready };
    now.published.old == old && now.published.new == new && now.quiet_seconds >= now.plan.settle_seconds
}

fn to_end(now: &Now) -> Option<Action> {
    let Now { plan, old, new, .. } = now;
    if leads_to(now) == Lead::Both && plan.steps.is_empty() {
        return lead(now, Lead::Old);
    }
    if new.replicas != plan.replicas {
        return Some(Action::ScaleNew(plan.replicas));
    }
    if new.ready != plan.replicas {
        return None;
    }
    if leads_to(now) != Lead::New {
        return lead(now, Lead::New);
    }
    if !all_know(now, Lead::New) || now.errors_percent.is_none() {
        return None;
    }
    if old.replicas > 0 {
        let stays = now.quiet_seconds < plan.bake_seconds;
        let drains = old.connections > 0 && now.quiet_seconds < plan.drain_seconds;
        return if stays || drains { None } else { Some(Action::ScaleOld(0)) };
    }
    (old.pods == 0 && new.pods == plan.replicas).then_some(Action::Done)
}

fn to_step(now: &Now, share: Share, pause: u32) -> Option<Action> {
    let Now { old, new, .. } = now;
    if old.replicas < share.old {
        return Some(Action::ScaleOld(share.old));
    }
    if old.ready < share.old {
        return None;
    }
    if new.replicas != share.new {
        return Some(Action::ScaleNew(share.new));
    }
    if new.ready != share.new {
        return None;
    }
    if leads_to(now) != Lead::Both {
        return lead(now, Lead::Both);
    }
    if !all_know(now, Lead::Both) || now.errors_percent.is_none() {
        return None;
    }
    if old.replicas != share.old {
        return Some(Action::ScaleOld(share.old));
    }
    let is_reached = old.pods == share.old && new.pods == share.new;
    (is_reached && now.quiet_seconds >= pause).then_some(Action::NextStep)
}

fn back(now: &Now) -> Option<Action> {
    let Now { plan, old, new, .. } = now;
    if old.replicas < plan.replicas {
        return Some(Action::ScaleOld(plan.replicas));
    }
    if old.ready < plan.replicas {
        return None;
    }
    if leads_to(now) != Lead::Old {
        return lead(now, Lead::Old);
    }
    if !all_know(now, Lead::Old) {
        return None;
    }
    if old.replicas > plan.replicas {
        return Some(Action::ScaleOld(plan.replicas));
    }
    if new.replicas > 0 {
        let drains = new.connections > 0 && now.quiet_seconds < plan.drain_seconds;
        return if drains { None } else { Some(Action::ScaleNew(0)) };
    }
    (new.pods == 0 && old.pods == plan.replicas).then_some(Action::RolledBack)
}

kit::exercise!(Exercise: Release);
