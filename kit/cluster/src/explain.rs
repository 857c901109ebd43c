//! The explanation log: why components did what they did, beside the objects and not in them.

use crate::agenda::Instant;
use crate::object::Key;
use std::collections::BTreeMap;

/// One decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// When.
    pub at: Instant,
    /// Who decided.
    pub by: &'static str,
    /// What and why, one line for each part.
    pub lines: Vec<String>,
}

/// How many decisions about one object are remembered: the last ones.
const KEPT: usize = 50;

/// Decisions by the object that they are about.
#[derive(Debug, Default)]
pub struct Log {
    entries: BTreeMap<Key, Vec<Entry>>,
}

impl Log {
    /// Remembers a decision.
    pub fn add(&mut self, key: &Key, entry: Entry) {
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

    /// What was decided about an object, oldest first.
    pub fn about(&self, key: &Key) -> &[Entry] {
        self.entries.get(key).map_or(&[], Vec::as_slice)
    }
}
