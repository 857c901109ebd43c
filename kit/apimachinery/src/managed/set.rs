//! Sets of fields: what a manager owns of an object.
//!
//! Source: `sigs.k8s.io/structured-merge-diff`, `fieldpath/{set,serialize,element}.go`.

use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt;

/// A step on the way to a field.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// A field of a struct, or an entry of a map: `f:name`.
    Field(String),
    /// An item of a list, by its keys, as JSON: `k:{"name":"c"}`.
    Key(String),
    /// An item of a set, as JSON: `v:"x"`.
    Value(String),
}

impl Step {
    fn parse(text: &str) -> Option<Step> {
        let (kind, rest) = text.split_once(':')?;
        let rest = rest.to_string();
        match kind {
            "f" => Some(Step::Field(rest)),
            "k" => Some(Step::Key(rest)),
            "v" => Some(Step::Value(rest)),
            _ => None,
        }
    }
}

impl fmt::Display for Step {
    /// As a path in a message shows it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Field(name) => write!(f, ".{name}"),
            Step::Value(value) => write!(f, "[={value}]"),
            Step::Key(keys) => {
                let keys: Map<String, Value> = serde_json::from_str(keys).unwrap_or_default();
                let keys: Vec<String> = keys.iter().map(|(name, value)| format!("{name}={value}")).collect();
                write!(f, "[{}]", keys.join(","))
            }
        }
    }
}

/// Fields, as a tree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Set {
    /// Whether the place itself belongs to the set.
    pub here: bool,
    /// What lies under it.
    pub below: BTreeMap<Step, Set>,
}

impl Set {
    /// A set of this place alone.
    pub fn leaf() -> Set {
        Set { here: true, below: BTreeMap::new() }
    }

    /// Whether nothing belongs to it.
    pub fn is_empty(&self) -> bool {
        !self.here && self.below.values().all(Set::is_empty)
    }

    /// Lets everything that is in `other` belong to it too.
    pub fn add(&mut self, other: &Set) {
        self.here |= other.here;
        for (step, set) in &other.below {
            self.below.entry(step.clone()).or_default().add(set);
        }
    }

    /// Takes out what is in `other`.
    pub fn remove(&mut self, other: &Set) {
        if other.here {
            self.here = false;
        }
        for (step, set) in &other.below {
            if let Some(mine) = self.below.get_mut(step) {
                mine.remove(set);
            }
        }
        self.below.retain(|_, set| !set.is_empty());
    }

    /// Takes out the places of `other` with all that lies under them.
    pub fn remove_trees(&mut self, other: &Set) {
        for (step, set) in &other.below {
            if set.here {
                self.below.remove(step);
            } else if let Some(mine) = self.below.get_mut(step) {
                mine.remove_trees(set);
            }
        }
        self.below.retain(|_, set| !set.is_empty());
    }

    /// What is in both.
    pub fn common(&self, other: &Set) -> Set {
        let mut set = Set { here: self.here && other.here, below: BTreeMap::new() };
        for (step, mine) in &self.below {
            if let Some(theirs) = other.below.get(step) {
                let both = mine.common(theirs);
                if !both.is_empty() {
                    set.below.insert(step.clone(), both);
                }
            }
        }
        set
    }

    /// The paths of all that belongs to it: of each place first what is there, then what is below (`Set.Iterate`).
    pub fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        if self.here {
            paths.push(String::new());
        }
        self.walk("", &mut paths);
        paths
    }

    fn walk(&self, path: &str, paths: &mut Vec<String>) {
        paths.extend(self.below.iter().filter(|(_, set)| set.here).map(|(step, _)| format!("{path}{step}")));
        for (step, set) in &self.below {
            set.walk(&format!("{path}{step}"), paths);
        }
    }

    /// As `fieldsV1` has it.
    pub fn encode(&self) -> Value {
        let mut map = Map::new();
        if self.here && !self.below.is_empty() {
            map.insert(".".into(), Value::Object(Map::new()));
        }
        for (step, set) in &self.below {
            let key = match step {
                Step::Field(name) => format!("f:{name}"),
                Step::Key(keys) => format!("k:{keys}"),
                Step::Value(value) => format!("v:{value}"),
            };
            map.insert(key, set.encode());
        }
        Value::Object(map)
    }

    /// From `fieldsV1`.
    pub fn decode(value: &Value) -> Set {
        let mut set = Set::default();
        let Some(entries) = value.as_object() else { return set };
        for (key, value) in entries {
            if key == "." {
                set.here = true;
            } else if let Some(step) = Step::parse(key) {
                set.below.insert(step, Set::decode(value));
            }
        }
        set.here |= entries.is_empty();
        set
    }

    /// A set of places, each given as its fields with dots.
    pub fn of(paths: &[&str]) -> Set {
        let mut set = Set::default();
        for path in paths {
            let mut at = &mut set;
            for name in path.split('.') {
                at = at.below.entry(Step::Field(name.into())).or_default();
            }
            at.here = true;
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn sets_are_written_as_kubernetes_writes_them() {
        let json =
            json!({"f:spec": {"f:replicas": {}, "f:containers": {"k:{\"name\":\"c\"}": {".": {}, "f:image": {}}}}});
        let set = Set::decode(&json);
        assert_eq!(set.encode(), json);
        let paths = [".spec.replicas", ".spec.containers[name=\"c\"]", ".spec.containers[name=\"c\"].image"];
        assert_eq!(set.paths(), paths);
    }

    #[test]
    fn what_is_taken_out_leaves_no_empty_branches() {
        let mut set = Set::of(&["spec.replicas", "spec.paused"]);
        set.remove(&Set::of(&["spec.paused"]));
        assert_eq!(set, Set::of(&["spec.replicas"]));
        set.remove_trees(&Set::of(&["spec"]));
        assert!(set.is_empty());
    }
}
