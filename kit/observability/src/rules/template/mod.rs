//! Templates in labels and annotations: Go's `text/template` as far as alerts use it, with Prometheus' functions
//! (`template/template.go`).

mod call;
mod exec;
mod format;
mod humanize;
mod node;
mod parse;

use crate::labels::Labels;
use crate::number;
use crate::promql::Engine;

/// What a template is about.
#[derive(Clone, Copy, Debug)]
pub struct Data<'a> {
    /// `$labels`: those of the sample.
    pub labels: &'a Labels,
    /// `$value`.
    pub value: f64,
}

/// The names that stand for parts of the data; errors count columns with them.
const DEFINITIONS: &str = "{{$labels := .Labels}}{{$externalLabels := .ExternalLabels}}\
                           {{$externalURL := .ExternalURL}}{{$value := .Value}}";

/// The text of a template. What is wrong with it is said in its place, as Prometheus does.
pub fn expand(text: &str, alert: &str, data: &Data<'_>, engine: &Engine<'_>, now: i64) -> String {
    let name = format!("__alert_{alert}");
    let text = format!("{DEFINITIONS}{text}");
    let dot = Value::Struct(vec![
        ("Labels", Value::Map(data.labels.clone())),
        ("ExternalLabels", Value::Map(Labels::new())),
        ("ExternalURL", Value::Text(String::new())),
        ("Value", Value::Float(data.value)),
    ]);
    let result = match parse::parse(&text) {
        Err(error) => Err(format!("error parsing template {name}: template: {}", error.show(&text, &name, false))),
        Ok(nodes) => exec::run(&nodes, dot, &text, engine, now)
            .map_err(|error| format!("error executing template {name}: template: {}", error.show(&text, &name, true))),
    };
    result.unwrap_or_else(|error| format!("<error expanding template: {error}>"))
}

/// What is wrong, where, and with which part of the template.
#[derive(Debug)]
struct Error {
    pos: usize,
    part: String,
    message: String,
}

impl Error {
    /// As Go shows it: the column is counted in bytes, from 0.
    fn show(&self, text: &str, name: &str, executing: bool) -> String {
        let before = text.get(..self.pos).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        if !executing {
            return format!("{name}:{line}: {}", self.message);
        }
        let column = before.len() - before.rfind('\n').map_or(0, |at| at + 1);
        format!("{name}:{line}:{column}: executing {name:?} at <{}>: {}", shortened(&self.part), self.message)
    }
}

fn shortened(part: &str) -> String {
    if part.chars().count() <= 20 { part.into() } else { part.chars().take(20).chain("...".chars()).collect() }
}

/// What an expression of a template yields.
#[derive(Clone, Debug, PartialEq)]
enum Value {
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    Map(Labels),
    List(Vec<Value>),
    Struct(Vec<(&'static str, Value)>),
}

impl Value {
    /// Whether `if` takes it for true.
    fn truth(&self) -> bool {
        match self {
            Value::Nil => false,
            Value::Bool(value) => *value,
            Value::Int(value) => *value != 0,
            Value::Float(value) => *value != 0.0,
            Value::Text(text) => !text.is_empty(),
            Value::Map(map) => !map.is_empty(),
            Value::List(list) => !list.is_empty(),
            Value::Struct(_) => true,
        }
    }

    /// As Go prints it.
    fn show(&self) -> String {
        let joined = |parts: Vec<String>| parts.join(" ");
        match self {
            Value::Nil => "<nil>".into(),
            Value::Bool(value) => value.to_string(),
            Value::Int(value) => value.to_string(),
            Value::Float(value) => number::general(*value, None),
            Value::Text(text) => text.clone(),
            Value::Map(map) => format!("map[{}]", joined(map.iter().map(|(k, v)| format!("{k}:{v}")).collect())),
            Value::List(list) => format!("[{}]", joined(list.iter().map(Value::show).collect())),
            Value::Struct(fields) => format!("{{{}}}", joined(fields.iter().map(|(_, v)| v.show()).collect())),
        }
    }

    /// How Go names its type.
    fn type_name(&self) -> &'static str {
        match self {
            Value::Nil => "nil",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Float(_) => "float64",
            Value::Text(_) => "string",
            Value::Map(_) => "map[string]string",
            Value::List(_) => "template.queryResult",
            // What a template is about, else a sample of a query.
            Value::Struct(fields) if fields.len() > 2 => {
                "struct { Labels map[string]string; ExternalLabels map[string]string; ExternalURL string; Value float64 }"
            }
            Value::Struct(_) => "*template.sample",
        }
    }
}
