//! Passes: each threshold has a state of its own (quiet, waiting since, due), conditions have the time until which they hold, and pods are
//! sorted by a comparison that is written out; the pod is chosen only when garbage wasn't enough.

use kit::node::Eviction;
use kit::node::eviction::*;
use std::cmp::Ordering;
use std::collections::BTreeMap;

#[derive(Clone, Copy, PartialEq)]
enum State {
    Quiet,
    Waiting(i64),
    Due(i64),
}

struct Exercise {
    config: Config,
    states: Vec<State>,
    until: Vec<(Condition, i64)>,
    holding: Vec<Condition>,
    measured: i64,
    /// The first threshold and the pods of the last look, if it wanted garbage collected.
    waiting: Option<(Threshold, Vec<Pod>)>,
}

impl Eviction for Exercise {
    fn new(config: &Config) -> Self {
        Exercise {
            states: vec![State::Quiet; config.thresholds.len()],
            config: config.clone(),
            until: Vec::new(),
            holding: Vec::new(),
            measured: i64::MIN,
            waiting: None,
        }
    }

    fn look(&mut self, seen: &Seen, now_ms: i64) -> Look {
        let mut crossed = Vec::new();
        let mut kept = Vec::new();
        for (state, threshold) in self.states.iter_mut().zip(&self.config.thresholds) {
            let Some(left) = seen.available.get(&threshold.signal) else {
                *state = State::Quiet;
                continue;
            };
            let is_crossed = *left < threshold.below;
            let since = match *state {
                State::Due(since) if *left < threshold.below + threshold.min_reclaim || is_crossed => since,
                State::Waiting(since) if is_crossed => since,
                _ if is_crossed => now_ms,
                _ => {
                    *state = State::Quiet;
                    continue;
                }
            };
            let condition = threshold.signal.resource().condition();
            self.until.retain(|(other, _)| *other != condition);
            self.until.push((condition, now_ms + self.config.transition_seconds * 1000));
            if now_ms >= since + threshold.grace_seconds * 1000 {
                *state = State::Due(since);
                if is_crossed { crossed.push(threshold.clone()) } else { kept.push(threshold.clone()) }
            } else {
                *state = State::Waiting(since);
            }
        }
        self.holding = self.until.iter().filter(|(_, until)| now_ms < *until).map(|(condition, _)| *condition).collect();
        self.waiting = None;
        let mut look = Look { conditions: self.holding.iter().copied().collect(), ..Look::default() };
        let stale = seen.measured_ms <= self.measured;
        self.measured = seen.measured_ms;
        if stale {
            return look;
        }
        crossed.extend(kept);
        let is_memory = |threshold: &&Threshold| threshold.signal.resource() == Resource::Memory;
        let Some(first) = crossed.iter().find(is_memory).or(crossed.first()) else { return look };
        look.reclaims = Some(first.signal.resource());
        let on_images = matches!(first.signal, Signal::Imagefs | Signal::ImagefsInodes);
        let on_disk = first.signal.resource().condition() == Condition::DiskPressure;
        if on_disk && (on_images || !self.config.image_fs) {
            look.collect_garbage = true;
            self.waiting = Some((first.clone(), seen.pods.clone()));
        } else {
            look.evict = choose(first, &seen.pods, self.config.max_pod_grace_seconds);
        }
        look
    }

    fn collected(&mut self, available: &BTreeMap<Signal, i64>) -> Option<Evicted> {
        let (first, pods) = self.waiting.take()?;
        for threshold in &self.config.thresholds {
            if let Some(left) = available.get(&threshold.signal)
                && *left < threshold.below + threshold.min_reclaim
            {
                return choose(&first, &pods, self.config.max_pod_grace_seconds);
            }
        }
        None
    }

    fn admit(&mut self, pod: &NewPod) -> bool {
        if pod.critical {
            return true;
        }
        match self.holding[..] {
            [] => true,
            [Condition::MemoryPressure] => pod.tolerates_memory_pressure || pod.class != QosClass::BestEffort,
            _ => false,
        }
    }
}

fn amount(pod: &Pod, resource: Resource) -> Option<(i64, i64)> {
    let uses = pod.uses?;
    Some(match resource {
        Resource::Memory => (uses.memory, pod.requests.memory),
        Resource::EphemeralStorage => (uses.ephemeral_storage, pod.requests.ephemeral_storage),
        Resource::Inodes => (uses.inodes, 0),
        Resource::Pids => (uses.pids, 0),
    })
}

fn compare(a: &Pod, b: &Pod, resource: Resource) -> Ordering {
    let priority = a.priority.cmp(&b.priority);
    let (of_a, of_b) = (amount(a, resource), amount(b, resource));
    let known = of_a.is_some().cmp(&of_b.is_some());
    let by_amount = match (of_a, of_b) {
        (Some((used_a, asked_a)), Some((used_b, asked_b))) => {
            let more = (used_b - asked_b).cmp(&(used_a - asked_a));
            let beyond = (used_b > asked_b).cmp(&(used_a > asked_a));
            if resource != Resource::Pids { return beyond.then(priority).then(more) } else { more }
        }
        _ => known,
    };
    if resource == Resource::Pids { priority.then(by_amount) } else { known.then(priority) }
}

fn choose(first: &Threshold, pods: &[Pod], most: i64) -> Option<Evicted> {
    let resource = first.signal.resource();
    let mut all: Vec<&Pod> = pods.iter().collect();
    all.sort_by(|a, b| compare(a, b, resource));
    let pod = all.into_iter().find(|pod| !pod.critical)?;
    let mut exceeding = Vec::new();
    for container in &pod.containers {
        let (uses, requests) = (container.uses, container.requests);
        if resource == Resource::Memory && uses.memory > requests.memory
            || resource == Resource::EphemeralStorage && uses.ephemeral_storage > requests.ephemeral_storage
        {
            exceeding.push(container.name.clone());
        }
    }
    let own = if pod.grace_seconds > most { most } else { pod.grace_seconds };
    let grace_seconds = if first.grace_seconds > 0 { own } else { 1 };
    Some(Evicted { pod: pod.name.clone(), grace_seconds, because: first.clone(), exceeding })
}

kit::exercise!(Exercise: Eviction);
