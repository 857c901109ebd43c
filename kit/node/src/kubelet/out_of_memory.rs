//! A node whose containers use more memory than it has, before its kubelet has looked: the kernel doesn't wait for that.
//!
//! Modules of `node/qos` and `node/limits` say who is worth what, and who is killed. What a container uses counts as one process.
//! Sources: `mm/oom_kill.c` of Linux; `pkg/kubelet/oom/oom_watcher_linux.go` for the event, which only names a victim that no cgroup's
//! limit has cost its life; containerd's shim, which reads `oom_kill` of the container's `memory.events`, and that counts both.

use super::image::called;
use super::pressure::Amounts;
use super::{Kubelet, Kubelets};
use kit_api::core::{Container, Pod};
use kit_apimachinery::object::{Key, Kind};
use kit_client::component::World;
use kit_contract::Slot;
use kit_contract::node::limits::{Node, RunningContainer, RunningPod};
use kit_contract::node::{Limits, Qos};
use kit_time::agenda::Instant;
use kit_time::random::{Purpose, Random};

/// Long after everything that fills has filled.
const FULL: Instant = Instant::seconds(1_000_000_000);
/// How exactly it is known when memory is used up.
const TICK: i64 = 1_000_000;
const MIB: i64 = 1 << 20;

/// Whom the kernel's answers come from.
pub(super) struct Judges {
    qos: Slot<dyn Qos>,
    limits: Slot<dyn Limits>,
}

impl Judges {
    pub(super) fn new(qos: &Slot<dyn Qos>, limits: &Slot<dyn Limits>) -> Judges {
        Judges { qos: qos.clone(), limits: limits.clone() }
    }
}

impl Kubelet {
    fn memory_at(&self, at: Instant) -> i64 {
        let running = self.pods.values().flat_map(|running| running.worker.usage_now(at));
        running.fold(0, |sum, (_, Amounts { memory, .. })| sum.saturating_add(memory))
    }

    /// When its containers will use more memory than it has, if they go on as they are.
    fn runs_out(&self, now: Instant) -> Option<Instant> {
        let capacity = self.pressure.capacity().memory;
        let too_much = |ticks: i64| self.memory_at(now + Instant { nanos: ticks * TICK }) > capacity;
        let (mut before, mut after) = (-1, FULL.nanos / TICK);
        if capacity <= 0 || !too_much(after) {
            return None;
        }
        while before + 1 < after {
            let middle = before + (after - before) / 2;
            *(if too_much(middle) { &mut after } else { &mut before }) = middle;
        }
        Some(now + Instant { nanos: after * TICK })
    }
}

impl Kubelets {
    /// Containers of a node have begun or ended.
    pub(super) fn watch_memory(&mut self, node: &str, now: Instant) {
        let at = self.nodes.get(node).filter(|kubelet| kubelet.up).and_then(|kubelet| kubelet.runs_out(now));
        match at {
            Some(at) => _ = self.starving.insert(node.into(), at),
            None => _ = self.starving.remove(node),
        }
    }

    /// Lets the kernels of nodes kill that are out of memory.
    pub(super) fn kill_for_memory(&mut self, world: &mut World<'_>) {
        let due = self.starving.iter().filter(|(_, at)| **at <= world.now).map(|(node, _)| node.clone());
        for node in due.collect::<Vec<_>>() {
            self.starving.remove(&node);
            // Each round ends a container.
            while let Some((uid, container)) = self.victim(&node, world) {
                let Some(running) = self.nodes.get_mut(&node).and_then(|kubelet| kubelet.pods.get_mut(&uid)) else {
                    break;
                };
                if !running.worker.kill_container(&container, world.now, world.time()) {
                    break;
                }
                self.nodes.entry(node.clone()).and_modify(|kubelet| kubelet.counts.system_ooms += 1);
                self.post(&node, &uid, world);
                self.go_on(&node, &uid, world);
            }
            self.watch_memory(&node, world.now);
            // If nobody may be killed, it is not asked again at the same moment.
            self.starving.entry(node).and_modify(|at| *at = (*at).max(world.now + Instant::seconds(1)));
        }
    }

    /// The container that is killed, by its pod's uid and its name, if the node is out of memory.
    fn victim(&self, node: &str, world: &mut World<'_>) -> Option<(String, String)> {
        let kubelet = self.nodes.get(node).filter(|kubelet| kubelet.up)?;
        let capacity = kubelet.pressure.capacity().memory;
        if kubelet.memory_at(world.now) <= capacity {
            return None;
        }
        let qos = self.judges.qos.make(&());
        let nobody = Pod::default();
        let mut pods = Vec::new();
        for (uid, running) in &kubelet.pods {
            let (stored, name) =
                (world.cache.fetch::<Pod>(&running.key.namespace, &running.key.name), &running.key.name);
            let pod = stored.or(running.manifest.as_deref()).unwrap_or(&nobody);
            let container = |(container, amounts): (&str, Amounts)| RunningContainer {
                name: format!("{uid}/{container}"),
                memory_max: None,
                oom_score_adj: if named(pod, container).is_some() {
                    qos.oom_score_adj(pod, container, capacity)
                } else {
                    1000
                },
                processes: vec![(amounts.memory + MIB - 1) / MIB],
            };
            let containers: Vec<_> = running.worker.usage_now(world.now).map(container).collect();
            if !containers.is_empty() {
                pods.push((name, RunningPod { memory_max: None, containers }));
            }
        }
        // Of several with as many points the kernel finds the first; nobody says which that is.
        pods.sort_by_key(|(name, _)| *name);
        let pods = pods.into_iter().map(|(_, pod)| pod).collect();
        let asked = Node { memory: capacity / MIB, single_process_oom_kill: false, pods };
        let kill = self.judges.limits.make(&()).out_of_memory(&asked)?;
        kill.ended?;
        let (uid, container) = kill.container.split_once('/')?;
        let key = &kubelet.pods.get(uid)?.key;
        let pod = world.cache.fetch::<Pod>(&key.namespace, &key.name);
        let process = pod.and_then(|pod| named(pod, container)).map(process).unwrap_or_default();
        let purpose =
            Purpose { component: "kernel", object: uid, reason: container, attempt: world.now.nanos.unsigned_abs() };
        let pid = 2_000 + Random::new(0).below(30_000, purpose);
        let said = format!("System OOM encountered, victim process: {process}, pid: {pid}");
        if kubelet.connected
            && let Ok(stored) = world.server.get(&Key::new(Kind::Node, "", node)).cloned()
        {
            world.server.record(&stored.object, "Warning", "SystemOOM", &said);
        }
        Some((uid.to_string(), container.to_string()))
    }
}

fn named<'a>(pod: &'a Pod, name: &str) -> Option<&'a Container> {
    let spec = pod.spec.as_ref()?;
    spec.containers.iter().chain(spec.init_containers.iter().flatten()).find(|container| container.name == name)
}

/// What the kernel calls the first process of a container.
fn process(container: &Container) -> String {
    let word = container.command.iter().flatten().next().map(String::as_str);
    let name = word.map_or_else(|| called(container.image.as_deref().unwrap_or_default()), called);
    name.chars().take(15).collect()
}

#[cfg(test)]
mod tests;
