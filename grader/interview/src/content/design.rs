//! Design questions: answered in prose, and judged by people on a rubric with anchored marks.
//!
//! A file `design/node-failure.yaml` holds one. The machine releases facts and probes, and never pretends to grade prose.

use crate::content::Level;
use serde::{Deserialize, Serialize};

/// One question.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Design {
    /// A few words.
    pub title: String,
    /// The page of the book that it belongs to, such as `failure/node_lifecycle`.
    pub chapter: String,
    /// For whom it is.
    pub level: Level,
    /// For how many minutes it is made; a shorter part asks for less depth.
    pub minutes: u32,
    /// Where its facts stand.
    pub source: Vec<String>,
    /// What the candidate reads.
    pub prompt: String,
    /// What is told when it is asked for.
    pub facts: Vec<Fact>,
    /// What is asked on top, in the order in which it unlocks.
    pub probes: Vec<Probe>,
    /// What is judged; the weights add up to 100.
    pub rubric: Vec<Line>,
    /// What a strong candidate never says, and why.
    pub red_flags: Vec<RedFlag>,
    /// A very good answer, in Markdown. Nobody sees it before the end.
    pub model: String,
}

/// A fact that is released when somebody asks for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fact {
    /// Words by which a question is recognized as one for this fact, in small letters; part of a word is enough.
    pub words: Vec<String>,
    /// How an interviewer finds it: the question in full.
    pub question: String,
    /// What is told.
    pub answer: String,
}

/// A question on top.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// After how much of the part's time it unlocks, in percent.
    pub at: u8,
    /// The question.
    pub ask: String,
    /// The lines of the rubric that it is about.
    pub lines: Vec<String>,
    /// What a good answer has.
    pub good: String,
}

/// What is judged by itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// Its name in the question: `detect`.
    pub id: String,
    /// What is judged.
    pub name: String,
    /// Which of the common dimensions it counts to.
    pub dimension: Dimension,
    /// Its share of 100.
    pub weight: u8,
    /// What an answer looks like that gets 0, 1, 2, 3 and 4.
    pub marks: [String; 5],
}

/// What interviews judge, whatever they ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dimension {
    /// Asks what matters first, and says what is left out.
    Scope,
    /// Knows how it works, with names, numbers and order.
    Mechanism,
    /// Says what breaks, and what each choice costs.
    Failure,
    /// Says how it is run: rolled out, watched, repaired.
    Operations,
    /// Can be followed.
    Communication,
}

/// Something that speaks against a candidate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RedFlag {
    /// What is said.
    pub says: String,
    /// What is wrong with it.
    pub why: String,
}
