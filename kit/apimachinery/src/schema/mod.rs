//! The fields of the API's types: what a body may hold, how it is written down, and how changes are merged into it.
//!
//! One table, `kubernetes-1.33.txt`, says it for every built-in kind. A line that begins a type has its name, as
//! `package.Type`, and `atomic` if server-side apply takes it as one value; the lines under it are its fields:
//!
//! `name/GoName?:type@list~strategy`: the JSON name; the Go name if it isn't the same with a capital letter; `?` if an
//! empty value is left out; the type (`*T` a pointer, `[]T` a list, `{}T` a map by string); how server-side apply sees
//! a list (`atomic`, `set`, `map(keys)`); and the strategy of strategic merge patches with its merge key. Fields
//! between `<package.Type` and `>` are those of an embedded type. `A = B` is another name for a type.

mod decode;
mod json;
mod syntax;

pub use decode::{Decoded, decode, fill};
pub use json::{Duplicates, parse};
pub use syntax::syntax_error;

use std::collections::HashMap;
use std::sync::LazyLock;

/// A type of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Type {
    String,
    Bool,
    Int32,
    Int64,
    Float64,
    Bytes,
    Quantity,
    IntOrString,
    Time,
    MicroTime,
    /// Any JSON.
    Raw,
    Pointer(&'static Type),
    List(&'static Type),
    Map(&'static Type),
    /// Another name for a type.
    Alias(&'static str, &'static Type),
    /// A struct, by its place in the table.
    Struct(usize),
}

/// A type with fields.
#[derive(Debug)]
pub struct Struct {
    /// `package.Type`.
    pub name: &'static str,
    /// Its fields in the order of their declaration.
    pub fields: Vec<Field>,
    /// Whether server-side apply takes it as one value.
    pub atomic: bool,
    places: HashMap<&'static str, usize>,
    /// How many fields are always written.
    always: usize,
}

/// A field of a type.
#[derive(Debug)]
pub struct Field {
    /// As JSON names it.
    pub json: &'static str,
    /// As Go names it.
    pub go: String,
    /// Whether JSON leaves an empty value out.
    pub omitempty: bool,
    /// Its type.
    pub of: Type,
    /// How server-side apply sees it.
    pub list: ListType,
    /// How a strategic merge patch changes it.
    pub patch: PatchStrategy,
    /// The embedded type that it belongs to.
    pub embedded: Option<&'static str>,
}

/// How server-side apply sees a list or a map.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ListType {
    /// As its type says: structs and maps field by field, lists as one value.
    #[default]
    Unsaid,
    /// As one value.
    Atomic,
    /// Each value on its own.
    Set,
    /// Each item on its own, found by these keys.
    Map(Vec<&'static str>),
}

/// How a strategic merge patch changes a field.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PatchStrategy {
    /// Whether items of a list are merged and not replaced.
    pub merge: bool,
    /// Whether only those fields stay that the patch names.
    pub retain_keys: bool,
    /// By which key items are merged; none for lists of plain values.
    pub key: Option<&'static str>,
}

impl Struct {
    /// A field by its JSON name.
    pub fn field(&self, json: &str) -> Option<&Field> {
        self.places.get(json).map(|place| &self.fields[*place])
    }

    /// The place of a field, which is most often the one after the last.
    fn place(&self, json: &str, next: usize) -> Option<usize> {
        match self.fields.get(next) {
            Some(field) if field.json == json => Some(next),
            _ => self.places.get(json).copied(),
        }
    }
}

impl Field {
    /// Whether JSON has the field even if nobody set it.
    fn is_always_written(&self) -> bool {
        !self.omitempty || decode::never_empty(self.of)
    }
}

impl Type {
    /// Its name as Go's messages have it.
    pub fn go(self) -> String {
        let internal = |name: &str| name.replace("meta.", "v1.").replace("scale.", "autoscaling.");
        match self {
            Type::String => "string".into(),
            Type::Bool => "bool".into(),
            Type::Int32 => "int32".into(),
            Type::Int64 => "int64".into(),
            Type::Float64 => "float64".into(),
            Type::Bytes => "[]uint8".into(),
            Type::Quantity => "resource.Quantity".into(),
            Type::IntOrString => "intstr.IntOrString".into(),
            Type::Time => "v1.Time".into(),
            Type::MicroTime => "v1.MicroTime".into(),
            Type::Raw => "runtime.RawExtension".into(),
            Type::Pointer(of) => format!("*{}", of.go()),
            Type::List(of) => format!("[]{}", of.go()),
            Type::Map(of) => format!("map[string]{}", of.go()),
            Type::Alias(name, _) => internal(name),
            Type::Struct(_) => self.structure().map_or_else(String::new, |of| internal(of.name)),
        }
    }

    /// The type behind pointers and other names.
    pub fn plain(self) -> Type {
        match self {
            Type::Pointer(of) | Type::Alias(_, of) => of.plain(),
            of => of,
        }
    }

    /// Its struct, if it is one.
    pub fn structure(self) -> Option<&'static Struct> {
        match self.plain() {
            Type::Struct(place) => Some(&SCHEMA.structs[place]),
            _ => None,
        }
    }
}

struct Schema {
    structs: Vec<Struct>,
    by_name: HashMap<&'static str, Type>,
}

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    let lines = || include_str!("kubernetes-1.33.txt").lines().filter(|l| !l.is_empty() && !l.starts_with('#'));
    let mut by_name: HashMap<&'static str, Type> = HashMap::new();
    let mut heads = lines().filter(|line| !line.starts_with(' '));
    let mut names: Vec<(&'static str, bool)> = Vec::new();
    let mut aliases: Vec<(&'static str, &'static str)> = Vec::new();
    for line in heads.by_ref() {
        match line.split_once(" = ") {
            Some((name, of)) => aliases.push((name, of)),
            None => {
                let (name, atomic) = line.split_once(' ').map_or((line, false), |(name, _)| (name, true));
                by_name.insert(name, Type::Struct(names.len()));
                names.push((name, atomic));
            }
        }
    }
    for (name, of) in aliases {
        let of: &'static Type = Box::leak(Box::new(parse_type(of, &by_name)));
        by_name.insert(name, Type::Alias(name, of));
    }
    let mut structs: Vec<Struct> = Vec::new();
    let mut embedded = None;
    for line in lines().filter(|line| !line.contains(" = ")) {
        match line.strip_prefix("  ") {
            None => {
                let (name, atomic) = names[structs.len()];
                structs.push(Struct { name, atomic, fields: Vec::new(), places: HashMap::new(), always: 0 });
            }
            Some(">") => embedded = None,
            Some(line) if line.starts_with('<') => embedded = line.strip_prefix('<'),
            Some(line) => {
                let field = parse_field(line, embedded, &by_name);
                if let Some(last) = structs.last_mut() {
                    last.places.insert(field.json, last.fields.len());
                    last.always += usize::from(field.is_always_written());
                    last.fields.push(field);
                }
            }
        }
    }
    Schema { structs, by_name }
});

fn parse_type(text: &'static str, by_name: &HashMap<&'static str, Type>) -> Type {
    let inner = |rest| -> &'static Type { Box::leak(Box::new(parse_type(rest, by_name))) };
    if let Some(rest) = text.strip_prefix('*') {
        return Type::Pointer(inner(rest));
    }
    if let Some(rest) = text.strip_prefix("[]") {
        return Type::List(inner(rest));
    }
    if let Some(rest) = text.strip_prefix("{}") {
        return Type::Map(inner(rest));
    }
    match text {
        "string" => Type::String,
        "bool" => Type::Bool,
        "int32" => Type::Int32,
        "int64" => Type::Int64,
        "float64" => Type::Float64,
        "bytes" => Type::Bytes,
        "quantity" => Type::Quantity,
        "intorstring" => Type::IntOrString,
        "time" => Type::Time,
        "microtime" => Type::MicroTime,
        name => by_name.get(name).copied().unwrap_or(Type::Raw),
    }
}

fn parse_field(line: &'static str, embedded: Option<&'static str>, by_name: &HashMap<&'static str, Type>) -> Field {
    let (name, rest) = line.split_once(':').expect("a field has a type");
    let (rest, strategy) = rest.split_once('~').map_or((rest, ""), |(rest, strategy)| (rest, strategy));
    let (of, list) = rest.split_once('@').map_or((rest, ""), |(of, list)| (of, list));
    let (name, omitempty) = name.strip_suffix('?').map_or((name, false), |name| (name, true));
    let (json, go) = match name.split_once('/') {
        Some((json, go)) => (json, go.to_string()),
        None => (name, name[..1].to_uppercase() + &name[1..]),
    };
    let call = |text: &'static str| text.strip_suffix(')').and_then(|text| text.split_once('(')).unwrap_or((text, ""));
    let list = match call(list) {
        ("atomic", _) => ListType::Atomic,
        ("set", _) => ListType::Set,
        ("map", keys) => ListType::Map(keys.split(',').collect()),
        _ => ListType::Unsaid,
    };
    let (how, key) = call(strategy);
    let patch = PatchStrategy {
        merge: how.contains("merge"),
        retain_keys: how.contains("retainKeys"),
        key: Some(key).filter(|key| !key.is_empty()),
    };
    Field { json, go, omitempty, of: parse_type(of, by_name), list, patch, embedded }
}

/// A type by its name, such as `core.PodSpec`.
pub fn named(name: &str) -> Option<Type> {
    SCHEMA.by_name.get(name).copied()
}

/// The type of the objects of a built-in kind.
pub fn of(group: &str, kind: &str) -> Option<Type> {
    let package = match group {
        "" => "core",
        group => group.split('.').next().unwrap_or_default(),
    };
    named(&format!("{package}.{kind}"))
}

/// The same, for a kind that has other fields in another version than in the one in which it is kept.
pub fn of_version(api_version: &str, kind: &str) -> Option<Type> {
    match api_version.rsplit_once('/').unwrap_or(("", api_version)) {
        ("autoscaling", "v1") if kind == "HorizontalPodAutoscaler" => named("autoscalingv1.HorizontalPodAutoscaler"),
        (group, _) => of(group, kind),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::Resource;

    #[test]
    fn every_builtin_resource_has_a_type() {
        for resource in Resource::served().iter().filter(|r| r.kind != "ComponentStatus") {
            let of = of_version(&resource.api_version, &resource.kind);
            assert!(of.and_then(Type::structure).is_some(), "{}", resource.kind);
        }
    }

    #[test]
    fn fields_say_how_they_are_merged() {
        let spec = named("core.PodSpec").and_then(Type::structure).expect("a struct");
        let containers = spec.field("containers").expect("a field");
        assert_eq!((containers.patch.key, &containers.list), (Some("name"), &ListType::Map(vec!["name"])));
        let volumes = spec.field("volumes").expect("a field");
        assert!(volumes.patch.merge && volumes.patch.retain_keys && volumes.omitempty);
        let dns = spec.field("dnsPolicy").expect("a field");
        assert_eq!((dns.go.as_str(), dns.of.plain()), ("DNSPolicy", Type::String));
    }
}
