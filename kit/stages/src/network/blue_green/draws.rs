//! Fresh scenarios of `network/blue_green`: templates that nearly have all they need, moments on the way of a release in which one number
//! isn't yet as it should be, and whole releases under load.

use crate::fresh::{Generator, question, several};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

/// A key, and what the versions have there.
type Names = (&'static str, &'static str, &'static str);

fn names() -> impl Strategy<Value = Names> {
    select(vec![("version", "v1", "v2"), ("color", "blue", "green"), ("track", "b", "a")])
}

/// A selector of the application, with the label of the release or without.
fn selector(label: &str, value: Option<&str>, more: bool) -> Value {
    let mut selector = json!({"app": "web"});
    if more {
        selector["tier"] = "front".into();
    }
    if let Some(value) = value {
        selector[label] = value.into();
    }
    selector
}

fn steps() -> impl Strategy<Value = Value> {
    let step = (select(vec![25_u32, 50, 10, 5, 33, 75, 99, 1]), select(vec![0_u32, 20, 60, 8]))
        .prop_map(|(percent, pause)| json!({"percent": percent, "pause_seconds": pause}));
    prop_oneof![2 => Just(json!([])), 3 => vec(step, 1..=3).prop_map(Value::from)]
}

fn plan(label: &'static str) -> impl Strategy<Value = Value> {
    let replicas = select(vec![4_u32, 1, 2, 3, 5, 10]);
    let settle = select(vec![5_u32, 6, 10]);
    let errors = select(vec![5_u32, 0, 20]);
    (replicas, steps(), settle, select(vec![0_u32, 30, 5]), select(vec![20_u32, 60, 0, 7]), errors).prop_map(
        move |(replicas, steps, settle, bake, drain, errors)| {
            json!({"label": label, "replicas": replicas, "steps": steps, "settle_seconds": settle, "bake_seconds": bake,
                "drain_seconds": drain, "deadline_seconds": 600, "max_errors_percent": errors})
        },
    )
}

/// A template that has all it needs, whatever the plan.
fn good(label: &str, value: &str) -> Value {
    json!({"labels": {"app": "web", "tier": "front", label: value}, "ports": ["metrics", "http"], "readiness_probe": true,
        "pre_stop_seconds": 12, "grace_seconds": 30, "longest_request_seconds": 10})
}

fn problems() -> impl Strategy<Value = Value> {
    (names(), any::<bool>(), any::<bool>()).prop_flat_map(|((label, old, new), more, pinned)| {
        let port = select(vec![json!("http"), json!("https"), json!(8080), json!("metrics")]);
        let pre_stop = option::weighted(0.85, 3..=11_u32);
        let lacks = select(vec!["", "", "", "app", "tier", label]);
        let other = select(vec![("", ""), ("", ""), ("app", "api"), ("tier", "back"), ("extra", "1")]);
        let times = (pre_stop, 8..=22_u32, select(vec![10_u32, 0, 11]));
        let bits = (prop::bool::weighted(0.8), prop::bool::weighted(0.15), any::<bool>());
        (plan(label), port, lacks, other, times, bits).prop_map(
            move |(plan, port, lacks, (key, value), (pre_stop, grace, longest), (probe, not_ready, has_ports))| {
                let mut template = good(label, new);
                if let Some(labels) = template["labels"].as_object_mut() {
                    if !key.is_empty() {
                        labels.insert(key.into(), value.into());
                    }
                    labels.remove(lacks);
                }
                if !has_ports {
                    template["ports"] = json!(["http"]);
                }
                template["readiness_probe"] = probe.into();
                template["pre_stop_seconds"] = json!(pre_stop);
                template["grace_seconds"] = grace.into();
                template["longest_request_seconds"] = longest.into();
                let service = json!({"selector": selector(label, pinned.then_some(old), more), "target_port": port,
                    "publish_not_ready_addresses": not_ready});
                question("problems", json!({"plan": plan, "service": service, "template": template}))
            },
        )
    })
}

fn share() -> impl Strategy<Value = Value> {
    let percent = prop_oneof![1 => select(vec![0_u32, 1, 100, 99, 50, 33]), 2 => 0..=100_u32];
    let replicas = prop_oneof![3 => 1..=20_u32, 1 => select(vec![0_u32, 99, 100, 101, 1000])];
    (replicas, percent)
        .prop_map(|(replicas, percent)| question("share", json!({"replicas": replicas, "percent": percent})))
}

/// The numbers of pods that a release goes to.
fn goal(plan: &Value, step: usize, back: bool) -> (u64, u64) {
    let replicas = plan["replicas"].as_u64().unwrap_or(1);
    match plan["steps"].get(step) {
        _ if back => (replicas, 0),
        Some(step) => {
            let percent = step["percent"].as_u64().unwrap_or(1).max(1);
            let new = (replicas * percent / 100).max(1);
            ((replicas.saturating_sub(new)).max((new * (100 - percent)).div_ceil(percent)), new)
        }
        None => (0, replicas),
    }
}

/// A moment of a release: all is as it should be there but for a few numbers.
fn moment() -> impl Strategy<Value = Value> {
    let near = || select(vec![0_i64, 0, 0, 0, 0, 0, 1, -1, -100, 100]);
    let drawn = (vec(near(), 8), 0..=3_usize, prop::bool::weighted(0.25), 0..4_u8, any::<bool>());
    let times = (0..=6_usize, -1..=1_i64, select(vec![50_u32, 0, 50, 50, 50, 50, 50, 599, 600]));
    let errors =
        prop_oneof![5 => Just(Some(0_i64)), 1 => Just(None), 2 => (-1..=1_i64).prop_map(|off| Some(1000 + off))];
    let connections = (select(vec![0_u32, 0, 1, 7]), select(vec![0_u32, 0, 1, 3]));
    let flaw = prop_oneof![12 => Just(0_u8), 1 => 1..=2_u8];
    names().prop_flat_map(move |(label, old_value, new_value)| {
        (plan(label), drawn.clone(), times.clone(), errors.clone(), connections.clone(), flaw.clone()).prop_map(
            move |(plan, (off, step, back, phase, more), (which, by, age), errors, connections, flaw)| {
                let steps = plan["steps"].as_array().map_or(0, Vec::len);
                let step = step.min(steps);
                let goal = goal(&plan, step, back);
                let replicas = plan["replicas"].as_i64().unwrap_or(1);
                let clamp = |number: i64, most: i64| number.clamp(0, most);
                // On the way: pods that shall go are still there, or gone.
                let (mut old, mut new) = (goal.0 as i64, goal.1 as i64);
                match phase {
                    0 | 1 if back => new = replicas,
                    0 | 1 => old = old.max(replicas),
                    _ => {}
                }
                let old_replicas = clamp(old + off[0], 120);
                let new_replicas = clamp(new + off[1], 120);
                let old_ready = clamp(old_replicas + off[2].min(0), old_replicas);
                let new_ready = clamp(new_replicas + off[3].min(0), new_replicas);
                let old_pods = old_replicas + off[4].clamp(0, 3);
                let new_pods = new_replicas + off[5].clamp(0, 3);
                // Where it leads: mostly where it should by now.
                let to_end = step == steps;
                let value = match (off[6], back, to_end) {
                    (0, true, _) => Some(old_value),
                    (0, false, true) => Some(new_value),
                    (0, false, false) => None,
                    (1, ..) => None,
                    (-1, ..) => Some(new_value),
                    _ => Some(old_value),
                };
                let shown = |is: bool, ready: i64| if is { clamp(ready + if off[7] > 1 || off[7] < -1 { 0 } else { off[7] }, 120) } else { 0 };
                let published = json!({"old": shown(value != Some(new_value), old_ready), "new": shown(value != Some(old_value), new_ready)});
                let pause = plan["steps"].get(step).and_then(|step| step["pause_seconds"].as_i64()).unwrap_or(60);
                let time = |name: &str| plan[name].as_i64().unwrap_or(0);
                let quiet = [1000, 1000, time("settle_seconds"), time("bake_seconds"), time("drain_seconds"), pause, 20][which];
                let most = plan["max_errors_percent"].as_i64().unwrap_or(0);
                let errors = errors.map(|errors| if errors == 0 { 0 } else { clamp(most + errors - 1000, 100) });
                let (mut old_template, mut new_template) = (good(label, old_value), good(label, new_value));
                match flaw {
                    1 => new_template["readiness_probe"] = false.into(),
                    2 => old_template["ports"] = json!([]),
                    _ => {}
                }
                let version = |template: Value, replicas: i64, ready: i64, pods: i64, connections: u32| {
                    json!({"template": template, "replicas": replicas, "ready": ready, "pods": pods, "connections": connections})
                };
                let now = json!({
                    "plan": plan, "step": step, "rolling_back": back, "age_seconds": age,
                    "service": {"selector": selector(label, value, more), "target_port": "http"},
                    "old": version(old_template, old_replicas, old_ready, old_pods, connections.0),
                    "new": version(new_template, new_replicas, new_ready, new_pods, connections.1),
                    "published": published, "quiet_seconds": (quiet + by).max(0), "errors_percent": errors,
                });
                question("next", json!({ "now": now }))
            },
        )
    })
}

/// A whole release.
fn release() -> impl Strategy<Value = Value> {
    let lags = vec(1..=4_u32, 1..=3);
    let event = prop_oneof![
        (select(vec!["new", "new", "old"]), select(vec![0_u32, 15, 60]))
            .prop_map(|(version, back)| json!({"crash": {"version": version, "back_after": back}})),
        select(vec![4_u32, 5, 6, 30, 100])
            .prop_map(|percent| json!({"errors": {"version": "new", "percent": percent}})),
        Just(json!({"abort": {}})),
    ];
    let events = vec((event, 0..200_u32), 0..=2);
    let kept = option::of((3..20_u32, select(vec![5_u32, 25, 90])));
    let start = (select(vec![10_u32, 3, 25]), 0..=4_u8, select(vec![600_u32, 90]));
    names().prop_flat_map(move |(label, old, new)| {
        (plan(label), lags.clone(), events.clone(), kept.clone(), start.clone()).prop_map(
            move |(mut plan, lags, events, kept, (start, leads, deadline))| {
                plan["deadline_seconds"] = deadline.into();
                let nodes: serde_json::Map<String, Value> =
                    lags.iter().zip(1..).map(|(lag, number)| (format!("node-{number}"), (*lag).into())).collect();
                let value = if leads == 0 { None } else { Some(old) };
                let mut events: Vec<Value> = events
                    .into_iter()
                    .map(|(mut event, at)| {
                        event["at"] = at.into();
                        event
                    })
                    .collect();
                events.sort_by_key(|event| event["at"].as_u64());
                let mut load = json!({"requests": 2});
                if let Some((every, lasts)) = kept {
                    load["kept"] = json!({"every": every, "lasts": lasts});
                }
                let replicas = plan["replicas"].clone();
                json!({
                    "release": plan, "released_service": {"selector": selector(label, value, false), "target_port": "http"},
                    "old_version": {"template": good(label, old), "pods": replicas, "start_seconds": start},
                    // Now and then pods of an earlier try are still there.
                    "new_version": {"template": good(label, new), "pods": if leads == 1 { 2 } else { 0 }, "start_seconds": start},
                    "nodes": nodes, "load": load, "events": events, "until": 400,
                })
            },
        )
    })
}

/// Questions of all kinds, and releases.
pub fn fresh() -> Generator {
    let questions = several(prop_oneof![2 => problems(), 1 => share(), 7 => moment()], 8);
    prop_oneof![4 => questions, 1 => release()].boxed()
}
