//! Passes: a page is a `Display` that writes byte by byte; a counter is first made whole, as if it had never been reset; a quantile
//! is looked for from the top; figures are put together from functions that make tables of tables.

use kit::observability::Metrics;
use kit::observability::metrics::{
    Bucket, Family, Figure, Function, Kind, LOOKBACK_MS, Labels, Metric, Number, Page, Reading, Sample, Series, Value,
};
use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter, Write};
use std::iter::once;

#[derive(Default)]
struct Exercise;

/// A text in which some signs have a backslash before them.
struct Escaped<'a>(&'a str, bool);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '\n' => f.write_str("\\n")?,
                '\\' => f.write_str("\\\\")?,
                '"' if self.1 => f.write_str("\\\"")?,
                _ => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// Labels in braces, and with them perhaps a bound.
struct Braces<'a>(&'a Labels, Option<Number>);

impl Display for Braces<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut sign = '{';
        for (name, value) in self.0 {
            write!(f, "{sign}{name}=\"{}\"", Escaped(value, true))?;
            sign = ',';
        }
        if let Some(le) = self.1 {
            write!(f, "{sign}le=\"{le}\"")?;
            sign = ',';
        }
        if sign == ',' { f.write_char('}') } else { Ok(()) }
    }
}

struct Lines<'a>(&'a Family);

impl Display for Lines<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Family { name, help, kind, metrics } = self.0;
        if let Some(help) = help {
            writeln!(f, "# HELP {name} {}", Escaped(help, false))?;
        }
        writeln!(f, "# TYPE {name} {}", format!("{kind:?}").to_lowercase())?;
        let mut inserted: Vec<&Metric> = Vec::new();
        for metric in metrics {
            let place = inserted.partition_point(|other| !comes_first(metric, other));
            inserted.insert(place, metric);
        }
        for Metric { labels, value } in inserted {
            match value {
                Reading::Number(number) => writeln!(f, "{name}{} {number}", Braces(labels, None))?,
                Reading::Histogram(histogram) => {
                    let bounds: Vec<Number> =
                        histogram.bounds.iter().copied().chain(once(Number(f64::INFINITY))).collect();
                    for (place, le) in bounds.into_iter().enumerate() {
                        let upto: u64 = histogram.counts[..=place].iter().sum();
                        writeln!(f, "{name}_bucket{} {}", Braces(labels, Some(le)), Number(upto as f64))?;
                    }
                    writeln!(f, "{name}_sum{} {}", Braces(labels, None), histogram.sum)?;
                    let all: u64 = histogram.counts.iter().sum();
                    writeln!(f, "{name}_count{} {}", Braces(labels, None), Number(all as f64))?;
                }
            }
        }
        Ok(())
    }
}

fn comes_first(one: &Metric, other: &Metric) -> bool {
    if one.labels.len() != other.labels.len() {
        return one.labels.len() < other.labels.len();
    }
    let differ = one.labels.values().zip(other.labels.values()).find(|(a, b)| a != b);
    differ.is_some_and(|(a, b)| a < b)
}

fn is_name(name: &str, colons: bool) -> bool {
    !name.is_empty()
        && name.bytes().enumerate().all(|(place, byte)| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => true,
            b'0'..=b'9' => place > 0,
            b':' => colons,
            _ => false,
        })
}

fn has_a_fault(family: &Family, all: &[&Family]) -> bool {
    let is_histogram = matches!(family.kind, Kind::Histogram);
    let twice = family
        .metrics
        .iter()
        .enumerate()
        .any(|(at, one)| family.metrics[at + 1..].iter().any(|m| m.labels == one.labels));
    let bad_label = family
        .metrics
        .iter()
        .flat_map(|metric| metric.labels.keys())
        .any(|label| !is_name(label, false) || label.get(..2) == Some("__") || (is_histogram && label == "le"));
    let same = all.iter().filter(|other| other.name == family.name).count() > 1;
    let part_of = |whole: &&&Family| {
        let rest = family.name.strip_prefix(whole.name.as_str());
        whole.kind == Kind::Histogram && matches!(rest, Some("_bucket" | "_sum" | "_count"))
    };
    !is_name(&family.name, true) || twice || bad_label || same || all.iter().any(|whole| part_of(&whole))
}

/// Samples with a value, as they would be had the counter never been reset.
fn whole(function: &Function, samples: &[Sample]) -> Vec<(f64, f64)> {
    let mut lost = 0.0;
    let mut before: Option<f64> = None;
    let mut all = Vec::new();
    for sample in samples {
        let Some(Number(value)) = sample.value else { continue };
        match (function, before) {
            (Function::Delta, _) | (_, None) => {}
            (_, Some(before)) if value < before => lost += before,
            _ => {}
        }
        before = Some(value);
        all.push((sample.at_ms as f64, value + lost));
    }
    all
}

/// A table: rows of labels with a value.
type Table = Vec<(Labels, f64)>;

struct World<'a> {
    me: &'a Exercise,
    series: &'a [Series],
    now: i64,
}

impl World<'_> {
    fn each(&self, name: &str, of: impl Fn(&[Sample]) -> Option<Number>) -> Table {
        let mut table = Vec::new();
        for series in self.series {
            if series.name == name
                && let Some(value) = of(&series.samples)
            {
                table.push((series.labels.clone(), value.0));
            }
        }
        table
    }

    fn now(&self, name: &str) -> Table {
        self.each(name, |samples| self.me.latest(samples, self.now))
    }

    fn over(&self, function: Function, minutes: i64, name: &str) -> Table {
        let start = self.now - minutes * 60_000;
        self.each(name, |samples| {
            // They are in the order of time, so the range is a slice.
            let from = samples.partition_point(|sample| sample.at_ms < start);
            let to = samples.partition_point(|sample| sample.at_ms <= self.now);
            self.me.over_range(&function, &samples[from..to], start, self.now)
        })
    }
}

fn keep(table: Table, label: &str, holds: impl Fn(Option<&str>) -> bool) -> Table {
    table.into_iter().filter(|(labels, _)| holds(labels.get(label).map(String::as_str))).collect()
}

fn only(labels: &Labels, names: &[&str]) -> Labels {
    let mut labels = labels.clone();
    labels.retain(|name, _| names.contains(&name.as_str()));
    labels
}

fn sum(by: &[&str], table: Table) -> Table {
    let mut rows: Table = Vec::new();
    for (labels, value) in table {
        let labels = only(&labels, by);
        match rows.iter_mut().find(|row| row.0 == labels) {
            Some(row) => row.1 += value,
            None => rows.push((labels, value)),
        }
    }
    rows
}

fn and_on(names: &[&str], table: Table, other: &Table) -> Table {
    let has = |labels: &Labels| {
        other.iter().any(|(theirs, _)| names.iter().all(|name| theirs.get(*name) == labels.get(*name)))
    };
    table.into_iter().filter(|(labels, _)| has(labels)).collect()
}

fn by(table: Table, other: Table) -> Table {
    let other: BTreeMap<Labels, f64> = other.into_iter().collect();
    table.into_iter().filter_map(|(labels, value)| other.get(&labels).map(|by| (labels.clone(), value / by))).collect()
}

fn ones(mut table: Table) -> Table {
    table.retain(|(_, value)| *value == 1.0);
    table
}

impl Metrics for Exercise {
    fn expose(&self, families: &[Family]) -> Page {
        let mut there: Vec<&Family> = Vec::new();
        there.extend(families.iter().filter(|family| family.metrics.first().is_some()));
        if there.iter().any(|family| has_a_fault(family, &there)) {
            return Page::Refused;
        }
        let by_name: BTreeMap<&str, &Family> = there.into_iter().map(|family| (family.name.as_str(), family)).collect();
        Page::Text(by_name.into_values().map(|family| Lines(family).to_string()).collect())
    }

    fn latest(&self, samples: &[Sample], now_ms: i64) -> Option<Number> {
        let known = samples.partition_point(|sample| sample.at_ms <= now_ms);
        let old = samples.partition_point(|sample| sample.at_ms < now_ms - LOOKBACK_MS);
        samples[old..known].last()?.value
    }

    fn over_range(&self, function: &Function, samples: &[Sample], start_ms: i64, end_ms: i64) -> Option<Number> {
        let points = whole(function, samples);
        if points.len() < 2 {
            return None;
        }
        let (first, last) = (points[0], points[points.len() - 1]);
        let (rise, time) = (last.1 - first.1, last.0 - first.0);
        let mean = time / (points.len() as f64 - 1.0);
        let mut gaps = [first.0 - start_ms as f64, end_ms as f64 - last.0];
        if !matches!(function, Function::Delta) && first.1 >= 0.0 && rise > 0.0 {
            let pace = rise / time;
            gaps[0] = gaps[0].min(first.1 / pace);
        }
        for gap in &mut gaps {
            if *gap >= mean * 1.1 {
                *gap = mean / 2.0;
            }
        }
        let rose = rise * (1.0 + (gaps[0] + gaps[1]) / time);
        Some(Number(match function {
            Function::Rate => rose * 1000.0 / (end_ms - start_ms) as f64,
            Function::Increase | Function::Delta => rose,
        }))
    }

    fn histogram_quantile(&self, q: &Number, buckets: &[Bucket]) -> Number {
        if q.0.is_nan() {
            return Number(f64::NAN);
        }
        if q.0 < 0.0 {
            return Number(f64::NEG_INFINITY);
        }
        if q.0 > 1.0 {
            return Number(f64::INFINITY);
        }
        let mut left = buckets.to_vec();
        let mut rows: Vec<(f64, f64)> = Vec::new();
        while !left.is_empty() {
            let least = left.iter().map(|bucket| bucket.le.0).fold(f64::INFINITY, f64::min);
            let count: f64 = left.iter().filter(|bucket| bucket.le.0 == least).map(|bucket| bucket.count.0).sum();
            left.retain(|bucket| bucket.le.0 != least);
            let before = rows.last().map_or(count, |row| row.1);
            rows.push((least, if count < before { before } else { count }));
        }
        let end = rows.len();
        if end < 2 || rows[end - 1].0 < f64::INFINITY || rows[end - 1].1 == 0.0 {
            return Number(f64::NAN);
        }
        let rank = q.0 * rows[end - 1].1;
        let mut place = end - 1;
        while place > 0 && rows[place - 1].1 >= rank {
            place -= 1;
        }
        let (upper, count) = rows[place];
        let before = place.checked_sub(1).map(|before| rows[before]);
        Number(match before {
            Some((bound, _)) if upper == f64::INFINITY => bound,
            None if upper <= 0.0 => upper,
            before => {
                let (lower, below) = before.unwrap_or_default();
                lower + (upper - lower) * (rank - below) / (count - below)
            }
        })
    }

    fn figure(&self, figure: &Figure, series: &[Series], now_ms: i64) -> Vec<Value> {
        let world = World { me: self, series, now: now_ms };
        let (pod, container) = (["namespace", "pod"], ["namespace", "pod", "container"]);
        let restarts = "kube_pod_container_status_restarts_total";
        let table = match figure {
            Figure::Throttled => {
                let of =
                    |name| sum(&container, keep(world.over(Function::Rate, 5, name), "container", |is| is.is_some()));
                by(of("container_cpu_cfs_throttled_periods_total"), of("container_cpu_cfs_periods_total"))
            }
            Figure::Restarts => sum(&pod, world.over(Function::Increase, 60, restarts)),
            Figure::OomKilled => {
                let mut restarted = sum(&container, world.over(Function::Increase, 10, restarts));
                restarted.retain(|(_, value)| *value > 0.0);
                let reasons = world.now("kube_pod_container_status_last_terminated_reason");
                and_on(&container, restarted, &ones(keep(reasons, "reason", |is| is == Some("OOMKilled"))))
            }
            Figure::Requested => {
                let lives = |is: Option<&str>| matches!(is, Some("Pending" | "Running"));
                let living = ones(keep(world.now("kube_pod_status_phase"), "phase", lives));
                let wanted = and_on(&pod, world.now("kube_pod_container_resource_requests"), &living);
                let names = ["node", "resource"];
                by(sum(&names, wanted), sum(&names, world.now("kube_node_status_allocatable")))
            }
            Figure::Evictions => sum(&["node", "eviction_signal"], world.over(Function::Rate, 5, "kubelet_evictions")),
            Figure::Pending => {
                sum(&["namespace"], keep(world.now("kube_pod_status_phase"), "phase", |is| is == Some("Pending")))
            }
            Figure::Latency => {
                // A ratio of rates is one of increases.
                let all = world.over(Function::Increase, 5, "apiserver_request_duration_seconds_bucket");
                let all = keep(all, "verb", |is| !matches!(is, Some("WATCH" | "CONNECT")));
                let all = sum(&["verb", "le"], keep(all, "le", |is| is.is_some_and(|le| le.parse::<f64>().is_ok())));
                let verbs = sum(&["verb"], all.clone());
                let quantile = |(verb, _): (Labels, f64)| {
                    let own = all.iter().filter(|(labels, _)| only(labels, &["verb"]) == verb);
                    let bucket = |(labels, count): &(Labels, f64)| {
                        Some(Bucket { le: Number(labels.get("le")?.parse().ok()?), count: Number(*count) })
                    };
                    let buckets: Vec<Bucket> = own.filter_map(bucket).collect();
                    (verb, self.histogram_quantile(&Number(0.99), &buckets).0)
                };
                verbs.into_iter().map(quantile).collect()
            }
        };
        table.into_iter().map(|(labels, value)| Value { labels, value: Number(value) }).collect()
    }
}

kit::exercise!(Exercise: Metrics);
