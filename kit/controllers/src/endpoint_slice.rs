//! The EndpointSlice controller: which pods stand behind a service.
//!
//! Source: `pkg/controller/endpointslice/endpointslice_controller.go` and
//! `staging/src/k8s.io/endpointslice/{reconciler,utils}.go`. Pods whose ports have the same numbers share a slice, as long
//! as 100 endpoints fit. Simulated: there is one address family, and slices are filled anew in the order of the pods'
//! names, where upstream changes as few slices as it can.

use kit_api::core::{Container, Node, ObjectReference, Pod, Service, ServicePort};
use kit_api::discovery::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice};
use kit_api::int_or_percent::IntOrString;
use kit_api::meta::ObjectMeta;
use kit_api::pod;
use kit_apimachinery::object::{About, AsKind, Key, Kind, Object};
use kit_client::cache::Cache;
use kit_client::component::{Component, World};
use kit_client::work_queue::WorkQueue;
use kit_server::{Change, DeleteOptions};
use kit_time::agenda::Instant;
use std::collections::BTreeMap;

/// Namespace and name of a service.
type Name = (String, String);

/// The most endpoints of one slice (`--max-endpoints-per-slice`).
const PER_SLICE: usize = 100;

/// Keeps the slices of each service.
#[derive(Default)]
pub struct EndpointSlices {
    queue: WorkQueue<Name>,
}

impl Component for EndpointSlices {
    fn name(&self) -> &'static str {
        "endpoint-slice-controller"
    }

    fn watches(&self) -> &'static [Kind] {
        &[Kind::Service, Kind::Pod, Kind::EndpointSlice, Kind::Node]
    }

    fn observe(&mut self, change: &Change, world: &mut World<'_>) {
        match &change.object.object {
            Object::Service(service) => {
                let name = service.metadata.name.clone().unwrap_or_default();
                self.queue.add((change.object.object.namespace().into(), name), world.now);
            }
            Object::Pod(_) => services_of(change, world.cache).for_each(|name| self.queue.add(name, world.now)),
            _ => {}
        }
    }

    fn run(&mut self, world: &mut World<'_>) {
        while let Some(name) = self.queue.pop(world.now) {
            sync(&name, world);
        }
    }

    fn next_wake(&self) -> Option<Instant> {
        self.queue.next()
    }
}

/// The services that a pod stood or stands behind (`GetServicesToUpdateOnPodChange`).
pub(super) fn services_of<'a>(change: &'a Change, cache: &'a Cache) -> impl Iterator<Item = Name> + use<'a> {
    let pods = [Some(&change.object), change.previous.as_ref()];
    let pods = pods.into_iter().flatten().filter_map(|stored| stored.get::<Pod>());
    pods.flat_map(|pod| {
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        let services = cache.list::<Service>(namespace).filter(|service| selects(service, pod));
        services.map(|service| (namespace.to_string(), service.metadata.name.clone().unwrap_or_default()))
    })
}

pub(super) fn selects(service: &Service, pod: &Pod) -> bool {
    let selector = service.spec.as_ref().and_then(|spec| spec.selector.as_ref());
    let labels = pod.metadata.labels.as_ref();
    selector.is_some_and(|selector| {
        selector.iter().all(|(key, value)| labels.and_then(|labels| labels.get(key)) == Some(value))
    })
}

fn sync((namespace, name): &Name, world: &mut World<'_>) {
    let Some(service) = world.cache.fetch::<Service>(namespace, name) else {
        return;
    };
    let spec = service.spec.clone().unwrap_or_default();
    // Endpoints of a service without a selector are its owner's business, and ExternalName has none.
    if spec.selector.is_none() || spec.type_.as_deref() == Some("ExternalName") {
        return;
    }
    let mut by_ports: Vec<(Vec<EndpointPort>, Vec<Endpoint>)> = Vec::new();
    for pod in world.cache.list::<Pod>(namespace).filter(|pod| selects(service, pod)) {
        let Some(endpoint) = endpoint(service, pod, world.cache) else { continue };
        let ports = ports(spec.ports.as_deref().unwrap_or_default(), pod);
        match by_ports.iter_mut().find(|(there, _)| *there == ports) {
            Some((_, endpoints)) => endpoints.push(endpoint),
            None => by_ports.push((ports, vec![endpoint])),
        }
    }
    let mut parts: Vec<(&[EndpointPort], &[Endpoint])> = (by_ports.iter())
        .flat_map(|(ports, endpoints)| endpoints.chunks(PER_SLICE).map(|part| (ports.as_slice(), part)))
        .collect();
    if parts.is_empty() {
        // An empty one says that somebody has looked.
        parts.push((&[], &[]));
    }
    let mut stale: Vec<Key> = (world.cache.list::<EndpointSlice>(namespace))
        .filter(|slice| slice.metadata.labels.as_ref().and_then(|labels| labels.get(SERVICE_NAME)) == Some(name))
        .map(|slice| Key::new(Kind::EndpointSlice, namespace, slice.metadata.name.as_deref().unwrap_or_default()))
        .collect();
    for (index, (ports, endpoints)) in parts.into_iter().enumerate() {
        // Upstream draws a random suffix; a number says as much and stays the same in every run.
        let slice = slice(service, &format!("{name}-{index}"), ports, endpoints);
        stale.retain(|key| Some(&*key.name) != slice.metadata.name.as_deref());
        let object = slice.into_object();
        if world.server.get(&object.key()).is_ok() {
            _ = world.server.update(object);
        } else {
            _ = world.server.create(object);
        }
    }
    for key in stale {
        _ = world.server.delete(&key, &DeleteOptions::default());
    }
}

const SERVICE_NAME: &str = "kubernetes.io/service-name";
const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
pub(super) const HEADLESS: &str = "service.kubernetes.io/headless";

/// Which of a service's ports a pod has, and with which number (`getEndpointPorts`). A port that is named and that the
/// pod doesn't know is left out.
fn ports(ports: &[ServicePort], pod: &Pod) -> Vec<EndpointPort> {
    let ports = ports.iter().filter_map(|port| {
        Some(EndpointPort {
            name: Some(port.name.clone().unwrap_or_default()),
            port: Some(port_number(port, pod)?),
            protocol: port.protocol.clone(),
            app_protocol: port.app_protocol.clone(),
        })
    });
    ports.collect()
}

/// Which port of a pod a service's port stands for (`FindPort` of `pkg/api/v1/pod/util.go`).
pub(super) fn port_number(port: &ServicePort, pod: &Pod) -> Option<i32> {
    match &port.target_port {
        None => Some(port.port),
        Some(IntOrString::Int(number)) => Some(*number),
        Some(IntOrString::String(name)) => named_port(pod, name, port.protocol.as_deref()),
    }
}

/// The number of a container's port with this name; sidecars count.
fn named_port(pod: &Pod, name: &str, protocol: Option<&str>) -> Option<i32> {
    let spec = pod.spec.as_ref()?;
    let is_sidecar = |container: &&Container| container.restart_policy.as_deref() == Some("Always");
    let sidecars = spec.init_containers.iter().flatten().filter(is_sidecar);
    let mut all = spec.containers.iter().chain(sidecars).flat_map(|container| container.ports.iter().flatten());
    let tcp = |protocol: Option<&str>| protocol.unwrap_or("TCP").to_string();
    let found = all.find(|port| port.name.as_deref() == Some(name) && tcp(port.protocol.as_deref()) == tcp(protocol));
    found.map(|port| port.container_port)
}

fn slice(service: &Service, name: &str, ports: &[EndpointPort], endpoints: &[Endpoint]) -> EndpointSlice {
    let mut labels: BTreeMap<String, String> = service.metadata.labels.clone().unwrap_or_default();
    labels.retain(|key, _| key != HEADLESS);
    labels.insert(SERVICE_NAME.into(), service.metadata.name.clone().unwrap_or_default());
    labels.insert(MANAGED_BY.into(), "endpointslice-controller.k8s.io".into());
    if is_headless(service) {
        labels.insert(HEADLESS.into(), String::new());
    }
    EndpointSlice {
        metadata: ObjectMeta {
            name: Some(name.into()),
            namespace: service.metadata.namespace.clone(),
            labels: Some(labels),
            owner_references: Some(vec![About::from(service).controller_ref()]),
            ..Default::default()
        },
        address_type: "IPv4".into(),
        endpoints: endpoints.to_vec(),
        ports: Some(ports.to_vec()).filter(|ports| !ports.is_empty()),
    }
}

/// Whether a service has no address of its own (`IsServiceIPSet`).
pub(super) fn is_headless(service: &Service) -> bool {
    let address = service.spec.as_ref().and_then(|spec| spec.cluster_ip.as_deref());
    matches!(address, None | Some("" | "None"))
}

/// The name of a pod that names the service as its subdomain (`ShouldSetHostname`).
pub(super) fn hostname(service: &Service, pod: &Pod) -> Option<String> {
    let spec = pod.spec.as_ref()?;
    let is_member = spec.subdomain.is_some() && spec.subdomain == service.metadata.name;
    spec.hostname.clone().filter(|name| is_member && !name.is_empty())
}

/// What stands behind an endpoint.
pub(super) fn reference_to(pod: &Pod) -> ObjectReference {
    ObjectReference {
        kind: Some("Pod".into()),
        namespace: pod.metadata.namespace.clone(),
        name: pod.metadata.name.clone(),
        uid: pod.metadata.uid.clone(),
        ..Default::default()
    }
}

/// A pod has an endpoint once it has an address and as long as it is not over (`ShouldPodBeInEndpoints`).
fn endpoint(service: &Service, pod: &Pod, cache: &Cache) -> Option<Endpoint> {
    let status = pod.status.as_ref()?;
    let address = status.pod_ip.clone()?;
    if pod::is_finished(pod) {
        return None;
    }
    let spec = service.spec.as_ref();
    let publish = spec.and_then(|spec| spec.publish_not_ready_addresses).unwrap_or(false);
    let node = pod::node_name(pod).and_then(|node| cache.fetch::<Node>("", node));
    let zone = node.and_then(|node| node.metadata.labels.as_ref()?.get("topology.kubernetes.io/zone").cloned());
    let (serving, terminating) = (pod::is_ready(pod), pod::is_terminating(pod));
    Some(Endpoint {
        addresses: vec![address],
        conditions: Some(EndpointConditions {
            ready: Some(publish || (serving && !terminating)),
            serving: Some(serving),
            terminating: Some(terminating),
        }),
        hostname: hostname(service, pod),
        node_name: pod::node_name(pod).map(str::to_string),
        zone,
        target_ref: Some(reference_to(pod)),
        ..Default::default()
    })
}
