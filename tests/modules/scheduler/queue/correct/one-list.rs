//! Passes: one list of pods, searched from end to end for each question; nothing moves when time passes.

use kit::scheduler::{Hint, PendingPod, QueueConfig, SchedulingQueue};
use std::cmp::Reverse;

struct Exercise {
    config: QueueConfig,
    /// In the order in which they joined.
    pods: Vec<Pod>,
}

struct Pod {
    spec: PendingPod,
    state: State,
    attempts: i64,
    failed_at: i64,
    refused_by: Vec<String>,
    /// The plugins that hinted at it during this attempt.
    heard: Vec<String>,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Active,
    BackingOff { by_error: bool },
    Unschedulable,
    InFlight,
}

impl Pod {
    fn backoff_ends(&self, config: &QueueConfig) -> i64 {
        let mut backoff = config.initial_backoff;
        for _ in 1..self.attempts {
            backoff = config.max_backoff.min(backoff * 2);
        }
        (self.failed_at + backoff.min(config.max_backoff)) / 1000
    }
}

impl Exercise {
    fn find(&mut self, name: &str) -> Option<&mut Pod> {
        self.pods.iter_mut().find(|pod| pod.spec.name == name)
    }
}

impl SchedulingQueue for Exercise {
    fn new(config: &QueueConfig) -> Self {
        Exercise { config: *config, pods: Vec::new() }
    }

    fn add(&mut self, pod: &PendingPod, now: i64) {
        let start = if pod.gated { State::Unschedulable } else { State::Active };
        match self.find(&pod.name) {
            Some(known) => {
                if known.spec.gated && !pod.gated {
                    known.state = State::Active;
                }
                known.spec = pod.clone();
            }
            None => self.pods.push(Pod {
                spec: pod.clone(),
                state: start,
                attempts: 0,
                failed_at: now,
                refused_by: Vec::new(),
                heard: Vec::new(),
            }),
        }
    }

    fn remove(&mut self, pod: &str) {
        self.pods.retain(|known| known.spec.name != pod);
    }

    fn pop(&mut self, now: i64) -> Option<String> {
        let Exercise { config, pods } = self;
        let ready = |pod: &&mut Pod| match pod.state {
            State::Active => true,
            State::BackingOff { .. } => pod.backoff_ends(config) < now / 1000,
            _ => false,
        };
        // Of equals, the first in the list joined first.
        let next = match pods.iter_mut().filter(ready).min_by_key(|pod| Reverse(pod.spec.priority)) {
            Some(pod) => pod,
            None => pods
                .iter_mut()
                .filter(|pod| pod.state == State::BackingOff { by_error: false })
                .min_by_key(|pod| (pod.backoff_ends(config), Reverse(pod.spec.priority)))?,
        };
        next.attempts += 1;
        next.state = State::InFlight;
        next.heard.clear();
        Some(next.spec.name.clone())
    }

    fn failed(&mut self, pod: &str, plugins: &[String], now: i64) {
        let at = self.pods.iter().position(|known| known.spec.name == pod && known.state == State::InFlight);
        let Some(at) = at else { return };
        let mut pod = self.pods.remove(at);
        let missed = plugins.iter().any(|plugin| pod.heard.contains(plugin));
        pod.state = match plugins.is_empty() || missed {
            true => State::BackingOff { by_error: plugins.is_empty() },
            false => State::Unschedulable,
        };
        pod.failed_at = now;
        pod.refused_by = plugins.to_vec();
        self.pods.push(pod);
    }

    fn changed(&mut self, hints: &[Hint], _now: i64) {
        for hint in hints {
            for name in &hint.pods {
                let Some(pod) = self.find(name) else { continue };
                match pod.state {
                    State::InFlight => pod.heard.push(hint.plugin.clone()),
                    State::Unschedulable if !pod.spec.gated && pod.refused_by.contains(&hint.plugin) => {
                        pod.state = State::BackingOff { by_error: false };
                    }
                    _ => {}
                }
            }
        }
    }

    fn flush(&mut self, now: i64) {
        let limit = self.config.max_unschedulable;
        for pod in &mut self.pods {
            let waits = pod.state == State::Unschedulable && !pod.spec.gated;
            if waits && now - pod.failed_at > limit {
                pod.state = State::BackingOff { by_error: false };
            }
        }
    }
}

kit::exercise!(Exercise: SchedulingQueue);
