//! One sample of many (`promql/engine.go`, aggregation).

use super::Error;
use super::ast::Aggregation;
use super::engine::{Sample, fail};
use super::quantile::quantile;
use crate::labels::{Labels, METRIC_NAME, is_label_name, set};
use crate::number;
use std::collections::BTreeMap;

/// The first of two arguments.
#[derive(Clone, Copy)]
pub(super) enum Param<'a> {
    None,
    Number(f64),
    Text(&'a str),
}

pub(super) fn aggregate(
    op: Aggregation,
    param: Param<'_>,
    mut samples: Vec<Sample>,
    grouping: &[String],
    without: bool,
) -> Result<Vec<Sample>, Error> {
    let mut grouping = grouping.to_vec();
    if let Param::Text(label) = param {
        if !is_label_name(label) {
            return fail(format!("invalid label name {label:?}"));
        }
        for sample in &mut samples {
            set(&mut sample.labels, label, number::fixed(sample.value, None));
        }
        if !without {
            grouping.push(label.into());
        }
    }
    let param = if let Param::Number(number) = param { number } else { f64::NAN };
    let takes_k = matches!(op, Aggregation::Topk | Aggregation::Bottomk);
    if takes_k && !(param > i64::MIN as f64 && param < i64::MAX as f64) {
        return fail(format!("Scalar value {} overflows int64", number::general(param, None)));
    }
    let mut groups: BTreeMap<Labels, Vec<Sample>> = BTreeMap::new();
    for sample in samples {
        let mut labels = sample.labels.clone();
        labels.retain(|name, _| {
            let named = grouping.contains(name);
            if without { !named && name != METRIC_NAME } else { named }
        });
        groups.entry(labels).or_default().push(sample);
    }
    let mut result = Vec::new();
    for (labels, samples) in groups {
        if takes_k {
            result.extend(first(samples, param as i64, op == Aggregation::Topk));
        } else {
            let values: Vec<f64> = samples.iter().map(|sample| sample.value).collect();
            result.push(Sample { labels, value: of_group(op, &values, param) });
        }
    }
    Ok(result)
}

/// The largest or smallest `k`; what is no number comes last.
fn first(mut samples: Vec<Sample>, k: i64, largest: bool) -> Vec<Sample> {
    samples.sort_by(|a, b| {
        let by_value = a.value.partial_cmp(&b.value).map(|order| if largest { order.reverse() } else { order });
        by_value.unwrap_or_else(|| a.value.is_nan().cmp(&b.value.is_nan()))
    });
    samples.truncate(usize::try_from(k).unwrap_or(0));
    samples
}

fn of_group(op: Aggregation, values: &[f64], param: f64) -> f64 {
    match op {
        Aggregation::Sum => values.iter().sum(),
        Aggregation::Avg => mean(values),
        Aggregation::Count | Aggregation::CountValues => values.len() as f64,
        Aggregation::Min => extreme(values, |value, best| value < best),
        Aggregation::Max => extreme(values, |value, best| value > best),
        Aggregation::Group => 1.0,
        Aggregation::Stdvar => variance(values),
        Aggregation::Stddev => variance(values).sqrt(),
        Aggregation::Quantile => quantile(param, values.to_vec()),
        Aggregation::Topk | Aggregation::Bottomk => f64::NAN,
    }
}

/// Whatever is better than a value that is no number.
pub(super) fn extreme(values: &[f64], better: impl Fn(f64, f64) -> bool) -> f64 {
    let best = |best: f64, value: f64| if better(value, best) || best.is_nan() { value } else { best };
    values.iter().copied().reduce(best).unwrap_or(f64::NAN)
}

/// Whether an infinite mean stays as it is: a calculation with `value` would make it "not a number".
pub(super) fn mean_stays(mean: f64, value: f64) -> bool {
    mean.is_infinite() && (value.is_finite() || value == mean)
}

/// Step by step, as upstream does it: a sum might overflow.
fn mean(values: &[f64]) -> f64 {
    let (first, rest) = values.split_first().unwrap_or((&f64::NAN, &[]));
    let mut mean = *first;
    for (index, value) in rest.iter().enumerate() {
        let count = index as f64 + 2.0;
        if !mean_stays(mean, *value) {
            mean += value / count - mean / count;
        }
    }
    mean
}

fn variance(values: &[f64]) -> f64 {
    let (first, rest) = values.split_first().unwrap_or((&f64::NAN, &[]));
    let (mut mean, mut sum) = (*first, 0.0);
    for (index, value) in rest.iter().enumerate() {
        let delta = value - mean;
        mean += delta / (index as f64 + 2.0);
        sum += delta * (value - mean);
    }
    sum / values.len() as f64
}
