//! Passes: one enum says everything that goes on, deadline included, and each pair of state and event has its own arm.

use kit::failure::LeaderElection;
use kit::failure::leader_election::*;

#[derive(Clone)]
enum State {
    Idle { round: Option<i64> },
    Fast { round: Option<i64>, began: i64, record: Record },
    Looking { round: Option<i64>, began: i64 },
    Writing { round: Option<i64>, record: Record },
    LooksToRelease,
    Releases,
    Over,
}

struct Exercise {
    config: Config,
    leads: bool,
    state: State,
    seen: Option<(Record, i64)>,
    version: Option<String>,
    told: String,
}

impl LeaderElection for Exercise {
    fn new(config: &Config) -> Self {
        let state = State::Idle { round: None };
        Exercise { config: config.clone(), leads: false, state, seen: None, version: None, told: String::new() }
    }

    fn step(&mut self, event: &Event, now: i64) -> Vec<Output> {
        use State::*;
        let half = self.config.renew_deadline_ms / 2;
        match (self.state.clone(), event) {
            (Over, _) | (LooksToRelease | Releases, Event::Cancel) => vec![],
            (_, Event::Cancel) => self.end(),
            (LooksToRelease, Event::Found { version, record }) if record.holder_identity == self.config.identity => {
                self.state = Releases;
                let record = Record {
                    holder_identity: String::new(),
                    lease_duration_seconds: 1,
                    acquire_time_ms: now,
                    renew_time_ms: now,
                    lease_transitions: record.lease_transitions,
                };
                vec![Output::Update { version: version.clone(), record, timeout_ms: half }]
            }
            (LooksToRelease | Releases, _) => {
                self.state = Over;
                vec![Output::Stopped]
            }
            (Idle { round }, _) => {
                let round = match (self.leads, round) {
                    (true, None) => Some(now + self.config.renew_deadline_ms),
                    (_, round) => round,
                };
                self.begin(round, now)
            }
            (Fast { record, .. } | Writing { record, .. }, Event::Written { version }) => {
                self.version = Some(version.clone());
                self.seen = Some((record, now));
                let mut all = self.tell();
                if self.leads {
                    self.state = Idle { round: None };
                    let period = self.config.retry_period_ms;
                    all.push(Output::Wait { least_ms: period, most_ms: period });
                } else {
                    self.leads = true;
                    all.push(Output::Started);
                    all.extend(self.begin(Some(now + self.config.renew_deadline_ms), now));
                }
                all
            }
            (Fast { round, began, .. }, _) => self.look(round, began, now),
            (Looking { round, began }, Event::NotFound) => {
                let Some(timeout_ms) = self.patience(round, now) else { return self.lose() };
                let record = Record {
                    holder_identity: self.config.identity.clone(),
                    lease_duration_seconds: self.config.lease_duration_seconds,
                    acquire_time_ms: began,
                    renew_time_ms: began,
                    lease_transitions: 0,
                };
                self.state = Writing { round, record: record.clone() };
                vec![Output::Create { record, timeout_ms }]
            }
            (Looking { round, began }, Event::Found { version, record }) => {
                self.version = Some(version.clone());
                if self.seen.as_ref().is_none_or(|(seen, _)| seen != record) {
                    self.seen = Some((record.clone(), now));
                }
                let of_another = !record.holder_identity.is_empty() && record.holder_identity != self.config.identity;
                if of_another && self.binds(began) {
                    return self.failed(round, now);
                }
                let Some(timeout_ms) = self.patience(round, now) else { return self.lose() };
                let record = self.next_record(began);
                self.state = Writing { round, record: record.clone() };
                vec![Output::Update { version: version.clone(), record, timeout_ms }]
            }
            (Looking { round, .. } | Writing { round, .. }, _) => self.failed(round, now),
        }
    }
}

impl Exercise {
    fn mine(&self) -> bool {
        self.seen.as_ref().is_some_and(|(record, _)| record.holder_identity == self.config.identity)
    }

    fn binds(&self, began: i64) -> bool {
        self.seen.as_ref().is_some_and(|(record, at)| began - at < record.lease_duration_seconds * 1000)
    }

    fn next_record(&self, began: i64) -> Record {
        let seen = self.seen.as_ref().map(|(record, _)| record.clone()).unwrap_or_default();
        let mut next = Record {
            holder_identity: self.config.identity.clone(),
            lease_duration_seconds: self.config.lease_duration_seconds,
            renew_time_ms: began,
            ..seen
        };
        if !self.mine() {
            next.acquire_time_ms = began;
            next.lease_transitions += 1;
        }
        next
    }

    fn patience(&self, round: Option<i64>, now: i64) -> Option<i64> {
        let half = self.config.renew_deadline_ms / 2;
        match round {
            None => Some(half),
            Some(deadline) => (deadline > now).then(|| half.min(deadline - now)),
        }
    }

    fn begin(&mut self, round: Option<i64>, now: i64) -> Vec<Output> {
        match self.version.clone().filter(|_| self.mine() && self.binds(now)) {
            None => self.look(round, now, now),
            Some(version) => {
                let Some(timeout_ms) = self.patience(round, now) else { return self.lose() };
                let record = self.next_record(now);
                self.state = State::Fast { round, began: now, record: record.clone() };
                vec![Output::Update { version, record, timeout_ms }]
            }
        }
    }

    fn look(&mut self, round: Option<i64>, began: i64, now: i64) -> Vec<Output> {
        let Some(timeout_ms) = self.patience(round, now) else { return self.lose() };
        self.version = None;
        self.state = State::Looking { round, began };
        vec![Output::Get { timeout_ms }]
    }

    fn failed(&mut self, round: Option<i64>, now: i64) -> Vec<Output> {
        let period = self.config.retry_period_ms;
        self.state = State::Idle { round };
        match round {
            None => {
                let mut all = self.tell();
                all.push(Output::Wait { least_ms: period, most_ms: period + period * 6 / 5 });
                all
            }
            Some(deadline) if deadline <= now => self.lose(),
            Some(deadline) => {
                let ms = period.min(deadline - now);
                vec![Output::Wait { least_ms: ms, most_ms: ms }]
            }
        }
    }

    fn lose(&mut self) -> Vec<Output> {
        let mut all = self.tell();
        all.extend(self.end());
        all
    }

    fn end(&mut self) -> Vec<Output> {
        if self.leads && self.config.release_on_cancel && self.mine() {
            self.state = State::LooksToRelease;
            return vec![Output::Get { timeout_ms: self.config.renew_deadline_ms / 2 }];
        }
        self.state = State::Over;
        vec![Output::Stopped]
    }

    fn tell(&mut self) -> Vec<Output> {
        let holder = self.seen.as_ref().map(|(record, _)| record.holder_identity.clone()).unwrap_or_default();
        if holder == self.told {
            return vec![];
        }
        self.told.clone_from(&holder);
        vec![Output::NewLeader { identity: holder }]
    }
}

kit::exercise!(Exercise: LeaderElection);
