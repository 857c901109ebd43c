//! # Metrics: where each number comes from
//!
//! A program counts, Prometheus scrapes, somebody looks at a graph. You write both ends of that: the page that is scraped, and what
//! `rate`, `histogram_quantile` and the queries of an on-call engineer make of the samples.
//!
//! About 60 minutes · builds on nothing · book: "Metrics: where each number comes from" · stuck? `cargo grade hint observability/metrics`
//!
//! Given to you:
//!
//! - `Number` is an `f64` (`number.0`) that is written as the text format wants it: `format!("{number}")` is `0.25`, `+Inf` or `1.5e+06`
//! - `kit::observability::metrics::Labels` is a `BTreeMap<String, String>`
//! - `kit::observability::metrics::LOOKBACK_MS: i64`: 5 minutes
//!
//! All types are in `kit::observability::metrics`. What each key figure is, stands beside `Figure`.

use kit::observability::Metrics;
use kit::observability::metrics::{Bucket, Family, Figure, Function, Number, Page, Sample, Series, Value};

/// The kit keeps all samples, so nothing is remembered here.
#[derive(Default)]
struct Exercise;

impl Metrics for Exercise {
    /// What a program answers to a scrape, in the text format. Families without metrics are left out: they aren't
    /// there.
    ///
    /// **Refused.** A page with a fault isn't served at all, and the scrape fails. These are faults:
    ///
    /// - the name of a family that doesn't fit `[a-zA-Z_:][a-zA-Z0-9_:]*`, or of a label that doesn't fit
    ///   `[a-zA-Z_][a-zA-Z0-9_]*`, begins with `__`, or is `le` in a histogram;
    /// - two families with the same name, or two metrics of a family with the same labels;
    /// - a family that has the name of a histogram with `_bucket`, `_sum` or `_count` after it.
    ///
    /// **Order.** Families by their names. Metrics of a family: those with fewer labels first, else by the values of
    /// their labels, one after the other in the order of the labels' names; if all values are equal, in the order in
    /// which they are given.
    ///
    /// **Lines.** `# HELP name help`, if there is a help text: in it a backslash becomes `\\` and a new line `\n`. Then
    /// `# TYPE name counter`, `gauge` or `histogram`. Then a line for each metric: `name{a="1",b="2"} 3`, with labels
    /// in the order of their names, without braces if there are none, and in values also `"` as `\"`. Each line ends
    /// with a new line.
    ///
    /// **A histogram** has a line `name_bucket` for each bound, with the label `le` after all others and *all*
    /// observations up to that bound, and one more with `le="+Inf"`; then `name_sum`, and `name_count` with the number
    /// of observations.
    fn expose(&self, families: &[Family]) -> Page {
        let _ = families;
        todo!("first what makes a page refused; then one family; then all of them in order")
    }

    /// The value of a series now: that of the newest of its samples that aren't newer than now, if that one isn't older
    /// than 5 minutes (exactly 5 minutes is fine). None if that sample says that the series has ended. Samples are in
    /// the order of time.
    fn latest(&self, samples: &[Sample], now_ms: i64) -> Option<Number> {
        let _ = (samples, now_ms);
        todo!("the newest one that is not newer than now")
    }

    /// How much a series changed from `start_ms` to `end_ms`. All samples lie between these two, in the order of time;
    /// a sample that says that the series has ended is passed over. None with fewer than two others.
    ///
    /// 1. The *change* is the last value less the first. A counter (`Increase`, `Rate`) that has a value below the one
    ///    before it was reset: the value before is added.
    /// 2. The samples don't reach from start to end. There is a gap before the first, and one after the last. A gap
    ///    that is shorter than 1.1 times the mean distance of the samples counts as it is; any other counts as half of
    ///    that distance.
    /// 3. A counter was never below zero: if its change is above zero and its first value not below, the gap before the
    ///    first sample is cut, before rule 2 looks at it, to the time that the counter took to come from zero to its
    ///    first value. Its pace is the change by the time between the first and the last sample.
    /// 4. The change is stretched from the time between the first and the last sample to that time and both gaps. For
    ///    `Rate` it is then divided by the seconds from start to end.
    fn over_range(&self, function: &Function, samples: &[Sample], start_ms: i64, end_ms: i64) -> Option<Number> {
        let _ = (function, samples, start_ms, end_ms);
        todo!("first the change, then the two gaps")
    }

    /// The value that the share `q` of all observations doesn't exceed. Buckets are in any order, and their counts hold
    /// all observations up to `le`; they may be rates.
    ///
    /// - `NaN` if `q` is not a number; `-Inf` below 0, `+Inf` above 1.
    /// - Buckets with the same bound are one, which counts their sum. Then, from the lowest bound on, a count that is
    ///   below that of the bucket before is raised to that.
    /// - `NaN` without a bucket for `+Inf`, with fewer than two buckets, and if that for `+Inf` counts 0.
    /// - The *rank* is `q` times the count for `+Inf`. The bucket of the rank is the first that counts as many or more.
    /// - If that is the one for `+Inf`, the answer is the highest bound below. If it is the first one and its bound is
    ///   not above zero, the answer is that bound.
    /// - Else observations are taken to lie evenly between the bound of the bucket before (0 for the first one) and its
    ///   own: lower + (upper − lower) × (rank − count before) / (own count − count before), in `f64`.
    fn histogram_quantile(&self, q: &Number, buckets: &[Bucket]) -> Number {
        let _ = (q, buckets);
        todo!("put the buckets in order, and begin with what has no answer")
    }

    /// One of the key figures of a cluster at `now_ms`, in any order: see [`Figure`]. Series may be more than it needs,
    /// and of any names; their samples may reach further back than it needs.
    ///
    /// - `x` is your `latest` of each series with that name, and has the labels of the series. `rate(x[5m])` and
    ///   `increase(x[5m])` are your `over_range` of those samples of each series `x` that are not newer than now, and
    ///   at most 5 minutes old (exactly 5 minutes is fine). A series without a result is left out.
    /// - `x{a="1"}`, `{a!=""}`, `{a=~"1|2"}` and `{a!~"1|2"}` keep series whose label `a` is 1, is there at all, is 1
    ///   or 2, and is neither. A label that is missing is none of them, and empty.
    /// - `sum by (a, b) (…)` adds up all that have the same values for the labels `a` and `b`, where one that is
    ///   missing is equal to one that is missing. The sum has only these labels.
    /// - `x / y`, and `x and on (a, b) y`, keep those `x` for which there is a `y` with the same labels, and with the
    ///   same `a` and `b`. `x > 0` and `x == 1` keep those for which it holds.
    fn figure(&self, figure: &Figure, series: &[Series], now_ms: i64) -> Vec<Value> {
        let _ = (series, now_ms);
        match figure {
            Figure::Throttled => todo!("two sums, one divided by the other"),
            Figure::Restarts => todo!("the sum of an increase"),
            Figure::OomKilled => todo!("a sum, of which some is kept"),
            Figure::Requested => todo!("requests of pods that have not ended, divided by what there is"),
            Figure::Evictions => todo!("the sum of a rate"),
            Figure::Pending => todo!("the sum of what is now"),
            Figure::Latency => todo!("buckets of each verb, then your quantile"),
        }
    }
}

kit::exercise!(Exercise: Metrics);
