//! The reference for `observability/alerts`.

// ANCHOR: solution
use kit::observability::Alerts;
use kit::observability::alerts::{
    Alert, Destination, Flush, Group, Labels, Matcher, Notification, Quiet, RESOLVED_RETENTION_MS, Route, Rule, Sent,
    State, Timer, Told,
};
use std::collections::BTreeSet;

/// Nothing is remembered.
#[derive(Default)]
pub struct Exercise;

impl Alerts for Exercise {
    fn evaluate(&self, rule: &Rule, known: &[Alert], holding: &[Labels], now_ms: i64) -> Vec<Alert> {
        let active =
            |labels: &&Labels| known.iter().any(|alert| alert.labels == **labels && alert.state != State::Inactive);
        let new = holding.iter().filter(|labels| !active(labels)).map(|labels| begun(labels, now_ms));
        let kept = known.iter().filter(|alert| alert.state != State::Inactive || !holding.contains(&alert.labels));
        let all = kept.cloned().chain(new);
        all.filter_map(|alert| match holding.contains(&alert.labels) {
            true => Some(holds(alert, rule, now_ms)),
            false => holds_no_longer(alert, rule, now_ms),
        })
        .collect()
    }

    fn send(&self, rule: &Rule, known: &[Alert], now_ms: i64) -> Vec<Sent> {
        let due = |alert: &&Alert| match alert.last_sent_at_ms {
            _ if alert.state == State::Pending => false,
            None => true,
            Some(sent) => alert.resolved_at_ms > Some(sent) || now_ms - sent > rule.resend_delay_ms,
        };
        // Two evaluations or requests may fail before Alertmanager thinks that it is over.
        let valid_until = now_ms + 4 * rule.interval_ms.max(rule.resend_delay_ms);
        let sent = |alert: &Alert| Sent {
            labels: alert.labels.clone(),
            starts_at_ms: alert.fired_at_ms.unwrap_or(alert.active_at_ms),
            ends_at_ms: alert.resolved_at_ms.unwrap_or(valid_until),
        };
        known.iter().filter(due).map(sent).collect()
    }

    fn route(&self, tree: &Route, labels: &Labels) -> Vec<Destination> {
        let above = Destination {
            path: Vec::new(),
            receiver: String::new(),
            group: Labels::new(),
            group_wait_ms: 30_000,
            group_interval_ms: 5 * 60_000,
            repeat_interval_ms: 4 * 3_600_000,
        };
        walk(tree, &above, labels)
    }

    fn join(&self, group: &Timer, starts_at_ms: i64, now_ms: i64) -> i64 {
        match group.next_ms {
            _ if !group.flushed && now_ms - starts_at_ms > group.group_wait_ms => now_ms,
            None => now_ms + group.group_wait_ms,
            Some(next) => next,
        }
    }

    fn mutes(&self, quiet: &Quiet, firing: &[Labels], labels: &Labels, now_ms: i64) -> bool {
        let silenced = quiet.silences.iter().any(|silence| {
            (silence.starts_at_ms..silence.ends_at_ms).contains(&now_ms) && Matcher::all_fit(&silence.matchers, labels)
        });
        silenced
            || quiet.inhibit_rules.iter().filter(|rule| Matcher::all_fit(&rule.target, labels)).any(|rule| {
                let two_sided = Matcher::all_fit(&rule.source, labels);
                firing.iter().any(|source| {
                    Matcher::all_fit(&rule.source, source)
                        && rule.equal.iter().all(|name| labels.get(name) == source.get(name))
                        && !(two_sided && Matcher::all_fit(&rule.target, source))
                })
            })
    }

    fn flush(&self, group: &Group, now_ms: i64) -> Flush {
        let those = |resolved: bool| -> BTreeSet<Labels> {
            let alerts = group.alerts.iter().filter(|alert| !alert.muted && (alert.ends_at_ms <= now_ms) == resolved);
            alerts.map(|alert| alert.labels.clone()).collect()
        };
        let next = Told { at_ms: now_ms, firing: those(false), resolved: those(true) };
        let news = is_news(&next, group);
        let sends = Notification {
            firing: next.firing.clone(),
            resolved: if group.send_resolved { next.resolved.clone() } else { BTreeSet::new() },
        };
        let worth = !sends.firing.is_empty() || !sends.resolved.is_empty();
        let over = group.alerts.iter().filter(|alert| alert.ends_at_ms <= now_ms);
        Flush {
            sends: Some(sends).filter(|_| news && worth),
            last: if news { Some(next) } else { group.last.clone() },
            forgets: over.map(|alert| alert.labels.clone()).collect(),
            next_ms: now_ms + group.group_interval_ms,
        }
    }
}

fn begun(labels: &Labels, now_ms: i64) -> Alert {
    Alert {
        labels: labels.clone(),
        state: State::Pending,
        active_at_ms: now_ms,
        fired_at_ms: None,
        keep_firing_since_ms: None,
        resolved_at_ms: None,
        last_sent_at_ms: None,
    }
}

fn holds(mut alert: Alert, rule: &Rule, now_ms: i64) -> Alert {
    alert.keep_firing_since_ms = None;
    if alert.state == State::Pending && now_ms - alert.active_at_ms >= rule.for_ms {
        alert.state = State::Firing;
        alert.fired_at_ms = Some(now_ms);
    }
    alert
}

fn holds_no_longer(mut alert: Alert, rule: &Rule, now_ms: i64) -> Option<Alert> {
    match alert.state {
        State::Pending => return None,
        State::Firing if rule.keep_firing_for_ms > 0 => {
            let since = *alert.keep_firing_since_ms.get_or_insert(now_ms);
            if now_ms - since < rule.keep_firing_for_ms {
                return Some(alert);
            }
        }
        State::Firing => {}
        State::Inactive => {
            let forgotten = alert.resolved_at_ms.is_some_and(|resolved| now_ms - resolved > RESOLVED_RETENTION_MS);
            return Some(alert).filter(|_| !forgotten);
        }
    }
    (alert.state, alert.resolved_at_ms) = (State::Inactive, Some(now_ms));
    Some(alert)
}

/// Where an alert ends that came to this route.
fn walk(route: &Route, above: &Destination, labels: &Labels) -> Vec<Destination> {
    let here = Destination {
        path: above.path.clone(),
        receiver: route.receiver.clone().unwrap_or_else(|| above.receiver.clone()),
        group: if route.group_by.is_empty() { above.group.clone() } else { group_of(&route.group_by, labels) },
        group_wait_ms: route.group_wait_ms.unwrap_or(above.group_wait_ms),
        group_interval_ms: route.group_interval_ms.unwrap_or(above.group_interval_ms),
        repeat_interval_ms: route.repeat_interval_ms.unwrap_or(above.repeat_interval_ms),
    };
    let mut found = Vec::new();
    for (place, below) in route.routes.iter().enumerate() {
        if !Matcher::all_fit(&below.matchers, labels) {
            continue;
        }
        let mut there = here.clone();
        there.path.push(place);
        found.extend(walk(below, &there, labels));
        if !below.continues {
            break;
        }
    }
    if found.is_empty() { vec![here] } else { found }
}

fn group_of(names: &[String], labels: &Labels) -> Labels {
    let all = names.iter().any(|name| name == "...");
    let mut group = labels.clone();
    group.retain(|name, _| all || names.contains(name));
    group
}

/// Whether the receiver has to hear of it.
fn is_news(next: &Told, group: &Group) -> bool {
    let Some(last) = &group.last else { return !next.firing.is_empty() };
    if next.firing.is_empty() {
        // What fired and ended in between, nobody heard of.
        return !next.resolved.is_empty() && !last.firing.is_empty();
    }
    !next.firing.is_subset(&last.firing)
        || group.send_resolved && !next.resolved.is_subset(&last.resolved)
        || next.at_ms - last.at_ms > group.repeat_interval_ms
}
// ANCHOR_END: solution
