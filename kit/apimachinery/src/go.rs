//! Decoded values of JSON as Go's `fmt` prints them, which many messages of the API show.

use serde_json::{Number, Value};
use std::collections::BTreeMap;

/// The type of a value (`%T`).
pub fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

/// A value in plain words (`%v`): `map[a:1 b:[x y]]`.
pub fn plain(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".into(),
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(plain).collect::<Vec<_>>().join(" ")),
        Value::Object(fields) => {
            let sorted: BTreeMap<_, _> = fields.iter().collect();
            let fields: Vec<String> = sorted.iter().map(|(name, value)| format!("{name}:{}", plain(value))).collect();
            format!("map[{}]", fields.join(" "))
        }
        other => other.to_string(),
    }
}

/// A value as a program would write it (`%#v`).
pub fn dump(value: &Value) -> String {
    let list = |items: Vec<String>| items.join(", ");
    match value {
        Value::Null => "interface {}(nil)".into(),
        Value::String(text) => format!("{text:?}"),
        Value::Number(number) => self::number(number),
        Value::Bool(flag) => flag.to_string(),
        Value::Array(items) => format!("[]interface {{}}{{{}}}", list(items.iter().map(dump).collect())),
        Value::Object(fields) => {
            let sorted: BTreeMap<_, _> = fields.iter().collect();
            let fields = sorted.iter().map(|(name, value)| format!("{name:?}:{}", dump(value)));
            format!("map[string]interface {{}}{{{}}}", list(fields.collect()))
        }
    }
}

/// A number as Go's `%v` has it.
pub fn number(number: &Number) -> String {
    match number.as_f64().filter(|_| number.is_f64()) {
        Some(float) => float64(float),
        None => number.to_string(),
    }
}

/// The same of one with a fraction, or what may have one.
pub fn float64(float: f64) -> String {
    let exponent = if float == 0.0 { 0 } else { float.abs().log10().floor() as i32 };
    if !(-4..21).contains(&exponent) {
        let text = format!("{float:e}");
        let (head, tail) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, digits) = tail.strip_prefix('-').map_or(('+', tail), |digits| ('-', digits));
        return format!("{head}e{sign}{digits:0>2}");
    }
    float.to_string()
}
