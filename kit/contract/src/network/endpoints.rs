//! The core of the EndpointSlice controller: which pods stand behind a service, and in which slices.
//!
//! Sources: `staging/src/k8s.io/endpointslice/reconciler.go` (`reconcileByAddressType`, `reconcileByPortMapping`,
//! `finalize`), `staging/src/k8s.io/endpointslice/utils.go` (`podToEndpoint`, `getEndpointPorts`, `findPort`,
//! `getSliceToFill`), and `staging/src/k8s.io/endpointslice/util` (`ShouldPodBeInEndpoints`, `NewPortMapKey`,
//! `EndpointsEqualBeyondHash`).
//!
//! The kit around it does the rest of the work. It watches, finds the pods that the selector means, asks once for each
//! address family, leaves out pods whose node is gone, names and labels slices, makes the service their owner, adds hints
//! and the trigger time, and waits while its cache is behind its own writes.

use crate::show::unordered;
use crate::{Show, flow};
use serde::{Deserialize, Serialize};

// ANCHOR: contract
contract! {
    /// Brings the slices of one service to what its pods are now, with few writes.
    pub trait EndpointSlices {
        /// The slices to write.
        ///
        /// **Which pods.** A pod has an endpoint from when it has an address until it has finished (phase `Succeeded` or
        /// `Failed`). Neither its readiness nor its deletion takes it out.
        ///
        /// **Conditions.** `serving`: the pod is ready. `terminating`: the pod is being deleted. `ready`: serving and
        /// not terminating, or true for every pod if the service publishes addresses that are not ready. Address,
        /// hostname, node and zone are the pod's.
        ///
        /// **Ports.** For each port of the service, in its order: its name, protocol and application protocol, and the
        /// number that its target means for this pod. A number means itself. A name means the first port of the pod's
        /// containers with that name and the same protocol, then that of its sidecars; ports of other init containers
        /// are never meant. A port that this pod doesn't have is left out; the pod stays, be it without any port.
        ///
        /// **Groups.** All endpoints of a slice have the slice's ports. Pods with the same ports, in whatever order,
        /// share slices. A slice whose ports no endpoint has now is deleted.
        ///
        /// **What is there.** Look at the slices of a group in the order of the request. An endpoint there is still
        /// wanted if a pod of the group has an endpoint with the same pod, address and hostname. What is no longer
        /// wanted goes, and so does what stands in the group a second time; what is wanted gets its new conditions, node
        /// and zone. A slice that loses its last endpoint this way is deleted. One in which anything changed is updated,
        /// and so is one that is `outdated`.
        ///
        /// **What is missing** then comes, in the order of the pods,
        ///
        /// 1. into slices of the group that are updated anyway, until each has `max_endpoints`; the fullest first, and
        ///    of equally full ones the earlier;
        /// 2. into one slice of the group that would otherwise stay as it is, if fewer than `max_endpoints` are left and
        ///    all of them fit; of several, into that which has the most endpoints, and of those the earliest;
        /// 3. into a new slice, as many as it holds. While some are left, go on with 2.
        ///
        /// Endpoints never move from one slice to another, however empty slices have become.
        ///
        /// **An empty one.** Where no slice would be left and none created, one without ports and endpoints is created.
        /// But where just one would be deleted, and it has neither ports nor endpoints and isn't outdated, it stays as it is.
        ///
        /// **Few writes.** A slice that would be deleted takes over one that would be created: it is updated to the
        /// new one's ports and endpoints. New slices are in the order in which they were filled, groups in the order of
        /// their first pod. The first slice of the request that is to be deleted takes over the last new one, the next
        /// the last but one, and so on. A slice that is to stay as it is must not be written.
        fn reconcile(&self, request: &Request) -> Plan;
    }
}

/// What one look at a service and one address family sees.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The service.
    pub service: Service,
    /// The pods that its selector means, in whatever state. No two have the same name.
    pub pods: Vec<Pod>,
    /// The slices that the controller keeps for it, as the cache shows them now. No two have the same name.
    pub slices: Vec<Slice>,
    /// The most endpoints of one slice (`--max-endpoints-per-slice`, 100 by default), at least 1. Slices may hold more
    /// already, if it was lowered.
    pub max_endpoints: usize,
}

/// What matters of a service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// Its ports; a headless service may have none.
    #[serde(default)]
    pub ports: Vec<ServicePort>,
    /// `spec.publishNotReadyAddresses`.
    #[serde(default)]
    pub publish_not_ready: bool,
}

/// A port of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServicePort {
    /// Its name; empty for the only port of a service that has no name.
    #[serde(default)]
    pub name: String,
    /// The port at which clients reach the service's own address.
    pub port: i32,
    /// The port at which the pods listen.
    pub target: Target,
    /// `TCP`, `UDP` or `SCTP`.
    #[serde(default = "tcp")]
    pub protocol: String,
    /// `appProtocol`, if it is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_protocol: Option<String>,
}

/// `targetPort`: the same number at every pod, or a name that each pod has its own number for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Target {
    /// This number.
    Number(i32),
    /// The container port of this name.
    Name(String),
}

/// What matters of a pod.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pod {
    /// Its name.
    pub name: String,
    /// Its address of the family in question, once it has one.
    #[serde(default)]
    pub address: Option<String>,
    /// `Pending`, `Running`, `Succeeded`, `Failed` or `Unknown`.
    pub phase: String,
    /// Whether its condition Ready is true.
    #[serde(default)]
    pub ready: bool,
    /// Whether it has a deletion timestamp.
    #[serde(default)]
    pub terminating: bool,
    /// Its `hostname`, if it has one in the service's subdomain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// The node that it runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The node's zone, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// Its containers, in order: the init containers and sidecars among them.
    #[serde(default)]
    pub containers: Vec<Container>,
}

/// What matters of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Container {
    /// What it is.
    #[serde(default)]
    pub role: Role,
    /// The ports that it names.
    #[serde(default)]
    pub ports: Vec<ContainerPort>,
}

/// What a container is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// One of `spec.containers`.
    #[default]
    Main,
    /// An init container that goes on running (`restartPolicy: Always`).
    Sidecar,
    /// Another init container.
    Init,
}

/// A port that a container names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContainerPort {
    /// Its name; may be empty.
    #[serde(default)]
    pub name: String,
    /// `containerPort`.
    pub port: i32,
    /// `TCP`, `UDP` or `SCTP`.
    #[serde(default = "tcp")]
    pub protocol: String,
}

/// A slice that is there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slice {
    /// Its name.
    pub name: String,
    /// The ports of all its endpoints.
    #[serde(default)]
    pub ports: Vec<Port>,
    /// Its endpoints.
    #[serde(default)]
    pub endpoints: Vec<Endpoint>,
    /// Whether it needs an update in any case: its labels, for example, are not those of the service any more.
    #[serde(default)]
    pub outdated: bool,
}

/// A port of a slice.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Port {
    /// The name of the service's port.
    #[serde(default)]
    pub name: String,
    /// The number at which the pods listen.
    pub port: i32,
    /// `TCP`, `UDP` or `SCTP`.
    #[serde(default = "tcp")]
    pub protocol: String,
    /// `appProtocol` of the service's port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_protocol: Option<String>,
}

/// An endpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// The name of its pod.
    pub pod: String,
    /// Its address.
    pub address: String,
    /// Its name in the service's subdomain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The node's zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// Whether clients should be sent there.
    #[serde(default)]
    pub ready: bool,
    /// Whether it would answer.
    #[serde(default)]
    pub serving: bool,
    /// Whether it is about to go.
    #[serde(default)]
    pub terminating: bool,
}

/// What to write.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The slices to create, in any order.
    pub create: Vec<NewSlice>,
    /// The slices to update, in any order.
    pub update: Vec<Update>,
    /// The names of the slices to delete, in any order.
    pub delete: Vec<String>,
}

/// A slice to create.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewSlice {
    /// The ports of all its endpoints, in any order.
    pub ports: Vec<Port>,
    /// Its endpoints, in any order.
    pub endpoints: Vec<Endpoint>,
}

/// A slice to update.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Update {
    /// Its name.
    pub name: String,
    /// The ports of all its endpoints, in any order.
    pub ports: Vec<Port>,
    /// All its endpoints from now on, in any order.
    pub endpoints: Vec<Endpoint>,
}
// ANCHOR_END: contract

fn tcp() -> String {
    "TCP".into()
}

/// Ports and endpoints as a text that doesn't depend on their order.
fn content(ports: &[Port], endpoints: &[Endpoint]) -> String {
    format!("{} {}", unordered(ports), unordered(endpoints))
}

impl Show for Plan {
    fn lines(&self) -> Vec<String> {
        let mut create: Vec<_> =
            self.create.iter().map(|slice| show_slice("create a slice", &slice.ports, &slice.endpoints)).collect();
        create.sort();
        let mut update: Vec<_> = (self.update.iter())
            .map(|slice| show_slice(&format!("update {}", flow(&slice.name)), &slice.ports, &slice.endpoints))
            .collect();
        update.sort();
        let mut delete: Vec<_> = self.delete.iter().map(|name| vec![format!("delete {}", flow(name))]).collect();
        delete.sort();
        let lines: Vec<String> = create.into_iter().chain(update).chain(delete).flatten().collect();
        if lines.is_empty() { vec!["nothing to write".into()] } else { lines }
    }
    fn meaning(&self) -> String {
        let create = self.create.iter().map(|slice| content(&slice.ports, &slice.endpoints));
        let update = self.update.iter().map(|slice| (&slice.name, content(&slice.ports, &slice.endpoints)));
        format!("create {} update {} delete {}", unordered(create), unordered(update), unordered(&self.delete))
    }
}

impl Show for Request {
    fn lines(&self) -> Vec<String> {
        let publish = if self.service.publish_not_ready { ", publishNotReadyAddresses" } else { "" };
        let ports: Vec<String> = self.service.ports.iter().map(show_service_port).collect();
        let ports = if ports.is_empty() { "no ports".into() } else { ports.join(", ") };
        let mut lines = vec![format!("service: {ports}{publish}; at most {} endpoints in a slice", self.max_endpoints)];
        lines.extend(self.pods.iter().map(show_pod));
        if self.pods.is_empty() {
            lines.push("no pods".into());
        }
        for slice in &self.slices {
            let outdated = if slice.outdated { " (outdated)" } else { "" };
            lines.extend(show_slice(&format!("slice {}{outdated}", flow(&slice.name)), &slice.ports, &slice.endpoints));
        }
        if self.slices.is_empty() {
            lines.push("no slices".into());
        }
        lines
    }
}

/// A slice and its endpoints: one line for each, in sorted order.
fn show_slice(what: &str, ports: &[Port], endpoints: &[Endpoint]) -> Vec<String> {
    let mut ports: Vec<String> = ports.iter().map(show_port).collect();
    ports.sort();
    let ports = if ports.is_empty() { "no ports".into() } else { ports.join(", ") };
    let mut endpoints: Vec<&Endpoint> = endpoints.iter().collect();
    endpoints.sort();
    let head = match endpoints.len() {
        0 => format!("{what}: {ports}, no endpoints"),
        1 => format!("{what}: {ports}, 1 endpoint"),
        count => format!("{what}: {ports}, {count} endpoints"),
    };
    let endpoints = endpoints.into_iter().map(|endpoint| format!("  {}", show_endpoint(endpoint)));
    std::iter::once(head).chain(endpoints).collect()
}

fn show_port(port: &Port) -> String {
    numbered(&port.name, &port.protocol, &port.port.to_string(), port.app_protocol.as_deref())
}

fn show_service_port(port: &ServicePort) -> String {
    let target = match &port.target {
        Target::Number(number) => number.to_string(),
        Target::Name(name) => flow(name),
    };
    let to = format!("{} to {target}", port.port);
    numbered(&port.name, &port.protocol, &to, port.app_protocol.as_deref())
}

/// `http 8080`, with what is not the usual thing.
fn numbered(name: &str, protocol: &str, number: &str, app_protocol: Option<&str>) -> String {
    let protocol = if protocol == "TCP" { String::new() } else { format!("/{}", flow(&protocol)) };
    let app = app_protocol.map_or(String::new(), |app| format!(" as {}", flow(&app)));
    format!("{} {number}{protocol}{app}", flow(&name))
}

fn show_endpoint(endpoint: &Endpoint) -> String {
    let mut parts = vec![format!("{} {}", flow(&endpoint.pod), flow(&endpoint.address))];
    parts.extend(endpoint.hostname.as_ref().map(|hostname| format!("hostname {}", flow(hostname))));
    parts.push(where_it_is(endpoint.node.as_ref(), endpoint.zone.as_ref()));
    let conditions = [(endpoint.ready, "ready"), (endpoint.serving, "serving"), (endpoint.terminating, "terminating")];
    let conditions: Vec<&str> = conditions.into_iter().filter(|(is, _)| *is).map(|(_, name)| name).collect();
    parts.push(if conditions.is_empty() { "not ready".into() } else { conditions.join(" ") });
    parts.join(", ")
}

fn where_it_is(node: Option<&String>, zone: Option<&String>) -> String {
    let zone = zone.map_or(String::new(), |zone| format!(" in {}", flow(zone)));
    format!("{}{zone}", node.map_or("no node".into(), flow))
}

fn show_pod(pod: &Pod) -> String {
    let mut parts = vec![
        format!("{} {}", flow(&pod.name), pod.address.as_ref().map_or("without an address".into(), flow)),
        flow(&pod.phase),
        if pod.ready { "ready".into() } else { "not ready".into() },
    ];
    parts.extend(pod.terminating.then(|| "terminating".into()));
    parts.extend(pod.hostname.as_ref().map(|hostname| format!("hostname {}", flow(hostname))));
    parts.push(where_it_is(pod.node.as_ref(), pod.zone.as_ref()));
    for container in pod.containers.iter().filter(|container| !container.ports.is_empty()) {
        let role = match container.role {
            Role::Main => "ports",
            Role::Sidecar => "ports of a sidecar",
            Role::Init => "ports of an init container",
        };
        let ports =
            container.ports.iter().map(|port| numbered(&port.name, &port.protocol, &port.port.to_string(), None));
        parts.push(format!("{role} {}", ports.collect::<Vec<_>>().join(" and ")));
    }
    parts.join(", ")
}
