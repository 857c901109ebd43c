//! A day on this kit's own cluster: a Deployment with an HPA on its CPU, and nodes that come and go.

use crate::load::{Load, Micros, SECOND};
use crate::measure::Latencies;
use kit_api::core::Pod;
use kit_api::pod;
use kit_apimachinery::object::Kind;
use kit_client::fault::Fault;
use kit_cluster::cluster::{self, Config};
use kit_cluster::engine::{Clock, Engine};
use kit_cluster::timeline;
use kit_contract::Modules;
use kit_contract::design::serverless;
use kit_time::agenda::Instant;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// How long the cluster runs before the day begins.
const WARM_UP: Instant = Instant::seconds(300);
/// How often it is looked at.
const LOOK: i64 = 5;

/// How the cluster and what runs on it are made.
#[derive(Debug, Clone, PartialEq)]
pub struct Shape {
    /// What a pod requests and is limited to, in thousandths of a CPU.
    pub pod_milli_cpu: u32,
    /// The fewest pods, and the most.
    pub pods: (usize, usize),
    /// The share of its request that a pod should use, in percent.
    pub target_percent: u32,
    /// What a node has for pods, in thousandths of a CPU, and in MB.
    pub node: (u32, u32),
    /// The fewest nodes, and the most.
    pub nodes: (usize, usize),
    /// From a pod's node to its readiness: the pull of its image, its start, and until it says that it is ready; in seconds.
    pub starts: [f64; 3],
    /// From the order of a machine to its node, in seconds.
    pub boots: u32,
}

impl Default for Shape {
    /// Nodes as m5.large with Amazon's reservations for the system (`bootstrap.sh` of `awslabs/amazon-eks-ami`): 70m of CPU, and
    /// 574 MiB of memory beside the eviction threshold. Two of them, so that one may fail.
    fn default() -> Self {
        Shape {
            pod_milli_cpu: 900,
            pods: (2, 400),
            target_percent: 60,
            node: (1930, 7000),
            nodes: (2, 200),
            starts: [3.0, 1.0, 6.0],
            boots: 60,
        }
    }
}

/// What there is from a moment on.
#[derive(Debug, Clone, PartialEq)]
pub struct Capacity {
    /// From when on.
    pub at: Micros,
    /// The pods that get requests.
    pub pods: Vec<u32>,
    /// The machines that are paid.
    pub machines: usize,
}

/// How a day went.
#[derive(Debug, Clone, Default)]
pub struct Ran {
    /// What there was, as it changed.
    pub capacity: Vec<Capacity>,
    /// From the creation of each pod to its readiness, where its node was there already.
    pub starts: Latencies,
    /// The same of pods that had to wait for a machine.
    pub starts_with_machine: Latencies,
}

impl Ran {
    /// The machines until the end of a day.
    pub fn spans(&self, end: Micros) -> Vec<serverless::Span> {
        let ends = self.capacity.iter().skip(1).map(|next| next.at).chain([end]);
        let spans = self.capacity.iter().zip(ends).map(|(now, until)| serverless::Span {
            machines: now.machines as u32,
            seconds: until.saturating_sub(now.at) / SECOND,
        });
        spans.collect()
    }

    /// The fewest machines that there were, and the most.
    pub fn machines(&self) -> (usize, usize) {
        let all = || self.capacity.iter().map(|now| now.machines);
        (all().min().unwrap_or(0), all().max().unwrap_or(0))
    }

    /// The most pods that there were.
    pub fn pods(&self) -> usize {
        self.capacity.iter().map(|now| now.pods.len()).max().unwrap_or(0)
    }
}

impl Shape {
    fn config(&self, seed: u64) -> Result<Config, String> {
        let [pull, start, ready] = self.starts;
        let config = json!({
            "nodes": 0,
            "seed": seed,
            "images": {"web:1": {"pull": pull, "start": start, "ready": ready, "milli_cpu": 0}},
            "add_ons": ["cluster_autoscaler"],
            "node_groups": [{
                "name": "pool",
                "min": self.nodes.0,
                "max": self.nodes.1,
                "boot_seconds": self.boots,
                "machine": {"cpu": format!("{}m", self.node.0), "memory": format!("{}Mi", self.node.1)},
            }],
        });
        serde_json::from_value(config).map_err(|error| error.to_string())
    }

    fn objects(&self, load: &Load) -> [Value; 2] {
        let cpu = format!("{}m", self.pod_milli_cpu);
        let amounts = json!({"cpu": cpu, "memory": format!("{}Mi", load.memory_mb)});
        let container = json!({"name": "web", "image": "web:1", "resources": {"requests": amounts, "limits": amounts}});
        let deployment = json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "web"},
            "spec": {
                "replicas": self.pods.0,
                "selector": {"matchLabels": {"app": "web"}},
                "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container]}},
            },
        });
        let target = json!({"type": "Utilization", "averageUtilization": self.target_percent});
        let autoscaler = json!({
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "web"},
            "spec": {
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
                "minReplicas": self.pods.0,
                "maxReplicas": self.pods.1,
                "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
            },
        });
        [deployment, autoscaler]
    }

    /// As a module is asked about it.
    pub fn asked(&self, load: &Load) -> serverless::Shape {
        serverless::Shape {
            request_us: (load.cpu_ms * 1000.0).round() as u64,
            pod_milli_cpu: self.pod_milli_cpu.max(1),
            pod_mb: load.memory_mb.max(1),
            target_percent: self.target_percent.clamp(1, 100),
            least_pods: self.pods.0 as u32,
            machine_milli_cpu: self.node.0,
            machine_mb: self.node.1,
            least_machines: self.nodes.0 as u32,
        }
    }

    /// How many pods a node has room for.
    pub fn pods_of_node(&self, load: &Load) -> usize {
        let by_memory = self.node.1 / load.memory_mb.max(1);
        (self.node.0 / self.pod_milli_cpu.max(1)).min(by_memory) as usize
    }

    /// Plays a day.
    ///
    /// # Errors
    ///
    /// If a pod is larger than a node, or the cluster can't be made.
    pub fn run(&self, load: &Load, modules: &Modules, seed: u64) -> Result<Ran, String> {
        if self.pods_of_node(load) == 0 {
            return Err(format!("a pod with {} MB does not fit on a node with {} MB", load.memory_mb, self.node.1));
        }
        let mut engine = cluster::start(&self.config(seed)?, modules, Clock::default());
        let lost = |_| "a module of the cluster was lost".to_string();
        engine.run_until(Instant::seconds(1)).map_err(lost)?;
        for object in self.objects(load) {
            timeline::apply(&mut engine, &object).map_err(|error| error.message)?;
        }
        let mut watch = Watch::default();
        for minute in 0..=load.rates.len() {
            let begin = WARM_UP + Instant::seconds(60 * (minute as i64 - 1));
            let Some(rate) = load.rates.get(minute.saturating_sub(1)) else { break };
            give(&mut engine, rate * load.cpu_ms)?;
            for step in 1..=60 / LOOK {
                let until = begin + Instant::seconds(step * LOOK);
                engine.run_until(until).map_err(lost)?;
                watch.look(&engine, until);
            }
        }
        Ok(watch.ran)
    }
}

/// Gives the pods so many thousandths of a CPU to do.
fn give(engine: &mut Engine, milli_cpu: f64) -> Result<(), String> {
    engine.fault(&Fault::Load { workload: "default/web".into(), milli_cpu: milli_cpu as i64 })
}

/// Writes down what changes.
#[derive(Default)]
struct Watch {
    ran: Ran,
    numbers: BTreeMap<String, u32>,
    /// The machines at the last look, since when there were no more than before.
    grew: Option<Micros>,
}

impl Watch {
    fn look(&mut self, engine: &Engine, at: Instant) {
        // The warm-up is before midnight, and only its end counts.
        let at = ((at - WARM_UP).nanos / 1000).max(0) as Micros;
        let shows = engine.shows();
        let machines = shows.iter().find(|(subject, _)| subject == "group/pool");
        let machines = machines.and_then(|(_, said)| said.split(' ').next()?.parse().ok()).unwrap_or(0);
        let last = self.ran.capacity.last();
        if last.is_some_and(|last| last.machines < machines) {
            self.grew = Some(at);
        }
        let mut pods = Vec::new();
        for stored in engine.server().snapshot().list(Kind::Pod) {
            let Some(api) = stored.get::<Pod>().filter(|api| pod::is_ready(api) && !pod::is_terminating(api)) else {
                continue;
            };
            let next = self.numbers.len() as u32;
            let name = stored.key.name.to_string();
            let number = *self.numbers.entry(name).or_insert_with(|| {
                // A pod that was made while a machine was to come may have waited for it.
                let (made, ready) = (api.metadata.creation_timestamp.as_ref(), pod::ready_since(api));
                let took = made.zip(ready).map(|(made, ready)| ready.duration_since(made.0).as_secs_f64() * 1e6);
                let waited = self.grew.is_some() && took.is_some_and(|took| took > 30e6);
                let starts = if waited { &mut self.ran.starts_with_machine } else { &mut self.ran.starts };
                took.filter(|_| at > 0).into_iter().for_each(|took| starts.add(took));
                next
            });
            pods.push(number);
        }
        pods.sort_unstable();
        let now = Capacity { at, pods, machines };
        match self.ran.capacity.last_mut() {
            Some(last) if last.at == at => *last = now,
            Some(last) if last.pods == now.pods && last.machines == now.machines => {}
            _ => self.ran.capacity.push(now),
        }
    }
}

/// The end of a day of so many minutes.
pub fn end(load: &Load) -> Micros {
    load.rates.len() as u64 * 60 * SECOND
}
