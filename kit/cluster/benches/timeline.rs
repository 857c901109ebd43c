//! What an hour of a cluster costs: `cargo bench -p kit-cluster`.
//!
//! Clusters of growing size run for one virtual hour, in which each workload is scaled up and down again and one node
//! in ten crashes and comes back. Printed are real time, events in the store, and how much faster than life it was; then
//! the same with a recorder, and how large the recording is, as it is and compressed.

use flate2::Compression;
use flate2::write::GzEncoder;
use kit_cluster::engine::Clock;
use kit_cluster::recording::Recorder;
use kit_cluster::timeline::{Play, Timeline};
use serde_json::json;
use std::io::Write;
use std::time::Instant;

/// The grader's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn timeline(nodes: usize, pods: usize) -> Timeline {
    let sets = pods / 10;
    let set = |index: usize| {
        let name = format!("web-{index}");
        json!({
            "apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": name},
            "spec": {
                "replicas": 10, "selector": {"matchLabels": {"app": name}},
                "template": {
                    "metadata": {"labels": {"app": name}},
                    "spec": {"containers": [{"name": "web", "image": "web:1", "resources": {"requests": {"cpu": "100m"}}}]},
                },
            },
        })
    };
    let scale = |replicas: usize| {
        let all = (0..sets).map(|index| (format!("replicaset/web-{index}"), json!(replicas)));
        json!({"scale": all.collect::<serde_json::Map<_, _>>()})
    };
    let crashes = |verb: &str| (1..=nodes).step_by(10).map(|node| json!({verb: format!("node-{node}")})).collect();
    let run = |span: &str| vec![json!({"run": span})];
    let crash: Vec<_> = crashes("crash");
    let steps =
        [run("10m"), vec![scale(12)], run("20m"), crash, run("10m"), crashes("restart"), vec![scale(10)], run("20m")];
    let value = json!({
        "cluster": {"nodes": nodes, "zones": 3},
        "apply": (0..sets).map(set).collect::<Vec<_>>(),
        "timeline": steps.concat(),
        "observe": ["pods", "replica_sets"],
        "always": ["web-0 pods <= 12"],
    });
    serde_json::from_value(value).expect("a good timeline")
}

/// Plays it: real seconds, virtual seconds, and writes.
fn play(timeline: &Timeline, recorder: Option<&mut Recorder>) -> (f64, f64, i64) {
    let began = Instant::now();
    let modules = solutions::modules();
    let (mut play, _) = Play::recorded(timeline, &modules, Clock::default(), recorder).expect("it starts");
    while play.step().expect("it goes on").is_some() {}
    let real = began.elapsed().as_secs_f64();
    (real, play.engine().now().nanos as f64 / 1e9, play.engine().server().snapshot().revision)
}

fn main() {
    println!(
        "{:>6} {:>6} {:>9} {:>9} {:>14} {:>11} {:>9} {:>9}",
        "nodes", "pods", "writes", "real s", "times life", "recorded s", "kB", "kB gzip"
    );
    for (nodes, pods) in [(10, 100), (30, 300), (100, 1_000)] {
        let timeline = timeline(nodes, pods);
        let (real, virtual_seconds, writes) = play(&timeline, None);
        let mut recorder = Recorder::new("an hour", "");
        let (recorded, ..) = play(&timeline, Some(&mut recorder));
        let json = serde_json::to_vec(&recorder.finish()).expect("a recording is JSON");
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        gzip.write_all(&json).expect("memory takes all");
        let (size, packed) = (json.len() / 1000, gzip.finish().expect("memory takes all").len() / 1000);
        let times = virtual_seconds / real;
        println!("{nodes:>6} {pods:>6} {writes:>9} {real:>9.2} {times:>14.0} {recorded:>11.2} {size:>9} {packed:>9}");
        assert!(packed < 2000, "an hour of {nodes} nodes is to be less than 2 MB");
    }
}
