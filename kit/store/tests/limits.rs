//! What doesn't fit into a story: long requests, long responses, slow watches.

#[path = "play/limits.rs"]
mod limits;

use kit_store::api::*;
use kit_store::{Bytes, Kv, Memory};
use limits::{all, everything, put};

#[test]
fn memory() {
    all(&mut Memory::default());
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
