//! What clients send that they shouldn't, and who may ask at all: each gets its status, and the next client is served.

use kit_cluster::cluster::{self, Config};
use kit_cluster::engine::Clock;
use kit_live::certificates::Certificates;
use kit_live::{Live, Options};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

fn start(certificates: Option<Certificates>) -> Live {
    let engine = || cluster::start(&Config::default(), &solutions::modules(), Clock::default());
    Live::start(engine, Options { certificates, ..Options::default() }).expect("a port is free")
}

fn open(live: &Live) -> TcpStream {
    let stream = TcpStream::connect(live.address()).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout can be set");
    stream
}

/// The status and the body of the answer to a request as it goes over the wire.
fn send(live: &Live, request: &[u8]) -> (u16, String) {
    let mut stream = open(live);
    // The server may answer, and close, before it has read everything.
    _ = stream.write_all(request);
    let mut answer = Vec::new();
    _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    (head.get(9..12).and_then(|code| code.parse().ok()).unwrap_or(0), body.to_string())
}

fn request(method: &str, path: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    )
    .into_bytes()
}

#[test]
fn bad_requests_get_their_status() {
    const MAPS: &str = "/api/v1/namespaces/default/configmaps";
    const JSON: &str = "Content-Type: application/json\r\n";
    let live = start(None);
    let huge = format!(r#"{{"data":{{"a":"{}"}}}}"#, "x".repeat(4 << 20));
    let cases = [
        (request("POST", MAPS, JSON, "{"), 400, "unrecognized"),
        (request("POST", MAPS, JSON, &huge), 413, "Request entity too large: limit is 3145728"),
        (request("POST", MAPS, "Content-Type: text/html\r\n", "<p>"), 415, "UnsupportedMediaType"),
        (
            request("POST", MAPS, "Content-Type: application/vnd.kubernetes.protobuf\r\n", "k8s\0\u{1}"),
            400,
            "BadRequest",
        ),
        (request("PATCH", &format!("{MAPS}/a"), "Content-Type: application/x\r\n", "{}"), 415, "UnsupportedMediaType"),
        (request("BREW", MAPS, "", ""), 405, "MethodNotAllowed"),
        (request("GET", "/api/v1/../../etc/passwd", "", ""), 404, "could not find"),
        (request("GET", "/api/v1/namespaces/default/pods/%2e%2e", "", ""), 404, "not found"),
        (request("GET", "/nothing", "", ""), 404, "404 page not found"),
        (request("GET", &format!("{MAPS}?limit=many"), "", ""), 400, "BadRequest"),
        (request("GET", &format!("{MAPS}?labelSelector=a%20in"), "", ""), 400, "BadRequest"),
        (request("GET", MAPS, "Authorization: Bearer nobody\r\n", ""), 401, "Unauthorized"),
        (request("GET", "/openapi/v3/apis/nothing/v1", "", ""), 404, "404 page not found"),
        (b"nonsense\r\n\r\n".to_vec(), 400, ""),
    ];
    for (bytes, code, text) in cases {
        let (got, body) = send(&live, &bytes);
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(120)]).into_owned();
        assert!(got == code && body.contains(text), "{shown}: {got} {}", &body[..body.len().min(400)]);
    }
    // Clients that break off, or never go on, hold up nobody.
    let half: Vec<TcpStream> = (0..50)
        .map(|index| {
            let mut stream = open(&live);
            let text: &[u8] = if index % 2 == 0 {
                b"GET /api"
            } else {
                b"POST /api/v1/namespaces HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n{"
            };
            _ = stream.write_all(text);
            stream
        })
        .collect();
    assert_eq!(send(&live, &request("GET", "/readyz", "", "")), (200, "ok".into()));
    drop(half);
    assert_eq!(send(&live, &request("GET", "/readyz", "", "")), (200, "ok".into()));
    live.stop().expect("no module was lost");
}

#[test]
fn many_watches_see_a_change_and_end_in_time() {
    let live = start(None);
    let path = "/api/v1/namespaces/default/configmaps?watch=true&timeoutSeconds=5";
    let watches: Vec<TcpStream> = (0..200)
        .map(|_| {
            let mut stream = open(&live);
            stream.write_all(&request("GET", path, "", "")).expect("it takes requests");
            stream
        })
        .collect();
    // Half of them go away at once.
    let watches: Vec<TcpStream> = watches.into_iter().step_by(2).collect();
    let mut readers: Vec<BufReader<TcpStream>> = watches.into_iter().map(BufReader::new).collect();
    for reader in &mut readers {
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            assert!(reader.read_line(&mut line).expect("a head comes") > 0, "the head ended too early");
        }
    }
    let map = r#"{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a"}}"#;
    let body = request("POST", "/api/v1/namespaces/default/configmaps", "Content-Type: application/json\r\n", map);
    assert_eq!(send(&live, &body).0, 201);
    for mut reader in readers {
        let mut rest = String::new();
        reader.read_to_string(&mut rest).expect("the watch ends by itself");
        assert!(rest.contains(r#""type":"ADDED""#) && rest.ends_with("0\r\n\r\n"), "{rest}");
    }
    live.stop().expect("no module was lost");
}

/// Plain text to a server that speaks TLS is no way in, and neither is silence.
#[test]
fn nobody_gets_in_without_tls() {
    let live = start(Some(Certificates::new().expect("keys can be drawn")));
    let (code, body) = send(&live, &request("GET", "/api/v1/nodes", "", ""));
    assert!(code == 0 && !body.contains("NodeList"), "{code} {body}");
    live.stop().expect("no module was lost");
}
