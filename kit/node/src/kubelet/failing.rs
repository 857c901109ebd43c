//! Pods that the kubelet itself ends, or doesn't take: they have failed, and whoever made them makes others.
//!
//! Sources: `rejectPod` of `pkg/kubelet/kubelet.go`, and who calls `killPodNow` (`pkg/kubelet/pod_workers.go`).

use super::static_pods::is_of;
use super::{Kubelet, Kubelets};
use crate::admission;
use kit_api::core::{Node, Pod};
use kit_api::pod;
use kit_apimachinery::object::{AsKind, Key, Kind};
use kit_client::component::World;
use kit_server::registry;
use kit_time::agenda::Instant;

/// With what a pod fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failing {
    /// The reason in its status,
    pub reason: &'static str,
    /// the message there,
    pub message: String,
    /// and that of its condition DisruptionTarget; empty if it has none.
    pub disruption: String,
}

const PREEMPTED: (&str, &str, &str) = (
    "Preempting",
    "Preempted in order to admit critical pod",
    "Pod was preempted by Kubelet to accommodate a critical pod.",
);

impl Kubelets {
    /// Ends a pod, which has failed then.
    pub(super) fn fail(&mut self, node: &str, uid: &str, failing: Failing, grace: Instant, world: &World<'_>) {
        let Some(running) = self.nodes.get_mut(node).and_then(|kubelet| kubelet.pods.get_mut(uid)) else { return };
        running.failing = Some(failing);
        running.worker.stop(world.now, world.time(), grace);
        self.arm(node, uid);
    }

    /// A pod that the kubelet has ended has failed; `false` if this is none, or not yet.
    pub(super) fn has_failed(&mut self, node: &str, uid: &str, world: &mut World<'_>) -> bool {
        let Some(kubelet) = self.nodes.get_mut(node) else { return false };
        let Some(running) = kubelet.pods.get_mut(uid) else { return false };
        let over = running.worker.stops_at.is_some_and(|at| at <= world.now);
        let Some(failing) = running.failing.clone().filter(|_| over) else { return false };
        let Ok(mut pod) = world.server.fetch::<Pod>(&running.key.namespace, &running.key.name) else { return false };
        if pod::is_terminating(&pod) || !is_of(&pod, uid) {
            return false;
        }
        pod.status = Some(running.worker.status(&pod, &kubelet.shape.address(kubelet.index), world.now, world.time()));
        let because = Some("TerminationByKubelet");
        if let Some(why) = Some(&failing.disruption).filter(|why| !why.is_empty()) {
            registry::set_condition(&mut pod, "DisruptionTarget", "True", because, Some(why), world.time());
        }
        set_failed(&mut pod, failing.reason, &failing.message);
        // If nobody hears it, the node controller will notice that the node is gone.
        _ = world.server.update_status(pod.into_object());
        kubelet.pods.remove(uid).into_iter().for_each(|mut running| running.net.leave(self.wires.as_ref()));
        self.pods.remove(uid);
        self.unmeasured = true;
        self.drop_volumes(node, world);
        true
    }

    /// Whether a node takes a pod that was bound to it. One that it refuses has failed.
    pub(super) fn admits(&mut self, node: &str, pod: &Pod, world: &mut World<'_>) -> bool {
        let Some(kubelet) = self.nodes.get_mut(node) else { return false };
        match kubelet.admits(pod, world) {
            Err((reason, message)) => {
                if let Some(kubelet) = self.nodes.get_mut(node) {
                    *kubelet.counts.rejections.entry(reason.clone()).or_default() += 1;
                }
                let mut pod = pod.clone();
                if let Ok(stored) = world.server.get(&key(&pod)).cloned() {
                    world.server.record(&stored.object, "Warning", &reason, &message);
                }
                set_failed(&mut pod, &reason, &format!("Pod was rejected: {message}"));
                _ = world.server.update_status(pod.into_object());
                false
            }
            Ok(victims) => {
                for victim in victims {
                    let (reason, message, disruption) = PREEMPTED;
                    if let Ok(stored) = world.server.get(&key(&victim)).cloned() {
                        world.server.record(&stored.object, "Warning", reason, message);
                    }
                    let failing = Failing { reason, message: message.into(), disruption: disruption.into() };
                    let uid = victim.metadata.uid.clone().unwrap_or_default();
                    self.fail(node, &uid, failing, super::pod_worker::grace(&victim), world);
                }
                true
            }
        }
    }
}

impl Kubelet {
    /// Which pods have to go for a new one.
    fn admits(&mut self, pod: &Pod, world: &World<'_>) -> Result<Vec<Pod>, (String, String)> {
        if self.is_shutting_down() {
            return Err(("NodeShutdown".into(), "Pod was rejected as the node is shutting down.".into()));
        }
        // It was taken before this kubelet began.
        if pod.status.as_ref().is_some_and(|status| status.start_time.is_some()) {
            return Ok(Vec::new());
        }
        self.pressure.admit(pod).map_err(|why| ("Evicted".to_string(), why))?;
        let stored = world.server.get(&Key::new(Kind::Node, "", &self.shape.name)).ok();
        let Some(node) = stored.and_then(|stored| stored.get::<Node>()) else { return Ok(Vec::new()) };
        let active = || self.pods.values().filter(|running| !running.worker.is_over());
        let refusals = admission::refusals(pod, node, active().map(|running| &running.claims));
        if refusals.is_empty() {
            return Ok(Vec::new());
        }
        let others: Vec<&Pod> =
            active().filter_map(|running| world.server.get(&running.key).ok()?.get::<Pod>()).collect();
        admission::make_room(pod, &refusals, &others).map(|victims| victims.into_iter().cloned().collect())
    }
}

fn key(pod: &Pod) -> Key {
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    Key::new(Kind::Pod, &text(&pod.metadata.namespace), &text(&pod.metadata.name))
}

fn set_failed(pod: &mut Pod, reason: &str, message: &str) {
    let status = pod.status.get_or_insert_default();
    status.phase = Some("Failed".into());
    status.reason = Some(reason.into());
    status.message = Some(message.into());
}

#[cfg(test)]
mod tests;
