//! What the module of admission sees of a pod, and how its answer is written into the pod.

use super::super::rules::{items_in, map_in};
use kit_api::pod_resources::Text;
pub use kit_contract::control_plane::admission::Pod;
use kit_contract::control_plane::admission::{Amounts, Container};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const LIMIT_RANGER: &str = "kubernetes.io/limit-ranger";
const LISTS: [(&str, &str); 2] = [("containers", "container"), ("initContainers", "init container")];

/// Amounts as JSON has them; what is no amount is left out, since validation says so.
pub fn amounts(value: &Value) -> Amounts {
    let entries = value.as_object().into_iter().flatten();
    entries.filter_map(|(name, amount)| Some((name.clone(), amount.as_str()?.parse().ok()?))).collect()
}

/// Amounts as typed objects have them.
pub fn list(of: &Option<BTreeMap<String, Text>>) -> Amounts {
    of.iter().flatten().filter_map(|(name, amount)| Some((name.clone(), amount.0.parse().ok()?))).collect()
}

/// What admission looks at.
pub fn pod(value: &Value) -> Pod {
    let spec = &value["spec"];
    let containers = |field: &str| -> Vec<Container> {
        let all = spec[field].as_array().into_iter().flatten();
        let container = |container: &Value| Container {
            name: container["name"].as_str().unwrap_or_default().into(),
            requests: amounts(&container["resources"]["requests"]),
            limits: amounts(&container["resources"]["limits"]),
            sidecar: field == "initContainers" && container["restartPolicy"] == "Always",
        };
        all.map(container).collect()
    };
    let text = |field: &str| spec[field].as_str().map(String::from);
    let tolerations = spec["tolerations"].as_array().into_iter().flatten();
    Pod {
        containers: containers("containers"),
        init_containers: containers("initContainers"),
        priority_class_name: text("priorityClassName"),
        priority: spec["priority"].as_i64().and_then(|priority| i32::try_from(priority).ok()),
        preemption_policy: text("preemptionPolicy"),
        tolerations: tolerations.map(|value| serde_json::from_value(value.clone()).unwrap_or_default()).collect(),
        active_deadline_seconds: spec["activeDeadlineSeconds"].as_i64(),
        best_effort: value["status"]["qosClass"] == "BestEffort",
        cross_namespace_affinity: ["podAffinity", "podAntiAffinity"].iter().any(|kind| {
            let terms = spec["affinity"][kind].as_object().into_iter().flatten().flat_map(|(_, list)| list.as_array());
            terms.flatten().any(|term| {
                let term = if term["podAffinityTerm"].is_object() { &term["podAffinityTerm"] } else { term };
                term["namespaceSelector"].is_object()
                    || term["namespaces"].as_array().is_some_and(|all| !all.is_empty())
            })
        }),
    }
}

/// Writes into a pod what became of it. What hasn't changed stays as it was written.
pub fn change(value: &mut Value, before: &Pod, after: &Pod) {
    let mut said = Vec::new();
    let spec = map_in(value, "spec");
    for (field, title) in LISTS {
        let (old, new) = match field {
            "containers" => (&before.containers, &after.containers),
            _ => (&before.init_containers, &after.init_containers),
        };
        for ((container, old), new) in items_in(spec, field).zip(old).zip(new) {
            let requests = ("requests", "request", &old.requests, &new.requests);
            for (kind, word, old_amounts, amounts) in [requests, ("limits", "limit", &old.limits, &new.limits)] {
                let set: Vec<&str> =
                    amounts.keys().map(String::as_str).filter(|name| !old_amounts.contains_key(*name)).collect();
                if set.is_empty() {
                    continue;
                }
                let resources = container.entry("resources").or_insert_with(|| json!({}));
                for name in &set {
                    map_in(resources, kind).insert(name.to_string(), amounts[*name].to_string().into());
                }
                said.push(format!("{} {word} for {title} {}", set.join(", "), old.name));
            }
        }
    }
    if after.priority_class_name != before.priority_class_name
        && let Some(name) = &after.priority_class_name
    {
        spec.insert("priorityClassName".into(), name.as_str().into());
    }
    if let Some(priority) = after.priority.filter(|_| after.priority != before.priority) {
        spec.insert("priority".into(), priority.into());
    }
    if after.preemption_policy != before.preemption_policy
        && let Some(policy) = &after.preemption_policy
    {
        spec.insert("preemptionPolicy".into(), policy.as_str().into());
    }
    if after.tolerations != before.tolerations {
        let kept = if after.tolerations.starts_with(&before.tolerations) { before.tolerations.len() } else { 0 };
        let there = spec.entry("tolerations").or_insert_with(|| json!([]));
        let mut all = there.as_array().cloned().unwrap_or_default();
        all.truncate(kept);
        all.extend(after.tolerations[kept..].iter().filter_map(|t| serde_json::to_value(t).ok()));
        *there = all.into();
    }
    if !said.is_empty() {
        let metadata = map_in(value, "metadata");
        let annotations = metadata.entry("annotations").or_insert_with(|| json!({}));
        annotations[LIMIT_RANGER] = format!("LimitRanger plugin set: {}", said.join("; ")).into();
    }
}
