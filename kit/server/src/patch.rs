//! Patches: parts of an object to be changed.

mod strategic;

use super::Error;
use super::schema;
use kit_apimachinery::object::Key;
use serde_json::Value;

/// A change of parts of an object.
#[derive(Debug, Clone)]
pub enum Patch {
    /// RFC 7386: fields replace fields, `null` takes them away, lists are replaced whole.
    Merge(Value),
    /// RFC 6902: a list of operations.
    Json(json_patch::Patch),
    /// Kubernetes' own: as `Merge`, but lists with a merge key are merged item by item.
    Strategic(Value),
}

impl Patch {
    /// The object with the changes made.
    ///
    /// # Errors
    ///
    /// If an operation doesn't fit the object, or the kind has no strategies to merge by.
    pub fn apply(&self, key: &Key, mut value: Value) -> Result<Value, Error> {
        match self {
            Patch::Merge(patch) => json_patch::merge(&mut value, patch),
            Patch::Json(patch) => {
                json_patch::patch(&mut value, patch).map_err(|_| Error::rejected())?;
            }
            Patch::Strategic(patch) => {
                let resource = key.kind.resource();
                let of = if resource.custom { None } else { schema::of(&resource.group, &resource.kind) };
                let of = of.ok_or_else(|| Error::unsupported_media_type(FOR_CUSTOM))?;
                strategic::merge(&mut value, patch, of).map_err(Error::bad_request)?;
            }
        }
        Ok(value)
    }
}

/// What custom resources can be patched with.
pub const FOR_CUSTOM: &str = "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml";
/// What built-in resources can be patched with.
pub const FOR_ALL: &str = "application/json-patch+json, application/merge-patch+json, \
                           application/strategic-merge-patch+json, application/apply-patch+yaml";
