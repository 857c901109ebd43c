//! Request bodies of content type `application/vnd.kubernetes.protobuf`, read into the JSON of the same object.
//!
//! kubectl 1.32 and later and typed clients send built-in kinds in this form, and the rest of the server knows JSON
//! only. The envelope is that of `k8s.io/apimachinery/pkg/runtime/serializer/protobuf`; the messages are those of the
//! `generated.proto` files of `k8s.io/api` and its neighbours, listed in `protobuf-1.33.txt`.
//!
//! The result is what Go's JSON encoder gives for the decoded object. The Go encoder of protobuf always writes plain
//! scalars, even empty ones, so the `omitempty` tags of the Go types decide which zero values stay.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

/// What every body starts with, so that it cannot be taken for JSON or YAML.
const MAGIC: &[u8] = b"k8s\0";

/// The media type of such bodies.
const MEDIA_TYPE: &str = "application/vnd.kubernetes.protobuf";

/// How deep messages may lie in each other.
const MAX_DEPTH: usize = 64;

/// How many messages one body may hold. An empty message takes two bytes but may stand for a large default object.
const MAX_MESSAGES: usize = 100_000;

static TABLE: LazyLock<Table> = LazyLock::new(|| Table::parse(include_str!("protobuf-1.33.txt")));

/// Whether a `Content-Type` names the protobuf form. Parameters and case do not matter.
pub fn is_protobuf(content_type: &str) -> bool {
    content_type.split(';').next().is_some_and(|media| media.trim().eq_ignore_ascii_case(MEDIA_TYPE))
}

/// Reads a request body into the JSON of its object, `apiVersion` and `kind` first.
///
/// # Errors
///
/// A sentence that says what is wrong and in which message, for a body that is cut off or malformed, for a kind or a
/// field that Kubernetes 1.33 does not have, and for nesting that is too deep.
pub fn decode(body: &[u8]) -> Result<Value, String> {
    let bytes = body.strip_prefix(MAGIC).ok_or("the body does not start with the protobuf prefix k8s\\0")?;
    let envelope = Envelope::read(bytes)?;
    let table = &*TABLE;
    let message = table.kind(&envelope.api_version, &envelope.kind)?;
    let mut decoder = Decoder { table, messages: 0 };
    let mut object = Map::new();
    object.insert("apiVersion".to_owned(), Value::String(envelope.api_version));
    object.insert("kind".to_owned(), Value::String(envelope.kind));
    decoder.message(message, envelope.raw, 1, &mut object)?;
    Ok(Value::Object(object))
}

/// `runtime.Unknown`: the type of an object and its bytes.
#[derive(Default)]
struct Envelope<'a> {
    api_version: String,
    kind: String,
    raw: &'a [u8],
}

impl<'a> Envelope<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, String> {
        const PLACE: &str = "runtime.Unknown";
        let mut envelope = Self::default();
        for item in Fields::new(bytes, PLACE) {
            match item? {
                (1, wire) => envelope.read_type(wire.bytes(PLACE, "typeMeta")?)?,
                (2, wire) => envelope.raw = wire.bytes(PLACE, "raw")?,
                (3, wire) => {
                    let encoding = wire.string(PLACE, "contentEncoding")?;
                    if !encoding.is_empty() {
                        return Err(format!("the content encoding {encoding:?} of {PLACE} is not supported"));
                    }
                }
                (4, wire) => {
                    let content_type = wire.string(PLACE, "contentType")?;
                    if !content_type.is_empty() && !is_protobuf(content_type) {
                        return Err(format!("the content type {content_type:?} of {PLACE} is not supported"));
                    }
                }
                (number, _) => return Err(unknown_field(number, PLACE)),
            }
        }
        Ok(envelope)
    }

    fn read_type(&mut self, bytes: &[u8]) -> Result<(), String> {
        const PLACE: &str = "runtime.TypeMeta";
        for item in Fields::new(bytes, PLACE) {
            match item? {
                (1, wire) => wire.string(PLACE, "apiVersion")?.clone_into(&mut self.api_version),
                (2, wire) => wire.string(PLACE, "kind")?.clone_into(&mut self.kind),
                (number, _) => return Err(unknown_field(number, PLACE)),
            }
        }
        Ok(())
    }
}

fn unknown_field(number: u32, place: &str) -> String {
    format!("unknown field {number} in {place}")
}

// The wire form.

/// One value as it stands on the wire.
#[derive(Clone, Copy)]
enum Wire<'a> {
    Varint(u64),
    Fixed64(u64),
    Fixed32,
    Bytes(&'a [u8]),
}

impl<'a> Wire<'a> {
    fn mismatch<T>(self, place: &str, name: &str, wanted: &str) -> Result<T, String> {
        let found = match self {
            Self::Varint(_) => "a varint",
            Self::Fixed64(_) => "eight bytes",
            Self::Fixed32 => "four bytes",
            Self::Bytes(_) => "a length and bytes",
        };
        Err(format!("wrong wire type in {place}.{name}: {found} where {wanted} belongs"))
    }

    fn varint(self, place: &str, name: &str) -> Result<u64, String> {
        match self {
            Self::Varint(number) => Ok(number),
            other => other.mismatch(place, name, "a varint"),
        }
    }

    fn int32(self, place: &str, name: &str) -> Result<i32, String> {
        // A negative number stands on the wire in 64 bits; its low half is the number.
        #[allow(clippy::cast_possible_truncation)]
        self.varint(place, name).map(|number| number as i32)
    }

    fn int64(self, place: &str, name: &str) -> Result<i64, String> {
        self.varint(place, name).map(u64::cast_signed)
    }

    fn bytes(self, place: &str, name: &str) -> Result<&'a [u8], String> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            other => other.mismatch(place, name, "a length and bytes"),
        }
    }

    fn string(self, place: &str, name: &str) -> Result<&'a str, String> {
        std::str::from_utf8(self.bytes(place, name)?).map_err(|_| format!("{place}.{name} is not valid UTF-8"))
    }
}

/// The fields of one message in the order of the wire. Nothing follows an error.
struct Fields<'a> {
    rest: &'a [u8],
    place: &'a str,
}

impl<'a> Fields<'a> {
    fn new(rest: &'a [u8], place: &'a str) -> Self {
        Self { rest, place }
    }

    fn field(&mut self) -> Result<(u32, Wire<'a>), String> {
        let key = varint(&mut self.rest, self.place)?;
        let number = match u32::try_from(key >> 3) {
            Ok(number @ 1..=0x1fff_ffff) => number,
            _ => return Err(format!("{} is no field number in {}", key >> 3, self.place)),
        };
        let wire = match key & 7 {
            0 => Wire::Varint(varint(&mut self.rest, self.place)?),
            1 => Wire::Fixed64(u64::from_le_bytes(self.array(number)?)),
            2 => {
                let length = varint(&mut self.rest, self.place)?;
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                let (bytes, rest) = self.rest.split_at_checked(length).ok_or_else(|| self.cut_off(number))?;
                self.rest = rest;
                Wire::Bytes(bytes)
            }
            5 => {
                let _: [u8; 4] = self.array(number)?;
                Wire::Fixed32
            }
            other => return Err(format!("wire type {other} of field {number} in {} is not supported", self.place)),
        };
        Ok((number, wire))
    }

    fn array<const N: usize>(&mut self, number: u32) -> Result<[u8; N], String> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or_else(|| self.cut_off(number))?;
        self.rest = rest;
        Ok(*bytes)
    }

    fn cut_off(&self, number: u32) -> String {
        format!("field {number} in {} is cut off", self.place)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u32, Wire<'a>), String>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let item = self.field();
        if item.is_err() {
            self.rest = &[];
        }
        Some(item)
    }
}

fn varint(rest: &mut &[u8], place: &str) -> Result<u64, String> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, after) = rest.split_first().ok_or_else(|| format!("a varint in {place} is cut off"))?;
        *rest = after;
        if shift == 63 && byte > 1 {
            break;
        }
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(number);
        }
    }
    Err(format!("a varint in {place} has more than 64 bits"))
}

// The table.

/// All messages, by their place in a list.
struct Table {
    /// From API version to the package of its messages.
    packages: HashMap<&'static str, &'static str>,
    messages: Vec<Message>,
    index: HashMap<&'static str, usize>,
}

struct Message {
    name: &'static str,
    object: bool,
    fields: Vec<Field>,
}

struct Field {
    number: u32,
    /// The member of the JSON object; empty for a message whose members are inlined.
    name: &'static str,
    omitempty: bool,
    shape: Shape,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Plain,
    Pointer,
    List,
    Map,
}

#[derive(Clone, Copy)]
enum Kind {
    String,
    Bytes,
    Bool,
    Int32,
    Int64,
    Double,
    Message(usize),
    Time,
    MicroTime,
    Duration,
    Quantity,
    IntOrString,
    Raw,
    Strings,
    /// The unions of `apiextensions`, with the place of `JSONSchemaProps`.
    OrBool(usize),
    OrArray(usize),
    OrStrings(usize),
}

impl Table {
    /// Reads the table. It is part of the program, so a mistake in it is a panic, which every test meets.
    fn parse(text: &'static str) -> Self {
        let mut packages = HashMap::new();
        let mut rows: Vec<(&str, Vec<&str>)> = Vec::new();
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let mut words = line.split_ascii_whitespace();
            if line.starts_with(' ') {
                rows.last_mut().expect("a message comes before its further fields").1.extend(words);
            } else if let Some(group) = line.strip_prefix("group ") {
                let (package, api_version) = group.split_once(' ').expect("a package and an API version");
                packages.insert(api_version, package);
            } else {
                let name = words.next().expect("a message has a name");
                rows.push((name, words.collect()));
            }
        }
        let index: HashMap<_, _> =
            rows.iter().enumerate().map(|(place, (name, _))| (name.trim_end_matches('!'), place)).collect();
        let messages = rows
            .into_iter()
            .map(|(name, fields)| Message {
                name: name.trim_end_matches('!'),
                object: name.ends_with('!'),
                fields: fields.into_iter().map(|field| Field::parse(field, &index)).collect(),
            })
            .collect();
        Self { packages, messages, index }
    }

    /// The message of a kind. `DeleteOptions` belongs to every API version, those of custom resources included.
    fn kind(&self, api_version: &str, kind: &str) -> Result<usize, String> {
        let package = match kind {
            "DeleteOptions" if !api_version.is_empty() => Some("meta"),
            "Status" if api_version == "v1" => Some("meta"),
            _ => self.packages.get(api_version).copied(),
        };
        package
            .and_then(|package| self.index.get(format!("{package}.{kind}").as_str()))
            .copied()
            .filter(|&place| self.messages[place].object)
            .ok_or_else(|| format!("no protobuf message is known for kind {kind:?} of version {api_version:?}"))
    }
}

impl Field {
    fn parse(text: &'static str, index: &HashMap<&'static str, usize>) -> Self {
        let mut parts = text.splitn(3, ':');
        let mut part = || parts.next().unwrap_or_else(|| panic!("{text} is not NUMBER:NAME:TYPE"));
        let (number, name, kind) = (part(), part(), part());
        let (shape, kind) = if let Some(kind) = kind.strip_prefix('*') {
            (Shape::Pointer, kind)
        } else if let Some(kind) = kind.strip_prefix("[]") {
            (Shape::List, kind)
        } else if let Some(kind) = kind.strip_prefix("{}") {
            (Shape::Map, kind)
        } else {
            (Shape::Plain, kind)
        };
        let message = |name: &str| *index.get(name).unwrap_or_else(|| panic!("{text}: no message {name}"));
        let schema = || message("apiextensions.JSONSchemaProps");
        let kind = match kind {
            "string" => Kind::String,
            "bytes" => Kind::Bytes,
            "bool" => Kind::Bool,
            "int32" => Kind::Int32,
            "int64" => Kind::Int64,
            "double" => Kind::Double,
            "Time" => Kind::Time,
            "MicroTime" => Kind::MicroTime,
            "Duration" => Kind::Duration,
            "Quantity" => Kind::Quantity,
            "IntOrString" => Kind::IntOrString,
            "Raw" => Kind::Raw,
            "Strings" => Kind::Strings,
            "OrBool" => Kind::OrBool(schema()),
            "OrArray" => Kind::OrArray(schema()),
            "OrStrings" => Kind::OrStrings(schema()),
            name => Kind::Message(message(name)),
        };
        Self {
            number: number.parse().unwrap_or_else(|_| panic!("{text}: no number")),
            name: name.trim_end_matches('?').trim_end_matches('.'),
            omitempty: name.ends_with('?'),
            shape,
            kind,
        }
    }
}

impl Kind {
    /// Whether the wire holds a message, even where JSON has a text or a number.
    fn is_message(self) -> bool {
        !matches!(self, Self::String | Self::Bytes | Self::Bool | Self::Int32 | Self::Int64 | Self::Double)
    }

    fn is_number(self) -> bool {
        matches!(self, Self::Bool | Self::Int32 | Self::Int64)
    }
}

// Decoding.

/// What has been read for one field.
enum Slot<'a> {
    Absent,
    Scalar(Value),
    /// A message given in several parts is their concatenation.
    Parts(Cow<'a, [u8]>),
    List(Vec<Value>),
    /// Go writes maps in the order of their keys.
    Map(BTreeMap<String, Value>),
}

struct Decoder {
    table: &'static Table,
    messages: usize,
}

impl Decoder {
    /// Reads a message and adds its members to `object`.
    fn message(
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

    fn enter(&mut self, name: &str, depth: usize) -> Result<(), String> {
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
    fn fill<'a>(
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
    fn element(&mut self, place: &str, field: &Field, wire: Wire<'_>, depth: usize) -> Result<Value, String> {
        if field.kind.is_message() {
            self.value(place, field, wire.bytes(place, field.name)?, depth)
        } else {
            scalar(place, field, wire)
        }
    }

    /// What Go holds in a field that is not on the wire and is no pointer, list or map.
    fn zero(&mut self, place: &str, field: &Field, depth: usize) -> Result<Value, String> {
        Ok(match field.kind {
            Kind::String => Value::String(String::new()),
            Kind::Bytes => Value::Null,
            Kind::Bool => Value::Bool(false),
            Kind::Int32 | Kind::Int64 | Kind::Double => Value::from(0),
            _ => return self.value(place, field, &[], depth),
        })
    }

    /// What JSON holds for a field, or nothing if the Go encoder leaves it out.
    fn finish(&mut self, place: &str, field: &Field, slot: Slot<'_>, depth: usize) -> Result<Option<Value>, String> {
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
    fn value(&mut self, place: &str, field: &Field, bytes: &[u8], depth: usize) -> Result<Value, String> {
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

    fn object(&mut self, place: usize, bytes: &[u8], depth: usize) -> Result<Value, String> {
        let mut object = Map::new();
        self.message(place, bytes, depth + 1, &mut object)?;
        Ok(Value::Object(object))
    }
}

fn scalar(place: &str, field: &Field, wire: Wire<'_>) -> Result<Value, String> {
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
fn double(number: f64) -> Option<Value> {
    #[allow(clippy::cast_possible_truncation)]
    if number.fract() == 0.0 && number.abs() < 9e15 {
        return Some(Value::from(number as i64));
    }
    serde_json::Number::from_f64(number).map(Value::Number)
}

/// `util/intstr`: a number of type 0, a text of type 1.
fn int_or_string(bytes: &[u8], place: &str, name: &str) -> Result<Value, String> {
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
fn raw(bytes: &[u8], place: &str, name: &str) -> Result<Value, String> {
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
fn timestamp(bytes: &[u8], place: &str, name: &str) -> Result<Option<(String, i32)>, String> {
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
fn duration(nanos: i64) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What kubectl 1.32 sent, and what `--dry-run=client -o json` of the same command prints (without the null
    /// creation times); the last two have no dry run.
    const CAPTURED: &[(&str, &str)] = &[
        (
            "azhzAAoPCgJ2MRIJQ29uZmlnTWFwEiQKEgoCY20SABoAIgAqADIAOABCABIGCgFhEgExEgYKAWISATIaACIA",
            r#"{"kind":"ConfigMap", "apiVersion":"v1", "metadata":{"name":"cm"}, "data":{"a":"1", "b":"2"}}"#,
        ),
        (
            "azhzAAoMCgJ2MRIGU2VjcmV0EioKEQoBcxIAGgAiACoAMgA4AEIAEhMKCHBhc3N3b3JkEgdodW50ZXIyGgAaACIA",
            r#"{"kind":"Secret", "apiVersion":"v1", "metadata":{"name":"s"}, "data":{"password":"aHVudGVyMg=="}}"#,
        ),
        (
            "azhzAAoVCgdhcHBzL3YxEgpEZXBsb3ltZW50ErgBCh8KA3dlYhIAGgAiACoAMgA4AEIAWgoKA2FwcBIDd2ViEoYBCAMSDAoKCgNhcHAS\
             A3dlYhpsChwKABIAGgAiACoAMgA4AEIAWgoKA2FwcBIDd2ViEkwSLgoFbmdpbngSBW5naW54KgAyCgoAEAAYUCIAKgBCAGoAcgCAAQCI\
             AQCQAQCiAQAaADIAQgBKAFIAWABgAGgAggEAigEAmgEAwgEAIgIKACgAOAAaDAgAEAAYACAAKAA4ABoAIgA=",
            r#"{"kind":"Deployment", "apiVersion":"apps/v1", "metadata":{"name":"web", "labels":{"app":"web"}},
            "spec":{"replicas":3, "selector":{"matchLabels":{"app":"web"}},
            "template":{"metadata":{"labels":{"app":"web"}}, "spec":{"containers":[{"name":"nginx",
            "image":"nginx", "ports":[{"containerPort":80}], "resources":{}}]}}, "strategy":{}}, "status":{}}"#,
        ),
        (
            "azhzAAoPCgJ2MRIJTmFtZXNwYWNlEhwKFAoEdGVhbRIAGgAiACoAMgA4AEIAEgAaAgoAGgAiAA==",
            r#"{"kind":"Namespace", "apiVersion":"v1", "metadata":{"name":"team"}, "spec":{}, "status":{}}"#,
        ),
        (
            "azhzAAofChRuZXR3b3JraW5nLms4cy5pby92MRIHSW5ncmVzcxJfChMKA2luZxIAGgAiACoAMgA4AEIAEkQSEgoHZm9vLmNvbRIHbXkt\
             Y2VydBouCgdmb28uY29tEiMKIQofCgQvYmFyEg8iDQoEc3ZjMRIFCgAQkD8aBlByZWZpeBoCCgAaACIA",
            r#"{"kind":"Ingress", "apiVersion":"networking.k8s.io/v1", "metadata":{"name":"ing"},
            "spec":{"tls":[{"hosts":["foo.com"], "secretName":"my-cert"}], "rules":[{"host":"foo.com",
            "http":{"paths":[{"path":"/bar", "pathType":"Prefix", "backend":{"service":{"name":"svc1",
            "port":{"number":8080}}}}]}}]}, "status":{"loadBalancer":{}}}"#,
        ),
        (
            "azhzAAoTCghiYXRjaC92MRIHQ3JvbkpvYhKkAQoSCgJjahIAGgAiACoAMgA4AEIAEosBCgsqLzEgKiAqICogKhoAKnoKEgoCY2oSABoA\
             IgAqADIAOABCABJkMmIKEAoAEgAaACIAKgAyADgAQgASThInCgJjahIHYnVzeWJveBoEZGF0ZSoAQgBqAHIAgAEAiAEAkAEAogEAGglP\
             bkZhaWx1cmUyAEIASgBSAFgAYABoAIIBAIoBAJoBAMIBABoAGgAiAA==",
            r#"{"kind":"CronJob", "apiVersion":"batch/v1", "metadata":{"name":"cj"},
            "spec":{"schedule":"*/1 * * * *", "jobTemplate":{"metadata":{"name":"cj"},
            "spec":{"template":{"metadata":{}, "spec":{"containers":[{"name":"cj", "image":"busybox",
            "command":["date"], "resources":{}}], "restartPolicy":"OnFailure"}}}}}, "status":{}}"#,
        ),
        (
            "azhzAAokChxyYmFjLmF1dGhvcml6YXRpb24uazhzLmlvL3YxEgRSb2xlEigKEQoBchIAGgAiACoAMgA4AEIAEhMKA2dldAoEbGlzdBIA\
             GgRwb2RzGgAiAA==",
            r#"{"kind":"Role", "apiVersion":"rbac.authorization.k8s.io/v1", "metadata":{"name":"r"},
            "rules":[{"verbs":["get", "list"], "apiGroups":[""], "resources":["pods"]}]}"#,
        ),
        (
            "azhzAAoTCgJ2MRINUmVzb3VyY2VRdW90YRI0ChEKAXESABoAIgAqADIAOABCABIdCgoKA2NwdRIDCgExCg8KBm1lbW9yeRIFCgMxR2ka\
             ABoAIgA=",
            r#"{"kind":"ResourceQuota", "apiVersion":"v1", "metadata":{"name":"q"}, "spec":{"hard":{"cpu":"1",
            "memory":"1Gi"}}, "status":{}}"#,
        ),
        (
            "azhzAAogCglwb2xpY3kvdjESE1BvZERpc3J1cHRpb25CdWRnZXQSOAoRCgFwEgAaACIAKgAyADgAQgASFwoJCAEQABoDNTAlEgoKCAoD\
             YXBwEgF4GgoIABgAIAAoADAAGgAiAA==",
            r#"{"kind":"PodDisruptionBudget", "apiVersion":"policy/v1", "metadata":{"name":"p"},
            "spec":{"minAvailable":"50%", "selector":{"matchLabels":{"app":"x"}}},
            "status":{"disruptionsAllowed":0, "currentHealthy":0, "desiredHealthy":0, "expectedPods":0}}"#,
        ),
        (
            "azhzAAogCglwb2xpY3kvdjESE1BvZERpc3J1cHRpb25CdWRnZXQSNgoSCgJwMhIAGgAiACoAMgA4AEIAEhQSCgoICgNhcHASAXgaBggA\
             EAEaABoKCAAYACAAKAAwABoAIgA=",
            r#"{"kind":"PodDisruptionBudget", "apiVersion":"policy/v1", "metadata":{"name":"p2"},
            "spec":{"selector":{"matchLabels":{"app":"x"}}, "maxUnavailable":1},
            "status":{"disruptionsAllowed":0, "currentHealthy":0, "desiredHealthy":0, "expectedPods":0}}"#,
        ),
        (
            "azhzAAoNCgJ2MRIHU2VydmljZRJpCh8KA3N2YxIAGgAiACoAMgA4AEIAWgoKA2FwcBIDc3ZjEkIKGwoHODAtODA4MBIDVENQGFAiBwgA\
             EJA/GgAoABIKCgNhcHASA3N2YxoAIglDbHVzdGVySVA6AEIAUgBaAGAAaAAaAgoAGgAiAA==",
            r#"{"kind":"Service", "apiVersion":"v1", "metadata":{"name":"svc", "labels":{"app":"svc"}},
            "spec":{"ports":[{"name":"80-8080", "protocol":"TCP", "port":80, "targetPort":8080}],
            "selector":{"app":"svc"}, "type":"ClusterIP"}, "status":{"loadBalancer":{}}}"#,
        ),
        (
            "azhzAAopCg5hdXRvc2NhbGluZy92MhIXSG9yaXpvbnRhbFBvZEF1dG9zY2FsZXISXQoRCgFkEgAaACIAKgAyADgAQgASQgoYCgpEZXBs\
             b3ltZW50EgFkGgdhcHBzL3YxEAEYBSIiCghSZXNvdXJjZSIWCgNjcHUSDwoLVXRpbGl6YXRpb24gUBoEGAAgABoAIgA=",
            r#"{"kind":"HorizontalPodAutoscaler", "apiVersion":"autoscaling/v2", "metadata":{"name":"d"},
            "spec":{"scaleTargetRef":{"kind":"Deployment", "name":"d", "apiVersion":"apps/v1"}, "minReplicas":1,
            "maxReplicas":5, "metrics":[{"type":"Resource", "resource":{"name":"cpu",
            "target":{"type":"Utilization", "averageUtilization":80}}}]}, "status":{"desiredReplicas":0,
            "currentMetrics":null}}"#,
        ),
        (
            "azhzAAooChhhdXRoZW50aWNhdGlvbi5rOHMuaW8vdjESDFRva2VuUmVxdWVzdBIdChAKABIAGgAiACoAMgA4AEIAEgMg2AQaBAoAEgAa\
             ACIA",
            r#"{"kind":"TokenRequest", "apiVersion":"authentication.k8s.io/v1", "metadata":{},
            "spec":{"audiences":null, "expirationSeconds":600, "boundObjectRef":null}, "status":{"token":"",
            "expirationTimestamp":null}}"#,
        ),
        (
            "azhzAAoyChdhdXRob3JpemF0aW9uLms4cy5pby92MRIXU2VsZlN1YmplY3RBY2Nlc3NSZXZpZXcSQgoQCgASABoAIgAqADIAOABCABIk\
             CiIKB2RlZmF1bHQSBmNyZWF0ZRoAIgAqBHBvZHMyADoDbG9nGggIABIAGgAgABoAIgA=",
            r#"{"kind":"SelfSubjectAccessReview", "apiVersion":"authorization.k8s.io/v1", "metadata":{},
            "spec":{"resourceAttributes":{"namespace":"default", "verb":"create", "resource":"pods",
            "name":"log"}}, "status":{"allowed":false}}"#,
        ),
    ];

    fn captured() -> impl Iterator<Item = (Vec<u8>, Value)> {
        CAPTURED.iter().map(|(body, json)| {
            (STANDARD.decode(body).expect("base64"), serde_json::from_str(json).expect("the expected JSON"))
        })
    }

    /// A field that has a length, for bodies that no client sends.
    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        let mut out = vec![number << 3 | 2];
        let mut length = bytes.len();
        while length >= 0x80 {
            out.push(u8::try_from(length & 0x7f).expect("seven bits") | 0x80);
            length >>= 7;
        }
        out.push(u8::try_from(length).expect("seven bits"));
        out.extend_from_slice(bytes);
        out
    }

    fn body(api_version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
        let types = [field(1, api_version.as_bytes()), field(2, kind.as_bytes())].concat();
        [MAGIC, &field(1, &types), &field(2, raw)].concat()
    }

    #[test]
    fn kubectl_bodies_become_the_json_of_a_dry_run() {
        for (body, json) in captured() {
            let decoded = decode(&body).expect("a body of kubectl");
            assert_eq!(decoded, json);
            assert_eq!(
                decoded.as_object().map(|object| object.keys().take(2).cloned().collect()),
                Some(vec!["apiVersion".to_owned(), "kind".to_owned()])
            );
        }
    }

    #[test]
    fn a_body_cut_off_anywhere_does_not_panic() {
        for (body, json) in captured() {
            let read: Vec<Value> = (0..body.len()).filter_map(|length| decode(&body[..length]).ok()).collect();
            // Only a cut between two of the four fields of the envelope leaves something that can be read.
            assert!(read.len() <= 3, "{read:?}");
            assert!(read.iter().all(|value| value["kind"] == json["kind"]));
        }
    }

    #[test]
    fn flipped_bytes_do_not_panic() {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state >> 33).expect("31 bits")
        };
        for (body, _) in captured() {
            for _ in 0..300 {
                let mut broken = body.clone();
                for _ in 0..=random() % 3 {
                    let at = MAGIC.len() + random() % (broken.len() - MAGIC.len());
                    broken[at] ^= 1 << (random() % 8);
                }
                let _ = decode(&broken);
            }
        }
    }

    #[test]
    fn malformed_bodies_are_refused_with_their_place() {
        let spec = |bytes: &[u8]| body("v1", "Pod", &field(2, bytes));
        let error = |body: &[u8]| decode(body).expect_err("a refusal");
        assert_eq!(error(&spec(&[0x8a, 0x06, 0])), "unknown field 97 in core.PodSpec");
        assert_eq!(error(&spec(&[0x20])), "a varint in core.PodSpec is cut off");
        assert_eq!(error(&spec(&[0x12, 0xff, 0xff, 0xff, 0xff, 0x0f])), "field 2 in core.PodSpec is cut off");
        assert_eq!(
            error(&spec(&[0x18, 1])),
            "wrong wire type in core.PodSpec.restartPolicy: a varint where a length and bytes belongs"
        );
        assert_eq!(error(&spec(&[0x1a, 1, 0xff])), "core.PodSpec.restartPolicy is not valid UTF-8");
        assert_eq!(error(&spec(&[0x1b])), "wire type 3 of field 3 in core.PodSpec is not supported");
        assert_eq!(
            error(&spec(&[&[0x20][..], &[0xff; 9], &[0x7f]].concat())),
            "a varint in core.PodSpec has more than 64 bits"
        );
        assert_eq!(error(b"{}"), "the body does not start with the protobuf prefix k8s\\0");
        assert_eq!(
            error(&body("v1", "Sandwich", b"")),
            "no protobuf message is known for kind \"Sandwich\" of version \"v1\""
        );
        assert!(error(&body("v1", "PodSpec", b"")).starts_with("no protobuf message is known"));
        assert_eq!(error(&[body("v1", "Pod", b""), vec![0]].concat()), "0 is no field number in runtime.Unknown");
    }

    #[test]
    fn nesting_and_the_number_of_messages_have_a_limit() {
        let schema = |bytes: &[u8]| {
            let version = field(4, &field(1, bytes));
            body("apiextensions.k8s.io/v1", "CustomResourceDefinition", &field(2, &field(7, &version)))
        };
        let mut deep = Vec::new();
        for _ in 0..80 {
            // `not`, field 28.
            deep = [&[0xe2, 0x01][..], &field(1, &deep)[1..]].concat();
        }
        let error = decode(&schema(&deep)).expect_err("too deep");
        assert_eq!(error, "messages are nested more than 64 deep at apiextensions.JSONSchemaProps");
        let many = field(2, &[]).repeat(MAX_MESSAGES);
        assert!(decode(&body("v1", "PodList", &many)).expect_err("too many").contains("more than 100000 messages"));
    }

    #[test]
    fn times_and_options_have_their_json_form() {
        let time = |seconds: &[u8], nanos: &[u8]| [&[8], seconds, &[16], nanos].concat();
        // 2024-02-29T12:34:56.000001Z: 1709210096 seconds and 1000 nanoseconds.
        let lease = field(2, &field(4, &time(&[0xf0, 0xf3, 0x81, 0xaf, 0x06], &[0xe8, 0x07])));
        let lease = decode(&body("coordination.k8s.io/v1", "Lease", &lease)).expect("a lease");
        assert_eq!(lease["spec"], serde_json::json!({ "renewTime": "2024-02-29T12:34:56.000001Z" }));
        // Any API version has these options, that of a custom resource too. A pointer keeps its zero.
        let options = decode(&body("example.com/v1", "DeleteOptions", &[8, 0])).expect("options");
        assert_eq!(
            options,
            serde_json::json!({ "apiVersion": "example.com/v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0 })
        );
        // Lists that are not omitted when empty are null in Go.
        let role = decode(&body("rbac.authorization.k8s.io/v1", "Role", b"")).expect("a role");
        assert_eq!(role["rules"], Value::Null);
    }

    #[test]
    fn durations_read_as_in_go() {
        for (nanos, text) in [
            (0, "0s"),
            (15, "15ns"),
            (1_500, "1.5µs"),
            (20_000_000, "20ms"),
            (-1_500_000_000, "-1.5s"),
            (90_000_000_000, "1m30s"),
            (3_600_500_000_000, "1h0m0.5s"),
        ] {
            assert_eq!(duration(nanos), text);
        }
    }

    #[test]
    fn the_media_type_is_known() {
        assert!(is_protobuf("application/vnd.kubernetes.protobuf"));
        assert!(is_protobuf("Application/vnd.kubernetes.Protobuf; charset=utf-8"));
        assert!(!is_protobuf("application/json"));
        assert!(!is_protobuf("application/vnd.kubernetes.protobuf.stream"));
    }
}
