//! The EndpointSlice mirroring controller: Endpoints that people write for services without a selector become slices.
//!
//! Sources: `pkg/controller/endpointslicemirroring` (`endpointslicemirroring_controller.go`, `reconciler.go`,
//! `reconciler_helpers.go`, `utils.go`) and `RepackSubsets` of `pkg/api/v1/endpoints/util.go`.

use super::controller::{finalize, retry, slices_of};
use super::reconciler::{Changes, Told};
use super::tracker::{Tracker, service_of};
use super::{LEADER, MANAGED_BY, Name, SERVICE_NAME, TRIGGERED, label};
use kit_api::core::{self, EndpointAddress, EndpointSubset, Endpoints, Service};
use kit_api::discovery::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice};
use kit_api::meta::ObjectMeta;
use kit_apimachinery::object::{About, Key, Kind, Object};
use kit_client::cache::Cache;
use kit_client::component::{Component, World};
use kit_client::work_queue::{Tally, WorkQueue};
use kit_server::{Change, ChangeKind, DeleteOptions};
use kit_time::agenda::Instant;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Who keeps slices of Endpoints (`controllerName`).
pub const CONTROLLER: &str = "endpointslicemirroring-controller.k8s.io";
/// The most addresses of one subset (`--mirroring-max-endpoints-per-subset`).
const PER_SUBSET: usize = 1000;
/// The shortest and the longest time before a sync is tried again (`defaultSyncBackOff`, `maxSyncBackOff`).
const BACKOFF: (Instant, Instant) = (Instant::seconds(1), Instant::seconds(100));
const SKIP: &str = "endpointslice.kubernetes.io/skip-mirror";
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Keeps slices for Endpoints of services without a selector.
pub struct MirroredSlices {
    queue: WorkQueue<Name>,
    failures: BTreeMap<Name, u32>,
    tracker: Tracker,
}

impl Default for MirroredSlices {
    fn default() -> Self {
        let queue = WorkQueue::with_delays(BACKOFF.0, BACKOFF.1);
        MirroredSlices { queue, failures: BTreeMap::new(), tracker: Tracker::default() }
    }
}

/// Ports and endpoints that make a slice, by address family.
struct Wanted {
    ports: Vec<EndpointPort>,
    family: &'static str,
    endpoints: Vec<Endpoint>,
}

/// One slice for each subset and address family (`reconcile`).
pub fn reconcile(endpoints: &Endpoints, slices: &[&EndpointSlice], max: usize) -> Changes {
    let mut changes = Changes::default();
    let (mut wanted, mut invalid, mut skipped) = (Vec::new(), 0, 0);
    for subset in repack(endpoints.subsets.as_deref().unwrap_or_default()) {
        let ports: Vec<EndpointPort> = subset.ports.iter().flatten().map(port).collect();
        let mut families =
            ["IPv4", "IPv6"].map(|family| Wanted { ports: ports.clone(), family, endpoints: Vec::new() });
        let ready = subset.addresses.iter().flatten().map(|address| (address, true));
        let all: Vec<_> =
            ready.chain(subset.not_ready_addresses.iter().flatten().map(|address| (address, false))).collect();
        let mut added = 0;
        for (address, ready) in &all {
            if added >= max {
                break;
            }
            match address.ip.parse::<IpAddr>() {
                Ok(ip) => {
                    families[usize::from(ip.is_ipv6())].endpoints.push(endpoint(address, ip, *ready));
                    added += 1;
                }
                Err(_) => invalid += 1,
            }
        }
        skipped += all.len() - added;
        wanted.extend(families);
    }
    if invalid > 0 {
        let message = format!("Skipped {invalid} invalid IP addresses when mirroring to EndpointSlices");
        changes.told.push(Told::new("Warning", "InvalidIPAddress", &message));
    }
    if skipped > invalid {
        let message = format!(
            "A max of {max} addresses can be mirrored to EndpointSlices per Endpoints subset. {skipped} addresses were skipped"
        );
        changes.told.push(Told::new("Warning", "TooManyAddressesToMirror", &message));
    }

    let mut there: Vec<&EndpointSlice> = slices.to_vec();
    for wanted in wanted {
        let is_its = |slice: &&&EndpointSlice| {
            slice.address_type == wanted.family && same_ports(slice.ports.as_deref().unwrap_or_default(), &wanted.ports)
        };
        let (its, others): (Vec<&EndpointSlice>, Vec<&EndpointSlice>) = there.iter().partition(|slice| is_its(slice));
        there = others;
        let mut its = its.into_iter();
        if wanted.endpoints.is_empty() {
            changes.delete.extend(its.cloned());
            continue;
        }
        let first = its.next();
        changes.delete.extend(its.cloned());
        match first {
            Some(first) if is_up_to_date(first, endpoints, &wanted) => {}
            Some(first) => {
                let mut slice = slice(endpoints, wanted);
                slice.metadata.name.clone_from(&first.metadata.name);
                slice.metadata.generate_name = None;
                changes.update.push(slice);
            }
            None => changes.create.push(slice(endpoints, wanted)),
        }
    }
    changes.delete.extend(there.into_iter().cloned());

    // What would be deleted takes over what would be created (`recycleSlices`).
    let mut create = Vec::new();
    for mut slice in changes.create.drain(..) {
        match changes.delete.iter().position(|old| old.address_type == slice.address_type) {
            Some(index) => {
                slice.metadata.name = changes.delete.remove(index).metadata.name;
                changes.update.push(slice);
            }
            None => create.push(slice),
        }
    }
    if endpoints.metadata.deletion_timestamp.is_none() {
        changes.create = create;
    }
    changes
}

fn port(port: &core::EndpointPort) -> EndpointPort {
    EndpointPort {
        name: Some(port.name.clone().unwrap_or_default()),
        port: Some(port.port),
        protocol: Some(port.protocol.clone().unwrap_or("TCP".into())),
        app_protocol: port.app_protocol.clone(),
    }
}

/// The order of ports means nothing.
fn same_ports(one: &[EndpointPort], other: &[EndpointPort]) -> bool {
    let key = |port: &EndpointPort| format!("{port:?}");
    let sorted = |ports: &[EndpointPort]| {
        let mut ports: Vec<String> = ports.iter().map(key).collect();
        ports.sort();
        ports
    };
    sorted(one) == sorted(other)
}

fn endpoint(address: &EndpointAddress, ip: IpAddr, ready: bool) -> Endpoint {
    Endpoint {
        addresses: vec![ip.to_string()],
        conditions: Some(EndpointConditions { ready: Some(ready), ..Default::default() }),
        hostname: address.hostname.clone().filter(|hostname| !hostname.is_empty()),
        node_name: address.node_name.clone(),
        target_ref: address.target_ref.clone(),
        ..Default::default()
    }
}

/// Which addresses offer the same ports: one subset for each set of addresses. What is both ready and not ready is not
/// (`RepackSubsets`).
fn repack(subsets: &[EndpointSubset]) -> Vec<EndpointSubset> {
    type Addresses = BTreeMap<(String, String), (EndpointAddress, bool)>;
    let key = |address: &EndpointAddress| {
        let uid = address.target_ref.as_ref().and_then(|target| target.uid.clone());
        (address.ip.clone(), uid.unwrap_or_default())
    };
    let mut by_port: Vec<(Option<&core::EndpointPort>, Addresses)> = Vec::new();
    for subset in subsets {
        let ports: Vec<_> = subset.ports.iter().flatten().map(Some).collect();
        for port in if ports.is_empty() { vec![None] } else { ports } {
            let index = by_port.iter().position(|(there, _)| *there == port).unwrap_or_else(|| {
                by_port.push((port, Addresses::new()));
                by_port.len() - 1
            });
            let ready = subset.addresses.iter().flatten().map(|address| (address, true));
            let all = ready.chain(subset.not_ready_addresses.iter().flatten().map(|address| (address, false)));
            for (address, ready) in all {
                let there = by_port[index].1.entry(key(address)).or_insert_with(|| (address.clone(), ready));
                there.1 &= ready;
            }
        }
    }
    let mut packed: Vec<(Vec<core::EndpointPort>, Addresses)> = Vec::new();
    for (port, addresses) in by_port {
        match packed.iter_mut().find(|(_, there)| *there == addresses) {
            Some((ports, _)) => ports.extend(port.cloned()),
            None => packed.push((port.cloned().into_iter().collect(), addresses)),
        }
    }
    let subset = |(ports, addresses): (Vec<core::EndpointPort>, Addresses)| {
        let (ready, not_ready): (Vec<_>, Vec<_>) = addresses.into_values().partition(|(_, ready)| *ready);
        let list = |part: Vec<(EndpointAddress, bool)>| Some(part.into_iter().map(|(address, _)| address).collect());
        EndpointSubset { addresses: list(ready), not_ready_addresses: list(not_ready), ports: Some(ports) }
    };
    packed.into_iter().map(subset).collect()
}

type Texts = BTreeMap<String, String>;

fn without(texts: Option<&Texts>, names: [&str; 2]) -> Texts {
    let mut texts = texts.cloned().unwrap_or_default();
    texts.retain(|name, _| !names.contains(&name.as_str()));
    texts
}

fn is_up_to_date(slice: &EndpointSlice, endpoints: &Endpoints, wanted: &Wanted) -> bool {
    let text = |endpoint: &Endpoint| format!("{endpoint:?}");
    let sorted = |endpoints: &[Endpoint]| {
        let mut texts: Vec<String> = endpoints.iter().map(text).collect();
        texts.sort();
        texts
    };
    let labels = without(slice.metadata.labels.as_ref(), [MANAGED_BY, SERVICE_NAME]);
    let annotations = slice.metadata.annotations.clone().unwrap_or_default();
    sorted(&slice.endpoints) == sorted(&wanted.endpoints)
        && labels == without(endpoints.metadata.labels.as_ref(), [MANAGED_BY, SERVICE_NAME])
        && annotations == without(endpoints.metadata.annotations.as_ref(), [TRIGGERED, LAST_APPLIED])
}

fn slice(endpoints: &Endpoints, wanted: Wanted) -> EndpointSlice {
    let name = endpoints.metadata.name.clone().unwrap_or_default();
    let mut labels = endpoints.metadata.labels.clone().unwrap_or_default();
    labels.insert(SERVICE_NAME.into(), name.clone());
    labels.insert(MANAGED_BY.into(), CONTROLLER.into());
    let annotations = without(endpoints.metadata.annotations.as_ref(), [TRIGGERED, LAST_APPLIED]);
    EndpointSlice {
        metadata: ObjectMeta {
            generate_name: Some(format!("{name}-")),
            namespace: endpoints.metadata.namespace.clone(),
            labels: Some(labels),
            annotations: Some(annotations).filter(|annotations| !annotations.is_empty()),
            owner_references: Some(vec![About::from(endpoints).controller_ref()]),
            ..Default::default()
        },
        address_type: wanted.family.into(),
        endpoints: wanted.endpoints,
        ports: Some(wanted.ports).filter(|ports| !ports.is_empty()),
    }
}

/// Whether Endpoints are to be mirrored at all (`shouldMirror`).
fn should_mirror(endpoints: &Endpoints) -> bool {
    let has = |texts: Option<&Texts>, name: &str| texts.and_then(|texts| texts.get(name)).cloned();
    has(endpoints.metadata.labels.as_ref(), SKIP).as_deref() != Some("true")
        && has(endpoints.metadata.annotations.as_ref(), LEADER).is_none()
}

fn is_mine(slice: &EndpointSlice) -> bool {
    label(slice, MANAGED_BY) == CONTROLLER
}

fn has_no_selector(service: &Service) -> bool {
    service.spec.as_ref().is_none_or(|spec| spec.selector.is_none())
}

fn mine<'a>((namespace, name): &'a Name, cache: &'a Cache) -> Vec<&'a EndpointSlice> {
    let all = cache.list::<EndpointSlice>(namespace);
    all.filter(|slice| label(slice, SERVICE_NAME) == *name && is_mine(slice)).collect()
}

impl MirroredSlices {
    fn sync(&mut self, name: &Name, world: &mut World<'_>) -> Result<(), String> {
        let cache = world.cache;
        let (namespace, service) = name;
        let endpoints = cache.fetch::<Endpoints>(namespace, service).filter(|endpoints| should_mirror(endpoints));
        // A service with a selector has slices of its own.
        let bare = cache.fetch::<Service>(namespace, service).is_some_and(has_no_selector);
        let slices = mine(name, cache);
        let Some(endpoints) = endpoints.filter(|_| bare) else {
            self.tracker.forget(name);
            return delete_all(name, &slices, world);
        };
        if self.tracker.is_stale(name, &slices) {
            return Err("EndpointSlice informer cache is out of date".into());
        }
        let changes = reconcile(endpoints, &slices, PER_SUBSET);
        for told in &changes.told {
            world.server.record(endpoints, told.kind, told.reason, &told.message);
        }
        finalize(&changes, name, "Endpoints", &mut self.tracker, world)
    }
}

/// Deletes all that was mirrored, as far as it can (`deleteEndpoints`).
fn delete_all((namespace, name): &Name, slices: &[&EndpointSlice], world: &mut World<'_>) -> Result<(), String> {
    let mut errors = Vec::new();
    for slice in slices {
        let key = Key::new(Kind::EndpointSlice, namespace, slice.metadata.name.as_deref().unwrap_or_default());
        match world.server.delete(&key, &DeleteOptions::default()) {
            Err(error) if !error.is_not_found() => errors.push(error),
            _ => {}
        }
    }
    match errors.first() {
        None => Ok(()),
        Some(first) => Err(format!(
            "error(s) deleting {}/{} EndpointSlices for {namespace}/{name} Endpoints, including: {first}",
            errors.len(),
            slices.len()
        )),
    }
}

impl Component for MirroredSlices {
    fn name(&self) -> &'static str {
        "endpoint-slice-mirroring-controller"
    }

    fn watches(&self) -> &'static [Kind] {
        &[Kind::Service, Kind::Endpoints, Kind::EndpointSlice]
    }

    fn observe(&mut self, change: &Change, world: &mut World<'_>) {
        let object = &change.object.object;
        let name = || (object.namespace().to_string(), object.name().to_string());
        match object {
            Object::Service(service) => {
                let before = change.previous.as_ref().and_then(|previous| previous.get::<Service>());
                let matters = match (change.kind, before) {
                    (ChangeKind::Modified, Some(before)) => has_no_selector(service) != has_no_selector(before),
                    _ => has_no_selector(service),
                };
                if matters {
                    self.queue.add(name(), world.now);
                }
            }
            Object::Endpoints(endpoints) => {
                let before = change.previous.as_ref().and_then(|previous| previous.get::<Endpoints>());
                if should_mirror(endpoints) || before.is_some_and(should_mirror) {
                    self.queue.add(name(), world.now);
                }
            }
            Object::EndpointSlice(_) => {
                let (Some(slice), previous) = slices_of(change) else { return };
                let mut queue = |slice: &EndpointSlice| self.queue.add(service_of(slice), world.now);
                if change.kind == ChangeKind::Deleted {
                    if is_mine(slice) && self.tracker.has(slice) && !self.tracker.gone(slice) {
                        queue(slice);
                    }
                    return;
                }
                let moved = previous.filter(|previous| service_of(previous) != service_of(slice));
                let taken = previous.is_some_and(|previous| is_mine(previous) != is_mine(slice));
                if moved.is_some() || taken || (is_mine(slice) && self.tracker.should_sync(slice)) {
                    queue(slice);
                }
                moved.into_iter().for_each(queue);
            }
            _ => {}
        }
    }

    fn run(&mut self, world: &mut World<'_>) {
        while let Some(name) = self.queue.pop(world.now) {
            let done = self.sync(&name, world);
            retry(&mut self.queue, &mut self.failures, name, &done, world.now);
        }
    }

    fn queues(&self, now: Instant) -> Vec<(&'static str, Tally)> {
        vec![("endpoint_slice_mirroring", self.queue.tally(now))]
    }

    fn next_wake(&self) -> Option<Instant> {
        self.queue.next()
    }
}
