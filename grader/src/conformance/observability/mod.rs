//! Tables of what watches a cluster: recorded from Prometheus, Alertmanager and the clients of Python.

mod alertmanager;
mod metrics;
mod promql;
mod rules;
mod trace;

use super::Check;
use kit_observability::duration;
use serde_json::Value;
use std::collections::BTreeMap;

/// The check for one table by its name, if it is covered.
pub fn check(table: &str) -> Option<Check> {
    Some(match table {
        "alert_routes" => alertmanager::routes,
        "alert_rules" => rules::alert_rules,
        "alertmanager_scenarios" => alertmanager::scenarios,
        "baggage" => trace::baggage,
        "exposition_parse" => metrics::parse,
        "exposition_render" => metrics::render,
        "head_sampling" => trace::head_sampling,
        "promql" => promql::promql,
        "traceparent" => trace::traceparent,
        _ => return None,
    })
}

fn text<'a>(value: &'a Value, field: &str) -> Result<&'a str, String> {
    value[field].as_str().ok_or_else(|| format!("the case has no {field}"))
}

fn list<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value[field].as_array().map_or(&[], Vec::as_slice)
}

fn milliseconds(value: &Value, field: &str) -> Result<i64, String> {
    duration::parse(text(value, field)?)
}

fn labels(value: &Value) -> BTreeMap<String, String> {
    let pairs = value.as_object().into_iter().flatten();
    pairs.map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_string())).collect()
}

/// A number, or the name of one that JSON has not.
fn number(value: &Value) -> Result<f64, String> {
    match value {
        Value::String(text) => kit_observability::number::parse(text).ok_or_else(|| format!("{text} is no number")),
        other => other.as_f64().ok_or_else(|| format!("{other} is no number")),
    }
}

/// Sums of floats depend on their order.
fn same(a: f64, b: f64) -> bool {
    a == b || a.is_nan() && b.is_nan() || (a - b).abs() <= 1e-12 * a.abs().max(b.abs())
}
