//! Traces of the control plane: what was done for a request, and for what came of its writes.
//!
//! Spans of the API server and of its calls to etcd have the names that upstream gives them ([`requests`] says where). Upstream the
//! trace of a request ends with the answer: whoever sees the object in a watch knows nothing of it. Here the server remembers under
//! which span each object was written last, by its uid, and [follows](Server::hear_of) it: whoever acts on what a watch shows
//! goes on in the same trace.
//!
//! Nothing is collected, and nothing is paid for it, before a server is [given](Server::trace_with) a tracer.

mod requests;

use super::Server;
use kit_contract::observability::traces::{Kind, Span, Status};
use kit_time::random::{Purpose, Random};
use std::collections::BTreeMap;

/// So many spans wait for somebody to take them; more are dropped and counted.
const MOST: usize = 50_000;
/// How long after a write it is followed. What is done later is no answer to it any more.
const FOLLOWED: i64 = 300_000_000;
/// Who acts so soon has acted on what the watch showed; who acts later has waited for something else as well.
const PROMPT: i64 = 1_000_000;
/// With so many objects it is looked which of them need not be followed any more.
const MANY: usize = 4096;

/// The span between a write and the moment at which somebody acts on it. Upstream has none.
const WATCH: &str = "watch";

/// Which span something is done under (<https://www.w3.org/TR/trace-context/>).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context {
    /// The same for all spans of a trace.
    pub trace_id: u128,
    /// The span.
    pub span_id: u64,
    /// Whether the trace is kept: whoever began it has decided for all.
    pub sampled: bool,
}

/// A span that has not ended yet.
#[derive(Debug, Clone)]
pub struct Going {
    /// Its trace, and itself.
    pub context: Context,
    /// What is known of it.
    pub span: Span,
}

/// Collects spans.
pub struct Tracer {
    random: Random,
    drawn: u64,
    samples: Box<dyn Fn(u128) -> bool>,
    /// The calendar time in microseconds, for a cluster in which time goes on while it works.
    clock: Option<Box<dyn Fn() -> i64>>,
    /// What is being done, the innermost last.
    open: Vec<Open>,
    /// Under what each object was written last, and when, by uid.
    written: BTreeMap<String, (Context, i64)>,
    spans: Vec<Span>,
    dropped: u64,
}

struct Open {
    going: Going,
    /// Whether somebody else tells of it.
    foreign: bool,
}

impl Tracer {
    /// A tracer; `samples` says of the trace with an id whether it is kept, if it begins here.
    pub fn new(random: Random, samples: impl Fn(u128) -> bool + 'static) -> Tracer {
        Tracer {
            random,
            drawn: 0,
            samples: Box::new(samples),
            clock: None,
            open: Vec::new(),
            written: BTreeMap::new(),
            spans: Vec::new(),
            dropped: 0,
        }
    }

    /// The same with a clock that shows the calendar time in microseconds. Without one nothing takes any time that the cluster's own
    /// clock doesn't show.
    pub fn with_clock(self, clock: impl Fn() -> i64 + 'static) -> Tracer {
        Tracer { clock: Some(Box::new(clock)), ..self }
    }

    /// Somebody else is at work. Who was lost in the middle of something has left its spans open.
    pub(super) fn enter(&mut self) {
        self.open.clear();
    }

    fn draw(&mut self) -> u64 {
        self.drawn += 1;
        let purpose = Purpose { component: "tracer", object: "", reason: "id", attempt: self.drawn };
        self.random.bits(purpose).max(1)
    }

    /// A span of this one, or the first one of a trace.
    fn child(&mut self, parent: Option<Context>) -> Context {
        match parent {
            Some(parent) => Context { span_id: self.draw(), ..parent },
            None => {
                let trace_id = u128::from(self.draw()) << 64 | u128::from(self.draw());
                Context { trace_id, span_id: self.draw(), sampled: (self.samples)(trace_id) }
            }
        }
    }

    /// Whether a request is being answered.
    fn answers(&self) -> bool {
        self.open.iter().any(|open| open.going.span.kind == Kind::Server)
    }

    fn innermost(&self) -> Option<Context> {
        self.open.last().map(|open| open.going.context)
    }

    /// A span from a time on, in microseconds, and a part of this one.
    fn begin(&mut self, parent: Option<Context>, name: &str, kind: Kind, service: &str, start_us: i64) -> Going {
        let context = self.child(parent);
        let span = Span {
            trace_id: format!("{:032x}", context.trace_id),
            span_id: format!("{:016x}", context.span_id),
            parent_span_id: parent.map(|parent| format!("{:016x}", parent.span_id)),
            name: name.into(),
            service: service.into(),
            kind,
            start_us,
            end_us: start_us,
            ..Span::default()
        };
        Going { context, span }
    }

    /// Keeps a span that ends now, and why it failed if it did.
    fn end(&mut self, going: Going, end_us: i64, error: Option<String>) {
        if !going.context.sampled {
            return;
        }
        if self.spans.len() >= MOST {
            self.dropped += 1;
            return;
        }
        let mut span = going.span;
        span.end_us = end_us.max(span.start_us);
        if let Some(error) = error {
            span.status = Status::Error;
            span.attributes.insert("error.message".into(), error);
        }
        self.spans.push(span);
    }

    /// The span of the last write of an object, if that is not too long ago.
    fn last_write(&self, uid: &str, now: i64) -> Option<(Context, i64)> {
        self.written.get(uid).copied().filter(|(_, at)| *at + FOLLOWED >= now)
    }

    fn remember(&mut self, uid: &str, context: Context, now: i64) {
        if self.written.len() >= MANY {
            self.written.retain(|_, (_, at)| *at + FOLLOWED >= now);
        }
        self.written.insert(uid.into(), (context, now));
    }
}

impl Server {
    /// Collects spans from now on.
    pub fn trace_with(&mut self, tracer: Tracer) {
        self.tracer = Some(Box::new(tracer));
    }

    /// The spans that have ended since the last time, and how many were dropped since then, since nobody took them.
    pub fn take_spans(&mut self) -> (Vec<Span>, u64) {
        let taken =
            self.tracer.as_mut().map(|tracer| (std::mem::take(&mut tracer.spans), std::mem::take(&mut tracer.dropped)));
        taken.unwrap_or_default()
    }

    fn microseconds(&self) -> i64 {
        let clock = self.tracer.as_ref().and_then(|tracer| tracer.clock.as_ref());
        clock.map_or_else(|| self.epoch.as_microsecond() + self.now.nanos / 1000, |clock| clock())
    }

    /// What is done until [`Server::leave`] belongs to a span that somebody else tells of: a `Server`'s is that of the request itself.
    pub fn under(&mut self, context: Option<Context>, kind: Kind) {
        if let Some((tracer, context)) = self.tracer.as_mut().zip(context) {
            let span = Span { kind, ..Span::default() };
            tracer.open.push(Open { going: Going { context, span }, foreign: true });
        }
    }

    /// The end of that; `context` is the same.
    pub fn leave(&mut self, context: Option<Context>) {
        if let Some((tracer, _)) = self.tracer.as_mut().zip(context) {
            tracer.open.pop();
        }
    }

    /// A watch has shown an object to whoever is at work now: the span that goes on with its trace. None if nobody traces, or if
    /// the object was written too long ago.
    pub fn hear_of(&mut self, uid: &str) -> Option<Context> {
        let by = self.actor.clone();
        let tracer = self.tracer.as_ref()?;
        let now = self.microseconds();
        let (context, at) = tracer.last_write(uid, now)?;
        if at + PROMPT < now {
            return Some(context);
        }
        let tracer = self.tracer.as_mut()?;
        let watch = tracer.begin(Some(context), WATCH, Kind::Consumer, &by, at);
        let context = watch.context;
        tracer.end(watch, now, None);
        Some(context)
    }

    /// Somebody begins to work on an object that a watch has shown; it lasts until [`Server::end_span`]. Nothing if nobody traces.
    pub fn begin_span(&mut self, name: &str, uid: &str) {
        if self.tracer.is_some() {
            let parent = self.hear_of(uid);
            self.open_span(parent, name, Kind::Internal, &self.actor.clone());
        }
    }

    /// The end of it, with what there is to be said, and why it failed if it did.
    pub fn end_span(&mut self, say: impl FnOnce() -> Vec<(&'static str, String)>, error: Option<String>) {
        self.say(say);
        self.close_span(error);
    }

    /// A span that is a part of this one, for work that goes on while others have their turn.
    pub fn child_span(&mut self, parent: Context, name: &str, kind: Kind) -> Option<Going> {
        let (now, by) = (self.microseconds(), self.actor.clone());
        self.tracer.as_mut().map(|tracer| tracer.begin(Some(parent), name, kind, &by, now))
    }

    /// Takes in such a span, which ends now.
    pub fn end_child(&mut self, going: Going, error: Option<String>) {
        let now = self.microseconds();
        if let Some(tracer) = &mut self.tracer {
            tracer.end(going, now, error);
        }
    }

    /// How many spans have ended and wait to be taken.
    pub(super) fn told_spans(&self) -> usize {
        self.tracer.as_ref().map_or(0, |tracer| tracer.spans.len())
    }

    /// What has ended after so many was for nothing.
    pub(super) fn forget_spans(&mut self, after: usize) {
        self.tracer.iter_mut().for_each(|tracer| tracer.spans.truncate(after));
    }

    fn open_span(&mut self, parent: Option<Context>, name: &str, kind: Kind, service: &str) {
        let now = self.microseconds();
        if let Some(tracer) = &mut self.tracer {
            let parent = parent.or_else(|| tracer.innermost());
            let going = tracer.begin(parent, name, kind, service, now);
            tracer.open.push(Open { going, foreign: false });
        }
    }

    /// Says more about the innermost span.
    fn say(&mut self, say: impl FnOnce() -> Vec<(&'static str, String)>) {
        let innermost = self.tracer.as_mut().and_then(|tracer| tracer.open.last_mut());
        if let Some(open) = innermost.filter(|open| open.going.context.sampled) {
            open.going.span.attributes.extend(say().into_iter().map(|(name, value)| (name.into(), value)));
        }
    }

    fn close_span(&mut self, error: Option<String>) {
        let end = self.microseconds();
        let Some(tracer) = &mut self.tracer else { return };
        if let Some(Open { going, foreign: false }) = tracer.open.pop() {
            tracer.end(going, end, error);
        }
    }
}
