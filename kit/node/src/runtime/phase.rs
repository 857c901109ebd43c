//! What a pod's status says, given the statuses of its containers: the phase and the conditions.
//!
//! The module of `node/pod_lifecycle` decides. Readiness gates, and what is said before anything is known of the containers, are
//! added here. Source: `pkg/kubelet/status/generate.go`.

use super::view;
use kit_api::core::{ContainerState, ContainerStatus, PodCondition, PodSpec};
use kit_api::pod_resources::is_sidecar;
use kit_contract::node::PodLifecycle;
use kit_contract::node::pod_lifecycle::{self as contract, Condition, Phase, Reason, Reported, Seen};

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

/// What is said of a pod as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// `phase`
    pub phase: &'static str,
    /// The condition Initialized.
    pub initialized: Said,
    /// The condition ContainersReady.
    pub containers_ready: Said,
}

/// What is said of a pod whose containers, init containers included, have these statuses, under this restart policy; `ending` says that
/// nothing of it will be started again, since it is being deleted or was evicted.
pub fn summary(
    spec: &PodSpec,
    policy: &str,
    statuses: &[ContainerStatus],
    ending: bool,
    module: &dyn PodLifecycle,
) -> Summary {
    let asked = reported(spec, policy, statuses, ending);
    let contract::Status { phase, initialized, containers_ready } = module.status(&asked);
    let phase = match phase {
        Phase::Pending => "Pending",
        Phase::Running => "Running",
        Phase::Succeeded => "Succeeded",
        Phase::Failed => "Failed",
    };
    let nothing_known = || Said::no("UnknownContainerStatuses", None);
    let (initialized, containers_ready) = match statuses {
        [] if asked.init.is_empty() => (Said::YES, nothing_known()),
        [] => (nothing_known(), nothing_known()),
        _ => (said(&initialized, "incomplete", &asked), said(&containers_ready, "unready", &asked)),
    };
    Summary { phase, initialized, containers_ready }
}

fn reported(spec: &PodSpec, policy: &str, statuses: &[ContainerStatus], ending: bool) -> Reported {
    let view = |name: &str, sidecar: bool| {
        let status = statuses.iter().find(|status| status.name == name);
        contract::ContainerStatus {
            name: name.into(),
            sidecar,
            state: status.and_then(seen),
            started: status.is_some_and(|status| status.started == Some(true)),
            ready: status.is_some_and(|status| status.ready),
        }
    };
    let init = spec.init_containers.iter().flatten();
    Reported {
        restart_policy: view::policy(policy),
        ending,
        init: init.map(|container| view(&container.name, is_sidecar(container))).collect(),
        containers: spec.containers.iter().map(|container| view(&container.name, false)).collect(),
    }
}

fn seen(status: &ContainerStatus) -> Option<Seen> {
    let last = status.last_state.as_ref().and_then(|state| state.terminated.as_ref());
    match status.state.as_ref()? {
        ContainerState { running: Some(_), .. } => Some(Seen::Running),
        ContainerState { terminated: Some(end), .. } => Some(Seen::Terminated(end.exit_code)),
        ContainerState { waiting: Some(_), .. } => {
            Some(last.map_or(Seen::Waiting, |end| Seen::BackingOff(end.exit_code)))
        }
        _ => None,
    }
}

/// Names are grouped by whether anything is known of them.
fn said(condition: &Condition, word: &str, asked: &Reported) -> Said {
    let reason = condition.reason.map(|reason| match reason {
        Reason::PodCompleted => "PodCompleted",
        Reason::PodFailed => "PodFailed",
        Reason::ContainersNotReady => "ContainersNotReady",
        Reason::ContainersNotInitialized => "ContainersNotInitialized",
    });
    let all = || asked.init.iter().chain(&asked.containers);
    let is_unknown = |name: &str| all().any(|it| it.name == name && it.state.is_none());
    let list = |word: &str, unknown: bool| {
        let names = condition.waits_for.iter().map(String::as_str).filter(|name| is_unknown(name) == unknown);
        let names: Vec<&str> = names.collect();
        (!names.is_empty()).then(|| format!("containers with {word} status: [{}]", names.join(" ")))
    };
    let lists: Vec<String> = list("unknown", true).into_iter().chain(list(word, false)).collect();
    let message = (!lists.is_empty()).then(|| lists.join(", "));
    Said { holds: condition.status, reason, message }
}

/// The condition Ready: the containers are, and `conditions` hold what each readiness gate asks for.
pub fn ready(spec: &PodSpec, conditions: &[PodCondition], containers_ready: &Said) -> Said {
    if !containers_ready.holds {
        return containers_ready.clone();
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
