//! Fresh scenarios of `workloads/rolling_update`: rollouts in the middle, sets whose status is behind, shares with remainders.

use crate::fresh::{Generator, question};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

/// A number, or percent that come out even and uneven.
fn amount() -> impl Strategy<Value = Value> {
    prop_oneof![
        3 => select(vec![0, 0, 1, 2, 3, 10, 100]).prop_map(Value::from),
        4 => select(vec!["0%", "1%", "7%", "10%", "14%", "25%", "28%", "29%", "33%", "34%", "50%", "55%", "57%", "99%", "100%"]).prop_map(Value::from),
    ]
}

fn update() -> impl Strategy<Value = Value> {
    let unavailable = prop_oneof![9 => amount(), 1 => Just(json!("150%"))];
    (amount(), unavailable).prop_map(|(surge, unavailable)| json!({"max_surge": surge, "max_unavailable": unavailable}))
}

/// How many replicas, where percent round both ways.
fn replicas() -> impl Strategy<Value = i32> {
    prop_oneof![4 => 0..12_i32, 2 => select(vec![99, 100, 101, 1000, 1001]), 1 => select(vec![70_000, 99_999, 70_001])]
}

/// A set: its size, how many of its pods are available, and what its annotations say beside the Deployment's.
fn set(replicas: i32) -> impl Strategy<Value = Value> {
    let size = prop_oneof![2 => Just(0), 5 => 0..=replicas.saturating_add(3), 1 => Just(replicas)];
    let desired =
        prop_oneof![8 => Just(Some(replicas)), 1 => Just(None), 2 => option::of(0..replicas.saturating_add(5))];
    let max = prop_oneof![3 => Just(None), 4 => (0..replicas.saturating_add(8)).prop_map(Some)];
    (size, 0..6_i32, prop_oneof![12 => Just(0), 1 => Just(3)], desired, max).prop_map(
        move |(size, missing, ahead, desired, max)| {
            json!({
                "replicas": size, "available": (size - missing).max(0) + ahead, "desired_replicas": desired,
                "max_replicas": max.unwrap_or(replicas + 1),
            })
        },
    )
}

/// The fences of a rolling update, or one sync.
pub fn fresh() -> Generator {
    let fences = (update(), prop_oneof![3 => replicas(), 1 => select(vec![i32::MAX / 200, 1_000_000])])
        .prop_map(|(update, replicas)| question("fenceposts", json!({"update": update, "replicas": replicas})));
    let strategy = prop_oneof![
        6 => update().prop_map(|update| json!({ "RollingUpdate": update })),
        1 => Just(json!("Recreate")),
    ];
    let sync = (replicas(), strategy, prop_oneof![6 => Just(false), 1 => Just(true)], any::<bool>()).prop_flat_map(
        |(replicas, strategy, paused, running)| {
            let new = prop_oneof![1 => Just(None), 4 => (0..5_usize).prop_map(Some)];
            // Many of two sizes: only their age tells them apart, and sorting must not lose it.
            let many = (vec(set(replicas), 30..40), 0..=replicas.min(4)).prop_map(|(mut sets, size)| {
                for (number, set) in sets.iter_mut().enumerate() {
                    // Two sizes, since what is sorted already stays as it is.
                    set["replicas"] = (size + i32::from(number % 3 == 0)).into();
                }
                sets
            });
            let sets = prop_oneof![20 => vec(set(replicas), 0..5), 2 => many];
            (sets, new, 0..100_usize).prop_map(move |(mut sets, new, seed)| {
                let count = sets.len();
                for (number, set) in sets.iter_mut().enumerate() {
                    // As of hashes: their order says nothing.
                    set["name"] = format!("web-{:02}", (number * 37 + seed) % 100).into();
                    set["new"] = (new.map(|new| new % count.max(1)) == Some(number)).into();
                }
                let request = json!({
                    "replicas": replicas, "paused": paused, "strategy": strategy, "replica_sets": sets, "old_pods_running": running,
                });
                question("sync", json!({ "request": request }))
            })
        },
    );
    prop_oneof![2 => fences, 7 => sync].boxed()
}
