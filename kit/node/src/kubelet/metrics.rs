//! What a kubelet counts, and what its containers have used so far: all that its `/metrics` endpoints tell.
//!
//! Only what happens is counted when it happens; the rest is computed for whoever asks. Source: `pkg/kubelet/metrics/metrics.go`.

use super::pod_worker::figures::{Container, Found};
pub use super::pod_worker::work::Throttled;
use super::pressure::Amounts;
use super::{Kubelet, Kubelets};
use crate::cgroup::{PERIOD, quota, shares};
use kit_api::Quantity;
use kit_api::core::{Container as Spec, Pod};
use kit_api::qos::{self, QosClass};
use kit_apimachinery::object::Key;
use kit_client::component::World;
use kit_client::metrics::Histogram;
use kit_time::agenda::Instant;
use std::collections::BTreeMap;

/// How long pods take to start, in seconds (`podStartupDurationBuckets`).
const STARTS: [f64; 25] = [
    0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 20.0, 30.0, 45.0, 60.0, 120.0, 180.0, 240.0, 300.0, 360.0, 480.0,
    600.0, 900.0, 1200.0, 1800.0, 2700.0, 3600.0,
];

/// What has happened on a node since its kubelet began.
#[derive(Debug, Clone, PartialEq)]
pub struct Counts {
    /// Pods.
    pub started_pods: u64,
    /// Containers, by their type.
    pub started_containers: BTreeMap<&'static str, u64>,
    /// Pods that were evicted, by what the node was short of.
    pub evictions: BTreeMap<&'static str, u64>,
    /// Processes that the kernel has killed for their memory, at a limit or for want of any on the node.
    pub oom_kills: i64,
    /// How often the node had no memory left.
    pub system_ooms: u64,
    /// Pods that were not taken, by the reason.
    pub rejections: BTreeMap<String, u64>,
    /// From the first sight of a pod to its running, in seconds.
    pub starts: Histogram,
    /// From its creation to its running; without pulls, and only of pods without init containers.
    pub sli: Histogram,
    /// The same with everything.
    pub total: Histogram,
}

impl Default for Counts {
    fn default() -> Self {
        let new = || Histogram::new(&STARTS);
        Counts {
            started_pods: 0,
            started_containers: BTreeMap::new(),
            evictions: BTreeMap::new(),
            oom_kills: 0,
            system_ooms: 0,
            rejections: BTreeMap::new(),
            starts: new(),
            sli: new(),
            total: new(),
        }
    }
}

/// A container that runs, and what it has used.
#[derive(Debug, Clone, PartialEq)]
pub struct ContainerReading {
    /// What it is.
    pub container: Container,
    /// CPU time in seconds.
    pub cpu: f64,
    /// What its quota did; none if it has none.
    pub throttled: Option<Throttled>,
    /// Its quota in microseconds of each period of 100 ms.
    pub quota: Option<i64>,
    /// Its part where CPU is short.
    pub shares: i64,
    /// The most memory that it may use, in bytes.
    pub memory_limit: Option<i64>,
}

/// A pod on a node.
#[derive(Debug, Clone, PartialEq)]
pub struct PodReading {
    /// Namespace and name.
    pub key: Key,
    /// Its uid.
    pub uid: String,
    /// Where its cgroup is.
    pub class: QosClass,
    /// The containers that run.
    pub containers: Vec<ContainerReading>,
    /// How many containers of it have ended.
    pub stopped: usize,
    /// What its probes have found.
    pub found: Vec<Found>,
}

/// All that is known of a node.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// What has happened.
    pub counts: Counts,
    /// Its pods.
    pub pods: Vec<PodReading>,
    /// How many thousandths of a CPU it has.
    pub milli_cpu: i64,
    /// Bytes of memory and of disk that it has.
    pub capacity: Amounts,
    /// What is used of them.
    pub used: Amounts,
}

impl Kubelets {
    /// What a node tells whoever asks it; nothing if it doesn't answer.
    pub fn reading(&self, node: &str, world: &World<'_>) -> Option<Reading> {
        let kubelet = self.nodes.get(node).filter(|kubelet| kubelet.up && kubelet.connected)?;
        let milli_cpu = kubelet.shape.cpu.parse::<Quantity>().map_or(0, |cpu| cpu.milli_value());
        let pods = kubelet.pods.iter().map(|(uid, running)| {
            let pod = world.cache.fetch::<Pod>(&running.key.namespace, &running.key.name);
            let containers = running.worker.containers(world.now, kubelet.shape.cpus()).into_iter();
            let read = |container| of_container(container, pod);
            PodReading {
                key: running.key.clone(),
                uid: uid.clone(),
                class: pod.map_or(QosClass::BestEffort, qos::class_of),
                containers: containers.map(read).collect(),
                stopped: running.worker.stopped(),
                found: running.worker.found(),
            }
        });
        Some(Reading {
            counts: kubelet.counts.clone(),
            pods: pods.collect(),
            milli_cpu,
            capacity: kubelet.pressure.capacity(),
            used: kubelet.used(world.now),
        })
    }

    /// The nodes whose kubelets answer.
    pub fn nodes(&self) -> impl Iterator<Item = &str> {
        self.nodes.iter().filter(|(_, kubelet)| kubelet.up && kubelet.connected).map(|(name, _)| name.as_str())
    }
}

impl Kubelet {
    /// Counts the containers that were started, which events tell.
    pub(super) fn count(&mut self, uid: &str, events: &[(&'static str, &'static str, String)]) {
        for (_, _, message) in events.iter().filter(|(_, reason, _)| *reason == "Started") {
            let name = message.rsplit(' ').next().unwrap_or_default();
            let is_init = self.pods.get(uid).is_some_and(|running| running.worker.is_init(name));
            let kind = if is_init { "init_container" } else { "container" };
            *self.counts.started_containers.entry(kind).or_default() += 1;
        }
    }

    /// Counts how long a pod took to start, which was made so many seconds ago, once it runs.
    pub(super) fn has_begun(&mut self, uid: &str, age: f64, now: Instant) {
        let Some(running) = self.pods.get_mut(uid).filter(|running| running.worker.has_begun()) else { return };
        let Some(begins) = running.begins.take() else { return };
        self.counts.starts.observe((now - begins).nanos as f64 / 1e9);
        self.counts.total.observe(age);
        if !running.worker.has_inits() {
            self.counts.sli.observe((age - running.worker.pull()).max(0.0));
        }
    }
}

fn of_container(container: Container, pod: Option<&Pod>) -> ContainerReading {
    let spec = pod.and_then(|pod| spec_of(pod, &container.name));
    let amount = |name: &str, request: bool| spec.and_then(|spec| resource(spec, name, request));
    ContainerReading {
        cpu: container.work.cpu,
        throttled: container.limit.map(|_| container.work.throttled.whole()),
        quota: container.limit.map(|limit| quota(limit, PERIOD)),
        shares: shares(amount("cpu", true).map_or(0, |request| request.milli_value())),
        memory_limit: amount("memory", false).map(|limit| limit.value()),
        container,
    }
}

fn spec_of<'a>(pod: &'a Pod, name: &str) -> Option<&'a Spec> {
    let spec = pod.spec.as_ref()?;
    spec.containers.iter().chain(spec.init_containers.iter().flatten()).find(|spec| spec.name == name)
}

fn resource(spec: &Spec, name: &str, request: bool) -> Option<Quantity> {
    let resources = spec.resources.as_ref()?;
    let list = if request { &resources.requests } else { &resources.limits };
    list.as_ref()?.get(name)?.0.parse().ok()
}
