//! Whole lives of CronJobs, held against the CronJob controller of the cluster.
//!
//! A case is one CronJob over many instants. At each the user may change it, its jobs get the state that the recording has for
//! them, and the controller looks at it once.

use super::Check;
use super::pure::{compare, field, from};
use super::stage::{self, Stage};
use kit_api::batch::{CronJob, CronJobSpec, Job};
use kit_api::jiff::{SignedDuration, Timestamp};
use kit_apimachinery::object::{AsKind, Key, Kind, Object};
use kit_controllers::cron_job::sync;
use kit_server::{Change, ChangeKind, DeleteOptions};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The check for one table by its name, if it is covered.
pub fn check(table: &str) -> Option<Check> {
    (table == "cronjob_sequences").then_some(life as Check)
}

fn life(case: &Value) -> Result<(), String> {
    let created: Timestamp = field(case, "created")?;
    let mut stage = Stage::at(created);
    let name: String = field(case, "cronJob")?;
    let mut spec: Map<String, Value> = field(case, "spec")?;
    let template = json!({"spec": {"template":
        {"spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "task"}]}}}});
    // The recording has schedules that the API would refuse; its own one is never looked at.
    let manifest = json!({"metadata": {"name": name, "namespace": "default"},
        "spec": {"schedule": "* * * * *", "jobTemplate": template}});
    let cron = Object::from_value(Kind::CronJob, manifest).map_err(|e| e.to_string())?;
    stage.server.create(cron).map_err(|e| e.message)?;
    spec.insert("jobTemplate".into(), template);
    // Jobs made by hand started at a fraction of a second there, which the recording doesn't show.
    let mut started = BTreeMap::new();
    for tick in case["ticks"].as_array().into_iter().flatten() {
        let now: Timestamp = field(tick, "now")?;
        stage.enter(now.duration_since(created));
        for change in tick["user"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            change_cron(&mut stage, &mut spec, &name, change)?;
            started.extend(change.split_once("manual-job=").map(|(_, job)| (job.to_string(), now)));
        }
        set_jobs(&mut stage, tick, &name)?;
        let mut cron: CronJob = stage.server.fetch("default", &name).map_err(|e| e.message)?;
        let typed: CronJobSpec = from(json!(spec))?;
        cron.spec = Some(typed);
        look(&mut stage, tick, &cron, &started).map_err(|why| format!("{} {now}: {why}", case["name"]))?;
    }
    Ok(())
}

fn change_cron(stage: &mut Stage, spec: &mut Map<String, Value>, name: &str, change: &str) -> Result<(), String> {
    let (what, value) = change.split_once('=').unwrap_or((change, ""));
    match what {
        // These show in the jobs that are seen.
        "delete-job" | "manual-job" | "foreign-job" => {}
        "forget-active" => {
            let mut cron: CronJob = stage.server.fetch("default", name).map_err(|e| e.message)?;
            cron.status.get_or_insert_default().active = None;
            stage.server.update_status(cron.into_object()).map_err(|e| e.message)?;
        }
        _ => {
            let value = serde_json::from_str(value).unwrap_or_else(|_| json!(value));
            spec.insert(what.into(), value);
        }
    }
    Ok(())
}

/// Makes the jobs those of the recording.
fn set_jobs(stage: &mut Stage, tick: &Value, cron: &str) -> Result<(), String> {
    let seen: Vec<&Value> = tick["jobs"].as_array().into_iter().flatten().collect();
    let there: Vec<Key> = stage.server.snapshot().list(Kind::Job).map(|job| job.key.clone()).collect();
    for key in there.iter().filter(|key| !seen.iter().any(|job| job["name"] == *key.name)) {
        stage.server.delete(key, &DeleteOptions::default()).map_err(|e| e.message)?;
    }
    let owner = stage.server.get(&Key::new(Kind::CronJob, "default", cron)).map_err(|e| e.message)?;
    let owner = owner.object.controller_ref();
    for job in seen {
        let name: String = field(job, "name")?;
        if stage.server.get(&Key::new(Kind::Job, "default", &name)).is_err() {
            let owners = if job["owner"] == "none" { json!([]) } else { json!([owner]) };
            let manifest = json!({"metadata": {"name": name, "namespace": "default", "ownerReferences": owners},
                "spec": {"template": {"spec": {"restartPolicy": "Never",
                    "containers": [{"name": "main", "image": "task"}]}}}});
            let made = Object::from_value(Kind::Job, manifest).map_err(|e| e.to_string())?;
            stage.server.create(made).map_err(|e| e.message)?;
        }
        let mut stored: Job = stage.server.fetch("default", &name).map_err(|e| e.message)?;
        let state = job["state"].as_str().unwrap_or_default();
        let ended = stage::ended(state, &Value::Null);
        let status =
            json!({"startTime": job["startTime"], "completionTime": job["completionTime"], "conditions": ended});
        stored.status = Some(from(status)?);
        stage.server.update_status(stored.into_object()).map_err(|e| e.message)?;
    }
    Ok(())
}

fn look(stage: &mut Stage, tick: &Value, cron: &CronJob, started: &BTreeMap<String, Timestamp>) -> Result<(), String> {
    let name = cron.metadata.name.clone().unwrap_or_default();
    let mut jobs: Vec<Job> =
        stage.server.snapshot().list(Kind::Job).filter_map(|job| job.get::<Job>().cloned()).collect();
    for job in &mut jobs {
        let exact = job.metadata.name.as_ref().and_then(|name| started.get(name));
        let start = job.status.as_mut().and_then(|status| status.start_time.as_mut());
        if let (Some(exact), Some(start)) = (exact, start)
            && exact.as_second() == start.0.as_second()
        {
            start.0 = *exact;
        }
    }
    let owned = |job: &&Job| job.metadata.owner_references.iter().flatten().any(|owner| owner.name == name);
    let jobs: Vec<&Job> = jobs.iter().filter(owned).collect();
    let begin = stage.server.end();
    let again = stage.act(|world| sync(cron, &jobs, world)).map_err(|e| e.message)?;
    let changes = stage.changes(begin);
    let list = |texts: Vec<String>| if texts.is_empty() { Value::Null } else { json!(texts) };
    let actions: Vec<String> = changes.iter().filter_map(action).collect();
    compare(tick, json!({ "actions": list(actions), "events": list(stage.events(begin)) }))?;
    let written = changes.iter().any(|change| change.object.key.kind == Kind::CronJob);
    if !tick["status"].is_null() || written {
        let cron: CronJob = stage.server.fetch("default", &name).map_err(|e| e.message)?;
        let status = cron.status.unwrap_or_default();
        let active: Vec<_> = status.active.iter().flatten().map(|job| job.name.clone()).collect();
        let mut shown = json!({ "active": active });
        let times =
            [("lastScheduleTime", status.last_schedule_time), ("lastSuccessfulTime", status.last_successful_time)];
        for (field, time) in times.into_iter().filter_map(|(field, time)| Some((field, time?))) {
            shown[field] = json!(time);
        }
        compare(tick, json!({ "status": shown }))?;
    }
    let wanted = tick["requeueAfter"].as_f64().map(|seconds| (seconds * 1000.0).round() as i64);
    let again = again.map(|after: SignedDuration| after.as_millis() as i64);
    compare(&json!({ "requeueAfterMillis": wanted }), json!({ "requeueAfterMillis": again }))
}

fn action(change: &Change) -> Option<String> {
    let job = change.object.get::<Job>()?;
    let name = job.metadata.name.as_deref().unwrap_or_default();
    match change.kind {
        ChangeKind::Deleted => Some(format!("delete {name}")),
        ChangeKind::Added => {
            let annotations = job.metadata.annotations.clone().unwrap_or_default();
            let scheduled = annotations.get("batch.kubernetes.io/cronjob-scheduled-timestamp").cloned();
            Some(format!("create {name} scheduled={}", scheduled.unwrap_or_default()))
        }
        ChangeKind::Modified => None,
    }
}
