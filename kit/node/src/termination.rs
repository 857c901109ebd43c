//! The end of a pod's containers.
//!
//! [`grace`] is how long a container has; [`Ending`] is how those of a pod go, one after the other where sidecars are among them.
//!
//! Sources: `pkg/kubelet/kuberuntime/kuberuntime_container.go` (`killContainer`, `killContainersWithSyncResult`),
//! `pkg/kubelet/kuberuntime/kuberuntime_termination_order.go`.

use kit_api::core::{self, Probe};
use kit_contract::node::PodLifecycle;
use kit_contract::node::pod_lifecycle::{Container, Pod, State};
use kit_time::agenda::Instant;
use std::collections::BTreeSet;

/// SIGTERM always has this many seconds (`minimumGracePeriodInSeconds`).
pub const LEAST: i64 = 2;

/// Who has more time than this many seconds, ten years, has as much as anybody can count.
const MOST: i64 = 10 * 365 * 24 * 3600;

/// A grace period that may be anything.
pub fn time(seconds: i64) -> Instant {
    Instant::seconds(seconds.clamp(0, MOST))
}

/// Why a container is stopped before its pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Its liveness probe failed.
    LivenessProbe,
    /// Its startup probe failed.
    StartupProbe,
}

/// How many seconds a container has to end, before a `preStop` hook is counted (`setTerminationGracePeriod`).
pub fn grace(pod: &core::Pod, container: &core::Container, reason: Option<Reason>) -> i64 {
    if let Some(deletion) = pod.metadata.deletion_grace_period_seconds {
        return deletion;
    }
    let Some(own) = pod.spec.as_ref().and_then(|spec| spec.termination_grace_period_seconds) else { return LEAST };
    let probe = match reason {
        Some(Reason::LivenessProbe) => container.liveness_probe.as_ref(),
        Some(Reason::StartupProbe) => container.startup_probe.as_ref(),
        None => None,
    };
    probe.and_then(|probe: &Probe| probe.termination_grace_period_seconds).unwrap_or(own)
}

/// What a container is in its pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// One of `containers`.
    Main,
    /// An init container that runs to its end.
    Init,
    /// An init container that stays.
    Sidecar,
}

/// A container of a pod that ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// What it is in its pod.
    pub role: Role,
    /// Whether it has a `preStop` hook.
    pub hook: bool,
    /// How many seconds it has.
    pub grace: i64,
}

/// What is done with a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Its hook is run.
    Hook,
    /// It is sent SIGTERM, and killed after so many seconds.
    Stop(i64),
    /// It is killed.
    Kill,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Its hook runs until then, at most.
    Hook(Instant),
    /// It waits for its turn, since then, with so many seconds left.
    Turn(Instant, i64),
    /// It has the signal, and is killed then.
    Stopping(Instant),
    Gone,
}

/// The containers of a pod that ends, and how far each is.
#[derive(Debug, Clone)]
pub struct Ending {
    members: Vec<(Member, Stage)>,
    /// What the beginning was worth, until it is asked for.
    steps: Vec<(String, Step)>,
    /// Whose turn it is.
    turn: BTreeSet<String>,
}

impl Ending {
    /// Begins with the containers that run, each kind in the order of the spec.
    pub fn new(running: Vec<Member>, now: Instant) -> Ending {
        let mut steps = Vec::new();
        let mut begin = |mut member: Member| {
            member.grace = member.grace.min(MOST);
            let stage = if member.hook && member.grace > 0 {
                steps.push((member.name.clone(), Step::Hook));
                Stage::Hook(now + Instant::seconds(member.grace))
            } else {
                Stage::Turn(now, member.grace)
            };
            (member, stage)
        };
        let members = running.into_iter().map(&mut begin).collect();
        Ending { members, steps, turn: BTreeSet::new() }
    }

    /// The hook of a container has ended.
    pub fn hook_ended(&mut self, name: &str, now: Instant) {
        for (_, stage) in self.members.iter_mut().filter(|(member, _)| member.name == name) {
            if let Stage::Hook(by) = *stage {
                // Whole seconds are taken off.
                let left = (by - now).nanos.max(0);
                *stage = Stage::Turn(now, (left + 999_999_999) / 1_000_000_000);
            }
        }
    }

    /// A container has ended.
    pub fn exited(&mut self, name: &str) {
        self.members.iter_mut().filter(|(member, _)| member.name == name).for_each(|(_, stage)| *stage = Stage::Gone);
    }

    /// Whether a container has been sent SIGTERM and not ended yet.
    pub fn is_stopping(&self, name: &str) -> bool {
        self.members.iter().any(|(member, stage)| member.name == name && matches!(stage, Stage::Stopping(_)))
    }

    /// Whether all have ended.
    pub fn is_over(&self) -> bool {
        self.members.iter().all(|(_, stage)| *stage == Stage::Gone)
    }

    /// When it has to be looked at, if no container ends and no hook before.
    pub fn next(&self) -> Option<Instant> {
        let due = |(at, (_, stage)): (usize, &(Member, Stage))| match stage {
            Stage::Hook(by) | Stage::Stopping(by) => Some(*by),
            Stage::Turn(since, _) if self.is_turn(at) => Some(*since),
            Stage::Turn(since, left) => Some(*since + Instant::seconds(*left)),
            Stage::Gone => None,
        };
        self.members.iter().enumerate().filter_map(due).min()
    }

    /// What is to be done now. A container that is killed has ended. The module of `node/pod_lifecycle` says whose turn it is.
    pub fn advance(&mut self, now: Instant, module: &dyn PodLifecycle) -> Vec<(String, Step)> {
        let mut steps = std::mem::take(&mut self.steps);
        // A kill can be somebody's turn.
        loop {
            let before = steps.len();
            self.turn = module.stop(&self.view());
            for at in 0..self.members.len() {
                self.step(at, now, &mut steps);
            }
            if steps.len() == before {
                return steps;
            }
        }
    }

    fn step(&mut self, at: usize, now: Instant, steps: &mut Vec<(String, Step)>) {
        let (is_turn, Some((member, stage))) = (self.is_turn(at), self.members.get_mut(at)) else { return };
        if let Stage::Hook(by) = *stage
            && by <= now
        {
            *stage = Stage::Turn(now, 0);
        }
        match *stage {
            Stage::Turn(since, left) if is_turn || left <= 0 || since + Instant::seconds(left) <= now => {
                // Whole seconds of the wait are taken off, and everybody has a moment to end.
                let waited = if left > 0 { (now - since).nanos / 1_000_000_000 } else { 0 };
                let seconds = (left - waited).max(LEAST);
                steps.push((member.name.clone(), Step::Stop(seconds)));
                *stage = Stage::Stopping(now + Instant::seconds(seconds));
            }
            Stage::Stopping(by) if by <= now => {
                steps.push((member.name.clone(), Step::Kill));
                *stage = Stage::Gone;
            }
            _ => {}
        }
    }

    fn is_turn(&self, at: usize) -> bool {
        self.members.get(at).is_some_and(|(member, _)| self.turn.contains(&member.name))
    }

    fn view(&self) -> Pod {
        let view = |(member, stage): &(Member, Stage)| Container {
            name: member.name.clone(),
            sidecar: member.role == Role::Sidecar,
            state: Some(if *stage == Stage::Gone { State::Exited(0) } else { State::Running }),
            ..Container::default()
        };
        let of = |main: bool| self.members.iter().filter(move |(member, _)| (member.role == Role::Main) == main);
        Pod { init: of(false).map(view).collect(), containers: of(true).map(view).collect(), ..Pod::default() }
    }
}
