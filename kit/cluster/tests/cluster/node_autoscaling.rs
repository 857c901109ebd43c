//! The Cluster Autoscaler in a whole cluster: which group it picks, what it leaves alone, and what keeps a node.

use kit_cluster::engine::Clock;
use kit_cluster::timeline::{Play, Timeline};
use serde_json::{Value, json};

/// A ReplicaSet of pods that request so much CPU; `more` goes into the pods' spec, and `annotations` onto them.
fn pods(replicas: i64, cpu: &str, annotations: &Value, more: &Value) -> Value {
    let mut spec = json!({"containers": [{"name": "web", "image": "web:1", "resources": {"requests": {"cpu": cpu}}}]});
    more.as_object().into_iter().flatten().for_each(|(field, value)| spec[field] = value.clone());
    let template = json!({"metadata": {"labels": {"app": "web"}, "annotations": annotations}, "spec": spec});
    json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "web"},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "template": template}})
}

fn play(timeline: Value) -> Vec<String> {
    let timeline: Timeline = serde_json::from_value(timeline).expect("a timeline");
    let modules = solutions::modules();
    let (mut play, mut seen) = Play::start(&timeline, &modules, Clock::default()).expect("it starts");
    while let Some((_, lines)) = play.step().expect("it goes on") {
        seen.extend(lines);
    }
    seen
}

fn said(seen: &[String], what: &str) -> bool {
    seen.iter().any(|line| line.contains(what))
}

#[test]
fn the_expander_picks_the_group() {
    // Small machines leave nothing over, large ones help all pods; the dear one is preferred only by its number.
    let groups = json!([
        {"name": "large", "max": 1, "price": 0.4, "machine": {"cpu": "16", "memory": "64Gi"}},
        {"name": "small", "max": 2, "price": 0.05, "machine": {"cpu": "2", "memory": "4Gi"}},
    ]);
    let priorities = json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "cluster-autoscaler-priority-expander", "namespace": "kube-system"},
        "data": {"priorities": "10:\n- ^small$\n50:\n- ^large$\n"}});
    for (expander, group) in
        [("least-waste", "small"), ("most-pods", "large"), ("priority", "large"), ("price", "small")]
    {
        let seen = play(json!({
            "cluster": {"nodes": 1, "add_ons": ["cluster_autoscaler"], "node_groups": groups,
                "cluster_autoscaler": {"expander": [expander]}},
            "apply": [priorities],
            "timeline": [{"apply": [pods(6, "1900m", &json!({}), &json!({}))]}, {"run": "12s"}],
            "observe": ["node_groups"],
        }));
        let other = if group == "small" { "large" } else { "small" };
        assert!(said(&seen, &format!("group/{group}: 0 machines, ")), "{expander}: {seen:#?}");
        let untouched = |line: &&String| line.contains(&format!("group/{other}")) && line.contains('→');
        assert_eq!(seen.iter().find(untouched), None, "{expander}: one group at a look");
    }
}

#[test]
fn machines_come_once_and_go_when_nobody_needs_them() {
    let seen = play(json!({
        "cluster": {"nodes": 1, "add_ons": ["cluster_autoscaler"], "node_groups": [{"name": "pool", "max": 5, "machine": {"cpu": "4"}}]},
        "timeline": [
            {"apply": [pods(3, "3", &json!({}), &json!({}))]},
            {"run": "3m"},
            {"scale": {"replicaset/web": 1}},
            {"run": "30m"},
        ],
        "observe": ["pods", "nodes", "node_groups"],
        "always": ["web pods <= 3"],
    }));
    // One pod fits on node-1, and two need a machine each.
    assert!(said(&seen, "group/pool: 0 machines, 0 to 5 → 2 machines, 0 to 5"), "{seen:#?}");
    assert!(!said(&seen, "3 machines"), "{seen:#?}");
    assert!(said(&seen, "ToBeDeletedByClusterAutoscaler") && said(&seen, "→ 0 machines, 0 to 5"), "{seen:#?}");
    let time = |what: &str| {
        let line = seen.iter().find(|line| line.contains(what)).unwrap_or_else(|| panic!("{what}: {seen:#?}"));
        line.split_whitespace().next().expect("a time").to_string()
    };
    assert!(time("→ 0 machines") > time("→ 2 machines"));
}

#[test]
fn a_pod_that_no_machine_can_hold_orders_none() {
    let seen = play(json!({
        "cluster": {"nodes": 1, "add_ons": ["cluster_autoscaler"], "node_groups": [{"name": "pool", "max": 5, "machine": {"cpu": "4"}}]},
        "timeline": [{"apply": [pods(1, "6", &json!({}), &json!({}))]}, {"run": "2m"}],
        "observe": ["node_groups", "events"],
    }));
    assert!(said(&seen, "NotTriggerScaleUp") && !said(&seen, "→ 1 machines"), "{seen:#?}");
}

#[test]
fn what_must_stay_keeps_its_node() {
    let local = json!({"volumes": [{"name": "scratch", "emptyDir": {}}]});
    let not_safe = json!({"cluster-autoscaler.kubernetes.io/safe-to-evict": "false"});
    let safe = json!({"cluster-autoscaler.kubernetes.io/safe-to-evict": "true"});
    let none = json!({});
    let cases = [
        (&none, &none, None),
        (&none, &local, Some("LocalStorageRequested")),
        (&safe, &local, None),
        (&not_safe, &none, Some("NotSafeToEvictAnnotation")),
    ];
    for (annotations, more, why) in cases {
        let mut more = more.clone();
        // It begins on the group's node, and would fit on the other one.
        more["affinity"] = json!({"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100,
            "preference": {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["pool-1"]}]}}]}});
        let seen = play(json!({
            "cluster": {"nodes": 1, "add_ons": ["cluster_autoscaler"],
                "node_groups": [{"name": "pool", "max": 5, "size": 1, "machine": {"cpu": "4"}}]},
            "apply": [pods(1, "1", annotations, &more)],
            "timeline": [{"run": "15m"}],
            "observe": ["pods", "node_groups"],
        }));
        match why {
            Some(why) => assert!(said(&seen, why) && !said(&seen, "→ 0 machines"), "{why}: {seen:#?}"),
            None => assert!(said(&seen, "→ 0 machines"), "{annotations} {more}: {seen:#?}"),
        }
    }
}

#[test]
fn a_cloud_that_refuses_is_left_alone_for_five_minutes() {
    let seen = play(json!({
        "cluster": {"nodes": 1, "add_ons": ["cluster_autoscaler"], "node_groups": [{"name": "pool", "max": 5, "machine": {"cpu": "4"}}]},
        "timeline": [
            {"cloud": "failing"},
            {"apply": [pods(2, "3", &json!({}), &json!({}))]},
            {"run": "1m"},
            {"cloud": "fine"},
            {"run": "3m"},
            {"run": "3m"},
        ],
        "observe": ["node_groups"],
    }));
    let line = seen.iter().find(|line| line.contains("→ 1 machines")).unwrap_or_else(|| panic!("{seen:#?}"));
    assert!(line.starts_with("t=5m"), "{line}");
}
