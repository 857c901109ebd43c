//! Environment variables, and the parts of a pod that they and files may show.
//!
//! Source: `ValidateEnv`, `ValidateEnvFrom`, `validateObjectFieldSelector` and `validateContainerResourceFieldSelector`
//! of `pkg/apis/core/validation/validation.go`; `pkg/apis/core/pods/helpers.go`; `pkg/fieldpath/fieldpath.go`.

use super::{meta, resources};
use crate::field::{At, Errors, quoted};
use kit_api::name;

/// The fields of a pod that variables may show.
const SHOWN_FIELDS: [&str; 9] = [
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];
/// The fields that have a name at all.
const NAMED_FIELDS: [&str; 14] = [
    "metadata.annotations",
    "metadata.labels",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.serviceAccountName",
    "spec.schedulerName",
    "status.phase",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];
const SHOWN_RESOURCES: [&str; 6] = [
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
];
const UNITS: [&str; 13] = ["1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"];

/// `env` and `envFrom` of a container.
pub fn environment(e: &mut Errors, container: &At<'_>) {
    for variable in container.get("env").items() {
        let name = variable.get("name");
        match name.text() {
            "" => e.required(&name, ""),
            text => e.all_invalid(&name, name::relaxed_env_var_name(text)),
        }
        value_from(e, &variable);
    }
    let sources = container.get("envFrom");
    for source in sources.items() {
        let prefix = source.get("prefix");
        if !prefix.text().is_empty() {
            e.all_invalid(&prefix, name::relaxed_env_var_name(prefix.text()));
        }
        let said = ["configMapRef", "secretRef"].map(|field| source.get(field));
        for reference in said.iter().filter(|reference| reference.is_set()) {
            let name = reference.get("name");
            match name.text() {
                "" => e.required(&name, ""),
                // The name may be the beginning of one (`ValidateConfigMapName` with `prefix` true).
                text => e.all_invalid(&name, name::dns1123_subdomain(&meta::prefix_name(text))),
            }
        }
        match said.iter().filter(|reference| reference.is_set()).count() {
            0 => e.invalid_as(&sources, "\"\"", "must specify one of: `configMapRef` or `secretRef`"),
            1 => {}
            _ => e.invalid_as(&sources, "\"\"", "may not have more than one field specified at a time"),
        }
    }
}

fn value_from(e: &mut Errors, variable: &At<'_>) {
    let from = variable.get("valueFrom");
    if !from.is_set() {
        return;
    }
    let sources = ["fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef"].map(|field| from.get(field));
    let [field, resource, keys @ ..] = &sources;
    if field.is_set() {
        field_reference(e, field, &SHOWN_FIELDS);
    }
    if resource.is_set() {
        resource_reference(e, resource, false);
    }
    for source in keys.iter().filter(|source| source.is_set()) {
        let name = source.get("name");
        for problem in name::dns1123_subdomain(name.text()) {
            e.invalid_text(&name, &problem);
        }
        match source.get("key").text() {
            "" => e.required(&source.get("key"), ""),
            key => e.all_invalid(&source.get("key"), name::config_map_key(key)),
        }
    }
    let said = sources.iter().filter(|source| source.is_set()).count();
    if said == 0 {
        let why = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`";
        e.invalid_as(&from, "\"\"", why);
    } else if !variable.get("value").text().is_empty() {
        e.invalid_as(&from, "\"\"", "may not be specified when `value` is not empty");
    } else if said > 1 {
        e.invalid_as(&from, "\"\"", "may not have more than one field specified at a time");
    }
}

/// `metadata.labels['a']` as the map and the key in it.
fn subscripted(path: &str) -> Option<(&str, &str)> {
    path.strip_suffix("']")?.split_once("['").filter(|(map, _)| !map.is_empty())
}

/// A field of the pod that is shown in it.
pub fn field_reference(e: &mut Errors, reference: &At<'_>, known: &[&str]) {
    let (version, path) = (reference.get("apiVersion"), reference.get("fieldPath"));
    if version.text().is_empty() {
        return e.required(&version, "");
    }
    if path.text().is_empty() {
        return e.required(&path, "");
    }
    if version.text() != "v1" {
        return e.invalid(&path, &format!("error converting fieldPath: unsupported pod version: {}", version.text()));
    }
    match subscripted(path.text()) {
        Some(("metadata.annotations", key)) => {
            let key = key.to_lowercase();
            name::qualified_name(&key).iter().for_each(|problem| e.invalid_as(reference, &quoted(&key), problem));
        }
        Some(("metadata.labels", key)) => {
            name::qualified_name(key).iter().for_each(|problem| e.invalid_as(reference, &quoted(key), problem));
        }
        Some(_) => {
            let why = "error converting fieldPath: field label does not support subscript";
            e.invalid(&path, &format!("{why}: {}", path.text()));
        }
        _ if !NAMED_FIELDS.contains(&path.text()) => {
            e.invalid(&path, &format!("error converting fieldPath: field label not supported: {}", path.text()));
        }
        _ if !known.contains(&path.text()) => e.not_supported(&path, known),
        _ => {}
    }
}

/// A request or limit that is shown; files must say of which container.
pub fn resource_reference(e: &mut Errors, reference: &At<'_>, of_a_file: bool) {
    let (container, resource) = (reference.get("containerName"), reference.get("resource"));
    let huge = ["requests.hugepages-", "limits.hugepages-"].iter().any(|form| resource.text().starts_with(form));
    if of_a_file && container.text().is_empty() {
        e.required(&container, "");
    } else if resource.text().is_empty() {
        e.required(&resource, "");
    } else if !SHOWN_RESOURCES.contains(&resource.text()) && !huge {
        e.not_supported(&resource, &SHOWN_RESOURCES);
    }
    let divisor = reference.get("divisor");
    let amount = resources::quantity(&divisor);
    if amount.sign() == 0 {
        return;
    }
    let (units, what): (&[&str], &str) = match resource.text() {
        "limits.cpu" | "requests.cpu" => (&["1m", "1"], "cpu"),
        "limits.memory" | "requests.memory" => (&UNITS, "memory"),
        "limits.ephemeral-storage" | "requests.ephemeral-storage" => (&UNITS, "local ephemeral storage"),
        _ if huge => (&UNITS, "hugepages"),
        _ => return,
    };
    if !units.contains(&amount.to_string().as_str()) {
        let known = if what == "cpu" { "1m and 1".to_string() } else { UNITS.join(", ") };
        let why = format!("only divisor's values {known} are supported with the {what} resource");
        e.invalid_as(&divisor, &quoted(resource.text()), &why);
    }
}
