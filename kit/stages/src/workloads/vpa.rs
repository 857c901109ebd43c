//! Fresh scenarios of `workloads/vpa`: samples of all ages, histograms with little and much in them, policies that cap, and pods at
//! every edge of the rules for evictions.

use crate::fresh::{Generator, question, scenario, several, step};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

const DAY: i64 = 86_400;

/// A time near or at an edge: of a day, of half a day, of the hundred days after which the reference moves.
fn time() -> impl Strategy<Value = i64> {
    let days = prop_oneof![4 => 0_i64..6, 2 => 98_i64..104, 1 => select(vec![20_238_i64, 20_340, 41_000])];
    let seconds = prop_oneof![3 => select(vec![0_i64, 1, 43_199, 43_200, 43_201, 86_399]), 2 => 0_i64..DAY];
    (days, seconds).prop_map(|(days, seconds)| days * DAY + seconds)
}

/// An amount of cpu or memory, not at the edge of a bucket.
fn amount(resource: &str) -> BoxedStrategy<i64> {
    match resource {
        "cpu" => prop_oneof![2 => select(vec![0_i64, 1, 9, 15, 50, 51, 1000, 5_000_000]), 3 => 11_i64..4000].boxed(),
        _ => (prop_oneof![2 => select(vec![0_i64, 1, 9, 100, 300, 5_000_000]), 3 => 11_i64..4000])
            .prop_map(|mebibytes| mebibytes << 20)
            .boxed(),
    }
}

fn resource() -> impl Strategy<Value = &'static str> {
    select(vec!["cpu", "memory"])
}

/// The weights of some buckets, at a time.
fn histogram(resource: &'static str) -> impl Strategy<Value = Value> {
    let low = prop_oneof![3 => 0_u32..40, 1 => 40_u32..175].boxed();
    let weight = select(vec![0.05_f64, 0.1, 0.2, 0.4, 0.7, 1.0, 3.0, 20.0]);
    // Many are all over the place, so that more than 64 are left of those that are drawn twice.
    let buckets = prop_oneof![
        1 => Just((0_usize..1, low.clone())),
        6 => Just((1..6, low)),
        1 => Just((110..130, (0_u32..175).boxed())),
    ];
    buckets.prop_flat_map(move |(count, bucket)| vec((bucket, weight.clone()), count)).prop_map(move |weights| {
        let weights: Map<String, Value> =
            weights.into_iter().map(|(bucket, weight)| (bucket.to_string(), weight.into())).collect();
        let reference = if weights.is_empty() { Value::Null } else { (3 * DAY).into() };
        json!({"resource": resource, "weights": weights, "reference_seconds": reference})
    })
}

/// Some samples, one after the other, each added to what came of the last one.
fn adding() -> Generator {
    let samples = resource().prop_flat_map(|resource| {
        let weight = prop_oneof![6 => select(vec![0.1, 1.0]), 1 => Just(-1.0), 1 => Just(-0.1)];
        let one =
            (histogram(resource), amount(resource), weight, time()).prop_map(|(mut histogram, amount, weight, at)| {
                // Taken back is what is there.
                let filled = histogram["reference_seconds"].is_i64();
                if !filled && weight < 0.0 {
                    histogram["reference_seconds"] = (at / DAY * DAY).into();
                }
                let sample = json!({"amount": amount, "weight": weight, "at_seconds": at});
                step("add", json!({"histogram": histogram, "sample": sample}))
            });
        vec(one, 1..4)
    });
    samples.prop_map(|steps| scenario(json!({}), steps)).boxed()
}

/// Taking back what lies in the bucket: all of it, a little less, and a little more.
fn taking_back() -> Generator {
    let left = select(vec![0.0, 0.000_05, 0.000_2, 0.5, -0.5]);
    (amount("memory"), left, -2_i64..3, any::<bool>())
        .prop_map(|(amount, left, days, other)| {
            let bucket = kit_contract::workloads::vpa::Resource::Memory.bucket(amount);
            let mut weights = Map::from_iter([(bucket.to_string(), json!(((days as f64).exp2() + left).max(0.001)))]);
            if other {
                weights.insert((bucket + 1).min(175).to_string(), 1.0.into());
            }
            let histogram = json!({"resource": "memory", "weights": weights, "reference_seconds": 20 * DAY});
            let sample = json!({"amount": amount, "weight": -1.0, "at_seconds": (20 + days) * DAY});
            question("add", json!({"histogram": histogram, "sample": sample}))
        })
        .boxed()
}

fn limits() -> impl Strategy<Value = Value> {
    let cpu = option::weighted(0.5, select(vec![0_i64, 10, 20, 100, 200, 1000]));
    let memory = option::weighted(0.5, select(vec![0_i64, 50 << 20, 100 << 20, 300 << 20, 1 << 30]));
    (cpu, memory).prop_map(|(cpu, memory)| {
        let both = [("cpu", cpu), ("memory", memory)];
        both.into_iter()
            .filter_map(|(name, limit)| Some((name.to_string(), limit?.into())))
            .collect::<Map<_, _>>()
            .into()
    })
}

fn policy() -> impl Strategy<Value = Value> {
    let name = select(vec!["*", "app", "app", "proxy", "other"]);
    let off = prop_oneof![5 => Just(false), 1 => Just(true)];
    let controlled = option::weighted(0.3, select(vec![vec!["cpu"], vec!["memory"], vec!["memory", "cpu"], vec![]]));
    (name, off, controlled, limits(), limits()).prop_map(|(name, off, controlled, min, max)| {
        json!({
            "container_name": name, "off": off, "controlled_resources": controlled, "min_allowed": min, "max_allowed": max,
        })
    })
}

fn recommend() -> Generator {
    let container = (histogram("cpu"), histogram("memory"), select(vec![0_i64, 60, 5400, 21_600, DAY, 8 * DAY]));
    let samples = select(vec![0_u64, 1, 45, 90, 360, 720, 1440, 14_400]);
    let container = (container, samples).prop_map(|((cpu, memory, span), samples)| {
        json!({"cpu": cpu, "memory": memory, "span_seconds": span, "samples": samples})
    });
    (vec(container, 1..4), vec(policy(), 0..4))
        .prop_map(|(mut containers, policies)| {
            for (container, name) in containers.iter_mut().zip(["app", "proxy", "sidecar"]) {
                container["name"] = name.into();
            }
            question("recommend", json!({"request": {"containers": containers, "policies": policies}}))
        })
        .boxed()
}

fn amounts(cpu: Vec<i64>, memory: Vec<i64>, present: f64) -> impl Strategy<Value = Value> {
    let (cpu, memory) = (option::weighted(present, select(cpu)), option::weighted(present, select(memory)));
    (cpu, memory).prop_map(|(cpu, memory)| {
        let both = [("cpu", cpu), ("memory", memory)];
        both.into_iter()
            .filter_map(|(name, amount)| Some((name.to_string(), amount?.into())))
            .collect::<Map<_, _>>()
            .into()
    })
}

fn evict() -> Generator {
    let cpu = || vec![0_i64, 50, 90, 91, 99, 100, 101, 109, 110, 200];
    let mebibytes = |amounts: &[i64]| amounts.iter().map(|amount| amount << 20).collect::<Vec<i64>>();
    // From the last two it is a tenth to 900 MB, and a little less.
    let memory = || [mebibytes(&[0, 128, 230, 231, 256, 281, 282, 512]), vec![1_000_000_000, 999_999_999]].concat();
    let recommendation = (
        amounts(vec![100, 100, 50, 110, 200], [mebibytes(&[256, 256, 128]), vec![900_000_000]].concat(), 0.9),
        amounts(vec![90, 50, 100], mebibytes(&[128, 200, 256]), 0.85),
        amounts(vec![110, 200, 100], mebibytes(&[300, 512, 256, 1024]), 0.85),
    );
    let names = select(vec![vec!["app"], vec!["app", "proxy"], vec!["proxy"], vec![]]);
    let recommendations = (names, vec(recommendation, 2)).prop_map(|(names, drawn)| {
        let one = |(name, (target, lower, upper)): (&str, (Value, Value, Value))| {
            json!({"container_name": name, "target": target, "lower_bound": lower, "upper_bound": upper})
        };
        names.into_iter().zip(drawn).map(one).collect::<Vec<_>>()
    });
    let killed = option::weighted(0.15, select(vec![0_i64, 5, 599, 600, 601, 5000]));
    let container = (amounts(cpu(), memory(), 0.93), killed);
    let pending = prop_oneof![6 => Just(false), 1 => Just(true)];
    let started = option::weighted(0.93, select(vec![0_i64, 60, 43_199, 43_200, 43_201, 100_000]));
    // Some pods differ in cpu only, since a difference is one of all resources.
    let right = prop::bool::weighted(0.4);
    let pod = (pending, started, vec(container, 1..3), right).prop_map(|(pending, started, containers, right)| {
        let one = |(name, (requests, killed)): (&str, (Value, Option<i64>))| {
            json!({"name": name, "requests": requests, "out_of_memory_after_seconds": killed})
        };
        let containers: Vec<Value> = ["app", "proxy"].into_iter().zip(containers).map(one).collect();
        let pod = json!({"pending": pending, "started_seconds_ago": started, "containers": containers});
        (pod, right)
    });
    let pod = pod.boxed();
    let resources = select(vec![vec!["cpu"], vec!["memory"], vec!["cpu", "memory"]]);
    let requirement = (resources, select(vec!["Higher", "Lower"]))
        .prop_map(|(resources, change)| json!({"resources": resources, "change": change}));
    let requirements = prop_oneof![3 => Just(Vec::new()), 1 => vec(requirement, 1..3)];
    let pods = prop_oneof![8 => vec(pod.clone(), 1..7), 1 => vec(pod, 60..70)];
    let min = prop_oneof![1 => Just(0_u32), 1 => Just(1), 4 => Just(2), 1 => Just(4)];
    ((pods, 0_usize..1000), -2_i64..3, min, recommendations, requirements)
        .prop_map(|((mut pods, seed), more, min, recommendations, requirements)| {
            for (number, (pod, right)) in pods.iter_mut().enumerate() {
                // As of hashes: their order says nothing.
                pod["name"] = format!("web-{:03}", (number * 37 + seed) % 1000).into();
                for (container, recommendation) in pod["containers"].as_array_mut().into_iter().flatten().zip(&recommendations) {
                    let memory = &recommendation["target"]["memory"];
                    if *right && memory.is_i64() {
                        container["requests"]["memory"] = memory.clone();
                    }
                }
            }
            let pods: Vec<Value> = pods.into_iter().map(|(pod, _)| pod).collect();
            let replicas = (pods.len() as i64 + more).max(1);
            let request = json!({
                "replicas": replicas, "min_replicas": min, "recommendations": recommendations, "requirements": requirements, "pods": pods,
            });
            question("evict", json!({ "request": request }))
        })
        .boxed()
}

/// Samples, recommendations and evictions.
pub fn fresh() -> Generator {
    several(prop_oneof![3 => adding(), 1 => taking_back(), 4 => recommend(), 6 => evict()], 3)
}
