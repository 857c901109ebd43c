//! Fresh scenarios of `control_plane/garbage_collector`: owners that are there, gone, replaced or waiting, and what depends.

use crate::fresh::{Generator, question};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Value, json};

const TIME: &str = "2025-06-01T12:00:00Z";

/// Metadata of one object: where it is, whether it is being deleted, and what holds it.
fn metadata(name: String, uid: String, namespace: Option<&str>, deleting: bool, finalizers: &[&str]) -> Value {
    let mut metadata = json!({"name": name, "uid": uid});
    if let Some(namespace) = namespace {
        metadata["namespace"] = namespace.into();
    }
    if deleting {
        metadata["deletionTimestamp"] = TIME.into();
    }
    if !finalizers.is_empty() {
        metadata["finalizers"] = json!(finalizers);
    }
    metadata
}

fn finalizers() -> impl Strategy<Value = Vec<&'static str>> {
    let some = subsequence(vec!["foregroundDeletion", "orphan", "example.com/hold"], 1..=3).prop_shuffle();
    prop_oneof![2 => Just(Vec::new()), 3 => some]
}

fn sometimes() -> impl Strategy<Value = bool> {
    prop_oneof![3 => Just(false), 1 => Just(true)]
}

/// What was found of an owner, and where the graph saw it.
#[derive(Debug, Clone)]
struct Found {
    kind: u8,
    deleting: bool,
    finalizers: Vec<&'static str>,
    blocks: Option<bool>,
    controller: bool,
    seen_in: Option<&'static str>,
}

fn found() -> impl Strategy<Value = Found> {
    let kind = prop_oneof![10 => Just(0), 4 => Just(1), 4 => Just(2), 1 => Just(3), 1 => Just(4)];
    let seen_in = option::weighted(0.6, select(vec!["default", "default", "shop", ""]));
    (kind, any::<bool>(), finalizers(), option::of(any::<bool>()), sometimes(), seen_in).prop_map(
        |(kind, deleting, finalizers, blocks, controller, seen_in)| Found {
            kind,
            deleting,
            finalizers,
            blocks,
            controller,
            seen_in,
        },
    )
}

/// One object with its owners and its dependents, now and then with many of them.
pub fn fresh() -> Generator {
    // A reference twice is only warned of, and then one of the two may block.
    let references = prop_oneof![5 => Just(0_u8), 2 => Just(1), 1 => Just(2), 1 => Just(3)];
    let dependent = (any::<bool>(), finalizers(), option::of(any::<bool>()), references).boxed();
    let object = (any::<bool>(), finalizers(), prop_oneof![6 => Just(true), 1 => Just(false)]);
    let owners = prop_oneof![12 => vec(found(), 0..4), 1 => vec(found(), 20)];
    let dependents = prop_oneof![12 => vec(dependent.clone(), 0..4), 1 => vec(dependent, 20)];
    // Of some nothing is known, in both ways, one after the other.
    let unknown = option::weighted(0.06, 0_usize..2);
    (object, owners, dependents, sometimes(), unknown)
        .prop_map(|((deleting, finalizers, namespaced), owners, dependents, lost, unknown)| {
            let (namespaced, lost) = (namespaced && unknown.is_none(), lost || unknown.is_some());
            let deleting = deleting && unknown.is_none();
            let namespace = namespaced.then_some("default");
            let mut object = metadata("web".into(), "u-web".into(), namespace, deleting, &finalizers);
            let mut looked_up = Vec::new();
            let mut references = Vec::new();
            for (number, owner) in owners.iter().enumerate() {
                let (name, uid) = (format!("owner-{number}"), format!("u-{number}"));
                let mut reference = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": name, "uid": uid});
                if let Some(blocks) = owner.blocks {
                    reference["blockOwnerDeletion"] = blocks.into();
                }
                if owner.controller {
                    reference["controller"] = true.into();
                }
                let there = |uid: &str| {
                    json!({"found": metadata(name.clone(), uid.into(), namespace, owner.deleting, &owner.finalizers)})
                };
                let kind = unknown.filter(|_| owner.kind < 2).map_or(owner.kind, |first| 3 + ((number + first) % 2) as u8);
                let lookup = match kind {
                    0 => there(&uid),
                    1 => json!("not_found"),
                    2 => there("u-another"),
                    3 if !namespaced => json!("no_namespace"),
                    _ if lost => json!("failed"),
                    _ => there(&uid),
                };
                looked_up.push(json!({"reference": reference, "lookup": lookup, "seen_in": owner.seen_in}));
                references.push(reference);
            }
            if !references.is_empty() {
                object["ownerReferences"] = references.into();
            }
            let dependents = dependents.iter().enumerate().map(|(number, (deleting, finalizers, blocks, references))| {
                let (name, uid) = (format!("pod-{number}"), format!("d-{number}"));
                let mut metadata = metadata(name, uid, namespace, *deleting, finalizers);
                let mut reference = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "u-web"});
                if let Some(blocks) = blocks {
                    reference["blockOwnerDeletion"] = (*blocks).into();
                }
                if number % 2 == 0 {
                    reference["controller"] = true.into();
                }
                let other = json!({
                    "apiVersion": "v1", "kind": "ConfigMap", "name": "other", "uid": "u-other", "blockOwnerDeletion": true,
                });
                let again = json!({
                    "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "u-web", "blockOwnerDeletion": true,
                });
                metadata["ownerReferences"] = match references {
                    0 => json!([reference]),
                    1 => json!([other, reference]),
                    2 => json!([reference, other, again]),
                    _ => json!([again, reference]),
                };
                json!({"kind": "Pod", "metadata": metadata})
            });
            let dependents: Vec<Value> = dependents.collect();
            let object = json!({"kind": "ReplicaSet", "metadata": object});
            question("process", json!({"item": {"object": object, "owners": looked_up, "dependents": dependents}}))
        })
        .boxed()
}
