//! What is wrong with a new status, by kind.
//!
//! Sources: `Validate*Status` and `Validate*StatusUpdate` of `pkg/apis/{apps,core,autoscaling,policy,networking}/validation`,
//! and `ValidateUpdate` of the status strategies, which look at some kinds not at all (CronJob).

use super::{
    address, certificates, changed_metadata, common_metadata, job_status, node, pod_status, policy, resources,
};
use crate::field::{At, Errors, quoted};
use crate::go;
use kit_api::name;
use kit_apimachinery::resource::Resource;
use std::collections::BTreeSet;

/// Where upstream looks at the metadata of an object whose status is written.
const METADATA_LAST: [&str; 2] = ["CertificateSigningRequest", "StatefulSet"];
const METADATA_NEVER: [&str; 2] = ["CronJob", "PodDisruptionBudget"];

/// Says what is wrong with a write of the status of a built-in kind.
pub fn update(e: &mut Errors, resource: &Resource, new: &At<'_>, old: &At<'_>) {
    let kind = resource.kind.as_str();
    let (status, before) = (new.get("status"), old.get("status"));
    common_metadata(e, resource, new, old);
    let (first, last) =
        (!METADATA_LAST.contains(&kind) && !METADATA_NEVER.contains(&kind), METADATA_LAST.contains(&kind));
    if first {
        changed_metadata(e, resource, new, old);
    }
    match kind {
        "Deployment" => deployment(e, &status),
        "ReplicaSet" | "ReplicationController" => replica_set(e, &status),
        "StatefulSet" => stateful_set(e, &status),
        "DaemonSet" => daemon_set(e, &status),
        "Job" => job_status::job(e, new, old),
        "HorizontalPodAutoscaler" => not_negative(e, &status, &["currentReplicas", "desiredReplicas"]),
        "PodDisruptionBudget" => {
            conditions(e, &status.get("conditions"));
            not_negative(e, &status, &["disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"]);
        }
        "Pod" => pod_status::pod(e, new, old),
        "Node" => {
            node::status(e, &status);
            addresses(e, &status.get("addresses"));
        }
        "Namespace" => namespace(e, new),
        "CertificateSigningRequest" => certificates::status(e, new, old),
        "Service" => balancer(e, &status.at("loadBalancer.ingress"), new.at("spec.type").text() == "LoadBalancer"),
        "Ingress" => balanced(e, &status.at("loadBalancer.ingress")),
        "PersistentVolumeClaim" => claim(e, &status),
        "ResourceQuota" => ["hard", "used"].iter().for_each(|list| policy::quotas(e, &status.get(list))),
        _ => {}
    }
    if last {
        changed_metadata(e, resource, new, old);
    }
    if ["Deployment", "StatefulSet", "DaemonSet"].contains(&kind) {
        collisions(e, &status.get("collisionCount"), &before.get("collisionCount"));
    }
}

fn not_negative(e: &mut Errors, status: &At<'_>, fields: &[&str]) {
    fields.iter().for_each(|field| e.not_negative(&status.get(field)));
}

/// Some counts are parts of others.
fn at_most(e: &mut Errors, status: &At<'_>, fields: &[&str], whole: &str, name: &str) {
    let count = |field: &str| status.get(field).int().unwrap_or_default();
    for field in fields.iter().filter(|field| count(field) > count(whole)) {
        let at = status.get(field);
        e.invalid_as(&at, &count(field).to_string(), &format!("cannot be greater than {name}"));
    }
}

fn deployment(e: &mut Errors, status: &At<'_>) {
    not_negative(
        e,
        status,
        &[
            "observedGeneration",
            "replicas",
            "updatedReplicas",
            "readyReplicas",
            "availableReplicas",
            "unavailableReplicas",
            "collisionCount",
        ],
    );
    let parts = ["updatedReplicas", "readyReplicas", "availableReplicas"];
    at_most(e, status, &parts, "replicas", "status.replicas");
    at_most(e, status, &["availableReplicas"], "readyReplicas", "readyReplicas");
}

fn replica_set(e: &mut Errors, status: &At<'_>) {
    let counts = ["replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas", "observedGeneration"];
    not_negative(e, status, &counts);
    at_most(e, status, &counts[1..4], "replicas", "status.replicas");
    at_most(e, status, &["availableReplicas"], "readyReplicas", "readyReplicas");
}

fn stateful_set(e: &mut Errors, status: &At<'_>) {
    let counts = ["replicas", "readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas"];
    not_negative(e, status, &counts);
    not_negative(e, status, &["observedGeneration", "collisionCount"]);
    at_most(e, status, &counts[1..], "replicas", "status.replicas");
    at_most(e, status, &["availableReplicas"], "readyReplicas", "status.readyReplicas");
}

fn daemon_set(e: &mut Errors, status: &At<'_>) {
    not_negative(
        e,
        status,
        &[
            "currentNumberScheduled",
            "numberMisscheduled",
            "desiredNumberScheduled",
            "numberReady",
            "observedGeneration",
            "updatedNumberScheduled",
            "numberAvailable",
            "numberUnavailable",
            "collisionCount",
        ],
    );
}

/// How often a name was taken is counted upwards (`IsDecremented`).
fn collisions(e: &mut Errors, count: &At<'_>, before: &At<'_>) {
    if before.int().is_some_and(|before| count.int().is_none_or(|count| count < before)) {
        e.invalid_as(count, &count.int().unwrap_or_default().to_string(), "cannot be decremented");
    }
}

/// Conditions as all newer kinds have them (`ValidateConditions` of `apimachinery/pkg/apis/meta/v1/validation`).
fn conditions(e: &mut Errors, conditions: &At<'_>) {
    let mut seen = BTreeSet::new();
    for condition in conditions.items() {
        let (type_, status) = (condition.get("type"), condition.get("status"));
        if !seen.insert(type_.text()) {
            e.duplicate(&type_, &quoted(type_.text()));
        }
        name::qualified_name(type_.text()).iter().for_each(|why| e.invalid_text(&type_, why));
        if !["True", "False", "Unknown"].contains(&status.text()) {
            e.not_supported(&status, &["False", "True", "Unknown"]);
        }
        if condition.get("observedGeneration").int().is_some_and(|generation| generation < 0) {
            e.invalid(&condition.get("observedGeneration"), "must be greater than or equal to zero");
        }
        if !condition.get("lastTransitionTime").is_set() {
            e.required(&condition.get("lastTransitionTime"), "must be set");
        }
        reason(e, &condition.get("reason"));
        if condition.get("message").text().len() > MESSAGE_LENGTH {
            e.too_long(&condition.get("message"), MESSAGE_LENGTH);
        }
    }
}

const REASON_LENGTH: usize = 1024;
const MESSAGE_LENGTH: usize = 32 * 1024;

fn reason(e: &mut Errors, at: &At<'_>) {
    let text = at.text();
    if text.is_empty() {
        return e.required(at, "must be set");
    }
    let inner = |c: char| c.is_ascii_alphanumeric() || "_,:".contains(c);
    let last = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let fits = text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.chars().all(inner) && text.ends_with(last);
    if !fits {
        let why = "a condition reason must start with alphabetic character, optionally followed by a string of \
                   alphanumeric characters or '_,:', and must end with an alphanumeric character or '_' (e.g. 'my_name', \
                   or 'MY_NAME', or 'MyName', or 'ReasonA,ReasonB', or 'ReasonA:ReasonB', regex used for validation is \
                   '[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?')";
        e.invalid(at, why);
    }
    if text.len() > REASON_LENGTH {
        e.too_long(at, REASON_LENGTH);
    }
}

fn namespace(e: &mut Errors, namespace: &At<'_>) {
    let phase = namespace.at("status.phase").as_path("status.Phase".into());
    let ends = namespace.at("metadata.deletionTimestamp").is_set();
    if !ends && phase.text() != "Active" {
        e.invalid_text(&phase, "may only be 'Active' if `deletionTimestamp` is empty");
    }
    if ends && phase.text() != "Terminating" {
        e.invalid_text(&phase, "may only be 'Terminating' if `deletionTimestamp` is not empty");
    }
}

/// A node has each address once (`ValidateNodeUpdate`).
fn addresses(e: &mut Errors, addresses: &At<'_>) {
    let all = addresses.items();
    for (index, address) in all.iter().enumerate() {
        if all[..index].iter().any(|other| other.value == address.value) {
            e.duplicate(address, &go::dump_named(address.value, "core.NodeAddress"));
        }
    }
}

/// `ValidateLoadBalancerStatus`.
fn balancer(e: &mut Errors, ingress: &At<'_>, balanced: bool) {
    if !balanced && !ingress.is_empty() {
        return e.forbidden(ingress, "may only be used when `spec.type` is 'LoadBalancer'");
    }
    for point in ingress.items() {
        let (ip, mode) = (point.get("ip"), point.get("ipMode"));
        address::valid(e, &ip);
        if mode.is_set() && ip.text().is_empty() {
            e.forbidden(&mode, "may not be specified when `ip` is not set");
        } else if mode.is_set() && !["VIP", "Proxy"].contains(&mode.text()) {
            e.not_supported(&mode, &["Proxy", "VIP"]);
        }
        hostname(e, &point.get("hostname"));
    }
}

/// `ValidateIngressLoadBalancerStatus` of `pkg/apis/networking/validation`.
fn balanced(e: &mut Errors, ingress: &At<'_>) {
    for point in ingress.items() {
        address::valid(e, &point.get("ip"));
        hostname(e, &point.get("hostname"));
    }
}

fn hostname(e: &mut Errors, at: &At<'_>) {
    if at.text().is_empty() {
        return;
    }
    name::dns1123_subdomain(at.text()).iter().for_each(|why| e.invalid(at, why));
    if address::is_one(at.text()) {
        e.invalid(at, "must be a DNS name, not an IP address");
    }
}

/// How far a claim that grows has come.
const RESIZES: [&str; 5] = [
    "ControllerResizeInProgress",
    "ControllerResizeInfeasible",
    "NodeResizeInProgress",
    "NodeResizeInfeasible",
    "NodeResizePending",
];

/// `ValidatePersistentVolumeClaimStatusUpdate`.
fn claim(e: &mut Errors, status: &At<'_>) {
    let basic = |e: &mut Errors, list: &At<'_>| {
        for (_, amount) in list.entries() {
            if resources::quantity(&amount) < kit_api::Quantity::default() {
                e.invalid_text(&amount, "must be greater than or equal to 0");
            }
        }
    };
    basic(e, &status.get("capacity"));
    let states = status.get("allocatedResourceStatuses");
    for (resource, state) in states.entries() {
        if !RESIZES.contains(&state.text()) {
            let mut known = RESIZES;
            known.sort_unstable();
            let at = states.as_path("status.allocatedResourceStatus".into());
            e.not_supported_as(&at, &quoted(resource), &known);
        }
    }
    basic(e, &status.get("allocatedResources"));
}
