//! Requests and limits.
//!
//! Source: `validateContainerResourceRequirements` and `ValidateResourceQuantityValue` of
//! `pkg/apis/core/validation/validation.go`.

use crate::server::field::{At, Errors, quoted};
use kit_api::{Quantity, name};

const STANDARD: [&str; 4] = ["cpu", "memory", "ephemeral-storage", "hugepages"];

/// A quantity that is known to be one.
pub fn quantity(at: &At<'_>) -> Quantity {
    at.text().parse().unwrap_or_default()
}

/// Whether more of it may be asked for than there is: true of native resources but huge pages.
fn overcommits(resource: &str) -> bool {
    native(resource) && !resource.starts_with("hugepages-")
}

fn native(resource: &str) -> bool {
    !resource.contains('/') || resource.contains("kubernetes.io/")
}

fn whole(resource: &str) -> bool {
    !native(resource) || ["pods", "services", "secrets", "configmaps"].contains(&resource)
}

pub fn requirements(e: &mut Errors, resources: &At<'_>) {
    let (limits, requests) = (resources.get("limits"), resources.get("requests"));
    list(e, &limits);
    let mut needs_limit = false;
    for (resource, request) in requests.entries() {
        resource_name(e, &requests, resource);
        amount(e, resource, &request);
        let limit = limits.key(resource);
        if limit.is_set() {
            let (request, most) = (quantity(&request), quantity(&limit));
            let shown = quoted(&request);
            if !overcommits(resource) && request != most {
                e.invalid_as(&requests, &shown, &format!("must be equal to {resource} limit of {most}"));
            } else if overcommits(resource) && request > most {
                let why = format!("must be less than or equal to {resource} limit of {most}");
                e.invalid_as(&requests, &shown, &why);
            }
        } else if !overcommits(resource) {
            needs_limit = true;
        }
    }
    if needs_limit {
        e.required(&limits, "Limit must be set for non overcommitable resources");
    }
}

/// Resources by name, each an amount.
pub fn list(e: &mut Errors, list: &At<'_>) {
    for (resource, value) in list.entries() {
        resource_name(e, list, resource);
        amount(e, resource, &value);
    }
}

fn resource_name(e: &mut Errors, at: &At<'_>, resource: &str) {
    let at = At { value: at.value, path: format!("{}[{resource}]", at.path) };
    let known = STANDARD.contains(&resource) || resource.starts_with("hugepages-");
    let problems = name::qualified_name(resource);
    if !problems.is_empty() {
        problems.iter().for_each(|problem| e.invalid_as(&at, &quoted(resource), problem));
    } else if !resource.contains('/') && !known {
        e.invalid_as(&at, &quoted(resource), "must be a standard resource type or fully qualified");
        e.invalid_as(&at, &quoted(resource), "must be a standard resource for containers");
    }
}

fn amount(e: &mut Errors, resource: &str, at: &At<'_>) {
    not_negative(e, at);
    let value = quantity(at);
    if whole(resource) && value.milli_value() % 1000 != 0 {
        e.invalid_as(at, &crate::server::go::quantity(at.value, "resource.Quantity"), "must be an integer");
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
