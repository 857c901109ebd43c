//! Reads don't wait: for nothing that the engine does, and for no module.

use kit_apimachinery::object::{Key, Kind, Object};
use kit_cluster::cluster::{self, Config};
use kit_cluster::engine::Clock;
use kit_contract::scheduler::{Taint, Taints, Toleration, Verdict};
use kit_contract::{Modules, Slot};
use kit_live::{Live, Options};
use kit_node::kubelet::node::NodeShape;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// How long the module thinks, once.
const THINKS: Duration = Duration::from_secs(2);

/// A module that takes two seconds for each answer.
#[derive(Default)]
struct Slow;

impl Taints for Slow {
    fn filter(&self, _: &[Toleration], _: &[Taint]) -> Verdict {
        std::thread::sleep(THINKS);
        Verdict::Fits
    }
}

fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).expect("the endpoint listens");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout can be set");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").expect("it takes requests");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers in UTF-8");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    (head[9..12].parse().expect("a status"), body.to_string())
}

fn wait_for(mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(30), "it never came to be");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn web() -> Object {
    let json = r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web","namespace":"default"},
        "spec":{"containers":[{"name":"web","image":"web:1"}]}}"#;
    Object::decode(Kind::Pod, json).expect("a pod")
}

#[test]
fn objects_and_lists_are_read_as_from_an_api_server() {
    let engine = || cluster::start(&Config::default(), &solutions::modules(), Clock::default());
    let live = Live::start(engine, Options { speed: 10.0, ..Options::default() }).expect("a port is free");
    wait_for(|| live.door().snapshot().list(Kind::Node).count() == 3);
    live.door().request(|driver| _ = driver.engine.request(|server| server.create(web())));
    let web = Key::new(Kind::Pod, "default", "web");
    wait_for(|| live.door().snapshot().get(&web).is_some_and(|pod| pod.json().contains(r#""phase":"Running""#)));
    let (status, nodes) = get(live.address(), "/api/v1/nodes");
    let nodes: serde_json::Value = serde_json::from_str(&nodes).expect("JSON");
    assert_eq!(
        (status, nodes["kind"].as_str(), nodes["items"].as_array().map(Vec::len)),
        (200, Some("NodeList"), Some(3))
    );
    let cases = [
        ("/api/v1/namespaces/default/pods/web", 200, r#""name":"web""#),
        ("/api/v1/namespaces/default/pods/api", 404, r#"pods \"api\" not found"#),
        ("/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases", 200, r#""kind":"LeaseList""#),
        ("/api/v1/nothing", 404, "could not find the requested resource"),
    ];
    for (path, status, text) in cases {
        let (code, body) = get(live.address(), path);
        assert!(code == status && body.contains(text), "{path}: {code} {body}");
    }
    live.stop().expect("no module was lost");
}

/// How long one read takes: the median and the slowest of those that begin while `goes_on` holds, at least of 20.
fn time_reads(live: &Live, mut goes_on: impl FnMut(usize) -> bool) -> (Duration, Duration) {
    let mut reads = Vec::new();
    while goes_on(reads.len()) {
        // Whole lists, and pages of what is selected.
        let path = ["/api/v1/nodes", "/api/v1/nodes?limit=50&labelSelector=kubernetes.io/hostname"][reads.len() % 2];
        let began = Instant::now();
        assert_eq!(get(live.address(), path).0, 200);
        reads.push(began.elapsed());
    }
    assert!(reads.len() >= 20, "only {} reads", reads.len());
    reads.sort();
    (reads[reads.len() / 2], reads[reads.len() - 1])
}

/// What a quiet read costs on this machine now, but no less than what a loaded one can tell from nothing.
fn quiet(live: &Live) -> Duration {
    time_reads(live, |reads| reads < 50).0.max(Duration::from_millis(1))
}

/// Asleep or busy, an engine may make the usual read slower by a factor, not by what it waits or works.
const FACTOR: u32 = 10;

#[test]
fn reads_go_on_while_a_module_thinks() {
    let engine = || {
        let modules = Modules { taints: Slot::of::<Slow>(), ..solutions::modules() };
        // A node without a taint is no question for the module.
        let taint = Taint { key: "dedicated".into(), effect: "NoSchedule".into(), ..Taint::default() };
        let shape = NodeShape { name: "node-1".into(), taints: vec![taint], ..NodeShape::default() };
        let config = Config { nodes: cluster::Nodes::Shapes(vec![shape]), ..Config::default() };
        cluster::start(&config, &modules, Clock::default())
    };
    let live = Live::start(engine, Options { speed: 1.0, ..Options::default() }).expect("a port is free");
    wait_for(|| live.door().snapshot().list(Kind::Node).count() == 1);
    let quiet = quiet(&live);
    live.door().request(|driver| _ = driver.engine.request(|server| server.create(web())));
    let web = Key::new(Kind::Pod, "default", "web");
    wait_for(|| live.door().snapshot().get(&web).is_some());
    // The module is asked now, and the engine stands still until it answers: nothing is written meanwhile.
    let bound = |live: &Live| live.door().snapshot().get(&web).is_some_and(|pod| pod.json().contains(r#""nodeName""#));
    let (began, mut still) = (Instant::now(), Vec::new());
    let (median, slowest) = time_reads(&live, |_| {
        assert!(began.elapsed() < THINKS * 10, "the pod was never bound");
        still.push((live.door().snapshot().revision, Instant::now()));
        !bound(&live)
    });
    let stood = still.chunk_by(|a, b| a.0 == b.0).map(|same| same[same.len() - 1].1 - same[0].1).max();
    assert!(stood.is_some_and(|stood| stood * 2 > THINKS), "the engine stood still for {stood:?} only");
    assert!(median < quiet * FACTOR, "a read took {median:?}, and {quiet:?} before");
    assert!(slowest * 4 < THINKS, "the slowest read took {slowest:?}");
    live.stop().expect("no module was lost");
}

#[test]
fn reads_go_on_while_the_engine_is_busy() {
    let live = |speed: f64| {
        let engine = || {
            let config = Config { nodes: cluster::Nodes::Count(100), ..Config::default() };
            cluster::start(&config, &solutions::modules(), Clock::default())
        };
        let live = Live::start(engine, Options { speed, ..Options::default() }).expect("a port is free");
        wait_for(|| live.door().snapshot().list(Kind::Node).count() == 100);
        live
    };
    let at_rest = live(1.0);
    let quiet = quiet(&at_rest);
    at_rest.stop().expect("no module was lost");
    // So fast that it is always late: it steps from event to event and never sleeps. A thousand writes say that it did.
    let busy = live(1e9);
    let before = busy.door().snapshot().revision;
    let (median, _) = time_reads(&busy, |reads| reads < 50 || busy.door().snapshot().revision < before + 1_000);
    assert!(median < quiet * FACTOR, "a read took {median:?}, and {quiet:?} beside an engine at rest");
    busy.stop().expect("no module was lost");
}
