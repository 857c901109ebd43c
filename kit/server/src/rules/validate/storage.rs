//! Storage classes, attachments, and what drivers say of themselves.
//!
//! Source: `pkg/apis/storage/validation/validation.go`.

use super::{meta, node, resources, volumes};
use crate::field::{At, Errors, quoted};
use kit_api::name;
use std::collections::{BTreeMap, BTreeSet};

/// The most bytes of a class's parameters, and of what an attachment says of itself.
const MOST_BYTES: usize = 256 << 10;

/// Says what is wrong with a StorageClass.
pub fn class(e: &mut Errors, class: &At<'_>) {
    let provisioner = class.get("provisioner");
    match provisioner.text() {
        "" => e.required(&provisioner, ""),
        // The message shows the name as it was compared.
        text => {
            let text = text.to_lowercase();
            for problem in name::qualified_name(&text) {
                e.invalid_as(&provisioner, &quoted(&text), &problem);
            }
        }
    }
    parameters(e, &class.get("parameters"));
    let reclaim = class.get("reclaimPolicy");
    if !reclaim.text().is_empty() && !["Delete", "Retain"].contains(&reclaim.text()) {
        e.not_supported(&reclaim, &["Delete", "Retain"]);
    }
    let mode = class.get("volumeBindingMode");
    match mode.is_set() {
        false => e.required(&mode, ""),
        true if !["Immediate", "WaitForFirstConsumer"].contains(&mode.text()) => {
            e.not_supported(&mode, &["Immediate", "WaitForFirstConsumer"]);
        }
        true => {}
    }
    allowed_topologies(e, &class.get("allowedTopologies"));
}

fn parameters(e: &mut Errors, parameters: &At<'_>) {
    const MOST: usize = 512;
    if parameters.len() > MOST {
        return e.too_long(parameters, MOST);
    }
    let entries = parameters.entries();
    for _ in entries.iter().filter(|(key, _)| key.is_empty()) {
        e.invalid_as(parameters, &quoted(""), "field can not be empty.");
    }
    if bytes(parameters) > MOST_BYTES {
        e.too_long(parameters, MOST_BYTES);
    }
}

fn bytes(map: &At<'_>) -> usize {
    map.entries().iter().map(|(key, value)| key.len() + value.text().len()).sum()
}

fn allowed_topologies(e: &mut Errors, terms: &At<'_>) {
    let mut before: Vec<BTreeMap<&str, BTreeSet<&str>>> = Vec::new();
    for term in terms.items() {
        let mut allowed: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for requirement in term.get("matchLabelExpressions").items() {
            let (key, values) = (requirement.get("key"), requirement.get("values"));
            if values.is_empty() {
                e.required(&values, "");
            }
            let mut seen = BTreeSet::new();
            for value in values.items().iter().filter(|value| !seen.insert(value.text())) {
                e.duplicate(value, &quoted(value.text()));
            }
            meta::label_name(e, &key);
            if allowed.insert(key.text(), seen).is_some() {
                e.duplicate(&key, &quoted(key.text()));
            }
        }
        // Upstream begins with an empty term for each that there is, so one that allows nothing is found in all of them.
        let equal = before.iter().filter(|other| **other == allowed).count();
        let empty = if allowed.is_empty() { terms.len() } else { 0 };
        for _ in 0..equal + empty {
            e.duplicate(&term.get("matchLabelExpressions"), &quoted(""));
        }
        before.push(allowed);
    }
}

/// Says what is wrong with a VolumeAttachment.
pub fn attachment(e: &mut Errors, attachment: &At<'_>) {
    let (spec, status) = (attachment.get("spec"), attachment.get("status"));
    let (attacher, source) = (spec.get("attacher"), spec.get("source"));
    if attacher.text().is_empty() {
        e.required(&attacher, "");
    }
    let (inline, volume) = (source.get("inlineVolumeSpec"), source.get("persistentVolumeName"));
    let one = "must specify exactly one of inlineVolumeSpec and persistentVolumeName";
    match (inline.is_set(), volume.is_set()) {
        (false, false) => e.required(&source, one),
        (true, true) => e.forbidden(&source, one),
        (false, true) if volume.text().is_empty() => {
            e.required(&volume, "must specify non empty persistentVolumeName");
        }
        (false, true) => {}
        (true, false) => node::inline_volume(e, &inline),
    }
    let node = spec.get("nodeName");
    for problem in name::dns1123_subdomain(node.text()) {
        e.invalid_text(&node, &problem);
    }
    if bytes(&status.get("attachmentMetadata")) > MOST_BYTES {
        e.too_long(&status.get("attachmentMetadata"), MOST_BYTES);
    }
    for error in ["attachError", "detachError"] {
        let message = status.get(error).get("message");
        if message.text().len() > 1024 {
            // Upstream tells of another limit than the one that counts.
            e.too_long(&message, MOST_BYTES);
        }
    }
    // What is asked of `v1` beside (`ValidateVolumeAttachmentV1`).
    volumes::driver_name(e, &attacher);
    if volume.is_set() {
        for problem in name::dns1123_subdomain(volume.text()) {
            e.invalid_text(&volume, &problem);
        }
    }
}

/// Says what is wrong with a CSINode.
pub fn csi_node(e: &mut Errors, spec: &At<'_>) {
    const MOST: usize = 256;
    let mut names = BTreeSet::new();
    for driver in spec.get("drivers").items() {
        let (name, id) = (driver.get("name"), driver.get("nodeID"));
        volumes::driver_name(e, &name);
        if id.text().is_empty() {
            e.required(&id, "");
        }
        if id.text().len() > MOST {
            e.invalid(&id, &format!("must be {MOST} characters or less"));
        }
        e.not_negative(&driver.at("allocatable.count"));
        if !names.insert(name.text()) {
            e.duplicate(&name, &quoted(name.text()));
        }
        let mut keys = BTreeSet::new();
        for key in driver.get("topologyKeys").items() {
            // Told of the driver, not of the key.
            let at = key.as_path(driver.path.clone());
            if key.text().is_empty() {
                e.required(&at, "");
            }
            if !keys.insert(key.text()) {
                e.duplicate(&at, &quoted(key.text()));
            }
            meta::label_name(e, &at);
        }
    }
}

/// Says what is wrong with a CSIDriver.
pub fn csi_driver(e: &mut Errors, spec: &At<'_>) {
    // The first one is told of under another name than it has.
    for (field, told) in [
        ("attachRequired", "attachedRequired"),
        ("podInfoOnMount", "podInfoOnMount"),
        ("storageCapacity", "storageCapacity"),
    ] {
        if !spec.get(field).is_set() {
            e.required(&spec.get(told), "");
        }
    }
    const POLICIES: [&str; 3] = ["File", "None", "ReadWriteOnceWithFSType"];
    let policy = spec.get("fsGroupPolicy");
    if policy.is_set() && !POLICIES.contains(&policy.text()) {
        e.not_supported(&policy, &POLICIES);
    }
    let mut audiences = BTreeSet::new();
    for request in spec.get("tokenRequests").items() {
        let (audience, seconds) = (request.get("audience"), request.get("expirationSeconds"));
        if !audiences.insert(audience.text()) {
            e.duplicate(&audience, &quoted(audience.text()));
        } else if seconds.int().is_some_and(|seconds| seconds < 600) {
            e.invalid(&seconds, "may not specify a duration less than 10 minutes");
        } else if seconds.int().is_some_and(|seconds| seconds > 1 << 32) {
            e.invalid(&seconds, "may not specify a duration larger than 2^32 seconds");
        }
    }
    let modes = spec.get("volumeLifecycleModes");
    for mode in modes.items().iter().filter(|mode| !["Persistent", "Ephemeral"].contains(&mode.text())) {
        e.not_supported(&mode.as_path(modes.path.clone()), &["Persistent", "Ephemeral"]);
    }
    if !spec.get("seLinuxMount").is_set() {
        e.required(&spec.get("seLinuxMount"), "");
    }
}

/// Says what is wrong with a CSIStorageCapacity.
pub fn capacity(e: &mut Errors, root: &At<'_>) {
    meta::label_selector(e, &root.get("nodeTopology"));
    let class = root.get("storageClassName");
    for problem in name::dns1123_subdomain(class.text()) {
        e.invalid_text(&class, &problem);
    }
    resources::not_negative(e, &root.get("capacity"));
}
