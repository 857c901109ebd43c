//! What is left of a session: one document ([`Report`]), shown as JSON, as Markdown and as a page.
//!
//! It is made from the session's events alone. Its JSON is held to [`SCHEMA`], whose number goes up when a reader of the last
//! one would misread it. The trend is over [`Attempt`]s, one for each session that was held.

mod html;
mod markdown;
mod svg;
#[cfg(test)]
mod tests;

pub use html::html;
pub(crate) use markdown::fenced;

use crate::content::Level;
use crate::content::design::Dimension;
use crate::session::event::{Answer, Event, Role};
use crate::session::plan::Ask;
use crate::session::score::Score;
use crate::session::{Session, State};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The version of the document.
pub const SCHEMA_VERSION: u32 = 1;
/// What the document looks like, as a JSON Schema.
pub const SCHEMA: &str = include_str!("schema-1.json");

/// A session that was held.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The version of the kit.
    pub kit: String,
    /// The session's name in the history.
    pub id: String,
    /// When it began, as RFC 3339 has it.
    pub began: String,
    /// When it was finished; nothing if it was not.
    pub finished: Option<String>,
    /// From its beginning to the last thing that happened, in milliseconds.
    pub took_ms: i64,
    /// For whom it was.
    pub level: Level,
    /// All parts together.
    pub minutes: u32,
    /// What it was drawn from.
    pub seed: u64,
    /// What it was restricted to.
    pub topics: Vec<String>,
    /// Whether there was an interviewer.
    pub interviewer: bool,
    /// The parts in order.
    pub parts: Vec<PartReport>,
    /// When the clock stood still.
    pub pauses: Vec<PauseReport>,
    /// What happened, in order; what was written is not in it.
    pub timeline: Vec<Moment>,
    /// What it was worth.
    pub score: Score,
    /// Where to read on.
    pub study: Vec<Study>,
}

/// One part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PartReport {
    /// A few words.
    pub title: String,
    /// The time that it had.
    pub minutes: u32,
    /// When it began, in milliseconds from the beginning of the session.
    pub began_ms: Option<i64>,
    /// When it ended.
    pub ended_ms: Option<i64>,
    /// For how long its clock ran.
    pub used_ms: i64,
    /// Whether its time was up.
    pub time_up: bool,
    /// The hints that were taken.
    pub hints: Vec<String>,
    /// From 0 to 1, hints taken off; nothing if people judge it.
    pub points: Option<f64>,
    /// What makes them up, in words.
    pub said: Option<String>,
    /// What was asked and answered.
    #[serde(flatten)]
    pub content: PartContent,
}

/// What was asked in a part, and what was answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum PartContent {
    /// Warm-up questions.
    Warmup {
        /// Each of them.
        questions: Vec<QuestionReport>,
    },
    /// A module.
    Code {
        /// `chapter/exercise`.
        exercise: String,
        /// The rule that was different.
        rule: Option<String>,
        /// What the grader said.
        runs: Vec<RunReport>,
    },
    /// An incident.
    Incident {
        /// Its name in the content.
        name: String,
        /// What the candidate read, in Markdown.
        prompt: String,
        /// Each look at it.
        checks: Vec<CheckReport>,
        /// The question for the root cause.
        question: Option<QuestionReport>,
        /// What happened, in Markdown.
        debrief: String,
        /// The page beside the report that replays what happened in the cluster.
        #[serde(default)]
        replay: Option<String>,
        /// Ways to heal it.
        routes: Vec<RouteReport>,
    },
    /// A design question.
    Design {
        /// Its name in the content.
        name: String,
        /// What the candidate read, in Markdown.
        prompt: String,
        /// What was asked and told.
        asked: Vec<AskedReport>,
        /// Facts that nobody asked for.
        untold: Vec<FactReport>,
        /// What was asked on top, and what was not.
        probes: Vec<ProbeReport>,
        /// The answer.
        text: String,
        /// The marks.
        rubric: Vec<LineReport>,
        /// A very good answer, in Markdown.
        model: String,
    },
}

/// A question and its answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QuestionReport {
    /// Its name in the content.
    pub name: String,
    /// The question.
    pub ask: String,
    /// What the engine showed before it.
    pub transcript: Vec<String>,
    /// What was answered, in a line; nothing if nothing was.
    pub answer: Option<String>,
    /// What is right.
    pub right: String,
    /// From 0 to 1.
    pub points: f64,
    /// What is wrong with the answer, and why the right one is right.
    pub why: Vec<String>,
    /// Where to read.
    pub read: Option<String>,
}

/// The grader was asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunReport {
    /// When, in milliseconds from the beginning of the session.
    pub at_ms: i64,
    /// Whether all was right.
    pub passed: bool,
    /// Scenarios before the first that was not as expected.
    pub right: u64,
    /// Of how many.
    pub of: u64,
    /// What it printed.
    pub said: String,
}

/// The cluster was looked at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckReport {
    /// When, in milliseconds from the beginning of the session.
    pub at_ms: i64,
    /// Whether it was healed.
    pub healed: bool,
    /// One line for each condition.
    pub said: Vec<String>,
}

/// A way to heal a cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RouteReport {
    /// What it does.
    pub name: String,
    /// The commands.
    pub commands: Vec<String>,
}

/// Something was asked, or a fact was told unasked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AskedReport {
    /// When, in milliseconds from the beginning of the session.
    pub at_ms: i64,
    /// The words; empty if the interviewer told it unasked.
    pub text: String,
    /// What was told.
    pub answers: Vec<String>,
}

/// A fact that could have been had.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FactReport {
    /// What is asked for.
    pub question: String,
    /// What is told.
    pub answer: String,
}

/// A question on top.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProbeReport {
    /// When it was asked, in milliseconds from the beginning of the session; nothing if it was not.
    pub at_ms: Option<i64>,
    /// The question.
    pub ask: String,
    /// What a good answer has.
    pub good: String,
}

/// A line of the rubric and its mark.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LineReport {
    /// Its id.
    pub id: String,
    /// What is judged.
    pub name: String,
    /// The dimension.
    pub dimension: Dimension,
    /// Its share of 100.
    pub weight: u8,
    /// What an answer looks like that gets 0 to 4.
    pub marks: [String; 5],
    /// 0 to 4; nothing if it was not marked.
    pub mark: Option<u8>,
    /// What the mark rests on.
    pub evidence: Option<String>,
    /// Whose mark it is.
    pub by: Option<Role>,
}

/// The clock stood still.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PauseReport {
    /// Since when, in milliseconds from the beginning of the session.
    pub at_ms: i64,
    /// For how long; nothing if it still does.
    pub ms: Option<i64>,
    /// Whether nobody asked for it: the machine slept, or the program was gone.
    pub away: bool,
}

/// Something happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Moment {
    /// When, in milliseconds from the beginning of the session.
    pub at_ms: i64,
    /// In which part, from 0; nothing after the last.
    pub part: Option<usize>,
    /// Of which kind.
    pub kind: MomentKind,
    /// In words.
    pub what: String,
}

/// What a moment is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MomentKind {
    /// A part began or ended.
    Part,
    /// A question was answered.
    Answer,
    /// A hint was taken.
    Hint,
    /// The candidate asked for something, or a fact was told.
    Fact,
    /// A probe was asked.
    Probe,
    /// The grader was asked.
    Run,
    /// The cluster was looked at.
    Check,
    /// The clock stopped or went on.
    Pause,
    /// A line was marked.
    Mark,
    /// The session was finished.
    End,
}

/// A page to read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Study {
    /// `book/src/scheduler/taints.md`.
    pub page: String,
    /// The heading there, as an anchor.
    pub heading: Option<String>,
    /// What went wrong.
    pub why: Vec<String>,
}

/// What a trend needs to know of a session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// The session's name in the history.
    pub id: String,
    /// When it began, as RFC 3339 has it.
    pub began: String,
    /// For whom it was.
    pub level: Level,
    /// How long it was to take.
    pub minutes: u32,
    /// Of 100; nothing if nothing was to be counted.
    pub graded: Option<f64>,
    /// Of 100; nothing if nothing was to be judged, or marks are missing.
    pub judged: Option<f64>,
    /// The mean mark in each dimension.
    pub dimensions: BTreeMap<Dimension, f64>,
    /// Whether the bar was reached.
    pub reached: Option<bool>,
}

impl From<&Report> for Attempt {
    fn from(report: &Report) -> Attempt {
        let Score { graded, judged, reached } = &report.score;
        let judged = judged.as_ref().filter(|judged| judged.missing == 0);
        Attempt {
            id: report.id.clone(),
            began: report.began.clone(),
            level: report.level,
            minutes: report.minutes,
            graded: Some(graded.percent).filter(|_| !graded.parts.is_empty()),
            judged: judged.map(|judged| judged.percent),
            dimensions: judged.map_or_else(BTreeMap::new, |judged| judged.dimensions.clone()),
            reached: *reached,
        }
    }
}

/// The heading of a dimension.
pub fn title(dimension: Dimension) -> &'static str {
    match dimension {
        Dimension::Scope => "Scope",
        Dimension::Mechanism => "Mechanism",
        Dimension::Failure => "Failure",
        Dimension::Operations => "Operations",
        Dimension::Communication => "Communication",
    }
}

/// An answer as a line.
pub fn answer(answer: &Answer) -> String {
    match answer {
        Answer::Chosen(chosen) if chosen.is_empty() => "none of them".into(),
        Answer::Chosen(chosen) => chosen.join(" · "),
        Answer::Number(number) => number.to_string(),
        Answer::Order(order) => order.join(" → "),
        Answer::Skipped => "skipped".into(),
    }
}

impl Report {
    /// What a session was, as it stands.
    pub fn of(session: &Session, id: &str) -> Report {
        let began = session.entries.first().map_or(0, |first| first.at);
        let last = session.entries.last().map_or(began, |last| last.at);
        let time = |at: i64| jiff::Timestamp::from_millisecond(at).unwrap_or_default().to_string();
        let score = session.score();
        let parts: Vec<PartReport> =
            (0..session.parts.len()).map(|part| part_of(session, part, began, last, &score)).collect();
        let pauses = session.pauses();
        Report {
            schema_version: SCHEMA_VERSION,
            kit: env!("CARGO_PKG_VERSION").into(),
            id: id.into(),
            began: time(began),
            finished: Some(time(last)).filter(|_| session.state() == State::Finished),
            took_ms: last - began,
            level: session.plan.level,
            minutes: session.plan.parts.iter().map(|part| part.minutes).sum(),
            seed: session.plan.seed,
            topics: session.plan.topics.clone(),
            interviewer: session.plan.interviewer,
            study: study(session, &parts),
            parts,
            pauses: pauses
                .iter()
                .map(|one| PauseReport { at_ms: one.at - began, ms: one.ms, away: one.away })
                .collect(),
            timeline: timeline(session, began),
            score,
        }
    }
}

fn part_of(session: &Session, part: usize, began: i64, last: i64, score: &Score) -> PartReport {
    let progress = &session.parts[part];
    let graded = score.graded.parts.iter().find(|one| one.part == part);
    let ended = |event: &Event| matches!(event, Event::Ended { part: of, time_up: true } if *of == part);
    PartReport {
        title: session.title(part).title,
        minutes: session.plan.parts[part].minutes,
        began_ms: progress.started.map(|at| at - began),
        ended_ms: progress.ended.map(|at| at - began),
        used_ms: session.elapsed(part, last),
        time_up: session.entries.iter().any(|entry| ended(&entry.event)),
        hints: session.hints(part).iter().take(progress.hints).cloned().collect(),
        points: graded.map(|one| one.points),
        said: graded.map(|one| one.said.clone()),
        content: content_of(session, part, began),
    }
}

fn content_of(session: &Session, part: usize, began: i64) -> PartContent {
    let question = |at| question_of(session, part, at);
    match &session.plan.parts[part].ask {
        Ask::Warmup(names) => PartContent::Warmup { questions: (0..names.len()).filter_map(question).collect() },
        Ask::Code { exercise, .. } => PartContent::Code {
            exercise: exercise.clone(),
            rule: session.rule(part),
            runs: of_part(session, part, began, |at_ms, event| match event {
                Event::Ran { run, .. } => {
                    Some(RunReport { at_ms, passed: run.passed, right: run.right, of: run.of, said: run.said.clone() })
                }
                _ => None,
            }),
        },
        Ask::Incident(name) => {
            let incident = session.incident(part);
            let routes = incident.map_or(&[][..], |one| &one.routes).iter();
            PartContent::Incident {
                name: name.clone(),
                prompt: incident.map_or_else(String::new, |one| one.prompt.clone()),
                checks: of_part(session, part, began, |at_ms, event| match event {
                    Event::Checked { check, .. } => {
                        Some(CheckReport { at_ms, healed: check.healed, said: check.said.clone() })
                    }
                    _ => None,
                }),
                question: question(0),
                debrief: incident.map_or_else(String::new, |one| one.debrief.clone()),
                replay: None,
                routes: routes
                    .map(|one| RouteReport { name: one.name.clone(), commands: one.kubectl.clone() })
                    .collect(),
            }
        }
        Ask::Design(name) => design_of(session, part, name, began),
    }
}

fn design_of(session: &Session, part: usize, name: &str, began: i64) -> PartContent {
    let progress = &session.parts[part];
    let design = session.design(part);
    let facts = design.map_or(&[][..], |design| &design.facts);
    let mut asked: Vec<AskedReport> = Vec::new();
    let mut asked_at = BTreeMap::new();
    for entry in &session.entries {
        let at_ms = entry.at - began;
        match &entry.event {
            Event::Asked { part: of, text } if *of == part => {
                asked.push(AskedReport { at_ms, text: text.clone(), answers: Vec::new() });
            }
            Event::Released { part: of, fact } if *of == part => {
                let told = facts.get(*fact).map_or_else(String::new, |fact| fact.answer.clone());
                match asked.last_mut() {
                    Some(last) => last.answers.push(told),
                    None => asked.push(AskedReport { at_ms, text: String::new(), answers: vec![told] }),
                }
            }
            Event::Probed { part: of, probe } if *of == part => _ = asked_at.entry(*probe).or_insert(at_ms),
            _ => {}
        }
    }
    let untold = facts.iter().enumerate().filter(|(at, _)| !progress.released.contains(at));
    let probes = design.map_or(&[][..], |design| &design.probes).iter().enumerate();
    let lines = design.map_or(&[][..], |design| &design.rubric).iter();
    PartContent::Design {
        name: name.into(),
        prompt: design.map_or_else(String::new, |design| design.prompt.clone()),
        asked,
        untold: untold
            .map(|(_, fact)| FactReport { question: fact.question.clone(), answer: fact.answer.clone() })
            .collect(),
        probes: probes
            .map(|(at, probe)| ProbeReport {
                at_ms: asked_at.get(&at).copied(),
                ask: probe.ask.clone(),
                good: probe.good.clone(),
            })
            .collect(),
        text: progress.text.clone(),
        rubric: lines
            .map(|line| {
                let mark = progress.marks.get(&line.id);
                LineReport {
                    id: line.id.clone(),
                    name: line.name.clone(),
                    dimension: line.dimension,
                    weight: line.weight,
                    marks: line.marks.clone(),
                    mark: mark.map(|mark| mark.mark),
                    evidence: mark.map(|mark| mark.evidence.clone()),
                    by: mark.map(|mark| mark.by),
                }
            })
            .collect(),
        model: design.map_or_else(String::new, |design| design.model.clone()),
    }
}

fn question_of(session: &Session, part: usize, at: usize) -> Option<QuestionReport> {
    let question = session.question(part, at)?;
    let given = session.parts[part].answers.get(&at);
    let shown = question.shown();
    let text = given.map(|(given, _)| match given {
        Answer::Number(number) => format!("{number} {}", shown.unit).trim().to_string(),
        given => answer(given),
    });
    Some(QuestionReport {
        name: question.name().into(),
        ask: shown.ask,
        transcript: shown.transcript,
        answer: text,
        right: question.right(),
        points: given.map_or(0.0, |(_, points)| *points),
        why: question.why(given.map_or(&Answer::Skipped, |(answer, _)| answer)),
        read: question.read(),
    })
}

fn of_part<T>(session: &Session, part: usize, began: i64, read: impl Fn(i64, &Event) -> Option<T>) -> Vec<T> {
    let here = |event: &Event| match event {
        Event::Ran { part: of, .. } | Event::Checked { part: of, .. } => *of == part,
        _ => false,
    };
    let entries = session.entries.iter().filter(|entry| here(&entry.event));
    entries.filter_map(|entry| read(entry.at - began, &entry.event)).collect()
}

/// The beginning of a text, as a line.
fn short(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(100) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

fn timeline(session: &Session, began: i64) -> Vec<Moment> {
    use MomentKind as Kind;
    let mut open = None;
    let mut moments = Vec::new();
    for entry in &session.entries {
        let here = |part: &usize| Some(*part);
        let (part, kind, what) = match &entry.event {
            Event::Began { .. } | Event::Wrote { .. } => continue,
            Event::Started { part } => {
                open = Some(*part);
                let title = session.title(*part);
                (open, Kind::Part, format!("began: {}, {}", title.kind, title.title))
            }
            Event::Ended { part, time_up } => {
                open = None;
                let why = if *time_up { "ended: its time was up" } else { "ended before its time" };
                (here(part), Kind::Part, why.into())
            }
            Event::Answered { part, question, answer: given, points } => {
                let right = match points {
                    1.0 => "right",
                    0.0 => "wrong",
                    _ => "partly right",
                };
                (here(part), Kind::Answer, format!("question {}: {right} ({})", question + 1, short(&answer(given))))
            }
            Event::Hinted { part } => (here(part), Kind::Hint, "a hint was taken".into()),
            Event::Asked { part, text } => (here(part), Kind::Fact, format!("asked: {}", short(text))),
            Event::Released { part, fact } => {
                let told = session.design(*part).and_then(|design| design.facts.get(*fact));
                let told = told.map_or_else(String::new, |fact| short(&fact.answer));
                (here(part), Kind::Fact, format!("told: {told}"))
            }
            Event::Probed { part, probe } => {
                let ask = session.design(*part).and_then(|design| design.probes.get(*probe));
                let ask = ask.map_or_else(String::new, |probe| short(&probe.ask));
                (here(part), Kind::Probe, format!("probe: {ask}"))
            }
            Event::Ran { part, run } => {
                let said = match run.passed {
                    true => format!("graded: all {} scenarios", run.of),
                    false => format!("graded: wrong after {} of {}", run.right, run.of),
                };
                (here(part), Kind::Run, said)
            }
            Event::Checked { part, check } => {
                let said = if check.healed { "checked: healed" } else { "checked: not healed" };
                (here(part), Kind::Check, said.into())
            }
            Event::Paused { away } => {
                let why = if *away { "the clock stopped: nobody was there" } else { "the clock was stopped" };
                (open, Kind::Pause, why.into())
            }
            Event::Resumed => (open, Kind::Pause, "the clock went on".into()),
            Event::Marked { part, line, mark } => {
                (here(part), Kind::Mark, format!("{line}: {} ({})", mark.mark, Session::by(mark.by)))
            }
            Event::Finished => (None, Kind::End, "finished".into()),
        };
        moments.push(Moment { at_ms: entry.at - began, part, kind, what });
    }
    moments
}

/// A mark from here on needs no reading.
const GOOD: u8 = 3;

fn study(session: &Session, parts: &[PartReport]) -> Vec<Study> {
    let mut all: Vec<Study> = Vec::new();
    let mut add = |read: &str, why: String| {
        let (page, heading) = match read.split_once('#') {
            Some((page, heading)) => (page.to_string(), Some(heading.to_string())),
            None => (read.to_string(), None),
        };
        match all.iter_mut().find(|one| one.page == page && one.heading == heading) {
            Some(one) => one.why.push(why),
            None => all.push(Study { page, heading, why: vec![why] }),
        }
    };
    for (at, part) in parts.iter().enumerate().filter(|(_, part)| part.began_ms.is_some()) {
        match &part.content {
            PartContent::Warmup { questions } => {
                for one in questions.iter().filter(|one| one.points < 1.0) {
                    if let Some(read) = &one.read {
                        add(read, one.ask.clone());
                    }
                }
            }
            PartContent::Code { exercise, .. } => {
                if let Some(said) = part.said.as_ref().filter(|_| part.points < Some(1.0)) {
                    let hints = if part.hints.is_empty() { "" } else { ", with hints" };
                    add(&format!("book/src/{exercise}.md"), format!("{exercise}: {said}{hints}"));
                }
            }
            PartContent::Incident { .. } => {
                let chapter = session.incident(at).map(|one| &one.chapter);
                if let (Some(chapter), Some(said)) = (chapter, part.said.as_ref().filter(|_| part.points < Some(1.0))) {
                    let hints = if part.hints.is_empty() { "" } else { ", with hints" };
                    add(&format!("book/src/{chapter}.md"), format!("{}: {said}{hints}", part.title));
                }
            }
            PartContent::Design { rubric, .. } => {
                let Some(chapter) = session.design(at).map(|one| &one.chapter) else { continue };
                for line in rubric {
                    let Some(mark) = line.mark.filter(|mark| *mark < GOOD) else { continue };
                    let next = &line.marks[usize::from(mark) + 1];
                    add(&format!("book/src/{chapter}.md"), format!("{}, {mark} of 4; one more is: {next}", line.name));
                }
            }
        }
    }
    all
}
