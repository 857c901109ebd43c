//! The reference for `node/pod_lifecycle`.

// ANCHOR: solution
use kit::node::PodLifecycle;
use kit::node::pod_lifecycle::{
    Actions, Attempt, BackOff, Condition, Container, ContainerStatus, Crash, FIRST_DELAY_SECONDS,
    FORGOTTEN_AFTER_SECONDS, Fault, LONGEST_DELAY_SECONDS, Phase, Pod, Reason, Reported, RestartPolicy, Seen, State,
    Status,
};
use std::collections::BTreeSet;

/// Each answer follows from its question alone.
#[derive(Default)]
pub struct Exercise;

impl PodLifecycle for Exercise {
    fn back_off(&self, crash: &Crash) -> Attempt {
        let start = |delay_seconds| Attempt::Start(BackOff { delay_seconds, since_ms: crash.now_ms });
        match crash.before {
            Some(BackOff { delay_seconds, since_ms })
                if crash.ended_ms - since_ms <= FORGOTTEN_AFTER_SECONDS * 1000 =>
            {
                if crash.now_ms - crash.ended_ms < delay_seconds * 1000 {
                    Attempt::Wait(delay_seconds)
                } else {
                    start((2 * delay_seconds).min(LONGEST_DELAY_SECONDS))
                }
            }
            _ => start(FIRST_DELAY_SECONDS),
        }
    }

    fn actions(&self, pod: &Pod) -> Actions {
        let mut actions = Actions::default();
        if !is_set_up(pod, &mut actions) {
            return actions;
        }
        let policy = pod.restart_policy;
        let mut goes_on = false;
        for container in &pod.containers {
            let again = match container.state {
                Some(State::Running) if container.fault.is_none() => {
                    goes_on = true;
                    continue;
                }
                Some(State::Running) => container.fault == Some(Fault::Changed) || policy != RestartPolicy::Never,
                Some(State::Exited(code)) => {
                    policy == RestartPolicy::Always || policy == RestartPolicy::OnFailure && code != 0
                }
                None | Some(State::Created | State::Unknown) => true,
            };
            goes_on |= again;
            begin_anew(container, again, &mut actions);
        }
        if !goes_on {
            // Sidecars don't keep a pod alive.
            actions.kill_pod = true;
            actions.start.clear();
        }
        actions
    }

    fn stop(&self, pod: &Pod) -> BTreeSet<String> {
        let runs = |container: &&Container| container.state == Some(State::Running);
        let mut turn: BTreeSet<String> = pod.containers.iter().filter(runs).map(|main| main.name.clone()).collect();
        let mut others_have_ended = turn.is_empty();
        for container in pod.init.iter().rev().filter(runs) {
            if !container.sidecar || others_have_ended {
                turn.insert(container.name.clone());
            }
            others_have_ended &= !container.sidecar;
        }
        turn
    }

    fn status(&self, pod: &Reported) -> Status {
        let phase = phase(pod);
        Status { phase, initialized: initialized(pod, phase), containers_ready: containers_ready(pod, phase) }
    }
}

/// Does what init containers need; whether main containers may run is the answer.
fn is_set_up(pod: &Pod, actions: &mut Actions) -> bool {
    let begun = |main: &Container| matches!(main.state, Some(State::Created | State::Running));
    if pod.containers.iter().any(begun) {
        pod.init.iter().filter(|init| init.sidecar).for_each(|sidecar| keep_up(sidecar, actions));
        return true;
    }
    let Some(at) = pod.init.iter().rposition(|init| init.state.is_some()) else {
        actions.start.extend(pod.init.first().map(|first| first.name.clone()));
        return pod.init.is_empty();
    };
    let current = &pod.init[at];
    // Those before it were through once, and the runtime may have forgotten them.
    pod.init[..at].iter().filter(|init| init.sidecar).for_each(|sidecar| keep_up(sidecar, actions));
    let through = if current.sidecar {
        keep_up(current, actions);
        current.state == Some(State::Running) && current.started
    } else {
        match current.state {
            Some(State::Exited(0)) => true,
            Some(State::Running) => false,
            Some(State::Exited(_) | State::Unknown) if pod.restart_policy == RestartPolicy::Never => {
                *actions = Actions { kill_pod: true, ..Actions::default() };
                false
            }
            _ => {
                begin_anew(current, true, actions);
                false
            }
        }
    };
    let next = pod.init.get(at + 1).filter(|_| through);
    actions.start.extend(next.map(|next| next.name.clone()));
    through && next.is_none()
}

/// A sidecar runs whatever the restart policy of the pod says.
fn keep_up(sidecar: &Container, actions: &mut Actions) {
    if sidecar.state != Some(State::Running) || sidecar.fault.is_some() {
        begin_anew(sidecar, true, actions);
    }
}

/// What runs, or may run, is stopped before it begins `again`.
fn begin_anew(container: &Container, again: bool, actions: &mut Actions) {
    if matches!(container.state, Some(State::Running | State::Unknown)) {
        actions.kill.insert(container.name.clone());
    }
    actions.start.extend(again.then(|| container.name.clone()));
}

fn phase(pod: &Reported) -> Phase {
    let ended = |it: &ContainerStatus| match it.state {
        Some(Seen::Terminated(code) | Seen::BackingOff(code)) => Some(code),
        _ => None,
    };
    let set_up: Vec<Option<i32>> = pod.init.iter().filter(|init| !init.sidecar).map(ended).collect();
    if pod.restart_policy == RestartPolicy::Never && set_up.iter().flatten().any(|code| *code != 0) {
        return Phase::Failed;
    }
    let lasting = || pod.init.iter().filter(|init| init.sidecar).chain(&pod.containers);
    if set_up.contains(&None) || lasting().any(|it| matches!(it.state, None | Some(Seen::Waiting))) {
        return Phase::Pending;
    }
    if lasting().any(|it| it.state == Some(Seen::Running)) {
        return Phase::Running;
    }
    let done = pod.containers.iter().all(|main| main.state == Some(Seen::Terminated(0)));
    match pod.restart_policy {
        RestartPolicy::Always if !pod.ending => Phase::Running,
        _ if done => Phase::Succeeded,
        RestartPolicy::OnFailure if !pod.ending => Phase::Running,
        _ => Phase::Failed,
    }
}

fn initialized(pod: &Reported, phase: Phase) -> Condition {
    if phase == Phase::Succeeded {
        return Condition { status: true, reason: Some(Reason::PodCompleted), ..Condition::default() };
    }
    let begun = |main: &ContainerStatus| matches!(main.state, Some(Seen::Running | Seen::Terminated(_)));
    if pod.containers.iter().any(begun) {
        return Condition { status: true, ..Condition::default() };
    }
    let is_through = |init: &ContainerStatus| if init.sidecar { init.started } else { init.ready };
    wait(pod.init.iter().filter(|init| !is_through(init)), Reason::ContainersNotInitialized)
}

fn containers_ready(pod: &Reported, phase: Phase) -> Condition {
    let no = |reason| Condition { reason: Some(reason), ..Condition::default() };
    match phase {
        Phase::Succeeded => no(Reason::PodCompleted),
        Phase::Failed => no(Reason::PodFailed),
        Phase::Pending | Phase::Running => {
            let lasting = pod.init.iter().filter(|init| init.sidecar).chain(&pod.containers);
            wait(lasting.filter(|it| !it.ready), Reason::ContainersNotReady)
        }
    }
}

/// True if there is nobody to wait for.
fn wait<'a>(others: impl Iterator<Item = &'a ContainerStatus>, reason: Reason) -> Condition {
    let waits_for: Vec<String> = others.map(|it| it.name.clone()).collect();
    let status = waits_for.is_empty();
    Condition { status, reason: (!status).then_some(reason), waits_for }
}
// ANCHOR_END: solution
