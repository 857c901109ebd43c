//! Functions and a cluster: who runs a request, and what both cost.

use super::Asked;
use kit_contract::Show;
use kit_contract::design::serverless::{
    Attempt, Bill, ClusterCost, ClusterPrices, Config, Dollars, Event, FunctionCost, FunctionPrices, Limit, MOST, Next,
    Queue, Reason, Shape, Span, Start, Usage,
};
use std::collections::BTreeMap;

/// Longer lists say nothing more.
const FEW: usize = 3;

pub fn serverless(asked: &Asked<'_>) -> Option<Vec<String>> {
    match asked.call {
        "invoke" => Some(vec![invoke(&config(asked)?, asked.arg("others")?, asked.answer()?)]),
        "ended" => ended(asked),
        "after" => {
            let (queue, event, attempt) = (asked.arg("queue")?, asked.arg("event")?, asked.arg("attempt")?);
            Some(vec![after(&queue, &event, attempt, asked.arg("now_ms")?, asked.answer()?)])
        }
        "bill" => Some(bill(&asked.arg("usage")?, &asked.arg("prices")?, &asked.answer()?)),
        "machines" => Some(machines(&asked.arg("shape")?, asked.arg("requests_an_hour")?, asked.answer()?)),
        "cluster_bill" => {
            Some(cluster_bill(&asked.arg::<Vec<Span>>("spans")?, asked.arg("reserved")?, &asked.arg("prices")?))
        }
        _ => Some(vec![break_even(&asked.arg("functions")?, &asked.arg("cluster")?, asked.answer()?)]),
    }
}

fn config(asked: &Asked<'_>) -> Option<Config> {
    serde_json::from_value(asked.script.new["config"].clone()).ok()
}

fn invoke(config: &Config, others: u32, start: Start) -> String {
    match start {
        Start::Warm(environment) if environment <= config.provisioned => {
            format!("Environment {environment} is provisioned and free, and these are taken first: the one that became free last.")
        }
        Start::Warm(environment) => format!(
            "No provisioned environment is free. Of the others that are free and not gone, {environment} became free last, and fewer are in use than may be."
        ),
        Start::Cold(_) => {
            "No environment is free, fewer are in use than may be, and a token is left: a new one is made, with the next number.".into()
        }
        Start::Throttled(Limit::Reserved) => format!(
            "{} are reserved, and as many are in use: provisioned ones are, whether they run or not.",
            config.reserved.unwrap_or_default()
        ),
        Start::Throttled(Limit::Account) => format!(
            "With the {others} of others, the {} of the account are in use: provisioned ones are, whether they run or not.",
            config.account
        ),
        Start::Throttled(Limit::Rate) => format!(
            "No environment is free, and a new one costs a token. {} come each second, and less than a whole one is left.",
            config.per_second
        ),
    }
}

fn ended(asked: &Asked<'_>) -> Option<Vec<String>> {
    let provisioned = config(asked)?.provisioned;
    let mut running: BTreeMap<u64, u32> = BTreeMap::new();
    for ((call, args), answer) in asked.script.steps.iter().zip(asked.answers) {
        let request = args["request"].as_u64()?;
        if call == "ended" {
            running.remove(&request);
        } else if let Ok(Start::Warm(environment) | Start::Cold(environment)) = serde_json::from_value(answer.clone()) {
            running.insert(request, environment);
        }
    }
    let there = asked.answer::<u32>()?;
    let run = running.values().filter(|environment| **environment > provisioned).count() as u32;
    let free = there.checked_sub(provisioned + run)?;
    Some(vec![
        format!(
            "There are {provisioned} that are provisioned, {run} others that run a request, and {free} others that are free."
        ),
        "Those that are free for as long as they are kept are gone, at that millisecond already.".into(),
    ])
}

fn after(queue: &Queue, event: &Event, attempt: Attempt, now_ms: u64, next: Next) -> String {
    let wait = match attempt {
        Attempt::Failed => "After the first failure it waits 1 minute, after any other 2 minutes".to_string(),
        _ => format!(
            "Throttled, it waits 1 second, and twice as long for each of the {} times before, but 5 minutes at most",
            event.throttles
        ),
    };
    let most = queue.max_age_ms;
    match next {
        Next::Done => "It ran, and all was well.".into(),
        Next::GivenUp(Reason::Retries) => format!(
            "It had failed {} times before, and is tried again {} times after failures.",
            event.failures, queue.max_retries
        ),
        Next::GivenUp(Reason::Age) => {
            format!(
                "{wait}. It is {} ms old now, and would be older than {most} ms then.",
                now_ms.saturating_sub(event.came_ms)
            )
        }
        Next::Again(at) => {
            format!("{wait}. It is {} ms old then, and may be {most}.", at.saturating_sub(event.came_ms))
        }
    }
}

fn bill(usage: &Usage, prices: &FunctionPrices, bill: &Bill) -> Vec<String> {
    let each = usage.runs.iter().take(FEW).map(|runs| {
        let us = runs.init_us + runs.run_us;
        format!("Each run of {us} µs, its initialization included, counts {} ms.", us.div_ceil(1000))
    });
    let mut said: Vec<String> = each.collect();
    let frees = prices.free_requests > 0 || prices.free_gb_seconds > 0.0;
    if usage.provisioned > 0 {
        let kept = usage.provisioned_seconds.div_ceil(300) * 300;
        said.push(format!(
            "What is provisioned is paid for {kept} s, in whole 5 minutes, whatever it does, and takes away what is free."
        ));
    } else if frees {
        said.push("What is free is taken off before it has a price, and never more than there is.".into());
    }
    let parts = [("requests", bill.requests), ("duration", bill.duration), ("kept", bill.kept)];
    let parts = parts.map(|(what, amount)| format!("{what} {}", amount.lines().concat()));
    said.push(format!("So there is to pay: {}.", parts.join(", ")));
    said
}

fn machines(shape: &Shape, requests_an_hour: u64, machines: Option<u32>) -> Vec<String> {
    let (by_cpu, by_memory) = (shape.machine_milli_cpu / shape.pod_milli_cpu, shape.machine_mb / shape.pod_mb);
    let fit = format!("By CPU {by_cpu} pods fit on a machine, by memory {by_memory}.");
    let Some(machines) = machines else { return vec![fit] };
    let pod = u64::from(shape.pod_milli_cpu) * u64::from(shape.target_percent) * 3_600_000;
    let pods = (requests_an_hour * shape.request_us * 100).div_ceil(pod);
    vec![
        format!(
            "{requests_an_hour} requests of {} µs are {pods} pods that use {} % of their {} thousandths of a CPU; at least {} are there.",
            shape.request_us, shape.target_percent, shape.pod_milli_cpu, shape.least_pods
        ),
        format!("{fit} That makes {machines}, of at least {}.", shape.least_machines),
    ]
}

fn cluster_bill(spans: &[Span], reserved: u32, prices: &ClusterPrices) -> Vec<String> {
    let money = |dollars: f64| Dollars(dollars).lines().concat();
    let each = spans.iter().take(FEW).map(|span| {
        let beyond = span.machines.saturating_sub(reserved);
        let hour = prices.fixed_hour
            + f64::from(reserved) * prices.reserved_machine_hour
            + f64::from(beyond) * prices.machine_hour;
        format!(
            "With {} machines {beyond} are on demand: {} an hour, for {} s.",
            span.machines,
            money(hour),
            span.seconds
        )
    });
    let always = format!("{reserved} machines are reserved, and paid all the time, needed or not.");
    std::iter::once(always).chain(each).collect()
}

fn break_even(functions: &FunctionCost, cluster: &ClusterCost, answer: Option<u64>) -> String {
    let cost = |requests: u64| {
        let machines = requests.div_ceil(cluster.machine_requests).max(u64::from(cluster.least_machines));
        let cluster = (u128::from(cluster.fixed) + u128::from(machines) * u128::from(cluster.machine)) as f64 / 1e6;
        let beyond = u128::from(requests.saturating_sub(functions.free_requests));
        let functions = functions.kept as f64 / 1e6 + (beyond * u128::from(functions.million)) as f64 / 1e12;
        let [cluster, functions] = [cluster, functions].map(|dollars| Dollars(dollars).lines().concat());
        format!("functions cost {functions}, and the cluster {cluster} with {machines} machines")
    };
    match answer {
        Some(1) => format!("With the first request already, {}.", cost(1)),
        Some(requests) => format!("With {requests} requests {}; with one less the cluster costs more.", cost(requests)),
        None => format!(
            "A full machine brings no more than it costs, or it takes too many: with {MOST} requests {}.",
            cost(MOST)
        ),
    }
}
