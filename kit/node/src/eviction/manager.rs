//! The eviction manager: what one look at a node's figures leads to, and what is remembered until the next.
//!
//! Source: `synchronize` of `pkg/kubelet/eviction/eviction_manager.go`, `pkg/kubelet/eviction/helpers.go`. Limits of
//! single pods ([`disk_limit`](super::disk_limit)) are another matter.

use kit_api::Quantity;
use kit_api::core::Pod;
use kit_api::eviction::{Observation, Pressure, Threshold, Usage, met, rank};
use kit_api::pod_resources::Side;
use kit_api::qos;
use kit_api::quantity::Format;
use kit_time::agenda::Instant;
use std::collections::{BTreeMap, BTreeSet};

/// The grace period of a pod where a hard threshold is met, in seconds (`immediateEvictionGracePeriodSeconds`).
const AT_ONCE: i64 = 1;

/// How a kubelet is set up.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// Its thresholds.
    pub thresholds: Vec<Threshold>,
    /// For how long a condition stays after it was last seen (`evictionPressureTransitionPeriod`).
    pub transition: Instant,
    /// The longest grace period of a pod where a soft threshold is met, in seconds (`evictionMaxPodGracePeriod`).
    pub max_grace: i64,
    /// Whether images have a file system of their own.
    pub image_fs: bool,
}

/// What is known of a node at some moment.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    /// What is left, by signal.
    pub observations: BTreeMap<String, Observation>,
    /// When that was measured.
    pub measured: Instant,
}

/// What a pod uses.
#[derive(Debug, Clone, Default)]
pub struct PodFigures {
    /// In all.
    pub usage: Usage,
    /// Its files.
    pub inodes: i64,
    /// Of each container that is known: its name, bytes of memory, and bytes on disk.
    pub containers: Vec<(String, Option<i64>, Option<i64>)>,
}

/// What is asked while the manager looks.
pub trait Node {
    /// What a pod uses; nothing if nobody knows.
    fn usage(&self, pod: &Pod) -> Option<PodFigures>;
    /// Removes containers that have ended and images that nobody uses, and measures anew.
    fn collect_garbage(&mut self) -> Figures;
}

/// What comes of a look.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The conditions of the node that hold.
    pub conditions: BTreeSet<&'static str>,
    /// What it tries to win back, for the event `EvictionThresholdMet`.
    pub reclaims: Option<&'static str>,
    /// Whom it evicts.
    pub evicted: Option<Evicted>,
}

/// A pod that has to go; its status gets the reason `Evicted`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evicted {
    /// Its uid, or where it has none its name.
    pub pod: String,
    /// Seconds.
    pub grace: i64,
    /// Of its status.
    pub message: String,
}

/// What is remembered between looks.
#[derive(Debug, Clone, Default)]
pub struct Manager {
    config: Config,
    /// Those whose grace period is over.
    met: Vec<Threshold>,
    first_seen: Vec<(Threshold, Instant)>,
    last_seen: BTreeMap<&'static str, Instant>,
    measured: BTreeMap<String, Instant>,
}

/// The condition of a node that a signal stands for, and what is to be won back.
fn stands_for(signal: &str) -> (&'static str, &'static str) {
    match signal {
        "memory.available" | "allocatableMemory.available" => ("MemoryPressure", "memory"),
        "pid.available" => ("PIDPressure", "pids"),
        signal if signal.ends_with("inodesFree") => ("DiskPressure", "inodes"),
        _ => ("DiskPressure", "ephemeral-storage"),
    }
}

impl Manager {
    /// One that has seen nothing yet.
    pub fn new(config: Config) -> Self {
        Manager { config, ..Manager::default() }
    }

    /// Looks at a node and its active pods. At most one of them is evicted each time.
    pub fn synchronize(&mut self, now: Instant, figures: &Figures, pods: &[Pod], node: &mut dyn Node) -> Outcome {
        if self.config.thresholds.is_empty() {
            return Outcome::default();
        }
        let mut thresholds: Vec<Threshold> =
            met(&self.config.thresholds, &figures.observations, false).into_iter().cloned().collect();
        // What began an eviction has to be left behind by as much as is to be won back.
        for threshold in met(&self.met, &figures.observations, true) {
            if !thresholds.contains(threshold) {
                thresholds.push(threshold.clone());
            }
        }
        let before = std::mem::take(&mut self.first_seen);
        for threshold in &thresholds {
            let since = before.iter().find(|(one, _)| one == threshold).map_or(now, |(_, since)| *since);
            self.first_seen.push((threshold.clone(), since));
            self.last_seen.insert(stands_for(&threshold.signal).0, now);
        }
        let transition = self.config.transition;
        let holds = |(name, seen): (&&'static str, &Instant)| (now - *seen < transition).then_some(*name);
        let mut outcome =
            Outcome { conditions: self.last_seen.iter().filter_map(holds).collect(), ..Outcome::default() };
        let over = |(threshold, since): &&(Threshold, Instant)| now - *since >= threshold.grace_period;
        self.met = self.first_seen.iter().filter(over).map(|(threshold, _)| threshold.clone()).collect();
        let fresh = |threshold: &&Threshold| {
            self.measured.get(&threshold.signal).is_none_or(|measured| *measured < figures.measured)
        };
        let mut thresholds: Vec<Threshold> = self.met.iter().filter(fresh).cloned().collect();
        self.measured = figures.observations.keys().map(|signal| (signal.clone(), figures.measured)).collect();
        // Memory can't wait.
        thresholds.sort_by_key(|threshold| stands_for(&threshold.signal).1 != "memory");
        let Some(first) = thresholds.first() else { return outcome };
        let (_, resource) = stands_for(&first.signal);
        outcome.reclaims = Some(resource);
        if self.has_garbage(&first.signal) {
            let after = node.collect_garbage();
            if met(&self.config.thresholds, &after.observations, true).is_empty() {
                return outcome;
            }
        }
        let pressure = match resource {
            "memory" => Pressure::Memory,
            "pids" => Pressure::Pid,
            _ => Pressure::Disk,
        };
        let known: BTreeMap<&str, PodFigures> =
            pods.iter().filter_map(|pod| Some((id(pod), node.usage(pod)?))).collect();
        let usage = |pod: &Pod| known.get(id(pod));
        let mut ranked: Vec<&Pod> = pods.iter().collect();
        let counted = |figures: &PodFigures| match resource {
            "inodes" => Usage { disk: figures.inodes, ..figures.usage },
            _ => figures.usage,
        };
        rank(&mut ranked, pressure, |pod| usage(pod).map(counted));
        outcome.evicted = ranked.into_iter().find(|pod| !qos::is_critical(pod)).map(|pod| {
            let own = pod.spec.as_ref().and_then(|spec| spec.termination_grace_period_seconds);
            let hard = first.grace_period == Instant::default();
            let soft = own.map_or(self.config.max_grace, |own| own.min(self.config.max_grace));
            let message = message(resource, pod, usage(pod), &thresholds, &figures.observations);
            Evicted { pod: id(pod).into(), grace: if hard { AT_ONCE } else { soft }, message }
        });
        outcome
    }

    /// Whether containers and images that nobody needs take up what is short (`buildSignalToNodeReclaimFuncs`).
    fn has_garbage(&self, signal: &str) -> bool {
        match signal.split('.').next() {
            Some("imagefs") => true,
            Some("nodefs" | "containerfs") => !self.config.image_fs,
            _ => false,
        }
    }
}

fn id(pod: &Pod) -> &str {
    pod.metadata.uid.as_deref().or(pod.metadata.name.as_deref()).unwrap_or_default()
}

/// Why a pod has to go, and which of its containers use more than they asked for (`evictionMessage`).
fn message(
    resource: &str,
    pod: &Pod,
    figures: Option<&PodFigures>,
    thresholds: &[Threshold],
    observations: &BTreeMap<String, Observation>,
) -> String {
    let mut message = format!("The node was low on resource: {resource}. ");
    let mut of = thresholds.iter().filter(|threshold| stands_for(&threshold.signal).1 == resource);
    if let Some((threshold, seen)) = of.find_map(|of| Some((of, observations.get(&of.signal)?))) {
        let level = threshold.value.of(&seen.capacity);
        message += &format!("Threshold quantity: {level}, available: {}. ", seen.available);
    }
    for (name, memory, disk) in figures.iter().flat_map(|figures| &figures.containers) {
        let used = match resource {
            "memory" => *memory,
            "ephemeral-storage" => *disk,
            _ => None,
        };
        let containers =
            pod.spec.iter().flat_map(|spec| spec.containers.iter().chain(spec.init_containers.iter().flatten()));
        let Some((used, container)) = used.zip(containers.into_iter().find(|container| container.name == *name)) else {
            continue;
        };
        let used = Quantity::new(used, Format::BinarySI);
        let asked = Side::Requests.of(container).get(resource).cloned();
        let asked = asked.unwrap_or_else(|| Quantity::new(0, Format::DecimalSI));
        if used > asked {
            message += &format!(
                "Container {name} was using {used}, request is {asked}, has larger consumption of {resource}. "
            );
        }
    }
    message
}
