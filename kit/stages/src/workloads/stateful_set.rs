//! Fresh scenarios of `workloads/stateful_set`: sets in the middle of something, with gaps, old pods and claims of others.

use crate::fresh::{Generator, question, several};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

/// The first ordinals of pods that are looked at, from the start of the set on, and some below it.
const SPAN: i32 = 7;

/// What one pod is like; none if it is missing.
fn pod() -> impl Strategy<Value = Option<Value>> {
    let state = prop_oneof![
        10 => Just("Available"), 2 => Just("Ready"), 2 => Just("NotReady"), 2 => Just("Pending"), 1 => Just("Failed"), 1 => Just("Succeeded"),
    ];
    let revision = prop_oneof![3 => Just("db-2"), 2 => Just("db-1"), 1 => Just("db-0"), 1 => Just("")];
    let rarely = || prop_oneof![7 => Just(false), 1 => Just(true)];
    let there = (state, revision, rarely(), rarely()).prop_map(|(state, revision, terminating, drifted)| {
        Some(json!({"revision": revision, "state": state, "terminating": terminating, "drifted": drifted}))
    });
    prop_oneof![7 => there, 1 => Just(None)]
}

/// Pods that are all well, but for the first of some.
fn pods() -> impl Strategy<Value = Vec<Option<Value>>> {
    let well = |revision: &'static str| Some(json!({"revision": revision, "state": "Available"}));
    let mostly = (vec(pod(), 0..4), 0..8_usize, select(vec!["db-2", "db-1"])).prop_map(move |(some, at, revision)| {
        let mut pods = vec![well(revision); 8];
        for (index, pod) in some.into_iter().enumerate() {
            pods[(at + index * 3) % 8] = pod;
        }
        pods
    });
    // Long ones of which only the last may be sick.
    let long = (pod(), select(vec!["db-2", "db-1"]), 64..72_usize).prop_map(move |(last, revision, count)| {
        let mut pods = vec![well(revision); count];
        pods.push(last);
        pods
    });
    prop_oneof![10 => vec(pod(), 0..9), 15 => mostly, 1 => long]
}

fn keep() -> impl Strategy<Value = Value> {
    let keep = || prop_oneof![Just("Retain"), Just("Delete")];
    (keep(), keep()).prop_map(|(deleted, scaled)| json!({"when_deleted": deleted, "when_scaled": scaled}))
}

fn set() -> impl Strategy<Value = Value> {
    let replicas = prop_oneof![20 => 0..7_i32, 3 => Just(1), 1 => 64..72_i32, 1 => select(vec![499, 500, 501, 1003])];
    let start = prop_oneof![4 => Just(0), 1 => Just(1), 1 => Just(5), 1 => Just(2_147_480_000)];
    let policy = prop_oneof![3 => Just("OrderedReady"), 2 => Just("Parallel")];
    let partition = prop_oneof![3 => Just(0), 3 => 0..5_i32, 1 => Just(i32::MAX)];
    let most = prop_oneof![12 => Just(Value::Null), 4 => (1..4_i32).prop_map(Value::from), 1 => Just(json!(i32::MAX))];
    let update = prop_oneof![
        8 => (partition, most).prop_map(|(partition, most)| json!({"RollingUpdate": {"partition": partition, "max_unavailable": most}})),
        1 => Just(json!("OnDelete")),
    ];
    let current = prop_oneof![2 => Just("db-1"), 1 => Just("db-2")];
    let templates = prop_oneof![2 => Just(json!([])), 4 => Just(json!(["data"])), 2 => Just(json!(["data", "data-db"])), 1 => Just(json!(["data", "logs", "data-db"]))];
    let deleting = prop_oneof![12 => Just(false), 1 => Just(true)];
    let name = prop_oneof![3 => Just("db"), 1 => Just("db-1")];
    (replicas, start, policy, update, current, (name, templates), keep(), deleting).prop_map(
        |(replicas, start, policy, update, current, (name, templates), retention, deleting)| {
            json!({
                "name": name, "start": start, "replicas": replicas, "policy": policy, "update": update, "current_revision": current,
                "update_revision": "db-2", "claim_templates": templates, "retention": retention, "deleting": deleting,
            })
        },
    )
}

/// A claim that is there, terminating or not, of an earlier pod or not; none if it is missing.
fn claim() -> impl Strategy<Value = Option<(bool, bool)>> {
    prop_oneof![6 => Just(Some((false, false))), 2 => Just(None), 1 => Just(Some((true, false))), 1 => Just(Some((false, true))), 1 => Just(Some((true, true)))]
}

/// Who owns a claim, and what syncs do.
pub fn fresh() -> Generator {
    let owner = (keep(), any::<bool>()).prop_map(|(retention, condemned)| {
        question("claim_owner", json!({"retention": retention, "condemned": condemned}))
    });
    let sync = (set(), pods(), vec(claim(), 24), 0..3_i32, 0..5_usize).prop_map(|(set, pods, claims, below, turn)| {
        let start = set["start"].as_i64().unwrap_or(0) as i32;
        let first = start - below.min(start);
        let pods = pods.into_iter().enumerate().filter_map(|(index, pod)| {
            let mut pod = pod?;
            pod["ordinal"] = (first + index as i32).into();
            Some(pod)
        });
        let mut pods: Vec<Value> = pods.collect();
        if !pods.is_empty() {
            // They come in no order.
            let count = pods.len();
            pods.rotate_left(turn % count);
        }
        let mut known = Vec::new();
        for (index, claim) in claims.iter().enumerate() {
            let Some((terminating, of_earlier_pod)) = claim else { continue };
            // Claims of the set's pods, and some that only look like it.
            let template = ["data", "data-db", "logs"][index % 3];
            let ordinal = first + (index as i32 / 3) % (SPAN + 1);
            let name = format!("{template}-{}-{ordinal}", set["name"].as_str().unwrap_or_default());
            known.push(json!({"name": name, "terminating": terminating, "of_earlier_pod": of_earlier_pod}));
        }
        question("sync", json!({"request": {"set": set, "pods": pods, "claims": known}}))
    });
    several(prop_oneof![1 => owner, 12 => sync], 3)
}
