//! The kept modules of an exercise: plausible mistakes, and other ways to be right.

use super::{CORRECT, WRONG};
use crate::module::build::{self, Module, Program, Text};
use crate::module::process::Kind;
use crate::verdict::grade::{self, caught_by, caught_fresh, grade};
use crate::verdict::report::{ScenarioResult, Status};
use crate::verdict::scenario::Scenario;
use crate::workspace::{Entry, Workspace, files, read, stem};
use anyhow::Result;
use serde::Serialize;
use std::collections::BTreeMap;

/// What a wrong module names in its first line where only a fresh scenario catches it.
const FRESH: &str = "fresh";

pub type Programs = BTreeMap<String, Program>;

pub const STUB: &str = "exercise";

fn module_name(kind: &str, file: &std::path::Path) -> String {
    format!("{kind}/{}", stem(file))
}

/// The stub, and all wrong and alternative modules; so many of them share a program.
pub fn build_modules(workspace: &Workspace, entry: &Entry, shared: usize) -> Result<Programs> {
    let module = |name, file| Module::of(&entry.name, file).named(name);
    let mut modules = vec![module(STUB.into(), workspace.exercise_file(&entry.name))];
    for (kind, extension) in [("wrong", "patch"), ("correct", "rs")] {
        let found = files(&workspace.modules_dir(&entry.name, kind), extension);
        modules.extend(found.into_iter().map(|file| module(module_name(kind, &file), file)));
    }
    let mut texts = Vec::new();
    for module in &modules {
        // What is not even a text is refused below.
        let text = module.text(workspace)?.unwrap_or_default();
        texts.push(Text { name: module.name.clone(), text });
    }
    let folder = workspace.target().join("grade/together").join(&entry.name);
    let programs = build::together(workspace, &folder, &texts, shared)?;
    let mut programs: Programs = texts.into_iter().map(|text| text.name).zip(programs).collect();
    // By itself one may compile, such as one that says `crate::`; and if not, the errors are about its own file.
    modules.retain(|module| !matches!(programs.get(&module.name), Some(Program::Ready { .. })));
    for module in &mut modules {
        module.name = format!("{}/{}", entry.name, module.name);
    }
    let alone = build::build(workspace, &modules)?;
    let own = |name: String| name[entry.name.len() + 1..].to_string();
    programs.extend(alone.into_iter().map(|(name, program)| (own(name), program)));
    Ok(programs)
}

/// How many wrong modules there are, and what catches them.
#[derive(Default, Serialize)]
pub struct Caught {
    wrong: usize,
    by_goldens: usize,
    by_fresh: usize,
    by_both: usize,
    only_by_goldens: Vec<String>,
    only_by_fresh: Vec<String>,
}

impl Caught {
    fn count(&mut self, name: String, golden: bool, fresh: bool) {
        self.wrong += 1;
        self.by_goldens += usize::from(golden);
        self.by_fresh += usize::from(fresh);
        self.by_both += usize::from(golden && fresh);
        match (golden, fresh) {
            (true, false) => self.only_by_goldens.push(name),
            (false, true) => self.only_by_fresh.push(name),
            _ => {}
        }
    }

    /// As people read it.
    pub fn lines(&self) -> Vec<String> {
        let Caught { wrong, by_goldens, by_fresh, by_both, only_by_goldens, only_by_fresh } = self;
        let first = format!(
            "of {wrong} wrong modules {by_goldens} are caught by goldens, {by_fresh} by fresh scenarios, {by_both} by both"
        );
        let only = [("goldens", only_by_goldens), ("fresh scenarios", only_by_fresh)];
        let only = only.into_iter().filter(|(_, names)| !names.is_empty());
        std::iter::once(first)
            .chain(only.map(|(what, names)| format!("only by {what}: {}", names.join(", "))))
            .collect()
    }
}

/// Each plausible mistake fails in the scenario that its first line names, or in no golden and in a fresh scenario. Only such a
/// one is played as `thorough` says. Whether fresh scenarios catch the others, too, is merely counted, for who wants to know.
pub fn wrong_modules(
    workspace: &Workspace,
    thorough: &Workspace,
    entry: &Entry,
    programs: &Programs,
    mut caught: Option<&mut Caught>,
) -> Vec<String> {
    let found = files(&workspace.modules_dir(&entry.name, "wrong"), "patch");
    let scenarios = Scenario::load_all(&workspace.scenarios_dir(&entry.name)).unwrap_or_default();
    let mut problems = Vec::new();
    if found.len() < WRONG {
        problems.push(format!("{} wrong modules; there should be {WRONG}", found.len()));
    }
    for file in found {
        let text = read(&file).unwrap_or_default();
        let name = stem(&file);
        let named = text.strip_prefix("Fails: ").and_then(|rest| rest.split_whitespace().next());
        let Some(named) = named else {
            problems.push(format!(
                "{name}: its first line must be `Fails: <scenario> — <why>`, with `{FRESH}` for the scenario where no golden catches it"
            ));
            continue;
        };
        let meant: Vec<&Scenario> = scenarios.iter().filter(|s| named == FRESH || s.name == named).collect();
        if meant.is_empty() {
            problems.push(format!("{name}: there is no scenario {named}"));
            continue;
        }
        let Some(program) = programs.get(&module_name("wrong", &file)) else {
            problems.push(format!("{name}: nothing was built"));
            continue;
        };
        let Program::Ready { start, .. } = program else {
            problems.push(format!("{name}: {}", said(workspace, entry, program, named)));
            continue;
        };
        let golden = caught_by(workspace, entry, meant, start);
        let golden = golden.is_ok_and(|caught| caught.is_some_and(|scenario| fails(&scenario)));
        let wanted = named == FRESH || caught.is_some();
        let plan = if named == FRESH { thorough } else { workspace };
        let fresh = match wanted.then(|| caught_fresh(plan, entry, start)).transpose() {
            Ok(fresh) => fresh.unwrap_or_default(),
            Err(e) => {
                problems.push(format!("{name}: {e:#}"));
                continue;
            }
        };
        match (named == FRESH, golden, fresh) {
            (false, true, _) | (true, false, true) => {}
            // Only an author who has to mend it needs to know what the others say.
            _ => problems.push(format!("{name}: {}", said(workspace, entry, program, named))),
        }
        if let Some(caught) = &mut caught {
            caught.count(name, golden, fresh);
        }
    }
    problems
}

/// Some mistakes show by a panic, such as numbers that grow without end.
fn fails(scenario: &ScenarioResult) -> bool {
    scenario.status == Status::Failed || scenario.kind == Some(Kind::Panic)
}

/// What a wrong module should have done, and what it did.
fn said(workspace: &Workspace, entry: &Entry, program: &Program, named: &str) -> String {
    let result = grade(workspace, entry, grade::Module::Program(program));
    let failed: Vec<_> = result.scenarios.iter().filter(|s| fails(s)).map(|s| s.name.as_str()).collect();
    let seen = if failed.is_empty() { "no golden".into() } else { failed.join(", ") };
    let wanted = if named == FRESH { "in fresh scenarios only" } else { named };
    format!("it should fail in {wanted}, and failed in {seen} {}", result.message.unwrap_or_default())
}

/// Each correct module passes, however it is written.
pub fn alternatives(workspace: &Workspace, entry: &Entry, programs: &Programs) -> Vec<String> {
    let found = files(&workspace.modules_dir(&entry.name, "correct"), "rs");
    let mut problems = Vec::new();
    if found.len() < CORRECT {
        problems.push(format!("{} alternative modules; there should be {CORRECT}", found.len()));
    }
    for file in found {
        let name = stem(&file);
        let Some(program) = programs.get(&module_name("correct", &file)) else {
            problems.push(format!("{name}: nothing was built"));
            continue;
        };
        let result = grade(workspace, entry, grade::Module::Program(program));
        let not = result.scenarios.iter().filter(|s| s.status != Status::Passed).map(|s| s.name.as_str());
        let fresh = result.fresh.iter().filter(|fresh| fresh.scenario.status != Status::Passed);
        let fresh = fresh.map(|fresh| format!("fresh scenario {} of seed {}", fresh.played, fresh.seed));
        let not: Vec<String> = not.map(String::from).chain(fresh).collect();
        if result.status != Status::Passed {
            let message = result.message.unwrap_or_default();
            problems.push(format!("{name}: it should pass, and did not in {} {message}", not.join(", ")));
        }
    }
    problems
}
