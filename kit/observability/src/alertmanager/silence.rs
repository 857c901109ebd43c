//! Silences: what people keep quiet for a while (`silence/silence.go`).

use crate::labels::{Labels, Matcher};

/// Keeps alerts quiet that fit all matchers, from a time on until another, in milliseconds.
#[derive(Clone, Debug)]
pub struct Silence {
    /// What tells it from others.
    pub id: String,
    /// All of them must fit.
    pub matchers: Vec<Matcher>,
    /// When it begins.
    pub starts_at: i64,
    /// When it is over.
    pub ends_at: i64,
}

impl Silence {
    /// Whether an alert with these labels is kept quiet at `now`.
    pub fn mutes(&self, labels: &Labels, now: i64) -> bool {
        (self.starts_at..self.ends_at).contains(&now) && self.matchers.iter().all(|matcher| matcher.matches(labels))
    }
}
