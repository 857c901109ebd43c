//! The reference for `node/probes`.

// ANCHOR: solution
use kit::node::Prober;
use kit::node::probes::{Answer, Config, Container, Done, Kill, Kind, Outcome, Probe, RestartPolicy, Synced, Verdict};

/// The workers of one container.
pub struct Exercise {
    restart_policy: RestartPolicy,
    grace_seconds: i64,
    /// Those that have not ended.
    workers: Vec<Worker>,
    /// What the last sync saw, and whether it had started.
    container: Option<Container>,
    started: bool,
}

struct Worker {
    kind: Kind,
    spec: Probe,
    next_tick_ms: i64,
    busy: bool,
    /// A sync wants it to look as soon as it isn't busy any more.
    wanted: bool,
    /// Which container the result is about.
    run: Option<u32>,
    result: Option<Verdict>,
    /// The last outcome, and how many of these there were in a row.
    last: Option<Verdict>,
    in_a_row: i64,
    on_hold: bool,
}

impl Prober for Exercise {
    fn new(config: &Config) -> Self {
        let worker = |kind| {
            let spec = config.probe(kind)?.clone();
            Some(Worker {
                kind,
                next_tick_ms: spec.period_seconds * 1000,
                spec,
                busy: false,
                wanted: false,
                run: None,
                result: None,
                last: None,
                in_a_row: 0,
                on_hold: false,
            })
        };
        Exercise {
            restart_policy: config.restart_policy,
            grace_seconds: config.termination_grace_period_seconds,
            workers: Kind::ALL.into_iter().filter_map(worker).collect(),
            container: None,
            started: false,
        }
    }

    fn sync(&mut self, container: &Container, now_ms: i64) -> Synced {
        if container.deleting {
            self.workers.retain(|worker| worker.kind == Kind::Readiness);
        }
        self.container = Some(container.clone());
        let runs = container.started_at_ms.is_some();
        self.started = runs && self.holds(Kind::Startup);
        let ready = self.started && self.holds(Kind::Readiness);
        let kill = if runs { self.kill() } else { None };
        let mut answer = Answer::default();
        if self.started && !ready {
            self.want(Kind::Readiness, now_ms, &mut answer);
        }
        Synced { started: self.started, ready, kill, answer: self.finish(answer) }
    }

    fn wake(&mut self, now_ms: i64) -> Answer {
        let mut answer = Answer::default();
        for kind in Kind::ALL {
            self.tick(kind, now_ms, &mut answer);
        }
        self.finish(answer)
    }

    fn outcome(&mut self, done: &Done, now_ms: i64) -> Answer {
        let mut answer = Answer::default();
        if let Some(worker) = self.worker(done.probe) {
            worker.busy = false;
            worker.count(done.outcome, &mut answer);
            if worker.wanted {
                self.want(done.probe, now_ms, &mut answer);
            } else {
                self.tick(done.probe, now_ms, &mut answer);
            }
        }
        self.finish(answer)
    }
}

impl Exercise {
    fn worker(&mut self, kind: Kind) -> Option<&mut Worker> {
        self.workers.iter_mut().find(|worker| worker.kind == kind)
    }

    /// What the worker of this kind says of the container; without a worker `None`.
    fn says(&self, kind: Kind) -> Option<Option<Verdict>> {
        let worker = self.workers.iter().find(|worker| worker.kind == kind)?;
        let run = self.container.as_ref().map(|container| container.run);
        Some(worker.result.filter(|_| worker.run == run))
    }

    fn holds(&self, kind: Kind) -> bool {
        self.says(kind).is_none_or(|said| said == Some(Verdict::Success))
    }

    // ANCHOR: kill
    fn kill(&self) -> Option<Kill> {
        let failed = |kind: &Kind| self.says(*kind) == Some(Some(Verdict::Failure));
        let because = [Kind::Liveness, Kind::Startup].into_iter().find(failed)?;
        let spec = self.workers.iter().find(|worker| worker.kind == because).map(|worker| &worker.spec)?;
        let grace = spec.termination_grace_period_seconds.unwrap_or(self.grace_seconds);
        // `minimumGracePeriodInSeconds`
        let grace_seconds = grace.max(2);
        Some(Kill { because, grace_seconds, restarts: self.restart_policy != RestartPolicy::Never })
    }
    // ANCHOR_END: kill

    /// A sync wants a worker to look, and its ticker to begin anew.
    fn want(&mut self, kind: Kind, now_ms: i64, answer: &mut Answer) {
        let Some(worker) = self.worker(kind) else { return };
        worker.wanted = worker.busy;
        if !worker.busy {
            worker.next_tick_ms = now_ms + worker.spec.period_seconds * 1000;
            self.look(kind, now_ms, answer);
        }
    }

    /// Lets a worker look if its ticker has ticked.
    fn tick(&mut self, kind: Kind, now_ms: i64, answer: &mut Answer) {
        let Some(worker) = self.worker(kind).filter(|worker| !worker.busy && worker.next_tick_ms <= now_ms) else {
            return;
        };
        let period = worker.spec.period_seconds * 1000;
        worker.next_tick_ms += (now_ms - worker.next_tick_ms) / period * period + period;
        self.look(kind, now_ms, answer);
    }

    // ANCHOR: look
    fn look(&mut self, kind: Kind, now_ms: i64, answer: &mut Answer) {
        let (started, never) = (self.started, self.restart_policy == RestartPolicy::Never);
        let Some(container) = self.container.clone() else { return };
        let Some(worker) = self.worker(kind) else { return };
        if worker.run != Some(container.run) {
            worker.run = Some(container.run);
            worker.result = None;
            worker.on_hold = false;
            worker.set(first(kind), answer);
        }
        if worker.on_hold {
            return;
        }
        let Some(since) = container.started_at_ms else {
            worker.set(Verdict::Failure, answer);
            if never {
                self.workers.retain(|worker| worker.kind != kind);
            }
            return;
        };
        let old_enough = now_ms - since >= worker.spec.initial_delay_seconds * 1000;
        if old_enough && started != (kind == Kind::Startup) {
            worker.busy = true;
            answer.probe.insert(kind);
        }
    }
    // ANCHOR_END: look

    fn finish(&self, answer: Answer) -> Answer {
        let ticks = self.workers.iter().filter(|worker| !worker.busy).map(|worker| worker.next_tick_ms);
        Answer { wake_at_ms: ticks.min(), ..answer }
    }
}

impl Worker {
    fn set(&mut self, verdict: Verdict, answer: &mut Answer) {
        if self.result != Some(verdict) {
            self.result = Some(verdict);
            answer.results.insert(self.kind, verdict);
        }
    }

    // ANCHOR: count
    fn count(&mut self, outcome: Outcome, answer: &mut Answer) {
        let (verdict, threshold) = match outcome {
            Outcome::Passed | Outcome::Warned => (Verdict::Success, self.spec.success_threshold),
            Outcome::Failed | Outcome::TimedOut => (Verdict::Failure, self.spec.failure_threshold),
            Outcome::Errored => return,
        };
        self.in_a_row = if self.last == Some(verdict) { self.in_a_row + 1 } else { 1 };
        self.last = Some(verdict);
        if self.in_a_row < threshold {
            return;
        }
        self.set(verdict, answer);
        let over = match self.kind {
            Kind::Startup => true,
            Kind::Liveness => verdict == Verdict::Failure,
            Kind::Readiness => false,
        };
        if over {
            (self.on_hold, self.in_a_row) = (true, 0);
        }
    }
    // ANCHOR_END: count
}

/// What a worker says of a container that it hasn't probed yet.
fn first(kind: Kind) -> Verdict {
    match kind {
        Kind::Startup => Verdict::Unknown,
        Kind::Liveness => Verdict::Success,
        Kind::Readiness => Verdict::Failure,
    }
}
// ANCHOR_END: solution
