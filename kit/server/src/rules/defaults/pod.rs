//! What pods and their templates get (`pkg/apis/core/v1/defaults.go`).

use super::super::{default_to, inner, items_in, map_in};
use super::{Fields, GRACE_SECONDS, claim_spec, image};
use serde_json::{Value, json};

/// What every pod gets, and every template of pods.
pub(super) fn pod_spec(spec: &mut Fields) {
    default_to(spec, "dnsPolicy", "ClusterFirst");
    default_to(spec, "restartPolicy", "Always");
    default_to(spec, "securityContext", json!({}));
    default_to(spec, "terminationGracePeriodSeconds", GRACE_SECONDS);
    // Upstream has no time before now (`Convert_v1_PodTemplateSpec_To_core_PodTemplateSpec`).
    if spec["terminationGracePeriodSeconds"].as_i64().is_some_and(|seconds| seconds < 0) {
        spec.insert("terminationGracePeriodSeconds".into(), 1.into());
    }
    default_to(spec, "schedulerName", "default-scheduler");
    // Both names of this field are always equal (`Convert_core_PodSpec_To_v1_PodSpec`).
    let account = ["serviceAccountName", "serviceAccount"].iter().find_map(|name| spec.get(*name)).cloned();
    if let Some(account) = account {
        spec.insert("serviceAccountName".into(), account.clone());
        spec.insert("serviceAccount".into(), account);
    }
    let host_network = spec.get("hostNetwork").and_then(Value::as_bool).unwrap_or_default();
    for list in ["containers", "initContainers", "ephemeralContainers"] {
        for each in items_in(spec, list) {
            container(each, host_network && list != "ephemeralContainers");
        }
    }
    items_in(spec, "volumes").for_each(volume);
}

/// What only a pod itself gets.
pub(super) fn pod(spec: &mut Fields) {
    default_to(spec, "enableServiceLinks", true);
    for list in ["containers", "initContainers"] {
        for container in items_in(spec, list) {
            let resources = container.entry("resources").or_insert_with(|| json!({}));
            let limits = resources["limits"].as_object().cloned().unwrap_or_default();
            if limits.is_empty() {
                continue;
            }
            let requests = map_in(resources, "requests");
            for (name, limit) in limits {
                requests.entry(name).or_insert(limit);
            }
        }
    }
}

fn container(container: &mut Fields, host_network: bool) {
    let image = container.get("image").and_then(Value::as_str).unwrap_or_default();
    let pull = if image::is_latest(image) { "Always" } else { "IfNotPresent" };
    default_to(container, "imagePullPolicy", pull);
    default_to(container, "terminationMessagePath", "/dev/termination-log");
    default_to(container, "terminationMessagePolicy", "File");
    for port in items_in(container, "ports") {
        default_to(port, "protocol", "TCP");
        if host_network && port.get("hostPort").and_then(Value::as_i64).unwrap_or_default() == 0 {
            let number = port.get("containerPort").cloned().unwrap_or_default();
            port.insert("hostPort".into(), number);
        }
    }
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let Some(probe) = inner(container, name) else { continue };
        for (field, value) in
            [("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)]
        {
            if probe.get(field).and_then(Value::as_i64).unwrap_or_default() == 0 {
                probe.insert(field.into(), value.into());
            }
        }
        http_get(probe);
        if let Some(grpc) = inner(probe, "grpc") {
            default_to(grpc, "service", "");
        }
    }
    if let Some(lifecycle) = inner(container, "lifecycle") {
        for hook in ["postStart", "preStop"] {
            inner(lifecycle, hook).into_iter().for_each(http_get);
        }
    }
    for variable in items_in(container, "env") {
        if let Some(source) = inner(variable, "valueFrom").and_then(|from| inner(from, "fieldRef")) {
            default_to(source, "apiVersion", "v1");
        }
        if let Some(source) = inner(variable, "valueFrom").and_then(|from| inner(from, "resourceFieldRef")) {
            default_to(source, "divisor", "0");
        }
    }
}

fn http_get(handler: &mut Fields) {
    if let Some(get) = inner(handler, "httpGet") {
        default_to(get, "path", "/");
        default_to(get, "scheme", "HTTP");
    }
}

fn volume(volume: &mut Fields) {
    if volume.len() <= 1 && !volume.keys().any(|key| key != "name") {
        volume.insert("emptyDir".into(), json!({}));
    }
    for source in ["secret", "configMap", "downwardAPI", "projected"] {
        if let Some(source) = inner(volume, source) {
            default_to(source, "defaultMode", 0o644);
            items_in(source, "items").for_each(field_reference);
            for projection in items_in(source, "sources") {
                if let Some(token) = inner(projection, "serviceAccountToken") {
                    default_to(token, "expirationSeconds", 3600);
                }
                if let Some(downward) = inner(projection, "downwardAPI") {
                    items_in(downward, "items").for_each(field_reference);
                }
            }
        }
    }
    if let Some(path) = inner(volume, "hostPath") {
        path.entry("type").or_insert_with(|| "".into());
    }
    let ephemeral = inner(volume, "ephemeral").and_then(|source| inner(source, "volumeClaimTemplate"));
    if let Some(claim) = ephemeral.and_then(|template| inner(template, "spec")) {
        claim_spec(claim);
    }
    if let Some(image) = inner(volume, "image") {
        let pull = if image::is_latest(image.get("reference").and_then(Value::as_str).unwrap_or_default()) {
            "Always"
        } else {
            "IfNotPresent"
        };
        default_to(image, "pullPolicy", pull);
    }
    if let Some(disk) = inner(volume, "iscsi") {
        default_to(disk, "iscsiInterface", "default");
    }
}

fn field_reference(item: &mut Fields) {
    if let Some(reference) = inner(item, "fieldRef") {
        default_to(reference, "apiVersion", "v1");
    }
}
