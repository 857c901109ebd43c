//! StatefulSets in the cluster: lives that no recording covers (`controllers_live.rs` plays what was recorded).

use crate::common::{all, create, start, wait};
use kit_apimachinery::object::{Key, Kind};
use kit_cluster::engine::{Clock, Engine};
use kit_cluster::timeline::{Play, Timeline};
use kit_server::{DeleteOptions, Patch, Propagation};
use serde_json::{Value, json};

fn set(more: Value) -> Value {
    let mut set = json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "db"},
        "spec": {"replicas": 3, "serviceName": "db", "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "app:1"}]}}}});
    for (field, value) in more.as_object().expect("an object") {
        set["spec"][field] = value.clone();
    }
    set
}

fn names(engine: &Engine, kind: Kind) -> Vec<String> {
    all(engine, kind).iter().map(|object| object["metadata"]["name"].as_str().unwrap_or_default().into()).collect()
}

/// kubernetes/kubernetes#67250, and the documentation on forced rollbacks.
#[test]
fn a_broken_rollout_waits_for_the_pod_that_can_not_start() {
    let image = |image: &str| {
        let spec = json!({"template": {"spec": {"containers": [{"name": "c", "image": image}]}}});
        json!({"patch": {"statefulset/db": {"spec": spec}}})
    };
    let timeline: Timeline = serde_json::from_value(json!({
        "cluster": {"nodes": 3},
        "apply": [set(json!({}))],
        "timeline": [{"run": "10s"}, image("broken"), {"run": "1m"}, image("app:1"), {"run": "1m"},
            {"delete": "pod/db-2"}, {"run": "10s"}],
        "observe": ["pods"],
    }))
    .expect("a good timeline");
    let (mut play, _) = Play::start(&timeline, &solutions::modules(), Clock::default()).expect("it starts");
    let mut seen = Vec::new();
    loop {
        let pods = all(play.engine(), Kind::Pod);
        let ready = |pod: &Value| {
            let conditions = pod["status"]["conditions"].as_array().cloned().unwrap_or_default();
            let ready = conditions.iter().any(|c| c["type"] == "Ready" && c["status"] == "True");
            format!("{} {ready}", pod["spec"]["containers"][0]["image"].as_str().unwrap_or_default())
        };
        seen.push(pods.iter().map(ready).collect::<Vec<_>>());
        if play.step().expect("it goes on").is_none() {
            break;
        }
    }
    let whole = vec!["app:1 true"; 3];
    let stuck = vec!["app:1 true", "app:1 true", "broken false"];
    assert_eq!(seen[1], whole);
    assert_eq!(seen[3], stuck, "the last pod alone is replaced");
    assert_eq!(seen[5], stuck, "to put the template back is not enough");
    assert_eq!(seen[7], whole, "after the pod was deleted by hand");
}

#[test]
fn claims_and_revisions_go_as_their_owners_say() {
    let mut engine = start();
    let claims = |policy: &str| {
        json!({"replicas": 1, "persistentVolumeClaimRetentionPolicy": {"whenDeleted": policy},
            "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec":
                {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}]})
    };
    let key = Key::new(Kind::StatefulSet, "default", "db");
    let delete = |engine: &mut Engine, policy| {
        let options = DeleteOptions { propagation: policy, ..DeleteOptions::default() };
        engine.request(|server| server.delete(&key, &options)).expect("it is there");
        wait(engine, 60);
    };
    create(&mut engine, &set(claims("Retain")));
    wait(&mut engine, 10);
    delete(&mut engine, Propagation::Background);
    assert_eq!((names(&engine, Kind::Pod).len(), names(&engine, Kind::PersistentVolumeClaim).len()), (0, 1));
    assert_eq!(names(&engine, Kind::ControllerRevision).len(), 0);

    create(&mut engine, &set(claims("Delete")));
    wait(&mut engine, 10);
    let before = all(&engine, Kind::Pod).remove(0);
    delete(&mut engine, Propagation::Orphan);
    let orphan = all(&engine, Kind::Pod).remove(0);
    assert_eq!(
        (&orphan["metadata"]["uid"], &orphan["metadata"]["ownerReferences"]),
        (&before["metadata"]["uid"], &Value::Null)
    );
    assert_eq!(names(&engine, Kind::ControllerRevision).len(), 1);

    // A new set finds pod, claim and revision.
    create(&mut engine, &set(claims("Delete")));
    wait(&mut engine, 10);
    let adopted = all(&engine, Kind::Pod).remove(0);
    assert_eq!(adopted["metadata"]["uid"], before["metadata"]["uid"]);
    assert_eq!(adopted["metadata"]["ownerReferences"][0]["name"], "db");
    assert_eq!(names(&engine, Kind::ControllerRevision).len(), 1);
}

/// Off by default in 1.33, where the API server drops the field.
#[test]
fn max_unavailable_counts_only_where_it_is_a_feature() {
    let most = |enabled: bool| {
        let config = kit_cluster::cluster::Config { max_unavailable_stateful_set: enabled, ..Default::default() };
        let mut engine = kit_cluster::cluster::start(&config, &solutions::modules(), Clock::default());
        wait(&mut engine, 1);
        create(&mut engine, &set(json!({"updateStrategy": {"rollingUpdate": {"maxUnavailable": 2}}})));
        wait(&mut engine, 20);
        let template = json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "app:2"}]}}}});
        let key = Key::new(Kind::StatefulSet, "default", "db");
        engine.request(|server| server.patch(&key, &Patch::Merge(template), false)).expect("a good patch");
        let mut most = 0;
        for _ in 0..200 {
            engine.run_until(engine.now() + kit_time::agenda::Instant::millis(50)).expect("the reference answers");
            let pods = all(&engine, Kind::Pod);
            most = most.max(pods.iter().filter(|pod| pod["metadata"]["deletionTimestamp"].is_string()).count());
        }
        most
    };
    assert_eq!([most(false), most(true)], [1, 2]);
}
