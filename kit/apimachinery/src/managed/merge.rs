//! Objects as server-side apply works with them: which fields they have, what merging two makes, what goes with its owner.
//!
//! Source: `sigs.k8s.io/structured-merge-diff`, `typed/{tofieldset,merge,remove}.go` and `merge/update.go`.

use super::seen::{Items, Seen, Shape};
use super::set::{Set, Step};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// The fields that an object has.
pub fn fields(value: &Value, seen: Seen<'_>) -> Set {
    match (seen.shape(value), value) {
        (Shape::Fields, Value::Object(entries)) => {
            let mut set = Set::default();
            for (name, value) in entries {
                let mut below = fields(value, seen.field(name));
                below.here |= is_nothing(value) || seen.is_entry(name);
                if !below.is_empty() {
                    set.below.insert(Step::Field(name.clone()), below);
                }
            }
            set
        }
        (Shape::Items(list), Value::Array(items)) => {
            let mut set = Set::default();
            let mut twice: BTreeSet<Step> = BTreeSet::new();
            for item in items {
                let step = list.step_of(item);
                if set.below.contains_key(&step) {
                    twice.insert(step);
                    continue;
                }
                let mut below = fields(item, list.of);
                below.here = true;
                set.below.insert(step, below);
            }
            // Items that are there twice are one value.
            for step in twice {
                set.below.insert(step, Set::leaf());
            }
            set
        }
        (Shape::Fields | Shape::Items(_), _) => Set::default(),
        (Shape::One, _) => Set::leaf(),
    }
}

fn is_nothing(value: &Value) -> bool {
    value.is_null() || value.as_object().is_some_and(Map::is_empty)
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
        (Shape::Items(list), Value::Array(there), Value::Array(said)) => {
            let find = |items: &[Value], step: &Step| items.iter().position(|item| list.step_of(item) == *step);
            let mut merged: Vec<Value> = Vec::new();
            let mut next = 0;
            // Items of the configuration keep its order, and those that only the server has their place.
            for item in there {
                let Some(at) = find(said, &list.step_of(item)) else {
                    merged.push(item.clone());
                    continue;
                };
                for mine in &said[next.min(at + 1)..=at.max(next.min(at))] {
                    push(&mut merged, there, mine, &list);
                }
                next = next.max(at + 1);
            }
            for mine in said {
                push(&mut merged, there, mine, &list);
            }
            Value::Array(merged)
        }
        _ => config.clone(),
    }
}

fn push(merged: &mut Vec<Value>, there: &[Value], mine: &Value, list: &Items<'_>) {
    let step = list.step_of(mine);
    if merged.iter().any(|item| list.step_of(item) == step) {
        return;
    }
    let old = there.iter().find(|item| list.step_of(item) == step);
    merged.push(old.map_or_else(|| mine.clone(), |old| merge(old, mine, list.of)));
}

/// Takes what `gone` names out of an object, with all that lies in it, but for what somebody of `owned` still has a part of.
pub fn prune(value: &mut Value, gone: &Set, owned: &Set, seen: Seen<'_>) {
    let kept = |step: &Step| owned.below.get(step).is_some_and(|set| !set.is_empty());
    let nothing = Set::default();
    match (seen.shape(value), value) {
        (Shape::Fields, Value::Object(entries)) => {
            for (step, set) in &gone.below {
                let Step::Field(name) = step else { continue };
                if !kept(step) {
                    entries.shift_remove(name);
                } else if let Some(value) = entries.get_mut(name) {
                    prune(value, set, owned.below.get(step).unwrap_or(&nothing), seen.field(name));
                }
            }
        }
        (Shape::Items(list), Value::Array(items)) => {
            items.retain(|item| {
                let step = list.step_of(item);
                !gone.below.contains_key(&step) || kept(&step)
            });
            for item in items {
                let step = list.step_of(item);
                if let Some(set) = gone.below.get(&step) {
                    prune(item, set, owned.below.get(&step).unwrap_or(&nothing), list.of);
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::named;
    use serde_json::json;

    #[test]
    fn what_nobody_owns_any_more_goes_with_all_that_is_in_it() {
        let seen = Seen::object(named("apps.Deployment").expect("a type"));
        let strategy = json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 2, "maxUnavailable": 1}});
        let object = json!({"spec": {"replicas": 1, "strategy": strategy}});
        let gone = Set::of(&["spec.strategy.rollingUpdate.maxSurge"]);
        let after = |owned: &[&str]| {
            let mut object = object.clone();
            prune(&mut object, &gone, &Set::of(owned), seen);
            object["spec"]["strategy"].clone()
        };
        assert_eq!(after(&["spec.replicas"]), Value::Null);
        assert_eq!(after(&["spec.strategy.type"]), json!({"type": "RollingUpdate"}));
        let left = json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1}});
        assert_eq!(after(&["spec.strategy.rollingUpdate.maxUnavailable"]), left);
    }

    #[test]
    fn fields_of_atomic_values_are_no_fields() {
        let seen = Seen::object(named("core.Pod").expect("a type"));
        let pod = json!({
            "metadata": {"labels": {"a": "b"}, "finalizers": ["x"]},
            "spec": {"tolerations": [{"key": "k"}], "containers": [], "securityContext": {}, "nodeSelector": {"z": "a"}},
        });
        let expected = json!({
            "f:metadata": {"f:labels": {"f:a": {}}, "f:finalizers": {"v:\"x\"": {}}},
            "f:spec": {"f:tolerations": {}, "f:securityContext": {}, "f:nodeSelector": {}},
        });
        let mut found = fields(&pod, seen).encode();
        let mut expected = expected;
        found.sort_all_objects();
        expected.sort_all_objects();
        assert_eq!(found, expected);
    }
}
