//! Fresh scenarios of `control_plane/work_queue`: keys that are added, delayed and failed in every state, and a shut-down; now
//! and then more keys, failures and milliseconds than a small number holds.

use crate::fresh::{Generator, scenario, step};
use kit_contract::Slot;
use kit_contract::control_plane::{Next, RateLimits, WorkQueue};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

const KEYS: [&str; 4] = ["default/a", "default/b", "shop/a", "a"];

#[derive(Debug, Clone)]
enum Event {
    Add(&'static str),
    /// So many keys, at once or after a delay.
    AddMany(usize, Option<i64>),
    AddAfter(&'static str, i64),
    AddRateLimited(&'static str, usize),
    Forget(&'static str),
    NumRequeues(&'static str),
    Get,
    /// Of the keys that workers have, the one at this place.
    Done(prop::sample::Index),
    /// So many workers take a key.
    GetMany(usize),
    Len,
    ShutDown(bool),
    Drained,
}

fn event() -> impl Strategy<Value = Event> {
    let key = || select(&KEYS[..]);
    let delay = select(vec![-1_i64, 0, 1, 5, 10, 10, 100, 1000, 1_000_000, 5_000_000_000, 1 << 60]);
    let often = prop_oneof![20 => Just(1_usize), 1 => select(vec![20_usize, 40])];
    prop_oneof![
        8 => key().prop_map(Event::Add),
        4 => (key(), delay).prop_map(|(key, delay)| Event::AddAfter(key, delay)),
        4 => (key(), often).prop_map(|(key, often)| Event::AddRateLimited(key, often)),
        2 => key().prop_map(Event::Forget),
        1 => key().prop_map(Event::NumRequeues),
        10 => Just(Event::Get),
        8 => any::<prop::sample::Index>().prop_map(Event::Done),
        2 => Just(Event::Len),
        1 => any::<bool>().prop_map(Event::ShutDown),
        1 => Just(Event::Drained),
    ]
}

/// What doesn't fit into a byte or a buffer of a hundred.
fn much() -> impl Strategy<Value = Vec<(i64, Event)>> {
    let event = prop_oneof![
        3 => (select(vec![130_usize, 300]), select(vec![None, Some(1), Some(1000)]))
            .prop_map(|(count, delay)| Event::AddMany(count, delay)),
        1 => select(vec![130_usize, 300]).prop_map(|often| Event::AddRateLimited("a", often)),
        2 => Just(Event::GetMany(20)),
        1 => any::<prop::sample::Index>().prop_map(Event::Done),
    ];
    vec((select(vec![0_i64, 0, 1, 1000]), event), 2..5).prop_map(|mut events| {
        events.extend([(0, Event::NumRequeues("a")), (0, Event::Len), (0, Event::Get), (1000, Event::Len)]);
        events.extend([(0, Event::GetMany(4)), (0, Event::Drained), (0, Event::Len), (0, Event::Get)]);
        events
    })
}

/// Failures and forgetting alone, close together: a delay that runs, a count that begins anew.
fn failures() -> impl Strategy<Value = Vec<(i64, Event)>> {
    let event = prop_oneof![
        6 => Just(Event::AddRateLimited("a", 1)),
        2 => Just(Event::AddRateLimited("default/b", 1)),
        3 => Just(Event::Forget("a")),
        2 => Just(Event::NumRequeues("a")),
        3 => Just(Event::Get),
        2 => any::<prop::sample::Index>().prop_map(Event::Done),
        1 => Just(Event::AddAfter("shop/a", -1)),
        1 => any::<bool>().prop_map(Event::ShutDown),
    ];
    vec((select(vec![0_i64, 0, 0, 1, 5, 100, 3_000_000_000]), event), 4..30)
}

/// Calls of one queue. Only workers that got a key are done with it, so the reference is played along.
pub fn fresh(reference: Slot<dyn WorkQueue>) -> Generator {
    let config = prop_oneof![
        3 => Just(RateLimits::default()),
        1 => Just(RateLimits { base_delay: 1, max_delay: 10, qps: 1, burst: 1 }),
        1 => Just(RateLimits { base_delay: 100, max_delay: 1000, qps: 3, burst: 2 }),
        1 => Just(RateLimits { base_delay: 100, max_delay: 30, qps: 3000, burst: 3 }),
        1 => Just(RateLimits { base_delay: 1000, max_delay: 1 << 50, qps: 7, burst: 1 }),
    ];
    let pause = select(vec![0_i64, 0, 0, 0, 0, 1, 4, 5, 9, 10, 99, 100, 333, 334, 1000, 1_000_000, 3_000_000_000]);
    let begin = select(vec![0_i64, 7, 1_748_779_200_500]);
    let events = prop_oneof![6 => vec((pause, event()), 1..60), 2 => failures(), 1 => much()];
    (config, begin, events)
        .prop_map(move |(config, begin, events)| {
            let mut queue = reference.make(&config);
            let (mut now, mut at_work) = (begin, Vec::<String>::new());
            let mut steps: Vec<Value> = Vec::new();
            for (pause, event) in events {
                now += pause;
                let mut ask = |call: &str, args: Value| steps.push(step(call, args));
                match event {
                    Event::Add(key) => {
                        queue.add(key, now);
                        ask("add", json!({"key": key, "now": now}));
                    }
                    Event::AddMany(count, delay) => (0..count).for_each(|n| {
                        let key = format!("many/{}", (n * 7) % count);
                        match delay {
                            None => {
                                queue.add(&key, now);
                                ask("add", json!({"key": key, "now": now}));
                            }
                            Some(delay) => {
                                queue.add_after(&key, delay, now);
                                ask("add_after", json!({"key": key, "delay": delay, "now": now}));
                            }
                        }
                    }),
                    Event::AddAfter(key, delay) => {
                        queue.add_after(key, delay, now);
                        ask("add_after", json!({"key": key, "delay": delay, "now": now}));
                    }
                    Event::AddRateLimited(key, often) => (0..often).for_each(|_| {
                        queue.add_rate_limited(key, now);
                        ask("add_rate_limited", json!({"key": key, "now": now}));
                    }),
                    Event::Forget(key) => {
                        queue.forget(key);
                        ask("forget", json!({ "key": key }));
                    }
                    Event::NumRequeues(key) => ask("num_requeues", json!({ "key": key })),
                    Event::GetMany(count) => (0..count).for_each(|_| {
                        if let Next::Key(key) = queue.get(now) {
                            at_work.push(key);
                        }
                        ask("get", json!({ "now": now }));
                    }),
                    Event::Get => {
                        if let Next::Key(key) = queue.get(now) {
                            at_work.push(key);
                        }
                        ask("get", json!({ "now": now }));
                    }
                    Event::Done(_) if at_work.is_empty() => {}
                    Event::Done(which) => {
                        let key = at_work.remove(which.index(at_work.len()));
                        queue.done(&key, now);
                        ask("done", json!({"key": key, "now": now}));
                    }
                    Event::Len => {
                        queue.len(now);
                        ask("len", json!({ "now": now }));
                    }
                    Event::ShutDown(drain) => {
                        queue.shut_down(drain);
                        ask("shut_down", json!({ "drain": drain }));
                    }
                    Event::Drained => ask("drained", json!({})),
                }
            }
            steps.push(step("drained", json!({})));
            scenario(json!({ "config": config }), steps)
        })
        .boxed()
}
