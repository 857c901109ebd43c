//! The columns that a definition asks for in tables.
//!
//! Source: `apiextensions-apiserver/pkg/registry/customresource/tableconvertor/tableconvertor.go`. Of JSONPath there
//! are fields and places in lists (`.spec.ports[0].name`), fields in brackets, and filters that compare with one text
//! (`.status.conditions[?(@.type=="Ready")].status`).

use crate::handlers::age;
use kit_api::jiff::Timestamp;
use serde_json::{Value, json};

/// The definitions of the columns, the name first.
pub fn columns(wanted: &Value) -> Value {
    let name = json!({"name": "Name", "type": "string", "format": "name", "description": "", "priority": 0});
    let column = |column: &Value| {
        let path = column["jsonPath"].as_str().unwrap_or_default();
        let described = column["description"].as_str().filter(|text| !text.is_empty()).map(str::to_string);
        json!({
            "name": column["name"], "type": column["type"], "format": column["format"].as_str().unwrap_or_default(),
            "description":
                described.unwrap_or_else(|| format!("Custom resource definition column (in JSONPath format): {path}")),
            "priority": column["priority"].as_i64().unwrap_or_default(),
        })
    };
    std::iter::once(name).chain(wanted.as_array().into_iter().flatten().map(column)).collect()
}

/// What stands in the columns for one object.
pub fn cells(wanted: &Value, object: &Value, now: Timestamp) -> Vec<Value> {
    let cell = |column: &Value| {
        let found = column["jsonPath"].as_str().and_then(|path| find(object, path));
        let Some(value) = found else { return Value::Null };
        match column["type"].as_str().unwrap_or_default() {
            "string" => match value {
                Value::String(text) => text.clone().into(),
                Value::Null => Value::Null,
                other => other.to_string().into(),
            },
            "integer" => {
                let whole = value.as_i64().or_else(|| value.as_f64().map(|float| float as i64));
                whole.map_or(Value::Null, Value::from)
            }
            "number" => value.as_f64().map_or(Value::Null, |_| value.clone()),
            "boolean" => value.as_bool().map_or(Value::Null, Value::from),
            "date" if value.is_string() => age(value, now).into(),
            _ => Value::Null,
        }
    };
    let name = object["metadata"]["name"].clone();
    std::iter::once(name).chain(wanted.as_array().into_iter().flatten().map(cell)).collect()
}

/// What a path leads to.
fn find<'a>(object: &'a Value, path: &str) -> Option<&'a Value> {
    let mut at = object;
    let mut rest = path;
    while !rest.is_empty() {
        if let Some(inner) = rest.strip_prefix('[') {
            let (inside, after) = inner.split_once(']')?;
            rest = after;
            at = match inside.strip_prefix("?(@.").and_then(|filter| filter.strip_suffix(')')) {
                Some(filter) => {
                    let (field, text) = filter.split_once("==")?;
                    let text = text.trim().trim_matches(['"', '\'']);
                    at.as_array()?.iter().find(|item| item[field.trim()] == text)?
                }
                None => match inside.parse::<usize>() {
                    Ok(index) => at.get(index)?,
                    Err(_) => at.get(inside.trim_matches(['"', '\'']))?,
                },
            };
        } else {
            rest = rest.strip_prefix('.').unwrap_or(rest);
            let mut end = rest.len();
            let mut escaped = false;
            for (index, c) in rest.char_indices() {
                if !escaped && (c == '.' || c == '[') {
                    end = index;
                    break;
                }
                escaped = c == '\\';
            }
            let name = rest[..end].replace("\\.", ".");
            rest = &rest[end..];
            if !name.is_empty() {
                at = at.get(name.as_str())?;
            }
        }
    }
    Some(at)
}
