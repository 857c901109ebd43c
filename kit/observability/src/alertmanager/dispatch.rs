//! Groups and their timers (`dispatch/dispatch.go`).

use super::alert::Alert;
use super::time_interval::TimeInterval;
use crate::labels::Labels;
use kit_contract::observability::Alerts;
use kit_contract::observability::alerts::{
    Destination, Group, InhibitRule, Member, Quiet, Route, Silence, Timer, Told,
};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// How often groups without alerts are forgotten, in milliseconds.
const CLEANUP: i64 = 30_000;
/// How often alerts that are over are forgotten (`alerts.gc-interval`), in milliseconds.
const GARBAGE: i64 = 30 * 60_000;
/// No group is flushed again sooner, in milliseconds, whatever the module says.
const SHORTEST: i64 = 500;

/// What it is set up with.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// The top of the routing tree.
    pub route: Route,
    /// When routes are quiet, by their path.
    pub hours: BTreeMap<Vec<usize>, Hours>,
    /// Which alerts keep others quiet.
    pub inhibit_rules: Vec<InhibitRule>,
    /// Intervals by the names that routes call them.
    pub time_intervals: BTreeMap<String, Vec<TimeInterval>>,
    /// Receivers with `send_resolved: false`.
    pub without_resolved: BTreeSet<String>,
}

/// When a route is quiet.
#[derive(Clone, Debug, Default)]
pub struct Hours {
    /// Names of intervals at which nothing is sent.
    pub mute: Vec<String>,
    /// Names of intervals outside of which nothing is sent, if there are any.
    pub active: Vec<String>,
}

/// What a receiver gets.
#[derive(Clone, Debug, PartialEq)]
pub struct Notification {
    /// When, in milliseconds.
    pub at: i64,
    /// Who.
    pub receiver: String,
    /// What the group's alerts have in common.
    pub group_labels: Labels,
    /// The alerts that fire.
    pub firing: Vec<Alert>,
    /// Those that ended since the last notification.
    pub resolved: Vec<Alert>,
}

impl Notification {
    /// Firing while one of its alerts fires.
    pub fn status(&self) -> &'static str {
        if self.firing.is_empty() { "resolved" } else { "firing" }
    }
}

/// The alerts of a route that are told of together.
struct Open {
    to: Destination,
    alerts: BTreeMap<Labels, Alert>,
    next_flush: i64,
    flushed: bool,
}

/// What a group is known by: its route and labels.
type Key = (Vec<usize>, Labels);

/// Alerts in, notifications out.
pub struct Alertmanager {
    config: Config,
    module: Rc<dyn Alerts>,
    alerts: BTreeMap<Labels, Alert>,
    silences: BTreeMap<String, Silence>,
    groups: BTreeMap<Key, Open>,
    log: BTreeMap<Key, Told>,
    now: i64,
    next_cleanup: i64,
    next_garbage: i64,
}

impl Alertmanager {
    /// One that starts at `now`, in milliseconds since 1970, and decides as the module does.
    pub fn new(config: Config, module: Rc<dyn Alerts>, now: i64) -> Alertmanager {
        Alertmanager {
            config,
            module,
            alerts: BTreeMap::new(),
            silences: BTreeMap::new(),
            groups: BTreeMap::new(),
            log: BTreeMap::new(),
            now,
            next_cleanup: now + CLEANUP,
            next_garbage: now + GARBAGE,
        }
    }

    /// The time.
    pub fn now(&self) -> i64 {
        self.now
    }

    /// When the next group is flushed.
    pub fn next_flush(&self) -> Option<i64> {
        self.groups.values().map(|group| group.next_flush).min()
    }

    /// Moves the clock to `now` without looking at the groups whose time has come: they are looked at with the next
    /// [`advance`](Self::advance). So what happens at one instant can come before it.
    pub fn set_clock(&mut self, now: i64) {
        self.now = self.now.max(now);
    }

    /// An alert comes in, now.
    pub fn post(&mut self, alert: Alert) {
        let alert = match self.alerts.get(&alert.labels) {
            Some(old) => alert.merged(old, self.now),
            None => alert,
        };
        self.alerts.insert(alert.labels.clone(), alert.clone());
        for to in self.module.route(&self.config.route, &alert.labels) {
            let key = (to.path.clone(), to.group.clone());
            let known = self.groups.get(&key);
            let timer = Timer {
                group_wait_ms: to.group_wait_ms,
                next_ms: known.map(|group| group.next_flush),
                flushed: known.is_some_and(|group| group.flushed),
            };
            let next_flush = self.module.join(&timer, alert.starts_at, self.now);
            let open = || Open { to, alerts: BTreeMap::new(), next_flush, flushed: false };
            let group = self.groups.entry(key).or_insert_with(open);
            group.next_flush = next_flush;
            group.alerts.insert(alert.labels.clone(), alert.clone());
        }
    }

    /// Adds a silence, or replaces the one of that name.
    pub fn silence(&mut self, id: &str, silence: Silence) {
        self.silences.insert(id.into(), silence);
    }

    /// Ends a silence now.
    pub fn expire(&mut self, id: &str) {
        let now = self.now;
        self.silences.entry(id.into()).and_modify(|silence| silence.ends_at_ms = now);
    }

    /// Moves the clock to `until`; yields what is sent until then, that instant included.
    pub fn advance(&mut self, until: i64) -> Vec<Notification> {
        let mut sent = Vec::new();
        loop {
            let flush = self.groups.iter().map(|(key, group)| (group.next_flush, key)).min();
            let flush = flush.map(|(at, key)| (at, key.clone()));
            let next = flush.as_ref().map_or(i64::MAX, |(at, _)| *at).min(self.next_cleanup).min(self.next_garbage);
            if next > until {
                self.now = self.now.max(until);
                return sent;
            }
            self.now = self.now.max(next);
            match flush {
                Some((at, key)) if at == next => sent.extend(self.flush(&key)),
                _ if next == self.next_cleanup => {
                    self.groups.retain(|_, group| !group.alerts.is_empty());
                    self.next_cleanup += CLEANUP;
                }
                _ => {
                    let now = self.now;
                    self.alerts.retain(|_, alert| !alert.resolved(now));
                    self.next_garbage += GARBAGE;
                }
            }
        }
    }

    /// A group's time has come. Where the clock keeps the whole route quiet, that is as if all its alerts were muted.
    fn flush(&mut self, key: &Key) -> Option<Notification> {
        let now = self.now;
        let open = self.groups.get(key)?;
        let quiet_hours = self.quiet_hours(&open.to.path);
        let firing = self.firing();
        let quiet = self.quiet();
        let member = |alert: &Alert| Member {
            labels: alert.labels.clone(),
            ends_at_ms: alert.ends_at,
            muted: quiet_hours || self.module.mutes(&quiet, &firing, &alert.labels, now),
        };
        let group = Group {
            alerts: open.alerts.values().map(member).collect(),
            last: self.log.get(key).cloned(),
            group_interval_ms: open.to.group_interval_ms,
            repeat_interval_ms: open.to.repeat_interval_ms,
            send_resolved: !self.config.without_resolved.contains(&open.to.receiver),
        };
        let flush = self.module.flush(&group, now);
        let open = self.groups.get_mut(key)?;
        let those = |of: &BTreeSet<Labels>| of.iter().filter_map(|labels| open.alerts.get(labels).cloned()).collect();
        let sent = flush.sends.map(|sends| Notification {
            at: now,
            receiver: open.to.receiver.clone(),
            group_labels: open.to.group.clone(),
            firing: those(&sends.firing),
            resolved: those(&sends.resolved),
        });
        open.alerts.retain(|labels, _| !flush.forgets.contains(labels));
        // A group must not hold the clock.
        open.next_flush = flush.next_ms.max(now + SHORTEST);
        open.flushed = true;
        match flush.last {
            Some(last) => drop(self.log.insert(key.clone(), last)),
            None => drop(self.log.remove(key)),
        }
        sent
    }

    fn quiet(&self) -> Quiet {
        Quiet { silences: self.silences.values().cloned().collect(), inhibit_rules: self.config.inhibit_rules.clone() }
    }

    fn firing(&self) -> Vec<Labels> {
        let firing = self.alerts.values().filter(|alert| !alert.resolved(self.now));
        firing.map(|alert| alert.labels.clone()).collect()
    }

    fn quiet_hours(&self, path: &[usize]) -> bool {
        let within = |names: &[String]| {
            let intervals = names.iter().filter_map(|name| self.config.time_intervals.get(name)).flatten();
            intervals.into_iter().any(|interval| interval.contains(self.now))
        };
        let hours = self.config.hours.get(path);
        hours.is_some_and(|hours| within(&hours.mute) || !hours.active.is_empty() && !within(&hours.active))
    }
}
