//! Whether a schema is structural: whoever reads it knows the type of every field without looking at any object.
//!
//! Source: `apiextensions-apiserver/pkg/apiserver/schema/{validation,complete}.go`.

use super::{child, flag, items, pattern};
use crate::field::{At, Errors};
use serde_json::{Value, json};

/// How deep a schema stands.
#[derive(Clone, Copy, PartialEq)]
enum Level {
    Root,
    Item,
    Field,
}

const JUNCTORS: [&str; 3] = ["allOf", "anyOf", "oneOf"];
const INT_OR_STRING: &str = "x-kubernetes-int-or-string";
const PRESERVE: &str = "x-kubernetes-preserve-unknown-fields";
const EMBEDDED: &str = "x-kubernetes-embedded-resource";

/// Whether a schema says only what can be structural at all; what else it says is told elsewhere (`NewStructural`).
pub fn can_be_read(schema: &Value) -> bool {
    let filled = |name: &str| match &schema[name] {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Object(fields) => name == "additionalItems" || !fields.is_empty(),
        _ => true,
    };
    let foreign = ["id", "$schema", "$ref", "patternProperties", "dependencies", "additionalItems", "definitions"];
    let here =
        foreign.into_iter().all(|name| !filled(name)) && !schema["items"].is_array() && schema[PRESERVE] != false;
    let fields = || schema["properties"].as_object().into_iter().flat_map(|fields| fields.values());
    let joined = || JUNCTORS.into_iter().flat_map(|junctor| schema[junctor].as_array().into_iter().flatten());
    let single = ["items", "additionalProperties", "not"].into_iter().filter_map(|name| schema.get(name));
    here && fields().chain(joined()).chain(single).all(can_be_read)
}

/// Says why a schema isn't structural, sorted by path.
pub fn check(e: &mut Errors, at: &At<'_>) {
    let mut mine = Errors::default();
    invariants(&mut mine, at, Level::Root);
    complete(&mut mine, at, at.value, &at.path);
    mine.0.sort_by_key(|cause| format!("{}: {}", cause.field, cause.message));
    e.0.extend(mine.0);
}

fn type_of(schema: &Value) -> &str {
    schema["type"].as_str().unwrap_or_default()
}

fn invariants(e: &mut Errors, at: &At<'_>, level: Level) {
    let schema = at.value;
    let type_ = type_of(schema);
    if type_ == "array" && items(schema).is_none() {
        e.required(&at.get("items"), "must be specified");
    }
    if items(schema).is_some() {
        invariants(e, &at.get("items"), Level::Item);
    }
    for (name, _) in at.get("properties").entries() {
        invariants(e, &at.get("properties").key(name), Level::Field);
    }
    let rest = at.get("additionalProperties");
    if rest.is_set() {
        if level == Level::Root {
            e.forbidden(&rest, "must not be used at the root");
        }
        if rest.value.is_object() {
            invariants(e, &rest, Level::Field);
        }
    }
    let (int_or_string, preserve, embedded) =
        (flag(schema, INT_OR_STRING), flag(schema, PRESERVE), flag(schema, EMBEDDED));
    for (other, name) in [(preserve, PRESERVE), (embedded, EMBEDDED)] {
        if int_or_string && other {
            e.invalid(&at.get(name), &format!("must be false if {INT_OR_STRING} is true"));
        }
    }
    let both = json!([{"type": "integer"}, {"type": "string"}]);
    values(e, at, schema["anyOf"] == both, schema["allOf"][0]["anyOf"] == both);
    let why = format!("must be object if {EMBEDDED} is true");
    if embedded && type_ != "object" {
        if type_.is_empty() { e.required(&at.get("type"), &why) } else { e.invalid(&at.get("type"), &why) }
    } else if type_.is_empty() && !int_or_string && !preserve {
        let whose = match level {
            Level::Root => "at the root",
            Level::Item => "for specified array items",
            Level::Field => "for specified object fields",
        };
        e.required(&at.get("type"), &format!("must not be empty {whose}"));
    }
    if embedded && rest.is_set() {
        e.forbidden(&rest, &format!("must not be used if {EMBEDDED} is set"));
    }
    if level == Level::Root && !type_.is_empty() && type_ != "object" {
        e.invalid(&at.get("type"), "must be object at the root");
    }
    for name in ["kind", "apiVersion"] {
        let field = at.get("properties").key(name);
        if (level == Level::Root || embedded) && field.is_set() && type_of(field.value) != "string" {
            e.invalid_as(&field.get("type"), &format!("{:?}", type_of(field.value)), "must be string");
        }
    }
    let metadata = at.get("properties").key("metadata");
    if metadata.is_set() {
        if (level == Level::Root || embedded) && type_of(metadata.value) != "object" {
            e.invalid_as(&metadata.get("type"), &format!("{:?}", type_of(metadata.value)), "must be object");
        }
        if level == Level::Root && !says_names_alone(metadata.value) {
            let why =
                "must not specify anything other than name and generateName, but metadata is implicitly specified";
            e.forbidden(&metadata, why);
        }
    }
    if embedded && !preserve && at.get("properties").is_empty() {
        let why = format!("must not be empty if {EMBEDDED} is true without {PRESERVE}");
        e.required(&at.get("properties"), &why);
    }
}

fn says_names_alone(metadata: &Value) -> bool {
    let fields = metadata.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
    let mut others = fields.map(|(name, _)| name.as_str()).filter(|name| !["type", "default"].contains(name));
    let names = metadata["properties"].as_object();
    let known = names.is_none_or(|names| names.keys().all(|name| ["name", "generateName"].contains(&name.as_str())));
    others.all(|name| name == "properties") && known
}

/// What is said of values, here and in what is joined by `anyOf` and its kin.
fn values(e: &mut Errors, at: &At<'_>, skip_any: bool, skip_first_all: bool) {
    for junctor in JUNCTORS {
        for (index, item) in at.get(junctor).items().iter().enumerate() {
            match junctor {
                "anyOf" if skip_any => {}
                "allOf" => nested(e, item, skip_first_all && index == 0),
                _ => nested(e, item, false),
            }
        }
    }
    if at.get("not").is_set() {
        nested(e, &at.get("not"), false);
    }
    let text = at.get("pattern");
    if let Err(why) = pattern(text.text()) {
        e.invalid(&text, &format!("must be a valid regular expression, but isn't: {why}"));
    }
}

/// What stands in an alternative speaks of values, and not of types (`validateNestedValueValidation`).
fn nested(e: &mut Errors, at: &At<'_>, skip_any: bool) {
    values(e, at, skip_any, false);
    if items(at.value).is_some() {
        nested(e, &at.get("items"), false);
    }
    for (name, _) in at.get("properties").entries() {
        nested(e, &at.get("properties").key(name), false);
    }
    let filled = |name: &str| match at.value.get(name) {
        Some(Value::String(text)) => !text.is_empty(),
        Some(Value::Bool(flag)) => *flag,
        Some(Value::Array(list)) => !list.is_empty(),
        Some(value) => !value.is_null(),
        None => false,
    };
    for (name, what) in [
        ("type", "empty"),
        ("additionalProperties", "undefined"),
        ("default", "undefined"),
        ("title", "empty"),
        ("description", "empty"),
        ("nullable", "false"),
        (PRESERVE, "false"),
        (EMBEDDED, "false"),
        (INT_OR_STRING, "false"),
        ("x-kubernetes-list-map-keys", "empty"),
        ("x-kubernetes-list-type", "undefined"),
        ("x-kubernetes-map-type", "undefined"),
        ("x-kubernetes-validations", "empty"),
    ] {
        let there = filled(name) || (name == "additionalProperties" && at.value.get(name).is_some());
        if there {
            e.forbidden(&at.get(name), &format!("must be {what} to be structural"));
        }
    }
    let metadata = at.get("properties").key("metadata");
    if metadata.is_set() {
        e.forbidden(&metadata, "must not be specified in a nested context");
    }
}

/// Whatever an alternative names must have a type outside of it. `says` is what is said, and stands at `where_`.
fn complete(e: &mut Errors, at: &At<'_>, says: &Value, where_: &str) {
    let not = says.get("not").map(|not| (not, format!("{where_}.not")));
    let joined = ["allOf", "anyOf", "oneOf"].into_iter().flat_map(|junctor| {
        let all = says[junctor].as_array().into_iter().flatten().enumerate();
        all.map(move |(index, item)| (item, format!("{where_}.{junctor}[{index}]")))
    });
    for (item, path) in not.into_iter().chain(joined) {
        known_outside(e, at, item, &path);
    }
}

fn known_outside(e: &mut Errors, at: &At<'_>, says: &Value, where_: &str) {
    complete(e, at, says, where_);
    let because = |path: &str| format!("because it is defined in {path}");
    if let Some(of) = items(says) {
        let path = format!("{where_}.items");
        match items(at.value) {
            Some(_) => known_outside(e, &at.get("items"), of, &path),
            None => e.required(&at.get("items"), &because(&path)),
        }
    }
    for (name, of) in says["properties"].as_object().into_iter().flatten() {
        let path = format!("{where_}.properties[{name}]");
        let field = at.get("properties").key(name);
        match child(at.value, name) {
            Some(_) => known_outside(e, &field, of, &path),
            None => e.required(&field, &because(&path)),
        }
    }
}
