//! `play`: a timeline from any file, with the reference modules: its transcript, a picture of it, or the cluster as a table
//! that moves.

use crate::Format;
use crate::commands::day;
use crate::commands::picture::Output;
use crate::display::cluster::{self, Table};
use crate::display::human::{BOLD, page, paint};
use crate::display::terminal::{Key, Terminal};
use crate::verdict::report::{KUBERNETES, SCHEMA_VERSION};
use crate::verdict::scenario::{Scenario, Script};
use anstream::{print, println};
use anyhow::{Result, bail};
use kit_cluster::engine::Clock;
use kit_cluster::recording::Recorder;
use kit_cluster::timeline::{Failure, Play, Span, Step, Timeline};
use kit_time::agenda::Instant;
use serde::Serialize;
use std::io::{IsTerminal, Write, stdout};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant as Real};

/// What is played, and how it is shown.
#[derive(clap::Args)]
pub struct Args {
    /// The file
    #[arg(required_unless_present = "profile")]
    file: Option<PathBuf>,
    #[arg(long, value_enum, default_value = "human")]
    format: Format,
    #[command(flatten)]
    output: Output,
    /// Shows the cluster as a table while time passes, and not what was seen of it at the end; `q` ends it
    #[arg(long, conflicts_with_all = ["format", "html", "recording"])]
    watch: bool,
    /// How many seconds of the cluster pass in one second; without it, as many as make it last under a minute
    #[arg(long, requires = "watch")]
    speed: Option<f64>,
    #[command(flatten)]
    day: day::Args,
}

/// What `play --format json` prints.
#[derive(Serialize)]
struct Played<'a> {
    schema_version: u32,
    kubernetes: &'static str,
    why: &'a str,
    transcript: Vec<Moment>,
    trace: &'a [kit_cluster::timeline::Trace],
}

#[derive(Serialize)]
struct Moment {
    step: String,
    seen: Vec<String>,
}

/// Plays a timeline from any file with the reference modules.
pub fn play(args: &Args) -> Result<ExitCode> {
    let Some(file) = &args.file else {
        let profile = args.day.profile.as_deref().unwrap_or_default();
        return day::day(profile, &args.day, args.format, args.output.html.as_deref());
    };
    let scenario = Scenario::load_one(file)?;
    let Script::Timeline(timeline) = &scenario.script else {
        bail!("{} asks questions to one module; `play` plays a `timeline`", file.display());
    };
    if args.watch && stdout().is_terminal() {
        return watch(&scenario, timeline, args.speed);
    }
    let mut recorder = Recorder::new(&scenario.name, &scenario.why);
    let recorded = (args.output.is_wanted() || args.watch).then_some(&mut recorder);
    let (mut play, lines) = Play::recorded(timeline, &solutions::modules(), Clock::default(), recorded).map_err(why)?;
    let mut transcript = vec![Moment { step: "t=0s     the cluster has come to rest".into(), seen: lines }];
    while let Some((step, seen)) = play.step().map_err(why)? {
        transcript.push(Moment { step, seen });
    }
    if args.output.is_wanted() {
        drop(play);
        args.output.write(&[recorder.finish()], &[], None)?;
        return Ok(ExitCode::SUCCESS);
    }
    match args.format {
        Format::Json => {
            let (schema_version, kubernetes) = (SCHEMA_VERSION, KUBERNETES);
            let played = Played { schema_version, kubernetes, why: &scenario.why, transcript, trace: play.trace() };
            println!("{}", serde_json::to_string_pretty(&played)?);
        }
        Format::Human => {
            println!();
            if !scenario.why.is_empty() {
                println!("{}\n", page(&format!("  {}", scenario.why)));
            }
            if args.watch {
                drop(play);
                let mut table = Table::default();
                recorder.since(0).iter().for_each(|everything| table.add(everything));
                let end = recorder.end();
                table.lines(&cluster::title(&scenario.name, end, end, "")).iter().for_each(|line| println!("{line}"));
                println!();
            }
            for Moment { step, seen } in transcript {
                println!("{}", page(&format!("  {}", paint(BOLD, step))));
                seen.iter().for_each(|line| println!("{}", page(&format!("      {line}"))));
            }
            println!();
        }
    }
    Ok(ExitCode::SUCCESS)
}

pub fn why(failure: Failure) -> anyhow::Error {
    match failure {
        Failure::Lost => anyhow::anyhow!("a module was lost"),
        Failure::Wrong(why) => anyhow::anyhow!(why),
    }
}

/// A timeline that nobody chose a speed for takes so many seconds at most.
const PATIENCE: f64 = 50.0;
/// No frame comes sooner after another.
const FRAME: Duration = Duration::from_millis(40);

/// The screen of a terminal that is given back as it was.
struct Screen;

impl Screen {
    fn take() -> Screen {
        print!("\x1b[?1049h\x1b[?25l\x1b[2J");
        Screen
    }

    fn show(&self, lines: &[String]) -> Result<()> {
        let text: String = lines.iter().map(|line| format!("{line}\x1b[K\r\n")).collect();
        print!("\x1b[H{}\x1b[J", text.trim_end());
        Ok(stdout().flush()?)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        print!("\x1b[?25h\x1b[?1049l");
        _ = stdout().flush();
    }
}

/// Shows the cluster once each second of its time.
fn watch(scenario: &Scenario, timeline: &Timeline, speed: Option<f64>) -> Result<ExitCode> {
    let (by_seconds, steps) = by_seconds(timeline);
    let spans = by_seconds.timeline.iter().map(|step| if let Step::Run(span) = step { span.0.nanos } else { 0 });
    let end = spans.sum::<i64>() / 1_000_000;
    let speed = speed.unwrap_or((end as f64 / 1000.0 / PATIENCE).max(1.0));
    if !(0.01..=10_000.0).contains(&speed) {
        bail!("a speed lies between 0.01 and 10000: {speed}");
    }
    let (sender, keys) = channel();
    let terminal = Terminal::open(&sender, |key| key)?;
    let mut recorder = Recorder::new(&scenario.name, &scenario.why);
    let modules = solutions::modules();
    let (mut play, _) = Play::recorded(&by_seconds, &modules, Clock::default(), Some(&mut recorder)).map_err(why)?;
    let (mut table, mut next) = (Table::default(), 0);
    let screen = Screen::take();
    let (began, mut shown) = (Real::now(), None::<Real>);
    let mut lines = Vec::new();
    for step in std::iter::once("").chain(steps.iter().map(String::as_str)) {
        if let Some(new) = play.recorder().and_then(|recorder| recorder.since(next)) {
            next = new.next;
            table.add(&new);
        }
        let now = play.now().nanos as f64 / 1e9;
        let rate = paint(crate::display::human::DIM, format_args!("×{speed:.0}  q ends it"));
        lines = table.lines(&format!("{}   {rate}", cluster::title(&scenario.name, (now * 1e3) as i64, end, step)));
        let due = began + Duration::from_secs_f64(now / speed);
        if shown.is_none_or(|shown| shown.elapsed() >= FRAME) {
            screen.show(&lines)?;
            shown = Some(Real::now());
        }
        match keys.recv_timeout(due.saturating_duration_since(Real::now())) {
            Ok(Key::Quit | Key::Char('q')) => break,
            Ok(Key::Char(_)) | Err(RecvTimeoutError::Timeout) => {}
            // Without keys it goes on by itself.
            Err(RecvTimeoutError::Disconnected) => std::thread::sleep(due.saturating_duration_since(Real::now())),
        }
        if play.step().map_err(why)?.is_none() {
            break;
        }
    }
    drop(screen);
    drop(terminal);
    lines.iter().for_each(|line| println!("{line}"));
    Ok(ExitCode::SUCCESS)
}

/// The same timeline with pauses of a second at most, and what each step is called.
fn by_seconds(timeline: &Timeline) -> (Timeline, Vec<String>) {
    let (mut steps, mut names) = (Vec::new(), Vec::new());
    for step in &timeline.timeline {
        let mut left = match step {
            Step::Run(span) => span.0,
            step => {
                steps.push(step.clone());
                names.push(step.to_string());
                continue;
            }
        };
        while left > Instant::default() {
            let part = left.min(Instant::seconds(1));
            steps.push(Step::Run(Span(part)));
            names.push(step.to_string());
            left = left - part;
        }
    }
    (Timeline { timeline: steps, ..timeline.clone() }, names)
}
