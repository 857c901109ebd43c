//! The steps of a timeline: what they are called in a scenario, and how they are done.

use super::logs::Wanted;
use super::observe;
use crate::engine::Engine;
use crate::pipeline::Pipeline;
use crate::recording::MarkKind;
use kit_api::core::Pod;
use kit_api::pod;
use kit_apimachinery::object::{Key, Kind, Object};
use kit_client::fault::{CloudFault, Conduct, Fault, NetworkFault, SourceFault, VolumeCall};
use kit_contract::observability::metrics::Figure;
use kit_server::{DeleteOptions, Error, Patch, Propagation};
use kit_time::agenda::Instant;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// One thing that is done to the cluster. Times are durations as Go writes them.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Lets time pass.
    Run(Span),
    /// Asks Prometheus for the value of an expression now.
    Ask(String),
    /// Searches the logs that were shipped: `{where: {stream: stderr}, words: timeout}`.
    Search(Wanted),
    /// Asks for one of the key figures now, as the module of `observability/metrics` reckons it: `Throttled`.
    Figure(Figure),
    /// Creates objects, or changes those that are there.
    Apply(Vec<Value>),
    /// Deletes an object, or several, each with what is to become of its dependents: `{deployment/web: Orphan}`.
    Delete(Deletion),
    /// Changes parts of objects: `{deployment/web: {spec: {paused: true}}}`.
    Patch(BTreeMap<String, Value>),
    /// Asks for numbers of replicas: `{replicaset/web: 5}`.
    Scale(BTreeMap<String, i32>),
    /// Undoes rollouts, as `kubectl rollout undo` does: `{deployment/web: 2}`, or 0 for the previous revision.
    Undo(BTreeMap<String, i64>),
    /// A node loses power.
    Crash(String),
    /// A node is shut down in order; 30 seconds later at the latest it has no power any more.
    ShutDown(String),
    /// A node comes back.
    Restart(String),
    /// A node and the control plane don't hear each other.
    Partition(String),
    /// They do again.
    Heal(String),
    /// The containers of a pod end: `{pod/web#1: 137}`.
    Kill(BTreeMap<String, i32>),
    /// Gives workloads so many thousandths of a CPU to do: `{web: 800}`, or `{shop/web: 800}` in another namespace.
    Load(BTreeMap<String, i64>),
    /// Puts so many jobs more into queues of a broker outside of the cluster: `{orders: 500}`.
    Queue(BTreeMap<String, i64>),
    /// Sends so many requests in a second to workloads, shared by their ready pods: `{web: 300}`.
    Requests(BTreeMap<String, i64>),
    /// Something outside of the cluster doesn't answer: `broker`.
    Silence(String),
    /// It does again.
    Answer(String),
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
    /// Something goes wrong with the cloud, or is right again: `failing`, `{slow: 60s}`, `{throttling: 20}`, `{quota: 1}`,
    /// `{delete: node-3}`, `fine`.
    Cloud(CloudStep),
    /// What drivers of volumes do when they are called: `{attach: hangs}`, `{stage: fails}`, `{publish: works}`.
    Csi(BTreeMap<VolumeCall, Conduct>),
    /// The agent of the network plugin on a node stops; what it has written stays.
    StopAgent(String),
    /// It runs again.
    StartAgent(String),
    /// The links of nodes carry no packet that is longer than so many bytes, and tell nobody: `{node-2: 1400}`.
    Narrow(BTreeMap<String, u32>),
    /// The link of a node carries what its interface sends.
    Widen(String),
    /// There is no room for more connections on a node (`nf_conntrack_max`).
    Flood(String),
    /// There is room again.
    Ebb(String),
    /// Cordons a node and evicts its pods once, as `kubectl drain` does; pods whose budget says no stay, to be asked again.
    Drain(String),
    /// Stops a component.
    Pause(String),
    /// Lets it go on.
    Resume(String),
}

/// What goes wrong with the cloud.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CloudStep {
    /// Each call takes so much longer.
    Slow(Span),
    /// Each call fails.
    Failing,
    /// Calls about load balancers are refused, to be made again after so many seconds.
    Throttling(u32),
    /// There is room for so many load balancers.
    Quota(usize),
    /// The machine of a node is deleted.
    Delete(String),
    /// All is well again.
    Fine,
}

impl std::fmt::Display for CloudStep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            CloudStep::Slow(by) => write!(f, "slow by {}", by.0),
            CloudStep::Failing => f.write_str("failing"),
            CloudStep::Throttling(seconds) => write!(f, "throttling for {seconds}s"),
            CloudStep::Quota(quota) => write!(f, "with room for {quota} load balancers"),
            CloudStep::Delete(node) => write!(f, "deletes {node}"),
            CloudStep::Fine => f.write_str("fine"),
        }
    }
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

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        fn all<T: std::fmt::Display>(verb: &str, map: &BTreeMap<String, T>, between: &str) -> String {
            let all: Vec<_> = map.iter().map(|(name, value)| format!("{name}{between}{value}")).collect();
            format!("{verb} {}", all.join(", "))
        }
        let text = match self {
            Step::Run(span) => format!("run {}", span.0),
            Step::Ask(expr) => format!("ask {expr}"),
            Step::Search(wanted) => format!("search {wanted}"),
            Step::Figure(figure) => format!("figure {figure:?}"),
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
            Step::Undo(targets) => {
                let to = |to: &i64| if *to == 0 { "the previous revision".into() } else { format!("revision {to}") };
                all("undo", &targets.iter().map(|(target, revision)| (target.clone(), to(revision))).collect(), " to ")
            }
            Step::Crash(node) => format!("crash {node}"),
            Step::ShutDown(node) => format!("shut_down {node}"),
            Step::Restart(node) => format!("restart {node}"),
            Step::Partition(node) => format!("partition {node}"),
            Step::Heal(node) => format!("heal {node}"),
            Step::Kill(pods) => all("kill", pods, " with exit code "),
            Step::Load(loads) => format!("{}m CPU", all("load", loads, " ")),
            Step::Queue(queues) => all("queue", queues, " gets jobs: "),
            Step::Requests(requests) => format!("{} a second", all("requests for", requests, ": ")),
            Step::Silence(name) => format!("silence {name}"),
            Step::Answer(name) => format!("answer {name}"),
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
            Step::Cloud(step) => format!("cloud {step}"),
            Step::Csi(calls) => {
                all("csi", &calls.iter().map(|(call, conduct)| (call.to_string(), conduct)).collect(), " ")
            }
            Step::StopAgent(node) => format!("stop_agent {node}"),
            Step::StartAgent(node) => format!("start_agent {node}"),
            Step::Narrow(links) => format!("{} bytes", all("narrow", links, " to ")),
            Step::Widen(node) => format!("widen {node}"),
            Step::Flood(node) => format!("flood {node}"),
            Step::Ebb(node) => format!("ebb {node}"),
            Step::Drain(node) => format!("drain {node}"),
            Step::Pause(component) => format!("pause {component}"),
            Step::Resume(component) => format!("resume {component}"),
        };
        f.write_str(&text)
    }
}

impl Step {
    /// What sort of thing it is in a recording.
    fn sort(&self) -> MarkKind {
        match self {
            Step::Crash(_) | Step::Partition(_) | Step::Kill(_) | Step::Fill(_) | Step::Compact(_) => MarkKind::Fault,
            Step::Lag(_) | Step::Skew(_) | Step::Pause(_) => MarkKind::Fault,
            Step::StopAgent(_) | Step::Narrow(_) | Step::Flood(_) | Step::Silence(_) => MarkKind::Fault,
            Step::StartAgent(_) | Step::Widen(_) | Step::Ebb(_) | Step::Answer(_) => MarkKind::Heal,
            Step::Cloud(CloudStep::Fine) => MarkKind::Heal,
            Step::Cloud(_) => MarkKind::Fault,
            Step::Csi(calls) if calls.values().all(|conduct| *conduct == Conduct::Works) => MarkKind::Heal,
            Step::Csi(_) => MarkKind::Fault,
            Step::Restart(_) | Step::Heal(_) | Step::Free(_) | Step::Resume(_) => MarkKind::Heal,
            Step::Run(_) | Step::Ask(_) | Step::Search(_) | Step::Figure(_) => MarkKind::Step,
            Step::Apply(_) | Step::Delete(_) | Step::Patch(_) => MarkKind::Step,
            Step::Scale(_) | Step::Undo(_) | Step::Load(_) | Step::Drain(_) | Step::ShutDown(_) => MarkKind::Step,
            Step::Queue(_) | Step::Requests(_) => MarkKind::Step,
        }
    }
}

/// The objects that a step names, as far as they are there.
fn about(engine: &Engine, step: &Step) -> Vec<Key> {
    let targets: Vec<String> = match step {
        Step::Apply(manifests) => {
            let target = |manifest: &Value| {
                let (kind, meta) = (manifest["kind"].as_str()?, &manifest["metadata"]);
                let namespace = meta["namespace"].as_str().unwrap_or("default");
                Some(format!("{kind}/{namespace}/{}", meta["name"].as_str()?))
            };
            manifests.iter().filter_map(target).collect()
        }
        Step::Delete(Deletion::One(target)) => vec![target.clone()],
        Step::Delete(Deletion::How(targets)) => targets.keys().cloned().collect(),
        Step::Patch(targets) => targets.keys().cloned().collect(),
        Step::Scale(targets) => targets.keys().cloned().collect(),
        Step::Undo(targets) => targets.keys().cloned().collect(),
        Step::Kill(targets) => targets.keys().cloned().collect(),
        Step::Load(targets) | Step::Requests(targets) => {
            targets.keys().map(|name| format!("deployment/{name}")).collect()
        }
        Step::Skew(hosts) => hosts.keys().map(|host| format!("node/{host}")).collect(),
        Step::Crash(host) | Step::Restart(host) | Step::Partition(host) | Step::Heal(host) | Step::Drain(host) => {
            vec![format!("node/{host}")]
        }
        Step::ShutDown(node) => vec![format!("node/{node}")],
        Step::StopAgent(node) | Step::StartAgent(node) | Step::Widen(node) | Step::Flood(node) | Step::Ebb(node) => {
            vec![format!("node/{node}")]
        }
        Step::Narrow(links) => links.keys().map(|node| format!("node/{node}")).collect(),
        Step::Cloud(CloudStep::Delete(node)) => vec![format!("node/{node}")],
        Step::Cloud(_) | Step::Csi(_) => Vec::new(),
        Step::Run(_) | Step::Ask(_) | Step::Search(_) | Step::Figure(_) => Vec::new(),
        Step::Lag(_) | Step::Pause(_) | Step::Resume(_) => Vec::new(),
        Step::Fill(_) | Step::Free(_) | Step::Compact(_) => Vec::new(),
        Step::Queue(_) | Step::Silence(_) | Step::Answer(_) => Vec::new(),
    };
    targets.iter().filter_map(|target| find_key(engine, target).ok()).collect()
}

/// Creates an object, or lays the manifest over the one that is there.
pub fn apply(engine: &mut Engine, manifest: &Value) -> Result<(), Error> {
    let wrong = |why: String| Error::bad_request(why);
    let name = manifest["kind"].as_str().ok_or_else(|| wrong("a manifest has a `kind`".into()))?;
    let custom = || engine.server().kind_of(manifest["apiVersion"].as_str().unwrap_or_default(), name);
    let kind = Kind::named(name)
        .or_else(custom)
        .ok_or_else(|| wrong(format!("the cluster has no objects of kind `{name}`")))?;
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

/// Refusals of budgets are no errors: 429, and 500 for a pod that has two.
fn drain(engine: &mut Engine, node: &str) -> Result<(), Error> {
    let key = find(engine, &format!("node/{node}"))?;
    let cordon = Patch::Merge(json!({"spec": {"unschedulable": true}}));
    engine.request(|server| server.patch(&key, &cordon, false))?;
    let pods = engine.server().snapshot().list(Kind::Pod);
    let here = pods.filter(|stored| stored.get::<Pod>().and_then(pod::node_name) == Some(node));
    let keys: Vec<Key> = here.map(|stored| stored.key.clone()).collect();
    for key in keys {
        let options = DeleteOptions::default();
        match engine.request(|server| server.evict_pod(&key.namespace, &key.name, &options)) {
            Err(error) if !matches!(error.code, 404 | 429 | 500) => return Err(error),
            _ => {}
        }
    }
    Ok(())
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

/// Does what a step says, and notes it; time it doesn't let pass.
///
/// # Errors
///
/// If the cluster has nothing of that name, or the API server refuses.
pub fn act(engine: &mut Engine, step: &Step) -> Result<(), Error> {
    // What it is about may be gone afterwards, or only be there then.
    let mut about = self::about(engine, step);
    let done = carry_out(engine, step);
    about.extend(self::about(engine, step));
    about.sort();
    about.dedup();
    match &done {
        Ok(()) => engine.note(step.sort(), step.to_string(), about),
        // It was right to ask, and only the wrong time.
        Err(error) if error.code >= 500 => {
            engine.note(step.sort(), step.to_string(), about.clone());
            engine.note(MarkKind::Note, format!("refused: {}", error.message), about);
        }
        Err(_) => {}
    }
    done
}

fn carry_out(engine: &mut Engine, step: &Step) -> Result<(), Error> {
    let patch = |engine: &mut Engine, target: &str, patch: Value| {
        let key = find(engine, target)?;
        let patch = with_uids(engine, &patch)?;
        engine.request(|server| server.patch(&key, &Patch::Merge(patch), false)).map(|_| ())
    };
    let done = match step {
        // Whoever plays the steps does these.
        Step::Run(_) | Step::Ask(_) | Step::Search(_) | Step::Figure(_) => Ok(()),
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
        Step::Undo(targets) => {
            return targets.iter().try_for_each(|(target, to)| {
                let key = find(engine, target)?;
                let undone = engine.with(|pipeline: &mut Pipeline, world| pipeline.undo(&key, *to, world));
                let nobody = "nobody undoes anything here; `cluster` has somebody with `pipeline: {}`";
                // Whether it can be undone is what the module says, and no mistake in the scenario.
                undone.ok_or_else(|| Error::bad_request(nobody))?.map_err(|error| Error { code: 500, ..error })
            });
        }
        Step::Crash(name) => engine.fault(&Fault::Crash(name.clone())),
        Step::ShutDown(name) => engine.fault(&Fault::ShutDown(name.clone())),
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
            let workload = loaded(engine, workload)?;
            engine.fault(&Fault::Load { workload, milli_cpu: *milli_cpu })
        }),
        Step::Requests(requests) => requests.iter().try_for_each(|(workload, per_second)| {
            let workload = loaded(engine, workload)?;
            outside(engine, SourceFault::Requests { workload, per_second: *per_second })
        }),
        Step::Queue(queues) => {
            let mut queues = queues.iter();
            queues.try_for_each(|(name, jobs)| outside(engine, SourceFault::Queue { name: name.clone(), jobs: *jobs }))
        }
        Step::Silence(name) => of_broker(name).and_then(|()| outside(engine, SourceFault::Silence)),
        Step::Answer(name) => of_broker(name).and_then(|()| outside(engine, SourceFault::Answer)),
        Step::Lag(lags) => lags.iter().try_for_each(|(component, lag)| engine.set_lag(component, lag.0)),
        Step::Cloud(step) => cloud(engine, step),
        Step::Csi(calls) => calls.iter().try_for_each(|(call, conduct)| engine.fault(&Fault::Volumes(*call, *conduct))),
        Step::StopAgent(node) => network(engine, NetworkFault::StopAgent(node.clone())),
        Step::StartAgent(node) => network(engine, NetworkFault::StartAgent(node.clone())),
        Step::Narrow(links) => links
            .iter()
            .try_for_each(|(node, mtu)| network(engine, NetworkFault::Narrow { node: node.clone(), mtu: *mtu })),
        Step::Widen(node) => network(engine, NetworkFault::Widen(node.clone())),
        Step::Flood(node) => network(engine, NetworkFault::Flood(node.clone())),
        Step::Ebb(node) => network(engine, NetworkFault::Ebb(node.clone())),
        Step::Drain(node) => return drain(engine, node),
        Step::Pause(component) => engine.pause(component, true),
        Step::Resume(component) => engine.pause(component, false),
    };
    done.map_err(Error::bad_request)
}

fn cloud(engine: &mut Engine, step: &CloudStep) -> Result<(), String> {
    let fault = match step {
        CloudStep::Slow(by) => CloudFault::Slow(by.0),
        CloudStep::Failing => CloudFault::Failing,
        CloudStep::Throttling(seconds) => CloudFault::Throttling(*seconds),
        CloudStep::Quota(quota) => CloudFault::Quota(*quota),
        CloudStep::Fine => CloudFault::Fine,
        CloudStep::Delete(node) => {
            // What runs on a machine goes with it.
            engine.fault(&Fault::Crash(node.clone()))?;
            CloudFault::Delete(node.clone())
        }
    };
    let known = engine.fault(&Fault::Cloud(fault));
    known.map_err(|_| "this cluster has no cloud; `cluster` has one with `cloud: {}`".to_string())
}

/// `namespace/name` of a workload that can get something to do.
fn loaded(engine: &Engine, workload: &str) -> Result<String, String> {
    let (namespace, name) = workload.split_once('/').unwrap_or(("default", workload));
    let snapshot = engine.server().snapshot();
    let runs = snapshot.list_in(Kind::Pod, namespace).any(|stored| observe::workload(&stored.object) == name);
    // A Deployment may have no pods yet, or none any more.
    if !runs && snapshot.get(&Key::new(Kind::Deployment, namespace, name)).is_none() {
        return Err(format!("nothing is named {name} in {namespace} that could get load"));
    }
    Ok(format!("{namespace}/{name}"))
}

fn outside(engine: &mut Engine, fault: SourceFault) -> Result<(), String> {
    let known = engine.fault(&Fault::Source(fault));
    known.map_err(|_| "nobody measures this here; `cluster` has somebody with `add_ons: [keda]`".to_string())
}

fn of_broker(name: &str) -> Result<(), String> {
    if name == "broker" { Ok(()) } else { Err(format!("only `broker` falls silent, and not `{name}`")) }
}

fn network(engine: &mut Engine, fault: NetworkFault) -> Result<(), String> {
    if engine.network().is_none() {
        return Err("this cluster simulates no network; `cluster` has one with `network: {}`".into());
    }
    engine.fault(&Fault::Network(fault))
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
    let custom = || engine.server().custom_kinds().find(|there| there.name().eq_ignore_ascii_case(kind));
    let kind =
        Kind::named(kind).or_else(custom).ok_or_else(|| format!("the cluster has no objects of kind `{kind}`"))?;
    let namespace = if kind.namespaced() { namespace } else { "" };
    let snapshot = engine.server().snapshot();
    let Some((workload, number)) = name.split_once('#') else {
        let key = Key::new(kind, namespace, name);
        return snapshot.get(&key).map(|_| key).ok_or_else(|| format!("there is no {target}"));
    };
    let mut pods: Vec<_> = (snapshot.list_in(kind, namespace))
        .filter(|stored| observe::workload(&stored.object) == workload)
        .map(|stored| (stored.object.meta().creation_timestamp.clone(), stored.key.clone()))
        .collect();
    pods.sort();
    let number: usize = number.parse().map_err(|_| format!("`{target}`: `#` is followed by a number from 1 on"))?;
    let pod = number.checked_sub(1).and_then(|index| pods.get(index));
    pod.map(|(_, key)| key.clone()).ok_or_else(|| format!("`{target}`: {workload} has {} pods", pods.len()))
}
