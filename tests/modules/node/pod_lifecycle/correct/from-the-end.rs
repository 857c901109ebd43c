//! Passes: init containers are walked from the last to the first, each telling the one before whether it is later than the current one, and
//! actions are taken back where the pod dies.

use kit::node::PodLifecycle;
use kit::node::pod_lifecycle::*;
use std::collections::BTreeSet;

#[derive(Default)]
struct Exercise;

/// Starts are kept backwards.
#[derive(Default)]
struct Plan {
    kill: Vec<String>,
    start: Vec<String>,
}

impl Plan {
    fn again(&mut self, it: &Container) {
        self.stop(it);
        self.start.push(it.name.clone());
    }

    fn stop(&mut self, it: &Container) {
        match it.state {
            Some(State::Running) | Some(State::Unknown) => self.kill.push(it.name.clone()),
            Some(State::Created) | Some(State::Exited(_)) | None => {}
        }
    }

    fn done(mut self, kill_pod: bool) -> Actions {
        self.start.reverse();
        Actions { kill_pod, kill: BTreeSet::from_iter(self.kill), start: self.start }
    }
}

fn healthy(it: &Container) -> bool {
    it.state == Some(State::Running) && it.fault.is_none()
}

impl Exercise {
    /// From the last main container to the first; whether any of them goes on.
    fn mains(&self, pod: &Pod, plan: &mut Plan) -> bool {
        let mut goes_on = false;
        for it in pod.containers.iter().rev() {
            if healthy(it) {
                goes_on = true;
                continue;
            }
            let ended = if let Some(State::Exited(code)) = it.state { Some(code) } else { None };
            let over = match pod.restart_policy {
                RestartPolicy::Always => false,
                RestartPolicy::OnFailure => ended == Some(0),
                RestartPolicy::Never => {
                    ended.is_some() || it.state == Some(State::Running) && it.fault == Some(Fault::Probe)
                }
            };
            if over {
                plan.stop(it);
            } else {
                plan.again(it);
                goes_on = true;
            }
        }
        goes_on
    }
}

impl PodLifecycle for Exercise {
    fn back_off(&self, crash: &Crash) -> Attempt {
        let waited_ms = crash.now_ms - crash.ended_ms;
        let remembered =
            crash.before.filter(|before| crash.ended_ms - before.since_ms <= FORGOTTEN_AFTER_SECONDS * 1000);
        let next = match remembered {
            None => FIRST_DELAY_SECONDS,
            Some(before) if waited_ms < before.delay_seconds * 1000 => return Attempt::Wait(before.delay_seconds),
            Some(before) => LONGEST_DELAY_SECONDS.min(before.delay_seconds * 2),
        };
        Attempt::Start(BackOff { delay_seconds: next, since_ms: crash.now_ms })
    }

    fn actions(&self, pod: &Pod) -> Actions {
        let mut plan = Plan::default();
        let begun = pod.containers.iter().any(|it| matches!(it.state, Some(State::Created) | Some(State::Running)));
        if begun || pod.init.is_empty() {
            let goes_on = self.mains(pod, &mut plan);
            for it in pod.init.iter().rev().filter(|it| it.sidecar && !healthy(it)) {
                plan.again(it);
            }
            if !goes_on {
                plan.start.clear();
            }
            return plan.done(!goes_on);
        }
        let mut later: Option<&Container> = None;
        let mut current = None;
        let mut dies = false;
        for it in pod.init.iter().rev() {
            if current.is_some() {
                if it.sidecar && !healthy(it) {
                    plan.again(it);
                }
                continue;
            }
            let Some(state) = it.state else {
                later = Some(it);
                continue;
            };
            current = Some(it);
            let through = if it.sidecar { state == State::Running && it.started } else { state == State::Exited(0) };
            match later {
                Some(next) if through => plan.again(next),
                None if through => dies = !self.mains(pod, &mut plan),
                _ => {}
            }
            if it.sidecar {
                if !healthy(it) {
                    plan.again(it);
                }
            } else if !through && state != State::Running {
                if pod.restart_policy == RestartPolicy::Never && state != State::Created {
                    return Plan::default().done(true);
                }
                plan.again(it);
            }
        }
        if current.is_none() {
            plan.start.push(pod.init[0].name.clone());
        }
        if dies {
            plan.start.clear();
        }
        plan.done(dies)
    }

    fn stop(&self, pod: &Pod) -> BTreeSet<String> {
        let mut told: BTreeSet<String> = BTreeSet::new();
        let mut somebody = false;
        for it in pod.containers.iter().filter(|it| it.state == Some(State::Running)) {
            told.insert(it.name.clone());
            somebody = true;
        }
        for it in pod.init.iter().rev() {
            if it.state == Some(State::Running) {
                if it.sidecar {
                    if !somebody {
                        told.insert(it.name.clone());
                    }
                    somebody = true;
                } else {
                    told.insert(it.name.clone());
                }
            }
        }
        told
    }

    fn status(&self, pod: &Reported) -> Status {
        let mut lasting: Vec<&ContainerStatus> = pod.init.iter().filter(|it| it.sidecar).collect();
        lasting.extend(&pod.containers);
        let setup = || pod.init.iter().filter(|it| !it.sidecar);

        let phase = 'phase: {
            for it in setup() {
                if let (RestartPolicy::Never, Some(Seen::Terminated(1..) | Seen::BackingOff(1..))) =
                    (pod.restart_policy, it.state)
                {
                    break 'phase Phase::Failed;
                }
                if let (RestartPolicy::Never, Some(Seen::Terminated(..=-1) | Seen::BackingOff(..=-1))) =
                    (pod.restart_policy, it.state)
                {
                    break 'phase Phase::Failed;
                }
            }
            if setup().any(|it| !matches!(it.state, Some(Seen::Terminated(_) | Seen::BackingOff(_)))) {
                break 'phase Phase::Pending;
            }
            if lasting.iter().any(|it| matches!(it.state, Some(Seen::Waiting) | None)) {
                break 'phase Phase::Pending;
            }
            if lasting.iter().any(|it| matches!(it.state, Some(Seen::Running))) {
                break 'phase Phase::Running;
            }
            let well = !pod.containers.iter().any(|it| it.state != Some(Seen::Terminated(0)));
            match (pod.restart_policy, pod.ending, well) {
                (RestartPolicy::Always, false, _) => Phase::Running,
                (_, _, true) => Phase::Succeeded,
                (RestartPolicy::OnFailure, false, false) => Phase::Running,
                (_, _, false) => Phase::Failed,
            }
        };
        let mut initialized = Condition::default();
        let mut containers_ready = Condition::default();
        for it in &pod.init {
            if !(if it.sidecar { it.started } else { it.ready }) {
                initialized.waits_for.push(it.name.clone());
            }
        }
        if phase == Phase::Succeeded {
            initialized = Condition { status: true, reason: Some(Reason::PodCompleted), waits_for: Vec::new() };
        } else if pod.containers.iter().any(|it| matches!(it.state, Some(Seen::Running) | Some(Seen::Terminated(_)))) {
            initialized = Condition { status: true, reason: None, waits_for: Vec::new() };
        } else if initialized.waits_for.is_empty() {
            initialized.status = true;
        } else {
            initialized.reason = Some(Reason::ContainersNotInitialized);
        }
        match phase {
            Phase::Succeeded => containers_ready.reason = Some(Reason::PodCompleted),
            Phase::Failed => containers_ready.reason = Some(Reason::PodFailed),
            Phase::Pending | Phase::Running => {
                let unready = lasting.iter().filter(|it| !it.ready);
                containers_ready.waits_for = unready.map(|it| it.name.clone()).collect();
                containers_ready.status = containers_ready.waits_for.is_empty();
                containers_ready.reason = if containers_ready.status { None } else { Some(Reason::ContainersNotReady) };
            }
        }
        Status { phase, initialized, containers_ready }
    }
}

kit::exercise!(Exercise: PodLifecycle);
