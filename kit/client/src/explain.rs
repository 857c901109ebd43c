//! The explanation log: why components did what they did, beside the objects and not in them.

pub mod scheduling;

use kit_apimachinery::object::Key;
use kit_time::agenda::Instant;
use scheduling::Scheduling;
use std::collections::BTreeMap;

/// One decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Counts decisions, about whatever they are.
    pub number: u64,
    /// When.
    pub at: Instant,
    /// Who decided.
    pub by: &'static str,
    /// What, and why.
    pub scheduling: Scheduling,
}

/// How many decisions about one object are remembered: the last ones.
const KEPT: usize = 50;

/// Decisions by the object that they are about.
#[derive(Debug, Default)]
pub struct Log {
    entries: BTreeMap<Key, Vec<Entry>>,
    count: u64,
}

impl Log {
    /// Remembers a decision, and gives it its number.
    pub fn add(&mut self, key: &Key, mut entry: Entry) {
        self.count += 1;
        tracing::debug!(t = %entry.at, by = entry.by, ?key, decision = ?entry.scheduling, "decided");
        entry.number = self.count;
        let entries = self.entries.entry(key.clone()).or_default();
        if entries.len() == KEPT {
            entries.remove(0);
        }
        entries.push(entry);
    }

    /// The objects about which something was decided.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.entries.keys()
    }

    /// How many decisions there were.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The decisions after so many, in their order, each with what it is about.
    pub fn since(&self, count: u64) -> Vec<(&Key, &Entry)> {
        let all = self.entries.iter().flat_map(|(key, entries)| entries.iter().map(move |entry| (key, entry)));
        let mut new: Vec<_> = all.filter(|(_, entry)| entry.number > count).collect();
        new.sort_by_key(|(_, entry)| entry.number);
        new
    }

    /// What was decided about an object, oldest first.
    pub fn about(&self, key: &Key) -> &[Entry] {
        self.entries.get(key).map_or(&[], Vec::as_slice)
    }
}
