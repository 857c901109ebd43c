//! Pods that may run only for so long (`activeDeadlineSeconds`): the kubelet ends them, and they have failed.
//!
//! Source: `pkg/kubelet/active_deadline.go`.

use super::failing::Failing;
use super::{Kubelets, pod_worker};
use kit_api::core::Pod;
use kit_api::pod;
use kit_client::component::World;
use kit_time::agenda::Instant;

const REASON: &str = "DeadlineExceeded";
const MESSAGE: &str = "Pod was active on the node longer than the specified deadline";

/// When a pod's time is over; none if it has all the time in the world.
fn deadline(pod: &Pod, world: &World<'_>) -> Option<Instant> {
    let most = Instant::seconds(pod.spec.as_ref()?.active_deadline_seconds?);
    let start = pod.status.as_ref().and_then(|status| status.start_time.as_ref());
    let ran = start.map_or(0, |start| world.time().duration_since(start.0).as_nanos().try_into().unwrap_or(i64::MAX));
    Some(world.now + most - Instant { nanos: ran.max(0) })
}

impl Kubelets {
    /// A pod may have a deadline, or another one than before.
    pub(super) fn note_deadline(&mut self, node: &str, uid: &str, pod: &Pod, world: &World<'_>) {
        let at = deadline(pod, world).filter(|_| self.pods.contains_key(uid) && !pod::is_terminating(pod));
        self.deadlines.extend(at.map(|at| (at, node.to_string(), uid.to_string())));
    }

    /// Ends the pods whose time is over.
    pub(super) fn enforce_deadlines(&mut self, world: &mut World<'_>) {
        while let Some((at, node, uid)) = self.deadlines.first().cloned().filter(|(at, ..)| *at <= world.now) {
            self.deadlines.remove(&(at, node.clone(), uid.clone()));
            let running = self.nodes.get(&node).filter(|kubelet| kubelet.up).and_then(|kubelet| kubelet.pods.get(&uid));
            let Some(running) = running.filter(|running| running.failing.is_none() && !running.worker.is_over()) else {
                continue;
            };
            let Ok(stored) = world.server.get(&running.key).cloned() else { continue };
            // It may have been given another one since.
            let Some(pod) = stored.get::<Pod>().filter(|pod| deadline(pod, world).is_some_and(|at| at <= world.now))
            else {
                continue;
            };
            world.server.record(&stored.object, "Normal", REASON, MESSAGE);
            let failing = Failing { reason: REASON, message: MESSAGE.into(), disruption: String::new() };
            self.fail(&node, &uid, failing, pod_worker::grace(pod), world);
        }
    }
}

#[cfg(test)]
mod tests;
