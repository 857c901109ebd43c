//! The reference for `node/eviction`.

// ANCHOR: solution
use kit::node::Eviction;
use kit::node::eviction::{
    Amounts, Condition, Config, Evicted, Look, NewPod, Pod, QosClass, Resource, Seen, Signal, Threshold, Usage,
};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// What is remembered between looks.
pub struct Exercise {
    config: Config,
    /// The thresholds that are met, by their place in the configuration, each since when.
    met: BTreeMap<usize, i64>,
    /// Those of them whose grace period is over.
    due: BTreeSet<usize>,
    /// When each condition was last seen.
    last_seen: BTreeMap<Condition, i64>,
    /// Those that hold.
    conditions: BTreeSet<Condition>,
    measured_ms: Option<i64>,
    /// Who goes if garbage isn't enough.
    next: Option<Evicted>,
}

/// `immediateEvictionGracePeriodSeconds`
const AT_ONCE: i64 = 1;

impl Eviction for Exercise {
    fn new(config: &Config) -> Self {
        Exercise {
            config: config.clone(),
            met: BTreeMap::new(),
            due: BTreeSet::new(),
            last_seen: BTreeMap::new(),
            conditions: BTreeSet::new(),
            measured_ms: None,
            next: None,
        }
    }

    fn look(&mut self, seen: &Seen, now_ms: i64) -> Look {
        self.meet(&seen.available, now_ms);
        let is_new = self.measured_ms.is_none_or(|before| before < seen.measured_ms);
        self.measured_ms = Some(seen.measured_ms);
        let mut look = Look { conditions: self.conditions.clone(), ..Look::default() };
        let due = self.due.iter().map(|place| &self.config.thresholds[*place]);
        // Memory can't wait, and who has enough, but not yet as much as is to be won back, can.
        let first = due.min_by_key(|threshold| {
            (threshold.signal.resource() != Resource::Memory, !is_short(threshold, &seen.available, 0))
        });
        if let Some(first) = first.filter(|_| is_new) {
            look.reclaims = Some(first.signal.resource());
            look.collect_garbage = self.has_garbage(first.signal);
            let evicted = evict(first, &seen.pods, self.config.max_pod_grace_seconds);
            if look.collect_garbage {
                self.next = evicted;
            } else {
                look.evict = evicted;
            }
        }
        look
    }

    fn collected(&mut self, available: &BTreeMap<Signal, i64>) -> Option<Evicted> {
        let short =
            self.config.thresholds.iter().any(|threshold| is_short(threshold, available, threshold.min_reclaim));
        self.next.take().filter(|_| short)
    }

    fn admit(&mut self, pod: &NewPod) -> bool {
        let only_memory = self.conditions.iter().all(|condition| *condition == Condition::MemoryPressure);
        let asks = pod.class != QosClass::BestEffort || pod.tolerates_memory_pressure;
        self.conditions.is_empty() || pod.critical || only_memory && asks
    }
}

impl Exercise {
    // ANCHOR: meet
    fn meet(&mut self, available: &BTreeMap<Signal, i64>, now_ms: i64) {
        let mut met = BTreeMap::new();
        for (place, threshold) in self.config.thresholds.iter().enumerate() {
            // What began an eviction has to be left behind by as much as is to be won back.
            let more = if self.due.contains(&place) { threshold.min_reclaim } else { 0 };
            if is_short(threshold, available, more) {
                met.insert(place, self.met.get(&place).copied().unwrap_or(now_ms));
                self.last_seen.insert(threshold.signal.resource().condition(), now_ms);
            }
        }
        self.met = met;
        let grace = |place: usize| self.config.thresholds[place].grace_seconds * 1000;
        self.due = self
            .met
            .iter()
            .filter(|(place, since)| now_ms - **since >= grace(**place))
            .map(|(place, _)| *place)
            .collect();
        let transition = self.config.transition_seconds * 1000;
        let recent = self.last_seen.iter().filter(|(_, seen)| now_ms - **seen < transition);
        self.conditions = recent.map(|(condition, _)| *condition).collect();
    }
    // ANCHOR_END: meet

    /// Whether containers and images that nobody needs take up what is short.
    fn has_garbage(&self, signal: Signal) -> bool {
        match signal {
            Signal::Imagefs | Signal::ImagefsInodes => true,
            Signal::Nodefs | Signal::NodefsInodes | Signal::Containerfs | Signal::ContainerfsInodes => {
                !self.config.image_fs
            }
            Signal::Memory | Signal::AllocatableMemory | Signal::Pid => false,
        }
    }
}

fn is_short(threshold: &Threshold, available: &BTreeMap<Signal, i64>, more: i64) -> bool {
    available.get(&threshold.signal).is_some_and(|left| *left < threshold.below + more)
}

// ANCHOR: evict
fn evict(first: &Threshold, pods: &[Pod], max_grace: i64) -> Option<Evicted> {
    let resource = first.signal.resource();
    let candidates = pods.iter().filter(|pod| !pod.critical);
    // Of several that are alike the first.
    let pod = if resource == Resource::Pids {
        candidates.min_by_key(|pod| (pod.priority, pod.uses.map(|uses| Reverse(uses.pids))))
    } else {
        candidates.min_by_key(|pod| {
            let over = pod.uses.map(|uses| used(&uses, resource) - asked(&pod.requests, resource));
            (over.map(|over| over <= 0), pod.priority, Reverse(over))
        })
    }?;
    let exceeds = |requests: &Amounts, uses: &Amounts| match resource {
        Resource::Memory => uses.memory > requests.memory,
        Resource::EphemeralStorage => uses.ephemeral_storage > requests.ephemeral_storage,
        Resource::Inodes | Resource::Pids => false,
    };
    let exceeding = pod.containers.iter().filter(|of| exceeds(&of.requests, &of.uses));
    Some(Evicted {
        pod: pod.name.clone(),
        grace_seconds: if first.grace_seconds == 0 { AT_ONCE } else { pod.grace_seconds.min(max_grace) },
        because: first.clone(),
        exceeding: exceeding.map(|container| container.name.clone()).collect(),
    })
}
// ANCHOR_END: evict

fn used(uses: &Usage, resource: Resource) -> i64 {
    match resource {
        Resource::Memory => uses.memory,
        Resource::EphemeralStorage => uses.ephemeral_storage,
        Resource::Inodes => uses.inodes,
        Resource::Pids => uses.pids,
    }
}

fn asked(requests: &Amounts, resource: Resource) -> i64 {
    match resource {
        Resource::Memory => requests.memory,
        Resource::EphemeralStorage => requests.ephemeral_storage,
        Resource::Inodes | Resource::Pids => 0,
    }
}
// ANCHOR_END: solution
