//! What a controller's work costs where there is much of it: `cargo bench -p kit-cluster --bench controllers`.
//!
//! Each line is one virtual cluster with so many objects of a kind, from their creation until all is done. Printed are real
//! time for each object and how it grows: 1.0 if four times as many cost four times as much.

use kit_apimachinery::object::{Kind, Object};
use kit_cluster::cluster::{self, Config};
use kit_cluster::engine::{Clock, Engine};
use serde_json::{Value, json};
use std::time::Instant;

/// The grader's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What is created, how many of it, and when it is done.
struct Work {
    name: &'static str,
    most: usize,
    objects: fn(usize) -> Vec<Value>,
    done: fn(&Engine, usize) -> bool,
}

fn template(name: &str) -> Value {
    json!({"metadata": {"labels": {"app": name}}, "spec": {"containers": [
        {"name": "c", "image": "app:1", "resources": {"requests": {"cpu": "1m"}}}]}})
}

fn workload(kind: &str, name: &str, more: Value) -> Value {
    let mut spec = json!({"selector": {"matchLabels": {"app": name}}, "template": template(name)});
    more.as_object().into_iter().flatten().for_each(|(field, value)| spec[field] = value.clone());
    json!({"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name}, "spec": spec})
}

fn named(prefix: &'static str, count: usize) -> impl Iterator<Item = String> {
    (0..count).map(move |number| format!("{prefix}-{number}"))
}

fn count(engine: &Engine, kind: Kind, good: impl Fn(&Value) -> bool) -> usize {
    let snapshot = engine.server().snapshot();
    let objects = snapshot.list(kind).map(|stored| serde_json::from_str(stored.json()).expect("objects are JSON"));
    objects.filter(good).count()
}

const WORK: [Work; 6] = [
    Work {
        name: "completions of a Job",
        most: 10_000,
        objects: |most| {
            let pods = json!({"restartPolicy": "Never", "containers": [{"name": "c", "image": "done:1"}]});
            vec![json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "work"}, "spec": {
                "completions": most, "parallelism": 500, "completionMode": "Indexed", "template": {"spec": pods}}})]
        },
        done: |engine, most| count(engine, Kind::Job, |job| job["status"]["succeeded"] == most) == 1,
    },
    Work {
        name: "StatefulSets of three",
        most: 1_000,
        objects: |most| {
            let more = json!({"replicas": 3, "serviceName": "db", "podManagementPolicy": "Parallel"});
            named("db", most).map(|name| workload("StatefulSet", &name, more.clone())).collect()
        },
        done: |engine, most| count(engine, Kind::StatefulSet, |set| set["status"]["availableReplicas"] == 3) == most,
    },
    Work {
        name: "autoscaled Deployments",
        most: 1_000,
        objects: |most| {
            let scaler = |name: &String| {
                let utilization = json!({"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}});
                json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": name}, "spec": {
                    "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
                    "maxReplicas": 3, "metrics": [{"type": "Resource", "resource": utilization}]}})
            };
            let both = |name: String| [workload("Deployment", &name, json!({"replicas": 1})), scaler(&name)];
            named("web", most).flat_map(both).collect()
        },
        // Each pod uses twice what it asks for, so three are wanted.
        done: |engine, most| count(engine, Kind::Deployment, |web| web["status"]["availableReplicas"] == 3) == most,
    },
    Work {
        name: "claims with made volumes",
        most: 10_000,
        objects: |most| {
            let driver = json!({"apiVersion": "storage.k8s.io/v1", "kind": "CSIDriver", "metadata": {"name": "disks"}, "spec": {}});
            let class = json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "made"},
                "provisioner": "disks"});
            [driver, class].into_iter().chain(named("data", most).map(|name| claim(&name, "made"))).collect()
        },
        done: bound,
    },
    Work {
        name: "claims with volumes there",
        most: 10_000,
        objects: |most| {
            let volume = |name: String| {
                json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": {
                    "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": "there",
                    "hostPath": {"path": "/data"}}})
            };
            named("disk", most).map(volume).chain(named("data", most).map(|name| claim(&name, "there"))).collect()
        },
        done: bound,
    },
    Work {
        name: "claims that wait for pods",
        most: 4_000,
        objects: |most| {
            let driver = json!({"apiVersion": "storage.k8s.io/v1", "kind": "CSIDriver", "metadata": {"name": "disks"}, "spec": {
                "attachRequired": false}});
            let class = json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "made"},
                "provisioner": "disks", "volumeBindingMode": "WaitForFirstConsumer"});
            let pod = |name: &String| {
                let volume = json!({"name": "data", "persistentVolumeClaim": {"claimName": name}});
                json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"volumes": [volume], "containers": [
                    {"name": "c", "image": "app:1", "volumeMounts": [{"name": "data", "mountPath": "/data"}]}]}})
            };
            let both = |name: String| [claim(&name, "made"), pod(&name)];
            [driver, class].into_iter().chain(named("data", most).flat_map(both)).collect()
        },
        done: bound,
    },
];

fn claim(name: &str, class: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": {
        "accessModes": ["ReadWriteOnce"], "storageClassName": class, "resources": {"requests": {"storage": "1Gi"}}}})
}

fn bound(engine: &Engine, most: usize) -> bool {
    count(engine, Kind::PersistentVolumeClaim, |claim| claim["status"]["phase"] == "Bound") == most
}

/// Real seconds until it is done, virtual ones, and writes.
fn play(work: &Work, most: usize) -> (f64, i64, i64) {
    let config = json!({"nodes": 50, "images": {
        "app:1": {"milli_cpu": 2}, "done:1": {"exits_after": 1},
    }});
    let config: Config = serde_json::from_value(config).expect("a good configuration");
    let mut engine = cluster::start(&config, &solutions::modules(), Clock::default());
    let objects: Vec<Object> = (work.objects)(most)
        .iter()
        .map(|manifest| {
            let kind = Kind::named(manifest["kind"].as_str().expect("a kind")).expect("a known kind");
            Object::decode(kind, &manifest.to_string()).expect("a good manifest")
        })
        .collect();
    let step = kit_time::agenda::Instant::seconds(5);
    engine.run_until(step).expect("the reference answers");
    let (began, start) = (Instant::now(), engine.now());
    for object in objects {
        engine.request(|server| server.create(object)).expect("it can be created");
    }
    let mut looked = 0.0;
    for _ in 0..2_000 {
        engine.run_until(engine.now() + step).expect("the reference answers");
        let looking = Instant::now();
        let done = (work.done)(&engine, most);
        looked += looking.elapsed().as_secs_f64();
        if done {
            let virtually = (engine.now() - start).nanos / 1_000_000_000;
            return (began.elapsed().as_secs_f64() - looked, virtually, engine.server().snapshot().revision);
        }
    }
    panic!("{most} {} are never done", work.name);
}

fn main() {
    let only = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    println!(
        "{:<26} {:>7} {:>9} {:>9} {:>12} {:>7}",
        "objects", "count", "writes", "virtual s", "µs an object", "growth"
    );
    for work in WORK.iter().filter(|work| only.as_ref().is_none_or(|only| work.name.contains(only.as_str()))) {
        let mut before = None;
        for most in [work.most / 16, work.most / 4, work.most] {
            let (real, virtually, writes) = play(work, most);
            let each = real * 1e6 / most as f64;
            let growth = before.map_or(String::new(), |before| format!("{:.1}", each / before));
            println!("{:<26} {most:>7} {writes:>9} {virtually:>9} {each:>12.0} {growth:>7}", work.name);
            before = Some(each);
        }
    }
}
