//! Fresh scenarios of `failure/disruption`: budgets of all kinds over few pods of few workloads, in the middle of evictions.

use crate::fresh::{Generator, question, several};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Value, json};

/// When all of it happens, in seconds.
const NOW: i64 = 1000;
/// With more disrupted pods than that nothing is evicted.
const MOST: usize = 2000;

fn amount() -> impl Strategy<Value = Value> {
    let pods = prop_oneof![4 => 0_i64..6, 1 => select(vec![10, 1 << 40])].prop_map(|pods| json!({"pods": pods}));
    let percent = prop_oneof![
        4 => select(vec![0_i64, 1, 10, 25, 30, 33, 34, 50, 66, 67, 75, 99, 100]),
        // Of a hundred pods, a float makes one more of these.
        2 => select(vec![7_i64, 14, 28, 55]),
        1 => 0_i64..=100,
    ];
    prop_oneof![1 => pods, 1 => percent.prop_map(|percent| json!({"percent": percent}))]
}

/// Since when pods are about to go: often right at the end of their two minutes.
fn since() -> impl Strategy<Value = i64> {
    prop_oneof![3 => select(vec![NOW - 121, NOW - 120, NOW - 119]), 2 => NOW - 200..=NOW]
}

fn name(pod: usize) -> String {
    format!("web-{pod:02}")
}

fn status() -> impl Strategy<Value = Value> {
    let reason = option::weighted(0.8, select(vec!["SufficientPods", "InsufficientPods", "SyncFailed"]));
    let allowed = prop_oneof![3 => Just(1_i64), 3 => Just(0), 2 => 2_i64..4, 1 => Just(-1)];
    (
        select(vec![3_i64, 3, 3, 2]),
        0_i64..5,
        0_i64..5,
        0_i64..5,
        allowed,
        btree_map((0_usize..8).prop_map(name), since(), 0..4),
        reason,
    )
        .prop_map(|(generation, expected, desired, current, allowed, disrupted, reason)| {
            json!({
                "observed_generation": generation, "expected_pods": expected, "desired_healthy": desired,
                "current_healthy": current, "disruptions_allowed": allowed, "disrupted_pods": disrupted,
                "condition": reason,
            })
        })
}

fn budget() -> impl Strategy<Value = Value> {
    let asks = prop_oneof![
        6 => amount().prop_map(|least| (Some(least), None)),
        6 => amount().prop_map(|most| (None, Some(most))),
        1 => Just((None, None)),
    ];
    let policy = prop_oneof![3 => Just("IfHealthyBudget"), 1 => Just("AlwaysAllow")];
    (asks, policy, status(), select(vec!["web", "api"])).prop_map(|((least, most), policy, status, name)| {
        json!({
            "name": name, "generation": 3, "min_available": least, "max_unavailable": most,
            "unhealthy_pods": policy, "status": status,
        })
    })
}

fn pod() -> impl Strategy<Value = Value> {
    let phase = prop_oneof![8 => Just("Running"), 1 => select(vec!["Pending", "Succeeded", "Failed", "Unknown"])];
    let controller = prop_oneof![
        3 => Just(Some("old")),
        3 => Just(Some("new")),
        2 => Just(Some("db")),
        1 => select(vec![None, Some("job"), Some("gone")]),
    ];
    (phase, prop::bool::weighted(0.8), prop::bool::weighted(0.1), controller).prop_map(
        |(phase, ready, deleting, controller)| {
            json!({"name": "web-00", "phase": phase, "ready": ready, "deleting": deleting, "controller": controller})
        },
    )
}

/// Pods by name; now and then many. Most sets of pods have a single workload, or those of a Deployment.
fn pods() -> impl Strategy<Value = Vec<Value>> {
    let controllers = prop_oneof![
        2 => Just(vec![Some("new")]),
        2 => Just(vec![Some("old"), Some("new")]),
        1 => Just(vec![Some("db")]),
        1 => Just(vec![Some("db"), Some("new"), None]),
        1 => Just(Vec::new()),
    ];
    let count = prop_oneof![14 => 0_usize..8, 1 => 65_usize..70];
    (count, vec(pod(), 8), controllers).prop_map(|(count, drawn, controllers)| {
        let numbered = |number: usize| {
            let mut pod = drawn[number * 5 % drawn.len()].clone();
            pod["name"] = name(number).into();
            if !controllers.is_empty() {
                pod["controller"] = json!(controllers[number % controllers.len()]);
            }
            pod
        };
        (0..count).map(numbered).collect()
    })
}

/// A Deployment in the middle of a rollout, a StatefulSet, and a Job, which has no scale.
fn workloads() -> impl Strategy<Value = Vec<Value>> {
    let replicas = || prop_oneof![4 => 0_i64..8, 1 => select(vec![10_i64, 100, 100, 1 << 33])];
    let all = (replicas(), replicas(), replicas(), replicas()).prop_map(|(old, new, web, db)| {
        vec![
            json!({"uid": "old", "kind": "ReplicaSet", "replicas": old, "deployment": "web"}),
            json!({"uid": "new", "kind": "ReplicaSet", "replicas": new, "deployment": "web"}),
            json!({"uid": "db", "kind": "StatefulSet", "replicas": db}),
            json!({"uid": "job", "kind": "Job", "replicas": null}),
            json!({"uid": "web", "kind": "Deployment", "replicas": web}),
        ]
    });
    let kept = prop_oneof![6 => Just(vec![0_usize, 1, 2, 3, 4]), 1 => subsequence(vec![0_usize, 1, 2, 3, 4], 2..=4)];
    (all, kept, any::<bool>()).prop_map(|(all, kept, reverse)| {
        let mut left: Vec<Value> = kept.into_iter().map(|index| all[index].clone()).collect();
        if reverse {
            left.reverse();
        }
        left
    })
}

fn evict() -> impl Strategy<Value = Value> {
    let budgets = prop_oneof![1 => vec(budget(), 0..=0), 10 => vec(budget(), 1..=1), 1 => vec(budget(), 2..=2)];
    let many = prop_oneof![12 => Just(0), 1 => select(vec![MOST, MOST + 1])];
    (pod(), budgets, prop::bool::weighted(0.15), many, 0_usize..8).prop_map(|(pod, budgets, dry_run, many, number)| {
        let (mut pod, mut budgets) = (pod, budgets);
        pod["name"] = name(number).into();
        if many > 0 {
            for budget in &mut budgets {
                let disrupted = (0..many).map(|number| (format!("old-{number:04}"), json!(NOW - 1)));
                budget["status"]["disrupted_pods"] = disrupted.collect::<serde_json::Map<_, _>>().into();
            }
        }
        let request = json!({"pod": pod, "budgets": budgets, "dry_run": dry_run, "now_seconds": NOW});
        question("evict", json!({"request": request}))
    })
}

/// A few questions of all kinds.
pub fn fresh() -> Generator {
    let expected = (budget(), pods(), workloads()).prop_map(|(budget, pods, workloads)| {
        question("expected", json!({"budget": budget, "pods": pods, "workloads": workloads}))
    });
    let sync = (budget(), pods(), workloads()).prop_map(|(budget, pods, workloads)| {
        let request = json!({"budget": budget, "pods": pods, "workloads": workloads, "now_seconds": NOW});
        question("sync", json!({"request": request}))
    });
    several(prop_oneof![3 => expected, 3 => sync, 4 => evict()], 4)
}
