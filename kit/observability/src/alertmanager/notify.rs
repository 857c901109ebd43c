//! What is sent, and whether it is news (`notify/notify.go`, DedupStage; `nflog`).

use super::alert::Alert;
use crate::labels::Labels;
use std::collections::BTreeSet;

/// Whether an alert, or one of a notification's alerts, fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// It does.
    Firing,
    /// It does no longer.
    Resolved,
}

impl Status {
    /// How receivers see it.
    pub fn name(self) -> &'static str {
        match self {
            Status::Firing => "firing",
            Status::Resolved => "resolved",
        }
    }
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
    /// The alerts that fire, and those that ended since the last notification.
    pub alerts: Vec<(Status, Alert)>,
}

impl Notification {
    /// Firing while one of its alerts fires.
    pub fn status(&self) -> Status {
        self.alerts.iter().map(|(status, _)| *status).min().unwrap_or(Status::Resolved)
    }
}

/// The last notification of a group.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    firing: BTreeSet<Labels>,
    resolved: BTreeSet<Labels>,
    at: i64,
}

impl Entry {
    /// What is to be remembered of alerts that were told of at `now`.
    pub(super) fn new(alerts: &[(Status, Alert)], now: i64) -> Entry {
        let those = |wanted: Status| {
            alerts.iter().filter(|(status, _)| *status == wanted).map(|(_, alert)| alert.labels.clone()).collect()
        };
        Entry { firing: those(Status::Firing), resolved: those(Status::Resolved), at: now }
    }

    /// Whether `next` tells something that `last` did not, or the time to repeat it has come.
    pub(super) fn is_news(next: &Entry, last: Option<&Entry>, repeat_interval: i64) -> bool {
        let Some(last) = last else { return !next.firing.is_empty() };
        if !next.firing.is_subset(&last.firing) {
            return true;
        }
        if next.firing.is_empty() {
            // What fired and ended in between, nobody heard of.
            return !last.firing.is_empty();
        }
        !next.resolved.is_subset(&last.resolved) || next.at - last.at > repeat_interval
    }
}
