//! Passes: columns instead of records, and thresholds and pods are brought into order by one stable sort for each rule, the last rule first.

use kit::node::Eviction;
use kit::node::eviction::*;
use std::collections::{BTreeMap, BTreeSet, HashMap};

struct Exercise {
    config: Config,
    since: Vec<Option<i64>>,
    due: Vec<bool>,
    ends: HashMap<&'static str, i64>,
    figures: i64,
    kept: Vec<Evicted>,
    now: i64,
}

const CONDITIONS: [(&str, Condition); 3] =
    [("memory", Condition::MemoryPressure), ("disk", Condition::DiskPressure), ("pid", Condition::PIDPressure)];

fn kind(signal: Signal) -> &'static str {
    match signal {
        Signal::Memory | Signal::AllocatableMemory => "memory",
        Signal::Pid => "pid",
        _ => "disk",
    }
}

impl Eviction for Exercise {
    fn new(config: &Config) -> Self {
        let count = config.thresholds.len();
        Exercise {
            config: config.clone(),
            since: vec![None; count],
            due: vec![false; count],
            ends: HashMap::new(),
            figures: i64::MIN,
            kept: Vec::new(),
            now: 0,
        }
    }

    fn look(&mut self, seen: &Seen, now_ms: i64) -> Look {
        self.now = now_ms;
        let mut crossed = Vec::new();
        for (place, threshold) in self.config.thresholds.iter().enumerate() {
            let left = seen.available.get(&threshold.signal).copied().unwrap_or(i64::MAX);
            let is_crossed = left < threshold.below;
            crossed.push(is_crossed);
            if is_crossed || self.due[place] && left != i64::MAX && left - threshold.below < threshold.min_reclaim {
                let since = *self.since[place].get_or_insert(now_ms);
                self.due[place] = since + threshold.grace_seconds * 1000 <= now_ms;
                self.ends.insert(kind(threshold.signal), now_ms + self.config.transition_seconds * 1000);
            } else {
                self.since[place] = None;
                self.due[place] = false;
            }
        }
        let mut look = Look { conditions: self.hold(), ..Look::default() };
        let old = std::mem::replace(&mut self.figures, seen.measured_ms) >= seen.measured_ms;
        let mut due: Vec<usize> = (0..self.due.len()).filter(|place| self.due[*place]).collect();
        due.sort_by_key(|place| if crossed[*place] { 1 } else { 2 });
        due.sort_by_key(|place| if kind(self.config.thresholds[*place].signal) == "memory" { 1 } else { 2 });
        if old || due.is_empty() {
            return look;
        }
        let first = self.config.thresholds[due[0]].clone();
        look.reclaims = Some(first.signal.resource());
        let victim = self.victim(&first, &seen.pods);
        use Signal::*;
        look.collect_garbage = match first.signal {
            Imagefs | ImagefsInodes => true,
            Memory | AllocatableMemory | Pid => false,
            _ => !self.config.image_fs,
        };
        if look.collect_garbage {
            self.kept = victim.into_iter().collect();
        } else {
            look.evict = victim;
        }
        look
    }

    fn collected(&mut self, available: &BTreeMap<Signal, i64>) -> Option<Evicted> {
        let enough = self.config.thresholds.iter().all(|threshold| match available.get(&threshold.signal) {
            None => true,
            Some(left) => *left >= threshold.below + threshold.min_reclaim,
        });
        if enough { None } else { self.kept.first().cloned() }
    }

    fn admit(&mut self, pod: &NewPod) -> bool {
        if pod.critical {
            return true;
        }
        let hold: Vec<Condition> = self.hold().into_iter().collect();
        match hold[..] {
            [] => true,
            [Condition::MemoryPressure] => pod.tolerates_memory_pressure || pod.class != QosClass::BestEffort,
            _ => false,
        }
    }
}

impl Exercise {
    fn hold(&self) -> BTreeSet<Condition> {
        let holds = |name: &str| self.ends.get(name).is_some_and(|end| self.now < *end);
        CONDITIONS.into_iter().filter(|(name, _)| holds(name)).map(|(_, condition)| condition).collect()
    }

    fn victim(&self, first: &Threshold, pods: &[Pod]) -> Option<Evicted> {
        let of = |resource: Resource, requests: Amounts, uses: Usage| -> (i64, i64) {
            match resource {
                Resource::Memory => (uses.memory, requests.memory),
                Resource::EphemeralStorage => (uses.ephemeral_storage, requests.ephemeral_storage),
                Resource::Inodes => (uses.inodes, 0),
                Resource::Pids => (uses.pids, 0),
            }
        };
        let resource = first.signal.resource();
        let beyond = |pod: &&Pod| {
            pod.uses.map_or(0, |uses| {
                let (used, asked) = of(resource, pod.requests, uses);
                used - asked
            })
        };
        let mut all: Vec<&Pod> = pods.iter().filter(|pod| !pod.critical).collect();
        all.sort_by(|one, other| beyond(other).cmp(&beyond(one)));
        if resource == Resource::Pids {
            all.sort_by_key(|pod| pod.uses.is_some());
            all.sort_by_key(|pod| pod.priority);
        } else {
            all.sort_by_key(|pod| pod.priority);
            all.sort_by_key(|pod| if beyond(pod) > 0 { 0 } else { 1 });
            all.sort_by_key(|pod| pod.uses.is_some());
        }
        let pod = *all.first()?;
        let mut exceeding = Vec::new();
        if matches!(resource, Resource::Memory | Resource::EphemeralStorage) {
            for container in &pod.containers {
                let Amounts { memory, ephemeral_storage } = container.uses;
                let (used, asked) =
                    of(resource, container.requests, Usage { memory, ephemeral_storage, ..Usage::default() });
                if used > asked {
                    exceeding.push(container.name.clone());
                }
            }
        }
        let soft = first.grace_seconds > 0;
        let grace_seconds = if soft { std::cmp::min(pod.grace_seconds, self.config.max_pod_grace_seconds) } else { 1 };
        Some(Evicted { pod: pod.name.clone(), grace_seconds, because: first.clone(), exceeding })
    }
}

kit::exercise!(Exercise: Eviction);
