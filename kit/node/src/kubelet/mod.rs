//! The nodes: one simulated kubelet each, all in one component.
//!
//! Each runs the pods that are bound to its node ([`pod_worker`]), with containers that behave as their image says
//! ([`image`]); it posts the node's status and renews its lease. Upstream: `pkg/kubelet/kubelet.go`.

pub mod back_off;
pub mod cri;
mod deadline;
mod disk_limit;
mod failing;
mod faults;
mod garbage;
pub mod image;
pub mod log;
pub mod metrics;
mod network;
pub mod node;
mod objects;
pub mod pod_worker;
mod pressure;
pub mod processes;
mod resize;
mod shutdown;
mod static_pods;
pub mod streams;
mod stress;
mod surroundings;
#[cfg(test)]
mod testing;
pub mod usage;
mod volumes;

use crate::admission::Claims;
use crate::eviction::disk_limit::DiskLimits;
use crate::program::link::Wires;
use failing::Failing;
use image::{Images, Registry};
use kit_api::coordination::Lease;
use kit_api::core::{Node, Pod};
use kit_api::jiff::SignedDuration;
use kit_api::pod;
use kit_api::time;
use kit_apimachinery::object::{AsKind, Key, Kind};
use kit_client::component::{Component, World};
use kit_client::fault::Fault;
use kit_client::metrics::Usage;
use kit_contract::node::{PodLifecycle, Prober};
use kit_contract::{Modules, Slot};
use kit_server::{Change, ChangeKind, DeleteOptions};
use kit_time::agenda::Instant;
use node::{NodeShape, Ready};
use pod_worker::PodWorker;
use pressure::Pressure;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// How often a node renews its lease (a quarter of the 40 s that it lasts; `pkg/kubelet/kubelet.go`).
const RENEW: Instant = Instant::seconds(10);
/// How often a node posts its status though nothing changed (`nodeStatusReportFrequency`).
const REPORT: Instant = Instant::seconds(300);

/// Kubelets by the name of their node.
type Nodes = BTreeMap<String, Kubelet>;

/// All kubelets of the cluster.
pub struct Kubelets {
    registry: Registry,
    nodes: Nodes,
    /// The node of each pod that a kubelet knows, by uid.
    pods: BTreeMap<String, String>,
    /// Pods that have ended here, until the watch says that they are gone. In scenarios nobody sees if they begin again for that
    /// moment.
    ended: BTreeSet<String>,
    /// The static pod behind each mirror, by their uids.
    mirrors: BTreeMap<String, String>,
    timers: BTreeSet<(Instant, String, String)>,
    /// When the time of pods is over that may run only for so long.
    deadlines: BTreeSet<(Instant, String, String)>,
    renew: Instant,
    /// When images are looked at next.
    collect: Instant,
    begun: bool,
    usage: Usage,
    /// Whether containers have begun or ended since it was written down.
    unmeasured: bool,
    /// Work for each Deployment, in thousandths of a CPU, by namespace and name.
    loads: BTreeMap<String, i64>,
    /// What first containers of pods did under load, by the uid.
    worked: BTreeMap<String, metrics::Worked>,
    /// If containers run what their command says: whose probes they have.
    programs: Option<Slot<dyn Prober>>,
    /// Who decides about the containers of pods.
    lifecycle: Rc<dyn PodLifecycle>,
    /// Who gives pods their addresses; without it nobody routes them.
    wires: Option<Wires>,
    /// The nodes that are being shut down.
    shutting_down: BTreeSet<String>,
    /// Who wants to know what runs.
    processes: Option<processes::Shared>,
    sessions: BTreeMap<u64, streams::Session>,
    /// The number of the last session.
    session: u64,
}

struct Kubelet {
    shape: NodeShape,
    index: usize,
    pods: BTreeMap<String, Running>,
    addresses: usize,
    images: Images,
    up: bool,
    connected: bool,
    /// Whether something could not be written: it is said again when the API server answers.
    behind: bool,
    /// How far its clock is ahead.
    skew: Instant,
    reported: Option<Instant>,
    /// The attached volumes that its pods use, as its status says.
    in_use: Vec<String>,
    /// How far it is with its end, if its machine is shut down.
    shutdown: Option<shutdown::Shutdown>,
    pressure: Pressure,
    /// Whether too few images could be removed the last time.
    collection_failed: bool,
    counts: metrics::Counts,
}

struct Running {
    key: Key,
    worker: PodWorker,
    timer: Option<Instant>,
    net: network::Interface,
    volumes: volumes::Claimed,
    /// Who has a high one is among the last to go when the machine is shut down.
    priority: i32,
    claims: Claims,
    disk_limits: DiskLimits,
    /// With what it fails when it has ended.
    failing: Option<Failing>,
    /// The pod itself, if it is a static one.
    manifest: Option<Box<Pod>>,
    /// When the kubelet first saw it, until all of its containers run.
    begins: Option<Instant>,
}

impl Kubelets {
    /// Kubelets for nodes of these shapes, which ask these modules what becomes of containers, and of pods under pressure.
    pub fn new(shapes: Vec<NodeShape>, registry: Registry, usage: Usage, modules: &Modules) -> Self {
        let nodes = shapes.into_iter().enumerate().map(|(index, shape)| {
            let pods = BTreeMap::new();
            let name = shape.name.clone();
            let pressure = Pressure::new(&shape, &modules.eviction);
            let skew = Instant::default();
            let images = Images::on(shape.runtime);
            let (up, connected, behind) = (true, true, false);
            (
                name,
                Kubelet {
                    shape,
                    index,
                    pods,
                    addresses: 0,
                    images,
                    up,
                    connected,
                    behind,
                    skew,
                    reported: None,
                    in_use: Vec::new(),
                    shutdown: None,
                    pressure,
                    collection_failed: false,
                    counts: metrics::Counts::default(),
                },
            )
        });
        Kubelets {
            registry,
            nodes: nodes.collect(),
            pods: BTreeMap::new(),
            ended: BTreeSet::new(),
            mirrors: BTreeMap::new(),
            timers: BTreeSet::new(),
            deadlines: BTreeSet::new(),
            renew: Instant::default(),
            collect: garbage::PERIOD,
            begun: false,
            usage,
            unmeasured: true,
            loads: BTreeMap::new(),
            worked: BTreeMap::new(),
            programs: None,
            lifecycle: modules.pod_lifecycle.make(&()).into(),
            wires: None,
            shutting_down: BTreeSet::new(),
            processes: None,
            sessions: BTreeMap::new(),
            session: 0,
        }
    }

    /// The pods whose containers run, each with the node where they do, whatever the API server knows of it.
    pub fn running(&self) -> impl Iterator<Item = (&str, &Key)> {
        let up = self.nodes.iter().filter(|(_, kubelet)| kubelet.up);
        up.flat_map(|(node, kubelet)| {
            let pods = kubelet.pods.values().filter(|pod| !pod.worker.usage_of_containers().is_empty());
            pods.map(|pod| (node.as_str(), &pod.key))
        })
    }

    /// Kubelets whose containers run what their command says, keep logs, can be entered, and are probed by modules of this slot.
    pub fn with_programs(self, probes: Slot<dyn Prober>) -> Self {
        Kubelets { programs: Some(probes), ..self }
    }

    /// Keeps the addresses of pods that ran before the kubelets began, and their volumes.
    fn begin(&mut self, world: &World<'_>) {
        self.begun = true;
        for pod in world.server.snapshot().list(Kind::Pod).filter_map(|stored| stored.get::<Pod>()) {
            let address = pod.status.as_ref().and_then(|status| status.pod_ip.as_deref()).unwrap_or_default();
            let kubelet = pod::node_name(pod).and_then(|node| self.nodes.get_mut(node));
            if let (Some(kubelet), Some(last)) =
                (kubelet, address.rsplit('.').next().and_then(|last| last.parse().ok()))
            {
                kubelet.addresses = kubelet.addresses.max(usize::saturating_sub(last, 1));
            }
        }
        for (name, kubelet) in &mut self.nodes {
            let node = world.server.get(&Key::new(Kind::Node, "", name)).ok();
            let status = node.and_then(|stored| stored.get::<Node>()?.status.clone()).unwrap_or_default();
            kubelet.in_use = status.volumes_in_use.unwrap_or_default();
        }
    }

    fn see(&mut self, pod: &Pod, gone: bool, world: &mut World<'_>) {
        if !self.begun {
            self.begin(world);
        }
        let uid = pod.metadata.uid.clone().unwrap_or_default();
        let Some(node) = pod::node_name(pod).map(str::to_string) else { return };
        let Some(kubelet) = self.nodes.get_mut(&node) else { return };
        if !kubelet.up || !kubelet.connected {
            return;
        }
        if static_pods::mirrored(pod).is_some() {
            return self.see_mirror(&node, pod, gone, world);
        }
        if gone {
            self.ended.remove(&uid);
            if let Some(mut running) = kubelet.pods.remove(&uid) {
                running.net.leave(self.wires.as_ref());
            }
            self.pods.remove(&uid);
            self.drop_volumes(&node, world);
            return;
        }
        if !kubelet.pods.contains_key(&uid) {
            if pod::is_finished(pod) || self.ended.contains(&uid) || !self.admits(&node, pod, world) {
                return;
            }
            self.begin_pod(&node, pod, world);
        }
        if let Some(running) = self.nodes.get_mut(&node).and_then(|kubelet| kubelet.pods.get_mut(&uid))
            && pod::is_terminating(pod)
        {
            running.worker.stop(world.now, world.time(), pod_worker::grace(pod));
        }
        self.update(&node, &uid, pod, world);
        self.note_deadline(&node, &uid, pod, world);
        self.go_on(&node, &uid, world);
    }

    /// A pod begins on a node.
    fn begin_pod(&mut self, node: &str, pod: &Pod, world: &mut World<'_>) {
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        let (meta, uid) = (&pod.metadata, text(&pod.metadata.uid));
        let key = Key::new(Kind::Pod, &text(&meta.namespace), &text(&meta.name));
        let Some(kubelet) = self.nodes.get_mut(node) else { return };
        let ip = if self.wires.is_some() { String::new() } else { kubelet.address() };
        let worker = self.worker_of(pod, ip, world).on(self.runtime_of(node));
        // One that ran before the kubelet began doesn't start.
        let started = pod.status.as_ref().is_some_and(|status| status.start_time.is_some());
        if let Some(kubelet) = self.nodes.get_mut(node) {
            worker.images().for_each(|image| kubelet.images.insert(image));
            let running = Running {
                key,
                worker,
                timer: None,
                net: network::Interface::new(pod, node),
                volumes: volumes::Claimed::new(pod, self.programs.is_some(), world.now),
                priority: shutdown::priority(pod),
                claims: Claims::of(pod),
                disk_limits: DiskLimits::of(pod),
                failing: None,
                begins: (!started).then_some(world.now),
                manifest: static_pods::is_static(pod).then(|| Box::new(pod.clone())),
            };
            kubelet.counts.started_pods += u64::from(!started);
            kubelet.pods.insert(uid.clone(), running);
        }
        self.pods.insert(uid.clone(), node.to_string());
        if self.mount(node, &uid, world) {
            self.plug(node, &uid, world);
        }
        self.post(node, &uid, world);
    }

    /// A pod may be another than it was.
    fn update(&mut self, node: &str, uid: &str, pod: &Pod, world: &mut World<'_>) {
        let (now, time, network) = (world.now, world.time(), self.wires.is_some());
        let Some(kubelet) = self.nodes.get_mut(node) else { return };
        let Some(running) = kubelet.pods.get_mut(uid) else { return };
        if running.worker.update(pod, &self.registry, network, now, time) {
            self.post(node, uid, world);
        }
        self.resize(node, uid, world);
    }

    fn worker_of(&self, pod: &Pod, ip: String, world: &World<'_>) -> PodWorker {
        let worker = PodWorker::new(pod, &self.registry, ip, self.lifecycle.clone(), world.now, world.time());
        match &self.programs {
            Some(slot) => {
                worker.with_programs(pod, &self.registry, self.wires.is_some(), slot, world.now, world.time())
            }
            None => worker,
        }
    }

    /// The container runtime of a node.
    fn runtime_of(&self, node: &str) -> cri::Runtime {
        self.nodes.get(node).map(|kubelet| kubelet.images.runtime).unwrap_or_default()
    }

    /// Lets the programs of a pod go on, and sets its timer.
    fn go_on(&mut self, node: &str, uid: &str, world: &mut World<'_>) {
        if self.play(node, uid, world) {
            self.post(node, uid, world);
        }
        self.tell(node, uid, Vec::new(), world);
        self.listen(node, uid, world.now);
        self.arm(node, uid);
    }

    /// Records events about a pod, and what its worker has to say.
    fn tell(&mut self, node: &str, uid: &str, events: pod_worker::Events, world: &mut World<'_>) {
        let Some(kubelet) = self.nodes.get_mut(node).filter(|kubelet| kubelet.up) else { return };
        kubelet.count(uid, &events);
        if !kubelet.connected {
            return;
        }
        let Some(running) = kubelet.pods.get_mut(uid) else { return };
        if events.is_empty() && !running.worker.backs_off() {
            return;
        }
        let Ok(stored) = world.server.get(&running.key).cloned() else { return };
        let more = stored.get::<Pod>().map(|pod| running.worker.told(pod)).unwrap_or_default();
        kubelet.count(uid, &more);
        for (type_, reason, message) in events.into_iter().chain(more) {
            world.server.record(&stored.object, type_, reason, &message);
        }
    }

    /// Lets the programs of a pod go on; `true` if its status is another.
    fn play(&mut self, node: &str, uid: &str, world: &World<'_>) -> bool {
        if self.programs.is_none() {
            return false;
        }
        let Some(place) = self.place(node, uid, world) else { return false };
        let running = self.nodes.get_mut(node).and_then(|kubelet| kubelet.pods.get_mut(uid));
        let played = running.map(|running| running.worker.play(world.now, &place)).unwrap_or_default();
        self.show(uid, &played.written);
        played.ended || played.changed
    }

    /// Sets the timer of a pod to what it waits for next.
    fn arm(&mut self, node: &str, uid: &str) {
        let Some(running) = self.nodes.get_mut(node).and_then(|kubelet| kubelet.pods.get_mut(uid)) else { return };
        let next = running.worker.next_with_programs();
        if running.timer == next {
            return;
        }
        if let Some(before) = running.timer {
            self.timers.remove(&(before, node.to_string(), uid.to_string()));
        }
        running.timer = next;
        self.timers.extend(next.map(|at| (at, node.to_string(), uid.to_string())));
    }

    /// Posts the status of a pod, if it is another than the one that is there.
    fn post(&mut self, node: &str, uid: &str, world: &mut World<'_>) {
        let Some(kubelet) = self.nodes.get(node).filter(|kubelet| kubelet.up && kubelet.connected) else { return };
        let Some(running) = kubelet.pods.get(uid) else { return };
        let Ok(mut pod) = world.server.fetch::<Pod>(&running.key.namespace, &running.key.name) else { return };
        if !static_pods::is_of(&pod, uid) {
            return;
        }
        self.unmeasured = true;
        let age = pod.metadata.creation_timestamp.as_ref().map(|created| world.time().duration_since(created.0));
        let age = age.map_or(0.0, |age| age.as_secs_f64());
        self.nodes.entry(node.into()).and_modify(|kubelet| kubelet.has_begun(uid, age, world.now));
        let Some(kubelet) = self.nodes.get(node) else { return };
        let Some(running) = kubelet.pods.get(uid) else { return };
        pod.status = Some(running.worker.status(&pod, &kubelet.shape.address(kubelet.index), world.now, world.time()));
        if world.server.update_status(pod.into_object()).is_err_and(|error| error.code >= 500) {
            self.nodes.entry(node.into()).and_modify(|kubelet| kubelet.behind = true);
        }
    }

    fn tick(&mut self, node: &str, uid: &str, world: &mut World<'_>) {
        let Some(kubelet) = self.nodes.get_mut(node).filter(|kubelet| kubelet.up) else { return };
        let Some(running) = kubelet.pods.get_mut(uid) else { return };
        running.timer = None;
        if running.worker.waits_for_network(world.now) {
            if self.mount(node, uid, world) {
                self.plug(node, uid, world);
            }
            self.post(node, uid, world);
            self.go_on(node, uid, world);
            return;
        }
        let quiet = running.worker.next().is_none_or(|at| at > world.now);
        self.resize(node, uid, world);
        let Some(kubelet) = self.nodes.get_mut(node) else { return };
        let Some(running) = kubelet.pods.get_mut(uid) else { return };
        if running.worker.asks_for_objects() {
            running.worker.needs = objects::Needs::of(&running.key, world);
        }
        let events = running.worker.advance(world.now, world.time(), &mut kubelet.images);
        let key = running.key.clone();
        let ended = self.play(node, uid, world);
        if self.has_failed(node, uid, world) {
            return;
        }
        let Some(kubelet) = self.nodes.get_mut(node) else { return };
        let Some(running) = kubelet.pods.get_mut(uid) else { return };
        if running.worker.stops_at.is_some_and(|at| at <= world.now) {
            // The kubelet confirms the end with a grace period of 0, for this very pod.
            let options =
                DeleteOptions { grace_period_seconds: Some(0), uid: Some(uid.into()), ..DeleteOptions::default() };
            if world.server.delete(&key, &options).is_err_and(|error| error.code >= 500) {
                kubelet.behind = true;
                return;
            }
            if let Some(mut running) = kubelet.pods.remove(uid) {
                running.net.leave(self.wires.as_ref());
            }
            self.pods.remove(uid);
            if self.programs.is_some() || self.wires.is_some() {
                self.ended.insert(uid.into());
            }
            self.unmeasured = true;
            self.drop_volumes(node, world);
            return;
        }
        self.tell(node, uid, events, world);
        // A program that only goes on changes nothing that others could see.
        if !quiet || ended {
            self.post(node, uid, world);
            self.drop_volumes(node, world);
        }
        self.listen(node, uid, world.now);
        self.arm(node, uid);
    }

    /// The kubelet hears the control plane again, and tells all that it knows.
    fn resync(&mut self, node: &str, world: &mut World<'_>) {
        let pods: Vec<Pod> =
            world.cache.all::<Pod>().filter(|pod| pod::node_name(pod) == Some(node)).cloned().collect();
        let there: BTreeSet<_> = pods.iter().filter_map(|pod| pod.metadata.uid.clone()).collect();
        if let Some(kubelet) = self.nodes.get_mut(node) {
            kubelet.behind = false;
            kubelet.pods.retain(|uid, running| {
                let kept = there.contains(uid) || running.manifest.is_some();
                if !kept {
                    running.net.leave(self.wires.as_ref());
                }
                kept
            });
        }
        for pod in &pods {
            self.see(pod, false, world);
            let uid = pod.metadata.uid.clone().unwrap_or_default();
            self.post(node, &uid, world);
        }
        if let Some(kubelet) = self.nodes.get_mut(node) {
            kubelet.reported = None;
            kubelet.heartbeat(world);
        }
        self.report_volumes(node, world);
    }
}

impl Kubelet {
    fn address(&mut self) -> String {
        self.addresses += 1;
        format!("{}.{}", node::subnet(self.index), self.addresses % 254 + 1)
    }

    fn heartbeat(&mut self, world: &mut World<'_>) {
        let now = world.now;
        let time = world.time() + SignedDuration::from_nanos(self.skew.nanos);
        // As upstream does, it renews the lease that is there, and makes one only if there is none.
        let renewed = match world.server.fetch::<Lease>(node::LEASES, &self.shape.name) {
            Ok(mut there) => {
                there.spec.get_or_insert_default().renew_time = Some(time::micros(time));
                world.server.update(there.into_object())
            }
            Err(_) => world.server.create(self.shape.lease(time).into_object()),
        };
        if renewed.is_err_and(|error| error.code >= 500) {
            self.behind = true;
            return;
        }
        let there = world.server.get(&Key::new(Kind::Node, "", &self.shape.name)).ok().cloned();
        let there = there.as_ref().and_then(|stored| stored.get::<Node>());
        let asked = there.is_some_and(|node| node::ready(node) != Ready::True);
        if !asked && self.reported.is_some_and(|at| now < at + REPORT) {
            return;
        }
        self.reported = Some(now);
        let mut node = match there {
            Some(node) => node.clone(),
            None => {
                let node = self.shape.node(self.index).into_object();
                let Ok(stored) = world.server.create(node) else { return };
                stored.get().cloned().unwrap_or_default()
            }
        };
        let mut holding: BTreeSet<&str> = self.pressure.conditions().collect();
        holding.extend((!self.is_shutting_down()).then_some("Ready"));
        for reason in node::changes(&node, &holding) {
            if let Ok(stored) = world.server.get(&Key::new(Kind::Node, "", &self.shape.name)).cloned() {
                let message = format!("Node {} status is now: {reason}", self.shape.name);
                world.server.record(&stored.object, "Normal", reason, &message);
            }
        }
        self.shape.report(&mut node, self.index, &holding, time);
        if let Some(status) = &mut node.status {
            // Upstream says it with the next look at the node. Here that would be news in every scenario, and it waits for a report.
            status.images = Some(self.images.list()).filter(|images| !images.is_empty());
        }
        _ = world.server.update_status(node.into_object());
    }
}

impl Component for Kubelets {
    fn name(&self) -> &'static str {
        "kubelet"
    }

    fn watches(&self) -> &'static [Kind] {
        &[Kind::Pod]
    }

    fn observe(&mut self, change: &Change, world: &mut World<'_>) {
        if let Some(pod) = change.object.get::<Pod>() {
            self.see(pod, change.kind == ChangeKind::Deleted, world);
        }
    }

    fn run(&mut self, world: &mut World<'_>) {
        while let Some((at, node, uid)) = self.timers.first().cloned().filter(|(at, ..)| *at <= world.now) {
            self.timers.remove(&(at, node.clone(), uid.clone()));
            self.tick(&node, &uid, world);
        }
        self.enforce_deadlines(world);
        self.run_sessions(world);
        self.run_shutdowns(world);
        if world.now >= self.renew {
            self.enforce_disk_limits(world);
            self.relieve(world);
            self.collect_garbage(world);
            for kubelet in self.nodes.values_mut().filter(|kubelet| kubelet.up && kubelet.connected) {
                kubelet.heartbeat(world);
            }
            if world.server.outage().is_none() {
                let behind =
                    self.nodes.iter_mut().filter(|(_, kubelet)| kubelet.up && kubelet.connected && kubelet.behind);
                let behind: Vec<String> = behind.map(|(name, _)| name.clone()).collect();
                behind.iter().for_each(|name| self.resync(name, world));
            }
            self.run_static_pods(world);
            self.renew = self.renew + RENEW;
        }
        // It costs a look at each pod, and only an autoscaler asks.
        let is_there = |kind: Kind| world.server.snapshot().list(kind).next().is_some();
        let mut vertical = world.server.custom_kinds().filter(|kind| kind.name() == "VerticalPodAutoscaler");
        let mut asked = || is_there(Kind::HorizontalPodAutoscaler) || vertical.any(is_there);
        if !self.loads.is_empty() || self.unmeasured && asked() {
            self.unmeasured = false;
            self.measure(world);
        }
        self.list_processes(world);
    }

    fn next_wake(&self) -> Option<Instant> {
        self.timers
            .first()
            .map(|(at, ..)| *at)
            .into_iter()
            .chain([self.renew])
            .chain(self.wake_sessions())
            .chain(self.wake_shutdowns())
            .chain(self.deadlines.first().map(|(at, ..)| *at))
            .min()
    }

    fn fault(&mut self, fault: &Fault, world: &mut World<'_>) -> Result<bool, String> {
        let (Fault::Crash(name)
        | Fault::Restart(name)
        | Fault::Partition(name)
        | Fault::Heal(name)
        | Fault::ShutDown(name)) = fault
        else {
            let known = self.fault_of_pods(fault, world);
            self.list_processes(world);
            return known;
        };
        let Some(kubelet) = self.nodes.get_mut(name) else {
            return Err(format!("there is no node `{name}`; there are: {}", self.names()));
        };
        match fault {
            Fault::Crash(_) => {
                (kubelet.up, kubelet.shutdown) = (false, None);
                kubelet.pods.values_mut().for_each(|running| running.net.serve(self.wires.as_ref(), Vec::new()));
            }
            Fault::Partition(_) => kubelet.connected = false,
            Fault::ShutDown(_) => {
                let name = name.clone();
                self.shut_down(&name, world);
            }
            Fault::Heal(_) => kubelet.connected = true,
            _ => {
                (kubelet.up, kubelet.shutdown) = (true, None);
                for running in kubelet.pods.values_mut() {
                    let stored = world.server.get(&running.key).ok();
                    if let Some(pod) = stored.and_then(|stored| stored.get::<Pod>()) {
                        running.worker.reboot(pod, world.now, world.time());
                    }
                }
                self.plug_again(name, world);
            }
        }
        if matches!(fault, Fault::Heal(_) | Fault::Restart(_)) {
            self.resync(name, world);
        }
        self.list_processes(world);
        Ok(true)
    }
}
