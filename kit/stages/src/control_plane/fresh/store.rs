//! Fresh scenarios of `control_plane/store`: few keys that are prefixes of each other, revisions around the present and the last
//! compaction, and now and then more events, keys and watches than a small buffer holds.

use crate::fresh::{Generator, scenario, step};
use kit_contract::Slot;
use kit_contract::control_plane::{Op, Store, WatchRequest};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

const KEYS: [&str; 10] =
    ["a", "ab", "abc", "b", "B", "~é", "/registry/pods/default/a", "/registry/pods/default/b", "/registry/pods0", "\0"];
const ENDS: [&str; 7] = ["\0", "a", "b", "ac", "c", "/registry/pods0", "/registry/pods/default/b"];

/// A revision by where it lies: so far from the present, or from the last compaction.
#[derive(Debug, Clone, Copy)]
enum At {
    Zero,
    Now(i64),
    Compacted(i64),
}

#[derive(Debug, Clone)]
enum Event {
    Txn(Vec<(bool, &'static str, Option<&'static str>, &'static str)>),
    Range(&'static str, Option<&'static str>, At, u64, bool),
    Compact(At),
    Watch(&'static str, Option<&'static str>, At, bool),
    Cancel(i64),
    Events,
    /// So many writes of one key.
    Burst(&'static str, usize),
    /// So many keys, written by one transaction.
    Keys(usize),
    /// So many watches of one key.
    Watches(&'static str, usize),
}

fn at() -> impl Strategy<Value = At> {
    prop_oneof![
        3 => Just(At::Zero),
        4 => select(vec![-4_i64, -2, -1, 0, 1, 2, 1 << 40]).prop_map(At::Now),
        3 => (-1_i64..3).prop_map(At::Compacted),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    let key = || select(&KEYS[..]);
    let end = || prop_oneof![1 => Just(None), 2 => select(&ENDS[..]).prop_map(Some)];
    let op = (
        prop_oneof![3 => Just(true), 1 => Just(false)],
        key(),
        option::of(select(&ENDS[..])),
        select(vec!["", "1", "2"]),
    );
    let limit = select(vec![0_u64, 0, 1, 2, 3, 1 << 32, (1 << 32) + 1]);
    prop_oneof![
        10 => vec(op, 0..4).prop_map(Event::Txn),
        6 => (key(), end(), at(), limit, any::<bool>())
            .prop_map(|(key, end, at, limit, keys_only)| Event::Range(key, end, at, limit, keys_only)),
        2 => at().prop_map(Event::Compact),
        4 => (key(), end(), at(), any::<bool>()).prop_map(|(key, end, at, prev)| Event::Watch(key, end, at, prev)),
        1 => (0_i64..5).prop_map(Event::Cancel),
        4 => Just(Event::Events),
        1 => key().prop_map(|key| Event::Burst(key, 3)),
    ]
}

/// What doesn't fit into a byte or a buffer of a hundred, and is looked at from all sides afterwards.
fn much() -> impl Strategy<Value = Vec<Event>> {
    let many = select(vec![12_usize, 130, 270]);
    let key = select(vec!["a", "ab", "~é"]);
    (key, many, select(vec![12_usize, 120, 260]), select(vec![130_usize, 270]), any::<bool>()).prop_map(
        |(key, watches, keys, writes, early)| {
            let watch = Event::Watch(key, None, At::Now(0), false);
            // Many watches of what hardly changes, and a few of what changes all the time.
            let mut events = vec![Event::Watches("b", watches), Event::Burst("b", 1), Event::Events, Event::Keys(keys)];
            events.extend(early.then_some(watch));
            events.extend([Event::Burst(key, writes), Event::Watch(key, None, At::Now(1 - writes as i64), false)]);
            events.extend([Event::Events, Event::Cancel((watches / 2) as i64), Event::Burst("b", 1), Event::Events]);
            events.extend([260, 1, 0].map(|limit| Event::Range("/", Some("\0"), At::Zero, limit, true)));
            events.extend([Event::Range(key, None, At::Now(-200), 0, false), Event::Watches("b", 1)]);
            events
        },
    )
}

/// A watch that is made, history that is forgotten, and what both see of later writes: in whatever order.
fn forgetful() -> impl Strategy<Value = Vec<Event>> {
    let key = || select(vec!["a", "ab", "b"]);
    let step = prop_oneof![
        4 => key().prop_map(|key| Event::Burst(key, 1)),
        1 => key().prop_map(|key| Event::Txn(vec![(false, key, None, "")])),
        3 => (key(), (-4_i64..3), any::<bool>()).prop_map(|(key, by, prev)| Event::Watch(key, Some("c"), At::Now(by), prev)),
        3 => (key(), (-1_i64..3)).prop_map(|(key, by)| Event::Watch(key, Some("c"), At::Compacted(by), true)),
        2 => (-4_i64..1).prop_map(|by| Event::Compact(At::Now(by))),
        2 => (key(), (-1_i64..2)).prop_map(|(key, by)| Event::Range(key, Some("c"), At::Compacted(by), 0, false)),
        1 => Just(Event::Events),
    ];
    vec(step, 8..24)
}

/// A version from before the compaction that is replaced after it, and a watch to which that is shown again.
fn replayed() -> impl Strategy<Value = Vec<Event>> {
    let other = || (select(vec!["ab", "b"]), 1_usize..3).prop_map(|(key, often)| Event::Burst(key, often));
    let last = prop_oneof![2 => Just(Event::Burst("a", 1)), 1 => Just(Event::Txn(vec![(false, "a", None, "")]))];
    let key = select(vec!["a", "ab"]);
    (other(), -1_i64..1, option::of(other()), last, key, 0_i64..3).prop_map(|(other, by, later, last, key, start)| {
        let mut events = vec![Event::Burst("a", 1), other, Event::Compact(At::Now(by))];
        events.extend(later);
        events.extend([last, Event::Watch("a", Some("c"), At::Compacted(start), true), Event::Events]);
        events.extend([Event::Burst(key, 1), Event::Events]);
        events
    })
}

/// Whether a range holds a key, by the rules of the contract.
fn covers(key: &str, end: Option<&str>, other: &str) -> bool {
    match end {
        None => key == other,
        Some("\0") => other >= key,
        Some(end) => other >= key && other < end,
    }
}

/// A transaction that etcd takes: no key is put twice, and none is put and deleted.
fn allowed(ops: Vec<(bool, &'static str, Option<&'static str>, &'static str)>) -> Vec<Op> {
    let mut puts: Vec<&str> = Vec::new();
    let mut deletes: Vec<(&str, Option<&str>)> = Vec::new();
    let mut all = Vec::new();
    for (is_put, key, end, value) in ops {
        if is_put && !puts.contains(&key) && !deletes.iter().any(|(from, end)| covers(from, *end, key)) {
            puts.push(key);
            all.push(Op::Put { key: key.into(), value: value.into() });
        } else if !is_put && !puts.iter().any(|put| covers(key, end, put)) {
            deletes.push((key, end));
            all.push(Op::Delete { key: key.into(), range_end: end.map(Into::into) });
        }
    }
    all
}

/// A life of one store. The reference is played along, for the sake of its revision.
pub fn fresh(reference: Slot<dyn Store>) -> Generator {
    prop_oneof![5 => vec(event(), 1..40), 2 => forgetful(), 1 => replayed(), 1 => much()]
        .prop_map(move |events| {
            let mut store = reference.make(&());
            let (mut now, mut compacted) = (1_i64, 0_i64);
            let mut steps: Vec<Value> = Vec::new();
            for event in events {
                let revision = |at: At, least: i64| match at {
                    At::Zero => least,
                    At::Now(by) => (now + by).max(least),
                    At::Compacted(by) => (compacted + by).max(least),
                };
                match event {
                    Event::Txn(ops) => {
                        let ops = allowed(ops);
                        now = store.txn(&ops).revision;
                        steps.push(step("txn", json!({ "ops": ops })));
                    }
                    Event::Burst(key, often) => {
                        for number in 0..often {
                            let ops = [Op::Put { key: key.into(), value: number.to_string() }];
                            now = store.txn(&ops).revision;
                            steps.push(step("txn", json!({ "ops": ops })));
                        }
                    }
                    Event::Keys(count) => {
                        let put = |n: usize| Op::Put { key: format!("/registry/pods/shop/{n}"), value: String::new() };
                        let ops: Vec<Op> = (0..count).map(put).collect();
                        now = store.txn(&ops).revision;
                        steps.push(step("txn", json!({ "ops": ops })));
                    }
                    Event::Watches(key, count) => {
                        let request = WatchRequest { key: key.into(), ..WatchRequest::default() };
                        steps.extend((0..count).map(|_| step("watch", json!({ "request": request }))));
                    }
                    Event::Range(key, range_end, at, limit, keys_only) => {
                        let request = json!({
                            "key": key, "range_end": range_end, "revision": revision(at, 0), "limit": limit, "keys_only": keys_only,
                        });
                        steps.push(step("range", json!({ "request": request })));
                    }
                    Event::Compact(at) => {
                        let revision = revision(at, 1);
                        if store.compact(revision).is_ok() {
                            compacted = revision;
                        }
                        steps.push(step("compact", json!({ "revision": revision })));
                    }
                    Event::Watch(key, range_end, at, prev_kv) => {
                        let request = WatchRequest {
                            key: key.into(),
                            range_end: range_end.map(Into::into),
                            start_revision: revision(at, 0),
                            prev_kv,
                        };
                        steps.push(step("watch", json!({ "request": request })));
                    }
                    Event::Cancel(watch_id) => steps.push(step("cancel", json!({ "watch_id": watch_id }))),
                    Event::Events => steps.push(step("events", json!({}))),
                }
            }
            steps.push(step("events", json!({})));
            scenario(json!({}), steps)
        })
        .boxed()
}
