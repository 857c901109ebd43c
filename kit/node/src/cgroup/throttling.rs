//! What a CPU quota does to the threads of a container.
//!
//! A model of the kernel's CFS bandwidth control (`Documentation/scheduler/sched-bwc.rst`): in each period the container may use
//! so much CPU time, all its threads draw on it, and when it is used up all of them stop until the next period. What is
//! left is lost. Simplified: threads share CPUs evenly, nobody else wants them, and time isn't handed out in slices of 5 ms.

/// A container with a limit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limit {
    /// Milliseconds.
    pub period: f64,
    /// Milliseconds of CPU time in each period.
    pub quota: f64,
    /// How many CPUs the node has.
    pub cpus: usize,
}

/// A thread that has something to do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Demand {
    /// When it begins, in milliseconds.
    pub at: f64,
    /// How much CPU time it needs, in milliseconds.
    pub cpu: f64,
}

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outcome {
    /// When each thread was done, in milliseconds.
    pub finished: Vec<f64>,
    /// In how many periods there was something to do (`container_cpu_cfs_periods_total`).
    pub periods: u64,
    /// In how many of them threads had to stop (`container_cpu_cfs_throttled_periods_total`).
    pub throttled_periods: u64,
    /// For how long, in milliseconds (`container_cpu_cfs_throttled_seconds_total`).
    pub throttled: f64,
}

/// Smaller spans are none.
const NOTHING: f64 = 1e-9;

/// Runs all threads to their end. Without a quota or a CPU nothing would ever be done, and nothing is.
pub fn run(limit: &Limit, demands: &[Demand]) -> Outcome {
    let mut outcome = Outcome { finished: demands.iter().map(|demand| demand.at).collect(), ..Outcome::default() };
    if limit.quota <= NOTHING || limit.period <= NOTHING || limit.cpus == 0 {
        return outcome;
    }
    let mut left: Vec<f64> = demands.iter().map(|demand| demand.cpu).collect();
    let mut now = 0.0;
    while let Some(next) = soonest(demands, &left, now) {
        // Nothing happens until somebody wants something.
        now = now.max(next);
        let period = (now / limit.period + NOTHING).floor();
        let (mut quota, end) = (limit.quota, (period + 1.0) * limit.period);
        outcome.periods += 1;
        let mut throttled = 0.0;
        while end - now > NOTHING {
            let running: Vec<usize> =
                (0..left.len()).filter(|&one| left[one] > NOTHING && demands[one].at <= now + NOTHING).collect();
            let arrival = (0..left.len()).filter(|&one| left[one] > NOTHING).map(|one| demands[one].at);
            let arrival = arrival.filter(|at| *at > now + NOTHING).fold(end, f64::min);
            if running.is_empty() || quota <= NOTHING {
                // Idle, or stopped with something to do.
                throttled += if running.is_empty() { 0.0 } else { arrival - now };
                now = arrival;
                continue;
            }
            let each = (limit.cpus as f64 / running.len() as f64).min(1.0);
            let used = each * running.len() as f64;
            let first = running.iter().map(|&one| left[one] / each).fold(f64::INFINITY, f64::min);
            let span = first.min(quota / used).min(arrival - now);
            quota -= span * used;
            now += span;
            for one in running {
                left[one] -= span * each;
                if left[one] <= NOTHING {
                    outcome.finished[one] = now;
                }
            }
        }
        if throttled > NOTHING {
            outcome.throttled_periods += 1;
            outcome.throttled += throttled;
        }
        now = end;
    }
    outcome
}

/// When somebody next has something to do.
fn soonest(demands: &[Demand], left: &[f64], now: f64) -> Option<f64> {
    let open = demands.iter().zip(left).filter(|(_, left)| **left > NOTHING);
    open.map(|(demand, _)| demand.at.max(now)).reduce(f64::min)
}
