//! Faults that befall pods and clocks; those of whole nodes are with [`Kubelets`].

use super::Kubelets;
use kit_client::component::World;
use kit_client::fault::{Fault, VolumeCall};

impl Kubelets {
    /// All nodes, for messages.
    pub(super) fn names(&self) -> String {
        self.nodes.keys().cloned().collect::<Vec<_>>().join(", ")
    }

    /// Does what a fault asks for; `false` if it isn't one of these.
    pub(super) fn fault_of_pods(&mut self, fault: &Fault, world: &mut World<'_>) -> Result<bool, String> {
        match fault {
            Fault::Skew { of, by } => {
                let names = self.names();
                let kubelet =
                    self.nodes.get_mut(of).ok_or_else(|| format!("there is no node `{of}`; there are: {names}"))?;
                kubelet.skew = *by;
            }
            Fault::Kill { pod, exit_code } => {
                let mut found = None;
                for (node, kubelet) in &mut self.nodes {
                    for (uid, running) in &mut kubelet.pods {
                        if format!("{}/{}", running.key.namespace, running.key.name) == *pod {
                            running.worker.kill(*exit_code, world.now, world.time());
                            found = Some((node.clone(), uid.clone()));
                        }
                    }
                }
                let (node, uid) = found.ok_or_else(|| format!("no node runs the pod `{pod}`"))?;
                self.post(&node, &uid, world);
                self.go_on(&node, &uid, world);
            }
            Fault::Load { workload, milli_cpu } => {
                self.loads.insert(workload.clone(), *milli_cpu);
                self.measure(world);
            }
            Fault::Volumes(call @ (VolumeCall::Stage | VolumeCall::Publish), conduct) => {
                self.conduct.insert(*call, *conduct);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}
