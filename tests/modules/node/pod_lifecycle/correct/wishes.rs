//! Passes: each container has one of four wishes, a list of them is made for the pod first, and read off in the end. Setup is a
//! recursion from the first init container on.

use kit::node::PodLifecycle;
use kit::node::pod_lifecycle::*;
use std::collections::BTreeSet;

#[derive(Default)]
struct Exercise;

#[derive(Clone, Copy, PartialEq)]
enum Wish {
    /// It goes on.
    Stay,
    Start,
    Kill,
    Renew,
    /// It is over, or it isn't its turn.
    Nothing,
}

enum Setup {
    Done,
    Goes,
    Dead,
}

fn of_sidecar(it: &Container) -> Wish {
    match (it.state, it.fault) {
        (Some(State::Running), None) => Wish::Stay,
        (Some(State::Running), Some(_)) | (Some(State::Unknown), _) => Wish::Renew,
        _ => Wish::Start,
    }
}

fn of_main(it: &Container, policy: RestartPolicy) -> Wish {
    match it.state {
        None | Some(State::Created) => Wish::Start,
        Some(State::Unknown) => Wish::Renew,
        Some(State::Exited(code)) => match policy {
            RestartPolicy::Always => Wish::Start,
            RestartPolicy::OnFailure if code != 0 => Wish::Start,
            _ => Wish::Nothing,
        },
        Some(State::Running) => match (it.fault, policy) {
            (None, _) => Wish::Stay,
            (Some(Fault::Probe), RestartPolicy::Never) => Wish::Kill,
            (Some(_), _) => Wish::Renew,
        },
    }
}

/// Goes on with `rest`, of which none but the first may begin.
fn set_up<'a>(rest: &'a [Container], policy: RestartPolicy, wishes: &mut Vec<(&'a str, Wish)>) -> Setup {
    let Some((first, rest)) = rest.split_first() else { return Setup::Done };
    if rest.iter().any(|later| later.state.is_some()) {
        if first.sidecar {
            wishes.push((&first.name, of_sidecar(first)));
        }
        return set_up(rest, policy, wishes);
    }
    let wish = match first.state {
        _ if first.sidecar => of_sidecar(first),
        None | Some(State::Created) => Wish::Start,
        Some(State::Running) => Wish::Stay,
        Some(State::Exited(0)) => Wish::Nothing,
        Some(_) if policy == RestartPolicy::Never => return Setup::Dead,
        Some(State::Exited(_)) => Wish::Start,
        Some(State::Unknown) => Wish::Renew,
    };
    wishes.push((&first.name, wish));
    let through = if first.sidecar { first.started } else { wish == Wish::Nothing };
    match (through, rest.first()) {
        (false, _) => Setup::Goes,
        (true, None) => Setup::Done,
        (true, Some(next)) => {
            wishes.push((&next.name, Wish::Start));
            Setup::Goes
        }
    }
}

impl PodLifecycle for Exercise {
    fn back_off(&self, crash: &Crash) -> Attempt {
        let fresh = crash.before.is_none_or(|it| crash.ended_ms > it.since_ms + 1000 * FORGOTTEN_AFTER_SECONDS);
        let delay = crash.before.filter(|_| !fresh).map(|it| it.delay_seconds);
        match delay {
            Some(delay) if crash.now_ms < crash.ended_ms + 1000 * delay => Attempt::Wait(delay),
            delay => Attempt::Start(BackOff {
                delay_seconds: delay.map_or(FIRST_DELAY_SECONDS, |delay| (delay + delay).min(LONGEST_DELAY_SECONDS)),
                since_ms: crash.now_ms,
            }),
        }
    }

    fn actions(&self, pod: &Pod) -> Actions {
        let mut wishes = Vec::new();
        let up = pod.containers.iter().any(|it| [Some(State::Created), Some(State::Running)].contains(&it.state));
        let setup = if up {
            let sidecars = pod.init.iter().filter(|it| it.sidecar);
            wishes.extend(sidecars.map(|it| (it.name.as_str(), of_sidecar(it))));
            Setup::Done
        } else {
            set_up(&pod.init, pod.restart_policy, &mut wishes)
        };
        let mut kill_pod = false;
        match setup {
            Setup::Dead => return Actions { kill_pod: true, ..Actions::default() },
            Setup::Goes => {}
            Setup::Done => {
                let mains: Vec<(&str, Wish)> =
                    pod.containers.iter().map(|it| (it.name.as_str(), of_main(it, pod.restart_policy))).collect();
                kill_pod = mains.iter().all(|(_, wish)| matches!(wish, Wish::Kill | Wish::Nothing));
                wishes.extend(mains);
            }
        }
        let named = |some: [Wish; 2]| {
            let chosen = wishes.iter().filter(move |(_, wish)| some.contains(wish));
            chosen.map(|(name, _)| name.to_string())
        };
        let start = if kill_pod { Vec::new() } else { named([Wish::Start, Wish::Renew]).collect() };
        Actions { kill_pod, kill: named([Wish::Kill, Wish::Renew]).collect(), start }
    }

    fn stop(&self, pod: &Pod) -> BTreeSet<String> {
        let running = |list: &[Container], sidecar: bool| -> Vec<String> {
            let some = list.iter().filter(|it| it.state == Some(State::Running) && it.sidecar == sidecar);
            some.map(|it| it.name.clone()).collect()
        };
        let (mains, setup, sidecars) =
            (running(&pod.containers, false), running(&pod.init, false), running(&pod.init, true));
        let last = sidecars.last().cloned().filter(|_| mains.is_empty());
        mains.into_iter().chain(setup).chain(last).collect()
    }

    fn status(&self, pod: &Reported) -> Status {
        let lasting: Vec<&ContainerStatus> =
            pod.init.iter().filter(|it| it.sidecar).chain(pod.containers.iter()).collect();
        let code = |it: &ContainerStatus| match it.state? {
            Seen::Terminated(code) | Seen::BackingOff(code) => Some(code),
            Seen::Waiting | Seen::Running => None,
        };
        let setup: Vec<Option<i32>> = pod.init.iter().filter(|it| !it.sidecar).map(code).collect();
        let codes: Vec<i32> = setup.iter().flatten().copied().collect();
        let never = pod.restart_policy == RestartPolicy::Never;
        let again = !pod.ending && !never;
        let well = pod.containers.iter().all(|it| it.state == Some(Seen::Terminated(0)));
        let phase = if never && codes.iter().any(|code| *code != 0) {
            Phase::Failed
        } else if codes.len() < setup.len()
            || lasting.iter().any(|it| it.state.is_none() || it.state == Some(Seen::Waiting))
        {
            Phase::Pending
        } else if lasting.iter().any(|it| it.state == Some(Seen::Running)) {
            Phase::Running
        } else if well {
            if again && pod.restart_policy == RestartPolicy::Always { Phase::Running } else { Phase::Succeeded }
        } else if again {
            Phase::Running
        } else {
            Phase::Failed
        };
        let waits = |some: Vec<&ContainerStatus>, reason: Reason| Condition {
            status: some.is_empty(),
            reason: Some(reason).filter(|_| !some.is_empty()),
            waits_for: some.into_iter().map(|it| it.name.clone()).collect(),
        };
        let has_begun =
            pod.containers.iter().any(|it| matches!(it.state, Some(Seen::Running) | Some(Seen::Terminated(_))));
        let initialized = match phase {
            Phase::Succeeded => {
                Condition { status: true, reason: Some(Reason::PodCompleted), waits_for: Vec::new() }
            }
            _ if has_begun => Condition { status: true, reason: None, waits_for: Vec::new() },
            _ => {
                let open = pod.init.iter().filter(|it| !(it.sidecar && it.started || !it.sidecar && it.ready));
                waits(open.collect(), Reason::ContainersNotInitialized)
            }
        };
        let over = |reason| Condition { status: false, reason: Some(reason), waits_for: Vec::new() };
        let containers_ready = match phase {
            Phase::Succeeded => over(Reason::PodCompleted),
            Phase::Failed => over(Reason::PodFailed),
            _ => waits(lasting.into_iter().filter(|it| !it.ready).collect(), Reason::ContainersNotReady),
        };
        Status { phase, initialized, containers_ready }
    }
}

kit::exercise!(Exercise: PodLifecycle);
