//! Groups and their timers (`dispatch/dispatch.go`).

use super::alert::Alert;
use super::inhibit::InhibitRule;
use super::notify::{Entry, Notification, Status};
use super::route::{Options, Route, RouteConfig};
use super::silence::Silence;
use super::time_interval::TimeInterval;
use crate::labels::Labels;
use std::collections::BTreeMap;

/// How often groups without alerts are forgotten, in milliseconds.
const CLEANUP: i64 = 30_000;
/// How often alerts that are over are forgotten (`alerts.gc-interval`), in milliseconds.
const GARBAGE: i64 = 30 * 60_000;

/// What it is set up with.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// The top of the routing tree.
    pub route: RouteConfig,
    /// Which alerts keep others quiet.
    pub inhibit_rules: Vec<InhibitRule>,
    /// Intervals by the names that routes call them.
    pub time_intervals: BTreeMap<String, Vec<TimeInterval>>,
}

/// The alerts of a route that are told of together.
#[derive(Debug)]
struct Group {
    labels: Labels,
    options: Options,
    alerts: BTreeMap<Labels, Alert>,
    next_flush: i64,
    flushed: bool,
}

/// What a group is known by: its route and labels.
type Key = (String, Labels);

/// Alerts in, notifications out.
#[derive(Debug)]
pub struct Alertmanager {
    config: Config,
    route: Route,
    alerts: BTreeMap<Labels, Alert>,
    silences: Vec<Silence>,
    groups: BTreeMap<Key, Group>,
    log: BTreeMap<Key, Entry>,
    now: i64,
    next_cleanup: i64,
    next_garbage: i64,
}

impl Alertmanager {
    /// One that starts at `now`, in milliseconds since 1970.
    pub fn new(config: Config, now: i64) -> Alertmanager {
        Alertmanager {
            route: Route::new(&config.route),
            config,
            alerts: BTreeMap::new(),
            silences: Vec::new(),
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

    /// The routing tree.
    pub fn route(&self) -> &Route {
        &self.route
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
        for route in self.route.matching(&alert.labels) {
            let labels = route.options.group_labels(&alert.labels);
            let group = self.groups.entry((route.key.clone(), labels.clone())).or_insert_with(|| Group {
                labels,
                options: route.options.clone(),
                alerts: BTreeMap::new(),
                next_flush: self.now + route.options.group_wait,
                flushed: false,
            });
            // Whoever started earlier, before a restart perhaps, has waited enough.
            if !group.flushed && alert.starts_at + group.options.group_wait < self.now {
                group.next_flush = self.now;
            }
            group.alerts.insert(alert.labels.clone(), alert.clone());
        }
    }

    /// Adds a silence, or replaces the one with its id.
    pub fn silence(&mut self, silence: Silence) {
        self.silences.retain(|known| known.id != silence.id);
        self.silences.push(silence);
    }

    /// Ends a silence now.
    pub fn expire(&mut self, id: &str) {
        let now = self.now;
        self.silences.iter_mut().filter(|silence| silence.id == id).for_each(|silence| silence.ends_at = now);
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

    /// Looks at a group: tells what is new, and forgets what is over.
    fn flush(&mut self, key: &Key) -> Option<Notification> {
        let now = self.now;
        let group = self.groups.get_mut(key)?;
        // A group must not hold the clock.
        group.next_flush = now + group.options.group_interval.max(1);
        group.flushed = true;
        let alerts: Vec<_> = group.alerts.values().map(|alert| (status(alert, now), alert.clone())).collect();
        group.alerts.retain(|_, alert| !alert.resolved(now));
        let (labels, options) = (group.labels.clone(), group.options.clone());
        if self.muted_by_time(&options) {
            return None;
        }
        let told: Vec<_> = alerts.into_iter().filter(|(_, alert)| !self.muted(&alert.labels)).collect();
        let entry = Entry::new(&told, now);
        if told.is_empty() || !Entry::is_news(&entry, self.log.get(key), options.repeat_interval) {
            return None;
        }
        self.log.insert(key.clone(), entry);
        Some(Notification { at: now, receiver: options.receiver, group_labels: labels, alerts: told })
    }

    /// Whether an alert with these labels is inhibited or silenced now.
    pub fn muted(&self, labels: &Labels) -> bool {
        self.config.inhibit_rules.iter().any(|rule| rule.mutes(labels, &self.alerts, self.now))
            || self.silences.iter().any(|silence| silence.mutes(labels, self.now))
    }

    fn muted_by_time(&self, options: &Options) -> bool {
        let within = |names: &[String]| {
            let intervals = names.iter().filter_map(|name| self.config.time_intervals.get(name)).flatten();
            intervals.into_iter().any(|interval| interval.contains(self.now))
        };
        let inactive = !options.active_time_intervals.is_empty() && !within(&options.active_time_intervals);
        inactive || within(&options.mute_time_intervals)
    }
}

fn status(alert: &Alert, now: i64) -> Status {
    if alert.resolved(now) { Status::Resolved } else { Status::Firing }
}
