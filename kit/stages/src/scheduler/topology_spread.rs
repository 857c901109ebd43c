//! Fresh scenarios of `scheduler/topology_spread`: a few nodes in zones and racks, some without a label, and candidates in
//! another order than the nodes.

use crate::fresh::{Generator, question, several};
use crate::values::{hundredth, percent};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Value, json};

const KEYS: [&str; 3] = ["topology.kubernetes.io/zone", "rack", "kubernetes.io/hostname"];

/// What stands for a rack; none of them is the host's name.
const RACKS: [&str; 4] = ["rack", "rack", "example.com/hostname", "kubernetes.io/arch"];

fn constraint() -> impl Strategy<Value = Value> {
    let policy = || select(vec!["Honor", "Ignore"]);
    (select(vec![1_i64, 1, 1, 2, 3, 5]), select(vec![1_i64, 1, 1, 2, 3, 4, 10]), policy(), policy(), any::<bool>())
        .prop_map(|(max_skew, min_domains, affinity, taints, self_match)| {
            json!({
                "max_skew": max_skew, "min_domains": min_domains, "node_affinity_policy": affinity,
                "node_taints_policy": taints, "self_match": self_match,
            })
        })
}

/// What one node has; its name comes later.
fn node() -> impl Strategy<Value = Value> {
    // Values that meet across labels: a domain is a label and its value.
    let zone = option::weighted(0.85, select(vec!["a", "b", "c", ""]));
    let rack = option::weighted(0.8, select(vec!["a", "b", "r1", ""]));
    let more = select(vec![10_i64, 100, 255, 256, 70_000, 1 << 32, (1 << 33) + 1]);
    let matching = vec(prop_oneof![20 => 0_i64..4, 3 => more], 3);
    let usually = || prop_oneof![4 => Just(true), 1 => Just(false)];
    (zone, rack, usually(), matching, usually(), usually()).prop_map(
        |(zone, rack, named, matching, affinity, tolerated)| {
            let mut topology = json!({});
            for (key, value) in KEYS.iter().zip([zone, rack, named.then_some("")]) {
                if let Some(value) = value {
                    topology[*key] = value.into();
                }
            }
            json!({"topology": topology, "matching": matching, "affinity": affinity, "tolerated": tolerated})
        },
    )
}

/// Constraints of different labels, and the nodes of a small cluster.
pub fn fresh() -> Generator {
    let number = prop_oneof![25 => vec(node(), 1..8), 1 => vec(node(), 66..72)];
    let world =
        (subsequence(KEYS.to_vec(), 1..=3), vec(constraint(), 3), number, select(&RACKS[..]), 0..80_usize, 0..16_u8);
    let world = world.prop_map(|(keys, mut constraints, mut nodes, rack, first, shared)| {
        constraints.truncate(keys.len());
        for (constraint, key) in constraints.iter_mut().zip(&keys) {
            constraint["topology_key"] = if *key == "rack" { rack } else { key }.into();
        }
        for (number, node) in nodes.iter_mut().enumerate() {
            // In no order that names have.
            let name = |number: usize| format!("node-{}", (number * 7 + first) % 80 + 1);
            if node["topology"][KEYS[2]].is_string() {
                // Nothing but habit keeps two nodes from the same value.
                let number = if shared == 0 { number / 2 } else { number };
                node["topology"][KEYS[2]] = name(number).into();
            }
            let topology = node["topology"].as_object_mut();
            if let Some((topology, value)) =
                topology.and_then(|labels| labels.remove("rack").map(|value| (labels, value)))
            {
                topology.insert(rack.into(), value);
            }
            let name = name(number);
            node["name"] = name.into();
            node["matching"].as_array_mut().into_iter().for_each(|counts| counts.truncate(keys.len()));
        }
        (constraints, nodes)
    });
    let world = world.boxed();
    let filter = world
        .clone()
        .prop_map(|(constraints, nodes)| question("filter", json!({"constraints": constraints, "nodes": nodes})));
    let score =
        (world, any::<u128>(), any::<bool>(), any::<bool>()).prop_map(|((constraints, nodes), left_out, back, all)| {
            let candidates = nodes.iter().enumerate().filter(|(at, _)| left_out >> at & 1 == 0 || nodes.len() == 1);
            let mut candidates: Vec<Value> = candidates.map(|(_, node)| node["name"].clone()).collect();
            if back {
                candidates.reverse();
            }
            let args = json!({"constraints": constraints, "nodes": nodes, "candidates": candidates, "all_labels": all});
            question("score", args)
        });
    let scores = vec(option::weighted(0.8, prop_oneof![3 => 0_i64..50, 1 => select(vec![0, 1, 100, 1 << 40])]), 0..7);
    let normalize = scores.prop_map(|scores| question("normalize", json!({ "scores": scores })));
    let percents = (vec(option::weighted(0.9, percent()), 1..5), hundredth()).prop_map(|(percents, one)| {
        let all = percents.iter().chain([&Some(0), &Some(100)]);
        let scores: Vec<Option<i64>> = all.map(|percent| percent.map(|percent| percent * one)).collect();
        question("normalize", json!({ "scores": scores }))
    });
    several(prop_oneof![10 => filter, 8 => score, 2 => normalize, 1 => percents], 5)
}
