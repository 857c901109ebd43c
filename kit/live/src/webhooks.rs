//! Calls of webhooks over HTTPS, for the API server.
//!
//! A client's request waits for them beside the engine, which goes on: [`call`] makes one, and then the request is sent again.
//! A component of the cluster has to wait in the engine ([`Waiting`]), and the cluster with it. What a failed call is told as is
//! what Go's client says: `net/http`, `crypto/tls`, `client-go/rest/request.go`.

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use kit_server::{Call, CallTarget, Caller, Reply, Server};
use serde_json::Value;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// The largest answer that is read.
const LARGEST: usize = 3 * 1024 * 1024;

/// Calls a webhook at its URL.
pub async fn call(call: &Call) -> Reply {
    match tokio::time::timeout(Duration::from_secs(call.timeout), post(call)).await {
        Ok(reply) => reply,
        Err(_) => Err(call.failed("context deadline exceeded")),
    }
}

async fn post(call: &Call) -> Reply {
    let CallTarget::Url(url) = &call.target else { return Err(call.failed("not a URL")) };
    let rest = url.strip_prefix("https://").ok_or_else(|| call.failed("unsupported protocol scheme"))?;
    let (authority, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
    let (host, port) = match authority.rsplit_once(':').filter(|(host, _)| !host.ends_with(':')) {
        Some((host, port)) => (host, port.parse::<u16>().map_err(|_| call.failed("invalid port"))?),
        None => (authority, 443),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let tcp = TcpStream::connect((host, port))
        .await
        .map_err(|why| call.failed(&format!("dial tcp {authority}: {}", dialed(&why))))?;
    let name = ServerName::try_from(host.to_string()).map_err(|why| call.failed(&why.to_string()))?;
    let tls = TlsConnector::from(Arc::new(config(call)?));
    let stream = tls.connect(name, tcp).await.map_err(|why| call.failed(&verified(&why)))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|why| call.failed(&why.to_string()))?;
    // It ends with the answer, or with this future.
    let connection = tokio::spawn(connection);
    let request = Request::post(format!("{path}?timeout={}s", call.timeout))
        .header("host", authority)
        .header("content-type", "application/json")
        .header("accept", "application/json, */*")
        .header("user-agent", "kube-apiserver-admission")
        .body(Full::<Bytes>::from(call.review.to_string()))
        .map_err(|why| call.failed(&why.to_string()))?;
    let answered = sender.send_request(request).await;
    let read = match answered {
        Ok(answer) => {
            let code = answer.status();
            let body = Limited::new(answer.into_body(), LARGEST).collect().await;
            body.map(|body| (code, body.to_bytes())).map_err(|why| call.failed(&why.to_string()))
        }
        Err(why) => Err(call.failed(if why.is_incomplete_message() { "EOF" } else { "unexpected EOF" })),
    };
    connection.abort();
    let (code, body) = read?;
    match code {
        code if code.is_success() => serde_json::from_slice::<Value>(&body)
            .map_err(|why| format!("couldn't get version/kind; json parse error: {why}")),
        StatusCode::NOT_FOUND => Err("the server could not find the requested resource".into()),
        code => {
            let text = String::from_utf8_lossy(&body).trim().to_string();
            let text = if text.is_empty() { "unknown".to_string() } else { text };
            match code.is_server_error() {
                true => Err(format!("an error on the server ({text:?}) has prevented the request from succeeding")),
                false => Err(format!("the server rejected our request for an unknown reason ({text})")),
            }
        }
    }
}

/// Who may have signed the certificate.
fn config(call: &Call) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&call.ca_bundle).flatten() {
        roots.add(certificate).map_err(|why| call.failed(&why.to_string()))?;
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(|why| call.failed(&why.to_string()))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

fn dialed(why: &io::Error) -> String {
    match why.kind() {
        io::ErrorKind::ConnectionRefused => "connect: connection refused".into(),
        io::ErrorKind::HostUnreachable => "connect: no route to host".into(),
        _ => why.to_string(),
    }
}

fn verified(why: &io::Error) -> String {
    let text = why.to_string();
    let told = |what: &str| format!("tls: failed to verify certificate: x509: {what}");
    match text.split_once("invalid peer certificate: ").map(|(_, what)| what) {
        Some(what) if what.starts_with("UnknownIssuer") || what.starts_with("BadSignature") => {
            told("certificate signed by unknown authority")
        }
        Some(what) if what.starts_with("Expired") || what.contains("expired") => {
            told("certificate has expired or is not yet valid")
        }
        Some(what) if what.contains("not valid for name") => told("certificate is not valid for any names"),
        Some(what) => told(what),
        None if text.contains("InvalidContentType") => "http: server gave HTTP response to HTTPS client".into(),
        None => text,
    }
}

/// Calls webhooks for components in the engine. Those at a URL are waited for; a service's are asked of whoever stands for its
/// pods.
pub struct Waiting {
    /// Who answers for pods.
    pub pods: Option<Box<dyn Caller>>,
}

impl Caller for Waiting {
    fn call(&self, server: &Server, asked: &Call) -> Reply {
        match (&asked.target, &self.pods) {
            (CallTarget::Url(_), _) => {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                let runtime = runtime.map_err(|why| asked.failed(&why.to_string()))?;
                runtime.block_on(call(asked))
            }
            (CallTarget::Service(..), Some(pods)) => pods.call(server, asked),
            (CallTarget::Service(..), None) => match server.endpoint_of(asked) {
                Ok((address, port)) => {
                    Err(asked.failed(&format!("dial tcp {address}:{port}: connect: connection refused")))
                }
                Err(why) => Err(why),
            },
        }
    }
}
