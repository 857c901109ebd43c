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
mod heartbeat;
pub mod image;
pub mod log;
mod machines;
pub mod metrics;
mod network;
pub mod node;
mod objects;
mod out_of_memory;
pub mod pod_worker;
mod pods;
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
mod traces;
pub mod usage;
mod user;
mod volumes;

use crate::admission::Claims;
use crate::eviction::disk_limit::DiskLimits;
use crate::program::link::Wires;
use failing::Failing;
use image::{Images, Registry};
use kit_api::core::{Node, Pod};
use kit_api::pod;
use kit_apimachinery::object::{Key, Kind};
use kit_client::component::{Component, World};
use kit_client::fault::{Conduct, Fault, VolumeCall};
use kit_client::metrics::Usage;
use kit_contract::node::{Eviction, PodLifecycle, Prober};
use kit_contract::storage::Volumes;
use kit_contract::{Modules, Slot};
use kit_server::{Change, ChangeKind};
use kit_time::agenda::Instant;
use node::NodeShape;
use pod_worker::PodWorker;
use pressure::Pressure;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// How often a node renews its lease (a quarter of the 40 s that it lasts; `pkg/kubelet/kubelet.go`).
const RENEW: Instant = Instant::seconds(10);

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
    /// When nodes will be out of memory.
    starving: BTreeMap<String, Instant>,
    /// Who says whom the kernel kills then.
    judges: out_of_memory::Judges,
    renew: Instant,
    /// When images are looked at next.
    collect: Instant,
    begun: bool,
    usage: Usage,
    /// Whether containers have begun or ended since it was written down.
    unmeasured: bool,
    /// Work for each Deployment, in thousandths of a CPU, by namespace and name.
    loads: BTreeMap<String, i64>,
    /// If containers run what their command says: whose probes they have.
    programs: Option<Slot<dyn Prober>>,
    /// Who decides about the containers of pods.
    lifecycle: Rc<dyn PodLifecycle>,
    /// Who decides about volumes.
    volumes: Rc<dyn Volumes>,
    /// What drivers do that don't do what they should.
    conduct: BTreeMap<VolumeCall, Conduct>,
    /// What volumes hold that outlives pods.
    disks: volumes::content::Disks,
    /// The machines that come and go.
    machines: Option<machines::Machines>,
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
    /// What is mounted.
    manager: volumes::Manager,
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
    /// The trace that it is in until it is ready, if somebody traces.
    trace: Option<Box<traces::Sync>>,
}

impl Kubelets {
    /// Kubelets for nodes of these shapes, which ask these modules what becomes of containers, and of pods under pressure.
    pub fn new(shapes: Vec<NodeShape>, registry: Registry, usage: Usage, modules: &Modules) -> Self {
        let kubelet =
            |(index, shape): (usize, NodeShape)| (shape.name.clone(), Kubelet::new(shape, index, &modules.eviction));
        let nodes = shapes.into_iter().enumerate().map(kubelet);
        Kubelets {
            registry,
            nodes: nodes.collect(),
            pods: BTreeMap::new(),
            ended: BTreeSet::new(),
            mirrors: BTreeMap::new(),
            timers: BTreeSet::new(),
            deadlines: BTreeSet::new(),
            starving: BTreeMap::new(),
            judges: out_of_memory::Judges::new(&modules.qos, &modules.limits),
            renew: Instant::default(),
            collect: garbage::PERIOD,
            begun: false,
            usage,
            unmeasured: true,
            loads: BTreeMap::new(),
            programs: None,
            lifecycle: modules.pod_lifecycle.make(&()).into(),
            volumes: modules.volumes.make(&()).into(),
            conduct: BTreeMap::new(),
            disks: volumes::content::Disks::default(),
            machines: None,
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
}

impl Kubelet {
    fn new(shape: NodeShape, index: usize, eviction: &Slot<dyn Eviction>) -> Kubelet {
        Kubelet {
            pressure: Pressure::new(&shape, eviction),
            images: Images::on(shape.runtime),
            shape,
            index,
            pods: BTreeMap::new(),
            addresses: 0,
            up: true,
            connected: true,
            behind: false,
            skew: Instant::default(),
            reported: None,
            in_use: Vec::new(),
            manager: volumes::Manager::default(),
            shutdown: None,
            collection_failed: false,
            counts: metrics::Counts::default(),
        }
    }

    fn address(&mut self) -> String {
        self.addresses += 1;
        format!("{}.{}", node::subnet(self.index), self.addresses % 254 + 1)
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
        self.kill_for_memory(world);
        self.run_machines(world);
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
            .chain(self.wake_machines())
            .chain(self.deadlines.first().map(|(at, ..)| *at))
            .chain(self.starving.values().min().copied())
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
