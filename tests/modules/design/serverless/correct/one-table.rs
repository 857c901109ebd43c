//! Passes: one table of all environments, tokens as the time at which the bucket is full again, and the bill added up run by run.

use kit::design::Serverless;
use kit::design::serverless::{
    Attempt, Bill, ClusterCost, ClusterPrices, Config, Dollars, Event, FunctionCost, FunctionPrices, Limit, MOST, Next, Queue,
    Reason, Shape, Span, Start, Usage,
};

use std::collections::BTreeMap;

struct Environment {
    request: Option<u64>,
    free_since: u64,
    gone_ms: u64,
}

struct Exercise {
    config: Config,
    all: BTreeMap<u32, Environment>,
    last: u32,
    ends: u64,
    /// In units of 1 / per_second milliseconds.
    full_at: u64,
}

impl Exercise {
    fn there(&mut self, now_ms: u64) {
        let kept = self.config.provisioned;
        self.all.retain(|number, one| *number <= kept || one.request.is_some() || one.gone_ms > now_ms);
    }

    fn take(&mut self, provisioned: bool, request: u64) -> Option<u32> {
        let kept = self.config.provisioned;
        let free = self.all.iter_mut().filter(|(number, one)| one.request.is_none() && (**number <= kept) == provisioned);
        let (number, one) = free.max_by_key(|(number, one)| (one.free_since, std::cmp::Reverse(**number)))?;
        one.request = Some(request);
        Some(*number)
    }
}

impl Serverless for Exercise {
    fn new(config: &Config) -> Self {
        let new = |number| (number, Environment { request: None, free_since: 0, gone_ms: 0 });
        let all = (1..=config.provisioned).map(new).collect();
        Exercise { config: *config, all, last: config.provisioned, ends: 0, full_at: 0 }
    }

    fn invoke(&mut self, now_ms: u64, request: u64, others: u32) -> Start {
        self.there(now_ms);
        if let Some(number) = self.take(true, request) {
            return Start::Warm(number);
        }
        let used = self.all.values().filter(|one| one.request.is_some()).count() as u32;
        let full = match self.config.reserved {
            Some(reserved) => (used >= reserved).then_some(Limit::Reserved),
            None => (used.saturating_add(others) >= self.config.account).then_some(Limit::Account),
        };
        if let Some(limit) = full {
            return Start::Throttled(limit);
        }
        if let Some(number) = self.take(false, request) {
            return Start::Warm(number);
        }
        let now = now_ms * u64::from(self.config.per_second);
        let full_at = self.full_at.max(now) + 1000;
        if full_at > now + u64::from(self.config.burst) * 1000 {
            return Start::Throttled(Limit::Rate);
        }
        self.full_at = full_at;
        self.last += 1;
        self.all.insert(self.last, Environment { request: Some(request), free_since: 0, gone_ms: 0 });
        Start::Cold(self.last)
    }

    fn ended(&mut self, now_ms: u64, request: u64, keep_ms: u64) -> u32 {
        self.ends += 1;
        let ends = self.ends;
        if let Some(one) = self.all.values_mut().find(|one| one.request == Some(request)) {
            *one = Environment { request: None, free_since: ends, gone_ms: now_ms + keep_ms };
        }
        self.there(now_ms);
        self.all.len() as u32
    }

    fn after(&mut self, queue: &Queue, event: &Event, attempt: &Attempt, now_ms: u64) -> Next {
        let wait = match attempt {
            Attempt::Succeeded => return Next::Done,
            Attempt::Failed => {
                if event.failures >= queue.max_retries {
                    return Next::GivenUp(Reason::Retries);
                }
                [60_000, 120_000][event.failures.min(1) as usize]
            }
            Attempt::Throttled => {
                let mut wait = 1000;
                for _ in 0..event.throttles.min(20) {
                    wait = 300_000.min(wait * 2);
                }
                wait
            }
        };
        if now_ms + wait <= event.came_ms + queue.max_age_ms { Next::Again(now_ms + wait) } else { Next::GivenUp(Reason::Age) }
    }

    fn bill(&mut self, usage: &Usage, prices: &FunctionPrices) -> Bill {
        let all_paid = usage.provisioned > 0;
        let gb_seconds = |provisioned: bool| -> f64 {
            let of = usage.runs.iter().filter(|runs| runs.provisioned == provisioned);
            of.map(|runs| {
                let us = runs.init_us + runs.run_us;
                let ms = us / 1000 + u64::from(us % 1000 > 0);
                runs.count as f64 * ms as f64 * f64::from(usage.memory_mb) / 1_024_000.0
            })
            .sum()
        };
        let free = if all_paid { 0.0 } else { prices.free_gb_seconds };
        let count = usage.runs.iter().map(|runs| runs.count as f64).sum::<f64>();
        let free_requests = if all_paid { 0.0 } else { prices.free_requests as f64 };
        let minutes = (usage.provisioned_seconds + 299) / 300 * 5;
        let kept = f64::from(usage.provisioned) * f64::from(usage.memory_mb) * minutes as f64 * 60.0 / 1024.0;
        Bill {
            requests: Dollars((count - free_requests).max(0.0) * prices.million_requests / 1e6),
            duration: Dollars(
                (gb_seconds(false) - free).max(0.0) * prices.gb_second
                    + gb_seconds(true) * prices.provisioned_gb_second,
            ),
            kept: Dollars(kept * prices.kept_gb_second),
        }
    }

    fn machines(&mut self, shape: &Shape, requests_an_hour: u64) -> Option<u32> {
        let fit = (shape.machine_milli_cpu / shape.pod_milli_cpu).min(shape.machine_mb / shape.pod_mb);
        let work = u128::from(requests_an_hour) * u128::from(shape.request_us) * 100;
        let takes = u128::from(shape.pod_milli_cpu) * u128::from(shape.target_percent) * 3_600_000;
        let pods = work.div_ceil(takes).max(shape.least_pods.into());
        (fit > 0).then(|| (pods.div_ceil(fit.into()) as u32).max(shape.least_machines))
    }

    fn cluster_bill(&mut self, spans: &[Span], reserved: u32, prices: &ClusterPrices) -> Dollars {
        let mut sum = 0.0;
        for span in spans {
            let hours = span.seconds as f64 / 3600.0;
            sum += hours * prices.fixed_hour;
            sum += hours * f64::from(reserved) * prices.reserved_machine_hour;
            if span.machines > reserved {
                sum += hours * f64::from(span.machines - reserved) * prices.machine_hour;
            }
        }
        Dollars(sum)
    }

    fn break_even(&mut self, functions: &FunctionCost, cluster: &ClusterCost) -> Option<u64> {
        let function = |requests: u128| {
            u128::from(functions.kept) * 1_000_000
                + requests.saturating_sub(functions.free_requests.into()) * u128::from(functions.million)
        };
        let cost = |machines: u128| (u128::from(cluster.fixed) + machines * u128::from(cluster.machine)) * 1_000_000;
        let each = u128::from(cluster.machine_requests);
        let least = u128::from(cluster.least_machines);
        // Whether so many machines have paid when they are full: once they do, more of them do, too.
        let pays = |machines: u128| function(machines * each) >= cost(machines);
        let most = u128::from(MOST).div_ceil(each).max(least);
        let mut machines = least;
        if !pays(least) {
            let (mut no, mut yes) = (least, most);
            if !pays(most) {
                return None;
            }
            while yes - no > 1 {
                let middle = (yes + no) / 2;
                if pays(middle) { yes = middle } else { no = middle }
            }
            machines = yes;
        }
        let (mut low, mut high) = (if machines == least { 1 } else { (machines - 1) * each + 1 }, machines * each);
        while low < high {
            let middle = (low + high) / 2;
            if function(middle) >= cost(machines) { high = middle } else { low = middle + 1 }
        }
        u64::try_from(low).ok().filter(|low| *low <= MOST)
    }
}

kit::exercise!(Exercise: Serverless);
