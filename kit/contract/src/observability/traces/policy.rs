//! Tail sampling: the policies of the OpenTelemetry Collector's `tail_sampling` processor, and what it remembers.

use super::span::{Span, Status};
use serde::{Deserialize, Serialize};

/// How a collector decides about whole traces.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tail {
    /// From a trace's first span to its decision.
    pub decision_wait_ms: i64,
    /// How many traces it remembers; 1 at least.
    pub num_traces: usize,
    /// In any order, since any of them may keep a trace.
    pub policies: Vec<Policy>,
}

/// A rule by which a trace is kept. What it says is `Sampled` if what stands at it holds, else `NotSampled`; only `Drop` says
/// something else.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Policy {
    /// Always.
    AlwaysSample,
    /// From the earliest start to the latest end, in whole milliseconds, rounded down, it is at least `threshold_ms`. With
    /// an `upper_threshold_ms` other than 0 it is *more* than `threshold_ms`, and that at most.
    Latency {
        /// In milliseconds.
        threshold_ms: i64,
        /// In milliseconds; 0 if there is none.
        #[serde(default)]
        upper_threshold_ms: i64,
    },
    /// One of the spans has one of these.
    StatusCode {
        /// Which.
        status_codes: Vec<Status>,
    },
    /// One of the spans has the attribute with one of these values.
    StringAttribute {
        /// Its name.
        key: String,
        /// Which values.
        values: Vec<String>,
    },
    /// The last 16 digits of the trace id, as a number, are less than this share of 2⁶⁴. (The processor hashes the id first,
    /// since it may not be random.)
    Probabilistic {
        /// From 0 to 100.
        sampling_percentage: f64,
    },
    /// All of these say `Sampled`. They are neither `And` nor `Drop`, and at least one.
    And(Vec<Policy>),
    /// `Dropped` if all of these say `Sampled`, else `NotSampled`. They are neither `And` nor `Drop`, and at least one.
    Drop(Vec<Policy>),
}

/// What becomes of a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Decision {
    /// It is kept.
    Sampled,
    /// Nobody wants it.
    NotSampled,
    /// Somebody doesn't want it, whatever others say.
    Dropped,
}

/// A trace that is remembered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Held {
    /// Which.
    pub trace_id: String,
    /// When its first span arrived.
    pub first_ms: i64,
    /// What was decided; none before it was.
    #[serde(default)]
    pub decision: Option<Decision>,
    /// What has arrived of it, until it is decided.
    #[serde(default)]
    pub spans: Vec<Span>,
}

/// What follows when spans arrive, and when time passes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Collected {
    /// The traces that are remembered from now on, the oldest first.
    pub memory: Vec<Held>,
    /// Spans that are sent on, in any order.
    pub sent: Vec<Span>,
    /// Traces that were forgotten before they were decided, in any order.
    pub too_early: Vec<String>,
}
