//! What the containers of a pod are at some moment, for metrics.

use super::work::Work;
use super::{PodWorker, Run, State};
use kit_api::jiff::Timestamp;
use kit_contract::node::probes::Kind;
use kit_time::agenda::Instant;

/// A container that runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Container {
    /// Its name.
    pub name: String,
    /// Its image, as the spec has it.
    pub image: String,
    /// How often it was started before.
    pub restarts: i32,
    /// Since when it runs.
    pub since: Instant,
    /// The same as calendar time.
    pub at: Timestamp,
    /// What it has done.
    pub work: Work,
    /// Thousandths of a CPU that its quota leaves it, if it has one.
    pub limit: Option<i64>,
    /// Bytes of memory that it uses.
    pub memory: i64,
}

/// How often a probe of a container found what: the container, the probe, the result, and the number.
pub type Found = (String, Kind, &'static str, u64);

impl PodWorker {
    /// The containers that run, on a node with so many CPUs.
    pub fn containers(&self, now: Instant, cpus: usize) -> Vec<Container> {
        let container = |run: &Run| match run.state {
            State::Running { since, at, .. } => Some(Container {
                name: run.name.clone(),
                image: run.image_name.clone(),
                restarts: run.restarts,
                since,
                at,
                work: run.work(now, cpus),
                limit: run.cpu,
                memory: run.uses(since, now).memory,
            }),
            _ => None,
        };
        self.runs().filter_map(container).collect()
    }

    /// How many of its processes the kernel has killed for their memory since this was last asked.
    pub fn take_oom_kills(&mut self) -> i64 {
        self.runs_mut().map(|run| std::mem::take(&mut run.oom_kills)).sum()
    }

    /// How many of its containers wait or have ended, as the runtime has it: `created` and `exited`.
    pub fn stopped(&self) -> usize {
        self.runs().filter(|run| matches!(run.state, State::Ended(_)) || run.last.is_some()).count()
    }

    /// Whether this is an init container.
    pub fn is_init(&self, name: &str) -> bool {
        self.setup.iter().any(|run| run.name == name) || self.inits.iter().any(|init| init.name == name)
    }

    /// Whether all its containers run.
    pub fn has_begun(&self) -> bool {
        self.containers.iter().all(|run| matches!(run.state, State::Running { .. }))
    }

    /// How many seconds the longest pull of an image took.
    pub fn pull(&self) -> f64 {
        self.runs().map(|run| run.image.pull).fold(0.0, f64::max)
    }

    /// Whether it has init containers.
    pub fn has_inits(&self) -> bool {
        !self.setup.is_empty() || !self.inits.is_empty()
    }

    /// What its probes have found so far.
    pub fn found(&self) -> Vec<Found> {
        let of_run = |run: &Run| {
            let found = run.probes().map(|probes| probes.found.clone()).unwrap_or_default();
            let name = run.name.clone();
            found.into_iter().map(move |((kind, word), count)| (name.clone(), kind, word, count))
        };
        self.runs().flat_map(of_run).collect()
    }
}
