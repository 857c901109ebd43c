//! Volumes of pods, and what they are made from.
//!
//! Source: `ValidateVolumes` and `validateVolumeSource` of `pkg/apis/core/validation/validation.go`. Some paths there
//! leave out an index or a field; messages are what people search for, so the paths here are the same.

use super::{environment, meta, node, resources};
use crate::field::{At, Errors, quoted};
use kit_api::name;
use std::collections::{BTreeMap, BTreeSet};

const HOST_PATHS: [&str; 8] =
    ["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"];
/// The fields of a pod that files may show.
const FILE_FIELDS: [&str; 5] =
    ["metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"];
const MODE: &str = "must be a number between 0 and 0777 (octal), both inclusive";
/// Kinds of volumes in the order in which they are looked for, with the fields that each of them needs.
const SOURCES: [(&str, &[&str]); 30] = [
    ("emptyDir", &[]),
    ("hostPath", &[]),
    ("gitRepo", &["repository"]),
    ("gcePersistentDisk", &["pdName"]),
    ("awsElasticBlockStore", &["volumeID"]),
    ("secret", &["secretName"]),
    ("nfs", &[]),
    ("iscsi", &[]),
    ("glusterfs", &["endpoints", "path"]),
    ("flocker", &[]),
    ("persistentVolumeClaim", &["claimName"]),
    ("rbd", &["monitors", "image"]),
    ("cinder", &["volumeID"]),
    ("cephfs", &["monitors"]),
    ("quobyte", &["registry", "volume"]),
    ("downwardAPI", &[]),
    ("fc", &[]),
    ("flexVolume", &["driver"]),
    ("configMap", &["name"]),
    ("azureFile", &["secretName", "shareName"]),
    ("vsphereVolume", &["volumePath"]),
    ("photonPersistentDisk", &["pdID"]),
    ("portworxVolume", &["volumeID"]),
    ("azureDisk", &["diskName", "diskURI"]),
    ("storageos", &[]),
    ("projected", &[]),
    ("scaleIO", &["gateway", "system", "volumeName"]),
    ("csi", &[]),
    ("ephemeral", &[]),
    ("image", &[]),
];

/// The volumes of a pod by their names.
pub type Volumes<'a> = BTreeMap<&'a str, At<'a>>;

/// Checks the volumes and gives those that are named well. `pod` is the pod's name, if it has one already.
pub fn volumes<'a>(e: &mut Errors, volumes: &At<'a>, pod: &str) -> Volumes<'a> {
    let claim_of = |volume: &At<'_>| format!("{pod}-{}", volume.get("name").text());
    let all = volumes.items();
    let made: BTreeSet<String> =
        all.iter().filter(|volume| volume.get("ephemeral").is_set() && !pod.is_empty()).map(claim_of).collect();
    let mut names = Volumes::new();
    for volume in all {
        let mut found = Errors::default();
        source(&mut found, &volume, pod);
        let name = volume.get("name");
        match name.text() {
            "" => found.required(&name, ""),
            text => found.all_invalid(&name, name::dns1123_label(text)),
        }
        if names.contains_key(name.text()) {
            found.duplicate(&name, &quoted(name.text()));
        }
        if found.0.is_empty() {
            names.insert(name.text(), volume.clone());
        }
        e.0.append(&mut found.0);
        let claim = volume.at("persistentVolumeClaim.claimName");
        if claim.is_set() && made.contains(claim.text()) {
            e.invalid(&claim, "must not reference a PVC that gets created for an ephemeral volume");
        }
    }
    names
}

fn source(e: &mut Errors, volume: &At<'_>, pod: &str) {
    let mut said = 0;
    for (field, needs) in SOURCES {
        let at = volume.get(field);
        if !at.is_set() {
            continue;
        }
        said += 1;
        if said > 1 {
            let shown = match field {
                "cephfs" => "cephFS",
                "downwardAPI" => "downwarAPI",
                _ => field,
            };
            e.forbidden(&at.as_path(format!("{}.{shown}", volume.path)), "may not specify more than 1 volume type");
            continue;
        }
        needs.iter().for_each(|need| named(e, &at, need));
        match field {
            "emptyDir" if resources::quantity(&at.get("sizeLimit")).sign() < 0 => {
                e.forbidden(&at.get("sizeLimit"), "SizeLimit field must be a valid resource quantity");
            }
            "hostPath" => host_path(e, &at),
            "gitRepo" => relative(e, &at.get("directory")),
            "nfs" => nfs(e, &at),
            "iscsi" => iscsi(e, &at),
            "secret" | "configMap" => {
                mode(e, &at.get("defaultMode"));
                at.get("items").items().iter().for_each(|item| key_to_path(e, item));
            }
            "csi" => csi(e, &at),
            "downwardAPI" => {
                mode(e, &at.get("defaultMode"));
                at.get("items").items().iter().for_each(|item| downward(e, &item.as_path(at.path.clone())));
            }
            "projected" => projected(e, &at),
            "ephemeral" => ephemeral(e, volume, &at, pod),
            "image" => image(e, &at),
            _ => {}
        }
    }
    if said == 0 {
        e.required(volume, "must specify a volume type");
    }
}

/// A field that must be there.
pub fn named(e: &mut Errors, source: &At<'_>, field: &str) {
    if source.get(field).text().is_empty() && source.get(field).is_empty() {
        e.required(&source.get(field), "");
    }
}

/// A path on the node.
pub fn host_path(e: &mut Errors, source: &At<'_>) {
    let path = source.get("path");
    if path.text().is_empty() {
        return e.required(&path, "");
    }
    no_backsteps(e, &path);
    let type_ = source.get("type");
    if type_.is_set() && !HOST_PATHS.contains(&type_.text()) {
        e.not_supported(&type_, &HOST_PATHS);
    }
}

/// A path on a file server.
pub fn nfs(e: &mut Errors, source: &At<'_>) {
    named(e, source, "server");
    named(e, source, "path");
    if !source.get("path").text().starts_with('/') {
        e.invalid_as(&source.get("path"), &quoted(source.get("path").text()), "must be an absolute path");
    }
}

fn iscsi(e: &mut Errors, source: &At<'_>) {
    named(e, source, "targetPortal");
    named(e, source, "iqn");
    let name = source.get("iqn");
    if !name.text().is_empty() && !["iqn", "eui", "naa"].iter().any(|form| name.text().starts_with(form)) {
        e.invalid(&name, "must be valid format starting with iqn, eui, or naa");
    }
    let lun = source.get("lun");
    if lun.int().is_some_and(|lun| !(0..=255).contains(&lun)) {
        e.invalid(&lun, "must be between 0 and 255, inclusive");
    }
}

/// The name of a driver (`ValidateCSIDriverName`).
pub fn driver_name(e: &mut Errors, driver: &At<'_>) {
    if driver.text().is_empty() {
        e.required(driver, "");
    }
    if driver.text().len() > 63 {
        e.too_long(driver, 63);
    }
    for problem in name::dns1123_subdomain(&driver.text().to_lowercase()) {
        e.invalid_as(driver, &quoted(driver.text()), &problem);
    }
}

fn csi(e: &mut Errors, source: &At<'_>) {
    driver_name(e, &source.get("driver"));
    let secret = source.get("nodePublishSecretRef");
    match secret.get("name").text() {
        _ if !secret.is_set() => {}
        "" => e.required(&secret.get("name"), ""),
        text => {
            let at = secret.get("name").as_path(format!("{}.name", source.path));
            e.all_invalid(&at, name::dns1123_subdomain(text));
        }
    }
}

fn ephemeral(e: &mut Errors, volume: &At<'_>, source: &At<'_>, pod: &str) {
    let template = source.get("volumeClaimTemplate");
    if template.is_set() {
        meta::labels(e, &template.at("metadata.labels"));
        meta::annotations(e, &template.at("metadata.annotations"));
        node::claim(e, &template.get("spec"));
    } else {
        e.required(&template, "");
    }
    let name = volume.get("name");
    if !pod.is_empty() && !name.text().is_empty() {
        let claim = format!("{pod}-{}", name.text());
        for problem in name::dns1123_subdomain(&claim) {
            e.invalid(&name, &format!("PVC name {}: {problem}", quoted(&claim)));
        }
    }
}

fn image(e: &mut Errors, source: &At<'_>) {
    let reference = source.get("reference");
    match reference.text() {
        "" => e.required(&reference, ""),
        text if text.trim() != text => e.invalid(&reference, "must not have leading or trailing whitespace"),
        _ => {}
    }
    e.one_of(&source.get("pullPolicy"), &["Always", "IfNotPresent", "Never"]);
}

/// A path that may not lead out of where it begins.
pub fn no_backsteps(e: &mut Errors, path: &At<'_>) {
    if path.text().split('/').any(|part| part == "..") {
        e.invalid(path, "must not contain '..'");
    }
}

/// A path below another (`validateLocalDescendingPath`).
pub fn relative(e: &mut Errors, path: &At<'_>) {
    if path.text().starts_with('/') {
        e.invalid(path, "must be a relative path");
    }
    no_backsteps(e, path);
}

/// The same, and no name that the node uses itself (`ValidateLocalNonReservedPath`).
fn not_reserved(e: &mut Errors, path: &At<'_>) {
    relative(e, path);
    if path.text().starts_with("..") && !path.text().starts_with("../") {
        e.invalid(path, "must not start with '..'");
    }
}

fn mode(e: &mut Errors, mode: &At<'_>) {
    if mode.int().is_some_and(|mode| !(0..=0o777).contains(&mode)) {
        e.invalid(mode, MODE);
    }
}

fn key_to_path(e: &mut Errors, item: &At<'_>) {
    named(e, item, "key");
    named(e, item, "path");
    not_reserved(e, &item.get("path"));
    mode(e, &item.get("mode"));
}

/// A file that shows a part of the pod; its errors are told of the volume.
fn downward(e: &mut Errors, file: &At<'_>) {
    named(e, file, "path");
    not_reserved(e, &file.get("path"));
    let (field, resource) = (file.get("fieldRef"), file.get("resourceFieldRef"));
    if field.is_set() {
        environment::field_reference(e, &field, &FILE_FIELDS);
        if resource.is_set() {
            e.invalid_as(file, "\"resource\"", "fieldRef and resourceFieldRef can not be specified simultaneously");
        }
    } else if resource.is_set() {
        environment::resource_reference(e, &resource, true);
    } else {
        e.required(file, "one of fieldRef and resourceFieldRef is required");
    }
    mode(e, &file.get("mode"));
}

fn projected(e: &mut Errors, volume: &At<'_>) {
    mode(e, &volume.get("defaultMode"));
    let mut paths = BTreeSet::new();
    for source in volume.get("sources").items() {
        let mut said = 0;
        let mut taken = |e: &mut Errors, path: &str, shown: &str| {
            if !path.is_empty() && !paths.insert(path.to_string()) {
                e.invalid_as(volume, &quoted(shown), "conflicting duplicate paths");
            }
        };
        for field in ["secret", "configMap"] {
            let from = source.get(field);
            if !from.is_set() {
                continue;
            }
            said += 1;
            named(e, &from, "name");
            for item in from.get("items").items() {
                key_to_path(e, &item);
                taken(e, item.get("path").text(), from.get("name").text());
            }
        }
        let down = source.get("downwardAPI");
        if down.is_set() {
            said += 1;
            for item in down.get("items").items() {
                downward(e, &item.as_path(down.path.clone()));
                taken(e, item.get("path").text(), item.get("path").text());
            }
        }
        let token = source.get("serviceAccountToken");
        if token.is_set() {
            said += 1;
            service_account_token(e, volume, &token);
        }
        if said > 1 {
            e.forbidden(&source, "may not specify more than 1 volume type per source");
        }
    }
}

fn service_account_token(e: &mut Errors, volume: &At<'_>, token: &At<'_>) {
    let seconds = token.get("expirationSeconds");
    if seconds.int().is_some_and(|seconds| seconds < 600) {
        e.invalid(&seconds, "may not specify a duration less than 10 minutes");
    }
    if seconds.int().is_some_and(|seconds| seconds > 1 << 32) {
        e.invalid(&seconds, "may not specify a duration larger than 2^32 seconds");
    }
    let path = token.get("path").as_path(format!("{}.path", volume.path));
    match path.text() {
        "" => e.required(&path, ""),
        _ => not_reserved(e, &path),
    }
}
