//! Whole lives of jobs, held against the Job controller of the cluster.
//!
//! A case is one job over many ticks. Each tick has the pods that the controller sees; it looks at the job once, and what it asks
//! for is compared: actions, each status that it writes, events, and when it wants to look again.

use super::Check;
use super::pure::{compare, field};
use kit_api::batch::Job;
use kit_api::core::Pod;
use kit_api::jiff::{SignedDuration, Timestamp};
use kit_controllers::job::sync::{Control, Memory, sync};
use kit_server::Error;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The check for one table by its name, if it is covered.
pub fn check(table: &str) -> Option<Check> {
    (table == "job_sequences").then_some(life as Check)
}

/// What a look at a job asked for.
struct Recorder {
    now: i64,
    actions: Vec<String>,
    statuses: Vec<Value>,
    events: Vec<String>,
    again: Vec<f64>,
    /// How many pods each name stands for so far; the real suffixes are random.
    made: BTreeMap<String, usize>,
}

const TRACKING: &str = "batch.kubernetes.io/job-tracking";
const INDEX: &str = "batch.kubernetes.io/job-completion-index";

fn life(case: &Value) -> Result<(), String> {
    let (module, mut job) = (solutions::modules().job.make(&()), job(case)?);
    let (mut memory, mut made, mut unready) = (Memory::default(), BTreeMap::new(), BTreeMap::new());
    for tick in case["ticks"].as_array().into_iter().flatten() {
        let now: i64 = field(tick, "t")?;
        for change in tick["user"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            change_job(&mut job, change, now)?;
        }
        let typed: Job = serde_json::from_value(job.clone()).map_err(|e| e.to_string())?;
        let pods = tick["pods"].as_array().into_iter().flatten().map(|seen| pod(case, seen, now, &mut unready));
        let pods = pods.collect::<Result<Vec<Pod>, _>>()?;
        let (actions, statuses, events, again) = Default::default();
        let mut recorder = Recorder { now, actions, statuses, events, again, made };
        sync(module.as_ref(), &typed, &pods.iter().collect::<Vec<_>>(), &mut memory, &mut recorder)
            .map_err(|e| e.message)?;
        let told = |list: Vec<Value>| if list.is_empty() { Value::Null } else { Value::Array(list) };
        // The recording has what was done at the same time sorted by kind and name, and events of one reason in a row too.
        let (mut actions, mut expected) = (recorder.actions, texts(tick, "actions"));
        actions.sort();
        expected.sort();
        recorder.events.chunk_by_mut(|one, other| reason(one) == reason(other)).for_each(<[String]>::sort);
        recorder.again.sort_by(f64::total_cmp);
        let shown = recorder.statuses.iter().map(show).collect();
        compare(&json!({ "actions": expected }), json!({ "actions": actions }))
            .and_then(|()| compare(tick, json!({ "statusWrites": told(shown) })))
            .and_then(|()| compare(&json!({ "events": texts(tick, "events") }), json!({ "events": recorder.events })))
            .and_then(|()| compare(&again_of(tick), json!({ "again": recorder.again })))
            .map_err(|why| format!("{} t={now}: {why}", case["name"]))?;
        if let Some(status) = recorder.statuses.pop() {
            job["status"] = status;
        }
        memory.released.clear();
        made = recorder.made;
    }
    Ok(())
}

/// Type and reason of an event.
fn reason(event: &str) -> Vec<&str> {
    event.split(' ').take(2).collect()
}

fn texts(tick: &Value, list: &str) -> Vec<String> {
    tick[list].as_array().into_iter().flatten().filter_map(Value::as_str).map(String::from).collect()
}

fn again_of(tick: &Value) -> Value {
    let seconds = tick["requeueAfter"].as_array().into_iter().flatten().filter_map(Value::as_f64);
    json!({ "again": seconds.collect::<Vec<_>>() })
}

fn time(seconds: i64) -> Value {
    json!(Timestamp::from_second(seconds).unwrap_or_default())
}

fn job(case: &Value) -> Result<Value, String> {
    let mut spec: Map<String, Value> = field(case, "spec")?;
    let containers = spec.shift_remove("containers").unwrap_or_default();
    let containers = containers.as_array().into_iter().flatten().map(|name| json!({"name": name, "image": "task"}));
    let restart = spec.shift_remove("restartPolicy");
    spec.insert("selector".into(), json!({"matchLabels": {"app": "web"}}));
    spec.insert(
        "template".into(),
        json!({"metadata": {"labels": {"app": "web"}},
            "spec": {"restartPolicy": restart, "containers": containers.collect::<Vec<_>>()}}),
    );
    Ok(json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {"name": case["job"], "namespace": "default", "uid": "job-uid", "creationTimestamp": time(0)},
        "spec": spec,
    }))
}

fn change_job(job: &mut Value, change: &str, now: i64) -> Result<(), String> {
    let (what, number) = change.split_once(' ').unwrap_or((change, "0"));
    let number: i32 = number.parse().map_err(|_| format!("no number in {change}"))?;
    match what {
        "suspend" | "resume" => job["spec"]["suspend"] = (what == "suspend").into(),
        "delete-job" => job["metadata"]["deletionTimestamp"] = time(now),
        "parallelism" | "backoffLimit" => job["spec"][what] = number.into(),
        "completions+parallelism" => {
            job["spec"]["completions"] = number.into();
            job["spec"]["parallelism"] = number.into();
        }
        _ => return Err(format!("unknown change {change}")),
    }
    Ok(())
}

/// A pod as the recording has it. It leaves out the condition Ready, which a pod that is being deleted loses after the tick
/// of its deletion; `unready` holds since when each is without.
fn pod(case: &Value, seen: &Value, now: i64, unready: &mut BTreeMap<String, i64>) -> Result<Pod, String> {
    let name: String = field(seen, "name")?;
    let deleted = seen["deletionTimestamp"].as_i64();
    let deleted = deleted.map(|at| at - seen["deletionGracePeriodSeconds"].as_i64().unwrap_or(0));
    let lost = (seen["phase"] == "Running" && seen["ready"] != true && deleted.is_some_and(|at| at < now))
        .then(|| *unready.entry(name.clone()).or_insert(now));
    let at = |field: &str| seen[field].as_i64().map(time);
    let annotations: Map<String, Value> = [
        ("index", INDEX),
        ("indexFailureCount", "batch.kubernetes.io/job-index-failure-count"),
        ("indexIgnoredFailureCount", "batch.kubernetes.io/job-index-ignored-failure-count"),
    ]
    .into_iter()
    .filter_map(|(short, key)| Some((key.to_string(), seen.get(short)?.clone())))
    .collect();
    let owner = match seen["owner"].as_str() {
        Some("none") => json!([]),
        other => json!([{"apiVersion": "batch/v1", "kind": "Job", "name": case["job"], "controller": true,
            "uid": other.unwrap_or("job-uid")}]),
    };
    let tracked = seen["finalizer"] == true;
    let ready = seen["ready"] == true;
    let mut conditions = vec![];
    if ready {
        conditions.push(json!({"type": "Ready", "status": "True", "lastTransitionTime": at("readySince")}));
    }
    if let Some(since) = lost {
        conditions.push(json!({"type": "Ready", "status": "False", "lastTransitionTime": time(since)}));
    }
    for text in seen["conditions"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        let (type_, status) = text.split_once('=').ok_or("a condition is type=status")?;
        conditions.push(json!({"type": type_, "status": status}));
    }
    let ended = seen["terminated"].as_array().into_iter().flatten().map(|ended| {
        let finished = ended["finishedAt"].as_i64().map(time);
        json!({"name": ended["name"], "image": "task", "imageID": "", "ready": false,
            "restartCount": seen["restartCount"].as_i64().unwrap_or(0),
            "state": {"terminated": {"exitCode": ended["exitCode"], "finishedAt": finished}}})
    });
    let mut statuses: Vec<Value> = ended.collect();
    if let (true, Some(count)) = (statuses.is_empty(), seen["restartCount"].as_i64()) {
        statuses.push(json!({"name": "main", "image": "task", "imageID": "", "ready": ready, "restartCount": count}));
    }
    serde_json::from_value(json!({
        "metadata": {
            "name": name, "namespace": "default", "uid": format!("uid-{name}"), "annotations": annotations,
            "labels": {"app": seen["appLabel"].as_str().unwrap_or("web")}, "ownerReferences": owner,
            "creationTimestamp": at("created"), "finalizers": if tracked { json!([TRACKING]) } else { json!([]) },
            "deletionTimestamp": at("deletionTimestamp"), "deletionGracePeriodSeconds": seen["deletionGracePeriodSeconds"],
        },
        "spec": {"containers": [], "nodeName": (seen["scheduled"] == true).then_some("node-1")},
        "status": {"phase": seen["phase"], "conditions": conditions, "containerStatuses": statuses},
    }))
    .map_err(|e| e.to_string())
}

/// A status as the recording has it: times in seconds, and nothing that is empty.
fn show(status: &Value) -> Value {
    let seconds = |at: &Value| at.as_str().and_then(|text| text.parse::<Timestamp>().ok()).map(Timestamp::as_second);
    let mut shown = status.clone();
    for at in ["startTime", "completionTime"] {
        if let Some(seconds) = seconds(&status[at]) {
            shown[at] = seconds.into();
        }
    }
    for condition in shown["conditions"].as_array_mut().into_iter().flatten() {
        condition["lastTransitionTime"] = json!(seconds(&condition["lastTransitionTime"]));
        condition.as_object_mut().map(|fields| fields.shift_remove("lastProbeTime"));
    }
    let uncounted = shown["uncountedTerminatedPods"].as_object().is_none_or(Map::is_empty);
    if let Some(fields) = shown.as_object_mut() {
        fields.retain(|name, value| !value.is_null() && (name != "uncountedTerminatedPods" || !uncounted));
    }
    shown
}

impl Recorder {
    fn act(&mut self, what: &str, pod: &Pod) -> Result<(), Error> {
        self.actions.push(format!("{what} {}", pod.metadata.name.as_deref().unwrap_or_default()));
        Ok(())
    }
}

impl Control for Recorder {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(self.now).unwrap_or_default()
    }

    fn create_pod(&mut self, job: &Job, pod: Pod) -> Result<(), Error> {
        let annotations = pod.metadata.annotations.unwrap_or_default();
        let prefix = pod.metadata.generate_name.unwrap_or_default();
        let said = |short: &str, key: &str| annotations.get(key).map(|value| format!(" {short}={value}"));
        let said = [
            said("index", INDEX),
            said("failureCount", "batch.kubernetes.io/job-index-failure-count"),
            said("ignoredFailureCount", "batch.kubernetes.io/job-index-ignored-failure-count"),
        ];
        let made = self.made.entry(prefix.clone()).or_default();
        let suffix = match annotations.contains_key(INDEX) {
            true => char::from(b'a' + *made as u8).to_string(),
            false => (*made + 1).to_string(),
        };
        *made += 1;
        let name = format!("{prefix}{suffix}");
        self.actions.push(format!("create {name}{}", said.into_iter().flatten().collect::<String>()));
        self.event(job, "Normal", "SuccessfulCreate", &format!("Created pod: {name}"));
        Ok(())
    }

    fn delete_pod(&mut self, job: &Job, pod: &Pod) -> Result<(), Error> {
        let message = format!("Deleted pod: {}", pod.metadata.name.as_deref().unwrap_or_default());
        self.event(job, "Normal", "SuccessfulDelete", &message);
        self.act("delete", pod)
    }

    fn remove_finalizer(&mut self, pod: &Pod) -> Result<(), Error> {
        self.act("remove-finalizer", pod)
    }

    fn adopt_pod(&mut self, _: &Job, pod: &Pod) -> Result<(), Error> {
        self.act("adopt", pod)
    }

    fn release_pod(&mut self, _: &Job, pod: &Pod) -> Result<(), Error> {
        self.act("release", pod)
    }

    fn write_status(&mut self, job: Job) -> Result<Job, Error> {
        self.statuses.push(json!(job.status));
        Ok(job)
    }

    fn event(&mut self, _: &Job, type_: &str, reason: &str, message: &str) {
        self.events.push(format!("{type_} {reason} {message}"));
    }

    fn look_again(&mut self, after: SignedDuration) {
        self.again.push(after.as_secs_f64());
    }
}
