//! The forms in which a result is shown. Each is made from the result document and nothing else.

mod github;
mod gradescope;
mod junit;
mod markdown;

use crate::display::human::{self, exercise, page};
use crate::display::plain;
use crate::verdict::report::{ExerciseResult, Report, Status};
use crate::workspace::{Workspace, write};
use anstream::{print, println};
use anyhow::{Context, Result};
use clap::ValueEnum;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// A form of the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// For people at a terminal.
    Human,
    /// The result document itself; `cargo grade schema` describes it.
    Json,
    /// JUnit's XML, which most CI systems read.
    Junit,
    /// Annotations and a step summary for GitHub Actions.
    Github,
    /// A table and the first differences.
    Markdown,
    /// `results.json` of a Gradescope autograder.
    Gradescope,
}

/// `FORMAT` or `FORMAT=FILE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    pub form: Form,
    /// None for stdout.
    pub file: Option<PathBuf>,
}

impl FromStr for Output {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (form, file) = match text.split_once('=') {
            Some((form, file)) => (form, Some(file)),
            None => (text, None),
        };
        if file == Some("") {
            return Err(format!("`{text}` names no file"));
        }
        let form = Form::from_str(form, false).map_err(|_| {
            let known: Vec<_> = Form::value_variants().iter().filter_map(Form::to_possible_value).collect();
            let known: Vec<_> = known.iter().map(clap::builder::PossibleValue::get_name).collect();
            format!("there is no format `{form}`; there are: {}", known.join(", "))
        })?;
        Ok(Output { form, file: file.map(PathBuf::from) })
    }
}

/// Shows results on stdout, for people as soon as they are known.
pub struct Stream<'a> {
    workspace: &'a Workspace,
    form: Form,
    explained: usize,
    fence: Option<github::Fence>,
}

impl<'a> Stream<'a> {
    /// `explained`: how many failing scenarios of each exercise are explained.
    pub fn new(workspace: &'a Workspace, form: Form, explained: usize) -> Self {
        let fence = (form == Form::Github).then(github::Fence::new);
        if let Some(fence) = &fence {
            println!("{}", fence.begin());
        }
        Stream { workspace, form, explained, fence }
    }

    pub fn exercise(&mut self, result: &ExerciseResult) {
        if matches!(self.form, Form::Human | Form::Github) {
            print!("{}", exercise(result, self.explained));
        }
    }

    pub fn end(self, report: &Report) -> Result<()> {
        let shown = &plain::report(report);
        let text = match self.form {
            Form::Human => summary(self.workspace, shown),
            Form::Github => {
                print!("{}", summary(self.workspace, shown));
                if let Some(fence) = &self.fence {
                    println!("{}", fence.end());
                }
                github::write_step_summary(&markdown::text(shown, self.explained))?;
                github::annotations(&self.workspace.root, shown)
            }
            form => text(self.workspace, report, form, self.explained)?,
        };
        print!("{text}");
        Ok(())
    }
}

/// The whole result in one form.
fn text(workspace: &Workspace, report: &Report, form: Form, explained: usize) -> Result<String> {
    let shown = &plain::report(report);
    Ok(match form {
        Form::Human => {
            let exercises: String = shown.exercises.iter().map(|result| exercise(result, explained)).collect();
            anstream::adapter::strip_str(&(exercises + &summary(workspace, shown))).to_string()
        }
        Form::Json => serde_json::to_string_pretty(report)? + "\n",
        Form::Junit => junit::text(shown)?,
        Form::Github => github::annotations(&workspace.root, shown),
        Form::Markdown => markdown::text(shown, explained),
        Form::Gradescope => gradescope::text(shown, explained)?,
    })
}

/// Writes the result into a file.
pub fn save(workspace: &Workspace, report: &Report, form: Form, explained: usize, file: &Path) -> Result<()> {
    let file = std::path::absolute(file).with_context(|| file.display().to_string())?;
    write(&file, &text(workspace, report, form, explained)?)
}

/// What stands below the exercises: how many passed, and after a pass where to go on.
fn summary(workspace: &Workspace, report: &Report) -> String {
    page(&whole_summary(workspace, report))
}

fn whole_summary(workspace: &Workspace, report: &Report) -> String {
    let mut out = String::new();
    let total = report.exercises.len();
    if let Some(part) = report.partition {
        _ = writeln!(out, "\n  {} in the part {part}", report.headline());
    } else if total > 1 || report.exercises.iter().any(|e| !e.required) {
        _ = writeln!(out, "\n  {}", report.headline());
    }
    let own = |result: &ExerciseResult| {
        result.file == Some(format!("exercises/{}.rs", result.name)) && result.variation.is_none()
    };
    if report.status != Status::Passed || report.passed() != total || !report.exercises.iter().all(own) {
        return out;
    }
    if let [result] = &report.exercises[..] {
        _ = writeln!(out, "\n{}", human::after_a_pass(&result.name));
    }
    let graded = |name: &str| report.exercises.iter().any(|result| result.name == name);
    if let Some(next) = workspace.catalog.iter().skip_while(|e| !graded(&e.name)).find(|e| !graded(&e.name)) {
        let (name, title, minutes) = (&next.name, &next.title, next.minutes);
        _ = writeln!(out, "      next      exercises/{name}.rs · {title} · {minutes} min {}", next.stars());
    }
    out
}

/// The lines of an answer that differs, as a diff without colours: `- expected`, `+ yours`.
fn plain_diff(expected: &[String], yours: &[String]) -> String {
    let (old, new) = (expected.join("\n") + "\n", yours.join("\n") + "\n");
    let diff = similar::TextDiff::from_lines(&old, &new);
    let mut out = String::new();
    for change in diff.grouped_ops(3).iter().flatten().flat_map(|op| diff.iter_changes(op)).take(60) {
        let sign = match change.tag() {
            similar::ChangeTag::Equal => ' ',
            similar::ChangeTag::Delete => '-',
            similar::ChangeTag::Insert => '+',
        };
        _ = writeln!(out, "{sign} {}", change.value().trim_end_matches('\n'));
    }
    out
}

/// What is known of a failing scenario, as plain lines: for forms that have no place of their own for each part.
fn plain(scenario: &crate::verdict::report::ScenarioResult) -> String {
    let mut out = String::new();
    for line in scenario.message.iter().flat_map(|message| message.lines()) {
        _ = writeln!(out, "{}", line);
    }
    let Some(difference) = &scenario.difference else { return out };
    if let Some(yours) = &difference.yours {
        out += &plain_diff(&difference.expected, yours);
    }
    let asked = difference.turning.as_ref().map_or(&difference.asked, |turning| &turning.asked);
    _ = writeln!(out, "asked: {}", asked.join("\n       "));
    if let Some(turning) = &difference.turning {
        out += &plain_diff(&turning.expected, &turning.yours);
    }
    for line in difference.printed.lines().take(12) {
        _ = writeln!(out, "printed: {}", line);
    }
    _ = writeln!(out, "read: {}", scenario.read);
    out
}
