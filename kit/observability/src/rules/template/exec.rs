//! Nodes to text (Go's `text/template/exec.go`).

use super::node::{Command, Leave, Node, Operand, Pipeline};
use super::{Error, Value, call};
use crate::promql::Engine;

/// The most text that a template may yield.
const LONGEST: usize = 1 << 20;

/// The text of a template about `dot`.
pub(super) fn run(nodes: &[Node], dot: Value, text: &str, engine: &Engine<'_>, now: i64) -> Result<String, Error> {
    let mut run = Run { text, engine, now, variables: vec![(String::new(), dot.clone())], output: String::new() };
    run.nodes(nodes, &dot)?;
    Ok(run.output)
}

struct Run<'a> {
    text: &'a str,
    engine: &'a Engine<'a>,
    now: i64,
    /// The newest last; the name of `$` is empty.
    variables: Vec<(String, Value)>,
    output: String,
}

impl Run<'_> {
    fn nodes(&mut self, nodes: &[Node], dot: &Value) -> Result<Option<Leave>, Error> {
        let known = self.variables.len();
        let mut leave = None;
        for node in nodes {
            leave = self.node(node, dot)?;
            if leave.is_some() {
                break;
            }
            if self.output.len() > LONGEST {
                return Err(Error { pos: 0, part: String::new(), message: "the text grows too long".into() });
            }
        }
        self.variables.truncate(known);
        Ok(leave)
    }

    fn node(&mut self, node: &Node, dot: &Value) -> Result<Option<Leave>, Error> {
        match node {
            Node::Text(text) => self.output.push_str(text),
            Node::Output(pipeline) => {
                let shown = match self.pipeline(pipeline, dot)? {
                    Value::Nil => "<no value>".into(),
                    value => value.show(),
                };
                self.output.push_str(&shown);
            }
            Node::Assign(name, declares, pipeline) => {
                let value = self.pipeline(pipeline, dot)?;
                match self.variables.iter_mut().rev().find(|(known, _)| known == name).filter(|_| !declares) {
                    Some(known) => known.1 = value,
                    None => self.variables.push((name.clone(), value)),
                }
            }
            Node::If { with, names, pipeline, then, otherwise } => {
                let value = self.pipeline(pipeline, dot)?;
                let known = self.variables.len();
                self.variables.extend(names.iter().map(|name| (name.clone(), value.clone())));
                let branch = if value.truth() { then } else { otherwise };
                let inner = if *with && value.truth() { &value } else { dot };
                let leave = self.nodes(branch, inner)?;
                self.variables.truncate(known);
                return Ok(leave);
            }
            Node::Leave(leave) => return Ok(Some(*leave)),
            Node::Range { names, pipeline, body, otherwise } => {
                let elements: Vec<(Value, Value)> = match self.pipeline(pipeline, dot)? {
                    Value::List(list) => (0..).map(Value::Int).zip(list).collect(),
                    Value::Map(map) => map.into_iter().map(|(k, v)| (Value::Text(k), Value::Text(v))).collect(),
                    Value::Nil => Vec::new(),
                    other => return Err(self.at(&pipeline.0[0], format!("range can't iterate over {}", other.show()))),
                };
                if elements.is_empty() {
                    return self.nodes(otherwise, dot);
                }
                for (index, element) in elements {
                    let known = self.variables.len();
                    match &names[..] {
                        [one] => self.variables.push((one.clone(), element.clone())),
                        [first, second, ..] => {
                            self.variables.push((first.clone(), index));
                            self.variables.push((second.clone(), element.clone()));
                        }
                        [] => {}
                    }
                    let leave = self.nodes(body, &element)?;
                    self.variables.truncate(known);
                    if leave == Some(Leave::Break) {
                        break;
                    }
                }
            }
        }
        Ok(None)
    }

    fn at(&self, command: &Command, message: String) -> Error {
        Error { pos: command.pos, part: self.text[command.pos..command.end].into(), message }
    }

    fn pipeline(&self, pipeline: &Pipeline, dot: &Value) -> Result<Value, Error> {
        let mut last = None;
        for command in &pipeline.0 {
            last = Some(self.command(command, dot, last)?);
        }
        Ok(last.unwrap_or(Value::Nil))
    }

    fn command(&self, command: &Command, dot: &Value, piped: Option<Value>) -> Result<Value, Error> {
        let Operand::Function(name) = &command.operands[0] else {
            if command.operands.len() > 1 || piped.is_some() {
                return Err(self.at(command, "can't give argument to non-function".into()));
            }
            return self.operand(&command.operands[0], dot);
        };
        // `and` and `or` stop where the answer is known.
        let mut arguments = Vec::new();
        for operand in &command.operands[1..] {
            arguments.push(self.operand(operand, dot)?);
            if call::is_decided(name, arguments.last()) {
                return Ok(arguments.pop().unwrap_or(Value::Nil));
            }
        }
        arguments.extend(piped);
        let result = call::call(name, &arguments, self.engine, self.now);
        result.map_err(|error| match error {
            call::Failure::Arguments(message) => self.at(command, message),
            call::Failure::Call(message) => self.at(command, format!("error calling {name}: {message}")),
        })
    }

    fn operand(&self, operand: &Operand, dot: &Value) -> Result<Value, Error> {
        match operand {
            Operand::Function(name) => call::call(name, &[], self.engine, self.now).map_err(|error| {
                let (call::Failure::Arguments(message) | call::Failure::Call(message)) = error;
                Error { pos: 0, part: name.clone(), message }
            }),
            Operand::Dot(fields, pos) => self.fields(dot.clone(), fields, *pos, ""),
            Operand::Variable(name, fields, pos) => {
                let known = self.variables.iter().rev().find(|(known, _)| known == name);
                let undefined =
                    || Error { pos: *pos, part: format!("${name}"), message: format!("undefined variable: ${name}") };
                self.fields(known.ok_or_else(undefined)?.1.clone(), fields, *pos, &format!("${name}"))
            }
            Operand::Paren(pipeline, fields, pos) => self.fields(self.pipeline(pipeline, dot)?, fields, *pos, ""),
            Operand::Int(value) => Ok(Value::Int(*value)),
            Operand::Float(value) => Ok(Value::Float(*value)),
            Operand::Text(text) => Ok(Value::Text(text.clone())),
            Operand::Bool(value) => Ok(Value::Bool(*value)),
            Operand::Nil => Ok(Value::Nil),
        }
    }

    /// A label that is not there is empty.
    fn fields(&self, mut value: Value, fields: &[String], pos: usize, of: &str) -> Result<Value, Error> {
        for field in fields {
            let missing = format!("can't evaluate field {field} in type {}", value.type_name());
            let found = match value {
                Value::Map(mut map) => Some(Value::Text(map.remove(field).unwrap_or_default())),
                Value::Struct(all) => all.into_iter().find(|(name, _)| name == field).map(|(_, value)| value),
                _ => None,
            };
            value = found.ok_or_else(|| Error { pos, part: format!("{of}.{}", fields.join(".")), message: missing })?;
        }
        Ok(value)
    }
}
