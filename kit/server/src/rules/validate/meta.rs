//! Metadata, labels and selectors.
//!
//! Sources: `apimachinery/pkg/api/validation/objectmeta.go`, `apimachinery/pkg/apis/meta/v1/validation/validation.go`.

use super::Name;
use crate::field::{At, Errors, quoted};
use crate::go;
use kit_api::name;
use serde_json::Value;

const ANNOTATIONS_LIMIT: usize = 256 * 1024;
const KNOWN_FINALIZERS: [&str; 3] = ["orphan", "foregroundDeletion", "kubernetes"];
const NOT_QUALIFIED: &str = "name is neither a standard finalizer name nor is it fully qualified";

pub fn object_meta(e: &mut Errors, meta: &At<'_>, namespaced: bool, check: Name) {
    let generate = meta.get("generateName");
    if !generate.text().is_empty() {
        e.all_invalid(&generate, check(&prefix_name(generate.text())));
    }
    let name = meta.get("name");
    match name.text() {
        "" => e.required(&name, "name or generateName is required"),
        text => e.all_invalid(&name, check(text)),
    }
    let namespace = meta.get("namespace");
    match (namespaced, namespace.text()) {
        (true, "") => e.required(&namespace, ""),
        (true, text) => e.all_invalid(&namespace, name::dns1123_label(text)),
        (false, "") => {}
        (false, _) => e.forbidden(&namespace, "not allowed on this type"),
    }
    e.not_negative(&meta.get("generation"));
    labels(e, &meta.get("labels"));
    annotations(e, &meta.get("annotations"));
    owners(e, &meta.get("ownerReferences"));
    finalizers(e, &meta.get("finalizers"));
}

/// What is looked at in changed metadata. A deleted object gets no new finalizers.
pub fn changed(e: &mut Errors, new: &At<'_>, old: &At<'_>) {
    if old.get("deletionTimestamp").is_set() {
        finalizers_added(e, &new.get("finalizers"), old.get("finalizers").value);
    }
    labels(e, &new.get("labels"));
    annotations(e, &new.get("annotations"));
    owners(e, &new.get("ownerReferences"));
}

/// A prefix may end in a dash, since something will follow it (`maskTrailingDash` of `generate.go`).
pub fn prefix_name(prefix: &str) -> String {
    let masked = prefix.strip_suffix('-').and_then(|rest| rest.strip_suffix(|last: char| last.is_ascii()));
    masked.map_or_else(|| prefix.to_string(), |rest| format!("{rest}a"))
}

/// Names that are only a segment of a path (`path.IsValidPathSegmentName`).
pub fn path_segment(text: &str) -> Vec<String> {
    match text {
        "." | ".." => vec![format!("may not be '{text}'")],
        _ => {
            let bad = ['/', '%'].into_iter().filter(|c| text.contains(*c));
            bad.map(|c| format!("may not contain '{c}'")).collect()
        }
    }
}

/// The name of a controller somewhere in the world (`IsDomainPrefixedPath`).
pub fn domain_prefixed_path(e: &mut Errors, at: &At<'_>) {
    let (host, path) = match at.text().split_once('/') {
        _ if at.text().is_empty() => return e.required(at, ""),
        Some((host, path)) if !host.is_empty() && !path.is_empty() => (host, path),
        _ => return e.invalid(at, "must be a domain-prefixed path (such as \"acme.io/foo\")"),
    };
    for problem in name::dns1123_subdomain(host) {
        e.invalid_as(at, &quoted(host), &problem);
    }
    if !path.bytes().all(|b| b.is_ascii_alphanumeric() || b"/-._~%!$&'()*+,;=:".contains(&b)) {
        let why = r"Invalid path (regex used for validation is '[A-Za-z0-9/\-._~%!$&'()*+,;=:]+')";
        e.invalid_as(at, &quoted(path), why);
    }
}

pub fn labels(e: &mut Errors, labels: &At<'_>) {
    for (key, value) in labels.entries() {
        invalid_key(e, labels, key);
        for problem in name::label_value(value.text()) {
            e.invalid_as(labels, &quoted(value.text()), &problem);
        }
    }
}

fn invalid_key(e: &mut Errors, at: &At<'_>, key: &str) {
    for problem in name::qualified_name(key) {
        e.invalid_as(at, &quoted(key), &problem);
    }
}

pub fn annotations(e: &mut Errors, annotations: &At<'_>) {
    let mut size = 0;
    for (key, value) in annotations.entries() {
        for problem in name::qualified_name(&key.to_lowercase()) {
            e.invalid_as(annotations, &quoted(key), &problem);
        }
        size += key.len() + value.text().len();
    }
    if size > ANNOTATIONS_LIMIT {
        e.too_long(annotations, ANNOTATIONS_LIMIT);
    }
}

/// The key of a label, wherever one is named.
pub fn label_name(e: &mut Errors, at: &At<'_>) {
    e.all_invalid(at, name::qualified_name(at.text()));
}

fn owners(e: &mut Errors, owners: &At<'_>) {
    let mut controller: Option<String> = None;
    for owner in owners.items() {
        // Upstream leaves the index out of these paths.
        let version = owner.get("apiVersion");
        let parts: Vec<&str> = version.text().split('/').collect();
        if parts.len() > 2 || parts.last().is_none_or(|last| last.is_empty()) {
            let at = version.as_path(format!("{}.apiVersion", owners.path));
            e.invalid_text(&at, "version must not be empty");
        }
        for field in ["kind", "name", "uid"] {
            if owner.get(field).text().is_empty() {
                let at = owner.get(field).as_path(format!("{}.{field}", owners.path));
                e.invalid_text(&at, &format!("{field} must not be empty"));
            }
        }
        if version.text() == "v1" && owner.get("kind").text() == "Event" {
            let shown = go::dump_named(owner.value, "meta.OwnerReference");
            e.invalid_as(owners, &shown, "/v1, Kind=Event is disallowed from being an owner");
        }
        if !owner.get("controller").flag() {
            continue;
        }
        let named = format!("{}/{}", owner.get("kind").text(), owner.get("name").text());
        match &controller {
            None => controller = Some(named),
            Some(first) => {
                let why = format!(
                    "Only one reference can have Controller set to true. Found \"true\" in references for {first} and {named}"
                );
                let shown = go::dump_list(owners.value, "meta.OwnerReference");
                e.invalid_as(owners, &shown, &why);
            }
        }
    }
}

fn finalizers(e: &mut Errors, finalizers: &At<'_>) {
    let named = |name: &str| finalizers.items().iter().any(|item| item.text() == name);
    for item in finalizers.items() {
        for problem in name::qualified_name(item.text()) {
            e.invalid_as(finalizers, &quoted(item.text()), &problem);
        }
    }
    if named("orphan") && named("foregroundDeletion") {
        let list: Vec<String> = finalizers.items().iter().map(|item| quoted(item.text())).collect();
        let why = "finalizer orphan and foregroundDeletion cannot be both set";
        e.invalid_as(finalizers, &format!("[]string{{{}}}", list.join(", ")), why);
    }
}

/// Finalizers without a domain are Kubernetes' own (`ValidateObjectMeta` of `pkg/apis/core/validation`).
pub fn finalizer_names(e: &mut Errors, finalizers: &At<'_>) {
    for item in finalizers.items() {
        if !item.text().contains('/') && !KNOWN_FINALIZERS.contains(&item.text()) {
            e.invalid(&item, NOT_QUALIFIED);
        }
    }
}

/// Who has to be done before a namespace ends (`validateFinalizerName`).
pub fn namespace_finalizers(e: &mut Errors, finalizers: &At<'_>) {
    for item in finalizers.items() {
        let at = item.as_path(finalizers.path.clone());
        e.all_invalid(&at, name::qualified_name(item.text()));
        if !item.text().contains('/') && !KNOWN_FINALIZERS.contains(&item.text()) {
            e.invalid(&at, NOT_QUALIFIED);
        }
    }
}

/// `ValidateNoNewFinalizers`.
fn finalizers_added(e: &mut Errors, new: &At<'_>, old: &Value) {
    let there = |item: &At<'_>| old.as_array().is_some_and(|old| old.contains(item.value));
    let added: Vec<String> = new.items().iter().filter(|item| !there(item)).map(|item| quoted(item.text())).collect();
    if !added.is_empty() {
        let why = "no new finalizers can be added if the object is being deleted, found new finalizers";
        e.forbidden(new, &format!("{why} []string{{{}}}", added.join(", ")));
    }
}

/// How many values the operators have that labels and nodes are both selected with.
pub fn values_of_operator(e: &mut Errors, requirement: &At<'_>) {
    let (operator, values) = (requirement.get("operator"), requirement.get("values"));
    match operator.text() {
        "In" | "NotIn" if values.is_empty() => {
            e.required(&values, "must be specified when `operator` is 'In' or 'NotIn'");
        }
        "In" | "NotIn" => {}
        "Exists" | "DoesNotExist" if !values.is_empty() => {
            e.forbidden(&values, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
        }
        "Exists" | "DoesNotExist" => {}
        _ => e.invalid(&operator, "not a valid selector operator"),
    }
}

pub fn label_selector(e: &mut Errors, selector: &At<'_>) {
    labels(e, &selector.get("matchLabels"));
    for requirement in selector.get("matchExpressions").items() {
        values_of_operator(e, &requirement);
        label_name(e, &requirement.get("key"));
        for value in requirement.get("values").items() {
            e.all_invalid(&value, name::label_value(value.text()));
        }
    }
}
