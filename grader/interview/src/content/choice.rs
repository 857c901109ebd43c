//! Options to choose from: what warm-up questions and the root cause of an incident have in common.

use serde::{Deserialize, Serialize};

/// One option.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Choice {
    /// What it says.
    pub text: String,
    /// Whether it is right.
    #[serde(default)]
    pub right: bool,
    /// Why it is wrong, or why it is right.
    pub why: String,
}
