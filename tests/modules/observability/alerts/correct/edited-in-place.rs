//! Passes: the known alerts are edited in place, in passes over the list as Prometheus does it; routes are found first, as paths, and what holds at
//! the end of a path is looked up afterwards, from the end to the root.

use kit::observability::Alerts;
use kit::observability::alerts::*;
use std::collections::BTreeSet;

#[derive(Default)]
struct Exercise;

impl Alerts for Exercise {
    fn evaluate(&self, rule: &Rule, known: &[Alert], holding: &[Labels], now_ms: i64) -> Vec<Alert> {
        let mut alerts = known.to_vec();
        // First what holds: new ones, and those that come back, take their place.
        for labels in holding {
            let fresh = Alert {
                labels: labels.clone(),
                state: State::Pending,
                active_at_ms: now_ms,
                fired_at_ms: None,
                keep_firing_since_ms: None,
                resolved_at_ms: None,
                last_sent_at_ms: None,
            };
            match alerts.iter_mut().find(|alert| alert.labels == *labels) {
                Some(alert) if alert.state == State::Inactive => *alert = fresh,
                Some(alert) => alert.keep_firing_since_ms = None,
                None => alerts.push(fresh),
            }
        }
        // Then what is over.
        let holds = |alert: &Alert| holding.contains(&alert.labels);
        alerts.retain(|alert| {
            let long_ago = alert.state == State::Inactive
                && alert.resolved_at_ms.is_some_and(|at| at < now_ms - RESOLVED_RETENTION_MS);
            holds(alert) || alert.state != State::Pending && !long_ago
        });
        for alert in alerts.iter_mut().filter(|alert| !holding.contains(&alert.labels)) {
            if alert.state != State::Firing {
                continue;
            }
            if rule.keep_firing_for_ms > 0 && alert.keep_firing_since_ms.is_none() {
                alert.keep_firing_since_ms = Some(now_ms);
            }
            let kept = rule.keep_firing_for_ms > 0
                && alert.keep_firing_since_ms.is_some_and(|since| since > now_ms - rule.keep_firing_for_ms);
            if !kept {
                alert.state = State::Inactive;
                alert.resolved_at_ms = Some(now_ms);
            }
        }
        // Then who has waited for long enough.
        for alert in alerts.iter_mut().filter(|alert| alert.state == State::Pending) {
            if now_ms - rule.for_ms >= alert.active_at_ms {
                alert.state = State::Firing;
                alert.fired_at_ms = Some(now_ms);
            }
        }
        alerts
    }

    fn send(&self, rule: &Rule, known: &[Alert], now_ms: i64) -> Vec<Sent> {
        let mut sent = Vec::new();
        for alert in known {
            let last = alert.last_sent_at_ms.unwrap_or(i64::MIN);
            let due = match (alert.state, alert.resolved_at_ms) {
                (State::Pending, _) => false,
                (_, Some(resolved)) if last < resolved => true,
                _ => last < now_ms - rule.resend_delay_ms,
            };
            if due {
                let span = 4 * std::cmp::max(rule.interval_ms, rule.resend_delay_ms);
                sent.push(Sent {
                    labels: alert.labels.clone(),
                    starts_at_ms: alert.fired_at_ms.unwrap_or_default(),
                    ends_at_ms: alert.resolved_at_ms.unwrap_or(now_ms + span),
                });
            }
        }
        sent
    }

    fn route(&self, tree: &Route, labels: &Labels) -> Vec<Destination> {
        let mut paths = Vec::new();
        find(tree, labels, &mut Vec::new(), &mut paths);
        paths.into_iter().map(|path| look_up(tree, path, labels)).collect()
    }

    fn join(&self, group: &Timer, starts_at_ms: i64, now_ms: i64) -> i64 {
        match (group.next_ms, group.flushed) {
            (Some(next), true) => next,
            _ if starts_at_ms < now_ms - group.group_wait_ms => now_ms,
            (Some(next), false) => next,
            (None, _) => group.group_wait_ms + now_ms,
        }
    }

    fn mutes(&self, quiet: &Quiet, firing: &[Labels], labels: &Labels, now_ms: i64) -> bool {
        let silenced = |silence: &Silence| {
            now_ms >= silence.starts_at_ms
                && now_ms < silence.ends_at_ms
                && silence.matchers.iter().all(|matcher| matcher.fits(labels))
        };
        let inhibited = |rule: &InhibitRule| {
            let sources = firing.iter().filter(|source| {
                let both = Matcher::all_fit(&rule.source, labels) && Matcher::all_fit(&rule.target, source);
                Matcher::all_fit(&rule.source, source) && !both
            });
            let key = |of: &Labels| -> Vec<Option<String>> { rule.equal.iter().map(|n| of.get(n).cloned()).collect() };
            let keys: BTreeSet<Vec<Option<String>>> = sources.map(key).collect();
            Matcher::all_fit(&rule.target, labels) && keys.contains(&key(labels))
        };
        quiet.silences.iter().any(silenced) || quiet.inhibit_rules.iter().any(inhibited)
    }

    fn flush(&self, group: &Group, now_ms: i64) -> Flush {
        let (mut told, mut forgets) = (Told { at_ms: now_ms, ..Told::default() }, BTreeSet::new());
        for alert in &group.alerts {
            let over = now_ms >= alert.ends_at_ms;
            if over {
                forgets.insert(alert.labels.clone());
            }
            if !alert.muted {
                let side = if over { &mut told.resolved } else { &mut told.firing };
                side.insert(alert.labels.clone());
            }
        }
        let silent = told.firing.is_empty() && told.resolved.is_empty();
        let news = !silent
            && match &group.last {
                None => !told.firing.is_empty(),
                Some(last) => {
                    let more = told.firing.difference(&last.firing).next().is_some();
                    let clear = told.firing.is_empty() && !last.firing.is_empty();
                    let ended = group.send_resolved && told.resolved.difference(&last.resolved).next().is_some();
                    let late = now_ms > last.at_ms + group.repeat_interval_ms;
                    more || clear || !told.firing.is_empty() && (ended || late)
                }
            };
        let heard = news && (group.send_resolved || !told.firing.is_empty());
        let sends = heard.then(|| Notification {
            firing: told.firing.clone(),
            resolved: told.resolved.iter().filter(|_| group.send_resolved).cloned().collect(),
        });
        let last = if news { Some(told) } else { group.last.clone() };
        Flush { sends, last, forgets, next_ms: now_ms + group.group_interval_ms }
    }
}

fn find(route: &Route, labels: &Labels, way: &mut Vec<usize>, paths: &mut Vec<Vec<usize>>) {
    let before = paths.len();
    for (place, below) in route.routes.iter().enumerate() {
        if Matcher::all_fit(&below.matchers, labels) {
            way.push(place);
            find(below, labels, way, paths);
            way.pop();
            if !below.continues {
                return;
            }
        }
    }
    if paths.len() == before {
        paths.push(way.clone());
    }
}

fn look_up(tree: &Route, path: Vec<usize>, labels: &Labels) -> Destination {
    let mut way = vec![tree];
    for place in &path {
        let last = way[way.len() - 1];
        way.push(&last.routes[*place]);
    }
    way.reverse();
    let by = way.iter().map(|route| &route.group_by).find(|by| !by.is_empty()).cloned().unwrap_or_default();
    let mut group = Labels::new();
    for (name, value) in labels {
        if by.contains(name) || by.contains(&"...".to_string()) {
            group.insert(name.clone(), value.clone());
        }
    }
    Destination {
        path,
        receiver: way.iter().find_map(|route| route.receiver.clone()).unwrap_or_default(),
        group,
        group_wait_ms: way.iter().find_map(|route| route.group_wait_ms).unwrap_or(30_000),
        group_interval_ms: way.iter().find_map(|route| route.group_interval_ms).unwrap_or(300_000),
        repeat_interval_ms: way.iter().find_map(|route| route.repeat_interval_ms).unwrap_or(14_400_000),
    }
}

kit::exercise!(Exercise: Alerts);
