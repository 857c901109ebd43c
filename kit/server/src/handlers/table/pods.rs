//! Rows of pods, nodes and events.

use super::text::{age, list_or_none, word};
use kit_api::jiff::Timestamp;
use serde_json::Value;

fn list<'a>(value: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> + Clone {
    value[field].as_array().map_or(&[][..], Vec::as_slice).iter()
}

fn condition<'a>(status: &'a Value, type_: &str) -> Option<&'a Value> {
    list(status, "conditions").find(|condition| condition["type"] == type_)
}

/// `printPod`.
pub fn pod(pod: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&pod["spec"], &pod["status"]);
    let mut total = list(spec, "containers").count();
    let (mut ready, mut restarts) = (0_usize, 0);
    let mut last_restart: Option<String> = None;
    let phase = word(&status["phase"]);
    let mut reason = if status["reason"].is_string() { word(&status["reason"]) } else { phase.clone() };
    if condition(status, "PodScheduled").is_some_and(|c| c["reason"] == "SchedulingGated") {
        reason = "SchedulingGated".into();
    }
    let init: Vec<&Value> = list(spec, "initContainers").collect();
    let sidecar = |name: &Value| init.iter().any(|c| c["name"] == *name && c["restartPolicy"] == "Always");
    let ended = |container: &Value| container["lastState"]["terminated"]["finishedAt"].as_str().map(str::to_string);
    let mut initializing = false;
    let mut sidecar_restarts = 0;
    for (index, container) in list(status, "initContainerStatuses").enumerate() {
        let state = &container["state"];
        let count = container["restartCount"].as_i64().unwrap_or_default();
        restarts += count;
        last_restart = last_restart.max(ended(container));
        let restartable = sidecar(&container["name"]);
        if restartable {
            sidecar_restarts += count;
        }
        if state["terminated"]["exitCode"] == 0 {
            continue;
        }
        if restartable && container["started"] == true {
            ready += usize::from(container["ready"] == true);
            continue;
        }
        let terminated = &state["terminated"];
        reason = if terminated.is_object() {
            match (word(&terminated["reason"]), terminated["signal"].as_i64().unwrap_or_default()) {
                (why, _) if !why.is_empty() => format!("Init:{why}"),
                (_, 0) => format!("Init:ExitCode:{}", terminated["exitCode"]),
                (_, signal) => format!("Init:Signal:{signal}"),
            }
        } else {
            match word(&state["waiting"]["reason"]).as_str() {
                "" | "PodInitializing" => format!("Init:{index}/{}", init.len()),
                why => format!("Init:{why}"),
            }
        };
        initializing = true;
        break;
    }
    total += init.iter().filter(|container| container["restartPolicy"] == "Always").count();
    let initialized = condition(status, "Initialized").is_some_and(|condition| condition["status"] == "True");
    if !initializing || initialized {
        restarts = sidecar_restarts;
        let mut running = false;
        let statuses: Vec<&Value> = list(status, "containerStatuses").collect();
        for container in statuses.iter().rev() {
            restarts += container["restartCount"].as_i64().unwrap_or_default();
            last_restart = last_restart.max(ended(container));
            let (waiting, terminated) = (&container["state"]["waiting"], &container["state"]["terminated"]);
            let why = word(&waiting["reason"]);
            if !why.is_empty() {
                reason = why;
            } else if terminated.is_object() {
                reason = match (word(&terminated["reason"]), terminated["signal"].as_i64().unwrap_or_default()) {
                    (why, _) if !why.is_empty() => why,
                    (_, 0) => format!("ExitCode:{}", terminated["exitCode"]),
                    (_, signal) => format!("Signal:{signal}"),
                };
            } else if container["ready"] == true && container["state"]["running"].is_object() {
                running = true;
                ready += 1;
            }
        }
        // A pod is not over while another of its containers runs.
        if reason == "Completed" && running {
            let is_ready = condition(status, "Ready").is_some_and(|condition| condition["status"] == "True");
            reason = if is_ready { "Running".into() } else { "NotReady".into() };
        }
    }
    if pod["metadata"]["deletionTimestamp"].is_string() {
        if status["reason"] == "NodeLost" {
            reason = "Unknown".into();
        } else if !["Failed", "Succeeded"].contains(&phase.as_str()) {
            reason = "Terminating".into();
        }
    }
    let restarts = match last_restart.filter(|_| restarts != 0) {
        Some(at) => format!("{restarts} ({} ago)", age(&at.into(), now)),
        None => restarts.to_string(),
    };
    let or_none = |value: &Value| match word(value).as_str() {
        "" => Value::from("<none>"),
        text => Value::from(text),
    };
    let ip = list(status, "podIPs").next().map_or(&status["podIP"], |first| &first["ip"]);
    let gates: Vec<&Value> = list(spec, "readinessGates").collect();
    let open = |gate: &&&Value| {
        let type_ = word(&gate["conditionType"]);
        condition(status, &type_).is_some_and(|condition| condition["status"] == "True")
    };
    let gates = match gates.len() {
        0 => "<none>".to_string(),
        all => format!("{}/{all}", gates.iter().filter(open).count()),
    };
    vec![
        pod["metadata"]["name"].clone(),
        format!("{ready}/{total}").into(),
        reason.into(),
        restarts.into(),
        age(&pod["metadata"]["creationTimestamp"], now).into(),
        or_none(ip),
        or_none(&spec["nodeName"]),
        or_none(&status["nominatedNodeName"]),
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
