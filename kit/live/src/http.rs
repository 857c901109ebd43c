//! The read endpoint: objects and lists as the API server answers them, from the last snapshot.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use kit_apimachinery::object::{Key, Kind};
use kit_server::{Error, Snapshot, Stored};
use std::sync::Arc;
use tokio::sync::{oneshot, watch};

type Snapshots = watch::Receiver<Snapshot>;

/// Serves until it is told to stop.
pub async fn serve(listener: std::net::TcpListener, snapshots: Snapshots, stopped: oneshot::Receiver<()>) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
    let app = Router::new()
        .route("/healthz", get(|| async { "ok" }))
        .route("/api/v1/{*path}", get(core))
        .route("/apis/{group}/{version}/{*path}", get(grouped))
        .with_state(snapshots);
    let stopped = async { _ = stopped.await };
    _ = axum::serve(listener, app).with_graceful_shutdown(stopped).await;
}

async fn core(State(snapshots): State<Snapshots>, Path(path): Path<String>) -> Response {
    answer(&snapshots.borrow().clone(), "v1", &path)
}

async fn grouped(
    State(snapshots): State<Snapshots>,
    Path((group, version, path)): Path<(String, String, String)>,
) -> Response {
    answer(&snapshots.borrow().clone(), &format!("{group}/{version}"), &path)
}

/// `pods`, `namespaces/NS/pods` or `namespaces/NS/pods/NAME`; without a namespace for kinds that have none.
fn answer(snapshot: &Snapshot, api_version: &str, path: &str) -> Response {
    let parts: Vec<&str> = path.split('/').collect();
    let (namespace, plural, name) = match parts[..] {
        ["namespaces", namespace, plural] => (Some(namespace), plural, None),
        ["namespaces", namespace, plural, name] => (Some(namespace), plural, Some(name)),
        [plural] => (None, plural, None),
        [plural, name] => (None, plural, Some(name)),
        _ => return missing(),
    };
    let kind = Kind::ALL.iter().find(|kind| kind.plural() == plural && kind.api_version() == api_version);
    let Some(&kind) = kind.filter(|kind| kind.namespaced() || namespace.is_none()) else { return missing() };
    match name {
        None => json(StatusCode::OK, list(snapshot, kind, namespace)),
        Some(name) => {
            let key = Key::new(kind, namespace.unwrap_or_default(), name);
            match snapshot.get(&key) {
                Some(stored) => json(StatusCode::OK, stored.json().to_string()),
                None => refused(&Error::not_found(&key)),
            }
        }
    }
}

fn list(snapshot: &Snapshot, kind: Kind, namespace: Option<&str>) -> String {
    let objects: Vec<&Arc<Stored>> = match namespace {
        Some(namespace) => snapshot.list_in(kind, namespace).collect(),
        None => snapshot.list(kind).collect(),
    };
    let items: Vec<&str> = objects.iter().map(|stored| stored.json()).collect();
    format!(
        r#"{{"kind":"{}List","apiVersion":"{}","metadata":{{"resourceVersion":"{}"}},"items":[{}]}}"#,
        kind.name(),
        kind.api_version(),
        snapshot.revision,
        items.join(",")
    )
}

fn json(code: StatusCode, body: String) -> Response {
    (code, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

fn refused(error: &Error) -> Response {
    json(StatusCode::from_u16(error.code as u16).unwrap_or(StatusCode::BAD_REQUEST), error.to_json())
}

/// What upstream answers to a path that it doesn't know.
fn missing() -> Response {
    (StatusCode::NOT_FOUND, "404 page not found\n").into_response()
}
