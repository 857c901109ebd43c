//! Passes: it keeps the history of all looks and works everything out from it each time; pods are compared by one number after the other
//! that is taken away from the list.

use kit::node::Eviction;
use kit::node::eviction::*;
use std::collections::BTreeMap;

struct Exercise {
    config: Config,
    /// When the kubelet looked, and which thresholds were met, and due, then.
    history: Vec<(i64, Vec<bool>, Vec<bool>)>,
    figures: Vec<i64>,
    held_back: Option<Evicted>,
}

impl Exercise {
    fn holds(&self, condition: Condition) -> bool {
        let Some((now, ..)) = self.history.last() else { return false };
        let is_seen = |met: &Vec<bool>| {
            met.iter().zip(&self.config.thresholds).any(|(met, one)| *met && one.signal.resource().condition() == condition)
        };
        let last = self.history.iter().rev().find(|(_, met, _)| is_seen(met));
        last.is_some_and(|(at, ..)| now - at < 1000 * self.config.transition_seconds)
    }

    fn short(&self, place: usize, available: &BTreeMap<Signal, i64>, and_more: bool) -> bool {
        let threshold = &self.config.thresholds[place];
        let level = threshold.below + if and_more { threshold.min_reclaim } else { 0 };
        match available.get(&threshold.signal) {
            Some(left) => *left < level,
            None => false,
        }
    }
}

const CONDITIONS: [Condition; 3] = [Condition::MemoryPressure, Condition::DiskPressure, Condition::PIDPressure];

impl Eviction for Exercise {
    fn new(config: &Config) -> Self {
        Exercise { config: config.clone(), history: Vec::new(), figures: Vec::new(), held_back: None }
    }

    fn look(&mut self, seen: &Seen, now_ms: i64) -> Look {
        let count = self.config.thresholds.len();
        let was_due = self.history.last().map_or(vec![false; count], |(_, _, due)| due.clone());
        let met: Vec<bool> = (0..count).map(|place| self.short(place, &seen.available, was_due[place])).collect();
        self.history.push((now_ms, met.clone(), Vec::new()));
        let due: Vec<bool> = (0..count)
            .map(|place| {
                let run = self.history.iter().rev().take_while(|(_, met, _)| met[place]);
                let since = run.map(|(at, ..)| *at).last();
                since.is_some_and(|since| now_ms - since >= 1000 * self.config.thresholds[place].grace_seconds)
            })
            .collect();
        if let Some((_, _, last)) = self.history.last_mut() {
            *last = due.clone();
        }
        let newer = self.figures.last().is_none_or(|last| *last < seen.measured_ms);
        self.figures.push(seen.measured_ms);
        self.held_back = None;

        let mut look = Look::default();
        look.conditions.extend(CONDITIONS.into_iter().filter(|condition| self.holds(*condition)));
        // Four rounds, from what can wait least.
        let rounds = [(true, true), (true, false), (false, true), (false, false)];
        let first = rounds.into_iter().find_map(|(memory, crossed)| {
            (0..count).find(|place| {
                due[*place]
                    && memory == (self.config.thresholds[*place].signal.resource() == Resource::Memory)
                    && crossed == self.short(*place, &seen.available, false)
            })
        });
        let Some(place) = first.filter(|_| newer) else { return look };
        let threshold = self.config.thresholds[place].clone();
        look.reclaims = Some(threshold.signal.resource());
        let name = format!("{:?}", threshold.signal);
        look.collect_garbage =
            name.starts_with("Image") || !self.config.image_fs && (name.starts_with("Node") || name.starts_with("Container"));
        let grace = if threshold.grace_seconds == 0 { None } else { Some(self.config.max_pod_grace_seconds) };
        let evicted = victim(&seen.pods, threshold.signal.resource()).map(|pod| Evicted {
            pod: pod.name.clone(),
            grace_seconds: grace.map_or(1, |most| most.min(pod.grace_seconds)),
            because: threshold.clone(),
            exceeding: pod.containers.iter().filter(|of| over(of, threshold.signal.resource())).map(|of| of.name.clone()).collect(),
        });
        *(if look.collect_garbage { &mut self.held_back } else { &mut look.evict }) = evicted;
        look
    }

    fn collected(&mut self, available: &BTreeMap<Signal, i64>) -> Option<Evicted> {
        let evicted = self.held_back.take()?;
        (0..self.config.thresholds.len()).any(|place| self.short(place, available, true)).then_some(evicted)
    }

    fn admit(&mut self, pod: &NewPod) -> bool {
        let [memory, disk, pids] = CONDITIONS.map(|condition| self.holds(condition));
        let poor = pod.class == QosClass::BestEffort && !pod.tolerates_memory_pressure;
        pod.critical || !disk && !pids && !(memory && poor)
    }
}

fn over(container: &Container, resource: Resource) -> bool {
    match resource {
        Resource::Memory => container.requests.memory < container.uses.memory,
        Resource::EphemeralStorage => container.requests.ephemeral_storage < container.uses.ephemeral_storage,
        Resource::Inodes | Resource::Pids => false,
    }
}

/// Keeps those that have the least of something.
fn least(pods: Vec<&Pod>, of: impl Fn(&Pod) -> i64) -> Vec<&Pod> {
    let Some(least) = pods.iter().map(|pod| of(pod)).min() else { return pods };
    pods.into_iter().filter(|pod| of(pod) == least).collect()
}

fn victim(pods: &[Pod], resource: Resource) -> Option<&Pod> {
    let mut left: Vec<&Pod> = pods.iter().filter(|pod| !pod.critical).collect();
    let beyond = move |pod: &Pod| {
        let uses = pod.uses.unwrap_or_default();
        match resource {
            Resource::Memory => uses.memory - pod.requests.memory,
            Resource::EphemeralStorage => uses.ephemeral_storage - pod.requests.ephemeral_storage,
            Resource::Inodes => uses.inodes,
            Resource::Pids => uses.pids,
        }
    };
    if resource == Resource::Pids {
        left = least(left, |pod| pod.priority.into());
        left = least(left, |pod| pod.uses.is_some().into());
    } else {
        left = least(left, |pod| pod.uses.is_some().into());
        left = least(left, |pod| (pod.uses.is_some() && beyond(pod) <= 0).into());
        left = least(left, |pod| pod.priority.into());
    }
    left = least(left, |pod| if pod.uses.is_some() { -beyond(pod) } else { 0 });
    left.first().copied()
}

kit::exercise!(Exercise: Eviction);
