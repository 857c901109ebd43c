//! Nodes that are short of something, in a whole cluster: what their kubelets, the controllers and the scheduler make of it.

use crate::common::{all, create, wait};
use kit_apimachinery::object::Kind;
use kit_cluster::cluster::{self, Config};
use kit_cluster::engine::{Clock, Engine};
use serde_json::{Value, json};

/// A large node and a small one, and an image that fills three gibibytes in ten minutes.
fn start() -> Engine {
    let config = json!({
        "nodes": [{"name": "large", "cpu": "8", "memory": "16Gi"}, {"name": "small", "cpu": "2", "memory": "4Gi"}],
        "images": {"leaky": {"memory": 3_200_000_000_u64, "fills_after": 600}},
    });
    let config: Config = serde_json::from_value(config).expect("a good configuration");
    let mut engine = cluster::start(&config, &solutions::modules(), Clock::default());
    wait(&mut engine, 1);
    engine
}

fn deployment(name: &str, replicas: i32, pod: Value) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {
            "replicas": replicas, "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": pod},
        },
    })
}

fn asks(image: &str, memory: &str) -> Value {
    json!({"containers": [{"name": "c", "image": image, "resources": {"requests": {"memory": memory}}}]})
}

/// Node, phase and reason of each pod of an app.
fn pods(engine: &Engine, app: &str) -> Vec<[String; 3]> {
    let of_app = all(engine, Kind::Pod).into_iter().filter(|pod| pod["metadata"]["labels"]["app"] == app);
    let text = |value: &Value| value.as_str().unwrap_or("-").to_string();
    let mut seen: Vec<[String; 3]> = of_app
        .map(|pod| [text(&pod["spec"]["nodeName"]), text(&pod["status"]["phase"]), text(&pod["status"]["reason"])])
        .collect();
    seen.sort();
    seen
}

fn taints(engine: &Engine, node: &str) -> Vec<String> {
    let node = all(engine, Kind::Node).into_iter().find(|one| one["metadata"]["name"] == node).expect("the node");
    let taints = node["spec"]["taints"].as_array().cloned().unwrap_or_default();
    taints.iter().filter_map(|taint| taint["key"].as_str().map(str::to_string)).collect()
}

#[test]
fn pods_of_a_node_that_is_short_of_memory_go_elsewhere() {
    let mut engine = start();
    let mut pinned = asks("leaky", "100Mi");
    pinned["affinity"] = json!({"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{
        "weight": 100,
        "preference": {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["small"]}]},
    }]}});
    create(&mut engine, &deployment("leak", 2, pinned));
    wait(&mut engine, 20);
    let running = |node: &str| [node.to_string(), "Running".into(), "-".into()];
    let evicted = |node: &str| [node.to_string(), "Failed".into(), "Evicted".into()];
    assert_eq!(pods(&engine, "leak"), [running("small"), running("small")]);
    wait(&mut engine, 410);
    assert_eq!(pods(&engine, "leak"), [running("large"), evicted("small"), running("small")]);
    assert_eq!(taints(&engine, "small"), ["node.kubernetes.io/memory-pressure"]);
    // The condition stays for five minutes, and so does the taint.
    wait(&mut engine, 400);
    assert_eq!(taints(&engine, "small"), Vec::<String>::new());
}

#[test]
fn a_pod_that_was_bound_by_hand_to_a_full_node_fails_and_is_not_replaced() {
    let mut engine = start();
    for name in ["one", "two"] {
        let mut pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": "hand"}},
            "spec": asks("app:1", "3Gi"),
        });
        pod["spec"]["nodeName"] = "small".into();
        create(&mut engine, &pod);
        wait(&mut engine, 5);
    }
    let small = |phase: &str, reason: &str| ["small".to_string(), phase.into(), reason.into()];
    assert_eq!(pods(&engine, "hand"), [small("Failed", "OutOfmemory"), small("Running", "-")]);
}
