//! # Kubernetes or serverless
//!
//! Functions or pods? The answer is a day of requests and two bills. You write the platform that finds, makes or refuses an environment for each request; the
//! bills of both worlds; and the load at which they cost the same.
//!
//! About 50 minutes · builds on nothing · book: "Kubernetes or serverless" · stuck? `cargo grade hint design/serverless`
//!
//! Given to you:
//!
//! - `kit::design::serverless::MOST: u64`: the most requests in a month for which a break-even is looked for
//!
//! All types are in `kit::design::serverless`.

use kit::design::Serverless;
use kit::design::serverless::{
    Attempt, Bill, ClusterCost, ClusterPrices, Config, Dollars, Event, FunctionCost, FunctionPrices, Next, Queue,
    Shape, Span, Start, Usage,
};

/// The platform of one function. What has it to remember?
#[allow(dead_code)]
struct Exercise {
    config: Config,
}

impl Serverless for Exercise {
    fn new(config: &Config) -> Self {
        Exercise { config: *config }
    }

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
    fn invoke(&mut self, now_ms: u64, request: u64, others: u32) -> Start {
        let _ = (now_ms, request, others);
        todo!("five rules, in order; begin with the last one")
    }

    /// A request has ended, well or badly, and its environment is free. If it isn't provisioned, it is gone `keep_ms` from now, at that millisecond already, unless it is
    /// used before. A request that doesn't run here changes nothing.
    ///
    /// How many environments are there now, free or not?
    fn ended(&mut self, now_ms: u64, request: u64, keep_ms: u64) -> u32 {
        let _ = (now_ms, request, keep_ms);
        todo!("whose environment was it?")
    }

    /// What becomes of an asynchronous event, for which nobody waits, after an attempt to run it. The first rule that fits:
    ///
    /// - `Succeeded`: it is done.
    /// - `Failed`, and it had failed `max_retries` times before, or more: it is given up for its `Retries`.
    /// - `Failed` for the first time: again after 1 minute. Any other time: after 2 minutes.
    /// - `Throttled`: again after 1 second; twice as long for each time that it was throttled before, but never longer than 5 minutes.
    ///
    /// An event that would be older than `max_age_ms` at that time is given up now, for its `Age`.
    fn after(&mut self, queue: &Queue, event: &Event, attempt: &Attempt, now_ms: u64) -> Next {
        let _ = (queue, event, attempt, now_ms);
        todo!("how long does it wait? and how old is it then?")
    }

    /// The bill of a function.
    ///
    /// - **Requests**: the price for each million, for all runs beyond `free_requests`.
    /// - **Duration**: each run by itself is rounded up to whole milliseconds, its initialization included. That time, with the memory
    ///   in GB (1024 MB each), is GB-seconds; runs on provisioned environments have a price of their own. `free_gb_seconds` are taken off the others.
    /// - **Kept**: GB-seconds for which environments were provisioned, with their time rounded up to whole 5 minutes.
    ///
    /// Nothing is free if anything is provisioned.
    fn bill(&mut self, usage: &Usage, prices: &FunctionPrices) -> Bill {
        let _ = (usage, prices);
        todo!("round each run up before you multiply it")
    }

    /// How many machines a cluster needs for so many requests in an hour. None if no pod fits on a machine.
    ///
    /// There are so many pods that each uses `target_percent` of its CPU at most, but never fewer than `least_pods`. A machine has as many as fit by CPU and
    /// by memory. There are never fewer than `least_machines`. All numbers are whole: a quotient of `f64` may be a pod too many.
    fn machines(&mut self, shape: &Shape, requests_an_hour: u64) -> Option<u32> {
        let _ = (shape, requests_an_hour);
        todo!("microseconds of CPU in an hour, then pods, then machines")
    }

    /// The bill of a cluster: what is always there, by the hour, and machines. `reserved` of these were ordered beforehand: they are paid all the time,
    /// needed or not, at a price of their own. Those beyond are paid on demand.
    fn cluster_bill(&mut self, spans: &[Span], reserved: u32, prices: &ClusterPrices) -> Dollars {
        let _ = (spans, reserved, prices);
        todo!("what does one hour of a span cost?")
    }

    /// The fewest requests in a month, from 1 to `MOST`, with which the cluster costs no more than functions. None if there is no such number. One more
    /// request may cost one more machine, so that functions may be cheaper again with a few more.
    ///
    /// Functions cost `kept`, and `million` for each million requests beyond those that are free: a single one costs the millionth part. The
    /// cluster costs `fixed`, and `machine` for each of its machines: as few as can take the requests, but never fewer than `least_machines`.
    fn break_even(&mut self, functions: &FunctionCost, cluster: &ClusterCost) -> Option<u64> {
        let _ = (functions, cluster);
        todo!("with one number of machines: how many requests are enough, and does it take them?")
    }
}

kit::exercise!(Exercise: Serverless);
