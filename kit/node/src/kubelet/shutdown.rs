//! A machine that is shut down in order: the kubelet hears of it first, ends its pods, and only then the power goes.
//!
//! Sources: `pkg/kubelet/nodeshutdown/nodeshutdown_manager_linux.go`, `pkg/kubelet/nodestatus/setters.go`. Both times are set here
//! as in the documentation's example; upstream's defaults are 0, which turns all of this off.

use super::{Kubelet, Kubelets, pod_worker};
use kit_api::core::{Node, Pod};
use kit_api::pod;
use kit_apimachinery::object::{AsKind, Key, Kind};
use kit_client::component::World;
use kit_server::registry;
use kit_time::agenda::Instant;

/// For all pods (`shutdownGracePeriod`), and of that for critical ones (`shutdownGracePeriodCriticalPods`).
const ALL: Instant = Instant::seconds(30);
const CRITICAL: Instant = Instant::seconds(10);
/// Pods of this priority are critical (`SystemCriticalPriority`).
const SYSTEM: i32 = 2_000_000_000;

const ENDED: (&str, &str) = ("Terminated", "Pod was terminated in response to imminent node shutdown.");
const REFUSED: (&str, &str) = ("NodeShutdown", "Pod was rejected as the node is shutting down.");

/// How far a node is with it.
#[derive(Clone, Copy)]
pub struct Shutdown {
    /// When critical pods are ended, and when the power goes, at the latest.
    critical: Instant,
    off: Instant,
    /// Whether it is the critical pods' turn.
    last: bool,
}

impl Kubelets {
    /// The machine is to be shut down.
    pub(super) fn shut_down(&mut self, node: &str, world: &mut World<'_>) {
        let Some(kubelet) = self.nodes.get_mut(node).filter(|kubelet| kubelet.up && kubelet.shutdown.is_none()) else {
            return;
        };
        let (critical, off) = (world.now + (ALL - CRITICAL), world.now + ALL);
        kubelet.shutdown = Some(Shutdown { critical, off, last: false });
        kubelet.reported = None;
        kubelet.heartbeat(world);
        if let Ok(stored) = world.server.get(&Key::new(Kind::Node, "", node)).cloned() {
            let message = "Shutdown manager detected shutdown event";
            world.server.record(&stored.object, "Normal", "NodeShutdown", message);
        }
        self.end_pods(node, false, world);
    }

    /// What shutdowns have to do now: critical pods after all others, and the power after those.
    pub(super) fn run_shutdowns(&mut self, world: &mut World<'_>) {
        let names: Vec<String> =
            self.nodes.iter().filter(|(_, kubelet)| kubelet.shutdown.is_some()).map(|(name, _)| name.clone()).collect();
        for name in names {
            let Some(kubelet) = self.nodes.get_mut(&name) else { continue };
            let Some(mut shutdown) = kubelet.shutdown else { continue };
            let others = kubelet.pods.values().any(|running| !running.critical);
            if !shutdown.last && (!others || world.now >= shutdown.critical) {
                shutdown.last = true;
                kubelet.shutdown = Some(shutdown);
                self.end_pods(&name, true, world);
            }
            let Some(kubelet) = self.nodes.get_mut(&name) else { continue };
            if shutdown.last && (kubelet.pods.is_empty() || world.now >= shutdown.off) {
                (kubelet.shutdown, kubelet.up) = (None, false);
            }
        }
    }

    /// When a shutdown has something to do next, if nothing happens before.
    pub(super) fn wake_shutdowns(&self) -> Option<Instant> {
        let due = |shutdown: Shutdown| if shutdown.last { shutdown.off } else { shutdown.critical };
        self.nodes.values().filter_map(|kubelet| kubelet.shutdown.map(due)).min()
    }

    fn end_pods(&mut self, node: &str, critical: bool, world: &World<'_>) {
        let Some(kubelet) = self.nodes.get_mut(node) else { return };
        let most = if critical { CRITICAL } else { ALL - CRITICAL };
        let mut uids = Vec::new();
        for (uid, running) in kubelet.pods.iter_mut().filter(|(_, running)| running.critical == critical) {
            let pod = world.server.get(&running.key).ok().and_then(|stored| stored.get::<Pod>());
            let grace = pod.map(pod_worker::grace).unwrap_or_default().min(most);
            running.worker.stop(world.now, world.time(), grace);
            uids.push(uid.clone());
        }
        uids.iter().for_each(|uid| self.arm(node, uid));
    }

    /// A pod whose containers have ended because of a shutdown has failed; `false` if this is none.
    pub(super) fn fail_by_shutdown(&mut self, node: &str, uid: &str, world: &mut World<'_>) -> bool {
        let Some(kubelet) = self.nodes.get_mut(node).filter(|kubelet| kubelet.shutdown.is_some()) else { return false };
        let due = |running: &&mut super::Running| running.worker.stops_at.is_some_and(|at| at <= world.now);
        let Some(running) = kubelet.pods.get_mut(uid).filter(due) else { return false };
        let Ok(mut pod) = world.server.fetch::<Pod>(&running.key.namespace, &running.key.name) else { return false };
        if pod::is_terminating(&pod) || pod.metadata.uid.as_deref() != Some(uid) {
            return false;
        }
        running.worker.end(world.now, world.time());
        pod.status = Some(running.worker.status(&pod, &kubelet.shape.address(kubelet.index), world.now, world.time()));
        registry::set_condition(
            &mut pod,
            "DisruptionTarget",
            "True",
            Some("TerminationByKubelet"),
            Some(ENDED.1),
            world.time(),
        );
        fail(&mut pod, ENDED);
        // If nobody hears it, the node controller will notice that the node is gone.
        _ = world.server.update_status(pod.into_object());
        kubelet.pods.remove(uid).into_iter().for_each(|mut running| running.net.leave(self.wires.as_ref()));
        self.pods.remove(uid);
        self.unmeasured = true;
        self.drop_volumes(node, world);
        true
    }
}

impl Kubelet {
    /// Whether a pod comes too late, and is refused.
    pub(super) fn refuses(&self, pod: &Pod, world: &mut World<'_>) -> bool {
        if self.shutdown.is_some() {
            let mut pod = pod.clone();
            fail(&mut pod, REFUSED);
            _ = world.server.update_status(pod.into_object());
        }
        self.shutdown.is_some()
    }

    /// What it says of its node while that goes down.
    pub(super) fn say_shutdown(&self, node: &mut Node) {
        let conditions = node.status.as_mut().and_then(|status| status.conditions.as_mut());
        let ready = conditions.into_iter().flatten().find(|condition| condition.type_ == "Ready");
        if let Some(ready) = ready.filter(|_| self.shutdown.is_some()) {
            ready.status = "False".into();
            ready.reason = Some("KubeletNotReady".into());
            ready.message = Some("node is shutting down".into());
        }
    }
}

/// Whether it is a pod that the cluster can't do without.
pub fn is_critical(pod: &Pod) -> bool {
    pod.spec.as_ref().and_then(|spec| spec.priority).is_some_and(|priority| priority >= SYSTEM)
}

fn fail(pod: &mut Pod, (reason, message): (&str, &str)) {
    let status = pod.status.get_or_insert_default();
    status.phase = Some("Failed".into());
    status.reason = Some(reason.into());
    status.message = Some(message.into());
}
