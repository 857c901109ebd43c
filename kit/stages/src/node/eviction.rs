//! Fresh scenarios of `node/eviction`: a node for a while, with what is left of each signal right at its thresholds, right at what is to be
//! won back, or far from both; and pods that use about as much as they request.

use crate::fresh::{Generator, scenario, step};
use kit_contract::Slot;
use kit_contract::node::Eviction;
use kit_contract::node::eviction::{
    Amounts, Config, Container, NewPod, Pod, QosClass, Resource, Seen, Signal, Threshold, Usage,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const MEBI: i64 = 1 << 20;

const SIGNALS: [Signal; 9] = [
    Signal::Memory,
    Signal::Nodefs,
    Signal::Imagefs,
    Signal::Pid,
    Signal::NodefsInodes,
    Signal::ImagefsInodes,
    Signal::AllocatableMemory,
    Signal::Containerfs,
    Signal::ContainerfsInodes,
];

/// How much is left of a signal, by one of its thresholds.
#[derive(Debug, Clone, Copy)]
enum Left {
    Plenty,
    Below,
    At,
    /// One less than what is to be won back.
    NotYet,
    WonBack,
    Unknown,
}

/// One look at the node.
#[derive(Debug, Clone)]
struct Drawn {
    after_ms: i64,
    /// How old the figures are.
    lag_ms: i64,
    /// By signal, and by which of its thresholds.
    left: Vec<(Left, bool)>,
    /// The same after images were removed.
    then: Vec<(Left, bool)>,
    asks: Option<NewPod>,
    /// What a pod writes meanwhile.
    grows: Option<(usize, i64)>,
}

fn classes() -> impl Strategy<Value = QosClass> {
    select(vec![QosClass::BestEffort, QosClass::Burstable, QosClass::Guaranteed])
}

fn thresholds() -> impl Strategy<Value = Vec<Threshold>> {
    let signal = prop_oneof![
        4 => select(vec![Signal::Memory, Signal::Nodefs, Signal::Imagefs, Signal::Pid]),
        1 => select(&SIGNALS[..]),
    ];
    let grace = select(vec![0_i64, 0, 10, 20, 30, 90, 15]);
    let drawn = (signal, any::<bool>(), select(vec![100_i64, 200]), grace, select(vec![0_i64, 0, 50, 150]));
    // All that there is, or one or two signals that meet.
    let only = option::of(select(vec![
        (Signal::Memory, Signal::Memory),
        (Signal::AllocatableMemory, Signal::Memory),
        (Signal::Pid, Signal::AllocatableMemory),
        (Signal::Nodefs, Signal::Nodefs),
        (Signal::Pid, Signal::Memory),
        (Signal::ContainerfsInodes, Signal::Containerfs),
    ]));
    let one = move |only: Option<(Signal, Signal)>, (signal, other, below, grace_seconds, min_reclaim)| {
        let signal = only.map_or(signal, |(one, two)| if other { two } else { one });
        let unit = match signal.resource() {
            Resource::Memory | Resource::EphemeralStorage => MEBI,
            Resource::Inodes | Resource::Pids => 1,
        };
        Threshold { signal, below: below * unit, grace_seconds, min_reclaim: min_reclaim * unit }
    };
    (only, vec(drawn, 1..6)).prop_map(move |(only, all)| {
        let mut kept: Vec<Threshold> = Vec::new();
        for one in all.into_iter().map(|drawn| one(only, drawn)) {
            if !kept.contains(&one) {
                kept.push(one);
            }
        }
        kept
    })
}

fn pods() -> impl Strategy<Value = Vec<Pod>> {
    let amounts = |of: Vec<i64>| {
        let amount = select(of);
        (amount.clone(), amount)
            .prop_map(|(memory, disk)| Amounts { memory: memory * MEBI, ephemeral_storage: disk * MEBI })
    };
    let container = (amounts(vec![0, 100, 100, 200]), amounts(vec![100, 0, 50, 101, 200, 300]));
    let containers = vec(container, 1..4);
    let beyond = select(vec![0_i64, 0, 0, 1, 100 * MEBI]);
    let critical = prop_oneof![7 => Just(false), 1 => Just(true)];
    let counts = (select(vec![0_i64, 10, 20, 20]), select(vec![5_i64, 1, 5, 9]));
    let usage = option::weighted(0.93, (counts, beyond.clone(), beyond.clone()));
    let grace = select(vec![30_i64, 0, 1, 5, 60, 3600]);
    let priority = select(vec![0_i32, 0, 0, -5, 10, 1000, 65_536, -2_000_000_000]);
    let pod = (classes(), priority, critical, grace, containers, usage, beyond).prop_map(
        |(class, priority, critical, grace_seconds, containers, usage, more)| {
            let sum = |of: fn(&(Amounts, Amounts)) -> i64| containers.iter().map(of).sum::<i64>();
            let requests = Amounts {
                memory: sum(|of| of.0.memory) + more,
                ephemeral_storage: sum(|of| of.0.ephemeral_storage) + more,
            };
            let (memory, disk) = (sum(|of| of.1.memory), sum(|of| of.1.ephemeral_storage));
            // What volumes take up, on disk or in memory, no container uses.
            let uses = usage.map(|((inodes, pids), volumes, in_memory)| Usage {
                memory: memory + in_memory,
                ephemeral_storage: disk + volumes,
                inodes,
                pids,
            });
            let named = |(at, (requests, uses)): (usize, &(Amounts, Amounts))| Container {
                name: ["web", "log", "aide"][at].into(),
                requests: *requests,
                uses: *uses,
            };
            // Of a pod that nobody measured, no container was.
            let containers = containers.iter().enumerate().filter(|_| uses.is_some()).map(named).collect();
            Pod { name: String::new(), class, priority, critical, grace_seconds, requests, uses, containers }
        },
    );
    let pod = pod.boxed();
    // Many that are alike, and a few others behind them.
    let many = (pod.clone(), vec(pod.clone(), 1..4)).prop_map(|(one, others)| [vec![one; 64], others].concat());
    let pods = prop_oneof![30 => vec(pod, 0..7), 1 => many];
    let times = prop_oneof![5 => Just(1_i64), 1 => Just(64)];
    (pods, any::<bool>(), times).prop_map(|(mut pods, alike, times)| {
        let priority = pods.first().map_or(0, |first| first.priority);
        for pod in &mut pods {
            // Else what they use would seldom matter.
            pod.priority = if alike { priority } else { pod.priority };
            let of_containers = pod.containers.iter_mut().flat_map(|of| [&mut of.requests, &mut of.uses]);
            for amounts in of_containers.chain([&mut pod.requests]) {
                *amounts =
                    Amounts { memory: amounts.memory * times, ephemeral_storage: amounts.ephemeral_storage * times };
            }
            if let Some(uses) = &mut pod.uses {
                (uses.memory, uses.ephemeral_storage) = (uses.memory * times, uses.ephemeral_storage * times);
            }
        }
        // Names in no order.
        for (number, pod) in pods.iter_mut().enumerate() {
            pod.name = format!("p{}", (number * 37 + 11) % 101);
        }
        pods
    })
}

fn looks() -> impl Strategy<Value = Vec<Drawn>> {
    let left = || {
        let left = prop_oneof![
            4 => Just(Left::Plenty), 6 => Just(Left::Below), 2 => Just(Left::At), 2 => Just(Left::NotYet),
            2 => Just(Left::WonBack), 1 => Just(Left::Unknown),
        ];
        vec((left, any::<bool>()), SIGNALS.len())
    };
    let asks = (classes(), prop_oneof![4 => Just(false), 1 => Just(true)], any::<bool>())
        .prop_map(|(class, critical, tolerates_memory_pressure)| NewPod { class, critical, tolerates_memory_pressure });
    let after = prop_oneof![6 => Just(10_000_i64), 1 => select(vec![9_999_i64, 10_001, 20_000, 60_000, 300_000])];
    // As old as the last look, or older.
    let lag = prop_oneof![6 => Just(0_i64), 1 => select(vec![10_000_i64, 1, 5000, 15_000])];
    let grows = option::weighted(0.3, (0..6_usize, select(vec![1_i64, 100 * MEBI])));
    let look = (after, lag, left(), left(), option::weighted(0.4, asks), grows)
        .prop_map(|(after_ms, lag_ms, left, then, asks, grows)| Drawn { after_ms, lag_ms, left, then, asks, grows });
    // What is short often stays so for a while.
    let run = (look, 1..4_usize).prop_map(|(look, times)| vec![look; times]);
    vec(run, 1..5).prop_map(|runs| runs.concat())
}

/// What is left, by signal.
fn available(config: &Config, left: &[(Left, bool)]) -> BTreeMap<Signal, i64> {
    let of_signal = |(signal, (left, last)): (&Signal, &(Left, bool))| {
        let mut all = config.thresholds.iter().filter(|one| one.signal == *signal);
        let threshold = if *last { all.next_back() } else { all.next() }?;
        let left = match left {
            Left::Plenty => threshold.below * 10,
            Left::Below => threshold.below - 1,
            Left::At => threshold.below,
            Left::NotYet => threshold.below + threshold.min_reclaim - 1,
            Left::WonBack => threshold.below + threshold.min_reclaim,
            Left::Unknown => return None,
        };
        Some((*signal, left))
    };
    SIGNALS.iter().zip(left).filter_map(of_signal).collect()
}

fn play(config: &Config, mut pods: Vec<Pod>, looks: &[Drawn], reference: &Slot<dyn Eviction>) -> Vec<Value> {
    let mut module = reference.make(config);
    let (mut now, mut steps) = (0, Vec::new());
    for drawn in looks {
        now += drawn.after_ms;
        if let Some((at, more)) = drawn.grows
            && let Some(uses) = pods.get_mut(at).and_then(|pod| pod.uses.as_mut())
        {
            (uses.memory, uses.ephemeral_storage) = (uses.memory + more, uses.ephemeral_storage + more);
        }
        let measured_ms = (now - drawn.lag_ms).max(0);
        let seen = Seen { measured_ms, available: available(config, &drawn.left), pods: pods.clone() };
        steps.push(step("look", json!({"seen": seen, "now_ms": now})));
        let looked = module.look(&seen, now);
        let mut evicted = looked.evict;
        if looked.collect_garbage {
            let then = available(config, &drawn.then);
            steps.push(step("collected", json!({ "available": then })));
            evicted = module.collected(&then);
        }
        if let Some(evicted) = evicted {
            pods.retain(|pod| pod.name != evicted.pod);
        }
        if let Some(pod) = &drawn.asks {
            steps.push(step("admit", json!({ "pod": pod })));
            module.admit(pod);
        }
    }
    steps
}

/// A node for a while.
pub fn fresh(reference: Slot<dyn Eviction>) -> Generator {
    let times = (select(vec![30_i64, 0, 10, 20, 60, 300, 25]), select(vec![10_i64, 0, 45, 600]));
    let config = (thresholds(), times, any::<bool>()).prop_map(|(thresholds, (transition, grace), image_fs)| Config {
        thresholds,
        transition_seconds: transition,
        max_pod_grace_seconds: grace,
        image_fs,
    });
    (config, pods(), looks())
        .prop_map(move |(config, pods, looks)| {
            // A long list need not be seen often.
            let most = if pods.len() > 60 { 3 } else { looks.len() };
            let steps = play(&config, pods, &looks[..most.min(looks.len())], &reference);
            let mut drawn = scenario(json!({ "config": config }), steps);
            let why = "Whatever a node runs short of, what follows is decided by its thresholds, by time, and by what pods use beyond what they request.";
            (drawn["why"], drawn["read"]) = (why.into(), "how-it-works".into());
            drawn
        })
        .boxed()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fresh::Fresh;

    #[test]
    fn nodes_meet_everything() {
        let slot = solutions::modules().eviction;
        let generator = fresh(slot.clone());
        let mut answered = String::new();
        for number in 1..150 {
            let drawn = Fresh::draw(&generator, "node/eviction", "a", number).expect("it draws").scenario();
            let config = serde_json::from_value(drawn["new"]["config"].clone()).expect("a configuration");
            let mut module = slot.make(&config);
            for step in drawn["steps"].as_array().into_iter().flatten() {
                if let Ok(seen) = serde_json::from_value(step["look"]["seen"].clone()) {
                    let now = step["look"]["now_ms"].as_i64().unwrap_or_default();
                    answered += &format!("{:?}", module.look(&seen, now));
                } else if let Ok(available) = serde_json::from_value(step["collected"]["available"].clone()) {
                    answered += &format!("after garbage {:?}", module.collected(&available));
                } else if let Ok(pod) = serde_json::from_value(step["admit"]["pod"].clone()) {
                    answered += &format!("let in: {}", module.admit(&pod));
                }
            }
        }
        for word in [
            "MemoryPressure",
            "DiskPressure",
            "PIDPressure",
            "after garbage None",
            "after garbage Some",
            "let in: true",
            "let in: false",
            "reclaims: Some(Inodes)",
            "reclaims: Some(Pids)",
            "grace_seconds: 45",
            "exceeding: []",
        ] {
            assert!(answered.contains(word), "{word}");
        }
    }
}
