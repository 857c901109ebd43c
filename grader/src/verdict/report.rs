//! The result document: what a run found, whatever form it is shown in.
//!
//! `grader schema` publishes its JSON Schema, read from this source. Every other form is made from it, so that
//! results which are read back from a file, as by `merge`, show exactly as they would have at once.

use crate::commands::partition::Partition;
use crate::module::process::Kind;
use crate::verdict::record::TurningPoint;
use crate::workspace::{Entry, Stage};
use serde::{Deserialize, Serialize};

/// The version of Kubernetes that everything is held against.
pub const KUBERNETES: &str = "1.33";
/// The version of the result document's form: it changes when a field changes its meaning or goes away.
pub const SCHEMA_VERSION: u32 = 1;

/// What became of an exercise or a scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Every answer is the one that Kubernetes gives.
    Passed,
    /// An answer differs.
    Failed,
    /// The module ran into `todo!()`.
    NotStarted,
    /// Not played: what it builds on did not pass, or the module hung too often.
    Skipped,
    /// There was no answer; `kind` says why.
    Error,
    /// A mistake in the kit, never in the module.
    GraderError,
}

impl std::fmt::Display for Status {
    /// In words.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Status::Passed => "passed",
            Status::Failed => "failed",
            Status::NotStarted => "not started",
            Status::Skipped => "skipped",
            Status::Error => "error",
            Status::GraderError => "error of the grader",
        })
    }
}

/// The result document.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    /// The version of this form.
    pub schema_version: u32,
    /// The version of Kubernetes that modules were held against.
    pub kubernetes: String,
    /// Which part of the exercises this is; none if it is all that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<Partition>,
    /// `passed` if all required exercises passed, `grader_error` if the kit is at fault anywhere, else `failed`.
    pub status: Status,
    /// In learning order.
    pub exercises: Vec<ExerciseResult>,
}

impl Report {
    pub fn new(exercises: Vec<ExerciseResult>, partition: Option<Partition>) -> Self {
        let status = if exercises.iter().any(|e| e.status == Status::GraderError) {
            Status::GraderError
        } else if exercises.iter().all(|e| e.status == Status::Passed || !e.required) {
            Status::Passed
        } else {
            Status::Failed
        };
        Report { schema_version: SCHEMA_VERSION, kubernetes: KUBERNETES.into(), partition, status, exercises }
    }

    pub fn passed(&self) -> usize {
        self.exercises.iter().filter(|e| e.status == Status::Passed).count()
    }

    /// How many exercises passed, in one line: `3 of 4 exercises passed`.
    pub fn headline(&self) -> String {
        let all = format!("{} of {} exercises passed", self.passed(), self.exercises.len());
        let required: Vec<_> = self.exercises.iter().filter(|e| e.required).collect();
        if required.len() == self.exercises.len() {
            return all;
        }
        if required.is_empty() {
            return format!("{all}, none is required");
        }
        let passed = required.iter().filter(|e| e.status == Status::Passed).count();
        format!("{all}, {passed} of the {} required", required.len())
    }
}

/// What became of one exercise.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ExerciseResult {
    /// `chapter/exercise`.
    pub name: String,
    /// As in the book.
    pub title: String,
    /// The changed rule that it was graded by; none if it was graded by the rules of Kubernetes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variation: Option<Varied>,
    /// Whether the run fails if it does not pass.
    #[serde(default = "yes")]
    pub required: bool,
    /// The worst of its scenarios.
    pub status: Status,
    /// Of an `error`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<Kind>,
    /// What there is to say of the exercise as a whole, such as the compiler's errors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The compiler's warnings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warnings: Option<String>,
    /// The module's file, relative to the kit's folder if it lies in there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The line of `file` to look at: where it failed if that is known, else where its `impl` begins. Counts from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// Real time from the first question to the last answer, in milliseconds.
    pub duration_ms: u64,
    /// How far the steps are in which a long exercise can be written; none of a short one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<Progress>,
    /// By stages, and the simplest first.
    pub scenarios: Vec<ScenarioResult>,
    /// Scenarios that nobody wrote down; none if the exercise has none, or a scenario did not pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fresh: Option<Fresh>,
}

/// A variation of an exercise, of which only fresh scenarios are played.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Varied {
    /// As `run --variation` takes it: `kind:param=value,…`.
    pub name: String,
    /// What is different, in one paragraph.
    pub rule: String,
}

/// How far one stage of an exercise is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Progress {
    /// As in the catalogue.
    pub name: String,
    /// How many of its scenarios passed.
    pub passed: usize,
    /// How many it has.
    pub of: usize,
}

/// What became of fresh scenarios, which are drawn from a seed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Fresh {
    /// Where they were drawn from.
    pub seed: String,
    /// How many were played, up to the first that did not pass.
    pub played: u64,
    /// How many there were to play.
    pub of: u64,
    /// The smallest that did not pass, or that all of them did.
    pub scenario: ScenarioResult,
}

impl Fresh {
    /// In a few words: `150 fresh (seed 1.33-1)`.
    pub fn says(&self) -> String {
        let Fresh { seed, played, of, scenario } = self;
        match scenario.status {
            Status::Passed => format!("{played} fresh (seed {seed})"),
            _ => format!("fresh: failed after {played} of {of} (seed {seed})"),
        }
    }
}

fn yes() -> bool {
    true
}

/// What became of one scenario.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ScenarioResult {
    /// The file's name.
    pub name: String,
    /// Its own verdict.
    pub status: Status,
    /// Of an `error`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<Kind>,
    /// The rule of Kubernetes that it is about, in one sentence.
    pub why: String,
    /// Where the book explains it: `book/src/….md#anchor`.
    pub read: String,
    /// What happened, where there was no answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Where the module parts from Kubernetes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub difference: Option<Difference>,
    /// Whether a whole cluster was played.
    pub timeline: bool,
    /// Whether there can be a picture of it: it is no group of members or workers. Only who has the module can make one.
    #[serde(skip)]
    pub cluster: bool,
}

/// The first question that was not answered as expected.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Difference {
    /// Counts from 1; 0 is the making of the module.
    pub question: usize,
    /// How many questions the scenario has.
    pub of: usize,
    /// What the moment stands for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub say: Option<String>,
    /// Of fresh scenarios: the questions before, each with its answer, on one line.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<String>,
    /// The question, as lines.
    pub asked: Vec<String>,
    /// The golden answer, as lines.
    pub expected: Vec<String>,
    /// The module's answer, as lines; none if there was no answer.
    pub yours: Option<Vec<String>>,
    /// What the module printed during this question.
    pub printed: String,
    /// In a timeline: the first question to which the reference has another answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turning: Option<TurningPoint>,
}

impl ExerciseResult {
    pub fn of(entry: &Entry, status: Status, kind: Option<Kind>, message: Option<String>) -> Self {
        ExerciseResult {
            name: entry.name.clone(),
            title: entry.title.clone(),
            variation: None,
            required: true,
            status,
            kind,
            message,
            warnings: None,
            file: None,
            line: None,
            duration_ms: 0,
            stages: Vec::new(),
            scenarios: Vec::new(),
            fresh: None,
        }
    }

    /// All scenarios, and fresh ones as the last.
    pub fn results(&self) -> impl Iterator<Item = &ScenarioResult> {
        self.scenarios.iter().chain(self.fresh.as_ref().map(|fresh| &fresh.scenario))
    }

    /// The scenario that was played last.
    pub fn last(&mut self) -> Option<&mut ScenarioResult> {
        self.fresh.as_mut().map(|fresh| &mut fresh.scenario).or(self.scenarios.last_mut())
    }

    /// The verdict over all scenarios, and over those of each stage.
    pub fn conclude(&mut self, entry: &Entry) {
        let progress = |(place, stage): (usize, &Stage)| {
            let heading = |result: &ScenarioResult| entry.stage(result.read.rsplit('#').next().unwrap_or_default());
            let of = self.scenarios.iter().filter(|result| heading(result) == place);
            let passed = of.clone().filter(|result| result.status == Status::Passed).count();
            Progress { name: stage.name.clone(), passed, of: of.count() }
        };
        // Fresh scenarios belong to no stage.
        let stages = entry.stages.iter().filter(|_| !self.scenarios.is_empty());
        self.stages = stages.enumerate().map(progress).collect();
        let has = |status| self.results().find(|s| s.status == status);
        let all = |status| self.results().all(|s| s.status == status);
        (self.status, self.kind) = if has(Status::GraderError).is_some() {
            (Status::GraderError, None)
        } else if let Some(broken) = has(Status::Error) {
            (Status::Error, broken.kind)
        } else if all(Status::Passed) {
            (Status::Passed, None)
        } else if all(Status::NotStarted) {
            (Status::NotStarted, None)
        } else {
            (Status::Failed, None)
        };
    }

    pub fn passed(&self) -> usize {
        self.scenarios.iter().filter(|s| s.status == Status::Passed).count()
    }

    /// What was graded: the exercise, and its variation if it was one.
    pub fn full_name(&self) -> String {
        match &self.variation {
            Some(variation) => format!("{} · {}", self.name, variation.name),
            None => self.name.clone(),
        }
    }

    /// How many scenarios passed, and fresh ones: `3 of 20, 90 fresh (seed 1.33-1)`, or nothing if none was played.
    pub fn count(&self) -> String {
        let own = (!self.scenarios.is_empty()).then(|| format!("{} of {}", self.passed(), self.scenarios.len()));
        own.into_iter().chain(self.fresh.as_ref().map(Fresh::says)).collect::<Vec<_>>().join(", ")
    }

    /// The scenarios that did not pass.
    pub fn wrong(&self) -> impl Iterator<Item = &ScenarioResult> {
        self.results().filter(|s| s.status != Status::Passed)
    }

    /// The verdict in a few words: `failed`, `error: timeout`.
    pub fn verdict(&self) -> String {
        match self.kind {
            Some(kind) => format!("{}: {kind}", self.status),
            None => self.status.to_string(),
        }
    }
}
