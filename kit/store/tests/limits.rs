//! What doesn't fit into a story: long requests, long responses, slow watches.

use kit_store::api::*;
use kit_store::{Bytes, Error, Kv, Memory};

const KIB: usize = 1024;

fn put(key: &str, value: Vec<u8>) -> PutRequest {
    PutRequest { key: key.into(), value: value.into(), ..Default::default() }
}

fn everything() -> WatchRequest {
    WatchRequest { key: "\0".into(), range_end: "\0".into(), ..Default::default() }
}

fn of(ops: usize) -> TxnRequest {
    let success = (0..ops).map(|n| Op::Put(put(&format!("key-{n}"), Vec::new()))).collect();
    TxnRequest { success, ..Default::default() }
}

fn at_most_128_operations(store: &mut dyn Kv) {
    assert_eq!(store.txn(&of(129)), Err(Error::TooManyOps));
    assert!(store.txn(&of(128)).is_ok());
    // What is within counts with the longest list around it.
    let around = |ops| TxnRequest { success: vec![Op::Txn(of(ops))], ..Default::default() };
    assert_eq!(store.txn(&around(128)), Err(Error::TooManyOps));
    assert!(store.txn(&around(127)).is_ok());
}

fn at_most_a_mebibyte_and_a_half(store: &mut dyn Kv) {
    assert_eq!(store.put(&put("large", vec![7; 1537 * KIB])), Err(Error::RequestTooLarge));
    assert!(store.put(&put("large", vec![7; 1535 * KIB])).is_ok());
    let halves = |size| {
        let success = vec![Op::Put(put("a", vec![7; size])), Op::Put(put("b", vec![7; size]))];
        TxnRequest { success, ..Default::default() }
    };
    assert_eq!(store.txn(&halves(769 * KIB)), Err(Error::RequestTooLarge));
    assert!(store.txn(&halves(767 * KIB)).is_ok());
}

/// How many events each response of a replay has, and whether more of it follows.
fn replay(store: &mut dyn Kv, fragment: bool, from: i64) -> Vec<(usize, bool)> {
    let request = WatchRequest { fragment, start_revision: from, ..everything() };
    let watch = store.watch(&request).expect("a watch");
    let mut responses = Vec::new();
    while responses.iter().map(|(events, _)| events).sum::<usize>() < 7 {
        responses.extend(store.poll().expect("events").iter().map(|r| (r.events.len(), r.fragment)));
    }
    assert!(store.cancel(watch.watch_id).expect("the watch ends"));
    responses
}

fn long_responses_are_split_where_that_is_wanted(store: &mut dyn Kv) {
    let mut from = 0;
    for n in 0..6 {
        let revision = store.put(&put("long", vec![n; 600 * KIB])).expect("a put").revision;
        from = if n == 0 { revision } else { from };
    }
    store.put(&put("short", vec![])).expect("a put");
    assert_eq!(replay(store, false, from), [(7, false)]);
    assert_eq!(replay(store, true, from), [(3, true), (4, false)]);
}

fn all(store: &mut dyn Kv) {
    at_most_128_operations(store);
    at_most_a_mebibyte_and_a_half(store);
    long_responses_are_split_where_that_is_wanted(store);
}

#[test]
fn memory() {
    all(&mut Memory::default());
}

#[test]
#[cfg_attr(not(feature = "etcd"), ignore = "needs an etcd: cargo test -p kit-store --features etcd")]
fn etcd_itself() {
    #[cfg(feature = "etcd")]
    {
        let folder = tempfile::tempdir().expect("a folder");
        let server = kit_store::Server::start(folder.path(), &[]).unwrap_or_else(|e| panic!("{e}"));
        all(&mut server.connect().unwrap_or_else(|e| panic!("{e}")));
    }
}

/// Of a watch that doesn't fetch its events only its place is kept. It gets all of them later, or hears that it can't.
#[test]
fn a_slow_watch_is_left_behind_and_catches_up() {
    let mut store = Memory::default();
    let slow = store.watch(&everything()).expect("a watch").watch_id;
    for n in 0..3000 {
        store.put(&put("a", n.to_string().into_bytes())).expect("a put");
    }
    let responses = store.poll().expect("events");
    assert!(responses.iter().all(|response| response.watch_id == slow));
    let values = responses.iter().flat_map(|response| &response.events).map(|event| event.kv.value.text());
    assert!(values.eq((0..3000).map(|n| n.to_string())));

    store.put(&put("a", vec![])).expect("a put");
    assert_eq!(store.poll().expect("events").len(), 1, "it keeps up again");

    let mut last = 0;
    for _ in 0..3000 {
        last = store.put(&put("a", vec![])).expect("a put").revision;
    }
    store.compact(last).expect("a compaction");
    let responses = store.poll().expect("events");
    let end = responses.last().expect("a response");
    assert_eq!((end.canceled, end.compact_revision), (true, last));
    assert!(!store.cancel(slow).expect("an answer"), "it has ended");
}

/// What waits for a watch is its own: a later compaction takes nothing away.
#[test]
fn a_compaction_leaves_what_was_promised() {
    let mut store = Memory::default();
    store.watch(&WatchRequest { prev_kv: true, ..everything() }).expect("a watch");
    for n in 0..10 {
        store.put(&put("a", vec![n])).expect("a put");
    }
    store.compact(11).expect("a compaction");
    let events: Vec<_> = store.poll().expect("events").into_iter().flat_map(|response| response.events).collect();
    assert_eq!(events.len(), 10);
    assert!(events.iter().skip(1).all(|event| event.prev_kv.is_some()));
}

/// etcd lost such deletes until 3.5.18, and controllers kept objects that were gone.
#[test]
fn a_watch_from_the_compaction_on_hears_of_its_deletes() {
    let mut store = Memory::default();
    store.put(&put("a", vec![])).expect("a put");
    store.delete_range(&DeleteRangeRequest { key: "a".into(), ..Default::default() }).expect("a delete");
    store.put(&put("b", vec![])).expect("a put");
    store.compact(3).expect("a compaction");
    store.watch(&WatchRequest { start_revision: 3, ..everything() }).expect("a watch");
    let events: Vec<_> = store.poll().expect("events").into_iter().flat_map(|response| response.events).collect();
    assert_eq!(
        events.iter().map(|event| (event.kind, event.kv.key.text())).collect::<Vec<_>>(),
        [(EventKind::Delete, "a".to_string()), (EventKind::Put, "b".to_string()),]
    );
}

#[test]
fn the_end_of_a_prefix_is_the_first_key_after_it() {
    assert_eq!(Bytes::from("/pods/").prefix_end(), "/pods0".into());
    assert_eq!(Bytes::from(vec![b'a', 255, 255]).prefix_end(), "b".into());
    assert_eq!(Bytes::from(vec![255]).prefix_end(), "\0".into());
    assert_eq!(Bytes::from("a").successor(), "a\0".into());
}
