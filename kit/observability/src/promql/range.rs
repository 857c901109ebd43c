//! Functions of a series' samples over a range (`promql/functions.go`), but `rate` and its kin, which the module of
//! `observability/metrics` knows.

use super::Error;
use super::aggregation::{extreme, mean_stays};
use super::engine::fail;
use super::quantile::quantile;
use crate::storage::Point;

/// The function `name` of samples, of which there is one at least; `numbers` are its further arguments.
pub(super) fn apply(name: &str, points: &[Point], numbers: &[f64], time: i64) -> Result<Option<f64>, Error> {
    let values: Vec<f64> = points.iter().map(|point| point.v).collect();
    let count = values.len() as f64;
    let pairs = || values.windows(2).map(|pair| (pair[0], pair[1]));
    Ok(Some(match (name, numbers) {
        ("avg_over_time", _) => average(&values),
        ("changes", _) => pairs().filter(|(a, b)| a != b && !(a.is_nan() && b.is_nan())).count() as f64,
        ("count_over_time", _) => count,
        ("last_over_time", _) => values[values.len() - 1],
        ("max_over_time", _) => extreme(&values, |value, best| value > best),
        ("min_over_time", _) => extreme(&values, |value, best| value < best),
        ("present_over_time", _) => 1.0,
        ("quantile_over_time", [q]) => quantile(*q, values),
        ("resets", _) => pairs().filter(|(a, b)| b < a).count() as f64,
        ("stddev_over_time", _) => (squares(&values) / count).sqrt(),
        ("stdvar_over_time", _) => squares(&values) / count,
        ("sum_over_time", _) => {
            let mut sum = Sum::default();
            values.iter().for_each(|value| sum.add(*value));
            sum.total()
        }
        // What tells a change needs two samples.
        _ if points.len() < 2 => return checked(name, numbers).map(|()| None),
        ("idelta", _) => return Ok(of_last_two(points, false)),
        ("irate", _) => return Ok(of_last_two(points, true)),
        ("deriv", _) => regression(points, points[0].t).0,
        ("predict_linear", [seconds]) => {
            let (slope, intercept) = regression(points, time);
            slope * seconds + intercept
        }
        ("holt_winters", [smoothing, trend]) => {
            checked(name, numbers)?;
            smoothed(&values, *smoothing, *trend)
        }
        _ => f64::NAN,
    }))
}

fn of_last_two(points: &[Point], counter: bool) -> Option<f64> {
    let [.., before, last] = points else { return None };
    let change = if counter && last.v < before.v { last.v } else { last.v - before.v };
    let seconds = (last.t - before.t) as f64 / 1000.0;
    (seconds != 0.0).then(|| if counter { change / seconds } else { change })
}

/// Kahan's sum in Neumaier's form: what is lost at each step is kept beside it.
#[derive(Clone, Copy, Default)]
struct Sum {
    sum: f64,
    lost: f64,
}

impl Sum {
    fn add(&mut self, value: f64) {
        let sum = self.sum + value;
        self.lost += if self.sum.abs() >= value.abs() { (self.sum - sum) + value } else { (value - sum) + self.sum };
        self.sum = sum;
    }

    fn total(self) -> f64 {
        if self.sum.is_infinite() { self.sum } else { self.sum + self.lost }
    }
}

fn average(values: &[f64]) -> f64 {
    let mut mean = Sum::default();
    for (index, value) in values.iter().enumerate() {
        let count = index as f64 + 1.0;
        if !mean_stays(mean.sum, *value) {
            mean.add(value / count - mean.sum / count);
        }
    }
    mean.total()
}

/// The sum of the squares of the distances to the mean.
fn squares(values: &[f64]) -> f64 {
    let (mut mean, mut sum) = (Sum::default(), Sum::default());
    for (index, value) in values.iter().enumerate() {
        let delta = value - (mean.sum + mean.lost);
        mean.add(delta / (index as f64 + 1.0));
        sum.add(delta * (value - (mean.sum + mean.lost)));
    }
    sum.sum + sum.lost
}

/// Slope per second, and the value at `time`, of the line with the least squares.
fn regression(points: &[Point], time: i64) -> (f64, f64) {
    let first = points[0].v;
    if points.iter().all(|point| point.v == first) {
        return if first.is_infinite() { (f64::NAN, f64::NAN) } else { (0.0, first) };
    }
    let n = points.len() as f64;
    let [mut x, mut y, mut xy, mut xx] = [Sum::default(); 4];
    for point in points {
        let at = (point.t - time) as f64 / 1000.0;
        x.add(at);
        y.add(point.v);
        xy.add(at * point.v);
        xx.add(at * at);
    }
    let [x, y, xy, xx] = [x, y, xy, xx].map(|sum| sum.sum + sum.lost);
    let slope = (xy - x * y / n) / (xx - x * x / n);
    (slope, y / n - slope * x / n)
}

/// Factors of `holt_winters` lie between 0 and 1, whatever the samples are.
fn checked(name: &str, numbers: &[f64]) -> Result<(), Error> {
    let factors = [("smoothing", "sf"), ("trend", "tf")].into_iter().zip(numbers);
    for ((what, short), factor) in factors.filter(|_| name == "holt_winters") {
        if *factor <= 0.0 || *factor >= 1.0 {
            return fail(format!("invalid {what} factor. Expected: 0 < {short} < 1, got: {factor:.6}"));
        }
    }
    Ok(())
}

/// Double exponential smoothing.
fn smoothed(values: &[f64], smoothing: f64, trend: f64) -> f64 {
    let (mut before, mut level, mut slope) = (0.0, values[0], values[1] - values[0]);
    for (index, value) in values.iter().enumerate().skip(1) {
        if index > 1 {
            slope = trend * (level - before) + (1.0 - trend) * slope;
        }
        let next = smoothing * value + (1.0 - smoothing) * (level + slope);
        (before, level) = (level, next);
    }
    level
}
