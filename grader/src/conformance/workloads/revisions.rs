//! The revisions of Deployments, held against the Deployment controller of the cluster: how they are numbered, what is
//! rolled back to, and what is forgotten.

use super::Check;
use super::pure::{compare, field};
use super::rollout::{Stage, template, version};
use kit_api::apps::{Deployment, ReplicaSet};
use kit_api::meta::ObjectMeta;
use kit_apimachinery::object::{Key, Kind};
use kit_client::component::Component;
use kit_controllers::deployment::revision;
use kit_server::{Change, ChangeKind, Patch};
use serde_json::{Value, json};

/// The check for one table by its name, if it is covered.
pub fn check(table: &str) -> Option<Check> {
    (table == "deployment_revisions").then_some(life as Check)
}

const CHANGE_CAUSE: &str = "kubernetes.io/change-cause";

fn life(case: &Value) -> Result<(), String> {
    let mut defaulted = case.clone();
    for limit in ["maxSurge", "maxUnavailable"] {
        defaulted[limit] = "25%".into();
    }
    let mut stage = Stage::new(&defaulted)?;
    for (number, tick) in case["ticks"].as_array().into_iter().flatten().enumerate() {
        stage.enter(number as i64);
        self::tick(&mut stage, tick).map_err(|why| format!("{} tick {number}: {why}", case["name"]))?;
    }
    Ok(())
}

/// What the user does to the Deployment; what happens to pods is seen in their sets.
fn change(change: &str) -> Option<Value> {
    let (what, value) = change.split_once(' ').unwrap_or((change, ""));
    let number = value.parse::<i64>().unwrap_or(0);
    Some(match what {
        "template" => json!({"spec": {"template": template(value)}}),
        "replicas" | "revisionHistoryLimit" => json!({"spec": {what: number}}),
        "pause" | "resume" => json!({"spec": {"paused": what == "pause"}}),
        "change-cause" => json!({"metadata": {"annotations": {CHANGE_CAUSE: value}}}),
        "rollback-to" => json!({"metadata": {"annotations": {revision::ROLLBACK_TO: value}}}),
        _ => return None,
    })
}

fn annotation(meta: &ObjectMeta, key: &str) -> Value {
    json!(meta.annotations.as_ref().and_then(|all| all.get(key)))
}

fn tick(stage: &mut Stage, tick: &Value) -> Result<(), String> {
    let key = Key::new(Kind::Deployment, "default", "web");
    for text in tick["user"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if let Some(patch) = change(text) {
            stage.server.patch(&key, &Patch::Merge(patch), false).map_err(|e| e.message)?;
        }
    }
    // Here pods don't take longer than from one tick to the next.
    stage.running.clear();
    stage.set_statuses(tick)?;
    stage.show();
    let begin = stage.server.end();
    stage.act(|controller, world| controller.run(world));
    let told = |list: Vec<String>| if list.is_empty() { Value::Null } else { json!(list) };
    let changes = (begin..stage.server.end()).filter_map(|index| stage.server.change(index).ok().flatten());
    let actions: Vec<String> = changes.filter_map(action).collect();
    let deployment: Deployment = stage.server.fetch("default", "web").map_err(|e| e.message)?;
    compare(
        tick,
        json!({
            "actions": told(actions),
            "events": told(stage.events(begin)),
            "after": after(stage.sets()),
            "deploymentRevision": annotation(&deployment.metadata, revision::REVISION),
            "rollbackAnnotation": annotation(&deployment.metadata, revision::ROLLBACK_TO),
            "conditions": super::rollout::conditions(&deployment),
        }),
    )
}

fn action(change: &Change) -> Option<String> {
    if let Some(set) = change.object.get::<ReplicaSet>() {
        let (version, revision) = (version(set), revision::revision(set));
        return match change.kind {
            ChangeKind::Added => {
                let replicas: i64 = field(&json!(set.spec), "replicas").unwrap_or(1);
                Some(format!("create web-<{version}> replicas={replicas} revision={revision}"))
            }
            ChangeKind::Deleted => Some(format!("delete web-<{version}> revision={revision}")),
            ChangeKind::Modified => None,
        };
    }
    let image = |deployment: &Deployment| {
        json!(deployment).pointer("/spec/template/spec/containers/0/image").and_then(|i| i.as_str().map(String::from))
    };
    let now = image(change.object.get::<Deployment>()?)?;
    let before = change.previous.as_ref().and_then(|stored| image(stored.get()?));
    (before.as_ref() != Some(&now)).then(|| format!("deployment template set to {now}"))
}

/// The sets as the recording has them, the oldest first.
fn after(mut sets: Vec<ReplicaSet>) -> Vec<Value> {
    sets.sort_by_key(|set| (set.metadata.creation_timestamp.clone(), version(set)));
    let show = |set: &ReplicaSet| {
        let status = set.status.clone().unwrap_or_default();
        let mut shown = json!({
            "desired": set.spec.as_ref().and_then(|spec| spec.replicas),
            "ready": status.ready_replicas.unwrap_or(0),
            "replicas": status.replicas,
            "revision": annotation(&set.metadata, revision::REVISION),
            "template": version(set),
        });
        for (name, key) in
            [("revisionHistory", revision::REVISION_HISTORY), ("annotation kubernetes.io/change-cause", CHANGE_CAUSE)]
        {
            let value = annotation(&set.metadata, key);
            if !value.is_null() {
                shown[name] = value;
            }
        }
        shown
    };
    sets.iter().map(show).collect()
}
