//! A machine that is shut down in order: the kubelet hears of it first, ends its pods, and only then the power goes.
//!
//! [`shutdown`] says who goes when. Sources: `pkg/kubelet/nodeshutdown/nodeshutdown_manager_linux.go`,
//! `pkg/kubelet/nodestatus/setters.go`. Both times are set here as in the documentation's example; upstream's defaults are 0, which
//! turns all of this off.

use super::failing::Failing;
use super::{Kubelet, Kubelets};
use crate::shutdown;
use kit_api::core::Pod;
use kit_apimachinery::object::{Key, Kind};
use kit_client::component::World;
use kit_time::agenda::Instant;

/// Seconds for all pods (`shutdownGracePeriod`), and of that for critical ones (`shutdownGracePeriodCriticalPods`).
const ALL: i64 = 30;
const CRITICAL: i64 = 10;

const ENDED: &str = "Pod was terminated in response to imminent node shutdown.";

/// How far a node is with it.
pub struct Shutdown {
    groups: Vec<shutdown::Group>,
    /// Whose turn it is, and until when.
    turn: usize,
    until: Instant,
}

impl Shutdown {
    /// Begins with the first of the groups.
    fn new(groups: Vec<shutdown::Group>, now: Instant) -> Self {
        let mut begun = Shutdown { groups, turn: 0, until: now };
        begun.until = now + begun.takes();
        begun
    }

    fn takes(&self) -> Instant {
        Instant::seconds(self.groups.get(self.turn).map_or(0, |group| group.seconds))
    }

    /// Whether it is the turn of pods with this priority.
    fn is_turn(&self, priority: i32) -> bool {
        shutdown::group_of(&self.groups, priority) == self.turn
    }
}

impl Kubelets {
    /// The machine is to be shut down.
    pub(super) fn shut_down(&mut self, node: &str, world: &mut World<'_>) {
        let Some(kubelet) = self.nodes.get_mut(node).filter(|kubelet| kubelet.up && kubelet.shutdown.is_none()) else {
            return;
        };
        kubelet.shutdown = Some(Shutdown::new(shutdown::two_groups(ALL, CRITICAL), world.now));
        kubelet.reported = None;
        kubelet.heartbeat(world);
        self.shutting_down.insert(node.into());
        if let Ok(stored) = world.server.get(&Key::new(Kind::Node, "", node)).cloned() {
            let message = "Shutdown manager detected shutdown event";
            world.server.record(&stored.object, "Normal", "NodeShutdown", message);
        }
        self.end_pods(node, world);
    }

    /// What shutdowns have to do now: one group of pods after the other, and then the power goes.
    pub(super) fn run_shutdowns(&mut self, world: &mut World<'_>) {
        for name in self.shutting_down.clone() {
            while self.takes_turns(&name, world.now) {
                self.end_pods(&name, world);
            }
        }
        // In a large cluster nobody wants to look at every node each time.
        self.shutting_down.retain(|name| self.nodes.get(name).is_some_and(|kubelet| kubelet.shutdown.is_some()));
    }

    /// Whether it is the turn of another group of pods now.
    fn takes_turns(&mut self, node: &str, now: Instant) -> bool {
        let Some(kubelet) = self.nodes.get_mut(node) else { return false };
        let Some(shutdown) = &mut kubelet.shutdown else { return false };
        let is_left = kubelet.pods.values().any(|running| shutdown.is_turn(running.priority));
        if is_left && now < shutdown.until {
            return false;
        }
        shutdown.turn += 1;
        shutdown.until = now + shutdown.takes();
        if shutdown.turn == shutdown.groups.len() {
            (kubelet.shutdown, kubelet.up) = (None, false);
        }
        kubelet.up
    }

    /// When a shutdown has something to do next, if nothing happens before.
    pub(super) fn wake_shutdowns(&self) -> Option<Instant> {
        let down = self.shutting_down.iter().filter_map(|name| self.nodes.get(name)?.shutdown.as_ref());
        down.map(|shutdown| shutdown.until).min()
    }

    /// Ends the pods whose turn it is.
    fn end_pods(&mut self, node: &str, world: &World<'_>) {
        let Some(kubelet) = self.nodes.get_mut(node) else { return };
        let Some(shutdown) = &kubelet.shutdown else { return };
        let Some(group) = shutdown.groups.get(shutdown.turn) else { return };
        let mut ends = Vec::new();
        for (uid, running) in kubelet.pods.iter().filter(|(_, running)| shutdown.is_turn(running.priority)) {
            let pod = world.server.get(&running.key).ok().and_then(|stored| stored.get::<Pod>());
            let own = pod.and_then(|pod| pod.spec.as_ref()?.termination_grace_period_seconds);
            ends.push((uid.clone(), Instant::seconds(shutdown::grace(*group, own))));
        }
        for (uid, grace) in ends {
            let failing = Failing { reason: "Terminated", message: ENDED.into(), disruption: ENDED.into() };
            self.fail(node, &uid, failing, grace, world);
        }
    }
}

impl Kubelet {
    /// Whether its machine is being shut down.
    pub(super) fn is_shutting_down(&self) -> bool {
        self.shutdown.is_some()
    }
}

/// The priority of a pod.
pub fn priority(pod: &Pod) -> i32 {
    pod.spec.as_ref().and_then(|spec| spec.priority).unwrap_or_default()
}
