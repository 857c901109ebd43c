//! From what containers used to what they should ask for.
//!
//! Sources: `recommender.go` and `estimator.go` of `pkg/recommender/logic`.

use super::Model;
use super::histogram::Histogram;
use std::collections::BTreeMap;

/// What is recommended is so much more than was used.
const MARGIN: f64 = 0.15;
/// The least that is recommended for all containers of a pod together.
const LEAST_CPU: f64 = 25.0;
const LEAST_MEMORY: f64 = 250.0 * 1024.0 * 1024.0;
/// The most of anything.
const MOST: f64 = 1e14;
/// One sample a minute is what confidence is measured by.
const SAMPLES_OF_A_DAY: f64 = 60.0 * 24.0;

/// Thousandths of a core, and bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Amounts {
    /// Thousandths of a core.
    pub cpu: i64,
    /// Bytes.
    pub memory: i64,
}

/// What is recommended for the containers of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recommendation {
    /// What they should ask for.
    pub target: Amounts,
    /// Pods that ask for less are replaced.
    pub lower_bound: Amounts,
    /// Pods that ask for more are replaced.
    pub upper_bound: Amounts,
}

/// What is recommended for each container of a pod, by name.
pub fn recommend<'m>(models: &BTreeMap<&'m str, &Model>) -> BTreeMap<&'m str, Recommendation> {
    let share = 1.0 / models.len() as f64;
    let least = Amounts { cpu: amount(LEAST_CPU * share), memory: amount(LEAST_MEMORY * share) };
    models.iter().map(|(name, model)| (*name, of_container(model, least))).collect()
}

fn of_container(model: &Model, least: Amounts) -> Recommendation {
    let confidence = confidence(model);
    // With little history the bounds are wide: nobody is evicted for what may be chance.
    let little = 1.0 + 0.001 / confidence;
    let (low, high) = (1.0 / (little * little), 1.0 + 1.0 / confidence);
    let estimate = |part: f64, factor: f64| Amounts {
        cpu: of_resource(&model.cpu, part, 1000.0, factor).max(least.cpu),
        memory: of_resource(&model.memory, part, 1.0, factor).max(least.memory),
    };
    Recommendation { target: estimate(0.9, 1.0), lower_bound: estimate(0.5, low), upper_bound: estimate(0.95, high) }
}

/// A percentile, and the margin. Each step is cut to whole numbers, as upstream's amounts are.
fn of_resource(histogram: &Histogram, part: f64, units: f64, factor: f64) -> i64 {
    let base = amount(histogram.percentile(part) * units);
    let with_margin = base.saturating_add(amount(base as f64 * MARGIN));
    amount(with_margin as f64 * factor)
}

/// How much the history can be trusted: the days that it spans, or those that its samples would make if there was one each
/// minute, whichever is less.
fn confidence(model: &Model) -> f64 {
    let span = model.first.zip(model.last).map_or(0.0, |(first, last)| last.duration_since(first).as_secs_f64());
    (span / 86_400.0).min(model.samples as f64 / SAMPLES_OF_A_DAY)
}

fn amount(value: f64) -> i64 {
    value.clamp(0.0, MOST) as i64
}
