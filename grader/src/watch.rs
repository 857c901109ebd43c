//! `watch`: a verdict each time a file is saved.

use crate::build::Source;
use crate::human::{BOLD, DIM, exercise, paint};
use crate::report::Status;
use crate::suite::Suite;
use crate::workspace::{Entry, Workspace};
use anstream::{print, println};
use anyhow::{Context, Result};
use notify::{RecursiveMode, Watcher};
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// Editors write a file in several steps; this long nothing may happen before it counts as saved.
const QUIET: Duration = Duration::from_millis(60);

pub fn watch(workspace: &Workspace, first: Option<&str>) -> Result<ExitCode> {
    let (sender, changes) = channel();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        if let Ok(event) = event
            && (event.kind.is_modify() || event.kind.is_create())
        {
            for path in event.paths {
                let _ = sender.send(path);
            }
        }
    })
    .context("can't watch files here; `cargo grade run` works all the same")?;
    let exercises = workspace.root.join("exercises");
    watcher
        .watch(&exercises, RecursiveMode::Recursive)
        .with_context(|| format!("can't watch {}", exercises.display()))?;

    let mut current = match first {
        Some(name) => workspace.one(name)?,
        None => next(workspace)?,
    };
    loop {
        show(workspace, current);
        current = loop {
            let Some(saved) = wait(&changes) else {
                return Ok(ExitCode::SUCCESS);
            };
            let entry = workspace.catalog.iter().find(|e| saved.contains(&workspace.exercise_file(&e.name)));
            if let Some(entry) = entry {
                break entry;
            }
        };
    }
}

/// The first exercise that has not passed, or the last one.
fn next(workspace: &Workspace) -> Result<&Entry> {
    println!("  looking for your next exercise …");
    let entries = workspace.select(&[])?;
    let results = Suite::new(workspace, entries, &[], &Source::Exercises)?.grade(|_| {})?;
    let open = results.iter().position(|r| r.status != Status::Passed);
    let entry = open.map_or(workspace.catalog.last(), |i| workspace.catalog.get(i));
    entry.context("the catalogue is empty")
}

/// What was saved, once it is quiet; none when the watcher is gone.
fn wait(changes: &Receiver<PathBuf>) -> Option<Vec<PathBuf>> {
    let mut saved = vec![changes.recv().ok()?];
    while let Ok(path) = changes.recv_timeout(QUIET) {
        saved.push(path);
    }
    Some(saved)
}

fn show(workspace: &Workspace, entry: &Entry) {
    if std::io::stdout().is_terminal() {
        // Clear the screen and what was scrolled away, as the next verdict begins at the top.
        print!("\x1b[2J\x1b[3J\x1b[H");
    }
    println!("  {}   {}\n", paint(BOLD, &entry.title), paint(DIM, format_args!("exercises/{}.rs", entry.name)));
    let mut passed = false;
    let graded = Suite::of_one(workspace, entry).and_then(|suite| {
        suite.grade(|result| {
            // One at a time fits on a screen.
            print!("{}", exercise(result, 1));
            passed = result.status == Status::Passed;
        })
    });
    if let Err(e) = graded {
        println!("  {e:#}");
    }
    if passed {
        println!("\n      compare   cargo grade solution {}", entry.name);
        println!("      go deeper book/src/{}.md#follow-up-questions", entry.name);
        let after = workspace.catalog.iter().skip_while(|e| e.name != entry.name).nth(1);
        if let Some(next) = after {
            println!("      next      save exercises/{}.rs, and it is graded here", next.name);
        }
    }
    println!("\n  {}", paint(DIM, "graded again when you save an exercise · hints: cargo grade hint · Ctrl-C ends"));
    let _ = std::io::stdout().flush();
}
