//! Machines that a cloud gives and takes: a kubelet on each begins when it has booted, and ends with it.

use super::node::NodeShape;
use super::{Kubelet, Kubelets};
use kit_client::component::World;
use kit_client::machine;
use kit_contract::Slot;
use kit_contract::node::Eviction;
use kit_time::agenda::Instant;
use std::collections::BTreeMap;

/// Where machines come from, and what the nodes of each group are.
pub(super) struct Machines {
    shared: machine::Shared,
    shapes: BTreeMap<String, NodeShape>,
    eviction: Slot<dyn Eviction>,
}

impl Kubelets {
    /// Kubelets for further machines, whose nodes are by group of these shapes.
    pub fn with_machines(
        self,
        shared: machine::Shared,
        shapes: BTreeMap<String, NodeShape>,
        eviction: Slot<dyn Eviction>,
    ) -> Self {
        Kubelets { machines: Some(Machines { shared, shapes, eviction }), ..self }
    }

    pub(super) fn run_machines(&mut self, world: &mut World<'_>) {
        let Some(machines) = &self.machines else { return };
        let (booted, gone) = {
            let mut shared = machines.shared.borrow_mut();
            (shared.booted(world.now), shared.gone())
        };
        for (name, group) in booted {
            let Some(shape) = machines.shapes.get(&group) else { continue };
            let shape = NodeShape { name: name.clone(), ..shape.clone() };
            let mut kubelet = Kubelet::new(shape, self.nodes.len(), &machines.eviction);
            kubelet.heartbeat(world);
            self.nodes.insert(name, kubelet);
        }
        for name in gone {
            // Its pods are gone with it, and nobody is left to say so.
            if let Some(kubelet) = self.nodes.get_mut(&name) {
                (kubelet.up, kubelet.shutdown) = (false, None);
                kubelet.pods.values_mut().for_each(|running| running.net.serve(self.wires.as_ref(), Vec::new()));
            }
        }
    }

    pub(super) fn wake_machines(&self) -> Option<Instant> {
        self.machines.as_ref().and_then(|machines| machines.shared.borrow().due())
    }
}
