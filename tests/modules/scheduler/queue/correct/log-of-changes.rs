//! Passes: as upstream does it, with heaps, and with a log of what changed while pods were in flight.

use kit::scheduler::{Hint, PendingPod, QueueConfig, SchedulingQueue};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

/// What a heap holds; an entry is out of date when the pod's ticket is another.
type Ranked = Reverse<(i64, Reverse<i32>, u64, u64, String)>;

struct Exercise {
    config: QueueConfig,
    known: HashMap<String, Known>,
    active: BinaryHeap<Ranked>,
    backoff: BinaryHeap<Ranked>,
    errors: BinaryHeap<Ranked>,
    /// Every hint ever given, oldest first.
    log: Vec<(String, String)>,
    tickets: u64,
}

struct Known {
    pod: PendingPod,
    joined: u64,
    /// Changes whenever the pod moves.
    ticket: u64,
    attempts: u32,
    failed_at: i64,
    refused_by: Vec<String>,
    /// How long the log was when it was popped; none if it is not in flight.
    flying_since: Option<usize>,
    waits: bool,
}

enum Heap {
    Active,
    Backoff,
    Errors,
}

impl Exercise {
    fn ticket(&mut self) -> u64 {
        self.tickets += 1;
        self.tickets
    }

    fn push(&mut self, name: &str, heap: Heap) {
        let ticket = self.ticket();
        let config = self.config;
        let Some(known) = self.known.get_mut(name) else { return };
        known.ticket = ticket;
        known.waits = false;
        let at = match heap {
            Heap::Active => 0,
            _ => {
                let doubled = config.initial_backoff << (known.attempts.max(1) - 1).min(30);
                (known.failed_at + doubled.min(config.max_backoff)).div_euclid(1000)
            }
        };
        let ranked = Reverse((at, Reverse(known.pod.priority), known.joined, ticket, name.to_string()));
        match heap {
            Heap::Active => self.active.push(ranked),
            Heap::Backoff => self.backoff.push(ranked),
            Heap::Errors => self.errors.push(ranked),
        }
    }

    /// The first entry that is still true, if its time has come.
    fn next(heap: &mut BinaryHeap<Ranked>, known: &HashMap<String, Known>, before: i64) -> Option<String> {
        while let Some(Reverse((at, _, _, ticket, name))) = heap.peek() {
            if known.get(name).is_none_or(|pod| pod.ticket != *ticket) {
                heap.pop();
            } else if *at < before {
                return heap.pop().map(|Reverse((_, _, _, _, name))| name);
            } else {
                return None;
            }
        }
        None
    }
}

impl SchedulingQueue for Exercise {
    fn new(config: &QueueConfig) -> Self {
        let (active, backoff, errors) = Default::default();
        Exercise { config: *config, known: HashMap::new(), active, backoff, errors, log: Vec::new(), tickets: 0 }
    }

    fn add(&mut self, pod: &PendingPod, now: i64) {
        let joined = self.ticket();
        let Some(known) = self.known.get_mut(&pod.name) else {
            let known = Known {
                pod: pod.clone(),
                joined,
                ticket: 0,
                attempts: 0,
                failed_at: now,
                refused_by: Vec::new(),
                flying_since: None,
                waits: pod.gated,
            };
            self.known.insert(pod.name.clone(), known);
            if !pod.gated {
                self.push(&pod.name, Heap::Active);
            }
            return;
        };
        let opened = known.pod.gated && !pod.gated;
        let moved = known.pod.priority != pod.priority && !known.waits && known.flying_since.is_none();
        known.pod = pod.clone();
        let ticket = known.ticket;
        if opened {
            self.push(&pod.name, Heap::Active);
        } else if moved {
            // Back to where it was, in its new rank.
            let there = |heap: &BinaryHeap<Ranked>| heap.iter().any(|Reverse((_, _, _, t, _))| *t == ticket);
            let heap = match (there(&self.backoff), there(&self.errors)) {
                (true, _) => Heap::Backoff,
                (_, true) => Heap::Errors,
                _ => Heap::Active,
            };
            self.push(&pod.name, heap);
        }
    }

    fn remove(&mut self, pod: &str) {
        self.known.remove(pod);
    }

    fn pop(&mut self, now: i64) -> Option<String> {
        let second = now.div_euclid(1000);
        while let Some(name) = Self::next(&mut self.backoff, &self.known, second) {
            self.push(&name, Heap::Active);
        }
        while let Some(name) = Self::next(&mut self.errors, &self.known, second) {
            self.push(&name, Heap::Active);
        }
        let next = match Self::next(&mut self.active, &self.known, i64::MAX) {
            Some(name) => name,
            None => Self::next(&mut self.backoff, &self.known, i64::MAX)?,
        };
        let length = self.log.len();
        let known = self.known.get_mut(&next)?;
        known.attempts += 1;
        known.flying_since = Some(length);
        Some(next)
    }

    fn failed(&mut self, pod: &str, plugins: &[String], now: i64) {
        let joined = self.ticket();
        let Some(known) = self.known.get_mut(pod) else { return };
        let Some(since) = known.flying_since.take() else { return };
        known.joined = joined;
        known.failed_at = now;
        known.refused_by = plugins.to_vec();
        let missed = self.log[since..].iter().any(|(plugin, name)| name == pod && plugins.contains(plugin));
        if plugins.is_empty() {
            self.push(pod, Heap::Errors);
        } else if missed {
            self.push(pod, Heap::Backoff);
        } else {
            known.waits = true;
        }
    }

    fn changed(&mut self, hints: &[Hint], _now: i64) {
        for hint in hints {
            for name in &hint.pods {
                self.log.push((hint.plugin.clone(), name.clone()));
                let Some(known) = self.known.get(name) else { continue };
                if known.waits && !known.pod.gated && known.refused_by.contains(&hint.plugin) {
                    self.push(name, Heap::Backoff);
                }
            }
        }
    }

    fn flush(&mut self, now: i64) {
        let limit = self.config.max_unschedulable;
        let long = |known: &&Known| known.waits && !known.pod.gated && now - known.failed_at > limit;
        let names: Vec<String> = self.known.values().filter(long).map(|known| known.pod.name.clone()).collect();
        for name in names {
            self.push(&name, Heap::Backoff);
        }
    }
}

kit::exercise!(Exercise: SchedulingQueue);
