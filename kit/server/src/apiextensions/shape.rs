//! What a schema makes of an object before anybody checks it: unknown fields go, defaults come.
//!
//! Sources: `apiextensions-apiserver/pkg/apiserver/schema/{pruning,defaulting,objectmeta}`, in the order of
//! `unstructuredSchemaCoercer.apply`.

use super::{child, flag, items, of_field, rest};
use crate::field::{At, Errors};
use crate::schema::{self, Type, decode};
use kit_apimachinery::go;
use serde_json::{Map, Value, json};

/// What every object has, whatever its schema says.
pub(super) const OF_ALL: [&str; 3] = ["apiVersion", "kind", "metadata"];

/// Gives an object the shape that its schema asks for. The answer are the paths of fields that nobody knows, sorted.
///
/// # Errors
///
/// If an embedded object has no sensible metadata: where, and why.
pub fn shape(object: &mut Value, schema: &Value) -> Result<Vec<String>, String> {
    let mut unknown = prune(object, schema, true);
    drop_nulls(object, schema);
    unknown.extend(embedded(object, schema)?);
    fill(object, schema);
    Ok(unknown)
}

/// Takes away what the schema doesn't know (`PruneWithOptions`).
pub fn prune(value: &mut Value, schema: &Value, root: bool) -> Vec<String> {
    let mut unknown = Vec::new();
    step(value, Some(schema), root, false, "", &mut unknown);
    unknown.sort();
    unknown
}

/// `keep`: fields that are not known stay, as everything under `x-kubernetes-preserve-unknown-fields` does until a
/// schema says more.
fn step(value: &mut Value, schema: Option<&Value>, object: bool, keep: bool, path: &str, unknown: &mut Vec<String>) {
    let keep = keep || schema.is_some_and(|schema| flag(schema, "x-kubernetes-preserve-unknown-fields"));
    if keep && schema.is_none() {
        return;
    }
    let object = object || schema.is_some_and(|schema| flag(schema, "x-kubernetes-embedded-resource"));
    match value {
        Value::Object(fields) => fields.retain(|name, field| {
            if object && OF_ALL.contains(&name.as_str()) {
                return true;
            }
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            let rest = schema.and_then(|schema| schema.get("additionalProperties"));
            match (schema.and_then(|schema| child(schema, name)), rest) {
                (Some(of), _) => step(field, Some(of), false, false, &path, unknown),
                (None, Some(of)) => step(field, of.is_object().then_some(of), false, false, &path, unknown),
                (None, None) if keep => {}
                (None, None) => {
                    if path.contains(['.', '[']) || !OF_ALL.contains(&name.as_str()) {
                        unknown.push(path);
                    }
                    return false;
                }
            }
            true
        }),
        Value::Array(list) => {
            let of = schema.and_then(items);
            for (index, item) in list.iter_mut().enumerate() {
                step(item, of, false, keep, &format!("{path}[{index}]"), unknown);
            }
        }
        _ => {}
    }
}

/// Nulls that the schema doesn't allow are as good as nothing (`PruneNonNullableNullsWithoutDefaults`).
fn drop_nulls(value: &mut Value, schema: &Value) {
    match value {
        Value::Object(fields) => fields.retain(|name, field| match of_field(schema, name) {
            Some(of) if field.is_null() && !flag(of, "nullable") && of.get("default").is_none() => false,
            Some(of) => {
                drop_nulls(field, of);
                true
            }
            None => true,
        }),
        Value::Array(list) => {
            if let Some(of) = items(schema) {
                list.iter_mut().for_each(|item| drop_nulls(item, of));
            }
        }
        _ => {}
    }
}

/// Fills in defaults, from above (`Default`).
fn fill(value: &mut Value, schema: &Value) {
    let default = |of: &Value| of.get("default").cloned().unwrap_or_default();
    let empty = |value: &Value, of: &Value| value.is_null() && !flag(of, "nullable");
    match value {
        Value::Object(fields) => {
            for (name, of) in schema["properties"].as_object().into_iter().flatten() {
                if !default(of).is_null() && fields.get(name).is_none_or(|there| empty(there, of)) {
                    fields.insert(name.clone(), default(of));
                }
            }
            for (name, field) in fields.iter_mut() {
                let Some(of) = of_field(schema, name) else { continue };
                if child(schema, name).is_none() && empty(field, of) {
                    *field = default(of);
                }
                fill(field, of);
            }
        }
        Value::Array(list) => {
            let Some(of) = items(schema) else { return };
            for item in list {
                if empty(item, of) {
                    *item = default(of);
                }
                fill(item, of);
            }
        }
        _ => {}
    }
}

/// Gives objects in an object the metadata that objects have (`CoerceWithOptions`).
fn embedded(value: &mut Value, schema: &Value) -> Result<Vec<String>, String> {
    let mut unknown = Vec::new();
    coerce(value, schema, "", &mut unknown)?;
    unknown.sort();
    Ok(unknown)
}

fn coerce(value: &mut Value, schema: &Value, path: &str, unknown: &mut Vec<String>) -> Result<(), String> {
    let object = flag(schema, "x-kubernetes-embedded-resource");
    match value {
        Value::Object(fields) => {
            for (name, field) in fields.iter_mut() {
                let known = child(schema, name);
                let dotted = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                match name.as_str() {
                    "apiVersion" | "kind" if object && !field.is_string() => {
                        return Err(format!("{dotted}: Invalid value: {}: must be a string", go::dump(field)));
                    }
                    "metadata" if object => {
                        let of = schema::named("meta.ObjectMeta").unwrap_or(Type::Raw);
                        let decoded = decode(field.clone(), of)
                            .map_err(|why| format!("{dotted}: Invalid value: {}: {why}", go::dump(field)))?;
                        unknown.extend(decoded.unknown.iter().map(|name| format!("{dotted}.{name}")));
                        *field = decoded.value;
                        if let Some(metadata) = field.as_object_mut()
                            && metadata.get("creationTimestamp").is_some_and(Value::is_null)
                        {
                            metadata.shift_remove("creationTimestamp");
                        }
                    }
                    _ => {}
                }
                let keyed = format!("{path}[{name}]");
                match (known, rest(schema)) {
                    (Some(of), _) => coerce(field, of, &dotted, unknown)?,
                    (None, Some(of)) => coerce(field, of, &keyed, unknown)?,
                    _ => {}
                }
            }
        }
        Value::Array(list) => {
            let Some(of) = items(schema) else { return Ok(()) };
            for (index, item) in list.iter_mut().enumerate() {
                coerce(item, of, &format!("{path}[{index}]"), unknown)?;
            }
        }
        _ => {}
    }
    Ok(())
}

/// Says what is wrong with objects in the object: kind, version and metadata (`objectmeta.Validate`).
pub fn check_embedded(e: &mut Errors, at: &At<'_>, schema: &Value) {
    match at.value {
        Value::Object(fields) => {
            if flag(schema, "x-kubernetes-embedded-resource") {
                embedded_object(e, at, fields);
            }
            for name in fields.keys() {
                match (child(schema, name), rest(schema)) {
                    (Some(of), _) => check_embedded(e, &at.get(name), of),
                    (None, Some(of)) => check_embedded(e, &at.key(name), of),
                    _ => {}
                }
            }
        }
        Value::Array(_) => {
            let Some(of) = items(schema) else { return };
            at.items().iter().for_each(|item| check_embedded(e, item, of));
        }
        _ => {}
    }
}

fn embedded_object(e: &mut Errors, at: &At<'_>, fields: &Map<String, Value>) {
    use crate::rules::validate::embedded_meta;
    for field in ["apiVersion", "kind"] {
        if !fields.contains_key(field) {
            e.required(&at.get(field), "must not be empty");
        }
    }
    if let Some(version) = fields.get("apiVersion").and_then(Value::as_str) {
        let field = at.get("apiVersion");
        match version {
            "" => e.invalid(&field, "must not be empty"),
            _ if version.matches('/').count() > 1 => {
                e.invalid(&field, &format!("unexpected GroupVersion string: {version}"));
            }
            _ => {}
        }
    }
    if let Some(kind) = fields.get("kind").and_then(Value::as_str) {
        let problems = kit_api::name::dns1035_label(&kind.to_lowercase());
        let field = at.get("kind");
        match kind {
            "" => e.invalid(&field, "must not be empty"),
            _ if !problems.is_empty() => {
                let why = format!("may have mixed case, but should otherwise match: {}", problems.join(","));
                e.invalid(&field, &why);
            }
            _ => {}
        }
    }
    if let Some(metadata) = fields.get("metadata") {
        let mut metadata = metadata.clone();
        if metadata["name"].as_str().unwrap_or_default().is_empty() {
            metadata["name"] = json!("fakename");
        }
        embedded_meta(e, &At { value: &metadata, path: at.get("metadata").path });
    }
}
