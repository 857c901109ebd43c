//! The EndpointSlice controller around the module that packs.
//!
//! Source: `pkg/controller/endpointslice/endpointslice_controller.go`. Changes of pods are never gathered
//! (`--endpoint-updates-batch-period` is 0 by default). A pod that changed in nothing that endpoints show leads to a sync
//! that writes nothing, where upstream saves the sync.

use super::hints::{Topology, zone_of_node};
use super::reconciler::{CONTROLLER, Changes, Seen, reconcile};
use super::tracker::{Tracker, service_of};
use super::trigger::Triggers;
use super::{MANAGED_BY, Name, SERVICE_NAME, aggregate, label, selects};
use kit_api::core::{Node, Pod, Service};
use kit_api::discovery::EndpointSlice;
use kit_api::node;
use kit_apimachinery::object::{AsKind, Key, Kind, Object};
use kit_client::cache::Cache;
use kit_client::component::{Component, World};
use kit_client::work_queue::{Tally, WorkQueue};
use kit_contract::Modules;
use kit_contract::network::EndpointSlices as Module;
use kit_server::{Change, ChangeKind, DeleteOptions};
use kit_time::agenda::Instant;
use std::collections::BTreeMap;

/// The most endpoints of one slice (`--max-endpoints-per-slice`).
const PER_SLICE: usize = 100;
/// How long after a slice changed its service is looked at (`endpointSliceChangeMinSyncDelay`).
const SLICE_DELAY: Instant = Instant::seconds(1);
/// The shortest and the longest time before a sync is tried again (`defaultSyncBackOff`, `maxSyncBackOff`).
const BACKOFF: (Instant, Instant) = (Instant::seconds(1), Instant::seconds(1000));
/// How often one is tried again (`maxRetries`).
const RETRIES: u32 = 15;

/// Keeps the slices of each service with a selector.
pub struct EndpointSlices {
    module: Box<dyn Module>,
    queue: WorkQueue<Name>,
    /// How often the sync of a service failed in a row.
    failures: BTreeMap<Name, u32>,
    tracker: Tracker,
    triggers: Triggers,
    topology: Topology,
    /// Whether nodes came, went, or changed in what hints depend on.
    nodes_changed: bool,
}

impl EndpointSlices {
    /// A controller with the module of the slot.
    pub fn new(modules: &Modules) -> Self {
        EndpointSlices {
            module: modules.endpoints.make(&()),
            queue: WorkQueue::with_delays(BACKOFF.0, BACKOFF.1),
            failures: BTreeMap::new(),
            tracker: Tracker::default(),
            triggers: Triggers::default(),
            topology: Topology::default(),
            nodes_changed: false,
        }
    }

    fn observe_slice(&mut self, change: &Change, now: Instant) {
        let (slice, previous) = slices_of(change);
        let Some(slice) = slice else { return };
        let mut queue = |slice: &EndpointSlice| self.queue.add(service_of(slice), now + SLICE_DELAY);
        match (change.kind, previous) {
            (ChangeKind::Deleted, _) => {
                // What it deleted itself is no news.
                if is_mine(slice) && self.tracker.has(slice) && !self.tracker.gone(slice) {
                    queue(slice);
                }
            }
            (_, Some(previous)) if label(slice, SERVICE_NAME) != label(previous, SERVICE_NAME) => {
                queue(slice);
                queue(previous);
            }
            (_, previous) => {
                let taken = previous.is_some_and(|previous| is_mine(previous) != is_mine(slice));
                if taken || (is_mine(slice) && self.tracker.should_sync(slice)) {
                    queue(slice);
                }
            }
        }
    }

    fn sync(&mut self, name: &Name, world: &mut World<'_>) -> Result<(), String> {
        let cache = world.cache;
        let Some(service) = cache.fetch::<Service>(&name.0, &name.1) else {
            self.triggers.forget(name);
            self.tracker.forget(name);
            return Ok(());
        };
        let Some(spec) = &service.spec else { return Ok(()) };
        // Slices of a service without a selector are their owner's business, and ExternalName has none.
        if spec.selector.is_none() || spec.type_.as_deref() == Some("ExternalName") {
            return Ok(());
        }
        let slices: Vec<&EndpointSlice> = (cache.list::<EndpointSlice>(&name.0))
            .filter(|slice| label(slice, SERVICE_NAME) == name.1 && is_mine(slice))
            .filter(|slice| slice.metadata.deletion_timestamp.is_none())
            .collect();
        if self.tracker.is_stale(name, &slices) {
            return Err("EndpointSlice informer cache is out of date".into());
        }
        let pods: Vec<&Pod> = cache.list::<Pod>(&name.0).filter(|pod| selects(service, pod)).collect();
        let seen = Seen {
            service,
            pods: &pods,
            node: &|node| cache.fetch::<Node>("", node),
            slices: &slices,
            max_endpoints: PER_SLICE,
            triggered: self.triggers.changed(name, service, &pods).map(|time| time.0),
        };
        let mut errors = Vec::new();
        for changes in reconcile(&*self.module, &mut self.topology, &seen) {
            errors.extend(aggregate(&changes.skipped));
            errors.extend(finalize(&changes, name, "Service", &mut self.tracker, world).err());
            for told in &changes.told {
                world.server.record(service, told.kind, told.reason, &told.message);
            }
        }
        let Some(error) = aggregate(&errors) else { return Ok(()) };
        let message = format!("Error updating Endpoint Slices for Service {}/{}: {error}", name.0, name.1);
        world.server.record(service, "Warning", "FailedToUpdateEndpointSlices", &message);
        Err(error)
    }

    /// Some zone may have other nodes than before (`checkNodeTopologyDistribution`).
    fn check_nodes(&mut self, world: &World<'_>) {
        self.topology.set_nodes(world.cache.all::<Node>());
        for service in self.topology.overloaded() {
            if let Some((namespace, name)) = service.split_once('/') {
                self.queue.add((namespace.into(), name.into()), world.now);
            }
        }
    }
}

impl Component for EndpointSlices {
    fn name(&self) -> &'static str {
        "endpoint-slice-controller"
    }

    fn watches(&self) -> &'static [Kind] {
        &[Kind::Service, Kind::Pod, Kind::EndpointSlice, Kind::Node]
    }

    fn observe(&mut self, change: &Change, world: &mut World<'_>) {
        let object = &change.object.object;
        match object {
            Object::Service(_) => self.queue.add((object.namespace().into(), object.name().into()), world.now),
            Object::Pod(_) => services_of(change, world.cache).for_each(|name| self.queue.add(name, world.now)),
            Object::EndpointSlice(_) => self.observe_slice(change, world.now),
            Object::Node(node) => {
                let matters = |node: &Node| (node::is_ready(node), zone_of_node(node).map(str::to_string));
                let before = change.previous.as_ref().and_then(|previous| previous.get::<Node>());
                let same = change.kind == ChangeKind::Modified
                    && before.is_some_and(|before| matters(before) == matters(node));
                self.nodes_changed |= !same;
            }
            _ => {}
        }
    }

    fn run(&mut self, world: &mut World<'_>) {
        if std::mem::take(&mut self.nodes_changed) {
            self.check_nodes(world);
        }
        while let Some(name) = self.queue.pop(world.now) {
            let done = self.sync(&name, world);
            retry(&mut self.queue, &mut self.failures, name, &done, world.now);
        }
    }

    fn queues(&self, now: Instant) -> Vec<(&'static str, Tally)> {
        vec![("endpoint_slice", self.queue.tally(now))]
    }

    fn next_wake(&self) -> Option<Instant> {
        self.queue.next()
    }
}

/// Looks at what failed again, later each time, until its budget is spent (`handleErr`).
pub(super) fn retry<E>(
    queue: &mut WorkQueue<Name>,
    failures: &mut BTreeMap<Name, u32>,
    name: Name,
    done: &Result<(), E>,
    now: Instant,
) {
    let spent = failures.get(&name).copied().unwrap_or_default() >= RETRIES;
    if done.is_err() && !spent {
        *failures.entry(name.clone()).or_default() += 1;
        queue.retry(name, now);
    } else {
        failures.remove(&name);
        queue.forget(&name);
    }
}

/// The slice that changed, as it is and as it was.
pub(super) fn slices_of(change: &Change) -> (Option<&EndpointSlice>, Option<&EndpointSlice>) {
    (change.object.get(), change.previous.as_ref().and_then(|previous| previous.get()))
}

fn is_mine(slice: &EndpointSlice) -> bool {
    label(slice, MANAGED_BY) == CONTROLLER
}

/// The services that a pod stood or stands behind (`GetServicesToUpdateOnPodChange`). A change that endpoints don't show
/// leads to no write, and so is not sorted out here.
pub(super) fn services_of<'a>(change: &'a Change, cache: &'a Cache) -> impl Iterator<Item = Name> + use<'a> {
    let pods = [Some(&change.object), change.previous.as_ref()];
    let pods = pods.into_iter().flatten().filter_map(|stored| stored.get::<Pod>());
    pods.flat_map(|pod| {
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        let services = cache.list::<Service>(namespace).filter(|service| selects(service, pod));
        services.map(|service| (namespace.to_string(), service.metadata.name.clone().unwrap_or_default()))
    })
}

/// Creates, updates and deletes, up to the first failure. The slices belong to an object of this kind and name.
pub(super) fn finalize(
    changes: &Changes,
    (namespace, name): &Name,
    kind: &str,
    tracker: &mut Tracker,
    world: &mut World<'_>,
) -> Result<(), String> {
    let of = |slice: &EndpointSlice| slice.metadata.name.clone().unwrap_or_default();
    for slice in &changes.create {
        match world.server.create(slice.clone().into_object()) {
            Ok(stored) => stored.get().into_iter().for_each(|slice| tracker.written(slice)),
            Err(error) if error.is_namespace_terminating() => return Ok(()),
            Err(error) => return Err(format!("failed to create EndpointSlice for {kind} {namespace}/{name}: {error}")),
        }
    }
    for slice in &changes.update {
        let stored = world.server.update(slice.clone().into_object()).map_err(|error| {
            format!("failed to update {} EndpointSlice for {kind} {namespace}/{name}: {error}", of(slice))
        })?;
        stored.get().into_iter().for_each(|slice| tracker.written(slice));
    }
    for slice in &changes.delete {
        let key = Key::new(Kind::EndpointSlice, namespace, &of(slice));
        world.server.delete(&key, &DeleteOptions::default()).map_err(|error| {
            format!("failed to delete {} EndpointSlice for {kind} {namespace}/{name}: {error}", of(slice))
        })?;
        tracker.deleted(slice);
    }
    Ok(())
}
