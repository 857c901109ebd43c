//! What the proxy reads of EndpointSlices (`pkg/proxy/endpointslicecache.go`).

use super::Family;
use super::service::{PROXY_NAME, PortName, number, protocol};
use kit_api::discovery::EndpointSlice;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

const SERVICE_NAME: &str = "kubernetes.io/service-name";
const HEADLESS: &str = "service.kubernetes.io/headless";

/// An address and port behind a service port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Where it listens.
    pub address: SocketAddr,
    /// On the proxy's own node.
    pub is_local: bool,
    /// Takes new connections.
    pub ready: bool,
    /// Answers, though it may be about to end.
    pub serving: bool,
    /// Is about to end.
    pub terminating: bool,
    /// The zones that should use it; empty: it has no hint.
    pub zone_hints: BTreeSet<String>,
}

/// A service, by namespace and name.
pub type ServiceName = (String, String);

/// What is kept of one slice.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Slice {
    ports: Vec<(PortName, u16)>,
    /// Without a port.
    endpoints: Vec<Endpoint>,
}

/// All slices, by service.
#[derive(Debug, Default)]
pub struct EndpointCache {
    services: BTreeMap<ServiceName, BTreeMap<String, Slice>>,
    changed: BTreeSet<ServiceName>,
}

impl EndpointCache {
    /// Takes a slice that is new or was changed. `node` is the proxy's own.
    ///
    /// Slices of other families, of other proxies, of headless services (`pkg/proxy/config`: the informer leaves them out) and of
    /// no service are nobody's business here. Whether anything changed.
    pub fn set(&mut self, slice: &EndpointSlice, node: &str, family: Family) -> bool {
        let labels = slice.metadata.labels.as_ref();
        let label = |name: &str| labels.and_then(|labels| labels.get(name));
        let Some(service) = label(SERVICE_NAME).filter(|name| !name.is_empty()) else { return false };
        if slice.address_type != family.name() || label(PROXY_NAME).is_some() || label(HEADLESS).is_some() {
            return false;
        }
        let namespace = slice.metadata.namespace.clone().unwrap_or_default();
        let service = (namespace, service.clone());
        let read = read(slice, &service, node, family);
        let name = slice.metadata.name.clone().unwrap_or_default();
        let slices = self.services.entry(service.clone()).or_default();
        if slices.get(&name) == Some(&read) {
            return false;
        }
        slices.insert(name, read);
        self.changed.insert(service);
        true
    }

    /// Forgets a slice. Whether anything changed.
    pub fn remove(&mut self, slice: &EndpointSlice) -> bool {
        let labels = slice.metadata.labels.as_ref();
        let Some(service) = labels.and_then(|labels| labels.get(SERVICE_NAME)) else { return false };
        let service = (slice.metadata.namespace.clone().unwrap_or_default(), service.clone());
        let Some(slices) = self.services.get_mut(&service) else { return false };
        if slices.remove(slice.metadata.name.as_deref().unwrap_or_default()).is_none() {
            return false;
        }
        if slices.is_empty() {
            self.services.remove(&service);
        }
        self.changed.insert(service);
        true
    }

    /// The services whose endpoints changed since this was last asked.
    pub fn take_changed(&mut self) -> BTreeSet<ServiceName> {
        std::mem::take(&mut self.changed)
    }

    /// The endpoints of all ports of a service, sorted by `address:port` as text.
    ///
    /// An endpoint may be in two slices while it moves from one to the other. One that says that it is local wins.
    pub fn of_service(&self, service: &ServiceName) -> BTreeMap<PortName, Vec<Endpoint>> {
        let mut ports: BTreeMap<PortName, BTreeMap<String, Endpoint>> = BTreeMap::new();
        for slice in self.services.get(service).into_iter().flat_map(BTreeMap::values) {
            for (name, port) in &slice.ports {
                let all = ports.entry(name.clone()).or_default();
                for endpoint in &slice.endpoints {
                    let address = SocketAddr::new(endpoint.address.ip(), *port);
                    let endpoint = Endpoint { address, ..endpoint.clone() };
                    let text = address.to_string();
                    if endpoint.is_local || !all.contains_key(&text) {
                        all.insert(text, endpoint);
                    }
                }
            }
        }
        ports.into_iter().map(|(name, all)| (name, all.into_values().collect())).collect()
    }
}

fn read(slice: &EndpointSlice, (namespace, service): &ServiceName, node: &str, family: Family) -> Slice {
    let mut ports = Vec::new();
    for port in slice.ports.iter().flatten() {
        // A port without a name or number would stand for all of them, which no proxy does.
        let (Some(name), number @ 1..) = (&port.name, number(port.port)) else { continue };
        let Some(protocol) = protocol(port.protocol.as_deref()) else { continue };
        let name = PortName { namespace: namespace.clone(), name: service.clone(), port: name.clone(), protocol };
        ports.push((name, number));
    }
    let mut endpoints = Vec::new();
    for endpoint in &slice.endpoints {
        // All addresses of an endpoint lead to the same pod; the first is used.
        let address = endpoint.addresses.first().and_then(|text| text.parse::<IpAddr>().ok());
        let Some(ip) = address.filter(|ip| family.has(*ip)) else { continue };
        let conditions = endpoint.conditions.clone().unwrap_or_default();
        let zones = endpoint.hints.iter().flat_map(|hints| &hints.for_zones).flatten().map(|zone| zone.name.clone());
        let read = Endpoint {
            address: SocketAddr::new(ip, 0),
            is_local: !node.is_empty() && endpoint.node_name.as_deref() == Some(node),
            ready: conditions.ready.unwrap_or(true),
            serving: conditions.serving.unwrap_or(true),
            terminating: conditions.terminating.unwrap_or(false),
            zone_hints: zones.collect(),
        };
        endpoints.push(read);
    }
    Slice { ports, endpoints }
}
