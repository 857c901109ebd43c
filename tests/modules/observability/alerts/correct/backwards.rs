//! Passes: answers in the opposite order, alerts made anew instead of changed, routes judged from the leaves up (a route knows whether it was taken from
//! what those below say), and news counted as a number of reasons.

use kit::observability::Alerts;
use kit::observability::alerts::{
    Alert, Destination, Flush, Group, InhibitRule, Labels, Matcher, Notification, Quiet, Route, Rule, Sent, State, Timer,
    Told,
};
use std::collections::{BTreeSet, HashSet};

#[derive(Default)]
struct Exercise;

enum After {
    Gone,
    Is(Alert),
}

fn after(rule: &Rule, alert: &Alert, holds: bool, now: i64) -> After {
    let kept = rule.keep_firing_for_ms > 0 && !holds && alert.state == State::Firing;
    let since = if holds { None } else { alert.keep_firing_since_ms.or(kept.then_some(now)) };
    let alert = Alert { keep_firing_since_ms: since, ..alert.clone() };
    let until = since.map_or(now, |since| since + rule.keep_firing_for_ms);
    match alert.state {
        State::Pending if !holds => After::Gone,
        State::Pending if alert.active_at_ms > now - rule.for_ms => After::Is(alert),
        State::Pending => After::Is(Alert { state: State::Firing, fired_at_ms: Some(now), ..alert }),
        State::Firing if holds || kept && now < until => After::Is(alert),
        State::Firing => After::Is(Alert { state: State::Inactive, resolved_at_ms: Some(now), ..alert }),
        State::Inactive => match alert.resolved_at_ms {
            Some(resolved) if now - resolved > 900_000 => After::Gone,
            _ => After::Is(alert),
        },
    }
}

impl Alerts for Exercise {
    fn evaluate(&self, rule: &Rule, known: &[Alert], holding: &[Labels], now_ms: i64) -> Vec<Alert> {
        let held: HashSet<&Labels> = holding.iter().collect();
        let goes_on = |alert: &&Alert| alert.state != State::Inactive || !held.contains(&alert.labels);
        let mut all: Vec<Alert> = known.iter().filter(goes_on).cloned().collect();
        let there: HashSet<Labels> = all.iter().map(|alert| alert.labels.clone()).collect();
        for labels in holding.iter().filter(|labels| !there.contains(*labels)) {
            all.push(Alert {
                labels: labels.clone(),
                state: State::Pending,
                active_at_ms: now_ms,
                fired_at_ms: None,
                keep_firing_since_ms: None,
                resolved_at_ms: None,
                last_sent_at_ms: None,
            });
        }
        let mut answer = Vec::new();
        while let Some(alert) = all.pop() {
            if let After::Is(alert) = after(rule, &alert, held.contains(&alert.labels), now_ms) {
                answer.push(alert);
            }
        }
        answer
    }

    fn send(&self, rule: &Rule, known: &[Alert], now_ms: i64) -> Vec<Sent> {
        let mut all = Vec::new();
        for alert in known.iter().rev().filter(|alert| alert.state != State::Pending) {
            let never = alert.last_sent_at_ms.is_none();
            let last = alert.last_sent_at_ms.unwrap_or(0);
            let ended = alert.state == State::Inactive && alert.resolved_at_ms.unwrap_or(0) > last;
            if never || ended || last < now_ms - rule.resend_delay_ms {
                let until = match alert.state {
                    State::Inactive => alert.resolved_at_ms.unwrap_or(now_ms),
                    _ => (now_ms + 4 * rule.interval_ms).max(now_ms + 4 * rule.resend_delay_ms),
                };
                let from = alert.fired_at_ms.unwrap_or(now_ms);
                all.push(Sent { labels: alert.labels.clone(), starts_at_ms: from, ends_at_ms: until });
            }
        }
        all
    }

    fn route(&self, tree: &Route, labels: &Labels) -> Vec<Destination> {
        let mut root = tree.clone();
        root.group_wait_ms.get_or_insert(30_000);
        root.group_interval_ms.get_or_insert(300_000);
        root.repeat_interval_ms.get_or_insert(4 * 60 * 60 * 1000);
        let mut ends = ends(&root, labels);
        ends.iter_mut().for_each(|end| end.path.reverse());
        ends.reverse();
        ends
    }

    fn join(&self, group: &Timer, starts_at_ms: i64, now_ms: i64) -> i64 {
        let is_new = group.next_ms.is_none();
        let old = now_ms - starts_at_ms > group.group_wait_ms;
        if old && !group.flushed {
            now_ms
        } else if is_new {
            now_ms + group.group_wait_ms
        } else {
            group.next_ms.unwrap_or(now_ms)
        }
    }

    fn mutes(&self, quiet: &Quiet, firing: &[Labels], labels: &Labels, now_ms: i64) -> bool {
        let by_source = |rule: &InhibitRule, source: &Labels| {
            let fits = |of: &Labels| (Matcher::all_fit(&rule.source, of), Matcher::all_fit(&rule.target, of));
            let equal = rule.equal.iter().filter(|name| labels.get(*name) == source.get(*name)).count();
            equal == rule.equal.len()
                && match (fits(source), fits(labels)) {
                    ((true, true), (true, true)) => false,
                    ((true, _), (_, true)) => true,
                    _ => false,
                }
        };
        let mut mutes = firing.iter().any(|source| quiet.inhibit_rules.iter().any(|rule| by_source(rule, source)));
        for silence in &quiet.silences {
            let misfits = silence.matchers.iter().filter(|matcher| !matcher.fits(labels)).count();
            mutes |= misfits == 0 && silence.ends_at_ms > now_ms && silence.starts_at_ms <= now_ms;
        }
        mutes
    }

    fn flush(&self, group: &Group, now_ms: i64) -> Flush {
        let over: BTreeSet<Labels> =
            group.alerts.iter().filter(|alert| alert.ends_at_ms <= now_ms).map(|alert| alert.labels.clone()).collect();
        let heard: BTreeSet<Labels> =
            group.alerts.iter().filter(|alert| !alert.muted).map(|alert| alert.labels.clone()).collect();
        let firing: BTreeSet<Labels> = &heard - &over;
        let resolved: BTreeSet<Labels> = &heard & &over;
        let nothing = Told { at_ms: now_ms, ..Told::default() };
        let last = group.last.as_ref().unwrap_or(&nothing);
        let mut reasons = (&firing - &last.firing).len();
        if firing.is_empty() {
            reasons += if resolved.is_empty() { 0 } else { last.firing.len() };
        } else {
            reasons += if group.send_resolved { (&resolved - &last.resolved).len() } else { 0 };
            reasons += usize::from(now_ms - last.at_ms > group.repeat_interval_ms);
        }
        let mut flush = Flush {
            sends: None,
            last: group.last.clone(),
            forgets: over,
            next_ms: now_ms + group.group_interval_ms,
        };
        if reasons > 0 {
            flush.last = Some(Told { at_ms: now_ms, firing: firing.clone(), resolved: resolved.clone() });
            let resolved = if group.send_resolved { resolved } else { BTreeSet::new() };
            if !(firing.is_empty() && resolved.is_empty()) {
                flush.sends = Some(Notification { firing, resolved });
            }
        }
        flush
    }
}

/// Where an alert ends at or below this route, with paths from the end on; what this route says is put into those below first.
fn ends(route: &Route, labels: &Labels) -> Vec<Destination> {
    let mut found = Vec::new();
    let mut open = true;
    for (place, below) in route.routes.iter().enumerate() {
        if open && Matcher::all_fit(&below.matchers, labels) {
            let mut below = below.clone();
            below.receiver = below.receiver.or(route.receiver.clone());
            below.group_wait_ms = below.group_wait_ms.or(route.group_wait_ms);
            below.group_interval_ms = below.group_interval_ms.or(route.group_interval_ms);
            below.repeat_interval_ms = below.repeat_interval_ms.or(route.repeat_interval_ms);
            if below.group_by.is_empty() {
                below.group_by = route.group_by.clone();
            }
            for mut end in ends(&below, labels) {
                end.path.push(place);
                found.push(end);
            }
            open = below.continues;
        }
    }
    if found.is_empty() {
        let all = route.group_by.iter().any(|name| name == "...");
        let names: Vec<&String> = if all { labels.keys().collect() } else { route.group_by.iter().collect() };
        let pairs = names.into_iter().filter_map(|name| labels.get(name).map(|value| (name.clone(), value.clone())));
        found.push(Destination {
            path: Vec::new(),
            receiver: route.receiver.clone().unwrap_or_default(),
            group: pairs.collect(),
            group_wait_ms: route.group_wait_ms.unwrap_or(0),
            group_interval_ms: route.group_interval_ms.unwrap_or(0),
            repeat_interval_ms: route.repeat_interval_ms.unwrap_or(0),
        });
    }
    found
}

kit::exercise!(Exercise: Alerts);
