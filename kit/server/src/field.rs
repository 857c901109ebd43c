//! Where in an object something is, and what is wrong with it.
//!
//! Texts: `apimachinery/pkg/util/validation/field/errors.go`; the order of fields in a message is that of validation.

use serde_json::{Value, json};
use std::fmt::Display;

/// One thing that is wrong with an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// In one word.
    pub reason: &'static str,
    /// In a sentence.
    pub message: String,
    /// The path of the field.
    pub field: String,
}

impl Cause {
    /// As a `StatusCause`.
    pub fn to_value(&self) -> Value {
        let mut value = json!({});
        if !self.reason.is_empty() {
            value["reason"] = self.reason.into();
        }
        value["message"] = self.message.as_str().into();
        if !self.field.is_empty() {
            value["field"] = self.field.as_str().into();
        }
        value
    }
}

/// A value in an object, and its path.
#[derive(Debug, Clone)]
pub struct At<'a> {
    /// The value; null if it isn't there.
    pub value: &'a Value,
    /// Its path.
    pub path: String,
}

impl<'a> At<'a> {
    /// The object itself.
    pub fn root(value: &'a Value) -> At<'a> {
        At { value, path: String::new() }
    }

    /// A field.
    pub fn get(&self, name: &str) -> At<'a> {
        let path = if self.path.is_empty() { name.to_string() } else { format!("{}.{name}", self.path) };
        At { value: self.value.get(name).unwrap_or(&Value::Null), path }
    }

    /// The same value, told of under another path.
    pub fn as_path(&self, path: String) -> At<'a> {
        At { value: self.value, path }
    }

    /// A field of a field of ….
    pub fn at(&self, names: &str) -> At<'a> {
        names.split('.').fold(self.clone(), |at, name| at.get(name))
    }

    /// An entry of a map.
    pub fn key(&self, key: &str) -> At<'a> {
        At { value: self.value.get(key).unwrap_or(&Value::Null), path: format!("{}[{key}]", self.path) }
    }

    /// The items of a list.
    pub fn items(&self) -> Vec<At<'a>> {
        let items = self.value.as_array().into_iter().flatten().enumerate();
        items.map(|(index, value)| At { value, path: format!("{}[{index}]", self.path) }).collect()
    }

    /// The entries of a map.
    pub fn entries(&self) -> Vec<(&'a str, At<'a>)> {
        let entries = self.value.as_object().into_iter().flatten();
        entries.map(|(key, value)| (key.as_str(), At { value, path: format!("{}[{key}]", self.path) })).collect()
    }

    /// Whether it is there.
    pub fn is_set(&self) -> bool {
        !self.value.is_null()
    }

    /// Its text; empty if it isn't there.
    pub fn text(&self) -> &'a str {
        self.value.as_str().unwrap_or_default()
    }

    /// Its number.
    pub fn int(&self) -> Option<i64> {
        self.value.as_i64()
    }

    /// Whether it is true.
    pub fn flag(&self) -> bool {
        self.value.as_bool().unwrap_or_default()
    }

    /// How many items or entries it has.
    pub fn len(&self) -> usize {
        match self.value {
            Value::Array(items) => items.len(),
            Value::Object(entries) => entries.len(),
            _ => 0,
        }
    }

    /// Whether it has no items or entries.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What is wrong, in the order in which it was found.
#[derive(Debug, Default)]
pub struct Errors(pub Vec<Cause>);

impl Errors {
    fn push(&mut self, field: &str, reason: &'static str, message: String) {
        self.0.push(Cause { reason, message, field: field.into() });
    }

    fn detailed(&mut self, at: &At<'_>, reason: &'static str, head: String, detail: &str) {
        let message = if detail.is_empty() { head } else { format!("{head}: {detail}") };
        self.push(&at.path, reason, message);
    }

    /// Something must be said here.
    pub fn required(&mut self, at: &At<'_>, detail: &str) {
        self.detailed(at, "FieldValueRequired", "Required value".into(), detail);
    }

    /// What is said here makes no sense.
    pub fn invalid(&mut self, at: &At<'_>, detail: &str) {
        self.invalid_as(at, &shown(at.value), detail);
    }

    /// The same, with the value as Go shows it.
    pub fn invalid_as(&mut self, at: &At<'_>, value: &str, detail: &str) {
        self.detailed(at, "FieldValueInvalid", format!("Invalid value: {value}"), detail);
    }

    /// It is of another type than it must be.
    pub fn wrong_type(&mut self, at: &At<'_>, value: &str, detail: &str) {
        self.detailed(at, "FieldValueTypeInvalid", format!("Invalid value: {value}"), detail);
    }

    /// What is said here as a whole makes no sense; it isn't shown.
    pub fn invalid_at(&mut self, at: &At<'_>, detail: &str) {
        self.detailed(at, "FieldValueInvalid", "Invalid value".into(), detail);
    }

    /// The same of a text, which is empty where it isn't there.
    pub fn invalid_text(&mut self, at: &At<'_>, detail: &str) {
        self.invalid_as(at, &quoted(at.text()), detail);
    }

    /// Nothing may be said here.
    pub fn forbidden(&mut self, at: &At<'_>, detail: &str) {
        self.detailed(at, "FieldValueForbidden", "Forbidden".into(), detail);
    }

    /// It can't be looked at.
    pub fn internal(&mut self, at: &At<'_>, why: &str) {
        self.push(&at.path, "InternalError", format!("Internal error: {why}"));
    }

    /// Only some values are known here.
    pub fn not_supported(&mut self, at: &At<'_>, supported: &[&str]) {
        let value = if at.is_set() { shown(at.value) } else { quoted("") };
        self.not_supported_as(at, &value, supported);
    }

    /// The same, with the value as Go shows it.
    pub fn not_supported_as(&mut self, at: &At<'_>, value: &str, supported: &[&str]) {
        let known: Vec<String> = supported.iter().map(|value| format!("{value:?}")).collect();
        let message = format!("Unsupported value: {value}: supported values: {}", known.join(", "));
        self.push(&at.path, "FieldValueNotSupported", message);
    }

    /// It was said before.
    pub fn duplicate(&mut self, at: &At<'_>, value: &str) {
        self.push(&at.path, "FieldValueDuplicate", format!("Duplicate value: {value}"));
    }

    /// It names something that isn't there.
    pub fn not_found_as(&mut self, at: &At<'_>, name: &str) {
        self.push(&at.path, "FieldValueNotFound", format!("Not found: {}", quoted(name)));
    }

    /// It is longer than it may be.
    pub fn too_long(&mut self, at: &At<'_>, bytes: usize) {
        self.push(&at.path, "FieldValueTooLong", format!("Too long: may not be more than {bytes} bytes"));
    }

    /// There are more than there may be.
    pub fn too_many(&mut self, at: &At<'_>, there: usize, most: usize) {
        let message = format!("Too many: {there}: must have at most {most} items");
        self.push(&at.path, "FieldValueTooMany", message);
    }

    /// All that a check of a text said.
    pub fn all_invalid(&mut self, at: &At<'_>, problems: Vec<String>) {
        for problem in problems {
            self.invalid(at, &problem);
        }
    }

    /// A number that may not be negative.
    pub fn not_negative(&mut self, at: &At<'_>) {
        if at.int().is_some_and(|value| value < 0) {
            self.invalid(at, "must be greater than or equal to 0");
        }
    }

    /// A text that must be there and be one of some.
    pub fn one_of(&mut self, at: &At<'_>, supported: &[&str]) {
        match at.text() {
            "" => self.required(at, ""),
            text if supported.contains(&text) => {}
            _ => self.not_supported(at, supported),
        }
    }
}

/// A simple value as a message shows it.
pub fn shown(value: &Value) -> String {
    match value {
        Value::Null => "\"null\"".into(),
        Value::String(text) => quoted(text),
        other => other.to_string(),
    }
}

/// A text in quotes, as Go's `%q` has it.
pub fn quoted(text: impl Display) -> String {
    format!("{:?}", text.to_string()).replace("\\'", "'")
}
