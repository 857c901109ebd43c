//! One mock interview, as a state machine: actions and time in, events out.
//!
//! It reads no clock and touches no disk. Its state follows from the events alone, so that a session that was cut off goes
//! on where the last event left it ([`Session::over`]). What people see of it is made in [`view`], what it was worth in
//! [`score`].

pub mod event;
pub mod plan;
pub mod question;
pub mod score;
pub mod view;

use crate::content::Content;
use crate::content::Incident;
use crate::content::design::Design;
use event::{Answer, Check, Entry, Event, Mark, Role, Run};
use plan::{Ask, Draw, Plan};
use question::Question;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Nobody was there if nothing was heard of the clock for so long: a lid was closed, or the program was gone.
const AWAY: i64 = 60_000;
/// Why nothing can be done in a pause.
pub const STANDS_STILL: &str = "the clock stands still; `resume` lets it go on";

/// What somebody does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Action {
    /// Answers the question that is open.
    Answer {
        /// The answer.
        answer: Answer,
    },
    /// Takes the next hint.
    Hint,
    /// Asks for a fact.
    Ask {
        /// The words.
        text: String,
    },
    /// Tells a fact.
    Release {
        /// Which.
        fact: usize,
    },
    /// Asks a probe, the next one if none is named.
    Probe {
        /// Which.
        #[serde(default)]
        probe: Option<usize>,
    },
    /// Writes the answer, all of it.
    Write {
        /// The answer.
        text: String,
    },
    /// Brings what the grader said.
    Ran {
        /// The result.
        run: Run,
    },
    /// Brings how the cluster stands.
    Checked {
        /// The result.
        check: Check,
    },
    /// Ends the part before its time.
    Next,
    /// Stops the clock.
    Pause,
    /// Lets it go on.
    Resume,
    /// Marks a line of a rubric.
    Mark {
        /// In which part.
        part: usize,
        /// The line's id.
        line: String,
        /// 0 to 4.
        mark: u8,
        /// What it rests on.
        evidence: String,
    },
    /// Ends the session.
    Finish,
}

/// What became of one part.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    /// When it began.
    pub started: Option<i64>,
    /// When it ended.
    pub ended: Option<i64>,
    /// For how many milliseconds its clock stood still.
    paused: i64,
    /// Answers and their points, by question.
    pub answers: BTreeMap<usize, (Answer, f64)>,
    /// How many hints were taken.
    pub hints: usize,
    /// What the candidate asked, and the facts that were told then.
    pub asked: Vec<(String, Vec<usize>)>,
    /// The facts that were told.
    pub released: BTreeSet<usize>,
    /// The probes that were asked.
    pub probed: BTreeSet<usize>,
    /// The answer in prose.
    pub text: String,
    /// What the grader said, in order.
    pub runs: Vec<Run>,
    /// How the cluster stood, in order.
    pub checks: Vec<Check>,
    /// Marks by line.
    pub marks: BTreeMap<String, Mark>,
}

/// Where a session stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// The clock runs.
    Running,
    /// The clock stands still.
    Paused,
    /// All parts have ended, and marks can be given.
    Judging,
    /// All is said.
    Finished,
}

/// A session.
#[derive(Clone)]
pub struct Session {
    content: Arc<Content>,
    /// What it asks.
    pub plan: Plan,
    /// All that happened.
    pub entries: Vec<Entry>,
    /// What became of each part.
    pub parts: Vec<Progress>,
    current: usize,
    paused: Option<i64>,
    finished: bool,
    /// When it was heard of the clock last.
    heard: i64,
}

impl Session {
    /// A new session, which begins now.
    pub fn begin(content: Arc<Content>, plan: Plan, now: i64) -> Session {
        let mut session = Session::empty(content, plan.clone());
        session.note(now, Event::Began { plan });
        session.note(now, Event::Started { part: 0 });
        session
    }

    /// A session as its events left it.
    ///
    /// # Errors
    ///
    /// If they are no session's, or something that it asks is no longer there.
    pub fn over(content: Arc<Content>, entries: Vec<Entry>) -> Result<Session, String> {
        let Some(Entry { event: Event::Began { plan }, .. }) = entries.first() else {
            return Err("a session's first event says what it asks".into());
        };
        for part in &plan.parts {
            let gone = match &part.ask {
                Ask::Warmup(names) => names.iter().find(|name| content.warmup(name).is_none()),
                Ask::Incident(name) => Some(name).filter(|name| !content.incidents.contains_key(*name)),
                Ask::Design(name) => Some(name).filter(|name| !content.designs.contains_key(*name)),
                Ask::Code { .. } => None,
            };
            if let Some(gone) = gone {
                return Err(format!("the session asks {gone}, which this version of the kit no longer has"));
            }
        }
        let mut session = Session::empty(content, plan.clone());
        for Entry { at, event } in entries {
            session.note(at, event);
        }
        Ok(session)
    }

    fn empty(content: Arc<Content>, plan: Plan) -> Session {
        let parts = vec![Progress::default(); plan.parts.len()];
        Session { content, plan, entries: Vec::new(), parts, current: 0, paused: None, finished: false, heard: 0 }
    }

    /// Where it stands.
    pub fn state(&self) -> State {
        match (self.finished, self.paused) {
            (true, _) => State::Finished,
            (false, _) if self.current == self.parts.len() => State::Judging,
            (false, Some(_)) => State::Paused,
            (false, None) => State::Running,
        }
    }

    /// The part that is open, if one is.
    pub fn current(&self) -> Option<usize> {
        Some(self.current).filter(|at| *at < self.parts.len())
    }

    /// For how many milliseconds a part has run.
    pub fn elapsed(&self, part: usize, now: i64) -> i64 {
        let Progress { started, ended, paused, .. } = &self.parts[part];
        let until = ended.or(self.paused).unwrap_or(now);
        started.map_or(0, |started| (until - started - paused).max(0))
    }

    /// How many milliseconds a part has in all.
    pub fn budget(&self, part: usize) -> i64 {
        i64::from(self.plan.parts[part].minutes) * 60_000
    }

    /// Lets time pass: parts end, probes unlock, and an absence becomes a pause. Returns what happened.
    pub fn tick(&mut self, now: i64) -> &[Entry] {
        let before = self.entries.len();
        if self.state() == State::Running && now - self.heard > AWAY {
            self.note(self.heard, Event::Paused { away: true });
            self.note(now, Event::Resumed);
        }
        self.heard = self.heard.max(now);
        while self.state() == State::Running {
            let part = self.current;
            if self.elapsed(part, now) >= self.budget(part) {
                self.end(part, now, true);
                continue;
            }
            let due = self.unlocked(part, now).into_iter().find(|probe| !self.parts[part].probed.contains(probe));
            match due {
                Some(probe) if !self.plan.interviewer => self.note(now, Event::Probed { part, probe }),
                _ => break,
            }
        }
        &self.entries[before..]
    }

    /// The session goes on after its program was gone: the time between is a pause.
    pub fn reopen(&mut self, heard: i64, now: i64) -> &[Entry] {
        let before = self.entries.len();
        if self.state() == State::Running {
            let left = heard.max(self.heard).min(now);
            self.note(left, Event::Paused { away: true });
            self.note(now, Event::Resumed);
        }
        self.heard = now;
        &self.entries[before..]
    }

    /// The probes of a part whose time has come.
    pub fn unlocked(&self, part: usize, now: i64) -> Vec<usize> {
        let share = self.elapsed(part, now) * 100 / self.budget(part).max(1);
        let probes = self.design(part).map_or(&[][..], |design| &design.probes);
        (0..probes.len()).filter(|at| i64::from(probes[*at].at) <= share).collect()
    }

    /// Does something. Returns what happened.
    ///
    /// # Errors
    ///
    /// If it can't be done now, or not by this one: a sentence that says so.
    pub fn act(&mut self, role: Role, action: Action, now: i64) -> Result<&[Entry], String> {
        let before = self.entries.len();
        self.tick(now);
        self.perform(role, action, now)?;
        Ok(&self.entries[before..])
    }

    fn perform(&mut self, role: Role, action: Action, now: i64) -> Result<(), String> {
        if self.finished {
            return Err("the session has ended".into());
        }
        if let Action::Mark { part, line, mark, evidence } = action {
            return self.mark(role, part, line, mark, evidence, now);
        }
        match (&action, self.state()) {
            (Action::Finish, State::Judging) => {
                self.note(now, Event::Finished);
                return Ok(());
            }
            (Action::Finish, _) => return Err("there are parts left; `next` ends one".into()),
            (_, State::Judging) => return Err("all parts have ended".into()),
            (Action::Resume, State::Paused) => {
                self.note(now, Event::Resumed);
                return Ok(());
            }
            // What was begun before the clock stopped ends when it ends.
            (Action::Ran { .. } | Action::Checked { .. }, State::Paused) => {}
            (_, State::Paused) => return Err(STANDS_STILL.into()),
            _ => {}
        }
        let part = self.current;
        let interviewer = |what: &str| match role {
            Role::Interviewer => Ok(()),
            Role::Candidate => Err(format!("{what} is the interviewer's")),
        };
        match action {
            Action::Answer { answer } => {
                let at = self.open(part).ok_or("no question is open")?;
                let points = self.question(part, at).ok_or("no question is open")?.points(&answer);
                self.note(now, Event::Answered { part, question: at, answer, points });
                if matches!(self.plan.parts[part].ask, Ask::Warmup(_)) && self.open(part).is_none() {
                    self.end(part, now, false);
                }
            }
            Action::Hint => {
                if self.parts[part].hints >= self.hints(part).len() {
                    return Err("there is no further hint".into());
                }
                self.note(now, Event::Hinted { part });
            }
            Action::Ask { text } => {
                let design = self.design(part).ok_or("facts are asked for in a design question")?;
                let facts = design.about(&text);
                self.note(now, Event::Asked { part, text });
                // With an interviewer it is theirs to say.
                if !self.plan.interviewer {
                    for fact in facts {
                        self.note(now, Event::Released { part, fact });
                    }
                }
            }
            Action::Release { fact } => {
                interviewer("to release a fact")?;
                if self.design(part).is_none_or(|design| fact >= design.facts.len()) {
                    return Err(format!("there is no fact {fact}"));
                }
                self.note(now, Event::Released { part, fact });
            }
            Action::Probe { probe } => {
                let count = self.design(part).map_or(0, |design| design.probes.len());
                let next = (0..count).find(|at| !self.parts[part].probed.contains(at));
                match (probe.or(next), probe) {
                    (Some(probe), named) if probe < count => {
                        if named.is_some() || self.plan.interviewer {
                            interviewer("to choose a probe")?;
                        }
                        self.note(now, Event::Probed { part, probe });
                    }
                    _ => return Err("there is no further probe".into()),
                }
            }
            Action::Write { text } => {
                self.design(part).ok_or("prose is written for a design question")?;
                self.note(now, Event::Wrote { part, text });
            }
            Action::Ran { run } => self.note(now, Event::Ran { part, run }),
            Action::Checked { check } => self.note(now, Event::Checked { part, check }),
            Action::Next => self.end(part, now, false),
            Action::Pause => self.note(now, Event::Paused { away: false }),
            Action::Resume => return Err("the clock runs".into()),
            Action::Mark { .. } | Action::Finish => unreachable!("done above"),
        }
        Ok(())
    }

    fn mark(
        &mut self,
        role: Role,
        part: usize,
        line: String,
        mark: u8,
        evidence: String,
        now: i64,
    ) -> Result<(), String> {
        let design = self.plan.parts.get(part).and_then(|_| self.design(part)).ok_or("that part has no rubric")?;
        if !design.rubric.iter().any(|one| one.id == line) {
            return Err(format!("the rubric has no line {line:?}"));
        }
        if mark > 4 {
            return Err("a mark is 0, 1, 2, 3 or 4".into());
        }
        if role == Role::Candidate && self.state() != State::Judging {
            return Err("you mark your answer after the last part".into());
        }
        let evidence = evidence.trim().to_string();
        // A 0 says that there is nothing to quote.
        if mark > 0 {
            let plain = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
            if evidence.len() < 8 {
                return Err("a mark rests on a line of the answer: quote it".into());
            }
            if role == Role::Candidate && !plain(&self.parts[part].text).contains(&plain(&evidence)) {
                return Err("the answer doesn't say that: quote a line as it stands there".into());
            }
        }
        self.note(now, Event::Marked { part, line, mark: Mark { mark, evidence, by: role } });
        Ok(())
    }

    fn end(&mut self, part: usize, now: i64, time_up: bool) {
        self.note(now, Event::Ended { part, time_up });
        if part + 1 < self.parts.len() {
            self.note(now, Event::Started { part: part + 1 });
        }
    }

    /// Takes an event into account: the only place where anything changes.
    fn note(&mut self, at: i64, event: Event) {
        match &event {
            Event::Began { .. } => {}
            Event::Started { part } => self.parts[*part].started = Some(at),
            Event::Answered { part, question, answer, points } => {
                self.parts[*part].answers.insert(*question, (answer.clone(), *points));
            }
            Event::Hinted { part } => self.parts[*part].hints += 1,
            Event::Asked { part, text } => self.parts[*part].asked.push((text.clone(), Vec::new())),
            Event::Released { part, fact } => {
                let part = &mut self.parts[*part];
                part.released.insert(*fact);
                if let Some((_, facts)) = part.asked.last_mut() {
                    facts.push(*fact);
                }
            }
            Event::Probed { part, probe } => _ = self.parts[*part].probed.insert(*probe),
            Event::Wrote { part, text } => self.parts[*part].text = text.clone(),
            Event::Ran { part, run } => self.parts[*part].runs.push(run.clone()),
            Event::Checked { part, check } => self.parts[*part].checks.push(check.clone()),
            Event::Ended { part, .. } => {
                self.parts[*part].ended = Some(at);
                self.current = part + 1;
            }
            Event::Paused { .. } => self.paused = Some(at),
            Event::Resumed => {
                if let (Some(since), Some(part)) = (self.paused.take(), self.parts.get_mut(self.current)) {
                    part.paused += at - since;
                }
            }
            Event::Marked { part, line, mark } => _ = self.parts[*part].marks.insert(line.clone(), mark.clone()),
            Event::Finished => self.finished = true,
        }
        self.heard = self.heard.max(at);
        self.entries.push(Entry { at, event });
    }

    /// The design question of a part, if it asks one.
    pub fn design(&self, part: usize) -> Option<&Design> {
        match &self.plan.parts[part].ask {
            Ask::Design(name) => self.content.designs.get(name),
            _ => None,
        }
    }

    /// The incident of a part, if it has one.
    pub fn incident(&self, part: usize) -> Option<&Incident> {
        match &self.plan.parts[part].ask {
            Ask::Incident(name) => self.content.incidents.get(name),
            _ => None,
        }
    }

    /// The hints of a part, those included that were not taken.
    pub fn hints(&self, part: usize) -> &[String] {
        match &self.plan.parts[part].ask {
            Ask::Code { exercise, .. } => self.content.hints.get(exercise).map_or(&[], Vec::as_slice),
            Ask::Incident(name) => self.content.incidents.get(name).map_or(&[], |one| &one.hints),
            _ => &[],
        }
    }

    /// The first question of a part that has no answer yet.
    pub fn open(&self, part: usize) -> Option<usize> {
        let count = match &self.plan.parts[part].ask {
            Ask::Warmup(names) => names.len(),
            Ask::Incident(_) => 1,
            _ => 0,
        };
        (0..count).find(|at| !self.parts[part].answers.contains_key(at))
    }

    /// A question of a part, with its options in the order in which this session shows them.
    pub fn question(&self, part: usize, at: usize) -> Option<Question<'_>> {
        let draw = Draw::of(self.plan.seed);
        match &self.plan.parts[part].ask {
            Ask::Warmup(names) => {
                let name = names.get(at)?;
                Question::of_warmup(name, self.content.warmup(name)?, &draw)
            }
            Ask::Incident(name) => Some(Question::of_incident(self.content.incidents.get(name)?, &draw)),
            _ => None,
        }
    }
}

impl Design {
    /// The facts that a question is about.
    pub fn about(&self, text: &str) -> Vec<usize> {
        let text = text.to_lowercase();
        let asked = |at: &usize| self.facts[*at].words.iter().any(|word| text.contains(word.as_str()));
        (0..self.facts.len()).filter(asked).collect()
    }
}
