//! Fresh scenarios of `scheduler/pod_affinity`: terms in both directions, across namespaces and labels of nodes.

use crate::fresh::{Generator, question, several};
use crate::values::{hundredth, percent};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

const KEYS: [&str; 2] = ["topology.kubernetes.io/zone", "kubernetes.io/hostname"];
const NAMESPACES: [&str; 4] = ["default", "shop", "kube-system", "shop-2"];

fn term() -> impl Strategy<Value = Value> {
    let selectors = vec![
        "app=web",
        "app=web",
        "app=db",
        "app in (web,db)",
        "app notin (web)",
        "tier",
        "!tier",
        "app=web,tier=front",
    ];
    let namespaces = prop_oneof![
        1 => Just(json!("all")),
        4 => Just(json!({"these": ["default"]})),
        2 => proptest::sample::subsequence(NAMESPACES.to_vec(), 0..3).prop_map(|names| json!({ "these": names })),
    ];
    (select(selectors), namespaces, select(&KEYS[..])).prop_map(
        |(selector, namespaces, key)| json!({"selector": selector, "namespaces": namespaces, "topology_key": key}),
    )
}

fn pod() -> impl Strategy<Value = Value> {
    let namespace = prop_oneof![4 => Just("default"), 2 => select(&NAMESPACES[..])];
    let labels = btree_map(select(vec!["app", "tier"]), select(vec!["web", "db", "front"]), 0..3);
    let terms = || prop_oneof![3 => Just(Vec::new()), 2 => vec(term(), 1..4)];
    let weighted = || {
        let one = (select(vec![1_i64, 2, 50, 100]), term());
        let one = one.prop_map(|(weight, term)| json!({"weight": weight, "term": term}));
        prop_oneof![3 => Just(Vec::new()), 2 => vec(one, 1..4)]
    };
    (namespace, labels, terms(), terms(), weighted(), weighted(), 0..12_u8).prop_map(
        |(namespace, labels, affinity, anti_affinity, preferred, mut preferred_anti, cancels)| {
            if cancels == 0 {
                // A sum of nothing is still a sum.
                preferred_anti = preferred.clone();
            }
            json!({
                "namespace": namespace, "labels": labels, "affinity": affinity, "anti_affinity": anti_affinity,
                "preferred_affinity": preferred, "preferred_anti_affinity": preferred_anti,
            })
        },
    )
}

/// A pod that wants to be near its own kind, by two labels, which the nodes with others of its kind may not have.
fn first() -> impl Strategy<Value = Value> {
    let node = (any::<bool>(), any::<bool>(), prop_oneof![2 => Just(false), 1 => Just(true)]);
    vec(node, 1..5).prop_map(|nodes| {
        let terms =
            KEYS.map(|key| json!({"selector": "app=web", "namespaces": {"these": ["default"]}, "topology_key": key}));
        let nodes = nodes.iter().enumerate().map(|(number, (zoned, named, runs))| {
            let name = format!("node-{}", 9 - number);
            let mut topology = json!({});
            for (key, value) in [(KEYS[0], "a"), (KEYS[1], name.as_str())]
                .iter()
                .zip([zoned, named])
                .filter(|(_, is)| **is)
                .map(|(label, _)| *label)
            {
                topology[key] = value.into();
            }
            let pods = if *runs { json!([{"group": 0, "count": 1}]) } else { json!([]) };
            json!({"name": name, "topology": topology, "pods": pods})
        });
        let nodes: Vec<Value> = nodes.collect();
        let web = json!({"namespace": "default", "labels": {"app": "web"}});
        let mut pod = web.clone();
        pod["affinity"] = json!(terms);
        question("filter", json!({"pod": pod, "groups": [web], "nodes": nodes}))
    })
}

/// A pod, groups of others, and the nodes on which these run; some nodes lack a label.
pub fn fresh() -> Generator {
    let zone = option::weighted(0.8, select(vec!["a", "b", "node-1", ""]));
    let count = prop_oneof![12 => select(vec![1_i64, 1, 2]), 3 => select(vec![70_i64, 110, 256, 500, (1 << 32) + 1])];
    let on_it = vec((0_usize..80, count), 0..3);
    let node = (zone, prop_oneof![5 => Just(true), 1 => Just(false)], on_it);
    let groups = prop_oneof![40 => vec(pod(), 1..4), 1 => vec(pod(), 66..70)];
    let nodes = prop_oneof![25 => vec(node.clone(), 1..7), 1 => vec(node, 66..72)];
    let world = (pod(), groups, nodes, 0..80_usize, 0..16_u8).prop_map(|(pod, groups, nodes, first, shared)| {
        let nodes = nodes.into_iter().enumerate().map(|(number, (zone, named, on_it))| {
            // In no order that names have.
            let name = |number: usize| format!("node-{}", (number * 7 + first) % 80 + 1);
            // Nothing but habit keeps two nodes from the same value.
            let host = name(if shared == 0 { number / 2 } else { number });
            let name = name(number);
            let mut topology = json!({});
            if let Some(zone) = zone {
                topology[KEYS[0]] = zone.into();
            }
            if named {
                topology[KEYS[1]] = host.into();
            }
            let pods: std::collections::BTreeMap<usize, i64> =
                on_it.into_iter().map(|(group, count)| (group % groups.len(), count)).collect();
            let pods: Vec<Value> = pods.iter().map(|(group, count)| json!({"group": group, "count": count})).collect();
            json!({"name": name, "topology": topology, "pods": pods})
        });
        let nodes: Vec<Value> = nodes.collect();
        (pod, groups, nodes)
    });
    let world = world.boxed();
    let filter = world
        .clone()
        .prop_map(|(pod, groups, nodes)| question("filter", json!({"pod": pod, "groups": groups, "nodes": nodes})));
    let score = (world, any::<u128>(), any::<bool>()).prop_map(|((pod, groups, nodes), left_out, back)| {
        let candidates = nodes.iter().enumerate().filter(|(at, _)| left_out >> at & 1 == 0 || nodes.len() == 1);
        let mut candidates: Vec<Value> = candidates.map(|(_, node)| node["name"].clone()).collect();
        if back {
            candidates.reverse();
        }
        question("score", json!({"pod": pod, "groups": groups, "nodes": nodes, "candidates": candidates}))
    });
    let scores = vec(prop_oneof![3 => -50_i64..50, 1 => select(vec![0, 1, -1, 100, -100, 1 << 40, -(1 << 40)])], 0..7);
    let normalize = scores.prop_map(|scores| question("normalize", json!({ "scores": scores })));
    let percents =
        (vec(percent(), 1..5), hundredth(), select(vec![0_i64, 0, -7, 1000])).prop_map(|(percents, one, least)| {
            let scores: Vec<i64> = percents.iter().chain([&0, &100]).map(|percent| least + percent * one).collect();
            question("normalize", json!({ "scores": scores }))
        });
    several(prop_oneof![1 => first(), 10 => filter, 8 => score, 2 => normalize, 1 => percents], 5)
}
