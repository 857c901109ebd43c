//! What of an object is shown, by its kind.
//!
//! What is usual is left out: a number that is missing is 0, a flag false, a text and a list empty.

use super::form::State;
use crate::timeline::observe::waits;
use kit_api::meta::ObjectMeta;
use kit_api::pod;
use kit_api::pod_resources::{self, RequestOptions};
use kit_apimachinery::object::{Kind, Object};
use kit_server::{Stored, containers, targets};
use serde_json::{Map, Value};

/// Kinds of which nothing is shown: they change all the time, or every cluster has the same.
const LEFT_OUT: [&str; 18] = [
    "APIService",
    "ClusterRole",
    "ClusterRoleBinding",
    "ControllerRevision",
    "CSINode",
    "Endpoints",
    "Event",
    "EndpointSlice",
    "FlowSchema",
    "IPAddress",
    "Lease",
    "PriorityClass",
    "PriorityLevelConfiguration",
    "Role",
    "RoleBinding",
    "RuntimeClass",
    "ServiceAccount",
    "ServiceCIDR",
];

/// Whether a recording has objects of this kind.
pub fn is_shown(kind: Kind) -> bool {
    !LEFT_OUT.contains(&kind.name())
}

/// Whether something is shown of objects of this kind, if only at another object.
pub fn is_watched(kind: Kind) -> bool {
    is_shown(kind) || matches!(kind, Kind::Event | Kind::EndpointSlice)
}

/// The annotation by which a Deployment numbers its ReplicaSets.
const REVISION: &str = "deployment.kubernetes.io/revision";

/// A state as it comes together.
#[derive(Default)]
struct Fields(State);

impl Fields {
    /// Sets a field, unless its value is what is meant without it.
    fn put(&mut self, name: &str, value: impl Into<Value>) {
        let value = value.into();
        let usual = match &value {
            Value::Null | Value::Bool(false) => true,
            Value::Number(number) => number.as_f64() == Some(0.0),
            Value::String(text) => text.is_empty(),
            Value::Array(list) => list.is_empty(),
            Value::Bool(true) | Value::Object(_) => false,
        };
        if !usual {
            self.0.insert(name.into(), value);
        }
    }

    /// `Progressing False (ProgressDeadlineExceeded)`
    fn conditions<'a>(&mut self, all: impl Iterator<Item = (&'a str, &'a str, Option<&'a str>)>) {
        let text = |(kind, status, reason): (&str, &str, Option<&str>)| {
            let reason = reason.filter(|reason| !reason.is_empty()).map_or(String::new(), |why| format!(" ({why})"));
            format!("{kind} {status}{reason}")
        };
        let all: Vec<String> = all.map(text).collect();
        self.put("conditions", all);
    }
}

/// The conditions of a status, for [`Fields::conditions`].
macro_rules! conditions {
    ($fields:expr, $status:expr) => {
        $fields.conditions(
            $status.conditions.iter().flatten().map(|c| (c.type_.as_str(), c.status.as_str(), c.reason.as_deref())),
        )
    };
}

/// What is shown of an object. `node` gives the number of a node by its name.
pub fn of(stored: &Stored, node: &mut dyn FnMut(&str) -> usize) -> State {
    let mut fields = Fields::default();
    match &stored.object {
        Object::Node(object) => self::node(object, &mut fields),
        Object::Pod(object) => self::pod(object, node, &mut fields),
        Object::Deployment(object) => {
            let spec = object.spec.as_ref();
            let status = object.status.clone().unwrap_or_default();
            fields.put("want", spec.and_then(|spec| spec.replicas).unwrap_or(1));
            fields.put("pods", status.replicas);
            fields.put("updated", status.updated_replicas);
            fields.put("ready", status.ready_replicas);
            fields.put("available", status.available_replicas);
            fields.put("paused", spec.and_then(|spec| spec.paused));
            fields.put("revision", revision(&object.metadata));
            conditions!(fields, status);
        }
        Object::ReplicaSet(object) => {
            let status = object.status.clone().unwrap_or_default();
            fields.put("want", object.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1));
            fields.put("pods", status.replicas);
            fields.put("ready", status.ready_replicas);
            fields.put("available", status.available_replicas);
            fields.put("revision", revision(&object.metadata));
            conditions!(fields, status);
        }
        Object::HorizontalPodAutoscaler(object) => {
            let status = object.status.clone().unwrap_or_default();
            fields.put("want", status.desired_replicas);
            fields.put("now", status.current_replicas);
            let spec = &object.spec;
            fields.put("least", spec.as_ref().and_then(|spec| spec.min_replicas));
            fields.put("most", spec.as_ref().map(|spec| spec.max_replicas));
            let metrics = targets(&stored.object.to_value());
            fields.put("metrics", metrics.split(", ").map(Value::from).collect::<Vec<_>>());
            conditions!(fields, status);
        }
        Object::PodDisruptionBudget(object) => {
            let status = object.status.clone().unwrap_or_default();
            fields.put("allowed", status.disruptions_allowed);
            fields.put("healthy", status.current_healthy);
            fields.put("desired", status.desired_healthy);
            fields.put("pods", status.expected_pods);
        }
        object => rest(stored.key.kind.name(), &object.to_value(), &mut fields),
    }
    let meta = stored.object.meta();
    fields.put("deleting", meta.deletion_timestamp.is_some());
    fields.put("finalizers", meta.finalizers.clone().unwrap_or_default());
    fields.0
}

fn revision(meta: &ObjectMeta) -> Option<i64> {
    meta.annotations.as_ref()?.get(REVISION)?.parse().ok()
}

fn node(object: &kit_api::core::Node, fields: &mut Fields) {
    let status = object.status.as_ref();
    let mut conditions = status.into_iter().flat_map(|status| status.conditions.iter().flatten());
    let ready = conditions.clone().find(|condition| condition.type_ == "Ready");
    fields.put(
        "ready",
        match ready.map(|ready| ready.status.as_str()) {
            Some("True") => Value::from(true),
            Some("Unknown") => "Unknown".into(),
            _ => false.into(),
        },
    );
    let pressing = |type_: &str| type_.ends_with("Pressure");
    let pressure = conditions.by_ref().filter(|condition| pressing(&condition.type_) && condition.status == "True");
    fields.put("pressure", pressure.map(|condition| Value::from(condition.type_.as_str())).collect::<Vec<_>>());
    let spec = object.spec.as_ref();
    fields.put("cordoned", spec.and_then(|spec| spec.unschedulable));
    let taints = spec.and_then(|spec| spec.taints.as_ref()).into_iter().flatten();
    let mut taints: Vec<String> = taints.flat_map(kit_contract::Show::lines).collect();
    taints.sort();
    fields.put("taints", taints);
    let allocatable = pod_resources::resources(status.and_then(|status| status.allocatable.as_ref()));
    fields.put("cpu", allocatable.get("cpu").map(|cpu| cpu.milli_value()));
    fields.put("memory", allocatable.get("memory").map(|memory| memory.value()));
}

fn pod(object: &kit_api::core::Pod, node: &mut dyn FnMut(&str) -> usize, fields: &mut Fields) {
    if let Some(name) = pod::node_name(object) {
        // Its number may be 0, which says something.
        fields.0.insert("node".into(), node(name).into());
    }
    let shown = containers(object);
    fields.put("phase", pod::phase(object));
    fields.put("ready", pod::is_ready(object));
    fields.put("status", shown.status);
    fields.put("restarts", shown.restarts);
    let nominated = object.status.as_ref().and_then(|status| status.nominated_node_name.as_deref());
    if let Some(name) = nominated.filter(|name| !name.is_empty()) {
        fields.0.insert("nominated".into(), node(name).into());
    }
    let requests = pod_resources::requests(object, &RequestOptions::default());
    fields.put("cpu", requests.get("cpu").map(|cpu| cpu.milli_value()));
    fields.put("memory", requests.get("memory").map(|memory| memory.value()));
    fields.put("reason", waits(object));
}

/// Objects without a type here, or without a need for it.
fn rest(kind: &str, object: &Value, fields: &mut Fields) {
    let (spec, status) = (&object["spec"], &object["status"]);
    let all = |fields: &mut Fields, pairs: &[(&str, &Value)]| {
        pairs.iter().for_each(|(name, value)| fields.put(name, (*value).clone()));
    };
    match kind {
        "StatefulSet" => all(
            fields,
            &[
                ("want", &spec["replicas"]),
                ("pods", &status["replicas"]),
                ("updated", &status["updatedReplicas"]),
                ("ready", &status["readyReplicas"]),
                ("available", &status["availableReplicas"]),
            ],
        ),
        "DaemonSet" => all(
            fields,
            &[
                ("want", &status["desiredNumberScheduled"]),
                ("pods", &status["currentNumberScheduled"]),
                ("updated", &status["updatedNumberScheduled"]),
                ("ready", &status["numberReady"]),
                ("available", &status["numberAvailable"]),
            ],
        ),
        "ReplicationController" => all(
            fields,
            &[
                ("want", &spec["replicas"]),
                ("pods", &status["replicas"]),
                ("ready", &status["readyReplicas"]),
                ("available", &status["availableReplicas"]),
            ],
        ),
        "Job" => {
            let want = if spec["completions"].is_null() { &spec["parallelism"] } else { &spec["completions"] };
            all(
                fields,
                &[
                    ("want", want),
                    ("pods", &status["active"]),
                    ("ready", &status["ready"]),
                    ("succeeded", &status["succeeded"]),
                    ("failed", &status["failed"]),
                    ("paused", &spec["suspend"]),
                ],
            );
        }
        "CronJob" => {
            fields.put("pods", status["active"].as_array().map_or(0, Vec::len));
            all(fields, &[("paused", &spec["suspend"]), ("schedule", &spec["schedule"])]);
        }
        // A Namespace, a claim, a volume.
        _ => all(fields, &[("phase", &status["phase"])]),
    }
    if ["StatefulSet", "DaemonSet", "ReplicationController", "Job"].contains(&kind) {
        let conditions = status["conditions"].as_array().into_iter().flatten();
        let of = |condition: &Value, field: &str| condition[field].as_str().unwrap_or_default().to_string();
        let said: Vec<_> =
            conditions.map(|condition| ["type", "status", "reason"].map(|field| of(condition, field))).collect();
        fields.conditions(said.iter().map(|[kind, status, reason]| (&**kind, &**status, Some(&**reason))));
    }
}

/// What is other now: fields with their new values, and null for those that are gone.
pub fn difference(before: &State, now: &State) -> State {
    let mut changed: State = Map::new();
    for (name, value) in now {
        if before.get(name) != Some(value) {
            changed.insert(name.clone(), value.clone());
        }
    }
    changed.extend(before.keys().filter(|name| !now.contains_key(*name)).map(|name| (name.clone(), Value::Null)));
    changed
}

/// Lays a change over a state.
pub fn lay_over(state: &mut State, change: &State) {
    for (name, value) in change {
        match value {
            Value::Null => _ = state.shift_remove(name),
            value => _ = state.insert(name.clone(), value.clone()),
        }
    }
}
