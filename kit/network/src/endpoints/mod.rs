//! Which pods stand behind a service: EndpointSlices, their mirrors, and the Endpoints that were there before them.
//!
//! The core of the EndpointSlice controller is the module of `network/endpoints`; what is complete beyond it is here.

pub mod controller;
pub mod hints;
pub mod kubernetes;
pub mod legacy;
pub mod mirroring;
pub mod reconciler;
pub mod tracker;
pub mod trigger;

use kit_api::core::{Container, ObjectReference, Pod, Service, ServicePort};
use kit_api::discovery::EndpointSlice;
use kit_api::int_or_percent::IntOrString;

/// Namespace and name of a service.
pub type Name = (String, String);

/// The label of a slice that names its service.
pub const SERVICE_NAME: &str = "kubernetes.io/service-name";
/// The label of a slice that names the controller that keeps it.
pub const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
/// The label that says that the service has no address of its own.
pub const HEADLESS: &str = "service.kubernetes.io/headless";
/// The annotation that says when that changed which an object was written for.
pub const TRIGGERED: &str = "endpoints.kubernetes.io/last-change-trigger-time";
/// Old leaders hold their lock in Endpoints without a service.
const LEADER: &str = "control-plane.alpha.kubernetes.io/leader";

/// Whether a service means a pod. Without a selector it means none.
fn selects(service: &Service, pod: &Pod) -> bool {
    let selector = service.spec.as_ref().and_then(|spec| spec.selector.as_ref());
    let labels = pod.metadata.labels.as_ref();
    selector.is_some_and(|selector| {
        selector.iter().all(|(key, value)| labels.and_then(|labels| labels.get(key)) == Some(value))
    })
}

/// Which port of a pod a service's port stands for (`FindPort` of `pkg/api/v1/pod/util.go`).
fn port_number(port: &ServicePort, pod: &Pod) -> Option<i32> {
    match &port.target_port {
        None => Some(port.port),
        Some(IntOrString::Int(number)) => Some(*number),
        Some(IntOrString::String(name)) => named_port(pod, name, port.protocol.as_deref()),
    }
}

/// The number of a container's port with this name; sidecars count.
fn named_port(pod: &Pod, name: &str, protocol: Option<&str>) -> Option<i32> {
    let spec = pod.spec.as_ref()?;
    let sidecars = spec.init_containers.iter().flatten().filter(|container| is_sidecar(container));
    let mut all = spec.containers.iter().chain(sidecars).flat_map(|container| container.ports.iter().flatten());
    let found = all.find(|port| {
        port.name.as_deref() == Some(name) && protocol_of(port.protocol.as_deref()) == protocol_of(protocol)
    });
    found.map(|port| port.container_port)
}

fn is_sidecar(init: &Container) -> bool {
    init.restart_policy.as_deref() == Some("Always")
}

fn protocol_of(protocol: Option<&str>) -> &str {
    protocol.unwrap_or("TCP")
}

/// Whether a service has no address of its own (`IsServiceIPSet`).
fn is_headless(service: &Service) -> bool {
    let address = service.spec.as_ref().and_then(|spec| spec.cluster_ip.as_deref());
    matches!(address, None | Some("" | "None"))
}

/// The name of a pod that names the service as its subdomain (`ShouldSetHostname`).
fn hostname(service: &Service, pod: &Pod) -> Option<String> {
    let spec = pod.spec.as_ref()?;
    let is_member = spec.subdomain.is_some() && spec.subdomain == service.metadata.name;
    spec.hostname.clone().filter(|name| is_member && !name.is_empty())
}

/// What stands behind an endpoint.
fn reference_to(pod: &Pod) -> ObjectReference {
    ObjectReference {
        kind: Some("Pod".into()),
        namespace: pod.metadata.namespace.clone(),
        name: pod.metadata.name.clone(),
        uid: pod.metadata.uid.clone(),
        ..Default::default()
    }
}

fn label<'a>(slice: &'a EndpointSlice, name: &str) -> &'a str {
    slice.metadata.labels.as_ref().and_then(|labels| labels.get(name)).map_or("", String::as_str)
}

/// Several errors as one (`NewAggregate` of `k8s.io/apimachinery/pkg/util/errors`): each text once.
pub fn aggregate(errors: &[String]) -> Option<String> {
    let mut texts: Vec<&str> = Vec::new();
    for error in errors.iter().map(String::as_str) {
        if !texts.contains(&error) {
            texts.push(error);
        }
    }
    match texts.as_slice() {
        [] => None,
        [only] => Some(only.to_string()),
        several => Some(format!("[{}]", several.join(", "))),
    }
}

#[cfg(test)]
mod tests;
