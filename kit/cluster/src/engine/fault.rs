//! Faults, done to whatever they are about: the hosts of the control plane, or a component that knows of them.

use super::Engine;
use crate::control_plane::HostFault;
use kit_client::fault::Fault;
use kit_server::Error;

impl Engine {
    /// Does something to the cluster; an error if no component knows of it.
    pub fn fault(&mut self, fault: &Fault) -> Result<(), String> {
        tracing::debug!(t = %self.agenda.now(), ?fault, "a fault");
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
        let Some(plane) = self.control_plane.as_mut().filter(|plane| plane.can_fail()) else {
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
        let (server, now) = (&mut self.server, self.agenda.now());
        match fault {
            Fault::Crash(name) if name == SERVER => plane.stop_server(true, server).map(|()| true),
            Fault::Restart(name) if name == SERVER => plane.stop_server(false, server).map(|()| true),
            Fault::Crash(name) => plane.fault(name, HostFault::Crash, server, now),
            Fault::Restart(name) => plane.fault(name, HostFault::Restart, server, now),
            Fault::Partition(name) => plane.fault(name, HostFault::Partition, server, now),
            Fault::Heal(name) => plane.fault(name, HostFault::Heal, server, now),
            Fault::Skew { of, by } => plane.fault(of, HostFault::Skew(*by), server, now),
            Fault::Fill | Fault::Free => {
                server.set_full(*fault == Fault::Fill);
                Ok(true)
            }
            Fault::Compact => {
                server.forget_history();
                Ok(true)
            }
            Fault::ShutDown(_) | Fault::Kill { .. } | Fault::Load { .. } => Ok(false),
            Fault::Cloud(_) | Fault::Network(_) | Fault::Source(_) | Fault::Volumes(..) => Ok(false),
        }
    }
}
