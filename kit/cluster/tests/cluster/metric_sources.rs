//! Autoscaling by what is no pod's CPU: a queue with KEDA, and requests that Prometheus counts.

use kit_cluster::engine::Clock;
use kit_cluster::timeline::{Play, Timeline};
use serde_json::{Value, json};

/// All that is seen, without the times.
fn seen(timeline: Value) -> Vec<String> {
    let timeline: Timeline = serde_json::from_value(timeline).expect("a good timeline");
    let (mut play, mut lines) = Play::start(&timeline, &solutions::modules(), Clock::default()).expect("it starts");
    while let Some((_, seen)) = play.step().expect("it goes on") {
        lines.extend(seen);
    }
    let words = |line: &String| line.split_whitespace().skip(1).collect::<Vec<_>>().join(" ");
    lines.iter().map(words).collect()
}

fn deployment(name: &str, replicas: i32, env: Value) -> Value {
    let container = json!({"name": name, "image": "app:1", "env": env});
    let template = json!({"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}});
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template}})
}

/// Fifty jobs for each pod, a job a second of each.
fn worker() -> [Value; 2] {
    let trigger =
        json!({"type": "rabbitmq", "metadata": {"queueName": "orders", "mode": "QueueLength", "value": "50"}});
    let scaled = json!({"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": {"name": "worker"}, "spec": {
        "scaleTargetRef": {"name": "worker"}, "pollingInterval": 10, "cooldownPeriod": 60, "maxReplicaCount": 6,
        "triggers": [trigger]}});
    [deployment("worker", 0, json!([{"name": "QUEUE", "value": "orders"}])), scaled]
}

fn autoscaler(metric: Value) -> Value {
    json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "web"}, "spec": {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}, "maxReplicas": 10, "metrics": [metric]}})
}

#[test]
fn a_queue_wakes_a_target_grows_it_and_lets_it_sleep() {
    let [deployment, scaled] = worker();
    let lines = seen(json!({
        "cluster": {"nodes": 3, "add_ons": ["keda"]},
        "apply": [deployment],
        "timeline": [{"apply": [scaled]}, {"run": "30s"}, {"queue": {"orders": 400}}, {"run": "6m"}],
        "observe": ["queues", "autoscalers", "deployments"],
        "always": ["worker pods <= 6"],
    }));
    let place =
        |part: &str| lines.iter().position(|line| line.contains(part)).unwrap_or_else(|| panic!("{part}: {lines:#?}"));
    let way = [
        "scaledobject/worker Active: False",
        "(ScalerNotActive) → True (ScalerActive)",
        "6 wanted, 6 there, 6 updated",
        "→ empty",
        "→ False (ScalerCooldown)",
        "→ 0 wanted",
    ];
    let places = way.map(place);
    assert!(places.is_sorted(), "{places:?} {lines:#?}");
    assert!(!lines.iter().any(|line| line.contains("broken")), "{lines:#?}");
}

#[test]
fn replicas_fall_back_while_a_broker_is_silent() {
    let [deployment, mut scaled] = worker();
    scaled["spec"]["fallback"] = json!({"failureThreshold": 2, "replicas": 3});
    let lines = seen(json!({
        "cluster": {"nodes": 3, "add_ons": ["keda"]},
        "apply": [deployment],
        "timeline": [{"apply": [scaled]}, {"queue": {"orders": 50}}, {"run": "1m"}, {"silence": "broker"}, {"run": "5m"}],
        "observe": ["queues", "autoscalers", "deployments"],
    }));
    let place =
        |part: &str| lines.iter().position(|line| line.contains(part)).unwrap_or_else(|| panic!("{part}: {lines:#?}"));
    // The condition is one question of the HPA late.
    let way = ["→ empty", "3 wanted, 3 there, 3 updated", "Fallback: True (FallbackExists)"].map(place);
    assert!(way.is_sorted(), "{way:?} {lines:#?}");
    assert!(!lines.iter().any(|line| line.contains("→ 0 wanted")), "{lines:#?}");
}

#[test]
fn nothing_is_taken_away_while_a_broker_is_silent() {
    let [deployment, scaled] = worker();
    let lines = seen(json!({
        "cluster": {"nodes": 3, "add_ons": ["keda"]},
        "apply": [deployment],
        "timeline": [
            {"apply": [scaled]}, {"queue": {"orders": 250}}, {"run": "1m"}, {"silence": "broker"}, {"run": "10m"},
            {"answer": "broker"}, {"run": "3m"},
        ],
        "observe": ["queues", "deployments"],
    }));
    let place =
        |part: &str| lines.iter().position(|line| line.contains(part)).unwrap_or_else(|| panic!("{part}: {lines:#?}"));
    let failed = place("Ready: True (ScaledObjectReady) → False (TriggerError)");
    let well = place("→ True (ScaledObjectReady)").min(place("→ 0 wanted"));
    assert!(failed < well && !lines[failed..well].iter().any(|line| line.starts_with("deployment")), "{lines:#?}");
}

#[test]
fn requests_are_a_metric_of_pods_and_of_a_service() {
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}});
    let of_pods = json!({"type": "Pods", "pods": {"metric": {"name": "http_requests_per_second"},
        "target": {"type": "AverageValue", "averageValue": "50"}}});
    let of_service = json!({"type": "Object", "object": {"metric": {"name": "http_requests_per_second"},
        "describedObject": {"apiVersion": "v1", "kind": "Service", "name": "web"},
        "target": {"type": "AverageValue", "averageValue": "50"}}});
    for metric in [of_pods, of_service] {
        let lines = seen(json!({
            "cluster": {"nodes": 3, "add_ons": ["prometheus_adapter"]},
            "apply": [deployment("web", 2, json!([])), service, autoscaler(metric)],
            "timeline": [{"requests": {"web": 300}}, {"run": "3m"}],
            "observe": ["autoscalers"],
        }));
        assert!(lines.last().is_some_and(|line| line.ends_with("→ 6 there, 6 wanted")), "{lines:#?}");
    }
}

#[test]
fn without_an_adapter_the_metric_fails_and_says_so() {
    let lines = seen(json!({
        "cluster": {"nodes": 1},
        "apply": [deployment("web", 1, json!([]))],
        "timeline": [
            {"apply": [autoscaler(json!({"type": "External", "external": {"metric": {"name": "queue"},
                "target": {"type": "AverageValue", "averageValue": "50"}}}))]},
            {"run": "1m"},
        ],
        "observe": ["events"],
    }));
    assert!(lines.iter().any(|line| line.contains("FailedGetExternalMetric")), "{lines:#?}");
}
