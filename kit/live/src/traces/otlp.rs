//! Sends spans to a collector: OTLP over HTTP, in JSON (<https://opentelemetry.io/docs/specs/otlp/#otlphttp>).
//!
//! They wait in a bounded queue, go out in batches, and are sent again as long as the collector says that it may take them later.
//! What has no room, or is refused, is lost and counted: a cluster never waits for those who look at it. Batches are those of
//! OpenTelemetry's SDKs (`BatchSpanProcessor`), the queue is longer, since a rollout makes thousands of spans at once.
//!
//! `opentelemetry-otlp` 0.33 would bring twenty crates that nothing else here needs, with `prost` and `h2` among them, to a build that learners
//! wait for, and its spans would have another clock than the cluster's.

use super::lock;
use http_body_util::{BodyExt, Full, Limited};
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use kit_contract::observability::traces::Span;
use kit_observability::trace::otlp;
use serde_json::Value;
use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

/// So many spans wait.
const QUEUE: usize = 20_000;
/// So many go out at once, at the latest after so long.
const BATCH: usize = 512;
const DELAY: Duration = Duration::from_secs(1);
/// How long an answer may take (`OTEL_EXPORTER_OTLP_TIMEOUT`).
const TIMEOUT: Duration = Duration::from_secs(10);
/// After which pauses a batch is sent again, and for how long in all.
const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(30);
const IN_ALL: Duration = Duration::from_secs(60);
/// The longest answer that is read.
const ANSWER: usize = 1 << 20;

/// Sends spans from a thread of its own.
#[derive(Debug)]
pub(super) struct Exporter {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared {
    host: String,
    path: String,
    queue: Mutex<Queue>,
    more: Condvar,
    exported: AtomicU64,
    /// No room was left.
    full: AtomicU64,
    /// The collector refused a batch, or couldn't be reached for too long.
    failed: AtomicU64,
    /// The collector took a batch without these.
    rejected: AtomicU64,
}

#[derive(Debug, Default)]
struct Queue {
    spans: VecDeque<Span>,
    ended: bool,
}

/// What came of a batch.
enum Sent {
    /// It is there, but for so many.
    Done(u64),
    /// It may be sent again, after a pause that was asked for.
    Later(Option<Duration>),
    Refused,
}

impl Exporter {
    /// Begins to send to the collector at an address such as `http://127.0.0.1:4318`.
    pub(super) fn start(address: &str) -> io::Result<Exporter> {
        let wrong =
            || io::Error::other(format!("a collector's address is like http://127.0.0.1:4318, and not {address:?}"));
        let rest = address.strip_prefix("http://").ok_or_else(wrong)?;
        let (host, base) = rest.split_once('/').unwrap_or((rest, ""));
        let host = if host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) {
            host.into()
        } else {
            format!("{host}:4318")
        };
        let base = base.trim_end_matches('/');
        let path = if base.is_empty() { "/v1/traces".into() } else { format!("/{base}/v1/traces") };
        let uri: hyper::Uri = format!("http://{host}{path}").parse().map_err(|_| wrong())?;
        uri.host().filter(|host| !host.is_empty()).ok_or_else(wrong)?;
        let counts = || AtomicU64::new(0);
        let shared = Arc::new(Shared {
            host,
            path,
            queue: Mutex::default(),
            more: Condvar::new(),
            exported: counts(),
            full: counts(),
            failed: counts(),
            rejected: counts(),
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = {
            let shared = shared.clone();
            std::thread::Builder::new().name("otlp".into()).spawn(move || shared.run(&runtime))?
        };
        Ok(Exporter { shared, thread: Mutex::new(Some(thread)) })
    }

    /// Lets spans wait to be sent, as far as there is room.
    pub(super) fn take(&self, spans: &[Span]) {
        let mut queue = lock(&self.shared.queue);
        let room = QUEUE.saturating_sub(queue.spans.len());
        queue.spans.extend(spans.iter().take(room).cloned());
        self.shared.full.fetch_add(spans.len().saturating_sub(room) as u64, Ordering::Relaxed);
        if queue.spans.len() >= BATCH {
            self.shared.more.notify_one();
        }
    }

    /// Sends what is left, and ends.
    pub(super) fn finish(&self) {
        lock(&self.shared.queue).ended = true;
        self.shared.more.notify_one();
        lock(&self.thread).take().map(JoinHandle::join);
    }

    pub(super) fn metrics(&self, lost: u64) -> String {
        let Shared { queue, exported, full, failed, rejected, .. } = &*self.shared;
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        format!(
            "# HELP otel_sdk_exporter_span_exported_total Spans that the collector has, or that didn't reach it.\n\
             # TYPE otel_sdk_exporter_span_exported_total counter\n\
             otel_sdk_exporter_span_exported_total{{error_type=\"\"}} {}\n\
             otel_sdk_exporter_span_exported_total{{error_type=\"failed\"}} {}\n\
             otel_sdk_exporter_span_exported_total{{error_type=\"rejected\"}} {}\n\
             # HELP otel_sdk_processor_span_processed_total Spans for which the queue had no room.\n\
             # TYPE otel_sdk_processor_span_processed_total counter\n\
             otel_sdk_processor_span_processed_total{{error_type=\"queue_full\"}} {}\n\
             # HELP otel_sdk_processor_span_queue_size Spans that wait.\n\
             # TYPE otel_sdk_processor_span_queue_size gauge\n\
             otel_sdk_processor_span_queue_size {}\n",
            of(exported),
            of(failed),
            of(rejected),
            of(full) + lost,
            lock(queue).spans.len(),
        )
    }
}

impl Shared {
    fn run(&self, runtime: &tokio::runtime::Runtime) {
        while let Some(batch) = self.next() {
            let count = batch.len() as u64;
            let add = |to: &AtomicU64, count: u64| _ = to.fetch_add(count, Ordering::Relaxed);
            match serde_json::to_vec(&otlp::request(&batch)).ok().and_then(|body| self.send(runtime, &body.into())) {
                Some(rejected) => {
                    add(&self.exported, count.saturating_sub(rejected));
                    add(&self.rejected, rejected.min(count));
                }
                None => {
                    add(&self.failed, count);
                    tracing::warn!(count, collector = self.host, "spans didn't reach the collector");
                }
            }
        }
    }

    /// The next batch; none once there is no more to come.
    fn next(&self) -> Option<Vec<Span>> {
        let waits = |queue: &mut Queue| queue.spans.len() < BATCH && !queue.ended;
        loop {
            let queue = self.more.wait_timeout_while(lock(&self.queue), DELAY, waits);
            let (mut queue, _) = queue.unwrap_or_else(PoisonError::into_inner);
            let count = queue.spans.len().min(BATCH);
            if count > 0 || queue.ended {
                return (count > 0).then(|| queue.spans.drain(..count).collect());
            }
        }
    }

    /// Sends a batch until it is there, without so many spans; none if it can't be.
    fn send(&self, runtime: &tokio::runtime::Runtime, body: &Bytes) -> Option<u64> {
        let (began, mut pause) = (Instant::now(), FIRST);
        loop {
            let sent = runtime.block_on(async { tokio::time::timeout(TIMEOUT, self.post(body.clone())).await });
            let asked = match sent {
                Ok(Ok(Sent::Done(rejected))) => return Some(rejected),
                Ok(Ok(Sent::Refused)) => return None,
                Ok(Ok(Sent::Later(asked))) => asked,
                // Nobody is there, or nobody answers.
                Ok(Err(_)) | Err(_) => None,
            };
            let wait = asked.unwrap_or(pause).min(LONGEST);
            let ended = |queue: &mut Queue| !queue.ended;
            if began.elapsed() + wait > IN_ALL || lock(&self.queue).ended {
                return None;
            }
            // Whoever ends the cluster doesn't wait for a collector that is away.
            drop(self.more.wait_timeout_while(lock(&self.queue), wait, ended));
            pause = pause.mul_f64(1.5);
        }
    }

    async fn post(&self, body: Bytes) -> Result<Sent, Box<dyn std::error::Error>> {
        let stream = TcpStream::connect(&self.host).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let request = Request::post(&self.path).header("host", &self.host).header("content-type", "application/json");
        let answer = sender.send_request(request.body(Full::new(body))?).await?;
        let code = answer.status().as_u16();
        let after = answer.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
        let body = Limited::new(answer.into_body(), ANSWER).collect().await.map(|body| body.to_bytes());
        connection.abort();
        Ok(match code {
            200..300 => Sent::Done(body.map(|body| rejected(&body)).unwrap_or_default()),
            429 | 502 | 503 | 504 => Sent::Later(after.map(Duration::from_secs)),
            _ => Sent::Refused,
        })
    }
}

/// How many spans a collector didn't take (`ExportTracePartialSuccess`); 64-bit numbers may be texts.
fn rejected(body: &[u8]) -> u64 {
    let answer: Value = serde_json::from_slice(body).unwrap_or_default();
    let count = &answer["partialSuccess"]["rejectedSpans"];
    count.as_u64().or_else(|| count.as_str()?.parse().ok()).unwrap_or_default()
}
