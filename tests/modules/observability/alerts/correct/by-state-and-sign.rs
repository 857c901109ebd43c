//! Passes: what becomes of an alert is one match over its state and whether it holds; routes are walked with a list of open ends instead of
//! a function that calls itself; news is decided by a chain of early returns.

use kit::observability::Alerts;
use kit::observability::alerts::*;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Default)]
struct Exercise;

/// A route that an alert has come to, and what holds there.
struct At<'a> {
    route: &'a Route,
    path: Vec<usize>,
    receiver: &'a str,
    group_by: &'a [String],
    times: [i64; 3],
}

impl<'a> At<'a> {
    fn below(&self, place: usize) -> At<'a> {
        let route = &self.route.routes[place];
        At {
            route,
            path: self.path.iter().copied().chain([place]).collect(),
            receiver: route.receiver.as_deref().unwrap_or(self.receiver),
            group_by: if route.group_by.is_empty() { self.group_by } else { &route.group_by },
            times: times(route, self.times),
        }
    }

    fn end(self, labels: &Labels) -> Destination {
        let all = self.group_by.iter().any(|name| name == "...");
        let pairs = labels.iter().filter(|(name, _)| all || self.group_by.contains(name));
        let [group_wait_ms, group_interval_ms, repeat_interval_ms] = self.times;
        Destination {
            path: self.path,
            receiver: self.receiver.to_string(),
            group: pairs.map(|(name, value)| (name.clone(), value.clone())).collect(),
            group_wait_ms,
            group_interval_ms,
            repeat_interval_ms,
        }
    }
}

fn times(route: &Route, above: [i64; 3]) -> [i64; 3] {
    [
        route.group_wait_ms.unwrap_or(above[0]),
        route.group_interval_ms.unwrap_or(above[1]),
        route.repeat_interval_ms.unwrap_or(above[2]),
    ]
}

impl Alerts for Exercise {
    fn evaluate(&self, rule: &Rule, known: &[Alert], holding: &[Labels], now_ms: i64) -> Vec<Alert> {
        let mut all: BTreeMap<&Labels, Option<&Alert>> = holding.iter().map(|labels| (labels, None)).collect();
        all.extend(known.iter().map(|alert| (&alert.labels, Some(alert))));
        let mut next = Vec::new();
        for (labels, before) in all {
            let holds = holding.iter().any(|held| held == labels);
            let state = before.map_or(State::Inactive, |alert| alert.state);
            let mut alert = match before {
                Some(alert) if !(holds && state == State::Inactive) => alert.clone(),
                _ => Alert {
                    labels: labels.clone(),
                    state: State::Pending,
                    active_at_ms: now_ms,
                    fired_at_ms: None,
                    keep_firing_since_ms: None,
                    resolved_at_ms: None,
                    last_sent_at_ms: None,
                },
            };
            match (state, holds) {
                (State::Pending, false) => continue,
                (State::Pending | State::Inactive, true) => {
                    alert.keep_firing_since_ms = None;
                    if alert.active_at_ms + rule.for_ms <= now_ms {
                        alert.state = State::Firing;
                        alert.fired_at_ms = Some(now_ms);
                    }
                }
                (State::Firing, true) => alert.keep_firing_since_ms = None,
                (State::Firing, false) => {
                    let mut end = now_ms;
                    if rule.keep_firing_for_ms != 0 {
                        let since = alert.keep_firing_since_ms.unwrap_or(now_ms);
                        alert.keep_firing_since_ms = Some(since);
                        end = since + rule.keep_firing_for_ms;
                    }
                    if end <= now_ms {
                        alert.state = State::Inactive;
                        alert.resolved_at_ms = Some(now_ms);
                    }
                }
                (State::Inactive, false) => {
                    if alert.resolved_at_ms.unwrap_or(now_ms) + RESOLVED_RETENTION_MS < now_ms {
                        continue;
                    }
                }
            }
            next.push(alert);
        }
        next
    }

    fn send(&self, rule: &Rule, known: &[Alert], now_ms: i64) -> Vec<Sent> {
        let longer = if rule.interval_ms > rule.resend_delay_ms { rule.interval_ms } else { rule.resend_delay_ms };
        let mut all = Vec::new();
        for alert in known {
            let Some(fired) = alert.fired_at_ms.filter(|_| alert.state != State::Pending) else { continue };
            if let Some(last) = alert.last_sent_at_ms {
                let news = alert.resolved_at_ms.is_some_and(|resolved| resolved > last);
                if !news && last + rule.resend_delay_ms >= now_ms {
                    continue;
                }
            }
            let ends_at_ms = match alert.resolved_at_ms {
                Some(resolved) => resolved,
                None => now_ms + longer * 4,
            };
            all.push(Sent { labels: alert.labels.clone(), starts_at_ms: fired, ends_at_ms });
        }
        all
    }

    fn route(&self, tree: &Route, labels: &Labels) -> Vec<Destination> {
        let mut open = vec![At {
            route: tree,
            path: Vec::new(),
            receiver: tree.receiver.as_deref().unwrap_or(""),
            group_by: &tree.group_by,
            times: times(tree, [30_000, 300_000, 14_400_000]),
        }];
        let mut ends = Vec::new();
        while let Some(at) = open.pop() {
            let mut taken = false;
            for (place, below) in at.route.routes.iter().enumerate() {
                if below.matchers.iter().all(|matcher| matcher.fits(labels)) {
                    taken = true;
                    open.push(at.below(place));
                    if !below.continues {
                        break;
                    }
                }
            }
            if !taken {
                ends.push(at.end(labels));
            }
        }
        ends
    }

    fn join(&self, group: &Timer, starts_at_ms: i64, now_ms: i64) -> i64 {
        let waited = starts_at_ms + group.group_wait_ms < now_ms;
        if waited && !group.flushed { now_ms } else { group.next_ms.unwrap_or(now_ms + group.group_wait_ms) }
    }

    fn mutes(&self, quiet: &Quiet, firing: &[Labels], labels: &Labels, now_ms: i64) -> bool {
        for silence in &quiet.silences {
            let runs = silence.starts_at_ms <= now_ms && now_ms < silence.ends_at_ms;
            if runs && Matcher::all_fit(&silence.matchers, labels) {
                return true;
            }
        }
        for rule in &quiet.inhibit_rules {
            if !Matcher::all_fit(&rule.target, labels) {
                continue;
            }
            for source in firing {
                if !Matcher::all_fit(&rule.source, source) || rule.equal.iter().any(|n| source.get(n) != labels.get(n)) {
                    continue;
                }
                let both = |of: &Labels| Matcher::all_fit(&rule.source, of) && Matcher::all_fit(&rule.target, of);
                if !(both(labels) && both(source)) {
                    return true;
                }
            }
        }
        false
    }

    fn flush(&self, group: &Group, now_ms: i64) -> Flush {
        let heard: Vec<&Member> = group.alerts.iter().filter(|alert| !alert.muted).collect();
        let (fires, over): (Vec<&Member>, Vec<&Member>) = heard.iter().partition(|alert| alert.ends_at_ms > now_ms);
        let set = |of: Vec<&Member>| of.into_iter().map(|alert| alert.labels.clone()).collect::<BTreeSet<Labels>>();
        let (firing, resolved) = (set(fires), set(over));
        let mut answer = Flush {
            sends: None,
            last: group.last.clone(),
            forgets: BTreeSet::new(),
            next_ms: now_ms + group.group_interval_ms,
        };
        for alert in &group.alerts {
            if alert.ends_at_ms <= now_ms {
                answer.forgets.insert(alert.labels.clone());
            }
        }
        if heard.is_empty() || !news(group, &firing, &resolved, now_ms) {
            return answer;
        }
        answer.last = Some(Told { at_ms: now_ms, firing: firing.clone(), resolved: resolved.clone() });
        if group.send_resolved {
            answer.sends = Some(Notification { firing, resolved });
        } else if !firing.is_empty() {
            answer.sends = Some(Notification { firing, resolved: BTreeSet::new() });
        }
        answer
    }
}

fn news(group: &Group, firing: &BTreeSet<Labels>, resolved: &BTreeSet<Labels>, now_ms: i64) -> bool {
    let Some(last) = &group.last else { return !firing.is_empty() };
    if firing.iter().any(|labels| !last.firing.contains(labels)) {
        return true;
    }
    if firing.is_empty() {
        return !last.firing.is_empty();
    }
    if group.send_resolved && resolved.iter().any(|labels| !last.resolved.contains(labels)) {
        return true;
    }
    last.at_ms + group.repeat_interval_ms < now_ms
}

kit::exercise!(Exercise: Alerts);
