//! Errors of the API, as clients see them.
//!
//! Texts and codes: `staging/src/k8s.io/apimachinery/pkg/api/errors/errors.go`.

use super::field::Cause;
use kit_api::meta::Status;
use kit_apimachinery::object::Key;
use kit_apimachinery::resource::Resource;
use serde_json::{Value, json};
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
    pub details: Option<Box<Details>>,
    /// Where a list goes on all the same.
    pub next: Option<Box<str>>,
}

/// What a refused request was about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Details {
    /// The name of the object.
    pub name: String,
    /// The group of the resource.
    pub group: String,
    /// The resource, or the kind where the object itself is wrong.
    pub kind: String,
    /// What is wrong, field by field.
    pub causes: Vec<Cause>,
    /// When to try again, in seconds; 0 if it isn't said.
    pub retry_after_seconds: i32,
}

/// Several problems as one text (`Aggregate.Error` of `apimachinery/pkg/util/errors`).
pub(super) fn aggregate(mut problems: Vec<String>) -> String {
    if problems.len() == 1 { problems.remove(0) } else { format!("[{}]", problems.join(", ")) }
}

impl Error {
    fn plain(code: i32, reason: &'static str, message: impl Into<String>) -> Error {
        Error { code, reason, message: message.into(), details: None, next: None }
    }

    fn with(mut self, details: Details) -> Error {
        self.details = Some(Box::new(details));
        self
    }

    fn about(resource: &Resource, name: &str, code: i32, reason: &'static str, message: String) -> Error {
        let details = Details {
            name: name.into(),
            group: resource.group.clone(),
            kind: resource.plural.clone(),
            ..Details::default()
        };
        Error::plain(code, reason, message).with(details)
    }

    /// There is no such object.
    pub fn not_found(key: &Key) -> Error {
        let resource = key.kind.resource();
        let message = format!("{} {:?} not found", resource.qualified(), key.name);
        Error::about(resource, &key.name, 404, "NotFound", message)
    }

    /// There is none of this name, of something that is no object of this server.
    pub fn missing(group: &str, resource: &str, name: &str) -> Error {
        let message = format!("{resource}.{group} {name:?} not found");
        let details = Details { name: name.into(), group: group.into(), kind: resource.into(), ..Details::default() };
        Error::plain(404, "NotFound", message).with(details)
    }

    /// There is no such resource.
    pub fn no_resource() -> Error {
        Error::plain(404, "NotFound", "the server could not find the requested resource").with(Details::default())
    }

    /// The resource doesn't know this verb.
    pub fn method_not_allowed() -> Error {
        let message = "the server does not allow this method on the requested resource";
        Error::plain(405, "MethodNotAllowed", message).with(Details::default())
    }

    /// Nobody makes what will not be known any more.
    pub fn not_while_ending(resource: &Resource) -> Error {
        let message = "create not allowed while custom resource definition is terminating";
        let details = Details { group: resource.group.clone(), kind: resource.plural.clone(), ..Details::default() };
        Error::plain(405, "MethodNotAllowed", message).with(details)
    }

    /// There is one of that name already.
    pub fn already_exists(key: &Key) -> Error {
        let resource = key.kind.resource();
        let message = format!("{} {:?} already exists", resource.qualified(), key.name);
        Error::about(resource, &key.name, 409, "AlreadyExists", message)
    }

    /// The object is not what the client thinks it is.
    pub fn conflict(key: &Key, why: &str) -> Error {
        let resource = key.kind.resource();
        let message = format!("Operation cannot be fulfilled on {} {:?}: {why}", resource.qualified(), key.name);
        Error::about(resource, &key.name, 409, "Conflict", message)
    }

    /// The same of a part of the API that has another name than the object's resource.
    pub fn conflict_on(what: &str, name: &str, why: &str) -> Error {
        let message = format!("Operation cannot be fulfilled on {what} {name:?}: {why}");
        let details = Details { name: name.into(), kind: what.into(), ..Details::default() };
        Error::plain(409, "Conflict", message).with(details)
    }

    /// The same of a kind, as deletions have it.
    pub fn conflict_on_kind(key: &Key, why: &str) -> Error {
        let Resource { group, kind, .. } = key.kind.resource();
        let dot = if group.is_empty() { "" } else { "." };
        let message = format!("Operation cannot be fulfilled on {kind}{dot}{group} {:?}: {why}", key.name);
        let details =
            Details { name: key.name.to_string(), group: group.clone(), kind: kind.clone(), ..Details::default() };
        Error::plain(409, "Conflict", message).with(details)
    }

    /// The object may not be what it is, or the client may not do this.
    pub fn forbidden(key: &Key, why: &str) -> Error {
        let resource = key.kind.resource();
        let message = format!("{} {:?} is forbidden: {why}", resource.qualified(), key.name);
        Error::about(resource, &key.name, 403, "Forbidden", message)
    }

    /// The object breaks rules of its kind.
    pub fn invalid(group: &str, kind: &str, name: &str, causes: Vec<Cause>) -> Error {
        let mut said: Vec<String> = Vec::new();
        for cause in &causes {
            let text = format!("{}: {}", cause.field, cause.message);
            if !said.contains(&text) {
                said.push(text);
            }
        }
        let why = aggregate(said);
        let dot = if group.is_empty() { "" } else { "." };
        let message = format!("{kind}{dot}{group} {name:?} is invalid: {why}");
        let details =
            Details { name: name.into(), group: group.into(), kind: kind.into(), causes, ..Details::default() };
        Error::plain(422, "Invalid", message).with(details)
    }

    /// The same of an object that is known by its key.
    pub fn invalid_object(key: &Key, causes: Vec<Cause>) -> Error {
        let resource = key.kind.resource();
        Error::invalid(&resource.group, &resource.kind, &key.name, causes)
    }

    /// The request makes no sense.
    pub fn bad_request(message: impl Into<String>) -> Error {
        Error::plain(400, "BadRequest", message)
    }

    /// The server can't do it, though the request may be right.
    pub fn internal(message: impl Into<String>) -> Error {
        Error::plain(500, "", message)
    }

    /// Somebody whom the server asks doesn't answer as it should (`NewInternalError`).
    pub fn internal_error(why: String) -> Error {
        let cause = Cause { reason: "", message: why.clone(), field: String::new() };
        let details = Details { causes: vec![cause], ..Details::default() };
        Error::plain(500, "InternalError", format!("Internal error occurred: {why}")).with(details)
    }

    /// Nobody answers at the server's address.
    pub fn unreachable() -> Error {
        Error::plain(503, "ServiceUnavailable", "dial tcp 127.0.0.1:6443: connect: connection refused")
    }

    /// A JSON patch doesn't fit the object; upstream doesn't tell which operation.
    pub fn rejected() -> Error {
        let message = "the server rejected our request due to an error in our request";
        Error::plain(422, "Invalid", message).with(Details::default())
    }

    /// The history that a watch needs is compacted.
    pub fn expired(message: impl Into<String>) -> Error {
        Error::plain(410, "Expired", message)
    }

    /// A body that is too large (`NewRequestEntityTooLargeError` of `apimachinery/pkg/api/errors/errors.go`).
    pub fn entity_too_large(limit: usize) -> Error {
        Error::plain(413, "RequestEntityTooLarge", format!("Request entity too large: limit is {limit}"))
    }

    /// A JSON patch with too many operations.
    pub fn patch_too_large(why: &str) -> Error {
        Error::plain(413, "RequestEntityTooLarge", format!("Request entity too large: {why}"))
    }

    /// A page that can't be told consistently any more; `next` is the token by which the rest is told as it is now
    /// (`handleCompactedErrorForPaging` of `apiserver/pkg/storage/etcd3/errors.go`).
    pub fn expired_page(message: impl Into<String>, next: String) -> Error {
        Error { next: Some(next.into()), ..Error::expired(message) }
    }

    /// The server has not come to this resource version yet.
    pub fn too_large(asked: i64, current: i64) -> Error {
        let cause = Cause {
            reason: "ResourceVersionTooLarge",
            message: "Too large resource version".into(),
            field: String::new(),
        };
        let details = Details { causes: vec![cause], retry_after_seconds: 1, ..Details::default() };
        Error::plain(504, "Timeout", format!("Timeout: Too large resource version: {asked}, current: {current}"))
            .with(details)
    }

    /// A disruption budget, or another limit of time, says no.
    pub fn too_many_requests(message: &str, causes: Vec<Cause>, retry_after_seconds: i32) -> Error {
        let details = Details { causes, retry_after_seconds, ..Details::default() };
        Error::plain(429, "TooManyRequests", message).with(details)
    }

    /// Others own the fields that an apply would change.
    pub fn apply_conflict(message: String, causes: Vec<Cause>) -> Error {
        Error::plain(409, "Conflict", message).with(Details { causes, ..Details::default() })
    }

    /// The server can't answer in a form that the client takes.
    pub fn not_acceptable() -> Error {
        let message = "406: Not Acceptable\n\nAvailable representations: application/json, application/yaml, \
                       application/vnd.kubernetes.protobuf, application/json;stream=watch, \
                       application/vnd.kubernetes.protobuf;stream=watch";
        Error::plain(406, "NotAcceptable", message).with(Details::default())
    }

    /// The server doesn't read bodies of this form.
    pub fn unsupported_media_type(accepted: &str) -> Error {
        let message =
            format!("the body of the request was in an unknown format - accepted media types include: {accepted}");
        Error::plain(415, "UnsupportedMediaType", message)
    }

    /// Nobody knows who asks.
    pub fn unauthorized() -> Error {
        Error::plain(401, "Unauthorized", "Unauthorized")
    }

    /// Who asks may not do this; `message` has the whole sentence.
    pub fn denied(group: &str, resource: &str, name: &str, message: String) -> Error {
        let details = Details { name: name.into(), group: group.into(), kind: resource.into(), ..Details::default() };
        Error::plain(403, "Forbidden", message).with(details)
    }

    /// Who asks may not be who they want to be.
    pub fn refused(message: String) -> Error {
        Error::plain(403, "Forbidden", message).with(Details::default())
    }

    /// Whether the object isn't there.
    pub fn is_not_found(&self) -> bool {
        self.code == 404
    }

    /// What was to be done to an object that may be gone by now.
    ///
    /// # Errors
    ///
    /// Any other than that it isn't there.
    pub fn ignore_not_found<T>(done: Result<T, Error>) -> Result<(), Error> {
        match done {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }

    /// Whether nothing new can be put into the namespace, so that there is no use in trying again
    /// (`NamespaceTerminatingCause`).
    pub fn is_namespace_terminating(&self) -> bool {
        let mut causes = self.details.iter().flat_map(|details| &details.causes);
        causes.any(|cause| cause.reason == "NamespaceTerminating")
    }

    /// The body of the answer in JSON.
    pub fn to_json(&self) -> String {
        self.to_value().to_string()
    }

    /// The body of the answer.
    pub fn to_value(&self) -> Value {
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "code": self.code,
        });
        if let Some(next) = &self.next {
            status["metadata"]["continue"] = (**next).into();
        }
        if !self.reason.is_empty() {
            status["reason"] = self.reason.into();
        }
        if let Some(details) = &self.details {
            status["details"] = details.to_value();
        }
        status
    }

    /// The body of the answer as its type.
    pub fn status(&self) -> Status {
        serde_json::from_value(self.to_value()).unwrap_or_default()
    }
}

impl Details {
    fn to_value(&self) -> Value {
        let mut value = json!({});
        for (field, text) in [("name", &self.name), ("group", &self.group), ("kind", &self.kind)] {
            if !text.is_empty() {
                value[field] = text.as_str().into();
            }
        }
        if !self.causes.is_empty() {
            value["causes"] = self.causes.iter().map(Cause::to_value).collect();
        }
        if self.retry_after_seconds > 0 {
            value["retryAfterSeconds"] = self.retry_after_seconds.into();
        }
        value
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
