//! What one sync of a pod does, from its spec and what the container runtime knows.
//!
//! [`actions()`] decides, and [`status`] tells; nothing is carried out here. [`resize`] says how containers get other resources while they run.
//!
//! Sources: `computePodActions` of `pkg/kubelet/kuberuntime/kuberuntime_manager.go`, `computeInitContainerActions` of
//! `pkg/kubelet/kuberuntime/kuberuntime_container.go`, `pkg/kubelet/kuberuntime/util/util.go` and
//! `pkg/kubelet/container/helpers.go`.

mod init;
pub mod resize;
pub mod status;

use crate::termination;
use kit_api::core::{Container, Pod};

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

/// What one sync does (`computePodActions`).
pub fn actions(pod: &Pod, known: &Known) -> Actions {
    let Some(spec) = &pod.spec else { return Actions::default() };
    let policy = spec.restart_policy.as_deref().unwrap_or("Always");
    let restarts = policy != "Never";
    let (create, attempt) = sandbox_changed(&known.sandboxes);
    let mut actions = Actions { kill_pod: create, create_sandbox: create, attempt, ..Actions::default() };
    if create {
        if !restarts && attempt != 0 && !known.statuses.is_empty() {
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
        return actions;
    }

    // They don't wait for init containers, and run once.
    let ephemeral = spec.ephemeral_containers.iter().flatten().enumerate();
    let new = ephemeral.filter(|(_, container)| !known.statuses.iter().any(|status| status.name == container.name));
    actions.ephemeral = new.map(|(index, _)| index).collect();

    let initialized = init::decide(spec, known, restarts, &mut actions);
    if actions.kill_pod || !initialized {
        return actions;
    }

    let mut kept = 0;
    for (index, container) in spec.containers.iter().enumerate() {
        let status = known.of(container);
        let Some(status) = status.filter(|status| status.state == State::Running) else {
            if is_to_be_started(pod, policy, status) {
                actions.start.push(index);
                if status.is_some_and(|status| status.state == State::Unknown) {
                    actions.kill.push(unknown(container, "Container"));
                }
            }
            continue;
        };
        let name = &container.name;
        let (message, why, restarts) = if status.changed {
            // Whatever the restart policy says.
            (format!("Container {name} definition changed"), None, true)
        } else if status.liveness == Some(Found::Failure) {
            let why = Why::Probe(termination::Reason::LivenessProbe);
            (format!("Container {name} failed liveness probe"), Some(why), restarts)
        } else if status.startup == Some(Found::Failure) {
            let why = Why::Probe(termination::Reason::StartupProbe);
            (format!("Container {name} failed startup probe"), Some(why), restarts)
        } else {
            kept += 1;
            continue;
        };
        let message = if restarts { format!("{message}, will be restarted") } else { message };
        if restarts {
            actions.start.push(index);
        }
        actions.kill.push(Kill { name: name.clone(), message, reason: why });
    }
    if kept == 0 && actions.start.is_empty() {
        actions.kill_pod = true;
        // Sidecars don't keep a pod alive.
        actions.init.clear();
    }
    actions
}

/// Whether a pod needs a new sandbox, and the attempt that it is at (`PodSandboxChanged`).
fn sandbox_changed(sandboxes: &[Sandbox]) -> (bool, u32) {
    let Some(last) = sandboxes.first() else { return (true, 0) };
    let several = sandboxes.iter().filter(|sandbox| sandbox.ready).count() > 1;
    let broken = !last.ready || last.ip.as_deref() == Some("");
    if several || broken { (true, last.attempt + 1) } else { (false, last.attempt) }
}

/// Whether a container that doesn't run is to be started (`ShouldContainerBeRestarted`).
fn is_to_be_started(pod: &Pod, policy: &str, status: Option<&Status>) -> bool {
    if pod.metadata.deletion_timestamp.is_some() {
        return false;
    }
    is_started_again(policy, status.map(|status| (status.state, status.exit_code)))
}

/// The same in a pod that stays, after a last run in some state and with some exit code.
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

/// It may run, so it is stopped before it runs twice.
fn unknown(container: &Container, what: &str) -> Kill {
    Kill {
        name: container.name.clone(),
        message: format!("{what} is in \"unknown\" state, try killing it before restart"),
        reason: Some(Why::Unknown),
    }
}
