//! Rows of pods, nodes and events.

use super::text::{age, human, list_or_none, word};
use kit_api::core::{
    Container, ContainerState, ContainerStateTerminated, ContainerStatus, Pod, PodCondition, PodSpec, PodStatus,
};
use kit_api::jiff::Timestamp;
use serde_json::Value;

fn list<'a>(value: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> + Clone {
    value[field].as_array().map_or(&[][..], Vec::as_slice).iter()
}

fn condition<'a>(status: &'a Value, type_: &str) -> Option<&'a Value> {
    list(status, "conditions").find(|condition| condition["type"] == type_)
}

fn is_true(pod: &Pod, type_: &str) -> bool {
    condition_of(pod, type_).is_some_and(|condition| condition.status == "True")
}

fn condition_of<'a>(pod: &'a Pod, type_: &str) -> Option<&'a PodCondition> {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_deref());
    conditions.unwrap_or_default().iter().find(|condition| condition.type_ == type_)
}

fn text(text: &Option<String>) -> &str {
    text.as_deref().unwrap_or_default()
}

/// Why a container has ended, after a word that says which one it is.
fn why_ended(before: &str, ended: &ContainerStateTerminated) -> String {
    match (text(&ended.reason), ended.signal.unwrap_or_default()) {
        ("", 0) => format!("{before}ExitCode:{}", ended.exit_code),
        ("", signal) => format!("{before}Signal:{signal}"),
        (why, _) => format!("{before}{why}"),
    }
}

/// What the columns of a pod say of its containers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Containers {
    /// How many are ready.
    pub ready: usize,
    /// How many there are.
    pub total: usize,
    /// The column STATUS: the phase, or what is more telling.
    pub status: String,
    /// How often they were started again.
    pub restarts: i32,
    /// When the last one ended that was.
    last_restart: Option<Timestamp>,
}

/// What `printPod` sees in the status of a pod.
pub fn containers(pod: &Pod) -> Containers {
    let (no_spec, no_status) = (PodSpec::default(), PodStatus::default());
    let (spec, status) = (pod.spec.as_ref().unwrap_or(&no_spec), pod.status.as_ref().unwrap_or(&no_status));
    let mut total = spec.containers.len();
    let (mut ready, mut restarts) = (0_usize, 0);
    let mut last_restart: Option<Timestamp> = None;
    let phase = text(&status.phase);
    let mut reason = if text(&status.reason).is_empty() { phase } else { text(&status.reason) }.to_string();
    if condition_of(pod, "PodScheduled").is_some_and(|c| text(&c.reason) == "SchedulingGated") {
        reason = "SchedulingGated".into();
    }
    let init = spec.init_containers.as_deref().unwrap_or_default();
    let always = |container: &&Container| text(&container.restart_policy) == "Always";
    let ended =
        |container: &ContainerStatus| Some(container.last_state.as_ref()?.terminated.as_ref()?.finished_at.as_ref()?.0);
    let none = ContainerState::default();
    let mut initializing = false;
    let mut sidecar_restarts = 0;
    for (index, container) in status.init_container_statuses.iter().flatten().enumerate() {
        let state = container.state.as_ref().unwrap_or(&none);
        restarts += container.restart_count;
        last_restart = last_restart.max(ended(container));
        let restartable = init.iter().filter(always).any(|of| of.name == container.name);
        if restartable {
            sidecar_restarts += container.restart_count;
        }
        if state.terminated.as_ref().is_some_and(|ended| ended.exit_code == 0) {
            continue;
        }
        if restartable && container.started == Some(true) {
            ready += usize::from(container.ready);
            continue;
        }
        let waits = state.waiting.as_ref().map_or("", |waiting| text(&waiting.reason));
        reason = match (&state.terminated, waits) {
            (Some(ended), _) => why_ended("Init:", ended),
            (None, "" | "PodInitializing") => format!("Init:{index}/{}", init.len()),
            (None, why) => format!("Init:{why}"),
        };
        initializing = true;
        break;
    }
    total += init.iter().filter(always).count();
    if !initializing || is_true(pod, "Initialized") {
        restarts = sidecar_restarts;
        let mut running = false;
        for container in status.container_statuses.iter().flatten().rev() {
            restarts += container.restart_count;
            last_restart = last_restart.max(ended(container));
            let state = container.state.as_ref().unwrap_or(&none);
            let waits = state.waiting.as_ref().map_or("", |waiting| text(&waiting.reason));
            if !waits.is_empty() {
                reason = waits.into();
            } else if let Some(ended) = &state.terminated {
                reason = why_ended("", ended);
            } else if container.ready && state.running.is_some() {
                running = true;
                ready += 1;
            }
        }
        // A pod is not over while another of its containers runs.
        if reason == "Completed" && running {
            reason = if is_true(pod, "Ready") { "Running".into() } else { "NotReady".into() };
        }
    }
    if pod.metadata.deletion_timestamp.is_some() {
        if text(&status.reason) == "NodeLost" {
            reason = "Unknown".into();
        } else if !["Failed", "Succeeded"].contains(&phase) {
            reason = "Terminating".into();
        }
    }
    Containers { ready, total, status: reason, restarts, last_restart }
}

/// `printPod`.
pub fn pod(pod: &Pod, now: Timestamp) -> Vec<Value> {
    let (no_spec, no_status) = (PodSpec::default(), PodStatus::default());
    let (spec, status) = (pod.spec.as_ref().unwrap_or(&no_spec), pod.status.as_ref().unwrap_or(&no_status));
    let Containers { ready, total, status: shown, restarts, last_restart } = containers(pod);
    let restarts = match last_restart.filter(|_| restarts != 0) {
        Some(at) => format!("{restarts} ({} ago)", human(now.as_second() - at.as_second())),
        None => restarts.to_string(),
    };
    let or_none = |text: &str| Value::from(if text.is_empty() { "<none>" } else { text });
    let ip = status.pod_ips.iter().flatten().next().map_or(text(&status.pod_ip), |first| &first.ip);
    let gates = spec.readiness_gates.as_deref().unwrap_or_default();
    let gates = match gates.len() {
        0 => "<none>".to_string(),
        all => format!("{}/{all}", gates.iter().filter(|gate| is_true(pod, &gate.condition_type)).count()),
    };
    let old = pod.metadata.creation_timestamp.as_ref().map(|since| human(now.as_second() - since.0.as_second()));
    vec![
        pod.metadata.name.clone().into(),
        format!("{ready}/{total}").into(),
        shown.into(),
        restarts.into(),
        old.unwrap_or_else(|| "<unknown>".into()).into(),
        or_none(ip),
        or_none(text(&spec.node_name)),
        or_none(text(&status.nominated_node_name)),
        gates.into(),
    ]
}

/// `printNode`.
pub fn node(node: &Value, now: Timestamp) -> Vec<Value> {
    let (meta, status) = (&node["metadata"], &node["status"]);
    let mut said: Vec<String> = match condition(status, "Ready") {
        Some(condition) if condition["status"] == "True" => vec!["Ready".into()],
        Some(_) => vec!["NotReady".into()],
        None => vec!["Unknown".into()],
    };
    if node["spec"]["unschedulable"] == true {
        said.push("SchedulingDisabled".into());
    }
    let mut roles: Vec<String> = Vec::new();
    for (label, value) in meta["labels"].as_object().into_iter().flatten() {
        match label.strip_prefix("node-role.kubernetes.io/") {
            Some(role) if !role.is_empty() => roles.push(role.into()),
            _ if label == "kubernetes.io/role" && value != "" => roles.push(word(value)),
            _ => {}
        }
    }
    roles.sort();
    let info = &status["nodeInfo"];
    let address = |type_: &str| {
        let found = list(status, "addresses").find(|address| address["type"] == type_);
        found.map_or_else(|| "<none>".to_string(), |address| word(&address["address"]))
    };
    let known = |field: &str| match word(&info[field]).as_str() {
        "" => "<unknown>".to_string(),
        text => text.to_string(),
    };
    vec![
        meta["name"].clone(),
        said.join(",").into(),
        list_or_none(&roles).into(),
        age(&meta["creationTimestamp"], now).into(),
        word(&info["kubeletVersion"]).into(),
        address("InternalIP").into(),
        address("ExternalIP").into(),
        known("osImage").into(),
        known("kernelVersion").into(),
        known("containerRuntimeVersion").into(),
    ]
}

/// `printEvent`.
pub fn event(event: &Value, now: Timestamp) -> Vec<Value> {
    let first = match event["firstTimestamp"].is_null() {
        true => &event["eventTime"],
        false => &event["firstTimestamp"],
    };
    let (first_seen, mut last_seen) = (age(first, now), age(&event["lastTimestamp"], now));
    let mut count = event["count"].as_i64().unwrap_or_default();
    if event["series"].is_object() {
        last_seen = age(&event["series"]["lastObservedTime"], now);
        count = event["series"]["count"].as_i64().unwrap_or_default();
    } else if count == 0 {
        count = 1;
    }
    if event["lastTimestamp"].is_null() && !event["series"].is_object() {
        last_seen.clone_from(&first_seen);
    }
    let about = &event["involvedObject"];
    let object = match word(&about["name"]).as_str() {
        "" => word(&about["kind"]).to_lowercase(),
        name => format!("{}/{name}", word(&about["kind"]).to_lowercase()),
    };
    let source = match word(&event["source"]["host"]).as_str() {
        "" => word(&event["source"]["component"]),
        host => format!("{}, {host}", word(&event["source"]["component"])),
    };
    let source = if source.is_empty() { word(&event["reportingComponent"]) } else { source };
    vec![
        last_seen.into(),
        word(&event["type"]).into(),
        word(&event["reason"]).into(),
        object.into(),
        word(&about["fieldPath"]).into(),
        source.into(),
        word(&event["message"]).trim().into(),
        first_seen.into(),
        count.into(),
        event["metadata"]["name"].clone(),
    ]
}
