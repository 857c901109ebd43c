//! Fresh scenarios of `workloads/daemon_set`: taints that are tolerated or not, nodes with none or several pods, updates in the middle.

use crate::fresh::{Generator, question, several};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

/// Keys of taints that the controller tolerates or almost does, and others.
fn key() -> impl Strategy<Value = String> {
    let own = ["not-ready", "unreachable", "disk-pressure", "memory-pressure", "pid-pressure", "unschedulable"];
    let own = select(own.to_vec()).prop_map(|key| format!("node.kubernetes.io/{key}"));
    let others =
        select(vec!["dedicated", "node.kubernetes.io/network-unavailable", "node.kubernetes.io/out-of-service"]);
    prop_oneof![3 => own, 2 => others.prop_map(String::from)]
}

fn effect() -> impl Strategy<Value = &'static str> {
    prop_oneof![3 => Just("NoSchedule"), 3 => Just("NoExecute"), 1 => Just("PreferNoSchedule")]
}

fn toleration() -> impl Strategy<Value = Value> {
    let operator = prop_oneof![4 => Just(Some("Exists")), 1 => Just(Some("Equal")), 1 => Just(None)];
    let seconds = option::weighted(0.4, select(vec![0_i64, 300]));
    (
        option::weighted(0.9, key()),
        operator,
        option::weighted(0.8, effect()),
        seconds,
        option::weighted(0.2, Just("batch")),
    )
        .prop_map(|(key, operator, effect, seconds, value)| {
            // As validation has it: a value only with Equal, seconds only with NoExecute, no key only with Exists.
            let exists = operator == Some("Exists") || key.is_none();
            let mut toleration =
                json!({"operator": if exists { Some("Exists") } else { operator }, "key": key, "effect": effect});
            if !exists {
                toleration["value"] = json!(value);
            }
            if effect == Some("NoExecute") {
                toleration["tolerationSeconds"] = json!(seconds);
            }
            toleration.as_object_mut().into_iter().for_each(|fields| fields.retain(|_, value| !value.is_null()));
            toleration
        })
}

fn template() -> impl Strategy<Value = Value> {
    let tolerations = prop_oneof![9 => vec(toleration(), 0..4), 1 => vec(toleration(), 6..12)];
    (option::weighted(0.2, select(vec!["node-1", "node-2"])), any::<bool>(), tolerations).prop_map(
        |(name, host, tolerations)| json!({"node_name": name, "host_network": host, "tolerations": tolerations}),
    )
}

fn limit() -> impl Strategy<Value = Value> {
    prop_oneof![3 => (1..4_i32).prop_map(Value::from), 2 => select(vec!["1%", "20%", "34%", "50%", "100%"]).prop_map(Value::from)]
}

fn update() -> impl Strategy<Value = Value> {
    let zero = || prop_oneof![3 => Just(json!(0)), 1 => Just(json!("0%"))];
    prop_oneof![
        4 => (limit(), zero()).prop_map(|(most, none)| json!({"RollingUpdate": {"max_unavailable": most, "max_surge": none}})),
        4 => (limit(), zero()).prop_map(|(most, none)| json!({"RollingUpdate": {"max_unavailable": none, "max_surge": most}})),
        1 => Just(json!("OnDelete")),
    ]
}

/// One pod without its name, its node and its time.
fn pod() -> impl Strategy<Value = Value> {
    let rarely = || prop_oneof![7 => Just(false), 1 => Just(true)];
    let phase = prop_oneof![12 => Just("Running"), 2 => Just("Pending"), 2 => Just("Failed"), 1 => Just("Succeeded")];
    let readiness = prop_oneof![6 => Just("Available"), 2 => Just("Ready"), 2 => Just("NotReady")];
    (phase, readiness, rarely(), any::<bool>(), rarely()).prop_map(|(phase, readiness, terminating, updated, unbound)| {
        let over = phase == "Failed" || phase == "Succeeded";
        let readiness = if phase == "Running" { readiness } else { "NotReady" };
        json!({"phase": phase, "readiness": readiness, "terminating": terminating && !over, "updated": updated, "bound": !unbound || phase == "Running"})
    })
}

/// The pods of a node: mostly one that is well.
fn pods() -> impl Strategy<Value = Vec<Value>> {
    let well = any::<bool>().prop_map(|updated| {
        vec![json!({"phase": "Running", "readiness": "Available", "terminating": false, "updated": updated, "bound": true})]
    });
    prop_oneof![5 => well, 4 => vec(pod(), 1..2), 3 => vec(pod(), 2..5), 1 => Just(Vec::new())]
}

/// The pods of a node that placement has nothing to do with: one, or with a surge perhaps an old and a new one.
fn tidy(surges: bool) -> impl Strategy<Value = Vec<Value>> {
    let readiness = || prop_oneof![8 => Just("Available"), 1 => Just("Ready"), 1 => Just("NotReady")];
    let two = prop::bool::weighted(if surges { 0.2 } else { 0.0 });
    (prop::bool::weighted(0.3), two, readiness(), readiness()).prop_map(|(updated, two, first, second)| {
        let pod = |updated, readiness: &str| json!({"phase": "Running", "readiness": readiness, "terminating": false, "updated": updated, "bound": true});
        let mut pods = vec![pod(updated, first)];
        pods.extend(two.then(|| pod(!updated, second)));
        pods
    })
}

/// What the pods tolerate, what is wanted of nodes, and what syncs do.
pub fn fresh() -> Generator {
    let tolerations = template().prop_map(|template| question("tolerations", json!({ "template": template })));
    let taint = (key(), effect(), option::weighted(0.3, Just("batch"))).prop_map(|(key, effect, value)| match value {
        Some(value) => json!({"key": key, "effect": effect, "value": value}),
        None => json!({"key": key, "effect": effect}),
    });
    let selected = prop_oneof![6 => Just(true), 1 => Just(false)];
    let wants = (template(), select(vec!["node-1", "node-2"]), selected, vec(taint, 0..4)).prop_map(
        |(template, name, selected, taints)| {
            question(
                "wants",
                json!({"template": template, "node": {"name": name, "selected": selected, "taints": taints}}),
            )
        },
    );
    let wanted = prop_oneof![8 => Just((true, true)), 2 => Just((false, true)), 1 => Just((false, false))];
    let backing_off = prop_oneof![4 => Just(false), 1 => Just(true)];
    // Some nodes have pods and aren't there themselves.
    let there = prop_oneof![12 => Just(true), 1 => Just(false)];
    let node = (wanted, backing_off, there.clone(), pods()).boxed();
    let any_nodes = prop_oneof![12 => vec(node.clone(), 0..7), 2 => vec(node.clone(), 7..13), 1 => vec(node, 64..70)];
    let any_sync = (update(), any_nodes, prop_oneof![9 => Just(false), 1 => Just(true)]);
    let updates = update().prop_flat_map(move |update| {
        let surges = update["RollingUpdate"]["max_unavailable"] == 0;
        let wanted = prop_oneof![8 => Just((true, true)), 1 => Just((false, true))];
        let node = (wanted, Just(false), there.clone(), tidy(surges)).boxed();
        (Just(update), prop_oneof![1 => vec(node.clone(), 1..6), 1 => vec(node, 9..14)], Just(false))
    });
    let sync = (prop_oneof![2 => any_sync, 1 => updates], any::<u64>()).prop_map(|((update, drawn, expected), order)| {
        let (mut nodes, mut pods) = (Vec::new(), Vec::new());
        for (index, ((should_run, may_stay), backing_off, there, mut of)) in drawn.into_iter().enumerate() {
            let name = format!("node-{}", index + 1);
            if there {
                nodes.push(json!({"name": name, "wants": {"should_run": should_run, "may_stay": may_stay}, "backing_off": backing_off}));
            }
            for (number, pod) in of.iter_mut().enumerate() {
                // Names and times say nothing of each other, and times are equal now and then.
                let turn = order.rotate_left((index * 11 + number * 5) as u32);
                pod["name"] = format!("agent-{}{}", ["m", "c", "x", "a"][(turn % 4) as usize], index * 5 + number).into();
                pod["created"] = (turn / 4 % 3 * 60).into();
                pod["node"] = name.clone().into();
            }
            pods.extend(of);
        }
        if !pods.is_empty() {
            let count = pods.len();
            pods.rotate_left((order % count as u64) as usize);
        }
        // As texts: node-10 comes before node-2.
        nodes.sort_by_key(|node| node["name"].as_str().unwrap_or_default().to_string());
        question("sync", json!({"request": {"update": update, "nodes": nodes, "pods": pods, "expected": expected}}))
    });
    several(prop_oneof![1 => tolerations, 3 => wants, 12 => sync], 3)
}
