//! Incidents, as far as a session needs them.

use crate::content::Level;
use crate::content::choice::Choice;
use serde::Deserialize;

/// A broken cluster.
#[derive(Debug, Clone, Deserialize)]
pub struct Incident {
    /// Its file's name.
    pub name: String,
    /// A few words.
    pub title: String,
    /// The page of the book that it belongs to.
    pub chapter: String,
    /// For whom it is.
    pub level: Level,
    /// What the candidate reads.
    pub prompt: String,
    /// The question for the root cause.
    pub question: Cause,
    /// What helps, and costs.
    pub hints: Vec<String>,
    /// What happened, in Markdown.
    pub debrief: String,
    /// Ways to heal it.
    pub routes: Vec<Route>,
}

/// The question for the root cause.
#[derive(Debug, Clone, Deserialize)]
pub struct Cause {
    /// The question.
    pub ask: String,
    /// The options.
    pub options: Vec<Choice>,
}

/// A way to heal it.
#[derive(Debug, Clone, Deserialize)]
pub struct Route {
    /// What it does.
    pub name: String,
    /// The commands.
    pub kubectl: Vec<String>,
}
