//! What runs in the containers, for simulated programs that outlive a look at them: databases and their clients.

use super::Kubelets;
use super::image;
use super::static_pods::is_of;
use kit_api::core::Pod;
use kit_api::volume;
use kit_apimachinery::object::Key;
use kit_client::component::World;
use kit_time::agenda::Instant;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// One process that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its pod.
    pub pod: Key,
    /// Its node.
    pub node: String,
    /// Since when it runs: a container that was started anew is another process.
    pub since: Instant,
    /// What its image is called, without its path and its version.
    pub program: String,
    /// What it was started with.
    pub args: Vec<String>,
    /// The labels of its pod.
    pub labels: BTreeMap<String, String>,
    /// The first claim of the pod.
    pub claim: Option<String>,
    /// Whether it was asked to end.
    pub stopping: bool,
}

/// What can be seen of all nodes at once.
#[derive(Debug, Clone, Default)]
pub struct Running {
    /// Of each pod the process of its first container, by uid.
    pub processes: BTreeMap<String, Process>,
    /// Whether each node hears the control plane and the other nodes; those without power are left out.
    pub nodes: BTreeMap<String, bool>,
}

/// Kubelets write it, and simulated programs read it.
pub type Shared = Rc<RefCell<Running>>;

impl Kubelets {
    /// Kubelets that tell here what runs.
    pub fn with_processes(self, shared: Shared) -> Self {
        Kubelets { processes: Some(shared), ..self }
    }

    /// Says what runs now, if anybody wants to know.
    pub(super) fn list_processes(&self, world: &World<'_>) {
        let Some(shared) = &self.processes else { return };
        let mut running = Running::default();
        for (node, kubelet) in self.nodes.iter().filter(|(_, kubelet)| kubelet.up) {
            running.nodes.insert(node.clone(), kubelet.connected);
            for (uid, pod) in &kubelet.pods {
                let Some((_, since, _)) = pod.worker.usage_of_containers().into_iter().next() else { continue };
                let stored = world.server.get(&pod.key).ok().cloned();
                let known = stored.as_ref().and_then(|stored| stored.get::<Pod>());
                // The control plane may have forgotten a pod that still runs.
                let before = shared.borrow().processes.get(uid).cloned();
                let Some(process) =
                    known.filter(|pod| is_of(pod, uid)).map_or(before, |known| process(known, &pod.key))
                else {
                    continue;
                };
                let stopping = pod.worker.stops_at.is_some();
                running.processes.insert(uid.clone(), Process { node: node.clone(), since, stopping, ..process });
            }
        }
        *shared.borrow_mut() = running;
    }
}

fn process(pod: &Pod, key: &Key) -> Option<Process> {
    let spec = pod.spec.as_ref()?;
    let container = spec.containers.first()?;
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let claim = spec.volumes.iter().flatten().find_map(|it| Some(volume::claim_of(name, it)?.name));
    Some(Process {
        pod: key.clone(),
        node: String::new(),
        since: Instant::default(),
        program: image::called(container.image.as_deref()?).into(),
        args: container.args.clone().unwrap_or_default(),
        labels: pod.metadata.labels.clone().unwrap_or_default(),
        claim,
        stopping: false,
    })
}
