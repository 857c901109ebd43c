//! A user who asks for a certificate, is let in with it, and is who it says.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kit_cluster::cluster::{self, Config};
use kit_cluster::engine::Clock;
use kit_live::certificates::Certificates;
use kit_live::{Live, Options};
use rcgen::{CertificateParams, DnType, KeyPair};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

const REQUESTS: &str = "/apis/certificates.k8s.io/v1/certificatesigningrequests";

/// Somebody with a certificate and its key, both as PEM.
struct Somebody {
    authority: String,
    pair: (String, String),
}

impl Somebody {
    fn send(&self, live: &Live, line: &str, body: &Value) -> (u16, Value) {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(self.authority.as_bytes()).expect("a certificate"))
            .expect("an authority");
        let certificates = vec![CertificateDer::from_pem_slice(self.pair.0.as_bytes()).expect("a certificate")];
        let key = PrivateKeyDer::from_pem_slice(self.pair.1.as_bytes()).expect("a key");
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let config = config.with_safe_default_protocol_versions().expect("versions").with_root_certificates(roots);
        let config = config.with_client_auth_cert(certificates, key).expect("a key that fits");
        let name = ServerName::try_from("localhost").expect("a name");
        let connection = ClientConnection::new(Arc::new(config), name).expect("a connection");
        let socket = TcpStream::connect(live.address()).expect("it listens");
        socket.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout can be set");
        let mut stream = StreamOwned::new(connection, socket);
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let head =
            format!("{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n");
        write!(stream, "{head}Content-Length: {}\r\n\r\n{body}", body.len()).expect("it takes requests");
        let mut answer = Vec::new();
        _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let code = head.get(9..12).and_then(|code| code.parse().ok()).unwrap_or(0);
        (code, serde_json::from_str(body).unwrap_or_default())
    }
}

/// Asks for a certificate, approves that, and waits for what comes of it.
fn ask(live: &Live, admin: &Somebody, name: &str, usages: &Value) -> (Value, String) {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.distinguished_name.push(DnType::CommonName, "jane");
    params.distinguished_name.push(DnType::OrganizationName, "developers");
    let pem = params.serialize_request(&key).expect("a request").pem().expect("PEM");
    let request = json!({"metadata": {"name": name}, "spec": {
        "request": STANDARD.encode(pem), "signerName": "kubernetes.io/kube-apiserver-client", "usages": usages,
    }});
    let (code, mut made) = admin.send(live, &format!("POST {REQUESTS}"), &request);
    assert_eq!(code, 201, "{made}");
    let pending = &admin.send(live, &format!("GET {REQUESTS}/{name}"), &Value::Null).1["status"];
    assert_eq!(pending["certificate"], Value::Null, "nobody has approved it");
    made["status"]["conditions"] = json!([{"type": "Approved", "status": "True", "reason": "Fine", "message": "ok"}]);
    let (code, answer) = admin.send(live, &format!("PUT {REQUESTS}/{name}/approval"), &made);
    assert_eq!(code, 200, "{answer}");
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let status = admin.send(live, &format!("GET {REQUESTS}/{name}"), &Value::Null).1["status"].clone();
        let failed = status["conditions"].as_array().is_some_and(|conditions| conditions.len() > 1);
        if status["certificate"].is_string() || failed || Instant::now() > until {
            return (status, key.serialize_pem());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn an_approved_request_is_signed_and_its_certificate_lets_in() {
    let certificates = Certificates::new().expect("keys can be drawn");
    let admin = Somebody { authority: certificates.authority.clone(), pair: certificates.admin.clone() };
    let engine = || cluster::start(&Config::default(), &solutions::modules(), Clock::default());
    let options = Options { certificates: Some(certificates), ..Options::default() };
    let live = Live::start(engine, options).expect("a port is free");
    let (status, key) = ask(&live, &admin, "jane", &json!(["client auth", "digital signature"]));
    let certificate = STANDARD.decode(status["certificate"].as_str().expect("a certificate")).expect("base64");
    let certificate = String::from_utf8(certificate).expect("PEM");
    let jane = Somebody { authority: admin.authority.clone(), pair: (certificate, key) };
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    let (code, said) = jane.send(&live, "POST /apis/authentication.k8s.io/v1/selfsubjectreviews", &review);
    assert_eq!((code, &said["status"]["userInfo"]["username"]), (201, &json!("jane")), "{said}");
    assert_eq!(said["status"]["userInfo"]["groups"], json!(["developers", "system:authenticated"]));
    assert_eq!(jane.send(&live, "GET /api/v1/nodes", &Value::Null).0, 403);
    let (status, _) = ask(&live, &admin, "server", &json!(["server auth"]));
    let failed = &status["conditions"][1];
    assert_eq!((&failed["type"], &failed["reason"]), (&json!("Failed"), &json!("SignerValidationFailure")), "{status}");
    assert_eq!(failed["message"], "invalid usage for client certificate: server auth");
    live.stop().expect("it ran well");
}
