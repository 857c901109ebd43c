//! What changed in a struct, as messages show it (`google/go-cmp`, which upstream's `pod updates may not change …` has).
//!
//! Structs are compared field by field, lists of equal length item by item; what is equal is shown for two fields
//! around a change. Lists whose length changed are shown whole, before and after.

use super::field::quoted;
use super::go::fields;
use super::schema::{Struct, Type};
use serde_json::Value;

/// How many equal fields are shown around a change.
const CONTEXT: usize = 2;
/// go-cmp's messages are not meant to be parsed, and it says so with this kind of blank.
const BLANK: char = '\u{a0}';

/// A line of the answer.
struct Line {
    /// `-`, `+` or a blank.
    sign: char,
    /// Before the text, as tabs.
    depth: usize,
    /// The name of the field, if the value stands on the same line.
    key: Option<String>,
    text: String,
}

/// The difference between two values of a type, one line a field.
pub fn diff(old: &Value, new: &Value, of: Type) -> String {
    let mut lines = vec![Line { sign: BLANK, depth: 0, key: None, text: format!("{}{{", of.go()) }];
    if let Some(of) = of.structure() {
        structs(&mut lines, old, new, of, 1);
    }
    lines.push(Line { sign: BLANK, depth: 0, key: None, text: "}".into() });
    render(&lines)
}

fn render(lines: &[Line]) -> String {
    let mut text = String::new();
    let mut index = 0;
    while index < lines.len() {
        // Values of neighbouring fields stand in one column.
        let group = lines[index..].iter().take_while(|line| line.key.is_some() && line.depth == lines[index].depth);
        let group = group.count().max(1);
        let width = lines[index..index + group].iter().filter_map(|line| line.key.as_ref().map(String::len)).max();
        for line in &lines[index..index + group] {
            let head = line.key.as_ref().map_or(String::new(), |key| {
                format!("{:<width$} ", format!("{key}:"), width = width.unwrap_or_default() + 1)
            });
            text += &format!("{}{BLANK}{}{head}{}\n", line.sign, "\t".repeat(line.depth), line.text);
        }
        index += group;
    }
    text
}

fn structs(lines: &mut Vec<Line>, old: &Value, new: &Value, of: &'static Struct, depth: usize) {
    let fields = fields(of);
    let value = |object: &Value, json: &str| object.get(json).cloned().unwrap_or_default();
    let changed: Vec<bool> = fields.iter().map(|f| value(old, f.json) != value(new, f.json)).collect();
    let mut index = 0;
    while index < fields.len() {
        if changed[index] {
            let field = fields[index];
            change(lines, &field.go, &value(old, field.json), &value(new, field.json), field.of, depth);
            index += 1;
            continue;
        }
        let run = changed[index..].iter().take_while(|changed| !**changed).count();
        let (first, last) = (index == 0, index + run == fields.len());
        let low = if first { 0 } else { CONTEXT.min(run) };
        let mut high = if last { 0 } else { CONTEXT.min(run - low) };
        if run - low - high == 1 {
            high += 1;
        }
        let mut equal = |range: std::ops::Range<usize>| {
            for field in &fields[range] {
                let text = format!("{},", short(&value(old, field.json), field.of));
                lines.push(Line { sign: BLANK, depth, key: Some(field.go.clone()), text });
            }
        };
        equal(index..index + low);
        if run > low + high {
            let text = format!("... // {} identical fields", run - low - high);
            lines.push(Line { sign: BLANK, depth, key: None, text });
        }
        let mut equal = |range: std::ops::Range<usize>| {
            for field in &fields[range] {
                let text = format!("{},", short(&value(old, field.json), field.of));
                lines.push(Line { sign: BLANK, depth, key: Some(field.go.clone()), text });
            }
        };
        equal(index + run - high..index + run);
        index += run;
    }
}

fn change(lines: &mut Vec<Line>, key: &str, old: &Value, new: &Value, of: Type, depth: usize) {
    let head = |text: String| Line { sign: BLANK, depth, key: None, text };
    match (of.plain(), old, new) {
        (Type::Struct(_), Value::Object(_), Value::Object(_)) => {
            let pointer = if matches!(of, Type::Pointer(_)) { "&" } else { "" };
            lines.push(head(format!("{key}: {pointer}{}{{", of.go().trim_start_matches('*'))));
            if let Some(of) = of.structure() {
                structs(lines, old, new, of, depth + 1);
            }
            lines.push(head("},".into()));
        }
        (Type::List(item), Value::Array(before), Value::Array(after))
            if before.len() == after.len() && item.structure().is_some() =>
        {
            lines.push(head(format!("{key}: {}{{", of.go())));
            items(lines, before, after, *item, depth + 1);
            lines.push(head("},".into()));
        }
        _ => {
            for (sign, value) in [('-', old), ('+', new)] {
                match (of.plain(), value) {
                    (Type::Map(item), Value::Object(entries)) => {
                        let line = |depth, text| Line { sign, depth, key: None, text };
                        lines.push(line(depth, format!("{key}: {}{{", of.go())));
                        for (name, value) in entries {
                            let text = format!("{}: {},", map_key(name, of), full(value, *item));
                            lines.push(line(depth + 1, text));
                        }
                        lines.push(line(depth, "},".into()));
                    }
                    _ => {
                        let text = format!("{},", full_typed(value, of));
                        lines.push(Line { sign, depth, key: Some(key.into()), text });
                    }
                }
            }
        }
    }
}

fn items(lines: &mut Vec<Line>, old: &[Value], new: &[Value], of: Type, depth: usize) {
    let mut equal = 0;
    let line = |text: String| Line { sign: BLANK, depth, key: None, text };
    let tell = |lines: &mut Vec<Line>, equal: &mut usize| {
        if *equal > 0 {
            lines.push(line(format!("... // {equal} identical elements")));
            *equal = 0;
        }
    };
    for (old, new) in old.iter().zip(new) {
        if old == new {
            equal += 1;
            continue;
        }
        tell(lines, &mut equal);
        lines.push(line("{".into()));
        if let Some(of) = of.structure() {
            structs(lines, old, new, of, depth + 1);
        }
        lines.push(line("},".into()));
    }
    tell(lines, &mut equal);
}

/// Keys of maps of a named key type are shown by their `String` method.
fn map_key(name: &str, of: Type) -> String {
    if of.go() == "core.ResourceList" { format!("s{}", quoted(name)) } else { quoted(name) }
}

/// A value that is equal on both sides: no type, and no field that is empty.
fn short(value: &Value, of: Type) -> String {
    match (of, value) {
        (Type::Pointer(_), Value::Null) => "nil".into(),
        (Type::Pointer(of), _) => format!("&{}", short(value, *of)),
        (_, Value::Null) => match of.plain() {
            Type::List(_) | Type::Map(_) | Type::Bytes => "nil".into(),
            Type::Bool => "false".into(),
            Type::Int32 | Type::Int64 | Type::Float64 => "0".into(),
            Type::Struct(_) => "{}".into(),
            _ => "\"\"".into(),
        },
        (_, Value::Array(items)) => {
            let item = if let Type::List(item) = of.plain() { *item } else { Type::Raw };
            let items: Vec<String> = items.iter().map(|value| short(value, item)).collect();
            format!("{{{}}}", items.join(", "))
        }
        (_, Value::Object(entries)) => match of.plain() {
            Type::Map(item) => {
                let entry =
                    |(name, value): (&String, &Value)| format!("{}: {}", map_key(name, of), short(value, *item));
                format!("{{{}}}", entries.iter().map(entry).collect::<Vec<_>>().join(", "))
            }
            _ => {
                let fields = of.structure().map(fields).unwrap_or_default();
                let said = fields.iter().filter_map(|field| Some((field, entries.get(field.json)?)));
                let said = said.filter(|(_, value)| !matches!(value, Value::Null));
                let shown: Vec<String> =
                    said.map(|(field, value)| format!("{}: {}", field.go, short(value, field.of))).collect();
                let shown: Vec<String> = shown.into_iter().filter(|text| !text.ends_with(": {}")).collect();
                format!("{{{}}}", shown.join(", "))
            }
        },
        (Type::Quantity, Value::String(text)) => {
            let format = text.parse::<kit_api::Quantity>().map(|quantity| quantity.format().to_string());
            format!("{{i: {{...}}, s: {}, Format: {}}}", quoted(text), quoted(format.unwrap_or_default()))
        }
        (_, Value::String(text)) => quoted(text),
        (_, other) => other.to_string(),
    }
}

/// A value that changed, without its type.
fn full(value: &Value, of: Type) -> String {
    match of {
        Type::Quantity => quantity(value),
        _ => short(value, of),
    }
}

/// A value that changed, with its type where it has one worth saying.
fn full_typed(value: &Value, of: Type) -> String {
    let text = full(value, of);
    match (of, value) {
        (_, Value::Null) => text,
        (Type::Pointer(of), _) if of.structure().is_some() => format!("&{}{}", of.go(), &text[1..]),
        _ if matches!(of.plain(), Type::List(_) | Type::Struct(_)) => format!("{}{text}", of.go()),
        _ => text,
    }
}
/// A quantity with what it is made of.
fn quantity(value: &Value) -> String {
    let text = value.as_str().unwrap_or("0");
    let parsed: kit_api::Quantity = text.parse().unwrap_or_default();
    let (amount, scale) = match parsed.milli_value() % 1000 {
        0 => (parsed.value(), String::new()),
        _ => (parsed.milli_value(), ", scale: -3".to_string()),
    };
    format!(
        "{{i: resource.int64Amount{{value: {amount}{scale}}}, s: {}, Format: \"{}\"}}",
        quoted(text),
        parsed.format()
    )
}
