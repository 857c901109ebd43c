//! The way of a request: who sends it, whether there is room for it, and who answers.
//!
//! [`answer`] goes step by step: [`Asked`] is what its head tells, the sender is authenticated against the last snapshot,
//! waits for a seat ([`limits`](crate::limits)), and is answered ([`route`]). Plain reads are answered from the snapshot;
//! everything else is an event of the engine, where the API server answers it in its own words. Beside that goes what
//! others learn of it: metrics, the audit log and traces.

use crate::audit::{self, Trail};
use crate::limits::Full;
use crate::openapi::v2_paths;
use crate::stream::{Answer, Ending};
use crate::traces::Asking;
use crate::{Door, containers, metrics, openapi, protobuf, traces, webhooks};
use futures_util::future::join_all;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::http::request::Parts;
use hyper::upgrade::OnUpgrade;
use hyper::{Method, Request, Response, StatusCode};
use kit_api::jiff::Timestamp;
use kit_contract::observability::traces::Kind;
use kit_server::{Body, Call, Credentials, Error, Reply, RequestInfo, Server, User};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// The largest body (`MaxRequestBodyBytes` of `apiserver/pkg/server/config.go`).
const LARGEST: usize = 3 * 1024 * 1024;
/// How long a client may take to send a body.
const PATIENCE: Duration = Duration::from_secs(60);
/// How many events of a watch wait for a slow reader; after these it reads the server's log at its own pace.
const AHEAD: usize = 256;
/// So many webhooks are called about one request at most; an object that changes meanwhile is told of anew.
const MOST_CALLS: usize = 100;
/// An answer that takes so long is worth a warning.
const SLOW: Duration = Duration::from_secs(1);

pub const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";

/// Who is at the other end of a connection.
pub struct Peer {
    /// Whether the connection has certificates at all; without, whoever reaches the server is its administrator.
    pub secure: bool,
    /// The user of the client's certificate.
    pub user: Option<User>,
    /// Where it comes from.
    pub address: String,
}

/// What the head of a request tells.
struct Asked {
    head: Parts,
    info: RequestInfo,
}

impl Asked {
    fn new(head: Parts) -> Asked {
        let info = RequestInfo::of(head.method.as_str(), head.uri.path(), head.uri.query().unwrap_or_default());
        Asked { head, info }
    }

    fn query(&self) -> &str {
        self.head.uri.query().unwrap_or_default()
    }

    /// A header's value; empty if it isn't there, or no text.
    fn header(&self, name: impl hyper::header::AsHeaderName) -> &str {
        self.head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// Answers a request.
pub async fn answer(
    mut request: Request<Incoming>,
    peer: Arc<Peer>,
    door: Door,
) -> Result<Response<Answer>, Infallible> {
    let began = Instant::now();
    let upgrade = hyper::upgrade::on(&mut request);
    let (head, body) = request.into_parts();
    let asked = Asked::new(head);
    let going =
        door.front.metrics.begin(&asked.info, asked.header(CONTENT_TYPE).starts_with("application/apply-patch"));
    let id = audit::id(asked.header("audit-id"));
    let (mut trail, mut traced) = (None, None);
    let mut answer = match admit(&asked, &peer, &door, &id, &mut trail) {
        Err(error) => refused(&error),
        Ok((user, trusted)) => {
            traced = door.traces().map(|traces| {
                traces.begin(asked.info.span_name(asked.head.method.as_str()), &asked.head.headers, trusted)
            });
            match door.front.limits.enter(&user, &asked.info).await {
                Ok(_seat) => route(&asked, body, upgrade, user, &door, trail.as_mut(), traced.as_ref()).await,
                Err(full) => too_many(&full, &door),
            }
        }
    };
    if let Ok(value) = HeaderValue::from_str(&id) {
        answer.headers_mut().insert("audit-id", value);
    }
    let code = answer.status().as_u16();
    if let Some(trail) = &mut trail {
        trail.answered(code, answer.body().as_text());
    }
    let dry_run = if asked.query().contains("dryRun=All") { "All" } else { "" };
    let end = move || {
        let took = began.elapsed();
        door.front.metrics.answered(&going, dry_run, code, took);
        trail.into_iter().for_each(Trail::complete);
        let (method, path, query) = (&asked.head.method, asked.head.uri.path(), asked.query());
        // Empty where nobody traces.
        let trace = traced.as_ref().map(|asking| format!("{:032x}", asking.context.trace_id)).unwrap_or_default();
        if let Some((traces, asking)) = door.traces().zip(traced) {
            let target = asked.head.uri.path_and_query().map(|whole| whole.as_str()).unwrap_or_default();
            let agent = asked.header("user-agent");
            traces.end(
                asking,
                code,
                [
                    ("http.method", method.as_str()),
                    ("http.target", target),
                    ("audit-id", id.as_str()),
                    ("user_agent.original", agent),
                ],
            );
        }
        tracing::debug!(%method, path, query, code, ?took, trace, "answered");
        if took > SLOW && !asked.info.long_running() {
            tracing::warn!(%method, path, code, ?took, "a slow answer");
        }
    };
    if answer.body().as_text().is_some() {
        end();
        return Ok(answer);
    }
    Ok(answer.map(|body| Answer::Ends { answer: Box::new(body), _ending: Ending::new(end) }))
}

/// Says for whom a request is, and whether its trace is followed; begins to tell the audit log of it.
fn admit(asked: &Asked, peer: &Peer, door: &Door, id: &str, trail: &mut Option<Trail>) -> Result<(User, bool), Error> {
    let mut headers = Vec::new();
    for (name, value) in &asked.head.headers {
        if name == AUTHORIZATION || name.as_str().starts_with("impersonate-") {
            let why = || Error::bad_request(format!("the header {name} is not ASCII"));
            headers.push((name.as_str(), value.to_str().map_err(|_| why())?));
        }
    }
    let admin = User::admin();
    let trusted = !peer.secure && !asked.head.headers.contains_key(AUTHORIZATION);
    let certificate = peer.user.as_ref().or(trusted.then_some(&admin));
    let credentials = Credentials { certificate, headers: &headers };
    let snapshot = door.snapshot();
    let begin = |user: &User, other: Option<&User>| {
        let sender = audit::Sender { user, other, address: &peer.address };
        door.front.audit.as_ref().and_then(|audit| Trail::begin(audit, &asked.head, &asked.info, &sender, id))
    };
    let user = match snapshot.authenticate(&credentials, &*door.front.signer, door.seconds()) {
        Ok(user) => user,
        Err(error) => {
            begin(&User::default(), None).into_iter().for_each(|mut trail| trail.unknown());
            return Err(error);
        }
    };
    // Upstream it is decided before anybody speaks for somebody else, too (`DefaultBuildHandlerChain`).
    let trusted = traces::trusted(&user);
    match snapshot.impersonated(&user, &credentials) {
        Ok(other) => {
            *trail = begin(&user, other.as_ref());
            Ok((other.unwrap_or(user), trusted))
        }
        Err(error) => {
            *trail = begin(&user, None);
            Err(error)
        }
    }
}

/// Gives the answer to a request that there is room for.
async fn route(
    asked: &Asked,
    body: Incoming,
    upgrade: OnUpgrade,
    user: User,
    door: &Door,
    mut trail: Option<&mut Trail>,
    traced: Option<&Asking>,
) -> Response<Answer> {
    let (path, accept, method) = (asked.head.uri.path(), asked.header("accept"), &asked.head.method);
    let snapshot = door.snapshot();
    let allowed = snapshot.authorize(&user, &asked.info);
    if let Some(trail) = &mut trail {
        trail.decided(&allowed);
    }
    if let Err(error) = allowed {
        return refused(&error);
    }
    if method == Method::GET && !door.is_shared() {
        let now = Timestamp::from_second(door.seconds()).unwrap_or_default();
        let headers = [("accept", accept)];
        let request =
            kit_server::Request { method: "GET", path, query: asked.query(), headers: &headers, ..Default::default() };
        if let Some(read) = snapshot.read(&request, now) {
            let mut answer = written(read.code, read.content_type, read.body).await;
            warn(&mut answer, read.warnings);
            return answer;
        }
    }
    if path == "/metrics" && method == Method::GET {
        let of_traces = door.traces().map(|traces| traces.metrics()).unwrap_or_default();
        return response(200, metrics::MEDIA, Answer::text(door.front.metrics.text(&snapshot) + &of_traces));
    }
    drop(snapshot);
    let (body, translated) = match sent(asked, body).await {
        Ok(sent) => sent,
        Err(error) => return refused(&error),
    };
    if let Some(trail) = trail.as_mut().filter(|_| !body.is_empty()) {
        trail.sent(&body);
    }
    if method == Method::GET && (path == "/openapi" || path.starts_with("/openapi/")) {
        return describe(path, accept, door).await;
    }
    let mut headers = Vec::new();
    for (name, value) in &asked.head.headers {
        // Who asks is known by now.
        if name == AUTHORIZATION || name.as_str().starts_with("impersonate-") {
            continue;
        }
        let Ok(value) = value.to_str() else {
            return refused(&Error::bad_request(format!("the header {name} is not ASCII")));
        };
        let value = if translated && *name == CONTENT_TYPE { JSON } else { value };
        headers.push((name.as_str().to_string(), value.to_string()));
    }
    let (method, path, query) = (method.as_str().to_string(), path.to_string(), asked.query().to_string());
    let whole = Arc::new(Whole { method, path, query, headers, body, user });
    let mut known = Known::new();
    let context = traced.map(|asking| asking.context);
    // Each time it is known what more webhooks say.
    let answered = loop {
        let (to, lines) = mpsc::channel(AHEAD);
        let whole = whole.clone();
        let answered = door.ask(move |driver| {
            let (answer, annotations) = driver.engine.request(|server| {
                server.under(context, Kind::Server);
                let answer = whole.answer(server, known);
                server.leave(context);
                (answer, server.take_annotations())
            });
            answer.map(|response| {
                let body = match response.body {
                    Body::Watch(watch) => {
                        driver.stream(watch, to);
                        None
                    }
                    body => Some(body),
                };
                (response.code, response.content_type, response.warnings, annotations, body)
            })
        });
        match answered.await {
            None => break None,
            Some(Ok(answered)) => break Some((answered, lines)),
            Some(Err(lacking)) => {
                let (calls, others) = *lacking;
                known = others;
                if known.len() >= MOST_CALLS {
                    return refused(&Error::internal("too many webhooks were called about one request"));
                }
                let replies = join_all(calls.iter().map(webhooks::call)).await;
                known.extend(calls.into_iter().zip(replies));
            }
        }
    };
    let Some(((code, media, warnings, annotations, body), lines)) = answered else {
        return refused(&Error::unreachable());
    };
    if let Some(trail) = trail {
        trail.annotate(annotations);
    }
    let mut answer = match body {
        Some(Body::Connect(connection)) => return containers::answer(*connection, &asked.head, upgrade, door).await,
        Some(body) => written(code, media, body).await,
        None => response(code, media, Answer::Lines(lines)),
    };
    warn(&mut answer, warnings);
    answer
}

/// A request as it was sent, for as many times as it is answered.
struct Whole {
    method: String,
    path: String,
    query: String,
    headers: Vec<(String, String)>,
    body: hyper::body::Bytes,
    user: User,
}

/// What some webhooks say.
type Known = Vec<(Call, Reply)>;

impl Whole {
    fn answer(&self, server: &mut Server, known: Known) -> Result<kit_server::Response, Box<(Vec<Call>, Known)>> {
        let headers: Vec<(&str, &str)> =
            self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let request = kit_server::Request {
            method: &self.method,
            path: &self.path,
            query: &self.query,
            headers: &headers,
            body: &self.body,
            user: Some(&self.user),
        };
        server.answer_with(&request, known)
    }
}

/// Writes an answer of the API server down.
async fn written(code: u16, media: &'static str, body: Body) -> Response<Answer> {
    let text = match body {
        Body::Text(text) => text,
        // A long list is written beside the engine, and beside other answers.
        Body::List(list) => match tokio::task::spawn_blocking(move || list.to_text()).await {
            Ok(text) => text,
            Err(_) => return refused(&Error::internal("the list could not be written")),
        },
        // Neither is an answer of its own.
        Body::Watch(_) | Body::Connect(_) => return refused(&Error::internal("an answer that nobody can write")),
    };
    response(code, media, Answer::text(text))
}

/// Tells the client's user something.
fn warn(answer: &mut Response<Answer>, warnings: Vec<String>) {
    for warning in warnings {
        let text = warning.replace('\\', "\\\\").replace('"', "\\\"").replace(['\r', '\n'], " ");
        if let Ok(value) = HeaderValue::from_bytes(format!("299 - \"{text}\"").as_bytes()) {
            answer.headers_mut().append("warning", value);
        }
    }
}

/// The body of a request, and whether it was protobuf and is JSON now.
async fn sent(asked: &Asked, body: Incoming) -> Result<(hyper::body::Bytes, bool), Error> {
    let body = match tokio::time::timeout(PATIENCE, Limited::new(body, LARGEST).collect()).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
            return Err(Error::entity_too_large(LARGEST));
        }
        Ok(Err(_)) => return Err(Error::bad_request("the body ended too early")),
        Err(_) => return Err(Error::bad_request("the body took too long")),
    };
    if !protobuf::is_protobuf(asked.header(CONTENT_TYPE)) {
        return Ok((body, false));
    }
    match protobuf::decode(&body) {
        Ok(value) => Ok((value.to_string().into(), true)),
        Err(why) => Err(Error::bad_request(why)),
    }
}

/// The OpenAPI documents (`/openapi/v2`, `/openapi/v3`, and one for each group and version).
async fn describe(path: &str, accept: &str, door: &Door) -> Response<Answer> {
    let served = door.ask(|driver| {
        let server = driver.engine.server();
        let definition = server.kind_of("apiextensions.k8s.io/v1", "CustomResourceDefinition");
        let definitions = definition.into_iter().flat_map(|kind| server.snapshot().list(kind));
        let definitions: Vec<_> = definitions.map(|stored| stored.to_value()).collect();
        (server.resources().collect::<Vec<_>>(), definitions)
    });
    let Some((served, definitions)) = served.await else { return refused(&Error::unreachable()) };
    let path = path.trim_end_matches('/').to_string();
    if path == "/openapi/v2" && accept.split(',').next().is_some_and(|first| first.starts_with(v2_paths::ASKED)) {
        return response(200, v2_paths::MEDIA, Answer::text(v2_paths::paths(&served)));
    }
    // Documents are large, and made when they are first asked for.
    let made = tokio::task::spawn_blocking(move || match path.strip_prefix("/openapi/")? {
        "v2" => Some(openapi::v2(&served, &definitions)),
        "v3" => Some(openapi::index(&served, &definitions).into()),
        other => openapi::document(other.strip_prefix("v3/")?, &served, &definitions),
    });
    match made.await {
        Ok(Some(document)) => response(200, JSON, Answer::text(document.to_string())),
        Ok(None) => response(404, TEXT, Answer::text("404 page not found\n")),
        Err(_) => refused(&Error::internal("the document could not be made")),
    }
}

pub fn response(code: u16, media: &'static str, body: Answer) -> Response<Answer> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    response
}

pub fn refused(error: &Error) -> Response<Answer> {
    response(u16::try_from(error.code).unwrap_or(500), JSON, Answer::text(error.to_json() + "\n"))
}

/// `tooManyRequests` of `apiserver/pkg/server/filters/priority-and-fairness.go`.
fn too_many(full: &Full, door: &Door) -> Response<Answer> {
    door.front.metrics.rejected(full.level, full.schema, full.reason);
    let mut answer = response(429, TEXT, Answer::text("Too many requests, please try again later.\n"));
    answer.headers_mut().insert("retry-after", HeaderValue::from_static("1"));
    answer.headers_mut().insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    answer
}
