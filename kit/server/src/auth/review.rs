//! Questions about who somebody is and what they may do, which are answered and not stored.
//!
//! Sources: `pkg/registry/{authorization,authentication}`, `pkg/apis/authorization/validation/validation.go`.

use super::tokens::ISSUER;
use super::{Attempt, User};
use crate::field::{At, Errors};
use crate::{Error, Server};
use kit_apimachinery::object::Kind;
use serde_json::{Value, json};
use std::collections::BTreeMap;

impl Server {
    /// The answer to a review; none if the object is one to be stored.
    ///
    /// # Errors
    ///
    /// If the question makes no sense.
    pub(crate) fn review(&self, kind: Kind, value: &Value, user: &User) -> Result<Option<Value>, Error> {
        let mut answer = value.clone();
        let spec = &value["spec"];
        answer["status"] = match kind.name() {
            "SelfSubjectAccessReview" | "SubjectAccessReview" | "LocalSubjectAccessReview" => {
                check(kind, value)?;
                let asked_for = match kind.name() {
                    "SelfSubjectAccessReview" => user.clone(),
                    _ => user_of(spec),
                };
                let attempt = attempt_of(spec);
                match (asked_for.is_master(), self.snapshot().why_allowed(&asked_for, &attempt)) {
                    (true, _) => json!({"allowed": true}),
                    (false, Some(why)) => json!({"allowed": true, "reason": why}),
                    (false, None) => json!({"allowed": false}),
                }
            }
            "SelfSubjectRulesReview" => {
                let namespace = spec["namespace"].as_str().unwrap_or_default();
                if namespace.is_empty() {
                    return Err(Error::bad_request("no namespace on request"));
                }
                let rules = self.snapshot().rules_for(user, namespace);
                let (urls, resources): (Vec<Value>, Vec<Value>) =
                    rules.into_iter().partition(|rule| rule["nonResourceURLs"].is_array());
                json!({"resourceRules": resources, "nonResourceRules": urls, "incomplete": false})
            }
            "SelfSubjectReview" => json!({"userInfo": user.to_value()}),
            "TokenReview" => self.review_token(spec)?,
            _ => return Ok(None),
        };
        Ok(Some(answer))
    }

    fn review_token(&self, spec: &Value) -> Result<Value, Error> {
        let token = spec["token"].as_str().unwrap_or_default();
        if token.is_empty() {
            return Err(Error::bad_request("token is required for TokenReview in authentication"));
        }
        let mut audiences = texts(&spec["audiences"]);
        if audiences.is_empty() {
            audiences.push(ISSUER.into());
        }
        let found = self.snapshot().bearer(token, &audiences, &*self.signer, self.time().as_second());
        Ok(match found {
            Ok((user, audiences)) => {
                json!({"authenticated": true, "user": user.to_value(), "audiences": audiences})
            }
            Err(why) if why.is_empty() => json!({"user": {}, "error": "invalid bearer token"}),
            Err(why) => json!({"user": {}, "error": format!("[invalid bearer token, {why}]")}),
        })
    }
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(|text| text.as_str().map(str::to_string)).collect()
}

/// Whom a review is about.
fn user_of(spec: &Value) -> User {
    let text = |field: &str| spec[field].as_str().unwrap_or_default().to_string();
    let extra = spec["extra"].as_object().into_iter().flatten();
    let extra: BTreeMap<String, Vec<String>> = extra.map(|(key, values)| (key.clone(), texts(values))).collect();
    User { name: text("user"), uid: text("uid"), groups: texts(&spec["groups"]), extra }
}

/// What a review asks about.
fn attempt_of(spec: &Value) -> Attempt {
    let (at, plain) = (&spec["resourceAttributes"], &spec["nonResourceAttributes"]);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
    match plain.is_object() {
        true => Attempt { verb: text(&plain["verb"]), path: text(&plain["path"]), ..Attempt::default() },
        false => Attempt {
            verb: text(&at["verb"]),
            is_resource: true,
            path: String::new(),
            group: text(&at["group"]),
            version: text(&at["version"]),
            namespace: text(&at["namespace"]),
            resource: text(&at["resource"]),
            subresource: text(&at["subresource"]),
            name: text(&at["name"]),
        },
    }
}

/// Whether the question makes sense.
fn check(kind: Kind, value: &Value) -> Result<(), Error> {
    let (root, mut errors) = (At::root(value), Errors::default());
    let (resource, plain) = (root.at("spec.resourceAttributes"), root.at("spec.nonResourceAttributes"));
    let nothing = |path: &str| At { value: &Value::Null, path: path.into() };
    let both = value["spec"]["resourceAttributes"].is_object() && value["spec"]["nonResourceAttributes"].is_object();
    let neither =
        !value["spec"]["resourceAttributes"].is_object() && !value["spec"]["nonResourceAttributes"].is_object();
    if both {
        errors.invalid(&plain, "cannot be specified in combination with resourceAttributes");
    } else if neither {
        let why = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
        errors.invalid_as(&nothing("spec.resourceAttributes"), "null", why);
    }
    if kind.name() != "SelfSubjectAccessReview" {
        let spec = &value["spec"];
        if spec["user"].as_str().unwrap_or_default().is_empty() && texts(&spec["groups"]).is_empty() {
            errors.invalid_as(&nothing("spec.user"), "\"\"", "at least one of user or group must be specified");
        }
    }
    if kind.name() == "LocalSubjectAccessReview" {
        let namespace = value["metadata"]["namespace"].as_str().unwrap_or_default();
        if value["spec"]["resourceAttributes"].is_object() && resource.at("namespace").text() != namespace {
            errors.invalid(&resource.at("namespace"), "must match metadata.namespace");
        }
        if value["spec"]["nonResourceAttributes"].is_object() {
            errors.invalid(&plain, "disallowed on this kind of request");
        }
    }
    match errors.0.is_empty() {
        true => Ok(()),
        false => Err(Error::invalid("authorization.k8s.io", kind.name(), "", errors.0)),
    }
}
