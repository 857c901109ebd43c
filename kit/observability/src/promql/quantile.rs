//! Quantiles of values and of histograms (`promql/quantile.go`).

use super::engine::Sample;
use crate::labels::{Labels, without_name};
use crate::number;
use kit_contract::observability::Metrics;
use kit_contract::observability::metrics::{Bucket, Number};
use std::collections::BTreeMap;

/// What lies outside of 0 to 1 has an answer that shows it.
fn out_of_bounds(q: f64) -> Option<f64> {
    if q.is_nan() {
        Some(f64::NAN)
    } else if q < 0.0 {
        Some(f64::NEG_INFINITY)
    } else if q > 1.0 {
        Some(f64::INFINITY)
    } else {
        None
    }
}

/// The quantile of values, between two of them by their weight.
pub(super) fn quantile(q: f64, mut values: Vec<f64>) -> f64 {
    if values.is_empty() {
        return f64::NAN;
    }
    if let Some(answer) = out_of_bounds(q) {
        return answer;
    }
    values.sort_by(|a, b| a.partial_cmp(b).unwrap_or_else(|| b.is_nan().cmp(&a.is_nan())));
    let rank = q * (values.len() - 1) as f64;
    let lower = rank.floor() as usize;
    let upper = (lower + 1).min(values.len() - 1);
    let weight = rank - rank.floor();
    values[lower] * (1.0 - weight) + values[upper] * weight
}

/// The quantile of each histogram, whose buckets are series with the label `le`.
pub(super) fn of_histograms(q: f64, samples: Vec<Sample>, functions: &dyn Metrics) -> Vec<Sample> {
    let mut histograms: BTreeMap<Labels, Vec<Bucket>> = BTreeMap::new();
    for mut sample in samples {
        let le = sample.labels.remove("le").and_then(|le| number::parse(&le));
        let Some(le) = le else { continue };
        histograms.entry(sample.labels).or_default().push(Bucket { le: Number(le), count: Number(sample.value) });
    }
    let result = histograms.into_iter().map(|(labels, buckets)| {
        // The name was told apart above, so histograms of two names may meet: upstream calls that an error, and so does
        // the engine.
        Sample { labels: without_name(labels), value: functions.histogram_quantile(&Number(q), &buckets).0 }
    });
    result.collect()
}
