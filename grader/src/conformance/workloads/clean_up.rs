//! Tables of those who tidy up: the TTL-after-finished controller and the pod garbage collector.

use super::Check;
use super::pure::{compare, field, from};
use super::stage::{Stage, ended};
use kit_api::batch::Job;
use kit_api::core::{Node, Pod};
use kit_api::jiff::{SignedDuration, Timestamp};
use kit_api::pod;
use kit_apimachinery::object::{AsKind, Key, Kind, Object};
use kit_controllers::pod_garbage_collector::{Quarantine, victims};
use kit_controllers::ttl_after_finished;
use kit_server::DeleteOptions;
use kit_time::agenda::Instant;
use serde_json::{Value, json};

/// The check for one table by its name, if it is covered.
pub fn check(table: &str) -> Option<Check> {
    match table {
        "ttl_after_finished" => Some(ttl_after_finished),
        "pod_gc" => Some(pod_gc),
        _ => None,
    }
}

fn time(seconds: &Value) -> Value {
    json!(seconds.as_i64().and_then(|seconds| Timestamp::from_second(seconds).ok()))
}

/// A job as a side of a case has it; none if it isn't there.
fn job(side: &Value) -> Result<Option<Job>, String> {
    if side == "absent" {
        return Ok(None);
    }
    // What else there is says nothing about the end, and much of it no API server would take.
    let conditions: Vec<&Value> = side["conditions"].as_array().into_iter().flatten().collect();
    let end = conditions.iter().find(|condition| {
        condition["status"] == "True" && (condition["type"] == "Complete" || condition["type"] == "Failed")
    });
    let at = end.map(|end| time(&end["lastTransitionTime"])).unwrap_or_default();
    let conditions = match end {
        Some(end) => ended(end["type"].as_str().unwrap_or_default(), &at),
        None => conditions
            .into_iter()
            .filter(|condition| condition["type"] != "SuccessCriteriaMet")
            .cloned()
            .map(|mut condition| {
                condition["lastTransitionTime"] = time(&condition["lastTransitionTime"]);
                condition
            })
            .collect(),
    };
    let complete = conditions.iter().any(|condition| condition["type"] == "Complete" && condition["status"] == "True");
    let job = json!({
        "metadata": {"name": "job", "namespace": "default",
            "deletionTimestamp": (side["deleting"] == true).then(|| time(&json!(0)))},
        "spec": {"ttlSecondsAfterFinished": side["ttlSecondsAfterFinished"],
            "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "task"}]}}},
        "status": {"conditions": conditions, "startTime": time(&json!(0)), "completionTime": complete.then_some(at)},
    });
    serde_json::from_value(job).map(Some).map_err(|e| e.to_string())
}

fn ttl_after_finished(case: &Value) -> Result<(), String> {
    let Some(cached) = job(&case["cached"])? else { return compare(case, json!({ "action": null })) };
    let mut stage = Stage::at(Timestamp::UNIX_EPOCH);
    let key = Key::new(Kind::Job, "default", "job");
    let live = if case["live"].is_null() { Some(cached.clone()) } else { job(&case["live"])? };
    if let Some(live) = live {
        let deleting = live.metadata.deletion_timestamp.is_some();
        let mut plain = live.clone();
        plain.metadata.deletion_timestamp = None;
        plain.metadata.finalizers = deleting.then(|| vec!["example.com/hold".into()]);
        stage.server.create(plain.into_object()).map_err(|e| e.message)?;
        let mut stored: Job = stage.server.fetch("default", "job").map_err(|e| e.message)?;
        stored.status = live.status;
        stage.server.update_status(stored.into_object()).map_err(|e| e.message)?;
        if deleting {
            stage.server.delete(&key, &DeleteOptions::default()).map_err(|e| e.message)?;
        }
    }
    let before = stage.server.end();
    stage.enter(SignedDuration::from_secs(field(case, "now")?));
    let again = stage.act(|world| ttl_after_finished::look_at(&cached, world)).map_err(|e| e.message)?;
    let acted = stage.server.end() > before;
    let foreground = |object: &Object| object.meta().finalizers.iter().flatten().any(|f| f == "foregroundDeletion");
    let policy = stage.server.get(&key).is_ok_and(|job| foreground(&job.object));
    let policy = if policy { "Foreground" } else { "Background" };
    let action = acted.then(|| format!("delete propagationPolicy={policy}"));
    compare(case, json!({ "action": action, "requeueAfter": again.map(|after| after.as_secs()) }))
}

fn node(seen: &Value) -> Result<Node, String> {
    let taints = (seen["outOfServiceTaint"] == true)
        .then(|| json!([{"key": "node.kubernetes.io/out-of-service", "effect": "NoExecute"}]));
    let ready = if seen["ready"] == true { "True" } else { "False" };
    let node = json!({"metadata": {"name": seen["name"]}, "spec": {"taints": taints},
        "status": {"conditions": [{"type": "Ready", "status": ready}]}});
    from(node)
}

fn seen_pod(seen: &Value) -> Result<Pod, String> {
    let deleted = (seen["deleting"] == true).then(|| time(&json!(0)));
    let pod = json!({
        "metadata": {"name": seen["name"], "namespace": "default", "creationTimestamp": time(&seen["created"]),
            "deletionTimestamp": deleted},
        "spec": {"nodeName": seen["node"], "containers": []},
        "status": {"phase": seen["phase"], "reason": seen["reason"]},
    });
    from(pod)
}

fn pod_gc(case: &Value) -> Result<(), String> {
    let mut quarantine = Quarantine::default();
    for tick in case["ticks"].as_array().into_iter().flatten() {
        let list = |name: &str| tick[name].as_array().cloned().unwrap_or_default();
        let nodes = list("nodes").iter().map(node).collect::<Result<Vec<_>, _>>()?;
        let pods = list("pods").iter().map(seen_pod).collect::<Result<Vec<_>, _>>()?;
        let pods: Vec<&Pod> = pods.iter().collect();
        let hidden = list("nodesOnlyInApi");
        let cached = |name: &str| nodes.iter().find(|node| node.metadata.name.as_deref() == Some(name));
        let exists = |name: &str| Ok(hidden.iter().any(|hidden| hidden == name));
        let now = Instant::seconds(field(tick, "t")?);
        let victims = victims(&pods, field(case, "terminatedPodThreshold")?, &mut quarantine, now, cached, exists);
        let mut actions: Vec<(String, String)> = Vec::new();
        for victim in &victims {
            let name = victim.pod.metadata.name.clone().unwrap_or_default();
            if !pod::is_finished(victim.pod) {
                let condition = " DisruptionTarget=True:DeletionByPodGC PodGC: node no longer exists";
                let condition = if victim.orphaned { condition } else { "" };
                actions.push((name.clone(), format!("patch {name} phase=Failed{condition}")));
            }
            actions.push((name.clone(), format!("delete {name} gracePeriodSeconds=0")));
        }
        actions.sort_by(|one, other| one.0.cmp(&other.0));
        let actions: Vec<String> = actions.into_iter().map(|(_, action)| action).collect();
        let actions = if actions.is_empty() { Value::Null } else { json!(actions) };
        compare(tick, json!({ "actions": actions }))
            .map_err(|why| format!("{} t={}: {why}", case["name"], tick["t"]))?;
    }
    Ok(())
}
