//! What a node is short of, as its images say: memory, disk and process ids. [`Manager`] decides whom that costs the node.
//!
//! All files are on one file system. Sources: `pkg/kubelet/eviction/eviction_manager.go`, `pkg/kubelet/apis/config/v1beta1/defaults.go`
//! for thresholds, `pkg/kubelet/kubelet.go` for how often (`evictionMonitoringPeriod`), `pkg/kubelet/nodestatus/setters.go`.

use super::failing::Failing;
use super::image::Images;
use super::node::NodeShape;
use super::{Kubelet, Kubelets, Running};
use crate::eviction::{Config, Figures, Manager, Node, Outcome, PodFigures};
use crate::termination;
use kit_api::Quantity;
use kit_api::core::Pod;
use kit_api::qos;
use kit_api::quantity::Format;
use kit_apimachinery::object::{Key, Kind};
use kit_client::component::World;
use kit_contract::Slot;
use kit_contract::node::Eviction;
use kit_contract::node::eviction::Usage;
use kit_time::agenda::Instant;
use std::collections::{BTreeMap, BTreeSet};

/// Signals: what they watch.
const SIGNALS: [(&str, Resource); 4] = [
    ("memory.available", Resource::Memory),
    ("nodefs.available", Resource::Disk),
    ("imagefs.available", Resource::Disk),
    ("pid.available", Resource::Pids),
];

/// The reason of a pod that had to go.
const EVICTED: &str = "Evicted";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Resource {
    Memory,
    Disk,
    Pids,
}

/// What a node has, or uses: bytes of memory and of disk, and process ids.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Amounts {
    /// Bytes of memory.
    pub memory: i64,
    /// Bytes on disk.
    pub disk: i64,
    /// Processes.
    pub pids: i64,
}

impl Amounts {
    fn of(self, resource: Resource) -> i64 {
        match resource {
            Resource::Memory => self.memory,
            Resource::Disk => self.disk,
            Resource::Pids => self.pids,
        }
    }

    /// Both together.
    pub fn and(self, other: Amounts) -> Amounts {
        Amounts {
            memory: self.memory.saturating_add(other.memory),
            disk: self.disk.saturating_add(other.disk),
            pids: self.pids.saturating_add(other.pids),
        }
    }
}

/// The eviction manager of a node.
pub struct Pressure {
    manager: Manager,
    capacity: Amounts,
    /// Below what is left it has something to do, by signal.
    levels: Vec<(Resource, i64)>,
    /// Whether it has to look again though nothing is short any more.
    busy: bool,
}

impl Pressure {
    /// That of a node which has just begun, with a module of this slot.
    pub fn new(shape: &NodeShape, slot: &Slot<dyn Eviction>) -> Pressure {
        let amount = |text: &str| text.parse::<Quantity>().map_or(0, |amount| amount.value());
        let (memory, disk) = (amount(&shape.memory), amount(&shape.disk));
        let capacity = Amounts { memory, disk, pids: shape.pids };
        // What can't be read isn't watched.
        let thresholds = shape.eviction.thresholds().unwrap_or_default();
        let mut levels = Vec::new();
        for threshold in &thresholds {
            for (_, resource) in SIGNALS.iter().filter(|(signal, _)| *signal == threshold.signal) {
                let level = threshold.value.of(&quantity(*resource, capacity.of(*resource)));
                levels.push((*resource, level.value()));
            }
        }
        let transition = Instant::seconds(shape.eviction.transition);
        let max_grace = shape.eviction.max_pod_grace;
        let config =
            Config { thresholds, capacity: by_signal(capacity, capacity), transition, max_grace, image_fs: false };
        Pressure { manager: Manager::new(config, slot.clone()), capacity, levels, busy: false }
    }

    /// The conditions of the node that hold.
    pub fn conditions(&self) -> impl Iterator<Item = &'static str> {
        self.manager.conditions()
    }

    /// Whether a pod that was bound to the node is let in.
    pub fn admit(&mut self, pod: &Pod) -> Result<(), String> {
        self.manager.admit(pod, qos::class_of(pod))
    }

    /// What the node has.
    pub fn capacity(&self) -> Amounts {
        self.capacity
    }

    /// Whether there is nothing to do while the pods use so much.
    fn is_quiet(&self, used: Amounts) -> bool {
        let short = |(resource, level): &(Resource, i64)| self.capacity.of(*resource) - used.of(*resource) < *level;
        !self.busy && !self.levels.iter().any(short)
    }

    fn figures(capacity: Amounts, used: Amounts, measured: Instant) -> Figures {
        let left = |of: Resource| (capacity.of(of) - used.of(of)).max(0);
        let left = Amounts { memory: left(Resource::Memory), disk: left(Resource::Disk), pids: left(Resource::Pids) };
        Figures { available: by_signal(capacity, left), measured }
    }
}

/// Amounts by the signals that watch them, of what the node has.
fn by_signal(capacity: Amounts, amounts: Amounts) -> BTreeMap<String, Quantity> {
    let watched = SIGNALS.iter().filter(|(_, resource)| capacity.of(*resource) > 0);
    watched.map(|(signal, resource)| (signal.to_string(), quantity(*resource, amounts.of(*resource)))).collect()
}

/// The signal that stands for what is short.
fn signal(resource: &str) -> &'static str {
    match resource {
        "memory" => "memory.available",
        "pids" => "pid.available",
        "inodes" => "nodefs.inodesFree",
        _ => "nodefs.available",
    }
}

fn quantity(of: Resource, amount: i64) -> Quantity {
    Quantity::new(amount, if of == Resource::Pids { Format::DecimalSI } else { Format::BinarySI })
}

/// What a manager sees of its node.
struct Seen<'a> {
    pods: BTreeMap<String, PodFigures>,
    capacity: Amounts,
    used: Amounts,
    images: &'a mut Images,
    needed: BTreeSet<&'a str>,
    now: Instant,
}

impl Node for Seen<'_> {
    fn usage(&self, pod: &Pod) -> Option<PodFigures> {
        self.pods.get(pod.metadata.uid.as_deref()?).cloned()
    }

    fn collect_garbage(&mut self) -> Figures {
        self.used.disk -= self.images.keep(&self.needed);
        Pressure::figures(self.capacity, self.used, self.now)
    }
}

impl Kubelet {
    /// What pods and images use.
    pub(super) fn used(&self, now: Instant) -> Amounts {
        let images = Amounts { disk: self.images.size(), ..Amounts::default() };
        let running = self.pods.values().flat_map(|running| running.worker.usage_now(now));
        running.fold(images, |sum, (_, amounts)| sum.and(amounts))
    }

    /// Looks at what is left; nothing if that is enough.
    fn look(&mut self, world: &World<'_>) -> Option<Outcome> {
        let (now, used) = (world.now, self.used(world.now));
        // A pod that is evicted is waited for before the next look (`killPodNow`, `waitForPodsCleanup`).
        let leaves = |running: &Running| running.failing.as_ref().is_some_and(|failing| failing.reason == EVICTED);
        if self.pressure.is_quiet(used) || self.pods.values().any(|pod| leaves(pod) && !pod.worker.is_over()) {
            return None;
        }
        let mut pods = Vec::new();
        let mut figures = BTreeMap::new();
        for (uid, running) in self.pods.iter().filter(|(_, running)| running.failing.is_none()) {
            let Some(pod) = world.server.get(&running.key).ok().and_then(|stored| stored.get::<Pod>()) else {
                continue;
            };
            let all: Vec<(&str, Amounts)> = running.worker.usage_now(now).collect();
            let sum = all.iter().fold(Amounts::default(), |sum, (_, amounts)| sum.and(*amounts));
            let usage = Usage { memory: sum.memory, ephemeral_storage: sum.disk, inodes: 0, pids: sum.pids };
            let containers = all.iter().map(|(name, of)| (name.to_string(), Some(of.memory), Some(of.disk)));
            figures.insert(uid.clone(), PodFigures { usage, containers: containers.collect() });
            pods.push(pod.clone());
        }
        let needed = self.pods.values().flat_map(|running| running.worker.all_images()).collect();
        let capacity = self.pressure.capacity;
        let seen = Pressure::figures(capacity, used, now);
        let mut node = Seen { pods: figures, capacity, used, images: &mut self.images, needed, now };
        let before: BTreeSet<&'static str> = self.pressure.manager.conditions().collect();
        let outcome = self.pressure.manager.look(now, &seen, &pods, &mut node);
        self.pressure.busy = !outcome.conditions.is_empty() || outcome.reclaims.is_some();
        if before != outcome.conditions {
            // The node's status says it with the next heartbeat.
            self.reported = None;
        }
        Some(outcome)
    }
}

impl Kubelets {
    /// Lets the eviction managers look.
    pub(super) fn relieve(&mut self, world: &mut World<'_>) {
        let mut outcomes = Vec::new();
        for (name, kubelet) in self.nodes.iter_mut().filter(|(_, kubelet)| kubelet.up) {
            outcomes.extend(kubelet.look(world).map(|outcome| (name.clone(), outcome)));
        }
        for (name, outcome) in outcomes {
            if let Some(resource) = outcome.reclaims
                && let Ok(stored) = world.server.get(&Key::new(Kind::Node, "", &name)).cloned()
            {
                let message = format!("Attempting to reclaim {resource}");
                world.server.record(&stored.object, "Warning", "EvictionThresholdMet", &message);
            }
            let Some(evicted) = outcome.evicted else { continue };
            if let (Some(kubelet), Some(resource)) = (self.nodes.get_mut(&name), outcome.reclaims) {
                *kubelet.counts.evictions.entry(signal(resource)).or_default() += 1;
            }
            let key = self.nodes.get(&name).and_then(|kubelet| Some(kubelet.pods.get(&evicted.pod)?.key.clone()));
            if let Some(stored) = key.and_then(|key| world.server.get(&key).ok().cloned()) {
                world.server.record(&stored.object, "Warning", EVICTED, &evicted.message);
            }
            let failing = Failing { reason: EVICTED, message: evicted.message.clone(), disruption: evicted.message };
            self.fail(&name, &evicted.pod, failing, termination::time(evicted.grace), world);
        }
    }
}

#[cfg(test)]
mod tests;
