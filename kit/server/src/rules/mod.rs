//! What the API server knows of each kind: how it is completed, what is wrong with it, and what a request may change.
//!
//! All rules work on the JSON of an object, as Go would write it ([`super::schema`]), so that they are the same for
//! typed callers and for bodies of requests. Sources: `pkg/apis/*/v*/defaults.go` for [`defaults`],
//! `pkg/apis/*/validation` for [`validate`] and [`update`], `pkg/registry/*/*/strategy.go` for [`strategy`].

pub mod advice;
mod course;
pub mod defaults;
pub mod flow_defaults;
pub mod gates;
mod service_type;
pub mod strategy;
pub mod update;
pub mod validate;

use serde_json::{Map, Value};

/// A field as a map, made if it isn't there.
pub fn map_in<'a>(value: &'a mut Value, name: &str) -> &'a mut Map<String, Value> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    let field = &mut value[name];
    if !field.is_object() {
        *field = Value::Object(Map::new());
    }
    field.as_object_mut().expect("it was made one")
}

/// Sets a field that isn't there, or is null or empty text.
pub fn default_to(map: &mut Map<String, Value>, name: &str, default: impl Into<Value>) {
    match map.get(name) {
        None | Some(Value::Null) => _ = map.insert(name.into(), default.into()),
        Some(Value::String(text)) if text.is_empty() => _ = map.insert(name.into(), default.into()),
        Some(_) => {}
    }
}

/// Sets a field that isn't there; one that is empty text is there (Go's pointers).
pub fn default_absent(map: &mut Map<String, Value>, name: &str, default: impl Into<Value>) {
    if map.get(name).is_none_or(Value::is_null) {
        map.insert(name.into(), default.into());
    }
}

/// The items of a list that is there.
pub fn items_in<'a>(map: &'a mut Map<String, Value>, name: &str) -> impl Iterator<Item = &'a mut Map<String, Value>> {
    map.get_mut(name).and_then(Value::as_array_mut).into_iter().flatten().filter_map(Value::as_object_mut)
}

/// A map in a map, if it is there.
pub fn inner<'a>(map: &'a mut Map<String, Value>, name: &str) -> Option<&'a mut Map<String, Value>> {
    map.get_mut(name).and_then(Value::as_object_mut)
}
