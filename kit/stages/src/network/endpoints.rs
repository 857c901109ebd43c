//! Fresh scenarios of `network/endpoints`: a few pods behind a service, and slices that an earlier look left, a little
//! out of date.

use crate::fresh::{Generator, question, several};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

/// What is drawn of one pod.
#[derive(Debug, Clone)]
struct Drawn {
    phase: &'static str,
    ready: bool,
    terminating: bool,
    has_address: bool,
    has_hostname: bool,
    node: u8,
    /// Which containers it has.
    containers: u8,
    /// How a slice that is there shows it: 1 to 7 in an older state, from 12 on not at all, else as it is.
    shown: u8,
}

fn pod() -> impl Strategy<Value = Drawn> {
    let phase = prop_oneof![8 => Just("Running"), 1 => select(vec!["Pending", "Unknown", "Succeeded", "Failed"])];
    let containers = prop_oneof![5 => Just(0_u8), 4 => 1_u8..9];
    let seldom = |weight| prop_oneof![weight => Just(false), 1 => Just(true)];
    (phase, seldom(3), seldom(5), seldom(9), seldom(6), 0_u8..5, containers, 0_u8..14).prop_map(
        |(phase, unready, terminating, without, has_hostname, node, containers, shown)| Drawn {
            phase,
            ready: !unready,
            terminating,
            has_address: !without,
            has_hostname,
            node,
            containers,
            shown,
        },
    )
}

fn containers(which: u8) -> Value {
    let port = |name: &str, port: i32, protocol: &str| json!({"name": name, "port": port, "protocol": protocol});
    let usual = json!({"ports": [port("http", 8080, "TCP"), port("dns", 53, "UDP")]});
    match which {
        0 => json!([usual]),
        1 => json!([{"ports": [port("http", 8081, "TCP")]}]),
        2 => json!([]),
        3 => json!([{"role": "sidecar", "ports": [port("http", 15001, "TCP")]}, {"ports": [port("dns", 53, "UDP")]}]),
        4 => json!([{"role": "sidecar", "ports": [port("http", 15001, "TCP"), port("dns", 15053, "UDP")]}, usual]),
        5 => json!([{"role": "init", "ports": [port("http", 9999, "TCP")]}, {"ports": [port("http", 9999, "UDP")]}]),
        6 => {
            json!([{"ports": [port("dns", 54, "TCP")]}, {"ports": [port("dns", 55, "UDP"), port("http", 8080, "TCP")]}])
        }
        7 => json!([{"ports": [port("http", 8080, "TCP"), port("http", 8090, "TCP")]}]),
        _ => json!([{"role": "init", "ports": [port("http", 1, "TCP"), port("dns", 2, "UDP")]}, usual]),
    }
}

fn service() -> impl Strategy<Value = Value> {
    let ports = select(vec![
        json!([{"name": "http", "port": 80, "target": 8080}]),
        json!([{"name": "http", "port": 80, "target": "http"}]),
        json!([{"name": "http", "port": 80, "target": "http"}, {"name": "dns", "port": 53, "target": "dns", "protocol": "UDP"}]),
        json!([{"name": "dns", "port": 53, "target": "dns", "protocol": "UDP"}, {"name": "http", "port": 80, "target": 8080, "app_protocol": "kubernetes.io/h2c"}]),
        json!([{"port": 8080, "target": "dns"}]),
        json!([]),
    ]);
    (ports, prop_oneof![4 => Just(false), 1 => Just(true)])
        .prop_map(|(ports, publish)| json!({"ports": ports, "publish_not_ready": publish}))
}

/// Ports that a slice there may have: those that some pod has under one of the services, in one order or the other, and
/// those that nobody has.
fn slice_ports() -> impl Strategy<Value = Value> {
    let http = |port: i32| json!({"name": "http", "port": port});
    let dns = |port: i32| json!({"name": "dns", "port": port, "protocol": "UDP"});
    select(vec![
        json!([http(8080)]),
        json!([http(8080)]),
        json!([http(8080), dns(53)]),
        json!([dns(53), http(8080)]),
        json!([http(8081)]),
        json!([dns(53), {"name": "http", "port": 8080, "app_protocol": "kubernetes.io/h2c"}]),
        json!([{"name": "", "port": 54}]),
        json!([]),
        json!([http(7)]),
    ])
}

fn address(index: usize) -> String {
    format!("10.0.{}.{}", index / 200, index % 200 + 1)
}

fn json_of(drawn: &Drawn, index: usize) -> Value {
    let mut pod = json!({
        "name": name(index), "phase": drawn.phase, "ready": drawn.ready, "terminating": drawn.terminating,
        "containers": containers(drawn.containers),
    });
    if drawn.has_address {
        pod["address"] = address(index).into();
    }
    if drawn.has_hostname {
        pod["hostname"] = name(index).into();
    }
    if drawn.node < 4 {
        pod["node"] = format!("node-{}", drawn.node).into();
    }
    if (1..4).contains(&drawn.node) {
        pod["zone"] = format!("zone-{}", drawn.node % 2).into();
    }
    pod
}

/// Names in no order, so that only the order of the request is one.
fn name(index: usize) -> String {
    format!("web-{}", (index * 7 + 3) % 101 + index / 101 * 101)
}

/// The endpoint as a slice shows it: right, or a little out of date.
fn endpoint(drawn: &Drawn, index: usize, publish: bool) -> Value {
    let (serving, terminating) = (drawn.ready, drawn.terminating);
    let mut endpoint = json!({
        "pod": name(index), "address": address(index),
        "ready": publish || (serving && !terminating), "serving": serving, "terminating": terminating,
    });
    if drawn.node < 4 {
        endpoint["node"] = format!("node-{}", drawn.node).into();
    }
    if (1..4).contains(&drawn.node) {
        endpoint["zone"] = format!("zone-{}", drawn.node % 2).into();
    }
    if drawn.has_hostname {
        endpoint["hostname"] = name(index).into();
    }
    match drawn.shown {
        1 => endpoint["terminating"] = (!terminating).into(),
        2 => endpoint["zone"] = "zone-9".into(),
        5 => endpoint["ready"] = (endpoint["ready"] != true).into(),
        6 => endpoint["serving"] = (!serving).into(),
        7 => endpoint["node"] = "node-9".into(),
        3 => endpoint["address"] = format!("10.9.0.{}", index % 200 + 1).into(),
        4 => endpoint["hostname"] = "other".into(),
        _ => {}
    }
    endpoint
}

/// A service, its pods, and slices with some of them and with some that are gone.
pub fn fresh() -> Generator {
    let pods = prop_oneof![1 => vec(pod(), 0..2), 6 => vec(pod(), 1..10), 1 => vec(pod(), 60..130)];
    // Ports, whether it is outdated, and endpoints of pods that are gone.
    let slices = vec((slice_ports(), prop_oneof![5 => Just(false), 1 => Just(true)], 0_usize..2), 0..6);
    let places = vec((any::<prop::sample::Index>(), prop_oneof![7 => Just(true), 3 => Just(false)]), 130);
    // Calm ones are right but for a few pods that came: what goes where is all there is to decide.
    let calm = prop_oneof![2 => Just(false), 1 => Just(true)];
    let one = (service(), pods, slices, places, any::<bool>(), 1_usize..5, (any::<bool>(), 0_u8..12), calm).prop_map(
        |(service, mut pods, mut drawn, places, fits, max, (twice, kind), calm)| {
            // There may be more than the usual hundred.
            let many = if kind < 4 { 1000 } else { max * 9 };
            let max = if pods.len() > 20 { many } else { max + usize::from(calm) };
            // Nobody is left: what matters is which slices are there.
            let (calm, deserted) = (calm && kind > 0, kind == 0 && pods.len() <= 20);
            if deserted {
                pods.iter_mut().for_each(|pod| pod.phase = "Failed");
                drawn.truncate(2);
            }
            if calm {
                for pod in &mut pods {
                    *pod = Drawn { phase: "Running", has_address: true, containers: 0, shown: 0, ..pod.clone() };
                }
            }
            let publish = service["publish_not_ready"] == true;
            let mut slices: Vec<Value> = Vec::new();
            for (at, (ports, outdated, gone)) in drawn.iter().enumerate() {
                // Most slices belong to the service: their ports are the usual ones of its pods.
                let ports = match () {
                    _ if deserted && fits => json!([]),
                    _ if calm || (fits && at % 3 < 2) => usual(&service),
                    _ => ports.clone(),
                };
                let (outdated, gone) = if calm { (false, 0) } else { (*outdated, *gone) };
                let gone = (0..gone).map(|n| {
                    json!({"pod": format!("gone-{at}-{n}"), "address": format!("10.8.{at}.{}", n + 1), "node": "node-1", "ready": true, "serving": true})
                });
                let endpoints: Vec<Value> = gone.take(max).collect();
                // Names against the order, so that nobody sorts by them.
                slices.push(json!({"name": format!("web-{}", 9 - at), "ports": ports, "outdated": outdated, "endpoints": endpoints}));
            }
            for (index, (pod, (place, placed))) in pods.iter().zip(&places).enumerate() {
                let placed = *placed || (calm && index % 4 > 0);
                if slices.is_empty() || pod.shown > 11 || !placed {
                    continue;
                }
                let at = place.index(slices.len());
                let mut ats = vec![at];
                if twice && !calm && index % 5 == 1 {
                    ats.push((at + 1) % slices.len());
                }
                for at in ats {
                    if let Some(endpoints) = slices[at]["endpoints"].as_array_mut().filter(|there| there.len() < max) {
                        endpoints.push(endpoint(pod, index, publish));
                    }
                }
            }
            let pods: Vec<Value> = pods.iter().enumerate().map(|(index, pod)| json_of(pod, index)).collect();
            // Slices were filled when they could hold one more.
            let max_now = if kind == 1 && max > 1 { max - 1 } else { max };
            let request = json!({"service": service, "pods": pods, "slices": slices, "max_endpoints": max_now});
            question("reconcile", json!({"request": request}))
        },
    );
    several(one, 4)
}

/// The ports that a pod with the usual containers has.
fn usual(service: &Value) -> Value {
    let number = |target: &Value| match target.as_str() {
        Some("http") => json!(8080),
        Some(_) => json!(53),
        None => target.clone(),
    };
    let ports = service["ports"].as_array().into_iter().flatten();
    // The usual containers have no port `dns` of the protocol that is the default.
    let ports = ports.filter(|port| port["target"] != "dns" || port["protocol"] == "UDP");
    let ports = ports.map(|port| {
        let mut shown = json!({"name": port["name"].as_str().unwrap_or_default(), "port": number(&port["target"])});
        for field in ["protocol", "app_protocol"] {
            if !port[field].is_null() {
                shown[field] = port[field].clone();
            }
        }
        shown
    });
    ports.collect()
}
