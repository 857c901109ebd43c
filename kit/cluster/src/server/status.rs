//! Errors of the API, as clients see them.
//!
//! Texts and codes: `staging/src/k8s.io/apimachinery/pkg/api/errors/errors.go`.

use crate::object::{Key, Kind};
use kit_api::meta::{Status, StatusDetails};
use std::fmt;

/// Why the API server refused a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// The HTTP status.
    pub code: i32,
    /// The reason in one word, for programs.
    pub reason: &'static str,
    /// The reason in a sentence, for people.
    pub message: String,
    /// What it was about.
    pub key: Option<Key>,
}

impl Error {
    fn about(key: &Key, code: i32, reason: &'static str, message: String) -> Error {
        Error { code, reason, message, key: Some(key.clone()) }
    }

    /// There is no such object.
    pub fn not_found(key: &Key) -> Error {
        Error::about(key, 404, "NotFound", format!("{} not found", quoted(key)))
    }

    /// There is one of that name already.
    pub fn already_exists(key: &Key) -> Error {
        Error::about(key, 409, "AlreadyExists", format!("{} already exists", quoted(key)))
    }

    /// The object is not what the client thinks it is.
    pub fn conflict(key: &Key, why: &str) -> Error {
        Error::about(key, 409, "Conflict", format!("Operation cannot be fulfilled on {}: {why}", quoted(key)))
    }

    /// The object breaks a rule of its kind.
    pub fn invalid(key: &Key, why: &str) -> Error {
        let kind = match key.kind.group() {
            "" => key.kind.name().to_string(),
            group => format!("{}.{group}", key.kind.name()),
        };
        Error::about(key, 422, "Invalid", format!("{kind} {:?} is invalid: {why}", key.name))
    }

    /// The request makes no sense.
    pub fn bad_request(message: impl Into<String>) -> Error {
        Error { code: 400, reason: "BadRequest", message: message.into(), key: None }
    }

    /// The history that a watch needs is compacted.
    pub fn expired(message: String) -> Error {
        Error { code: 410, reason: "Expired", message, key: None }
    }

    /// Whether the object isn't there.
    pub fn is_not_found(&self) -> bool {
        self.code == 404
    }

    /// The body of the answer in JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string(&self.status()).unwrap_or_default()
    }

    /// The body of the answer.
    pub fn status(&self) -> Status {
        let details = self.key.as_ref().map(|key| StatusDetails {
            name: Some(key.name.clone()),
            group: Some(key.kind.group().to_string()).filter(|group| !group.is_empty()),
            kind: Some(if self.code == 422 { key.kind.name() } else { key.kind.plural() }.to_string()),
            ..Default::default()
        });
        Status {
            code: Some(self.code),
            reason: Some(self.reason.into()),
            message: Some(self.message.clone()),
            status: Some("Failure".into()),
            details,
            ..Default::default()
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

/// `pods "web"`, `deployments.apps "web"`.
fn quoted(key: &Key) -> String {
    format!("{} {:?}", resource(key.kind), key.name)
}

/// A resource with its group, as messages name it.
pub fn resource(kind: Kind) -> String {
    match kind.group() {
        "" => kind.plural().to_string(),
        group => format!("{}.{group}", kind.plural()),
    }
}
