//! VolumeBinding in a whole cluster: what the scheduler says of claims, and what it writes into them and into volumes.

use kit_apimachinery::object::{Key, Kind};
use kit_cluster::cluster::{Config, start};
use kit_cluster::engine::{Clock, Engine};
use kit_cluster::timeline::apply;
use kit_server::Patch;
use kit_time::agenda::Instant;
use serde_json::{Value, json};

/// Three nodes, and classes that wait, that don't, and that have no provisioner.
fn cluster() -> Engine {
    let mut engine = start(&Config::default(), &solutions::modules(), Clock::default());
    engine.run_until(Instant::seconds(1)).expect("the reference answers");
    for (name, provisioner, mode) in [
        ("fast", "csi.example.com", "WaitForFirstConsumer"),
        ("local", "kubernetes.io/no-provisioner", "WaitForFirstConsumer"),
        ("now", "csi.example.com", "Immediate"),
    ] {
        let class = json!({
            "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": name},
            "provisioner": provisioner, "volumeBindingMode": mode,
        });
        apply(&mut engine, &class).expect("a good class");
    }
    engine
}

fn claim(engine: &mut Engine, name: &str, class: &str, size: &str) {
    let claim = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name},
        "spec": {"storageClassName": class, "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}},
    });
    apply(engine, &claim).expect("a good claim");
}

/// A volume on one node, as a local disk is.
fn volume(engine: &mut Engine, name: &str, node: &str, size: &str) {
    let term = json!({"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}]});
    let volume = json!({
        "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name},
        "spec": {
            "storageClassName": "local", "accessModes": ["ReadWriteOnce"], "capacity": {"storage": size},
            "local": {"path": "/mnt/disk"}, "nodeAffinity": {"required": {"nodeSelectorTerms": [term]}},
        },
    });
    apply(engine, &volume).expect("a good volume");
    let key = Key::new(Kind::PersistentVolume, "", name);
    let available = Patch::Merge(json!({"status": {"phase": "Available"}}));
    engine.request(|server| server.patch(&key, &available, true)).expect("it has a status");
}

fn pod(engine: &mut Engine, name: &str, claims: &[&str]) {
    let volumes: Vec<Value> =
        (claims.iter()).map(|claim| json!({"name": claim, "persistentVolumeClaim": {"claimName": claim}})).collect();
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {"containers": [{"name": "main", "image": "db:1"}], "volumes": volumes},
    });
    apply(engine, &pod).expect("a good pod");
}

fn get(engine: &Engine, kind: Kind, name: &str) -> Value {
    let namespace = if kind.namespaced() { "default" } else { "" };
    engine.server().get(&Key::new(kind, namespace, name)).expect("it is there").to_value()
}

fn run(engine: &mut Engine, seconds: i64) {
    let until = engine.now() + Instant::seconds(seconds);
    engine.run_until(until).expect("the reference answers");
}

/// What the condition PodScheduled says.
fn why(engine: &Engine, pod: &str) -> String {
    let pod = get(engine, Kind::Pod, pod);
    let conditions = pod["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let scheduled = conditions.into_iter().find(|condition| condition["type"] == "PodScheduled");
    scheduled.and_then(|condition| condition["message"].as_str().map(str::to_string)).unwrap_or_default()
}

const NOT_HELPFUL: &str = "preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling.";

#[test]
fn a_pod_waits_for_its_claims() {
    let mut engine = cluster();
    pod(&mut engine, "db", &["data"]);
    run(&mut engine, 2);
    let said = |reason: &str| format!("0/3 nodes are available: {reason} {NOT_HELPFUL}");
    assert_eq!(why(&engine, "db"), said("persistentvolumeclaim \"data\" not found."));
    claim(&mut engine, "data", "now", "1Gi");
    run(&mut engine, 20);
    assert_eq!(why(&engine, "db"), said("pod has unbound immediate PersistentVolumeClaims."));

    claim(&mut engine, "disk", "local", "10Gi");
    pod(&mut engine, "cache", &["disk"]);
    run(&mut engine, 2);
    assert_eq!(why(&engine, "cache"), said("3 node(s) didn't find available persistent volumes to bind."));
}

#[test]
fn the_smallest_volume_that_the_node_reaches_is_taken_and_only_once() {
    let mut engine = cluster();
    for (name, node, size) in [("big", "node-2", "100Gi"), ("small", "node-2", "10Gi"), ("tiny", "node-1", "1Gi")] {
        volume(&mut engine, name, node, size);
    }
    for name in ["one", "two", "three"] {
        claim(&mut engine, &format!("disk-{name}"), "local", "10Gi");
        pod(&mut engine, name, &[&format!("disk-{name}")]);
    }
    run(&mut engine, 5);
    let owner =
        |engine: &Engine, volume: &str| get(engine, Kind::PersistentVolume, volume)["spec"]["claimRef"]["name"].clone();
    assert_eq!(
        [owner(&engine, "small"), owner(&engine, "big"), owner(&engine, "tiny")],
        [json!("disk-one"), json!("disk-two"), Value::Null]
    );
    assert!(why(&engine, "three").contains("didn't find available persistent volumes"), "{}", why(&engine, "three"));
    assert_eq!(get(&engine, Kind::Pod, "one")["spec"]["nodeName"], Value::Null, "it waits for the claim to be bound");

    // What the controller of volumes does.
    let key = Key::new(Kind::PersistentVolumeClaim, "default", "disk-one");
    let bound = json!({"spec": {"volumeName": "small"}, "metadata": {"annotations": {"pv.kubernetes.io/bind-completed": "yes"}}});
    engine.request(|server| server.patch(&key, &Patch::Merge(bound), false)).expect("a claim can be bound");
    run(&mut engine, 5);
    assert_eq!(get(&engine, Kind::Pod, "one")["spec"]["nodeName"], "node-2");
}

#[test]
fn a_volume_is_made_for_the_chosen_node_and_not_waited_for_without_end() {
    let mut engine = cluster();
    claim(&mut engine, "data", "fast", "1Gi");
    pod(&mut engine, "db", &["data"]);
    run(&mut engine, 2);
    let selected = |engine: &Engine| {
        let claim = get(engine, Kind::PersistentVolumeClaim, "data");
        claim["metadata"]["annotations"]["volume.kubernetes.io/selected-node"].clone()
    };
    let node = selected(&engine);
    assert!(node.is_string(), "{node}");
    run(&mut engine, 620);
    let events = engine.server().snapshot().list(Kind::Event).map(|event| event.to_value());
    let late = events.filter(|event| event["message"].as_str().is_some_and(|text| text.contains("deadline exceeded")));
    assert_eq!(late.count(), 1);
    assert_eq!(selected(&engine), node, "the next attempt goes where the volume is being made");
    assert_eq!(get(&engine, Kind::Pod, "db")["spec"]["nodeName"], Value::Null);
}
