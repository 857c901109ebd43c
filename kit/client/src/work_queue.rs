//! The work queue of a controller: each key is there once, and due at a time.
//!
//! Upstream: `client-go/util/workqueue`, which hands out keys in the order of additions and remembers those that are being
//! processed (`control_plane/work_queue` is that exercise). Here a reconcile takes no time, so that nothing can be added
//! meanwhile, and keys come in their own order.

use crate::metrics::Histogram;
use kit_time::agenda::Instant;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

/// The delay after the first failure; each further one doubles it (`DefaultControllerRateLimiter`).
const BASE_DELAY: Instant = Instant::millis(5);
const MAX_DELAY: Instant = Instant::seconds(1000);

/// How long keys wait, in seconds (`workqueue_queue_duration_seconds`).
const WAITS: [f64; 10] = [1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.1, 1.0, 10.0, 100.0, 1000.0];

/// What a queue has done so far, as `workqueue_*` tells.
#[derive(Debug, Clone, PartialEq)]
pub struct Tally {
    /// How many keys were put into it. One that is to wait first is not in it yet.
    pub adds: u64,
    /// How many of them after a failure.
    pub retries: u64,
    /// How many are in it.
    pub depth: u64,
    /// How long they waited for somebody to take them, in seconds.
    pub waited: Histogram,
}

/// Keys and when they are due. Most of many keys wait, so nothing here looks at all of them.
#[derive(Debug)]
pub struct WorkQueue<K> {
    due: BTreeMap<K, Instant>,
    /// The keys that wait, by their times.
    waiting: BTreeSet<(Instant, K)>,
    /// The keys whose time has come.
    ready: BTreeSet<K>,
    failures: BTreeMap<K, u32>,
    /// The delay after the first failure, and the longest.
    delays: (Instant, Instant),
    retries: u64,
    waited: Histogram,
}

impl<K> Default for WorkQueue<K> {
    fn default() -> Self {
        WorkQueue {
            due: BTreeMap::new(),
            waiting: BTreeSet::new(),
            ready: BTreeSet::new(),
            failures: BTreeMap::new(),
            delays: (BASE_DELAY, MAX_DELAY),
            retries: 0,
            waited: Histogram::new(&WAITS),
        }
    }
}

impl<K: Ord + Clone + Debug> WorkQueue<K> {
    /// A queue of a controller that waits longer after failures: at first so long, and at most.
    pub fn with_delays(first: Instant, most: Instant) -> Self {
        WorkQueue { delays: (first, most), ..WorkQueue::default() }
    }

    /// Asks for a key to be looked at; if it is there already, at the earlier of both times.
    pub fn add(&mut self, key: K, at: Instant) {
        match self.due.get_mut(&key) {
            Some(due) if *due <= at => return,
            Some(due) if self.ready.contains(&key) => {
                *due = at;
                return;
            }
            Some(due) => {
                let before = std::mem::replace(due, at);
                self.waiting.remove(&(before, key.clone()));
            }
            None => _ = self.due.insert(key.clone(), at),
        }
        self.waiting.insert((at, key));
    }

    /// Forgets that a key was asked for.
    pub fn remove(&mut self, key: &K) {
        if let Some(at) = self.due.remove(key)
            && !self.ready.remove(key)
        {
            self.waiting.remove(&(at, key.clone()));
        }
    }

    /// Whether a key is there.
    pub fn contains(&self, key: &K) -> bool {
        self.due.contains_key(key)
    }

    /// Asks for a key again after a failure, later each time.
    pub fn retry(&mut self, key: K, now: Instant) {
        let failures = self.failures.entry(key.clone()).or_default();
        let delay = self.delays.0.nanos.saturating_mul(1_i64.checked_shl(*failures).unwrap_or(i64::MAX));
        *failures = (*failures + 1).min(40);
        self.retries += 1;
        let delay = Instant { nanos: delay.clamp(0, self.delays.1.nanos) };
        tracing::debug!(t = %now, ?key, failures = *failures, again_in = %delay, "a sync failed");
        self.add(key, now + delay);
    }

    /// After a look at a key: what failed is looked at again, later each time, and what did not has never failed.
    pub fn done<T, E>(&mut self, key: K, result: &Result<T, E>, now: Instant) {
        match result {
            Ok(_) => self.forget(&key),
            Err(_) => self.retry(key, now),
        }
    }

    /// The same after a look that says when to look again, even if nothing happens until then.
    pub fn looked<E>(&mut self, key: K, again: &Result<Option<Instant>, E>, now: Instant) {
        if let Ok(Some(after)) = again {
            self.add(key.clone(), now + *after);
        }
        self.done(key, again, now);
    }

    /// Forgets that a key ever failed.
    pub fn forget(&mut self, key: &K) {
        self.failures.remove(key);
    }

    /// Takes the first key, in key order, that is due.
    pub fn pop(&mut self, now: Instant) -> Option<K> {
        while let Some((_, key)) = self.waiting.first().filter(|(at, _)| *at <= now) {
            let key = key.clone();
            self.waiting.pop_first();
            self.ready.insert(key);
        }
        let key = self.ready.pop_first()?;
        let due = self.due.remove(&key).unwrap_or(now);
        self.waited.observe((now - due).nanos.max(0) as f64 / 1e9);
        Some(key)
    }

    /// What it has done until now.
    pub fn tally(&self, now: Instant) -> Tally {
        let depth = self.ready.len() + self.waiting.iter().take_while(|(at, _)| *at <= now).count();
        let depth = depth as u64;
        Tally { adds: self.waited.count() + depth, retries: self.retries, depth, waited: self.waited.clone() }
    }

    /// When the next key is due.
    pub fn next(&self) -> Option<Instant> {
        let waiting = self.waiting.first().map(|(at, _)| *at);
        self.ready.iter().filter_map(|key| self.due.get(key).copied()).chain(waiting).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_tells_what_it_has_done() {
        let mut queue = WorkQueue::default();
        queue.add("web", Instant::seconds(1));
        queue.retry("api", Instant::seconds(1));
        queue.add("db", Instant::seconds(60));
        let told = |queue: &WorkQueue<&str>, at| {
            let tally = queue.tally(Instant::seconds(at));
            (tally.adds, tally.retries, tally.depth, tally.waited.sum)
        };
        assert_eq!(told(&queue, 4), (2, 1, 2, 0.0));
        assert_eq!(queue.pop(Instant::seconds(4)), Some("api"));
        assert_eq!(queue.pop(Instant::seconds(4)), Some("web"));
        assert_eq!(told(&queue, 4), (2, 1, 0, 2.995 + 3.0));
    }

    #[test]
    fn a_key_is_there_once_and_at_the_earliest_time() {
        let mut queue = WorkQueue::default();
        queue.add("web", Instant::seconds(5));
        queue.add("web", Instant::seconds(3));
        queue.add("api", Instant::seconds(3));
        assert_eq!((queue.next(), queue.pop(Instant::seconds(2))), (Some(Instant::seconds(3)), None));
        let all: Vec<_> = std::iter::from_fn(|| queue.pop(Instant::seconds(3))).collect();
        assert_eq!(all, ["api", "web"]);
    }

    #[test]
    fn keys_come_in_their_own_order_whenever_they_were_asked_for() {
        let mut queue = WorkQueue::default();
        for (key, at) in [("c", 1), ("a", 3), ("b", 2), ("d", 9)] {
            queue.add(key, Instant::seconds(at));
        }
        assert_eq!(queue.pop(Instant::seconds(3)), Some("a"));
        // What is ready comes earlier by no further request, and what waits does.
        queue.add("c", Instant::default());
        queue.add("d", Instant::seconds(2));
        queue.remove(&"b");
        assert_eq!((queue.contains(&"b"), queue.next()), (false, Some(Instant::default())));
        let all: Vec<_> = std::iter::from_fn(|| queue.pop(Instant::seconds(3))).collect();
        assert_eq!((all, queue.next()), (vec!["c", "d"], None));
    }

    #[test]
    fn failures_wait_longer_each_time_until_they_are_forgotten() {
        let mut queue = WorkQueue::default();
        let mut delay = |forget: bool| {
            if forget {
                queue.forget(&"web");
            }
            queue.retry("web", Instant::default());
            let at = queue.next();
            queue.pop(Instant::seconds(2000));
            at.map(|at| at.nanos / 1_000_000)
        };
        assert_eq!([delay(false), delay(false), delay(false), delay(true)], [Some(5), Some(10), Some(20), Some(5)]);
    }
}
