//! How containers come up in a cluster that somebody watches: images are pulled or found, each step is an event, and init
//! containers run one after the other, to their own end.
//!
//! Scenarios do without all of this. Sources: `pkg/kubelet/images/image_manager.go` (`EnsureImageExists`),
//! `pkg/kubelet/kuberuntime/kuberuntime_container.go` (`startContainer`, `killContainer`), `kuberuntime_manager.go` (`computePodActions`,
//! `doBackOff`), `pkg/kubelet/pod_workers.go` (`completeWork`: how long after an error a pod is looked at again).

use super::life::Life;
use super::probes::{self, Probes};
use super::resize::Share;
use super::{Events, PodWorker, Run, State, seconds};
use crate::kubelet::back_off;
use crate::kubelet::cri::{self, Logins, Refusal, Runtime};
use crate::kubelet::image::{self, Image, Images, Reference, Registry};
use crate::runtime::Sandbox;
use crate::termination;
use kit_api::core::{Container, ContainerStateTerminated, ContainerStatus, EphemeralContainer, Pod};
use kit_api::jiff::Timestamp;
use kit_api::pod_resources::is_sidecar;
use kit_contract::Slot;
use kit_contract::node::Prober;
use kit_contract::node::probes::{Kill, Kind};
use kit_time::agenda::Instant;
use kit_time::random::{Purpose, Random};

/// How often the kubelet looks at what its container runtime runs (`genericPlegRelistPeriod`).
pub(super) const RELIST: Instant = Instant::seconds(1);
/// After an error a pod is looked at again so much later, and up to half as much more (`backOffPeriod`, `workerBackOffPeriodJitterFactor`).
const SYNC: Instant = Instant::seconds(10);

/// What a container is in its pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Main,
    Init,
    Sidecar,
    /// It came later, and runs once.
    Guest,
}

/// What is to be done for a container that doesn't run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nothing: others come first, or it has ended for good.
    Turn,
    /// It has ended, and the kubelet doesn't know.
    Unseen,
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
    pub(super) grace: Instant,
    /// When its back-off is over.
    again: Instant,
    /// What the last pull said, if it failed.
    pulled: String,
    /// How often it was looked at again.
    looks: u64,
    /// When it is killed, if it doesn't end before, and whether it is started again then.
    killed: Option<(Instant, bool)>,
    pub(super) probes: Option<Probes>,
    /// What follows from its probes, if one has failed.
    pub(super) unwell: Option<Kill>,
    /// Its runs were in another sandbox, and don't count.
    forgotten: bool,
    /// It was killed to be started again, which is one step upstream.
    ordered: bool,
    pub(super) share: Share,
    runtime: Runtime,
}

impl Live {
    fn new(pod: &Pod, container: &Container, role: Role, now: Instant, slot: Option<&Slot<dyn Prober>>) -> Live {
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
            probes: slot.and_then(|slot| match role {
                Role::Init | Role::Guest => None,
                Role::Sidecar => probes::of(container, "Always", grace, now, slot),
                Role::Main => probes::of(container, policy, grace, now, slot),
            }),
            unwell: None,
            forgotten: false,
            ordered: false,
            share: Share::new(container),
            runtime: Runtime::default(),
        }
    }

    /// When the kubelet looks again after an error.
    fn look(&mut self, at: Instant, container: &str) -> Instant {
        self.looks += 1;
        let purpose = Purpose { component: "kubelet", object: &self.uid, reason: container, attempt: self.looks };
        at + SYNC + Instant { nanos: (Random::new(0).fraction(purpose) * 0.5 * SYNC.nanos as f64) as i64 }
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
        (self.inits, self.init_next) = (Vec::new(), None);
        self.live = Some(Box::new(Pod { status: None, ..pod.clone() }));
        let role = |container: &Container| if is_sidecar(container) { Role::Sidecar } else { Role::Init };
        let roles = inits.iter().map(role).chain(spec.containers.iter().map(|_| Role::Main));
        let containers = inits.iter().chain(&spec.containers).zip(roles);
        for (run, (container, role)) in
            self.setup.iter_mut().chain(&mut self.containers).chain(&mut self.guests).zip(containers)
        {
            (run.image, run.life) = inside(container, registry, network, run.image.clone());
            match &run.state {
                State::Running { .. } => {}
                State::Ended(_) => run.next = None,
                State::Waiting(..) => (run.state, run.next) = (State::Waiting(None), None),
            }
            let live = Live::new(pod, container, role, now, Some(slot));
            run.live = Some(live);
            let said = pod.status.iter().flat_map(|of| of.container_statuses.iter().chain(&of.init_container_statuses));
            if let Some(said) = said.flatten().find(|said| said.name == run.name) {
                run.find_share(said);
            }
        }
        self.welcome(pod, registry, network, now, time);
        // What has run had a sandbox, which is still there.
        let has_run = |run: &Run| !matches!(run.state, State::Waiting(..)) || run.last.is_some();
        let ran = self.setup.iter().chain(&self.containers).chain(&self.guests).any(has_run);
        self.sandbox = ran.then_some(Sandbox { attempt: 0, ready: true, ip: None });
        self.sync(now, time);
        self
    }

    /// Takes in ephemeral containers that it doesn't have yet.
    pub(super) fn welcome(&mut self, pod: &Pod, registry: &Registry, network: bool, now: Instant, time: Timestamp) {
        let spec = pod.spec.iter();
        for guest in spec.flat_map(|spec| spec.ephemeral_containers.iter().flatten()).map(container_of) {
            if self.guests.iter().any(|run| run.name == guest.name) {
                continue;
            }
            let mut run = Run::new(&guest, registry, false);
            run.adopt_guest(pod, now, time);
            (run.image, run.life) = inside(&guest, registry, network, run.image.clone());
            if !matches!(run.state, State::Running { .. }) {
                run.next = None;
            }
            run.live = Some(Live::new(pod, &guest, Role::Guest, now, None));
            self.guests.push(run);
        }
    }

    /// The same pod on this runtime.
    pub fn on(mut self, runtime: Runtime) -> PodWorker {
        let lives = self
            .setup
            .iter_mut()
            .chain(&mut self.containers)
            .chain(&mut self.guests)
            .filter_map(|run| run.live.as_mut());
        lives.for_each(|live| live.runtime = runtime);
        self
    }

    /// Whether it has secrets for registries, which somebody has to look up.
    pub fn has_pull_secrets(&self) -> bool {
        let spec = self.live.as_ref().and_then(|pod| pod.spec.as_ref());
        spec.is_some_and(|spec| spec.image_pull_secrets.as_ref().is_some_and(|secrets| !secrets.is_empty()))
    }

    /// The images that the containers which have run so far were made of.
    pub fn images(&self) -> impl Iterator<Item = &str> {
        let runs = self.setup.iter().chain(&self.containers).chain(&self.guests);
        let has_run = |run: &&Run| !matches!(run.state, State::Waiting(..)) || run.last.is_some();
        runs.filter(has_run).map(|run| run.image_name.as_str())
    }

    /// Everything that is due.
    pub(super) fn advance_live(&mut self, now: Instant, time: Timestamp, images: &mut Images) -> Events {
        let mut events = std::mem::take(&mut self.news);
        self.go_on_resizing(now);
        loop {
            self.sync(now, time);
            let mut moved = false;
            for run in self.setup.iter_mut().chain(&mut self.containers).chain(&mut self.guests) {
                while let Some(at) = run.next.filter(|at| *at <= now) {
                    moved = true;
                    match run.state {
                        State::Running { .. } => run.go_on(at, time),
                        // Nothing is started any more in a pod that ends.
                        _ if self.stops_at.is_some() => run.next = None,
                        _ => run.prepare((at, time), images, &self.logins, &mut events),
                    }
                }
            }
            if !moved {
                break;
            }
        }
        events.append(&mut self.news);
        events
    }

    /// Says of each container that runs that it is stopped.
    pub(super) fn announce_stop(&mut self) {
        let running = self
            .containers
            .iter()
            .chain(&self.setup)
            .chain(&self.guests)
            .filter(|run| matches!(run.state, State::Running { .. }));
        self.news.extend(running.map(|run| ("Normal", "Killing", format!("Stopping container {}", run.name))));
    }
}

/// An ephemeral container as a container.
fn container_of(guest: &EphemeralContainer) -> Container {
    let value = serde_json::to_value(guest).unwrap_or_default();
    serde_json::from_value(value).unwrap_or_default()
}

/// A name that looks like a hash.
fn hash(object: &str, reason: &str, attempt: u64) -> String {
    let part = |part: u64| Random::new(part).bits(Purpose { component: "runtime", object, reason, attempt });
    (0..4).map(|at| format!("{:016x}", part(at))).collect()
}

/// What an image's manifest is called.
fn digest(image: &str) -> String {
    format!("sha256:{}", hash(image, "image", 0))
}

/// How a container behaves, and what goes on in it.
pub(super) fn inside(container: &Container, registry: &Registry, network: bool, image: Image) -> (Image, Option<Life>) {
    let life = Life::new(container, registry, network);
    // Its program says when it ends, if it ends at all.
    let image = match life.command() {
        true => Image { exits_after: None, stop: f64::from(i32::MAX), ..image },
        false => image,
    };
    (image, Some(life))
}

impl Run {
    /// Nothing is done for it before the kubelet wants it.
    pub(super) fn wait_for_turn(&mut self) {
        self.next = None;
        self.live.iter_mut().for_each(|live| (live.stage, live.killed) = (Stage::Turn, None));
    }

    /// The kubelet wants it to run. One that is on its way goes on.
    pub(super) fn begin(&mut self, now: Instant) {
        let waits = !matches!(self.state, State::Running { .. });
        if waits {
            self.renew();
        }
        let has_run = self.last.is_some() || matches!(self.state, State::Ended(_));
        let Some(live) = self.live.as_mut().filter(|live| waits && live.stage == Stage::Turn) else { return };
        live.stage = if has_run { Stage::Again } else { Stage::Image };
        self.next = Some(now);
    }

    /// Whether it is on its way to run.
    pub(super) fn begins(&self) -> bool {
        let on_its_way = |live: &Live| !matches!(live.stage, Stage::Turn | Stage::Unseen);
        !matches!(self.state, State::Running { .. }) && self.live.as_ref().is_some_and(on_its_way)
    }

    /// Whether it has ended, and the kubelet doesn't know.
    pub(super) fn is_unseen(&self) -> bool {
        self.live.as_ref().is_some_and(|live| live.stage == Stage::Unseen)
    }

    /// Whether the runtime has forgotten its runs.
    pub(super) fn is_forgotten(&self) -> bool {
        self.live.as_ref().is_some_and(|live| live.forgotten)
    }

    /// Whether the sync that killed it is not over: it goes on to start it.
    pub(super) fn is_ordered(&self) -> bool {
        self.live.as_ref().is_some_and(|live| live.ordered)
    }

    /// Which probe has failed.
    pub(super) fn unwell(&self) -> Option<Kind> {
        self.live.as_ref()?.unwell.as_ref().map(|kill| kill.because)
    }

    /// It waits in a new sandbox, for this reason; the runtime may have forgotten its `runs`.
    pub(super) fn forget(&mut self, waits: &'static str, runs: bool) {
        if let State::Ended(ended) = std::mem::replace(&mut self.state, State::Waiting(Some((waits, String::new())))) {
            self.last = Some(ended);
        }
        self.wait_for_turn();
        self.live.iter_mut().for_each(|live| live.forgotten = runs);
    }

    /// It has nothing to wait for any more.
    pub(super) fn look_at_once(&mut self) {
        let Some(live) = &mut self.live else { return };
        live.again = Instant::default();
        if live.stage != Stage::Unseen {
            live.stage = Stage::Turn;
        }
    }

    /// Whether it is an init container that stays.
    pub(super) fn is_sidecar(&self) -> bool {
        self.live.as_ref().is_some_and(|live| live.role == Role::Sidecar)
    }

    /// Whether it runs and can get other resources: init containers that end can't.
    pub(super) fn is_resizable(&self) -> bool {
        let stays = self.live.as_ref().is_some_and(|live| live.role != Role::Init);
        stays && matches!(self.state, State::Running { .. })
    }

    /// Whether it was told to end.
    pub(super) fn is_killed(&self) -> bool {
        self.live.as_ref().is_some_and(|live| live.killed.is_some())
    }

    /// Whether it has ended for good.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.state, State::Ended(_)) && self.next.is_none()
    }

    /// It runs, and something is due.
    fn go_on(&mut self, at: Instant, time: Timestamp) {
        let killed = self.live.as_ref().and_then(|live| live.killed);
        if killed.is_some_and(|(by, _)| by <= at) {
            // Who heard the signal ended well; programs that didn't are killed.
            let code = if self.life.as_ref().is_some_and(Life::command) { 137 } else { 0 };
            self.exit(code, at, time, "Never");
            return self.blame_program();
        }
        let State::Running { since, ready, .. } = &mut self.state else { return };
        let exit = self.image.exits_after.map(|after| *since + seconds(after));
        if exit.is_some_and(|exit| exit <= at) {
            return self.exit(self.image.exit_code, at, time, "Never");
        }
        let probes = self.live.as_ref().and_then(|live| live.probes.as_ref());
        *ready |= probes::is_ready_by_itself(probes, *since);
        self.next = exit.into_iter().chain(killed.map(|(by, _)| by)).min();
    }

    /// One step of a container on its way to run.
    fn prepare(&mut self, (at, time): (Instant, Timestamp), images: &mut Images, logins: &Logins, events: &mut Events) {
        let (name, image) = (self.name.clone(), self.image_name.clone());
        let refusal = self.refusal(logins);
        let Some(live) = &mut self.live else { return };
        match live.stage {
            Stage::Turn => self.next = None,
            Stage::Unseen => (live.stage, self.next) = (Stage::Turn, None),
            Stage::Again => {
                if at >= live.again {
                    live.stage = Stage::Image;
                    return;
                }
                live.ordered = false;
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
            Stage::Image => {
                if !logins.missing.is_empty() {
                    let missing = logins.missing.join(", ");
                    let told = format!(
                        "Unable to retrieve some image pull secrets ({missing}); attempting to pull the image may not succeed."
                    );
                    events.push(("Warning", "FailedToRetrieveImagePullSecret", told));
                }
                self.look_for_image(at, &name, &image, images, events);
            }
            Stage::Pulling if refusal.is_none() => {
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
                let refusal = refusal.unwrap_or(Refusal::NotFound);
                let digest = || digest(&image);
                let error = Reference::parse(&image).map(|it| images.runtime.refuses(&it, refusal, &digest()));
                let error = error.unwrap_or_default();
                let (reason, why) = cri::explain(&image, &error);
                events.push(("Warning", "Failed", format!("Failed to pull image {image:?}: {error}")));
                events.push(("Warning", "Failed", format!("Error: {reason}")));
                // The first failure is followed by what the new sandbox gives the kubelet to look at.
                let first = self.pulls == back_off::NEW;
                self.pulls.start(at, at);
                live.pulled = format!("{reason}: {why}");
                live.stage = Stage::Image;
                self.next = Some(if first { at + RELIST } else { live.look(at, &name) });
                self.state = State::Waiting(Some((reason, why)));
            }
            Stage::Created => {
                if let State::Ended(ended) = &self.state {
                    self.last = Some(ended.clone());
                }
                if self.last.is_some() {
                    self.restarts += 1;
                    self.crashes.start(self.ended_at, at);
                }
                (live.killed, live.unwell) = (None, None);
                (live.forgotten, live.ordered) = (false, false);
                self.take_share();
                self.state = State::Running { since: at, at: time, ready: false };
                events.push(("Normal", "Started", format!("Started container {name}")));
                let exit = self.image.exits_after.map(seconds);
                self.next = Some(at + seconds(self.image.ready).min(exit.unwrap_or(Instant { nanos: i64::MAX / 2 })));
            }
        }
    }

    /// Why its image can't be pulled.
    fn refusal(&self, logins: &Logins) -> Option<Refusal> {
        let is_open =
            |login: &String| Reference::parse(&self.image_name).is_some_and(|image| logins.open(&image, login));
        match &self.image {
            image if !image.exists => Some(Refusal::NotFound),
            Image { login: Some(login), refused: None, .. } if !is_open(login) => Some(Refusal::Unauthorized),
            image => image.refused,
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

    /// It has ended like this, and the last time `before`. Who killed it to start it again does so.
    pub(super) fn ended(&mut self, ended: ContainerStateTerminated, before: Instant, now: Instant) {
        let ran_before = self.last.is_some();
        let again = self.live.as_mut().and_then(|live| live.killed.take()).is_some_and(|(_, again)| again);
        match again && self.renewal.is_some() {
            // Its pod may be one whose containers aren't started again, and then the API server lets no end be taken back.
            true => {
                (self.last, self.state) = (Some(ended), State::Waiting(Some(("ContainerCreating", String::new()))));
                self.renew();
            }
            false => self.state = State::Ended(ended),
        }
        self.waits = self.crashes.delay(now).unwrap_or_default();
        self.next = Some(now + RELIST);
        let Some(live) = &mut self.live else { return };
        live.ordered = again;
        live.stage = if again { Stage::Again } else { Stage::Unseen };
        // Who kills it has not seen this end yet, and counts from the last one (`doBackOff` with the status of before).
        let is_over = again && (!ran_before || before + self.waits <= now);
        live.again = if is_over { now } else { now + self.waits };
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
        let runs = !matches!(self.state, State::Waiting(..));
        if runs || self.last.is_some() {
            let id = hash(&live.uid, &self.name, u64::try_from(self.restarts).unwrap_or_default());
            status.container_id = Some(format!("{}://{id}", live.runtime.scheme()));
            let repository =
                Reference::parse(&self.image_name).map(|reference| reference.repository()).unwrap_or_default();
            status.allocated_resources = live.share.given.requests.clone();
            status.resources = Some(live.share.has.clone());
            status.image_id = format!("{repository}@{}", digest(&self.image_name));
        }
        if let State::Running { since, .. } = &self.state {
            status.started = Some(probes::has_started(live.probes.as_ref(), *since));
        }
        match live.role {
            Role::Main => {}
            Role::Guest => (status.ready, status.started) = (false, None),
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
