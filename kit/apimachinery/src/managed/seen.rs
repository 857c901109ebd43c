//! How server-side apply sees a value: field by field, item by item, or as one.
//!
//! Built-in kinds are seen as the table of types says, custom ones as their definition's schema says. Sources:
//! `kube-openapi/pkg/schemaconv/{openapi,smd}.go`, `structured-merge-diff/typed/helpers.go`.

use super::set::Step;
use crate::schema::{ListType, Type, named};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A type together with what its field says of it.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a>(Of<'a>);

#[derive(Debug, Clone, Copy)]
enum Of<'a> {
    Built(Type, &'a ListType),
    /// A schema of a definition; of a whole object, whose metadata is like that of all others, or of a part of it.
    Custom(&'a Value, bool),
    /// Whatever it is: maps are seen field by field, lists as one.
    Free,
}

/// The forms of a value.
#[derive(Debug, Clone)]
pub enum Shape<'a> {
    /// A map or a struct.
    Fields,
    /// A list whose items are found by what they are or by keys.
    Items(Items<'a>),
    /// A plain value, or one that is only taken whole.
    One,
}

/// What a list says of its items.
#[derive(Debug, Clone)]
pub struct Items<'a> {
    /// The keys, each with its default; none for items that are found by their value.
    pub keys: Option<Vec<(&'a str, Value)>>,
    /// How each is seen.
    pub of: Seen<'a>,
}

/// What a schema wants a value to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// A number.
    Number,
    /// A text.
    Text,
    /// True or false.
    Flag,
    /// Any plain value.
    Scalar,
    /// A list.
    List,
    /// A map.
    Map,
    /// Anything.
    Any,
}

impl<'a> Seen<'a> {
    /// A whole object of a built-in kind.
    pub fn object(of: Type) -> Seen<'a> {
        Seen(Of::Built(of, &ListType::Unsaid))
    }

    /// A whole object of a custom kind, by the schema of its definition.
    pub fn custom(schema: &'a Value) -> Seen<'a> {
        Seen(Of::Custom(schema, true))
    }

    /// An object that nothing is known of.
    pub fn free() -> Seen<'a> {
        Seen(Of::Free)
    }

    /// What its type wants.
    pub fn wanted(self) -> Wanted {
        match self.0 {
            Of::Built(of, _) => match of.plain() {
                Type::String | Type::Bytes => Wanted::Text,
                Type::Bool => Wanted::Flag,
                Type::Int32 | Type::Int64 | Type::Float64 => Wanted::Number,
                Type::Quantity | Type::IntOrString | Type::Time | Type::MicroTime => Wanted::Scalar,
                Type::List(_) => Wanted::List,
                Type::Map(_) | Type::Struct(_) => Wanted::Map,
                _ => Wanted::Any,
            },
            Of::Custom(schema, _) => match schema["type"].as_str().unwrap_or_default() {
                "object" => Wanted::Map,
                "array" => Wanted::List,
                "integer" | "number" => Wanted::Number,
                "boolean" => Wanted::Flag,
                "string" if schema["format"].is_null() || schema["format"] == "byte" => Wanted::Text,
                "string" => Wanted::Scalar,
                _ if schema["x-kubernetes-int-or-string"] == true => Wanted::Scalar,
                _ => Wanted::Any,
            },
            Of::Free => Wanted::Any,
        }
    }

    /// The form of a value of it.
    pub fn shape(self, value: &Value) -> Shape<'a> {
        match (self.0, value) {
            (Of::Built(of, list), _) => {
                let atomic = *list == ListType::Atomic || of.structure().is_some_and(|of| of.atomic);
                match (of.plain(), list) {
                    _ if atomic => Shape::One,
                    (Type::List(of), ListType::Set) => Shape::Items(Items { keys: None, of: Seen::object(*of) }),
                    (Type::List(of), ListType::Map(keys)) => {
                        // The only key with a default is the protocol of a port.
                        let default = |key: &str| if key == "protocol" { json!("TCP") } else { Value::Null };
                        let keys = keys.iter().map(|key| (*key, default(key))).collect();
                        Shape::Items(Items { keys: Some(keys), of: Seen::object(*of) })
                    }
                    (Type::Struct(_) | Type::Map(_), _) => Shape::Fields,
                    _ => Shape::One,
                }
            }
            (Of::Custom(schema, _), _) if self.wanted() == Wanted::List => {
                let element = &schema["items"];
                match schema["x-kubernetes-list-type"].as_str() {
                    Some("set") => Shape::Items(Items { keys: None, of: Seen(Of::Custom(element, false)) }),
                    Some("map") => {
                        let keys = schema["x-kubernetes-list-map-keys"].as_array().into_iter().flatten();
                        let keys = keys.filter_map(Value::as_str);
                        let keys = keys.map(|key| (key, element["properties"][key]["default"].clone())).collect();
                        Shape::Items(Items { keys: Some(keys), of: Seen(Of::Custom(element, false)) })
                    }
                    _ => Shape::One,
                }
            }
            (Of::Custom(schema, _), _) if schema["x-kubernetes-map-type"] == "atomic" => Shape::One,
            (Of::Custom(..), _) if self.wanted() == Wanted::Map => Shape::Fields,
            (Of::Custom(..), Value::Object(_)) if self.wanted() == Wanted::Any => Shape::Fields,
            (Of::Free, Value::Object(_)) => Shape::Fields,
            _ => Shape::One,
        }
    }

    /// How a field is seen; none if there can be no field of this name.
    pub fn declared(self, name: &str) -> Option<Seen<'a>> {
        match self.0 {
            Of::Built(of, _) => match (of.structure(), of.plain()) {
                (Some(of), _) => of.field(name).map(|field| Seen(Of::Built(field.of, &field.list))),
                (None, Type::Map(of)) => Some(Seen::object(*of)),
                _ => Some(Seen::free()),
            },
            Of::Custom(schema, whole) => {
                let whole = whole || schema["x-kubernetes-embedded-resource"] == true;
                match name {
                    "metadata" if whole => Some(named("meta.ObjectMeta").map_or(Seen::free(), Seen::object)),
                    "apiVersion" | "kind" if whole => Some(Seen::object(Type::String)),
                    _ => match (schema["properties"].get(name), &schema["additionalProperties"]) {
                        (Some(of), _) => Some(Seen(Of::Custom(of, false))),
                        (None, of @ Value::Object(_)) => Some(Seen(Of::Custom(of, false))),
                        (None, Value::Bool(true)) => Some(Seen::free()),
                        _ if schema["x-kubernetes-preserve-unknown-fields"] == true => Some(Seen::free()),
                        _ if self.wanted() == Wanted::Any => Some(Seen::free()),
                        _ => None,
                    },
                }
            }
            Of::Free => Some(Seen::free()),
        }
    }

    /// How a field is seen.
    pub fn field(self, name: &str) -> Seen<'a> {
        self.declared(name).unwrap_or(Seen::free())
    }

    /// How the items of a list are seen that is taken whole.
    pub fn element(self) -> Seen<'a> {
        match self.0 {
            Of::Built(of, _) => match of.plain() {
                Type::List(of) => Seen::object(*of),
                _ => Seen::free(),
            },
            Of::Custom(schema, _) => schema.get("items").map_or(Seen::free(), |of| Seen(Of::Custom(of, false))),
            Of::Free => Seen::free(),
        }
    }

    /// Whether a field of this name is one that everybody may add. Such an entry belongs to whoever set it, as a whole and in
    /// its parts; a field of a struct only in its parts.
    pub fn is_entry(self, name: &str) -> bool {
        match self.0 {
            Of::Built(of, _) => of.structure().is_none(),
            Of::Custom(schema, whole) => {
                let own = (whole || schema["x-kubernetes-embedded-resource"] == true)
                    && ["metadata", "apiVersion", "kind"].contains(&name);
                !own && schema["properties"].get(name).is_none()
            }
            Of::Free => true,
        }
    }
}

impl Items<'_> {
    /// How an item is found.
    ///
    /// # Errors
    ///
    /// Why it can't be, in upstream's words (`listItemToPathElement`).
    pub fn step(&self, item: &Value) -> Result<Step, String> {
        let Some(keys) = &self.keys else {
            return match item {
                Value::Object(_) => Err("associative list without keys has an element that's a map type".into()),
                Value::Array(_) => Err("not supported: associative list with lists as elements".into()),
                Value::Null => Err("associative list without keys has an element that's an explicit null".into()),
                plain => Ok(Step::Value(plain.to_string())),
            };
        };
        let fields = match item {
            Value::Object(fields) => fields,
            Value::Null => return Err("associative list with keys may not have a null element".into()),
            _ => return Err("associative list with keys may not have non-map elements".into()),
        };
        let mut found = BTreeMap::new();
        for (key, default) in keys {
            let value = fields.get(*key).unwrap_or(default);
            if value.is_null() && !fields.contains_key(*key) {
                return Err(format!(
                    "associative list with keys has an element that omits key field {key:?} (and doesn't have default \
                     value)"
                ));
            }
            found.insert(*key, value);
        }
        Ok(Step::Key(serde_json::to_string(&found).unwrap_or_default()))
    }

    /// The same of an item that is there, whatever it lacks.
    pub fn step_of(&self, item: &Value) -> Step {
        self.step(item).unwrap_or_else(|_| Step::Value(item.to_string()))
    }
}
