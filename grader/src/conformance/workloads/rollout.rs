//! Whole rollouts, held against the Deployment controller of the cluster.
//!
//! A case is one Deployment over many ticks. In each tick the user may change it, the ReplicaSets get the status that
//! the recording has for them, the controller syncs once, and what it made of the ReplicaSets, its events and the
//! Deployment's status are compared.

use super::Check;
use super::pure::{compare, field};
use kit_api::apps::{Deployment, ReplicaSet, ReplicaSetStatus};
use kit_api::core::{Container, Event, Pod};
use kit_api::jiff::Timestamp;
use kit_apimachinery::object::{AsKind, Key, Kind, Object};
use kit_client::cache::Cache;
use kit_client::component::{Component, World};
use kit_client::explain::Log;
use kit_controllers::deployment::{Deployments, revision};
use kit_server::{Change, ChangeKind, DeleteOptions, Patch, Server};
use kit_time::agenda::Instant;
use kit_time::random::Random;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The check for one table by its name, if it is covered.
pub fn check(table: &str) -> Option<Check> {
    (table == "deployment_rollouts").then_some(rollout as Check)
}

/// The API server, and the controller with its cache.
pub(super) struct Stage {
    pub server: Server,
    cache: Cache,
    controller: Deployments,
    /// The next change that the cache hasn't seen.
    seen: usize,
    now: Instant,
    /// How many pods each template had in the tick before.
    pub running: BTreeMap<String, i64>,
}

/// The controller and its user, as the API server knows them here.
const EVERYBODY: &str = "user";

fn rollout(case: &Value) -> Result<(), String> {
    let mut stage = Stage::new(case)?;
    for tick in case["ticks"].as_array().into_iter().flatten() {
        let number: i64 = field(tick, "tick")?;
        stage.enter(number);
        stage.tick(tick).map_err(|why| format!("{} tick {number}: {why}", case["name"]))?;
    }
    Ok(())
}

fn deployment(case: &Value) -> Result<Object, String> {
    // The recording writes numbers as texts.
    let number = |name: &str| match case[name].as_str().map(str::parse::<i64>) {
        Some(Ok(number)) => json!(number),
        _ => case[name].clone(),
    };
    let strategy = match case["strategy"].as_str() {
        Some("Recreate") => json!({"type": "Recreate"}),
        _ => json!({"type": "RollingUpdate", "rollingUpdate":
            {"maxSurge": number("maxSurge"), "maxUnavailable": number("maxUnavailable")}}),
    };
    let manifest = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
        "spec": {
            "replicas": case["replicas"], "revisionHistoryLimit": case["revisionHistoryLimit"], "strategy": strategy,
            "selector": {"matchLabels": {"app": "web"}}, "template": template("v1"),
        },
    });
    Object::decode(Kind::Deployment, &manifest.to_string()).map_err(|e| e.to_string())
}

pub(super) fn template(version: &str) -> Value {
    json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "web", "image": version}]}})
}

/// The template of a set: its image.
pub(super) fn version(set: &ReplicaSet) -> String {
    let template = set.spec.as_ref().and_then(|spec| spec.template.as_ref()?.spec.as_ref());
    template.and_then(|spec| spec.containers.first()?.image.clone()).unwrap_or_default()
}

fn size(set: &ReplicaSet) -> Option<i32> {
    set.spec.as_ref()?.replicas
}

/// Type, status and reason of each condition.
pub(super) fn conditions(deployment: &Deployment) -> Vec<String> {
    let conditions = deployment.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.map(|c| format!("{}={}:{}", c.type_, c.status, c.reason.as_deref().unwrap_or_default())).collect()
}

impl Stage {
    /// A stage with the Deployment of a case.
    pub fn new(case: &Value) -> Result<Stage, String> {
        let modules = solutions::modules();
        let mut stage = Stage {
            server: Server::new(modules.store.make(&()), &modules, Random::new(7), Timestamp::UNIX_EPOCH),
            cache: Cache::default(),
            controller: Deployments::new(&modules),
            seen: 0,
            now: Instant::default(),
            running: BTreeMap::new(),
        };
        stage.create(deployment(case)?)?;
        Ok(stage)
    }

    /// Moves on to so many seconds after the beginning.
    pub fn enter(&mut self, seconds: i64) {
        self.now = Instant::seconds(seconds);
        self.server.enter(self.now, &EVERYBODY.into());
        // Recordings have events as the controller sends them, before a client combines similar ones.
        self.server.forget_events_of(EVERYBODY);
    }

    fn create(&mut self, object: Object) -> Result<(), String> {
        self.server.create(object).map(|_| ()).map_err(|e| e.message)
    }

    pub fn sets(&self) -> Vec<ReplicaSet> {
        let sets = self.server.snapshot().list(Kind::ReplicaSet).filter_map(|stored| stored.get::<ReplicaSet>());
        sets.cloned().collect()
    }

    fn tick(&mut self, tick: &Value) -> Result<(), String> {
        for change in tick["user"].as_array().into_iter().flatten() {
            let mut spec = change.clone();
            if let Some(version) = change["template"].as_str() {
                spec["template"] = template(version);
            }
            let key = Key::new(Kind::Deployment, "default", "web");
            let patch = Patch::Merge(json!({ "spec": spec }));
            self.server.patch(&key, &patch, false).map_err(|e| e.message)?;
        }
        self.set_statuses(tick)?;
        self.show();
        let begin = self.server.end();
        self.act(|controller, world| controller.run(world));
        let events = self.events(begin);
        compare(
            tick,
            json!({ "after": self.after(), "events": if events.is_empty() { Value::Null } else { json!(events) } }),
        )?;
        let deployment: Deployment = self.server.fetch("default", "web").map_err(|e| e.message)?;
        let conditions = conditions(&deployment);
        let status = deployment.status.unwrap_or_default();
        let counts = json!({
            "availableReplicas": status.available_replicas.unwrap_or(0),
            "readyReplicas": status.ready_replicas.unwrap_or(0),
            "replicas": status.replicas.unwrap_or(0),
            "unavailableReplicas": status.unavailable_replicas.unwrap_or(0),
            "updatedReplicas": status.updated_replicas.unwrap_or(0),
        });
        compare(tick, json!({ "status": counts, "conditions": conditions }))
    }

    /// Gives the sets the status that the recording has, and each template that still has pods a pod to stand for them.
    pub fn set_statuses(&mut self, tick: &Value) -> Result<(), String> {
        let before = tick["before"].as_array().cloned().unwrap_or_default();
        let mut sets: BTreeMap<String, ReplicaSet> = self.sets().into_iter().map(|set| (version(&set), set)).collect();
        for seen in before {
            let version: String = field(&seen, "template")?;
            let mut set = sets.remove(&version).ok_or_else(|| format!("there is no set for {version}"))?;
            compare(&seen, json!({ "desired": size(&set), "revision": revision::revision(&set).to_string() }))?;
            let (replicas, ready): (i32, i32) = (field(&seen, "replicas")?, field(&seen, "ready")?);
            set.status = Some(ReplicaSetStatus {
                replicas,
                ready_replicas: Some(ready),
                available_replicas: Some(ready),
                fully_labeled_replicas: Some(replicas),
                observed_generation: set.metadata.generation,
                ..Default::default()
            });
            let owner = set.clone().into_object().controller_ref();
            self.server.update_status(set.into_object()).map_err(|e| e.message)?;
            // What a set lost since the last tick is still being deleted in this one.
            let last = self.running.insert(version.clone(), i64::from(replicas)).unwrap_or(0);
            let key = Key::new(Kind::Pod, "default", &version);
            let there = self.server.get(&key).is_ok();
            if last.max(i64::from(replicas)) == 0 && there {
                self.server.delete(&key, &DeleteOptions::default()).map_err(|e| e.message)?;
            } else if replicas > 0 && !there {
                let mut pod = Pod::default();
                pod.metadata.name = Some(version);
                pod.metadata.labels = Some([("app".to_string(), "web".to_string())].into());
                pod.metadata.owner_references = Some(vec![owner]);
                let container = Container { name: "web".into(), image: Some("web:1".into()), ..Default::default() };
                pod.spec.get_or_insert_default().containers.push(container);
                self.create(pod.into_object())?;
            }
        }
        match sets.keys().next() {
            Some(version) => Err(format!("the recording has no set for {version} any more")),
            None => Ok(()),
        }
    }

    /// Shows the controller all that it hasn't seen, and the Deployment in any case.
    pub fn show(&mut self) {
        while let Ok(Some(change)) = self.server.change(self.seen) {
            let change = change.clone();
            self.seen += 1;
            if self.controller.watches().contains(&change.object.object.kind()) {
                self.cache.apply(&change);
                self.act(|controller, world| controller.observe(&change, world));
            }
        }
        let Ok(object) = self.server.get(&Key::new(Kind::Deployment, "default", "web")).cloned() else { return };
        let by: Arc<str> = "resync".into();
        let change = Change { at: self.now, revision: 0, kind: ChangeKind::Modified, object, previous: None, by };
        self.act(|controller, world| controller.observe(&change, world));
    }

    pub fn act(&mut self, f: impl FnOnce(&mut Deployments, &mut World<'_>)) {
        let mut log = Log::default();
        let mut world = World { now: self.now, server: &mut self.server, cache: &self.cache, log: &mut log };
        f(&mut self.controller, &mut world);
    }

    fn after(&self) -> Vec<Value> {
        let mut after = BTreeMap::new();
        for set in self.sets() {
            let annotations = set.metadata.annotations.clone().unwrap_or_default();
            let sizes = json!({
                "desired": size(&set),
                "maxReplicasAnnotation": annotations.get(revision::MAX_REPLICAS),
                "revision": annotations.get(revision::REVISION),
                "template": version(&set),
            });
            after.insert(version(&set), sizes);
        }
        after.into_values().collect()
    }

    /// Events as the recording has them: kind, reason and message, where a ReplicaSet is `web-<v1>`.
    pub fn events(&self, begin: usize) -> Vec<String> {
        let hashes: Map<String, Value> = self
            .sets()
            .iter()
            .map(|set| (set.metadata.name.clone().unwrap_or_default(), json!(version(set))))
            .collect();
        let changes = (begin..self.server.end()).filter_map(|index| self.server.change(index).ok().flatten());
        let events = changes.filter_map(|change| change.object.get::<Event>());
        let text = |event: &Event| {
            let of = |field: &Option<String>| field.clone().unwrap_or_default();
            let mut text = format!("{} {} {}", of(&event.type_), of(&event.reason), of(&event.message));
            for (name, version) in &hashes {
                text = text.replace(name, &format!("web-<{}>", version.as_str().unwrap_or_default()));
            }
            text
        };
        events.map(text).collect()
    }
}
