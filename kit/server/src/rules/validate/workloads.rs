//! Deployments, ReplicaSets, StatefulSets, DaemonSets and autoscalers.
//!
//! Sources: `pkg/apis/apps/validation/validation.go`, `pkg/apis/autoscaling/validation/validation.go`.

use super::{meta, pod, resources};
use crate::field::{At, Errors};
use crate::go;
use kit_api::meta::LabelSelector;
use kit_api::selector::Selector;
use std::collections::BTreeMap;

pub fn deployment(e: &mut Errors, spec: &At<'_>) {
    e.not_negative(&spec.get("replicas"));
    selector(e, spec, "deployment");
    template(e, spec, "ReplicaSet");
    deployment_strategy(e, &spec.get("strategy"));
    for field in ["minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds"] {
        e.not_negative(&spec.get(field));
    }
    let (deadline, ready) = (spec.get("progressDeadlineSeconds"), spec.get("minReadySeconds"));
    if deadline.int().is_some_and(|deadline| deadline <= ready.int().unwrap_or_default()) {
        e.invalid(&deadline, "must be greater than minReadySeconds");
    }
}

pub fn replica_set(e: &mut Errors, spec: &At<'_>) {
    e.not_negative(&spec.get("replicas"));
    e.not_negative(&spec.get("minReadySeconds"));
    selector(e, spec, "deployment");
    template(e, spec, "ReplicaSet");
}

pub fn replication_controller(e: &mut Errors, spec: &At<'_>) {
    e.not_negative(&spec.get("minReadySeconds"));
    if spec.get("selector").is_empty() {
        e.required(&spec.get("selector"), "");
    }
    e.not_negative(&spec.get("replicas"));
    match spec.get("template").is_set() {
        true => {
            let labels = spec.at("template.metadata.labels");
            let matches = |(key, value): &(&str, At<'_>)| labels.key(key).value == value.value;
            if !spec.get("selector").is_empty() && !spec.get("selector").entries().iter().all(matches) {
                let why = "`selector` does not match template `labels`";
                e.invalid_as(&labels, &go::string_map(labels.value), why);
            }
            template_of_pods(e, spec, "ReplicationController");
        }
        false => e.required(&spec.get("template"), ""),
    }
}

fn selector(e: &mut Errors, spec: &At<'_>, of: &str) {
    let selector = spec.get("selector");
    if !selector.is_set() {
        return e.required(&selector, "");
    }
    meta::label_selector(e, &selector);
    not_empty(e, &selector, of);
}

fn not_empty(e: &mut Errors, selector: &At<'_>, of: &str) {
    let empty = selector.get("matchLabels").is_empty() && selector.get("matchExpressions").is_empty();
    if selector.is_set() && empty {
        let shown = go::dump_named(selector.value, "meta.LabelSelector");
        e.invalid_as(selector, &shown, &format!("empty selector is invalid for {of}"));
    }
}

/// Whether a selector, as it is in an object, finds these labels; none if it makes no sense.
pub fn selects(selector: &At<'_>, labels: &At<'_>) -> Option<bool> {
    let selector: LabelSelector = serde_json::from_value(selector.value.clone()).ok()?;
    let labels: BTreeMap<String, String> = serde_json::from_value(labels.value.clone()).unwrap_or_default();
    Selector::try_from(Some(&selector)).ok().map(|selector| selector.matches(&labels))
}

/// A template whose pods live for ever (`ValidatePodTemplateSpecForReplicaSet` and its siblings).
fn template(e: &mut Errors, spec: &At<'_>, of: &str) {
    let template = spec.get("template");
    if !template.is_set() {
        return e.required(&template, "");
    }
    if let Some(why) = unparsable(spec) {
        return e.invalid_as(&spec.get("selector"), &why, "invalid label selector");
    }
    labels_match(e, spec);
    template_of_pods(e, spec, of);
}

/// How a selector is shown that can't be made one; its details were told before.
fn unparsable(spec: &At<'_>) -> Option<String> {
    let selector = spec.get("selector");
    let parsed = selects(&selector, &spec.at("template.metadata.labels"));
    (selector.is_set() && parsed.is_none()).then(|| go::dump_named(selector.value, "meta.LabelSelector"))
}

/// No selector finds nothing, and an empty one everything.
fn labels_match(e: &mut Errors, spec: &At<'_>) {
    let (selector, labels) = (spec.get("selector"), spec.at("template.metadata.labels"));
    if !selector.is_set() || selects(&selector, &labels) == Some(false) {
        let why = "`selector` does not match template `labels`";
        e.invalid_as(&labels, &go::string_map(labels.value), why);
    }
}

fn template_of_pods(e: &mut Errors, spec: &At<'_>, of: &str) {
    pod::template(e, &spec.get("template"));
    lives_for_ever(e, spec, of);
}

fn lives_for_ever(e: &mut Errors, spec: &At<'_>, of: &str) {
    let template = spec.get("template");
    let policy = template.at("spec.restartPolicy");
    if policy.text() != "Always" {
        e.not_supported(&policy, &["Always"]);
    }
    if template.at("spec.activeDeadlineSeconds").is_set() {
        let why = format!("activeDeadlineSeconds in {of} is not Supported");
        e.forbidden(&template.at("spec.activeDeadlineSeconds"), &why);
    }
}

fn deployment_strategy(e: &mut Errors, strategy: &At<'_>) {
    let rolling = strategy.get("rollingUpdate");
    match strategy.get("type").text() {
        "Recreate" if rolling.is_set() => {
            e.forbidden(&rolling, "may not be specified when strategy `type` is 'Recreate'");
        }
        "Recreate" => {}
        "RollingUpdate" if !rolling.is_set() => e.required(&rolling, "this should be defaulted and never be nil"),
        "RollingUpdate" => {
            let (unavailable, surge) = (rolling.get("maxUnavailable"), rolling.get("maxSurge"));
            count_or_percent(e, &unavailable);
            count_or_percent(e, &surge);
            if is_zero(&unavailable) && is_zero(&surge) {
                let shown = go::int_or_string(unavailable.value);
                e.invalid_as(&unavailable, &shown, "may not be 0 when `maxSurge` is 0");
            }
            at_most_all(e, &unavailable);
        }
        _ => {
            let shown = go::dump_named(strategy.value, "apps.DeploymentStrategy");
            e.not_supported_as(strategy, &shown, &["Recreate", "RollingUpdate"]);
        }
    }
}

fn percent(at: &At<'_>) -> Option<i64> {
    at.text().strip_suffix('%').and_then(|number| number.parse().ok())
}

fn is_zero(at: &At<'_>) -> bool {
    percent(at).or(at.int()).unwrap_or_default() == 0
}

/// A number of pods, or a part of them (`ValidatePositiveIntOrPercent`).
pub fn count_or_percent(e: &mut Errors, at: &At<'_>) {
    match at.value.as_str() {
        Some(text) => {
            let digits = text.strip_suffix('%').is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
            if !digits {
                let why = "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or \
                           '93%', regex used for validation is '[0-9]+%')";
                e.invalid_as(at, &go::int_or_string(at.value), why);
            }
        }
        None => e.not_negative(at),
    }
}

/// A part that is no more than the whole (`IsNotMoreThan100Percent`).
pub fn at_most_all(e: &mut Errors, at: &At<'_>) {
    if percent(at).is_some_and(|percent| percent > 100) {
        e.invalid_as(at, &go::int_or_string(at.value), "must not be greater than 100%");
    }
}

pub fn stateful_set(e: &mut Errors, spec: &At<'_>) {
    let policy = spec.get("podManagementPolicy");
    match policy.text() {
        "" => e.required(&policy, ""),
        "OrderedReady" | "Parallel" => {}
        _ => e.invalid(&policy, "must be 'OrderedReady' or 'Parallel'"),
    }
    let strategy = spec.get("updateStrategy");
    let rolling = strategy.get("rollingUpdate");
    match strategy.get("type").text() {
        "" => e.required(&strategy, ""),
        "OnDelete" if rolling.is_set() => {
            let shown = go::dump_named(rolling.value, "apps.RollingUpdateStatefulSetStrategy");
            e.invalid_as(&rolling, &shown, "only allowed for updateStrategy 'RollingUpdate'");
        }
        "OnDelete" => {}
        "RollingUpdate" => {
            e.not_negative(&rolling.get("partition"));
            let unavailable = rolling.get("maxUnavailable");
            if unavailable.is_set() {
                count_or_percent(e, &unavailable);
                if is_zero(&unavailable) {
                    e.invalid_as(&unavailable, &go::int_or_string(unavailable.value), "cannot be 0");
                }
                at_most_all(e, &unavailable);
            }
        }
        _ => {
            let shown = go::dump_named(strategy.value, "apps.StatefulSetUpdateStrategy");
            e.invalid_as(&strategy, &shown, "must be 'RollingUpdate' or 'OnDelete'");
        }
    }
    let retention = spec.get("persistentVolumeClaimRetentionPolicy");
    for field in ["whenDeleted", "whenScaled"] {
        let policy = retention.get(field);
        if policy.is_set() && !["Retain", "Delete"].contains(&policy.text()) {
            e.not_supported(&policy, &["Retain", "Delete"]);
        }
    }
    e.not_negative(&spec.get("replicas"));
    e.not_negative(&spec.get("minReadySeconds"));
    e.not_negative(&spec.at("ordinals.start"));
    let service = spec.get("serviceName");
    if !service.text().is_empty() {
        e.all_invalid(&service, kit_api::name::dns1123_label(service.text()));
    }
    selector(e, spec, "statefulset");
    if let Some(shown) = unparsable(spec) {
        e.invalid_as(&spec.get("selector"), &shown, "");
    } else {
        labels_match(e, spec);
        // The pods themselves aren't looked at: their volumes may be those of claims that are still to be made.
        pod::template_metadata(e, &spec.get("template"));
    }
    lives_for_ever(e, spec, "StatefulSet");
}

pub fn daemon_set(e: &mut Errors, spec: &At<'_>) {
    let by = spec.get("selector");
    meta::label_selector(e, &by);
    if unparsable(spec).is_none() {
        labels_match(e, spec);
    }
    not_empty(e, &by, "daemonset");
    template_of_pods(e, spec, "DaemonSet");
    e.not_negative(&spec.get("minReadySeconds"));
    let strategy = spec.get("updateStrategy");
    let rolling = strategy.get("rollingUpdate");
    match strategy.get("type").text() {
        "OnDelete" => {}
        "RollingUpdate" if !rolling.is_set() => e.required(&rolling, ""),
        "RollingUpdate" => {
            let (unavailable, surge) = (rolling.get("maxUnavailable"), rolling.get("maxSurge"));
            count_or_percent(e, &unavailable);
            count_or_percent(e, &surge);
            at_most_all(e, &unavailable);
            at_most_all(e, &surge);
            match (is_zero(&unavailable), is_zero(&surge)) {
                (false, false) => {
                    let shown = go::int_or_string(surge.value);
                    e.invalid_as(&surge, &shown, "may not be set when maxUnavailable is non-zero");
                }
                (true, true) => e.required(&unavailable, "cannot be 0 when maxSurge is 0"),
                _ => {}
            }
        }
        _ => {
            let shown = go::dump_named(strategy.value, "apps.DaemonSetUpdateStrategy");
            e.not_supported_as(&strategy, &shown, &["RollingUpdate", "OnDelete"]);
        }
    }
    e.not_negative(&spec.get("revisionHistoryLimit"));
}

pub fn autoscaler(e: &mut Errors, spec: &At<'_>) {
    let (least, most) = (spec.get("minReplicas"), spec.get("maxReplicas"));
    if least.int().is_some_and(|least| least < 1) {
        e.invalid(&least, "must be greater than or equal to 1");
    }
    if most.int().unwrap_or_default() < 1 {
        e.invalid(&most, "must be greater than 0");
    }
    if least.int().is_some_and(|least| most.int().unwrap_or_default() < least) {
        e.invalid(&most, "must be greater than or equal to `minReplicas`");
    }
    object_reference(e, &spec.get("scaleTargetRef"));
    let metrics = spec.get("metrics");
    for metric in metrics.items() {
        metric_spec(e, &metric);
    }
    let of_others = |metric: &At<'_>| ["Object", "External"].contains(&metric.get("type").text());
    if least.int() == Some(0) && !metrics.items().iter().any(of_others) {
        let why = "must specify at least one Object or External metric to support scaling to zero replicas";
        e.forbidden(&metrics, why);
    }
    for direction in ["scaleUp", "scaleDown"] {
        let rules = spec.get("behavior").get(direction);
        let window = rules.get("stabilizationWindowSeconds");
        if window.int().is_some_and(|window| window < 0) {
            e.invalid(&window, "must be greater than or equal to zero");
        }
        if window.int().is_some_and(|window| window > 3600) {
            e.invalid(&window, "must be less than or equal to 3600");
        }
        let select = rules.get("selectPolicy");
        if select.is_set() && !["Max", "Min", "Disabled"].contains(&select.text()) {
            e.not_supported(&select, &["Disabled", "Max", "Min"]);
        }
        if rules.is_set() && rules.get("policies").is_empty() {
            e.required(&rules.get("policies"), "must specify at least one Policy");
        }
        for policy in rules.get("policies").items() {
            if !["Pods", "Percent"].contains(&policy.get("type").text()) {
                e.not_supported(&policy.get("type"), &["Percent", "Pods"]);
            }
            for field in ["value", "periodSeconds"] {
                if policy.get(field).int().unwrap_or_default() <= 0 {
                    e.invalid(&policy.get(field), "must be greater than zero");
                }
            }
            if policy.get("periodSeconds").int().is_some_and(|seconds| seconds > 1800) {
                e.invalid(&policy.get("periodSeconds"), "must be less than or equal to 1800");
            }
        }
    }
}

/// Something of a kind and a name (`ValidateCrossVersionObjectReference`).
fn object_reference(e: &mut Errors, target: &At<'_>) {
    for field in ["kind", "name"] {
        match target.get(field).text() {
            "" => e.required(&target.get(field), ""),
            text => e.all_invalid(&target.get(field), meta::path_segment(text)),
        }
    }
}

/// Each type of metric with the field that describes it.
const METRICS: [(&str, &str); 5] = [
    ("ContainerResource", "containerResource"),
    ("External", "external"),
    ("Object", "object"),
    ("Pods", "pods"),
    ("Resource", "resource"),
];

fn metric_spec(e: &mut Errors, metric: &At<'_>) {
    let type_ = metric.get("type");
    let types = METRICS.map(|(type_, _)| type_);
    match type_.text() {
        text if types.contains(&text) => {}
        text => {
            if text.is_empty() {
                e.required(&type_, "must specify a metric source type");
            }
            e.not_supported(&type_, &types);
        }
    }
    // Only the first that is there is looked at.
    let sources = ["object", "external", "pods", "resource", "containerResource"];
    if let Some(field) = sources.into_iter().find(|field| metric.get(field).is_set()) {
        metric_source(e, &metric.get(field), field);
    }
    match METRICS.iter().find(|(name, _)| *name == type_.text()) {
        Some((_, field)) if !metric.get(field).is_set() => {
            e.required(&metric.get(field), "must populate information for the given metric source");
        }
        Some(_) => {}
        // Upstream says it a second time.
        None => e.not_supported(&type_, &types),
    }
    let said = METRICS.iter().filter(|(_, field)| metric.get(field).is_set());
    if said.clone().count() > 1 {
        for (_, field) in said.filter(|(name, _)| *name != type_.text()) {
            e.forbidden(&metric.get(field), "must populate the given metric source only");
        }
    }
}

fn metric_source(e: &mut Errors, source: &At<'_>, field: &str) {
    let target = source.get("target");
    let (value, average) = (target.get("value"), target.get("averageValue"));
    let utilization = target.get("averageUtilization");
    if field == "object" {
        object_reference(e, &source.get("describedObject"));
    }
    let (resource, container) = (source.get("name"), source.get("container"));
    if matches!(field, "resource" | "containerResource") {
        match resource.text() {
            "" => e.required(&resource, "must specify a resource name"),
            text if field == "containerResource" => resources::container_name(e, &resource, text),
            _ => {}
        }
    } else {
        let metric = source.at("metric.name");
        match metric.text() {
            "" => e.required(&metric, "must specify a metric name"),
            text => e.all_invalid(&metric, meta::path_segment(text)),
        }
    }
    if field == "containerResource" {
        match container.text() {
            "" => e.required(&container, "must specify a container"),
            text => e.all_invalid(&container, kit_api::name::dns1123_label(text)),
        }
    }
    match target.get("type").text() {
        "Utilization" | "Value" | "AverageValue" => {}
        text => {
            if text.is_empty() {
                e.required(&target.get("type"), "must specify a metric target type");
            }
            e.invalid_text(&target.get("type"), "must be either Utilization, Value, or AverageValue");
        }
    }
    for amount in [&value, &average] {
        if amount.is_set() && resources::quantity(amount).sign() <= 0 {
            e.invalid_as(amount, &go::quantity(amount.value), "must be positive");
        }
    }
    if utilization.int().is_some_and(|utilization| utilization < 1) {
        e.invalid(&utilization, "must be greater than 0");
    }
    match field {
        "resource" | "containerResource" => match (utilization.is_set(), average.is_set()) {
            (false, false) => {
                e.required(&utilization, "must set either a target raw value or a target utilization");
            }
            (true, true) => e.forbidden(&average, "may not set both a target raw value and a target utilization"),
            _ => {}
        },
        "pods" if !average.is_set() => e.required(&average, "must specify a positive target averageValue"),
        "object" | "external" if !value.is_set() && !average.is_set() => {
            let why = "must set either a target value or averageValue";
            let at = if field == "external" { target.get("averageValue") } else { average };
            e.required(
                &at,
                if field == "external" { "must set either a target value for metric or a per-pod target" } else { why },
            );
        }
        "external" if value.is_set() && average.is_set() => {
            e.forbidden(&value, "may not set both a target value for metric and a per-pod target");
        }
        _ => {}
    }
}
