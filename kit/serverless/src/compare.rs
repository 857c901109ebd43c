//! The same day on both.

use crate::cluster::{self, Ran, Shape};
use crate::function::{self, Function, total};
use crate::load::Load;
use crate::measure::{Latencies, Slowness};
use crate::prices::Prices;
use crate::service;
use kit_contract::Modules;
use kit_contract::design::serverless::Config;
use serde::Serialize;

/// From how many milliseconds more than usual on an answer is slow.
const SLOW_MS: f64 = 500.0;

/// What is compared.
#[derive(Debug, Clone)]
pub struct Case {
    /// The traffic.
    pub load: Load,
    /// The function that takes it.
    pub function: Function,
    /// The cluster that takes it.
    pub shape: Shape,
    /// The source of chance.
    pub seed: u64,
}

/// How one of them did.
#[derive(Debug, Clone, Serialize)]
pub struct Side {
    /// What it is.
    pub name: &'static str,
    /// USD for the day.
    pub cost: f64,
    /// Half of the answers took at most so many milliseconds.
    pub p50: Option<f64>,
    /// 95 of a hundred did.
    pub p95: Option<f64>,
    /// 99 of a hundred did.
    pub p99: Option<f64>,
    /// How many requests there were.
    pub requests: usize,
    /// How many had no answer.
    pub failed: usize,
    /// How many environments or pods were started.
    pub starts: usize,
    /// Half of these starts took at most so many milliseconds.
    pub start_p50: Option<f64>,
    /// 95 of a hundred did.
    pub start_p95: Option<f64>,
    /// The longest time in which some answer or other was slow, in seconds.
    pub slow: f64,
    /// The share of what was paid that worked.
    pub utilization: f64,
    /// The most environments or pods at once, and the most machines.
    pub peak: (usize, usize),
}

/// Both, and what the cluster would cost with its smallest number of nodes reserved for a year.
#[derive(Debug, Clone, Serialize)]
pub struct Compared {
    /// The function.
    pub function: Side,
    /// The cluster.
    pub cluster: Side,
    /// USD for the day with reserved nodes.
    pub reserved_cost: f64,
    /// What a million of requests cost on functions, without what is kept ready.
    pub million: f64,
}

impl Case {
    /// From how many microseconds on an answer is slow.
    fn slow(&self) -> f64 {
        (self.load.cpu_ms + self.load.wait_ms + SLOW_MS) * 1000.0
    }

    /// What a pod has, in cores.
    fn cores(&self) -> f64 {
        f64::from(self.shape.pod_milli_cpu) / 1000.0
    }

    /// The function's day.
    pub fn on_functions(&self, modules: &Modules) -> function::Day {
        let usual = self.function.duration(&crate::load::Request {
            at: 0,
            cpu: self.load.cpu_ms * 1000.0,
            wait: self.load.wait_ms * 1000.0,
        });
        self.function.play(&self.load, modules, self.seed, usual.max(self.slow() - SLOW_MS * 1000.0) + SLOW_MS * 1000.0)
    }

    /// The cluster's day.
    ///
    /// # Errors
    ///
    /// If there can be no such cluster.
    pub fn on_cluster(&self, modules: &Modules) -> Result<(Ran, service::Day), String> {
        let ran = self.shape.run(&self.load, modules, self.seed)?;
        let day = service::play(&self.load, &ran.capacity, self.cores(), self.seed, self.slow());
        Ok((ran, day))
    }

    /// Plays the day on both.
    ///
    /// # Errors
    ///
    /// If there can be no such cluster.
    pub fn compare(&self, modules: &Modules, prices: &Prices) -> Result<Compared, String> {
        let mut day = self.on_functions(modules);
        let bill = day.bill(modules, &prices.function, &self.function);
        let cost = total(&bill);
        let utilization = day.utilization();
        let peak = (day.peak, 0);
        let failed = day.failed;
        let million = if day.runs > 0 { (cost - bill.kept.0) / day.runs as f64 * 1e6 } else { 0.0 };
        let function =
            side("functions", cost, &mut day.latencies, failed, &mut day.starts, &day.slowness, utilization, peak);

        let (mut ran, mut day) = self.on_cluster(modules)?;
        let end = cluster::end(&self.load);
        let (fewest, most) = ran.machines();
        let spans = ran.spans(end);
        let mut module = modules.serverless.make(&Config::default());
        let mut bill = |reserved| module.cluster_bill(&spans, reserved, &prices.cluster.listed()).0;
        let (cost, reserved_cost) = (bill(0), bill(fewest as u32));
        let machine_seconds: f64 = spans.iter().map(|span| f64::from(span.machines) * span.seconds as f64).sum();
        let paid = machine_seconds * f64::from(self.shape.node.0) / 1000.0;
        let utilization = if paid > 0.0 { day.busy / paid } else { 0.0 };
        let peak = (ran.pods(), most);
        let failed = day.failed;
        let mut starts = ran.starts.clone();
        if starts.count() == 0 {
            starts = std::mem::take(&mut ran.starts_with_machine);
        }
        let mut cluster =
            side("cluster", cost, &mut day.latencies, failed, &mut starts, &day.slowness, utilization, peak);
        cluster.starts = ran.starts.count() + ran.starts_with_machine.count();
        Ok(Compared { function, cluster, reserved_cost, million })
    }
}

#[allow(clippy::too_many_arguments)] // They are the columns of one row.
fn side(
    name: &'static str,
    cost: f64,
    answers: &mut Latencies,
    failed: usize,
    starts: &mut Latencies,
    slowness: &Slowness,
    utilization: f64,
    peak: (usize, usize),
) -> Side {
    Side {
        name,
        cost,
        p50: answers.percentile(50.0),
        p95: answers.percentile(95.0),
        p99: answers.percentile(99.0),
        requests: answers.count() + failed,
        failed,
        starts: starts.count(),
        start_p50: starts.percentile(50.0),
        start_p95: starts.percentile(95.0),
        slow: slowness.longest(),
        utilization,
        peak,
    }
}
