//! Which requests a policy, a binding or a webhook is about.
//!
//! Sources: `apiserver/pkg/admission/plugin/policy/matching/matching.go` and
//! `apiserver/pkg/admission/plugin/webhook/predicates/{rules,namespace,object}`.

use super::Attributes;
use crate::{Error, Server};
use kit_api::meta::LabelSelector;
use kit_api::selector;
use kit_apimachinery::object::{Key, Kind};
use kit_apimachinery::resource::Resource;
use serde_json::{Value, json};
use std::collections::BTreeMap;

impl Server {
    /// Whether a policy or a binding is about a request, and as which resource it wants to be told of it. Without rules it is
    /// about all.
    pub(super) fn matches(&self, of: &Value, attributes: &Attributes) -> Result<Option<&'static Resource>, Error> {
        let selected = self.selected(of, attributes);
        if let Ok(false) = selected {
            return Ok(None);
        }
        let exact = of["matchPolicy"] == "Exact";
        if self.by_rules(&of["excludeResourceRules"], exact, attributes).is_some() {
            return Ok(None);
        }
        let found = match of["resourceRules"].as_array().is_none_or(Vec::is_empty) {
            true => Some(attributes.resource),
            false => self.by_rules(&of["resourceRules"], exact, attributes),
        };
        match found {
            Some(resource) => selected.map(|_| Some(resource)),
            None => Ok(None),
        }
    }

    /// Whether the selectors of namespaces and objects select a request.
    pub(super) fn selected(&self, of: &Value, attributes: &Attributes) -> Result<bool, Error> {
        Ok(self.in_namespaces(&of["namespaceSelector"], attributes)? && of_objects(&of["objectSelector"], attributes))
    }

    fn in_namespaces(&self, of: &Value, attributes: &Attributes) -> Result<bool, Error> {
        let is_namespace = attributes.resource.as_kind() == Kind::Namespace;
        let by = parsed(of);
        if is_empty(of) || attributes.namespace.is_empty() && !is_namespace {
            return Ok(true);
        }
        if is_namespace && attributes.subresource.is_empty() && !attributes.object.is_null() {
            return Ok(by.is_some_and(|by| selector::matches(&by, Some(&labels(&attributes.object)))));
        }
        let stored = self.get(&Key::new(Kind::Namespace, "", &attributes.namespace))?;
        Ok(by.is_some_and(|by| selector::matches(&by, stored.object.meta().labels.as_ref())))
    }

    /// The resource by which one of some rules matches; of what there is in several versions each counts, unless the very one
    /// is meant.
    pub(super) fn by_rules(&self, rules: &Value, exact: bool, attributes: &Attributes) -> Option<&'static Resource> {
        let rules = || rules.as_array().into_iter().flatten();
        if rules().any(|rule| fits(rule, attributes, attributes.resource)) {
            return Some(attributes.resource);
        }
        let equivalents = || self.resources().filter(|other| !exact && is_equivalent(other, attributes.resource));
        rules().find_map(|rule| equivalents().find(|other| fits(rule, attributes, other)))
    }

    /// An object as another version has it.
    pub(super) fn told_as(&self, attributes: &Attributes, told: &'static Resource, object: &Value) -> Value {
        let plain = told.api_version == attributes.resource.api_version || !attributes.subresource.is_empty();
        match &told.kept_as {
            _ if plain || object.is_null() => object.clone(),
            Some(_) => crate::versions::Form(told).show(object.clone()),
            None => {
                let mut object = object.clone();
                object["apiVersion"] = json!(told.api_version);
                object
            }
        }
    }
}

/// Whether two resources are the same objects in two versions.
fn is_equivalent(one: &Resource, other: &Resource) -> bool {
    let kept = |of: &Resource| of.kept_as.clone().unwrap_or(of.api_version.clone());
    let apart = one.api_version != other.api_version;
    apart
        && one.plural == other.plural
        && (kept(one) == kept(other) || one.custom && other.custom && one.group == other.group)
}

fn has(list: &Value, wanted: &str) -> bool {
    list.as_array().into_iter().flatten().any(|item| item == "*" || item == wanted)
}

/// Whether a rule is about a request, as if it were for this resource (`rules.Matcher`).
fn fits(rule: &Value, attributes: &Attributes, resource: &'static Resource) -> bool {
    let in_namespace = resource.as_kind() != Kind::Namespace && !attributes.namespace.is_empty();
    let scope = match rule["scope"].as_str() {
        Some("Namespaced") => in_namespace,
        Some("Cluster") => !in_namespace,
        _ => true,
    };
    let named = rule["resources"].as_array().into_iter().flatten().filter_map(Value::as_str).any(|text| {
        let (of, part) = text.split_once('/').unwrap_or((text, ""));
        (of == "*" || of == resource.plural) && (part == "*" || part == attributes.subresource)
    });
    let names = rule["resourceNames"].as_array().filter(|names| !names.is_empty());
    scope
        && named
        && has(&rule["operations"], attributes.operation)
        && has(&rule["apiGroups"], &resource.group)
        && has(&rule["apiVersions"], &resource.version)
        && names.is_none_or(|names| names.iter().any(|name| *name == attributes.name.as_str()))
}

fn parsed(of: &Value) -> Option<LabelSelector> {
    serde_json::from_value(of.clone()).ok()
}

fn is_empty(of: &Value) -> bool {
    let none = |field: &str| match &of[field] {
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => true,
    };
    none("matchLabels") && none("matchExpressions")
}

fn labels(object: &Value) -> BTreeMap<String, String> {
    let labels = object["metadata"]["labels"].as_object().into_iter().flatten();
    labels.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_string()))).collect()
}

fn of_objects(of: &Value, attributes: &Attributes) -> bool {
    if is_empty(of) {
        return true;
    }
    let Some(by) = parsed(of) else { return false };
    let matches = |object: &Value| object["metadata"].is_object() && selector::matches(&by, Some(&labels(object)));
    matches(&attributes.object) || matches(&attributes.old)
}
