//! What there is to do: `cargo grade` alone, and `list`.

use crate::Format;
use crate::commands::run::exit_code;
use crate::display::human::{BOLD, DIM, GREEN, YELLOW, fit, mark, page, paint};
use crate::display::terminal::columns;
use crate::module::build::Source;
use crate::verdict::passes;
use crate::verdict::report::{ExerciseResult, KUBERNETES, Report, SCHEMA_VERSION, Status};
use crate::verdict::suite::Suite;
use crate::workspace::{Entry, Workspace, read};
use anstream::println;
use anyhow::Result;
use comfy_table::{Cell, ContentArrangement, Table, presets};
use std::process::ExitCode;

/// What became of each exercise until now. A file with a `todo!()` in it isn't built: whatever else it does, it is not
/// done, and most files are like that most of the time.
pub fn standing(workspace: &Workspace) -> Result<Vec<ExerciseResult>> {
    let entries = workspace.select(&[])?;
    let begun: Vec<&Entry> = entries.iter().filter(|entry| !has_todo(workspace, entry)).copied().collect();
    let graded = match begun.is_empty() {
        true => Vec::new(),
        false => Suite::new(workspace, begun, &[], &Source::Exercises)?.grade(|_| {})?,
    };
    let result = |entry: &&Entry| {
        let found = graded.iter().find(|result| result.name == entry.name).cloned();
        found.unwrap_or_else(|| ExerciseResult::of(entry, Status::NotStarted, None, None))
    };
    Ok(entries.iter().map(result).collect())
}

/// Whether a `todo!()` is left in the code of an exercise.
fn has_todo(workspace: &Workspace, entry: &Entry) -> bool {
    let text = read(&workspace.exercise_file(&entry.name)).unwrap_or_default();
    text.lines().any(|line| line.contains("todo!(") && !line.trim_start().starts_with("//"))
}

/// Where the learner stands, and what to do next.
pub fn progress(workspace: &Workspace) -> Result<ExitCode> {
    let entries = workspace.select(&[])?;
    let results = standing(workspace)?;
    let total = entries.len();
    let name = paint(BOLD, "Kubernetes from the inside");
    println!("{}\n", page(&format!("  {name} · {total} exercises · Kubernetes {KUBERNETES}")));
    let mut chapters: Vec<&str> = Vec::new();
    for entry in &entries {
        if !chapters.contains(&entry.chapter()) {
            chapters.push(entry.chapter());
        }
    }
    let mut table = plain_table(&["chapter", "done", "next", "", ""]);
    for chapter in chapters {
        let of_chapter: Vec<_> = entries.iter().zip(&results).filter(|(e, _)| e.chapter() == chapter).collect();
        let done = of_chapter.iter().filter(|(_, r)| r.status == Status::Passed).count();
        let mut row = vec![chapter.to_string(), format!("{done}/{}", of_chapter.len())];
        match of_chapter.iter().find(|(_, r)| r.status != Status::Passed) {
            Some((entry, result)) => row.extend([
                format!("{} {}", mark(result.status), entry.name.rsplit('/').next().unwrap_or_default()),
                format!("{} min", entry.minutes),
                entry.stars(),
            ]),
            None => row.push(paint(GREEN, "✓ all done")),
        }
        table.add_row(row);
    }
    println!("{}\n", table.trim_fmt());
    let next = entries.iter().zip(&results).find(|(_, r)| r.status != Status::Passed);
    let Some((entry, result)) = next else {
        let done = paint(GREEN, "All done.");
        let line = format!("  {done}  What is left: the follow-up questions of the book.  cargo book serve");
        println!("{}", page(&line));
        return Ok(exit_code(report_status(&results)));
    };
    let name = &entry.name;
    let what = if result.status == Status::NotStarted { "Start here:" } else { "Go on here:" };
    println!("{}", fit(&format!("  {what:<12} exercises/{name}.rs"), 15));
    println!("  {:<12} cargo grade watch", "Then:");
    println!("{}", fit(&format!("  {:<12} cargo book serve   → {:?}", "Read:", entry.title), 15));
    if result.status == Status::GraderError {
        let message = result.message.clone().or_else(|| result.scenarios.iter().find_map(|s| s.message.clone()));
        let problem = paint(YELLOW, "the grader has a problem:");
        println!("\n{}", page(&format!("  {problem} {}", message.unwrap_or_default())));
        return Ok(exit_code(Status::GraderError));
    }
    // Showing where someone stands is no failure.
    Ok(ExitCode::SUCCESS)
}

fn report_status(results: &[ExerciseResult]) -> Status {
    Report::new(results.to_vec(), None).status
}

pub fn list(workspace: &Workspace, format: Format) -> Result<ExitCode> {
    // What an exercise answers now is for `cargo grade`; a list must be quick.
    let passed = passes::passed(workspace);
    if format == Format::Json {
        let hints = workspace.all_hints().unwrap_or_default();
        let exercises: Vec<_> = workspace
            .catalog
            .iter()
            .map(|e| {
                serde_json::json!({
                    "name": e.name, "title": e.title, "minutes": e.minutes, "difficulty": e.difficulty,
                    "builds_on": e.builds_on, "hints": hints.get(&e.name).map_or(0, Vec::len), "file": format!("exercises/{}.rs", e.name),
                    "book": format!("book/src/{}.md", e.name), "passed": passed.contains(&e.name.as_str()),
                })
            })
            .collect();
        let document = serde_json::json!({
            "schema_version": SCHEMA_VERSION, "kubernetes": KUBERNETES, "exercises": exercises,
        });
        println!("{}", serde_json::to_string_pretty(&document)?);
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = plain_table(&["exercise", "title", "time", "", "", "builds on"]);
    for entry in &workspace.catalog {
        let state = match () {
            () if passed.contains(&entry.name.as_str()) => paint(GREEN, "✓ passed"),
            () if has_todo(workspace, entry) => String::new(),
            () => "begun".into(),
        };
        table.add_row([
            entry.name.clone(),
            entry.title.clone(),
            format!("{} min", entry.minutes),
            entry.stars(),
            state,
            entry.builds_on.join(", "),
        ]);
    }
    println!("{}\n", table.trim_fmt());
    println!("{}", page(&format!("  {}", paint(DIM, "As they were when they were graded last. Now: cargo grade"))));
    Ok(ExitCode::SUCCESS)
}

/// A table without lines, as `kubectl get` prints them.
pub fn plain_table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    if let Some(columns) = columns().and_then(|columns| u16::try_from(columns).ok()) {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(columns);
    }
    table.set_header(header.iter().map(|title| Cell::new(paint(DIM, title))));
    for column in table.column_iter_mut() {
        column.set_padding((2, 0));
    }
    table
}
