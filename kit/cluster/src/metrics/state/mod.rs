//! What kube-state-metrics says: the objects of the API server as series, and nothing that isn't in an object.
//!
//! Each kind has a table of metrics, and each metric says where in the object its values are. Names, help, labels and which
//! series there are: `internal/store` of `kubernetes/kube-state-metrics`, v2. Labels and annotations of objects are no series,
//! as there without `--metric-labels-allowlist`.

mod jobs;
mod others;
mod pods;
mod scaling;
mod workloads;

use kit_api::Quantity;
use kit_api::jiff::Timestamp;
use kit_apimachinery::object::Kind;
use kit_observability::exposition::{Family, Sample, Type};
use kit_server::Snapshot;
use serde_json::Value;

/// Labels that one series has beside those of its object, and its value.
type Row = (Vec<(&'static str, String)>, f64);

/// Where the values of a metric are in an object; places are JSON pointers.
enum Of {
    /// A number, 0 where nothing is said.
    Number(&'static str),
    /// A number; no series where nothing is said.
    Given(&'static str),
    /// Whether something is so.
    Flag(&'static str),
    /// A time in seconds since 1970; no series where nothing is said.
    Time(&'static str),
    /// An amount such as `10Gi`; no series where nothing is said.
    Amount(&'static str),
    /// Always 1: the texts are labels.
    Info(&'static [(&'static str, &'static str)]),
    /// 1 for the phase that it is in, and 0 for all others; no series without a phase.
    Phase(&'static str, &'static [&'static str]),
    /// Anything else.
    Rows(fn(&Value) -> Vec<Row>),
}

struct Metric {
    name: &'static str,
    help: &'static str,
    kind: Type,
    stable: bool,
    of: Of,
}

const fn stable(name: &'static str, help: &'static str, of: Of) -> Metric {
    Metric { name, help, kind: Type::Gauge, stable: true, of }
}

const fn alpha(name: &'static str, help: &'static str, of: Of) -> Metric {
    Metric { name, help, kind: Type::Gauge, stable: false, of }
}

const fn counter(name: &'static str, help: &'static str, of: Of) -> Metric {
    Metric { name, help, kind: Type::Counter, stable: true, of }
}

const CREATED: Of = Of::Time("/metadata/creationTimestamp");
const DELETED: Of = Of::Time("/metadata/deletionTimestamp");
const GENERATION: Of = Of::Number("/metadata/generation");
const OBSERVED: Of = Of::Number("/status/observedGeneration");
const BY_UNIX: &str = "Unix creation timestamp";
const UNTIL_UNIX: &str = "Unix deletion timestamp";
const SEQUENCE: &str = "Sequence number representing a specific generation of the desired state.";

/// The metrics of a kind, and what tells its objects apart.
struct Table {
    kind: Kind,
    labels: &'static [(&'static str, &'static str)],
    metrics: &'static [Metric],
}

static TABLES: [&Table; 13] = [
    &jobs::CRON_JOBS,
    &workloads::DAEMON_SETS,
    &workloads::DEPLOYMENTS,
    &scaling::AUTOSCALERS,
    &jobs::JOBS,
    &others::NAMESPACES,
    &others::NODES,
    &others::CLAIMS,
    &others::VOLUMES,
    &scaling::BUDGETS,
    &pods::PODS,
    &workloads::REPLICA_SETS,
    &workloads::STATEFUL_SETS,
];

/// All series of these objects.
pub fn families(snapshot: &Snapshot) -> Vec<Family> {
    TABLES.iter().flat_map(|table| of_kind(table, snapshot)).collect()
}

fn of_kind(table: &Table, snapshot: &Snapshot) -> Vec<Family> {
    let family = |metric: &Metric| {
        let help = if metric.stable { format!("[STABLE] {}", metric.help) } else { metric.help.into() };
        Family { name: metric.name.into(), help: Some(help), kind: metric.kind, samples: Vec::new() }
    };
    let mut families: Vec<Family> = table.metrics.iter().map(family).collect();
    for stored in snapshot.list(table.kind) {
        let object = stored.to_value();
        let own = table.labels.iter().map(|(label, at)| (label.to_string(), text(&object, at)));
        let own: Vec<(String, String)> = own.collect();
        for (metric, family) in table.metrics.iter().zip(&mut families) {
            let sample = |(labels, value): Row| {
                let more = labels.into_iter().map(|(label, value)| (label.to_string(), value));
                let labels = own.iter().cloned().chain(more).collect();
                Sample { name: metric.name.into(), labels, value, timestamp: None }
            };
            family.samples.extend(rows(&metric.of, &object).into_iter().map(sample));
        }
    }
    families
}

fn rows(of: &Of, object: &Value) -> Vec<Row> {
    let alone = |value: Option<f64>| value.map(|value| (Vec::new(), value)).into_iter().collect();
    match of {
        Of::Number(at) => alone(Some(number(object, at).unwrap_or(0.0))),
        Of::Given(at) => alone(number(object, at)),
        Of::Flag(at) => alone(Some(flag(object.pointer(at) == Some(&Value::Bool(true))))),
        Of::Time(at) => alone(seconds(object.pointer(at))),
        Of::Amount(at) => alone(object.pointer(at).and_then(amount)),
        Of::Info(labels) => {
            vec![(labels.iter().map(|(label, at)| (*label, text(object, at))).collect(), 1.0)]
        }
        Of::Phase(at, phases) => match text(object, at) {
            phase if phase.is_empty() => Vec::new(),
            phase => one_of("phase", &phase, phases),
        },
        Of::Rows(rows) => rows(object),
    }
}

fn number(object: &Value, at: &str) -> Option<f64> {
    object.pointer(at)?.as_f64()
}

fn flag(holds: bool) -> f64 {
    f64::from(u8::from(holds))
}

/// A text, or what else is there as a text; empty where nothing is.
fn text(object: &Value, at: &str) -> String {
    match object.pointer(at) {
        Some(Value::String(text)) => text.clone(),
        Some(value @ (Value::Bool(_) | Value::Number(_))) => value.to_string(),
        _ => String::new(),
    }
}

fn amount(value: &Value) -> Option<f64> {
    match value {
        Value::String(text) => Some(text.parse::<Quantity>().ok()?.approximate_f64()),
        value => value.as_f64(),
    }
}

/// Seconds since 1970 of a time as the API writes it.
fn seconds(value: Option<&Value>) -> Option<f64> {
    Some(value?.as_str()?.parse::<Timestamp>().ok()?.as_second() as f64)
}

fn list<'a>(object: &'a Value, at: &str) -> impl Iterator<Item = &'a Value> {
    object.pointer(at).and_then(Value::as_array).into_iter().flatten()
}

fn one_of(label: &'static str, is: &str, all: &[&'static str]) -> Vec<Row> {
    all.iter().map(|one| (vec![(label, one.to_string())], flag(is == *one))).collect()
}

/// One series for each status that a condition can have (`addConditionMetrics`).
fn statuses(label: &'static str, condition: &Value, before: &[(&'static str, &str)]) -> Vec<Row> {
    let status = text(condition, "/status");
    let row = |of: &str| {
        let before = before.iter().map(|(label, value)| (*label, value.to_string()));
        (before.chain([(label, of.to_lowercase())]).collect(), flag(status == of))
    };
    ["True", "False", "Unknown"].map(row).into()
}

/// All conditions of an object.
fn conditions(object: &Value) -> Vec<Row> {
    let all = list(object, "/status/conditions");
    all.flat_map(|condition| statuses("status", condition, &[("condition", &text(condition, "/type"))])).collect()
}

/// The conditions of one type.
fn condition(object: &Value, type_: &str) -> Vec<Row> {
    let all = list(object, "/status/conditions").filter(|condition| condition["type"] == type_);
    all.flat_map(|condition| statuses("condition", condition, &[])).collect()
}

/// Who an object belongs to; one series without a name if to nobody.
fn owners(object: &Value) -> Vec<Row> {
    let row = |kind: String, name: String, controls: &str| {
        (vec![("owner_kind", kind), ("owner_name", name), ("owner_is_controller", controls.into())], 1.0)
    };
    let of = |owner: &Value| {
        let controls = if owner["controller"] == true { "true" } else { "false" };
        row(text(owner, "/kind"), text(owner, "/name"), controls)
    };
    let rows: Vec<Row> = list(object, "/metadata/ownerReferences").map(of).collect();
    if rows.is_empty() { vec![row(String::new(), String::new(), "")] } else { rows }
}

/// Amounts of resources by their names: with underscores, and a unit. What is no resource of Kubernetes or of a vendor is left
/// out.
fn resources(amounts: &Value, before: &[(&'static str, &str)]) -> Vec<Row> {
    let row = |(name, value): (&String, &Value)| {
        let unit = unit(name)?;
        let before = before.iter().map(|(label, value)| (*label, value.to_string()));
        let resource = name.replace(|c: char| !c.is_ascii_alphanumeric() && c != '_', "_");
        Some((before.chain([("resource", resource), ("unit", unit.into())]).collect(), amount(value)?))
    };
    amounts.as_object().into_iter().flatten().filter_map(row).collect()
}

fn unit(resource: &str) -> Option<&'static str> {
    match resource {
        "cpu" => Some("core"),
        "memory" | "storage" | "ephemeral-storage" => Some("byte"),
        "pods" => Some("integer"),
        name if name.starts_with("hugepages-") || name.starts_with("attachable-volumes-") => Some("byte"),
        name if name.contains('/') && !name.contains("kubernetes.io/") => Some("integer"),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
