//! RBAC: which rules bindings give a user, and what a rule covers.
//!
//! Sources: `plugin/pkg/auth/authorizer/rbac/rbac.go`, `pkg/registry/rbac/validation/rule.go`,
//! `pkg/apis/rbac/v1/evaluation_helpers.go`.

use super::roles::defaults;
use super::{Attempt, User};
use crate::Snapshot;
use kit_apimachinery::object::{Key, Kind};
use kit_apimachinery::resource::Resource;
use serde_json::Value;
use std::borrow::Cow;

impl Snapshot {
    /// Whether roles, or the group of masters, allow it.
    pub(crate) fn allows(&self, user: &User, attempt: &Attempt) -> bool {
        user.is_master() || self.why_allowed(user, attempt).is_some()
    }

    /// The binding that allows it, in the authorizer's words.
    pub(super) fn why_allowed(&self, user: &User, attempt: &Attempt) -> Option<String> {
        let mut why = None;
        self.visit(user, &attempt.namespace, |rule, binding| {
            let covered = covers(rule, attempt);
            if covered {
                why = Some(format!("RBAC: allowed by {}", binding()));
            }
            !covered
        });
        why
    }

    /// All rules that bindings give a user, in a namespace and in the whole cluster.
    pub(super) fn rules_for(&self, user: &User, namespace: &str) -> Vec<Value> {
        let mut rules = Vec::new();
        self.visit(user, namespace, |rule, _| {
            rules.push(rule.clone());
            true
        });
        rules
    }

    /// Shows rules, each with the words for its binding, until it is told to stop.
    fn visit(&self, user: &User, namespace: &str, mut see: impl FnMut(&Value, &dyn Fn() -> String) -> bool) {
        let Some((bindings, roles)) = find("ClusterRoleBinding").zip(find("ClusterRole")) else { return };
        let Some((local, local_roles)) = find("RoleBinding").zip(find("Role")) else { return };
        let cluster = self.list(bindings).map(|stored| ("", Cow::Owned(stored.to_value())));
        let here = self.list_in(local, namespace).map(|stored| (namespace, Cow::Owned(stored.to_value())));
        let (table, table_roles) = match self.keeps_roles {
            true => (&[][..], &[][..]),
            false => (&defaults().bindings[..], &defaults().roles[..]),
        };
        let table = table.iter().map(|binding| (place(binding), Cow::Borrowed(binding)));
        let table = table.filter(|(at, _)| at.is_empty() || *at == namespace);
        for (namespace, binding) in cluster.chain(table).chain(here.filter(|_| !namespace.is_empty())) {
            let subjects = binding["subjects"].as_array().into_iter().flatten();
            let Some(subject) = subjects.into_iter().find(|subject| is_subject(user, subject, namespace)) else {
                continue;
            };
            let role = &binding["roleRef"];
            let name = role["name"].as_str().unwrap_or_default();
            let (kind, at) = if role["kind"] == "Role" { (local_roles, namespace) } else { (roles, "") };
            let is_meant = |role: &&Value| role["metadata"]["name"] == name && place(role) == at;
            let rules = match self.get(&Key::new(kind, at, name)) {
                Some(role) => role.to_value()["rules"].clone(),
                None => match table_roles.iter().find(is_meant) {
                    Some(role) => role["rules"].clone(),
                    None => continue,
                },
            };
            let words = || describe(&binding, subject, namespace);
            if rules.as_array().into_iter().flatten().any(|rule| !see(rule, &words)) {
                return;
            }
        }
    }
}

/// The namespace of a role or binding, empty if it is of the whole cluster.
fn place(object: &Value) -> &str {
    object["metadata"]["namespace"].as_str().unwrap_or_default()
}

/// `clusterRoleBindingDescriber` and `roleBindingDescriber`.
fn describe(binding: &Value, subject: &Value, namespace: &str) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
    let name = text(&binding["metadata"]["name"]);
    let (kind, name) = match namespace {
        "" => ("ClusterRoleBinding", name),
        namespace => ("RoleBinding", format!("{name}/{namespace}")),
    };
    let who = match subject["kind"].as_str() {
        Some("ServiceAccount") => {
            let namespace = subject["namespace"].as_str().filter(|there| !there.is_empty()).unwrap_or(namespace);
            format!("{}/{namespace}", text(&subject["name"]))
        }
        _ => text(&subject["name"]),
    };
    let (role, of) = (&binding["roleRef"], text(&subject["kind"]));
    format!("{kind} {name:?} of {} {:?} to {of} {who:?}", text(&role["kind"]), text(&role["name"]))
}

fn find(kind: &str) -> Option<Kind> {
    Resource::all().iter().find(|resource| resource.kind == kind).map(Resource::as_kind)
}

fn is_subject(user: &User, subject: &Value, namespace: &str) -> bool {
    let name = subject["name"].as_str().unwrap_or_default();
    match subject["kind"].as_str() {
        Some("User") => name == user.name,
        Some("Group") => user.groups.iter().any(|group| group == name),
        Some("ServiceAccount") => {
            let namespace = subject["namespace"].as_str().filter(|there| !there.is_empty()).unwrap_or(namespace);
            !namespace.is_empty() && user.name == format!("system:serviceaccount:{namespace}:{name}")
        }
        _ => false,
    }
}

/// Whether a rule covers an attempt.
fn covers(rule: &Value, attempt: &Attempt) -> bool {
    let any = |field: &str, is: &dyn Fn(&str) -> bool| {
        rule[field].as_array().is_some_and(|list| list.iter().filter_map(Value::as_str).any(is))
    };
    let has = |field: &str, wanted: &str| any(field, &|value| value == "*" || value == wanted);
    if !has("verbs", &attempt.verb) {
        return false;
    }
    if !attempt.is_resource {
        return any("nonResourceURLs", &|url| match url.strip_suffix('*') {
            Some(prefix) => attempt.path.starts_with(prefix),
            None => url == attempt.path,
        });
    }
    let (whole, part) = (attempt.whole(), &attempt.subresource);
    let of_any = |value: &str| !part.is_empty() && value.strip_prefix("*/").is_some_and(|named| named == part);
    let names = rule["resourceNames"].as_array().filter(|names| !names.is_empty());
    has("apiGroups", &attempt.group)
        && any("resources", &|value| value == "*" || value == whole || of_any(value))
        && names.is_none_or(|names| names.iter().any(|name| *name == attempt.name.as_str()))
}
