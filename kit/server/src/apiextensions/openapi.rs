//! What the schema of a definition may say: the OpenAPI part, and the defaults in it. Whether it is structural is told by
//! [`structural`].
//!
//! Source: `ValidateCustomResourceDefinitionOpenAPISchema` of
//! `apiextensions-apiserver/pkg/apis/apiextensions/validation/validation.go`, and
//! `pkg/apiserver/schema/defaulting/validation.go`.

use super::{cel, check, flag, items, structural};
use crate::field::{At, Errors, quoted};
use std::collections::BTreeSet;

const TYPES: [&str; 6] = ["array", "boolean", "integer", "number", "object", "string"];

/// What may stand at the root of a schema whose status is written apart, by the names that Go has for it.
const AT_ROOT: [&str; 22] = [
    "Description",
    "Type",
    "Format",
    "Title",
    "Maximum",
    "ExclusiveMaximum",
    "Minimum",
    "ExclusiveMinimum",
    "MaxLength",
    "MinLength",
    "Pattern",
    "MaxItems",
    "MinItems",
    "UniqueItems",
    "MultipleOf",
    "Required",
    "Items",
    "Properties",
    "ExternalDocs",
    "Example",
    "XPreserveUnknownFields",
    "XValidations",
];

/// The name of a field in JSON.
fn json_name(go: &str) -> String {
    match go {
        "XPreserveUnknownFields" => "x-kubernetes-preserve-unknown-fields".into(),
        "XValidations" => "x-kubernetes-validations".into(),
        _ => go[..1].to_lowercase() + &go[1..],
    }
}

/// One schema (`validateCustomResourceDefinitionValidation`).
pub fn check_schema(e: &mut Errors, schema: &At<'_>, has_status: bool) {
    if !schema.is_set() {
        return;
    }
    if has_status && !schema.get("type").text().is_empty() && schema.get("type").text() != "object" {
        let why =
            "only \"object\" is allowed as the type at the root of the schema if the status subresource is enabled";
        e.invalid(&schema.get("type"), why);
    }
    let foreign = |name: &String| !AT_ROOT.iter().any(|known| json_name(known) == *name);
    if has_status && schema.value.as_object().is_some_and(|fields| fields.keys().any(foreign)) {
        let why = format!(
            "only [{}] fields are allowed at the root of the schema if the status subresource is enabled",
            AT_ROOT.join(" ")
        );
        // Upstream shows the whole schema here, as Go has it.
        e.invalid_as(schema, "apiextensions.JSONSchemaProps", &why);
    }
    if schema.get("nullable").flag() {
        e.forbidden(&schema.get("nullable"), "nullable cannot be true at the root");
    }
    if structural::can_be_read(schema.value) {
        let before = e.0.len();
        structural::check(e, schema);
        if e.0.len() == before {
            defaults(e, schema, true);
        }
    }
    // Rules are looked at only where everything around them is right; what is wrong with them is told last.
    let mut rules = Errors::default();
    open_api(e, &mut rules, schema, &Inside { root: true, ..Inside::default() });
    e.0.append(&mut rules.0);
}

/// A default must be an object that could be stored (`ValidateDefaults`).
fn defaults(e: &mut Errors, at: &At<'_>, root: bool) {
    let schema = at.value;
    let default = at.get("default");
    if default.is_set() {
        let mut pruned = default.value.clone();
        let object = root || flag(schema, "x-kubernetes-embedded-resource");
        super::shape::prune(&mut pruned, schema, object);
        if pruned != *default.value {
            e.invalid_as(&default, &kit_apimachinery::go::dump(default.value), "must not have unknown fields");
        }
        let mut inner = Errors::default();
        let mut of = schema.clone();
        of["x-kubernetes-embedded-resource"] = object.into();
        super::shape::check_embedded(&mut inner, &default, &of);
        match inner.0.is_empty() {
            true => check::check(e, default.value, None, schema, &default.path),
            false => e.0.extend(inner.0),
        }
    }
    if items(schema).is_some() {
        defaults(e, &at.get("items"), false);
    }
    for (name, _) in at.get("properties").entries() {
        defaults(e, &at.get("properties").key(name), false);
    }
}

/// Where in a schema we are.
#[derive(Clone, Default)]
struct Inside {
    root: bool,
    /// In the metadata of an object.
    meta: bool,
    /// Why there may be no defaults here.
    no_defaults: Option<String>,
    /// The list or map around it whose items can't be found again in another version of the object.
    apart: Option<String>,
}

/// What the OpenAPI part of a schema may say (`ValidateCustomResourceDefinitionOpenAPISchema`).
fn open_api(e: &mut Errors, rules: &mut Errors, at: &At<'_>, inside: &Inside) {
    let type_ = at.get("type");
    if !type_.text().is_empty() && !TYPES.contains(&type_.text()) {
        e.not_supported(&type_, &TYPES);
    }
    if let Some(why) = inside.no_defaults.as_ref().filter(|_| at.get("default").is_set()) {
        e.forbidden(&at.get("default"), &format!("must not be set {why}"));
    }
    for name in ["id", "additionalItems", "patternProperties", "definitions", "dependencies", "$ref"] {
        if at.get(name).is_set() {
            e.forbidden(&at.get(name), &format!("{name} is not supported"));
        }
    }
    if type_.text() == "null" {
        e.forbidden(&type_, "type cannot be set to null, use nullable as an alternative");
    }
    if at.get("items").value.is_array() {
        e.forbidden(&at.get("items"), "items must be a schema object and not an array");
    }
    let embedded = at.get("x-kubernetes-embedded-resource");
    if inside.meta && embedded.flag() {
        e.forbidden(&embedded, "must not be used inside of resource meta");
    }
    if at.get("uniqueItems").flag() {
        let why = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
        e.forbidden(&at.get("uniqueItems"), why);
    }
    let mut deeper = Inside { root: false, ..inside.clone() };
    let apart = match type_.text() {
        "array" => at.get("x-kubernetes-list-type").text() != "map",
        _ => at.get("x-kubernetes-map-type").text() == "atomic",
    };
    if apart && deeper.apart.is_none() {
        deeper.apart = Some(at.path.clone());
    }
    let before = e.0.len();
    let rest = at.get("additionalProperties");
    if rest.is_set() {
        if !at.get("properties").is_empty() && *rest.value != true {
            e.forbidden(&rest, "additionalProperties and properties are mutual exclusive");
        }
        let mut of = deeper.clone();
        if inside.meta {
            of.no_defaults = Some("inside additionalProperties applying to object metadata".into());
        }
        if rest.value.is_object() {
            open_api(e, rules, &rest, &of);
        }
    }
    for (name, _) in at.get("properties").entries() {
        let mut of = deeper.clone();
        if (inside.root || embedded.flag()) && super::shape::OF_ALL.contains(&name) {
            of.meta = true;
            if inside.root {
                of.no_defaults = Some(format!("in top-level {name}"));
            }
        }
        open_api(e, rules, &at.get("properties").key(name), &of);
    }
    if at.get("not").is_set() {
        open_api(e, rules, &at.get("not"), &deeper);
    }
    for junctor in ["allOf", "oneOf", "anyOf"] {
        at.get(junctor).items().iter().for_each(|item| open_api(e, rules, item, &deeper));
    }
    if at.get("items").value.is_object() {
        open_api(e, rules, &at.get("items"), &deeper);
    }
    let preserve = at.get("x-kubernetes-preserve-unknown-fields");
    if *preserve.value == false {
        e.invalid(&preserve, "must be true or undefined");
    }
    topology(e, at);
    if e.0.len() == before && at.value.get("x-kubernetes-validations").is_some() {
        cel::check_definition(e, rules, at, inside.root || embedded.flag(), inside.apart.as_deref());
    }
}

/// What is said of lists and maps as a whole.
fn topology(e: &mut Errors, at: &At<'_>) {
    let type_ = at.get("type");
    let (map, list, keys) =
        (at.get("x-kubernetes-map-type"), at.get("x-kubernetes-list-type"), at.get("x-kubernetes-list-map-keys"));
    for (of, name, wanted) in [(&map, "map", "object"), (&list, "list", "array")] {
        let why = format!("must be {wanted} if x-kubernetes-{name}-type is specified");
        match type_.text() {
            _ if !of.is_set() => {}
            "" => e.required(&type_, &why),
            text if text != wanted => e.invalid(&type_, &why),
            _ => {}
        }
        let known: &[&str] = if name == "map" { &["atomic", "granular"] } else { &["atomic", "set", "map"] };
        if name == "list" && of.is_set() && type_.text() == "array" && list.text() == "set" {
            items_of_set(e, at);
        }
        if of.is_set() && !known.contains(&of.text()) {
            e.not_supported(of, known);
        }
    }
    if !keys.is_empty() && list.text() != "map" {
        let why = "must be map if x-kubernetes-list-map-keys is non-empty";
        if list.is_set() { e.invalid(&list, why) } else { e.required(&list, why) }
    }
    let of = at.get("items");
    if list.text() == "map" {
        if keys.is_empty() {
            e.required(&keys, "must not be empty if x-kubernetes-list-type is map");
        }
        if !of.is_set() {
            e.required(&of, "must have a schema if x-kubernetes-list-type is map");
        }
        if of.value.is_object() && of.get("type").text() != "object" {
            let why = "must be object if parent array's x-kubernetes-list-type is map";
            e.invalid_as(&of.get("type"), &quoted(of.get("type").text()), why);
        }
        if of.get("type").text() == "object" {
            keys_of_map(e, &of, &keys);
        }
    }
    if !of.value.is_object() || !["set", "map"].contains(&list.text()) {
        return;
    }
    if of.get("nullable").flag() {
        let why = format!("cannot be nullable when x-kubernetes-list-type is {}", list.text());
        e.forbidden(&of.get("nullable"), &why);
    }
    if list.text() == "map" {
        let required = |name: &str| of.get("required").items().iter().any(|item| item.text() == name);
        for key in keys.items() {
            let field = of.get("properties").key(key.text());
            if !field.is_set() {
                continue;
            }
            let why = "this property is in x-kubernetes-list-map-keys, so it";
            if !required(key.text()) && !field.get("default").is_set() {
                e.required(&field.get("default"), &format!("{why} must have a default or be a required property"));
            }
            if field.get("nullable").flag() {
                e.forbidden(&field.get("nullable"), &format!("{why} cannot be nullable"));
            }
        }
    }
}

fn items_of_set(e: &mut Errors, at: &At<'_>) {
    let of = at.get("items");
    let why = "must be atomic as item of a list with x-kubernetes-list-type=set";
    let (list, map) = (of.get("x-kubernetes-list-type"), of.get("x-kubernetes-map-type"));
    match of.get("type").text() {
        "array" if list.is_set() && list.text() != "atomic" => e.invalid(&list, why),
        // Upstream shows the other field here.
        "object" if map.text() != "atomic" => {
            let shown = if list.is_set() { quoted(list.text()) } else { quoted("null") };
            e.invalid_as(&map, &shown, why);
        }
        _ => {}
    }
}

fn keys_of_map(e: &mut Errors, of: &At<'_>, keys: &At<'_>) {
    let shown = || {
        let all: Vec<String> = keys.items().iter().map(|key| quoted(key.text())).collect();
        format!("[]string{{{}}}", all.join(", "))
    };
    let mut seen = BTreeSet::new();
    for key in keys.items() {
        let field = of.get("properties").key(key.text());
        if !field.is_set() {
            e.invalid_as(keys, &shown(), "entries must all be names of item properties");
        } else if ["array", "object"].contains(&field.get("type").text()) {
            let why = "must be a scalar type if parent array's x-kubernetes-list-type is map";
            e.invalid_as(&field.get("type"), &quoted(of.get("type").text()), why);
        }
        if !seen.insert(key.text()) {
            e.invalid_as(keys, &shown(), "must not contain duplicate entries");
        }
    }
}
