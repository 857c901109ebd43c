//! How far a pod's init containers are, and which of them are started next.

use super::{Actions, Found, Kill, Known, State, Status, Why, unknown};
use crate::termination::Reason;
use kit_api::core::{Container, PodSpec};
use kit_api::pod_resources::is_sidecar;

/// Adds what is done about init containers; whether all are through is the answer (`computeInitContainerActions`).
pub fn decide(spec: &PodSpec, known: &Known, restarts: bool, actions: &mut Actions) -> bool {
    let all: Vec<&Container> = spec.init_containers.iter().flatten().collect();
    if all.is_empty() {
        return true;
    }
    // One that has ended may be of an earlier sandbox, and says nothing.
    let has_begun = |status: &Status| matches!(status.state, State::Created | State::Running);
    let mut initialized = spec.containers.iter().any(|container| known.of(container).is_some_and(has_begun));
    let mut later_began = initialized;
    // The runtime forgets those that are through, so the last one that is known counts.
    for (index, container) in all.iter().enumerate().rev() {
        let sidecar = is_sidecar(container);
        let Some(status) = known.of(container) else {
            if later_began && sidecar {
                actions.init.push(index);
            }
            continue;
        };
        if later_began && !sidecar {
            continue;
        }
        let mut done = |actions: &mut Actions| {
            if index + 1 == all.len() {
                initialized = true;
            } else if !later_began {
                actions.init.push(index + 1);
            }
        };
        match status.state {
            State::Created => actions.init.push(index),
            State::Running if sidecar => match sidecar_started(container, status) {
                Started::NotYet => {}
                Started::Failed => again(actions, index, failed(container, Reason::StartupProbe)),
                Started::Yes => {
                    done(actions);
                    if status.changed {
                        let message = format!("Init container {} definition changed", container.name);
                        again(actions, index, Kill { name: container.name.clone(), message, reason: None });
                    } else if container.liveness_probe.is_some() && status.liveness == Some(Found::Failure) {
                        again(actions, index, failed(container, Reason::LivenessProbe));
                    }
                }
            },
            State::Running => {}
            State::Exited if sidecar => actions.init.push(index),
            State::Exited if status.exit_code == 0 && status.reason != "OOMKilled" => done(actions),
            State::Exited | State::Unknown if !sidecar && !restarts => {
                actions.kill_pod = true;
                actions.init.clear();
                return false;
            }
            State::Exited => actions.init.push(index),
            State::Unknown => again(actions, index, unknown(container, "Init container")),
        }
        later_began = true;
    }
    if !later_began {
        actions.init.push(0);
    }
    actions.init.reverse();
    initialized
}

enum Started {
    Yes,
    NotYet,
    Failed,
}

fn sidecar_started(container: &Container, status: &Status) -> Started {
    match status.startup {
        _ if container.startup_probe.is_none() => Started::Yes,
        Some(Found::Success) => Started::Yes,
        Some(Found::Failure) => Started::Failed,
        Some(Found::Unknown) | None => Started::NotYet,
    }
}

fn failed(container: &Container, reason: Reason) -> Kill {
    let probe = match reason {
        Reason::LivenessProbe => "liveness",
        Reason::StartupProbe => "startup",
    };
    let message = format!("Init container {} failed {probe} probe", container.name);
    Kill { name: container.name.clone(), message, reason: Some(Why::Probe(reason)) }
}

fn again(actions: &mut Actions, index: usize, kill: Kill) {
    actions.kill.push(kill);
    actions.init.push(index);
}
