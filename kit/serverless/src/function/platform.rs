//! A platform while it is used: what runs until when, and what is seen of it.

use super::{Day, Function, LONGEST, Retry};
use crate::load::{Micros, Request, SECOND};
use kit_contract::Modules;
use kit_contract::design::Serverless;
use kit_contract::design::serverless::{Attempt, Event, Next, Queue, Start};
use kit_time::random::{Purpose, Random};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

/// How many things that can't be are told.
const TOLD: usize = 3;

pub(super) struct Platform<'a> {
    function: &'a Function,
    module: Box<dyn Serverless>,
    random: Random,
    /// When each request that runs ends, and on which environment.
    ends: BinaryHeap<Reverse<(Micros, u64, u32)>>,
    busy: BTreeSet<u32>,
    /// Free environments that aren't kept ready: since when, and until when they are kept.
    free: BTreeMap<u32, (Micros, Micros)>,
    /// When each of these goes.
    leaves: BTreeSet<(Micros, u32)>,
    requests: u64,
    draws: u64,
    pub(super) day: Day,
}

impl<'a> Platform<'a> {
    pub(super) fn new(function: &'a Function, modules: &Modules, seed: u64) -> Self {
        Platform {
            function,
            module: modules.serverless.make(&function.config()),
            random: Random::new(seed),
            ends: BinaryHeap::new(),
            busy: BTreeSet::new(),
            free: BTreeMap::new(),
            leaves: BTreeSet::new(),
            requests: 0,
            draws: 0,
            day: Day::default(),
        }
    }

    fn fraction(&mut self, reason: &str) -> f64 {
        self.draws += 1;
        self.random.fraction(Purpose { component: "functions", object: "", reason, attempt: self.draws })
    }

    fn is_kept(&self, environment: u32) -> bool {
        environment <= self.function.provisioned
    }

    /// Environments become free, and those that were free for long go.
    fn pass(&mut self, now: Micros) {
        while let Some(Reverse((at, request, environment))) = self.ends.peek().copied().filter(|next| next.0.0 <= now) {
            self.ends.pop();
            let keep = self.function.keep_alive * (0.5 + self.fraction("keep"));
            let keep_ms = (keep * 1000.0) as u64;
            self.module.ended(at / 1000, request, keep_ms);
            self.busy.remove(&environment);
            if !self.is_kept(environment) {
                let until = (at / 1000 + keep_ms) * 1000;
                self.free.insert(environment, (at, until));
                self.leaves.insert((until, environment));
            }
        }
        while let Some((until, environment)) = self.leaves.first().copied().filter(|(until, _)| *until <= now) {
            self.leaves.remove(&(until, environment));
            self.leave(environment, until);
        }
    }

    /// An environment isn't free any more.
    fn leave(&mut self, environment: u32, at: Micros) -> bool {
        let Some((since, until)) = self.free.remove(&environment) else { return false };
        self.leaves.remove(&(until, environment));
        self.day.there += at.saturating_sub(since) as f64 / SECOND as f64;
        true
    }

    /// Whether a module's answer can be, or why not.
    fn check(&mut self, start: Start, request: &Request) {
        let is_busy = |environment: &u32| self.busy.contains(environment);
        let wrong = match start {
            Start::Warm(environment) if is_busy(&environment) => {
                Some(format!("environment {environment} runs another one"))
            }
            Start::Warm(environment) if self.is_kept(environment) => None,
            Start::Warm(environment) => {
                (!self.leave(environment, request.at)).then(|| format!("environment {environment} isn't there"))
            }
            Start::Cold(environment) => (is_busy(&environment) || self.leave(environment, request.at))
                .then(|| format!("environment {environment} is there already")),
            Start::Throttled(_) => None,
        };
        if let Some(wrong) = wrong.filter(|_| self.day.wrong.len() < TOLD) {
            self.day.wrong.push(format!("{} ms: request {}: {wrong}", request.at / 1000, self.requests));
        }
    }

    /// Runs one request: how it went, and when it ended.
    pub(super) fn invoke(&mut self, request: &Request, slow: f64) -> (Attempt, Micros) {
        let now = request.at;
        self.pass(now);
        self.requests += 1;
        let start = self.module.invoke(now / 1000, self.requests, 0);
        self.check(start, request);
        let day = &mut self.day;
        let quarter = &mut day.quarters[((now / (6 * 3600 * SECOND)) as usize).min(3)];
        let (environment, cold) = match start {
            Start::Throttled(_) => {
                day.throttled += 1;
                quarter.throttled += 1;
                return (Attempt::Throttled, now);
            }
            Start::Warm(environment) => {
                quarter.warm += 1;
                (environment, None)
            }
            Start::Cold(environment) => {
                quarter.cold += 1;
                let chance = self.fraction("start");
                (environment, Some(self.function.cold_start(chance)))
            }
        };
        let takes = self.function.duration(request);
        let works = takes.min(LONGEST);
        let (before, init) = cold.unwrap_or_default();
        let whole = before + init + works;
        let ends = now + whole as Micros;
        let is_kept = self.is_kept(environment);
        self.busy.insert(environment);
        self.ends.push(Reverse((ends, self.requests, environment)));
        let not_busy = (1..=self.function.provisioned).filter(|kept| !self.busy.contains(kept)).count();
        let there = self.busy.len() + self.free.len() + not_busy;
        let day = &mut self.day;
        day.runs += 1;
        *day.took.entry((init as u64, works as u64, is_kept)).or_default() += 1;
        day.busy += works / 1e6;
        day.there += whole / 1e6;
        day.peak = day.peak.max(there);
        if cold.is_some() {
            day.starts.add(before + init);
        }
        if takes > LONGEST {
            day.timed_out += 1;
            return (Attempt::Failed, ends);
        }
        if self.function.errors > 0.0 && self.fraction("error") < self.function.errors {
            return (Attempt::Failed, ends);
        }
        self.day.latencies.add(whole);
        self.day.slowness.see(now, whole > slow);
        (Attempt::Succeeded, ends)
    }

    /// What becomes of an event after an attempt that ended so at this time.
    pub(super) fn after(&mut self, event: &Retry, attempt: Attempt, at: Micros) -> Next {
        let Retry { came, failures, throttles, .. } = *event;
        let event = Event { came_ms: came / 1000, failures, throttles };
        self.module.after(&Queue::default(), &event, &attempt, at / 1000)
    }

    pub(super) fn end(mut self, seconds: u64) -> Day {
        let end = seconds * SECOND;
        self.pass(end);
        let idle: f64 = self.free.values().map(|(since, _)| end.saturating_sub(*since) as f64 / 1e6).sum();
        self.day.there += idle;
        self.day
    }
}
