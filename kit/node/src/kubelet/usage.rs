//! What nodes, pods and containers use, for the autoscaler and for `metrics.k8s.io`.
//!
//! Sources: `pkg/scraper` and `pkg/storage` of metrics-server (which scrapes each 15 s and leaves out pods with a container
//! that is younger than 10 s).

use super::Kubelets;
use super::pod_worker::PodWorker;
use kit_api::core::Pod;
use kit_api::pod;
use kit_apimachinery::object::Key;
use kit_client::component::World;
use kit_time::agenda::Instant;
use std::collections::BTreeMap;

/// How often metrics are taken (`--metric-resolution`).
pub const WINDOW: Instant = Instant::seconds(15);
/// How long a container must have run to be measured (`freshContainerMinMetricsResolution`).
const FRESH: Instant = Instant::seconds(10);

/// Thousandths of a CPU and bytes of memory.
pub type Amounts = (i64, i64);

/// What was measured last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Measured {
    /// When.
    pub at: Instant,
    /// Nodes by name; one that doesn't answer is left out.
    pub nodes: BTreeMap<String, Amounts>,
    /// The containers of each pod.
    pub pods: BTreeMap<Key, Vec<(String, Amounts)>>,
}

impl Kubelets {
    /// What was measured last.
    pub fn measured(&self, world: &World<'_>) -> Measured {
        let at = Instant { nanos: world.now.nanos / WINDOW.nanos * WINDOW.nanos };
        let mut measured = Measured { at, ..Measured::default() };
        if at < WINDOW {
            return measured;
        }
        let used = self.used(world);
        for (name, kubelet) in self.nodes.iter().filter(|(_, kubelet)| kubelet.up && kubelet.connected) {
            let sum = measured.nodes.entry(name.clone()).or_default();
            for running in kubelet.pods.values() {
                let all = running.worker.usage_of_containers();
                let used = used.get(&running.key).cloned().unwrap_or_default();
                *sum = used.iter().fold(*sum, |sum, (_, (cpu, memory))| (sum.0 + cpu, sum.1 + memory));
                if all.is_empty() || all.iter().any(|(_, since, _)| *since + FRESH > at) {
                    continue;
                }
                measured.pods.insert(running.key.clone(), used);
            }
        }
        measured
    }

    /// Writes down what each pod uses.
    pub(super) fn measure(&mut self, world: &World<'_>) {
        self.spread(world);
        let usage = self.used(world);
        *self.usage.borrow_mut() = usage;
    }

    /// Splits the load of each Deployment among its ready pods.
    fn spread(&mut self, world: &World<'_>) {
        if self.loads.is_empty() {
            return;
        }
        let mut sharing: BTreeMap<String, Vec<&mut PodWorker>> = BTreeMap::new();
        for kubelet in self.nodes.values_mut().filter(|kubelet| kubelet.up && kubelet.connected) {
            for running in kubelet.pods.values_mut() {
                running.worker.take_load(0);
                let pod = world.cache.fetch::<Pod>(&running.key.namespace, &running.key.name);
                if let Some(pod) = pod.filter(|pod| pod::is_ready(pod) && !pod::is_terminating(pod)) {
                    sharing.entry(workload(&running.key, pod)).or_default().push(&mut running.worker);
                }
            }
        }
        for (workload, milli_cpu) in &self.loads {
            let Some(workers) = sharing.get_mut(workload) else { continue };
            let each = milli_cpu / i64::try_from(workers.len()).unwrap_or(i64::MAX);
            workers.iter_mut().for_each(|worker| worker.take_load(each));
        }
    }

    /// CPU and memory of the containers of each pod. None gets more than its limit.
    fn used(&self, world: &World<'_>) -> BTreeMap<Key, Vec<(String, Amounts)>> {
        let mut usage: BTreeMap<Key, Vec<(String, Amounts)>> = BTreeMap::new();
        for kubelet in self.nodes.values().filter(|kubelet| kubelet.up && kubelet.connected) {
            for running in kubelet.pods.values() {
                if world.cache.fetch::<Pod>(&running.key.namespace, &running.key.name).is_none() {
                    continue;
                }
                let all = running.worker.usage_of_containers().into_iter();
                usage.insert(running.key.clone(), all.map(|(name, _, amounts)| (name, amounts)).collect());
            }
        }
        usage
    }
}

/// `namespace/name` of the Deployment that a pod belongs to: its ReplicaSet's name without the template's hash.
fn workload(key: &Key, pod: &Pod) -> String {
    format!("{}/{}", key.namespace, kit_client::metrics::workload(&pod.metadata).1)
}
