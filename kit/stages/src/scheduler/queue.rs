//! Fresh scenarios of `scheduler/queue`: a few pods that are added, changed, tried and refused, at times where backoffs end.

use crate::fresh::{Generator, scenario, step};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const PODS: [&str; 4] = ["default/a", "default/b", "default/web-1", "shop/a"];
const PLUGINS: [&str; 3] = ["NodeResourcesFit", "TaintToleration", "NodeAffinity"];

/// What happens next; the time comes later.
#[derive(Debug, Clone)]
enum Event {
    Add {
        pod: &'static str,
        priority: i32,
        gated: bool,
    },
    Remove(&'static str),
    Pop,
    /// The attempts of these pods fail, one after the other. Those that are not in flight are no mistake.
    Failed(Vec<&'static str>, Vec<&'static str>),
    Changed(Vec<(&'static str, Vec<&'static str>)>),
    Flush,
}

fn event() -> impl Strategy<Value = Event> {
    let pods = || subsequence(PODS.to_vec(), 1..=4);
    let priority = prop_oneof![4 => select(vec![0, 0, 1, 10]), 1 => select(vec![i32::MIN, -1, i32::MAX])];
    let gated = prop_oneof![6 => Just(false), 1 => Just(true)];
    let plugins = prop_oneof![1 => Just(Vec::new()), 4 => subsequence(PLUGINS.to_vec(), 1..3)];
    let hints = vec((select(&PLUGINS[..]), pods()), 0..3);
    prop_oneof![
        5 => (select(&PODS[..]), priority, gated).prop_map(|(pod, priority, gated)| Event::Add { pod, priority, gated }),
        1 => select(&PODS[..]).prop_map(Event::Remove),
        7 => Just(Event::Pop),
        5 => (pods(), plugins).prop_map(|(pods, plugins)| Event::Failed(pods, plugins)),
        4 => hints.prop_map(Event::Changed),
        1 => Just(Event::Flush),
    ]
}

/// How much time passes before an event: often none, often just as much as a backoff takes.
fn pause() -> impl Strategy<Value = i64> {
    prop_oneof![
        5 => Just(0),
        5 => select(vec![1_i64, 400, 500, 999, 1000, 1001, 1500, 2000, 3999, 4000, 10_000]),
        1 => select(vec![299_999_i64, 300_000, 300_001, 600_000]),
    ]
}

/// A queue with the usual or other times, and what happens to it.
pub fn fresh() -> Generator {
    let config = prop_oneof![
        4 => Just(json!({"config": {}})),
        1 => Just(json!({"config": {"initial_backoff": 1500, "max_backoff": 4000, "max_unschedulable": 60_000}})),
        1 => Just(json!({"config": {"initial_backoff": 1, "max_backoff": 1, "max_unschedulable": 1}})),
    ];
    let begin = select(vec![0_i64, 1, 999, 1_748_779_200_500]);
    (config, begin, vec((pause(), event()), 1..40))
        .prop_map(|(config, begin, events)| {
            let mut now = begin;
            let mut steps: Vec<Value> = Vec::new();
            // Whether a pod that is there is gated.
            let mut known: BTreeMap<&str, bool> = BTreeMap::new();
            for (pause, event) in events {
                now += pause;
                match event {
                    // The API server lets nobody gate a pod that isn't gated (`ValidatePodUpdate`).
                    Event::Add { pod, priority, gated } => {
                        let gated = gated && known.get(pod).copied().unwrap_or(true);
                        known.insert(pod, gated);
                        let pod = json!({"name": pod, "priority": priority, "gated": gated});
                        steps.push(step("add", json!({"pod": pod, "now": now})));
                    }
                    Event::Remove(pod) => {
                        known.remove(pod);
                        steps.push(step("remove", json!({ "pod": pod })));
                    }
                    Event::Pop => steps.push(step("pop", json!({ "now": now }))),
                    Event::Failed(pods, plugins) => steps.extend(
                        pods.iter().map(|pod| step("failed", json!({"pod": pod, "plugins": plugins, "now": now}))),
                    ),
                    Event::Changed(hints) => {
                        let hints: Vec<Value> =
                            hints.iter().map(|(plugin, pods)| json!({"plugin": plugin, "pods": pods})).collect();
                        steps.push(step("changed", json!({"hints": hints, "now": now})));
                    }
                    Event::Flush => steps.push(step("flush", json!({ "now": now }))),
                }
            }
            // What is in the queue shows only when it comes out.
            steps.extend((1..=PODS.len() as i64).map(|n| step("pop", json!({"now": now + 20_000 * n}))));
            scenario(config, steps)
        })
        .boxed()
}
