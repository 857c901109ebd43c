//! Whole lives of DaemonSets, held against the DaemonSet controller of the cluster.
//!
//! A case is one DaemonSet over many ticks. The DaemonSet and its revisions live in an API server; in each tick the user may
//! change something, nodes and pods become what the recording has, and the controller looks once.

use super::Check;
use super::pure::{compare, field};
use super::stage::Stage;
use kit_api::apps::{ControllerRevision, DaemonSet};
use kit_api::core::{Node, Pod};
use kit_api::jiff::{SignedDuration, Timestamp};
use kit_apimachinery::object::{AsKind, Key, Kind, Object};
use kit_controllers::daemon_set::pods::target_node;
use kit_controllers::daemon_set::sync::{Memory, Seen, sync};
use kit_server::{Change, ChangeKind, DeleteOptions, Patch, Propagation};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The check for one table by its name, if it is covered.
pub fn check(table: &str) -> Option<Check> {
    (table == "daemonset_sequences").then_some(life as Check)
}

const HASH: &str = "controller-revision-hash";

struct Life<'c> {
    case: &'c Value,
    stage: Stage,
    memory: Memory,
    /// How many pods each node got; the real suffixes are random.
    made: BTreeMap<String, usize>,
    /// What the user wrote onto nodes. The recording shows labels as they were at its end.
    labels: BTreeMap<String, BTreeMap<String, String>>,
}

fn life(case: &Value) -> Result<(), String> {
    let stage = Stage::at(Timestamp::UNIX_EPOCH);
    let (made, labels) = (BTreeMap::new(), BTreeMap::new());
    let mut life = Life { case, stage, memory: Memory::default(), made, labels };
    let mut spec = case["spec"].clone();
    spec.as_object_mut().map(|fields| fields.shift_remove("podSpec"));
    spec["selector"] = json!({"matchLabels": {"app": "agent"}});
    spec["template"] = life.template("v1");
    life.create(Kind::DaemonSet, json!({"metadata": {"name": "agent", "namespace": "default"}, "spec": spec}))?;
    for tick in case["ticks"].as_array().into_iter().flatten() {
        let now: i64 = field(tick, "t")?;
        life.stage.enter(SignedDuration::from_secs(now));
        life.tick(tick).map_err(|why| format!("{} t={now}: {why}", case["name"]))?;
    }
    Ok(())
}

fn time(seconds: &Value) -> Value {
    json!(seconds.as_i64().and_then(|seconds| Timestamp::from_second(seconds).ok()))
}

fn texts(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

/// The template of a revision: its image.
fn version(revision: &ControllerRevision) -> String {
    let image = json!(revision.data).pointer("/spec/template/spec/containers/0/image").cloned();
    image.and_then(|image| image.as_str().map(String::from)).unwrap_or_default()
}

fn node(seen: &Value, labels: Option<&BTreeMap<String, String>>) -> Result<Node, String> {
    let taints = texts(&seen["taints"]).into_iter().map(|taint| {
        let (key, effect) = taint.rsplit_once(':').unwrap_or((taint, ""));
        let (key, value) = key.split_once('=').unwrap_or((key, ""));
        json!({"key": key, "value": value, "effect": effect})
    });
    let taints: Vec<Value> = taints.collect();
    let node = json!({"metadata": {"name": seen["name"], "labels": labels},
        "spec": {"taints": taints, "unschedulable": seen["unschedulable"]}});
    serde_json::from_value(node).map_err(|e| e.to_string())
}

impl Life<'_> {
    fn template(&self, version: &str) -> Value {
        let mut spec = self.case["spec"].get("podSpec").cloned().unwrap_or(json!({}));
        spec["containers"] = json!([{"name": "agent", "image": version}]);
        json!({"metadata": {"labels": {"app": "agent"}}, "spec": spec})
    }

    fn create(&mut self, kind: Kind, manifest: Value) -> Result<(), String> {
        let object = Object::from_value(kind, manifest).map_err(|e| e.to_string())?;
        self.stage.server.create(object).map(drop).map_err(|e| e.message)
    }

    fn set(&self) -> Result<DaemonSet, String> {
        self.stage.server.fetch("default", "agent").map_err(|e| e.message)
    }

    fn revisions(&self) -> Vec<ControllerRevision> {
        let all = self.stage.server.snapshot().list(Kind::ControllerRevision);
        all.filter_map(|stored| stored.get().cloned()).collect()
    }

    /// What the user does to the DaemonSet, and to labels of nodes. The rest shows in nodes and pods.
    fn change(&mut self, change: &str) -> Result<(), String> {
        let key = Key::new(Kind::DaemonSet, "default", "agent");
        let words: Vec<&str> = change.split(' ').collect();
        let number = |text: &str| text.parse::<i64>().map_or(json!(text), Value::from);
        let spec = match words.as_slice() {
            ["template", version] => json!({"template": self.template(version)}),
            ["strategy", "OnDelete", ..] => json!({"updateStrategy": {"type": "OnDelete", "rollingUpdate": null}}),
            ["strategy", kind, unavailable, surge] => json!({"updateStrategy": {"type": kind,
                "rollingUpdate": {"maxUnavailable": number(unavailable), "maxSurge": number(surge)}}}),
            ["delete-daemonset"] => {
                let options = DeleteOptions { propagation: Propagation::Foreground, ..DeleteOptions::default() };
                return self.stage.server.delete(&key, &options).map(drop).map_err(|e| e.message);
            }
            ["label", node, label] => {
                let (key, value) = label.split_once('=').unwrap_or((label, ""));
                self.labels.entry(node.to_string()).or_default().insert(key.into(), value.into());
                return Ok(());
            }
            ["unlabel", node, key] => {
                self.labels.entry(node.to_string()).or_default().remove(*key);
                return Ok(());
            }
            ["remove-node", node] => {
                self.labels.remove(*node);
                return Ok(());
            }
            _ => return Ok(()),
        };
        self.stage.server.patch(&key, &Patch::Merge(json!({ "spec": spec })), false).map(drop).map_err(|e| e.message)
    }

    /// A pod as the recording has it. In the API server is one of its name.
    fn pod(&mut self, seen: &Value) -> Result<Pod, String> {
        let name: String = field(seen, "name")?;
        let key = Key::new(Kind::Pod, "default", &name);
        if self.stage.server.get(&key).is_err() {
            let version = seen["template"].as_str().unwrap_or_default();
            let revisions = self.revisions();
            let hash = revisions.iter().find(|revision| self::version(revision) == version);
            let hash = hash.and_then(|revision| revision.metadata.labels.as_ref()?.get(HASH).cloned());
            let owners = (seen["owner"] != "none").then_some([self.set()?.into_object().controller_ref()]);
            let mut labels = json!({"app": "agent"});
            hash.into_iter().for_each(|hash| labels[HASH] = hash.into());
            let spec = json!({"containers": [{"name": "agent", "image": "agent"}], "nodeName": seen["node"]});
            let metadata = json!({"name": name, "namespace": "default", "labels": labels, "ownerReferences": owners});
            self.create(Kind::Pod, json!({ "metadata": metadata, "spec": spec }))?;
        }
        let mut pod = self.stage.server.get(&key).map_err(|e| e.message)?.to_value();
        pod["metadata"]["creationTimestamp"] = time(&seen["created"]);
        pod["metadata"]["deletionTimestamp"] = if seen["deleting"] == true { time(&json!(0)) } else { Value::Null };
        if seen["scheduled"] == false {
            let term = json!({"matchFields": [{"key": "metadata.name", "operator": "In", "values": [seen["node"]]}]});
            let required = json!({"nodeSelectorTerms": [term]});
            pod["spec"]["nodeName"] = Value::Null;
            pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"] = required;
        }
        let ready = json!({"type": "Ready", "status": "True", "lastTransitionTime": time(&seen["readySince"])});
        let conditions = if seen["readySince"].is_null() { json!([]) } else { json!([ready]) };
        pod["status"] = json!({"phase": seen["phase"], "conditions": conditions});
        serde_json::from_value(pod).map_err(|e| e.to_string())
    }

    fn pods(&mut self, tick: &Value) -> Result<Vec<Pod>, String> {
        let seen: Vec<&Value> = tick["pods"].as_array().into_iter().flatten().collect();
        let there: Vec<Key> = self.stage.server.snapshot().list(Kind::Pod).map(|pod| pod.key.clone()).collect();
        for key in there.iter().filter(|key| !seen.iter().any(|pod| pod["name"] == *key.name)) {
            let now = DeleteOptions { grace_period_seconds: Some(0), ..DeleteOptions::default() };
            self.stage.server.delete(key, &now).map_err(|e| e.message)?;
        }
        seen.into_iter().map(|pod| self.pod(pod)).collect()
    }

    fn tick(&mut self, tick: &Value) -> Result<(), String> {
        for change in texts(&tick["user"]) {
            self.change(change)?;
        }
        let nodes = tick["nodes"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|seen| node(seen, seen["name"].as_str().and_then(|name| self.labels.get(name))));
        let nodes = nodes.collect::<Result<Vec<_>, _>>()?;
        let (pods, revisions, mut set) = (self.pods(tick)?, self.revisions(), self.set()?);
        // The recording counts templates that are set once more, too.
        set.metadata.generation = field(tick, "generation")?;
        let mut numbered: Vec<String> =
            revisions.iter().map(|revision| format!("{}={}", version(revision), revision.revision)).collect();
        numbered.sort();
        let told = |list: Vec<String>| if list.is_empty() { Value::Null } else { json!(list) };
        compare(tick, json!({ "revisions": told(numbered) }))?;
        let (nodes, pods): (Vec<&Node>, Vec<&Pod>) = (nodes.iter().collect(), pods.iter().collect());
        let module = solutions::modules().daemon_set.make(&());
        let revisions: Vec<&ControllerRevision> = revisions.iter().collect();
        let seen = Seen { nodes: &nodes, pods: &pods, revisions: &revisions, module: &*module };
        let (begin, memory) = (self.stage.server.end(), &mut self.memory);
        let outcome = self.stage.act(|world| sync(&set, &seen, memory, world));
        let changes = self.stage.changes(begin);
        let mut names = BTreeMap::new();
        let mut actions: Vec<String> = changes.iter().filter_map(|change| self.action(change, &mut names)).collect();
        let mut events = self.stage.events(begin);
        for (name, told) in &names {
            events.iter_mut().for_each(|event| *event = event.replace(name, told));
        }
        // The recording has what was done at the same time sorted by kind and name, and events of one reason in a row too.
        let mut expected = texts(&tick["actions"]);
        actions.sort();
        expected.sort_unstable();
        events
            .chunk_by_mut(|one, other| one.split(' ').take(2).eq(other.split(' ').take(2)))
            .for_each(<[String]>::sort);
        let again: Vec<f64> = outcome.again.iter().map(SignedDuration::as_secs_f64).collect();
        let wanted: Vec<f64> =
            tick["requeueAfter"].as_array().into_iter().flatten().filter_map(Value::as_f64).collect();
        let error = outcome.result.err().map(|error| error.message);
        compare(&json!({ "actions": expected }), json!({ "actions": actions }))?;
        compare(tick, json!({ "events": told(events), "error": error, "status": written(&changes) }))?;
        compare(&json!({ "requeueAfter": wanted }), json!({ "requeueAfter": again }))
    }

    /// A change as the recording tells it. `names` gets those of new pods, as they are and as they are told.
    fn action(&mut self, change: &Change, names: &mut BTreeMap<String, String>) -> Option<String> {
        let object = &change.object.object;
        if let Some(pod) = change.object.get::<Pod>() {
            let name = object.name();
            return match change.kind {
                ChangeKind::Added => {
                    let node = target_node(pod).unwrap_or_default();
                    let count = self.made.entry(node.into()).or_default();
                    *count += 1;
                    let told = format!("agent-{node}-{count}");
                    names.insert(name.into(), told.clone());
                    let image = pod.spec.as_ref()?.containers.first()?.image.clone().unwrap_or_default();
                    Some(format!("create {told} template={image}"))
                }
                ChangeKind::Deleted => Some(format!("delete {name}")),
                _ if object.meta().deletion_timestamp.is_some() => Some(format!("delete {name}")),
                _ => Some(format!("adopt {name}")),
            };
        }
        let revision = change.object.get::<ControllerRevision>()?;
        let (version, number) = (version(revision), revision.revision);
        let verb = match change.kind {
            ChangeKind::Added => "create",
            ChangeKind::Modified => "update",
            ChangeKind::Deleted => "delete",
        };
        Some(format!("{verb}-revision {version} revision={number}"))
    }
}

/// The status that was written; nothing if none was.
fn written(changes: &[Change]) -> Value {
    let set = changes.iter().filter_map(|change| change.object.get::<DaemonSet>()).next_back();
    set.map_or(Value::Null, |set| json!(set.status))
}
