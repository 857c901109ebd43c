//! Passes: a table of wanted taints that is compared with what is there, and permissions counted as parts of one.

use kit::failure::NodeLifecycle;
use kit::failure::node_lifecycle::Status::{False, True, Unknown};
use kit::failure::node_lifecycle::*;
use std::collections::{BTreeMap, BTreeSet};

struct Exercise {
    config: Config,
    last_heard: BTreeMap<String, i64>,
    signs: BTreeMap<String, (Option<i64>, Option<i64>)>,
    zones: BTreeMap<String, Zone>,
}

#[derive(Default)]
struct Zone {
    queue: Vec<String>,
    rate: f64,
    /// Thousandths of a permission, at most 1000, as of a moment.
    saved: f64,
    at: i64,
    lost: bool,
}

impl Zone {
    fn settle(&mut self, now: i64) {
        let earned = self.rate * (now - self.at) as f64;
        self.saved = (self.saved + earned).min(1000.0);
        self.at = now;
    }

    fn missing(&self) -> i64 {
        // A little less than the sum of the parts, so that rounding never costs a millisecond.
        ((1000.0 - self.saved) / self.rate - 1e-6).ceil() as i64
    }
}

const NO_EXECUTE: &[&str] = &[NOT_READY, UNREACHABLE];
const NO_SCHEDULE: &[&str] = &[
    NOT_READY,
    UNREACHABLE,
    MEMORY_PRESSURE,
    DISK_PRESSURE,
    PID_PRESSURE,
    NETWORK_UNAVAILABLE,
    UNSCHEDULABLE,
];

fn compare(node: &ObservedNode, effect: &str, own: &[&str], wanted: &BTreeSet<&str>) -> Vec<Action> {
    let here: BTreeSet<&str> = (node.taints.iter())
        .filter(|taint| taint.effect == effect)
        .map(|taint| taint.key.as_str())
        .filter(|key| own.contains(key))
        .collect();
    let add = wanted.difference(&here).map(|key| Action::AddTaint {
        node: node.name.clone(),
        key: key.to_string(),
        effect: effect.to_string(),
    });
    let remove = here.difference(wanted).map(|key| Action::RemoveTaint {
        node: node.name.clone(),
        key: key.to_string(),
        effect: effect.to_string(),
    });
    remove.chain(add).collect()
}

fn no_execute(node: &ObservedNode, status: Option<Status>) -> Vec<Action> {
    let key = match status {
        Some(True) => None,
        Some(False) => Some(NOT_READY),
        Some(Unknown) | None => Some(UNREACHABLE),
    };
    compare(node, "NoExecute", NO_EXECUTE, &key.into_iter().collect())
}

impl NodeLifecycle for Exercise {
    fn new(config: &Config) -> Self {
        Exercise {
            config: config.clone(),
            last_heard: BTreeMap::new(),
            signs: BTreeMap::new(),
            zones: BTreeMap::new(),
        }
    }

    fn node_changed(&mut self, node: &ObservedNode) -> Answer {
        let table = [
            ("Ready", False, NOT_READY),
            ("Ready", Unknown, UNREACHABLE),
            ("MemoryPressure", True, MEMORY_PRESSURE),
            ("DiskPressure", True, DISK_PRESSURE),
            ("PIDPressure", True, PID_PRESSURE),
            ("NetworkUnavailable", True, NETWORK_UNAVAILABLE),
        ];
        let holds = |(type_, status, _): &&(&str, Status, &'static str)| node.conditions.get(*type_) == Some(status);
        let mut wanted: BTreeSet<&str> = table.iter().filter(holds).map(|(_, _, key)| *key).collect();
        wanted.extend(node.unschedulable.then_some(UNSCHEDULABLE));
        compare(node, "NoSchedule", NO_SCHEDULE, &wanted).into()
    }

    fn monitor(&mut self, now: i64, nodes: &[ObservedNode]) -> Answer {
        let mut actions = vec![];
        let known: BTreeSet<String> = self.signs.keys().cloned().collect();
        let names: BTreeSet<&String> = nodes.iter().map(|node| &node.name).collect();
        self.signs.retain(|name, _| names.contains(name));
        self.last_heard.retain(|name, _| names.contains(name));
        self.zones.retain(|zone, _| nodes.iter().any(|node| node.zone == *zone));

        let mut silent = BTreeSet::new();
        for node in nodes {
            let heartbeat = node.ready().is_some().then_some(node.heartbeat_time_ms);
            let heard = match self.signs.get(&node.name) {
                None => heartbeat.is_some() || node.renew_time_ms.is_some(),
                Some((before, lease)) => *before != heartbeat || node.renew_time_ms > *lease,
            };
            let newest = self.signs.get(&node.name).and_then(|signs| signs.1).max(node.renew_time_ms);
            self.signs.insert(node.name.clone(), (heartbeat, newest));
            let last = self.last_heard.entry(node.name.clone()).or_insert(node.created_ms);
            if heard {
                *last = now;
            }
            let grace = match heartbeat {
                Some(_) => self.config.node_monitor_grace_period_seconds,
                None => self.config.node_startup_grace_period_seconds,
            };
            if *last + grace * 1000 < now {
                silent.insert(node.name.as_str());
            }
        }

        for node in nodes.iter().filter(|node| silent.contains(node.name.as_str()) && node.ready() != Some(Unknown)) {
            let kubelets = ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"];
            for condition in kubelets.into_iter().filter(|type_| node.conditions.get(*type_) != Some(&Unknown)) {
                let known = node.conditions.contains_key(condition);
                let (reason, verb) =
                    if known { ("NodeStatusUnknown", "stopped posting") } else { ("NodeStatusNeverUpdated", "never posted") };
                actions.push(Action::SetUnknown {
                    node: node.name.clone(),
                    condition: condition.into(),
                    reason: reason.into(),
                    message: format!("Kubelet {verb} node status."),
                });
            }
            if node.ready() == Some(True) {
                actions.push(Action::MarkPodsNotReady { node: node.name.clone() });
            }
        }

        for node in nodes {
            let zone = self.zones.entry(node.zone.clone()).or_insert_with(|| Zone {
                rate: self.config.node_eviction_rate,
                saved: 1000.0,
                at: now,
                ..Zone::default()
            });
            let mut seen = node.clone();
            if !known.contains(&node.name) {
                actions.extend(no_execute(node, Some(True)));
                seen.taints.retain(|taint| taint.effect != "NoExecute");
            }
            let found = match node.ready() {
                None if !silent.contains(node.name.as_str()) => continue,
                found => found.unwrap_or(Unknown),
            };
            let tainted = NO_EXECUTE.iter().any(|key| seen.has_taint(key, "NoExecute"));
            if found == True || tainted {
                actions.extend(no_execute(&seen, Some(found)));
            }
            if found == True {
                zone.queue.retain(|name| *name != node.name);
            } else if !tainted && !zone.queue.contains(&node.name) {
                zone.queue.push(node.name.clone());
            }
        }

        let is_ready = |node: &&ObservedNode| node.ready() == Some(True) && !silent.contains(node.name.as_str());
        let were_lost = !self.zones.is_empty() && self.zones.values().all(|zone| zone.lost);
        let are_lost = !nodes.is_empty() && !nodes.iter().any(|node| is_ready(&node));
        for (name, zone) in &mut self.zones {
            let here: Vec<&ObservedNode> = nodes.iter().filter(|node| node.zone == *name).collect();
            let ready = here.iter().copied().filter(is_ready).count();
            let gone = here.len() - ready;
            let much = gone >= 3 && gone as f64 / here.len() as f64 >= self.config.unhealthy_zone_threshold;
            zone.lost = ready == 0;
            let rate = match (are_lost, much && ready > 0) {
                (true, _) => 0.0,
                (false, false) => self.config.node_eviction_rate,
                (false, true) if here.len() > self.config.large_cluster_size_threshold => {
                    self.config.secondary_node_eviction_rate
                }
                (false, true) => 0.0,
            };
            if rate != zone.rate {
                zone.settle(now);
                if zone.saved < 1000.0 - 1e-6 || rate == 0.0 {
                    zone.saved = 0.0;
                }
                zone.rate = rate;
            }
        }
        if are_lost && !were_lost {
            self.zones.values_mut().for_each(|zone| zone.queue.clear());
            actions.extend(nodes.iter().flat_map(|node| no_execute(node, Some(True))));
        } else if were_lost && !are_lost {
            self.last_heard.values_mut().for_each(|last| *last = now);
        }
        actions.into()
    }

    fn taint(&mut self, now: i64, nodes: &[ObservedNode]) -> Answer {
        let mut answer = Answer::default();
        for zone in self.zones.values_mut().filter(|zone| zone.rate > 0.0) {
            zone.settle(now);
            while !zone.queue.is_empty() && zone.saved >= 1000.0 - 1e-6 {
                zone.saved = 0.0;
                let name = zone.queue.remove(0);
                if let Some(node) = nodes.iter().find(|node| node.name == name)
                    && node.ready() != Some(True)
                {
                    answer.actions.extend(no_execute(node, node.ready()));
                }
            }
            if !zone.queue.is_empty() {
                let wait = zone.missing();
                answer.again_after_ms = answer.again_after_ms.into_iter().chain([wait]).min();
            }
        }
        answer
    }
}

kit::exercise!(Exercise: NodeLifecycle);
