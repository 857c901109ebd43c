//! What a recorded case finds already there: namespaces, and objects that it reads or changes without having made them.

use super::Session;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Objects of kinds that a case only tries to change, with the least that makes them valid.
fn least(plural: &str) -> Option<Value> {
    Some(match plural {
        "priorityclasses" => json!({"value": 1000}),
        "configmaps" | "secrets" | "serviceaccounts" | "nodes" | "namespaces" => json!({}),
        _ => return None,
    })
}

/// Makes what the steps need.
pub fn prepare(session: &mut Session, steps: &[Value]) {
    let mut made: BTreeSet<String> = BTreeSet::new();
    for namespace in steps.iter().filter_map(|step| namespace_of(text(&step["request"]["path"]))) {
        if made.insert(format!("/api/v1/namespaces/{namespace}")) {
            post(session, "/api/v1/namespaces", json!({"metadata": {"name": namespace}}));
        }
    }
    for step in steps {
        let (request, response) = (&step["request"], &step["response"]);
        let path = text(&request["path"]).split('?').next().unwrap_or_default().to_string();
        let (code, body) = (response["code"].as_u64().unwrap_or_default(), &response["body"]);
        let name = text(&body["metadata"]["name"]);
        match text(&request["method"]) {
            "POST" if code == 201 => _ = made.insert(format!("{path}/{name}")),
            "POST" if body["reason"] == "AlreadyExists" => {
                let name = text(&request["body"]["metadata"]["name"]);
                if made.insert(format!("{path}/{name}")) {
                    post(session, &path, request["body"].clone());
                }
            }
            "POST" => taken_address(session, &path, text(&body["message"])),
            "PATCH" if code == 201 => _ = made.insert(path),
            _ => {
                for item in body["items"].as_array().into_iter().flatten() {
                    let name = text(&item["metadata"]["name"]);
                    if made.insert(format!("{path}/{name}")) {
                        post(session, &path, item.clone());
                    }
                }
                let whole = whole(&path);
                let known = made.contains(&whole) || code == 404 || !is_item(&whole);
                if known {
                    continue;
                }
                let collection = whole.rsplit_once('/').map_or("", |(collection, _)| collection);
                let object = match (body["kind"] == "Status", name.is_empty()) {
                    (false, false) => Some(body.clone()),
                    _ => least(collection.rsplit('/').next().unwrap_or_default()).map(|mut object| {
                        object["metadata"] = json!({"name": whole.rsplit('/').next()});
                        object
                    }),
                };
                if let Some(object) = object {
                    post(session, collection, object);
                    made.insert(whole);
                }
            }
        }
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn namespace_of(path: &str) -> Option<&str> {
    let (_, rest) = path.split_once("/namespaces/")?;
    let (namespace, _) = rest.split_once('/')?;
    Some(namespace)
}

/// The path without a subresource.
fn whole(path: &str) -> String {
    ["/status", "/scale", "/binding", "/eviction"]
        .iter()
        .find_map(|sub| path.strip_suffix(sub))
        .unwrap_or(path)
        .to_string()
}

/// Whether a path names one object.
fn is_item(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    let rest = match parts[..] {
        ["api", _, ref rest @ ..] | ["apis", _, _, ref rest @ ..] => rest,
        _ => return false,
    };
    matches!(rest, [_, _] | ["namespaces", _, _, _])
}

/// Another case took an address that this one asks for.
fn taken_address(session: &mut Session, path: &str, message: &str) {
    let Some((_, rest)) = message.split_once("failed to allocate IP ") else { return };
    let Some((address, _)) = rest.split_once(": provided IP is already allocated") else { return };
    let spec = json!({"clusterIP": address, "ports": [{"port": 80}]});
    post(session, path, json!({"metadata": {"name": "taken"}, "spec": spec}));
}

fn post(session: &mut Session, path: &str, mut object: Value) {
    for field in ["uid", "resourceVersion", "creationTimestamp", "managedFields"] {
        object["metadata"].as_object_mut().map(|meta| meta.shift_remove(field));
    }
    let request = json!({"method": "POST", "path": path, "body": object});
    // Some can't be made, because they are there from the start.
    _ = session.send(&request);
    if object["status"].is_object() {
        let name = text(&object["metadata"]["name"]);
        let body = json!({"status": object["status"]});
        let media = "application/merge-patch+json";
        let path = format!("{path}/{name}/status");
        _ = session.send(&json!({"method": "PATCH", "path": path, "contentType": media, "body": body}));
    }
}
