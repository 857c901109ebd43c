//! Fresh scenarios of `control_plane/concurrency`: each intent, and other clients that write what is near it.

use crate::fresh::Generator;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

/// Names with what JSON pointers and merge patches have to escape.
const ANNOTATIONS: [&str; 3] = ["count", "example.com/count", "example.com/a.b-c"];
const FINALIZERS: [&str; 3] = ["example.com/a", "example.com/b", "other.example.com/a"];
const IMAGES: [&str; 3] = ["web:1", "web:2", "registry.example.com:5000/web@sha256:0"];

fn intent() -> impl Strategy<Value = Value> {
    let annotation = || select(&ANNOTATIONS[..]);
    let finalizer = || select(&FINALIZERS[..]);
    prop_oneof![
        2 => (annotation(), select(vec!["1", "", "x"]))
            .prop_map(|(name, value)| json!({"set_annotation": {"name": name, "value": value}})),
        2 => annotation().prop_map(|name| json!({"increment": {"annotation": name}})),
        2 => finalizer().prop_map(|name| json!({ "add_finalizer": name })),
        2 => finalizer().prop_map(|name| json!({ "remove_finalizer": name })),
        2 => (select(vec!["web", "sidecar", "none"]), select(&IMAGES[..]))
            .prop_map(|(container, image)| json!({"set_image": {"container": container, "image": image}})),
        2 => (0_i64..5, 0_i64..5).prop_map(|(from, to)| json!({"scale": {"from": from, "to": to}})),
        2 => (select(vec!["Backup", "Available"]), select(vec!["True", "False"]))
            .prop_map(|(kind, status)| json!({"set_condition": {"type": kind, "status": status}})),
        1 => Just(json!({"delete": {"uid": ""}})),
        1 => Just(json!("delete_unchanged")),
    ]
}

fn write() -> impl Strategy<Value = Value> {
    let annotation = || select(&ANNOTATIONS[..]);
    prop_oneof![
        4 => (annotation(), select(vec![json!("7"), json!("41"), json!(null)]))
            .prop_map(|(name, value)| json!({"merge": {"metadata": {"annotations": {name: value}}}})),
        2 => (0_i64..5).prop_map(|replicas| json!({"merge": {"spec": {"replicas": replicas}}})),
        3 => proptest::sample::subsequence(FINALIZERS.to_vec(), 0..=3)
            .prop_map(|all| json!({"merge": {"metadata": {"finalizers": all}}})),
        2 => (select(vec!["web", "sidecar"]), select(&IMAGES[..])).prop_map(
            |(name, image)| json!({"strategic": {"spec": {"template": {"spec": {"containers": [{"name": name, "image": image}]}}}}})
        ),
        2 => annotation().prop_map(|name| json!({ "increment": name })),
        2 => (select(vec!["Backup", "Available", "Progressing"]), select(vec!["True", "False"])).prop_map(
            |(kind, status)| json!({"merge_status": {"conditions": [{"type": kind, "status": status}]}})
        ),
    ]
}

/// Whether a write of others is about what the intent is about. Counting goes together with counting.
fn meets(intent: &Value, write: &Value) -> bool {
    let is = |name: &str| !intent[name].is_null();
    let merged = &write["merge"];
    (is("add_finalizer") || is("remove_finalizer")) && !merged["metadata"]["finalizers"].is_null()
        || is("scale") && !merged["spec"]["replicas"].is_null()
        || is("set_image") && !write["strategic"].is_null()
        || is("set_condition") && !write["merge_status"].is_null()
        || is("set_annotation") && (!write["increment"].is_null() || !merged["metadata"]["annotations"].is_null())
        || is("increment") && !merged["metadata"]["annotations"].is_null()
}

/// One client among others. Every correct client comes to the same object, whatever requests it prefers.
pub fn fresh() -> Generator {
    let object =
        (proptest::sample::subsequence(FINALIZERS.to_vec(), 0..=2), select(vec![None, Some("3"), Some("9")]), 0_i64..5);
    let object = object.prop_map(|(finalizers, count, replicas)| {
        let mut object = json!({"metadata": {"finalizers": finalizers}, "spec": {"replicas": replicas}});
        if let Some(count) = count {
            object["metadata"]["annotations"] = json!({"count": count, "example.com/count": "0"});
        }
        object
    });
    // Only the first write of others comes before the client's first, and only if that writes at all. So that all correct
    // clients come to the same, what others write meanwhile is not what the intent is about; what they wrote before may be.
    let apart =
        select(vec!["1", "2"]).prop_map(|value| json!({"merge": {"metadata": {"annotations": {"apart": value}}}}));
    (intent(), object, vec(write(), 0..2), vec(write(), 0..2), vec(apart, 0..3))
        .prop_map(|(intent, object, unseen, mut others, apart)| {
            others.retain(|write| !meets(&intent, write));
            if intent != "delete_unchanged" && intent["delete"].is_null() {
                others.extend(apart);
            }
            json!({
                "client": intent, "object": object, "unseen": unseen, "others": others, "requests": 12,
                "observe": [
                    "/metadata/annotations", "/metadata/finalizers", "/spec/replicas", "/spec/template/spec/containers",
                    "/status/conditions",
                ],
            })
        })
        .boxed()
}
