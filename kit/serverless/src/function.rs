//! A platform for functions, as AWS documents Lambda.
//!
//! Who runs a request, who is refused, when an event is tried again and what the bill is, the module of `design/serverless` decides;
//! here are the requests, the time that each takes, and the clock. Sources, of docs.aws.amazon.com/lambda/latest/dg: a run ends
//! after 900 s (`configuration-timeout.html`); 1,769 MB are one vCPU (`configuration-memory.html`). The time of the initialization
//! is paid, too, since August 2025 (aws.amazon.com/blogs/compute/aws-lambda-standardizes-billing-for-init-phase).
//!
//! Two things AWS doesn't document are assumptions: how long an idle environment is kept, and how long a start takes by runtime
//! and size.

mod platform;

use crate::load::{Load, Micros, Request, SECOND};
use crate::measure::{Latencies, Slowness};
use crate::prices::FunctionPrices;
use kit_contract::Modules;
use kit_contract::design::serverless::{Attempt, Bill, Config, Next, Runs, Usage};
use platform::Platform;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

/// The memory with which a function has one vCPU.
const MB_OF_VCPU: f64 = 1769.0;
/// How long a run may take.
pub const LONGEST: f64 = 900.0 * SECOND as f64;
/// The end of a day.
const DAY: u64 = 86_400;
/// So many times events are tried again for each request that came, before the day is given up. By the rules, in 6 hours with
/// waits of up to 5 minutes, nothing is tried more often than that.
const TRIES: u64 = 100;

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
    /// How many requests may run at once in the account.
    pub concurrency: u32,
    /// How many of them are reserved for this function, if any are.
    pub reserved: Option<u32>,
    /// How many environments are kept ready.
    pub provisioned: u32,
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
            reserved: None,
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
    /// How often runs took how long, in microseconds of the initialization and of the rest, by whether the environment was kept ready.
    pub took: BTreeMap<(u64, u64, bool), u64>,
    /// What came of requests in each quarter of the day.
    pub quarters: [Quarter; 4],
    /// What the platform's module did that can't be, in words.
    pub wrong: Vec<String>,
    /// The seconds for which environments worked, and those for which they were there.
    pub busy: f64,
    /// See `busy`.
    pub there: f64,
    /// The most environments at once.
    pub peak: usize,
    /// Times in which answers took long.
    pub slowness: Slowness,
}

/// A quarter of a day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Quarter {
    /// Requests that found an environment.
    pub warm: usize,
    /// Those that had to wait for one.
    pub cold: usize,
    /// Those that were refused.
    pub throttled: usize,
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

    /// What the function may use.
    pub fn config(&self) -> Config {
        let Function { concurrency: account, reserved, provisioned, .. } = *self;
        Config { account, reserved, provisioned, ..Config::default() }
    }

    /// Plays a day. `slow` says from how many microseconds on an answer is slow.
    pub fn play(&self, load: &Load, modules: &Modules, seed: u64, slow: f64) -> Day {
        let mut platform = Platform::new(self, modules, seed);
        let mut requests = load.requests(seed).peekable();
        let mut again: BinaryHeap<Reverse<Retry>> = BinaryHeap::new();
        let (mut came, mut tried) = (0, 0);
        loop {
            let is_retry = again.peek().is_some_and(|Reverse(old)| requests.peek().is_none_or(|new| old.at <= new.at));
            let mut retry = if is_retry {
                let Some(Reverse(old)) = again.pop() else { break };
                old
            } else {
                let Some(new) = requests.next() else { break };
                came += 1;
                Retry { at: new.at, came: new.at, failures: 0, throttles: 0, needs: [new.cpu as u64, new.wait as u64] }
            };
            let [cpu, wait] = retry.needs.map(|needs| needs as f64);
            let (attempt, at) = platform.invoke(&Request { at: retry.at, cpu, wait }, slow);
            if attempt == Attempt::Succeeded {
                continue;
            }
            let next = if self.asynchronous { platform.after(&retry, attempt, at) } else { Next::Done };
            let Next::Again(ms) = next else {
                platform.day.failed += 1;
                continue;
            };
            match attempt {
                Attempt::Throttled => retry.throttles += 1,
                _ => retry.failures += 1,
            }
            // A module may say what it likes: time doesn't go back, and nothing is tried for more than a day.
            retry.at = ms.saturating_mul(1000).clamp(at + 1000, at + 1000 * 1000 * DAY);
            again.push(Reverse(retry));
            tried += 1;
            if tried > TRIES * came {
                platform.day.wrong.push(format!("{} ms: events are tried again without end", at / 1000));
                break;
            }
        }
        platform.end(DAY)
    }
}

/// A request that is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Retry {
    at: Micros,
    came: Micros,
    failures: u32,
    throttles: u32,
    /// CPU time, and time to wait, in microseconds.
    needs: [u64; 2],
}

impl Day {
    /// What the day costs.
    pub fn bill(&self, modules: &Modules, prices: &FunctionPrices, function: &Function) -> Bill {
        let runs = self.took.iter().map(|(&(init_us, run_us, provisioned), &count)| Runs {
            count,
            init_us,
            run_us,
            provisioned,
        });
        let usage = Usage { runs: runs.collect(), ..function.kept(DAY) };
        modules.serverless.make(&function.config()).bill(&usage, &prices.listed())
    }

    /// The share of the time of environments in which they worked.
    pub fn utilization(&self) -> f64 {
        if self.there > 0.0 { self.busy / self.there } else { 0.0 }
    }
}

impl Function {
    /// What is used in so many seconds without any request.
    pub fn kept(&self, seconds: u64) -> Usage {
        Usage {
            memory_mb: self.memory_mb,
            runs: Vec::new(),
            provisioned: self.provisioned,
            provisioned_seconds: seconds,
        }
    }
}

/// What a bill comes to.
pub fn total(bill: &Bill) -> f64 {
    bill.requests.0 + bill.duration.0 + bill.kept.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prices::prices;

    const SLOW: f64 = 1e6;

    fn play(function: &Function, load: &Load, seed: u64) -> Day {
        let day = function.play(load, &solutions::modules(), seed, SLOW);
        assert!(day.wrong.is_empty(), "{:?}", day.wrong);
        day
    }

    fn cost(day: &Day, function: &Function) -> f64 {
        total(&day.bill(&solutions::modules(), &prices().function, function))
    }

    fn load(per_second: f64, minutes: usize, cpu_ms: f64, wait_ms: f64) -> Load {
        Load { rates: vec![per_second; minutes], cpu_ms, wait_ms, memory_mb: 128 }
    }

    #[test]
    fn an_environment_serves_one_request_at_a_time_and_is_used_again() {
        let day = play(&Function::default(), &load(10.0, 60, 10.0, 100.0), 1);
        // Ten a second for 135 ms each are 1.35 at once; chance makes a few more of it at times.
        assert!((2..=12).contains(&day.peak), "{}", day.peak);
        assert!(day.starts.count() < 120, "{}", day.starts.count());
        assert_eq!((day.failed, day.runs), (0, day.latencies.count()));
    }

    #[test]
    fn who_is_idle_for_long_goes() {
        // One request in an hour: few come within the ten minutes for which the last one's environment is kept.
        let day = play(&Function::default(), &load(1.0 / 3600.0, 24 * 60, 10.0, 10.0), 3);
        assert!(day.runs > 10 && 10 * day.starts.count() > 7 * day.runs, "{} of {}", day.starts.count(), day.runs);
    }

    #[test]
    fn a_spike_is_throttled_by_the_account_and_by_the_rate() {
        // 3,000 a second for a second each would be 3,000 at once.
        let mut day = play(&Function::default(), &load(3000.0, 1, 1.0, 1000.0), 1);
        assert!(day.throttled > 50_000, "{}", day.throttled);
        assert_eq!((day.peak, day.failed), (1000, day.throttled), "the account has 1,000");
        assert!(day.latencies.percentile(50.0).expect("some run") > 500.0);
        let more = Function { concurrency: 100_000, ..Function::default() };
        let day = play(&more, &load(3000.0, 1, 1.0, 1000.0), 1);
        // The first thousand at once, and a hundred more each second.
        assert!(day.throttled > 0 && day.peak > 2500, "{} {}", day.throttled, day.peak);
    }

    #[test]
    fn nothing_runs_for_more_than_fifteen_minutes() {
        let day = play(&Function::default(), &load(0.01, 60, 10.0, 3.6e6), 1);
        assert!(day.runs > 10 && day.timed_out == day.runs && day.failed == day.runs, "{day:?}");
    }

    #[test]
    fn what_fails_is_tried_twice_more_if_nobody_waits() {
        let broken = Function { errors: 1.0, asynchronous: true, ..Function::default() };
        let day = play(&broken, &load(0.1, 30, 10.0, 10.0), 1);
        assert_eq!(day.runs, 3 * day.failed);
        let sync = Function { asynchronous: false, ..broken };
        let day = play(&sync, &load(0.1, 30, 10.0, 10.0), 1);
        assert_eq!(day.runs, day.failed);
    }

    #[test]
    fn what_is_kept_ready_starts_warm_and_costs_all_day() {
        let load = load(1.0, 60, 10.0, 50.0);
        let on_demand = Function::default();
        let kept = Function { provisioned: 5, ..Function::default() };
        let (cold, warm) = (play(&on_demand, &load, 1), play(&kept, &load, 1));
        assert!(cold.starts.count() > 0);
        assert_eq!(warm.starts.count(), 0);
        assert!(cost(&warm, &kept) > cost(&cold, &on_demand));
        // 5 environments of half a GB for a day, at the price of being there.
        assert!(cost(&warm, &kept) > 5.0 * 0.5 * 86_400.0 * 0.000_004_166_7);
    }

    #[test]
    fn the_bill_is_what_the_price_list_says() {
        // The example of the price list: 512 MB, a second each. Here 1,000 of them, without free tier.
        let function = Function { memory_mb: 512, provisioned: 0, ..Function::default() };
        let day = Day { runs: 1000, took: BTreeMap::from([((0, 1_000_000, false), 1000)]), ..Day::default() };
        let cost = cost(&day, &function);
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
