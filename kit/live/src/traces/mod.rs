//! Traces of a live cluster: the spans of requests, as they come in here, and of all that comes of them in the engine.
//!
//! `apiserver/pkg/endpoints/filters/traces.go` is the model for requests, `TracingConfiguration`
//! (`component-base/tracing/api/v1/types.go`) for what is kept. Spans can be looked at ([`Traces::seen`]), and are sent to a
//! collector if there is one ([`otlp`]).

pub mod otlp;

use hyper::header::HeaderMap;
use kit_contract::observability::traces::{Kind, Link, Span, Status};
use kit_observability::trace::context::SpanContext;
use kit_observability::trace::sampling::Root;
use kit_observability::trace::waterfall::{Trace, traces};
use kit_server::User;
use kit_server::trace::{Context, Tracer};
use kit_time::random::{Purpose, Random};
use otlp::Exporter;
use ring::rand::{SecureRandom, SystemRandom};
use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant as Real;

/// So many spans can be looked at: the last ones.
const KEPT: usize = 20_000;
/// Whose headers are followed. Anybody else's are only linked to (`notSystemPrivilegedGroup`).
const TRUSTED: [&str; 2] = ["system:masters", "system:monitoring"];

/// The cluster's calendar time beside the real one, for whoever isn't on the engine's thread.
#[derive(Debug)]
pub(crate) struct Dial(Mutex<(i64, Real, f64)>);

impl Dial {
    /// So many microseconds it was then, and so fast it goes on.
    pub(crate) fn set(&self, microseconds: i64, at: Real, speed: f64) {
        *lock(&self.0) = (microseconds, at, speed);
    }

    /// The calendar time in microseconds.
    pub(crate) fn now(&self) -> i64 {
        let (then, at, speed) = *lock(&self.0);
        then + (at.elapsed().as_secs_f64() * speed * 1e6) as i64
    }
}

impl Default for Dial {
    fn default() -> Dial {
        Dial(Mutex::new((0, Real::now(), 0.0)))
    }
}

/// Collects the spans of a cluster.
#[derive(Debug)]
pub struct Traces {
    root: Root,
    random: Random,
    drawn: AtomicU64,
    kept: Mutex<VecDeque<Span>>,
    /// How many the engine had no room for.
    lost: AtomicU64,
    exporter: Option<Exporter>,
    pub(crate) dial: Arc<Dial>,
}

/// The span of a request that goes on.
pub(crate) struct Asking {
    pub(crate) context: Context,
    span: Span,
}

impl Traces {
    /// Keeps so many of a million traces that begin here (`samplingRatePerMillion`), and those that their beginner keeps. They are
    /// sent to the collector at this address, if there is one.
    ///
    /// # Errors
    ///
    /// If the address is none, or no thread or randomness is to be had.
    pub fn new(per_million: u32, collector: Option<&str>) -> io::Result<Traces> {
        let mut seed = [0; 8];
        SystemRandom::new().fill(&mut seed).map_err(|_| io::Error::other("this machine has no randomness"))?;
        Ok(Traces {
            root: Root::Ratio(f64::from(per_million) / 1e6),
            random: Random::new(u64::from_le_bytes(seed)),
            drawn: AtomicU64::new(0),
            kept: Mutex::default(),
            lost: AtomicU64::new(0),
            exporter: collector.map(Exporter::start).transpose()?,
            dial: Arc::default(),
        })
    }

    /// The tracer of the engine.
    pub(crate) fn tracer(&self) -> Tracer {
        let (root, dial) = (self.root, self.dial.clone());
        Tracer::new(Random::new(self.draw()), move |id| root.samples(id)).with_clock(move || dial.now())
    }

    fn draw(&self) -> u64 {
        let attempt = self.drawn.fetch_add(1, Ordering::Relaxed);
        self.random.bits(Purpose { component: "http", object: "", reason: "id", attempt }).max(1)
    }

    /// A request has come; whether its header is followed is known from who sent it ([`trusted`]).
    pub(crate) fn begin(&self, name: String, headers: &HeaderMap, trusted: bool) -> Asking {
        let values =
            |name: &str| headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect::<Vec<_>>();
        let sent = SpanContext::extract(&values("traceparent"), &values("tracestate"));
        let parent = sent.as_ref().filter(|_| trusted);
        let trace_id =
            parent.map_or_else(|| u128::from(self.draw()) << 64 | u128::from(self.draw()), |parent| parent.trace_id);
        let sampled = self.root.samples_under(parent.map(SpanContext::sampled), trace_id);
        let context = Context { trace_id, span_id: self.draw(), sampled };
        let link = sent.as_ref().filter(|_| !trusted);
        let link =
            link.map(|of| Link { trace_id: format!("{:032x}", of.trace_id), span_id: format!("{:016x}", of.span_id) });
        let now = self.dial.now();
        let span = Span {
            trace_id: format!("{trace_id:032x}"),
            span_id: format!("{:016x}", context.span_id),
            parent_span_id: parent.map(|parent| format!("{:016x}", parent.span_id)),
            name,
            service: "kube-apiserver".into(),
            kind: Kind::Server,
            start_us: now,
            end_us: now,
            links: link.into_iter().collect(),
            ..Span::default()
        };
        Asking { context, span }
    }

    /// It is answered; this is to be said of it.
    pub(crate) fn end<'a>(&self, asking: Asking, code: u16, about: impl IntoIterator<Item = (&'static str, &'a str)>) {
        if !asking.context.sampled {
            return;
        }
        let mut span = Span { end_us: self.dial.now().max(asking.span.start_us), ..asking.span };
        let about = about.into_iter().filter(|(_, value)| !value.is_empty());
        span.attributes.extend(about.map(|(name, value)| (name.to_string(), value.to_string())));
        span.attributes.insert("http.status_code".into(), code.to_string());
        // A server's span fails only if the server does (`otelhttp`).
        span.status = if code >= 500 { Status::Error } else { Status::Unset };
        self.take(vec![span], 0);
    }

    /// Takes in spans; so many more are lost.
    pub(crate) fn take(&self, spans: Vec<Span>, lost: u64) {
        self.lost.fetch_add(lost, Ordering::Relaxed);
        if let Some(exporter) = &self.exporter {
            exporter.take(&spans);
        }
        let mut kept = lock(&self.kept);
        kept.extend(spans);
        let over = kept.len().saturating_sub(KEPT);
        kept.drain(..over);
    }

    /// The traces that are remembered, the one that began last first.
    pub fn seen(&self) -> Vec<Trace> {
        let spans: Vec<Span> = lock(&self.kept).iter().cloned().collect();
        traces(&spans)
    }

    /// What became of spans, in the text format of Prometheus. The names are those of OpenTelemetry's SDKs
    /// (<https://opentelemetry.io/docs/specs/semconv/otel/sdk-metrics/>).
    pub fn metrics(&self) -> String {
        let dropped = self.lost.load(Ordering::Relaxed);
        self.exporter.as_ref().map(|exporter| exporter.metrics(dropped)).unwrap_or_default()
    }

    /// Sends what is left, once.
    pub fn finish(&self) {
        self.exporter.iter().for_each(Exporter::finish);
    }
}

/// Whether the header of this user is followed.
pub(crate) fn trusted(user: &User) -> bool {
    user.groups.iter().any(|group| TRUSTED.contains(&group.as_str()))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_followed_of_some_and_linked_to_of_others() {
        let sent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
        let headers: HeaderMap = [("traceparent", sent)]
            .map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value")))
            .into_iter()
            .collect();
        let traces = Traces::new(1_000_000, None).expect("it can be had");
        for (group, follows) in [("system:masters", true), ("system:monitoring", true), ("system:authenticated", false)]
        {
            let asking = traces.begin("GET".into(), &headers, trusted(&User::new("jane", &[group])));
            let span = &asking.span;
            // The caller doesn't keep it, and says so to those who follow it.
            assert_eq!((asking.context.sampled, span.links.len()), (!follows, usize::from(!follows)), "{group}");
            assert_eq!(span.parent_span_id.as_deref(), follows.then_some("00f067aa0ba902b7"), "{group}");
            assert_eq!(span.trace_id == sent[3..35], follows, "{group}");
        }
    }
}
