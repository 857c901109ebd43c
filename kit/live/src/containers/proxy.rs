//! What the API server passes on over HTTP: to the kubelet or the node exporter of a node, to pods, and to services.
//!
//! Only what has metrics answers: containers are simulated, and others serve nothing here. A pod of kube-state-metrics or the node
//! exporter is known by its image, whoever installed it. Sources: `pkg/registry/core/{node,pod,service}/rest` and
//! `apimachinery/pkg/util/proxy/transport.go`.

use crate::Door;
use crate::http::response;
use crate::logs;
use crate::metrics::MEDIA;
use crate::stream::Answer;
use hyper::Response;
use hyper::http::request::Parts;
use kit_api::core::{Pod, Service};
use kit_api::discovery::EndpointSlice;
use kit_apimachinery::object::{Key, Kind};
use kit_cluster::metrics::{Endpoint, scrape, state};
use kit_node::kubelet::image::called;
use kit_observability::exposition::render;
use kit_server::{Error, Proxied, Snapshot};

const TEXT: &str = "text/plain; charset=utf-8";
/// Where a kubelet and a node exporter listen on each node.
const KUBELET: &str = "10250";
const EXPORTER: &str = "9100";

/// Who serves something.
enum Served {
    At(Endpoint),
    /// The index of logs.
    Index,
    Says(&'static str),
    Nothing,
    /// Nobody listens there.
    Closed(String),
}

pub async fn answer(wanted: Proxied, head: &Parts, door: &Door) -> Result<Response<Answer>, Error> {
    let snapshot = door.snapshot();
    let families = match served(&wanted, &snapshot)? {
        // It needs nothing but the objects, and there may be many.
        Served::At(Endpoint::State) => {
            tokio::task::spawn_blocking(move || Some(state::families(&snapshot))).await.ok().flatten()
        }
        Served::At(endpoint) => {
            let asked = door.ask(move |driver| scrape(&mut driver.engine, &endpoint));
            asked.await.ok_or_else(Error::unreachable)?
        }
        Served::Index => {
            let answer = logs::proxied(&wanted.path, head, door).await;
            return Ok(answer.unwrap_or_else(|| refused("elasticsearch.logging:9200")));
        }
        Served::Says(text) => return Ok(response(200, TEXT, Answer::text(text))),
        Served::Nothing => return Ok(response(404, TEXT, Answer::text("404 page not found\n"))),
        Served::Closed(address) => return Ok(refused(&address)),
    };
    match families {
        Some(families) => Ok(response(200, MEDIA, Answer::text(render::as_go(&families)))),
        None => Ok(refused(&format!("{}:{KUBELET}", wanted.to.name))),
    }
}

fn refused(address: &str) -> Response<Answer> {
    let why = format!("error trying to reach service: dial tcp {address}: connect: connection refused");
    response(503, TEXT, Answer::text(why))
}

fn served(wanted: &Proxied, snapshot: &Snapshot) -> Result<Served, Error> {
    let (name, path) = (wanted.to.name.to_string(), wanted.path.as_str());
    let is_metrics = path == "/metrics";
    if wanted.to.kind == Kind::Node {
        return Ok(match (wanted.port.as_str(), path) {
            (EXPORTER, "/metrics") => Served::At(Endpoint::Exporter(name)),
            ("" | KUBELET, "/healthz") => Served::Says("ok"),
            ("" | KUBELET, path) if path.starts_with("/metrics") => {
                let path = path.trim_matches('/');
                let page = kit_cluster::metrics::node::Page::of(path);
                page.map_or(Served::Nothing, |_| Served::At(Endpoint::Kubelet(name, path.into())))
            }
            ("" | KUBELET, _) => Served::Nothing,
            (port, _) => Served::Closed(format!("{name}:{port}")),
        });
    }
    if wanted.to.kind == Kind::Service {
        if (&*wanted.to.namespace, name.as_str()) == ("logging", "elasticsearch") {
            return Ok(Served::Index);
        }
        // The processes of the control plane are no pods here.
        let process = match (&*wanted.to.namespace, name.as_str(), path) {
            ("kube-system", "kube-scheduler", "/metrics") => Some(Endpoint::Scheduler),
            ("kube-system", "kube-scheduler", "/metrics/resources") => Some(Endpoint::Resources),
            ("kube-system", "kube-controller-manager", "/metrics") => Some(Endpoint::Controllers),
            _ => None,
        };
        if let Some(endpoint) = process {
            return Ok(Served::At(endpoint));
        }
        let pod = behind(&wanted.to, snapshot)?;
        return Ok(of_pod(pod, wanted, is_metrics));
    }
    let pod = snapshot.get(&wanted.to).and_then(|stored| stored.get::<Pod>());
    pod.map(|pod| of_pod(pod, wanted, is_metrics)).ok_or_else(|| Error::not_found(&wanted.to))
}

/// A ready pod of a service.
fn behind<'a>(service: &Key, snapshot: &'a Snapshot) -> Result<&'a Pod, Error> {
    let stored = snapshot.get(service).and_then(|stored| stored.get::<Service>());
    stored.ok_or_else(|| Error::not_found(service))?;
    let slices = snapshot.list_in(Kind::EndpointSlice, &service.namespace).filter_map(|one| one.get::<EndpointSlice>());
    let mine = slices.filter(|slice| {
        let labels = slice.metadata.labels.as_ref();
        labels.and_then(|labels| labels.get("kubernetes.io/service-name")).map(String::as_str) == Some(&*service.name)
    });
    let ready = mine
        .flat_map(|slice| &slice.endpoints)
        .filter(|endpoint| endpoint.conditions.as_ref().and_then(|conditions| conditions.ready) != Some(false));
    let mut pods = ready.filter_map(|endpoint| {
        let name = endpoint.target_ref.as_ref()?.name.as_deref()?;
        snapshot.get(&Key::new(Kind::Pod, &service.namespace, name))?.get::<Pod>()
    });
    let none = || {
        let why = format!("no endpoints available for service {:?}", &*service.name);
        Error { code: 503, reason: "ServiceUnavailable", ..Error::internal(why) }
    };
    pods.next().ok_or_else(none)
}

fn of_pod(pod: &Pod, wanted: &Proxied, is_metrics: bool) -> Served {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let images: Vec<&str> = containers.filter_map(|container| container.image.as_deref()).map(called).collect();
    let status = pod.status.as_ref();
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.clone()).unwrap_or_default();
    let address = status.and_then(|status| status.pod_ip.clone()).unwrap_or_default();
    let endpoint = match () {
        () if images.contains(&"kube-state-metrics") => Endpoint::State,
        () if images.contains(&"node-exporter") => Endpoint::Exporter(node),
        () => {
            let port = if wanted.port.is_empty() { "80" } else { &wanted.port };
            return Served::Closed(format!("{address}:{port}"));
        }
    };
    match wanted.path.as_str() {
        _ if is_metrics => Served::At(endpoint),
        "/healthz" | "/livez" | "/readyz" => Served::Says("OK"),
        _ => Served::Nothing,
    }
}
