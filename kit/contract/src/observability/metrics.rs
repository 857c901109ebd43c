//! Metrics: how a program says what it has counted, and what others make of that.
//!
//! Sources: client_golang 1.14, `prometheus/registry.go` (`checkMetricConsistency`, `checkSuffixCollisions`, `Gather`), `prometheus/internal/metric.go` (the
//! order) and `prometheus/promhttp/http.go` (a page with a fault isn't served at all); prometheus/common 0.39, `expfmt/text_create.go`; Prometheus
//! 2.42, `promql/functions.go` (`extrapolatedRate`), `promql/quantile.go` (`bucketQuantile`) and `promql/engine.go` (the lookback).
//!
//! The kit around the module counts, scrapes, stores samples, and evaluates all the rest of an expression.

mod number;
mod show;

pub use super::alerts::Labels;
pub use number::Number;
use serde::{Deserialize, Serialize};

/// How old a sample may be and still be the value of now: 5 minutes.
pub const LOOKBACK_MS: i64 = 5 * 60_000;

// ANCHOR: contract
contract! {
    /// The way from a counter in a program to a figure that somebody acts on. All times are milliseconds.
    pub trait Metrics {
        /// What a program answers to a scrape, in the text format. Families without metrics are left out: they aren't there.
        ///
        /// **Refused.** A page with a fault isn't served at all, and the scrape fails. These are faults:
        ///
        /// - the name of a family that doesn't fit `[a-zA-Z_:][a-zA-Z0-9_:]*`, or of a label that doesn't fit
        ///   `[a-zA-Z_][a-zA-Z0-9_]*`, begins with `__`, or is `le` in a histogram;
        /// - two families with the same name, or two metrics of a family with the same labels;
        /// - a family that has the name of a histogram with `_bucket`, `_sum` or `_count` after it.
        ///
        /// **Order.** Families by their names. Metrics of a family: those with fewer labels first, else by the values of
        /// their labels, one after the other in the order of the labels' names; if all values are equal, in the order in which they are given.
        ///
        /// **Lines.** `# HELP name help`, if there is a help text: in it a backslash becomes `\\` and a new line `\n`. Then
        /// `# TYPE name counter`, `gauge` or `histogram`. Then a line for each metric: `name{a="1",b="2"} 3`, with labels in
        /// the order of their names, without braces if there are none, and in values also `"` as `\"`. Each line ends with a new line.
        ///
        /// **A histogram** has a line `name_bucket` for each bound, with the label `le` after all others and *all* observations up to
        /// that bound, and one more with `le="+Inf"`; then `name_sum`, and `name_count` with the number of observations.
        fn expose(&self, families: &[Family]) -> Page;

        /// The value of a series now: that of the newest of its samples that aren't newer than now, if that one isn't older than 5 minutes (exactly
        /// 5 minutes is fine). None if that sample says that the series has ended. Samples are in the order of time.
        fn latest(&self, samples: &[Sample], now_ms: i64) -> Option<Number>;

        /// How much a series changed from `start_ms` to `end_ms`. All samples lie between these two, in the order of time; a sample
        /// that says that the series has ended is passed over. None with fewer than two others.
        ///
        /// 1. The *change* is the last value less the first. A counter (`Increase`, `Rate`) that has a value below the one before it was
        ///    reset: the value before is added.
        /// 2. The samples don't reach from start to end. There is a gap before the first, and one after the last. A gap
        ///    that is shorter than 1.1 times the mean distance of the samples counts as it is; any other counts
        ///    as half of that distance.
        /// 3. A counter was never below zero: if its change is above zero and its first value not below, the gap before the first sample is
        ///    cut, before rule 2 looks at it, to the time that the counter took to come from zero to its first value. Its pace is the change by the
        ///    time between the first and the last sample.
        /// 4. The change is stretched from the time between the first and the last sample to that time and both gaps. For
        ///    `Rate` it is then divided by the seconds from start to end.
        fn over_range(&self, function: &Function, samples: &[Sample], start_ms: i64, end_ms: i64) -> Option<Number>;

        /// The value that the share `q` of all observations doesn't exceed. Buckets are in any order, and their counts hold all
        /// observations up to `le`; they may be rates.
        ///
        /// - `NaN` if `q` is not a number; `-Inf` below 0, `+Inf` above 1.
        /// - Buckets with the same bound are one, which counts their sum. Then, from the lowest bound on, a count that is below that of the
        ///   bucket before is raised to that.
        /// - `NaN` without a bucket for `+Inf`, with fewer than two buckets, and if that for `+Inf` counts 0.
        /// - The *rank* is `q` times the count for `+Inf`. The bucket of the rank is the first that counts as many or more.
        /// - If that is the one for `+Inf`, the answer is the highest bound below. If it is the first one and its bound is not above zero, the answer is
        ///   that bound.
        /// - Else observations are taken to lie evenly between the bound of the bucket before (0 for the first one) and
        ///   its own: lower + (upper − lower) × (rank − count before) / (own count − count before), in `f64`.
        fn histogram_quantile(&self, q: &Number, buckets: &[Bucket]) -> Number;

        /// One of the key figures of a cluster at `now_ms`, in any order: see [`Figure`]. Series may be more than it needs, and of
        /// any names; their samples may reach further back than it needs.
        ///
        /// - `x` is your `latest` of each series with that name, and has the labels of the series. `rate(x[5m])` and
        ///   `increase(x[5m])` are your `over_range` of those samples of each series `x` that are not newer than now, and at most 5 minutes old
        ///   (exactly 5 minutes is fine). A series without a result is left out.
        /// - `x{a="1"}`, `{a!=""}`, `{a=~"1|2"}` and `{a!~"1|2"}` keep series whose label `a` is 1, is there at all, is 1 or 2, and is neither. A label
        ///   that is missing is none of them, and empty.
        /// - `sum by (a, b) (…)` adds up all that have the same values for the labels `a` and `b`, where one that is missing is equal to one that is
        ///   missing. The sum has only these labels.
        /// - `x / y`, and `x and on (a, b) y`, keep those `x` for which there is a `y` with the same labels, and with the same `a`
        ///   and `b`. `x > 0` and `x == 1` keep those for which it holds.
        fn figure(&self, figure: &Figure, series: &[Series], now_ms: i64) -> Vec<Value>;
    }
}

/// A key figure, and the expression that it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Figure {
    /// In which share of its periods a container was throttled:
    /// `sum by (namespace, pod, container) (rate(container_cpu_cfs_throttled_periods_total{container!=""}[5m]))
    /// / sum by (namespace, pod, container) (rate(container_cpu_cfs_periods_total{container!=""}[5m]))`
    Throttled,
    /// How often pods were restarted in an hour: `sum by (namespace, pod) (increase(kube_pod_container_status_restarts_total[1h]))`
    Restarts,
    /// Containers that were restarted lately and were killed for their memory the last time: `sum by (namespace, pod, container)
    /// (increase(kube_pod_container_status_restarts_total[10m])) > 0 and on (namespace, pod, container)
    /// kube_pod_container_status_last_terminated_reason{reason="OOMKilled"} == 1`
    OomKilled,
    /// Which share of what a node has for pods is requested: `sum by (node, resource) (kube_pod_container_resource_requests and on
    /// (namespace, pod) (kube_pod_status_phase{phase=~"Pending|Running"} == 1)) / sum by (node, resource)
    /// (kube_node_status_allocatable)`
    Requested,
    /// How often in a second kubelets evict pods: `sum by (node, eviction_signal) (rate(kubelet_evictions[5m]))`
    Evictions,
    /// How many pods are pending: `sum by (namespace) (kube_pod_status_phase{phase="Pending"})`
    Pending,
    /// How long 99 of 100 requests take at most: `histogram_quantile(0.99, sum by (verb, le)
    /// (rate(apiserver_request_duration_seconds_bucket{verb!~"WATCH|CONNECT"}[5m])))`. A bucket whose `le` is no number is left out, and a verb
    /// without any other has no answer.
    Latency,
}

/// All metrics of one name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Family {
    /// The name.
    pub name: String,
    /// What it says of itself.
    #[serde(default)]
    pub help: Option<String>,
    /// What it is.
    pub kind: Kind,
    /// In any order.
    pub metrics: Vec<Metric>,
}

/// What a family is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// Only rises, or begins anew.
    Counter,
    /// Rises and falls.
    Gauge,
    /// Counts observations by how large they are.
    Histogram,
}

/// One metric of a family.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metric {
    /// What tells it apart. Values may be empty.
    #[serde(default)]
    pub labels: Labels,
    /// A histogram in a family of histograms, a number in all others.
    pub value: Reading,
}

/// What a metric says now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Reading {
    /// Of a counter or a gauge.
    Number(Number),
    /// Of a histogram.
    Histogram(Histogram),
}

/// Observations by how large they were.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Histogram {
    /// The bounds of the buckets, from the lowest on; all are finite.
    pub bounds: Vec<Number>,
    /// How many observations lie between each bound and the one before it, that bound included; and in the end how many lie above all.
    pub counts: Vec<u64>,
    /// All observations together.
    pub sum: Number,
}

/// What a program answers to a scrape.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Page {
    /// Nothing but an error.
    Refused,
    /// The whole page.
    Text(String),
}

/// A value of a series. `[15000, 3]` in JSON, and `[15000, null]` if the series has ended.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(from = "(i64, Option<Number>)", into = "(i64, Option<Number>)")]
pub struct Sample {
    /// When it was scraped.
    pub at_ms: i64,
    /// The value; none is a *stale marker*: from here on the series isn't there.
    pub value: Option<Number>,
}

/// What a range is reckoned to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Function {
    /// How much a counter rose.
    Increase,
    /// The same for each second.
    Rate,
    /// How much a gauge rose or fell.
    Delta,
}

/// A bucket of a histogram. `[0.5, 7]` in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(from = "(Number, Number)", into = "(Number, Number)")]
pub struct Bucket {
    /// The bound.
    pub le: Number,
    /// Observations up to the bound.
    pub count: Number,
}

/// A series and its samples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Series {
    /// The name of the metric.
    pub name: String,
    /// Its labels without the name. No value is empty: such a label counts as missing.
    #[serde(default)]
    pub labels: Labels,
    /// In the order of time.
    pub samples: Vec<Sample>,
}

/// A value with the labels that it belongs to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Value {
    /// What tells it apart.
    #[serde(default)]
    pub labels: Labels,
    /// The value.
    pub value: Number,
}
// ANCHOR_END: contract

impl From<(i64, Option<Number>)> for Sample {
    fn from((at_ms, value): (i64, Option<Number>)) -> Sample {
        Sample { at_ms, value }
    }
}

impl From<Sample> for (i64, Option<Number>) {
    fn from(sample: Sample) -> Self {
        (sample.at_ms, sample.value)
    }
}

impl From<(Number, Number)> for Bucket {
    fn from((le, count): (Number, Number)) -> Bucket {
        Bucket { le, count }
    }
}

impl From<Bucket> for (Number, Number) {
    fn from(bucket: Bucket) -> Self {
        (bucket.le, bucket.count)
    }
}

impl Figure {
    /// All of them, with the expression that each is.
    pub const ALL: [(Figure, &'static str); 7] = [
        (
            Figure::Throttled,
            r#"sum by (namespace, pod, container) (rate(container_cpu_cfs_throttled_periods_total{container!=""}[5m])) / sum by (namespace, pod, container) (rate(container_cpu_cfs_periods_total{container!=""}[5m]))"#,
        ),
        (Figure::Restarts, "sum by (namespace, pod) (increase(kube_pod_container_status_restarts_total[1h]))"),
        (
            Figure::OomKilled,
            r#"sum by (namespace, pod, container) (increase(kube_pod_container_status_restarts_total[10m])) > 0 and on (namespace, pod, container) kube_pod_container_status_last_terminated_reason{reason="OOMKilled"} == 1"#,
        ),
        (
            Figure::Requested,
            r#"sum by (node, resource) (kube_pod_container_resource_requests and on (namespace, pod) (kube_pod_status_phase{phase=~"Pending|Running"} == 1)) / sum by (node, resource) (kube_node_status_allocatable)"#,
        ),
        (Figure::Evictions, "sum by (node, eviction_signal) (rate(kubelet_evictions[5m]))"),
        (Figure::Pending, r#"sum by (namespace) (kube_pod_status_phase{phase="Pending"})"#),
        (
            Figure::Latency,
            r#"histogram_quantile(0.99, sum by (verb, le) (rate(apiserver_request_duration_seconds_bucket{verb!~"WATCH|CONNECT"}[5m])))"#,
        ),
    ];

    /// The names of the series that it needs.
    pub fn needs(self) -> &'static [&'static str] {
        match self {
            Figure::Throttled => &["container_cpu_cfs_throttled_periods_total", "container_cpu_cfs_periods_total"],
            Figure::Restarts => &["kube_pod_container_status_restarts_total"],
            Figure::OomKilled => {
                &["kube_pod_container_status_restarts_total", "kube_pod_container_status_last_terminated_reason"]
            }
            Figure::Requested => {
                &["kube_pod_container_resource_requests", "kube_pod_status_phase", "kube_node_status_allocatable"]
            }
            Figure::Evictions => &["kubelet_evictions"],
            Figure::Pending => &["kube_pod_status_phase"],
            Figure::Latency => &["apiserver_request_duration_seconds_bucket"],
        }
    }
}
