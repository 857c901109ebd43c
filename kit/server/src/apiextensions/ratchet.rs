//! What an update is spared: values that haven't changed.
//!
//! Sources: `apiextensions-apiserver/pkg/apiserver/validation/ratcheting.go`, `apiserver/pkg/cel/common/equality.go`.

use super::{items, of_field};
use serde_json::Value;

/// What stood in the place of a value before an update, and the schema that gives the place its shape.
#[derive(Clone, Copy)]
pub struct Old<'a> {
    /// The value.
    pub value: &'a Value,
    /// That schema.
    pub schema: &'a Value,
}

impl<'a> Old<'a> {
    /// A field, if it was there and the schema knows it (`CorrelatedObject.Key`).
    pub fn field(self, name: &str) -> Option<Old<'a>> {
        Some(Old { value: self.value.get(name)?, schema: of_field(self.schema, name)? })
    }

    /// The item that an item was before. Lists of type map have keys to go by, others have nothing.
    pub fn item(self, item: &Value) -> Option<Old<'a>> {
        let keys = self.schema["x-kubernetes-list-map-keys"].as_array()?;
        let schema = items(self.schema).filter(|_| self.schema["x-kubernetes-list-type"] == "map")?;
        let is = |there: &&Value| {
            let plain = |value: &Value| !value.is_object() && !value.is_array();
            let same = |key: &str| item.get(key).is_some_and(|value| plain(value) && there.get(key) == Some(value));
            keys.iter().filter_map(Value::as_str).all(same)
        };
        let value = self.value.as_array()?.iter().find(is).filter(|value| !value.is_null())?;
        Some(Old { value, schema })
    }

    /// Whether nothing has changed. What the schema doesn't know has always changed (`CachedDeepEqual`).
    pub fn is(self, new: &Value) -> bool {
        match (new, self.value) {
            (Value::Array(new), Value::Array(old)) => {
                let as_map = self.schema["x-kubernetes-list-type"] == "map";
                let same = |item: &Value| self.item(item).is_some_and(|old| old.is(item));
                new.len() == old.len() && if as_map { new.iter().all(same) } else { new == old }
            }
            (Value::Object(new), Value::Object(old)) => {
                let same = |(name, field): (&String, &Value)| self.field(name).is_some_and(|old| old.is(field));
                new.len() == old.len() && new.iter().all(same)
            }
            (new, old) => new == old,
        }
    }
}
