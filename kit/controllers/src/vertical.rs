//! The Vertical Pod Autoscaler: what containers should request, learnt from what they used.
//!
//! Three components, as upstream has them. The [`Recommender`](recommender::Recommender) takes samples into a [`Model`] of all
//! containers with one name, which keeps two histograms that forget: one of CPU samples, one of the peaks of memory, a day
//! each; it writes what the module recommends into the status. The [`Updater`](updater::Updater) evicts pods that request
//! something else, and [`admission`] gives new pods what is recommended. What is recommended and who is evicted is decided by
//! the module of `workloads/vpa`.
//!
//! It is an add-on, with [definitions](install::definitions) of its own. Source: `vertical-pod-autoscaler/pkg` of
//! `kubernetes/autoscaler`, 1.5.0, with its default settings. What isn't here: updates in place, startup boosts, several
//! recommenders, and histories from Prometheus.

pub mod admission;
pub mod checkpoint;
pub mod container;
pub mod install;
pub mod object;
pub mod policy;
pub mod recommender;
#[cfg(test)]
mod tests;
pub mod updater;

use container::Sample;
use kit_api::jiff::Timestamp;
use kit_contract::workloads::VerticalPodAutoscaler;
use kit_contract::workloads::vpa::{self, ContainerHistory, Histogram, Resource};
use std::collections::BTreeMap;

/// The weight of a CPU sample. It was the container's request once, when that was larger; since 1.5 all are equal.
const CPU_WEIGHT: f64 = 0.1;

/// What is known of all containers that have a name, in the pods of one controller (`AggregateContainerState`).
#[derive(Debug, Clone)]
pub struct Model {
    cpu: Histogram,
    memory: Histogram,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    samples: u64,
}

impl Default for Model {
    fn default() -> Self {
        let empty = |resource| Histogram { resource, weights: BTreeMap::new(), reference_seconds: None };
        let (cpu, memory) = (empty(Resource::Cpu), empty(Resource::Memory));
        Model { cpu, memory, first: None, last: None, samples: 0 }
    }
}

impl Model {
    fn add_cpu(&mut self, sample: &Sample, module: &dyn VerticalPodAutoscaler) {
        self.cpu = module.add(&self.cpu, &weighted(sample, CPU_WEIGHT));
        self.first = Some(self.first.map_or(sample.at, |first| first.min(sample.at)));
        self.last = Some(self.last.map_or(sample.at, |last| last.max(sample.at)));
        self.samples += 1;
    }

    fn add_memory(&mut self, peak: &Sample, module: &dyn VerticalPodAutoscaler) {
        self.memory = module.add(&self.memory, &weighted(peak, 1.0));
    }

    fn subtract_memory(&mut self, peak: &Sample, module: &dyn VerticalPodAutoscaler) {
        self.memory = module.add(&self.memory, &weighted(peak, -1.0));
    }

    /// What a module is told of it.
    pub fn history(&self, name: &str) -> ContainerHistory {
        let span = self.first.zip(self.last).map_or(0, |(first, last)| last.duration_since(first).as_secs());
        ContainerHistory {
            name: name.into(),
            cpu: self.cpu.clone(),
            memory: self.memory.clone(),
            span_seconds: span,
            samples: self.samples,
        }
    }
}

fn weighted(sample: &Sample, weight: f64) -> vpa::Sample {
    vpa::Sample { amount: sample.amount, weight, at_seconds: sample.at.as_second() }
}
