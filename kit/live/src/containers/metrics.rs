//! `metrics.k8s.io/v1beta1`: what nodes and pods use, as metrics-server says it.
//!
//! Sources: `pkg/api/{node,pod}.go` and `pkg/storage` of metrics-server.

use super::{ask, json as answer_json};
use crate::Door;
use crate::stream::Answer;
use hyper::Response;
use kit_api::jiff::{SignedDuration, Timestamp};
use kit_api::meta::ObjectMeta;
use kit_api::selector::Selector;
use kit_apimachinery::object::{Key, Kind};
use kit_node::kubelet::usage::{Amounts, Measured, WINDOW};
use kit_server::{Error, Metrics, Snapshot};
use serde_json::{Value, json};

pub async fn answer(wanted: Metrics, door: &Door) -> Result<Response<Answer>, Error> {
    let asked = door.ask(|driver| {
        ask(&mut driver.engine, |kubelets, world| {
            let measured = kubelets.measured(world);
            let ago = SignedDuration::from_nanos((world.now - measured.at).nanos);
            (measured, world.time() - ago, world.time(), world.server.snapshot().clone())
        })
    });
    let (measured, at, now, snapshot) = asked.await.flatten().ok_or_else(Error::unreachable)?;
    let items = if wanted.nodes { nodes(&measured, at, now, &snapshot) } else { pods(&measured, at, now, &snapshot) };
    let kind = if wanted.nodes { "NodeMetrics" } else { "PodMetrics" };
    if let Some(name) = &wanted.name {
        let found = items.into_iter().find(|(_, _, item)| {
            let meta = &item["metadata"];
            meta["name"] == name.as_str() && meta["namespace"].as_str().unwrap_or_default() == wanted.namespace
        });
        let (.., mut item) = found.ok_or_else(|| missing(&wanted, name, &snapshot))?;
        item["kind"] = kind.into();
        item["apiVersion"] = VERSION.into();
        return Ok(answer_json(item.to_string()));
    }
    let selector = wanted.labels.parse::<Selector>().map_err(|error| Error::bad_request(error.to_string()))?;
    let nothing = Default::default();
    let items: Vec<Value> = items
        .into_iter()
        .filter(|(key, meta, _)| {
            let here = wanted.namespace.is_empty() || *key.namespace == *wanted.namespace;
            here && selector.matches(meta.labels.as_ref().unwrap_or(&nothing))
        })
        .map(|(.., item)| item)
        .collect();
    let list = json!({"kind": format!("{kind}List"), "apiVersion": VERSION, "metadata": {}, "items": items});
    Ok(answer_json(list.to_string()))
}

const VERSION: &str = "metrics.k8s.io/v1beta1";

type Items<'a> = Vec<(Key, &'a ObjectMeta, Value)>;

fn nodes<'a>(measured: &Measured, at: Timestamp, now: Timestamp, snapshot: &'a Snapshot) -> Items<'a> {
    let item = |(name, amounts): (&String, &Amounts)| {
        let key = Key::new(Kind::Node, "", name);
        let meta = snapshot.get(&key)?.object.meta();
        let mut item = head(meta, at, now);
        item["usage"] = usage(*amounts);
        Some((key, meta, item))
    };
    measured.nodes.iter().filter_map(item).collect()
}

fn pods<'a>(measured: &Measured, at: Timestamp, now: Timestamp, snapshot: &'a Snapshot) -> Items<'a> {
    let item = |(key, containers): (&Key, &Vec<(String, Amounts)>)| {
        let meta = snapshot.get(key)?.object.meta();
        let mut item = head(meta, at, now);
        let container = |(name, amounts): &(String, Amounts)| json!({"name": name, "usage": usage(*amounts)});
        item["containers"] = containers.iter().map(container).collect();
        Some((key.clone(), meta, item))
    };
    measured.pods.iter().filter_map(item).collect()
}

fn head(meta: &ObjectMeta, at: Timestamp, now: Timestamp) -> Value {
    let seconds = |time: Timestamp| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let mut head = json!({"metadata": {"name": meta.name, "creationTimestamp": seconds(now)}});
    if let Some(namespace) = &meta.namespace {
        head["metadata"]["namespace"] = namespace.as_str().into();
    }
    if let Some(labels) = &meta.labels {
        head["metadata"]["labels"] = json!(labels);
    }
    head["timestamp"] = seconds(at).into();
    head["window"] = format!("{}s", WINDOW.nanos / 1_000_000_000).into();
    head
}

fn usage((milli_cpu, bytes): Amounts) -> Value {
    let cpu = if milli_cpu % 1000 == 0 { (milli_cpu / 1000).to_string() } else { format!("{milli_cpu}m") };
    let units = [("Gi", 30), ("Mi", 20), ("Ki", 10)];
    let unit = units.iter().find(|(_, bits)| bytes != 0 && bytes % (1 << bits) == 0);
    let memory = unit.map_or_else(|| bytes.to_string(), |(unit, bits)| format!("{}{unit}", bytes >> bits));
    json!({"cpu": cpu, "memory": memory})
}

/// There is no such object, or there are no metrics of it yet.
fn missing(wanted: &Metrics, name: &str, snapshot: &Snapshot) -> Error {
    let key = Key::new(if wanted.nodes { Kind::Node } else { Kind::Pod }, &wanted.namespace, name);
    match (snapshot.get(&key), wanted.nodes) {
        (None, _) => Error::not_found(&key),
        (_, true) => Error::missing("metrics.k8s.io", "nodemetrics", name),
        (_, false) => Error::missing("metrics.k8s.io", "podmetrics", &format!("{}/{name}", wanted.namespace)),
    }
}
