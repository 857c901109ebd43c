//! Passes: each threshold counts how long it has been met, conditions count down, and the first pod is found by letting each win against
//! the best so far, rule by rule.

use kit::node::Eviction;
use kit::node::eviction::*;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

struct Watched {
    threshold: Threshold,
    met_for_ms: Option<i64>,
}

struct Exercise {
    watched: Vec<Watched>,
    config: Config,
    /// For how long each still holds.
    pressure_ms: BTreeMap<Condition, i64>,
    last_ms: i64,
    last_figures: Option<i64>,
    in_case: Option<Evicted>,
}

impl Watched {
    fn is_due(&self) -> bool {
        self.met_for_ms.is_some_and(|ms| ms >= 1000 * self.threshold.grace_seconds)
    }

    fn has(&self, available: &BTreeMap<Signal, i64>, amount: i64) -> bool {
        available.get(&self.threshold.signal).is_none_or(|left| *left >= amount)
    }
}

impl Eviction for Exercise {
    fn new(config: &Config) -> Self {
        let watched = config.thresholds.iter().map(|one| Watched { threshold: one.clone(), met_for_ms: None });
        Exercise {
            watched: watched.collect(),
            config: config.clone(),
            pressure_ms: BTreeMap::new(),
            last_ms: 0,
            last_figures: None,
            in_case: None,
        }
    }

    fn look(&mut self, seen: &Seen, now_ms: i64) -> Look {
        let passed = now_ms - self.last_ms;
        self.last_ms = now_ms;
        for left in self.pressure_ms.values_mut() {
            *left -= passed;
        }
        for one in &mut self.watched {
            let goal = one.threshold.below + if one.is_due() { one.threshold.min_reclaim } else { 0 };
            if one.has(&seen.available, goal) {
                one.met_for_ms = None;
                continue;
            }
            one.met_for_ms = Some(one.met_for_ms.map_or(0, |ms| ms + passed));
            let condition = one.threshold.signal.resource().condition();
            self.pressure_ms.insert(condition, self.config.transition_seconds * 1000);
        }
        self.pressure_ms.retain(|_, left| *left > 0);

        let conditions: BTreeSet<Condition> = self.pressure_ms.keys().copied().collect();
        let calm = Look { conditions, reclaims: None, collect_garbage: false, evict: None };
        let fresh = self.last_figures < Some(seen.measured_ms);
        self.last_figures = Some(seen.measured_ms);
        let due = |memory: bool, crossed: bool| {
            self.watched.iter().find(|one| {
                let is_memory = one.threshold.signal.resource() == Resource::Memory;
                let is_crossed = !one.has(&seen.available, one.threshold.below);
                one.is_due() && is_memory == memory && is_crossed == crossed
            })
        };
        let first = due(true, true).or(due(true, false)).or(due(false, true)).or(due(false, false));
        let Some(first) = first.filter(|_| fresh) else { return calm };

        let threshold = &first.threshold;
        let resource = threshold.signal.resource();
        let evicted = self.choose(threshold, &seen.pods).map(|pod| Evicted {
            pod: pod.name.clone(),
            grace_seconds: match threshold.grace_seconds {
                0 => 1,
                _ if pod.grace_seconds < self.config.max_pod_grace_seconds => pod.grace_seconds,
                _ => self.config.max_pod_grace_seconds,
            },
            because: threshold.clone(),
            exceeding: named(pod, resource),
        });
        let collect_garbage = match format!("{:?}", threshold.signal) {
            name if name.starts_with("Imagefs") => true,
            name if name.starts_with("Nodefs") || name.starts_with("Containerfs") => !self.config.image_fs,
            _ => false,
        };
        let (evict, in_case) = if collect_garbage { (None, evicted) } else { (evicted, None) };
        self.in_case = in_case;
        Look { reclaims: Some(resource), collect_garbage, evict, ..calm }
    }

    fn collected(&mut self, available: &BTreeMap<Signal, i64>) -> Option<Evicted> {
        for one in &self.watched {
            if !one.has(available, one.threshold.below + one.threshold.min_reclaim) {
                return self.in_case.take();
            }
        }
        None
    }

    fn admit(&mut self, pod: &NewPod) -> bool {
        let others = self.pressure_ms.keys().filter(|one| **one != Condition::MemoryPressure).count();
        let memory = self.pressure_ms.contains_key(&Condition::MemoryPressure);
        let refused = others > 0 || memory && pod.class == QosClass::BestEffort && !pod.tolerates_memory_pressure;
        pod.critical || !refused
    }
}

fn named(pod: &Pod, resource: Resource) -> Vec<String> {
    let mut names = vec![];
    for Container { name, requests, uses } in &pod.containers {
        let more = match resource {
            Resource::Memory => uses.memory - requests.memory,
            Resource::EphemeralStorage => uses.ephemeral_storage - requests.ephemeral_storage,
            _ => 0,
        };
        if more >= 1 {
            names.push(name.to_string());
        }
    }
    names
}

impl Exercise {
    fn choose<'a>(&self, threshold: &Threshold, pods: &'a [Pod]) -> Option<&'a Pod> {
        let resource = threshold.signal.resource();
        let mut best: Option<&Pod> = None;
        for pod in pods {
            if !pod.critical && best.is_none_or(|best| goes_before(pod, best, resource)) {
                best = Some(pod);
            }
        }
        best
    }
}

/// Whether one goes and not the other, which stands before it in the list.
fn goes_before(one: &Pod, other: &Pod, resource: Resource) -> bool {
    let more = |pod: &Pod| {
        let uses = pod.uses?;
        Some(match resource {
            Resource::Memory => uses.memory - pod.requests.memory,
            Resource::EphemeralStorage => uses.ephemeral_storage - pod.requests.ephemeral_storage,
            Resource::Inodes => uses.inodes,
            Resource::Pids => uses.pids,
        })
    };
    let (a, b) = (more(one), more(other));
    let unknown = b.is_some().cmp(&a.is_some());
    let exceeds = a.is_some_and(|a| a > 0).cmp(&b.is_some_and(|b| b > 0));
    let lower = other.priority.cmp(&one.priority);
    let largest = a.cmp(&b);
    let rules = match resource {
        Resource::Pids => [lower, unknown, largest, Ordering::Equal],
        _ => [unknown, exceeds, lower, largest],
    };
    rules.into_iter().find(|rule| rule.is_ne()) == Some(Ordering::Greater)
}

kit::exercise!(Exercise: Eviction);
