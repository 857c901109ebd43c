//! CustomResourceDefinitions themselves: defaults, rules, and the status that says whether they are served.
//!
//! Sources: `apiextensions-apiserver/pkg/apis/apiextensions/{v1/defaults.go,v1/conversion.go,validation/validation.go}`,
//! `pkg/registry/customresourcedefinition/strategy.go`, `pkg/controller/status/naming_controller.go`.

use super::{flag, items, structural};
use crate::server::custom::check;
use crate::server::field::{At, Errors, quoted};
use crate::server::rules::{default_to, map_in};
use kit_api::name;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const TYPES: [&str; 6] = ["array", "boolean", "integer", "number", "object", "string"];
const COLUMN_TYPES: [&str; 5] = ["boolean", "date", "integer", "number", "string"];
const COLUMN_FORMATS: [&str; 8] = ["byte", "date", "date-time", "double", "float", "int32", "int64", "password"];

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

/// `SetDefaults_CustomResourceDefinitionSpec`.
pub fn default(object: &mut Value) {
    let spec = map_in(object, "spec");
    default_to(spec, "conversion", json!({"strategy": "None"}));
    let Some(names) = spec.get_mut("names").and_then(Value::as_object_mut) else { return };
    let kind = names.get("kind").and_then(Value::as_str).unwrap_or_default().to_string();
    default_to(names, "singular", kind.to_lowercase());
    if !kind.is_empty() {
        default_to(names, "listKind", format!("{kind}List"));
    }
}

/// What the server knows of a new or changed definition: in which versions objects may be stored.
pub fn remember_storage(object: &mut Value) {
    let storage = object["spec"]["versions"].as_array().into_iter().flatten().find(|v| v["storage"] == true);
    let Some(name) = storage.map(|version| version["name"].clone()) else { return };
    let status = map_in(object, "status");
    default_to(status, "conditions", json!([]));
    default_to(status, "acceptedNames", json!({"plural": "", "kind": ""}));
    let stored = status.entry("storedVersions").or_insert_with(|| json!([]));
    match stored.as_array_mut() {
        Some(stored) if stored.contains(&name) => {}
        Some(stored) => stored.push(name),
        None => *stored = json!([name]),
    }
}

/// Whether a condition holds.
pub fn is_true(definition: &Value, condition: &str) -> bool {
    let conditions = definition["status"]["conditions"].as_array().into_iter().flatten();
    conditions.into_iter().any(|there| there["type"] == condition && there["status"] == "True")
}

fn set_condition(status: &mut Value, now: &str, (type_, is, reason, message): (&str, &str, &str, &str)) {
    let mut condition = json!({
        "type": type_, "status": is, "lastTransitionTime": now, "reason": reason, "message": message,
    });
    let conditions = map_in_list(status, "conditions");
    match conditions.iter_mut().find(|there| there["type"] == type_) {
        Some(there) => {
            if there["status"] == is {
                condition["lastTransitionTime"] = there["lastTransitionTime"].clone();
            }
            *there = condition;
        }
        None => conditions.push(condition),
    }
}

fn map_in_list<'a>(status: &'a mut Value, name: &str) -> &'a mut Vec<Value> {
    if !status[name].is_array() {
        status[name] = json!([]);
    }
    status[name].as_array_mut().expect("it was made one")
}

/// Accepts the names that nobody else in the group has, and says so (`calculateNamesAndConditions`).
pub fn accept_names(status: &mut Value, definition: &Value, all: impl Iterator<Item = Value>, now: &str) {
    let names = &definition["spec"]["names"];
    let own = definition["metadata"]["name"].clone();
    let (mut resources, mut kinds) = (BTreeSet::new(), BTreeSet::new());
    let others = all.filter(|there| there["spec"]["group"] == definition["spec"]["group"]);
    for there in others.filter(|there| there["metadata"]["name"] != own) {
        let accepted = &there["status"]["acceptedNames"];
        let text = |field: &str| accepted[field].as_str().map(str::to_string);
        resources.extend(["plural", "singular"].into_iter().filter_map(text));
        let short = accepted["shortNames"].as_array().into_iter().flatten();
        resources.extend(short.filter_map(|name| name.as_str().map(str::to_string)));
        kinds.extend(["kind", "listKind"].into_iter().filter_map(text));
    }
    let mut accepted = status["acceptedNames"].clone();
    let mut refused: Option<(String, String)> = None;
    let in_use =
        |name: &str, used: &BTreeSet<String>| used.contains(name).then(|| format!("{name:?} is already in use"));
    for (field, used, reason) in [
        ("plural", &resources, "PluralConflict"),
        ("singular", &resources, "SingularConflict"),
        ("shortNames", &resources, "ShortNamesConflict"),
        ("kind", &kinds, "KindConflict"),
        ("listKind", &kinds, "ListKindConflict"),
    ] {
        let wanted = names[field].clone();
        if wanted == accepted[field] || wanted.is_null() {
            continue;
        }
        let problems: Vec<String> = match &wanted {
            Value::Array(list) => list.iter().filter_map(|name| in_use(name.as_str()?, used)).collect(),
            name => in_use(name.as_str().unwrap_or_default(), used).into_iter().collect(),
        };
        match &problems[..] {
            [] => accepted[field] = wanted,
            [one] => refused = Some((reason.into(), one.clone())),
            many => refused = Some((reason.into(), format!("[{}]", many.join(", ")))),
        }
    }
    if !names["categories"].is_null() {
        accepted["categories"] = names["categories"].clone();
    }
    status["acceptedNames"] = accepted;
    let established = is_true(definition, "Established");
    match &refused {
        Some((reason, why)) => {
            set_condition(status, now, ("NamesAccepted", "False", reason, why));
            if !established {
                set_condition(status, now, ("Established", "False", "NotAccepted", "not all names are accepted"));
            }
        }
        None => {
            set_condition(status, now, ("NamesAccepted", "True", "NoConflicts", "no conflicts found"));
            if !established {
                let why = "the initial names have been accepted";
                set_condition(status, now, ("Established", "True", "InitialNamesAccepted", why));
            }
        }
    }
}

/// What all versions say alike is moved to the top before it is checked, which shows in paths (`conversion.go`).
fn shared<'a>(spec: &At<'a>, field: &str) -> Option<At<'a>> {
    let versions = spec.get("versions").items();
    let first = versions.first()?.get(field);
    versions.iter().all(|version| version.get(field).value == first.value).then_some(first)
}

/// Says what is wrong with a definition (`ValidateCustomResourceDefinition`).
pub fn check(e: &mut Errors, definition: &At<'_>) {
    let spec = definition.get("spec");
    let (group, plural) = (spec.get("group"), spec.at("names.plural"));
    let expected = format!("{}.{}", plural.text(), group.text());
    if definition.at("metadata.name").text() != expected {
        e.invalid(&definition.at("metadata.name"), "must be spec.names.plural+\".\"+spec.group");
    }
    let problems = name::dns1123_subdomain(group.text());
    match group.text() {
        "" => e.required(&group, ""),
        _ if !problems.is_empty() => e.invalid(&group, &problems.join(",")),
        text if !text.contains('.') => e.invalid(&group, "should be a domain with at least one dot"),
        _ => {}
    }
    e.one_of(&spec.get("scope"), &["Cluster", "Namespaced"]);
    let versions = spec.get("versions").items();
    for version in &versions {
        let schema = version.at("schema.openAPIV3Schema");
        if !schema.is_set() {
            e.required(&schema, "schemas are required");
        }
    }
    let [schema, subresources, columns] =
        ["schema", "subresources", "additionalPrinterColumns"].map(|field| shared(&spec, field).filter(At::is_set));
    let mut names = BTreeSet::new();
    for version in &versions {
        let name = version.get("name");
        let problems = name::dns1035_label(name.text());
        if !problems.is_empty() {
            e.invalid(&name, &problems.join(","));
        }
        check_version(e, version, [schema.is_some(), subresources.is_some(), columns.is_some()]);
        names.insert(name.text());
    }
    let all = spec.get("versions");
    let moved = [schema.is_some(), subresources.is_some(), columns.is_some()];
    if names.len() != versions.len() {
        e.invalid_as(&all, &dump(&versions, moved), "must contain unique version names");
    }
    if versions.iter().filter(|version| version.get("storage").flag()).count() != 1 {
        e.invalid_as(&all, &dump(&versions, moved), "must have exactly one version marked as storage version");
    }
    for field in ["plural", "singular", "kind", "listKind"] {
        if spec.get("names").get(field).text().is_empty() {
            e.required(&spec.get("names").get(field), "");
        }
    }
    check_names(e, &spec.get("names"));
    let at = |field: &str, path: &str, at: &Option<At<'_>>| {
        let value = at.as_ref().map_or(Value::Null, |at| at.value.clone());
        (value, format!("{}.{}", spec.get(field).path, path).trim_end_matches('.').to_string())
    };
    let has_status = versions.iter().any(|version| version.at("subresources.status").is_set());
    let (value, path) = at("validation", "", &schema);
    check_schema(e, &At { value: &value, path }.get("openAPIV3Schema"), has_status);
    let (value, path) = at("subresources", "", &subresources);
    check_subresources(e, &At { value: &value, path });
    let (value, path) = at("additionalPrinterColumns", "", &columns);
    At { value: &value, path }.items().iter().for_each(|column| check_column(e, column));
    check_conversion(e, &spec.get("conversion"));
    if is_protected(group.text()) {
        let key = "api-approved.kubernetes.io";
        let said = definition.at("metadata.annotations").key(key);
        let bypassed = said.text().starts_with("unapproved") || said.text().starts_with("https://");
        let why = "protected groups must have approval annotation \"api-approved.kubernetes.io\", see \
                   https://github.com/kubernetes/enhancements/pull/1111";
        if said.text().is_empty() {
            e.required(&said, why);
        } else if !bypassed {
            let why = format!("{why} with either a URL or a reason starting with \"unapproved\"");
            e.invalid(&said, why.as_str());
        }
    }
}

fn is_protected(group: &str) -> bool {
    ["k8s.io", "kubernetes.io"].iter().any(|of| group == *of || group.ends_with(&format!(".{of}")))
}

fn check_version(e: &mut Errors, version: &At<'_>, [schema, subresources, columns]: [bool; 3]) {
    let warning = version.get("deprecationWarning");
    if warning.is_set() && !version.get("deprecated").flag() {
        e.invalid(&warning, "can only be set for deprecated versions");
    } else if warning.is_set() && warning.text().is_empty() {
        e.invalid(&warning, "must not be an empty string");
    } else if warning.text().len() > 256 {
        e.invalid(&warning, "must be <= 256 characters long");
    }
    if !schema {
        let has_status = version.at("subresources.status").is_set();
        check_schema(e, &version.at("schema.openAPIV3Schema"), has_status);
    }
    if !subresources {
        check_subresources(e, &version.get("subresources"));
    }
    if !columns {
        version.get("additionalPrinterColumns").items().iter().for_each(|column| check_column(e, column));
    }
}

fn check_names(e: &mut Errors, names: &At<'_>) {
    let label = |e: &mut Errors, at: &At<'_>, text: &str, prefix: &str| {
        let problems = name::dns1035_label(text);
        if !text.is_empty() && !problems.is_empty() {
            e.invalid(at, &format!("{prefix}{}", problems.join(",")));
        }
    };
    for field in ["plural", "singular"] {
        let at = names.get(field);
        label(e, &at, at.text(), "");
    }
    for field in ["kind", "listKind"] {
        let at = names.get(field);
        label(e, &at, &at.text().to_lowercase(), "may have mixed case, but should otherwise match: ");
    }
    for short in names.get("shortNames").items() {
        label(e, &short, short.text(), "");
    }
    let list = names.get("listKind");
    if !list.text().is_empty() && list.text() == names.get("kind").text() {
        e.invalid(&list, "kind and listKind may not be the same");
    }
    for category in names.get("categories").items() {
        label(e, &category, category.text(), "");
    }
}

fn simple_path(e: &mut Errors, at: &At<'_>) -> bool {
    let fits = at.text().starts_with('.');
    if !fits {
        e.invalid(at, "must be a simple json path starting with .");
    }
    fits
}

fn check_subresources(e: &mut Errors, subresources: &At<'_>) {
    let scale = subresources.get("scale");
    if !scale.is_set() {
        return;
    }
    for (field, under) in [("specReplicasPath", ".spec."), ("statusReplicasPath", ".status.")] {
        let at = scale.get(field);
        if at.text().is_empty() {
            e.required(&at, "");
        } else if simple_path(e, &at) && !at.text().starts_with(under) {
            e.invalid(&at, &format!("should be a json path under {}", under.trim_end_matches('.')));
        }
    }
    let at = scale.get("labelSelectorPath");
    let under = |text: &str| text.starts_with(".spec.") || text.starts_with(".status.");
    if !at.text().is_empty() && simple_path(e, &at) && !under(at.text()) {
        e.invalid(&at, "should be a json path under either .spec or .status");
    }
}

fn check_column(e: &mut Errors, column: &At<'_>) {
    if column.get("name").text().is_empty() {
        e.required(&column.get("name"), "");
    }
    let (type_, types) = (column.get("type"), format!("must be one of {}", COLUMN_TYPES.join(",")));
    match type_.text() {
        "" => e.required(&type_, &types),
        text if !COLUMN_TYPES.contains(&text) => e.invalid(&type_, &types),
        _ => {}
    }
    let format = column.get("format");
    if !format.text().is_empty() && !COLUMN_FORMATS.contains(&format.text()) {
        e.invalid(&format, &format!("must be one of {}", COLUMN_FORMATS.join(",")));
    }
    let path = At { path: column.get("JSONPath").path, ..column.get("jsonPath") };
    match path.text() {
        "" => e.required(&path, ""),
        _ => _ = simple_path(e, &path),
    }
}

fn check_conversion(e: &mut Errors, conversion: &At<'_>) {
    if conversion.is_set() {
        e.one_of(&conversion.get("strategy"), &["None", "Webhook"]);
    }
}

/// One schema (`validateCustomResourceDefinitionValidation`).
fn check_schema(e: &mut Errors, schema: &At<'_>, has_status: bool) {
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
    open_api(e, schema, &Inside { root: true, ..Inside::default() });
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
            e.invalid_as(&default, &super::shape::go(default.value), "must not have unknown fields");
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
}

/// What the OpenAPI part of a schema may say (`ValidateCustomResourceDefinitionOpenAPISchema`).
fn open_api(e: &mut Errors, at: &At<'_>, inside: &Inside) {
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
    let deeper = Inside { root: false, ..inside.clone() };
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
            open_api(e, &rest, &of);
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
        open_api(e, &at.get("properties").key(name), &of);
    }
    if at.get("not").is_set() {
        open_api(e, &at.get("not"), &deeper);
    }
    for junctor in ["allOf", "oneOf", "anyOf"] {
        at.get(junctor).items().iter().for_each(|item| open_api(e, item, &deeper));
    }
    if at.get("items").value.is_object() {
        open_api(e, &at.get("items"), &deeper);
    }
    let preserve = at.get("x-kubernetes-preserve-unknown-fields");
    if *preserve.value == false {
        e.invalid(&preserve, "must be true or undefined");
    }
    topology(e, at);
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

/// The versions as `%#v` shows them; addresses are always the same here.
fn dump(versions: &[At<'_>], [schema, subresources, columns]: [bool; 3]) -> String {
    let pointer = |at: At<'_>, moved: bool, of: &str| match at.is_set() && !moved {
        true => format!("(*{of})(0xc000000000)"),
        false => format!("(*{of})(nil)"),
    };
    let column = |at: &At<'_>| {
        let text = |field: &str| quoted(at.get(field).text());
        format!(
            "apiextensions.CustomResourceColumnDefinition{{Name:{}, Type:{}, Format:{}, Description:{}, Priority:{}, \
             JSONPath:{}}}",
            text("name"),
            text("type"),
            text("format"),
            text("description"),
            at.get("priority").int().unwrap_or_default(),
            text("jsonPath")
        )
    };
    let version = |at: &At<'_>| {
        let list: Vec<String> = at.get("additionalPrinterColumns").items().iter().map(column).collect();
        let of = "[]apiextensions.CustomResourceColumnDefinition";
        let shown =
            if columns || list.is_empty() { format!("{of}(nil)") } else { format!("{of}{{{}}}", list.join(", ")) };
        format!(
            "apiextensions.CustomResourceDefinitionVersion{{Name:{}, Served:{}, Storage:{}, Deprecated:{}, \
             DeprecationWarning:{}, Schema:{}, Subresources:{}, AdditionalPrinterColumns:{shown}, \
             SelectableFields:[]apiextensions.SelectableField(nil)}}",
            quoted(at.get("name").text()),
            at.get("served").flag(),
            at.get("storage").flag(),
            at.get("deprecated").flag(),
            pointer(at.get("deprecationWarning"), false, "string"),
            pointer(at.get("schema"), schema, "apiextensions.CustomResourceValidation"),
            pointer(at.get("subresources"), subresources, "apiextensions.CustomResourceSubresources"),
        )
    };
    let all: Vec<String> = versions.iter().map(version).collect();
    format!("[]apiextensions.CustomResourceDefinitionVersion{{{}}}", all.join(", "))
}
