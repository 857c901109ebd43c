//! `mutants`: does some scenario notice each small mistake in a solution?
//!
//! Every mutant that compiles must fail in a scenario. One that answers as the solution does, whatever is asked, is no
//! mistake; it stands in `tests/modules/<exercise>/equivalent.yaml` with the reason.

use crate::Format;
use crate::authors::side_by_side;
use crate::commands::run::exit_code;
use crate::display::human::{BOLD, DIM, mark, paint};
use crate::module::build::{self, Program, Text};
use crate::verdict::grade::caught_by;
use crate::verdict::report::{KUBERNETES, SCHEMA_VERSION, Status};
use crate::verdict::scenario::{Scenario, Script};
use crate::workspace::{Entry, Workspace, read};
use anstream::println;
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

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

/// A solution under test.
struct Suspect<'a> {
    entry: &'a Entry,
    source: String,
    scenarios: Vec<Scenario>,
    equivalents: Vec<Equivalent>,
    mutants: Vec<Mutant>,
}

/// What became of one mutant.
enum Fate {
    Unviable,
    Caught,
    Survived,
}

/// Tests the scenarios of `names`; with `since`, of those that were judged before, by an `equivalent.yaml`, and whose
/// solution or scenarios are other than in that commit. With `apart`, each mutant is a program of its own.
pub fn mutants(
    workspace: &Workspace,
    names: &[String],
    since: Option<&str>,
    apart: bool,
    format: Format,
) -> Result<ExitCode> {
    let mut entries = workspace.select(names)?;
    if let Some(commit) = since {
        let changed = changed_since(workspace, commit)?;
        entries.retain(|entry| equivalent_file(workspace, entry).is_file() && concerns(entry, &changed));
    }
    let suspects = suspects(workspace, &entries)?;
    build::prepare(workspace)?;
    let shared = if apart { 1 } else { build::SHARED };
    // Programs of all solutions are tested side by side, so that nobody waits for the last one of each.
    let programs: Vec<(&Suspect<'_>, usize, &[Mutant])> = suspects
        .iter()
        .flat_map(|suspect| suspect.mutants.chunks(shared).enumerate().map(move |(i, some)| (suspect, i, some)))
        .collect();
    let mut waiting = suspects.iter();
    let mut exercises = Vec::new();
    let mut fates = Vec::new();
    let mut conclude = |fates: &mut Vec<Fate>| {
        while let Some(suspect) = waiting.as_slice().first().filter(|next| next.mutants.len() <= fates.len()) {
            let outcome = suspect.outcome(fates.drain(..suspect.mutants.len()));
            if format == Format::Human {
                show(&outcome);
            }
            exercises.push(outcome);
            waiting.next();
        }
        let doing = waiting.as_slice().first().filter(|_| std::io::stderr().is_terminal());
        if let Some(Suspect { entry, mutants, .. }) = doing {
            anstream::eprint!("\r  {} · {} of {} mutants \r", entry.name, fates.len(), mutants.len());
        }
    };
    side_by_side(
        &programs,
        |(suspect, number, some)| suspect.test(workspace, *number, some),
        |tested: Result<Vec<Fate>>| {
            fates.extend(tested?);
            conclude(&mut fates);
            Ok(())
        },
    )?;
    conclude(&mut fates);
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

impl Suspect<'_> {
    /// The fates of some mutants, which share a program.
    fn test(&self, workspace: &Workspace, number: usize, mutants: &[Mutant]) -> Result<Vec<Fate>> {
        // Another run may be testing the same mutants.
        let own = format!("{}-{number}", std::process::id());
        let folder = workspace.target().join("grade/mutants").join(&self.entry.name).join(own);
        let mut texts = Vec::new();
        for (number, mutant) in mutants.iter().enumerate() {
            let text = mutant.apply(&self.source).context("a mutant outside of its file")?;
            let text = build::as_program(workspace, &self.entry.name, &text)?;
            texts.push(Text { name: format!("mutant-{number:02}"), text });
        }
        let programs = build::together(workspace, &folder, &texts, texts.len())?;
        let mut order: Vec<&Scenario> = self.scenarios.iter().collect();
        let mut fates = Vec::new();
        for program in programs {
            let Program::Ready { start, .. } = program else {
                fates.push(Fate::Unviable);
                continue;
            };
            let caught = caught_by(workspace, self.entry, order.iter().copied(), &start)?;
            fates.push(if caught.is_some() { Fate::Caught } else { Fate::Survived });
            // What caught one mistake often catches the next, which is near; but it must not be one that takes long.
            let by = caught.and_then(|caught| order.iter().position(|scenario| scenario.name == caught.name));
            if let Some(by) = by.filter(|&by| matches!(order[by].script, Script::Cases(_))) {
                order[..=by].rotate_right(1);
            }
        }
        // A program has megabytes, and nobody needs it again.
        let _ = std::fs::remove_dir_all(folder);
        Ok(fates)
    }

    fn outcome(&self, fates: impl Iterator<Item = Fate>) -> Outcome {
        let mut outcome = Outcome {
            name: self.entry.name.clone(),
            status: Status::Passed,
            mutants: self.mutants.len(),
            caught: 0,
            unviable: 0,
            equivalent: 0,
            survivors: Vec::new(),
            stale: Vec::new(),
        };
        let mut excused = vec![false; self.equivalents.len()];
        for (mutant, fate) in self.mutants.iter().zip(fates) {
            match fate {
                Fate::Unviable => outcome.unviable += 1,
                Fate::Caught => outcome.caught += 1,
                Fate::Survived => {
                    let place = mutant.place(&self.source);
                    match self.equivalents.iter().position(|equivalent| equivalent.place == place) {
                        Some(known) => {
                            excused[known] = true;
                            outcome.equivalent += 1;
                        }
                        None => outcome.survivors.push(Survivor { number: mutant.line, place }),
                    }
                }
            }
        }
        let unused = self.equivalents.iter().zip(excused).filter(|(_, excused)| !excused);
        outcome.stale = unused.map(|(equivalent, _)| equivalent.place.clone()).collect();
        if !outcome.survivors.is_empty() || !outcome.stale.is_empty() {
            outcome.status = Status::Failed;
        }
        outcome
    }
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

fn suspects<'a>(workspace: &Workspace, entries: &[&'a Entry]) -> Result<Vec<Suspect<'a>>> {
    let mut suspects = Vec::new();
    for (entry, mutants) in entries.iter().zip(list(workspace, entries)?) {
        suspects.push(Suspect {
            entry,
            source: read(&workspace.solution_file(&entry.name))?,
            scenarios: Scenario::load_all(&workspace.scenarios_dir(&entry.name))?,
            equivalents: equivalents(workspace, entry)?,
            mutants,
        });
    }
    Ok(suspects)
}

/// The mutants of each solution, as `mutate` tells them.
fn list(workspace: &Workspace, entries: &[&Entry]) -> Result<Vec<Vec<Mutant>>> {
    if entries.is_empty() {
        return Ok(Vec::new());
    }
    let solutions = entries.iter().map(|entry| workspace.solution_file(&entry.name));
    Ok(serde_json::from_slice(&build::run_package(workspace, "mutate", solutions)?)?)
}

fn changed_since(workspace: &Workspace, commit: &str) -> Result<Vec<String>> {
    let out = Command::new("git")
        .args(["diff", "--name-only", "--end-of-options", commit])
        .current_dir(&workspace.root)
        .output()
        .context("`--since` asks git what was changed, and git can't be run")?;
    if !out.status.success() {
        let said = String::from_utf8_lossy(&out.stderr);
        bail!("`--since` asks git what was changed: {}", said.lines().next().unwrap_or_default());
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
            stages: Vec::new(),
        };
        let concerned = |file: &str| concerns(&entry, &[file.to_string()]);
        assert!(concerned("solutions/node/qos.rs") && concerned("tests/scenarios/node/qos/burstable.yaml"));
        assert!(!concerned("solutions/node/qos_other.rs") && !concerned("book/src/node/qos.md"));
    }
}
