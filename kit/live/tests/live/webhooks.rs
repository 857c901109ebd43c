//! Webhooks that are called over HTTPS: a small server on loopback answers for them.

use base64::Engine as _;
use kit_cluster::cluster::{self, Config};
use kit_cluster::engine::Clock;
use kit_live::{Live, Options};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

/// So many connections at most are answered by one server.
const CONNECTIONS: usize = 100;

/// What a webhook says to a request.
type Says = fn(&Value) -> Value;

/// A server of a webhook: where it listens, who has signed its certificate, and what it was asked.
struct Hook {
    port: u16,
    bundle: String,
    asked: Arc<Mutex<Vec<Value>>>,
}

fn hook(says: Says) -> Hook {
    let key = rcgen::generate_simple_self_signed(vec!["localhost".into()]).expect("a certificate");
    let private = PrivateKeyDer::try_from(key.signing_key.serialize_der()).expect("a key");
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().expect("versions").with_no_client_auth();
    let config = Arc::new(config.with_single_cert(vec![key.cert.der().clone()], private).expect("a key that fits"));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let heard = asked.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().take(CONNECTIONS).flatten() {
            let Ok(connection) = ServerConnection::new(config.clone()) else { continue };
            _ = answer(StreamOwned::new(connection, stream), says, &heard);
        }
    });
    let bundle = base64::engine::general_purpose::STANDARD.encode(key.cert.pem());
    Hook { port, bundle, asked }
}

fn answer(
    mut stream: StreamOwned<ServerConnection, TcpStream>,
    says: Says,
    asked: &Mutex<Vec<Value>>,
) -> std::io::Result<()> {
    stream.sock.set_read_timeout(Some(Duration::from_secs(10)))?;
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") && head.len() < 10_000 {
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body)?;
    let review: Value = serde_json::from_slice(&body).unwrap_or_default();
    let mut response = says(&review["request"]);
    response["uid"] = review["request"]["uid"].clone();
    asked.lock().expect("nobody panics").push(review);
    let text =
        json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "response": response}).to_string();
    write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}", text.len())?;
    stream.conn.send_close_notify();
    stream.flush()
}

fn start() -> Live {
    let engine = move || cluster::start(&Config::default(), &solutions::modules(), Clock::default());
    Live::start(engine, Options { speed: 20.0, ..Options::default() }).expect("a port is free")
}

fn send(live: &Live, line: &str, body: &Value) -> (u16, String, Value) {
    let (method, path) = line.split_once(' ').expect("a method and a path");
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let mut stream = TcpStream::connect(live.address()).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout can be set");
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n"
    );
    write!(stream, "{head}Content-Length: {}\r\n\r\n{body}", body.len()).expect("it takes requests");
    let mut answer = String::new();
    _ = stream.read_to_string(&mut answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let code = head.get(9..12).and_then(|code| code.parse().ok()).unwrap_or(0);
    (code, head.to_string(), serde_json::from_str(body).unwrap_or_default())
}

fn configure(live: &Live, kind: &str, port: u16, bundle: &str, resource: &str) {
    let configuration = json!({"metadata": {"name": "c"}, "webhooks": [{
        "name": "guard.example.com", "admissionReviewVersions": ["v1"], "sideEffects": "None",
        "clientConfig": {"url": format!("https://localhost:{port}/check"), "caBundle": bundle},
        "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": [resource]}],
    }]});
    let path = format!("POST /apis/admissionregistration.k8s.io/v1/{kind}webhookconfigurations");
    let (code, _, answer) = send(live, &path, &configuration);
    assert_eq!(code, 201, "{answer}");
}

const MAPS: &str = "POST /api/v1/namespaces/default/configmaps";

#[test]
fn a_validating_webhook_is_called_and_its_word_counts() {
    let hook = hook(|request| match request["name"] == "bad" {
        true => json!({"allowed": false, "status": {"code": 403, "message": "no"}}),
        false => json!({"allowed": true, "warnings": ["seen"]}),
    });
    let live = start();
    configure(&live, "validating", hook.port, &hook.bundle, "configmaps");
    let (code, _, answer) = send(&live, MAPS, &json!({"metadata": {"name": "bad"}}));
    assert_eq!(
        (code, &answer["message"]),
        (403, &json!("admission webhook \"guard.example.com\" denied the request: no"))
    );
    let (code, head, answer) = send(&live, MAPS, &json!({"metadata": {"name": "good"}}));
    assert_eq!(code, 201, "{answer}");
    assert!(head.to_lowercase().contains("warning: 299 - \"seen\""), "{head}");
    let asked = hook.asked.lock().expect("nobody panics");
    let names: Vec<&Value> = asked.iter().map(|review| &review["request"]["name"]).collect();
    assert_eq!(names, ["bad", "good"], "each is asked once");
    live.stop().expect("it ran well");
}

#[test]
fn what_can_not_be_called_fails_the_request() {
    let live = start();
    let free = TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("an address").port();
    configure(&live, "validating", free, "", "configmaps");
    let (code, _, answer) = send(&live, MAPS, &json!({"metadata": {"name": "a"}}));
    let message = answer["message"].as_str().unwrap_or_default();
    let why = format!(
        "Internal error occurred: failed calling webhook \"guard.example.com\": failed to call webhook: Post \
                       \"https://localhost:{free}/check?timeout=10s\": dial tcp localhost:{free}: connect: connection refused"
    );
    assert_eq!((code, message), (500, why.as_str()));
    let stranger = hook(|_| json!({"allowed": true}));
    let path = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/c";
    assert_eq!(send(&live, &format!("DELETE {path}"), &Value::Null).0, 200);
    // Somebody else has signed the certificate.
    configure(&live, "validating", stranger.port, &hook(|_| json!({})).bundle, "configmaps");
    let (code, _, answer) = send(&live, MAPS, &json!({"metadata": {"name": "a"}}));
    let message = answer["message"].as_str().unwrap_or_default();
    assert!(
        code == 500
            && message.ends_with("tls: failed to verify certificate: x509: certificate signed by unknown authority"),
        "{message}"
    );
    live.stop().expect("it ran well");
}

#[test]
fn pods_of_controllers_are_changed_too() {
    let hook = hook(|_| {
        let patch = json!([{"op": "add", "path": "/metadata/annotations", "value": {"by": "hook"}}]).to_string();
        json!({"allowed": true, "patchType": "JSONPatch", "patch": base64::engine::general_purpose::STANDARD.encode(patch)})
    });
    let live = start();
    configure(&live, "mutating", hook.port, &hook.bundle, "pods");
    let deployment = json!({"metadata": {"name": "web"}, "spec": {
        "replicas": 2, "selector": {"matchLabels": {"app": "web"}},
        "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "web:1"}]}},
    }});
    assert_eq!(send(&live, "POST /apis/apps/v1/namespaces/default/deployments", &deployment).0, 201);
    let until = Instant::now() + Duration::from_secs(20);
    let mut seen = Vec::new();
    while Instant::now() < until && seen.len() < 2 {
        let (_, _, list) = send(&live, "GET /api/v1/namespaces/default/pods", &Value::Null);
        let pods = list["items"].as_array().cloned().unwrap_or_default();
        seen = pods.iter().map(|pod| pod["metadata"]["annotations"]["by"].clone()).collect();
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(seen, ["hook", "hook"]);
    live.stop().expect("it ran well");
}
