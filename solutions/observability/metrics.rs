//! The reference for `observability/metrics`.

// ANCHOR: solution
use kit::observability::Metrics;
use kit::observability::metrics::{
    Bucket, Family, Figure, Function, Histogram, Kind, LOOKBACK_MS, Labels, Metric, Number, Page, Reading, Sample,
    Series, Value,
};
use std::collections::{BTreeMap, BTreeSet};

/// Nothing is remembered.
#[derive(Default)]
pub struct Exercise;

impl Metrics for Exercise {
    fn expose(&self, families: &[Family]) -> Page {
        let mut families: Vec<&Family> = families.iter().filter(|family| !family.metrics.is_empty()).collect();
        families.sort_by_key(|family| &family.name);
        let names: BTreeSet<&str> = families.iter().map(|family| &*family.name).collect();
        if names.len() < families.len() || !families.iter().all(|family| is_sound(family, &names)) {
            return Page::Refused;
        }
        Page::Text(families.into_iter().map(page).collect())
    }

    fn latest(&self, samples: &[Sample], now_ms: i64) -> Option<Number> {
        let newest = samples.iter().rfind(|sample| sample.at_ms <= now_ms)?;
        newest.value.filter(|_| newest.at_ms >= now_ms - LOOKBACK_MS)
    }

    fn over_range(&self, function: &Function, samples: &[Sample], start_ms: i64, end_ms: i64) -> Option<Number> {
        let points: Vec<(i64, f64)> = samples.iter().filter_map(|s| s.value.map(|value| (s.at_ms, value.0))).collect();
        let [(first_at, first), .., (last_at, last)] = points[..] else { return None };
        let is_counter = *function != Function::Delta;
        let mut change = last - first;
        if is_counter {
            change += points.windows(2).filter(|pair| pair[1].1 < pair[0].1).map(|pair| pair[0].1).sum::<f64>();
        }
        let seconds = |from: i64, to: i64| (to - from) as f64 / 1000.0;
        let sampled = seconds(first_at, last_at);
        let distance = sampled / (points.len() - 1) as f64;
        let mut before = seconds(start_ms, first_at);
        if is_counter && change > 0.0 && first >= 0.0 {
            before = before.min(sampled * (first / change));
        }
        let counted = |gap: f64| if gap < distance * 1.1 { gap } else { distance / 2.0 };
        let stretched = change * ((sampled + counted(before) + counted(seconds(last_at, end_ms))) / sampled);
        Some(Number(if *function == Function::Rate { stretched / seconds(start_ms, end_ms) } else { stretched }))
    }

    fn histogram_quantile(&self, q: &Number, buckets: &[Bucket]) -> Number {
        Number(match q.0 {
            q if q.is_nan() => f64::NAN,
            q if q < 0.0 => f64::NEG_INFINITY,
            q if q > 1.0 => f64::INFINITY,
            q => quantile(q, buckets),
        })
    }

    fn figure(&self, figure: &Figure, series: &[Series], now_ms: i64) -> Vec<Value> {
        let seen = Seen { module: self, series, now_ms };
        let container = ["namespace", "pod", "container"];
        match figure {
            Figure::Throttled => {
                let of = |name: &str| {
                    let mut rates = seen.over(Function::Rate, name, 5);
                    rates.retain(|rate| rate.labels.contains_key("container"));
                    sum_by(&container, rates)
                };
                divided(of("container_cpu_cfs_throttled_periods_total"), &of("container_cpu_cfs_periods_total"))
            }
            Figure::Restarts => {
                let restarts = seen.over(Function::Increase, "kube_pod_container_status_restarts_total", 60);
                sum_by(&["namespace", "pod"], restarts)
            }
            Figure::OomKilled => {
                let restarts = seen.over(Function::Increase, "kube_pod_container_status_restarts_total", 10);
                let mut restarted = sum_by(&container, restarts);
                let reasons = seen.now("kube_pod_container_status_last_terminated_reason");
                let killed = |value: &&Value| value.value.0 == 1.0 && label(value, "reason") == "OOMKilled";
                let killed = keys(&container, reasons.iter().filter(killed));
                restarted.retain(|value| value.value.0 > 0.0 && killed.contains(&key(&container, &value.labels)));
                restarted
            }
            Figure::Requested => {
                let phases = seen.now("kube_pod_status_phase");
                let runs =
                    |value: &&Value| value.value.0 == 1.0 && ["Pending", "Running"].contains(&label(value, "phase"));
                let running = keys(&["namespace", "pod"], phases.iter().filter(runs));
                let mut requests = seen.now("kube_pod_container_resource_requests");
                requests.retain(|value| running.contains(&key(&["namespace", "pod"], &value.labels)));
                let by = ["node", "resource"];
                divided(sum_by(&by, requests), &sum_by(&by, seen.now("kube_node_status_allocatable")))
            }
            Figure::Evictions => {
                sum_by(&["node", "eviction_signal"], seen.over(Function::Rate, "kubelet_evictions", 5))
            }
            Figure::Pending => {
                let mut phases = seen.now("kube_pod_status_phase");
                phases.retain(|value| label(value, "phase") == "Pending");
                sum_by(&["namespace"], phases)
            }
            Figure::Latency => {
                let mut rates = seen.over(Function::Rate, "apiserver_request_duration_seconds_bucket", 5);
                rates.retain(|value| !["WATCH", "CONNECT"].contains(&label(value, "verb")));
                let mut histograms: BTreeMap<Labels, Vec<Bucket>> = BTreeMap::new();
                for mut rate in sum_by(&["verb", "le"], rates) {
                    let le = rate.labels.remove("le").and_then(|le| le.parse().ok());
                    let bucket = le.map(|le| Bucket { le: Number(le), count: rate.value });
                    histograms.entry(rate.labels).or_default().extend(bucket);
                }
                histograms.retain(|_, buckets| !buckets.is_empty());
                let q = |(labels, buckets): (Labels, Vec<Bucket>)| Value {
                    labels,
                    value: self.histogram_quantile(&Number(0.99), &buckets),
                };
                histograms.into_iter().map(q).collect()
            }
        }
    }
}

/// Whether nothing keeps a family from being served beside those with these names.
fn is_sound(family: &Family, names: &BTreeSet<&str>) -> bool {
    let is_histogram = family.kind == Kind::Histogram;
    let is_label = |name: &String| is_name(name, "_") && !name.starts_with("__") && !(is_histogram && name == "le");
    let distinct: BTreeSet<&Labels> = family.metrics.iter().map(|metric| &metric.labels).collect();
    let collides = |suffix: &&str| names.contains(&*format!("{}{suffix}", family.name));
    is_name(&family.name, "_:")
        && distinct.iter().all(|labels| labels.keys().all(is_label))
        && distinct.len() == family.metrics.len()
        && !(is_histogram && ["_bucket", "_sum", "_count"].iter().any(collides))
}

fn is_name(name: &str, signs: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || signs.contains(c))
        && name.chars().all(|c| c.is_ascii_alphanumeric() || signs.contains(c))
}

fn page(family: &Family) -> String {
    let name = &family.name;
    let mut metrics: Vec<&Metric> = family.metrics.iter().collect();
    metrics.sort_by_key(|metric| (metric.labels.len(), metric.labels.values().collect::<Vec<_>>()));
    let mut text = String::new();
    if let Some(help) = &family.help {
        text += &format!("# HELP {name} {}\n", escaped(help));
    }
    let kind = match family.kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram => "histogram",
    };
    text += &format!("# TYPE {name} {kind}\n");
    for metric in metrics {
        match &metric.value {
            Reading::Number(number) => text += &line(name, &metric.labels, None, *number),
            Reading::Histogram(histogram) => text += &buckets(name, &metric.labels, histogram),
        }
    }
    text
}

fn buckets(name: &str, labels: &Labels, histogram: &Histogram) -> String {
    let (mut text, mut count) = (String::new(), 0);
    let bounds = histogram.bounds.iter().copied().chain([Number(f64::INFINITY)]);
    for (bound, more) in bounds.zip(&histogram.counts) {
        count += more;
        text += &line(&format!("{name}_bucket"), labels, Some(bound), Number(count as f64));
    }
    text += &line(&format!("{name}_sum"), labels, None, histogram.sum);
    text + &line(&format!("{name}_count"), labels, None, Number(count as f64))
}

fn line(name: &str, labels: &Labels, le: Option<Number>, value: Number) -> String {
    let quoted = |value: &str| escaped(value).replace('"', "\\\"");
    let mut pairs: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", quoted(value))).collect();
    pairs.extend(le.map(|le| format!("le=\"{le}\"")));
    let pairs = if pairs.is_empty() { String::new() } else { format!("{{{}}}", pairs.join(",")) };
    format!("{name}{pairs} {value}\n")
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\n', "\\n")
}

fn quantile(q: f64, buckets: &[Bucket]) -> f64 {
    let mut buckets: Vec<(f64, f64)> = buckets.iter().map(|bucket| (bucket.le.0, bucket.count.0)).collect();
    buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut merged: Vec<(f64, f64)> = Vec::new();
    for (le, count) in buckets {
        match merged.last_mut() {
            Some(last) if last.0 == le => last.1 += count,
            _ => merged.push((le, count)),
        }
    }
    let mut most = f64::NEG_INFINITY;
    for (_, count) in &mut merged {
        most = most.max(*count);
        *count = most;
    }
    let Some(((f64::INFINITY, total), finite)) = merged.split_last() else { return f64::NAN };
    let Some(highest) = finite.last().filter(|_| *total != 0.0) else { return f64::NAN };
    let rank = q * total;
    let Some(place) = finite.iter().position(|(_, count)| *count >= rank) else { return highest.0 };
    let (upper, count) = finite[place];
    let (lower, below) = if place == 0 { (0.0, 0.0) } else { finite[place - 1] };
    if place == 0 && upper <= 0.0 {
        return upper;
    }
    lower + (upper - lower) * ((rank - below) / (count - below))
}

/// The series that a figure is reckoned from, and the time.
struct Seen<'a> {
    module: &'a Exercise,
    series: &'a [Series],
    now_ms: i64,
}

impl<'a> Seen<'a> {
    fn named(&self, name: &str) -> impl Iterator<Item = &'a Series> {
        self.series.iter().filter(move |series| series.name == name)
    }

    fn now(&self, name: &str) -> Vec<Value> {
        let of = |series: &Series| {
            let value = self.module.latest(&series.samples, self.now_ms)?;
            Some(Value { labels: series.labels.clone(), value })
        };
        self.named(name).filter_map(of).collect()
    }

    fn over(&self, function: Function, name: &str, minutes: i64) -> Vec<Value> {
        let start_ms = self.now_ms - minutes * 60_000;
        let of = |series: &Series| {
            let within = series.samples.iter().filter(|sample| (start_ms..=self.now_ms).contains(&sample.at_ms));
            let samples: Vec<Sample> = within.copied().collect();
            let value = self.module.over_range(&function, &samples, start_ms, self.now_ms)?;
            Some(Value { labels: series.labels.clone(), value })
        };
        self.named(name).filter_map(of).collect()
    }
}

fn label<'a>(value: &'a Value, name: &str) -> &'a str {
    value.labels.get(name).map_or("", String::as_str)
}

fn key(names: &[&str], labels: &Labels) -> Labels {
    let named = labels.iter().filter(|(name, _)| names.contains(&name.as_str()));
    named.map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn keys<'a>(names: &[&str], values: impl Iterator<Item = &'a Value>) -> BTreeSet<Labels> {
    values.map(|value| key(names, &value.labels)).collect()
}

fn sum_by(names: &[&str], values: Vec<Value>) -> Vec<Value> {
    let mut sums: BTreeMap<Labels, f64> = BTreeMap::new();
    for value in values {
        *sums.entry(key(names, &value.labels)).or_default() += value.value.0;
    }
    sums.into_iter().map(|(labels, sum)| Value { labels, value: Number(sum) }).collect()
}

fn divided(values: Vec<Value>, by: &[Value]) -> Vec<Value> {
    let share = |value: Value| {
        let by = by.iter().find(|other| other.labels == value.labels)?;
        Some(Value { value: Number(value.value.0 / by.value.0), ..value })
    };
    values.into_iter().filter_map(share).collect()
}
// ANCHOR_END: solution
