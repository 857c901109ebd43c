//! The status of disruption budgets, held against the disruption controller of the cluster.
//!
//! Each tick stands alone: an API server gets the workloads, pods and the budget of the recording, and the controller sees all
//! of it at once.

use super::Check;
use super::pure::{compare, field};
use super::stage::Stage;
use kit_api::core::{Event, Pod};
use kit_api::jiff::{SignedDuration, Timestamp};
use kit_api::policy::{PodDisruptionBudget, PodDisruptionBudgetStatus};
use kit_apimachinery::object::{AsKind, Key, Kind, Object};
use kit_client::cache::Cache;
use kit_client::component::{Component, World};
use kit_client::explain::Log;
use kit_controllers::disruption::Disruptions;
use kit_server::{Change, DeleteOptions, Patch, Request, Server};
use kit_time::agenda::Instant;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// The check for one table by its name, if it is covered.
pub fn check(table: &str) -> Option<Check> {
    (table == "pdb_status").then_some(life as Check)
}

/// Pods were told to go, and became a target, up to so long before the first tick.
const BEGIN: SignedDuration = SignedDuration::from_hours(1);

fn life(case: &Value) -> Result<(), String> {
    let mut spec = &case["spec"];
    for tick in case["ticks"].as_array().into_iter().flatten() {
        if tick["spec"].is_object() {
            spec = &tick["spec"];
        }
        let mut stage = Stage::at(Timestamp::UNIX_EPOCH);
        let t: i64 = field(tick, "t")?;
        stage.enter(BEGIN + SignedDuration::from_secs(t));
        self::tick(&mut stage, spec, tick).map_err(|why| format!("{} t={t}: {why}", case["name"]))?;
    }
    Ok(())
}

fn time(seconds: &Value) -> Value {
    let at = seconds.as_i64().map(|seconds| BEGIN.as_secs() + seconds);
    json!(at.and_then(|seconds| Timestamp::from_second(seconds).ok()))
}

fn seconds(at: Timestamp) -> i64 {
    at.as_second() - BEGIN.as_secs()
}

fn create(server: &mut Server, kind: &str, manifest: Value) -> Result<(), String> {
    let kind = Kind::named(kind).ok_or("an unknown kind")?;
    let object = Object::from_value(kind, manifest).map_err(|e| e.to_string())?;
    server.create(object).map(drop).map_err(|e| e.message)
}

/// A kind that nobody here knows, which may have a scale.
fn define_custom(server: &mut Server, scale: bool) -> Result<(), String> {
    let schema = json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
    let paths = json!({"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"});
    let subresources = if scale { json!({ "scale": paths }) } else { json!({}) };
    let version = json!({"name": "v1", "served": true, "storage": true, "schema": schema,
        "subresources": subresources});
    let names = json!({"plural": "customs", "singular": "custom", "kind": "Custom", "listKind": "CustomList"});
    let definition = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "customs.custom.k8s.io",
            "annotations": {"api-approved.kubernetes.io": "unapproved, for a test"}},
        "spec": {"group": "custom.k8s.io", "scope": "Namespaced", "names": names, "versions": [version]}});
    post(server, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", &definition)
}

fn post(server: &mut Server, path: &str, body: &Value) -> Result<(), String> {
    let body = body.to_string();
    let request = Request { method: "POST", path, body: body.as_bytes(), ..Request::default() };
    let answer = server.request(&request);
    if answer.code == 201 { Ok(()) } else { Err(answer.as_text().into()) }
}

/// The controller that a text like `Deployment/web` names.
fn owner(server: &mut Server, text: &str) -> Result<Value, String> {
    let (kind, name) = text.split_once('/').ok_or("an owner is a kind and a name")?;
    let (api_version, path) = match kind {
        "ReplicationController" => ("v1", "/api/v1/namespaces/default/replicationcontrollers"),
        "Job" => ("batch/v1", "/apis/batch/v1/namespaces/default/jobs"),
        "Custom" => ("custom.k8s.io/v1", "/apis/custom.k8s.io/v1/namespaces/default/customs"),
        "ReplicaSet" => ("apps/v1", "/apis/apps/v1/namespaces/default/replicasets"),
        "StatefulSet" => ("apps/v1", "/apis/apps/v1/namespaces/default/statefulsets"),
        _ => ("apps/v1", "/apis/apps/v1/namespaces/default/deployments"),
    };
    let path = format!("{path}/{name}");
    let answer = server.request(&Request { method: "GET", path: &path, ..Request::default() });
    let there: Value = serde_json::from_str(answer.as_text()).unwrap_or_default();
    let uid = there["metadata"]["uid"].as_str().unwrap_or("nobody").to_string();
    Ok(json!({"apiVersion": api_version, "kind": kind, "name": name, "uid": uid, "controller": true}))
}

fn workload(server: &mut Server, seen: &Value) -> Result<(), String> {
    let (kind, name): (String, String) = (field(seen, "kind")?, field(seen, "name")?);
    let owners = match seen["owner"].as_str() {
        Some(above) => json!([owner(server, above)?]),
        None => Value::Null,
    };
    let metadata = json!({"name": name, "namespace": "default", "ownerReferences": owners});
    if kind == "Custom" {
        define_custom(server, seen["noScaleSubresource"] != true).or_else(|why| {
            match why.contains("AlreadyExists") {
                true => Ok(()),
                false => Err(why),
            }
        })?;
        let body = json!({"apiVersion": "custom.k8s.io/v1", "kind": "Custom", "metadata": metadata,
            "spec": {"replicas": seen["replicas"]}});
        return post(server, "/apis/custom.k8s.io/v1/namespaces/default/customs", &body);
    }
    let restart = if kind == "Job" { "Never" } else { "Always" };
    let template = json!({"metadata": {"labels": {"app": "web"}},
        "spec": {"restartPolicy": restart, "containers": [{"name": "web", "image": "web:1"}]}});
    let mut spec = json!({ "template": template });
    if kind != "Job" {
        spec["replicas"] = seen["replicas"].clone();
        let labels = json!({"app": "web"});
        spec["selector"] = if kind == "ReplicationController" { labels } else { json!({ "matchLabels": labels }) };
    }
    if kind == "StatefulSet" {
        spec["serviceName"] = "web".into();
    }
    create(server, &kind, json!({ "metadata": metadata, "spec": spec }))
}

fn pod(server: &mut Server, seen: &Value) -> Result<(), String> {
    let name: String = field(seen, "name")?;
    let mut owners = Value::Null;
    if let Some(above) = seen["owner"].as_str() {
        owners = json!([owner(server, above)?]);
        if seen["ownerUidDiffers"] == true {
            owners[0]["uid"] = "another".into();
        }
    }
    let deleting = seen["deleting"] == true;
    let label = seen["app"].as_str().unwrap_or("web");
    create(
        server,
        "Pod",
        json!({
            "metadata": {"name": name, "namespace": "default", "labels": {"app": label}, "ownerReferences": owners,
                "finalizers": deleting.then_some(["example.com/hold"])},
            "spec": {"nodeName": "node-1", "containers": [{"name": "web", "image": "web:1"}]},
        }),
    )?;
    let ready = if seen["ready"] == true { "True" } else { "False" };
    let mut conditions = vec![json!({"type": "Ready", "status": ready})];
    if let Some(reason) = seen["disruptionTargetReason"].as_str() {
        let since = time(&seen["disruptionTargetSince"]);
        conditions.push(json!({"type": "DisruptionTarget", "status": "True", "reason": reason,
            "lastTransitionTime": since}));
    }
    let mut stored: Pod = server.fetch("default", &name).map_err(|e| e.message)?;
    let status = json!({"phase": seen["phase"].as_str().unwrap_or("Running"), "conditions": conditions});
    stored.status = Some(serde_json::from_value(status).map_err(|e| e.to_string())?);
    let key = Key::new(Kind::Pod, "default", &name);
    server.update_status(stored.into_object()).map_err(|e| e.message)?;
    if deleting {
        server.delete(&key, &DeleteOptions::default()).map_err(|e| e.message)?;
    }
    Ok(())
}

fn budget(server: &mut Server, spec: &Value, tick: &Value) -> Result<(), String> {
    let key = Key::new(Kind::PodDisruptionBudget, "default", "pdb");
    // As many changes as the generation counts, of which the last one makes it what it is.
    let generation: i64 = field(tick, "generation")?;
    let other = |number: i64| json!({"selector": spec["selector"], "minAvailable": 100_000 + number});
    let first = if generation > 1 { other(0) } else { spec.clone() };
    create(server, "PodDisruptionBudget", json!({"metadata": {"name": "pdb", "namespace": "default"}, "spec": first}))?;
    for number in 1..generation {
        let mut next = if number + 1 == generation { spec.clone() } else { other(number) };
        for limit in ["minAvailable", "maxUnavailable"] {
            if next[limit].is_null() {
                next[limit] = Value::Null;
            }
        }
        server.patch(&key, &Patch::Merge(json!({ "spec": next })), false).map_err(|e| e.message)?;
    }
    let before = &tick["statusBefore"];
    let disrupted = before["disruptedPods"].as_object().into_iter().flatten();
    let disrupted: Map<String, Value> = disrupted.map(|(pod, since)| (pod.clone(), time(since))).collect();
    let conditions = before["conditions"].as_array().into_iter().flatten().filter_map(Value::as_str).map(|text| {
        let (what, observed) = text.rsplit_once(" (observedGeneration ").unwrap_or((text, "0)"));
        let (type_, rest) = what.split_once('=').unwrap_or((what, ""));
        let (status, rest) = rest.split_once(':').unwrap_or((rest, ""));
        let (reason, message) = rest.split_once(' ').unwrap_or((rest, ""));
        json!({"type": type_, "status": status, "reason": reason, "message": message,
            "observedGeneration": observed.trim_end_matches(')').parse::<i64>().unwrap_or(0),
            "lastTransitionTime": time(&json!(0))})
    });
    let conditions: Vec<Value> = conditions.collect();
    let mut status = before.clone();
    status["disruptedPods"] = Value::Object(disrupted);
    status["conditions"] = if conditions.is_empty() { Value::Null } else { Value::Array(conditions) };
    let mut stored: PodDisruptionBudget = server.fetch("default", "pdb").map_err(|e| e.message)?;
    stored.status = Some(serde_json::from_value(status).map_err(|e| e.to_string())?);
    server.update_status(stored.into_object()).map(drop).map_err(|e| e.message)
}

fn tick(stage: &mut Stage, spec: &Value, tick: &Value) -> Result<(), String> {
    let server = &mut stage.server;
    let list = |name: &str| tick[name].as_array().cloned().unwrap_or_default();
    // Owners come before what they own.
    let (below, above): (Vec<_>, Vec<_>) = list("workloads").into_iter().partition(|seen| seen["owner"].is_string());
    above.iter().chain(&below).try_for_each(|seen| workload(server, seen))?;
    list("pods").iter().try_for_each(|seen| pod(server, seen))?;
    budget(server, spec, tick)?;
    let (now, begin) = (BEGIN + SignedDuration::from_secs(field(tick, "t")?), server.end());
    let now = Instant::seconds(now.as_secs());
    let (mut cache, mut log, mut controller) =
        (Cache::default(), Log::default(), Disruptions::new(&solutions::modules()));
    let changes: Vec<_> = (0..begin).filter_map(|index| server.change(index).ok().flatten().cloned()).collect();
    let watched: Vec<_> =
        changes.into_iter().filter(|change| controller.watches().contains(&change.object.key.kind)).collect();
    watched.iter().for_each(|change| cache.apply(change));
    let mut world = World { now, server, cache: &cache, log: &mut log };
    // The last version of each object is what a new watch shows.
    let is_last = |change: &Change| cache.get(&change.object.key).is_some_and(|last| Arc::ptr_eq(last, &change.object));
    for change in watched.iter().filter(|change| is_last(change)) {
        controller.observe(change, &mut world);
    }
    controller.run(&mut world);
    let again = controller.next_wake().map(|at| (at.nanos - now.nanos) / 1_000_000_000);
    let changes = stage.changes(begin);
    // Upstream writes a status that stays the same, which is no change here.
    let written = changes.iter().any(|change| change.object.get::<PodDisruptionBudget>().is_some());
    let budget: PodDisruptionBudget = stage.server.fetch("default", "pdb").map_err(|e| e.message)?;
    let status = budget.status.filter(|_| written || !tick["status"].is_null());
    let events = changes.iter().filter_map(|change| change.object.get::<Event>()).map(|event| {
        let of = |field: &Option<String>| field.clone().unwrap_or_default();
        let about = of(&event.involved_object.name);
        format!("{about}: {} {} {}", of(&event.type_), of(&event.reason), of(&event.message))
    });
    let told = |list: Vec<String>| if list.is_empty() { Value::Null } else { json!(list) };
    let taken_back = changes.iter().filter_map(|change| change.object.get::<Pod>()?.metadata.name.clone());
    let recheck = [tick["recheckAfter"].as_i64()].into_iter().flatten();
    let of_conditions = tick["conditionRecheckAfter"].as_object().into_iter().flatten();
    let first = recheck.chain(of_conditions.filter_map(|(_, after)| after.as_i64())).min();
    compare(
        tick,
        json!({
            "events": told(events.collect()),
            "status": status.as_ref().map_or(Value::Null, show),
            "conditionSetFalse": told(taken_back.collect()),
        }),
    )?;
    compare(&json!({ "again": first }), json!({ "again": again }))
}

/// A status as the recording has it.
fn show(status: &PodDisruptionBudgetStatus) -> Value {
    let mut shown = json!(status);
    shown["observedGeneration"] = status.observed_generation.unwrap_or(0).into();
    let conditions = status.conditions.iter().flatten().map(|condition| {
        let message = if condition.message.is_empty() { String::new() } else { format!(" {}", condition.message) };
        let observed = condition.observed_generation.unwrap_or(0);
        format!(
            "{}={}:{}{message} (observedGeneration {observed})",
            condition.type_, condition.status, condition.reason
        )
    });
    shown["conditions"] = json!(conditions.collect::<Vec<_>>());
    let disrupted: Map<String, Value> =
        status.disrupted_pods.iter().flatten().map(|(pod, since)| (pod.clone(), seconds(since.0).into())).collect();
    if !disrupted.is_empty() {
        shown["disruptedPods"] = Value::Object(disrupted);
    }
    shown
}
