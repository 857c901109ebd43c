//! Which nodes need a pod, and which pods are on nodes where they should not be.
//!
//! Source: `manage` and `podsShouldBeOnNode` of `pkg/controller/daemon/daemon_controller.go`.

use super::pods::{self, by_node};
use super::sync::{Plan, Sync};
use kit_api::core::{Node, Pod};
use kit_api::pod;
use kit_apimachinery::object::About;
use kit_server::Error;

impl Sync<'_, '_> {
    /// Creates and deletes pods until each node has what it should have.
    pub(super) fn place(&mut self, pods: &[&Pod], hash: &str) -> Result<(), Error> {
        let by_node = by_node(pods.iter().copied());
        let mut plan = Plan::default();
        for node in self.seen.nodes {
            let there = by_node.get(About::from(*node).name()).map(Vec::as_slice);
            self.look_at_node(node, there, hash, &mut plan);
        }
        // Nobody else deletes pods that no scheduler will ever place (`getUnscheduledPodsWithoutNode`).
        let lost = by_node.iter().filter(|(node, _)| self.node(node).is_none()).flat_map(|(_, pods)| pods);
        plan.delete.extend(lost.copied().filter(|pod| pod::node_name(pod).is_none()));
        self.change_pods(&plan, hash)
    }

    fn look_at_node<'p>(&mut self, node: &'p Node, there: Option<&[&'p Pod]>, hash: &str, plan: &mut Plan<'p>) {
        let name = About::from(node).name();
        let wants = self.wants(node);
        let alive = || there.into_iter().flatten().copied().filter(|pod| !pod::is_terminating(pod));
        if wants.should_run && there.is_none() {
            return plan.create.push(name);
        }
        if !wants.should_continue_running {
            return plan.delete.extend(alive());
        }
        let mut running: Vec<&Pod> = Vec::new();
        for pod in alive() {
            match pod::phase(pod) {
                "Failed" => plan.delete.extend(self.may_replace(pod, name).then_some(pod)),
                "Succeeded" => {
                    let said = About::from(pod);
                    let message = format!(
                        "Found succeeded daemon pod {}/{} on node {name}, will try to delete it",
                        said.namespace(),
                        said.name()
                    );
                    self.world.server.record(self.set, "Normal", "SucceededDaemonPod", &message);
                    plan.delete.push(pod);
                }
                _ => running.push(pod),
            }
        }
        pods::sort(&mut running);
        if !self.limits(1).is_ok_and(|(surge, _)| surge > 0) {
            // The oldest one stays.
            return plan.delete.extend(running.into_iter().skip(1));
        }
        match running.as_slice() {
            // Where a second one may be beside it, a pod that goes doesn't keep its place.
            [] if wants.should_run => plan.create.push(name),
            [] | [_] => {}
            _ => self.keep_two(&running, hash, plan),
        }
    }

    /// Of each kind, old and new, the oldest may stay: both until the new one is available, if the old one is ready.
    fn keep_two<'p>(&self, running: &[&'p Pod], hash: &str, plan: &mut Plan<'p>) {
        let (new, old): (Vec<&Pod>, Vec<&Pod>) = running.iter().copied().partition(|pod| pods::is_updated(pod, hash));
        plan.delete.extend(new.iter().skip(1).chain(old.iter().skip(1)).copied());
        if let (Some(new), Some(old)) = (new.first(), old.first())
            && (!pod::is_ready(old) || self.is_available(new))
        {
            plan.delete.push(old);
        }
    }

    /// Whether a failed pod may be replaced now; on each node longer after each failure.
    fn may_replace(&mut self, pod: &Pod, node: &str) -> bool {
        let generation = self.set.status.as_ref().and_then(|status| status.observed_generation).unwrap_or(0);
        let now = self.now();
        if let Some(wait) = self.memory.backoff.waits(generation, node, now) {
            // The whole wait, not what is left of it.
            self.again.push(wait);
            return false;
        }
        self.memory.backoff.begin(generation, node, now);
        let said = About::from(pod);
        let message =
            format!("Found failed daemon pod {}/{} on node {node}, will try to kill it", said.namespace(), said.name());
        self.world.server.record(self.set, "Warning", "FailedDaemonPod", &message);
        true
    }
}
