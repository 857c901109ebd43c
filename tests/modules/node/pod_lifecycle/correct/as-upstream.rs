//! Passes: as the kubelet does it, backwards through the init containers with a flag for those that come later, and with a
//! counter for everything that the phase asks for.

use kit::node::PodLifecycle;
use kit::node::pod_lifecycle::*;
use std::collections::BTreeSet;

#[derive(Default)]
struct Exercise;

impl PodLifecycle for Exercise {
    fn back_off(&self, crash: &Crash) -> Attempt {
        let mut next = FIRST_DELAY_SECONDS;
        if let Some(entry) = crash.before {
            let expired = crash.ended_ms - entry.since_ms > FORGOTTEN_AFTER_SECONDS * 1000;
            if !expired && crash.now_ms < crash.ended_ms + entry.delay_seconds * 1000 {
                return Attempt::Wait(entry.delay_seconds);
            }
            if !expired {
                next = LONGEST_DELAY_SECONDS.min(entry.delay_seconds * 2);
            }
        }
        Attempt::Start(BackOff { delay_seconds: next, since_ms: crash.now_ms })
    }

    fn actions(&self, pod: &Pod) -> Actions {
        let mut kill = BTreeSet::new();
        let mut init: Vec<String> = Vec::new();
        let mut later =
            pod.containers.iter().any(|main| main.state == Some(State::Running) || main.state == Some(State::Created));
        let mut initialized = later || pod.init.is_empty();
        for (index, container) in pod.init.iter().enumerate().rev() {
            let name = || container.name.clone();
            let Some(state) = container.state else {
                if later && container.sidecar {
                    init.push(name());
                }
                continue;
            };
            if later && !container.sidecar {
                continue;
            }
            let mut through = false;
            match state {
                State::Created => init.push(name()),
                State::Running if container.sidecar => {
                    through = container.started;
                    if container.fault.is_some() {
                        kill.insert(name());
                    }
                }
                State::Running => {}
                State::Exited(0) if !container.sidecar => through = true,
                State::Exited(_) | State::Unknown
                    if !container.sidecar && pod.restart_policy == RestartPolicy::Never =>
                {
                    return Actions { kill_pod: true, ..Actions::default() };
                }
                State::Exited(_) => init.push(name()),
                State::Unknown => {
                    kill.insert(name());
                    init.push(name());
                }
            }
            if through && !later {
                match pod.init.get(index + 1) {
                    Some(next) => init.push(next.name.clone()),
                    None => initialized = true,
                }
            }
            if container.sidecar && state == State::Running && container.fault.is_some() {
                init.push(name());
            }
            later = true;
        }
        if !later && !pod.init.is_empty() {
            init.push(pod.init[0].name.clone());
        }
        init.reverse();
        if !initialized {
            return Actions { kill_pod: false, kill, start: init };
        }
        let (mut keep, mut main) = (0, Vec::new());
        for container in &pod.containers {
            let never = pod.restart_policy == RestartPolicy::Never;
            let (kills, starts) = match (container.state, container.fault) {
                (Some(State::Running), None) => {
                    keep += 1;
                    (false, false)
                }
                (Some(State::Running), Some(Fault::Changed)) => (true, true),
                (Some(State::Running), Some(Fault::Probe)) => (true, !never),
                (None | Some(State::Created), _) => (false, true),
                (Some(State::Unknown), _) => (true, true),
                (Some(State::Exited(0)), _) => (false, pod.restart_policy == RestartPolicy::Always),
                (Some(State::Exited(_)), _) => (false, !never),
            };
            if kills {
                kill.insert(container.name.clone());
            }
            if starts {
                main.push(container.name.clone());
            }
        }
        if keep == 0 && main.is_empty() {
            return Actions { kill_pod: true, kill, start: Vec::new() };
        }
        init.extend(main);
        Actions { kill_pod: false, kill, start: init }
    }

    fn stop(&self, pod: &Pod) -> BTreeSet<String> {
        let running = |it: &Container| it.state == Some(State::Running);
        let mut all = BTreeSet::new();
        for main in pod.containers.iter().filter(|it| running(it)) {
            all.insert(main.name.clone());
        }
        for (index, init) in pod.init.iter().enumerate().filter(|(_, it)| running(it)) {
            let later = pod.init[index + 1..].iter().any(|other| other.sidecar && running(other));
            let waits = later || pod.containers.iter().any(running);
            if !init.sidecar || !waits {
                all.insert(init.name.clone());
            }
        }
        all
    }

    fn status(&self, pod: &Reported) -> Status {
        let (mut pending, mut failed) = (0, 0);
        let (mut unknown, mut running, mut waiting, mut stopped, mut succeeded) = (0, 0, 0, 0, 0);
        for init in &pod.init {
            match (init.sidecar, init.state) {
                (false, Some(Seen::Terminated(code) | Seen::BackingOff(code))) => failed += i32::from(code != 0),
                (false, _) => pending += 1,
                (true, None) => unknown += 1,
                (true, Some(Seen::Waiting)) => waiting += 1,
                (true, Some(Seen::Running)) => running += 1,
                (true, _) => {}
            }
        }
        for main in &pod.containers {
            match main.state {
                None => unknown += 1,
                Some(Seen::Waiting) => waiting += 1,
                Some(Seen::Running) => running += 1,
                Some(Seen::Terminated(0)) => {
                    stopped += 1;
                    succeeded += 1;
                }
                Some(_) => stopped += 1,
            }
        }
        let phase = if failed > 0 && pod.restart_policy == RestartPolicy::Never {
            Phase::Failed
        } else if pending > 0 || waiting > 0 || unknown > 0 {
            Phase::Pending
        } else if running > 0 {
            Phase::Running
        } else if stopped == succeeded && (pod.ending || pod.restart_policy != RestartPolicy::Always) {
            Phase::Succeeded
        } else if stopped != succeeded && (pod.ending || pod.restart_policy == RestartPolicy::Never) {
            Phase::Failed
        } else {
            Phase::Running
        };
        let mut initialized = Condition::default();
        let mut ready = Condition::default();
        for init in &pod.init {
            if !(if init.sidecar { init.started } else { init.ready }) {
                initialized.waits_for.push(init.name.clone());
            }
            if init.sidecar && !init.ready {
                ready.waits_for.push(init.name.clone());
            }
        }
        for main in pod.containers.iter().filter(|main| !main.ready) {
            ready.waits_for.push(main.name.clone());
        }
        initialized.status = initialized.waits_for.is_empty();
        initialized.reason = (!initialized.status).then_some(Reason::ContainersNotInitialized);
        ready.status = ready.waits_for.is_empty();
        ready.reason = (!ready.status).then_some(Reason::ContainersNotReady);
        let begun = |main: &ContainerStatus| {
            main.state == Some(Seen::Running) || matches!(main.state, Some(Seen::Terminated(_)))
        };
        if phase == Phase::Succeeded || pod.containers.iter().any(begun) {
            let reason = (phase == Phase::Succeeded).then_some(Reason::PodCompleted);
            initialized = Condition { status: true, reason, waits_for: Vec::new() };
        }
        let over = match phase {
            Phase::Succeeded => Some(Reason::PodCompleted),
            Phase::Failed => Some(Reason::PodFailed),
            _ => None,
        };
        if over.is_some() {
            ready = Condition { status: false, reason: over, waits_for: Vec::new() };
        }
        Status { phase, initialized, containers_ready: ready }
    }
}

kit::exercise!(Exercise: PodLifecycle);
