//! Requests and limits.
//!
//! Source: `validateResourceRequirements` and `ValidateResourceQuantityValue` of
//! `pkg/apis/core/validation/validation.go`; which names there are, `pkg/apis/core/helper/helpers.go`.

use crate::field::{At, Errors, quoted};
use kit_api::{Quantity, name};

const OF_CONTAINERS: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];
const STANDARD: [&str; 20] = [
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "storage",
    "requests.storage",
    "services.nodeports",
    "services.loadbalancers",
];
const COUNTED: [&str; 9] = [
    "pods",
    "services",
    "replicationcontrollers",
    "resourcequotas",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "services.nodeports",
    "services.loadbalancers",
];

/// A quantity that is known to be one.
pub fn quantity(at: &At<'_>) -> Quantity {
    at.text().parse().unwrap_or_default()
}

/// Whether more of it may be asked for than there is: true of native resources but huge pages.
pub fn overcommits(resource: &str) -> bool {
    native(resource) && !resource.starts_with("hugepages-")
}

fn native(resource: &str) -> bool {
    !resource.contains('/') || resource.contains("kubernetes.io/")
}

/// Resources that are counted and not measured (`IsExtendedResourceName`).
fn extended(resource: &str) -> bool {
    !native(resource)
        && !resource.starts_with("requests.")
        && name::qualified_name(&format!("requests.{resource}")).is_empty()
}

/// The requests and limits of a container.
pub fn requirements(e: &mut Errors, resources: &At<'_>) {
    let (limits, requests) = (resources.get("limits"), resources.get("requests"));
    for (resource, limit) in limits.entries() {
        amount_of(e, resource, &limit);
    }
    for (resource, request) in requests.entries() {
        amount_of_request(e, resource, &request);
        let limit = limits.key(resource);
        if limit.is_set() {
            let (request, most) = (quantity(&request), quantity(&limit));
            if !overcommits(resource) && request != most {
                let why = format!("must be equal to {resource} limit of {most}");
                e.invalid_as(&requests, &quoted(&request), &why);
            } else if request > most {
                let why = format!("must be less than or equal to {resource} limit of {most}");
                e.invalid_as(&requests, &quoted(&request), &why);
            }
        } else if !overcommits(resource) {
            e.required(&limits, "Limit must be set for non overcommitable resources");
        }
        huge_pages(e, resource, &request);
    }
    let said =
        |check: fn(&str) -> bool| [&limits, &requests].iter().any(|list| list.entries().iter().any(|(r, _)| check(r)));
    if said(|resource| resource.starts_with("hugepages-")) && !said(|resource| ["cpu", "memory"].contains(&resource)) {
        e.forbidden(resources, "HugePages require cpu or memory");
    }
}

/// What a pod takes beside its containers, which is checked as limits are.
pub fn overhead(e: &mut Errors, overhead: &At<'_>) {
    let list = overhead.as_path(format!("{}.limits", overhead.path));
    for (resource, amount) in list.entries() {
        amount_of(e, resource, &amount);
    }
}

fn amount_of(e: &mut Errors, resource: &str, at: &At<'_>) {
    amount_of_request(e, resource, at);
    huge_pages(e, resource, at);
}

fn amount_of_request(e: &mut Errors, resource: &str, at: &At<'_>) {
    container_name(e, at, resource);
    amount(e, resource, at);
}

/// Whether it is the name of a resource at all (`validateResourceName`).
pub fn resource_name(e: &mut Errors, at: &At<'_>, resource: &str) {
    let problems = name::qualified_name(resource);
    let standard = STANDARD.contains(&resource)
        || ["hugepages-", "requests.hugepages-"].iter().any(|prefix| resource.starts_with(prefix));
    problems.iter().for_each(|problem| e.invalid_as(at, resource, problem));
    if problems.is_empty() && !resource.contains('/') && !standard {
        e.invalid_as(at, resource, "must be a standard resource type or fully qualified");
    }
}

/// Whether a container can ask for it (`validateContainerResourceName`).
pub fn container_name(e: &mut Errors, at: &At<'_>, resource: &str) {
    resource_name(e, at, resource);
    if resource.contains('/') {
        if !native(resource) && !extended(resource) {
            e.invalid_as(at, resource, "doesn't follow extended resource name standard");
        }
    } else if !OF_CONTAINERS.contains(&resource) && !resource.starts_with("hugepages-") {
        e.invalid_as(at, resource, "must be a standard resource for containers");
    }
}

/// Not negative, and whole where things are counted (`ValidateResourceQuantityValue`).
pub fn amount(e: &mut Errors, resource: &str, at: &At<'_>) {
    not_negative(e, at);
    if (extended(resource) || COUNTED.contains(&resource)) && quantity(at).milli_value() % 1000 != 0 {
        e.invalid_as(at, &crate::go::quantity(at.value), "must be an integer");
    }
}

fn huge_pages(e: &mut Errors, resource: &str, at: &At<'_>) {
    let Some(size) = resource.strip_prefix("hugepages-") else { return };
    let (size, amount) = (size.parse::<Quantity>().unwrap_or_default(), quantity(at));
    let whole = size.sign() > 0 && size.milli_value() % 1000 == 0 && amount.value() % size.value() == 0;
    if !whole {
        e.invalid_as(at, &quoted(&amount), &format!("{amount} is not positive integer multiple of {resource}"));
    }
}

/// An amount that may not be negative.
pub fn not_negative(e: &mut Errors, at: &At<'_>) {
    if quantity(at).sign() < 0 {
        e.invalid_as(at, &quoted(quantity(at)), "must be greater than or equal to 0");
    }
}

/// An amount of which there must be some.
pub fn positive(e: &mut Errors, at: &At<'_>) {
    if quantity(at).sign() <= 0 {
        e.invalid_as(at, &quoted(quantity(at)), "must be greater than zero");
    }
}
