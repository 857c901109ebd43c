//! What can be done to a cluster: nodes, hosts of the control plane and etcd fail and come back, pods end, loads change.

use super::Engine;
use crate::agenda::Instant;
use crate::control_plane::HostFault;
use crate::server::Error;

/// What can be done to a cluster. Each has its counterpart.
#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    /// A node loses power: its kubelet and all its containers stop. So do hosts of the control plane, and the API server.
    Crash(String),
    /// It comes back; containers start anew.
    Restart(String),
    /// A node and the control plane don't hear each other any more; containers run on.
    Partition(String),
    /// They hear each other again.
    Heal(String),
    /// The clock of a node, or of a host of the control plane, is ahead.
    Skew {
        /// The node or host.
        of: String,
        /// By how much; negative if it is behind.
        by: Instant,
    },
    /// etcd uses up its quota.
    Fill,
    /// It has room again.
    Free,
    /// etcd forgets all history but the last revision.
    Compact,
    /// The containers of a pod end with this exit code.
    Kill {
        /// `namespace/name` of the pod.
        pod: String,
        /// The exit code; 137 for out of memory.
        exit_code: i32,
    },
    /// A workload gets so much work to do, shared by its ready pods.
    Load {
        /// `namespace/name` of the Deployment.
        workload: String,
        /// Thousandths of a CPU.
        milli_cpu: i64,
    },
}

impl Engine {
    /// Does something to the cluster; an error if no component knows of it.
    pub fn fault(&mut self, fault: &Fault) -> Result<(), String> {
        let begin = self.server.end();
        self.server.enter(self.agenda.now(), &self.user);
        let mut known = self.fault_of_control_plane(fault).map_err(|error| error.message)?;
        self.tell(begin);
        if known {
            return Ok(());
        }
        for index in 0..self.components.len() {
            let begin = self.server.end();
            known |= self.touch(index, |component, world| component.fault(fault, world))?;
            self.tell(begin);
            self.ask_for_wake(index);
        }
        if known { Ok(()) } else { Err(format!("nothing in this cluster can do {fault:?}")) }
    }

    fn fault_of_control_plane(&mut self, fault: &Fault) -> Result<bool, Error> {
        const SERVER: &str = "kube-apiserver";
        const NO_PLANE: &str = "the control plane fails only where `cluster` has hosts for it: `control_planes: 3`";
        let Some(plane) = &mut self.control_plane else {
            let named = |name: &str| name == SERVER || name.starts_with("control-plane-");
            return match fault {
                Fault::Fill | Fault::Free | Fault::Compact => Err(Error::bad_request(NO_PLANE)),
                Fault::Crash(of)
                | Fault::Restart(of)
                | Fault::Partition(of)
                | Fault::Heal(of)
                | Fault::Skew { of, .. }
                    if named(of) =>
                {
                    Err(Error::bad_request(NO_PLANE))
                }
                _ => Ok(false),
            };
        };
        let server = &mut self.server;
        match fault {
            Fault::Crash(name) if name == SERVER => plane.stop_server(true, server).map(|()| true),
            Fault::Restart(name) if name == SERVER => plane.stop_server(false, server).map(|()| true),
            Fault::Crash(name) => plane.fault(name, HostFault::Crash, server),
            Fault::Restart(name) => plane.fault(name, HostFault::Restart, server),
            Fault::Partition(name) => plane.fault(name, HostFault::Partition, server),
            Fault::Heal(name) => plane.fault(name, HostFault::Heal, server),
            Fault::Skew { of, by } => plane.fault(of, HostFault::Skew(*by), server),
            Fault::Fill | Fault::Free => {
                server.set_full(*fault == Fault::Fill);
                Ok(true)
            }
            Fault::Compact => {
                server.forget_history();
                Ok(true)
            }
            Fault::Kill { .. } | Fault::Load { .. } => Ok(false),
        }
    }
}
