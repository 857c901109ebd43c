use super::*;
use crate::testing::Bench;
use kit_api::policy::PodDisruptionBudgetStatus;
use kit_apimachinery::object::Key;
use kit_server::{DeleteOptions, Patch};
use serde_json::{Value, json};

fn pod(name: &str, ready: bool, owner: Value) -> Value {
    let ready = json!({"type": "Ready", "status": if ready { "True" } else { "False" }});
    json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "labels": {"app": "web"}, "ownerReferences": owner},
        "spec": {"nodeName": "node-1", "containers": [{"name": "web", "image": "web:1"}]},
        "status": {"phase": "Running", "conditions": [ready]}})
}

fn budget(spec: Value) -> Value {
    let mut spec = spec;
    spec["selector"] = json!({"matchLabels": {"app": "web"}});
    json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
        "metadata": {"name": "web", "namespace": "default"}, "spec": spec})
}

/// Something that owns pods.
fn workload(kind: &str, name: &str, replicas: i32, owner: Value) -> Value {
    let (api_version, selector) = match kind {
        "ReplicationController" => ("v1", json!({"app": "web"})),
        "Job" => ("batch/v1", Value::Null),
        _ => ("apps/v1", json!({"matchLabels": {"app": "web"}})),
    };
    let restart = if kind == "Job" { "Never" } else { "Always" };
    let template = json!({"metadata": {"labels": {"app": "web"}},
        "spec": {"restartPolicy": restart, "containers": [{"name": "web", "image": "web:1"}]}});
    let mut spec = json!({"selector": selector, "template": template});
    match kind {
        "Job" => {}
        _ => spec["replicas"] = replicas.into(),
    }
    if kind == "StatefulSet" {
        spec["serviceName"] = "web".into();
    }
    let metadata = json!({"name": name, "namespace": "default", "ownerReferences": owner});
    json!({"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec})
}

/// References to an object as the controller of others.
fn owned_by(owner: &Object) -> Value {
    json!([owner.controller_ref()])
}

fn status(bench: &Bench) -> PodDisruptionBudgetStatus {
    let budget = bench.server.fetch::<PodDisruptionBudget>("default", "web").expect("it is there");
    budget.status.unwrap_or_default()
}

/// Expected, current, desired and allowed.
fn counts(bench: &Bench) -> [i32; 4] {
    let status = status(bench);
    [status.expected_pods, status.current_healthy, status.desired_healthy, status.disruptions_allowed]
}

/// Status, reason and message of the condition.
fn condition(bench: &Bench) -> [String; 3] {
    let condition = status(bench).conditions.unwrap_or_default().remove(0);
    [condition.status, condition.reason, condition.message]
}

#[test]
fn a_budget_counts_what_is_there_or_what_controllers_ask_for() {
    // What it asks for, the scale of the owner if there is one, how many pods are ready and not, and the counts.
    let table = [
        (json!({"minAvailable": 2}), None, 3, 0, [3, 3, 2, 1]),
        (json!({"minAvailable": 2}), None, 1, 2, [3, 1, 2, 0]),
        (json!({"minAvailable": 2}), Some(9), 3, 0, [3, 3, 2, 1]),
        (json!({"minAvailable": 1}), None, 0, 0, [0, 0, 1, 0]),
        (json!({"minAvailable": 0}), None, 0, 0, [0, 0, 0, 0]),
        (json!({"minAvailable": "28%"}), Some(7), 7, 0, [7, 7, 2, 5]),
        (json!({"minAvailable": "50%"}), Some(5), 4, 1, [5, 4, 3, 1]),
        (json!({"maxUnavailable": "1%"}), Some(5), 5, 0, [5, 5, 4, 1]),
        (json!({"maxUnavailable": "30%"}), Some(10), 5, 0, [10, 5, 7, 0]),
        (json!({"maxUnavailable": 2}), Some(3), 3, 0, [3, 3, 1, 2]),
        (json!({"maxUnavailable": 10}), Some(3), 3, 0, [3, 3, 0, 3]),
        (json!({"maxUnavailable": 0}), Some(3), 3, 0, [3, 3, 3, 0]),
        // Pods of nobody are healthy, and nobody expects them.
        (json!({"maxUnavailable": 1}), None, 2, 0, [0, 2, 0, 0]),
        (json!({"minAvailable": "50%"}), None, 2, 0, [0, 2, 0, 0]),
    ];
    for (spec, scale, ready, unready, want) in table {
        let mut bench = Bench::new(Disruptions::new(&solutions::modules()));
        let owner = scale.map(|scale| bench.create(workload("ReplicaSet", "web", scale, Value::Null)));
        let owner = owner.map_or(Value::Null, |owner| owned_by(&owner.object));
        for index in 0..ready + unready {
            bench.create(pod(&format!("web-{index}"), index < ready, owner.clone()));
        }
        bench.create(budget(spec.clone()));
        bench.settle();
        assert_eq!(counts(&bench), want, "{spec} of {scale:?}");
        let verdict = if want[3] > 0 { ["True", "SufficientPods", ""] } else { ["False", "InsufficientPods", ""] };
        assert_eq!((condition(&bench), status(&bench).observed_generation), (verdict.map(str::to_string), Some(1)));
        let events: Vec<String> = bench.events().iter().map(|event| event[..event.len().min(20)].into()).collect();
        let unmanaged = scale.is_none() && ready > 0 && spec["minAvailable"].as_i64().is_none();
        let told = match (unmanaged, ready + unready) {
            (true, _) => vec!["Warning UnmanagedPod"],
            (_, 0) => vec!["Normal NoPods No mat"],
            _ => vec![],
        };
        assert_eq!(events, told, "{spec} of {scale:?}");
    }
}

#[test]
fn pods_of_nobody_are_warned_of() {
    let mut bench = Bench::new(Disruptions::new(&solutions::modules()));
    bench.create(pod("web-0", true, Value::Null));
    bench.create(budget(json!({"maxUnavailable": 1})));
    bench.settle();
    let told = "(selector: &LabelSelector{MatchLabels:map[string]string{app: web,},\
                MatchExpressions:[]LabelSelectorRequirement{},})";
    assert!(bench.events()[0].contains(told), "{:?}", bench.events());
}

#[test]
fn the_scale_is_that_of_whoever_decides_it() {
    let max = json!({"maxUnavailable": 1});
    for kind in ["ReplicaSet", "StatefulSet", "ReplicationController"] {
        let mut bench = Bench::new(Disruptions::new(&solutions::modules()));
        let owner = bench.create(workload(kind, "web", 4, Value::Null));
        bench.create(pod("web-0", true, owned_by(&owner.object)));
        bench.create(pod("web-1", true, owned_by(&owner.object)));
        bench.create(budget(max.clone()));
        bench.settle();
        assert_eq!(counts(&bench), [4, 2, 3, 0], "{kind}");
    }
    let mut bench = Bench::new(Disruptions::new(&solutions::modules()));
    let deployment = bench.create(workload("Deployment", "web", 5, Value::Null));
    for (set, replicas) in [("old", 1), ("new", 4)] {
        let set = bench.create(workload("ReplicaSet", set, replicas, owned_by(&deployment.object)));
        bench.create(pod(set.object.name(), true, owned_by(&set.object)));
    }
    bench.create(budget(max));
    bench.settle();
    assert_eq!(counts(&bench), [5, 2, 4, 0]);
    // A set without its deployment has a scale of its own.
    bench.server.delete(&deployment.key, &DeleteOptions::default()).expect("it is there");
    bench.create(pod("another", true, Value::Null));
    bench.settle();
    assert_eq!(counts(&bench)[0], 5);
}

#[test]
fn without_a_scale_nothing_may_be_disrupted() {
    let gone = json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "gone", "uid": "1", "controller": true}]);
    let odd = json!([{"apiVersion": "example.com/v1", "kind": "Odd", "name": "odd", "uid": "1", "controller": true}]);
    let mut bench = Bench::new(Disruptions::new(&solutions::modules()));
    let job = owned_by(&bench.create(workload("Job", "job", 0, Value::Null)).object);
    let table = [
        (gone, "found no controllers for pod \"web-0\""),
        (odd, "no matches for kind \"Odd\" in version \"example.com/v1\""),
        (job, "jobs.batch does not implement the scale subresource"),
    ];
    bench.create(budget(json!({"minAvailable": "50%"})));
    for (owner, why) in table {
        bench.create(pod("web-0", true, owner));
        bench.settle();
        assert_eq!(condition(&bench), ["False", "SyncFailed", why]);
        assert_eq!(counts(&bench)[3], 0);
        let told =
            format!("Warning CalculateExpectedPodCountFailed Failed to calculate the number of expected pods: {why}");
        assert!(bench.events().contains(&told), "{:?}", bench.events());
        let options = DeleteOptions { grace_period_seconds: Some(0), ..DeleteOptions::default() };
        bench.server.delete(&Key::new(Kind::Pod, "default", "web-0"), &options).expect("it is there");
        bench.settle();
    }
    assert_eq!(condition(&bench), ["False", "InsufficientPods", ""]);
}

#[test]
fn evictions_take_from_a_budget_until_pods_are_back() {
    let mut bench = Bench::new(Disruptions::new(&solutions::modules()));
    for name in ["a", "b", "c"] {
        bench.create(pod(name, true, Value::Null));
    }
    bench.create(budget(json!({"minAvailable": 2})));
    bench.settle();
    let evict = |bench: &mut Bench, name| {
        bench.server.evict_pod("default", name, &DeleteOptions::default()).map_err(|error| error.code)
    };
    assert_eq!(evict(&mut bench, "a"), Ok(()));
    // Nobody has counted anew yet.
    assert_eq!((counts(&bench), condition(&bench)[1].as_str()), ([3, 3, 2, 0], "InsufficientPods"));
    assert!(status(&bench).disrupted_pods.is_some_and(|pods| pods.contains_key("a")));
    assert_eq!(evict(&mut bench, "b"), Err(429));
    bench.settle();
    // It goes, and need not be waited for.
    assert_eq!((counts(&bench), status(&bench).disrupted_pods), ([3, 2, 2, 0], None));
    bench.create(pod("d", true, Value::Null));
    bench.settle();
    assert_eq!((counts(&bench), condition(&bench)[1].as_str()), ([4, 3, 2, 1], "SufficientPods"));
    assert_eq!(evict(&mut bench, "b"), Ok(()));
    assert_eq!(evict(&mut bench, "c"), Err(429));
}

#[test]
fn a_pod_that_is_not_deleted_counts_again() {
    let mut bench = Bench::new(Disruptions::new(&solutions::modules()));
    for name in ["a", "b"] {
        bench.create(pod(name, true, Value::Null));
    }
    bench.create(budget(json!({"minAvailable": 1})));
    bench.settle();
    let key = Key::new(Kind::PodDisruptionBudget, "default", "web");
    let evicted = json!({"status": {"disruptedPods": {"a": "2025-06-01T12:00:00Z", "gone": "2025-06-01T12:00:00Z"}}});
    bench.server.patch(&key, &Patch::Merge(evicted), true).expect("a good patch");
    bench.run_until(Instant::seconds(119));
    let names = |bench: &Bench| status(bench).disrupted_pods.map(|pods| pods.into_keys().collect::<Vec<_>>());
    assert_eq!((counts(&bench), names(&bench)), ([2, 1, 1, 0], Some(vec!["a".to_string()])));
    bench.run_until(Instant::seconds(121));
    assert_eq!((counts(&bench), names(&bench)), ([2, 2, 1, 1], None));
    let told = "Warning NotDeleted Pod was expected by PDB default/default to be deleted but it wasn't";
    assert_eq!(bench.events(), [told]);
}

#[test]
fn a_pod_that_is_not_deleted_is_no_target_any_more() {
    let mut bench = Bench::new(Disruptions::new(&solutions::modules()));
    for (name, reason) in [("a", "EvictionByEvictionAPI"), ("b", "TerminationByKubelet")] {
        let mut pod = pod(name, true, Value::Null);
        let target = json!({"type": TARGET, "status": "True", "reason": reason,
            "lastTransitionTime": "2025-06-01T12:00:00Z"});
        pod["status"]["conditions"] = json!([target]);
        bench.create(pod);
    }
    let target = |bench: &Bench, name: &str| {
        let pod = bench.server.fetch::<Pod>("default", name).expect("it is there");
        pod::condition(&pod, TARGET).map(|target| (target.status.clone(), target.reason.clone()))
    };
    bench.run_until(Instant::seconds(119));
    assert_eq!(target(&bench, "a"), Some(("True".into(), Some("EvictionByEvictionAPI".into()))));
    bench.run_until(Instant::seconds(300));
    assert_eq!(target(&bench, "a"), Some(("False".into(), None)));
    assert_eq!(target(&bench, "b"), Some(("True".into(), Some("TerminationByKubelet".into()))));
}

#[test]
fn of_several_budgets_one_is_counted_when_a_pod_changes() {
    let mut bench = Bench::new(Disruptions::new(&solutions::modules()));
    let mut other = budget(json!({"minAvailable": 1}));
    other["metadata"]["name"] = "other".into();
    bench.create(other);
    bench.create(budget(json!({"minAvailable": 1})));
    bench.settle();
    bench.create(pod("web-0", true, Value::Null));
    bench.settle();
    assert_eq!(counts(&bench), [0, 0, 1, 0]);
    let told = "Warning MultiplePodDisruptionBudgets Pod \"default\"/\"web-0\" matches multiple PodDisruptionBudgets.  \
                Chose \"other\" arbitrarily.";
    assert!(bench.events().contains(&told.to_string()), "{:?}", bench.events());
}
