//! How large a cluster may be: `cargo bench -p kit-cluster --bench scale [-- join|idle|day[=HOURS]]`.
//!
//! `join`: 5,000 nodes register and become ready, then 10,000 pods of 100 Deployments are created, scheduled and running. `idle`:
//! what a node costs that nothing runs on. `day`: 1,000 nodes and 10,000 pods, of which every hour a tenth is rolled out anew and
//! one node in a hundred dies for ten minutes.
//!
//! In the figures is all that a cluster does: every write goes through admission and the store, which keeps its history for five
//! minutes, and to all who watch; leases are renewed each ten seconds. Left out are what the simulation doesn't have: containers,
//! a network between the parts, and TLS. Memory is that of the whole process, each figure in a process of its own. Time is told
//! twice: as it passed, and how much of it the processor worked here, which other programs change little.

use kit_api::core::{Node, Pod};
use kit_api::{node, pod};
use kit_apimachinery::object::{AsKind, Kind, Object};
use kit_cluster::cluster::{self, Config};
use kit_cluster::engine::{Clock, Engine};
use kit_cluster::timeline::{Step, act};
use serde_json::{Value, json};
use std::process::Command;
use std::time::Instant;

/// The grader's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const DEPLOYMENTS: usize = 100;
const REPLICAS: usize = 100;
/// Of so many Deployments one is rolled out each hour, and of ten times so many nodes one dies.
const TENTH: usize = 10;

fn start(nodes: usize) -> Engine {
    let config: Config = serde_json::from_value(json!({"nodes": nodes, "zones": 3})).expect("a good configuration");
    cluster::start(&config, &solutions::modules(), Clock::default())
}

fn run(engine: &mut Engine, seconds: i64) {
    engine.run_until(engine.now() + kit_time::agenda::Instant::seconds(seconds)).expect("the reference answers");
}

fn play(engine: &mut Engine, step: Value) {
    let step: Step = serde_json::from_value(step).expect("a step");
    act(engine, &step).expect("it can be done");
}

fn create(engine: &mut Engine) {
    for name in (0..DEPLOYMENTS).map(|index| format!("web-{index}")) {
        let manifest = json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
            "spec": {
                "replicas": REPLICAS, "selector": {"matchLabels": {"app": name}},
                "template": {
                    "metadata": {"labels": {"app": name}},
                    "spec": {"containers": [{"name": "web", "image": "web:1", "resources": {"requests": {"cpu": "100m", "memory": "100Mi"}}}]},
                },
            },
        });
        let object = Object::decode(Kind::Deployment, &manifest.to_string()).expect("a good manifest");
        engine.request(|server| server.create(object)).expect("it can be created");
    }
}

/// Runs until so many objects of a type are as they should be; virtual seconds.
fn until<T: AsKind + 'static>(engine: &mut Engine, most: usize, good: impl Fn(&T) -> bool) -> i64 {
    for second in 0..600 {
        let objects = engine.server().snapshot().list(T::KIND).filter_map(|stored| stored.get::<T>());
        if objects.filter(|object| good(object)).count() == most {
            return second;
        }
        run(engine, 1);
    }
    panic!("{most} {} are never as they should be", T::KIND.name());
}

fn is_ready(node: &Node) -> bool {
    let tainted = node.spec.as_ref().is_some_and(|spec| spec.taints.as_ref().is_some_and(|taints| !taints.is_empty()));
    !tainted && node::is_ready(node)
}

fn runs(pod: &Pod) -> bool {
    pod::phase(pod) == "Running"
}

/// A line of `/proc/self/status`, in MiB.
fn memory(line: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let words = status.lines().find_map(|said| said.strip_prefix(line)).unwrap_or_default();
    words.split_whitespace().find_map(|word| word.parse::<f64>().ok()).unwrap_or_default() / 1024.0
}

/// How long this program was at work, in seconds; it has one thread.
fn processor() -> f64 {
    let nanoseconds = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    let first = nanoseconds.split_whitespace().next().and_then(|word| word.parse::<f64>().ok());
    first.unwrap_or_default() / 1e9
}

fn report(what: &str, began: Instant, engine: &Engine) {
    let (real, busy, peak) = (began.elapsed().as_secs_f64(), processor(), memory("VmHWM:"));
    let revision = engine.server().snapshot().revision;
    println!("{what:<44} {real:>9.2} {busy:>12.2} {revision:>10} {peak:>9.0}");
}

fn join() {
    let (nodes, pods) = (5_000, DEPLOYMENTS * REPLICAS);
    let began = Instant::now();
    let mut engine = start(nodes);
    until(&mut engine, nodes, is_ready);
    report("5,000 nodes have joined", began, &engine);
    create(&mut engine);
    until(&mut engine, pods, runs);
    report("and 10,000 pods are running", began, &engine);
}

fn idle() {
    let began = Instant::now();
    let mut engine = start(5_000);
    run(&mut engine, 600);
    report("5,000 idle nodes for ten minutes", began, &engine);
}

fn day(hours: usize) {
    let (nodes, pods) = (1_000, DEPLOYMENTS * REPLICAS);
    let began = Instant::now();
    let mut engine = start(nodes);
    run(&mut engine, 60);
    create(&mut engine);
    until(&mut engine, pods, runs);
    for hour in 0..hours {
        for index in (0..DEPLOYMENTS).filter(|index| index % TENTH == hour % TENTH) {
            let container = json!({"name": "web", "image": format!("web:{}", hour + 2)});
            let template = json!({"spec": {"template": {"spec": {"containers": [container]}}}});
            play(&mut engine, json!({"patch": {format!("deployment/web-{index}"): template}}));
        }
        run(&mut engine, 1200);
        let down: Vec<String> =
            (1..=nodes).skip(hour).step_by(TENTH * TENTH).map(|node| format!("node-{node}")).collect();
        down.iter().for_each(|node| play(&mut engine, json!({"crash": node})));
        run(&mut engine, 600);
        down.iter().for_each(|node| play(&mut engine, json!({"restart": node})));
        run(&mut engine, 1800);
    }
    let running = until(&mut engine, pods, runs);
    assert_eq!(running, 0, "the last half hour was enough");
    report(&format!("{hours} h of 1,000 nodes and 10,000 pods"), began, &engine);
}

fn main() {
    let asked: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    match asked.first().map(|first| first.split_once('=').unwrap_or((first, ""))) {
        Some(("join", _)) => join(),
        Some(("idle", _)) => idle(),
        Some(("day", hours)) => day(hours.parse().unwrap_or(24)),
        _ => {
            println!("{:<44} {:>9} {:>12} {:>10} {:>9}", "cluster", "real s", "processor s", "writes", "MiB most");
            let program = std::env::current_exe().expect("this program has a path");
            for part in ["join", "idle", "day"] {
                let ended = Command::new(&program).arg(part).status().expect("this program runs");
                assert!(ended.success(), "{part} failed");
            }
        }
    }
}
