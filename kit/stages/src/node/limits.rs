//! Fresh scenarios of `node/limits`: amounts at the ends of their ranges, loads that meet the end of a quota, and processes whose points
//! are close.

use crate::fresh::{Generator, question, several};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

const MEBI: i64 = 1 << 20;

/// Requests and limits, with or without those that the API server would fill in.
fn resources(filled_in: bool) -> impl Strategy<Value = Value> {
    let ends = vec![100_i64, 0, 1, 2, 3, 9, 10, 11, 250, 999, 1000, 1001, 1500, 64_000, 255_999, 256_000, 300_000];
    let cpu = move || prop_oneof![4 => select(ends.clone()), 1 => 1..5000_i64];
    // The last two are beyond what a float or a double holds.
    let memory =
        || select(vec![64 * MEBI, 0, 1, 128 * MEBI, 1000, 1 << 30, 5 << 30, 6 << 40, (1 << 30) + 1, (1 << 53) + 1]);
    let side = move || (option::weighted(0.6, cpu()), option::weighted(0.6, memory()));
    (side(), side()).prop_map(move |((cpu_request, memory_request), (cpu_limit, memory_limit))| {
        let fill = |request: Option<i64>, limit: Option<i64>| if filled_in { request.or(limit) } else { request };
        json!({
            "cpu_request": fill(cpu_request, cpu_limit), "cpu_limit": cpu_limit,
            "memory_request": fill(memory_request, memory_limit), "memory_limit": memory_limit,
        })
    })
}

fn pod() -> impl Strategy<Value = Value> {
    let one = resources(true).boxed();
    let containers = prop_oneof![80 => vec(one.clone(), 1..4), 9 => vec(one.clone(), 9..12), 1 => vec(one, 65..68)];
    let inits = vec(resources(true), 0..3);
    let overhead = option::weighted(0.3, (select(vec![250_i64, 0, 1]), select(vec![64 * MEBI, 0, 1])));
    // Some lack one kind of limit only, some have all, some ask for nothing, and some for a single thing.
    let shape = select(vec!["as drawn", "limited", "limited", "all but one", "nothing", "one thing"]);
    let thing = select(vec!["cpu_request", "memory_request", "cpu_limit", "memory_limit"]);
    let amount = select(vec![100_i64, 0, 1]);
    (containers, inits, overhead, shape, any::<prop::sample::Index>(), thing, amount).prop_map(
        |(mut containers, mut inits, overhead, shape, which, thing, amount)| {
            let count = containers.len();
            let all = containers.iter_mut().chain(&mut inits);
            let lacks = which.index(count + 1);
            // Only with an overhead does it show which class it is.
            let overhead = if ["nothing", "one thing"].contains(&shape) { Some((250, 0)) } else { overhead };
            for (at, one) in all.enumerate() {
                match shape {
                    "one thing" if at == lacks => {
                        *one = json!({ thing: amount });
                        if let Some(kind) = thing.strip_suffix("limit") {
                            one[format!("{kind}request")] = 0.into();
                        }
                    }
                    "nothing" | "one thing" => *one = json!({}),
                    "limited" | "all but one" if shape == "limited" || at != lacks => {
                        for (limit, request, usual) in
                            [("cpu_limit", "cpu_request", 500), ("memory_limit", "memory_request", 256 * MEBI)]
                        {
                            if one[limit].as_i64().unwrap_or(0) == 0 {
                                one[limit] = usual.into();
                            }
                            if one[request].is_null() {
                                one[request] = one[limit].clone();
                            }
                        }
                    }
                    _ => {}
                }
            }
            let (cpu, memory) = overhead.unwrap_or_default();
            json!({
                "containers": containers, "init_containers": inits, "overhead_cpu": cpu, "overhead_memory": memory,
            })
        },
    )
}

fn load() -> impl Strategy<Value = Value> {
    let after = prop_oneof![9 => select(vec![0_i64, 0, 1, 7, 30, 99, 100, 101, 250]), 1 => Just(6000)];
    let work = prop_oneof![
        20 => (select(vec![1_i64, 5, 10, 30, 49, 50, 51, 120]), 1..5_usize),
        1 => (1..4_i64, 65..75_usize),
    ];
    let burst = (after, work);
    let threads = select(vec![1_u32, 2, 4, 8, 100]);
    let quota = option::weighted(0.85, select(vec![50_i64, 1, 10, 20, 40, 100, 150, 200, 400]));
    (quota, threads, vec(burst, 1..6)).prop_map(|(quota, threads, bursts)| {
        let mut now = 0;
        let mut requests = Vec::new();
        for (after, (cpu_ms, count)) in bursts {
            now += after;
            requests.extend((0..count).map(|_| json!({"at_ms": now, "cpu_ms": cpu_ms})));
        }
        json!({"quota_ms": quota, "threads": threads, "requests": requests})
    })
}

fn node() -> impl Strategy<Value = Value> {
    let used = || prop_oneof![3 => select(vec![100_i64, 1, 200, 300, 500, 1000]), 1 => 1..1200_i64];
    let score = select(vec![1000_i64, -997, -1000, 0, 3, 500, 800, 900, 999, -1000, -999]);
    // As much as is used, and a little more or less.
    let limit = || option::weighted(0.5, select(vec![0_i64, 0, -1, -1, 1, 50, 400]));
    let container = (score, vec(used(), 1..4), limit());
    let pods = vec((vec(container, 1..3), limit()), 1..5);
    let node = select(vec![0_i64, -1, -1, -1, -300, 1, 100]);
    (pods, node, any::<bool>()).prop_map(|(pods, more, single)| {
        let (mut all, mut number, mut shown) = (0, 0, Vec::new());
        for (containers, limit) in pods {
            let (mut sum, mut list) = (0, Vec::new());
            for (score, processes, limit) in containers {
                let used: i64 = processes.iter().sum();
                sum += used;
                number += 1;
                list.push(json!({
                    "name": name(number), "oom_score_adj": score, "processes": processes,
                    "memory_max": limit.map(|more| (used + more).max(1)),
                }));
            }
            all += sum;
            shown.push(json!({"containers": list, "memory_max": limit.map(|more| (sum + more).max(1))}));
        }
        json!({"memory": (all + more).max(1), "single_process_oom_kill": single, "pods": shown})
    })
}

/// Names in no order.
fn name(number: usize) -> String {
    format!("c{}", (number * 37 + 11) % 101)
}

/// Processes that have as many points, or one MiB more or less, in a pod or on a node.
fn equals() -> impl Strategy<Value = Value> {
    // So many MiB are worth just as much as so many thousandths of the total.
    let total =
        select(vec![(1000_i64, 1_i64, 1_i64), (500, 1, 2), (125, 1, 8), (2000, 2, 1), (200, 1, 5), (700, 7, 10)]);
    let process = (-3..4_i64, select(vec![0_i64, 0, 0, 1, -1]));
    let processes = prop_oneof![20 => vec(process.clone(), 2..6), 1 => vec(process, 65..68)];
    let score = prop_oneof![1 => select(vec![900_i64, 0, -900, 997]), 1 => 0..1000_i64];
    (total, processes, score, any::<bool>(), any::<bool>()).prop_map(
        |((total, mebi, thousandths), processes, score, in_pod, is_large)| {
            let container = |(number, (steps, more)): (usize, &(i64, i64))| {
                let score = score - steps * thousandths;
                let used = total + steps * mebi + more;
                json!({"name": name(number), "oom_score_adj": score.min(1000), "processes": [used]})
            };
            let containers: Vec<Value> = processes.iter().enumerate().map(container).collect();
            if in_pod {
                // The node may be short, too, and then of another total.
                let memory = if is_large { total * 100 } else { total / 2 };
                json!({"memory": memory, "pods": [{"memory_max": total, "containers": containers}]})
            } else {
                let pods: Vec<Value> = containers.into_iter().map(|one| json!({"containers": [one]})).collect();
                json!({"memory": total, "pods": pods})
            }
        },
    )
}

/// A node of little memory, where points differ by less than one.
fn close() -> impl Strategy<Value = Value> {
    let process = (select(vec![50_i64, 50, 51]), 985..1001_i64);
    (vec(process, 2..5), 1..40_i64).prop_map(|(processes, less)| {
        let all: i64 = processes.iter().map(|(used, _)| used).sum();
        let pod = |(number, (used, score)): (usize, &(i64, i64))| {
            let container = json!({"name": name(number), "oom_score_adj": score, "processes": [used]});
            json!({"containers": [container]})
        };
        let pods: Vec<Value> = processes.iter().enumerate().map(pod).collect();
        json!({"memory": all - less, "pods": pods})
    })
}

/// Questions of each kind.
pub fn fresh() -> Generator {
    let one = prop_oneof![
        2 => resources(false).prop_map(|of| question("container", json!({"resources": of}))),
        3 => pod().prop_map(|of| question("pod", json!({"pod": of}))),
        3 => load().prop_map(|of| question("serve", json!({"load": of}))),
        1 => close().prop_map(|of| question("out_of_memory", json!({"node": of}))),
        2 => equals().prop_map(|of| question("out_of_memory", json!({"node": of}))),
        3 => node().prop_map(|of| question("out_of_memory", json!({"node": of}))),
    ];
    several(one, 5)
}
