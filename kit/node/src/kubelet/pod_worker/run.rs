//! One container: from its image to its last exit, as it goes in scenarios.
//!
//! In a cluster that somebody watches [`live`](super::live) takes its steps. What is said of it follows from its runs
//! ([`runtime::status`]).

use super::ending::Exit;
use super::hooks::Hooks;
use super::life::Life;
use super::renewal::Renewal;
use super::work::Counted;
use super::{Events, live, seconds};
use crate::kubelet::back_off::{self, CrashLoop};
use crate::kubelet::image::{self, Image, Registry};
use crate::kubelet::network::ports;
use crate::kubelet::pressure::Amounts;
use crate::runtime;
use crate::runtime::status::{self, Of, Ran};
use kit_api::Quantity;
use kit_api::core::{Container, ContainerStateTerminated, ContainerStatus, ResourceRequirements};
use kit_api::jiff::Timestamp;
use kit_api::time;
use kit_client::back_off::BackOff;
use kit_client::network::Protocol;
use kit_contract::node::PodLifecycle;
use kit_time::agenda::Instant;
use std::rc::Rc;

/// A container and how far it is.
pub struct Run {
    pub(super) name: String,
    pub(super) image_name: String,
    pub(super) image: Image,
    pub(super) state: State,
    /// What happens next, and when.
    pub(super) next: Option<Instant>,
    pub(super) restarts: i32,
    pub(super) last: Option<ContainerStateTerminated>,
    pub(super) crashes: CrashLoop,
    /// When it ended last.
    pub(super) ended_at: Instant,
    pub(super) pulls: BackOff,
    /// How long it waits for its next start.
    pub(super) waits: Instant,
    pub(super) live: Option<live::Live>,
    /// Whether it waits longer and longer, and nobody was told yet.
    pub(super) backs_off: bool,
    pub(super) ports: Vec<(Protocol, u16)>,
    pub(super) life: Option<Life>,
    pub(super) exit: Exit,
    /// The most memory that it may use.
    pub(super) limit: Option<i64>,
    /// The thousandths of a CPU that its quota leaves it.
    pub(super) cpu: Option<i64>,
    /// What it is to be, if that is something else than what runs.
    pub(super) renewal: Option<Box<Renewal>>,
    /// Thousandths of a CPU that it has to do now beside what it does by itself.
    pub(super) load: i64,
    pub(super) done: Counted,
    /// Whether its processes stand still.
    pub(super) still: bool,
    /// How many of its processes the kernel has killed for their memory, and nobody has counted.
    pub(super) oom_kills: i64,
    pub(super) hooks: Hooks,
    /// The reason and the message of the last attempt to start it, if it failed once it was made.
    pub(super) failed: Option<(&'static str, String)>,
}

/// What a container does.
pub enum State {
    /// With the reason and the message of the last attempt to start it, if that failed.
    Waiting(Option<(&'static str, String)>),
    Running {
        since: Instant,
        at: Timestamp,
        ready: bool,
    },
    Ended(ContainerStateTerminated),
}

impl Run {
    /// A container of which nothing is there yet, in a pod that is restarted `always`, or not.
    pub(super) fn new(
        container: &Container,
        registry: &Registry,
        lifecycle: &Rc<dyn PodLifecycle>,
        always: bool,
    ) -> Run {
        Run {
            name: container.name.clone(),
            image_name: container.image.clone().unwrap_or_default(),
            next: None,
            image: image::behaviour(registry, container, always),
            state: State::Waiting(None),
            restarts: 0,
            last: None,
            crashes: CrashLoop::new(lifecycle.clone()),
            ended_at: Instant::default(),
            pulls: back_off::NEW,
            waits: Instant::default(),
            live: None,
            backs_off: false,
            ports: ports(container),
            life: None,
            exit: Exit::new(container),
            limit: limit(container.resources.as_ref(), "memory").map(|limit| limit.value()),
            cpu: limit(container.resources.as_ref(), "cpu").map(|limit| limit.milli_value()),
            renewal: None,
            load: 0,
            done: Counted::default(),
            still: false,
            oom_kills: 0,
            hooks: Hooks::default(),
            failed: None,
        }
    }

    /// The bytes that it uses, never more than its limit.
    pub(super) fn memory(&self) -> i64 {
        self.limit
            .filter(|_| self.image.fills_after.is_some())
            .map_or(self.image.memory, |limit| limit.min(self.image.memory))
    }

    pub(super) fn throttled(&self, milli_cpu: i64) -> i64 {
        self.cpu.map_or(milli_cpu, |most| milli_cpu.min(most))
    }

    /// What a run uses that began then. Memory fills up bit by bit.
    pub(super) fn uses(&self, since: Instant, now: Instant) -> Amounts {
        let part = |fills: f64| ((now - since).nanos as f64 / (fills * 1e9).max(1.0)).min(1.0);
        let filled = self.image.fills_after.map_or(1.0, part);
        let memory = (self.image.memory as f64 * filled) as i64;
        let most = self.limit.filter(|_| self.image.fills_after.is_some()).unwrap_or(i64::MAX);
        Amounts { memory: memory.min(most), disk: self.image.disk, pids: self.image.processes }
    }

    /// When it ends by itself after it began, and with which code: by its image, or because it wants more memory than it may.
    pub(super) fn end(&self) -> Option<(Instant, i32)> {
        let by_itself = self.image.exits_after.map(|after| (seconds(after), self.image.exit_code));
        let starves = self.limit.is_some_and(|limit| self.image.memory > limit);
        let killed = self.image.fills_after.filter(|_| starves).map(|after| (seconds(after), 137));
        by_itself.into_iter().chain(killed).min()
    }

    /// How long it takes to end once it has its signal. Who stands still doesn't hear it.
    pub(super) fn ends_in(&self) -> Instant {
        seconds(if self.still { f64::from(i32::MAX) } else { self.image.stop })
    }

    /// What failed before is forgotten: back-offs are only in a kubelet's memory.
    pub(super) fn forget_failures(&mut self) {
        self.crashes.forget();
        self.pulls = back_off::NEW;
    }

    pub(super) fn is_ready(&self) -> bool {
        matches!(self.state, State::Running { ready: true, .. })
    }

    pub(super) fn advance(&mut self, at: Instant, time: Timestamp, policy: &str, events: &mut Events) {
        match &mut self.state {
            State::Waiting(..) if !self.image.exists => {
                let image = &self.image_name;
                let (reason, message) = match self.state {
                    State::Waiting(None | Some(("ImagePullBackOff", _))) => {
                        events.push((
                            "Warning",
                            "Failed",
                            format!("Failed to pull image {image:?}: {image}: not found"),
                        ));
                        ("ErrImagePull", format!("{image}: not found"))
                    }
                    _ => {
                        events.push(("Normal", "BackOff", format!("Back-off pulling image {image:?}")));
                        ("ImagePullBackOff", format!("Back-off pulling image {image:?}"))
                    }
                };
                self.state = State::Waiting(Some((reason, message)));
                if reason == "ErrImagePull" {
                    self.pulls.start(at, at);
                }
                let delay = self.pulls.waits(at).filter(|_| reason != "ErrImagePull");
                self.next = Some(at + delay.unwrap_or(Instant::seconds(1)));
            }
            State::Waiting(..) | State::Ended(_) => {
                if let State::Ended(ended) = &self.state {
                    self.last = Some(ended.clone());
                }
                if self.last.is_some() {
                    self.restarts += 1;
                    self.crashes.start(self.ended_at, at);
                }
                self.state = State::Running { since: at, at: time, ready: false };
                events.push(("Normal", "Started", format!("Started container {}", self.name)));
                let exit = self.end().map(|(after, _)| after);
                self.next = Some(at + seconds(self.image.ready).min(exit.unwrap_or(Instant { nanos: i64::MAX / 2 })));
            }
            State::Running { .. } if self.renewal.is_some() => {
                self.exit(0, at, time, "Always");
                self.begin_another(at);
            }
            State::Running { since, .. } => {
                let since = *since;
                match self.end().map(|(after, code)| (since + after, code)) {
                    Some((exit, code)) if exit <= at => self.exit(code, at, time, policy),
                    end => {
                        if let State::Running { ready, .. } = &mut self.state {
                            *ready = true;
                        }
                        self.next = end.map(|(exit, _)| exit);
                    }
                }
            }
        }
    }

    pub(super) fn exit(&mut self, exit_code: i32, now: Instant, time: Timestamp, policy: &str) {
        let State::Running { at, .. } = self.state else { return };
        let before = std::mem::replace(&mut self.ended_at, now);
        self.oom_kills += if exit_code == 137 { self.image.processes } else { 0 };
        let reason = match exit_code {
            0 => "Completed",
            137 => "OOMKilled",
            _ => "Error",
        };
        let ended = ContainerStateTerminated {
            exit_code,
            reason: Some(reason.into()),
            started_at: Some(time::seconds(at)),
            finished_at: Some(time::seconds(time)),
            ..Default::default()
        };
        if self.live.is_some() {
            return self.ended(ended, before, now);
        }
        if !runtime::restarts(policy, exit_code) {
            self.state = State::Ended(ended);
            self.next = None;
            return;
        }
        self.last = Some(ended);
        let delay = self.crashes.delay(now);
        let message = delay.map(|delay| format!("back-off {delay} restarting failed container={}", self.name));
        self.backs_off = delay.is_some();
        self.state = State::Waiting(message.map(|message| ("CrashLoopBackOff", message)));
        self.next = Some(now + delay.unwrap_or(seconds(self.image.start)));
    }

    /// What the runtime remembers of it, the newest first.
    pub(super) fn runs(&self) -> Vec<Ran> {
        let run = |state: runtime::State, since: Option<Timestamp>, ended: ContainerStateTerminated| Ran {
            id: String::new(),
            state,
            since: since.map(time::seconds),
            ended,
            restarts: self.restarts,
        };
        let newest = match &self.state {
            State::Waiting(_) => None,
            State::Running { .. } if self.hooks.hold_back() => None,
            State::Running { at, .. } => {
                Some(run(runtime::State::Running, Some(*at), ContainerStateTerminated::default()))
            }
            State::Ended(ended) => Some(run(runtime::State::Exited, None, ended.clone())),
        };
        let before = self.last.clone().map(|ended| run(runtime::State::Exited, None, ended));
        newest.into_iter().chain(before).collect()
    }

    pub(super) fn status(&self, of: Of<'_>) -> ContainerStatus {
        let container =
            Container { name: self.name.clone(), image: Some(self.image_name.clone()), ..Container::default() };
        let failure = match &self.state {
            State::Waiting(Some((reason, message))) => Some((reason.to_string(), message.clone())),
            State::Ended(_) => self.failed.as_ref().map(|(reason, message)| (reason.to_string(), message.clone())),
            _ => None,
        };
        let mut status = status::status(&container, of, &self.runs(), None, failure);
        let runs = matches!(self.state, State::Running { .. }) && !self.hooks.hold_back();
        (status.ready, status.started) = (runs && self.is_ready(), Some(runs));
        self.detail(&mut status);
        status
    }
}

/// The limit of something.
pub(super) fn limit(resources: Option<&ResourceRequirements>, of: &str) -> Option<Quantity> {
    resources?.limits.as_ref()?.get(of)?.0.parse().ok()
}
