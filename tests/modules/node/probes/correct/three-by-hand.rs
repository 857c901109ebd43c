//! Passes: three optional fields instead of a list, with ticks that are found by asking when the next multiple comes, and a worker
//! that says what follows as a list of effects.

use kit::node::Prober;
use kit::node::probes::*;

enum Effect {
    Is(Kind, Verdict),
    Try(Kind),
    Gone(Kind),
}

struct Line {
    kind: Kind,
    spec: Probe,
    due: i64,
    /// `None` while idle; while a probe runs, whether somebody asked meanwhile.
    trying: Option<bool>,
    of: Option<u32>,
    verdict: Verdict,
    fails: i64,
    passes: i64,
    rests: bool,
}

struct View {
    run: u32,
    since: Option<i64>,
    started: bool,
    last_chance: bool,
}

#[derive(Default)]
struct Exercise {
    lines: [Option<Line>; 3],
    view: Option<View>,
    grace: i64,
    policy: RestartPolicy,
}

impl Line {
    fn step(&self) -> i64 {
        self.spec.period_seconds * 1000
    }

    fn becomes(&mut self, verdict: Verdict, always: bool, effects: &mut Vec<Effect>) {
        if always || self.verdict != verdict {
            effects.push(Effect::Is(self.kind, verdict));
        }
        self.verdict = verdict;
    }

    fn look(&mut self, view: &View, now: i64, effects: &mut Vec<Effect>) {
        if self.of != Some(view.run) {
            self.of = Some(view.run);
            self.rests = false;
            let at_first = [Verdict::Unknown, Verdict::Success, Verdict::Failure][self.kind as usize];
            self.becomes(at_first, true, effects);
        }
        if self.rests {
            return;
        }
        let Some(since) = view.since else {
            self.becomes(Verdict::Failure, false, effects);
            if view.last_chance {
                effects.push(Effect::Gone(self.kind));
            }
            return;
        };
        if now < since + self.spec.initial_delay_seconds * 1000 {
            return;
        }
        if view.started ^ (self.kind == Kind::Startup) {
            self.trying = Some(false);
            effects.push(Effect::Try(self.kind));
        }
    }

    fn tick(&mut self, view: Option<&View>, now: i64, effects: &mut Vec<Effect>) {
        if self.trying.is_some() || now < self.due {
            return;
        }
        self.due = now + self.step() - (now - self.due) % self.step();
        if let Some(view) = view {
            self.look(view, now, effects);
        }
    }

    fn ask(&mut self, view: Option<&View>, now: i64, effects: &mut Vec<Effect>) {
        match &mut self.trying {
            Some(asked) => *asked = true,
            None => {
                self.due = now + self.step();
                if let Some(view) = view {
                    self.look(view, now, effects);
                }
            }
        }
    }

    fn hear(&mut self, outcome: Outcome, effects: &mut Vec<Effect>) {
        let passed = match outcome {
            Outcome::Errored => return,
            Outcome::Passed | Outcome::Warned => true,
            Outcome::Failed | Outcome::TimedOut => false,
        };
        if passed {
            (self.passes, self.fails) = (self.passes + 1, 0);
        } else {
            (self.passes, self.fails) = (0, self.fails + 1);
        }
        if passed && self.passes >= self.spec.success_threshold {
            self.becomes(Verdict::Success, false, effects);
            self.rests |= self.kind == Kind::Startup;
        } else if !passed && self.fails >= self.spec.failure_threshold {
            self.becomes(Verdict::Failure, false, effects);
            self.rests |= self.kind != Kind::Readiness;
        }
        if self.rests {
            (self.passes, self.fails) = (0, 0);
        }
    }
}

impl Exercise {
    fn close(&mut self, effects: Vec<Effect>) -> Answer {
        let mut answer = Answer::default();
        for effect in effects {
            match effect {
                Effect::Is(kind, verdict) => _ = answer.results.insert(kind, verdict),
                Effect::Try(kind) => _ = answer.probe.insert(kind),
                Effect::Gone(kind) => self.lines[kind as usize] = None,
            }
        }
        let idle = self.lines.iter().flatten().filter(|line| line.trying.is_none());
        answer.wake_at_ms = idle.map(|line| line.due).min();
        answer
    }

    /// What is known of this container; nobody asks is as good as a success.
    fn known(&self, kind: Kind, run: u32) -> Verdict {
        match &self.lines[kind as usize] {
            None => Verdict::Success,
            Some(line) if line.of == Some(run) => line.verdict,
            Some(_) => Verdict::Unknown,
        }
    }
}

impl Prober for Exercise {
    fn new(config: &Config) -> Self {
        let line = |kind| {
            let spec = config.probe(kind)?.clone();
            Some(Line {
                kind,
                due: spec.period_seconds * 1000,
                spec,
                trying: None,
                of: None,
                verdict: Verdict::Unknown,
                fails: 0,
                passes: 0,
                rests: false,
            })
        };
        Exercise {
            lines: Kind::ALL.map(line),
            view: None,
            grace: config.termination_grace_period_seconds,
            policy: config.restart_policy,
        }
    }

    fn sync(&mut self, container: &Container, now_ms: i64) -> Synced {
        if container.deleting {
            (self.lines[0], self.lines[1]) = (None, None);
        }
        let (run, since) = (container.run, container.started_at_ms);
        let restarts = self.policy != RestartPolicy::Never;
        let started = since.is_some() && self.known(Kind::Startup, run) == Verdict::Success;
        let ready = started && self.known(Kind::Readiness, run) == Verdict::Success;
        let mut kill = None;
        if since.is_some() {
            let dead =
                [Kind::Liveness, Kind::Startup].into_iter().find(|kind| self.known(*kind, run) == Verdict::Failure);
            if let Some(line) = dead.and_then(|kind| self.lines[kind as usize].as_ref()) {
                let grace_seconds = match line.spec.termination_grace_period_seconds.unwrap_or(self.grace) {
                    ..2 => 2,
                    long => long,
                };
                kill = Some(Kill { because: line.kind, grace_seconds, restarts });
            }
        }
        self.view = Some(View { run, since, started, last_chance: !restarts });
        let mut effects = Vec::new();
        if let (true, false, Some(line)) = (started, ready, &mut self.lines[2]) {
            line.ask(self.view.as_ref(), now_ms, &mut effects);
        }
        Synced { started, ready, kill, answer: self.close(effects) }
    }

    fn wake(&mut self, now_ms: i64) -> Answer {
        let mut effects = Vec::new();
        for line in self.lines.iter_mut().flatten() {
            line.tick(self.view.as_ref(), now_ms, &mut effects);
        }
        self.close(effects)
    }

    fn outcome(&mut self, done: &Done, now_ms: i64) -> Answer {
        let mut effects = Vec::new();
        if let Some(line) = &mut self.lines[done.probe as usize] {
            let asked = line.trying.take() == Some(true);
            line.hear(done.outcome, &mut effects);
            if asked {
                line.ask(self.view.as_ref(), now_ms, &mut effects);
            } else {
                line.tick(self.view.as_ref(), now_ms, &mut effects);
            }
        }
        self.close(effects)
    }
}

kit::exercise!(Exercise: Prober);
