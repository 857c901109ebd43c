//! Markdown: a table of exercises, and the first differences below it, folded.

use crate::verdict::report::{ExerciseResult, Report, ScenarioResult, Status};
use std::fmt::Write;

pub fn text(report: &Report, explained: usize) -> String {
    let mut out = format!("### {}\n\n", report.headline());
    if let Some(part) = report.partition {
        _ = writeln!(out, "Part `{part}`.\n");
    }
    out += "| | exercise | result | scenarios |\n|---|---|---|---|\n";
    for result in &report.exercises {
        let mark = match result.status {
            Status::Passed => "✅",
            Status::NotStarted => "⚪",
            Status::Skipped => "➖",
            _ => "❌",
        };
        let (name, count) = (cell(&result.full_name()), cell(&result.count()));
        let optional = if result.required { "" } else { ", not required" };
        _ = writeln!(out, "| {mark} | {name} | {}{optional} | {count} |", result.verdict());
    }
    for result in report.exercises.iter().filter(|e| !matches!(e.status, Status::Passed | Status::NotStarted)) {
        exercise(&mut out, result, explained);
    }
    out
}

fn exercise(out: &mut String, result: &ExerciseResult, explained: usize) {
    let place = match (&result.file, result.line) {
        (Some(file), Some(line)) => format!(" · <code>{}:{line}</code>", html(file)),
        (Some(file), None) => format!(" · <code>{}</code>", html(file)),
        _ => String::new(),
    };
    let (name, verdict) = (result.full_name(), result.verdict());
    _ = writeln!(out, "\n<details><summary><b>{}</b>: {verdict}{place}</summary>", html(&name));
    if let Some(variation) = &result.variation {
        block(out, "text", &variation.rule);
    }
    if let Some(message) = &result.message {
        block(out, "text", message);
    }
    let wrong: Vec<&ScenarioResult> = result.wrong().collect();
    for scenario in wrong.iter().take(explained) {
        _ = writeln!(out, "\n**{}** {}", scenario.name, scenario.why);
        block(out, "diff", &super::plain(scenario));
    }
    let rest: Vec<&str> = wrong.iter().skip(explained).map(|scenario| scenario.name.as_str()).collect();
    if !rest.is_empty() {
        _ = writeln!(out, "\nAlso: {}", rest.join(", "));
    }
    out.push_str("\n</details>\n");
}

/// A block of code that its content can't end, whatever a module printed.
fn block(out: &mut String, language: &str, text: &str) {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    _ = writeln!(out, "\n{fence}{language}");
    for line in text.trim_end().lines() {
        _ = writeln!(out, "{}", line);
    }
    _ = writeln!(out, "{fence}");
}

/// In a table, a bar would end the cell.
fn cell(text: &str) -> String {
    html(text).replace('|', "&#124;")
}

fn html(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_holds_whatever_was_printed() {
        let mut out = String::new();
        block(&mut out, "text", "before\n````\n</details>");
        assert!(out.starts_with("\n`````text\n") && out.ends_with("\n`````\n"), "{out}");
    }
}
