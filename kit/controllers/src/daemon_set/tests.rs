use super::*;
use crate::testing::Bench;
use kit_api::core::Node;
use kit_apimachinery::object::{AsKind, Key};
use kit_server::{DeleteOptions, Patch};
use serde_json::{Value, json};

/// A node with these taints only: a new one has others until its kubelet is ready.
fn add_node(bench: &mut Bench, name: &str, taints: Value) {
    bench.create(json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}}));
    patch(bench, Kind::Node, name, json!({"spec": {"taints": taints}}));
}

fn agent(spec: Value) -> Value {
    let mut all = json!({"selector": {"matchLabels": {"app": "agent"}}, "template": {
        "metadata": {"labels": {"app": "agent"}}, "spec": {"containers": [{"name": "agent", "image": "agent:1"}]}}});
    all.as_object_mut().expect("a map").extend(spec.as_object().expect("a map").clone());
    json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "agent", "namespace": "default"},
        "spec": all})
}

fn batch() -> Value {
    json!([{"key": "dedicated", "value": "batch", "effect": "NoSchedule"}])
}

/// A bench with three nodes, of which one is tainted, and a DaemonSet whose pods run.
fn bench(spec: Value) -> Bench {
    let mut bench = Bench::new(DaemonSets::new(&solutions::modules()));
    for (name, taints) in [("node-1", json!([])), ("node-2", json!([])), ("node-3", batch())] {
        add_node(&mut bench, name, taints);
    }
    bench.create(agent(spec));
    settle(&mut bench);
    bench
}

/// Lets the controller work, and the scheduler and kubelets do their part, until nothing changes any more.
fn settle(bench: &mut Bench) {
    for _ in 0..10 {
        bench.settle();
        let new: Vec<Pod> = pods(bench).into_iter().filter(|pod| pod::node_name(pod).is_none()).collect();
        let going: Vec<Pod> = pods(bench).into_iter().filter(pod::is_terminating).collect();
        new.iter().for_each(|pod| start(bench, pod));
        let now = DeleteOptions { grace_period_seconds: Some(0), ..DeleteOptions::default() };
        for pod in &going {
            bench.server.delete(&About::from(pod).key(), &now).expect("it can end");
        }
        if new.is_empty() && going.is_empty() {
            return;
        }
    }
}

fn start(bench: &mut Bench, pod: &Pod) {
    let about = About::from(pod);
    let node = pods::target_node(pod).expect("a node").to_string();
    bench.server.bind(about.namespace(), about.name(), &node).expect("it can be bound");
    set_status(
        bench,
        about.name(),
        json!({"phase": "Running", "conditions": [
        {"type": "Ready", "status": "True", "lastTransitionTime": bench.server.time()}]}),
    );
}

fn set_status(bench: &mut Bench, name: &str, status: Value) {
    let mut pod: Pod = bench.server.fetch("default", name).expect("it is there");
    pod.status = Some(serde_json::from_value(status).expect("a status"));
    bench.server.update_status(pod.into_object()).expect("it has a status");
}

fn pods(bench: &Bench) -> Vec<Pod> {
    bench.server.snapshot().list(Kind::Pod).filter_map(|stored| stored.get::<Pod>().cloned()).collect()
}

/// The node and the image of each pod, by node.
fn places(bench: &Bench) -> Vec<String> {
    let place = |pod: &Pod| {
        let image = pod.spec.as_ref().and_then(|spec| spec.containers[0].image.clone()).unwrap_or_default();
        format!("{} {image}", pods::target_node(pod).unwrap_or("-"))
    };
    let mut places: Vec<String> = pods(bench).iter().map(place).collect();
    places.sort();
    places
}

fn patch(bench: &mut Bench, kind: Kind, name: &str, patch: Value) {
    let namespace = if kind == Kind::Node { "" } else { "default" };
    bench.server.patch(&Key::new(kind, namespace, name), &Patch::Merge(patch), false).expect("a good patch");
}

fn new_image(bench: &mut Bench, image: &str) {
    let template = json!({"spec": {"containers": [{"name": "agent", "image": image}]}});
    patch(bench, Kind::DaemonSet, "agent", json!({"spec": {"template": template}}));
}

#[test]
fn pods_follow_nodes_and_their_taints() {
    let mut bench = bench(json!({}));
    assert_eq!(places(&bench), ["node-1 agent:1", "node-2 agent:1"]);
    let first = &pods(&bench)[0];
    let labels = first.metadata.labels.clone().unwrap_or_default();
    assert_eq!(labels.get("pod-template-generation").map(String::as_str), Some("1"));
    assert!(labels.contains_key("controller-revision-hash"));
    patch(&mut bench, Kind::Node, "node-3", json!({"spec": {"taints": null}}));
    patch(&mut bench, Kind::Node, "node-1", json!({"spec": {"taints": batch()}}));
    let cordoned = json!([{"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}]);
    add_node(&mut bench, "node-4", cordoned);
    settle(&mut bench);
    // Node 1 keeps its pod, which should not have come.
    assert_eq!(places(&bench), ["node-1 agent:1", "node-2 agent:1", "node-3 agent:1", "node-4 agent:1"]);
    let set: DaemonSet = bench.server.fetch("default", "agent").expect("it is there");
    let status = set.status.unwrap_or_default();
    assert_eq!((status.desired_number_scheduled, status.number_misscheduled, status.number_ready), (3, 1, 3));
    // Heartbeats are nobody's business.
    let before = bench.server.end();
    let mut node: Node = bench.server.fetch("", "node-2").expect("it is there");
    node.status.get_or_insert_default().phase = Some("Running".into());
    bench.server.update_status(node.into_object()).expect("it has a status");
    settle(&mut bench);
    assert_eq!(bench.server.end(), before + 1);
}

#[test]
fn an_update_goes_node_by_node_and_back_again() {
    let mut bench = bench(json!({"minReadySeconds": 10}));
    bench.run_until(Instant::seconds(20));
    new_image(&mut bench, "agent:2");
    settle(&mut bench);
    assert_eq!(places(&bench), ["node-1 agent:2", "node-2 agent:1"]);
    // Ready is not available yet.
    bench.run_until(Instant::seconds(25));
    assert_eq!(places(&bench), ["node-1 agent:2", "node-2 agent:1"]);
    bench.run_until(Instant::seconds(40));
    settle(&mut bench);
    assert_eq!(places(&bench), ["node-1 agent:2", "node-2 agent:2"]);
    new_image(&mut bench, "agent:1");
    settle(&mut bench);
    let revisions = bench.server.snapshot().list(Kind::ControllerRevision);
    let mut revisions: Vec<i64> =
        revisions.filter_map(|stored| Some(stored.get::<ControllerRevision>()?.revision)).collect();
    revisions.sort_unstable();
    assert_eq!(revisions, [2, 3]);
}

#[test]
fn failed_pods_are_replaced_later_each_time() {
    let mut bench = bench(json!({}));
    let mut times = Vec::new();
    for _ in 0..4 {
        let pod = pods(&bench).into_iter().find(|pod| pods::target_node(pod) == Some("node-1")).expect("a pod");
        let name = pod.metadata.name.expect("a name");
        set_status(&mut bench, &name, json!({"phase": "Failed"}));
        let begin = bench.now;
        for second in 0..20 {
            bench.run_until(begin + Instant::seconds(second));
            if bench.server.get(&Key::new(Kind::Pod, "default", &name)).is_err() {
                times.push(second);
                break;
            }
        }
        settle(&mut bench);
    }
    assert_eq!(times, [0, 1, 2, 4]);
}

#[test]
fn orphans_are_adopted_and_what_matches_no_more_is_released() {
    let mut bench = bench(json!({}));
    bench.run_until(Instant::seconds(5));
    let name = pods(&bench)[0].metadata.name.clone().expect("a name");
    patch(&mut bench, Kind::Pod, &name, json!({"metadata": {"labels": {"app": "debug"}}}));
    settle(&mut bench);
    let released: Pod = bench.server.fetch("default", &name).expect("it is there");
    assert_eq!((released.metadata.owner_references, pods(&bench).len()), (None, 3));
    patch(&mut bench, Kind::Pod, &name, json!({"metadata": {"labels": {"app": "agent"}}}));
    settle(&mut bench);
    // The oldest of the two on the node stays.
    assert_eq!(places(&bench).len(), 2);
    assert!(bench.server.get(&Key::new(Kind::Pod, "default", &name)).is_ok());
    let key = Key::new(Kind::DaemonSet, "default", "agent");
    bench.server.delete(&key, &DeleteOptions::default()).expect("it can be deleted");
    settle(&mut bench);
    assert_eq!(bench.component.next_wake(), None);
}
