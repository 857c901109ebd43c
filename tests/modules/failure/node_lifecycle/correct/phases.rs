//! Passes: each pass goes over all nodes once for each question, one queue serves all zones, and a permission follows from when the last one was used.

use kit::failure::NodeLifecycle;
use kit::failure::node_lifecycle::{
    Action, Answer, Config, DISK_PRESSURE, MEMORY_PRESSURE, NETWORK_UNAVAILABLE, NOT_READY, ObservedNode, PID_PRESSURE,
    Status, UNREACHABLE, UNSCHEDULABLE,
};
use std::collections::{BTreeMap, BTreeSet, HashMap};

#[derive(Clone, Copy)]
struct Signs {
    heard: i64,
    heartbeat: Option<i64>,
    lease: Option<i64>,
}

struct Zone {
    lost: bool,
    rate: f64,
    /// Since when the next permission is being earned; none if it is there.
    earning: Option<i64>,
}

impl Zone {
    fn earned_at(&self) -> Option<i64> {
        let millis = (1000.0 / self.rate).ceil() as i64;
        self.earning.map(|since| since + millis)
    }

    fn has_permission(&self, now: i64) -> bool {
        self.rate > 0.0 && self.earned_at().is_none_or(|at| at <= now)
    }

    fn slow_to(&mut self, rate: f64, now: i64) {
        if rate != self.rate {
            self.earning = if self.has_permission(now) && rate > 0.0 { None } else { Some(now) };
            self.rate = rate;
        }
    }
}

struct Exercise {
    config: Config,
    signs: HashMap<String, Signs>,
    zones: BTreeMap<String, Zone>,
    /// Zone and name of all that wait.
    queue: Vec<(String, String)>,
}

/// What makes the taints of one effect those that are wanted, of the keys that are the controller's.
fn taints(node: &ObservedNode, effect: &str, keys: &[&str], wanted: &[&str]) -> Vec<Action> {
    let mut actions = Vec::new();
    for key in keys {
        let node_name = node.name.clone();
        let (has, wants) = (node.has_taint(key, effect), wanted.contains(key));
        if wants && !has {
            actions.push(Action::AddTaint { node: node_name, key: key.to_string(), effect: effect.to_string() });
        } else if has && !wants {
            actions.push(Action::RemoveTaint { node: node_name, key: key.to_string(), effect: effect.to_string() });
        }
    }
    actions
}

fn no_execute(node: &ObservedNode, wanted: &[&str]) -> Vec<Action> {
    taints(node, "NoExecute", &[UNREACHABLE, NOT_READY], wanted)
}

impl Exercise {
    fn listen(&self, node: &ObservedNode, now: i64) -> Signs {
        let heartbeat = node.ready().and(Some(node.heartbeat_time_ms));
        let lease = node.renew_time_ms;
        let Some(known) = self.signs.get(&node.name) else {
            let silent_from_the_start = heartbeat.is_none() && lease.is_none();
            return Signs { heard: if silent_from_the_start { node.created_ms } else { now }, heartbeat, lease };
        };
        let moved = heartbeat != known.heartbeat || lease > known.lease;
        Signs { heard: if moved { now } else { known.heard }, heartbeat, lease: lease.max(known.lease) }
    }

    fn is_silent(&self, node: &ObservedNode, now: i64) -> bool {
        let grace = match node.ready() {
            None => self.config.node_startup_grace_period_seconds,
            Some(_) => self.config.node_monitor_grace_period_seconds,
        };
        now - self.signs[&node.name].heard > 1000 * grace
    }

    /// Sets the rates, and says whether all zones were lost before and whether they are now.
    fn rate_zones(&mut self, now: i64, counts: &BTreeMap<String, [usize; 2]>) -> (bool, bool) {
        let rate = self.config.node_eviction_rate;
        let mut old = std::mem::take(&mut self.zones);
        let all_lost = counts.values().all(|[ready, _]| *ready == 0);
        let mut all_were_lost = true;
        for (name, [ready, others]) in counts {
            let mut zone = old.remove(name).unwrap_or(Zone { lost: false, rate, earning: None });
            all_were_lost &= zone.lost;
            zone.lost = *ready == 0;
            let nodes = ready + others;
            let many = *others > 2 && *others as f64 / nodes as f64 >= self.config.unhealthy_zone_threshold;
            let rate = if all_lost {
                0.0
            } else if zone.lost || !many {
                rate
            } else if nodes > self.config.large_cluster_size_threshold {
                self.config.secondary_node_eviction_rate
            } else {
                0.0
            };
            zone.slow_to(rate, now);
            self.zones.insert(name.clone(), zone);
        }
        (all_were_lost, all_lost)
    }
}

impl NodeLifecycle for Exercise {
    fn new(config: &Config) -> Self {
        Exercise { config: config.clone(), signs: HashMap::new(), zones: BTreeMap::new(), queue: Vec::new() }
    }

    fn node_changed(&mut self, node: &ObservedNode) -> Answer {
        let rules = [
            ("Ready", Status::False, NOT_READY),
            ("Ready", Status::Unknown, UNREACHABLE),
            ("MemoryPressure", Status::True, MEMORY_PRESSURE),
            ("DiskPressure", Status::True, DISK_PRESSURE),
            ("PIDPressure", Status::True, PID_PRESSURE),
            ("NetworkUnavailable", Status::True, NETWORK_UNAVAILABLE),
        ];
        let mut wanted = if node.unschedulable { vec![UNSCHEDULABLE] } else { vec![] };
        for (condition, status) in &node.conditions {
            let of_it = rules.iter().filter(|(type_, when, _)| type_ == condition && when == status);
            wanted.extend(of_it.map(|(_, _, key)| *key));
        }
        let mut keys = rules.map(|(_, _, key)| key).to_vec();
        keys.push(UNSCHEDULABLE);
        taints(node, "NoSchedule", &keys, &wanted).into()
    }

    fn monitor(&mut self, now: i64, nodes: &[ObservedNode]) -> Answer {
        if nodes.is_empty() {
            *self = Exercise::new(&self.config);
            return Answer::default();
        }
        let mut actions = Vec::new();

        // Who was heard, and who is here for the first time.
        let new: BTreeSet<&str> =
            nodes.iter().map(|node| node.name.as_str()).filter(|name| !self.signs.contains_key(*name)).collect();
        self.signs = nodes.iter().map(|node| (node.name.clone(), self.listen(node, now))).collect();
        let silent: BTreeSet<&str> =
            nodes.iter().filter(|node| self.is_silent(node, now)).map(|node| node.name.as_str()).collect();
        let is = |set: &BTreeSet<&str>, node: &ObservedNode| set.contains(node.name.as_str());

        // What becomes unknown.
        for node in nodes.iter().filter(|node| is(&silent, node) && node.ready() != Some(Status::Unknown)) {
            if node.ready() == Some(Status::True) {
                actions.push(Action::MarkPodsNotReady { node: node.name.clone() });
            }
            for condition in ["DiskPressure", "MemoryPressure", "PIDPressure", "Ready"] {
                let there = node.conditions.get(condition);
                let (reason, message) = match there {
                    None => ("NodeStatusNeverUpdated", "Kubelet never posted node status."),
                    Some(_) => ("NodeStatusUnknown", "Kubelet stopped posting node status."),
                };
                if there != Some(&Status::Unknown) {
                    actions.push(Action::SetUnknown {
                        node: node.name.clone(),
                        condition: condition.to_string(),
                        reason: reason.to_string(),
                        message: message.to_string(),
                    });
                }
            }
        }

        // Who waits.
        for node in nodes {
            let bare = is(&new, node);
            if bare {
                actions.extend(no_execute(node, &[]));
            }
            let (wanted, other) = match node.ready() {
                None if !is(&silent, node) => continue,
                Some(Status::True) => {
                    actions.extend(no_execute(node, &[]));
                    self.queue.retain(|(_, waiting)| *waiting != node.name);
                    continue;
                }
                Some(Status::False) => (NOT_READY, UNREACHABLE),
                Some(Status::Unknown) | None => (UNREACHABLE, NOT_READY),
            };
            let place = (node.zone.clone(), node.name.clone());
            if !bare && node.has_taint(other, "NoExecute") {
                actions.extend(no_execute(node, &[wanted]));
            } else if (bare || !node.has_taint(wanted, "NoExecute")) && !self.queue.contains(&place) {
                self.queue.push(place);
            }
        }

        // How much of each zone is left.
        let mut counts: BTreeMap<String, [usize; 2]> = BTreeMap::new();
        for node in nodes {
            let ready = node.ready() == Some(Status::True) && !is(&silent, node);
            counts.entry(node.zone.clone()).or_default()[usize::from(!ready)] += 1;
        }
        self.queue.retain(|(zone, _)| counts.contains_key(zone));
        match self.rate_zones(now, &counts) {
            (false, true) => {
                self.queue.clear();
                actions.extend(nodes.iter().flat_map(|node| no_execute(node, &[])));
            }
            (true, false) => self.signs.values_mut().for_each(|signs| signs.heard = now),
            _ => {}
        }
        actions.into()
    }

    fn taint(&mut self, now: i64, nodes: &[ObservedNode]) -> Answer {
        let mut actions = Vec::new();
        let mut waits = Vec::new();
        for (name, zone) in &mut self.zones {
            let first = self.queue.iter().position(|(of, _)| of == name);
            if let Some(first) = first.filter(|_| zone.has_permission(now)) {
                let (_, turn) = self.queue.remove(first);
                zone.earning = Some(now);
                if let Some(node) = nodes.iter().find(|node| node.name == turn) {
                    actions.extend(match node.ready() {
                        Some(Status::True) => Vec::new(),
                        Some(Status::False) => no_execute(node, &[NOT_READY]),
                        Some(Status::Unknown) | None => no_execute(node, &[UNREACHABLE]),
                    });
                }
            }
            if zone.rate > 0.0 && self.queue.iter().any(|(of, _)| of == name) {
                waits.extend(zone.earned_at().map(|at| at - now));
            }
        }
        Answer { actions, again_after_ms: waits.into_iter().min() }
    }
}

kit::exercise!(Exercise: NodeLifecycle);
