use super::StatefulSets;
use crate::testing::Bench;
use kit_api::apps::{ControllerRevision, StatefulSet};
use kit_api::core::{PersistentVolumeClaim, Pod};
use kit_apimachinery::object::{AsKind, Key, Kind};
use kit_server::{DeleteOptions, Patch};
use kit_time::agenda::Instant;
use serde_json::{Value, json};

fn bench() -> Bench {
    Bench::new(StatefulSets::new(&solutions::modules()))
}

/// A set of two, with what else its specification says.
fn set(more: Value) -> Value {
    let mut set = json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "db", "namespace": "default"},
        "spec": {"replicas": 2, "serviceName": "db", "selector": {"matchLabels": {"app": "db"}},
            "template": {"metadata": {"labels": {"app": "db"}},
                "spec": {"containers": [{"name": "db", "image": "db:1"}]}}}});
    for (field, value) in more.as_object().expect("an object") {
        set["spec"][field] = value.clone();
    }
    set
}

fn claims(policy: (&str, &str)) -> Value {
    json!({
        "volumeClaimTemplates": [{"metadata": {"name": "data", "labels": {"tier": "disk"}}, "spec":
            {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}],
        "persistentVolumeClaimRetentionPolicy": {"whenDeleted": policy.0, "whenScaled": policy.1},
    })
}

impl Bench {
    fn patch(&mut self, patch: Value) {
        let key = Key::new(Kind::StatefulSet, "default", "db");
        self.server.patch(&key, &Patch::Merge(patch), false).expect("it can be changed");
        self.settle();
    }

    fn image(&mut self, image: &str) {
        let containers = json!([{"name": "db", "image": image}]);
        self.patch(json!({"spec": {"template": {"spec": {"containers": containers}}}}));
    }

    /// What a kubelet says of a pod.
    fn pod(&mut self, name: &str, phase: &str) {
        // A pod without a node would be gone as soon as it is deleted.
        _ = self.server.bind("default", name, "node-1");
        let mut pod: Pod = self.server.fetch("default", name).expect("it is there");
        let ready = json!([{"type": "Ready", "status": if phase == "Running" { "True" } else { "False" },
            "lastTransitionTime": self.server.time()}]);
        let status = json!({"phase": phase, "conditions": ready});
        pod.status = Some(serde_json::from_value(status).expect("a status"));
        self.server.update_status(pod.into_object()).expect("it has a status");
        self.settle();
    }

    /// Lets a pod that is being deleted end.
    fn end(&mut self, name: &str) {
        let options = DeleteOptions { grace_period_seconds: Some(0), ..DeleteOptions::default() };
        self.server.delete(&Key::new(Kind::Pod, "default", name), &options).expect("it is there");
        self.settle();
    }

    /// The pods: name, image and `-` where it is being deleted.
    fn pods(&self) -> Vec<String> {
        let pods = self.server.snapshot().list(Kind::Pod).filter_map(|stored| stored.get::<Pod>());
        let tell = |pod: &Pod| {
            let image = pod.spec.as_ref().and_then(|spec| spec.containers[0].image.clone()).unwrap_or_default();
            let ends = if pod.metadata.deletion_timestamp.is_some() { " -" } else { "" };
            format!("{} {image}{ends}", pod.metadata.name.as_deref().unwrap_or_default())
        };
        pods.map(tell).collect()
    }

    fn revisions(&self) -> Vec<ControllerRevision> {
        let all = self.server.snapshot().list(Kind::ControllerRevision);
        let mut all: Vec<_> = all.filter_map(|stored| stored.get::<ControllerRevision>().cloned()).collect();
        all.sort_by_key(|revision| revision.revision);
        all
    }

    /// The owners of each claim.
    fn owners(&self) -> Vec<String> {
        let claims = self.server.snapshot().list(Kind::PersistentVolumeClaim);
        let claims = claims.filter_map(|stored| stored.get::<PersistentVolumeClaim>());
        let tell = |claim: &PersistentVolumeClaim| {
            let owners = claim.metadata.owner_references.iter().flatten();
            let owners: Vec<_> = owners.map(|owner| format!("{}/{}", owner.kind, owner.name)).collect();
            format!("{} {}", claim.metadata.name.as_deref().unwrap_or_default(), owners.join(","))
        };
        claims.map(tell).collect()
    }

    fn status(&self) -> Value {
        let set: StatefulSet = self.server.fetch("default", "db").expect("it is there");
        serde_json::to_value(set.status).expect("a status")
    }
}

/// A set on a real 1.33 and the revision that it made there: `testdata/compatibility_*_1.33.0.json` beside upstream's
/// controller.
#[test]
fn a_revision_has_the_name_that_kubernetes_gives_it() {
    let mut bench = bench();
    bench.create(json!({"apiVersion": "apps/v1", "kind": "StatefulSet",
        "metadata": {"name": "test", "namespace": "default", "labels": {"sslabel": "value"}},
        "spec": {"serviceName": "", "selector": {"matchLabels": {"app": "foo"}},
            "template": {"metadata": {"annotations": {"test": "value"}, "labels": {"app": "foo"}},
                "spec": {"containers": [{"name": "test", "image": "test"}]}}}}));
    bench.settle();
    let revision = &bench.revisions()[0];
    assert_eq!(revision.metadata.name.as_deref(), Some("test-c77f6d978"));
    let labels = revision.metadata.labels.clone().unwrap_or_default();
    assert_eq!(labels.get(super::history::HASH).map(String::as_str), Some("c77f6d978"));
    assert_eq!(labels.get("app").map(String::as_str), Some("foo"));
}

#[test]
fn pods_come_one_after_the_other_and_bring_their_claims() {
    let mut bench = bench();
    bench.create(set(claims(("Delete", "Retain"))));
    bench.settle();
    assert_eq!((bench.pods(), bench.owners()), (vec!["db-0 db:1".into()], vec!["data-db-0 StatefulSet/db".into()]));
    bench.pod("db-0", "Running");
    assert_eq!(bench.pods(), ["db-0 db:1", "db-1 db:1"]);
    let pod: Pod = bench.server.fetch("default", "db-1").expect("it is there");
    let spec = pod.spec.clone().unwrap_or_default();
    assert_eq!((spec.hostname.as_deref(), spec.subdomain.as_deref()), (Some("db-1"), Some("db")));
    let volume = spec.volumes.and_then(|volumes| volumes[0].persistent_volume_claim.clone());
    assert_eq!(volume.map(|claim| claim.claim_name).as_deref(), Some("data-db-1"));
    let labels = pod.metadata.labels.unwrap_or_default();
    assert_eq!((labels["apps.kubernetes.io/pod-index"].as_str(), labels.len()), ("1", 4));
    let claim: PersistentVolumeClaim = bench.server.fetch("default", "data-db-1").expect("it is there");
    assert_eq!(json!(claim.metadata.labels), json!({"app": "db", "tier": "disk"}));
    let events = bench.events();
    for expected in [
        "Normal SuccessfulCreate create Claim data-db-0 Pod db-0 in StatefulSet db success",
        "Normal SuccessfulCreate create Pod db-1 in StatefulSet db successful",
    ] {
        assert!(events.iter().any(|event| event == expected), "{expected}: {events:?}");
    }
}

#[test]
fn a_new_policy_changes_the_owners_of_claims() {
    let mut bench = bench();
    bench.create(set(claims(("Retain", "Retain"))));
    bench.settle();
    bench.pod("db-0", "Running");
    bench.pod("db-1", "Running");
    assert_eq!(bench.owners(), ["data-db-0 ", "data-db-1 "]);
    let policy = |deleted, scaled| json!({"spec": {"persistentVolumeClaimRetentionPolicy": {"whenDeleted": deleted, "whenScaled": scaled}}});
    bench.patch(policy("Delete", "Delete"));
    assert_eq!(bench.owners(), ["data-db-0 StatefulSet/db", "data-db-1 StatefulSet/db"]);
    bench.patch(json!({"spec": {"replicas": 1}}));
    assert_eq!(bench.owners(), ["data-db-0 StatefulSet/db", "data-db-1 Pod/db-1"]);
    // The claim still goes with the earlier pod: the next one waits for another.
    bench.end("db-1");
    bench.patch(json!({"spec": {"replicas": 2}}));
    assert_eq!(bench.pods(), ["db-0 db:1"]);
}

#[test]
fn a_template_of_before_comes_back_under_a_new_number() {
    let mut bench = bench();
    bench.create(set(json!({"replicas": 1, "revisionHistoryLimit": 1})));
    bench.settle();
    let roll = |bench: &mut Bench, image: &str| {
        if image != "db:1" || bench.revisions().len() > 1 {
            bench.image(image);
            bench.end("db-0");
        }
        bench.pod("db-0", "Running");
        let revisions = bench.revisions();
        let image = |data: &Value| data["spec"]["template"]["spec"]["containers"][0]["image"].clone();
        let tell =
            |revision: &ControllerRevision| format!("{} {}", revision.revision, image(super::history::data(revision)));
        revisions.iter().map(tell).collect::<Vec<_>>()
    };
    assert_eq!(roll(&mut bench, "db:1"), [r#"1 "db:1""#]);
    assert_eq!(roll(&mut bench, "db:2"), [r#"1 "db:1""#, r#"2 "db:2""#]);
    assert_eq!(roll(&mut bench, "db:1"), [r#"2 "db:2""#, r#"3 "db:1""#]);
    assert_eq!(roll(&mut bench, "db:3"), [r#"3 "db:1""#, r#"4 "db:3""#], "one revision of the past is kept");
    let status = bench.status();
    assert_eq!(status["currentRevision"], status["updateRevision"]);
}

#[test]
fn a_broken_update_stops_at_the_first_pod_until_it_is_deleted_by_hand() {
    let mut bench = bench();
    bench.create(set(json!({})));
    bench.settle();
    bench.pod("db-0", "Running");
    bench.pod("db-1", "Running");
    bench.image("broken");
    bench.end("db-1");
    assert_eq!(bench.pods(), ["db-0 db:1", "db-1 broken"]);
    bench.image("db:1");
    assert_eq!(bench.pods(), ["db-0 db:1", "db-1 broken"]);
    let key = Key::new(Kind::Pod, "default", "db-1");
    bench.server.delete(&key, &DeleteOptions::default()).expect("it is there");
    bench.settle();
    assert_eq!(bench.pods(), ["db-0 db:1", "db-1 db:1"]);
}

#[test]
fn the_next_pod_waits_until_the_one_before_is_available() {
    let mut bench = bench();
    bench.create(set(json!({"minReadySeconds": 10})));
    bench.settle();
    bench.pod("db-0", "Running");
    bench.run_until(Instant::seconds(10));
    assert_eq!((bench.pods().len(), bench.status()["availableReplicas"].clone()), (1, json!(0)));
    bench.run_until(Instant::seconds(11));
    assert_eq!((bench.pods().len(), bench.status()["availableReplicas"].clone()), (2, json!(1)));
}

#[test]
fn pods_are_released_and_adopted_by_their_labels_and_names() {
    let mut bench = bench();
    let orphan = |name: &str| {
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default", "labels": {"app": "db"}},
            "spec": {"containers": [{"name": "db", "image": "db:0"}]}})
    };
    bench.create(orphan("db-0"));
    bench.create(orphan("cache-0"));
    bench.create(set(json!({"podManagementPolicy": "Parallel"})));
    bench.settle();
    let owned = |bench: &Bench, name: &str| {
        let pod: Pod = bench.server.fetch("default", name).expect("it is there");
        pod.metadata.owner_references.is_some()
    };
    assert_eq!([owned(&bench, "db-0"), owned(&bench, "cache-0"), owned(&bench, "db-1")], [true, false, true]);
    // The adopted one gets the labels of its identity, and is replaced like any old pod.
    let pod: Pod = bench.server.fetch("default", "db-0").expect("it is there");
    assert_eq!(pod.metadata.labels.unwrap_or_default()["statefulset.kubernetes.io/pod-name"], "db-0");
    let mut pod: Pod = bench.server.fetch("default", "db-1").expect("it is there");
    pod.metadata.labels.get_or_insert_default().insert("app".into(), "other".into());
    bench.server.update(pod.into_object()).expect("labels may change");
    bench.settle();
    assert!(!owned(&bench, "db-1"));
}

#[test]
fn a_pod_that_is_refused_is_told_of_and_tried_again() {
    let mut bench = bench();
    bench.create(
        json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none", "namespace": "default"},
        "spec": {"hard": {"pods": "0"}}, "status": {"hard": {"pods": "0"}, "used": {"pods": "0"}}}),
    );
    bench.create(set(json!({})));
    bench.settle();
    let expected = "Warning FailedCreate create Pod db-0 in StatefulSet db failed error: pods \"db-0\" is forbidden: \
                    exceeded quota: none, requested: pods=1, used: pods=0, limited: pods=0";
    assert_eq!(bench.events(), [expected]);
    assert!(bench.component.next_wake().is_some());
}
