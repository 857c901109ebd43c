//! # Alerts: from a series to a phone
//!
//! A rule yields series, again and again. You write what stands between that and somebody's phone: when an alert is pending and when it
//! fires, what is sent, which receivers get it, how alerts are grouped, and when a group is told of again.
//!
//! About 50 minutes · builds on nothing · book: "Alerts: from a series to a phone" · stuck? `cargo grade hint observability/alerts`
//!
//! Given to you:
//!
//! - `kit::observability::alerts::Matcher::fits: fn(&kit::observability::alerts::Matcher, &kit::observability::alerts::Labels) -> bool`: whether an alert with these labels fits; a label that is missing counts as empty
//! - `kit::observability::alerts::Matcher::all_fit: fn(&[kit::observability::alerts::Matcher], &kit::observability::alerts::Labels) -> bool`: whether all matchers of a list fit
//! - `kit::observability::alerts::Labels` is a `BTreeMap<String, String>`
//! - `kit::observability::alerts::RESOLVED_RETENTION_MS: i64`: 15 minutes
//!
//! All types are in `kit::observability::alerts`.

use kit::observability::Alerts;
use kit::observability::alerts::{Alert, Destination, Flush, Group, Labels, Quiet, Route, Rule, Sent, Timer};

/// The kit keeps what you answer until it asks again, so nothing is remembered here.
#[derive(Default)]
struct Exercise;

impl Alerts for Exercise {
    /// A rule was evaluated, and `holding` are the labels for which its expression holds now. Which alerts does the rule have
    /// then, in any order? An alert is known by all its labels. `known` are those that you answered last time.
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
    /// - `Firing`: if the rule has a `keep_firing_for_ms`, `keep_firing_since_ms` is now, unless it is set already; and until
    ///   so much time has passed since then, the alert fires on. Otherwise it is `Inactive`, and has resolved now.
    /// - `Inactive`: it is forgotten when it resolved more than 15 minutes ago.
    ///
    /// What isn't mentioned stays as it is.
    fn evaluate(&self, rule: &Rule, known: &[Alert], holding: &[Labels], now_ms: i64) -> Vec<Alert> {
        let _ = (rule, known, holding, now_ms);
        todo!("which alerts hold and are not known, or only as inactive ones?")
    }

    /// Which of the rule's alerts Prometheus sends to Alertmanager after an evaluation, in any order. The kit sets
    /// `last_sent_at_ms` of those.
    ///
    /// One that is `Pending` is not sent. Another one is sent if it never was, if it has resolved since it was sent last, or
    /// if that was longer than `resend_delay_ms` ago. It started when it fired. It ends when it resolved; one that fires ends,
    /// unless it is sent again, four times from now the longer one of `interval_ms` and `resend_delay_ms`.
    fn send(&self, rule: &Rule, known: &[Alert], now_ms: i64) -> Vec<Sent> {
        let _ = (rule, known, now_ms);
        todo!("which alerts are due?")
    }

    /// The routes at which an alert with these labels ends, in any order.
    ///
    /// An alert that comes to a route goes on to the routes below it whose matchers all fit, one after the other, up to and
    /// including the first of them that has no `continue`. It ends at the route itself if none below fits. What a
    /// route doesn't say, it has from the one above; the root has a `group_wait_ms` of 30 seconds, a `group_interval_ms` of
    /// 5 minutes, a `repeat_interval_ms` of 4 hours, and no labels to group by. Every alert comes to the root, which has no matchers.
    ///
    /// The alert's group is known by the route and by those labels of the alert that the route groups by, as far as the alert
    /// has them; with `...` by all of them.
    fn route(&self, tree: &Route, labels: &Labels) -> Vec<Destination> {
        let _ = (tree, labels);
        todo!("a function that calls itself: what holds here, and who below takes the alert?")
    }

    /// An alert that started at `starts_at_ms` has come to a group. When is the group flushed next?
    ///
    /// One that was never flushed, new or not: now, if the alert started more than `group_wait_ms` ago; somebody waited for it
    /// already. Otherwise a new one after `group_wait_ms`, and any other when it was to be flushed before.
    fn join(&self, group: &Timer, starts_at_ms: i64, now_ms: i64) -> i64 {
        let _ = (group, starts_at_ms, now_ms);
        todo!("is the group new, and was it ever flushed?")
    }

    /// Whether nobody is to hear of an alert with these labels. `firing` are the labels of all alerts that fire, this one
    /// perhaps among them.
    ///
    /// - By a silence: it has begun and isn't over (at `ends_at_ms` it is), and all its matchers fit.
    /// - By an inhibition: the alert fits `target`; an alert fires that fits `source`; and both have equal values for all
    ///   labels of `equal`, where a label that is missing is equal to one that is missing. If the alert fits `source`, too,
    ///   then alerts that fit both sides don't inhibit it.
    fn mutes(&self, quiet: &Quiet, firing: &[Labels], labels: &Labels, now_ms: i64) -> bool {
        let _ = (quiet, firing, labels, now_ms);
        todo!("begin with silences")
    }

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
    /// `last` from now on. A receiver that doesn't want resolved alerts is sent only those that fire, and nothing if there are
    /// none; `last` says the same as for others. Without news nothing is sent, and `last` stays.
    ///
    /// The group is flushed again after `group_interval_ms`. All alerts that have resolved are then forgotten, whether
    /// somebody was told or not.
    fn flush(&self, group: &Group, now_ms: i64) -> Flush {
        let _ = (group, now_ms);
        todo!("which alerts fire, and which have resolved?")
    }
}

kit::exercise!(Exercise: Alerts);
