//! Whether a node gives a pod that runs there other resources ([`runtime::resize`](crate::runtime::resize)).
//!
//! Sources: `handlePodResourcesResize` and `canResizePod` of `pkg/kubelet/kubelet.go`. What is deferred is looked at again with each sync
//! of its pod; 1.33 keeps no order among pods.

use super::Kubelets;
use crate::admission::Claims;
use crate::runtime::resize::fits;
use kit_api::core::Node;
use kit_api::pod_resources::{RequestOptions, add, requests, resources};
use kit_apimachinery::object::{Key, Kind};
use kit_client::component::World;

impl Kubelets {
    /// Decides about a resize that somebody wants, if it is time to.
    pub(super) fn resize(&mut self, node: &str, uid: &str, world: &mut World<'_>) {
        let Some(kubelet) = self.nodes.get_mut(node).filter(|kubelet| kubelet.up) else { return };
        let active = |(other, running): &(&String, &super::Running)| *other != uid && !running.worker.is_over();
        let mut others = kit_api::pod_resources::Resources::new();
        let Some(running) = kubelet.pods.get(uid) else { return };
        let wanted = running.worker.wants_resize(world.now).cloned();
        let Some(wanted) = wanted else {
            let settled = kubelet.pods.get_mut(uid).is_some_and(|running| running.worker.settle_resize());
            if settled {
                self.post(node, uid, world);
            }
            return;
        };
        kubelet.pods.iter().filter(active).for_each(|(_, running)| add(&mut others, &running.claims.requests()));
        let stored = world.server.get(&Key::new(Kind::Node, "", &kubelet.shape.name)).ok();
        let status = stored.and_then(|stored| stored.get::<Node>()?.status.as_ref());
        let allocatable = resources(status.and_then(|status| status.allocatable.as_ref()));
        let answer = fits(&requests(&wanted, &RequestOptions::default()), &allocatable, &others);
        if let Some(running) = kubelet.pods.get_mut(uid) {
            match answer {
                Ok(()) => {
                    running.claims = Claims::of(&wanted);
                    running.worker.allocate(world.now, world.time());
                }
                Err(pending) => running.worker.put_off(pending, world.now),
            }
        }
        self.post(node, uid, world);
    }
}

#[cfg(test)]
mod tests;
