//! Results as a person reads them on a terminal.

use crate::grade::{Difference, ExerciseResult, ScenarioResult, Status};
use crate::record::TurningPoint;
use anstream::println;
use anstyle::{AnsiColor, Style};
use similar::{ChangeTag, TextDiff};

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
pub fn exercise(result: &ExerciseResult, explained: usize) {
    let ExerciseResult { name, status, message, scenarios, .. } = result;
    let kind = result.kind.map_or(String::new(), |kind| format!("error: {kind} · "));
    let count = match scenarios.len() {
        0 => String::new(),
        n => format!("{} of {n} scenarios", result.passed()),
    };
    let said = match status {
        Status::Passed => format!("{} scenarios", scenarios.len()),
        Status::Failed => count,
        Status::NotStarted => "not started".into(),
        Status::Skipped => "skipped".into(),
        Status::Error => format!("{kind}{count}").trim_end_matches(" · ").to_string(),
        Status::GraderError => "error of the grader, not of your module".into(),
    };
    let time = format!("{:.2} s", result.duration_ms as f64 / 1000.0);
    println!("  {} {}   {said}   {}", mark(*status), paint(BOLD, name), paint(DIM, time));
    if *status == Status::NotStarted {
        println!("\n      open      exercises/{name}.rs");
        println!("      read      book/src/{name}.md");
        println!("      watch     cargo grade watch {name}\n");
        return;
    }
    if let Some(message) = message {
        println!();
        for line in message.trim_end().lines() {
            println!("      {}", clean(line));
        }
        println!();
    }
    let wrong: Vec<_> = scenarios.iter().filter(|s| s.status != Status::Passed).collect();
    let explained = explained.min(wrong.len());
    for scenario in wrong.iter().take(explained) {
        explain(name, scenario);
    }
    if wrong.len() > explained {
        println!();
        for scenario in wrong[explained..].iter().take(NAMED) {
            println!("  {} {}   {}", mark(scenario.status), paint(BOLD, &scenario.name), scenario.why);
        }
        match wrong.len().saturating_sub(explained + NAMED) {
            0 => {}
            more => println!("    … and {more} more"),
        }
        println!("\n      all of them explained:  cargo grade run {name} --all");
    }
    if !wrong.is_empty() {
        println!();
    }
}

/// So many lines of a difference are shown.
const DIFF: usize = 24;

fn explain(exercise: &str, scenario: &ScenarioResult) {
    println!("\n  {} {}   {}\n", mark(scenario.status), paint(BOLD, &scenario.name), scenario.why);
    if let Some(kind) = scenario.kind {
        println!("      {}", paint(RED, format_args!("error: {kind}")));
    }
    if let Some(message) = &scenario.message {
        for line in message.lines().take(PRINTED) {
            println!("      {}", clean(line));
        }
        println!();
    }
    let Some(difference) = &scenario.difference else {
        return;
    };
    let Difference { question, of, say, asked, expected, yours, printed, turning } = difference;
    if let Some(yours) = yours {
        diff(expected, yours);
        println!();
    }
    if let Some(TurningPoint { asked, expected, yours, .. }) = turning {
        println!(
            "      {}",
            paint(DIM, "It begins where the module was asked this, and answered otherwise than the reference:")
        );
        println!();
        diff(expected, yours);
        println!();
        field("asked", asked);
    }
    if let Some(say) = say {
        field("note", std::slice::from_ref(say));
    }
    let timeline = scenario.timeline;
    field(if timeline { "step" } else { "asked" }, asked);
    let what = if timeline { "step" } else { "question" };
    println!("                {}", paint(DIM, format_args!("{what} {question} of {of}")));
    match yours {
        Some(_) if timeline => {}
        None => field("expected", expected),
        Some(yours) => field("answered", &[shorten(&yours.join(" · "), 200)]),
    }
    if !printed.trim().is_empty() {
        let mut lines: Vec<String> = printed.lines().take(PRINTED).map(|line| shorten(&clean(line), 160)).collect();
        let more = printed.lines().count().saturating_sub(PRINTED);
        if more > 0 {
            lines.push(format!("… and {more} more lines"));
        }
        field("printed", &lines);
    }
    field("read", std::slice::from_ref(&scenario.read));
    field("hint", &[format!("cargo grade hint {exercise}")]);
    if timeline {
        field("both", &[format!("cargo grade explain {exercise} {}", scenario.name)]);
    }
}

fn field(name: &str, lines: &[String]) {
    for (i, line) in lines.iter().enumerate() {
        let name = if i == 0 { name } else { "" };
        println!("      {} {line}", paint(DIM, format_args!("{name:<9}")));
    }
}

/// Expected against yours, line by line, with a few lines around each change.
fn diff(expected: &[String], yours: &[String]) {
    let (old, new) = (expected.join("\n") + "\n", yours.join("\n") + "\n");
    let diff = TextDiff::from_lines(&old, &new);
    let width = expected.iter().chain(yours).map(|line| line.chars().count()).max().unwrap_or(0).clamp(20, 76);
    let mut labelled = [false; 2];
    let mut shown = 0;
    for (i, group) in diff.grouped_ops(CONTEXT).iter().enumerate() {
        if i > 0 {
            println!("      {}", paint(DIM, "…"));
        }
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            shown += 1;
            if shown > DIFF {
                continue;
            }
            let line = change.value().trim_end_matches('\n');
            let (style, sign, label) = match change.tag() {
                ChangeTag::Equal => {
                    println!("      {line}");
                    continue;
                }
                ChangeTag::Delete => (GREEN, "-", "expected"),
                ChangeTag::Insert => (RED, "+", "yours"),
            };
            // The two words explain the two signs; once is enough.
            let first = !std::mem::replace(&mut labelled[usize::from(sign == "+")], true);
            let label = if first { label } else { "" };
            println!(
                "    {}",
                format!("{}   {}", paint(style, format_args!("{sign} {line:<width$}")), paint(DIM, label)).trim_end()
            );
        }
    }
    if shown > DIFF {
        println!("      {}", paint(DIM, format_args!("… and {} more lines", shown - DIFF)));
    }
}

/// What a module prints must not move the cursor or change colours.
pub fn clean(text: &str) -> String {
    anstream::adapter::strip_str(text)
        .to_string()
        .chars()
        .map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c })
        .collect()
}

fn shorten(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.into();
    }
    text.chars().take(width - 1).chain(['…']).collect()
}
