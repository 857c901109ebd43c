//! Claims and volumes in a whole cluster: what the scheduler says of them, who binds, makes, attaches and grows them.

use kit_apimachinery::object::{Key, Kind};
use kit_client::fault::{Conduct, Fault, VolumeCall};
use kit_cluster::cluster::{Config, start};
use kit_cluster::engine::{Clock, Engine};
use kit_cluster::timeline::apply;
use kit_server::{DeleteOptions, Patch};
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
    run(&mut engine, 1);
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
    let claim = get(&engine, Kind::PersistentVolumeClaim, "disk-one");
    assert_eq!(
        json!([claim["spec"]["volumeName"], claim["status"]["phase"], claim["status"]["capacity"]]),
        json!(["small", "Bound", {"storage": "10Gi"}])
    );
    let pod = get(&engine, Kind::Pod, "one");
    assert_eq!(json!([pod["spec"]["nodeName"], pod["status"]["phase"]]), json!(["node-2", "Running"]));
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

/// Types, reasons and messages of the events about an object, in order of time.
fn events(engine: &Engine, kind: &str, name: &str) -> Vec<String> {
    let all = engine.server().snapshot().list(Kind::Event).map(|event| event.to_value());
    let about = |event: &Value| event["involvedObject"]["kind"] == kind && event["involvedObject"]["name"] == name;
    let mut all: Vec<Value> = all.filter(about).collect();
    all.sort_by_key(|event| event["firstTimestamp"].as_str().map(str::to_string));
    let text = |event: &Value, field: &str| event[field].as_str().unwrap_or_default().to_string();
    all.iter().map(|event| format!("{} {}", text(event, "reason"), text(event, "message"))).collect()
}

/// The driver of the classes `fast` and `now` is there.
fn with_driver() -> Engine {
    let mut engine = cluster();
    let driver =
        json!({"apiVersion": "storage.k8s.io/v1", "kind": "CSIDriver", "metadata": {"name": "csi.example.com"}});
    apply(&mut engine, &driver).expect("a good driver");
    run(&mut engine, 1);
    engine
}

fn delete(engine: &mut Engine, kind: Kind, name: &str) {
    let namespace = if kind.namespaced() { "default" } else { "" };
    let key = Key::new(kind, namespace, name);
    engine.request(|server| server.delete(&key, &DeleteOptions::default())).expect("it is there");
}

#[test]
fn a_driver_makes_attaches_and_deletes_the_volume_of_a_claim() {
    let mut engine = with_driver();
    claim(&mut engine, "data", "fast", "1Gi");
    run(&mut engine, 1);
    let waits = "WaitForFirstConsumer waiting for first consumer to be created before binding";
    assert_eq!(events(&engine, "PersistentVolumeClaim", "data"), [waits]);
    pod(&mut engine, "db", &["data"]);
    run(&mut engine, 10);
    let object = get(&engine, Kind::Pod, "db");
    assert_eq!(object["status"]["phase"], "Running");
    let claim = get(&engine, Kind::PersistentVolumeClaim, "data");
    let name = claim["spec"]["volumeName"].as_str().unwrap_or_default().to_string();
    assert_eq!(name, format!("pvc-{}", claim["metadata"]["uid"].as_str().unwrap_or_default()));
    let told = events(&engine, "PersistentVolumeClaim", "data").join("\n");
    for said in [
        "Provisioning External provisioner is provisioning volume for claim \"default/data\"",
        &format!("ProvisioningSucceeded Successfully provisioned volume {name}"),
        "ExternalProvisioning Waiting for a volume to be created either by the external provisioner 'csi.example.com' or",
    ] {
        assert!(told.contains(said), "{said}\n{told}");
    }
    let said = events(&engine, "Pod", "db").join("\n");
    assert!(
        said.contains(&format!("SuccessfulAttachVolume AttachVolume.Attach succeeded for volume {name:?}")),
        "{said}"
    );
    let node = get(&engine, Kind::Node, object["spec"]["nodeName"].as_str().unwrap_or_default());
    let unique = format!("kubernetes.io/csi/csi.example.com^{name}");
    assert_eq!(node["status"]["volumesAttached"], json!([{"name": unique, "devicePath": ""}]));
    assert_eq!(node["status"]["volumesInUse"], json!([unique]));

    // The claim stays as long as the pod does, and the volume as long as it is attached.
    delete(&mut engine, Kind::PersistentVolumeClaim, "data");
    run(&mut engine, 5);
    assert!(get(&engine, Kind::PersistentVolumeClaim, "data")["metadata"]["deletionTimestamp"].is_string());
    delete(&mut engine, Kind::Pod, "db");
    run(&mut engine, 90);
    let left = |kind: Kind| engine.server().snapshot().list(kind).count();
    assert_eq!([Kind::PersistentVolumeClaim, Kind::PersistentVolume, Kind::VolumeAttachment].map(left), [0, 0, 0]);
    let node = get(&engine, Kind::Node, object["spec"]["nodeName"].as_str().unwrap_or_default());
    assert_eq!(json!([node["status"]["volumesAttached"], node["status"]["volumesInUse"]]), json!([null, null]));
}

#[test]
fn a_volume_is_taken_from_a_lost_node_only_when_somebody_knows_that_it_is_off() {
    let mut engine = with_driver();
    claim(&mut engine, "data", "now", "1Gi");
    let set = json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "db"},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "db"}}, "template": {
            "metadata": {"labels": {"app": "db"}},
            "spec": {
                "containers": [{"name": "main", "image": "db:1"}],
                "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
            },
        }},
    });
    apply(&mut engine, &set).expect("a good set");
    run(&mut engine, 20);
    let pods = |engine: &Engine| -> Vec<(String, String, String)> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
        let all = engine.server().snapshot().list(Kind::Pod).map(|pod| pod.to_value());
        let all = all.map(|pod| {
            let state = if pod["metadata"]["deletionTimestamp"].is_string() { "leaves" } else { "stays" };
            (text(&pod["metadata"]["name"]), state.to_string(), text(&pod["status"]["phase"]))
        });
        all.collect()
    };
    let (first, node) = {
        let pod = engine.server().snapshot().list(Kind::Pod).map(|pod| pod.to_value()).next().expect("one pod");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
        (text(&pod["metadata"]["name"]), text(&pod["spec"]["nodeName"]))
    };
    let crash = Fault::Crash(node.clone());
    engine.fault(&crash).expect("there is such a node");
    // 50 s until the node is unknown, and 300 s until its pods are deleted.
    run(&mut engine, 400);
    let new = pods(&engine).into_iter().find(|(name, ..)| *name != first).expect("another pod");
    assert_eq!((new.1.as_str(), new.2.as_str()), ("stays", "Pending"));
    let said = events(&engine, "Pod", &new.0).join("\n");
    assert!(said.contains("FailedAttachVolume Multi-Attach error for volume"), "{said}");
    assert!(said.contains(&format!("Volume is already used by pod(s) {first}")), "{said}");
    run(&mut engine, 200);
    assert!(events(&engine, "Pod", &new.0).join("\n").contains("FailedMount Unable to attach or mount volumes"));

    // Somebody has looked, and knows that the node is off.
    let taint = json!({"spec": {"taints": [
        {"key": "node.kubernetes.io/out-of-service", "value": "nodeshutdown", "effect": "NoExecute"},
    ]}});
    let key = Key::new(Kind::Node, "", &node);
    engine.request(|server| server.patch(&key, &Patch::Merge(taint), false)).expect("a node can be tainted");
    run(&mut engine, 60);
    assert_eq!(get(&engine, Kind::Pod, &new.0)["status"]["phase"], "Running");
}

#[test]
fn a_claim_grows_if_its_class_allows_it() {
    let mut engine = with_driver();
    let class = json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "grows"},
        "provisioner": "csi.example.com", "allowVolumeExpansion": true,
    });
    apply(&mut engine, &class).expect("a good class");
    for class in ["now", "grows"] {
        claim(&mut engine, class, class, "1Gi");
        pod(&mut engine, class, &[class]);
    }
    run(&mut engine, 20);
    let mut grow = |name: &str| {
        let key = Key::new(Kind::PersistentVolumeClaim, "default", name);
        let more = json!({"spec": {"resources": {"requests": {"storage": "2Gi"}}}});
        engine.request(|server| server.patch(&key, &Patch::Merge(more), false)).map_err(|error| error.message)
    };
    let refused = grow("now").expect_err("its class doesn't allow it");
    assert!(refused.contains("only dynamically provisioned pvc can be resized"), "{refused}");
    grow("grows").expect("its class allows it");
    run(&mut engine, 1);
    let conditions = get(&engine, Kind::PersistentVolumeClaim, "grows")["status"]["conditions"].clone();
    assert_eq!(conditions[0]["type"], "Resizing");
    run(&mut engine, 10);
    let claim = get(&engine, Kind::PersistentVolumeClaim, "grows");
    let volume = get(&engine, Kind::PersistentVolume, claim["spec"]["volumeName"].as_str().unwrap_or_default());
    assert_eq!(
        json!([
            claim["status"]["capacity"]["storage"],
            claim["status"]["conditions"],
            volume["spec"]["capacity"]["storage"]
        ]),
        json!(["2Gi", null, "2Gi"])
    );
    let told = events(&engine, "PersistentVolumeClaim", "grows").join("\n");
    for reason in ["ExternalExpanding", "Resizing", "FileSystemResizeRequired", "FileSystemResizeSuccessful"] {
        assert!(told.contains(reason), "{reason}\n{told}");
    }
}

#[test]
fn a_retained_volume_is_released_and_belongs_to_nobody_else() {
    let mut engine = cluster();
    let disk = json!({
        "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "disk"},
        "spec": {
            "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "5Gi"}, "hostPath": {"path": "/disk"},
            "persistentVolumeReclaimPolicy": "Retain",
        },
    });
    apply(&mut engine, &disk).expect("a good volume");
    run(&mut engine, 1);
    claim(&mut engine, "first", "", "1Gi");
    run(&mut engine, 1);
    let phase = |engine: &Engine, kind: Kind, name: &str| get(engine, kind, name)["status"]["phase"].clone();
    assert_eq!(phase(&engine, Kind::PersistentVolumeClaim, "first"), "Bound");
    delete(&mut engine, Kind::PersistentVolumeClaim, "first");
    run(&mut engine, 1);
    claim(&mut engine, "first", "", "1Gi");
    run(&mut engine, 20);
    assert_eq!(phase(&engine, Kind::PersistentVolume, "disk"), "Released");
    assert_eq!(phase(&engine, Kind::PersistentVolumeClaim, "first"), "Pending");
    let claim_ref = Patch::Merge(json!({"spec": {"claimRef": null}}));
    let key = Key::new(Kind::PersistentVolume, "", "disk");
    engine.request(|server| server.patch(&key, &claim_ref, false)).expect("somebody may give it free");
    run(&mut engine, 20);
    assert_eq!(phase(&engine, Kind::PersistentVolumeClaim, "first"), "Bound");
    let since = get(&engine, Kind::PersistentVolume, "disk")["status"]["lastPhaseTransitionTime"].clone();
    assert!(since.is_string());
}

#[test]
fn an_ephemeral_claim_comes_and_goes_with_its_pod() {
    let mut engine = with_driver();
    let scratch = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "job"},
        "spec": {"containers": [{"name": "main", "image": "db:1"}], "volumes": [{"name": "scratch", "ephemeral": {
            "volumeClaimTemplate": {"metadata": {"labels": {"app": "job"}}, "spec": {
                "storageClassName": "fast", "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}},
            }},
        }}]},
    });
    apply(&mut engine, &scratch).expect("a good pod");
    run(&mut engine, 15);
    assert_eq!(get(&engine, Kind::Pod, "job")["status"]["phase"], "Running");
    let claim = get(&engine, Kind::PersistentVolumeClaim, "job-scratch");
    assert_eq!(
        json!([claim["metadata"]["labels"], claim["metadata"]["ownerReferences"][0]["name"]]),
        json!([{"app": "job"}, "job"])
    );
    delete(&mut engine, Kind::Pod, "job");
    run(&mut engine, 60);
    let left = engine.server().snapshot().list(Kind::PersistentVolumeClaim).count();
    assert_eq!(left, 0);
}

#[test]
fn a_claim_for_one_pod_a_zone_and_a_limit_keep_pods_away() {
    let mut engine = with_driver();
    let said = |reason: &str| format!("0/3 nodes are available: 3 {reason}.");
    let alone = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "alone"},
        "spec": {"storageClassName": "now", "accessModes": ["ReadWriteOncePod"], "resources": {"requests": {"storage": "1Gi"}}},
    });
    apply(&mut engine, &alone).expect("a good claim");
    for name in ["first", "second"] {
        pod(&mut engine, name, &["alone"]);
        run(&mut engine, 20);
    }
    assert_eq!(get(&engine, Kind::Pod, "first")["status"]["phase"], "Running");
    let reason = "node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode";
    assert!(why(&engine, "second").starts_with(&said(reason)), "{}", why(&engine, "second"));
    delete(&mut engine, Kind::Pod, "first");
    run(&mut engine, 60);
    assert_eq!(get(&engine, Kind::Pod, "second")["status"]["phase"], "Running");

    claim(&mut engine, "far", "now", "1Gi");
    run(&mut engine, 20);
    let volume = get(&engine, Kind::PersistentVolumeClaim, "far")["spec"]["volumeName"].clone();
    let here = Patch::Merge(json!({"metadata": {"labels": {"topology.kubernetes.io/zone": "west__east"}}}));
    let key = Key::new(Kind::PersistentVolume, "", volume.as_str().unwrap_or_default());
    engine.request(|server| server.patch(&key, &here, false)).expect("a volume can be labelled");
    for (node, zone) in [("node-1", "north"), ("node-2", "south"), ("node-3", "north")] {
        let zone = Patch::Merge(json!({"metadata": {"labels": {"topology.kubernetes.io/zone": zone}}}));
        engine.request(|server| server.patch(&Key::new(Kind::Node, "", node), &zone, false)).expect("a node");
    }
    run(&mut engine, 1);
    pod(&mut engine, "traveller", &["far"]);
    run(&mut engine, 5);
    let zone = said("node(s) had no available volume zone");
    assert!(why(&engine, "traveller").starts_with(&zone), "{}", why(&engine, "traveller"));
    let east = Patch::Merge(json!({"metadata": {"labels": {"topology.kubernetes.io/zone": "east"}}}));
    engine.request(|server| server.patch(&Key::new(Kind::Node, "", "node-2"), &east, false)).expect("a node");
    run(&mut engine, 30);
    assert_eq!(get(&engine, Kind::Pod, "traveller")["spec"]["nodeName"], "node-2");

    for node in ["node-1", "node-2", "node-3"] {
        let drivers =
            json!([{"name": "csi.example.com", "nodeID": node, "topologyKeys": null, "allocatable": {"count": 1}}]);
        // What a driver says of itself can't change, so it comes anew.
        for drivers in [json!([]), drivers] {
            let limit = Patch::Merge(json!({"spec": {"drivers": drivers}}));
            let key = Key::new(Kind::CSINode, "", node);
            engine.request(|server| server.patch(&key, &limit, false)).expect("it is there");
        }
    }
    run(&mut engine, 1);
    for name in ["third", "fourth", "fifth"] {
        claim(&mut engine, name, "now", "1Gi");
        pod(&mut engine, name, &[name]);
        run(&mut engine, 30);
    }
    assert!(why(&engine, "fifth").contains("node(s) exceed max volume count"), "{}", why(&engine, "fifth"));
}

#[test]
fn a_driver_that_fails_or_hangs_is_said_of_each_pod_that_waits_and_asked_again_later_and_later() {
    let mut engine = with_driver();
    let told =
        |engine: &Engine, what: &str| events(engine, "Pod", "db").iter().filter(|event| event.contains(what)).count();
    let set = |engine: &mut Engine, call: VolumeCall, conduct: Conduct| {
        engine.fault(&Fault::Volumes(call, conduct)).expect("it can")
    };
    set(&mut engine, VolumeCall::Attach, Conduct::Hangs);
    set(&mut engine, VolumeCall::Stage, Conduct::Fails);
    set(&mut engine, VolumeCall::Publish, Conduct::Hangs);
    claim(&mut engine, "data", "fast", "1Gi");
    pod(&mut engine, "db", &["data"]);
    // The attacher waits for its driver for 15 seconds; the pod's kubelet doesn't even ask.
    run(&mut engine, 12);
    assert_eq!(told(&engine, "AttachVolume.Attach failed"), 0);
    run(&mut engine, 8);
    let late = "rpc error: code = DeadlineExceeded desc = context deadline exceeded";
    let name = get(&engine, Kind::PersistentVolumeClaim, "data")["spec"]["volumeName"].clone();
    let why = format!("FailedAttachVolume AttachVolume.Attach failed for volume {name} : {late}");
    assert_eq!(told(&engine, &why), 1, "{:?}", events(&engine, "Pod", "db"));
    assert_eq!(get(&engine, Kind::Pod, "db")["status"]["phase"], "Pending");
    set(&mut engine, VolumeCall::Attach, Conduct::Works);
    run(&mut engine, 5);
    assert_eq!(told(&engine, "SuccessfulAttachVolume"), 1);
    let error = "rpc error: code = Internal desc = the driver can't do it now";
    let why = format!("FailedMount MountVolume.MountDevice failed for volume {name} : {error}");
    assert_eq!(told(&engine, &why), 1, "{:?}", events(&engine, "Pod", "db"));
    set(&mut engine, VolumeCall::Stage, Conduct::Works);
    // The pause after the last failure; then two minutes for the driver, of which nobody knows what it has done.
    run(&mut engine, 8 + 110);
    let why = format!("FailedMount MountVolume.SetUp failed for volume {name} : {late}");
    assert_eq!(told(&engine, &why), 0);
    run(&mut engine, 30);
    assert_eq!(told(&engine, &why), 1, "{:?}", events(&engine, "Pod", "db"));
    set(&mut engine, VolumeCall::Publish, Conduct::Works);
    run(&mut engine, 8);
    assert_eq!(get(&engine, Kind::Pod, "db")["status"]["phase"], "Running", "{:?}", events(&engine, "Pod", "db"));
    // A volume that isn't let go of keeps the next pod waiting.
    set(&mut engine, VolumeCall::Detach, Conduct::Fails);
    let node = get(&engine, Kind::Pod, "db")["spec"]["nodeName"].clone();
    delete(&mut engine, Kind::Pod, "db");
    run(&mut engine, 40);
    let attachment = engine.server().snapshot().list(Kind::VolumeAttachment).next().map(|stored| stored.to_value());
    let attachment = attachment.expect("it is attached still");
    assert_eq!(
        (&attachment["spec"]["nodeName"], &attachment["status"]["detachError"]["message"]),
        (&node, &json!(error))
    );
    set(&mut engine, VolumeCall::Detach, Conduct::Works);
    run(&mut engine, 5);
    assert_eq!(engine.server().snapshot().list(Kind::VolumeAttachment).count(), 0);
}
