//! Deployments in the cluster: the paths that no recording covers (`controllers_live.rs` plays what was recorded).

use crate::common::{all, create, deployment, start, template, wait};
use kit_apimachinery::object::{Key, Kind};
use kit_cluster::engine::{Clock, Engine};
use kit_cluster::timeline::{Play, Timeline};
use kit_server::{DeleteOptions, Patch};
use serde_json::{Value, json};

fn patch(engine: &mut Engine, spec: Value) {
    let key = Key::new(Kind::Deployment, "default", "web");
    engine.request(|server| server.patch(&key, &Patch::Merge(json!({"spec": spec})), false)).expect("a good patch");
}

fn web(engine: &Engine) -> Value {
    all(engine, Kind::Deployment).remove(0)
}

#[test]
fn a_deleted_deployment_takes_its_sets_and_pods_with_it() {
    let mut engine = start();
    create(&mut engine, &deployment(3));
    wait(&mut engine, 5);
    let key = Key::new(Kind::Deployment, "default", "web");
    engine.request(|server| server.delete(&key, &DeleteOptions::default())).expect("it can be deleted");
    wait(&mut engine, 40);
    assert_eq!((all(&engine, Kind::ReplicaSet).len(), all(&engine, Kind::Pod).len()), (0, 0));
}

#[test]
fn a_set_with_the_template_is_adopted_and_one_that_lost_its_labels_is_released() {
    let mut engine = start();
    create(
        &mut engine,
        &json!({
            "apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "older", "labels": {"app": "web"}},
            "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "template": template("app:1")},
        }),
    );
    wait(&mut engine, 5);
    create(&mut engine, &deployment(2));
    wait(&mut engine, 5);
    let sets = all(&engine, Kind::ReplicaSet);
    assert_eq!(sets.len(), 1);
    assert_eq!(sets[0]["metadata"]["ownerReferences"][0]["name"], "web");
    assert_eq!(sets[0]["metadata"]["annotations"][REVISION], "1");
    assert_eq!(web(&engine)["status"]["updatedReplicas"], 2);

    let key = Key::new(Kind::ReplicaSet, "default", "older");
    let labels = Patch::Merge(json!({"metadata": {"labels": {"app": "other"}}}));
    engine.request(|server| server.patch(&key, &labels, false)).expect("a good patch");
    wait(&mut engine, 5);
    let sets = all(&engine, Kind::ReplicaSet);
    let older = sets.iter().find(|set| set["metadata"]["name"] == "older").expect("it goes on");
    assert!(older["metadata"]["ownerReferences"].is_null());
    assert_eq!(sets.len(), 2);
}

#[test]
fn a_name_that_is_taken_makes_the_next_one_another() {
    let mut engine = start();
    create(&mut engine, &deployment(1));
    wait(&mut engine, 5);
    let name = all(&engine, Kind::ReplicaSet)[0]["metadata"]["name"].clone();

    let mut engine = start();
    create(
        &mut engine,
        &json!({
            "apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": name},
            "spec": {"replicas": 0, "selector": {"matchLabels": {"app": "api"}},
                "template": {"metadata": {"labels": {"app": "api"}}, "spec": {"containers": [{"name": "c", "image": "api:1"}]}}},
        }),
    );
    create(&mut engine, &deployment(1));
    wait(&mut engine, 5);
    let status = web(&engine)["status"].clone();
    assert_eq!((&status["collisionCount"], &status["availableReplicas"]), (&json!(1), &json!(1)));
    assert_eq!(all(&engine, Kind::ReplicaSet).len(), 2);
}

#[test]
fn old_revisions_beyond_the_limit_are_forgotten() {
    let mut engine = start();
    let mut manifest = deployment(2);
    manifest["spec"]["revisionHistoryLimit"] = json!(1);
    create(&mut engine, &manifest);
    for image in ["app:2", "app:3", "app:4"] {
        wait(&mut engine, 10);
        patch(&mut engine, json!({"template": template(image)}));
    }
    wait(&mut engine, 10);
    let sets = all(&engine, Kind::ReplicaSet);
    let mut revisions: Vec<_> = sets.iter().map(|set| &set["metadata"]["annotations"][REVISION]).collect();
    revisions.sort_by_key(|revision| revision.as_str());
    assert_eq!(revisions, ["3", "4"]);
}

const REVISION: &str = "deployment.kubernetes.io/revision";

#[test]
fn what_keeps_pods_from_being_created_is_said_on_the_set_and_on_the_deployment() {
    let mut engine = start();
    let mut manifest = deployment(3);
    // The template is valid; only admission of its pods finds that there is no such class.
    manifest["spec"]["template"]["spec"]["priorityClassName"] = json!("nope");
    create(&mut engine, &manifest);
    wait(&mut engine, 60);
    let failure = |object: &Value| {
        let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let failure = conditions.into_iter().find(|condition| condition["type"] == "ReplicaFailure");
        failure.map(|condition| (condition["status"].clone(), condition["reason"].clone()))
    };
    let failed = Some((json!("True"), json!("FailedCreate")));
    assert_eq!(failure(&all(&engine, Kind::ReplicaSet)[0]), failed);
    assert_eq!(failure(&web(&engine)), failed);
    // It tries again, one pod at a time, and waits twice as long after each failure.
    let events = all(&engine, Kind::Event);
    let attempts = events.iter().filter(|event| event["reason"] == "FailedCreate");
    let attempts: i64 = attempts.filter_map(|event| event["count"].as_i64()).sum();
    assert!((5..=20).contains(&attempts), "{attempts}");

    patch(&mut engine, json!({"template": {"spec": {"priorityClassName": null}}}));
    wait(&mut engine, 20);
    assert_eq!(failure(&web(&engine)), None);
    assert_eq!(web(&engine)["status"]["availableReplicas"], 3);
}

#[test]
fn an_autoscaler_scales_a_deployment() {
    let timeline: Timeline = serde_json::from_value(json!({
        "cluster": {"nodes": 3, "images": {"web:1": {"milli_cpu": 0}}},
        "apply": [{
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {
                "replicas": 4, "selector": {"matchLabels": {"app": "web"}}, "template": {
                    "metadata": {"labels": {"app": "web"}},
                    "spec": {"containers": [{"name": "web", "image": "web:1", "resources": {"requests": {"cpu": "100m"}}}]},
                },
            },
        }],
        "timeline": [
            {"load": {"web": 320}},
            {"apply": [{
                "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "web"}, "spec": {
                    "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
                    "maxReplicas": 10,
                    "metrics": [{"type": "Resource", "resource": {"name": "cpu",
                        "target": {"type": "Utilization", "averageUtilization": 50}}}],
                },
            }]},
            {"run": "2m"},
        ],
        "observe": ["autoscalers", "deployments"],
        "always": ["web pods <= 9"],
    }))
    .expect("a good timeline");
    let (mut play, _) = Play::start(&timeline, &solutions::modules(), Clock::default()).expect("it starts");
    let mut lines = Vec::new();
    while let Some((_, seen)) = play.step().expect("it goes on") {
        lines.extend(seen);
    }
    assert!(lines.iter().any(|line| line.ends_with("hpa/web: 4 there, 7 wanted")), "{lines:#?}");
    assert!(lines.iter().any(|line| line.ends_with("7 wanted, 7 there, 7 updated, 7 available")), "{lines:#?}");
    assert!(!lines.iter().any(|line| line.contains("broken")), "{lines:#?}");
}
