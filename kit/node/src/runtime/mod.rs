//! What one sync of a pod does, from its spec and what the container runtime knows.
//!
//! [`actions()`] decides, and [`status`] and [`phase`] tell; nothing is carried out here. What becomes of containers is decided by the module
//! of `node/pod_lifecycle`. [`resize`] says how containers get other resources while they run.
//!
//! Sources: `computePodActions` of `pkg/kubelet/kuberuntime/kuberuntime_manager.go`, `computeInitContainerActions` of
//! `pkg/kubelet/kuberuntime/kuberuntime_container.go`, `pkg/kubelet/kuberuntime/util/util.go` and
//! `pkg/kubelet/container/helpers.go`.

pub mod phase;
pub mod resize;
pub mod status;
mod view;

use crate::termination;
use kit_api::core::{Container, Pod, PodSpec};
use kit_contract::node::PodLifecycle;
use kit_contract::node::pod_lifecycle as contract;
use kit_contract::node::pod_lifecycle::Container as View;

/// What the runtime says of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It was made, and not started.
    Created,
    /// It runs.
    Running,
    /// It has ended.
    Exited,
    /// The runtime doesn't know.
    Unknown,
}

/// What is known of the last run of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The name of the container.
    pub name: String,
    /// Whether it runs.
    pub state: State,
    /// Of one that has ended.
    pub exit_code: i32,
    /// Why it has ended.
    pub reason: String,
    /// Whether its spec was another one when it was made.
    pub changed: bool,
    /// What its liveness probe found last; nothing before the first result.
    pub liveness: Option<Found>,
    /// What its startup probe found last.
    pub startup: Option<Found>,
}

/// A result of a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// It is well.
    Success,
    /// It is not.
    Failure,
    /// It was not asked yet.
    Unknown,
}

/// A sandbox of a pod, as the runtime knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sandbox {
    /// How many there were before.
    pub attempt: u32,
    /// Whether it is up.
    pub ready: bool,
    /// Its address; none in the network of the host.
    pub ip: Option<String>,
}

/// A container to be stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kill {
    /// Its name.
    pub name: String,
    /// What its event says.
    pub message: String,
    /// What its grace period depends on.
    pub reason: Option<Why>,
}

/// Why a container is stopped, where its spec hasn't changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// A probe failed.
    Probe(termination::Reason),
    /// Nobody knows whether it runs.
    Unknown,
}

/// What a sync does, in this order. Containers are named by their place in the spec, and started in the order of the lists.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Actions {
    /// Stop all containers, and the sandbox.
    pub kill_pod: bool,
    /// Make a new sandbox.
    pub create_sandbox: bool,
    /// Which one it is.
    pub attempt: u32,
    /// Stop these.
    pub kill: Vec<Kill>,
    /// Start these of `ephemeralContainers`.
    pub ephemeral: Vec<usize>,
    /// Start these of `initContainers`.
    pub init: Vec<usize>,
    /// Start these of `containers`.
    pub start: Vec<usize>,
}

/// What the runtime knows of a pod: sandboxes and runs of containers, the newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    /// Its sandboxes.
    pub sandboxes: Vec<Sandbox>,
    /// The runs of its containers.
    pub statuses: Vec<Status>,
}

impl Known {
    fn of(&self, container: &Container) -> Option<&Status> {
        self.statuses.iter().find(|status| status.name == container.name)
    }
}

/// What one sync does (`computePodActions`). What becomes of its containers in a sandbox that stays is the module's decision.
pub fn actions(pod: &Pod, known: &Known, module: &dyn PodLifecycle) -> Actions {
    let Some(spec) = &pod.spec else { return Actions::default() };
    let policy = spec.restart_policy.as_deref().unwrap_or("Always");
    let (create, attempt) = sandbox_changed(&known.sandboxes);
    if create {
        return in_new_sandbox(spec, policy, known, attempt);
    }
    let mut actions = Actions { attempt, ..Actions::default() };

    // They don't wait for init containers, and run once.
    let ephemeral = spec.ephemeral_containers.iter().flatten().enumerate();
    let new = ephemeral.filter(|(_, container)| !known.statuses.iter().any(|status| status.name == container.name));
    actions.ephemeral = new.map(|(index, _)| index).collect();

    let asked = view::pod(spec, known);
    let mut decided = module.actions(&asked);
    if pod.metadata.deletion_timestamp.is_some() {
        start_nothing_new(&asked, &mut decided);
    }
    let indexes = |containers: &[View]| -> Vec<usize> {
        let all = containers.iter().enumerate();
        all.filter(|(_, container)| decided.start.contains(&container.name)).map(|(index, _)| index).collect()
    };
    (actions.init, actions.start) = (indexes(&asked.init), indexes(&asked.containers));
    actions.kill_pod = decided.kill_pod;
    let inits = spec.init_containers.iter().flatten().map(|container| (true, container));
    let all = inits.chain(spec.containers.iter().map(|container| (false, container)));
    let killed = all.filter(|(_, container)| decided.kill.contains(&container.name));
    let kill = |(is_init, container): (bool, &Container)| {
        let again = !is_init && decided.start.contains(&container.name);
        view::kill(is_init, container, known.of(container), again)
    };
    actions.kill = killed.map(kill).collect();
    actions
}

/// What is left to do begins anew, init containers first.
fn in_new_sandbox(spec: &PodSpec, policy: &str, known: &Known, attempt: u32) -> Actions {
    let mut actions = Actions { kill_pod: true, create_sandbox: true, attempt, ..Actions::default() };
    if policy == "Never" && attempt != 0 && !known.statuses.is_empty() {
        actions.create_sandbox = false;
        return actions;
    }
    let succeeded = |container: &Container| {
        known.of(container).is_some_and(|status| status.state == State::Exited && status.exit_code == 0)
    };
    let left = |(_, container): &(usize, &Container)| policy != "OnFailure" || !succeeded(container);
    let start: Vec<usize> = spec.containers.iter().enumerate().filter(left).map(|(index, _)| index).collect();
    let created = |container: &Container| known.of(container).is_some_and(|status| status.state != State::Unknown);
    if start.is_empty() && spec.containers.iter().any(created) {
        // Nothing is left to do in it.
        actions.create_sandbox = false;
    } else if spec.init_containers.iter().flatten().next().is_some() {
        actions.init = vec![0];
    } else {
        actions.start = start;
    }
    actions
}

/// Of a pod that is being deleted only what runs is started again (`ShouldContainerBeRestarted`).
fn start_nothing_new(asked: &contract::Pod, decided: &mut contract::Actions) {
    let runs = |main: &&View| main.state == Some(contract::State::Running);
    let new: Vec<&String> = asked.containers.iter().filter(|main| !runs(main)).map(|main| &main.name).collect();
    let before = decided.start.len();
    decided.start.retain(|name| !new.contains(&name));
    decided.kill.retain(|name| !new.contains(&name));
    let goes_on = |main: &View| decided.start.contains(&main.name) || runs(&main) && main.fault.is_none();
    if decided.start.len() < before && !asked.containers.iter().any(goes_on) {
        decided.kill_pod = true;
        decided.start.clear();
    }
}

/// Whether a pod needs a new sandbox, and the attempt that it is at (`PodSandboxChanged`).
fn sandbox_changed(sandboxes: &[Sandbox]) -> (bool, u32) {
    let Some(last) = sandboxes.first() else { return (true, 0) };
    let several = sandboxes.iter().filter(|sandbox| sandbox.ready).count() > 1;
    let broken = !last.ready || last.ip.as_deref() == Some("");
    if several || broken { (true, last.attempt + 1) } else { (false, last.attempt) }
}

/// Whether a container is started again after a last run in some state and with some exit code.
fn is_started_again(policy: &str, last: Option<(State, i32)>) -> bool {
    match last {
        None | Some((State::Unknown | State::Created, _)) => true,
        Some((State::Running, _)) => false,
        Some((State::Exited, exit_code)) => restarts(policy, exit_code),
    }
}

/// Whether a container is started again that has ended like this.
pub fn restarts(policy: &str, exit_code: i32) -> bool {
    policy == "Always" || policy == "OnFailure" && exit_code != 0
}
