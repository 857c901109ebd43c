//! A platform for functions, as AWS documents Lambda.
//!
//! Sources, of docs.aws.amazon.com/lambda/latest/dg: an environment serves one request at a time (`lambda-concurrency.html`); an
//! account has 1,000 at once (`gettingstarted-limits.html`), and a function gets at most 1,000 more in ten seconds, refilled all
//! the time and never saved up (`scaling-behavior.html`); a run ends after 900 s (`configuration-timeout.html`); 1,769 MB are one
//! vCPU (`configuration-memory.html`); a failed asynchronous run is tried again after one minute and after two more
//! (`invocation-async-error-handling.html`). The time of the initialization is paid, too, since August 2025
//! (aws.amazon.com/blogs/compute/aws-lambda-standardizes-billing-for-init-phase).
//!
//! Two things AWS doesn't document are assumptions: how long an idle environment is kept, and how long a start takes by runtime
//! and size.

use crate::load::{Load, Micros, Request, SECOND};
use crate::measure::{Latencies, Slowness};
use crate::prices::FunctionPrices;
use kit_time::random::{Purpose, Random};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

/// The memory with which a function has one vCPU.
const MB_OF_VCPU: f64 = 1769.0;
/// How long a run may take.
pub const LONGEST: f64 = 900.0 * SECOND as f64;
/// How many environments may be added: so many at once, and so many in a second.
const BURST: f64 = 1000.0;
const REFILL: f64 = 100.0;
/// When a failed asynchronous run is tried again.
const AGAIN: [Micros; 2] = [60 * SECOND, 120 * SECOND];

/// What code a function has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Runtime {
    /// A program without a runtime, such as Rust or Go.
    Native,
    /// Node.js.
    Node,
    /// Python.
    Python,
    /// Java, without snapshots.
    Java,
}

impl Runtime {
    /// All, by name.
    pub const ALL: [(&'static str, Runtime); 4] =
        [("native", Runtime::Native), ("node", Runtime::Node), ("python", Runtime::Python), ("java", Runtime::Java)];

    /// How long its initialization takes with a vCPU, in milliseconds. An assumption: magnitudes that public measurements agree
    /// on.
    fn init_ms(self) -> f64 {
        match self {
            Runtime::Native => 50.0,
            Runtime::Node => 150.0,
            Runtime::Python => 130.0,
            Runtime::Java => 900.0,
        }
    }
}

/// A function.
#[derive(Debug, Clone, PartialEq)]
pub struct Function {
    /// Its memory in MB, which is also its share of a CPU.
    pub memory_mb: u32,
    /// What its code is.
    pub runtime: Runtime,
    /// How large its package is, in MB.
    pub package_mb: f64,
    /// How many environments may be there at once in the account.
    pub concurrency: usize,
    /// How many are kept ready.
    pub provisioned: usize,
    /// Whether nobody waits for answers: what fails is tried again.
    pub asynchronous: bool,
    /// The share of runs that fail.
    pub errors: f64,
    /// How long an idle environment is kept, in seconds, from half of it to one and a half. An assumption.
    pub keep_alive: f64,
}

impl Default for Function {
    fn default() -> Self {
        Function {
            memory_mb: 512,
            runtime: Runtime::Node,
            package_mb: 10.0,
            concurrency: 1000,
            provisioned: 0,
            asynchronous: false,
            errors: 0.0,
            keep_alive: 600.0,
        }
    }
}

/// What a day was like.
#[derive(Debug, Clone, Default)]
pub struct Day {
    /// How long answers took, those of failures left out.
    pub latencies: Latencies,
    /// How long cold starts took.
    pub starts: Latencies,
    /// Requests that were refused: 429.
    pub throttled: usize,
    /// Requests that failed for good, those that were refused among them.
    pub failed: usize,
    /// Runs that were ended for taking too long.
    pub timed_out: usize,
    /// Runs, tries of old requests included.
    pub runs: usize,
    /// Seconds with a GB that are paid, and of these those of environments that were kept ready.
    pub gb_seconds: f64,
    /// The same of those that are kept ready.
    pub provisioned_gb_seconds: f64,
    /// The seconds for which environments worked, and those for which they were there.
    pub busy: f64,
    /// See `busy`.
    pub there: f64,
    /// The most environments at once.
    pub peak: usize,
    /// Times in which answers took long.
    pub slowness: Slowness,
}

impl Function {
    /// How long a request takes here, without a cold start: with less memory there is less CPU.
    pub fn duration(&self, request: &Request) -> f64 {
        request.cpu * (MB_OF_VCPU / f64::from(self.memory_mb)).max(1.0) + request.wait
    }

    /// How long a cold start takes: a new environment, the package, the runtime's and the code's initialization. `chance` spreads it.
    pub fn cold_start(&self, chance: f64) -> (f64, f64) {
        let environment = 80.0 + 2.0 * self.package_mb;
        // Initialization has a whole CPU up to a point.
        let init = self.runtime.init_ms() * (1.0 + self.package_mb / 50.0);
        let spread = 0.7 + 0.6 * chance;
        (environment * 1000.0 * spread, init * 1000.0 * spread)
    }

    /// The seconds with a GB for which environments are kept ready in so many seconds.
    pub fn kept(&self, seconds: f64) -> f64 {
        self.provisioned as f64 * f64::from(self.memory_mb) / 1024.0 * seconds
    }

    /// Plays a day. `slow` says from how many microseconds on an answer is slow.
    pub fn play(&self, load: &Load, seed: u64, slow: f64) -> Day {
        let mut platform = Platform::new(self, seed);
        let mut requests = load.requests(seed).peekable();
        let mut again: BinaryHeap<Reverse<(Micros, usize, [u64; 2])>> = BinaryHeap::new();
        loop {
            let retry = again.peek().is_some_and(|Reverse((at, ..))| requests.peek().is_none_or(|new| *at <= new.at));
            let (request, tries) = if retry {
                let Some(Reverse((at, tries, [cpu, wait]))) = again.pop() else { break };
                (Request { at, cpu: cpu as f64, wait: wait as f64 }, tries)
            } else {
                let Some(request) = requests.next() else { break };
                (request, 0)
            };
            let done = platform.invoke(&request, slow);
            match (done, self.asynchronous) {
                (Ok(_), _) => {}
                (Err(at), true) if tries < AGAIN.len() => {
                    again.push(Reverse((at + AGAIN[tries], tries + 1, [request.cpu as u64, request.wait as u64])));
                }
                (Err(_), _) => platform.day.failed += 1,
            }
        }
        platform.end(86_400.0)
    }
}

impl Day {
    /// What the day costs.
    pub fn cost(&self, prices: &FunctionPrices, function: &Function) -> f64 {
        self.runs as f64 / 1e6 * prices.million_requests
            + self.gb_seconds * prices.gb_second
            + self.provisioned_gb_seconds * prices.provisioned.gb_second
            + function.kept(86_400.0) * prices.provisioned.reserved_gb_second
    }

    /// The share of the time of environments in which they worked.
    pub fn utilization(&self) -> f64 {
        if self.there > 0.0 { self.busy / self.there } else { 0.0 }
    }
}

/// An environment that is idle: since when, and until when it is kept.
#[derive(Clone, Copy)]
struct Idle {
    since: Micros,
    until: Micros,
}

struct Platform<'a> {
    function: &'a Function,
    random: Random,
    /// When each busy environment is free again, and whether it is one that is kept ready.
    busy: BinaryHeap<Reverse<(Micros, bool)>>,
    /// Idle environments: the last one that worked comes first.
    idle: VecDeque<Idle>,
    ready: usize,
    tokens: f64,
    filled: Micros,
    draws: u64,
    day: Day,
}

impl<'a> Platform<'a> {
    fn new(function: &'a Function, seed: u64) -> Self {
        Platform {
            function,
            random: Random::new(seed),
            busy: BinaryHeap::new(),
            idle: VecDeque::new(),
            ready: function.provisioned,
            tokens: BURST,
            filled: 0,
            draws: 0,
            day: Day::default(),
        }
    }

    fn fraction(&mut self, reason: &str) -> f64 {
        self.draws += 1;
        self.random.fraction(Purpose { component: "functions", object: "", reason, attempt: self.draws })
    }

    /// Environments become free, and those that were idle for long go.
    fn pass(&mut self, now: Micros) {
        while let Some(Reverse((at, is_kept))) = self.busy.peek().copied().filter(|Reverse((at, _))| *at <= now) {
            self.busy.pop();
            if is_kept {
                self.ready += 1;
            } else {
                let keep = self.function.keep_alive * (0.5 + self.fraction("keep"));
                self.idle.push_back(Idle { since: at, until: at + (keep * SECOND as f64) as Micros });
            }
        }
        let day = &mut self.day;
        self.idle.retain(|idle| {
            if idle.until <= now {
                day.there += (idle.until - idle.since) as f64 / 1e6;
            }
            idle.until > now
        });
    }

    /// Runs one request: when it failed, if it did.
    fn invoke(&mut self, request: &Request, slow: f64) -> Result<(), Micros> {
        let now = request.at;
        self.pass(now);
        let is_kept = self.ready > 0;
        let cold = if is_kept {
            self.ready -= 1;
            None
        } else if let Some(idle) = self.idle.pop_back() {
            self.day.there += now.saturating_sub(idle.since) as f64 / 1e6;
            None
        } else {
            self.tokens = (self.tokens + (now - self.filled) as f64 / 1e6 * REFILL).min(BURST);
            self.filled = now;
            let there = self.busy.len() + self.ready;
            if there >= self.function.concurrency || self.tokens < 1.0 {
                self.day.throttled += 1;
                return Err(now);
            }
            self.tokens -= 1.0;
            let chance = self.fraction("start");
            Some(self.function.cold_start(chance))
        };
        self.day.runs += 1;
        let takes = self.function.duration(request);
        let works = takes.min(LONGEST);
        let (before, init) = cold.unwrap_or_default();
        let paid = ((init + works) / 1000.0).ceil() / 1000.0 * f64::from(self.function.memory_mb) / 1024.0;
        if is_kept {
            self.day.provisioned_gb_seconds += paid
        } else {
            self.day.gb_seconds += paid
        }
        let whole = before + init + works;
        let ends = now + whole as Micros;
        self.day.busy += works / 1e6;
        self.day.there += whole / 1e6;
        self.busy.push(Reverse((ends, is_kept)));
        self.day.peak = self.day.peak.max(self.busy.len() + self.idle.len() + self.ready);
        if cold.is_some() {
            self.day.starts.add(before + init);
        }
        if takes > LONGEST {
            self.day.timed_out += 1;
            return Err(ends);
        }
        if self.function.errors > 0.0 && self.fraction("error") < self.function.errors {
            return Err(ends);
        }
        self.day.latencies.add(whole);
        self.day.slowness.see(now, whole > slow);
        Ok(())
    }

    fn end(mut self, seconds: f64) -> Day {
        let end = (seconds * SECOND as f64) as Micros;
        self.pass(end);
        let idle: f64 = self.idle.iter().map(|idle| end.saturating_sub(idle.since) as f64 / 1e6).sum();
        self.day.there += idle;
        self.day
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prices::prices;

    const SLOW: f64 = 1e6;

    fn load(per_second: f64, minutes: usize, cpu_ms: f64, wait_ms: f64) -> Load {
        Load { rates: vec![per_second; minutes], cpu_ms, wait_ms, memory_mb: 128 }
    }

    #[test]
    fn an_environment_serves_one_request_at_a_time_and_is_used_again() {
        let day = Function::default().play(&load(10.0, 60, 10.0, 100.0), 1, SLOW);
        // Ten a second for 135 ms each are 1.35 at once; chance makes a few more of it at times.
        assert!((2..=12).contains(&day.peak), "{}", day.peak);
        assert!(day.starts.count() < 120, "{}", day.starts.count());
        assert_eq!((day.failed, day.runs), (0, day.latencies.count()));
    }

    #[test]
    fn who_is_idle_for_long_goes() {
        // One request in an hour: few come within the ten minutes for which the last one's environment is kept.
        let day = Function::default().play(&load(1.0 / 3600.0, 24 * 60, 10.0, 10.0), 3, SLOW);
        assert!(day.runs > 10 && 10 * day.starts.count() > 7 * day.runs, "{} of {}", day.starts.count(), day.runs);
    }

    #[test]
    fn a_spike_is_throttled_by_the_account_and_by_the_rate() {
        // 3,000 a second for a second each would be 3,000 at once.
        let mut day = Function::default().play(&load(3000.0, 1, 1.0, 1000.0), 1, SLOW);
        assert!(day.throttled > 50_000, "{}", day.throttled);
        assert_eq!((day.peak, day.failed), (1000, day.throttled), "the account has 1,000");
        assert!(day.latencies.percentile(50.0).expect("some run") > 500.0);
        let more = Function { concurrency: 100_000, ..Function::default() };
        let day = more.play(&load(3000.0, 1, 1.0, 1000.0), 1, SLOW);
        // The first thousand at once, and a hundred more each second.
        assert!(day.throttled > 0 && day.peak > 2500, "{} {}", day.throttled, day.peak);
    }

    #[test]
    fn nothing_runs_for_more_than_fifteen_minutes() {
        let day = Function::default().play(&load(0.01, 60, 10.0, 3.6e6), 1, SLOW);
        assert!(day.runs > 10 && day.timed_out == day.runs && day.failed == day.runs, "{day:?}");
    }

    #[test]
    fn what_fails_is_tried_twice_more_if_nobody_waits() {
        let broken = Function { errors: 1.0, asynchronous: true, ..Function::default() };
        let day = broken.play(&load(0.1, 30, 10.0, 10.0), 1, SLOW);
        assert_eq!(day.runs, 3 * day.failed);
        let sync = Function { asynchronous: false, ..broken };
        let day = sync.play(&load(0.1, 30, 10.0, 10.0), 1, SLOW);
        assert_eq!(day.runs, day.failed);
    }

    #[test]
    fn what_is_kept_ready_starts_warm_and_costs_all_day() {
        let load = load(1.0, 60, 10.0, 50.0);
        let on_demand = Function::default();
        let kept = Function { provisioned: 5, ..Function::default() };
        let (cold, warm) = (on_demand.play(&load, 1, SLOW), kept.play(&load, 1, SLOW));
        assert!(cold.starts.count() > 0);
        assert_eq!(warm.starts.count(), 0);
        let prices = prices().function;
        assert!(warm.cost(&prices, &kept) > cold.cost(&prices, &on_demand));
        // 5 environments of half a GB for a day, at the price of being there.
        assert!(warm.cost(&prices, &kept) > 5.0 * 0.5 * 86_400.0 * 0.000_004_166_7);
    }

    #[test]
    fn the_bill_is_what_the_price_list_says() {
        // The example of the price list: 512 MB, a second each. Here 1,000 of them, without free tier.
        let function = Function { memory_mb: 512, provisioned: 0, ..Function::default() };
        let day = Day { runs: 1000, gb_seconds: 500.0, ..Day::default() };
        let cost = day.cost(&prices().function, &function);
        assert!((cost - (500.0 * 0.000_016_666_7 + 0.0002)).abs() < 1e-9, "{cost}");
    }

    #[test]
    fn less_memory_is_less_cpu() {
        let request = Request { at: 0, cpu: 100_000.0, wait: 50_000.0 };
        let takes = |memory_mb| Function { memory_mb, ..Function::default() }.duration(&request) / 1000.0;
        assert_eq!([1769, 3538].map(takes), [150.0, 150.0], "one thread has no use for two");
        assert!((takes(512) - (100.0 * 1769.0 / 512.0 + 50.0)).abs() < 1e-6);
    }
}
