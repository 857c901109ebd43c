//! Which changes of an object are not allowed.
//!
//! Sources: `Validate*Update` of `pkg/apis/*/validation/validation.go`.

use super::course::{Part, parts};
use super::validate;
use crate::apiextensions;
use crate::diff::diff;
use crate::field::{At, Errors, quoted};
use crate::go::{dump, dump_list};
use crate::schema::named;
use kit_apimachinery::managed::equal;
use kit_apimachinery::resource::Resource;
use serde_json::Value;
use std::collections::BTreeSet;

/// What is said of a change of what can't change.
pub const IMMUTABLE: &str = "field is immutable";

/// Says what is wrong with a change, and with what came of it.
pub fn validate_update(resource: &Resource, new: &Value, old: &Value) -> Errors {
    let mut errors = Errors::default();
    let (at, was, e) = (At::root(new), At::root(old), &mut errors);
    validate::common_metadata(e, resource, &at, &was);
    for part in parts(resource) {
        match part {
            Part::Metadata => validate::changed_metadata(e, resource, &at, &was),
            Part::Whole => {
                validate::metadata(e, resource, &at);
                e.0.extend(rules(resource, new).0);
            }
            Part::Again if resource.kind == "Job" => validate::job_spec(e, &at.get("spec")),
            Part::Again => e.0.extend(rules(resource, new).0),
            Part::Change => change(e, resource, &at, &was),
        }
    }
    errors
}

/// What may not change.
fn change(e: &mut Errors, resource: &Resource, at: &At<'_>, was: &At<'_>) {
    match resource.kind.as_str() {
        _ if resource.custom => {
            resource
                .definition
                .iter()
                .for_each(|version| apiextensions::validate_update(e, version, at.value, was.value));
        }
        "CustomResourceDefinition" => definition(e, at, was),
        "Pod" => pod(e, at, was),
        "Deployment" | "ReplicaSet" | "DaemonSet" => {
            immutable(e, &at.at("spec.selector"), &was.at("spec.selector"), "meta.LabelSelector")
        }
        "StatefulSet" => stateful_set(e, at, was),
        "Job" => job(e, &at.get("spec"), &was.get("spec")),
        "Service" => service(e, &at.get("spec"), &was.get("spec")),
        "ConfigMap" => immutable_data(e, at, was, &["data", "binaryData"]),
        "Secret" => {
            same_text(e, &at.get("type"), &was.get("type"));
            immutable_data(e, at, was, &["data"]);
        }
        "Node" => {
            validate::node_status(e, &at.get("status"));
            node(e, &at.get("spec"), &was.get("spec"));
            validate::node_taints(e, at);
        }
        "ResourceQuota" => {
            let (scopes, before) = (at.at("spec.scopes"), was.at("spec.scopes"));
            let names = |list: &At<'_>| -> BTreeSet<String> {
                list.items().iter().map(|scope| scope.text().to_string()).collect()
            };
            if names(&scopes) != names(&before) {
                e.invalid_as(&scopes, &dump_list(scopes.value, "core.ResourceQuotaScope"), IMMUTABLE);
            }
        }
        "PersistentVolumeClaim" => claim(e, at, was),
        "PriorityClass" => {
            if at.get("value").value != was.get("value").value {
                e.forbidden(&at.get("value"), "may not be changed in an update.");
            }
            same(e, &at.get("preemptionPolicy"), &was.get("preemptionPolicy"));
        }
        "StorageClass" => {
            for field in ["parameters", "provisioner", "reclaimPolicy"] {
                if at.get(field).value != was.get(field).value {
                    e.forbidden(&at.get(field), &format!("updates to {field} are forbidden."));
                }
            }
            same(e, &at.get("volumeBindingMode"), &was.get("volumeBindingMode"));
        }
        "PersistentVolume" => volume(e, at, was),
        "VolumeAttachment" => immutable(e, &at.get("spec"), &was.get("spec"), "storage.VolumeAttachmentSpec"),
        "CSINode" => csi_node(e, &at.at("spec.drivers"), &was.at("spec.drivers")),
        "CSIDriver" => {
            let (spec, before) = (at.get("spec"), was.get("spec"));
            // Told of under another name than it has.
            let attach = spec.get("attachRequired").as_path("spec.attachedRequired".into());
            same(e, &attach, &before.get("attachRequired"));
            let modes = spec.get("volumeLifecycleModes");
            if modes.value != before.get("volumeLifecycleModes").value {
                e.invalid_as(&modes, &dump_list(modes.value, "storage.VolumeLifecycleMode"), IMMUTABLE);
            }
        }
        "RoleBinding" | "ClusterRoleBinding" => {
            let (role, before) = (at.get("roleRef"), was.get("roleRef"));
            if role.value != before.value {
                let shown = named("rbac.RoleRef").map(|of| dump(role.value, of)).unwrap_or_default();
                e.invalid_as(&role, &shown, "cannot change roleRef");
            }
        }
        "ControllerRevision" if at.get("data").value != was.get("data").value => {
            e.invalid_as(&at.get("data"), &raw(at.get("data").value), IMMUTABLE);
        }
        "EndpointSlice" => same_text(e, &at.get("addressType"), &was.get("addressType")),
        "RuntimeClass" => same_text(e, &at.get("handler"), &was.get("handler")),
        "CSIStorageCapacity" => {
            immutable(e, &at.get("nodeTopology"), &was.get("nodeTopology"), "meta.LabelSelector");
            same_text(e, &at.get("storageClassName"), &was.get("storageClassName"));
        }
        "ServiceCIDR" => validate::ranges_changed(e, &at.at("spec.cidrs"), &was.at("spec.cidrs")),
        "IPAddress" => {
            let (of, before) = (at.at("spec.parentRef"), was.at("spec.parentRef"));
            immutable(e, &of, &before, "networking.ParentReference");
        }
        "IngressClass" => same_text(e, &at.at("spec.controller"), &was.at("spec.controller")),
        _ => {}
    }
}

/// Says what is wrong with a pod that has got ephemeral containers (`ValidatePodEphemeralContainersUpdate`).
pub fn validate_guests(resource: &Resource, new: &Value) -> Errors {
    as_a_whole(resource, new)
}

/// What only a new object is held to: `ValidatePodCreate`, `AllowInvalidServiceName` and `ValidateControllerRevisionCreate`.
const NEW_ONLY: [(&str, &str); 3] =
    [("Pod", "spec.ephemeralContainers"), ("StatefulSet", "spec.serviceName"), ("ControllerRevision", "data")];

/// What is wrong with an object that isn't new, apart from its metadata.
fn rules(resource: &Resource, object: &Value) -> Errors {
    let mut errors = validate::rules(resource, object);
    errors.0.retain(|cause| !NEW_ONLY.contains(&(&*resource.kind, &*cause.field)));
    errors
}

/// The same with its metadata.
fn as_a_whole(resource: &Resource, object: &Value) -> Errors {
    let mut errors = Errors::default();
    validate::metadata(&mut errors, resource, &At::root(object));
    errors.0.extend(rules(resource, object).0);
    errors
}

/// Says what is wrong with a resize of a pod, after which it is of this class.
pub fn validate_resize(resource: &Resource, new: &Value, old: &Value, class: &str) -> Errors {
    let mut errors = as_a_whole(resource, new);
    validate::resize::pod(&mut errors, &At::root(new), &At::root(old), class);
    errors
}

/// Says what is wrong with a write of the status.
pub fn validate_status_update(resource: &Resource, new: &Value, old: &Value) -> Errors {
    let mut errors = Errors::default();
    if !resource.custom {
        validate::status::update(&mut errors, resource, &At::root(new), &At::root(old));
    }
    resource.definition.iter().for_each(|version| apiextensions::validate_status(&mut errors, version, new, old));
    errors
}

/// Names that objects are stored under stay, and so do versions that may be in the store.
fn definition(e: &mut Errors, at: &At<'_>, was: &At<'_>) {
    let served = apiextensions::definition::is_true(was.value, "Established");
    let when_served: &[&str] = if served { &["spec.scope", "spec.names.kind"] } else { &[] };
    for path in when_served.iter().chain(&["spec.group", "spec.names.plural"]) {
        same_text(e, &at.at(path), &was.at(path));
    }
}

/// The same of a text that is always there in Go, and may be empty.
fn same_text(e: &mut Errors, new: &At<'_>, old: &At<'_>) {
    if new.text() != old.text() {
        e.invalid_text(new, IMMUTABLE);
    }
}

fn same(e: &mut Errors, new: &At<'_>, old: &At<'_>) {
    if new.value != old.value {
        e.invalid(new, IMMUTABLE);
    }
}

/// Bytes of JSON, as Go shows them.
fn raw(value: &Value) -> String {
    let bytes = match value {
        Value::Null => "(nil)".into(),
        value => {
            let bytes: Vec<String> = value.to_string().bytes().map(|byte| format!("{byte:#x}")).collect();
            format!("{{{}}}", bytes.join(", "))
        }
    };
    format!("runtime.RawExtension{{Raw:[]uint8{bytes}, Object:runtime.Object(nil)}}")
}

fn immutable(e: &mut Errors, new: &At<'_>, old: &At<'_>, of: &str) {
    // All of them are pointers, and none is shown as such.
    if new.value != old.value && !new.is_set() {
        e.invalid(new, IMMUTABLE);
    } else if new.value != old.value {
        let shown = named(of).map(|of| dump(new.value, of)).unwrap_or_default();
        e.invalid_as(new, &shown, IMMUTABLE);
    }
}

fn immutable_data(e: &mut Errors, new: &At<'_>, old: &At<'_>, fields: &[&str]) {
    if !old.get("immutable").flag() {
        return;
    }
    let why = "field is immutable when `immutable` is set";
    if !new.get("immutable").flag() {
        e.forbidden(&new.get("immutable"), why);
    }
    for field in fields {
        if new.get(field).value != old.get(field).value {
            e.forbidden(&new.get(field), why);
        }
    }
}

fn pod(e: &mut Errors, pod: &At<'_>, was: &At<'_>) {
    let (spec, old) = (pod.get("spec"), was.get("spec"));
    for list in ["containers", "initContainers"] {
        if spec.get(list).len() != old.get(list).len() {
            return e.forbidden(&spec.get(list), "pod updates may not add or remove containers");
        }
    }
    let (deadline, before) = (spec.get("activeDeadlineSeconds"), old.get("activeDeadlineSeconds"));
    match (deadline.int(), before.int()) {
        (Some(now), Some(before)) if now > before => {
            return e.invalid(&deadline, "must be less than or equal to previous value");
        }
        (None, Some(_)) => e.invalid(&deadline, "must not update from a positive integer to nil value"),
        _ => {}
    }
    let (tolerations, before) = (spec.get("tolerations"), old.get("tolerations"));
    if !before.items().iter().all(|old| tolerations.items().iter().any(|new| tolerates_the_same(new, old))) {
        e.forbidden(&tolerations, "existing toleration can not be modified except its tolerationSeconds");
    }
    let (gates, before) = (spec.get("schedulingGates"), old.get("schedulingGates"));
    let names: Vec<&str> = before.items().iter().map(|gate| gate.get("name").text()).collect();
    for gate in gates.items() {
        let name = gate.get("name");
        if !names.contains(&name.text()) {
            let why = format!("only deletion is allowed, but found new scheduling gate '{}'", name.text());
            e.forbidden(&name, &why);
        }
    }
    if equal(spec.value, old.value) {
        return;
    }
    let munged = munged_spec(&spec, &old);
    if munged != *old.value {
        let why = "pod updates may not change fields other than `spec.containers[*].image`,\
                   `spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to \
                   existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was \
                   previously negative)";
        let shown = named("core.PodSpec").map(|of| diff(old.value, &munged, of)).unwrap_or_default();
        e.forbidden(&spec, &format!("{why}\n{shown}"));
    }
}

fn tolerates_the_same(new: &At<'_>, old: &At<'_>) -> bool {
    ["key", "operator", "value", "effect"].iter().all(|field| new.get(field).text() == old.get(field).text())
}

/// The new spec with all that may change as it was.
fn munged_spec(spec: &At<'_>, old: &At<'_>) -> Value {
    let mut munged = spec.value.clone();
    let restore = |munged: &mut Value, from: &Value, field: &str| match from.get(field) {
        Some(value) => munged[field] = value.clone(),
        None => _ = munged.as_object_mut().map(|spec| spec.shift_remove(field)),
    };
    for list in ["containers", "initContainers"] {
        for (index, container) in old.get(list).items().iter().enumerate() {
            restore(&mut munged[list][index], container.value, "image");
        }
    }
    for field in ["activeDeadlineSeconds", "tolerations", "schedulingGates"] {
        restore(&mut munged, old.value, field);
    }
    let grace = "terminationGracePeriodSeconds";
    if old.get(grace).int().is_some_and(|seconds| seconds < 0) && spec.get(grace).int() == Some(1) {
        restore(&mut munged, old.value, grace);
    }
    // A gated pod may become choosier about nodes.
    if !old.get("schedulingGates").is_empty() {
        let narrower = old
            .get("nodeSelector")
            .entries()
            .iter()
            .all(|(key, value)| spec.get("nodeSelector").key(key).value == value.value);
        if narrower {
            restore(&mut munged, old.value, "nodeSelector");
        }
        if !old.at("affinity.nodeAffinity").is_set() && spec.at("affinity.nodeAffinity").is_set() {
            restore(&mut munged, old.value, "affinity");
        }
    }
    munged
}

fn stateful_set(e: &mut Errors, new: &At<'_>, old: &At<'_>) {
    const MUTABLE: [&str; 7] = [
        "replicas",
        "ordinals",
        "template",
        "updateStrategy",
        "revisionHistoryLimit",
        "persistentVolumeClaimRetentionPolicy",
        "minReadySeconds",
    ];
    let fixed = |spec: &At<'_>| {
        let mut spec = spec.value.clone();
        MUTABLE.iter().for_each(|field| _ = spec.as_object_mut().map(|spec| spec.shift_remove(*field)));
        spec
    };
    if fixed(&new.get("spec")) != fixed(&old.get("spec")) {
        let why = "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', \
                   'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and \
                   'minReadySeconds' are forbidden";
        e.forbidden(&new.get("spec"), why);
    }
}

fn job(e: &mut Errors, new: &At<'_>, old: &At<'_>) {
    let completions = new.get("completions");
    if completions.value != old.get("completions").value {
        // Indexed jobs may grow with their parallelism.
        let elastic = new.get("completionMode").text() == "Indexed"
            && completions.int().is_some()
            && completions.int() == new.get("parallelism").int();
        if !elastic {
            e.invalid(&completions, IMMUTABLE);
        }
    }
    immutable(e, &new.get("selector"), &old.get("selector"), "meta.LabelSelector");
    let mut template = new.get("template").value.clone();
    let before = old.get("template");
    if old.get("suspend").flag() && new.get("suspend").value.is_boolean() {
        // While a job waits, its pods may be steered to other nodes.
        for field in ["nodeSelector", "tolerations", "affinity", "schedulingGates"] {
            match before.value["spec"].get(field) {
                Some(value) => template["spec"][field] = value.clone(),
                None => _ = template["spec"].as_object_mut().map(|spec| spec.shift_remove(field)),
            }
        }
        template["metadata"] = before.value["metadata"].clone();
    }
    if template != *before.value {
        let at = new.get("template");
        let shown = named("core.PodTemplateSpec").map(|of| dump(at.value, of)).unwrap_or_default();
        e.invalid_as(&at, &shown, IMMUTABLE);
    }
    same(e, &new.get("completionMode"), &old.get("completionMode"));
    immutable(e, &new.get("podFailurePolicy"), &old.get("podFailurePolicy"), "batch.PodFailurePolicy");
    same(e, &new.get("backoffLimitPerIndex"), &old.get("backoffLimitPerIndex"));
    same(e, &new.get("managedBy"), &old.get("managedBy"));
    immutable(e, &new.get("successPolicy"), &old.get("successPolicy"), "batch.SuccessPolicy");
}

fn service(e: &mut Errors, new: &At<'_>, old: &At<'_>) {
    let has = |spec: &At<'_>| spec.get("type").text() != "ExternalName";
    let (addresses, before) = (new.get("clusterIPs"), old.get("clusterIPs"));
    let first = |list: &At<'_>| list.items().first().map(|item| item.text().to_string());
    if has(new) && has(old) && first(&before).is_some() && first(&addresses) != first(&before) {
        let list: Vec<String> = addresses.items().iter().map(|item| quoted(item.text())).collect();
        let at = At { value: addresses.value, path: format!("{}[0]", addresses.path) };
        e.invalid_as(&at, &format!("[]string{{{}}}", list.join(", ")), "may not change once set");
    }
}

fn node(e: &mut Errors, new: &At<'_>, old: &At<'_>) {
    let (ranges, before) = (new.get("podCIDRs"), old.get("podCIDRs"));
    if !before.is_empty() && ranges.value != before.value {
        e.forbidden(&ranges, "node updates may not change podCIDR except from \"\" to valid");
    }
    let (provider, before) = (new.get("providerID"), old.get("providerID"));
    if !before.text().is_empty() && provider.value != before.value {
        e.forbidden(&provider, "node updates may not change providerID except from \"\" to valid");
    }
}

/// Where a volume is can't change, and from where it can be reached only once (`ValidatePersistentVolumeUpdate`).
fn volume(e: &mut Errors, new: &At<'_>, old: &At<'_>) {
    let source = |of: &At<'_>| -> Value {
        let said = validate::SOURCES.iter().map(|name| (name.to_string(), of.get("spec").get(name)));
        said.filter(|(_, at)| at.is_set()).map(|(name, at)| (name, at.value.clone())).collect()
    };
    let (mut now, before) = (source(new), source(old));
    let secret = "/csi/controllerExpandSecretRef";
    if before.get("csi").is_some() && before.pointer(secret).is_none_or(Value::is_null) && now.pointer(secret).is_some()
    {
        now["csi"].as_object_mut().into_iter().for_each(|csi| drop(csi.shift_remove("controllerExpandSecretRef")));
    }
    if now != before {
        let shown = named("core.PersistentVolumeSource").map(|of| diff(&before, &now, of)).unwrap_or_default();
        let at = At { value: new.value, path: "spec.persistentvolumesource".into() };
        e.forbidden(&at, &format!("spec.persistentvolumesource is immutable after creation\n{shown}"));
    }
    same(e, &new.at("spec.volumeMode").as_path("volumeMode".into()), &old.at("spec.volumeMode"));
    let affinity = new.at("spec.nodeAffinity").as_path("nodeAffinity".into());
    if old.at("spec.nodeAffinity").is_set() {
        immutable(e, &affinity, &old.at("spec.nodeAffinity"), "core.VolumeNodeAffinity");
    }
}

/// What a driver says of itself on a node stays.
fn csi_node(e: &mut Errors, new: &At<'_>, old: &At<'_>) {
    for before in old.items() {
        for driver in new.items().iter().filter(|driver| driver.get("name").value == before.get("name").value) {
            immutable(e, &driver.as_path(new.path.clone()), &before, "storage.CSINodeDriver");
        }
    }
}

fn claim(e: &mut Errors, new: &At<'_>, old: &At<'_>) {
    let (mut now, mut before) = (new.get("spec").value.clone(), old.get("spec").value.clone());
    let copy = |from: &Value, to: &mut Value, field: &str| match from.get(field) {
        Some(value) => to[field] = value.clone(),
        None => _ = to.as_object_mut().map(|spec| spec.shift_remove(field)),
    };
    if old.at("spec.volumeName").text().is_empty() {
        copy(&now, &mut before, "volumeName");
    }
    if !old.at("spec.storageClassName").is_set() {
        copy(&before, &mut now, "storageClassName");
    }
    let bound = old.at("status.phase").text() == "Bound";
    if bound {
        now["resources"]["requests"] = before["resources"]["requests"].clone();
        copy(&before, &mut now, "volumeAttributesClassName");
    }
    if now != before {
        let why = "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound \
                   claims";
        let shown = named("core.PersistentVolumeClaimSpec").map(|of| diff(&before, &now, of)).unwrap_or_default();
        e.forbidden(&new.get("spec"), &format!("{why}\n{shown}"));
    }
    let asked = new.at("spec.resources.requests.storage");
    let [size, was, held] = [&asked, &old.at("spec.resources.requests.storage"), &old.at("status.capacity.storage")]
        .map(|at| at.text().parse::<kit_api::Quantity>().unwrap_or_default());
    if size < was && size <= held {
        e.forbidden(&asked, "field can not be less than status.capacity");
    }
}
