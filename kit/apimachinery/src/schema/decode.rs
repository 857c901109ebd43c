//! Reads a body as its type and writes it down as Go does: what is empty is left out or not, field by field.
//!
//! Messages: `sigs.k8s.io/json` for types, `apimachinery/pkg/runtime/serializer/json` for unknown fields.

use super::{Field, Struct, Type};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kit_api::Quantity;
use kit_api::jiff::Timestamp;
use serde_json::{Map, Value};
use std::fmt::Write;

/// A body that was read as its type.
#[derive(Debug)]
pub struct Decoded {
    /// As Go would write it.
    pub value: Value,
    /// Paths of the fields that the type doesn't have.
    pub unknown: Vec<String>,
}

/// Reads `value` as a type.
///
/// # Errors
///
/// If a value is not of its field's type, in the words of Go's JSON package.
pub fn decode(mut value: Value, of: Type) -> Result<Decoded, String> {
    let mut reader = Reader::default();
    reader.read(&mut value, of)?;
    match reader.mismatch {
        Some(why) => Err(why),
        None => Ok(Decoded { value, unknown: reader.unknown }),
    }
}

/// Writes `value`, which is of the type, down as Go does.
pub fn fill(mut value: Value, of: Type) -> Value {
    let mut reader = Reader { stored: true, ..Reader::default() };
    // Who reads it next says what is wrong with it.
    _ = reader.read(&mut value, of);
    value
}

#[derive(Default)]
struct Reader {
    /// Whether it is written as it comes out of the store.
    stored: bool,
    unknown: Vec<String>,
    /// Whether such a value is the end of it.
    strict: bool,
    /// The first value of another shape than its type. Go reads on: what a type that reads itself can't read comes before.
    mismatch: Option<String>,
    /// The names of the fields that lead here.
    fields: Vec<&'static str>,
    /// The same with indexes and keys.
    path: String,
    /// The struct that the last field belongs to.
    inside: &'static str,
}

impl Reader {
    /// Makes of a value what Go would write. Most values are that already, and are only looked at.
    fn read(&mut self, value: &mut Value, of: Type) -> Result<(), String> {
        match (of, &mut *value) {
            (Type::Pointer(of), _) => self.read(value, *of),
            (Type::Alias(_, of), _) if matches!(of.plain(), Type::Raw) => Ok(()),
            (Type::Alias(_, plain), _) => match (plain, &*value) {
                (Type::String, Value::String(_)) => Ok(()),
                (Type::String, _) => self.mismatch(value, of),
                (plain, _) => self.read(value, *plain),
            },
            (Type::Raw, _)
            | (Type::String, Value::String(_))
            | (Type::Bool, Value::Bool(_))
            | (Type::Float64, Value::Number(_))
            | (Type::IntOrString, Value::String(_)) => Ok(()),
            (Type::Int64, Value::Number(number)) if number.is_i64() => Ok(()),
            (Type::Int32, Value::Number(number)) if number.as_i64().is_some_and(|n| i32::try_from(n).is_ok()) => Ok(()),
            (Type::IntOrString, _) => {
                self.strict = true;
                let read = self.read(value, Type::Int32);
                self.strict = false;
                read
            }
            (Type::Quantity, _) => {
                let written = quantity(value)?;
                if *value != written.as_str() {
                    *value = written.into();
                }
                Ok(())
            }
            (Type::Time, Value::String(text)) => time(text, 0),
            (Type::MicroTime, Value::String(text)) => time(text, 6),
            (Type::Bytes, Value::String(text)) => match STANDARD.decode(text.replace(['\n', '\r'], "")) {
                Ok(bytes) => {
                    *text = STANDARD.encode(bytes);
                    Ok(())
                }
                Err(_) => {
                    let why = format!("illegal base64 data at input byte {}", bad_base64(text));
                    self.mismatch.get_or_insert(why);
                    Ok(())
                }
            },
            (Type::List(of), Value::Array(items)) => {
                let length = self.path.len();
                for (index, item) in items.iter_mut().enumerate() {
                    _ = write!(self.path, "[{index}]");
                    self.read_or_zero(item, *of)?;
                    self.path.truncate(length);
                }
                Ok(())
            }
            (Type::Map(of), Value::Object(entries)) => {
                let length = self.path.len();
                for (key, item) in entries {
                    self.path.push('.');
                    self.path += key;
                    self.read_or_zero(item, *of)?;
                    self.path.truncate(length);
                }
                Ok(())
            }
            (Type::Struct(_), Value::Object(fields)) => match of.structure() {
                Some(of) => self.read_struct(fields, of),
                None => Ok(()),
            },
            _ => self.mismatch(value, of),
        }
    }

    fn read_or_zero(&mut self, value: &mut Value, of: Type) -> Result<(), String> {
        if value.is_null() {
            *value = self.zero(of)?;
            return Ok(());
        }
        self.read(value, of)
    }

    fn read_struct(&mut self, from: &mut Map<String, Value>, of: &'static Struct) -> Result<(), String> {
        let length = self.path.len();
        let outside = std::mem::replace(&mut self.inside, of.name);
        // What is wrong is told in the order of the document, and what is read comes in that of the declaration.
        let (mut next, mut always, mut in_order) = (0, 0, true);
        for (name, value) in &mut *from {
            self.path += if length == 0 { "" } else { "." };
            self.path += name;
            match of.place(name, next) {
                None => {
                    self.unknown.push(self.path.clone());
                    in_order = false;
                }
                Some(_) if value.is_null() => in_order = false,
                Some(index) => {
                    let field = &of.fields[index];
                    self.fields.push(field.json);
                    self.read(value, field.of)?;
                    self.fields.pop();
                    // What is empty is nothing once it was stored, and Go writes nothing down as null.
                    if self.stored
                        && !field.omitempty
                        && matches!((field.of, &*value), (Type::List(_), Value::Array(items)) if items.is_empty())
                    {
                        *value = Value::Null;
                    }
                    self.inside = of.name;
                    in_order &= index >= next && !(field.omitempty && is_empty(value, field));
                    always += usize::from(field.is_always_written());
                    next = index + 1;
                }
            }
            self.path.truncate(length);
        }
        if !in_order || always < of.always {
            self.arrange(from, of)?;
        }
        self.inside = outside;
        Ok(())
    }

    /// Brings fields into the order of their declaration, without those that Go leaves out and with those that it always writes.
    fn arrange(&mut self, fields: &mut Map<String, Value>, of: &'static Struct) -> Result<(), String> {
        let mut values: Vec<Option<(String, Value)>> = Vec::new();
        values.resize_with(of.fields.len(), || None);
        for (name, value) in std::mem::take(fields) {
            if let Some(index) = of.place(&name, usize::MAX).filter(|_| !value.is_null()) {
                values[index] = Some((name, value));
            }
        }
        for (field, value) in of.fields.iter().zip(values) {
            match value {
                None if field.is_always_written() => {
                    let zero = self.zero(field.of)?;
                    fields.insert(field.json.into(), zero);
                }
                Some((name, value)) if !field.omitempty || !is_empty(&value, field) => {
                    fields.insert(name, value);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// What Go writes for a value that nobody set.
    fn zero(&mut self, of: Type) -> Result<Value, String> {
        Ok(match of {
            Type::String => "".into(),
            Type::Bool => false.into(),
            Type::Int32 | Type::Int64 | Type::Float64 | Type::IntOrString => 0.into(),
            Type::Quantity => "0".into(),
            Type::Alias(_, of) => self.zero(*of)?,
            Type::Struct(_) => match of.structure() {
                Some(of) => {
                    let mut fields = Map::new();
                    self.read_struct(&mut fields, of)?;
                    Value::Object(fields)
                }
                None => Value::Null,
            },
            _ => Value::Null,
        })
    }

    fn mismatch(&mut self, value: &Value, of: Type) -> Result<(), String> {
        let why = self.mismatched(value, of);
        // A number or a text reads itself by asking for one.
        if self.strict {
            return Err(why);
        }
        self.mismatch.get_or_insert(why);
        Ok(())
    }

    fn mismatched(&self, value: &Value, of: Type) -> String {
        let inside = self.inside.rsplit('.').next().unwrap_or_default();
        let value = match (value, of.plain()) {
            (Value::Number(number), Type::Int32 | Type::Int64) => format!("number {number}"),
            _ => shape(value).to_string(),
        };
        match self.fields.is_empty() {
            true => format!("json: cannot unmarshal {value} into Go value of type {}", go_type(of)),
            false => {
                let field = self.fields.join(".");
                format!("json: cannot unmarshal {value} into Go struct field {inside}.{field} of type {}", go_type(of))
            }
        }
    }
}

/// Structs that aren't behind a pointer are never empty to Go's JSON package, whatever they hold.
pub(super) fn never_empty(of: Type) -> bool {
    match of {
        Type::Struct(_) | Type::Time | Type::MicroTime | Type::Quantity | Type::IntOrString => true,
        Type::Alias(_, of) => never_empty(*of),
        _ => false,
    }
}

fn is_empty(value: &Value, field: &Field) -> bool {
    if matches!(field.of, Type::Pointer(_)) || never_empty(field.of) {
        return false;
    }
    // What is kept as it came is a struct of bytes.
    if matches!(field.of.plain(), Type::Raw) {
        return value.is_null();
    }
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
    }
}

fn shape(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn go_type(of: Type) -> String {
    let versioned = |name: &str| {
        let (package, name) = name.split_once('.').unwrap_or(("", name));
        format!("{}.{name}", if package == "autoscaling" { "v2" } else { "v1" })
    };
    match of {
        Type::Time | Type::MicroTime => "string".into(),
        Type::Pointer(of) => go_type(*of),
        Type::List(of) => format!("[]{}", go_type(*of)),
        Type::Map(of) => format!("map[string]{}", go_type(*of)),
        Type::Alias(name, _) if name.starts_with("types.") => name.into(),
        Type::Alias(name, _) => versioned(name),
        Type::Struct(_) => of.structure().map_or_else(String::new, |of| versioned(of.name)),
        plain => plain.go(),
    }
}

fn quantity(value: &Value) -> Result<String, String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        other => other.to_string(),
    };
    // Resources are never finer than a thousandth (`SetDefaults_ResourceList`).
    let mut quantity: Quantity = text.parse().map_err(|e: kit_api::quantity::ParseError| e.to_string())?;
    quantity.round_up_to_milli();
    Ok(quantity.to_string())
}

fn time(text: &mut String, digits: usize) -> Result<(), String> {
    let time: Timestamp = text.parse().map_err(|_| {
        format!("parsing time {text:?} as \"2006-01-02T15:04:05Z07:00\": cannot parse {text:?} as \"2006\"")
    })?;
    if digits > 0 {
        micro(text)?;
    }
    // A fifth of the time that a template of `strftime` takes.
    *text = format!("{time:.digits$}");
    Ok(())
}

/// A time to the microsecond says all six digits (`MicroTime.UnmarshalJSON`).
fn micro(text: &str) -> Result<(), String> {
    let layout = "2006-01-02T15:04:05.000000Z07:00";
    let rest = text.get(19..).unwrap_or_default();
    let digits = rest.strip_prefix('.').map_or(0, |rest| rest.bytes().take_while(u8::is_ascii_digit).count());
    match digits {
        6 => Ok(()),
        7.. => Err(format!("parsing time {text:?} as {layout:?}: cannot parse {:?} as \"Z07:00\"", &rest[7..])),
        _ => Err(format!("parsing time {text:?} as {layout:?}: cannot parse {rest:?} as \".000000\"")),
    }
}

/// Where Go's decoder stops.
fn bad_base64(text: &str) -> usize {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=' | '\r' | '\n');
    text.find(|c| !good(c)).unwrap_or(text.len() / 4 * 4)
}

#[cfg(test)]
mod tests {
    use super::super::named;
    use super::*;
    use serde_json::json;

    fn pod(value: &Value) -> Result<Decoded, String> {
        decode(value.clone(), named("core.Pod").expect("a type"))
    }

    #[test]
    fn what_is_empty_is_left_out_unless_go_writes_it() {
        let body = json!({"metadata": {"name": "web", "labels": {}}, "spec": {"containers": [{"name": "c"}]}});
        let decoded = pod(&body).expect("a pod");
        let expected = json!({
            "metadata": {"name": "web", "creationTimestamp": null},
            "spec": {"containers": [{"name": "c", "resources": {}}]}, "status": {},
        });
        assert_eq!(decoded.value, expected);
    }

    #[test]
    fn unknown_fields_are_told_with_their_path() {
        let decoded = pod(&json!({"spec": {"containers": [{"nam": "c"}]}, "x": 1})).expect("a pod");
        assert_eq!(decoded.unknown, ["spec.containers[0].nam", "x"]);
    }

    #[test]
    fn a_value_of_another_type_is_refused_in_the_words_of_go() {
        for (body, message) in [
            (
                json!({"metadata": {"labels": ["a"]}}),
                "json: cannot unmarshal array into Go struct field ObjectMeta.metadata.labels of type map[string]string",
            ),
            (
                json!({"spec": {"containers": [{"ports": [{"containerPort": "x"}]}]}}),
                "json: cannot unmarshal string into Go struct field ContainerPort.spec.containers.ports.containerPort of type int32",
            ),
        ] {
            assert_eq!(pod(&body).map(|_| ()), Err(message.to_string()));
        }
    }
}
