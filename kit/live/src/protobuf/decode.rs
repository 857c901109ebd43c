//! From a message on the wire to the members of a JSON object.

use super::table::{Field, Kind, Shape, Table};
use super::wire::{Fields, Wire, unknown_field, varint};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// How deep messages may lie in each other.
pub(super) const MAX_DEPTH: usize = 64;

/// How many messages one body may hold. An empty message takes two bytes but may stand for a large default object.
pub(super) const MAX_MESSAGES: usize = 100_000;

/// What has been read for one field.
pub(super) enum Slot<'a> {
    Absent,
    Scalar(Value),
    /// A message given in several parts is their concatenation.
    Parts(Cow<'a, [u8]>),
    List(Vec<Value>),
    /// Go writes maps in the order of their keys.
    Map(BTreeMap<String, Value>),
}

pub(super) struct Decoder {
    pub(super) table: &'static Table,
    pub(super) messages: usize,
}

impl Decoder {
    /// Reads a message and adds its members to `object`.
    pub(super) fn message(
        &mut self,
        place: usize,
        bytes: &[u8],
        depth: usize,
        object: &mut Map<String, Value>,
    ) -> Result<(), String> {
        let table = self.table;
        let message = &table.messages[place];
        self.enter(message.name, depth)?;
        let mut slots: Vec<Slot<'_>> = message.fields.iter().map(|_| Slot::Absent).collect();
        for item in Fields::new(bytes, message.name) {
            let (number, wire) = item?;
            let at = message.fields.iter().position(|field| field.number == number);
            let at = at.ok_or_else(|| unknown_field(number, message.name))?;
            self.fill(message.name, &message.fields[at], wire, depth, &mut slots[at])?;
        }
        for (field, slot) in message.fields.iter().zip(slots) {
            if field.name.is_empty() {
                if let Kind::Message(inner) = field.kind {
                    let part = if let Slot::Parts(part) = &slot { part.as_ref() } else { &[] };
                    self.message(inner, part, depth + 1, object)?;
                }
            } else if let Some(value) = self.finish(message.name, field, slot, depth)? {
                object.insert(field.name.to_owned(), value);
            }
        }
        Ok(())
    }

    pub(super) fn enter(&mut self, name: &str, depth: usize) -> Result<(), String> {
        if depth > MAX_DEPTH {
            return Err(format!("messages are nested more than {MAX_DEPTH} deep at {name}"));
        }
        self.messages += 1;
        if self.messages > MAX_MESSAGES {
            return Err(format!("the body holds more than {MAX_MESSAGES} messages, the last one in {name}"));
        }
        Ok(())
    }

    /// Takes one value off the wire.
    pub(super) fn fill<'a>(
        &mut self,
        place: &str,
        field: &Field,
        wire: Wire<'a>,
        depth: usize,
        slot: &mut Slot<'a>,
    ) -> Result<(), String> {
        match field.shape {
            Shape::Plain | Shape::Pointer if field.kind.is_message() => {
                let bytes = wire.bytes(place, field.name)?;
                if let Slot::Parts(parts) = slot {
                    parts.to_mut().extend_from_slice(bytes);
                } else {
                    *slot = Slot::Parts(Cow::Borrowed(bytes));
                }
            }
            Shape::Plain | Shape::Pointer => *slot = Slot::Scalar(scalar(place, field, wire)?),
            Shape::List => {
                if !matches!(slot, Slot::List(_)) {
                    *slot = Slot::List(Vec::new());
                }
                let Slot::List(list) = slot else { return Ok(()) };
                match wire {
                    // Other encoders write the numbers of a list one after the other under one length.
                    Wire::Bytes(mut packed) if field.kind.is_number() => {
                        while !packed.is_empty() {
                            let number = Wire::Varint(varint(&mut packed, place)?);
                            list.push(scalar(place, field, number)?);
                        }
                    }
                    wire => list.push(self.element(place, field, wire, depth)?),
                }
            }
            Shape::Map => {
                if !matches!(slot, Slot::Map(_)) {
                    *slot = Slot::Map(BTreeMap::new());
                }
                let Slot::Map(map) = slot else { return Ok(()) };
                let (mut key, mut value) = ("", None);
                for item in Fields::new(wire.bytes(place, field.name)?, place) {
                    match item? {
                        (1, wire) => key = wire.string(place, field.name)?,
                        (2, wire) => value = Some(self.element(place, field, wire, depth)?),
                        (number, _) => {
                            return Err(format!("unknown field {number} in an entry of {place}.{}", field.name));
                        }
                    }
                }
                let value = match value {
                    Some(value) => value,
                    None => self.zero(place, field, depth)?,
                };
                map.insert(key.to_owned(), value);
            }
        }
        Ok(())
    }

    /// One element of a list or a map.
    pub(super) fn element(
        &mut self,
        place: &str,
        field: &Field,
        wire: Wire<'_>,
        depth: usize,
    ) -> Result<Value, String> {
        if field.kind.is_message() {
            self.value(place, field, wire.bytes(place, field.name)?, depth)
        } else {
            scalar(place, field, wire)
        }
    }

    /// What Go holds in a field that is not on the wire and is no pointer, list or map.
    pub(super) fn zero(&mut self, place: &str, field: &Field, depth: usize) -> Result<Value, String> {
        Ok(match field.kind {
            Kind::String => Value::String(String::new()),
            Kind::Bytes => Value::Null,
            Kind::Bool => Value::Bool(false),
            Kind::Int32 | Kind::Int64 | Kind::Double => Value::from(0),
            _ => return self.value(place, field, &[], depth),
        })
    }

    /// What JSON holds for a field, or nothing if the Go encoder leaves it out.
    pub(super) fn finish(
        &mut self,
        place: &str,
        field: &Field,
        slot: Slot<'_>,
        depth: usize,
    ) -> Result<Option<Value>, String> {
        let value = match slot {
            Slot::Absent if field.shape == Shape::Plain => self.zero(place, field, depth)?,
            Slot::Absent => Value::Null,
            Slot::Scalar(value) => value,
            Slot::Parts(bytes) => self.value(place, field, &bytes, depth)?,
            Slot::List(list) => Value::Array(list),
            Slot::Map(map) => Value::Object(map.into_iter().collect()),
        };
        let scalar = field.shape == Shape::Plain && !field.kind.is_message();
        let omitted = field.omitempty
            && match &value {
                // Go writes a time of zero as null; readers take an absent member for the same.
                Value::Null => true,
                Value::Bool(flag) => scalar && !flag,
                Value::Number(number) => scalar && number.as_f64() == Some(0.0),
                Value::String(text) => scalar && text.is_empty(),
                Value::Array(list) => field.shape == Shape::List && list.is_empty(),
                Value::Object(map) => field.shape == Shape::Map && map.is_empty(),
            };
        Ok((!omitted).then_some(value))
    }

    /// The JSON form of a message.
    pub(super) fn value(&mut self, place: &str, field: &Field, bytes: &[u8], depth: usize) -> Result<Value, String> {
        let name = field.name;
        match field.kind {
            Kind::Message(inner) => self.object(inner, bytes, depth),
            Kind::Time => Ok(timestamp(bytes, place, name)?.map_or(Value::Null, |(text, _)| Value::from(text + "Z"))),
            Kind::MicroTime => Ok(timestamp(bytes, place, name)?
                .map_or(Value::Null, |(text, nanos)| Value::from(format!("{text}.{:06}Z", nanos / 1000)))),
            Kind::Duration => {
                let mut nanos = 0;
                for item in Fields::new(bytes, "meta.Duration") {
                    match item? {
                        (1, wire) => nanos = wire.int64(place, name)?,
                        (number, _) => return Err(unknown_field(number, "meta.Duration")),
                    }
                }
                Ok(Value::from(duration(nanos)))
            }
            Kind::Quantity => {
                let mut text = "";
                for item in Fields::new(bytes, "resource.Quantity") {
                    match item? {
                        (1, wire) => text = wire.string(place, name)?,
                        (number, _) => return Err(unknown_field(number, "resource.Quantity")),
                    }
                }
                Ok(Value::from(if text.is_empty() { "0" } else { text }))
            }
            Kind::IntOrString => int_or_string(bytes, place, name),
            Kind::Raw => raw(bytes, place, name),
            Kind::Strings => {
                let mut list = Vec::new();
                for item in Fields::new(bytes, place) {
                    match item? {
                        (1, wire) => list.push(Value::from(wire.string(place, name)?)),
                        (number, _) => return Err(format!("unknown field {number} in the list of {place}.{name}")),
                    }
                }
                Ok(if list.is_empty() { Value::Null } else { Value::Array(list) })
            }
            Kind::OrBool(schema) => {
                let (mut allows, mut object) = (false, None);
                for item in Fields::new(bytes, "apiextensions.JSONSchemaPropsOrBool") {
                    match item? {
                        (1, wire) => allows = wire.varint(place, name)? != 0,
                        (2, wire) => object = Some(self.object(schema, wire.bytes(place, name)?, depth)?),
                        (number, _) => return Err(unknown_field(number, "apiextensions.JSONSchemaPropsOrBool")),
                    }
                }
                Ok(object.unwrap_or(Value::Bool(allows)))
            }
            Kind::OrArray(schema) | Kind::OrStrings(schema) => {
                let strings = matches!(field.kind, Kind::OrStrings(_));
                let union = if strings { "JSONSchemaPropsOrStringArray" } else { "JSONSchemaPropsOrArray" };
                let (mut object, mut list) = (Value::Null, Vec::new());
                for item in Fields::new(bytes, "apiextensions") {
                    match item? {
                        (1, wire) => object = self.object(schema, wire.bytes(place, name)?, depth)?,
                        (2, wire) if strings => list.push(Value::from(wire.string(place, name)?)),
                        (2, wire) => list.push(self.object(schema, wire.bytes(place, name)?, depth)?),
                        (number, _) => return Err(unknown_field(number, &format!("apiextensions.{union}"))),
                    }
                }
                Ok(if list.is_empty() { object } else { Value::Array(list) })
            }
            Kind::String | Kind::Bytes | Kind::Bool | Kind::Int32 | Kind::Int64 | Kind::Double => {
                Err(format!("{place}.{name} is no message"))
            }
        }
    }

    pub(super) fn object(&mut self, place: usize, bytes: &[u8], depth: usize) -> Result<Value, String> {
        let mut object = Map::new();
        self.message(place, bytes, depth + 1, &mut object)?;
        Ok(Value::Object(object))
    }
}

pub(super) fn scalar(place: &str, field: &Field, wire: Wire<'_>) -> Result<Value, String> {
    let name = field.name;
    Ok(match field.kind {
        Kind::Bytes => Value::from(STANDARD.encode(wire.bytes(place, name)?)),
        Kind::Bool => Value::from(wire.varint(place, name)? != 0),
        Kind::Int32 => Value::from(wire.int32(place, name)?),
        Kind::Int64 => Value::from(wire.int64(place, name)?),
        Kind::Double => match wire {
            Wire::Fixed64(bits) => {
                double(f64::from_bits(bits)).ok_or_else(|| format!("{place}.{name} is no number"))?
            }
            other => return other.mismatch(place, name, "eight bytes"),
        },
        _ => Value::from(wire.string(place, name)?),
    })
}

/// Go writes a whole number without a fraction.
pub(super) fn double(number: f64) -> Option<Value> {
    #[allow(clippy::cast_possible_truncation)]
    if number.fract() == 0.0 && number.abs() < 9e15 {
        return Some(Value::from(number as i64));
    }
    serde_json::Number::from_f64(number).map(Value::Number)
}

/// `util/intstr`: a number of type 0, a text of type 1.
pub(super) fn int_or_string(bytes: &[u8], place: &str, name: &str) -> Result<Value, String> {
    const MESSAGE: &str = "intstr.IntOrString";
    let (mut form, mut number, mut text) = (0, 0, "");
    for item in Fields::new(bytes, MESSAGE) {
        match item? {
            (1, wire) => form = wire.int64(place, name)?,
            (2, wire) => number = wire.int32(place, name)?,
            (3, wire) => text = wire.string(place, name)?,
            (number, _) => return Err(unknown_field(number, MESSAGE)),
        }
    }
    match form {
        0 => Ok(Value::from(number)),
        1 => Ok(Value::from(text)),
        other => Err(format!("{place}.{name} is of type {other}, neither a number (0) nor a text (1)")),
    }
}

/// JSON that protobuf carries as bytes; none is null.
pub(super) fn raw(bytes: &[u8], place: &str, name: &str) -> Result<Value, String> {
    let mut json: &[u8] = &[];
    for item in Fields::new(bytes, place) {
        match item? {
            (1, wire) => json = wire.bytes(place, name)?,
            (number, _) => return Err(format!("unknown field {number} in the raw bytes of {place}.{name}")),
        }
    }
    if json.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(json).map_err(|error| format!("{place}.{name} does not hold JSON: {error}"))
}

/// The date and time of day in UTC, with the nanoseconds beside them. None is the time of zero.
pub(super) fn timestamp(bytes: &[u8], place: &str, name: &str) -> Result<Option<(String, i32)>, String> {
    const DAY: i64 = 86_400;
    let (mut seconds, mut nanos) = (0, 0);
    for item in Fields::new(bytes, "meta.Time") {
        match item? {
            (1, wire) => seconds = wire.int64(place, name)?,
            (2, wire) => nanos = wire.int32(place, name)?,
            (number, _) => return Err(unknown_field(number, "meta.Time")),
        }
    }
    if seconds == 0 && nanos == 0 {
        return Ok(None);
    }
    // The years 0 to 9999, the only ones RFC 3339 can write.
    if !(-62_167_219_200..=253_402_300_799).contains(&seconds) || !(0..1_000_000_000).contains(&nanos) {
        return Err(format!("{place}.{name} is no time that RFC 3339 can write"));
    }
    let (days, second) = (seconds.div_euclid(DAY), seconds.rem_euclid(DAY));
    // Days are counted from March of the year 0 on, so that a leap day ends its year.
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (year, month) = (era * 400 + year + i64::from(month > 9), if month > 9 { month - 9 } else { month + 3 });
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    Ok(Some((format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"), nanos)))
}

/// The text Go gives a duration, such as `1h0m0.5s` or `20ms`.
pub(super) fn duration(nanos: i64) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let size = nanos.unsigned_abs();
    let decimal = |whole: u64, part: u64, digits: usize| {
        let text = format!("{whole}.{part:0digits$}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    match size {
        0 => "0s".to_owned(),
        1..1_000 => format!("{sign}{size}ns"),
        1_000..1_000_000 => format!("{sign}{}µs", decimal(size / 1_000, size % 1_000, 3)),
        1_000_000..1_000_000_000 => format!("{sign}{}ms", decimal(size / 1_000_000, size % 1_000_000, 6)),
        _ => {
            let seconds = size / 1_000_000_000;
            let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
            let rest = decimal(seconds % 60, size % 1_000_000_000, 9);
            match (hours, minutes) {
                (0, 0) => format!("{sign}{rest}s"),
                (0, _) => format!("{sign}{minutes}m{rest}s"),
                _ => format!("{sign}{hours}h{minutes}m{rest}s"),
            }
        }
    }
}
