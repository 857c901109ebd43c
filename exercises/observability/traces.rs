//! # Traces: where a request lost its time
//!
//! Each process that a request went through says what it did, and when by its own clock. You write what makes a picture of that: the context
//! that travels with a call, the tree of spans, the path on which the time was lost, where a context broke, and which traces are kept.
//!
//! About 60 minutes · builds on nothing · book: "Traces: where a request lost its time" · stuck? `cargo grade hint observability/traces`
//!
//! All types are in `kit::observability::traces`, and so are `Kind` and `Status`. A [`Span`] has, of what you need here:
//! `trace_id`, `span_id`, `parent_span_id: Option<String>`, `host`, `kind`, `start_us`, `end_us`, `status`, and `attributes`, a
//! `BTreeMap<String, String>`. Identifiers are text.

use kit::observability::Traces;
use kit::observability::traces::{
    Break, Call, Collected, Context, Decision, Held, Hop, Policy, Row, Section, Span, Tail,
};

/// The kit keeps what you answer until it asks again, so nothing is remembered here.
#[derive(Default)]
struct Exercise;

impl Traces for Exercise {
    /// What the header `traceparent` of a call says; none if it isn't valid, and a new trace begins.
    ///
    /// `00-<trace id>-<span id>-<flags>`: 2, 32, 16 and 2 digits of `0123456789abcdef`, no capitals. Neither id is all
    /// zeros. The version is never `ff`. Version `00` ends with the flags; any other may go on, with a `-` and whatever
    /// comes then, which is ignored.
    fn extract(&self, traceparent: &str) -> Option<Context> {
        let _ = traceparent;
        todo!("split at `-`: how long is each field, and which digits may it have?")
    }

    /// A process begins its work for a call. What is the context of its span?
    ///
    /// - The span has the id `new_span_id`. Its trace is the parent's, or, without one, `new_trace_id`.
    /// - Flags: those of the parent, or 0. Bit 0, *sampled*, is the parent's if there is one and the sampler is
    ///   `parent_based`. Otherwise it is set if the last 16 digits of the trace id, as a number, are less than `ratio`
    ///   × 2⁶⁴. The other bits stay.
    fn begin(&self, call: &Call) -> Context {
        let _ = call;
        todo!("is there a parent, and who decides?")
    }

    /// The header `traceparent` of the calls that are made under this span, of version `00`.
    fn inject(&self, context: &Context) -> String {
        let _ = context;
        todo!("four fields, and two digits for the flags")
    }

    /// The spans of one trace, as they came from the processes, as rows of a waterfall.
    ///
    /// - Spans come in any order, and some twice, since a sender that heard no answer sends again: the first one
    ///   counts. No span is its own ancestor.
    /// - A span whose parent isn't among them is an *orphan*. Like a span without a parent it has depth 0; every other
    ///   one is one deeper than its parent.
    /// - Each row is followed by those of its children and all that is below them. Rows with the same parent are in
    ///   order of their start, and so are those of depth 0; where that is the same, in order of their ids.
    /// - `skew_us` is how far Jaeger would move the span, if it were allowed to. Times as they are stay as they are.
    ///   - At depth 0 it is 0, and on the same host as the parent it is the parent's. On another host it is 0 for a
    ///     `Consumer`, for which nobody waits.
    ///   - Any other is held against its parent, moved by the parent's own `skew_us`. A span that is longer than its
    ///     parent is moved only if it starts too early, and then to the parent's start. One that lies within its
    ///     parent, to the microsecond, isn't moved. One that doesn't is moved so that it begins half of the difference
    ///     in length after the parent, rounded down.
    fn tree(&self, spans: &[Span]) -> Vec<Row> {
        let _ = spans;
        todo!("who has no parent here? and who is below whom?")
    }

    /// The critical path of one trace, in order of time: at each moment of the root, the span that was waited for then.
    /// Every span is there once, in any order.
    ///
    /// The root is the span that would be the first row of the tree. Walk back from its end:
    ///
    /// - Look for the child that ends last, of those that have ended by the time where you are. From its end on until
    ///   there, the span itself is on the path. Then the path is the child's, which is walked in the same way from its
    ///   end to its start. Then you are at its start, and back in the span. If there is no such child, the span is on
    ///   the path down to its own start.
    /// - A child counts only as far as it lies within its parent, and within what is left of that one; what sticks out
    ///   is cut off. If nothing is left, or if it has no length at all, it doesn't count, and what is below it doesn't
    ///   either.
    /// - `Producer` and `Consumer` below another span are not waited for: neither they nor anything below them counts.
    /// - Of several that end last, it is the one that starts first, once cut, and then the one with the smaller id.
    ///
    /// No section is empty.
    fn critical_path(&self, spans: &[Span]) -> Vec<Section> {
        let _ = spans;
        todo!("a function that walks back in one span, and calls itself for a child")
    }

    /// What went wrong with the context between two processes, if anything did. The first of these holds:
    ///
    /// 1. The callee's span is of the caller's trace and has the caller's span as its parent: nothing, unless only one
    ///    of them is sampled, which is `Resampled`.
    /// 2. It has a link to the caller's span: nothing. So it is done behind queues, where one span works for many.
    /// 3. There was no header: `NotSent`.
    /// 4. The header isn't valid: `Invalid`.
    /// 5. The header doesn't name the caller's trace and span: `Altered`.
    /// 6. Otherwise it was right, and the callee didn't follow it: `Ignored`.
    fn broken(&self, hop: &Hop) -> Option<Break> {
        let _ = hop;
        todo!("is the callee under the caller?")
    }

    /// Whether a trace is kept, by policies that see all its spans, of which there is at least one.
    ///
    /// `Dropped` if any policy says so, otherwise `Sampled` if any says so, otherwise `NotSampled`. What each policy
    /// says stands at the variants of [`Policy`].
    fn decide(&self, policies: &[Policy], spans: &[Span]) -> Decision {
        let _ = (policies, spans);
        todo!("what does each policy say?")
    }

    /// Spans have arrived at a collector that waits for whole traces. `memory` are the traces that it remembers, the
    /// oldest first, as you answered last time.
    ///
    /// 1. One span after the other: if its trace isn't remembered, it is from now on, as the newest, and not decided.
    ///    If those are more than `num_traces`, the oldest is forgotten, decided or not; one that wasn't is `too_early`.
    ///    A span of a trace that isn't decided is kept with it, behind those that are there. A span of one that is, is
    ///    sent at once if that is `Sampled`, and is gone otherwise.
    /// 2. Then each trace that isn't decided, and of which the first span arrived `decision_wait_ms` ago or earlier, is
    ///    decided by the policies. Its spans are sent if it is `Sampled`, and gone otherwise. It stays remembered, with
    ///    its decision and without spans.
    fn collect(&self, tail: &Tail, memory: &[Held], arrived: &[Span], now_ms: i64) -> Collected {
        let _ = (tail, memory, arrived, now_ms);
        todo!("first the spans, then the traces whose time has come")
    }
}

kit::exercise!(Exercise: Traces);
