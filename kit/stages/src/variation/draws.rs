//! Scenarios for variations that the exercise's own generator hardly notices, since it aims at the corners of the standard rule.

use crate::fresh::{Generator, question, scenario, several, step};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Value, json};

/// What is drawn beside the exercise's own scenarios, if that is needed.
pub fn of(exercise: &str) -> Option<Generator> {
    Some(match exercise {
        "failure/node_lifecycle" => prop_oneof![conditions(), silence()].boxed(),
        "objects/selector" => selectors(),
        "scheduler/node_affinity" => affinities(),
        "scheduler/queue" => backoffs(),
        "scheduler/taints" => taints(),
        "workloads/hpa" => recommendations(),
        "workloads/replica_set" => deletions(),
        _ => return None,
    })
}

/// One node, with a status of each condition.
fn conditions() -> Generator {
    let names = vec!["Ready", "MemoryPressure", "DiskPressure", "PIDPressure", "NetworkUnavailable"];
    let keys = vec!["memory-pressure", "disk-pressure", "pid-pressure", "network-unavailable", "unreachable"];
    let statuses = vec(select(vec!["Unknown", "True", "False"]), names.len());
    let node = (subsequence(names, 0..=5), statuses, subsequence(keys, 0..=3));
    let one = node.prop_map(|(names, statuses, keys)| {
        let conditions: serde_json::Map<_, _> =
            names.iter().zip(&statuses).map(|(name, status)| (name.to_string(), json!(status))).collect();
        let taint = |key: &&str| json!({"key": format!("node.kubernetes.io/{key}"), "effect": "NoSchedule"});
        let taints: Vec<Value> = keys.iter().map(taint).collect();
        step("node_changed", json!({"node": {"name": "node-1", "conditions": conditions, "taints": taints}}))
    });
    vec(one, 1..5).prop_map(|steps| scenario(json!({"config": {}}), steps)).boxed()
}

/// Nodes that were heard once, looked at about when their grace periods end.
fn silence() -> Generator {
    let ready = vec(prop_oneof![1 => Just(true), 2 => Just(false)], 1..3);
    let pauses = select(vec![50_i64, 55, 60, 60, 60, 65, 65, 70, 80, 100]);
    (ready, vec((pauses, 0_i64..2), 1..4))
        .prop_map(|(ready, pauses)| {
            let node = |(number, ready): (usize, &bool)| {
                let conditions = if *ready { json!({"Ready": "True"}) } else { json!({}) };
                json!({"name": format!("node-{number}"), "zone": "a", "conditions": conditions, "renew_time_ms": 7})
            };
            let nodes: Vec<Value> = ready.iter().enumerate().map(node).collect();
            let times = pauses.iter().map(|(seconds, more)| seconds * 1000 + more);
            let mut times: Vec<i64> = std::iter::once(0).chain(times).collect();
            times.sort_unstable();
            let pass = |now: &i64| step("monitor", json!({"now_ms": now, "nodes": nodes}));
            scenario(json!({"config": {}}), times.iter().map(pass).collect())
        })
        .boxed()
}

/// Selectors of objects without mistakes, and objects that have some of what they ask for.
fn selectors() -> Generator {
    let (keys, words) = (["app", "n", "tier"], ["web", "db", ""]);
    let labels = move |least: usize| btree_map(select(keys.to_vec()), select(words.to_vec()), least..4);
    let expression = (select(keys.to_vec()), select(vec!["In", "NotIn", "Exists"]), vec(select(words.to_vec()), 1..3));
    let expression = expression.prop_map(|(key, operator, mut values)| {
        if operator == "Exists" {
            values.clear();
        }
        json!({"key": key, "operator": operator, "values": values})
    });
    // Each list alone, and both.
    let lists = prop_oneof![
        2 => labels(2).prop_map(|labels| (labels, Vec::new())),
        2 => vec(expression.clone(), 1..3).prop_map(|expressions| (Default::default(), expressions)),
        1 => (labels(1), vec(expression, 1..3)),
    ];
    let one = (lists, labels(0)).prop_map(|((match_labels, match_expressions), labels)| {
        let selector = json!({"matchLabels": match_labels, "matchExpressions": match_expressions});
        question("selects", json!({"selector": selector, "labels": labels}))
    });
    several(one, 4)
}

/// Requirements with values that differ in their case; one that is required, or several that are preferred.
fn affinities() -> Generator {
    let words = || select(vec!["ssd", "SSD", "Ssd", "hdd", "HDD", ""]);
    let own = prop_oneof![5 => words().prop_map(|word| json!({ "disk": word })), 1 => Just(json!({}))];
    let term = (select(vec!["In", "NotIn"]), vec(words(), 1..3));
    let term = term.prop_map(
        |(operator, values)| json!({"expressions": [{"key": "disk", "operator": operator, "values": values}]}),
    );
    let weighted =
        (select(vec![1, 5, 50, 50, 100]), term).prop_map(|(weight, term)| json!({"weight": weight, "term": term}));
    let one = (vec(weighted, 1..6), own, any::<bool>()).prop_map(|(preferred, labels, scores)| {
        let node = json!({"name": "node-1", "labels": labels});
        if scores {
            return question("score", json!({"pod": {"preferred": preferred}, "node": node}));
        }
        question("filter", json!({"pod": {"required": [preferred[0]["term"]]}, "node": node}))
    });
    several(one, 4)
}

/// A pod that fails again and again, and is asked for after so many seconds.
fn backoffs() -> Generator {
    let seconds = select(vec![1_i64, 2, 3, 4, 5, 6, 8, 11]);
    vec((seconds, select(vec![0_i64, 1, 999])), 2..10)
        .prop_map(|pauses| {
            let add = step("add", json!({"pod": {"name": "default/a"}, "now": 0}));
            let (mut now, mut steps) = (0, vec![add]);
            for (seconds, more) in pauses {
                steps.push(step("pop", json!({ "now": now })));
                // An error, after which no pod is taken early. If it is not in flight, nothing happens.
                steps.push(step("failed", json!({"pod": "default/a", "plugins": [], "now": now})));
                now += seconds * 1000 + more;
            }
            steps.push(step("pop", json!({ "now": now })));
            scenario(json!({"config": {}}), steps)
        })
        .boxed()
}

/// One taint and one toleration of its key, with values that begin alike.
fn taints() -> Generator {
    let value = || select(vec!["ops-1", "ops-2", "ops", "op", "opt", "o", "b", "", "öps", "öpt"]);
    let effect = || select(vec!["NoSchedule", "NoExecute", "PreferNoSchedule"]);
    let seconds =
        select(vec![None, Some(-1_i64), Some(0), Some(1), Some(29), Some(30), Some(31), Some(300), Some(301)]);
    let values = (value(), value(), any::<bool>());
    let one = (values, effect(), select(vec![Some("Equal"), None]), seconds).prop_map(
        |((of, own, same), effect, operator, seconds)| {
            let mut toleration = json!({"key": "dedicated", "value": if same { own } else { of }});
            if let Some(seconds) = seconds.filter(|_| effect == "NoExecute") {
                toleration["effect"] = effect.into();
                toleration["tolerationSeconds"] = seconds.into();
            }
            if let Some(operator) = operator {
                toleration["operator"] = operator.into();
            }
            let taint = json!({"key": "dedicated", "value": own, "effect": effect});
            question("filter", json!({"tolerations": [toleration], "taints": [taint]}))
        },
    );
    several(one, 4)
}

/// An autoscaler without `behavior` that remembers greater recommendations.
fn recommendations() -> Generator {
    let ago = select(vec![0_i64, 14, 15, 16, 59, 60, 61, 299, 300, 301, 302, 3599, 3600, 3601]);
    (2..6_i32, 1..4_i32, vec((ago, 1..9_i32), 1..4))
        .prop_map(|(current, proposed, all)| {
            let all = all.iter().map(|(ago, replicas)| json!({"replicas": replicas, "seconds_ago": ago}));
            let request = json!({
                "current_replicas": current, "min_replicas": 1, "max_replicas": 20, "proposals": [proposed],
                "recommendations": all.collect::<Vec<_>>(),
            });
            question("decide", json!({ "request": request }))
        })
        .boxed()
}

/// More pods than a set asks for, on three nodes and on none.
fn deletions() -> Generator {
    let pod = (0..4_usize, prop_oneof![3 => Just("Running"), 1 => Just("Pending")]);
    (vec(pod, 2..8), 0..6_usize, any::<bool>())
        .prop_map(|(pods, replicas, related)| {
            let count = pods.len();
            let pod = |(number, (node, phase)): (usize, &(usize, &str))| {
                // In no order that names have, and with ages that the logarithm tells apart.
                let age = (number * 5 + 3) % 7;
                let created = ["11:59:57", "11:59:36", "11:56:48", "11:34:24", "08:35:12", "00:41:36", "00:00:01"][age];
                let day = if age == 6 { "2024-04-25" } else { "2024-05-01" };
                let owner = json!({
                    "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "rs-web", "controller": true,
                });
                let mut pod = json!({
                    "metadata": {
                        "name": format!("web-{number}"), "uid": format!("u-{age}"), "labels": {"app": "web"},
                        "ownerReferences": [owner], "creationTimestamp": format!("{day}T{created}Z"),
                    },
                    "spec": {"containers": [{"name": "c"}]}, "status": {"phase": phase},
                });
                if *node < 3 {
                    pod["spec"]["nodeName"] = format!("node-{node}").into();
                }
                pod
            };
            let pods: Vec<Value> = pods.iter().enumerate().map(pod).collect();
            let labels = json!({"app": "web"});
            let spec = json!({
                "replicas": replicas.min(count - 1), "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}},
            });
            let set = json!({"metadata": {"name": "web", "uid": "rs-web", "generation": 1}, "spec": spec});
            let related = if related { json!([{ "matchLabels": labels }]) } else { json!([]) };
            let request = json!({"replica_set": set, "pods": pods, "related": related, "now": "2024-05-01T12:00:00Z"});
            question("sync", json!({ "request": request }))
        })
        .boxed()
}
