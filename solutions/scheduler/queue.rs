//! The reference for `scheduler/queue`.
//!
//! The names follow `pkg/scheduler/backend/queue`.

// ANCHOR: solution
use kit::scheduler::{Hint, PendingPod, QueueConfig, SchedulingQueue};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// The scheduling queue.
pub struct Exercise {
    config: QueueConfig,
    pods: BTreeMap<String, Entry>,
    /// By urgency.
    active: BTreeMap<Urgency, String>,
    /// By the second in which the backoff ends, then by urgency.
    backoff: BTreeMap<(i64, Urgency), String>,
    /// The same, of pods that came back by an error.
    errors: BTreeMap<(i64, Urgency), String>,
    unschedulable: BTreeSet<String>,
    joined: u64,
}

/// The highest priority first, then what joined first.
type Urgency = (Reverse<i32>, u64);

struct Entry {
    pod: PendingPod,
    joined: u64,
    attempts: u32,
    /// When the last attempt failed.
    failed_at: i64,
    /// Who refused it then.
    plugins: Vec<String>,
    place: Place,
}

enum Place {
    Active,
    Backoff,
    Errors,
    Unschedulable,
    /// With those plugins that said since then that they know of help.
    InFlight(BTreeSet<String>),
}

impl SchedulingQueue for Exercise {
    fn new(config: &QueueConfig) -> Self {
        Exercise {
            config: *config,
            pods: BTreeMap::new(),
            active: BTreeMap::new(),
            backoff: BTreeMap::new(),
            errors: BTreeMap::new(),
            unschedulable: BTreeSet::new(),
            joined: 0,
        }
    }

    // ANCHOR: add
    fn add(&mut self, pod: &PendingPod, now: i64) {
        let place = if pod.gated { Place::Unschedulable } else { Place::Active };
        let entry = match self.take(&pod.name) {
            Some(old) => {
                let place = if old.pod.gated && !pod.gated { Place::Active } else { old.place };
                Entry { pod: pod.clone(), place, ..old }
            }
            None => {
                let (joined, plugins) = (self.join(), Vec::new());
                Entry { pod: pod.clone(), joined, attempts: 0, failed_at: now, plugins, place }
            }
        };
        self.put(entry);
    }
    // ANCHOR_END: add

    fn remove(&mut self, pod: &str) {
        self.take(pod);
    }

    // ANCHOR: pop
    fn pop(&mut self, now: i64) -> Option<String> {
        let over = |waiting: &BTreeMap<(i64, Urgency), String>| {
            let over = waiting.iter().take_while(|((until, _), _)| *until < now / 1000);
            over.map(|(_, name)| name.clone()).collect::<Vec<_>>()
        };
        for name in [over(&self.backoff), over(&self.errors)].concat() {
            self.change_place(&name, Place::Active);
        }
        let next = self.active.values().next().or_else(|| self.backoff.values().next()).cloned()?;
        let mut entry = self.take(&next)?;
        entry.attempts += 1;
        entry.place = Place::InFlight(BTreeSet::new());
        self.put(entry);
        Some(next)
    }
    // ANCHOR_END: pop

    // ANCHOR: failed
    fn failed(&mut self, pod: &str, plugins: &[String], now: i64) {
        let Some(Entry { place: Place::InFlight(helped), .. }) = self.pods.get(pod) else { return };
        let place = match plugins {
            [] => Place::Errors,
            _ if plugins.iter().any(|plugin| helped.contains(plugin)) => Place::Backoff,
            _ => Place::Unschedulable,
        };
        let Some(entry) = self.take(pod) else { return };
        let joined = self.join();
        self.put(Entry { joined, failed_at: now, plugins: plugins.to_vec(), place, ..entry });
    }
    // ANCHOR_END: failed

    // ANCHOR: changed
    fn changed(&mut self, hints: &[Hint], _now: i64) {
        for Hint { plugin, pods } in hints {
            for name in pods {
                match self.pods.get_mut(name) {
                    Some(Entry { place: Place::InFlight(helped), .. }) => _ = helped.insert(plugin.clone()),
                    Some(entry) if entry.plugins.contains(plugin) => self.requeue(name),
                    _ => {}
                }
            }
        }
    }

    fn flush(&mut self, now: i64) {
        let long = |name: &&String| now - self.pods[*name].failed_at > self.config.max_unschedulable;
        for name in self.unschedulable.iter().filter(long).cloned().collect::<Vec<_>>() {
            self.requeue(&name);
        }
    }
    // ANCHOR_END: changed
}

impl Exercise {
    fn join(&mut self) -> u64 {
        self.joined += 1;
        self.joined
    }

    /// An unschedulable pod waits for its next attempt from now on. If its backoff is over, the next `pop` finds that out.
    fn requeue(&mut self, name: &str) {
        let Some(entry) = self.pods.get(name) else { return };
        if matches!(entry.place, Place::Unschedulable) && !entry.pod.gated {
            self.change_place(name, Place::Backoff);
        }
    }

    // ANCHOR: backoff
    /// The second in which the backoff ends. Before the first attempt there is none.
    fn backs_off_until(&self, entry: &Entry) -> i64 {
        let factor = 2_i64.saturating_pow(entry.attempts.saturating_sub(1));
        let backoff = self.config.initial_backoff.saturating_mul(factor).min(self.config.max_backoff);
        (entry.failed_at + backoff) / 1000
    }
    // ANCHOR_END: backoff

    fn change_place(&mut self, name: &str, place: Place) {
        if let Some(mut entry) = self.take(name) {
            entry.place = place;
            self.put(entry);
        }
    }

    fn take(&mut self, name: &str) -> Option<Entry> {
        let entry = self.pods.remove(name)?;
        let urgency = (Reverse(entry.pod.priority), entry.joined);
        let until = self.backs_off_until(&entry);
        match entry.place {
            Place::Active => _ = self.active.remove(&urgency),
            Place::Backoff => _ = self.backoff.remove(&(until, urgency)),
            Place::Errors => _ = self.errors.remove(&(until, urgency)),
            Place::Unschedulable => _ = self.unschedulable.remove(name),
            Place::InFlight(_) => {}
        }
        Some(entry)
    }

    fn put(&mut self, entry: Entry) {
        let name = entry.pod.name.clone();
        let urgency = (Reverse(entry.pod.priority), entry.joined);
        let until = self.backs_off_until(&entry);
        match entry.place {
            Place::Active => _ = self.active.insert(urgency, name.clone()),
            Place::Backoff => _ = self.backoff.insert((until, urgency), name.clone()),
            Place::Errors => _ = self.errors.insert((until, urgency), name.clone()),
            Place::Unschedulable => _ = self.unschedulable.insert(name.clone()),
            Place::InFlight(_) => {}
        }
        self.pods.insert(name, entry);
    }
}
// ANCHOR_END: solution
