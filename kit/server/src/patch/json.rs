//! JSON patches as upstream's library carries them out, which is not quite RFC 6902: an index may count from the end, replace
//! adds a key that isn't there, and a key that isn't there is null.
//!
//! Source: `gopkg.in/evanphx/json-patch.v4`, `patch.go`, with the options that the API server leaves as they are.

use serde_json::{Map, Value};

/// A list of operations.
#[derive(Debug, Clone, Default)]
pub struct Operations(Vec<Map<String, Value>>);

/// The most operations of one patch (`maxJSONPatchOperations` of `endpoints/handlers/patch.go`).
const MOST: usize = 10_000;

/// The fields of an operation, each with the type that `jsonPatchOp` of `endpoints/handlers/patch.go` gives it.
const FIELDS: [(&str, bool); 4] = [("op", true), ("path", true), ("from", true), ("value", false)];

impl Operations {
    /// Reads operations; `strict` says whether the server looks at their fields before the library does.
    ///
    /// # Errors
    ///
    /// What is wrong, in the words of Go's decoder.
    pub fn read(value: &Value, strict: bool) -> Result<Operations, String> {
        let (list, one) = match strict {
            true => ("[]handlers.jsonPatchOp", "handlers.jsonPatchOp"),
            false => ("jsonpatch.Patch", "jsonpatch.Operation"),
        };
        let wrong = |value: &Value, of: &str| {
            Err(format!("json: cannot unmarshal {} into Go value of type {of}", shape(value)))
        };
        let mut operations = Vec::new();
        let items = match value {
            Value::Null => return Ok(Operations::default()),
            Value::Array(items) => items,
            other => return wrong(other, list),
        };
        for item in items {
            let fields = match item {
                Value::Null => Map::new(),
                Value::Object(fields) => fields.clone(),
                other => return wrong(other, one),
            };
            for (field, _) in FIELDS.iter().filter(|(_, text)| *text && strict) {
                if let Some(value) = fields.get(*field).filter(|value| !value.is_string() && !value.is_null()) {
                    let value = shape(value);
                    return Err(format!(
                        "json: cannot unmarshal {value} into Go struct field jsonPatchOp.{field} of type string"
                    ));
                }
            }
            operations.push(fields);
        }
        Ok(Operations(operations))
    }

    /// How many there are, if there are too many.
    pub fn too_many(&self) -> Option<String> {
        let count = self.0.len();
        (count > MOST).then(|| format!("The allowed maximum operations in a JSON patch is {MOST}, got {count}"))
    }

    /// Fields that operations don't have, as paths.
    pub fn unknown(&self) -> Vec<String> {
        let known = |name: &String| FIELDS.iter().any(|(field, _)| field == name);
        let operations = self.0.iter().enumerate();
        operations
            .flat_map(|(at, fields)| {
                fields.keys().filter(|name| !known(name)).map(move |name| format!("[{at}].{name}"))
            })
            .collect()
    }

    /// Carries the operations out; nothing if one of them doesn't fit.
    pub fn apply(&self, value: &mut Value) -> Option<()> {
        self.0.iter().try_for_each(|operation| apply(operation, value))
    }

    /// The objects and lists that the operations look into, by their paths.
    pub fn touched(&self) -> impl Iterator<Item = Vec<String>> {
        let paths = self.0.iter().flat_map(|fields| ["path", "from"].map(|name| text(fields, name)));
        paths.flatten().filter_map(|path| split(path).map(|(parts, _)| parts))
    }
}

fn shape(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn text<'a>(operation: &'a Map<String, Value>, field: &str) -> Option<&'a str> {
    operation.get(field).and_then(Value::as_str)
}

fn apply(operation: &Map<String, Value>, value: &mut Value) -> Option<()> {
    let path = text(operation, "path");
    let said = || operation.get("value").cloned().unwrap_or_default();
    match text(operation, "op")? {
        "add" => {
            let (list, key) = find(value, path?)?;
            add(list, &key, said())
        }
        "remove" => {
            let (list, key) = find(value, path?)?;
            remove(list, &key)
        }
        "replace" if path == Some("") => {
            let new = said();
            (new.is_object() || new.is_array()).then(|| *value = new)
        }
        "replace" => {
            let (list, key) = find(value, path?)?;
            get(list, &key)?;
            set(list, &key, said())
        }
        "move" => {
            let (list, key) = find(value, text(operation, "from")?)?;
            let moved = get(list, &key)?.clone();
            remove(list, &key)?;
            let (list, key) = find(value, path?)?;
            add(list, &key, moved)
        }
        "copy" => {
            let (list, key) = find(value, text(operation, "from")?)?;
            let copied = get(list, &key)?.clone();
            let (list, key) = find(value, path?)?;
            add(list, &key, copied)
        }
        "test" if path == Some("") => (*value == said()).then_some(()),
        "test" => {
            let (list, key) = find(value, path?)?;
            (*get(list, &key)? == said()).then_some(())
        }
        _ => None,
    }
}

/// The steps to what holds the last of them, and the last. What stands before the first slash is not looked at.
fn split(path: &str) -> Option<(Vec<String>, String)> {
    let mut parts: Vec<String> =
        path.split('/').skip(1).map(|part| part.replace("~1", "/").replace("~0", "~")).collect();
    let key = parts.pop()?;
    Some((parts, key))
}

/// What holds the end of a path, and the end.
fn find<'a>(value: &'a mut Value, path: &str) -> Option<(&'a mut Value, String)> {
    let (parts, key) = split(path)?;
    let mut at = value;
    for part in parts {
        at = match at {
            Value::Object(fields) => fields.get_mut(&part)?,
            Value::Array(items) => {
                let index = index(&part, items.len())?;
                items.get_mut(index)?
            }
            _ => return None,
        };
    }
    (at.is_object() || at.is_array()).then_some((at, key))
}

/// An index, which may count from the end: -1 is the last of `length`.
fn index(text: &str, length: usize) -> Option<usize> {
    let index: i64 = text.parse().ok()?;
    let length = i64::try_from(length).ok()?;
    usize::try_from(if index < 0 { index + length } else { index }).ok()
}

/// A key that isn't there is null; an index must be there.
fn get<'a>(list: &'a Value, key: &str) -> Option<&'a Value> {
    match list {
        Value::Object(fields) => Some(fields.get(key).unwrap_or(&Value::Null)),
        Value::Array(items) => items.get(index(key, items.len())?),
        _ => None,
    }
}

fn set(list: &mut Value, key: &str, value: Value) -> Option<()> {
    match list {
        Value::Object(fields) => _ = fields.insert(key.into(), value),
        Value::Array(items) => {
            let index = index(key, items.len())?;
            *items.get_mut(index)? = value;
        }
        _ => return None,
    }
    Some(())
}

fn add(list: &mut Value, key: &str, value: Value) -> Option<()> {
    match list {
        Value::Object(fields) => _ = fields.insert(key.into(), value),
        Value::Array(items) if key == "-" => items.push(value),
        // Counted from the end of the list as it will be.
        Value::Array(items) => {
            let index = index(key, items.len() + 1).filter(|index| *index <= items.len())?;
            items.insert(index, value);
        }
        _ => return None,
    }
    Some(())
}

fn remove(list: &mut Value, key: &str) -> Option<()> {
    match list {
        Value::Object(fields) => fields.shift_remove(key).map(drop),
        Value::Array(items) => {
            let index = index(key, items.len()).filter(|index| *index < items.len())?;
            items.remove(index);
            Some(())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn patched(operations: Value) -> Option<Value> {
        let mut value = json!({"a": [1, 2, 3], "b": {"c/d": "x"}, "e": null});
        Operations::read(&operations, true).expect("operations").apply(&mut value).map(|()| value)
    }

    #[test]
    fn operations_do_what_the_library_does() {
        for (operations, expected) in [
            (json!([{"op": "remove", "path": "/a/-1"}]), Some(json!([1, 2]))),
            (json!([{"op": "add", "path": "/a/-1", "value": 4}]), Some(json!([1, 2, 3, 4]))),
            (json!([{"op": "add", "path": "/a/-4", "value": 0}]), Some(json!([0, 1, 2, 3]))),
            (json!([{"op": "add", "path": "/a/4", "value": 4}]), None),
            (json!([{"op": "replace", "path": "/a/3", "value": 4}]), None),
            (json!([{"op": "replace", "path": "/a/-3", "value": 4}]), Some(json!([4, 2, 3]))),
            (json!([{"op": "copy", "from": "/none", "path": "/a/0"}]), Some(json!([null, 1, 2, 3]))),
            (json!([{"op": "move", "from": "/none", "path": "/a/0"}]), None),
            (json!([{"op": "test", "path": "/none", "value": null}]), Some(json!([1, 2, 3]))),
            (json!([{"op": "test", "path": "/none"}]), Some(json!([1, 2, 3]))),
            (json!([{"op": "test", "path": "/b/c~1d", "value": "x"}]), Some(json!([1, 2, 3]))),
            (json!([{"op": "test", "path": "/b", "value": null}]), None),
            (json!([{"op": "replace", "path": "/none/x", "value": 1}]), None),
            (json!([{"op": "add", "path": "", "value": {}}]), None),
            (json!([{"op": "grow", "path": "/a"}]), None),
            (json!([{"path": "/a"}]), None),
        ] {
            assert_eq!(patched(operations.clone()).map(|value| value["a"].clone()), expected, "{operations}");
        }
        let added = patched(json!([{"op": "replace", "path": "/b/new", "value": 1}]));
        assert_eq!(added.map(|value| value["b"]["new"].clone()), Some(json!(1)));
    }

    #[test]
    fn what_is_no_operation_is_told_in_the_words_of_go() {
        for (value, strict, expected) in [
            (json!({}), true, "json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp"),
            (json!({}), false, "json: cannot unmarshal object into Go value of type jsonpatch.Patch"),
            (json!(["x"]), true, "json: cannot unmarshal string into Go value of type handlers.jsonPatchOp"),
            (
                json!([{"op": "add", "path": 1}]),
                true,
                "json: cannot unmarshal number into Go struct field jsonPatchOp.path of type string",
            ),
        ] {
            assert_eq!(Operations::read(&value, strict).map(|_| ()), Err(expected.to_string()));
        }
        let odd = Operations::read(&json!([{"op": "test", "path": "/a", "valeu": 1}]), true).expect("operations");
        assert_eq!(odd.unknown(), ["[0].valeu"]);
    }
}
