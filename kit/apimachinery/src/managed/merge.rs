//! Objects as server-side apply sees them: which fields they have, what merging two makes, what differs.
//!
//! Source: `sigs.k8s.io/structured-merge-diff`, `typed/{tofieldset,merge,compare,remove}.go`.

use super::set::{Set, Step};
use crate::schema::{Field, ListType, Type};
use serde_json::{Map, Value, json};
use std::borrow::Cow;
use std::collections::BTreeMap;

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
                let below = part(value, seen, name);
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

/// Whether two values are equal. Where fields come in the same order, which they do in objects of the store, nothing is
/// looked up.
pub fn equal(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            let same = |((name, value), (other, its)): ((&String, &Value), (&String, &Value))| {
                (name == other).then(|| equal(value, its))
            };
            if one.len() != other.len() {
                return false;
            }
            for pair in one.iter().zip(other) {
                match same(pair) {
                    Some(true) => {}
                    Some(false) => return false,
                    None => return one == other,
                }
            }
            true
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| equal(one, other))
        }
        _ => one == other,
    }
}

impl Difference {
    /// Says of both versions whether the place itself is a field.
    fn own(&mut self, own: [bool; 2]) {
        (self.removed.here, self.changed.here) = (own[0] && !own[1], own[1] && !own[0]);
    }
}

/// Compares two versions of an object, without the fields of its metadata that are `hidden`.
pub fn compare(old: &Value, new: &Value, seen: Seen<'_>, hidden: &[&str]) -> Difference {
    let mut difference = Difference::default();
    if let (Value::Object(before), Value::Object(after)) = (old, new) {
        entries(before, after, seen, Hidden { here: &[], of_metadata: hidden }, &mut difference);
    }
    difference
}

/// An object without some of its fields.
fn bare<'a>(value: &'a Value, hidden: &[&str]) -> Cow<'a, Value> {
    match value {
        Value::Object(fields) if !hidden.is_empty() => {
            let shown = fields.iter().filter(|(name, _)| !hidden.contains(&name.as_str()));
            Cow::Owned(shown.map(|(name, value)| (name.clone(), value.clone())).collect())
        }
        value => Cow::Borrowed(value),
    }
}

/// What belongs to the field of this name, as [`fields`] has it.
fn part(value: &Value, seen: Seen<'_>, name: &str) -> Set {
    let mut below = fields(value, seen.field(name));
    below.here |= is_nothing(value) || is_entry(seen);
    below
}

fn is_nothing(value: &Value) -> bool {
    value.is_null() || value.as_object().is_some_and(Map::is_empty)
}

/// Fields that are not compared: of this object, and of its metadata.
#[derive(Clone, Copy, Default)]
struct Hidden<'a> {
    here: &'a [&'a str],
    of_metadata: &'a [&'a str],
}

/// Compares the fields of two structs, or the entries of two maps.
fn entries(
    before: &Map<String, Value>,
    after: &Map<String, Value>,
    seen: Seen<'_>,
    hidden: Hidden<'_>,
    into: &mut Difference,
) {
    let shown = |name: &str| !hidden.here.contains(&name);
    let hidden_of = |name: &str| if name == "metadata" { hidden.of_metadata } else { &[] };
    let put = |set: &mut Set, name: &str, below: Set| {
        if !below.is_empty() {
            set.below.insert(Step::Field(name.into()), below);
        }
    };
    for (name, was) in before.iter().filter(|(name, _)| shown(name)) {
        if !after.contains_key(name) {
            put(&mut into.removed, name, part(&bare(was, hidden_of(name)), seen, name));
        }
    }
    for (name, is) in after.iter().filter(|(name, _)| shown(name)) {
        let hidden = hidden_of(name);
        let Some(was) = before.get(name) else {
            put(&mut into.changed, name, part(&bare(is, hidden), seen, name));
            continue;
        };
        if equal(was, is) {
            continue;
        }
        let entry = is_entry(seen);
        let below = match (was, is) {
            (Value::Object(was), Value::Object(is)) if !hidden.is_empty() => {
                let nothing = |fields: &Map<String, Value>| fields.keys().all(|name| hidden.contains(&name.as_str()));
                let mut below = Difference::default();
                entries(was, is, seen.field(name), Hidden { here: hidden, of_metadata: &[] }, &mut below);
                below.own([entry || nothing(was), entry || nothing(is)]);
                below
            }
            _ => {
                let (was, is) = (&*bare(was, hidden), &*bare(is, hidden));
                values(was, is, seen.field(name), [entry || is_nothing(was), entry || is_nothing(is)])
            }
        };
        put(&mut into.removed, name, below.removed);
        put(&mut into.changed, name, below.changed);
    }
}

/// Compares two values that are not equal; of each, whether it is a field of its own, besides those within it.
fn values(old: &Value, new: &Value, seen: Seen<'_>, own: [bool; 2]) -> Difference {
    let mut below = Difference::default();
    match (seen.shape(new), old, new) {
        (Shape::Fields, Value::Object(before), Value::Object(after)) => {
            entries(before, after, seen, Hidden::default(), &mut below);
            below.own(own);
        }
        (Shape::Items(list, of), Value::Array(before), Value::Array(after)) => {
            match (steps(before, list), steps(after, list)) {
                (Some(was), Some(is)) => {
                    items(&was, &is, list, of, &mut below);
                    below.own(own);
                }
                _ => below = by_sets(old, new, seen, own),
            }
        }
        _ => below = by_sets(old, new, seen, own),
    }
    below
}

/// The items of a list by their steps; none if two have the same.
fn steps<'a>(items: &'a [Value], list: &ListType) -> Option<BTreeMap<Step, &'a Value>> {
    let steps: BTreeMap<Step, &Value> = items.iter().map(|item| (step_of(item, list), item)).collect();
    (steps.len() == items.len()).then_some(steps)
}

fn items(
    before: &BTreeMap<Step, &Value>,
    after: &BTreeMap<Step, &Value>,
    list: &ListType,
    of: Type,
    into: &mut Difference,
) {
    let all = |item: &Value| Set { here: true, ..fields(item, Seen::item(of)) };
    for (step, was) in before.iter().filter(|(step, _)| !after.contains_key(step)) {
        into.removed.below.insert(step.clone(), all(was));
    }
    for (step, is) in after {
        let Some(was) = before.get(step) else {
            into.changed.below.insert(step.clone(), all(is));
            continue;
        };
        if *list != ListType::Set && !equal(was, is) {
            let below = values(was, is, Seen::item(of), [true, true]);
            for (set, below) in [(&mut into.removed, below.removed), (&mut into.changed, below.changed)] {
                if !below.is_empty() {
                    set.below.insert(step.clone(), below);
                }
            }
        }
    }
}

/// Compares two values by the sets of all their fields.
fn by_sets(old: &Value, new: &Value, seen: Seen<'_>, own: [bool; 2]) -> Difference {
    let mut difference = Difference::default();
    let (mut before, mut after) = (fields(old, seen), fields(new, seen));
    before.here |= own[0];
    after.here |= own[1];
    difference.removed = before.clone();
    difference.removed.remove(&after);
    let both = before.common(&after);
    differing(old, new, seen, &mut difference.changed);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::named;

    fn pod() -> Value {
        json!({
            "metadata": {"name": "web", "uid": "1", "labels": {"app": "web", "tier": "front"}, "finalizers": ["a", "b"]},
            "spec": {
                "nodeSelector": {"zone": "a"}, "hostNetwork": true, "securityContext": {},
                "containers": [
                    {"name": "c", "image": "c:1", "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
                     "ports": [{"containerPort": 80, "protocol": "TCP"}, {"containerPort": 53, "protocol": "UDP"}]},
                    {"name": "d", "image": "d:1", "args": ["x", "y"], "resources": {"limits": {"cpu": "1"}}},
                ],
                "tolerations": [{"key": "k", "effect": "NoExecute"}],
            },
            "status": {"conditions": [{"type": "Ready", "status": "True"}], "podIPs": [{"ip": "10.0.0.1"}]},
        })
    }

    /// Every value that something in an object can become: nothing, another one, and one of another shape.
    fn variants(value: &Value) -> Vec<Value> {
        let mut all = vec![Value::Null, json!("other"), json!({}), json!([]), json!(["a"]), json!({"name": "c"})];
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    let with = |change: &dyn Fn(&mut Map<String, Value>)| {
                        let mut fields = fields.clone();
                        change(&mut fields);
                        Value::Object(fields)
                    };
                    all.push(with(&|fields| _ = fields.shift_remove(name)));
                    all.push(with(&|fields| _ = fields.insert("new".into(), json!({"a": {}}))));
                    all.extend(variants(value).into_iter().map(|value| with(&|fields| fields[name] = value.clone())));
                }
            }
            Value::Array(items) => {
                let again: Vec<Value> = items.iter().chain(items).cloned().collect();
                all.push(again.into());
                all.push(items.iter().rev().cloned().collect());
                for (at, item) in items.iter().enumerate() {
                    let with = |item: Option<Value>| {
                        let mut items = items.clone();
                        items.splice(at..=at, item);
                        Value::Array(items)
                    };
                    all.push(with(None));
                    all.extend(variants(item).into_iter().map(|item| with(Some(item))));
                }
            }
            _ => {}
        }
        all
    }

    #[test]
    fn what_differs_is_what_the_sets_of_all_fields_say() {
        let hidden = ["uid", "managedFields"];
        let bare = |object: &Value| {
            let mut object = object.clone();
            if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
                hidden.iter().for_each(|name| _ = metadata.shift_remove(*name));
            }
            object
        };
        let mut compared = 0;
        for of in [named("core.Pod").expect("a type"), Type::Raw] {
            let (seen, pod) = (Seen::object(of), pod());
            for other in variants(&pod).iter().filter(|other| other.is_object()) {
                for (old, new) in [(&pod, other), (other, &pod)] {
                    let found = compare(old, new, seen, &hidden);
                    let expected = by_sets(&bare(old), &bare(new), seen, [false, false]);
                    assert_eq!(found.changed, expected.changed, "changed from {old} to {new}");
                    assert_eq!(found.removed, expected.removed, "removed from {old} to {new}");
                    compared += 1;
                }
            }
        }
        assert!(compared > 1000, "{compared}");
    }

    #[test]
    fn values_are_equal_in_any_order() {
        let pod = pod();
        for other in variants(&pod) {
            assert_eq!(equal(&pod, &other), pod == other, "{other}");
        }
        assert!(equal(&json!({"a": 1, "b": [{"c": 2, "d": 3}]}), &json!({"b": [{"d": 3, "c": 2}], "a": 1})));
    }
}
