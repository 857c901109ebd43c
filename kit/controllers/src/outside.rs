//! What stands outside of the cluster, or beside it, and is measured: a broker with queues, and the requests of users.
//!
//! A pod with the environment variable `QUEUE` takes jobs from the queue of that name while it is ready: `JOBS_PER_MINUTE`, or
//! 60. Queues and requests come by faults. Nothing here is an object of the cluster: who wants to know asks [`Measured`].

use kit_api::core::Pod;
use kit_api::pod;
use kit_apimachinery::object::{Key, Kind};
use kit_client::component::{Component, World};
use kit_client::fault::{Fault, SourceFault};
use kit_client::metrics::{Measured, Sources, workload};
use kit_server::{Change, ChangeKind};
use kit_time::agenda::Instant;
use std::collections::BTreeMap;

const SECOND: Instant = Instant::seconds(1);
/// How many jobs a pod does in a minute that doesn't say.
const JOBS_PER_MINUTE: i64 = 60;
/// What can be seen of a queue is which of these it is longer than.
const STEPS: [i64; 12] = [0, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000];

/// The broker and the users.
pub struct Outside {
    sources: Sources,
    /// The queue that each pod takes jobs from, and how many in a minute.
    workers: BTreeMap<Key, (String, i64)>,
    /// When the next second ends in which jobs are done; none without jobs.
    due: Option<Instant>,
}

impl Outside {
    /// It writes down what there is to measure.
    pub fn new(sources: Sources) -> Self {
        Outside { sources, workers: BTreeMap::new(), due: None }
    }

    fn is_busy(measured: &Measured) -> bool {
        measured.queues.values().any(|jobs| *jobs > 0)
    }
}

/// The queue that a pod takes jobs from, and how many in a minute.
fn work(pod: &Pod) -> Option<(String, i64)> {
    let value = |name: &str| {
        let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
        let mut variables = containers.flat_map(|container| container.env.iter().flatten());
        variables.find(|one| one.name == name).and_then(|one| one.value.clone())
    };
    let queue = value("QUEUE")?;
    let per_minute = value("JOBS_PER_MINUTE").and_then(|text| text.parse::<i64>().ok());
    Some((queue, per_minute.unwrap_or(JOBS_PER_MINUTE).clamp(0, 1_000_000)))
}

impl Component for Outside {
    fn name(&self) -> &'static str {
        "outside"
    }

    fn watches(&self) -> &'static [Kind] {
        &[Kind::Pod]
    }

    fn observe(&mut self, change: &Change, _: &mut World<'_>) {
        let Some(pod) = change.object.get::<Pod>() else { return };
        let key = &change.object.key;
        let serves = change.kind != ChangeKind::Deleted && pod::is_ready(pod) && !pod::is_terminating(pod);
        match work(pod).filter(|_| serves) {
            Some(work) => _ = self.workers.insert(key.clone(), work),
            None => _ = self.workers.remove(key),
        }
        let ready = &mut self.sources.borrow_mut().ready;
        let of = workload(&pod.metadata);
        if serves {
            ready.entry(of).or_default().insert(key.name.to_string());
        } else if let Some(names) = ready.get_mut(&of) {
            names.remove(&*key.name);
            if names.is_empty() {
                ready.remove(&of);
            }
        }
    }

    fn run(&mut self, world: &mut World<'_>) {
        if self.due.is_none_or(|due| due > world.now) {
            return;
        }
        let mut measured = self.sources.borrow_mut();
        for (queue, per_minute) in self.workers.values() {
            if let Some(jobs) = measured.queues.get_mut(queue) {
                *jobs = (*jobs - per_minute * 1000 / 60).max(0);
            }
        }
        self.due = Outside::is_busy(&measured).then_some(world.now + SECOND);
    }

    fn next_wake(&self) -> Option<Instant> {
        self.due
    }

    fn fault(&mut self, fault: &Fault, world: &mut World<'_>) -> Result<bool, String> {
        let Fault::Source(fault) = fault else { return Ok(false) };
        let mut measured = self.sources.borrow_mut();
        match fault {
            SourceFault::Queue { name, jobs } => {
                let there = measured.queues.entry(name.clone()).or_default();
                *there = there.saturating_add(jobs.saturating_mul(1000)).max(0);
            }
            SourceFault::Requests { workload, per_second } => {
                let (namespace, name) = workload.split_once('/').unwrap_or(("default", workload));
                let milli = per_second.saturating_mul(1000).max(0);
                measured.requests.insert((namespace.into(), name.into()), milli);
            }
            SourceFault::Silence => measured.silent = true,
            SourceFault::Answer => measured.silent = false,
        }
        if Outside::is_busy(&measured) {
            self.due = self.due.or(Some(world.now + SECOND));
        }
        Ok(true)
    }

    fn shows(&self) -> Vec<(String, String)> {
        let measured = self.sources.borrow();
        let length = |milli: i64| match STEPS.iter().rev().find(|step| milli > **step * 1000) {
            Some(0) => "a few jobs".to_string(),
            Some(step) => format!("more than {step} jobs"),
            None => "empty".to_string(),
        };
        measured.queues.iter().map(|(name, milli)| (format!("queue/{name}"), length(*milli))).collect()
    }
}
