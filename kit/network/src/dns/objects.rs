//! What the plugin keeps of the API's objects, and where it finds them (`plugin/kubernetes/object`, `controller.go`).

use super::names::address;
use super::plugin::Config;
use kit_api::core;
use kit_api::discovery::EndpointSlice;
use kit_api::meta::ObjectMeta;
use kit_apimachinery::object::{self, Kind, Object};
use kit_contract::network::dns::{Endpoint, Port, Service, ServiceKind, Slice};
use std::collections::{BTreeMap, BTreeSet};

/// Namespace and name.
pub type Key = (String, String);

/// The objects that have names. Whoever watches the API tells each change.
#[derive(Debug, Default)]
pub struct Objects {
    config: Config,
    namespaces: BTreeSet<String>,
    services: BTreeMap<Key, Service>,
    slices: BTreeMap<Key, Kept>,
    slices_of: BTreeMap<Key, BTreeSet<Key>>,
    services_by_address: BTreeMap<String, BTreeSet<Key>>,
    slices_by_address: BTreeMap<String, BTreeSet<Key>>,
    pods: BTreeMap<Key, String>,
    pods_by_address: BTreeMap<String, BTreeSet<Key>>,
}

/// A slice, as the module is asked about it and what it isn't asked about.
#[derive(Debug, Clone)]
pub struct Kept {
    /// Endpoints that have addresses. `hostname` is the pod's name where the plugin is told so.
    pub view: Slice,
    /// Endpoints that have names (`addressType: FQDN`, which is deprecated): their host and that name. All are ready.
    pub names: Vec<(String, String)>,
}

impl Kept {
    /// The ready addresses and what their endpoints are called.
    pub fn ready(&self) -> impl Iterator<Item = (&str, String)> {
        let ready = self.view.endpoints.iter().filter(|endpoint| endpoint.ready != Some(false));
        ready.flat_map(|e| e.addresses.iter().map(|a| (a.as_str(), hostname(e.hostname.as_deref(), a))))
    }
}

/// `endpointHostname`.
fn hostname(hostname: Option<&str>, address: &str) -> String {
    match hostname {
        Some(hostname) => hostname.into(),
        None => {
            let dashed = address.replace(['.', ':'], "-");
            if dashed.ends_with('-') { dashed + "0" } else { dashed }
        }
    }
}

fn key(metadata: &ObjectMeta) -> Key {
    (metadata.namespace.clone().unwrap_or_default(), metadata.name.clone().unwrap_or_default())
}

fn insert(index: &mut BTreeMap<String, BTreeSet<Key>>, at: &str, key: &Key) {
    index.entry(at.into()).or_default().insert(key.clone());
}

fn remove(index: &mut BTreeMap<String, BTreeSet<Key>>, at: &str, key: &Key) {
    if let Some(keys) = index.get_mut(at) {
        keys.remove(key);
        if keys.is_empty() {
            index.remove(at);
        }
    }
}

impl Objects {
    /// No object yet. Of the configuration only what decides which objects are kept matters here.
    pub fn new(config: &Config) -> Self {
        Objects { config: config.clone(), ..Objects::default() }
    }

    /// An object is there, or has changed: a namespace, a service or a slice.
    pub fn set(&mut self, object: &Object) {
        match object {
            Object::Namespace(namespace) => self.set_namespace(namespace),
            Object::Service(service) => self.set_service(service),
            Object::EndpointSlice(slice) => self.set_slice(slice),
            _ => {}
        }
    }

    /// It is gone.
    pub fn remove(&mut self, key: &object::Key) {
        match key.kind {
            Kind::Namespace => self.remove_namespace(&key.name),
            Kind::Service => self.remove_service(&key.namespace, &key.name),
            Kind::EndpointSlice => self.remove_slice(&key.namespace, &key.name),
            _ => {}
        }
    }

    /// A namespace is there, or has changed.
    pub fn set_namespace(&mut self, namespace: &core::Namespace) {
        let (_, name) = key(&namespace.metadata);
        let labels = namespace.metadata.labels.clone().unwrap_or_default();
        if self.config.namespace_labels.as_ref().is_none_or(|selector| selector.matches(&labels)) {
            self.namespaces.insert(name);
        } else {
            self.namespaces.remove(&name);
        }
    }

    /// A namespace is gone.
    pub fn remove_namespace(&mut self, name: &str) {
        self.namespaces.remove(name);
    }

    /// Whether the objects of these labels are listed at all (option `labels`).
    fn listed(&self, metadata: &ObjectMeta) -> bool {
        let labels = metadata.labels.clone().unwrap_or_default();
        self.config.labels.as_ref().is_none_or(|selector| selector.matches(&labels))
    }

    /// A service is there, or has changed.
    pub fn set_service(&mut self, service: &core::Service) {
        let key = key(&service.metadata);
        self.remove_service(&key.0, &key.1);
        if !self.listed(&service.metadata) {
            return;
        }
        let spec = service.spec.clone().unwrap_or_default();
        let mut addresses = spec.cluster_ips.unwrap_or_default();
        if addresses.is_empty() {
            addresses.extend(spec.cluster_ip);
        }
        let kind = if spec.type_.as_deref() == Some("ExternalName") {
            ServiceKind::ExternalName(spec.external_name.unwrap_or_default())
        } else if addresses.first().is_some_and(|address| address == "None") {
            ServiceKind::Headless
        } else {
            // An address that isn't allocated yet is an empty text.
            addresses.retain(|address| !address.is_empty());
            for address in &addresses {
                insert(&mut self.services_by_address, address, &key);
            }
            ServiceKind::ClusterIps(addresses)
        };
        let ports = spec.ports.unwrap_or_default().into_iter().filter_map(|port| {
            Some(Port {
                name: port.name.unwrap_or_default(),
                protocol: port.protocol.unwrap_or_else(|| "TCP".into()),
                port: u16::try_from(port.port).ok()?,
            })
        });
        let view = Service { namespace: key.0.clone(), name: key.1.clone(), kind, ports: ports.collect() };
        self.services.insert(key, view);
    }

    /// A service is gone.
    pub fn remove_service(&mut self, namespace: &str, name: &str) {
        let key = (namespace.to_string(), name.to_string());
        if let Some(Service { kind: ServiceKind::ClusterIps(addresses), .. }) = self.services.remove(&key) {
            for address in &addresses {
                remove(&mut self.services_by_address, address, &key);
            }
        }
    }

    /// A slice is there, or has changed (`object.EndpointSliceToEndpoints`).
    pub fn set_slice(&mut self, slice: &EndpointSlice) {
        let key = key(&slice.metadata);
        self.remove_slice(&key.0, &key.1);
        if self.config.no_endpoints || !self.listed(&slice.metadata) {
            return;
        }
        let labels = slice.metadata.labels.clone().unwrap_or_default();
        let service = labels.get("kubernetes.io/service-name").cloned().unwrap_or_default();
        let ports = slice.ports.clone().unwrap_or_default().into_iter().filter_map(|port| {
            Some(Port {
                name: port.name.unwrap_or_default(),
                protocol: port.protocol.unwrap_or_default(),
                // Without a number a port stands for all ports, and there is no record of it.
                port: u16::try_from(port.port?).ok()?,
            })
        });
        let mut kept = Kept {
            view: Slice { namespace: key.0.clone(), service, ports: ports.collect(), endpoints: Vec::new() },
            names: Vec::new(),
        };
        for endpoint in &slice.endpoints {
            let ready = endpoint.conditions.as_ref().and_then(|conditions| conditions.ready);
            let pod = endpoint.target_ref.as_ref().and_then(|pod| pod.name.clone());
            // The name of a pod may be longer than a label may be.
            let pod = pod.filter(|name| self.config.endpoint_pod_names && !name.is_empty() && name.len() < 64);
            let called = endpoint.hostname.clone().filter(|name| !name.is_empty()).or(pod);
            let (addresses, names): (Vec<String>, Vec<String>) =
                endpoint.addresses.iter().cloned().partition(|text| address(text).is_some());
            if ready != Some(false) {
                kept.names.extend(names.into_iter().map(|name| (hostname(called.as_deref(), &name), name)));
            }
            if !addresses.is_empty() {
                kept.view.endpoints.push(Endpoint { addresses, ready, hostname: called });
            }
        }
        for (address, _) in kept.ready() {
            insert(&mut self.slices_by_address, address, &key);
        }
        let of = (kept.view.namespace.clone(), kept.view.service.clone());
        self.slices_of.entry(of).or_default().insert(key.clone());
        self.slices.insert(key, kept);
    }

    /// A slice is gone.
    pub fn remove_slice(&mut self, namespace: &str, name: &str) {
        let key = (namespace.to_string(), name.to_string());
        let Some(kept) = self.slices.remove(&key) else { return };
        for (address, _) in kept.ready() {
            remove(&mut self.slices_by_address, address, &key);
        }
        let of = (kept.view.namespace, kept.view.service);
        if let Some(keys) = self.slices_of.get_mut(&of) {
            keys.remove(&key);
            if keys.is_empty() {
                self.slices_of.remove(&of);
            }
        }
    }

    /// A pod is there, or has changed. One that is being deleted or has ended is as good as gone.
    pub fn set_pod(&mut self, pod: &core::Pod) {
        let key = key(&pod.metadata);
        self.remove_pod(&key.0, &key.1);
        let status = pod.status.clone().unwrap_or_default();
        let ended = matches!(status.phase.as_deref(), Some("Succeeded" | "Failed" | "Unknown"));
        if ended || pod.metadata.deletion_timestamp.is_some() || !self.listed(&pod.metadata) {
            return;
        }
        let Some(address) = status.pod_ip.filter(|address| !address.is_empty()) else { return };
        insert(&mut self.pods_by_address, &address, &key);
        self.pods.insert(key, address);
    }

    /// A pod is gone.
    pub fn remove_pod(&mut self, namespace: &str, name: &str) {
        let key = (namespace.to_string(), name.to_string());
        if let Some(address) = self.pods.remove(&key) {
            remove(&mut self.pods_by_address, &address, &key);
        }
    }

    /// Whether there is such a namespace, and the server speaks of it.
    pub fn exposes(&self, namespace: &str) -> bool {
        self.configured(namespace) && self.namespaces.contains(namespace)
    }

    fn configured(&self, namespace: &str) -> bool {
        self.config.namespaces.is_empty() || self.config.namespaces.iter().any(|exposed| exposed == namespace)
    }

    /// Whether an address of this namespace may be told. The labels of the namespace matter only if there is a list of namespaces, too
    /// (`serviceRecordForIP`).
    fn exposes_addresses(&self, namespace: &str) -> bool {
        self.config.namespaces.is_empty() || self.exposes(namespace)
    }

    /// One service.
    pub fn service(&self, namespace: &str, name: &str) -> Option<&Service> {
        self.services.get(&(namespace.to_string(), name.to_string()))
    }

    /// The slices of one service, whether or not it is there.
    pub fn slices(&self, namespace: &str, service: &str) -> impl Iterator<Item = &Kept> {
        let keys = self.slices_of.get(&(namespace.to_string(), service.to_string()));
        keys.into_iter().flatten().filter_map(|key| self.slices.get(key))
    }

    /// The services that have this cluster IP.
    pub fn services_with(&self, address: &str) -> impl Iterator<Item = &Service> {
        let keys = self.services_by_address.get(address).into_iter().flatten();
        keys.filter(|key| self.exposes_addresses(&key.0)).filter_map(|key| self.services.get(key))
    }

    /// The slices in which this address is ready, exposed or not.
    pub fn all_slices_with(&self, address: &str) -> impl Iterator<Item = &Kept> {
        self.slices_by_address.get(address).into_iter().flatten().filter_map(|key| self.slices.get(key))
    }

    /// The slices in which this address is ready.
    pub fn slices_with(&self, address: &str) -> impl Iterator<Item = &Kept> {
        self.all_slices_with(address).filter(|kept| self.exposes_addresses(&kept.view.namespace))
    }

    /// How many pods of a namespace have this address, letter for letter.
    pub fn pods_with(&self, namespace: &str, address: &str) -> usize {
        self.pods_by_address.get(address).into_iter().flatten().filter(|key| key.0 == namespace).count()
    }
}
