//! Passes: one record for each key, searched from end to end; places in the queue are numbers.

use kit::control_plane::{Next, RateLimits, WorkQueue};

struct Exercise {
    limits: RateLimits,
    keys: Vec<Record>,
    tickets: u64,
    /// When the bucket will be full, in milliseconds times `qps`.
    full_at: i64,
    state: State,
}

#[derive(Default)]
struct Record {
    key: String,
    /// Its place in the queue; the lowest is next.
    place: Option<u64>,
    processing: bool,
    again: bool,
    due: Option<i64>,
    failures: u32,
}

#[derive(PartialEq)]
enum State {
    Open,
    Closed,
    Draining,
}

impl Exercise {
    fn record(&mut self, key: &str) -> &mut Record {
        let at = match self.keys.iter().position(|record| record.key == key) {
            Some(at) => at,
            None => {
                self.keys.push(Record { key: key.into(), ..Record::default() });
                self.keys.len() - 1
            }
        };
        &mut self.keys[at]
    }

    fn enter(&mut self, key: &str) {
        if self.state != State::Open {
            return;
        }
        self.tickets += 1;
        let ticket = self.tickets;
        let record = self.record(key);
        if record.processing {
            record.again = true;
        } else if record.place.is_none() {
            record.place = Some(ticket);
        }
    }

    fn tick(&mut self, now: i64) {
        loop {
            let over = self.keys.iter().filter(|record| record.due.is_some_and(|due| due <= now));
            let Some(first) = over.min_by_key(|record| (record.due, &record.key)) else { return };
            let key = first.key.clone();
            self.record(&key).due = None;
            self.enter(&key);
        }
    }
}

impl WorkQueue for Exercise {
    fn new(limits: &RateLimits) -> Self {
        Exercise { limits: *limits, keys: Vec::new(), tickets: 0, full_at: 0, state: State::Open }
    }

    fn add(&mut self, key: &str, now: i64) {
        self.tick(now);
        self.enter(key);
    }

    fn add_after(&mut self, key: &str, delay: i64, now: i64) {
        self.tick(now);
        if delay <= 0 {
            return self.enter(key);
        }
        if self.state != State::Open {
            return;
        }
        let record = self.record(key);
        if record.due.is_none_or(|due| due > now + delay) {
            record.due = Some(now + delay);
        }
    }

    fn add_rate_limited(&mut self, key: &str, now: i64) {
        let limits = self.limits;
        let record = self.record(key);
        let mut own = limits.base_delay.min(limits.max_delay);
        for _ in 0..record.failures {
            own = (own * 2).min(limits.max_delay);
        }
        record.failures += 1;
        self.full_at = self.full_at.max(now * limits.qps) + 1000;
        let owed = self.full_at - now * limits.qps - limits.burst * 1000;
        let shared = if owed <= 0 { 0 } else { (owed - 1) / limits.qps + 1 };
        self.add_after(key, own.max(shared), now);
    }

    fn forget(&mut self, key: &str) {
        self.record(key).failures = 0;
    }

    fn num_requeues(&mut self, key: &str) -> u32 {
        self.record(key).failures
    }

    fn get(&mut self, now: i64) -> Next {
        self.tick(now);
        let queued = self.keys.iter_mut().filter(|record| record.place.is_some());
        if let Some(record) = queued.min_by_key(|record| record.place) {
            record.place = None;
            record.processing = true;
            return Next::Key(record.key.clone());
        }
        match self.state {
            State::Open => Next::Wait(self.keys.iter().filter_map(|record| record.due).min()),
            _ => Next::ShutDown,
        }
    }

    fn done(&mut self, key: &str, now: i64) {
        self.tick(now);
        self.tickets += 1;
        let ticket = self.tickets;
        let record = self.record(key);
        record.processing = false;
        if std::mem::take(&mut record.again) {
            record.place = Some(ticket);
        }
    }

    fn len(&mut self, now: i64) -> u32 {
        self.tick(now);
        self.keys.iter().filter(|record| record.place.is_some()).count() as u32
    }

    fn shut_down(&mut self, drain: bool) {
        self.state = if drain { State::Draining } else { State::Closed };
        for record in &mut self.keys {
            record.due = None;
        }
    }

    fn drained(&mut self) -> bool {
        match self.state {
            State::Open => false,
            State::Closed => true,
            State::Draining => !self.keys.iter().any(|record| record.processing),
        }
    }
}

kit::exercise!(Exercise: WorkQueue);
