//! The node lifecycle controller around the module that decides.
//!
//! Source: `pkg/controller/nodelifecycle/node_lifecycle_controller.go`. There, three loops run beside each other, and
//! here the module has a call for each: one follows the changes of nodes, one looks at all of them every five seconds,
//! and one hands out `NoExecute` taints as fast as the zones allow.

use kit_api::coordination::Lease;
use kit_api::core::{Node, NodeCondition, Pod, Taint};
use kit_api::jiff::Timestamp;
use kit_api::pod;
use kit_api::time;
use kit_apimachinery::object::{AsKind, Key, Kind, Object};
use kit_client::component::{Component, World};
use kit_contract::Modules;
use kit_contract::failure::NodeLifecycle as Module;
use kit_contract::failure::node_lifecycle::{Action, Answer, Config, ObservedNode, Status};
use kit_server::{Change, ChangeKind, registry};
use kit_time::agenda::Instant;
use std::collections::{BTreeMap, BTreeSet};

/// From one pass to the next (`--node-monitor-period`), and how long a pass takes: `wait.Until` counts from its end, so
/// that ten passes take a little longer than the grace period.
const PERIOD: Instant = Instant::seconds(5);
const PASS: Instant = Instant::millis(1);
/// How often taints are handed out (`NodeEvictionPeriod`): so long after a pass, and never more often.
const EVICTION_PERIOD: Instant = Instant::millis(100);

/// Notices lost nodes.
pub struct NodeLifecycle {
    module: Box<dyn Module>,
    /// All nodes, sorted by name.
    nodes: Vec<ObservedNode>,
    /// Renew times of leases, by the names of their nodes.
    leases: BTreeMap<String, i64>,
    changed: BTreeSet<String>,
    /// When the next pass is due.
    pass: Instant,
    /// When taints may be handed out next.
    taint: Option<Instant>,
    /// How many nodes were tainted `NoExecute`, by zone.
    evictions: BTreeMap<String, u64>,
}

/// A zone as `node_collector_*` tells of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Zone {
    /// How many nodes it has.
    pub size: u64,
    /// How many of them are not ready.
    pub unhealthy: u64,
    /// How many were tainted so that their pods go.
    pub evictions: u64,
}

impl NodeLifecycle {
    /// A controller with the module of the slot and these flags.
    pub fn new(modules: &Modules, config: &Config) -> Self {
        NodeLifecycle {
            module: modules.node_lifecycle.make(config),
            nodes: Vec::new(),
            leases: BTreeMap::new(),
            changed: BTreeSet::new(),
            pass: PERIOD + PASS,
            taint: None,
            evictions: BTreeMap::new(),
        }
    }

    /// All zones, by `REGION:ZONE`; those of nodes without labels by an empty name.
    pub fn zones(&self) -> BTreeMap<String, Zone> {
        let mut zones: BTreeMap<String, Zone> = BTreeMap::new();
        for node in &self.nodes {
            let zone = zones.entry(node.zone.clone()).or_default();
            let is_ready = |(type_, status): (&String, &Status)| type_ == "Ready" && *status == Status::True;
            zone.size += 1;
            zone.unhealthy += u64::from(!node.conditions.iter().any(is_ready));
        }
        for (name, evictions) in &self.evictions {
            zones.entry(name.clone()).or_default().evictions = *evictions;
        }
        zones
    }

    /// Counts the nodes whose pods have to go now.
    fn count(&mut self, answer: &Answer) {
        for action in &answer.actions {
            let Action::AddTaint { node, effect, .. } = action else { continue };
            if let Ok(index) = self.find(node)
                && effect == "NoExecute"
            {
                *self.evictions.entry(self.nodes[index].zone.clone()).or_default() += 1;
            }
        }
    }

    fn find(&self, name: &str) -> Result<usize, usize> {
        self.nodes.binary_search_by(|node| node.name.as_str().cmp(name))
    }

    fn see_node(&mut self, node: &Node, gone: bool, world: &World<'_>) {
        let name = node.metadata.name.as_deref().unwrap_or_default();
        let index = match self.find(name) {
            Ok(index) if gone => {
                self.nodes.remove(index);
                return;
            }
            Err(_) if gone => return,
            Ok(index) => index,
            Err(index) => {
                self.nodes.insert(index, ObservedNode::default());
                index
            }
        };
        let renewed = self.leases.get(name).copied();
        self.nodes[index] = observe(node, renewed, world);
        self.changed.insert(name.to_string());
    }

    fn see_lease(&mut self, lease: &Lease, gone: bool, world: &World<'_>) {
        let name = lease.metadata.name.clone().unwrap_or_default();
        let renewed = lease.spec.as_ref().and_then(|spec| spec.renew_time.as_ref()).filter(|_| !gone);
        let renewed = renewed.map(|time| milliseconds(time.0, world));
        if let Ok(index) = self.find(&name) {
            self.nodes[index].renew_time_ms = renewed;
        }
        match renewed {
            Some(renewed) => _ = self.leases.insert(name, renewed),
            None => _ = self.leases.remove(&name),
        }
    }
}

/// Milliseconds of virtual time.
fn milliseconds(time: Timestamp, world: &World<'_>) -> i64 {
    now(world) + time.duration_since(world.time()).as_millis() as i64
}

fn now(world: &World<'_>) -> i64 {
    world.now.nanos / 1_000_000
}

/// The node as the module sees it.
fn observe(node: &Node, renew_time_ms: Option<i64>, world: &World<'_>) -> ObservedNode {
    let (meta, spec) = (&node.metadata, node.spec.as_ref());
    let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let heartbeat = conditions.clone().find(|condition| condition.type_ == "Ready");
    let heartbeat = heartbeat.and_then(|ready| ready.last_heartbeat_time.as_ref());
    let label = |key: &str| meta.labels.as_ref().and_then(|labels| labels.get(key)).map_or("", String::as_str);
    // `GetZoneKey`: zones of two regions may have the same name.
    let (region, zone) = (label("topology.kubernetes.io/region"), label("topology.kubernetes.io/zone"));
    let status = |condition: &NodeCondition| match condition.status.as_str() {
        "True" => Status::True,
        "False" => Status::False,
        _ => Status::Unknown,
    };
    ObservedNode {
        name: meta.name.clone().unwrap_or_default(),
        zone: if region.is_empty() { zone.to_string() } else { format!("{region}:{zone}") },
        created_ms: meta.creation_timestamp.as_ref().map_or(0, |time| milliseconds(time.0, world)),
        conditions: conditions.map(|condition| (condition.type_.clone(), status(condition))).collect(),
        heartbeat_time_ms: heartbeat.map_or(0, |time| milliseconds(time.0, world)),
        renew_time_ms,
        taints: spec.and_then(|spec| spec.taints.clone()).unwrap_or_default(),
        unschedulable: spec.and_then(|spec| spec.unschedulable) == Some(true),
    }
}

/// Does what an answer says. What is asked of a node that is gone is not done.
fn act(answer: Answer, world: &mut World<'_>) {
    let mut unknown: BTreeMap<String, Vec<NodeCondition>> = BTreeMap::new();
    let mut taints: BTreeMap<String, Vec<(bool, Taint)>> = BTreeMap::new();
    let mut not_ready = BTreeSet::new();
    for action in answer.actions {
        match action {
            Action::SetUnknown { node, condition: type_, reason, message } => {
                let (status, reason, message) = ("Unknown".into(), Some(reason), Some(message));
                let condition = NodeCondition { type_, status, reason, message, ..NodeCondition::default() };
                unknown.entry(node).or_default().push(condition);
            }
            Action::MarkPodsNotReady { node } => _ = not_ready.insert(node),
            Action::AddTaint { node, key, effect } => {
                taints.entry(node).or_default().push((true, Taint { key, effect, time_added: None, value: None }));
            }
            Action::RemoveTaint { node, key, effect } => {
                taints.entry(node).or_default().push((false, Taint { key, effect, time_added: None, value: None }));
            }
        }
    }
    for (node, conditions) in unknown {
        set_conditions(&node, conditions, world);
    }
    for node in &not_ready {
        mark_pods_not_ready(node, world);
    }
    for (node, changes) in taints {
        change_taints(&node, changes, world);
    }
}

/// Writes conditions; a heartbeat that was there stays, and one that never was is the node's creation.
fn set_conditions(name: &str, conditions: Vec<NodeCondition>, world: &mut World<'_>) {
    let Ok(mut node) = world.server.fetch::<Node>("", name) else { return };
    let (time, created) = (time::seconds(world.time()), node.metadata.creation_timestamp.clone());
    let there = node.status.get_or_insert_default().conditions.get_or_insert_default();
    for mut condition in conditions {
        condition.last_transition_time = Some(time.clone());
        match there.iter_mut().find(|old| old.type_ == condition.type_) {
            Some(old) if old.status == condition.status => {}
            Some(old) => {
                condition.last_heartbeat_time = old.last_heartbeat_time.take();
                *old = condition;
            }
            None => {
                condition.last_heartbeat_time = created.clone();
                there.push(condition);
            }
        }
    }
    _ = world.server.update_status(node.into_object());
}

/// Adds and removes taints, and leaves all others alone.
fn change_taints(name: &str, changes: Vec<(bool, Taint)>, world: &mut World<'_>) {
    let Ok(mut node) = world.server.fetch::<Node>("", name) else { return };
    let spec = node.spec.get_or_insert_default();
    let mut taints = spec.taints.take().unwrap_or_default();
    for (add, mut taint) in changes {
        let same = |other: &Taint| other.key == taint.key && other.effect == taint.effect;
        match (add, taints.iter().position(same)) {
            (true, None) => {
                taint.time_added = Some(time::seconds(world.time()));
                taints.push(taint);
            }
            (false, Some(index)) => _ = taints.remove(index),
            _ => {}
        }
    }
    spec.taints = Some(taints).filter(|taints| !taints.is_empty());
    _ = world.server.update(node.into_object());
}

/// Pods on a lost node are not ready: they leave the endpoints long before they are deleted (`MarkPodsNotReady`).
fn mark_pods_not_ready(name: &str, world: &mut World<'_>) {
    let Ok(node) = world.server.get(&Key::new(Kind::Node, "", name)).cloned() else { return };
    let message = format!("Node {name} status is now: NodeNotReady");
    world.server.record(&node.object, "Normal", "NodeNotReady", &message);
    let pods: Vec<Pod> = world.cache.all::<Pod>().filter(|pod| pod::node_name(pod) == Some(name)).cloned().collect();
    for mut pod in pods.into_iter().filter(pod::is_ready) {
        registry::set_condition(&mut pod, "Ready", "False", None, None, world.time());
        pod.metadata.resource_version = None;
        if let Ok(stored) = world.server.update_status(pod.into_object()) {
            world.server.record(&stored.object, "Warning", "NodeNotReady", "Node is not ready");
        }
    }
}

impl Component for NodeLifecycle {
    fn name(&self) -> &'static str {
        "node-controller"
    }

    fn watches(&self) -> &'static [Kind] {
        &[Kind::Node, Kind::Lease, Kind::Pod]
    }

    fn observe(&mut self, change: &Change, world: &mut World<'_>) {
        let gone = change.kind == ChangeKind::Deleted;
        match &change.object.object {
            Object::Node(node) => self.see_node(node, gone, world),
            Object::Lease(lease) if lease.metadata.namespace.as_deref() == Some("kube-node-lease") => {
                self.see_lease(lease, gone, world);
            }
            _ => {}
        }
    }

    fn run(&mut self, world: &mut World<'_>) {
        for name in std::mem::take(&mut self.changed) {
            if let Ok(index) = self.find(&name) {
                act(self.module.node_changed(&self.nodes[index]), world);
            }
        }
        if world.now >= self.pass {
            act(self.module.monitor(now(world), &self.nodes), world);
            self.pass = self.pass + PERIOD + PASS;
            self.taint = Some(world.now + EVICTION_PERIOD);
        }
        if self.taint.is_some_and(|at| at <= world.now) {
            let answer = self.module.taint(now(world), &self.nodes);
            // A pass asks anyway, so there is no need to believe a long time.
            let after = answer.again_after_ms.map(|ms| Instant::millis(ms.clamp(0, 5_000)).max(EVICTION_PERIOD));
            self.taint = after.map(|after| world.now + after);
            self.count(&answer);
            act(answer, world);
        }
    }

    fn next_wake(&self) -> Option<Instant> {
        Some(self.taint.map_or(self.pass, |at| at.min(self.pass)))
    }
}
