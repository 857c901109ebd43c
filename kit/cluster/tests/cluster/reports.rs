//! Timelines from reports of what once went otherwise, in Kubernetes or here. Each names its source and what is right.

use kit_cluster::engine::Clock;
use kit_cluster::timeline::{Play, Timeline};
use serde_json::{Value, json};

/// All that is seen, without the blanks between time and line.
fn seen(timeline: Value) -> Vec<String> {
    let timeline: Timeline = serde_json::from_value(timeline).expect("a good timeline");
    let (mut play, mut lines) = Play::start(&timeline, &solutions::modules(), Clock::default()).expect("it starts");
    while let Some((_, seen)) = play.step().expect("it goes on") {
        lines.extend(seen);
    }
    lines.iter().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

/// Whether there is such a line, whatever its time.
fn has(lines: &[String], end: &str) -> bool {
    lines.iter().any(|line| line.split_once(' ').is_some_and(|(_, line)| line == end))
}

fn pod(name: &str, more: &Value) -> Value {
    let mut spec = json!({"containers": [{"name": "c", "image": "app"}]});
    more.as_object().into_iter().flatten().for_each(|(field, value)| spec[field] = value.clone());
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})
}

fn set(kind: &str, name: &str, replicas: i32) -> Value {
    let template =
        json!({"metadata": {"labels": {"app": "x"}}, "spec": {"containers": [{"name": "c", "image": "app"}]}});
    let mut spec = json!({"replicas": replicas, "selector": {"matchLabels": {"app": "x"}}, "template": template});
    if kind == "StatefulSet" {
        spec["serviceName"] = name.into();
    }
    json!({"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name}, "spec": spec})
}

/// kubernetes/kubernetes#118261, #60066: nobody is left who confirms the end of such pods, so they are deleted by force.
#[test]
fn pods_of_a_deleted_node_are_collected() {
    let lines = seen(json!({
        "cluster": {"nodes": 3},
        "apply": [set("Deployment", "web", 3)],
        "timeline": [
            {"apply": [pod("ghost", &json!({"nodeName": "nowhere"}))]},
            {"crash": "node-3"}, {"run": "5s"}, {"delete": "node/node-3"}, {"run": "3m"},
        ],
        "observe": ["pods"],
    }));
    let gone = lines.iter().find(|line| line.ends_with("pods of web on node-3: 1 ready → none")).expect("they go");
    let at: kit_time::agenda::Instant =
        gone.trim_start_matches("t=").split(' ').next().unwrap_or_default().parse().expect("a time");
    let seconds = at.nanos / 1_000_000_000;
    assert!((50..=90).contains(&seconds), "{gone}");
    assert!(has(&lines, "pods of ghost on nowhere: 1 pending → none"), "{lines:#?}");
}

/// k3s-io/k3s#14399: each event of a namespace is looked at five seconds later, so that all API servers know of its end.
#[test]
fn a_namespace_is_emptied_after_five_seconds() {
    let mut doomed = pod("p", &json!({}));
    doomed["metadata"]["namespace"] = "doomed".into();
    let held = json!({"name": "held", "namespace": "doomed", "finalizers": ["example.com/hold"]});
    let lines = seen(json!({
        "cluster": {"nodes": 1},
        "apply": [
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "doomed"}},
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": held}, doomed,
        ],
        "timeline": [{"delete": "namespace/doomed"}, {"run": "1m"}],
        "observe": ["pods", "owners"],
    }));
    for line in [
        "t=0s namespace/doomed: no owner → no owner, being deleted",
        "t=5s pods of p on node-1: 1 ready → none",
        "t=10s configmap/doomed/held: no owner, held by example.com/hold → no owner, being deleted, held by example.com/hold",
    ] {
        assert!(lines.contains(&line.to_string()), "{line}: {lines:#?}");
    }
}

/// kubernetes/kubernetes#32829: a pod that has lost its controller is looked at by whoever may adopt it.
#[test]
fn orphans_find_another_set() {
    let lines = seen(json!({
        "cluster": {"nodes": 2},
        "apply": [set("ReplicaSet", "one", 2), set("ReplicaSet", "two", 2)],
        "timeline": [{"run": "10s"}, {"delete": {"replicaset/one": "Orphan"}}, {"run": "30m"}],
        "observe": ["owners", "pods", "replica_sets"],
    }));
    assert!(!lines.iter().any(|line| line.contains("→ 2 × no owner") || line.contains("→ 1 × no owner")), "{lines:#?}");
    let last = lines.iter().rfind(|line| line.contains("replicaset/two: ")).expect("it is seen");
    assert!(last.ends_with("2 wanted, 2 there, 2 ready, 2 available"), "{lines:#?}");
}

/// kubernetes/kubernetes#67250: a broken pod keeps its set from going on, even if the template is good again.
#[test]
fn a_stateful_set_waits_for_its_broken_pod() {
    let image = |image: &str| json!({"statefulset/db": {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": image}]}}}}});
    let lines = seen(json!({
        "cluster": {"nodes": 3},
        "apply": [set("StatefulSet", "db", 3)],
        "timeline": [
            {"run": "10s"}, {"patch": image("broken")}, {"run": "1m"}, {"patch": image("app")}, {"run": "1m"},
            {"delete": "pod/db-2"}, {"run": "10s"},
        ],
        "observe": ["pods"],
    }));
    let changes: Vec<&String> = lines.iter().filter(|line| line.contains('→')).collect();
    let expected =
        ["t=10s pods of db on node-3: 1 ready → 1 pending", "t=2m10s pods of db on node-3: 1 pending → 1 ready"];
    assert_eq!(changes, expected);
}

/// kubernetes/kubernetes#42649, #45825: since 1.21 more than a hundred missed times are a warning and no end.
#[test]
fn a_cron_job_goes_on_after_a_long_pause() {
    let task = json!({"restartPolicy": "Never", "containers": [{"name": "c", "image": "task:1"}]});
    let lines = seen(json!({
        "cluster": {"nodes": 1, "images": {"task:1": {"exits_after": 1}}},
        "apply": [{"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "tick"}, "spec": {
            "schedule": "* * * * *", "jobTemplate": {"spec": {"template": {"spec": task}}}}}],
        "timeline": [
            {"run": "2m"}, {"patch": {"cronjob/tick": {"spec": {"suspend": true}}}}, {"run": "3h"},
            {"patch": {"cronjob/tick": {"spec": {"suspend": false}}}}, {"run": "2m"},
        ],
        "observe": ["events"],
    }));
    let of_cron_job: Vec<&String> =
        lines.iter().filter(|line| line.contains("cronjob/tick") && line.contains("3h")).collect();
    assert_eq!(of_cron_job.iter().filter(|line| line.contains("SuccessfulCreate")).count(), 3, "{lines:#?}");
    assert!(of_cron_job.iter().any(|line| *line == "t=3h2m0s event cronjob/tick TooManyMissedTimes: 1"), "{lines:#?}");
}

/// Found while trying kubernetes/kubernetes#129136: only what was drawn is left out of names.
#[test]
fn a_pod_of_nobody_keeps_its_name_in_events() {
    let lines = seen(json!({
        "cluster": {"nodes": 1},
        "apply": [pod("very-high", &json!({})), set("ReplicaSet", "web", 1)],
        "timeline": [{"run": "1s"}],
        "observe": ["pods", "events"],
    }));
    for line in
        ["event pod/very-high Scheduled: 1", "pods of very-high on node-1: 1 ready", "event pod/web Scheduled: 1"]
    {
        assert!(has(&lines, line), "{line}: {lines:#?}");
    }
}
