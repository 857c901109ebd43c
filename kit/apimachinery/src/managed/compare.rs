//! What is different between two versions of an object, as sets of fields.
//!
//! Source: `structured-merge-diff/typed/compare.go`. What is there on one side only belongs to the answer as a whole and in its
//! parts: so a new map, struct or item has a `.` of its own in `managedFields`.

use super::seen::{Items, Seen, Shape};
use super::set::{Set, Step};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// What is different between two versions of an object.
#[derive(Debug, Default, Clone)]
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

/// Compares two versions of an object, without the fields of its metadata that are `hidden`.
pub fn compare(old: &Value, new: &Value, seen: Seen<'_>, hidden: &[&str]) -> Difference {
    let mut difference = Difference::default();
    let (nothing, none) = (Map::new(), Value::Null);
    let (before, after) = (old.as_object().unwrap_or(&nothing), new.as_object().unwrap_or(&nothing));
    for name in names(before, after) {
        let (was, is) = (before.get(name), after.get(name));
        let below = match name.as_str() {
            "metadata" => {
                let shown = |value: Option<&Value>| -> Value {
                    let fields = value.unwrap_or(&none).as_object().into_iter().flatten();
                    let fields = fields.filter(|(name, _)| !hidden.contains(&name.as_str()));
                    fields.map(|(name, value)| (name.clone(), value.clone())).collect()
                };
                // Whose the metadata as a whole is, nobody asks.
                differ(Some(&shown(was)), Some(&shown(is)), seen.field(name))
            }
            _ => differ(was, is, seen.field(name)),
        };
        difference.put(Step::Field(name.clone()), below);
    }
    difference
}

fn names<'a>(before: &'a Map<String, Value>, after: &'a Map<String, Value>) -> impl Iterator<Item = &'a String> {
    before.keys().chain(after.keys().filter(|name| !before.contains_key(*name)))
}

impl Difference {
    /// A place that only one side has, or that both have in another way.
    fn leaf(old: Option<&Value>, new: Option<&Value>) -> Difference {
        let mut leaf = Difference::default();
        match (old, new) {
            (_, Some(_)) => leaf.changed.here = true,
            (Some(_), None) => leaf.removed.here = true,
            (None, None) => {}
        }
        leaf
    }

    fn put(&mut self, step: Step, below: Difference) {
        for (set, below) in [(&mut self.removed, below.removed), (&mut self.changed, below.changed)] {
            if !below.is_empty() {
                set.below.insert(step.clone(), below);
            }
        }
    }
}

fn differ(old: Option<&Value>, new: Option<&Value>, seen: Seen<'_>) -> Difference {
    if let (Some(old), Some(new)) = (old, new)
        && equal(old, new)
    {
        return Difference::default();
    }
    let Some(example) = new.filter(|value| !value.is_null()).or(old) else { return Difference::leaf(old, new) };
    let mut difference = match seen.shape(example) {
        Shape::Fields => {
            let nothing = Map::new();
            let before = old.and_then(Value::as_object).unwrap_or(&nothing);
            let after = new.and_then(Value::as_object).unwrap_or(&nothing);
            if before.is_empty() && after.is_empty() {
                return Difference::leaf(old, new);
            }
            let mut all = Difference::default();
            for name in names(before, after) {
                let below = differ(before.get(name), after.get(name), seen.field(name));
                all.put(Step::Field(name.clone()), below);
            }
            all
        }
        Shape::Items(items) => {
            let before = old.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            let after = new.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            if before.is_empty() && after.is_empty() {
                return Difference::leaf(old, new);
            }
            lists(before, after, &items)
        }
        Shape::One => return Difference::leaf(old, new),
    };
    match (old, new) {
        (None, _) => difference.changed.here = true,
        (_, None) => difference.removed.here = true,
        _ => {}
    }
    difference
}

/// The items of a list, by how each is found.
fn by_step<'a>(items: &'a [Value], of: &Items<'_>) -> BTreeMap<Step, Vec<&'a Value>> {
    let mut found: BTreeMap<Step, Vec<&Value>> = BTreeMap::new();
    for item in items {
        if let Ok(step) = of.step(item) {
            found.entry(step).or_default().push(item);
        }
    }
    found
}

/// Items that are there twice are taken as one value.
fn lists(before: &[Value], after: &[Value], items: &Items<'_>) -> Difference {
    let (before, after) = (by_step(before, items), by_step(after, items));
    let mut all = Difference::default();
    let steps = before.keys().chain(after.keys().filter(|step| !before.contains_key(*step)));
    for step in steps {
        let was = before.get(step).cloned().unwrap_or_default();
        let is = after.get(step).cloned().unwrap_or_default();
        let one = |old: Option<&&Value>, new: Option<&&Value>| differ(old.copied(), new.copied(), items.of);
        let mut below = match (was.len(), is.len()) {
            (0 | 1, 0 | 1) => one(was.first(), is.first()),
            (0 | 1, _) => one(was.first(), None),
            (_, 0 | 1) => one(None, is.first()),
            _ if was.len() == is.len() && was.iter().zip(&is).all(|(one, other)| equal(one, other)) => {
                Difference::default()
            }
            _ => Difference { changed: Set::leaf(), removed: Set::default() },
        };
        match (was.len(), is.len()) {
            (0 | 1, 2..) => below.changed.here = true,
            (2.., 0 | 1) => below.removed.here = true,
            _ => {}
        }
        all.put(step.clone(), below);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{fill, named};
    use serde_json::json;

    fn seen() -> Seen<'static> {
        Seen::object(named("apps.Deployment").expect("a type"))
    }

    #[test]
    fn a_new_map_or_item_belongs_to_whoever_makes_it() {
        let of = named("apps.Deployment").expect("a type");
        let new = json!({
            "metadata": {"name": "d", "labels": {"a": "b"}},
            "spec": {"replicas": 1, "selector": {"matchLabels": {"a": "b"}}, "template": {
                "metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "c:1"}],
                "volumes": [{"name": "v", "emptyDir": {}}]}}},
        });
        let found = compare(&fill(json!({}), of), &fill(new, of), seen(), &["name", "creationTimestamp"]);
        let expected = json!({
            "f:metadata": {"f:labels": {".": {}, "f:a": {}}},
            "f:spec": {
                "f:replicas": {}, "f:selector": {},
                "f:template": {
                    "f:metadata": {"f:labels": {".": {}, "f:a": {}}},
                    "f:spec": {
                        "f:containers": {r#"k:{"name":"c"}"#: {".": {}, "f:image": {}, "f:name": {}, "f:resources": {}}},
                        "f:volumes": {".": {}, r#"k:{"name":"v"}"#: {".": {}, "f:emptyDir": {}, "f:name": {}}},
                    },
                },
            },
        });
        assert_eq!(found.changed.encode(), expected);
        assert!(found.removed.is_empty());
    }

    #[test]
    fn items_that_are_there_twice_are_one_value() {
        let with = |names: &[&str]| {
            let env: Vec<Value> = names.iter().map(|value| json!({"name": "A", "value": value})).collect();
            json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "env": env}]}}}})
        };
        let at = r#".spec.template.spec.containers[name="c"].env[name="A"]"#;
        let twice = compare(&with(&["1"]), &with(&["1", "2"]), seen(), &[]);
        assert_eq!(twice.changed.paths(), [at]);
        assert_eq!(twice.removed.paths(), [at.to_string(), format!("{at}.name"), format!("{at}.value")]);
        let other = compare(&with(&["1", "2"]), &with(&["1", "3"]), seen(), &[]);
        assert_eq!((other.changed.paths(), other.removed.is_empty()), (vec![at.to_string()], true));
    }

    #[test]
    fn values_are_equal_in_any_order() {
        assert!(equal(&json!({"a": 1, "b": [{"c": 2, "d": 3}]}), &json!({"b": [{"d": 3, "c": 2}], "a": 1})));
        assert!(!equal(&json!({"a": 1}), &json!({"a": 2})) && !equal(&json!([1]), &json!([1, 1])));
    }
}
