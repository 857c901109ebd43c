//! Spans, as OpenTelemetry has them (`opentelemetry-proto/opentelemetry/proto/trace/v1/trace.proto`): one piece of work of
//! one process, and what it was done for.
//!
//! Identifiers are text in lower-case hexadecimal digits, as headers have them; times are microseconds of the clock of the
//! host that the process ran on. All that is optional may be left out in JSON.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What else is known, by name.
pub type Attributes = BTreeMap<String, String>;

/// One piece of work.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Span {
    /// The same for all spans of a trace; 32 digits outside of examples.
    pub trace_id: String,
    /// The span itself; 16 digits outside of examples.
    pub span_id: String,
    /// For which span the work was done; none if it was the first, or if nobody said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_span_id: Option<String>,
    /// What was done: few different names, without identifiers in them.
    pub name: String,
    /// Which service did it (`service.name` of the resource).
    pub service: String,
    /// Whose clock the times are from (`host.name` of the resource).
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub host: String,
    /// Which part it had.
    #[serde(default, skip_serializing_if = "Kind::is_internal")]
    pub kind: Kind,
    /// When it began, in microseconds.
    pub start_us: i64,
    /// When it ended; never before it began.
    pub end_us: i64,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Status::is_unset")]
    pub status: Status,
    /// What else is known of it, of its process too.
    #[serde(default, skip_serializing_if = "Attributes::is_empty")]
    pub attributes: Attributes,
    /// What happened meanwhile.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<Event>,
    /// Spans that it has to do with, but isn't part of: those whose messages came in one batch, for example.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<Link>,
}

/// Which part a span had when two processes worked together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Kind {
    /// None: work inside of a process.
    #[default]
    Internal,
    /// It answered a call.
    Server,
    /// It made a call, and waited for the answer.
    Client,
    /// It put a message into a queue.
    Producer,
    /// It took a message from a queue.
    Consumer,
}

impl Kind {
    /// Whether nobody else was part of it.
    pub fn is_internal(&self) -> bool {
        *self == Kind::Internal
    }
}

/// How a span ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Status {
    /// Nobody said, which is well.
    #[default]
    Unset,
    /// Well, and somebody said so.
    Ok,
    /// Not well.
    Error,
}

impl Status {
    /// Whether nobody said.
    pub fn is_unset(&self) -> bool {
        *self == Status::Unset
    }
}

/// Something that happened at one moment of a span.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// What happened.
    pub name: String,
    /// When, in microseconds.
    pub at_us: i64,
    /// What else is known of it.
    #[serde(default, skip_serializing_if = "Attributes::is_empty")]
    pub attributes: Attributes,
}

/// Another span, mostly one of another trace.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// Its trace.
    pub trace_id: String,
    /// The span.
    pub span_id: String,
}
