//! Objects as server-side apply sees them: which fields they have, what merging two makes, what differs.
//!
//! Source: `sigs.k8s.io/structured-merge-diff`, `typed/{tofieldset,merge,compare,remove}.go`.

use super::set::{Set, Step};
use crate::schema::{Field, ListType, Type};
use serde_json::{Map, Value, json};

/// How a value is seen: field by field, item by item, or as one.
#[derive(Clone, Copy)]
enum Shape<'a> {
    Fields,
    Items(&'a ListType, Type),
    One,
}

/// A type together with what its field says of it.
#[derive(Clone, Copy)]
pub struct Seen<'a> {
    of: Type,
    list: &'a ListType,
}

impl<'a> Seen<'a> {
    /// A whole object.
    pub fn object(of: Type) -> Seen<'a> {
        Seen { of, list: &ListType::Unsaid }
    }

    fn shape(self, value: &Value) -> Shape<'a> {
        let atomic = *self.list == ListType::Atomic || self.of.structure().is_some_and(|of| of.atomic);
        match (self.of.plain(), value) {
            _ if atomic => Shape::One,
            (Type::List(of), Value::Array(_)) => match self.list {
                ListType::Set | ListType::Map(_) => Shape::Items(self.list, *of),
                _ => Shape::One,
            },
            (Type::Struct(_) | Type::Map(_), Value::Object(_)) => Shape::Fields,
            // Custom resources without more to go by: maps field by field, lists as one.
            (Type::Raw, Value::Object(_)) => Shape::Fields,
            _ => Shape::One,
        }
    }

    fn field(self, name: &str) -> Seen<'a>
    where
        'static: 'a,
    {
        let known: Option<&'static Field> = self.of.structure().and_then(|of| of.field(name));
        match (known, self.of.plain()) {
            (Some(field), _) => Seen { of: field.of, list: &field.list },
            (None, Type::Map(of)) => Seen { of: *of, list: &ListType::Unsaid },
            _ => Seen { of: Type::Raw, list: &ListType::Unsaid },
        }
    }

    fn is_struct_field(self, name: &str) -> bool {
        self.of.structure().is_some_and(|of| of.field(name).is_some())
    }

    fn item(of: Type) -> Seen<'a> {
        Seen { of, list: &ListType::Unsaid }
    }
}

fn step_of(item: &Value, list: &ListType) -> Step {
    match list {
        ListType::Map(keys) => {
            let mut named = std::collections::BTreeMap::new();
            for key in keys {
                // The only key with a default is the protocol of a port.
                let default = if *key == "protocol" { json!("TCP") } else { Value::Null };
                let value = item.get(*key).cloned().unwrap_or(default);
                if !value.is_null() {
                    named.insert(*key, value);
                }
            }
            Step::Key(serde_json::to_string(&named).unwrap_or_default())
        }
        _ => Step::Value(item.to_string()),
    }
}

/// The fields that an object has.
pub fn fields(value: &Value, seen: Seen<'_>) -> Set {
    match (seen.shape(value), value) {
        (Shape::Fields, Value::Object(entries)) => {
            let mut set = Set::default();
            for (name, value) in entries {
                let mut below = fields(value, seen.field(name));
                let empty = value.is_null() || value.as_object().is_some_and(Map::is_empty);
                below.here |= empty || !seen.is_struct_field(name) && seen.of.structure().is_none() && is_entry(seen);
                if !below.is_empty() {
                    set.below.insert(Step::Field(name.clone()), below);
                }
            }
            set
        }
        (Shape::Items(list, of), Value::Array(items)) => {
            let mut set = Set::default();
            for item in items {
                let mut below = fields(item, Seen::item(of));
                below.here = true;
                set.below.insert(step_of(item, list), below);
            }
            set
        }
        _ => Set::leaf(),
    }
}

/// Entries of a map belong to whoever set them, as a whole and in their parts; fields of a struct only in their parts.
fn is_entry(seen: Seen<'_>) -> bool {
    matches!(seen.of.plain(), Type::Map(_))
}

/// `live` with everything that `config` says.
pub fn merge(live: &Value, config: &Value, seen: Seen<'_>) -> Value {
    match (seen.shape(config), live, config) {
        (Shape::Fields, Value::Object(there), Value::Object(said)) => {
            let mut merged = there.clone();
            for (name, value) in said {
                let result = match there.get(name) {
                    Some(there) => merge(there, value, seen.field(name)),
                    None => value.clone(),
                };
                merged.insert(name.clone(), result);
            }
            Value::Object(merged)
        }
        (Shape::Items(list, of), Value::Array(there), Value::Array(said)) => {
            let find = |items: &[Value], step: &Step| items.iter().position(|item| step_of(item, list) == *step);
            let mut merged: Vec<Value> = Vec::new();
            let mut next = 0;
            // Items of the configuration keep its order, and those that only the server has their place.
            for item in there {
                let Some(at) = find(said, &step_of(item, list)) else {
                    merged.push(item.clone());
                    continue;
                };
                for mine in &said[next.min(at + 1)..=at.max(next.min(at))] {
                    push(&mut merged, there, mine, list, of);
                }
                next = next.max(at + 1);
            }
            for mine in said {
                push(&mut merged, there, mine, list, of);
            }
            Value::Array(merged)
        }
        _ => config.clone(),
    }
}

fn push(merged: &mut Vec<Value>, there: &[Value], mine: &Value, list: &ListType, of: Type) {
    let step = step_of(mine, list);
    if merged.iter().any(|item| step_of(item, list) == step) {
        return;
    }
    let old = there.iter().find(|item| step_of(item, list) == step);
    merged.push(old.map_or_else(|| mine.clone(), |old| merge(old, mine, Seen::item(of))));
}

/// What is different between two versions of an object.
#[derive(Debug, Default)]
pub struct Difference {
    /// New or other fields.
    pub changed: Set,
    /// Fields that are gone.
    pub removed: Set,
}

/// Compares two versions.
pub fn compare(old: &Value, new: &Value, seen: Seen<'_>) -> Difference {
    let mut difference = Difference::default();
    let (mut before, mut after) = (fields(old, seen), fields(new, seen));
    difference.removed = before.clone();
    difference.removed.remove(&after);
    let both = before.common(&after);
    differing(old, new, seen, &mut difference.changed);
    before.remove(&both);
    after.remove(&both);
    difference.changed.add(&after);
    difference
}

/// Fields that are in both, with another value.
fn differing(old: &Value, new: &Value, seen: Seen<'_>, set: &mut Set) {
    match (seen.shape(new), old, new) {
        (Shape::Fields, Value::Object(before), Value::Object(after)) => {
            for (name, value) in after {
                let Some(was) = before.get(name) else { continue };
                let mut below = Set::default();
                differing(was, value, seen.field(name), &mut below);
                if !below.is_empty() {
                    set.below.insert(Step::Field(name.clone()), below);
                }
            }
        }
        (Shape::Items(list, of), Value::Array(before), Value::Array(after)) => {
            for item in after {
                let step = step_of(item, list);
                let Some(was) = before.iter().find(|was| step_of(was, list) == step) else { continue };
                let mut below = Set::default();
                if *list != ListType::Set {
                    differing(was, item, Seen::item(of), &mut below);
                }
                if !below.is_empty() {
                    set.below.insert(step, below);
                }
            }
        }
        _ => set.here |= old != new,
    }
}

/// Takes the fields of `gone` out of an object, but for those that somebody of `owned` still has.
pub fn prune(value: &mut Value, gone: &Set, owned: &Set, seen: Seen<'_>) {
    let kept = |step: &Step| owned.below.get(step).is_some_and(|set| !set.is_empty());
    let nothing = Set::default();
    let shape = seen.shape(value);
    match (shape, value) {
        (Shape::Fields, Value::Object(entries)) => {
            for (step, set) in &gone.below {
                let Step::Field(name) = step else { continue };
                if set.here && !kept(step) {
                    entries.shift_remove(name);
                } else if let Some(value) = entries.get_mut(name) {
                    prune(value, set, owned.below.get(step).unwrap_or(&nothing), seen.field(name));
                }
            }
        }
        (Shape::Items(list, of), Value::Array(items)) => {
            items.retain(|item| {
                let step = step_of(item, list);
                !gone.below.get(&step).is_some_and(|set| set.here) || kept(&step)
            });
            for item in items {
                let step = step_of(item, list);
                if let Some(set) = gone.below.get(&step) {
                    prune(item, set, owned.below.get(&step).unwrap_or(&nothing), Seen::item(of));
                }
            }
        }
        _ => {}
    }
}

/// Fields of a configuration that its type doesn't have, as messages name them.
pub fn undeclared(value: &Value, of: Type, path: &str) -> Vec<String> {
    let mut found = Vec::new();
    match (of.plain(), value) {
        (Type::Struct(_), Value::Object(entries)) => {
            for (name, value) in entries {
                match of.structure().and_then(|of| of.field(name)) {
                    Some(field) => found.extend(undeclared(value, field.of, &format!("{path}.{name}"))),
                    None => found.push(format!("{path}.{name}: field not declared in schema")),
                }
            }
        }
        (Type::List(of), Value::Array(items)) => {
            for (index, item) in items.iter().enumerate() {
                let name = item.get("name").map_or_else(|| index.to_string(), |name| format!("name={name}"));
                found.extend(undeclared(item, *of, &format!("{path}[{name}]")));
            }
        }
        (Type::Map(of), Value::Object(entries)) => {
            for (name, value) in entries {
                found.extend(undeclared(value, *of, &format!("{path}.{name}")));
            }
        }
        _ => {}
    }
    found
}
