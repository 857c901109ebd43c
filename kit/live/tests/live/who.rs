//! Who may do what on each path, how tokens live and die, and who is told of it.

use kit_cluster::cluster::{self, Config};
use kit_cluster::engine::Clock;
use kit_live::audit::Audit;
use kit_live::audit::policy::Policy;
use kit_live::{Live, Options};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const ACCOUNTS: &str = "/api/v1/namespaces/default/serviceaccounts";

fn start(audit: Option<Arc<Audit>>) -> Live {
    let config = Config { accounts: Some("PEM".into()), ..Config::default() };
    let engine = move || cluster::start(&config, &solutions::modules(), Clock::default());
    Live::start(engine, Options { audit, ..Options::default() }).expect("a port is free")
}

/// Sends a request, with a token or without; the status, the head and the body of the answer.
fn send(live: &Live, token: &str, line: &str, body: &Value) -> (u16, String, String) {
    let (method, path) = line.split_once(' ').expect("a method and a path");
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let bearer = if token.is_empty() { String::new() } else { format!("Authorization: Bearer {token}\r\n") };
    let mut stream = TcpStream::connect(live.address()).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout can be set");
    let length = body.len();
    let head =
        format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n");
    write!(stream, "{head}Content-Type: application/json\r\n{bearer}\r\n{body}").expect("it takes requests");
    let mut answer = String::new();
    _ = stream.read_to_string(&mut answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    (head.get(9..12).and_then(|code| code.parse().ok()).unwrap_or(0), head.to_string(), body.to_string())
}

fn code(live: &Live, token: &str, line: &str) -> u16 {
    send(live, token, line, &Value::Null).0
}

fn make(live: &Live, path: &str, body: Value) -> Value {
    let (code, _, answer) = send(live, "", &format!("POST {path}"), &body);
    assert_eq!(code, 201, "{answer}");
    serde_json::from_str(&answer).expect("JSON")
}

/// A service account with this role everywhere, and a token of it.
fn account(live: &Live, name: &str, role: &str) -> String {
    make(live, ACCOUNTS, json!({"metadata": {"name": name}}));
    if !role.is_empty() {
        make(
            live,
            "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
            json!({"metadata": {"name": name}, "roleRef": {"kind": "ClusterRole", "name": role},
                "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": "default"}]}),
        );
    }
    token(live, name, json!({}))
}

fn token(live: &Live, name: &str, spec: Value) -> String {
    let made = make(live, &format!("{ACCOUNTS}/{name}/token"), json!({"spec": spec}));
    made["status"]["token"].as_str().expect("a token").into()
}

#[test]
fn every_path_asks_who_and_whether() {
    let live = start(None);
    let plain = account(&live, "plain", "");
    let viewer = account(&live, "viewer", "view");
    let watcher = account(&live, "watcher", "system:monitoring");
    // The path; what an unknown token, an account without and with a role, and one that may see metrics get.
    let cases = [
        ("/version", [401, 200, 200, 200]),
        ("/livez", [401, 200, 200, 200]),
        ("/livez/ping", [401, 403, 403, 200]),
        ("/readyz/nothing", [401, 403, 403, 404]),
        ("/metrics", [401, 403, 403, 200]),
        ("/api", [401, 200, 200, 200]),
        ("/apis/apps/v1", [401, 200, 200, 200]),
        ("/openapi/v3", [401, 200, 200, 200]),
        ("/openid/v1/jwks", [401, 200, 200, 200]),
        ("/nothing", [401, 403, 403, 403]),
        ("/api/v1/pods", [401, 403, 200, 403]),
        ("/api/v1/namespaces/default/pods?limit=1", [401, 403, 200, 403]),
        ("/api/v1/namespaces/default/secrets", [401, 403, 403, 403]),
        ("/api/v1/nodes", [401, 403, 403, 403]),
        ("/apis/nothing/v1/things", [401, 403, 403, 403]),
    ];
    for (path, codes) in cases {
        let line = format!("GET {path}");
        let got = ["nobody", &plain, &viewer, &watcher].map(|token| code(&live, token, &line));
        assert_eq!(got, codes, "{path}");
    }
    let (_, _, metrics) = send(&live, &watcher, "GET /metrics", &Value::Null);
    for series in [
        r#"apiserver_request_total{code="403",component="apiserver",dry_run="",group="",resource="nodes",scope="cluster",subresource="",verb="LIST",version="v1"} 3"#,
        r#"apiserver_storage_objects{resource="serviceaccounts"} 7"#,
        r#"apiserver_request_duration_seconds_bucket{component="apiserver""#,
        r#"apiserver_current_inflight_requests{request_kind="readOnly"} 1"#,
    ] {
        assert!(metrics.contains(series), "{series}\n{metrics}");
    }
    live.stop().expect("no module was lost");
}

#[test]
fn a_token_lives_with_what_it_is_bound_to() {
    let live = start(None);
    let plain = account(&live, "bot", "");
    let pod = json!({"metadata": {"name": "web"}, "spec": {"serviceAccountName": "bot", "containers": [
        {"name": "c", "image": "web:1"}]}});
    make(&live, "/api/v1/namespaces/default/pods", pod);
    let bound = token(&live, "bot", json!({"boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": "web"}}));
    let review = |token: &str| {
        let answer = make(&live, "/apis/authentication.k8s.io/v1/tokenreviews", json!({"spec": {"token": token}}));
        answer["status"].clone()
    };
    let status = review(&bound);
    assert_eq!(status["user"]["extra"]["authentication.kubernetes.io/pod-name"], json!(["web"]), "{status}");
    let strange = token(&live, "bot", json!({"audiences": ["vault"]}));
    let reference = json!({"apiVersion": "v1", "kind": "Pod", "name": "web"});
    let ask = |line: &str, spec: Value| send(&live, "", &format!("POST {line}"), &json!({"spec": spec}));
    for (account, spec, code, why) in [
        ("bot", json!({"expirationSeconds": 599}), 422, "may not specify a duration less than 10 minutes"),
        ("bot", json!({"expirationSeconds": 4_294_967_297_i64}), 422, "larger than 2^32 seconds"),
        ("nobody", json!({}), 404, "serviceaccounts \\\"nobody\\\" not found"),
        ("default", json!({"boundObjectRef": reference}), 400, "different serviceaccount name"),
        (
            "bot",
            json!({"boundObjectRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "a"}}),
            400,
            "apps/v1, Kind=Deployment",
        ),
        (
            "bot",
            json!({"boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": "web", "uid": "x"}}),
            409,
            "does not match the UID in record",
        ),
    ] {
        let (got, _, body) = ask(&format!("{ACCOUNTS}/{account}/token"), spec);
        assert!(got == code && body.contains(why), "{got} {body}");
    }
    let who = "GET /api";
    assert_eq!([&plain, &bound, &strange].map(|token| code(&live, token, who)), [200, 200, 401]);
    assert_eq!(send(&live, "", "DELETE /api/v1/namespaces/default/pods/web?gracePeriodSeconds=0", &Value::Null).0, 200);
    assert_eq!([&plain, &bound].map(|token| code(&live, token, who)), [200, 401]);
    assert_eq!(review(&bound)["error"], "[invalid bearer token, service account token has been invalidated]");
    assert_eq!(send(&live, "", &format!("DELETE {ACCOUNTS}/bot"), &Value::Null).0, 200);
    assert_eq!(code(&live, &plain, who), 401);
    live.stop().expect("no module was lost");
}

#[test]
fn the_audit_log_tells_who_did_what() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("audit.log");
    let policy = r#"{apiVersion: audit.k8s.io/v1, kind: Policy, omitStages: [RequestReceived], rules: [
        {level: None, nonResourceURLs: ["/livez"]},
        {level: RequestResponse, omitManagedFields: true, resources: [{group: "", resources: [configmaps]}]},
        {level: Metadata}]}"#;
    let audit = Audit::to_file(&file, Policy::read(policy).expect("a good policy")).expect("it can be written");
    let live = start(Some(Arc::new(audit)));
    let maps = "/api/v1/namespaces/default/configmaps";
    make(&live, maps, json!({"metadata": {"name": "a"}, "data": {"x": "y"}}));
    send(&live, "", &format!("GET {maps}?watch=1&timeoutSeconds=1"), &Value::Null);
    send(&live, "", "GET /livez", &Value::Null);
    send(&live, "nobody", "GET /api", &Value::Null);
    live.stop().expect("no module was lost");
    let text = std::fs::read_to_string(&file).expect("a log");
    let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let told: Vec<String> = events
        .iter()
        .map(|event| {
            let text = |field: &str| event[field].as_str().unwrap_or_default();
            let code = &event["responseStatus"]["code"];
            format!("{} {} {} {code} {}", text("level"), text("stage"), text("verb"), text("requestURI"))
        })
        .collect();
    let watch = format!("watch 200 {maps}?watch=1&timeoutSeconds=1");
    let expected = [
        format!("RequestResponse ResponseComplete create 201 {maps}"),
        format!("RequestResponse ResponseStarted {watch}"),
        format!("RequestResponse ResponseComplete {watch}"),
        "Metadata ResponseStarted get 401 /api".to_string(),
    ];
    assert_eq!(told, expected);
    let made = &events[0];
    assert_eq!((&made["requestObject"]["data"]["x"], &made["objectRef"]["name"]), (&json!("y"), &json!("a")));
    assert!(made["responseObject"]["metadata"]["uid"].is_string());
    assert!(made["responseObject"]["metadata"]["managedFields"].is_null());
    assert_eq!((&made["user"]["username"], &made["sourceIPs"]), (&json!("kubernetes-admin"), &json!(["127.0.0.1"])));
}

/// One client that asks for two hundred things at once, over and over, and another with one: the second waits for a few of
/// the first's, not for all of them.
#[test]
fn one_client_holds_up_no_other() {
    const CROWD: usize = 200;
    let live = start(None);
    let [busy, calm] = ["busy", "calm"].map(|name| account(&live, name, "view"));
    for index in 0..30 {
        let map = json!({"metadata": {"name": format!("a{index}")}, "data": {"x": "y".repeat(200)}});
        make(&live, "/api/v1/namespaces/default/configmaps", map);
    }
    // A list with a query goes to the engine.
    let list = "GET /api/v1/namespaces/default/configmaps?limit=500";
    let timed = |token: &str| {
        let began = Instant::now();
        assert_eq!(code(&live, token, list), 200);
        began.elapsed()
    };
    let median = |mut times: Vec<Duration>| {
        times.sort();
        times[times.len() / 2]
    };
    let quiet = median((0..7).map(|_| timed(&calm)).collect());
    let (ended, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    let loaded = std::thread::scope(|scope| {
        for _ in 0..CROWD {
            scope.spawn(|| {
                while !ended.load(Ordering::Relaxed) {
                    match code(&live, &busy, list) {
                        200 => served.fetch_add(1, Ordering::Relaxed),
                        429 => 0,
                        code => panic!("{code}"),
                    };
                }
            });
        }
        while served.load(Ordering::Relaxed) < CROWD / 4 {
            std::thread::sleep(Duration::from_millis(5));
        }
        let loaded = median((0..5).map(|_| timed(&calm)).collect());
        ended.store(true, Ordering::Relaxed);
        loaded
    });
    let share = loaded.as_secs_f64() / quiet.as_secs_f64();
    println!("quiet {quiet:?}, beside {CROWD} requests of another {loaded:?}: {share:.0} times as long");
    assert!(share < CROWD as f64 / 2.0, "{share:.0} times as long as alone");
    live.stop().expect("no module was lost");
}

#[test]
fn the_control_plane_may_do_its_work() {
    let live = start(None);
    let ask = |user: &str, groups: &[&str], verb: &str, group: &str, resource: &str, namespace: &str| {
        let path = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
        let attributes = json!({"verb": verb, "group": group, "resource": resource, "namespace": namespace});
        let review =
            make(&live, path, json!({"spec": {"user": user, "groups": groups, "resourceAttributes": attributes}}));
        (review["status"]["allowed"] == true, review["status"]["reason"].as_str().unwrap_or_default().to_string())
    };
    let deployments = "system:serviceaccount:kube-system:deployment-controller";
    let why = "RBAC: allowed by ClusterRoleBinding \"system:controller:deployment-controller\" of ClusterRole \
               \"system:controller:deployment-controller\" to ServiceAccount \"deployment-controller/kube-system\"";
    assert_eq!(ask(deployments, &[], "create", "apps", "replicasets", "shop"), (true, why.into()));
    assert!(!ask(deployments, &[], "get", "", "secrets", "shop").0);
    assert!(ask("system:kube-scheduler", &[], "create", "", "bindings", "shop").0);
    // What holds in one namespace only.
    assert!(ask("system:kube-scheduler", &[], "list", "coordination.k8s.io", "leases", "kube-system").0);
    assert!(!ask("system:kube-scheduler", &[], "list", "coordination.k8s.io", "leases", "shop").0);
    assert!(ask("system:serviceaccount:kube-system:kube-dns", &[], "watch", "", "endpoints", "").0);
    // The role is bound to nobody: nodes have an authorizer of their own.
    assert!(!ask("system:node:a", &["system:nodes"], "create", "", "nodes", "").0);
}
