//! What a container has done so far, and what its quota did to it: for the files of its cgroup, and for metrics.
//!
//! It works all the time, as much as its image and its load say, in bursts beside that, and on requests, which come in several
//! threads at once; [`throttling`] says what a quota makes of threads.

use super::Run;
use crate::cgroup::throttling::{self, Demand, Limit, Outcome};
use crate::cgroup::{PERIOD, quota};
use crate::kubelet::image::Bursts;
use kit_time::agenda::Instant;

/// Nobody has more threads at work than this, and each costs time here.
const THREADS: usize = 1000;

/// What a quota did (`cpu.stat`, `container_cpu_cfs_*`).
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Throttled {
    /// Periods with something to do.
    pub periods: f64,
    /// Those of them in which it had to stop.
    pub throttled_periods: f64,
    /// For how many seconds.
    pub seconds: f64,
}

/// What was done, and what that went through.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Work {
    /// CPU time in seconds.
    pub cpu: f64,
    /// What its quota did.
    pub throttled: Throttled,
}

/// What a run had done when that changed last which it does.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counted {
    since: Instant,
    at: Instant,
    work: Work,
}

impl Throttled {
    /// So often what threads went through once.
    fn times(outcome: &Outcome, count: f64) -> Throttled {
        Throttled {
            periods: count * outcome.periods as f64,
            throttled_periods: count * outcome.throttled_periods as f64,
            seconds: count * outcome.throttled / 1000.0,
        }
    }

    /// Of somebody who wants so many thousandths of a CPU all the time: what is beyond the quota is there in each period.
    fn steady(wants: i64, limit: i64, seconds: f64) -> Throttled {
        let periods = seconds * 1e6 / PERIOD as f64;
        let stops = f64::from(u8::from(wants > limit));
        let part = 1.0 - limit as f64 / wants.max(1) as f64;
        Throttled { periods, throttled_periods: stops * periods, seconds: stops * part * seconds }
    }

    /// With whole periods, as the kernel counts them.
    pub fn whole(self) -> Throttled {
        let whole = |periods: f64| (periods + 1e-6).floor();
        let (periods, throttled_periods) = (whole(self.periods), whole(self.throttled_periods));
        Throttled { periods, throttled_periods, ..self }
    }
}

impl Work {
    fn and(self, other: Work) -> Work {
        let (one, two) = (self.throttled, other.throttled);
        let throttled = Throttled {
            periods: one.periods + two.periods,
            throttled_periods: one.throttled_periods + two.throttled_periods,
            seconds: one.seconds + two.seconds,
        };
        Work { cpu: self.cpu + other.cpu, throttled }
    }
}

impl Run {
    /// What it has done since it began, on a node with so many CPUs.
    pub(super) fn work(&self, now: Instant, cpus: usize) -> Work {
        let Some(since) = self.since() else { return Work::default() };
        let bursts = self.image.bursts.map(|bursts| bursts_of(&bursts, self.cpu, cpus, length(since, now)));
        self.counted(since, now).and(bursts.unwrap_or_default())
    }

    /// It has so many thousandths of a CPU to do from now on, beside what it does by itself.
    pub(super) fn take_load(&mut self, milli_cpu: i64, now: Instant) {
        if milli_cpu != self.load {
            self.note_work(now);
        }
        self.load = milli_cpu;
    }

    /// Its processes stand still from now on, or don't any more.
    pub(super) fn stand_still(&mut self, still: bool, now: Instant) {
        if still != self.still {
            self.note_work(now);
        }
        self.still = still;
    }

    fn note_work(&mut self, now: Instant) {
        if let Some(since) = self.since() {
            self.done = Counted { since, at: now, work: self.counted(since, now) };
        }
    }

    /// The same without bursts.
    fn counted(&self, since: Instant, now: Instant) -> Work {
        // What another run has done is another's.
        let before =
            if self.done.since == since { self.done } else { Counted { since, at: since, work: Work::default() } };
        before.work.and(self.steadily(length(before.at, now)))
    }

    /// What it does in so many seconds, as much as it wants now.
    fn steadily(&self, seconds: f64) -> Work {
        if self.still {
            return Work::default();
        }
        let wants = self.image.milli_cpu + self.load;
        let cpu = self.throttled(wants) as f64 / 1000.0 * seconds;
        let throttled = match (self.cpu, self.image.request, self.alone()) {
            (None, ..) => Throttled::default(),
            (Some(limit), ..) if wants > limit => Throttled::steady(wants, limit, seconds),
            (Some(_), Some(request), Some(one)) => Throttled::times(&one, cpu / request.cpu.max(1e-3)),
            // Between bursts a quota has nothing to do.
            (Some(_), ..) if self.image.bursts.is_some() => Throttled::default(),
            (Some(limit), ..) => Throttled::steady(wants, limit, seconds),
        };
        Work { cpu, throttled }
    }

    /// What becomes of one request while nothing else is done.
    pub(super) fn alone(&self) -> Option<Outcome> {
        let request = self.image.request?;
        let period = PERIOD as f64 / 1000.0;
        let quota = self.cpu.map_or(f64::INFINITY, |cpu| quota(cpu, PERIOD) as f64 / 1000.0);
        let threads = request.threads.clamp(1, THREADS);
        let demand = Demand { at: 0.0, cpu: request.cpu.clamp(0.0, 600.0) * 1000.0 / threads as f64 };
        Some(throttling::run(&Limit { period, quota, cpus: threads }, &vec![demand; threads]))
    }
}

fn length(from: Instant, to: Instant) -> f64 {
    (to - from).nanos.max(0) as f64 / 1e9
}

/// All bursts in so many seconds.
fn bursts_of(bursts: &Bursts, limit: Option<i64>, cpus: usize, seconds: f64) -> Work {
    let every = bursts.every.max(0.001);
    let (count, each) = ((seconds / every).floor(), bursts.threads as f64 * bursts.cpu);
    let Some(limit) = limit else { return Work { cpu: count * each, ..Work::default() } };
    let wants = (each / every * 1000.0) as i64;
    if wants >= limit {
        // It is never done with one before the next.
        return Work { cpu: limit as f64 / 1000.0 * seconds, throttled: Throttled::steady(wants, limit, seconds) };
    }
    let period = PERIOD as f64 / 1000.0;
    let limit = Limit { period, quota: quota(limit, PERIOD) as f64 / 1000.0, cpus: cpus.max(1) };
    let demand = Demand { at: 0.0, cpu: bursts.cpu * 1000.0 };
    let outcome = throttling::run(&limit, &vec![demand; bursts.threads.min(THREADS)]);
    Work { cpu: count * each, throttled: Throttled::times(&outcome, count) }
}
