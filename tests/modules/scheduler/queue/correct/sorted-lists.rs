//! Passes: each place is a list that is kept sorted, and pods are moved from one to the other; what is over is made active at once.

use kit::scheduler::{Hint, PendingPod, QueueConfig, SchedulingQueue};

struct Pod {
    spec: PendingPod,
    ticket: usize,
    attempts: u32,
    since: i64,
    refused_by: Vec<String>,
}

#[derive(Clone, Copy, PartialEq)]
enum Place {
    Active,
    BackingOff,
    AfterError,
    Unschedulable,
    InFlight,
}

const PLACES: [Place; 5] =
    [Place::Active, Place::BackingOff, Place::AfterError, Place::Unschedulable, Place::InFlight];

struct Exercise {
    config: QueueConfig,
    /// One for each place; the next pod to be taken comes first.
    lists: [Vec<Pod>; 5],
    /// Pods in flight, and plugins that named them meanwhile.
    missed: Vec<(String, String)>,
    tickets: usize,
}

impl Exercise {
    /// The last second of a pod's backoff.
    fn last_second(&self, pod: &Pod) -> i64 {
        let QueueConfig { initial_backoff, max_backoff, .. } = self.config;
        let mut backoff = initial_backoff;
        let mut attempts = pod.attempts;
        while attempts > 1 && backoff < max_backoff {
            backoff += backoff;
            attempts -= 1;
        }
        (pod.since + backoff.min(max_backoff)).div_euclid(1000)
    }

    fn rank(&self, pod: &Pod, place: Place) -> (i64, i64, usize) {
        let time = match place {
            Place::BackingOff | Place::AfterError => self.last_second(pod),
            _ => 0,
        };
        (time, -i64::from(pod.spec.priority), pod.ticket)
    }

    fn put(&mut self, pod: Pod, place: Place) {
        let rank = self.rank(&pod, place);
        let list = &self.lists[place as usize];
        let at = list.partition_point(|other| self.rank(other, place) < rank);
        self.lists[place as usize].insert(at, pod);
    }

    fn take(&mut self, name: &str) -> Option<(Pod, Place)> {
        for place in PLACES {
            let list = &mut self.lists[place as usize];
            if let Some(at) = list.iter().position(|pod| pod.spec.name == name) {
                return Some((list.remove(at), place));
            }
        }
        None
    }

    fn ticket(&mut self) -> usize {
        self.tickets += 1;
        self.tickets
    }

    /// Takes those out of the unschedulable ones that `help` is there for.
    fn release(&mut self, now: i64, help: impl Fn(&Pod) -> bool) {
        let waiting = std::mem::take(&mut self.lists[Place::Unschedulable as usize]);
        for pod in waiting {
            let place = if pod.spec.gated || !help(&pod) {
                Place::Unschedulable
            } else if self.last_second(&pod) < now.div_euclid(1000) {
                Place::Active
            } else {
                Place::BackingOff
            };
            self.put(pod, place);
        }
    }
}

impl SchedulingQueue for Exercise {
    fn new(config: &QueueConfig) -> Self {
        Exercise { config: *config, lists: Default::default(), missed: Vec::new(), tickets: 0 }
    }

    fn add(&mut self, pod: &PendingPod, now: i64) {
        let Some((mut known, place)) = self.take(&pod.name) else {
            let ticket = self.ticket();
            let new = Pod { spec: pod.clone(), ticket, attempts: 0, since: now, refused_by: Vec::new() };
            return self.put(new, if pod.gated { Place::Unschedulable } else { Place::Active });
        };
        let opened = known.spec.gated && !pod.gated;
        known.spec = pod.clone();
        self.put(known, if opened { Place::Active } else { place });
    }

    fn remove(&mut self, pod: &str) {
        for list in &mut self.lists {
            list.retain(|known| known.spec.name != pod);
        }
    }

    fn pop(&mut self, now: i64) -> Option<String> {
        for place in [Place::BackingOff, Place::AfterError] {
            let list = &self.lists[place as usize];
            let over = list.partition_point(|pod| self.last_second(pod) < now.div_euclid(1000));
            let over: Vec<Pod> = self.lists[place as usize].drain(..over).collect();
            over.into_iter().for_each(|pod| self.put(pod, Place::Active));
        }
        let from = [Place::Active, Place::BackingOff].into_iter().find(|place| !self.lists[*place as usize].is_empty())?;
        let mut pod = self.lists[from as usize].remove(0);
        pod.attempts += 1;
        let name = pod.spec.name.clone();
        self.missed.retain(|(other, _)| *other != name);
        self.put(pod, Place::InFlight);
        Some(name)
    }

    fn failed(&mut self, pod: &str, plugins: &[String], now: i64) {
        let Some((mut known, place)) = self.take(pod) else { return };
        if place != Place::InFlight {
            return self.put(known, place);
        }
        known.ticket = self.ticket();
        known.since = now;
        known.refused_by = plugins.to_vec();
        let missed = self.missed.iter().any(|(name, plugin)| name == pod && plugins.contains(plugin));
        let place = match (plugins.len(), missed) {
            (0, _) => Place::AfterError,
            (_, true) => Place::BackingOff,
            (_, false) => Place::Unschedulable,
        };
        self.put(known, place);
    }

    fn changed(&mut self, hints: &[Hint], now: i64) {
        for pod in &self.lists[Place::InFlight as usize] {
            let naming = hints.iter().filter(|hint| hint.pods.contains(&pod.spec.name));
            self.missed.extend(naming.map(|hint| (pod.spec.name.clone(), hint.plugin.clone())));
        }
        self.release(now, |pod| {
            hints.iter().any(|hint| hint.pods.contains(&pod.spec.name) && pod.refused_by.contains(&hint.plugin))
        });
    }

    fn flush(&mut self, now: i64) {
        let long_ago = now - self.config.max_unschedulable;
        self.release(now, |pod| pod.since < long_ago);
    }
}

kit::exercise!(Exercise: SchedulingQueue);
