//! Fresh scenarios of `scheduler/score`: utilizations around the points where roundings differ.

use super::resources_fit::SCALARS;
use crate::fresh::{Generator, question};
use crate::values::amount;
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Value, json};

const MIB: i64 = 1 << 20;

fn usage() -> impl Strategy<Value = Value> {
    (amount(), amount()).prop_map(|(milli_cpu, memory)| json!({"milli_cpu": milli_cpu, "memory": memory}))
}

/// A pod and a node that are about as large as each other.
fn pair() -> impl Strategy<Value = (Value, Value)> {
    let scalar = || prop::collection::btree_map(select(&SCALARS[..2]), amount(), 0..3);
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

fn resources() -> impl Strategy<Value = Value> {
    let names = vec!["cpu", "memory", "ephemeral-storage", SCALARS[0], SCALARS[1]];
    (subsequence(names, 1..4), vec(select(vec![1_i64, 1, 2, 3, 5, 100]), 4)).prop_map(|(names, weights)| {
        names.iter().zip(weights).map(|(name, weight)| json!({"name": name, "weight": weight})).collect()
    })
}

fn strategy() -> impl Strategy<Value = Value> {
    let shape = btree_set(prop_oneof![select(vec![0_i64, 1, 50, 99, 100]), 0_i64..=100], 1..5).prop_flat_map(|at| {
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

/// One question about one of the scores.
pub fn fresh() -> Generator {
    let allocation = (strategy(), pair()).prop_map(|(strategy, (pod, node))| {
        question("allocation", json!({"strategy": strategy, "pod": pod, "node": node}))
    });
    let balanced = pair().prop_map(|(pod, node)| question("balanced", json!({"pod": pod, "node": node})));
    let images = (vec(image(), 0..5), select(vec![1_i64, 3, 7, 10, 100, 5000])).prop_map(|(mut containers, nodes)| {
        for image in &mut containers {
            image["nodes"] = image["nodes"].as_i64().unwrap_or_default().min(nodes).into();
        }
        question("image_locality", json!({"containers": containers, "nodes": nodes}))
    });
    let score = prop_oneof![3 => 0_i64..200, 1 => select(vec![0, 1, 99, 100, 101, 1 << 20, 1 << 40, i64::MAX / 100])];
    let normalize = (vec(score, 0..8), any::<bool>())
        .prop_map(|(scores, reverse)| question("normalize", json!({"scores": scores, "reverse": reverse})));
    prop_oneof![4 => allocation, 3 => balanced, 3 => images, 2 => normalize].boxed()
}
