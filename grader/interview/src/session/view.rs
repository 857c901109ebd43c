//! What each of the two people sees of a session, as data: terminal and pages only lay it out.

use crate::content::design::{Probe, RedFlag};
use crate::session::event::{Answer, Event, Mark, Role};
use crate::session::plan::{Ask, Plan};
use crate::session::question::Shown;
use crate::session::score::Score;
use crate::session::{Session, State};
use serde::{Deserialize, Serialize};

/// What the candidate sees.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct View {
    /// Where it stands.
    pub state: State,
    /// For whom it is, how long it takes, its seed.
    pub head: String,
    /// All parts.
    pub parts: Vec<PartTitle>,
    /// The clock.
    pub clock: Clock,
    /// The part that is open.
    pub open: Option<Open>,
    /// Pauses so far.
    pub pauses: Vec<Pause>,
}

/// A part in the list of all.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PartTitle {
    /// `warm-up`, `code`, `incident`, `design`.
    pub kind: String,
    /// What it is about.
    pub title: String,
    /// Its time.
    pub minutes: u32,
    /// Whether it has begun.
    pub begun: bool,
    /// Whether it has ended.
    pub ended: bool,
}

/// Milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clock {
    /// What is left of the open part.
    pub part: i64,
    /// What is left of everything.
    pub whole: i64,
}

/// The clock stood still.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// Since when, in milliseconds since 1970.
    pub at: i64,
    /// For how long; nothing if it still does.
    pub ms: Option<i64>,
    /// Whether nobody asked for it.
    pub away: bool,
}

/// What is open.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Open {
    /// A warm-up question.
    Warmup {
        /// Counted from 1.
        number: usize,
        /// How many there are.
        of: usize,
        /// The question.
        question: Shown,
    },
    /// A module to be written.
    Code {
        /// `chapter/exercise`.
        exercise: String,
        /// The rule that is different, as a paragraph.
        rule: Option<String>,
        /// What the grader said, the last time last.
        runs: Vec<RunShown>,
        /// Hints that were taken.
        hints: Vec<String>,
    },
    /// A broken cluster.
    Incident {
        /// A few words.
        title: String,
        /// What somebody tells.
        prompt: String,
        /// Whether it was healed, each time it was looked at.
        checks: Vec<bool>,
        /// Hints that were taken.
        hints: Vec<String>,
        /// The question for the root cause.
        question: Option<Shown>,
    },
    /// A design question.
    Design {
        /// A few words.
        title: String,
        /// The question.
        prompt: String,
        /// What was asked, and what was told.
        asked: Vec<Asked>,
        /// Facts that were told without being asked for.
        told: Vec<String>,
        /// What was asked on top.
        probes: Vec<String>,
        /// The answer so far.
        text: String,
    },
}

/// What the grader said, as the candidate sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunShown {
    /// Whether all was right.
    pub passed: bool,
    /// What the grader printed.
    pub said: String,
}

/// A question and what was told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    /// The words.
    pub text: String,
    /// The facts; none if nobody knows.
    pub answers: Vec<String>,
}

/// What the interviewer sees: everything.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sheet {
    /// What the candidate sees.
    pub view: View,
    /// Each part, with what good looks like.
    pub parts: Vec<SheetPart>,
    /// What to do about the time.
    pub advice: Vec<String>,
    /// What it is worth as it stands.
    pub score: Score,
}

/// A part as the interviewer sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum SheetPart {
    /// Warm-up questions.
    Warmup {
        /// Each of them.
        questions: Vec<SheetQuestion>,
    },
    /// A module.
    Code {
        /// `chapter/exercise`.
        exercise: String,
        /// The rule that is different.
        rule: Option<String>,
        /// All hints.
        hints: Vec<String>,
        /// How many the candidate took.
        taken: usize,
        /// What the grader said.
        runs: Vec<RunShown>,
    },
    /// An incident.
    Incident {
        /// A few words.
        title: String,
        /// What the candidate reads.
        prompt: String,
        /// What happened, in Markdown.
        debrief: String,
        /// Ways to heal it, and their commands.
        routes: Vec<(String, Vec<String>)>,
        /// All hints.
        hints: Vec<String>,
        /// How many the candidate took.
        taken: usize,
        /// Each look at it.
        checks: Vec<Vec<String>>,
        /// The question for the root cause.
        question: SheetQuestion,
    },
    /// A design question.
    Design {
        /// A few words.
        title: String,
        /// What the candidate reads.
        prompt: String,
        /// What can be told.
        facts: Vec<SheetFact>,
        /// What can be asked.
        probes: Vec<SheetProbe>,
        /// What is judged.
        rubric: Vec<SheetLine>,
        /// What speaks against a candidate.
        red_flags: Vec<RedFlag>,
        /// A very good answer, in Markdown.
        model: String,
        /// The answer so far.
        text: String,
    },
}

/// A question with its answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SheetQuestion {
    /// As the candidate sees it.
    pub shown: Shown,
    /// The right answer.
    pub right: String,
    /// What the candidate answered.
    pub answer: Option<Answer>,
    /// From 0 to 1.
    pub points: Option<f64>,
    /// What is to be said of it.
    pub why: Vec<String>,
    /// Where to read.
    pub read: Option<String>,
}

/// A fact.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SheetFact {
    /// What is asked for.
    pub question: String,
    /// What is told.
    pub answer: String,
    /// Whether it was.
    pub released: bool,
}

/// A probe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SheetProbe {
    /// The probe.
    #[serde(flatten)]
    pub probe: Probe,
    /// Whether its time has come.
    pub unlocked: bool,
    /// Whether it was asked.
    pub asked: bool,
}

/// A line of the rubric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SheetLine {
    /// Its id.
    pub id: String,
    /// What is judged.
    pub name: String,
    /// The dimension.
    pub dimension: crate::content::design::Dimension,
    /// Its share of 100.
    pub weight: u8,
    /// What an answer looks like that gets 0 to 4.
    pub marks: [String; 5],
    /// The mark, if there is one.
    pub mark: Option<Mark>,
}

impl Plan {
    /// For whom it is, how long it takes, its seed.
    pub fn head(&self) -> String {
        let minutes: u32 = self.parts.iter().map(|part| part.minutes).sum();
        format!("{} engineer · {minutes} min · seed {}", self.level.title(), self.seed)
    }
}

impl Session {
    /// A part's kind and what it is about; before it begins no more than that is told.
    pub fn title(&self, part: usize) -> PartTitle {
        let progress = &self.parts[part];
        let begun = progress.started.is_some();
        let (kind, title) = match &self.plan.parts[part].ask {
            Ask::Warmup(names) if names.len() == 1 => ("warm-up", "one question".into()),
            Ask::Warmup(names) => ("warm-up", format!("{} questions", names.len())),
            Ask::Code { exercise, variation: None } => ("code", exercise.clone()),
            Ask::Code { exercise, .. } => ("code", format!("{exercise}, a variation you have not seen")),
            Ask::Incident(_) => {
                let title = self.incident(part).map_or(String::new(), |one| one.title.clone());
                ("incident", title)
            }
            Ask::Design(_) => ("design", self.design(part).map_or(String::new(), |one| one.title.clone())),
        };
        let minutes = self.plan.parts[part].minutes;
        PartTitle { kind: kind.into(), title, minutes, begun, ended: progress.ended.is_some() }
    }

    /// What is left of the time.
    pub fn clock(&self, now: i64) -> Clock {
        let left = |part: usize| (self.budget(part) - self.elapsed(part, now)).max(0);
        let open = self.current().into_iter().chain(self.current().map_or(0..0, |at| at + 1..self.parts.len()));
        Clock { part: self.current().map_or(0, left), whole: open.map(left).sum() }
    }

    /// What the candidate sees.
    pub fn view(&self, now: i64) -> View {
        View {
            state: self.state(),
            head: self.plan.head(),
            parts: (0..self.parts.len()).map(|part| self.title(part)).collect(),
            clock: self.clock(now),
            open: self.current().and_then(|part| self.open_part(part)),
            pauses: self.pauses(),
        }
    }

    /// The pauses so far.
    pub fn pauses(&self) -> Vec<Pause> {
        let mut pauses: Vec<Pause> = Vec::new();
        for entry in &self.entries {
            match (&entry.event, pauses.last_mut()) {
                (Event::Paused { away }, _) => pauses.push(Pause { at: entry.at, ms: None, away: *away }),
                (Event::Resumed, Some(pause)) => pause.ms = Some(entry.at - pause.at),
                _ => {}
            }
        }
        pauses
    }

    /// The rule that is different in a part with code.
    pub fn rule(&self, part: usize) -> Option<String> {
        let Ask::Code { exercise, variation: Some(variation) } = &self.plan.parts[part].ask else { return None };
        crate::session::plan::rule(exercise, variation)
    }

    fn taken(&self, part: usize) -> Vec<String> {
        self.hints(part).iter().take(self.parts[part].hints).cloned().collect()
    }

    fn runs(&self, part: usize) -> Vec<RunShown> {
        self.parts[part].runs.iter().map(|run| RunShown { passed: run.passed, said: run.said.clone() }).collect()
    }

    fn open_part(&self, part: usize) -> Option<Open> {
        let progress = &self.parts[part];
        Some(match &self.plan.parts[part].ask {
            Ask::Warmup(names) => {
                let at = self.open(part)?;
                Open::Warmup { number: at + 1, of: names.len(), question: self.question(part, at)?.shown() }
            }
            Ask::Code { exercise, .. } => Open::Code {
                exercise: exercise.clone(),
                rule: self.rule(part),
                runs: self.runs(part),
                hints: self.taken(part),
            },
            Ask::Incident(_) => {
                let incident = self.incident(part)?;
                Open::Incident {
                    title: incident.title.clone(),
                    prompt: incident.prompt.clone(),
                    checks: progress.checks.iter().map(|check| check.healed).collect(),
                    hints: self.taken(part),
                    question: self.open(part).and_then(|at| Some(self.question(part, at)?.shown())),
                }
            }
            Ask::Design(_) => {
                let design = self.design(part)?;
                let told: Vec<usize> = progress.asked.iter().flat_map(|(_, facts)| facts.iter().copied()).collect();
                let unasked = progress.released.iter().filter(|fact| !told.contains(fact));
                Open::Design {
                    title: design.title.clone(),
                    prompt: design.prompt.clone(),
                    asked: progress
                        .asked
                        .iter()
                        .map(|(text, facts)| Asked {
                            text: text.clone(),
                            answers: facts.iter().map(|fact| design.facts[*fact].answer.clone()).collect(),
                        })
                        .collect(),
                    told: unasked.map(|fact| design.facts[*fact].answer.clone()).collect(),
                    probes: progress.probed.iter().map(|probe| design.probes[*probe].ask.clone()).collect(),
                    text: progress.text.clone(),
                }
            }
        })
    }

    /// What the interviewer sees.
    pub fn sheet(&self, now: i64) -> Sheet {
        let parts = (0..self.parts.len()).filter_map(|part| self.sheet_part(part, now)).collect();
        Sheet { view: self.view(now), parts, advice: self.advice(now), score: self.score() }
    }

    fn sheet_question(&self, part: usize, at: usize) -> Option<SheetQuestion> {
        let question = self.question(part, at)?;
        let given = self.parts[part].answers.get(&at);
        Some(SheetQuestion {
            shown: question.shown(),
            right: question.right(),
            answer: given.map(|(answer, _)| answer.clone()),
            points: given.map(|(_, points)| *points),
            why: question.why(given.map_or(&Answer::Skipped, |(answer, _)| answer)),
            read: question.read(),
        })
    }

    fn sheet_part(&self, part: usize, now: i64) -> Option<SheetPart> {
        let progress = &self.parts[part];
        Some(match &self.plan.parts[part].ask {
            Ask::Warmup(names) => SheetPart::Warmup {
                questions: (0..names.len()).filter_map(|at| self.sheet_question(part, at)).collect(),
            },
            Ask::Code { exercise, .. } => SheetPart::Code {
                exercise: exercise.clone(),
                rule: self.rule(part),
                hints: self.hints(part).to_vec(),
                taken: progress.hints,
                runs: self.runs(part),
            },
            Ask::Incident(_) => {
                let incident = self.incident(part)?;
                SheetPart::Incident {
                    title: incident.title.clone(),
                    prompt: incident.prompt.clone(),
                    debrief: incident.debrief.clone(),
                    routes: incident.routes.iter().map(|one| (one.name.clone(), one.kubectl.clone())).collect(),
                    hints: incident.hints.clone(),
                    taken: progress.hints,
                    checks: progress.checks.iter().map(|check| check.said.clone()).collect(),
                    question: self.sheet_question(part, 0)?,
                }
            }
            Ask::Design(_) => {
                let design = self.design(part)?;
                let unlocked = self.unlocked(part, now);
                SheetPart::Design {
                    title: design.title.clone(),
                    prompt: design.prompt.clone(),
                    facts: design
                        .facts
                        .iter()
                        .enumerate()
                        .map(|(at, fact)| SheetFact {
                            question: fact.question.clone(),
                            answer: fact.answer.clone(),
                            released: progress.released.contains(&at),
                        })
                        .collect(),
                    probes: design
                        .probes
                        .iter()
                        .enumerate()
                        .map(|(at, probe)| SheetProbe {
                            probe: probe.clone(),
                            unlocked: unlocked.contains(&at),
                            asked: progress.probed.contains(&at),
                        })
                        .collect(),
                    rubric: design
                        .rubric
                        .iter()
                        .map(|line| SheetLine {
                            id: line.id.clone(),
                            name: line.name.clone(),
                            dimension: line.dimension,
                            weight: line.weight,
                            marks: line.marks.clone(),
                            mark: progress.marks.get(&line.id).cloned(),
                        })
                        .collect(),
                    red_flags: design.red_flags.clone(),
                    model: design.model.clone(),
                    text: progress.text.clone(),
                }
            }
        })
    }

    /// What an interviewer does about the time.
    fn advice(&self, now: i64) -> Vec<String> {
        let Some(part) = self.current().filter(|_| self.state() == State::Running) else { return Vec::new() };
        let progress = &self.parts[part];
        let share = self.elapsed(part, now) * 100 / self.budget(part).max(1);
        let mut advice = Vec::new();
        let mut say = |when: bool, what: &str| advice.extend(when.then(|| what.to_string()));
        match &self.plan.parts[part].ask {
            Ask::Warmup(names) => {
                let behind = progress.answers.len() * 100 / names.len().max(1) + 25 < share as usize;
                say(behind, "Behind the clock: offer to skip a question. A skipped one counts as wrong.");
            }
            Ask::Code { .. } => {
                say(
                    share >= 40 && progress.runs.is_empty(),
                    "40 % are over and nothing was graded: suggest a first run.",
                );
                let stuck = progress.runs.len() >= 3 && progress.runs.iter().all(|run| !run.passed);
                say(
                    stuck,
                    "Three runs failed: ask what the scenario says in the candidate's own words, before any hint.",
                );
                say(share >= 90, "90 % are over: let them say what is missing, and go on.");
            }
            Ask::Incident(_) => {
                say(share >= 30 && progress.checks.is_empty(), "Ask what they have ruled out so far, and how.");
                let healed = progress.checks.last().is_some_and(|check| check.healed);
                say(healed, "Healed: ask for the root cause, and for what would prevent it.");
                say(share >= 80 && !healed, "80 % are over: any fix counts. A rollback is a fix.");
            }
            Ask::Design(_) => {
                say(share < 15 && progress.asked.is_empty(), "Let them clarify first. Tell facts only when asked.");
                say(share >= 20 && progress.asked.is_empty(), "No question was asked yet: that is a mark for scope.");
                let waiting = self.unlocked(part, now).iter().any(|probe| !progress.probed.contains(probe));
                say(waiting, "A probe has unlocked: ask it at the next pause for breath.");
                say(share >= 90, "90 % are over: ask for the summary and the biggest risk.");
            }
        }
        advice
    }

    /// Who made a mark, in a word.
    pub fn by(role: Role) -> &'static str {
        match role {
            Role::Candidate => "self",
            Role::Interviewer => "interviewer",
        }
    }
}
