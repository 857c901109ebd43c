//! Whole lives of StatefulSets, held against the StatefulSet controller of the cluster.
//!
//! A case is one set over many ticks. In each tick the user may change it, its pods become what the recording has, the
//! controller looks at it once, and what it did, its events and the set's status are compared.

use super::Check;
use super::pure::{compare, field};
use super::stage::Stage;
use kit_api::apps::StatefulSet;
use kit_api::core::{PersistentVolumeClaim, Pod};
use kit_api::jiff::{SignedDuration, Timestamp};
use kit_apimachinery::object::{AsKind, Key, Kind, Object};
use kit_client::cache::Cache;
use kit_client::component::{Component, World};
use kit_client::explain::Log;
use kit_controllers::stateful_set::StatefulSets;
use kit_server::{Change, ChangeKind, DeleteOptions, Patch};
use serde_json::{Value, json};
use std::sync::Arc;

/// The check for one table by its name, if it is covered.
pub fn check(table: &str) -> Option<Check> {
    match table {
        "statefulset_sequences" => Some(|case| life(case, false)),
        "statefulset_max_unavailable" => Some(|case| life(case, true)),
        _ => None,
    }
}

/// The API server, and the controller with its cache.
struct Play {
    stage: Stage,
    cache: Cache,
    controller: StatefulSets,
    /// The next change that the cache hasn't seen.
    seen: usize,
}

fn life(case: &Value, max_unavailable: bool) -> Result<(), String> {
    let controller = StatefulSets::new(&solutions::modules());
    let controller = if max_unavailable { controller.with_max_unavailable() } else { controller };
    let mut play = Play { stage: Stage::at(Timestamp::UNIX_EPOCH), cache: Cache::default(), controller, seen: 0 };
    play.stage.server.max_unavailable = max_unavailable;
    let set = Object::from_value(Kind::StatefulSet, set(case)).map_err(|e| e.to_string())?;
    play.stage.server.create(set).map_err(|e| e.message)?;
    for tick in case["ticks"].as_array().into_iter().flatten() {
        let number: i64 = field(tick, "tick")?;
        play.stage.enter(SignedDuration::from_secs(number));
        play.tick(tick, case).map_err(|why| format!("{} tick {number}: {why}", case["name"]))?;
    }
    Ok(())
}

fn template(image: &str) -> Value {
    json!({"metadata": {"labels": {"app": "db"}}, "spec": {"containers": [{"name": "db", "image": image}]}})
}

fn set(case: &Value) -> Value {
    let rolling = json!({"partition": case["partition"], "maxUnavailable": max_unavailable(case)});
    let strategy = match case["updateStrategy"].as_str() {
        Some("OnDelete") => json!({"type": "OnDelete"}),
        _ => json!({"type": "RollingUpdate", "rollingUpdate": rolling}),
    };
    let claims = case["volumeClaimTemplate"].as_str().map(|name| {
        json!([{"metadata": {"name": name}, "spec": {"accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}}}}])
    });
    json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "db", "namespace": "default"},
        "spec": {
            "replicas": case["replicas"], "serviceName": "db", "selector": {"matchLabels": {"app": "db"}},
            "ordinals": {"start": case["ordinalsStart"]}, "podManagementPolicy": case["podManagementPolicy"],
            "updateStrategy": strategy, "template": template("db:v1"), "volumeClaimTemplates": claims,
            "persistentVolumeClaimRetentionPolicy": case["persistentVolumeClaimRetentionPolicy"],
        },
    })
}

/// The recording writes numbers as texts.
fn max_unavailable(case: &Value) -> Value {
    match case["maxUnavailable"].as_str().map(str::parse::<i64>) {
        Some(Ok(number)) => json!(number),
        _ => case["maxUnavailable"].clone(),
    }
}

/// The changes of the set's specification in a tick; those of pods show in the pods.
fn change(user: &Value) -> Value {
    let mut spec = json!({});
    if let Some(version) = user["template"].as_str() {
        spec["template"] = template(&format!("db:{version}"));
    }
    if !user["replicas"].is_null() {
        spec["replicas"] = user["replicas"].clone();
    }
    if !user["partition"].is_null() {
        spec["updateStrategy"] = json!({"rollingUpdate": {"partition": user["partition"]}});
    }
    json!({ "spec": spec })
}

impl Play {
    fn tick(&mut self, tick: &Value, case: &Value) -> Result<(), String> {
        for user in tick["user"].as_array().into_iter().flatten() {
            let key = Key::new(Kind::StatefulSet, "default", "db");
            self.stage.server.patch(&key, &Patch::Merge(change(user)), false).map_err(|e| e.message)?;
        }
        self.set_pods(tick)?;
        self.show();
        let begin = self.stage.server.end();
        self.act(|controller, world| controller.run(world));
        let mut actions: Vec<String> = self.stage.changes(begin).iter().filter_map(action).collect();
        let mut events = self.stage.events(begin);
        if case["podManagementPolicy"] == "Parallel" {
            // There it has what was done at the same time sorted, and runs of one kind of events everywhere.
            actions.sort();
        }
        let reason = |event: &str| event.split(' ').take(2).map(String::from).collect::<Vec<_>>();
        events.chunk_by_mut(|one, other| reason(one) == reason(other)).for_each(<[String]>::sort);
        let events = if events.is_empty() { Value::Null } else { json!(events) };
        compare(tick, json!({ "actions": actions, "events": events }))?;
        let set: StatefulSet = self.stage.server.fetch("default", "db").map_err(|e| e.message)?;
        let status = set.status.unwrap_or_default();
        let shown = json!({
            "availableReplicas": status.available_replicas.unwrap_or(0),
            "currentReplicas": status.current_replicas.unwrap_or(0),
            "readyReplicas": status.ready_replicas.unwrap_or(0),
            "replicas": status.replicas,
            "updateComplete": status.current_revision == status.update_revision,
            "updatedReplicas": status.updated_replicas.unwrap_or(0),
        });
        compare(tick, json!({ "status": shown }))
    }

    /// Makes the pods those of the recording: name, image, phase, and what else is so.
    fn set_pods(&mut self, tick: &Value) -> Result<(), String> {
        let server = &mut self.stage.server;
        let seen: Vec<Vec<&str>> = tick["pods"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(|pod| pod.split(' ').collect())
            .collect();
        let there: Vec<Key> = server.snapshot().list(Kind::Pod).map(|pod| pod.key.clone()).collect();
        for key in there.iter().filter(|key| !seen.iter().any(|pod| *pod[0] == *key.name)) {
            let mut pod: Pod = server.fetch("default", &key.name).map_err(|e| e.message)?;
            pod.metadata.finalizers = None;
            server.update(pod.into_object()).map_err(|e| e.message)?;
            let now = DeleteOptions { grace_period_seconds: Some(0), ..DeleteOptions::default() };
            _ = server.delete(key, &now);
        }
        for words in seen {
            let [name, image, phase, rest @ ..] = &words[..] else { return Err("a pod is not told of".into()) };
            let mut pod: Pod = server.fetch("default", name).map_err(|e| e.message)?;
            let own = pod.spec.as_ref().and_then(|spec| spec.containers.first()?.image.clone());
            compare(&json!({ "image": image }), json!({ "image": own }))?;
            let ready = if rest.contains(&"Ready") { "True" } else { "False" };
            let status = json!({"phase": phase, "conditions": [{"type": "Ready", "status": ready,
                "lastTransitionTime": Timestamp::UNIX_EPOCH}]});
            pod.status = Some(serde_json::from_value(status).map_err(|e| e.to_string())?);
            // A pod that has no node, or has failed, would be gone as soon as it is deleted.
            pod.metadata.resource_version = None;
            if pod.metadata.finalizers.is_none() {
                pod.metadata.finalizers = Some(vec!["example.com/recorded".into()]);
                server.update(pod.clone().into_object()).map_err(|e| e.message)?;
            }
            let ends = pod.metadata.deletion_timestamp.is_some();
            server.update_status(pod.into_object()).map_err(|e| e.message)?;
            if rest.contains(&"Terminating") && !ends {
                let key = Key::new(Kind::Pod, "default", name);
                server.delete(&key, &DeleteOptions::default()).map_err(|e| e.message)?;
            }
        }
        Ok(())
    }

    /// Shows the controller all that it hasn't seen, and the set in any case.
    fn show(&mut self) {
        while let Ok(Some(change)) = self.stage.server.change(self.seen) {
            let change = change.clone();
            self.seen += 1;
            if self.controller.watches().contains(&change.object.key.kind) {
                self.cache.apply(&change);
                self.act(|controller, world| controller.observe(&change, world));
            }
        }
        let Ok(object) = self.stage.server.get(&Key::new(Kind::StatefulSet, "default", "db")).cloned() else { return };
        let (at, by) = (self.stage.now(), Arc::from("resync"));
        let change = Change { at, revision: 0, kind: ChangeKind::Modified, object, previous: None, by };
        self.act(|controller, world| controller.observe(&change, world));
    }

    fn act(&mut self, f: impl FnOnce(&mut StatefulSets, &mut World<'_>)) {
        let (now, mut log) = (self.stage.now(), Log::default());
        let mut world = World { now, server: &mut self.stage.server, cache: &self.cache, log: &mut log };
        f(&mut self.controller, &mut world);
    }
}

fn action(change: &Change) -> Option<String> {
    let name = &change.object.key.name;
    if let Some(claim) = change.object.get::<PersistentVolumeClaim>() {
        let owners = claim.metadata.owner_references.iter().flatten();
        let owners: Vec<String> = owners.map(|owner| format!("{}/{}", owner.kind, owner.name)).collect();
        return match change.kind {
            ChangeKind::Added => Some(format!("create-claim {name}")),
            _ => Some(format!("update-claim {name} owners={}", owners.join(","))),
        };
    }
    let pod = change.object.get::<Pod>()?;
    if change.kind == ChangeKind::Added {
        let image = pod.spec.as_ref().and_then(|spec| spec.containers.first()?.image.clone());
        return Some(format!("create {name} {}", image.unwrap_or_default()));
    }
    let ends = change.kind == ChangeKind::Deleted || pod.metadata.deletion_timestamp.is_some();
    ends.then(|| format!("delete {name}"))
}
