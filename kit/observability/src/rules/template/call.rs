//! The functions of templates: Go's own, and those of `template/template.go`.

use super::format::sprintf;
use super::{Value, humanize};
use crate::labels::{Labels, value};
use crate::number;
use crate::promql::{Engine, parse};
use regex::Regex;
use std::cmp::Ordering;

/// Why a call has no value.
pub(super) enum Failure {
    /// Its arguments don't fit.
    Arguments(String),
    /// It failed.
    Call(String),
}

/// Each with the number of its arguments; at least so many, where the third field says so.
const FUNCTIONS: [(&str, usize, bool); 39] = [
    ("and", 1, true),
    ("or", 1, true),
    ("not", 1, false),
    ("eq", 1, true),
    ("ne", 2, false),
    ("lt", 2, false),
    ("le", 2, false),
    ("gt", 2, false),
    ("ge", 2, false),
    ("len", 1, false),
    ("index", 1, true),
    ("print", 0, true),
    ("println", 0, true),
    ("printf", 1, true),
    ("query", 1, false),
    ("first", 1, false),
    ("value", 1, false),
    ("label", 2, false),
    ("strvalue", 1, false),
    ("sortByLabel", 2, false),
    ("args", 0, true),
    ("reReplaceAll", 3, false),
    ("match", 2, false),
    ("title", 1, false),
    ("toUpper", 1, false),
    ("toLower", 1, false),
    ("humanize", 1, false),
    ("humanize1024", 1, false),
    ("humanizeDuration", 1, false),
    ("humanizePercentage", 1, false),
    ("humanizeTimestamp", 1, false),
    ("stripPort", 1, false),
    ("stripDomain", 1, false),
    ("safeHtml", 1, false),
    ("externalURL", 0, false),
    ("pathPrefix", 0, false),
    ("graphLink", 1, false),
    ("tableLink", 1, false),
    ("parseDuration", 1, false),
];

pub(super) fn is_function(name: &str) -> bool {
    FUNCTIONS.iter().any(|(known, ..)| *known == name)
}

/// Whether the last argument of `and` or `or` already is the answer.
pub(super) fn is_decided(name: &str, last: Option<&Value>) -> bool {
    let truth = last.is_some_and(Value::truth);
    name == "and" && !truth || name == "or" && truth
}

pub(super) fn call(name: &str, arguments: &[Value], engine: &Engine<'_>, now: i64) -> Result<Value, Failure> {
    let text = |text: String| Ok(Value::Text(text));
    match (name, arguments) {
        ("and" | "or", [.., last]) => Ok(last.clone()),
        ("not", [one]) => Ok(Value::Bool(!one.truth())),
        ("eq", [_]) => Err(Failure::Call("missing argument for comparison".into())),
        ("eq", [first, others @ ..]) => {
            for other in others {
                if equal(first, other)? {
                    return Ok(Value::Bool(true));
                }
            }
            Ok(Value::Bool(false))
        }
        ("ne", [a, b]) => Ok(Value::Bool(!equal(a, b)?)),
        ("lt", [a, b]) => Ok(Value::Bool(order(a, b)? == Some(Ordering::Less))),
        ("le", [a, b]) => Ok(Value::Bool(order(a, b)?.is_some_and(Ordering::is_le))),
        ("gt", [a, b]) => Ok(Value::Bool(!order(a, b)?.is_some_and(Ordering::is_le))),
        ("ge", [a, b]) => Ok(Value::Bool(order(a, b)? != Some(Ordering::Less))),
        ("len", [one]) => length(one),
        ("index", [Value::Map(map), Value::Text(key)]) => text(value(map, key).into()),
        ("index", [Value::List(list), Value::Int(at)]) => usize::try_from(*at)
            .ok()
            .and_then(|at| list.get(at))
            .cloned()
            .ok_or_else(|| Failure::Call(format!("index out of range: {at}"))),
        ("print", all) => text(printed(all)),
        ("println", all) => text(all.iter().map(Value::show).collect::<Vec<_>>().join(" ") + "\n"),
        ("printf", [Value::Text(format), rest @ ..]) => text(sprintf(format, rest)),
        ("query", [Value::Text(expr)]) => query(expr, engine, now),
        ("first", [Value::List(list)]) => {
            list.first().cloned().ok_or_else(|| Failure::Call("first() called on vector with no elements".into()))
        }
        ("value", [Value::Struct(fields)]) => Ok(field(fields, "Value")),
        ("label", [Value::Text(label), Value::Struct(fields)]) => match field(fields, "Labels") {
            Value::Map(labels) => text(value(&labels, label).into()),
            _ => text(String::new()),
        },
        ("strvalue", [Value::Struct(_)]) => text(String::new()),
        ("sortByLabel", [Value::Text(label), Value::List(list)]) => {
            let mut list = list.clone();
            list.sort_by_key(|sample| match sample {
                Value::Struct(fields) => match field(fields, "Labels") {
                    Value::Map(labels) => value(&labels, label).to_string(),
                    _ => String::new(),
                },
                _ => String::new(),
            });
            Ok(Value::List(list))
        }
        ("args", all) => {
            let numbered = all.iter().enumerate().map(|(index, value)| (format!("arg{index}"), value.show()));
            Ok(Value::Map(numbered.collect()))
        }
        ("reReplaceAll", [Value::Text(pattern), Value::Text(by), Value::Text(subject)]) => {
            text(pattern_of(pattern)?.replace_all(subject, &by[..]).into_owned())
        }
        ("match", [Value::Text(pattern), Value::Text(subject)]) => {
            Ok(Value::Bool(pattern_of(pattern)?.is_match(subject)))
        }
        ("title", [Value::Text(subject)]) => text(title(subject)),
        ("toUpper", [Value::Text(subject)]) => text(subject.to_uppercase()),
        ("toLower", [Value::Text(subject)]) => text(subject.to_lowercase()),
        ("safeHtml", [Value::Text(subject)]) => text(subject.clone()),
        ("stripPort", [Value::Text(subject)]) => text(host_and_port(subject).map_or(subject.clone(), |(host, _)| host)),
        ("stripDomain", [Value::Text(subject)]) => text(without_domain(subject)),
        ("humanize", [one]) => text(humanize::humanize(float(one)?)),
        ("humanize1024", [one]) => text(humanize::humanize_1024(float(one)?)),
        ("humanizeDuration", [one]) => text(humanize::humanize_duration(float(one)?)),
        ("humanizePercentage", [one]) => text(humanize::humanize_percentage(float(one)?)),
        ("humanizeTimestamp", [one]) => text(humanize::humanize_timestamp(float(one)?)),
        ("externalURL" | "pathPrefix", []) => text(String::new()),
        ("graphLink", [Value::Text(expr)]) => text(link(expr, 0)),
        ("tableLink", [Value::Text(expr)]) => text(link(expr, 1)),
        ("parseDuration", [Value::Text(duration)]) => match crate::duration::parse(duration) {
            Ok(milliseconds) => Ok(Value::Float(milliseconds as f64 / 1000.0)),
            Err(error) => Err(Failure::Call(error)),
        },
        (name, all) => Err(Failure::Arguments(wrong(name, all))),
    }
}

fn wrong(name: &str, arguments: &[Value]) -> String {
    let got = arguments.len();
    let (least, more) =
        FUNCTIONS.iter().find(|(known, ..)| *known == name).map_or((0, true), |(_, n, more)| (*n, *more));
    if got < least || got > least && !more {
        let at_least = if more { "at least " } else { "" };
        return format!("wrong number of args for {name}: want {at_least}{least} got {got}");
    }
    let types: Vec<_> = arguments.iter().map(Value::type_name).collect();
    format!("wrong type of args for {name}: got {}", types.join(", "))
}

fn field(fields: &[(&'static str, Value)], name: &str) -> Value {
    fields.iter().find(|(known, _)| *known == name).map_or(Value::Nil, |(_, value)| value.clone())
}

/// Types that differ can't be compared: `gt $value 5` fails, `5.0` is right.
fn order(a: &Value, b: &Value) -> Result<Option<Ordering>, Failure> {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => Ok(Some(a.cmp(b))),
        (Value::Float(a), Value::Float(b)) => Ok(a.partial_cmp(b)),
        (Value::Text(a), Value::Text(b)) => Ok(Some(a.cmp(b))),
        (Value::Int(_) | Value::Float(_) | Value::Text(_), Value::Int(_) | Value::Float(_) | Value::Text(_)) => {
            Err(Failure::Call("incompatible types for comparison".into()))
        }
        _ => Err(Failure::Call("invalid type for comparison".into())),
    }
}

fn equal(a: &Value, b: &Value) -> Result<bool, Failure> {
    match (a, b) {
        (Value::Bool(a), Value::Bool(b)) => Ok(a == b),
        (Value::Nil, Value::Nil) => Ok(true),
        (Value::Bool(_), Value::Int(_) | Value::Float(_) | Value::Text(_)) => {
            order(&Value::Int(0), &Value::Float(0.0)).map(|_| false)
        }
        _ => Ok(order(a, b)? == Some(Ordering::Equal)),
    }
}

fn length(of: &Value) -> Result<Value, Failure> {
    let length = match of {
        Value::Text(text) => text.len(),
        Value::Map(map) => map.len(),
        Value::List(list) => list.len(),
        other => return Err(Failure::Call(format!("len of type {}", other.type_name()))),
    };
    Ok(Value::Int(length as i64))
}

/// Blanks stand between operands of which neither is a text.
fn printed(all: &[Value]) -> String {
    let mut output = String::new();
    for (index, value) in all.iter().enumerate() {
        let texts = matches!(value, Value::Text(_)) || index > 0 && matches!(all[index - 1], Value::Text(_));
        if index > 0 && !texts {
            output.push(' ');
        }
        output.push_str(&value.show());
    }
    output
}

fn query(text: &str, engine: &Engine<'_>, now: i64) -> Result<Value, Failure> {
    let expr = parse(text).map_err(|error| Failure::Call(error.to_string()))?;
    let samples = engine.query(&expr, now).map_err(|error| Failure::Call(error.to_string()))?.into_vector();
    let sample = |labels: Labels, value: f64| {
        Value::Struct(vec![("Labels", Value::Map(labels)), ("Value", Value::Float(value))])
    };
    Ok(Value::List(samples.into_iter().map(|s| sample(s.labels, s.value)).collect()))
}

fn pattern_of(pattern: &str) -> Result<Regex, Failure> {
    Regex::new(pattern).map_err(|error| Failure::Call(error.to_string()))
}

fn float(value: &Value) -> Result<f64, Failure> {
    match value {
        Value::Float(value) => Ok(*value),
        Value::Int(value) => Ok(*value as f64),
        Value::Text(text) => number::parse(text)
            .ok_or_else(|| Failure::Call(format!("strconv.ParseFloat: parsing {text:?}: invalid syntax"))),
        other => Err(Failure::Call(format!("can't convert {} to float", other.type_name()))),
    }
}

fn title(text: &str) -> String {
    let mut start = true;
    let mut output = String::new();
    for c in text.chars() {
        if start {
            output.extend(c.to_uppercase());
        } else {
            output.push(c);
        }
        start = !(c.is_alphanumeric() || c == '_' || c == '\'');
    }
    output
}

/// `host:port`, or an IPv6 address in brackets.
fn host_and_port(text: &str) -> Option<(String, String)> {
    let (host, port) = text.rsplit_once(':')?;
    let host = match host.strip_prefix('[') {
        Some(inner) => inner.strip_suffix(']')?,
        None => Some(host).filter(|host| !host.contains(':'))?,
    };
    Some((host.into(), port.into()))
}

fn without_domain(text: &str) -> String {
    let (host, port) = host_and_port(text).unwrap_or_else(|| (text.into(), String::new()));
    if host.parse::<std::net::IpAddr>().is_ok() {
        return text.into();
    }
    let host = host.split('.').next().unwrap_or_default();
    if port.is_empty() { host.into() } else { format!("{host}:{port}") }
}

fn link(expr: &str, tab: u8) -> String {
    let escaped = expr.bytes().map(|b| match b {
        b' ' => "+".into(),
        b'-' | b'_' | b'.' | b'~' => char::from(b).to_string(),
        b if b.is_ascii_alphanumeric() => char::from(b).to_string(),
        b => format!("%{b:02X}"),
    });
    format!("/graph?g0.expr={}&g0.tab={tab}", escaped.collect::<String>())
}
