//! Who owns fields, as `managedFields` says it.
//!
//! Sources: `apimachinery/pkg/util/managedfields/internal/{managedfields,capmanagers,conflict}.go`.

use crate::field::quoted;
use kit_apimachinery::managed::Set;
use serde_json::{Value, json};

/// How many managers that don't apply are told of (`DefaultMaxUpdateManagers`), and what the others are called together.
const MOST: usize = 10;
const OLDER: &str = "ancient-changes";

/// What one manager owns by one way of writing.
#[derive(Debug, Clone, PartialEq)]
pub struct Manager {
    /// Its name.
    pub name: String,
    /// Whether it applies.
    pub apply: bool,
    /// The version that it writes.
    pub api_version: String,
    /// The subresource that it writes by.
    pub subresource: String,
    /// When it last wrote.
    pub time: String,
    /// What it owns.
    pub set: Set,
}

impl Manager {
    fn decode(entry: &Value) -> Manager {
        let text = |field: &str| entry[field].as_str().unwrap_or_default().to_string();
        Manager {
            name: text("manager"),
            apply: entry["operation"] == "Apply",
            api_version: text("apiVersion"),
            subresource: text("subresource"),
            time: text("time"),
            set: Set::decode(&entry["fieldsV1"]),
        }
    }

    fn encode(&self) -> Value {
        let mut entry = json!({
            "manager": self.name, "operation": if self.apply { "Apply" } else { "Update" },
            "apiVersion": self.api_version, "fieldsType": "FieldsV1", "fieldsV1": self.set.encode(),
        });
        for (field, text) in [("time", &self.time), ("subresource", &self.subresource)] {
            if !text.is_empty() {
                entry[field] = text.as_str().into();
            }
        }
        entry
    }

    /// Whether this is the other one. Whoever applies is the same in all versions (`BuildManagerIdentifier`).
    pub fn is(&self, other: &Manager) -> bool {
        (&self.name, self.apply, &self.subresource) == (&other.name, other.apply, &other.subresource)
            && (self.apply || self.api_version == other.api_version)
    }

    /// As a conflict names it.
    pub fn shown(&self) -> String {
        let mut text = quoted(&self.name);
        if !self.subresource.is_empty() {
            text += &format!(" with subresource {}", quoted(&self.subresource));
        }
        if self.apply { text } else { format!("{text} using {}", self.api_version) }
    }
}

/// The managers that an object names.
pub fn managers(object: &Value) -> Vec<Manager> {
    object["metadata"]["managedFields"].as_array().into_iter().flatten().map(Manager::decode).collect()
}

/// Writes managers into an object.
pub fn write_managers(object: &mut Value, mut managers: Vec<Manager>) {
    managers.retain(|manager| !manager.set.is_empty());
    // `sortEncodedManagedFields`: applies first, then by time, then by name.
    managers.sort_by(|a, b| {
        let key =
            |m: &Manager| (!m.apply, m.time.clone(), m.name.clone(), m.api_version.clone(), m.subresource.clone());
        key(a).cmp(&key(b))
    });
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.shift_remove("managedFields");
        if !managers.is_empty() {
            metadata.insert("managedFields".into(), managers.iter().map(Manager::encode).collect());
        }
    }
}

/// Whether an object that is sent gives up all ownership: by an empty list, or one with an empty entry
/// (`isResetManagedFields`).
pub fn is_reset(object: &Value) -> bool {
    match object["metadata"]["managedFields"].as_array().map(Vec::as_slice) {
        Some([]) => true,
        Some([one]) => one.as_object().is_some_and(|entry| entry.values().all(Value::is_null)),
        _ => false,
    }
}

/// Lets the oldest of too many managers be one, for each version (`capUpdateManagers`).
pub fn cap(all: &mut Vec<Manager>) {
    let mut updaters: Vec<usize> = (0..all.len()).filter(|at| !all[*at].apply && !all[*at].set.is_empty()).collect();
    let mut left = updaters.len();
    updaters.sort_by_key(|at| (all[*at].time.clone(), all[*at].name.clone()));
    let mut first: Vec<usize> = Vec::new();
    for at in updaters {
        if left <= MOST {
            break;
        }
        let Some(bucket) = first.iter().copied().find(|other| all[*other].api_version == all[at].api_version) else {
            first.push(at);
            continue;
        };
        let (set, time) = (std::mem::take(&mut all[at].set), all[at].time.clone());
        let older = &mut all[bucket];
        older.set.add(&set);
        (older.name, older.subresource, older.time) = (OLDER.into(), String::new(), time);
        left -= 1;
    }
    all.retain(|manager| !manager.set.is_empty());
}
