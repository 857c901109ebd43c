//! The wire between the grader and a worker: one JSON object a line, questions in, answers out.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;

/// The call that makes a new instance of the module; everything after it is asked of that instance.
pub const NEW: &str = "new";

/// `{"id": 3, "call": "filter", "args": {…}}`
#[derive(Debug, Serialize, Deserialize)]
pub struct Question<'a> {
    /// Counts up; the answer must carry the same number.
    pub id: u64,
    /// The method that is called.
    #[serde(borrow)]
    pub call: Cow<'a, str>,
    /// Its arguments by name: an object.
    #[serde(borrow)]
    pub args: &'a RawValue,
}

/// `{"id": 3, "answer": …}` or `{"id": 3, "error": {…}}`; exactly one of the two.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// The question's number.
    pub id: u64,
    /// What the module answered; `null` is an answer.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub answer: Option<Box<RawValue>>,
    /// Why there is no answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
}

/// Without this, serde takes `"answer": null` for a missing answer.
fn present<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::<RawValue>::deserialize(d).map(Some)
}

/// Why a worker could not answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Failure {
    /// What happened.
    pub kind: FailureKind,
    /// One sentence; for a panic its message.
    pub message: String,
    /// `file:line` where it happened, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
}

/// The failures that a worker reports itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The module ran into `todo!()`.
    NotStarted,
    /// The module panicked.
    Panic,
    /// The question could not be understood.
    Protocol,
}
