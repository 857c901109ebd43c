//! The Endpoints controller: which pods stand behind a service, in one object as it was before there were slices.
//!
//! Sources: `pkg/controller/endpoint/endpoints_controller.go` and `RepackSubsets` of `pkg/api/v1/endpoints/util.go`.
//! Simulated: changes of pods are never gathered (`--endpoint-updates-batch-period` is 0 by default), and ports and
//! subsets come in the order of the service's ports, where upstream sorts them by a hash.

use super::controller::{retry, services_of};
use super::trigger::Triggers;
use super::{HEADLESS, LEADER, Name, TRIGGERED, hostname, is_headless, port_number, reference_to, selects};
use kit_api::core::{EndpointAddress, EndpointPort, EndpointSubset, Endpoints, Pod, Service};
use kit_api::meta::ObjectMeta;
use kit_api::pod;
use kit_apimachinery::object::{AsKind, Key, Kind, Object};
use kit_client::component::{Component, World};
use kit_client::work_queue::{Tally, WorkQueue};
use kit_server::{Change, ChangeKind, DeleteOptions, Error};
use kit_time::agenda::Instant;
use std::collections::BTreeMap;

type Labels = BTreeMap<String, String>;

/// The most addresses of one object (`maxCapacity`).
const CAPACITY: usize = 1000;
const MANAGED_BY: &str = "endpoints.kubernetes.io/managed-by";
const CONTROLLER: &str = "endpoint-controller";
const OVER_CAPACITY: &str = "endpoints.kubernetes.io/over-capacity";

/// Keeps the Endpoints of each service.
#[derive(Default)]
pub struct AllEndpoints {
    queue: WorkQueue<Name>,
    /// How often the sync of a service failed in a row.
    failures: BTreeMap<Name, u32>,
    triggers: Triggers,
    /// The versions that were replaced last: as long as the cache shows one of them, it is behind.
    replaced: BTreeMap<Name, String>,
    /// Whether those that had no service from the start were looked for.
    swept: bool,
}

impl Component for AllEndpoints {
    fn name(&self) -> &'static str {
        CONTROLLER
    }

    fn watches(&self) -> &'static [Kind] {
        &[Kind::Service, Kind::Pod, Kind::Endpoints]
    }

    fn observe(&mut self, change: &Change, world: &mut World<'_>) {
        let object = &change.object.object;
        let name = || (object.namespace().to_string(), object.name().to_string());
        match object {
            Object::Service(_) => self.queue.add(name(), world.now),
            Object::Pod(_) => services_of(change, world.cache).for_each(|name| self.queue.add(name, world.now)),
            Object::Endpoints(_) if change.kind == ChangeKind::Deleted => self.queue.add(name(), world.now),
            _ => {}
        }
    }

    fn run(&mut self, world: &mut World<'_>) {
        if !std::mem::replace(&mut self.swept, true) {
            let leads = |all: &Endpoints| all.metadata.annotations.as_ref().is_some_and(|all| all.contains_key(LEADER));
            for Endpoints { metadata, .. } in world.cache.all::<Endpoints>().filter(|all| !leads(all)) {
                let name = (metadata.namespace.clone().unwrap_or_default(), metadata.name.clone().unwrap_or_default());
                self.queue.add(name, world.now);
            }
        }
        while let Some(name) = self.queue.pop(world.now) {
            let done = self.sync(&name, world);
            retry(&mut self.queue, &mut self.failures, name, &done, world.now);
        }
    }

    fn queues(&self, now: Instant) -> Vec<(&'static str, Tally)> {
        vec![("endpoint", self.queue.tally(now))]
    }

    fn next_wake(&self) -> Option<Instant> {
        self.queue.next()
    }
}

impl AllEndpoints {
    fn sync(&mut self, name: &Name, world: &mut World<'_>) -> Result<(), Error> {
        let cache = world.cache;
        let key = Key::new(Kind::Endpoints, &name.0, &name.1);
        let Some(service) = cache.fetch::<Service>(&name.0, &name.1) else {
            self.triggers.forget(name);
            self.replaced.remove(name);
            return Error::ignore_not_found(world.server.delete(&key, &DeleteOptions::default()));
        };
        let Some(spec) = &service.spec else { return Ok(()) };
        // Endpoints of a service without a selector are its owner's business, and ExternalName has none.
        if spec.selector.is_none() || spec.type_.as_deref() == Some("ExternalName") {
            return Ok(());
        }
        let pods: Vec<&Pod> = cache.list::<Pod>(&name.0).filter(|pod| selects(service, pod)).collect();
        let triggered = self.triggers.changed(name, service, &pods);
        let subsets = subsets(service, &pods);
        let there = cache.fetch::<Endpoints>(&name.0, &name.1);
        if let Some(there) = there {
            if self.replaced.get(name) == there.metadata.resource_version.as_ref() {
                return Err(Error::conflict(&key, "the cache is out of date"));
            }
            if is_up_to_date(there, &subsets, service) {
                return Ok(());
            }
        }
        let metadata = ObjectMeta { name: Some(name.1.clone()), namespace: Some(name.0.clone()), ..Default::default() };
        let mut new = there.cloned().unwrap_or(Endpoints { metadata, subsets: None });
        let mut labels = service.metadata.labels.clone().unwrap_or_default();
        labels.remove(HEADLESS);
        labels.insert(MANAGED_BY.into(), CONTROLLER.into());
        if is_headless(service) {
            labels.insert(HEADLESS.into(), String::new());
        }
        new.metadata.labels = Some(labels);
        new.subsets = Some(subsets).filter(|subsets| !subsets.is_empty());
        let truncated = truncate(new.subsets.as_deref_mut().unwrap_or_default());
        let annotations = new.metadata.annotations.get_or_insert_default();
        let mut annotate = |name: &str, value: Option<String>| match value {
            Some(value) => drop(annotations.insert(name.into(), value)),
            None => drop(annotations.remove(name)),
        };
        annotate(TRIGGERED, triggered.map(|at| at.0.to_string()));
        annotate(OVER_CAPACITY, truncated.then(|| "truncated".into()));
        self.write(name, new, world)
    }

    fn write(&mut self, name: &Name, new: Endpoints, world: &mut World<'_>) -> Result<(), Error> {
        let before = new.metadata.resource_version.clone();
        let written = match before {
            None => world.server.create(new.clone().into_object()),
            Some(_) => world.server.update(new.clone().into_object()),
        };
        let error = match written {
            Ok(stored) => {
                // What changes nothing has no new version.
                let after = &stored.object.meta().resource_version;
                if let Some(before) = before.filter(|before| Some(before) != after.as_ref()) {
                    self.replaced.insert(name.clone(), before);
                }
                return Ok(());
            }
            Err(error) if before.is_none() && error.is_namespace_terminating() => return Ok(()),
            Err(error) => error,
        };
        let (namespace, service) = name;
        let (reason, message) = match before {
            None => (
                "FailedToCreateEndpoint",
                format!("Failed to create endpoint for service {namespace}/{service}: {error}"),
            ),
            Some(_) => ("FailedToUpdateEndpoint", format!("Failed to update endpoint {namespace}/{service}: {error}")),
        };
        world.server.record(&new, "Warning", reason, &message);
        Err(error)
    }
}

/// Whether nothing would change but the time of the trigger.
fn is_up_to_date(there: &Endpoints, subsets: &[EndpointSubset], service: &Service) -> bool {
    let own = |labels: Option<&Labels>| {
        let mut labels = labels.cloned().unwrap_or_default();
        labels.retain(|name, _| name != HEADLESS && name != MANAGED_BY);
        labels
    };
    let labels = there.metadata.labels.as_ref();
    let said = labels.and_then(|labels| labels.get(MANAGED_BY));
    let annotations = there.metadata.annotations.as_ref();
    // What is over capacity is always written anew.
    let over = count(there.subsets.as_deref().unwrap_or_default()) > CAPACITY
        || annotations.is_some_and(|annotations| annotations.contains_key(OVER_CAPACITY));
    there.subsets.as_deref().unwrap_or_default() == subsets
        && said.is_some_and(|said| said == CONTROLLER)
        && own(labels) == own(service.metadata.labels.as_ref())
        && !over
}

/// Which pods offer which ports. Ports that the same pods offer are in one subset (`RepackSubsets`).
fn subsets(service: &Service, pods: &[&Pod]) -> Vec<EndpointSubset> {
    let spec = service.spec.clone().unwrap_or_default();
    let publish = spec.publish_not_ready_addresses.unwrap_or(false);
    let mut pods: Vec<(&Pod, EndpointAddress)> =
        pods.iter().filter_map(|pod| Some((*pod, address(service, pod, publish)?))).collect();
    let order = |(_, address): &(&Pod, EndpointAddress)| {
        (address.ip.clone(), address.target_ref.as_ref().and_then(|pod| pod.uid.clone()))
    };
    pods.sort_by_cached_key(order);
    let all: Vec<usize> = (0..pods.len()).collect();
    // By port: the pods that offer it. One service may name a port that is another one in each pod.
    let mut by_port: Vec<(Option<EndpointPort>, Vec<usize>)> = Vec::new();
    for port in spec.ports.iter().flatten() {
        for index in all.iter().copied() {
            let Some(number) = port_number(port, pods[index].0) else { continue };
            let port = Some(EndpointPort {
                app_protocol: port.app_protocol.clone(),
                name: port.name.clone(),
                port: number,
                protocol: port.protocol.clone(),
            });
            match by_port.iter_mut().find(|(there, _)| *there == port) {
                Some((_, offering)) => offering.push(index),
                None => by_port.push((port, vec![index])),
            }
        }
    }
    // A headless service may do without ports.
    if spec.ports.iter().flatten().next().is_none() && spec.cluster_ip.as_deref() == Some("None") && !all.is_empty() {
        by_port.push((None, all));
    }
    let mut by_pods: Vec<(Vec<usize>, Vec<EndpointPort>)> = Vec::new();
    for (port, mut offering) in by_port {
        offering.dedup();
        match by_pods.iter_mut().find(|(there, _)| *there == offering) {
            Some((_, ports)) => ports.extend(port),
            None => by_pods.push((offering, port.into_iter().collect())),
        }
    }
    let part = |part: Vec<&(&Pod, EndpointAddress)>| {
        Some(part.into_iter().map(|(_, address)| address.clone()).collect()).filter(|part: &Vec<_>| !part.is_empty())
    };
    let subsets = by_pods.into_iter().map(|(offering, ports)| {
        let offering = offering.into_iter().map(|index| &pods[index]);
        let (ready, not_ready) = offering.partition(|(pod, _)| publish || pod::is_ready(pod));
        let ports = Some(ports).filter(|ports| !ports.is_empty());
        EndpointSubset { addresses: part(ready), not_ready_addresses: part(not_ready), ports }
    });
    subsets.collect()
}

/// A pod is behind its services once it has an address, and until it is over or about to go (`ShouldPodBeInEndpoints`).
fn address(service: &Service, pod: &Pod, publish: bool) -> Option<EndpointAddress> {
    let ip = address_of(service, pod)?;
    if pod::is_finished(pod) || (pod::is_terminating(pod) && !publish) {
        return None;
    }
    Some(EndpointAddress {
        hostname: hostname(service, pod),
        ip,
        node_name: pod::node_name(pod).map(str::to_string),
        target_ref: Some(reference_to(pod)),
    })
}

/// The pod's address of the service's first family; what the service doesn't say, its own address says, and what that
/// doesn't say either, the pod's first address (`podToEndpointAddressForService`).
fn address_of(service: &Service, pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref()?;
    let first = status.pod_ip.clone().filter(|ip| !ip.is_empty())?;
    let is_ipv6 = |address: &str| address.contains(':');
    let spec = service.spec.as_ref();
    let family = spec.and_then(|spec| spec.ip_families.as_ref()?.first());
    let own = spec.and_then(|spec| spec.cluster_ip.as_deref()).filter(|own| !["", "None"].contains(own));
    let wanted = family.map_or_else(|| is_ipv6(own.unwrap_or(&first)), |family| family == "IPv6");
    let all = status.pod_ips.iter().flatten().map(|ip| ip.ip.clone());
    std::iter::once(first.clone()).chain(all).find(|ip| is_ipv6(ip) == wanted)
}

fn count(subsets: &[EndpointSubset]) -> usize {
    let length = |part: &Option<Vec<EndpointAddress>>| part.as_ref().map_or(0, Vec::len);
    subsets.iter().map(|subset| length(&subset.addresses) + length(&subset.not_ready_addresses)).sum()
}

/// Takes away what is beyond the capacity, from each subset its share, and what isn't ready first
/// (`truncateEndpoints`). Whether there was anything to take away.
fn truncate(subsets: &mut [EndpointSubset]) -> bool {
    if count(subsets) <= CAPACITY {
        return false;
    }
    let length = |part: &Option<Vec<EndpointAddress>>| part.as_ref().map_or(0, Vec::len);
    let ready: usize = subsets.iter().map(|subset| length(&subset.addresses)).sum();
    let not_ready: usize = subsets.iter().map(|subset| length(&subset.not_ready_addresses)).sum();
    let of_ready = ready > CAPACITY;
    let (most, total) = if of_ready { (CAPACITY, ready) } else { (CAPACITY - ready, not_ready) };
    let mut left = most;
    for subset in subsets {
        if of_ready {
            subset.not_ready_addresses = None;
        }
        let part = if of_ready { &mut subset.addresses } else { &mut subset.not_ready_addresses };
        let share = (length(part) as f64 / total as f64 * most as f64).ceil() as usize;
        let keep = share.min(left).min(length(part));
        left -= keep;
        match keep {
            0 => *part = None,
            _ => part.iter_mut().for_each(|part| part.truncate(keep)),
        }
    }
    true
}

#[cfg(test)]
mod tests;
