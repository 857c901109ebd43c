//! The table of all messages, by their place in a list.

use std::collections::HashMap;
use std::sync::LazyLock;

pub(super) static TABLE: LazyLock<Table> = LazyLock::new(|| Table::parse(include_str!("../protobuf-1.33.txt")));

/// All messages, by their place in a list.
pub(super) struct Table {
    /// From API version to the package of its messages.
    pub(super) packages: HashMap<&'static str, &'static str>,
    pub(super) messages: Vec<Message>,
    pub(super) index: HashMap<&'static str, usize>,
}

pub(super) struct Message {
    pub(super) name: &'static str,
    pub(super) object: bool,
    pub(super) fields: Vec<Field>,
}

pub(super) struct Field {
    pub(super) number: u32,
    /// The member of the JSON object; empty for a message whose members are inlined.
    pub(super) name: &'static str,
    pub(super) omitempty: bool,
    pub(super) shape: Shape,
    pub(super) kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Plain,
    Pointer,
    List,
    Map,
}

#[derive(Clone, Copy)]
pub(super) enum Kind {
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
    pub(super) fn parse(text: &'static str) -> Self {
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
    pub(super) fn kind(&self, api_version: &str, kind: &str) -> Result<usize, String> {
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
    pub(super) fn parse(text: &'static str, index: &HashMap<&'static str, usize>) -> Self {
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
    pub(super) fn is_message(self) -> bool {
        !matches!(self, Self::String | Self::Bytes | Self::Bool | Self::Int32 | Self::Int64 | Self::Double)
    }

    pub(super) fn is_number(self) -> bool {
        matches!(self, Self::Bool | Self::Int32 | Self::Int64)
    }
}
