//! Lets the kubelet look at what pods have written, each time that it looks at what its node has left.

use super::Kubelets;
use super::failing::Failing;
use kit_client::component::World;
use kit_time::agenda::Instant;

/// What the containers of an evicted pod are given to end (`immediateEvictionGracePeriodSeconds`).
const GRACE: Instant = Instant::seconds(1);

impl Kubelets {
    /// Evicts the pods that have written more than they may.
    pub(super) fn enforce_disk_limits(&mut self, world: &mut World<'_>) {
        let mut evicted = Vec::new();
        for (node, kubelet) in self.nodes.iter().filter(|(_, kubelet)| kubelet.up) {
            let limited = kubelet.pods.iter().filter(|(_, running)| !running.disk_limits.is_empty());
            for (uid, running) in limited.filter(|(_, running)| running.failing.is_none()) {
                let used: Vec<_> = running.worker.usage_now(world.now).map(|(name, used)| (name, used.disk)).collect();
                let message = running.disk_limits.exceeded(used.into_iter());
                evicted.extend(message.map(|message| (node.clone(), uid.clone(), running.key.clone(), message)));
            }
        }
        for (node, uid, key, message) in evicted {
            if let Ok(stored) = world.server.get(&key).cloned() {
                world.server.record(&stored.object, "Warning", "Evicted", &message);
            }
            // It is its own doing, and no disruption.
            self.fail(&node, &uid, Failing { reason: "Evicted", message, disruption: String::new() }, GRACE, world);
        }
    }
}
