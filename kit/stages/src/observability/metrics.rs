//! Fresh scenarios of `observability/metrics`: pages with and without a fault; samples at the ends of ranges, with restarts; buckets in any order;
//! series of two namespaces whose labels overlap.

use crate::fresh::{Generator, scenario, several, step};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select, subsequence};
use serde_json::{Map, Value, json};

/// Some clocks begin at 0, others in 1970.
const STARTS: [i64; 2] = [0, 1_764_000_000_000];

/// Names, most of which are fine.
const NAMES: [&str; 14] = [
    "a_total",
    "took_seconds",
    "job:requests:rate5m",
    "_up",
    "__up",
    "took_seconds_a",
    "took_seconds_count",
    "took_seconds_sum",
    "took_seconds_bucket",
    "took_seconds_total",
    "B",
    "9lives",
    "requests-total",
    "größe",
];
const LABELS: [&str; 10] = ["code", "verb", "zone", "_x", "a9", "le", "__name__", "a:b", "9a", "a-b"];
/// Some are in another order when they are escaped, joined or read as numbers, and some are escaped elsewhere, but not here.
const TEXTS: [&str; 14] =
    ["200", "1000", "GET", "", "a", "a\"b", "aZ", "a b", " a", "C:\\dir", "two\nlines", "\\n", "a\tb", "é"];

fn number() -> impl Strategy<Value = Value> {
    select(vec![
        json!(0),
        json!(1),
        json!(0.25),
        json!(-3.5),
        json!(16_777_216),
        json!(1e-7),
        json!(1e21),
        json!("NaN"),
        json!("+Inf"),
        json!("-Inf"),
    ])
}

/// Labels that are mostly sound; in a few pages one is not.
fn labels(names: Vec<&'static str>) -> impl Strategy<Value = Map<String, Value>> {
    (Just(names), vec(select(TEXTS.to_vec()), 4)).prop_map(|(names, texts)| {
        names.iter().zip(texts).map(|(name, text)| (name.to_string(), Value::from(text))).collect()
    })
}

fn histogram() -> impl Strategy<Value = Value> {
    let bounds = subsequence(vec![-1.0, 0.0, 0.005, 0.1, 0.5, 2.5, 10.0, 1e6], 0..5);
    let counts = vec(select(vec![0_u64, 1, 2, 7, 100, 1_000_000, 1 << 40]), 9);
    (bounds, counts, number())
        .prop_map(|(bounds, counts, sum)| json!({"counts": counts[..=bounds.len()], "bounds": bounds, "sum": sum}))
}

fn family(odd: bool) -> impl Strategy<Value = Value> {
    let name = if odd { select(NAMES.to_vec()) } else { select(NAMES[..4].to_vec()) };
    let kind = select(vec!["Counter", "Gauge", "Histogram"]);
    let help = option::weighted(0.7, select(TEXTS.to_vec()));
    // All metrics of a family have the same labels, but now and then one has more.
    let names = subsequence(if odd { LABELS.to_vec() } else { LABELS[..5].to_vec() }, 0..3);
    let metrics = names.prop_flat_map(|names| {
        let more = [&names[..], &["zzz"]].concat();
        let metric = prop_oneof![6 => labels(names), 1 => labels(more)];
        (vec((metric, number(), histogram()), 0..4), any::<Index>())
    });
    (name, kind, help, metrics, any::<bool>()).prop_map(move |(name, kind, help, (metrics, turn), twice)| {
        let mut seen: Vec<Map<String, Value>> = Vec::new();
        let mut all = Vec::new();
        for (labels, number, histogram) in metrics {
            if seen.contains(&labels) && !(odd && twice) {
                continue;
            }
            let value = if kind == "Histogram" { histogram } else { number };
            all.push(json!({"labels": labels, "value": value}));
            seen.push(labels);
        }
        if !all.is_empty() {
            let turn = turn.index(all.len());
            all.rotate_left(turn);
        }
        json!({"name": name, "help": help, "kind": kind, "metrics": all})
    })
}

fn exposed() -> impl Strategy<Value = Value> {
    let sound = vec(family(false), 0..4).prop_map(|mut families| {
        let mut names = Vec::new();
        families.retain(|family| {
            let new = !names.contains(&family["name"]);
            names.push(family["name"].clone());
            new
        });
        families
    });
    let odd = prop_oneof![
        2 => vec(family(true), 1..3),
        1 => (family(true), family(false)).prop_map(|(one, mut other)| {
            other["kind"] = "Histogram".into();
            other["name"] = "took_seconds".into();
            other["metrics"] = json!([{"value": {"bounds": [], "counts": [1], "sum": 1}}]);
            vec![other, one]
        }),
    ];
    prop_oneof![3 => sound, 2 => odd].prop_map(|families| json!({"families": families}))
}

/// Times from 0 on, mostly in one rhythm, and with them how a counter goes on.
fn samples(most: usize) -> impl Strategy<Value = Vec<(i64, Option<f64>)>> {
    let first = select(vec![0_i64, 1, 15_000, 30_000, 66_000, 120_000]);
    let every = select(vec![60_000_i64, 15_000, 30_000, 100_000]);
    let steps = vec((prop::bool::weighted(0.12), 0..12_u8, select(vec![0.0, 1.0, 5.0, 30.0, 2.5, 1e9])), 0..most);
    let begin = select(vec![0.0, 1.0, 7.0, 100.0, 0.5, -2.0]);
    (first, every, steps, begin).prop_map(|(first, every, steps, begin)| {
        let (mut at, mut value, mut all) = (first, begin, Vec::new());
        for (late, what, more) in steps {
            all.push((at, (what != 0).then_some(value)));
            value = match what {
                1 | 2 => 0.0,
                3 => value / 2.0,
                4 => more,
                _ => value + more,
            };
            at += if late { 3 * every } else { every };
        }
        all
    })
}

fn shifted(samples: &[(i64, Option<f64>)], by: i64) -> Vec<Value> {
    samples.iter().map(|(at, value)| json!([at + by, value])).collect()
}

fn latest() -> impl Strategy<Value = Value> {
    let after = select(vec![0_i64, -1, 1, 300_000, 300_001, 299_999, 15_000, 600_000]);
    (samples(4), after, any::<Index>(), select(STARTS.to_vec())).prop_map(|(samples, after, of, start)| {
        let at = if samples.is_empty() { 0 } else { samples[of.index(samples.len())].0 };
        json!({"samples": shifted(&samples, start), "now_ms": start + at + after})
    })
}

fn ranged() -> impl Strategy<Value = Value> {
    let function = select(vec!["Increase", "Rate", "Delta"]);
    let after = select(vec![0_i64, 1, 15_000, 66_000, 65_999, 200_000]);
    (function, samples(7), after, select(STARTS.to_vec())).prop_map(|(function, samples, after, start)| {
        let end = samples.last().map_or(0, |(at, _)| *at) + after.max(1);
        json!({"function": function, "samples": shifted(&samples, start), "start_ms": start, "end_ms": start + end})
    })
}

fn quantile() -> impl Strategy<Value = Value> {
    let q = prop_oneof![
        8 => select(vec![json!(0.5), json!(0.99), json!(0.9), json!(0.25), json!(0), json!(1)]),
        1 => select(vec![json!(-0.5), json!(1.5), json!("NaN"), json!("+Inf"), json!("-Inf")]),
    ];
    let bounds = subsequence(vec![-1.0, 0.0, 0.1, 0.5, 1.0, 4.0, 10.0], 0..6);
    // More than the bucket before; now and then less.
    let more = vec(select(vec![0.0, 10.0, 1.0, 0.25, 30.0, -5.0]), 8);
    (q, bounds, more, prop::bool::weighted(0.9), option::weighted(0.15, any::<Index>()), any::<Index>()).prop_map(
        |(q, bounds, more, complete, double, turn)| {
            let mut count: f64 = 0.0;
            let mut buckets: Vec<Value> = Vec::new();
            let bounds = bounds.into_iter().map(Value::from).chain(complete.then(|| json!("+Inf")));
            for (bound, more) in bounds.zip(more) {
                count = (count + more).max(0.0);
                buckets.push(json!([bound, count]));
            }
            if let Some(double) = double.filter(|_| !buckets.is_empty()) {
                buckets.push(buckets[double.index(buckets.len())].clone());
            }
            if !buckets.is_empty() {
                let turn = turn.index(buckets.len());
                buckets.rotate_left(turn);
            }
            json!({"q": q, "buckets": buckets})
        },
    )
}

/// Names of series, and the labels that they have: each with the values that it may take; an empty one stands for none.
type Shape = (&'static str, &'static [(&'static str, &'static [&'static str])]);

const CONTAINER: [(&str, &[&str]); 4] = [
    ("namespace", &["shop", "shop", "shop", "shop", "pay", "shop-web"]),
    ("pod", &["web-1", "web-1", "web-1", "web-2", "1"]),
    ("container", &["app", "app", "proxy", ""]),
    ("node", &["a", "a", "b"]),
];

const FIGURES: [(&str, &[Shape]); 7] = [
    (
        "Throttled",
        &[
            ("container_cpu_cfs_throttled_periods_total", &CONTAINER),
            ("container_cpu_cfs_periods_total", &CONTAINER),
            ("container_cpu_cfs_throttled_seconds_total", &CONTAINER),
        ],
    ),
    ("Restarts", &[("kube_pod_container_status_restarts_total", &CONTAINER), ("kubelet_evictions", &CONTAINER)]),
    (
        "OomKilled",
        &[
            ("kube_pod_container_status_restarts_total", &CONTAINER),
            (
                "kube_pod_container_status_last_terminated_reason",
                &[CONTAINER[0], CONTAINER[1], CONTAINER[2], ("reason", &["OOMKilled", "OOMKilled", "Error", ""])],
            ),
        ],
    ),
    (
        "Requested",
        &[
            (
                "kube_pod_container_resource_requests",
                &[
                    ("namespace", &["shop"]),
                    ("pod", &["web-1", "web-2"]),
                    ("container", &["app", "proxy"]),
                    ("node", &["a", "a", "b", ""]),
                    ("resource", &["cpu", "cpu", "memory"]),
                ],
            ),
            (
                "kube_pod_status_phase",
                &[
                    ("namespace", &["shop", "shop", "pay"]),
                    ("pod", &["web-1", "web-2"]),
                    ("phase", &["Running", "Pending", "Succeeded", "Run"]),
                ],
            ),
            ("kube_node_status_allocatable", &[("node", &["a", "a", "b"]), ("resource", &["cpu", "cpu", "memory"])]),
        ],
    ),
    (
        "Evictions",
        &[
            (
                "kubelet_evictions",
                &[
                    ("node", &["a", "b"]),
                    ("eviction_signal", &["memory.available", "nodefs.available", ""]),
                    ("instance", &["1", "2"]),
                ],
            ),
            ("kubelet_evictions_total", &[("node", &["a", "b"])]),
        ],
    ),
    (
        "Pending",
        &[
            (
                "kube_pod_status_phase",
                &[
                    ("namespace", &["shop", "pay", ""]),
                    ("pod", &["web-1", "web-2"]),
                    ("phase", &["Pending", "Pending", "Running", "PendingX", ""]),
                ],
            ),
            ("kube_pod_status_ready", &CONTAINER),
        ],
    ),
    (
        "Latency",
        &[
            (
                "apiserver_request_duration_seconds_bucket",
                &[
                    ("verb", &["GET", "LIST", "WATCH", "WATCHLIST", "CONNECT", "watch", ""]),
                    ("le", &["0.1", "0.5", "1", "1.0", "+Inf", "+Inf", ""]),
                    ("instance", &["1", "2"]),
                ],
            ),
            ("apiserver_request_duration_seconds_count", &[("verb", &["GET"]), ("le", &["+Inf"])]),
        ],
    ),
];

/// One series of a shape: which name, which labels, which samples.
fn series(shapes: &'static [Shape]) -> impl Strategy<Value = Value> {
    let own = prop_oneof![
        2 => Just(vec![(0_i64, Some(1.0)), (540_000, Some(1.0)), (585_000, Some(1.0))]),
        1 => Just(vec![(540_000_i64, Some(0.0)), (600_000, Some(0.0))]),
        1 => samples(12),
    ];
    let counted = samples(12).prop_map(|samples| {
        // Counters go on until about now.
        let shift = 585_000 - samples.last().map_or(0, |(at, _)| *at);
        samples.into_iter().map(|(at, value)| (at + shift, value)).collect::<Vec<_>>()
    });
    (0..shapes.len() * 4, vec(any::<Index>(), 5), own, counted, 0..6).prop_map(|(shape, picks, own, counted, odd)| {
        // What belongs to the figure comes more often than what looks like it.
        let (name, all) = shapes[shape % shapes.len()];
        let is_gauge = name.starts_with("kube_") && !name.ends_with("_total");
        let samples = if is_gauge || odd == 0 { own } else { counted };
        let picked = all.iter().zip(&picks).map(|((label, values), pick)| (*label, values[pick.index(values.len())]));
        let labels: Map<String, Value> = (picked.filter(|(_, value)| !value.is_empty()))
            .map(|(label, value)| (label.to_string(), Value::from(value)))
            .collect();
        json!({"name": name, "labels": labels, "samples": shifted(&samples, 0)})
    })
}

fn figure() -> impl Strategy<Value = Value> {
    let after = select(vec![0_i64, 1, 15_000, 290_000]);
    (0..FIGURES.len()).prop_flat_map(move |of| {
        let (name, shapes) = FIGURES[of];
        // Three kinds of series have to meet.
        let most = if name == "Requested" { 32 } else { 18 };
        (Just(name), vec(series(shapes), 0..most), after.clone(), select(STARTS.to_vec())).prop_map(
            |(figure, mut all, after, start)| {
                let mut seen: Vec<Value> = Vec::new();
                all.retain(|series| {
                    let known = json!([series["name"], series["labels"]]);
                    let new = !seen.contains(&known);
                    seen.push(known);
                    new
                });
                for series in &mut all {
                    let samples = series["samples"].as_array_mut();
                    samples.into_iter().flatten().for_each(|sample| {
                        sample[0] = (sample[0].as_i64().unwrap_or_default() + start).into();
                    });
                }
                json!({"figure": figure, "series": all, "now_ms": start + 600_000 + after})
            },
        )
    })
}

/// A few questions, of one kind or of several.
pub fn fresh() -> Generator {
    let one = |call: &'static str, args: BoxedStrategy<Value>, why: &'static str, read: &'static str| {
        let question = args.prop_map(move |args| scenario(json!({}), vec![step(call, args)])).boxed();
        several(question, 3).prop_map(move |mut drawn| {
            (drawn["why"], drawn["read"]) = (why.into(), read.into());
            drawn
        })
    };
    prop_oneof![
        3 => one("expose", exposed().boxed(), "A page says what was counted in one form, or it isn't served.", "a-page"),
        1 => one("latest", latest().boxed(), "What a series is now, its newest sample says: if it isn't too old, and no end.", "now-and-no-longer"),
        3 => one("over_range", ranged().boxed(), "An increase is what samples show, restarts added, stretched to the range.", "how-much-a-counter-rose"),
        2 => one("histogram_quantile", quantile().boxed(), "A quantile lies in the bucket of its rank, between the bounds by the counts.", "quantiles-of-histograms"),
        4 => one("figure", figure().boxed(), "A key figure is its expression, label by label.", "the-key-figures"),
    ]
    .boxed()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fresh::Fresh;
    use kit_contract::Show;
    use kit_contract::observability::metrics::{Figure, Number, Series};
    use kit_observability::promql::{Engine, parse};
    use kit_observability::storage::{Point, STALE, Storage, named};
    use std::collections::BTreeMap;

    /// What the expression of a figure comes to, in nine digits.
    fn by_expression(figure: Figure, series: &[Series], now: i64) -> BTreeMap<String, String> {
        let mut storage = Storage::default();
        for one in series {
            let labels = named(&one.name, one.labels.clone());
            for sample in &one.samples {
                storage.append(&labels, Point { t: sample.at_ms, v: sample.value.map_or(STALE, |value| value.0) });
            }
        }
        let (_, text) = Figure::ALL.into_iter().find(|(known, _)| *known == figure).expect("it has an expression");
        let module = solutions::modules().metrics.make(&());
        let engine = Engine { storage: &storage, default_step: 60_000, functions: &*module };
        let result = engine.query(&parse(text).expect("an expression"), now).expect("a result").into_vector();
        result.into_iter().map(|sample| shown(format!("{:?}", sample.labels), sample.value)).collect()
    }

    fn shown(labels: String, value: f64) -> (String, String) {
        (labels, Number(value).meaning())
    }

    #[test]
    fn figures_are_their_expressions_and_each_kind_of_answer_is_common() {
        let generator = fresh();
        let modules = solutions::modules();
        let module = modules.metrics.make(&());
        let mut player = modules.player("observability/metrics").expect("a contract");
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        for number in 1..300 {
            let drawn = Fresh::draw(&generator, "observability/metrics", "a", number).expect("it draws").scenario();
            player.start(&Default::default()).expect("it starts");
            for step in drawn["steps"].as_array().into_iter().flatten() {
                let (call, args) = step.as_object().and_then(|step| step.iter().next()).expect("a call");
                let raw: BTreeMap<String, Box<serde_json::value::RawValue>> =
                    serde_json::from_value(args.clone()).expect("arguments");
                let raw = raw.iter().map(|(name, raw)| (&name[..], &**raw)).collect();
                let answer = player.ask(call, &raw).expect("a valid question");
                let lines = player.show_answer(call, &answer).expect("an answer");
                let kind = match (call.as_str(), lines[0].as_str()) {
                    ("figure", "nothing") => format!("no {}", args["figure"]),
                    ("figure", _) => format!("some {}", args["figure"]),
                    (call, first @ ("none" | "NaN" | "0" | "an empty page" | "refused: the scrape fails")) => {
                        format!("{call}: {first}")
                    }
                    (call, _) => call.into(),
                };
                *seen.entry(kind).or_default() += 1;
                if call != "figure" {
                    continue;
                }
                let figure: Figure = serde_json::from_value(args["figure"].clone()).expect("a figure");
                let series: Vec<Series> = serde_json::from_value(args["series"].clone()).expect("series");
                let now = args["now_ms"].as_i64().expect("a time");
                let mine = module.figure(&figure, &series, now).into_iter();
                let mine = mine.map(|value| shown(format!("{:?}", value.labels), value.value.0));
                assert_eq!(mine.collect::<BTreeMap<_, _>>(), by_expression(figure, &series, now), "{args}");
            }
        }
        for (kind, least) in [
            ("expose", 40),
            ("expose: refused: the scrape fails", 15),
            ("latest", 10),
            ("latest: none", 8),
            ("over_range", 50),
            ("over_range: none", 10),
            ("histogram_quantile", 30),
            ("histogram_quantile: NaN", 5),
        ] {
            assert!(seen.get(kind).is_some_and(|count| *count >= least), "{kind}: {seen:?}");
        }
        for (figure, _) in FIGURES {
            assert!(seen.get(&format!("some {figure:?}")).is_some_and(|count| *count >= 3), "{figure}: {seen:?}");
        }
    }
}
