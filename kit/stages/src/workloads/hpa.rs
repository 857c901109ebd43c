//! Fresh scenarios of `workloads/hpa`: ratios at the tolerance, pods in every doubtful state, limits of every policy.

use crate::fresh::{Generator, question};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

fn sample() -> impl Strategy<Value = Value> {
    let value = prop_oneof![3 => select(vec![0, 1, 45, 50, 55, 90, 100, 110, 111, 500, 1000]), 2 => 0_i64..2000];
    (value, select(vec![0_i64, 15, 30, 60, 299]), select(vec![0_i64, 15, 30, 60]))
        .prop_map(|(value, ago, window)| json!({"value_milli": value, "seconds_ago": ago, "window_seconds": window}))
}

fn pod() -> impl Strategy<Value = Value> {
    let phase = prop_oneof![8 => Just("Running"), 1 => Just("Pending"), 1 => Just("Failed"), 1 => Just("Succeeded")];
    let deleting = prop_oneof![9 => Just(false), 1 => Just(true)];
    let started = option::weighted(0.9, select(vec![0_i64, 15, 299, 300, 301, 1000, 5000]));
    let turned = option::weighted(0.9, select(vec![0_i64, 15, 16, 270, 271, 299, 990, 971, 970, 4999]));
    let ready = prop_oneof![5 => Just(true), 2 => Just(false)];
    let request = option::weighted(0.97, select(vec![0_i64, 1, 100, 100, 100, 250, 1000]));
    (phase, deleting, started, turned, ready, request, option::weighted(0.85, sample())).prop_map(
        |(phase, deleting, started, turned, ready, request, sample)| {
            json!({
                "phase": phase, "deleting": deleting, "started_seconds_ago": started, "ready": ready && turned.is_some(),
                "ready_transition_seconds_ago": turned, "request_milli": request, "sample": sample,
            })
        },
    )
}

fn metric() -> impl Strategy<Value = Value> {
    let resource = || select(vec!["cpu", "cpu", "memory", "example.com/x"]);
    let target = || select(vec![1_i64, 3, 50, 90, 100, 110, 500, 1000, 1001]);
    let value =
        || prop_oneof![3 => select(vec![0_i64, 1, 45, 49, 50, 55, 90, 99, 100, 110, 111, 1000]), 2 => 0_i64..20_000];
    prop_oneof![
        4 => (resource(), select(vec![1, 50, 60, 80, 100, 101, 200]))
            .prop_map(|(name, percent)| json!({"resource_utilization": {"resource": name, "target_percent": percent}})),
        2 => (resource(), target())
            .prop_map(|(name, target)| json!({"resource_average_value": {"resource": name, "target_milli": target}})),
        2 => target().prop_map(|target| json!({"pods_average_value": {"target_milli": target}})),
        1 => (value(), target()).prop_map(|(value, target)| json!({"object_value": {"value_milli": value, "target_milli": target}})),
        1 => (value(), target())
            .prop_map(|(value, target)| json!({"object_average_value": {"value_milli": value, "target_milli": target}})),
        1 => (vec(value(), 0..3), target())
            .prop_map(|(values, target)| json!({"external_value": {"values_milli": values, "target_milli": target}})),
        1 => (vec(value(), 0..3), target())
            .prop_map(|(values, target)| json!({"external_average_value": {"values_milli": values, "target_milli": target}})),
    ]
}

fn replicas() -> impl Strategy<Value = i32> {
    prop_oneof![6 => 0..12_i32, 2 => select(vec![50, 99, 100, 101, 1000])]
}

fn rules() -> impl Strategy<Value = Value> {
    let policy =
        (select(vec!["Pods", "Percent"]), select(vec![1, 2, 4, 5, 10, 33, 50, 100, 150]), select(vec![15, 60, 300]));
    let policy =
        policy.prop_map(|(kind, value, period)| json!({"type": kind, "value": value, "periodSeconds": period}));
    let select_policy = option::of(select(vec!["Max", "Max", "Min", "Disabled"]));
    (option::of(select(vec![0, 1, 60, 300, 3600])), select_policy, option::of(vec(policy, 1..3))).prop_map(
        |(window, select, policies)| json!({"stabilizationWindowSeconds": window, "selectPolicy": select, "policies": policies}),
    )
}

fn decide() -> impl Strategy<Value = Value> {
    let ago = || select(vec![0_i64, 1, 14, 15, 16, 59, 60, 61, 299, 300, 301, 3599, 3600]);
    let recommendation =
        (replicas(), ago()).prop_map(|(replicas, ago)| json!({"replicas": replicas, "seconds_ago": ago}));
    let change = (prop_oneof![-6..0_i32, 1..6_i32], ago())
        .prop_map(|(change, ago)| json!({"change": change, "seconds_ago": ago}));
    let behavior = option::weighted(
        0.6,
        (option::weighted(0.7, rules()), option::weighted(0.7, rules()))
            .prop_map(|(up, down)| json!({"scaleUp": up, "scaleDown": down})),
    );
    let range = (select(vec![0, 1, 1, 1, 2, 5]), 0..20_i32).prop_map(|(min, more)| (min, (min + more).max(1)));
    let proposals = vec(option::weighted(0.85, replicas()), 1..4);
    (replicas(), range, behavior, proposals, vec(recommendation, 0..5), vec(change, 0..4)).prop_map(
        |(current, (min, max), behavior, proposals, recommendations, events)| {
            let request = json!({
                "current_replicas": current, "min_replicas": min, "max_replicas": max, "behavior": behavior,
                "proposals": proposals, "recommendations": recommendations, "scale_events": events,
            });
            question("decide", json!({ "request": request }))
        },
    )
}

/// What one metric asks for, or what comes of several.
pub fn fresh() -> Generator {
    let propose = (metric(), replicas(), replicas(), any::<bool>(), vec(pod(), 0..7)).prop_map(
        |(metric, spec, status, equal, mut pods)| {
            for (number, pod) in pods.iter_mut().enumerate() {
                pod["name"] = format!("web-{}", number + 1).into();
            }
            let request = json!({
                "metric": metric, "spec_replicas": spec, "status_replicas": if equal { spec } else { status }, "pods": pods,
            });
            question("propose", json!({ "request": request }))
        },
    );
    prop_oneof![1 => propose, 1 => decide()].boxed()
}
