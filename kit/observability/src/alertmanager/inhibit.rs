//! Inhibition: an alert keeps another quiet (`inhibit/inhibit.go`).

use super::alert::Alert;
use crate::labels::{Labels, Matcher, value};
use std::collections::BTreeMap;

/// While a source fires, targets with the same values of some labels are not told of.
#[derive(Clone, Debug, Default)]
pub struct InhibitRule {
    /// Which alerts keep others quiet.
    pub source: Vec<Matcher>,
    /// Which alerts are kept quiet.
    pub target: Vec<Matcher>,
    /// Labels whose values must be equal; missing on both sides is equal, too.
    pub equal: Vec<String>,
}

fn fits(matchers: &[Matcher], labels: &Labels) -> bool {
    matchers.iter().all(|matcher| matcher.matches(labels))
}

impl InhibitRule {
    /// Whether one of `alerts` keeps an alert with these labels quiet. What is both source and target is kept quiet only by
    /// what is a source alone: else such alerts would silence each other.
    pub(super) fn mutes(&self, labels: &Labels, alerts: &BTreeMap<Labels, Alert>, now: i64) -> bool {
        if !fits(&self.target, labels) {
            return false;
        }
        let both = fits(&self.source, labels);
        let sources = alerts.values().filter(|alert| !alert.resolved(now) && fits(&self.source, &alert.labels));
        sources
            .filter(|alert| !(both && fits(&self.target, &alert.labels)))
            .any(|alert| self.equal.iter().all(|name| value(labels, name) == value(&alert.labels, name)))
    }
}
