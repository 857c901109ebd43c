//! Databases in a whole cluster: what is on disks, what a failover costs, and what snapshots keep.

use kit_apimachinery::object::{Key, Kind};
use kit_client::fault::Fault;
use kit_cluster::cluster::{Config, DatabaseShape, Nodes, start};
use kit_cluster::engine::{Clock, Engine};
use kit_cluster::timeline::apply;
use kit_server::DeleteOptions;
use kit_time::agenda::Instant;
use serde_json::{Value, json};

/// A cluster with disks, the database `orders` and a client of its Service on `node-4`.
fn cluster(spec: &Value) -> Engine {
    let config = Config { nodes: Nodes::Count(4), databases: Some(DatabaseShape::default()), ..Config::default() };
    let mut engine = start(&config, &solutions::modules(), Clock::default());
    wait(&mut engine, 1);
    let mut spec = spec.clone();
    spec["image"] = "database:17.5".into();
    for object in [
        json!({"apiVersion": "storage.k8s.io/v1", "kind": "CSIDriver", "metadata": {"name": "disk.csi.example.com"}, "spec": {}}),
        json!({
            "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "standard"},
            "provisioner": "disk.csi.example.com", "volumeBindingMode": "WaitForFirstConsumer",
        }),
        json!({
            "apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshotClass", "driver": "disk.csi.example.com",
            "deletionPolicy": "Delete",
            "metadata": {"name": "kept", "annotations": {"snapshot.storage.kubernetes.io/is-default-class": "true"}},
        }),
        json!({
            "apiVersion": "databases.example.com/v1", "kind": "DatabaseCluster", "metadata": {"name": "orders"}, "spec": spec,
        }),
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "shop"}, "spec": {
            "nodeName": "node-4", "containers": [{"name": "client", "image": "database-client:1", "args": ["orders-rw"]}],
        }}),
    ] {
        apply(&mut engine, &object).expect("a good object");
    }
    wait(&mut engine, 40);
    engine
}

fn wait(engine: &mut Engine, seconds: i64) {
    let until = engine.now() + Instant::seconds(seconds);
    engine.run_until(until).expect("the reference answers");
}

/// What is seen of a database or its client, by subject.
fn seen(engine: &Engine, subject: &str) -> String {
    engine.shows().into_iter().find(|(name, _)| name == subject).map_or("nothing".into(), |(_, value)| value)
}

fn object(engine: &Engine, api_version: &str, kind: &str, name: &str) -> Value {
    let server = engine.server();
    let kind = Kind::named(kind).or_else(|| server.kind_of(api_version, kind)).expect("a kind");
    server.get(&Key::new(kind, "default", name)).map(|stored| stored.to_value()).unwrap_or_default()
}

fn storage() -> Value {
    json!({"size": "1Gi", "storageClassName": "standard"})
}

#[test]
fn a_database_comes_up_and_clients_write() {
    let engine = cluster(&json!({"instances": 3, "synchronous": 1, "storage": storage()}));
    assert_eq!(seen(&engine, "database/orders accepts writes"), "orders-1 on timeline 1");
    assert_eq!(seen(&engine, "writes of shop"), "acknowledged by orders-1");
    let there = object(&engine, "databases.example.com/v1", "DatabaseCluster", "orders");
    assert_eq!(there["status"]["phase"], "Cluster in healthy state");
    assert_eq!(there["status"]["readyInstances"], 3);
}

/// With a disk that outlives its pod nothing is lost that was synced, and everything with one that doesn't.
#[test]
fn rows_are_on_the_disk_and_not_in_the_pod() {
    for (storage, survives) in [(storage(), true), (Value::Null, false)] {
        let mut spec = json!({"instances": 1});
        if !storage.is_null() {
            spec["storage"] = storage;
        }
        let mut engine = cluster(&spec);
        let key = Key::new(Kind::Pod, "default", "orders-1");
        engine.request(|server| server.delete(&key, &DeleteOptions::default())).expect("it can be deleted");
        wait(&mut engine, 30);
        assert!(seen(&engine, "database/orders accepts writes").starts_with("orders-1"));
        assert_eq!(seen(&engine, "database/orders has lost") == "nothing", survives);
    }
}

/// Who acknowledges before the log is on the disk loses the last second with a kill.
#[test]
fn what_was_not_synced_is_lost_by_a_kill() {
    for (commit, survives) in [("on", true), ("off", false)] {
        let mut engine = cluster(&json!({"instances": 1, "storage": storage(), "synchronousCommit": commit}));
        engine.fault(&Fault::Kill { pod: "default/orders-1".into(), exit_code: 137 }).expect("it runs");
        wait(&mut engine, 30);
        assert_eq!(seen(&engine, "writes of shop"), "acknowledged by orders-1");
        assert_eq!(seen(&engine, "database/orders has lost") == "nothing", survives, "{commit}");
    }
}

/// A machine that is off: with confirmations somebody takes over and nothing is lost; without them nobody does until it is known.
#[test]
fn a_failover_loses_nothing_that_was_confirmed() {
    for (synchronous, primary) in [(1, "orders-2 on timeline 2"), (0, "nobody")] {
        let mut engine = cluster(&json!({"instances": 3, "synchronous": synchronous, "storage": storage()}));
        let node =
            object(&engine, "v1", "Pod", "orders-1")["spec"]["nodeName"].as_str().unwrap_or_default().to_string();
        engine.fault(&Fault::Crash(node)).expect("a node");
        wait(&mut engine, 30);
        assert_eq!(seen(&engine, "database/orders accepts writes"), primary);
        assert_eq!(seen(&engine, "database/orders has lost"), "nothing");
    }
}

/// Somebody says that a machine is off, and it isn't: two accept writes, and what the one acknowledged is lost when it is back.
#[test]
fn a_wrong_word_costs_rows() {
    let mut engine = cluster(&json!({"instances": 3, "storage": storage()}));
    let node = object(&engine, "v1", "Pod", "orders-1")["spec"]["nodeName"].as_str().unwrap_or_default().to_string();
    let client = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "near"}, "spec": {
        "nodeName": node, "containers": [{"name": "client", "image": "database-client:1", "args": ["orders-rw"]}],
    }});
    apply(&mut engine, &client).expect("a pod");
    wait(&mut engine, 10);
    engine.fault(&Fault::Partition(node.clone())).expect("a node");
    let taint = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": node}, "spec": {"taints": [
        {"key": "node.kubernetes.io/out-of-service", "value": "nodeshutdown", "effect": "NoExecute"},
    ]}});
    apply(&mut engine, &taint).expect("a node");
    wait(&mut engine, 30);
    assert_eq!(seen(&engine, "database/orders accepts writes"), "orders-1 on timeline 1 and orders-2 on timeline 2");
    assert_eq!(seen(&engine, "writes of near"), "acknowledged by orders-1");
    engine.fault(&Fault::Heal(node)).expect("a node");
    wait(&mut engine, 10);
    assert!(seen(&engine, "database/orders has lost").contains("acknowledged rows"));
}

#[test]
fn a_snapshot_is_a_database_at_another_time() {
    let mut engine = cluster(&json!({"instances": 1, "storage": storage()}));
    let snapshot = json!({
        "apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshot", "metadata": {"name": "noon"},
        "spec": {"source": {"persistentVolumeClaimName": "orders-1"}},
    });
    apply(&mut engine, &snapshot).expect("a snapshot");
    wait(&mut engine, 5);
    let there = object(&engine, "snapshot.storage.k8s.io/v1", "VolumeSnapshot", "noon");
    assert_eq!(there["status"]["readyToUse"], true, "{there}");
    let copy = json!({
        "apiVersion": "databases.example.com/v1", "kind": "DatabaseCluster", "metadata": {"name": "copy"},
        "spec": {"image": "database:17.5", "storage": storage(), "restore": {"volumeSnapshot": "noon"}},
    });
    apply(&mut engine, &copy).expect("a database");
    wait(&mut engine, 30);
    assert_eq!(seen(&engine, "database/copy accepts writes"), "copy-1 on timeline 2");
    let key = |kind, name: &str| {
        Key::new(engine.server().kind_of("snapshot.storage.k8s.io/v1", kind).expect("a kind"), "default", name)
    };
    let key = key("VolumeSnapshot", "noon");
    engine.request(|server| server.delete(&key, &DeleteOptions::default())).expect("it can be deleted");
    wait(&mut engine, 5);
    let contents = engine.server().kind_of("snapshot.storage.k8s.io/v1", "VolumeSnapshotContent").expect("a kind");
    assert_eq!(engine.server().snapshot().list(contents).count(), 0);
}

#[test]
fn backups_are_made_tried_out_and_deleted() {
    let backup = json!({"everySeconds": 120, "windowSeconds": 200});
    let mut engine = cluster(&json!({"instances": 2, "storage": storage(), "backup": backup}));
    wait(&mut engine, 1000);
    let kind = engine.server().kind_of("snapshot.storage.k8s.io/v1", "VolumeSnapshot").expect("a kind");
    let all: Vec<Value> = engine.server().snapshot().list(kind).map(|stored| stored.to_value()).collect();
    assert!((2..=4).contains(&all.len()), "{}", all.len());
    let passed =
        all.iter().filter(|it| it["metadata"]["annotations"]["databases.example.com/test"] == "passed").count();
    assert!(passed + 1 >= all.len(), "{passed} of {}", all.len());
    // Nothing is left of what they were tried out with.
    let claims = engine.server().snapshot().list(Kind::PersistentVolumeClaim).count();
    assert!(claims <= 3, "{claims}");
}
