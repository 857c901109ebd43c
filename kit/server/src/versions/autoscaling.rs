//! HorizontalPodAutoscalers of `autoscaling/v1`, which are kept in version 2.
//!
//! The first version has a field for the use of processors alone. Everything else stands in annotations, as JSON of types of its own.
//! Source: `pkg/apis/autoscaling/v1/conversion.go`, `pkg/apis/autoscaling/annotations.go`.

use crate::rules::map_in;
use serde_json::{Map, Value, json};

const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";
const CURRENT: &str = "autoscaling.alpha.kubernetes.io/current-metrics";
const CONDITIONS: &str = "autoscaling.alpha.kubernetes.io/conditions";
const BEHAVIOR: &str = "autoscaling.alpha.kubernetes.io/behavior";
/// What the first version asks for where it doesn't say (`autoscaling.DefaultCPUUtilization`).
const CPU: i64 = 80;

/// The sorts of metrics: the type, its field, and each field of the first version with its place in the second. In a
/// status both say `current` for `target`.
type Sort = (&'static str, &'static str, &'static [(&'static str, &'static [&'static str])]);

const NAME: (&str, &[&str]) = ("metricName", &["metric", "name"]);
const SELECTOR: (&str, &[&str]) = ("selector", &["metric", "selector"]);
const UTILIZATION: (&str, &[&str]) = ("targetAverageUtilization", &["target", "averageUtilization"]);
const AVERAGE: (&str, &[&str]) = ("targetAverageValue", &["target", "averageValue"]);
const VALUE: (&str, &[&str]) = ("targetValue", &["target", "value"]);

const SORTS: [Sort; 5] = [
    (
        "Object",
        "object",
        &[("target", &["describedObject"]), NAME, VALUE, SELECTOR, ("averageValue", &["target", "averageValue"])],
    ),
    ("Pods", "pods", &[NAME, AVERAGE, SELECTOR]),
    ("Resource", "resource", &[("name", &["name"]), UTILIZATION, AVERAGE]),
    (
        "ContainerResource",
        "containerResource",
        &[("name", &["name"]), UTILIZATION, AVERAGE, ("container", &["container"])],
    ),
    ("External", "external", &[NAME, ("metricSelector", &["metric", "selector"]), VALUE, AVERAGE]),
];

pub fn keep(object: &mut Value) {
    let mut annotations = Map::new();
    if let Some(there) = object["metadata"].get_mut("annotations").and_then(Value::as_object_mut) {
        for name in [METRICS, CURRENT, CONDITIONS, BEHAVIOR] {
            annotations.extend(there.shift_remove(name).map(|text| (name.to_string(), text)));
        }
        if there.is_empty() {
            object["metadata"].as_object_mut().map(|metadata| metadata.shift_remove("annotations"));
        }
    }
    // What can't be read is dropped, as upstream drops it.
    let said = |name: &str| -> Option<Value> { serde_json::from_str(annotations.get(name)?.as_str()?).ok() };
    let list = |name: &str| said(name).and_then(|list| list.as_array().cloned()).unwrap_or_default();
    let spec = map_in(object, "spec");
    let percent = spec.shift_remove("targetCPUUtilizationPercentage").and_then(|percent| percent.as_i64());
    let mut metrics: Vec<Value> = percent.map(|percent| of_cpu("target", percent)).into_iter().collect();
    metrics.extend(list(METRICS).iter().map(|metric| second(metric, "target")));
    if metrics.is_empty() {
        metrics.push(of_cpu("target", CPU));
    }
    spec.insert("metrics".into(), metrics.into());
    if let Some(behavior) = said(BEHAVIOR).filter(Value::is_object) {
        spec.insert("behavior".into(), capitals(&behavior, false));
    }
    let Some(status) = object.get_mut("status").and_then(Value::as_object_mut) else { return };
    let percent = status.shift_remove("currentCPUUtilizationPercentage").and_then(|percent| percent.as_i64());
    let current = list(CURRENT).iter().map(|metric| second(metric, "current")).collect::<Vec<_>>();
    let current = match (current.is_empty(), percent) {
        (true, Some(percent)) => vec![of_cpu("current", percent)],
        _ => current,
    };
    for (field, list) in [("currentMetrics", current), ("conditions", list(CONDITIONS))] {
        if !list.is_empty() {
            status.insert(field.into(), list.into());
        }
    }
}

pub fn show(object: &mut Value) {
    let mut annotations = Map::new();
    let mut say = |name: &str, value: Value| _ = annotations.insert(name.into(), value.to_string().into());
    if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
        let metrics = spec.shift_remove("metrics");
        let metrics: Vec<&Value> = metrics.iter().filter_map(Value::as_array).flatten().collect();
        let percent = metrics.iter().find_map(|metric| cpu(metric, "target"));
        spec.extend(percent.map(|percent| ("targetCPUUtilizationPercentage".to_string(), percent.into())));
        let others: Vec<Value> = metrics
            .iter()
            .filter(|metric| cpu(metric, "target").is_none())
            .map(|metric| first(metric, "target"))
            .collect();
        if !others.is_empty() {
            say(METRICS, others.into());
        }
        if let Some(behavior) = spec.shift_remove("behavior").filter(Value::is_object) {
            say(BEHAVIOR, whole(&capitals(&behavior, true)));
        }
    }
    if let Some(status) = object.get_mut("status").and_then(Value::as_object_mut) {
        let list = |value: Option<Value>| value.and_then(|list| list.as_array().cloned()).unwrap_or_default();
        let current = list(status.shift_remove("currentMetrics"));
        let percent = current.iter().find_map(|metric| cpu(metric, "current"));
        status.extend(percent.map(|percent| ("currentCPUUtilizationPercentage".to_string(), percent.into())));
        if !current.is_empty() {
            say(CURRENT, current.iter().map(|metric| first(metric, "current")).collect());
        }
        let conditions = list(status.shift_remove("conditions"));
        if !conditions.is_empty() {
            say(CONDITIONS, conditions.into());
        }
    }
    if !annotations.is_empty() {
        let metadata = map_in(object, "metadata");
        let there = metadata.entry("annotations").or_insert_with(|| json!({}));
        there.as_object_mut().into_iter().for_each(|there| there.extend(annotations.clone()));
    }
}

fn of_cpu(part: &str, percent: i64) -> Value {
    let mut value = json!({"averageUtilization": percent});
    if part == "target" {
        value["type"] = "Utilization".into();
    }
    json!({"type": "Resource", "resource": {"name": "cpu", part: value}})
}

/// How much of the processors is asked for or used, in percent, if the metric is about that.
fn cpu(metric: &Value, part: &str) -> Option<i64> {
    let of_cpu = metric["type"] == "Resource" && metric["resource"]["name"] == "cpu";
    of_cpu.then(|| metric["resource"][part]["averageUtilization"].as_i64())?
}

/// A name of the first version in a specification or a status.
fn named(name: &str, part: &str) -> String {
    match name.strip_prefix("target") {
        Some(rest) if !rest.is_empty() => format!("{part}{rest}"),
        _ => name.into(),
    }
}

/// Amounts that the first version's status has no pointer to.
fn is_always_told(field: &str, name: &str) -> bool {
    let amount = if ["object", "external"].contains(&field) { "targetValue" } else { "targetAverageValue" };
    name == amount
}

/// A metric of the second version as the first one has it.
fn first(metric: &Value, part: &str) -> Value {
    let mut told = json!({"type": metric["type"]});
    for (_, field, places) in SORTS.iter().filter(|(type_, ..)| metric["type"] == *type_) {
        for (name, place) in *places {
            let mut value = &metric[*field];
            place.iter().for_each(|step| value = &value[if *step == "target" { part } else { step }]);
            let zero = "0".into();
            let value = if value.is_null() && part == "current" && is_always_told(field, name) { &zero } else { value };
            if !value.is_null() {
                told[*field][named(name, part)] = value.clone();
            }
        }
    }
    told
}

/// A metric of the first version as the second one has it.
fn second(metric: &Value, part: &str) -> Value {
    let mut told = json!({"type": metric["type"]});
    for (_, field, places) in SORTS.iter().filter(|(type_, ..)| metric["type"] == *type_) {
        for (name, place) in *places {
            let value = &metric[*field][named(name, part)];
            if value.is_null() {
                continue;
            }
            let mut at = &mut told[*field];
            for step in *place {
                at = &mut at[if *step == "target" { part } else { step }];
            }
            *at = value.clone();
        }
        if part == "target" {
            let target = &mut told[*field]["target"];
            let sorts = [("averageUtilization", "Utilization"), ("averageValue", "AverageValue"), ("value", "Value")];
            if let Some((_, type_)) = sorts.iter().find(|(field, _)| !target[*field].is_null()) {
                target["type"] = (*type_).into();
            }
        }
    }
    told
}

/// Rules of scaling with field names as Go has them, or as JSON does: this annotation was made of a type without JSON names.
fn capitals(value: &Value, up: bool) -> Value {
    let turn = |name: &str| {
        let mut letters = name.chars();
        let head = letters.next().into_iter().map(|c| if up { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() });
        head.collect::<String>() + letters.as_str()
    };
    match value {
        Value::Object(fields) => {
            let there = fields.iter().filter(|(_, value)| up || !value.is_null());
            there.map(|(name, value)| (turn(name), capitals(value, up))).collect()
        }
        Value::Array(items) => items.iter().map(|item| capitals(item, up)).collect(),
        other => other.clone(),
    }
}

/// The same with all fields, as Go writes what has no `omitempty`.
fn whole(behavior: &Value) -> Value {
    let rules = |name: &str| match &behavior[name] {
        Value::Object(rules) => {
            let field = |name: &str| (name.to_string(), rules.get(name).cloned().unwrap_or_default());
            ["StabilizationWindowSeconds", "SelectPolicy", "Policies", "Tolerance"].map(field).into_iter().collect()
        }
        _ => Value::Null,
    };
    json!({"ScaleUp": rules("ScaleUp"), "ScaleDown": rules("ScaleDown")})
}
