//! What a pod's status says, given the state of its containers: the phase and the conditions.
//!
//! Sources: `pkg/kubelet/kubelet_pods.go` (`getPhase`) and `pkg/kubelet/status/generate.go`. The kubelet of the cluster
//! writes what is computed here.

use crate::core::{ContainerStateTerminated, ContainerStatus, PodCondition, PodSpec};
use crate::pod_resources::is_sidecar;

/// What a condition says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    /// Whether it holds.
    pub holds: bool,
    /// Why, in one word.
    pub reason: Option<&'static str>,
    /// Why, in a sentence.
    pub message: Option<String>,
}

impl Said {
    /// `True`, for no reason.
    pub const YES: Said = Said { holds: true, reason: None, message: None };

    fn no(reason: &'static str, message: Option<String>) -> Said {
        Said { holds: false, reason: Some(reason), message }
    }

    /// `True` or `False`.
    pub fn status(&self) -> &'static str {
        if self.holds { "True" } else { "False" }
    }
}

/// What a container does now, or did last.
enum Doing<'a> {
    Running,
    Ended(&'a ContainerStateTerminated),
    /// It waits, for the first time or to be restarted after it ended like this.
    Waiting(Option<&'a ContainerStateTerminated>),
    Nothing,
}

fn doing(status: Option<&ContainerStatus>) -> Doing<'_> {
    let Some(status) = status else { return Doing::Nothing };
    let last = status.last_state.as_ref().and_then(|state| state.terminated.as_ref());
    match &status.state {
        Some(state) if state.running.is_some() => Doing::Running,
        Some(state) if state.terminated.is_some() => state.terminated.as_ref().map_or(Doing::Nothing, Doing::Ended),
        Some(state) if state.waiting.is_some() => Doing::Waiting(last),
        _ => Doing::Nothing,
    }
}

fn of<'a>(statuses: &'a [ContainerStatus], name: &str) -> Option<&'a ContainerStatus> {
    statuses.iter().find(|status| status.name == name)
}

/// Whether one of the regular containers runs or has ended, and is not waiting to be restarted
/// (`HasAnyRegularContainerStarted` of `pkg/kubelet/container/helpers.go`).
fn any_regular_container_started(spec: &PodSpec, statuses: &[ContainerStatus]) -> bool {
    let started = |name: &str| matches!(doing(of(statuses, name)), Doing::Running | Doing::Ended(_));
    spec.containers.iter().any(|container| started(&container.name))
}

/// Whether there ever was one of the regular containers: then the pod was initialized before
/// (`HasAnyRegularContainerCreated`, which asks the container runtime).
pub fn any_regular_container_created(spec: &PodSpec, statuses: &[ContainerStatus]) -> bool {
    let created = |name: &str| {
        let status = of(statuses, name);
        let before = status.and_then(|status| status.last_state.as_ref()?.terminated.as_ref());
        before.is_some() || matches!(doing(status), Doing::Running | Doing::Ended(_))
    };
    spec.containers.iter().any(|container| created(&container.name))
}

/// The phase of a pod. `statuses` are those of all its containers, init containers included; `terminal` says that
/// nothing of it will be started again, since it is being deleted or was evicted.
pub fn phase(spec: &PodSpec, statuses: &[ContainerStatus], terminal: bool) -> &'static str {
    let policy = spec.restart_policy.as_deref().unwrap_or("Always");
    let (mut pending_inits, mut pending_sidecars, mut failed_inits) = (0, 0, 0);
    let (mut unknown, mut running, mut waiting, mut stopped, mut succeeded) = (0, 0, 0, 0, 0);
    for container in spec.init_containers.iter().flatten() {
        let status = of(statuses, &container.name);
        match (is_sidecar(container), doing(status)) {
            (false, Doing::Ended(end) | Doing::Waiting(Some(end))) => failed_inits += i32::from(end.exit_code != 0),
            (false, _) => pending_inits += 1,
            (true, Doing::Running) => {
                let started = status.and_then(|status| status.started) == Some(true);
                pending_sidecars += i32::from(!started);
                running += 1;
            }
            // A sidecar that ended, and may be started again, doesn't count.
            (true, Doing::Ended(_) | Doing::Waiting(Some(_))) => {}
            (true, Doing::Waiting(None)) => {
                pending_sidecars += 1;
                waiting += 1;
            }
            (true, Doing::Nothing) => {
                pending_sidecars += i32::from(status.is_some());
                unknown += 1;
            }
        }
    }
    for container in &spec.containers {
        match doing(of(statuses, &container.name)) {
            Doing::Running => running += 1,
            Doing::Ended(end) => {
                stopped += 1;
                succeeded += i32::from(end.exit_code == 0);
            }
            Doing::Waiting(Some(_)) => stopped += 1,
            Doing::Waiting(None) => waiting += 1,
            Doing::Nothing => unknown += 1,
        }
    }
    if failed_inits > 0 && policy == "Never" {
        return "Failed";
    }
    let initialized = any_regular_container_created(spec, statuses);
    match () {
        () if pending_inits > 0 || pending_sidecars > 0 && !initialized || waiting > 0 => "Pending",
        () if running > 0 && unknown == 0 => "Running",
        () if running == 0 && stopped > 0 && unknown == 0 => match stopped == succeeded {
            true if terminal || policy != "Always" => "Succeeded",
            false if terminal || policy == "Never" => "Failed",
            _ => "Running",
        },
        () => "Pending",
    }
}

/// The condition ContainersReady; `statuses` is none as long as nothing is known of the containers.
pub fn containers_ready(spec: &PodSpec, statuses: Option<&[ContainerStatus]>, phase: &str) -> Said {
    let Some(statuses) = statuses else { return Said::no("UnknownContainerStatuses", None) };
    let sidecars = spec.init_containers.iter().flatten().filter(|container| is_sidecar(container));
    let (mut unknown, mut unready) = (Vec::new(), Vec::new());
    for container in sidecars.chain(&spec.containers) {
        match of(statuses, &container.name) {
            None => unknown.push(container.name.as_str()),
            Some(status) if !status.ready => unready.push(container.name.as_str()),
            Some(_) => {}
        }
    }
    match phase {
        "Succeeded" if unknown.is_empty() => Said::no("PodCompleted", None),
        "Failed" => Said::no("PodFailed", None),
        _ => complain("ContainersNotReady", &unknown, "unready", &unready),
    }
}

/// The condition Ready: the containers are, and `conditions` hold what each readiness gate asks for.
pub fn ready(spec: &PodSpec, conditions: &[PodCondition], statuses: Option<&[ContainerStatus]>, phase: &str) -> Said {
    let containers = containers_ready(spec, statuses, phase);
    if !containers.holds {
        return containers;
    }
    let gates = spec.readiness_gates.iter().flatten().filter_map(|gate| {
        let type_ = &gate.condition_type;
        match conditions.iter().find(|condition| condition.type_ == *type_) {
            None => Some(format!("corresponding condition of pod readiness gate {type_:?} does not exist.")),
            Some(c) if c.status != "True" => {
                Some(format!("the status of pod readiness gate {type_:?} is not \"True\", but {}", c.status))
            }
            Some(_) => None,
        }
    });
    let missing: Vec<String> = gates.collect();
    if missing.is_empty() { Said::YES } else { Said::no("ReadinessGatesNotReady", Some(missing.join(", "))) }
}

/// The condition Initialized: all init containers have ended well, and sidecars have started.
pub fn initialized(spec: &PodSpec, statuses: Option<&[ContainerStatus]>, phase: &str) -> Said {
    let inits = spec.init_containers.as_deref().unwrap_or_default();
    let Some(statuses) = statuses else {
        return if inits.is_empty() { Said::YES } else { Said::no("UnknownContainerStatuses", None) };
    };
    let (mut unknown, mut incomplete) = (Vec::new(), Vec::new());
    for container in inits {
        let done = |status: &ContainerStatus| {
            if is_sidecar(container) { status.started == Some(true) } else { status.ready }
        };
        match of(statuses, &container.name) {
            None => unknown.push(container.name.as_str()),
            Some(status) if !done(status) => incomplete.push(container.name.as_str()),
            Some(_) => {}
        }
    }
    if phase == "Succeeded" && unknown.is_empty() {
        return Said { reason: Some("PodCompleted"), ..Said::YES };
    }
    if any_regular_container_started(spec, statuses) {
        return Said::YES;
    }
    complain("ContainersNotInitialized", &unknown, "incomplete", &incomplete)
}

fn complain(reason: &'static str, unknown: &[&str], word: &str, others: &[&str]) -> Said {
    let list = |word: &str, names: &[&str]| {
        (!names.is_empty()).then(|| format!("containers with {word} status: [{}]", names.join(" ")))
    };
    let lists: Vec<String> = list("unknown", unknown).into_iter().chain(list(word, others)).collect();
    if lists.is_empty() { Said::YES } else { Said::no(reason, Some(lists.join(", "))) }
}
