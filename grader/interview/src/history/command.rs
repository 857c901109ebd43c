//! `cargo grade interview history`: what is kept, as a table, as a file, or not at all any more.

use super::{Attempt, History, folder};
use crate::content::Level;
use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;
use std::io::{BufRead, Write};
use std::path::PathBuf;

/// Shows your sessions so far, and how they went
///
/// All that sessions and practice leave is one file on this machine. Nothing is sent anywhere. CARGO_GRADE_HOME says in
/// which folder it lies; without it that is ~/.local/share/cargo-grade.
#[derive(Debug, Args)]
pub struct HistoryArgs {
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Writes everything as JSON: sessions with all their events, cards, answers
    Export {
        /// Where to; without it, on the terminal
        file: Option<PathBuf>,
    },
    /// Deletes everything: sessions, cards, answers
    Erase {
        /// Without asking
        #[arg(long)]
        yes: bool,
    },
}

/// Does what was asked for.
///
/// # Errors
///
/// If the history can't be read, or a file can't be written.
pub fn run(args: &HistoryArgs, input: &mut dyn BufRead, out: &mut dyn Write) -> Result<()> {
    let history = History::open(&folder()?)?;
    match &args.what {
        None => {
            let attempts = history.attempts()?;
            table(&attempts, &TimeZone::system()).iter().try_for_each(|line| writeln!(out, "{line}"))?;
            let cards = history.cards()?.len();
            writeln!(out, "\n  {cards} questions in practice · kept in {}", history.file().display())?;
        }
        Some(What::Export { file: None }) => writeln!(out, "{:#}", history.export()?)?,
        Some(What::Export { file: Some(file) }) => {
            std::fs::write(file, format!("{:#}\n", history.export()?))
                .with_context(|| format!("can't write {}", file.display()))?;
            writeln!(out, "  written to {}", file.display())?;
        }
        Some(What::Erase { yes }) => {
            let (sessions, cards) = (history.attempts()?.len(), history.cards()?.len());
            if !yes {
                write!(
                    out,
                    "  {sessions} sessions and {cards} questions in practice will be gone for good. Delete them? [y/N] "
                )?;
                out.flush()?;
                let mut answer = String::new();
                input.read_line(&mut answer)?;
                if !["y", "yes"].contains(&answer.trim().to_lowercase().as_str()) {
                    writeln!(out, "  nothing was deleted")?;
                    return Ok(());
                }
            }
            history.erase()?;
            writeln!(out, "  {sessions} sessions and {cards} questions in practice are deleted")?;
        }
    }
    Ok(())
}

/// The sessions, one a line.
fn table(attempts: &[Attempt], zone: &TimeZone) -> Vec<String> {
    if attempts.is_empty() {
        return vec!["  No sessions yet. `cargo grade interview` holds the first one.".into()];
    }
    let head = ["date", "level", "minutes", "graded", "judged", "reached"].map(String::from);
    let rows: Vec<[String; 6]> = std::iter::once(head).chain(attempts.iter().map(|one| row(one, zone))).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..6).map(width).collect();
    let line = |row: &[String; 6]| {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| match column {
            2..=4 => format!("{cell:>width$}"),
            _ => format!("{cell:<width$}"),
        });
        format!("  {}", cells.collect::<Vec<_>>().join("  ")).trim_end().to_string()
    };
    rows.iter().map(line).collect()
}

fn row(attempt: &Attempt, zone: &TimeZone) -> [String; 6] {
    let Attempt { began, plan, finished, report, .. } = attempt;
    let date = Timestamp::from_millisecond(*began).map_or(String::new(), |at| {
        let at = at.to_zoned(zone.clone());
        at.strftime("%Y-%m-%d %H:%M").to_string()
    });
    let level = serde_json::from_value::<Level>(plan["level"].clone()).map_or(String::new(), |level| level.to_string());
    let parts = plan["parts"].as_array().into_iter().flatten();
    let minutes: u64 = parts.filter_map(|part| part["minutes"].as_u64()).sum();
    // A report has the score as a field, or is one.
    let score = report.as_ref().map(|report| report.get("score").unwrap_or(report));
    let percent = |of: &str| {
        let percent = score.and_then(|score| score[of]["percent"].as_f64());
        percent.map_or("–".to_string(), |percent| format!("{percent:.0} %"))
    };
    let reached = match score.map(|score| &score["reached"]) {
        _ if finished.is_none() => "not finished",
        Some(Value::Bool(true)) => "yes",
        Some(Value::Bool(false)) => "no",
        _ => "–",
    };
    [date, level, minutes.to_string(), percent("graded"), percent("judged"), reached.into()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn sessions_are_a_table() {
        let plan = json!({"level": "staff", "parts": [{"minutes": 5}, {"minutes": 40}]});
        let attempt = |id: i64, finished, report| Attempt {
            id,
            began: 1_748_779_200_000 + id * 60_000,
            plan: plan.clone(),
            finished,
            report,
        };
        let score = json!({"graded": {"percent": 81.6}, "judged": {"percent": 70.0}, "reached": true});
        let lines =
            table(&[attempt(0, Some(1), Some(json!({ "score": score }))), attempt(1, None, None)], &TimeZone::UTC);
        let expected = [
            "  date              level  minutes  graded  judged  reached",
            "  2025-06-01 12:00  staff       45    82 %    70 %  yes",
            "  2025-06-01 12:01  staff       45       –       –  not finished",
        ];
        assert_eq!(lines, expected);
    }
}
