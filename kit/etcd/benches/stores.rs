//! The stores side by side: `cargo bench -p kit-etcd --features client`.
//!
//! Writes per second and events per second to many watches, of the store in memory, the one on disk, and a real etcd on this
//! machine, one after the other in one run. Disk and etcd write to the same file system and wait for it before they answer.
//! Then an API server with 10,000 pods. Without the feature etcd's rows are missing.

use kit_api::jiff::Timestamp;
use kit_contract::control_plane::Store;
use kit_server::{Body, Request, Server, Watch};
use kit_store::api::*;
use kit_store::{Disk, Kv, Memory, Module, Options};
use kit_time::random::Random;
use std::cell::RefCell;
use std::fs::File;
use std::io::Write;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// How long each kind of write is repeated.
const SPAN: Duration = Duration::from_secs(3);
/// Bytes of a value: a pod is about as long.
const VALUE: usize = 1024;
/// How many clients write at once in the second row of each store.
const CLIENTS: usize = 64;
const PODS: usize = 10_000;

fn main() {
    let folder = tempfile::tempdir().expect("a folder");
    println!("{:<12} {:>8} {:>12}", "writes", "clients", "per second");
    row("file", 1, appends(folder.path()));
    writes("memory", &mut Memory::default());
    let path = folder.path().join("writes.redb");
    writes("disk", &mut Disk::open(&path, Options::default()).expect("a store"));
    #[cfg(feature = "client")]
    let server = kit_etcd::Server::start(folder.path(), &[]).unwrap_or_else(|e| panic!("{e}"));
    #[cfg(feature = "client")]
    writes("etcd", &mut server.connect().expect("a client"));

    println!("\n{:<12} {:>8} {:>8} {:>12}", "events", "watches", "writes", "per second");
    for (watches, changes) in [(1, 2000), (100, 500), (1000, 100)] {
        fan_out("memory", Memory::default(), watches, changes);
        let path = folder.path().join(format!("fan-out-{watches}.redb"));
        fan_out("disk", Disk::open(&path, Options::default()).expect("a store"), watches, changes);
        #[cfg(feature = "client")]
        fan_out_of_etcd(&server, watches, changes);
    }

    println!("\n{:<12} {:<44} {:>9}", "API server", "", "ms");
    let modules = solutions::modules();
    api_server("reference", modules.store.make(&()));
    api_server("memory", Box::new(Module::over(Rc::new(RefCell::new(Memory::default())))));
}

fn row(store: &str, clients: usize, per_second: f64) {
    println!("{store:<12} {clients:>8} {per_second:>12.0}");
}

/// What the file system gives: a value appended and synced, again and again.
fn appends(folder: &std::path::Path) -> f64 {
    let mut file = File::create(folder.join("appends")).expect("a file");
    rate(|| {
        file.write_all(&[7; VALUE]).expect("room");
        file.sync_data().expect("a disk");
        1
    })
}

/// What is done per second; each call says how much it did.
fn rate(mut work: impl FnMut() -> usize) -> f64 {
    let (begun, mut done) = (Instant::now(), 0);
    while begun.elapsed() < SPAN {
        done += work();
    }
    done as f64 / begun.elapsed().as_secs_f64()
}

fn put(n: usize) -> PutRequest {
    PutRequest {
        key: format!("/registry/pods/default/web-{:05}", n % 5000).into(),
        value: vec![7; VALUE].into(),
        ..Default::default()
    }
}

fn puts(from: usize) -> Vec<TxnRequest> {
    let txn = |n| TxnRequest { success: vec![Op::Put(put(n))], ..Default::default() };
    (from..from + CLIENTS).map(txn).collect()
}

fn writes(name: &str, store: &mut dyn Kv) {
    let mut n = 0;
    let one = rate(|| {
        n += 1;
        store.put(&put(n)).expect("a write");
        1
    });
    row(name, 1, one);
    let many = rate(|| {
        n += CLIENTS;
        store.txns(&puts(n)).into_iter().for_each(|answer| drop(answer.expect("a write")));
        CLIENTS
    });
    row(name, CLIENTS, many);
}

fn everything() -> WatchRequest {
    WatchRequest { key: "/registry/".into(), range_end: "/registry0".into(), ..Default::default() }
}

fn told(responses: Vec<WatchResponse>) -> usize {
    responses.iter().map(|response| response.events.len()).sum()
}

fn fan_row(store: &str, watches: usize, changes: usize, span: Duration) {
    let per_second = (watches * changes) as f64 / span.as_secs_f64();
    println!("{store:<12} {watches:>8} {changes:>8} {per_second:>12.0}");
}

fn fan_out(name: &str, mut store: impl Kv, watches: usize, changes: usize) {
    (0..watches).for_each(|_| drop(store.watch(&everything()).expect("a watch")));
    let (begun, mut n, mut heard) = (Instant::now(), 0, 0);
    while heard < watches * changes {
        let batch: Vec<_> = puts(n).into_iter().take(changes - n).collect();
        n += batch.len();
        store.txns(&batch).into_iter().for_each(|answer| drop(answer.expect("a write")));
        heard += told(store.poll().expect("events"));
    }
    fan_row(name, watches, changes, begun.elapsed());
}

/// One client writes while another listens, as processes of their own would.
#[cfg(feature = "client")]
fn fan_out_of_etcd(server: &kit_etcd::Server, watches: usize, changes: usize) {
    let mut listener = server.connect().expect("a client");
    (0..watches).for_each(|_| drop(listener.watch(&everything()).expect("a watch")));
    let mut writer = server.connect().expect("a client");
    let begun = Instant::now();
    let writing = std::thread::spawn(move || {
        for from in (0..changes).step_by(CLIENTS) {
            let batch: Vec<_> = puts(from).into_iter().take(changes - from).collect();
            writer.txns(&batch).into_iter().for_each(|answer| drop(answer.expect("a write")));
        }
    });
    let mut heard = 0;
    let mut last = begun.elapsed();
    while heard < watches * changes {
        let (events, at) = listener.poll_until(watches * changes - heard).expect("events");
        heard += events;
        last = at.duration_since(begun);
    }
    writing.join().expect("the writer");
    fan_row("etcd", watches, changes, last);
}

fn api_server(name: &str, store: Box<dyn Store>) {
    let modules = solutions::modules();
    let mut server = Server::new(store, &modules, Random::new(1), Timestamp::UNIX_EPOCH);
    let report = |what: &str, begun: Instant| {
        println!("{name:<12} {what:<44} {:>9.1}", begun.elapsed().as_secs_f64() * 1000.0);
    };
    let first = server.snapshot().revision;
    let begun = Instant::now();
    for n in 0..PODS {
        let pod = format!(
            r#"{{"apiVersion":"v1","kind":"Pod","metadata":{{"name":"web-{n}","labels":{{"app":"web"}}}},
                "spec":{{"containers":[{{"name":"web","image":"web:1"}}]}}}}"#
        );
        assert_eq!(ask(&mut server, "POST", "/api/v1/namespaces/default/pods", "", &pod).0, 201);
    }
    report("create 10,000 pods", begun);
    for what in ["list 10,000 pods, encoded for the first time", "list 10,000 pods again"] {
        let begun = Instant::now();
        let (code, text) = ask(&mut server, "GET", "/api/v1/pods", "", "");
        report(what, begun);
        assert_eq!((code, text.matches("\"uid\"").count()), (200, PODS));
    }
    let begun = Instant::now();
    let (mut pages, mut query) = (0, "limit=500".to_string());
    loop {
        let (_, text) = ask(&mut server, "GET", "/api/v1/pods", &query, "");
        pages += 1;
        let page: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        match page["metadata"]["continue"].as_str() {
            Some(token) if !token.is_empty() => query = format!("limit=500&continue={token}"),
            _ => break,
        }
    }
    assert_eq!(pages, PODS / 500);
    report("list 10,000 pods in pages of 500", begun);
    let begun = Instant::now();
    let mut watch = open_watch(&mut server, first);
    assert_eq!(server.events(&mut watch).len(), PODS);
    report("watch from before all of them", begun);
    let now = server.snapshot().revision;
    let mut watches: Vec<_> = (0..100).map(|_| open_watch(&mut server, now)).collect();
    for n in 0..100 {
        let patch = format!("/api/v1/namespaces/default/pods/web-{n}");
        assert_eq!(ask(&mut server, "PATCH", &patch, "", r#"{"metadata":{"labels":{"changed":"yes"}}}"#).0, 200);
    }
    let begun = Instant::now();
    let told: usize = watches.iter_mut().map(|watch| server.events(watch).len()).sum();
    assert_eq!(told, 100 * 100);
    report("100 watches hear of 100 changes each", begun);
}

fn ask(server: &mut Server, method: &str, path: &str, query: &str, body: &str) -> (u16, String) {
    let media = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
    let headers = [("Content-Type", media)];
    let answer = server.request(&Request { method, path, query, headers: &headers, body: body.as_bytes(), user: None });
    (answer.code, answer.as_text().to_string())
}

fn open_watch(server: &mut Server, revision: i64) -> Watch {
    let query = format!("watch=1&resourceVersion={revision}");
    let request = Request { method: "GET", path: "/api/v1/pods", query: &query, headers: &[], body: b"", user: None };
    match server.request(&request).body {
        Body::Watch(watch) => *watch,
        body => panic!("no watch: {body:?}"),
    }
}
