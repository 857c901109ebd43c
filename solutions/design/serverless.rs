//! The reference for `design/serverless`.

// ANCHOR: solution
use kit::design::Serverless;
use kit::design::serverless::{
    Attempt, Bill, ClusterCost, ClusterPrices, Config, Dollars, Event, FunctionCost, FunctionPrices, Limit, MOST, Next,
    Queue, Reason, Shape, Span, Start, Usage,
};
use std::collections::BTreeMap;

const MINUTE_MS: u64 = 60_000;

/// A platform.
pub struct Exercise {
    config: Config,
    /// The environment of each request that runs.
    running: BTreeMap<u64, u32>,
    /// Provisioned environments that are free; the last one is the next.
    provisioned: Vec<u32>,
    /// Others that are free, and when each is gone; the last one is the next.
    free: Vec<(u32, u64)>,
    /// The highest number of an environment.
    last: u32,
    /// Thousandths of tokens, so that nothing has to be rounded, and when they were counted.
    tokens: u64,
    counted_ms: u64,
}

impl Exercise {
    /// How many are in use: all that are provisioned, and others that run a request.
    fn in_use(&self) -> usize {
        self.running.len() + self.provisioned.len()
    }
}

impl Serverless for Exercise {
    fn new(config: &Config) -> Self {
        Exercise {
            config: *config,
            running: BTreeMap::new(),
            provisioned: (1..=config.provisioned).rev().collect(),
            free: Vec::new(),
            last: config.provisioned,
            tokens: u64::from(config.burst) * 1000,
            counted_ms: 0,
        }
    }

    fn invoke(&mut self, now_ms: u64, request: u64, others: u32) -> Start {
        let Config { account, reserved, burst, per_second, .. } = self.config;
        if let Some(environment) = self.provisioned.pop() {
            self.running.insert(request, environment);
            return Start::Warm(environment);
        }
        let in_use = self.in_use() as u64;
        match reserved {
            Some(reserved) if in_use >= u64::from(reserved) => return Start::Throttled(Limit::Reserved),
            None if in_use + u64::from(others) >= u64::from(account) => return Start::Throttled(Limit::Account),
            _ => {}
        }
        self.free.retain(|(_, gone_ms)| *gone_ms > now_ms);
        if let Some((environment, _)) = self.free.pop() {
            self.running.insert(request, environment);
            return Start::Warm(environment);
        }
        let more = (now_ms - self.counted_ms) * u64::from(per_second);
        self.tokens = (self.tokens + more).min(u64::from(burst) * 1000);
        self.counted_ms = now_ms;
        if self.tokens < 1000 {
            return Start::Throttled(Limit::Rate);
        }
        self.tokens -= 1000;
        self.last += 1;
        self.running.insert(request, self.last);
        Start::Cold(self.last)
    }

    fn ended(&mut self, now_ms: u64, request: u64, keep_ms: u64) -> u32 {
        match self.running.remove(&request) {
            Some(environment) if environment <= self.config.provisioned => self.provisioned.push(environment),
            Some(environment) => self.free.push((environment, now_ms + keep_ms)),
            None => {}
        }
        self.free.retain(|(_, gone_ms)| *gone_ms > now_ms);
        (self.in_use() + self.free.len()) as u32
    }

    fn after(&mut self, queue: &Queue, event: &Event, attempt: &Attempt, now_ms: u64) -> Next {
        let wait = match attempt {
            Attempt::Succeeded => return Next::Done,
            Attempt::Failed if event.failures >= queue.max_retries => return Next::GivenUp(Reason::Retries),
            Attempt::Failed if event.failures == 0 => MINUTE_MS,
            Attempt::Failed => 2 * MINUTE_MS,
            // 2^9 seconds are more than 5 minutes.
            Attempt::Throttled => (1000_u64 << event.throttles.min(9)).min(5 * MINUTE_MS),
        };
        let at = now_ms + wait;
        if at - event.came_ms > queue.max_age_ms { Next::GivenUp(Reason::Age) } else { Next::Again(at) }
    }

    fn bill(&mut self, usage: &Usage, prices: &FunctionPrices) -> Bill {
        let gb = f64::from(usage.memory_mb) / 1024.0;
        let (mut count, mut own_ms, mut provisioned_ms) = (0, 0, 0);
        for runs in &usage.runs {
            count += runs.count;
            let ms = if runs.provisioned { &mut provisioned_ms } else { &mut own_ms };
            *ms += runs.count * (runs.init_us + runs.run_us).div_ceil(1000);
        }
        let is_free = usage.provisioned == 0;
        let (free_requests, free_gb_seconds) =
            if is_free { (prices.free_requests, prices.free_gb_seconds) } else { (0, 0.0) };
        let gb_seconds = |ms: u64| ms as f64 / 1000.0 * gb;
        let own = (gb_seconds(own_ms) - free_gb_seconds).max(0.0);
        let kept_seconds = usage.provisioned_seconds.div_ceil(300) * 300;
        Bill {
            requests: Dollars(count.saturating_sub(free_requests) as f64 / 1e6 * prices.million_requests),
            duration: Dollars(own * prices.gb_second + gb_seconds(provisioned_ms) * prices.provisioned_gb_second),
            kept: Dollars(f64::from(usage.provisioned) * gb * kept_seconds as f64 * prices.kept_gb_second),
        }
    }

    fn machines(&mut self, shape: &Shape, requests_an_hour: u64) -> Option<u32> {
        let by_cpu = shape.machine_milli_cpu / shape.pod_milli_cpu;
        let each = by_cpu.min(shape.machine_mb / shape.pod_mb);
        // What a pod should do in an hour, in microseconds, times a hundred: a thousandth of a CPU has 3.6 million of them.
        let pod = u64::from(shape.pod_milli_cpu) * u64::from(shape.target_percent) * 3_600_000;
        let pods = (requests_an_hour * shape.request_us * 100).div_ceil(pod).max(u64::from(shape.least_pods));
        if each == 0 {
            return None;
        }
        let machines = pods.div_ceil(u64::from(each));
        Some(u32::try_from(machines).unwrap_or(u32::MAX).max(shape.least_machines))
    }

    fn cluster_bill(&mut self, spans: &[Span], reserved: u32, prices: &ClusterPrices) -> Dollars {
        let hourly = |span: &Span| {
            prices.fixed_hour
                + f64::from(reserved) * prices.reserved_machine_hour
                + f64::from(span.machines.saturating_sub(reserved)) * prices.machine_hour
        };
        Dollars(spans.iter().map(|span| hourly(span) * span.seconds as f64 / 3600.0).sum())
    }

    fn break_even(&mut self, functions: &FunctionCost, cluster: &ClusterCost) -> Option<u64> {
        // In millionths of a millionth of a dollar, in which the price of a request is whole.
        let [million, free] = [functions.million, functions.free_requests].map(u128::from);
        let [kept, fixed, machine] =
            [functions.kept, cluster.fixed, cluster.machine].map(|part| u128::from(part) * 1_000_000);
        let each = u128::from(cluster.machine_requests);
        let least = u128::from(cluster.least_machines);
        let cost = |machines: u128| fixed + machines * machine;
        if cost(least) <= kept {
            return Some(1);
        }
        // So many machines that they take more than what is free: fewer can't pay. What is still missing when these are full?
        let mut machines = least.max(free.div_ceil(each));
        let missing = cost(machines).saturating_sub(kept + (machines * each - free) * million);
        if missing > 0 {
            // Each further machine brings so much when it is full, or nothing, ever.
            let brings = (each * million).checked_sub(machine).filter(|brings| *brings > 0)?;
            machines += missing.div_ceil(brings);
        }
        // Fewer machines weren't enough when they were full, so that this needs all of them.
        let enough = free + (cost(machines) - kept).div_ceil(million);
        u64::try_from(enough).ok().filter(|enough| *enough <= MOST)
    }
}
// ANCHOR_END: solution
