//! Traces of a live cluster: whose context is followed, and what reaches a collector.

use kit_cluster::cluster::{self, Config};
use kit_cluster::engine::Clock;
use kit_live::traces::Traces;
use kit_live::{Live, Options};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

fn start(rate: u32, collector: Option<&str>) -> (Live, Arc<Traces>) {
    let traces = Arc::new(Traces::new(rate, collector).expect("it can be had"));
    let engine =
        || cluster::start(&Config { programs: true, ..Config::default() }, &solutions::modules(), Clock::default());
    let options = Options { speed: 5.0, traces: Some(traces.clone()), ..Options::default() };
    (Live::start(engine, options).expect("it starts"), traces)
}

fn send(live: &Live, head: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(live.address()).expect("it listens");
    let length = body.len();
    let text = format!(
        "{head}\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(text.as_bytes()).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    answer
}

fn create(live: &Live, name: &str, headers: &str) {
    let pod = format!(
        r#"{{"apiVersion":"v1","kind":"Pod","metadata":{{"name":"{name}"}},"spec":{{"containers":[{{"name":"c","image":"app:1"}}]}}}}"#
    );
    let answer = send(live, &format!("POST /api/v1/namespaces/default/pods HTTP/1.1{headers}"), &pod);
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
}

/// A collector that gives these answers one after the other, and the last one ever after; it passes on what it took.
fn collector(answers: &'static [(&'static str, &'static str)]) -> (SocketAddr, Receiver<Value>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    let (tell, told) = channel();
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().flatten().enumerate() {
            let (mut reader, mut length) = (BufReader::new(&stream), 0);
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).expect("a head");
                if let Some(said) = line.to_lowercase().strip_prefix("content-length:") {
                    length = said.trim().parse().expect("a length");
                }
                if line.trim().is_empty() {
                    break;
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).expect("a body");
            let (code, said) = answers[number.min(answers.len() - 1)];
            let answer =
                format!("HTTP/1.1 {code}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{said}", said.len());
            (&stream).write_all(answer.as_bytes()).expect("it hears");
            // Nobody listens any more once the test is over.
            _ = tell.send(if code.starts_with("200") {
                serde_json::from_slice(&body).expect("JSON")
            } else {
                Value::Null
            });
        }
    });
    (address, told)
}

#[test]
fn a_trace_of_a_client_goes_on_and_reaches_the_collector_that_was_away() {
    let (address, told) =
        collector(&[("503 Away", ""), ("200 OK", r#"{"partialSuccess":{"rejectedSpans":"1"}}"#), ("200 OK", "{}")]);
    let (live, traces) = start(0, Some(&format!("http://{address}")));
    create(&live, "web", &format!("\r\nTraceparent: 00-{TRACE}-00f067aa0ba902b7-01"));
    // Nobody asks for this one.
    create(&live, "quiet", "");
    assert_eq!(told.recv_timeout(Duration::from_secs(20)).expect("a batch"), Value::Null);
    let mut names = Vec::new();
    while !names.contains(&"kubelet syncPod".to_string()) {
        let batch = told.recv_timeout(Duration::from_secs(20)).unwrap_or_else(|_| panic!("{names:?}"));
        for resource in batch["resourceSpans"].as_array().expect("resources") {
            let service = resource["resource"]["attributes"][0]["value"]["stringValue"].as_str().expect("a service");
            for span in resource["scopeSpans"][0]["spans"].as_array().expect("spans") {
                assert_eq!(span["traceId"], TRACE);
                let (name, kind) = (span["name"].as_str().expect("a name"), &span["kind"]);
                if name.starts_with("POST") && name.ends_with("pods") {
                    assert_eq!(span["parentSpanId"], "00f067aa0ba902b7");
                    assert_eq!(*kind, 2);
                }
                names.push(format!("{service} {name}"));
            }
        }
    }
    for name in [
        "kube-apiserver Create",
        "kube-apiserver Create etcd3",
        "etcd etcdserverpb.KV/Txn",
        "default-scheduler scheduling attempt",
    ] {
        assert!(names.iter().any(|there| there == name), "{name}: {names:?}");
    }
    // The collector tells of a batch before the cluster has read its answer.
    let rejected =
        |metrics: &str| metrics.contains("otel_sdk_exporter_span_exported_total{error_type=\"rejected\"} 1\n");
    let mut metrics = String::new();
    for _ in 0..200 {
        metrics = send(&live, "GET /metrics HTTP/1.1", "");
        if rejected(&metrics) {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(rejected(&metrics), "{metrics}");
    assert!(traces.seen().iter().all(|trace| trace.id == TRACE));
    live.stop().expect("it ends");
}

#[test]
fn a_refused_batch_is_lost_and_counted() {
    let (address, told) = collector(&[("400 No", "")]);
    let (live, traces) = start(1_000_000, Some(&format!("http://{address}/base/")));
    create(&live, "web", "");
    assert_eq!(told.recv_timeout(Duration::from_secs(20)).expect("a batch"), Value::Null);
    live.stop().expect("it ends");
    let metrics = traces.metrics();
    let failed = metrics
        .lines()
        .find_map(|line| line.strip_prefix("otel_sdk_exporter_span_exported_total{error_type=\"failed\"} "));
    assert!(failed.is_some_and(|count| count.parse::<u64>().is_ok_and(|count| count > 0)), "{metrics}");
    assert!(metrics.contains("{error_type=\"\"} 0\n") && metrics.contains("queue_size 0\n"), "{metrics}");
    for wrong in ["https://127.0.0.1:4318", "127.0.0.1:4318", "http://", "http:///v1"] {
        assert!(Traces::new(0, Some(wrong)).is_err(), "{wrong}");
    }
}
