//! What doesn't fit into a story: long requests, long responses.

use kit_store::api::*;
use kit_store::{Error, Kv};

const KIB: usize = 1024;

pub fn put(key: &str, value: Vec<u8>) -> PutRequest {
    PutRequest { key: key.into(), value: value.into(), ..Default::default() }
}

pub fn everything() -> WatchRequest {
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

pub fn all(store: &mut dyn Kv) {
    at_most_128_operations(store);
    at_most_a_mebibyte_and_a_half(store);
    long_responses_are_split_where_that_is_wanted(store);
}
