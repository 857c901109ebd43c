//! `check`: the author's gate. All rooms of an exercise agree, and its grader is fair.

mod modules;

use crate::Format;
use crate::authors::bless::{Answers, answers};
use crate::authors::side_by_side;
use crate::commands::run::exit_code;
use crate::display::human::{BOLD, mark, paint};
use crate::module::build::{self, Program};
use crate::module::process::Start;
use crate::verdict::fresh::{Kept, Plan};
use crate::verdict::grade::{self, grade, transcript};
use crate::verdict::report::{KUBERNETES, SCHEMA_VERSION, Status};
use crate::verdict::scenario::{Scenario, render_golden};
use crate::workspace::{Entry, Workspace, bin_name, files, own_program, read, stem};
use anstream::println;
use anyhow::Result;
use kit_contract::EXERCISES;
use modules::{Caught, STUB, alternatives, build_modules, wrong_modules};
use serde::Serialize;
use std::path::Path;
use std::process::ExitCode;

/// What an exercise must have at least.
const SCENARIOS: usize = 8;
const HINTS: usize = 3;
const WRONG: usize = 5;
const CORRECT: usize = 3;
/// From so many minutes on, an exercise is written in stages.
const LONG: u32 = 40;
/// Unless somebody says how many, where only fresh scenarios decide, so many times as many are played as belong to a verdict.
const THOROUGH: u64 = 5;

#[derive(Serialize)]
struct Report {
    schema_version: u32,
    kubernetes: &'static str,
    status: Status,
    exercises: Vec<Checked>,
}

#[derive(Serialize)]
struct Checked {
    name: String,
    status: Status,
    checks: Vec<Check>,
    /// What catches the wrong modules.
    #[serde(skip_serializing_if = "Option::is_none")]
    caught: Option<Caught>,
}

/// One rule, and each place that breaks it.
#[derive(Serialize)]
struct Check {
    check: &'static str,
    status: Status,
    problems: Vec<String>,
}

/// Holds the rooms of `names` against each other; with `apart`, each module is a program of its own. Of exercises that are
/// named more is played: correct modules meet many fresh scenarios, and it is told which wrong modules these catch.
pub fn check(workspace: &Workspace, names: &[String], apart: bool, format: Format) -> Result<ExitCode> {
    let entries = workspace.select(names)?;
    build::prepare(workspace)?;
    let mut exercises = Vec::new();
    let each = |checked: Result<Checked>| {
        let checked = checked?;
        if format == Format::Human {
            show(&checked);
        }
        exercises.push(checked);
        Ok(())
    };
    let (shared, named) = (if apart { 1 } else { build::SHARED }, !names.is_empty());
    side_by_side(&entries, |entry| check_one(workspace, entry, shared, named), each)?;
    let strangers = if names.is_empty() { strangers(workspace) } else { Vec::new() };
    if !strangers.is_empty() {
        let checks = vec![Check { check: "catalogue", status: Status::Failed, problems: strangers }];
        let checked = Checked { name: "catalogue".into(), status: Status::Failed, checks, caught: None };
        if format == Format::Human {
            show(&checked);
        }
        exercises.push(checked);
    }
    let all = status(exercises.iter().all(|e| e.status == Status::Passed));
    if format == Format::Json {
        let report = Report { schema_version: SCHEMA_VERSION, kubernetes: KUBERNETES, status: all, exercises };
        println!("{}", serde_json::to_string_pretty(&report)?);
    }
    Ok(exit_code(all))
}

fn check_one(workspace: &Workspace, entry: &Entry, shared: usize, named: bool) -> Result<Checked> {
    let programs = build_modules(workspace, entry, shared)?;
    let usual = kit_stages::fresh::of(&entry.name, &solutions::modules()).map_or(0, |(_, usual)| usual);
    let fresh = |usual| Plan {
        count: Some(workspace.fresh.count.unwrap_or(usual)),
        kept: Some(Kept::default()),
        ..workspace.fresh.clone()
    };
    let (quick, thorough) = (workspace.with_fresh(fresh(usual)), workspace.with_fresh(fresh(usual * THOROUGH)));
    let mut caught = named.then(Caught::default);
    let wrong = wrong_modules(&quick, &thorough, entry, &programs, caught.as_mut());
    let answered = answered(workspace, entry);
    let checks = [
        ("rooms", rooms(workspace, entry)),
        ("scenarios", scenarios(workspace, entry, &answered)),
        ("solution", solution(workspace, entry, answered.as_deref().unwrap_or_default())),
        ("stub", stub(workspace, entry, programs.get(STUB))),
        ("wrong modules", wrong),
        ("alternatives", alternatives(if named { &thorough } else { &quick }, entry, &programs)),
    ];
    let checks: Vec<Check> = checks
        .into_iter()
        .map(|(check, problems)| Check { check, status: status(problems.is_empty()), problems })
        .collect();
    let passed = checks.iter().all(|c| c.status == Status::Passed);
    Ok(Checked { name: entry.name.clone(), status: status(passed), checks, caught })
}

fn status(passed: bool) -> Status {
    if passed { Status::Passed } else { Status::Failed }
}

fn show(checked: &Checked) {
    println!("  {} {}", mark(checked.status), paint(BOLD, &checked.name));
    for check in &checked.checks {
        println!("      {} {}", mark(check.status), check.check);
        for problem in &check.problems {
            println!("          {problem}");
        }
    }
    for line in checked.caught.iter().flat_map(Caught::lines) {
        println!("        {line}");
    }
}

/// The five rooms, and every line that names the exercise.
fn rooms(workspace: &Workspace, entry: &Entry) -> Vec<String> {
    let mut problems = Vec::new();
    let name = &entry.name;
    let mut holds = |path: std::path::PathBuf, needles: &[String]| {
        let place = path.strip_prefix(&workspace.root).unwrap_or(&path).display().to_string();
        match read(&path) {
            Err(_) => problems.push(format!("{place} is missing")),
            Ok(text) => {
                let missing = needles.iter().filter(|needle| !text.contains(needle.as_str()));
                problems.extend(missing.map(|needle| format!("{place} has no `{needle}`")));
            }
        }
    };
    holds(workspace.contract_file(name), &["contract! {".into()]);
    let hint = format!("cargo grade hint {name}");
    holds(workspace.exercise_file(name), &["kit::exercise!(".into(), hint, format!("{:?}", entry.title)]);
    holds(workspace.solution_file(name), &["ANCHOR: solution".into()]);
    let sections =
        ["interview question", "How it works", "What goes wrong in production", "Follow-up questions", "Sources"];
    holds(workspace.chapter_file(name), &sections.map(String::from));
    holds(workspace.root.join("book/src/SUMMARY.md"), &[format!("[{}]({name}.md)", entry.title)]);
    let bin = format!("name = {:?}\npath = {:?}", bin_name(name), format!("{name}.rs"));
    holds(workspace.root.join("exercises/Cargo.toml"), &[bin]);
    if !EXERCISES.contains(&name.as_str()) {
        problems.push(format!("kit/contract/src/modules.rs has no slot {name:?}"));
    }
    match workspace.hints(entry) {
        Err(e) => problems.push(format!("{e:#}")),
        Ok(hints) if hints.len() >= HINTS => {}
        Ok(hints) => problems.push(format!("{} hints; there should be {HINTS}", hints.len())),
    }
    if !(1..=3).contains(&entry.difficulty) {
        problems.push("exercises/catalog.yaml: difficulty is 1, 2 or 3".into());
    }
    if entry.minutes >= LONG && entry.stages.len() < 2 {
        problems.push(format!("exercises/catalog.yaml: an exercise of {LONG} minutes and more has stages"));
    }
    let before: Vec<_> = workspace.catalog.iter().take_while(|e| e.name != *name).map(|e| &e.name).collect();
    for base in entry.builds_on.iter().filter(|base| !before.contains(base)) {
        problems.push(format!("exercises/catalog.yaml: it builds on {base}, which does not come before it"));
    }
    problems
}

/// All scenarios, and what the reference answers to each now.
fn answered(workspace: &Workspace, entry: &Entry) -> Result<Vec<(Scenario, Result<Answers>)>> {
    let scenarios = Scenario::load_all(&workspace.scenarios_dir(&entry.name))?.into_iter();
    let answer = |scenario: Scenario| {
        let now = answers(&entry.name, &scenario);
        (scenario, now)
    };
    Ok(scenarios.map(answer).collect())
}

/// Enough scenarios, each with a place in the book and a golden that the reference would write today.
fn scenarios(workspace: &Workspace, entry: &Entry, answered: &Result<Vec<(Scenario, Result<Answers>)>>) -> Vec<String> {
    let dir = workspace.scenarios_dir(&entry.name);
    let scenarios = match answered {
        Ok(scenarios) => scenarios,
        Err(e) => return vec![format!("{e:#}")],
    };
    let mut problems = Vec::new();
    if scenarios.len() < SCENARIOS {
        problems.push(format!("{} scenarios; there should be {SCENARIOS}", scenarios.len()));
    }
    let headings: Vec<String> = read(&workspace.chapter_file(&entry.name))
        .unwrap_or_default()
        .lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| anchor(line.trim_start_matches('#')))
        .collect();
    let twice = |heading: &&String| {
        entry.stages.iter().flat_map(|stage| &stage.read).filter(|read| read == heading).count() > 1
    };
    for stage in &entry.stages {
        let all = stage.read.iter();
        let empty = !scenarios.iter().any(|(scenario, _)| stage.read.contains(&scenario.read));
        problems.extend(empty.then(|| format!("stage {:?} has no scenario", stage.name)));
        problems.extend(all.clone().filter(twice).map(|heading| format!("#{heading} belongs to two stages")));
        let unknown = all.filter(|heading| !headings.contains(heading));
        problems
            .extend(unknown.map(|heading| format!("stage {:?}: the chapter has no heading #{heading}", stage.name)));
    }
    for (scenario, now) in scenarios {
        if !entry.stages.is_empty() && entry.stage(&scenario.read) == entry.stages.len() {
            problems.push(format!("{}: #{} belongs to no stage", scenario.name, scenario.read));
        }
        if !headings.contains(&scenario.read) {
            problems.push(format!("{}: the chapter has no heading #{}", scenario.name, scenario.read));
        }
        let is = |path: &Path, text: &str| read(path).is_ok_and(|there| there == text);
        match now {
            Err(e) => problems.push(format!("{e:#}")),
            Ok(now) if !is(&scenario.golden_path(), &now.golden) => {
                problems.push(format!("{}: the golden is not what the reference answers now", scenario.name));
            }
            Ok(now) if now.recording.as_ref().is_some_and(|text| !is(&scenario.recording_path(), text)) => {
                problems.push(format!("{}: the recording is not what happens now", scenario.name));
            }
            Ok(_) => {}
        }
    }
    let written = files(&dir, "golden").into_iter().chain(files(&dir, "json"));
    let orphans = written.filter(|path| !path.with_extension("").with_extension("yaml").is_file());
    problems.extend(orphans.map(|path| format!("{} belongs to no scenario", path.display())));
    problems
}

/// mdBook's anchor of a heading.
fn anchor(heading: &str) -> String {
    let keep = |c: char| match c {
        c if c.is_alphanumeric() || c == '_' || c == '-' => Some(c.to_ascii_lowercase()),
        c if c.is_whitespace() => Some('-'),
        _ => None,
    };
    heading.trim().chars().filter_map(keep).collect()
}

/// The reference passes, and behind the wire it answers the same.
fn solution(workspace: &Workspace, entry: &Entry, answered: &[(Scenario, Result<Answers>)]) -> Vec<String> {
    let result = grade(workspace, entry, grade::Module::InProcess);
    let mut problems: Vec<String> = result
        .scenarios
        .iter()
        .filter(|s| s.status != Status::Passed)
        .map(|s| format!("{}: {}", s.name, s.message.as_deref().unwrap_or("the reference answers otherwise")))
        .chain(result.message.clone())
        .collect();
    let grader = match own_program() {
        Ok(grader) => grader,
        Err(e) => return vec![format!("{e:#}")],
    };
    for (scenario, now) in answered {
        let command = vec![grader.clone().into(), "worker".into(), entry.name.clone().into()];
        let start = Start { command, readable: Vec::new(), folder: None };
        let remote = transcript(workspace, &entry.name, scenario, start, None);
        match (remote, now) {
            (Ok((seen, _)), Ok(now)) if render_golden(&scenario.why, &seen) == now.golden => {}
            (Ok((_, lost)), Ok(_)) => {
                let lost = lost.unwrap_or_default();
                problems.push(format!("{}: the reference answers otherwise behind the wire {lost}", scenario.name));
            }
            (Err(e), _) => problems.push(format!("{e:#}")),
            (_, Err(e)) => problems.push(format!("{e:#}")),
        }
    }
    problems
}

/// The learner's file compiles without a warning and has nothing done.
fn stub(workspace: &Workspace, entry: &Entry, program: Option<&Program>) -> Vec<String> {
    match program {
        None => vec!["nothing was built".into()],
        Some(Program::Broken { errors }) => vec![errors.clone()],
        Some(Program::Ready { warnings, .. }) if !warnings.is_empty() => vec![warnings.clone()],
        Some(program) => {
            let result = grade(workspace, entry, grade::Module::Program(program));
            if result.status == Status::NotStarted {
                return Vec::new();
            }
            let started = result.scenarios.iter().filter(|s| s.status != Status::NotStarted);
            let names: Vec<_> = started.map(|s| s.name.as_str()).collect();
            vec![format!("exercises/{}.rs is not at its start: {}", entry.name, names.join(", "))]
        }
    }
}

/// What has a room but no entry in the catalogue.
fn strangers(workspace: &Workspace) -> Vec<String> {
    let known = |name: &str| workspace.catalog.iter().any(|e| e.name == name);
    let mut problems: Vec<String> = EXERCISES
        .iter()
        .filter(|name| !known(name))
        .map(|name| format!("exercises/catalog.yaml has no entry for the contract {name}"))
        .collect();
    for room in ["exercises", "solutions", "tests/scenarios"] {
        let chapters = std::fs::read_dir(workspace.root.join(room)).into_iter().flatten().flatten();
        // What people are asked lies beside what modules are.
        for chapter in chapters.filter(|c| c.path().is_dir() && c.file_name() != "interviews") {
            for file in std::fs::read_dir(chapter.path()).into_iter().flatten().flatten() {
                let name = format!("{}/{}", chapter.file_name().to_string_lossy(), stem(&file.path()));
                if !known(&name) {
                    problems.push(format!("{room}/{name} belongs to no exercise of the catalogue"));
                }
            }
        }
    }
    problems
}
