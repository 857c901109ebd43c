//! Alerts: what becomes of a rule's result, who is told of it, and when.
//!
//! Sources: Prometheus 2.42, `rules/alerting.go` (`Eval`, `sendAlerts`) and `rules/manager.go` (`SendAlerts`); Alertmanager 0.25,
//! `dispatch/route.go` (`Match`, `newRoute`), `dispatch/dispatch.go` (`insert`, `run`, `flush`), `inhibit/inhibit.go` (`Mutes`), `silence/silence.go` and
//! `notify/notify.go` (`needsUpdate`, the retry stage).
//!
//! The kit around the module scrapes, evaluates expressions, expands templates, carries alerts from Prometheus to Alertmanager, and keeps what the
//! module answers until it asks again.

mod matcher;
pub(super) mod show;

pub use matcher::Matcher;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The labels of an alert, by name.
pub type Labels = BTreeMap<String, String>;

/// How long an alert that has ended is remembered: 15 minutes.
pub const RESOLVED_RETENTION_MS: i64 = 15 * 60_000;

// ANCHOR: contract
contract! {
    /// The way from the result of a rule to somebody's phone. All times are milliseconds.
    pub trait Alerts {
        /// A rule was evaluated, and `holding` are the labels for which its expression holds now. Which alerts does the
        /// rule have then, in any order? An alert is known by all its labels. `known` are those that you
        /// answered last time.
        ///
        /// **An alert that holds.**
        ///
        /// - One that isn't known, or is `Inactive`, begins anew: it is `Pending`, active since now, and nothing else is set.
        /// - For one that is known, `keep_firing_since_ms` is not set any more.
        /// - One that is `Pending`, if only since now, is `Firing` and has fired now if it has been active for `for_ms`, or longer.
        ///
        /// **An alert that doesn't hold.**
        ///
        /// - `Pending`: it is forgotten.
        /// - `Firing`: if the rule has a `keep_firing_for_ms`, `keep_firing_since_ms` is now, unless it is set already; and
        ///   until so much time has passed since then, the alert fires on. Otherwise it is `Inactive`, and has resolved now.
        /// - `Inactive`: it is forgotten when it resolved more than 15 minutes ago.
        ///
        /// What isn't mentioned stays as it is.
        fn evaluate(&self, rule: &Rule, known: &[Alert], holding: &[Labels], now_ms: i64) -> Vec<Alert>;

        /// Which of the rule's alerts Prometheus sends to Alertmanager after an evaluation, in any order. The kit sets
        /// `last_sent_at_ms` of those.
        ///
        /// One that is `Pending` is not sent. Another one is sent if it never was, if it has resolved since it was sent
        /// last, or if that was longer than `resend_delay_ms` ago. It started when it fired. It ends when it resolved; one that
        /// fires ends, unless it is sent again, four times from now the longer one of `interval_ms` and `resend_delay_ms`.
        fn send(&self, rule: &Rule, known: &[Alert], now_ms: i64) -> Vec<Sent>;

        /// The routes at which an alert with these labels ends, in any order.
        ///
        /// An alert that comes to a route goes on to the routes below it whose matchers all fit, one after the other, up to and including the
        /// first of them that has no `continue`. It ends at the route itself if none below fits. What a route doesn't say, it has from the one
        /// above; the root has a `group_wait_ms` of 30 seconds, a `group_interval_ms` of 5 minutes, a
        /// `repeat_interval_ms` of 4 hours, and no labels to group by. Every alert comes to the root, which has no matchers.
        ///
        /// The alert's group is known by the route and by those labels of the alert that the route groups by, as far as the alert has them;
        /// with `...` by all of them.
        fn route(&self, tree: &Route, labels: &Labels) -> Vec<Destination>;

        /// An alert that started at `starts_at_ms` has come to a group. When is the group flushed next?
        ///
        /// One that was never flushed, new or not: now, if the alert started more than `group_wait_ms` ago; somebody waited for it
        /// already. Otherwise a new one after `group_wait_ms`, and any other when it was to be flushed before.
        fn join(&self, group: &Timer, starts_at_ms: i64, now_ms: i64) -> i64;

        /// Whether nobody is to hear of an alert with these labels. `firing` are the labels of all alerts that fire, this one perhaps among them.
        ///
        /// - By a silence: it has begun and isn't over (at `ends_at_ms` it is), and all its matchers fit.
        /// - By an inhibition: the alert fits `target`; an alert fires that fits `source`; and both have equal values for all labels of `equal`,
        ///   where a label that is missing is equal to one that is missing. If the alert fits `source`, too, then alerts that fit both sides
        ///   don't inhibit it.
        fn mutes(&self, quiet: &Quiet, firing: &[Labels], labels: &Labels, now_ms: i64) -> bool;

        /// A group's time has come. An alert has *resolved* if `ends_at_ms` is now or earlier; else it fires. Those that are
        /// `muted` are left out of everything but the last rule.
        ///
        /// There is *news* if there are alerts at all, and
        ///
        /// 1. nobody was ever told of the group, and an alert fires;
        /// 2. or an alert fires that did not fire in what was told last;
        /// 3. or none fires, and one did in what was told last;
        /// 4. or one fires, the receiver wants resolved alerts, and one has resolved that had not in what was told last;
        /// 5. or one fires, and more than `repeat_interval_ms` have passed since it was told last.
        ///
        /// Rules 2 to 5 need a `last`. With news, all alerts are told, those that fire and those that have resolved, and that is
        /// `last` from now on. A receiver that doesn't want resolved alerts is sent only those that fire, and nothing if
        /// there are none; `last` says the same as for others. Without news nothing is sent, and `last` stays.
        ///
        /// The group is flushed again after `group_interval_ms`. All alerts that have resolved are then forgotten, whether somebody was told
        /// or not.
        fn flush(&self, group: &Group, now_ms: i64) -> Flush;
    }
}

/// An alerting rule, as far as time is concerned.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rule {
    /// `for`
    pub for_ms: i64,
    /// `keep_firing_for`
    pub keep_firing_for_ms: i64,
    /// How far apart evaluations are.
    pub interval_ms: i64,
    /// `--rules.alert.resend-delay`
    pub resend_delay_ms: i64,
}

/// One alert of a rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alert {
    /// What it is known by.
    pub labels: Labels,
    /// Where it stands.
    pub state: State,
    /// Since when the expression holds.
    pub active_at_ms: i64,
    /// Since when it fires, or when it began to fire before it ended.
    #[serde(default)]
    pub fired_at_ms: Option<i64>,
    /// Since when it fires on though the expression doesn't hold.
    #[serde(default)]
    pub keep_firing_since_ms: Option<i64>,
    /// When it ended.
    #[serde(default)]
    pub resolved_at_ms: Option<i64>,
    /// When Alertmanager was last sent it.
    #[serde(default)]
    pub last_sent_at_ms: Option<i64>,
}

/// Where an alert stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum State {
    /// It fired, and has ended.
    Inactive,
    /// It holds, but not for long enough.
    Pending,
    /// It is told of.
    Firing,
}

/// An alert, as it is sent to Alertmanager.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Sent {
    /// What it is known by.
    pub labels: Labels,
    /// When it began to fire.
    pub starts_at_ms: i64,
    /// When it ended, or when it is over if nobody sends it again.
    pub ends_at_ms: i64,
}

/// A route, and those below it. What is left out comes from above.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Route {
    /// Who is told.
    pub receiver: Option<String>,
    /// Labels to group by; `[...]` stands for all, and no labels for those of the route above.
    pub group_by: Vec<String>,
    /// From a group's first alert to its first flush.
    pub group_wait_ms: Option<i64>,
    /// From each flush to the next.
    pub group_interval_ms: Option<i64>,
    /// How long what was told stands before it is told again.
    pub repeat_interval_ms: Option<i64>,
    /// All of them must fit.
    pub matchers: Vec<Matcher>,
    /// Whether the routes after this one are looked at, too.
    #[serde(rename = "continue")]
    pub continues: bool,
    /// Below this one.
    pub routes: Vec<Route>,
}

/// Where an alert ends, and with which others it is told of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Destination {
    /// The way to the route: the place among the routes below the root, then the place below that one, and so on, from 0. Empty for the root.
    pub path: Vec<usize>,
    /// Who is told.
    pub receiver: String,
    /// The labels of the group.
    pub group: Labels,
    /// What holds for the route.
    pub group_wait_ms: i64,
    /// What holds for the route.
    pub group_interval_ms: i64,
    /// What holds for the route.
    pub repeat_interval_ms: i64,
}

/// When a group is flushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timer {
    /// Of its route.
    pub group_wait_ms: i64,
    /// When it is to be flushed next; none for a new group.
    #[serde(default)]
    pub next_ms: Option<i64>,
    /// Whether it was ever flushed.
    #[serde(default)]
    pub flushed: bool,
}

/// What keeps alerts quiet.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Quiet {
    /// By people.
    pub silences: Vec<Silence>,
    /// By other alerts.
    pub inhibit_rules: Vec<InhibitRule>,
}

/// Somebody wants to hear nothing for a while.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Silence {
    /// All of them must fit.
    pub matchers: Vec<Matcher>,
    /// When it begins.
    pub starts_at_ms: i64,
    /// When it is over.
    pub ends_at_ms: i64,
}

/// While one alert fires, others are not told of.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct InhibitRule {
    /// `source_matchers`: which alerts keep others quiet.
    pub source: Vec<Matcher>,
    /// `target_matchers`: which alerts are kept quiet.
    pub target: Vec<Matcher>,
    /// Labels whose values must be equal.
    pub equal: Vec<String>,
}

/// A group whose time has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// In any order.
    #[serde(default)]
    pub alerts: Vec<Member>,
    /// What was told last; none if nothing ever was.
    #[serde(default)]
    pub last: Option<Told>,
    /// Of its route.
    pub group_interval_ms: i64,
    /// Of its route.
    pub repeat_interval_ms: i64,
    /// Whether the receiver wants resolved alerts.
    #[serde(default = "yes")]
    pub send_resolved: bool,
}

fn yes() -> bool {
    true
}

/// An alert of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// What it is known by.
    pub labels: Labels,
    /// From then on it has resolved.
    pub ends_at_ms: i64,
    /// Whether it is silenced or inhibited.
    #[serde(default)]
    pub muted: bool,
}

/// What was told of a group.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Told {
    /// When.
    pub at_ms: i64,
    /// Alerts that fired.
    #[serde(default)]
    pub firing: BTreeSet<Labels>,
    /// Alerts that had resolved.
    #[serde(default)]
    pub resolved: BTreeSet<Labels>,
}

/// What a receiver is sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notification {
    /// Alerts that fire.
    pub firing: BTreeSet<Labels>,
    /// Alerts that have resolved.
    pub resolved: BTreeSet<Labels>,
}

/// What follows from a flush.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flush {
    /// What the receiver is sent, if anything.
    pub sends: Option<Notification>,
    /// What was told last, from now on.
    pub last: Option<Told>,
    /// Alerts that the group forgets.
    pub forgets: BTreeSet<Labels>,
    /// When the group is flushed next.
    pub next_ms: i64,
}
// ANCHOR_END: contract

impl Matcher {
    /// Whether all matchers of a list fit, as all must; those of an empty list do.
    pub fn all_fit(matchers: &[Matcher], labels: &Labels) -> bool {
        matchers.iter().all(|matcher| matcher.fits(labels))
    }
}
