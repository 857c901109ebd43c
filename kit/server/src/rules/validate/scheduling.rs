//! Where pods may run: affinity, tolerations, spreading.
//!
//! Source: `pkg/apis/core/validation/validation.go`.

use super::{meta, resources};
use crate::field::{At, Errors, quoted};
use kit_api::name;

const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];
const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

pub fn affinity(e: &mut Errors, affinity: &At<'_>) {
    let node = affinity.get("nodeAffinity");
    if node.get(REQUIRED).is_set() {
        node_selector(e, &node.get(REQUIRED));
    }
    for preferred in node.get(PREFERRED).items() {
        weight(e, &preferred.get("weight"));
        node_selector_term(e, &preferred.get("preference"), false);
    }
    for field in ["podAffinity", "podAntiAffinity"] {
        let pods = affinity.get(field);
        for term in pods.get(REQUIRED).items() {
            pod_term(e, &term);
        }
        for preferred in pods.get(PREFERRED).items() {
            weight(e, &preferred.get("weight"));
            pod_term(e, &preferred.get("podAffinityTerm"));
        }
    }
}

fn weight(e: &mut Errors, at: &At<'_>) {
    if !at.int().is_some_and(|weight| (1..=100).contains(&weight)) {
        e.invalid(at, "must be in the range 1-100");
    }
}

/// A `NodeSelector`.
pub fn node_selector(e: &mut Errors, selector: &At<'_>) {
    let terms = selector.get("nodeSelectorTerms");
    if terms.is_empty() {
        return e.required(&terms, "must have at least one node selector term");
    }
    for term in terms.items() {
        node_selector_term(e, &term, true);
    }
}

fn node_selector_term(e: &mut Errors, term: &At<'_>, required: bool) {
    for requirement in term.get("matchExpressions").items() {
        let (operator, values) = (requirement.get("operator"), requirement.get("values"));
        match operator.text() {
            "Gt" | "Lt" if values.len() != 1 => {
                e.required(&values, "must be specified single value when `operator` is 'Lt' or 'Gt'");
            }
            "Gt" | "Lt" => {}
            _ => meta::values_of_operator(e, &requirement),
        }
        meta::label_name(e, &requirement.get("key"));
        // The values of preferences are not looked at.
        for value in values.items().iter().filter(|_| required) {
            e.all_invalid(value, name::label_value(value.text()));
        }
    }
    for requirement in term.get("matchFields").items() {
        let (operator, values) = (requirement.get("operator"), requirement.get("values"));
        match operator.text() {
            "In" | "NotIn" if values.len() != 1 => {
                e.required(
                    &values,
                    "must be only one value when `operator` is 'In' or 'NotIn' for node field selector",
                );
            }
            "In" | "NotIn" => {}
            _ => e.invalid(&operator, "not a valid selector operator"),
        }
        match requirement.get("key").text() {
            "metadata.name" => {
                for value in values.items() {
                    e.all_invalid(&value, name::dns1123_subdomain(value.text()));
                }
            }
            _ => e.invalid(&requirement.get("key"), "not a valid field selector key"),
        }
    }
}

fn pod_term(e: &mut Errors, term: &At<'_>) {
    meta::label_selector(e, &term.get("labelSelector"));
    meta::label_selector(e, &term.get("namespaceSelector"));
    for namespace in term.get("namespaces").items() {
        let at = At { value: namespace.value, path: format!("{}.namespace", term.path) };
        e.all_invalid(&at, name::dns1123_label(namespace.text()));
    }
    label_keys(e, term);
    topology_key(e, &term.get("topologyKey"));
    meta::label_name(e, &term.get("topologyKey"));
}

fn label_keys(e: &mut Errors, term: &At<'_>) {
    for field in ["matchLabelKeys", "mismatchLabelKeys"] {
        let keys = term.get(field);
        if term.get("labelSelector").is_set() {
            keys.items().iter().for_each(|key| meta::label_name(e, key));
        } else if !keys.is_empty() {
            e.forbidden(&keys, "must not be specified when labelSelector is not set");
        }
    }
    let (matched, mismatched) = (term.get("matchLabelKeys"), term.get("mismatchLabelKeys"));
    for key in matched.items() {
        if mismatched.items().iter().any(|other| other.text() == key.text()) {
            e.invalid(&key, "exists in both matchLabelKeys and mismatchLabelKeys");
        }
    }
}

fn topology_key(e: &mut Errors, key: &At<'_>) {
    if key.text().is_empty() {
        e.required(key, "can not be empty");
    }
}

pub fn spread(e: &mut Errors, constraints: &At<'_>) {
    let pair = |constraint: &At<'_>| {
        format!("{{{}, {}}}", constraint.get("topologyKey").text(), constraint.get("whenUnsatisfiable").text())
    };
    let all = constraints.items();
    for (index, constraint) in all.iter().enumerate() {
        let skew = constraint.get("maxSkew");
        if skew.int().unwrap_or_default() <= 0 {
            e.invalid(&skew, "must be greater than zero");
        }
        let (key, when) = (constraint.get("topologyKey"), constraint.get("whenUnsatisfiable"));
        topology_key(e, &key);
        if !["DoNotSchedule", "ScheduleAnyway"].contains(&when.text()) {
            e.not_supported(&when, &["DoNotSchedule", "ScheduleAnyway"]);
        }
        if all[index + 1..].iter().any(|later| pair(later) == pair(constraint)) {
            let at = At { value: key.value, path: format!("{}.{{topologyKey, whenUnsatisfiable}}", constraint.path) };
            e.duplicate(&at, &quoted(pair(constraint)));
        }
        let domains = constraint.get("minDomains");
        if domains.int().is_some_and(|domains| domains <= 0) {
            e.invalid(&domains, "must be greater than zero");
        }
        if domains.is_set() && when.text() != "DoNotSchedule" {
            let why = "can only use minDomains if whenUnsatisfiable=DoNotSchedule, not";
            e.invalid(&domains, &format!("{why} {}", when.text()));
        }
        for field in ["nodeAffinityPolicy", "nodeTaintsPolicy"] {
            let policy = constraint.get(field);
            if policy.is_set() && !["Honor", "Ignore"].contains(&policy.text()) {
                e.not_supported(&policy, &["Honor", "Ignore"]);
            }
        }
        let keys = constraint.get("matchLabelKeys");
        let selector = constraint.get("labelSelector");
        if !keys.is_empty() && !selector.is_set() {
            e.forbidden(&keys, "must not be specified when labelSelector is not set");
        }
        for key in keys.items() {
            meta::label_name(e, &key);
            let required = selector.get("matchExpressions").items();
            let said = selector.get("matchLabels").key(key.text()).is_set()
                || required.iter().any(|requirement| requirement.get("key").text() == key.text());
            if said {
                e.invalid(&key, "exists in both matchLabelKeys and labelSelector");
            }
        }
        meta::label_selector(e, &selector);
    }
}

pub fn tolerations(e: &mut Errors, tolerations: &At<'_>) {
    for toleration in tolerations.items() {
        let (key, operator) = (toleration.get("key"), toleration.get("operator"));
        let (value, effect) = (toleration.get("value"), toleration.get("effect"));
        if !key.text().is_empty() {
            meta::label_name(e, &key);
        }
        if key.text().is_empty() && operator.text() != "Exists" {
            let why = "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
            e.invalid_as(&operator, &quoted(operator.text()), why);
        }
        if toleration.get("tolerationSeconds").is_set() && effect.text() != "NoExecute" {
            let why = "effect must be 'NoExecute' when `tolerationSeconds` is set";
            e.invalid_as(&effect, &quoted(effect.text()), why);
        }
        match operator.text() {
            "" | "Equal" => {
                let problems = name::label_value(value.text());
                if !problems.is_empty() {
                    e.invalid_as(&operator, &quoted(value.text()), &problems.join(";"));
                }
            }
            "Exists" if !value.text().is_empty() => {
                e.invalid_as(&operator, &quoted(value.text()), "value must be empty when `operator` is 'Exists'");
            }
            "Exists" => {}
            _ => e.not_supported(&operator, &["Equal", "Exists"]),
        }
        if !effect.text().is_empty() {
            taint_effect(e, &effect, true);
        }
    }
}

/// What a taint does, or a toleration is about.
pub fn taint_effect(e: &mut Errors, effect: &At<'_>, may_be_empty: bool) {
    match effect.text() {
        "" if may_be_empty => {}
        "" => e.required(effect, ""),
        text if EFFECTS.contains(&text) => {}
        _ => e.not_supported(effect, &EFFECTS),
    }
}

/// A RuntimeClass (`pkg/apis/node/validation/validation.go`).
pub fn runtime_class(e: &mut Errors, class: &At<'_>) {
    let handler = class.get("handler");
    name::dns1123_label(handler.text()).iter().for_each(|why| e.invalid_text(&handler, why));
    let fixed = class.at("overhead.podFixed");
    resources::overhead(e, &fixed.as_path("overhead".into()));
    meta::labels(e, &class.at("scheduling.nodeSelector"));
    // Upstream names the list twice.
    tolerations(e, &class.at("scheduling.tolerations").as_path("scheduling.tolerations.tolerations".into()));
}
