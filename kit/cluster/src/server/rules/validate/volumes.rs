//! Volumes of pods, and where containers mount them.
//!
//! Source: `ValidateVolumes` and `ValidateVolumeMounts` of `pkg/apis/core/validation/validation.go`.

use super::resources;
use crate::server::field::{At, Errors, quoted};
use kit_api::name;
use std::collections::BTreeSet;

const HOST_PATHS: [&str; 8] =
    ["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"];
/// The fields of a pod that variables may show.
pub const ENVIRONMENT_FIELDS: [&str; 9] = [
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
/// The fields of a pod that files may show.
const FILE_FIELDS: [&str; 5] =
    ["metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"];

/// Checks the volumes and gives their names.
pub fn volumes(e: &mut Errors, volumes: &At<'_>) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for volume in volumes.items() {
        let mut found = Errors::default();
        source(&mut found, &volume);
        let name = volume.get("name");
        match name.text() {
            "" => found.required(&name, ""),
            text => {
                let problems = name::dns1123_label(text);
                if problems.is_empty() && names.contains(text) {
                    found.duplicate(&name, &quoted(text));
                }
                found.all_invalid(&name, problems);
            }
        }
        if found.0.is_empty() {
            names.insert(name.text().to_string());
        }
        e.0.append(&mut found.0);
    }
    names
}

fn source(e: &mut Errors, volume: &At<'_>) {
    let mut said = 0;
    let fields = volume.value.as_object().into_iter().flatten().map(|(field, _)| field.as_str());
    for field in fields.filter(|field| *field != "name") {
        let source = volume.get(field);
        if !source.is_set() {
            continue;
        }
        said += 1;
        if said > 1 {
            e.forbidden(&source, "may not specify more than 1 volume type");
            continue;
        }
        match field {
            "emptyDir" if resources::quantity(&source.get("sizeLimit")).sign() < 0 => {
                e.forbidden(&source.get("sizeLimit"), "SizeLimit field must be a valid resource quantity");
            }
            "hostPath" => host_path(e, &source),
            "secret" => named(e, &source, "secretName"),
            "configMap" => named(e, &source, "name"),
            "persistentVolumeClaim" => named(e, &source, "claimName"),
            "nfs" => {
                named(e, &source, "server");
                named(e, &source, "path");
            }
            "csi" => named(e, &source, "driver"),
            "downwardAPI" => downward(e, &source),
            "projected" => projected(e, &source),
            _ => {}
        }
        if matches!(field, "secret" | "configMap") {
            mode(e, &source.get("defaultMode"));
            for item in source.get("items").items() {
                key_to_path(e, &item);
            }
        }
    }
    if said == 0 {
        e.required(volume, "must specify a volume type");
    }
}

fn named(e: &mut Errors, source: &At<'_>, field: &str) {
    if source.get(field).text().is_empty() {
        e.required(&source.get(field), "");
    }
}

fn host_path(e: &mut Errors, source: &At<'_>) {
    let path = source.get("path");
    match path.text() {
        "" => e.required(&path, ""),
        _ => no_backsteps(e, &path),
    }
    let type_ = source.get("type");
    if type_.is_set() && !HOST_PATHS.contains(&type_.text()) {
        e.not_supported(&type_, &HOST_PATHS);
    }
}

fn no_backsteps(e: &mut Errors, path: &At<'_>) {
    if path.text().split('/').any(|part| part == "..") {
        e.invalid(path, "must not contain '..'");
    }
}

fn relative(e: &mut Errors, path: &At<'_>) {
    if path.text().starts_with('/') {
        e.invalid(path, "must be a relative path");
    }
    no_backsteps(e, path);
}

fn mode(e: &mut Errors, mode: &At<'_>) {
    if mode.int().is_some_and(|mode| !(0..=0o777).contains(&mode)) {
        e.invalid(mode, "must be a number between 0 and 0777 (octal), both inclusive");
    }
}

fn key_to_path(e: &mut Errors, item: &At<'_>) {
    named(e, item, "key");
    named(e, item, "path");
    relative(e, &item.get("path"));
    if item.get("path").text().starts_with("..") && !item.get("path").text().starts_with("../") {
        e.invalid(&item.get("path"), "must not start with '..'");
    }
    mode(e, &item.get("mode"));
}

fn downward(e: &mut Errors, source: &At<'_>) {
    mode(e, &source.get("defaultMode"));
    for item in source.get("items").items() {
        if item.get("path").text().is_empty() {
            e.required(&item.get("path"), "");
        }
        relative(e, &item.get("path"));
        if item.get("fieldRef").is_set() {
            field_reference(e, &item.get("fieldRef"), &FILE_FIELDS);
        } else if !item.get("resourceFieldRef").is_set() {
            e.required(&item, "one of fieldRef and resourceFieldRef is required");
        }
    }
}

fn projected(e: &mut Errors, source: &At<'_>) {
    mode(e, &source.get("defaultMode"));
    for projection in source.get("sources").items() {
        if projection.get("secret").is_set() {
            named(e, &projection.get("secret"), "name");
        }
        if projection.get("configMap").is_set() {
            named(e, &projection.get("configMap"), "name");
        }
        let token = projection.get("serviceAccountToken");
        if token.is_set() {
            let seconds = token.get("expirationSeconds");
            if seconds.int().is_some_and(|seconds| seconds < 600) {
                e.invalid(&seconds, "may not specify a duration less than 10 minutes");
            }
            named(e, &token, "path");
        }
    }
}

/// A field of the pod that is shown in it.
pub fn field_reference(e: &mut Errors, reference: &At<'_>, known: &[&str]) {
    if !reference.is_set() {
        return;
    }
    let path = reference.get("fieldPath");
    match path.text() {
        "" => e.required(&path, ""),
        text => {
            let subscripted = ["metadata.annotations['", "metadata.labels['"].iter().any(|map| text.starts_with(map));
            if !subscripted && !known.contains(&text) {
                e.not_supported(&path, known);
            }
        }
    }
}

/// Where a container mounts its volumes.
pub fn mounts(e: &mut Errors, mounts: &At<'_>, volumes: &BTreeSet<String>) {
    let mut points = BTreeSet::new();
    for mount in mounts.items() {
        let (name, path) = (mount.get("name"), mount.get("mountPath"));
        if name.text().is_empty() {
            e.required(&name, "");
        }
        if !volumes.contains(name.text()) {
            e.not_found(&name);
        }
        if path.text().is_empty() {
            e.required(&path, "");
        }
        if !points.insert(path.text()) {
            e.invalid(&path, "must be unique");
        }
        for field in ["subPath", "subPathExpr"] {
            if !mount.get(field).text().is_empty() {
                relative(e, &mount.get(field));
            }
        }
        if !mount.get("subPath").text().is_empty() && !mount.get("subPathExpr").text().is_empty() {
            e.invalid(&mount.get("subPathExpr"), "subPathExpr and subPath are mutually exclusive");
        }
    }
}
