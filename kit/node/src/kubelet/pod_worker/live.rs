//! How containers come up in a cluster that somebody watches: images are pulled or found, each step is an event, and init
//! containers run one after the other, to their own end.
//!
//! Scenarios do without all of this. Sources: `pkg/kubelet/images/image_manager.go` (`EnsureImageExists`),
//! `pkg/kubelet/kuberuntime/kuberuntime_container.go` (`startContainer`, `killContainer`), `kuberuntime_manager.go` (`computePodActions`,
//! `doBackOff`), `pkg/kubelet/pod_workers.go` (`completeWork`: how long after an error a pod is looked at again).

mod steps;

use super::life::Life;
use super::probes::{self, Probes};
use super::resize::Share;
use super::{Events, PodWorker, Run, State};
use crate::kubelet::cri::Runtime;
use crate::kubelet::image::{self, Image, Images, Reference, Registry};
use crate::kubelet::objects::Needs;
use crate::kubelet::user::Rule;
use crate::runtime::Sandbox;
use crate::termination;
use kit_api::core::{Container, ContainerStatus, EphemeralContainer, Pod};
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
    /// Who may run in it.
    user: Rule,
    /// The pod's uid, and how messages name the pod.
    uid: String,
    pod: String,
    /// How long it has to end with its pod.
    pub(super) grace: Instant,
    /// When its back-off is over.
    again: Instant,
    /// From which end its next start counts for the back-off; none if it doesn't.
    counts_from: Option<Instant>,
    /// What the last pull said, if it failed.
    pulled: String,
    /// How often it was looked at again.
    looks: u64,
    /// When it is killed, if it doesn't end before, and whether it is started again then.
    killed: Option<(Instant, bool)>,
    /// When it has its signal, if a hook comes before.
    signal: Option<Instant>,
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
            user: Rule::new(pod, container),
            uid: text(&meta.uid),
            pod: format!("{}_{}({})", text(&meta.name), text(&meta.namespace), text(&meta.uid)),
            grace,
            again: Instant::default(),
            counts_from: None,
            pulled: String::new(),
            looks: 0,
            killed: None,
            signal: None,
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

    /// How messages name the pod.
    pub(super) fn pod_name(&self) -> &str {
        &self.pod
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
        self.setup = {
            let run = |container| Run::new(container, registry, &self.lifecycle, is_sidecar(container));
            inits.iter().map(run).collect()
        };
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
            let mut run = Run::new(&guest, registry, &self.lifecycle, false);
            run.adopt_guest(pod, now, time);
            (run.image, run.life) = inside(&guest, registry, network, run.image.clone());
            if !matches!(run.state, State::Running { .. }) {
                run.next = None;
            }
            run.live = Some(Live::new(pod, &guest, Role::Guest, now, None));
            self.guests.push(run);
        }
        self.note_targets();
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

    /// Whether a container is on its way that needs something of other objects, which somebody has to look up.
    pub fn asks_for_objects(&self) -> bool {
        self.live.as_ref().is_some_and(|pod| Needs::are_of(pod)) && self.runs().any(Run::begins)
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
            let mut moved = false;
            for run in self.setup.iter_mut().chain(&mut self.containers).chain(&mut self.guests) {
                while let Some(at) = run.next.filter(|at| *at <= now) {
                    moved = true;
                    match run.state {
                        State::Running { .. } => run.go_on(at, time),
                        // Nothing is started any more in a pod that ends.
                        _ if self.stops_at.is_some() => run.next = None,
                        _ => run.prepare((at, time), images, &self.needs, &mut events),
                    }
                }
            }
            if !moved {
                break;
            }
            self.sync(now, time);
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

/// How a container behaves, and what goes on in it.
pub(super) fn inside(container: &Container, registry: &Registry, network: bool, image: Image) -> (Image, Option<Life>) {
    let life = Life::new(container, registry, network, &image.user);
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

    /// Its probes.
    pub(super) fn probes(&self) -> Option<&Probes> {
        self.live.as_ref()?.probes.as_ref()
    }

    /// What this mode adds to its status.
    pub(super) fn detail(&self, status: &mut ContainerStatus) {
        let Some(live) = &self.live else { return };
        let begun = !matches!(self.state, State::Waiting(..));
        let runs = begun && !self.hooks.hold_back();
        if runs || self.last.is_some() {
            let id = |run: i32| {
                let id = image::hash(&live.uid, &self.name, u64::try_from(run).unwrap_or_default());
                Some(format!("{}://{id}", live.runtime.scheme()))
            };
            status.container_id = id(self.restarts);
            // Each end says which container it was; one that waits has none yet.
            let before = self.restarts - i32::from(begun);
            for (state, run) in [(&mut status.state, self.restarts), (&mut status.last_state, before)] {
                let ended = state.as_mut().and_then(|state| state.terminated.as_mut());
                ended.into_iter().for_each(|ended| ended.container_id = id(run));
            }
            let repository =
                Reference::parse(&self.image_name).map(|reference| reference.repository()).unwrap_or_default();
            status.allocated_resources = live.share.given.requests.clone();
            status.resources = Some(live.share.has.clone());
            status.image_id = format!("{repository}@{}", image::digest(&self.image_name));
        }
        if let State::Running { since, .. } = &self.state
            && runs
        {
            status.started = Some(probes::has_started(live.probes.as_ref(), *since));
        }
        match live.role {
            Role::Main => {}
            Role::Guest => (status.ready, status.started) = (false, None),
            Role::Init => {
                status.ready = matches!(&self.state, State::Ended(ended) if ended.exit_code == 0);
                status.started = Some(false);
            }
            Role::Sidecar => status.ready = runs && self.is_ready(),
        }
    }
}

#[cfg(test)]
mod tests;
