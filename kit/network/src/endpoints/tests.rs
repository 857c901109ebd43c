//! The controllers before an API server.

use super::controller::EndpointSlices;
use super::mirroring::MirroredSlices;
use crate::testing::Bench;
use kit_apimachinery::object::{Key, Kind, Object};
use kit_server::{DeleteOptions, Patch};
use kit_time::agenda::Instant;
use serde_json::{Value, json};

fn service(spec: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "default"}, "spec": spec})
}

fn node(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Node",
        "metadata": {"name": name, "labels": {"topology.kubernetes.io/zone": format!("zone-{name}")}},
        "status": {"allocatable": {"cpu": "4"}, "conditions": [{"type": "Ready", "status": "True"}]}})
}

fn pod(name: &str, node: &str, ip: &str) -> Value {
    let ready = json!({"type": "Ready", "status": "True", "lastTransitionTime": "2025-06-01T12:00:10Z"});
    json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "labels": {"app": "web"}},
        "spec": {"nodeName": node, "containers": [{"name": "web", "image": "web:1"}]},
        "status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}], "conditions": [ready]}})
}

/// Each slice as its managing controller, addresses and the zones that they are meant for.
fn slices(bench: &Bench) -> Vec<String> {
    let all = bench.server.snapshot().list(Kind::EndpointSlice).map(|stored| stored.to_value());
    let tell = |slice: Value| {
        let endpoints = slice["endpoints"].as_array().cloned().unwrap_or_default();
        let tell = |endpoint: &Value| {
            let zone = endpoint["hints"]["forZones"][0]["name"].as_str().unwrap_or("-");
            format!("{}>{zone}", endpoint["addresses"][0].as_str().unwrap_or_default())
        };
        let mut endpoints: Vec<String> = endpoints.iter().map(tell).collect();
        endpoints.sort();
        let by = slice["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"].as_str().unwrap_or_default();
        format!("{by} {}", endpoints.join(" "))
    };
    let mut all: Vec<String> = all.map(tell).collect();
    all.sort();
    all
}

fn delete(bench: &mut Bench, kind: Kind, namespace: &str, name: &str) {
    bench.server.delete(&Key::new(kind, namespace, name), &DeleteOptions::default()).expect("it is there");
}

#[test]
fn pods_come_and_go_and_hints_follow() {
    let mut bench = Bench::new(EndpointSlices::new(&solutions::modules()));
    bench.create(node("a"));
    bench.create(node("b"));
    bench.create(service(json!({"selector": {"app": "web"}, "ports": [{"port": 80}]})));
    bench.settle();
    let mine = "endpointslice-controller.k8s.io";
    assert_eq!(slices(&bench), [format!("{mine} ")]);
    bench.create(pod("web-1", "a", "10.0.0.1"));
    bench.create(pod("web-2", "b", "10.0.0.2"));
    bench.run_until(Instant::seconds(5));
    assert_eq!(slices(&bench), [format!("{mine} 10.0.0.1>- 10.0.0.2>-")]);

    let key = Key::new(Kind::Service, "default", "web");
    let auto = Patch::Merge(json!({"metadata": {"annotations": {"service.kubernetes.io/topology-mode": "Auto"}}}));
    bench.server.patch(&key, &auto, false).expect("a good patch");
    bench.run_until(Instant::seconds(10));
    assert_eq!(slices(&bench), [format!("{mine} 10.0.0.1>zone-a 10.0.0.2>zone-b")]);
    assert!(bench.events()[0].starts_with("Normal TopologyAwareHintsEnabled"), "{:?}", bench.events());

    // A zone is lost: the service is looked at although none of its pods changed.
    delete(&mut bench, Kind::Node, "", "b");
    bench.run_until(Instant::seconds(20));
    assert_eq!(slices(&bench), [format!("{mine} 10.0.0.1>-")]);
    let told = "skipping Pod web-2 for Service default/web: Node b Not Found";
    assert!(bench.events().iter().any(|event| event.contains(told)), "{:?}", bench.events());
}

#[test]
fn a_slice_that_somebody_else_changes_is_put_right() {
    let mut bench = Bench::new(EndpointSlices::new(&solutions::modules()));
    bench.create(node("a"));
    bench.create(service(json!({"selector": {"app": "web"}, "ports": [{"port": 80}]})));
    bench.create(pod("web-1", "a", "10.0.0.1"));
    bench.run_until(Instant::seconds(5));
    let right = slices(&bench);
    let name = bench.server.snapshot().list(Kind::EndpointSlice).next().expect("a slice").key.name.to_string();
    let key = Key::new(Kind::EndpointSlice, "default", &name);
    bench.server.patch(&key, &Patch::Merge(json!({"endpoints": []})), false).expect("a good patch");
    bench.run_until(Instant::seconds(10));
    assert_eq!(slices(&bench), right);
    delete(&mut bench, Kind::EndpointSlice, "default", &name);
    bench.run_until(Instant::seconds(20));
    assert_eq!(slices(&bench), right);
}

#[test]
fn custom_endpoints_are_mirrored_until_there_is_a_selector() {
    let mut bench = Bench::new(MirroredSlices::default());
    bench.create(service(json!({"ports": [{"port": 80}]})));
    bench.create(json!({"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "web", "namespace": "default"},
        "subsets": [{"addresses": [{"ip": "192.0.2.1"}], "notReadyAddresses": [{"ip": "192.0.2.2"}], "ports": [{"port": 8080}]}]}));
    bench.run_until(Instant::seconds(5));
    let mirrored = "endpointslicemirroring-controller.k8s.io 192.0.2.1>- 192.0.2.2>-";
    assert_eq!(slices(&bench), [mirrored]);
    let key = Key::new(Kind::Endpoints, "default", "web");
    let mut changed = bench.server.get(&key).expect("it is there").to_value();
    changed["subsets"][0]["addresses"] = json!([{"ip": "192.0.2.9"}]);
    bench.server.update(Object::from_value(Kind::Endpoints, changed).expect("Endpoints")).expect("a good update");
    bench.run_until(Instant::seconds(10));
    assert_eq!(slices(&bench), ["endpointslicemirroring-controller.k8s.io 192.0.2.2>- 192.0.2.9>-"]);
    let select = Patch::Merge(json!({"spec": {"selector": {"app": "web"}}}));
    bench.server.patch(&Key::new(Kind::Service, "default", "web"), &select, false).expect("a good patch");
    bench.run_until(Instant::seconds(15));
    assert_eq!(slices(&bench), Vec::<String>::new());
}
