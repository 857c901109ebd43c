//! The scheduler: for each pod that has no node, the nodes that could take it and the best of them.
//!
//! Source: `pkg/scheduler/schedule_one.go` and the default profile of `pkg/scheduler/apis/config/v1/default_plugins.go`.
//! So far: the filters NodeUnschedulable, NodeName, TaintToleration and NodeResourcesFit, the node selector, and the
//! scores of NodeResourcesFit (least allocated) and of TaintToleration.

use crate::agenda::Instant;
use crate::engine::{Component, World};
use crate::explain::Entry;
use crate::object::{AsKind, Kind, Object};
use crate::server::{Change, ChangeKind, registry};
use kit_api::core::Pod;
use kit_api::view::{NodeResources, NodeView, PodView};
use kit_api::{pod, toleration};
use kit_contract::scheduler::{ResourcesFit, Taints, Verdict};
use kit_contract::{Modules, Show};
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// The first attempt after a failure waits so long, each further one twice as long (`DefaultPodInitialBackoffDuration`).
const BACKOFF: (Instant, Instant) = (Instant::seconds(1), Instant::seconds(10));

/// Why preemption makes no room on a node (`pkg/scheduler/framework/preemption/preemption.go`). Preemption itself is
/// still to come, so that no pod is ever a victim.
const NO_VICTIMS: &str = "No preemption victims found for incoming pod";
const NOT_HELPFUL: &str = "Preemption is not helpful for scheduling";

/// Binds pods to nodes.
pub struct Scheduler {
    taints: Box<dyn Taints>,
    resources_fit: Box<dyn ResourcesFit>,
    nodes: BTreeMap<String, NodeView>,
    /// Pods that count on a node, by uid: assumed as soon as the decision is made.
    placed: BTreeMap<String, (String, PodView)>,
    /// Pods without a node, by priority, then by age: what has waited longest goes first.
    waiting: BTreeMap<(Reverse<i32>, String, String), Waiting>,
}

#[derive(Clone)]
struct Waiting {
    attempts: u32,
    /// When it may be tried again; none until something changes.
    at: Option<Instant>,
}

/// What was decided about one pod.
struct Decision {
    node: Option<String>,
    /// One line for each node: what refused it, or its scores.
    lines: Vec<String>,
    message: String,
}

impl Scheduler {
    /// A scheduler with the modules of the slots.
    pub fn new(modules: &Modules) -> Self {
        Scheduler {
            taints: modules.taints.make(&()),
            resources_fit: modules.resources_fit.make(&()),
            nodes: BTreeMap::new(),
            placed: BTreeMap::new(),
            waiting: BTreeMap::new(),
        }
    }

    fn see_pod(&mut self, pod: &Pod, gone: bool, now: Instant) {
        let uid = pod.metadata.uid.clone().unwrap_or_default();
        let over = gone || pod::is_finished(pod);
        let key = waiting_key(pod);
        match pod::node_name(pod) {
            Some(_) if over => {
                if let Some((node, _)) = self.placed.remove(&uid) {
                    self.recount(&node);
                    self.move_all(now);
                }
                self.waiting.remove(&key);
            }
            Some(node) => {
                self.waiting.remove(&key);
                self.place(uid, node, PodView::from(pod));
            }
            None if over || pod::is_terminating(pod) => _ = self.waiting.remove(&key),
            None => _ = self.waiting.entry(key).or_insert(Waiting { attempts: 0, at: Some(now) }),
        }
    }

    fn place(&mut self, uid: String, node: &str, view: PodView) {
        if self.placed.contains_key(&uid) {
            return;
        }
        if let Some(there) = self.nodes.get_mut(node) {
            there.resources.add(&view.request);
        }
        self.placed.insert(uid, (node.to_string(), view));
    }

    fn recount(&mut self, node: &str) {
        let Some(view) = self.nodes.get_mut(node) else { return };
        view.resources.pods = 0;
        view.resources.requested = Default::default();
        view.resources.scored = Default::default();
        for (_, pod) in self.placed.values().filter(|(at, _)| at == node) {
            view.resources.add(&pod.request);
        }
    }

    /// Something changed that may let pods in (`MoveAllToActiveOrBackoffQueue`).
    fn move_all(&mut self, now: Instant) {
        for waiting in self.waiting.values_mut().filter(|waiting| waiting.at.is_none()) {
            let delay = BACKOFF.0.nanos << waiting.attempts.saturating_sub(1).min(20);
            waiting.at = Some(now + Instant { nanos: delay.min(BACKOFF.1.nanos) });
        }
    }

    fn decide(&self, pod: &Pod) -> Decision {
        let view = PodView::from(pod);
        let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
        let mut lines = Vec::new();
        let mut helpless: BTreeMap<&str, usize> = BTreeMap::new();
        let mut best: Option<(i64, &str)> = None;
        for (name, node) in &self.nodes {
            let refused = self.filter(pod, &view, node);
            if refused.is_empty() {
                let (fit, tolerated) = (least_allocated(&view, node), prefers(&view, node));
                let total = fit + 3 * tolerated;
                lines.push(format!("{name}  Fit {fit}  TaintToleration×3 {tolerated}  total {total}"));
                if best.is_none_or(|(score, _)| total > score) {
                    best = Some((total, name));
                }
            } else {
                lines.push(format!("{name}  refused: {}", refused.join(", ")));
                // Where resources are short, pods of lower priority could make room.
                let short =
                    refused.iter().all(|reason| reason.starts_with("Insufficient") || reason == "Too many pods");
                let why = if short { NO_VICTIMS } else { NOT_HELPFUL };
                *helpless.entry(why).or_default() += 1;
                for reason in refused {
                    *reasons.entry(reason).or_default() += 1;
                }
            }
        }
        let list = |reasons: Vec<(String, usize)>| {
            let mut reasons: Vec<_> = reasons.into_iter().map(|(reason, count)| format!("{count} {reason}")).collect();
            reasons.sort();
            reasons.join(", ")
        };
        let reasons = list(reasons.into_iter().collect());
        let helpless = list(helpless.into_iter().map(|(why, count)| (why.to_string(), count)).collect());
        let count = self.nodes.len();
        let message = match count {
            0 => "no nodes available to schedule pods".to_string(),
            _ => {
                let nodes = format!("0/{count} nodes are available");
                format!("{nodes}: {reasons}. preemption: {nodes}: {helpless}.")
            }
        };
        Decision { node: best.map(|(_, name)| name.to_string()), lines, message }
    }

    /// The reasons of the first plugin that refuses the node.
    fn filter(&self, pod: &Pod, view: &PodView, node: &NodeView) -> Vec<String> {
        let unschedulable = kit_api::core::Taint {
            key: "node.kubernetes.io/unschedulable".into(),
            effect: "NoSchedule".into(),
            ..Default::default()
        };
        if node.unschedulable && !view.tolerations.iter().any(|t| toleration::tolerates(t, &unschedulable)) {
            return vec!["node(s) were unschedulable".into()];
        }
        if let Verdict::Refused(taint) = self.taints.filter(&view.tolerations, &node.taints) {
            let value = taint.value.unwrap_or_default();
            return vec![format!("node(s) had untolerated taint {{{}: {value}}}", taint.key)];
        }
        let selector = pod.spec.as_ref().and_then(|spec| spec.node_selector.as_ref());
        if selector.into_iter().flatten().any(|(key, value)| node.labels.get(key) != Some(value)) {
            return vec!["node(s) didn't match Pod's node affinity/selector".into()];
        }
        let lacks = self.resources_fit.filter(&view.request, &node.resources);
        lacks.iter().flat_map(Show::lines).collect()
    }
}

/// From 0 to 100: how much of CPU and memory would still be free (`leastResourceScorer`). Pods that ask for nothing
/// count as 100m and 200Mi (`GetNonzeroRequests`).
fn least_allocated(pod: &PodView, node: &NodeView) -> i64 {
    let free = |asked: i64, used: i64, has: i64| {
        if has == 0 || asked + used > has { 0 } else { (has - used - asked) * 100 / has }
    };
    let (asked, used, has) = (pod.request.scored, node.resources.scored, &node.resources.allocatable);
    let cpu = free(asked.milli_cpu, used.milli_cpu, has.milli_cpu);
    let memory = free(asked.memory, used.memory, has.memory);
    (cpu + memory) / 2
}

/// 100 if the pod puts up with all taints that only ask for distance, else 0.
fn prefers(pod: &PodView, node: &NodeView) -> i64 {
    let mut soft = node.taints.iter().filter(|taint| taint.effect == "PreferNoSchedule");
    if soft.all(|taint| pod.tolerations.iter().any(|t| toleration::tolerates(t, taint))) { 100 } else { 0 }
}

fn waiting_key(pod: &Pod) -> (Reverse<i32>, String, String) {
    let priority = pod.spec.as_ref().and_then(|spec| spec.priority).unwrap_or(0);
    let of = |field: &Option<String>| field.clone().unwrap_or_default();
    (Reverse(priority), of(&pod.metadata.namespace), of(&pod.metadata.name))
}

impl Component for Scheduler {
    fn name(&self) -> &'static str {
        "default-scheduler"
    }

    fn watches(&self) -> &'static [Kind] {
        &[Kind::Pod, Kind::Node]
    }

    fn observe(&mut self, change: &Change, world: &mut World<'_>) {
        let gone = change.kind == ChangeKind::Deleted;
        match &change.object.object {
            Object::Pod(pod) => self.see_pod(pod, gone, world.now),
            Object::Node(node) if gone => _ = self.nodes.remove(node.metadata.name.as_deref().unwrap_or_default()),
            Object::Node(node) => {
                let mut view = NodeView::from(&**node);
                let there = self.nodes.get(&view.name);
                if let Some(there) = there {
                    let NodeResources { requested, scored, pods, .. } = there.resources.clone();
                    view.resources = NodeResources { requested, scored, pods, ..view.resources };
                }
                let changed = there != Some(&view);
                let name = view.name.clone();
                self.nodes.insert(name.clone(), view);
                self.recount(&name);
                if changed {
                    self.move_all(world.now);
                }
            }
            _ => {}
        }
    }

    fn run(&mut self, world: &mut World<'_>) {
        let due: Vec<_> = (self.waiting.iter())
            .filter(|(_, waiting)| waiting.at.is_some_and(|at| at <= world.now))
            .map(|(key, waiting)| (key.clone(), waiting.clone()))
            .collect();
        for (key, waiting) in due {
            let Some(pod) = world.cache.fetch::<Pod>(&key.1, &key.2) else { continue };
            let decision = self.decide(pod);
            let object = pod.clone().into_object();
            let entry = Entry { at: world.now, by: "default-scheduler", lines: decision.lines };
            world.log.add(&object.key(), entry);
            match decision.node {
                Some(node) => {
                    self.waiting.remove(&key);
                    if world.server.bind(&key.1, &key.2, &node).is_ok() {
                        self.place(object.uid().to_string(), &node, PodView::from(pod));
                        let message = format!("Successfully assigned {}/{} to {node}", key.1, key.2);
                        world.server.record(&object, "Normal", "Scheduled", &message);
                    }
                }
                None => {
                    let mut pod = pod.clone();
                    let message = Some(decision.message.as_str());
                    registry::set_condition(
                        &mut pod,
                        "PodScheduled",
                        "False",
                        Some("Unschedulable"),
                        message,
                        world.time(),
                    );
                    _ = world.server.update_status(pod.into_object());
                    world.server.record(&object, "Warning", "FailedScheduling", &decision.message);
                    self.waiting.insert(key, Waiting { attempts: waiting.attempts + 1, at: None });
                }
            }
        }
    }

    fn next_wake(&self) -> Option<Instant> {
        self.waiting.values().filter_map(|waiting| waiting.at).min()
    }
}
