//! Fresh scenarios of `node/qos`: pods whose containers ask for some of what they may ask for, written in several ways.

use crate::fresh::{Generator, question, several};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

/// Amounts, some of them the same in other words, the smallest first.
const CPUS: [&str; 9] = ["0", "0m", "1m", "100m", "0.1", "1", "1000m", "1001m", "1.0011"];
const MEMORIES: [&str; 12] =
    ["0", "999m", "1", "64Mi", "67108864", "67108865", "128Mi", "1G", "1e9", "1Gi", "1024Mi", "5Gi"];

/// Resources of other names, whatever these end with, decide nothing.
const OTHERS: [&str; 5] =
    ["ephemeral-storage", "hugepages-2Mi", "example.com/memory", "example.com/cpu", "nvidia.com/gpu"];

fn resources() -> impl Strategy<Value = Value> {
    let cpu = || option::weighted(0.6, select(&CPUS[..]));
    let memory = || option::weighted(0.6, select(&MEMORIES[..]));
    let same = prop_oneof![2 => Just(true), 3 => Just(false)];
    (cpu(), memory(), cpu(), memory(), same, option::of((select(&OTHERS[..]), any::<bool>()))).prop_map(
        |(cpu, memory, more_cpu, more_memory, same, other)| {
            let mut limits = json!({});
            let mut requests = json!({});
            for (name, limit, request) in [("cpu", cpu, more_cpu), ("memory", memory, more_memory)] {
                if let Some(limit) = limit {
                    limits[name] = limit.into();
                    // Where there is a limit there is a request, and none is above its limit.
                    let all: &[&str] = if name == "cpu" { &CPUS } else { &MEMORIES };
                    let place = |amount: &str| all.iter().position(|other| *other == amount);
                    let request = request.filter(|request| !same && place(request) <= place(limit));
                    requests[name] = request.unwrap_or(limit).into();
                } else if let Some(request) = request.filter(|_| !same) {
                    requests[name] = request.into();
                }
            }
            if let Some((other, limited)) = other {
                requests[other] = "2".into();
                if limited || other != "ephemeral-storage" {
                    limits[other] = "2".into();
                }
            }
            json!({"requests": requests, "limits": limits})
        },
    )
}

/// A pod of a few containers, and the score of one of them.
pub fn fresh() -> Generator {
    let init = || (resources(), any::<bool>());
    let classes = vec!["system-node-critical", "system-node-critical", "system-cluster-critical", "usual"];
    let class = option::weighted(0.4, select(classes));
    let priority = option::weighted(
        0.5,
        select(vec![0, 1_000_000_000, 1_999_999_999, 2_000_000_000, 2_000_000_000, 2_000_001_000]),
    );
    let annotation = option::weighted(0.15, select(vec!["api", "file", "http"]));
    let namespace = option::of(select(vec!["default", "kube-system"]));
    let overhead = option::weighted(0.15, select(vec!["64Mi", "1Gi"]));
    let containers = prop_oneof![16 => vec(resources(), 1..4), 1 => vec(resources(), 9..12)];
    let inits = prop_oneof![16 => vec(init(), 0..4), 1 => vec(init(), 9..12)];
    let pod = (containers, inits, class, priority, annotation, (namespace, overhead)).prop_map(
        |(containers, init, class, priority, annotation, (namespace, overhead))| {
            let named = |prefix: &str, number: usize, resources: Value| {
                // Names that begin with the names of later ones.
                let name = format!("{prefix}{}", "x".repeat(12 - number));
                json!({"name": name, "image": "app", "resources": resources})
            };
            let containers: Vec<Value> =
                containers.into_iter().enumerate().map(|(n, resources)| named("c", n, resources)).collect();
            let init = init.into_iter().enumerate().map(|(n, (resources, sidecar))| {
                let mut container = named("i", n, resources);
                if sidecar {
                    container["restartPolicy"] = "Always".into();
                }
                container
            });
            let init: Vec<Value> = init.collect();
            let mut pod =
                json!({"metadata": {"name": "web"}, "spec": {"containers": containers, "initContainers": init}});
            if let Some(class) = class {
                pod["spec"]["priorityClassName"] = class.into();
            }
            if let Some(namespace) = namespace {
                pod["metadata"]["namespace"] = namespace.into();
            }
            if let Some(memory) = overhead {
                pod["spec"]["overhead"] = json!({"memory": memory});
            }
            if let Some(priority) = priority {
                pod["spec"]["priority"] = priority.into();
            }
            if let Some(source) = annotation {
                pod["metadata"]["annotations"] = json!({"kubernetes.io/config.source": source});
            }
            pod
        },
    );
    let capacity = select(vec![1_i64 << 30, 4 << 30, 1_000_000_000, 67_108_864, 3 << 30, 16_777_259, 6 << 40]);
    // Just what the next thousandth takes, a byte less, a byte more, and half a byte, which is a byte.
    let edge = option::of((select(vec![1_i64, 2, 3, 29, 57, 500, 997, 998, 999]), -1_i64..2, any::<bool>()));
    let one = (pod, any::<bool>(), any::<prop::sample::Index>(), capacity, edge).prop_map(
        |(mut pod, class, which, capacity, edge)| {
            if class {
                return question("class", json!({ "pod": pod }));
            }
            let list = |field: &str| pod["spec"][field].as_array().cloned().unwrap_or_default();
            let all: Vec<Value> = [list("containers"), list("initContainers")].concat();
            let at = which.index(all.len());
            let container = all[at]["name"].clone();
            if let Some((thousandths, more, half)) = edge {
                let request = (thousandths * capacity + 999) / 1000 + more;
                let request = if half { format!("{}500m", request - 1) } else { request.to_string() };
                let regular = list("containers").len();
                let of = if at < regular {
                    &mut pod["spec"]["containers"][at]
                } else {
                    &mut pod["spec"]["initContainers"][at - regular]
                };
                of["resources"] = json!({"requests": {"memory": request}, "limits": {}});
            }
            question("oom_score_adj", json!({"pod": pod, "container": container, "memory_capacity": capacity}))
        },
    );
    several(one, 5)
}
