//! `run` and `merge`: results of exercises, in any form.

use crate::commands::partition::Partition;
use crate::display::format::{self, Form, Output};
use crate::display::human::{BOLD, DIM, EXPLAINED, fit, page, paint};
use crate::module::build::Source;
use crate::verdict::report::{ExerciseResult, KUBERNETES, Report, SCHEMA_VERSION, Status};
use crate::verdict::suite::Suite;
use crate::workspace::{Entry, Workspace, read};
use anstream::println;
use anyhow::{Context, Result, bail};
use kit_stages::variation;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What `run` takes.
#[derive(clap::Args)]
pub struct RunArgs {
    /// `chapter/exercise`, `exercise` or `chapter`; all of them if none is named
    exercises: Vec<String>,
    /// Whose modules: `exercises`, `solutions`, or a file or folder
    #[arg(long, value_name = "MODULES", default_value = "exercises")]
    modules: Source,
    /// Grades a program in any language: the command that starts it, such as 'python3 taints.py'
    #[arg(long, value_name = "COMMAND", conflicts_with = "modules")]
    worker: Option<String>,
    /// Grades one exercise by a changed rule, such as `prefer-refuses` or `brief:seconds=30`; with `list` it shows all
    /// variations of the exercise instead
    #[arg(long, value_name = "NAME")]
    variation: Option<String>,
    /// Which exercises must pass: a file with a name on each line, and comments after `#`. All others are graded and
    /// shown, but the run does not fail for them
    #[arg(long, value_name = "FILE")]
    required: Option<PathBuf>,
    /// Grades one part of the exercises, `hash:1/4` or `slice:1/4`; `merge` puts the results together
    #[arg(long, value_name = "PARTITION")]
    partition: Option<Partition>,
    /// How many exercises are graded at the same time; without it, as many as there are processors
    #[arg(long, short, value_name = "N")]
    jobs: Option<usize>,
    #[command(flatten)]
    shown: Shown,
}

/// How results are shown.
#[derive(clap::Args)]
pub struct Shown {
    /// How to show the result: human, json, junit, github, markdown or gradescope. With `=FILE` it is written there,
    /// and the option may come several times
    #[arg(long = "format", value_name = "FORMAT[=FILE]")]
    outputs: Vec<Output>,
    /// Explains every failing scenario, not only the first ones
    #[arg(long)]
    all: bool,
}

impl Shown {
    fn explained(&self) -> usize {
        if self.all { usize::MAX } else { EXPLAINED }
    }

    /// The one form that goes to the terminal: `human` unless another one was asked for there.
    fn on_stdout(&self) -> Result<Form> {
        match self.outputs.iter().filter(|output| output.file.is_none()).collect::<Vec<_>>()[..] {
            [] => Ok(Form::Human),
            [output] => Ok(output.form),
            _ => bail!("only one format can go to stdout; give the others a file: `--format junit=result.xml`"),
        }
    }
}

/// What `merge` takes.
#[derive(clap::Args)]
pub struct MergeArgs {
    /// Documents that `run --format json` wrote, one for each part
    #[arg(required = true, value_name = "RESULT")]
    results: Vec<PathBuf>,
    #[command(flatten)]
    shown: Shown,
}

pub fn run(workspace: &Workspace, args: &RunArgs) -> Result<ExitCode> {
    let workspace = match args.variation.as_deref() {
        Some(LIST) => return list_variations(one(workspace, args)?),
        Some(name) => &varied(workspace, args, name)?,
        None => workspace,
    };
    let source = match &args.worker {
        Some(command) => Source::Worker(command_line(command)?),
        None => args.modules.clone(),
    };
    let stdout = args.shown.on_stdout()?;
    let selected = workspace.select(&args.exercises)?;
    let required = args.required.as_deref().map(|file| required(workspace, file)).transpose()?;
    let is_required = |entry: &Entry| required.as_ref().is_none_or(|names| names.contains(entry.name.as_str()));
    let reported: Vec<&Entry> = match args.partition {
        Some(part) => selected.iter().enumerate().filter(|(i, e)| part.holds(*i, e)).map(|(_, e)| *e).collect(),
        None => selected.clone(),
    };
    let is_reported = |name: &str| reported.iter().any(|entry| entry.name == name);
    let mut show = format::Stream::new(workspace, stdout, args.shown.explained());
    let mut results = Vec::new();
    if !reported.is_empty() {
        let suite = Suite::new(workspace, needed(&selected, &reported), &args.exercises, &source)?.jobs(args.jobs);
        if suite.is_empty() && required.is_none() {
            bail!("no module of any exercise is there; files are named as in `exercises`: scheduler/taints.rs");
        }
        suite.grade(|result| {
            if is_reported(&result.name) {
                let mut result = result.clone();
                result.required = workspace.catalog.iter().any(|e| e.name == result.name && is_required(e));
                show.exercise(&result);
                results.push(result);
            }
        })?;
    }
    // What must pass and was not handed in has not passed.
    if required.is_some() {
        let absent = |entry: &&&Entry| is_required(entry) && !results.iter().any(|r| r.name == entry.name);
        let absent: Vec<&Entry> = reported.iter().filter(absent).copied().collect();
        for entry in absent {
            let message = Some("required, and there is no module of it".to_string());
            let result = ExerciseResult::of(entry, Status::NotStarted, None, message);
            show.exercise(&result);
            results.push(result);
        }
        results.sort_by_key(|result| workspace.place(&result.name));
    }
    let report = Report::new(results, args.partition);
    finish(workspace, &report, show, &args.shown)
}

/// What `--variation` takes to show all that there are.
const LIST: &str = "list";

/// The one exercise that a variation is of.
fn one<'a>(workspace: &'a Workspace, args: &RunArgs) -> Result<&'a Entry> {
    match &args.exercises[..] {
        [name] => workspace.one(name),
        _ => bail!(
            "`--variation` is of one exercise: name it, as in `cargo grade run scheduler/taints --variation list`"
        ),
    }
}

/// The workspace in which the exercise is graded by the variation of this name.
fn varied(workspace: &Workspace, args: &RunArgs, name: &str) -> Result<Workspace> {
    let entry = one(workspace, args)?;
    let variation = variation::parse(&entry.name, name).map_err(|e| anyhow::anyhow!(e))?;
    if workspace.fresh.count == Some(0) {
        bail!("a variation is graded by fresh scenarios alone, so that `--fresh 0` leaves nothing to play");
    }
    Ok(workspace.with_variation(variation))
}

/// Shows all kinds of variations of an exercise, each with its first parameters.
fn list_variations(entry: &Entry) -> Result<ExitCode> {
    let kinds = variation::all(&entry.name);
    if kinds.is_empty() {
        println!("{}", page(&format!("  {} has no variations; these have:\n", paint(BOLD, &entry.name))));
        variation::exercises().iter().for_each(|name| println!("      {name}"));
        return Ok(ExitCode::SUCCESS);
    }
    for kind in kinds {
        let variation = variation::parse(&entry.name, kind).map_err(|e| anyhow::anyhow!(e))?;
        let minutes = paint(DIM, format_args!("{} min", variation.minutes));
        println!("\n{}\n", page(&format!("  {}   {minutes}", paint(BOLD, &variation.name))));
        println!("{}\n", fit(&format!("      {}", variation.rule), 6));
        variation.parameters().iter().for_each(|line| println!("{}", fit(&format!("      {}", paint(DIM, line)), 8)));
    }
    println!("\n{}", page(&format!("      try one   cargo grade run {} --variation NAME", entry.name)));
    Ok(ExitCode::SUCCESS)
}

/// Puts the results of all parts together.
pub fn merge(workspace: &Workspace, args: &MergeArgs) -> Result<ExitCode> {
    let stdout = args.shown.on_stdout()?;
    let mut exercises: Vec<ExerciseResult> = Vec::new();
    let mut parts: Vec<Partition> = Vec::new();
    for path in &args.results {
        let name = path.display();
        let report: Report = serde_json::from_str(&read(path)?)
            .with_context(|| format!("{name} is no document of `cargo grade run --format json`"))?;
        if (report.schema_version, report.kubernetes.as_str()) != (SCHEMA_VERSION, KUBERNETES) {
            bail!("{name} comes from another version of the grader; grade again with this one");
        }
        if let Some(twice) = report.exercises.iter().find(|e| exercises.iter().any(|there| there.name == e.name)) {
            bail!("{name} grades {} a second time", twice.name);
        }
        exercises.extend(report.exercises);
        parts.extend(report.partition);
    }
    whole(&parts, args.results.len())?;
    if exercises.is_empty() {
        bail!("there is no exercise in these documents");
    }
    exercises.sort_by_key(|result| workspace.place(&result.name));
    let mut show = format::Stream::new(workspace, stdout, args.shown.explained());
    exercises.iter().for_each(|result| show.exercise(result));
    finish(workspace, &Report::new(exercises, None), show, &args.shown)
}

/// A part that is missing would be a pass that nobody saw.
fn whole(parts: &[Partition], documents: usize) -> Result<()> {
    let Some(first) = parts.first() else { return Ok(()) };
    if parts.len() != documents || parts.iter().any(|part| (part.rule, part.of) != (first.rule, first.of)) {
        bail!("these documents are no parts of one run: each must have a `partition`, out of the same number");
    }
    match (1..=first.of).find(|n| !parts.iter().any(|part| part.part == *n)) {
        Some(part) => bail!("the result of {} is missing", Partition { part, ..*first }),
        None => Ok(()),
    }
}

fn finish(workspace: &Workspace, report: &Report, show: format::Stream, shown: &Shown) -> Result<ExitCode> {
    show.end(report)?;
    for Output { form, file } in &shown.outputs {
        if let Some(file) = file {
            format::save(workspace, report, *form, shown.explained(), file)?;
        }
    }
    Ok(exit_code(report.status))
}

/// 0 passed, 1 not passed, 3 the grader's own fault; 2 is for errors of usage and set-up.
pub fn exit_code(status: Status) -> ExitCode {
    ExitCode::from(match status {
        Status::Passed => 0,
        Status::GraderError => 3,
        _ => 1,
    })
}

/// A part of the selection, and what it builds on: whether an exercise is skipped must not depend on how the work was
/// dealt out.
fn needed<'a>(selected: &[&'a Entry], part: &[&'a Entry]) -> Vec<&'a Entry> {
    let mut names: BTreeSet<&str> = part.iter().map(|entry| entry.name.as_str()).collect();
    // What an exercise builds on comes before it.
    for entry in selected.iter().rev() {
        if names.contains(entry.name.as_str()) {
            names.extend(entry.builds_on.iter().map(String::as_str));
        }
    }
    selected.iter().filter(|entry| names.contains(entry.name.as_str())).copied().collect()
}

/// The names in a file of required exercises, each with its chapter.
fn required(workspace: &Workspace, file: &Path) -> Result<BTreeSet<String>> {
    let text = read(file)?;
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    let names: Vec<String> = lines.filter(|line| !line.is_empty()).map(str::to_string).collect();
    if names.is_empty() {
        return Ok(BTreeSet::new());
    }
    let entries = workspace.select(&names).with_context(|| file.display().to_string())?;
    Ok(entries.iter().map(|entry| entry.name.clone()).collect())
}

/// A command's words, its program looked up in `PATH` now: a worker's environment is empty.
fn command_line(text: &str) -> Result<Vec<OsString>> {
    let words = shlex::split(text).filter(|words| !words.is_empty());
    let words = words.with_context(|| format!("`{text}` is no command: a quotation mark is missing, or all of it"))?;
    let program = Path::new(&words[0]);
    let folders = match program.components().count() {
        1 => std::env::var_os("PATH").unwrap_or_default(),
        _ => ".".into(),
    };
    let found = std::env::split_paths(&folders).map(|dir| dir.join(program)).find(|file| file.is_file());
    let found = found.with_context(|| format!("there is no program `{}`", program.display()))?;
    let found = std::path::absolute(&found).with_context(|| found.display().to_string())?;
    Ok(std::iter::once(found.into_os_string()).chain(words[1..].iter().map(OsString::from)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_part_is_noticed() {
        let parts = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<Partition>>();
        assert!(whole(&parts(&["slice:1/2", "slice:2/2"]), 2).is_ok());
        assert!(whole(&parts(&[]), 3).is_ok());
        let missing = whole(&parts(&["slice:1/3", "slice:3/3"]), 2).unwrap_err().to_string();
        assert_eq!(missing, "the result of slice:2/3 is missing");
        for wrong in [&["slice:1/2", "hash:2/2"][..], &["slice:1/2", "slice:2/3"], &["slice:1/2"]] {
            assert!(whole(&parts(wrong), 2).unwrap_err().to_string().contains("no parts of one run"), "{wrong:?}");
        }
    }

    #[test]
    fn a_part_takes_along_what_it_builds_on() {
        let entry = |name: &str, builds_on: &[&str]| Entry {
            name: name.into(),
            title: String::new(),
            minutes: 1,
            difficulty: 1,
            builds_on: builds_on.iter().map(ToString::to_string).collect(),
            stages: Vec::new(),
        };
        let all = [entry("a/1", &[]), entry("a/2", &["a/1"]), entry("a/3", &[]), entry("a/4", &["a/2"])];
        let selected: Vec<&Entry> = all.iter().collect();
        let names = |part: &[&Entry]| needed(&selected, part).iter().map(|e| e.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&[&all[3]]), ["a/1", "a/2", "a/4"]);
        assert_eq!(names(&[&all[2]]), ["a/3"]);
    }

    #[test]
    fn commands_are_split_as_a_shell_does() {
        let words = command_line("sh -c 'echo a b'").unwrap();
        assert!(Path::new(&words[0]).is_absolute());
        assert_eq!(words[1..], ["-c", "echo a b"]);
        for wrong in ["", "sh 'open", "no-such-program-anywhere"] {
            assert!(command_line(wrong).is_err(), "{wrong}");
        }
    }
}
