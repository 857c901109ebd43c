//! Which parts of an object a request may set, and what the server sets itself.
//!
//! Sources: `PrepareForCreate` and `PrepareForUpdate` of `pkg/registry/*/*/strategy.go`.

use super::{default_to, map_in, service_type};
use crate::apiextensions::definition::remember_storage;
use crate::schema::{self, fill};
use kit_api::core::Pod;
use kit_apimachinery::managed::equal;
use kit_apimachinery::resource::Resource;
use kit_contract::node::Qos;
use serde_json::{Value, json};

/// Kinds whose status a client may set when it creates an object.
const KEEPS_STATUS: [&str; 1] = ["Node"];
/// Kinds without a status apart that have a generation, or with one that have none.
const ALSO_GENERATION: [&str; 8] = [
    "NetworkPolicy",
    "EndpointSlice",
    "PriorityClass",
    "IngressClass",
    "PodTemplate",
    "MutatingWebhookConfiguration",
    "ValidatingWebhookConfiguration",
    "ValidatingAdmissionPolicyBinding",
];
const NO_GENERATION: [&str; 11] = [
    "APIService",
    "CertificateSigningRequest",
    "ServiceCIDR",
    "Namespace",
    "Node",
    "Service",
    "ResourceQuota",
    "HorizontalPodAutoscaler",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "VolumeAttachment",
];

/// Built-in kinds whose updates must name a version (`AllowUnconditionalUpdate` is false).
pub const ONLY_BY_VERSION: [&str; 13] = [
    "APIService",
    "CSIDriver",
    "CSINode",
    "CSIStorageCapacity",
    "CustomResourceDefinition",
    "Lease",
    "MutatingWebhookConfiguration",
    "PodDisruptionBudget",
    "RuntimeClass",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
    "ValidatingWebhookConfiguration",
    "VolumeAttachment",
];

/// Kinds that an update may make (`AllowCreateOnUpdate` of the strategies).
pub const CREATED_BY_UPDATE: [&str; 10] = [
    "ClusterRole",
    "ClusterRoleBinding",
    "Endpoints",
    "Event",
    "Lease",
    "LimitRange",
    "Role",
    "RoleBinding",
    "RuntimeClass",
    "Service",
];

/// Whether the server counts changes of what is asked for.
pub fn has_generation(resource: &Resource) -> bool {
    let kind = resource.kind.as_str();
    resource.custom || ALSO_GENERATION.contains(&kind) || (resource.has_status() && !NO_GENERATION.contains(&kind))
}

/// Whether the answer to a deletion is the object, and not a `Status`.
pub fn returns_deleted(kind: &str) -> bool {
    let kinds = [
        "Pod",
        "Service",
        "PodTemplate",
        "PersistentVolume",
        "PersistentVolumeClaim",
        "ResourceQuota",
        "ServiceAccount",
        "CSIDriver",
        "CSINode",
        "StorageClass",
        "VolumeAttachment",
    ];
    kinds.contains(&kind)
}

/// Makes a new object what a new object is. Its uid is there already.
pub fn prepare_for_create(resource: &Resource, object: &mut Value, now: &str, qos: &dyn Qos) {
    let kind = resource.kind.as_str();
    if has_generation(resource) {
        map_in(object, "metadata").insert("generation".into(), 1.into());
    }
    if resource.has_status() && !KEEPS_STATUS.contains(&kind) {
        reset_status(resource, object);
    }
    super::gates::drop_disabled_fields(kind, object, None);
    match kind {
        "Pod" => {
            select_by_own_labels(object);
            new_pod(object, now, qos);
        }
        "Namespace" => {
            let finalizers = map_in(object, "spec").entry("finalizers").or_insert_with(|| json!([]));
            add_to(finalizers, "kubernetes");
            object["status"] = json!({"phase": "Active"});
        }
        "PersistentVolumeClaim" => {
            object["status"] = json!({"phase": "Pending"});
            same_source(map_in(object, "spec"));
            add_finalizer(object, "kubernetes.io/pvc-protection");
        }
        "PersistentVolume" => {
            object["status"] = json!({"phase": "Pending", "lastPhaseTransitionTime": now});
            add_finalizer(object, "kubernetes.io/pv-protection");
        }
        "DaemonSet" => {
            let generation = template_generation(object).max(1);
            set_template_generation(object, generation);
        }
        "Job" => generate_selector(object),
        "ServiceAccount" => only_names(object),
        "EndpointSlice" => drop_topology(object),
        "CustomResourceDefinition" => remember_storage(object),
        // What this server serves itself is there at once (`NewLocalAvailableAPIServiceCondition`).
        "APIService" if object["spec"]["service"].is_null() => {
            object["status"]["conditions"] = json!([{
                "type": "Available", "status": "True", "lastTransitionTime": now, "reason": "Local",
                "message": "Local APIServices are always available",
            }]);
        }
        _ => {}
    }
}

/// How often the template of a DaemonSet changed. Clients of today see it in an annotation only
/// (`pkg/apis/apps/v1/conversion.go`).
const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

fn template_generation(object: &Value) -> i64 {
    let text = object["metadata"]["annotations"][TEMPLATE_GENERATION].as_str();
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// Whoever makes or changes a DaemonSet owns the annotation, which is there before the strategy counts.
pub fn begin_template_generation(object: &mut Value) {
    if object["metadata"]["annotations"][TEMPLATE_GENERATION].is_null() {
        set_template_generation(object, 0);
    }
}

fn set_template_generation(object: &mut Value, generation: i64) {
    let annotations = map_in(map_value(object, "metadata"), "annotations");
    annotations.insert(TEMPLATE_GENERATION.into(), generation.to_string().into());
}

fn map_value<'a>(object: &'a mut Value, name: &str) -> &'a mut Value {
    map_in(object, name);
    &mut object[name]
}

/// The source of a claim has an old and a new name (`EnforceDataSourceBackwardsCompatibility`, `NormalizeDataSources`).
fn same_source(spec: &mut serde_json::Map<String, Value>) {
    let text = |source: &Value, field: &str| source[field].as_str().unwrap_or_default().to_string();
    let there = |value: Option<&Value>| value.filter(|value| value.is_object()).cloned();
    match (there(spec.get("dataSource")), there(spec.get("dataSourceRef"))) {
        (Some(old), None) => {
            let known = matches!(
                (text(&old, "apiGroup").as_str(), text(&old, "kind").as_str()),
                ("", "PersistentVolumeClaim") | ("snapshot.storage.k8s.io", "VolumeSnapshot")
            );
            match known {
                true => _ = spec.insert("dataSourceRef".into(), old),
                false => _ = spec.shift_remove("dataSource"),
            }
        }
        (None, Some(new)) if text(&new, "namespace").is_empty() => _ = spec.insert("dataSource".into(), new),
        _ => {}
    }
}

fn add_finalizer(object: &mut Value, finalizer: &str) {
    let finalizers = map_in(object, "metadata").entry("finalizers").or_insert_with(|| json!([]));
    add_to(finalizers, finalizer);
}

fn add_to(list: &mut Value, item: &str) {
    if let Some(list) = list.as_array_mut()
        && !list.iter().any(|there| there == item)
    {
        list.push(item.into());
    }
}

/// A service account says of secrets only how they are called (`cleanSecretReferences`).
fn only_names(account: &mut Value) {
    for secret in account.get_mut("secrets").and_then(Value::as_array_mut).into_iter().flatten() {
        *secret = match secret.get("name") {
            Some(name) => json!({"name": name}),
            None => json!({}),
        };
    }
}

/// Topology of endpoints belongs to an older version (`dropTopologyOnV1`).
fn drop_topology(slice: &mut Value) {
    for endpoint in slice.get_mut("endpoints").and_then(Value::as_array_mut).into_iter().flatten() {
        endpoint.as_object_mut().map(|endpoint| endpoint.shift_remove("deprecatedTopology"));
    }
}

fn reset_status(resource: &Resource, object: &mut Value) {
    let Some(object) = object.as_object_mut() else { return };
    object.shift_remove("status");
    let field = schema::of(&resource.group, &resource.kind).and_then(|of| of.structure()?.field("status"));
    if let Some(field) = field {
        object.insert("status".into(), fill(json!({}), field.of));
    }
}

/// Terms of affinity that name labels of the pod itself select by their values
/// (`applyMatchLabelKeysAndMismatchLabelKeys` of `pkg/registry/core/pod/strategy.go`).
fn select_by_own_labels(pod: &mut Value) {
    let labels = pod["metadata"]["labels"].clone();
    let Some(affinity) = pod.pointer_mut("/spec/affinity").and_then(Value::as_object_mut) else { return };
    for kind in ["podAffinity", "podAntiAffinity"] {
        let lists = affinity.get_mut(kind).and_then(Value::as_object_mut).into_iter().flatten();
        for term in lists.filter_map(|(_, list)| list.as_array_mut()).flatten() {
            let term = if term["podAffinityTerm"].is_object() { &mut term["podAffinityTerm"] } else { term };
            let mut added = Vec::new();
            for (field, operator) in [("matchLabelKeys", "In"), ("mismatchLabelKeys", "NotIn")] {
                let keys = term[field].as_array().into_iter().flatten().filter_map(Value::as_str);
                let there = keys.filter_map(|key| Some((key, labels[key].as_str()?)));
                added.extend(there.map(|(key, value)| json!({"key": key, "operator": operator, "values": [value]})));
            }
            if let Some(selector) = term["labelSelector"].as_object_mut().filter(|_| !added.is_empty()) {
                let all = selector.entry("matchExpressions").or_insert_with(|| json!([]));
                all.as_array_mut().into_iter().for_each(|all| all.append(&mut added));
            }
        }
    }
}

/// The class of a pod, by its containers.
pub fn qos_class(pod: &Value, qos: &dyn Qos) -> String {
    let class = serde_json::from_value::<Pod>(pod.clone()).map(|pod| qos.class(&pod).to_string());
    class.unwrap_or_default()
}

fn new_pod(object: &mut Value, now: &str, qos: &dyn Qos) {
    object["status"] = json!({"phase": "Pending", "qosClass": qos_class(object, qos)});
    let gates = object.pointer("/spec/schedulingGates").and_then(Value::as_array);
    if gates.is_some_and(|gates| !gates.is_empty()) {
        object["status"]["conditions"] = json!([{
            "type": "PodScheduled", "status": "False", "reason": "SchedulingGated",
            "message": "Scheduling is blocked due to non-empty scheduling gates",
            "lastProbeTime": null, "lastTransitionTime": now,
        }]);
    }
}

/// A job finds its pods by its own uid, unless it says otherwise (`jobStrategy.PrepareForCreate`).
fn generate_selector(object: &mut Value) {
    if object["spec"]["manualSelector"] == true {
        return;
    }
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_string();
    let (uid, name) = (text("uid"), text("name"));
    let own = object["metadata"]["labels"].clone();
    let spec = map_in(object, "spec");
    let metadata = map_value(spec.entry("template").or_insert_with(|| json!({})), "metadata");
    let labels = map_in(metadata, "labels");
    // Labels that a job has from its template are the template's, whatever is added to them (`SetDefaults_Job`).
    let shared = own.as_object().is_none_or(|own| own.is_empty() || own == labels);
    labels.shift_remove("job-name");
    labels.shift_remove("controller-uid");
    for (label, value) in [
        ("batch.kubernetes.io/job-name", &name),
        ("job-name", &name),
        ("batch.kubernetes.io/controller-uid", &uid),
        ("controller-uid", &uid),
    ] {
        default_to(labels, label, value.as_str());
    }
    let selector = spec.entry("selector").or_insert_with(|| json!({}));
    let selected = map_in(selector, "matchLabels");
    default_to(selected, "batch.kubernetes.io/controller-uid", uid.as_str());
    let labels = spec["template"]["metadata"]["labels"].clone();
    if shared {
        object["metadata"]["labels"] = labels;
    }
}

/// Takes from the old object what an update can't change, and counts the change.
pub fn prepare_for_update(resource: &Resource, new: &mut Value, old: &Value) {
    let kind = resource.kind.as_str();
    keep_metadata(new, old);
    if resource.has_status() {
        keep(new, old, "status");
    }
    super::gates::drop_disabled_fields(kind, new, Some(old));
    match kind {
        "Namespace" => {
            let finalizers = old["spec"]["finalizers"].clone();
            map_in(new, "spec").insert("finalizers".into(), finalizers);
        }
        "Service" => service_type::drop_unneeded(new, old),
        "CertificateSigningRequest" => keep(new, old, "spec"),
        "ServiceAccount" => only_names(new),
        "EndpointSlice" if new["endpoints"] != old["endpoints"] => drop_topology(new),
        "CustomResourceDefinition" => remember_storage(new),
        "DaemonSet" => {
            let changed = !equal(&new["spec"]["template"], &old["spec"]["template"]);
            set_template_generation(new, template_generation(old) + i64::from(changed));
        }
        "Pod" => {
            // Only the `resize` and `ephemeralcontainers` subresources change these (`podStrategy.PrepareForUpdate`).
            keep(map_value(new, "spec"), &old["spec"], "ephemeralContainers");
        }
        _ => {}
    }
    // A driver's changes are counted, and that it was made isn't.
    if (has_generation(resource) && kind != "PriorityClass") || kind == "CSIDriver" {
        let changed = match kind {
            // Revisions of rollouts stand in annotations (`pkg/registry/apps/deployment/strategy.go`).
            "Deployment" => {
                new["spec"] != old["spec"] || new["metadata"]["annotations"] != old["metadata"]["annotations"]
            }
            "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration" => {
                !equal(&new["webhooks"], &old["webhooks"])
            }
            "EndpointSlice" => {
                new["endpoints"] != old["endpoints"]
                    || new["ports"] != old["ports"]
                    || new["metadata"]["labels"] != old["metadata"]["labels"]
            }
            "PodTemplate" => !equal(&new["template"], &old["template"]),
            _ if resource.custom => without_meta(new) != without_meta(old),
            _ => !equal(&new["spec"], &old["spec"]),
        };
        if changed {
            let generation = old["metadata"]["generation"].as_i64().unwrap_or_default();
            new["metadata"]["generation"] = (generation + 1).into();
        }
    }
}

/// A status update changes no specification. Most kinds take labels and annotations with it, as upstream does.
pub fn prepare_for_status_update(resource: &Resource, new: &mut Value, old: &Value, now: &str) {
    let kind = resource.kind.as_str();
    let mut result = old.clone();
    match new.get("status").cloned() {
        Some(mut status) => {
            // Whether a request is granted is said by another path.
            if kind == "CertificateSigningRequest" {
                keep_decisions(&mut status, &old["status"]);
            }
            super::gates::drop_disabled_status(kind, &mut status, &old["status"]);
            result["status"] = status;
        }
        None => _ = result.as_object_mut().map(|object| object.shift_remove("status")),
    }
    let metadata: &[&str] = match kind {
        _ if resource.custom => &[],
        // `deploymentStatusStrategy`: the controller writes the revision together with the status.
        "Deployment" => &["annotations"],
        "APIService" => &[],
        _ => &["labels", "annotations", "finalizers"],
    };
    for field in metadata.iter().chain(&["managedFields"]) {
        keep(&mut result["metadata"], &new["metadata"], field);
    }
    if kind == "Pod" {
        super::gates::drop_observed_generation(&mut result["status"], &old["status"]);
    }
    if kind == "Pod"
        && result.pointer("/status/qosClass").and_then(Value::as_str).unwrap_or_default().is_empty()
        && let Some(class) = old.pointer("/status/qosClass")
    {
        result["status"]["qosClass"] = class.clone();
    }
    // Whoever changes the phase may say since when, and else it is since now.
    let since = |object: &Value| object.pointer("/status/lastPhaseTransitionTime").cloned();
    let phase = |object: &Value| object.pointer("/status/phase").cloned();
    if kind == "PersistentVolume" && phase(&result) == phase(old) && since(&result).is_none() {
        keep(map_value(&mut result, "status"), &old["status"], "lastPhaseTransitionTime");
    }
    if kind == "PersistentVolume"
        && phase(&result) != phase(old)
        && (since(&result).is_none() || since(&result) == since(old))
    {
        result["status"]["lastPhaseTransitionTime"] = now.into();
    }
    *new = result;
}

/// The conditions `Approved` and `Denied` stay as they were (`csrStatusStrategy.PrepareForUpdate`).
fn keep_decisions(status: &mut Value, old: &Value) {
    let decides = |condition: &&Value| condition["type"] == "Approved" || condition["type"] == "Denied";
    let list = |status: &Value| status["conditions"].as_array().cloned().unwrap_or_default();
    let mut all: Vec<Value> = list(old).iter().filter(decides).cloned().collect();
    all.extend(list(status).iter().filter(|condition| !decides(condition)).cloned());
    if all.is_empty() {
        status.as_object_mut().map(|status| status.shift_remove("conditions"));
    } else {
        status["conditions"] = all.into();
    }
}

fn without_meta(object: &Value) -> Value {
    let mut object = object.clone();
    object.as_object_mut().map(|object| object.shift_remove("metadata"));
    object
}

fn keep(new: &mut Value, old: &Value, field: &str) {
    match old.get(field) {
        Some(value) => new[field] = value.clone(),
        None => _ = new.as_object_mut().map(|object| object.shift_remove(field)),
    }
}

/// What no client can change (`rest.BeforeUpdate`).
fn keep_metadata(new: &mut Value, old: &Value) {
    map_in(new, "metadata");
    for field in
        ["uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation", "selfLink"]
    {
        keep(&mut new["metadata"], &old["metadata"], field);
    }
}
