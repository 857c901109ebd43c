//! Passes: results stand in one table by probe and container, as upstream's results managers keep them, and a worker is an enum.

use kit::node::Prober;
use kit::node::probes::*;
use std::collections::BTreeMap;

enum State {
    /// Waits for this tick.
    Waits(i64),
    /// Its probe runs. The next tick, and whether the kubelet wants it to look.
    Probes {
        tick: i64,
        asked: bool,
    },
    Over,
}

struct Worker {
    state: State,
    id: u32,
    held: bool,
    streak: (bool, i64),
}

struct Exercise {
    config: Config,
    workers: BTreeMap<Kind, Worker>,
    results: BTreeMap<(Kind, u32), Verdict>,
    told: BTreeMap<Kind, Verdict>,
    due: Vec<Kind>,
    seen: Option<(Container, bool)>,
}

impl Exercise {
    fn period(&self, kind: Kind) -> i64 {
        self.config.probe(kind).map_or(1000, |probe| probe.period_seconds * 1000)
    }

    fn set(&mut self, kind: Kind, id: u32, verdict: Verdict) {
        if self.results.insert((kind, id), verdict) != Some(verdict) {
            self.told.insert(kind, verdict);
        }
    }

    fn is_over(&self, kind: Kind) -> bool {
        self.workers.get(&kind).is_none_or(|worker| matches!(worker.state, State::Over))
    }

    fn result(&self, kind: Kind, id: u32) -> Option<Verdict> {
        if self.is_over(kind) { None } else { self.results.get(&(kind, id)).copied() }
    }

    fn do_probe(&mut self, kind: Kind, now: i64, tick: i64) {
        let Some((container, started)) = self.seen.clone() else {
            self.workers.entry(kind).and_modify(|worker| worker.state = State::Waits(tick));
            return;
        };
        let Some(worker) = self.workers.get_mut(&kind) else { return };
        worker.state = State::Waits(tick);
        if worker.id != container.run {
            let old = std::mem::replace(&mut worker.id, container.run);
            worker.held = false;
            self.results.remove(&(kind, old));
            self.results.remove(&(kind, container.run));
            let first = match kind {
                Kind::Startup => Verdict::Unknown,
                Kind::Liveness => Verdict::Success,
                Kind::Readiness => Verdict::Failure,
            };
            self.set(kind, container.run, first);
        }
        let Some(worker) = self.workers.get_mut(&kind) else { return };
        if worker.held {
            return;
        }
        match container.started_at_ms {
            None => {
                if self.config.restart_policy == RestartPolicy::Never {
                    worker.state = State::Over;
                }
                self.set(kind, container.run, Verdict::Failure);
            }
            Some(since) => {
                let delay = self.config.probe(kind).map_or(0, |probe| probe.initial_delay_seconds);
                let mine = if kind == Kind::Startup { !started } else { started };
                if mine && since + delay * 1000 <= now {
                    worker.state = State::Probes { tick, asked: false };
                    self.due.push(kind);
                }
            }
        }
    }

    fn answer(&mut self) -> Answer {
        let waits = self.workers.values().filter_map(|worker| match worker.state {
            State::Waits(tick) => Some(tick),
            _ => None,
        });
        let wake_at_ms = waits.min();
        Answer {
            results: std::mem::take(&mut self.told),
            probe: std::mem::take(&mut self.due).into_iter().collect(),
            wake_at_ms,
        }
    }

    fn after(&self, kind: Kind, tick: i64, now: i64) -> i64 {
        let period = self.period(kind);
        let mut tick = tick;
        while tick <= now {
            tick += period;
        }
        tick
    }
}

impl Prober for Exercise {
    fn new(config: &Config) -> Self {
        let mut workers = BTreeMap::new();
        for kind in Kind::ALL {
            if let Some(probe) = config.probe(kind) {
                let state = State::Waits(probe.period_seconds * 1000);
                workers.insert(kind, Worker { state, id: 0, held: false, streak: (true, 0) });
            }
        }
        Exercise {
            config: config.clone(),
            workers,
            results: BTreeMap::new(),
            told: BTreeMap::new(),
            due: Vec::new(),
            seen: None,
        }
    }

    fn sync(&mut self, container: &Container, now_ms: i64) -> Synced {
        if container.deleting {
            for kind in [Kind::Startup, Kind::Liveness] {
                self.workers.remove(&kind);
            }
        }
        let id = container.run;
        let runs = container.started_at_ms.is_some();
        let good = |kind| self.is_over(kind) || self.result(kind, id) == Some(Verdict::Success);
        let started = runs && good(Kind::Startup);
        let ready = started && good(Kind::Readiness);
        let bad = |kind: &Kind| runs && self.result(*kind, id) == Some(Verdict::Failure);
        let because = [Kind::Liveness, Kind::Startup].into_iter().find(bad);
        let kill = because.map(|because| {
            let own = self.config.probe(because).and_then(|probe| probe.termination_grace_period_seconds);
            Kill {
                because,
                grace_seconds: std::cmp::max(2, own.unwrap_or(self.config.termination_grace_period_seconds)),
                restarts: !matches!(self.config.restart_policy, RestartPolicy::Never),
            }
        });
        self.seen = Some((container.clone(), started));
        if started && !ready {
            let again = now_ms + self.period(Kind::Readiness);
            match self.workers.get_mut(&Kind::Readiness).map(|worker| &mut worker.state) {
                Some(State::Probes { asked, .. }) => *asked = true,
                Some(State::Waits(_)) => self.do_probe(Kind::Readiness, now_ms, again),
                _ => {}
            }
        }
        Synced { started, ready, kill, answer: self.answer() }
    }

    fn wake(&mut self, now_ms: i64) -> Answer {
        let ticks: Vec<_> = self
            .workers
            .iter()
            .filter_map(|(kind, worker)| match worker.state {
                State::Waits(tick) if tick <= now_ms => Some((*kind, tick)),
                _ => None,
            })
            .collect();
        for (kind, tick) in ticks {
            self.do_probe(kind, now_ms, self.after(kind, tick, now_ms));
        }
        self.answer()
    }

    fn outcome(&mut self, done: &Done, now_ms: i64) -> Answer {
        let kind = done.probe;
        let (failures, successes) = match self.config.probe(kind) {
            Some(probe) => (probe.failure_threshold, probe.success_threshold),
            None => return self.answer(),
        };
        let Some(worker) = self.workers.get_mut(&kind) else { return self.answer() };
        let State::Probes { tick, asked } = worker.state else { return self.answer() };
        let good = match done.outcome {
            Outcome::Passed | Outcome::Warned => Some(true),
            Outcome::Failed | Outcome::TimedOut => Some(false),
            Outcome::Errored => None,
        };
        if let Some(good) = good {
            if worker.streak.0 != good {
                worker.streak = (good, 0);
            }
            worker.streak.1 += 1;
            if worker.streak.1 >= if good { successes } else { failures } {
                let id = worker.id;
                if kind == Kind::Startup || kind == Kind::Liveness && !good {
                    worker.held = true;
                    worker.streak.1 = 0;
                }
                self.set(kind, id, if good { Verdict::Success } else { Verdict::Failure });
            }
        }
        if asked {
            self.do_probe(kind, now_ms, now_ms + self.period(kind));
        } else if tick <= now_ms {
            self.do_probe(kind, now_ms, self.after(kind, tick, now_ms));
        } else if let Some(worker) = self.workers.get_mut(&kind) {
            worker.state = State::Waits(tick);
        }
        self.answer()
    }
}

kit::exercise!(Exercise: Prober);
