//! The slices of services, held against what a real control plane recorded
//! (`tests/conformance/cluster/endpoint_slices.json`): pods with other ports, without a port, with a name, not ready and
//! on their way out.

mod common;

use common::{all, create, wait};
use kit_apimachinery::object::{Key, Kind};
use kit_client::fault::Fault;
use kit_cluster::cluster::{self, Config};
use kit_cluster::engine::{Clock, Engine};
use kit_server::{DeleteOptions, Patch};
use serde_json::{Value, json};
use std::collections::BTreeSet;

fn pod(name: &str, image: &str, port: Option<i32>, hostname: Option<&str>) -> Value {
    let ports: Vec<Value> = port.map(|port| json!({"name": "http", "containerPort": port})).into_iter().collect();
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": "web"}},
        "spec": {"containers": [{"name": "c", "image": image, "ports": ports}]},
    });
    if let Some(hostname) = hostname {
        pod["spec"]["hostname"] = json!(hostname);
        pod["spec"]["subdomain"] = json!("headless");
    }
    pod
}

fn service(name: &str, spec: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec})
}

/// What a slice says, without names and times that differ from one cluster to the next.
fn said(slice: &Value) -> String {
    let mut endpoints: Vec<Value> = slice["endpoints"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|endpoint| json!([endpoint["targetRef"]["name"], endpoint["conditions"], endpoint["hostname"]]))
        .collect();
    endpoints.sort_by_key(Value::to_string);
    // The order of fields means nothing, and the recording has another one.
    let ports = slice["ports"].as_array().into_iter().flatten();
    let ports: Vec<Value> = ports.map(|port| json!([port["name"], port["protocol"], port["port"]])).collect();
    json!([slice["metadata"]["labels"], slice["addressType"], ports, endpoints]).to_string()
}

fn slices(engine: &Engine) -> Vec<Value> {
    all(engine, Kind::EndpointSlice)
}

#[test]
fn slices_are_what_a_real_control_plane_made_of_them() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/conformance/cluster/endpoint_slices.json");
    let recorded: Value = serde_json::from_str(&std::fs::read_to_string(path).expect("it is there")).expect("JSON");
    let expect = |engine: &Engine, checkpoint: usize| {
        let theirs = &recorded["checkpoints"][checkpoint];
        let said_there: BTreeSet<String> =
            theirs["objects"]["endpointslices"].as_array().expect("slices").iter().map(said).collect();
        let said_here: BTreeSet<String> = slices(engine).iter().map(said).collect();
        assert_eq!(said_here, said_there, "{}", theirs["after"]);
    };
    let config = serde_json::from_value(json!({
        "nodes": 3, "zones": 3, "images": {"slow:1": {"ready": 100_000}, "long:1": {"stop": 100_000}},
    }));
    let config: Config = config.expect("a good configuration");
    let mut engine = cluster::start(&config, &solutions::modules(), Clock::default());
    wait(&mut engine, 1);
    let mut web = service(
        "web",
        json!({
            "selector": {"app": "web"},
            "ports": [
                {"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP"},
                {"name": "m", "port": 9090, "targetPort": 9090, "protocol": "TCP"},
            ],
        }),
    );
    web["metadata"]["labels"] = json!({"team": "a"});
    create(&mut engine, &web);
    create(
        &mut engine,
        &service(
            "headless",
            json!({
                "clusterIP": "None", "publishNotReadyAddresses": true, "selector": {"app": "web"},
            }),
        ),
    );
    create(&mut engine, &service("noselector", json!({"ports": [{"port": 80}]})));
    create(
        &mut engine,
        &service(
            "elsewhere",
            json!({
                "type": "ExternalName", "externalName": "example.com", "selector": {"app": "web"},
            }),
        ),
    );
    for pod in [
        pod("a", "app:1", Some(8080), Some("a")),
        pod("b", "app:1", Some(8081), Some("b")),
        pod("c", "slow:1", Some(8080), None),
        pod("d", "app:1", None, None),
        pod("e", "long:1", Some(8080), None),
    ] {
        create(&mut engine, &pod);
    }
    wait(&mut engine, 5);
    let grace = DeleteOptions { grace_period_seconds: Some(100_000), ..DeleteOptions::default() };
    engine.request(|server| server.delete(&Key::new(Kind::Pod, "default", "e"), &grace)).expect("it can be deleted");
    wait(&mut engine, 1);
    expect(&engine, 0);

    let nodes = all(&engine, Kind::Node);
    for endpoint in slices(&engine).iter().flat_map(|slice| slice["endpoints"].as_array().expect("endpoints")) {
        let node = nodes.iter().find(|node| node["metadata"]["name"] == endpoint["nodeName"]).expect("a node");
        assert_eq!(endpoint["zone"], node["metadata"]["labels"]["topology.kubernetes.io/zone"]);
    }

    // b stops being ready for good, and a gets another label.
    for _ in 0..6 {
        engine.fault(&Fault::Kill { pod: "default/b".into(), exit_code: 1 }).expect("it runs");
        wait(&mut engine, 1);
    }
    let relabel = Patch::Merge(json!({"metadata": {"labels": {"app": "other"}}}));
    engine.request(|server| server.patch(&Key::new(Kind::Pod, "default", "a"), &relabel, false)).expect("a good patch");
    wait(&mut engine, 1);
    expect(&engine, 1);
}

#[test]
fn a_hundred_endpoints_fill_a_slice_and_none_leave_an_empty_one() {
    let mut engine = common::start();
    create(&mut engine, &service("web", json!({"selector": {"app": "web"}, "ports": [{"port": 80}]})));
    wait(&mut engine, 1);
    let sizes = |engine: &Engine| {
        let sizes = slices(engine).into_iter().map(|slice| slice["endpoints"].as_array().map_or(0, Vec::len));
        let mut sizes: Vec<_> = sizes.collect();
        sizes.sort();
        sizes
    };
    assert_eq!(sizes(&engine), [0]);
    create(&mut engine, &common::deployment(120));
    wait(&mut engine, 10);
    assert_eq!(sizes(&engine), [20, 100]);
    let key = Key::new(Kind::Service, "default", "web");
    engine.request(|server| server.delete(&key, &DeleteOptions::default())).expect("it can be deleted");
    wait(&mut engine, 1);
    assert_eq!(sizes(&engine), Vec::<usize>::new());
}
