//! Webhooks that run in the cluster themselves, and what becomes of it when they don't.

use crate::common::{all, create, wait};
use kit_apimachinery::object::{Key, Kind, Object};
use kit_cluster::cluster::{self, Config};
use kit_cluster::engine::{Clock, Engine};
use kit_server::DeleteOptions;
use serde_json::{Value, json};

fn start(webhook: Value) -> Engine {
    let config = json!({"nodes": 2, "images": {"guard:1": {"webhook": webhook}}});
    let config: Config = serde_json::from_value(config).expect("a good configuration");
    let mut engine = cluster::start(&config, &solutions::modules(), Clock::default());
    create(&mut engine, &deployment("guard", "guard:1"));
    create(
        &mut engine,
        &json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "guard"}, "spec": {
            "selector": {"app": "guard"}, "ports": [{"port": 443, "targetPort": 8443}],
        }}),
    );
    wait(&mut engine, 20);
    engine
}

fn deployment(name: &str, image: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {
            "replicas": 1, "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "c", "image": image, "ports": [{"containerPort": 8443}]}]},
            },
        },
    })
}

fn configure(engine: &mut Engine, kind: &str) {
    let configuration = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": "guard"},
        "webhooks": [{
            "name": "guard.example.com", "admissionReviewVersions": ["v1"], "sideEffects": "None",
            "clientConfig": {"service": {"namespace": "default", "name": "guard", "path": "/pods"}},
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
        }],
    });
    let kind = engine.server().kind_of("admissionregistration.k8s.io/v1", kind).expect("the kind");
    let object = Object::decode(kind, &configuration.to_string()).expect("a good manifest");
    engine.request(|server| server.create(object)).expect("it can be created");
}

fn pods(engine: &Engine, app: &str) -> Vec<Value> {
    let pods = all(engine, Kind::Pod).into_iter();
    pods.filter(|pod| pod["metadata"]["labels"]["app"] == app && pod["metadata"]["deletionTimestamp"].is_null())
        .collect()
}

fn told(engine: &Engine, app: &str) -> String {
    let sets = all(engine, Kind::ReplicaSet).into_iter();
    let mut sets = sets.filter(|set| set["metadata"]["labels"]["app"] == app);
    let set = sets.next().expect("a set");
    set["status"]["conditions"][0]["message"].as_str().unwrap_or_default().to_string()
}

#[test]
fn a_webhook_that_is_gone_blocks_all_pods_and_its_own_as_well() {
    let mut engine = start(json!({}));
    configure(&mut engine, "ValidatingWebhookConfiguration");
    create(&mut engine, &deployment("web", "web:1"));
    wait(&mut engine, 10);
    assert_eq!(pods(&engine, "web").len(), 1, "it answers, and everything is allowed");
    for pod in pods(&engine, "guard") {
        let name = pod["metadata"]["name"].as_str().expect("a name");
        let options = DeleteOptions { grace_period_seconds: Some(0), ..DeleteOptions::default() };
        engine.request(|server| server.delete(&Key::new(Kind::Pod, "default", name), &options)).expect("it is deleted");
    }
    create(&mut engine, &deployment("late", "web:1"));
    wait(&mut engine, 60);
    assert_eq!((pods(&engine, "late").len(), pods(&engine, "guard").len()), (0, 0));
    for app in ["late", "guard"] {
        let told = told(&engine, app);
        let why = "Internal error occurred: failed calling webhook \"guard.example.com\": failed to call webhook: Post \
                   \"https://guard.default.svc:443/pods?timeout=10s\": dial tcp ";
        assert!(told.starts_with(why) && told.ends_with("connect: connection refused"), "{told}");
    }
    // Whoever takes the configuration away lets everything go on.
    let kind = engine.server().kind_of("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration");
    let key = Key::new(kind.expect("the kind"), "", "guard");
    engine.request(|server| server.delete(&key, &DeleteOptions::default())).expect("it is deleted");
    wait(&mut engine, 400);
    assert_eq!((pods(&engine, "late").len(), pods(&engine, "guard").len()), (1, 1));
}

#[test]
fn a_webhook_says_what_its_image_is_described_to_say() {
    let mut engine = start(json!({
        "allow": "request.object.spec.containers.all(c, !c.image.endsWith(':latest'))", "message": "name a version",
        "patch": [{"op": "add", "path": "/metadata/labels/seen", "value": "yes"}],
    }));
    configure(&mut engine, "MutatingWebhookConfiguration");
    create(&mut engine, &deployment("web", "web:1"));
    create(&mut engine, &deployment("loose", "web:latest"));
    wait(&mut engine, 10);
    let seen: Vec<Value> = pods(&engine, "web").iter().map(|pod| pod["metadata"]["labels"]["seen"].clone()).collect();
    assert_eq!(seen, ["yes"]);
    assert_eq!(pods(&engine, "loose").len(), 0);
    assert_eq!(told(&engine, "loose"), "admission webhook \"guard.example.com\" denied the request: name a version");
}

#[test]
fn a_slow_webhook_is_waited_for_no_longer_than_it_may_take() {
    let mut engine = start(json!({"latency": 30}));
    configure(&mut engine, "ValidatingWebhookConfiguration");
    create(&mut engine, &deployment("web", "web:1"));
    wait(&mut engine, 5);
    let told = told(&engine, "web");
    assert!(told.ends_with("/pods?timeout=10s\": context deadline exceeded"), "{told}");
}
