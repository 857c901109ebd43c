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

fn plugins() -> impl Strategy<Value = Vec<&'static str>> {
    prop_oneof![1 => Just(Vec::new()), 4 => subsequence(PLUGINS.to_vec(), 1..=3)]
}

fn hints() -> impl Strategy<Value = Vec<(&'static str, Vec<&'static str>)>> {
    vec((select(&PLUGINS[..]), subsequence(PODS.to_vec(), 1..=4)), 0..3)
}

/// A pod gets another priority, or the same again.
fn update() -> impl Strategy<Value = (i64, Event)> {
    let priority = select(vec![0, 0, 0, 0, 1, 10, i32::MIN, i32::MAX]);
    (select(&PODS[..]), priority).prop_map(|(pod, priority)| (0, Event::Add { pod, priority, gated: false }))
}

/// What pods go through: they are tried and refused, wait, are helped and tried again, with updates in each of these places.
fn story() -> impl Strategy<Value = Vec<(i64, Event)>> {
    let gated = prop_oneof![7 => Just(false), 1 => Just(true)];
    let pod = (select(&PODS[..]), select(vec![0, 0, 0, 1]), gated);
    let begin = vec(pod.prop_map(|(pod, priority, gated)| (0, Event::Add { pod, priority, gated })), 2..5);
    let maybe = || prop_oneof![2 => Just(Vec::new()), 1 => vec(update(), 1..3)];
    let change = || prop_oneof![1 => Just(Vec::new()), 1 => hints().prop_map(|hints| vec![(0, Event::Changed(hints))])];
    let all_hints = PLUGINS.iter().map(|plugin| (*plugin, PODS.to_vec())).collect::<Vec<_>>();
    let help = prop_oneof![
        2 => Just(vec![(0, Event::Changed(all_hints))]),
        1 => hints().prop_map(|hints| vec![(0, Event::Changed(hints))]),
        1 => select(vec![2001_i64, 60_001, 300_001, 2000, 60_000, 300_000]).prop_map(|long| vec![(long, Event::Flush)]),
    ];
    let failures = vec((pause(), subsequence(PODS.to_vec(), 1..=2), plugins()), 1..4);
    let failures = failures.prop_map(|all| -> Vec<_> {
        all.into_iter().map(|(pause, pods, plugins)| (pause.min(1000), Event::Failed(pods, plugins))).collect()
    });
    let pops = || {
        (0..3_usize, pause()).prop_map(|(more, pause)| -> Vec<_> {
            std::iter::once((pause, Event::Pop)).chain((0..more).map(|_| (0, Event::Pop))).collect()
        })
    };
    let round = (pops(), maybe(), change(), maybe(), failures, maybe(), help, maybe());
    let round = round.prop_map(|(a, b, c, d, e, f, g, h)| [a, b, c, d, e, f, g, h].concat());
    (begin, vec(round, 1..5), pops()).prop_map(|(begin, rounds, pops)| [begin, rounds.concat(), pops].concat())
}

/// More attempts than a backoff can be doubled, or more pods in line than a small number counts.
fn long() -> impl Strategy<Value = Vec<(i64, Event)>> {
    let add = |pod| (0, Event::Add { pod, priority: 0, gated: false });
    let all = move |pods: usize| PODS[..pods].iter().map(move |pod| add(*pod));
    prop_oneof![
        // Each of them after the longest backoff.
        1 => (prop_oneof![34_usize..50, 65_usize..70]).prop_map(move |rounds| {
            let round = vec![(5000, Event::Pop), (7000, Event::Pop), (0, Event::Failed(vec![PODS[0]], Vec::new()))];
            [vec![add(PODS[0]), (0, Event::Pop), (0, Event::Failed(vec![PODS[0]], Vec::new()))], vec![round; rounds].concat()].concat()
        }),
        1 => (20_usize..70).prop_map(move |rounds| {
            let pops = (0..4).map(|n| (if n == 0 { 12_000 } else { 0 }, Event::Pop));
            let round: Vec<_> = pops.chain([(0, Event::Failed(PODS.to_vec(), Vec::new()))]).collect();
            [all(4).collect(), vec![round; rounds].concat()].concat()
        }),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    let pods = || subsequence(PODS.to_vec(), 1..=4);
    let priority = prop_oneof![4 => select(vec![0, 0, 1, 10]), 1 => select(vec![i32::MIN, -1, i32::MAX])];
    let gated = prop_oneof![6 => Just(false), 1 => Just(true)];
    let hints = hints();
    prop_oneof![
        5 => (select(&PODS[..]), priority, gated).prop_map(|(pod, priority, gated)| Event::Add { pod, priority, gated }),
        1 => select(&PODS[..]).prop_map(Event::Remove),
        7 => Just(Event::Pop),
        5 => (pods(), plugins()).prop_map(|(pods, plugins)| Event::Failed(pods, plugins)),
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
        1 => Just(json!({"config": {"initial_backoff": 10, "max_backoff": 3_600_000}})),
        1 => Just(json!({"config": {"initial_backoff": 2700, "max_backoff": 9100, "max_unschedulable": 2000}})),
    ];
    let begin = select(vec![0_i64, 1, 999, 1_748_779_200_500, 2_147_483_640_000]);
    let events = prop_oneof![
        24 => vec((pause(), event()), 1..40).boxed(),
        40 => story().boxed(),
        3 => long().boxed(),
    ];
    let crowd = prop_oneof![24 => Just(0), 1 => 5..80_usize];
    (config, begin, events, crowd)
        .prop_map(|(config, begin, events, crowd)| {
            let mut now = begin;
            // Others, who wait behind all that happens.
            let other = |n: usize| json!({"name": format!("crowd/pod-{}", n * 7 % 80 + 1), "priority": i32::MIN});
            let mut steps: Vec<Value> = (0..crowd).map(|n| step("add", json!({"pod": other(n), "now": now}))).collect();
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
            steps.extend((1..=(PODS.len() + crowd) as i64).map(|n| step("pop", json!({"now": now + 20_000 * n}))));
            scenario(config, steps)
        })
        .boxed()
}
