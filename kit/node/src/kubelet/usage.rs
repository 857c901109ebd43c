//! What nodes, pods and containers use, for the autoscaler and for `metrics.k8s.io`.
//!
//! Sources: `pkg/scraper` and `pkg/storage` of metrics-server (which scrapes each 15 s and leaves out pods with a container
//! that is younger than 10 s).

use super::{Kubelets, Running};
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
        let shares = self.shares(world);
        self.spread(&shares, world.now);
        *self.usage.borrow_mut() = self.used(world);
    }

    /// Lets pods do their shares of the load.
    fn spread(&mut self, shares: &BTreeMap<String, i64>, now: Instant) {
        if self.loads.is_empty() {
            return;
        }
        for kubelet in self.nodes.values_mut().filter(|kubelet| kubelet.up && kubelet.connected) {
            for (uid, running) in &mut kubelet.pods {
                running.worker.take_load(shares.get(uid).copied().unwrap_or_default(), now);
            }
        }
    }

    /// CPU and memory of the containers of each pod. None gets more than its limit.
    fn used(&self, world: &World<'_>) -> BTreeMap<Key, Vec<(String, Amounts)>> {
        let known = |running: &&Running| world.cache.fetch::<Pod>(&running.key.namespace, &running.key.name).is_some();
        let of = |running: &Running| {
            let all = running.worker.usage_of_containers().into_iter();
            (running.key.clone(), all.map(|(name, _, amounts)| (name, amounts)).collect())
        };
        self.answering().map(|(_, running)| running).filter(known).map(of).collect()
    }

    /// What each pod is given of the load of its Deployment, in thousandths of a CPU, by its uid: the ready ones share it.
    pub(super) fn shares(&self, world: &World<'_>) -> BTreeMap<String, i64> {
        if self.loads.is_empty() {
            return BTreeMap::new();
        }
        let mut sharing: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (uid, running) in self.answering() {
            let Some(pod) = world.cache.fetch::<Pod>(&running.key.namespace, &running.key.name) else { continue };
            if pod::is_ready(pod) && !pod::is_terminating(pod) {
                sharing.entry(workload(&running.key, pod)).or_default().push(uid.clone());
            }
        }
        let of = |(workload, milli_cpu): (&String, &i64)| {
            let pods = sharing.remove(workload).unwrap_or_default();
            let share = milli_cpu / pods.len().max(1) as i64;
            pods.into_iter().map(move |uid| (uid, share)).collect::<Vec<_>>()
        };
        self.loads.iter().flat_map(of).collect()
    }

    /// The pods of all nodes that answer, by their uids.
    fn answering(&self) -> impl Iterator<Item = (&String, &Running)> {
        let kubelets = self.nodes.values().filter(|kubelet| kubelet.up && kubelet.connected);
        kubelets.flat_map(|kubelet| kubelet.pods.iter())
    }
}

/// `namespace/name` of the Deployment that a pod belongs to: its ReplicaSet's name without the template's hash.
fn workload(key: &Key, pod: &Pod) -> String {
    format!("{}/{}", key.namespace, kit_client::metrics::workload(&pod.metadata).1)
}
