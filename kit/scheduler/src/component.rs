//! The scheduler as a part of the control plane: it watches, empties its queue, binds pods and says why it can't.
//!
//! Source: `pkg/scheduler/eventhandlers.go` and `schedule_one.go`.

use super::class::{Classes, Pod};
use super::cycle::{Found, State};
use super::framework::{Filter, Framework, Profile};
use super::hints::{Event, helps};
use super::message;
use super::metrics::{Place, Tally};
use super::preemption::Preempted;
use super::report::report;
use kit_api::core::Pod as ApiPod;
use kit_api::{Name, pod};
use kit_apimachinery::object::{AsKind, Key, Kind, Object};
use kit_client::component::{Component, World};
use kit_client::explain::Entry;
use kit_client::explain::scheduling::Scheduling;
use kit_contract::Modules;
use kit_contract::scheduler::{Hint, NodeAffinity, PendingPod, Preemption, QueueConfig, SchedulingQueue};
use kit_server::{Change, ChangeKind, DeleteOptions, Stored, registry};
use kit_time::agenda::Instant;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

/// How often the queue is asked to look for pods that wait for too long (`flushUnschedulablePodsLeftover`).
const FLUSH: Instant = Instant::seconds(30);
/// How long the volumes of a pod may take to be bound (`bindTimeoutSeconds` of VolumeBinding).
const BIND_TIMEOUT: Instant = Instant::seconds(600);
const NAME: &str = "default-scheduler";
/// The span of a scheduling cycle and its binding. Upstream has none, only that of the binding's request.
const ATTEMPT: &str = "scheduling attempt";

/// Binds pods to nodes.
pub struct Scheduler {
    state: State,
    classes: Classes,
    framework: Framework,
    /// To find out whether changes of nodes help.
    node_affinity: Box<dyn NodeAffinity>,
    queue: Box<dyn SchedulingQueue>,
    queue_config: QueueConfig,
    preemption: Box<dyn Preemption>,
    /// Pods without a node, by `namespace/name`.
    pending: BTreeMap<Rc<str>, Pending>,
    /// Pods that have a node and wait for their volumes (PreBind), by `namespace/name`.
    binding: BTreeMap<Rc<str>, Binding>,
    /// Something may be in the queue to be tried.
    awake_at: Option<Instant>,
    tally: Tally,
}

struct Pending {
    pod: Rc<Pod>,
    /// Who refused it last, and when.
    refused: Option<(BTreeSet<&'static str>, Instant)>,
}

struct Binding {
    pod: Rc<Pod>,
    api: Arc<Stored>,
    node: Name,
    since: Instant,
}

impl Scheduler {
    /// A scheduler with the modules of the slots.
    pub fn new(modules: &Modules) -> Self {
        let queue_config = QueueConfig::default();
        Scheduler {
            state: State::default(),
            classes: Classes::default(),
            framework: Framework::new(modules, Profile::default()),
            node_affinity: modules.node_affinity.make(&()),
            queue: modules.queue.make(&queue_config),
            queue_config,
            preemption: modules.preemption.make(&()),
            pending: BTreeMap::new(),
            binding: BTreeMap::new(),
            awake_at: None,
            tally: Tally::default(),
        }
    }

    /// Where the pods are that have no node yet, and how many each plugin refused.
    pub fn queued(&self, now: Instant) -> (BTreeMap<Place, u64>, BTreeMap<&'static str, u64>) {
        let (mut places, mut refused) = (BTreeMap::new(), BTreeMap::new());
        for (key, pending) in &self.pending {
            let place = self.tally.place(key, pending.pod.gated, &self.queue_config, now);
            *places.entry(place).or_default() += 1;
            if place == Place::Unschedulable {
                let plugins = pending.refused.iter().flat_map(|(plugins, _)| plugins);
                plugins.for_each(|plugin| *refused.entry(*plugin).or_default() += 1);
            }
        }
        (places, refused)
    }

    /// What has come of its attempts.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    fn wake(&mut self, at: Instant) {
        self.awake_at = Some(self.awake_at.map_or(at, |known| known.min(at)));
    }

    /// Tells the queue which pods a change could help.
    fn happened(&mut self, event: &Event<'_>, now: Instant) {
        let mut hints: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        let fits = |affinity: &_, node: &_| self.node_affinity.filter(affinity, node);
        for (key, pending) in &self.pending {
            let plugins = pending.refused.iter().flat_map(|(plugins, _)| plugins);
            for plugin in plugins.filter(|plugin| helps(plugin, event, &pending.pod, &self.state.objects, &fits)) {
                self.tally.helped(key);
                hints.entry(plugin).or_default().push(key.to_string());
            }
        }
        if !hints.is_empty() {
            let hint = |(plugin, pods): (&str, Vec<String>)| Hint { plugin: plugin.into(), pods };
            self.queue.changed(&hints.into_iter().map(hint).collect::<Vec<_>>(), millis(now));
            self.wake(now);
        }
    }

    fn see_pod(&mut self, api: &ApiPod, previous: Option<&ApiPod>, gone: bool, now: Instant) {
        let pod = self.classes.pod(api);
        let key = pod.key.clone();
        let over = gone || pod::is_finished(api);
        if over || pod.node_name.is_some() {
            self.tally.forget(&key);
        }
        match pod.node_name {
            Some(node) => {
                if self.pending.remove(&key).is_some() {
                    self.queue.remove(&key);
                    self.nominate(&key, None);
                }
                let assigned = previous.filter(|previous| pod::node_name(previous).is_some());
                if over {
                    let known = self.state.nodes.pod(&key).map(|(_, pod)| pod.clone());
                    if self.state.nodes.remove_pod(&key).is_some() {
                        self.happened(&Event::PodGone(known.as_deref().unwrap_or(&pod)), now);
                    }
                } else {
                    let old = assigned.and_then(|_| self.state.nodes.pod(&key)).map(|(_, pod)| pod.clone());
                    self.state.nodes.set_pod(node, pod.clone());
                    self.happened(&Event::Pod { old: old.as_deref(), new: &pod }, now);
                }
            }
            None => {
                // A pod that was being bound may be deleted before it is.
                if over && self.state.nodes.remove_pod(&key).is_some() {
                    self.happened(&Event::PodGone(&pod), now);
                }
                if over || pod::is_terminating(api) || !is_ours(api) {
                    if self.pending.remove(&key).is_some() {
                        self.queue.remove(&key);
                        self.nominate(&key, None);
                    }
                } else if self.state.nodes.pod(&key).is_none() {
                    self.see_pending(pod, now);
                }
            }
        }
    }

    fn see_pending(&mut self, pod: Pod, now: Instant) {
        let key = pod.key.clone();
        let known = self.pending.get(&key);
        let unchanged = known.is_some_and(|known| *known.pod == pod && known.pod.gated == pod.gated);
        let nominated = known.is_none_or(|known| known.pod.nominated != pod.nominated);
        let refused = known.and_then(|known| known.refused.clone());
        let pod = Rc::new(pod);
        self.pending.insert(key.clone(), Pending { pod: pod.clone(), refused: refused.clone() });
        if nominated {
            self.nominate(&key, pod.nominated);
        }
        if unchanged {
            return;
        }
        let PendingPod { name, priority, gated } =
            PendingPod { name: key.to_string(), priority: pod.priority, gated: pod.gated };
        self.queue.add(&PendingPod { name: name.clone(), priority, gated }, millis(now));
        // What the pod asks for is different: whoever refused it may not do so again.
        let hint = |plugin: &&str| Hint { plugin: plugin.to_string(), pods: vec![name.clone()] };
        let hints: Vec<_> = refused.iter().flat_map(|(plugins, _)| plugins).map(hint).collect();
        if !hints.is_empty() {
            self.tally.helped(&name);
            self.queue.changed(&hints, millis(now));
        }
        self.wake(now);
    }

    /// Remembers on which node room was made for a pod.
    fn nominate(&mut self, key: &str, node: Option<Name>) {
        self.state.nominated.values_mut().for_each(|pods| pods.retain(|pod| &*pod.key != key));
        self.state.nominated.retain(|_, pods| !pods.is_empty());
        if let (Some(node), Some(pending)) = (node, self.pending.get(key)) {
            self.state.nominated.entry(node).or_default().push(pending.pod.clone());
        }
    }

    fn attempt(&mut self, key: &str, world: &mut World<'_>) {
        let Some(pending) = self.pending.get(key) else { return self.queue.remove(key) };
        let pod = pending.pod.clone();
        let (namespace, name) = key.split_once('/').unwrap_or(("", key));
        let Some(api) = world.cache.get(&Key::new(Kind::Pod, namespace, name)).cloned() else { return };
        self.tally.tried(&pod.key, world.now);
        world.server.begin_span(ATTEMPT, api.object.uid());
        let found = self.state.schedule(&pod, &mut self.framework);
        let (chosen, nodes) = (found.chosen, self.state.nodes.list().len());
        match found.chosen {
            Some(node) => {
                let scheduling = report(&pod, &found, &self.state, None);
                world.log.add(&api.key, entry(world.now, scheduling));
                self.bind_volumes(&pod, api, node, world);
            }
            None => self.fail(&pod, &api, found, world),
        }
        let say = || {
            let node = chosen.map(|node| ("k8s.node.name", node.to_string()));
            let about = [("k8s.pod", pod.key.to_string()), ("scheduler.nodes", nodes.to_string())];
            about.into_iter().chain(node).collect()
        };
        world.server.end_span(say, chosen.is_none().then(|| "unschedulable".into()));
    }

    /// Writes down which volumes the pod will have on its node, and binds it when they are bound (`PreBind`).
    fn bind_volumes(&mut self, pod: &Rc<Pod>, api: Arc<Stored>, node: Name, world: &mut World<'_>) {
        let (namespace, claims) = (&pod.class.namespace, &pod.class.claims);
        if self.state.objects.volumes.are_bound(namespace, claims) {
            return self.bind(pod, &api, node, world);
        }
        let labels = self.state.nodes.place(node).map(|place| &self.state.nodes.list()[place].labels);
        let plan = labels.and_then(|labels| self.state.objects.volumes.plan(namespace, claims, labels).ok());
        let objects = plan.map(|plan| self.state.objects.volumes.carry_out(namespace, &plan, &node.to_string()));
        for object in objects.unwrap_or_default() {
            match world.server.update(object) {
                // It counts from now on, before the watch shows it.
                Ok(stored) => self.state.objects.set(&stored.object, false),
                Err(_) => {
                    self.tally.failed(&pod.key, true, world.now);
                    self.queue.failed(&pod.key, &[], millis(world.now));
                    return self.wake(world.now + Instant::seconds(1));
                }
            }
        }
        self.take_place(pod, node);
        self.binding.insert(pod.key.clone(), Binding { pod: pod.clone(), api, node, since: world.now });
    }

    /// The pod counts on its node from now on, and is not tried any more.
    fn take_place(&mut self, pod: &Rc<Pod>, node: Name) {
        self.pending.remove(&pod.key);
        self.queue.remove(&pod.key);
        self.nominate(&pod.key, None);
        let assumed = Pod { node_name: Some(node), nominated: None, ..(**pod).clone() };
        self.state.nodes.set_pod(node, assumed);
    }

    /// Binds the pods whose volumes are bound by now, and gives up on those that have waited for too long.
    fn finish_bindings(&mut self, world: &mut World<'_>) {
        let volumes = &self.state.objects.volumes;
        let ready = |binding: &Binding| volumes.are_bound(&binding.pod.class.namespace, &binding.pod.class.claims);
        let late = |binding: &Binding| binding.since + BIND_TIMEOUT <= world.now;
        let over = self.binding.iter().filter(|(_, binding)| ready(binding) || late(binding));
        let over: Vec<(Rc<str>, bool)> = over.map(|(key, binding)| (key.clone(), ready(binding))).collect();
        for (key, ready) in over {
            let Some(Binding { pod, api, node, .. }) = self.binding.remove(&key) else { continue };
            // A pod that was deleted meanwhile has no place any more.
            if self.state.nodes.pod(&key).is_none() {
                continue;
            }
            if ready {
                self.bind(&pod, &api, node, world);
                continue;
            }
            self.state.nodes.remove_pod(&key);
            let message = "running PreBind plugin \"VolumeBinding\": binding volumes: context deadline exceeded";
            world.server.record(&api.object, "Warning", "FailedScheduling", message);
            self.see_pending((*pod).clone(), world.now);
            self.happened(&Event::PodGone(&pod), world.now);
        }
    }

    fn bind(&mut self, pod: &Rc<Pod>, api: &Stored, node: Name, world: &mut World<'_>) {
        match world.server.bind(&api.key.namespace, &api.key.name, &node) {
            Ok(_) => {
                let message = format!("Successfully assigned {} to {node}", pod.key);
                world.server.record(&api.object, "Normal", "Scheduled", &message);
                self.tally.bound(&pod.key, world.now);
                // It counts before the watch shows it.
                self.take_place(pod, node);
            }
            // One that had its place already comes back as a new one.
            Err(_) if self.state.nodes.remove_pod(&pod.key).is_some() => self.see_pending((**pod).clone(), world.now),
            Err(_) => {
                self.tally.failed(&pod.key, true, world.now);
                self.queue.failed(&pod.key, &[], millis(world.now));
                self.wake(world.now + Instant::seconds(1));
            }
        }
    }

    /// No node is left: make room, or wait (`handleSchedulingFailure`).
    fn fail(&mut self, pod: &Rc<Pod>, stored: &Stored, found: Found, world: &mut World<'_>) {
        let now = world.time().as_millisecond();
        let preempted = match self.state.nodes.list().is_empty() {
            true => Preempted::default(),
            false => {
                self.tally.preemptions += 1;
                self.state.preempt(pod, &found, &mut self.framework, &mut *self.preemption, now)
            }
        };
        let message = self.state.failure(&found, &preempted);
        let scheduling = report(pod, &found, &self.state, Some(&preempted));
        world.log.add(&stored.key, entry(world.now, scheduling));
        let plugins = self.state.rejectors(&found);
        let names: Vec<String> = plugins.iter().map(|plugin| plugin.to_string()).collect();
        if let Some(pending) = self.pending.get_mut(&pod.key) {
            pending.refused = Some((plugins, world.now));
        }
        self.queue.failed(&pod.key, &names, millis(world.now));
        self.tally.failed(&pod.key, names.is_empty(), world.now);

        let Some(mut api) = stored.get::<ApiPod>().cloned() else { return };
        let status = api.status.get_or_insert_default();
        if let Some(node) = &preempted.node {
            status.nominated_node_name = Some(node.clone());
        } else if !preempted.not_eligible {
            status.nominated_node_name = None;
        }
        let nominated = status.nominated_node_name.as_ref().map(Name::from);
        let (reason, text) = (Some("Unschedulable"), Some(message.as_str()));
        registry::set_condition(&mut api, "PodScheduled", "False", reason, text, world.time());
        _ = world.server.update_status(api.into_object());
        world.server.record(&stored.object, "Warning", "FailedScheduling", &message);
        self.nominate(&pod.key, nominated);
        if let Some(node) = preempted.node {
            self.make_room(pod, &stored.object, &node, &preempted.candidates, world);
        }
    }

    /// Deletes the victims (`prepareCandidate`), and lets pods of lower priority look elsewhere.
    fn make_room(
        &mut self,
        pod: &Rc<Pod>,
        object: &Object,
        node: &str,
        candidates: &[kit_contract::scheduler::PreemptionCandidate],
        world: &mut World<'_>,
    ) {
        let victims = candidates.iter().filter(|candidate| candidate.node == node).flat_map(|c| &c.victims);
        self.tally.victims.observe(victims.clone().count() as f64);
        for victim in victims {
            let (namespace, name) = victim.name.split_once('/').unwrap_or(("", &victim.name));
            let Ok(mut api) = world.server.fetch::<ApiPod>(namespace, name) else { continue };
            let text = format!("{NAME}: preempting to accommodate a higher priority pod");
            let (reason, text) = (Some("PreemptionByScheduler"), Some(text.as_str()));
            registry::set_condition(&mut api, "DisruptionTarget", "True", reason, text, world.time());
            let victim = api.into_object();
            _ = world.server.update_status(victim.clone());
            let message = format!("Preempted by pod {} on node {node}", object.uid());
            if world.server.delete(&Key::new(Kind::Pod, namespace, name), &DeleteOptions::default()).is_ok() {
                world.server.record(&victim, "Normal", "Preempted", &message);
            }
        }
        let lower: Vec<Rc<Pod>> = (self.state.nominated.get(&Name::from(node)).into_iter().flatten())
            .filter(|other| other.priority < pod.priority)
            .cloned()
            .collect();
        for other in lower {
            let (namespace, name) = other.key.split_once('/').unwrap_or(("", &other.key));
            let Ok(mut api) = world.server.fetch::<ApiPod>(namespace, name) else { continue };
            api.status.get_or_insert_default().nominated_node_name = None;
            _ = world.server.update_status(api.into_object());
            self.nominate(&other.key, None);
        }
    }

    /// When a pod may have waited for too long, in the rhythm in which the queue looks for that.
    fn next_flush(&self) -> Option<Instant> {
        let last = self.pending.values().filter_map(|pending| pending.refused.as_ref().map(|(_, at)| *at)).min()?;
        let over = last.nanos + self.queue_config.max_unschedulable * 1_000_000;
        Some(Instant { nanos: (over / FLUSH.nanos + 1) * FLUSH.nanos })
    }
}

fn entry(at: Instant, scheduling: Scheduling) -> Entry {
    Entry { number: 0, at, by: NAME, scheduling }
}

/// Whether the pod asks for this scheduler.
fn is_ours(pod: &ApiPod) -> bool {
    let name = pod.spec.as_ref().and_then(|spec| spec.scheduler_name.as_deref()).unwrap_or(NAME);
    name == NAME || name.is_empty()
}

fn millis(at: Instant) -> i64 {
    at.nanos / 1_000_000
}

impl State {
    /// What the event FailedScheduling says.
    pub fn failure(&self, found: &Found, preempted: &Preempted) -> String {
        let count = self.nodes.list().len();
        if count == 0 {
            return message::NO_NODES.into();
        }
        let absent = count - found.refused.len();
        let refused = found.refused.values().flat_map(|refusal| &refusal.reasons).map(|reason| (reason.as_str(), 1));
        let said = match &found.restricted_to {
            _ if found.hopeless.is_some() => {
                format!("0/{count} nodes are available: {}.", found.hopeless.as_deref().unwrap_or_default())
            }
            Some(names) if names.is_empty() => format!("0/{count} nodes are available: pod affinity terms conflict."),
            Some(_) if absent > 0 => {
                let elsewhere = ("node(s) didn't satisfy plugin(s) [NodeAffinity]", absent);
                message::fit_error(count, refused.chain([elsewhere]))
            }
            _ => message::fit_error(count, refused),
        };
        if preempted.message.is_empty() { said } else { format!("{said} {}", preempted.message) }
    }

    /// The plugins whose word stands against the pod.
    pub fn rejectors(&self, found: &Found) -> BTreeSet<&'static str> {
        let mut plugins: BTreeSet<&'static str> = found.refused.values().map(|refusal| refusal.plugin).collect();
        if found.hopeless.is_some() {
            return BTreeSet::from([Filter::VolumeBinding.name()]);
        }
        if found.restricted_to.is_some() {
            plugins.insert("NodeAffinity");
        }
        if plugins.is_empty() {
            // Without any node, a node is what helps.
            plugins.insert("NodeResourcesFit");
        }
        plugins
    }
}

impl Component for Scheduler {
    fn name(&self) -> &'static str {
        NAME
    }

    fn watches(&self) -> &'static [Kind] {
        &[
            Kind::Pod,
            Kind::Node,
            Kind::Namespace,
            Kind::Service,
            Kind::ReplicaSet,
            Kind::StatefulSet,
            Kind::PodDisruptionBudget,
            Kind::PersistentVolumeClaim,
            Kind::PersistentVolume,
            Kind::StorageClass,
            Kind::CSINode,
            Kind::VolumeAttachment,
        ]
    }

    fn observe(&mut self, change: &Change, world: &mut World<'_>) {
        let gone = change.kind == ChangeKind::Deleted;
        let now = world.now;
        match &change.object.object {
            Object::Pod(pod) => {
                let previous = change.previous.as_ref().and_then(|stored| stored.get::<ApiPod>());
                self.see_pod(pod, previous, gone, now);
            }
            Object::Node(node) if gone => {
                self.state.nodes.remove_node(node.metadata.name.as_deref().unwrap_or_default());
                self.happened(&Event::NodeGone(node), now);
            }
            Object::Node(node) => {
                if self.state.nodes.set_node(node) {
                    let old = change.previous.as_ref().and_then(|stored| stored.get());
                    self.happened(&Event::Node { old, new: node }, now);
                }
            }
            object => {
                self.state.objects.set(object, gone);
                match object {
                    Object::PersistentVolumeClaim(_) if !gone => {
                        self.happened(&Event::Claim(object.namespace(), object.name()), now);
                    }
                    Object::PersistentVolume(_) | Object::StorageClass(_) | Object::CSINode(_) if !gone => {
                        self.happened(&Event::Storage, now);
                    }
                    // What is detached makes room for another.
                    Object::VolumeAttachment(_) if gone => self.happened(&Event::Storage, now),
                    _ => {}
                }
            }
        }
    }

    fn run(&mut self, world: &mut World<'_>) {
        self.awake_at = None;
        self.finish_bindings(world);
        self.queue.flush(millis(world.now));
        // A queue that hands out the same pods again and again is not worth more.
        for _ in 0..2 * self.pending.len() {
            let Some(key) = self.queue.pop(millis(world.now)) else { break };
            self.attempt(&key, world);
        }
    }

    fn next_wake(&self) -> Option<Instant> {
        let late = self.binding.values().map(|binding| binding.since + BIND_TIMEOUT).min();
        [self.awake_at, self.next_flush(), late].into_iter().flatten().min()
    }
}
