//! What the lessons share: the network, timers, faults, and the history.

use super::{Happening, Lesson, Role, Setup, Span, Step, Who};
use kit_contract::Show;
use kit_raft::Id;
use kit_raft::network::{Due, Fate, MILLISECOND, Network, Weather};
use kit_time::agenda::Instant;
use kit_time::random::{Purpose, Random};
use std::collections::{BTreeMap, BTreeSet};

/// Election timeouts are drawn from this to twice this (§9.3 of the paper).
const ELECTION: i64 = 150 * MILLISECOND;
const HEARTBEAT: i64 = 50 * MILLISECOND;
const CHORE: i64 = 40 * MILLISECOND;
/// Whoever says nothing new for so long, over many heartbeats, never will.
const SILENCE: i64 = 500 * MILLISECOND;
/// So long a group may take to come to rest.
const PATIENCE: i64 = 60_000 * MILLISECOND;
/// So many lines of history are shown with a broken promise.
const SHOWN: usize = 18;

/// Of a long row of lines that begin with the same word, such as a hundred entries that are applied, the first and the last.
fn shortened(lines: &[String]) -> Vec<String> {
    let word = |line: &String| line.split(' ').next().map(str::to_string);
    let mut short = Vec::new();
    for row in lines.chunk_by(|a, b| word(a) == word(b)) {
        match row {
            [first, rest @ .., last] if rest.len() > 1 => {
                short.extend([first.clone(), format!("… {} more", rest.len()), last.clone()]);
            }
            few => short.extend_from_slice(few),
        }
    }
    short
}

/// What rings.
#[derive(Debug)]
pub enum Bell {
    Election { id: Id, number: u64 },
    Heartbeat(Id),
    Fault(usize),
    Chore(u64),
}

/// The moment in a list of outputs at which a member loses power.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doom {
    /// After its next vote or acknowledgement left.
    Answer,
    /// After so many outputs of one list.
    Outputs(u64),
}

/// A group on its network.
pub struct Stage<M> {
    pub net: Network<M, Bell>,
    pub random: Random,
    pub members: BTreeSet<Id>,
    pub down: BTreeSet<Id>,
    /// The greatest term in any message so far.
    pub greatest_term: u64,
    timeouts: BTreeMap<Id, Span>,
    timers: BTreeMap<Id, u64>,
    pub(super) doomed: BTreeMap<Id, Doom>,
    history: Vec<String>,
    /// What members said to each other, each thing once.
    said: BTreeSet<(Id, Id, String)>,
    broken: Option<String>,
    /// Faults to come: what [`Bell::Fault`] stands for.
    pub(super) faults: Vec<(i64, super::storm::Fault)>,
    pub(super) chores: bool,
}

impl<M: Clone + Show> Stage<M> {
    pub fn new(setup: &Setup) -> Self {
        let random = Random::new(setup.seed);
        Stage {
            net: Network::new(random),
            random,
            members: (1..=setup.members).collect(),
            down: BTreeSet::new(),
            greatest_term: 0,
            timeouts: setup.timeouts.clone(),
            timers: BTreeMap::new(),
            doomed: BTreeMap::new(),
            history: Vec::new(),
            said: BTreeSet::new(),
            broken: None,
            faults: Vec::new(),
            chores: false,
        }
    }

    /// Starts all members.
    pub fn begin(&mut self, lesson: &mut impl Lesson<Message = M>) {
        for id in self.members.clone() {
            lesson.start(self, id);
            self.wind(id);
            self.net.ring(HEARTBEAT * id as i64 / 10, Bell::Heartbeat(id));
        }
        for (number, (at, _)) in self.faults.iter().enumerate() {
            self.net.ring(*at, Bell::Fault(number));
        }
        if self.chores {
            self.net.ring(CHORE, Bell::Chore(0));
        }
    }

    /// Winds a member's election timer up.
    pub fn wind(&mut self, id: Id) {
        let number = self.timers.entry(id).or_default();
        *number += 1;
        let name = id.to_string();
        let purpose = Purpose { component: "group", object: &name, reason: "election-timeout", attempt: *number };
        let drawn = ELECTION + self.random.below(ELECTION as u64, purpose) as i64;
        let after = self.timeouts.get(&id).map_or(drawn, |fixed| fixed.nanos);
        self.net.ring(after, Bell::Election { id, number: *number });
    }

    /// Lets time pass, or less where a promise is broken.
    pub fn run(&mut self, lesson: &mut impl Lesson<Message = M>, nanos: i64) {
        let until = self.net.now() + Instant { nanos };
        while self.broken.is_none() {
            let Some(due) = self.net.next(until) else { return };
            match due {
                Due::Arrives { from, to, message } => self.happens(lesson, to, Happening::Arrives(from, message)),
                Due::Rings(Bell::Election { id, number }) if self.timers.get(&id) == Some(&number) => {
                    self.wind(id);
                    self.happens(lesson, id, Happening::ElectionTimeout);
                }
                Due::Rings(Bell::Election { .. }) => {}
                Due::Rings(Bell::Heartbeat(id)) => {
                    self.net.ring(HEARTBEAT, Bell::Heartbeat(id));
                    self.happens(lesson, id, Happening::HeartbeatDue);
                }
                Due::Rings(Bell::Fault(number)) => self.fault(lesson, number),
                Due::Rings(Bell::Chore(number)) if self.chores => {
                    lesson.chore(self, number);
                    self.net.ring(CHORE, Bell::Chore(number + 1));
                }
                Due::Rings(Bell::Chore(_)) => {}
            }
        }
    }

    /// Gives a group that is slow, and not wrong, the time to come to rest: as long as its members say something new to
    /// each other.
    pub fn settle(&mut self, lesson: &mut impl Lesson<Message = M>) {
        let until = self.net.now() + Instant { nanos: PATIENCE };
        while !self.is_broken() && !lesson.rests(self) && self.net.now() < until {
            let said = self.said.len();
            self.run(lesson, SILENCE);
            if self.said.len() == said {
                return;
            }
        }
    }

    fn happens(&mut self, lesson: &mut impl Lesson<Message = M>, id: Id, what: Happening<M>) {
        if !self.down.contains(&id) {
            lesson.happens(self, id, what);
            if self.down.contains(&id) {
                lesson.stop(id);
            }
        }
    }

    /// Whether a member loses power now, after an output; `answers` says whether it was a vote or an acknowledgement.
    pub fn dies(&mut self, id: Id, answers: bool, done: u64) -> bool {
        let dies = match self.doomed.get(&id) {
            Some(Doom::Answer) => answers,
            Some(Doom::Outputs(count)) => done >= *count,
            None => false,
        };
        if dies {
            self.doomed.remove(&id);
            self.down.insert(id);
            self.note(id, "loses power, in the middle of its outputs");
        }
        dies
    }

    pub fn doom_answer(&mut self, id: Id) {
        self.doomed.insert(id, Doom::Answer);
    }

    pub fn crash(&mut self, lesson: &mut impl Lesson<Message = M>, id: Id) {
        if self.down.insert(id) {
            self.note(id, "loses power");
            self.doomed.remove(&id);
            lesson.stop(id);
        }
    }

    pub fn restart(&mut self, lesson: &mut impl Lesson<Message = M>, id: Id) {
        self.doomed.remove(&id);
        if self.down.remove(&id) {
            self.note(id, "starts again, with what it saved");
            lesson.start(self, id);
            self.wind(id);
        }
    }

    /// Cuts a member's links, those that lead out or those that lead in.
    pub fn isolate(&mut self, id: Id, out: bool, into: bool) {
        let what = match (out, into) {
            (true, true) => "is cut off",
            (true, false) => "is not heard any more",
            _ => "hears nothing any more",
        };
        self.note(id, what);
        for other in self.members.iter().filter(|other| **other != id) {
            if out {
                self.net.cut(id, *other);
            }
            if into {
                self.net.cut(*other, id);
            }
        }
    }

    /// Whether two members hear each other.
    pub fn connected(&self, a: Id, b: Id) -> bool {
        self.net.connects(a, b) && self.net.connects(b, a)
    }

    pub fn heal(&mut self) {
        self.net.heal();
        self.net.weather = Weather::CALM;
        self.history.push(format!("{}     everybody hears everybody again", self.time()));
    }

    /// Sends, and says what became of it.
    pub fn send(&mut self, from: Id, to: Id, term: u64, message: M) -> &'static str {
        self.greatest_term = self.greatest_term.max(term);
        self.said.insert((from, to, message.lines().concat()));
        match self.net.send(from, to, message) {
            Fate::Lost => " (lost)",
            Fate::Sent | Fate::Repeated => "",
        }
    }

    fn time(&self) -> String {
        format!("t={:.3}s", self.net.now().nanos as f64 / 1e9)
    }

    /// What a member was told and what it answered, the same message to several members only once.
    pub fn note_step(&mut self, id: Id, event: &impl Show, outputs: &[impl Show]) {
        let mut said: Vec<String> = Vec::new();
        for line in outputs.iter().flat_map(Show::lines) {
            let split = |line: &str| {
                Some(line.strip_prefix("to ")?.split_once(": ")?).map(|(to, what)| (to.to_string(), what.to_string()))
            };
            match (said.last().and_then(|last| split(last)), split(&line)) {
                (Some((others, before)), Some((to, what))) if before == what => {
                    _ = said.pop();
                    said.push(format!("to {others}, {to}: {what}"));
                }
                _ => said.push(line),
            }
        }
        let said = if said.is_empty() { "nothing".into() } else { shortened(&said).join("; ") };
        self.note(id, &format!("{} → {said}", event.lines().join(" ")));
    }

    /// A line of history.
    pub fn note(&mut self, id: Id, what: &str) {
        self.history.push(format!("{}  {id}  {what}", self.time()));
    }

    /// A promise is broken; the first one counts.
    pub fn broken(&mut self, what: String) {
        self.broken.get_or_insert(what);
    }

    pub fn is_broken(&self) -> bool {
        self.broken.is_some()
    }

    /// The broken promise and the end of the history that led to it.
    pub fn broken_with_history(&self) -> Option<Vec<String>> {
        let broken = self.broken.as_ref()?;
        let from = self.history.len().saturating_sub(SHOWN);
        let mut lines = vec![format!("broken: {broken}"), "what happened before:".into()];
        if from > 0 {
            lines.push(format!("  … {from} more"));
        }
        lines.extend(self.history[from..].iter().map(|line| format!("  {line}")));
        Some(lines)
    }

    /// How long the history is.
    pub fn length(&self) -> usize {
        self.history.len()
    }

    /// A step as people read it.
    pub fn title(&self, step: &Step) -> String {
        let who = |who: &Who| match who {
            Who::Member(id) => format!("member {id}"),
            Who::Role(Role::Leader) => "the leader".into(),
        };
        match step {
            Step::Run(time) => format!("run {time}"),
            Step::Wait(time) => format!("wait {time}"),
            Step::Calm(time) => format!("calm {time}"),
            Step::Crash(whom) => format!("{} loses power", who(whom)),
            Step::CrashAfterAnswer(id) => format!("member {id} will lose power right after its next yes has left"),
            Step::Restart(id) => format!("member {id} starts again"),
            Step::CutOff(whom) => format!("{} is cut off", who(whom)),
            Step::Mute(whom) => format!("{} is not heard any more", who(whom)),
            Step::Deaf(whom) => format!("{} hears nothing any more", who(whom)),
            Step::Part(a, b) => format!("members {a} and {b} don't hear each other any more"),
            Step::Heal => "everybody hears everybody again".into(),
            Step::Lose(percent) => format!("{percent} of 100 messages get lost"),
            Step::Delay(time) => format!("messages take up to {time}, and some arrive twice"),
            Step::Elect(id) => format!("member {id} stands for election"),
            Step::Propose(whom, count) => format!("clients propose {count} commands to {}", who(whom)),
            Step::Snapshot(id) => format!("member {id} takes a snapshot"),
        }
    }
}
