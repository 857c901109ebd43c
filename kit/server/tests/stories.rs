//! Requests in stories: `custom_resources.yaml`, `requests.yaml` and `admission.yaml`.

use kit_api::jiff::Timestamp;
use kit_server::{Request, Server};
use kit_time::agenda::Instant;
use kit_time::random::Random;
use serde_json::{Map, Value, json};
use std::sync::Arc;

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Story {
    story: String,
    steps: Vec<Step>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    ask: String,
    #[serde(default)]
    say: String,
    #[serde(default)]
    body: Value,
    text: Option<String>,
    #[serde(default = "merge")]
    media: String,
    #[serde(default)]
    table: bool,
    #[serde(default = "fine")]
    code: u16,
    #[serde(default)]
    at: Map<String, Value>,
    #[serde(default)]
    causes: Vec<String>,
    #[serde(default)]
    warnings: Vec<String>,
}

fn merge() -> String {
    "application/merge-patch+json".into()
}

fn fine() -> u16 {
    200
}

/// What `{like: definition}` stands for: something of everything.
fn definition() -> Value {
    let target = json!({"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}});
    let spec = json!({
        "type": "object", "required": ["schedule"],
        "properties": {
            "schedule": {"type": "string", "maxLength": 10},
            "keep": {"type": "integer", "minimum": 1, "default": 7},
            "mode": {"type": "string", "enum": ["Always", "Never"]},
            "size": {"x-kubernetes-int-or-string": true},
            "options": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
            "template": {
                "type": "object", "x-kubernetes-embedded-resource": true, "x-kubernetes-preserve-unknown-fields": true,
            },
            "targets": {
                "type": "array", "items": target,
                "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
            },
        },
    });
    let status = json!({"type": "object", "properties": {"phase": {"type": "string"}, "runs": {"type": "integer"}}});
    json!({
        "metadata": {"name": "backups.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": {"plural": "backups", "kind": "Backup", "shortNames": ["bk"]},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {
                    "type": "object", "required": ["spec"], "properties": {"spec": spec, "status": status},
                }},
                "subresources": {
                    "status": {}, "scale": {"specReplicasPath": ".spec.keep", "statusReplicasPath": ".status.runs"},
                },
                "additionalPrinterColumns": [
                    {"name": "Schedule", "type": "string", "jsonPath": ".spec.schedule"},
                    {"name": "Keep", "type": "integer", "jsonPath": ".spec.keep"},
                ],
            }],
        },
    })
}

#[test]
fn custom_resources() {
    play(include_str!("custom_resources.yaml"));
}

#[test]
fn requests() {
    play(include_str!("requests.yaml"));
}

#[test]
fn admission() {
    play(include_str!("admission.yaml"));
}

fn play(stories: &str) {
    let stories: Vec<Story> = serde_yaml::from_str(stories).expect("stories");
    for Story { story, steps } in stories {
        let modules = solutions::modules();
        let store = modules.store.make(&());
        let mut server = Server::new(store, &modules, Random::new(1), Timestamp::UNIX_EPOCH);
        for (step, at) in steps.into_iter().zip(1..) {
            server.enter(Instant::seconds(at), &Arc::from("stories"));
            let here = format!("{story}: {} ({})", step.ask, step.say);
            let (method, path) = step.ask.split_once(' ').expect("a method and a path");
            let (path, query) = path.split_once('?').unwrap_or((path, ""));
            let body = if step.body == json!({"like": "definition"}) { definition() } else { step.body };
            let body = if body.is_null() { String::new() } else { body.to_string() };
            let body = step.text.unwrap_or(body);
            let media = if method == "PATCH" { step.media.as_str() } else { "application/json" };
            let accept = if step.table { "application/json;as=Table;v=v1;g=meta.k8s.io" } else { "application/json" };
            let headers = [("Content-Type", media), ("Accept", accept), ("User-Agent", "probe/1.0")];
            let answer =
                server.request(&Request { method, path, query, headers: &headers, body: body.as_bytes(), user: None });
            let value: Value = serde_json::from_str(answer.as_text()).unwrap_or_default();
            assert_eq!(answer.code, step.code, "{here}: {value}");
            for (pointer, expected) in &step.at {
                let there = value.pointer(pointer).unwrap_or(&Value::Null);
                assert_eq!(there, expected, "{here}: {pointer}");
            }
            if !step.warnings.is_empty() {
                assert_eq!(answer.warnings, step.warnings, "{here}");
            }
            if !step.causes.is_empty() {
                let causes = value["details"]["causes"].as_array().into_iter().flatten();
                let text = |cause: &Value, field: &str| cause[field].as_str().unwrap_or_default().to_string();
                let causes: Vec<String> =
                    causes.map(|cause| format!("{}: {}", text(cause, "field"), text(cause, "message"))).collect();
                assert_eq!(causes, step.causes, "{here}");
            }
        }
    }
}
