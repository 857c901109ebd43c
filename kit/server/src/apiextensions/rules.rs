//! What a CustomResourceDefinition may say.
//!
//! Sources: `apiextensions-apiserver/pkg/apis/apiextensions/{validation/validation.go,v1/conversion.go}`.

use super::openapi::check_schema;
use crate::field::{At, Errors, quoted};
use crate::go;
use kit_api::name;
use serde_json::Value;
use std::collections::BTreeSet;

const COLUMN_TYPES: [&str; 5] = ["boolean", "date", "integer", "number", "string"];
const COLUMN_FORMATS: [&str; 8] = ["byte", "date", "date-time", "double", "float", "int32", "int64", "password"];

/// What all versions say alike is moved to the top before it is checked, which shows in paths (`conversion.go`).
fn shared<'a>(spec: &At<'a>, field: &str) -> Option<At<'a>> {
    let versions = spec.get("versions").items();
    let first = versions.first()?.get(field);
    versions.iter().all(|version| version.get(field).value == first.value).then_some(first)
}

/// A version in which objects may be in the store stays (`ValidateCustomResourceDefinitionStoredVersions`).
fn check_stored(e: &mut Errors, stored: &At<'_>, versions: &[At<'_>]) {
    if stored.is_empty() {
        return e.invalid_as(stored, "[]string(nil)", "must have at least one stored version");
    }
    let (all, names) = (stored.items(), |version: &At<'_>| version.get("name").text().to_string());
    for version in versions.iter().filter(|version| version.get("storage").flag()).map(names) {
        if !all.iter().any(|stored| stored.text() == version) {
            e.invalid_as(stored, &go::strings(stored.value), &format!("must have the storage version {version}"));
        }
    }
    for gone in all.iter().filter(|stored| !versions.iter().any(|version| names(version) == stored.text())) {
        let name = gone.text();
        let why = format!(
            "missing from spec.versions; {name} was previously a storage version, and must remain in spec.versions until a \
             storage migration ensures no data remains persisted in {name} and removes {name} from status.storedVersions"
        );
        e.invalid(gone, &why);
    }
}

/// Says what is wrong with a definition (`ValidateCustomResourceDefinition`).
pub fn check(e: &mut Errors, definition: &At<'_>) {
    let spec = definition.get("spec");
    let (group, plural) = (spec.get("group"), spec.at("names.plural"));
    let expected = format!("{}.{}", plural.text(), group.text());
    for field in ["metadata.generateName", "metadata.name"] {
        let name = definition.at(field);
        if !name.text().is_empty() && name.text() != expected {
            e.invalid(&name, "must be spec.names.plural+\".\"+spec.group");
        }
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
    check_stored(e, &definition.at("status.storedVersions"), &versions);
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
