//! The authorizer as a value: a question that is put together step by step.
//!
//! Source: `apiserver/pkg/cel/library/authz.go`.

use crate::value::{Failure, NO_OVERLOAD, Value};
use std::rc::Rc;

/// What is asked of the authorizer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Question {
    /// Whether it is about a path, and not about a resource.
    pub path: Option<String>,
    /// The service account that it is about instead of the user: namespace and name.
    pub account: Option<(String, String)>,
    /// The group of the resource.
    pub group: String,
    /// The resource.
    pub resource: String,
    /// The subresource.
    pub subresource: String,
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
    /// The verb.
    pub verb: String,
}

/// Whether somebody may do something, and why.
pub type Decision = (bool, String);

/// A question that is being put together, or the answer to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Check {
    /// Nothing is asked yet.
    Authorizer(Question),
    /// Of a path.
    Path(Question),
    /// Of a group.
    Group(Question),
    /// Of a resource.
    Resource(Question),
    /// The answer.
    Decision(Decision),
}

impl Check {
    /// The name of its type.
    pub fn name(&self) -> &'static str {
        match self {
            Check::Authorizer(_) => "kubernetes.authorization.Authorizer",
            Check::Path(_) => "kubernetes.authorization.PathCheck",
            Check::Group(_) => "kubernetes.authorization.GroupCheck",
            Check::Resource(_) => "kubernetes.authorization.ResourceCheck",
            Check::Decision(_) => "kubernetes.authorization.Decision",
        }
    }

    /// The next step.
    pub fn call<'a>(
        &self,
        name: &str,
        args: &[Value<'a>],
        ask: &dyn Fn(&Question) -> Decision,
    ) -> Result<Value<'a>, Failure> {
        let text = |index: usize| match args.get(index) {
            Some(Value::Text(text)) => text.to_string(),
            _ => String::new(),
        };
        let next = |check| Ok(Value::Check(Rc::new(check)));
        match (self, name) {
            (Check::Authorizer(_), "path") if text(0).is_empty() => Err("path must not be empty".into()),
            (Check::Authorizer(of), "path") => next(Check::Path(Question { path: Some(text(0)), ..of.clone() })),
            (Check::Authorizer(of), "group") => next(Check::Group(Question { group: text(0), ..of.clone() })),
            (Check::Authorizer(of), "serviceAccount") => {
                next(Check::Authorizer(Question { account: Some((text(0), text(1))), ..of.clone() }))
            }
            (Check::Group(of), "resource") => next(Check::Resource(Question { resource: text(0), ..of.clone() })),
            (Check::Resource(of), "subresource") => {
                next(Check::Resource(Question { subresource: text(0), ..of.clone() }))
            }
            (Check::Resource(of), "namespace") => next(Check::Resource(Question { namespace: text(0), ..of.clone() })),
            (Check::Resource(of), "name") => next(Check::Resource(Question { name: text(0), ..of.clone() })),
            (Check::Path(of) | Check::Resource(of), "check") => {
                next(Check::Decision(ask(&Question { verb: text(0), ..of.clone() })))
            }
            (Check::Decision((allowed, _)), "allowed") => Ok(Value::Bool(*allowed)),
            (Check::Decision((_, reason)), "reason") => Ok(Value::text(reason.as_str())),
            (Check::Decision(_), "errored") => Ok(Value::Bool(false)),
            (Check::Decision(_), "error") => Ok(Value::text("")),
            _ => Err(NO_OVERLOAD.into()),
        }
    }
}
