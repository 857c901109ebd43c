//! One pod on one node: its containers from the first pull to the last exit.
//!
//! Source: `pkg/kubelet/kuberuntime`. In scenarios [init containers](init) are simple; in a cluster that somebody watches all of this is
//! [closer](live) to the original.

mod adopt;
mod answering;
mod ending;
pub mod figures;
mod hooks;
mod init;
pub mod life;
mod live;
mod namespaces;
mod probes;
mod reboot;
mod renewal;
mod resize;
mod run;
mod start;
mod status;
mod sync;
pub mod work;

use super::image::{self, Images, Registry};
use super::network::ports;
use super::objects::Needs;
use super::pressure::Amounts;
use super::surroundings::Volumes;
use crate::program::link::Served;
use crate::runtime::Sandbox;
use crate::runtime::status::Of;
use crate::termination;
use ending::Ends;
use init::{INIT, Init};
use kit_api::core::{Container, Pod, PodSpec};
use kit_api::jiff::{SignedDuration, Timestamp};
use kit_api::pod_resources::is_sidecar;
use kit_client::network::Protocol;
use kit_contract::node::PodLifecycle;
use kit_time::agenda::Instant;
use life::Life;
use run::{Run, State, limit};
use std::rc::Rc;

/// The containers of one pod.
pub struct PodWorker {
    inits: Vec<Init>,
    /// The init containers of a cluster that somebody watches: there they run as all others do.
    setup: Vec<Run>,
    /// Its ephemeral containers, which somebody brought to look around.
    guests: Vec<Run>,
    /// The pod as it is wanted, if somebody watches.
    live: Option<Box<Pod>>,
    resize: resize::Resize,
    /// What other objects say of its containers.
    pub needs: Needs,
    /// Its sandbox then, once it had one.
    sandbox: Option<Sandbox>,
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
    /// What its containers find where volumes are mounted.
    pub volumes: Volumes,
    /// Whose processes its containers see.
    namespaces: namespaces::Namespaces,
    /// When the network is asked again for the pod's address; until then nothing of the pod begins.
    held: Option<Instant>,
    /// Who decides about the containers.
    lifecycle: Rc<dyn PodLifecycle>,
}

fn seconds(seconds: f64) -> Instant {
    Instant { nanos: (seconds * 1e9) as i64 }
}

/// Events that a transition is worth.
pub type Events = Vec<(&'static str, &'static str, String)>;

impl PodWorker {
    /// A pod that was just bound to the node, or that ran there before the kubelet began.
    pub fn new(
        pod: &Pod,
        registry: &Registry,
        ip: String,
        lifecycle: Rc<dyn PodLifecycle>,
        now: Instant,
        time: Timestamp,
    ) -> Self {
        let spec = pod.spec.clone().unwrap_or_default();
        let policy = spec.restart_policy.clone().unwrap_or_else(|| "Always".into());
        let init = |(index, container): (usize, &Container)| Init {
            name: container.name.clone(),
            image_name: container.image.clone().unwrap_or_default(),
            sidecar: is_sidecar(container),
            begins: now + Instant::seconds(index as i64),
            at: time + SignedDuration::from_secs(index as i64),
            ports: ports(container),
            restarts: 0,
        };
        let inits: Vec<Init> = spec.init_containers.iter().flatten().enumerate().map(init).collect();
        let init_until = inits.last().map_or(now, |last| last.begins + INIT);
        let run = |container: &Container| {
            let mut run = Run::new(container, registry, &lifecycle, policy == "Always");
            run.next = Some(init_until + seconds(run.image.pull + run.image.start));
            run
        };
        let containers = spec.containers.iter().map(run).collect();
        let init_next = inits.first().map(|first| first.begins + INIT);
        let (stops_at, ends, held, volumes) = (None, None, None, Volumes::new());
        let (setup, guests, news, live, sandbox) = (Vec::new(), Vec::new(), Events::new(), None, None);
        let mut worker = PodWorker {
            inits,
            setup,
            guests,
            live,
            resize: resize::Resize::default(),
            needs: Needs::default(),
            sandbox,
            news,
            init_next,
            containers,
            policy,
            started: time,
            ip,
            stops_at,
            ends,
            volumes,
            namespaces: namespaces::Namespaces::default(),
            held,
            lifecycle,
        };
        worker.adopt(pod, now, time);
        worker
    }

    /// When something happens next.
    pub fn next(&self) -> Option<Instant> {
        if self.held.is_some() {
            return self.held.into_iter().chain(self.stops_at).min();
        }
        let runs = self.setup.iter().chain(&self.containers).chain(&self.guests);
        let due =
            runs.filter_map(|run| run.next).chain(self.init_next).chain(self.wake_ending()).chain(self.wake_resize());
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
        let ended = |runs: &[Run]| !runs.iter().any(|run| matches!(run.state, State::Running { .. }));
        let over = match self.live {
            Some(_) => self.is_final() && ended(&self.containers),
            None => self.containers.iter().all(Run::is_over),
        };
        self.held.is_none() && over && ended(&self.setup) && ended(&self.guests)
    }

    /// Whether it runs in a sandbox, now or soon.
    pub fn needs_sandbox(&self) -> bool {
        !self.is_over() && self.stops_at.is_none()
    }

    /// What the containers that run serve on a host of this name.
    pub fn serves(&self, hostname: &str, now: Instant) -> Vec<Served> {
        let inits = self.inits.iter().filter(|init| init.runs(now) && self.held.is_none());
        let inits = inits.map(|init| (&init.ports, &init.image_name, None, false));
        let runs = self
            .setup
            .iter()
            .chain(&self.containers)
            .chain(&self.guests)
            .filter(|run| matches!(run.state, State::Running { .. }));
        let runs = runs.map(|run| (&run.ports, &run.image_name, run.life.as_ref(), run.answers_in().is_none()));
        let served = |(ports, image, life, still): (&Vec<(Protocol, u16)>, &String, Option<&Life>, bool)| {
            let words = life.map(|life| life.words().cloned().collect::<Vec<_>>()).unwrap_or_default();
            let port = |(protocol, port): &(Protocol, u16)| Served {
                protocol: *protocol,
                port: *port,
                image: image::called(image).into(),
                words: words.clone(),
                hostname: hostname.into(),
                still,
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
        if self.live.is_some() {
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

    /// The kernel kills a container for its memory; `false` if it doesn't run.
    pub fn kill_container(&mut self, name: &str, now: Instant, time: Timestamp) -> bool {
        // In a pod that ends nothing begins again.
        let policy = if self.stops_at.is_some() { "Never".into() } else { self.policy.clone() };
        let run = self.runs_mut().find(|run| run.name == name && run.since().is_some());
        run.map(|run| run.exit(137, now, time, &policy)).is_some()
    }

    /// Thousandths of a CPU and bytes that each running container uses, and the time since which it runs.
    pub fn usage_of_containers(&self) -> Vec<(String, Instant, (i64, i64))> {
        let used = |run: &Run| match run.state {
            State::Running { since, .. } => {
                let wants = if run.still { 0 } else { run.image.average() + run.load };
                Some((run.name.clone(), since, (run.throttled(wants), run.memory())))
            }
            _ => None,
        };
        self.setup.iter().chain(&self.containers).chain(&self.guests).filter_map(used).collect()
    }

    fn of(&self, is_init: bool) -> Of<'_> {
        let has_init = !self.inits.is_empty() || !self.setup.is_empty();
        Of { policy: &self.policy, deleting: self.stops_at.is_some(), has_init, is_init }
    }

    /// What each running container uses now, by its name.
    pub fn usage_now(&self, now: Instant) -> impl Iterator<Item = (&str, Amounts)> {
        let runs = self.setup.iter().chain(&self.containers).chain(&self.guests);
        runs.filter_map(move |run| Some((run.name.as_str(), run.uses(run.since()?, now))))
    }

    /// The images of all its containers.
    pub fn all_images(&self) -> impl Iterator<Item = &str> {
        let runs = self.setup.iter().chain(&self.containers).chain(&self.guests).map(|run| run.image_name.as_str());
        self.inits.iter().map(|init| init.image_name.as_str()).chain(runs)
    }
}

/// The grace period that a pod has left, from its deletion.
pub fn grace(pod: &Pod) -> Instant {
    let own = pod.spec.as_ref().and_then(|spec: &PodSpec| spec.termination_grace_period_seconds);
    termination::time(pod.metadata.deletion_grace_period_seconds.or(own).unwrap_or(30))
}

#[cfg(test)]
mod tests;
