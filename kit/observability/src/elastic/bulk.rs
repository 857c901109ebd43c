//! `_bulk`: many writes in one request, each with an answer of its own.
//!
//! Source: `action/bulk/BulkRequestParser.java` of Elasticsearch.

use super::failure::Failure;
use crate::logs::Document;
use serde_json::{Map, Value};

/// What may stand beside a verb. Versions, routes and pipelines change nothing here.
const KNOWN: [&str; 12] = [
    "_index",
    "_id",
    "op_type",
    "routing",
    "version",
    "version_type",
    "if_seq_no",
    "if_primary_term",
    "retry_on_conflict",
    "pipeline",
    "require_alias",
    "require_data_stream",
];

/// One write.
#[derive(Debug, Clone, PartialEq)]
pub struct Action {
    /// What is done.
    pub verb: Verb,
    /// Where.
    pub index: String,
    /// To which document; without it the index finds a name.
    pub id: Option<String>,
    /// What is written, or what is wrong with it.
    pub source: Result<Document, Failure>,
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// A document is written, whether there is one or not.
    Index,
    /// A document is written that must not be there yet.
    Create,
    /// A document is removed.
    Delete,
}

impl Verb {
    /// As requests and answers have it.
    pub fn name(self) -> &'static str {
        match self {
            Verb::Index => "index",
            Verb::Create => "create",
            Verb::Delete => "delete",
        }
    }
}

/// Reads a request: a line that says what to do, and one with the document.
///
/// # Errors
///
/// If nobody can tell where its parts begin. A document that is no JSON fails alone.
pub fn read(body: &[u8], index: Option<&str>) -> Result<Vec<Action>, Failure> {
    if body.is_empty() {
        return Err(Failure::new(400, "parse_exception", "request body is required"));
    }
    let Some(body) = body.strip_suffix(b"\n") else {
        return Err(Failure::argument("The bulk request must be terminated by a newline [\\n]"));
    };
    let (mut actions, mut lines) = (Vec::new(), body.split(|byte| *byte == b'\n').enumerate());
    let mut lost = Vec::new();
    while let Some((number, line)) = lines.next() {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let place = format!("Malformed action/metadata line [{}]", number + 1);
        let object: Map<String, Value> = serde_json::from_slice(line)
            .map_err(|_| Failure::argument(format!("{place}, expected START_OBJECT but found something else")))?;
        let first = object.into_iter().next();
        let (name, about) =
            first.ok_or_else(|| Failure::argument(format!("{place}, expected FIELD_NAME but found [END_OBJECT]")))?;
        let verb = [Verb::Index, Verb::Create, Verb::Delete].into_iter().find(|verb| verb.name() == name);
        let verb = verb.ok_or_else(|| {
            Failure::argument(format!("{place}, expected field [create], [delete] or [index] but found [{name}]"))
        })?;
        // `_type` is none of them any more: shippers for older versions have an option that leaves it out.
        let strange = about.as_object().and_then(|about| about.keys().find(|key| !KNOWN.contains(&key.as_str())));
        if let Some(key) = strange {
            let why = format!("Action/metadata line [{}] contains an unknown parameter [{key}]", number + 1);
            return Err(Failure::argument(why));
        }
        let text = |key: &str| match about.get(key) {
            Some(Value::String(text)) => Some(text.clone()),
            Some(Value::Number(number)) => Some(number.to_string()),
            _ => None,
        };
        let verb = if text("op_type").as_deref() == Some("create") { Verb::Create } else { verb };
        let source = match verb {
            Verb::Delete => Ok(Map::new()),
            Verb::Index | Verb::Create => {
                let line = lines.next().map(|(_, line)| line).unwrap_or_default();
                document(line)
            }
        };
        match text("_index").or_else(|| index.map(str::to_string)) {
            Some(index) => actions.push(Action { verb, index, id: text("_id").filter(|id| !id.is_empty()), source }),
            None => lost.push(format!("{}: index is missing;", lost.len() + 1)),
        }
    }
    if !lost.is_empty() {
        let why = format!("Validation Failed: {}", lost.join(""));
        return Err(Failure::new(400, "action_request_validation_exception", why));
    }
    Ok(actions)
}

/// A document.
///
/// # Errors
///
/// If it is no object of JSON.
pub fn document(text: &[u8]) -> Result<Document, Failure> {
    serde_json::from_slice(text).map_err(|why| {
        let place = format!("[{}:{}]", why.line(), why.column());
        Failure::new(400, "document_parsing_exception", format!("{place} failed to parse: {why}"))
    })
}
