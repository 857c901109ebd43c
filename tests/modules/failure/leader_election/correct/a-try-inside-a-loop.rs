//! Passes: a try is a machine of its own that ends well or badly, and the loop around it knows nothing of records.

use kit::failure::LeaderElection;
use kit::failure::leader_election::*;

/// What a try wants next.
enum Next {
    Ask(Request),
    Good,
    Bad,
}

enum Request {
    Read,
    Put(Option<String>, Record),
}

#[derive(PartialEq, Clone, Copy)]
enum At {
    Nowhere,
    Short,
    Read,
    Put,
}

/// The lease as this candidate knows it, and the try that goes on.
struct Lock {
    me: String,
    lasts: i64,
    record: Record,
    runs_out: i64,
    version: Option<String>,
    at: At,
    began: i64,
    put: Record,
}

impl Lock {
    fn keep(&mut self, record: Record, now: i64) {
        self.runs_out = now + record.lease_duration_seconds * 1000;
        self.record = record;
    }

    fn is_mine(&self) -> bool {
        self.record.holder_identity == self.me
    }

    fn ask(&mut self, at: At, request: Request) -> Next {
        self.at = at;
        if let Request::Put(_, record) = &request {
            self.put = record.clone();
        }
        Next::Ask(request)
    }

    fn fresh(&self) -> Record {
        Record {
            holder_identity: self.me.clone(),
            lease_duration_seconds: self.lasts,
            acquire_time_ms: self.began,
            renew_time_ms: self.began,
            lease_transitions: 0,
        }
    }

    fn after(&self) -> Record {
        let Record { acquire_time_ms, lease_transitions, .. } = self.record;
        match self.is_mine() {
            true => Record { acquire_time_ms, lease_transitions, ..self.fresh() },
            false => Record { lease_transitions: lease_transitions + 1, ..self.fresh() },
        }
    }

    fn begin(&mut self, now: i64) -> Next {
        self.began = now;
        if self.is_mine() && now < self.runs_out && self.version.is_some() {
            let record = self.after();
            return self.ask(At::Short, Request::Put(self.version.clone(), record));
        }
        self.ask(At::Read, Request::Read)
    }

    fn go_on(&mut self, event: &Event, now: i64) -> Next {
        let at = std::mem::replace(&mut self.at, At::Nowhere);
        if let (At::Short | At::Put, Event::Written { version }) = (at, event) {
            self.version = Some(version.clone());
            self.keep(self.put.clone(), now);
            return Next::Good;
        }
        match (at, event) {
            (At::Short, _) => self.ask(At::Read, Request::Read),
            (At::Read, Event::NotFound) => self.ask(At::Put, Request::Put(None, self.fresh())),
            (At::Read, Event::Found { version, record }) => {
                self.version = Some(version.clone());
                if self.record != *record {
                    self.keep(record.clone(), now);
                }
                let free = record.holder_identity.is_empty() || self.began >= self.runs_out;
                if free || self.is_mine() {
                    let record = self.after();
                    return self.ask(At::Put, Request::Put(Some(version.clone()), record));
                }
                Next::Bad
            }
            _ => Next::Bad,
        }
    }
}

#[derive(PartialEq, Clone, Copy)]
enum Life {
    Waits,
    Leads,
    Leaves(bool),
    Ended,
}

struct Exercise {
    config: Config,
    lock: Lock,
    life: Life,
    asking: bool,
    round: Option<i64>,
    reported: Option<String>,
}

impl LeaderElection for Exercise {
    fn new(config: &Config) -> Self {
        let lock = Lock {
            me: config.identity.clone(),
            lasts: config.lease_duration_seconds,
            record: Record::default(),
            runs_out: i64::MIN,
            version: None,
            at: At::Nowhere,
            began: 0,
            put: Record::default(),
        };
        Exercise { config: config.clone(), lock, life: Life::Waits, asking: false, round: None, reported: None }
    }

    fn step(&mut self, event: &Event, now_ms: i64) -> Vec<Output> {
        let mut out = Vec::new();
        match (self.life, event) {
            (Life::Ended, _) | (Life::Leaves(_), Event::Cancel) => {}
            (_, Event::Cancel) => self.leave(&mut out),
            (Life::Leaves(true), Event::Found { version, record })
                if record.holder_identity == self.config.identity =>
            {
                self.life = Life::Leaves(false);
                let record = Record {
                    lease_duration_seconds: 1,
                    acquire_time_ms: now_ms,
                    renew_time_ms: now_ms,
                    lease_transitions: record.lease_transitions,
                    ..Record::default()
                };
                let timeout_ms = self.config.renew_deadline_ms / 2;
                out.push(Output::Update { version: version.clone(), record, timeout_ms });
            }
            (Life::Leaves(_), _) => self.end(&mut out),
            _ if self.asking => {
                self.asking = false;
                let next = self.lock.go_on(event, now_ms);
                self.follow(next, now_ms, &mut out);
            }
            _ => self.begin(now_ms, &mut out),
        }
        out
    }
}

impl Exercise {
    fn begin(&mut self, now: i64, out: &mut Vec<Output>) {
        if self.life == Life::Leads {
            self.round.get_or_insert(now + self.config.renew_deadline_ms);
        }
        let next = self.lock.begin(now);
        self.follow(next, now, out);
    }

    fn follow(&mut self, next: Next, now: i64, out: &mut Vec<Output>) {
        let period = self.config.retry_period_ms;
        let left = self.round.map_or(i64::MAX, |round| round - now);
        match next {
            Next::Ask(_) | Next::Bad if left <= 0 => {
                self.report(out);
                self.leave(out);
            }
            Next::Ask(request) => {
                self.asking = true;
                let timeout_ms = left.min(self.config.renew_deadline_ms / 2);
                out.push(match request {
                    Request::Read => {
                        self.lock.version = None;
                        Output::Get { timeout_ms }
                    }
                    Request::Put(Some(version), record) => Output::Update { version, record, timeout_ms },
                    Request::Put(None, record) => Output::Create { record, timeout_ms },
                });
            }
            Next::Bad if self.round.is_some() => {
                let ms = left.min(period);
                out.push(Output::Wait { least_ms: ms, most_ms: ms });
            }
            Next::Bad => {
                self.report(out);
                out.push(Output::Wait { least_ms: period, most_ms: period * 11 / 5 });
            }
            Next::Good => {
                self.report(out);
                self.round = None;
                if self.life == Life::Leads {
                    out.push(Output::Wait { least_ms: period, most_ms: period });
                } else {
                    self.life = Life::Leads;
                    out.push(Output::Started);
                    self.begin(now, out);
                }
            }
        }
    }

    fn leave(&mut self, out: &mut Vec<Output>) {
        if self.life == Life::Leads && self.config.release_on_cancel && self.lock.is_mine() {
            self.life = Life::Leaves(true);
            out.push(Output::Get { timeout_ms: self.config.renew_deadline_ms / 2 });
        } else {
            self.end(out);
        }
    }

    fn end(&mut self, out: &mut Vec<Output>) {
        self.life = Life::Ended;
        out.push(Output::Stopped);
    }

    fn report(&mut self, out: &mut Vec<Output>) {
        let holder = &self.lock.record.holder_identity;
        if self.reported.as_deref().unwrap_or_default() != holder {
            self.reported = Some(holder.clone());
            out.push(Output::NewLeader { identity: holder.clone() });
        }
    }
}

kit::exercise!(Exercise: LeaderElection);
