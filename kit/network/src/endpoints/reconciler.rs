//! What one sync of a service writes: the module's plan, made into whole slices.
//!
//! Sources: `staging/src/k8s.io/endpointslice/reconciler.go` and `utils.go` there.

use super::hints::{self, Slices, Topology};
use super::{
    HEADLESS, MANAGED_BY, SERVICE_NAME, TRIGGERED, hostname, is_headless, is_sidecar, label, port_number, protocol_of,
    reference_to,
};
use kit_api::core::{Container, Node, Pod, Service, ServicePort};
use kit_api::discovery::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice};
use kit_api::int_or_percent::IntOrString;
use kit_api::jiff::Timestamp;
use kit_api::meta::ObjectMeta;
use kit_api::pod;
use kit_apimachinery::object::About;
use kit_contract::network::EndpointSlices;
use kit_contract::network::endpoints as view;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Who keeps slices of services with a selector (`controllerQualifiedName`).
pub const CONTROLLER: &str = "endpointslice-controller.k8s.io";

/// What a sync of one service sees.
pub struct Seen<'a> {
    /// The service, which has a selector and is no ExternalName.
    pub service: &'a Service,
    /// The pods that its selector means.
    pub pods: &'a [&'a Pod],
    /// The node of a name.
    pub node: &'a dyn Fn(&str) -> Option<&'a Node>,
    /// The slices that the controller keeps for it.
    pub slices: &'a [&'a EndpointSlice],
    /// The most endpoints of one slice.
    pub max_endpoints: usize,
    /// When that began to change which the sync is about.
    pub triggered: Option<Timestamp>,
}

/// What to write for one address family, or for one object of Endpoints. New slices have no name yet.
#[derive(Debug, Default)]
pub struct Changes {
    /// The slices to create.
    pub create: Vec<EndpointSlice>,
    /// The slices to update.
    pub update: Vec<EndpointSlice>,
    /// The slices to delete.
    pub delete: Vec<EndpointSlice>,
    /// What is told of the service, or the Endpoints.
    pub told: Vec<Told>,
    /// Pods that were left out because their nodes are gone. The sync has to be tried again.
    pub skipped: Vec<String>,
}

/// An event about the service, or the Endpoints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// `Normal` or `Warning`.
    pub kind: &'static str,
    /// Why, in one word.
    pub reason: &'static str,
    /// Why, in a sentence.
    pub message: String,
}

impl Told {
    pub(super) fn new(kind: &'static str, reason: &'static str, message: &str) -> Told {
        Told { kind, reason, message: message.into() }
    }

    pub(super) fn disabled(why: &str, family: &str) -> Told {
        Told::new("Warning", "TopologyAwareHintsDisabled", &format!("{why}, addressType: {family}"))
    }
}

/// What to write for a service, family by family, and last what is of no family that it has (`Reconcile`).
pub fn reconcile(module: &dyn EndpointSlices, topology: &mut Topology, seen: &Seen<'_>) -> Vec<Changes> {
    let families = families(seen.service);
    let has = |slice: &&&EndpointSlice| families.contains(&slice.address_type.as_str());
    let foreign: Vec<&EndpointSlice> = seen.slices.iter().filter(|slice| !has(slice)).copied().collect();
    for slice in &foreign {
        let namespace = slice.metadata.namespace.as_deref().unwrap_or_default();
        topology.forget(&format!("{namespace}/{}", label(slice, SERVICE_NAME)), &slice.address_type);
    }
    let mut all: Vec<Changes> = families.iter().map(|family| of_family(module, topology, seen, family)).collect();
    all.push(Changes { delete: foreign.into_iter().cloned().collect(), ..Changes::default() });
    all
}

/// The address families of a service (`getAddressTypesForService`). The API server writes them; without it a service
/// with an address has that one's, and one without has both.
fn families(service: &Service) -> Vec<&'static str> {
    let spec = service.spec.as_ref();
    let said = |family: &str| {
        let mut families = spec.and_then(|spec| spec.ip_families.as_ref()).into_iter().flatten();
        families.any(|there| there == family)
    };
    let families: Vec<_> = ["IPv4", "IPv6"].into_iter().filter(|family| said(family)).collect();
    if !families.is_empty() {
        return families;
    }
    let address = spec.and_then(|spec| spec.cluster_ip.as_deref()).unwrap_or_default();
    match address {
        "" | "None" => vec!["IPv4", "IPv6"],
        address if address.contains(':') => vec!["IPv6"],
        _ => vec!["IPv4"],
    }
}

fn of_family(module: &dyn EndpointSlices, topology: &mut Topology, seen: &Seen<'_>, family: &str) -> Changes {
    let service = seen.service;
    let mut changes = Changes::default();
    let of_family = seen.slices.iter().filter(|slice| slice.address_type == family).copied();
    let (owned, strange): (Vec<&EndpointSlice>, Vec<&EndpointSlice>) =
        of_family.partition(|slice| is_owned(slice, service));

    let mut pods = Vec::new();
    // Ports of pods that count and yet have no endpoint of this family.
    let mut without: Vec<Vec<view::Port>> = Vec::new();
    for pod in seen.pods.iter().filter(|pod| has_endpoints(pod)) {
        let name = pod::node_name(pod).unwrap_or_default();
        let node = (seen.node)(name);
        let shown = show_pod(pod, node, service, family);
        if node.is_none() && !publishes(service) {
            changes.skipped.push(format!(
                "skipping Pod {} for Service {}/{}: Node {name} Not Found",
                pod.metadata.name.as_deref().unwrap_or_default(),
                service.metadata.namespace.as_deref().unwrap_or_default(),
                service.metadata.name.as_deref().unwrap_or_default(),
            ));
            without.push(ports_of(service, pod));
        } else if shown.address.is_none() {
            without.push(ports_of(service, pod));
        } else {
            pods.push((*pod, shown));
        }
    }

    // Upstream keeps an empty slice whose ports only such pods have. There is no endpoint to ask the module about.
    let is_aside = |slice: &&EndpointSlice| {
        let ports = show_ports(slice.ports.as_deref().unwrap_or_default());
        slice.endpoints.is_empty()
            && without.contains(&ports)
            && !pods.iter().any(|(pod, _)| ports_of(service, pod) == ports)
    };
    let (aside, asked): (Vec<&EndpointSlice>, Vec<&EndpointSlice>) = owned.into_iter().partition(is_aside);
    let by_name: BTreeMap<&str, &Pod> = pods.iter().map(|(pod, shown)| (shown.name.as_str(), *pod)).collect();

    let request = view::Request {
        service: show_service(service),
        pods: pods.iter().map(|(_, shown)| shown.clone()).collect(),
        slices: asked.iter().map(|slice| show_slice(slice, service, &by_name)).collect(),
        max_endpoints: seen.max_endpoints.max(1),
    };
    let mut plan = if !aside.is_empty() && pods.is_empty() {
        let delete = request.slices.iter().map(|slice| slice.name.clone()).collect();
        view::Plan { delete, ..view::Plan::default() }
    } else {
        module.reconcile(&request)
    };
    // Upstream writes an empty slice anew where it deletes another one.
    if let ([only], [], [], [], false, true) =
        (asked.as_slice(), &*plan.create, &*plan.update, &*plan.delete, strange.is_empty(), pods.is_empty())
    {
        let name = only.metadata.name.clone().unwrap_or_default();
        plan.update.push(view::Update { name, ..view::Update::default() });
    }

    // Slices that take over new ones are new ones until hints are there: a slice is filled with what is meant for a zone.
    let mut slices = Slices::default();
    let mut names: Vec<Option<String>> = Vec::new();
    for new in &plan.create {
        slices.create.push(new_slice(service, family, &new.ports, endpoints(&new.endpoints, &by_name)));
        names.push(None);
    }
    for update in &plan.update {
        let Some(index) = request.slices.iter().position(|slice| slice.name == update.name) else { continue };
        match updated(asked[index], &request.slices[index], update, service, &by_name) {
            Some(slice) => slices.update.push(slice),
            None => {
                let endpoints = endpoints(&update.endpoints, &by_name);
                slices.create.push(new_slice(service, family, &update.ports, endpoints));
                names.push(Some(update.name.clone()));
            }
        }
    }
    for slice in aside {
        match labels(slice, service) {
            (labels, true) => {
                let mut slice = slice.clone();
                slice.metadata.labels = Some(labels);
                slices.update.push(slice);
            }
            _ => slices.unchanged.push(slice.clone()),
        }
    }
    let is_named = |slice: &EndpointSlice, name: &String| slice.metadata.name.as_ref() == Some(name);
    for slice in asked {
        let mut written = plan.update.iter().map(|update| &update.name).chain(&plan.delete);
        if !written.any(|name| is_named(slice, name)) {
            slices.unchanged.push(slice.clone());
        } else if plan.delete.iter().any(|name| is_named(slice, name)) {
            changes.delete.push(slice.clone());
        }
    }
    changes.delete.extend(strange.into_iter().cloned());

    changes.told.extend(hint(topology, service, family, &mut slices));
    for (slice, name) in slices.create.into_iter().zip(names) {
        match name {
            Some(name) => slices
                .update
                .push(EndpointSlice { metadata: ObjectMeta { name: Some(name), ..slice.metadata }, ..slice }),
            // The garbage collector is about to delete what there is (`finalize`).
            None if service.metadata.deletion_timestamp.is_some() => {}
            None => changes.create.push(slice),
        }
    }
    changes.update = slices.update;
    changes.create.iter_mut().chain(&mut changes.update).for_each(|slice| annotate(slice, seen.triggered));
    changes
}

/// Adds and takes away hints, and says what is to be told of it.
fn hint(topology: &mut Topology, service: &Service, family: &str, slices: &mut Slices) -> Option<Told> {
    let (namespace, name) = (service.metadata.namespace.as_deref(), service.metadata.name.as_deref());
    let key = format!("{}/{}", namespace.unwrap_or_default(), name.unwrap_or_default());
    if hints::is_auto(service) {
        return topology.add_hints(&key, family, slices);
    }
    let told = topology.has_hints(&key).then(|| Told::disabled(hints::DISABLED, family));
    topology.forget(&key, family);
    if hints::prefers_close(service) {
        hints::prefer_close(slices);
    } else {
        hints::remove(slices);
    }
    told
}

/// Whether a pod has endpoints at all (`ShouldPodBeInEndpoints`).
fn has_endpoints(pod: &Pod) -> bool {
    let Some(status) = &pod.status else { return false };
    let has_address = status.pod_ip.as_ref().is_some_and(|ip| !ip.is_empty())
        || status.pod_ips.as_ref().is_some_and(|ips| !ips.is_empty());
    has_address && !pod::is_finished(pod)
}

fn publishes(service: &Service) -> bool {
    service.spec.as_ref().and_then(|spec| spec.publish_not_ready_addresses).unwrap_or(false)
}

/// Whether the service owns a slice (`ownedBy`). One of an earlier service of the same name is about to be collected.
fn is_owned(slice: &EndpointSlice, service: &Service) -> bool {
    let uid = service.metadata.uid.as_deref().unwrap_or_default();
    let mut owners = slice.metadata.owner_references.iter().flatten();
    owners.any(|owner| owner.uid == uid && owner.kind == "Service" && owner.api_version == "v1")
}

/// The addresses of one family, as Go writes them (`getEndpointAddresses`).
fn addresses(pod: &Pod, family: &str) -> Vec<String> {
    let status = pod.status.as_ref();
    let all = status.and_then(|status| status.pod_ips.as_ref()).into_iter().flatten();
    let parsed = all.filter_map(|ip| ip.ip.parse::<IpAddr>().ok());
    let mut addresses: Vec<String> =
        parsed.filter(|ip| ip.is_ipv6() == (family == "IPv6")).map(|ip| ip.to_string()).collect();
    addresses.sort();
    addresses
}

/// What the module sees of a service.
fn show_service(service: &Service) -> view::Service {
    let ports = service.spec.as_ref().and_then(|spec| spec.ports.as_ref()).into_iter().flatten();
    let show = |port: &ServicePort| view::ServicePort {
        name: port.name.clone().unwrap_or_default(),
        port: port.port,
        target: match &port.target_port {
            None => view::Target::Number(port.port),
            Some(IntOrString::Int(number)) => view::Target::Number(*number),
            Some(IntOrString::String(name)) => view::Target::Name(name.clone()),
        },
        protocol: protocol_of(port.protocol.as_deref()).into(),
        app_protocol: port.app_protocol.clone(),
    };
    view::Service { ports: ports.map(show).collect(), publish_not_ready: publishes(service) }
}

/// What the module sees of a pod.
fn show_pod(pod: &Pod, node: Option<&Node>, service: &Service, family: &str) -> view::Pod {
    let container = |role: view::Role, container: &Container| view::Container {
        role,
        ports: (container.ports.iter().flatten())
            .map(|port| view::ContainerPort {
                name: port.name.clone().unwrap_or_default(),
                port: port.container_port,
                protocol: protocol_of(port.protocol.as_deref()).into(),
            })
            .collect(),
    };
    let spec = pod.spec.as_ref();
    let init = spec
        .and_then(|spec| spec.init_containers.as_ref())
        .into_iter()
        .flatten()
        .map(|init| container(if is_sidecar(init) { view::Role::Sidecar } else { view::Role::Init }, init));
    let main = spec.into_iter().flat_map(|spec| &spec.containers).map(|main| container(view::Role::Main, main));
    let addresses = addresses(pod, family);
    view::Pod {
        name: pod.metadata.name.clone().unwrap_or_default(),
        address: Some(addresses.join(",")).filter(|address| !address.is_empty()),
        phase: pod::phase(pod).into(),
        ready: pod::is_ready(pod),
        terminating: pod::is_terminating(pod),
        hostname: hostname(service, pod),
        node: pod::node_name(pod).map(str::to_string),
        zone: node.and_then(hints::zone_of_node).map(str::to_string),
        containers: init.chain(main).collect(),
    }
}

/// The ports of a pod, in sorted order (`getEndpointPorts`).
fn ports_of(service: &Service, pod: &Pod) -> Vec<view::Port> {
    let ports = service.spec.as_ref().and_then(|spec| spec.ports.as_ref()).into_iter().flatten();
    let ports = ports.filter_map(|port| {
        Some(view::Port {
            name: port.name.clone().unwrap_or_default(),
            port: port_number(port, pod)?,
            protocol: protocol_of(port.protocol.as_deref()).into(),
            app_protocol: port.app_protocol.clone(),
        })
    });
    let mut ports: Vec<_> = ports.collect();
    ports.sort();
    ports
}

fn show_ports(ports: &[EndpointPort]) -> Vec<view::Port> {
    let show = |port: &EndpointPort| view::Port {
        name: port.name.clone().unwrap_or_default(),
        port: port.port.unwrap_or_default(),
        protocol: protocol_of(port.protocol.as_deref()).into(),
        app_protocol: port.app_protocol.clone(),
    };
    let mut ports: Vec<_> = ports.iter().map(show).collect();
    ports.sort();
    ports
}

/// What the module sees of a slice.
fn show_slice(slice: &EndpointSlice, service: &Service, pods: &BTreeMap<&str, &Pod>) -> view::Slice {
    let (_, relabeled) = labels(slice, service);
    view::Slice {
        name: slice.metadata.name.clone().unwrap_or_default(),
        ports: show_ports(slice.ports.as_deref().unwrap_or_default()),
        endpoints: slice.endpoints.iter().map(|endpoint| show_endpoint(endpoint, slice)).collect(),
        outdated: relabeled || slice.endpoints.iter().any(|endpoint| is_outdated(endpoint, pods)),
    }
}

fn show_endpoint(endpoint: &Endpoint, slice: &EndpointSlice) -> view::Endpoint {
    let mut addresses = endpoint.addresses.clone();
    addresses.sort();
    let conditions = endpoint.conditions.as_ref();
    let target = endpoint.target_ref.as_ref();
    let name = target.and_then(|target| target.name.clone()).unwrap_or_default();
    // A pod elsewhere, which no pod of the service is.
    let elsewhere = target.and_then(|target| target.namespace.as_ref()) != slice.metadata.namespace.as_ref();
    view::Endpoint {
        pod: if elsewhere { String::new() } else { name },
        address: addresses.join(","),
        hostname: endpoint.hostname.clone(),
        node: endpoint.node_name.clone(),
        zone: endpoint.zone.clone(),
        ready: conditions.and_then(|conditions| conditions.ready).unwrap_or(false),
        serving: conditions.and_then(|conditions| conditions.serving).unwrap_or(false),
        terminating: conditions.and_then(|conditions| conditions.terminating).unwrap_or(false),
    }
}

/// Whether an endpoint says something of its pod, beyond what the module sees, that is not so any more: another pod has
/// the name now, or conditions are missing (`EndpointsEqualBeyondHash`).
fn is_outdated(endpoint: &Endpoint, pods: &BTreeMap<&str, &Pod>) -> bool {
    let Some(target) = &endpoint.target_ref else { return false };
    let Some(pod) = target.name.as_deref().and_then(|name| pods.get(name)) else { return false };
    let mut there = target.clone();
    there.resource_version = None;
    let conditions = endpoint.conditions.as_ref();
    let all_said =
        conditions.is_some_and(|all| all.ready.is_some() && all.serving.is_some() && all.terminating.is_some());
    there != reference_to(pod) || !all_said
}

/// Endpoints of a plan as the API has them.
fn endpoints(shown: &[view::Endpoint], pods: &BTreeMap<&str, &Pod>) -> Vec<Endpoint> {
    let endpoint = |shown: &view::Endpoint| Endpoint {
        addresses: shown.address.split(',').map(str::to_string).collect(),
        conditions: Some(EndpointConditions {
            ready: Some(shown.ready),
            serving: Some(shown.serving),
            terminating: Some(shown.terminating),
        }),
        hostname: shown.hostname.clone(),
        node_name: shown.node.clone(),
        zone: shown.zone.clone(),
        target_ref: pods.get(shown.pod.as_str()).map(|pod| reference_to(pod)),
        ..Default::default()
    };
    shown.iter().map(endpoint).collect()
}

/// An update of a slice; none if the slice only lends its name to a new one.
fn updated(
    slice: &EndpointSlice,
    shown: &view::Slice,
    update: &view::Update,
    service: &Service,
    pods: &BTreeMap<&str, &Pod>,
) -> Option<EndpointSlice> {
    let mut ports = update.ports.clone();
    ports.sort();
    let is = |one: &view::Endpoint, other: &view::Endpoint| {
        (&one.pod, &one.address, &one.hostname) == (&other.pod, &other.address, &other.hostname)
    };
    let kept = |there: &&view::Endpoint| update.endpoints.iter().any(|endpoint| is(endpoint, there));
    let only_name = if shown.endpoints.is_empty() {
        update.endpoints.is_empty()
    } else {
        !shown.endpoints.iter().any(|there| kept(&there))
    };
    if ports != shown.ports || only_name {
        return None;
    }
    let (labels, relabeled) = labels(slice, service);
    // Endpoints that nothing happened to keep what the slice says of them, hints too.
    let same = update.endpoints.iter().filter(|endpoint| shown.endpoints.contains(endpoint)).count();
    let is_same = same == shown.endpoints.len() && (relabeled || !shown.outdated);
    let mut new = slice.clone();
    if !is_same || relabeled {
        new.metadata.labels = Some(labels);
    }
    new.endpoints = endpoints(&update.endpoints, pods);
    if is_same {
        for (endpoint, said) in new.endpoints.iter_mut().zip(&update.endpoints) {
            if let Some(index) = shown.endpoints.iter().position(|there| there == said) {
                *endpoint = slice.endpoints[index].clone();
            }
        }
    }
    Some(new)
}

fn new_slice(service: &Service, family: &str, ports: &[view::Port], endpoints: Vec<Endpoint>) -> EndpointSlice {
    let ports = ports.iter().map(|port| EndpointPort {
        name: Some(port.name.clone()),
        port: Some(port.port),
        protocol: Some(port.protocol.clone()),
        app_protocol: port.app_protocol.clone(),
    });
    let name = service.metadata.name.as_deref().unwrap_or_default();
    let mut slice = EndpointSlice {
        metadata: ObjectMeta {
            generate_name: Some(format!("{name}-")),
            namespace: service.metadata.namespace.clone(),
            owner_references: Some(vec![About::from(service).controller_ref()]),
            ..Default::default()
        },
        address_type: family.into(),
        endpoints,
        ports: Some(ports.collect::<Vec<_>>()).filter(|ports| !ports.is_empty()),
    };
    slice.metadata.labels = Some(labels(&slice, service).0);
    slice
}

/// The labels that a slice should have, and whether those that come from the service are others
/// (`setEndpointSliceLabels`).
fn labels(slice: &EndpointSlice, service: &Service) -> (BTreeMap<String, String>, bool) {
    let own = |labels: Option<&BTreeMap<String, String>>| {
        let mut labels = labels.cloned().unwrap_or_default();
        labels.retain(|key, _| ![SERVICE_NAME, MANAGED_BY, HEADLESS].contains(&key.as_str()));
        labels
    };
    let mut labels = own(service.metadata.labels.as_ref());
    let relabeled = labels != own(slice.metadata.labels.as_ref());
    if is_headless(service) {
        labels.insert(HEADLESS.into(), String::new());
    }
    labels.insert(SERVICE_NAME.into(), service.metadata.name.clone().unwrap_or_default());
    labels.insert(MANAGED_BY.into(), CONTROLLER.into());
    (labels, relabeled)
}

/// Says when what a slice is written for began to change (`addTriggerTimeAnnotation`).
fn annotate(slice: &mut EndpointSlice, triggered: Option<Timestamp>) {
    match triggered {
        Some(at) => {
            let annotations = slice.metadata.annotations.get_or_insert_default();
            annotations.insert(TRIGGERED.into(), at.to_string());
        }
        None => {
            if let Some(annotations) = &mut slice.metadata.annotations {
                annotations.remove(TRIGGERED);
            }
        }
    }
}
