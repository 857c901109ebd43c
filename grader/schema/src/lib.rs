//! What goes over the wire, and the result document, as JSON Schema: `schema [EXERCISE]`.
//!
//! Schemas are read from the source of the types, so that these carry nothing for it and learners build nothing for it,
//! and the comments become descriptions. Tests of the grader hold every question, every answer and every result against
//! them. What the source says in a way that is not understood here is an error, never a looser schema.

mod source;
mod types;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};
use source::{Sources, described};
use std::path::Path;
use syn::{FnArg, Pat, ReturnType, TraitItem};
use types::Types;

const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// The schema of the document that `run --format json` writes; `root` is the folder of the kit.
///
/// # Errors
///
/// If the source is not there, or says something that no rule here covers.
pub fn result(root: &Path) -> Result<Value> {
    let sources = Sources::load(root, &["grader/src"])?;
    let file = root.join("grader/src/verdict/report.rs");
    let mut types = Types::new(&sources);
    let schema = types.schema(&syn::parse_str("Report")?, &file)?;
    types.definitions.shift_remove(types::ID);
    let mut document = types.definitions.shift_remove("Report").with_context(|| format!("{schema} is no reference"))?;
    document["$schema"] = DIALECT.into();
    document["title"] = "Result of a run".into();
    document["$defs"] = Value::Object(types.definitions);
    Ok(document)
}

/// The schema of every line that a worker of `exercise` reads or writes; `root` is the folder of the kit.
///
/// # Errors
///
/// If the source is not there, or says something that no rule here covers.
pub fn wire(root: &Path, exercise: &str) -> Result<Value> {
    let sources = Sources::load(root, &["kit/contract/src", "kit/api/src"])?;
    let file = root.join("kit/contract/src").join(exercise).with_extension("rs");
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
