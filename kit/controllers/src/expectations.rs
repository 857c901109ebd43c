//! What controllers asked for and their watches haven't shown yet. Until then they must not count what is missing again.
//!
//! Source: `ControllerExpectations` of `pkg/controller/controller_utils.go`.

use kit_time::agenda::Instant;
use std::collections::{BTreeMap, BTreeSet};

/// How long a create or delete is waited for (`ExpectationsTimeout`).
const EXPECTED: Instant = Instant::seconds(300);

/// Expectations by the uid of the owner.
#[derive(Debug, Default)]
pub struct Expectations(BTreeMap<String, Expected>);

/// What was asked for in one go.
#[derive(Debug, Default)]
pub struct Expected {
    pub creations: u32,
    /// Uids of pods.
    pub deletions: BTreeSet<String>,
    since: Instant,
}

impl Expected {
    /// Whether there is nothing to wait for.
    pub fn is_met(&self) -> bool {
        self.creations == 0 && self.deletions.is_empty()
    }
}

impl Expectations {
    /// Waits for what was asked for, if it was anything.
    pub fn expect(&mut self, owner: &str, mut expected: Expected, now: Instant) {
        if !expected.is_met() {
            expected.since = now;
            self.0.insert(owner.into(), expected);
        }
    }

    /// The watch shows a new pod of this owner.
    pub fn created(&mut self, owner: &str) {
        if let Some(expected) = self.0.get_mut(owner) {
            expected.creations = expected.creations.saturating_sub(1);
        }
    }

    /// The watch shows that a pod of this owner is going or gone.
    pub fn deleted(&mut self, owner: &str, pod: &str) {
        if let Some(expected) = self.0.get_mut(owner) {
            expected.deletions.remove(pod);
        }
    }

    /// How many creations and deletions are not seen yet.
    pub fn open(&self, owner: &str, now: Instant) -> (u32, u32) {
        let expected = self.0.get(owner).filter(|expected| now < expected.since + EXPECTED);
        expected.map_or((0, 0), |expected| (expected.creations, expected.deletions.len() as u32))
    }

    /// The owner is gone.
    pub fn forget(&mut self, owner: &str) {
        self.0.remove(owner);
    }
}
