//! Where a container finds its volumes.
//!
//! Source: `ValidateVolumeMounts` and `ValidateVolumeDevices` of `pkg/apis/core/validation/validation.go`.

use super::volumes::{Volumes, no_backsteps, relative};
use crate::field::{At, Errors};
use std::collections::BTreeSet;

/// Volumes that are mounted as file systems, and those that are given as devices.
pub fn mounts(e: &mut Errors, container: &At<'_>, volumes: &Volumes<'_>) {
    let (mounts, devices) = (container.get("volumeMounts"), container.get("volumeDevices"));
    let mut points = BTreeSet::new();
    for mount in mounts.items() {
        let (name, path) = (mount.get("name"), mount.get("mountPath"));
        if name.text().is_empty() {
            e.required(&name, "");
        }
        if !volumes.contains_key(name.text()) {
            e.not_found_as(&name, name.text());
        }
        if path.text().is_empty() {
            e.required(&path, "");
        }
        if !points.insert(path.text()) {
            e.invalid_text(&path, "must be unique");
        }
        if has(&devices, "name", name.text()) {
            e.invalid_text(&name, "must not already exist in volumeDevices");
        }
        if has(&devices, "devicePath", path.text()) {
            e.invalid_text(&path, "must not already exist as a path in volumeDevices");
        }
        // Upstream leaves the index out of the paths of these.
        let field = |field: &str| mount.get(field).as_path(format!("{}.{field}", mounts.path));
        let (sub, expression) = (field("subPath"), field("subPathExpr"));
        relative(e, &sub);
        if !expression.text().is_empty() && !sub.text().is_empty() {
            e.invalid(&mount.get("subPathExpr"), "subPathExpr and subPath are mutually exclusive");
        }
        relative(e, &expression);
        propagation(e, &field("mountPropagation"), container);
        recursive_read_only(e, &field("recursiveReadOnly"), &mount);
    }
    block_devices(e, &devices, &mounts, volumes);
}

fn has(list: &At<'_>, field: &str, text: &str) -> bool {
    list.items().iter().any(|item| item.get(field).text() == text)
}

fn propagation(e: &mut Errors, at: &At<'_>, container: &At<'_>) {
    const KNOWN: [&str; 3] = ["Bidirectional", "HostToContainer", "None"];
    if !at.is_set() {
        return;
    }
    if !KNOWN.contains(&at.text()) {
        e.not_supported(at, &KNOWN);
    }
    if at.text() == "Bidirectional" && !container.at("securityContext.privileged").flag() {
        e.forbidden(at, "Bidirectional mount propagation is available only to privileged containers");
    }
}

fn recursive_read_only(e: &mut Errors, at: &At<'_>, mount: &At<'_>) {
    match at.text() {
        _ if !at.is_set() => {}
        "Disabled" => {}
        "Enabled" | "IfPossible" => {
            if !mount.get("readOnly").flag() {
                e.forbidden(at, "may only be specified when readOnly is true");
            }
            let propagation = mount.get("mountPropagation");
            if propagation.is_set() && propagation.text() != "None" {
                e.forbidden(at, "may only be specified when mountPropagation is None or not specified");
            }
        }
        _ => e.not_supported(at, &["Disabled", "Enabled", "IfPossible"]),
    }
}

fn block_devices(e: &mut Errors, devices: &At<'_>, mounts: &At<'_>, volumes: &Volumes<'_>) {
    let (mut names, mut paths) = (BTreeSet::new(), BTreeSet::new());
    for device in devices.items() {
        let (name, path) = (device.get("name"), device.get("devicePath"));
        let volume = volumes.get(name.text());
        if name.text().is_empty() {
            e.required(&name, "");
        }
        if names.contains(name.text()) {
            e.invalid_text(&name, "must be unique");
        }
        match volume {
            None => e.not_found_as(&name, name.text()),
            Some(volume) if volume.get("persistentVolumeClaim").is_set() || volume.get("ephemeral").is_set() => {}
            Some(_) => {
                let why = "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode";
                e.invalid_text(&name, why);
            }
        }
        if path.text().is_empty() {
            e.required(&path, "");
        }
        if paths.contains(path.text()) {
            e.invalid_text(&path, "must be unique");
        }
        let mut backsteps = Errors::default();
        no_backsteps(&mut backsteps, &path);
        if backsteps.0.is_empty() {
            paths.insert(path.text());
        } else {
            e.invalid_text(&path, "can not contain backsteps ('..')");
        }
        if has(mounts, "name", name.text()) {
            e.invalid_text(&name, "must not already exist in volumeMounts");
        }
        if has(mounts, "mountPath", path.text()) {
            e.invalid_text(&path, "must not already exist as a path in volumeMounts");
        }
        if !name.text().is_empty() {
            names.insert(name.text());
        }
    }
}
