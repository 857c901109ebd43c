//! Passes: three types around each other, as upstream has them, with a heap in which entries may be out of date.

use kit::control_plane::{Next, RateLimits, WorkQueue};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet, VecDeque};

#[derive(Default)]
struct Queue {
    order: VecDeque<String>,
    dirty: HashSet<String>,
    processing: HashSet<String>,
    closed: bool,
}

impl Queue {
    fn add(&mut self, key: &str) {
        if self.closed || self.dirty.contains(key) {
            return;
        }
        self.dirty.insert(key.to_string());
        if !self.processing.contains(key) {
            self.order.push_back(key.to_string());
        }
    }

    fn get(&mut self) -> Option<String> {
        let key = self.order.pop_front()?;
        self.dirty.remove(&key);
        self.processing.insert(key.clone());
        Some(key)
    }

    fn done(&mut self, key: &str) {
        self.processing.remove(key);
        if self.dirty.contains(key) {
            self.order.push_back(key.to_string());
        }
    }
}

#[derive(Default)]
struct Delaying {
    queue: Queue,
    heap: BinaryHeap<Reverse<(i64, String)>>,
    ready_at: HashMap<String, i64>,
}

impl Delaying {
    fn tick(&mut self, now: i64) {
        while let Some(Reverse((at, key))) = self.heap.peek().cloned() {
            let stale = self.ready_at.get(&key) != Some(&at);
            if !stale && at > now {
                break;
            }
            self.heap.pop();
            if !stale {
                self.ready_at.remove(&key);
                self.queue.add(&key);
            }
        }
    }

    fn add_after(&mut self, key: &str, delay: i64, now: i64) {
        if self.queue.closed {
            return;
        }
        if delay <= 0 {
            return self.queue.add(key);
        }
        let at = now + delay;
        if self.ready_at.get(key).is_none_or(|known| at < *known) {
            self.ready_at.insert(key.to_string(), at);
            self.heap.push(Reverse((at, key.to_string())));
        }
    }
}

struct Exercise {
    delaying: Delaying,
    limits: RateLimits,
    failures: HashMap<String, u32>,
    /// Thousandths of a token that are missing to a full bucket.
    missing: i64,
    refilled: i64,
    drain: bool,
}

impl Exercise {
    fn when(&mut self, key: &str, now: i64) -> i64 {
        let failures = self.failures.entry(key.to_string()).or_insert(0);
        let own = (self.limits.base_delay as f64 * 2_f64.powi(*failures as i32)).min(self.limits.max_delay as f64);
        *failures += 1;
        self.missing = (self.missing - (now - self.refilled) * self.limits.qps).max(0) + 1000;
        self.refilled = now;
        let owed = self.missing - self.limits.burst * 1000;
        let shared = if owed > 0 { (owed + self.limits.qps - 1) / self.limits.qps } else { 0 };
        shared.max(own as i64)
    }
}

impl WorkQueue for Exercise {
    fn new(limits: &RateLimits) -> Self {
        let (delaying, failures) = Default::default();
        Exercise { delaying, limits: *limits, failures, missing: 0, refilled: 0, drain: false }
    }

    fn add(&mut self, key: &str, now: i64) {
        self.delaying.tick(now);
        self.delaying.queue.add(key);
    }

    fn add_after(&mut self, key: &str, delay: i64, now: i64) {
        self.delaying.tick(now);
        self.delaying.add_after(key, delay, now);
    }

    fn add_rate_limited(&mut self, key: &str, now: i64) {
        self.delaying.tick(now);
        let delay = self.when(key, now);
        self.delaying.add_after(key, delay, now);
    }

    fn forget(&mut self, key: &str) {
        self.failures.remove(key);
    }

    fn num_requeues(&mut self, key: &str) -> u32 {
        *self.failures.get(key).unwrap_or(&0)
    }

    fn get(&mut self, now: i64) -> Next {
        self.delaying.tick(now);
        if let Some(key) = self.delaying.queue.get() {
            Next::Key(key)
        } else if self.delaying.queue.closed {
            Next::ShutDown
        } else {
            Next::Wait(self.delaying.heap.peek().map(|Reverse((at, _))| *at))
        }
    }

    fn done(&mut self, key: &str, now: i64) {
        self.delaying.tick(now);
        self.delaying.queue.done(key);
    }

    fn len(&mut self, now: i64) -> u32 {
        self.delaying.tick(now);
        self.delaying.queue.order.len() as u32
    }

    fn shut_down(&mut self, drain: bool) {
        self.delaying.queue.closed = true;
        self.delaying.heap.clear();
        self.delaying.ready_at.clear();
        self.drain = drain;
    }

    fn drained(&mut self) -> bool {
        self.delaying.queue.closed && !(self.drain && !self.delaying.queue.processing.is_empty())
    }
}

kit::exercise!(Exercise: WorkQueue);
