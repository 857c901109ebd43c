//! An API server and a whole cluster run on each store as they do on the reference: the same objects with the same resource
//! versions, whatever keeps them.

#[path = "play/cluster.rs"]
mod whole;

use kit_contract::control_plane::{Op, RangeRequest, Store, WatchRequest};
use kit_store::api;
use kit_store::{Disk, Kv, Memory, Module, Options, Replicated};
use proptest::prelude::*;
use solutions::control_plane::store::Exercise;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;
use whole::{over, reference, same};

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
