//! Passes: figures are evaluated as expressions of a small language; the page is written into one text with `write!`; a range is one fold over the
//! samples; a quantile walks over a map of bounds.

use kit::observability::Metrics;
use kit::observability::metrics::{
    Bucket, Family, Figure, Function, Kind, Labels, Number, Page, Reading, Sample, Series, Value,
};
use std::collections::{BTreeMap, HashSet};
use std::fmt::Write;

#[derive(Default)]
struct Exercise;

type Vector = Vec<(Labels, f64)>;

/// What a figure is made of.
enum Expr {
    Now(&'static str, fn(&Labels) -> bool),
    Over(Function, &'static str, i64, fn(&Labels) -> bool),
    Sum(&'static [&'static str], Box<Expr>),
    Keep(Box<Expr>, fn(f64) -> bool),
    AndOn(Box<Expr>, &'static [&'static str], Box<Expr>),
    Divide(Box<Expr>, Box<Expr>),
    Quantile(f64, Box<Expr>),
}

fn of(labels: &Labels, name: &str) -> String {
    labels.get(name).cloned().unwrap_or_default()
}

fn any(_: &Labels) -> bool {
    true
}

const CONTAINER: &[&str] = &["namespace", "pod", "container"];

fn expression(figure: &Figure) -> Expr {
    use Expr::*;
    use Function::{Increase, Rate};
    let restarts = "kube_pod_container_status_restarts_total";
    let sum = |by, of| Box::new(Sum(by, Box::new(of)));
    match figure {
        Figure::Throttled => {
            let rate = |name| Over(Rate, name, 300, |labels| !of(labels, "container").is_empty());
            Divide(
                sum(CONTAINER, rate("container_cpu_cfs_throttled_periods_total")),
                sum(CONTAINER, rate("container_cpu_cfs_periods_total")),
            )
        }
        Figure::Restarts => Sum(&["namespace", "pod"], Box::new(Over(Increase, restarts, 3600, any))),
        Figure::OomKilled => {
            let reason = "kube_pod_container_status_last_terminated_reason";
            AndOn(
                Box::new(Keep(sum(CONTAINER, Over(Increase, restarts, 600, any)), |value| value > 0.0)),
                CONTAINER,
                Box::new(Keep(Box::new(Now(reason, |labels| of(labels, "reason") == "OOMKilled")), |value| {
                    value == 1.0
                })),
            )
        }
        Figure::Requested => {
            let by = &["node", "resource"];
            let alive = Now("kube_pod_status_phase", |labels| matches!(&*of(labels, "phase"), "Pending" | "Running"));
            let requests = AndOn(
                Box::new(Now("kube_pod_container_resource_requests", any)),
                &["namespace", "pod"],
                Box::new(Keep(Box::new(alive), |value| value == 1.0)),
            );
            Divide(sum(by, requests), sum(by, Now("kube_node_status_allocatable", any)))
        }
        Figure::Evictions => Sum(&["node", "eviction_signal"], Box::new(Over(Rate, "kubelet_evictions", 300, any))),
        Figure::Pending => {
            Sum(&["namespace"], Box::new(Now("kube_pod_status_phase", |labels| of(labels, "phase") == "Pending")))
        }
        Figure::Latency => {
            let rate = Over(Rate, "apiserver_request_duration_seconds_bucket", 300, |labels| {
                !matches!(&*of(labels, "verb"), "WATCH" | "CONNECT")
            });
            Quantile(0.99, sum(&["verb", "le"], rate))
        }
    }
}

impl Exercise {
    fn evaluate(&self, expr: &Expr, series: &[Series], now: i64) -> Vector {
        match expr {
            Expr::Now(name, fits) => {
                let found = series.iter().filter(|one| one.name == *name && fits(&one.labels));
                found.filter_map(|one| Some((one.labels.clone(), self.latest(&one.samples, now)?.0))).collect()
            }
            Expr::Over(function, name, seconds, fits) => {
                let start = now - seconds * 1000;
                let mut all = Vec::new();
                for one in series {
                    if one.name != *name || !fits(&one.labels) {
                        continue;
                    }
                    let first = one.samples.partition_point(|sample| sample.at_ms < start);
                    let end = one.samples.partition_point(|sample| sample.at_ms <= now);
                    if first < end {
                        let value = self.over_range(function, &one.samples[first..end], start, now);
                        all.extend(value.map(|value| (one.labels.clone(), value.0)));
                    }
                }
                all
            }
            Expr::Sum(by, inner) => {
                let mut sums: Vector = Vec::new();
                for (labels, value) in self.evaluate(inner, series, now) {
                    let kept = only(by, &labels);
                    match sums.iter_mut().find(|(known, _)| *known == kept) {
                        Some((_, sum)) => *sum += value,
                        None => sums.push((kept, value)),
                    }
                }
                sums
            }
            Expr::Keep(inner, holds) => {
                self.evaluate(inner, series, now).into_iter().filter(|(_, value)| holds(*value)).collect()
            }
            Expr::AndOn(left, on, right) => {
                let known: Vec<Labels> =
                    self.evaluate(right, series, now).iter().map(|(labels, _)| only(on, labels)).collect();
                let left = self.evaluate(left, series, now).into_iter();
                left.filter(|(labels, _)| known.contains(&only(on, labels))).collect()
            }
            Expr::Divide(left, right) => {
                let right: BTreeMap<Labels, f64> = self.evaluate(right, series, now).into_iter().collect();
                let left = self.evaluate(left, series, now).into_iter();
                left.filter_map(|(labels, value)| right.get(&labels).map(|by| (labels.clone(), value / by))).collect()
            }
            Expr::Quantile(q, inner) => {
                let mut all: BTreeMap<Labels, Vec<Bucket>> = BTreeMap::new();
                for (mut labels, value) in self.evaluate(inner, series, now) {
                    let Some(Ok(le)) = labels.remove("le").map(|le| le.parse()) else { continue };
                    all.entry(labels).or_default().push(Bucket { le: Number(le), count: Number(value) });
                }
                all.into_iter()
                    .map(|(labels, buckets)| (labels, self.histogram_quantile(&Number(*q), &buckets).0))
                    .collect()
            }
        }
    }
}

fn only(names: &[&str], labels: &Labels) -> Labels {
    let mut kept = labels.clone();
    kept.retain(|name, _| names.contains(&&**name));
    kept
}

fn is_word(text: &str, colon: bool) -> bool {
    let mut bytes = text.bytes();
    let fits = |byte: u8| byte == b'_' || byte.is_ascii_alphabetic() || colon && byte == b':';
    bytes.next().is_some_and(fits) && bytes.all(|byte| fits(byte) || byte.is_ascii_digit())
}

fn fault(families: &[&Family]) -> bool {
    let mut names = HashSet::new();
    for family in families {
        if !is_word(&family.name, true) || !names.insert(family.name.clone()) {
            return true;
        }
        let mut seen = HashSet::new();
        for metric in &family.metrics {
            let mut text = String::new();
            for (name, value) in &metric.labels {
                let taken = family.kind == Kind::Histogram && name == "le";
                if taken || !is_word(name, false) || name.starts_with("__") {
                    return true;
                }
                let _ = write!(text, "{name}={value:?},");
            }
            if !seen.insert(text) {
                return true;
            }
        }
    }
    let histograms = families.iter().filter(|family| family.kind == Kind::Histogram);
    histograms
        .flat_map(|one| ["bucket", "sum", "count"].map(|part| format!("{}_{part}", one.name)))
        .any(|name| names.contains(&name))
}

fn escape(text: &str, quotes: bool) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '"' if quotes => out.push_str("\\\""),
            other => out.push(other),
        }
    }
    out
}

fn put(out: &mut String, name: &str, labels: &Labels, le: &str, value: Number) {
    let mut all: Vec<(&str, &str)> = labels.iter().map(|(name, value)| (&**name, &**value)).collect();
    if !le.is_empty() {
        all.push(("le", le));
    }
    out.push_str(name);
    for (place, (label, text)) in all.iter().enumerate() {
        let _ = write!(out, "{}{label}=\"{}\"", if place == 0 { '{' } else { ',' }, escape(text, true));
    }
    if !all.is_empty() {
        out.push('}');
    }
    let _ = writeln!(out, " {value}");
}

impl Metrics for Exercise {
    fn expose(&self, families: &[Family]) -> Page {
        let mut there: Vec<&Family> = families.iter().filter(|family| !family.metrics.is_empty()).collect();
        if fault(&there) {
            return Page::Refused;
        }
        there.sort_by(|a, b| a.name.cmp(&b.name));
        let mut out = String::new();
        for family in there {
            if let Some(help) = &family.help {
                let _ = writeln!(out, "# HELP {} {}", family.name, escape(help, false));
            }
            let _ = writeln!(out, "# TYPE {} {}", family.name, format!("{:?}", family.kind).to_lowercase());
            let mut metrics: Vec<_> = family.metrics.iter().collect();
            metrics.sort_by(|a, b| {
                let by_number = a.labels.len().cmp(&b.labels.len());
                by_number.then_with(|| a.labels.values().cmp(b.labels.values()))
            });
            for metric in metrics {
                match &metric.value {
                    Reading::Number(value) => put(&mut out, &family.name, &metric.labels, "", *value),
                    Reading::Histogram(histogram) => {
                        let names = ["bucket", "sum", "count"].map(|part| format!("{}_{part}", family.name));
                        for (place, bound) in histogram.bounds.iter().enumerate() {
                            let below: u64 = histogram.counts[..=place].iter().sum();
                            put(&mut out, &names[0], &metric.labels, &bound.to_string(), Number(below as f64));
                        }
                        let total = Number(histogram.counts.iter().sum::<u64>() as f64);
                        put(&mut out, &names[0], &metric.labels, "+Inf", total);
                        put(&mut out, &names[1], &metric.labels, "", histogram.sum);
                        put(&mut out, &names[2], &metric.labels, "", total);
                    }
                }
            }
        }
        Page::Text(out)
    }

    fn latest(&self, samples: &[Sample], now_ms: i64) -> Option<Number> {
        let place = samples.partition_point(|sample| sample.at_ms <= now_ms).checked_sub(1)?;
        let newest = samples[place];
        if now_ms - newest.at_ms > 300_000 { None } else { newest.value }
    }

    fn over_range(&self, function: &Function, samples: &[Sample], start_ms: i64, end_ms: i64) -> Option<Number> {
        let counter = matches!(function, Function::Increase | Function::Rate);
        let mut count = 0_u32;
        let (mut first, mut last, mut lost) = ((0, 0.0), (0, 0.0), 0.0);
        for sample in samples {
            let Some(Number(value)) = sample.value else { continue };
            if count == 0 {
                first = (sample.at_ms, value);
            } else if counter && value < last.1 {
                lost += last.1;
            }
            last = (sample.at_ms, value);
            count += 1;
        }
        if count < 2 {
            return None;
        }
        let change = last.1 - first.1 + lost;
        let covered = (last.0 - first.0) as f64;
        let mean = covered / f64::from(count - 1);
        let mut head = (first.0 - start_ms) as f64;
        if counter && change > 0.0 && first.1 >= 0.0 && covered * first.1 / change < head {
            head = covered * first.1 / change;
        }
        let mut stretched = covered;
        for gap in [head, (end_ms - last.0) as f64] {
            stretched += if gap < 1.1 * mean { gap } else { 0.5 * mean };
        }
        let result = change * stretched / covered;
        Some(Number(match function {
            Function::Rate => result * 1000.0 / (end_ms - start_ms) as f64,
            _ => result,
        }))
    }

    fn histogram_quantile(&self, q: &Number, buckets: &[Bucket]) -> Number {
        let q = q.0;
        if q.is_nan() || q < 0.0 || q > 1.0 {
            return Number(if q.is_nan() { q } else { f64::INFINITY.copysign(q) });
        }
        let mut sorted: Vec<&Bucket> = buckets.iter().collect();
        sorted.sort_by(|a, b| a.le.partial_cmp(&b.le).expect("no bound is NaN"));
        let mut bounds: Vec<(f64, f64)> = Vec::new();
        for bucket in sorted {
            if bounds.last().is_some_and(|last| last.0 == bucket.le.0) {
                let last = bounds.len() - 1;
                bounds[last].1 += bucket.count.0;
            } else {
                bounds.push((bucket.le.0, bucket.count.0));
            }
        }
        for place in 1..bounds.len() {
            bounds[place].1 = bounds[place].1.max(bounds[place - 1].1);
        }
        let total = match bounds.pop() {
            Some((le, total)) if le == f64::INFINITY && total != 0.0 && !bounds.is_empty() => total,
            _ => return Number(f64::NAN),
        };
        let mut before = (0.0, 0.0);
        for (place, (le, count)) in bounds.iter().enumerate() {
            if *count >= q * total {
                if place == 0 && *le <= 0.0 {
                    return Number(*le);
                }
                return Number(before.0 + (le - before.0) * (q * total - before.1) / (count - before.1));
            }
            before = (*le, *count);
        }
        Number(before.0)
    }

    fn figure(&self, figure: &Figure, series: &[Series], now_ms: i64) -> Vec<Value> {
        let result = self.evaluate(&expression(figure), series, now_ms);
        result.into_iter().map(|(labels, value)| Value { labels, value: Number(value) }).collect()
    }
}

kit::exercise!(Exercise: Metrics);
