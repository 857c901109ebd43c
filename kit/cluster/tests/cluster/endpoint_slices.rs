//! The slices of services (`controllers_live.rs` plays what was recorded).

use crate::common::{self, all, create, wait};
use kit_apimachinery::object::{Key, Kind};
use kit_cluster::engine::Engine;
use kit_server::DeleteOptions;
use serde_json::{Value, json};

fn service(name: &str, spec: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec})
}

fn slices(engine: &Engine) -> Vec<Value> {
    all(engine, Kind::EndpointSlice)
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
