//! The EndpointSlice controller: which pods stand behind a service.
//!
//! Source: `pkg/controller/endpointslice/endpointslice_controller.go` and
//! `staging/src/k8s.io/endpointslice/{reconciler,utils}.go`. One slice per service and address family, as long as
//! 100 endpoints fit; ports are those of the service, by number.

use crate::agenda::Instant;
use crate::engine::{Component, World};
use crate::object::{AsKind, Key, Kind, Object};
use crate::server::{Change, DeleteOptions};
use crate::work_queue::WorkQueue;
use kit_api::core::{ObjectReference, Pod, Service};
use kit_api::discovery::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice};
use kit_api::int_or_percent::IntOrString;
use kit_api::meta::ObjectMeta;
use kit_api::pod;
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
        &[Kind::Service, Kind::Pod, Kind::EndpointSlice]
    }

    fn observe(&mut self, change: &Change, world: &mut World<'_>) {
        match &change.object.object {
            Object::Service(service) => {
                let name = service.metadata.name.clone().unwrap_or_default();
                self.queue.add((change.object.object.namespace().into(), name), world.now);
            }
            Object::Pod(_) => {
                let pods = [Some(&change.object), change.previous.as_ref()];
                for pod in pods.into_iter().flatten().filter_map(|stored| stored.get::<Pod>()) {
                    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
                    for service in world.cache.list::<Service>(namespace).filter(|service| selects(service, pod)) {
                        let name = service.metadata.name.clone().unwrap_or_default();
                        self.queue.add((namespace.into(), name), world.now);
                    }
                }
            }
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

fn selects(service: &Service, pod: &Pod) -> bool {
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
    if service.spec.as_ref().is_none_or(|spec| spec.selector.is_none()) {
        return;
    }
    let pods = world.cache.list::<Pod>(namespace).filter(|pod| selects(service, pod));
    let endpoints: Vec<Endpoint> = pods.filter_map(|pod| endpoint(service, pod)).collect();
    let parts: Vec<&[Endpoint]> = if endpoints.is_empty() { vec![&[]] } else { endpoints.chunks(PER_SLICE).collect() };
    let mut stale: Vec<Key> = (world.cache.list::<EndpointSlice>(namespace))
        .filter(|slice| slice.metadata.labels.as_ref().and_then(|labels| labels.get(SERVICE_NAME)) == Some(name))
        .map(|slice| Key::new(Kind::EndpointSlice, namespace, slice.metadata.name.as_deref().unwrap_or_default()))
        .collect();
    for (index, part) in parts.into_iter().enumerate() {
        // Upstream draws a random suffix; a number says as much and stays the same in every run.
        let slice = slice(service, &format!("{name}-{index}"), part);
        stale.retain(|key| Some(&key.name) != slice.metadata.name.as_ref());
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

fn slice(service: &Service, name: &str, endpoints: &[Endpoint]) -> EndpointSlice {
    let labels = [
        (SERVICE_NAME, service.metadata.name.as_deref().unwrap_or_default()),
        ("endpointslice.kubernetes.io/managed-by", "endpointslice-controller.k8s.io"),
    ];
    let ports = service.spec.as_ref().and_then(|spec| spec.ports.as_ref()).into_iter().flatten();
    let ports = ports.map(|port| EndpointPort {
        name: Some(port.name.clone().unwrap_or_default()),
        port: match &port.target_port {
            Some(IntOrString::Int(number)) => Some(*number),
            _ => Some(port.port),
        },
        protocol: port.protocol.clone(),
        ..Default::default()
    });
    EndpointSlice {
        metadata: ObjectMeta {
            name: Some(name.into()),
            namespace: service.metadata.namespace.clone(),
            labels: Some(
                labels.map(|(key, value)| (key.to_string(), value.to_string())).into_iter().collect::<BTreeMap<_, _>>(),
            ),
            owner_references: Some(vec![Object::Service(Box::new(service.clone())).controller_ref()]),
            ..Default::default()
        },
        address_type: "IPv4".into(),
        endpoints: endpoints.to_vec(),
        ports: Some(ports.collect()),
    }
}

/// A pod has an endpoint once it has an address and as long as it is not over (`ShouldPodBeInEndpoints`).
fn endpoint(service: &Service, pod: &Pod) -> Option<Endpoint> {
    let status = pod.status.as_ref()?;
    let address = status.pod_ip.clone()?;
    if pod::is_finished(pod) {
        return None;
    }
    let spec = service.spec.as_ref();
    let publish = spec.and_then(|spec| spec.publish_not_ready_addresses).unwrap_or(false);
    let (serving, terminating) = (pod::is_ready(pod), pod::is_terminating(pod));
    Some(Endpoint {
        addresses: vec![address],
        conditions: Some(EndpointConditions {
            ready: Some(publish || (serving && !terminating)),
            serving: Some(serving),
            terminating: Some(terminating),
        }),
        node_name: pod::node_name(pod).map(str::to_string),
        target_ref: Some(ObjectReference {
            kind: Some("Pod".into()),
            namespace: pod.metadata.namespace.clone(),
            name: pod.metadata.name.clone(),
            uid: pod.metadata.uid.clone(),
            ..Default::default()
        }),
        ..Default::default()
    })
}
