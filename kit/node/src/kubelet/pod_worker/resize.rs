//! How the containers of a pod get other resources while they run, once the kubelet has given them.
//!
//! Sources: `computePodResizeAction` and `isPodResizeInProgress` of `pkg/kubelet/kuberuntime/kuberuntime_manager.go`,
//! `convertContainerStatusResources` of `pkg/kubelet/kubelet_pods.go`.

use super::live::RELIST;
use super::{PodWorker, Run, State, limit};
use crate::runtime::phase::Said;
use crate::runtime::resize::{self, Pending};
use kit_api::core::{Container, ContainerStatus, Pod, PodSpec, ResourceRequirements};
use kit_api::jiff::Timestamp;
use kit_api::pod_resources::{Resources, resources};
use kit_time::agenda::Instant;
use kit_time::random::{Purpose, Random};

/// How often the kubelet looks at a pod without a reason, and up to half as much later (`syncFrequency`,
/// `workerResyncIntervalJitterFactor`).
const RESYNC: Instant = Instant::seconds(60);

/// A resize of a pod.
#[derive(Default)]
pub struct Resize {
    /// Why it waits.
    pending: Option<Pending>,
    /// How often it was put off, and when it is looked at again.
    looks: u64,
    again: Option<Instant>,
    /// When the runtime has done what it was told.
    done: Option<Instant>,
}

/// What a container was given, and what it has.
pub struct Share {
    pub(super) given: ResourceRequirements,
    pub(super) has: ResourceRequirements,
}

impl Share {
    /// That of a container which begins.
    pub(super) fn new(container: &Container) -> Share {
        let given = container.resources.clone().unwrap_or_default();
        Share { has: given.clone(), given }
    }
}

/// Requests and limits.
fn amounts(of: &ResourceRequirements) -> [Resources; 2] {
    [resources(of.requests.as_ref()), resources(of.limits.as_ref())]
}

fn containers(spec: &PodSpec) -> impl Iterator<Item = &Container> {
    spec.init_containers.iter().flatten().chain(&spec.containers)
}

impl PodWorker {
    /// The pod, if it wants other resources than it was given and it is time to decide.
    pub fn wants_resize(&self, now: Instant) -> Option<&Pod> {
        let pod = self.live.as_deref().filter(|_| self.stops_at.is_none())?;
        let wants = |container: &Container| {
            let share = self.runs().find(|run| run.name == container.name)?.share()?;
            // Most often both are the same to the letter.
            let wanted = container.resources.as_ref().filter(|wanted| **wanted != share.given);
            Some(wanted.is_some_and(|wanted| amounts(wanted) != amounts(&share.given)))
        };
        let other = containers(pod.spec.as_ref()?).any(|container| wants(container) == Some(true));
        let is_time = self.resize.again.is_none_or(|at| at <= now);
        (other && is_time && !self.is_final()).then_some(pod)
    }

    /// What it waited for isn't wanted any more; `true` if there was something.
    pub fn settle_resize(&mut self) -> bool {
        // Nobody asks again before its time.
        let waits = self.resize.again.is_some() && self.wants_resize(Instant { nanos: i64::MAX }).is_some();
        if waits {
            return false;
        }
        self.resize.again = None;
        self.resize.pending.take().is_some()
    }

    /// The node has no room for it.
    pub fn put_off(&mut self, pending: Pending, now: Instant) {
        self.resize.looks += 1;
        let uid = self.live.as_ref().and_then(|pod| pod.metadata.uid.clone()).unwrap_or_default();
        let purpose = Purpose { component: "kubelet", object: &uid, reason: "sync", attempt: self.resize.looks };
        let more = Random::new(0).fraction(purpose) * 0.5 * RESYNC.nanos as f64;
        self.resize.pending = Some(pending);
        self.resize.again = Some(now + RESYNC + Instant { nanos: more as i64 });
    }

    /// It wants something else than before: that is looked at now.
    pub(super) fn look_at_resize(&mut self) {
        self.resize.again = None;
    }

    /// The pod gets what it wants.
    pub fn allocate(&mut self, now: Instant, time: Timestamp) {
        (self.resize.pending, self.resize.again) = (None, None);
        self.resize.done = Some(now + RELIST);
        let Some(spec) = self.live.as_ref().and_then(|pod| pod.spec.clone()) else { return };
        for container in containers(&spec) {
            if let Some(run) = self.runs_mut().find(|run| run.name == container.name) {
                run.give(container);
            }
        }
        let changes = containers(&spec).filter_map(|container| {
            let run = self.runs().find(|run| run.name == container.name && run.is_resizable())?;
            let share = run.share()?;
            Some(resize::Container {
                name: &container.name,
                actuated: amounts(&share.has),
                desired: amounts(&share.given),
                policies: container.resize_policy.as_deref().unwrap_or_default(),
            })
        });
        let actions = resize::actions(&changes.collect::<Vec<_>>());
        for name in actions.restart {
            let Some(run) = self.runs_mut().find(|run| run.name == name) else { continue };
            let grace = run.grace(false);
            let began = run.begin_kill(now, time, grace, true);
            self.news.extend(began.then(|| ("Normal", "Killing", format!("Container {name} resize requires restart"))));
        }
    }

    /// The runtime has done what it was told; containers that have to begin anew for it do so by themselves.
    pub(super) fn go_on_resizing(&mut self, now: Instant) {
        if self.resize.done.take_if(|at| *at <= now).is_some() {
            self.runs_mut().filter(|run| !run.is_killed()).for_each(Run::take_share);
        }
    }

    /// When something of a resize is due.
    pub(super) fn wake_resize(&self) -> Option<Instant> {
        self.resize.done.into_iter().chain(self.resize.again).min()
    }

    /// The conditions that say how far it is.
    pub(super) fn said_of_resize(&self) -> Vec<(&'static str, Said)> {
        let pending = self.resize.pending.as_ref().map(|pending| match pending {
            Pending::Infeasible(why) => ("Infeasible", why),
            Pending::Deferred(why) => ("Deferred", why),
        });
        let pending = pending.map(|(reason, why)| {
            ("PodResizePending", Said { reason: Some(reason), message: Some(why.clone()), ..Said::YES })
        });
        let changing = |run: &Run| run.share().is_some_and(|share| share.given != share.has);
        let goes_on = self.runs().any(|run| run.is_resizable() && changing(run));
        pending.into_iter().chain(goes_on.then_some(("PodResizeInProgress", Said::YES))).collect()
    }
}

impl Run {
    /// A container that doesn't run has at once what it is given.
    fn give(&mut self, container: &Container) {
        let is_running = matches!(self.state, State::Running { .. });
        let Some(live) = &mut self.live else { return };
        live.share.given = container.resources.clone().unwrap_or_default();
        if !is_running {
            self.take_share();
        }
    }

    fn share(&self) -> Option<&Share> {
        self.live.as_ref().map(|live| &live.share)
    }

    /// It has what it was given.
    pub(super) fn take_share(&mut self) {
        let Some(live) = &mut self.live else { return };
        live.share.has.clone_from(&live.share.given);
        let has = Some(live.share.has.clone());
        self.limit = limit(has.as_ref(), "memory").map(|limit| limit.value());
        self.cpu = limit(has.as_ref(), "cpu").map(|limit| limit.milli_value());
    }

    /// What a kubelet that begins anew finds.
    pub(super) fn find_share(&mut self, said: &ContainerStatus) {
        let Some((live, has)) = self.live.as_mut().zip(said.resources.clone()) else { return };
        if said.allocated_resources.is_some() && said.allocated_resources != live.share.given.requests {
            live.share.given = ResourceRequirements { requests: said.allocated_resources.clone(), ..has.clone() };
        }
        live.share.has = has;
    }
}
