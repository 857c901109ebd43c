//! What the scheduler counts (`pkg/scheduler/metrics/metrics.go`).
//!
//! Where a pod waits is known to the queue alone, which is a module: here it follows from what the queue was told.

use kit_client::metrics::Histogram;
use kit_contract::scheduler::QueueConfig;
use kit_time::agenda::Instant;
use std::collections::BTreeMap;
use std::rc::Rc;

/// From the first attempt to the binding, in seconds.
const SLI: [f64; 20] = [
    0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92, 163.84, 327.68, 655.36,
    1310.72, 2621.44, 5242.88,
];
const VICTIMS: [f64; 7] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0];
const ATTEMPTS: [f64; 5] = [1.0, 2.0, 4.0, 8.0, 16.0];
/// With more attempts than this nobody tells their number.
const MANY: u32 = 15;

/// A part of the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Place {
    Active,
    Backoff,
    Unschedulable,
    Gated,
}

impl Place {
    /// All of them, by the label `queue`.
    pub const ALL: [(&str, Place); 4] = [
        ("active", Place::Active),
        ("backoff", Place::Backoff),
        ("gated", Place::Gated),
        ("unschedulable", Place::Unschedulable),
    ];
}

/// What is known of a pod that was tried.
#[derive(Debug, Clone, Copy)]
struct Tries {
    first: Instant,
    count: u32,
    failed: Option<Instant>,
    /// Whether something has happened since that may help, or it failed by an error.
    helped: bool,
}

/// What came of attempts.
#[derive(Debug, Clone)]
pub struct Tally {
    /// How many ended how.
    pub attempts: BTreeMap<&'static str, u64>,
    /// How often it was looked for pods to be preempted.
    pub preemptions: u64,
    /// How many were each time.
    pub victims: Histogram,
    /// From a pod's first attempt to its binding, by the number of its attempts.
    pub sli: BTreeMap<String, Histogram>,
    /// How many attempts pods needed.
    pub needed: Histogram,
    pods: BTreeMap<Rc<str>, Tries>,
}

impl Default for Tally {
    fn default() -> Self {
        let (victims, needed) = (Histogram::new(&VICTIMS), Histogram::new(&ATTEMPTS));
        Tally {
            attempts: BTreeMap::new(),
            preemptions: 0,
            victims,
            sli: BTreeMap::new(),
            needed,
            pods: BTreeMap::new(),
        }
    }
}

impl Tally {
    pub(crate) fn tried(&mut self, pod: &Rc<str>, now: Instant) {
        let tries = Tries { first: now, count: 0, failed: None, helped: false };
        self.pods.entry(pod.clone()).or_insert(tries).count += 1;
    }

    pub(crate) fn failed(&mut self, pod: &str, error: bool, now: Instant) {
        *self.attempts.entry(if error { "error" } else { "unschedulable" }).or_default() += 1;
        if let Some(tries) = self.pods.get_mut(pod) {
            (tries.failed, tries.helped) = (Some(now), error);
        }
    }

    pub(crate) fn helped(&mut self, pod: &str) {
        self.pods.get_mut(pod).into_iter().for_each(|tries| tries.helped = true);
    }

    pub(crate) fn bound(&mut self, pod: &str, now: Instant) {
        *self.attempts.entry("scheduled").or_default() += 1;
        let Some(tries) = self.pods.remove(pod) else { return };
        let label = if tries.count >= MANY { format!("{MANY}+") } else { tries.count.to_string() };
        let sli = self.sli.entry(label).or_insert_with(|| Histogram::new(&SLI));
        sli.observe((now - tries.first).nanos as f64 / 1e9);
        self.needed.observe(f64::from(tries.count));
    }

    pub(crate) fn forget(&mut self, pod: &str) {
        self.pods.remove(pod);
    }

    /// Where in the queue a pod is.
    pub(crate) fn place(&self, pod: &str, gated: bool, config: &QueueConfig, now: Instant) -> Place {
        let Some(tries) = self.pods.get(pod) else { return if gated { Place::Gated } else { Place::Active } };
        let Some(failed) = tries.failed else { return Place::Active };
        // One that waits for too long is tried again as soon as that is noticed, and is back at once.
        if !tries.helped {
            return Place::Unschedulable;
        }
        let doubled = config.initial_backoff.saturating_mul(1 << (tries.count.clamp(1, 31) - 1));
        match now < failed + Instant::millis(doubled.min(config.max_backoff)) {
            true => Place::Backoff,
            false => Place::Active,
        }
    }
}
