//! Fresh scenarios of `workloads/hpa`: ratios at the tolerance, pods in every doubtful state, limits of every policy, and numbers
//! with which integers and floats come to different replicas.

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

/// Upstream's way to round up, where the ratio is a float.
fn ceil(value: i64, target: i64, pods: i64) -> i64 {
    (value as f64 / target as f64 * pods as f64).ceil() as i64
}

/// Values, targets and numbers of pods with which a ratio in floating point comes to another number of replicas than integers do.
fn inexact() -> Vec<(i64, i64, i64)> {
    let mut found = Vec::new();
    for target in 3_i64..=50 {
        for (value, pods) in (1..=target * 3).flat_map(|value| (2..=30).map(move |pods| (value, pods))) {
            let far = value * 10 < target * 9 || value * 10 > target * 11;
            if far && ceil(value, target, pods) != (value * pods + target - 1) / target {
                found.push((value, target, pods));
            }
        }
    }
    found
}

/// Where a policy starts, and its percent.
type Percent = (i32, i32);

/// The same of the percent of a policy; one list for each direction.
fn inexact_percent() -> [Vec<Percent>; 2] {
    let all = || (1..=200_i32).flat_map(|start| (1..=99_i32).map(move |percent| (start, percent)));
    let of = |start: i32, part: f64| f64::from(start) * part;
    let up = |(start, percent): &(i32, i32)| {
        of(*start, 1.0 + f64::from(*percent) / 100.0).ceil() as i32 != (start * (100 + percent) + 99) / 100
    };
    let down = |(start, percent): &(i32, i32)| {
        of(*start, 1.0 - f64::from(*percent) / 100.0) as i32 != start * (100 - percent) / 100
    };
    [all().filter(up).collect(), all().filter(down).collect()]
}

fn sampled(number: i64, request: i64, value: Option<i64>) -> Value {
    let sample = value.map(|value| json!({"value_milli": value, "seconds_ago": 15, "window_seconds": 30}));
    json!({
        "name": format!("web-{number}"), "phase": "Running", "ready": true, "started_seconds_ago": 5000,
        "ready_transition_seconds_ago": 4999, "request_milli": request, "sample": sample,
    })
}

/// A ratio that a float doesn't hold exactly: of one value, of pods, of pods with others that are missing.
fn inexactly() -> impl Strategy<Value = Value> {
    (select(inexact()), 0_u8..6).prop_map(|((value, target, pods), way)| {
        let all = |value| (1..=pods).map(|number| sampled(number, 100, Some(value))).collect::<Vec<_>>();
        // One uses what all of them would, and nobody knows of the others.
        let one =
            |value| (1..=pods).map(|number| sampled(number, 100, Some(value * pods).filter(|_| number == 1))).collect();
        let percent = json!({"resource_utilization": {"resource": "memory", "target_percent": target}});
        let average = json!({"pods_average_value": {"target_milli": target}});
        let object = json!({"object_value": {"value_milli": value, "target_milli": target}});
        let (metric, pods): (Value, Vec<Value>) = match way {
            0 => (object, all(1)),
            1 => (json!({"external_value": {"values_milli": [value], "target_milli": target}}), all(1)),
            2 => (percent, all(value)),
            3 => (average, all(value)),
            4 => (percent, one(value)),
            _ => (average, one(value)),
        };
        let request = json!({"metric": metric, "spec_replicas": 1, "status_replicas": 1, "pods": pods});
        question("propose", json!({ "request": request }))
    })
}

/// Values at both edges of the tolerance, and right beside them.
fn at_the_edge() -> impl Strategy<Value = Value> {
    let target = select(vec![3_i64, 7, 10, 70, 100, 1000, 1001]);
    (target, 1_i64..40, select(vec![900_i64, 1100]), select(vec![-5_i64, -1, 0, 0, 0, 1, 5]), any::<bool>()).prop_map(
        |(target, replicas, edge, off, average)| {
            let (metric, value) = if average {
                ("object_average_value", target * replicas * edge / 1000 + off)
            } else {
                ("object_value", target * edge / 1000 + off)
            };
            let pods: Vec<Value> = (1..=3).map(|number| sampled(number, 100, None)).collect();
            let metric = json!({metric: {"value_milli": value.max(0), "target_milli": target}});
            let request = json!({"metric": metric, "spec_replicas": 9, "status_replicas": replicas, "pods": pods});
            question("propose", json!({ "request": request }))
        },
    )
}

/// A few millis of CPU each, where what is cut off of one missing pod counts.
fn small() -> impl Strategy<Value = Value> {
    let pods = vec((1_i64..4, option::weighted(0.4, 0_i64..3)), 2..9);
    (pods, select(vec![99_i64, 101, 133, 150, 199])).prop_map(|(drawn, percent)| {
        let pods = (1..).zip(drawn).map(|(number, (request, value))| sampled(number, request, value));
        let metric = json!({"resource_utilization": {"resource": "cpu", "target_percent": percent}});
        let pods: Vec<Value> = pods.collect();
        let request =
            json!({"metric": metric, "spec_replicas": pods.len(), "status_replicas": pods.len(), "pods": pods});
        question("propose", json!({ "request": request }))
    })
}

/// A policy of so many percent alone, with which floats come to another limit than integers.
fn limited() -> impl Strategy<Value = Value> {
    let [up, down] = inexact_percent();
    let up = select(up).prop_map(|pair| (pair, true));
    prop_oneof![up, select(down).prop_map(|pair| (pair, false))].prop_map(|((start, percent), up)| {
        let rules = json!({
            "stabilizationWindowSeconds": 0, "policies": [{"type": "Percent", "value": percent, "periodSeconds": 60}],
        });
        let behavior = if up { json!({"scaleUp": rules}) } else { json!({"scaleDown": rules}) };
        let request = json!({
            "current_replicas": start, "min_replicas": 1, "max_replicas": 10_000, "behavior": behavior,
            "proposals": [if up { 10_000 } else { 1 }],
        });
        question("decide", json!({ "request": request }))
    })
}

/// More changes and recommendations than anybody wants to keep, some of them at the edge of a long window.
fn remembered() -> impl Strategy<Value = Value> {
    let windows = select(vec![299_i64, 300, 301, 900, 1800, 3600]);
    (windows, 20_i64..200, select(vec![-1_i64, 0, 1]), any::<bool>(), 2..9_i32).prop_map(
        |(window, count, off, up, proposed)| {
            let recommendations: Vec<Value> = (0..count)
                .map(|n| {
                    let (last, others) = if up { (310, 1000) } else { (290, 1) };
                    json!({"replicas": if n == 0 { last } else { others }, "seconds_ago": if n == 0 { window + off } else { n % window }})
                })
                .collect();
            let events: Vec<Value> = (0..count)
                .map(|n| json!({"change": if up { 1 } else { -1 }, "seconds_ago": window.min(1800) + off - n % 3}))
                .collect();
            let rules = json!({
                "stabilizationWindowSeconds": window,
                "policies": [{"type": "Pods", "value": count + 5, "periodSeconds": window.min(1800)}],
            });
            let request = json!({
                "current_replicas": 300, "min_replicas": 1, "max_replicas": 1000, "proposals": [if up { 300 + proposed * 10 } else { proposed }],
                "behavior": {"scaleUp": rules, "scaleDown": rules}, "recommendations": recommendations, "scale_events": events,
            });
            question("decide", json!({ "request": request }))
        },
    )
}

/// What one metric asks for, or what comes of several.
pub fn fresh() -> Generator {
    // Bytes are thousandths by the thousand million; and pods may be many.
    let scale = prop_oneof![12 => Just((1_i64, 1_usize)), 2 => Just((1_073_741_824_000, 1)), 1 => Just((1, 45))];
    let propose = (metric(), replicas(), replicas(), any::<bool>(), vec(pod(), 0..7), scale).prop_map(
        |(mut metric, spec, status, equal, drawn, (unit, often))| {
            for field in metric.as_object_mut().into_iter().flat_map(|of| of.values_mut()) {
                for name in ["value_milli", "target_milli"] {
                    if let Some(amount) = field[name].as_i64() {
                        field[name] = (amount * unit).into();
                    }
                }
                for amount in field.get_mut("values_milli").and_then(Value::as_array_mut).into_iter().flatten() {
                    *amount = (amount.as_i64().unwrap_or_default() * unit).into();
                }
            }
            let mut pods: Vec<Value> = std::iter::repeat_n(drawn, often).flatten().collect();
            for (number, pod) in pods.iter_mut().enumerate() {
                pod["name"] = format!("web-{}", number + 1).into();
                if let Some(amount) = pod["request_milli"].as_i64() {
                    pod["request_milli"] = (amount * unit).into();
                }
                if let Some(amount) = pod["sample"]["value_milli"].as_i64() {
                    pod["sample"]["value_milli"] = (amount * unit).into();
                }
            }
            let request = json!({
                "metric": metric, "spec_replicas": spec, "status_replicas": if equal { spec } else { status }, "pods": pods,
            });
            question("propose", json!({ "request": request }))
        },
    );
    prop_oneof![
        10 => propose,
        10 => decide(),
        2 => inexactly(),
        2 => at_the_edge(),
        2 => small(),
        1 => limited(),
        1 => remembered(),
    ]
    .boxed()
}
