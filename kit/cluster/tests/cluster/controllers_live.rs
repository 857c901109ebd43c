//! Lives of objects, held against what a real control plane recorded of them
//! (`tests/conformance/cluster/controllers_live.json`): every object at each checkpoint, and the events in the end.
//!
//! Left out is what differs from one run to the next (names that are drawn, times, uids, addresses, which of several equal
//! nodes a pod got, how often something was tried), and what the recording's simulated kubelet says of containers.

use crate::common::{self, all, create, deployment, wait};
use kit_apimachinery::object::{Key, Kind};
use kit_client::fault::Fault;
use kit_cluster::cluster::{self, Config};
use kit_cluster::engine::{Clock, Engine};
use kit_server::{DeleteOptions, Patch, Propagation};
use regex_lite::Regex;
use serde_json::{Value, json};
use similar::TextDiff;
use std::collections::BTreeMap;

/// What was recorded, and the cluster that plays it.
struct Life {
    recorded: Value,
    engine: Engine,
    checkpoint: usize,
    texts: Texts,
}

impl Life {
    fn start(name: &str, config: Value) -> Life {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/conformance/cluster/controllers_live.json");
        let table: Value = serde_json::from_str(&std::fs::read_to_string(path).expect("it is there")).expect("JSON");
        let mut lives = table["lives"].as_array().expect("lives").iter();
        let recorded = lives.find(|life| life["name"] == name).expect("it was recorded").clone();
        let node = |number: i32, zone: &str| json!({"name": format!("node-{number}"), "zone": format!("zone-{zone}")});
        let mut nodes = vec![node(1, "a"), node(2, "b"), node(3, "c"), node(4, "a")];
        nodes[3]["taints"] = json!([{"key": "dedicated", "value": "db", "effect": "NoSchedule"}]);
        let mut shape = json!({"nodes": nodes});
        for (field, value) in config.as_object().expect("an object") {
            shape[field] = value.clone();
        }
        let config: Config = serde_json::from_value(shape).expect("a good configuration");
        let mut engine = cluster::start(&config, &solutions::modules(), Clock::default());
        wait(&mut engine, 1);
        Life { recorded, engine, checkpoint: 0, texts: Texts::new(name) }
    }

    fn create(&mut self, mut manifest: Value) -> &mut Self {
        // The recording has no admission of service accounts.
        let pod = if manifest["kind"] == "Pod" { &mut manifest } else { &mut manifest["spec"]["template"] };
        if pod["spec"].is_object() {
            pod["spec"]["automountServiceAccountToken"] = json!(false);
        } else {
            manifest["spec"].as_object_mut().into_iter().for_each(|spec| drop(spec.remove("template")));
        }
        create(&mut self.engine, &manifest);
        self
    }

    fn patch(&mut self, kind: Kind, name: &str, patch: Value) -> &mut Self {
        let key = Key::new(kind, "default", name);
        self.engine.request(|server| server.patch(&key, &Patch::Merge(patch), false)).expect("a good patch");
        self
    }

    fn delete(&mut self, kind: Kind, name: &str, propagation: Propagation) -> &mut Self {
        let options = DeleteOptions { propagation, ..DeleteOptions::default() };
        let key = Key::new(kind, "default", name);
        self.engine.request(|server| server.delete(&key, &options)).expect("it can be deleted");
        self
    }

    /// Says that a pod isn't ready, as the recorded kubelet did: without a word on when that began.
    fn break_down(&mut self, pods: &[String]) -> &mut Self {
        for pod in pods {
            let key = Key::new(Kind::Pod, "default", pod);
            let mut status = self.engine.server().get(&key).expect("it is there").to_value()["status"].clone();
            for condition in status["conditions"].as_array_mut().expect("conditions") {
                if condition["type"] == "Ready" || condition["type"] == "ContainersReady" {
                    condition["status"] = json!("False");
                }
            }
            let patch = Patch::Merge(json!({"status": {"conditions": status["conditions"]}}));
            self.engine.request(|server| server.patch(&key, &patch, true)).expect("a good patch");
        }
        self
    }

    fn wait(&mut self, seconds: i64) -> &mut Self {
        wait(&mut self.engine, seconds);
        self
    }

    fn names(&self, kind: Kind) -> Vec<String> {
        let name = |object: Value| object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        all(&self.engine, kind).into_iter().map(name).collect()
    }

    /// Every object of the kinds that the next checkpoint lists is as it was there.
    fn expect(&mut self) -> &mut Self {
        let checkpoint = &self.recorded["checkpoints"][self.checkpoint];
        self.checkpoint += 1;
        for (list, theirs) in checkpoint["objects"].as_object().expect("objects") {
            let ours = all(&self.engine, kind(list));
            let mut ours: Vec<String> = ours.iter().map(|object| self.texts.said(list, object)).collect();
            let theirs = theirs.as_array().expect("a list").iter();
            let mut theirs: Vec<String> = theirs.map(|object| self.texts.said(list, object)).collect();
            ours.sort();
            theirs.sort();
            self.same(&theirs.join("\n"), &ours.join("\n"), &format!("{list}, {}", checkpoint["after"]));
        }
        self
    }

    /// All checkpoints were there, and the events are those that were recorded.
    fn end(&mut self) {
        assert_eq!(Some(self.checkpoint), self.recorded["checkpoints"].as_array().map(Vec::len));
        let events = all(&self.engine, Kind::Event);
        let ours = events.iter().filter_map(|event| {
            let component = [&event["source"]["component"], &event["reportingComponent"]];
            let component = component.into_iter().find(|name| name.as_str().is_some_and(|name| !name.is_empty()))?;
            let about = &event["involvedObject"];
            let told = about["kind"] != "Node" && about["kind"] != "PersistentVolume" && component != "kubelet";
            told.then(|| self.texts.told(component, &about["kind"], &about["name"], event))
        });
        let theirs = self.recorded["events"].as_array().expect("events").iter();
        let theirs = theirs.map(|event| self.texts.told(&event["component"], &event["kind"], &event["name"], event));
        let (ours, theirs) = (sorted(ours.collect()), sorted(theirs.collect()));
        self.same(&theirs, &ours, "events");
    }

    fn same(&self, theirs: &str, ours: &str, what: &str) {
        let diff = TextDiff::from_lines(theirs, ours);
        let name = &self.recorded["name"];
        assert!(theirs == ours, "{name}, {what}:\n{}", diff.unified_diff().header("recorded", "here"));
    }
}

/// Warnings are repeated as often as there was time for.
fn sorted(mut events: Vec<String>) -> String {
    events.sort();
    events.dedup_by(|one, other| one == other && one.contains(" Warning "));
    events.join("\n")
}

fn kind(list: &str) -> Kind {
    *Kind::ALL.iter().find(|kind| kind.plural() == list).unwrap_or_else(|| panic!("no kind is listed as {list}"))
}

/// How objects are written so that two runs are the same.
struct Texts {
    replaced: Vec<(Regex, &'static str)>,
    namespace: String,
}

impl Texts {
    fn new(namespace: &str) -> Self {
        // Names are drawn from these letters (`apimachinery/pkg/util/rand`), and hashes written with them.
        let replaced = [
            (r"<(?:rand|hash|rev)(?:-\d+)?>", "<drawn>"),
            (r"-[bcdfghjklmnpqrstvwxz2456789]{5}\b", "-<drawn>"),
            (r"\b[bcdfghjklmnpqrstvwxz2456789]{8,10}\b", "<drawn>"),
            // Ordinals were taken for something that is drawn.
            (r"\bdb-0\b", "db-<drawn>"),
            (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|<uid-\d+>", "<uid>"),
            (r"10\.96\.\d+\.\d+|<clusterIP-\d+>", "<address>"),
            (r"\bto node-\d", "to <node>"),
        ];
        let replaced = replaced.map(|(pattern, by)| (Regex::new(pattern).expect("a good pattern"), by));
        Texts { replaced: replaced.into(), namespace: namespace.into() }
    }

    fn replace(&self, text: &str) -> String {
        let text = text.replace(&format!("\"namespace\": \"{}\"", self.namespace), "\"namespace\": \"default\"");
        let text = text.replace(&format!("{}/", self.namespace), "default/");
        self.replaced.iter().fold(text, |text, (pattern, by)| pattern.replace_all(&text, *by).into_owned())
    }

    fn said(&self, list: &str, object: &Value) -> String {
        let mut object = object.clone();
        if let Some(fields) = object.as_object_mut() {
            fields.retain(|name, _| !["apiVersion", "kind"].contains(&name.as_str()));
        }
        if list == "endpointslices" {
            // How often it was written.
            object["metadata"]["generation"] = Value::Null;
        }
        if list == "pods" {
            object["status"] = status(&object["status"]);
        }
        self.replace(&serde_json::to_string_pretty(&normal(&object)).expect("it is JSON"))
    }

    fn told(&self, component: &Value, kind: &Value, name: &Value, event: &Value) -> String {
        let often = if event["type"] == "Warning" { &Value::Null } else { &event["count"] };
        let parts = [component, kind, name, &event["type"], &event["reason"], &event["message"]];
        let message = event["message"].as_str().unwrap_or_default();
        let combined = message.strip_prefix("(combined from similar events): ").filter(|_| event["type"] == "Warning");
        let text = parts[..5].iter().map(|part| part.as_str().unwrap_or_default()).collect::<Vec<_>>().join(" ");
        let often =
            often.as_i64().filter(|often| *often > 1).map_or(String::new(), |often| format!(" ({often} times)"));
        self.replace(&format!("{text} {}{often}", combined.unwrap_or(message)))
    }
}

/// What controllers and the scheduler say of a pod, and what matters of what the kubelet does.
fn status(status: &Value) -> Value {
    let list = |name: &str| status[name].as_array().cloned().unwrap_or_default();
    let mut conditions = list("conditions");
    conditions.retain(|condition| condition["type"] != "PodReadyToStartContainers");
    conditions.sort_by_key(|condition| condition["type"].to_string());
    for condition in &mut conditions {
        // Only the kubelet says why containers aren't ready.
        if ["Ready", "ContainersReady", "Initialized"].iter().any(|name| condition["type"] == *name) {
            *condition = json!({"type": condition["type"], "status": condition["status"]});
        }
    }
    let containers = list("containerStatuses").into_iter().map(|container| {
        let terminated = &container["state"]["terminated"];
        json!([
            container["name"],
            container["ready"],
            container["restartCount"],
            terminated["exitCode"],
            terminated["reason"]
        ])
    });
    json!({
        "phase": status["phase"], "qosClass": status["qosClass"], "nominatedNodeName": status["nominatedNodeName"],
        "conditions": conditions, "containers": containers.collect::<Vec<_>>(),
    })
}

fn normal(value: &Value) -> Value {
    const OTHER: [&str; 11] = [
        "creationTimestamp",
        "hostIP",
        "ip",
        "lastProbeTime",
        "lastTransitionTime",
        "lastUpdateTime",
        "managedFields",
        "nodeName",
        "resourceVersion",
        "uid",
        "zone",
    ];
    // Their order follows from addresses.
    const ANY_ORDER: [&str; 4] = ["endpoints", "addresses", "notReadyAddresses", "subsets"];
    match value {
        Value::Object(fields) => {
            let mut kept = BTreeMap::new();
            for (name, value) in fields {
                let value = match value {
                    Value::Null => continue,
                    // Addresses of slices are texts; those of Endpoints say which pods they are of.
                    Value::Array(items) if name == "addresses" && items.iter().all(Value::is_string) => continue,
                    _ if OTHER.contains(&name.as_str()) || name.starts_with("sim/") => continue,
                    Value::String(_) if name.ends_with("Time") || name.ends_with("Timestamp") => json!("<time>"),
                    Value::String(_) if name == "endpoints.kubernetes.io/last-change-trigger-time" => json!("<time>"),
                    Value::Array(items) if ANY_ORDER.contains(&name.as_str()) => {
                        let mut items: Vec<Value> = items.iter().map(normal).collect();
                        items.sort_by_key(Value::to_string);
                        items.into()
                    }
                    other => normal(other),
                };
                if name == "annotations" && value == json!({}) {
                    continue;
                }
                kept.insert(name.clone(), value);
            }
            kept.into_iter().collect()
        }
        Value::Array(items) => items.iter().map(normal).collect(),
        other => other.clone(),
    }
}

fn job(more: Value) -> Value {
    let template = json!({"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "app:1"}]}});
    let mut job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "work"}, "spec": more});
    job["spec"]["template"] = template;
    job
}

fn pod(name: &str, spec: Value) -> Value {
    let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {"containers": [{"name": "c", "image": "app:1"}]}});
    for (field, value) in spec.as_object().expect("an object") {
        pod["spec"][field] = value.clone();
    }
    pod
}

/// The configuration of a cluster in which containers of `app:1` end by themselves.
fn ending(code: i32) -> Value {
    json!({"images": {"app:1": {"exits_after": 1, "exit_code": code}}})
}

#[test]
fn a_deployment_rolls_out_and_back() {
    let mut life = Life::start("deployment-lifecycle", json!({}));
    let image = |name: &str| {
        let mut patch = json!({"spec": {"template": common::template(name)}});
        patch["spec"]["template"]["spec"]["automountServiceAccountToken"] = json!(false);
        patch
    };
    life.create(deployment(3)).wait(20).expect();
    life.patch(Kind::Deployment, "web", image("app:2")).wait(20).expect();
    life.patch(Kind::Deployment, "web", image("app:1")).wait(20).expect();
    life.patch(Kind::Deployment, "web", json!({"spec": {"replicas": 1}})).wait(20).expect().end();
}

#[test]
fn a_quota_keeps_a_deployment_small() {
    let mut life = Life::start("deployment-quota", json!({}));
    let quota = json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"}, "spec": {"hard": {"pods": "2"}}});
    life.create(quota).wait(1).create(deployment(3)).wait(10).expect().end();
}

#[test]
fn a_job_gives_up_after_its_backoff_limit() {
    let mut life = Life::start("job-fails-backofflimit-1", ending(1));
    life.create(job(json!({"backoffLimit": 1}))).wait(40).expect().end();
}

#[test]
fn a_job_completes_its_indexes() {
    let mut life = Life::start("job-indexed", ending(0));
    let spec = json!({"completions": 3, "parallelism": 3, "completionMode": "Indexed"});
    life.create(job(spec)).wait(20).expect().end();
}

#[test]
fn an_exit_code_fails_a_job() {
    let mut life = Life::start("job-pod-failure-policy-failjob", ending(42));
    let rule = json!({"action": "FailJob", "onExitCodes": {"operator": "In", "values": [42]}});
    life.create(job(json!({"podFailurePolicy": {"rules": [rule]}}))).wait(20).expect().end();
}

#[test]
fn a_job_has_a_deadline() {
    // One whose container isn't at its end when the controller counts it has failed.
    let mut life = Life::start("job-active-deadline", json!({"images": {"app:1": {"stop": 5}}}));
    life.create(job(json!({"activeDeadlineSeconds": 2}))).wait(20).expect().end();
}

#[test]
fn a_finished_job_goes_after_its_ttl() {
    let mut life = Life::start("job-ttl", ending(0));
    life.create(job(json!({"ttlSecondsAfterFinished": 2}))).wait(3).expect().wait(10).expect().end();
}

#[test]
fn a_set_waits_for_its_volumes() {
    let mut life = Life::start("statefulset-unbound-volume", json!({}));
    let claim = json!({"metadata": {"name": "data"}, "spec": {"storageClassName": "none",
        "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}});
    let mut set = deployment(2);
    set["kind"] = json!("StatefulSet");
    set["metadata"]["name"] = json!("db");
    set["spec"]["serviceName"] = json!("db");
    set["spec"]["volumeClaimTemplates"] = json!([claim]);
    life.create(set).wait(20).expect().end();
}

#[test]
fn budgets_count_healthy_pods() {
    let mut life = Life::start("pdb-status", json!({}));
    let budgets = life.recorded["checkpoints"][0]["objects"]["poddisruptionbudgets"].clone();
    for (number, budget) in budgets.as_array().expect("a list").iter().enumerate() {
        let labels = json!({"app": format!("web{number}")});
        let mut owner = deployment(5);
        owner["metadata"]["name"] = json!(format!("web{number}"));
        owner["spec"]["selector"]["matchLabels"] = labels.clone();
        owner["spec"]["template"]["metadata"]["labels"] = labels;
        life.create(owner);
        life.create(json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
            "metadata": {"name": budget["metadata"]["name"]}, "spec": budget["spec"]}));
    }
    life.wait(20).expect();
    let pods = life.names(Kind::Pod);
    let some: Vec<String> = pods.chunks(5).flat_map(|owned| owned[..2].to_vec()).collect();
    life.break_down(&some).wait(1).expect();
    assert_eq!(life.checkpoint, 2);
}

#[test]
fn a_foreground_deletion_takes_all() {
    let mut life = Life::start("gc-foreground", json!({}));
    life.create(deployment(2)).wait(10).delete(Kind::Deployment, "web", Propagation::Foreground);
    life.wait(60).expect();
    assert_eq!(life.checkpoint, 1);
}

#[test]
fn a_set_adopts_releases_and_looks_at_costs() {
    let mut life = Life::start("replicaset-adopt-release-cost", json!({}));
    let mut orphan = pod("orphan", json!({}));
    orphan["metadata"]["labels"] = json!({"app": "web"});
    let mut set = deployment(3);
    set["kind"] = json!("ReplicaSet");
    life.create(orphan).wait(5).create(set).wait(10).expect();
    life.patch(Kind::Pod, "orphan", json!({"metadata": {"labels": {"app": "quarantine"}}})).wait(10).expect();
    let mut names = life.names(Kind::Pod);
    names.retain(|name| name != "orphan");
    for (name, cost) in names.iter().zip(["100", "-5", "3"]) {
        let annotations = json!({"controller.kubernetes.io/pod-deletion-cost": cost});
        life.patch(Kind::Pod, name, json!({"metadata": {"annotations": annotations}}));
    }
    life.wait(1).patch(Kind::ReplicaSet, "web", json!({"spec": {"replicas": 1}})).wait(40).expect().end();
}

#[test]
fn a_pod_of_high_priority_preempts() {
    let mut life = Life::start("preemption-events", json!({}));
    life.create(json!({"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "high"}, "value": 1000}));
    let large = |more: Value| {
        let mut spec = json!({"nodeSelector": {"kubernetes.io/hostname": "node-1"},
            "containers": [{"name": "c", "image": "app:1", "resources": {"requests": {"cpu": "1900m"}}}]});
        more.as_object().into_iter().flatten().for_each(|(field, value)| spec[field] = value.clone());
        spec
    };
    life.create(pod("low-0", large(json!({})))).wait(2).create(pod("low-1", large(json!({})))).wait(2);
    life.create(pod("vip", large(json!({"priorityClassName": "high"})))).wait(60).expect().end();
}

#[test]
fn claims_find_volumes() {
    let mut life = Life::start("pv-binding", json!({}));
    for (size, policy) in [("3", "Delete"), ("5", "Retain"), ("10", "Retain")] {
        life.create(json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": format!("pv-{size}")}, "spec": {
            "capacity": {"storage": format!("{size}Gi")}, "accessModes": ["ReadWriteOnce"], "storageClassName": "manual",
            "persistentVolumeReclaimPolicy": policy, "hostPath": {"path": "/data"}}}));
    }
    for (name, size) in [("two", "2Gi"), ("four", "4Gi"), ("twenty", "20Gi")] {
        life.create(json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": {
            "accessModes": ["ReadWriteOnce"], "storageClassName": "manual", "resources": {"requests": {"storage": size}}}}));
    }
    life.wait(20).expect();
    let mut user = pod("user", json!({"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "four"}}]}));
    user["spec"]["containers"][0]["volumeMounts"] = json!([{"name": "data", "mountPath": "/data"}]);
    life.create(user).wait(5).delete(Kind::PersistentVolumeClaim, "four", Propagation::Background).wait(5).expect();
    life.delete(Kind::Pod, "user", Propagation::Background).wait(40);
    life.delete(Kind::PersistentVolumeClaim, "two", Propagation::Background).wait(20).expect().end();
    let left = all(&life.engine, Kind::PersistentVolume).into_iter().map(|volume| {
        let spec = &volume["spec"];
        json!({"name": volume["metadata"]["name"], "phase": volume["status"]["phase"],
            "policy": spec["persistentVolumeReclaimPolicy"], "claimRef": spec["claimRef"]["name"]})
    });
    assert_eq!(Value::from(left.collect::<Vec<_>>()), life.recorded["finalPersistentVolumes"]);
}

#[test]
fn a_silent_node_loses_its_pods() {
    let grace = json!({"node_lifecycle": {"node_monitor_grace_period_seconds": 8}});
    let mut life = Life::start("node-unreachable", grace);
    let patience = |key: &str| json!({"key": format!("node.kubernetes.io/{key}"), "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 3});
    let mut web = deployment(3);
    web["spec"]["template"]["spec"]["tolerations"] = json!([patience("not-ready"), patience("unreachable")]);
    web["spec"]["template"]["spec"]["topologySpreadConstraints"] = json!([{
        "maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": {"app": "web"}}}]);
    life.create(web).wait(20).expect();
    let taints = |life: &Life| {
        let nodes = all(&life.engine, Kind::Node);
        let taints = nodes[1]["spec"]["taints"].as_array().cloned().unwrap_or_default();
        taints.iter().map(|taint| format!("{}:{}", taint["key"], taint["effect"]).replace('"', "")).collect::<Vec<_>>()
    };
    life.engine.fault(&Fault::Partition("node-2".into())).expect("it is there");
    // The second one comes when the controller looks again.
    while taints(&life).len() < 2 {
        life.wait(1);
    }
    life.expect();
    let both = ["NoSchedule", "NoExecute"].map(|effect| format!("node.kubernetes.io/unreachable:{effect}"));
    assert_eq!(taints(&life), both);
    life.wait(10).expect();
    assert_eq!(taints(&life), both);
    life.engine.fault(&Fault::Heal("node-2".into())).expect("it is there");
    life.wait(60).expect().end();
    assert!(taints(&life).is_empty());
}

#[test]
fn endpoints_follow_pods() {
    // The recorded kubelet writes once: that a container runs, and that it is ready.
    let images = json!({"app:1": {"start": 1, "ready": 0}, "slow:1": {"ready": 100_000}, "long:1": {"stop": 100_000}});
    let mut life = Life::start("endpoints", json!({"images": images}));
    for service in life.recorded["checkpoints"][0]["objects"]["services"].as_array().expect("a list").clone() {
        let mut spec = service["spec"].clone();
        let fields = spec.as_object_mut().expect("an object");
        fields.retain(|name, _| ["ports", "publishNotReadyAddresses", "selector"].contains(&name.as_str()));
        if service["metadata"]["name"] == "headless" {
            spec["clusterIP"] = json!("None");
        }
        let metadata = json!({"name": service["metadata"]["name"], "labels": service["metadata"]["labels"]});
        life.create(json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}));
    }
    for (name, image, port, hostname) in [
        ("a", "app:1", Some(8080), Some("a")),
        ("b", "app:1", Some(8081), Some("b")),
        ("c", "slow:1", Some(8080), None),
        ("d", "app:1", None, None),
        ("e", "long:1", Some(8080), None),
    ] {
        let ports: Vec<Value> = port.map(|port| json!({"name": "http", "containerPort": port})).into_iter().collect();
        let mut spec = json!({"containers": [{"name": "c", "image": image, "ports": ports}]});
        if let Some(hostname) = hostname {
            spec["hostname"] = json!(hostname);
            spec["subdomain"] = json!("headless");
        }
        let mut pod = pod(name, spec);
        pod["metadata"]["labels"] = json!({"app": "web"});
        life.create(pod);
    }
    life.wait(5);
    let grace = DeleteOptions { grace_period_seconds: Some(100_000), ..DeleteOptions::default() };
    let key = Key::new(Kind::Pod, "default", "e");
    life.engine.request(|server| server.delete(&key, &grace)).expect("it can be deleted");
    life.wait(1).expect();
    let nodes = all(&life.engine, Kind::Node);
    for slice in all(&life.engine, Kind::EndpointSlice) {
        for endpoint in slice["endpoints"].as_array().expect("a list") {
            let node = nodes.iter().find(|node| node["metadata"]["name"] == endpoint["nodeName"]).expect("a node");
            assert_eq!(endpoint["zone"], node["metadata"]["labels"]["topology.kubernetes.io/zone"]);
        }
    }
    life.break_down(&["b".into()]);
    life.patch(Kind::Pod, "a", json!({"metadata": {"labels": {"app": "other"}}})).wait(1).expect().end();
}
