//! Evaluates an expression at a time (`promql/engine.go`). Upstream goes through all steps of a query for each part of it;
//! here the whole expression is evaluated once for each step of a subquery, which yields the same.

use super::ast::{At, Expr, Selector};
use super::functions::Function;
use super::{Error, aggregation, binary, calendar, instant, range, relabel};
use crate::labels::{Labels, METRIC_NAME, MatchOp, Matcher, set, without_name};
use crate::storage::{Point, Storage, is_stale};
use kit_contract::observability::Metrics;
use kit_contract::observability::metrics::{self, Function as Over, Number};
use std::collections::{BTreeMap, BTreeSet};

/// The most steps of one subquery: upstream limits samples, for the same reason.
const MOST_STEPS: i64 = 100_000;

/// A value of a series at the time of the evaluation.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Which series.
    pub labels: Labels,
    /// The value.
    pub value: f64,
}

/// A result.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// One number.
    Scalar(f64),
    /// Samples, each of its own series.
    Vector(Vec<Sample>),
}

impl Value {
    /// The samples; a scalar is one without labels (`rules/manager.go`, EngineQueryFunc).
    pub fn into_vector(self) -> Vec<Sample> {
        match self {
            Value::Scalar(value) => vec![Sample { labels: Labels::new(), value }],
            Value::Vector(samples) => samples,
        }
    }
}

/// What evaluates expressions over samples.
#[derive(Clone, Copy)]
pub struct Engine<'a> {
    /// Where the samples are.
    pub storage: &'a Storage,
    /// The step of subqueries that name none: the interval at which rules are evaluated, in milliseconds.
    pub default_step: i64,
    /// What is known of a series now, how it changed, and quantiles of histograms.
    pub functions: &'a dyn Metrics,
}

impl<'a> Engine<'a> {
    /// The value of `expr` at `time`, in milliseconds.
    pub fn query(&self, expr: &Expr, time: i64) -> Result<Value, Error> {
        Evaluation { engine: *self, query_time: time }.value(expr, time)
    }
}

/// One query.
#[derive(Clone, Copy)]
pub(super) struct Evaluation<'a> {
    engine: Engine<'a>,
    /// What `@ start()` and `@ end()` mean.
    query_time: i64,
}

/// The samples of a series within a range, with those that say that it has ended.
pub(super) struct Window {
    pub labels: Labels,
    pub points: Vec<Point>,
}

/// Samples as the module is asked about them.
fn asked(points: &[Point]) -> Vec<metrics::Sample> {
    let sample =
        |point: &Point| metrics::Sample { at_ms: point.t, value: (!is_stale(point.v)).then_some(Number(point.v)) };
    points.iter().map(sample).collect()
}

/// The bounds of a range, in milliseconds; both ends belong to it.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    pub start: i64,
    pub end: i64,
}

/// An error of an evaluation.
pub(super) fn fail<T>(message: impl Into<String>) -> Result<T, Error> {
    Err(Error::Evaluation(message.into()))
}

/// Two results with the same labels are none.
fn distinct(samples: Vec<Sample>) -> Result<Vec<Sample>, Error> {
    let mut seen = BTreeSet::new();
    if samples.iter().all(|sample| seen.insert(&sample.labels)) {
        return Ok(samples);
    }
    fail("vector cannot contain metrics with the same labelset")
}

impl Evaluation<'_> {
    fn value(&self, expr: &Expr, time: i64) -> Result<Value, Error> {
        Ok(match expr {
            Expr::Number(value) => Value::Scalar(*value),
            Expr::Paren(inner) => return self.value(inner, time),
            Expr::Selector(selector) => Value::Vector(self.instant(selector, time).map(|(sample, _)| sample).collect()),
            Expr::Negate(inner) => match self.value(inner, time)? {
                Value::Scalar(value) => Value::Scalar(-value),
                Value::Vector(samples) => Value::Vector(distinct(instant::map(samples, |value| -value))?),
            },
            Expr::Binary { op, lhs, rhs, return_bool, matching } => {
                match binary::apply(*op, self.value(lhs, time)?, self.value(rhs, time)?, *return_bool, matching)? {
                    Value::Vector(samples) => Value::Vector(distinct(samples)?),
                    scalar => scalar,
                }
            }
            Expr::Aggregate { op, param, expr, grouping, without } => {
                let param = match param.as_deref().map(Expr::unwrapped) {
                    None => aggregation::Param::None,
                    Some(Expr::Text(text)) => aggregation::Param::Text(text),
                    Some(other) => aggregation::Param::Number(self.scalar(other, time)?),
                };
                let samples = self.vector(expr, time)?;
                Value::Vector(distinct(aggregation::aggregate(*op, param, samples, grouping, *without)?)?)
            }
            Expr::Call(function, arguments) => return self.call(function, arguments, time),
            Expr::Text(_) | Expr::Range(..) | Expr::Subquery { .. } => {
                return fail("rule result is not a vector or scalar");
            }
        })
    }

    fn scalar(&self, expr: &Expr, time: i64) -> Result<f64, Error> {
        match self.value(expr, time)? {
            Value::Scalar(value) => Ok(value),
            Value::Vector(_) => fail("expected a scalar"),
        }
    }

    fn vector(&self, expr: &Expr, time: i64) -> Result<Vec<Sample>, Error> {
        self.value(expr, time).map(Value::into_vector)
    }

    fn at(&self, time: i64, at: Option<At>, offset: i64) -> i64 {
        let time = match at {
            None => time,
            Some(At::Time(time)) => time,
            Some(At::Query) => self.query_time,
        };
        time.saturating_sub(offset)
    }

    /// The newest sample of each series that is not older than the lookback, with its own time.
    fn instant<'s>(&'s self, selector: &'s Selector, time: i64) -> impl Iterator<Item = (Sample, i64)> + 's {
        let time = self.at(time, selector.at, selector.offset);
        self.engine.storage.select(&selector.matchers).filter_map(move |(labels, points)| {
            let end = points.partition_point(|point| point.t <= time);
            let newest = points[..end].last()?;
            let near = &points[end.saturating_sub(2)..points.len().min(end + 1)];
            let value = self.engine.functions.latest(&asked(near), time)?.0;
            Some((Sample { labels: labels.clone(), value }, newest.t))
        })
    }

    /// The samples of a range, of each series that has any.
    fn windows(&self, expr: &Expr, time: i64) -> Result<(Vec<Window>, Bounds), Error> {
        match expr.unwrapped() {
            Expr::Range(selector, range) => {
                let end = self.at(time, selector.at, selector.offset);
                let bounds = Bounds { start: end.saturating_sub(*range), end };
                let windows = self.engine.storage.select(&selector.matchers).filter_map(|(labels, points)| {
                    let within = points.iter().filter(|point| (bounds.start..=bounds.end).contains(&point.t));
                    let points: Vec<_> = within.copied().collect();
                    let any = points.iter().any(|point| !is_stale(point.v));
                    any.then(|| Window { labels: labels.clone(), points })
                });
                Ok((windows.collect(), bounds))
            }
            Expr::Subquery { expr, range, step, offset, at } => {
                let end = self.at(time, *at, *offset);
                let bounds = Bounds { start: end.saturating_sub(*range), end };
                Ok((self.subquery(expr, step.unwrap_or(self.engine.default_step).max(1), bounds)?, bounds))
            }
            _ => fail("expected a range"),
        }
    }

    /// Steps are multiples of the step, wherever the range begins.
    fn subquery(&self, expr: &Expr, step: i64, bounds: Bounds) -> Result<Vec<Window>, Error> {
        if (bounds.end - bounds.start) / step > MOST_STEPS {
            return fail("query processing would load too many samples into memory in query execution");
        }
        let mut series: BTreeMap<Labels, Vec<Point>> = BTreeMap::new();
        let mut t = bounds.start.saturating_add((-bounds.start).rem_euclid(step));
        while t <= bounds.end {
            for sample in self.vector(expr, t)? {
                series.entry(sample.labels).or_default().push(Point { t, v: sample.value });
            }
            t += step;
        }
        Ok(series.into_iter().map(|(labels, points)| Window { labels, points }).collect())
    }

    fn call(&self, function: &Function, arguments: &[Expr], time: i64) -> Result<Value, Error> {
        let seconds = time as f64 / 1000.0;
        let number = |index: usize| self.scalar(&arguments[index], time);
        let vector = |index: usize| self.vector(&arguments[index], time);
        let samples = match function.name {
            "time" => return Ok(Value::Scalar(seconds)),
            "pi" => return Ok(Value::Scalar(std::f64::consts::PI)),
            "scalar" => {
                let samples = vector(0)?;
                return Ok(Value::Scalar(if let [one] = &samples[..] { one.value } else { f64::NAN }));
            }
            "vector" => Value::Scalar(number(0)?).into_vector(),
            "timestamp" => match arguments[0].unwrapped() {
                // Only a selector has samples with times of their own.
                Expr::Selector(selector) => {
                    let seen = self.instant(selector, time);
                    let timed = seen.map(|(sample, t)| Sample { value: t as f64 / 1000.0, ..sample });
                    instant::map(timed.collect(), |value| value)
                }
                _ => instant::map(vector(0)?, |_| seconds),
            },
            "absent" if vector(0)?.is_empty() => vec![Sample { labels: absent_labels(&arguments[0]), value: 1.0 }],
            "absent" => Vec::new(),
            "absent_over_time" if self.windows(&arguments[0], time)?.0.is_empty() => {
                vec![Sample { labels: absent_labels(&arguments[0]), value: 1.0 }]
            }
            "absent_over_time" => Vec::new(),
            "label_replace" | "label_join" => {
                let texts: Vec<&str> = arguments[1..].iter().map(text).collect();
                relabel::apply(function.name, vector(0)?, &texts)?
            }
            "histogram_quantile" => super::quantile::of_histograms(number(0)?, vector(1)?, self.engine.functions),
            // The order of samples says nothing where they are a set.
            "sort" | "sort_desc" => vector(0)?,
            name => {
                if let Some(part) = calendar::part(name) {
                    let samples = match arguments {
                        [] => Value::Scalar(seconds).into_vector(),
                        _ => vector(0)?,
                    };
                    instant::map(samples, part)
                } else if let Some(position) = arguments.iter().position(|a| a.kind() == super::Kind::Matrix) {
                    let numbers = (0..arguments.len()).filter(|index| *index != position).map(number);
                    let numbers: Vec<f64> = numbers.collect::<Result<_, _>>()?;
                    self.over_range(name, &arguments[position], &numbers, time)?
                } else {
                    let numbers: Vec<f64> = (1..arguments.len()).map(number).collect::<Result<_, _>>()?;
                    instant::apply(name, vector(0)?, &numbers)
                }
            }
        };
        Ok(Value::Vector(distinct(samples)?))
    }

    fn over_range(&self, name: &str, expr: &Expr, numbers: &[f64], time: i64) -> Result<Vec<Sample>, Error> {
        let (windows, Bounds { start, end }) = self.windows(expr, time)?;
        let change = match name {
            "increase" => Some(Over::Increase),
            "rate" => Some(Over::Rate),
            "delta" => Some(Over::Delta),
            _ => None,
        };
        let mut samples = Vec::new();
        for Window { labels, mut points } in windows {
            let value = match &change {
                Some(change) => {
                    self.engine.functions.over_range(change, &asked(&points), start, end).map(|number| number.0)
                }
                None => {
                    points.retain(|point| !is_stale(point.v));
                    range::apply(name, &points, numbers, time)?
                }
            };
            if let Some(value) = value {
                // The last value is the series' own, as if it had an offset.
                let labels = if name == "last_over_time" { labels } else { without_name(labels) };
                samples.push(Sample { labels, value });
            }
        }
        Ok(samples)
    }
}

fn text(expr: &Expr) -> &str {
    match expr.unwrapped() {
        Expr::Text(text) => text,
        _ => "",
    }
}

/// What is known of a series that is not there: the labels that are asked for by `=`, once
/// (`promql/functions.go`, createLabelsForAbsentFunction).
fn absent_labels(expr: &Expr) -> Labels {
    let matchers: &[Matcher] = match expr.unwrapped() {
        Expr::Selector(selector) | Expr::Range(selector, _) => &selector.matchers,
        _ => &[],
    };
    let (mut labels, mut seen) = (Labels::new(), BTreeSet::new());
    for matcher in matchers.iter().filter(|matcher| matcher.name != METRIC_NAME) {
        let first = matcher.op == MatchOp::Equal && seen.insert(&matcher.name);
        set(&mut labels, &matcher.name, if first { &matcher.value[..] } else { "" });
    }
    labels
}
