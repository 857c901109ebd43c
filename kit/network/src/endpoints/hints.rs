//! Hints: for which zone an endpoint is meant.
//!
//! Sources: `staging/src/k8s.io/endpointslice/topologycache` (the annotation `service.kubernetes.io/topology-mode`) and
//! `staging/src/k8s.io/endpointslice/trafficdist` (the field `trafficDistribution`). Where upstream takes the first of a
//! Go map, which is any, zones are taken in the order of their names.

use super::reconciler::Told;
use kit_api::Quantity;
use kit_api::core::{Node, Service};
use kit_api::discovery::{Endpoint, EndpointHints, EndpointSlice, ForZone};
use kit_api::node;
use std::collections::{BTreeMap, BTreeSet};

/// The most that an endpoint may get beyond its share (`overloadThreshold`).
const OVERLOAD: f64 = 0.2;
/// Zones, and how many endpoints are meant for each.
type ByZone = BTreeMap<String, usize>;

/// What one sync does to the slices of one service and address family.
#[derive(Debug, Default)]
pub(super) struct Slices {
    pub create: Vec<EndpointSlice>,
    pub update: Vec<EndpointSlice>,
    pub unchanged: Vec<EndpointSlice>,
}

/// How much CPU each zone has, and which endpoints were meant for which zone (`TopologyCache`).
#[derive(Debug, Default)]
pub struct Topology {
    /// Each zone's share of all CPU; none where hints make no sense.
    shares: Option<BTreeMap<String, f64>>,
    /// By service and address family.
    meant: BTreeMap<String, BTreeMap<String, ByZone>>,
    /// The services that have hints because of the annotation.
    hinted: BTreeSet<String>,
}

/// How many endpoints a zone should get.
struct Allocation {
    minimum: usize,
    maximum: usize,
    desired: f64,
}

/// Whether the service asks for hints by annotation (`hintsEnabled`). The deprecated annotation has precedence.
pub fn is_auto(service: &Service) -> bool {
    let annotations = service.metadata.annotations.as_ref();
    let get = |name: &str| annotations.and_then(|annotations| annotations.get(name));
    let mode = get("service.kubernetes.io/topology-aware-hints").or_else(|| get("service.kubernetes.io/topology-mode"));
    mode.is_some_and(|mode| mode == "Auto" || mode == "auto")
}

/// Whether the service asks for hints by its field, and may (`validTrafficDistribution`). `PreferSameZone` and
/// `PreferSameNode` are behind a gate that is off in 1.33.
pub fn prefers_close(service: &Service) -> bool {
    let wish = service.spec.as_ref().and_then(|spec| spec.traffic_distribution.as_deref());
    wish == Some("PreferClose") && !is_auto(service)
}

fn is_ready(endpoint: &Endpoint) -> bool {
    endpoint.conditions.as_ref().and_then(|conditions| conditions.ready) == Some(true)
}

fn zone_of(endpoint: &Endpoint) -> Option<&str> {
    endpoint.zone.as_deref().filter(|zone| !zone.is_empty())
}

fn for_zone(zone: &str) -> Option<EndpointHints> {
    Some(EndpointHints { for_zones: Some(vec![ForZone { name: zone.into() }]), for_nodes: None })
}

fn zones_hinted(endpoint: &Endpoint) -> Vec<&str> {
    let zones = endpoint.hints.as_ref().and_then(|hints| hints.for_zones.as_ref());
    zones.into_iter().flatten().map(|zone| zone.name.as_str()).collect()
}

/// Takes all hints away (`RemoveHintsFromSlices`).
pub(super) fn remove(slices: &mut Slices) {
    let has = |slice: &EndpointSlice| slice.endpoints.iter().any(|endpoint| endpoint.hints.is_some());
    let (stale, unchanged) = std::mem::take(&mut slices.unchanged).into_iter().partition(has);
    slices.unchanged = unchanged;
    slices.update.extend::<Vec<_>>(stale);
    for slice in slices.create.iter_mut().chain(&mut slices.update) {
        slice.endpoints.iter_mut().for_each(|endpoint| endpoint.hints = None);
    }
}

/// Each ready endpoint is meant for its own zone (`ReconcileHints` of `trafficdist`). Hints of endpoints that are not
/// ready stay as they are.
pub(super) fn prefer_close(slices: &mut Slices) {
    let differs = |endpoint: &Endpoint| {
        let wanted: Vec<&str> = endpoint.zone.as_deref().into_iter().collect();
        let for_nodes = endpoint.hints.as_ref().and_then(|hints| hints.for_nodes.as_ref());
        is_ready(endpoint) && (zones_hinted(endpoint) != wanted || for_nodes.is_some_and(|nodes| !nodes.is_empty()))
    };
    let stale = |slice: &EndpointSlice| slice.endpoints.iter().any(differs);
    let (stale, unchanged) = std::mem::take(&mut slices.unchanged).into_iter().partition(stale);
    slices.unchanged = unchanged;
    slices.update.extend::<Vec<_>>(stale);
    for slice in slices.create.iter_mut().chain(&mut slices.update) {
        for endpoint in slice.endpoints.iter_mut().filter(|endpoint| is_ready(endpoint)) {
            endpoint.hints = endpoint.zone.as_deref().and_then(for_zone);
        }
    }
}

impl Topology {
    /// Counts the CPU of each zone (`SetNodes`). Nodes of the control plane and nodes that are not ready don't count; one
    /// other without a zone or CPU, and there are no hints.
    pub fn set_nodes<'a>(&mut self, nodes: impl IntoIterator<Item = &'a Node>) {
        self.shares = shares(nodes);
    }

    /// The services of which some zone has fewer endpoints than it needs (`GetOverloadedServices`).
    pub fn overloaded(&self) -> Vec<String> {
        let overloaded = |meant: &ByZone| is_overloaded(meant, self.shares.as_ref());
        let services = self.meant.iter().filter(|(_, families)| families.values().any(overloaded));
        services.map(|(service, _)| service.clone()).collect()
    }

    /// Forgets what one service's endpoints were meant for (`RemoveHints`).
    pub fn forget(&mut self, service: &str, family: &str) {
        if let Some(families) = self.meant.get_mut(service) {
            families.remove(family);
            if families.is_empty() {
                self.meant.remove(service);
            }
        }
        self.hinted.remove(service);
    }

    /// Whether the annotation gave the service hints (`HasPopulatedHints`).
    pub fn has_hints(&self, service: &str) -> bool {
        self.hinted.contains(service)
    }

    /// Gives each zone its share of the ready endpoints, or takes all hints away and says why (`AddHints`).
    pub(super) fn add_hints(&mut self, service: &str, family: &str, slices: &mut Slices) -> Option<Told> {
        match self.hint(slices) {
            Ok(meant) => {
                self.meant.entry(service.into()).or_default().insert(family.into(), meant);
                let is_new = self.hinted.insert(service.into());
                is_new.then(|| {
                    Told::new("Normal", "TopologyAwareHintsEnabled", &format!("{ENABLED}, addressType: {family}"))
                })
            }
            Err(why) => {
                self.forget(service, family);
                remove(slices);
                Some(Told::disabled(&why, family))
            }
        }
    }

    fn hint(&self, slices: &mut Slices) -> Result<ByZone, String> {
        let all = slices.create.iter().chain(&slices.update).chain(&slices.unchanged);
        let ready = all.flat_map(|slice| &slice.endpoints).filter(|endpoint| is_ready(endpoint)).count();
        let allocations = self.allocations(ready)?;

        // What is as it should be keeps its hints and is not written (`getAllocatedHintsByZone`).
        let mut meant = ByZone::new();
        for slice in std::mem::take(&mut slices.unchanged) {
            match good_hints(&slice, &meant, &allocations) {
                Some(there) => {
                    there.into_iter().for_each(|(zone, count)| *meant.entry(zone).or_default() += count);
                    slices.unchanged.push(slice);
                }
                None => slices.update.push(slice),
            }
        }
        let mut open: Vec<&mut Endpoint> = (slices.create.iter_mut().chain(&mut slices.update))
            .flat_map(|slice| &mut slice.endpoints)
            .filter(|endpoint| is_ready(endpoint))
            .collect();
        for endpoint in &mut open {
            let zone = zone_of(endpoint).ok_or(NO_ZONE)?.to_string();
            endpoint.hints = for_zone(&zone);
            *meant.entry(zone).or_default() += 1;
        }
        let (mut giving, mut receiving) = moves(&allocations, &meant);
        for endpoint in open {
            let Some(from) = endpoint.zone.clone().filter(|zone| giving.get(zone).is_some_and(|count| *count > 0))
            else {
                continue;
            };
            let Some(to) = receiving.iter().find(|(_, count)| **count > 0).map(|(zone, _)| zone.clone()) else { break };
            endpoint.hints = for_zone(&to);
            giving.entry(from.clone()).and_modify(|count| *count -= 1);
            receiving.entry(to.clone()).and_modify(|count| *count -= 1);
            meant.entry(from).and_modify(|count| *count -= 1);
            *meant.entry(to).or_default() += 1;
        }
        if meant.is_empty() { Err(NO_HINTS.into()) } else { Ok(meant) }
    }

    /// How many endpoints each zone should get, so that none is overloaded (`getAllocations`).
    fn allocations(&self, endpoints: usize) -> Result<BTreeMap<String, Allocation>, String> {
        let shares = self.shares.as_ref().ok_or(NO_NODE_INFO)?;
        let zones = shares.len();
        let counts = format!("({endpoints} endpoints, {zones} zones)");
        if zones > endpoints {
            return Err(format!("{TOO_FEW} {counts}"));
        }
        let mut allocations = BTreeMap::new();
        for (zone, share) in shares {
            let desired = share * endpoints as f64;
            let minimum = (desired * (1.0 / (1.0 + OVERLOAD))).ceil();
            let allocation = Allocation { minimum: minimum as usize, maximum: 0, desired: desired.max(minimum) };
            allocations.insert(zone.clone(), allocation);
        }
        let minimum: usize = allocations.values().map(|allocation| allocation.minimum).sum();
        let Some(spare) = endpoints.checked_sub(minimum) else { return Err(format!("{OVERLOADED} {counts}")) };
        allocations.values_mut().for_each(|allocation| allocation.maximum = allocation.minimum + spare);
        Ok(allocations)
    }
}

// What events say: `staging/src/k8s.io/endpointslice/topologycache/event.go`.
const ENABLED: &str = "Topology Aware Hints has been enabled";
pub(super) const DISABLED: &str = "Topology Aware Hints has been disabled";
const NO_ZONE: &str = "One or more endpoints do not have a zone specified";
const NO_HINTS: &str = "No hints allocated for zones";
const NO_NODE_INFO: &str = "Insufficient Node information: allocatable CPU or zone not specified on one or more nodes";
const TOO_FEW: &str = "Insufficient number of endpoints";
const OVERLOADED: &str =
    "Unable to allocate minimum required endpoints to each zone without exceeding overload threshold";

fn shares<'a>(nodes: impl IntoIterator<Item = &'a Node>) -> Option<BTreeMap<String, f64>> {
    let mut by_zone: BTreeMap<String, i64> = BTreeMap::new();
    for node in nodes {
        let labels = node.metadata.labels.as_ref();
        let has = |name: &str| labels.is_some_and(|labels| labels.contains_key(name));
        if has("node-role.kubernetes.io/control-plane")
            || has("node-role.kubernetes.io/master")
            || !node::is_ready(node)
        {
            continue;
        }
        let zone = zone_of_node(node)?;
        let allocatable = node.status.as_ref()?.allocatable.as_ref()?;
        let cpu: Quantity = allocatable.get("cpu")?.0.parse().ok()?;
        if cpu.is_zero() {
            return None;
        }
        *by_zone.entry(zone.into()).or_default() += cpu.milli_value();
    }
    let total: i64 = by_zone.values().sum();
    if by_zone.len() < 2 {
        return None;
    }
    Some(by_zone.into_iter().map(|(zone, cpu)| (zone, cpu as f64 / total as f64)).collect())
}

/// The zone of a node, if it says one.
pub(crate) fn zone_of_node(node: &Node) -> Option<&str> {
    let labels = node.metadata.labels.as_ref()?;
    labels.get("topology.kubernetes.io/zone").map(String::as_str).filter(|zone| !zone.is_empty())
}

/// How many endpoints of a slice are meant for each zone; none if the slice has to be written: an endpoint has no hint,
/// or one for a zone that needs none, or a zone would get so many that others fall short (`getHintsByZone`).
fn good_hints(slice: &EndpointSlice, before: &ByZone, allocations: &BTreeMap<String, Allocation>) -> Option<ByZone> {
    let mut meant = ByZone::new();
    for endpoint in slice.endpoints.iter().filter(|endpoint| is_ready(endpoint)) {
        let zones = zones_hinted(endpoint);
        if zones.is_empty() || zones.iter().any(|zone| !allocations.contains_key(*zone)) {
            return None;
        }
        zones.into_iter().for_each(|zone| *meant.entry(zone.into()).or_default() += 1);
    }
    let fits = |(zone, count): (&String, &usize)| {
        let before = before.get(zone).copied().unwrap_or_default();
        allocations.get(zone).is_some_and(|allocation| count + before <= allocation.maximum)
    };
    meant.iter().all(fits).then_some(meant)
}

/// How many endpoints zones give to others, and how many they get (`getGivingAndReceivingZones`).
fn moves(allocations: &BTreeMap<String, Allocation>, meant: &ByZone) -> (ByZone, ByZone) {
    let mut differences: BTreeMap<&String, f64> = (allocations.iter())
        .map(|(zone, allocation)| (zone, meant.get(zone).copied().unwrap_or_default() as f64 - allocation.desired))
        .collect();
    let (mut giving, mut receiving) = (ByZone::new(), ByZone::new());
    loop {
        let most = |sign: f64| {
            let mut most: Option<(&String, f64)> = None;
            for (zone, difference) in &differences {
                if difference * sign > most.map_or(0.0, |(_, most)| most) {
                    most = Some((zone, difference * sign));
                }
            }
            most
        };
        // A zone that gave or got more than it had to spare or lacked is not to change sides.
        let (Some((from, give)), Some((to, get))) = (most(1.0), most(-1.0)) else { break };
        if (give < 1.0 && get < 1.0) || give < 0.5 || get < 0.5 {
            break;
        }
        *giving.entry(from.clone()).or_default() += 1;
        *receiving.entry(to.clone()).or_default() += 1;
        differences.entry(from).and_modify(|difference| *difference = (*difference - 1.0).max(0.0));
        differences.entry(to).and_modify(|difference| *difference = (*difference + 1.0).min(0.0));
    }
    (giving, receiving)
}

/// Whether some zone has fewer endpoints than its CPU asks for (`serviceOverloaded`).
fn is_overloaded(meant: &ByZone, shares: Option<&BTreeMap<String, f64>>) -> bool {
    if meant.is_empty() {
        return false;
    }
    let Some(shares) = shares else { return true };
    let total: usize = meant.values().sum();
    shares.iter().any(|(zone, share)| {
        let needed = (total as f64 * share * (1.0 / (1.0 + OVERLOAD))).ceil();
        meant.get(zone).is_none_or(|count| (*count as f64) < needed)
    })
}
