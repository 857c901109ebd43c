//! Traces: what a request did in all the processes that it went through.
//!
//! Sources: W3C Trace Context (<https://www.w3.org/TR/trace-context/>, “traceparent Header”); the samplers of OpenTelemetry
//! (`opentelemetry-sdk/src/opentelemetry/sdk/trace/sampling.py` of opentelemetry-python); Jaeger,
//! `internal/storage/.../adjuster/clockskew.go` (`calculateSkew`) and, of its UI, `TracePage/CriticalPath/index.tsx`
//! (`computeCriticalPath`), with `utils/sanitizeOverFlowingChildren.ts` and `utils/filterBlockingSpans.ts`; the collector's
//! `processor/tailsamplingprocessor/processor.go` (`makeDecision`, `processTraces`) and its `internal/sampling`.
//!
//! The kit around the module makes the spans, carries headers and spans from process to process, and keeps what the module
//! answers until it asks again.

mod policy;
mod show;
mod span;

pub use policy::{Collected, Decision, Held, Policy, Tail};
use serde::{Deserialize, Serialize};
pub use span::{Attributes, Event, Kind, Link, Span, Status};

// ANCHOR: contract
contract! {
    /// From the header of a call to the place where a request lost its time.
    pub trait Traces {
        /// What the header `traceparent` of a call says; none if it isn't valid, and a new trace begins.
        ///
        /// `00-<trace id>-<span id>-<flags>`: 2, 32, 16 and 2 digits of `0123456789abcdef`, no capitals. Neither id is all zeros. The
        /// version is never `ff`. Version `00` ends with the flags; any other may go on, with a `-` and whatever comes then, which is ignored.
        fn extract(&self, traceparent: &str) -> Option<Context>;

        /// A process begins its work for a call. What is the context of its span?
        ///
        /// - The span has the id `new_span_id`. Its trace is the parent's, or, without one, `new_trace_id`.
        /// - Flags: those of the parent, or 0. Bit 0, *sampled*, is the parent's if there is one and the sampler is `parent_based`. Otherwise it is set if the last 16 digits
        ///   of the trace id, as a number, are less than `ratio` × 2⁶⁴. The other bits stay.
        fn begin(&self, call: &Call) -> Context;

        /// The header `traceparent` of the calls that are made under this span, of version `00`.
        fn inject(&self, context: &Context) -> String;

        /// The spans of one trace, as they came from the processes, as rows of a waterfall.
        ///
        /// - Spans come in any order, and some twice, since a sender that heard no answer sends again: the first one counts. No span is its own ancestor.
        /// - A span whose parent isn't among them is an *orphan*. Like a span without a parent it has depth 0; every other one is one deeper than its parent.
        /// - Each row is followed by those of its children and all that is below them. Rows with the same parent are in order of their
        ///   start, and so are those of depth 0; where that is the same, in order of their ids.
        /// - `skew_us` is how far Jaeger would move the span, if it were allowed to. Times as they are stay as they are.
        ///   - At depth 0 it is 0, and on the same host as the parent it is the parent's. On another host it is 0 for a `Consumer`, for which nobody waits.
        ///   - Any other is held against its parent, moved by the parent's own `skew_us`. A span that is longer than its parent is moved only if it starts too early, and
        ///     then to the parent's start. One that lies within its parent, to the microsecond, isn't moved. One that doesn't is moved so that it begins half of the difference
        ///     in length after the parent, rounded down.
        fn tree(&self, spans: &[Span]) -> Vec<Row>;

        /// The critical path of one trace, in order of time: at each moment of the root, the span that was waited for then. Every span is there once, in any order.
        ///
        /// The root is the span that would be the first row of the tree. Walk back from its end:
        ///
        /// - Look for the child that ends last, of those that have ended by the time where you are. From its end on until there, the span itself is on the path.
        ///   Then the path is the child's, which is walked in the same way from its end to its start. Then you are at its start, and back in the span. If there is no such child, the span is on the
        ///   path down to its own start.
        /// - A child counts only as far as it lies within its parent, and within what is left of that one; what sticks out is cut off. If nothing is left, or if it has no length at all, it doesn't
        ///   count, and what is below it doesn't either.
        /// - `Producer` and `Consumer` below another span are not waited for: neither they nor anything below them counts.
        /// - Of several that end last, it is the one that starts first, once cut, and then the one with the smaller id.
        ///
        /// No section is empty.
        fn critical_path(&self, spans: &[Span]) -> Vec<Section>;

        /// What went wrong with the context between two processes, if anything did. The first of these holds:
        ///
        /// 1. The callee's span is of the caller's trace and has the caller's span as its parent: nothing, unless only one of them is sampled, which is `Resampled`.
        /// 2. It has a link to the caller's span: nothing. So it is done behind queues, where one span works for many.
        /// 3. There was no header: `NotSent`.
        /// 4. The header isn't valid: `Invalid`.
        /// 5. The header doesn't name the caller's trace and span: `Altered`.
        /// 6. Otherwise it was right, and the callee didn't follow it: `Ignored`.
        fn broken(&self, hop: &Hop) -> Option<Break>;

        /// Whether a trace is kept, by policies that see all its spans, of which there is at least one.
        ///
        /// `Dropped` if any policy says so, otherwise `Sampled` if any says so, otherwise `NotSampled`. What each policy says stands at the variants of [`Policy`].
        fn decide(&self, policies: &[Policy], spans: &[Span]) -> Decision;

        /// Spans have arrived at a collector that waits for whole traces. `memory` are the traces that it remembers, the oldest first, as you answered last time.
        ///
        /// 1. One span after the other: if its trace isn't remembered, it is from now on, as the newest, and not decided. If those are more than `num_traces`, the oldest is forgotten, decided or not; one that wasn't
        ///    is `too_early`. A span of a trace that isn't decided is kept with it, behind those that are there. A span of one that is, is sent at once if that is `Sampled`, and is gone otherwise.
        /// 2. Then each trace that isn't decided, and of which the first span arrived `decision_wait_ms` ago or earlier, is decided by the policies. Its spans are sent if it is `Sampled`, and gone otherwise. It stays
        ///    remembered, with its decision and without spans.
        fn collect(&self, tail: &Tail, memory: &[Held], arrived: &[Span], now_ms: i64) -> Collected;
    }
}

/// Where a span stands: what a call takes with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Context {
    /// 32 digits.
    pub trace_id: String,
    /// 16 digits.
    pub span_id: String,
    /// Bit 0: the trace is sampled, which means that its spans are sent.
    pub flags: u8,
}

/// A call has arrived, or work begins for which there was none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Call {
    /// What the header said, if there was a valid one.
    #[serde(default)]
    pub parent: Option<Context>,
    /// Drawn at random: 32 digits.
    pub new_trace_id: String,
    /// Drawn at random: 16 digits.
    pub new_span_id: String,
    /// Which share of the traces the process would keep, from 0 to 1.
    pub ratio: f64,
    /// Whether it leaves that to its caller, if it has one.
    pub parent_based: bool,
}

/// One row of a waterfall.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// Which span.
    pub span_id: String,
    /// How far below a span that has no parent here.
    pub depth: u32,
    /// Whether its parent is missing.
    pub orphan: bool,
    /// How far its clock seems to be behind, in microseconds; less than 0 if ahead.
    pub skew_us: i64,
}

/// A piece of the critical path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Section {
    /// Who was waited for.
    pub span_id: String,
    /// From when.
    pub from_us: i64,
    /// Until when.
    pub to_us: i64,
}

/// One call, or one message, as it is seen from both sides and in between.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hop {
    /// The span under which the call was made.
    pub caller: Context,
    /// The header `traceparent` with which it arrived.
    #[serde(default)]
    pub header: Option<String>,
    /// The span that the callee began.
    pub callee: Context,
    /// Its parent.
    #[serde(default)]
    pub parent_span_id: Option<String>,
    /// Its links.
    #[serde(default)]
    pub links: Vec<Link>,
}

/// How a context was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Break {
    /// The callee decided anew whether the trace is kept.
    Resampled,
    /// No header arrived: the caller, or the queue between them, doesn't pass it on.
    NotSent,
    /// What arrived isn't a header that anybody may follow.
    Invalid,
    /// What arrived is about another span: somebody on the way passed on an old header, or wrote one of its own.
    Altered,
    /// The right header arrived, and the callee began something else.
    Ignored,
}
// ANCHOR_END: contract
