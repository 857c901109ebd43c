//! One container of one pod: which of its samples count, and its peak of memory of the day.
//!
//! Source: `pkg/recommender/model/container.go`.

use super::Model;
use kit_api::jiff::{SignedDuration, Timestamp};
use kit_contract::workloads::VerticalPodAutoscaler;

/// For so long a container has one peak.
const DAY: SignedDuration = SignedDuration::from_hours(24);
/// An out-of-memory kill says that at least so much more is needed, or so many times more.
const OOM_MORE: i64 = 100 * 1024 * 1024;
const OOM_TIMES: f64 = 1.2;

/// What was used at a time: thousandths of a core, or bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// When the measurement began.
    pub at: Timestamp,
    /// How much.
    pub amount: i64,
}

/// What is remembered of a container.
#[derive(Debug, Clone, Default)]
pub struct Container {
    last_cpu: Option<Timestamp>,
    last_memory: Option<Timestamp>,
    /// The end of the day that its peak is of.
    day_ends: Option<Timestamp>,
    peak: i64,
    /// The peak that a kill let expect.
    oom_peak: i64,
}

impl Container {
    /// Adds a CPU sample; `false` if it is no good: negative, or not after the last one.
    pub fn add_cpu(&mut self, sample: Sample, model: &mut Model, module: &dyn VerticalPodAutoscaler) -> bool {
        if sample.amount < 0 || self.last_cpu.is_some_and(|last| sample.at <= last) {
            return false;
        }
        model.add_cpu(&sample, module);
        self.last_cpu = Some(sample.at);
        true
    }

    /// Adds a sample of memory; `false` if it is no good: negative, or before the last one.
    pub fn add_memory(&mut self, sample: Sample, model: &mut Model, module: &dyn VerticalPodAutoscaler) -> bool {
        self.last_memory.is_none_or(|last| sample.at >= last) && self.observe(sample, false, model, module)
    }

    /// Tells of an out-of-memory kill, and what the container had asked for; `false` if that is too long ago.
    pub fn record_oom(&mut self, sample: Sample, model: &mut Model, module: &dyn VerticalPodAutoscaler) -> bool {
        if self.day_ends.is_some_and(|end| sample.at < end - DAY) {
            return false;
        }
        // Peaks of earlier kills are left out, so that kills in a row don't drive it up without end.
        let used = sample.amount.max(self.peak);
        let needed = used.saturating_add(OOM_MORE).max((used as f64 * OOM_TIMES) as i64);
        self.observe(Sample { at: sample.at, amount: needed }, true, model, module)
    }

    /// A peak counts at the end of its day. A higher one of the same day takes its place.
    fn observe(&mut self, sample: Sample, oom: bool, model: &mut Model, module: &dyn VerticalPodAutoscaler) -> bool {
        if sample.amount < 0 {
            return false;
        }
        self.last_memory = Some(sample.at);
        let end = self.day_ends.unwrap_or(sample.at);
        let before = self.peak.max(self.oom_peak);
        if sample.at < end {
            if before == 0 || sample.amount <= before {
                self.day_ends = Some(end);
                return true;
            }
            model.subtract_memory(&Sample { at: end, amount: before }, module);
            self.day_ends = Some(end);
        } else {
            let days = sample.at.duration_since(end).as_secs() / DAY.as_secs() + 1;
            self.day_ends = Some(end + DAY * i32::try_from(days).unwrap_or(i32::MAX));
            (self.peak, self.oom_peak) = (0, 0);
        }
        model.add_memory(&Sample { at: self.day_ends.unwrap_or(end), amount: sample.amount }, module);
        *(if oom { &mut self.oom_peak } else { &mut self.peak }) = sample.amount;
        true
    }
}
