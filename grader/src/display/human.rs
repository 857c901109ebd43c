//! Results as a person reads them on a terminal.

use crate::display::plain;
use crate::display::terminal::columns;
use crate::verdict::fresh;
use crate::verdict::record::TurningPoint;
use crate::verdict::report::{Difference, ExerciseResult, Fresh, Progress, ScenarioResult, Status};
use anstyle::{AnsiColor, Style};
use similar::{ChangeTag, TextDiff};
use std::fmt::Write;
use textwrap::core::display_width;
use textwrap::{Options, WordSplitter};

/// Writes a line into a `String`, which can't fail.
macro_rules! line {
    ($out:expr $(, $($arg:tt)+)?) => { _ = writeln!($out $(, $($arg)+)?) };
}

pub const GREEN: Style = AnsiColor::Green.on_default();
pub const RED: Style = AnsiColor::Red.on_default();
pub const YELLOW: Style = AnsiColor::Yellow.on_default();
pub const DIM: Style = Style::new().dimmed();
pub const BOLD: Style = Style::new().bold();

/// How many failing scenarios are explained before the rest is only named.
pub const EXPLAINED: usize = 2;
/// How many are named.
const NAMED: usize = 8;
/// How many lines of what a module printed are shown.
const PRINTED: usize = 12;
/// How many lines of a diff stand around a change.
const CONTEXT: usize = 3;

pub fn paint(style: Style, text: impl std::fmt::Display) -> String {
    format!("{style}{text}{style:#}")
}

pub fn mark(status: Status) -> String {
    match status {
        Status::Passed => paint(GREEN, "✓"),
        Status::Failed | Status::Error | Status::GraderError => paint(RED, "✗"),
        Status::NotStarted => paint(YELLOW, "○"),
        Status::Skipped => paint(DIM, "–"),
    }
}

/// One exercise: a line for it, and what stands between it and a pass, so many scenarios of it.
pub fn exercise(result: &ExerciseResult, explained: usize) -> String {
    page(&whole(&plain::exercise(result), explained))
}

fn whole(result: &ExerciseResult, explained: usize) -> String {
    let mut text = String::new();
    let out = &mut text;
    let ExerciseResult { name, variation, status, message, scenarios, .. } = result;
    let kind = result.kind.map_or(String::new(), |kind| format!("error: {kind} · "));
    let own = |said: String| (!scenarios.is_empty()).then_some(said);
    let with_fresh = |own: Option<String>| {
        own.into_iter().chain(result.fresh.as_ref().map(Fresh::says)).collect::<Vec<_>>().join(" · ")
    };
    let count = with_fresh(own(format!("{} of {} scenarios", result.passed(), scenarios.len())));
    let said = match status {
        Status::Passed => with_fresh(own(format!("{} scenarios", scenarios.len()))),
        Status::Failed => count,
        Status::NotStarted => "not started".into(),
        Status::Skipped => "skipped".into(),
        Status::Error => format!("{kind}{count}").trim_end_matches(" · ").to_string(),
        Status::GraderError => "error of the grader, not of your module".into(),
    };
    let time = format!("{:.2} s", result.duration_ms as f64 / 1000.0);
    let varied = variation.as_ref().map_or(String::new(), |variation| format!(" · {}", variation.name));
    line!(out, "  {} {}{varied}   {said}   {}", mark(*status), paint(BOLD, name), paint(DIM, time));
    if let Some(variation) = variation.as_ref().filter(|_| *status != Status::Passed) {
        line!(out);
        field(out, "varied", std::slice::from_ref(&variation.rule));
    }
    if !result.stages.is_empty() && !matches!(status, Status::Passed | Status::Skipped) {
        line!(out);
        field(out, "stages", &[result.stages.iter().map(stage).collect::<Vec<_>>().join(" · ")]);
    }
    if *status == Status::NotStarted {
        line!(out, "\n      open      exercises/{name}.rs");
        line!(out, "      read      book/src/{name}.md");
        line!(out, "      watch     cargo grade watch {name}\n");
        return text;
    }
    if let Some(message) = message {
        line!(out);
        for line in message.trim_end().lines() {
            line!(out, "      {}", line);
        }
        line!(out);
    }
    let wrong: Vec<_> = result.wrong().collect();
    let explained = explained.min(wrong.len());
    for scenario in wrong.iter().take(explained) {
        explain(out, name, scenario);
    }
    if let Some(fresh) = result.fresh.as_ref().filter(|fresh| fresh.scenario.status != Status::Passed) {
        field(out, "again", &[fresh::again(result, fresh)]);
    }
    if wrong.len() > explained {
        line!(out);
        for scenario in wrong[explained..].iter().take(NAMED) {
            line!(out, "{}", title(scenario));
        }
        match wrong.len().saturating_sub(explained + NAMED) {
            0 => {}
            more => line!(out, "    … and {more} more"),
        }
        if let Some(why) = wrong.iter().rfind(|s| s.status == Status::Skipped).and_then(|s| s.message.as_ref()) {
            line!(out, "\n  {}   {why}", mark(Status::Skipped));
        }
        line!(out, "\n      all of them explained:  cargo grade run {name} --all");
    }
    if let Some(warnings) = &result.warnings {
        line!(out);
        warnings.lines().for_each(|line| line!(out, "      {}", line));
    }
    if !wrong.is_empty() {
        line!(out);
    }
    text
}

/// How far a stage is: `✓ ranges`, `compaction 2 of 6`.
fn stage(stage: &Progress) -> String {
    let Progress { name, passed, of } = stage;
    if passed == of { format!("{} {name}", mark(Status::Passed)) } else { format!("{name} {passed} of {of}") }
}

/// Where to go on after a pass.
pub fn after_a_pass(exercise: &str) -> String {
    format!("      compare   cargo grade diff {exercise}\n      go deeper book/src/{exercise}.md#follow-up-questions")
}

/// Which scenario it is, and why it exists.
fn title(scenario: &ScenarioResult) -> String {
    fit(&format!("  {} {}   {}", mark(scenario.status), paint(BOLD, &scenario.name), scenario.why), 6)
}

/// Breaks a line where the terminal ends, if there is one; what follows begins with so many blanks. A word that is
/// longer than a line is broken, too.
pub fn fit(line: &str, indent: usize) -> String {
    columns().map_or_else(|| line.into(), |columns| fill(line, indent, columns))
}

fn fill(line: &str, indent: usize, columns: usize) -> String {
    if display_width(line) <= columns {
        return line.into();
    }
    let blanks = " ".repeat(indent.min(columns / 2));
    let options = Options::new(columns).subsequent_indent(&blanks);
    let own = line.len() - line.trim_start_matches(' ').len();
    // A word that fits on no line of its own would leave its first line empty.
    let start = " ".repeat(own.min(columns / 2));
    let options = options.initial_indent(&start).word_splitter(WordSplitter::NoHyphenation);
    textwrap::fill(&line[own..], options)
}

/// Breaks all lines of a text that are too long for the terminal: what follows stands a little further in.
pub fn page(text: &str) -> String {
    let Some(columns) = columns() else { return text.into() };
    let lines = text.split('\n').map(|line| {
        let indent = line.len() - line.trim_start_matches(' ').len();
        fill(line, indent + 2, columns)
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The text, and so many blanks that it is as wide.
pub fn pad(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(display_width(text))))
}

/// An answer of so many characters is shown once more on one line; the difference shows longer ones well enough.
const ANSWERED: usize = 100;
/// So many lines of a difference are shown.
const DIFF: usize = 24;

fn explain(out: &mut String, exercise: &str, scenario: &ScenarioResult) {
    line!(out, "\n{}\n", title(scenario));
    if let Some(kind) = scenario.kind {
        line!(out, "      {}", paint(RED, format_args!("error: {kind}")));
    }
    if let Some(message) = &scenario.message {
        for line in message.lines().take(PRINTED) {
            line!(out, "      {}", line);
        }
        line!(out);
    }
    let Some(difference) = &scenario.difference else {
        return;
    };
    let Difference { question, of, say, history, asked, expected, yours, printed, turning } = difference;
    if !history.is_empty() {
        field(out, "before", history);
        field(out, "then", asked);
        line!(out);
    }
    if let Some(yours) = yours {
        diff(out, expected, yours);
        line!(out);
    }
    if let Some(TurningPoint { asked, expected, yours, .. }) = turning {
        line!(
            out,
            "      {}",
            paint(DIM, "It begins where the module was asked this, and answered otherwise than the reference:")
        );
        line!(out);
        diff(out, expected, yours);
        line!(out);
        field(out, "asked", asked);
    }
    if let Some(say) = say {
        field(out, "note", std::slice::from_ref(say));
    }
    let timeline = scenario.timeline;
    if history.is_empty() {
        field(out, if timeline { "step" } else { "asked" }, asked);
    }
    let what = if timeline { "step" } else { "question" };
    if *of > 1 {
        line!(out, "                {}", paint(DIM, format_args!("{what} {question} of {of}")));
    }
    match yours {
        Some(_) if timeline => {}
        None => field(out, "expected", expected),
        Some(yours) => {
            let answered = yours.join(" · ");
            if answered.chars().count() <= ANSWERED {
                field(out, "answered", &[answered]);
            }
        }
    }
    let printed = printed.trim_matches('\n');
    if !printed.trim().is_empty() {
        let mut lines: Vec<String> = printed.lines().take(PRINTED).map(|line| shorten(line, 160)).collect();
        let more = printed.lines().count().saturating_sub(PRINTED);
        if more > 0 {
            lines.push(format!("… and {more} more lines"));
        }
        field(out, "printed", &lines);
    }
    field(out, "read", std::slice::from_ref(&scenario.read));
    field(out, "hint", &[format!("cargo grade hint {exercise}")]);
    if timeline {
        field(out, "both", &[format!("cargo grade explain {exercise} {}", scenario.name)]);
    }
    if scenario.cluster {
        field(out, "picture", &[format!("cargo grade explain {exercise} {} --html picture.html", scenario.name)]);
    }
}

fn field(out: &mut String, name: &str, lines: &[String]) {
    for (i, line) in lines.iter().enumerate() {
        let name = if i == 0 { name } else { "" };
        let nested = line.len() - line.trim_start().len();
        let line = format!("      {} {line}", paint(DIM, format_args!("{name:<9}")));
        line!(out, "{}", fit(&line, 18 + nested));
    }
}

/// Up to this column the words `expected` and `yours` stand behind their lines.
const WIDEST: usize = 76;
/// What a line of a difference needs beside its text.
const LABEL: usize = "    - ".len() + "   expected".len();

/// How wide the lines of a difference are shown, so that their labels stand in one column.
pub fn width(expected: &[String], yours: &[String]) -> usize {
    let widest = columns().map_or(WIDEST, |columns| columns.saturating_sub(LABEL).clamp(20, WIDEST));
    expected.iter().chain(yours).map(|line| display_width(line)).max().unwrap_or(0).clamp(20, widest)
}

/// Expected against yours, line by line, with a few lines around each change.
fn diff(out: &mut String, expected: &[String], yours: &[String]) {
    let (old, new) = (expected.join("\n") + "\n", yours.join("\n") + "\n");
    let diff = TextDiff::from_lines(&old, &new);
    let width = width(expected, yours);
    let mut labelled = [false; 2];
    let mut shown = 0;
    for (i, group) in diff.grouped_ops(CONTEXT).iter().enumerate() {
        if i > 0 {
            line!(out, "      {}", paint(DIM, "…"));
        }
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            shown += 1;
            if shown > DIFF {
                continue;
            }
            let line = change.value().trim_end_matches('\n');
            let (style, sign, label) = match change.tag() {
                ChangeTag::Equal => {
                    line!(out, "{}", fit(&format!("      {line}"), 8));
                    continue;
                }
                ChangeTag::Delete => (GREEN, "-", "expected"),
                ChangeTag::Insert => (RED, "+", "yours"),
            };
            // The two words explain the two signs; once is enough.
            let first = !std::mem::replace(&mut labelled[usize::from(sign == "+")], true);
            let line = if first {
                format!("    {}   {}", paint(style, format_args!("{sign} {}", pad(line, width))), paint(DIM, label))
            } else {
                format!("    {}", paint(style, format_args!("{sign} {line}")))
            };
            line!(out, "{}", fit(&line, 8));
        }
    }
    if shown > DIFF {
        line!(out, "      {}", paint(DIM, format_args!("… and {} more lines", shown - DIFF)));
    }
}

fn shorten(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.into();
    }
    text.chars().take(width - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_is_wider_than_the_terminal_and_nothing_is_lost() {
        let long = "x".repeat(300);
        let texts = [
            "      refused by dedicated=batch:NoSchedule because no toleration of the pod covers it, and none will ever",
            &format!("    {long}"),
            &format!("  a {long} b"),
            "      日本語の長い行は幅で数えられ、文字の数では数えられません。だから二倍の幅があります。日本語の長い行。",
            "      🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀",
            &format!("      {}", paint(RED, &long)),
            &format!("{}deeply nested words that go on and on and on and on and on", " ".repeat(70)),
        ];
        for columns in [40, 80, 200] {
            for text in texts {
                let filled = fill(text, 8, columns);
                let widest = filled.lines().map(display_width).max();
                assert!(widest <= Some(columns), "{columns}: {filled}");
                let letters = |text: &str| text.split_whitespace().collect::<String>();
                assert_eq!(letters(&filled), letters(text));
                assert!(filled.lines().all(|line| !line.trim().is_empty()), "{columns}: {filled}");
            }
        }
    }
}
