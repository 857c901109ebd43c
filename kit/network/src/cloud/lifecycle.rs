//! The cloud node lifecycle controller: what becomes of nodes whose machines are gone or shut down.
//!
//! Source: `staging/src/k8s.io/cloud-provider/controllers/nodelifecycle/node_lifecycle_controller.go`. It asks the cloud only
//! about nodes that aren't ready, so a machine that was deleted costs its node when the kubelet has been silent for the
//! grace period.

use super::Shared;
use kit_api::core::{Node, Taint};
use kit_api::node::is_ready;
use kit_apimachinery::object::{AsKind, Key, Kind};
use kit_client::component::{Component, World};
use kit_server::{Change, DeleteOptions, Error};
use kit_time::agenda::Instant;

/// From one look at all nodes to the next (`--node-monitor-period`).
const PERIOD: Instant = Instant::seconds(5);
/// The key of the taint of a node whose machine is shut down (`TaintNodeShutdown`).
pub const SHUTDOWN: &str = "node.cloudprovider.kubernetes.io/shutdown";

/// Looks after nodes whose machines don't run.
pub struct Lifecycle {
    cloud: Shared,
    next: Instant,
}

impl Lifecycle {
    /// A controller in front of this cloud.
    pub fn new(cloud: Shared) -> Self {
        Lifecycle { cloud, next: Instant::default() }
    }

    fn look(&self, node: &Node, world: &mut World<'_>) {
        if is_ready(node) {
            // What can't be written now is written by the next look.
            _ = set_shutdown(node, false, world);
            return;
        }
        let Ok(stopped) = self.cloud.borrow().instance(node).map(|instance| instance.map(|machine| machine.stopped))
        else {
            return;
        };
        let name = node.metadata.name.as_deref().unwrap_or_default();
        match stopped {
            None => {
                let message = format!("Deleting node {name} because it does not exist in the cloud provider");
                world.server.record(node, "Normal", "DeletingNode", &message);
                let deleted = world.server.delete(&Key::new(Kind::Node, "", name), &DeleteOptions::default());
                if let Err(error) = deleted {
                    let message = format!("Failed deleting node {name}: {error}");
                    world.server.record(node, "Warning", "DeletingNodeFailed", &message);
                }
            }
            Some(true) => _ = set_shutdown(node, true, world),
            Some(false) => {}
        }
    }
}

fn set_shutdown(node: &Node, wanted: bool, world: &mut World<'_>) -> Result<(), Error> {
    let is = |taint: &Taint| taint.key == SHUTDOWN && taint.effect == "NoSchedule";
    let there = node.spec.iter().flat_map(|spec| spec.taints.iter().flatten()).any(is);
    if there == wanted {
        return Ok(());
    }
    let mut now: Node = world.server.fetch("", node.metadata.name.as_deref().unwrap_or_default())?;
    let taints = now.spec.get_or_insert_default().taints.get_or_insert_default();
    taints.retain(|taint| !is(taint));
    if wanted {
        taints.push(Taint { key: SHUTDOWN.into(), effect: "NoSchedule".into(), ..Taint::default() });
    }
    world.server.update(now.into_object()).map(drop)
}

impl Component for Lifecycle {
    fn name(&self) -> &'static str {
        "cloud-node-lifecycle-controller"
    }

    fn watches(&self) -> &'static [Kind] {
        &[Kind::Node]
    }

    fn observe(&mut self, _change: &Change, _world: &mut World<'_>) {}

    fn run(&mut self, world: &mut World<'_>) {
        if world.now < self.next {
            return;
        }
        let cache = world.cache;
        for node in cache.all::<Node>() {
            self.look(node, world);
        }
        self.next = world.now + PERIOD;
    }

    fn next_wake(&self) -> Option<Instant> {
        Some(self.next)
    }
}
