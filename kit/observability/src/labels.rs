//! Labels, and the matchers that select by them.

use regex::Regex;
use std::collections::BTreeMap;
use std::fmt;

/// The labels of a series or an alert, by name. What is empty counts as missing.
pub type Labels = BTreeMap<String, String>;

/// The label that holds a metric's name.
pub const METRIC_NAME: &str = "__name__";

/// The value of a label; empty where it is missing.
pub fn value<'a>(labels: &'a Labels, name: &str) -> &'a str {
    labels.get(name).map_or("", String::as_str)
}

/// Sets a label, or removes it where the value is empty.
pub fn set(labels: &mut Labels, name: &str, value: impl Into<String>) {
    let value = value.into();
    if value.is_empty() {
        labels.remove(name)
    } else {
        labels.insert(name.into(), value)
    };
}

/// `labels` without the metric's name.
pub fn without_name(mut labels: Labels) -> Labels {
    labels.remove(METRIC_NAME);
    labels
}

/// Whether `name` may name a label.
pub fn is_label_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// How a matcher compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MatchOp {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`
    Regex,
    /// `!~`
    NotRegex,
}

impl MatchOp {
    /// The longer signs come first: `=` begins `=~`, too.
    const SIGNS: [(&'static str, MatchOp); 4] =
        [("=~", MatchOp::Regex), ("!~", MatchOp::NotRegex), ("!=", MatchOp::NotEqual), ("=", MatchOp::Equal)];

    /// The operator that is written so.
    pub fn of(sign: &str) -> Option<MatchOp> {
        Self::SIGNS.iter().find(|(s, _)| *s == sign).map(|(_, op)| *op)
    }
}

/// A condition on one label; a missing label counts as empty.
#[derive(Clone, Debug)]
pub struct Matcher {
    /// Which label.
    pub name: String,
    /// How it is compared.
    pub op: MatchOp,
    /// With what.
    pub value: String,
    regex: Option<Regex>,
}

impl Matcher {
    /// A matcher; a pattern must match the whole value (`model/labels/matcher.go`).
    pub fn new(name: &str, op: MatchOp, value: &str) -> Result<Matcher, String> {
        let regex = match op {
            MatchOp::Regex | MatchOp::NotRegex => Some(whole(value).map_err(|e| e.to_string())?),
            MatchOp::Equal | MatchOp::NotEqual => None,
        };
        Ok(Matcher { name: name.into(), op, value: value.into(), regex })
    }

    /// Whether a value fits.
    pub fn matches_value(&self, value: &str) -> bool {
        let is_match = |regex: &Option<Regex>| regex.as_ref().is_some_and(|regex| regex.is_match(value));
        match self.op {
            MatchOp::Equal => self.value == value,
            MatchOp::NotEqual => self.value != value,
            MatchOp::Regex => is_match(&self.regex),
            MatchOp::NotRegex => !is_match(&self.regex),
        }
    }

    /// Whether these labels fit.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.matches_value(value(labels, &self.name))
    }
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = MatchOp::SIGNS.iter().find(|(_, op)| *op == self.op).map_or("", |(sign, _)| sign);
        write!(f, "{}{sign}{:?}", self.name, self.value)
    }
}

/// A pattern that matches whole values only.
pub fn whole(pattern: &str) -> Result<Regex, regex::Error> {
    // What closes the group must not close it for the pattern: it is read alone first.
    Regex::new(pattern)?;
    Regex::new(&format!("^(?:{pattern})$"))
}
