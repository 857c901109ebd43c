//! Grades many exercises: builds and plays them side by side, and reports in learning order.

use crate::display::plain;
use crate::display::progress::{Bar, PATIENCE, patiently};
use crate::module::build::{self, Module, Program, Source, find_module};
use crate::verdict::cancel;
use crate::verdict::grade::{self, grade};
use crate::verdict::passes;
use crate::verdict::report::{ExerciseResult, Status};
use crate::workspace::{Entry, Workspace};
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};

/// What is graded, and how.
pub struct Suite<'a> {
    workspace: &'a Workspace,
    source: &'a Source,
    /// In learning order.
    entries: Vec<&'a Entry>,
    /// Names that were given: these are graded even if what they build on did not pass.
    named: &'a [String],
    jobs: usize,
}

impl<'a> Suite<'a> {
    /// Checks that modules of the exercises are there. Of those that nobody named, exercises without a module are
    /// left out.
    pub fn new(
        workspace: &'a Workspace,
        entries: Vec<&'a Entry>,
        named: &'a [String],
        source: &'a Source,
    ) -> Result<Self> {
        let jobs = std::thread::available_parallelism().map_or(1, usize::from);
        let mut suite = Suite { workspace, source, entries, named, jobs };
        match source {
            Source::Path(path) => {
                if !path.exists() {
                    bail!(
                        "there is no {}; `--modules` takes `exercises`, `solutions`, a file or a folder",
                        plain::name(path)
                    );
                }
                let missing = suite.entries.iter().find(|e| suite.is_named(e) && suite.file(e).is_none());
                if let Some(entry) = missing {
                    bail!("{} holds no file {}.rs", plain::name(path), entry.name);
                }
                if path.is_file() && suite.entries.len() != 1 {
                    bail!("{} is one file: name the exercise that it solves", plain::name(path));
                }
                suite.entries.retain(|entry| find_module(path, &entry.name).is_some());
            }
            Source::Worker(_) if suite.entries.len() != 1 => bail!("name the exercise that `--worker` solves"),
            Source::Exercises => {
                let gone = suite.entries.iter().find(|entry| !workspace.exercise_file(&entry.name).is_file());
                if let Some(gone) = gone {
                    bail!("exercises/{0}.rs is gone; `cargo grade reset {0}` brings it back", gone.name);
                }
            }
            _ => {}
        }
        Ok(suite)
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// One exercise by name, the learner's file of it.
    pub fn of_one(workspace: &'a Workspace, entry: &'a Entry) -> Result<Self> {
        Suite::new(workspace, vec![entry], std::slice::from_ref(&entry.name), &Source::Exercises)
    }

    /// How many exercises are graded at the same time; without it, as many as there are processors.
    pub fn jobs(mut self, jobs: Option<usize>) -> Self {
        self.jobs = jobs.unwrap_or(self.jobs).max(1);
        self
    }

    /// Grades all, and calls `each` with every result in learning order as soon as it is known.
    pub fn grade(&self, each: impl FnMut(&ExerciseResult)) -> Result<Vec<ExerciseResult>> {
        if self.entries.iter().filter_map(|entry| self.file(entry)).any(|file| build::is_rust(&file)) {
            patiently("building the kit", || build::prepare(self.workspace))?;
        }
        let next = AtomicUsize::new(0);
        let (sender, graded) = channel();
        std::thread::scope(|scope| {
            for _ in 0..self.jobs.min(self.entries.len()) {
                let (sender, next) = (sender.clone(), &next);
                scope.spawn(move || {
                    while let Some((place, entry)) = self.take(next) {
                        if cancel::is_cancelled() || sender.send((place, self.one(entry))).is_err() {
                            break;
                        }
                    }
                });
            }
            drop(sender);
            self.in_order(&graded, each)
        })
    }

    fn take(&self, next: &AtomicUsize) -> Option<(usize, &'a Entry)> {
        let place = next.fetch_add(1, Ordering::Relaxed);
        self.entries.get(place).map(|entry| (place, *entry))
    }

    /// Puts results that come as they are ready into learning order, and skips what builds on something broken.
    fn in_order(
        &self,
        graded: &Receiver<(usize, Result<ExerciseResult>)>,
        mut each: impl FnMut(&ExerciseResult),
    ) -> Result<Vec<ExerciseResult>> {
        let bar = Bar::new(self.entries.len());
        let mut early = BTreeMap::new();
        let mut results: Vec<ExerciseResult> = Vec::new();
        while results.len() < self.entries.len() {
            let Some(entry) = self.entries.get(results.len()) else { break };
            let Some(result) = early.remove(&results.len()) else {
                match graded.recv_timeout(PATIENCE) {
                    Ok((place, result)) => _ = early.insert(place, result),
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => bail!("the run was cancelled"),
                }
                bar.show(results.len() + early.len());
                continue;
            };
            let result = match results.iter().find(|r| entry.builds_on.contains(&r.name) && is_broken(r)) {
                // Whoever names an exercise wants to see it.
                Some(broken) if !self.is_named(entry) => grade::skipped(entry, &broken.name),
                _ => result?,
            };
            bar.suspend(|| each(&result));
            results.push(result);
        }
        Ok(results)
    }

    /// Builds and plays one exercise.
    fn one(&self, entry: &Entry) -> Result<ExerciseResult> {
        let Some(file) = self.file(entry) else {
            return Ok(match self.source {
                Source::Worker(command) => {
                    let program = build::worker(self.workspace, command);
                    grade(self.workspace, entry, grade::Module::Program(&program))
                }
                _ => grade(self.workspace, entry, grade::Module::InProcess),
            });
        };
        let module = match self.source {
            Source::Path(path) => Module::of(&entry.name, file.clone()).within(path),
            _ => Module::of(&entry.name, file.clone()),
        };
        let modules = [module];
        let mut programs = build::build(self.workspace, &modules)?;
        let program = programs.remove(&entry.name).context("the module was not built")?;
        let mut result = grade(self.workspace, entry, grade::Module::Program(&program));
        if let Program::Ready { warnings, .. } = &program
            && !warnings.is_empty()
        {
            result.warnings = Some(anstream::adapter::strip_str(warnings).to_string());
        }
        let shown = file.strip_prefix(&self.workspace.root).unwrap_or(&file).display().to_string();
        let text = modules[0].own_text().unwrap_or_default();
        result.line = locate(&result, &shown, text);
        // A variation passes by another rule than the exercise does.
        if *self.source == Source::Exercises && result.variation.is_none() {
            passes::note(self.workspace, &result, text)?;
        }
        result.file = Some(shown);
        Ok(result)
    }

    fn is_named(&self, entry: &Entry) -> bool {
        self.named.iter().any(|name| entry.is(name))
    }

    /// The file of a module that is not in this process and no program already.
    fn file(&self, entry: &Entry) -> Option<PathBuf> {
        match self.source {
            Source::Solutions | Source::Worker(_) => None,
            Source::Exercises => Some(self.workspace.exercise_file(&entry.name)),
            Source::Path(path) => find_module(path, &entry.name),
        }
    }
}

fn is_broken(result: &ExerciseResult) -> bool {
    matches!(result.status, Status::Failed | Status::Error | Status::Skipped)
}

/// The line to look at: the first that the compiler or a panic names, else the `impl` of the module.
fn locate(result: &ExerciseResult, file: &str, text: &str) -> Option<u32> {
    let messages = result.message.iter().chain(result.scenarios.iter().filter_map(|s| s.message.as_ref()));
    let named = |message: &String| -> Option<u32> {
        let (_, rest) = message.split_once(&format!("{file}:"))?;
        rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
    };
    messages.filter(|_| result.status == Status::Error).find_map(named).or_else(|| implementation(text))
}

/// The line of `impl Trait for Exercise`.
fn implementation(text: &str) -> Option<u32> {
    let last = text.lines().find_map(|line| line.strip_prefix("kit::exercise!("))?;
    let (module, _) = last.split_once(':')?;
    let place = text.lines().position(|line| {
        let line = line.trim_start();
        line.starts_with("impl") && line.contains(&format!(" for {}", module.trim()))
    })?;
    u32::try_from(place + 1).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_impl_is_found_by_the_last_line() {
        let text = "struct Mine;\nimpl Mine {}\nimpl Default for Other {}\nimpl Taints for Mine {\n}\nkit::exercise!(Mine: Taints);\n";
        assert_eq!(implementation(text), Some(4));
        assert_eq!(implementation("fn main() {}"), None);
    }
}
