//! Quantiles of values and of histograms (`promql/quantile.go`).

use super::engine::Sample;
use crate::labels::{Labels, without_name};
use crate::number;
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

#[derive(Clone, Copy, Debug)]
struct Bucket {
    upper: f64,
    count: f64,
}

/// The quantile of each histogram, whose buckets are series with the label `le`.
pub(super) fn of_histograms(q: f64, samples: Vec<Sample>) -> Vec<Sample> {
    let mut histograms: BTreeMap<Labels, Vec<Bucket>> = BTreeMap::new();
    for mut sample in samples {
        let upper = sample.labels.remove("le").and_then(|le| number::parse(&le));
        let Some(upper) = upper else { continue };
        histograms.entry(sample.labels).or_default().push(Bucket { upper, count: sample.value });
    }
    let result = histograms.into_iter().map(|(labels, buckets)| {
        // The name was told apart above, so histograms of two names may meet: upstream calls that an error, and so does
        // the engine.
        Sample { labels: without_name(labels), value: of_buckets(q, buckets) }
    });
    result.collect()
}

fn of_buckets(q: f64, mut buckets: Vec<Bucket>) -> f64 {
    if let Some(answer) = out_of_bounds(q) {
        return answer;
    }
    buckets.sort_by(|a, b| a.upper.total_cmp(&b.upper));
    let complete = buckets.last().is_some_and(|last| last.upper == f64::INFINITY);
    let buckets = monotonic(merged(buckets));
    let total = match buckets.last() {
        Some(last) if complete && buckets.len() >= 2 && last.count != 0.0 => last.count,
        _ => return f64::NAN,
    };
    let rank = q * total;
    let finite = &buckets[..buckets.len() - 1];
    let Some(index) = finite.iter().position(|bucket| bucket.count >= rank) else {
        return finite[finite.len() - 1].upper;
    };
    let bucket = finite[index];
    if index == 0 && bucket.upper <= 0.0 {
        return bucket.upper;
    }
    let below = if index == 0 { Bucket { upper: 0.0, count: 0.0 } } else { finite[index - 1] };
    below.upper + (bucket.upper - below.upper) * ((rank - below.count) / (bucket.count - below.count))
}

/// Buckets with one bound are one: `0.5` and `0.50`.
fn merged(buckets: Vec<Bucket>) -> Vec<Bucket> {
    let mut result: Vec<Bucket> = Vec::new();
    for bucket in buckets {
        match result.last_mut() {
            Some(last) if last.upper == bucket.upper => last.count += bucket.count,
            _ => result.push(bucket),
        }
    }
    result
}

/// Counts never fall: rates of buckets that were scraped apart might.
fn monotonic(mut buckets: Vec<Bucket>) -> Vec<Bucket> {
    let mut most = f64::NEG_INFINITY;
    for bucket in &mut buckets {
        most = if bucket.count > most { bucket.count } else { most };
        if bucket.count < most {
            bucket.count = most;
        }
    }
    buckets
}
