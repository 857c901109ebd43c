//! Alerts as they come in (`types/types.go`, `provider/mem/mem.go`).

use crate::labels::Labels;

/// How long an alert without an end lasts, in milliseconds, if nobody posts it again.
pub const RESOLVE_TIMEOUT: i64 = 5 * 60_000;

/// An alert with the time for which it holds, in milliseconds.
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    /// What tells it from others.
    pub labels: Labels,
    /// What it says.
    pub annotations: Labels,
    /// When it began.
    pub starts_at: i64,
    /// From then on it is resolved.
    pub ends_at: i64,
    /// When it came in.
    pub updated_at: i64,
    /// Nobody said when it ends.
    pub timeout: bool,
}

impl Alert {
    /// An alert that comes in `now` (`api/v2/api.go`, postAlertsHandler).
    pub fn new(labels: Labels, starts_at: Option<i64>, ends_at: Option<i64>, now: i64) -> Alert {
        let labels = labels.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        Alert {
            labels,
            annotations: Labels::new(),
            starts_at: starts_at.or(ends_at).unwrap_or(now),
            ends_at: ends_at.unwrap_or(now + RESOLVE_TIMEOUT),
            updated_at: now,
            timeout: ends_at.is_none(),
        }
    }

    /// Whether it is over at `now`.
    pub fn resolved(&self, now: i64) -> bool {
        self.ends_at <= now
    }

    /// This alert, which comes in after `old` with the same labels: where they overlap, they are one.
    pub(super) fn merged(mut self, old: &Alert, now: i64) -> Alert {
        let within = |time: i64| old.starts_at < time && time < old.ends_at;
        if !within(self.ends_at) && !within(self.starts_at) {
            return self;
        }
        self.starts_at = self.starts_at.min(old.starts_at);
        // The later end counts, unless it was only a guess, or this one says that it is over.
        let later = if self.resolved(now) { old.resolved(now) } else { !old.timeout };
        if later {
            self.ends_at = self.ends_at.max(old.ends_at);
        }
        self
    }
}
