//! The world of a few candidates: a lease, a network, and what goes wrong.

use kit_contract::Slot;
use kit_contract::failure::LeaderElection;
use kit_contract::failure::leader_election::{Config, Event, Output, Record};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// One play.
#[derive(Debug, Clone)]
pub struct Plan {
    /// That of the first candidate; the others differ in their names.
    pub config: Config,
    /// When each candidate begins.
    pub begins_ms: Vec<i64>,
    /// What the first one's clock shows at the beginning.
    pub clock_ms: i64,
    /// How long requests and answers take, in turn.
    pub latencies: Vec<i64>,
    /// How long candidates wait between the least and the most that they said, in turn.
    pub draws: Vec<f64>,
    /// What goes wrong, each so long after the one before.
    pub faults: Vec<(i64, Fault)>,
    /// What the lease says at first, if there is one.
    pub first: Option<Record>,
    /// When it ends, and after how many questions.
    pub until_ms: i64,
    pub steps: usize,
}

/// What goes wrong, and for how long.
#[derive(Debug, Clone)]
pub enum Fault {
    /// Requests fail at once.
    Down(i64),
    /// Requests don't arrive, and nobody says so.
    Deaf(i64),
    /// Requests do what they are to do, and their answers get lost.
    Unheard(i64),
    /// A candidate stands still: what it waits for it hears only then.
    Pause(usize, i64),
    /// A candidate ends without a word, and begins anew later.
    Kill(usize, i64),
    /// A candidate is asked to stop; again a moment later, or not.
    Cancel(usize, bool),
    /// Somebody deletes the lease.
    Delete,
    /// Somebody writes this into it.
    Write(Record),
    /// Somebody changes the count of leaders in it by so much; by nothing, a label.
    Touch(i64),
}

/// From when to when a candidate believed that it led; still, if there is no end.
#[derive(Debug)]
pub struct Reign {
    pub who: usize,
    pub from_ms: i64,
    pub until_ms: Option<i64>,
}

/// What happened.
#[derive(Debug, Default)]
pub struct Story {
    /// To the first candidate.
    pub questions: Vec<Value>,
    pub reigns: Vec<Reign>,
}

impl Story {
    /// Whether two ever led at once.
    pub fn two_led(&self) -> bool {
        let ends = |reign: &Reign| reign.until_ms.unwrap_or(i64::MAX);
        let overlap = |a: &Reign, b: &Reign| a.who != b.who && a.from_ms < ends(b) && b.from_ms < ends(a);
        self.reigns.iter().any(|a| self.reigns.iter().any(|b| overlap(a, b)))
    }
}

struct Candidate {
    module: Box<dyn LeaderElection>,
    config: Config,
    /// What it waits for has this number; what has another one is not heard any more.
    ticket: u64,
    paused_until: i64,
    clock_ms: i64,
    lives: u64,
}

enum Item {
    Begins(usize),
    Hears(usize, u64, Event),
    /// A request arrives, and is answered then, if anybody still listens.
    Arrives(usize, u64, Output, Option<i64>),
    Happens(Fault),
}

struct World<'a> {
    plan: &'a Plan,
    slot: &'a Slot<dyn LeaderElection>,
    agenda: BTreeMap<(i64, u64), Item>,
    put: u64,
    drawn: usize,
    sent: usize,
    lease: Option<(u64, Record)>,
    version: u64,
    down_until: i64,
    deaf_until: i64,
    unheard_until: i64,
    candidates: Vec<Candidate>,
    story: Story,
}

/// Plays it with modules of this slot.
pub fn play(plan: &Plan, slot: &Slot<dyn LeaderElection>) -> Story {
    let mut world = World {
        plan,
        slot,
        agenda: BTreeMap::new(),
        put: 0,
        drawn: 0,
        sent: 0,
        lease: plan.first.clone().map(|record| (1, record)),
        version: 1,
        down_until: 0,
        deaf_until: 0,
        unheard_until: 0,
        candidates: Vec::new(),
        story: Story::default(),
    };
    for (index, begins) in plan.begins_ms.iter().enumerate() {
        let name = ["a", "b", "c"][index % 3];
        let config = Config { identity: name.into(), ..plan.config.clone() };
        let clock_ms = if index == 0 { plan.clock_ms } else { 5_000_000 * index as i64 };
        let module = slot.make(&config);
        world.candidates.push(Candidate { module, config, ticket: 0, paused_until: 0, clock_ms, lives: 0 });
        world.put(*begins, Item::Begins(index));
    }
    let mut at = 0;
    for (after, fault) in &plan.faults {
        at += after;
        world.put(at, Item::Happens(fault.clone()));
    }
    while let Some(((now, _), item)) = world.agenda.pop_first() {
        if now > plan.until_ms || world.story.questions.len() >= plan.steps {
            break;
        }
        world.happens(now, item);
    }
    world.story
}

impl World<'_> {
    fn put(&mut self, at: i64, item: Item) {
        self.put += 1;
        self.agenda.insert((at, self.put), item);
    }

    fn latency(&mut self) -> i64 {
        self.sent += 1;
        self.plan.latencies[self.sent % self.plan.latencies.len()]
    }

    fn happens(&mut self, now: i64, item: Item) {
        match item {
            Item::Begins(who) => self.tell(who, Event::Wake, now),
            Item::Hears(who, ticket, event) => {
                let candidate = &self.candidates[who];
                if candidate.ticket != ticket {
                    return;
                }
                match candidate.paused_until {
                    until if until > now => self.put(until, Item::Hears(who, ticket, event)),
                    _ => self.tell(who, event, now),
                }
            }
            Item::Arrives(who, ticket, request, heard) => {
                let event = self.serve(request);
                if let Some(at) = heard {
                    self.put(at, Item::Hears(who, ticket, event));
                }
            }
            Item::Happens(fault) => self.fault(now, fault),
        }
    }

    fn fault(&mut self, now: i64, fault: Fault) {
        match fault {
            Fault::Down(span) => self.down_until = now + span,
            Fault::Deaf(span) => self.deaf_until = now + span,
            Fault::Unheard(span) => self.unheard_until = now + span,
            Fault::Pause(who, span) => {
                self.candidates.get_mut(who).into_iter().for_each(|candidate| candidate.paused_until = now + span);
            }
            // The questions are those of one life.
            Fault::Kill(who, span) if who > 0 && who < self.candidates.len() => {
                self.reign_ends(who, now);
                let candidate = &mut self.candidates[who];
                candidate.lives += 1;
                candidate.ticket += 1;
                candidate.config.identity = format!("{}-{}", ["a", "b", "c"][who % 3], candidate.lives);
                candidate.module = self.slot.make(&candidate.config);
                self.put(now + span, Item::Begins(who));
            }
            Fault::Kill(..) => {}
            Fault::Cancel(who, again) if who < self.candidates.len() && self.candidates[who].paused_until <= now => {
                self.tell(who, Event::Cancel, now);
                if again {
                    self.put(now + 1, Item::Happens(Fault::Cancel(who, false)));
                }
            }
            Fault::Cancel(..) => {}
            Fault::Delete => self.lease = None,
            Fault::Write(record) => self.write(record),
            Fault::Touch(by) => {
                if let Some((_, record)) = self.lease.clone() {
                    self.write(Record { lease_transitions: record.lease_transitions + by, ..record });
                }
            }
        }
    }

    fn write(&mut self, record: Record) {
        self.version += 1;
        self.lease = Some((self.version, record));
    }

    /// What the API server makes of a request.
    fn serve(&mut self, request: Output) -> Event {
        match (request, self.lease.clone()) {
            (Output::Get { .. }, Some((version, record))) => Event::Found { version: version.to_string(), record },
            (Output::Create { record, .. }, None) => {
                self.write(record);
                Event::Written { version: self.version.to_string() }
            }
            (Output::Create { .. }, Some(_)) => Event::Refused,
            (Output::Update { version, record, .. }, Some((there, _))) => {
                if there.to_string() != version {
                    return Event::Refused;
                }
                self.write(record);
                Event::Written { version: self.version.to_string() }
            }
            _ => Event::NotFound,
        }
    }

    fn tell(&mut self, who: usize, event: Event, now: i64) {
        let candidate = &mut self.candidates[who];
        let now_ms = now + candidate.clock_ms;
        let outputs = candidate.module.step(&event, now_ms);
        // Who is at its end already goes on with that.
        if event != Event::Cancel || !outputs.is_empty() {
            candidate.ticket += 1;
        }
        let ticket = candidate.ticket;
        if who == 0 {
            self.story.questions.push(json!({"step": {"event": event, "now_ms": now_ms}}));
        }
        for output in outputs {
            match output {
                Output::NewLeader { .. } => {}
                Output::Started => self.story.reigns.push(Reign { who, from_ms: now, until_ms: None }),
                Output::Stopped => {
                    self.reign_ends(who, now);
                    // Nothing is heard of it any more, or the process begins anew.
                    if who > 0 {
                        self.fault(now, Fault::Kill(who, 1000));
                    }
                }
                Output::Wait { least_ms, most_ms } => {
                    self.drawn += 1;
                    let share = self.plan.draws[self.drawn % self.plan.draws.len()];
                    let wait = least_ms + ((most_ms - least_ms) as f64 * share) as i64;
                    self.put(now + wait, Item::Hears(who, ticket, Event::Wake));
                }
                request => self.send(who, ticket, request, now),
            }
        }
    }

    fn send(&mut self, who: usize, ticket: u64, request: Output, now: i64) {
        let (Output::Get { timeout_ms } | Output::Create { timeout_ms, .. } | Output::Update { timeout_ms, .. }) =
            request
        else {
            return;
        };
        let (there, back, patience) = (self.latency(), self.latency(), now + timeout_ms);
        if now < self.down_until {
            return self.put((now + there).min(patience), Item::Hears(who, ticket, Event::Lost));
        }
        if now < self.deaf_until {
            return self.put(patience, Item::Hears(who, ticket, Event::Lost));
        }
        let answered = now + there + back;
        let heard = (now >= self.unheard_until && answered <= patience).then_some(answered);
        self.put(now + there, Item::Arrives(who, ticket, request, heard));
        if heard.is_none() {
            self.put(patience, Item::Hears(who, ticket, Event::Lost));
        }
    }

    fn reign_ends(&mut self, who: usize, now: i64) {
        let open = |reign: &&mut Reign| reign.who == who && reign.until_ms.is_none();
        self.story.reigns.iter_mut().filter(open).for_each(|reign| reign.until_ms = Some(now));
    }
}
