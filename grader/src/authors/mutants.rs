//! `mutants`: does some scenario notice each small mistake in a solution?
//!
//! Every mutant that compiles must fail in a scenario. One that answers as the solution does, whatever is asked, is no
//! mistake; it stands in `tests/modules/<exercise>/equivalent.yaml` with the reason.

use crate::Format;
use crate::commands::run::exit_code;
use crate::display::human::{BOLD, DIM, mark, paint};
use crate::module::build::{self, Module, Program};
use crate::verdict::grade::caught_by;
use crate::verdict::report::{KUBERNETES, SCHEMA_VERSION, Status};
use crate::workspace::{Entry, Workspace, read, write};
use anstream::println;
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

/// So many mutants lie on the disk at one time.
const BATCH: usize = 16;

/// As the program `mutate` prints it.
#[derive(Deserialize)]
struct Mutant {
    line: usize,
    function: String,
    what: String,
    start: usize,
    end: usize,
    text: String,
}

/// A mutant that people can find again: by its function, its line of source, and what was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    function: String,
    line: String,
    mutant: String,
}

/// An entry of `equivalent.yaml`.
#[derive(Deserialize)]
struct Equivalent {
    #[serde(flatten)]
    place: Place,
    /// Why no scenario could tell it from the solution.
    why: String,
}

/// What became of the mutants of one solution.
#[derive(Serialize)]
struct Outcome {
    name: String,
    status: Status,
    mutants: usize,
    /// A scenario failed.
    caught: usize,
    /// It is no Rust.
    unviable: usize,
    equivalent: usize,
    /// All scenarios passed, and nobody says why.
    survivors: Vec<Survivor>,
    /// Entries of `equivalent.yaml` that stand for no surviving mutant.
    stale: Vec<Place>,
}

#[derive(Serialize)]
struct Survivor {
    /// Of the solution, counted from 1.
    number: usize,
    #[serde(flatten)]
    place: Place,
}

#[derive(Serialize)]
struct Report {
    schema_version: u32,
    kubernetes: &'static str,
    status: Status,
    exercises: Vec<Outcome>,
}

/// Tests the scenarios of `names`; with `since`, of those that were judged before, by an `equivalent.yaml`, and whose
/// solution or scenarios are other than in that commit.
pub fn mutants(workspace: &Workspace, names: &[String], since: Option<&str>, format: Format) -> Result<ExitCode> {
    let mut entries = workspace.select(names)?;
    if let Some(commit) = since {
        let changed = changed_since(workspace, commit)?;
        entries.retain(|entry| equivalent_file(workspace, entry).is_file() && concerns(entry, &changed));
    }
    let mut exercises = Vec::new();
    for entry in entries {
        let outcome = test(workspace, entry)?;
        if format == Format::Human {
            show(&outcome);
        }
        exercises.push(outcome);
    }
    let passed = exercises.iter().all(|outcome| outcome.status == Status::Passed);
    let status = if passed { Status::Passed } else { Status::Failed };
    match format {
        Format::Human if exercises.is_empty() => println!("  no judged solution and no scenario of one was changed"),
        Format::Human => {}
        Format::Json => {
            let report = Report { schema_version: SCHEMA_VERSION, kubernetes: KUBERNETES, status, exercises };
            println!("{}", serde_json::to_string_pretty(&report)?);
        }
    }
    Ok(exit_code(status))
}

fn test(workspace: &Workspace, entry: &Entry) -> Result<Outcome> {
    let source = read(&workspace.solution_file(&entry.name))?;
    let equivalents = equivalents(workspace, entry)?;
    let all = list(workspace, entry)?;
    let mut outcome = Outcome {
        name: entry.name.clone(),
        status: Status::Passed,
        mutants: all.len(),
        caught: 0,
        unviable: 0,
        equivalent: 0,
        survivors: Vec::new(),
        stale: Vec::new(),
    };
    let mut excused = vec![false; equivalents.len()];
    for (number, batch) in all.chunks(BATCH).enumerate() {
        if std::io::stderr().is_terminal() {
            anstream::eprint!("\r  {} · {} of {} mutants ", entry.name, number * BATCH, all.len());
        }
        for (mutant, program) in batch.iter().zip(build_all(workspace, entry, &source, batch)?) {
            let Program::Ready { start, .. } = program else {
                outcome.unviable += 1;
                continue;
            };
            if caught_by(workspace, entry, &start)?.is_some() {
                outcome.caught += 1;
                continue;
            }
            let place = mutant.place(&source);
            match equivalents.iter().position(|equivalent| equivalent.place == place) {
                Some(known) => {
                    excused[known] = true;
                    outcome.equivalent += 1;
                }
                None => outcome.survivors.push(Survivor { number: mutant.line, place }),
            }
        }
    }
    if std::io::stderr().is_terminal() {
        anstream::eprint!("\r{:60}\r", "");
    }
    let unused = equivalents.into_iter().zip(excused).filter(|(_, excused)| !excused);
    outcome.stale = unused.map(|(equivalent, _)| equivalent.place).collect();
    if !outcome.survivors.is_empty() || !outcome.stale.is_empty() {
        outcome.status = Status::Failed;
    }
    Ok(outcome)
}

impl Mutant {
    fn place(&self, source: &str) -> Place {
        let line = source.lines().nth(self.line - 1).unwrap_or_default().trim().to_string();
        Place { function: self.function.clone(), line, mutant: self.what.clone() }
    }

    /// The solution with this mistake.
    fn apply(&self, source: &str) -> Option<String> {
        Some(format!("{}{}{}", source.get(..self.start)?, self.text, source.get(self.end..)?))
    }
}

fn equivalent_file(workspace: &Workspace, entry: &Entry) -> PathBuf {
    workspace.modules_dir(&entry.name, "equivalent.yaml")
}

fn equivalents(workspace: &Workspace, entry: &Entry) -> Result<Vec<Equivalent>> {
    let path = equivalent_file(workspace, entry);
    if !path.is_file() {
        return Ok(Vec::new());
    }
    let name = path.display().to_string();
    let known: Vec<Equivalent> = serde_yaml::from_str(&read(&path)?).with_context(|| name.clone())?;
    if let Some(silent) = known.iter().find(|equivalent| equivalent.why.trim().is_empty()) {
        bail!("{name}: {} in `{}` needs a `why`", silent.place.mutant, silent.place.line);
    }
    Ok(known)
}

/// Asks `mutate`.
fn list(workspace: &Workspace, entry: &Entry) -> Result<Vec<Mutant>> {
    let solution = workspace.solution_file(&entry.name);
    Ok(serde_json::from_slice(&workspace.run_package("mutate", Some(solution.as_ref()))?)?)
}

/// The programs of a batch, in its order. Every batch uses the same files again.
fn build_all(workspace: &Workspace, entry: &Entry, source: &str, batch: &[Mutant]) -> Result<Vec<Program>> {
    let folder = workspace.target().join("grade/mutants").join(&entry.name);
    let name = |number: usize| format!("mutant-{number:02}");
    let mut modules = Vec::new();
    for (number, mutant) in batch.iter().enumerate() {
        let file = folder.join(name(number)).with_extension("rs");
        let text = mutant.apply(source).context("a mutant outside of its file")?;
        write(&file, &build::as_program(workspace, &entry.name, &text)?)?;
        modules.push(Module::of(&entry.name, file).named(format!("{}/{}", entry.name, name(number))));
    }
    let programs = build::build(workspace, &modules)?;
    // Names count up, and the map is sorted by them.
    Ok(programs.into_values().collect())
}

fn changed_since(workspace: &Workspace, commit: &str) -> Result<Vec<String>> {
    let out = Command::new("git")
        .args(["diff", "--name-only", "--end-of-options", commit])
        .current_dir(&workspace.root)
        .output()
        .context("can't run git")?;
    if !out.status.success() {
        bail!("git diff {commit}: {}", String::from_utf8_lossy(&out.stderr).trim_end());
    }
    Ok(String::from_utf8_lossy(&out.stdout).lines().map(str::to_string).collect())
}

/// Whether one of the changed files can change what becomes of the mutants of this exercise.
fn concerns(entry: &Entry, changed: &[String]) -> bool {
    let name = &entry.name;
    let places = [
        format!("solutions/{name}.rs"),
        format!("kit/contract/src/{name}.rs"),
        format!("tests/scenarios/{name}/"),
        format!("tests/modules/{name}/equivalent.yaml"),
    ];
    changed.iter().any(|file| places.iter().any(|place| file.starts_with(place)))
}

fn show(outcome: &Outcome) {
    let Outcome { name, status, mutants, caught, unviable, equivalent, survivors, stale } = outcome;
    let said = format!("{mutants} mutants: {caught} caught, {unviable} don't compile, {equivalent} equivalent");
    let left = if survivors.is_empty() { String::new() } else { format!(", {} survive", survivors.len()) };
    println!("  {} {}   {said}{left}", mark(*status), paint(BOLD, name));
    for Survivor { number, place } in survivors {
        println!("      solutions/{name}.rs:{number}   {}   {}", place.mutant, paint(DIM, &place.function));
        println!("          {}", place.line);
    }
    for place in stale {
        println!("      equivalent.yaml: no mutant {} survives in `{}`", place.mutant, place.line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_changed_decides_what_is_tested() {
        let entry = Entry {
            name: "node/qos".into(),
            title: String::new(),
            minutes: 1,
            difficulty: 1,
            builds_on: Vec::new(),
            hints: Vec::new(),
        };
        let concerned = |file: &str| concerns(&entry, &[file.to_string()]);
        assert!(concerned("solutions/node/qos.rs") && concerned("tests/scenarios/node/qos/burstable.yaml"));
        assert!(!concerned("solutions/node/qos_other.rs") && !concerned("book/src/node/qos.md"));
    }
}
