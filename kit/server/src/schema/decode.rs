//! Reads a body as its type and writes it down as Go does: what is empty is left out or not, field by field.
//!
//! Messages: `sigs.k8s.io/json` for types, `apimachinery/pkg/runtime/serializer/json` for unknown fields.

use super::{Field, Struct, Type};
use crate::go::type_name;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kit_api::Quantity;
use kit_api::jiff::Timestamp;
use serde_json::{Map, Value};

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
pub fn decode(value: &Value, of: Type) -> Result<Decoded, String> {
    let mut reader = Reader { unknown: Vec::new(), fields: Vec::new(), path: String::new(), inside: "" };
    let value = reader.read(value, of)?;
    Ok(Decoded { value, unknown: reader.unknown })
}

/// Writes `value`, which is of the type, down as Go does.
pub fn fill(value: &Value, of: Type) -> Value {
    decode(value, of).map_or_else(|_| value.clone(), |decoded| decoded.value)
}

struct Reader {
    unknown: Vec<String>,
    /// The names of the fields that lead here.
    fields: Vec<&'static str>,
    /// The same with indexes and keys.
    path: String,
    /// The struct that the last field belongs to.
    inside: &'static str,
}

impl Reader {
    fn read(&mut self, value: &Value, of: Type) -> Result<Value, String> {
        match (of, value) {
            (Type::Pointer(of), _) => self.read(value, *of),
            (Type::Alias(_, of), _) if matches!(of.plain(), Type::Raw) => Ok(value.clone()),
            (Type::Alias(_, plain), _) => match (plain, value) {
                (Type::String, Value::String(_)) => Ok(value.clone()),
                (Type::String, _) => Err(self.mismatch(value, of)),
                (plain, _) => self.read(value, *plain),
            },
            (Type::Raw, _)
            | (Type::String, Value::String(_))
            | (Type::Bool, Value::Bool(_))
            | (Type::Float64, Value::Number(_)) => Ok(value.clone()),
            (Type::Int64, Value::Number(number)) if number.is_i64() => Ok(value.clone()),
            (Type::Int32, Value::Number(number)) if number.as_i64().is_some_and(|n| i32::try_from(n).is_ok()) => {
                Ok(value.clone())
            }
            (Type::IntOrString, Value::String(_)) => Ok(value.clone()),
            (Type::IntOrString, _) => match self.read(value, Type::Int32) {
                Ok(value) => Ok(value),
                Err(_) => Err(format!("json: cannot unmarshal {} into Go value of type int32", shape(value))),
            },
            (Type::Quantity, _) => quantity(value),
            (Type::Time, Value::String(text)) => time(text, 0),
            (Type::MicroTime, Value::String(text)) => time(text, 6),
            (Type::Bytes, Value::String(text)) => match STANDARD.decode(text.replace(['\n', '\r'], "")) {
                Ok(bytes) => Ok(STANDARD.encode(bytes).into()),
                Err(_) => Err(format!("illegal base64 data at input byte {}", bad_base64(text))),
            },
            (Type::List(of), Value::Array(items)) => {
                let length = self.path.len();
                let mut read = Vec::with_capacity(items.len());
                for (index, item) in items.iter().enumerate() {
                    self.path += &format!("[{index}]");
                    read.push(match item {
                        Value::Null => self.zero(*of)?,
                        item => self.read(item, *of)?,
                    });
                    self.path.truncate(length);
                }
                Ok(Value::Array(read))
            }
            (Type::Map(of), Value::Object(entries)) => {
                let length = self.path.len();
                let mut read = Map::new();
                for (key, item) in entries {
                    self.path += &format!(".{key}");
                    let item = if item.is_null() { self.zero(*of)? } else { self.read(item, *of)? };
                    read.insert(key.clone(), item);
                    self.path.truncate(length);
                }
                Ok(Value::Object(read))
            }
            (Type::Struct(_), Value::Object(fields)) => match of.structure() {
                Some(of) => self.read_struct(fields, of),
                None => Ok(value.clone()),
            },
            _ => Err(self.mismatch(value, of)),
        }
    }

    fn read_struct(&mut self, from: &Map<String, Value>, of: &'static Struct) -> Result<Value, String> {
        let length = self.path.len();
        let outside = std::mem::replace(&mut self.inside, of.name);
        // What is wrong is told in the order of the document, and what is read comes in that of the declaration.
        let mut values: Vec<Option<Value>> = vec![None; of.fields.len()];
        for (name, value) in from {
            self.path += if length == 0 { "" } else { "." };
            self.path += name;
            match of.fields.iter().position(|field| field.json == name) {
                None => self.unknown.push(self.path.clone()),
                Some(_) if value.is_null() => {}
                Some(index) => {
                    self.fields.push(of.fields[index].json);
                    values[index] = Some(self.read(value, of.fields[index].of)?);
                    self.fields.pop();
                    self.inside = of.name;
                }
            }
            self.path.truncate(length);
        }
        let mut read = Map::new();
        for (field, value) in of.fields.iter().zip(values) {
            match value {
                None if !field.omitempty || never_empty(field.of) => {
                    read.insert(field.json.into(), self.zero(field.of)?);
                }
                Some(value) if !field.omitempty || !is_empty(&value, field) => {
                    read.insert(field.json.into(), value);
                }
                _ => {}
            }
        }
        self.inside = outside;
        Ok(Value::Object(read))
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
                Some(of) => self.read_struct(&Map::new(), of)?,
                None => Value::Null,
            },
            _ => Value::Null,
        })
    }

    fn mismatch(&self, value: &Value, of: Type) -> String {
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
fn never_empty(of: Type) -> bool {
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
        Type::Alias(name, _) => versioned(name),
        Type::Struct(_) => of.structure().map_or_else(String::new, |of| versioned(of.name)),
        plain => type_name(plain),
    }
}

fn quantity(value: &Value) -> Result<Value, String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        other => other.to_string(),
    };
    // Resources are never finer than a thousandth (`SetDefaults_ResourceList`).
    let mut quantity: Quantity = text.parse().map_err(|e: kit_api::quantity::ParseError| e.to_string())?;
    quantity.round_up_to_milli();
    Ok(quantity.to_string().into())
}

fn time(text: &str, digits: u8) -> Result<Value, String> {
    let time: Timestamp = text.parse().map_err(|_| {
        format!("parsing time {text:?} as \"2006-01-02T15:04:05Z07:00\": cannot parse {text:?} as \"2006\"")
    })?;
    let time = match digits {
        0 => time.strftime("%Y-%m-%dT%H:%M:%SZ"),
        _ => time.strftime("%Y-%m-%dT%H:%M:%S.%6fZ"),
    };
    Ok(time.to_string().into())
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
        decode(value, named("core.Pod").expect("a type"))
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
