//! Timelines: a cluster, what is done to it, and what is seen then.
//!
//! A [`Timeline`] is the part of a scenario file that says all this. [`Play`] plays it step by step and says after
//! each what an observer has seen ([`observe`]). The observer looks once a second: what is there at the end of a
//! second is what the second's line says, so that small delays inside of a second don't matter.

pub mod observe;

use crate::agenda::Instant;
use crate::cluster::{self, Config};
use crate::engine::{Clock, Engine, Fault, Lost};
use crate::object::{Key, Kind, Object};
use crate::server::{ChangeKind, DeleteOptions, Error, Patch, Propagation};
use kit_contract::Modules;
use observe::{Invariant, Observer, Subject};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
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
    pub always: Vec<Invariant>,
}

/// One thing that is done to the cluster. Times are durations as Go writes them.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Lets time pass.
    Run(Span),
    /// Creates objects, or changes those that are there.
    Apply(Vec<Value>),
    /// Deletes an object, or several, each with what is to become of its dependents: `{deployment/web: Orphan}`.
    Delete(Deletion),
    /// Changes parts of objects: `{deployment/web: {spec: {paused: true}}}`.
    Patch(BTreeMap<String, Value>),
    /// Asks for numbers of replicas: `{replicaset/web: 5}`.
    Scale(BTreeMap<String, i32>),
    /// A node loses power.
    Crash(String),
    /// A node comes back.
    Restart(String),
    /// A node and the control plane don't hear each other.
    Partition(String),
    /// They do again.
    Heal(String),
    /// The containers of a pod end: `{pod/web#1: 137}`.
    Kill(BTreeMap<String, i32>),
    /// Gives workloads so many thousandths of a CPU to do: `{web: 800}`.
    Load(BTreeMap<String, i64>),
    /// Makes the watches of components slow: `{replicaset-controller: 5s}`.
    Lag(BTreeMap<String, Span>),
    /// Sets clocks ahead, or back: `{control-plane-2: 1h}`.
    Skew(BTreeMap<String, Skew>),
    /// Something uses up its room: `etcd`.
    Fill(String),
    /// It has room again.
    Free(String),
    /// Something forgets its history: `etcd`.
    Compact(String),
    /// Stops a component.
    Pause(String),
    /// Lets it go on.
    Resume(String),
}

/// What is deleted, and how.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum Deletion {
    /// One object, as `kubectl delete` does it: in the background.
    One(String),
    /// Objects and their `propagationPolicy`.
    How(BTreeMap<String, Propagation>),
}

/// A span of time, as Go writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Span(pub Instant);

impl TryFrom<String> for Span {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        match text.parse() {
            Ok(span) if span >= Instant::default() => Ok(Span(span)),
            Ok(_) => Err(format!("time doesn't go back by {text}")),
            Err(e) => Err(e),
        }
    }
}

/// How far a clock is ahead, as Go writes it; negative if it is behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Skew(pub Instant);

impl TryFrom<String> for Skew {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse().map(Skew)
    }
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
        let mut engine = cluster::start(&timeline.cluster, modules, clock);
        // The nodes register before anything else is there.
        engine.run_until(SECOND)?;
        for manifest in &timeline.apply {
            apply(&mut engine, manifest)?;
        }
        let mut rest = Rest { seen: engine.server().end(), writes: 0, most: most_writes(&timeline.cluster) };
        settle(&mut engine, &mut rest)?;
        let zero = engine.now();
        let mut observer = Observer::new(&timeline.observe, &timeline.always);
        let plane = engine.control_plane();
        let lines = observer.look(engine.server().snapshot(), &plane);
        let lines = lines.into_iter().chain(rest.complaint());
        let lines = lines.map(|line| format!("t=0s     {line}")).collect();
        let traced = engine.server().end();
        let decided = engine.log().count();
        let trace = Vec::new();
        let (next, acted) = (0, false);
        let play = Play { timeline, engine, observer, zero, next, trace, traced, acted, rest, decided, plane };
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

    /// The engine.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The time since the clock showed 0.
    pub fn now(&self) -> Instant {
        self.engine.now() - self.zero
    }

    /// Plays the next step: what it was, and what was seen until the next one; none after the last step, and none after
    /// the cluster was stopped because it didn't come to rest.
    pub fn step(&mut self) -> Result<Option<(String, Vec<String>)>, Failure> {
        let step = self.timeline.timeline.get(self.next).filter(|_| self.rest.complaint().is_none());
        let Some(step) = step else { return Ok(None) };
        self.next += 1;
        let title = format!("{:<8} {step}", format!("t={}", self.now()));
        let mut lines = Vec::new();
        match step {
            Step::Run(span) => {
                let until = self.engine.now() + span.0;
                lines = self.watch(until)?;
            }
            step => {
                match act(&mut self.engine, step) {
                    // It may be right to ask, and only the wrong time.
                    Err(error) if error.code >= 500 => lines.push(format!("         refused: {}", error.message)),
                    done => done?,
                }
                self.acted = true;
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
            let whole = (due - self.zero).nanos.div_euclid(SECOND.nanos);
            let end = self.zero + Instant::seconds(whole + 1);
            let label = format!("t={}", Instant::seconds(whole));
            // Up to the end of this second, but not into the next one.
            let stop = Instant { nanos: end.nanos - 1 }.min(until);
            let mut changed = false;
            while self.engine.step(stop)? {
                if self.rest.disturbed(&self.engine) {
                    changed = true;
                    let broken = self.observer.check(self.engine.server().snapshot());
                    lines.extend(broken.into_iter().map(|line| format!("{label:<8} {line}")));
                }
                if let Some(complaint) = self.rest.complaint() {
                    lines.push(format!("{label:<8} {complaint}"));
                    return Ok(lines);
                }
            }
            self.write_trace();
            if self.timeline.observe.contains(&Subject::ControlPlane) {
                let plane = self.engine.control_plane();
                changed |= plane != self.plane;
                self.plane = plane;
            }
            if !changed && !self.acted {
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
        }
        Ok(lines)
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
fn settle(engine: &mut Engine, rest: &mut Rest) -> Result<(), Failure> {
    let begin = engine.now();
    let mut last = begin;
    while engine.now() < begin + RESTLESS && engine.now() < last + QUIET && rest.complaint().is_none() {
        let next = engine.now() + SECOND;
        engine.run_until(next)?;
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

/// Creates an object, or lays the manifest over the one that is there.
pub fn apply(engine: &mut Engine, manifest: &Value) -> Result<(), Error> {
    let wrong = |why: String| Error::bad_request(why);
    let name = manifest["kind"].as_str().ok_or_else(|| wrong("a manifest has a `kind`".into()))?;
    let kind = Kind::named(name).ok_or_else(|| wrong(format!("the cluster has no objects of kind `{name}`")))?;
    let manifest = with_uids(engine, manifest)?;
    let json = manifest.to_string();
    let mut object =
        Object::decode(kind, &json).map_err(|e| wrong(format!("{name} {}: {e}", manifest["metadata"]["name"])))?;
    if kind.namespaced() && object.namespace().is_empty() {
        object.meta_mut().namespace = Some("default".into());
    }
    let key = object.key();
    let answer = engine.request(|server| match server.get(&key) {
        Ok(_) => server.patch(&key, &Patch::Merge(manifest.clone()), false),
        Err(_) => server.create(object),
    });
    answer.map(|_| ())
}

fn delete(engine: &mut Engine, target: &str, propagation: Propagation) -> Result<(), Error> {
    let key = find(engine, target)?;
    let options = DeleteOptions { propagation, ..DeleteOptions::default() };
    engine.request(|server| server.delete(&key, &options)).map(|_| ())
}

/// An object whose owner references may say `uid: deployment/web`, since nobody knows uids in advance.
fn with_uids(engine: &Engine, value: &Value) -> Result<Value, Error> {
    let mut value = value.clone();
    for owner in value["metadata"]["ownerReferences"].as_array_mut().into_iter().flatten() {
        if let Some(target) = owner["uid"].as_str().filter(|uid| uid.contains('/')) {
            owner["uid"] = engine.server().get(&find(engine, target)?)?.object.uid().into();
        }
    }
    Ok(value)
}

fn act(engine: &mut Engine, step: &Step) -> Result<(), Error> {
    let patch = |engine: &mut Engine, target: &str, patch: Value| {
        let key = find(engine, target)?;
        let patch = with_uids(engine, &patch)?;
        engine.request(|server| server.patch(&key, &Patch::Merge(patch), false)).map(|_| ())
    };
    let done = match step {
        Step::Run(_) => Ok(()),
        Step::Apply(manifests) => return manifests.iter().try_for_each(|manifest| apply(engine, manifest)),
        Step::Delete(Deletion::One(target)) => return delete(engine, target, Propagation::Background),
        Step::Delete(Deletion::How(targets)) => {
            return targets.iter().try_for_each(|(target, propagation)| delete(engine, target, *propagation));
        }
        Step::Patch(patches) => return patches.iter().try_for_each(|(target, to)| patch(engine, target, to.clone())),
        Step::Scale(sizes) => {
            let mut sizes = sizes.iter();
            return sizes
                .try_for_each(|(target, replicas)| patch(engine, target, json!({"spec": {"replicas": replicas}})));
        }
        Step::Crash(name) => engine.fault(&Fault::Crash(name.clone())),
        Step::Restart(name) => engine.fault(&Fault::Restart(name.clone())),
        Step::Partition(name) => engine.fault(&Fault::Partition(name.clone())),
        Step::Heal(name) => engine.fault(&Fault::Heal(name.clone())),
        Step::Skew(skews) => {
            skews.iter().try_for_each(|(of, by)| engine.fault(&Fault::Skew { of: of.clone(), by: by.0 }))
        }
        Step::Fill(name) => of_etcd(name).and_then(|()| engine.fault(&Fault::Fill)),
        Step::Free(name) => of_etcd(name).and_then(|()| engine.fault(&Fault::Free)),
        Step::Compact(name) => of_etcd(name).and_then(|()| engine.fault(&Fault::Compact)),
        Step::Kill(pods) => pods.iter().try_for_each(|(target, exit_code)| {
            let key = find(engine, target).map_err(|error| error.message)?;
            engine.fault(&Fault::Kill { pod: format!("{}/{}", key.namespace, key.name), exit_code: *exit_code })
        }),
        Step::Load(loads) => loads.iter().try_for_each(|(workload, milli_cpu)| {
            let workload = format!("default/{workload}");
            engine.fault(&Fault::Load { workload, milli_cpu: *milli_cpu })
        }),
        Step::Lag(lags) => lags.iter().try_for_each(|(component, lag)| engine.set_lag(component, lag.0)),
        Step::Pause(component) => engine.pause(component, true),
        Step::Resume(component) => engine.pause(component, false),
    };
    done.map_err(Error::bad_request)
}

fn of_etcd(name: &str) -> Result<(), String> {
    if name == "etcd" { Ok(()) } else { Err(format!("only `etcd` has room and history, and not `{name}`")) }
}

/// `kind/name` or `kind/namespace/name`; `pod/web#2` is the second oldest pod of the workload `web`.
fn find(engine: &Engine, target: &str) -> Result<Key, Error> {
    find_key(engine, target).map_err(Error::bad_request)
}

fn find_key(engine: &Engine, target: &str) -> Result<Key, String> {
    let parts: Vec<&str> = target.split('/').collect();
    let (kind, namespace, name) = match parts[..] {
        [kind, name] => (kind, "default", name),
        [kind, namespace, name] => (kind, namespace, name),
        _ => return Err(format!("`{target}` names no object; `deployment/web` would")),
    };
    let kind = Kind::named(kind).ok_or_else(|| format!("the cluster has no objects of kind `{kind}`"))?;
    let namespace = if kind.namespaced() { namespace } else { "" };
    let snapshot = engine.server().snapshot();
    let Some((workload, number)) = name.split_once('#') else {
        let key = Key::new(kind, namespace, name);
        return snapshot.get(&key).map(|_| key).ok_or_else(|| format!("there is no {target}"));
    };
    let mut pods: Vec<_> = (snapshot.list_in(kind, namespace))
        .filter(|stored| observe::workload(&stored.object) == workload)
        .map(|stored| (stored.object.meta().creation_timestamp.clone(), stored.object.key()))
        .collect();
    pods.sort();
    let number: usize = number.parse().map_err(|_| format!("`{target}`: `#` is followed by a number from 1 on"))?;
    let pod = number.checked_sub(1).and_then(|index| pods.get(index));
    pod.map(|(_, key)| key.clone()).ok_or_else(|| format!("`{target}`: {workload} has {} pods", pods.len()))
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        fn all<T: std::fmt::Display>(verb: &str, map: &BTreeMap<String, T>, between: &str) -> String {
            let all: Vec<_> = map.iter().map(|(name, value)| format!("{name}{between}{value}")).collect();
            format!("{verb} {}", all.join(", "))
        }
        let text = match self {
            Step::Run(span) => format!("run {}", span.0),
            Step::Apply(manifests) => {
                let name = |m: &Value| {
                    let kind = m["kind"].as_str().unwrap_or_default().to_lowercase();
                    format!("{kind}/{}", m["metadata"]["name"].as_str().unwrap_or_default())
                };
                format!("apply {}", manifests.iter().map(name).collect::<Vec<_>>().join(", "))
            }
            Step::Delete(Deletion::One(target)) => format!("delete {target}"),
            Step::Delete(Deletion::How(targets)) => all(
                "delete",
                &targets.iter().map(|(name, how)| (name.clone(), format!("{how:?}"))).collect(),
                " with propagation ",
            ),
            Step::Patch(patches) => {
                let all: Vec<_> =
                    patches.iter().map(|(target, patch)| format!("{target} {}", kit_contract::flow(patch))).collect();
                format!("patch {}", all.join(", "))
            }
            Step::Scale(sizes) => all("scale", sizes, " to "),
            Step::Crash(node) => format!("crash {node}"),
            Step::Restart(node) => format!("restart {node}"),
            Step::Partition(node) => format!("partition {node}"),
            Step::Heal(node) => format!("heal {node}"),
            Step::Kill(pods) => all("kill", pods, " with exit code "),
            Step::Load(loads) => format!("{}m CPU", all("load", loads, " ")),
            Step::Lag(lags) => {
                let lags = lags.iter().map(|(name, lag)| (name.clone(), lag.0)).collect();
                all("lag", &lags, " ")
            }
            Step::Skew(skews) => {
                let skews = skews.iter().map(|(name, by)| (name.clone(), by.0)).collect();
                all("skew", &skews, " by ")
            }
            Step::Fill(name) => format!("fill {name}"),
            Step::Free(name) => format!("free {name}"),
            Step::Compact(name) => format!("compact {name}"),
            Step::Pause(component) => format!("pause {component}"),
            Step::Resume(component) => format!("resume {component}"),
        };
        f.write_str(&text)
    }
}
