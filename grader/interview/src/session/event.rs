//! What happens in a session: everything that is known of it follows from these.

use crate::session::plan::Plan;
use serde::{Deserialize, Serialize};

/// An event and its time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Milliseconds since the beginning of 1970.
    pub at: i64,
    /// What happened.
    pub event: Event,
}

/// What happened. Parts, questions, facts and probes are numbered from 0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Event {
    /// The session began.
    Began {
        /// What it asks.
        plan: Plan,
    },
    /// A part began.
    Started {
        /// Which.
        part: usize,
    },
    /// A warm-up question, or that for the root cause of an incident, was answered.
    Answered {
        /// In which part.
        part: usize,
        /// Which question of it.
        question: usize,
        /// What was answered.
        answer: Answer,
        /// From 0 to 1.
        points: f64,
    },
    /// A hint was taken.
    Hinted {
        /// In which part.
        part: usize,
    },
    /// The candidate asked for something; what it was about is told by a [`Event::Released`].
    Asked {
        /// In which part.
        part: usize,
        /// The words.
        text: String,
    },
    /// A fact was told.
    Released {
        /// In which part.
        part: usize,
        /// Which.
        fact: usize,
    },
    /// A probe was asked.
    Probed {
        /// In which part.
        part: usize,
        /// Which.
        probe: usize,
    },
    /// The answer in prose is this now.
    Wrote {
        /// In which part.
        part: usize,
        /// All of it.
        text: String,
    },
    /// The candidate's module was graded.
    Ran {
        /// In which part.
        part: usize,
        /// What came of it.
        run: Run,
    },
    /// The cluster was looked at.
    Checked {
        /// In which part.
        part: usize,
        /// How it stands.
        check: Check,
    },
    /// A part ended.
    Ended {
        /// Which.
        part: usize,
        /// Whether its time was up.
        time_up: bool,
    },
    /// The clock was stopped.
    Paused {
        /// Whether nobody asked for it: the machine slept, or the program was gone.
        away: bool,
    },
    /// The clock goes on.
    Resumed,
    /// A line of a rubric was marked.
    Marked {
        /// In which part.
        part: usize,
        /// The line's id.
        line: String,
        /// How.
        mark: Mark,
    },
    /// Nothing more is done or marked.
    Finished,
}

/// An answer to a question.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// The text of each option that was chosen.
    Chosen(Vec<String>),
    /// A number.
    Number(f64),
    /// The things, first to last.
    Order(Vec<String>),
    /// None.
    Skipped,
}

/// What the grader said of a module.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Whether all was right.
    pub passed: bool,
    /// How many scenarios were answered as expected before the first that was not.
    pub right: u64,
    /// Of how many.
    pub of: u64,
    /// What the grader printed.
    pub said: String,
}

/// How a broken cluster stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// Whether it is healed, and nothing else was broken for that.
    pub healed: bool,
    /// One line for each condition. The candidate sees them after the end.
    pub said: Vec<String>,
}

/// Who did something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Who answers.
    Candidate,
    /// Who asks.
    Interviewer,
}

/// A mark and what it rests on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mark {
    /// 0 to 4.
    pub mark: u8,
    /// A line of the answer; of a spoken one, what the interviewer heard.
    pub evidence: String,
    /// Whose mark it is.
    pub by: Role,
}
