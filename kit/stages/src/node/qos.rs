//! Fresh scenarios of `node/qos`: pods whose containers ask for some of what they may ask for, written in several ways.

use crate::fresh::{Generator, question};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

/// Amounts, some of them the same in other words.
fn resources() -> impl Strategy<Value = Value> {
    let cpu = || option::weighted(0.6, select(vec!["0", "0m", "1m", "100m", "0.1", "1", "1000m"]));
    let memory =
        || option::weighted(0.6, select(vec!["0", "1", "64Mi", "67108864", "128Mi", "1Gi", "1024Mi", "1G", "999m"]));
    let same = prop_oneof![2 => Just(true), 3 => Just(false)];
    (cpu(), memory(), cpu(), memory(), same, any::<bool>()).prop_map(
        |(cpu, memory, more_cpu, more_memory, same, other)| {
            let mut limits = json!({});
            let mut requests = json!({});
            for (name, limit, request) in [("cpu", cpu, more_cpu), ("memory", memory, more_memory)] {
                if let Some(limit) = limit {
                    limits[name] = limit.into();
                    // Where there is a limit there is a request.
                    requests[name] = if same { limit } else { request.unwrap_or(limit) }.into();
                } else if let Some(request) = request.filter(|_| !same) {
                    requests[name] = request.into();
                }
            }
            if other {
                requests["ephemeral-storage"] = "1Gi".into();
            }
            json!({"requests": requests, "limits": limits})
        },
    )
}

/// A pod of a few containers, and the score of one of them.
pub fn fresh() -> Generator {
    let init = (resources(), any::<bool>());
    let class = option::weighted(0.3, select(vec!["system-node-critical", "system-cluster-critical", "usual"]));
    let priority = option::weighted(0.5, select(vec![0, 1_000_000_000, 1_999_999_999, 2_000_000_000, 2_000_001_000]));
    let annotation = option::weighted(0.15, select(vec!["api", "file", "http"]));
    let pod = (vec(resources(), 1..4), vec(init, 0..3), class, priority, annotation).prop_map(
        |(containers, init, class, priority, annotation)| {
            let named = |prefix: &str, number: usize, resources: Value| {
                json!({"name": format!("{prefix}{number}"), "image": "app", "resources": resources})
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
            let mut pod = json!({"metadata": {"name": "web"}, "spec": {"containers": containers, "initContainers": init}});
            if let Some(class) = class {
                pod["spec"]["priorityClassName"] = class.into();
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
    let capacity = select(vec![1_i64 << 30, 4 << 30, 1_000_000_000, 67_108_864, 3 << 30]);
    (pod, any::<bool>(), any::<prop::sample::Index>(), capacity)
        .prop_map(|(pod, class, which, capacity)| {
            if class {
                return question("class", json!({ "pod": pod }));
            }
            let list = |field: &str| pod["spec"][field].as_array().cloned().unwrap_or_default();
            let all: Vec<Value> = [list("containers"), list("initContainers")].concat();
            let container = which.get(&all)["name"].clone();
            question("oom_score_adj", json!({"pod": pod, "container": container, "memory_capacity": capacity}))
        })
        .boxed()
}
