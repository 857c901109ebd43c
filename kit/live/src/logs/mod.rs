//! The logs of a live cluster outside of it: files as nodes have them ([`files`]), and the index over HTTP.
//!
//! The index is asked on a port of loopback, as shippers and clients of Elasticsearch do, or through the API server as the Service
//! `logging/elasticsearch`. Both ask the engine's thread, which has it.

pub mod files;

use crate::Door;
use crate::beside::{Beside, http};
use crate::stream::Answer;
use flate2::read::GzDecoder;
use http_body_util::{BodyExt, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode};
use kit_observability::elastic::{self, Body};
use kit_server::unescape;
use serde_json::Value;
use std::io::Read;
use std::net::SocketAddr;
use std::time::Duration;

/// The largest body; upstream has 100 MB (`http.max_content_length`).
const LARGEST: usize = 16 << 20;
/// How long a client may take to send a request.
const PATIENCE: Duration = Duration::from_secs(30);
/// The media type of clients that say which version they are made for.
const VENDOR: &str = "application/vnd.elasticsearch+json";

/// The index of a cluster that runs, over HTTP. It ends with this.
pub struct Index {
    address: SocketAddr,
    _server: Beside,
}

impl Index {
    /// Serves the index of a cluster that has the add-on `logging`; port 0 for a free one.
    ///
    /// # Errors
    ///
    /// If there is no port or no thread to be had.
    pub fn serve(door: Door, address: SocketAddr) -> std::io::Result<Index> {
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let answer = move |request| {
            let door = door.clone();
            async move { serve(request, &door).await }
        };
        let server = Beside::start("logs", move || http(listener, PATIENCE, answer))?;
        Ok(Index { address, _server: server })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn serve(request: Request<Incoming>, door: &Door) -> Response<Answer> {
    let (head, body) = request.into_parts();
    let body = tokio::time::timeout(PATIENCE, Limited::new(body, LARGEST).collect()).await;
    let Ok(Ok(body)) = body else {
        return plain(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large, or came too slowly");
    };
    let body = match head.headers.get(CONTENT_ENCODING).map(HeaderValue::as_bytes) {
        None | Some(b"identity") => Some(body.to_bytes()),
        Some(b"gzip") => unpacked(&body.to_bytes()),
        Some(_) => None,
    };
    let Some(body) = body else {
        return plain(StatusCode::BAD_REQUEST, "a body is plain, or compressed with gzip, and not too large");
    };
    let accept = head.headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let media = accept.split(',').find(|one| one.trim().starts_with(VENDOR)).map(|one| one.trim().to_string());
    let is_head = head.method == Method::HEAD;
    let asked = ask(head.method.as_str(), head.uri.path(), head.uri.query().unwrap_or_default(), body, door).await;
    let Some(answer) = asked else { return plain(StatusCode::SERVICE_UNAVAILABLE, "this cluster has no index") };
    let pretty = head.uri.query().is_some_and(|query| query.split('&').any(|part| part.starts_with("pretty")));
    let mut response = shown(answer, pretty, is_head);
    if let Some(media) = media.and_then(|media| HeaderValue::from_str(&media).ok())
        && response.headers().get(CONTENT_TYPE).is_some_and(|there| there == crate::http::JSON)
    {
        response.headers_mut().insert(CONTENT_TYPE, media);
    }
    response
}

fn unpacked(body: &[u8]) -> Option<Bytes> {
    let mut plain = Vec::new();
    let read = GzDecoder::new(body).take(LARGEST as u64 + 1).read_to_end(&mut plain).ok()?;
    (read <= LARGEST).then(|| plain.into())
}

fn plain(code: StatusCode, text: &'static str) -> Response<Answer> {
    crate::http::response(code.as_u16(), "text/plain; charset=utf-8", Answer::text(text))
}

/// What the index answers to `GET` through the API server; nothing if there is none.
pub async fn proxied(path: &str, head: &Parts, door: &Door) -> Option<Response<Answer>> {
    let query = head.uri.query().unwrap_or_default();
    ask("GET", path, query, Bytes::new(), door).await.map(|answer| shown(answer, true, false))
}

async fn ask(method: &str, path: &str, query: &str, body: Bytes, door: &Door) -> Option<elastic::Answer> {
    // A blank is `+` only behind the question mark.
    let path = path.split('/').filter(|part| !part.is_empty()).map(|part| unescape(&part.replace('+', "%2B")));
    let path: Vec<String> = path.collect();
    let pairs = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let query: Vec<(String, String)> = pairs.map(|(name, value)| (unescape(name), unescape(value))).collect();
    let method = method.to_string();
    let answer = door.ask(move |driver| {
        let now = driver.engine.server().time().as_millisecond();
        let request = elastic::Request { method: &method, path: &path, query: &query, body: &body };
        driver.engine.logging()?.answer(&request, now)
    });
    answer.await?
}

/// An answer over HTTP. Clients of Elastic look for their product's name.
fn shown(answer: elastic::Answer, pretty: bool, is_head: bool) -> Response<Answer> {
    let (media, text) = match answer.body {
        Body::Text(text) => ("text/plain; charset=UTF-8", text),
        Body::Json(Value::Null) => (crate::http::JSON, String::new()),
        Body::Json(value) if pretty => (crate::http::JSON, format!("{value:#}\n")),
        Body::Json(value) => (crate::http::JSON, value.to_string()),
    };
    let text = if is_head { String::new() } else { text };
    let mut response = crate::http::response(answer.status, media, Answer::text(text));
    response.headers_mut().insert("x-elastic-product", HeaderValue::from_static("Elasticsearch"));
    response
}
