//! What a learner asks for when stuck: `hint`, `solution`, `diff`, `reset`.

use crate::display::human::{BOLD, DIM, GREEN, RED, paint};
use crate::display::terminal::columns;
use crate::verdict::report::Status;
use crate::verdict::suite::Suite;
use crate::workspace::{Entry, Workspace, lines, read, write};
use anstream::println;
use anyhow::{Context, Result};
use similar::{ChangeTag, TextDiff};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{SystemTime, UNIX_EPOCH};

/// No line of a hint is longer.
const WIDEST: usize = 100;

/// Shows one hint more than the last time.
pub fn hint(workspace: &Workspace, name: &str, restart: bool) -> Result<ExitCode> {
    let entry = workspace.one(name)?;
    let path = workspace.target().join("grade/hints.json");
    let mut shown: BTreeMap<String, usize> =
        read(&path).ok().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    let hints = workspace.hints(entry)?;
    let before = if restart { 0 } else { shown.get(&entry.name).copied().unwrap_or(0) };
    let now = (before + 1).min(hints.len());
    let width = columns().map_or(WIDEST, |columns| columns.min(WIDEST));
    println!("  {}\n", paint(BOLD, format_args!("{} · hints", entry.name)));
    for (i, hint) in hints.iter().take(now).enumerate() {
        let first = format!("  {}. ", i + 1);
        let line = textwrap::fill(
            hint.trim(),
            textwrap::Options::new(width).initial_indent(&first).subsequent_indent("     "),
        );
        // Hints that were seen before step back behind the new one.
        println!("{}\n", if i + 1 < now { paint(DIM, line) } else { line });
    }
    match hints.len() - now {
        0 => println!("  That was the last one. The book: book/src/{}.md", entry.name),
        left => println!("  {}", paint(DIM, format_args!("{left} more: cargo grade hint {}", entry.name))),
    }
    shown.insert(entry.name.clone(), now);
    write(&path, &serde_json::to_string_pretty(&shown)?)?;
    Ok(ExitCode::SUCCESS)
}

/// Shows the reference to someone who has passed, or who insists.
pub fn solution(workspace: &Workspace, name: &str, spoil: bool) -> Result<ExitCode> {
    let entry = workspace.one(name)?;
    if !spoil && !has_passed(workspace, entry, "solution")? {
        return Ok(ExitCode::FAILURE);
    }
    println!("{}", without_anchors(&read(&workspace.solution_file(&entry.name))?));
    Ok(ExitCode::SUCCESS)
}

/// Shows where a learner's file and the reference are different, line by line.
pub fn diff(workspace: &Workspace, name: &str, spoil: bool) -> Result<ExitCode> {
    let entry = workspace.one(name)?;
    if !spoil && !has_passed(workspace, entry, "diff")? {
        return Ok(ExitCode::FAILURE);
    }
    // The last line, which only a program has, is not what is compared.
    let text = |path: &Path| -> Result<String> {
        let text = without_anchors(&read(path)?);
        let code = text.lines().filter(|line| !line.starts_with("kit::exercise!("));
        Ok(code.collect::<Vec<_>>().join("\n").trim_end().to_string() + "\n")
    };
    let (yours, reference) =
        (text(&workspace.exercise_file(&entry.name))?, text(&workspace.solution_file(&entry.name))?);
    println!("{}", paint(RED, format_args!("--- exercises/{}.rs", entry.name)));
    println!("{}", paint(GREEN, format_args!("+++ solutions/{}.rs", entry.name)));
    let diff = TextDiff::from_lines(&yours, &reference);
    for hunk in diff.unified_diff().context_radius(3).iter_hunks() {
        println!("{}", paint(DIM, hunk.header()));
        for change in hunk.iter_changes() {
            let line = change.value().trim_end_matches('\n');
            match change.tag() {
                ChangeTag::Equal => println!(" {line}"),
                ChangeTag::Delete => println!("{}", paint(RED, format_args!("-{line}"))),
                ChangeTag::Insert => println!("{}", paint(GREEN, format_args!("+{line}"))),
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A solution without the marks at which the book cuts it.
fn without_anchors(text: &str) -> String {
    text.lines().filter(|line| !line.contains("// ANCHOR")).collect::<Vec<_>>().join("\n")
}

/// Whether the learner's file passes; else says what there is instead of the solution.
fn has_passed(workspace: &Workspace, entry: &Entry, command: &str) -> Result<bool> {
    let results = Suite::of_one(workspace, entry)?.grade(|_| {})?;
    let passed = results.iter().all(|result| result.status == Status::Passed);
    if !passed {
        println!("  {} has not passed yet, and the solution can be seen only once for the first time.", entry.name);
        println!("      a hint    cargo grade hint {}", entry.name);
        println!("      anyway    cargo grade {command} {} --spoil", entry.name);
    }
    Ok(passed)
}

include!(concat!(env!("OUT_DIR"), "/stubs.rs"));

/// The newest version that git knows with something to do in it. A download has no history, and then no git either.
fn first_version(workspace: &Workspace, file: &str) -> Option<String> {
    let git = |args: &[&str]| -> Option<String> {
        let out = Command::new("git").arg("-C").arg(&workspace.root).args(args).output().ok()?;
        out.status.success().then(|| String::from_utf8_lossy(&out.stdout).into_owned())
    };
    let commits = git(&["log", "--format=%H", "--", file])?;
    let texts = commits.lines().filter_map(|commit| git(&["show", &format!("{commit}:./{file}")]));
    texts.map(lines).find(|text| text.contains("todo!("))
}

/// Brings back the newest version of the file that still had something to do.
pub fn reset(workspace: &Workspace, name: &str) -> Result<ExitCode> {
    let entry = workspace.one(name)?;
    let file = format!("exercises/{}.rs", entry.name);
    let path = workspace.exercise_file(&entry.name);
    let stub = first_version(workspace, &file)
        .or_else(|| STUBS.iter().find(|(name, _)| *name == entry.name).map(|(_, stub)| lines((*stub).into())));
    let stub = stub.with_context(|| {
        format!("neither git nor this grader knows a version of {file} with a todo!() in it; take it from a fresh copy of the kit")
    })?;
    let yours = read(&path).unwrap_or_default();
    if yours == stub {
        println!("  {file} is as it was at the start.");
        return Ok(ExitCode::SUCCESS);
    }
    if !yours.is_empty() {
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let copy = workspace.target().join(format!("grade/backup/{}-{seconds}.rs", entry.name));
        write(&copy, &yours)?;
        println!("  Your version is kept in {}", copy.strip_prefix(&workspace.root).unwrap_or(&copy).display());
    }
    write(&path, &stub)?;
    println!("  {file} is as it was at the start.");
    Ok(ExitCode::SUCCESS)
}
