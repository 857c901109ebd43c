//! `schema`: what goes over the wire, as JSON Schema.
//!
//! The schema of an exercise is read from the source of its contract, so that types in the kit carry nothing for it and
//! learners build nothing for it, and the comments become descriptions. A test plays all scenarios and holds every
//! question and every answer against it. What the source says in a way that is not understood here is an error, never
//! a looser schema.

mod source;
mod types;

use crate::verdict::report::Report;
use crate::workspace::Workspace;
use anstream::println;
use anyhow::{Context, Result};
use serde_json::{Map, Value, json};
use source::{Sources, described};
use std::process::ExitCode;
use syn::{FnArg, Pat, ReturnType, TraitItem};
use types::Types;

const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// Prints the schema of an exercise's wire, or of the result document.
pub fn schema(workspace: &Workspace, exercise: Option<&str>) -> Result<ExitCode> {
    let schema = match exercise {
        Some(name) => wire(workspace, &workspace.one(name)?.name)?,
        None => schemars::schema_for!(Report).to_value(),
    };
    println!("{}", serde_json::to_string_pretty(&schema)?);
    Ok(ExitCode::SUCCESS)
}

/// The schema of every line that a worker of `exercise` reads or writes.
pub fn wire(workspace: &Workspace, exercise: &str) -> Result<Value> {
    let sources = Sources::load(workspace)?;
    let file = workspace.contract_file(exercise);
    let contract = sources.contract(&file)?;
    let mut types = Types::new(&sources);
    let mut calls = Vec::new();
    let mut answers = Map::new();
    for item in &contract.items {
        let TraitItem::Fn(method) = item else { continue };
        let (name, signature) = (method.sig.ident.to_string(), &method.sig);
        let mut arguments = Map::new();
        for argument in &signature.inputs {
            let FnArg::Typed(argument) = argument else { continue };
            let Pat::Ident(pattern) = argument.pat.as_ref() else { continue };
            arguments.insert(pattern.ident.to_string(), types.schema(&argument.ty, &file)?);
        }
        if let (ReturnType::Type(_, answer), false) = (&signature.output, name == "new") {
            answers.insert(name.clone(), types.schema(answer, &file)?);
        }
        calls.push((name, described(&method.attrs), arguments));
    }
    if !calls.iter().any(|(name, ..)| name == "new") {
        calls.insert(0, ("new".into(), Some("Makes a new module.".into()), Map::new()));
    }
    answers.insert("new".into(), json!({"type": "null"}));
    let questions: Vec<Value> = calls.iter().map(|(name, says, arguments)| question(name, says, arguments)).collect();
    let mut definitions = types.definitions;
    for (call, answer) in answers {
        definitions.insert(format!("{call}.answer"), answer.clone());
    }
    definitions.insert("question".into(), json!({"oneOf": questions}));
    definitions.insert("answer".into(), answer(&calls.iter().map(|(name, ..)| name.as_str()).collect::<Vec<_>>()));
    Ok(json!({
        "$schema": DIALECT,
        "title": exercise,
        "description": described(&contract.attrs).context("a contract says what it is for")?,
        "oneOf": [{"$ref": "#/$defs/question"}, {"$ref": "#/$defs/answer"}],
        "$defs": definitions,
    }))
}

fn question(call: &str, says: &Option<String>, arguments: &Map<String, Value>) -> Value {
    let required: Vec<&String> = arguments.keys().collect();
    json!({
        "title": call,
        "description": says.clone().unwrap_or_default(),
        "type": "object",
        "properties": {
            "id": {"$ref": "#/$defs/id"},
            "call": {"const": call},
            "args": {"type": "object", "properties": arguments, "required": required, "additionalProperties": false},
        },
        "required": ["id", "call", "args"],
        "additionalProperties": false,
    })
}

/// Which call an answer belongs to is not in it: it is the one with the same `id`.
fn answer(calls: &[&str]) -> Value {
    let any: Vec<Value> = calls.iter().map(|call| json!({"$ref": format!("#/$defs/{call}.answer")})).collect();
    let failure = json!({
        "type": "object",
        "properties": {
            "kind": {"enum": ["not_started", "panic", "protocol"]},
            "message": {"type": "string"},
            "at": {"type": ["string", "null"], "description": "`file:line`"},
        },
        "required": ["kind", "message"],
    });
    let line = |field: &str, schema: Value| {
        let mut properties = Map::from_iter([("id".to_string(), json!({"$ref": "#/$defs/id"}))]);
        properties.insert(field.into(), schema);
        json!({"type": "object", "properties": properties, "required": ["id", field], "additionalProperties": false})
    };
    json!({"oneOf": [line("answer", json!({"anyOf": any})), line("error", failure)]})
}

#[cfg(test)]
mod tests;
