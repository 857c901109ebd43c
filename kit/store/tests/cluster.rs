//! An API server and a whole cluster run on each store as they do on the reference: the same objects with the same resource
//! versions, whatever keeps them.

use kit_apimachinery::object::{Key, Kind, Object};
use kit_cluster::cluster::{self, Config};
use kit_cluster::engine::{Clock, Engine};
use kit_contract::Slot;
use kit_contract::control_plane::{Op, RangeRequest, Store, WatchRequest};
use kit_server::Patch;
use kit_store::api;
use kit_store::{Disk, Kv, Memory, Module, Options, Replicated};
use kit_time::agenda::Instant;
use proptest::prelude::*;
use serde_json::json;
use solutions::control_plane::store::Exercise;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

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

fn reference() -> Vec<String> {
    let objects = play(|| Box::new(Exercise::default()), |_| {});
    let kinds =
        objects.iter().map(|object| serde_json::from_str::<serde_json::Value>(object).expect("JSON")["kind"].clone());
    assert_eq!(kinds.filter(|kind| kind == "Pod").count(), 6);
    objects
}

fn over<K: Kv + 'static>(store: &Rc<RefCell<K>>, between: impl FnMut(i64)) -> Vec<String> {
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
fn same(expected: &[String], found: &[String]) {
    let differ = expected.iter().zip(found).find(|(expected, found)| expected != found);
    assert_eq!(differ, None);
    assert_eq!(expected.len(), found.len());
}

#[test]
fn a_cluster_on_disk_is_the_same_and_is_there_afterwards() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("cluster.redb");
    let store = Disk::open(&path, Options::default()).expect("a store");
    let store = Rc::new(RefCell::new(store));
    same(&reference(), &over(&store, |_| {}));
    let all = api::RangeRequest { key: "/registry/".into(), range_end: "/registry0".into(), ..Default::default() };
    let before = store.borrow_mut().range(&all).expect("a read");
    drop(store);
    let after = Disk::open(&path, Options::default()).expect("a store").range(&all).expect("a read");
    assert!(after.count > 30);
    assert_eq!(before, after);
}

#[test]
fn a_cluster_in_memory_is_the_same() {
    same(&reference(), &over(&Rc::new(RefCell::new(Memory::default())), |_| {}));
}

/// Every few seconds the leader of the store's members dies, and the one before it comes back. Nobody in the cluster
/// notices, except that a write takes as long as an election, which the cluster's clock doesn't count.
#[test]
fn a_cluster_whose_store_loses_its_leaders_is_the_same() {
    let store = Rc::new(RefCell::new(Replicated::new(3, 1, Options::default())));
    let (group, mut down) = (store.clone(), None);
    let mut elected = 0;
    let objects = over(&store, |_| {
        let mut store = group.borrow_mut();
        store.pass(Duration::from_secs(3)).expect("time passes");
        if let Some(id) = down.take() {
            store.group().start(id);
        }
        if let Some(leader) = store.group().leader() {
            store.group().crash(leader, 0);
            (down, elected) = (Some(leader), elected + 1);
        }
    });
    assert!(elected > 10);
    same(&reference(), &objects);
    assert_eq!(store.borrow_mut().group().watch.violation, None);
}

#[test]
#[cfg_attr(not(feature = "etcd"), ignore = "needs an etcd: cargo test -p kit-store --features etcd")]
fn a_cluster_on_a_real_etcd_is_the_same() {
    #[cfg(feature = "etcd")]
    {
        let folder = tempfile::tempdir().expect("a folder");
        let server = kit_store::Server::start(folder.path(), &[]).unwrap_or_else(|e| panic!("{e}"));
        let store = server.connect().unwrap_or_else(|e| panic!("{e}"));
        same(&reference(), &over(&Rc::new(RefCell::new(store)), |_| {}));
    }
}

fn op() -> impl Strategy<Value = Op> {
    let key = || prop::sample::select(vec!["a", "b", "c/1", "c/2"]);
    prop_oneof![
        3 => (key(), 0..9u8).prop_map(|(key, value)| Op::Put { key: key.into(), value: value.to_string() }),
        1 => (key(), range_end()).prop_map(|(key, range_end)| Op::Delete { key: key.into(), range_end }),
    ]
}

fn range_end() -> impl Strategy<Value = Option<String>> {
    prop::option::of(prop::sample::select(vec!["b", "c", "c0", "\0"]).prop_map(String::from))
}

#[derive(Debug, Clone)]
enum Call {
    Txn(Op),
    Range(RangeRequest),
    Compact(i64),
    Watch(WatchRequest),
    Cancel(i64),
    Events,
}

fn call() -> impl Strategy<Value = Call> {
    let key = || prop::sample::select(vec!["a", "b", "c/", "c/1"]).prop_map(String::from);
    prop_oneof![
        6 => op().prop_map(Call::Txn),
        3 => (key(), range_end(), 0..30i64, 0..3u64, any::<bool>()).prop_map(|(key, range_end, revision, limit, keys_only)| {
            Call::Range(RangeRequest { key, range_end, revision, limit, keys_only })
        }),
        1 => (1..30i64).prop_map(Call::Compact),
        1 => (key(), range_end(), 0..30i64, any::<bool>()).prop_map(|(key, range_end, start_revision, prev_kv)| {
            Call::Watch(WatchRequest { key, range_end, start_revision, prev_kv })
        }),
        1 => (0..4i64).prop_map(Call::Cancel),
        2 => Just(Call::Events),
    ]
}

fn answer(store: &mut dyn Store, call: &Call) -> String {
    match call {
        Call::Txn(op) => format!("{:?}", store.txn(std::slice::from_ref(op))),
        Call::Range(request) => format!("{:?}", store.range(request)),
        Call::Compact(revision) => format!("{:?}", store.compact(*revision)),
        Call::Watch(request) => format!("{:?}", store.watch(request)),
        Call::Cancel(id) => format!("{:?}", store.cancel(*id)),
        Call::Events => format!("{:?}", store.events()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    /// The reference solution of the exercise answers as a store does that is held to a real etcd.
    #[test]
    fn the_reference_answers_as_etcd_does(calls in prop::collection::vec(call(), 1..80)) {
        let mut reference = Exercise::default();
        let mut module = Module::over(Rc::new(RefCell::new(Memory::default())));
        for call in &calls {
            prop_assert_eq!(answer(&mut module, call), answer(&mut reference, call), "{:?}", call);
        }
        prop_assert!(module.failure().borrow().is_none());
    }
}
