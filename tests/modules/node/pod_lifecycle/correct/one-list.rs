//! Passes: all containers in one list with what they are, of which those that don't count are dropped, and then two filters say who
//! is killed and who is started. The phase is a table of flags.

use kit::node::PodLifecycle;
use kit::node::pod_lifecycle::*;
use std::collections::BTreeSet;

#[derive(Default)]
struct Exercise;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Setup,
    Sidecar,
    Main,
}

fn runs(it: &Container) -> bool {
    it.state == Some(State::Running)
}

fn is_killed(role: Role, it: &Container) -> bool {
    it.state == Some(State::Unknown) || runs(it) && it.fault.is_some() && role != Role::Setup
}

fn is_started(role: Role, it: &Container, policy: RestartPolicy) -> bool {
    let strict = policy == RestartPolicy::Never && role == Role::Main;
    let Some(state) = it.state else { return true };
    match state {
        State::Created | State::Unknown => true,
        State::Running if role == Role::Setup || it.fault.is_none() => false,
        State::Running => !strict || it.fault != Some(Fault::Probe),
        State::Exited(code) => match role {
            Role::Sidecar => true,
            Role::Setup => code != 0,
            Role::Main if code == 0 => policy == RestartPolicy::Always,
            Role::Main => !strict,
        },
    }
}

/// The init containers that count, and whether main containers do.
fn turn(pod: &Pod) -> (Vec<(Role, &Container)>, bool) {
    let role = |it: &Container| if it.sidecar { Role::Sidecar } else { Role::Setup };
    let begun = pod.containers.iter().any(|it| runs(it) || it.state == Some(State::Created));
    // All sidecars up to here, and the one that is here.
    let here = if begun { pod.init.len() } else { pod.init.iter().rposition(|it| it.state.is_some()).unwrap_or(0) };
    let counted = pod.init.iter().enumerate().filter(|(at, it)| *at == here || *at < here && it.sidecar);
    let mut list: Vec<(Role, &Container)> = counted.map(|(_, it)| (role(it), it)).collect();
    let Some(current) = pod.init.get(here) else { return (list, true) };
    let through = match role(current) {
        Role::Sidecar => runs(current) && current.started,
        _ => current.state == Some(State::Exited(0)),
    };
    let next = pod.init.get(here + 1);
    if let Some(next) = next.filter(|_| through) {
        list.push((role(next), next));
    }
    (list, through && next.is_none())
}

impl PodLifecycle for Exercise {
    fn back_off(&self, crash: &Crash) -> Attempt {
        let lasted = |it: &BackOff| (crash.ended_ms - it.since_ms) <= 600_000;
        let waited = crash.now_ms - crash.ended_ms;
        let delay_seconds = match crash.before.as_ref().filter(|it| lasted(it)) {
            None => 10,
            Some(it) if waited < it.delay_seconds * 1000 => return Attempt::Wait(it.delay_seconds),
            Some(it) if it.delay_seconds > 150 => 300,
            Some(it) => it.delay_seconds * 2,
        };
        Attempt::Start(BackOff { delay_seconds, since_ms: crash.now_ms })
    }

    fn actions(&self, pod: &Pod) -> Actions {
        let (mut list, mains) = turn(pod);
        let fails = |(role, it): &(Role, &Container)| {
            *role == Role::Setup
                && (it.state == Some(State::Unknown) || matches!(it.state, Some(State::Exited(code)) if code != 0))
        };
        if pod.restart_policy == RestartPolicy::Never && list.iter().any(fails) {
            return Actions { kill_pod: true, kill: BTreeSet::new(), start: vec![] };
        }
        if mains {
            list.extend(pod.containers.iter().map(|it| (Role::Main, it)));
        }
        let kill: BTreeSet<String> =
            list.iter().filter(|(role, it)| is_killed(*role, it)).map(|(_, it)| it.name.clone()).collect();
        let starts = |(role, it): &&(Role, &Container)| is_started(*role, it, pod.restart_policy);
        let start: Vec<String> = list.iter().filter(starts).map(|(_, it)| it.name.clone()).collect();
        let lives = |it: &Container| start.contains(&it.name) || runs(it) && !kill.contains(&it.name);
        let kill_pod = mains && !pod.containers.iter().any(lives);
        Actions { kill_pod, kill, start: if kill_pod { vec![] } else { start } }
    }

    fn stop(&self, pod: &Pod) -> BTreeSet<String> {
        let mut order: Vec<Vec<&Container>> =
            vec![pod.containers.iter().filter(|it| runs(it)).collect()];
        for sidecar in pod.init.iter().rev().filter(|it| it.sidecar && runs(it)) {
            order.push(vec![sidecar]);
        }
        let first = order.into_iter().find(|wave| !wave.is_empty()).unwrap_or_default();
        let setup = pod.init.iter().filter(|it| !it.sidecar && runs(it));
        first.into_iter().chain(setup).map(|it| it.name.clone()).collect()
    }

    fn status(&self, pod: &Reported) -> Status {
        use RestartPolicy::{Always, Never};
        let ended_with = |state: Option<Seen>| match state {
            Some(Seen::Terminated(code)) | Some(Seen::BackingOff(code)) => Some(code),
            _ => None,
        };
        let mut phase = None;
        for it in pod.init.iter().filter(|it| !it.sidecar) {
            match ended_with(it.state) {
                Some(0) => {}
                Some(_) if pod.restart_policy == Never => phase = Some(Phase::Failed),
                Some(_) => {}
                None => phase = phase.or(Some(Phase::Pending)),
            }
        }
        let sidecars: Vec<_> = pod.init.iter().filter(|it| it.sidecar).collect();
        let states: Vec<Option<Seen>> = sidecars.iter().copied().chain(&pod.containers).map(|it| it.state).collect();
        let phase = phase.unwrap_or_else(|| {
            if states.contains(&None) || states.contains(&Some(Seen::Waiting)) {
                return Phase::Pending;
            }
            let well = pod.containers.iter().all(|it| it.state == Some(Seen::Terminated(0)));
            match (states.contains(&Some(Seen::Running)), well, pod.restart_policy, pod.ending) {
                (true, ..) | (false, _, Always, false) => Phase::Running,
                (false, true, ..) => Phase::Succeeded,
                (false, false, Never, _) | (false, false, _, true) => Phase::Failed,
                (false, false, _, false) => Phase::Running,
            }
        });
        let begun = pod.containers.iter().any(|it| {
            it.state == Some(Seen::Running) || ended_with(it.state).is_some() && !matches!(it.state, Some(Seen::BackingOff(_)))
        });
        let mut initialized = Condition { status: true, reason: None, waits_for: vec![] };
        if phase == Phase::Succeeded {
            initialized.reason = Some(Reason::PodCompleted);
        } else if !begun {
            for it in &pod.init {
                let done = (it.sidecar && it.started) || (!it.sidecar && it.ready);
                if !done {
                    initialized.waits_for.push(it.name.clone());
                    (initialized.status, initialized.reason) = (false, Some(Reason::ContainersNotInitialized));
                }
            }
        }
        let mut containers_ready = Condition { status: true, reason: None, waits_for: vec![] };
        let over = [(Phase::Succeeded, Reason::PodCompleted), (Phase::Failed, Reason::PodFailed)];
        if let Some((_, reason)) = over.iter().find(|(end, _)| *end == phase) {
            (containers_ready.status, containers_ready.reason) = (false, Some(*reason));
        } else {
            for it in sidecars.into_iter().chain(&pod.containers).filter(|it| !it.ready) {
                containers_ready.waits_for.push(it.name.clone());
                (containers_ready.status, containers_ready.reason) = (false, Some(Reason::ContainersNotReady));
            }
        }
        Status { phase, initialized, containers_ready }
    }
}

kit::exercise!(Exercise: PodLifecycle);
