//! Strategic merge patches: merged by what each field's type says of it.
//!
//! Source: `apimachinery/pkg/util/strategicpatch/patch.go`; the strategies stand in the types' tags.

use crate::Error;
use crate::schema::{Field, Type};
use kit_apimachinery::go::plain;
use serde_json::{Map, Value};

const DIRECTIVE: &str = "$patch";
const RETAIN: &str = "$retainKeys";
const DELETE_FROM: &str = "$deleteFromPrimitiveList/";
const ORDER: &str = "$setElementOrder/";

/// Why a patch can't be merged (`mergepatch/errors.go`, and which code it has: `interpretStrategicMergePatchError` of
/// `endpoints/handlers/patch.go`).
#[derive(Debug)]
pub enum Problem {
    /// A directive has no sense.
    Malformed(&'static str),
    /// Something that upstream didn't think of as the client's fault.
    Other(String),
}

impl Problem {
    /// As clients see it.
    pub fn into_error(self) -> Error {
        match self {
            Problem::Malformed(why) => Error::bad_request(why),
            Problem::Other(why) => Error::internal(why),
        }
    }
}

/// Merges a patch into an object of a type.
///
/// # Errors
///
/// If the patch makes no sense, in upstream's words.
pub fn merge(object: &mut Value, patch: &Value, of: Type) -> Result<(), Problem> {
    match (object, patch) {
        (Value::Object(object), Value::Object(patch)) => maps(object, patch, of),
        (object, patch) => {
            *object = patch.clone();
            Ok(())
        }
    }
}

fn maps(object: &mut Map<String, Value>, patch: &Map<String, Value>, of: Type) -> Result<(), Problem> {
    match patch.get(DIRECTIVE).map(|directive| directive.as_str().unwrap_or_default()) {
        Some("replace") => {
            *object =
                patch.iter().filter(|(name, _)| *name != DIRECTIVE).map(|(n, v)| (n.clone(), v.clone())).collect();
            return Ok(());
        }
        Some("delete") => {
            object.clear();
            return Ok(());
        }
        None => {}
        Some(_) => return Err(bad_type(patch)),
    }
    if let Some(kept) = patch.get(RETAIN) {
        let bad = || Problem::Malformed("invalid patch format of retainKeys");
        let kept = kept.as_array().ok_or_else(bad)?;
        let retained = |name: &str| kept.iter().any(|kept| kept == name);
        let said = patch.iter().filter(|(name, value)| !value.is_null() && !name.starts_with('$'));
        if said.into_iter().any(|(name, _)| !retained(name)) {
            return Err(bad());
        }
        object.retain(|name, _| retained(name));
    }
    let field = |name: &str| of.structure().and_then(|of| of.field(name));
    for (name, order) in patch {
        if let Some(list) = name.strip_prefix(ORDER) {
            check_order(object.get(list), patch.get(list), order, list, of)?;
        }
    }
    for (name, values) in patch {
        // What is of another type than the list is passed over.
        if let (Some(list), Some(gone)) = (name.strip_prefix(DELETE_FROM), values.as_array())
            && let Some(items) = object.get_mut(list).and_then(Value::as_array_mut)
        {
            items.retain(|item| !gone.contains(item));
        }
    }
    for (name, value) in patch.iter().filter(|(name, _)| !name.starts_with('$')) {
        let field = field(name);
        match (value, object.get_mut(name)) {
            (Value::Null, _) => _ = object.shift_remove(name),
            (Value::Object(_), Some(there)) if there.is_object() => merge(there, value, inner(field, of))?,
            (Value::Array(items), Some(Value::Array(list))) => match field.filter(|field| field.patch.merge) {
                Some(field) => lists(list, items, field)?,
                None => list.clone_from(items),
            },
            (Value::Object(_) | Value::Array(_), _) => {
                object.shift_remove(name);
                if let Some(fresh) = fresh(value) {
                    object.insert(name.clone(), fresh);
                }
            }
            _ => _ = object.insert(name.clone(), value.clone()),
        }
    }
    for (name, order) in patch {
        let Some(list) = name.strip_prefix(ORDER) else { continue };
        let key = field(list).and_then(|field| field.patch.key);
        if let (Some(items), Some(order)) = (object.get_mut(list).and_then(Value::as_array_mut), order.as_array()) {
            sort(items, order, key);
        }
    }
    Ok(())
}

/// The type of what a field holds; fields of maps all have the map's.
fn inner(field: Option<&Field>, of: Type) -> Type {
    match (field, of.plain()) {
        (Some(field), _) => field.of.plain(),
        (None, Type::Map(of)) => of.plain(),
        _ => Type::Raw,
    }
}

/// An order belongs to a list that the type has (`mergePatchIntoOriginal`).
fn check_order(
    there: Option<&Value>,
    patch: Option<&Value>,
    order: &Value,
    list: &str,
    of: Type,
) -> Result<(), Problem> {
    if let Some(value) = [Some(order), there, patch].into_iter().flatten().find(|value| !value.is_array()) {
        let is = match value {
            Value::Object(_) => "map[string]interface {}",
            Value::String(_) => "string",
            Value::Bool(_) => "bool",
            Value::Number(number) if number.is_f64() => "float64",
            Value::Number(_) => "int64",
            Value::Null | Value::Array(_) => "<nil>",
        };
        return Err(Problem::Other(format!("expected a []interface {{}}, but received a {is}")));
    }
    let Some(structure) = of.structure() else {
        let why = "merging an object in json but data type is not struct, instead is: map";
        return if matches!(of.plain(), Type::Map(_)) { Err(Problem::Other(why.into())) } else { Ok(()) };
    };
    if structure.field(list).is_none() {
        let name = structure.name.rsplit('.').next().unwrap_or_default();
        return Err(Problem::Other(format!("unable to find api field in struct {name} for the json field {list:?}")));
    }
    Ok(())
}

/// What a patch puts where there was nothing: without what is null, and without maps that are directives themselves. Other
/// directives stay, and are fields that nobody knows (`discardNullValuesFromPatch`, `removeDirectives`).
fn fresh(value: &Value) -> Option<Value> {
    Some(match value {
        Value::Object(fields) if fields.contains_key(DIRECTIVE) => return None,
        Value::Object(fields) => {
            let said = fields.iter().filter(|(_, value)| !value.is_null());
            said.filter_map(|(name, value)| Some((name.clone(), fresh(value)?))).collect()
        }
        Value::Array(items) => items.iter().filter_map(fresh).collect(),
        other => other.clone(),
    })
}

fn without_directives(items: &[Value]) -> Vec<Value> {
    items.iter().filter(|item| item.get(DIRECTIVE).is_none()).cloned().collect()
}

fn lists(list: &mut Vec<Value>, patch: &[Value], field: &Field) -> Result<(), Problem> {
    let Some(key) = field.patch.key else {
        // Plain values: a set.
        for value in patch {
            if !list.contains(value) {
                list.push(value.clone());
            }
        }
        return Ok(());
    };
    if patch.iter().any(|item| item[DIRECTIVE] == "replace") {
        *list = without_directives(patch);
        return Ok(());
    }
    let of = match field.of.plain() {
        Type::List(of) => of.plain(),
        _ => Type::Raw,
    };
    let mut added = Vec::new();
    for item in patch {
        let Some(value) = item.get(key) else {
            return Err(Problem::Other(format!("map: {} does not contain declared merge key: {key}", plain(item))));
        };
        match item.get(DIRECTIVE).map(|directive| directive.as_str().unwrap_or_default()) {
            Some("delete") => {
                list.retain(|there| there.get(key) != Some(value));
                continue;
            }
            Some("merge") => return Err(Problem::Other("merging lists cannot yet be specified in the patch".into())),
            Some(_) => return Err(bad_type(item.as_object().unwrap_or(&Map::new()))),
            None => {}
        }
        match list.iter_mut().find(|there| there.get(key) == Some(value)) {
            Some(there) => {
                merge(there, item, of)?;
            }
            None => added.push(item.clone()),
        }
    }
    // Items that are new come before what only the server has: see `sort`.
    list.splice(0..0, added);
    let order: Vec<Value> = patch.iter().filter(|item| item[DIRECTIVE] != "delete").cloned().collect();
    sort(list, &order, Some(key));
    Ok(())
}

/// Items in the order that the patch has them; what only the server has keeps its place among its neighbours
/// (`mergeSortedSlice`).
fn sort(items: &mut Vec<Value>, order: &[Value], key: Option<&str>) {
    let id = |item: &Value| match key {
        Some(key) => item.get(key).cloned().unwrap_or_default(),
        None => item.clone(),
    };
    let place = |item: &Value| order.iter().position(|ordered| id(ordered) == id(item));
    let (mut ours, mut theirs): (Vec<_>, Vec<_>) =
        items.drain(..).enumerate().partition(|(_, item)| place(item).is_some());
    let before: Vec<(usize, Value)> = ours.iter().map(|(index, item)| (*index, id(item))).collect();
    ours.sort_by_key(|(_, item)| place(item));
    let original = |item: &Value| before.iter().find(|(_, known)| *known == id(item)).map(|(index, _)| *index);
    let mut ours = ours.into_iter().map(|(_, item)| item).peekable();
    let mut theirs_left = theirs.drain(..).peekable();
    loop {
        match (ours.peek(), theirs_left.peek()) {
            (Some(mine), Some((index, _))) => {
                if original(mine).is_some_and(|at| at > *index) {
                    items.extend(theirs_left.next().map(|(_, item)| item));
                } else {
                    items.extend(ours.next());
                }
            }
            (Some(_), None) => items.extend(ours.next()),
            (None, Some(_)) => items.extend(theirs_left.next().map(|(_, item)| item)),
            (None, None) => return,
        }
    }
}

fn bad_type(patch: &Map<String, Value>) -> Problem {
    let shown = plain(&Value::Object(patch.clone()));
    Problem::Other(format!("unknown patch type: {} in map: {shown}", plain(&patch[DIRECTIVE])))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::named;
    use serde_json::json;

    fn merged(object: Value, patch: Value) -> Value {
        let mut object = object;
        merge(&mut object, &patch, named("core.PodSpec").expect("a type")).expect("a good patch");
        object
    }

    #[test]
    fn lists_are_merged_by_their_key() {
        let there = json!({"containers": [{"name": "a", "image": "1"}, {"name": "b"}]});
        let both = json!({"containers": [{"name": "a", "image": "2"}, {"name": "b"}]});
        assert_eq!(merged(there.clone(), json!({"containers": [{"name": "a", "image": "2"}]})), both);
        let one = json!({"containers": [{"name": "b"}]});
        assert_eq!(merged(there.clone(), json!({"containers": [{"$patch": "delete", "name": "a"}]})), one);
        let replaced = merged(there, json!({"containers": [{"$patch": "replace"}, {"name": "c"}]}));
        assert_eq!(replaced, json!({"containers": [{"name": "c"}]}));
    }

    #[test]
    fn new_items_come_first_and_an_order_can_be_said() {
        let there = json!({"containers": [{"name": "a"}]});
        let patch = json!({"containers": [{"name": "b"}]});
        assert_eq!(merged(there.clone(), patch), json!({"containers": [{"name": "b"}, {"name": "a"}]}));
        let patch =
            json!({"$setElementOrder/containers": [{"name": "a"}, {"name": "b"}], "containers": [{"name": "b"}]});
        assert_eq!(merged(there, patch), json!({"containers": [{"name": "a"}, {"name": "b"}]}));
    }

    #[test]
    fn other_lists_are_replaced() {
        let there = json!({"tolerations": [{"key": "a"}], "nodeSelector": {"a": "b"}});
        let patch = json!({"tolerations": [{"key": "b"}], "nodeSelector": {"c": "d", "a": null}});
        assert_eq!(merged(there, patch), json!({"tolerations": [{"key": "b"}], "nodeSelector": {"c": "d"}}));
    }
}
