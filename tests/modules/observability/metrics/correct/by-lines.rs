//! Passes: a page is a list of lines that is joined in the end, checked line by line for what comes twice; ranges count in whole milliseconds; figures
//! are loops over series with keys that are joined texts, in the opposite order.

use kit::observability::Metrics;
use kit::observability::metrics::{
    Bucket, Family, Figure, Function, Kind, LOOKBACK_MS, Labels, Number, Page, Reading, Sample, Series, Value,
};
use std::collections::HashMap;

#[derive(Default)]
struct Exercise;

fn valid(name: &str, others: &[char]) -> bool {
    !name.is_empty()
        && !name.as_bytes()[0].is_ascii_digit()
        && name
            .chars()
            .all(|c| c.is_ascii_digit() || c.is_ascii_lowercase() || c.is_ascii_uppercase() || others.contains(&c))
}

fn braces(labels: &Labels, le: Option<String>) -> String {
    let mut pairs = Vec::new();
    for (name, value) in labels {
        let value = value.split('\\').collect::<Vec<_>>().join(r"\\");
        let value = value.split('\n').collect::<Vec<_>>().join(r"\n");
        pairs.push(format!("{name}=\"{}\"", value.split('"').collect::<Vec<_>>().join("\\\"")));
    }
    if let Some(le) = le {
        pairs.push(format!("le=\"{le}\""));
    }
    match pairs.len() {
        0 => String::new(),
        _ => format!("{{{}}}", pairs.join(",")),
    }
}

/// The lines of one family, each without its value; and the values.
fn lines(family: &Family) -> Option<Vec<(String, String)>> {
    let name = &family.name;
    let mut order: Vec<usize> = (0..family.metrics.len()).collect();
    let key = |place: &usize| {
        let labels = &family.metrics[*place].labels;
        (labels.len(), labels.values().cloned().collect::<Vec<String>>())
    };
    order.sort_by_cached_key(key);
    let mut all = Vec::new();
    for place in order {
        let metric = &family.metrics[place];
        for label in metric.labels.keys() {
            let is_bound = label == "le" && matches!(family.kind, Kind::Histogram);
            if is_bound || label.starts_with("__") || !valid(label, &['_']) {
                return None;
            }
        }
        match &metric.value {
            Reading::Number(number) => {
                all.push((format!("{name}{}", braces(&metric.labels, None)), number.to_string()))
            }
            Reading::Histogram(histogram) => {
                let mut so_far = 0;
                for (place, count) in histogram.counts.iter().enumerate() {
                    so_far += count;
                    let le = histogram.bounds.get(place).map_or("+Inf".to_string(), |bound| bound.to_string());
                    let line = format!("{name}_bucket{}", braces(&metric.labels, Some(le)));
                    all.push((line, Number(so_far as f64).to_string()));
                }
                let own = braces(&metric.labels, None);
                all.push((format!("{name}_sum{own}"), histogram.sum.to_string()));
                all.push((format!("{name}_count{own}"), Number(so_far as f64).to_string()));
            }
        }
    }
    Some(all)
}

impl Metrics for Exercise {
    fn expose(&self, families: &[Family]) -> Page {
        let mut page = Vec::new();
        let mut places: Vec<usize> = (0..families.len()).filter(|place| !families[*place].metrics.is_empty()).collect();
        places.sort_by_key(|place| families[*place].name.clone());
        let mut reserved = Vec::new();
        for place in &places {
            let family = &families[*place];
            if family.kind == Kind::Histogram {
                reserved.extend(["_bucket", "_sum", "_count"].map(|suffix| family.name.clone() + suffix));
            }
        }
        let mut before = None;
        for place in places {
            let family = &families[place];
            if before == Some(&family.name) || reserved.contains(&family.name) || !valid(&family.name, &['_', ':']) {
                return Page::Refused;
            }
            before = Some(&family.name);
            let Some(lines) = lines(family) else { return Page::Refused };
            let mut names: Vec<&String> = lines.iter().map(|(line, _)| line).collect();
            names.sort();
            if names.windows(2).any(|pair| pair[0] == pair[1]) {
                return Page::Refused;
            }
            if let Some(help) = &family.help {
                page.push(format!("# HELP {} {}", family.name, help.replace('\\', r"\\").replace('\n', r"\n")));
            }
            let kind = if family.kind == Kind::Counter {
                "counter"
            } else if family.kind == Kind::Gauge {
                "gauge"
            } else {
                "histogram"
            };
            page.push(format!("# TYPE {} {kind}", family.name));
            page.extend(lines.iter().map(|(line, value)| format!("{line} {value}")));
        }
        page.push(String::new());
        Page::Text(page.join("\n"))
    }

    fn latest(&self, samples: &[Sample], now_ms: i64) -> Option<Number> {
        let mut found = None;
        for sample in samples {
            let age = now_ms - sample.at_ms;
            if age >= 0 {
                found = if age <= LOOKBACK_MS { sample.value } else { None };
            }
        }
        found
    }

    fn over_range(&self, function: &Function, samples: &[Sample], start_ms: i64, end_ms: i64) -> Option<Number> {
        let samples: Vec<&Sample> = samples.iter().filter(|sample| sample.value.is_some()).collect();
        let value = |place: usize| samples[place].value.map_or(0.0, |value| value.0);
        if samples.len() <= 1 {
            return None;
        }
        // The change, step by step: after a restart a step is all that is there.
        let mut change = 0.0;
        for place in 1..samples.len() {
            let restarted = value(place) < value(place - 1) && *function != Function::Delta;
            change += if restarted { value(place) } else { value(place) - value(place - 1) };
        }
        let span = samples[samples.len() - 1].at_ms - samples[0].at_ms;
        let steps = (samples.len() - 1) as i64;
        let as_it_is = |gap: f64| gap * 10.0 * (steps as f64) < span as f64 * 11.0;
        let half = span as f64 / steps as f64 / 2.0;
        let mut head = (samples[0].at_ms - start_ms) as f64;
        let tail = (end_ms - samples[samples.len() - 1].at_ms) as f64;
        if *function != Function::Delta && value(0) >= 0.0 && change > 0.0 {
            head = f64::min(head, value(0) / change * span as f64);
        }
        let reached = if as_it_is(head) { head } else { half } + if as_it_is(tail) { tail } else { half };
        let whole = change + change * reached / span as f64;
        let range = (end_ms - start_ms) as f64 / 1000.0;
        Some(Number(if *function == Function::Rate { whole / range } else { whole }))
    }

    fn histogram_quantile(&self, q: &Number, buckets: &[Bucket]) -> Number {
        if q.0.is_nan() {
            return *q;
        }
        if !(0.0..=1.0).contains(&q.0) {
            return Number(if q.0 < 0.0 { f64::NEG_INFINITY } else { f64::INFINITY });
        }
        let mut bounds: Vec<f64> = buckets.iter().map(|bucket| bucket.le.0).collect();
        bounds.sort_by(f64::total_cmp);
        bounds.dedup();
        // What counts up to a bound is the most that any bound up to it counts.
        let own =
            |bound: f64| buckets.iter().filter(|bucket| bucket.le.0 == bound).map(|bucket| bucket.count.0).sum::<f64>();
        let upto = |place: usize| bounds[..=place].iter().map(|bound| own(*bound)).fold(f64::NEG_INFINITY, f64::max);
        let Some(last) = bounds.len().checked_sub(1) else { return Number(f64::NAN) };
        if last == 0 || bounds[last] != f64::INFINITY || upto(last) == 0.0 {
            return Number(f64::NAN);
        }
        let rank = q.0 * upto(last);
        let place = (0..last).find(|place| upto(*place) >= rank).unwrap_or(last);
        if place == last {
            return Number(bounds[last - 1]);
        }
        if place == 0 {
            let bound = bounds[0];
            return Number(if bound <= 0.0 { bound } else { bound * (rank / upto(0)) });
        }
        let share = (rank - upto(place - 1)) / (upto(place) - upto(place - 1));
        Number(bounds[place - 1] * (1.0 - share) + bounds[place] * share)
    }

    fn figure(&self, figure: &Figure, series: &[Series], now_ms: i64) -> Vec<Value> {
        let text = |labels: &Labels, names: &[&str]| -> String {
            names.iter().map(|name| format!("{:?};", labels.get(*name))).collect()
        };
        let cut = |labels: &Labels, names: &[&str]| -> Labels {
            names.iter().filter_map(|name| labels.get_key_value(*name)).map(|(a, b)| (a.clone(), b.clone())).collect()
        };
        let range = |one: &Series, function: Function, ms: i64| {
            let within: Vec<Sample> = (one.samples.iter())
                .filter(|sample| now_ms - sample.at_ms >= 0 && now_ms - sample.at_ms <= ms)
                .copied()
                .collect();
            self.over_range(&function, &within, now_ms - ms, now_ms)
        };
        let has = |one: &Series, label: &str, value: &str| one.labels.get(label).is_some_and(|is| is == value);
        let mut sums: HashMap<String, (Labels, f64)> = HashMap::new();
        let mut others: HashMap<String, f64> = HashMap::new();
        let names: &[&str] = match figure {
            Figure::Throttled | Figure::OomKilled => &["namespace", "pod", "container"],
            Figure::Restarts => &["namespace", "pod"],
            Figure::Requested => &["node", "resource"],
            Figure::Evictions => &["node", "eviction_signal"],
            Figure::Pending => &["namespace"],
            Figure::Latency => &["verb", "le"],
        };
        for one in series.iter().rev() {
            let now = || self.latest(&one.samples, now_ms);
            let (value, other) = match (figure, one.name.as_str()) {
                (Figure::Throttled, _) if !one.labels.contains_key("container") => (None, None),
                (Figure::Throttled, "container_cpu_cfs_throttled_periods_total") => {
                    (range(one, Function::Rate, 300_000), None)
                }
                (Figure::Throttled, "container_cpu_cfs_periods_total") => (None, range(one, Function::Rate, 300_000)),
                (Figure::Restarts, "kube_pod_container_status_restarts_total") => {
                    (range(one, Function::Increase, 3_600_000), None)
                }
                (Figure::OomKilled, "kube_pod_container_status_restarts_total") => {
                    (range(one, Function::Increase, 600_000), None)
                }
                (Figure::OomKilled, "kube_pod_container_status_last_terminated_reason") => {
                    (None, now().filter(|value| value.0 == 1.0 && has(one, "reason", "OOMKilled")))
                }
                (Figure::Requested, "kube_pod_container_resource_requests") => {
                    let alive = series.iter().any(|other| {
                        other.name == "kube_pod_status_phase"
                            && (has(other, "phase", "Pending") || has(other, "phase", "Running"))
                            && text(&other.labels, &["namespace", "pod"]) == text(&one.labels, &["namespace", "pod"])
                            && self.latest(&other.samples, now_ms).is_some_and(|value| value.0 == 1.0)
                    });
                    (if alive { now() } else { None }, None)
                }
                (Figure::Requested, "kube_node_status_allocatable") => (None, now()),
                (Figure::Evictions, "kubelet_evictions") => (range(one, Function::Rate, 300_000), None),
                (Figure::Pending, "kube_pod_status_phase") if has(one, "phase", "Pending") => (now(), None),
                (Figure::Latency, "apiserver_request_duration_seconds_bucket")
                    if !has(one, "verb", "WATCH") && !has(one, "verb", "CONNECT") =>
                {
                    (range(one, Function::Rate, 300_000), None)
                }
                _ => (None, None),
            };
            let key = text(&one.labels, names);
            if let Some(value) = value {
                sums.entry(key.clone()).or_insert_with(|| (cut(&one.labels, names), 0.0)).1 += value.0;
            }
            if let Some(other) = other {
                *others.entry(key).or_insert(0.0) += other.0;
            }
        }
        let mut result = Vec::new();
        let mut verbs: HashMap<String, (Labels, Vec<Bucket>)> = HashMap::new();
        for (key, (mut labels, sum)) in sums {
            match figure {
                Figure::Throttled | Figure::Requested => {
                    if let Some(by) = others.get(&key) {
                        result.push(Value { labels, value: Number(sum / by) });
                    }
                }
                Figure::OomKilled => {
                    if sum > 0.0 && others.contains_key(&key) {
                        result.push(Value { labels, value: Number(sum) });
                    }
                }
                Figure::Latency => {
                    if let Some(le) = labels.remove("le").and_then(|le| le.parse::<f64>().ok()) {
                        let entry = verbs.entry(text(&labels, &["verb"])).or_insert_with(|| (labels, Vec::new()));
                        entry.1.push(Bucket { le: Number(le), count: Number(sum) });
                    }
                }
                _ => result.push(Value { labels, value: Number(sum) }),
            }
        }
        for (labels, buckets) in verbs.into_values() {
            result.push(Value { labels, value: self.histogram_quantile(&Number(0.99), &buckets) });
        }
        result
    }
}

kit::exercise!(Exercise: Metrics);
