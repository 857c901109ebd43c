//! The explanation log: why components did what they did, beside the objects and not in them.

pub mod scheduling;

use kit_apimachinery::object::Key;
use kit_time::agenda::Instant;
use scheduling::Scheduling;
use std::collections::{BTreeMap, VecDeque};

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
/// How many are remembered in all: of a large cluster's pods nobody asks about the first ones.
const MOST: usize = 5_000;
/// How many nodes those may have looked at together. What was found of one takes some 150 bytes.
const ROWS: usize = 100_000;

/// Decisions by the object that they are about.
#[derive(Debug, Default)]
pub struct Log {
    entries: BTreeMap<Key, Vec<Entry>>,
    /// What each was about, oldest first.
    order: VecDeque<(u64, Key)>,
    count: u64,
    /// How many nodes were looked at for all that is remembered.
    rows: usize,
}

impl Log {
    /// Remembers a decision, and gives it its number.
    pub fn add(&mut self, key: &Key, mut entry: Entry) {
        self.count += 1;
        tracing::debug!(t = %entry.at, by = entry.by, ?key, decision = ?entry.scheduling, "decided");
        entry.number = self.count;
        self.rows += entry.scheduling.rows.len();
        let entries = self.entries.entry(key.clone()).or_default();
        if entries.len() == KEPT {
            self.rows -= entries.remove(0).scheduling.rows.len();
        }
        entries.push(entry);
        self.order.push_back((self.count, key.clone()));
        while (self.order.len() > MOST || self.rows > ROWS)
            && let Some((number, key)) = self.order.pop_front()
        {
            self.forget(number, &key);
        }
    }

    /// Forgets one decision, if it is remembered.
    fn forget(&mut self, number: u64, key: &Key) {
        let Some(entries) = self.entries.get_mut(key) else { return };
        let Some(at) = entries.iter().position(|entry| entry.number == number) else { return };
        self.rows -= entries.remove(at).scheduling.rows.len();
        if entries.is_empty() {
            self.entries.remove(key);
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use kit_api::Name;
    use kit_apimachinery::object::Kind;
    use scheduling::Row;

    fn entry(nodes: usize) -> Entry {
        let row = Row { node: Name::from("node"), refused: None, scores: Vec::new(), total: 0 };
        let scheduling = Scheduling {
            milli_cpu: 0,
            memory: 0,
            nodes: 1,
            feasible: 1,
            plugins: Vec::new(),
            rows: vec![row; nodes],
            chosen: None,
            room: Vec::new(),
            nominated: None,
        };
        Entry { number: 0, at: Instant::default(), by: "default-scheduler", scheduling }
    }

    #[test]
    fn a_log_forgets_what_is_long_ago() {
        let mut log = Log::default();
        let key = |index: usize| Key::new(Kind::Pod, "default", &format!("web-{index}"));
        (0..MOST + 10).for_each(|index| log.add(&key(index), entry(1)));
        assert_eq!((log.keys().count(), log.count()), (MOST, MOST as u64 + 10));
        assert!(log.about(&key(9)).is_empty() && !log.about(&key(10)).is_empty());
        // Of one object it remembers no more than the last ones, and counts all.
        (0..KEPT + 1).for_each(|_| log.add(&key(0), entry(1)));
        assert_eq!(log.about(&key(0)).len(), KEPT);
        assert_eq!(log.since(log.count() - 1).len(), 1);
        // Large decisions leave room for fewer of them.
        (0..MOST).for_each(|index| log.add(&key(index), entry(100)));
        assert_eq!(log.keys().count(), ROWS / 100);
    }
}
