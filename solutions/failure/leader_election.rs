//! The reference for `failure/leader_election`.
//!
//! The names in parentheses are those of `client-go/tools/leaderelection/leaderelection.go`.

use kit::failure::LeaderElection;
use kit::failure::leader_election::{Config, Event, Output, Record};

// ANCHOR: solution
/// What a candidate remembers.
pub struct Exercise {
    config: Config,
    /// The record as it was last found or written, and since when it is so by the own clock.
    observed: Record,
    observed_ms: i64,
    /// The version that the next update names.
    version: Option<String>,
    reported: String,
    phase: Phase,
    /// What it waits for.
    pending: Pending,
    /// When the try began.
    began_ms: i64,
    /// When the round of tries to renew is lost; none between rounds.
    deadline_ms: Option<i64>,
}

#[derive(PartialEq)]
enum Phase {
    Acquiring,
    Leading,
    Releasing,
    Ended,
}

enum Pending {
    Wake,
    /// An update without a look at the lease.
    Fast(Record),
    Get,
    Write(Record),
}

impl LeaderElection for Exercise {
    fn new(config: &Config) -> Self {
        Exercise {
            config: config.clone(),
            observed: Record::default(),
            observed_ms: 0,
            version: None,
            reported: String::new(),
            phase: Phase::Acquiring,
            pending: Pending::Wake,
            began_ms: 0,
            deadline_ms: None,
        }
    }

    fn step(&mut self, event: &Event, now_ms: i64) -> Vec<Output> {
        if *event == Event::Cancel {
            return match self.phase {
                Phase::Releasing | Phase::Ended => Vec::new(),
                Phase::Leading => self.release(now_ms),
                Phase::Acquiring => self.stop(),
            };
        }
        let pending = std::mem::replace(&mut self.pending, Pending::Wake);
        match (&self.phase, pending, event) {
            (Phase::Ended, ..) => Vec::new(),
            (Phase::Releasing, Pending::Get, Event::Found { version, record }) if self.is_mine(record) => {
                self.version = Some(version.clone());
                let (lease_duration_seconds, lease_transitions) = (1, record.lease_transitions);
                let (acquire_time_ms, renew_time_ms) = (now_ms, now_ms);
                let holder_identity = String::new();
                let free = Record {
                    holder_identity,
                    lease_duration_seconds,
                    acquire_time_ms,
                    renew_time_ms,
                    lease_transitions,
                };
                self.write(free, Pending::Write, now_ms)
            }
            (Phase::Releasing, ..) => self.stop(),
            (_, Pending::Wake, _) => self.begin(now_ms),
            (_, Pending::Fast(record) | Pending::Write(record), Event::Written { version }) => {
                self.version = Some(version.clone());
                self.observe(record, now_ms);
                self.succeed(now_ms)
            }
            (_, Pending::Fast(_), _) => self.get(now_ms),
            (_, Pending::Get, Event::Found { version, record }) => {
                self.version = Some(version.clone());
                if *record != self.observed {
                    self.observe(record.clone(), now_ms);
                }
                match record.holder_identity.is_empty() || self.is_mine(record) || !self.is_valid() {
                    true => self.write(self.renewed(), Pending::Write, now_ms),
                    false => self.fail(now_ms),
                }
            }
            (_, Pending::Get, Event::NotFound) => {
                let record = Record { acquire_time_ms: self.began_ms, lease_transitions: 0, ..self.renewed() };
                self.write(record, Pending::Write, now_ms)
            }
            _ => self.fail(now_ms),
        }
    }
}

impl Exercise {
    fn is_mine(&self, record: &Record) -> bool {
        record.holder_identity == self.config.identity
    }

    /// Whether the observed record binds others (`isLeaseValid`).
    fn is_valid(&self) -> bool {
        let lasts_ms = self.observed.lease_duration_seconds.saturating_mul(1000);
        self.began_ms < self.observed_ms.saturating_add(lasts_ms)
    }

    fn observe(&mut self, record: Record, now_ms: i64) {
        self.observed = record;
        self.observed_ms = now_ms;
    }

    /// The record after the observed one, in which it leads.
    fn renewed(&self) -> Record {
        let (acquire_time_ms, lease_transitions) = match self.is_mine(&self.observed) {
            true => (self.observed.acquire_time_ms, self.observed.lease_transitions),
            false => (self.began_ms, self.observed.lease_transitions + 1),
        };
        Record {
            holder_identity: self.config.identity.clone(),
            lease_duration_seconds: self.config.lease_duration_seconds,
            acquire_time_ms,
            renew_time_ms: self.began_ms,
            lease_transitions,
        }
    }

    // ANCHOR: try
    /// The beginning of a try (`tryAcquireOrRenew`).
    fn begin(&mut self, now_ms: i64) -> Vec<Output> {
        if self.phase == Phase::Leading && self.deadline_ms.is_none() {
            self.deadline_ms = Some(now_ms + self.config.renew_deadline_ms);
        }
        self.began_ms = now_ms;
        match self.is_mine(&self.observed) && self.is_valid() && self.version.is_some() {
            true => self.write(self.renewed(), Pending::Fast, now_ms),
            false => self.get(now_ms),
        }
    }

    fn succeed(&mut self, now_ms: i64) -> Vec<Output> {
        self.deadline_ms = None;
        let mut outputs = self.report();
        if self.phase == Phase::Acquiring {
            self.phase = Phase::Leading;
            outputs.push(Output::Started);
            outputs.extend(self.begin(now_ms));
        } else {
            outputs.push(wait(self.config.retry_period_ms));
        }
        outputs
    }

    fn fail(&mut self, now_ms: i64) -> Vec<Output> {
        let period = self.config.retry_period_ms;
        match self.deadline_ms {
            Some(deadline) if now_ms >= deadline => self.give_up(now_ms),
            Some(deadline) => vec![wait(period.min(deadline - now_ms))],
            None => {
                let mut outputs = self.report();
                // `JitterFactor` is 1.2 on top of the period itself.
                outputs.push(Output::Wait { least_ms: period, most_ms: period * 22 / 10 });
                outputs
            }
        }
    }
    // ANCHOR_END: try

    fn give_up(&mut self, now_ms: i64) -> Vec<Output> {
        let mut outputs = self.report();
        outputs.extend(self.release(now_ms));
        outputs
    }

    fn release(&mut self, now_ms: i64) -> Vec<Output> {
        if !self.config.release_on_cancel || !self.is_mine(&self.observed) {
            return self.stop();
        }
        (self.phase, self.deadline_ms) = (Phase::Releasing, None);
        self.get(now_ms)
    }

    fn stop(&mut self) -> Vec<Output> {
        self.phase = Phase::Ended;
        vec![Output::Stopped]
    }

    /// How long a request may take, if there is any time left for it.
    fn timeout(&self, now_ms: i64) -> Option<i64> {
        let half = self.config.renew_deadline_ms / 2;
        match self.deadline_ms {
            Some(deadline) if now_ms >= deadline => None,
            Some(deadline) => Some(half.min(deadline - now_ms)),
            None => Some(half),
        }
    }

    fn get(&mut self, now_ms: i64) -> Vec<Output> {
        let Some(timeout_ms) = self.timeout(now_ms) else { return self.give_up(now_ms) };
        self.version = None;
        self.pending = Pending::Get;
        vec![Output::Get { timeout_ms }]
    }

    /// Creates the lease, or updates the version that is known.
    fn write(&mut self, record: Record, pending: fn(Record) -> Pending, now_ms: i64) -> Vec<Output> {
        let Some(timeout_ms) = self.timeout(now_ms) else { return self.give_up(now_ms) };
        self.pending = pending(record.clone());
        match self.version.clone() {
            Some(version) => vec![Output::Update { version, record, timeout_ms }],
            None => vec![Output::Create { record, timeout_ms }],
        }
    }

    /// (`maybeReportTransition`)
    fn report(&mut self) -> Vec<Output> {
        let identity = self.observed.holder_identity.clone();
        if identity == self.reported {
            return Vec::new();
        }
        self.reported = identity.clone();
        vec![Output::NewLeader { identity }]
    }
}

fn wait(ms: i64) -> Output {
    Output::Wait { least_ms: ms, most_ms: ms }
}
// ANCHOR_END: solution
