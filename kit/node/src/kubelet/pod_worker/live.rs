//! How containers come up in a cluster that somebody watches: images are pulled or found, each step is an event, and init
//! containers run one after the other, to their own end.
//!
//! Scenarios do without all of this. Sources: `pkg/kubelet/images/image_manager.go` (`EnsureImageExists`),
//! `pkg/kubelet/kuberuntime/kuberuntime_container.go` (`startContainer`, `killContainer`), `kuberuntime_manager.go` (`computePodActions`,
//! `doBackOff`), `pkg/kubelet/pod_workers.go` (`completeWork`: how long after an error a pod is looked at again).

use super::life::Life;
use super::probes::{self, Probes};
use super::{Events, PodWorker, Run, State, seconds};
use crate::kubelet::back_off;
use crate::kubelet::image::{self, Images, Reference, Registry};
use crate::runtime;
use crate::termination;
use kit_api::core::{Container, ContainerStateTerminated, ContainerStatus, Pod};
use kit_api::jiff::Timestamp;
use kit_api::pod_resources::is_sidecar;
use kit_contract::Slot;
use kit_contract::node::Prober;
use kit_time::agenda::Instant;
use kit_time::random::{Purpose, Random};

/// How often the kubelet looks at what its container runtime runs (`genericPlegRelistPeriod`).
const RELIST: Instant = Instant::seconds(1);
/// After an error a pod is looked at again so much later, and up to half as much more (`backOffPeriod`, `workerBackOffPeriodJitterFactor`).
const SYNC: Instant = Instant::seconds(10);

/// What a container is in its pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Main,
    Init,
    Sidecar,
}

/// What is to be done for a container that doesn't run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nothing yet: others come first.
    Turn,
    /// It has ended, and is started again if its back-off allows it.
    Again,
    /// It needs its image.
    Image,
    /// The image is being pulled.
    Pulling,
    /// It is there, and is started.
    Created,
}

/// What a container needs of this mode.
pub struct Live {
    role: Role,
    stage: Stage,
    /// `imagePullPolicy`
    pull: String,
    /// The pod's uid, and how messages name the pod.
    uid: String,
    pod: String,
    /// How long it has to end with its pod.
    grace: Instant,
    /// When its back-off is over.
    again: Instant,
    /// What the last pull said, if it failed.
    pulled: String,
    /// How often it was looked at again.
    looks: u64,
    /// When it is killed, if it doesn't end before, and whether it is started again then.
    killed: Option<(Instant, bool)>,
    pub(super) probes: Option<Probes>,
}

impl Live {
    fn new(pod: &Pod, container: &Container, role: Role, now: Instant, slot: &Slot<dyn Prober>) -> Live {
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        let (meta, spec) = (&pod.metadata, pod.spec.as_ref());
        let grace = termination::time(termination::grace(pod, container, None));
        let policy = spec.and_then(|spec| spec.restart_policy.as_deref()).unwrap_or("Always");
        Live {
            role,
            stage: Stage::Turn,
            pull: container.image_pull_policy.clone().unwrap_or_else(|| "IfNotPresent".into()),
            uid: text(&meta.uid),
            pod: format!("{}_{}({})", text(&meta.name), text(&meta.namespace), text(&meta.uid)),
            grace,
            again: Instant::default(),
            pulled: String::new(),
            looks: 0,
            killed: None,
            // Init containers have none.
            probes: match role {
                Role::Init => None,
                Role::Sidecar => probes::of(container, "Always", grace, now, slot),
                Role::Main => probes::of(container, policy, grace, now, slot),
            },
        }
    }

    /// Nothing is done for it before it is its turn.
    pub(super) fn wait_for_turn(&mut self) {
        (self.stage, self.killed) = (Stage::Turn, None);
    }

    /// When the kubelet looks again after an error.
    fn look(&mut self, at: Instant, container: &str) -> Instant {
        self.looks += 1;
        let purpose = Purpose { component: "kubelet", object: &self.uid, reason: container, attempt: self.looks };
        at + SYNC + Instant { nanos: (Random::new(0).fraction(purpose) * 0.5 * SYNC.nanos as f64) as i64 }
    }

    /// The restart policy that holds for this container in a pod with this one.
    fn policy<'a>(&self, pod: &'a str) -> &'a str {
        match self.role {
            Role::Sidecar => "Always",
            Role::Init if pod == "Always" => "OnFailure",
            _ => pod,
        }
    }
}

impl PodWorker {
    /// The same pod with programs in its containers, and all that somebody who watches can see of a kubelet's work.
    pub fn with_programs(
        mut self,
        pod: &Pod,
        registry: &Registry,
        network: bool,
        slot: &Slot<dyn Prober>,
        now: Instant,
        time: Timestamp,
    ) -> PodWorker {
        let spec = pod.spec.clone().unwrap_or_default();
        let inits = spec.init_containers.unwrap_or_default();
        self.setup = inits.iter().map(|container| Run::new(container, registry, is_sidecar(container))).collect();
        self.adopt_setup(pod, now, time);
        (self.inits, self.init_next, self.live) = (Vec::new(), None, true);
        let role = |container: &Container| if is_sidecar(container) { Role::Sidecar } else { Role::Init };
        let roles = inits.iter().map(role).chain(spec.containers.iter().map(|_| Role::Main));
        let containers = inits.iter().chain(&spec.containers).zip(roles);
        for (run, (container, role)) in self.setup.iter_mut().chain(&mut self.containers).zip(containers) {
            let life = Life::new(container, registry, network);
            if life.command() {
                // Its program says when it ends, if it ends at all.
                run.image.exits_after = None;
                run.image.stop = f64::from(i32::MAX);
            }
            run.life = Some(life);
            let mut live = Live::new(pod, container, role, now, slot);
            match &run.state {
                State::Running { .. } => {}
                State::Ended(ended) => {
                    let policy = live.policy(&self.policy);
                    let again = runtime::restarts(policy, ended.exit_code);
                    (live.stage, live.again) = (Stage::Again, now);
                    run.next = again.then_some(now);
                }
                State::Waiting(..) => (run.state, run.next) = (State::Waiting(None), None),
            }
            run.live = Some(live);
        }
        self.proceed(now);
        self
    }

    /// The images that the containers which have run so far were made of.
    pub fn images(&self) -> impl Iterator<Item = &str> {
        let runs = self.setup.iter().chain(&self.containers);
        let has_run = |run: &&Run| !matches!(run.state, State::Waiting(..)) || run.last.is_some();
        runs.filter(has_run).map(|run| run.image_name.as_str())
    }

    /// Lets the containers begin whose turn it is: init containers in their order, then all others.
    pub(super) fn proceed(&mut self, now: Instant) {
        if self.stops_at.is_some() {
            return;
        }
        if self.containers.iter().all(Run::waits_for_turn) {
            for run in &mut self.setup {
                if run.waits_for_turn() {
                    return run.take_turn(now);
                }
                if !run.is_through() {
                    return;
                }
            }
        }
        self.containers.iter_mut().filter(|run| run.waits_for_turn()).for_each(|run| run.take_turn(now));
    }

    /// Everything that is due.
    pub(super) fn advance_live(&mut self, now: Instant, time: Timestamp, images: &mut Images) -> Events {
        let mut events = std::mem::take(&mut self.news);
        loop {
            self.proceed(now);
            let mut moved = false;
            for run in self.setup.iter_mut().chain(&mut self.containers) {
                while let Some(at) = run.next.filter(|at| *at <= now) {
                    moved = true;
                    match run.state {
                        State::Running { .. } => run.go_on(at, time, &self.policy),
                        // Nothing is started any more in a pod that ends.
                        _ if self.stops_at.is_some() => run.next = None,
                        _ => run.prepare(at, time, images, &mut events),
                    }
                }
            }
            if !moved {
                break;
            }
        }
        self.end_sidecars(now, time);
        events.append(&mut self.news);
        events
    }

    /// Sidecars end when all others have ended for good.
    pub(super) fn end_sidecars(&mut self, now: Instant, time: Timestamp) {
        let over = self.containers.iter().all(Run::is_over);
        if !over || self.stops_at.is_some() {
            return;
        }
        for run in self.setup.iter_mut().rev() {
            let grace = run.live.as_ref().map_or(Instant::default(), |live| live.grace);
            let told = format!("Stopping container {}", run.name);
            self.news.extend(run.begin_kill(now, time, grace, false).then_some(("Normal", "Killing", told)));
        }
    }

    /// An init container has failed, and is not started again.
    pub(super) fn has_failed(&self) -> bool {
        let failed = |run: &Run| run.is_over() && matches!(&run.state, State::Ended(ended) if ended.exit_code != 0);
        self.setup.iter().any(failed)
    }

    /// Says of each container that runs that it is stopped.
    pub(super) fn announce_stop(&mut self) {
        let running =
            self.containers.iter().chain(&self.setup).filter(|run| matches!(run.state, State::Running { .. }));
        self.news.extend(running.map(|run| ("Normal", "Killing", format!("Stopping container {}", run.name))));
    }
}

impl Run {
    fn waits_for_turn(&self) -> bool {
        matches!(self.state, State::Waiting(..)) && self.live.as_ref().is_some_and(|live| live.stage == Stage::Turn)
    }

    fn take_turn(&mut self, now: Instant) {
        self.live.iter_mut().for_each(|live| live.stage = Stage::Image);
        self.next = Some(now);
    }

    /// Whether an init container lets the next one begin.
    fn is_through(&self) -> bool {
        match (&self.state, self.live.as_ref().map(|live| live.role)) {
            (State::Running { since, .. }, Some(Role::Sidecar)) => probes::has_started(self.probes(), *since),
            (State::Ended(ended), Some(Role::Init)) => ended.exit_code == 0,
            _ => false,
        }
    }

    /// Whether it is an init container that stays.
    pub(super) fn is_sidecar(&self) -> bool {
        self.live.as_ref().is_some_and(|live| live.role == Role::Sidecar)
    }

    /// Whether it has ended for good.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.state, State::Ended(_)) && self.next.is_none()
    }

    /// The policy that holds for it in a pod with this one.
    pub(super) fn policy_in<'a>(&self, pod: &'a str) -> &'a str {
        self.live.as_ref().map_or(pod, |live| live.policy(pod))
    }

    /// It runs, and something is due.
    fn go_on(&mut self, at: Instant, time: Timestamp, policy: &str) {
        let killed = self.live.as_ref().and_then(|live| live.killed);
        if let Some((_, again)) = killed.filter(|(by, _)| *by <= at) {
            // Who heard the signal ended well; programs that didn't are killed.
            let code = if self.life.as_ref().is_some_and(Life::command) { 137 } else { 0 };
            self.exit(code, at, time, if again { "Always" } else { "Never" });
            return self.blame_program();
        }
        let State::Running { since, ready, .. } = &mut self.state else { return };
        let exit = self.image.exits_after.map(|after| *since + seconds(after));
        if exit.is_some_and(|exit| exit <= at) {
            let policy = self.policy_in(policy).to_string();
            return self.exit(self.image.exit_code, at, time, &policy);
        }
        let probes = self.live.as_ref().and_then(|live| live.probes.as_ref());
        *ready |= probes::is_ready_by_itself(probes, *since);
        self.next = exit.into_iter().chain(killed.map(|(by, _)| by)).min();
    }

    /// One step of a container on its way to run.
    fn prepare(&mut self, at: Instant, time: Timestamp, images: &mut Images, events: &mut Events) {
        let (name, image) = (self.name.clone(), self.image_name.clone());
        let Some(live) = &mut self.live else { return };
        match live.stage {
            Stage::Turn => self.next = None,
            Stage::Again => {
                if at >= live.again {
                    live.stage = Stage::Image;
                    return;
                }
                if let State::Ended(ended) = &self.state {
                    self.last = Some(ended.clone());
                    let pod = &live.pod;
                    let message = format!("back-off {} restarting failed container={name} pod={pod}", self.waits);
                    self.state = State::Waiting(Some(("CrashLoopBackOff", message)));
                }
                let told = format!("Back-off restarting failed container {name} in pod {}", live.pod);
                events.push(("Warning", "BackOff", told));
                // It is looked at again now and then, not just when the time has come.
                self.next = Some(live.look(at, &name));
            }
            Stage::Image => self.look_for_image(at, &name, &image, images, events),
            Stage::Pulling if self.image.exists => {
                let took = seconds(self.image.pull);
                let size = image::size(&image);
                events.push((
                    "Normal",
                    "Pulled",
                    format!("Successfully pulled image {image:?} in {took} ({took} including waiting). Image size: {size} bytes."),
                ));
                images.insert(&image);
                self.created(at, &name, events);
            }
            Stage::Pulling => {
                let why = Reference::parse(&image).map(|reference| reference.not_found()).unwrap_or_default();
                events.push(("Warning", "Failed", format!("Failed to pull image {image:?}: {why}")));
                events.push(("Warning", "Failed", "Error: ErrImagePull".into()));
                // The first failure is followed by what the new sandbox gives the kubelet to look at.
                let first = self.pulls == back_off::NEW;
                self.pulls.start(at, at);
                live.pulled = format!("ErrImagePull: {why}");
                live.stage = Stage::Image;
                self.next = Some(if first { at + RELIST } else { live.look(at, &name) });
                self.state = State::Waiting(Some(("ErrImagePull", why)));
            }
            Stage::Created => {
                if let State::Ended(ended) = &self.state {
                    self.last = Some(ended.clone());
                }
                if self.last.is_some() {
                    self.restarts += 1;
                    self.crashes.start(self.ended_at, at);
                }
                live.killed = None;
                self.state = State::Running { since: at, at: time, ready: false };
                events.push(("Normal", "Started", format!("Started container {name}")));
                let exit = self.image.exits_after.map(seconds);
                self.next = Some(at + seconds(self.image.ready).min(exit.unwrap_or(Instant { nanos: i64::MAX / 2 })));
            }
        }
    }

    fn look_for_image(&mut self, at: Instant, name: &str, image: &str, images: &Images, events: &mut Events) {
        let Some(live) = &mut self.live else { return };
        let present = images.has(image);
        let refused = if Reference::parse(image).is_none() {
            let why = format!("couldn't parse image name {image:?}: invalid reference format");
            let why = format!("Failed to apply default image tag {image:?}: {why}");
            Some(("InvalidImageName", ("Warning", "InspectFailed", why.clone()), why))
        } else if live.pull == "Never" && !present {
            let why = format!("Container image {image:?} is not present with pull policy of Never");
            Some(("ErrImageNeverPull", ("Warning", "ErrImageNeverPull", why.clone()), why))
        } else if present && live.pull != "Always" {
            events.push(("Normal", "Pulled", format!("Container image {image:?} already present on machine")));
            return self.created(at, name, events);
        } else if self.pulls.waits(at).is_some() {
            let told = format!("Back-off pulling image {image:?}");
            let why = format!("{told}: {}", live.pulled);
            Some(("ImagePullBackOff", ("Normal", "BackOff", told), why))
        } else {
            None
        };
        if let Some((reason, event, why)) = refused {
            events.extend([event, ("Warning", "Failed", format!("Error: {reason}"))]);
            self.state = State::Waiting(Some((reason, why)));
            self.next = Some(live.look(at, name));
            return;
        }
        events.push(("Normal", "Pulling", format!("Pulling image {image:?}")));
        live.stage = Stage::Pulling;
        self.next = Some(at + seconds(self.image.pull));
    }

    fn created(&mut self, at: Instant, name: &str, events: &mut Events) {
        events.push(("Normal", "Created", format!("Created container: {name}")));
        self.live.iter_mut().for_each(|live| live.stage = Stage::Created);
        self.next = Some(at + seconds(self.image.start));
    }

    /// It has ended like this, and is started `again` or not.
    pub(super) fn ended(&mut self, ended: ContainerStateTerminated, again: bool, now: Instant) {
        self.state = State::Ended(ended);
        let delay = self.crashes.delay(now).unwrap_or_default();
        self.waits = delay;
        if let Some(live) = &mut self.live {
            (live.stage, live.again, live.killed) = (Stage::Again, now + delay, None);
        }
        self.next = again.then_some(now + RELIST);
    }

    /// Sends it the signal to stop, and kills it when it has had its time. `false` if there is nothing to kill.
    pub(super) fn begin_kill(&mut self, now: Instant, time: Timestamp, grace: Instant, again: bool) -> bool {
        let stop = seconds(self.image.stop).min(grace.max(Instant::seconds(termination::LEAST)));
        let Some(live) = self.live.as_mut().filter(|live| live.killed.is_none()) else { return false };
        if !matches!(self.state, State::Running { .. }) {
            return false;
        }
        live.killed = Some((now + stop, again));
        self.next = self.next.into_iter().chain([now + stop]).min();
        self.signal(time);
        true
    }

    /// Its probes.
    pub(super) fn probes(&self) -> Option<&Probes> {
        self.live.as_ref()?.probes.as_ref()
    }

    /// What this mode adds to its status.
    pub(super) fn detail(&self, status: &mut ContainerStatus) {
        let Some(live) = &self.live else { return };
        let hash = |object: &str, reason: &str, attempt: u64| -> String {
            let part = |part: u64| Random::new(part).bits(Purpose { component: "runtime", object, reason, attempt });
            (0..4).map(|at| format!("{:016x}", part(at))).collect()
        };
        let runs = !matches!(self.state, State::Waiting(..));
        if runs || self.last.is_some() {
            let id = hash(&live.uid, &self.name, u64::try_from(self.restarts).unwrap_or_default());
            status.container_id = Some(format!("containerd://{id}"));
            let repository =
                Reference::parse(&self.image_name).map(|reference| reference.repository()).unwrap_or_default();
            status.image_id = format!("{repository}@sha256:{}", hash(&self.image_name, "image", 0));
        }
        if let State::Running { since, .. } = &self.state {
            status.started = Some(probes::has_started(live.probes.as_ref(), *since));
        }
        match live.role {
            Role::Main => {}
            Role::Init => {
                status.ready = matches!(&self.state, State::Ended(ended) if ended.exit_code == 0);
                status.started = Some(false);
            }
            Role::Sidecar => status.ready = self.is_ready(),
        }
    }
}

#[cfg(test)]
mod tests;
