//! One pod on one node: its containers from the first pull to the last exit.
//!
//! Sources: `pkg/kubelet/kuberuntime`, `pkg/kubelet/kubelet_pods.go` (phases), `pkg/kubelet/status/generate.go`
//! (conditions); [`pod_status`] computes both. Init containers are simple: one after the other takes a second, to end
//! or, if it is a sidecar, to be ready, and none fails. In a cluster that somebody watches all of this is [closer](live) to the
//! original.

mod adopt;
mod ending;
pub mod life;
mod live;
mod probes;
mod reboot;

use super::back_off;
use super::image::{self, Image, Images, Registry};
use super::network::ports;
use super::pressure::Amounts;
use super::surroundings::Volumes;
use crate::program::link::Served;
use crate::runtime;
use crate::runtime::status::{self, Of, Ran};
use ending::{Ends, Exit};
use kit_api::Quantity;
use kit_api::core::{
    Container, ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting, ContainerStatus,
    Pod, PodCondition, PodIP, PodSpec, PodStatus,
};
use kit_api::jiff::{SignedDuration, Timestamp};
use kit_api::pod_resources::is_sidecar;
use kit_api::pod_status::{self, Said};
use kit_api::time;
use kit_client::back_off::BackOff;
use kit_client::network::Protocol;
use kit_time::agenda::Instant;
use life::Life;

/// The containers of one pod.
pub struct PodWorker {
    inits: Vec<Init>,
    /// The init containers of a cluster that somebody watches: there they run as all others do.
    setup: Vec<Run>,
    /// Whether somebody watches.
    live: bool,
    /// What is to be said and was not yet.
    news: Events,
    /// When the init container that runs now will have ended.
    init_next: Option<Instant>,
    containers: Vec<Run>,
    policy: String,
    started: Timestamp,
    ip: String,
    /// When all containers will have ended, once somebody asked for it.
    pub stops_at: Option<Instant>,
    /// How far its end is.
    ends: Option<Ends>,
    volumes: Volumes,
    /// When the network is asked again for the pod's address; until then nothing of the pod begins.
    held: Option<Instant>,
}

/// One init container: it begins and is done at fixed times.
struct Init {
    name: String,
    image_name: String,
    sidecar: bool,
    begins: Instant,
    /// The same as calendar time.
    at: Timestamp,
    ports: Vec<(Protocol, u16)>,
}

/// How long each init container takes.
const INIT: Instant = Instant::seconds(1);

struct Run {
    name: String,
    image_name: String,
    image: Image,
    state: State,
    /// What happens next, and when.
    next: Option<Instant>,
    restarts: i32,
    last: Option<ContainerStateTerminated>,
    crashes: BackOff,
    /// When it ended last.
    ended_at: Instant,
    pulls: BackOff,
    /// How long it waits for its next start.
    waits: Instant,
    live: Option<live::Live>,
    /// Whether it waits longer and longer, and nobody was told yet.
    backs_off: bool,
    ports: Vec<(Protocol, u16)>,
    life: Option<Life>,
    exit: Exit,
    /// The most memory that it may use.
    limit: Option<i64>,
    /// The thousandths of a CPU that its quota leaves it.
    cpu: Option<i64>,
}

enum State {
    /// With the reason and the message of the last attempt to start it, if that failed.
    Waiting(Option<(&'static str, String)>),
    Running {
        since: Instant,
        at: Timestamp,
        ready: bool,
    },
    Ended(ContainerStateTerminated),
}

fn seconds(seconds: f64) -> Instant {
    Instant { nanos: (seconds * 1e9) as i64 }
}

/// Events that a transition is worth.
pub type Events = Vec<(&'static str, &'static str, String)>;

impl PodWorker {
    /// A pod that was just bound to the node, or that ran there before the kubelet began.
    pub fn new(pod: &Pod, registry: &Registry, ip: String, now: Instant, time: Timestamp) -> Self {
        let spec = pod.spec.clone().unwrap_or_default();
        let policy = spec.restart_policy.clone().unwrap_or_else(|| "Always".into());
        let init = |(index, container): (usize, &Container)| Init {
            name: container.name.clone(),
            image_name: container.image.clone().unwrap_or_default(),
            sidecar: is_sidecar(container),
            begins: now + Instant::seconds(index as i64),
            at: time + SignedDuration::from_secs(index as i64),
            ports: ports(container),
        };
        let inits: Vec<Init> = spec.init_containers.iter().flatten().enumerate().map(init).collect();
        let init_until = inits.last().map_or(now, |last| last.begins + INIT);
        let run = |container: &Container| {
            let mut run = Run::new(container, registry, policy == "Always");
            run.next = Some(init_until + seconds(run.image.pull + run.image.start));
            run
        };
        let containers = spec.containers.iter().map(run).collect();
        let init_next = inits.first().map(|first| first.begins + INIT);
        let (stops_at, ends, held, volumes) = (None, None, None, Volumes::new());
        let (setup, news, live) = (Vec::new(), Events::new(), false);
        let mut worker = PodWorker {
            inits,
            setup,
            live,
            news,
            init_next,
            containers,
            policy,
            started: time,
            ip,
            stops_at,
            ends,
            volumes,
            held,
        };
        worker.adopt(pod, now, time);
        worker
    }

    /// When something happens next.
    pub fn next(&self) -> Option<Instant> {
        if self.held.is_some() {
            return self.held.into_iter().chain(self.stops_at).min();
        }
        let runs = self.setup.iter().chain(&self.containers);
        let due = runs.filter_map(|run| run.next).chain(self.init_next).chain(self.wake_ending());
        due.chain(self.stops_at.filter(|at| *at < ending::OPEN)).min()
    }

    /// The same, programs among it.
    pub fn next_with_programs(&self) -> Option<Instant> {
        self.next().into_iter().chain(self.wake()).min()
    }

    /// The pod's address.
    pub fn ip(&self) -> &str {
        &self.ip
    }

    /// Lets it wait until the network is asked again.
    pub fn hold(&mut self, until: Instant) {
        self.held = Some(until);
    }

    /// Whether it waits for its address.
    pub fn is_held(&self) -> bool {
        self.held.is_some()
    }

    /// Whether the network is to be asked again now.
    pub fn waits_for_network(&self, now: Instant) -> bool {
        self.held.is_some_and(|at| at <= now) && self.stops_at.is_none()
    }

    /// It has this address, or none any more.
    pub fn plugged(&mut self, ip: String) {
        self.ip = ip;
    }

    /// Whether all containers have ended, and none is started again.
    pub fn is_over(&self) -> bool {
        self.held.is_none()
            && (self.has_failed() || self.containers.iter().all(Run::is_over))
            && !self.setup.iter().any(|run| matches!(run.state, State::Running { .. }))
    }

    /// Whether it runs in a sandbox, now or soon.
    pub fn needs_sandbox(&self) -> bool {
        !self.is_over() && self.stops_at.is_none()
    }

    /// What the containers that run serve on a host of this name.
    pub fn serves(&self, hostname: &str, now: Instant) -> Vec<Served> {
        let inits = self.inits.iter().filter(|init| init.runs(now) && self.held.is_none());
        let inits = inits.map(|init| (&init.ports, &init.image_name, None));
        let runs = self.setup.iter().chain(&self.containers).filter(|run| matches!(run.state, State::Running { .. }));
        let runs = runs.map(|run| (&run.ports, &run.image_name, run.life.as_ref()));
        let served = |(ports, image, life): (&Vec<(Protocol, u16)>, &String, Option<&Life>)| {
            let words = life.map(|life| life.words().cloned().collect::<Vec<_>>()).unwrap_or_default();
            let port = |(protocol, port): &(Protocol, u16)| Served {
                protocol: *protocol,
                port: *port,
                image: image::called(image).into(),
                words: words.clone(),
                hostname: hostname.into(),
            };
            ports.iter().map(port).collect::<Vec<_>>()
        };
        inits.chain(runs).flat_map(served).collect()
    }

    /// Everything that is due.
    pub fn advance(&mut self, now: Instant, time: Timestamp, images: &mut Images) -> Events {
        let mut events = Events::new();
        if self.held.is_some() {
            return events;
        }
        self.go_on_ending(now, time);
        if self.live {
            return self.advance_live(now, time, images);
        }
        if self.init_next.is_some_and(|at| at <= now) {
            self.init_next = self.inits.iter().map(|init| init.begins + INIT).find(|at| *at > now);
        }
        let policy = if self.stops_at.is_some() { "Never" } else { &self.policy };
        for run in &mut self.containers {
            while let Some(at) = run.next.filter(|at| *at <= now) {
                run.advance(at, time, policy, &mut events);
            }
        }
        events
    }

    /// Whether there is something to be [told](PodWorker::told).
    pub fn backs_off(&self) -> bool {
        !self.news.is_empty() || self.containers.iter().any(|run| run.backs_off)
    }

    /// What is to be said of containers that have ended again, once (`doBackOff`).
    pub fn told(&mut self, pod: &Pod) -> Events {
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        let meta = &pod.metadata;
        let who = format!("{}_{}({})", text(&meta.name), text(&meta.namespace), text(&meta.uid));
        let told = self.containers.iter_mut().filter_map(|run| std::mem::take(&mut run.backs_off).then_some(&run.name));
        let line = |name| format!("Back-off restarting failed container {name} in pod {who}");
        let told = told.map(|name| ("Warning", "BackOff", line(name)));
        std::mem::take(&mut self.news).into_iter().chain(told).collect()
    }

    /// The containers end with this code, now.
    pub fn kill(&mut self, exit_code: i32, now: Instant, time: Timestamp) {
        for run in &mut self.containers {
            run.exit(exit_code, now, time, &self.policy);
        }
    }

    /// Thousandths of a CPU and bytes that each running container uses without load, and the time since which it runs.
    pub fn usage_of_containers(&self) -> Vec<(String, Instant, (i64, i64))> {
        let used = |run: &Run| match run.state {
            State::Running { since, .. } => {
                Some((run.name.clone(), since, (run.throttled(run.image.milli_cpu), run.memory())))
            }
            _ => None,
        };
        self.setup.iter().chain(&self.containers).filter_map(used).collect()
    }

    fn of(&self, is_init: bool) -> Of<'_> {
        let has_init = !self.inits.is_empty() || !self.setup.is_empty();
        Of { policy: &self.policy, deleting: self.stops_at.is_some(), has_init, is_init }
    }

    /// What a container can use of so many thousandths of a CPU: its quota throttles it.
    pub fn throttled(&self, name: &str, milli_cpu: i64) -> i64 {
        let mut runs = self.setup.iter().chain(&self.containers);
        runs.find(|run| run.name == name).map_or(milli_cpu, |run| run.throttled(milli_cpu))
    }

    /// What each running container uses now, by its name.
    pub fn usage_now(&self, now: Instant) -> impl Iterator<Item = (&str, Amounts)> {
        let runs = self.setup.iter().chain(&self.containers);
        runs.filter_map(move |run| Some((run.name.as_str(), run.uses(run.since()?, now))))
    }

    /// The images of all its containers.
    pub fn all_images(&self) -> impl Iterator<Item = &str> {
        let runs = self.setup.iter().chain(&self.containers).map(|run| run.image_name.as_str());
        self.inits.iter().map(|init| init.image_name.as_str()).chain(runs)
    }

    /// The status to be posted over the one that is there.
    pub fn status(&self, pod: &Pod, host_ip: &str, now: Instant, time: Timestamp) -> PodStatus {
        let before = pod.status.clone().unwrap_or_default();
        let there = before.conditions.unwrap_or_default();
        let nothing = PodSpec::default();
        let spec = pod.spec.as_ref().unwrap_or(&nothing);
        // Before there is a sandbox nothing of it has begun.
        let begun = if self.held.is_some() { Instant { nanos: i64::MIN } } else { now };
        let inits: Vec<ContainerStatus> = match self.live {
            true => self.setup.iter().map(|run| run.status(self.of(true))).collect(),
            false => self.inits.iter().map(|init| init.status(begun)).collect(),
        };
        let containers: Vec<ContainerStatus> = self.containers.iter().map(|run| run.status(self.of(false))).collect();
        let all = [&inits[..], &containers].concat();
        let stopped = self.stops_at.is_some_and(|at| at <= now);
        let phase = pod_status::phase(spec, &all, stopped);
        let sandbox = !stopped && self.held.is_none() && !matches!(phase, "Succeeded" | "Failed");
        let ip = Some(self.ip.clone()).filter(|ip| !ip.is_empty());
        let mine = [
            ("PodReadyToStartContainers", Said { holds: sandbox, ..Said::YES }),
            ("Initialized", pod_status::initialized(spec, Some(&all), phase)),
            ("Ready", pod_status::ready(spec, &there, Some(&all), phase)),
            ("ContainersReady", pod_status::containers_ready(spec, Some(&all), phase)),
            ("PodScheduled", Said::YES),
        ];
        let mut conditions: Vec<PodCondition> = Vec::new();
        for (type_, said) in mine {
            let status = said.status();
            let same = there.iter().find(|c| c.type_ == type_ && c.status == status);
            conditions.push(PodCondition {
                type_: type_.into(),
                status: status.into(),
                reason: said.reason.map(str::to_string),
                message: said.message,
                last_transition_time: same.map_or(Some(time::seconds(time)), |same| same.last_transition_time.clone()),
                ..Default::default()
            });
        }
        // What others said of the pod stays.
        conditions.extend(there.into_iter().filter(|c| !mine_has(&c.type_)));
        PodStatus {
            phase: Some(phase.into()),
            conditions: Some(conditions),
            init_container_statuses: Some(inits).filter(|inits| !inits.is_empty()),
            container_statuses: Some(containers),
            host_ip: Some(host_ip.into()),
            pod_ips: ip.clone().map(|ip| vec![PodIP { ip }]),
            pod_ip: ip,
            start_time: Some(time::seconds(self.started)),
            reason: None,
            message: None,
            ..before
        }
    }
}

fn mine_has(type_: &str) -> bool {
    ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"].contains(&type_)
}

impl Init {
    fn runs(&self, now: Instant) -> bool {
        now >= self.begins && (self.sidecar || now < self.begins + INIT)
    }

    fn status(&self, now: Instant) -> ContainerStatus {
        let running = ContainerState {
            running: Some(ContainerStateRunning { started_at: Some(time::seconds(self.at)) }),
            ..ContainerState::default()
        };
        let done = now >= self.begins + INIT;
        let state = if now < self.begins {
            let reason = Some("PodInitializing".to_string());
            ContainerState { waiting: Some(ContainerStateWaiting { reason, message: None }), ..Default::default() }
        } else if done && !self.sidecar {
            let ended = ContainerStateTerminated {
                exit_code: 0,
                reason: Some("Completed".into()),
                started_at: Some(time::seconds(self.at)),
                finished_at: Some(time::seconds(self.at + SignedDuration::from_secs(1))),
                ..ContainerStateTerminated::default()
            };
            ContainerState { terminated: Some(ended), ..ContainerState::default() }
        } else {
            running
        };
        ContainerStatus {
            name: self.name.clone(),
            image: self.image_name.clone(),
            ready: done,
            started: Some(done && self.sidecar),
            state: Some(state),
            ..ContainerStatus::default()
        }
    }
}

impl Run {
    /// A container of which nothing is there yet, in a pod that is restarted `always`, or not.
    fn new(container: &Container, registry: &Registry, always: bool) -> Run {
        Run {
            name: container.name.clone(),
            image_name: container.image.clone().unwrap_or_default(),
            next: None,
            image: image::behaviour(registry, container, always),
            state: State::Waiting(None),
            restarts: 0,
            last: None,
            crashes: back_off::NEW,
            ended_at: Instant::default(),
            pulls: back_off::NEW,
            waits: Instant::default(),
            live: None,
            backs_off: false,
            ports: ports(container),
            life: None,
            exit: Exit::new(container),
            limit: limit(container, "memory").map(|limit| limit.value()),
            cpu: limit(container, "cpu").map(|limit| limit.milli_value()),
        }
    }

    /// The bytes that it uses, never more than its limit.
    fn memory(&self) -> i64 {
        self.limit
            .filter(|_| self.image.fills_after.is_some())
            .map_or(self.image.memory, |limit| limit.min(self.image.memory))
    }

    fn throttled(&self, milli_cpu: i64) -> i64 {
        self.cpu.map_or(milli_cpu, |most| milli_cpu.min(most))
    }

    /// What a run uses that began then. Memory fills up bit by bit.
    fn uses(&self, since: Instant, now: Instant) -> Amounts {
        let part = |fills: f64| ((now - since).nanos as f64 / (fills * 1e9).max(1.0)).min(1.0);
        let filled = self.image.fills_after.map_or(1.0, part);
        let memory = (self.image.memory as f64 * filled) as i64;
        let most = self.limit.filter(|_| self.image.fills_after.is_some()).unwrap_or(i64::MAX);
        Amounts { memory: memory.min(most), disk: self.image.disk, pids: self.image.processes }
    }

    /// When it ends by itself after it began, and with which code: by its image, or because it wants more memory than it may.
    fn end(&self) -> Option<(Instant, i32)> {
        let by_itself = self.image.exits_after.map(|after| (seconds(after), self.image.exit_code));
        let starves = self.limit.is_some_and(|limit| self.image.memory > limit);
        let killed = self.image.fills_after.filter(|_| starves).map(|after| (seconds(after), 137));
        by_itself.into_iter().chain(killed).min()
    }

    /// What failed before is forgotten: back-offs are only in a kubelet's memory.
    fn forget_failures(&mut self) {
        (self.crashes, self.pulls) = (back_off::NEW, back_off::NEW);
    }

    fn is_ready(&self) -> bool {
        matches!(self.state, State::Running { ready: true, .. })
    }

    fn advance(&mut self, at: Instant, time: Timestamp, policy: &str, events: &mut Events) {
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

    fn exit(&mut self, exit_code: i32, now: Instant, time: Timestamp, policy: &str) {
        let State::Running { at, .. } = self.state else { return };
        self.ended_at = now;
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
        let again = runtime::restarts(policy, exit_code);
        if self.live.is_some() {
            return self.ended(ended, again, now);
        }
        if !again {
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
    fn runs(&self) -> Vec<Ran> {
        let run = |state: runtime::State, since: Option<Timestamp>, ended: ContainerStateTerminated| Ran {
            id: String::new(),
            state,
            since: since.map(time::seconds),
            ended,
            restarts: self.restarts,
        };
        let newest = match &self.state {
            State::Waiting(_) => None,
            State::Running { at, .. } => {
                Some(run(runtime::State::Running, Some(*at), ContainerStateTerminated::default()))
            }
            State::Ended(ended) => Some(run(runtime::State::Exited, None, ended.clone())),
        };
        let before = self.last.clone().map(|ended| run(runtime::State::Exited, None, ended));
        newest.into_iter().chain(before).collect()
    }

    fn status(&self, of: Of<'_>) -> ContainerStatus {
        let container =
            Container { name: self.name.clone(), image: Some(self.image_name.clone()), ..Container::default() };
        let failure = match &self.state {
            State::Waiting(Some((reason, message))) => Some((reason.to_string(), message.clone())),
            _ => None,
        };
        let mut status = status::status(&container, of, &self.runs(), None, failure);
        (status.ready, status.started) = (self.is_ready(), Some(matches!(self.state, State::Running { .. })));
        self.detail(&mut status);
        status
    }
}

/// A container's limit of something.
fn limit(container: &Container, of: &str) -> Option<Quantity> {
    container.resources.as_ref()?.limits.as_ref()?.get(of)?.0.parse().ok()
}

/// The grace period that a pod has left, from its deletion.
pub fn grace(pod: &Pod) -> Instant {
    let own = pod.spec.as_ref().and_then(|spec: &PodSpec| spec.termination_grace_period_seconds);
    Instant::seconds(pod.metadata.deletion_grace_period_seconds.or(own).unwrap_or(30).max(0))
}

#[cfg(test)]
mod tests;
