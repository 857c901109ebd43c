//! Nodes, volumes and claims.
//!
//! Source: `ValidateNode`, `ValidatePersistentVolume` and `ValidatePersistentVolumeClaim` of
//! `pkg/apis/core/validation/validation.go`.

use super::{meta, network, resources, scheduling, volumes};
use crate::field::{At, Errors, quoted};
use crate::go;
use kit_api::name;
use std::collections::BTreeSet;

/// The fields that say where a volume is, in the order in which they are looked for.
pub const SOURCES: [&str; 22] = [
    "hostPath",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "glusterfs",
    "flocker",
    "nfs",
    "rbd",
    "quobyte",
    "cephfs",
    "iscsi",
    "cinder",
    "fc",
    "flexVolume",
    "azureFile",
    "vsphereVolume",
    "photonPersistentDisk",
    "portworxVolume",
    "azureDisk",
    "scaleIO",
    "local",
    "storageos",
    "csi",
];

const ACCESS_MODES: [&str; 4] = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];

pub fn node(e: &mut Errors, node: &At<'_>) {
    taints_of(e, node);
    status(e, &node.get("status"));
    let ranges = node.at("spec.podCIDRs");
    for range in ranges.items() {
        if !network::is_cidr(range.text()) {
            e.invalid(&range, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)");
        }
    }
    let all = ranges.items();
    let bad = all.iter().enumerate().find(|(_, range)| !network::is_cidr(range.text()));
    if let Some((index, range)) = bad.filter(|_| all.len() > 1) {
        let why = format!(
            "invalid PodCIDRs. failed to check with dual stack with error:invalid CIDR[{index}]: <nil> (invalid CIDR \
             address: {})",
            range.text()
        );
        e.internal(&ranges, &why);
    }
    let six = all.iter().filter(|range| range.text().contains(':')).count();
    if ranges.len() > 2 || (ranges.len() == 2 && six != 1) {
        e.invalid_as(&ranges, &go::strings(ranges.value), "may specify no more than one CIDR for each IP family");
    }
}

/// How much a node has (`ValidateNodeResources`).
pub fn status(e: &mut Errors, status: &At<'_>) {
    for list in ["capacity", "allocatable"] {
        for (resource, amount) in status.get(list).entries() {
            resources::amount(e, resource, &amount.as_path(format!("status.{list}.{resource}")));
        }
    }
}

/// The taints of a node. They were annotations once, and messages still say so.
pub fn taints_of(e: &mut Errors, node: &At<'_>) {
    let taints = node.at("spec.taints").as_path("metadata.taints".into());
    let mut seen = BTreeSet::new();
    for taint in taints.items() {
        let (key, value, effect) = (taint.get("key"), taint.get("value"), taint.get("effect"));
        meta::label_name(e, &key);
        let problems = name::label_value(value.text());
        if !problems.is_empty() {
            e.invalid(&value, &problems.join(";"));
        }
        scheduling::taint_effect(e, &effect, false);
        if !seen.insert((key.text(), effect.text())) {
            let shown = go::dump_named(taint.value, "core.Taint");
            e.duplicate(&taint, &format!("{shown}: taints must be unique by key and effect pair"));
        }
    }
}

fn unsupported_modes(e: &mut Errors, modes: &At<'_>) {
    for mode in modes.items().iter().filter(|mode| !ACCESS_MODES.contains(&mode.text())) {
        e.not_supported(&At { value: mode.value, path: modes.path.clone() }, &ACCESS_MODES);
    }
    let said = |once: bool| {
        modes.items().iter().any(|mode| ACCESS_MODES.contains(&mode.text()) && (mode.text() == ACCESS_MODES[3]) == once)
    };
    if said(true) && said(false) {
        e.forbidden(modes, "may not use ReadWriteOncePod with other access modes");
    }
}

pub fn claim(e: &mut Errors, spec: &At<'_>) {
    let modes = spec.get("accessModes");
    if modes.is_empty() {
        e.required(&modes, "at least 1 access mode is required");
    }
    meta::label_selector(e, &spec.get("selector"));
    unsupported_modes(e, &modes);
    let resources = spec.get("resources");
    let storage = resources.get("requests").key("storage");
    match storage.is_set() {
        false => {
            let at = At { value: storage.value, path: format!("{}[storage]", resources.path) };
            e.required(&at, "");
        }
        true => {
            let at = At { value: storage.value, path: format!("{}[storage]", resources.path) };
            resources::positive(e, &at);
        }
    }
    class_and_mode(e, spec);
    data_source(e, spec);
}

/// What a volume is filled from; both fields say the same where the source is in the claim's namespace.
fn data_source(e: &mut Errors, spec: &At<'_>) {
    let (source, reference) = (spec.get("dataSource"), spec.get("dataSourceRef"));
    for at in [&source, &reference].into_iter().filter(|at| at.is_set()) {
        for field in ["name", "kind"] {
            if at.get(field).text().is_empty() {
                e.required(&at.get(field), "");
            }
        }
        let (kind, group) = (at.get("kind").text(), at.get("apiGroup"));
        if group.text().is_empty() && kind != "PersistentVolumeClaim" {
            let why = "must be 'PersistentVolumeClaim' when referencing the default apiGroup";
            e.invalid_as(at, &quoted(kind), why);
        }
        if !group.text().is_empty() {
            e.all_invalid(&group, name::dns1123_subdomain(group.text()));
        }
    }
    let same = ["apiGroup", "kind", "name"].iter().all(|field| source.get(field).value == reference.get(field).value);
    if source.is_set() && reference.is_set() && !same {
        e.invalid_as(spec, &format!("{}.dataSource", spec.path), "must match dataSourceRef");
    }
}

pub fn volume(e: &mut Errors, spec: &At<'_>) {
    let capacity = spec.get("capacity");
    modes_of_volume(e, spec);
    if capacity.is_empty() {
        e.required(&capacity, "");
    }
    if !capacity.key("storage").is_set() || capacity.len() > 1 {
        let shown = go::dump_named(capacity.value, "core.ResourceList");
        e.not_supported_as(&capacity, &shown, &["storage"]);
    }
    for (_, amount) in capacity.entries() {
        if resources::quantity(&amount).value() < 0 {
            e.invalid_as(
                &amount,
                &resources::quantity(&amount).value().to_string(),
                "must be a valid resource quantity",
            );
        }
        resources::positive(e, &amount);
    }
    let reclaim = spec.get("persistentVolumeReclaimPolicy");
    if !reclaim.text().is_empty() && !["Delete", "Recycle", "Retain"].contains(&reclaim.text()) {
        e.not_supported(&reclaim, &["Delete", "Recycle", "Retain"]);
    }
    let affinity = spec.at("nodeAffinity.required");
    if spec.get("nodeAffinity").is_set() {
        match affinity.is_set() {
            true => scheduling::node_selector(e, &affinity),
            false => e.required(&affinity, "must specify required node constraints"),
        }
    }
    source(e, spec);
    class_and_mode(e, spec);
}

/// A volume that an attachment describes itself, since no object does.
pub fn inline_volume(e: &mut Errors, spec: &At<'_>) {
    const WHY: &str = "in the context of inline volumes";
    let forbidden = |e: &mut Errors, field: &str| {
        let at = spec.get(field);
        let said = if at.value.is_object() { !at.is_empty() } else { at.is_set() && at.value != "" };
        if said {
            e.forbidden(&at, &format!("may not be specified {WHY}"));
        }
    };
    forbidden(e, "claimRef");
    forbidden(e, "capacity");
    if !spec.get("csi").is_set() {
        e.required(&spec.get("csi"), &format!("has to be specified {WHY}"));
    }
    modes_of_volume(e, spec);
    let (reclaim, mode) = (spec.get("persistentVolumeReclaimPolicy"), spec.get("volumeMode"));
    if !["", "Retain"].contains(&reclaim.text()) {
        e.forbidden(&reclaim, &format!("may only be Retain {WHY}"));
    }
    forbidden(e, "nodeAffinity");
    source(e, spec);
    forbidden(e, "storageClassName");
    if mode.is_set() && mode.text() != "Filesystem" {
        e.forbidden(&mode, &format!("may not specify volumeMode other than Filesystem {WHY}"));
    }
}

fn modes_of_volume(e: &mut Errors, spec: &At<'_>) {
    let modes = spec.get("accessModes");
    if modes.is_empty() {
        e.required(&modes, "");
    }
    unsupported_modes(e, &modes);
}

/// Where the bytes of a volume are: one place, of those that upstream knows.
fn source(e: &mut Errors, spec: &At<'_>) {
    let said: Vec<At<'_>> = SOURCES.iter().map(|source| spec.get(source)).filter(At::is_set).collect();
    for source in said.iter().skip(1) {
        e.forbidden(source, "may not specify more than 1 volume type");
    }
    if said.is_empty() {
        e.required(spec, "must specify a volume type");
    }
    let local = spec.get("local");
    if local.is_set() {
        match local.get("path").text() {
            "" => e.required(&local.get("path"), ""),
            _ => volumes::no_backsteps(e, &local.get("path")),
        }
        if !spec.get("nodeAffinity").is_set() {
            e.required(&spec.get("nodeAffinity"), "Local volume requires node affinity");
        }
    }
    let path = spec.at("hostPath.path");
    if spec.get("hostPath").is_set() {
        volumes::host_path(e, &spec.get("hostPath"));
    }
    if spec.get("nfs").is_set() {
        volumes::nfs(e, &spec.get("nfs"));
    }
    let csi = spec.get("csi");
    if csi.is_set() {
        volumes::driver_name(e, &csi.get("driver"));
        volumes::named(e, &csi, "volumeHandle");
    }
    let reclaim = spec.get("persistentVolumeReclaimPolicy");
    if path.text() == "/" && reclaim.text() == "Recycle" {
        e.forbidden(&reclaim, "may not be 'recycle' for a hostPath mount of '/'");
    }
}

/// What claims and volumes say alike.
fn class_and_mode(e: &mut Errors, spec: &At<'_>) {
    let class = spec.get("storageClassName");
    if !class.text().is_empty() {
        e.all_invalid(&class, name::dns1123_subdomain(class.text()));
    }
    let mode = spec.get("volumeMode");
    if mode.is_set() && !["Block", "Filesystem"].contains(&mode.text()) {
        e.not_supported(&mode, &["Block", "Filesystem"]);
    }
}
