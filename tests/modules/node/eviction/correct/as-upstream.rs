//! Passes: in the steps of the kubelet, with lists of thresholds that are filtered one after the other, and functions that compare pods
//! put together in a list.

use kit::node::Eviction;
use kit::node::eviction::*;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

type Available = BTreeMap<Signal, i64>;
type Compare = Box<dyn Fn(&Pod, &Pod) -> Ordering>;

struct Exercise {
    config: Config,
    thresholds_met: Vec<Threshold>,
    first_observed_at: Vec<(Threshold, i64)>,
    conditions_last_observed_at: BTreeMap<Condition, i64>,
    node_conditions: BTreeSet<Condition>,
    last: Option<i64>,
    pending: Option<Evicted>,
}

fn thresholds_met(all: &[Threshold], available: &Available, enforce_min_reclaim: bool) -> Vec<Threshold> {
    let mut results = Vec::new();
    for threshold in all {
        let Some(left) = available.get(&threshold.signal) else { continue };
        let mut quantity = threshold.below;
        if enforce_min_reclaim {
            quantity += threshold.min_reclaim;
        }
        if quantity > *left {
            results.push(threshold.clone());
        }
    }
    results
}

impl Eviction for Exercise {
    fn new(config: &Config) -> Self {
        Exercise {
            config: config.clone(),
            thresholds_met: vec![],
            first_observed_at: vec![],
            conditions_last_observed_at: BTreeMap::new(),
            node_conditions: BTreeSet::new(),
            last: None,
            pending: None,
        }
    }

    fn look(&mut self, seen: &Seen, now_ms: i64) -> Look {
        let mut thresholds = thresholds_met(&self.config.thresholds, &seen.available, false);
        for threshold in thresholds_met(&self.thresholds_met, &seen.available, true) {
            if !thresholds.contains(&threshold) {
                thresholds.push(threshold);
            }
        }
        let mut first_observed_at = Vec::new();
        for threshold in &thresholds {
            let known = self.first_observed_at.iter().find(|(other, _)| other == threshold);
            first_observed_at.push((threshold.clone(), known.map_or(now_ms, |(_, at)| *at)));
        }
        for threshold in &thresholds {
            self.conditions_last_observed_at.insert(threshold.signal.resource().condition(), now_ms);
        }
        let period = self.config.transition_seconds * 1000;
        self.node_conditions.clear();
        for (condition, at) in &self.conditions_last_observed_at {
            if now_ms - at < period {
                self.node_conditions.insert(*condition);
            }
        }
        thresholds.retain(|threshold| {
            let at = first_observed_at.iter().find(|(other, _)| other == threshold);
            at.is_some_and(|(_, at)| now_ms - at >= threshold.grace_seconds * 1000)
        });
        self.first_observed_at = first_observed_at;
        self.thresholds_met = thresholds.clone();
        if self.last.is_some_and(|last| seen.measured_ms <= last) {
            thresholds.clear();
        }
        self.last = Some(seen.measured_ms);
        self.pending = None;
        let mut look = Look { conditions: self.node_conditions.clone(), reclaims: None, collect_garbage: false, evict: None };
        thresholds.sort_by_key(|threshold| u8::from(threshold.signal.resource() != Resource::Memory));
        let Some(threshold) = thresholds.first() else { return look };
        let resource = threshold.signal.resource();
        look.reclaims = Some(resource);
        let mut pods = seen.pods.clone();
        let compare = ordered_by(resource);
        pods.sort_by(|a, b| compare.iter().map(|one| one(a, b)).find(|order| order.is_ne()).unwrap_or(Ordering::Equal));
        for pod in pods.iter().filter(|pod| !pod.critical) {
            let evicted = Evicted {
                pod: pod.name.clone(),
                grace_seconds: match threshold.grace_seconds {
                    0 => 1,
                    _ => self.config.max_pod_grace_seconds.min(pod.grace_seconds),
                },
                because: threshold.clone(),
                exceeding: exceeding(pod, resource),
            };
            look.evict = Some(evicted);
            break;
        }
        look.collect_garbage = match threshold.signal {
            Signal::Memory | Signal::AllocatableMemory | Signal::Pid => false,
            Signal::Imagefs | Signal::ImagefsInodes => true,
            _ => !self.config.image_fs,
        };
        if look.collect_garbage {
            self.pending = look.evict.take();
        }
        look
    }

    fn collected(&mut self, available: &Available) -> Option<Evicted> {
        let pending = self.pending.take();
        if thresholds_met(&self.config.thresholds, available, true).is_empty() { None } else { pending }
    }

    fn admit(&mut self, pod: &NewPod) -> bool {
        if self.node_conditions.is_empty() || pod.critical {
            return true;
        }
        let memory = self.node_conditions.contains(&Condition::MemoryPressure);
        if self.node_conditions.len() == 1 && memory {
            if pod.class != QosClass::BestEffort {
                return true;
            }
            return pod.tolerates_memory_pressure;
        }
        false
    }
}

fn exceeding(pod: &Pod, resource: Resource) -> Vec<String> {
    let over = |container: &&Container| match resource {
        Resource::Memory => container.uses.memory > container.requests.memory,
        Resource::EphemeralStorage => container.uses.ephemeral_storage > container.requests.ephemeral_storage,
        _ => false,
    };
    pod.containers.iter().filter(over).map(|container| container.name.clone()).collect()
}

/// What a pod uses, and requests.
fn figures(pod: &Pod, resource: Resource) -> Option<(i64, i64)> {
    pod.uses.as_ref().map(|uses| match resource {
        Resource::Memory => (uses.memory, pod.requests.memory),
        Resource::EphemeralStorage => (uses.ephemeral_storage, pod.requests.ephemeral_storage),
        Resource::Inodes => (uses.inodes, 0),
        Resource::Pids => (uses.pids, 0),
    })
}

fn ordered_by(resource: Resource) -> Vec<Compare> {
    let priority: Compare = Box::new(|a, b| a.priority.cmp(&b.priority));
    let exceed: Compare = Box::new(move |a, b| match (figures(a, resource), figures(b, resource)) {
        (Some((used_a, asked_a)), Some((used_b, asked_b))) => (used_b > asked_b).cmp(&(used_a > asked_a)),
        (a, b) => b.is_none().cmp(&a.is_none()),
    });
    let most: Compare = Box::new(move |a, b| match (figures(a, resource), figures(b, resource)) {
        (Some((used_a, asked_a)), Some((used_b, asked_b))) => (used_b - asked_b).cmp(&(used_a - asked_a)),
        (a, b) => b.is_none().cmp(&a.is_none()),
    });
    if resource == Resource::Pids { vec![priority, most] } else { vec![exceed, priority, most] }
}

kit::exercise!(Exercise: Eviction);
