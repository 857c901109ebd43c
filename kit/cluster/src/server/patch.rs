//! Patches: parts of an object to be changed.

use super::{Error, Stored};
use crate::object::{Key, Object};
use serde_json::Value;

/// A change of parts of an object.
#[derive(Debug, Clone)]
pub enum Patch {
    /// RFC 7386: fields replace fields, `null` takes them away, lists are replaced whole.
    Merge(Value),
    /// RFC 6902: a list of operations.
    Json(json_patch::Patch),
}

impl Patch {
    /// The object with the changes made.
    pub fn apply(&self, key: &Key, there: &Stored) -> Result<Object, Error> {
        let mut value: Value = serde_json::from_str(there.json()).map_err(|e| Error::bad_request(e.to_string()))?;
        match self {
            Patch::Merge(patch) => json_patch::merge(&mut value, patch),
            Patch::Json(patch) => {
                json_patch::patch(&mut value, patch).map_err(|e| Error::invalid(key, &e.to_string()))?;
            }
        }
        Object::decode(key.kind, &value.to_string()).map_err(|e| Error::bad_request(e.to_string()))
    }
}
