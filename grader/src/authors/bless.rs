//! `bless`: writes the reference's answers as goldens, and shows what changed.

use crate::display::human::{BOLD, GREEN, RED, paint};
use crate::verdict::grade::play;
use crate::verdict::scenario::{Scenario, Script, render_golden};
use crate::workspace::{Workspace, read, write};
use anstream::println;
use anyhow::Result;
use kit_cluster::engine::Clock;
use kit_cluster::recording::{Recorder, json};
use similar::{ChangeTag, TextDiff};
use std::process::ExitCode;

/// Writes what the reference answers beside each scenario.
pub fn bless(workspace: &Workspace, names: &[String]) -> Result<ExitCode> {
    let mut changed = 0;
    for entry in workspace.select(names)? {
        for scenario in Scenario::load_all(&workspace.scenarios_dir(&entry.name))? {
            let Answers { golden, recording } = answers(&entry.name, &scenario)?;
            if let Some(recording) = recording {
                // A picture is looked at, not read.
                write(&scenario.recording_path(), &recording)?;
            }
            let path = scenario.golden_path();
            let before = read(&path).unwrap_or_default();
            if before == golden {
                continue;
            }
            changed += 1;
            write(&path, &golden)?;
            println!("  {}", paint(BOLD, path.strip_prefix(&workspace.root).unwrap_or(&path).display()));
            let diff = TextDiff::from_lines(&before, &golden);
            for change in diff.iter_all_changes().filter(|c| c.tag() != ChangeTag::Equal) {
                let style = if change.tag() == ChangeTag::Delete { RED } else { GREEN };
                println!("    {}", paint(style, format_args!("{} {}", change.tag(), change.value().trim_end())));
            }
        }
    }
    println!(
        "  {changed} goldens changed{}",
        if changed > 0 { ". Read the difference before you commit it." } else { "" }
    );
    Ok(ExitCode::SUCCESS)
}

/// What stands beside a scenario.
pub struct Answers {
    pub golden: String,
    /// What the book shows of a timeline.
    pub recording: Option<String>,
}

/// What the reference answers now.
pub fn answers(exercise: &str, scenario: &Scenario) -> Result<Answers> {
    let reference = solutions::modules();
    let clock = Clock::default();
    let mut recorder = Recorder::new(&scenario.name, &scenario.why);
    let (played, recording) = match &scenario.script {
        Script::Timeline(_) => {
            let played = scenario.record(&reference, &clock, Some(&mut recorder))?;
            (played, Some(json(&[recorder.finish()], &[], None)? + "\n"))
        }
        _ => (play(scenario, exercise, &reference, &reference, &clock)?, None),
    };
    Ok(Answers { golden: render_golden(&scenario.why, &played), recording })
}
