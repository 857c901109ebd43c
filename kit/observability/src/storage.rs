//! Samples of series over time, in memory.

use crate::labels::{Labels, METRIC_NAME, Matcher, set};
use crate::number;
use crate::promql::Error;
use crate::promql::metric;
use std::collections::BTreeMap;

/// The value that ends a series: it is NaN with bits of its own (`model/value/value.go`).
pub const STALE: f64 = f64::from_bits(0x7ff0_0000_0000_0002);

/// Whether a value is the marker, which no calculation yields.
pub fn is_stale(value: f64) -> bool {
    value.to_bits() == STALE.to_bits()
}

/// A value at a time in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Milliseconds.
    pub t: i64,
    /// The value.
    pub v: f64,
}

/// All series.
#[derive(Clone, Debug, Default)]
pub struct Storage {
    series: BTreeMap<Labels, Vec<Point>>,
}

impl Storage {
    /// Adds a sample. One that is not newer than the last of its series is dropped, as upstream refuses what comes out of
    /// order.
    pub fn append(&mut self, labels: &Labels, point: Point) {
        match self.series.get_mut(labels) {
            Some(points) if points.last().is_some_and(|last| last.t >= point.t) => {}
            Some(points) => points.push(point),
            None => drop(self.series.insert(labels.clone(), vec![point])),
        }
    }

    /// The series that fit all matchers.
    pub fn select<'a>(&'a self, matchers: &'a [Matcher]) -> impl Iterator<Item = (&'a Labels, &'a [Point])> {
        let fits = |labels: &Labels| matchers.iter().all(|matcher| matcher.matches(labels));
        self.series.iter().filter(move |(labels, _)| fits(labels)).map(|(labels, points)| (labels, &points[..]))
    }

    /// Loads a series in the notation of promtool's unit tests: `1+2x3` is 1 3 5 7, `_` no sample, `stale` the marker. The
    /// first value is at 0, the next one `interval` later, none after `until`.
    pub fn load(&mut self, series: &str, values: &str, interval: i64, until: i64) -> Result<(), Error> {
        let labels = metric(series)?;
        let values = sequence(values).map_err(Error::Evaluation)?;
        for (value, t) in values.into_iter().zip((0i64..).map(|i| i.saturating_mul(interval))) {
            if let Some(v) = value.filter(|_| t <= until) {
                self.append(&labels, Point { t, v });
            }
        }
        Ok(())
    }
}

/// Labels with a metric's name.
pub fn named(name: &str, mut labels: Labels) -> Labels {
    set(&mut labels, METRIC_NAME, name);
    labels
}

/// The longest sequence that is read: a typing error must not fill the memory.
const LONGEST: usize = 1_000_000;

/// Values of a series: `promql/parser/generated_parser.y`, series_values.
fn sequence(text: &str) -> Result<Vec<Option<f64>>, String> {
    let mut values = Vec::new();
    for item in text.split_whitespace() {
        let bad = || format!("unexpected {item:?} in series values");
        let (value, times) = match item.rsplit_once('x') {
            Some((value, times)) => (value, Some(times.parse::<usize>().map_err(|_| bad())?)),
            None => (item, None),
        };
        if values.len().saturating_add(times.unwrap_or(1)) > LONGEST {
            return Err(bad());
        }
        if value == "_" {
            values.extend(std::iter::repeat_n(None, times.unwrap_or(1)));
            continue;
        }
        let (start, step) = start_and_step(value).ok_or_else(bad)?;
        if step.is_some() && times.is_none() {
            return Err(bad());
        }
        let mut current = start;
        for _ in 0..=times.unwrap_or(0) {
            values.push(Some(current));
            // A sum would lose the marker's bits.
            if let Some(step) = step {
                current += step;
            }
        }
    }
    Ok(values)
}

fn start_and_step(text: &str) -> Option<(f64, Option<f64>)> {
    if text == "stale" {
        return Some((STALE, None));
    }
    if let Some(value) = number::parse(text) {
        return Some((value, None));
    }
    // The sign between the two is neither the first nor that of an exponent.
    let mut signs = text.char_indices().rev().filter(|(at, c)| *at > 0 && matches!(c, '+' | '-'));
    signs.find_map(|(at, _)| {
        let (start, step) = text.split_at(at);
        Some((number::parse(start)?, Some(number::parse(step)?)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences() {
        for (text, expected) in [
            ("1+2x3", vec![Some(1.0), Some(3.0), Some(5.0), Some(7.0)]),
            ("1x2 _ 5", vec![Some(1.0), Some(1.0), Some(1.0), None, Some(5.0)]),
            ("-1-1x1 _x2", vec![Some(-1.0), Some(-2.0), None, None]),
            ("1e-3+1e-3x1", vec![Some(0.001), Some(0.002)]),
            ("", vec![]),
        ] {
            assert_eq!(sequence(text), Ok(expected), "{text}");
        }
        assert!(sequence("stale").is_ok_and(|values| values[0].is_some_and(is_stale)));
        for text in ["a", "1+2", "1x", "1x9999999999"] {
            assert!(sequence(text).is_err(), "{text}");
        }
    }
}
