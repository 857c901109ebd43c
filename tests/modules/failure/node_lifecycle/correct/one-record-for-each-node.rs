//! Passes: no queues; each node has a ticket with a number while it waits, and the lowest ticket of a zone is next.

use kit::failure::NodeLifecycle;
use kit::failure::node_lifecycle::*;
use std::collections::HashMap;

#[derive(Default, Clone)]
struct Record {
    zone: String,
    heard: i64,
    has_ready: bool,
    heartbeat: i64,
    lease: Option<i64>,
    ticket: Option<u64>,
}

#[derive(Clone, Copy, PartialEq)]
enum Permission {
    Here,
    At(i64),
    Never,
}

struct Exercise {
    config: Config,
    nodes: HashMap<String, Record>,
    /// Rate and permission by zone, and whether all of the zone was lost.
    zones: HashMap<String, (f64, Permission, bool)>,
    /// Nodes that left while they waited still have their turn.
    left: HashMap<String, Record>,
    tickets: u64,
}

fn taint(add: bool, node: &str, key: &str, effect: &str) -> Action {
    let (node, key, effect) = (node.to_string(), key.to_string(), effect.to_string());
    if add { Action::AddTaint { node, key, effect } } else { Action::RemoveTaint { node, key, effect } }
}

fn to_only(node: &ObservedNode, key: Option<&str>) -> Vec<Action> {
    let mut actions = Vec::new();
    for candidate in [UNREACHABLE, NOT_READY] {
        let (has, wants) = (node.has_taint(candidate, "NoExecute"), key == Some(candidate));
        if has != wants {
            actions.push(taint(wants, &node.name, candidate, "NoExecute"));
        }
    }
    actions
}

impl NodeLifecycle for Exercise {
    fn new(config: &Config) -> Self {
        let config = config.clone();
        Exercise { config, nodes: HashMap::new(), zones: HashMap::new(), left: HashMap::new(), tickets: 0 }
    }

    fn node_changed(&mut self, node: &ObservedNode) -> Answer {
        let mut wanted = Vec::new();
        for (condition, status) in &node.conditions {
            wanted.extend(match (condition.as_str(), status) {
                ("Ready", Status::False) => Some(NOT_READY),
                ("Ready", Status::Unknown) => Some(UNREACHABLE),
                ("MemoryPressure", Status::True) => Some(MEMORY_PRESSURE),
                ("DiskPressure", Status::True) => Some(DISK_PRESSURE),
                ("PIDPressure", Status::True) => Some(PID_PRESSURE),
                ("NetworkUnavailable", Status::True) => Some(NETWORK_UNAVAILABLE),
                _ => None,
            });
        }
        if node.unschedulable {
            wanted.push(UNSCHEDULABLE);
        }
        let own =
            [NOT_READY, UNREACHABLE, MEMORY_PRESSURE, DISK_PRESSURE, PID_PRESSURE, NETWORK_UNAVAILABLE, UNSCHEDULABLE];
        let mut actions = Vec::new();
        for t in node.taints.iter().filter(|t| t.effect == "NoSchedule" && own.contains(&t.key.as_str())) {
            if !wanted.contains(&t.key.as_str()) {
                actions.push(taint(false, &node.name, &t.key, "NoSchedule"));
            }
            wanted.retain(|key| *key != t.key);
        }
        actions.extend(wanted.into_iter().map(|key| taint(true, &node.name, key, "NoSchedule")));
        actions.into()
    }

    fn monitor(&mut self, now: i64, nodes: &[ObservedNode]) -> Answer {
        let mut actions: Vec<Action> = Vec::new();
        let mut zones: HashMap<String, [usize; 2]> = HashMap::new();
        let mut before = std::mem::take(&mut self.nodes);
        for node in nodes {
            let old = before.remove(&node.name);
            let first = old.is_none();
            let mut record = old.unwrap_or_default();
            if let Some(left) = self.left.remove(&node.name) {
                // It comes back as a new node, to the place that it had.
                record.ticket = left.ticket;
            }
            let has_ready = node.ready().is_some();
            let reported = record.has_ready != has_ready || has_ready && record.heartbeat != node.heartbeat_time_ms;
            let renewed = match (record.lease, node.renew_time_ms) {
                (None, Some(_)) => true,
                (Some(old), Some(new)) => new > old,
                _ => false,
            };
            if renewed {
                record.lease = node.renew_time_ms;
            }
            if first && !has_ready {
                record.heard = node.created_ms;
            }
            if reported || renewed || first && has_ready {
                record.heard = now;
            }
            record.has_ready = has_ready;
            record.heartbeat = node.heartbeat_time_ms;
            record.zone = node.zone.clone();

            let grace = if has_ready {
                self.config.node_monitor_grace_period_seconds
            } else {
                self.config.node_startup_grace_period_seconds
            };
            let silent = now - record.heard > 1000 * grace;
            let mut ready_now = node.ready() == Some(Status::True);
            if silent && node.ready() != Some(Status::Unknown) {
                if ready_now {
                    actions.push(Action::MarkPodsNotReady { node: node.name.clone() });
                }
                for condition in ["PIDPressure", "DiskPressure", "MemoryPressure", "Ready"] {
                    let text = match node.conditions.get(condition) {
                        None => Some(("NodeStatusNeverUpdated", "Kubelet never posted node status.")),
                        Some(Status::Unknown) => None,
                        _ => Some(("NodeStatusUnknown", "Kubelet stopped posting node status.")),
                    };
                    actions.extend(text.map(|(reason, message)| Action::SetUnknown {
                        node: node.name.clone(),
                        condition: condition.to_string(),
                        reason: reason.to_string(),
                        message: message.to_string(),
                    }));
                }
            }
            ready_now &= !silent;

            let mut node = node.clone();
            if first {
                actions.extend(to_only(&node, None));
                node.taints.clear();
            }
            match node.ready() {
                Some(Status::True) => {
                    record.ticket = None;
                    actions.extend(to_only(&node, None));
                }
                None if !silent => {}
                other => {
                    let (key, opposite) = match other {
                        Some(Status::False) => (NOT_READY, UNREACHABLE),
                        _ => (UNREACHABLE, NOT_READY),
                    };
                    if node.has_taint(opposite, "NoExecute") {
                        actions.extend(to_only(&node, Some(key)));
                    } else if !node.has_taint(key, "NoExecute") && record.ticket.is_none() {
                        self.tickets += 1;
                        record.ticket = Some(self.tickets);
                    }
                }
            }
            zones.entry(node.zone.clone()).or_default()[usize::from(ready_now)] += 1;
            self.nodes.insert(node.name.clone(), record);
        }
        self.left.extend(before.into_iter().filter(|(_, record)| record.ticket.is_some()));

        self.zones.retain(|name, _| zones.contains_key(name));
        self.left.retain(|_, record| zones.contains_key(&record.zone));
        let cut_off = !zones.is_empty() && zones.values().all(|[_, ready]| *ready == 0);
        let was_cut_off = !zones.is_empty() && zones.keys().all(|name| self.zones.get(name).is_some_and(|zone| zone.2));
        if cut_off && !was_cut_off {
            self.nodes.values_mut().for_each(|record| record.ticket = None);
            self.left.clear();
            actions.extend(nodes.iter().flat_map(|node| to_only(node, None)));
        }
        if was_cut_off && !cut_off {
            self.nodes.values_mut().for_each(|record| record.heard = now);
        }
        for (name, [not_ready, ready]) in zones {
            let all = ready + not_ready;
            let many = not_ready > 2 && not_ready as f64 / all as f64 >= self.config.unhealthy_zone_threshold;
            let rate = if cut_off {
                0.0
            } else if many && ready > 0 {
                if all > self.config.large_cluster_size_threshold {
                    self.config.secondary_node_eviction_rate
                } else {
                    0.0
                }
            } else {
                self.config.node_eviction_rate
            };
            let zone = self.zones.entry(name).or_insert((self.config.node_eviction_rate, Permission::Here, false));
            zone.2 = ready == 0;
            if zone.0 != rate {
                let here = match zone.1 {
                    Permission::Here => true,
                    Permission::At(at) => at <= now,
                    Permission::Never => false,
                };
                zone.0 = rate;
                zone.1 = match (rate > 0.0, here) {
                    (false, _) => Permission::Never,
                    (true, true) => Permission::Here,
                    (true, false) => Permission::At(now + (1000.0 / rate).ceil() as i64),
                };
            }
        }
        actions.into()
    }

    fn taint(&mut self, now: i64, nodes: &[ObservedNode]) -> Answer {
        let mut answer = Answer::default();
        for (zone, (rate, permission, _)) in &mut self.zones {
            loop {
                let all = self.nodes.iter_mut().chain(self.left.iter_mut());
                let waiting = all.filter(|(_, record)| record.zone == *zone && record.ticket.is_some());
                let Some((name, record)) = waiting.min_by_key(|(_, record)| record.ticket) else { break };
                match *permission {
                    Permission::Never => break,
                    Permission::At(at) if at > now => {
                        let after = at - now;
                        answer.again_after_ms = Some(answer.again_after_ms.unwrap_or(after).min(after));
                        break;
                    }
                    _ => {}
                }
                record.ticket = None;
                *permission = Permission::At(now + (1000.0 / *rate).ceil() as i64);
                let Some(node) = nodes.iter().find(|node| node.name == *name) else { continue };
                match node.ready() {
                    Some(Status::True) => {}
                    Some(Status::False) => answer.actions.extend(to_only(node, Some(NOT_READY))),
                    _ => answer.actions.extend(to_only(node, Some(UNREACHABLE))),
                }
            }
        }
        answer
    }
}

kit::exercise!(Exercise: NodeLifecycle);
