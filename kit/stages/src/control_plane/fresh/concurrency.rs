//! Fresh scenarios of `control_plane/concurrency`: each intent, and other clients that write what is near it, or delete it.

use crate::fresh::Generator;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

/// Names with what JSON pointers and merge patches have to escape.
const ANNOTATIONS: [&str; 3] = ["count", "example.com/count", "example.com/a.b-c"];
const FINALIZERS: [&str; 3] = ["example.com/a", "example.com/b", "other.example.com/a"];
const IMAGES: [&str; 3] = ["web:1", "web:2", "registry.example.com:5000/web@sha256:0"];

/// What a client applies, some of it of no sense.
fn fields() -> impl Strategy<Value = Value> {
    let annotation = option::of((select(&ANNOTATIONS[..]), select(vec!["7", "1", ""])));
    let replicas = option::of(select(vec![3_i64, 0, 5, 5, -1]));
    (annotation, option::weighted(0.3, Just("blue")), replicas, option::weighted(0.3, 0_i64..3)).prop_map(
        |(annotation, team, replicas, ready)| {
            let mut fields = json!({"spec": {}});
            if let Some((name, value)) = annotation {
                fields["metadata"]["annotations"][name] = value.into();
            }
            if let Some(team) = team {
                fields["metadata"]["labels"]["team"] = team.into();
            }
            if let Some(replicas) = replicas {
                fields["spec"]["replicas"] = replicas.into();
            }
            if let Some(seconds) = ready {
                fields["spec"]["minReadySeconds"] = seconds.into();
            }
            fields
        },
    )
}

fn intent() -> impl Strategy<Value = Value> {
    let annotation = || select(&ANNOTATIONS[..]);
    let finalizer = || select(&FINALIZERS[..]);
    prop_oneof![
        2 => (annotation(), select(vec!["1", "", "x"]))
            .prop_map(|(name, value)| json!({"set_annotation": {"name": name, "value": value}})),
        6 => select(vec![ANNOTATIONS[0], ANNOTATIONS[1], ANNOTATIONS[0], ANNOTATIONS[1], ANNOTATIONS[2]])
            .prop_map(|name| json!({"increment": {"annotation": name}})),
        2 => finalizer().prop_map(|name| json!({ "add_finalizer": name })),
        2 => finalizer().prop_map(|name| json!({ "remove_finalizer": name })),
        3 => (select(vec!["web", "web-proxy", "sidecar", "we"]), select(&IMAGES[..]))
            .prop_map(|(container, image)| json!({"set_image": {"container": container, "image": image}})),
        3 => (0_i64..3, 0_i64..3).prop_map(|(from, to)| json!({"scale": {"from": from, "to": to}})),
        2 => (select(vec!["Backup", "Available"]), select(vec!["True", "False", "Unknown"]))
            .prop_map(|(kind, status)| json!({"set_condition": {"type": kind, "status": status}})),
        2 => select(vec!["", "", "", "u-gone"]).prop_map(|uid| json!({"delete": {"uid": uid}})),
        2 => Just(json!("delete_unchanged")),
        // Refused, and no conflict.
        2 => Just(json!({"apply": {"fields": {"spec": {"replicas": -1}}, "force": true}})),
        4 => (fields(), any::<bool>()).prop_map(|(fields, force)| json!({"apply": {"fields": fields, "force": force}})),
    ]
}

fn write() -> impl Strategy<Value = Value> {
    let annotation = || select(&ANNOTATIONS[..]);
    prop_oneof![
        4 => (annotation(), select(vec![json!("7"), json!("41"), json!(null)]))
            .prop_map(|(name, value)| json!({"merge": {"metadata": {"annotations": {name: value}}}})),
        2 => (0_i64..3).prop_map(|replicas| json!({"merge": {"spec": {"replicas": replicas}}})),
        3 => proptest::sample::subsequence(FINALIZERS.to_vec(), 0..=3)
            .prop_map(|all| json!({"merge": {"metadata": {"finalizers": all}}})),
        2 => (select(vec!["web", "web-proxy", "sidecar"]), select(&IMAGES[..])).prop_map(
            |(name, image)| json!({"strategic": {"spec": {"template": {"spec": {"containers": [{"name": name, "image": image}]}}}}})
        ),
        2 => annotation().prop_map(|name| json!({ "increment": name })),
        2 => (select(vec!["Backup", "Available", "Progressing"]), select(vec!["True", "False", "Unknown"])).prop_map(
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

/// What becomes of the object itself.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    Stays,
    /// Deleted, or replaced by another one, before the client begins.
    Gone,
    Another,
    /// The same right before its first write.
    GoesMeanwhile,
    ReplacedMeanwhile,
}

/// One client among others. Every correct client comes to the same object, whatever requests it prefers.
pub fn fresh() -> Generator {
    // What a byte, 32 bits and a double don't hold.
    let large = vec![Some("255"), Some("2147483647"), Some("9007199254740993"), Some("9007199254740993")];
    let count = prop_oneof![1 => select(vec![None, Some("3"), Some("9"), Some("-1"), Some("-10")]), 1 => select(large)];
    let object = (proptest::sample::subsequence(FINALIZERS.to_vec(), 0..=2), count, 0_i64..3);
    let object = object.prop_map(|(finalizers, count, replicas)| {
        let mut object = json!({"metadata": {"finalizers": finalizers}, "spec": {"replicas": replicas}});
        if let Some(count) = count {
            object["metadata"]["annotations"] = json!({"count": count, "example.com/count": count});
        }
        object
    });
    // Only the first write of others comes before the client's first, and only if that writes at all. So that all correct
    // clients come to the same, what others write meanwhile is not what the intent is about; what they wrote before may be.
    let apart =
        select(vec!["1", "2"]).prop_map(|value| json!({"merge": {"metadata": {"annotations": {"apart": value}}}}));
    let fate = prop_oneof![
        5 => Just(Fate::Stays),
        1 => Just(Fate::Gone),
        1 => Just(Fate::Another),
        1 => Just(Fate::GoesMeanwhile),
        1 => Just(Fate::ReplacedMeanwhile),
    ];
    let applied = (select(vec!["shop-operator", "autoscaler"]), fields())
        .prop_map(|(manager, fields)| json!({"apply": [manager, fields]}));
    (intent(), object, vec(write(), 0..2), (vec(write(), 0..2), vec(applied, 0..2)), vec(apart, 0..3), fate)
        .prop_map(|(intent, mut object, mut unseen, (mut others, applied), apart, fate)| {
            let is = |name: &str| !intent[name].is_null();
            let deletes = is("delete") || intent == "delete_unchanged";
            others.retain(|write| !meets(&intent, write));
            if is("apply") {
                // Nobody applies less than nothing but the client.
                let sensible = |write: &&Value| write["apply"][1]["spec"]["replicas"] != -1;
                unseen.extend(applied.iter().filter(sensible).cloned());
            } else if !deletes {
                others.extend(apart);
            }
            if fate != Fate::Stays {
                // Finalizers would keep it.
                object["metadata"]["finalizers"] = json!([]);
                let keeps = |write: &Value| !write["merge"]["metadata"]["finalizers"].is_null();
                unseen.retain(|write| !keeps(write));
                others.retain(|write| !keeps(write));
            }
            match fate {
                Fate::Stays => {}
                Fate::Gone => {
                    unseen.push(json!("delete"));
                    others.clear();
                }
                Fate::Another => unseen.push(json!("replace")),
                // Who finds nothing to do, or that it was changed, writes nothing, and then nothing happens meanwhile.
                Fate::GoesMeanwhile if is("increment") || deletes || is("apply") => {
                    if intent == "delete_unchanged" {
                        unseen.clear();
                    }
                    others = vec![json!("delete")];
                }
                Fate::GoesMeanwhile => {}
                Fate::ReplacedMeanwhile => {
                    unseen.clear();
                    others.insert(0, json!("replace"));
                }
            }
            // An apply is one request. Each write may have a read before it, and a write of others may cost one more of both;
            // a first write from the cache has none, and may meet what the cache hasn't seen.
            let requests = if is("apply") { 1 } else { (2 * others.len() + 2).max(3) };
            json!({
                "client": intent, "object": object, "unseen": unseen, "others": others, "requests": requests,
                "observe": [
                    "/metadata/annotations", "/metadata/finalizers", "/metadata/labels", "/spec/replicas", "/spec/minReadySeconds",
                    "/spec/template/spec/containers", "/status/conditions",
                ],
            })
        })
        .boxed()
}
