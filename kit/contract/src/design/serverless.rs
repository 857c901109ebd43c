//! Functions and a cluster under the same load: who runs a request, who is refused, and what both cost.
//!
//! Sources, of docs.aws.amazon.com/lambda/latest/dg: `lambda-runtime-environment.html` (environments are used again),
//! `lambda-concurrency.html` and `provisioned-concurrency.html` (what counts as in use), `scaling-behavior.html` (the rate),
//! `invocation-async-error-handling.html` (retries); aws.amazon.com/lambda/pricing (rounding, free tier). Which environment is
//! used again is documented nowhere: the last one, as measurements agree.
//!
//! The kit around the module has the requests, says how long each runs, keeps the clock and the queue, and plays the day.

mod show;

use serde::{Deserialize, Serialize};

/// The most requests in a month for which a break-even is looked for.
pub const MOST: u64 = 1_000_000_000_000;

// ANCHOR: contract
contract! {
    /// A platform for functions, and the numbers that are held against a cluster's. What a method but the first two says is
    /// remembered nowhere.
    pub trait Serverless {
        /// The platform before the first request, at 0 ms. No environments are there but those that are *provisioned*: they have the numbers
        /// from 1 on, and never go.
        fn new(config: &Config) -> Self;

        /// A request arrives. Its number is like no other one's. An environment runs one request at a time; it is *free* if it runs none.
        /// The first of these rules that fits:
        ///
        /// 1. A provisioned environment is free: it runs the request (`Warm`).
        /// 2. All environments that are provisioned are *in use*, whether they run or not, and so are all others that run a request. If as many
        ///    as `reserved` are in use, or more, the request is refused by `Reserved`. Without `reserved`, `others` requests that run in
        ///    the rest of the account count, too: if all together are as many as `account`, or more, it is refused by `Account`.
        /// 3. Another environment is free and hasn't gone: it runs the request (`Warm`).
        /// 4. A new environment costs a token. There are `burst` of them at first, and never more; each second brings `per_second` more, and
        ///    each part of a second its part. With less than a whole token the request is refused by `Rate`.
        /// 5. A new environment runs the request (`Cold`). It has the next number that none had before.
        ///
        /// Among free ones, of rule 1 and of rule 3, it is the one that became free last; after all of these come provisioned ones that have never
        /// run anything, by their numbers.
        fn invoke(&mut self, now_ms: u64, request: u64, others: u32) -> Start;

        /// A request has ended, well or badly, and its environment is free. If it isn't provisioned, it is gone `keep_ms` from now, at that millisecond already, unless it is
        /// used before. A request that doesn't run here changes nothing.
        ///
        /// How many environments are there now, free or not?
        fn ended(&mut self, now_ms: u64, request: u64, keep_ms: u64) -> u32;

        /// What becomes of an asynchronous event, for which nobody waits, after an attempt to run it. The first rule that fits:
        ///
        /// - `Succeeded`: it is done.
        /// - `Failed`, and it had failed `max_retries` times before, or more: it is given up for its `Retries`.
        /// - `Failed` for the first time: again after 1 minute. Any other time: after 2 minutes.
        /// - `Throttled`: again after 1 second; twice as long for each time that it was throttled before, but never longer than 5 minutes.
        ///
        /// An event that would be older than `max_age_ms` at that time is given up now, for its `Age`.
        fn after(&mut self, queue: &Queue, event: &Event, attempt: &Attempt, now_ms: u64) -> Next;

        /// The bill of a function.
        ///
        /// - **Requests**: the price for each million, for all runs beyond `free_requests`.
        /// - **Duration**: each run by itself is rounded up to whole milliseconds, its initialization included. That time, with the memory
        ///   in GB (1024 MB each), is GB-seconds; runs on provisioned environments have a price of their own. `free_gb_seconds` are taken off the others.
        /// - **Kept**: GB-seconds for which environments were provisioned, with their time rounded up to whole 5 minutes.
        ///
        /// Nothing is free if anything is provisioned.
        fn bill(&mut self, usage: &Usage, prices: &FunctionPrices) -> Bill;

        /// How many machines a cluster needs for so many requests in an hour. None if no pod fits on a machine.
        ///
        /// There are so many pods that each uses `target_percent` of its CPU at most, but never fewer than `least_pods`. A machine has as many as fit by CPU and
        /// by memory. There are never fewer than `least_machines`. All numbers are whole: a quotient of `f64` may be a pod too many.
        fn machines(&mut self, shape: &Shape, requests_an_hour: u64) -> Option<u32>;

        /// The bill of a cluster: what is always there, by the hour, and machines. `reserved` of these were ordered beforehand: they are paid all the time,
        /// needed or not, at a price of their own. Those beyond are paid on demand.
        fn cluster_bill(&mut self, spans: &[Span], reserved: u32, prices: &ClusterPrices) -> Dollars;

        /// The fewest requests in a month, from 1 to [`MOST`], with which the cluster costs no more than functions. None if there is no such number. One more
        /// request may cost one more machine, so that functions may be cheaper again with a few more.
        ///
        /// Functions cost `kept`, and `million` for each million requests beyond those that are free: a single one costs the millionth part. The
        /// cluster costs `fixed`, and `machine` for each of its machines: as few as can take the requests, but never fewer than `least_machines`.
        fn break_even(&mut self, functions: &FunctionCost, cluster: &ClusterCost) -> Option<u64>;
    }
}

/// What a function may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How many requests may run at once in the account.
    pub account: u32,
    /// How many may run at once of this function, if some were reserved for it; the others' are then no matter.
    pub reserved: Option<u32>,
    /// How many environments are always there: at most as many as are reserved, or the account has.
    pub provisioned: u32,
    /// How many environments may be made at once.
    pub burst: u32,
    /// How many more in each second.
    pub per_second: u32,
}

impl Default for Config {
    fn default() -> Self {
        Config { account: 1000, reserved: None, provisioned: 0, burst: 1000, per_second: 100 }
    }
}

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Start {
    /// It runs in this environment, which was there.
    Warm(u32),
    /// It runs in this environment, which has to be made first.
    Cold(u32),
    /// It is refused, with the status 429.
    Throttled(Limit),
}

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Limit {
    /// What was reserved for the function is in use.
    Reserved,
    /// What the account has is in use.
    Account,
    /// No more environments may be made at this moment.
    Rate,
}

/// How long asynchronous events are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Queue {
    /// How often an event is tried again after a failure: 0, 1 or 2.
    pub max_retries: u32,
    /// How old an event may become: from a minute to 6 hours.
    pub max_age_ms: u64,
}

impl Default for Queue {
    fn default() -> Self {
        Queue { max_retries: 2, max_age_ms: 6 * 3_600_000 }
    }
}

/// An asynchronous event before an attempt to run it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// When it came.
    pub came_ms: u64,
    /// How often it had run and failed.
    #[serde(default)]
    pub failures: u32,
    /// How often it had been throttled.
    #[serde(default)]
    pub throttles: u32,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Attempt {
    /// It ran, and all was well.
    Succeeded,
    /// It ran, and its code failed or took too long.
    Failed,
    /// It didn't run.
    Throttled,
}

/// What becomes of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Next {
    /// Nothing more.
    Done,
    /// It is tried again at this time, in milliseconds.
    Again(u64),
    /// It goes to the dead-letter queue, if there is one.
    GivenUp(Reason),
}

/// Why an event is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reason {
    /// It has failed too often.
    Retries,
    /// It would be too old.
    Age,
}

/// What is billed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Usage {
    /// The function's memory.
    pub memory_mb: u32,
    /// All runs, those that failed among them.
    #[serde(default)]
    pub runs: Vec<Runs>,
    /// How many environments were provisioned.
    #[serde(default)]
    pub provisioned: u32,
    /// For how long.
    #[serde(default)]
    pub provisioned_seconds: u64,
}

/// Runs that took equally long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Runs {
    /// How many.
    pub count: u64,
    /// The initialization of each, in microseconds; 0 for those that found an environment.
    #[serde(default)]
    pub init_us: u64,
    /// How long each ran after that, in microseconds.
    pub run_us: u64,
    /// Whether they ran on provisioned environments.
    #[serde(default)]
    pub provisioned: bool,
}

/// What functions cost, in USD.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FunctionPrices {
    /// A million requests.
    pub million_requests: f64,
    /// A GB-second of a run.
    pub gb_second: f64,
    /// A GB-second of a run on a provisioned environment.
    pub provisioned_gb_second: f64,
    /// A GB-second of a provisioned environment, whatever it does.
    pub kept_gb_second: f64,
    /// How many requests are free.
    #[serde(default)]
    pub free_requests: u64,
    /// How many GB-seconds are free.
    #[serde(default)]
    pub free_gb_seconds: f64,
}

/// An amount of money. It means the same as another one if their first nine digits agree.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
pub struct Dollars(pub f64);

/// A bill.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bill {
    /// For requests.
    pub requests: Dollars,
    /// For the time of all runs.
    pub duration: Dollars,
    /// For environments that were kept.
    pub kept: Dollars,
}

/// What a request needs, and how pods and machines are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shape {
    /// CPU time of a request, in microseconds.
    pub request_us: u64,
    /// What a pod requests, in thousandths of a CPU; more than 0.
    pub pod_milli_cpu: u32,
    /// What it requests of memory; more than 0.
    pub pod_mb: u32,
    /// The share of its CPU that a pod should use: 1 to 100.
    pub target_percent: u32,
    /// The fewest pods.
    pub least_pods: u32,
    /// What a machine has for pods, in thousandths of a CPU.
    pub machine_milli_cpu: u32,
    /// What it has of memory.
    pub machine_mb: u32,
    /// The fewest machines.
    pub least_machines: u32,
}

/// A time with so many machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Span {
    /// How many.
    pub machines: u32,
    /// How long.
    pub seconds: u64,
}

/// What a cluster costs, in USD for an hour.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClusterPrices {
    /// The control plane, and whatever else is always there.
    pub fixed_hour: f64,
    /// A machine on demand.
    pub machine_hour: f64,
    /// A machine that was reserved.
    pub reserved_machine_hour: f64,
}

/// What functions cost in a month, in millionths of a dollar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FunctionCost {
    /// A million requests; at least 1, and less than 10^12.
    pub million: u64,
    /// How many requests are free.
    #[serde(default)]
    pub free_requests: u64,
    /// What is paid without any request.
    #[serde(default)]
    pub kept: u64,
}

/// What a cluster costs in a month, in millionths of a dollar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClusterCost {
    /// What is paid whatever it does.
    pub fixed: u64,
    /// A machine.
    pub machine: u64,
    /// How many requests in a month a machine takes: a million at least.
    pub machine_requests: u64,
    /// The fewest machines; at least 1.
    pub least_machines: u32,
}
// ANCHOR_END: contract
