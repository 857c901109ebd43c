//! Installs kube-state-metrics, and the Services by which Prometheus finds the scheduler and the controller manager.
//!
//! What it measures is computed where somebody asks; here are only its objects: those of `examples/standard` of
//! `kubernetes/kube-state-metrics`, and the two Services of kube-prometheus.

use kit_apimachinery::object::{Kind, Object};
use kit_client::component::{Component, World};
use kit_server::Change;
use kit_time::agenda::Instant;
use serde_json::{Value, json};

const NAME: &str = "kube-state-metrics";
const VERSION: &str = "2.15.0";

/// Whoever runs `kubectl apply` once.
#[derive(Default)]
pub struct StateMetrics {
    done: bool,
}

fn objects() -> [(&'static str, &'static str, Value); 6] {
    let labels = json!({
        "app.kubernetes.io/component": "exporter", "app.kubernetes.io/name": NAME, "app.kubernetes.io/version": VERSION,
    });
    let meta = json!({"name": NAME, "namespace": "kube-system", "labels": labels});
    let selector = json!({"app.kubernetes.io/name": NAME});
    let probe = |path: &str, port: &str| json!({"httpGet": {"path": path, "port": port}, "initialDelaySeconds": 5, "timeoutSeconds": 5});
    let container = json!({
        "name": NAME, "image": format!("registry.k8s.io/kube-state-metrics/kube-state-metrics:v{VERSION}"),
        "ports": [{"name": "http-metrics", "containerPort": 8080}, {"name": "telemetry", "containerPort": 8081}],
        "livenessProbe": probe("/livez", "http-metrics"), "readinessProbe": probe("/readyz", "telemetry"),
    });
    let template =
        json!({"metadata": {"labels": labels}, "spec": {"serviceAccountName": NAME, "containers": [container]}});
    let port = |name: &str, port: u16| json!({"name": name, "port": port, "targetPort": name});
    let process = |name: &str, number: u16| {
        let labels = json!({"app.kubernetes.io/name": name});
        json!({
            "metadata": {"name": name, "namespace": "kube-system", "labels": labels},
            "spec": {"clusterIP": "None", "ports": [{"name": "https-metrics", "port": number, "targetPort": number}]},
        })
    };
    [
        ("v1", "Namespace", json!({"metadata": {"name": "kube-system"}})),
        ("v1", "ServiceAccount", json!({"metadata": meta, "automountServiceAccountToken": false})),
        (
            "apps/v1",
            "Deployment",
            json!({"metadata": meta, "spec": {"replicas": 1, "selector": {"matchLabels": selector}, "template": template}}),
        ),
        (
            "v1",
            "Service",
            json!({"metadata": meta, "spec": {
                "clusterIP": "None", "selector": selector, "ports": [port("http-metrics", 8080), port("telemetry", 8081)]}}),
        ),
        ("v1", "Service", process("kube-scheduler", 10259)),
        ("v1", "Service", process("kube-controller-manager", 10257)),
    ]
}

impl Component for StateMetrics {
    fn name(&self) -> &'static str {
        "kubectl"
    }

    fn watches(&self) -> &'static [Kind] {
        &[]
    }

    fn observe(&mut self, _change: &Change, _world: &mut World<'_>) {}

    fn run(&mut self, world: &mut World<'_>) {
        if std::mem::replace(&mut self.done, true) {
            return;
        }
        for (version, kind, mut value) in objects() {
            let Some(kind) = world.server.kind_of(version, kind) else { continue };
            value["apiVersion"] = version.into();
            value["kind"] = kind.name().into();
            // What is there stays as it is.
            if let Ok(object) = Object::from_value(kind, value) {
                _ = world.server.create(object);
            }
        }
    }

    fn next_wake(&self) -> Option<Instant> {
        (!self.done).then(Instant::default)
    }
}
