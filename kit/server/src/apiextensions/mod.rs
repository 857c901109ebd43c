//! Custom resources: what a CustomResourceDefinition adds to the API.
//!
//! A definition is checked as upstream checks it ([`rules`], [`openapi`], [`structural`]) and established at once
//! ([`definition`]). From then on
//! its schema gives every object its shape ([`shape`]: unknown fields go, defaults come), and every object is held
//! against it ([`check`], [`lists`], [`cel`]). Source: `apiextensions-apiserver/pkg/apiserver/customresource_handler.go` and
//! `pkg/registry/customresource`. One that is deleted waits for its objects ([`finalizer`]).

mod cel;
pub(super) mod check;
pub(super) mod columns;
pub(super) mod definition;
mod finalizer;
mod formats;
mod lists;
mod openapi;
mod ratchet;
pub(super) mod rules;
pub(super) mod scale;
mod shape;
mod structural;

pub(super) use shape::shape;

use super::field::{At, Errors};
use super::{DeleteOptions, Error, Server};
use kit_apimachinery::object::{Key, Kind, Object};
use kit_apimachinery::resource::{Resource, Subresource, Version};
use regex_lite::Regex;
use serde_json::{Value, json};

/// The schema of a field.
fn child<'a>(schema: &'a Value, name: &str) -> Option<&'a Value> {
    schema.get("properties")?.get(name)
}

/// The schema of all other fields (`additionalProperties`).
fn rest(schema: &Value) -> Option<&Value> {
    schema.get("additionalProperties").filter(|of| of.is_object())
}

/// The schema of a field, whether it is named or one of the rest.
fn of_field<'a>(schema: &'a Value, name: &str) -> Option<&'a Value> {
    child(schema, name).or_else(|| rest(schema))
}

/// The schema of the items of a list.
fn items(schema: &Value) -> Option<&Value> {
    schema.get("items").filter(|of| of.is_object())
}

fn flag(schema: &Value, name: &str) -> bool {
    schema[name] == true
}

/// A pattern of a schema; nothing if it asks for classes of Unicode, which can't be told here and are let through.
///
/// # Errors
///
/// Why it is no pattern.
fn pattern(text: &str) -> Result<Option<Regex>, String> {
    match Regex::new(text) {
        Ok(pattern) => Ok(Some(pattern)),
        Err(_) if ["\\p", "\\P", "[[:"].iter().any(|class| text.contains(class)) => Ok(None),
        Err(why) => Err(why.to_string()),
    }
}

/// Says what is wrong with a new object (`customResourceStrategy.Validate`).
pub(super) fn validate(e: &mut Errors, version: &Version, object: &Value) {
    check::check(e, object, None, &version.schema, "");
    scale::check(e, version, object, true);
    shape::check_embedded(e, &At::root(object), &version.schema);
    lists::check(e, &At::root(object), &version.schema);
    cel::check(e, &version.schema, object, None);
}

/// Says what is wrong with a changed object, but for what was wrong before and hasn't changed (`ValidateUpdate`).
pub(super) fn validate_update(e: &mut Errors, version: &Version, object: &Value, old: &Value) {
    check::check(e, object, Some(old), &version.schema, "");
    scale::check(e, version, object, true);
    around(e, version, object, old);
}

/// The same of a write of the status (`ValidateStatusUpdate`).
pub(super) fn validate_status(e: &mut Errors, version: &Version, object: &Value, old: &Value) {
    if let (Some(status), Some(of)) = (object.get("status"), child(&version.schema, "status")) {
        check::check(e, status, old.get("status"), of, "status");
    }
    scale::check(e, version, object, false);
    around(e, version, object, old);
}

fn around(e: &mut Errors, version: &Version, object: &Value, old: &Value) {
    shape::check_embedded(e, &At::root(object), &version.schema);
    let mut before = Errors::default();
    lists::check(&mut before, &At::root(old), &version.schema);
    if before.0.is_empty() {
        lists::check(e, &At::root(object), &version.schema);
    }
    cel::check(e, &version.schema, object, Some(old));
}

impl Server {
    /// The kinds that definitions define.
    pub fn custom_kinds(&self) -> impl Iterator<Item = Kind> {
        self.custom.values().map(|resource| resource.as_kind())
    }

    /// Takes a definition as it was written: its names are accepted if nobody has them, and then it is served.
    pub(super) fn definition_written(&mut self, key: &Key) -> Result<(), Error> {
        let value = self.get(key)?.to_value();
        let mut status = value["status"].clone();
        definition::accept_names(&mut status, &value, self.definitions(), &self.stamp());
        if status != value["status"] {
            let mut value = value;
            value["status"] = status;
            let object = Object::from_value(key.kind, value).map_err(|e| Error::internal(e.to_string()))?;
            // The write comes back here, and finds nothing more to change.
            return self.write(key, object).map(|_| ());
        }
        self.serve_definition(&value);
        Ok(())
    }

    /// Serves what a definition defines, if its names were accepted.
    pub(super) fn serve_definition(&mut self, definition: &Value) {
        if definition::is_true(definition, "Established") {
            self.define(definition);
        }
    }

    /// All definitions that are there.
    fn definitions(&self) -> impl Iterator<Item = Value> {
        let kind = Resource::all().iter().find(|resource| resource.kind == "CustomResourceDefinition");
        let all = kind.into_iter().flat_map(|resource| self.state.list(resource.as_kind()));
        all.map(|stored| stored.to_value()).collect::<Vec<_>>().into_iter()
    }

    /// Takes away what a definition defined, and all objects of it: what is left if somebody took its finalizer away.
    pub(super) fn definition_removed(&mut self, definition: &Value) {
        let spec = &definition["spec"];
        let is = |resource: &Resource| {
            spec["group"] == resource.group.as_str() && spec["names"]["plural"] == resource.plural.as_str()
        };
        let gone: Vec<&'static Resource> = self.custom.values().copied().filter(|resource| is(resource)).collect();
        for resource in gone {
            let keys: Vec<Key> = self.state.list(resource.as_kind()).map(|stored| stored.key.clone()).collect();
            for key in keys {
                _ = self.delete_object(&key, &DeleteOptions::default());
                _ = self.remove(&key);
            }
        }
        self.custom.retain(|_, resource| !is(resource));
    }

    /// Serves what a definition defines, from now on.
    fn define(&mut self, definition: &Value) {
        let spec = &definition["spec"];
        let names = &spec["names"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
        let list = |value: &Value| value.as_array().into_iter().flatten().map(text).collect::<Vec<_>>();
        let mine = |resource: &Resource| {
            spec["group"] == resource.group.as_str() && names["plural"] == resource.plural.as_str()
        };
        let served = |version: &Value| version["served"] == true;
        let versions: Vec<&Value> = spec["versions"].as_array().into_iter().flatten().filter(|v| served(v)).collect();
        let kept = |resource: &Resource| versions.iter().any(|version| version["name"] == resource.version.as_str());
        self.custom.retain(|_, resource| !mine(resource) || kept(resource));
        for version in versions {
            let (group, version_name) = (text(&spec["group"]), text(&version["name"]));
            let kind = text(&names["kind"]);
            let verbs = |verbs: &[&str]| verbs.iter().map(ToString::to_string).collect::<Vec<_>>();
            let singular = names["singular"].as_str().map_or_else(|| kind.to_lowercase(), str::to_string);
            let mut subresources = Vec::new();
            for (name, of) in [("scale", "Scale"), ("status", kind.as_str())] {
                if version["subresources"].get(name).is_some() {
                    let scale = name == "scale";
                    subresources.push(Subresource {
                        name: name.into(),
                        kind: of.into(),
                        group_version: scale.then(|| ("autoscaling".into(), "v1".into())),
                        verbs: verbs(&["get", "patch", "update"]),
                    });
                }
            }
            let schema = version["schema"]["openAPIV3Schema"].clone();
            let resource = Resource {
                api_version: format!("{group}/{version_name}"),
                plural: text(&names["plural"]),
                singular,
                short_names: list(&names["shortNames"]),
                categories: list(&names["categories"]),
                namespaced: spec["scope"] == "Namespaced",
                verbs: verbs(&["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"]),
                subresources,
                custom: true,
                kept_as: None,
                definition: Some(Version {
                    schema: if schema.is_null() { json!({}) } else { schema },
                    columns: version["additionalPrinterColumns"].clone(),
                    scale: version["subresources"]["scale"].clone(),
                    selectable: version["selectableFields"]
                        .as_array()
                        .into_iter()
                        .flatten()
                        .map(|field| text(&field["jsonPath"]).trim_start_matches('.').to_string())
                        .collect(),
                }),
                group,
                version: version_name,
                kind,
            };
            let key = (resource.group.clone(), resource.version.clone(), resource.plural.clone());
            // A kind is a name that can be copied, so what it names lives as long as the process. Definitions are few,
            // and one that is sent again unchanged is the same resource.
            if self.custom.get(&key).is_none_or(|there| !is_like(there, &resource)) {
                self.custom.insert(key, Box::leak(Box::new(resource)));
            }
        }
    }
}

/// Whether two resources say the same, beyond being the same one by their names.
fn is_like(one: &Resource, other: &Resource) -> bool {
    let said = |of: &Resource| {
        let Resource { kind, singular, short_names, categories, namespaced, subresources, definition, .. } = of.clone();
        (kind, singular, short_names, categories, namespaced, subresources, definition)
    };
    said(one) == said(other)
}
