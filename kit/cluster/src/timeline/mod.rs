//! Timelines: a cluster, what is done to it, and what is seen then.
//!
//! A [`Timeline`] is the part of a scenario file that says all this. [`Play`] plays it step by step and says after
//! each what an observer has seen ([`observe`]). The observer looks once a second: what is there at the end of a
//! second is what the second's line says, so that small delays inside of a second don't matter.

mod condition;
mod logs;
mod monitor;
pub mod observe;
mod step;
mod traces;

pub use condition::{Condition, Seen};
pub use logs::{Logging, Shape as LoggingShape, Wanted};
pub use monitor::{Monitor, Monitoring};
pub use step::{Deletion, Skew, Span, Step, act, apply};
pub use traces::{Tracer, Tracing};

use crate::cluster::{self, Config};
use crate::engine::{Clock, Engine, Lost};
use crate::recording::{MarkKind, Recorder};
use kit_apimachinery::object::{Key, Object};
use kit_contract::Modules;
use kit_contract::remote::catch_lost;
use kit_server::{ChangeKind, Error};
use kit_time::agenda::Instant;
use observe::{Observer, Subject};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;

/// The set-up ends when nothing but heartbeats happened for so long.
const QUIET: Instant = Instant::seconds(15);
/// A cluster that doesn't come to rest is not waited for any longer.
const RESTLESS: Instant = Instant::seconds(900);
/// The set-up ends with a heartbeat: time zero is a multiple of its period.
const ROUND: i64 = 10_000_000_000;
const SECOND: Instant = Instant::seconds(1);
/// So many writes, heartbeats left out, and so many for each node, and a timeline ends: controllers that undo each
/// other's work, or their own, would go on for ever. Honest ones need a hundredth of it.
const MOST_WRITES: usize = 20_000;
const MOST_WRITES_PER_NODE: usize = 2_000;

/// A cluster, what is done to it and what is watched.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timeline {
    /// The cluster.
    #[serde(default)]
    pub cluster: Config,
    /// Objects that are there from the start: the clock shows 0 when they have come to rest.
    #[serde(default)]
    pub apply: Vec<Value>,
    /// What happens, in order.
    pub timeline: Vec<Step>,
    /// What is watched.
    pub observe: Vec<Subject>,
    /// What must hold at every instant: `web ready >= 3`.
    #[serde(default)]
    pub always: Vec<Condition>,
    /// What Prometheus looks at, and which alerts it knows.
    #[serde(default)]
    pub monitor: Option<Monitoring>,
    /// Requests through services, of which traces are kept.
    #[serde(default)]
    pub traces: Option<Tracing>,
    /// How logs are rotated, shipped and kept.
    #[serde(default)]
    pub logs: Option<logs::Shape>,
}

/// What went wrong while a timeline was played.
#[derive(Debug)]
pub enum Failure {
    /// A module didn't answer.
    Lost,
    /// The timeline asks for something that makes no sense.
    Wrong(String),
}

impl From<Lost> for Failure {
    fn from(_: Lost) -> Self {
        Failure::Lost
    }
}

impl From<String> for Failure {
    fn from(why: String) -> Self {
        Failure::Wrong(why)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Wrong(error.message)
    }
}

/// A timeline that is being played.
pub struct Play<'a> {
    timeline: &'a Timeline,
    engine: Engine,
    observer: Observer,
    zero: Instant,
    next: usize,
    trace: Vec<Trace>,
    traced: usize,
    /// Whether something was done that the observer has not seen yet.
    acted: bool,
    rest: Rest,
    /// How many decisions were seen.
    decided: u64,
    /// The control plane as it was seen last.
    plane: Vec<(String, String)>,
    recorder: Option<&'a mut Recorder>,
    monitor: Option<Monitor>,
    tracer: Option<Tracer>,
    logging: Option<Logging>,
}

/// One write, as the trace of a timeline has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Trace {
    /// Nanoseconds since the clock showed 0.
    pub nanos: i64,
    /// Who wrote.
    #[serde(serialize_with = "text")]
    pub by: Arc<str>,
    /// What happened.
    pub event: ChangeKind,
    /// The object.
    #[serde(flatten)]
    pub key: Key,
    /// The revision of the write.
    pub revision: i64,
}

fn text<S: serde::Serializer>(text: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text)
}

impl<'a> Play<'a> {
    /// The cluster as it is when the clock shows 0. The answer's lines are what can be seen then.
    pub fn start(timeline: &'a Timeline, modules: &Modules, clock: Clock) -> Result<(Self, Vec<String>), Failure> {
        Play::recorded(timeline, modules, clock, None)
    }

    /// The same with a recorder that sees everything from the cluster's beginning on.
    pub fn recorded(
        timeline: &'a Timeline,
        modules: &Modules,
        clock: Clock,
        mut recorder: Option<&'a mut Recorder>,
    ) -> Result<(Self, Vec<String>), Failure> {
        let mut engine = cluster::start(&timeline.cluster, modules, clock);
        recorder.iter_mut().for_each(|recorder| recorder.look(&engine));
        // The nodes register before anything else is there.
        engine.run_until(SECOND)?;
        for manifest in &timeline.apply {
            apply(&mut engine, manifest)?;
        }
        let mut rest = Rest { seen: engine.server().end(), writes: 0, most: most_writes(&timeline.cluster) };
        settle(&mut engine, &mut rest, recorder.as_deref_mut())?;
        let zero = engine.now();
        let mut observer = Observer::new(&timeline.observe, &timeline.always);
        let plane = observe::beside(&engine, &timeline.observe);
        let lines = observer.look(engine.server().snapshot(), &plane);
        let lines = lines.into_iter().chain(rest.complaint());
        let lines: Vec<String> = lines.map(|line| format!("t=0s     {line}")).collect();
        if let Some(recorder) = &mut recorder {
            recorder.begin(zero);
            recorder.look(&engine);
            lines.iter().for_each(|line| recorder.line(zero, line));
        }
        let traced = engine.server().end();
        let decided = engine.log().count();
        let trace = Vec::new();
        let (next, acted) = (0, false);
        let monitor = match &timeline.monitor {
            Some(of) => Some(catch_lost(|| Monitor::new(of, modules, &mut engine)).ok_or(Failure::Lost)??),
            None => None,
        };
        let tracer = timeline.traces.as_ref().map(|of| Tracer::new(of, modules, zero));
        let play = Play {
            timeline,
            engine,
            observer,
            zero,
            next,
            trace,
            traced,
            acted,
            rest,
            decided,
            plane,
            recorder,
            monitor,
            tracer,
            logging: timeline.logs.as_ref().map(|shape| Logging::new(shape, modules, zero)),
        };
        Ok((play, lines))
    }

    /// All writes since the clock showed 0, heartbeats included.
    pub fn trace(&self) -> &[Trace] {
        &self.trace
    }

    fn write_trace(&mut self) {
        let server = self.engine.server();
        for index in self.traced..server.end() {
            let Ok(Some(change)) = server.change(index) else { continue };
            let nanos = (change.at - self.zero).nanos;
            let (by, key) = (change.by.clone(), change.object.key.clone());
            self.trace.push(Trace { nanos, by, event: change.kind, key, revision: change.revision });
        }
        self.traced = server.end();
    }

    /// What records it, if anything does.
    pub fn recorder(&self) -> Option<&Recorder> {
        self.recorder.as_deref()
    }

    /// The engine.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The Prometheus beside the cluster, if there is one.
    pub fn monitor(&self) -> Option<&Monitor> {
        self.monitor.as_ref()
    }

    /// The logs of the cluster, if they are shipped.
    pub fn logging(&self) -> Option<&Logging> {
        self.logging.as_ref()
    }

    /// The time since the clock showed 0.
    pub fn now(&self) -> Instant {
        self.engine.now() - self.zero
    }

    /// Plays the next step: what it was, and what was seen until the next one; none after the last step, and none after
    /// the cluster was stopped because it didn't come to rest.
    pub fn step(&mut self) -> Result<Option<(String, Vec<String>)>, Failure> {
        let played = self.next_step();
        // What was done until a module was lost says why.
        self.recorder.iter_mut().for_each(|recorder| recorder.look(&self.engine));
        played
    }

    fn next_step(&mut self) -> Result<Option<(String, Vec<String>)>, Failure> {
        let step = self.timeline.timeline.get(self.next).filter(|_| self.rest.complaint().is_none());
        let Some(step) = step else { return Ok(None) };
        self.next += 1;
        let title = format!("{:<8} {step}", format!("t={}", self.now()));
        let now = self.engine.now();
        self.recorder.iter_mut().for_each(|recorder| recorder.line(now, &title));
        let mut lines = Vec::new();
        match step {
            Step::Run(span) => {
                let until = self.engine.now() + span.0;
                lines = self.watch(until)?;
            }
            Step::Ask(_) | Step::Figure(_) => {
                let nobody = || Failure::Wrong(format!("`{step}` needs a timeline with `monitor`"));
                let monitor = self.monitor.as_mut().ok_or_else(nobody)?;
                let said = catch_lost(|| match step {
                    Step::Figure(figure) => Ok(monitor.figure(*figure, &mut self.engine)),
                    Step::Ask(expr) => monitor.ask(expr, &mut self.engine),
                    _ => Ok(Vec::new()),
                });
                let said = said.ok_or(Failure::Lost)??;
                lines.extend(said.into_iter().map(|line| format!("         {line}")));
            }
            Step::Search(wanted) => {
                let nobody = || Failure::Wrong("`search` needs a timeline with `logs`".into());
                let logging = self.logging.as_ref().ok_or_else(nobody)?;
                lines.extend(logging.search(wanted).into_iter().map(|line| format!("         {line}")));
            }
            Step::Silence(name) | Step::Answer(name)
                if self
                    .logging
                    .as_mut()
                    .is_some_and(|logging| logging.fault(name, matches!(step, Step::Answer(_)))) => {}
            step => {
                match step::act(&mut self.engine, step) {
                    // It may be right to ask, and only the wrong time.
                    Err(error) if error.code >= 500 => lines.push(format!("         refused: {}", error.message)),
                    done => done?,
                }
                self.acted = true;
                self.recorder.iter_mut().for_each(|recorder| lines.iter().for_each(|line| recorder.line(now, line)));
            }
        }
        self.write_trace();
        Ok(Some((title, lines)))
    }

    /// Runs until `until`, looking at the end of each second in which something happened.
    fn watch(&mut self, until: Instant) -> Result<Vec<String>, Failure> {
        let mut lines = Vec::new();
        self.rest.seen = self.engine.server().end();
        while self.engine.now() < until {
            let due = self.engine.due().unwrap_or(until).min(until);
            let due = self.monitor.as_ref().map_or(due, |monitor| due.min(monitor.due().max(self.engine.now())));
            let due = self.tracer.as_ref().map_or(due, |tracer| due.min(tracer.due().max(self.engine.now())));
            let due = self.logging.as_ref().map_or(due, |logging| due.min(logging.due().max(self.engine.now())));
            let whole = (due - self.zero).nanos.div_euclid(SECOND.nanos);
            let end = self.zero + Instant::seconds(whole + 1);
            let label = format!("t={}", Instant::seconds(whole));
            // Up to the end of this second, but not into the next one.
            let stop = Instant { nanos: end.nanos - 1 }.min(until);
            let mut changed = false;
            let told = lines.len();
            while self.engine.step(stop)? {
                if self.rest.disturbed(&self.engine) {
                    changed = true;
                    let broken = self.observer.check(&self.engine);
                    if let Some(recorder) = self.recorder.as_mut().filter(|_| !broken.is_empty()) {
                        recorder.look(&self.engine);
                        broken.iter().for_each(|line| recorder.mark(MarkKind::Broken, line));
                    }
                    lines.extend(broken.into_iter().map(|line| format!("{label:<8} {line}")));
                }
                if let Some(complaint) = self.rest.complaint() {
                    lines.push(format!("{label:<8} {complaint}"));
                    if let Some(recorder) = &mut self.recorder {
                        recorder.look(&self.engine);
                        recorder.mark(MarkKind::Broken, complaint);
                    }
                    self.transcribe(whole, &lines[told..]);
                    return Ok(lines);
                }
            }
            if let Some(monitor) = self.monitor.as_mut().filter(|monitor| monitor.due() <= self.engine.now()) {
                let alerts = catch_lost(|| monitor.look(&mut self.engine)).ok_or(Failure::Lost)?;
                lines.extend(alerts.into_iter().map(|line| format!("{label:<8} {line}")));
            }
            if let Some(tracer) = self.tracer.as_mut().filter(|tracer| tracer.due() <= self.engine.now()) {
                let traces = catch_lost(|| tracer.look(&self.engine)).ok_or(Failure::Lost)?;
                lines.extend(traces.into_iter().map(|line| format!("{label:<8} {line}")));
            }
            if let Some(logging) = self.logging.as_mut().filter(|logging| logging.due() <= self.engine.now()) {
                let told = catch_lost(|| logging.look(&mut self.engine)).ok_or(Failure::Lost)?;
                lines.extend(told.into_iter().map(|line| format!("{label:<8} {line}")));
            }
            self.write_trace();
            self.recorder.iter_mut().for_each(|recorder| recorder.look(&self.engine));
            let plane = observe::beside(&self.engine, &self.timeline.observe);
            changed |= plane != self.plane;
            self.plane = plane;
            if !changed && !self.acted {
                self.transcribe(whole, &lines[told..]);
                continue;
            }
            self.acted = false;
            let snapshot = self.engine.server().snapshot();
            if self.timeline.observe.contains(&Subject::Decisions) {
                let decisions = observe::decisions(self.engine.log(), self.decided, snapshot);
                lines.extend(decisions.into_iter().map(|line| format!("{label:<8} {line}")));
                self.decided = self.engine.log().count();
            }
            let changed = self.observer.look(snapshot, &self.plane);
            lines.extend(changed.into_iter().map(|line| format!("{label:<8} {line}")));
            self.transcribe(whole, &lines[told..]);
        }
        Ok(lines)
    }

    /// Adds the lines of one second to the recording.
    fn transcribe(&mut self, second: i64, lines: &[String]) {
        let at = self.zero + Instant::seconds(second);
        self.recorder.iter_mut().for_each(|recorder| lines.iter().for_each(|line| recorder.line(at, line)));
    }
}

/// Watches the writes, heartbeats left out.
struct Rest {
    /// Where in the log it looks next.
    seen: usize,
    writes: usize,
    most: usize,
}

impl Rest {
    /// Whether anything was written since the last look.
    fn disturbed(&mut self, engine: &Engine) -> bool {
        let server = engine.server();
        let new = std::mem::replace(&mut self.seen, server.end())..server.end();
        let changes = new.filter_map(|index| server.change(index).ok().flatten());
        let writes = changes.filter(|change| !matches!(change.object.object, Object::Lease(_))).count();
        self.writes += writes;
        writes > 0
    }

    /// What is wrong if there were too many.
    fn complaint(&self) -> Option<String> {
        let most = self.most;
        (self.writes > most).then(|| format!("stopped: the cluster doesn't come to rest, after {most} writes"))
    }
}

fn most_writes(cluster: &Config) -> usize {
    let nodes = match &cluster.nodes {
        cluster::Nodes::Count(count) => *count,
        cluster::Nodes::Shapes(shapes) => shapes.len(),
    };
    MOST_WRITES + MOST_WRITES_PER_NODE * nodes
}

/// Runs until the cluster has come to rest, and on to the next heartbeat.
fn settle(engine: &mut Engine, rest: &mut Rest, mut recorder: Option<&mut Recorder>) -> Result<(), Failure> {
    let begin = engine.now();
    let mut last = begin;
    while engine.now() < begin + RESTLESS && engine.now() < last + QUIET && rest.complaint().is_none() {
        let next = engine.now() + SECOND;
        engine.run_until(next)?;
        recorder.iter_mut().for_each(|recorder| recorder.look(engine));
        if rest.disturbed(engine) {
            last = engine.now();
        }
    }
    if rest.complaint().is_some() {
        return Ok(());
    }
    let now = engine.now().nanos;
    engine.run_until(Instant { nanos: (now / ROUND + 1) * ROUND })?;
    Ok(())
}
