//! Typed values as Go prints them: some messages of the API show a whole struct (`%#v`). Those without a type are printed by
//! [`kit_apimachinery::go`].
//!
//! Addresses behind pointers are nobody's business, and always the same here.

use super::field::quoted;
use super::schema::{Field, Struct, Type};
use serde_json::{Map, Value};

/// The fields of `core.PodSpec` in the order of the internal type (`pkg/apis/core/types.go`), which is what messages show.
const POD_SPEC: &str = "Volumes InitContainers Containers EphemeralContainers RestartPolicy \
    TerminationGracePeriodSeconds ActiveDeadlineSeconds DNSPolicy NodeSelector ServiceAccountName \
    AutomountServiceAccountToken NodeName SecurityContext ImagePullSecrets Hostname Subdomain SetHostnameAsFQDN \
    Affinity SchedulerName Tolerations HostAliases PriorityClassName Priority PreemptionPolicy DNSConfig \
    ReadinessGates RuntimeClassName Overhead EnableServiceLinks TopologySpreadConstraints OS SchedulingGates \
    ResourceClaims Resources";

/// The fields of `policy.PodDisruptionBudgetSpec`, likewise.
const BUDGET_SPEC: &str = "MinAvailable Selector MaxUnavailable UnhealthyPodEvictionPolicy";

/// The fields of a struct in the order in which messages show them.
pub fn fields(of: &'static Struct) -> Vec<&'static Field> {
    let order = match of.name {
        "core.PodSpec" => POD_SPEC,
        "policy.PodDisruptionBudgetSpec" => BUDGET_SPEC,
        _ => return of.fields.iter().collect(),
    };
    order.split_whitespace().filter_map(|name| of.fields.iter().find(|field| field.go == name)).collect()
}

/// A value as `%#v` prints it.
pub fn dump(value: &Value, of: Type) -> String {
    let name = || of.go();
    match (of, value) {
        (Type::Pointer(Type::Time | Type::MicroTime), Value::Null) => "<nil>".into(),
        (Type::Pointer(of), Value::Null) => format!("(*{})(nil)", of.go()),
        (Type::Pointer(of), _) => format!("(*{})(0xc000000000)", of.go()),
        (Type::Alias(..) | Type::List(_) | Type::Map(_), Value::Null) if !is_text(of) => format!("{}(nil)", name()),
        (_, Value::Array(items)) => {
            let item = match of.plain() {
                Type::List(item) => *item,
                _ => Type::Raw,
            };
            let items: Vec<String> = items.iter().map(|value| dump(value, item)).collect();
            format!("{}{{{}}}", name(), items.join(", "))
        }
        (Type::IntOrString, _) => int_or_string(value),
        (Type::Time, Value::Null) => "time.Date(1, time.January, 1, 0, 0, 0, 0, time.UTC)".into(),
        (Type::Quantity, _) => quantity(value),
        (_, Value::Object(entries)) => match of.plain() {
            Type::Map(item) => {
                let mut entries: Vec<String> =
                    entries.iter().map(|(key, value)| format!("{}:{}", quoted(key), dump(value, *item))).collect();
                entries.sort();
                format!("{}{{{}}}", name(), entries.join(", "))
            }
            _ => of.structure().map_or_else(|| value.to_string(), |of| structure(entries, of)),
        },
        (_, Value::Null) => match of.plain() {
            Type::Bool => "false".into(),
            Type::Int32 | Type::Int64 | Type::Float64 => "0".into(),
            Type::Struct(_) => of.structure().map_or_else(String::new, |of| structure(&Map::new(), of)),
            _ => "\"\"".into(),
        },
        (_, Value::String(text)) => quoted(text),
        (_, other) => other.to_string(),
    }
}

fn is_text(of: Type) -> bool {
    !matches!(of.plain(), Type::List(_) | Type::Map(_))
}

fn structure(value: &Map<String, Value>, of: &'static Struct) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut embedded: Option<&str> = None;
    let shown = |field: &Field| dump(value.get(field.json).unwrap_or(&Value::Null), field.of);
    for field in fields(of) {
        let part = match (field.go.as_str(), field.json) {
            ("CreationTimestamp", _) => format!("CreationTimestamp:{}", shown(field)),
            ("DeletionTimestamp", _) if !value.contains_key(field.json) => "DeletionTimestamp:<nil>".into(),
            (go, _) => format!("{go}:{}", shown(field)),
        };
        // Fields of an embedded struct stand in braces of their own.
        match (field.embedded, parts.last_mut()) {
            (Some(outer), Some(last)) if embedded == Some(outer) => {
                last.truncate(last.len() - 1);
                *last += &format!(", {part}}}");
            }
            (Some(outer), _) => {
                let short = outer.rsplit('.').next().unwrap_or_default();
                parts.push(format!("{short}:{outer}{{{part}}}"));
            }
            (None, _) => parts.push(part),
        }
        embedded = field.embedded;
    }
    let name = of.name.replace("meta.", "v1.").replace("scale.", "autoscaling.");
    format!("{name}{{{}}}", parts.join(", "))
}

/// `intstr.IntOrString{Type:1, IntVal:0, StrVal:"50%"}`.
pub fn int_or_string(value: &Value) -> String {
    match value {
        Value::String(text) => format!("intstr.IntOrString{{Type:1, IntVal:0, StrVal:{}}}", quoted(text)),
        other => format!("intstr.IntOrString{{Type:0, IntVal:{}, StrVal:\"\"}}", other.as_i64().unwrap_or_default()),
    }
}

/// Suffixes of decimal quantities with their powers of ten.
const SCALES: [(&str, i32); 9] =
    [("n", -9), ("u", -6), ("m", -3), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18)];

/// What a quantity is made of: an integer and the power of ten that it is multiplied by (`resource.int64Amount`).
pub fn amount_of(text: &str) -> (i64, i32) {
    let parsed: kit_api::Quantity = text.parse().unwrap_or_default();
    let scaled = SCALES.iter().find_map(|(suffix, scale)| {
        let number = text.strip_suffix(suffix)?;
        Some((number.parse().ok()?, *scale))
    });
    scaled.unwrap_or_else(|| (parsed.value(), 0))
}

/// A quantity as `%#v` prints it.
pub fn quantity(value: &Value) -> String {
    let text = value.as_str().unwrap_or("0");
    let parsed: kit_api::Quantity = text.parse().unwrap_or_default();
    let (amount, scale) = amount_of(text);
    format!(
        "resource.Quantity{{i:resource.int64Amount{{value:{amount}, scale:{scale}}}, \
         d:resource.infDecAmount{{Dec:(*inf.Dec)(nil)}}, s:{}, Format:\"{}\"}}",
        quoted(text),
        parsed.format()
    )
}

/// The same of a type that is known by its name in the schema.
pub fn dump_named(value: &Value, of: &str) -> String {
    super::schema::named(of).map(|of| dump(value, of)).unwrap_or_default()
}

/// A list of values of a named type.
pub fn dump_list(value: &Value, item: &str) -> String {
    let of = super::schema::named(item).unwrap_or(Type::Raw);
    let items: Vec<String> = value.as_array().into_iter().flatten().map(|value| dump(value, of)).collect();
    format!("[]{}{{{}}}", of.go(), items.join(", "))
}

/// `[]string{"a", "b"}`.
pub fn strings(value: &Value) -> String {
    dump(value, Type::List(&Type::String))
}

/// `map[string]string{"a":"b"}`.
pub fn string_map(value: &Value) -> String {
    dump(value, Type::Map(&Type::String))
}

#[cfg(test)]
mod tests {
    use super::super::schema::named;
    use super::*;
    use serde_json::json;

    #[test]
    fn structs_are_shown_with_all_their_fields() {
        let of = named("apps.StatefulSetUpdateStrategy").expect("a type");
        let expected = "apps.StatefulSetUpdateStrategy{Type:\"Foo\", \
                        RollingUpdate:(*apps.RollingUpdateStatefulSetStrategy)(nil)}";
        assert_eq!(dump(&json!({"type": "Foo"}), of), expected);
        assert_eq!(dump(&Value::Null, named("core.ResourceList").expect("a type")), "core.ResourceList(nil)");
        assert_eq!(string_map(&json!({"b": "2", "a": "1"})), r#"map[string]string{"a":"1", "b":"2"}"#);
    }
}
