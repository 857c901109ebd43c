//! The status of a pod: which addresses it may have, and that what has ended stays so.
//!
//! Source: `ValidatePodStatusUpdate` of `pkg/apis/core/validation/validation.go`.

use super::address;
use crate::field::{At, Errors, quoted};
use crate::go;
use kit_api::name;

/// Conditions whose names are older than the rule for names.
const OWN: [&str; 3] = ["PodScheduled", "Ready", "Initialized"];

/// Says what is wrong with a pod's new status.
pub fn pod(e: &mut Errors, new: &At<'_>, old: &At<'_>) {
    let (status, before) = (new.get("status"), old.get("status"));
    for (index, condition) in status.get("conditions").items().iter().enumerate() {
        // Upstream looks for them where they aren't, and says so.
        let type_ = condition.get("type").as_path(format!("metadata.conditions[{index}].Type"));
        if !OWN.contains(&type_.text()) {
            name::qualified_name(type_.text()).iter().for_each(|why| e.invalid_text(&type_, why));
        }
    }
    let nominated = status.get("nominatedNodeName");
    if nominated.value != before.get("nominatedNodeName").value && !nominated.text().is_empty() {
        name::dns1123_subdomain(nominated.text()).iter().for_each(|why| e.invalid(&nominated, why));
    }
    let class = status.get("qosClass");
    if class.text() != before.get("qosClass").text() {
        e.invalid_text(&class, "field is immutable");
    }
    let policy = new.at("spec.restartPolicy").text();
    let restarts: Vec<&str> = new
        .at("spec.initContainers")
        .items()
        .iter()
        .filter(|container| container.get("restartPolicy").text() == "Always")
        .map(|container| container.get("name").text())
        .collect();
    for (list, policy, sidecars) in [
        ("containerStatuses", policy, &[][..]),
        ("initContainerStatuses", policy, &restarts[..]),
        ("ephemeralContainerStatuses", "Never", &[][..]),
    ] {
        ended(e, &status.get(list), &before.get(list), policy, sidecars);
    }
    claims(e, &status.get("resourceClaimStatuses"), &new.at("spec.resourceClaims"));
    addresses(e, &status.get("podIPs"), &before.get("podIPs"), "core.PodIP");
    let (hosts, host) = (status.get("hostIPs"), status.get("hostIP"));
    if let Some(first) = hosts.items().first()
        && first.get("ip").text() != host.text()
    {
        e.invalid(&first.get("ip"), "must be equal to `hostIP`");
    }
    addresses(e, &hosts, &before.get("hostIPs"), "core.HostIP");
}

/// A container that has ended and isn't started again can't run (`ValidateContainerStateTransition`).
fn ended(e: &mut Errors, statuses: &At<'_>, before: &At<'_>, policy: &str, sidecars: &[&str]) {
    if policy == "Always" {
        return;
    }
    for old in before.items() {
        let (name, end) = (old.get("name").text(), old.at("state.terminated"));
        let failed = end.get("exitCode").int().is_some_and(|code| code != 0);
        if !end.is_set() || (failed && policy == "OnFailure") || sidecars.contains(&name) {
            continue;
        }
        let is = |new: &&At<'_>| new.get("name").text() == name && !new.at("state.terminated").is_set();
        if statuses.items().iter().any(|new| is(&new)) {
            let at = old.get("state");
            e.forbidden(&at, "may not be transitioned to non-terminated state");
        }
    }
}

/// Claims of devices are those that the pod asks for (`validatePodResourceClaimStatuses`).
fn claims(e: &mut Errors, statuses: &At<'_>, asked: &At<'_>) {
    let all = statuses.items();
    for (index, status) in all.iter().enumerate() {
        let name = status.get("name");
        if !asked.items().iter().any(|claim| claim.get("name").text() == name.text()) {
            e.invalid_text(&name, "must match the name of an entry in `spec.resourceClaims`");
        }
        if all[..index].iter().any(|other| other.get("name").text() == name.text()) {
            e.duplicate(&name, &quoted(name.text()));
        }
    }
}

/// At most one address of each family.
fn addresses(e: &mut Errors, list: &At<'_>, before: &At<'_>, of: &str) {
    let all = list.items();
    for at in &all {
        // What was there may stay.
        if !before.items().iter().any(|old| old.value == at.value) {
            address::valid(e, &at.get("ip").as_path(at.path.clone()));
        }
    }
    if all.len() < 2 {
        return;
    }
    let six = all.iter().filter(|at| at.get("ip").text().contains(':')).count();
    if all.len() > 2 || six != 1 {
        let shown = go::dump_list(list.value, of);
        e.invalid_as(list, &shown, "may specify no more than one IP for each IP family");
    }
    for (index, at) in all.iter().enumerate() {
        if all[..index].iter().any(|other| other.value == at.value) {
            e.duplicate(at, &go::dump_named(at.value, of));
        }
    }
}
