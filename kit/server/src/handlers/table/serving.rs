//! Columns of what the API server itself goes by, and of drivers.

use super::text::{age, human, word};
use kit_api::jiff::Timestamp;
use serde_json::{Value, json};

fn list<'a>(object: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> {
    object[field].as_array().into_iter().flatten()
}

fn born(object: &Value, now: Timestamp) -> Value {
    age(&object["metadata"]["creationTimestamp"], now).into()
}

/// Source: `kube-aggregator/pkg/registry/apiservice/etcd/etcd.go`.
pub fn api_service(object: &Value, now: Timestamp) -> Vec<Value> {
    let service = &object["spec"]["service"];
    let shown = match service.is_null() {
        true => "Local".into(),
        false => format!("{}/{}", word(&service["namespace"]), word(&service["name"])),
    };
    let available = list(&object["status"], "conditions").find(|condition| condition["type"] == "Available");
    let available = available.map_or_else(
        || "Unknown".to_string(),
        |condition| match (condition["status"].as_str(), word(&condition["reason"])) {
            (Some("True"), _) => "True".into(),
            (status, reason) if !reason.is_empty() => format!("{} ({reason})", status.unwrap_or_default()),
            (status, _) => status.unwrap_or_default().into(),
        },
    );
    vec![object["metadata"]["name"].clone(), shown.into(), available.into(), born(object, now)]
}

pub fn certificate_request(object: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let has = |type_: &str| list(status, "conditions").any(|condition| condition["type"] == type_);
    let mut shown = match (has("Denied"), has("Approved")) {
        (true, _) => "Denied",
        (false, true) => "Approved",
        (false, false) => "Pending",
    }
    .to_string();
    if has("Failed") {
        shown += ",Failed";
    }
    if !word(&status["certificate"]).is_empty() {
        shown += ",Issued";
    }
    let signer = spec["signerName"].as_str().filter(|name| !name.is_empty()).unwrap_or("<none>");
    let lasts = spec["expirationSeconds"].as_i64().map_or("<none>".to_string(), human);
    let user = spec["username"].as_str().unwrap_or_default();
    vec![object["metadata"]["name"].clone(), born(object, now), signer.into(), user.into(), lasts.into(), shown.into()]
}

pub fn driver(object: &Value, now: Timestamp) -> Vec<Value> {
    let spec = &object["spec"];
    let flag = |field: &str, default: bool| Value::from(spec[field].as_bool().unwrap_or(default));
    let joined = |texts: Vec<String>| texts.join(",");
    let modes = joined(list(spec, "volumeLifecycleModes").map(word).collect());
    let tokens = match spec["tokenRequests"].is_null() {
        true => "<unset>".to_string(),
        false => joined(list(spec, "tokenRequests").map(|request| word(&request["audience"])).collect()),
    };
    vec![
        object["metadata"]["name"].clone(),
        flag("attachRequired", true),
        flag("podInfoOnMount", false),
        flag("storageCapacity", false),
        tokens.into(),
        flag("requiresRepublish", false),
        if modes.is_empty() { "<none>".into() } else { modes.into() },
        born(object, now),
    ]
}

pub fn flow_schema(object: &Value, now: Timestamp) -> Vec<Value> {
    let spec = &object["spec"];
    let dangling = list(&object["status"], "conditions").find(|condition| condition["type"] == "Dangling");
    vec![
        object["metadata"]["name"].clone(),
        spec["priorityLevelConfiguration"]["name"].clone(),
        spec["matchingPrecedence"].as_i64().unwrap_or_default().into(),
        spec["distinguisherMethod"]["type"].as_str().unwrap_or("<none>").into(),
        born(object, now),
        dangling.and_then(|condition| condition["status"].as_str()).unwrap_or("?").into(),
    ]
}

pub fn priority_level(object: &Value, now: Timestamp) -> Vec<Value> {
    let spec = &object["spec"];
    let limited = &spec["limited"];
    let queuing = &limited["limitResponse"]["queuing"];
    let or_none = |value: &Value| if value.is_null() { json!("<none>") } else { value.clone() };
    vec![
        object["metadata"]["name"].clone(),
        spec["type"].clone(),
        or_none(&limited["nominalConcurrencyShares"]),
        or_none(&queuing["queues"]),
        or_none(&queuing["handSize"]),
        or_none(&queuing["queueLengthLimit"]),
        born(object, now),
    ]
}

/// `services/default/kubernetes`: what an address belongs to.
pub fn parent(of: &Value) -> String {
    if of.is_null() {
        return "<none>".into();
    }
    let (group, namespace) = (word(&of["group"]), word(&of["namespace"]));
    let mut shown = word(&of["resource"]);
    for (sign, part) in [('.', group), ('/', namespace), ('/', word(&of["name"]))] {
        if !part.is_empty() {
            shown.push(sign);
            shown += &part;
        }
    }
    shown.to_lowercase()
}

pub fn param_kind(of: &Value) -> String {
    match of.is_null() {
        true => "<unset>".into(),
        false => format!("{}/{}", word(&of["apiVersion"]), word(&of["kind"])),
    }
}

pub fn param(of: &Value) -> String {
    let (namespace, name) = (word(&of["namespace"]), word(&of["name"]));
    match (of.is_null(), namespace.is_empty(), name.is_empty()) {
        (true, ..) => "<unset>".into(),
        (false, _, true) => super::text::selector(&of["selector"]),
        (false, true, false) => name,
        (false, false, false) => format!("{namespace}/{name}"),
    }
}
