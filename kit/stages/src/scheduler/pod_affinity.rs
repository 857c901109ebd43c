//! Fresh scenarios of `scheduler/pod_affinity`: terms in both directions, across namespaces and labels of nodes.

use crate::fresh::{Generator, question};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

const KEYS: [&str; 2] = ["topology.kubernetes.io/zone", "kubernetes.io/hostname"];
const NAMESPACES: [&str; 3] = ["default", "shop", "kube-system"];

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
        2 => proptest::sample::subsequence(NAMESPACES.to_vec(), 1..3).prop_map(|names| json!({ "these": names })),
    ];
    (select(selectors), namespaces, select(&KEYS[..])).prop_map(
        |(selector, namespaces, key)| json!({"selector": selector, "namespaces": namespaces, "topology_key": key}),
    )
}

fn pod() -> impl Strategy<Value = Value> {
    let namespace = prop_oneof![4 => Just("default"), 2 => select(&NAMESPACES[..])];
    let labels = btree_map(select(vec!["app", "tier"]), select(vec!["web", "db", "front"]), 0..3);
    let terms = || prop_oneof![3 => Just(Vec::new()), 2 => vec(term(), 1..3)];
    let weighted = || {
        let one = (select(vec![1_i64, 2, 50, 100]), term());
        let one = one.prop_map(|(weight, term)| json!({"weight": weight, "term": term}));
        prop_oneof![3 => Just(Vec::new()), 2 => vec(one, 1..3)]
    };
    (namespace, labels, terms(), terms(), weighted(), weighted()).prop_map(
        |(namespace, labels, affinity, anti_affinity, preferred, preferred_anti)| {
            json!({
                "namespace": namespace, "labels": labels, "affinity": affinity, "anti_affinity": anti_affinity,
                "preferred_affinity": preferred, "preferred_anti_affinity": preferred_anti,
            })
        },
    )
}

/// A pod, groups of others, and the nodes on which these run; some nodes lack a label.
pub fn fresh() -> Generator {
    let zone = option::weighted(0.8, select(vec!["a", "b", "node-1", ""]));
    let on_it = vec((0_usize..4, select(vec![1_i64, 1, 2, 70])), 0..3);
    let node = (zone, prop_oneof![5 => Just(true), 1 => Just(false)], on_it);
    let world = (pod(), vec(pod(), 1..4), vec(node, 1..7)).prop_map(|(pod, groups, nodes)| {
        let nodes = nodes.into_iter().enumerate().map(|(number, (zone, named, on_it))| {
            let name = format!("node-{}", number + 1);
            let mut topology = json!({});
            if let Some(zone) = zone {
                topology[KEYS[0]] = zone.into();
            }
            if named {
                topology[KEYS[1]] = name.clone().into();
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
    let score = (world, any::<u8>(), any::<bool>()).prop_map(|((pod, groups, nodes), left_out, back)| {
        let candidates = nodes.iter().enumerate().filter(|(at, _)| left_out >> at & 1 == 0 || nodes.len() == 1);
        let mut candidates: Vec<Value> = candidates.map(|(_, node)| node["name"].clone()).collect();
        if back {
            candidates.reverse();
        }
        question("score", json!({"pod": pod, "groups": groups, "nodes": nodes, "candidates": candidates}))
    });
    let scores = vec(prop_oneof![3 => -50_i64..50, 1 => select(vec![0, 1, -1, 100, -100, 1 << 40, -(1 << 40)])], 0..7);
    let normalize = scores.prop_map(|scores| question("normalize", json!({ "scores": scores })));
    prop_oneof![5 => filter, 4 => score, 2 => normalize].boxed()
}
