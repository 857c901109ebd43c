//! A whole day with the module of `design/serverless` in its place: as scenarios have it.

use crate::cluster::Shape;
use crate::curve;
use crate::function::{Day, Function, Runtime, total};
use crate::load::{Load, profiles};
use crate::measure::Latencies;
use crate::prices::prices;
use crate::show::{money, time};
use kit_contract::Modules;
use kit_contract::design::serverless::{ClusterCost, Config, FunctionCost};
use serde::Deserialize;

/// The source of chance.
const SEED: u64 = 7;
/// The hours of a month, as price lists have them.
const MONTH: f64 = 730.0;

/// A day, and what takes its requests.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    day: Traffic,
    #[serde(default)]
    function: Made,
    #[serde(default)]
    cluster: Cluster,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Traffic {
    profile: String,
    /// Requests in a second, on average.
    rate: f64,
    #[serde(default = "twenty")]
    cpu_ms: f64,
    #[serde(default = "eighty")]
    wait_ms: f64,
}

fn twenty() -> f64 {
    20.0
}

fn eighty() -> f64 {
    80.0
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Made {
    memory_mb: u32,
    account: u32,
    reserved: Option<u32>,
    provisioned: u32,
    asynchronous: bool,
    /// The share of runs that fail.
    errors: f64,
    java: bool,
}

impl Default for Made {
    fn default() -> Self {
        Made {
            memory_mb: 512,
            account: 1000,
            reserved: None,
            provisioned: 0,
            asynchronous: false,
            errors: 0.0,
            java: false,
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Cluster {
    reserved: u32,
    least_machines: usize,
}

impl Default for Cluster {
    fn default() -> Self {
        Cluster { reserved: 0, least_machines: 2 }
    }
}

impl Script {
    /// How many questions and answers its transcript has.
    pub fn len(&self) -> usize {
        3
    }

    /// Whether there is nothing to play, which is never so.
    pub fn is_empty(&self) -> bool {
        false
    }

    fn load(&self) -> Result<Load, String> {
        let Traffic { profile, rate, cpu_ms, wait_ms } = &self.day;
        let profiles = profiles();
        let profile = profiles.get(profile).ok_or_else(|| format!("there is no profile `{profile}`"))?;
        if !(0.001..=1.0).contains(rate) || !(0.1..=1e6).contains(cpu_ms) || !(0.0..=1e6).contains(wait_ms) {
            return Err("a day has from 0.001 to 1 requests a second, each of which takes up to 1000 s".into());
        }
        Ok(Load { rates: profile.rates(*rate), cpu_ms: *cpu_ms, wait_ms: *wait_ms, memory_mb: self.function.memory_mb })
    }

    fn function(&self) -> Result<Function, String> {
        let Made { memory_mb, account, reserved, provisioned, asynchronous, errors, java } = self.function;
        if !(128..=10_240).contains(&memory_mb) || account > 1000 || provisioned > reserved.unwrap_or(account) {
            return Err(
                "a function has 128 to 10240 MB, an account of up to 1000, and no more provisioned than that".into()
            );
        }
        let runtime = if java { Runtime::Java } else { Runtime::Node };
        let of = Function { memory_mb, runtime, reserved, provisioned, asynchronous, errors, ..Function::default() };
        Ok(Function { concurrency: account, ..of })
    }
}

/// Plays a day. `see` is told of the functions, of the cluster, and of where both meet.
///
/// # Errors
///
/// A script that can't be played, in words.
pub fn play(script: &Script, modules: &Modules, see: &mut dyn FnMut(String, Vec<String>)) -> Result<(), String> {
    let (load, function) = (script.load()?, script.function()?);
    let prices = prices();
    let usual = function.duration(&crate::load::Request { at: 0, cpu: load.cpu_ms * 1e3, wait: load.wait_ms * 1e3 });
    let day = function.play(&load, modules, SEED, usual + 5e5);
    let bill = day.bill(modules, &prices.function, &function);
    let parts = [("requests", bill.requests), ("duration", bill.duration), ("kept ready", bill.kept)];
    let mut lines = told(day);
    lines.extend(parts.into_iter().map(|(what, amount)| format!("{what:<12}{}", money(amount.0))));
    see(format!("the day `{}` on functions", script.day.profile), lines);

    let shape = Shape { nodes: (script.cluster.least_machines, 200), ..Shape::default() };
    let asked = shape.asked(&load);
    let mut module = modules.serverless.make(&Config::default());
    // The same day with two thousand times as many requests: what a cluster is for.
    let Some(spans) = curve::machines(module.as_mut(), &asked, &load, 2000.0) else {
        see("2,000 times as many on a cluster".into(), vec!["no pod fits on a machine".into()]);
        see("where both meet".into(), vec!["nowhere".into()]);
        return Ok(());
    };
    let (least, most) =
        spans.iter().fold((u32::MAX, 0), |(least, most), span| (least.min(span.machines), most.max(span.machines)));
    let costs =
        [0, script.cluster.reserved].map(|reserved| module.cluster_bill(&spans, reserved, &prices.cluster.listed()).0);
    let lines = vec![
        format!("{least} to {most} machines, {} changes", spans.len() - 1),
        format!("on demand {}, with {} reserved {}", money(costs[0]), script.cluster.reserved, money(costs[1])),
    ];
    see("2,000 times as many on a cluster".into(), lines);

    let micros = |dollars: f64| (dollars * 1e6).round() as u64;
    let requests = load.average() * load.rates.len() as f64 * 60.0;
    let each = total(&bill) - bill.kept.0;
    let functions = FunctionCost {
        million: micros(each / requests.max(1.0) * 1e6).max(1),
        free_requests: 0,
        kept: micros(bill.kept.0 / 24.0 * MONTH),
    };
    let listed = prices.cluster.listed();
    let pods = shape.pods_of_node(&load) as f64;
    let per_second = pods * f64::from(shape.pod_milli_cpu * shape.target_percent) / 100.0 / load.cpu_ms;
    let cluster = ClusterCost {
        fixed: micros(listed.fixed_hour * MONTH),
        machine: micros(listed.machine_hour * MONTH),
        machine_requests: ((per_second * MONTH * 3600.0) as u64).max(1_000_000),
        least_machines: asked.least_machines.max(1),
    };
    let said = match module.break_even(&functions, &cluster) {
        Some(requests) => format!("{requests} requests in a month"),
        None => "at no number of requests".into(),
    };
    see("where both meet, if requests come evenly".into(), vec![said]);
    Ok(())
}

fn told(mut day: Day) -> Vec<String> {
    let percentiles = |all: &mut Latencies| [50.0, 99.0].map(|share| time(all.percentile(share))).join(" and ");
    let mut lines = std::mem::take(&mut day.wrong);
    for (number, quarter) in day.quarters.iter().enumerate() {
        let (from, to) = (number * 6, number * 6 + 6);
        lines.push(format!(
            "{from:02}–{to:02} h     {} warm, {} cold, {} refused",
            quarter.warm, quarter.cold, quarter.throttled
        ));
    }
    lines.push(format!("failed      {} of {}", day.failed, day.latencies.count() + day.failed));
    lines.push(format!("p50 and p99 {}", percentiles(&mut day.latencies)));
    lines.push(format!(
        "at once     {} environments at most, at work {:.1} % of their time",
        day.peak,
        100.0 * day.utilization()
    ));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::Case;
    use crate::curve::Curve;

    #[test]
    fn the_break_even_of_a_steady_day_is_that_of_the_curve() {
        let modules = solutions::modules();
        let load = Load { rates: profiles()["steady"].rates(20.0), cpu_ms: 20.0, wait_ms: 80.0, memory_mb: 512 };
        let case = Case { load, function: Function::default(), shape: Shape::default(), seed: SEED };
        let curve = Curve { case: &case, prices: &prices(), million: 1.5, modules: &modules };
        let rate = curve.break_even().expect("both meet");
        let listed = prices().cluster.listed();
        let functions = FunctionCost { million: 1_500_000, free_requests: 0, kept: 0 };
        let cluster = ClusterCost {
            fixed: (listed.fixed_hour * 24e6) as u64,
            machine: (listed.machine_hour * 24e6) as u64,
            // Two pods on a machine, each with 540 thousandths of a CPU to use.
            machine_requests: 2 * 27 * 86_400,
            least_machines: 2,
        };
        let requests = modules.serverless.make(&Config::default()).break_even(&functions, &cluster).expect("both meet");
        assert!((requests as f64 / 86_400.0 / rate - 1.0).abs() < 0.001, "{requests} {rate}");
    }
}
