//! What a kubelet counts, and what its containers have used so far: all that its `/metrics` endpoints tell.
//!
//! Only what happens is counted when it happens; the rest is computed for whoever asks. Sources: `pkg/kubelet/metrics/metrics.go`,
//! and of throttling the model of [`throttling`](crate::cgroup::throttling).

use super::pod_worker::figures::{Container, Found};
use super::pressure::Amounts;
use super::{Kubelet, Kubelets, Running};
use crate::cgroup::throttling::{Demand, Limit, run};
use crate::cgroup::{PERIOD, quota, shares};
use kit_api::Quantity;
use kit_api::core::{Container as Spec, Pod};
use kit_api::qos::{self, QosClass};
use kit_apimachinery::object::Key;
use kit_client::component::World;
use kit_client::metrics::Histogram;
use kit_time::agenda::Instant;
use std::collections::{BTreeMap, BTreeSet};

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
            rejections: BTreeMap::new(),
            starts: new(),
            sli: new(),
            total: new(),
        }
    }
}

/// What a container did under load, beside what its image does.
#[derive(Debug, Clone, Default)]
pub(super) struct Worked {
    container: String,
    /// When the run began that this is about.
    since: Instant,
    /// Until when it is counted.
    at: Instant,
    /// What it gets of the load, in thousandths of a CPU, and what it wants.
    gets: i64,
    wants: i64,
    seconds: f64,
    throttled: Throttled,
}

/// What a quota did (`container_cpu_cfs_*`).
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Throttled {
    /// Periods with something to do.
    pub periods: f64,
    /// Those of them in which it had to stop.
    pub throttled_periods: f64,
    /// For how many seconds.
    pub seconds: f64,
}

impl Throttled {
    fn and(self, other: Throttled) -> Throttled {
        Throttled {
            periods: self.periods + other.periods,
            throttled_periods: self.throttled_periods + other.throttled_periods,
            seconds: self.seconds + other.seconds,
        }
    }

    /// With whole periods, as the kernel counts them.
    fn whole(self) -> Throttled {
        let whole = |periods: f64| (periods + 1e-6).floor();
        let (periods, throttled_periods) = (whole(self.periods), whole(self.throttled_periods));
        Throttled { periods, throttled_periods, ..self }
    }

    /// Of somebody who wants so many thousandths of a CPU all the time.
    fn steady(wants: i64, limit: i64, seconds: f64) -> Throttled {
        let periods = seconds * 1e6 / PERIOD as f64;
        let stops = f64::from(u8::from(wants > limit));
        let part = 1.0 - limit as f64 / wants.max(1) as f64;
        Throttled { periods, throttled_periods: stops * periods, seconds: stops * part * seconds }
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
            let containers = running.worker.containers(world.now).into_iter();
            let read = |container| self.of_container(uid, container, pod, milli_cpu, world.now);
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

    fn of_container(
        &self,
        uid: &str,
        container: Container,
        pod: Option<&Pod>,
        cpus: i64,
        now: Instant,
    ) -> ContainerReading {
        let spec = pod.and_then(|pod| spec_of(pod, &container.name));
        let amount = |of: &dyn Fn(&Spec) -> Option<Quantity>| spec.and_then(of);
        let limit = amount(&|spec| resource(spec, "cpu", false)).map(|limit| limit.milli_value());
        let request = amount(&|spec| resource(spec, "cpu", true)).map_or(0, |request| request.milli_value());
        let seconds = (now - container.since).nanos as f64 / 1e9;
        let wants = container.milli_cpu;
        let (burst, of_bursts) = bursts(&container, limit, cpus, seconds);
        let gets = limit.map_or(wants, |limit| wants.min(limit));
        let mut cpu = gets as f64 / 1000.0 * seconds + burst;
        let worked =
            self.worked.get(uid).filter(|worked| worked.container == container.name && worked.since == container.since);
        let steady = limit.map(|limit| match (container.bursts, worked) {
            (Some(_), _) | (None, Some(_)) => Throttled::default(),
            (None, None) => Throttled::steady(wants, limit, seconds),
        });
        let mut throttled = steady.map(|steady| steady.and(of_bursts));
        if let Some(worked) = worked {
            let now = worked.until(now, limit);
            cpu += now.seconds;
            throttled = throttled.map(|throttled| throttled.and(now.throttled));
        }
        ContainerReading {
            cpu,
            throttled: throttled.map(Throttled::whole),
            quota: limit.map(|limit| quota(limit, PERIOD)),
            shares: shares(request),
            memory_limit: amount(&|spec| resource(spec, "memory", false)).map(|limit| limit.value()),
            container,
        }
    }

    /// Writes down what containers have done under load until now, before their shares of it change to these.
    pub(super) fn settle(&mut self, shares: &BTreeMap<String, i64>, world: &World<'_>) {
        let Kubelets { nodes, worked, pods, .. } = self;
        worked.retain(|uid, _| pods.contains_key(uid));
        let all: BTreeSet<String> = worked.keys().chain(shares.keys()).cloned().collect();
        for uid in all {
            let running = pods.get(&uid).and_then(|node| nodes.get(node)?.pods.get(&uid));
            let Some((running, first)) =
                running.and_then(|running| Some((running, running.worker.containers(world.now).into_iter().next()?)))
            else {
                continue;
            };
            let limit = limit_of(running, &first.name, world);
            let most = |wants: i64| limit.map_or(wants, |limit| wants.min(limit));
            let known = worked.get(&uid).filter(|known| known.container == first.name && known.since == first.since);
            let known = match known {
                Some(known) => known.until(world.now, limit),
                None => {
                    let seconds = (world.now - first.since).nanos as f64 / 1e9;
                    let steady = limit.filter(|_| first.bursts.is_none());
                    let throttled = steady.map(|limit| Throttled::steady(first.milli_cpu, limit, seconds));
                    let throttled = throttled.unwrap_or_default();
                    let container = first.name.clone();
                    Worked { container, since: first.since, at: world.now, throttled, ..Worked::default() }
                }
            };
            let wants = first.milli_cpu + shares.get(&uid).copied().unwrap_or_default();
            let gets = most(wants) - most(first.milli_cpu);
            worked.insert(uid, Worked { wants, gets, ..known });
        }
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

impl Worked {
    fn until(&self, now: Instant, limit: Option<i64>) -> Worked {
        let seconds = (now - self.at).nanos as f64 / 1e9;
        let throttled = limit.map_or(Throttled::default(), |limit| Throttled::steady(self.wants, limit, seconds));
        Worked {
            at: now,
            seconds: self.seconds + self.gets as f64 / 1000.0 * seconds,
            throttled: self.throttled.and(throttled),
            ..self.clone()
        }
    }
}

/// The CPU time of all bursts so far, and what a quota did to them.
fn bursts(container: &Container, limit: Option<i64>, cpus: i64, seconds: f64) -> (f64, Throttled) {
    let Some(bursts) = container.bursts else { return (0.0, Throttled::default()) };
    let every = bursts.every.max(0.001);
    let (count, each) = ((seconds / every).floor(), bursts.threads as f64 * bursts.cpu);
    let Some(limit) = limit else { return (count * each, Throttled::default()) };
    let wants = (each / every * 1000.0) as i64;
    if wants >= limit {
        // It is never done with one before the next.
        return (limit as f64 / 1000.0 * seconds, Throttled::steady(wants, limit, seconds));
    }
    let quota = Limit {
        period: PERIOD as f64 / 1000.0,
        quota: quota(limit, PERIOD) as f64 / 1000.0,
        cpus: usize::try_from(cpus / 1000).unwrap_or(1).max(1),
    };
    let demand = Demand { at: 0.0, cpu: bursts.cpu * 1000.0 };
    // Nobody has more threads at work than this, and each costs time here.
    let outcome = run(&quota, &vec![demand; bursts.threads.min(1000)]);
    let throttled = Throttled {
        periods: count * outcome.periods as f64,
        throttled_periods: count * outcome.throttled_periods as f64,
        seconds: count * outcome.throttled / 1000.0,
    };
    (count * each, throttled)
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

fn limit_of(running: &Running, container: &str, world: &World<'_>) -> Option<i64> {
    let pod = world.cache.fetch::<Pod>(&running.key.namespace, &running.key.name)?;
    Some(resource(spec_of(pod, container)?, "cpu", false)?.milli_value())
}
