//! What an object gets that doesn't say it itself.
//!
//! Sources: `pkg/apis/{core,apps,batch,autoscaling,networking,policy,storage,scheduling,discovery}/v*/defaults.go`.

mod image;
mod pod;

use super::{default_absent, default_to, inner, items_in, map_in};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

type Fields = Map<String, Value>;

/// How long a pod may take to end that doesn't say, in seconds.
pub const GRACE_SECONDS: i64 = 30;

/// Completes an object of a kind.
pub fn default(kind: &str, object: &mut Value) {
    match kind {
        "CustomResourceDefinition" => crate::apiextensions::definition::default(object),
        "Pod" => {
            let spec = map_in(object, "spec");
            pod::pod_spec(spec);
            pod::pod(spec);
        }
        "PodTemplate" => template(object.as_object_mut(), "template"),
        "ReplicaSet" | "ReplicationController" => {
            let labels = object["spec"]["template"]["metadata"]["labels"].clone();
            let spec = map_in(object, "spec");
            default_to(spec, "replicas", 1);
            template(Some(spec), "template");
            if kind == "ReplicationController" && labels.is_object() {
                default_to(spec, "selector", labels.clone());
                default_to(map_in(object, "metadata"), "labels", labels);
            }
        }
        "Deployment" => deployment(map_in(object, "spec")),
        "StatefulSet" => stateful_set(map_in(object, "spec")),
        "DaemonSet" => daemon_set(map_in(object, "spec")),
        "Job" => job(object),
        "CronJob" => {
            let spec = map_in(object, "spec");
            default_to(spec, "concurrencyPolicy", "Allow");
            default_to(spec, "suspend", false);
            default_to(spec, "successfulJobsHistoryLimit", 3);
            default_to(spec, "failedJobsHistoryLimit", 1);
            let job_spec = inner(spec, "jobTemplate").and_then(|template| inner(template, "spec"));
            template(job_spec, "template");
        }
        "HorizontalPodAutoscaler" => autoscaler(map_in(object, "spec")),
        "Service" => service(object),
        "Endpoints" => {
            for subset in object.as_object_mut().into_iter().flat_map(|map| items_in(map, "subsets")) {
                items_in(subset, "ports").for_each(|port| default_to(port, "protocol", "TCP"));
            }
        }
        "EndpointSlice" => {
            for port in object.as_object_mut().into_iter().flat_map(|map| items_in(map, "ports")) {
                default_to(port, "name", "");
                default_to(port, "protocol", "TCP");
            }
        }
        "Namespace" => {
            let name = object["metadata"]["name"].as_str().unwrap_or_default().to_string();
            if !name.is_empty() {
                let metadata = map_in(object, "metadata");
                let labels = metadata.entry("labels").or_insert_with(|| json!({}));
                labels["kubernetes.io/metadata.name"] = name.into();
            }
            default_to(map_in(object, "status"), "phase", "Active");
        }
        "Node" => {
            // Both names of the ranges of a node's pods say the same (`Convert_v1_NodeSpec_To_core_NodeSpec`).
            if let Some(spec) = object.as_object_mut().and_then(|node| inner(node, "spec")) {
                pod_ranges(spec);
            }
            let status = map_in(object, "status");
            if let (None, Some(capacity)) = (status.get("allocatable"), status.get("capacity").cloned()) {
                status.insert("allocatable".into(), capacity);
            }
        }
        "Secret" => object.as_object_mut().into_iter().for_each(secret),
        "PersistentVolumeClaim" => {
            claim_spec(map_in(object, "spec"));
            default_to(map_in(object, "status"), "phase", "Pending");
        }
        "PersistentVolume" => {
            let spec = map_in(object, "spec");
            default_to(spec, "persistentVolumeReclaimPolicy", "Retain");
            default_absent(spec, "volumeMode", "Filesystem");
            if let Some(path) = inner(spec, "hostPath") {
                path.entry("type").or_insert_with(|| "".into());
            }
            default_to(map_in(object, "status"), "phase", "Pending");
        }
        "StorageClass" => {
            for class in object.as_object_mut().into_iter() {
                default_absent(class, "reclaimPolicy", "Delete");
                default_absent(class, "volumeBindingMode", "Immediate");
            }
        }
        "PriorityClass" => {
            for class in object.as_object_mut().into_iter() {
                default_absent(class, "preemptionPolicy", "PreemptLowerPriority");
            }
        }
        "IngressClass" => {
            if let Some(parameters) = inner(map_in(object, "spec"), "parameters") {
                default_absent(parameters, "scope", "Cluster");
            }
        }
        "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration" => {
            let mutates = kind.starts_with("Mutating");
            let hooks = object.as_object_mut().into_iter().flat_map(|map| items_in(map, "webhooks"));
            hooks.for_each(|hook| webhook(hook, mutates));
        }
        "ValidatingAdmissionPolicy" => {
            let spec = map_in(object, "spec");
            default_to(spec, "failurePolicy", "Fail");
            inner(spec, "matchConstraints").into_iter().for_each(match_resources);
        }
        "ValidatingAdmissionPolicyBinding" => {
            inner(map_in(object, "spec"), "matchResources").into_iter().for_each(match_resources);
        }
        "APIService" => {
            let service = inner(map_in(object, "spec"), "service");
            service.into_iter().for_each(|service| default_absent(service, "port", 443));
        }
        "FlowSchema" => {
            let spec = map_in(object, "spec");
            if spec.get("matchingPrecedence").and_then(Value::as_i64).unwrap_or_default() == 0 {
                spec.insert("matchingPrecedence".into(), 1000.into());
            }
        }
        "PriorityLevelConfiguration" => priority_level(map_in(object, "spec")),
        "LimitRange" => items_in(map_in(object, "spec"), "limits").for_each(limit),
        "NetworkPolicy" => network_policy(map_in(object, "spec")),
        "RoleBinding" | "ClusterRoleBinding" => binding(object),
        "CSIDriver" => {
            let spec = map_in(object, "spec");
            for (field, value) in [
                ("attachRequired", json!(true)),
                ("podInfoOnMount", json!(false)),
                ("storageCapacity", json!(false)),
                ("fsGroupPolicy", json!("ReadWriteOnceWithFSType")),
                ("volumeLifecycleModes", json!(["Persistent"])),
                ("requiresRepublish", json!(false)),
                ("seLinuxMount", json!(false)),
            ] {
                default_to(spec, field, value);
            }
        }
        _ => {}
    }
}

/// `pkg/apis/admissionregistration/v1/defaults.go`.
fn webhook(hook: &mut Fields, mutates: bool) {
    default_absent(hook, "failurePolicy", "Fail");
    default_absent(hook, "matchPolicy", "Equivalent");
    default_absent(hook, "namespaceSelector", json!({}));
    default_absent(hook, "objectSelector", json!({}));
    default_absent(hook, "timeoutSeconds", 10);
    if mutates {
        default_absent(hook, "reinvocationPolicy", "Never");
    }
    items_in(hook, "rules").for_each(|rule| default_absent(rule, "scope", "*"));
    if let Some(service) = inner(hook, "clientConfig").and_then(|client| inner(client, "service")) {
        default_absent(service, "port", 443);
    }
}

fn match_resources(of: &mut Fields) {
    default_absent(of, "matchPolicy", "Equivalent");
    default_absent(of, "namespaceSelector", json!({}));
    default_absent(of, "objectSelector", json!({}));
    for rules in ["resourceRules", "excludeResourceRules"] {
        items_in(of, rules).for_each(|rule| default_absent(rule, "scope", "*"));
    }
}

/// `pkg/apis/flowcontrol/v1/defaults.go`.
fn priority_level(spec: &mut Fields) {
    if let Some(exempt) = inner(spec, "exempt") {
        default_absent(exempt, "nominalConcurrencyShares", 0);
        default_absent(exempt, "lendablePercent", 0);
    }
    let Some(limited) = inner(spec, "limited") else { return };
    default_absent(limited, "nominalConcurrencyShares", 30);
    default_absent(limited, "lendablePercent", 0);
    let Some(queuing) = inner(limited, "limitResponse").and_then(|response| inner(response, "queuing")) else { return };
    for (field, value) in [("handSize", 8), ("queues", 64), ("queueLengthLimit", 50)] {
        if queuing.get(field).and_then(Value::as_i64).unwrap_or_default() == 0 {
            queuing.insert(field.into(), value.into());
        }
    }
}

fn pod_ranges(spec: &mut Fields) {
    let range = spec.get("podCIDR").and_then(Value::as_str).unwrap_or_default().to_string();
    let first = spec.get("podCIDRs").and_then(|ranges| ranges.get(0)).and_then(Value::as_str).map(str::to_string);
    match first {
        first if !range.is_empty() && first.as_ref() != Some(&range) => {
            spec.insert("podCIDRs".into(), json!([range]));
        }
        Some(first) if range.is_empty() => _ = spec.insert("podCIDR".into(), first.into()),
        _ => {}
    }
}

/// `stringData` is only a way to write `data` (`Convert_v1_Secret_To_core_Secret`).
fn secret(secret: &mut Fields) {
    default_to(secret, "type", "Opaque");
    let Some(Value::Object(texts)) = secret.shift_remove("stringData") else { return };
    let data = secret.entry("data").or_insert_with(|| json!({}));
    for (name, text) in texts {
        data[&name] = STANDARD.encode(text.as_str().unwrap_or_default()).into();
    }
}

fn template(of: Option<&mut Fields>, name: &str) {
    if let Some(spec) = of.and_then(|of| inner(of, name)).and_then(|template| inner(template, "spec")) {
        pod::pod_spec(spec);
    }
}

fn claim_spec(spec: &mut Fields) {
    default_absent(spec, "volumeMode", "Filesystem");
}

fn deployment(spec: &mut Fields) {
    default_to(spec, "replicas", 1);
    default_to(spec, "revisionHistoryLimit", 10);
    default_to(spec, "progressDeadlineSeconds", 600);
    let strategy = spec.entry("strategy").or_insert_with(|| json!({}));
    if let Some(strategy) = strategy.as_object_mut() {
        default_to(strategy, "type", "RollingUpdate");
        if strategy["type"] == "RollingUpdate" {
            default_to(strategy, "rollingUpdate", json!({}));
        }
        if strategy["type"] == "RollingUpdate"
            && let Some(rolling) = inner(strategy, "rollingUpdate")
        {
            default_absent(rolling, "maxUnavailable", "25%");
            default_absent(rolling, "maxSurge", "25%");
        }
    }
    template(Some(spec), "template");
}

fn stateful_set(spec: &mut Fields) {
    default_to(spec, "podManagementPolicy", "OrderedReady");
    let strategy = spec.entry("updateStrategy").or_insert_with(|| json!({}));
    if let Some(strategy) = strategy.as_object_mut() {
        if strategy.get("type").and_then(Value::as_str).unwrap_or_default().is_empty() {
            strategy.insert("type".into(), "RollingUpdate".into());
            default_to(strategy, "rollingUpdate", json!({}));
        }
        if strategy["type"] == "RollingUpdate" {
            inner(strategy, "rollingUpdate").into_iter().for_each(|rolling| default_to(rolling, "partition", 0));
        }
    }
    default_to(spec, "persistentVolumeClaimRetentionPolicy", json!({}));
    if let Some(policy) = inner(spec, "persistentVolumeClaimRetentionPolicy") {
        default_to(policy, "whenDeleted", "Retain");
        default_to(policy, "whenScaled", "Retain");
    }
    default_to(spec, "replicas", 1);
    default_to(spec, "revisionHistoryLimit", 10);
    for claim in items_in(spec, "volumeClaimTemplates") {
        default_to(claim, "apiVersion", "v1");
        default_to(claim, "kind", "PersistentVolumeClaim");
        inner(claim, "spec").into_iter().for_each(claim_spec);
        let status = claim.entry("status").or_insert_with(|| json!({}));
        status.as_object_mut().into_iter().for_each(|status| default_to(status, "phase", "Pending"));
    }
    template(Some(spec), "template");
}

fn daemon_set(spec: &mut Fields) {
    default_to(spec, "revisionHistoryLimit", 10);
    let strategy = spec.entry("updateStrategy").or_insert_with(|| json!({}));
    if let Some(strategy) = strategy.as_object_mut() {
        default_to(strategy, "type", "RollingUpdate");
        if strategy["type"] == "RollingUpdate" {
            default_to(strategy, "rollingUpdate", json!({}));
            if let Some(rolling) = inner(strategy, "rollingUpdate") {
                default_to(rolling, "maxUnavailable", 1);
                default_to(rolling, "maxSurge", 0);
            }
        }
    }
    template(Some(spec), "template");
}

fn job(object: &mut Value) {
    let labels = object["spec"]["template"]["metadata"]["labels"].clone();
    let spec = map_in(object, "spec");
    let said = |spec: &Fields, name: &str| spec.get(name).is_some_and(|value| !value.is_null());
    if !said(spec, "completions") && !said(spec, "parallelism") {
        spec.insert("completions".into(), 1.into());
    }
    default_to(spec, "parallelism", 1);
    // Each index has a limit of its own, and all of them together have none.
    default_to(spec, "backoffLimit", if said(spec, "backoffLimitPerIndex") { i32::MAX } else { 6 });
    default_to(spec, "completionMode", "NonIndexed");
    default_to(spec, "suspend", false);
    default_to(spec, "manualSelector", false);
    let replacement = if said(spec, "podFailurePolicy") { "Failed" } else { "TerminatingOrFailed" };
    default_to(spec, "podReplacementPolicy", replacement);
    if let Some(policy) = inner(spec, "podFailurePolicy") {
        for rule in items_in(policy, "rules") {
            items_in(rule, "onPodConditions").for_each(|pattern| default_to(pattern, "status", "True"));
        }
    }
    template(Some(spec), "template");
    if labels.is_object() {
        default_to(map_in(object, "metadata"), "labels", labels);
    }
}

fn autoscaler(spec: &mut Fields) {
    default_to(spec, "minReplicas", 1);
    if spec.get("metrics").and_then(Value::as_array).is_none_or(Vec::is_empty) {
        let target = json!({"type": "Utilization", "averageUtilization": 80});
        let metric = json!({"type": "Resource", "resource": {"name": "cpu", "target": target}});
        spec.insert("metrics".into(), json!([metric]));
    }
    let Some(behavior) = inner(spec, "behavior") else { return };
    let percent = json!({"type": "Percent", "value": 100, "periodSeconds": 15});
    let pods = json!({"type": "Pods", "value": 4, "periodSeconds": 15});
    for (direction, policies) in [("scaleUp", json!([pods, percent])), ("scaleDown", json!([percent]))] {
        let rules = behavior.entry(direction).or_insert_with(|| json!({}));
        let Some(rules) = rules.as_object_mut() else { continue };
        if direction == "scaleUp" {
            default_to(rules, "stabilizationWindowSeconds", 0);
        }
        default_absent(rules, "selectPolicy", "Max");
        default_to(rules, "policies", policies);
    }
}

fn service(object: &mut Value) {
    let spec = map_in(object, "spec");
    default_to(spec, "sessionAffinity", "None");
    if spec["sessionAffinity"] == "None" {
        spec.shift_remove("sessionAffinityConfig");
    }
    if spec["sessionAffinity"] == "ClientIP" {
        let there = spec.get("sessionAffinityConfig").and_then(|config| config.pointer("/clientIP/timeoutSeconds"));
        if there.is_none_or(Value::is_null) {
            spec.insert("sessionAffinityConfig".into(), json!({"clientIP": {"timeoutSeconds": 10800}}));
        }
    }
    default_to(spec, "type", "ClusterIP");
    for port in items_in(spec, "ports") {
        default_to(port, "protocol", "TCP");
        if port.get("targetPort").is_none_or(|target| target.is_null() || *target == 0 || *target == "") {
            let number = port.get("port").cloned().unwrap_or_default();
            port.insert("targetPort".into(), number);
        }
    }
    let type_ = spec["type"].as_str().unwrap_or_default().to_string();
    let external_ips = spec.get("externalIPs").and_then(Value::as_array).is_some_and(|ips| !ips.is_empty());
    if matches!(type_.as_str(), "LoadBalancer" | "NodePort") || (type_ == "ClusterIP" && external_ips) {
        default_to(spec, "externalTrafficPolicy", "Cluster");
    }
    if matches!(type_.as_str(), "LoadBalancer" | "NodePort" | "ClusterIP") {
        default_absent(spec, "internalTrafficPolicy", "Cluster");
    }
    if type_ == "LoadBalancer" {
        default_to(spec, "allocateLoadBalancerNodePorts", true);
        let ingress = inner(map_in(object, "status"), "loadBalancer");
        for each in ingress.into_iter().flat_map(|balancer| items_in(balancer, "ingress")) {
            if each.contains_key("ip") {
                default_to(each, "ipMode", "VIP");
            }
        }
    }
}

fn limit(item: &mut Fields) {
    if item.get("type").and_then(Value::as_str) != Some("Container") {
        return;
    }
    let mut fill = |from: &str, to: &str| {
        let from = item.get(from).and_then(Value::as_object).cloned().unwrap_or_default();
        let to = item.entry(to).or_insert_with(|| json!({}));
        for (name, amount) in from {
            to.as_object_mut().into_iter().for_each(|to| default_to(to, &name, amount.clone()));
        }
    };
    fill("max", "default");
    fill("default", "defaultRequest");
    fill("min", "defaultRequest");
}

fn network_policy(spec: &mut Fields) {
    let egress = spec.get("egress").and_then(Value::as_array).is_some_and(|rules| !rules.is_empty());
    if spec.get("policyTypes").and_then(Value::as_array).is_none_or(Vec::is_empty) {
        let types = if egress { json!(["Ingress", "Egress"]) } else { json!(["Ingress"]) };
        spec.insert("policyTypes".into(), types);
    }
    for direction in ["ingress", "egress"] {
        for rule in items_in(spec, direction) {
            items_in(rule, "ports").for_each(|port| default_absent(port, "protocol", "TCP"));
        }
    }
}

fn binding(object: &mut Value) {
    let Some(binding) = object.as_object_mut() else { return };
    if let Some(role) = inner(binding, "roleRef") {
        default_to(role, "apiGroup", "rbac.authorization.k8s.io");
    }
    for subject in items_in(binding, "subjects") {
        let group = match subject.get("kind").and_then(Value::as_str) {
            Some("User" | "Group") => "rbac.authorization.k8s.io",
            _ => "",
        };
        if !group.is_empty() {
            default_to(subject, "apiGroup", group);
        }
    }
}
