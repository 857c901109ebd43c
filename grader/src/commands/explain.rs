//! `explain`: a scenario from the beginning to the end, not only where it goes wrong.

use crate::commands::picture::{self, Output};
use crate::commands::play::why;
use crate::display::human::{BOLD, DIM, GREEN, RED, fit, pad, page, paint, width};
use crate::display::plain::clean;
use crate::module::build::{self, Module, Program};
use crate::verdict::grade::transcript;
use crate::verdict::scenario::{Scenario, Script, Seen};
use crate::workspace::{NEAR, Workspace};
use anstream::println;
use anyhow::{Context, Result, bail};
use kit_apimachinery::object::{Kind, Object};
use kit_cluster::engine::Clock;
use kit_cluster::recording::{MarkKind, Recorder, Recording};
use kit_cluster::timeline::observe::workload;
use kit_cluster::timeline::{Play, Timeline};
use kit_time::agenda::Instant;
use similar::{ChangeTag, TextDiff, get_close_matches};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;

/// Lists the scenarios of an exercise, in the order in which they are played, and why each exists.
pub fn list(workspace: &Workspace, exercise: &str) -> Result<ExitCode> {
    let entry = workspace.one(exercise)?;
    let scenarios = workspace.scenarios(entry)?;
    let title = format!("  {} · {} scenarios, the simplest first", paint(BOLD, &entry.name), scenarios.len());
    println!("{}\n", page(&title));
    let mut stage = None;
    for Scenario { name, why, read, .. } in &scenarios {
        let place = entry.stage(read);
        if let Some(begun) = entry.stages.get(place).filter(|_| stage != Some(place)) {
            println!("{}  {}", if stage.is_some() { "\n" } else { "" }, paint(DIM, &begun.name));
        }
        stage = Some(place);
        println!("{}", fit(&format!("  {}   {why}", paint(BOLD, name)), 4));
    }
    let more = format!("one of them whole: cargo grade explain {} SCENARIO", entry.name);
    println!("\n{}", page(&format!("  {}", paint(DIM, more))));
    Ok(ExitCode::SUCCESS)
}

/// Shows a scenario with a program's answers beside the reference's; of a timeline, with `pod`, every decision of the
/// reference about the pods of a workload, or a picture of both clusters.
pub fn explain(
    workspace: &Workspace,
    exercise: &str,
    name: &str,
    pod: Option<&str>,
    modules: Option<&Path>,
    output: &Output,
) -> Result<ExitCode> {
    let entry = workspace.one(exercise)?;
    let scenarios = workspace.scenarios(entry)?;
    let scenario = scenarios.iter().find(|scenario| scenario.name == name).with_context(|| {
        let known: Vec<_> = scenarios.iter().map(|scenario| scenario.name.as_str()).collect();
        let near = get_close_matches(name, &known, 1, NEAR).pop();
        let near = near.map_or(String::new(), |near| format!("did you mean `{near}`? "));
        format!("{} has no scenario `{name}`; {near}`cargo grade explain {0}` lists them all", entry.name)
    })?;
    println!("\n{}\n", fit(&format!("  {}   {}", paint(BOLD, name), scenario.why), 4));
    if let Some(pod) = pod {
        let Script::Timeline(timeline) = &scenario.script else {
            bail!("`--pod` asks for a decision of the scheduler, and {name} has no cluster");
        };
        return decisions(timeline, pod);
    }
    if output.is_wanted() && !matches!(scenario.script, Script::Timeline(_)) {
        bail!("{name} has no cluster of which there could be a picture");
    }
    let golden = scenario.golden()?;
    let module = match modules {
        None => Module::of(&entry.name, workspace.exercise_file(&entry.name)),
        Some(path) => {
            let file = build::find_module(path, &entry.name);
            let file = file.with_context(|| format!("{} holds no file {}.rs", path.display(), entry.name))?;
            Module::of(&entry.name, file).within(path)
        }
    };
    let programs = build::build(workspace, &[module])?;
    let Some(Program::Ready { start, .. }) = programs.get(&entry.name) else {
        println!(
            "{}\n",
            page(&format!("  {}", paint(DIM, "Your file does not compile, so that only the reference is here.")))
        );
        if output.is_wanted() {
            output.write(&[reference(scenario)?], &[], None)?;
            return Ok(ExitCode::SUCCESS);
        }
        golden.iter().for_each(|seen| show(seen, seen));
        return Ok(ExitCode::SUCCESS);
    };
    if output.is_wanted() {
        let mut recorder = Recorder::new(name, &scenario.why);
        let (yours, lost) = transcript(workspace, &entry.name, scenario, start.clone(), Some(&mut recorder))?;
        if let Some(lost) = lost {
            let first = clean(&lost).lines().next().unwrap_or_default().to_string();
            recorder.mark(MarkKind::Broken, format!("the module was lost: {first}"));
        }
        let parts = picture::parts(&golden, &yours);
        match &parts {
            None => println!("  {}\n", paint(GREEN, "Yours does what the reference does.")),
            Some(parts) => {
                println!("  It parts from the reference at t={}:\n", Instant::millis(parts.t));
                let lines = |lines: &[String]| lines.iter().map(|line| clean(line)).collect::<Vec<_>>();
                let (expected, yours) = (lines(&parts.expected), lines(&parts.yours));
                difference(&expected, &yours);
                println!();
            }
        }
        output.write(&[reference(scenario)?, recorder.finish()], &["expected", "yours"], parts.as_ref())?;
        return Ok(ExitCode::SUCCESS);
    }
    let (yours, lost) = transcript(workspace, &entry.name, scenario, start.clone(), None)?;
    // What comes after the first mistake follows from it.
    let parts = golden.iter().zip(&yours).position(|(expected, yours)| expected.answer != yours.answer);
    let both = parts.map_or(yours.len(), |parts| parts + 1);
    for (expected, yours) in golden.iter().zip(&yours).take(both) {
        show(expected, yours);
    }
    let rest = &golden[both.min(golden.len())..];
    if let (Some(_), false) = (parts, rest.is_empty()) {
        println!(
            "\n{}",
            page(&format!(
                "  {}",
                paint(DIM, "From here on, the reference alone: what follows in yours follows from that.")
            ))
        );
    }
    if let Some(lost) = lost.filter(|_| parts.is_none()) {
        println!("\n{}", page(&format!("  {}", paint(RED, clean(&lost)))));
    }
    rest.iter().for_each(|seen| show(seen, seen));
    println!();
    Ok(ExitCode::SUCCESS)
}

fn show(expected: &Seen, yours: &Seen) {
    if let Some(say) = &expected.say {
        println!("{}", page(&format!("  {}", paint(DIM, say))));
    }
    for line in &expected.asked {
        println!("{}", fit(&format!("  {}", paint(BOLD, line)), 4));
    }
    difference(&expected.answer, &yours.answer);
}

fn difference(expected: &[String], yours: &[String]) {
    let width = width(expected, yours);
    let (old, new) = (expected.join("\n") + "\n", yours.join("\n") + "\n");
    for change in TextDiff::from_lines(&old, &new).iter_all_changes() {
        let line = clean(change.value().trim_end_matches('\n'));
        match change.tag() {
            _ if line.is_empty() => {}
            ChangeTag::Equal => println!("{}", fit(&format!("      {line}"), 8)),
            ChangeTag::Delete => {
                println!(
                    "{}",
                    fit(&format!("    {}", paint(GREEN, format_args!("- {}   expected", pad(&line, width)))), 8)
                );
            }
            ChangeTag::Insert => {
                println!("{}", fit(&format!("    {}", paint(RED, format_args!("+ {}   yours", pad(&line, width)))), 8));
            }
        }
    }
}

/// The scenario as the reference plays it.
fn reference(scenario: &Scenario) -> Result<Recording> {
    let mut recorder = Recorder::new(&scenario.name, &scenario.why);
    scenario.record(&solutions::modules(), &Clock::default(), Some(&mut recorder))?;
    Ok(recorder.finish())
}

fn start(timeline: &Timeline) -> Result<(Play<'_>, Vec<String>)> {
    Play::start(timeline, &solutions::modules(), Clock::default()).map_err(why)
}

/// What was decided about a pod, or about each pod of a workload.
fn decisions(timeline: &Timeline, pod: &str) -> Result<ExitCode> {
    let (mut play, _) = start(timeline)?;
    let zero = play.engine().now();
    while play.step().map_err(why)?.is_some() {}
    let log = play.engine().log();
    let about = |object: &Object| object.name() == pod || workload(object) == pod;
    let mut keys: Vec<_> = log.keys().filter(|key| key.kind == Kind::Pod).collect();
    let snapshot = play.engine().server().snapshot();
    keys.retain(|key| *key.name == *pod || snapshot.get(key).is_some_and(|stored| about(&stored.object)));
    if keys.is_empty() {
        let decided = log.keys().filter(|key| key.kind == Kind::Pod).filter_map(|key| snapshot.get(key));
        let known: BTreeSet<&str> = decided.map(|stored| workload(&stored.object)).collect();
        let known: Vec<&str> = known.into_iter().collect();
        bail!("nothing was decided about a pod `{pod}`; name a pod or its workload: {}", known.join(", "));
    }
    for key in keys {
        for entry in log.about(key) {
            let at = entry.at - zero;
            let at = if at.nanos < 0 { "before the clock showed 0".to_string() } else { format!("t={at}") };
            let seed = timeline.cluster.seed;
            let (name, summary) = (paint(BOLD, &key.name), entry.scheduling.summary());
            println!("  {name} · {summary}   {}", paint(DIM, format!("{}, seed {seed}, {at}", entry.by)));
            entry.scheduling.lines().iter().for_each(|line| println!("{}", page(&format!("      {line}"))));
        }
    }
    println!();
    Ok(ExitCode::SUCCESS)
}
