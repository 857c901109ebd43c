//! Alerts on the cluster's clock: which rules of the book fire when, and what is asked of Prometheus then.

use kit_cluster::engine::Clock;
use kit_cluster::timeline::{Play, Timeline};
use kit_observability::labels::{Labels, METRIC_NAME};
use kit_observability::rules::{Rule, State, file::File};
use kit_observability::storage::{Point, Storage, is_stale};
use serde_json::{Value, json};
use solutions::observability::{alerts, metrics};
use std::collections::BTreeMap;
use std::process::Command;

const RULES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../book/src/observability/alerts.yml");

fn text() -> String {
    std::fs::read_to_string(RULES).expect("the rules are there")
}

/// The rules of the book.
fn groups() -> Value {
    let file: Value = serde_yaml::from_str(&text()).expect("YAML");
    file["groups"].clone()
}

/// What is seen of a timeline, step by step.
fn play(timeline: Value) -> String {
    let timeline: Timeline = serde_json::from_value(timeline).expect("a good timeline");
    let (mut play, mut lines) = Play::start(&timeline, &solutions::modules(), Clock::default()).expect("it starts");
    while let Some((title, seen)) = play.step().expect("it goes on") {
        lines.push(title);
        lines.extend(seen);
    }
    lines.join("\n")
}

fn deployment(image: &str, resources: Value) -> Value {
    let container = json!({"name": "app", "image": image, "resources": resources});
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {
        "selector": {"matchLabels": {"app": "web"}},
        "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container]}}}})
}

#[test]
fn a_crash_loop_by_memory_fires_and_resolves() {
    let small = json!({"limits": {"memory": "64Mi"}});
    let large = json!({"limits": {"memory": "256Mi"}});
    let restarts = "sum by (container) (kube_pod_container_status_restarts_total)";
    let killed = "kube_pod_container_status_last_terminated_reason == 1";
    let said = play(json!({
        "cluster": {"nodes": 2, "images": {"leaky": {"memory": 134_217_728, "fills_after": 5}}},
        "monitor": {"every": "15s", "groups": groups()},
        "apply": [],
        "timeline": [
            {"apply": [deployment("leaky", small)]}, {"run": "4m"}, {"ask": restarts}, {"ask": killed},
            {"apply": [deployment("leaky", large)]}, {"run": "16m"}, {"ask": killed},
        ],
        "observe": [],
    }));
    insta::assert_snapshot!(said);
}

#[test]
fn a_container_is_throttled_though_it_uses_little() {
    let used = "sum by (container) (rate(container_cpu_usage_seconds_total{container=\"app\"}[2m]))";
    let limit = "sum by (container) (container_spec_cpu_quota{container=\"app\"} / container_spec_cpu_period)";
    let ratio = "sum by (container) (rate(container_cpu_cfs_throttled_periods_total[2m])) / sum by (container) (rate(container_cpu_cfs_periods_total[2m]))";
    let bursts = json!({"milli_cpu": 0, "bursts": {"every": 1, "threads": 4, "cpu": 0.05}});
    let said = play(json!({
        "cluster": {"nodes": 2, "images": {"bursty": bursts}},
        "monitor": {"every": "30s", "groups": groups()},
        "apply": [deployment("bursty", json!({"limits": {"cpu": "500m"}}))],
        "timeline": [
            {"run": "17m"}, {"ask": used}, {"ask": limit}, {"ask": ratio},
            // A limit that a whole burst fits into.
            {"apply": [deployment("bursty", json!({"limits": {"cpu": "3"}}))]}, {"run": "10m"}, {"ask": ratio},
        ],
        "observe": [],
    }));
    insta::assert_snapshot!(said);
}

#[test]
fn lost_nodes_and_pods_that_wait_are_told() {
    let huge = json!({"requests": {"cpu": "64"}});
    let claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"}, "spec": {
        "storageClassName": "none", "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}});
    let said = play(json!({
        "cluster": {"nodes": 2},
        "monitor": {"every": "30s", "groups": groups()},
        "timeline": [
            {"apply": [deployment("web", huge), claim]}, {"crash": "node-2"}, {"run": "20m"},
            {"ask": "scheduler_pending_pods{queue=\"unschedulable\"}"}, {"ask": "up == 0"}, {"restart": "node-2"}, {"run": "2m"},
        ],
        "observe": [],
    }));
    insta::assert_snapshot!(said);
}

#[test]
fn what_cannot_be_asked_is_told() {
    let timeline = |monitor: Value, ask: &str| {
        let mut timeline = json!({"cluster": {"nodes": 1}, "timeline": [{"ask": ask}], "observe": []});
        if !monitor.is_null() {
            timeline["monitor"] = monitor;
        }
        serde_json::from_value::<Timeline>(timeline).expect("a good timeline")
    };
    let bad = json!({"groups": [{"name": "g", "rules": [{"alert": "A", "expr": "up =="}]}]});
    for (monitor, ask, expected) in
        [(Value::Null, "up", "`ask up` needs"), (json!({}), "up ==", "parse error"), (bad, "up", "group \"g\", rule 1")]
    {
        let timeline = timeline(monitor, ask);
        let failed = match Play::start(&timeline, &solutions::modules(), Clock::default()) {
            Ok((mut play, _)) => play.step().map(|_| ()).err(),
            Err(failed) => Some(failed),
        };
        let said = format!("{failed:?}");
        assert!(said.contains(&expected.replace('"', "\\\"")), "{said}");
    }
}

/// The series of targets that the rules ask for, as far as they were seen, with times that begin at 0.
fn series(storage: &Storage) -> BTreeMap<Labels, Vec<Point>> {
    let rules = text();
    let name = |labels: &Labels| labels.get(METRIC_NAME).cloned().unwrap_or_default();
    let asked = |labels: &Labels| {
        let name = name(labels);
        rules.contains(&name) && !name.starts_with("ALERTS") && !name.contains(':')
    };
    let all: Vec<_> = storage.select(&[]).filter(|(labels, _)| asked(labels)).collect();
    let first =
        all.iter().flat_map(|(_, points)| points.iter().map(|point| point.t)).min().expect("something was seen");
    let from_0 = |point: &Point| Point { t: point.t - first, v: point.v };
    all.into_iter().map(|(labels, points)| (labels.clone(), points.iter().map(from_0).collect())).collect()
}

/// `promtool test rules` plays the same samples to the same rules: the same alerts fire at the same times, with the same labels.
#[test]
fn a_real_prometheus_fires_the_same() {
    if Command::new("promtool").arg("--version").output().is_err() {
        eprintln!("there is no promtool here to be held against");
        return;
    }
    const EVERY: i64 = 15_000;
    let huge = json!({"requests": {"cpu": "64"}});
    let mut waiting = deployment("web", huge);
    waiting["metadata"]["name"] = "huge".into();
    let timeline = json!({
        "cluster": {"nodes": 2, "images": {
            "leaky": {"memory": 134_217_728, "fills_after": 5},
            "bursty": {"milli_cpu": 0, "bursts": {"every": 1, "threads": 4, "cpu": 0.05}}}},
        "monitor": {"every": "15s", "groups": groups()},
        "timeline": [
            {"apply": [deployment("leaky", json!({"limits": {"memory": "64Mi", "cpu": "1"}})), waiting]}, {"run": "4m"},
            {"apply": [deployment("bursty", json!({"limits": {"cpu": "500m"}}))]}, {"crash": "node-2"}, {"run": "16m"},
        ],
        "observe": [],
    });
    let timeline: Timeline = serde_json::from_value(timeline).expect("a good timeline");
    let (mut play, _) = Play::start(&timeline, &solutions::modules(), Clock::default()).expect("it starts");
    while play.step().expect("it goes on").is_some() {}
    let series = series(play.monitor().expect("a Prometheus").storage());

    let value = |point: &Point| if is_stale(point.v) { "stale".into() } else { format!("{}", point.v) };
    let values = |points: &[Point]| -> String {
        let at: BTreeMap<i64, String> = points.iter().map(|point| (point.t / EVERY, value(point))).collect();
        let last = at.keys().last().copied().unwrap_or_default();
        (0..=last).map(|index| at.get(&index).map_or("_", String::as_str)).collect::<Vec<_>>().join(" ")
    };
    let written = |labels: &Labels| {
        let pairs =
            labels.iter().filter(|(name, _)| *name != METRIC_NAME).map(|(name, value)| format!("{name}={value:?}"));
        format!("{}{{{}}}", labels[METRIC_NAME], pairs.collect::<Vec<_>>().join(","))
    };
    let input: Vec<Value> =
        series.iter().map(|(labels, points)| json!({"series": written(labels), "values": values(points)})).collect();

    // Ours, anew and with nothing but these samples.
    let mut groups = serde_yaml::from_str::<File>(&text()).expect("a rule file").groups(EVERY).expect("good rules");
    let (mut storage, mut tests, mut fired) = (Storage::default(), Vec::new(), 0);
    let end = series.values().flatten().map(|point| point.t / EVERY).max().unwrap_or_default();
    for index in 0..=end {
        for (labels, points) in &series {
            points.iter().filter(|point| point.t / EVERY == index).for_each(|point| {
                storage.append(labels, Point { t: index * EVERY, v: point.v });
            });
        }
        for group in &mut groups {
            assert_eq!(group.eval(&mut storage, &alerts::Exercise, &metrics::Exercise, index * EVERY), []);
        }
        for rule in groups.iter().flat_map(|group| group.rules()) {
            let Rule::Alerting(rule) = rule else { continue };
            let firing = rule.active().filter(|alert| alert.state == State::Firing).map(|alert| {
                let labels: Labels = alert.labels.clone().into_iter().filter(|(name, _)| name != "alertname").collect();
                json!({"exp_labels": labels, "exp_annotations": rule.said(alert).annotations})
            });
            let firing: Vec<Value> = firing.collect();
            fired += firing.len();
            let time = format!("{}s", index * EVERY / 1000);
            tests.push(json!({"eval_time": time, "alertname": rule.name, "exp_alerts": firing}));
        }
    }
    assert!(fired > 50, "{fired}");
    let test = json!({
        "rule_files": [RULES], "evaluation_interval": "15s",
        "tests": [{"interval": "15s", "input_series": input, "alert_rule_test": tests}],
    });
    let file = std::env::temp_dir().join(format!("alerts-{}.json", std::process::id()));
    std::fs::write(&file, test.to_string()).expect("a file for promtool");
    let done = Command::new("promtool").args(["test", "rules"]).arg(&file).output().expect("it was there before");
    std::fs::remove_file(&file).expect("it is there");
    let said = String::from_utf8_lossy(&done.stdout).chars().take(4000).collect::<String>();
    assert!(done.status.success(), "{said}{}", String::from_utf8_lossy(&done.stderr));
}
