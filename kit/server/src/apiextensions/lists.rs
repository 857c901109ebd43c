//! Lists that are sets or maps: nothing may be there twice.
//!
//! Source: `apiextensions-apiserver/pkg/apiserver/schema/listtype/validation.go`.

use super::{child, items, rest};
use crate::field::{At, Errors};
use kit_apimachinery::go::dump;
use serde_json::{Map, Value};

/// Says what is there twice.
pub fn check(e: &mut Errors, at: &At<'_>, schema: &Value) {
    match at.value {
        Value::Object(fields) => {
            let rest = rest(schema);
            for name in fields.keys() {
                rest.into_iter().for_each(|of| check(e, &at.key(name), of));
                child(schema, name).into_iter().for_each(|of| check(e, &at.get(name), of));
            }
        }
        Value::Array(list) => {
            match schema["x-kubernetes-list-type"].as_str() {
                Some("set") => {
                    for index in repeated(list) {
                        e.duplicate(&at.items()[index], &dump(&list[index]));
                    }
                }
                Some("map") => map(e, at, list, schema),
                _ => {}
            }
            let Some(of) = items(schema) else { return };
            at.items().iter().for_each(|item| check(e, item, of));
        }
        _ => {}
    }
}

/// The second places of what is there more than once.
fn repeated(list: &[Value]) -> Vec<usize> {
    let times = |index: usize| list[..index].iter().filter(|there| **there == list[index]).count();
    (0..list.len()).filter(|index| times(*index) == 1).collect()
}

fn map(e: &mut Errors, at: &At<'_>, list: &[Value], schema: &Value) {
    let is_item = |item: &Value| item.is_object() || item.is_null();
    if let Some(index) = list.iter().position(|item| !is_item(item)) {
        e.invalid_as(&at.items()[index], &dump(&list[index]), "must be an object for an array of list-type map");
        return;
    }
    let names = || schema["x-kubernetes-list-map-keys"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let keys = |item: &Value| {
        let fields = names().filter_map(|name| Some((name.to_string(), item.get(name)?.clone())));
        Value::Object(fields.collect::<Map<_, _>>())
    };
    let keys: Vec<Value> = list.iter().map(keys).collect();
    for index in repeated(&keys) {
        e.duplicate(&at.items()[index], &dump(&keys[index]));
    }
}
