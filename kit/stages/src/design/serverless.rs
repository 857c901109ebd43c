//! Fresh scenarios of `design/serverless`: requests that come and end at the moments that matter, with few environments, tokens and limits; events
//! that are as old as they may be; bills with a part of everything; and clusters whose next machine is nearly worth it.

use crate::fresh::{Generator, scenario, step};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

fn config() -> impl Strategy<Value = Value> {
    let limits = (select(vec![3_u32, 1, 2, 5, 1000]), option::weighted(0.35, 0..4_u32), 0..4_u32);
    let rate = (select(vec![2_u32, 1, 3, 100]), select(vec![1_u32, 2, 3, 100]));
    (limits, rate).prop_map(|((account, reserved, provisioned), (burst, per_second))| {
        let provisioned = provisioned.min(reserved.unwrap_or(account));
        json!({"account": account, "reserved": reserved, "provisioned": provisioned, "burst": burst, "per_second": per_second})
    })
}

/// Requests that come and end.
fn platform() -> impl Strategy<Value = Value> {
    let passes = select(vec![0_u64, 1, 10, 333, 334, 499, 500, 501, 999, 1000, 1001, 5000]);
    let others = prop_oneof![4 => Just(0_u32), 1 => 0..3_u32];
    let keeps = select(vec![1000_u64, 500, 501, 1, 5000, 600_000]);
    let event = (passes, any::<bool>(), others, any::<u16>(), keeps);
    let events = prop_oneof![12 => vec(event.clone(), 1..24), 1 => vec(event, 70..140)];
    (config(), events, 0..2_u64).prop_map(|(config, events, begin)| {
        let (mut now, mut count, mut steps) = (begin * 3_600_000, 0_u64, Vec::new());
        let mut there: Vec<u64> = Vec::new();
        for (pass, is_new, others, which, keep_ms) in events {
            now += pass;
            if is_new || there.is_empty() {
                count += 1;
                there.push(count);
                steps.push(step("invoke", json!({"now_ms": now, "request": count, "others": others})));
            } else {
                // Some of them were refused, and don't run.
                let request = there.remove(usize::from(which) % there.len());
                steps.push(step("ended", json!({"now_ms": now, "request": request, "keep_ms": keep_ms})));
            }
        }
        scenario(json!({ "config": config }), steps)
    })
}

fn attempt() -> impl Strategy<Value = Value> {
    let max_age = select(vec![60_000_u64, 120_000, 300_000, 21_600_000]);
    let wait = select(vec![1000_u64, 2000, 4000, 60_000, 120_000, 256_000, 300_000]);
    let attempts = select(vec!["Failed", "Throttled", "Failed", "Throttled", "Succeeded"]);
    let counts = (0..4_u32, select(vec![0_u32, 1, 2, 6, 7, 8, 9, 10, 31, 64, 1000]));
    (0..3_u32, max_age, wait, -1..2_i64, attempts, counts, any::<bool>(), 0..5_u64).prop_map(
        |(max_retries, max_age_ms, wait, off, attempt, (failures, throttles), is_old, came)| {
            let came_ms = came * 7_000;
            // As old as it may be after some wait or other, a millisecond less or more.
            let age = if is_old { (max_age_ms as i64 - wait as i64 + off).max(0) as u64 } else { wait };
            let queue = json!({"max_retries": max_retries, "max_age_ms": max_age_ms});
            let event = json!({"came_ms": came_ms, "failures": failures, "throttles": throttles});
            step("after", json!({"queue": queue, "event": event, "attempt": attempt, "now_ms": came_ms + age}))
        },
    )
}

fn bill() -> impl Strategy<Value = Value> {
    let us = || select(vec![0_u64, 1, 999, 1000, 1001, 149_500, 500_500, 900_000_000]);
    let runs = (select(vec![1_u64, 3, 1000, 400_000, 3_000_000]), us(), us(), any::<bool>());
    let provisioned = (0..3_u32, select(vec![0_u64, 1, 299, 300, 301, 86_400]));
    let free = (select(vec![0_u64, 2, 1_000_000]), select(vec![0.0, 100.0, 400_000.0]));
    let memory = select(vec![1024_u32, 128, 512, 1769, 10_240]);
    (memory, vec(runs, 0..4), provisioned, free).prop_map(|(memory_mb, runs, (provisioned, seconds), (requests, time))| {
        let runs = runs.into_iter().map(|(count, init, run, on)| {
            let on = on && provisioned > 0;
            json!({"count": count, "init_us": if on { 0 } else { init }, "run_us": run, "provisioned": on})
        });
        let usage = json!({"memory_mb": memory_mb, "runs": runs.collect::<Vec<_>>(), "provisioned": provisioned,
            "provisioned_seconds": seconds});
        let prices = json!({"million_requests": 0.2, "gb_second": 0.0000166667, "provisioned_gb_second": 0.0000097222,
            "kept_gb_second": 0.0000041667, "free_requests": requests, "free_gb_seconds": time});
        step("bill", json!({"usage": usage, "prices": prices}))
    })
}

fn machines() -> impl Strategy<Value = Value> {
    let pod = (
        select(vec![900_u32, 100, 250, 1000, 300]),
        select(vec![512_u32, 128, 4096]),
        select(vec![60_u32, 1, 70, 100]),
    );
    let machine = (select(vec![1930_u32, 800, 1000, 3600]), select(vec![7000_u32, 400, 4096, 512]));
    let least = (0..3_u32, 0..3_u32);
    (pod, machine, least, select(vec![20_000_u64, 7, 30_000, 1_000_000]), 0..9_u64, -1..2_i64).prop_map(
        |((pod_milli_cpu, pod_mb, target_percent), (milli, mb), (least_pods, least_machines), request_us, pods, off)| {
            let shape = json!({"request_us": request_us, "pod_milli_cpu": pod_milli_cpu, "pod_mb": pod_mb,
                "target_percent": target_percent, "least_pods": least_pods, "machine_milli_cpu": milli, "machine_mb": mb,
                "least_machines": least_machines});
            // As many as so many pods take, one less or more.
            let full = pods * u64::from(pod_milli_cpu) * u64::from(target_percent) * 36_000 / request_us;
            step("machines", json!({"shape": shape, "requests_an_hour": (full as i64 + off).max(0)}))
        },
    )
}

fn cluster_bill() -> impl Strategy<Value = Value> {
    let span = (0..6_u32, select(vec![3600_u64, 0, 60, 1800, 86_400]));
    (vec(span, 0..4), 0..4_u32, select(vec![0.1225, 0.0])).prop_map(|(spans, reserved, fixed)| {
        let spans = spans.into_iter().map(|(machines, seconds)| json!({"machines": machines, "seconds": seconds}));
        let prices = json!({"fixed_hour": fixed, "machine_hour": 0.096, "reserved_machine_hour": 0.06});
        let args = json!({"spans": spans.collect::<Vec<_>>(), "reserved": reserved, "prices": prices});
        step("cluster_bill", args)
    })
}

fn break_even() -> impl Strategy<Value = Value> {
    let million = select(vec![1_000_000_u64, 1, 700_000, 999_999, 1_000_001, 3_333_333, 17_000_000]);
    let free = select(vec![0_u64, 0, 1_000_000, 90_000_000]);
    let kept = select(vec![0_u64, 0, 5_000_000, 80_000_000, 500_000_000]);
    let fixed = select(vec![73_000_000_u64, 0, 1, 1_000_000]);
    let machine = select(vec![70_000_000_u64, 0, 7, 19_999_999, 20_000_000]);
    let takes = select(vec![20_000_000_u64, 1_000_000, 100_000_000, 70_000_001]);
    (million, free, kept, fixed, machine, takes, 1..4_u32).prop_map(
        |(million, free_requests, kept, fixed, machine, machine_requests, least_machines)| {
            let functions = json!({"million": million, "free_requests": free_requests, "kept": kept});
            let cluster = json!({"fixed": fixed, "machine": machine, "machine_requests": machine_requests,
                "least_machines": least_machines});
            step("break_even", json!({"functions": functions, "cluster": cluster}))
        },
    )
}

/// Several questions to one module.
fn numbers(one: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    vec(one, 1..4).prop_map(|steps| scenario(json!({"config": {}}), steps))
}

/// The generator.
pub fn fresh() -> Generator {
    prop_oneof![
        6 => platform(),
        2 => numbers(attempt()),
        2 => numbers(bill()),
        2 => numbers(machines()),
        1 => numbers(cluster_bill()),
        2 => numbers(break_even()),
    ]
    .boxed()
}
