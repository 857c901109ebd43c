//! Passes: a try is written as straight code that is run again from its beginning with each answer, as far as there are answers.

use kit::failure::LeaderElection;
use kit::failure::leader_election::*;

#[derive(Default)]
struct Exercise {
    config: Config,
    role: Role,
    /// When the try began, and what was answered since then, each with its time.
    began: i64,
    answers: Vec<(Event, i64)>,
    round: Option<i64>,
    last: Record,
    last_ms: i64,
    version: Option<String>,
    /// What was known when the try began.
    before: (Record, i64, Option<String>),
    told: String,
}

#[derive(Default, PartialEq)]
enum Role {
    #[default]
    Candidate,
    Leader,
    GivesBack,
    Gone,
}

/// Where the code of a try stops.
enum Stop {
    Asks(Output),
    Succeeds,
    Fails,
    OutOfTime,
}

impl LeaderElection for Exercise {
    fn new(config: &Config) -> Self {
        Exercise { config: config.clone(), ..Exercise::default() }
    }

    fn step(&mut self, event: &Event, now_ms: i64) -> Vec<Output> {
        match (&self.role, event) {
            (Role::Gone, _) | (Role::GivesBack, Event::Cancel) => Vec::new(),
            (Role::GivesBack, event) => {
                self.answers.push((event.clone(), now_ms));
                self.give_back()
            }
            (_, Event::Cancel) => self.leave(),
            (_, Event::Wake) => self.begin(now_ms),
            _ => {
                self.answers.push((event.clone(), now_ms));
                self.go_on(now_ms)
            }
        }
    }
}

impl Exercise {
    fn begin(&mut self, now: i64) -> Vec<Output> {
        if self.role == Role::Leader && self.round.is_none() {
            self.round = Some(now + self.config.renew_deadline_ms);
        }
        self.began = now;
        self.answers.clear();
        self.before = (self.last.clone(), self.last_ms, self.version.clone());
        self.go_on(now)
    }

    fn go_on(&mut self, now: i64) -> Vec<Output> {
        (self.last, self.last_ms, self.version) = self.before.clone();
        match self.run(now) {
            Stop::Asks(request) => vec![request],
            Stop::OutOfTime => self.lose(),
            Stop::Fails => match self.round {
                Some(round) if now >= round => self.lose(),
                Some(round) => vec![self.pause(self.config.retry_period_ms.min(round - now), 10)],
                None => {
                    let wait = self.pause(self.config.retry_period_ms, 22);
                    self.told().into_iter().chain([wait]).collect()
                }
            },
            Stop::Succeeds => {
                self.round = None;
                let mut all: Vec<Output> = self.told().into_iter().collect();
                if self.role == Role::Leader {
                    all.push(self.pause(self.config.retry_period_ms, 10));
                } else {
                    self.role = Role::Leader;
                    all.push(Output::Started);
                    all.append(&mut self.begin(now));
                }
                all
            }
        }
    }

    /// The code of a try.
    fn run(&mut self, now: i64) -> Stop {
        let answers = std::mem::take(&mut self.answers);
        let mut rest = answers.iter();
        let stop = self.code(now, &mut rest);
        self.answers = answers;
        stop
    }

    fn code(&mut self, now: i64, rest: &mut std::slice::Iter<'_, (Event, i64)>) -> Stop {
        if self.holds()
            && self.began - self.last_ms < 1000 * self.last.lease_duration_seconds
            && let Some(version) = self.version.clone()
        {
            let record = self.mine(self.last.acquire_time_ms, self.last.lease_transitions);
            match rest.next() {
                None => return self.asks(now, |timeout_ms| Output::Update { version, record, timeout_ms }),
                Some((Event::Written { version }, at)) => return self.wrote(record, version, *at),
                Some(_) => {}
            }
        }
        self.version = None;
        let (request, record) = match rest.next() {
            None => return self.asks(now, |timeout_ms| Output::Get { timeout_ms }),
            Some((Event::NotFound, _)) => (None, self.mine(self.began, 0)),
            Some((Event::Found { version, record }, at)) => {
                self.version = Some(version.clone());
                if self.last != *record {
                    (self.last, self.last_ms) = (record.clone(), *at);
                }
                if self.holds() {
                    (Some(version.clone()), self.mine(record.acquire_time_ms, record.lease_transitions))
                } else {
                    let runs = self.began - self.last_ms < 1000 * record.lease_duration_seconds;
                    if runs && !record.holder_identity.is_empty() {
                        return Stop::Fails;
                    }
                    (Some(version.clone()), self.mine(self.began, record.lease_transitions + 1))
                }
            }
            Some(_) => return Stop::Fails,
        };
        match rest.next() {
            None => self.asks(now, |timeout_ms| match request {
                Some(version) => Output::Update { version, record, timeout_ms },
                None => Output::Create { record, timeout_ms },
            }),
            Some((Event::Written { version }, at)) => self.wrote(record, version, *at),
            Some(_) => Stop::Fails,
        }
    }

    fn asks(&self, now: i64, request: impl FnOnce(i64) -> Output) -> Stop {
        let half = self.config.renew_deadline_ms / 2;
        match self.round.map_or(half, |round| half.min(round - now)) {
            ..=0 => Stop::OutOfTime,
            time => Stop::Asks(request(time)),
        }
    }

    fn wrote(&mut self, record: Record, version: &str, at: i64) -> Stop {
        (self.last, self.last_ms, self.version) = (record, at, Some(version.into()));
        Stop::Succeeds
    }

    fn holds(&self) -> bool {
        self.last.holder_identity == self.config.identity
    }

    fn mine(&self, acquire_time_ms: i64, lease_transitions: i64) -> Record {
        Record {
            holder_identity: self.config.identity.clone(),
            lease_duration_seconds: self.config.lease_duration_seconds,
            acquire_time_ms,
            renew_time_ms: self.began,
            lease_transitions,
        }
    }

    /// A wait, up to so many tenths of the least.
    fn pause(&self, least_ms: i64, tenths: i64) -> Output {
        Output::Wait { least_ms, most_ms: least_ms * tenths / 10 }
    }

    fn told(&mut self) -> Option<Output> {
        if self.told == self.last.holder_identity {
            return None;
        }
        self.told = self.last.holder_identity.clone();
        Some(Output::NewLeader { identity: self.told.clone() })
    }

    fn lose(&mut self) -> Vec<Output> {
        self.told().into_iter().chain(self.leave()).collect()
    }

    fn leave(&mut self) -> Vec<Output> {
        if self.role == Role::Leader && self.config.release_on_cancel && self.holds() {
            self.role = Role::GivesBack;
            self.answers.clear();
            return self.give_back();
        }
        self.role = Role::Gone;
        vec![Output::Stopped]
    }

    fn give_back(&mut self) -> Vec<Output> {
        let timeout_ms = self.config.renew_deadline_ms / 2;
        match &self.answers[..] {
            [] => vec![Output::Get { timeout_ms }],
            [(Event::Found { version, record }, at)] if record.holder_identity == self.config.identity => {
                let (holder_identity, lease_duration_seconds) = (String::new(), 1);
                let (acquire_time_ms, renew_time_ms) = (*at, *at);
                let lease_transitions = record.lease_transitions;
                let record = Record {
                    holder_identity,
                    lease_duration_seconds,
                    acquire_time_ms,
                    renew_time_ms,
                    lease_transitions,
                };
                vec![Output::Update { version: version.clone(), record, timeout_ms }]
            }
            _ => {
                self.role = Role::Gone;
                vec![Output::Stopped]
            }
        }
    }
}

kit::exercise!(Exercise: LeaderElection);
