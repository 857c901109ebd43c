//! The reference for `failure/node_lifecycle`.
//!
//! The names in parentheses are those of `pkg/controller/nodelifecycle/node_lifecycle_controller.go` and
//! `pkg/controller/nodelifecycle/scheduler/rate_limited_queue.go`.

use kit::api::rustc_hash::FxHashMap;
use kit::failure::NodeLifecycle;
use kit::failure::node_lifecycle::{
    Action, Answer, Config, DISK_PRESSURE, MEMORY_PRESSURE, NETWORK_UNAVAILABLE, NOT_READY, ObservedNode, PID_PRESSURE,
    Status, UNREACHABLE, UNSCHEDULABLE,
};
use std::collections::{BTreeMap, VecDeque};

// ANCHOR: solution
/// What the controller remembers from pass to pass.
pub struct Exercise {
    config: Config,
    heard: FxHashMap<String, Heard>,
    zones: BTreeMap<String, Zone>,
}

/// When a node was last heard of, and what the sign of life was.
struct Heard {
    at: i64,
    heartbeat: Option<i64>,
    lease: Option<i64>,
}

/// The nodes of a zone that wait for their taint, and how fast they may have it.
struct Zone {
    state: Option<ZoneState>,
    waiting: VecDeque<String>,
    rate: f64,
    /// From when on there is a permission; of no meaning at a rate of 0.
    permission: i64,
}

/// How much of a zone is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ZoneState {
    /// Little or nothing.
    Normal,
    /// Many nodes: a broken network is more likely than many broken nodes.
    PartialDisruption,
    /// All nodes.
    FullDisruption,
}

impl NodeLifecycle for Exercise {
    fn new(config: &Config) -> Self {
        Exercise { config: config.clone(), heard: FxHashMap::default(), zones: BTreeMap::new() }
    }

    // ANCHOR: no_schedule
    fn node_changed(&mut self, node: &ObservedNode) -> Answer {
        let is = |type_: &str, status: Status| node.conditions.get(type_) == Some(&status);
        let wanted = [
            (NOT_READY, is("Ready", Status::False)),
            (UNREACHABLE, is("Ready", Status::Unknown)),
            (MEMORY_PRESSURE, is("MemoryPressure", Status::True)),
            (DISK_PRESSURE, is("DiskPressure", Status::True)),
            (PID_PRESSURE, is("PIDPressure", Status::True)),
            (NETWORK_UNAVAILABLE, is("NetworkUnavailable", Status::True)),
            (UNSCHEDULABLE, node.unschedulable),
        ];
        let change = |(key, wanted)| change(node, key, "NoSchedule", wanted);
        wanted.into_iter().filter_map(change).collect::<Vec<_>>().into()
    }
    // ANCHOR_END: no_schedule

    fn monitor(&mut self, now: i64, nodes: &[ObservedNode]) -> Answer {
        let mut actions = Vec::new();
        let mut counts: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        for node in nodes {
            let new = !self.heard.contains_key(&node.name);
            let silent = self.is_silent(now, node);
            if silent && node.ready() != Some(Status::Unknown) {
                actions.extend(set_unknown(node));
                if node.ready() == Some(Status::True) {
                    actions.push(Action::MarkPodsNotReady { node: node.name.clone() });
                }
            }
            if new {
                actions.extend(untaint(node));
            }
            // The taint goes by what the pass found, the count by what it made of it.
            if let Some(found) = node.ready().or(silent.then_some(Status::Unknown)) {
                actions.extend(self.want_taint(node, found, new));
            }
            let (ready, not_ready) = counts.entry(&node.zone).or_default();
            *(if node.ready() == Some(Status::True) && !silent { ready } else { not_ready }) += 1;
        }
        // All nodes are in it, and whoever else is in it is gone.
        if self.heard.len() > nodes.len() {
            self.heard.retain(|name, _| find(nodes, name).is_some());
        }
        actions.extend(self.handle_disruption(now, nodes, &counts));
        actions.into()
    }

    // ANCHOR: taint
    fn taint(&mut self, now: i64, nodes: &[ObservedNode]) -> Answer {
        let mut answer = Answer::default();
        for zone in self.zones.values_mut().filter(|zone| zone.rate > 0.0) {
            while zone.permission <= now
                && let Some(name) = zone.waiting.pop_front()
            {
                zone.permission = now + interval(zone.rate);
                if let Some(node) = find(nodes, &name).filter(|node| node.ready() != Some(Status::True)) {
                    answer.actions.extend(swap(node, node.ready()));
                }
            }
            if !zone.waiting.is_empty() {
                let after = zone.permission - now;
                answer.again_after_ms = Some(answer.again_after_ms.map_or(after, |least| least.min(after)));
            }
        }
        answer
    }
    // ANCHOR_END: taint
}

impl Exercise {
    // ANCHOR: health
    /// Notes what was heard of a node; whether that is too long ago (`tryUpdateNodeHealth`).
    fn is_silent(&mut self, now: i64, node: &ObservedNode) -> bool {
        let heartbeat = node.ready().map(|_| node.heartbeat_time_ms);
        let lease = node.renew_time_ms;
        let created = if heartbeat.is_some() { now } else { node.created_ms };
        let heard = self.heard.entry(node.name.clone()).or_insert(Heard { at: created, heartbeat, lease: None });
        // Whether the times moved counts, not what they say: the clocks of nodes are not this one's.
        if heard.heartbeat != heartbeat || heard.lease < lease {
            heard.at = now;
        }
        heard.heartbeat = heartbeat;
        heard.lease = heard.lease.max(lease);
        let grace = match heartbeat {
            Some(_) => self.config.node_monitor_grace_period_seconds,
            None => self.config.node_startup_grace_period_seconds,
        };
        now > heard.at + grace * 1000
    }
    // ANCHOR_END: health

    /// Lets a node wait for its `NoExecute` taint, or takes it out of the queue (`processTaintBaseEviction`).
    fn want_taint(&mut self, node: &ObservedNode, found: Status, new: bool) -> Vec<Action> {
        let zone = self.zone(&node.zone);
        let wanted = key_for(Some(found));
        if found == Status::True {
            zone.waiting.retain(|waiting| *waiting != node.name);
            return untaint(node);
        }
        let has = |key: &str| !new && node.has_taint(key, "NoExecute");
        if has(if wanted == NOT_READY { UNREACHABLE } else { NOT_READY }) {
            // A lost node that is lost in another way needs no new permission.
            return swap(node, Some(found));
        }
        if !has(wanted) && !zone.waiting.contains(&node.name) {
            zone.waiting.push_back(node.name.clone());
        }
        Vec::new()
    }

    fn zone(&mut self, name: &str) -> &mut Zone {
        let rate = self.config.node_eviction_rate;
        let new = || Zone { state: None, waiting: VecDeque::new(), rate, permission: i64::MIN };
        self.zones.entry(name.to_string()).or_insert_with(new)
    }

    // ANCHOR: disruption
    /// Sets how fast each zone may lose nodes (`handleDisruption`).
    fn handle_disruption(
        &mut self,
        now: i64,
        nodes: &[ObservedNode],
        counts: &BTreeMap<&str, (usize, usize)>,
    ) -> Vec<Action> {
        self.zones.retain(|name, _| counts.contains_key(name.as_str()));
        let before: Vec<_> = counts.keys().map(|name| self.zone(name).state).collect();
        let after: Vec<_> = counts.values().map(|(ready, not_ready)| self.state(*ready, *not_ready)).collect();
        let all_were_lost = before.iter().all(|state| *state == Some(ZoneState::FullDisruption));
        let all_are_lost = after.iter().all(|state| *state == ZoneState::FullDisruption);
        for ((name, (ready, not_ready)), state) in counts.iter().zip(after) {
            let rate = match state {
                _ if all_are_lost => 0.0,
                ZoneState::PartialDisruption => self.reduced_rate(ready + not_ready),
                ZoneState::Normal | ZoneState::FullDisruption => self.config.node_eviction_rate,
            };
            let zone = self.zone(name);
            zone.state = Some(state);
            zone.set_rate(rate, now);
        }
        if all_are_lost && !all_were_lost {
            // Nobody is heard: the fault is more likely here than there.
            self.zones.values_mut().for_each(|zone| zone.waiting.clear());
            return nodes.iter().flat_map(untaint).collect();
        }
        if all_were_lost && !all_are_lost {
            self.heard.values_mut().for_each(|heard| heard.at = now);
        }
        Vec::new()
    }

    /// The state of a zone with so many nodes that are ready and that are not (`ComputeZoneState`).
    pub fn state(&self, ready: usize, not_ready: usize) -> ZoneState {
        let share = not_ready as f64 / (ready + not_ready) as f64;
        match () {
            () if ready == 0 && not_ready > 0 => ZoneState::FullDisruption,
            () if not_ready > 2 && share >= self.config.unhealthy_zone_threshold => ZoneState::PartialDisruption,
            () => ZoneState::Normal,
        }
    }

    /// The rate of a partially disrupted zone of so many nodes (`ReducedQPSFunc`).
    pub fn reduced_rate(&self, nodes: usize) -> f64 {
        let large = nodes > self.config.large_cluster_size_threshold;
        if large { self.config.secondary_node_eviction_rate } else { 0.0 }
    }
    // ANCHOR_END: disruption
}

impl Zone {
    /// A permission that isn't there is earned anew at the new rate (`SwapLimiter`).
    fn set_rate(&mut self, rate: f64, now: i64) {
        if rate == self.rate {
            return;
        }
        let there = self.rate > 0.0 && self.permission <= now;
        self.rate = rate;
        if rate > 0.0 && !there {
            self.permission = now + interval(rate);
        }
    }
}

/// A node by its name; they come sorted.
fn find<'a>(nodes: &'a [ObservedNode], name: &str) -> Option<&'a ObservedNode> {
    nodes.binary_search_by(|node| node.name.as_str().cmp(name)).ok().map(|index| &nodes[index])
}

/// From one permission to the next, in milliseconds.
fn interval(rate: f64) -> i64 {
    (1000.0 / rate).ceil() as i64
}

fn set_unknown(node: &ObservedNode) -> impl Iterator<Item = Action> {
    let all = ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"];
    all.into_iter().filter_map(|condition| {
        let (reason, message) = match node.conditions.get(condition) {
            Some(Status::Unknown) => return None,
            Some(_) => ("NodeStatusUnknown", "Kubelet stopped posting node status."),
            None => ("NodeStatusNeverUpdated", "Kubelet never posted node status."),
        };
        Some(Action::SetUnknown {
            node: node.name.clone(),
            condition: condition.into(),
            reason: reason.into(),
            message: message.into(),
        })
    })
}

/// The key of the taint of a node that isn't ready.
fn key_for(ready: Option<Status>) -> &'static str {
    if ready == Some(Status::False) { NOT_READY } else { UNREACHABLE }
}

/// Makes `ready` the reason for the node's `NoExecute` taint (`SwapNodeControllerTaint`).
fn swap(node: &ObservedNode, ready: Option<Status>) -> Vec<Action> {
    let wanted = key_for(ready);
    [NOT_READY, UNREACHABLE].into_iter().filter_map(|key| change(node, key, "NoExecute", key == wanted)).collect()
}

/// Takes both `NoExecute` taints away (`markNodeAsReachable`).
fn untaint(node: &ObservedNode) -> Vec<Action> {
    [NOT_READY, UNREACHABLE].into_iter().filter_map(|key| change(node, key, "NoExecute", false)).collect()
}

/// Adds or removes a taint, if that changes anything.
fn change(node: &ObservedNode, key: &str, effect: &str, wanted: bool) -> Option<Action> {
    let name = || node.name.clone();
    match (node.has_taint(key, effect), wanted) {
        (false, true) => Some(Action::AddTaint { node: name(), key: key.into(), effect: effect.into() }),
        (true, false) => Some(Action::RemoveTaint { node: name(), key: key.into(), effect: effect.into() }),
        _ => None,
    }
}
// ANCHOR_END: solution
