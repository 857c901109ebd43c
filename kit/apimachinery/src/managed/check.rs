//! Whether an applied configuration is of its type.
//!
//! Source: `structured-merge-diff/typed/validate.go`; `typed/helpers.go` for the texts.

use super::seen::{Items, Seen, Shape, Wanted};
use super::set::Step;
use crate::go::{dump, plain, type_of};
use serde_json::Value;
use std::collections::BTreeSet;

/// What is wrong with a configuration, as one text; nothing if it is of its type.
pub fn mistyped(config: &Value, seen: Seen<'_>) -> Option<String> {
    let mut errors = Vec::new();
    check(&mut errors, "", config, seen);
    match &errors[..] {
        [] => None,
        [one] => Some(one.clone()),
        many => Some(format!("errors:\n  {}", many.join("\n  "))),
    }
}

fn check(errors: &mut Vec<String>, path: &str, value: &Value, seen: Seen<'_>) {
    let mut tell = |why: String| errors.push(if path.is_empty() { why } else { format!("{path}: {why}") });
    let scalar = !value.is_array() && !value.is_object();
    match (seen.wanted(), value) {
        (_, Value::Null) => {}
        (Wanted::Number, Value::Number(_)) | (Wanted::Text, Value::String(_)) | (Wanted::Flag, Value::Bool(_)) => {}
        (Wanted::Number, _) => tell(format!("expected numeric (int or float), got {}", type_of(value))),
        (Wanted::Text, _) => tell(format!("expected string, got &value.valueUnstructured{{Value:{}}}", dump(value))),
        (Wanted::Flag, _) => tell(format!("expected boolean, got &{{{}}}", plain(value))),
        (Wanted::Scalar, _) if scalar => {}
        (Wanted::Scalar, _) => tell(format!("expected any scalar, got &{{{}}}", plain(value))),
        (Wanted::List, Value::Array(items)) => list(errors, path, items, value, seen),
        (Wanted::List, _) => tell(format!("expected list, got &{{{}}}", plain(value))),
        (Wanted::Map | Wanted::Any, Value::Object(fields)) => {
            for (name, value) in fields {
                match seen.declared(name) {
                    Some(of) => check(errors, &format!("{path}.{name}"), value, of),
                    // The rest of the map is not looked at.
                    None => return errors.push(format!("{path}.{name}: field not declared in schema")),
                }
            }
        }
        (Wanted::Map, _) => tell(format!("expected map, got &{{{}}}", plain(value))),
        (Wanted::Any, _) => {}
    }
}

fn list(errors: &mut Vec<String>, path: &str, items: &[Value], value: &Value, seen: Seen<'_>) {
    let Shape::Items(of) = seen.shape(value) else {
        let element = seen.element();
        for (index, item) in items.iter().enumerate() {
            check(errors, &format!("{path}[{index}]"), item, element);
        }
        return;
    };
    keyed(errors, path, items, &of);
}

fn keyed(errors: &mut Vec<String>, path: &str, items: &[Value], of: &Items<'_>) {
    let mut found: BTreeSet<Step> = BTreeSet::new();
    for (index, item) in items.iter().enumerate() {
        match of.step(item) {
            // Items that come after it are not looked at.
            Err(why) => return errors.push(format!("{path}: element {index}: {why}")),
            Ok(step) => {
                let at = format!("{path}{step}");
                if !found.insert(step.clone()) {
                    errors.push(format!("{path}: duplicate entries for key {step}"));
                }
                check(errors, &at, item, of.of);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::named;
    use serde_json::json;

    #[test]
    fn a_configuration_must_be_of_its_type() {
        let pod = Seen::object(named("core.Pod").expect("a type"));
        for (config, expected) in [
            (json!({"spec": {"hostNetwork": "x"}}), ".spec.hostNetwork: expected boolean, got &{x}"),
            (json!({"spec": {"priority": [1]}}), ".spec.priority: expected numeric (int or float), got []interface {}"),
            (
                json!({"spec": {"containers": [{"name": "c", "image": 1}]}}),
                ".spec.containers[name=\"c\"].image: expected string, got &value.valueUnstructured{Value:1}",
            ),
            (json!({"spec": {"containers": {"a": 1}}}), ".spec.containers: expected list, got &{map[a:1]}"),
            (json!({"spec": []}), ".spec: expected map, got &{[]}"),
            (json!({"spec": {"nam": 1, "x": 2}}), ".spec.nam: field not declared in schema"),
            (
                json!({"spec": {"containers": [{"image": "c"}, 1]}}),
                ".spec.containers: element 0: associative list with keys has an element that omits key field \"name\" \
                 (and doesn't have default value)",
            ),
            (
                json!({"spec": {"containers": [{"name": "c"}, {"name": "c"}]}, "metadata": {"finalizers": ["a", "a"]}}),
                "errors:\n  .spec.containers: duplicate entries for key [name=\"c\"]\n  .metadata.finalizers: duplicate \
                 entries for key [=\"a\"]",
            ),
            (
                json!({"spec": {"tolerations": [{"key": 1}]}}),
                ".spec.tolerations[0].key: expected string, got &value.valueUnstructured{Value:1}",
            ),
        ] {
            assert_eq!(mistyped(&config, pod).as_deref(), Some(expected));
        }
        let ports = json!([{"containerPort": 80}, {"containerPort": 80, "protocol": "UDP"}]);
        let right =
            json!({"spec": {"containers": [{"name": "c", "ports": ports, "resources": {"limits": {"cpu": 1}}}]}});
        assert_eq!(mistyped(&right, pod), None);
    }

    #[test]
    fn custom_kinds_are_typed_by_their_schema() {
        let schema = json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
            "size": {"type": "integer"},
            "parts": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                      "items": {"type": "object", "properties": {"name": {"type": "string"}}}},
        }}}});
        let seen = Seen::custom(&schema);
        let text = json!({"metadata": {"name": "a"}, "spec": {"size": "x"}});
        assert_eq!(mistyped(&text, seen).as_deref(), Some(".spec.size: expected numeric (int or float), got string"));
        let unknown = json!({"spec": {"other": 1}});
        assert_eq!(mistyped(&unknown, seen).as_deref(), Some(".spec.other: field not declared in schema"));
        assert!(mistyped(&json!({"spec": {"parts": [{}]}}), seen).is_some());
    }
}
