//! How a node goes: a taint, evictions, the end of its machine.
//!
//! Sources: `core/scaledown/actuation/{actuator,drain,delete_in_batch,softtaint}.go`, `utils/taints/taints.go`.

use crate::cloud::Shared;
use crate::scale_down::Unneeded;
use kit_api::core::{Node, Pod, Taint};
use kit_api::node::has_taint;
use kit_api::pod;
use kit_apimachinery::object::AsKind;
use kit_client::component::World;
use kit_contract::network::load_balancer::TO_BE_DELETED;
use kit_server::DeleteOptions;
use kit_time::agenda::Instant;
use std::collections::{BTreeMap, BTreeSet};

/// The taint that new pods avoid where they can.
pub const CANDIDATE: &str = "DeletionCandidateOfClusterAutoscaler";
/// From the taint to the first eviction (`--node-delete-delay-after-taint`).
const DELAY: Instant = Instant::seconds(5);
/// From one try to evict to the next (`DefaultEvictionRetryTime`), and how long it is tried (`--max-pod-eviction-time`).
const RETRY: Instant = Instant::seconds(10);
const EVICTION: Instant = Instant::seconds(120);
/// How often it is looked whether pods are gone, and for how long (`--max-graceful-termination-sec`, and some headroom).
const LOOK: Instant = Instant::seconds(5);
const GRACE: Instant = Instant::seconds(630);
/// So many nodes may go at a time (`--max-scale-down-parallelism`), and so many of them with pods (`--max-drain-parallelism`).
const PARALLEL: usize = 10;
const DRAINS: usize = 1;
/// So many taints are written at a look (`--max-bulk-soft-taint-count`).
const SOFT_TAINTS: usize = 10;

/// The nodes that go.
#[derive(Default)]
pub struct Removals {
    going: BTreeMap<String, Removal>,
}

struct Removal {
    phase: Phase,
    /// Since when it is in this phase.
    since: Instant,
    /// When it is looked at next.
    due: Instant,
    /// Its pods, and whether each was evicted.
    pods: BTreeMap<(String, String), bool>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Tainted,
    Evicting,
    Waiting,
}

/// What has come of a removal.
enum Step {
    GoesOn(Phase, Instant),
    Gone,
    Failed(String),
}

impl Removals {
    /// Whether a node goes.
    pub fn has(&self, node: &str) -> bool {
        self.going.contains_key(node)
    }

    /// When something is to be done for one of them.
    pub fn due(&self) -> Option<Instant> {
        self.going.values().map(|removal| removal.due).min()
    }

    /// Begins to remove nodes, as many as may go at a time; those that it has begun with.
    pub fn begin(&mut self, nodes: Vec<(String, Unneeded)>, world: &mut World<'_>) -> Vec<String> {
        let mut begun = Vec::new();
        for (name, unneeded) in nodes {
            let drains = self.going.values().filter(|removal| !removal.pods.is_empty()).count();
            if self.going.len() >= PARALLEL || !unneeded.pods.is_empty() && drains >= DRAINS {
                continue;
            }
            let Ok(node) = set_taint(&name, TO_BE_DELETED, Some("NoSchedule"), world) else { continue };
            world.server.record(&node, "Normal", "ScaleDown", "marked the node as toBeDeleted/unschedulable");
            let (since, due) = (world.now, world.now + DELAY);
            let pods = unneeded.pods.into_iter().map(|pod| (pod, false)).collect();
            self.going.insert(name.clone(), Removal { phase: Phase::Tainted, since, due, pods });
            begun.push(name);
        }
        begun
    }

    /// Goes on with what is due. Whether something failed, and what has happened, to be told of in the status.
    pub fn run(&mut self, cloud: &Shared, world: &mut World<'_>) -> (bool, Vec<(&'static str, String)>) {
        let due = self.going.iter().filter(|(_, removal)| removal.due <= world.now);
        let due: Vec<String> = due.map(|(name, _)| name.clone()).collect();
        let (mut failed, mut told) = (false, Vec::new());
        for name in due {
            let Some(removal) = self.going.get_mut(&name) else { continue };
            let drained = !removal.pods.is_empty();
            match removal.step(&name, cloud, world) {
                Step::GoesOn(phase, due) => {
                    if removal.phase != phase {
                        (removal.phase, removal.since) = (phase, world.now);
                    }
                    removal.due = due;
                    continue;
                }
                Step::Gone => {
                    if let Ok(node) = world.server.fetch::<Node>("", &name) {
                        world.server.record(&node, "Normal", "ScaleDown", "nodes removed by cluster autoscaler");
                    }
                    told.push(match drained {
                        true => ("ScaleDown", format!("Scale-down: node {name} removed with drain")),
                        false => ("ScaleDownEmpty", format!("Scale-down: empty node {name} removed")),
                    });
                }
                Step::Failed(why) => {
                    failed = true;
                    if let Ok(node) = set_taint(&name, TO_BE_DELETED, None, world) {
                        let what =
                            if drained { "failed to drain and delete node" } else { "failed to delete empty node" };
                        world.server.record(&node, "Warning", "ScaleDownFailed", &format!("{what}: {why}"));
                    }
                }
            }
            self.going.remove(&name);
        }
        (failed, told)
    }
}

impl Removal {
    fn step(&mut self, node: &str, cloud: &Shared, world: &mut World<'_>) -> Step {
        let now = world.now;
        match self.phase {
            Phase::Tainted if self.pods.is_empty() => delete(node, cloud),
            Phase::Tainted => {
                for (namespace, name) in self.pods.keys() {
                    if let Ok(pod) = world.server.fetch::<Pod>(namespace, name) {
                        world.server.record(&pod, "Normal", "ScaleDown", "deleting pod for node scale down");
                    }
                }
                self.since = now;
                self.evict(node, world)
            }
            Phase::Evicting => self.evict(node, world),
            Phase::Waiting if self.are_gone(node, world) => delete(node, cloud),
            Phase::Waiting if now >= self.since + GRACE => {
                Step::Failed(format!("Failed to drain node /{node}: pods remaining after timeout"))
            }
            Phase::Waiting => Step::GoesOn(Phase::Waiting, now + LOOK),
        }
    }

    fn evict(&mut self, node: &str, world: &mut World<'_>) -> Step {
        let mut last = String::new();
        for ((namespace, name), evicted) in self.pods.iter_mut().filter(|(_, evicted)| !**evicted) {
            match world.server.evict_pod(namespace, name, &DeleteOptions::default()) {
                Ok(()) => *evicted = true,
                Err(error) if error.is_not_found() => *evicted = true,
                Err(error) => last = error.message,
            }
        }
        if self.pods.values().all(|evicted| *evicted) {
            return Step::GoesOn(Phase::Waiting, world.now + LOOK);
        }
        if world.now < self.since + EVICTION {
            return Step::GoesOn(Phase::Evicting, world.now + RETRY);
        }
        for ((namespace, name), _) in self.pods.iter().filter(|(_, evicted)| !**evicted) {
            if let Ok(pod) = world.server.fetch::<Pod>(namespace, name) {
                world.server.record(&pod, "Warning", "ScaleDownFailed", "failed to delete pod for ScaleDown");
            }
        }
        Step::Failed(format!("Failed to drain node /{node}, due to following errors: [{last}]"))
    }

    fn are_gone(&self, node: &str, world: &World<'_>) -> bool {
        let is_here = |(namespace, name): &(String, String)| {
            let there = world.server.fetch::<Pod>(namespace, name);
            there.is_ok_and(|there| pod::node_name(&there) == Some(node))
        };
        !self.pods.keys().any(is_here)
    }
}

fn delete(node: &str, cloud: &Shared) -> Step {
    match cloud.borrow_mut().delete(node) {
        Ok(()) => Step::Gone,
        Err(why) => Step::Failed(why),
    }
}

/// Gives a node a taint with the time as its value, or takes it away.
fn set_taint(name: &str, key: &str, effect: Option<&str>, world: &mut World<'_>) -> Result<Node, kit_server::Error> {
    let mut node: Node = world.server.fetch("", name)?;
    let taints = node.spec.get_or_insert_default().taints.get_or_insert_default();
    taints.retain(|taint| taint.key != key);
    if let Some(effect) = effect {
        let value = world.time().as_second().to_string();
        taints.push(Taint { key: key.into(), value: Some(value), effect: effect.into(), ..Taint::default() });
    }
    world.server.update(node.clone().into_object())?;
    Ok(node)
}

/// Lets new pods avoid the nodes that are unneeded, and no others (`UpdateSoftDeletionTaints`).
pub fn avoid(unneeded: &BTreeSet<&str>, world: &mut World<'_>) {
    let cache = world.cache;
    let wrong = cache.all::<Node>().filter(|node| !has_taint(node, TO_BE_DELETED)).filter_map(|node| {
        let name = node.metadata.name.as_deref()?;
        let wanted = unneeded.contains(name);
        (has_taint(node, CANDIDATE) != wanted).then_some((name, wanted))
    });
    let mut wrong: Vec<(&str, bool)> = wrong.collect();
    // Taints go before others come.
    wrong.sort_by_key(|(_, wanted)| *wanted);
    for (name, wanted) in wrong.into_iter().take(SOFT_TAINTS) {
        _ = set_taint(name, CANDIDATE, wanted.then_some("PreferNoSchedule"), world);
    }
}
