//! Passes: functions that call themselves instead of loops (escaping, restarts, the buckets of a page and of a quantile), and figures made of a list
//! of groups that are sorted and then merged.

use kit::observability::Metrics;
use kit::observability::metrics::{
    Bucket, Family, Figure, Function, Kind, Labels, Metric, Number, Page, Reading, Sample, Series, Value,
};
use std::cmp::Ordering;

#[derive(Default)]
struct Exercise;

fn escaped(text: &str, special: &str) -> String {
    match text.find(|c| special.contains(c)) {
        None => text.into(),
        Some(at) => {
            let code = if text[at..].starts_with('\n') { "n" } else { &text[at..=at] };
            format!("{}\\{code}{}", &text[..at], escaped(&text[at + 1..], special))
        }
    }
}

fn named(name: &str, labels: &[(String, String)], value: Number) -> String {
    let inside: Vec<String> =
        labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value, "\\\n\""))).collect();
    let inside = inside.join(",");
    if inside.is_empty() { format!("{name} {value}\n") } else { format!("{name}{{{inside}}} {value}\n") }
}

fn bucket_lines(name: &str, labels: &[(String, String)], bounds: &[Number], counts: &[u64], before: u64) -> String {
    let Some((first, rest)) = counts.split_first() else { return String::new() };
    let so_far = before + first;
    let le = bounds.first().copied().unwrap_or(Number(f64::INFINITY));
    let labels_and_le = [labels, &[("le".to_string(), le.to_string())]].concat();
    let line = named(&format!("{name}_bucket"), &labels_and_le, Number(so_far as f64));
    line + &bucket_lines(name, labels, bounds.get(1..).unwrap_or_default(), rest, so_far)
}

fn metric_lines(name: &str, metric: &Metric) -> String {
    let labels: Vec<(String, String)> = metric.labels.clone().into_iter().collect();
    match &metric.value {
        Reading::Number(value) => named(name, &labels, *value),
        Reading::Histogram(of) => {
            let total: u64 = of.counts.iter().sum();
            bucket_lines(name, &labels, &of.bounds, &of.counts, 0)
                + &named(&format!("{name}_sum"), &labels, of.sum)
                + &named(&format!("{name}_count"), &labels, Number(total as f64))
        }
    }
}

fn before(a: &Labels, b: &Labels) -> Ordering {
    if a.len() != b.len() {
        return a.len().cmp(&b.len());
    }
    a.values().zip(b.values()).map(|(a, b)| a.cmp(b)).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

fn is_name(name: &str, colon: bool) -> bool {
    name.bytes().enumerate().all(|(place, byte)| match byte {
        b'_' | b'a'..=b'z' | b'A'..=b'Z' => true,
        b'0'..=b'9' => place > 0,
        b':' => colon,
        _ => false,
    }) && !name.is_empty()
}

fn sound(families: &[Family]) -> bool {
    let there = || families.iter().filter(|family| !family.metrics.is_empty());
    there().enumerate().all(|(place, family)| {
        let histogram = family.kind == Kind::Histogram;
        let label = |name: &String| is_name(name, false) && !name.starts_with("__") && (!histogram || name != "le");
        let alone = there().enumerate().all(|(other, it)| {
            let suffix = it.name.strip_prefix(family.name.as_str());
            other == place
                || suffix != Some("") && !(histogram && matches!(suffix, Some("_bucket" | "_sum" | "_count")))
        });
        let distinct = family.metrics.iter().enumerate().all(|(place, metric)| {
            metric.labels.keys().all(label) && family.metrics[..place].iter().all(|other| other.labels != metric.labels)
        });
        is_name(&family.name, true) && alone && distinct
    })
}

/// How much is missing because of restarts.
fn missing(values: &[f64]) -> f64 {
    match values {
        [a, b, ..] => (if b < a { *a } else { 0.0 }) + missing(&values[1..]),
        _ => 0.0,
    }
}

/// The answer among buckets in their order, below which lie these bound and count.
fn search(rank: f64, below: Option<(f64, f64)>, buckets: &[(f64, f64)]) -> f64 {
    let (low, less) = below.unwrap_or((0.0, 0.0));
    match buckets {
        [(le, count), ..] if *count >= rank && below.is_none() && *le <= 0.0 => *le,
        [(le, count), ..] if *count >= rank => low + (rank - less) / (count - less) * (le - low),
        [first, rest @ ..] => search(rank, Some(*first), rest),
        [] => low,
    }
}

fn merged(mut values: Vec<(Labels, f64)>) -> Vec<(Labels, f64)> {
    values.sort_by(|a, b| a.0.cmp(&b.0));
    values.chunk_by(|a, b| a.0 == b.0).map(|same| (same[0].0.clone(), same.iter().map(|one| one.1).sum())).collect()
}

struct Question<'a> {
    module: &'a Exercise,
    series: &'a [Series],
    now: i64,
}

impl Question<'_> {
    /// The values of all series of a name that fit, with the labels that are wanted.
    fn ask(
        &self,
        name: &str,
        by: &[&str],
        fits: &dyn Fn(&dyn Fn(&str) -> String) -> bool,
        range: Option<(Function, i64)>,
    ) -> Vec<(Labels, f64)> {
        let mut found = Vec::new();
        for one in self.series.iter().filter(|one| one.name == name) {
            if !fits(&|label| one.labels.get(label).cloned().unwrap_or_default()) {
                continue;
            }
            let value = match range {
                None => self.module.latest(&one.samples, self.now),
                Some((function, minutes)) => {
                    let from = self.now - minutes * 60_000;
                    let in_range = one.samples.iter().filter(|sample| from <= sample.at_ms && sample.at_ms <= self.now);
                    self.module.over_range(&function, &in_range.copied().collect::<Vec<_>>(), from, self.now)
                }
            };
            let labels = one.labels.iter().filter(|(label, _)| by.contains(&label.as_str()));
            let labels: Labels = labels.map(|(a, b)| (a.clone(), b.clone())).collect();
            found.extend(value.map(|value| (labels, value.0)));
        }
        found
    }
}

fn shares(values: Vec<(Labels, f64)>, of: Vec<(Labels, f64)>) -> Vec<(Labels, f64)> {
    let (values, of) = (merged(values), merged(of));
    let share = |(labels, value): (Labels, f64)| {
        let place = of.binary_search_by(|other| other.0.cmp(&labels)).ok()?;
        Some((labels, value / of[place].1))
    };
    values.into_iter().filter_map(share).collect()
}

impl Metrics for Exercise {
    fn expose(&self, families: &[Family]) -> Page {
        if !sound(families) {
            return Page::Refused;
        }
        let mut pages: Vec<(&String, String)> = Vec::new();
        for family in families.iter().filter(|family| !family.metrics.is_empty()) {
            let kind = match family.kind {
                Kind::Counter => "counter",
                Kind::Gauge => "gauge",
                Kind::Histogram => "histogram",
            };
            let help = family.help.as_ref().map(|help| format!("# HELP {} {}\n", family.name, escaped(help, "\\\n")));
            let mut page = help.unwrap_or_default() + &format!("# TYPE {} {kind}\n", family.name);
            let mut metrics = family.metrics.clone();
            metrics.sort_by(|a, b| before(&a.labels, &b.labels));
            metrics.iter().for_each(|metric| page += &metric_lines(&family.name, metric));
            pages.push((&family.name, page));
        }
        pages.sort();
        Page::Text(pages.into_iter().map(|(_, page)| page).collect())
    }

    fn latest(&self, samples: &[Sample], now_ms: i64) -> Option<Number> {
        let (last, rest) = samples.split_last()?;
        if last.at_ms > now_ms {
            return self.latest(rest, now_ms);
        }
        last.value.filter(|_| last.at_ms + 5 * 60 * 1000 >= now_ms)
    }

    fn over_range(&self, function: &Function, samples: &[Sample], start_ms: i64, end_ms: i64) -> Option<Number> {
        let (times, values): (Vec<i64>, Vec<f64>) =
            samples.iter().filter_map(|sample| Some((sample.at_ms, sample.value?.0))).unzip();
        let steps = times.len().checked_sub(1).filter(|steps| *steps > 0)?;
        let gauge = *function == Function::Delta;
        let change = values[steps] - values[0] + if gauge { 0.0 } else { missing(&values) };
        let span = (times[steps] - times[0]) as f64 / 1e3;
        let step = span / steps as f64;
        let gaps = [(times[0] - start_ms) as f64 / 1e3, (end_ms - times[steps]) as f64 / 1e3];
        let to_zero = if gauge || change <= 0.0 || values[0] < 0.0 { f64::INFINITY } else { values[0] * span / change };
        let gaps = [gaps[0].min(to_zero), gaps[1]].map(|gap| if gap >= step * 1.1 { step / 2.0 } else { gap });
        let all = change / span * (span + gaps[0] + gaps[1]);
        Some(Number(if *function == Function::Rate { all / ((end_ms - start_ms) as f64 / 1e3) } else { all }))
    }

    fn histogram_quantile(&self, q: &Number, buckets: &[Bucket]) -> Number {
        let mut all: Vec<(f64, f64)> = Vec::new();
        let mut sorted: Vec<(f64, f64)> = buckets.iter().map(|bucket| (bucket.le.0, bucket.count.0)).collect();
        sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
        for same in sorted.chunk_by(|a, b| a.0 == b.0) {
            let count = same.iter().map(|one| one.1).sum::<f64>();
            let least = all.last().map_or(count, |last| last.1);
            all.push((same[0].0, count.max(least)));
        }
        Number(match (q.0, all.as_slice()) {
            (q, _) if q.is_nan() => q,
            (q, _) if q < 0.0 => f64::NEG_INFINITY,
            (q, _) if q > 1.0 => f64::INFINITY,
            (q, [finite @ .., (le, total)]) if le.is_infinite() && !finite.is_empty() && *total != 0.0 => {
                search(q * total, None, finite)
            }
            _ => f64::NAN,
        })
    }

    fn figure(&self, figure: &Figure, series: &[Series], now_ms: i64) -> Vec<Value> {
        let question = Question { module: self, series, now: now_ms };
        let container = ["namespace", "pod", "container"];
        let all = |_: &dyn Fn(&str) -> String| true;
        let result = match figure {
            Figure::Throttled => {
                let of = |what: &str| {
                    let name = format!("container_cpu_cfs_{what}");
                    question.ask(&name, &container, &|label| !label("container").is_empty(), Some((Function::Rate, 5)))
                };
                shares(of("throttled_periods_total"), of("periods_total"))
            }
            Figure::Restarts => merged(question.ask(
                "kube_pod_container_status_restarts_total",
                &["namespace", "pod"],
                &all,
                Some((Function::Increase, 60)),
            )),
            Figure::OomKilled => {
                let killed = question.ask(
                    "kube_pod_container_status_last_terminated_reason",
                    &container,
                    &|label| label("reason") == "OOMKilled",
                    None,
                );
                let range = Some((Function::Increase, 10));
                let restarts = question.ask("kube_pod_container_status_restarts_total", &container, &all, range);
                let mut restarts = merged(restarts);
                restarts.retain(|(labels, value)| {
                    *value > 0.0 && killed.iter().any(|(other, value)| other == labels && *value == 1.0)
                });
                restarts
            }
            Figure::Requested => {
                let alive = question.ask(
                    "kube_pod_status_phase",
                    &["namespace", "pod"],
                    &|label| ["Pending", "Running"].contains(&label("phase").as_str()),
                    None,
                );
                let fits = |label: &dyn Fn(&str) -> String| {
                    alive.iter().any(|(labels, value)| {
                        let same = |name: &str| labels.get(name).cloned().unwrap_or_default() == label(name);
                        *value == 1.0 && same("namespace") && same("pod")
                    })
                };
                let by = ["node", "resource"];
                shares(
                    question.ask("kube_pod_container_resource_requests", &by, &fits, None),
                    question.ask("kube_node_status_allocatable", &by, &all, None),
                )
            }
            Figure::Evictions => {
                let by = ["node", "eviction_signal"];
                merged(question.ask("kubelet_evictions", &by, &all, Some((Function::Rate, 5))))
            }
            Figure::Pending => merged(question.ask(
                "kube_pod_status_phase",
                &["namespace"],
                &|label| label("phase") == "Pending",
                None,
            )),
            Figure::Latency => {
                let quick = |label: &dyn Fn(&str) -> String| !["WATCH", "CONNECT"].contains(&label("verb").as_str());
                let name = "apiserver_request_duration_seconds_bucket";
                let rates = question.ask(name, &["verb", "le"], &quick, Some((Function::Rate, 5)));
                let mut buckets: Vec<(Option<String>, Bucket)> = Vec::new();
                for (mut labels, count) in merged(rates) {
                    let le = labels.remove("le").and_then(|le| le.parse().ok());
                    buckets
                        .extend(le.map(|le| (labels.remove("verb"), Bucket { le: Number(le), count: Number(count) })));
                }
                buckets.sort_by(|a, b| a.0.cmp(&b.0));
                let verbs = buckets.chunk_by(|a, b| a.0 == b.0).map(|same| {
                    let labels = same[0].0.iter().map(|verb| ("verb".to_string(), verb.clone())).collect();
                    let of: Vec<Bucket> = same.iter().map(|(_, bucket)| *bucket).collect();
                    (labels, self.histogram_quantile(&Number(0.99), &of).0)
                });
                verbs.collect()
            }
        };
        result.into_iter().map(|(labels, value)| Value { labels, value: Number(value) }).collect()
    }
}

kit::exercise!(Exercise: Metrics);
