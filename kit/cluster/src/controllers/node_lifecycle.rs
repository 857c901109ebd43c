//! The node lifecycle controller: notices nodes that fall silent, and taints them.
//!
//! Source: `pkg/controller/nodelifecycle/node_lifecycle_controller.go`. Every pass (5 s) it looks at each node. A
//! node whose lease and status have not moved for the grace period gets conditions `Unknown`; its pods are no longer
//! ready. The `NoSchedule` taint follows the condition at once; the `NoExecute` taint comes with the next pass, since
//! a pass decides on the condition that it found, and at the rate that the node's zone allows.

use crate::agenda::Instant;
use crate::engine::{Component, World};
use crate::kubelet::node::{Ready, ready};
use crate::object::{AsKind, Key, Kind, Object};
use crate::server::{Change, registry};
use kit_api::coordination::Lease;
use kit_api::core::{Node, NodeCondition, Pod, Taint};
use kit_api::meta::{MicroTime, Time};
use kit_api::pod;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// The flags of the controller, with the defaults of 1.33 (`pkg/controller/nodelifecycle/config`).
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How long a node may be silent (`--node-monitor-grace-period`; 40 s before 1.32).
    pub node_monitor_grace_period_seconds: i64,
    /// How long a node that never reported may be silent.
    pub node_startup_grace_period_seconds: i64,
    /// Nodes of a zone that are tainted per second.
    pub node_eviction_rate: f64,
    /// The same in a large zone of which many nodes are lost.
    pub secondary_node_eviction_rate: f64,
    /// Which share of lost nodes is many.
    pub unhealthy_zone_threshold: f64,
    /// A zone with more nodes is large; in smaller ones nothing more is tainted when many nodes are lost.
    pub large_cluster_size_threshold: usize,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            node_monitor_grace_period_seconds: 50,
            node_startup_grace_period_seconds: 60,
            node_eviction_rate: 0.1,
            secondary_node_eviction_rate: 0.01,
            unhealthy_zone_threshold: 0.55,
            large_cluster_size_threshold: 50,
        }
    }
}

/// From one pass to the next (`--node-monitor-period`), and how long a pass takes: `wait.Until` counts from its end, so
/// that ten passes take a little longer than the grace period.
const PERIOD: Instant = Instant::seconds(5);
const PASS: Instant = Instant::millis(1);
const NOT_READY: &str = "node.kubernetes.io/not-ready";
const UNREACHABLE: &str = "node.kubernetes.io/unreachable";

/// Notices lost nodes.
pub struct NodeLifecycle {
    config: Config,
    next: Instant,
    health: BTreeMap<String, Health>,
    zones: BTreeMap<String, Zone>,
    /// Nodes whose `NoSchedule` taints may have to follow their conditions.
    changed: BTreeSet<String>,
}

/// What the controller remembers of a node: when it last heard of it, by its own clock.
struct Health {
    heard: Instant,
    lease: Option<MicroTime>,
    heartbeat: Option<Time>,
    grace: Instant,
}

/// The nodes of a zone that wait for their taint.
#[derive(Default)]
struct Zone {
    waiting: Vec<String>,
    /// When the next one may be tainted.
    allowed: Instant,
    rate: f64,
}

/// How much of a zone is lost (`ComputeZoneState`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ZoneState {
    /// Little or nothing.
    Normal,
    /// Many nodes: a network problem is more likely than many broken nodes.
    PartialDisruption,
    /// All nodes.
    FullDisruption,
}

impl Config {
    /// The state of a zone with so many nodes that are ready and that are not.
    pub fn zone_state(&self, ready: usize, not_ready: usize) -> ZoneState {
        let share = not_ready as f64 / (ready + not_ready).max(1) as f64;
        match () {
            () if ready == 0 && not_ready > 0 => ZoneState::FullDisruption,
            () if not_ready > 2 && share >= self.unhealthy_zone_threshold => ZoneState::PartialDisruption,
            () => ZoneState::Normal,
        }
    }

    /// How many nodes per second may be tainted in a partially disrupted zone of so many nodes (`ReducedQPSFunc`).
    pub fn reduced_rate(&self, nodes: usize) -> f64 {
        if nodes > self.large_cluster_size_threshold { self.secondary_node_eviction_rate } else { 0.0 }
    }
}

impl NodeLifecycle {
    /// A controller with these flags.
    pub fn new(config: Config) -> Self {
        NodeLifecycle {
            config,
            next: PERIOD + PASS,
            health: BTreeMap::new(),
            zones: BTreeMap::new(),
            changed: BTreeSet::new(),
        }
    }

    /// One pass over all nodes (`monitorNodeHealth`).
    fn monitor(&mut self, world: &mut World<'_>) {
        let nodes: Vec<Node> = world.cache.all::<Node>().cloned().collect();
        let mut counts: BTreeMap<String, (usize, usize)> = BTreeMap::new();
        for node in &nodes {
            let name = node.metadata.name.clone().unwrap_or_default();
            let found = ready(node);
            let current = self.update_health(node, &name, world);
            let (ready, not_ready) = counts.entry(zone_of(node)).or_default();
            *(if current == Ready::True { ready } else { not_ready }) += 1;
            if found == Ready::True && current != Ready::True {
                let message = format!("Node {name} status is now: NodeNotReady");
                world.server.record(&node.clone().into_object(), "Normal", "NodeNotReady", &message);
                mark_pods_not_ready(&name, world);
            }
            self.want_taint(node, &name, found, world);
        }
        self.set_rates(&counts, &nodes, world);
    }

    /// Notes what was heard of a node, and writes `Unknown` if that is too long ago. The answer is the condition
    /// that the node has then.
    fn update_health(&mut self, node: &Node, name: &str, world: &mut World<'_>) -> Ready {
        let conditions = node.status.as_ref().and_then(|status| status.conditions.clone()).unwrap_or_default();
        let heartbeat =
            conditions.iter().find(|c| c.type_ == "Ready").and_then(|ready| ready.last_heartbeat_time.clone());
        let lease = world.cache.fetch::<Lease>("kube-node-lease", name);
        let lease = lease.and_then(|lease| lease.spec.as_ref()?.renew_time.clone());
        let startup = Instant::seconds(self.config.node_startup_grace_period_seconds);
        let usual = Instant::seconds(self.config.node_monitor_grace_period_seconds);
        let now = world.now;
        let health = self.health.entry(name.to_string()).or_insert(Health {
            heard: now,
            lease: lease.clone(),
            heartbeat: heartbeat.clone(),
            grace: startup,
        });
        if heartbeat.is_some() {
            health.grace = usual;
        }
        // Whether the time moved counts, not what it says: the clocks of nodes are not this one's.
        if (&health.lease, &health.heartbeat) != (&lease, &heartbeat) {
            *health = Health { heard: now, lease, heartbeat, grace: health.grace };
        }
        if now <= health.heard + health.grace {
            return ready(node);
        }
        let Ok(mut fresh) = world.server.fetch::<Node>("", name) else { return Ready::Unknown };
        let time = Time(world.time());
        let status = fresh.status.get_or_insert_default();
        let mut changed = false;
        for type_ in ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"] {
            let unknown = |reason: &str, message: &str| NodeCondition {
                type_: type_.into(),
                status: "Unknown".into(),
                reason: Some(reason.into()),
                message: Some(message.into()),
                last_heartbeat_time: Some(time.clone()),
                last_transition_time: Some(time.clone()),
            };
            let there = status.conditions.get_or_insert_default();
            match there.iter_mut().find(|condition| condition.type_ == type_) {
                None => {
                    there.push(unknown("NodeStatusNeverUpdated", "Kubelet never posted node status."));
                    changed = true;
                }
                Some(condition) if condition.status != "Unknown" => {
                    let last_heartbeat_time = condition.last_heartbeat_time.take();
                    let stopped = unknown("NodeStatusUnknown", "Kubelet stopped posting node status.");
                    *condition = NodeCondition { last_heartbeat_time, ..stopped };
                    changed = true;
                }
                Some(_) => {}
            }
        }
        if changed {
            _ = world.server.update_status(fresh.into_object());
        }
        Ready::Unknown
    }

    /// Asks for the `NoExecute` taint that belongs to a condition, or takes it away (`processTaintBaseEviction`).
    fn want_taint(&mut self, node: &Node, name: &str, found: Ready, world: &mut World<'_>) {
        let has = |key: &str| taints(node).any(|taint| taint.key == key && taint.effect == "NoExecute");
        let zone =
            self.zones.entry(zone_of(node)).or_insert(Zone { rate: self.config.node_eviction_rate, ..Zone::default() });
        let wanted = match found {
            Ready::True => {
                zone.waiting.retain(|waiting| waiting != name);
                if has(NOT_READY) || has(UNREACHABLE) {
                    set_taints(name, "NoExecute", &[], world);
                }
                return;
            }
            Ready::False => (NOT_READY, UNREACHABLE),
            Ready::Unknown => (UNREACHABLE, NOT_READY),
        };
        if has(wanted.1) {
            // A lost node that is lost in another way needs no new permission.
            set_taints(name, "NoExecute", &[wanted.0], world);
        } else if !has(wanted.0) && !zone.waiting.iter().any(|waiting| waiting == name) {
            zone.waiting.push(name.to_string());
        }
    }

    /// Sets how fast each zone may lose nodes (`handleDisruption`).
    fn set_rates(&mut self, counts: &BTreeMap<String, (usize, usize)>, nodes: &[Node], world: &mut World<'_>) {
        let state = |(ready, not_ready): &(usize, usize)| self.config.zone_state(*ready, *not_ready);
        let all_lost = !counts.is_empty() && counts.values().all(|count| state(count) == ZoneState::FullDisruption);
        if all_lost {
            // Nobody is heard: the fault is more likely here than there.
            for node in nodes {
                set_taints(node.metadata.name.as_deref().unwrap_or_default(), "NoExecute", &[], world);
            }
        }
        for (name, zone) in &mut self.zones {
            let Some(count) = counts.get(name) else { continue };
            zone.rate = match state(count) {
                _ if all_lost => 0.0,
                ZoneState::PartialDisruption => self.config.reduced_rate(count.0 + count.1),
                _ => self.config.node_eviction_rate,
            };
            if all_lost {
                zone.waiting.clear();
            }
        }
    }

    /// Taints nodes that wait for it, as fast as their zones allow (`doNoExecuteTaintingPass`).
    fn taint(&mut self, world: &mut World<'_>) {
        for zone in self.zones.values_mut() {
            while !zone.waiting.is_empty() && zone.rate > 0.0 && zone.allowed <= world.now {
                let name = zone.waiting.remove(0);
                let Ok(node) = world.server.fetch::<Node>("", &name) else { continue };
                let key = match ready(&node) {
                    Ready::True => continue,
                    Ready::False => NOT_READY,
                    Ready::Unknown => UNREACHABLE,
                };
                set_taints(&name, "NoExecute", &[key], world);
                zone.allowed = world.now + Instant { nanos: (1e9 / zone.rate) as i64 };
            }
        }
    }
}

/// The zone of a node, with its region (`GetZoneKey`).
fn zone_of(node: &Node) -> String {
    let label = |key: &str| node.metadata.labels.as_ref().and_then(|labels| labels.get(key)).map_or("", String::as_str);
    format!("{}:{}", label("topology.kubernetes.io/region"), label("topology.kubernetes.io/zone"))
}

fn taints(node: &Node) -> impl Iterator<Item = &Taint> {
    node.spec.as_ref().and_then(|spec| spec.taints.as_ref()).into_iter().flatten()
}

/// The taints that the controller sets itself, by effect.
fn is_own(taint: &Taint, effect: &str) -> bool {
    let keys: &[&str] = match effect {
        "NoExecute" => &[NOT_READY, UNREACHABLE],
        _ => &[NOT_READY, UNREACHABLE, MEMORY, DISK, PID, NETWORK, UNSCHEDULABLE],
    };
    taint.effect == effect && keys.contains(&taint.key.as_str())
}

const MEMORY: &str = "node.kubernetes.io/memory-pressure";
const DISK: &str = "node.kubernetes.io/disk-pressure";
const PID: &str = "node.kubernetes.io/pid-pressure";
const NETWORK: &str = "node.kubernetes.io/network-unavailable";
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";

/// Makes `keys` the controller's own taints of one effect, and leaves all others alone.
fn set_taints(name: &str, effect: &str, keys: &[&str], world: &mut World<'_>) {
    let Ok(mut node) = world.server.fetch::<Node>("", name) else { return };
    let spec = node.spec.get_or_insert_default();
    let mut all = spec.taints.take().unwrap_or_default();
    all.retain(|taint| !is_own(taint, effect) || keys.contains(&taint.key.as_str()));
    for key in keys {
        if !all.iter().any(|taint| taint.key == *key && taint.effect == effect) {
            let time_added = Some(Time(world.server.time()));
            all.push(Taint { key: key.to_string(), effect: effect.into(), time_added, value: None });
        }
    }
    spec.taints = Some(all).filter(|all| !all.is_empty());
    _ = world.server.update(node.into_object());
}

/// The `NoSchedule` taints that follow from a node's conditions (`doNodeProcessingPassWorker`).
fn taints_of_conditions(node: &Node) -> Vec<&'static str> {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_ref());
    let keys = conditions.into_iter().flatten().filter_map(|condition| {
        Some(match (condition.type_.as_str(), condition.status.as_str()) {
            ("Ready", "False") => NOT_READY,
            ("Ready", "Unknown") => UNREACHABLE,
            ("MemoryPressure", "True") => MEMORY,
            ("DiskPressure", "True") => DISK,
            ("PIDPressure", "True") => PID,
            ("NetworkUnavailable", "True") => NETWORK,
            _ => return None,
        })
    });
    let cordoned = node.spec.as_ref().and_then(|spec| spec.unschedulable) == Some(true);
    keys.chain(cordoned.then_some(UNSCHEDULABLE)).collect()
}

/// Pods on a lost node are not ready: they leave the endpoints long before they are deleted (`MarkPodsNotReady`).
fn mark_pods_not_ready(node: &str, world: &mut World<'_>) {
    let pods: Vec<Pod> = world.cache.all::<Pod>().filter(|pod| pod::node_name(pod) == Some(node)).cloned().collect();
    for mut pod in pods.into_iter().filter(pod::is_ready) {
        let about = Object::Pod(Box::new(pod.clone()));
        registry::set_condition(&mut pod, "Ready", "False", None, None, world.time());
        pod.metadata.resource_version = None;
        if world.server.update_status(pod.into_object()).is_ok() {
            world.server.record(&about, "Warning", "NodeNotReady", "Node is not ready");
        }
    }
}

impl Component for NodeLifecycle {
    fn name(&self) -> &'static str {
        "node-controller"
    }

    fn watches(&self) -> &'static [Kind] {
        &[Kind::Node, Kind::Lease, Kind::Pod]
    }

    fn observe(&mut self, change: &Change, _world: &mut World<'_>) {
        if let Object::Node(node) = &change.object.object {
            self.changed.extend(node.metadata.name.clone());
        }
    }

    fn run(&mut self, world: &mut World<'_>) {
        for name in std::mem::take(&mut self.changed) {
            if let Some(stored) = world.cache.get(&Key::new(Kind::Node, "", &name))
                && let Some(node) = stored.get::<Node>()
            {
                set_taints(&name, "NoSchedule", &taints_of_conditions(node), world);
            }
        }
        if world.now >= self.next {
            self.monitor(world);
            self.next = self.next + PERIOD + PASS;
        }
        self.taint(world);
    }

    fn next_wake(&self) -> Option<Instant> {
        let waiting = self.zones.values().filter(|zone| !zone.waiting.is_empty() && zone.rate > 0.0);
        waiting.map(|zone| zone.allowed).chain([self.next]).min()
    }
}
