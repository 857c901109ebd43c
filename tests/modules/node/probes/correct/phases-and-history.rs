//! Passes: a ticker is a phase and a remembered number of ticks; a count is read off the history of outcomes.

use kit::node::Prober;
use kit::node::probes::*;

struct One {
    kind: Kind,
    probe: Probe,
    alive: bool,
    /// Ticks come at `origin + n * period`, and the first `seen` of them were dealt with.
    origin: i64,
    seen: i64,
    running: bool,
    asked: bool,
    about: u32,
    result: Option<Verdict>,
    /// What it was last set to in this call, if that was another.
    news: Option<Verdict>,
    history: Vec<bool>,
    held: bool,
    wants_probe: bool,
}

impl One {
    fn period(&self) -> i64 {
        self.probe.period_seconds * 1000
    }

    fn ticks_until(&self, now: i64) -> i64 {
        (now - self.origin).div_euclid(self.period())
    }

    fn next(&self) -> i64 {
        self.origin + (self.seen + 1) * self.period()
    }

    fn ticked(&mut self, now: i64) -> bool {
        let ticks = self.ticks_until(now);
        let ticked = ticks > self.seen;
        self.seen = self.seen.max(ticks);
        ticked
    }

    fn begin_anew(&mut self, now: i64) {
        (self.origin, self.seen) = (now, 0);
    }

    fn put(&mut self, verdict: Verdict) {
        if self.result.replace(verdict) != Some(verdict) {
            self.news = Some(verdict);
        }
    }

    fn look(&mut self, container: &Container, started: bool, never: bool, now: i64) {
        if self.about != container.run {
            self.about = container.run;
            self.held = false;
            self.result = None;
            self.put(match self.kind {
                Kind::Startup => Verdict::Unknown,
                Kind::Liveness => Verdict::Success,
                Kind::Readiness => Verdict::Failure,
            });
        }
        let age = container.started_at_ms.map(|since| (now - since) / 1000);
        match age {
            _ if self.held => {}
            None => {
                self.put(Verdict::Failure);
                self.alive = !never;
            }
            Some(age) if age < self.probe.initial_delay_seconds => {}
            Some(_) if (self.kind == Kind::Startup) == started => {}
            Some(_) => (self.running, self.wants_probe) = (true, true),
        }
    }

    /// How many of the last outcomes were alike.
    fn streak(&self) -> i64 {
        let last = self.history.last();
        self.history.iter().rev().take_while(|outcome| Some(*outcome) == last).count() as i64
    }
}

struct Exercise {
    config: Config,
    all: Vec<One>,
    container: Option<Container>,
    started: bool,
}

impl Exercise {
    fn one(&self, kind: Kind) -> Option<&One> {
        self.all.iter().find(|one| one.kind == kind && one.alive)
    }

    fn says(&self, kind: Kind, run: u32) -> Option<Verdict> {
        self.one(kind).filter(|one| one.about == run)?.result
    }

    fn look(&mut self, kind: Kind, now: i64) {
        let never = self.config.restart_policy == RestartPolicy::Never;
        let (Some(container), started) = (&self.container, self.started) else { return };
        for one in self.all.iter_mut().filter(|one| one.kind == kind && one.alive) {
            one.look(container, started, never, now);
        }
    }

    fn collect(&mut self) -> Answer {
        let mut answer = Answer::default();
        for new in &mut self.all {
            answer.results.extend(new.news.take().map(|result| (new.kind, result)));
            if std::mem::take(&mut new.wants_probe) {
                answer.probe.insert(new.kind);
            }
            if new.alive && !new.running {
                let next = new.next();
                answer.wake_at_ms = Some(answer.wake_at_ms.map_or(next, |at| at.min(next)));
            }
        }
        answer
    }
}

impl Prober for Exercise {
    fn new(config: &Config) -> Self {
        let mut all = Vec::new();
        for kind in [Kind::Liveness, Kind::Readiness, Kind::Startup] {
            let Some(probe) = config.probe(kind).cloned() else { continue };
            all.push(One {
                kind,
                probe,
                alive: true,
                origin: 0,
                seen: 0,
                running: false,
                asked: false,
                about: 0,
                result: None,
                news: None,
                history: Vec::new(),
                held: false,
                wants_probe: false,
            });
        }
        Exercise { config: config.clone(), all, container: None, started: false }
    }

    fn sync(&mut self, container: &Container, now_ms: i64) -> Synced {
        if container.deleting {
            self.all.iter_mut().filter(|one| one.kind != Kind::Readiness).for_each(|one| one.alive = false);
        }
        let run = container.run;
        let mut synced = Synced::default();
        if container.started_at_ms.is_some() {
            let has = |kind| self.one(kind).is_none() || self.says(kind, run) == Some(Verdict::Success);
            synced.started = has(Kind::Startup);
            synced.ready = synced.started && has(Kind::Readiness);
            for because in [Kind::Startup, Kind::Liveness] {
                let Some(one) = self.one(because).filter(|_| self.says(because, run) == Some(Verdict::Failure)) else {
                    continue;
                };
                let pod = self.config.termination_grace_period_seconds;
                synced.kill = Some(Kill {
                    because,
                    grace_seconds: one.probe.termination_grace_period_seconds.unwrap_or(pod).max(2),
                    restarts: self.config.restart_policy != RestartPolicy::Never,
                });
            }
        }
        self.container = Some(container.clone());
        self.started = synced.started;
        if synced.started && !synced.ready {
            let readiness = self.all.iter_mut().find(|one| one.kind == Kind::Readiness);
            if let Some(one) = readiness {
                if one.running {
                    one.asked = true;
                } else {
                    one.begin_anew(now_ms);
                    self.look(Kind::Readiness, now_ms);
                }
            }
        }
        synced.answer = self.collect();
        synced
    }

    fn wake(&mut self, now_ms: i64) -> Answer {
        for kind in Kind::ALL {
            let one = self.all.iter_mut().find(|one| one.kind == kind && one.alive && !one.running);
            if one.is_some_and(|one| one.ticked(now_ms)) {
                self.look(kind, now_ms);
            }
        }
        self.collect()
    }

    fn outcome(&mut self, done: &Done, now_ms: i64) -> Answer {
        if let Some(one) = self.all.iter_mut().find(|one| one.kind == done.probe && one.alive) {
            one.running = false;
            match done.outcome {
                Outcome::Errored => {}
                Outcome::Passed | Outcome::Warned => one.history.push(true),
                Outcome::Failed | Outcome::TimedOut => one.history.push(false),
            }
            if done.outcome != Outcome::Errored {
                let good = one.history.last() == Some(&true);
                let enough = if good { one.probe.success_threshold } else { one.probe.failure_threshold };
                if one.streak() >= enough {
                    one.put(if good { Verdict::Success } else { Verdict::Failure });
                    if one.kind == Kind::Startup || one.kind == Kind::Liveness && !good {
                        one.held = true;
                        one.history.clear();
                    }
                }
            }
            let asked = std::mem::take(&mut one.asked);
            if asked {
                one.begin_anew(now_ms);
            }
            if asked || one.ticked(now_ms) {
                self.look(done.probe, now_ms);
            }
        }
        self.collect()
    }
}

kit::exercise!(Exercise: Prober);
