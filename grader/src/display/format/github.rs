//! GitHub Actions: annotations on the learner's file and the step's summary.
//!
//! Source: <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands>.

use crate::verdict::report::{ExerciseResult, Report, Status};
use anyhow::{Context, Result};
use std::collections::hash_map::RandomState;
use std::fmt::Write as _;
use std::hash::BuildHasher;
use std::io::Write as _;
use std::path::Path;

/// GitHub takes no more than 1 MiB for the summary of a step, and drops a longer one whole.
const SUMMARY: usize = 1_000_000;

/// Between its two lines the runner obeys no command: what a module prints could be one.
pub struct Fence(String);

impl Fence {
    /// With a word that no module can guess.
    pub fn new() -> Self {
        let [a, b] = [0, 1].map(|n| RandomState::new().hash_one(n));
        Fence(format!("grader-{a:016x}{b:016x}"))
    }

    pub fn begin(&self) -> String {
        format!("::stop-commands::{}", self.0)
    }

    pub fn end(&self) -> String {
        format!("::{}::", self.0)
    }
}

/// One annotation for each exercise that did not pass: an error if it is required, else a warning if it was begun.
pub fn annotations(root: &Path, report: &Report) -> String {
    let mut out = String::new();
    for result in &report.exercises {
        let level = match (result.status, result.required) {
            (Status::Passed, _) => continue,
            (Status::GraderError, _) | (_, true) => "error",
            (Status::NotStarted | Status::Skipped, false) => continue,
            _ => "warning",
        };
        let mut place = String::new();
        if let Some(file) = &result.file {
            _ = write!(place, "file={},", property(&in_checkout(root, file)));
            if let Some(line) = result.line {
                _ = write!(place, "line={line},");
            }
        }
        let title = property(&format!("{}: {}", result.full_name(), result.verdict()));
        _ = writeln!(out, "::{level} {place}title={title}::{}", data(&message(result)));
    }
    out
}

/// The file as the checkout knows it, if the kit is a folder of a larger repository.
fn in_checkout(root: &Path, file: &str) -> String {
    let file = root.join(file);
    let checkout = std::env::var_os("GITHUB_WORKSPACE").map_or(root.to_path_buf(), Into::into);
    file.strip_prefix(&checkout).or(file.strip_prefix(root)).unwrap_or(&file).display().to_string()
}

/// What the annotation says: the count, and the first thing that is wrong.
fn message(result: &ExerciseResult) -> String {
    let mut out = String::new();
    if let Some(variation) = &result.variation {
        _ = writeln!(out, "{}", variation.rule);
    }
    match (result.scenarios.is_empty(), &result.fresh) {
        (true, None) => {}
        (true, Some(fresh)) => _ = writeln!(out, "{}.", fresh.says()),
        (false, fresh) => {
            let fresh = fresh.as_ref().map_or(String::new(), |fresh| format!(", {}", fresh.says()));
            _ = writeln!(out, "{} of {} scenarios passed{fresh}.", result.passed(), result.scenarios.len());
        }
    }
    for line in result.message.iter().flat_map(|message| message.lines()).take(30) {
        _ = writeln!(out, "{}", line);
    }
    if let Some(first) = result.wrong().find(|s| s.status != Status::NotStarted) {
        _ = write!(out, "{}: {}\n{}", first.name, first.why, super::plain(first));
    }
    out.trim_end().to_string()
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

/// Adds to the summary of the step that this runs in, if it runs in one.
pub fn write_step_summary(markdown: &str) -> Result<()> {
    let Some(path) = std::env::var_os("GITHUB_STEP_SUMMARY") else { return Ok(()) };
    let there = std::fs::metadata(&path).map_or(0, |data| data.len() as usize);
    let left = SUMMARY.saturating_sub(there);
    // What is cut may end within a block of code; the table at the top is what counts.
    let end = (0..=left.min(markdown.len())).rev().find(|at| markdown.is_char_boundary(*at)).unwrap_or(0);
    let file = std::fs::OpenOptions::new().create(true).append(true).open(&path);
    file.and_then(|mut file| file.write_all(&markdown.as_bytes()[..end]))
        .with_context(|| format!("can't write the step's summary {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_end_a_command_is_escaped() {
        assert_eq!(property("a:b,c%\nd"), "a%3Ab%2Cc%25%0Ad");
        assert_eq!(data("a:b,c\r\n::error::x"), "a:b,c%0D%0A::error::x");
    }

    #[test]
    fn fences_differ() {
        assert_ne!(Fence::new().0, Fence::new().0);
    }
}
