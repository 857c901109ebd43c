//! What containers say and do for those outside: logs, `exec`, `attach`, metrics, and who may not have them.

use futures_util::{SinkExt, StreamExt};
use kit_client::fault::Fault;
use kit_cluster::cluster::{self, AddOn, Config};
use kit_cluster::engine::Clock;
use kit_live::{Live, Options};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

const PODS: &str = "/api/v1/namespaces/default/pods";

fn start() -> Live {
    let config = Config { programs: true, accounts: Some("PEM".into()), ..Config::default() };
    let engine = move || cluster::start(&config, &solutions::modules(), Clock::default());
    let live = Live::start(engine, Options { speed: 20.0, ..Options::default() }).expect("a port is free");
    until(&live, "/api/v1/namespaces/default/serviceaccounts/default", "", "creationTimestamp");
    live
}

/// The status and the body of an answer.
fn send(live: &Live, method: &str, path: &str, headers: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(live.address()).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout can be set");
    let length = body.len();
    let head =
        format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n");
    stream.write_all(format!("{head}{headers}\r\n{body}").as_bytes()).expect("it takes requests");
    let mut answer = Vec::new();
    _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let body = if head.contains("chunked") { unchunked(body) } else { body.to_string() };
    (head.get(9..12).and_then(|code| code.parse().ok()).unwrap_or(0), body)
}

fn unchunked(mut body: &str) -> String {
    let mut text = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap_or(0);
        text.push_str(rest.get(..size).unwrap_or_default());
        body = rest.get(size + 2..).unwrap_or_default();
    }
    text
}

fn get(live: &Live, path: &str) -> (u16, String) {
    send(live, "GET", path, "", "")
}

fn until(live: &Live, path: &str, headers: &str, text: &str) {
    let begin = Instant::now();
    while !send(live, "GET", path, headers, "").1.contains(text) {
        assert!(begin.elapsed() < Duration::from_secs(20), "{path} never has {text}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Makes a pod and waits until it has come so far.
fn make(live: &Live, name: &str, spec: Value, state: &str) {
    let pod =
        json!({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": name, "labels": {"app": name}}, "spec": spec});
    let (code, body) = send(live, "POST", PODS, "Content-Type: application/json\r\n", &pod.to_string());
    assert_eq!(code, 201, "{body}");
    until(live, &format!("{PODS}/{name}"), "", state);
}

fn script(text: &str) -> Value {
    json!({"containers": [{"name": "main", "image": "busybox", "command": ["sh", "-c", text]}], "restartPolicy": "Never"})
}

fn message(body: &str) -> String {
    let status: Value = serde_json::from_str(body).unwrap_or_default();
    status["message"].as_str().unwrap_or(body).to_string()
}

#[test]
fn logs_are_read_and_followed() {
    let live = start();
    make(&live, "once", script("echo one; echo two >&2; sleep 5; echo three; exit 3"), "Running");
    // Following ends with the container.
    assert_eq!(get(&live, &format!("{PODS}/once/log?follow=true")), (200, "one\ntwo\nthree\n".into()));
    assert_eq!(get(&live, &format!("{PODS}/once/log?tailLines=1")).1, "three\n");
    assert_eq!(get(&live, &format!("{PODS}/once/log?limitBytes=5")).1, "one\nt");
    assert_eq!(get(&live, &format!("{PODS}/once/log?sinceTime=2099-01-01T00:00:00Z")).1, "");
    let stamped = get(&live, &format!("{PODS}/once/log?timestamps=true&tailLines=1&container=main")).1;
    assert!(stamped.starts_with("2025-06-01T12:") && stamped.ends_with("Z three\n"), "{stamped}");
    until(&live, &format!("{PODS}/once"), "", r#""exitCode":3"#);

    // A container that crashes has the log of the run before.
    let again =
        json!({"containers": [{"name": "main", "image": "busybox", "args": ["sh", "-c", "date +run-%s; exit 1"]}]});
    make(&live, "again", again, r#""restartCount":2"#);
    let (now, before) =
        (get(&live, &format!("{PODS}/again/log")).1, get(&live, &format!("{PODS}/again/log?previous=true")).1);
    assert!(now.starts_with("run-") && before.starts_with("run-"), "{now} {before}");

    make(&live, "broken", json!({"containers": [{"name": "main", "image": "broken"}]}), "ErrImagePull");
    make(&live, "image", json!({"containers": [{"name": "main", "image": "nginx"}]}), r#""ready":true"#);
    let two = json!({
        "initContainers": [{"name": "setup", "image": "busybox", "command": ["echo", "ready to go"]}],
        "containers": [{"name": "a", "image": "nginx"}, {"name": "b", "image": "nginx"}],
    });
    make(&live, "two", two, r#""phase":"Running""#);
    assert_eq!(get(&live, &format!("{PODS}/two/log?container=setup")).1, "ready to go\n");
    assert!(get(&live, &format!("{PODS}/image/log")).1.starts_with("nginx: started;"));
    let nowhere = json!({"containers": [{"name": "main", "image": "nginx"}], "nodeSelector": {"no": "node"}});
    make(&live, "nowhere", nowhere, "Unschedulable");
    assert_eq!(get(&live, &format!("{PODS}/nowhere/log")), (200, String::new()));
    let cases = [
        ("none/log", 404, r#"pods "none" not found"#),
        (
            "two/log",
            400,
            "a container name must be specified for pod two, choose one of: [a b] or one of the init containers: [setup]",
        ),
        ("two/log?container=c", 400, "container c is not valid for pod two"),
        ("once/log?previous=true", 400, r#"previous terminated container "main" in pod "once" not found"#),
        ("broken/log", 400, r#"container "main" in pod "broken" is waiting to start: "#),
        (
            "once/log?tailLines=-1",
            422,
            r#"PodLogOptions "once" is invalid: tailLines: Invalid value: -1: must be greater than or equal to 0"#,
        ),
        ("once/log?limitBytes=0", 422, "limitBytes: Invalid value: 0: must be greater than 0"),
        (
            "once/log?sinceSeconds=1&sinceTime=2025-06-01T12:00:00Z",
            422,
            ": Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified",
        ),
        ("once/log?tailLines=x", 400, r#"strconv.ParseInt: parsing "x": invalid syntax"#),
    ];
    for (path, code, text) in cases {
        let (got, body) = get(&live, &format!("{PODS}/{path}"));
        assert!(got == code && message(&body).contains(text), "{path}: {got} {body}");
    }
    let jane = "Impersonate-User: jane\r\n";
    let (code, body) = send(&live, "GET", &format!("{PODS}/once/log"), jane, "");
    assert!(code == 403 && message(&body).contains(r#"cannot get resource "pods/log""#), "{code} {body}");

    // Nobody can ask a node that is cut off.
    let pod: Value = serde_json::from_str(&get(&live, &format!("{PODS}/image")).1).expect("a pod");
    let node = pod["spec"]["nodeName"].as_str().expect("a node").to_string();
    live.door().request(move |driver| driver.engine.fault(&Fault::Partition(node)).expect("a node"));
    let (code, body) = get(&live, &format!("{PODS}/image/log"));
    let text = message(&body);
    assert!(
        code == 500 && text.starts_with("Get \"https://192.168.0.") && text.ends_with(":10250: i/o timeout"),
        "{text}"
    );
    assert!(text.contains(":10250/containerLogs/default/image/main\": dial tcp 192.168.0."), "{text}");
    live.stop().expect("no module was lost");
}

/// What comes over a connection until it ends: each channel's bytes.
async fn talk(live: &Live, path: &str, protocol: &str, input: &[&[u8]]) -> Result<[String; 4], String> {
    let stream = tokio::net::TcpStream::connect(live.address()).await.expect("it listens");
    let mut request = format!("ws://localhost{PODS}/{path}").into_client_request().expect("a request");
    request.headers_mut().insert("Sec-WebSocket-Protocol", protocol.parse().expect("a header"));
    let (mut socket, _) = tokio_tungstenite::client_async(request, stream).await.map_err(|error| error.to_string())?;
    for message in input {
        socket.send(Message::Binary(message.to_vec().into())).await.map_err(|error| error.to_string())?;
    }
    let mut channels: [String; 4] = Default::default();
    let reading = async {
        while let Some(Ok(message)) = socket.next().await {
            if let Message::Binary(bytes) = message {
                channels[usize::from(bytes[0])].push_str(&String::from_utf8_lossy(&bytes[1..]));
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), reading).await.map_err(|_| "it never ended".to_string())?;
    Ok(channels)
}

#[test]
fn commands_run_in_containers() {
    const V5: &str = "v5.channel.k8s.io";
    let live = start();
    let map = r#"{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"settings"},"data":{"level":"debug"}}"#;
    let service =
        r#"{"kind":"Service","apiVersion":"v1","metadata":{"name":"data-base"},"spec":{"ports":[{"port":5432}]}}"#;
    let services = "/api/v1/namespaces/default/services";
    assert_eq!(send(&live, "POST", services, "Content-Type: application/json\r\n", service).0, 201);
    let maps = "/api/v1/namespaces/default/configmaps";
    assert_eq!(send(&live, "POST", maps, "Content-Type: application/json\r\n", map).0, 201);
    let spec = json!({
        "containers": [{
            "name": "main", "image": "nginx",
            "env": [{"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}, {"name": "HI", "value": "hi $(POD)"}],
            "envFrom": [{"configMapRef": {"name": "settings"}}],
            "volumeMounts": [{"name": "config", "mountPath": "/etc/config"}, {"name": "work", "mountPath": "/scratch"}],
        }],
        "volumes": [{"name": "config", "configMap": {"name": "settings"}}, {"name": "work", "emptyDir": {}}],
    });
    make(&live, "web", spec, r#""ready":true"#);
    let session = json!({"containers": [{"name": "main", "image": "busybox", "stdin": true, "stdinOnce": true, "tty": true}], "restartPolicy": "Never"});
    make(&live, "shell", session, r#""ready":true"#);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let exec = |command: &[&str], flags: &str, protocol: &str, input: &[&[u8]]| {
        let escaped = |word: &str| word.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
        let words: String = command.iter().map(|word| format!("&command={}", escaped(word))).collect();
        runtime.block_on(talk(&live, &format!("web/exec?{flags}{words}"), protocol, input)).expect("a connection")
    };
    let out = "stdout=true&stderr=true";
    let done = r#"{"metadata":{},"status":"Success"}"#;
    for protocol in [V5, "v4.channel.k8s.io"] {
        let [_, stdout, stderr, status] =
            exec(&["sh", "-c", "echo out; ls nothing; sleep 1; exit 3"], out, protocol, &[]);
        assert_eq!((stdout.as_str(), stderr.as_str()), ("out\n", "ls: nothing: No such file or directory\n"));
        assert!(status.contains(r#""reason":"NonZeroExitCode""#) && status.contains(r#""message":"3""#), "{status}");
    }
    let cases: [(&[&str], &str); 6] = [
        (&["hostname"], "web\n"),
        (&["cat", "/etc/config/level"], "debug"),
        (&["sh", "-c", "echo $HI $level"], "hi web debug\n"),
        (&["sh", "-c", "date > /scratch/now; wc -l < /scratch/now"], "1\n"),
        (
            &["cat", "/etc/resolv.conf"],
            "search default.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.96.0.10\noptions ndots:5\n",
        ),
        (&["printenv", "DATA_BASE_SERVICE_PORT"], "5432\n"),
    ];
    for (command, text) in cases {
        let [_, stdout, stderr, status] = exec(command, out, V5, &[]);
        assert_eq!((stdout.as_str(), stderr.as_str(), status.as_str()), (text, "", done), "{command:?}");
    }
    // Input, closed as the fifth version can.
    let [_, stdout, _, status] = exec(&["cat"], "stdin=true&stdout=true", V5, &[b"\0one\n", b"\0two", &[255, 0]]);
    assert_eq!((stdout.as_str(), status.as_str()), ("one\ntwo", done));
    // A terminal.
    let [_, stdout, stderr, status] =
        exec(&["sh"], "stdin=true&stdout=true&tty=true", V5, &[b"\x04{}", b"\0echo a\r", b"\0exit 4\r"]);
    assert_eq!((stdout.as_str(), stderr.as_str()), ("/ # echo a\r\na\r\n/ # exit 4\r\n", ""));
    assert!(status.contains(r#""message":"4""#), "{status}");
    // What isn't there.
    let status = exec(&["curl", "x"], out, V5, &[]).into_iter().next_back().expect("a status");
    let text = message(&status);
    assert!(
        text.starts_with("Internal error occurred: Internal error occurred: error executing command in container: "),
        "{text}"
    );
    assert!(text.ends_with(r#"exec: "curl": executable file not found in $PATH: unknown"#), "{text}");
    // Attached: a shell with a terminal, whose end ends the container.
    let attached = runtime.block_on(talk(
        &live,
        "shell/attach?stdin=true&stdout=true&tty=true",
        V5,
        &[b"\0echo b\r", b"\0exit 5\r"],
    ));
    let [_, stdout, _, status] = attached.expect("a connection");
    assert_eq!((stdout.as_str(), status.as_str()), ("echo b\r\nb\r\n/ # exit 5\r\n", done));
    until(&live, &format!("{PODS}/shell"), "", r#""exitCode":5"#);
    let gone = runtime.block_on(talk(&live, "shell/exec?command=env&stdout=true", V5, &[])).expect("a connection");
    assert_eq!(
        message(&gone[3]),
        r#"Internal error occurred: unable to upgrade connection: container not found ("main")"#
    );

    // Who can't or may not.
    let spdy = "Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\n";
    let cases = [
        ("POST", "web/exec?command=env&stdout=true", spdy, 400, "KUBECTL_REMOTE_COMMAND_WEBSOCKETS"),
        ("POST", "web/portforward", spdy, 400, "port-forward has nothing to reach"),
        ("GET", "web/exec?command=env&stdout=true", "", 400, "Upgrade request required"),
        ("GET", "web/exec?command=env", "", 400, "you must specify at least 1 of stdin, stdout, stderr"),
        ("GET", "none/exec?command=env&stdout=true", "", 404, r#"pods "none" not found"#),
        ("GET", "web/exec?command=env&stdout=true&container=x", "", 400, "container x is not valid for pod web"),
        (
            "POST",
            "web/exec?command=env&stdout=true",
            "Impersonate-User: jane\r\n",
            403,
            r#"cannot create resource "pods/exec""#,
        ),
    ];
    for (method, path, headers, code, text) in cases {
        let (got, body) = send(&live, method, &format!("{PODS}/{path}"), headers, "");
        assert!(got == code && message(&body).contains(text), "{method} {path}: {got} {body}");
    }
    live.stop().expect("no module was lost");
}

#[test]
fn metrics_are_served() {
    const METRICS: &str = "/apis/metrics.k8s.io/v1beta1";
    let live = start();
    make(
        &live,
        "web",
        json!({"containers": [{"name": "main", "image": "nginx"}, {"name": "log", "image": "nginx"}]}),
        r#""ready":true"#,
    );
    until(&live, &format!("{METRICS}/namespaces/default/pods"), "", "web");
    let read = |path: &str| serde_json::from_str::<Value>(&get(&live, &format!("{METRICS}{path}")).1).expect("JSON");
    let pod = read("/namespaces/default/pods/web");
    assert_eq!(
        (&pod["kind"], &pod["window"], &pod["metadata"]["labels"]["app"]),
        (&json!("PodMetrics"), &json!("15s"), &json!("web"))
    );
    assert_eq!(pod["containers"][1], json!({"name": "log", "usage": {"cpu": "1m", "memory": "16Mi"}}));
    let nodes = read("/nodes");
    assert_eq!((&nodes["kind"], nodes["items"].as_array().map(Vec::len)), (&json!("NodeMetricsList"), Some(3)));
    assert_eq!(read("/pods?labelSelector=app%3Dother")["items"], json!([]));
    assert_eq!(read("/nodes/none")["message"], r#"nodes "none" not found"#);
    make(&live, "late", json!({"containers": [{"name": "main", "image": "broken"}]}), "ErrImagePull");
    let late = read("/namespaces/default/pods/late");
    assert_eq!(late["message"], r#"podmetrics.metrics.k8s.io "default/late" not found"#);
    assert!(get(&live, "/apis").1.contains("metrics.k8s.io/v1beta1"));
    assert!(get(&live, METRICS).1.contains(r#""kind":"PodMetrics""#));
    let (code, body) = send(&live, "GET", &format!("{METRICS}/nodes"), "Impersonate-User: jane\r\n", "");
    assert!(
        code == 403 && message(&body).contains(r#"nodes.metrics.k8s.io is forbidden: User "jane" cannot list"#),
        "{body}"
    );
    live.stop().expect("no module was lost");
}

#[test]
fn pods_are_somebody_by_the_token_in_their_volume() {
    let live = start();
    until(&live, "/api/v1/namespaces/default/configmaps/kube-root-ca.crt", "", "ca.crt");
    let read = "cd /var/run/secrets/kubernetes.io/serviceaccount; cat namespace; echo; cat token";
    make(&live, "who", script(read), r#""phase":"Succeeded""#);
    let (code, log) = get(&live, &format!("{PODS}/who/log"));
    let (namespace, token) = log.trim().split_once('\n').expect("two lines");
    assert_eq!((code, namespace, token.split('.').count()), (200, "default", 3), "{log}");
    let headers = format!("Authorization: Bearer {token}\r\nContent-Type: application/json\r\n");
    let review = r#"{"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}"#;
    let (code, said) = send(&live, "POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", &headers, review);
    assert_eq!(code, 201, "{said}");
    for part in
        [r#""username":"system:serviceaccount:default:default""#, r#""authentication.kubernetes.io/pod-name":["who"]"#]
    {
        assert!(said.contains(part), "{part}: {said}");
    }
    live.stop().expect("no module was lost");
}

#[test]
fn metrics_are_scraped_through_the_api_server() {
    let config = Config {
        programs: true,
        accounts: Some("PEM".into()),
        add_ons: vec![AddOn::KubeStateMetrics],
        ..Config::default()
    };
    let engine = move || cluster::start(&config, &solutions::modules(), Clock::default());
    let live = Live::start(engine, Options { speed: 20.0, ..Options::default() }).expect("a port is free");
    until(&live, "/api/v1/namespaces/default/serviceaccounts/default", "", "creationTimestamp");
    make(
        &live,
        "web",
        json!({"nodeName": "node-1", "containers": [{"name": "main", "image": "nginx", "readinessProbe": {"tcpSocket": {"port": 80}}}]}),
        r#""ready":true"#,
    );
    let node = "/api/v1/nodes/node-1/proxy";
    let system = "/api/v1/namespaces/kube-system/services";
    let state = format!("{system}/kube-state-metrics:8080/proxy/metrics");
    until(&live, &state, "", "kube_pod_info");
    for (path, line) in [
        (format!("{node}/metrics"), "kubelet_node_name{node=\"node-1\"} 1"),
        (format!("{node}/metrics/cadvisor"), "container_spec_cpu_shares{container=\"main\""),
        (
            format!("{node}/metrics/resource"),
            "container_memory_working_set_bytes{container=\"main\",namespace=\"default\",pod=\"web\"} 1.6777216e+07",
        ),
        (format!("{node}/metrics/probes"), "prober_probe_total{container=\"main\",namespace=\"default\",pod=\"web\""),
        ("/api/v1/nodes/node-1:9100/proxy/metrics".into(), "node_memory_MemTotal_bytes 8.589934592e+09"),
        (state.clone(), "kube_node_status_condition{condition=\"Ready\",node=\"node-1\",status=\"true\"} 1"),
        (format!("{system}/kube-scheduler:10259/proxy/metrics"), "scheduler_pending_pods{queue=\"gated\"} 0"),
        (format!("{system}/kube-controller-manager:10257/proxy/metrics"), "node_collector_zone_size"),
    ] {
        let (code, text) = get(&live, &path);
        assert!(code == 200 && text.contains(line), "{path}: {code} {text}");
    }
    for (path, expected, said) in [
        ("/api/v1/nodes/none/proxy/metrics", 404, r#"nodes \"none\" not found"#),
        ("/api/v1/nodes/node-1/proxy/pods", 404, "404 page not found"),
        ("/api/v1/namespaces/default/pods/web/proxy/metrics", 503, "connect: connection refused"),
        ("/api/v1/namespaces/default/services/kubernetes/proxy/", 503, "no endpoints available for service"),
    ] {
        let (code, text) = get(&live, path);
        assert!(code == expected && text.contains(said), "{path}: {code} {text}");
    }
    let (code, text) = send(&live, "GET", &format!("{node}/metrics"), "Impersonate-User: jane\r\n", "");
    assert!(code == 403 && text.contains(r#"cannot get resource \"nodes/proxy\""#), "{text}");
    let down = live.door();
    down.request(|driver| driver.engine.fault(&Fault::Crash("node-1".into())).expect("a node"));
    until(&live, &format!("{node}/metrics"), "", "error trying to reach service: dial tcp");
    live.stop().expect("no module was lost");
}
