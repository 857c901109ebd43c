//! How many pods a second the scheduler places, beside upstream's code: `cargo bench -p kit-scheduler --bench scheduling`.
//!
//! The workloads are those of `tests/conformance/throughput`, recorded from the code of Kubernetes 1.31 with one core
//! (`schedulePod-1core`) on an AMD EPYC: nodes with 32 CPUs, 128 GiB and room for 110 pods in 3 zones, an empty cluster at the
//! beginning, pods that ask for 100m and 500Mi, the default profile and its default sampling. As many pods are placed as
//! there. Measured is, as there, the decision and the pod's place in the cache; the queue, events, binding and requests to the API
//! server are left out, and the figures of another machine are only a yardstick.

use criterion::{Criterion, Throughput};
use kit_api::core::{Node, Pod as ApiPod};
use kit_scheduler::class::{Classes, Pod};
use kit_scheduler::cycle::State;
use kit_scheduler::framework::{Framework, Profile};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

const RECORDED: &str = include_str!("../../../tests/conformance/throughput/scheduler_throughput.json");

struct Workload {
    pods: String,
    nodes: usize,
    placed: usize,
    groups: usize,
    /// Upstream's pods a second, the better of two runs.
    upstream: f64,
}

fn workloads() -> Vec<Workload> {
    let recorded: Value = serde_json::from_str(RECORDED).expect("the recording is JSON");
    let rows = recorded["rows"].as_array().expect("it has rows").iter();
    let best = |row: &Value, field: &str| {
        let runs = row[field].as_array().into_iter().flatten();
        runs.filter_map(Value::as_f64).fold(0.0, f64::max)
    };
    rows.filter(|row| row["mode"] == "schedulePod-1core")
        .map(|row| Workload {
            pods: row["pods"].as_str().unwrap_or_default().into(),
            nodes: row["nodes"].as_u64().unwrap_or(0) as usize,
            placed: best(row, "placed") as usize,
            groups: row["labelGroups"].as_u64().unwrap_or(1) as usize,
            upstream: best(row, "podsPerSecond"),
        })
        .collect()
}

fn node(index: usize) -> Node {
    let name = format!("node-{index}");
    serde_json::from_value(json!({
        "metadata": {"name": name, "labels": {
            "kubernetes.io/hostname": name, "topology.kubernetes.io/zone": format!("zone-{}", index % 3),
        }},
        "status": {"allocatable": {"cpu": "32", "memory": "128Gi", "pods": "110"}},
    }))
    .expect("a good node")
}

fn pod(kind: &str, index: usize, groups: usize) -> ApiPod {
    let group = format!("group-{}", index % groups);
    let selector = json!({"matchLabels": {"group": group}});
    let mut spec = json!({"containers": [
        {"name": "main", "image": "pause", "resources": {"requests": {"cpu": "100m", "memory": "500Mi"}}},
    ]});
    match kind {
        "antiaffinity" => {
            let term = json!({"labelSelector": selector, "topologyKey": "kubernetes.io/hostname"});
            let required = json!({"requiredDuringSchedulingIgnoredDuringExecution": [term]});
            spec["affinity"] = json!({ "podAntiAffinity": required });
        }
        "spread" => {
            spec["topologySpreadConstraints"] = json!([{
                "maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "DoNotSchedule",
                "labelSelector": selector,
            }]);
        }
        _ => {}
    }
    let metadata = json!({"name": format!("pod-{index}"), "namespace": "default", "labels": {"group": group}});
    serde_json::from_value(json!({ "metadata": metadata, "spec": spec })).expect("a good pod")
}

/// Places all pods of a workload in an empty cluster: how long that takes.
fn run(workload: &Workload) -> Duration {
    let mut state = State::default();
    (0..workload.nodes).for_each(|index| _ = state.nodes.set_node(&node(index)));
    let mut classes = Classes::default();
    let pods = (0..workload.placed).map(|index| Rc::new(classes.pod(&pod(&workload.pods, index, workload.groups))));
    let pods: Vec<Rc<Pod>> = pods.collect();
    let mut framework = Framework::new(&solutions::modules(), Profile::default());
    let began = Instant::now();
    for pod in &pods {
        let found = state.schedule(pod, &mut framework);
        let node = found.chosen.expect("each pod finds a place, as it did in the recording");
        state.nodes.set_pod(node, Pod { node_name: Some(node), ..(**pod).clone() });
    }
    began.elapsed()
}

/// The most memory that this process had so far, in MiB.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib / 1024)
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let mut table = Vec::new();
    let mut group = criterion.benchmark_group("scheduling");
    group.sample_size(10).warm_up_time(Duration::from_millis(1)).measurement_time(Duration::from_secs(5));
    for workload in workloads() {
        let best = RefCell::new(Duration::MAX);
        group.throughput(Throughput::Elements(workload.placed as u64));
        group.bench_function(format!("{}/{}", workload.pods, workload.nodes), |bencher| {
            bencher.iter_custom(|runs| {
                let once = |_| {
                    let took = run(&workload);
                    best.replace_with(|best| took.min(*best));
                    took
                };
                (0..runs).map(once).sum()
            });
        });
        let best = best.into_inner();
        if best < Duration::MAX {
            table.push((workload, best, peak_memory()));
        }
    }
    group.finish();
    criterion.final_summary();
    println!(
        "{:<14} {:>6} {:>6} {:>10} {:>10} {:>7} {:>10} {:>9}",
        "pods", "nodes", "placed", "upstream/s", "here/s", "ratio", "µs a pod", "peak MiB"
    );
    for (Workload { pods, nodes, placed, upstream, .. }, took, memory) in table {
        let here = placed as f64 / took.as_secs_f64();
        let (each, memory) = (1e6 / here, memory.map_or("?".into(), |mib| mib.to_string()));
        println!(
            "{pods:<14} {nodes:>6} {placed:>6} {upstream:>10.0} {here:>10.0} {:>6.1}x {each:>10.1} {memory:>9}",
            here / upstream
        );
    }
}
