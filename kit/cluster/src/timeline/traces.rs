//! Requests through services, traced: who calls whom is said by the scenario, which pods answer by the cluster. Each process sends
//! its spans a few seconds after they ended, if it still runs then, to a collector that decides about whole traces.
//!
//! The module begins and reads contexts, decides, and makes the picture of what was kept; it is told again when it changes.

use super::step::{Skew, Span as Time};
use crate::engine::Engine;
use kit_api::pod;
use kit_apimachinery::object::{Key, Kind as Resource, Object};
use kit_contract::Modules;
use kit_contract::observability::Traces;
use kit_contract::observability::traces::{
    Call, Collected, Context, Decision, Held, Hop, Kind, Link, Span, Status, Tail,
};
use kit_time::agenda::Instant;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

const SECOND: Instant = Instant::seconds(1);
/// From one node to another, in microseconds.
const WAY: i64 = 1_000;
/// A caller that hears nothing gives up.
const PATIENCE: i64 = 1_000_000;
/// How long a message lies in its queue.
const QUEUED: i64 = 50_000;
/// Services that call each other in a circle go no deeper.
const DEEPEST: usize = 8;

/// What is traced.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tracing {
    /// How often somebody makes a request.
    pub every: Time,
    /// Whom it goes to.
    pub request: String,
    /// Services by name: pods with that name as their label `app` answer.
    pub services: BTreeMap<String, Service>,
    /// How far clocks of nodes are ahead; negative if behind.
    #[serde(default)]
    pub clocks: BTreeMap<String, Skew>,
    /// How long after its end a span is sent.
    #[serde(default = "five_seconds")]
    pub send_after: Time,
    /// Where they are sent to.
    pub tail: Tail,
}

fn five_seconds() -> Time {
    Time(Instant::seconds(5))
}

/// What a service does for a request.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// Work of its own in milliseconds: half before its calls, half after them.
    pub takes_ms: i64,
    /// Whom it calls, one after the other.
    #[serde(default)]
    pub calls: Vec<String>,
    /// Whether it calls them at the same time.
    #[serde(default)]
    pub together: bool,
    /// Whom it leaves messages for.
    #[serde(default)]
    pub tells: Vec<String>,
    /// Whether its calls carry a header.
    #[serde(default = "yes")]
    pub passes_on: bool,
    /// Whether it takes the trace of its caller for its own; otherwise it begins one.
    #[serde(default = "yes")]
    pub follows: bool,
    /// Which share of the traces it keeps, if it begins them.
    #[serde(default = "all")]
    pub ratio: f64,
}

fn yes() -> bool {
    true
}

fn all() -> f64 {
    1.0
}

/// A process: the pod, and the node whose clock it has.
#[derive(Clone)]
struct Process {
    pod: Key,
    node: String,
}

/// All that was traced, and what isn't sent yet.
pub struct Tracer {
    of: Tracing,
    module: Rc<dyn Traces>,
    next: Instant,
    looked: Instant,
    requests: usize,
    ids: u64,
    waiting: Vec<(Instant, Process, Span)>,
    memory: Vec<Held>,
    /// Where the context broke in the latest request.
    breaks: BTreeSet<String>,
    /// The same, when it was told last.
    broken: BTreeSet<String>,
    /// What was last told of traces.
    told: BTreeSet<String>,
}

/// Where a call is made.
struct Here<'a> {
    process: &'a Process,
    context: &'a Context,
    service: &'a str,
    passes_on: bool,
    depth: usize,
    engine: &'a Engine,
}

/// A span of which only its place is known.
fn placed(context: &Context, parent: Option<&Context>) -> Span {
    Span {
        trace_id: context.trace_id.clone(),
        span_id: context.span_id.clone(),
        parent_span_id: parent.map(|parent| parent.span_id.clone()),
        ..Span::default()
    }
}

impl Tracer {
    /// One that makes its first request now.
    pub fn new(of: &Tracing, modules: &Modules, now: Instant) -> Tracer {
        Tracer {
            of: of.clone(),
            module: Rc::from(modules.traces.make(&())),
            next: now,
            looked: now - SECOND,
            requests: 0,
            ids: 0,
            waiting: Vec::new(),
            memory: Vec::new(),
            breaks: BTreeSet::new(),
            broken: BTreeSet::new(),
            told: BTreeSet::new(),
        }
    }

    /// When somebody makes the next request, spans are sent, or a trace is decided.
    pub fn due(&self) -> Instant {
        let sent = self.waiting.iter().map(|(at, _, _)| *at);
        let wait = self.of.tail.decision_wait_ms;
        let open = self.memory.iter().filter(|held| held.decision.is_none());
        let decided = open.map(|held| Instant { nanos: (held.first_ms + wait) * 1_000_000 });
        // A module that never decides doesn't make time stand still.
        sent.chain(decided).fold(self.next, Instant::min).max(self.looked + SECOND)
    }

    /// Does what is due; what is new in the traces that were kept.
    pub fn look(&mut self, engine: &Engine) -> Vec<String> {
        let now = engine.now();
        self.looked = now;
        if self.next <= now {
            while self.next <= now {
                self.next = self.next + self.of.every.0.max(SECOND);
            }
            self.requests += 1;
            let (request, start) = (self.of.request.clone(), now.nanos / 1000);
            self.called(&request, None, Kind::Server, start, 0, engine);
        }
        let running: BTreeSet<Key> = engine.running().into_iter().map(|(_, pod)| pod).collect();
        let (due, waiting) = std::mem::take(&mut self.waiting).into_iter().partition(|(at, _, _)| *at <= now);
        self.waiting = waiting;
        let due: Vec<(Instant, Process, Span)> = due;
        // Whoever is gone has taken its spans along.
        let alive = due.into_iter().filter(|(_, process, _)| running.contains(&process.pod));
        let arrived: Vec<Span> = alive.map(|(_, _, span)| span).collect();
        let memory = std::mem::take(&mut self.memory);
        let now_ms = now.nanos / 1_000_000;
        let answer: Collected = self.module.collect(&self.of.tail, &memory, &arrived, now_ms);
        self.memory = answer.memory;
        let mut traces: BTreeMap<&str, Vec<Span>> = BTreeMap::new();
        answer.sent.iter().for_each(|span| traces.entry(&span.trace_id).or_default().push(span.clone()));
        let lost = answer.too_early.iter().map(|_| "a trace is forgotten before it is decided".to_string());
        let pictures = traces.values().flat_map(|spans| self.picture(spans));
        let pictures: BTreeSet<String> = pictures.chain(lost).chain(self.gone(&memory)).collect();
        let breaks = std::mem::take(&mut self.breaks);
        let mut new = Vec::new();
        for (now, before) in [(breaks, &mut self.broken), (pictures, &mut self.told)] {
            // While nothing changes nothing is said; requests in between are no change.
            if !now.is_empty() {
                new.extend(now.difference(before).cloned());
                *before = now;
            }
        }
        new
    }

    /// What becomes of traces that aren't kept.
    fn gone(&self, before: &[Held]) -> Vec<String> {
        let open = |id: &str| before.iter().any(|held| held.trace_id == id && held.decision.is_some());
        let new = self.memory.iter().filter(|held| !open(&held.trace_id));
        new.filter_map(|held| match held.decision? {
            Decision::Sampled => None,
            other => Some(format!("a trace isn't kept: {other:?}")),
        })
        .collect()
    }

    /// One trace in words: how it hangs together, and where the time went.
    fn picture(&self, spans: &[Span]) -> Vec<String> {
        let of = |id: &str| spans.iter().find(|span| span.span_id == id);
        let rows = self.module.tree(spans);
        let mut lines = Vec::new();
        let mut path: Vec<(String, i64)> = Vec::new();
        for section in self.module.critical_path(spans) {
            let Some(span) = of(&section.span_id) else { continue };
            let took = section.to_us - section.from_us;
            match path.last_mut() {
                Some((service, sum)) if *service == span.service => *sum += took,
                _ => path.push((span.service.clone(), took)),
            }
        }
        let path: Vec<String> = path.iter().map(|(service, took)| format!("{service} {}ms", took / 1000)).collect();
        let errors = spans.iter().any(|span| span.status == Status::Error);
        let top = rows.first().and_then(|row| of(&row.span_id));
        let name = top.map_or("nothing".into(), |span| format!("{} {}", span.service, span.name));
        let error = if errors { ", with an error" } else { "" };
        lines.push(format!("trace of {name}: {} spans{error}, path {}", rows.len(), path.join(" → ")));
        for row in rows {
            let Some(span) = of(&row.span_id) else { continue };
            if row.orphan {
                lines.push(format!("an orphan: {} {}", span.service, span.name));
            }
            let parent = span.parent_span_id.as_deref().and_then(of);
            if row.skew_us != 0 && parent.is_some_and(|parent| parent.host != span.host) {
                let which = if row.skew_us > 0 { "behind" } else { "ahead" };
                lines.push(format!("the clock of {} is {which} by about {}ms", span.host, row.skew_us.abs() / 1000));
            }
        }
        lines
    }

    fn id(&mut self) -> u64 {
        self.ids += 1;
        // Any odd number far from small ones spreads them over all digits.
        self.ids.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    /// The pod that is asked next, as far as the API server knows who is ready.
    fn pick(&self, service: &str, engine: &Engine) -> Option<Process> {
        let pods = engine.server().snapshot().list(Resource::Pod);
        let mut ready: Vec<Process> = pods
            .filter_map(|object| {
                let Object::Pod(of) = &object.object else { return None };
                let label = of.metadata.labels.as_ref()?.get("app")?;
                let node = of.spec.as_ref()?.node_name.clone()?;
                let answers = label == service && pod::is_ready(of) && !pod::is_terminating(of);
                answers.then(|| Process { pod: object.key.clone(), node })
            })
            .collect();
        ready.sort_by(|a, b| (&a.node, &a.pod.name).cmp(&(&b.node, &b.pod.name)));
        let turn = self.requests % ready.len().max(1);
        ready.into_iter().nth(turn)
    }

    /// A call arrives at a service, or a message. When it has answered, and whether all was well; none if nobody answers.
    fn called(
        &mut self,
        service: &str,
        caller: Option<(&Context, Option<&str>)>,
        kind: Kind,
        start: i64,
        depth: usize,
        engine: &Engine,
    ) -> Option<(i64, bool)> {
        let of = self.of.services.get(service)?.clone();
        let process = self
            .pick(service, engine)
            .filter(|process| depth <= DEEPEST && engine.running().iter().any(|(_, pod)| *pod == process.pod))?;
        let header = caller.and_then(|(_, header)| header);
        let parent = header.filter(|_| of.follows).and_then(|header| self.module.extract(header));
        let context = self.begin(parent.clone(), of.ratio);
        if let Some((caller, header)) = caller {
            let hop = Hop {
                caller: caller.clone(),
                header: header.map(String::from),
                callee: context.clone(),
                parent_span_id: parent.as_ref().map(|parent| parent.span_id.clone()),
                links: Vec::<Link>::new(),
            };
            if let Some(broken) = self.module.broken(&hop) {
                self.breaks.insert(format!("the context breaks before {service}: {broken:?}"));
            }
        }
        let (mut now, mut well) = (start + of.takes_ms * 500, true);
        let here =
            Here { process: &process, context: &context, service, passes_on: of.passes_on, depth: depth + 1, engine };
        let mut latest = now;
        for callee in &of.calls {
            let (end, fine) = self.call(&here, callee, now);
            (well, latest) = (well && fine, latest.max(end));
            now = if of.together { now } else { end };
        }
        now = latest;
        for told in &of.tells {
            self.tell(&here, told, now);
            now += WAY;
        }
        let end = now + of.takes_ms * 500;
        let (service, name) = (service.into(), if kind == Kind::Consumer { "process" } else { "handle" }.into());
        let status = if well { Status::Unset } else { Status::Error };
        let span = placed(&context, parent.as_ref());
        self.end(&process, context.flags, Span { service, name, kind, start_us: start, end_us: end, status, ..span });
        Some((end, well))
    }

    /// A service calls another one: when it goes on, and whether it had an answer.
    fn call(&mut self, here: &Here<'_>, callee: &str, start: i64) -> (i64, bool) {
        let client = self.begin(Some(here.context.clone()), 1.0);
        let header = here.passes_on.then(|| self.module.inject(&client));
        let caller = Some((&client, header.as_deref()));
        let answer = self.called(callee, caller, Kind::Server, start + WAY, here.depth, here.engine);
        let (end, well) = answer.map_or((start + PATIENCE, false), |(end, well)| (end + WAY, well));
        let span = Span {
            service: here.service.into(),
            name: format!("call {callee}"),
            kind: Kind::Client,
            start_us: start,
            end_us: end,
            status: if well { Status::Unset } else { Status::Error },
            ..placed(&client, Some(here.context))
        };
        self.end(here.process, client.flags, span);
        (end, well)
    }

    /// A service leaves a message, and goes on.
    fn tell(&mut self, here: &Here<'_>, whom: &str, start: i64) {
        let producer = self.begin(Some(here.context.clone()), 1.0);
        let header = here.passes_on.then(|| self.module.inject(&producer));
        let caller = Some((&producer, header.as_deref()));
        self.called(whom, caller, Kind::Consumer, start + QUEUED, here.depth, here.engine);
        let span = Span {
            service: here.service.into(),
            name: format!("send {whom}"),
            kind: Kind::Producer,
            start_us: start,
            end_us: start + WAY,
            ..placed(&producer, Some(here.context))
        };
        self.end(here.process, producer.flags, span);
    }

    fn begin(&mut self, parent: Option<Context>, ratio: f64) -> Context {
        let (high, low, span) = (self.id(), self.id(), self.id());
        let call = Call {
            parent,
            new_trace_id: format!("{high:016x}{low:016x}"),
            new_span_id: format!("{span:016x}"),
            ratio,
            parent_based: true,
        };
        self.module.begin(&call)
    }

    /// A span has ended; it is sent later, by the clock of its node, if its trace is sampled.
    fn end(&mut self, process: &Process, flags: u8, span: Span) {
        if flags & 1 == 0 {
            return;
        }
        let at = Instant { nanos: span.end_us * 1000 } + self.of.send_after.0;
        let clock = self.of.clocks.get(&process.node).map_or(0, |ahead| ahead.0.nanos / 1000);
        let (start_us, end_us) = (span.start_us + clock, span.end_us + clock);
        self.waiting.push((at, process.clone(), Span { host: process.node.clone(), start_us, end_us, ..span }));
    }
}
