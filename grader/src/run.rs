//! `run`, `list`, and the progress that `cargo grade` shows without a command.

use crate::Format;
use crate::build::{self, Module, Program, Source, find_module};
use crate::grade::{self, ExerciseResult, KUBERNETES, Report, SCHEMA_VERSION, Status, grade};
use crate::human::{BOLD, DIM, EXPLAINED, GREEN, YELLOW, exercise, mark, paint};
use crate::workspace::{Entry, Workspace, read};
use anstream::{eprint, print, println};
use anyhow::{Context, Result, bail};
use comfy_table::{Cell, Table, presets};
use std::process::ExitCode;

pub fn run(workspace: &Workspace, names: &[String], source: &Source, format: Format, all: bool) -> Result<ExitCode> {
    let entries = workspace.select(names)?;
    let results = grade_all(workspace, &entries, names, source, |result, warnings| {
        if format == Format::Human {
            if result.status == Status::Failed || result.status == Status::Passed {
                print!("{warnings}");
            }
            exercise(result, if all { usize::MAX } else { EXPLAINED });
        }
    })?;
    let report = Report::new(results);
    match format {
        Format::Json => println!("{}", serde_json::to_string_pretty(&report)?),
        Format::Human => summary(workspace, &report, source),
    }
    Ok(exit_code(report.status))
}

pub fn exit_code(status: Status) -> ExitCode {
    ExitCode::from(match status {
        Status::Passed => 0,
        Status::GraderError => 3,
        _ => 1,
    })
}

/// Builds and grades `entries` in order; `each` hears of every result as it comes, with the compiler's warnings.
pub fn grade_all(
    workspace: &Workspace,
    entries: &[&Entry],
    named: &[String],
    source: &Source,
    mut each: impl FnMut(&ExerciseResult, &str),
) -> Result<Vec<ExerciseResult>> {
    let is_named = |entry: &Entry| named.iter().any(|name| entry.is(name));
    let entries: Vec<&Entry> = match source {
        Source::Path(path) => {
            if !path.exists() {
                bail!("there is no {}; `--modules` takes `exercises`, `solutions`, a file or a folder", path.display());
            }
            let missing = entries.iter().find(|e| is_named(e) && find_module(path, &e.name).is_none());
            if let Some(entry) = missing {
                bail!("{} holds no file {}.rs", path.display(), entry.name);
            }
            if path.is_file() && entries.len() != 1 {
                bail!("{} is one file: name the exercise that it solves", path.display());
            }
            entries.iter().copied().filter(|e| find_module(path, &e.name).is_some()).collect()
        }
        _ => entries.to_vec(),
    };
    if entries.is_empty() {
        bail!("no module of any exercise is there; files are named as in `exercises`: scheduler/taints.rs");
    }
    let file = |entry: &&Entry| match source {
        Source::Solutions => None,
        Source::Exercises => Some(workspace.exercise_file(&entry.name)),
        Source::Path(path) => find_module(path, &entry.name),
    };
    let modules: Vec<Module> = entries
        .iter()
        .filter_map(|entry| Some(Module { name: entry.name.clone(), exercise: entry.name.clone(), file: file(entry)? }))
        .collect();
    if let (Source::Exercises, Some(gone)) = (source, modules.iter().find(|module| !module.file.is_file())) {
        bail!("exercises/{0}.rs is gone; `cargo grade reset {0}` brings it back", gone.name);
    }
    let mut programs = build::build(workspace, &modules)?;
    let mut results: Vec<ExerciseResult> = Vec::new();
    for entry in entries {
        let broken = results.iter().find(|r| {
            entry.builds_on.contains(&r.name) && matches!(r.status, Status::Failed | Status::Error | Status::Skipped)
        });
        let result = match (broken, source) {
            // Whoever names an exercise wants to see it.
            (Some(broken), _) if !is_named(entry) => grade::skipped(entry, &broken.name),
            (_, Source::Solutions) => grade(workspace, entry, grade::Module::InProcess),
            _ => {
                let program = programs.get(&entry.name).context("Cargo said nothing of this exercise")?;
                grade(workspace, entry, grade::Module::Program(program))
            }
        };
        let warnings = match programs.remove(&entry.name) {
            Some(Program::Ready { warnings, .. }) => warnings,
            _ => String::new(),
        };
        each(&result, &warnings);
        results.push(result);
    }
    Ok(results)
}

fn summary(workspace: &Workspace, report: &Report, source: &Source) {
    let done = report.exercises.iter().filter(|e| e.status == Status::Passed).count();
    let total = report.exercises.len();
    if total > 1 {
        println!("\n  {done} of {total} exercises passed");
    }
    if *source == Source::Exercises && report.status == Status::Passed {
        for result in report.exercises.iter().filter(|_| total == 1) {
            println!("\n      compare   cargo grade solution {}", result.name);
            println!("      go deeper book/src/{}.md#follow-up-questions", result.name);
        }
        let graded = |entry: &&Entry| report.exercises.iter().any(|r| r.name == entry.name);
        if let Some(next) = workspace.catalog.iter().skip_while(|e| !graded(e)).find(|e| !graded(e)) {
            println!(
                "      next      exercises/{}.rs · {} · {} min {}",
                next.name,
                next.title,
                next.minutes,
                next.stars()
            );
        }
    }
}

/// Where the learner stands, and what to do next.
pub fn progress(workspace: &Workspace) -> Result<ExitCode> {
    if std::io::IsTerminal::is_terminal(&std::io::stderr()) {
        eprint!("  building your modules …\r");
    }
    let entries = workspace.select(&[])?;
    let results = grade_all(workspace, &entries, &[], &Source::Exercises, |_, _| {})?;
    let total = entries.len();
    println!("  {} · {total} exercises · Kubernetes {KUBERNETES}\n", paint(BOLD, "Kubernetes from the inside"));
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
    println!("{table}\n");
    let next = entries.iter().zip(&results).find(|(_, r)| r.status != Status::Passed);
    let Some((entry, result)) = next else {
        println!(
            "  {}  What is left: the follow-up questions of the book.  cargo book serve",
            paint(GREEN, "All done.")
        );
        return Ok(exit_code(report_status(&results)));
    };
    let name = &entry.name;
    let what = if result.status == Status::NotStarted { "Start here:" } else { "Go on here:" };
    println!("  {what:<12} exercises/{name}.rs");
    println!("  {:<12} cargo grade watch", "Then:");
    println!("  {:<12} cargo book serve   → {:?}", "Read:", entry.title);
    if result.status == Status::GraderError {
        let message = result.message.clone().or_else(|| result.scenarios.iter().find_map(|s| s.message.clone()));
        println!("\n  {} {}", paint(YELLOW, "the grader has a problem:"), message.unwrap_or_default());
        return Ok(exit_code(Status::GraderError));
    }
    // Showing where someone stands is no failure.
    Ok(ExitCode::SUCCESS)
}

fn report_status(results: &[ExerciseResult]) -> Status {
    Report::new(results.to_vec()).status
}

pub fn list(workspace: &Workspace, format: Format) -> Result<ExitCode> {
    if format == Format::Json {
        let exercises: Vec<_> = workspace
            .catalog
            .iter()
            .map(|e| {
                serde_json::json!({
                    "name": e.name, "title": e.title, "minutes": e.minutes, "difficulty": e.difficulty,
                    "builds_on": e.builds_on, "hints": e.hints.len(), "file": format!("exercises/{}.rs", e.name),
                    "book": format!("book/src/{}.md", e.name),
                })
            })
            .collect();
        let document = serde_json::json!({
            "schema_version": SCHEMA_VERSION, "kubernetes": KUBERNETES, "exercises": exercises,
        });
        println!("{}", serde_json::to_string_pretty(&document)?);
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = plain_table(&["exercise", "title", "time", "", "started", "builds on"]);
    for entry in &workspace.catalog {
        // What the exercise answers is for `cargo grade`; a list must be quick.
        let started = !read(&workspace.exercise_file(&entry.name)).unwrap_or_default().contains("todo!(");
        table.add_row([
            entry.name.clone(),
            entry.title.clone(),
            format!("{} min", entry.minutes),
            entry.stars(),
            if started { "no todo!() left".into() } else { String::new() },
            entry.builds_on.join(", "),
        ]);
    }
    println!("{table}");
    Ok(ExitCode::SUCCESS)
}

/// A table without lines, as `kubectl get` prints them.
pub fn plain_table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(header.iter().map(|title| Cell::new(paint(DIM, title))));
    for column in table.column_iter_mut() {
        column.set_padding((2, 0));
    }
    table
}
