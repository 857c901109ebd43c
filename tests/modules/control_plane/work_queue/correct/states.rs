//! Passes: each key is in one of five states, the queue is a chain from key to key, and a calendar holds the delays.

use kit::control_plane::{Next, RateLimits, WorkQueue};
use std::collections::{BTreeMap, BTreeSet, HashMap};

#[derive(Clone, PartialEq)]
enum State {
    /// Nobody wants it.
    Idle,
    /// In the chain, before this one.
    Before(String),
    /// The last of the chain.
    Last,
    Processing,
    /// Being processed, and to be queued when that is done.
    Twice,
}

/// How often it failed, and how long the next delay is.
struct Failures {
    count: u32,
    next: i64,
}

enum Door {
    Open,
    Shut { drain: bool },
}

struct Exercise {
    limits: RateLimits,
    states: HashMap<String, State>,
    ends: Option<(String, String)>,
    calendar: BTreeMap<i64, BTreeSet<String>>,
    failures: HashMap<String, Failures>,
    /// When the bucket has gained the next token to be taken, in milliseconds times `qps`.
    next_token: i64,
    door: Door,
}

impl Exercise {
    fn state(&self, key: &str) -> State {
        self.states.get(key).cloned().unwrap_or(State::Idle)
    }

    fn link(&mut self, key: &str) {
        self.states.insert(key.into(), State::Last);
        let first = match self.ends.take() {
            Some((first, last)) => {
                self.states.insert(last, State::Before(key.into()));
                first
            }
            None => key.into(),
        };
        self.ends = Some((first, key.into()));
    }

    fn wish(&mut self, key: &str) {
        if matches!(self.door, Door::Shut { .. }) {
            return;
        }
        match self.state(key) {
            State::Idle => self.link(key),
            State::Processing => _ = self.states.insert(key.into(), State::Twice),
            State::Before(_) | State::Last | State::Twice => {}
        }
    }

    fn turn_pages(&mut self, now: i64) {
        while let Some(page) = self.calendar.first_entry().filter(|page| *page.key() <= now) {
            for key in page.remove() {
                self.wish(&key);
            }
        }
    }

    fn write_down(&mut self, key: &str, due: i64) {
        let known = self.calendar.iter().find(|(_, keys)| keys.contains(key)).map(|(due, _)| *due);
        if let Some(known) = known {
            if known <= due {
                return;
            }
            let page = self.calendar.entry(known).or_default();
            page.remove(key);
            if page.is_empty() {
                self.calendar.remove(&known);
            }
        }
        self.calendar.entry(due).or_default().insert(key.into());
    }
}

impl WorkQueue for Exercise {
    fn new(config: &RateLimits) -> Self {
        Exercise {
            limits: *config,
            states: HashMap::new(),
            ends: None,
            calendar: BTreeMap::new(),
            failures: HashMap::new(),
            // The tokens that are there from the start were gained before it, one after the other.
            next_token: (1 - config.burst) * 1000,
            door: Door::Open,
        }
    }

    fn add(&mut self, key: &str, now: i64) {
        self.turn_pages(now);
        self.wish(key);
    }

    fn add_after(&mut self, key: &str, delay: i64, now: i64) {
        self.turn_pages(now);
        match self.door {
            Door::Shut { .. } => {}
            Door::Open if delay > 0 => self.write_down(key, now.saturating_add(delay)),
            Door::Open => self.wish(key),
        }
    }

    fn add_rate_limited(&mut self, key: &str, now: i64) {
        let RateLimits { base_delay, max_delay, qps, burst } = self.limits;
        let first = Failures { count: 0, next: base_delay.min(max_delay) };
        let failures = self.failures.entry(key.into()).or_insert(first);
        let own = failures.next;
        failures.count += 1;
        failures.next = own.saturating_mul(2).min(max_delay);

        // A full bucket gains nothing: the tokens in it are never older than `burst` of them.
        let there = now * qps;
        let token = self.next_token.max(there - (burst - 1) * 1000);
        self.next_token = token + 1000;
        let mut shared = (token - there).max(0) / qps;
        if shared * qps < token - there {
            shared += 1;
        }
        self.add_after(key, own.max(shared), now);
    }

    fn forget(&mut self, key: &str) {
        self.failures.retain(|failed, _| failed != key);
    }

    fn num_requeues(&mut self, key: &str) -> u32 {
        self.failures.get(key).map_or(0, |failures| failures.count)
    }

    fn get(&mut self, now: i64) -> Next {
        self.turn_pages(now);
        let Some((first, last)) = self.ends.take() else {
            return match self.door {
                Door::Open => Next::Wait(self.calendar.keys().next().copied()),
                Door::Shut { .. } => Next::ShutDown,
            };
        };
        if let Some(State::Before(second)) = self.states.insert(first.clone(), State::Processing) {
            self.ends = Some((second, last));
        }
        Next::Key(first)
    }

    fn done(&mut self, key: &str, now: i64) {
        self.turn_pages(now);
        match self.state(key) {
            State::Processing => _ = self.states.remove(key),
            // Also after a shut-down: it was let in before.
            State::Twice => self.link(key),
            _ => {}
        }
    }

    fn len(&mut self, now: i64) -> u32 {
        self.turn_pages(now);
        let mut length = 0;
        let mut next = self.ends.as_ref().map(|(first, _)| first);
        while let Some(key) = next {
            length += 1;
            next = match self.states.get(key) {
                Some(State::Before(key)) => Some(key),
                _ => None,
            };
        }
        length
    }

    fn shut_down(&mut self, drain: bool) {
        self.door = Door::Shut { drain };
        self.calendar.clear();
    }

    fn drained(&mut self) -> bool {
        match self.door {
            Door::Open => false,
            Door::Shut { drain: false } => true,
            Door::Shut { drain: true } => {
                self.states.values().all(|state| !matches!(state, State::Processing | State::Twice))
            }
        }
    }
}

kit::exercise!(Exercise: WorkQueue);
