//! What a pod's `resize` may change: how much CPU and memory its containers get.
//!
//! Sources: `ValidatePodResize` of `pkg/apis/core/validation/validation.go`, `dropNonResizeUpdates` of
//! `pkg/registry/core/pod/strategy.go`.

use super::resources::quantity;
use crate::field::{At, Errors, quoted};
use serde_json::Value;

const LISTS: [&str; 2] = ["containers", "initContainers"];
const RESIZABLE: [&str; 2] = ["cpu", "memory"];
const ONLY: &str = "only cpu and memory resources are mutable";
const RESTART: &str = "RestartContainer";

/// Takes from what was sent only what a resize is about. Containers of other names are for the rules to find.
pub fn prepare(pod: &mut Value, sent: &Value) {
    for list in LISTS {
        let sent = &sent["spec"][list];
        if names(&pod["spec"][list]) != names(sent) {
            pod["spec"][list] = sent.clone();
            continue;
        }
        for (index, container) in pod["spec"][list].as_array_mut().into_iter().flatten().enumerate() {
            for field in ["resources", "resizePolicy"] {
                match sent[index].get(field) {
                    Some(value) => container[field] = value.clone(),
                    None => _ = container.as_object_mut().map(|container| container.shift_remove(field)),
                }
            }
        }
    }
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(|container| container["name"].as_str()).collect()
}

/// Says what is wrong with a resize, after which the pod is of this class.
pub fn pod(e: &mut Errors, new: &At<'_>, old: &At<'_>, class: &str) {
    let (spec, before) = (new.get("spec"), old.get("spec"));
    let whole = new.as_path(String::new());
    if old.at("metadata.annotations").key("kubernetes.io/config.mirror").is_set() {
        e.0.clear();
        return e.forbidden(&whole, "static pods cannot be resized");
    }
    if before.at("os.name").text() == "windows" {
        e.0.clear();
        return e.forbidden(&whole, "windows pods cannot be resized");
    }
    if LISTS.iter().any(|list| names(spec.get(list).value) != names(before.get(list).value)) {
        return e.forbidden(&spec, ONLY);
    }
    let was = old.at("status.qosClass");
    if was.text() != class {
        e.invalid_as(&spec, &quoted(was.text()), "Pod QOS Class may not change as a result of resizing");
    }
    // A kubelet that can't do it says nothing of the resources of what runs (`isPodResizeRequestSupported`).
    let statuses = old.at("status.containerStatuses").items();
    let running = statuses.iter().find(|status| status.at("state.running").is_set());
    if running.is_some_and(|status| !status.get("resources").is_set()) {
        e.forbidden(&spec, "Pod running on node without support for resize");
    }
    let pairs = |list: &str| spec.get(list).items().into_iter().zip(before.get(list).items()).collect::<Vec<_>>();
    let is_sidecar = |container: &At<'_>| container.get("restartPolicy").text() == "Always";
    let sidecars = pairs("initContainers").into_iter().filter(|(_, old)| is_sidecar(old));
    for (new, old) in sidecars.chain(pairs("containers")) {
        container(e, &new, &old.get("resources"));
    }
    for (new, old) in pairs("containers") {
        if !is_same(&new, &old) {
            e.forbidden(&spec, ONLY);
        }
    }
    for (new, old) in pairs("initContainers") {
        if !is_sidecar(&old) && new.value != old.value {
            e.forbidden(&spec, "resources for non-sidecar init containers are immutable");
        } else if is_sidecar(&old) && !is_same(&new, &old) {
            e.forbidden(&spec, "only cpu and memory resources for sidecar containers are mutable");
        }
    }
}

/// Nothing is taken away, and memory isn't limited further while a container runs (`validateContainerResize`).
fn container(e: &mut Errors, new: &At<'_>, before: &At<'_>) {
    let resources = new.get("resources");
    for side in ["requests", "limits"] {
        let (now, old) = (resources.get(side), before.get(side));
        if old.entries().iter().any(|(name, _)| !now.get(name).is_set()) {
            e.forbidden(&now, &format!("resource {side} cannot be removed"));
        }
    }
    let policies = new.get("resizePolicy").items();
    let policy = policies.iter().find(|policy| policy.get("resourceName").text() == "memory");
    if policy.is_some_and(|policy| policy.get("restartPolicy").text() == RESTART) {
        return;
    }
    let (now, old) = (resources.get("limits").key("memory"), before.get("limits").key("memory"));
    let what = match (now.is_set(), old.is_set()) {
        (true, true) if quantity(&now) < quantity(&old) => "decreased",
        (true, false) => "added",
        _ => return,
    };
    e.forbidden(&now, &format!("memory limits cannot be {what} unless resizePolicy is {RESTART}"));
}

/// Whether two containers differ in CPU and memory alone (`dropCPUMemoryResourcesFromContainer`).
fn is_same(new: &At<'_>, old: &At<'_>) -> bool {
    let rest = |container: &At<'_>| {
        let mut rest = container.value.clone();
        if let Some(rest) = rest.as_object_mut() {
            rest.shift_remove("resources");
        }
        rest
    };
    let others = |container: &At<'_>, side: &str| {
        let amounts = container.get("resources").get(side).entries();
        let other = amounts.into_iter().filter(|(name, _)| !RESIZABLE.contains(name));
        other.map(|(name, at)| (name.to_string(), quantity(&at))).collect::<Vec<_>>()
    };
    rest(new) == rest(old)
        && new.at("resources.claims").value == old.at("resources.claims").value
        && ["requests", "limits"].iter().all(|side| others(new, side) == others(old, side))
}
