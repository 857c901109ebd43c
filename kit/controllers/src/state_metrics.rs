//! Installs kube-state-metrics, and the Services by which Prometheus finds the scheduler and the controller manager.
//!
//! What it measures is computed where somebody asks; here are only its objects: those of `examples/standard` of
//! `kubernetes/kube-state-metrics`, and the two Services of kube-prometheus.

use crate::installed::Installed;
use serde_json::json;

const NAME: &str = "kube-state-metrics";
const VERSION: &str = "2.15.0";

/// Whoever installs it.
pub fn installed() -> Installed {
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
    Installed::new([
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
    ])
}
