//! Passes: what happens to a container is looked up by its kind and state as one of four fates, and actions are put together from these.

use kit::node::PodLifecycle;
use kit::node::pod_lifecycle::*;
use std::collections::BTreeSet;

#[derive(Default)]
struct Exercise;

#[derive(Clone, Copy, PartialEq)]
enum Fate {
    /// Neither started nor killed, and over.
    Over,
    /// Left alone.
    Goes,
    Start,
    Kill,
    Anew,
}

use Fate::{Anew, Goes, Kill, Over, Start};

fn fate_of_sidecar(it: &Container) -> Fate {
    match (it.state, it.fault) {
        (Some(State::Running), None) => Goes,
        (Some(State::Running), Some(_)) | (Some(State::Unknown), _) => Anew,
        (Some(State::Created | State::Exited(_)) | None, _) => Start,
    }
}

fn fate_of_main(it: &Container, policy: RestartPolicy) -> Fate {
    match (it.state, it.fault, policy) {
        (Some(State::Running), None, _) => Goes,
        (Some(State::Running), Some(Fault::Probe), RestartPolicy::Never) => Kill,
        (Some(State::Running), ..) | (Some(State::Unknown), ..) => Anew,
        (Some(State::Exited(_)), _, RestartPolicy::Never) => Over,
        (Some(State::Exited(0)), _, RestartPolicy::OnFailure) => Over,
        _ => Start,
    }
}

impl PodLifecycle for Exercise {
    fn back_off(&self, crash: &Crash) -> Attempt {
        let Crash { before, ended_ms, now_ms } = crash;
        let anew = BackOff { delay_seconds: FIRST_DELAY_SECONDS, since_ms: *now_ms };
        let Some(before) = before else { return Attempt::Start(anew) };
        if (before.since_ms + 1000 * FORGOTTEN_AFTER_SECONDS) < *ended_ms {
            return Attempt::Start(anew);
        }
        let may_ms = ended_ms + 1000 * before.delay_seconds;
        if *now_ms < may_ms {
            return Attempt::Wait(before.delay_seconds);
        }
        let twice = before.delay_seconds + before.delay_seconds;
        let delay_seconds = if twice > LONGEST_DELAY_SECONDS { LONGEST_DELAY_SECONDS } else { twice };
        Attempt::Start(BackOff { delay_seconds, ..anew })
    }

    fn actions(&self, pod: &Pod) -> Actions {
        let dead = Actions { kill_pod: true, kill: BTreeSet::new(), start: vec![] };
        let mut fates: Vec<(&Container, Fate)> = Vec::new();
        let begun =
            pod.containers.iter().filter(|it| it.state == Some(State::Running) || it.state == Some(State::Created));
        let mut set_up = pod.init.is_empty() || begun.count() > 0;
        let last = pod.init.iter().enumerate().filter(|(_, it)| it.state.is_some()).map(|(at, _)| at).last();
        if set_up {
            fates.extend(pod.init.iter().filter(|it| it.sidecar).map(|it| (it, fate_of_sidecar(it))));
        } else {
            for (at, it) in pod.init.iter().enumerate() {
                match last {
                    None if at == 0 => fates.push((it, Start)),
                    Some(last) if at <= last && it.sidecar => fates.push((it, fate_of_sidecar(it))),
                    Some(last) if at == last => match it.state {
                        Some(State::Created) => fates.push((it, Start)),
                        Some(State::Exited(0) | State::Running) | None => {}
                        _ if pod.restart_policy == RestartPolicy::Never => return dead,
                        Some(State::Unknown) => fates.push((it, Anew)),
                        Some(State::Exited(_)) => fates.push((it, Start)),
                    },
                    _ => {}
                }
                let through = last == Some(at)
                    && match it.state {
                        Some(State::Running) => it.sidecar && it.started,
                        Some(State::Exited(code)) => !it.sidecar && code == 0,
                        _ => false,
                    };
                if through {
                    match pod.init.get(at + 1) {
                        Some(next) => fates.push((next, Start)),
                        None => set_up = true,
                    }
                    break;
                }
            }
        }
        let mut ends = false;
        if set_up {
            let mains: Vec<_> = pod.containers.iter().map(|it| (it, fate_of_main(it, pod.restart_policy))).collect();
            ends = mains.iter().all(|(_, fate)| [Over, Kill].contains(fate));
            fates.extend(mains);
        }
        let names = |of: [Fate; 2]| -> Vec<String> {
            fates.iter().filter(|(_, fate)| of.contains(fate)).map(|(it, _)| it.name.clone()).collect()
        };
        Actions {
            kill_pod: ends,
            kill: names([Kill, Anew]).into_iter().collect(),
            start: if ends { Vec::new() } else { names([Start, Anew]) },
        }
    }

    fn stop(&self, pod: &Pod) -> BTreeSet<String> {
        let runs: Vec<&Container> =
            pod.init.iter().chain(&pod.containers).filter(|it| matches!(it.state, Some(State::Running))).collect();
        let mains = runs.iter().filter(|it| pod.containers.iter().any(|main| main.name == it.name)).count();
        let last_sidecar = runs.iter().filter(|it| it.sidecar).map(|it| &it.name).next_back();
        let mut told = BTreeSet::new();
        for it in &runs {
            let waits = it.sidecar && (mains > 0 || Some(&it.name) != last_sidecar);
            if !waits {
                told.insert(it.name.clone());
            }
        }
        told
    }

    fn status(&self, pod: &Reported) -> Status {
        let (sidecars, setup): (Vec<&ContainerStatus>, Vec<&ContainerStatus>) =
            pod.init.iter().partition(|it| it.sidecar);
        let mains: Vec<&ContainerStatus> = pod.containers.iter().collect();
        let lasting = [sidecars, mains].concat();
        let never = pod.restart_policy == RestartPolicy::Never;

        let failed = setup.iter().any(|it| match it.state {
            Some(Seen::Terminated(code) | Seen::BackingOff(code)) => code != 0,
            Some(Seen::Waiting | Seen::Running) | None => false,
        });
        let open = setup.iter().any(|it| [None, Some(Seen::Waiting), Some(Seen::Running)].contains(&it.state))
            || lasting.iter().any(|it| [None, Some(Seen::Waiting)].contains(&it.state));
        let runs = lasting.iter().any(|it| it.state == Some(Seen::Running));
        let well = pod.containers.iter().all(|it| it.state == Some(Seen::Terminated(0)));
        let over = never || pod.ending;
        let phase = if never && failed {
            Phase::Failed
        } else if open {
            Phase::Pending
        } else if runs {
            Phase::Running
        } else if well && (over || pod.restart_policy == RestartPolicy::OnFailure) {
            Phase::Succeeded
        } else if over {
            Phase::Failed
        } else {
            Phase::Running
        };

        let condition =
            |status: bool, reason: Option<Reason>, waits_for: Vec<String>| Condition { status, reason, waits_for };
        let asked = |waits_for: Vec<String>, reason: Reason| match waits_for.len() {
            0 => condition(true, None, waits_for),
            _ => condition(false, Some(reason), waits_for),
        };
        let names = |all: &[&ContainerStatus]| all.iter().map(|it| it.name.clone()).collect::<Vec<_>>();
        let begun = pod.containers.iter().any(|it| match it.state {
            Some(Seen::Running | Seen::Terminated(_)) => true,
            Some(Seen::Waiting | Seen::BackingOff(_)) | None => false,
        });
        let late: Vec<&ContainerStatus> =
            pod.init.iter().filter(|it| it.sidecar && !it.started || !it.sidecar && !it.ready).collect();
        let unready: Vec<&ContainerStatus> = lasting.into_iter().filter(|it| !it.ready).collect();
        Status {
            phase,
            initialized: match phase {
                Phase::Succeeded => condition(true, Some(Reason::PodCompleted), vec![]),
                _ if begun => condition(true, None, vec![]),
                _ => asked(names(&late), Reason::ContainersNotInitialized),
            },
            containers_ready: match phase {
                Phase::Succeeded => condition(false, Some(Reason::PodCompleted), vec![]),
                Phase::Failed => condition(false, Some(Reason::PodFailed), vec![]),
                _ => asked(names(&unready), Reason::ContainersNotReady),
            },
        }
    }
}

kit::exercise!(Exercise: PodLifecycle);
