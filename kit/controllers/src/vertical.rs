//! The recommender of the Vertical Pod Autoscaler: what containers should ask for, learnt from what they used.
//!
//! Samples go into a [`Model`] of all containers with one name, which keeps two [histograms](histogram) that forget: one of
//! CPU samples, one of the peaks of memory, a day each. [`recommend`] reads percentiles off them.
//!
//! Source: `vertical-pod-autoscaler/pkg/recommender` of `kubernetes/autoscaler`, 1.5.0, with its default settings.

pub mod container;
mod estimate;
pub mod histogram;
mod policy;

use container::Sample;
pub use estimate::{Amounts, Recommendation, recommend};
use histogram::{Checkpoint, Histogram, Scale};
use kit_api::jiff::Timestamp;
pub use policy::Policy;

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
        // In cores, and in bytes.
        let (cpu, memory) = (Scale { first: 0.01, most: 1000.0 }, Scale { first: 1e7, most: 1e12 });
        Model { cpu: Histogram::new(cpu), memory: Histogram::new(memory), first: None, last: None, samples: 0 }
    }
}

impl Model {
    fn add_cpu(&mut self, sample: &Sample) {
        self.cpu.add(sample.amount as f64 / 1000.0, CPU_WEIGHT, sample.at);
        self.first = Some(self.first.map_or(sample.at, |first| first.min(sample.at)));
        self.last = Some(self.last.map_or(sample.at, |last| last.max(sample.at)));
        self.samples += 1;
    }

    fn add_memory(&mut self, peak: &Sample) {
        self.memory.add(peak.amount as f64, 1.0, peak.at);
    }

    fn subtract_memory(&mut self, peak: &Sample) {
        self.memory.subtract(peak.amount as f64, 1.0, peak.at);
    }

    /// What is stored in a VerticalPodAutoscalerCheckpoint, so that a new recommender knows the past.
    pub fn checkpoint(&self) -> ModelCheckpoint {
        ModelCheckpoint {
            cpu: self.cpu.checkpoint(),
            memory: self.memory.checkpoint(),
            first: self.first,
            last: self.last,
            samples: self.samples,
        }
    }

    /// The model of a checkpoint. Weights are kept as whole numbers there, so that it is about the same.
    ///
    /// # Errors
    ///
    /// A bucket that no histogram has.
    pub fn load(checkpoint: &ModelCheckpoint) -> Result<Model, String> {
        let mut model = Model::default();
        model.cpu.load(&checkpoint.cpu)?;
        model.memory.load(&checkpoint.memory)?;
        (model.first, model.last, model.samples) = (checkpoint.first, checkpoint.last, checkpoint.samples);
        Ok(model)
    }
}

/// A [`Model`] as it is stored (`VerticalPodAutoscalerCheckpointStatus`, version `v3`).
#[derive(Debug, Clone, PartialEq)]
pub struct ModelCheckpoint {
    /// Of CPU samples.
    pub cpu: Checkpoint,
    /// Of peaks of memory.
    pub memory: Checkpoint,
    /// The time of the first CPU sample.
    pub first: Option<Timestamp>,
    /// That of the last one.
    pub last: Option<Timestamp>,
    /// How many CPU samples there were.
    pub samples: u64,
}

#[cfg(test)]
mod tests;
