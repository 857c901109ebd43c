//! Requests and answers: who asks, in which form, and who answers.
//!
//! Plain reads of the administrator are answered from the last snapshot; everything else is an event of the engine, where
//! the API server answers it in its own words.

use crate::openapi::v2_paths;
use crate::stream::Answer;
use crate::{Door, autoscaling_v1, openapi, protobuf};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use kit_apimachinery::object::{Key, Kind};
use kit_server::{Body, Error, Listing, Snapshot, User};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// The largest body (`MaxRequestBodyBytes` of `apiserver/pkg/server/config.go`).
const LARGEST: usize = 3 * 1024 * 1024;
/// How long a client may take to send a body.
const PATIENCE: Duration = Duration::from_secs(60);
/// How many events of a watch wait for a slow reader; after these it reads the server's log at its own pace.
const AHEAD: usize = 256;
/// What everybody may read without credentials (`system:public-info-viewer`).
const PUBLIC: [&str; 4] = ["/healthz", "/livez", "/readyz", "/version"];

const JSON: &str = "application/json";

/// The name of somebody without credentials.
const ANONYMOUS: &str = "system:anonymous";

/// Somebody without credentials.
pub fn anonymous() -> User {
    User { name: ANONYMOUS.into(), groups: vec!["system:unauthenticated".into()] }
}

/// Answers a request. `user` is who the certificate says; without certificates whoever reaches the server is its
/// administrator.
pub async fn answer(
    request: Request<Incoming>,
    user: Option<Arc<User>>,
    door: Door,
) -> Result<Response<Answer>, Infallible> {
    let (head, body) = request.into_parts();
    let path = head.uri.path().to_string();
    let query = head.uri.query().unwrap_or_default().to_string();
    tracing::debug!(method = %head.method, path, query, "a request");
    // A token says who asks where no certificate does.
    let token = head.headers.contains_key(AUTHORIZATION);
    let unknown = user.as_ref().is_some_and(|user| user.name == ANONYMOUS);
    let user = user.filter(|_| !(unknown && token));
    if unknown && !token && !PUBLIC.iter().any(|public| path == *public || path.starts_with(&format!("{public}/"))) {
        return Ok(refused(&Error::unauthorized()));
    }
    let accept = head.headers.get("accept").and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let plain = query.is_empty() && ["", "*/*", JSON].contains(&accept);
    let impersonates = head.headers.keys().any(|name| name.as_str().starts_with("impersonate-"));
    let admin = user.as_ref().map_or(!token, |user| user.groups.iter().any(|group| group == "system:masters"));
    if head.method == Method::GET
        && plain
        && admin
        && !impersonates
        && !door.is_shared()
        && let Some(answer) = read(&door.snapshot(), &path)
    {
        return Ok(answer);
    }
    let mut body = match tokio::time::timeout(PATIENCE, Limited::new(body, LARGEST).collect()).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
            return Ok(refused(&Error::entity_too_large(LARGEST)));
        }
        Ok(Err(_)) => return Ok(refused(&Error::bad_request("the body ended too early"))),
        Err(_) => return Ok(refused(&Error::bad_request("the body took too long"))),
    };
    let media = head.headers.get(CONTENT_TYPE).and_then(|media| media.to_str().ok()).unwrap_or_default();
    let translated = protobuf::is_protobuf(media);
    if translated {
        match protobuf::decode(&body) {
            Ok(value) => body = value.to_string().into(),
            Err(why) => return Ok(refused(&Error::bad_request(why))),
        }
    }
    let second = autoscaling_v1::second(&path);
    if let Some(converted) = second.as_ref().and_then(|_| autoscaling_v1::to_second(&body)) {
        body = converted.into();
    }
    let first = second.is_some();
    let path = second.unwrap_or(path);
    if head.method == Method::GET && (path == "/openapi" || path.starts_with("/openapi/")) {
        return Ok(describe(&path, accept, &door).await);
    }
    let mut headers = Vec::new();
    for (name, value) in &head.headers {
        let Ok(value) = value.to_str() else {
            return Ok(refused(&Error::bad_request(format!("the header {name} is not ASCII"))));
        };
        let value = if translated && *name == CONTENT_TYPE { JSON } else { value };
        headers.push((name.as_str().to_string(), value.to_string()));
    }
    let method = head.method.as_str().to_string();
    let (to, lines) = mpsc::channel(AHEAD);
    let answered = door.ask(move |driver| {
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let request = kit_server::Request {
            method: &method,
            path: &path,
            query: &query,
            headers: &headers,
            body: &body,
            user: user.as_deref(),
        };
        let mut response = driver.engine.request(|server| server.answer(&request));
        let body = match response.body {
            Body::Watch(watch) => {
                driver.stream(watch, to);
                None
            }
            body => Some(body),
        };
        (response.code, response.content_type, std::mem::take(&mut response.warnings), body)
    });
    let Some((code, media, warnings, body)) = answered.await else {
        return Ok(refused(&Error::unreachable()));
    };
    let text = match body {
        Some(Body::Text(text)) => Some(text),
        // A long list is written beside the engine, and beside other answers.
        Some(Body::List(list)) => match tokio::task::spawn_blocking(move || list.to_text()).await {
            Ok(text) => Some(text),
            Err(_) => return Ok(refused(&Error::internal("the list could not be written"))),
        },
        _ => None,
    };
    let text = if first { text.map(|text| autoscaling_v1::to_first(&text).unwrap_or(text)) } else { text };
    let body = text.map_or(Answer::Lines(lines), Answer::text);
    let mut answer = response(code, media, body);
    for warning in warnings {
        let text = warning.replace('\\', "\\\\").replace('"', "\\\"").replace(['\r', '\n'], " ");
        if let Ok(value) = HeaderValue::from_bytes(format!("299 - \"{text}\"").as_bytes()) {
            answer.headers_mut().append("warning", value);
        }
    }
    Ok(answer)
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
        Ok(None) => response(404, "text/plain; charset=utf-8", Answer::text("404 page not found\n")),
        Err(_) => refused(&Error::internal("the document could not be made")),
    }
}

fn response(code: u16, media: &'static str, body: Answer) -> Response<Answer> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    response
}

fn refused(error: &Error) -> Response<Answer> {
    response(u16::try_from(error.code).unwrap_or(500), JSON, Answer::text(error.to_json()))
}

/// An object or a list, as the API server answers it: `/api/v1/pods`, `/apis/GROUP/VERSION/namespaces/NS/PLURAL/NAME` and
/// so on. None for everything else, or what isn't there.
fn read(snapshot: &Snapshot, path: &str) -> Option<Response<Answer>> {
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    let (api_version, rest) = match &parts[..] {
        ["api", version, rest @ ..] => (version.to_string(), rest),
        ["apis", group, version, rest @ ..] => (format!("{group}/{version}"), rest),
        _ => return None,
    };
    let (namespace, plural, name) = match *rest {
        ["namespaces", namespace, plural] => (Some(namespace), plural, None),
        ["namespaces", namespace, plural, name] => (Some(namespace), plural, Some(name)),
        [plural] => (None, plural, None),
        [plural, name] => (None, plural, Some(name)),
        _ => return None,
    };
    let is = |kind: &&Kind| kind.plural() == plural && kind.api_version() == api_version;
    let &kind = Kind::ALL.iter().find(is)?;
    if namespace.is_some() != kind.namespaced() && (name.is_some() || namespace.is_some()) {
        return None;
    }
    let text = match name {
        None => Listing::of(snapshot, kind, namespace).to_text(),
        Some(name) => snapshot.get(&Key::new(kind, namespace.unwrap_or_default(), name))?.json().to_string(),
    };
    Some(response(200, JSON, Answer::text(text)))
}
