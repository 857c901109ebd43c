//! The reference for `control_plane/work_queue`.
//!
//! The names follow `client-go/util/workqueue`.

// ANCHOR: solution
use kit::control_plane::{Next, RateLimits, WorkQueue};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Three upstream types in one: a queue, inside a delaying queue, inside a rate-limiting queue.
pub struct Exercise {
    /// In the order in which workers get them. Each of them is dirty, and none is being processed.
    queue: VecDeque<String>,
    /// What has to be reconciled: what is queued, and what will be when it is done.
    dirty: BTreeSet<String>,
    processing: BTreeSet<String>,
    /// When the delay of a key is over.
    waiting: BTreeMap<String, i64>,
    failures: BTreeMap<String, u32>,
    limits: RateLimits,
    bucket: Bucket,
    shut_down: bool,
    drain: bool,
}

impl WorkQueue for Exercise {
    fn new(limits: &RateLimits) -> Self {
        Exercise {
            queue: VecDeque::new(),
            dirty: BTreeSet::new(),
            processing: BTreeSet::new(),
            waiting: BTreeMap::new(),
            failures: BTreeMap::new(),
            limits: *limits,
            bucket: Bucket { thousandths: limits.burst * 1000, at: 0 },
            shut_down: false,
            drain: false,
        }
    }

    fn add(&mut self, key: &str, now: i64) {
        self.let_in(now);
        self.insert(key);
    }

    // ANCHOR: get
    fn get(&mut self, now: i64) -> Next {
        self.let_in(now);
        match self.queue.pop_front() {
            Some(key) => {
                self.dirty.remove(&key);
                self.processing.insert(key.clone());
                Next::Key(key)
            }
            None if self.shut_down => Next::ShutDown,
            None => Next::Wait(self.waiting.values().min().copied()),
        }
    }

    fn done(&mut self, key: &str, now: i64) {
        self.let_in(now);
        self.processing.remove(key);
        if self.dirty.contains(key) {
            self.queue.push_back(key.into());
        }
    }
    // ANCHOR_END: get

    // ANCHOR: add_after
    fn add_after(&mut self, key: &str, delay: i64, now: i64) {
        self.let_in(now);
        if delay <= 0 {
            self.insert(key);
        } else if !self.shut_down {
            let due = self.waiting.entry(key.into()).or_insert(i64::MAX);
            *due = now.saturating_add(delay).min(*due);
        }
    }
    // ANCHOR_END: add_after

    // ANCHOR: add_rate_limited
    fn add_rate_limited(&mut self, key: &str, now: i64) {
        let failures = self.failures.entry(key.into()).or_default();
        let factor = 1_i64.checked_shl(*failures).filter(|factor| *factor > 0).unwrap_or(i64::MAX);
        let own = self.limits.base_delay.saturating_mul(factor).min(self.limits.max_delay);
        *failures = failures.saturating_add(1);
        let shared = self.bucket.take(&self.limits, now);
        self.add_after(key, own.max(shared), now);
    }
    // ANCHOR_END: add_rate_limited

    fn forget(&mut self, key: &str) {
        self.failures.remove(key);
    }

    fn num_requeues(&mut self, key: &str) -> u32 {
        self.failures.get(key).copied().unwrap_or_default()
    }

    fn len(&mut self, now: i64) -> u32 {
        self.let_in(now);
        self.queue.len() as u32
    }

    fn shut_down(&mut self, drain: bool) {
        self.shut_down = true;
        self.drain = drain;
        self.waiting.clear();
    }

    fn drained(&mut self) -> bool {
        self.shut_down && (!self.drain || self.processing.is_empty())
    }
}

impl Exercise {
    // ANCHOR: insert
    /// Queues a key, unless that would make it be there twice or be processed twice at the same time.
    fn insert(&mut self, key: &str) {
        if self.shut_down || !self.dirty.insert(key.into()) || self.processing.contains(key) {
            return;
        }
        self.queue.push_back(key.into());
    }
    // ANCHOR_END: insert

    /// Queues the keys whose delay is over.
    fn let_in(&mut self, now: i64) {
        let over = self.waiting.iter().filter(|(_, due)| **due <= now);
        let over: BTreeSet<(i64, String)> = over.map(|(key, due)| (*due, key.clone())).collect();
        for (_, key) in over {
            self.waiting.remove(&key);
            self.insert(&key);
        }
    }
}

// ANCHOR: bucket
/// Tokens, in thousandths; less than none if it owes some.
struct Bucket {
    thousandths: i64,
    at: i64,
}

impl Bucket {
    /// Takes one, and says how long it takes until it is there.
    fn take(&mut self, limits: &RateLimits, now: i64) -> i64 {
        // A token a second is a thousandth a millisecond.
        let gained = (now - self.at).saturating_mul(limits.qps);
        self.thousandths = self.thousandths.saturating_add(gained).min(limits.burst * 1000) - 1000;
        self.at = now;
        let owed = (-self.thousandths).max(0);
        (owed + limits.qps - 1) / limits.qps
    }
}
// ANCHOR_END: bucket
// ANCHOR_END: solution
