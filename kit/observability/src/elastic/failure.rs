//! Why a request is refused, in Elasticsearch's words.

use serde_json::{Map, Value, json};

/// Why something is refused.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    /// The code of HTTP.
    pub status: u16,
    /// Which exception it is upstream.
    pub kind: &'static str,
    /// Why, for a person.
    pub reason: String,
    /// What else belongs to it.
    pub more: Map<String, Value>,
}

impl Failure {
    /// Something refused with this code.
    pub fn new(status: u16, kind: &'static str, reason: impl Into<String>) -> Failure {
        Failure { status, kind, reason: reason.into(), more: Map::new() }
    }

    /// A query or a body that makes no sense.
    pub fn parsing(reason: impl Into<String>) -> Failure {
        Failure::new(400, "parsing_exception", reason)
    }

    /// A value that can't be.
    pub fn argument(reason: impl Into<String>) -> Failure {
        Failure::new(400, "illegal_argument_exception", reason)
    }

    /// There is no such index.
    pub fn no_index(name: &str) -> Failure {
        let mut failure = Failure::new(404, "index_not_found_exception", format!("no such index [{name}]"));
        failure.more.insert("resource.type".into(), "index_or_alias".into());
        failure.more.insert("resource.id".into(), name.into());
        failure.more.insert("index_uuid".into(), "_na_".into());
        failure.more.insert("index".into(), name.into());
        failure
    }

    /// As it stands in an answer about one item.
    pub fn cause(&self) -> Value {
        let mut cause = Map::from_iter([("type".into(), self.kind.into()), ("reason".into(), json!(self.reason))]);
        cause.extend(self.more.clone());
        Value::Object(cause)
    }

    /// As the answer to a request (`ElasticsearchException.generateFailureXContent`).
    pub fn answer(&self) -> Value {
        let mut error = Map::from_iter([("root_cause".into(), json!([self.cause()]))]);
        if let Value::Object(cause) = self.cause() {
            error.extend(cause);
        }
        json!({"error": error, "status": self.status})
    }
}
