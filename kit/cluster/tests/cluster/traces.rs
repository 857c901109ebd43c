//! Traces of the control plane: a create is followed from the request to the running container. What
//! `book/src/observability/one_create.md` shows of it lies in `tests/book/traces`; `UPDATE=1 cargo test -p kit-cluster --test cluster traces`
//! writes it anew.

use crate::common;
use kit_cluster::cluster::{self, Config};
use kit_cluster::engine::{Clock, Engine};
use kit_contract::observability::traces::{Kind, Span, Status};
use kit_observability::trace::sampling::Root;
use kit_observability::trace::waterfall::{Trace, traces};
use kit_server::Request;
use kit_server::trace::{Context, Tracer};
use kit_time::random::Random;
use serde_json::{Value, json};
use std::path::Path;

fn start(root: Root) -> Engine {
    let config = json!({"nodes": 2, "programs": true, "images": {"app:1": {"pull": 2.0, "start": 0.3}, "gone:1": {"exists": false}}});
    let config: Config = serde_json::from_value(config).expect("a good configuration");
    let mut engine = cluster::start(&config, &solutions::modules(), Clock::default());
    common::wait(&mut engine, 5);
    engine.trace_with(Tracer::new(Random::new(7), move |id| root.samples(id)));
    engine
}

/// Sends an object as kubectl does, under a span of the client if there is one.
fn post(engine: &mut Engine, path: &str, object: &Value, under: Option<Context>) -> u16 {
    let body = object.to_string();
    engine.request(|server| {
        server.under(under, Kind::Client);
        let headers = [("content-type", "application/json")];
        let request = Request { method: "POST", path, headers: &headers, body: body.as_bytes(), ..Request::default() };
        let code = server.request(&request).code;
        server.leave(under);
        code
    })
}

fn pod(name: &str, image: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": image}]}})
}

const PODS: &str = "/api/v1/namespaces/default/pods";
const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";

/// All that is known after a while, the trace that begins with this span first.
fn trace_of(engine: &mut Engine, seconds: i64, name: &str) -> Trace {
    common::wait(engine, seconds);
    let (spans, dropped) = engine.take_spans();
    assert_eq!(dropped, 0);
    let all = traces(&spans);
    all.into_iter().find(|trace| trace.rows[0].span.name == name).unwrap_or_else(|| panic!("{name}: {spans:#?}"))
}

fn named<'a>(trace: &'a Trace, name: &str) -> Vec<&'a Span> {
    trace.rows.iter().map(|row| &row.span).filter(|span| span.name == name).collect()
}

fn held(name: &str, lines: &[String]) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/book/traces").join(name);
    let said = lines.join("\n") + "\n";
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&file, &said).expect("the file can be written");
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap_or_default(), said, "{} is out of date", file.display());
}

#[test]
fn a_create_is_followed_to_the_running_container() {
    let mut engine = start(Root::AlwaysOn);
    assert_eq!(post(&mut engine, PODS, &pod("web", "app:1"), None), 201);
    let trace = trace_of(&mut engine, 20, "POST /api/v1/namespaces/{:namespace}/pods");
    assert!(trace.rows.iter().all(|row| !row.orphan), "{:#?}", trace.lines());
    // Who was waited for, without what took no time.
    let mut waited: Vec<(i64, &str)> = Vec::new();
    for row in &trace.rows {
        waited.extend(row.critical.iter().map(|(from, _)| (*from, row.span.name.as_str())));
    }
    waited.sort_unstable();
    let names: Vec<&str> = waited.into_iter().map(|(_, name)| name).collect();
    let start = ["watch", "watch", "runtime.v1.ImageService/PullImage", "runtime.v1.RuntimeService/StartContainer"];
    assert_eq!(names, start);
    held("pod.txt", &trace.lines());
}

#[test]
fn a_deployment_reaches_its_containers_by_its_owners() {
    let mut engine = start(Root::AlwaysOn);
    let mut deployment = common::deployment(2);
    deployment["spec"]["template"]["spec"]["containers"][0]["image"] = "app:1".into();
    assert_eq!(post(&mut engine, DEPLOYMENTS, &deployment, None), 201);
    let trace = trace_of(&mut engine, 20, "POST /apis/apps/v1/namespaces/{:namespace}/deployments");
    let count = |name: &str| named(&trace, name).len();
    let pods = "POST /api/v1/namespaces/{:namespace}/pods";
    assert_eq!([count(pods), count("scheduling attempt"), count("syncPod")], [2, 2, 2], "{:#?}", trace.lines());
    assert!(trace.rows.iter().all(|row| !row.orphan), "{:#?}", trace.lines());
}

#[test]
fn a_failed_pull_is_a_failed_sync() {
    let mut engine = start(Root::AlwaysOn);
    let broken = pod("web", "gone:1");
    post(&mut engine, PODS, &broken, None);
    let trace = trace_of(&mut engine, 10, "POST /api/v1/namespaces/{:namespace}/pods");
    let failed = |name: &str| named(&trace, name).first().is_some_and(|span| span.status == Status::Error);
    assert!(failed("syncPod") && failed("runtime.v1.ImageService/PullImage"), "{:#?}", trace.lines());
}

#[test]
fn who_began_a_trace_decides_whether_it_is_kept() {
    let client = |sampled| Some(Context { trace_id: 0xabc, span_id: 0xdef, sampled });
    for (root, client, kept) in [
        (Root::AlwaysOff, None, false),
        (Root::AlwaysOff, client(true), true),
        (Root::AlwaysOn, client(false), false),
        (Root::AlwaysOn, None, true),
    ] {
        let mut engine = start(root);
        post(&mut engine, PODS, &pod("web", "app:1"), client);
        common::wait(&mut engine, 20);
        let spans: Vec<Span> = engine.take_spans().0.into_iter().filter(|span| span.name == "syncPod").collect();
        assert_eq!(spans.len(), usize::from(kept), "{root:?} {client:?}");
        if let Some((span, client)) = spans.first().zip(client) {
            assert_eq!(span.trace_id, format!("{:032x}", client.trace_id));
        }
    }
}

#[test]
fn what_belongs_to_a_span_that_is_not_over_has_no_parent_yet() {
    let mut engine = start(Root::AlwaysOn);
    post(&mut engine, PODS, &pod("web", "app:1"), None);
    // The image is still being pulled.
    let trace = trace_of(&mut engine, 1, "POST /api/v1/namespaces/{:namespace}/pods");
    let orphans = trace.rows.iter().filter(|row| row.orphan).map(|row| row.span.name.as_str());
    let status = "PATCH /api/v1/namespaces/{:namespace}/pods/{:name}/status";
    assert_eq!(orphans.collect::<Vec<_>>(), ["runtime.v1.RuntimeService/RunPodSandbox", status]);
    held("pulling.txt", &trace.lines());
}
