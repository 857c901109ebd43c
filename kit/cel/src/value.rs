//! Values, and what is the same for all of them: equality, order, and how messages show them.
//!
//! Sources: `common/types/*.go` of cel-go; for objects with a schema `apiserver/pkg/cel/common/values.go`.

use crate::authorizer::Check;
use crate::kinds::Kind;
use crate::schema::unescape;
use kit_api::duration::Duration;
use kit_api::jiff::Timestamp;
use serde_json::{Map as JsonMap, Value as Json};
use std::borrow::Cow;
use std::cmp::Ordering;
use std::rc::Rc;

/// What an expression gives, or works with.
#[derive(Debug, Clone)]
pub enum Value<'a> {
    /// Null.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A whole number that is never negative.
    Uint(u64),
    /// A number with a fraction.
    Double(f64),
    /// A text.
    Text(Cow<'a, str>),
    /// Bytes.
    Bytes(Rc<[u8]>),
    /// A time.
    Time(Timestamp),
    /// A span of time.
    Span(Duration),
    /// A list.
    List(List<'a>),
    /// A map or an object.
    Map(Map<'a>),
    /// A value that may be missing.
    Optional(Option<Rc<Value<'a>>>),
    /// A type, by its name.
    Type(&'static str),
    /// One of Kubernetes' own kinds of values.
    Kind(Rc<Kind>),
    /// A question to the authorizer.
    Check(Rc<Check>),
    /// The policy's variables; each is evaluated when it is asked for.
    Variables,
}

/// A list: of JSON, with the schema that says what it is, or a new one.
#[derive(Debug, Clone)]
pub enum List<'a> {
    /// Of JSON.
    Json(&'a [Json], Option<&'a Json>),
    /// A new one.
    New(Rc<Vec<Value<'a>>>),
}

/// A map or an object.
#[derive(Debug, Clone)]
pub enum Map<'a> {
    /// Of JSON.
    Json(&'a JsonMap<String, Json>, Option<&'a Json>),
    /// A new one.
    New(Rc<Vec<(Value<'a>, Value<'a>)>>),
}

/// What goes wrong while an expression is evaluated.
pub type Failure = String;

pub const NO_OVERLOAD: &str = "no such overload";

impl<'a> Value<'a> {
    /// A text that belongs to nobody else.
    pub fn text(text: impl Into<String>) -> Value<'a> {
        Value::Text(Cow::Owned(text.into()))
    }

    /// A new list.
    pub fn list(items: Vec<Value<'a>>) -> Value<'a> {
        Value::List(List::New(Rc::new(items)))
    }

    /// A value that is there.
    pub fn some(self) -> Value<'a> {
        Value::Optional(Some(Rc::new(self)))
    }

    /// A value of JSON; a schema says what its texts and numbers mean, and which fields there are.
    pub fn of(json: &'a Json, schema: Option<&'a Json>) -> Value<'a> {
        let schema = schema.filter(|schema| schema["x-kubernetes-int-or-string"] != true);
        let format = || schema.and_then(|schema| schema["format"].as_str()).unwrap_or_default();
        match json {
            Json::Null => Value::Null,
            Json::Bool(flag) => Value::Bool(*flag),
            Json::Number(number) if schema.is_some_and(|schema| schema["type"] == "number") => {
                Value::Double(number.as_f64().unwrap_or_default())
            }
            Json::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(number), _) => Value::Int(number),
                (None, number) => Value::Double(number.unwrap_or_default()),
            },
            Json::String(text) => formatted(text, format()).unwrap_or(Value::Text(Cow::Borrowed(text))),
            Json::Array(items) => Value::List(List::Json(items, schema)),
            Json::Object(fields) => Value::Map(Map::Json(fields, schema)),
        }
    }

    /// The name of its type.
    pub fn type_name(&self) -> &'static str {
        match self {
            Value::Null => "null_type",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Uint(_) => "uint",
            Value::Double(_) => "double",
            Value::Text(_) => "string",
            Value::Bytes(_) => "bytes",
            Value::Time(_) => "google.protobuf.Timestamp",
            Value::Span(_) => "google.protobuf.Duration",
            Value::List(_) => "list",
            Value::Map(_) => "map",
            Value::Optional(_) => "optional_type",
            Value::Type(_) => "type",
            Value::Kind(kind) => kind.name(),
            Value::Check(check) => check.name(),
            Value::Variables => "kubernetes.variables",
        }
    }

    /// Whether two values are the same; numbers are by what they count. Values of different types never are.
    pub fn is(&self, other: &Value<'a>) -> bool {
        if let Some(order) = self.as_number(other) {
            return order == Some(Ordering::Equal);
        }
        match (self, other) {
            (Value::Null, Value::Null) => true,
            (Value::Bool(one), Value::Bool(other)) => one == other,
            (Value::Text(one), Value::Text(other)) => one == other,
            (Value::Bytes(one), Value::Bytes(other)) => one == other,
            (Value::Time(one), Value::Time(other)) => one == other,
            (Value::Span(one), Value::Span(other)) => one == other,
            (Value::Type(one), Value::Type(other)) => one == other,
            (Value::Kind(one), Value::Kind(other)) => one == other,
            (Value::List(one), Value::List(other)) => one.is(other),
            (Value::Map(one), Value::Map(other)) => {
                one.len() == other.len()
                    && one.entries().iter().all(|(key, value)| other.get(key).is_some_and(|there| value.is(&there)))
            }
            (Value::Optional(one), Value::Optional(other)) => match (one, other) {
                (Some(one), Some(other)) => one.is(other),
                (one, other) => one.is_none() && other.is_none(),
            },
            _ => false,
        }
    }

    /// The order of two numbers: nothing if they aren't, and nothing in that if one is none at all.
    fn as_number(&self, other: &Value<'a>) -> Option<Option<Ordering>> {
        let whole = |value: &Value<'a>| match value {
            Value::Int(value) => Some(i128::from(*value)),
            Value::Uint(value) => Some(i128::from(*value)),
            _ => None,
        };
        let double = |value: &Value<'a>| match value {
            Value::Double(value) => Some(*value),
            other => whole(other).map(|value| value as f64),
        };
        match (whole(self), whole(other)) {
            (Some(one), Some(other)) => Some(Some(one.cmp(&other))),
            _ => Some(double(self)?.partial_cmp(&double(other)?)),
        }
    }

    /// The order of two values.
    ///
    /// # Errors
    ///
    /// If they have none.
    pub fn order(&self, other: &Value<'a>) -> Result<Ordering, Failure> {
        if let Some(order) = self.as_number(other) {
            return order.ok_or_else(|| "NaN values cannot be ordered".into());
        }
        Ok(match (self, other) {
            (Value::Bool(one), Value::Bool(other)) => one.cmp(other),
            (Value::Text(one), Value::Text(other)) => one.cmp(other),
            (Value::Bytes(one), Value::Bytes(other)) => one.cmp(other),
            (Value::Time(one), Value::Time(other)) => one.cmp(other),
            (Value::Span(one), Value::Span(other)) => one.cmp(other),
            _ => return Err(NO_OVERLOAD.into()),
        })
    }

    /// As messages show it (`%v`).
    pub fn shown(&self) -> String {
        match self {
            Value::Text(text) => text.to_string(),
            Value::Bool(flag) => flag.to_string(),
            Value::Int(value) => value.to_string(),
            Value::Uint(value) => value.to_string(),
            Value::Double(value) => value.to_string(),
            Value::Null => "null".into(),
            Value::Time(time) => time.to_string(),
            Value::Span(span) => span.to_string(),
            other => other.type_name().into(),
        }
    }

    /// Whether it says nothing (`optional.ofNonZeroValue`).
    pub fn is_zero(&self) -> bool {
        match self {
            Value::Null | Value::Bool(false) | Value::Int(0) | Value::Uint(0) | Value::Optional(None) => true,
            Value::Double(value) => *value == 0.0,
            Value::Text(text) => text.is_empty(),
            Value::Bytes(bytes) => bytes.is_empty(),
            Value::List(list) => list.is_empty(),
            Value::Map(map) => map.is_empty(),
            _ => false,
        }
    }
}

/// What a schema's format makes of a text.
fn formatted<'a>(text: &str, format: &str) -> Option<Value<'a>> {
    match format {
        "date" => format!("{text}T00:00:00Z").parse().ok().map(Value::Time),
        "date-time" => text.parse().ok().map(Value::Time),
        "duration" => text.parse().ok().map(Value::Span),
        // Upstream hands out the text as it is written.
        "byte" => Some(Value::Bytes(text.as_bytes().into())),
        _ => None,
    }
}

impl<'a> List<'a> {
    /// How many items there are.
    pub fn len(&self) -> usize {
        match self {
            List::Json(items, _) => items.len(),
            List::New(items) => items.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// An item.
    pub fn get(&self, index: usize) -> Option<Value<'a>> {
        match self {
            List::Json(items, schema) => {
                items.get(index).map(|item| Value::of(item, schema.and_then(|schema| schema.get("items"))))
            }
            List::New(items) => items.get(index).cloned(),
        }
    }

    /// All items.
    pub fn items(&self) -> impl Iterator<Item = Value<'a>> + '_ {
        (0..self.len()).filter_map(|index| self.get(index))
    }

    /// Lists of type set or map have no order.
    fn is(&self, other: &List<'a>) -> bool {
        let kind = |list: &List<'a>| match list {
            List::Json(_, Some(schema)) => schema["x-kubernetes-list-type"].as_str().unwrap_or_default().to_string(),
            _ => String::new(),
        };
        if self.len() != other.len() {
            return false;
        }
        if ["set", "map"].contains(&kind(self).as_str()) || ["set", "map"].contains(&kind(other).as_str()) {
            return self.items().all(|item| other.items().any(|there| there.is(&item)));
        }
        self.items().zip(other.items()).all(|(one, other)| one.is(&other))
    }
}

impl<'a> Map<'a> {
    /// How many entries there are.
    pub fn len(&self) -> usize {
        match self {
            Map::Json(fields, _) => fields.len(),
            Map::New(entries) => entries.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What stands under a key.
    pub fn get(&self, key: &Value<'a>) -> Option<Value<'a>> {
        match (self, key) {
            (Map::Json(fields, schema), Value::Text(key)) => {
                let named = schema.filter(|schema| !schema["additionalProperties"].is_object());
                let name = if named.is_some() { Cow::Owned(unescape(key)) } else { Cow::Borrowed(&**key) };
                let of = schema.and_then(|schema| match named {
                    Some(_) => schema["properties"].get(&*name),
                    None => schema.get("additionalProperties"),
                });
                fields.get(&*name).map(|value| Value::of(value, of))
            }
            (Map::Json(..), _) => None,
            (Map::New(entries), key) => entries.iter().find(|(there, _)| there.is(key)).map(|(_, value)| value.clone()),
        }
    }

    /// All entries.
    pub fn entries(&self) -> Vec<(Value<'a>, Value<'a>)> {
        match self {
            Map::Json(fields, schema) => {
                let of = |name: &str| {
                    let schema = (*schema)?;
                    schema["properties"].get(name).or(schema.get("additionalProperties"))
                };
                let entry = |(name, value)| (Value::Text(Cow::Borrowed(name)), Value::of(value, of(name)));
                fields.iter().map(|(name, value)| entry((name.as_str(), value))).collect()
            }
            Map::New(entries) => entries.to_vec(),
        }
    }
}
