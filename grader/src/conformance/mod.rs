//! `conformance`: holds the reference against recorded behaviour of real Kubernetes.
//!
//! A file is `{"table" or "group", "kubernetes", "what", "cases": […]}`. Each table that the reference covers
//! has a check that answers one case; a table without one is listed as not covered, never left out.

mod control_plane;
mod network;
mod node;
mod observability;
mod pure;
mod scheduler;
mod storage;
mod workloads;

use crate::Format;
use crate::commands::overview::plain_table;
use crate::commands::run::exit_code;
use crate::display::human::{BOLD, mark, paint};
use crate::verdict::report::{KUBERNETES, SCHEMA_VERSION, Status};
use crate::workspace::{Workspace, read};
use anstream::println;
use anyhow::{Context, Result, bail};
use serde::Serialize;
use serde_json::Value;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Answers one recorded case: `Ok` where the reference agrees, else the difference in words.
pub type Check = fn(&Value) -> Result<(), String>;

/// How many differences of one table are told.
const TOLD: usize = 3;

#[derive(Serialize)]
struct Report {
    schema_version: u32,
    kubernetes: &'static str,
    status: Status,
    groups: Vec<Group>,
}

/// One recorded table.
#[derive(Serialize)]
struct Group {
    group: String,
    file: PathBuf,
    cases: usize,
    matched: usize,
    covered: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    differences: Vec<Difference>,
}

#[derive(Serialize)]
struct Difference {
    /// Counts from 1.
    case: usize,
    difference: String,
}

pub fn conformance(workspace: &Workspace, paths: &[PathBuf], format: Format) -> Result<ExitCode> {
    let own = [workspace.root.join("tests/conformance")];
    let paths = if paths.is_empty() { &own[..] } else { paths };
    let mut files = Vec::new();
    for path in paths {
        if !path.exists() {
            bail!("there is no {}; name a folder or a file of recorded cases", path.display());
        }
        walk(path, &mut files)?;
    }
    let mut groups = Vec::new();
    for file in files {
        // A folder may hold other things; a file that was named must be a table.
        match group(&file)? {
            Some(group) => groups.push(group),
            None if paths.contains(&file) => {
                bail!("{} is no table: it needs `table` or `group`, and `cases`", file.display())
            }
            None => {}
        }
    }
    if groups.is_empty() {
        bail!("no recorded table there: a table is a JSON file with `table` or `group`, and `cases`");
    }
    let passed = groups.iter().all(|g| !g.covered || g.matched == g.cases);
    let status = if passed { Status::Passed } else { Status::Failed };
    match format {
        Format::Json => {
            let report = Report { schema_version: SCHEMA_VERSION, kubernetes: KUBERNETES, status, groups };
            println!("{}", serde_json::to_string_pretty(&report)?);
        }
        Format::Human => show(&groups),
    }
    Ok(exit_code(status))
}

fn walk(path: &Path, into: &mut Vec<PathBuf>) -> Result<()> {
    if !path.is_dir() {
        into.push(path.to_path_buf());
        return Ok(());
    }
    let entries = std::fs::read_dir(path).with_context(|| format!("can't read {}", path.display()))?;
    let mut entries: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    entries.sort();
    for entry in entries {
        if entry.is_dir() || entry.extension().is_some_and(|e| e == "json") {
            walk(&entry, into)?;
        }
    }
    Ok(())
}

/// The check for a table by its name.
fn check_for(table: &str) -> Option<Check> {
    let chapters = [
        control_plane::check,
        pure::check,
        scheduler::check,
        node::check,
        workloads::check,
        network::check,
        storage::check,
        observability::check,
    ];
    chapters.iter().find_map(|check| check(table))
}

fn group(file: &Path) -> Result<Option<Group>> {
    let text = read(file)?;
    let table: Value = serde_json::from_str(&text).with_context(|| format!("{} is not JSON", file.display()))?;
    let name = table.get("table").or_else(|| table.get("group")).and_then(Value::as_str);
    let (Some(name), Some(cases)) = (name, table.get("cases").and_then(Value::as_array)) else {
        return Ok(None);
    };
    let check = check_for(name);
    let mut group = Group {
        group: name.to_string(),
        file: file.to_path_buf(),
        cases: cases.len(),
        matched: 0,
        covered: check.is_some(),
        differences: Vec::new(),
    };
    for (i, case) in cases.iter().enumerate() {
        let Some(check) = check else { break };
        let outcome = catch_unwind(AssertUnwindSafe(|| check(case)));
        match outcome.unwrap_or_else(|_| Err("the reference panicked".into())) {
            Ok(()) => group.matched += 1,
            Err(difference) if group.differences.len() < TOLD => {
                group.differences.push(Difference { case: i + 1, difference });
            }
            Err(_) => {}
        }
    }
    Ok(Some(group))
}

fn show(groups: &[Group]) {
    let mut table = plain_table(&["", "group", "cases", "matched"]);
    for group in groups {
        let (status, matched) = match (group.covered, group.matched == group.cases) {
            (false, _) => (Status::Skipped, "not covered yet".to_string()),
            (true, true) => (Status::Passed, group.matched.to_string()),
            (true, false) => (Status::Failed, group.matched.to_string()),
        };
        table.add_row([mark(status), group.group.clone(), group.cases.to_string(), matched]);
    }
    println!("{}", table.trim_fmt());
    for group in groups.iter().filter(|g| !g.differences.is_empty()) {
        println!("\n  {}   {}", paint(BOLD, &group.group), group.file.display());
        for Difference { case, difference } in &group.differences {
            println!("      case {case}: {difference}");
        }
    }
    let covered: Vec<_> = groups.iter().filter(|g| g.covered).collect();
    let (cases, matched): (usize, usize) = covered.iter().fold((0, 0), |(c, m), g| (c + g.cases, m + g.matched));
    println!("\n  {matched} of {cases} cases agree with Kubernetes, in {} of {} tables", covered.len(), groups.len());
}
