//! A pod as the module of `node/pod_lifecycle` sees it, and what its answer is called in events.

use super::{Found, Kill, Known, State, Status, Why};
use crate::termination::Reason;
use kit_api::core::{Container, PodSpec};
use kit_api::pod_resources::is_sidecar;
use kit_contract::node::pod_lifecycle as contract;
use kit_contract::node::pod_lifecycle::{Fault, RestartPolicy};

/// Any other word than these two is `Always`.
pub fn policy(word: &str) -> RestartPolicy {
    match word {
        "Never" => RestartPolicy::Never,
        "OnFailure" => RestartPolicy::OnFailure,
        _ => RestartPolicy::Always,
    }
}

pub fn pod(spec: &PodSpec, known: &Known) -> contract::Pod {
    let view = |is_init: bool, container: &Container| {
        let status = known.of(container);
        let sidecar = is_init && is_sidecar(container);
        let fault = status.filter(|_| sidecar || !is_init).and_then(|status| fault(sidecar, container, status));
        contract::Container {
            name: container.name.clone(),
            sidecar,
            state: status.map(state),
            fault: fault.map(|fault| if fault == Cause::Changed { Fault::Changed } else { Fault::Probe }),
            started: sidecar && status.is_some_and(|status| has_started(container, status)),
        }
    };
    contract::Pod {
        restart_policy: policy(spec.restart_policy.as_deref().unwrap_or("Always")),
        init: spec.init_containers.iter().flatten().map(|container| view(true, container)).collect(),
        containers: spec.containers.iter().map(|container| view(false, container)).collect(),
    }
}

fn state(status: &Status) -> contract::State {
    match status.state {
        State::Created => contract::State::Created,
        State::Running => contract::State::Running,
        State::Unknown => contract::State::Unknown,
        // Who was killed for its memory has failed, whatever its code.
        State::Exited if status.exit_code == 0 && status.reason == "OOMKilled" => contract::State::Exited(137),
        State::Exited => contract::State::Exited(status.exit_code),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Cause {
    Changed,
    Probe(Reason),
}

fn has_started(container: &Container, status: &Status) -> bool {
    status.state == State::Running && (container.startup_probe.is_none() || status.startup == Some(Found::Success))
}

fn fault(sidecar: bool, container: &Container, status: &Status) -> Option<Cause> {
    if status.state != State::Running {
        return None;
    }
    let startup = status.startup == Some(Found::Failure);
    let liveness = status.liveness == Some(Found::Failure);
    if sidecar && !has_started(container, status) {
        // Nothing else is asked before it has come up.
        return startup.then_some(Cause::Probe(Reason::StartupProbe));
    }
    match () {
        () if status.changed => Some(Cause::Changed),
        () if liveness && (!sidecar || container.liveness_probe.is_some()) => Some(Cause::Probe(Reason::LivenessProbe)),
        () if startup && !sidecar => Some(Cause::Probe(Reason::StartupProbe)),
        () => None,
    }
}

/// What is said of a container that is killed, and started `again`.
pub fn kill(is_init: bool, container: &Container, status: Option<&Status>, again: bool) -> Kill {
    let name = &container.name;
    let what = if is_init { "Init container" } else { "Container" };
    let cause = status.and_then(|status| fault(is_init && is_sidecar(container), container, status));
    let after = if again { ", will be restarted" } else { "" };
    let (message, reason) = match cause {
        // It may run, so it is stopped before it runs twice.
        None => (format!("{what} is in \"unknown\" state, try killing it before restart"), Some(Why::Unknown)),
        Some(Cause::Changed) => (format!("{what} {name} definition changed{after}"), None),
        Some(Cause::Probe(reason)) => {
            let probe = match reason {
                Reason::LivenessProbe => "liveness",
                Reason::StartupProbe => "startup",
            };
            (format!("{what} {name} failed {probe} probe{after}"), Some(Why::Probe(reason)))
        }
    };
    Kill { name: name.clone(), message, reason }
}
