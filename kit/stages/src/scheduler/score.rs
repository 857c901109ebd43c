//! Fresh scenarios of `scheduler/score`: utilizations around the points where roundings differ.

use super::resources_fit::SCALARS;
use crate::fresh::{Generator, question, several};
use crate::values::{amount, hundredth, percent};
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Value, json};

const MIB: i64 = 1 << 20;

fn usage() -> impl Strategy<Value = Value> {
    let or_none = || prop_oneof![1 => Just(0), 5 => amount()];
    (or_none(), or_none()).prop_map(|(milli_cpu, memory)| json!({"milli_cpu": milli_cpu, "memory": memory}))
}

/// A pod and a node that are about as large as each other.
fn pair() -> impl Strategy<Value = (Value, Value)> {
    let scalar = || prop::collection::btree_map(select(&SCALARS[..3]), amount(), 0..4);
    let amounts = || {
        (amount(), amount(), amount(), scalar()).prop_map(|(milli_cpu, memory, storage, scalar)| {
            json!({"milli_cpu": milli_cpu, "memory": memory, "ephemeral_storage": storage, "scalar": scalar})
        })
    };
    (amounts(), usage(), amounts(), amounts(), usage(), 0_i64..4).prop_map(
        |(requests, scored, allocatable, requested, used, scale)| {
            let pod = json!({"requests": requests, "scored": scored});
            let mut node =
                json!({"allocatable": allocatable, "requested": requested, "scored": used, "allowed_pods": 110});
            // A node with room, so that not all is more than there is.
            for name in ["milli_cpu", "memory", "ephemeral_storage"] {
                let more = node["allocatable"][name].as_i64().unwrap_or_default().saturating_mul(1 << scale);
                node["allocatable"][name] = more.into();
            }
            (pod, node)
        },
    )
}

/// A pod and a node where all is requested to exactly so many percents.
fn exact() -> impl Strategy<Value = (Value, Value)> {
    ([percent(), percent(), percent()], [hundredth(), hundredth(), hundredth()], 0_i64..3).prop_map(
        |(percents, ones, by_pod)| {
            let part = |at: usize| percents[at] * ones[at];
            let of_pod = |at: usize| part(at) / 2 * by_pod;
            let (pod_usage, node_usage) = (
                json!({"milli_cpu": of_pod(0), "memory": of_pod(1)}),
                json!({"milli_cpu": part(0) - of_pod(0), "memory": part(1) - of_pod(1)}),
            );
            let with_storage = |usage: &Value, storage: i64| {
                let mut amounts = usage.clone();
                amounts["ephemeral_storage"] = storage.into();
                amounts
            };
            let allocatable =
                json!({"milli_cpu": 100 * ones[0], "memory": 100 * ones[1], "ephemeral_storage": 100 * ones[2]});
            let pod = json!({"requests": with_storage(&pod_usage, of_pod(2)), "scored": pod_usage});
            let requested = with_storage(&node_usage, part(2) - of_pod(2));
            let node =
                json!({"allocatable": allocatable, "requested": requested, "scored": node_usage, "allowed_pods": 110});
            (pod, node)
        },
    )
}

fn resources() -> impl Strategy<Value = Value> {
    let names = vec!["cpu", "memory", "ephemeral-storage", SCALARS[0], SCALARS[1], SCALARS[2]];
    (
        prop_oneof![1 => subsequence(names.clone(), 1..=2), 1 => subsequence(names, 1..=6)],
        vec(select(vec![1_i64, 1, 2, 3, 5, 100]), 6),
    )
        .prop_map(|(names, weights)| {
            names.iter().zip(weights).map(|(name, weight)| json!({"name": name, "weight": weight})).collect()
        })
}

fn strategy() -> impl Strategy<Value = Value> {
    let shape = btree_set(prop_oneof![select(vec![0_i64, 1, 50, 99, 100]), 0_i64..=100], 1..8).prop_flat_map(|at| {
        let scores = vec(prop_oneof![select(vec![0_i64, 10, 100]), 0_i64..=100], at.len());
        scores.prop_map(move |scores| -> Value {
            at.iter().zip(scores).map(|(at, score)| json!({"utilization": at, "score": score})).collect()
        })
    });
    prop_oneof![
        2 => resources().prop_map(|resources| json!({ "LeastAllocated": resources })),
        2 => resources().prop_map(|resources| json!({ "MostAllocated": resources })),
        3 => (resources(), shape)
            .prop_map(|(resources, shape)| json!({"RequestedToCapacityRatio": {"resources": resources, "shape": shape}})),
    ]
}

/// Sizes around the two bounds, and such as make the order of the arithmetic matter.
fn image() -> impl Strategy<Value = Value> {
    let size = prop_oneof![
        2 => select(vec![0, 1, 22 * MIB, 23 * MIB, 23 * MIB + 1, 24 * MIB, 100 * MIB, 999 * MIB, 1000 * MIB, 1001 * MIB, 3000 * MIB]),
        2 => 0_i64..1 << 32,
    ];
    (size, 0_i64..12).prop_map(|(size, nodes)| json!({"size": size, "nodes": nodes}))
}

/// Images whose sum is just what the next point takes, where a byte less is a point less.
fn edges() -> impl Strategy<Value = Value> {
    // One part in so many, of which as many are often a little less than one in floating point.
    let ratio = select(vec![(1_i64, 2_i64), (2, 3), (7, 10), (1, 49), (1, 98), (1, 103), (1, 103), (1, 107)]);
    (ratio, 1_i64..100, 1_i64..4, -1_i64..2, 0..3_u8).prop_map(|((nodes, all), points, containers, more, form)| {
        let range = 1000 * MIB * containers - 23 * MIB;
        let sum = 23 * MIB + (points * range + 99) / 100;
        let image = |size: i64, nodes: i64| json!({"size": size, "nodes": nodes});
        let mut images = vec![image(0, 0); containers as usize - 1];
        if form == 0 && containers > 1 {
            // Two halves of a byte are none.
            images.pop();
            let first = (sum / 3) | 1;
            images.extend([image(first, 1), image(2 * sum - first, 1)]);
            return question("image_locality", json!({"containers": images, "nodes": 2}));
        }
        images.push(image((sum * all + nodes - 1) / nodes + more, nodes));
        question("image_locality", json!({"containers": images, "nodes": all}))
    })
}

/// A few questions, each about one of the scores.
pub fn fresh() -> Generator {
    let pairs = prop_oneof![2 => pair(), 1 => exact()];
    let allocation = (strategy(), pairs).prop_map(|(strategy, (pod, node))| {
        question("allocation", json!({"strategy": strategy, "pod": pod, "node": node}))
    });
    let balanced = prop_oneof![2 => pair(), 1 => exact()];
    let balanced = balanced.prop_map(|(pod, node)| question("balanced", json!({"pod": pod, "node": node})));
    let number = prop_oneof![12 => vec(image(), 0..5), 1 => vec(image(), 9..20)];
    let images = (number, select(vec![1_i64, 3, 7, 10, 100, 5000])).prop_map(|(mut containers, nodes)| {
        for image in &mut containers {
            image["nodes"] = image["nodes"].as_i64().unwrap_or_default().min(nodes).into();
        }
        question("image_locality", json!({"containers": containers, "nodes": nodes}))
    });
    let score = prop_oneof![3 => 0_i64..200, 1 => select(vec![0, 1, 99, 100, 101, 1 << 20, 1 << 40, i64::MAX / 100])];
    let scores = prop_oneof![8 => vec(score, 0..8), 1 => vec(Just(0), 1..4)];
    let normalize = (scores, any::<bool>())
        .prop_map(|(scores, reverse)| question("normalize", json!({"scores": scores, "reverse": reverse})));
    let percents = (vec(percent(), 1..5), hundredth(), any::<bool>()).prop_map(|(percents, one, reverse)| {
        let scores: Vec<i64> = percents.iter().chain([&100]).map(|percent| percent * one).collect();
        question("normalize", json!({"scores": scores, "reverse": reverse}))
    });
    several(prop_oneof![8 => allocation, 6 => balanced, 4 => images, 3 => edges(), 3 => normalize, 1 => percents], 6)
}
