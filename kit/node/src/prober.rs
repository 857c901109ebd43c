//! The worker of one probe: when it asks, and what its answers are worth.
//!
//! Each worker looks at the status that the kubelet wrote last. It is woken by a ticker that begins with its pod, and readiness
//! also by each sync that finds its container not ready. Sources: `pkg/kubelet/prober/worker.go`, `UpdatePodStatus` of
//! `pkg/kubelet/prober/prober_manager.go`.

use crate::runtime::Found;
use kit_api::core::Probe;
use kit_time::agenda::Instant;

/// How often a probe is tried that can't be carried out (`maxProbeRetries`).
pub const TRIES: usize = 3;

/// What a probe is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Whether the container has started: the others wait for it.
    Startup,
    /// Whether it is alive; if not, it is started again.
    Liveness,
    /// Whether it may be sent requests.
    Readiness,
}

/// How a worker works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// What for.
    pub kind: Kind,
    /// How long after the start of its container it asks first.
    pub initial_delay: Instant,
    /// Between two questions.
    pub period: Instant,
    /// How often in a row it must go well.
    pub successes: u32,
    /// How often in a row it must fail.
    pub failures: u32,
}

impl Settings {
    /// Those of a probe, with the API server's defaults.
    pub fn of(kind: Kind, probe: &Probe) -> Settings {
        let number = |field: Option<i32>, default: u32| field.and_then(|it| u32::try_from(it).ok()).unwrap_or(default);
        Settings {
            kind,
            initial_delay: Instant::seconds(number(probe.initial_delay_seconds, 0).into()),
            period: Instant::seconds(number(probe.period_seconds, 10).max(1).into()),
            successes: number(probe.success_threshold, 1),
            failures: number(probe.failure_threshold, 3),
        }
    }
}

/// The container as its pod's status says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// When its last run began, which also tells it from other runs.
    pub since: Instant,
    /// Whether that goes on.
    pub running: bool,
    /// Whether it has started.
    pub started: bool,
    /// Whether it is started again when it has ended.
    pub again: bool,
    /// Whether its pod is being deleted.
    pub deleting: bool,
}

/// What a worker does when it is woken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// It asks; [`Worker::count`] takes the answer.
    Ask,
    /// Nothing, until it is woken again.
    Wait,
    /// It ends.
    Over,
}

/// One worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Worker {
    settings: Settings,
    /// When its ticker ticks next.
    pub next: Instant,
    /// What counts now, and of which run.
    pub result: Option<(Instant, Found)>,
    /// The last answer, and how often in a row it came.
    last: Option<bool>,
    row: u32,
    /// It has said what it has to say of this run, and waits for another one.
    on_hold: bool,
    /// It has ended.
    pub over: bool,
}

impl Worker {
    /// One whose ticker begins now.
    pub fn new(settings: Settings, now: Instant) -> Self {
        let next = now + settings.period;
        Worker { settings, next, result: None, last: None, row: 0, on_hold: false, over: false }
    }

    /// What it is for.
    pub fn kind(&self) -> Kind {
        self.settings.kind
    }

    /// Its ticker ticks.
    pub fn tick(&mut self, seen: Option<Seen>, now: Instant) -> Look {
        self.skip(now);
        self.look(seen, now)
    }

    /// Ticks until now are not waited for any more.
    pub fn skip(&mut self, now: Instant) {
        while self.next <= now {
            self.next = self.next + self.settings.period;
        }
    }

    /// Whether it may have something to ask of a run, if that has started or not.
    pub fn works(&self, since: Instant, started: bool) -> bool {
        let holds = self.on_hold && self.found(since).is_some();
        !self.over && !holds && started != (self.settings.kind == Kind::Startup)
    }

    /// A sync wakes it; its ticker begins anew.
    pub fn trigger(&mut self, seen: Option<Seen>, now: Instant) -> Look {
        self.next = now + self.settings.period;
        self.look(seen, now)
    }

    /// Counts for this run without a question: what it was is known from before.
    pub fn adopt(&mut self, since: Instant, found: Found) {
        self.result = Some((since, found));
    }

    /// What it found of a run, if it has looked at that.
    pub fn found(&self, since: Instant) -> Option<Found> {
        self.result.filter(|(run, _)| *run == since).map(|(_, found)| found)
    }

    /// Turns to a run of its container; of a new one it has an opinion from the start.
    pub fn meet(&mut self, since: Instant) {
        if self.found(since).is_some() {
            return;
        }
        let found = match self.settings.kind {
            Kind::Startup => Found::Unknown,
            Kind::Liveness => Found::Success,
            Kind::Readiness => Found::Failure,
        };
        (self.result, self.on_hold) = (Some((since, found)), false);
    }

    fn look(&mut self, seen: Option<Seen>, now: Instant) -> Look {
        let Some(seen) = seen else { return Look::Wait };
        self.meet(seen.since);
        let kind = self.settings.kind;
        if self.on_hold {
            return Look::Wait;
        }
        if !seen.running {
            self.result = Some((seen.since, Found::Failure));
            self.over = !seen.again;
            return if seen.again { Look::Wait } else { Look::Over };
        }
        if seen.deleting && kind != Kind::Readiness {
            self.result = Some((seen.since, Found::Success));
            self.over = true;
            return Look::Over;
        }
        // In a status times are whole seconds.
        let age = whole(now - whole(seen.since));
        if age < self.settings.initial_delay || seen.started == (kind == Kind::Startup) {
            return Look::Wait;
        }
        Look::Ask
    }

    /// An answer. Who could not ask has none, and nothing is counted.
    pub fn count(&mut self, well: bool) {
        self.row = if self.last == Some(well) { self.row.saturating_add(1) } else { 1 };
        self.last = Some(well);
        let enough = if well { self.settings.successes } else { self.settings.failures };
        if self.row < enough {
            return;
        }
        let found = if well { Found::Success } else { Found::Failure };
        self.result = self.result.map(|(since, _)| (since, found));
        // A startup probe has nothing to ask of this run any more, whatever it found.
        if match self.settings.kind {
            Kind::Startup => true,
            Kind::Liveness => !well,
            Kind::Readiness => false,
        } {
            (self.on_hold, self.row) = (true, 0);
        }
    }
}

fn whole(time: Instant) -> Instant {
    Instant::seconds(time.nanos.div_euclid(1_000_000_000))
}

/// What a sync writes of a container that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stand {
    /// Whether it has started.
    pub started: bool,
    /// Whether it is ready.
    pub ready: bool,
    /// Whether the worker of its readiness is woken now.
    pub trigger: bool,
}

/// What the workers of a container say of a run that goes on (`UpdatePodStatus`).
pub fn stand<'a>(workers: impl Iterator<Item = &'a Worker> + Clone, since: Instant) -> Stand {
    let of = |kind: Kind| workers.clone().find(|worker| worker.kind() == kind);
    let holds = |kind: Kind| of(kind).is_none_or(|worker| worker.found(since) == Some(Found::Success));
    let started = holds(Kind::Startup);
    let ready = started && holds(Kind::Readiness);
    Stand { started, ready, trigger: started && !ready }
}
