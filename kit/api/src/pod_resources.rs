//! What a pod asks for and what it may use, all its containers taken together.
//!
//! Source: `staging/src/k8s.io/component-helpers/resource/helpers.go` and `pkg/apis/core/v1/defaults.go`.

use crate::Quantity;
use crate::core::{Container, ContainerStatus, Pod, PodSpec, ResourceRequirements};
use crate::quantity::Format;
pub use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;
use std::collections::BTreeMap;

/// Amounts by the name of the resource: `cpu`, `memory`, `nvidia.com/gpu` …
pub type Resources = BTreeMap<String, Quantity>;

/// The amounts in an object's field. A text that is no quantity counts as nothing: the API server lets none through.
pub fn resources(field: Option<&BTreeMap<String, Text>>) -> Resources {
    let parse = |(name, text): (&String, &Text)| Some((name.clone(), Quantity::try_from(text).ok()?));
    field.into_iter().flatten().filter_map(parse).collect()
}

/// Which of a container's amounts are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// What the scheduler reserves.
    Requests,
    /// What the kernel enforces.
    Limits,
}

impl Side {
    /// One container's amounts.
    pub fn of(self, container: &Container) -> Resources {
        let Some(resources_of) = &container.resources else {
            return Resources::new();
        };
        resources(match self {
            Side::Requests => resources_of.requests.as_ref(),
            Side::Limits => resources_of.limits.as_ref(),
        })
    }
}

/// What the scheduler takes for a container that asks for no CPU or memory, when it scores nodes
/// (`DefaultMilliCPURequest`, `DefaultMemoryRequest`).
pub fn non_missing() -> Resources {
    let cpu = Quantity::from_milli(100, Format::DecimalSI);
    let memory = Quantity::new(200 * 1024 * 1024, Format::DecimalSI);
    Resources::from([("cpu".into(), cpu), ("memory".into(), memory)])
}

/// How to count a pod's requests.
#[derive(Debug, Clone, Default)]
pub struct RequestOptions {
    /// Leaves out the overhead of the pod's runtime class.
    pub exclude_overhead: bool,
    /// Stands in, container by container, for what isn't requested.
    pub non_missing: Resources,
    /// Counts what containers were given and have, where that is more than what they are to get (`UseStatusResources`).
    pub held: bool,
}

/// What the pod reserves: the greater of what its containers need together and what its init containers need one
/// after the other, with sidecars running beside both, and the overhead on top (`PodRequests`).
pub fn requests(pod: &Pod, options: &RequestOptions) -> Resources {
    let Some(spec) = &pod.spec else {
        return Resources::new();
    };
    let mut total = together(spec, |container| {
        let mut resources = Side::Requests.of(container);
        if options.held {
            hold(&mut resources, pod, &container.name);
        }
        for (name, amount) in &options.non_missing {
            resources.entry(name.clone()).or_insert_with(|| amount.clone());
        }
        resources
    });
    if !options.exclude_overhead {
        add(&mut total, &resources(spec.overhead.as_ref()));
    }
    total
}

/// What a container counts for while it is resized; a resize that can't ever be done doesn't count (`determineContainerReqs`).
fn hold(wanted: &mut Resources, pod: &Pod, container: &str) {
    let Some(status) = statuses(pod).find(|status| status.name == container) else { return };
    let Some(has) = &status.resources else { return };
    if is_infeasible(pod) {
        wanted.clear();
    }
    raise(wanted, &resources(has.requests.as_ref()));
    raise(wanted, &resources(status.allocated_resources.as_ref()));
}

fn statuses(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    let status = pod.status.iter();
    status.flat_map(|status| status.container_statuses.iter().chain(&status.init_container_statuses).flatten())
}

/// Whether a resize of the pod is refused for good (`IsPodResizeInfeasible`).
fn is_infeasible(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions
        .filter(|condition| condition.type_ == "PodResizePending")
        .any(|condition| condition.reason.as_deref() == Some("Infeasible"))
}

/// Whether a pod's containers were given or have something else than what its spec asks for: true during a resize.
pub fn is_resized(pod: &Pod) -> bool {
    let all = pod.spec.iter().flat_map(|spec| spec.init_containers.iter().flatten().chain(&spec.containers));
    let differs = |container: &Container| {
        let Some(status) = statuses(pod).find(|status| status.name == container.name) else { return false };
        let Some(has) = &status.resources else { return false };
        let wanted = Side::Requests.of(container);
        let is_other = |amounts| resources(Some(amounts)) != wanted;
        has.requests.as_ref().map_or(!wanted.is_empty(), is_other)
            || status.allocated_resources.as_ref().is_some_and(is_other)
    };
    all.into_iter().any(differs)
}

/// What the pod may use (`PodLimits`). Overhead adds to limits that are there and not 0, and sets none.
pub fn limits(pod: &Pod) -> Resources {
    let Some(spec) = &pod.spec else {
        return Resources::new();
    };
    let mut total = together(spec, |container| Side::Limits.of(container));
    for (name, amount) in resources(spec.overhead.as_ref()) {
        if let Some(limit) = total.get_mut(&name).filter(|limit| !limit.is_zero()) {
            limit.add(&amount);
        }
    }
    total
}

fn together(spec: &PodSpec, of: impl Fn(&Container) -> Resources) -> Resources {
    let mut total = Resources::new();
    for container in &spec.containers {
        add(&mut total, &of(container));
    }
    let (mut sidecars, mut most) = (Resources::new(), Resources::new());
    for container in spec.init_containers.iter().flatten() {
        let own = of(container);
        if is_sidecar(container) {
            add(&mut total, &own);
            add(&mut sidecars, &own);
            raise(&mut most, &sidecars);
        } else {
            // It runs alone, but for the sidecars that were started before it.
            let mut now = own;
            add(&mut now, &sidecars);
            raise(&mut most, &now);
        }
    }
    raise(&mut total, &most);
    total
}

/// Whether an init container keeps running beside the others (`restartPolicy: Always`).
pub fn is_sidecar(container: &Container) -> bool {
    container.restart_policy.as_deref() == Some("Always")
}

/// Adds each amount (`addResourceList`).
pub fn add(total: &mut Resources, more: &Resources) {
    for (name, amount) in more {
        match total.get_mut(name) {
            Some(there) => there.add(amount),
            None => _ = total.insert(name.clone(), amount.clone()),
        }
    }
}

/// Takes the greater of each amount (`maxResourceList`).
fn raise(total: &mut Resources, other: &Resources) {
    for (name, amount) in other {
        if total.get(name).is_none_or(|there| amount > there) {
            total.insert(name.clone(), amount.clone());
        }
    }
}

/// What a pod asks for of one resource as the kubelet counts it: without sidecars' help for init containers, and
/// with overhead only where something is asked for (`GetResourceRequestQuantity` of `pkg/api/v1/resource/helpers.go`).
pub fn kubelet_request(pod: &Pod, resource: &str) -> Quantity {
    let format = match resource {
        "memory" | "storage" | "ephemeral-storage" => Format::BinarySI,
        _ => Format::DecimalSI,
    };
    let mut total = Quantity::new(0, format);
    let Some(spec) = &pod.spec else {
        return total;
    };
    for amount in spec.containers.iter().filter_map(|container| Side::Requests.of(container).remove(resource)) {
        total.add(&amount);
    }
    for container in spec.init_containers.iter().flatten() {
        if let Some(amount) = Side::Requests.of(container).remove(resource)
            && total < amount
        {
            total = amount;
        }
    }
    if let Some(overhead) = resources(spec.overhead.as_ref()).get(resource)
        && !total.is_zero()
    {
        total.add(overhead);
    }
    total
}

/// What the API server makes of a new pod's resources: a limit without a request is the request too, and amounts
/// below a milli-unit are rounded up (`SetDefaults_Pod`, `SetDefaults_ResourceList`).
pub fn set_defaults(pod: &mut Pod) {
    let Some(spec) = &mut pod.spec else {
        return;
    };
    let all = spec.containers.iter_mut().chain(spec.init_containers.iter_mut().flatten());
    for resources in all.filter_map(|container| container.resources.as_mut()) {
        let ResourceRequirements { limits, requests, .. } = resources;
        round_up(limits);
        round_up(requests);
        if let Some(limits) = limits {
            let requests = requests.get_or_insert_default();
            for (name, limit) in limits {
                requests.entry(name.clone()).or_insert_with(|| limit.clone());
            }
        }
    }
    round_up(&mut spec.overhead);
}

fn round_up(amounts: &mut Option<BTreeMap<String, Text>>) {
    for text in amounts.iter_mut().flatten().map(|(_, text)| text) {
        if let Ok(mut amount) = Quantity::try_from(&*text) {
            amount.round_up_to_milli();
            *text = Text::from(&amount);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_pod_counts_for_the_most_that_it_wants_was_given_and_has() {
        /// What a container wants, was given and has, why the resize waits, what the pod counts for, and whether it is being resized.
        type Case<'a> = (&'a str, &'a str, &'a str, &'a str, i64, bool);
        let cases: [Case<'_>; 5] = [
            ("500m", "500m", "500m", "", 500, false),
            ("800m", "500m", "500m", "Deferred", 800, true),
            ("9", "500m", "600m", "Infeasible", 600, true),
            ("200m", "200m", "500m", "", 500, true),
            ("200m", "500m", "500m", "", 500, true),
        ];
        for (wanted, given, has, why, counts, resized) in cases {
            let conditions = json!([{"type": "PodResizePending", "status": "True", "reason": why}]);
            let pod: Pod = serde_json::from_value(json!({
                "spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": wanted}}}]},
                "status": {
                    "conditions": if why.is_empty() { json!([]) } else { conditions },
                    "containerStatuses": [{
                        "name": "c", "image": "", "imageID": "", "ready": true, "restartCount": 0,
                        "allocatedResources": {"cpu": given}, "resources": {"requests": {"cpu": has}},
                    }],
                },
            }))
            .expect("a pod");
            let all = requests(&pod, &RequestOptions { held: true, ..RequestOptions::default() });
            assert_eq!(all.get("cpu").map(Quantity::milli_value), Some(counts), "{wanted} {given} {has}");
            assert_eq!(is_resized(&pod), resized, "{wanted} {given} {has}");
        }
    }
}
