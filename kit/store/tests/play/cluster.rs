//! A whole cluster on a store.

use kit_apimachinery::object::{Key, Kind, Object};
use kit_cluster::cluster::{self, Config};
use kit_cluster::engine::{Clock, Engine};
use kit_contract::Slot;
use kit_contract::control_plane::Store;
use kit_server::Patch;
use kit_store::{Kv, Module};
use kit_time::agenda::Instant;
use serde_json::json;
use solutions::control_plane::store::Exercise;
use std::cell::RefCell;
use std::rc::Rc;

const WEB: &str = r#"{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web","namespace":"default"},
    "spec":{"replicas":4,"selector":{"matchLabels":{"app":"web"}},"template":{"metadata":{"labels":{"app":"web"}},
    "spec":{"containers":[{"name":"web","image":"web:1"}]}}}}"#;

/// A minute in which a deployment begins, grows and gets a new image; `between` happens every few seconds.
fn play(store: impl Fn() -> Box<dyn Store> + 'static, mut between: impl FnMut(i64)) -> Vec<String> {
    let mut modules = solutions::modules();
    modules.store = Slot::by(move |()| store());
    let mut engine = cluster::start(&Config::default(), &modules, Clock::default());
    let key = Key::new(Kind::Deployment, "default", "web");
    let spec = |engine: &mut Engine, spec| {
        engine.request(|server| server.patch(&key, &Patch::Merge(json!({"spec": spec})), false)).expect("a good patch")
    };
    for second in (3..60).step_by(3) {
        match second {
            3 => {
                let web = Object::decode(Kind::Deployment, WEB).expect("a deployment");
                engine.request(|server| server.create(web)).expect("a new deployment");
            }
            21 => drop(spec(&mut engine, json!({"replicas": 6}))),
            36 => {
                let containers = json!([{"name": "web", "image": "web:2"}]);
                drop(spec(&mut engine, json!({"template": {"spec": {"containers": containers}}})));
            }
            _ => {}
        }
        engine.run_until(Instant::seconds(second)).expect("the reference answers");
        between(second);
    }
    let snapshot = engine.server().snapshot();
    let kinds = [Kind::Node, Kind::Deployment, Kind::ReplicaSet, Kind::Pod, Kind::Event, Kind::Lease];
    kinds.into_iter().flat_map(|kind| snapshot.list(kind)).map(|stored| stored.to_value().to_string()).collect()
}

pub fn reference() -> Vec<String> {
    let objects = play(|| Box::new(Exercise::default()), |_| {});
    let kinds =
        objects.iter().map(|object| serde_json::from_str::<serde_json::Value>(object).expect("JSON")["kind"].clone());
    assert_eq!(kinds.filter(|kind| kind == "Pod").count(), 6);
    objects
}

pub fn over<K: Kv + 'static>(store: &Rc<RefCell<K>>, between: impl FnMut(i64)) -> Vec<String> {
    let (store, failure) = (store.clone(), Rc::new(RefCell::new(Vec::new())));
    let failures = failure.clone();
    let objects = play(
        move || {
            let module = Module::over(store.clone());
            failures.borrow_mut().push(module.failure());
            Box::new(module)
        },
        between,
    );
    assert!(failure.borrow().iter().all(|failure| failure.borrow().is_none()));
    objects
}

/// Compares without showing all of a cluster.
pub fn same(expected: &[String], found: &[String]) {
    let differ = expected.iter().zip(found).find(|(expected, found)| expected != found);
    assert_eq!(differ, None);
    assert_eq!(expected.len(), found.len());
}
